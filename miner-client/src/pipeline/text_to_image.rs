//! Prompt to picture, with a model in the folder layout of exported Stable Diffusion models.
//!
//! ```text
//! prompts ─ tokenizer ─▶ input_ids [2,L] ─ text_encoder ─▶ text_embeddings [2,L,D]
//! seed ─ latents.0 [1,C,h,w] ─▶ per step: unet on both prompts at once ─ guidance ─ scheduler ─▶ latents.{i+1}
//! latents ─ ÷ scaling_factor ─ vae_decoder ─▶ vae.sample [1,3,H,W] in [−1,1] ─▶ image u8 [H,W,3]
//! ```
//! The first of each pair is the negative prompt, the second the prompt. The sketch is of `vae.sample`, before pixels are rounded.
//!
//! Networks may take and give f32 or f16 each, ids as i32 or i64, the time step as an integer or a float, as a scalar or a vector of one. Everything
//! above is f32, also in a dump; a time step that lies between two integers loses its fraction where the network takes integers.

use anyhow::{ensure, Context, Result};
use cuckoo_primitives::work::{TextToImageInput, IMAGE_TENSOR};
use serde::Deserialize;

use super::{
	config, latents,
	network::{Layout, Network},
	scheduler::Scheduler,
	tokenizer::Tokenizer,
	Output, Together, Watch,
};
use crate::{
	job::JobError,
	model::Model,
	runtime::Runtime,
	tensors::{self, Data, Tensor},
};

/// What `unet/config.json` says about the latents, for the dimensions that `unet/model.onnx` leaves open.
#[derive(Deserialize)]
#[serde(default)]
struct UnetConfig {
	in_channels: usize,
	sample_size: usize,
}

impl Default for UnetConfig {
	fn default() -> Self {
		Self { in_channels: 4, sample_size: 64 }
	}
}

/// What `vae_decoder/config.json` says about the latents' scale.
#[derive(Deserialize)]
#[serde(default)]
struct VaeConfig {
	scaling_factor: f32,
}

impl Default for VaeConfig {
	fn default() -> Self {
		Self { scaling_factor: 0.18215 }
	}
}

const TEXT_ENCODER: Layout = Layout {
	file: "text_encoder/model.onnx",
	takes: &["input_ids"],
	may_take: &[],
	gives: &["last_hidden_state"],
	what: EXPORT,
};
const UNET: Layout = Layout {
	file: "unet/model.onnx",
	takes: &["sample", "timestep", "encoder_hidden_states"],
	may_take: &[],
	gives: &["out_sample"],
	what: EXPORT,
};
const VAE_DECODER: Layout = Layout {
	file: "vae_decoder/model.onnx",
	takes: &["latent_sample"],
	may_take: &[],
	gives: &["sample"],
	what: EXPORT,
};
const EXPORT: &str = "a Stable Diffusion export";

/// An opened model of kind [`TextToImage`](cuckoo_primitives::ModelKind::TextToImage).
pub struct TextToImage {
	tokenizer: Tokenizer,
	scheduler: Scheduler,
	text_encoder: Network,
	unet: Network,
	vae_decoder: Network,
	/// Channels, height and width of the latents.
	latents: [usize; 3],
	scaling: f32,
}

