//! The inputs that a model is measured over: a folder's files, or made by rule from their number, the same bytes on every machine.

use std::{
	fs,
	path::{Path, PathBuf},
};

use anyhow::{bail, ensure, Context, Result};
use clap::Args;
use cuckoo_primitives::{
	work::{TextEmbeddingInput, TextToImageInput, MAX_BLOB_BYTES, MAX_STEPS},
	ModelKind,
};
use half::f16;
use rand_chacha::{
	rand_core::{RngCore, SeedableRng},
	ChaCha20Rng,
};
use sp_crypto_hashing::blake2_256;

use crate::{
	model::Model,
	pipeline::{latents::normal, tensor::TensorModel, Pipeline},
	runtime::Runtime,
	session::Port,
	tensors::{self, Data, Dtype, Tensor},
};

const TAG: &[u8] = b"cuckoo/calibrate";
/// The most inputs: as many as a task has items at most.
const MAX_INPUTS: u32 = 65_536;
/// Made integers are below this, so that they are in every vocabulary.
const SMALL: u32 = 16;
/// How strongly made prompts are followed.
const GUIDANCE: f32 = 4.0;
/// Numbers so many times as large as made ones are huge; of half precision the largest is 65,504.
const HUGE: f64 = 1e6;
const HUGE_HALF: f32 = 1e3;
/// The most scenes of a made text.
const MOST_SCENES: u32 = 8;
/// What the demo model has learned. Another model makes pictures of it as well.
const COLOURS: [&str; 7] = ["red", "green", "blue", "yellow", "purple", "cyan", "black"];
const SHAPES: [&str; 3] = ["circle", "square", "triangle"];
const RELATIONS: [&str; 4] = ["above", "below", "left of", "right of"];

/// Which inputs to run.
#[derive(Args, Debug)]
pub(super) struct InputArgs {
	/// How many inputs to make: prompts, texts, or normal numbers (integers from 0 to 15, any byte, any truth value) in the shape of the model's inputs, with 1
	/// for a dimension that is free.
	#[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_INPUTS)))]
	inputs: u32,
	/// Take the files of this folder instead, in the order of their names: jobs as JSON or safetensors files, as for `infer`.
	#[arg(long, value_name = "DIR", conflicts_with = "inputs")]
	inputs_dir: Option<PathBuf>,
	/// Denoising steps of a made prompt's picture. A few are enough, as every step does the same arithmetic: the demo model's
	/// results lie no farther apart after 20 than after 4. The reference time is measured with 20.
	#[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_STEPS)))]
	steps: u32,
}

enum Source {
	Prompts { steps: u32 },
	Texts,
	Tensors(Vec<Port>),
	Files(Vec<PathBuf>),
}

/// The inputs of a run, made or read when their turn comes.
pub(super) struct Inputs {
	source: Source,
	first: u32,
	count: u32,
}

impl Inputs {
	/// The inputs that the arguments name, for this model. Made ones begin with the number `first`.
	pub(super) fn choose(
		args: &InputArgs,
		first: u32,
		runtime: &Runtime,
		model: &Model,
	) -> Result<Self> {
		if let Some(dir) = &args.inputs_dir {
			let files = files(dir)?;
			let count = files.len() as u32; // at most MAX_INPUTS
			return Ok(Self { source: Source::Files(files), first: 0, count });
		}
		let source = match model.kind() {
			ModelKind::TextToImage => Source::Prompts { steps: args.steps },
			ModelKind::Tensor => {
				let ports = TensorModel::open(runtime, model)?.inputs().to_vec();
				ensure!(
					small_enough(&ports),
					"the model's inputs are larger than the {MAX_BLOB_BYTES} bytes that an item may have"
				);
				Source::Tensors(ports)
			},
			ModelKind::TextEmbedding => Source::Texts,
		};
		Ok(Self { source, first, count: args.inputs })
	}

	/// How many there are.
	pub(super) fn count(&self) -> u32 {
		self.count
	}

