//! What is over is kept for a while and then removed: jobs from the book, and blobs from the store once no job needs them.
//!
//! A blob is put before the job that needs it is in the book, so that one which was put within the last hour stays in any case. And some blobs never
//! come to a job: of a request that was refused after its inputs were put, or of one that a crash cut off. So once a day the whole store is looked
//! through for old blobs that no job needs.

use std::{
	sync::Arc,
	time::{Duration, Instant},
};

use futures::{future::BoxFuture, stream, FutureExt, StreamExt, TryStreamExt};
use sp_core::H256;
use tokio::sync::watch;

use crate::{
	blobs::{BlobError, Blobs},
	book::{Book, BookError, Removed},
	id::unix_now,
};

/// How often old jobs are removed.
const EVERY: Duration = Duration::from_secs(600);
/// How often the whole store is looked through; the first time one round after the start.
const SWEEP: Duration = Duration::from_secs(3_600);
/// A blob that was put within this time may belong to a request that is not in the book yet.
const FRESH: Duration = Duration::from_secs(3_600);
/// How many jobs are removed, and how many blobs are asked about, in one go.
const BATCH: usize = 500;
/// Each batch of jobs is one write to the book, which every request that brings a job or an output waits for. So much time is theirs between two batches.
const PAUSE: Duration = Duration::from_millis(50);
/// How many blobs are deleted at a time.
const DELETES: usize = 8;

/// What is asked of the job book.
trait Ledger: Send + Sync {
	/// Removes jobs that are over and older than `before`, in seconds of Unix time, at most so many. Returns how many, and the blobs that no job needs any more.
	fn forget(&self, before: u64, most: usize) -> BoxFuture<'_, Result<Removed, BookError>>;

	/// Those of these blobs that no job needs.
	fn needless(&self, blobs: Vec<H256>) -> BoxFuture<'_, Result<Vec<H256>, BookError>>;
}

impl Ledger for Book {
	fn forget(&self, before: u64, most: usize) -> BoxFuture<'_, Result<Removed, BookError>> {
		self.remove_over(before, most).boxed()
	}

	fn needless(&self, blobs: Vec<H256>) -> BoxFuture<'_, Result<Vec<H256>, BookError>> {
		self.unneeded(blobs).boxed()
	}
}

/// Removes what is over until told to stop.
pub struct Retention {
	book: Arc<dyn Ledger>,
	blobs: Blobs,
	keep: Duration,
}

impl Retention {
	/// Jobs stay for so long after they were accepted, and until they are over.
	pub fn new(book: Book, blobs: Blobs, keep: Duration) -> Self {
		Self { book: Arc::new(book), blobs, keep }
	}

	/// Runs until `stop` turns true.
	pub async fn run(self, mut stop: watch::Receiver<bool>) {
		let mut sweep_at = Instant::now() + EVERY;
		let mut ticks = tokio::time::interval(EVERY);
		ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
		let work = async {
			loop {
				ticks.tick().await;
				let sweep = Instant::now() >= sweep_at;
				let done = if sweep { self.sweep().await } else { self.round().await };
				match done {
					Ok(()) if sweep => sweep_at = Instant::now() + SWEEP,
					Ok(()) => {},
					Err(error) => {
						tracing::warn!(%error, "old jobs or blobs could not be removed; that is tried again")
					},
				}
			}
		};
		// Wherever it is: what is cut off is taken up by the next sweep.
		tokio::select! {
			_ = stop.wait_for(|stop| *stop) => {},
			_ = work => {},
		}
	}

	/// Removes all jobs that are over and old, and what only they needed.
	async fn round(&self) -> anyhow::Result<()> {
		let before = unix_now().saturating_sub(self.keep.as_secs());
		loop {
			// Jobs that share their inputs with others may free no blob at all.
			let Removed { jobs, blobs } = self.book.forget(before, BATCH).await?;
			self.delete(blobs).await?;
			if jobs < BATCH {
				return Ok(());
			}
			tokio::time::sleep(PAUSE).await;
		}
	}

	/// Removes all old blobs that no job needs.
	async fn sweep(&self) -> anyhow::Result<()> {
		self.round().await?;
		let mut old = self.blobs.older(FRESH).try_chunks(BATCH);
		while let Some(blobs) = old.try_next().await.map_err(|error| error.1)? {
			self.delete(self.book.needless(blobs).await?).await?;
		}
		Ok(())
	}

