//! The job book: every accepted job, on disk before its application hears of it, and the batches in which jobs go on chain.
//!
//! One redb file. Every change is one write transaction that reads what it changes, checks that the change is legal, and writes it with its index entries and with what it means
//! for the money; a crash leaves either all of it or none. Who waits for a job listens to [`Book::changes`].

mod pages;
#[cfg(test)]
mod tests;

use std::{
	collections::{BTreeMap, BTreeSet},
	path::Path,
	sync::Arc,
};

use cuckoo_primitives::{Balance, ModelId, TaskId};
use redb::{ReadableTable, ReadableTableMetadata, TableDefinition};
use sp_core::H256;
use tokio::sync::broadcast;

use self::pages::{Jobs, Refs, Tables};
use crate::{
	batch::{Batch, BatchId, IllegalChange, List, Money},
	id::{unix_now, JobId},
	job::{Job, JobBlocks, JobState, Place, Progress, Settlement},
	keys::KeyId,
	store::{Store, StoreError},
};

/// Every job, as JSON: fields can be added without touching what is stored.
const JOBS: TableDefinition<u128, &[u8]> = TableDefinition::new("jobs");
/// Every batch, as JSON.
const BATCHES: TableDefinition<u64, &[u8]> = TableDefinition::new("batches");
const BY_TASK: TableDefinition<u64, u64> = TableDefinition::new("by_task");
/// By owner and idempotency key.
const BY_KEY: TableDefinition<(Option<u64>, &str), u128> = TableDefinition::new("by_key");
const BY_OWNER: TableDefinition<(Option<u64>, u128), ()> = TableDefinition::new("by_owner");
/// Jobs whose state is not final.
const OPEN: TableDefinition<u128, ()> = TableDefinition::new("open");
/// Jobs that wait for a batch.
const WAITING: TableDefinition<u128, ()> = TableDefinition::new("waiting");
const TO_POST: TableDefinition<u64, ()> = TableDefinition::new("to_post");
const TO_WATCH: TableDefinition<u64, ()> = TableDefinition::new("to_watch");
const TO_RECHECK: TableDefinition<u64, ()> = TableDefinition::new("to_recheck");
/// How often each blob is an input or an output.
const BLOBS: TableDefinition<&[u8; 32], u64> = TableDefinition::new("blobs");
/// What each key has spent, in planck; what came back is not in it.
const SPENT: TableDefinition<u64, u128> = TableDefinition::new("spent");
/// The fees of all jobs of which the chain has not decided, in planck.
const MONEY: TableDefinition<&str, u128> = TableDefinition::new("money");
const HELD: &str = "held";
const COUNTERS: TableDefinition<&str, u64> = TableDefinition::new("counters");
const NEXT_BATCH: &str = "batch";
/// How often it was tried whether the file can be written.
const TRIED: &str = "tried";
/// Width and height of the pictures that a model makes, seen on its first one.
const PICTURES: TableDefinition<u32, (u32, u32)> = TableDefinition::new("pictures");
const FACTS: TableDefinition<&str, &[u8]> = TableDefinition::new("facts");
const GENESIS: &str = "genesis";
const FORMAT: &str = "format";
/// How jobs are kept.
const THIS_FORMAT: &[u8] = b"batches";

/// Changes that a slow listener may be behind before it has to look for itself.
const CHANGES: usize = 4096;

