//! What applications ask of the coordinator.
//!
//! | request | answer |
//! | --- | --- |
//! | `POST /v1/images/generations` | up to ten pictures, in the form of OpenAI's API, once a miner has made them |
//! | `GET /v1/models` | the models that can be asked for |
//! | `POST /v1/jobs` | 202 and a job that goes on by itself; with a list of inputs a batch, one task on chain |
//! | `GET /v1/jobs/{id}` | where it is, and what the chain has decided |
//! | `GET /v1/jobs/{id}/output` | its output: a PNG file or, with `?format=safetensors`, what the miner delivered; `?item=2`: the third of a batch |
//!
//! An application waits for the miner and never for the chain. Both `POST`s take an `Idempotency-Key`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
	body::Bytes,
	extract::{DefaultBodyLimit, Path, Query, Request, State},
	http::{header, HeaderMap, StatusCode},
	middleware,
	response::{IntoResponse, Response},
	routing::{get, post},
	Json, Router,
};
use base64::{engine::general_purpose::STANDARD, Engine};
use cuckoo_primitives::{
	views::ModelView,
	work::{TextToImageInput, NO_OUTPUT},
	BlockNumber, ModelKind, TaskId,
};
use serde::{Deserialize, Serialize};
use sp_core::{crypto::AccountId32, H256};
use sp_crypto_hashing::blake2_256;

use crate::{
	blobs::BlobError,
	error::{set, ApiError, HEADER_JOB, HEADER_TASK},
	id::{unix_now, JobId},
	job::{planck, Job, JobBlocks, JobState, Settlement, NO_OUTPUT_MEANS},
	metrics,
	openai::{parse, receive, ImageData, ImagesRequest, ImagesResponse, PromptFields},
	png::{self, Picture},
	server::App,
};

/// The largest request of an application.
const MAX_REQUEST_BYTES: usize = 1 << 20;
/// How long a request may take to arrive.
const REQUEST_TIME: Duration = Duration::from_secs(30);
/// The longest `Idempotency-Key`.
const MAX_KEY: usize = 255;

/// The routes.
pub fn routes() -> Router<Arc<App>> {
	Router::new()
		.route("/v1/images/generations", post(images))
		.route("/v1/models", get(models))
		.route("/v1/jobs", post(create_job))
		.route("/v1/jobs/{id}", get(job))
		.route("/v1/jobs/{id}/output", get(job_output))
		.layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
		.layer(middleware::from_fn(metrics::count_app))
}

/// A request that was found good.
struct Order {
	model: ModelView,
	/// The name that it was asked for by.
	model_name: String,
	/// One for each inference.
	inputs: Vec<Bytes>,
	seed: Option<u64>,
	request_hash: H256,
	key: Option<String>,
}

async fn images(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
	let headers = request.headers().clone();
	let body = receive(request, REQUEST_TIME).await?;
	let request: ImagesRequest = parse(&headers, &body)?;
	let wanted = request.wanted_size()?;
	let (model_name, model) =
		find_model(&app, request.model.as_deref(), ModelKind::TextToImage).await?;
	if let (Some(wanted), Some(made)) = (wanted, app.book.picture_size(model.model).await?) {
		if wanted != made {
			let message = format!("this model makes pictures of {}x{} only", made.0, made.1);
			return Err(ApiError::bad("size", "unsupported_value", message));
		}
	}
	let first = prompt_input(&app, request.prompt.clone())?;
	let seeds = (0..u64::from(request.count())).map(|number| first.seed.wrapping_add(number));
	let inputs = seeds.map(|seed| TextToImageInput { seed, ..first.clone() }).collect();
	let order = picture_order(model_name, model, inputs, "images", &headers, &body)?;
	let job = accept(&app, order).await?;
	let job = wait(&app, job.id).await?;

	let mut data = Vec::new();
	for item in 0..job.items() {
		let png = to_png(output_of(&app, &job, item).await?).await?;
		data.push(ImageData { b64_json: STANDARD.encode(png), revised_prompt: None });
	}
	let answer = ImagesResponse { created: job.created, data, x_cuckoo: (&job).into() };
	Ok(about(&job, Json(answer)))
}

async fn models(State(app): State<Arc<App>>) -> Result<Json<serde_json::Value>, ApiError> {
	let data: Vec<_> = app
		.models
		.active()
		.await?
		.into_iter()
		.map(|(name, model)| {
			serde_json::json!({
				"id": name,
				"object": "model",
				"created": 0,
				"owned_by": "cuckoo",
				"x_cuckoo": {
					"model": model.model,
					"kind": model.kind,
					"manifest": model.manifest,
					"min_fee": model.min_fee.to_string(),
					"work_window": model.work_window,
					"tolerance": model.tolerance,
					"reference_ms": model.reference_ms,
				},
			})
		})
		.collect();
	Ok(Json(serde_json::json!({ "object": "list", "data": data })))
}

