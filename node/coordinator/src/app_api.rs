//! What applications ask of the coordinator, beside what they know from elsewhere ([`crate::embeddings`], [`crate::open_inference`]).
//!
//! | request | answer |
//! | --- | --- |
//! | `POST /v1/images/generations` | up to ten pictures, in the form of OpenAI's API, once a miner has made them |
//! | `GET /v1/models`, `GET /v1/models/{id}` | the models that can be asked for |
//! | `POST /v1/jobs` | 202 and a job that goes on by itself; with a list of inputs one job of several inferences |
//! | `GET /v1/jobs?limit=20&before={id}` | the caller's jobs, newest first |
//! | `GET /v1/jobs/{id}` | where it is, and what the chain has decided |
//! | `GET /v1/jobs/{id}/events` | the same with each change, as server-sent events, until nothing more happens |
//! | `POST /v1/jobs/{id}/cancel` | takes it back, as long as no miner has it |
//! | `GET /v1/jobs/{id}/output` | its output: a PNG file or, with `?format=safetensors`, what the miner delivered; `?item=2`: the third of several |
//!
//! An application waits for the miner and never for the chain. All `POST`s that make a job take an `Idempotency-Key`. A key sees its own jobs and no others.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
	body::Bytes,
	extract::{
		rejection::{PathRejection, QueryRejection},
		DefaultBodyLimit, Path, Query, Request, State,
	},
	http::{header, StatusCode},
	middleware,
	response::{
		sse::{Event, KeepAlive},
		IntoResponse, Response, Sse,
	},
	routing::{get, post},
	Extension, Json, Router,
};
use base64::{engine::general_purpose::STANDARD, Engine};
use cuckoo_client::TxError;
use cuckoo_primitives::{
	views::ModelView,
	work::{TextEmbeddingInput, TextToImageInput},
	ModelKind,
};
use futures::{stream, Stream};
use serde::{de::DeserializeOwned, Deserialize};
use serde_json::{json, value::RawValue, Value};

use crate::{
	auth::Caller,
	batch::Batch,
	embeddings::Few,
	error::ApiError,
	id::JobId,
	job::{JobState, JobView},
	metrics,
	openai::{parse, receive, ImageData, ImagesRequest, ImagesResponse, PromptFields},
	orders::{
		about, accept, ended, find_job, find_model, idempotency_key, output_of, request_hash, turn,
		turn_for_all, wait, Order,
	},
	png::{self, Picture},
	server::App,
};

/// The largest request of an application.
const MAX_REQUEST_BYTES: usize = 1 << 20;
/// How long a request may take to arrive.
const REQUEST_TIME: Duration = Duration::from_secs(30);
/// What pictures in base64 take in memory, in times the outputs: a picture is hardly larger as a file than as it was, and there is the text of each and that of
/// all. And what one takes that is sent as it is.
const TIMES: u64 = 3;
const TIMES_OF_PNG: u64 = 2;
/// The most inferences of one job: its inputs come in one request.
const MAX_ITEMS: usize = 256;
/// The most jobs of one list, and how many without a word.
const MAX_LIST: usize = 100;
const LIST: usize = 20;
/// When a stream of events looks again at a book that could not be read.
const AGAIN: Duration = Duration::from_secs(2);
/// How often a stream of events says that it is still there.
const ALIVE: Duration = Duration::from_secs(15);

/// The routes.
pub fn routes() -> Router<Arc<App>> {
	Router::new()
		.route("/v1/images/generations", post(images))
		.route("/v1/models", get(models))
		.route("/v1/models/{id}", get(model))
		.route("/v1/jobs", post(create_job).get(jobs))
		.route("/v1/jobs/{id}", get(job))
		.route("/v1/jobs/{id}/events", get(job_events))
		.route("/v1/jobs/{id}/cancel", post(cancel_job))
		.route("/v1/jobs/{id}/output", get(job_output))
		.layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
		.layer(middleware::from_fn(metrics::count_app))
}

async fn images(
	State(app): State<Arc<App>>,
	Extension(caller): Extension<Caller>,
	request: Request,
) -> Result<Response, ApiError> {
	let job = order_images(&app, &caller, request).await?;
	let progress = wait(&app, job).await?;

	let turn = turn_for_all(&app, &progress, TIMES).await?;
	let mut data = Vec::new();
	for item in 0..progress.items() {
		let png = to_png(output_of(&app, &progress, item).await?).await?;
		data.push(ImageData { b64_json: STANDARD.encode(png), revised_prompt: None });
	}
	let (created, x_cuckoo) = (progress.job.created, (&progress).into());
	let answer = Json(ImagesResponse { created, data, x_cuckoo });
	Ok(about(&progress, turn.keep(answer).await?))
}

