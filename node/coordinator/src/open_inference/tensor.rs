//! Tensors as the protocol names them, and the safetensors files in which they travel to miners and back.

use std::fmt;

use axum::body::Bytes;
use cuckoo_primitives::work::MAX_BLOB_BYTES;
use safetensors::{tensor::TensorView, Dtype};
use serde::{Deserialize, Serialize};

use crate::{embeddings::MAX_TEXTS, png};

/// The most dimensions of a tensor.
pub const MAX_RANK: usize = 16;
/// The longest name of a tensor in a request, in bytes.
const MAX_NAME_BYTES: usize = 256;
/// The key under which a safetensors file keeps what is no tensor.
const NOT_A_TENSOR: &str = "__metadata__";

/// What is wrong with tensors, in words for whoever sent them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Wrong(pub String);

/// The element types that miners run, and texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Datatype {
	/// A byte of 0 or 1.
	Bool,
	/// A byte.
	Uint8,
	/// 32-bit signed integer.
	Int32,
	/// 64-bit signed integer.
	Int64,
	/// 16-bit float of IEEE 754.
	Fp16,
	/// 32-bit float.
	Fp32,
	/// 64-bit float.
	Fp64,
	/// A text: four bytes of length, then so many bytes. For prompts and texts to embed; no ONNX model here takes it.
	Bytes,
}

impl Datatype {
	/// The bytes of one element; none where they differ.
	pub fn size(self) -> Option<usize> {
		match self {
			Self::Bool | Self::Uint8 => Some(1),
			Self::Fp16 => Some(2),
			Self::Int32 | Self::Fp32 => Some(4),
			Self::Int64 | Self::Fp64 => Some(8),
			Self::Bytes => None,
		}
	}

	fn in_file(self) -> Option<Dtype> {
		Some(match self {
			Self::Bool => Dtype::BOOL,
			Self::Uint8 => Dtype::U8,
			Self::Int32 => Dtype::I32,
			Self::Int64 => Dtype::I64,
			Self::Fp16 => Dtype::F16,
			Self::Fp32 => Dtype::F32,
			Self::Fp64 => Dtype::F64,
			Self::Bytes => return None,
		})
	}

	fn from_file(dtype: Dtype) -> Option<Self> {
		Some(match dtype {
			Dtype::BOOL => Self::Bool,
			Dtype::U8 => Self::Uint8,
			Dtype::I32 => Self::Int32,
			Dtype::I64 => Self::Int64,
			Dtype::F16 => Self::Fp16,
			Dtype::F32 => Self::Fp32,
			Dtype::F64 => Self::Fp64,
			_ => return None,
		})
	}
}

impl fmt::Display for Datatype {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str(match self {
			Self::Bool => "BOOL",
			Self::Uint8 => "UINT8",
			Self::Int32 => "INT32",
			Self::Int64 => "INT64",
			Self::Fp16 => "FP16",
			Self::Fp32 => "FP32",
			Self::Fp64 => "FP64",
			Self::Bytes => "BYTES",
		})
	}
}

/// How many elements a shape has; none if they are more than a request or an output can hold.
pub fn elements(shape: &[usize]) -> Option<usize> {
	let count = shape.iter().try_fold(1usize, |count, side| count.checked_mul(*side));
	count.filter(|count| *count <= MAX_BLOB_BYTES)
}

/// A named tensor. Its data is as large as its shape and type say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
	/// Its name.
	pub name: String,
	/// The type of its elements.
	pub datatype: Datatype,
	/// Its dimensions; none for a scalar.
	pub shape: Vec<usize>,
	/// Its elements, row-major and little-endian.
	pub data: Bytes,
}

impl Tensor {
	/// A tensor, if the data fits the shape and holds nothing but elements of the type.
	pub fn new(
		name: impl Into<String>,
		datatype: Datatype,
		shape: Vec<usize>,
		data: impl Into<Bytes>,
	) -> Result<Self, Wrong> {
		let tensor = Self { name: name.into(), datatype, shape, data: data.into() };
		match tensor.fault() {
			Some(fault) => Err(Wrong(format!("the tensor {:?} {fault}", tensor.name))),
			None => Ok(tensor),
		}
	}

	fn fault(&self) -> Option<String> {
		let Some(count) = elements(&self.shape) else {
			return Some(format!("is too large: its shape is {:?}", self.shape));
		};
		match self.datatype.size() {
			Some(size) if self.data.len() != count * size => Some(format!(
				"has {} bytes, but {} of shape {:?} is {}",
				self.data.len(),
				self.datatype,
				self.shape,
				count * size
			)),
			Some(_)
				if self.datatype == Datatype::Bool && self.data.iter().any(|byte| *byte > 1) =>
			{
				Some("is BOOL and has bytes other than 0 and 1".into())
			},
			None if count > MAX_TEXTS => {
				Some(format!("has {count} texts: at most {MAX_TEXTS} are taken"))
			},
			None if split_texts(&self.data, count).is_none() => Some(format!(
				"is not {count} texts, each after four bytes with its length in bytes"
			)),
			Some(_) | None => None,
		}
	}

