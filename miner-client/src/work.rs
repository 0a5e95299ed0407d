//! The work of one seat: fetch, run, write down, hand over. Each part goes on until it is done or its task is aborted, because the seat is gone.

use std::{
	collections::BTreeMap,
	future::Future,
	pin::pin,
	sync::Arc,
	time::{Duration, Instant},
};

use cuckoo_client::{
	calls::{self, Call},
	Signer,
};
use cuckoo_primitives::{
	merkle,
	sketch::Keys,
	tolerance::{Leaf, Sketch},
	views::{Seat, SeatKind},
	work::MAX_BLOB_BYTES,
	BlockNumber, ModelId, TaskId,
};
use futures::{stream, StreamExt};
use rand::{rngs::OsRng, RngCore};
use sp_core::{Encode, H256};
use sp_crypto_hashing::blake2_256;
use tokio::{
	sync::{OwnedSemaphorePermit, Semaphore},
	time::sleep,
};

use crate::{
	disk,
	http::{Coordinators, HttpError, Peer},
	job::{Computed, JobError},
	journal::{items_of, Journal, JournalError, Record},
	metrics,
	waiting::Waiting,
	worker::{protocol::Run, Served, Workers},
};

/// Between attempts at a coordinator: from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How often a run is tried by itself when this machine fails at it.
const ATTEMPTS: u32 = 3;
/// What the inputs that wait for a device, of all seats, may have together, in MiB.
const INPUTS_MIB: usize = 2048;
/// What one may have, in MiB: until it is here nobody knows.
const INPUT_MIB: u32 = (MAX_BLOB_BYTES >> 20) as u32;
/// How many results are handed over at a time.
const DELIVERIES: usize = 8;

/// What every seat's work needs.
pub struct Tools {
	/// Signs for the operator.
	pub signer: Signer,
	/// Talks to coordinators.
	pub coordinators: Coordinators,
	/// What was promised.
	pub journal: Arc<Journal>,
	/// The chain.
	pub genesis: H256,
	/// Run the models.
	pub workers: Workers,
	/// The models served.
	pub models: BTreeMap<ModelId, Served>,
	/// What holds memory down.
	pub limits: Limits,
}

/// How much is held in memory at a time, by all seats together.
pub struct Limits {
	inputs: Arc<Semaphore>,
	deliveries: Semaphore,
}

impl Default for Limits {
	fn default() -> Self {
		let inputs = Arc::new(Semaphore::new(INPUTS_MIB));
		Self { inputs, deliveries: Semaphore::new(DELIVERIES) }
	}
}

impl Limits {
	/// Room for an input of any size.
	async fn room(&self) -> Result<OwnedSemaphorePermit, WorkError> {
		let room = self.inputs.clone().acquire_many_owned(INPUT_MIB).await;
		// Nobody closes it.
		room.map_err(|_| WorkError::Ending)
	}
}

/// Leaves an input as much room as it takes.
fn fit(room: &mut OwnedSemaphorePermit, bytes: usize) {
	let rest = (INPUT_MIB as usize).saturating_sub(bytes.div_ceil(1 << 20));
	drop(room.split(rest));
}

/// Does something with the journal.
async fn on_disk<T: Send + 'static>(
	work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, WorkError> {
	disk::on_disk(work).await.ok_or(WorkError::Ending)
}

