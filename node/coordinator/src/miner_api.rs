//! What miners ask of a coordinator: the routes of [`cuckoo_primitives::work`].
//!
//! Every request is signed. It is answered only to the operator that holds a seat in the task *now*, by the word of the chain and not of the book:
//! a miner that was replaced can neither read the input nor deliver. One that was paid while this coordinator was away may still deliver. An upload's body is taken in only after its claimed account turned out
//! to have the seat, and counts only after the signature over it was checked.

use std::{sync::Arc, time::Duration};

use axum::{
	extract::{DefaultBodyLimit, Path, Query, Request, State},
	http::{request::Parts, StatusCode},
	middleware,
	response::{IntoResponse, Response},
	routing::{get, put},
	Json, Router,
};
use cuckoo_client::request::{now, Claim, RequestError};
use cuckoo_primitives::{
	merkle::SKETCH_BYTES,
	views::{Seat, SeatKind, TaskPhase},
	work::{Inputs, MAX_BLOB_BYTES, NO_OUTPUT},
	ModelKind, TaskId,
};
use serde::Deserialize;
use sp_core::{crypto::AccountId32, H256};

use crate::{
	book::BookError,
	chain::At,
	error::ApiError,
	job::{DeliveryRefused, Job, Output, NO_OUTPUT_MEANS},
	metrics,
	openai::receive,
	png::{tensors, NotTensors, Picture},
	server::App,
};

/// How long an upload may take. 64 MiB in this time are 4.5 Mbit/s.
const UPLOAD_TIME: Duration = Duration::from_secs(120);
/// How long an upload waits for its turn.
const UPLOAD_TURN: Duration = Duration::from_secs(30);

/// The routes.
pub fn routes() -> Router<Arc<App>> {
	Router::new()
		.route("/v1/miner/tasks/{task}/inputs", get(inputs))
		.route("/v1/miner/tasks/{task}/outputs/{item}", put(output))
		.route("/v1/miner/blobs/{hash}", get(blob))
		.layer(DefaultBodyLimit::max(MAX_BLOB_BYTES))
		.layer(middleware::from_fn(metrics::count_miner))
}

/// Refusals of deliveries, apart from those of the book.
enum Refusal {
	Book(BookError),
	Delivery(DeliveryRefused),
}

impl From<BookError> for Refusal {
	fn from(error: BookError) -> Self {
		Self::Book(error)
	}
}

impl From<Refusal> for ApiError {
	fn from(refusal: Refusal) -> Self {
		let message = match refusal {
			Refusal::Book(error) => return error.into(),
			Refusal::Delivery(DeliveryRefused::AnotherOutput) => {
				"another output was delivered for this task and round"
			},
			Refusal::Delivery(DeliveryRefused::Ended) => "the job has ended",
		};
		ApiError::new(StatusCode::CONFLICT, "conflict", message)
	}
}

impl From<RequestError> for ApiError {
	fn from(error: RequestError) -> Self {
		ApiError::new(StatusCode::UNAUTHORIZED, "bad_signature", error.to_string())
	}
}

impl From<NotTensors> for ApiError {
	fn from(error: NotTensors) -> Self {
		ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_output", error.to_string())
	}
}

/// `GET /v1/miner/tasks/{task}/inputs`
async fn inputs(
	State(app): State<Arc<App>>,
	Path(task): Path<TaskId>,
	request: Request,
) -> Result<Json<Inputs>, ApiError> {
	let parts = request.into_parts().0;
	let operator = check(&app, claim(&parts)?, &parts, &[])?;
	let job = job_of(&app, task).await?;
	if !seats(&app, operator).await?.iter().any(|seat| seat.task == task) {
		return Err(no_seat());
	}
	Ok(Json(Inputs { hashes: job.inputs }))
}

/// `GET /v1/miner/blobs/{hash}`
async fn blob(
	State(app): State<Arc<App>>,
	Path(hash): Path<String>,
	request: Request,
) -> Result<Response, ApiError> {
	let parts = request.into_parts().0;
	let operator = check(&app, claim(&parts)?, &parts, &[])?;
	let hash: H256 = hash
		.parse()
		.map_err(|_| ApiError::not_found("a blob is named by 64 hexadecimal digits"))?;
	for seat in seats(&app, operator).await? {
		let job = app.book.by_task(seat.task).await?.filter(|job| job.inputs.contains(&hash));
		let Some(job) = job else { continue };
		let input = app.blobs.get(hash).await?;
		// Verifiers and jurors come after the fact.
		if seat.kind == SeatKind::Primary {
			let fetched = move |job: &mut Job| {
				job.fetched(seat.round);
				Ok(())
			};
			app.book.update::<BookError>(job.id, fetched).await?;
		}
		return Ok(input.into_response());
	}
	Err(no_seat())
}

/// What an upload says beside the bytes.
#[derive(Deserialize)]
struct Upload {
	/// The sketch of the output, in hexadecimal.
	sketch: String,
}

impl Upload {
	fn check(&self) -> Result<(), ApiError> {
		let mut sketch = [0; SKETCH_BYTES];
		hex::decode_to_slice(&self.sketch, &mut sketch).map_err(|error| {
			let message = format!("sketch must be {SKETCH_BYTES} bytes in hexadecimal: {error}");
			ApiError::bad("sketch", "invalid_value", message)
		})
	}
}