/// Orders what a request asks for. The request itself, which may be large, is not kept while the job is waited for.
async fn order_images(app: &App, caller: &Caller, request: Request) -> Result<JobId, ApiError> {
	let headers = request.headers().clone();
	let body = receive(request, REQUEST_TIME).await?;
	let request: ImagesRequest = parse(&headers, &body)?;
	let wanted = request.wanted_size()?;
	let kind = ModelKind::TextToImage;
	let (model_name, model) = find_model(app, request.model.as_deref(), kind, caller).await?;
	if let (Some(wanted), Some(made)) = (wanted, app.book.picture_size(model.model).await?) {
		if wanted != made {
			let message = format!("this model makes pictures of {}x{} only", made.0, made.1);
			return Err(ApiError::bad("size", "unsupported_value", message));
		}
	}
	let first = prompt_input(app, request.prompt())?;
	let seeds = (0..u64::from(request.count())).map(|number| first.seed.wrapping_add(number));
	let inputs: Vec<_> = seeds.map(|seed| TextToImageInput { seed, ..first.clone() }).collect();
	let order = Order {
		model,
		model_name,
		seed: Some(first.seed),
		inputs: json_inputs(&inputs)?,
		request_hash: request_hash("images", &body),
		key: idempotency_key(&headers)?,
		owner: caller.owner(),
	};
	Ok(accept(app, order).await?.job.id)
}

/// A model as applications see it.
fn model_view(name: &str, model: &ModelView) -> Value {
	json!({
		"id": name,
		"object": "model",
		"created": 0,
		"owned_by": "cuckoo",
		"x_cuckoo": {
			"model": model.model,
			"name": model.name,
			"kind": model.kind,
			"manifest": model.manifest,
			"min_fee": model.min_fee.to_string(),
			"work_window": model.work_window,
			"tolerance": model.tolerance,
			"reference_ms": model.reference_ms,
		},
	})
}

async fn models(
	State(app): State<Arc<App>>,
	Extension(caller): Extension<Caller>,
) -> Result<Json<Value>, ApiError> {
	let active = app.models.active().await?;
	let usable = active.iter().filter(|(name, model)| caller.may_use(name, model.model));
	let data: Vec<Value> = usable.map(|(name, model)| model_view(name, model)).collect();
	Ok(Json(json!({ "object": "list", "data": data })))
}

async fn model(
	State(app): State<Arc<App>>,
	Extension(caller): Extension<Caller>,
	name: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
	let Path(name) = name?;
	let found = app.models.find(&name).await?;
	let found = found.filter(|(name, model)| caller.may_use(name, model.model));
	let (name, model) = found.ok_or_else(|| {
		let message = format!("there is no model {name:?}; GET /v1/models lists them");
		ApiError::new(StatusCode::NOT_FOUND, "model_not_found", message)
	})?;
	Ok(Json(model_view(&name, &model)))
}

/// `POST /v1/jobs`
#[derive(Deserialize)]
struct JobRequest {
	kind: ModelKind,
	model: Option<String>,
	/// An input, or a list of them.
	input: Box<RawValue>,
}

impl JobRequest {
	/// The inputs. Read by themselves, because numbers with fractions do not survive being looked at twice.
	fn inputs<T: DeserializeOwned>(&self) -> Result<Vec<T>, ApiError> {
		let json = self.input.get();
		let read = match json.starts_with('[') {
			true => serde_json::from_str::<Few<T, MAX_ITEMS>>(json).map(|few| few.0),
			false => serde_json::from_str(json).map(|one| vec![one]),
		};
		let bad = |message: String| ApiError::bad("input", "invalid_value", message);
		let inputs = read.map_err(|error| bad(format!("input: {error}")))?;
		if inputs.is_empty() {
			return Err(bad(format!("a job has from 1 to {MAX_ITEMS} inputs, this one has none")));
		}
		Ok(inputs)
	}
}

#[derive(Deserialize)]
struct TensorInput {
	/// A safetensors file of the model's named inputs, in base64.
	safetensors: String,
}

