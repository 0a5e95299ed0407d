//! The book's tables, and what one change does to all of them.

use std::{
	collections::{BTreeMap, BTreeSet},
	sync::Arc,
};

use cuckoo_primitives::Balance;
use redb::{ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction};
use sp_core::H256;

use super::{
	number, BookError, Limits, BATCHES, BLOBS, BY_KEY, BY_OWNER, BY_TASK, COUNTERS, HELD, JOBS,
	MONEY, NEXT_BATCH, OPEN, SPENT, TO_POST, TO_RECHECK, TO_WATCH, WAITING,
};
use crate::{
	batch::{Batch, BatchId, List, Money, Part},
	id::JobId,
	job::{Job, Place, Progress},
	keys::KeyId,
};

/// A list's table.
pub(super) fn table(list: List) -> TableDefinition<'static, u64, ()> {
	match list {
		List::Post => TO_POST,
		List::Watch => TO_WATCH,
		List::Recheck => TO_RECHECK,
	}
}

/// A job.
pub(super) fn job(
	jobs: &impl ReadableTable<u128, &'static [u8]>,
	id: JobId,
) -> Result<Option<Job>, BookError> {
	match jobs.get(id.0)? {
		Some(bytes) => Ok(Some(serde_json::from_slice(bytes.value())?)),
		None => Ok(None),
	}
}

/// A batch.
pub(super) fn batch(
	batches: &impl ReadableTable<u64, &'static [u8]>,
	id: BatchId,
) -> Result<Option<Batch>, BookError> {
	match batches.get(id.0)? {
		Some(bytes) => Ok(Some(serde_json::from_slice(bytes.value())?)),
		None => Ok(None),
	}
}

/// A job and its batch.
pub(super) fn progress(
	jobs: &impl ReadableTable<u128, &'static [u8]>,
	batches: &impl ReadableTable<u64, &'static [u8]>,
	id: JobId,
) -> Result<Option<Progress>, BookError> {
	let Some(job) = job(jobs, id)? else { return Ok(None) };
	let batch = match job.place {
		Place::In { batch: id, .. } => batch(batches, id)?,
		Place::Waiting | Place::Ended { .. } => None,
	};
	Ok(Some(Progress { job, batch: batch.map(Arc::new) }))
}

/// Leaves out what cannot be read, instead of all that stands beside it.
pub(super) fn readable<T>(found: Result<Option<T>, BookError>) -> Result<Option<T>, BookError> {
	match found {
		Err(error @ BookError::Unreadable(_)) => {
			tracing::error!(%error, "left alone");
			Ok(None)
		},
		found => found,
	}
}

/// Whether there is room for one job more. `open` jobs are open, fees of `held` planck are undecided, the job's owner has spent `spent`.
pub(super) fn check_room(
	limits: Limits,
	open: u64,
	held: Balance,
	spent: Balance,
	fee: Balance,
	budget: Option<Balance>,
) -> Result<(), BookError> {
	if open >= limits.jobs {
		return Err(BookError::Full);
	}
	if held.saturating_add(fee) > limits.escrow {
		return Err(BookError::Escrow);
	}
	let left = budget.map(|budget| budget.saturating_sub(spent));
	match left.filter(|left| fee > *left) {
		Some(left) => Err(BookError::Budget { left, fee }),
		None => Ok(()),
	}
}

/// Jobs and batches, to be read.
pub(super) struct Jobs<J, B> {
	pub(super) jobs: J,
	batches: B,
}

impl<J, B> Jobs<J, B>
where
	J: ReadableTable<u128, &'static [u8]>,
	B: ReadableTable<u64, &'static [u8]>,
{
	pub(super) fn new(jobs: J, batches: B) -> Self {
		Self { jobs, batches }
	}

	pub(super) fn progress(&self, id: JobId) -> Result<Option<Progress>, BookError> {
		progress(&self.jobs, &self.batches, id)
	}
}

/// The tables of one change.
pub(super) struct Tables<'a> {
	pub(super) jobs: Table<'a, u128, &'static [u8]>,
	pub(super) batches: Table<'a, u64, &'static [u8]>,
	by_task: Table<'a, u64, u64>,
	pub(super) by_key: Table<'a, (Option<u64>, &'static str), u128>,
	pub(super) by_owner: Table<'a, (Option<u64>, u128), ()>,
	pub(super) open: Table<'a, u128, ()>,
	pub(super) waiting: Table<'a, u128, ()>,
	to_post: Table<'a, u64, ()>,
	to_watch: Table<'a, u64, ()>,
	to_recheck: Table<'a, u64, ()>,
	pub(super) blobs: Blobs<'a>,
	pub(super) spent: Table<'a, u64, u128>,
	pub(super) money: Table<'a, &'static str, u128>,
	counters: Table<'a, &'static str, u64>,
}

type Blobs<'a> = Table<'a, &'static [u8; 32], u64>;