/// `PUT /v1/miner/tasks/{task}/outputs/{item}?sketch={hex}`
async fn output(
	State(app): State<Arc<App>>,
	Path((task, item)): Path<(TaskId, u32)>,
	Query(upload): Query<Upload>,
	request: Request,
) -> Result<StatusCode, ApiError> {
	let (parts, body) = request.into_parts();
	let claim = claim(&parts)?;
	upload.check()?;
	let job = job_of(&app, task).await?;
	if item >= job.items() {
		let message = format!("the task has {} items, numbered from 0", job.items());
		return Err(ApiError::not_found(message));
	}
	let round = round_of(&app, claim.account().clone(), task, &job).await?;

	// From here on a request may cost memory: few at a time.
	let turn = tokio::time::timeout(UPLOAD_TURN, app.uploads.acquire()).await;
	let Ok(Ok(_turn)) = turn else {
		let message = "too many uploads at a time; try again";
		let busy = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message);
		return Err(busy.retry_after(2));
	};
	let limits = Request::from_parts(parts.clone(), body);
	let bytes = receive(limits, UPLOAD_TIME).await?;

	// Hashing and reading 64 MiB is not for a thread that serves requests.
	let checking = {
		let (app, bytes, kind) = (app.clone(), bytes.clone(), job.kind);
		tokio::task::spawn_blocking(move || {
			let operator = check(&app, claim, &parts, &bytes)?;
			let size = match kind {
				_ if bytes == NO_OUTPUT => None,
				ModelKind::TextToImage => {
					let picture = Picture::read(&bytes)?;
					Some((picture.width, picture.height))
				},
				ModelKind::Tensor | ModelKind::TextEmbedding => tensors(&bytes).map(|_| None)?,
			};
			Ok::<_, ApiError>((operator, size))
		})
	};
	let (operator, size) = checking.await.map_err(ApiError::internal)??;

	// So that the answer to the application can say in which block the miner was drawn.
	let view = app.chain.task(task, At::Best).await.unwrap_or_else(|error| {
		tracing::warn!(task, %error, "delivered while the chain does not answer");
		None
	});
	// Of a batch the other outputs are worth having.
	let fails = bytes == NO_OUTPUT && job.items() == 1;
	let hash = app.blobs.put(bytes).await?;
	let delivered = move |job: &mut Job| {
		// The deal is with the task that the seat was checked for.
		if job.task != Some(task) {
			return Err(Refusal::Delivery(DeliveryRefused::Ended));
		}
		if fails {
			job.fail(NO_OUTPUT_MEANS);
			return Ok(());
		}
		let sketch = upload.sketch;
		let output = Output { hash, sketch, round, operator };
		job.deliver(item, output).map_err(Refusal::Delivery)?;
		let same_round = view.filter(|view| view.round == round);
		if let Some(view) = same_round {
			if !view.phase.has_ended() && view.phase != TaskPhase::Queued {
				job.follow(&view);
			}
		}
		Ok(())
	};
	let job = app.book.update(job.id, delivered).await?;
	if let Some(size) = size {
		app.book.saw_picture(job.model, size).await?;
	}
	tracing::info!(job = %job.id, task, round, output = ?hash, "delivered");
	Ok(StatusCode::NO_CONTENT)
}

/// Who a request says it is from.
fn claim(parts: &Parts) -> Result<Claim, RequestError> {
	let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
	Claim::read(header, now())
}

/// Whether it is.
fn check(app: &App, claim: Claim, parts: &Parts, body: &[u8]) -> Result<AccountId32, RequestError> {
	let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
	let (genesis, account) = (app.chain.genesis(), app.chain.account());
	claim.check(&genesis, &account, parts.method.as_str(), path, body)
}

/// The job that a task of this coordinator was posted for.
async fn job_of(app: &App, task: TaskId) -> Result<Job, ApiError> {
	app.book.by_task(task).await?.ok_or_else(|| {
		// A coordinator that was killed while it posted finds its task again only after a while.
		ApiError::not_found(format!("task {task} is not known here, or not yet; try again"))
			.retry_after(3)
	})
}

/// The seats of an operator in tasks of this coordinator.
async fn seats(app: &App, operator: AccountId32) -> Result<Vec<Seat>, ApiError> {
	let own = app.chain.account();
	let mut seats = app.chain.seats(operator).await?;
	seats.retain(|seat| seat.coordinator_operator == own);
	Ok(seats)
}

/// The round for which an operator may deliver: that of its seat, or the one in which it was paid for an output that is not here.
async fn round_of(
	app: &App,
	operator: AccountId32,
	task: TaskId,
	job: &Job,
) -> Result<u32, ApiError> {
	let seats = seats(app, operator.clone()).await?;
	let own = |seat: &&Seat| seat.task == task && seat.kind == SeatKind::Primary;
	if let Some(seat) = seats.iter().find(own) {
		return Ok(seat.round);
	}
	let view = app.chain.task(task, At::Best).await?.filter(|view| {
		view.phase == TaskPhase::Settled
			&& view.coordinator == app.chain.owner()
			&& view.input_root == job.input_root()
	});
	let view = view.ok_or_else(no_seat)?;
	let pool = app.chain.operator(operator.clone()).await?.ok_or_else(no_seat)?;
	let paid = pool.operator == operator && view.miner == Some(pool.owner);
	paid.then_some(view.round).ok_or_else(no_seat)
}

fn no_seat() -> ApiError {
	let message = "this account holds no seat in the task";
	ApiError::new(StatusCode::FORBIDDEN, "no_seat", message)
}
