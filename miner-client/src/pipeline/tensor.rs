//! Any single ONNX file: named tensors in, named tensors out.

use anyhow::{Context, Result};

use super::{Output, Together, Watch};
use crate::{
	job::JobError,
	model::Model,
	runtime::Runtime,
	session::{Port, Running, Session},
	tensors::{self, Tensor},
};

/// An opened model of kind [`Tensor`](cuckoo_primitives::ModelKind::Tensor).
pub struct TensorModel {
	session: Session,
}

impl TensorModel {
	/// Opens `model.onnx`.
	pub fn open(runtime: &Runtime, model: &Model) -> Result<Self> {
		let file = model.file("model.onnx").context("model.onnx is missing")?;
		Ok(Self { session: Session::open(runtime, file)? })
	}

	/// What it takes, in the file's order.
	pub fn inputs(&self) -> &[Port] {
		self.session.inputs()
	}

	/// Runs a safetensors file of the named inputs. All outputs become the result, their values in the file's order.
	pub fn run(&self, input: &[u8], watch: &mut dyn Watch) -> Result<Output, JobError> {
		self.finish(self.begin(input)?, watch)
	}

	/// Reads an input and begins its run: while it runs the next one can be read.
	pub fn begin(&self, input: &[u8]) -> Result<Running, JobError> {
		let inputs = inputs(self.session.inputs(), input).map_err(JobError::Input)?;
		self.session.begin(inputs)
	}

	/// Waits for a run of this model, and makes its result.
	pub fn finish(&self, running: Running, watch: &mut dyn Watch) -> Result<Output, JobError> {
		let found = running.wait()?;
		for (port, tensor) in self.session.outputs().iter().zip(&found) {
			watch.tensor(&port.name, tensor);
		}
		self.output(&found)
	}

	/// Runs several of them at once, one behind the other along the first dimension, where the model leaves that one open for all that it takes and gives.
	pub fn run_together(&self, files: &[&[u8]]) -> Option<Together> {
		let (takes, gives) = (self.session.inputs(), self.session.outputs());
		let free = |port: &Port| port.shape.first() == Some(&None);
		if takes.is_empty() || !takes.iter().chain(gives).all(free) {
			return None;
		}
		let of_file = |file: &&[u8]| inputs(takes, file).ok();
		let items: Vec<Vec<(String, Tensor)>> = files.iter().map(of_file).collect::<Option<_>>()?;
		let rows = |item: &Vec<(String, Tensor)>| {
			let rows = item.first()?.1.shape[0];
			// Some graphs fail on no rows, and would not beside others.
			let same = rows > 0 && item.iter().all(|(_, tensor)| tensor.shape[0] == rows);
			same.then_some(rows)
		};
		let rows: Vec<usize> = items.iter().map(rows).collect::<Option<_>>()?;
		let join = |(at, port): (usize, &Port)| {
			let parts: Vec<&Tensor> = items.iter().map(|item| &item[at].1).collect();
			Some((port.name.clone(), Tensor::join(&parts)?))
		};
		let joined = takes.iter().enumerate().map(join).collect::<Option<Vec<_>>>()?;
		Some(self.session.run(joined).and_then(|found| self.outputs(&found, &rows)))
	}

	/// What was run together, each with so many rows of every output.
	fn outputs(&self, found: &[Tensor], rows: &[usize]) -> Together {
		let mut items = vec![Vec::new(); rows.len()];
		for (port, tensor) in self.session.outputs().iter().zip(found) {
			let parts = tensor.split(rows).ok_or_else(|| {
				JobError::Output(format!("{port} came as {:?} for {rows:?} rows", tensor.shape))
			})?;
			items.iter_mut().zip(parts).for_each(|(item, part)| item.push(part));
		}
		items.iter().map(|item| self.output(item)).collect()
	}

	fn output(&self, found: &[Tensor]) -> Result<Output, JobError> {
		let names = self.session.outputs().iter().map(|port| port.name.as_str());
		let named: Vec<(&str, &Tensor)> = names.zip(found).collect();
		let values = named.iter().flat_map(|(_, tensor)| tensor.values()).collect();
		let blob = tensors::write(named).map_err(|e| JobError::Output(e.to_string()))?;
		Ok(Output { blob, values })
	}
}

