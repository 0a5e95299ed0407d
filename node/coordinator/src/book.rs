//! The job book: every accepted job, on disk before its application hears of it.
//!
//! One redb file. Every change of a job is one write transaction that reads the job, changes it, checks that the change is legal, and writes it
//! with its index entries; a crash leaves either all of it or none. Who waits for a job listens to [`Book::changes`].

use std::{path::Path, sync::Arc};

use cuckoo_primitives::{ModelId, TaskId};
use redb::{
	Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
	WriteTransaction,
};
use sp_core::H256;
use tokio::sync::broadcast;

use crate::{
	id::JobId,
	job::{IllegalChange, Job},
};

/// Every job, as JSON: fields can be added without touching what is stored.
const JOBS: TableDefinition<u128, &[u8]> = TableDefinition::new("jobs");
const BY_TASK: TableDefinition<u64, u128> = TableDefinition::new("by_task");
const BY_KEY: TableDefinition<&str, u128> = TableDefinition::new("by_key");
const TO_POST: TableDefinition<u128, ()> = TableDefinition::new("to_post");
const TO_WATCH: TableDefinition<u128, ()> = TableDefinition::new("to_watch");
/// Width and height of the pictures that a model makes, seen on its first one.
const PICTURES: TableDefinition<u32, (u32, u32)> = TableDefinition::new("pictures");
const FACTS: TableDefinition<&str, &[u8]> = TableDefinition::new("facts");
const GENESIS: &str = "genesis";

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
	/// As many jobs are open as may be.
	#[error("too many jobs are open; try again later")]
	Full,
	/// The idempotency key came with another request before.
	#[error("this Idempotency-Key was used with another request")]
	KeyReused,
	/// There is no such job.
	#[error("there is no job {0}")]
	Unknown(JobId),
	/// The task belongs to another job already.
	#[error("task {0} belongs to another job")]
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
storage_errors!(CommitError, DatabaseError, StorageError, TableError, TransactionError);

/// The job book; clones share it.
#[derive(Clone)]
pub struct Book {
	inner: Arc<Inner>,
}

struct Inner {
	db: Database,
	changes: broadcast::Sender<JobId>,
	max_open: u64,
}

impl Book {
	/// Opens the book in this file, or starts one. At most `max_open` jobs are open at a time.
	pub fn open(path: &Path, max_open: u64) -> Result<Self, BookError> {
		let db = Database::create(path)?;
		// So that a reader finds every table.
		let txn = db.begin_write()?;
		txn.open_table(JOBS)?;
		txn.open_table(BY_TASK)?;
		txn.open_table(BY_KEY)?;
		txn.open_table(TO_POST)?;
		txn.open_table(TO_WATCH)?;
		txn.open_table(PICTURES)?;
		txn.open_table(FACTS)?;
		txn.commit()?;
		let (changes, _) = broadcast::channel(CHANGES);
		Ok(Self { inner: Arc::new(Inner { db, changes, max_open }) })
	}

	/// The id of every job that is changed from now on, after its change is on disk.
	pub fn changes(&self) -> broadcast::Receiver<JobId> {
		self.inner.changes.subscribe()
	}

	/// The chain whose jobs are in the book.
	pub fn genesis(&self) -> Result<Option<H256>, BookError> {
		let facts = self.inner.db.begin_read()?.open_table(FACTS)?;
		let held = facts.get(GENESIS)?;
		Ok(held.filter(|h| h.value().len() == 32).map(|h| H256::from_slice(h.value())))
	}

	/// Ties the book to a chain: task numbers mean nothing on another one.
	pub fn pin_genesis(&self, given: H256) -> Result<(), BookError> {
		match self.genesis()? {
			Some(held) if held != given => Err(BookError::OtherChain { held, given }),
			Some(_) => Ok(()),
			None => {
				let txn = self.inner.db.begin_write()?;
				{
					let mut facts = txn.open_table(FACTS)?;
					facts.insert(GENESIS, given.as_bytes())?;
				}
				Ok(txn.commit()?)
			},
		}
	}