/// `POST /v1/jobs`
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum JobRequest {
	TextToImage { model: Option<String>, input: OneOrMany<PromptFields> },
	Tensor { model: Option<String>, input: OneOrMany<TensorInput> },
}

/// The most inferences of one job: its inputs come in one request.
const MAX_ITEMS: usize = 256;

/// An input, or the inputs of a batch.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
	One(T),
	Many(Vec<T>),
}

impl<T> OneOrMany<T> {
	fn checked(self) -> Result<Vec<T>, ApiError> {
		let all = match self {
			Self::One(one) => vec![one],
			Self::Many(many) => many,
		};
		if (1..=MAX_ITEMS).contains(&all.len()) {
			return Ok(all);
		}
		let message = format!("a job has from 1 to {MAX_ITEMS} inputs, this one has {}", all.len());
		Err(ApiError::bad("input", "invalid_value", message))
	}
}

#[derive(Deserialize)]
struct TensorInput {
	/// A safetensors file of the model's named inputs, in base64.
	safetensors: String,
}

async fn create_job(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
	let headers = request.headers().clone();
	let body = receive(request, REQUEST_TIME).await?;
	let request: JobRequest = parse(&headers, &body)?;
	let order = match request {
		JobRequest::TextToImage { model, input } => {
			let (name, model) = find_model(&app, model.as_deref(), ModelKind::TextToImage).await?;
			let prompts = input.checked()?.into_iter();
			let inputs =
				prompts.map(|prompt| prompt_input(&app, prompt)).collect::<Result<_, _>>()?;
			picture_order(name, model, inputs, "jobs", &headers, &body)?
		},
		JobRequest::Tensor { model, input } => {
			let (model_name, model) = find_model(&app, model.as_deref(), ModelKind::Tensor).await?;
			let bad = |why: String| ApiError::bad("input.safetensors", "invalid_value", why);
			let mut inputs = Vec::new();
			for input in input.checked()? {
				let input = STANDARD.decode(input.safetensors).map_err(|e| bad(e.to_string()))?;
				png::tensors(&input).map_err(|e| bad(e.to_string()))?;
				inputs.push(input.into());
			}
			Order {
				model,
				model_name,
				inputs,
				seed: None,
				request_hash: request_hash("jobs", &body),
				key: idempotency_key(&headers)?,
			}
		},
	};
	let job = accept(&app, order).await?;
	Ok(about(&job, (StatusCode::ACCEPTED, Json(JobView::from(&job)))))
}

async fn job(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, ApiError> {
	let job = find_job(&app, &id).await?;
	Ok(about(&job, Json(JobView::from(&job))))
}

/// In which form an output is wanted.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OutputFormat {
	Png,
	Safetensors,
}

#[derive(Deserialize)]
struct OutputQuery {
	format: Option<OutputFormat>,
	/// Which output of a batch, from 0.
	#[serde(default)]
	item: u32,
}

async fn job_output(
	State(app): State<Arc<App>>,
	Path(id): Path<String>,
	Query(query): Query<OutputQuery>,
) -> Result<Response, ApiError> {
	let job = find_job(&app, &id).await?;
	if query.item >= job.items() {
		let message = format!("the job has {} outputs, numbered from 0", job.items());
		return Err(ApiError::bad("item", "invalid_value", message));
	}
	if !job.outputs.contains_key(&query.item) {
		return Err(match ended(&job) {
			Some(error) => error,
			None => {
				let message = "the output is not here yet";
				let early = ApiError::new(StatusCode::CONFLICT, "not_completed", message);
				early.retry_after(2).of_job(job.id)
			},
		});
	}
	let as_png = match (query.format, job.kind) {
		(None | Some(OutputFormat::Png), ModelKind::TextToImage) => true,
		(None | Some(OutputFormat::Safetensors), _) => false,
		(Some(OutputFormat::Png), ModelKind::Tensor | ModelKind::TextEmbedding) => {
			let message = "the output of this job is no picture";
			return Err(ApiError::bad("format", "unsupported_value", message));
		},
	};
	let bytes = output_of(&app, &job, query.item).await?;
	Ok(if as_png {
		about(&job, ([(header::CONTENT_TYPE, "image/png")], to_png(bytes).await?))
	} else {
		about(&job, ([(header::CONTENT_TYPE, "application/octet-stream")], bytes))
	})
}