/// Why the book could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
	/// The file cannot be read or written.
	#[error("the job book: {0}")]
	Storage(Box<redb::Error>),
	/// The file holds something that is not a job.
	#[error("the job book holds a job that cannot be read: {0}")]
	Unreadable(#[from] serde_json::Error),
	/// The data directory belongs to another chain.
	#[error(
		"this data directory holds jobs of the chain with genesis {held:?}, the node is on {given:?}: \
		 connect to a node of that chain, or choose another --data-dir"
	)]
	OtherChain {
		/// The chain whose jobs are here.
		held: H256,
		/// The chain of the node.
		given: H256,
	},
	/// The file was written by a version that kept jobs in another way.
	#[error(
		"this data directory was made by another version of cuckoo-coordinator: let that one finish its jobs, then choose another --data-dir"
	)]
	OtherFormat,
	/// As many jobs are open as may be.
	#[error("too many jobs are open; try again later")]
	Full,
	/// The fees of open jobs are as high as they may be.
	#[error("the fees of the jobs that are open are as high as this coordinator lets them be; try again later")]
	Escrow,
	/// The key has spent what it may.
	#[error("the budget of this key is spent: {left} planck are left of it, and this costs {fee}")]
	Budget {
		/// What is left, in planck.
		left: Balance,
		/// What the job costs, in planck.
		fee: Balance,
	},
	/// The idempotency key came with another request before.
	#[error("this Idempotency-Key was used with another request")]
	KeyReused,
	/// There is no such job.
	#[error("there is no job {0}")]
	Unknown(JobId),
	/// There is no such batch.
	#[error("there is no {0}")]
	UnknownBatch(BatchId),
	/// The task belongs to another batch already.
	#[error("task {0} belongs to another batch")]
	TaskTaken(TaskId),
	/// The change is against the rules.
	#[error(transparent)]
	Illegal(#[from] IllegalChange),
	/// The process is shutting down.
	#[error("the job book is closing")]
	Closing,
}

macro_rules! storage_errors {
	($($name:ident),*) => { $(
		impl From<redb::$name> for BookError {
			fn from(error: redb::$name) -> Self {
				Self::Storage(Box::new(error.into()))
			}
		}
	)* };
}
storage_errors!(StorageError, TableError);

impl From<StoreError> for BookError {
	fn from(error: StoreError) -> Self {
		Self::Storage(error)
	}
}

/// How much may be open at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
	/// Jobs.
	pub jobs: u64,
	/// Their fees, in planck.
	pub escrow: Balance,
}

/// What was removed for its age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
	/// How many jobs.
	pub jobs: usize,
	/// The blobs that no job needs any more.
	pub blobs: Vec<H256>,
}

/// The job book; clones share it.
#[derive(Clone)]
pub struct Book {
	inner: Arc<Inner>,
}

struct Inner {
	store: Store,
	changes: broadcast::Sender<JobId>,
	limits: Limits,
}

impl Book {
	/// Opens the book in this file, or starts one.
	pub fn open(path: &Path, limits: Limits) -> Result<Self, BookError> {
		let store = Store::open(path)?;
		// So that a reader finds every table.
		let txn = store.write()?;
		{
			let jobs = txn.open_table(JOBS)?.len()?;
			let mut facts = txn.open_table(FACTS)?;
			let format = facts.get(FORMAT)?.map(|format| format.value() == THIS_FORMAT);
			match format {
				Some(true) => {},
				None if jobs == 0 => drop(facts.insert(FORMAT, THIS_FORMAT)?),
				_ => return Err(BookError::OtherFormat),
			}
		}
		Tables::open(&txn)?;
		txn.open_table(PICTURES)?;
		store.commit(txn)?;
		let (changes, _) = broadcast::channel(CHANGES);
		Ok(Self { inner: Arc::new(Inner { store, changes, limits }) })
	}

	/// Whether what was written last is on disk. If it is not, tries again to write: there may be room by now.
	pub async fn works(&self) -> bool {
		if self.inner.store.works() {
			return true;
		}
		// Something new is written: what changes nothing would find room on a full disk.
		let tried = self.blocking(|inner| {
			let txn = inner.store.write()?;
			Tables::open(&txn)?.count(TRIED)?;
			Ok(inner.store.commit(txn)?)
		});
		tried.await.is_ok()
	}

	/// The id of every job of which something has changed, from now on, after the change is on disk.
	pub fn changes(&self) -> broadcast::Receiver<JobId> {
		self.inner.changes.subscribe()
	}

