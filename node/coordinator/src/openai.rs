//! The objects of the OpenAI API that applications send and get, and errors in its form.

use axum::{
	body::Bytes,
	extract::{rejection::BytesRejection, FromRequest, Request},
	http::{header, HeaderMap, HeaderName, HeaderValue, StatusCode},
	response::{IntoResponse, Response},
	Json,
};
use cuckoo_primitives::{
	work::{InvalidInput, TextToImageInput},
	BlockNumber, TaskId,
};
use serde::{de::DeserializeOwned, Deserialize, Serialize};
use sp_core::{crypto::AccountId32, H256};
use std::time::Duration;

use crate::{
	blobs::BlobError,
	book::BookError,
	chain::ChainError,
	job::{Job, JobId},
};

/// The job behind an answer.
pub const HEADER_JOB: HeaderName = HeaderName::from_static("x-cuckoo-job");
/// The task behind an answer.
pub const HEADER_TASK: HeaderName = HeaderName::from_static("x-cuckoo-task");
/// OpenAI's clients repeat a request after 408, 409, 429 and 5xx, unless this header says "false".
const HEADER_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// An error as OpenAI's clients understand it.
#[derive(Clone, Debug)]
pub struct ApiError {
	/// The status of the answer.
	pub status: StatusCode,
	/// What a program should look at.
	pub code: &'static str,
	/// What a person should read.
	pub message: String,
	/// The field of the request that is wrong.
	pub param: Option<&'static str>,
	/// Seconds after which the same request may succeed.
	pub retry_after: Option<u32>,
	/// The job that goes on, or has ended, under this id: sending the request again would start another one.
	pub job: Option<JobId>,
}

impl ApiError {
	/// An error with a message and nothing else.
	pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
		Self { status, code, message: message.into(), param: None, retry_after: None, job: None }
	}

	/// The request is wrong in this field.
	pub fn bad(param: &'static str, code: &'static str, message: impl Into<String>) -> Self {
		Self { param: Some(param), ..Self::new(StatusCode::BAD_REQUEST, code, message) }
	}

	/// There is nothing by that name.
	pub fn not_found(message: impl Into<String>) -> Self {
		Self::new(StatusCode::NOT_FOUND, "not_found", message)
	}

	/// Worth trying again after some seconds.
	pub fn retry_after(self, seconds: u32) -> Self {
		Self { retry_after: Some(seconds), ..self }
	}

	/// About this job.
	pub fn of_job(self, job: JobId) -> Self {
		Self { job: Some(job), ..self }
	}

	/// The cause goes to the log and not to a stranger.
	pub fn internal(cause: impl std::fmt::Display) -> Self {
		tracing::error!(%cause, "a request failed");
		let message = "the coordinator failed; its log says why";
		Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message)
	}

	fn kind(&self) -> &'static str {
		match self.status {
			StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
			StatusCode::UNAUTHORIZED => "authentication_error",
			StatusCode::FORBIDDEN => "permission_error",
			status if status.is_client_error() => "invalid_request_error",
			_ => "server_error",
		}
	}
}

impl IntoResponse for ApiError {
	fn into_response(self) -> Response {
		#[derive(Serialize)]
		struct Body<'a> {
			error: Object<'a>,
		}
		#[derive(Serialize)]
		struct Object<'a> {
			message: &'a str,
			#[serde(rename = "type")]
			kind: &'a str,
			param: Option<&'a str>,
			code: &'a str,
			#[serde(skip_serializing_if = "Option::is_none")]
			job: Option<JobId>,
		}
		let error = Object {
			message: &self.message,
			kind: self.kind(),
			param: self.param,
			code: self.code,
			job: self.job,
		};
		let mut response = (self.status, Json(Body { error })).into_response();
		let headers = response.headers_mut();
		if let Some(seconds) = self.retry_after {
			headers.insert(header::RETRY_AFTER, seconds.into());
		}
		if let Some(job) = self.job {
			set(headers, HEADER_JOB, job);
			headers.insert(HEADER_RETRY, HeaderValue::from_static("false"));
		}
		response
	}
}

/// Sets a header to a value of plain characters.
pub fn set(headers: &mut HeaderMap, name: HeaderName, value: impl std::fmt::Display) {
	if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
		headers.insert(name, value);
	}
}

impl From<BookError> for ApiError {
	fn from(error: BookError) -> Self {
		let message = error.to_string();
		match error {
			BookError::Full => {
				Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_jobs", message).retry_after(10)
			},
			BookError::KeyReused => {
				Self::new(StatusCode::CONFLICT, "idempotency_key_reused", message)
			},
			BookError::Unknown(_) => Self::not_found(message),
			error => Self::internal(error),
		}
	}
}

impl From<BlobError> for ApiError {
	fn from(error: BlobError) -> Self {
		match error {
			BlobError::TooLarge(_) => {
				Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", error.to_string())
			},
			error => Self::internal(error),
		}
	}
}

impl From<ChainError> for ApiError {
	fn from(error: ChainError) -> Self {
		tracing::warn!(%error, "a request found no chain");
		let message = "the coordinator's node does not answer; try again in a moment";
		Self::new(StatusCode::SERVICE_UNAVAILABLE, "chain_unavailable", message).retry_after(5)
	}
}