/// Counts who needs a blob.
pub(super) struct Refs<'b, 'a>(pub(super) &'b mut Blobs<'a>);

impl Refs<'_, '_> {
	pub(super) fn add(&mut self, hashes: &[H256]) -> Result<(), BookError> {
		for hash in hashes {
			let count = self.0.get(&hash.0)?.map_or(0, |count| count.value());
			self.0.insert(&hash.0, count + 1)?;
		}
		Ok(())
	}

	/// Those of them that nobody needs any more.
	fn remove(&mut self, hashes: impl IntoIterator<Item = H256>) -> Result<Vec<H256>, BookError> {
		let mut gone = Vec::new();
		for hash in hashes {
			let count = self.0.get(&hash.0)?.map_or(0, |count| count.value());
			if count > 1 {
				self.0.insert(&hash.0, count - 1)?;
			} else {
				self.0.remove(&hash.0)?;
				gone.push(hash);
			}
		}
		Ok(gone)
	}
}

impl<'a> Tables<'a> {
	pub(super) fn open(txn: &'a WriteTransaction) -> Result<Self, BookError> {
		Ok(Self {
			jobs: txn.open_table(JOBS)?,
			batches: txn.open_table(BATCHES)?,
			by_task: txn.open_table(BY_TASK)?,
			by_key: txn.open_table(BY_KEY)?,
			by_owner: txn.open_table(BY_OWNER)?,
			open: txn.open_table(OPEN)?,
			waiting: txn.open_table(WAITING)?,
			to_post: txn.open_table(TO_POST)?,
			to_watch: txn.open_table(TO_WATCH)?,
			to_recheck: txn.open_table(TO_RECHECK)?,
			blobs: txn.open_table(BLOBS)?,
			spent: txn.open_table(SPENT)?,
			money: txn.open_table(MONEY)?,
			counters: txn.open_table(COUNTERS)?,
		})
	}

	/// The fees of all jobs of which the chain has not decided.
	pub(super) fn held(&self) -> Result<Balance, BookError> {
		Ok(self.money.get(HELD)?.map_or(0, |held| held.value()))
	}

	/// What a key has spent.
	pub(super) fn spent(&self, key: KeyId) -> Result<Balance, BookError> {
		Ok(self.spent.get(key.0)?.map_or(0, |spent| spent.value()))
	}

	/// A number that no batch ever had.
	pub(super) fn next_batch(&mut self) -> Result<BatchId, BookError> {
		Ok(BatchId(self.count(NEXT_BATCH)?))
	}

	/// How often this was counted before.
	pub(super) fn count(&mut self, counter: &str) -> Result<u64, BookError> {
		let before = self.counters.get(counter)?.map_or(0, |before| before.value());
		self.counters.insert(counter, before + 1)?;
		Ok(before)
	}

	/// A job that has ended, and was in no batch then, needs its inputs no more.
	pub(super) fn let_go_of_inputs(&mut self, job: &Job) -> Result<(), BookError> {
		Refs(&mut self.blobs).remove(job.inputs.iter().copied())?;
		Ok(())
	}

	/// Whether there is room for a job of this owner's with this fee, in planck.
	pub(super) fn check_room(
		&self,
		limits: Limits,
		owner: Option<KeyId>,
		fee: Balance,
		budget: Option<Balance>,
	) -> Result<(), BookError> {
		let spent = owner.map_or(Ok(0), |key| self.spent(key))?;
		check_room(
			limits,
			self.open.len()?,
			self.held()?,
			spent,
			fee,
			budget.filter(|_| owner.is_some()),
		)
	}

	/// A fee is somewhere else now.
	pub(super) fn money_moves(
		&mut self,
		from: Money,
		to: Money,
		fee: Balance,
		owner: Option<KeyId>,
	) -> Result<(), BookError> {
		let held = self.held()?;
		let held = match (from == Money::Held, to == Money::Held) {
			(true, false) => held.saturating_sub(fee),
			(false, true) => held.saturating_add(fee),
			_ => held,
		};
		self.money.insert(HELD, held)?;
		let Some(key) = owner else { return Ok(()) };
		let spent = self.spent(key)?;
		let spent = match (from == Money::Back, to == Money::Back) {
			(false, true) => spent.saturating_sub(fee),
			(true, false) => spent.saturating_add(fee),
			_ => spent,
		};
		self.spent.insert(key.0, spent)?;
		Ok(())
	}

	pub(super) fn put_job(&mut self, job: &Job) -> Result<(), BookError> {
		self.jobs.insert(job.id.0, serde_json::to_vec(job)?.as_slice())?;
		Ok(())
	}

