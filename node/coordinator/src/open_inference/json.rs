//! Tensors' elements in JSON, in both directions.
//!
//! Elements are read from the text that the client wrote: a number becomes the nearest one of its tensor's type at once, and a list of a million numbers takes
//! no more memory than the tensor that it is.

use std::str::FromStr;

use serde::ser::{Error, Serialize, Serializer};
use serde_json::value::RawValue;

use super::tensor::{elements, Datatype, Tensor, Wrong};

/// Larger tensors than this, in bytes, are not written in JSON, which takes several times as much.
const MAX_WRITTEN_BYTES: usize = 16 << 20;
/// How many characters of what is wrong are shown.
const SHOWN: usize = 40;

/// What a list of elements is made of. Commas say nothing that is not known: the text is JSON.
enum Token<'a> {
	Open,
	Close,
	Element(&'a str),
}

/// The tokens of a JSON text.
struct Tokens<'a>(&'a str);

const BETWEEN: [char; 5] = [',', ' ', '\t', '\n', '\r'];
const ENDS: [char; 7] = ['[', ']', ',', ' ', '\t', '\n', '\r'];

impl<'a> Iterator for Tokens<'a> {
	type Item = Token<'a>;

	fn next(&mut self) -> Option<Token<'a>> {
		self.0 = self.0.trim_start_matches(BETWEEN);
		let length = match self.0.bytes().next()? {
			b'[' | b']' => 1,
			b'"' => string_length(self.0),
			_ => self.0.find(ENDS).unwrap_or(self.0.len()),
		};
		let (token, rest) = self.0.split_at(length);
		self.0 = rest;
		Some(match token {
			"[" => Token::Open,
			"]" => Token::Close,
			element => Token::Element(element),
		})
	}
}

/// The bytes of the JSON string that a text begins with, quotes included.
fn string_length(text: &str) -> usize {
	let mut escaped = false;
	for (at, byte) in text.bytes().enumerate().skip(1) {
		match byte {
			_ if escaped => escaped = false,
			b'\\' => escaped = true,
			b'"' => return at + 1,
			_ => {},
		}
	}
	text.len()
}

/// The elements of a tensor: one flat list of them, or lists within lists as the shape says.
pub fn read_elements(
	json: &RawValue,
	datatype: Datatype,
	shape: &[usize],
) -> Result<Vec<u8>, Wrong> {
	let text = json.get();
	let misfit = || Wrong(format!("its data is not a list of {shape:?} elements"));
	// An element is at least a digit and a comma. So no more memory is taken below than four times what was sent.
	let total = elements(shape).filter(|total| *total <= text.len() / 2).ok_or_else(misfit)?;
	let mut data = Vec::with_capacity(total * datatype.size().unwrap_or(0));
	let mut taken = 0;
	// How many each open list holds so far, the outermost first.
	let mut open: Vec<usize> = Vec::new();
	// Whether there are lists within the outermost one: what comes first in it decides.
	let mut nested = None;
	for token in Tokens(text) {
		if matches!(token, Token::Open | Token::Element(_)) {
			let is_list = matches!(token, Token::Open);
			if open.len() == 1 && *nested.get_or_insert(is_list) != is_list {
				return Err(misfit());
			}
			if let Some(count) = open.last_mut() {
				*count += 1;
			}
		}
		match token {
			Token::Open if open.len() >= shape.len().max(1) => return Err(misfit()),
			Token::Open => open.push(0),
			Token::Close => {
				let count = open.pop().ok_or_else(misfit)?;
				let wanted =
					if nested == Some(true) { shape.get(open.len()) } else { Some(&total) };
				if wanted != Some(&count) {
					return Err(misfit());
				}
			},
			Token::Element(element) => {
				let depth = if nested == Some(true) { shape.len() } else { 1 };
				if open.len() != depth || taken == total {
					return Err(misfit());
				}
				taken += 1;
				read_element(element, datatype, &mut data)?;
			},
		}
	}
	Ok(data)
}

fn read_element(text: &str, datatype: Datatype, data: &mut Vec<u8>) -> Result<(), Wrong> {
	fn add<T: FromStr, const N: usize>(
		text: &str,
		data: &mut Vec<u8>,
		write: fn(T) -> [u8; N],
	) -> Option<()> {
		data.extend_from_slice(&write(text.parse().ok()?));
		Some(())
	}
	let read = match datatype {
		Datatype::Bool => text.parse().ok().map(|truth: bool| data.push(truth.into())),
		Datatype::Uint8 => add(text, data, u8::to_le_bytes),
		Datatype::Int32 => add(text, data, i32::to_le_bytes),
		Datatype::Int64 => add(text, data, i64::to_le_bytes),
		// A number that is too large reads as infinity.
		Datatype::Fp32 => text
			.parse::<f32>()
			.ok()
			.filter(|number| number.is_finite())
			.map(|number| data.extend_from_slice(&number.to_le_bytes())),
		Datatype::Fp64 => text
			.parse::<f64>()
			.ok()
			.filter(|number| number.is_finite())
			.map(|number| data.extend_from_slice(&number.to_le_bytes())),
		Datatype::Fp16 => return Err(Wrong("FP16 is taken as binary data only".into())),
		Datatype::Bytes => serde_json::from_str(text).ok().and_then(|text: String| {
			data.extend_from_slice(&u32::try_from(text.len()).ok()?.to_le_bytes());
			data.extend_from_slice(text.as_bytes());
			Some(())
		}),
	};
	read.ok_or_else(|| {
		let shown: String = text.chars().take(SHOWN).collect();
		Wrong(format!("{shown} is no {datatype}"))
	})
}

