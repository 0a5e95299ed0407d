//! The Open Inference Protocol, version 2, over HTTP, as KServe's and Triton's clients speak it, for every registered and active model. Over gRPC it is not served.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /v2` | what this server is, and its extensions |
//! | `GET /v2/health/live`, `GET /v2/health/ready` | 200; not ready is 503 |
//! | `GET /v2/models/{name}[/versions/{version}]` | the model's tensors, as far as they are [known](Signatures) |
//! | `GET /v2/models/{name}[/versions/{version}]/ready` | 200 if it can be asked for |
//! | `POST /v2/models/{name}[/versions/{version}]/infer` | one job: tensors in, tensors out |
//!
//! A model's version is its number on chain, and there is no other. Errors are `{"error": "text"}`. A request may have an `Idempotency-Key`; an answer says in its
//! headers, and again in its `parameters`, who made it.
//!
//! # Tensors
//!
//! `BOOL`, `UINT8`, `INT32`, `INT64`, `FP16`, `FP32` and `FP64` are what miners run. They come and go as JSON or by the binary tensor data extension. Where JSON
//! cannot carry an output, because it is `FP16`, has numbers that are not finite or is larger than 16 MiB, it comes as binary data even if that was not asked for.
//! Models that take no tensors take texts instead:
//!
//! | kind | inputs | outputs |
//! | --- | --- | --- |
//! | ONNX model | the model's own | the model's own |
//! | text to image | `PROMPT` BYTES \[n\], n up to 10; if wanted `NEGATIVE_PROMPT` BYTES, `SEED` INT64, `STEPS` INT32, `GUIDANCE_SCALE` FP32, each \[n\] or \[1\] | `IMAGE` UINT8 \[n, height, width, 3\] |
//! | text embedding | `TEXT` BYTES \[n\], n up to 256 | `EMBEDDING` FP32 \[n, dimensions\] |
//!
//! A job of an ONNX model is one inference, whatever its first dimension; of the others it is n.

mod json;
mod kinds;
mod metadata;
mod question;
mod tensor;
mod wire;

use std::{sync::Arc, time::Duration};

use axum::{
	body::{to_bytes, Body},
	extract::{DefaultBodyLimit, Path, Request, State},
	http::{header, HeaderMap, HeaderValue, StatusCode},
	middleware::{self, Next},
	response::Response,
	routing::{get, post},
	Extension, Json, Router,
};
use cuckoo_primitives::{views::ModelView, work::MAX_BLOB_BYTES, ModelKind};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use sp_core::H256;
use tokio::sync::SemaphorePermit;

use crate::{
	auth::Caller,
	error::ApiError,
	metrics,
	openai::receive,
	orders::{about, accept, find_model, idempotency_key, outputs_of, turn_for_all, wait, Order},
	server::App,
};
pub use metadata::Signatures;
use metadata::{Signature, Source, Spec};
use question::{outputs, Question, Reading};
use tensor::Wrong;
use wire::{Answer, Head, Provenance, MAX_JSON_BYTES};

/// How many large requests are taken in at a time: so many turns `App` has.
pub const TURNS: usize = 8;
/// The largest request: tensors as large as an input can be, and the JSON before them.
const MAX_REQUEST_BYTES: usize = MAX_BLOB_BYTES + MAX_JSON_BYTES;
/// A request up to this long does not wait for a turn.
const SMALL: usize = 1 << 20;
/// How long a small request may take to arrive.
const SMALL_TIME: Duration = Duration::from_secs(30);
/// How long a large one may. 64 MiB in this time are 4.5 Mbit/s.
const LARGE_TIME: Duration = Duration::from_secs(120);
/// How long a large request waits for its turn.
const TURN_TIME: Duration = Duration::from_secs(30);
/// What an answer takes in memory, in times its outputs: them, one tensor of several pictures, and what is sent.
const TIMES: u64 = 3;
/// The longest error that is put into this protocol's form.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// The routes that need no key: whoever watches over a server asks them.
pub fn health_routes() -> Router<Arc<App>> {
	Router::new()
		.route("/v2/health/live", get(|| async { Json(json!({ "live": true })) }))
		.route("/v2/health/ready", get(ready))
}