	/// The chain whose jobs are in the book.
	pub fn genesis(&self) -> Result<Option<H256>, BookError> {
		let facts = self.inner.store.read()?.open_table(FACTS)?;
		let held = facts.get(GENESIS)?;
		Ok(held.filter(|h| h.value().len() == 32).map(|h| H256::from_slice(h.value())))
	}

	/// Ties the book to a chain: task numbers mean nothing on another one.
	pub fn pin_genesis(&self, given: H256) -> Result<(), BookError> {
		match self.genesis()? {
			Some(held) if held != given => Err(BookError::OtherChain { held, given }),
			Some(_) => Ok(()),
			None => {
				let txn = self.inner.store.write()?;
				{
					let mut facts = txn.open_table(FACTS)?;
					facts.insert(GENESIS, given.as_bytes())?;
				}
				Ok(self.inner.store.commit(txn)?)
			},
		}
	}

	/// Whether there is room now for a job of this owner's, with this fee and within this budget, in planck.
	pub async fn check_room(
		&self,
		owner: Option<KeyId>,
		fee: Balance,
		budget: Option<Balance>,
	) -> Result<(), BookError> {
		self.blocking(move |inner| {
			let txn = inner.store.read()?;
			let open = txn.open_table(OPEN)?.len()?;
			let held = txn.open_table(MONEY)?.get(HELD)?.map_or(0, |held| held.value());
			let spent = match owner {
				Some(key) => txn.open_table(SPENT)?.get(key.0)?.map_or(0, |spent| spent.value()),
				None => 0,
			};
			let budget = budget.filter(|_| owner.is_some());
			pages::check_room(inner.limits, open, held, spent, fee, budget)
		})
		.await
	}

	/// Takes in a new job, within the budget of its key, in planck, if that has one; `false` with the job that its idempotency key stands for already.
	pub async fn create(
		&self,
		job: Job,
		budget: Option<Balance>,
	) -> Result<(Progress, bool), BookError> {
		self.blocking(move |inner| inner.create(job, budget)).await
	}

	/// The job behind an idempotency key, if the request is the same.
	pub async fn find_key(
		&self,
		owner: Option<KeyId>,
		key: String,
		request_hash: H256,
	) -> Result<Option<Progress>, BookError> {
		self.blocking(move |inner| {
			let txn = inner.store.read()?;
			let keys = txn.open_table(BY_KEY)?;
			let Some(id) = keys.get((number(owner), key.as_str()))?.map(|id| JobId(id.value()))
			else {
				return Ok(None);
			};
			let jobs = Jobs::new(txn.open_table(JOBS)?, txn.open_table(BATCHES)?);
			same_request(jobs.progress(id)?, request_hash)
		})
		.await
	}

	/// A job and its batch.
	pub async fn get(&self, id: JobId) -> Result<Option<Progress>, BookError> {
		self.blocking(move |inner| inner.jobs()?.progress(id)).await
	}

	/// The newest jobs of an owner, or those without one, before this one if it is given.
	pub async fn list(
		&self,
		owner: Option<KeyId>,
		before: Option<JobId>,
		limit: usize,
	) -> Result<Vec<Progress>, BookError> {
		self.blocking(move |inner| {
			let owner = number(owner);
			let end = before.map_or(u128::MAX, |job| job.0);
			let table = inner.store.read()?.open_table(BY_OWNER)?;
			let mut found = Vec::new();
			let jobs = inner.jobs()?;
			for entry in table.range((owner, 0)..(owner, end))?.rev().take(limit) {
				let (key, _) = entry?;
				found.extend(pages::readable(jobs.progress(JobId(key.value().1)))?);
			}
			Ok(found)
		})
		.await
	}

