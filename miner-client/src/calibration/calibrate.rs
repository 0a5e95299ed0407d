//! `miner-client calibrate`: from honest runs and two cheats to a model's tolerance and reference time.

use std::{
	collections::BTreeMap,
	fs,
	path::{Path, PathBuf},
};

use anyhow::{ensure, Context, Result};
use clap::Args;
use cuckoo_primitives::tolerance::Tolerance;
use serde::Serialize;
use sp_core::H256;
use sp_crypto_hashing::blake2_256;

use super::{
	figures::{all_pairs, Cheat, Honest, Thresholds},
	inputs::{InputArgs, Inputs},
	sketches::{Run, Shown},
};
use crate::{
	cli::RuntimeFlags,
	config::Config,
	model::Model,
	runtime::{Optimization, Provider, Runtime},
};

/// The fewest inputs that a tolerance is made of.
const LEAST_INPUTS: u32 = 256;
/// How many inputs are run together in one of the runs, where the model can: miners may.
const TOGETHER: u32 = 4;

/// What to measure, and where the report goes.
#[derive(Args, Debug)]
pub(crate) struct CalibrateArgs {
	/// The model's folder.
	#[arg(long, value_name = "DIR")]
	model: PathBuf,
	/// A copy of it in 8-bit integers, a cheat that must be told apart.
	#[arg(long, value_name = "DIR")]
	int8: PathBuf,
	/// A copy of it with its smallest weights gone, another cheat.
	#[arg(long, value_name = "DIR")]
	pruned: PathBuf,
	/// A file that `miner-client sketches` made of the same model and inputs on another machine, or with another version of ONNX Runtime. Repeat it.
	#[arg(long, value_name = "FILE")]
	with: Vec<PathBuf>,
	/// Where to write the report, as JSON.
	#[arg(long, value_name = "FILE")]
	output: PathBuf,
	#[command(flatten)]
	inputs: InputArgs,
	/// A TOML file with settings.
	#[arg(long, value_name = "FILE", env = "MINER_CONFIG")]
	config: Option<PathBuf>,
	#[command(flatten)]
	runtime: RuntimeFlags,
}

/// The report.
#[derive(Debug, PartialEq, Serialize)]
struct Report {
	tolerance: Tolerance,
	/// In milliseconds, on the slowest of the runs.
	reference_ms: u32,
	manifest: H256,
	/// How many.
	inputs: u32,
	/// The root of their hashes.
	input_root: H256,
	/// How many pairs of honest results were compared.
	pairs: usize,
	honest: Honest,
	variants: BTreeMap<&'static str, Cheat>,
	runs: Vec<Setting>,
}

/// An honest run in the report.
#[derive(Debug, PartialEq, Serialize)]
struct Setting {
	setting: String,
	reference_ms: f64,
}

/// Measures a model and writes its tolerance, or fails if a cheat might pass for honest.
pub(crate) fn calibrate(args: CalibrateArgs) -> Result<()> {
	let config = Config::read(args.config.as_deref(), &args.runtime)?;
	let model = Model::verify(&args.model)?;
	let cheats =
		cheats(&model, [("int8", args.int8.as_path()), ("pruned", args.pruned.as_path())])?;
	let others = args.with.iter().map(|path| with(path, &model)).collect::<Result<Vec<_>>>()?;
	let runtime = Runtime::load(&config.runtime())?;
	let inputs = Inputs::choose(&args.inputs, 0, &runtime, &model)?;
	ensure!(
		inputs.count() >= LEAST_INPUTS,
		"{} inputs are too few to calibrate with, {LEAST_INPUTS} are needed",
		inputs.count()
	);

	let settings = settings(runtime.provider(), config.allow_cpu, config.threads);
	let own = runtime.varied(settings[0].0, settings[0].1);
	let mut runs = Vec::new();
	for (provider, optimization, batch) in settings {
		let run = Run::measure(&runtime.varied(provider, optimization), &model, &inputs, batch)?;
		println!("{run}: {:.1} ms", run.reference_ms);
		runs.push(run);
	}
	for (run, path) in others.into_iter().zip(&args.with) {
		ensure!(
			run.inputs == runs[0].inputs,
			"{} was made with other inputs; give both commands the same --inputs, --steps and --inputs-dir",
			path.display()
		);
		println!("{run}: {:.1} ms", run.reference_ms);
		runs.push(run);
	}
	let mut variants = BTreeMap::new();
	for (name, cheat) in cheats {
		let run = Run::measure(&own, &cheat, &inputs, 1)?;
		variants.insert(name, Cheat::of(&run.outputs, &runs[0].outputs));
	}
	let bytes = serde_json::to_vec_pretty(&judge(&runs, variants)?)?;
	fs::write(&args.output, &bytes)
		.with_context(|| format!("cannot write {}", args.output.display()))?;
	let evidence = H256::from(blake2_256(&bytes));
	println!("{}: evidence {evidence:?}, the report's BLAKE2b-256 hash", args.output.display());
	Ok(())
}

