//! What travels over HTTP between a coordinator and a miner.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /v1/miner/tasks/{task}/inputs` | [`Inputs`] as JSON: the hash of each item's input |
//! | `GET /v1/miner/blobs/{hash}` | the bytes with that hash |
//! | `PUT /v1/miner/tasks/{task}/outputs/{item}?sketch={hex}` | 204; the body is the item's output, the sketch that of its leaf |
//!
//! Every request carries [`HEADER_ACCOUNT`], [`HEADER_EXPIRES`], [`HEADER_BODY`] and [`HEADER_SIGNATURE`]: an sr25519 signature of the seat's operator over
//! [`request_digest`]. An input of a [`TextToImage`](crate::ModelKind::TextToImage) model is a [`TextToImageInput`] as JSON, of a
//! [`Tensor`](crate::ModelKind::Tensor) model a safetensors file of its named inputs, of a [`TextEmbedding`](crate::ModelKind::TextEmbedding) model a
//! [`TextEmbeddingInput`] as JSON. An output is a safetensors file: the model's named outputs; or one `u8` tensor [`IMAGE_TENSOR`] of shape
//! `[height, width, 3]`; or one `f32` tensor [`EMBEDDING_TENSOR`] of shape `[dimensions]`. Where an input cannot be run, or gives values that are
//! not finite numbers or more than [`MAX_BLOB_BYTES`], the output is [`NO_OUTPUT`]: that is a result too, on which honest miners agree.

use codec::Encode;
use serde::{Deserialize, Serialize};
use sp_core::H256;
use sp_crypto_hashing::blake2_256;
use sp_runtime::AccountId32;

/// The requesting operator's account, as SS58.
pub const HEADER_ACCOUNT: &str = "cuckoo-account";
/// When the request stops being valid, in seconds of Unix time.
pub const HEADER_EXPIRES: &str = "cuckoo-expires";
/// BLAKE2b-256 of the request's body, as hex: so that the signature can be checked before the body is taken in.
pub const HEADER_BODY: &str = "cuckoo-body";
/// The signature over [`request_digest`], as hex.
pub const HEADER_SIGNATURE: &str = "cuckoo-signature";
/// How far ahead of its arrival a request may expire, in seconds.
pub const MAX_REQUEST_LIFE: u64 = 60;
/// The output of an input that cannot be run, or has no usable output.
pub const NO_OUTPUT: &[u8] = b"cuckoo/no-output";
/// The name of the tensor that holds a picture.
pub const IMAGE_TENSOR: &str = "image";
/// The name of the tensor that holds a text's embedding.
pub const EMBEDDING_TENSOR: &str = "embedding";
/// The longest prompt, in bytes of UTF-8.
pub const MAX_PROMPT_BYTES: usize = 2_000;
/// The longest text to embed, in bytes of UTF-8: more than any model reads of it.
pub const MAX_TEXT_BYTES: usize = 65_536;
/// The most denoising steps of one picture.
pub const MAX_STEPS: u32 = 150;
/// The largest input or output of one item, in bytes.
pub const MAX_BLOB_BYTES: usize = 64 << 20;

/// The hashes of a task's inputs, in the order of its items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
	/// BLAKE2b-256 of each input's bytes.
	pub hashes: Vec<H256>,
}

/// What a signature over a request covers: the coordinator it is for, method, path, BLAKE2b-256 of the body, and expiry. Whoever sees the request can
/// send it to nobody else, change nothing in it, and not keep it.
pub fn request_digest(
	genesis: &H256,
	coordinator: &AccountId32,
	method: &str,
	path: &str,
	body: H256,
	expires: u64,
) -> [u8; 32] {
	(b"cuckoo/request", genesis, coordinator, method, path, body, expires).using_encoded(blake2_256)
}

/// A prompt and everything else that decides which picture it becomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextToImageInput {
	/// What the picture shows.
	pub prompt: String,
	/// What it must not show.
	#[serde(default)]
	pub negative_prompt: String,
	/// Seeds the noise that the picture starts from.
	pub seed: u64,
	/// Denoising steps, 1 to [`MAX_STEPS`].
	pub steps: u32,
	/// How strongly the prompt is followed: 1 is not at all beyond the model's own habit.
	pub guidance_scale: f32,
}

/// A text of which the embedding is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextEmbeddingInput {
	/// The text, at most [`MAX_TEXT_BYTES`] long. A model reads its beginning, as far as it was made for.
	pub text: String,
}

/// Why an input cannot be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidInput {
	/// The prompt is empty or only white space.
	EmptyPrompt,
	/// A prompt is longer than [`MAX_PROMPT_BYTES`].
	PromptTooLong,
	/// `steps` is outside 1 to [`MAX_STEPS`].
	Steps,
	/// `guidance_scale` is not a number from 0 to 50.
	Guidance,
	/// The text is empty or only white space.
	EmptyText,
	/// The text is longer than [`MAX_TEXT_BYTES`].
	TextTooLong,
}