	/// Takes in a new job; `false` with the job that its idempotency key stands for already.
	pub async fn create(&self, job: Job) -> Result<(Job, bool), BookError> {
		self.blocking(move |inner| inner.create(job)).await
	}

	/// The job behind an idempotency key, if the request is the same.
	pub async fn find_key(
		&self,
		key: String,
		request_hash: H256,
	) -> Result<Option<Job>, BookError> {
		self.blocking(move |inner| {
			let txn = inner.db.begin_read()?;
			let Some(id) = txn.open_table(BY_KEY)?.get(key.as_str())?.map(|id| JobId(id.value()))
			else {
				return Ok(None);
			};
			same_request(load(&txn.open_table(JOBS)?, id)?, request_hash)
		})
		.await
	}

	/// A job.
	pub async fn get(&self, id: JobId) -> Result<Option<Job>, BookError> {
		self.blocking(move |inner| load(&inner.db.begin_read()?.open_table(JOBS)?, id)).await
	}

	/// The job that a task was posted for.
	pub async fn by_task(&self, task: TaskId) -> Result<Option<Job>, BookError> {
		self.blocking(move |inner| {
			let txn = inner.db.begin_read()?;
			let id = txn.open_table(BY_TASK)?.get(task)?.map(|id| JobId(id.value()));
			match id {
				Some(id) => load(&txn.open_table(JOBS)?, id),
				None => Ok(None),
			}
		})
		.await
	}

	/// The jobs that the poster has to do something about, oldest first.
	pub async fn to_post(&self) -> Result<Vec<Job>, BookError> {
		self.blocking(|inner| inner.listed(TO_POST)).await
	}

	/// The jobs whose tasks have to be followed, oldest first.
	pub async fn to_watch(&self) -> Result<Vec<Job>, BookError> {
		self.blocking(|inner| inner.listed(TO_WATCH)).await
	}

	/// Changes a job: all of the change or, on an error, nothing.
	pub async fn update<E>(
		&self,
		id: JobId,
		change: impl FnOnce(&mut Job) -> Result<(), E> + Send + 'static,
	) -> Result<Job, E>
	where
		E: From<BookError> + Send + 'static,
	{
		self.blocking(move |inner| inner.update(id, change)).await
	}

	/// Width and height of a model's pictures, once one was seen.
	pub async fn picture_size(&self, model: ModelId) -> Result<Option<(u32, u32)>, BookError> {
		self.blocking(move |inner| {
			let pictures = inner.db.begin_read()?.open_table(PICTURES)?;
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
			let txn = inner.db.begin_write()?;
			{
				let mut pictures = txn.open_table(PICTURES)?;
				pictures.insert(model, size)?;
			}
			Ok(txn.commit()?)
		})
		.await
	}

	/// A write waits for the disk, so none runs on a thread that serves requests.
	async fn blocking<T: Send + 'static, E: From<BookError> + Send + 'static>(
		&self,
		work: impl FnOnce(&Inner) -> Result<T, E> + Send + 'static,
	) -> Result<T, E> {
		let inner = self.inner.clone();
		match tokio::task::spawn_blocking(move || work(&inner)).await {
			Ok(result) => result,
			Err(_) => Err(BookError::Closing.into()),
		}
	}
}

impl Inner {
	fn create(&self, job: Job) -> Result<(Job, bool), BookError> {
		let txn = self.db.begin_write()?;
		if let Some(key) = &job.idempotency_key {
			let held = txn.open_table(BY_KEY)?.get(key.as_str())?.map(|id| JobId(id.value()));
			if let Some(id) = held {
				let held = load(&txn.open_table(JOBS)?, id)?;
				if let Some(held) = same_request(held, job.request_hash)? {
					return Ok((held, false));
				}
			}
		}
		let open = txn.open_table(TO_POST)?.len()? + txn.open_table(TO_WATCH)?.len()?;
		if open >= self.max_open {
			return Err(BookError::Full);
		}
		save(&txn, None, &job)?;
		txn.commit()?;
		self.announce(job.id);
		Ok((job, true))
	}