/// Whether JSON can carry a tensor: it has no number that is not finite, and no half precision in this protocol, and it is not too large.
pub fn fits(tensor: &Tensor) -> bool {
	tensor.data.len() <= MAX_WRITTEN_BYTES
		&& match tensor.datatype {
			Datatype::Fp16 | Datatype::Bytes => false,
			Datatype::Fp32 => each(&tensor.data, f32::from_le_bytes).all(f32::is_finite),
			Datatype::Fp64 => each(&tensor.data, f64::from_le_bytes).all(f64::is_finite),
			Datatype::Bool | Datatype::Uint8 | Datatype::Int32 | Datatype::Int64 => true,
		}
}

/// The elements of a tensor that [fits], as one flat list.
pub struct Elements<'a>(pub &'a Tensor);

impl Serialize for Elements<'_> {
	fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
		let data = &self.0.data;
		match self.0.datatype {
			Datatype::Bool => to.collect_seq(data.iter().map(|byte| *byte != 0)),
			Datatype::Uint8 => to.collect_seq(data.iter()),
			Datatype::Int32 => to.collect_seq(each(data, i32::from_le_bytes)),
			Datatype::Int64 => to.collect_seq(each(data, i64::from_le_bytes)),
			Datatype::Fp32 => to.collect_seq(each(data, f32::from_le_bytes)),
			Datatype::Fp64 => to.collect_seq(each(data, f64::from_le_bytes)),
			Datatype::Fp16 | Datatype::Bytes => Err(S::Error::custom("not written in JSON")),
		}
	}
}

