//! Errors, in the form of OpenAI's API.

use axum::{
	extract::rejection::{PathRejection, QueryRejection},
	http::{header, HeaderMap, HeaderName, HeaderValue, StatusCode},
	response::{IntoResponse, Response},
	Json,
};
use cuckoo_primitives::work::InvalidInput;
use serde::Serialize;

use crate::{blobs::BlobError, book::BookError, chain::ChainError, disk::Full, id::JobId};

/// The job behind an answer.
pub const HEADER_JOB: HeaderName = HeaderName::from_static("x-cuckoo-job");
/// The task behind an answer.
pub const HEADER_TASK: HeaderName = HeaderName::from_static("x-cuckoo-task");
/// The owner of the pool of the miner that made it.
pub const HEADER_MINER: HeaderName = HeaderName::from_static("x-cuckoo-miner");
/// The hash of the model's files.
pub const HEADER_MODEL: HeaderName = HeaderName::from_static("x-cuckoo-model");
/// The blocks of the task's steps so far, as `posted=12,drawn=13`.
pub const HEADER_BLOCKS: HeaderName = HeaderName::from_static("x-cuckoo-blocks");
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

	/// Too many ask for this at a time.
	pub fn busy(message: impl Into<String>) -> Self {
		Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message).retry_after(2)
	}

	/// What is kept cannot be read or written now. The cause goes to the log.
	pub fn no_storage(cause: impl std::fmt::Display) -> Self {
		tracing::error!(%cause, "the storage does not work");
		let message = "the coordinator's storage does not work now; try again in a moment";
		Self::new(StatusCode::SERVICE_UNAVAILABLE, "storage_unavailable", message).retry_after(10)
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
			// A client that sent the request again would ask for the same once more.
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
			BookError::Escrow => {
				Self::new(StatusCode::TOO_MANY_REQUESTS, "too_much_escrow", message).retry_after(30)
			},
			// OpenAI's word. Their clients would try a 429 again.
			BookError::Budget { .. } => {
				Self::new(StatusCode::PAYMENT_REQUIRED, "insufficient_quota", message)
			},
			BookError::KeyReused => {
				Self::new(StatusCode::CONFLICT, "idempotency_key_reused", message)
			},
			BookError::Unknown(_) => Self::not_found(message),
			BookError::Storage(_) => Self::no_storage(message),
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
			BlobError::Unavailable(_) => Self::no_storage(error),
			error => Self::internal(error),
		}
	}
}

impl From<Full> for ApiError {
	fn from(_: Full) -> Self {
		// Where, and how much there is, is in the log.
		let message = "the coordinator's disk is nearly full: it accepts nothing new now";
		Self::new(StatusCode::SERVICE_UNAVAILABLE, "storage_full", message).retry_after(60)
	}
}

impl From<QueryRejection> for ApiError {
	fn from(rejection: QueryRejection) -> Self {
		Self::new(StatusCode::BAD_REQUEST, "invalid_query", rejection.body_text())
	}
}

impl From<PathRejection> for ApiError {
	fn from(rejection: PathRejection) -> Self {
		Self::not_found(rejection.body_text())
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
			InvalidInput::EmptyText | InvalidInput::TextTooLong => "text",
		};
		Self::bad(param, "invalid_value", error.to_string())
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
}