impl core::fmt::Display for InvalidInput {
	fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
		match self {
			Self::EmptyPrompt => write!(f, "the prompt is empty"),
			Self::PromptTooLong => {
				write!(f, "the prompt is longer than {MAX_PROMPT_BYTES} bytes")
			},
			Self::Steps => write!(f, "steps must be from 1 to {MAX_STEPS}"),
			Self::Guidance => write!(f, "guidance_scale must be a number from 0 to 50"),
			Self::EmptyText => write!(f, "the text is empty"),
			Self::TextTooLong => write!(f, "the text is longer than {MAX_TEXT_BYTES} bytes"),
		}
	}
}

impl std::error::Error for InvalidInput {}

impl TextToImageInput {
	/// Checks the bounds that coordinator and miner share.
	pub fn validate(&self) -> Result<(), InvalidInput> {
		if self.prompt.trim().is_empty() {
			return Err(InvalidInput::EmptyPrompt);
		}
		if self.prompt.len().max(self.negative_prompt.len()) > MAX_PROMPT_BYTES {
			return Err(InvalidInput::PromptTooLong);
		}
		if !(1..=MAX_STEPS).contains(&self.steps) {
			return Err(InvalidInput::Steps);
		}
		if !(0.0..=50.0).contains(&self.guidance_scale) {
			return Err(InvalidInput::Guidance);
		}
		Ok(())
	}
}

impl TextEmbeddingInput {
	/// Checks the bounds that coordinator and miner share.
	pub fn validate(&self) -> Result<(), InvalidInput> {
		if self.text.trim().is_empty() {
			return Err(InvalidInput::EmptyText);
		}
		if self.text.len() > MAX_TEXT_BYTES {
			return Err(InvalidInput::TextTooLong);
		}
		Ok(())
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn input() -> TextToImageInput {
		TextToImageInput {
			prompt: "a red circle".into(),
			negative_prompt: String::new(),
			seed: 1,
			steps: 20,
			guidance_scale: 4.0,
		}
	}

	#[test]
	fn prompts_have_bounds() {
		assert_eq!(input().validate(), Ok(()));
		let bad = |change: fn(&mut TextToImageInput)| {
			let mut input = input();
			change(&mut input);
			input.validate()
		};
		assert_eq!(bad(|i| i.prompt = "  \n".into()), Err(InvalidInput::EmptyPrompt));
		assert_eq!(bad(|i| i.prompt = "x".repeat(2_001)), Err(InvalidInput::PromptTooLong));
		assert_eq!(
			bad(|i| i.negative_prompt = "x".repeat(2_001)),
			Err(InvalidInput::PromptTooLong)
		);
		assert_eq!(bad(|i| i.steps = 0), Err(InvalidInput::Steps));
		assert_eq!(bad(|i| i.steps = 151), Err(InvalidInput::Steps));
		assert_eq!(bad(|i| i.guidance_scale = f32::NAN), Err(InvalidInput::Guidance));
		assert_eq!(bad(|i| i.guidance_scale = -1.0), Err(InvalidInput::Guidance));
	}

	#[test]
	fn texts_have_bounds() {
		let checked = |text: String| TextEmbeddingInput { text }.validate();
		assert_eq!(checked("x".repeat(MAX_TEXT_BYTES)), Ok(()));
		assert_eq!(checked("x".repeat(MAX_TEXT_BYTES + 1)), Err(InvalidInput::TextTooLong));
		assert_eq!(checked(" \n".into()), Err(InvalidInput::EmptyText));
	}

	#[test]
	fn a_signature_covers_receiver_method_path_body_and_expiry() {
		let digest = |genesis: u8, to: u8, method, path, body: &[u8], expires| {
			request_digest(
				&H256::repeat_byte(genesis),
				&AccountId32::new([to; 32]),
				method,
				path,
				blake2_256(body).into(),
				expires,
			)
		};
		let all = [
			digest(1, 1, "PUT", "/a", b"x", 1),
			digest(2, 1, "PUT", "/a", b"x", 1),
			digest(1, 2, "PUT", "/a", b"x", 1),
			digest(1, 1, "GET", "/a", b"x", 1),
			digest(1, 1, "PUT", "/b", b"x", 1),
			digest(1, 1, "PUT", "/a", b"y", 1),
			digest(1, 1, "PUT", "/a", b"x", 2),
			digest(1, 1, "PUT/", "a", b"x", 1),
		];
		for (i, a) in all.iter().enumerate() {
			assert!(all.iter().skip(i + 1).all(|b| a != b));
		}
	}
}