	/// The bytes of one of them, counted from 0.
	pub(super) fn bytes(&self, index: u32) -> Result<Vec<u8>> {
		let number = self.first.saturating_add(index);
		match &self.source {
			Source::Prompts { steps } => Ok(serde_json::to_vec(&prompt(number, *steps))?),
			Source::Texts => Ok(serde_json::to_vec(&text(number))?),
			Source::Tensors(ports) => named_tensors(number, ports),
			Source::Files(files) => {
				let path = files.get(index as usize).context("there are not so many inputs")?;
				read(path)
			},
		}
	}
}

/// An input for an opened model, made by rule: what it takes as little time for as for any.
pub(crate) fn made_input(pipeline: &Pipeline) -> Result<Vec<u8>> {
	made(pipeline, 0, 1)
}

/// An input that can be run together with others of its sort: a picture of one step, a text of as many words.
pub(crate) fn made_alike(pipeline: &Pipeline, number: u32) -> Result<Vec<u8>> {
	let Pipeline::TextEmbedding(_) = pipeline else { return made(pipeline, number, 1) };
	let mut text = text(0);
	let words: Vec<&str> = text.text.split(' ').collect();
	let first = number as usize % words.len();
	text.text = [&words[first..], &words[..first]].concat().join(" ");
	Ok(serde_json::to_vec(&text)?)
}

/// The same input of huge numbers, if it consists of numbers.
pub(crate) fn huge(pipeline: &Pipeline, input: &[u8]) -> Result<Option<Vec<u8>>> {
	let Pipeline::Tensor(_) = pipeline else { return Ok(None) };
	let mut tensors = tensors::read(input)?;
	for tensor in tensors.values_mut() {
		match &mut tensor.data {
			Data::F32(values) => values.iter_mut().for_each(|value| *value *= HUGE as f32),
			Data::F64(values) => values.iter_mut().for_each(|value| *value *= HUGE),
			Data::F16(values) => {
				values
					.iter_mut()
					.for_each(|value| *value = f16::from_f32(value.to_f32() * HUGE_HALF));
			},
			// Those are indices, mostly.
			Data::I32(_) | Data::I64(_) | Data::U8(_) | Data::Bool(_) => {},
		}
	}
	Ok(Some(tensors::write(tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)))?))
}

/// An input for an opened model, made by rule from its number; a picture is made in so many steps.
pub(crate) fn made(pipeline: &Pipeline, number: u32, steps: u32) -> Result<Vec<u8>> {
	match pipeline {
		Pipeline::TextToImage(_) => Ok(serde_json::to_vec(&prompt(number, steps))?),
		Pipeline::TextEmbedding(_) => Ok(serde_json::to_vec(&text(number))?),
		Pipeline::Tensor(model) => {
			ensure!(small_enough(model.inputs()), "its inputs are too large");
			named_tensors(number, model.inputs())
		},
	}
}

/// The folder's files in the order of their names.
fn files(dir: &Path) -> Result<Vec<PathBuf>> {
	let unreadable = || format!("cannot read {}", dir.display());
	let mut files = Vec::new();
	for entry in fs::read_dir(dir).with_context(unreadable)? {
		let path = entry.with_context(unreadable)?.path();
		if path.is_file() {
			files.push(path);
		}
		ensure!(
			files.len() <= MAX_INPUTS as usize,
			"more than {MAX_INPUTS} files in {}",
			dir.display()
		);
	}
	ensure!(!files.is_empty(), "no file in {}", dir.display());
	files.sort();
	Ok(files)
}

fn read(path: &Path) -> Result<Vec<u8>> {
	let unreadable = || format!("cannot read {}", path.display());
	let size = fs::metadata(path).with_context(unreadable)?.len();
	if size > MAX_BLOB_BYTES as u64 {
		bail!("{} has {size} bytes, an item has {MAX_BLOB_BYTES} at most", path.display());
	}
	fs::read(path).with_context(unreadable)
}