async fn create_job(
	State(app): State<Arc<App>>,
	Extension(caller): Extension<Caller>,
	request: Request,
) -> Result<Response, ApiError> {
	let headers = request.headers().clone();
	let body = receive(request, REQUEST_TIME).await?;
	let request: JobRequest = parse(&headers, &body)?;
	let (model_name, model) =
		find_model(&app, request.model.as_deref(), request.kind, &caller).await?;
	let (inputs, seed) = inputs_of(&app, &request)?;
	let order = Order {
		model,
		model_name,
		inputs,
		seed,
		request_hash: request_hash("jobs", &body),
		key: idempotency_key(&headers)?,
		owner: caller.owner(),
	};
	let progress = accept(&app, order).await?;
	Ok(about(&progress, (StatusCode::ACCEPTED, Json(JobView::from(&progress)))))
}

/// A job's inputs as miners get them, and the seed of its first picture.
fn inputs_of(app: &App, request: &JobRequest) -> Result<(Vec<Bytes>, Option<u64>), ApiError> {
	match request.kind {
		ModelKind::TextToImage => {
			let prompts: Vec<PromptFields> = request.inputs()?;
			let inputs = prompts.into_iter().map(|prompt| prompt_input(app, prompt));
			let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
			Ok((json_inputs(&inputs)?, inputs.first().map(|input| input.seed)))
		},
		ModelKind::TextEmbedding => {
			let inputs: Vec<TextEmbeddingInput> = request.inputs()?;
			inputs.iter().try_for_each(TextEmbeddingInput::validate)?;
			Ok((json_inputs(&inputs)?, None))
		},
		ModelKind::Tensor => {
			let bad = |why: String| ApiError::bad("input.safetensors", "invalid_value", why);
			let mut inputs = Vec::new();
			for input in request.inputs::<TensorInput>()? {
				let input = STANDARD.decode(input.safetensors).map_err(|e| bad(e.to_string()))?;
				png::tensors(&input).map_err(|e| bad(e.to_string()))?;
				inputs.push(input.into());
			}
			Ok((inputs, None))
		},
	}
}

#[derive(Deserialize)]
struct ListQuery {
	limit: Option<usize>,
	before: Option<String>,
}

async fn jobs(
	State(app): State<Arc<App>>,
	Extension(caller): Extension<Caller>,
	query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
	let Query(query) = query?;
	let limit = query.limit.unwrap_or(LIST);
	if !(1..=MAX_LIST).contains(&limit) {
		let message = format!("limit must be from 1 to {MAX_LIST}");
		return Err(ApiError::bad("limit", "invalid_value", message));
	}
	let before = query.before.as_deref().map(str::parse::<JobId>).transpose();
	let before = before.map_err(|why| ApiError::bad("before", "invalid_value", why))?;
	// One more, to know whether there are more.
	let mut found = app.book.list(caller.owner(), before, limit + 1).await?;
	let has_more = found.len() > limit;
	found.truncate(limit);
	let data: Vec<JobView<'_>> = found.iter().map(JobView::from).collect();
	Ok(Json(json!({ "object": "list", "data": data, "has_more": has_more })))
}

async fn job(
	State(app): State<Arc<App>>,
	Extension(caller): Extension<Caller>,
	id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
	let Path(id) = id?;
	let progress = find_job(&app, &id, &caller).await?;
	Ok(about(&progress, Json(JobView::from(&progress))))
}

async fn job_events(
	State(app): State<Arc<App>>,
	Extension(caller): Extension<Caller>,
	id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
	let Path(id) = id?;
	// Before the first look, or a change between the two would be missed.
	let changes = app.book.changes();
	let progress = find_job(&app, &id, &caller).await?;
	let events = follow(app, progress.job.id, changes);
	let answer = Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE));
	Ok(about(&progress, answer))
}

/// The job as it is, and again with each change, until nothing more happens to it or the coordinator ends.
fn follow(
	app: Arc<App>,
	id: JobId,
	changes: tokio::sync::broadcast::Receiver<JobId>,
) -> impl Stream<Item = Result<Event, Infallible>> {
	let start = (app, changes, None::<String>, false);
	stream::unfold(start, move |(app, mut changes, mut last, over)| async move {
		if over {
			return None;
		}
		loop {
			let Ok(found) = app.book.get(id).await else {
				// The end of the stream would mean that of the job.
				tokio::select! {
					() = tokio::time::sleep(AGAIN) => continue,
					() = app.closing() => return None,
				}
			};
			// Gone from the book: it was over for long.
			let progress = found?;
			let data = serde_json::to_string(&JobView::from(&progress)).ok()?;
			if last.as_ref() != Some(&data) {
				let event = Event::default().event("job").data(&data);
				last = Some(data);
				return Some((Ok(event), (app, changes, last, progress.is_over())));
			}
			let changed = async {
				// On an error changes were missed, and the book knows.
				while changes.recv().await.is_ok_and(|changed| changed != id) {}
			};
			tokio::select! {
				() = changed => {},
				() = app.closing() => return None,
			}
		}
	})
}

