//! What a worker is told and what it answers, as frames: a length (`u32`, little-endian), then SCALE.

use std::io::{self, Read, Write};

use codec::{Decode, DecodeAll, Encode};
use cuckoo_primitives::{sketch::Keys, tolerance::Leaf, work::MAX_BLOB_BYTES, ModelKind, TaskId};
use sp_core::H256;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::job::{Computed, JobError};

/// The largest frame: an input or an output, and what goes with it.
const MAX_FRAME_BYTES: usize = MAX_BLOB_BYTES + (1 << 20);

/// A job's number, given by the parent.
pub type JobId = u64;

/// A model as a worker opens it. The parent has verified its files.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ModelFiles {
	/// Its folder.
	pub dir: String,
	/// How it is run.
	pub kind: ModelKind,
	/// Its manifest: the folder is verified again when it is opened.
	pub manifest: H256,
	/// Whether its inputs may be run together.
	pub batch: Option<Batch>,
}

/// How inputs may be run together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Batch {
	/// At most so many.
	pub most: u32,
	/// If results differ from those of each input by itself by no more than this, in millionths.
	pub agree: u32,
}

/// One item to run.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Run {
	/// The task that it is of: only items of one task are run together.
	pub task: TaskId,
	/// Its number in the task.
	pub item: u32,
	/// What its sketch is made with.
	pub keys: Keys,
	/// Its input's bytes.
	pub input: Vec<u8>,
	/// Never together with others: it, or one beside it, has failed before.
	pub alone: bool,
}

/// What a worker is told.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Request {
	/// Open a model, if it is not open, and run an input of our own making.
	Open(JobId, ModelFiles),
	/// Run one item.
	Run(JobId, ModelFiles, Run),
	/// Nobody waits for this job any more.
	Cancel(JobId),
}

/// What a worker answers.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Answer {
	/// ONNX Runtime is loaded: its library, and what models run on.
	Ready {
		/// The library, in words.
		library: String,
		/// The provider, in words.
		provider: String,
	},
	/// ONNX Runtime cannot be used. The process ends.
	Unusable(String),
	/// The job has its turn: its model is opened, if it is not open.
	Begun(JobId),
	/// The job runs, or runs on.
	Alive(JobId),
	/// The model is open, or why it cannot be.
	Opened(JobId, Result<Opened, String>),
	/// What came of a run.
	Done(JobId, Result<Output, JobError>),
}

/// An open model.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Opened {
	/// How long it took to open, in milliseconds; next to nothing if it was open.
	pub millis: u64,
	/// What came of an input of our own making: how long it took, in milliseconds, or why it cannot be run.
	pub trial: Result<u64, String>,
}

/// A result on its way.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Output {
	/// The output's bytes.
	pub output: Vec<u8>,
	/// What is shown of it.
	pub leaves: Vec<Leaf>,
	/// How long it took, in microseconds.
	pub micros: u64,
}

impl From<Computed> for Output {
	fn from(done: Computed) -> Self {
		let micros = (done.seconds * 1e6) as u64; // saturates
		Self { output: done.output, leaves: done.leaves, micros }
	}
}

impl From<Output> for Computed {
	fn from(done: Output) -> Self {
		let seconds = done.micros as f64 / 1e6;
		Self { output: done.output, leaves: done.leaves, seconds }
	}
}

fn wrong(what: impl Into<String>) -> io::Error {
	io::Error::new(io::ErrorKind::InvalidData, what.into())
}

fn length(prefix: [u8; 4]) -> io::Result<usize> {
	let length = u32::from_le_bytes(prefix) as usize;
	if length > MAX_FRAME_BYTES {
		return Err(wrong(format!("a frame of {length} bytes")));
	}
	Ok(length)
}

fn frame(message: &impl Encode) -> io::Result<Vec<u8>> {
	let mut bytes = vec![0; 4];
	message.encode_to(&mut bytes);
	let length = bytes.len() - 4;
	if length > MAX_FRAME_BYTES {
		return Err(wrong(format!("a frame of {length} bytes")));
	}
	bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
	Ok(bytes)
}

fn parse<T: Decode>(bytes: &[u8]) -> io::Result<T> {
	T::decode_all(&mut &bytes[..]).map_err(|error| wrong(error.to_string()))
}

/// Reads a frame; `None` where the other side has closed its end.
pub fn read<T: Decode>(from: &mut impl Read) -> io::Result<Option<T>> {
	let mut prefix = [0; 4];
	match from.read_exact(&mut prefix) {
		Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
		other => other?,
	}
	let mut bytes = vec![0; length(prefix)?];
	from.read_exact(&mut bytes)?;
	parse(&bytes).map(Some)
}

/// Writes a frame.
pub fn write(to: &mut impl Write, message: &impl Encode) -> io::Result<()> {
	to.write_all(&frame(message)?)?;
	to.flush()
}

/// Reads a frame; `None` where the other side has closed its end.
pub async fn receive<T: Decode>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<T>> {
	let mut prefix = [0; 4];
	match from.read_exact(&mut prefix).await {
		Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
		other => other?,
	};
	let mut bytes = vec![0; length(prefix)?];
	from.read_exact(&mut bytes).await?;
	parse(&bytes).map(Some)
}

/// Writes a frame.
pub async fn send(to: &mut (impl AsyncWrite + Unpin), message: &impl Encode) -> io::Result<()> {
	to.write_all(&frame(message)?).await?;
	to.flush().await
}

#[cfg(test)]
mod tests {
	use super::*;

	fn model() -> ModelFiles {
		ModelFiles {
			dir: "/models/é".into(),
			kind: ModelKind::Tensor,
			manifest: H256::zero(),
			batch: None,
		}
	}

	#[test]
	fn what_is_written_is_read() {
		let keys = Keys { task: H256::repeat_byte(1), court: None };
		let run = Run { task: 5, item: 3, keys, input: vec![9; 1_000], alone: true };
		let requests =
			[Request::Open(1, model()), Request::Run(2, model(), run), Request::Cancel(2)];
		let mut bytes = Vec::new();
		requests.iter().for_each(|request| write(&mut bytes, request).unwrap());
		let mut from = bytes.as_slice();
		for request in requests {
			assert_eq!(read(&mut from).unwrap(), Some(request));
		}
		assert_eq!(read::<Request>(&mut from).unwrap(), None);
	}

	#[tokio::test]
	async fn either_side_may_wait_or_not() {
		let computed = Computed { output: vec![1, 2], leaves: Vec::new(), seconds: 0.25 };
		let answer = Answer::Done(7, Ok(computed.clone().into()));
		let mut bytes = Vec::new();
		send(&mut bytes, &answer).await.unwrap();
		assert_eq!(read(&mut bytes.as_slice()).unwrap(), Some(answer.clone()));
		assert_eq!(receive(&mut bytes.as_slice()).await.unwrap(), Some(answer.clone()));
		let Answer::Done(_, Ok(output)) = answer else { unreachable!() };
		assert_eq!(Computed::from(output), computed);
	}

	#[test]
	fn what_is_no_frame_is_refused() {
		let mut good = Vec::new();
		write(&mut good, &Request::Cancel(2)).unwrap();
		let refused = |bytes: &[u8]| read::<Request>(&mut &bytes[..]).unwrap_err().to_string();
		assert!(refused(&good[..good.len() - 1]).contains("fill"));
		assert!(refused(b"hello, world").contains("bytes"), "a library that prints");
		let mut longer = good.clone();
		longer[0] += 1;
		longer.push(0);
		refused(&longer);
		refused(&[1, 0, 0, 0, 99]);
	}
}
