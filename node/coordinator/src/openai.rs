//! The objects of the OpenAI API that applications send and get.

use std::time::Duration;

use axum::{
	body::Bytes,
	extract::{rejection::BytesRejection, FromRequest, Request},
	http::{header, HeaderMap, StatusCode},
};
use cuckoo_primitives::{work::TextToImageInput, BlockNumber, TaskId};
use serde::{de::DeserializeOwned, Deserialize, Serialize};
use sp_core::{crypto::AccountId32, H256};

use crate::{error::ApiError, id::JobId, job::Progress};

/// Takes in a request's body, within the route's limit and this time.
pub async fn receive(request: Request, within: Duration) -> Result<Bytes, ApiError> {
	match tokio::time::timeout(within, Bytes::from_request(request, &())).await {
		Ok(body) => body.map_err(|rejection: BytesRejection| match rejection.status() {
			StatusCode::PAYLOAD_TOO_LARGE => {
				let message = "the request is larger than is accepted here";
				ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
			},
			status => ApiError::new(status, "incomplete_body", rejection.body_text()),
		}),
		Err(_) => {
			let message = "the request did not arrive in time";
			Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", message))
		},
	}
}

/// Reads a JSON body. Its content type must say that it is one: a web page on another site can make a browser send anything else without asking.
pub fn parse<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, ApiError> {
	let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
	let kind = kind.split(';').next().unwrap_or("").trim();
	if !kind.eq_ignore_ascii_case("application/json") {
		let message = "the body must be JSON, with the header Content-Type: application/json";
		return Err(ApiError::new(
			StatusCode::UNSUPPORTED_MEDIA_TYPE,
			"unsupported_media_type",
			message,
		));
	}
	serde_json::from_slice(body).map_err(|error| {
		let message = format!("the body is not the expected JSON: {error}");
		ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", message)
	})
}

/// What decides which picture a prompt becomes.
#[derive(Clone, Debug, Deserialize)]
pub struct PromptFields {
	/// What the picture shows.
	pub prompt: String,
	/// What it must not show.
	pub negative_prompt: Option<String>,
	/// Seeds the noise; random without.
	pub seed: Option<u64>,
	/// Denoising steps.
	pub steps: Option<u32>,
	/// How strongly the prompt is followed.
	pub guidance_scale: Option<f32>,
}

impl PromptFields {
	/// The input for the miner, checked, with these defaults for steps and guidance.
	pub fn into_input(self, steps: u32, guidance: f32) -> Result<TextToImageInput, ApiError> {
		// JSON's numbers are whole up to 2^53, so a seed that is told to the application must not be larger.
		let seed = self.seed.unwrap_or_else(|| rand::random::<u64>() >> 11);
		let input = TextToImageInput {
			prompt: self.prompt,
			negative_prompt: self.negative_prompt.unwrap_or_default(),
			seed,
			steps: self.steps.unwrap_or(steps),
			guidance_scale: self.guidance_scale.unwrap_or(guidance),
		};
		input.validate()?;
		Ok(input)
	}
}

/// `POST /v1/images/generations`. Fields that are not here are ignored, as OpenAI does.
#[derive(Clone, Debug, Deserialize)]
pub struct ImagesRequest {
	/// What the pictures show.
	pub prompt: String,
	/// What they must not show.
	pub negative_prompt: Option<String>,
	/// Seeds the noise of the first; random without.
	pub seed: Option<u64>,
	/// Denoising steps.
	pub steps: Option<u32>,
	/// How strongly the prompt is followed.
	pub guidance_scale: Option<f32>,
	/// The model's name.
	pub model: Option<String>,
	/// How many pictures.
	pub n: Option<u32>,
	/// `b64_json`.
	pub response_format: Option<String>,
	/// `auto`, or the size that the model makes.
	pub size: Option<String>,
}

/// The most pictures of one request, as with OpenAI.
const MAX_PICTURES: u32 = 10;

impl ImagesRequest {
	/// What decides which picture the prompt becomes. No `#[serde(flatten)]`: numbers with fractions do not survive it.
	pub fn prompt(&self) -> PromptFields {
		PromptFields {
			prompt: self.prompt.clone(),
			negative_prompt: self.negative_prompt.clone(),
			seed: self.seed,
			steps: self.steps,
			guidance_scale: self.guidance_scale,
		}
	}

	/// How many pictures are wanted.
	pub fn count(&self) -> u32 {
		self.n.unwrap_or(1)
	}

	/// Checks what is not about the prompt; the size asked for, if there is one.
	pub fn wanted_size(&self) -> Result<Option<(u32, u32)>, ApiError> {
		if !(1..=MAX_PICTURES).contains(&self.count()) {
			let message = format!("n must be from 1 to {MAX_PICTURES}");
			return Err(ApiError::bad("n", "invalid_value", message));
		}
		match self.response_format.as_deref() {
			None | Some("b64_json") => {},
			Some(other) => {
				let message =
					format!("response_format {other:?} is not supported: use \"b64_json\"");
				return Err(ApiError::bad("response_format", "unsupported_value", message));
			},
		}
		match self.size.as_deref() {
			None | Some("auto") => Ok(None),
			Some(size) => {
				let sides = size.split_once('x').and_then(|(w, h)| Some((side(w)?, side(h)?)));
				sides.map(Some).ok_or_else(|| {
					let message = format!("size {size:?} is neither \"auto\" nor like \"64x64\"");
					ApiError::bad("size", "invalid_value", message)
				})
			},
		}
	}
}

