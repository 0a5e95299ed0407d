//! From an input's bytes to an output's bytes: what a model's kind means.

pub mod latents;
pub mod scheduler;
pub mod tensor;
pub mod text_to_image;
pub mod tokenizer;

use std::path::Path;

use anyhow::{Context, Result};
use cuckoo_primitives::ModelKind;

use crate::{
	job::JobError,
	model::Model,
	runtime::Runtime,
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

/// An opened model of either kind.
pub enum Pipeline {
	/// Prompt to picture.
	TextToImage(Box<text_to_image::TextToImage>),
	/// Named tensors to named tensors.
	Tensor(tensor::TensorModel),
}

impl Pipeline {
	/// Opens a verified model as one of the given kind.
	pub fn open(runtime: &Runtime, model: &Model, kind: ModelKind) -> Result<Self> {
		model.complete(kind)?;
		let opened = match kind {
			ModelKind::TextToImage => text_to_image::TextToImage::open(runtime, model)
				.map(|pipeline| Self::TextToImage(Box::new(pipeline))),
			ModelKind::Tensor => tensor::TensorModel::open(runtime, model).map(Self::Tensor),
		};
		opened.with_context(|| format!("model in {}", model.dir().display()))
	}

	/// Runs one input.
	pub fn run(&self, input: &[u8], watch: &mut dyn Watch) -> Result<Output, JobError> {
		match self {
			Self::TextToImage(pipeline) => {
				let input = serde_json::from_slice(input)
					.map_err(|e| JobError::Input(format!("not a text-to-image job: {e}")))?;
				pipeline.run(&input, watch)
			},
			Self::Tensor(model) => model.run(input, watch),
		}
	}
}
