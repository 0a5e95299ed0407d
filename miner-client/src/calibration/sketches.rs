//! `miner-client sketches`: one run over many inputs, and the file that tells of it.

use std::{
	fmt, fs,
	path::{Path, PathBuf},
};

use anyhow::{ensure, Context, Result};
use clap::Args;
use cuckoo_client::plain;
use cuckoo_primitives::{
	merkle::{input_leaf, root, SKETCH_BYTES},
	sketch::Keys,
	tolerance::{Sketch, NO_SKETCH},
	work::TextToImageInput,
	ModelKind,
};
use serde::{de::Error as _, Deserialize, Deserializer, Serialize, Serializer};
use sp_core::H256;
use sp_crypto_hashing::blake2_256;

use super::{
	figures::percentile,
	inputs::{InputArgs, Inputs},
};
use crate::{
	cli::RuntimeFlags,
	config::Config,
	infer::progress,
	job::{compute, compute_together, Computed, Item, JobError},
	model::Model,
	pipeline::{Pipeline, Unwatched},
	runtime::{Optimization, Runtime},
};

/// The layout of the file.
const FORMAT: u32 = 2;
/// The largest file: three times that of as many inputs as there can be.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// A picture's reference time is that of so many steps, over so many pictures.
const REFERENCE_STEPS: u32 = 20;
const REFERENCE_PICTURES: u32 = 8;

/// What to run, how, and where the sketches go.
#[derive(Args, Debug)]
pub(crate) struct SketchesArgs {
	/// The model's folder.
	#[arg(long, value_name = "DIR")]
	model: PathBuf,
	/// Where to write the sketches, as JSON.
	#[arg(long, value_name = "FILE")]
	output: PathBuf,
	/// How much ONNX Runtime may rewrite the model's graph. Miners always run `all`.
	#[arg(long, value_enum, default_value = "all")]
	optimization: Optimization,
	/// The number of the first made input.
	#[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "inputs_dir")]
	first: u32,
	/// How many inputs to run together, where the model can.
	#[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
	batch: u32,
	#[command(flatten)]
	inputs: InputArgs,
	/// A TOML file with settings.
	#[arg(long, value_name = "FILE", env = "MINER_CONFIG")]
	config: Option<PathBuf>,
	#[command(flatten)]
	runtime: RuntimeFlags,
}

/// Runs a model over many inputs under one setting.
pub(crate) fn sketches(args: SketchesArgs) -> Result<()> {
	let config = Config::read(args.config.as_deref(), &args.runtime)?;
	let model = Model::verify(&args.model)?;
	let runtime = Runtime::load(&config.runtime())?;
	let runtime = runtime.varied(runtime.provider(), args.optimization);
	let inputs = Inputs::choose(&args.inputs, args.first, &runtime, &model)?;
	let run = Run::measure(&runtime, &model, &inputs, args.batch)?;
	run.write(&args.output)?;
	println!("{run}: {} outputs in {}", run.outputs.len(), args.output.display());
	Ok(())
}

/// What is kept of one output, that of item `i` of task 0 for input `i`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shown {
	/// The hash of the output's bytes.
	pub(super) hash: H256,
	/// Its sketch, as hex.
	#[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
	pub(super) sketch: Sketch,
	/// How long it took, in milliseconds.
	pub(super) ms: f64,
}

fn to_hex<S: Serializer>(sketch: &Sketch, to: S) -> Result<S::Ok, S::Error> {
	to.serialize_str(&hex::encode(sketch))
}

fn from_hex<'de, D: Deserializer<'de>>(from: D) -> Result<Sketch, D::Error> {
	let mut sketch: Sketch = [0; SKETCH_BYTES];
	hex::decode_to_slice(String::deserialize(from)?, &mut sketch).map_err(D::Error::custom)?;
	Ok(sketch)
}

/// One run: a model's outputs under one setting on one machine. The file that `sketches` writes is this as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Run {
	/// The file's layout.
	format: u32,
	/// The hash under which a chain knows the model.
	pub(super) manifest: H256,
	/// Its kind.
	kind: ModelKind,
	/// The Merkle root of the inputs, as that of a task.
	pub(super) inputs: H256,
	/// What it ran on.
	provider: String,
	/// How much the graph was rewritten.
	optimization: String,
	/// How many inputs were run together, where the model can.
	batch: u32,
	/// The version of ONNX Runtime, if its library tells.
	onnxruntime: Option<String>,
	/// The processor's name, if the system tells.
	cpu: Option<String>,
	/// How long an inference takes in the middle of several, in milliseconds; with 20 steps where it is a picture.
	pub(super) reference_ms: f64,
	/// In the order of the inputs.
	pub(super) outputs: Vec<Shown>,
}