impl TextToImage {
	/// Opens all parts of the model and checks that they fit together.
	pub fn open(runtime: &Runtime, model: &Model) -> Result<Self> {
		let tokenizer = Tokenizer::open(model)?;
		let schedule = model.text("scheduler/scheduler_config.json");
		let schedule = schedule.context("scheduler/scheduler_config.json is missing")??;
		let scheduler = Scheduler::from_json(&schedule)?;
		let unet_config: UnetConfig = config(model, "unet/config.json")?;
		let vae_config: VaeConfig = config(model, "vae_decoder/config.json")?;
		let scaling = vae_config.scaling_factor;
		ensure!(scaling.is_normal(), "vae_decoder/config.json: scaling_factor {scaling} cannot be");

		let text_encoder = Network::open(runtime, model, &TEXT_ENCODER)?;
		let unet = Network::open(runtime, model, &UNET)?;
		let vae_decoder = Network::open(runtime, model, &VAE_DECODER)?;

		text_encoder.takes_ids(0)?;
		let length = tokenizer.length();
		let encoder_length = text_encoder.fixed(0, 1).unwrap_or(length);
		ensure!(
			encoder_length == length,
			"text_encoder/model.onnx takes {encoder_length} tokens, the tokenizer makes {length}"
		);
		let timestep = &unet.inputs()[1];
		ensure!(
			timestep.shape.len() <= 1 && Data::number(timestep.dtype, 0.0).is_some(),
			"unet/model.onnx: {timestep} is no time step"
		);
		unet.takes_floats(0)?;
		unet.takes_floats(2)?;
		vae_decoder.takes_floats(0)?;
		text_encoder.takes_batch(2)?;
		unet.takes_batch(2)?;
		let latents = [
			unet.fixed(0, 1).unwrap_or(unet_config.in_channels),
			unet.fixed(0, 2).unwrap_or(unet_config.sample_size),
			unet.fixed(0, 3).unwrap_or(unet_config.sample_size),
		];
		ensure!(
			latents.iter().all(|d| (1..=1024).contains(d)),
			"unet/model.onnx: latents of {latents:?} cannot be"
		);
		Ok(Self { tokenizer, scheduler, text_encoder, unet, vae_decoder, latents, scaling })
	}

	/// Makes one picture.
	pub fn run(&self, job: &TextToImageInput, watch: &mut dyn Watch) -> Result<Output, JobError> {
		job.validate().map_err(|e| JobError::Input(e.to_string()))?;
		let made = self.denoise(std::slice::from_ref(job), job.steps, watch)?;
		self.decode(&made, watch)
	}

	/// Makes several pictures of as many steps at once, where the UNet takes any number of samples. Only the UNet has them all at a time: it is where the time goes, and a
	/// decoder with several pictures takes the most memory of all.
	pub fn run_together(
		&self,
		jobs: &[TextToImageInput],
		watch: &mut dyn Watch,
	) -> Option<Together> {
		let steps = jobs.first()?.steps;
		let fits = |job: &TextToImageInput| job.steps == steps && job.validate().is_ok();
		if self.unet.fixed(0, 0).is_some() || !jobs.iter().all(fits) {
			return None;
		}
		Some(self.denoise(jobs, steps, watch).and_then(|made| {
			let parts = made.split(&vec![1; jobs.len()]).unwrap_or_default();
			parts.iter().map(|latents| self.decode(latents, watch)).collect()
		}))
	}

	/// The latents of the pictures, one behind the other.
	fn denoise(
		&self,
		jobs: &[TextToImageInput],
		steps: u32,
		watch: &mut dyn Watch,
	) -> Result<Tensor, JobError> {
		let schedule = self.scheduler.schedule(steps as usize)?;
		let embeddings = jobs.iter().map(|job| self.embed(job, watch));
		let embeddings = joined(embeddings.collect::<Result<_, _>>()?)?;

		let initial = |job: &TextToImageInput| {
			latents::initial(job.seed, self.latents, schedule.init_noise_sigma)
		};
		let mut now = joined(jobs.iter().map(initial).collect())?;
		watch.tensor("latents.0", &now);
		for (i, step) in schedule.steps.iter().enumerate() {
			if watch.cancelled() {
				return Err(JobError::Cancelled);
			}
			let before = floats("latents", &now, &now.shape)?;
			let both = twice(&now.shape, &step.input(before));
			let at = self.timestep(step.timestep)?;
			watch.tensor(&format!("unet.{i}.timestep"), &at);
			watch.tensor(&format!("unet.{i}.sample"), &both);
			let shape = both.shape.clone();
			// A scalar, if that is what the network takes.
			let at = Tensor { shape: vec![1; self.unet.inputs()[1].shape.len()], ..at };
			let out = self.unet.run(vec![both, at, embeddings.clone()])?;
			watch.tensor(&format!("unet.{i}.out"), &out);
			let out = floats("unet", &out, &shape)?;
			let each = out.chunks(out.len() / jobs.len()).zip(jobs);
			let guided: Vec<f32> =
				each.flat_map(|(both, job)| guide(both, job.guidance_scale)).collect();
			now = Tensor::f32(now.shape.clone(), step.next(before, &guided));
			watch.tensor(&format!("latents.{}", i + 1), &now);
		}
		Ok(now)
	}