/// The routes of applications.
pub fn routes() -> Router<Arc<App>> {
	Router::new()
		.route("/v2", get(server_metadata))
		.route("/v2/models/{name}", get(model_metadata))
		.route("/v2/models/{name}/versions/{version}", get(model_metadata))
		.route("/v2/models/{name}/ready", get(model_ready))
		.route("/v2/models/{name}/versions/{version}/ready", get(model_ready))
		.route("/v2/models/{name}/infer", post(infer))
		.route("/v2/models/{name}/versions/{version}/infer", post(infer))
		.layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
		.layer(middleware::from_fn(metrics::count_app))
}

/// Puts errors under `/v2` into this protocol's form, whoever gave them: a handler, the check of keys, the fallback for unknown addresses. So it belongs around
/// all of them.
pub async fn errors(request: Request, next: Next) -> Response {
	let path = request.uri().path();
	let ours = path == "/v2" || path.starts_with("/v2/");
	let response = next.run(request).await;
	let status = response.status();
	if ours && (status.is_client_error() || status.is_server_error()) {
		in_our_form(response).await
	} else {
		response
	}
}

async fn in_our_form(response: Response) -> Response {
	let (mut parts, body) = response.into_parts();
	let body = to_bytes(body, MAX_ERROR_BYTES).await.unwrap_or_default();
	let told: Option<Value> = serde_json::from_slice(&body).ok();
	let told = told.as_ref().and_then(|told| match told.get("error")? {
		Value::String(text) => Some(text.as_str()),
		object => object.get("message")?.as_str(),
	});
	let plain = std::str::from_utf8(&body).ok().map(str::trim).filter(|text| !text.is_empty());
	let text = told.or(plain).or(parts.status.canonical_reason()).unwrap_or("an error");
	let body = json!({ "error": text }).to_string();
	parts.headers.remove(header::CONTENT_LENGTH);
	parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
	Response::from_parts(parts, Body::from(body))
}

impl From<Wrong> for ApiError {
	fn from(wrong: Wrong) -> Self {
		Self::new(StatusCode::BAD_REQUEST, "invalid_tensor", wrong.0)
	}
}

async fn ready(State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
	match app.readiness().await {
		Ok(_) => Ok(Json(json!({ "ready": true }))),
		Err(why) => Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", why)),
	}
}

async fn server_metadata() -> Json<Value> {
	Json(json!({
		"name": env!("CARGO_PKG_NAME"),
		"version": env!("CARGO_PKG_VERSION"),
		"extensions": ["binary_tensor_data"],
	}))
}

/// Which model a request is about.
#[derive(Deserialize)]
struct Named {
	name: String,
	version: Option<String>,
}

/// That model, if the caller may use it.
async fn find(
	app: &App,
	Named { name, version }: Named,
	caller: &Caller,
) -> Result<(String, ModelView), ApiError> {
	// Any kind will do. That of an unknown model does not matter: it is not found.
	let found = app.models.find(&name).await?;
	let kind = found.map_or(ModelKind::Tensor, |(_, model)| model.kind);
	let (name, model) = find_model(app, Some(&name), kind, caller).await?;
	match version {
		Some(version) if version != model.model.to_string() => {
			let message =
				format!("the model {name:?} has the version {} only, not {version:?}", model.model);
			Err(ApiError::not_found(message))
		},
		Some(_) | None => Ok((name, model)),
	}
}

async fn model_ready(
	State(app): State<Arc<App>>,
	Extension(caller): Extension<Caller>,
	Path(named): Path<Named>,
) -> Result<Json<Value>, ApiError> {
	let (name, _) = find(&app, named, &caller).await?;
	Ok(Json(json!({ "name": name, "ready": true })))
}

