//! A picture as miners deliver it, and as applications want it.

use cuckoo_primitives::work::IMAGE_TENSOR;
use image::{codecs::png::PngEncoder, ExtendedColorType, ImageEncoder};
use safetensors::{Dtype, SafeTensors};

/// The widest and highest picture that is taken.
pub const MAX_SIDE: usize = 4096;
/// The longest list of tensors that is read: a header is JSON, and JSON takes many times its size in memory.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// Why these bytes are not what they should be.
#[derive(Debug, thiserror::Error)]
pub enum NotTensors {
	/// They are no safetensors file.
	#[error("not a safetensors file: {0}")]
	Format(String),
	/// They hold something else than one picture.
	#[error("not one tensor \"{IMAGE_TENSOR}\" of u8 and shape [height, width, 3]: {0}")]
	NotAPicture(String),
	/// The picture cannot be written as PNG.
	#[error("the picture cannot be written as PNG: {0}")]
	Encode(#[from] image::ImageError),
}

/// Reads a safetensors file of at least one tensor.
pub fn tensors(bytes: &[u8]) -> Result<SafeTensors<'_>, NotTensors> {
	let header = bytes.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
	if header > MAX_HEADER_BYTES {
		let why = format!("its header of {header} bytes is longer than {MAX_HEADER_BYTES}");
		return Err(NotTensors::Format(why));
	}
	let tensors =
		SafeTensors::deserialize(bytes).map_err(|error| NotTensors::Format(error.to_string()))?;
	if tensors.is_empty() {
		return Err(NotTensors::Format("it holds no tensor".into()));
	}
	Ok(tensors)
}

/// A picture in red, green and blue, row by row.
#[derive(Debug, PartialEq, Eq)]
pub struct Picture<'a> {
	/// Pixels in a row.
	pub width: u32,
	/// Rows.
	pub height: u32,
	/// Three bytes a pixel.
	pub pixels: &'a [u8],
}

impl<'a> Picture<'a> {
	/// Reads the output of a text-to-image model.
	pub fn read(bytes: &'a [u8]) -> Result<Self, NotTensors> {
		let tensors = tensors(bytes)?;
		let names = tensors.names();
		let image = tensors
			.tensor(IMAGE_TENSOR)
			.map_err(|_| NotTensors::NotAPicture(format!("the tensors are {names:?}")))?;
		if tensors.len() != 1 {
			return Err(NotTensors::NotAPicture(format!("the tensors are {names:?}")));
		}
		let sides = 1..=MAX_SIDE;
		match (image.dtype(), image.shape()) {
			(Dtype::U8, &[height, width, 3])
				if sides.contains(&height) && sides.contains(&width) =>
			{
				// The sides fit, and safetensors has checked that the data has the size of the shape.
				Ok(Self { width: width as u32, height: height as u32, pixels: image.data() })
			},
			(dtype, shape) => Err(NotTensors::NotAPicture(format!(
				"it is {dtype:?} {shape:?}; sides are 1 to {MAX_SIDE}"
			))),
		}
	}

	/// The picture as a PNG file.
	pub fn to_png(&self) -> Result<Vec<u8>, NotTensors> {
		let mut png = Vec::new();
		PngEncoder::new(&mut png).write_image(
			self.pixels,
			self.width,
			self.height,
			ExtendedColorType::Rgb8,
		)?;
		Ok(png)
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use safetensors::tensor::TensorView;

	fn file(name: &str, dtype: Dtype, shape: &[usize], data: &[u8]) -> Vec<u8> {
		let view = TensorView::new(dtype, shape.to_vec(), data).unwrap();
		safetensors::serialize([(name, view)], None).unwrap()
	}

	#[test]
	fn a_picture_becomes_a_png() {
		let pixels = [255, 0, 0, 0, 255, 0];
		let file = file("image", Dtype::U8, &[1, 2, 3], &pixels);
		let picture = Picture::read(&file).unwrap();
		assert_eq!((picture.width, picture.height), (2, 1));
		let png = picture.to_png().unwrap();
		assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
		let back = image::load_from_memory(&png).unwrap().to_rgb8();
		assert_eq!((back.width(), back.height()), (2, 1));
		assert_eq!(back.into_raw(), pixels);
	}

	#[test]
	fn what_is_not_a_picture_is_refused() {
		let zeros = vec![0; 3 * (MAX_SIDE + 1)];
		let bad = [
			b"".to_vec(),
			b"hello, I am a picture".to_vec(),
			u64::MAX.to_le_bytes().to_vec(),
			file("picture", Dtype::U8, &[1, 1, 3], &zeros[..3]),
			file("image", Dtype::F32, &[1, 1, 3], &zeros[..12]),
			file("image", Dtype::U8, &[1, 1, 4], &zeros[..4]),
			file("image", Dtype::U8, &[3], &zeros[..3]),
			file("image", Dtype::U8, &[0, 1, 3], &[]),
			file("image", Dtype::U8, &[1, MAX_SIDE + 1, 3], &zeros),
		];
		for file in bad {
			assert!(Picture::read(&file).is_err(), "{:?}", String::from_utf8_lossy(&file));
		}
		let view = || TensorView::new(Dtype::U8, vec![1, 1, 3], &zeros[..3]).unwrap();
		let two = safetensors::serialize([("image", view()), ("more", view())], None).unwrap();
		assert!(Picture::read(&two).is_err());
		assert!(tensors(&two).is_ok());
	}

	#[test]
	fn a_cut_file_is_refused() {
		let whole = file("image", Dtype::U8, &[1, 2, 3], &[1, 2, 3, 4, 5, 6]);
		for end in 0..whole.len() {
			assert!(Picture::read(&whole[..end]).is_err(), "{end}");
		}
	}
}