async fn cancel_job(
	State(app): State<Arc<App>>,
	Extension(caller): Extension<Caller>,
	id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
	let Path(id) = id?;
	let id = find_job(&app, &id, &caller).await?.job.id;
	let progress = app.book.cancel(id).await?;
	if progress.state() == JobState::Cancelled {
		return Ok(about(&progress, Json(JobView::from(&progress))));
	}
	let conflict =
		|message: &str| ApiError::new(StatusCode::CONFLICT, "not_cancellable", message).of_job(id);
	if progress.state().is_final() {
		return Err(conflict("the job has ended"));
	}
	let batch = progress.batch.as_deref();
	if batch.is_some_and(|batch| !is_its_own(batch)) {
		return Err(conflict("other jobs share its task: it goes on"));
	}
	if progress.state() != JobState::Queued {
		return Err(conflict("a miner has the job: it goes on"));
	}
	let later = |status, message: &str| ApiError::new(status, "not_now", message).retry_after(5);
	// On chain it is a task, which nobody shares here, and which no miner has yet.
	let Some(task) = batch.and_then(|batch| batch.task) else {
		let message = "the job is just being posted; try again in a moment";
		return Err(later(StatusCode::CONFLICT, message));
	};
	app.chain.cancel(task).await.map_err(|error| {
		tracing::info!(job = %id, task, %error, "a job could not be taken back");
		match error {
			TxError::Dispatch { .. } => conflict("a miner has the job: it goes on"),
			_ => {
				let message = "the chain could not be told; try again in a moment";
				later(StatusCode::SERVICE_UNAVAILABLE, message)
			},
		}
	})?;
	// The watcher sees it once it is final.
	Ok(about(&progress, (StatusCode::ACCEPTED, Json(JobView::from(&progress)))))
}

fn is_its_own(batch: &Batch) -> bool {
	batch.parts.len() == 1
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
	/// Which output of several, from 0.
	#[serde(default)]
	item: u32,
}

async fn job_output(
	State(app): State<Arc<App>>,
	Extension(caller): Extension<Caller>,
	id: Result<Path<String>, PathRejection>,
	query: Result<Query<OutputQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
	let Path(id) = id?;
	let Query(query) = query?;
	let progress = find_job(&app, &id, &caller).await?;
	if query.item >= progress.items() {
		let message = format!("the job has {} outputs, numbered from 0", progress.items());
		return Err(ApiError::bad("item", "invalid_value", message));
	}
	if progress.output(query.item).is_none() {
		return Err(ended(&progress).unwrap_or_else(|| {
			let message = "the output is not here yet";
			let early = ApiError::new(StatusCode::CONFLICT, "not_completed", message);
			early.retry_after(2)
		}));
	}
	let as_png = match (query.format, progress.job.kind) {
		(None | Some(OutputFormat::Png), ModelKind::TextToImage) => true,
		(None | Some(OutputFormat::Safetensors), _) => false,
		(Some(OutputFormat::Png), ModelKind::Tensor | ModelKind::TextEmbedding) => {
			let message = "the output of this job is no picture";
			return Err(ApiError::bad("format", "unsupported_value", message));
		},
	};
	let times = if as_png { TIMES_OF_PNG } else { 1 };
	let turn = turn(&app, &progress, &[query.item], times).await?;
	let bytes = output_of(&app, &progress, query.item).await?;
	let answer = if as_png {
		([(header::CONTENT_TYPE, "image/png")], to_png(bytes).await?).into_response()
	} else {
		([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response()
	};
	Ok(about(&progress, turn.keep(answer).await?))
}

fn prompt_input(app: &App, prompt: PromptFields) -> Result<TextToImageInput, ApiError> {
	prompt.into_input(app.config.default_steps, app.config.default_guidance)
}

/// Inputs that travel as JSON.
fn json_inputs<T: serde::Serialize>(inputs: &[T]) -> Result<Vec<Bytes>, ApiError> {
	let each = inputs.iter().map(|input| serde_json::to_vec(input).map(Bytes::from));
	each.collect::<Result<_, _>>().map_err(ApiError::internal)
}

async fn to_png(bytes: Bytes) -> Result<Vec<u8>, ApiError> {
	let encoding =
		tokio::task::spawn_blocking(move || Picture::read(&bytes).and_then(|p| p.to_png()));
	encoding.await.map_err(ApiError::internal)?.map_err(ApiError::internal)
}