/// Every element of little-endian data.
pub fn each<T: 'static, const N: usize>(
	data: &[u8],
	read: fn([u8; N]) -> T,
) -> impl Iterator<Item = T> + '_ {
	data.as_chunks::<N>().0.iter().map(move |chunk| read(*chunk))
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::open_inference::tensor::tests::{tensor, texts};

	fn read(json: &str, datatype: Datatype, shape: &[usize]) -> Result<Vec<u8>, Wrong> {
		read_elements(serde_json::from_str(json).unwrap(), datatype, shape)
	}

	#[test]
	fn flat_and_nested_lists_are_the_same_tensor() {
		let golden = [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 255, 255, 255, 255];
		let same: &[(&str, &[usize])] = &[
			("[1,2,3,-1]", &[2, 2]),
			("[[1,2],[3,-1]]", &[2, 2]),
			(" [ [1 ,\t2] , [3,-1]\n] ", &[2, 2]),
			("[1,2,3,-1]", &[4]),
			("[[[[1],[2]],[[3],[-1]]]]", &[1, 2, 2, 1]),
			("[1,2,3,-1]", &[1, 2, 2, 1]),
		];
		for (json, shape) in same {
			assert_eq!(read(json, Datatype::Int32, shape).unwrap(), golden, "{json}");
		}
		assert_eq!(read("[7]", Datatype::Uint8, &[]).unwrap(), [7]);
		let empty: &[(&str, &[usize])] =
			&[("[]", &[0]), ("[]", &[2, 0]), ("[[],[]]", &[2, 0]), ("[]", &[0, 2])];
		for (json, shape) in empty {
			assert!(read(json, Datatype::Fp64, shape).unwrap().is_empty(), "{json}");
		}
	}

	#[test]
	fn lists_of_another_form_than_the_shape_are_refused() {
		let misfits: &[(&str, &[usize])] = &[
			("[1,2,3]", &[2, 2]),
			("[1,2,3,4,5]", &[2, 2]),
			("[[1,2],[3]]", &[2, 2]),
			("[[1,2],[3,4],[5,6]]", &[2, 2]),
			("[[1,2,3,4]]", &[2, 2]),
			("[[1],[2],[3],[4]]", &[2, 2]),
			("[1,[2,3],4]", &[2, 2]),
			("[[1,2],3,4]", &[2, 2]),
			("[[[1],[2]],[[3],[4]]]", &[2, 2]),
			("[[1,2,3,4]]", &[4]),
			("[[7]]", &[]),
			("[]", &[]),
			("[]", &[1]),
			("[[],[]]", &[2, 1]),
			("[[]]", &[2, 0]),
			("7", &[]),
			("7", &[1]),
			("null", &[1]),
			("{\"a\":1}", &[1]),
			("[{\"a\":[1]}]", &[1]),
			("[[{}]]", &[1, 1]),
		];
		for (json, shape) in misfits {
			assert!(read(json, Datatype::Int64, shape).is_err(), "{json} {shape:?}");
		}
	}

	#[test]
	fn a_shape_far_larger_than_its_data_takes_no_memory() {
		let shapes: [&[usize]; 3] = [&[1 << 20], &[usize::MAX, 2], &[1 << 13, 1 << 13]];
		for shape in shapes {
			assert!(read("[1]", Datatype::Fp64, shape).is_err(), "{shape:?}");
		}
		let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
		assert!(read(&deep, Datatype::Fp64, &[1, 1]).is_err());
		let empty = format!("[{}[]]", "[],".repeat(100_000));
		assert!(read(&empty, Datatype::Fp64, &[2, 0]).is_err());
	}

	#[test]
	fn elements_are_of_their_type_and_in_its_range() {
		let good = [
			("[true,false]", Datatype::Bool, vec![1, 0]),
			("[255,0]", Datatype::Uint8, vec![255, 0]),
			("[1.5,-0.0]", Datatype::Fp32, vec![0, 0, 192, 63, 0, 0, 0, 128]),
			("[1e-3,2]", Datatype::Fp32, [1e-3f32, 2.0].map(f32::to_le_bytes).concat()),
			("[0.1,3E2]", Datatype::Fp64, [0.1f64, 300.0].map(f64::to_le_bytes).concat()),
			(
				"[9223372036854775807,-9223372036854775808]",
				Datatype::Int64,
				[i64::MAX, i64::MIN].map(i64::to_le_bytes).concat(),
			),
			(r#"["a, [b] \"c\"\\","\u00fc"]"#, Datatype::Bytes, texts(&["a, [b] \"c\"\\", "ü"])),
		];
		for (json, datatype, golden) in good {
			assert_eq!(read(json, datatype, &[2]).unwrap(), golden, "{json}");
		}
		for (json, datatype) in [
			("[1]", Datatype::Bool),
			("[\"true\"]", Datatype::Bool),
			("[256]", Datatype::Uint8),
			("[-1]", Datatype::Uint8),
			("[1.0]", Datatype::Int32),
			("[2147483648]", Datatype::Int32),
			("[9223372036854775808]", Datatype::Int64),
			("[1e39]", Datatype::Fp32),
			("[1e309]", Datatype::Fp64),
			("[null]", Datatype::Fp32),
			("[\"1\"]", Datatype::Fp32),
			("[\"inf\"]", Datatype::Fp64),
			("[1]", Datatype::Fp16),
			("[1]", Datatype::Bytes),
			("[null]", Datatype::Bytes),
			(r#"["\ud800"]"#, Datatype::Bytes),
		] {
			assert!(read(json, datatype, &[1]).is_err(), "{json} {datatype}");
		}
	}

	#[test]
	fn a_double_is_the_one_that_was_written() {
		for value in [0.1f64, f64::MIN_POSITIVE, 8.41e21, 1.0 / 3.0, f64::MAX, 5e-324] {
			let json = format!("[{value:e}]");
			assert_eq!(read(&json, Datatype::Fp64, &[1]).unwrap(), value.to_le_bytes(), "{json}");
		}
	}

	#[test]
	fn what_is_written_reads_back_and_what_json_cannot_carry_is_known() {
		let floats = [1.0f32, -0.5, 0.25, 1024.0];
		for (datatype, shape, data, json) in [
			(Datatype::Bool, [2, 1], vec![1, 0], "[true,false]"),
			(Datatype::Uint8, [1, 2], vec![0, 255], "[0,255]"),
			(Datatype::Int32, [1, 1], vec![254, 255, 255, 255], "[-2]"),
			(Datatype::Int64, [1, 0], vec![], "[]"),
			(
				Datatype::Fp32,
				[2, 2],
				floats.map(f32::to_le_bytes).concat(),
				"[1.0,-0.5,0.25,1024.0]",
			),
			(Datatype::Fp64, [1, 1], 0.1f64.to_le_bytes().to_vec(), "[0.1]"),
		] {
			let tensor = tensor("x", datatype, &shape, &data);
			assert!(fits(&tensor));
			let written = serde_json::to_string(&Elements(&tensor)).unwrap();
			assert_eq!(written, json);
			assert_eq!(read(&written, datatype, &shape).unwrap(), data);
		}
		let extremes = [f32::MAX, f32::MIN_POSITIVE, 1e-45].map(f32::to_le_bytes).concat();
		let written = tensor("x", Datatype::Fp32, &[3], &extremes);
		let written = serde_json::to_string(&Elements(&written)).unwrap();
		assert_eq!(read(&written, Datatype::Fp32, &[3]).unwrap(), extremes);

		assert!(!fits(&tensor("x", Datatype::Fp16, &[1], &[0, 60])));
		assert!(!fits(&tensor("x", Datatype::Fp32, &[1], &f32::NAN.to_le_bytes())));
		assert!(!fits(&tensor("x", Datatype::Fp64, &[1], &f64::INFINITY.to_le_bytes())));
		let large = vec![0; MAX_WRITTEN_BYTES + 1];
		assert!(!fits(&tensor("x", Datatype::Uint8, &[large.len()], &large)));
	}
}