	fn update<E: From<BookError>>(
		&self,
		id: JobId,
		change: impl FnOnce(&mut Job) -> Result<(), E>,
	) -> Result<Job, E> {
		let txn = self.db.begin_write().map_err(BookError::from)?;
		let before = {
			let jobs = txn.open_table(JOBS).map_err(BookError::from)?;
			load(&jobs, id)?.ok_or(BookError::Unknown(id))?
		};
		let mut job = before.clone();
		change(&mut job)?;
		if job == before {
			return Ok(job);
		}
		before.check_change(&job).map_err(BookError::from)?;
		save(&txn, Some(&before), &job)?;
		txn.commit().map_err(BookError::from)?;
		if job.state != before.state {
			crate::metrics::job_is(&job);
		}
		self.announce(id);
		Ok(job)
	}

	fn listed(&self, list: TableDefinition<u128, ()>) -> Result<Vec<Job>, BookError> {
		let txn = self.db.begin_read()?;
		let jobs = txn.open_table(JOBS)?;
		let mut found = Vec::new();
		for entry in txn.open_table(list)?.iter()? {
			let (id, _) = entry?;
			found.extend(load(&jobs, JobId(id.value()))?);
		}
		Ok(found)
	}

	fn announce(&self, id: JobId) {
		// Nobody listens: nobody waits.
		let _ = self.changes.send(id);
	}
}

fn load(
	jobs: &impl ReadableTable<u128, &'static [u8]>,
	id: JobId,
) -> Result<Option<Job>, BookError> {
	match jobs.get(id.0)? {
		Some(bytes) => Ok(Some(serde_json::from_slice(bytes.value())?)),
		None => Ok(None),
	}
}

fn same_request(job: Option<Job>, request_hash: H256) -> Result<Option<Job>, BookError> {
	match job {
		Some(job) if job.request_hash != request_hash => Err(BookError::KeyReused),
		job => Ok(job),
	}
}