/// In a line; it may come from another machine.
impl fmt::Display for Run {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		let optimization = plain::line(&self.optimization);
		write!(f, "{}, optimisation {optimization}", plain::line(&self.provider))?;
		if self.batch > 1 {
			write!(f, ", {} together", self.batch)?;
		}
		let version = self.onnxruntime.as_deref().unwrap_or("of unknown version");
		let cpu = self.cpu.as_deref().unwrap_or("unknown processor");
		write!(f, ", ONNX Runtime {}, {}", plain::line(version), plain::line(cpu))
	}
}

impl Run {
	/// Runs the model over all inputs, so many together where it can.
	pub(super) fn measure(
		runtime: &Runtime,
		model: &Model,
		inputs: &Inputs,
		batch: u32,
	) -> Result<Self> {
		let pipeline = Pipeline::open(runtime, model, model.kind())?;
		let (provider, optimization) = (runtime.provider(), runtime.optimization());
		let what = format!("{provider}, optimisation {optimization}");
		let bar = progress(inputs.count().into(), what);
		let (mut leaves, mut outputs) = (Vec::new(), Vec::new());
		for first in (0..inputs.count()).step_by(batch as usize) {
			let indices = first..inputs.count().min(first + batch);
			let group = indices.map(|index| Ok((index, inputs.bytes(index)?)));
			let group = group.collect::<Result<Vec<_>>>()?;
			leaves.extend(group.iter().map(|(_, input)| input_leaf(&blake2_256(input).into())));
			outputs.extend(shown(&pipeline, &group)?);
			bar.inc(group.len() as u64);
		}
		bar.finish_and_clear();
		let times = match model.kind() {
			ModelKind::TextToImage => pictures(&pipeline, inputs)?,
			ModelKind::Tensor | ModelKind::TextEmbedding => {
				outputs.iter().map(|output| output.ms).collect()
			},
		};
		Ok(Self {
			format: FORMAT,
			manifest: model.manifest(),
			kind: model.kind(),
			inputs: root(leaves),
			provider: provider.to_string(),
			optimization: optimization.to_string(),
			batch,
			onnxruntime: runtime.library().version.clone(),
			cpu: cpu(),
			reference_ms: percentile(times, 500),
			outputs,
		})
	}

	/// Writes the file.
	fn write(&self, path: &Path) -> Result<()> {
		fs::write(path, serde_json::to_vec(self)?)
			.with_context(|| format!("cannot write {}", path.display()))
	}

	/// Reads a file that was made elsewhere.
	pub(super) fn read(path: &Path) -> Result<Self> {
		let unreadable = || format!("cannot read {}", path.display());
		let size = fs::metadata(path).with_context(unreadable)?.len();
		ensure!(size <= MAX_FILE_BYTES, "{} has {size} bytes: too large", path.display());
		let bytes = fs::read(path).with_context(unreadable)?;
		let run: Self = serde_json::from_slice(&bytes).with_context(|| {
			format!("{} was not made by `miner-client sketches`", path.display())
		})?;
		ensure!(
			run.format == FORMAT && run.outputs.iter().all(|output| output.sketch != NO_SKETCH),
			"{} was made by another version of miner-client, or by hand",
			path.display()
		);
		Ok(run)
	}
}

/// Runs these inputs, which come with their numbers, together if that goes.
fn shown(pipeline: &Pipeline, inputs: &[(u32, Vec<u8>)]) -> Result<Vec<Shown>> {
	let keys = Keys::default();
	let items: Vec<Item> =
		inputs.iter().map(|(item, input)| Item { keys: &keys, item: *item, input }).collect();
	let together = match items.as_slice() {
		[_] => None,
		items => compute_together(pipeline, items, &mut Unwatched).transpose()?,
	};
	let results = together.unwrap_or_else(|| {
		let alone = |of: &Item| compute(pipeline, of.keys, of.item, of.input, &mut Unwatched);
		items.iter().map(alone).collect()
	});
	let show = |((index, _), result): (&(u32, Vec<u8>), Result<Computed, JobError>)| {
		let computed = result.with_context(|| format!("input {index}"))?;
		let leaf = computed.leaves.first().with_context(|| format!("input {index}: no sketch"))?;
		Ok(Shown { hash: leaf.hash, sketch: leaf.sketch, ms: computed.seconds * 1e3 })
	};
	inputs.iter().zip(results).map(show).collect()
}

