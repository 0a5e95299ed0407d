//! What miners ask of a coordinator: the routes of [`cuckoo_primitives::work`].
//!
//! Every request is signed. It is answered only to the operator that holds a seat in the task *now*, by the word of the chain and not of the book:
//! a miner that was replaced can neither read the input nor deliver. One that was paid while this coordinator was away may still deliver. An upload's body is taken in only after its signature, which is over the
//! body's hash, turned out to be that of whoever has the seat, and counts only if it has that hash and the seat is still the signer's.

use std::{sync::Arc, time::Duration};

use axum::{
	extract::{DefaultBodyLimit, Path, Query, Request, State},
	http::{request::Parts, StatusCode},
	middleware,
	response::Response,
	routing::{get, put},
	Json, Router,
};
use cuckoo_client::request::{is_body, now, Claim, RequestError};
use cuckoo_primitives::{
	merkle::SKETCH_BYTES,
	views::{OperatorView, Seat, SeatKind, TaskPhase},
	work::{Inputs, MAX_BLOB_BYTES, NO_OUTPUT},
	ModelKind, TaskId,
};
use serde::Deserialize;
use sp_core::{crypto::AccountId32, H256};

use crate::{
	batch::{Batch, DeliveryRefused},
	book::BookError,
	chain::At,
	embeddings::{self, NotAnEmbedding},
	error::ApiError,
	id::unix_millis,
	job::{JobState, Output},
	metrics,
	openai::receive,
	png::{tensors, NotTensors, Picture},
	replay::Once,
	server::App,
};

/// How long an upload may take. 64 MiB in this time are 4.5 Mbit/s.
const UPLOAD_TIME: Duration = Duration::from_secs(120);

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
			Refusal::Delivery(DeliveryRefused::Ended) => "the jobs of this task have ended",
		};
		ApiError::new(StatusCode::CONFLICT, "conflict", message)
	}
}

impl From<RequestError> for ApiError {
	fn from(error: RequestError) -> Self {
		ApiError::new(StatusCode::UNAUTHORIZED, "bad_signature", error.to_string())
	}
}