impl From<InvalidInput> for ApiError {
	fn from(error: InvalidInput) -> Self {
		let param = match error {
			InvalidInput::EmptyPrompt | InvalidInput::PromptTooLong => "prompt",
			InvalidInput::Steps => "steps",
			InvalidInput::Guidance => "guidance_scale",
		};
		Self::bad(param, "invalid_value", error.to_string())
	}
}

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
	/// The prompt and what goes with it.
	#[serde(flatten)]
	pub prompt: PromptFields,
	/// The model's name.
	pub model: Option<String>,
	/// How many pictures.
	pub n: Option<u32>,
	/// `b64_json`.
	pub response_format: Option<String>,
	/// `auto`, or the size that the model makes.
	pub size: Option<String>,
}

impl ImagesRequest {
	/// Checks what is not about the prompt; the size asked for, if there is one.
	pub fn wanted_size(&self) -> Result<Option<(u32, u32)>, ApiError> {
		if self.n.is_some_and(|n| n != 1) {
			let message = "n must be 1: send one request for each picture";
			return Err(ApiError::bad("n", "unsupported_value", message));
		}
		match self.response_format.as_deref() {
			None | Some("b64_json") => {},
			Some(other) => {
				let message = format!("response_format {other:?} is not supported: use \"b64_json\"");
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
	/// The picture.
	pub data: [ImageData; 1],
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
	/// BLAKE2b-256 of the output's bytes.
	pub output_hash: Option<H256>,
	/// The seed of the picture.
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

impl From<&Job> for Receipt {
	fn from(job: &Job) -> Self {
		Self {
			job: job.id,
			task: job.task,
			miner: job.miner.clone(),
			operator: job.output.as_ref().map(|output| output.operator.clone()),
			model: job.model_name.clone(),
			manifest: job.manifest,
			output_hash: job.output.as_ref().map(|output| output.hash),
			seed: job.seed,
			blocks: ReceiptBlocks { posted: job.blocks.posted, drawn: job.blocks.drawn },
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	async fn shown(error: ApiError) -> (StatusCode, HeaderMap, serde_json::Value) {
		let response = error.into_response();
		let (status, headers) = (response.status(), response.headers().clone());
		let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
		(status, headers, serde_json::from_slice(&body).unwrap())
	}

	fn json_headers() -> HeaderMap {
		let json = HeaderValue::from_static("application/json; charset=utf-8");
		HeaderMap::from_iter([(header::CONTENT_TYPE, json)])
	}

	fn images(body: &str) -> Result<ImagesRequest, ApiError> {
		parse(&json_headers(), body.as_bytes())
	}

	#[tokio::test]
	async fn errors_have_the_shape_that_clients_expect() {
		let (status, _, body) =
			shown(ApiError::bad("prompt", "invalid_value", "the prompt is empty")).await;
		assert_eq!(status, StatusCode::BAD_REQUEST);
		let expected = serde_json::json!({"error": {
			"message": "the prompt is empty",
			"type": "invalid_request_error",
			"param": "prompt",
			"code": "invalid_value",
		}});
		assert_eq!(body, expected);

		let (status, headers, body) = shown(BookError::Full.into()).await;
		assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
		assert_eq!(headers[header::RETRY_AFTER], "10");
		assert_eq!(body["error"]["type"], "rate_limit_error");
		assert_eq!(body["error"]["param"], serde_json::Value::Null);

		let id = JobId::random();
		let late = ApiError::new(StatusCode::GATEWAY_TIMEOUT, "timeout", "late").of_job(id);
		let (_, headers, body) = shown(late).await;
		assert_eq!(headers[HEADER_JOB], id.to_string().as_str());
		assert_eq!(headers["x-should-retry"], "false");
		assert_eq!(body["error"]["job"], id.to_string());
	}

	#[tokio::test]
	async fn causes_stay_in_the_log() {
		let (status, _, body) = shown(ApiError::internal("/secret/path is full")).await;
		assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
		assert!(!body.to_string().contains("secret"));
	}

	#[test]
	fn a_request_is_read_and_unknown_fields_are_ignored() {
		let request = images(
			r#"{"prompt":"a red circle","n":1,"size":"64x64","quality":"hd","user":"u","seed":5}"#,
		)
		.unwrap();
		assert_eq!(request.wanted_size().unwrap(), Some((64, 64)));
		let input = request.prompt.into_input(20, 4.0).unwrap();
		assert_eq!((input.seed, input.steps, input.guidance_scale), (5, 20, 4.0));
		assert!(input.negative_prompt.is_empty());
	}

	#[test]
	fn a_bad_request_says_which_field() {
		for (body, param) in [
			(r#"{"prompt":"x","n":2}"#, "n"),
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
			let error = images(body).unwrap().prompt.into_input(20, 4.0).unwrap_err();
			assert_eq!((error.status, error.param), (StatusCode::BAD_REQUEST, Some(param)));
		}
		for body in ["", "{", "[]", r#"{"n":1}"#, r#"{"prompt":5}"#, r#"{"prompt":"x","seed":-1}"#] {
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
