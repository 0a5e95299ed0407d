//! ONNX files for tests: protobuf written by hand, so that the tests need no other tool.

use safetensors::View;

use crate::tensors::{Dtype, Tensor};

/// An element type as an ONNX file says it.
#[derive(Clone, Copy)]
pub(crate) struct Type(u64);

/// A type that this program does not run.
pub(crate) const BF16: Type = Type(16);

impl From<Dtype> for Type {
	fn from(dtype: Dtype) -> Self {
		Self(match dtype {
			Dtype::F32 => 1,
			Dtype::U8 => 2,
			Dtype::I32 => 6,
			Dtype::I64 => 7,
			Dtype::Bool => 9,
			Dtype::F16 => 10,
			Dtype::F64 => 11,
		})
	}
}

/// A graph on its way into a file; what is added last may use what was added before.
#[derive(Default)]
pub(crate) struct Graph(Vec<u8>);

impl Graph {
	/// Adds an input; `None` is a free dimension.
	pub(crate) fn input(self, name: &str, ty: impl Into<Type>, shape: &[Option<usize>]) -> Self {
		self.with(11, &port(name, ty.into(), shape))
	}

	/// Adds an output; `None` is a free dimension.
	pub(crate) fn output(self, name: &str, ty: impl Into<Type>, shape: &[Option<usize>]) -> Self {
		self.with(12, &port(name, ty.into(), shape))
	}

	/// Adds a constant.
	pub(crate) fn constant(self, name: &str, tensor: &Tensor) -> Self {
		self.with(5, &[head(name, tensor), bytes(9, &View::data(&tensor))].concat())
	}

	/// Adds a constant of this type and shape, whose values are the bytes of a file beside the graph.
	pub(crate) fn constant_in(self, file: &str, name: &str, tensor: &Tensor) -> Self {
		let location = [bytes(1, b"location"), bytes(2, file.as_bytes())].concat();
		self.with(5, &[head(name, tensor), bytes(13, &location), number(14, 1)].concat())
	}

	/// Adds a node with integers as attributes.
	pub(crate) fn node(
		self,
		operator: &str,
		inputs: &[&str],
		output: &str,
		attributes: &[(&str, u64)],
	) -> Self {
		let mut node: Vec<u8> =
			inputs.iter().flat_map(|input| bytes(1, input.as_bytes())).collect();
		node.extend(bytes(2, output.as_bytes()));
		node.extend(bytes(4, operator.as_bytes()));
		for (name, value) in attributes {
			let integer = number(20, 2);
			let attribute = [bytes(1, name.as_bytes()), number(3, *value), integer].concat();
			node.extend(bytes(5, &attribute));
		}
		self.with(1, &node)
	}

	/// Adds a conversion to another type.
	pub(crate) fn cast(self, input: &str, output: &str, to: Dtype) -> Self {
		self.node("Cast", &[input], output, &[("to", Type::from(to).0)])
	}

	/// The file, in opset 13.
	pub(crate) fn file(self) -> Vec<u8> {
		let graph = bytes(7, &self.with(2, b"graph").0);
		let opset = bytes(8, &[bytes(1, b""), number(2, 13)].concat());
		[number(1, 8), graph, opset].concat()
	}

	fn with(mut self, field: u64, message: &[u8]) -> Self {
		self.0.extend(bytes(field, message));
		self
	}
}

/// What is said of a constant beside its values.
fn head(name: &str, tensor: &Tensor) -> Vec<u8> {
	let dims = tensor.shape.iter().flat_map(|dimension| number(1, *dimension as u64));
	let dtype = number(2, Type::from(tensor.data.dtype()).0);
	dims.chain(dtype).chain(bytes(8, name.as_bytes())).collect()
}

fn port(name: &str, ty: Type, shape: &[Option<usize>]) -> Vec<u8> {
	// A dimension that says nothing is free.
	let dimension = |size: &Option<usize>| size.map_or(Vec::new(), |size| number(1, size as u64));
	let shape: Vec<u8> = shape.iter().flat_map(|size| bytes(1, &dimension(size))).collect();
	let tensor = [number(1, ty.0), bytes(2, &shape)].concat();
	[bytes(1, name.as_bytes()), bytes(2, &bytes(1, &tensor))].concat()
}

/// A field that holds a number.
fn number(field: u64, value: u64) -> Vec<u8> {
	[varint(field << 3), varint(value)].concat()
}

/// A field that holds bytes: a text, or a message.
fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
	[varint((field << 3) | 2), varint(content.len() as u64), content.to_vec()].concat()
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn varint(mut value: u64) -> Vec<u8> {
	let mut written = Vec::new();
	while value >= 0x80 {
		written.push(value as u8 | 0x80);
		value >>= 7;
	}
	written.push(value as u8);
	written
}

/// `y = x + x` for a vector of 3.
pub(crate) fn doubling(ty: Dtype) -> Vec<u8> {
	let shape = [Some(3)];
	let graph = Graph::default().input("x", ty, &shape).output("y", ty, &shape);
	graph.node("Add", &["x", "x"], "y", &[]).file()
}