/// Chance for one input: its number is all that goes in.
fn chance(number: u32) -> ChaCha20Rng {
	ChaCha20Rng::from_seed(blake2_256(&[TAG, &number.to_le_bytes()].concat()))
}

fn pick<'a>(chance: &mut ChaCha20Rng, words: &[&'a str]) -> &'a str {
	words[chance.next_u32() as usize % words.len()]
}

/// Two things, as in the demo model's grammar.
fn scene(chance: &mut ChaCha20Rng) -> String {
	let (colour, shape) = (pick(chance, &COLOURS), pick(chance, &SHAPES));
	let relation = pick(chance, &RELATIONS);
	// Two things of one colour were never shown to it.
	let others: Vec<&str> = COLOURS.into_iter().filter(|other| *other != colour).collect();
	let (other, beside) = (pick(chance, &others), pick(chance, &SHAPES));
	format!("a {colour} {shape} {relation} a {other} {beside}")
}

/// A prompt of the demo model's grammar.
fn prompt(number: u32, steps: u32) -> TextToImageInput {
	TextToImageInput {
		prompt: scene(&mut chance(number)),
		negative_prompt: String::new(),
		seed: number.into(),
		steps,
		guidance_scale: GUIDANCE,
	}
}

/// A text of one to eight scenes, so that texts differ in their length.
fn text(number: u32) -> TextEmbeddingInput {
	let chance = &mut chance(number);
	let count = 1 + chance.next_u32() % MOST_SCENES;
	let scenes: Vec<String> = (0..count).map(|_| scene(chance)).collect();
	TextEmbeddingInput { text: format!("There is {}.", scenes.join(", and ")) }
}

fn dimensions(port: &Port) -> impl Iterator<Item = usize> + '_ {
	port.shape.iter().map(|dimension| dimension.unwrap_or(1))
}

fn small_enough(ports: &[Port]) -> bool {
	let bytes = |port: &Port| dimensions(port).try_fold(port.dtype.size(), usize::checked_mul);
	let total = ports.iter().try_fold(0usize, |sum, port| sum.checked_add(bytes(port)?));
	total.is_some_and(|total| total <= MAX_BLOB_BYTES)
}

/// A safetensors file of all that a model takes.
fn named_tensors(number: u32, ports: &[Port]) -> Result<Vec<u8>> {
	let chance = &mut chance(number);
	let made: Vec<(&str, Tensor)> =
		ports.iter().map(|port| (port.name.as_str(), tensor(chance, port))).collect();
	Ok(tensors::write(made.iter().map(|(name, tensor)| (*name, tensor)))?)
}

