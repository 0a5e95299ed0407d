//! One ONNX file, opened, on a thread of its own.
//!
//! The thread owns the session and takes requests over a channel, one after the other: a CUDA session that is run from several threads
//! grows by gigabytes (onnxruntime#29351), and one that is run by two at once breaks for good (onnxruntime#32342).

use std::{
	fmt,
	path::{Path, PathBuf},
	sync::mpsc,
	thread::{self, JoinHandle},
};

use anyhow::{anyhow, bail, Context, Result};
use ort::{
	error::ErrorCode,
	session::{Session as OrtSession, SessionInputValue},
	value::{
		DynValue, Outlet, PrimitiveTensorElementType, TensorElementType, TensorRef, ValueType,
	},
};

use crate::{
	job::JobError,
	runtime::Runtime,
	tensors::{Data, Dtype, Tensor},
};

/// An input or output of a model, as the file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
	/// Its name.
	pub name: String,
	/// Its element type.
	pub dtype: Dtype,
	/// Its dimensions; `None` for one that is free.
	pub shape: Vec<Option<usize>>,
}

impl fmt::Display for Port {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		let dims: Vec<String> =
			self.shape.iter().map(|d| d.map_or("?".into(), |d| d.to_string())).collect();
		write!(f, "`{}` {}[{}]", self.name, self.dtype, dims.join(", "))
	}
}

impl Port {
	/// Whether a tensor fits; if not, what is wrong with it.
	pub fn check(&self, tensor: &Tensor) -> Result<(), String> {
		let fits = tensor.data.dtype() == self.dtype
			&& tensor.shape.len() == self.shape.len()
			&& self
				.shape
				.iter()
				.zip(&tensor.shape)
				.all(|(want, have)| want.is_none_or(|w| w == *have));
		if fits {
			return Ok(());
		}
		Err(format!("the model takes {self}, got {}{:?}", tensor.data.dtype(), tensor.shape))
	}
}

/// An opened model file. Dropping it closes the session.
pub struct Session {
	file: PathBuf,
	inputs: Vec<Port>,
	outputs: Vec<Port>,
	/// Taken when it is dropped.
	thread: Option<(mpsc::Sender<Request>, JoinHandle<()>)>,
}

impl Drop for Session {
	fn drop(&mut self) {
		if let Some((requests, thread)) = self.thread.take() {
			// Its memory is free only once the thread has ended.
			drop(requests);
			drop(thread.join());
		}
	}
}

struct Request {
	inputs: Vec<(String, Tensor)>,
	reply: mpsc::SyncSender<Result<Vec<Tensor>, JobError>>,
}

type Ports = (Vec<Port>, Vec<Port>);

impl Session {
	/// Opens an ONNX file on a new thread and reads what it takes and gives.
	pub fn open(runtime: &Runtime, file: &Path) -> Result<Self> {
		let (requests, queue) = mpsc::channel();
		let (ready, opened) = mpsc::sync_channel(1);
		let (of_thread, path) = (runtime.clone(), file.to_path_buf());
		let thread = thread::Builder::new()
			.name("onnx".into())
			.spawn(move || serve(&of_thread, &path, &ready, &queue))
			.context("cannot start a thread for the model")?;
		let (inputs, outputs) = opened
			.recv()
			.unwrap_or_else(|_| Err(anyhow!("the model's thread died while opening it")))
			.with_context(|| format!("cannot open {}", file.display()))?;
		tracing::debug!(file = %file.display(), provider = %runtime.provider(), "model file opened");
		let thread = Some((requests, thread));
		Ok(Self { file: file.to_path_buf(), inputs, outputs, thread })
	}

	/// The file it was opened from.
	pub fn file(&self) -> &Path {
		&self.file
	}

	/// What it takes, in the file's order.
	pub fn inputs(&self) -> &[Port] {
		&self.inputs
	}

	/// What it gives, in the file's order.
	pub fn outputs(&self) -> &[Port] {
		&self.outputs
	}

	/// Runs the model: all its outputs, in the order of [`Self::outputs`].
	pub fn run(&self, inputs: Vec<(String, Tensor)>) -> Result<Vec<Tensor>, JobError> {
		self.begin(inputs)?.wait()
	}

	/// Begins a run, which goes on by itself once those before it are over.
	pub fn begin(&self, inputs: Vec<(String, Tensor)>) -> Result<Running, JobError> {
		let (reply, answer) = mpsc::sync_channel(1);
		let (requests, _) = self.thread.as_ref().ok_or_else(gone)?;
		requests.send(Request { inputs, reply }).map_err(|_| gone())?;
		Ok(Running(answer))
	}
}

/// A run that was begun.
pub struct Running(mpsc::Receiver<Result<Vec<Tensor>, JobError>>);

impl Running {
	/// Waits for what comes of it.
	pub fn wait(self) -> Result<Vec<Tensor>, JobError> {
		self.0.recv().map_err(|_| gone())?
	}
}

fn gone() -> JobError {
	JobError::Machine("the session's thread is gone; restart miner-client".into())
}