	/// The newest jobs of all.
	pub async fn recent(&self, limit: usize) -> Result<Vec<Progress>, BookError> {
		self.blocking(move |inner| {
			let jobs = inner.jobs()?;
			let newest = jobs.jobs.iter()?.rev().take(limit);
			let ids = newest.map(|entry| Ok(JobId(entry?.0.value())));
			let ids = ids.collect::<Result<Vec<_>, BookError>>()?;
			let found = ids.into_iter().map(|id| pages::readable(jobs.progress(id)));
			Ok(found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
		})
		.await
	}

	/// Takes back a job that no post has left with. Any other stays as it is; either way it is returned.
	pub async fn cancel(&self, id: JobId) -> Result<Progress, BookError> {
		self.blocking(move |inner| inner.cancel(id)).await
	}

	/// The jobs that wait for a batch, oldest first.
	pub async fn waiting(&self) -> Result<Vec<Job>, BookError> {
		self.blocking(|inner| {
			let txn = inner.store.read()?;
			let jobs = txn.open_table(JOBS)?;
			let mut found = Vec::new();
			for entry in txn.open_table(WAITING)?.iter()? {
				let id = JobId(entry?.0.value());
				found.extend(pages::readable(pages::job(&jobs, id))?);
			}
			Ok(found)
		})
		.await
	}

	/// Puts those of these jobs that still wait into one batch; none if none does. They are of one model, and may wait for a miner as long as each other.
	pub async fn put_together(&self, jobs: Vec<JobId>) -> Result<Option<Batch>, BookError> {
		self.blocking(move |inner| inner.put_together(&jobs)).await
	}

	/// Has the jobs of a batch that is not on chain wait again, each for a batch of its own; unless something was delivered for an earlier post of it.
	pub async fn take_apart(&self, id: BatchId) -> Result<(), BookError> {
		self.blocking(move |inner| inner.take_apart(id)).await
	}

	/// A batch.
	pub async fn batch(&self, id: BatchId) -> Result<Option<Batch>, BookError> {
		self.blocking(move |inner| pages::batch(&inner.store.read()?.open_table(BATCHES)?, id))
			.await
	}

	/// The batch that a task was posted for.
	pub async fn by_task(&self, task: TaskId) -> Result<Option<Batch>, BookError> {
		self.blocking(move |inner| {
			let txn = inner.store.read()?;
			let id = txn.open_table(BY_TASK)?.get(task)?.map(|id| BatchId(id.value()));
			match id {
				Some(id) => pages::batch(&txn.open_table(BATCHES)?, id),
				None => Ok(None),
			}
		})
		.await
	}

	/// The batches on a list, oldest first.
	pub async fn listed(&self, list: List) -> Result<Vec<Batch>, BookError> {
		self.blocking(move |inner| {
			let txn = inner.store.read()?;
			let batches = txn.open_table(BATCHES)?;
			let mut found = Vec::new();
			for entry in txn.open_table(pages::table(list))?.iter()? {
				let id = BatchId(entry?.0.value());
				found.extend(pages::readable(pages::batch(&batches, id))?);
			}
			Ok(found)
		})
		.await
	}

	/// Changes a batch: all of the change or, on an error, nothing.
	pub async fn update<E>(
		&self,
		id: BatchId,
		change: impl FnOnce(&mut Batch) -> Result<(), E> + Send + 'static,
	) -> Result<Batch, E>
	where
		E: From<BookError> + Send + 'static,
	{
		self.blocking(move |inner| inner.update(id, change)).await?
	}

	/// The fees of all jobs of which the chain has not decided, in planck.
	pub async fn held(&self) -> Result<Balance, BookError> {
		self.blocking(|inner| {
			let money = inner.store.read()?.open_table(MONEY)?;
			let held = money.get(HELD)?.map_or(0, |held| held.value());
			Ok(held)
		})
		.await
	}

	/// How many jobs are in each state that is not final.
	pub async fn open_by_state(&self) -> Result<Vec<(JobState, u64)>, BookError> {
		self.blocking(|inner| {
			let txn = inner.store.read()?;
			let (jobs, batches) = (txn.open_table(JOBS)?, txn.open_table(BATCHES)?);
			let mut read: BTreeMap<BatchId, Option<Arc<Batch>>> = BTreeMap::new();
			let states = [JobState::Queued, JobState::Assigned, JobState::Running];
			let mut counts = states.map(|state| (state, 0));
			for entry in txn.open_table(OPEN)?.iter()? {
				let id = JobId(entry?.0.value());
				let Some(job) = pages::readable(pages::job(&jobs, id))? else { continue };
				let batch = match job.place {
					Place::In { batch: id, .. } => match read.get(&id) {
						Some(batch) => batch.clone(),
						None => {
							let batch = pages::readable(pages::batch(&batches, id))?.map(Arc::new);
							read.insert(id, batch.clone());
							batch
						},
					},
					Place::Waiting | Place::Ended { .. } => None,
				};
				let state = Progress { job, batch }.state();
				if let Some((_, count)) = counts.iter_mut().find(|(of, _)| *of == state) {
					*count += 1;
				}
			}
			Ok(counts.into())
		})
		.await
	}

	/// What a key has spent, in planck; what came back is not in it.
	pub async fn spent(&self, key: KeyId) -> Result<Balance, BookError> {
		self.blocking(move |inner| {
			let spent = inner.store.read()?.open_table(SPENT)?;
			let spent = spent.get(key.0)?.map_or(0, |spent| spent.value());
			Ok(spent)
		})
		.await
	}

	/// Removes jobs that are over and were accepted before this second of Unix time, at most so many.
	pub async fn remove_over(&self, before: u64, limit: usize) -> Result<Removed, BookError> {
		self.blocking(move |inner| inner.remove_over(before, limit)).await
	}

	/// Those of these blobs that no job needs.
	pub async fn unneeded(&self, hashes: Vec<H256>) -> Result<Vec<H256>, BookError> {
		self.blocking(move |inner| {
			let refs = inner.store.read()?.open_table(BLOBS)?;
			let mut found = Vec::new();
			for hash in hashes {
				if refs.get(&hash.0)?.is_none() {
					found.push(hash);
				}
			}
			Ok(found)
		})
		.await
	}

	/// Width and height of a model's pictures, once one was seen.
	pub async fn picture_size(&self, model: ModelId) -> Result<Option<(u32, u32)>, BookError> {
		self.blocking(move |inner| {
			let pictures = inner.store.read()?.open_table(PICTURES)?;
			let size = pictures.get(model)?.map(|size| size.value());
			Ok(size)
		})
		.await
	}

	/// Remembers the size of a model's pictures.
	pub async fn saw_picture(&self, model: ModelId, size: (u32, u32)) -> Result<(), BookError> {
		if self.picture_size(model).await? == Some(size) {
			return Ok(());
		}
		self.blocking(move |inner| {
			let txn = inner.store.write()?;
			{
				let mut pictures = txn.open_table(PICTURES)?;
				pictures.insert(model, size)?;
			}
			Ok(inner.store.commit(txn)?)
		})
		.await
	}

	/// A write waits for the disk, so none runs on a thread that serves requests.
	async fn blocking<T: Send + 'static>(
		&self,
		work: impl FnOnce(&Inner) -> Result<T, BookError> + Send + 'static,
	) -> Result<T, BookError> {
		let inner = self.inner.clone();
		let done = tokio::task::spawn_blocking(move || {
			let done = work(&inner);
			if matches!(done, Err(BookError::Storage(_))) {
				inner.store.fail();
			}
			done
		});
		done.await.map_err(|_| BookError::Closing)?
	}
}