async fn model_metadata(
	State(app): State<Arc<App>>,
	Extension(caller): Extension<Caller>,
	Path(named): Path<Named>,
) -> Result<Json<impl Serialize>, ApiError> {
	#[derive(Serialize)]
	struct Metadata {
		name: String,
		versions: [String; 1],
		platform: &'static str,
		inputs: Vec<Spec>,
		outputs: Vec<Spec>,
		x_cuckoo: Known,
	}
	#[derive(Serialize)]
	struct Known {
		kind: ModelKind,
		manifest: H256,
		/// How the tensors are known.
		tensors: Source,
	}
	let (name, model) = find(&app, named, &caller).await?;
	let (Signature { inputs, outputs }, tensors) = app.signatures.known(&model);
	Ok(Json(Metadata {
		name,
		versions: [model.model.to_string()],
		platform: "onnxruntime_onnx",
		inputs,
		outputs,
		x_cuckoo: Known { kind: model.kind, manifest: model.manifest, tensors },
	}))
}

async fn infer(
	State(app): State<Arc<App>>,
	Extension(caller): Extension<Caller>,
	Path(named): Path<Named>,
	request: Request,
) -> Result<Response, ApiError> {
	let headers = request.headers().clone();
	check_headers(&headers)?;
	let key = idempotency_key(&headers)?;
	let json_bytes = wire::json_bytes(&headers)?;
	let (name, model) = find(&app, named, &caller).await?;
	let (kind, number) = (model.kind, model.model);

	let (id, wanted, given, job) = {
		let (_turn, time) = turn(&app, &headers).await?;
		let body = receive(request, time).await?;
		let reading = Reading {
			declared: app.signatures.declared(&model),
			model: model.clone(),
			steps: app.config.default_steps,
			guidance: app.config.default_guidance,
		};
		let question = apart(move || reading.question(&body, json_bytes)).await??;
		let Question { id, wanted, given, inputs, seed, request_hash } = question;
		let order = Order {
			model,
			model_name: name.clone(),
			inputs,
			seed,
			request_hash,
			key,
			owner: caller.owner(),
		};
		(id, wanted, given, accept(&app, order).await?.job.id)
	};
	let progress = wait(&app, job).await?;

	let kept = turn_for_all(&app, &progress, TIMES).await?;
	let files = outputs_of(&app, &progress).await?;
	let head = Head {
		model_name: name,
		model_version: number.to_string(),
		id,
		parameters: Provenance {
			x_cuckoo_job: job,
			x_cuckoo_task: progress.task(),
			x_cuckoo_miner: progress.miner().cloned(),
			x_cuckoo_manifest: progress.job.manifest,
		},
	};
	let (signature, answer) = apart(move || {
		let outputs = outputs(kind, &files).map_err(bad_output)?;
		let signature = Signature::of(given, &outputs);
		let chosen = wanted.choose(outputs)?;
		let answer = Answer::write(&head, &chosen).map_err(ApiError::internal)?;
		Ok::<_, ApiError>((signature, answer))
	})
	.await?
	.map_err(|error| error.of_job(job))?;
	app.signatures.note(number, kind, signature);
	Ok(about(&progress, kept.keep(answer).await?))
}

/// The miner's fault, which its verifiers will see as well.
fn bad_output(Wrong(why): Wrong) -> ApiError {
	let message = format!("the miner's output cannot be used: {why}");
	ApiError::new(StatusCode::BAD_GATEWAY, "invalid_output", message)
}

/// Runs what takes long on a thread that serves no requests.
async fn apart<T: Send + 'static>(
	work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
	tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)
}