/// Writes a job and its index entries.
fn save(txn: &WriteTransaction, before: Option<&Job>, job: &Job) -> Result<(), BookError> {
	let id = job.id.0;
	let mut jobs = txn.open_table(JOBS)?;
	jobs.insert(id, serde_json::to_vec(job)?.as_slice())?;

	if let Some(key) = &job.idempotency_key {
		let mut keys = txn.open_table(BY_KEY)?;
		keys.insert(key.as_str(), id)?;
	}

	let old_task = before.and_then(|b| b.task);
	if old_task != job.task {
		let mut tasks = txn.open_table(BY_TASK)?;
		if let Some(old) = old_task {
			tasks.remove(old)?;
		}
		if let Some(new) = job.task {
			if tasks.insert(new, id)?.is_some_and(|holder| holder.value() != id) {
				return Err(BookError::TaskTaken(new));
			}
		}
	}

	for (list, belongs) in [(TO_POST, job.is_to_post()), (TO_WATCH, job.is_to_watch())] {
		let mut list = txn.open_table(list)?;
		if belongs {
			list.insert(id, ())?;
		} else {
			list.remove(id)?;
		}
	}
	Ok(())
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::job::{tests::job, JobState, Settlement};

	fn book(dir: &tempfile::TempDir, max_open: u64) -> Book {
		Book::open(&dir.path().join("jobs.redb"), max_open).unwrap()
	}

	async fn change(book: &Book, id: JobId, change: fn(&mut Job)) -> Result<Job, BookError> {
		book.update(id, move |job| {
			change(job);
			Ok(())
		})
		.await
	}

	#[tokio::test]
	async fn the_book_survives_being_closed() {
		let dir = tempfile::tempdir().unwrap();
		let (first, second) = (job(), job());
		let book = self::book(&dir, 10);
		book.pin_genesis(H256::repeat_byte(1)).unwrap();
		book.create(first.clone()).await.unwrap();
		book.create(second.clone()).await.unwrap();
		let first = change(&book, first.id, |job| job.posted(5, Some(3))).await.unwrap();
		drop(book);

		let book = self::book(&dir, 10);
		assert_eq!(book.get(first.id).await.unwrap(), Some(first.clone()));
		assert_eq!(book.by_task(5).await.unwrap(), Some(first.clone()));
		assert_eq!(book.to_watch().await.unwrap(), [first]);
		assert_eq!(book.to_post().await.unwrap(), [second]);
		assert_eq!(book.genesis().unwrap(), Some(H256::repeat_byte(1)));
		let other = book.pin_genesis(H256::repeat_byte(2));
		assert!(matches!(other, Err(BookError::OtherChain { .. })));
	}

	#[tokio::test]
	async fn one_key_stands_for_one_request() {
		let dir = tempfile::tempdir().unwrap();
		let book = book(&dir, 10);
		let keyed = Job { idempotency_key: Some("k".into()), ..job() };
		let (held, new) = book.create(keyed.clone()).await.unwrap();
		assert!(new && held == keyed);
		let again = Job { id: JobId::random(), ..keyed.clone() };
		assert_eq!(book.create(again).await.unwrap(), (keyed.clone(), false));
		let found = book.find_key("k".into(), keyed.request_hash).await.unwrap();
		assert_eq!(found, Some(keyed.clone()));
		let other = Job { id: JobId::random(), request_hash: H256::zero(), ..keyed };
		assert!(matches!(book.create(other).await, Err(BookError::KeyReused)));
		assert!(matches!(book.find_key("k".into(), H256::zero()).await, Err(BookError::KeyReused)));
	}

	#[tokio::test]
	async fn only_so_many_jobs_are_open() {
		let dir = tempfile::tempdir().unwrap();
		let book = book(&dir, 2);
		let first = job();
		book.create(first.clone()).await.unwrap();
		book.create(job()).await.unwrap();
		assert!(matches!(book.create(job()).await, Err(BookError::Full)));
		change(&book, first.id, |job| job.fail("no")).await.unwrap();
		book.create(job()).await.unwrap();
	}

	#[tokio::test]
	async fn an_illegal_change_or_a_taken_task_changes_nothing() {
		let dir = tempfile::tempdir().unwrap();
		let book = book(&dir, 10);
		let (first, second) = (job(), job());
		book.create(first.clone()).await.unwrap();
		book.create(second.clone()).await.unwrap();
		let failed = change(&book, first.id, |job| job.fail("no")).await.unwrap();
		let revived = change(&book, first.id, |job| job.state = JobState::Queued).await;
		assert!(matches!(revived, Err(BookError::Illegal(_))));
		let paid = change(&book, second.id, |job| job.settlement = Settlement::Settled).await;
		assert!(matches!(paid, Err(BookError::Illegal(_))));
		assert_eq!(book.get(first.id).await.unwrap(), Some(failed));

		let third = job();
		book.create(third.clone()).await.unwrap();
		change(&book, second.id, |job| job.posted(5, None)).await.unwrap();
		let taken = change(&book, third.id, |job| job.posted(5, None)).await;
		assert!(matches!(taken, Err(BookError::TaskTaken(5))));
		assert_eq!(book.by_task(5).await.unwrap().unwrap().id, second.id);
		assert_eq!(book.to_post().await.unwrap(), [third]);
	}

	#[tokio::test]
	async fn who_listens_hears_of_changes() {
		let dir = tempfile::tempdir().unwrap();
		let book = book(&dir, 10);
		let mut changes = book.changes();
		let job = job();
		book.create(job.clone()).await.unwrap();
		change(&book, job.id, |_| {}).await.unwrap();
		change(&book, job.id, |job| job.fail("no")).await.unwrap();
		assert_eq!(changes.try_recv(), Ok(job.id));
		assert_eq!(changes.try_recv(), Ok(job.id));
		assert!(changes.try_recv().is_err());
	}
}
