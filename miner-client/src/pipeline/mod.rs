//! From an input's bytes to an output's bytes: what a model's kind means.

#[cfg(test)]
pub(crate) mod graphs;
pub mod latents;
mod network;
pub mod scheduler;
pub mod tensor;
pub mod text_embedding;
pub mod text_to_image;
pub mod tokenizer;

use std::path::Path;

use anyhow::{Context, Result};
use cuckoo_primitives::ModelKind;
use serde::de::DeserializeOwned;

use crate::{
	job::JobError,
	model::Model,
	runtime::Runtime,
	session::Running,
	tensors::{self, Tensor},
};

/// What a run gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
	/// The output's bytes, a safetensors file.
	pub blob: Vec<u8>,
	/// The values that the sketch is made of, before any quantising.
	pub values: Vec<f64>,
}

/// Follows a run, and may end it.
pub trait Watch {
	/// Whether the run should stop at the next occasion.
	fn cancelled(&self) -> bool {
		false
	}

	/// A tensor on the way, under the name it has in a dump.
	fn tensor(&mut self, _name: &str, _tensor: &Tensor) {}
}

/// Watches nothing.
pub struct Unwatched;

impl Watch for Unwatched {}

/// Keeps every tensor of a run, to be compared with another implementation.
#[derive(Default)]
pub struct Dump(Vec<(String, Tensor)>);

impl Watch for Dump {
	fn tensor(&mut self, name: &str, tensor: &Tensor) {
		self.0.push((name.to_string(), tensor.clone()));
	}
}

impl Dump {
	/// Writes the tensors as a safetensors file.
	pub fn write(&self, path: &Path) -> Result<()> {
		let bytes = tensors::write(self.0.iter().map(|(name, tensor)| (name.as_str(), tensor)))?;
		std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
	}
}

/// An opened model of any kind.
pub enum Pipeline {
	/// Prompt to picture.
	TextToImage(Box<text_to_image::TextToImage>),
	/// Named tensors to named tensors.
	Tensor(tensor::TensorModel),
	/// Text to embedding.
	TextEmbedding(Box<text_embedding::TextEmbedding>),
}

impl Pipeline {
	/// Opens a verified model as one of the given kind.
	pub fn open(runtime: &Runtime, model: &Model, kind: ModelKind) -> Result<Self> {
		model.complete(kind)?;
		let opened = match kind {
			ModelKind::TextToImage => text_to_image::TextToImage::open(runtime, model)
				.map(|pipeline| Self::TextToImage(Box::new(pipeline))),
			ModelKind::Tensor => tensor::TensorModel::open(runtime, model).map(Self::Tensor),
			ModelKind::TextEmbedding => text_embedding::TextEmbedding::open(runtime, model)
				.map(|pipeline| Self::TextEmbedding(Box::new(pipeline))),
		};
		opened.with_context(|| format!("model in {}", model.dir().display()))
	}

	/// Runs one input.
	pub fn run(&self, input: &[u8], watch: &mut dyn Watch) -> Result<Output, JobError> {
		match self {
			Self::TextToImage(pipeline) => pipeline.run(&job(input, "text-to-image")?, watch),
			Self::Tensor(model) => model.run(input, watch),
			Self::TextEmbedding(pipeline) => pipeline.run(&job(input, "text-embedding")?, watch),
		}
	}

	/// Reads an input and begins its run, so that the next one can be read meanwhile; `None` where a run is more than one pass through a network.
	pub fn begin(&self, input: &[u8]) -> Option<Result<Running, JobError>> {
		match self {
			Self::Tensor(model) => Some(model.begin(input)),
			Self::TextToImage(_) | Self::TextEmbedding(_) => None,
		}
	}

	/// Waits for a run that [`Self::begin`] began, and makes its result.
	pub fn finish(&self, running: Running) -> Result<Output, JobError> {
		match self {
			Self::Tensor(model) => model.finish(running, &mut Unwatched),
			Self::TextToImage(_) | Self::TextEmbedding(_) => {
				Err(JobError::Machine("the run is of another model".into()))
			},
		}
	}

	/// Runs several inputs at once; `None` if they cannot be: the model takes one at a time, or they differ in shape, steps or number of tokens. A result differs from that
	/// of the input by itself in the last bits, as it does between machines.
	pub fn run_together(&self, inputs: &[&[u8]], watch: &mut dyn Watch) -> Option<Together> {
		match self {
			Self::TextToImage(pipeline) => pipeline.run_together(&jobs(inputs)?, watch),
			Self::Tensor(model) => model.run_together(inputs),
			Self::TextEmbedding(pipeline) => pipeline.run_together(&jobs(inputs)?),
		}
	}
}

/// What comes of several inputs that were run together.
pub type Together = Result<Vec<Output>, JobError>;

/// An input that is JSON.
fn job<T: DeserializeOwned>(input: &[u8], kind: &str) -> Result<T, JobError> {
	serde_json::from_slice(input).map_err(|e| JobError::Input(format!("not a {kind} job: {e}")))
}

/// Inputs that are all JSON.
fn jobs<T: DeserializeOwned>(inputs: &[&[u8]]) -> Option<Vec<T>> {
	inputs.iter().map(|input| serde_json::from_slice(input).ok()).collect()
}

/// A config file that may be missing, as fields of it may.
fn config<T: Default + DeserializeOwned>(model: &Model, name: &str) -> Result<T> {
	match model.text(name) {
		None => Ok(T::default()),
		Some(text) => {
			serde_json::from_str(&text.context(name.to_owned())?).context(name.to_owned())
		},
	}
}