/// A table of what is kept as JSON, to be read.
type Stored<K> = redb::ReadOnlyTable<K, &'static [u8]>;

impl Inner {
	fn take_apart(&self, id: BatchId) -> Result<(), BookError> {
		let txn = self.store.write()?;
		let batch = {
			let mut tables = Tables::open(&txn)?;
			let batch = pages::batch(&tables.batches, id)?.ok_or(BookError::UnknownBatch(id))?;
			if batch.list() != Some(List::Post) || !batch.outputs.is_empty() {
				return Ok(());
			}
			tables.take_apart(&batch, true)?;
			batch
		};
		self.store.commit(txn)?;
		self.announce(batch.parts.iter().map(|part| part.job));
		Ok(())
	}

	fn jobs(&self) -> Result<Jobs<Stored<u128>, Stored<u64>>, BookError> {
		let txn = self.store.read()?;
		Ok(Jobs::new(txn.open_table(JOBS)?, txn.open_table(BATCHES)?))
	}

	fn create(&self, job: Job, budget: Option<Balance>) -> Result<(Progress, bool), BookError> {
		let txn = self.store.write()?;
		let progress = {
			let mut tables = Tables::open(&txn)?;
			let owner = number(job.owner);
			if let Some(key) = &job.idempotency_key {
				let held = tables.by_key.get((owner, key.as_str()))?.map(|id| JobId(id.value()));
				if let Some(id) = held {
					let held = pages::progress(&tables.jobs, &tables.batches, id)?;
					if let Some(held) = same_request(held, job.request_hash)? {
						return Ok((held, false));
					}
				}
			}
			tables.check_room(self.limits, job.owner, job.fee, budget)?;
			let held = tables.held()?;
			if let Some(key) = job.owner {
				let spent = tables.spent(key)?;
				tables.spent.insert(key.0, spent.saturating_add(job.fee))?;
			}
			tables.money.insert(HELD, held.saturating_add(job.fee))?;
			if let Some(key) = &job.idempotency_key {
				tables.by_key.insert((owner, key.as_str()), job.id.0)?;
			}
			tables.by_owner.insert((owner, job.id.0), ())?;
			tables.open.insert(job.id.0, ())?;
			tables.waiting.insert(job.id.0, ())?;
			Refs(&mut tables.blobs).add(&job.inputs)?;
			tables.put_job(&job)?;
			Progress { job, batch: None }
		};
		self.store.commit(txn)?;
		self.announce([progress.job.id]);
		Ok((progress, true))
	}