impl From<NotAnEmbedding> for ApiError {
	fn from(error: NotAnEmbedding) -> Self {
		ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_output", error.to_string())
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
	let (operator, once) = signed(&app, claim(&parts)?, &parts)?;
	let batch = batch_of(&app, task).await?;
	if !seats(&app, operator.clone()).await?.iter().any(|seat| seat.task == task) {
		return Err(no_seat());
	}
	first_time(&app, &operator, once)?;
	Ok(Json(Inputs { hashes: batch.inputs }))
}

/// `GET /v1/miner/blobs/{hash}`
async fn blob(
	State(app): State<Arc<App>>,
	Path(hash): Path<String>,
	request: Request,
) -> Result<Response, ApiError> {
	let parts = request.into_parts().0;
	let (operator, once) = signed(&app, claim(&parts)?, &parts)?;
	let hash: H256 = hash
		.parse()
		.map_err(|_| ApiError::not_found("a blob is named by 64 hexadecimal digits"))?;
	for seat in seats(&app, operator.clone()).await? {
		let batch = app.book.by_task(seat.task).await?;
		let Some(batch) = batch.filter(|batch| batch.inputs.contains(&hash)) else { continue };
		first_time(&app, &operator, once)?;
		let turn = app.inputs.turn(operator, app.blobs.size(hash).await?).await?;
		let input = app.blobs.get(hash).await?;
		// Verifiers and jurors come after the fact; and most items are not the first, and a write waits for the disk.
		let known = batch.state.is_final()
			|| (batch.state == JobState::Running && batch.round == seat.round);
		if seat.kind == SeatKind::Primary && !known {
			let fetched = move |batch: &mut Batch| {
				batch.fetched(seat.round);
				Ok(())
			};
			let first = batch.state != JobState::Running;
			let batch = app.book.update::<BookError>(batch.id, fetched).await?;
			if first {
				metrics::handed_over(&batch);
			}
		}
		return turn.keep(input).await;
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
	let hash = claim.body();
	upload.check()?;
	let batch = batch_of(&app, task).await?;
	if item >= batch.items() {
		let message = format!("the task has {} items, numbered from 0", batch.items());
		return Err(ApiError::not_found(message));
	}
	let (operator, once) = signed(&app, claim, &parts)?;
	round_of(&app, operator.clone(), task, &batch).await?;
	let uploading = Uploading { task, item, upload, hash, operator, once, batch };
	let done = take_in(&app, uploading, Request::from_parts(parts, body)).await;
	// It is not the miner that is late.
	if done.as_ref().is_err_and(|error| error.status.is_server_error()) {
		app.uploads.keep_out(task);
	}
	done.map(|()| StatusCode::NO_CONTENT)
}

/// An upload of whoever has the seat.
struct Uploading {
	task: TaskId,
	item: u32,
	upload: Upload,
	/// That of the signed body.
	hash: H256,
	operator: AccountId32,
	once: Once,
	batch: Batch,
}

/// Takes in an output.
async fn take_in(app: &Arc<App>, of: Uploading, request: Request) -> Result<(), ApiError> {
	let Uploading { task, item, upload, hash, operator, once, batch } = of;
	// From here on a request may cost memory: few at a time.
	let Some(_turn) = app.uploads.turn(operator.clone(), task).await else {
		return Err(ApiError::busy("too many uploads at a time; try again"));
	};
	let bytes = receive(request, UPLOAD_TIME).await?;

	// Hashing and reading 64 MiB is not for a thread that serves requests.
	let checking = {
		let (bytes, kind) = (bytes.clone(), batch.kind);
		tokio::task::spawn_blocking(move || {
			is_body(hash, &bytes)?;
			let size = match kind {
				_ if bytes == NO_OUTPUT => None,
				ModelKind::TextToImage => {
					let picture = Picture::read(&bytes)?;
					Some((picture.width, picture.height))
				},
				ModelKind::Tensor => tensors(&bytes).map(|_| None)?,
				ModelKind::TextEmbedding => embeddings::read(&bytes).map(|_| None)?,
			};
			Ok::<_, ApiError>(size)
		})
	};
	let size = checking.await.map_err(ApiError::internal)??;
	// Not before the body was seen to be the signed one: nobody else can use the signature up.
	first_time(app, &operator, once)?;

	// So that the answer to the application can say in which block the miner was drawn.
	let view = app.chain.task(task, At::Best).await.unwrap_or_else(|error| {
		tracing::warn!(task, %error, "delivered while the chain does not answer");
		None
	});
	let hash = app.blobs.put(bytes).await?;
	// The upload may have taken minutes: whose is the seat now?
	let round = round_of(app, operator.clone(), task, &batch).await?;
	let pool = app.seats.ask(app.chain.operator(operator.clone())).await?;
	let miner = pool.ok_or_else(no_seat)?.owner;
	let delivered = move |batch: &mut Batch| {
		// The deal is with the task that the seat was checked for.
		if batch.task != Some(task) {
			return Err(Refusal::Delivery(DeliveryRefused::Ended));
		}
		let sketch = upload.sketch;
		let output = Output { hash, sketch, task, round, miner, operator, at: unix_millis() };
		batch.deliver(item, output).map_err(Refusal::Delivery)?;
		let same_round = view.filter(|view| view.round == round);
		if let Some(view) = same_round {
			if !view.phase.has_ended() && view.phase != TaskPhase::Queued {
				batch.follow(&view);
			}
		}
		Ok(())
	};
	let batch = app.book.update(batch.id, delivered).await?;
	if let Some(size) = size {
		app.book.saw_picture(batch.model, size).await?;
	}
	tracing::info!(batch = %batch.id, task, round, item, output = ?hash, "delivered");
	Ok(())
}

/// Who a request says it is from.
fn claim(parts: &Parts) -> Result<Claim, RequestError> {
	let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
	Claim::read(header, now())
}

/// Whose it is, and what makes it different from every other.
fn signed(app: &App, claim: Claim, parts: &Parts) -> Result<(AccountId32, Once), RequestError> {
	let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
	let (genesis, account) = (app.chain.genesis(), app.chain.account());
	let once = claim.once();
	Ok((claim.check(&genesis, &account, parts.method.as_str(), path)?, once))
}

/// Whether a request of an operator with a seat was not here before. Asked after the seat: what strangers sign is not worth remembering.
fn first_time(app: &App, operator: &AccountId32, once: Once) -> Result<(), RequestError> {
	match app.replays.is_new(operator, once, now()) {
		true => Ok(()),
		false => Err(RequestError::Replayed),
	}
}

/// The batch that a task of this coordinator was posted for.
async fn batch_of(app: &App, task: TaskId) -> Result<Batch, ApiError> {
	app.book.by_task(task).await?.ok_or_else(|| {
		// A coordinator that was killed while it posted finds its task again only after a while.
		ApiError::not_found(format!("task {task} is not known here, or not yet; try again"))
			.retry_after(3)
	})
}

/// The seats of an operator in tasks of this coordinator.
async fn seats(app: &App, operator: AccountId32) -> Result<Vec<Seat>, ApiError> {
	let (block, wish) = (app.newest_block(), (operator.clone(), None));
	if app.seats.was_refused(&wish, block) {
		return Ok(Vec::new());
	}
	let own = app.chain.account();
	let mut seats = app.seats.ask(app.chain.seats(operator)).await?;
	seats.retain(|seat| seat.coordinator_operator == own);
	if seats.is_empty() {
		app.seats.refuse(wish, block);
	}
	Ok(seats)
}

/// The round for which an operator may deliver: that of its seat, or the one in which it was paid for an output that is not here.
async fn round_of(
	app: &App,
	operator: AccountId32,
	task: TaskId,
	batch: &Batch,
) -> Result<u32, ApiError> {
	let (block, wish) = (app.newest_block(), (operator.clone(), Some(task)));
	if app.seats.was_refused(&wish, block) {
		return Err(no_seat());
	}
	let seats = seats(app, operator.clone()).await?;
	let own = |seat: &&Seat| seat.task == task && seat.kind == SeatKind::Primary;
	if let Some(seat) = seats.iter().find(own) {
		return Ok(seat.round);
	}
	let paid = paid_round(app, operator, task, batch).await?;
	if paid.is_none() {
		app.seats.refuse(wish, block);
	}
	paid.ok_or_else(no_seat)
}

/// The round of a task in which this operator was paid for it, if it was.
async fn paid_round(
	app: &App,
	operator: AccountId32,
	task: TaskId,
	batch: &Batch,
) -> Result<Option<u32>, ApiError> {
	let view = app.seats.ask(app.chain.task(task, At::Best)).await?.filter(|view| {
		view.phase == TaskPhase::Settled
			&& view.coordinator == app.chain.owner()
			&& view.input_root == batch.input_root()
	});
	let Some(view) = view else { return Ok(None) };
	let pool = app.seats.ask(app.chain.operator(operator.clone())).await?;
	let paid =
		|pool: OperatorView| pool.operator == operator && view.miner.as_ref() == Some(&pool.owner);
	Ok(pool.is_some_and(paid).then_some(view.round))
}

fn no_seat() -> ApiError {
	let message = "this account holds no seat in the task";
	ApiError::new(StatusCode::FORBIDDEN, "no_seat", message)
}
