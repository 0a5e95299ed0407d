//! Models that take no tensors, as models that do: prompts and texts come as `BYTES` tensors, pictures and embeddings go as tensors with a row for each.

use axum::body::Bytes;
use cuckoo_primitives::work::{TextEmbeddingInput, TextToImageInput};

use super::{
	json::each,
	metadata::Spec,
	tensor::{Datatype, Tensor, Wrong},
};
use crate::{
	embeddings::{self, MAX_TEXTS},
	error::ApiError,
	openai::PromptFields,
	png::Picture,
};

const PROMPT: &str = "PROMPT";
const NEGATIVE_PROMPT: &str = "NEGATIVE_PROMPT";
const SEED: &str = "SEED";
const STEPS: &str = "STEPS";
const GUIDANCE_SCALE: &str = "GUIDANCE_SCALE";
/// The pictures that prompts become.
pub const IMAGE: &str = "IMAGE";
const TEXT: &str = "TEXT";
/// The embeddings of texts.
pub const EMBEDDING: &str = "EMBEDDING";
/// The most prompts of one request, as many as `/v1/images/generations` makes pictures.
const MAX_PROMPTS: usize = 10;

/// What a text-to-image model takes. All but the prompt may be left out.
pub fn picture_inputs() -> Vec<Spec> {
	[
		(PROMPT, Datatype::Bytes),
		(NEGATIVE_PROMPT, Datatype::Bytes),
		(SEED, Datatype::Int64),
		(STEPS, Datatype::Int32),
		(GUIDANCE_SCALE, Datatype::Fp32),
	]
	.map(|(name, datatype)| Spec { name: name.into(), datatype, shape: vec![-1] })
	.into()
}

/// What it gives: a picture for each prompt, all of one size.
pub fn picture_outputs() -> Vec<Spec> {
	vec![Spec { name: IMAGE.into(), datatype: Datatype::Uint8, shape: vec![-1, -1, -1, 3] }]
}

/// What a model of embeddings takes.
pub fn text_inputs() -> Vec<Spec> {
	vec![Spec { name: TEXT.into(), datatype: Datatype::Bytes, shape: vec![-1] }]
}

/// What it gives: an embedding for each text.
pub fn text_outputs() -> Vec<Spec> {
	vec![Spec { name: EMBEDDING.into(), datatype: Datatype::Fp32, shape: vec![-1, -1] }]
}

/// The prompts of a request, with these defaults for steps and guidance. Every other input is one value for all prompts or one for each; of one seed, or
/// of none, each further picture has the next.
pub fn prompts(
	inputs: &[Tensor],
	steps: u32,
	guidance: f32,
) -> Result<Vec<TextToImageInput>, ApiError> {
	let named = Named::new(inputs, &picture_inputs())?;
	let prompts = named.texts(PROMPT)?.unwrap_or_default();
	let count = at_least_one(PROMPT, prompts.len(), MAX_PROMPTS)?;
	let negative = for_each(NEGATIVE_PROMPT, named.texts(NEGATIVE_PROMPT)?, count)?;
	let each_steps: Vec<u32> = for_each(STEPS, named.integers(STEPS)?, count)?;
	let each_guidance = for_each(GUIDANCE_SCALE, named.numbers(GUIDANCE_SCALE)?, count)?;
	let seeds: Vec<u64> = named.integers(SEED)?.unwrap_or_default();
	if !matches!(seeds.len(), 0 | 1) && seeds.len() != count {
		return Err(misfit(SEED, seeds.len(), count).into());
	}

	let mut all: Vec<TextToImageInput> = Vec::with_capacity(count);
	for (at, prompt) in prompts.into_iter().enumerate() {
		let next = all.last().map(|before| before.seed.wrapping_add(1));
		let fields = PromptFields {
			prompt,
			negative_prompt: negative.get(at).cloned(),
			seed: seeds.get(at).copied().or(next),
			steps: each_steps.get(at).copied(),
			guidance_scale: each_guidance.get(at).copied(),
		};
		all.push(fields.into_input(steps, guidance)?);
	}
	Ok(all)
}