fn tensor(chance: &mut ChaCha20Rng, port: &Port) -> Tensor {
	let shape: Vec<usize> = dimensions(port).collect();
	let count: usize = shape.iter().product();
	let data = match port.dtype {
		Dtype::F16 => Data::F16(normal(chance, count).into_iter().map(f16::from_f64).collect()),
		Dtype::F32 => Data::F32(normal(chance, count).into_iter().map(|x| x as f32).collect()),
		Dtype::F64 => Data::F64(normal(chance, count)),
		Dtype::I32 => Data::I32((0..count).map(|_| (chance.next_u32() % SMALL) as i32).collect()),
		Dtype::I64 => Data::I64((0..count).map(|_| i64::from(chance.next_u32() % SMALL)).collect()),
		Dtype::U8 => Data::U8((0..count).map(|_| chance.next_u32() as u8).collect()),
		Dtype::Bool => Data::Bool((0..count).map(|_| chance.next_u32() & 1 == 1).collect()),
	};
	Tensor { shape, data }
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn prompts_are_in_the_grammar_and_not_all_the_same() {
		let prompts: Vec<TextToImageInput> = (0..256).map(|number| prompt(number, 4)).collect();
		let mut different: Vec<&str> = prompts.iter().map(|job| job.prompt.as_str()).collect();
		different.sort_unstable();
		different.dedup();
		assert!(different.len() > 200, "{}", different.len());
		for (number, job) in prompts.iter().enumerate() {
			job.validate().unwrap();
			assert_eq!((job.seed, job.steps), (number as u64, 4));
			let words: Vec<&str> = job.prompt.split(' ').collect();
			let (first, last) = (words[1], words[words.len() - 2]);
			assert!(COLOURS.contains(&first) && first != last, "{}", job.prompt);
		}
		assert_eq!(prompt(7, 4), prompt(7, 4));
	}

	#[test]
	fn texts_are_of_many_lengths() {
		let texts: Vec<String> = (0..256).map(|number| text(number).text).collect();
		let mut lengths: Vec<usize> = texts.iter().map(|text| text.split(' ').count()).collect();
		lengths.sort_unstable();
		lengths.dedup();
		assert!(lengths.len() >= 8, "{lengths:?}");
		for (number, made) in (0..).zip(&texts) {
			text(number).validate().unwrap();
			assert!(made.starts_with("There is a ") && made.ends_with('.'), "{made}");
		}
		assert_eq!(texts[7], text(7).text);
		let mut different = texts;
		different.sort_unstable();
		different.dedup();
		assert!(different.len() > 200, "{}", different.len());
	}

	fn ports() -> Vec<Port> {
		let port = |name: &str, dtype, shape: &[Option<usize>]| Port {
			name: name.into(),
			dtype,
			shape: shape.to_vec(),
		};
		vec![
			port("x", Dtype::F32, &[None, Some(3), Some(100)]),
			port("d", Dtype::F64, &[]),
			port("ids", Dtype::I64, &[None, Some(77)]),
			port("words", Dtype::I32, &[Some(50)]),
			port("pixels", Dtype::U8, &[Some(64)]),
			port("mask", Dtype::Bool, &[Some(64)]),
			port("half", Dtype::F16, &[Some(100), None]),
		]
	}

	#[test]
	fn tensors_fit_the_model_and_depend_on_their_number_alone() {
		let ports = ports();
		let bytes = named_tensors(5, &ports).unwrap();
		assert_eq!(bytes, named_tensors(5, &ports).unwrap());
		assert_ne!(bytes, named_tensors(6, &ports).unwrap());
		let found = tensors::read(&bytes).unwrap();
		for port in &ports {
			port.check(&found[&port.name]).unwrap();
		}
		assert_eq!(found["x"].shape, [1, 3, 100]);
		for name in ["x", "half"] {
			let values = found[name].values();
			let square = values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64;
			assert!((0.5..1.5).contains(&square), "{name}: {square}");
		}
		for name in ["ids", "words"] {
			assert!(found[name].values().iter().all(|x| (0.0..16.0).contains(x)), "{name}");
		}
		assert!(found["pixels"].values().iter().any(|x| *x > 127.0));
	}

	#[test]
	fn inputs_that_no_item_can_have_are_refused() {
		let mut ports = ports();
		assert!(small_enough(&ports));
		ports[0].shape[1] = Some(MAX_BLOB_BYTES);
		assert!(!small_enough(&ports));
		ports[0].shape[1] = Some(usize::MAX);
		assert!(!small_enough(&ports));
	}

	#[test]
	fn a_folders_files_come_in_the_order_of_their_names() {
		let dir = tempfile::tempdir().unwrap();
		assert!(files(dir.path()).unwrap_err().to_string().contains("no file"));
		fs::create_dir(dir.path().join("1")).unwrap();
		for name in ["b", "a", "c"] {
			fs::write(dir.path().join(name), name).unwrap();
		}
		let source = Source::Files(files(dir.path()).unwrap());
		let inputs = Inputs { source, first: 0, count: 3 };
		let all: Vec<Vec<u8>> = (0..3).map(|index| inputs.bytes(index).unwrap()).collect();
		assert_eq!(all, [b"a", b"b", b"c"]);
		assert!(inputs.bytes(3).is_err());
	}
}
