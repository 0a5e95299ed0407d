//! `miner-client infer`: a model run here, without any chain. The very code that a task goes through.

use std::{
	borrow::Cow,
	fs,
	path::{Path, PathBuf},
	time::Instant,
};

use anyhow::{bail, ensure, Context, Result};
use clap::Args;
use cuckoo_primitives::{
	sketch::Keys,
	work::{TextToImageInput, IMAGE_TENSOR},
	ModelKind,
};
use indicatif::{ProgressBar, ProgressStyle};
use sp_core::H256;
use sp_crypto_hashing::blake2_256;

use crate::{
	cli::{parse_kind, RuntimeFlags},
	config::Config,
	job::{compute, Computed},
	model::Model,
	pipeline::{Dump, Pipeline, Unwatched, Watch},
	runtime::Runtime,
	tensors::{self, Data},
};

/// What to run, and where the results go.
#[derive(Args, Debug)]
pub(crate) struct InferArgs {
	/// The model's folder.
	#[arg(long, value_name = "DIR")]
	model: PathBuf,
	/// text-to-image, tensor or text-embedding. [default: what the folder holds]
	#[arg(long, value_parser = parse_kind)]
	kind: Option<ModelKind>,
	/// The input: a job as JSON ({"prompt": …, "seed": 1, "steps": 20, "guidance_scale": 4}, or {"text": …}), or a safetensors file of the model's named
	/// inputs.
	#[arg(long, value_name = "FILE", required_unless_present = "list", conflicts_with = "list")]
	input: Option<PathBuf>,
	/// Where to write the output, the safetensors file that a coordinator would get.
	#[arg(long, value_name = "FILE", requires = "input")]
	output: Option<PathBuf>,
	/// Where to write the picture.
	#[arg(long, value_name = "FILE", requires = "input")]
	png: Option<PathBuf>,
	/// Where to write every tensor on the way as a safetensors file, to be compared with another implementation.
	#[arg(long, value_name = "FILE", requires = "input")]
	dump: Option<PathBuf>,
	/// A file of prompts, one a line: seed, tab, prompt. Pictures go to --png-dir as 00.png, 01.png, …
	#[arg(long, value_name = "FILE", requires = "png_dir")]
	list: Option<PathBuf>,
	/// Where to write the pictures of --list.
	#[arg(long, value_name = "DIR", requires = "list")]
	png_dir: Option<PathBuf>,
	/// Denoising steps of the pictures of --list.
	#[arg(long, default_value_t = 20)]
	steps: u32,
	/// How strongly the prompts of --list are followed.
	#[arg(long, default_value_t = 4.0)]
	guidance: f32,
	/// A TOML file with settings.
	#[arg(long, value_name = "FILE", env = "MINER_CONFIG")]
	config: Option<PathBuf>,
	#[command(flatten)]
	runtime: RuntimeFlags,
}

/// Runs one input or a list of prompts.
pub(crate) fn infer(args: InferArgs) -> Result<()> {
	let config = Config::read(args.config.as_deref(), &args.runtime)?;
	let model = Model::verify(&args.model)?;
	let kind = args.kind.unwrap_or_else(|| model.kind());
	let runtime = Runtime::load(&config.runtime())?;
	let pipeline = Pipeline::open(&runtime, &model, kind)?;
	match (&args.input, &args.list, &args.png_dir) {
		(Some(input), ..) => one(&args, &pipeline, input),
		(None, Some(list), Some(dir)) => {
			ensure!(kind == ModelKind::TextToImage, "--list needs a text-to-image model");
			many(&args, &pipeline, list, dir)
		},
		_ => bail!("give --input, or --list and --png-dir"),
	}
}

fn one(args: &InferArgs, pipeline: &Pipeline, input: &Path) -> Result<()> {
	let bytes = fs::read(input).with_context(|| format!("cannot read {}", input.display()))?;
	let mut dump = args.dump.as_ref().map(|_| Dump::default());
	let mut unwatched = Unwatched;
	let watch: &mut dyn Watch = match &mut dump {
		Some(dump) => dump,
		None => &mut unwatched,
	};
	let computed = compute(pipeline, &Keys::default(), 0, &bytes, watch)?;
	if let Some(path) = &args.output {
		fs::write(path, &computed.output)
			.with_context(|| format!("cannot write {}", path.display()))?;
	}
	if let Some(path) = &args.png {
		write_png(&computed, path)?;
	}
	if let (Some(path), Some(dump)) = (&args.dump, &dump) {
		dump.write(path)?;
	}
	let hash = H256::from(blake2_256(&computed.output));
	println!("{hash:?} {:.3} s", computed.seconds);
	Ok(())
}