/// The model's inputs out of the file, in the model's order: all of them, each as declared, and nothing else.
fn inputs(ports: &[Port], file: &[u8]) -> Result<Vec<(String, Tensor)>, String> {
	let mut tensors = tensors::read(file).map_err(|e| e.to_string())?;
	let mut inputs = Vec::with_capacity(ports.len());
	for port in ports {
		let tensor = tensors.remove(&port.name).ok_or_else(|| format!("it lacks {port}"))?;
		port.check(&tensor)?;
		inputs.push((port.name.clone(), tensor));
	}
	match tensors.keys().next() {
		Some(other) => Err(format!("the model has no input `{other}`")),
		None => Ok(inputs),
	}
}

#[cfg(test)]
pub(crate) mod tests {
	use super::*;
	use crate::{
		job::compute,
		model::tests::folder,
		pipeline::{
			graphs::{self, Graph, BF16},
			Pipeline, Unwatched,
		},
		runtime,
		tensors::{Data, Dtype},
	};
	use cuckoo_primitives::sketch::{task_key, Keys};
	use half::f16;

	fn ports() -> Vec<Port> {
		let port = |name: &str, dtype, shape: &[Option<usize>]| Port {
			name: name.into(),
			dtype,
			shape: shape.to_vec(),
		};
		vec![port("x", Dtype::F32, &[None, Some(2)]), port("ids", Dtype::I64, &[Some(1)])]
	}

	fn file(tensors: &[(&str, Tensor)]) -> Vec<u8> {
		tensors::write(tensors.iter().map(|(name, tensor)| (*name, tensor))).unwrap()
	}

	#[test]
	fn inputs_are_taken_by_name_in_the_models_order() {
		let x = Tensor::f32([3, 2], vec![0.0; 6]);
		let ids = Tensor { shape: vec![1], data: Data::I64(vec![4]) };
		let found = inputs(&ports(), &file(&[("ids", ids.clone()), ("x", x.clone())])).unwrap();
		assert_eq!(found, [("x".to_string(), x), ("ids".to_string(), ids)]);
	}

	#[test]
	fn wrong_names_shapes_and_types_are_named() {
		let x = || ("x", Tensor::f32([1, 2], vec![0.0; 2]));
		let ids = || ("ids", Tensor { shape: vec![1], data: Data::I64(vec![4]) });
		let words = ("ids", Tensor { shape: vec![1], data: Data::I32(vec![4]) });
		for (tensors, part) in [
			(vec![x()], "lacks `ids` i64[1]"),
			(vec![x(), ids(), ("y", x().1)], "no input `y`"),
			(vec![x(), words], "takes `ids` i64[1], got i32[1]"),
			(vec![("x", Tensor::f32([1, 3], vec![0.0; 3])), ids()], "`x` f32[?, 2], got f32[1, 3]"),
			(vec![("x", Tensor::f32([2], vec![0.0; 2])), ids()], "`x` f32[?, 2], got f32[2]"),
		] {
			let error = inputs(&ports(), &file(&tensors)).unwrap_err();
			assert!(error.contains(part), "{error} lacks {part}");
		}
		assert!(inputs(&ports(), b"{}").unwrap_err().contains("safetensors"));
	}

	/// y = x + x for a float vector of 3.
	pub(crate) fn doubling_model() -> Vec<u8> {
		graphs::doubling(Dtype::F32)
	}

	#[test]
	fn a_real_model_gives_the_same_bytes_each_time() {
		let Some(runtime) = runtime::for_tests() else { return };
		let dir = folder(&[("model.onnx", &doubling_model())]);
		let model = Model::verify(dir.path()).unwrap();
		let pipeline = Pipeline::open(runtime, &model, model.kind()).unwrap();
		let input = file(&[("x", Tensor::f32([3], vec![1.0, -0.5, 1e-3]))]);
		let run = |task| {
			let keys = Keys { task: task_key(task, 0), court: None };
			compute(&pipeline, &keys, 0, &input, &mut Unwatched).unwrap()
		};
		let (first, again) = (run(1), run(1));
		assert_eq!(first.leaves, again.leaves);
		let found = tensors::read(&first.output).unwrap();
		assert_eq!(found["y"], Tensor::f32([3], vec![2.0, -1.0, 2e-3]));
		assert_ne!(first.leaves[0].sketch, run(2).leaves[0].sketch, "a task's sketch is its own");
	}

