//! `miner-client bench`: how fast this machine runs a model, by the very code that a task goes through.

use std::{
	path::PathBuf,
	time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Args;
use cuckoo_client::plain;
use cuckoo_primitives::{sketch::Keys, views::ModelView, work::MAX_STEPS, ModelKind};
use indicatif::BinaryBytes;
use serde::Serialize;
use sp_core::H256;

use crate::{
	account::models_on_chain,
	calibration::{made, made_alike, percentile},
	cli::Settings,
	gpu::Gpus,
	job::{begin, compute, compute_together, Item},
	model::Model,
	pipeline::{Pipeline, Unwatched},
	run::on_chain_of,
	runtime::{Provider, Runtime},
};

/// How many inputs are made; they come round again and again.
const INPUTS: u32 = 8;
/// How many inferences are not counted: the first ones allocate.
const WARM_UP: u32 = 2;
/// A picture's reference time on chain is that of so many steps.
const REFERENCE_STEPS: u32 = 20;
/// A task's deadline leaves so many times the reference time for each of its items.
const PATIENCE: f64 = 5.0;

/// What to run, and for how long.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
	/// The model's folder.
	#[arg(long, value_name = "DIR")]
	model: PathBuf,
	/// For how long to run it; the inference that runs at the end is finished.
	#[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
	seconds: u64,
	/// Denoising steps of a picture. The reference time on chain is that of 20.
	#[arg(long, value_name = "N", default_value_t = REFERENCE_STEPS, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_STEPS)))]
	steps: u32,
	/// Do not ask a node for the model's reference time.
	#[arg(long)]
	offline: bool,
	/// Print JSON.
	#[arg(long)]
	json: bool,
	#[command(flatten)]
	settings: Settings,
}

/// What was measured.
#[derive(Debug, PartialEq, Serialize)]
struct Report {
	manifest: H256,
	kind: ModelKind,
	/// What it ran on.
	provider: String,
	/// The version of ONNX Runtime, if its library tells.
	onnxruntime: Option<String>,
	/// Denoising steps, where it makes pictures.
	steps: Option<u32>,
	/// How many inputs were run together.
	batch: u32,
	inferences: usize,
	seconds: f64,
	per_second: f64,
	/// How long one took in the middle of all, in milliseconds; of a batch its part.
	p50_ms: f64,
	/// What one in twenty exceeded, in milliseconds.
	p95_ms: f64,
	/// What the GPU's memory held more after than before, in bytes; that of other programs in between is in it.
	gpu_memory: Option<u64>,
	/// What the chain says of the model, if a node could be asked.
	chain: Option<OnChain>,
}

/// A model's reference time, beside what was measured.
#[derive(Debug, PartialEq, Serialize)]
struct OnChain {
	model: u32,
	name: String,
	/// How long an inference takes on the slowest machine that should still earn, in milliseconds; 0 if nobody has measured it.
	reference_ms: u32,
	/// What was measured as a part of it; none if the two cannot be compared.
	part: Option<f64>,
	/// Whether this machine meets deadlines.
	verdict: Verdict,
}

/// What a measured time means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
	/// As fast as a miner should be.
	FastEnough,
	/// Slower, but within what a deadline allows.
	Slow,
	/// Slower than a deadline allows.
	TooSlow,
	/// There is nothing to compare with.
	Unknown,
}

impl Verdict {
	fn of(part: Option<f64>) -> Self {
		match part {
			None => Self::Unknown,
			Some(part) if part <= 1.0 => Self::FastEnough,
			Some(part) if part <= PATIENCE => Self::Slow,
			Some(_) => Self::TooSlow,
		}
	}

	fn in_words(self) -> &'static str {
		match self {
			Self::FastEnough => "fast enough",
			Self::Slow => "slower than the slowest machine that should earn; deadlines leave five times that, so one task at a time may do",
			Self::TooSlow => "too slow: it would miss its deadlines and be slashed for it",
			Self::Unknown => "nothing to compare with: the model is not calibrated, inputs were run together, or pictures were made with another number of steps than 20",
		}
	}
}