	/// The jobs of a batch that a change of it concerns, before and after.
	pub(super) fn changed(
		&self,
		before: &Arc<Batch>,
		after: &Arc<Batch>,
	) -> Result<Vec<(Progress, Progress)>, BookError> {
		let all = Batch { outputs: BTreeMap::new(), ..Batch::clone(before) }
			!= Batch { outputs: BTreeMap::new(), ..Batch::clone(after) };
		let mut found = Vec::new();
		let mut first = 0;
		for Part { job: id, items, .. } in &after.parts {
			let own = first..first + items;
			first += items;
			if !all && own.clone().all(|item| before.outputs.get(&item) == after.outputs.get(&item))
			{
				continue;
			}
			if let Some(job) = job(&self.jobs, *id)? {
				let of =
					|batch: &Arc<Batch>| Progress { job: job.clone(), batch: Some(batch.clone()) };
				found.push((of(before), of(after)));
			}
		}
		Ok(found)
	}

	/// Writes a batch, its index entries, and what its change means for the money.
	pub(super) fn put_batch(
		&mut self,
		before: Option<&Batch>,
		batch: &Arc<Batch>,
	) -> Result<(), BookError> {
		let id = batch.id.0;
		self.batches.insert(id, serde_json::to_vec(batch.as_ref())?.as_slice())?;
		let old_task = before.and_then(|before| before.task);
		if old_task != batch.task {
			if let Some(old) = old_task {
				self.by_task.remove(old)?;
			}
			if let Some(new) = batch.task {
				if self.by_task.insert(new, id)?.is_some_and(|holder| holder.value() != id) {
					return Err(BookError::TaskTaken(new));
				}
			}
		}
		for list in [List::Post, List::Watch, List::Recheck] {
			let table = match list {
				List::Post => &mut self.to_post,
				List::Watch => &mut self.to_watch,
				List::Recheck => &mut self.to_recheck,
			};
			if batch.list() == Some(list) {
				table.insert(id, ())?;
			} else {
				table.remove(id)?;
			}
		}
		let Some(before) = before else { return Ok(()) };
		let outputs = |of: &Batch| -> BTreeSet<(u32, H256)> {
			of.outputs.iter().map(|(item, output)| (*item, output.hash)).collect()
		};
		let (old, new) = (outputs(before), outputs(batch));
		let added: Vec<H256> = new.difference(&old).map(|(_, hash)| *hash).collect();
		Refs(&mut self.blobs).add(&added)?;
		// A later round's output has taken its place.
		Refs(&mut self.blobs).remove(old.difference(&new).map(|(_, hash)| *hash))?;
		let (from, to) = (before.money(), batch.money());
		let mut first = 0;
		for Part { job: id, items, fee } in &batch.parts {
			first += items;
			let Some(job) = job(&self.jobs, *id)? else { continue };
			if from != to {
				self.money_moves(from, to, *fee, job.owner)?;
			}
			let of = Progress { job, batch: Some(batch.clone()) };
			if of.state().is_final() {
				self.open.remove(id.0)?;
			}
		}
		debug_assert_eq!(first, batch.items());
		Ok(())
	}

	/// Removes a batch that is not on chain; its jobs wait again, and may be to be alone from now on.
	pub(super) fn take_apart(&mut self, batch: &Batch, alone: bool) -> Result<(), BookError> {
		for part in &batch.parts {
			if let Some(job) = job(&self.jobs, part.job)? {
				let alone = alone || job.alone;
				self.put_job(&Job { alone, place: Place::Waiting, ..job })?;
				self.waiting.insert(part.job.0, ())?;
			}
		}
		self.batches.remove(batch.id.0)?;
		self.to_post.remove(batch.id.0)?;
		Ok(())
	}

	/// Removes a job, and its batch with the last of its jobs; the blobs that nobody needs any more.
	pub(super) fn remove(&mut self, progress: &Progress) -> Result<Vec<H256>, BookError> {
		let job = &progress.job;
		let owner = number(job.owner);
		self.jobs.remove(job.id.0)?;
		self.by_owner.remove((owner, job.id.0))?;
		if let Some(key) = &job.idempotency_key {
			self.by_key.remove((owner, key.as_str()))?;
		}
		let mut gone = match job.place {
			// It let go of them when it ended.
			Place::Ended { .. } => Vec::new(),
			Place::Waiting | Place::In { .. } => {
				Refs(&mut self.blobs).remove(job.inputs.iter().copied())?
			},
		};
		let Some(batch) = &progress.batch else { return Ok(gone) };
		for part in &batch.parts {
			if self.jobs.get(part.job.0)?.is_some() {
				return Ok(gone);
			}
		}
		self.batches.remove(batch.id.0)?;
		for list in [&mut self.to_post, &mut self.to_watch, &mut self.to_recheck] {
			list.remove(batch.id.0)?;
		}
		if let Some(task) = batch.task {
			self.by_task.remove(task)?;
		}
		gone.extend(Refs(&mut self.blobs).remove(batch.outputs.values().map(|o| o.hash))?);
		Ok(gone)
	}
}