/// The folders of the cheats, which must be copies of the model and not itself.
fn cheats(model: &Model, named: [(&'static str, &Path); 2]) -> Result<Vec<(&'static str, Model)>> {
	let mut cheats: Vec<(&'static str, Model)> = Vec::new();
	for (name, dir) in named {
		let cheat = Model::verify(dir)?;
		ensure!(
			cheat.kind() == model.kind(),
			"{} holds no copy of the model but one of another kind",
			dir.display()
		);
		let same = |other: &Model| other.manifest() == cheat.manifest();
		ensure!(
			!same(model) && !cheats.iter().any(|(_, other)| same(other)),
			"{} was given twice: --model, --int8 and --pruned are three different folders",
			dir.display()
		);
		cheats.push((name, cheat));
	}
	Ok(cheats)
}

/// A run that was made elsewhere, of this model.
fn with(path: &Path, model: &Model) -> Result<Run> {
	let run = Run::read(path)?;
	ensure!(
		run.manifest == model.manifest(),
		"{} was made with another model: its manifest is {:?}, expected {:?}",
		path.display(),
		run.manifest,
		model.manifest()
	);
	Ok(run)
}

/// The settings to run here, a miner's own first: with one thread and several, because several add up in another order; the graph rewritten and not; inputs by themselves and,
/// last, together. On a GPU the CPU is run as well where that is allowed.
fn settings(own: Provider, allow_cpu: bool, threads: usize) -> Vec<(Provider, Optimization, u32)> {
	let cpu = [threads.max(2), 1].map(|threads| Provider::Cpu { threads });
	let providers: Vec<Provider> = match own {
		Provider::Cpu { .. } => cpu.to_vec(),
		Provider::Cuda { .. } if allow_cpu => [own].into_iter().chain(cpu).collect(),
		Provider::Cuda { .. } => vec![own],
	};
	let levels = [Optimization::All, Optimization::None];
	let together = providers.first().map(|own| (*own, Optimization::All, TOGETHER));
	let alone = providers.iter().flat_map(|of| levels.map(|level| (*of, level, 1)));
	alone.chain(together).collect()
}

/// What the runs say, printed; fails if a cheat might pass for honest.
fn judge(runs: &[Run], variants: BTreeMap<&'static str, Cheat>) -> Result<Report> {
	let outputs: Vec<&[Shown]> = runs.iter().map(|run| run.outputs.as_slice()).collect();
	let first = runs.first().context("there is no honest run")?;
	ensure!(
		outputs.iter().all(|run| run.len() == first.outputs.len()),
		"the runs do not have as many outputs as each other"
	);
	let distances = all_pairs(&outputs);
	let pairs = distances.len();
	let honest = Honest::of(distances);
	let thresholds = Thresholds::of(&honest);
	let Thresholds { agree, wrong, without_the_largest } = thresholds;
	println!("{pairs} honest pairs: p99.9 {:.3e}, largest {:.3e}", honest.p99_9, honest.largest);
	if agree > without_the_largest {
		println!("agree is raised from {without_the_largest} to {agree}: two honest results lie as far apart");
	}
	println!("tolerance in millionths: agree {agree}, wrong {wrong}");
	for (name, cheat) in &variants {
		println!(
			"{name}: smallest {:.3e}, median {:.3e}, must be beyond {:.3e}",
			cheat.smallest,
			cheat.median,
			thresholds.cheats_beyond()
		);
	}
	variants.iter().try_for_each(|(name, cheat)| thresholds.tell_apart(name, cheat))?;

	let slowest = runs.iter().map(|run| run.reference_ms).fold(0.0, f64::max);
	let reference_ms = slowest.ceil() as u32; // saturates: 49 days
	println!("reference time {reference_ms} ms");
	let setting = |run: &Run| Setting { setting: run.to_string(), reference_ms: run.reference_ms };
	Ok(Report {
		tolerance: thresholds.tolerance(),
		reference_ms,
		manifest: first.manifest,
		inputs: first.outputs.len() as u32, // at most 65,536
		input_root: first.inputs,
		pairs,
		honest,
		variants,
		runs: runs.iter().map(setting).collect(),
	})
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::{calibration::sketches::tests::invented, model::tests::folder};

	fn variants(smallest: f64) -> BTreeMap<&'static str, Cheat> {
		let cheat = Cheat { smallest, median: 0.5 };
		BTreeMap::from([("int8", cheat), ("pruned", Cheat { smallest: 0.4, ..cheat })])
	}

	#[test]
	fn the_report_says_what_the_chain_stores() {
		let mut slow = invented();
		slow.reference_ms = 7.2;
		let report = judge(&[invented(), slow], variants(0.01)).unwrap();
		let json = serde_json::to_value(&report).unwrap();
		assert_eq!(json["tolerance"], serde_json::json!({"approx": {"agree": 200, "wrong": 800}}));
		assert_eq!(json["reference_ms"], 8);
		assert_eq!(json["pairs"], 2);
		assert_eq!(json["inputs"], 2);
		assert_eq!(json["honest"], serde_json::json!({"p99_9": 0.0, "largest": 0.0}));
		assert_eq!(json["variants"]["int8"]["smallest"], 0.01);
		assert_eq!(json["variants"]["pruned"]["median"], 0.5);
		assert_eq!(json["runs"].as_array().unwrap().len(), 2);
	}

	#[test]
	fn cheats_that_are_too_near_are_refused() {
		let error = judge(&[invented(), invented()], variants(0.002)).unwrap_err().to_string();
		assert!(error.contains("precision not distinguishable"), "{error}");
	}

	#[test]
	fn runs_of_other_lengths_are_refused() {
		let mut short = invented();
		short.outputs.pop();
		assert!(judge(&[invented(), short], variants(0.01)).is_err());
		assert!(judge(&[], variants(0.01)).is_err());
	}

	#[test]
	fn a_miners_own_setting_comes_first() {
		let (one, four) = (Provider::Cpu { threads: 1 }, Provider::Cpu { threads: 4 });
		let (all, none) = (Optimization::All, Optimization::None);
		let on_four = [(four, all, 1), (four, none, 1), (one, all, 1), (one, none, 1)];
		let and = |alone: &[(Provider, Optimization, u32)]| {
			[alone, &[(alone[0].0, all, TOGETHER)]].concat()
		};
		assert_eq!(settings(four, true, 4), and(&on_four));
		// One core runs two threads as well.
		assert_eq!(settings(one, true, 1)[0], (Provider::Cpu { threads: 2 }, all, 1));
		let gpu = Provider::Cuda { device: 0 };
		let on_gpu = [(gpu, all, 1), (gpu, none, 1)];
		assert_eq!(settings(gpu, false, 4), and(&on_gpu));
		let both = [on_gpu.as_slice(), on_four.as_slice()].concat();
		assert_eq!(settings(gpu, true, 4), and(&both));
	}

	#[test]
	fn cheats_are_other_folders_than_the_model() {
		let [model, int8, pruned] =
			["1", "2", "3"].map(|text| folder(&[("model.onnx", text.as_bytes())]));
		let verified = Model::verify(model.path()).unwrap();
		let of =
			|int8: &Path, pruned: &Path| cheats(&verified, [("int8", int8), ("pruned", pruned)]);
		assert_eq!(of(int8.path(), pruned.path()).unwrap().len(), 2);
		assert!(of(model.path(), pruned.path()).is_err());
		let error = of(int8.path(), int8.path()).unwrap_err().to_string();
		assert!(error.contains("three different folders"), "{error}");
	}

	#[test]
	fn a_run_of_another_model_is_refused() {
		let dir = folder(&[("model.onnx", b"1")]);
		let model = Model::verify(dir.path()).unwrap();
		let file = tempfile::NamedTempFile::new().unwrap();
		let mut run = invented();
		fs::write(file.path(), serde_json::to_vec(&run).unwrap()).unwrap();
		let error = with(file.path(), &model).unwrap_err().to_string();
		assert!(error.contains("another model"), "{error}");
		run.manifest = model.manifest();
		fs::write(file.path(), serde_json::to_vec(&run).unwrap()).unwrap();
		assert_eq!(with(file.path(), &model).unwrap(), run);
	}
}