/// The texts of a request.
pub fn texts(inputs: &[Tensor]) -> Result<Vec<TextEmbeddingInput>, ApiError> {
	let texts = Named::new(inputs, &text_inputs())?.texts(TEXT)?.unwrap_or_default();
	at_least_one(TEXT, texts.len(), MAX_TEXTS)?;
	let mut all = Vec::with_capacity(texts.len());
	for text in texts {
		let input = TextEmbeddingInput { text };
		input.validate()?;
		all.push(input);
	}
	Ok(all)
}

fn at_least_one(name: &str, count: usize, limit: usize) -> Result<usize, Wrong> {
	if (1..=limit).contains(&count) {
		return Ok(count);
	}
	Err(Wrong(format!("the input {name} has {count} texts: 1 to {limit} are taken")))
}

fn misfit(name: &str, has: usize, count: usize) -> Wrong {
	Wrong(format!(
		"the input {name} has {has} values for {count} prompts: give one, or one for each"
	))
}

/// Inputs by name, each a list.
struct Named<'a>(&'a [Tensor]);

impl<'a> Named<'a> {
	/// These inputs, if the model knows them all.
	fn new(inputs: &'a [Tensor], known: &[Spec]) -> Result<Self, Wrong> {
		for input in inputs {
			if !known.iter().any(|spec| spec.name == input.name) {
				let known: Vec<_> = known.iter().map(|spec| spec.name.as_str()).collect();
				let why = format!("the model has no input {:?}; there is {known:?}", input.name);
				return Err(Wrong(why));
			}
			if input.shape.len() != 1 {
				let why = format!("the input {} is a list: its shape is like [2]", input.name);
				return Err(Wrong(why));
			}
		}
		Ok(Self(inputs))
	}

	fn get(&self, name: &str) -> Option<&'a Tensor> {
		self.0.iter().find(|input| input.name == name)
	}

	/// A list of texts; none if it is not there.
	fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Wrong> {
		let Some(input) = self.get(name) else { return Ok(None) };
		let texts = input.texts().ok_or_else(|| Wrong(format!("the input {name} is BYTES")))?;
		let read = |text: &[u8]| {
			let text = std::str::from_utf8(text);
			text.map(str::to_string).map_err(|_| Wrong(format!("the input {name} is not UTF-8")))
		};
		texts.into_iter().map(read).collect::<Result<_, _>>().map(Some)
	}

	/// A list of whole numbers of either width.
	fn integers<T: TryFrom<i64>>(&self, name: &str) -> Result<Option<Vec<T>>, Wrong> {
		let Some(input) = self.get(name) else { return Ok(None) };
		let wide: Vec<i64> = match input.datatype {
			Datatype::Int32 => each(&input.data, i32::from_le_bytes).map(i64::from).collect(),
			Datatype::Int64 => each(&input.data, i64::from_le_bytes).collect(),
			_ => return Err(Wrong(format!("the input {name} is INT32 or INT64"))),
		};
		let read = |number: i64| {
			T::try_from(number).map_err(|_| Wrong(format!("the input {name} cannot be {number}")))
		};
		wide.into_iter().map(read).collect::<Result<_, _>>().map(Some)
	}

	/// A list of floats of either width.
	fn numbers(&self, name: &str) -> Result<Option<Vec<f32>>, Wrong> {
		let Some(input) = self.get(name) else { return Ok(None) };
		Ok(Some(match input.datatype {
			Datatype::Fp32 => each(&input.data, f32::from_le_bytes).collect(),
			Datatype::Fp64 => {
				each(&input.data, f64::from_le_bytes).map(|wide| wide as f32).collect()
			},
			_ => return Err(Wrong(format!("the input {name} is FP32 or FP64"))),
		}))
	}
}

/// A value for each prompt; none if the input is not there.
fn for_each<T: Clone>(name: &str, values: Option<Vec<T>>, count: usize) -> Result<Vec<T>, Wrong> {
	let Some(values) = values else { return Ok(Vec::new()) };
	match values.as_slice() {
		all if all.len() == count => Ok(values),
		[one] => Ok(vec![one.clone(); count]),
		_ => Err(misfit(name, values.len(), count)),
	}
}