	fn embed(&self, job: &TextToImageInput, watch: &mut dyn Watch) -> Result<Tensor, JobError> {
		let mut ids = self.tokenizer.encode(&job.negative_prompt)?;
		ids.extend(self.tokenizer.encode(&job.prompt)?);
		let shape = [2, self.tokenizer.length()];
		let ids = self.text_encoder.ids(0, shape, ids.into_iter())?;
		watch.tensor("input_ids", &ids);
		let embeddings = self.text_encoder.run(vec![ids])?;
		watch.tensor("text_embeddings", &embeddings);
		Ok(embeddings)
	}

	/// The time step in the network's type.
	fn timestep(&self, timestep: f32) -> Result<Tensor, JobError> {
		let port = &self.unet.inputs()[1];
		let data = Data::number(port.dtype, timestep)
			.ok_or_else(|| JobError::Runtime(format!("{port} takes no numbers")))?;
		Ok(Tensor { shape: vec![1], data })
	}

	fn decode(&self, latents: &Tensor, watch: &mut dyn Watch) -> Result<Output, JobError> {
		let scaled = floats("latents", latents, &latents.shape)?.iter().map(|x| x / self.scaling);
		let scaled = Tensor::f32(latents.shape.clone(), scaled.collect());
		let sample = self.vae_decoder.run(vec![scaled])?;
		watch.tensor("vae.sample", &sample);
		let &[1, 3, height, width] = sample.shape.as_slice() else {
			let shape = &sample.shape;
			return Err(JobError::Output(format!("vae_decoder gives {shape:?}, not [1, 3, H, W]")));
		};
		let pixels = pixels(floats("vae_decoder", &sample, &sample.shape)?);
		let image = Tensor { shape: vec![height, width, 3], data: Data::U8(pixels) };
		watch.tensor(IMAGE_TENSOR, &image);
		let blob = tensors::write([(IMAGE_TENSOR, &image)])
			.map_err(|e| JobError::Output(e.to_string()))?;
		Ok(Output { blob, values: sample.values() })
	}
}

/// The tensor's floats, if it has the shape that everything after it relies on.
fn floats<'a>(name: &str, tensor: &'a Tensor, shape: &[usize]) -> Result<&'a [f32], JobError> {
	tensor.as_f32().filter(|_| tensor.shape == shape).ok_or_else(|| {
		let found = tensor.data.dtype();
		JobError::Output(format!("{name} gives {found}{:?}, not f32{shape:?}", tensor.shape))
	})
}

/// Tensors of one shape, one behind the other.
fn joined(parts: Vec<Tensor>) -> Result<Tensor, JobError> {
	let all = Tensor::join(&parts.iter().collect::<Vec<_>>());
	all.ok_or_else(|| JobError::Output("the text encoder gives another shape each time".into()))
}

/// The latents for both prompts of each picture: its own twice, for latents of that shape.
fn twice(shape: &[usize], latents: &[f32]) -> Tensor {
	let pictures = shape[0];
	let each = latents.chunks(latents.len() / pictures);
	let both = each.flat_map(|latents| latents.repeat(2)).collect();
	let shape: Vec<usize> = [2 * pictures].iter().chain(&shape[1..]).copied().collect();
	Tensor::f32(shape, both)
}

/// Classifier-free guidance (J. Ho, T. Salimans, 2022): from the negative prompt's prediction towards, and beyond, the prompt's.
fn guide(both: &[f32], scale: f32) -> Vec<f32> {
	let (negative, prompt) = both.split_at(both.len() / 2);
	negative.iter().zip(prompt).map(|(n, p)| n + scale * (p - n)).collect()
}

