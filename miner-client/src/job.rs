//! One inference as a job: input bytes in, output bytes, their hash and their sketch out.

use std::time::Instant;

use codec::{Decode, Encode};
use cuckoo_primitives::{
	sketch::Keys,
	tolerance::Leaf,
	work::{MAX_BLOB_BYTES, NO_OUTPUT},
};

use crate::{
	pipeline::{Output, Pipeline, Watch},
	session::Running,
};

/// Why a job has no result.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, thiserror::Error)]
pub enum JobError {
	/// The input is at fault: no machine could run it.
	#[error("the input cannot be run: {0}")]
	Input(String),
	/// The model is at fault: what it gives is no result.
	#[error("the model gave no usable output: {0}")]
	Output(String),
	/// ONNX Runtime failed; another attempt may go through, or the input is at fault.
	#[error("ONNX Runtime failed: {0}")]
	Runtime(String),
	/// This machine is at fault, whatever the input is: its memory is full, or the process that ran it has ended.
	#[error("this machine failed: {0}")]
	Machine(String),
	/// Nobody waits for the result any more.
	#[error("given up: nobody waits for the result")]
	Cancelled,
}

/// What the chain and the coordinator get of one inference.
#[derive(Clone, Debug, PartialEq)]
pub struct Computed {
	/// The output's bytes.
	pub output: Vec<u8>,
	/// Their BLAKE2b-256 hash and the sketch of the output's values; for a juror both again, made with the key of its court.
	pub leaves: Vec<Leaf>,
	/// How long it took on the model's thread.
	pub seconds: f64,
}

/// Runs one item of a task: the whole of what a miner promises about it, and the same bytes each time on one machine.
pub fn compute(
	pipeline: &Pipeline,
	keys: &Keys,
	item: u32,
	input: &[u8],
	watch: &mut dyn Watch,
) -> Result<Computed, JobError> {
	let start = Instant::now();
	let output = pipeline.run(input, watch)?;
	Computed::of(output, keys, item, start.elapsed().as_secs_f64())
}

/// One item of several that are run together.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
	/// What its sketch is made with.
	pub keys: &'a Keys,
	/// Its number in its task.
	pub item: u32,
	/// Its input's bytes.
	pub input: &'a [u8],
}

/// An item whose run was begun before it is waited for.
pub struct Begun {
	running: Running,
	since: Instant,
	keys: Keys,
	item: u32,
}

/// Reads an item's input and begins its run; `None` where that brings nothing, see [`Pipeline::begin`].
pub fn begin(pipeline: &Pipeline, of: Item<'_>) -> Option<Result<Begun, JobError>> {
	let (since, keys, item) = (Instant::now(), *of.keys, of.item);
	let begun = |running| Begun { running, since, keys, item };
	Some(pipeline.begin(of.input)?.map(begun))
}

impl Begun {
	/// Waits for its end. Until `free` the device was at another one, and that time does not count.
	pub fn finish(self, pipeline: &Pipeline, free: Instant) -> Result<Computed, JobError> {
		let output = pipeline.finish(self.running)?;
		let seconds = self.since.max(free).elapsed().as_secs_f64();
		Computed::of(output, &self.keys, self.item, seconds)
	}
}

/// Runs several items of one model at once, each of which took its part of the time; `None` if they cannot be, see [`Pipeline::run_together`].
pub fn compute_together(
	pipeline: &Pipeline,
	items: &[Item<'_>],
	watch: &mut dyn Watch,
) -> Option<Result<Vec<Result<Computed, JobError>>, JobError>> {
	let start = Instant::now();
	let inputs: Vec<&[u8]> = items.iter().map(|item| item.input).collect();
	let outputs = match pipeline.run_together(&inputs, watch)? {
		Ok(outputs) => outputs,
		Err(error) => return Some(Err(error)),
	};
	let seconds = start.elapsed().as_secs_f64() / items.len() as f64;
	let each = items.iter().zip(outputs);
	Some(Ok(each.map(|(of, output)| Computed::of(output, of.keys, of.item, seconds)).collect()))
}

impl Computed {
	fn of(output: Output, keys: &Keys, item: u32, seconds: f64) -> Result<Self, JobError> {
		if output.blob.len() > MAX_BLOB_BYTES {
			let size = output.blob.len();
			return Err(JobError::Output(format!(
				"{size} bytes, at most {MAX_BLOB_BYTES} can be sent"
			)));
		}
		let leaves = keys.leaves(item, &output.blob, &output.values).ok_or_else(|| {
			JobError::Output("it holds values that are not finite numbers".into())
		})?;
		Ok(Self { output: output.blob, leaves, seconds })
	}

	/// The result of an input that no machine could run.
	pub fn nothing(keys: &Keys) -> Self {
		Self { output: NO_OUTPUT.to_vec(), leaves: keys.no_leaves(), seconds: 0.0 }
	}
}