/// Pictures, as miners delivered them, one behind the other.
pub fn picture_tensor(files: &[Bytes]) -> Result<Tensor, Wrong> {
	let mut shape = None;
	let mut data = Vec::with_capacity(files.iter().map(Bytes::len).sum());
	for file in files {
		let picture = Picture::read(file).map_err(|error| Wrong(error.to_string()))?;
		let sides = (picture.height, picture.width);
		if *shape.get_or_insert(sides) != sides {
			return Err(Wrong("the pictures are of different sizes".into()));
		}
		data.extend_from_slice(picture.pixels);
	}
	let (height, width) = shape.unwrap_or_default();
	let side = |side: u32| usize::try_from(side).unwrap_or(usize::MAX);
	Tensor::new(IMAGE, Datatype::Uint8, vec![files.len(), side(height), side(width), 3], data)
}

/// Embeddings, as miners delivered them, one behind the other.
pub fn embedding_tensor(files: &[Bytes]) -> Result<Tensor, Wrong> {
	let mut size = None;
	let mut data = Vec::with_capacity(files.iter().map(Bytes::len).sum());
	for file in files {
		let embedding = embeddings::read(file).map_err(|error| Wrong(error.to_string()))?;
		if *size.get_or_insert(embedding.len()) != embedding.len() {
			return Err(Wrong("the embeddings are of different sizes".into()));
		}
		data.extend(embedding.iter().flat_map(|number| number.to_le_bytes()));
	}
	let shape = vec![files.len(), size.unwrap_or(0)];
	Tensor::new(EMBEDDING, Datatype::Fp32, shape, data)
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::open_inference::tensor::tests::{tensor, texts as bytes};
	use cuckoo_primitives::work::{EMBEDDING_TENSOR, IMAGE_TENSOR};
	use safetensors::{tensor::TensorView, Dtype};

	fn prompt(texts: &[&str]) -> Tensor {
		tensor(PROMPT, Datatype::Bytes, &[texts.len()], &bytes(texts))
	}

	#[test]
	fn a_prompt_alone_is_enough_and_further_pictures_have_the_next_seeds() {
		let all = prompts(&[prompt(&["a red circle", "a blue square"])], 20, 4.0).unwrap();
		assert_eq!(
			(all[0].prompt.as_str(), all[1].prompt.as_str()),
			("a red circle", "a blue square")
		);
		assert_eq!((all[0].steps, all[0].guidance_scale), (20, 4.0));
		assert_eq!(all[1].seed, all[0].seed + 1);
		let seed = tensor(SEED, Datatype::Int64, &[1], &5i64.to_le_bytes());
		let all = prompts(&[seed, prompt(&["x", "y", "z"])], 20, 4.0).unwrap();
		assert_eq!(all.iter().map(|input| input.seed).collect::<Vec<_>>(), [5, 6, 7]);
	}

	#[test]
	fn every_input_is_one_for_all_or_one_for_each_and_of_either_width() {
		let all = prompts(
			&[
				prompt(&["x", "y"]),
				tensor(NEGATIVE_PROMPT, Datatype::Bytes, &[1], &bytes(&["dark"])),
				tensor(SEED, Datatype::Int32, &[2], &[9, 0, 0, 0, 3, 0, 0, 0]),
				tensor(
					STEPS,
					Datatype::Int64,
					&[2],
					&[4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0],
				),
				tensor(GUIDANCE_SCALE, Datatype::Fp64, &[1], &2.5f64.to_le_bytes()),
			],
			20,
			4.0,
		)
		.unwrap();
		let input = |prompt: &str, seed, steps| TextToImageInput {
			prompt: prompt.into(),
			negative_prompt: "dark".into(),
			seed,
			steps,
			guidance_scale: 2.5,
		};
		assert_eq!(all, [input("x", 9, 4), input("y", 3, 5)]);
	}

	#[test]
	fn inputs_that_are_not_the_models_are_refused() {
		let seed = |value: i64| tensor(SEED, Datatype::Int64, &[1], &value.to_le_bytes());
		let steps = |datatype, data: &[u8]| tensor(STEPS, datatype, &[1], data);
		let x = || prompt(&["x"]);
		for inputs in [
			vec![],
			vec![seed(1)],
			vec![prompt(&[])],
			vec![prompt(&[" "])],
			vec![prompt(&["x"; 11])],
			vec![tensor(PROMPT, Datatype::Bytes, &[], &bytes(&["x"]))],
			vec![tensor(PROMPT, Datatype::Bytes, &[1, 1], &bytes(&["x"]))],
			vec![tensor(PROMPT, Datatype::Uint8, &[1], &[1])],
			vec![tensor(PROMPT, Datatype::Bytes, &[1], &[1, 0, 0, 0, 255])],
			vec![x(), tensor("prompt", Datatype::Bytes, &[1], &bytes(&["x"]))],
			vec![x(), seed(-1)],
			vec![x(), steps(Datatype::Int32, &[255; 4])],
			vec![x(), steps(Datatype::Int32, &[0; 4])],
			vec![x(), steps(Datatype::Int64, &[0, 0, 0, 0, 1, 0, 0, 0])],
			vec![x(), steps(Datatype::Uint8, &[5])],
			vec![x(), tensor(STEPS, Datatype::Int32, &[0], &[])],
			vec![x(), tensor(STEPS, Datatype::Int32, &[2], &[5; 8])],
			vec![x(), tensor(GUIDANCE_SCALE, Datatype::Fp32, &[1], &f32::NAN.to_le_bytes())],
			vec![x(), tensor(NEGATIVE_PROMPT, Datatype::Bytes, &[2], &bytes(&["a", "b"]))],
		] {
			assert!(prompts(&inputs, 20, 4.0).is_err(), "{inputs:?}");
		}
		let two_seeds = tensor(SEED, Datatype::Int32, &[2], &[0; 8]);
		assert!(prompts(&[prompt(&["x", "y", "z"]), two_seeds], 20, 4.0).is_err());
	}

	#[test]
	fn texts_are_checked_as_everywhere() {
		let text = |texts: &[&str]| [tensor(TEXT, Datatype::Bytes, &[texts.len()], &bytes(texts))];
		let all = super::texts(&text(&["one", "two"])).unwrap();
		assert_eq!(all.iter().map(|input| input.text.as_str()).collect::<Vec<_>>(), ["one", "two"]);
		assert!(super::texts(&text(&[])).is_err());
		assert!(super::texts(&text(&["one", ""])).is_err());
		assert!(super::texts(&[]).is_err());
		assert!(super::texts(&[prompt(&["one"])]).is_err());
	}

	fn file(name: &str, dtype: Dtype, shape: &[usize], data: &[u8]) -> Bytes {
		let view = TensorView::new(dtype, shape.to_vec(), data).unwrap();
		safetensors::serialize([(name, view)], None).unwrap().into()
	}

	#[test]
	fn pictures_become_one_tensor_with_a_row_for_each() {
		let picture = |colour| file(IMAGE_TENSOR, Dtype::U8, &[1, 2, 3], &[colour; 6]);
		let both = picture_tensor(&[picture(1), picture(2)]).unwrap();
		let golden = [[1u8; 6], [2; 6]].concat();
		assert_eq!(both, tensor(IMAGE, Datatype::Uint8, &[2, 1, 2, 3], &golden));
		let other = file(IMAGE_TENSOR, Dtype::U8, &[2, 1, 3], &[0; 6]);
		assert!(picture_tensor(&[picture(1), other]).is_err());
		assert!(picture_tensor(&[Bytes::from_static(b"junk")]).is_err());
	}

	#[test]
	fn embeddings_become_one_tensor_with_a_row_for_each() {
		let one = [0u8, 0, 128, 63, 0, 0, 0, 192];
		let embedding = |data: &[u8]| file(EMBEDDING_TENSOR, Dtype::F32, &[data.len() / 4], data);
		let both = embedding_tensor(&[embedding(&one), embedding(&one)]).unwrap();
		assert_eq!(both, tensor(EMBEDDING, Datatype::Fp32, &[2, 2], &[one, one].concat()));
		assert!(embedding_tensor(&[embedding(&one), embedding(&one[..4])]).is_err());
		assert!(embedding_tensor(&[Bytes::from_static(b"junk")]).is_err());
	}
}