/// A job as applications see it.
#[derive(Serialize)]
struct JobView<'a> {
	id: JobId,
	object: &'static str,
	created: u64,
	kind: ModelKind,
	model: &'a str,
	manifest: H256,
	seed: Option<u64>,
	state: JobState,
	settlement: Settlement,
	task: Option<TaskId>,
	round: u32,
	miner: Option<&'a AccountId32>,
	operator: Option<&'a AccountId32>,
	#[serde(with = "planck")]
	fee: u128,
	max_wait: BlockNumber,
	blocks: JobBlocks,
	items: u32,
	/// Null for an output that is not here yet.
	output_hashes: Vec<Option<H256>>,
	/// In hexadecimal; with its hash it is what the chain knows of an output.
	output_sketches: Vec<Option<&'a str>>,
	error: Option<&'a str>,
}

impl<'a> From<&'a Job> for JobView<'a> {
	fn from(job: &'a Job) -> Self {
		let sketch = |item| job.outputs.get(&item).map(|output| output.sketch.as_str());
		Self {
			id: job.id,
			object: "job",
			created: job.created,
			kind: job.kind,
			model: &job.model_name,
			manifest: job.manifest,
			seed: job.seed,
			state: job.state,
			settlement: job.settlement,
			task: job.task,
			round: job.round,
			miner: job.miner.as_ref(),
			operator: job.outputs.first_key_value().map(|(_, output)| &output.operator),
			fee: job.fee,
			max_wait: job.max_wait,
			blocks: job.blocks,
			items: job.items(),
			output_hashes: job.output_hashes(),
			output_sketches: (0..job.items()).map(sketch).collect(),
			error: job.error.as_deref(),
		}
	}
}

/// The model that a request means.
async fn find_model(
	app: &App,
	asked: Option<&str>,
	kind: ModelKind,
) -> Result<(String, ModelView), ApiError> {
	let default = app.config.default_model.as_deref().filter(|_| kind == ModelKind::TextToImage);
	let Some(name) = asked.or(default) else {
		let only = app.models.only(kind).await?;
		return only.map(|model| (model.name.clone(), model)).ok_or_else(|| {
			let message =
				"name a model: there is not exactly one that fits; GET /v1/models lists them";
			ApiError::bad("model", "model_required", message)
		});
	};
	let Some(model) = app.models.find(name).await? else {
		let message = format!("there is no model {name:?}; GET /v1/models lists them");
		let unknown = ApiError::new(StatusCode::NOT_FOUND, "model_not_found", message);
		return Err(ApiError { param: Some("model"), ..unknown });
	};
	if model.kind != kind {
		let message = format!("the model {name:?} does not do this: its kind is {:?}", model.kind);
		return Err(ApiError::bad("model", "unsupported_value", message));
	}
	Ok((name.into(), model))
}

fn prompt_input(app: &App, prompt: PromptFields) -> Result<TextToImageInput, ApiError> {
	prompt.into_input(app.config.default_steps, app.config.default_guidance)
}

fn picture_order(
	model_name: String,
	model: ModelView,
	inputs: Vec<TextToImageInput>,
	route: &str,
	headers: &HeaderMap,
	body: &[u8],
) -> Result<Order, ApiError> {
	let seed = inputs.first().map(|input| input.seed);
	let inputs = inputs.iter().map(|input| serde_json::to_vec(input).map(Bytes::from));
	Ok(Order {
		model,
		model_name,
		seed,
		inputs: inputs.collect::<Result<_, _>>().map_err(ApiError::internal)?,
		request_hash: request_hash(route, body),
		key: idempotency_key(headers)?,
	})
}

fn request_hash(route: &str, body: &[u8]) -> H256 {
	let mut request = route.as_bytes().to_vec();
	request.push(0);
	request.extend_from_slice(body);
	blake2_256(&request).into()
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
	let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
	match key.to_str() {
		Ok(key) if !key.is_empty() && key.len() <= MAX_KEY => Ok(Some(key.into())),
		_ => {
			let message = format!("an Idempotency-Key is 1 to {MAX_KEY} plain characters");
			Err(ApiError::bad("Idempotency-Key", "invalid_value", message))
		},
	}
}