	/// The texts of a `BYTES` tensor; none for another type.
	pub fn texts(&self) -> Option<Vec<&[u8]>> {
		if self.datatype != Datatype::Bytes {
			return None;
		}
		split_texts(&self.data, elements(&self.shape)?)
	}
}

/// So many texts, each after its length, and nothing else.
fn split_texts(mut data: &[u8], count: usize) -> Option<Vec<&[u8]>> {
	let mut texts = Vec::new();
	while !data.is_empty() && texts.len() < count {
		let (length, rest) = data.split_first_chunk::<4>()?;
		let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
		let (text, rest) = rest.split_at_checked(length)?;
		texts.push(text);
		data = rest;
	}
	(data.is_empty() && texts.len() == count).then_some(texts)
}

/// Checks a name that a stranger chose: it becomes one in a safetensors file.
pub fn check_name(name: &str) -> Result<(), Wrong> {
	if name.is_empty() || name.len() > MAX_NAME_BYTES {
		return Err(Wrong(format!("a tensor's name is 1 to {MAX_NAME_BYTES} bytes")));
	}
	if name == NOT_A_TENSOR {
		return Err(Wrong(format!("no tensor can have the name {name:?}")));
	}
	Ok(())
}

/// A safetensors file of these tensors: the same bytes, whatever their order.
pub fn to_file(tensors: &[Tensor]) -> Result<Vec<u8>, Wrong> {
	let total: usize = tensors.iter().map(|tensor| tensor.data.len()).sum();
	if total > MAX_BLOB_BYTES {
		let why = format!("the inputs have {total} bytes together: at most {MAX_BLOB_BYTES} fit");
		return Err(Wrong(why));
	}
	let mut views = Vec::with_capacity(tensors.len());
	for Tensor { name, datatype, shape, data } in tensors {
		let Some(dtype) = datatype.in_file() else {
			return Err(Wrong(format!("this model takes no {datatype}, as {name:?} is")));
		};
		let view = TensorView::new(dtype, shape.clone(), data)
			.map_err(|error| Wrong(format!("the tensor {name:?} cannot be sent: {error}")))?;
		views.push((name.as_str(), view));
	}
	safetensors::serialize(views, None)
		.map_err(|error| Wrong(format!("the inputs cannot be sent: {error}")))
}

/// The tensors of a safetensors file, by name. They share the file's memory.
pub fn from_file(file: &Bytes) -> Result<Vec<Tensor>, Wrong> {
	let tensors = png::tensors(file).map_err(|error| Wrong(error.to_string()))?;
	let mut all = Vec::with_capacity(tensors.len());
	for (name, view) in tensors.iter() {
		let Some(datatype) = Datatype::from_file(view.dtype()) else {
			return Err(Wrong(format!("the tensor {name:?} is {}", view.dtype())));
		};
		all.push(Tensor::new(name, datatype, view.shape().to_vec(), file.slice_ref(view.data()))?);
	}
	all.sort_by(|a, b| a.name.cmp(&b.name));
	Ok(all)
}

#[cfg(test)]
pub(super) mod tests {
	use super::*;

	pub fn tensor(name: &str, datatype: Datatype, shape: &[usize], data: &[u8]) -> Tensor {
		Tensor::new(name, datatype, shape.to_vec(), data.to_vec()).unwrap()
	}

	/// Texts as the binary extension writes them.
	pub fn texts(texts: &[&str]) -> Vec<u8> {
		let length = |text: &str| u32::try_from(text.len()).unwrap().to_le_bytes();
		texts.iter().flat_map(|text| [&length(text)[..], text.as_bytes()].concat()).collect()
	}

	#[test]
	fn tensors_come_back_out_of_a_file_with_every_type() {
		let all = [
			tensor("a", Datatype::Fp32, &[1, 2], &[0, 0, 128, 63, 0, 0, 0, 192]),
			tensor("b", Datatype::Bool, &[3], &[1, 0, 1]),
			tensor("c", Datatype::Uint8, &[], &[7]),
			tensor("d", Datatype::Int32, &[1], &[255; 4]),
			tensor("e", Datatype::Int64, &[1], &[1, 0, 0, 0, 0, 0, 0, 128]),
			tensor("f", Datatype::Fp16, &[2], &[0, 60, 0, 188]),
			tensor("g", Datatype::Fp64, &[0, 4], &[]),
		];
		let file = Bytes::from(to_file(&all).unwrap());
		assert_eq!(from_file(&file).unwrap(), all);
		let turned: Vec<_> = all.iter().rev().cloned().collect();
		assert_eq!(to_file(&turned).unwrap(), file);
	}