/// How long some of the pictures take with the steps of a reference time, in milliseconds.
fn pictures(pipeline: &Pipeline, inputs: &Inputs) -> Result<Vec<f64>> {
	let mut times = Vec::new();
	for index in 0..inputs.count().min(REFERENCE_PICTURES) {
		let mut job: TextToImageInput = serde_json::from_slice(&inputs.bytes(index)?)?;
		job.steps = REFERENCE_STEPS;
		let made = shown(pipeline, &[(index, serde_json::to_vec(&job)?)])?;
		times.extend(made.iter().map(|shown| shown.ms));
	}
	Ok(times)
}

/// The processor's name, where Linux tells it.
fn cpu() -> Option<String> {
	let told = fs::read_to_string("/proc/cpuinfo").ok()?;
	let line = told.lines().find(|line| line.starts_with("model name"))?;
	Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
pub(super) mod tests {
	use super::*;
	use crate::{model::tests::folder, pipeline::tensor::tests::doubling_model, runtime};
	use clap::Parser;

	/// A run of a model that does not exist.
	pub(in crate::calibration) fn invented() -> Run {
		let output = |hash: u8| Shown {
			hash: H256::repeat_byte(hash),
			sketch: [hash; SKETCH_BYTES],
			ms: 1.5,
		};
		Run {
			format: FORMAT,
			manifest: H256::repeat_byte(1),
			kind: ModelKind::Tensor,
			inputs: H256::repeat_byte(2),
			provider: "CPU, 1 threads".into(),
			optimization: "all".into(),
			batch: 1,
			onnxruntime: None,
			cpu: Some("a processor".into()),
			reference_ms: 1.5,
			outputs: vec![output(3), output(4)],
		}
	}

	#[test]
	fn what_is_written_is_read_again() {
		let file = tempfile::NamedTempFile::new().unwrap();
		let run = invented();
		run.write(file.path()).unwrap();
		assert_eq!(Run::read(file.path()).unwrap(), run);
		let text = fs::read_to_string(file.path()).unwrap();
		assert!(text.contains(&"03".repeat(SKETCH_BYTES)), "{text}");
	}

	#[test]
	fn what_others_write_does_nothing_to_the_terminal() {
		let run = Run { cpu: Some("a\u{1b}[2Jb".into()), ..invented() };
		let shown = run.to_string();
		assert!(shown.ends_with("of unknown version, a\u{fffd}[2Jb"), "{shown:?}");
	}

	#[test]
	fn files_of_others_are_looked_at() {
		let file = tempfile::NamedTempFile::new().unwrap();
		let refused = |text: &str| {
			fs::write(file.path(), text).unwrap();
			format!("{:#}", Run::read(file.path()).unwrap_err())
		};
		let good = serde_json::to_string(&invented()).unwrap();
		assert!(refused("[]").contains("not made by"));
		assert!(refused(&good.replace("\"kind\"", "\"kinds\"")).contains("kinds"));
		assert!(refused(&good.replace("0404", "04")).contains("not made by"));
		assert!(refused(&good.replace("\"format\":2", "\"format\":1")).contains("another version"));
		let none = good.replace(&"04".repeat(SKETCH_BYTES), &hex::encode(NO_SKETCH));
		assert!(refused(&none).contains("by hand"));
		assert!(Run::read(Path::new("/nowhere/run.json")).is_err());
	}

	#[derive(Parser)]
	struct Line {
		#[command(flatten)]
		inputs: InputArgs,
	}

	#[test]
	fn a_run_is_the_same_each_time_and_tells_its_setting() {
		let Some(runtime) = runtime::for_tests() else { return };
		let dir = folder(&[("model.onnx", &doubling_model())]);
		let model = Model::verify(dir.path()).unwrap();
		let line = Line::parse_from(["test", "--inputs", "5"]);
		let inputs = |first| Inputs::choose(&line.inputs, first, runtime, &model).unwrap();
		let varied = runtime.varied(runtime.provider(), Optimization::None);
		let run = Run::measure(runtime, &model, &inputs(0), 1).unwrap();
		let other = Run::measure(&varied, &model, &inputs(0), 2).unwrap();
		assert_eq!((run.outputs.len(), run.manifest), (5, model.manifest()));
		assert_eq!(run.inputs, other.inputs);
		// x + x is exact under every setting.
		let hashes = |run: &Run| run.outputs.iter().map(|o| o.hash).collect::<Vec<_>>();
		assert_eq!(hashes(&run), hashes(&other));
		assert!(run.to_string().contains("optimisation all"), "{run}");
		assert!(other.to_string().contains("optimisation none"), "{other}");
		// The third input of the one is the first of the other.
		let later = Run::measure(runtime, &model, &inputs(2), 1).unwrap();
		assert_ne!(later.inputs, run.inputs);
		assert_eq!(later.outputs[0].hash, run.outputs[2].hash);
	}
}