/// Runs the model and prints how fast it was.
pub(crate) async fn bench(args: BenchArgs) -> Result<()> {
	let BenchArgs { model, seconds, steps, offline, json, settings } = args;
	let config = settings.read()?;
	let model = Model::verify(&model)?;
	let runtime = Runtime::load(&config.runtime())?;
	// Nothing else is done meanwhile, so that this thread may be held up.
	let of = Duration::from_secs(seconds);
	let mut report = measure(&runtime, &model, of, steps, config.batch)?;
	if !offline {
		match models_on_chain(&config).await {
			Ok(views) => match on_chain_of(&model, &views) {
				Ok(view) => {
					report.chain = Some(beside(view, report.p50_ms, report.steps, report.batch))
				},
				Err(error) => tracing::warn!("{error:#}"),
			},
			Err(error) => {
				let why = format!("{error:#}");
				tracing::warn!(
					why,
					"no node to ask for the reference time (--offline does without)"
				);
			},
		}
	}
	if json {
		println!("{}", serde_json::to_string_pretty(&report)?);
	} else {
		report.lines().iter().for_each(|line| println!("{line}"));
	}
	Ok(())
}

fn measure(
	runtime: &Runtime,
	model: &Model,
	duration: Duration,
	steps: u32,
	batch: u32,
) -> Result<Report> {
	let memory = Memory::watch(runtime.provider());
	let pipeline = Pipeline::open(runtime, model, model.kind())?;
	let inputs = (0..INPUTS).map(|number| match model.kind() {
		// Together only those of as many tokens are run.
		ModelKind::TextEmbedding => made_alike(&pipeline, number),
		ModelKind::TextToImage | ModelKind::Tensor => made(&pipeline, number, steps),
	});
	let inputs = inputs.collect::<Result<Vec<_>>>().context("cannot make inputs for the model")?;
	let keys = Keys::default();
	let item = |number: u32| {
		let item = number % INPUTS;
		Item { keys: &keys, item, input: &inputs[item as usize] }
	};
	// How long each of a batch took, in milliseconds.
	let run = |first: u32| -> Result<Vec<f64>> {
		if batch > 1 {
			let items: Vec<Item> = (0..batch).map(|at| item(first.wrapping_add(at))).collect();
			let results = compute_together(&pipeline, &items, &mut Unwatched)
				.context("the model takes one input at a time; leave --batch away")??;
			return results.into_iter().map(|done| Ok(done?.seconds * 1e3)).collect();
		}
		let Item { keys, item, input } = item(first);
		let computed = compute(&pipeline, keys, item, input, &mut Unwatched);
		Ok(vec![computed.with_context(|| format!("input {item}"))?.seconds * 1e3])
	};
	for number in 0..WARM_UP {
		run(number)?;
	}
	// As in a worker: the next input is read while this one runs.
	let ahead = |number: u32| if batch > 1 { None } else { begin(&pipeline, item(number)) };
	let (start, mut times) = (Instant::now(), Vec::new());
	let mut number = 0u32;
	let (mut early, mut free) = (ahead(number), Instant::now());
	while times.is_empty() || start.elapsed() < duration {
		let next = number.wrapping_add(batch);
		match early.take() {
			Some(begun) => {
				early = ahead(next);
				times.push(begun?.finish(&pipeline, free)?.seconds * 1e3);
				free = Instant::now();
			},
			None => times.extend(run(number)?),
		}
		number = next;
	}
	let seconds = start.elapsed().as_secs_f64();
	// The picture is the one kind whose time depends on a setting of the job.
	let steps = (model.kind() == ModelKind::TextToImage).then_some(steps);
	Ok(Report {
		manifest: model.manifest(),
		kind: model.kind(),
		provider: runtime.provider().to_string(),
		onnxruntime: runtime.library().version.clone(),
		steps,
		batch,
		inferences: times.len(),
		seconds,
		per_second: times.len() as f64 / seconds,
		p50_ms: percentile(times.clone(), 500),
		p95_ms: percentile(times, 950),
		gpu_memory: memory.and_then(|memory| memory.grown()),
		chain: None,
	})
}

/// What the chain says of a model, beside what was measured.
fn beside(view: &ModelView, p50_ms: f64, steps: Option<u32>, batch: u32) -> OnChain {
	let comparable =
		batch == 1 && view.reference_ms > 0 && steps.is_none_or(|steps| steps == REFERENCE_STEPS);
	let part = comparable.then(|| p50_ms / f64::from(view.reference_ms));
	OnChain {
		model: view.model,
		name: view.name.clone(),
		reference_ms: view.reference_ms,
		part,
		verdict: Verdict::of(part),
	}
}

