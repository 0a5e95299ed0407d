//! From a request to a job in the book, and from there to its outputs: what all ways of asking have in common.

use axum::{
	body::Bytes,
	http::{HeaderMap, StatusCode},
	response::{IntoResponse, Response},
};
use cuckoo_primitives::{
	views::ModelView,
	work::{MAX_BLOB_BYTES, NO_OUTPUT},
	Balance, ModelKind,
};
use futures::{future::try_join_all, stream, StreamExt, TryStreamExt};
use sp_core::H256;
use sp_crypto_hashing::blake2_256;

use crate::{
	answers::Turn,
	auth::Caller,
	blobs::BlobError,
	error::{set, ApiError, HEADER_BLOCKS, HEADER_JOB, HEADER_MINER, HEADER_MODEL, HEADER_TASK},
	id::{unix_now, JobId},
	job::{Job, JobState, Place, Progress, NO_OUTPUT_MEANS},
	keys::KeyId,
	metrics,
	server::App,
};

/// How many inputs are written at a time.
const PUTS: usize = 16;
/// How many outputs are looked at, or fetched, at a time.
const GETS: usize = 16;
/// The longest `Idempotency-Key`.
const MAX_KEY: usize = 255;

/// A request that was found good.
pub struct Order {
	/// The model.
	pub model: ModelView,
	/// The name that it was asked for by.
	pub model_name: String,
	/// One for each inference.
	pub inputs: Vec<Bytes>,
	/// The seed of the first picture.
	pub seed: Option<u64>,
	/// What the same `Idempotency-Key` must come with.
	pub request_hash: H256,
	/// The `Idempotency-Key`.
	pub key: Option<String>,
	/// The key that it was asked for with.
	pub owner: Option<KeyId>,
}

/// The model that a request means, if the caller may use it.
pub async fn find_model(
	app: &App,
	asked: Option<&str>,
	kind: ModelKind,
	caller: &Caller,
) -> Result<(String, ModelView), ApiError> {
	let default = app.config.default_model.as_deref().filter(|_| kind == ModelKind::TextToImage);
	let asked = asked.or(default);
	let found = match asked {
		Some(asked) => app.models.find(asked).await?,
		None => app.models.only(kind).await?,
	};
	// Whoever may not use a model need not know that it is there.
	let found = found.filter(|(name, model)| caller.may_use(name, model.model));
	let Some((name, model)) = found else {
		let Some(asked) = asked else {
			let message =
				"name a model: there is not exactly one that fits; GET /v1/models lists them";
			return Err(ApiError::bad("model", "model_required", message));
		};
		let message = format!("there is no model {asked:?}; GET /v1/models lists them");
		let unknown = ApiError::new(StatusCode::NOT_FOUND, "model_not_found", message);
		return Err(ApiError { param: Some("model"), ..unknown });
	};
	if model.kind != kind {
		let message = format!("the model {name:?} does not do this: its kind is {:?}", model.kind);
		return Err(ApiError::bad("model", "unsupported_value", message));
	}
	Ok((name, model))
}

/// What an inference of this model is offered, in planck.
fn fee_of(app: &App, name: &str, model: &ModelView) -> Result<Balance, ApiError> {
	let least = model.min_fee;
	let fees = &app.config.fees;
	let set = fees.get(&model.model.to_string()).or_else(|| fees.get(name));
	let fee = match (set, model.kind, app.config.fee_per_image) {
		(Some(fee), _, _) => fee.0,
		(None, ModelKind::TextToImage, Some(fee)) => fee.0,
		(None, _, _) => least,
	};
	if fee > app.config.max_fee.0 {
		let message = "this model asks more than this coordinator pays for an inference";
		return Err(ApiError::bad("model", "fee_too_high", message));
	}
	if fee < least {
		tracing::warn!(
			model = name,
			fee,
			least,
			"the fee that is set for this model is below what it takes: raise it, or leave it out"
		);
		let message = "the fee that this coordinator offers is below what the model takes";
		return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "fee_too_low", message));
	}
	Ok(fee)
}