/// Why a seat's result cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
	/// The chain drew this miner for a model that it does not serve (any more).
	#[error("model {0} is not loaded; start miner-client with its folder, see --model-dir")]
	NotServed(ModelId),
	/// The run failed.
	#[error(transparent)]
	Job(#[from] JobError),
	/// The result could not be written down, so nothing was promised.
	#[error(transparent)]
	Journal(#[from] JournalError),
	/// The chain asks for an item that the task does not have.
	#[error("the task has no item {0}")]
	NoSuchItem(u32),
	/// The journal holds the promise and not what is behind it.
	#[error("the journal lacks an output that was promised: was the data folder changed?")]
	Lost,
	/// The program is ending.
	#[error("the program is ending")]
	Ending,
}

/// Computes a seat's result and writes it down with a fresh salt. `block` is the best block now; `waiting` is told what it is at.
pub async fn compute(
	tools: &Tools,
	seat: &Seat,
	block: BlockNumber,
	waiting: &Waiting,
) -> Result<Record, WorkError> {
	let model = tools.models.get(&seat.model).ok_or(WorkError::NotServed(seat.model))?;
	let http = &tools.coordinators;
	let start = Instant::now();
	let hashes = until_done(seat, "list of inputs", waiting, || {
		http.inputs(seat.into(), seat.task, seat.items, seat.input_root)
	})
	.await;
	let mut fetching = start.elapsed();
	let (key, keys) = ((seat.task, seat.round), Keys::of(seat));
	let items = items_of(seat.kind, seat.items, &seat.sample);
	let mut missing = Vec::new();
	for item in &items {
		let hash = hashes.get(*item as usize).copied().ok_or(WorkError::NoSuchItem(*item))?;
		let of = (seat.model, hash, keys).using_encoded(blake2_256).into();
		if !tools.journal.has_item(key, *item, of)? {
			missing.push((*item, hash, of));
		}
	}
	// Inputs come while others run, and each device has the next one before it is done with the last.
	let together = model.at_a_time() as usize;
	let at_a_time = (tools.workers.all().len() + 1) * together;

	let mut computed = pin!(stream::iter(missing)
		.map(async |(item, hash, of)| {
			let mut room = tools.limits.room().await?;
			let start = Instant::now();
			let input = until_done(seat, "input", waiting, || http.blob(seat.into(), hash)).await;
			fit(&mut room, input.len());
			Ok((item, of, input, room, start.elapsed()))
		})
		.buffered(at_a_time)
		.map(async |fetched: Result<_, WorkError>| {
			let (item, of, input, _room, took) = fetched?;
			let _computing = waiting.computing();
			let run = Run { task: seat.task, item, keys, input, alone: false };
			let done = compute_item(&tools.workers, model, run, seat.deadline).await?;
			Ok::<_, WorkError>((item, of, done, took))
		})
		.buffered(at_a_time));
	while let Some(done) = computed.next().await {
		let (item, of, done, took): (_, _, _, Duration) = done?;
		fetching += took;
		let journal = tools.journal.clone();
		on_disk(move || journal.keep(key, item, of, &done)).await??;
	}
	metrics::stage(seat.model, "fetch", fetching.as_secs_f64());

	let leaves = tools.journal.leaves(key, &items)?.ok_or(WorkError::Ending)?;
	let mut salt = [0; 32];
	OsRng.fill_bytes(&mut salt);
	let operator = tools.signer.account();
	let record = Record::new(seat, &leaves, salt, &tools.genesis, &operator, block);
	let (journal, kept) = (tools.journal.clone(), record.clone());
	on_disk(move || journal.promise(&kept)).await??;
	tracing::info!(
		task = seat.task,
		round = seat.round,
		model = seat.model,
		fetch_ms = fetching.as_millis() as u64,
		ms = start.elapsed().as_millis() as u64,
		output_root = ?record.output_root,
		"computed"
	);
	Ok(record)
}

async fn compute_item(
	workers: &Workers,
	model: &Served,
	mut run: Run,
	due: BlockNumber,
) -> Result<Computed, JobError> {
	let (task, item) = (run.task, run.item);
	// What failed beside others says nothing of either.
	let attempts = ATTEMPTS + u32::from(model.at_a_time() > 1);
	let mut attempt = 1;
	loop {
		// A device that is lost may come back. Whose time is over is told by the chain, and then this ends.
		while !workers.is_alive() {
			sleep(FIRST_PAUSE).await;
		}
		match workers.run(model, run.clone(), due).await {
			Ok(computed) => {
				metrics::stage(model.model, "infer", computed.seconds);
				return Ok(computed);
			},
			// Nobody could do better: that is the result, and honest miners agree on it.
			Err(error @ (JobError::Input(_) | JobError::Output(_))) => {
				tracing::warn!(task, item, %error, "no output");
				return Ok(Computed::nothing(&run.keys));
			},
			Err(error @ (JobError::Runtime(_) | JobError::Machine(_))) if attempt < attempts => {
				tracing::warn!(task, item, attempt, %error, "running it again");
				(attempt, run.alone) = (attempt + 1, true);
				sleep(FIRST_PAUSE).await;
			},
			// It has failed again and again. Where everything else runs, the input is at fault, and everybody else fails at it too. Not so where memory was short, or the process ended:
			// others may have an output.
			Err(error @ JobError::Runtime(_)) if workers.can_run(model).await => {
				tracing::warn!(task, item, %error, "no output: other inputs run");
				return Ok(Computed::nothing(&run.keys));
			},
			Err(error) => return Err(error),
		}
	}
}

/// Asks a coordinator until it answers as it should.
async fn until_done<T, F>(
	seat: &Seat,
	what: &str,
	waiting: &Waiting,
	mut attempt: impl FnMut() -> F,
) -> T
where
	F: Future<Output = Result<T, HttpError>>,
{
	let _fetching = waiting.fetching();
	let mut pause = FIRST_PAUSE;
	loop {
		match attempt().await {
			Ok(done) => return done,
			Err(error) => {
				tracing::warn!(task = seat.task, round = seat.round, %error, "cannot fetch the {what}, trying again");
				sleep(pause).await;
				pause = (pause * 2).min(LONGEST_PAUSE);
			},
		}
	}
}

/// What shows these results on chain: of each the items that are looked at, with the proofs that they are its own. One that cannot be shown keeps no other from it.
pub async fn reveals(
	tools: Arc<Tools>,
	records: Vec<(Record, Vec<u32>)>,
) -> Result<Call, WorkError> {
	let reveals = on_disk(move || {
		let mut shown = Vec::new();
		let mut failed = None;
		for (record, sample) in &records {
			match reveal(&tools.journal, record, sample) {
				Ok(reveal) => shown.push(reveal),
				Err(error) => {
					tracing::error!(task = record.task, round = record.round, %error, "cannot show the result");
					failed = Some(error);
				},
			}
		}
		match failed {
			Some(error) if shown.is_empty() => Err(error),
			_ => Ok(shown),
		}
	});
	Ok(calls::reveal(&reveals.await??))
}

fn reveal(journal: &Journal, record: &Record, sample: &[u32]) -> Result<calls::Reveal, WorkError> {
	let computed = items_of(record.kind, record.items, &record.sample);
	let leaves = journal.leaves(record.key(), &computed)?.ok_or(WorkError::Lost)?;
	let items = shown(record.kind, sample, &leaves).ok_or(WorkError::Lost)?;
	let (task, output_root, salt) = (record.task, record.output_root, record.salt.0);
	Ok(calls::Reveal { task, output_root, salt, items })
}

/// What a seat shows of its results: a task's miner the sample, each item with the proof that it is its own; whoever computed no others all of them. `None` if one of the sample is not
/// among them.
pub fn shown(kind: SeatKind, sample: &[u32], leaves: &[Leaf]) -> Option<Vec<calls::ShownItem>> {
	if kind != SeatKind::Primary {
		let item = |leaf: &Leaf| calls::ShownItem { leaf: *leaf, proof: Vec::new() };
		return Some(leaves.iter().map(item).collect());
	}
	let item = |item: &u32| {
		let leaf = *leaves.get(*item as usize)?;
		let proof = merkle::proof(leaves.iter().map(merkle::output_leaf), *item);
		Some(calls::ShownItem { leaf, proof })
	};
	sample.iter().map(item).collect()
}

/// One attempt at handing over an output, when it is its turn.
async fn hand_over(
	tools: &Tools,
	peer: Peer<'_>,
	task: TaskId,
	item: u32,
	sketch: &Sketch,
	output: &[u8],
) -> Result<(), HttpError> {
	// Nobody closes it.
	let _turn = tools.limits.deliveries.acquire().await;
	tools.coordinators.upload(peer, task, item, sketch, output.to_vec()).await
}

/// Hands a result's outputs to the coordinator. Ends when it has them, or has looked at them and does not want them.
pub async fn deliver(tools: &Tools, record: &Record) {
	let start = Instant::now();
	let peer = Peer { endpoint: &record.endpoint, operator: &record.coordinator_operator };
	for item in 0..record.items {
		let (journal, key) = (tools.journal.clone(), record.key());
		let kept = on_disk(move || {
			let leaf = journal.leaves(key, &[item])?.and_then(|leaves| leaves.first().copied());
			Ok::<_, JournalError>(journal.output(key, item)?.zip(leaf))
		});
		let (output, leaf) = match kept.await {
			Ok(Ok(Some(kept))) => kept,
			Ok(Ok(None)) => {
				tracing::error!(task = record.task, item, "the journal lacks an output");
				return;
			},
			Ok(Err(error)) => {
				tracing::error!(task = record.task, item, %error, "cannot read an output");
				return;
			},
			// The program is ending.
			Err(_) => return,
		};
		let mut pause = FIRST_PAUSE;
		while let Err(error) =
			hand_over(tools, peer, record.task, item, &leaf.sketch, &output).await
		{
			if error.is_final() {
				tracing::error!(task = record.task, item, %error, "the coordinator does not want the output");
				return;
			}
			tracing::warn!(task = record.task, item, %error, "cannot hand over the output, trying again");
			sleep(pause).await;
			pause = (pause * 2).min(LONGEST_PAUSE);
		}
	}
	metrics::stage(record.model, "upload", start.elapsed().as_secs_f64());
	tracing::info!(
		task = record.task,
		round = record.round,
		ms = start.elapsed().as_millis() as u64,
		"handed over"
	);
}
