//! Tensors on their way between files, sessions and the wire, and safetensors files of them.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use half::f16;
use safetensors::{
	tensor::{Dtype as FileDtype, View},
	SafeTensors,
};

/// The element types that inputs and outputs may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
	/// 16-bit float of IEEE 754, half precision.
	F16,
	/// 32-bit float.
	F32,
	/// 64-bit float.
	F64,
	/// 32-bit signed integer.
	I32,
	/// 64-bit signed integer.
	I64,
	/// Byte.
	U8,
	/// Boolean, a byte of 0 or 1 in a file.
	Bool,
}

impl Dtype {
	/// The bytes of one element.
	pub fn size(self) -> usize {
		match self {
			Self::U8 | Self::Bool => 1,
			Self::F16 => 2,
			Self::F32 | Self::I32 => 4,
			Self::F64 | Self::I64 => 8,
		}
	}

	fn in_file(self) -> FileDtype {
		match self {
			Self::F16 => FileDtype::F16,
			Self::F32 => FileDtype::F32,
			Self::F64 => FileDtype::F64,
			Self::I32 => FileDtype::I32,
			Self::I64 => FileDtype::I64,
			Self::U8 => FileDtype::U8,
			Self::Bool => FileDtype::BOOL,
		}
	}

	fn from_file(dtype: FileDtype) -> Option<Self> {
		Some(match dtype {
			FileDtype::F16 => Self::F16,
			FileDtype::F32 => Self::F32,
			FileDtype::F64 => Self::F64,
			FileDtype::I32 => Self::I32,
			FileDtype::I64 => Self::I64,
			FileDtype::U8 => Self::U8,
			FileDtype::BOOL => Self::Bool,
			_ => return None,
		})
	}
}

impl fmt::Display for Dtype {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str(match self {
			Self::F16 => "f16",
			Self::F32 => "f32",
			Self::F64 => "f64",
			Self::I32 => "i32",
			Self::I64 => "i64",
			Self::U8 => "u8",
			Self::Bool => "bool",
		})
	}
}

/// A tensor's elements, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
	F16(Vec<f16>),
	F32(Vec<f32>),
	F64(Vec<f64>),
	I32(Vec<i32>),
	I64(Vec<i64>),
	U8(Vec<u8>),
	Bool(Vec<bool>),
}

impl Data {
	/// The element type.
	pub fn dtype(&self) -> Dtype {
		match self {
			Self::F16(_) => Dtype::F16,
			Self::F32(_) => Dtype::F32,
			Self::F64(_) => Dtype::F64,
			Self::I32(_) => Dtype::I32,
			Self::I64(_) => Dtype::I64,
			Self::U8(_) => Dtype::U8,
			Self::Bool(_) => Dtype::Bool,
		}
	}

	/// Token ids, masks and the like as one of the types that exports use for them; `None` for another type.
	pub fn ids(dtype: Dtype, values: impl Iterator<Item = u32>) -> Option<Self> {
		Some(match dtype {
			// No vocabulary has two billion tokens.
			Dtype::I32 => Self::I32(values.map(|id| id as i32).collect()),
			Dtype::I64 => Self::I64(values.map(i64::from).collect()),
			_ => return None,
		})
	}

	/// One number as any type that exports use for a time step; `None` for another type. An integer is what is left without the number's fraction.
	pub fn number(dtype: Dtype, value: f32) -> Option<Self> {
		Some(match dtype {
			Dtype::I32 => Self::I32(vec![value as i32]),
			Dtype::I64 => Self::I64(vec![value as i64]),
			Dtype::F16 => Self::F16(vec![f16::from_f32(value)]),
			Dtype::F32 => Self::F32(vec![value]),
			Dtype::F64 => Self::F64(vec![value.into()]),
			Dtype::U8 | Dtype::Bool => return None,
		})
	}

	fn to_bytes(&self) -> Vec<u8> {
		match self {
			Self::F16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
			Self::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
			Self::F64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
			Self::I32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
			Self::I64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
			Self::U8(v) => v.clone(),
			Self::Bool(v) => v.iter().map(|x| u8::from(*x)).collect(),
		}
	}