/// Writes an order into the book, or finds the job that its key stands for. From here on it is not lost.
pub async fn accept(app: &App, order: Order) -> Result<Progress, ApiError> {
	if let Some(key) = &order.key {
		let held = app.book.find_key(order.owner, key.clone(), order.request_hash).await?;
		if let Some(progress) = held {
			return Ok(progress);
		}
	}
	let each = fee_of(app, &order.model_name, &order.model)?;
	let count = Balance::try_from(order.inputs.len()).map_err(ApiError::internal)?;
	let fee = each.checked_mul(count).ok_or_else(|| ApiError::internal("the fee is too large"))?;
	let budget = order.owner.and_then(|key| app.keys.get(key)).and_then(|key| key.budget);
	// Before anything is written: what is refused leaves nothing behind.
	app.floor.check()?;
	let room = app.book.check_room(order.owner, fee, budget).await;
	room.inspect_err(metrics::refused)?;
	let puts = order.inputs.into_iter().map(|input| app.blobs.put(input));
	let inputs = stream::iter(puts).buffered(PUTS).try_collect().await?;
	let job = Job {
		id: JobId::random(),
		created: unix_now(),
		owner: order.owner,
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
		alone: false,
		place: Place::Waiting,
	};
	let (progress, new) = app.book.create(job, budget).await.inspect_err(metrics::refused)?;
	if new {
		let job = &progress.job;
		tracing::info!(job = %job.id, model = job.model_name, items = job.items(), "accepted");
	}
	Ok(progress)
}