	fn cancel(&self, id: JobId) -> Result<Progress, BookError> {
		let txn = self.store.write()?;
		let progress = {
			let mut tables = Tables::open(&txn)?;
			let found = pages::progress(&tables.jobs, &tables.batches, id)?;
			let mut progress = found.ok_or(BookError::Unknown(id))?;
			if let (Place::In { .. }, Some(batch)) = (&progress.job.place, &progress.batch) {
				// Its batch is not on chain, no post has left with it, and nothing was delivered for an earlier one.
				let is_free = batch.posting.is_none()
					&& batch.list() == Some(List::Post)
					&& batch.outputs.is_empty();
				if !is_free {
					return Ok(progress);
				}
				tables.take_apart(batch, false)?;
				progress.job.place = Place::Waiting;
				progress.batch = None;
			}
			if progress.job.place != Place::Waiting {
				return Ok(progress);
			}
			let error = "taken back before it went on chain; it cost nothing".to_owned();
			progress.job.place = Place::Ended { state: JobState::Cancelled, error };
			tables.waiting.remove(id.0)?;
			tables.open.remove(id.0)?;
			tables.money_moves(Money::Held, Money::Back, progress.job.fee, progress.job.owner)?;
			// Nobody will ask for them.
			tables.let_go_of_inputs(&progress.job)?;
			tables.put_job(&progress.job)?;
			progress
		};
		self.store.commit(txn)?;
		crate::metrics::job_is(&progress);
		self.announce([id]);
		Ok(progress)
	}