	fn from_bytes(dtype: Dtype, bytes: &[u8]) -> Self {
		// Generic over the function, not a pointer to it: that becomes a copy of memory.
		fn each<T, const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
			bytes.as_chunks::<N>().0.iter().map(|chunk| read(*chunk)).collect()
		}
		match dtype {
			Dtype::F16 => Self::F16(each(bytes, f16::from_le_bytes)),
			Dtype::F32 => Self::F32(each(bytes, f32::from_le_bytes)),
			Dtype::F64 => Self::F64(each(bytes, f64::from_le_bytes)),
			Dtype::I32 => Self::I32(each(bytes, i32::from_le_bytes)),
			Dtype::I64 => Self::I64(each(bytes, i64::from_le_bytes)),
			Dtype::U8 => Self::U8(bytes.to_vec()),
			Dtype::Bool => Self::Bool(bytes.iter().map(|x| *x != 0).collect()),
		}
	}
}

/// A tensor in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
	/// Its dimensions; none for a scalar.
	pub shape: Vec<usize>,
	/// Its elements.
	pub data: Data,
}

impl Tensor {
	/// A tensor of floats.
	pub fn f32(shape: impl Into<Vec<usize>>, values: Vec<f32>) -> Self {
		Self { shape: shape.into(), data: Data::F32(values) }
	}

	/// The elements, if they are 32-bit floats.
	pub fn as_f32(&self) -> Option<&[f32]> {
		match &self.data {
			Data::F32(values) => Some(values),
			_ => None,
		}
	}

	/// The same numbers as floats of this width, 16 or 32 bits. Narrowing rounds to the nearest, halves to even; what is too large becomes infinite.
	/// What is there in this type already, or is neither a 16-bit nor a 32-bit float, stays as it is.
	pub fn floats_as(self, dtype: Dtype) -> Self {
		let data = match (self.data, dtype) {
			(Data::F32(v), Dtype::F16) => Data::F16(v.into_iter().map(f16::from_f32).collect()),
			(Data::F16(v), Dtype::F32) => Data::F32(v.into_iter().map(f16::to_f32).collect()),
			(data, _) => data,
		};
		Self { shape: self.shape, data }
	}

	/// One tensor out of several, one behind the other along the first dimension; `None` if they differ in anything else.
	pub fn join(parts: &[&Self]) -> Option<Self> {
		let first = parts.first()?;
		let (_, rest) = first.shape.split_first()?;
		let fits = |part: &&&Self| {
			part.data.dtype() == first.data.dtype() && part.shape.get(1..) == Some(rest)
		};
		if !parts.iter().all(|part| fits(&part)) {
			return None;
		}
		let rows = parts.iter().try_fold(0usize, |rows, part| rows.checked_add(part.shape[0]))?;
		let bytes: Vec<u8> = parts.iter().flat_map(|part| part.data.to_bytes()).collect();
		let shape = [rows].iter().chain(rest).copied().collect();
		Some(Self { shape, data: Data::from_bytes(first.data.dtype(), &bytes) })
	}

	/// Takes a tensor apart along the first dimension, so many rows for each; `None` if it has another number of rows.
	pub fn split(&self, rows: &[usize]) -> Option<Vec<Self>> {
		let (all, rest) = self.shape.split_first()?;
		if rows.iter().sum::<usize>() != *all {
			return None;
		}
		let row = rest.iter().product::<usize>() * self.data.dtype().size();
		let (bytes, mut from) = (self.data.to_bytes(), 0);
		let part = |rows: &usize| {
			let to = from + rows * row;
			let data = Data::from_bytes(self.data.dtype(), &bytes[from..to]);
			from = to;
			Self { shape: [*rows].iter().chain(rest).copied().collect(), data }
		};
		Some(rows.iter().map(part).collect())
	}

	/// Every element as a number: what a sketch is made of.
	pub fn values(&self) -> Vec<f64> {
		match &self.data {
			Data::F16(v) => v.iter().map(|x| x.to_f64()).collect(),
			Data::F32(v) => v.iter().map(|x| f64::from(*x)).collect(),
			Data::F64(v) => v.clone(),
			Data::I32(v) => v.iter().map(|x| f64::from(*x)).collect(),
			Data::I64(v) => v.iter().map(|x| *x as f64).collect(),
			Data::U8(v) => v.iter().map(|x| f64::from(*x)).collect(),
			Data::Bool(v) => v.iter().map(|x| f64::from(u8::from(*x))).collect(),
		}
	}
}