impl Report {
	fn lines(&self) -> Vec<String> {
		let version = self.onnxruntime.as_deref().unwrap_or("of unknown version");
		let steps = self.steps.map(|steps| format!(" of {steps} steps")).unwrap_or_default();
		let together = match self.batch {
			1 => String::new(),
			batch => format!(", {batch} together"),
		};
		let mut lines = vec![
			format!("model       {:?}, manifest {:?}", self.kind, self.manifest),
			format!("runs on     {}, ONNX Runtime {version}", self.provider),
			format!(
				"inferences  {}{steps}{together} in {:.1} s: {:.2} a second",
				self.inferences, self.seconds, self.per_second
			),
			format!("each        p50 {:.1} ms, p95 {:.1} ms", self.p50_ms, self.p95_ms),
		];
		if let Some(memory) = self.gpu_memory {
			lines.push(format!("GPU memory  {}", BinaryBytes(memory)));
		}
		if let Some(OnChain { model, name, reference_ms, part, verdict }) = &self.chain {
			let part = part.map(|part| format!(", {part:.2} of it here")).unwrap_or_default();
			lines.push(format!(
				"on chain    model {model} ({}), reference time {reference_ms} ms{part}: {}",
				plain::line(name),
				verdict.in_words()
			));
		}
		lines
	}
}

/// A GPU's memory, before and after.
struct Memory {
	gpus: Gpus,
	gpu: u32,
	before: u64,
}

impl Memory {
	/// Looks at the GPU that models run on, if there is one and its driver tells.
	fn watch(provider: Provider) -> Option<Self> {
		let Provider::Cuda { device } = provider else { return None };
		let (gpus, gpu) = (Gpus::open().ok()?, u32::try_from(device).ok()?);
		let before = gpus.gpu(gpu).memory_used?;
		Some(Self { gpus, gpu, before })
	}

	fn grown(&self) -> Option<u64> {
		Some(self.gpus.gpu(self.gpu).memory_used?.saturating_sub(self.before))
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::{model::tests::folder, pipeline::tensor::tests::doubling_model, runtime};

	fn view(reference_ms: u32) -> ModelView {
		ModelView {
			model: 3,
			name: "demo".into(),
			kind: ModelKind::Tensor,
			manifest: H256::zero(),
			min_fee: 1,
			work_window: 20,
			tolerance: None,
			reference_ms,
			active: true,
		}
	}

	#[test]
	fn a_time_is_judged_by_the_reference_time() {
		let verdict = |p50, reference, steps| beside(&view(reference), p50, steps, 1).verdict;
		assert_eq!(verdict(100.0, 100, None), Verdict::FastEnough);
		assert_eq!(verdict(101.0, 100, Some(20)), Verdict::Slow);
		assert_eq!(verdict(500.1, 100, None), Verdict::TooSlow);
		assert_eq!(verdict(1.0, 0, None), Verdict::Unknown);
		assert_eq!(verdict(1.0, 100, Some(4)), Verdict::Unknown);
		assert_eq!(beside(&view(200), 50.0, None, 1).part, Some(0.25));
		assert_eq!(beside(&view(200), 50.0, None, 2).verdict, Verdict::Unknown);
	}

	#[test]
	fn a_real_model_is_measured() {
		let Some(runtime) = runtime::for_tests() else { return };
		let dir = folder(&[("model.onnx", &doubling_model())]);
		let model = Model::verify(dir.path()).unwrap();
		let mut report = measure(runtime, &model, Duration::from_millis(50), 20, 1).unwrap();
		assert!(report.inferences > 1 && report.seconds >= 0.05, "{report:?}");
		assert!(report.p50_ms > 0.0 && report.p50_ms <= report.p95_ms, "{report:?}");
		assert_eq!((report.manifest, report.steps), (model.manifest(), None));
		report.chain = Some(beside(&view(1_000_000), report.p50_ms, report.steps, 1));
		let text = report.lines().join("\n");
		assert!(text.contains("a second") && text.contains("fast enough"), "{text}");
		assert!(measure(runtime, &model, Duration::ZERO, 20, 1).unwrap().inferences == 1);
		let fixed = measure(runtime, &model, Duration::ZERO, 20, 4).unwrap_err().to_string();
		assert!(fixed.contains("one input at a time"), "{fixed}");
	}
}