	async fn delete(&self, blobs: Vec<H256>) -> Result<(), BlobError> {
		let delete = |blob| async move {
			// Whoever puts it between the question to the book and this makes it fresh.
			if self.blobs.delete(blob, FRESH).await? {
				::metrics::counter!("cuckoo_blobs_deleted_total").increment(1);
			}
			Ok(())
		};
		stream::iter(blobs).map(Ok).try_for_each_concurrent(DELETES, delete).await
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::blobs::tests::put_long_ago;
	use axum::body::Bytes;
	use std::{
		collections::{BTreeSet, VecDeque},
		sync::{
			atomic::{AtomicUsize, Ordering},
			Mutex,
		},
	};

	const HOUR: Duration = Duration::from_secs(3_600);

	/// A book that says what a test wants.
	#[derive(Default)]
	struct Says {
		/// What each batch of jobs comes to; nothing after the last.
		batches: Mutex<VecDeque<Removed>>,
		needed: BTreeSet<H256>,
		asked: Mutex<Vec<u64>>,
	}

	impl Ledger for Says {
		fn forget(&self, before: u64, most: usize) -> BoxFuture<'_, Result<Removed, BookError>> {
			assert_eq!(most, BATCH);
			self.asked.lock().unwrap().push(before);
			let batch = self.batches.lock().unwrap().pop_front();
			std::future::ready(Ok(batch.unwrap_or_else(|| removed(0, Vec::new())))).boxed()
		}

		fn needless(&self, mut blobs: Vec<H256>) -> BoxFuture<'_, Result<Vec<H256>, BookError>> {
			blobs.retain(|blob| !self.needed.contains(blob));
			std::future::ready(Ok(blobs)).boxed()
		}
	}

	fn removed(jobs: usize, blobs: Vec<H256>) -> Removed {
		Removed { jobs, blobs }
	}

	async fn put(blobs: &Blobs, bytes: &'static str) -> H256 {
		blobs.put(Bytes::from_static(bytes.as_bytes())).await.unwrap()
	}

	async fn is_there(blobs: &Blobs, blob: H256) -> bool {
		match blobs.get(blob).await {
			Ok(_) => true,
			Err(BlobError::Missing(_)) => false,
			Err(error) => panic!("{error}"),
		}
	}

	#[tokio::test]
	async fn blobs_of_old_jobs_go_unless_somebody_has_just_put_them() {
		let dir = tempfile::tempdir().unwrap();
		let blobs = Blobs::in_folder(dir.path()).unwrap();
		let (old, fresh, more) =
			(put(&blobs, "old").await, put(&blobs, "fresh").await, put(&blobs, "more").await);
		for blob in [old, more] {
			put_long_ago(&dir, &blob, 2 * HOUR);
		}
		let batches = [
			removed(BATCH, vec![old, fresh, H256::zero()]),
			// All of these shared what they needed with others.
			removed(BATCH, Vec::new()),
			removed(BATCH - 1, vec![more]),
			removed(1, Vec::new()),
		];
		let book = Arc::new(Says { batches: Mutex::new(batches.into()), ..Says::default() });
		let retention = Retention { book: book.clone(), blobs: blobs.clone(), keep: 24 * HOUR };
		retention.round().await.unwrap();
		assert!(!is_there(&blobs, old).await && !is_there(&blobs, more).await);
		assert!(is_there(&blobs, fresh).await);

		let asked = book.asked.lock().unwrap();
		let yesterday = unix_now() - 24 * 3_600;
		assert!(asked.len() == 3 && asked.iter().all(|before| before.abs_diff(yesterday) < 60));
	}

	#[tokio::test]
	async fn the_sweep_finds_what_never_came_to_a_job_and_leaves_what_one_needs() {
		let dir = tempfile::tempdir().unwrap();
		let blobs = Blobs::in_folder(dir.path()).unwrap();
		let (stray, needed, fresh) =
			(put(&blobs, "stray").await, put(&blobs, "needed").await, put(&blobs, "fresh").await);
		for blob in [stray, needed] {
			put_long_ago(&dir, &blob, 2 * HOUR);
		}
		let book = Arc::new(Says { needed: [needed].into(), ..Says::default() });
		let retention = Retention { book, blobs: blobs.clone(), keep: HOUR };
		retention.sweep().await.unwrap();
		assert!(!is_there(&blobs, stray).await);
		assert!(is_there(&blobs, needed).await && is_there(&blobs, fresh).await);
	}

	#[tokio::test]
	async fn what_a_broken_store_did_not_delete_goes_with_the_next_sweep() {
		let dir = tempfile::tempdir().unwrap();
		let blobs = Blobs::in_folder(dir.path()).unwrap();
		let old = put(&blobs, "old").await;
		put_long_ago(&dir, &old, 2 * HOUR);
		let batches = Mutex::new([removed(1, vec![old])].into());
		let book = Arc::new(Says { batches, ..Says::default() });
		let retention = Retention { book, blobs: blobs.clone(), keep: HOUR };
		let (place, aside) = (dir.path(), dir.path().with_extension("aside"));
		std::fs::rename(place, &aside).unwrap();
		std::fs::write(place, b"").unwrap();
		assert!(retention.round().await.is_err());
		std::fs::remove_file(place).unwrap();
		std::fs::rename(&aside, place).unwrap();
		assert!(is_there(&blobs, old).await);
		retention.sweep().await.unwrap();
		assert!(!is_there(&blobs, old).await);
	}

	/// A book of old jobs without end.
	#[derive(Default)]
	struct Endless(AtomicUsize);

	impl Ledger for Endless {
		fn forget(&self, _: u64, most: usize) -> BoxFuture<'_, Result<Removed, BookError>> {
			self.0.fetch_add(1, Ordering::SeqCst);
			std::future::ready(Ok(removed(most, Vec::new()))).boxed()
		}

		fn needless(&self, _: Vec<H256>) -> BoxFuture<'_, Result<Vec<H256>, BookError>> {
			std::future::ready(Ok(Vec::new())).boxed()
		}
	}

	#[tokio::test]
	async fn an_order_to_stop_is_heard_at_once_however_much_there_is_to_do() {
		let dir = tempfile::tempdir().unwrap();
		let blobs = Blobs::in_folder(dir.path()).unwrap();
		let book = Arc::new(Endless::default());
		let retention = Retention { book: book.clone(), blobs, keep: HOUR };
		let (stop, stopped) = watch::channel(false);
		let running = tokio::spawn(retention.run(stopped));
		while book.0.load(Ordering::SeqCst) < 3 {
			tokio::time::sleep(PAUSE / 10).await;
		}
		stop.send(true).unwrap();
		tokio::time::timeout(Duration::from_secs(10), running).await.unwrap().unwrap();
	}
}