fn side(text: &str) -> Option<u32> {
	text.parse().ok().filter(|side| *side > 0)
}

/// The answer to it.
#[derive(Debug, Serialize)]
pub struct ImagesResponse {
	/// When the request was accepted, in seconds of Unix time.
	pub created: u64,
	/// The pictures.
	pub data: Vec<ImageData>,
	/// Who made it, and where to look it up on chain.
	pub x_cuckoo: Receipt,
}

/// A picture.
#[derive(Debug, Serialize)]
pub struct ImageData {
	/// A PNG file in base64.
	pub b64_json: String,
	/// Always null: prompts are not rewritten.
	pub revised_prompt: Option<String>,
}

/// Who computed a job's output.
#[derive(Debug, Serialize)]
pub struct Receipt {
	/// The job.
	pub job: JobId,
	/// The task on chain.
	pub task: Option<TaskId>,
	/// The owner of the miner's pool.
	pub miner: Option<AccountId32>,
	/// The operator account that delivered the output.
	pub operator: Option<AccountId32>,
	/// The model's name.
	pub model: String,
	/// The model's files: the BLAKE2b-256 hash of its `SHA256SUMS`.
	pub manifest: H256,
	/// BLAKE2b-256 of each output's bytes.
	pub output_hashes: Vec<Option<H256>>,
	/// The seed of the first picture; each further one has the next.
	pub seed: Option<u64>,
	/// Blocks of the task so far.
	pub blocks: ReceiptBlocks,
}

/// The blocks that a task has behind it when its output comes.
#[derive(Debug, Serialize)]
pub struct ReceiptBlocks {
	/// The task was posted.
	pub posted: Option<BlockNumber>,
	/// Its miner was drawn.
	pub drawn: Option<BlockNumber>,
}

impl From<&Progress> for Receipt {
	fn from(of: &Progress) -> Self {
		let (job, blocks) = (&of.job, of.blocks());
		let hash = |item| of.output(item).map(|output| output.hash);
		Self {
			job: job.id,
			task: of.task(),
			miner: of.miner().cloned(),
			operator: of.operator().cloned(),
			model: job.model_name.clone(),
			manifest: job.manifest,
			output_hashes: (0..of.items()).map(hash).collect(),
			seed: job.seed,
			blocks: ReceiptBlocks { posted: blocks.posted, drawn: blocks.drawn },
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use axum::http::HeaderValue;

	fn json_headers() -> HeaderMap {
		let json = HeaderValue::from_static("application/json; charset=utf-8");
		HeaderMap::from_iter([(header::CONTENT_TYPE, json)])
	}

	fn images(body: &str) -> Result<ImagesRequest, ApiError> {
		parse(&json_headers(), body.as_bytes())
	}

	#[test]
	fn a_request_is_read_and_unknown_fields_are_ignored() {
		let request = images(
			r#"{"prompt":"a red circle","n":1,"size":"64x64","quality":"hd","user":"u","seed":5,"guidance_scale":3.5}"#,
		)
		.unwrap();
		assert_eq!(request.wanted_size().unwrap(), Some((64, 64)));
		let input = request.prompt().into_input(20, 4.0).unwrap();
		assert_eq!((input.seed, input.steps, input.guidance_scale), (5, 20, 3.5));
		assert!(input.negative_prompt.is_empty());
	}

	#[test]
	fn a_bad_request_says_which_field() {
		for (body, param) in [
			(r#"{"prompt":"x","n":11}"#, "n"),
			(r#"{"prompt":"x","n":0}"#, "n"),
			(r#"{"prompt":"x","response_format":"url"}"#, "response_format"),
			(r#"{"prompt":"x","size":"large"}"#, "size"),
			(r#"{"prompt":"x","size":"0x64"}"#, "size"),
		] {
			let error = images(body).unwrap().wanted_size().unwrap_err();
			assert_eq!((error.status, error.param), (StatusCode::BAD_REQUEST, Some(param)));
		}
		let long = format!(r#"{{"prompt":"{}"}}"#, "x".repeat(2_001));
		for (body, param) in [
			(r#"{"prompt":" "}"#, "prompt"),
			(long.as_str(), "prompt"),
			(r#"{"prompt":"x","steps":0}"#, "steps"),
			(r#"{"prompt":"x","guidance_scale":1000}"#, "guidance_scale"),
		] {
			let error = images(body).unwrap().prompt().into_input(20, 4.0).unwrap_err();
			assert_eq!((error.status, error.param), (StatusCode::BAD_REQUEST, Some(param)));
		}
		for body in ["", "{", "[]", r#"{"n":1}"#, r#"{"prompt":5}"#, r#"{"prompt":"x","seed":-1}"#]
		{
			assert_eq!(images(body).unwrap_err().status, StatusCode::BAD_REQUEST, "{body}");
		}
	}

	#[test]
	fn only_json_is_read() {
		let error = parse::<ImagesRequest>(&HeaderMap::new(), br#"{"prompt":"x"}"#).unwrap_err();
		assert_eq!(error.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
	}

	#[test]
	fn random_seeds_fit_a_json_number() {
		for _ in 0..1000 {
			let fields: PromptFields = serde_json::from_str(r#"{"prompt":"x"}"#).unwrap();
			assert!(fields.into_input(20, 4.0).unwrap().seed < 1 << 53);
		}
	}
}