	#[test]
	fn a_file_is_the_known_bytes() {
		let file = to_file(&[tensor("x", Datatype::Int32, &[1, 2], &[1, 0, 0, 0, 2, 0, 0, 0])]);
		let header = br#"{"x":{"dtype":"I32","shape":[1,2],"data_offsets":[0,8]}}"#;
		let mut golden = vec![header.len() as u8, 0, 0, 0, 0, 0, 0, 0];
		golden.extend_from_slice(header);
		golden.extend_from_slice(&[1, 0, 0, 0, 2, 0, 0, 0]);
		assert_eq!(file.unwrap(), golden);
	}

	#[test]
	fn a_shape_whose_product_overflows_is_refused_and_not_wrapped() {
		let big = usize::MAX / 2 + 1;
		for shape in [vec![big, 2], vec![big, 2, 0], vec![usize::MAX; 16], vec![MAX_BLOB_BYTES + 1]]
		{
			assert_eq!(elements(&shape), None, "{shape:?}");
			assert!(Tensor::new("x", Datatype::Uint8, shape.clone(), Bytes::new()).is_err());
			assert!(Tensor::new("x", Datatype::Bytes, shape, Bytes::new()).is_err());
		}
		assert_eq!(elements(&[]), Some(1));
		assert_eq!(elements(&[0, usize::MAX]), Some(0));
	}

	#[test]
	fn data_of_another_size_or_with_other_values_than_its_type_has_is_refused() {
		let new = |datatype, shape: &[usize], data: &[u8]| {
			Tensor::new("x", datatype, shape.to_vec(), data.to_vec()).is_ok()
		};
		assert!(new(Datatype::Fp32, &[2], &[0; 8]));
		assert!(!new(Datatype::Fp32, &[2], &[0; 7]));
		assert!(!new(Datatype::Fp32, &[2], &[0; 9]));
		assert!(!new(Datatype::Fp32, &[], &[]));
		assert!(!new(Datatype::Bool, &[2], &[1, 2]));
		assert!(new(Datatype::Bytes, &[2], &texts(&["ab", ""])));
		assert!(!new(Datatype::Bytes, &[1], &texts(&["ab", ""])));
		assert!(!new(Datatype::Bytes, &[3], &texts(&["ab", ""])));
		assert!(!new(Datatype::Bytes, &[1], &[2, 0, 0, 0, b'a']));
		assert!(!new(Datatype::Bytes, &[1], &[255, 255, 255, 255]));
		assert!(!new(Datatype::Bytes, &[1], &[1, 0]));
		assert!(new(Datatype::Bytes, &[0], &[]));
		assert!(!new(Datatype::Bytes, &[MAX_TEXTS + 1], &[0; 4 * (MAX_TEXTS + 1)]));
	}

	#[test]
	fn texts_are_read_one_by_one() {
		let two = tensor("x", Datatype::Bytes, &[2], &texts(&["a red circle", "ü"]));
		assert_eq!(two.texts().unwrap(), ["a red circle".as_bytes(), "ü".as_bytes()]);
		assert_eq!(tensor("x", Datatype::Uint8, &[0], &[]).texts(), None);
	}

	#[test]
	fn names_that_would_break_a_file_are_refused() {
		for name in ["", "__metadata__", &"x".repeat(257)] {
			assert!(check_name(name).is_err(), "{name}");
		}
		assert!(check_name("input/0:0 \"ü\"").is_ok());
	}

	#[test]
	fn texts_and_too_much_data_are_not_for_a_file() {
		assert!(to_file(&[tensor("x", Datatype::Bytes, &[0], &[])]).is_err());
		let half = Bytes::from(vec![0; MAX_BLOB_BYTES / 2 + 1]);
		let half = |name| Tensor::new(name, Datatype::Uint8, vec![half.len()], half.clone());
		assert!(to_file(&[half("a").unwrap(), half("b").unwrap()]).is_err());
	}

	#[test]
	fn what_a_miner_delivers_is_not_trusted() {
		let byte = TensorView::new(Dtype::I8, vec![1], &[1]).unwrap();
		let other = safetensors::serialize([("x", byte)], None).unwrap();
		let truth = TensorView::new(Dtype::BOOL, vec![1], &[2]).unwrap();
		let third = safetensors::serialize([("x", truth)], None).unwrap();
		for file in [vec![], b"junk".to_vec(), u64::MAX.to_le_bytes().to_vec(), other, third] {
			assert!(from_file(&Bytes::from(file)).is_err());
		}
	}
}