fn many(args: &InferArgs, pipeline: &Pipeline, list: &Path, dir: &Path) -> Result<()> {
	let text =
		fs::read_to_string(list).with_context(|| format!("cannot read {}", list.display()))?;
	let jobs = jobs(&text, args.steps, args.guidance)?;
	fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
	let bar = progress(jobs.len() as u64, "pictures");
	let start = Instant::now();
	for (n, job) in jobs.iter().enumerate() {
		let input = serde_json::to_vec(job)?;
		let computed = compute(pipeline, &Keys::default(), 0, &input, &mut Unwatched)
			.with_context(|| format!("line {}", n + 1))?;
		write_png(&computed, &dir.join(format!("{n:02}.png")))?;
		bar.inc(1);
	}
	bar.finish_and_clear();
	let seconds = start.elapsed().as_secs_f64();
	println!("{} pictures in {}, {seconds:.1} s", jobs.len(), dir.display());
	Ok(())
}

/// A bar that tells how many of what are done. Draws nothing where standard error is no terminal.
pub(crate) fn progress(count: u64, what: impl Into<Cow<'static, str>>) -> ProgressBar {
	let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}, {eta} left")
		.unwrap_or_else(|_| ProgressStyle::default_bar());
	ProgressBar::new(count).with_style(style).with_message(what)
}

/// The jobs of a list, empty lines apart.
fn jobs(list: &str, steps: u32, guidance_scale: f32) -> Result<Vec<TextToImageInput>> {
	let read = |(at, line): (usize, &str)| -> Result<TextToImageInput> {
		let wrong = || format!("line {}: expected a seed, a tab and a prompt", at + 1);
		let (seed, prompt) = line.split_once('\t').with_context(wrong)?;
		let job = TextToImageInput {
			prompt: prompt.to_owned(),
			negative_prompt: String::new(),
			seed: seed.trim().parse().with_context(wrong)?,
			steps,
			guidance_scale,
		};
		job.validate().with_context(|| format!("line {}", at + 1))?;
		Ok(job)
	};
	let lines = list.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
	let jobs = lines.map(read).collect::<Result<Vec<_>>>()?;
	ensure!(!jobs.is_empty(), "the list is empty");
	Ok(jobs)
}

fn write_png(computed: &Computed, path: &Path) -> Result<()> {
	let found = tensors::read(&computed.output)?;
	let image = found.get(IMAGE_TENSOR).context("the model's output is no picture")?;
	let (Data::U8(pixels), &[height, width, 3]) = (&image.data, image.shape.as_slice()) else {
		bail!("the model's output is no picture");
	};
	let (width, height) = (u32::try_from(width)?, u32::try_from(height)?);
	let (colours, format) = (image::ColorType::Rgb8, image::ImageFormat::Png);
	image::save_buffer_with_format(path, pixels, width, height, colours, format)
		.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::tensors::Tensor;

	#[test]
	fn a_list_is_seeds_and_prompts() {
		let found = jobs("7\ta red circle\n\n18446744073709551615\tb\tc\n", 5, 2.0).unwrap();
		assert_eq!(found.len(), 2);
		assert_eq!((found[0].seed, found[0].prompt.as_str()), (7, "a red circle"));
		assert_eq!((found[1].seed, found[1].prompt.as_str()), (u64::MAX, "b\tc"));
		assert_eq!((found[1].steps, found[1].guidance_scale), (5, 2.0));
		for bad in ["", "no tab", "x\tprompt", "1\t ", "-1\tprompt"] {
			assert!(jobs(bad, 5, 2.0).is_err(), "{bad:?}");
		}
		assert!(jobs("1\tprompt", 0, 2.0).is_err(), "steps are checked before the work begins");
	}

	#[test]
	fn a_png_has_the_outputs_pixels() {
		let pixels: Vec<u8> = (0..2 * 3 * 3).collect();
		let tensor = Tensor { shape: vec![2, 3, 3], data: Data::U8(pixels.clone()) };
		let output = tensors::write([(IMAGE_TENSOR, &tensor)]).unwrap();
		let computed = Computed { output, ..Computed::nothing(&Keys::default()) };
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("x.png");
		write_png(&computed, &path).unwrap();
		let read = image::open(&path).unwrap().into_rgb8();
		assert_eq!(read.dimensions(), (3, 2));
		assert_eq!(read.into_raw(), pixels);
	}
}