/// Refuses what cannot be read, and what another site's page made a browser send.
fn check_headers(headers: &HeaderMap) -> Result<(), ApiError> {
	let unsupported = |message: &str| {
		ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
	};
	let encoding = headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
	if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
		return Err(unsupported("compressed requests are not taken"));
	}
	// Triton's clients say no content type. So could a page, without asking first; but then the browser adds where it comes from.
	let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
	let kind = kind.split(';').next().unwrap_or("").trim();
	let asks_first = ["application/json", "application/octet-stream"];
	if asks_first.iter().any(|one| kind.eq_ignore_ascii_case(one))
		|| !headers.contains_key(header::ORIGIN)
	{
		Ok(())
	} else {
		Err(unsupported(
			"the header Content-Type must be application/json or application/octet-stream",
		))
	}
}

/// A turn to send a large request, if this may be one; and how long it may take to arrive.
async fn turn<'a>(
	app: &'a App,
	headers: &HeaderMap,
) -> Result<(Option<SemaphorePermit<'a>>, Duration), ApiError> {
	let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
	let length = length.and_then(|length| length.parse::<usize>().ok());
	let chunked = headers.contains_key(header::TRANSFER_ENCODING);
	if !chunked && length.is_some_and(|length| length <= SMALL) {
		return Ok((None, SMALL_TIME));
	}
	match tokio::time::timeout(TURN_TIME, app.infers.acquire()).await {
		Ok(Ok(turn)) => Ok((Some(turn), LARGE_TIME)),
		Ok(Err(_)) | Err(_) => Err(ApiError::busy("too many large requests at a time; try again")),
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use axum::response::IntoResponse;

	async fn shown(response: Response) -> (HeaderMap, Value) {
		let response = in_our_form(response).await;
		let headers = response.headers().clone();
		let body = to_bytes(response.into_body(), 10_000).await.unwrap();
		(headers, serde_json::from_slice(&body).unwrap())
	}

	#[tokio::test]
	async fn every_error_becomes_this_protocols_whoever_gave_it() {
		let of_ours = ApiError::bad("model", "invalid_value", "no \"such\" model").retry_after(7);
		let (headers, body) = shown(of_ours.into_response()).await;
		assert_eq!(body, json!({ "error": "no \"such\" model" }));
		assert_eq!(headers[header::RETRY_AFTER], "7");
		assert_eq!(headers[header::CONTENT_TYPE], "application/json");
		for (response, text) in [
			(
				(StatusCode::BAD_REQUEST, "Invalid URL: bad UTF-8").into_response(),
				"Invalid URL: bad UTF-8",
			),
			(StatusCode::GATEWAY_TIMEOUT.into_response(), "Gateway Timeout"),
			(Json(json!({ "error": "as it is" })).into_response(), "as it is"),
			(
				Json(json!({ "error": { "message": 5 } })).into_response(),
				r#"{"error":{"message":5}}"#,
			),
			(vec![255u8, 254].into_response(), "OK"),
			("x".repeat(MAX_ERROR_BYTES + 1).into_response(), "OK"),
		] {
			assert_eq!(shown(response).await.1, json!({ "error": text }));
		}
	}

	#[test]
	fn a_client_that_says_no_content_type_is_served_and_another_sites_page_is_not() {
		let check = |headers: &[(header::HeaderName, &'static str)]| {
			let headers = headers.iter().cloned();
			let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
			check_headers(&headers.collect()).is_ok()
		};
		let page = (header::ORIGIN, "https://elsewhere.example");
		let kind = |kind| (header::CONTENT_TYPE, kind);
		assert!(check(&[]));
		assert!(check(&[kind("application/x-www-form-urlencoded")]));
		assert!(check(&[kind("application/JSON; charset=utf-8"), page.clone()]));
		assert!(check(&[kind("application/octet-stream"), page.clone()]));
		assert!(!check(std::slice::from_ref(&page)));
		assert!(!check(&[(header::ORIGIN, "null")]));
		for simple in ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded", ""]
		{
			assert!(!check(&[kind(simple), page.clone()]), "{simple}");
		}
		assert!(check(&[(header::CONTENT_ENCODING, "identity")]));
		assert!(!check(&[(header::CONTENT_ENCODING, "gzip"), kind("application/json")]));
	}
}