	fn put_together(&self, ids: &[JobId]) -> Result<Option<Batch>, BookError> {
		let txn = self.store.write()?;
		let batch = {
			let mut tables = Tables::open(&txn)?;
			let mut jobs = Vec::new();
			for id in ids {
				if tables.waiting.remove(id.0)?.is_some() {
					jobs.extend(pages::job(&tables.jobs, *id)?);
				}
			}
			let Some(first) = jobs.first().cloned() else { return Ok(None) };
			let id = tables.next_batch()?;
			let mut batch = Batch {
				id,
				created: unix_now(),
				kind: first.kind,
				model: first.model,
				parts: Vec::new(),
				inputs: Vec::new(),
				fee: 0,
				max_wait: first.max_wait,
				state: JobState::Queued,
				settlement: Settlement::None,
				posting: None,
				task: None,
				round: 0,
				miner: None,
				blocks: JobBlocks::default(),
				owed_until: None,
				outputs: BTreeMap::new(),
				mismatch: false,
				challenged: false,
				closed: false,
				error: None,
			};
			for mut job in jobs {
				job.place = Place::In { batch: id, first: batch.items() };
				batch.add(&job);
				tables.put_job(&job)?;
			}
			let batch = Arc::new(batch);
			tables.put_batch(None, &batch)?;
			batch
		};
		self.store.commit(txn)?;
		let batch = Arc::unwrap_or_clone(batch);
		self.announce(batch.parts.iter().map(|part| part.job));
		Ok(Some(batch))
	}

	/// The outer error is the book's, the inner one the change's.
	fn update<E>(
		&self,
		id: BatchId,
		change: impl FnOnce(&mut Batch) -> Result<(), E>,
	) -> Result<Result<Batch, E>, BookError> {
		let txn = self.store.write()?;
		let (batch, changed, was_settled) = {
			let mut tables = Tables::open(&txn)?;
			let before = pages::batch(&tables.batches, id)?.ok_or(BookError::UnknownBatch(id))?;
			let mut batch = before.clone();
			if let Err(refused) = change(&mut batch) {
				return Ok(Err(refused));
			}
			if batch == before {
				return Ok(Ok(batch));
			}
			before.check_change(&batch)?;
			let (before, batch) = (Arc::new(before), Arc::new(batch));
			let changed = tables.changed(&before, &batch)?;
			tables.put_batch(Some(&before), &batch)?;
			(batch, changed, before.settlement.is_final())
		};
		self.store.commit(txn)?;
		if batch.settlement.is_final() && !was_settled {
			crate::metrics::settled(&batch);
		}
		for (was, is) in &changed {
			if was.state() != is.state() {
				crate::metrics::job_is(is);
			}
		}
		self.announce(changed.iter().map(|(_, is)| is.job.id));
		drop(changed);
		Ok(Ok(Arc::unwrap_or_clone(batch)))
	}

	fn remove_over(&self, before: u64, limit: usize) -> Result<Removed, BookError> {
		let txn = self.store.write()?;
		let gone = {
			let mut tables = Tables::open(&txn)?;
			let mut over = Vec::new();
			for entry in tables.jobs.iter()? {
				let (id, _) = entry?;
				let found = pages::progress(&tables.jobs, &tables.batches, JobId(id.value()));
				let Some(progress) = pages::readable(found)? else { continue };
				// Their names are in the order of their age.
				if over.len() >= limit || progress.job.created >= before {
					break;
				}
				if progress.is_over() {
					over.push(progress);
				}
			}
			let mut gone = BTreeSet::new();
			for progress in &over {
				gone.extend(tables.remove(progress)?);
			}
			Removed { jobs: over.len(), blobs: gone.into_iter().collect() }
		};
		self.store.commit(txn)?;
		Ok(gone)
	}

	fn announce(&self, ids: impl IntoIterator<Item = JobId>) {
		for id in ids {
			// Nobody listens: nobody waits.
			let _ = self.changes.send(id);
		}
	}
}

/// A key as a number, in the tables.
fn number(owner: Option<KeyId>) -> Option<u64> {
	owner.map(|key| key.0)
}

fn same_request(held: Option<Progress>, request_hash: H256) -> Result<Option<Progress>, BookError> {
	match held {
		Some(held) if held.job.request_hash != request_hash => Err(BookError::KeyReused),
		held => Ok(held),
	}
}