/// Writes an order into the book, or finds the job that its key stands for. From here on it is not lost.
async fn accept(app: &App, order: Order) -> Result<Job, ApiError> {
	if let Some(key) = &order.key {
		if let Some(job) = app.book.find_key(key.clone(), order.request_hash).await? {
			return Ok(job);
		}
	}
	let least = order.model.min_fee;
	let fee = match (order.model.kind, app.config.fee_per_image) {
		(ModelKind::TextToImage, Some(fee)) => fee.0,
		_ => least,
	};
	if fee > app.config.max_fee.0 {
		let message = "this model asks more than this coordinator pays for an inference";
		return Err(ApiError::bad("model", "fee_too_high", message));
	}
	if fee < least {
		tracing::warn!(
			model = order.model_name,
			fee,
			least,
			"fee_per_image is below what the model takes: raise it, or leave it out"
		);
		let message = "the fee that this coordinator offers is below what the model takes";
		return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "fee_too_low", message));
	}
	let mut inputs = Vec::new();
	for input in order.inputs {
		inputs.push(app.blobs.put(input).await?);
	}
	let count = u128::try_from(inputs.len()).map_err(ApiError::internal)?;
	let fee = fee.checked_mul(count).ok_or_else(|| ApiError::internal("the fee is too large"))?;
	let job = Job {
		id: JobId::random(),
		created: unix_now(),
		kind: order.model.kind,
		model: order.model.model,
		model_name: order.model_name,
		manifest: order.model.manifest,
		request_hash: order.request_hash,
		idempotency_key: order.key,
		seed: order.seed,
		inputs,
		fee,
		max_wait: app.config.max_wait,
		state: JobState::Queued,
		settlement: Settlement::None,
		posting: None,
		task: None,
		round: 0,
		miner: None,
		blocks: JobBlocks::default(),
		owed_until: None,
		outputs: BTreeMap::new(),
		error: None,
	};
	let (job, new) = app.book.create(job).await?;
	if new {
		tracing::info!(job = %job.id, model = job.model_name, "accepted");
	}
	Ok(job)
}

/// Waits until the output is here.
async fn wait(app: &App, id: JobId) -> Result<Job, ApiError> {
	// Before the first look, or a change between the two would be missed.
	let mut changes = app.book.changes();
	let mut later = std::pin::pin!(tokio::time::sleep(app.config.wait()));
	let mut closing = std::pin::pin!(app.closing());
	loop {
		let job = app.book.get(id).await?.ok_or_else(|| ApiError::internal("a job is gone"))?;
		if job.state == JobState::Completed {
			return Ok(job);
		}
		if let Some(error) = ended(&job) {
			return Err(error);
		}
		let changed = async {
			// On an error changes were missed, and the book knows.
			while changes.recv().await.is_ok_and(|changed| changed != id) {}
		};
		let poll = format!("it goes on as {id}: GET /v1/jobs/{id}");
		tokio::select! {
			() = changed => {},
			() = &mut later => {
				let message = format!("the picture is not here yet; {poll}");
				let late = ApiError::new(StatusCode::GATEWAY_TIMEOUT, "timeout", message);
				return Err(late.of_job(id));
			},
			() = &mut closing => {
				let message = format!("the coordinator is restarting; {poll}");
				let late = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "restarting", message);
				return Err(late.retry_after(10).of_job(id));
			},
		}
	}
}

/// The error that a job without output ended with.
fn ended(job: &Job) -> Option<ApiError> {
	let (status, code) = match job.state {
		JobState::Failed => (StatusCode::BAD_GATEWAY, "job_failed"),
		JobState::Expired => (StatusCode::SERVICE_UNAVAILABLE, "no_miner"),
		JobState::Cancelled => (StatusCode::CONFLICT, "cancelled"),
		JobState::Queued | JobState::Assigned | JobState::Running | JobState::Completed => {
			return None
		},
	};
	let why = job.error.as_deref().unwrap_or("the job ended without an output");
	Some(ApiError::new(status, code, why).of_job(job.id))
}

async fn find_job(app: &App, id: &str) -> Result<Job, ApiError> {
	let id: JobId = id.parse().map_err(ApiError::not_found)?;
	app.book.get(id).await?.ok_or_else(|| ApiError::not_found(format!("there is no job {id}")))
}

async fn output_of(app: &App, job: &Job, item: u32) -> Result<Bytes, ApiError> {
	let output = job.outputs.get(&item).ok_or_else(|| ApiError::internal("no output"))?;
	let bytes = app.blobs.get(output.hash).await.inspect_err(|error: &BlobError| {
		tracing::error!(job = %job.id, %error, "an output was lost");
	})?;
	if bytes == NO_OUTPUT {
		let status = StatusCode::UNPROCESSABLE_ENTITY;
		return Err(ApiError::new(status, "no_output", NO_OUTPUT_MEANS).of_job(job.id));
	}
	Ok(bytes)
}

async fn to_png(bytes: Bytes) -> Result<Vec<u8>, ApiError> {
	let encoding =
		tokio::task::spawn_blocking(move || Picture::read(&bytes).and_then(|p| p.to_png()));
	encoding.await.map_err(ApiError::internal)?.map_err(ApiError::internal)
}

/// An answer with the headers that say which job and task it is about.
fn about(job: &Job, answer: impl IntoResponse) -> Response {
	let mut response = answer.into_response();
	set(response.headers_mut(), HEADER_JOB, job.id);
	if let Some(task) = job.task {
		set(response.headers_mut(), HEADER_TASK, task);
	}
	response
}