/// Waits until the outputs are here.
pub async fn wait(app: &App, id: JobId) -> Result<Progress, ApiError> {
	// Before the first look, or a change between the two would be missed.
	let mut changes = app.book.changes();
	let mut later = std::pin::pin!(tokio::time::sleep(app.config.wait()));
	let mut closing = std::pin::pin!(app.closing());
	loop {
		// The job goes on, whatever becomes of this answer.
		let progress = app.book.get(id).await.map_err(|error| ApiError::from(error).of_job(id))?;
		let progress = progress.ok_or_else(|| ApiError::internal("a job is gone"))?;
		if progress.state() == JobState::Completed {
			metrics::answered(&progress);
			return Ok(progress);
		}
		if let Some(error) = ended(&progress) {
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
				let message = format!("the result is not here yet; {poll}");
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

/// The error that a job without outputs ended with.
pub fn ended(progress: &Progress) -> Option<ApiError> {
	let why = progress.error().unwrap_or("the job ended without an output");
	let (status, code) = match progress.state() {
		// Nobody could do better, and to ask again would cost again.
		JobState::Failed if why == NO_OUTPUT_MEANS => {
			(StatusCode::UNPROCESSABLE_ENTITY, "no_output")
		},
		JobState::Failed => (StatusCode::BAD_GATEWAY, "job_failed"),
		JobState::Expired => (StatusCode::SERVICE_UNAVAILABLE, "no_miner"),
		JobState::Cancelled => (StatusCode::CONFLICT, "cancelled"),
		JobState::Queued | JobState::Assigned | JobState::Running | JobState::Completed => {
			return None
		},
	};
	Some(ApiError::new(status, code, why).of_job(progress.job.id))
}

/// A job of this caller's.
pub async fn find_job(app: &App, id: &str, caller: &Caller) -> Result<Progress, ApiError> {
	let id: JobId = id.parse().map_err(ApiError::not_found)?;
	let found = app.book.get(id).await?;
	// Whose it is is nobody else's business.
	let own = found.filter(|progress| progress.job.owner == caller.owner());
	own.ok_or_else(|| ApiError::not_found(format!("there is no job {id}")))
}

/// A turn for an answer that is made of these outputs of a completed job, and takes so many times as much memory as they do. To be had before they are fetched.
pub async fn turn(
	app: &App,
	progress: &Progress,
	items: &[u32],
	times: u64,
) -> Result<Turn, ApiError> {
	let mut size: u64 = 0;
	for some in items.chunks(GETS) {
		let sizes = some.iter().copied().map(|item| size_of(app, progress, item));
		size = try_join_all(sizes).await?.into_iter().fold(size, u64::saturating_add);
	}
	if size > MAX_BLOB_BYTES as u64 {
		let id = progress.job.id;
		let message = format!(
			"the outputs have {size} bytes together, more than fit in one answer: \
			 GET /v1/jobs/{id}/output?item=0 and so on gives them one by one"
		);
		let large = ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "output_too_large", message);
		return Err(large.of_job(id));
	}
	app.answers.turn(progress.job.owner, size.saturating_mul(times)).await
}

/// The same for all its outputs, in the answer to the request that ordered them: whoever is put off must not order them again.
pub async fn turn_for_all(app: &App, progress: &Progress, times: u64) -> Result<Turn, ApiError> {
	let items: Vec<u32> = (0..progress.items()).collect();
	let turn = turn(app, progress, &items, times).await;
	turn.map_err(|error| error.of_job(progress.job.id))
}

/// How many bytes the output of an item has.
async fn size_of(app: &App, progress: &Progress, item: u32) -> Result<u64, ApiError> {
	let output = progress.output(item).ok_or_else(|| ApiError::internal("no output"))?;
	app.blobs.size(output.hash).await.map_err(|error| unreadable(progress, error))
}

fn unreadable(progress: &Progress, error: BlobError) -> ApiError {
	tracing::error!(job = %progress.job.id, %error, "an output cannot be read");
	ApiError::from(error).of_job(progress.job.id)
}

/// All outputs of a completed job, in order.
pub async fn outputs_of(app: &App, progress: &Progress) -> Result<Vec<Bytes>, ApiError> {
	let items: Vec<u32> = (0..progress.items()).collect();
	let mut all = Vec::with_capacity(items.len());
	for some in items.chunks(GETS) {
		let outputs = some.iter().copied().map(|item| output_of(app, progress, item));
		all.extend(try_join_all(outputs).await?);
	}
	Ok(all)
}

/// The safetensors file that the miner delivered for an item.
pub async fn output_of(app: &App, progress: &Progress, item: u32) -> Result<Bytes, ApiError> {
	let output = progress.output(item).ok_or_else(|| ApiError::internal("no output"))?;
	let bytes = app.blobs.get(output.hash).await.map_err(|error| unreadable(progress, error))?;
	if bytes == NO_OUTPUT {
		let status = StatusCode::UNPROCESSABLE_ENTITY;
		let nothing = ApiError::new(status, "no_output", NO_OUTPUT_MEANS);
		return Err(nothing.of_job(progress.job.id));
	}
	Ok(bytes)
}

/// An answer with the headers that say who made it and where to look it up on chain.
pub fn about(progress: &Progress, answer: impl IntoResponse) -> Response {
	let mut response = answer.into_response();
	let headers = response.headers_mut();
	set(headers, HEADER_JOB, progress.job.id);
	set(headers, HEADER_MODEL, format!("{:?}", progress.job.manifest));
	if let Some(task) = progress.task() {
		set(headers, HEADER_TASK, task);
	}
	if let Some(miner) = progress.miner() {
		set(headers, HEADER_MINER, miner);
	}
	let blocks = progress.blocks();
	let steps = [
		("posted", blocks.posted),
		("drawn", blocks.drawn),
		("committed", blocks.committed),
		("revealed", blocks.revealed),
		("settled", blocks.settled),
	];
	let steps = steps.iter().filter_map(|(step, block)| Some(format!("{step}={}", (*block)?)));
	let steps: Vec<String> = steps.collect();
	if !steps.is_empty() {
		set(headers, HEADER_BLOCKS, steps.join(","));
	}
	response
}

/// What a request is, for its `Idempotency-Key`: BLAKE2b-256 over route and body.
pub fn request_hash(route: &str, body: &[u8]) -> H256 {
	let mut request = route.as_bytes().to_vec();
	request.push(0);
	request.extend_from_slice(body);
	blake2_256(&request).into()
}

/// The request's `Idempotency-Key`.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
	let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
	match key.to_str() {
		Ok(key) if !key.is_empty() && key.len() <= MAX_KEY => Ok(Some(key.into())),
		_ => {
			let message = format!("an Idempotency-Key is 1 to {MAX_KEY} plain characters");
			Err(ApiError::bad("Idempotency-Key", "invalid_value", message))
		},
	}
}