fn serve(
	runtime: &Runtime,
	file: &Path,
	ready: &mpsc::SyncSender<Result<Ports>>,
	queue: &mpsc::Receiver<Request>,
) {
	let opened = runtime.open(file).map_err(anyhow::Error::from);
	let (mut session, outputs) = match opened.and_then(|s| Ok((ports(&s)?, s))) {
		Ok((found, session)) => {
			let outputs = found.1.clone();
			// Whoever opened it waits; if it is gone, the queue is closed too and the loop below ends at once.
			let _ = ready.send(Ok(found));
			(session, outputs)
		},
		Err(error) => {
			let _ = ready.send(Err(error));
			return;
		},
	};
	while let Ok(Request { inputs, reply }) = queue.recv() {
		let result = run(&mut session, &inputs, &outputs).map_err(|error| failure(file, &error));
		// Nobody waits any more for a request that was given up.
		let _ = reply.send(result);
	}
}

/// Whose fault it is, as far as ONNX Runtime tells.
fn failure(file: &Path, error: &ort::Error) -> JobError {
	let what = format!("{}: {error}", file.display());
	let said = what.to_lowercase();
	if said.contains("allocat") || said.contains("out of memory") {
		JobError::Machine(what)
	} else if error.code() == ErrorCode::InvalidArgument {
		JobError::Input(what)
	} else {
		JobError::Runtime(what)
	}
}

fn ports(session: &OrtSession) -> Result<Ports> {
	let all = |outlets: &[Outlet]| outlets.iter().map(port).collect::<Result<Vec<_>>>();
	Ok((all(session.inputs())?, all(session.outputs())?))
}

fn port(outlet: &Outlet) -> Result<Port> {
	let name = outlet.name().to_string();
	let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
		bail!("`{name}` is no tensor but {}; such models cannot be run", outlet.dtype());
	};
	let dtype = match ty {
		TensorElementType::Float16 => Dtype::F16,
		TensorElementType::Float32 => Dtype::F32,
		TensorElementType::Float64 => Dtype::F64,
		TensorElementType::Int32 => Dtype::I32,
		TensorElementType::Int64 => Dtype::I64,
		TensorElementType::Uint8 => Dtype::U8,
		TensorElementType::Bool => Dtype::Bool,
		TensorElementType::Bfloat16 => bail!(
			"`{name}` is {ty}, which cannot be run; export the model in 32-bit or 16-bit floats (f32 or f16)"
		),
		other => bail!("`{name}` is {other}; f16, f32, f64, i32, i64, u8 and bool can be run"),
	};
	let shape = shape.iter().map(|d| usize::try_from(*d).ok()).collect();
	Ok(Port { name, dtype, shape })
}

fn run(
	session: &mut OrtSession,
	inputs: &[(String, Tensor)],
	outputs: &[Port],
) -> ort::Result<Vec<Tensor>> {
	let feeds = inputs
		.iter()
		.map(|(name, tensor)| Ok((name.as_str(), feed(tensor)?)))
		.collect::<ort::Result<Vec<_>>>()?;
	let found = session.run(feeds)?;
	outputs
		.iter()
		.map(|port| {
			let missing = || ort::Error::new(format!("no output `{}` came back", port.name));
			take(found.get(&port.name).ok_or_else(missing)?, port.dtype)
		})
		.collect()
}

fn feed(tensor: &Tensor) -> ort::Result<SessionInputValue<'_>> {
	let shape = tensor.shape.clone();
	Ok(match &tensor.data {
		Data::F16(v) => TensorRef::from_array_view((shape, v.as_slice()))?.into(),
		Data::F32(v) => TensorRef::from_array_view((shape, v.as_slice()))?.into(),
		Data::F64(v) => TensorRef::from_array_view((shape, v.as_slice()))?.into(),
		Data::I32(v) => TensorRef::from_array_view((shape, v.as_slice()))?.into(),
		Data::I64(v) => TensorRef::from_array_view((shape, v.as_slice()))?.into(),
		Data::U8(v) => TensorRef::from_array_view((shape, v.as_slice()))?.into(),
		Data::Bool(v) => TensorRef::from_array_view((shape, v.as_slice()))?.into(),
	})
}

fn take(value: &DynValue, dtype: Dtype) -> ort::Result<Tensor> {
	fn of<T: PrimitiveTensorElementType + Clone>(
		value: &DynValue,
		wrap: fn(Vec<T>) -> Data,
	) -> ort::Result<Tensor> {
		let (shape, values) = value.try_extract_tensor::<T>()?;
		let shape = shape.iter().map(|d| *d as usize).collect();
		Ok(Tensor { shape, data: wrap(values.to_vec()) })
	}
	match dtype {
		Dtype::F16 => of(value, Data::F16),
		Dtype::F32 => of(value, Data::F32),
		Dtype::F64 => of(value, Data::F64),
		Dtype::I32 => of(value, Data::I32),
		Dtype::I64 => of(value, Data::I64),
		Dtype::U8 => of(value, Data::U8),
		Dtype::Bool => of(value, Data::Bool),
	}
}