impl View for &Tensor {
	fn dtype(&self) -> FileDtype {
		self.data.dtype().in_file()
	}

	fn shape(&self) -> &[usize] {
		&self.shape
	}

	fn data(&self) -> Cow<'_, [u8]> {
		Cow::Owned(self.data.to_bytes())
	}

	fn data_len(&self) -> usize {
		self.shape.iter().product::<usize>() * self.data.dtype().size()
	}
}

/// Why bytes are no safetensors file that can be used here.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
	/// The file's structure is wrong.
	#[error("not a safetensors file: {0}")]
	Format(#[from] safetensors::SafeTensorError),
	/// A tensor has an element type that is not supported.
	#[error("tensor `{name}` is {dtype}; f16, f32, f64, i32, i64, u8 and bool can be used")]
	Dtype {
		/// The tensor.
		name: String,
		/// Its element type.
		dtype: String,
	},
}

/// The tensors of a safetensors file by name.
pub fn read(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, FileError> {
	let file = SafeTensors::deserialize(bytes)?;
	let mut tensors = BTreeMap::new();
	for (name, view) in file.tensors() {
		let Some(dtype) = Dtype::from_file(view.dtype()) else {
			return Err(FileError::Dtype { name, dtype: view.dtype().to_string() });
		};
		let data = Data::from_bytes(dtype, view.data());
		tensors.insert(name, Tensor { shape: view.shape().to_vec(), data });
	}
	Ok(tensors)
}

/// A safetensors file without metadata: the same tensors give the same bytes, whatever their order.
pub fn write<'a>(
	tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
) -> Result<Vec<u8>, FileError> {
	Ok(safetensors::serialize(tensors, None)?)
}

#[cfg(test)]
mod tests {
	use super::*;

	fn examples() -> Vec<(&'static str, Tensor)> {
		let of = |shape: &[usize], data| Tensor { shape: shape.to_vec(), data };
		let halves = [1.5, -0.0, 65_504.0, 6e-8].map(f16::from_f32).to_vec();
		vec![
			("floats", of(&[2, 2], Data::F32(vec![1.5, -0.0, f32::MIN, 3e-40]))),
			("doubles", of(&[1], Data::F64(vec![0.1]))),
			("ids", of(&[3], Data::I64(vec![i64::MIN, 0, 7]))),
			("words", of(&[], Data::I32(vec![-5]))),
			("pixels", of(&[1, 1, 3], Data::U8(vec![0, 128, 255]))),
			("mask", of(&[2], Data::Bool(vec![true, false]))),
			("nothing", of(&[0, 4], Data::F32(vec![]))),
			("halves", of(&[4, 1], Data::F16(halves))),
		]
	}

	#[test]
	fn what_is_joined_comes_apart_again() {
		for (name, tensor) in examples().into_iter().filter(|(_, tensor)| !tensor.shape.is_empty())
		{
			let rows = tensor.shape[0];
			let joined = Tensor::join(&[&tensor, &tensor, &tensor]).unwrap();
			assert_eq!(joined.shape[0], 3 * rows, "{name}");
			let parts = joined.split(&[rows, 2 * rows]).unwrap();
			assert_eq!(parts[0], tensor, "{name}");
			assert_eq!(parts[1], Tensor::join(&[&tensor, &tensor]).unwrap(), "{name}");
			assert_eq!(joined.split(&[rows, rows, rows + 1]), None, "{name}");
		}
		let of = |shape: &[usize], data| Tensor { shape: shape.to_vec(), data };
		let floats = of(&[1, 2], Data::F32(vec![1.0, 2.0]));
		let wider = of(&[1, 3], Data::F32(vec![1.0, 2.0, 3.0]));
		let ids = of(&[1, 2], Data::I64(vec![1, 2]));
		let scalar = of(&[], Data::F32(vec![1.0]));
		for other in [&wider, &ids, &scalar] {
			assert_eq!(Tensor::join(&[&floats, other]), None);
			assert_eq!(Tensor::join(&[other, &floats]), None);
		}
		assert_eq!(Tensor::join(&[]), None);
		assert_eq!(scalar.split(&[1]), None);
	}