/// Planes of floats from −1 to 1 to bytes of red, green and blue; halves round to even.
fn pixels(planes: &[f32]) -> Vec<u8> {
	let plane = planes.len() / 3;
	let byte = |x: f32| ((x / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8;
	(0..plane).flat_map(|at| [0, 1, 2].map(|colour| byte(planes[colour * plane + at]))).collect()
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::{
		job::compute,
		model::tests::folder,
		pipeline::{graphs::Graph, Dump, Pipeline, Unwatched},
		runtime,
		tensors::Dtype,
	};
	use cuckoo_primitives::sketch::Keys;

	#[test]
	fn guidance_goes_beyond_the_prompt() {
		assert_eq!(guide(&[1.0, 2.0, 3.0, 2.0], 4.0), [9.0, 2.0]);
		assert_eq!(guide(&[1.0, 2.0, 3.0, 0.0], 1.0), [3.0, 0.0]);
		assert_eq!(guide(&[1.0, 2.0, 3.0, 0.0], 0.0), [1.0, 2.0]);
	}

	#[test]
	fn pixels_are_clamped_rounded_and_interleaved() {
		// Two pixels; -1 and 1 are the ends, 0 is 127.5 and rounds to even.
		assert_eq!(pixels(&[-1.0, 1.0, 0.0, 7.0, -9.0, 0.5]), [0, 128, 0, 255, 255, 191]);
	}

	#[test]
	fn a_tensor_of_another_shape_is_an_error() {
		let tensor = Tensor::f32([1, 2], vec![0.0; 2]);
		assert!(floats("unet", &tensor, &[1, 2]).is_ok());
		let error = floats("unet", &tensor, &[2, 1]).unwrap_err().to_string();
		assert!(error.contains("[1, 2]") && error.contains("[2, 1]"), "{error}");
	}

	const DDIM: &str = r#"{"_class_name": "DDIMScheduler", "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
		"prediction_type": "v_prediction", "clip_sample": false, "timestep_spacing": "trailing"}"#;
	const EULER: &str = r#"{"_class_name": "EulerDiscreteScheduler", "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}"#;

	/// A tiny model, as one exporter or another might write it.
	#[derive(Clone, Copy, Debug)]
	struct Export {
		/// What networks take and give.
		floats: Dtype,
		ids: Dtype,
		timestep: Dtype,
		/// Dimensions of the time step.
		rank: usize,
		schedule: &'static str,
	}

	const PLAIN: Export = Export {
		floats: Dtype::F32,
		ids: Dtype::I64,
		timestep: Dtype::I64,
		rank: 1,
		schedule: DDIM,
	};

	impl Export {
		fn text_encoder(&self) -> Vec<u8> {
			let table = Tensor::f32([4, 3], (0..12).map(|x| x as f32 / 7.0).collect());
			Graph::default()
				.input("input_ids", self.ids, &[None, Some(4)])
				.constant("table", &table)
				.cast("input_ids", "indices", Dtype::I64)
				.node("Gather", &["table", "indices"], "found", &[])
				.cast("found", "last_hidden_state", self.floats)
				.output("last_hidden_state", self.floats, &[None, Some(4), Some(3)])
				.file()
		}

		/// Half the latents, and a thousandth of the time step.
		fn unet(&self) -> Vec<u8> {
			let latents = [None, Some(4), Some(2), Some(2)];
			let constant = |value| Tensor { shape: vec![], data: Data::F32(vec![value]) };
			Graph::default()
				.input("sample", self.floats, &latents)
				.input("timestep", self.timestep, &[Some(1); 2][..self.rank])
				.input("encoder_hidden_states", self.floats, &[None, Some(4), Some(3)])
				.constant("half", &constant(0.5))
				.constant("thousandth", &constant(0.001))
				.cast("sample", "x", Dtype::F32)
				.cast("timestep", "t", Dtype::F32)
				.node("Mul", &["x", "half"], "less", &[])
				.node("Mul", &["t", "thousandth"], "shift", &[])
				.node("Add", &["less", "shift"], "y", &[])
				.cast("y", "out_sample", self.floats)
				.output("out_sample", self.floats, &latents)
				.file()
		}

		/// The first three channels.
		fn vae_decoder(&self) -> Vec<u8> {
			let colours = Tensor { shape: vec![3], data: Data::I64(vec![0, 1, 2]) };
			Graph::default()
				.input("latent_sample", self.floats, &[None, Some(4), Some(2), Some(2)])
				.constant("colours", &colours)
				.node("Gather", &["latent_sample", "colours"], "sample", &[("axis", 1)])
				.output("sample", self.floats, &[None, Some(3), Some(2), Some(2)])
				.file()
		}

		fn open(&self, runtime: &Runtime) -> Result<Pipeline> {
			let vocabulary =
				br#"{"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2, "b</w>": 3}"#;
			let dir = folder(&[
				("tokenizer/vocab.json", vocabulary),
				("tokenizer/merges.txt", b"#version: 0.2\n"),
				("tokenizer/tokenizer_config.json", br#"{"model_max_length": 4}"#),
				("text_encoder/model.onnx", &self.text_encoder()),
				("unet/model.onnx", &self.unet()),
				("vae_decoder/model.onnx", &self.vae_decoder()),
				("scheduler/scheduler_config.json", self.schedule.as_bytes()),
			]);
			let model = Model::verify(dir.path()).unwrap();
			Pipeline::open(runtime, &model, model.kind())
		}

		/// What becomes of a job of three steps, and every tensor on the way.
		fn run(&self, runtime: &Runtime) -> (Output, Dump) {
			let pipeline = self.open(runtime).unwrap();
			let mut dump = Dump::default();
			let input = job(|job| (job.prompt, job.steps) = ("a b".into(), 3));
			(pipeline.run(&input, &mut dump).unwrap(), dump)
		}
	}

	fn dumped<'a>(dump: &'a Dump, name: &str) -> &'a Tensor {
		&dump.0.iter().find(|(known, _)| known == name).unwrap().1
	}

	#[test]
	fn networks_take_and_give_what_they_were_exported_with() {
		let Some(runtime) = runtime::for_tests() else { return };
		let (known, _) = PLAIN.run(runtime);
		let square = |values: &[f64]| values.iter().map(|x| x * x).sum::<f64>();
		for ids in [Dtype::I32, Dtype::I64] {
			for timestep in [Dtype::I32, Dtype::I64, Dtype::F16, Dtype::F32, Dtype::F64] {
				for rank in [0, 1] {
					let wide = Export { ids, timestep, rank, ..PLAIN };
					let (output, dump) = wide.run(runtime);
					assert_eq!(output, known, "{wide:?}");
					assert_eq!(dumped(&dump, "input_ids").data.dtype(), ids);
					let at = dumped(&dump, "unet.0.timestep");
					assert_eq!((at.data.dtype(), at.values()), (timestep, vec![999.0]));

					let narrow = Export { floats: Dtype::F16, ..wide };
					let (output, dump) = narrow.run(runtime);
					let apart: Vec<f64> =
						output.values.iter().zip(&known.values).map(|(a, b)| a - b).collect();
					let distance = (square(&apart) / square(&known.values)).sqrt();
					assert!((1e-6..1e-2).contains(&distance), "{narrow:?}: {distance}");
					// Between networks, everything is of 32 bits.
					for name in ["text_embeddings", "unet.0.sample", "unet.0.out", "vae.sample"] {
						assert!(dumped(&dump, name).as_f32().is_some(), "{name}");
					}
				}
			}
		}
	}

	#[test]
	fn eulers_models_see_scaled_latents_and_time_steps_between_two() {
		let Some(runtime) = runtime::for_tests() else { return };
		let sigma = 14.614_641f32;
		let start = latents::initial(1, [4, 2, 2], sigma);
		for (timestep, known) in [(Dtype::I64, 499.0), (Dtype::F32, 499.5), (Dtype::F16, 499.5)] {
			let export = Export { timestep, schedule: EULER, ..PLAIN };
			let (output, dump) = export.run(runtime);
			assert!(output.values.iter().all(|x| x.is_finite()));
			assert_eq!(dumped(&dump, "unet.1.timestep").values(), [known]);
			let first = dumped(&dump, "latents.0").values();
			let seen = dumped(&dump, "unet.0.sample").values();
			let scale = f64::from(sigma).hypot(1.0);
			for ((first, start), seen) in first.iter().zip(start.values()).zip(seen) {
				assert!((first - start).abs() < 1e-4, "{first} is not {start}");
				assert!((first - seen * scale).abs() < 1e-4, "{seen} is not {first} / {scale}");
			}
		}
	}

	#[test]
	fn exports_that_cannot_be_run_are_named() {
		let Some(runtime) = runtime::for_tests() else { return };
		let pndm = r#"{"_class_name": "PNDMScheduler"}"#;
		for (export, words) in [
			(Export { floats: Dtype::F64, ..PLAIN }, "f64[?, 4, 3] is neither f32 nor f16"),
			(Export { ids: Dtype::F32, ..PLAIN }, "`input_ids` f32[?, 4] is no list of token ids"),
			(Export { timestep: Dtype::Bool, ..PLAIN }, "`timestep` bool[1] is no time step"),
			(Export { rank: 2, ..PLAIN }, "`timestep` i64[1, 1] is no time step"),
			(Export { schedule: pndm, ..PLAIN }, "PNDMScheduler is not supported"),
		] {
			let error = format!("{:#}", export.open(runtime).err().unwrap());
			assert!(error.contains(words), "{error}");
		}
	}

	/// The demo model, where it has been made and the runtime is there.
	fn demo() -> Option<Pipeline> {
		let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/demo-model/model");
		let dir = std::path::Path::new(dir);
		let runtime = runtime::for_tests()?;
		if !dir.exists() {
			eprintln!("skipped: no demo model in {}", dir.display());
			return None;
		}
		let model = Model::verify(dir).unwrap();
		Some(Pipeline::open(runtime, &model, model.kind()).unwrap())
	}

	fn job(change: impl Fn(&mut TextToImageInput)) -> Vec<u8> {
		let mut job = TextToImageInput {
			prompt: "a red circle above a blue square".into(),
			negative_prompt: String::new(),
			seed: 1,
			steps: 2,
			guidance_scale: 4.0,
		};
		change(&mut job);
		serde_json::to_vec(&job).unwrap()
	}

	#[test]
	fn the_same_job_gives_the_same_bytes() {
		let Some(pipeline) = demo() else { return };
		let keys = Keys::default();
		let run = |input: Vec<u8>| {
			compute(&pipeline, &keys, 0, &input, &mut Unwatched).unwrap().leaves[0]
		};
		let (first, again) = (run(job(|_| ())), run(job(|_| ())));
		assert_eq!(first, again);
		assert_ne!(first.hash, run(job(|j| j.seed = 2)).hash);
		assert_ne!(first.hash, run(job(|j| j.prompt = "a blue square".into())).hash);
	}

	#[test]
	fn a_dump_holds_every_stage() {
		let Some(pipeline) = demo() else { return };
		let mut dump = Dump::default();
		pipeline.run(&job(|_| ()), &mut dump).unwrap();
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("dump.safetensors");
		dump.write(&path).unwrap();
		let found = tensors::read(&std::fs::read(path).unwrap()).unwrap();
		let stages = ["input_ids", "text_embeddings", "latents.0", "vae.sample", "image"];
		let per_step = ["unet.0.timestep", "unet.0.sample", "unet.0.out", "latents.1"];
		let last = ["unet.1.timestep", "unet.1.sample", "unet.1.out", "latents.2"];
		let expected = stages.into_iter().chain(per_step).chain(last);
		assert!(expected.clone().all(|name| found.contains_key(name)));
		assert_eq!(found.len(), expected.count());
	}

	#[test]
	fn bad_jobs_are_refused() {
		let Some(pipeline) = demo() else { return };
		let refused = |input: &[u8]| match pipeline.run(input, &mut Unwatched).unwrap_err() {
			JobError::Input(reason) => reason,
			other => panic!("{other}"),
		};
		assert!(refused(b"{}").contains("prompt"));
		assert!(refused(&job(|j| j.prompt = " ".into())).contains("empty"));
		assert!(refused(&job(|j| j.prompt = "x".repeat(2001))).contains("longer"));
		assert!(refused(&job(|j| j.steps = 0)).contains("steps"));
	}
}