	#[test]
	fn weights_are_read_from_a_file_of_any_name() {
		let Some(runtime) = runtime::for_tests() else { return };
		let (shape, weights) = ([Some(3)], Tensor::f32([3], vec![1.0, 2.0, 4.0]));
		let bytes: Vec<u8> = [1f32, 2.0, 4.0].into_iter().flat_map(f32::to_le_bytes).collect();
		for name in ["model.onnx_data", "model.onnx.weights", "weights.safetensors", "weights"] {
			let graph = Graph::default()
				.input("x", Dtype::F32, &shape)
				.output("y", Dtype::F32, &shape)
				.constant_in(name, "w", &weights)
				.node("Add", &["x", "w"], "y", &[]);
			let dir = folder(&[("model.onnx", &graph.file()), (name, &bytes)]);
			let model = Model::verify(dir.path()).unwrap();
			let pipeline = Pipeline::open(runtime, &model, model.kind()).unwrap();
			let input = file(&[("x", Tensor::f32([3], vec![0.5; 3]))]);
			let output = pipeline.run(&input, &mut Unwatched).unwrap();
			let found = tensors::read(&output.blob).unwrap();
			assert_eq!(found["y"], Tensor::f32([3], vec![1.5, 2.5, 4.5]), "{name}");
		}
	}

	#[test]
	fn half_precision_goes_in_and_comes_out() {
		let Some(runtime) = runtime::for_tests() else { return };
		let dir = folder(&[("model.onnx", &graphs::doubling(Dtype::F16))]);
		let model = Model::verify(dir.path()).unwrap();
		let pipeline = Pipeline::open(runtime, &model, model.kind()).unwrap();
		let halves = |values: [f32; 3]| Tensor {
			shape: vec![3],
			data: Data::F16(values.map(f16::from_f32).to_vec()),
		};
		let input = file(&[("x", halves([1.0, -0.5, 1e-3]))]);
		let output = pipeline.run(&input, &mut Unwatched).unwrap();
		let found = tensors::read(&output.blob).unwrap();
		assert_eq!(found["y"], halves([2.0, -1.0, 2e-3]));
		assert_eq!(output.values, found["y"].values());
		// Not what the model takes, and not made so by anybody: an input of a tensor model is as the file says.
		let wide = file(&[("x", Tensor::f32([3], vec![1.0; 3]))]);
		let error = pipeline.run(&wide, &mut Unwatched).unwrap_err().to_string();
		assert!(error.contains("`x` f16[3], got f32[3]"), "{error}");
		let large = file(&[("x", halves([65_504.0, 0.0, 0.0]))]);
		let error = compute(&pipeline, &Keys::default(), 0, &large, &mut Unwatched).unwrap_err();
		assert!(matches!(error, JobError::Output(_)), "{error}");
	}

	#[test]
	fn other_element_types_are_named() {
		let Some(runtime) = runtime::for_tests() else { return };
		let shape = [Some(3)];
		let graph = Graph::default().input("x", BF16, &shape).output("y", BF16, &shape);
		let dir = folder(&[("model.onnx", &graph.node("Identity", &["x"], "y", &[]).file())]);
		let model = Model::verify(dir.path()).unwrap();
		let error = Pipeline::open(runtime, &model, model.kind()).err().unwrap();
		let error = format!("{error:#}");
		assert!(error.contains("`x` is bf16") && error.contains("f16"), "{error}");
	}

	#[test]
	fn what_is_not_finite_is_no_result() {
		let Some(runtime) = runtime::for_tests() else { return };
		let dir = folder(&[("model.onnx", &doubling_model())]);
		let model = Model::verify(dir.path()).unwrap();
		let pipeline = Pipeline::open(runtime, &model, model.kind()).unwrap();
		let input = file(&[("x", Tensor::f32([3], vec![f32::MAX, 0.0, 0.0]))]);
		let error = compute(&pipeline, &Keys::default(), 0, &input, &mut Unwatched).unwrap_err();
		assert!(matches!(error, JobError::Output(_)), "{error}");
	}

	#[test]
	fn a_file_that_is_no_model_is_named() {
		let Some(runtime) = runtime::for_tests() else { return };
		let dir = folder(&[("model.onnx", b"not an ONNX file")]);
		let model = Model::verify(dir.path()).unwrap();
		let error = Pipeline::open(runtime, &model, model.kind()).err().unwrap();
		assert!(format!("{error:#}").contains("model.onnx"), "{error:#}");
	}
}