	#[test]
	fn what_is_written_is_read_again() {
		let examples = examples();
		let bytes = write(examples.iter().map(|(n, t)| (*n, t))).unwrap();
		let found = read(&bytes).unwrap();
		assert_eq!(found.len(), examples.len());
		for (name, tensor) in &examples {
			assert_eq!(&found[*name], tensor);
		}
	}

	#[test]
	fn bytes_do_not_depend_on_the_order() {
		let examples = examples();
		let there = write(examples.iter().map(|(n, t)| (*n, t))).unwrap();
		let back = write(examples.iter().rev().map(|(n, t)| (*n, t))).unwrap();
		assert_eq!(there, back);
	}

	#[test]
	fn broken_and_foreign_files_are_refused() {
		assert!(matches!(read(b""), Err(FileError::Format(_))));
		let mut bytes = write(examples().iter().map(|(n, t)| (*n, t))).unwrap();
		bytes.pop();
		assert!(matches!(read(&bytes), Err(FileError::Format(_))));
		let header = br#"{"h":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}"#;
		let mut half = (header.len() as u64).to_le_bytes().to_vec();
		half.extend_from_slice(header);
		half.extend_from_slice(&[0, 0]);
		let error = read(&half).unwrap_err().to_string();
		assert!(error.contains("`h` is BF16; f16, f32"), "{error}");
	}

	#[test]
	fn values_are_numbers_in_order() {
		let values: Vec<Vec<f64>> = examples().iter().map(|(_, t)| t.values()).collect();
		assert_eq!(values[4], [0.0, 128.0, 255.0]);
		assert_eq!(values[5], [1.0, 0.0]);
		assert_eq!(values[3], [-5.0]);
		// The smallest number that half precision has is 2⁻²⁴.
		assert_eq!(values[7], [1.5, -0.0, 65_504.0, 2f64.powi(-24)]);
	}

	#[test]
	fn floats_change_their_width_and_nothing_else_does() {
		let wide = Tensor::f32([5], vec![1.0, -0.1, 2049.0, 70_000.0, f32::NAN]);
		let narrow = wide.clone().floats_as(Dtype::F16);
		let values = narrow.values();
		// 2049 lies between 2048 and 2050.
		assert_eq!(values[..3], [1.0, -0.0999755859375, 2048.0]);
		assert!(values[3].is_infinite() && values[4].is_nan());
		let again = narrow.floats_as(Dtype::F32);
		assert_eq!(again.as_f32().unwrap()[..3], [1.0, -0.099_975_586, 2048.0]);
		assert_eq!(wide.clone().floats_as(Dtype::F32).as_f32().unwrap()[1], -0.1);
		let ids = Tensor { shape: vec![1], data: Data::I64(vec![7]) };
		assert_eq!(ids.clone().floats_as(Dtype::F16), ids);
	}

	#[test]
	fn ids_and_time_steps_have_the_type_that_is_asked_for() {
		let ids = |dtype| Data::ids(dtype, [0, 49_407].into_iter());
		assert_eq!(ids(Dtype::I32), Some(Data::I32(vec![0, 49_407])));
		assert_eq!(ids(Dtype::I64), Some(Data::I64(vec![0, 49_407])));
		assert_eq!(ids(Dtype::F32), None);
		let step = |dtype| Data::number(dtype, 998.75);
		assert_eq!(step(Dtype::I32), Some(Data::I32(vec![998])));
		assert_eq!(step(Dtype::I64), Some(Data::I64(vec![998])));
		// Beyond 512, half precision has every half only.
		assert_eq!(step(Dtype::F16), Some(Data::F16(vec![f16::from_f32(999.0)])));
		assert_eq!(step(Dtype::F32), Some(Data::F32(vec![998.75])));
		assert_eq!(step(Dtype::F64), Some(Data::F64(vec![998.75])));
		assert_eq!(step(Dtype::Bool), None);
	}
}
