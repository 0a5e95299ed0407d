//! Follows every posted task to its end.
//!
//! What the chain shows at its best block moves a job along; what ends it must be final, because a block that is not can still be replaced by one in
//! which the miner was not paid. What is to be followed stands in the book, so a restart goes on where the last run stopped.

use std::{
	collections::HashSet,
	sync::{
		atomic::{AtomicU32, Ordering::Relaxed},
		Arc, Mutex, MutexGuard, PoisonError,
	},
	time::{Duration, Instant},
};

use cuckoo_primitives::{views::TaskView, BlockNumber, TaskId};
use futures::StreamExt;
use sp_core::crypto::AccountId32;
use tokio::sync::watch;

use crate::{
	batch::{Batch, List},
	book::{Book, BookError},
	chain::{At, Chain},
	job::Settlement,
	metrics,
	uploads::Uploads,
};

/// The newest block and when it was first seen.
pub type Pulse = Option<(BlockNumber, Instant)>;

/// How often it is looked whether who was paid was challenged, in blocks.
const RECHECK: BlockNumber = 20;
/// Who has missed more blocks than this was away.
const GAP: BlockNumber = 3;
/// How many tasks are asked for at a time.
const QUESTIONS: usize = 16;

/// What the chain's view of a task means for its batch.
#[derive(Debug, PartialEq, Eq)]
enum Sight {
	/// The task is as it says.
	Task(Box<TaskView>),
	/// The block with the post is no longer part of the chain.
	Lost,
	/// The task ended so long ago that its receipt is gone.
	Forgotten,
	/// The task has ended in a block that is not final yet.
	Ending,
}

/// What it means that task `task` of `batch` looks like `view`, `newest` being the newest task there is.
fn interpret(
	batch: &Batch,
	owner: &AccountId32,
	task: TaskId,
	view: Option<TaskView>,
	newest: Option<TaskId>,
) -> Sight {
	match view {
		Some(view) if view.input_root == batch.input_root() && view.coordinator == *owner => {
			Sight::Task(Box::new(view))
		},
		// The number was given again, to another task.
		Some(_) => Sight::Lost,
		None if newest.is_some_and(|newest| newest >= task) => Sight::Forgotten,
		None => Sight::Lost,
	}
}

/// Follows tasks until told to stop.
pub struct Watcher {
	book: Book,
	chain: Arc<dyn Chain>,
	/// For whoever wants to know whether the chain moves.
	pulse: watch::Sender<Pulse>,
	uploads: Uploads,
	/// The rounds of tasks that were said to be undelivered.
	undelivered: Arc<Mutex<HashSet<(TaskId, u32)>>>,
	/// Since which block this coordinator is here: it may just have been started, or have been cut off.
	here: AtomicU32,
	/// When it was looked last whether who was paid was challenged.
	rechecked: AtomicU32,
}

impl Watcher {
	/// Tells `pulse` of every new block. What of `uploads` is under way is waited for.
	pub fn new(
		book: Book,
		chain: Arc<dyn Chain>,
		pulse: watch::Sender<Pulse>,
		uploads: Uploads,
	) -> Self {
		let (undelivered, here, rechecked) = Default::default();
		Self { book, chain, pulse, uploads, undelivered, here, rechecked }
	}

	/// Runs until `stop` turns true. Looks for a new block every `tick`.
	pub async fn run(self, tick: Duration, mut stop: watch::Receiver<bool>) {
		let mut ticks = tokio::time::interval(tick);
		ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
		while !*stop.borrow() {
			tokio::select! {
				_ = stop.changed() => break,
				_ = ticks.tick() => {},
			}
			if let Err(error) = self.round().await {
				tracing::warn!(%error, "watching waits");
			}
		}
	}

	/// Looks at every followed task, if there is a new block.
	async fn round(&self) -> anyhow::Result<()> {
		let block = self.chain.block(At::Best).await?;
		if self.pulse.borrow().is_some_and(|(seen, _)| seen == block) {
			return Ok(());
		}
		let seen = self.pulse.borrow().map(|(seen, _)| seen);
		if seen.is_none_or(|seen| block.abs_diff(seen) > GAP) {
			self.here.store(block, Relaxed);
		}
		metrics::free(self.chain.free().await?);
		let mut batches = self.book.listed(List::Watch).await?;
		metrics::watched(block, batches.len());
		{
			let open: HashSet<_> = batches.iter().filter_map(|batch| batch.task).collect();
			self.said().retain(|(task, _)| open.contains(task));
		}
		if block.abs_diff(self.rechecked.load(Relaxed)) >= RECHECK {
			batches.extend(self.book.listed(List::Recheck).await?);
			self.rechecked.store(block, Relaxed);
		}
		futures::stream::iter(batches)
			.for_each_concurrent(QUESTIONS, |batch| async move {
				let id = batch.id;
				if let Err(error) = self.look(batch, block).await {
					tracing::warn!(batch = %id, %error, "a task could not be followed");
				}
			})
			.await;
		self.pulse.send_replace(Some((block, Instant::now())));
		Ok(())
	}

	async fn look(&self, batch: Batch, block: BlockNumber) -> anyhow::Result<()> {
		let Some(task) = batch.task else { return Ok(()) };
		match self.sight(&batch, task).await? {
			Sight::Task(view) => {
				let is_undelivered = |batch: &Batch, uploads: &Uploads| {
					let here = self.here.load(Relaxed);
					!uploads.was_kept_out(task)
						&& batch.is_undelivered(&view, here, block, uploads.under_way(task))
				};
				if is_undelivered(&batch, &self.uploads) {
					// What came since the list was read counts.
					let now = self.book.batch(batch.id).await?;
					let now = now.filter(|now| now.task == batch.task);
					if now.is_some_and(|now| is_undelivered(&now, &self.uploads)) {
						self.say_undelivered(&batch, task, view.round);
					}
				}
				let follow = move |batch: &mut Batch| {
					batch.follow(&view);
					batch.wait_for_delivery(block);
				};
				// Most blocks change nothing, and a write waits for the disk.
				let mut next = batch.clone();
				follow(&mut next);
				if next != batch {
					self.change(&batch, follow).await?;
				}
			},
			Sight::Lost => {
				tracing::warn!(batch = %batch.id, task, "the post vanished with its block; looking for it");
				self.change(&batch, Batch::unposted).await?;
			},
			Sight::Forgotten => {
				if batch.settlement != Settlement::Settled {
					tracing::warn!(batch = %batch.id, task, "the task's receipt is gone; its outcome is unknown");
				}
				let why = "the chain no longer keeps the receipt of the task, and how it ended was not seen";
				let change = move |batch: &mut Batch| {
					batch.closed = true;
					if batch.settlement != Settlement::Settled {
						batch.settlement = Settlement::Void;
					}
					batch.fail(why);
				};
				self.change(&batch, change).await?;
			},
			Sight::Ending => {},
		}
		Ok(())
	}

	/// Says on chain that an output never came: neither this coordinator nor the miner gains by it, but the job ends. Once for a round, unless it could not be said.
	fn say_undelivered(&self, batch: &Batch, task: TaskId, round: u32) {
		if !self.said().insert((task, round)) {
			return;
		}
		tracing::warn!(batch = %batch.id, task, "the miner has committed and delivered nothing; the chain is told");
		let (chain, said) = (self.chain.clone(), self.undelivered.clone());
		// Beside the round, which must not wait for a block.
		tokio::spawn(async move {
			if let Err(error) = chain.undelivered(task).await {
				tracing::warn!(task, %error, "it could not be told");
				said.lock().unwrap_or_else(PoisonError::into_inner).remove(&(task, round));
			}
		});
	}

	fn said(&self) -> MutexGuard<'_, HashSet<(TaskId, u32)>> {
		// A plain set: whoever panicked while holding it left nothing half done.
		self.undelivered.lock().unwrap_or_else(PoisonError::into_inner)
	}

	async fn sight(&self, batch: &Batch, task: TaskId) -> anyhow::Result<Sight> {
		let owner = self.chain.owner();
		let view = self.chain.task(task, At::Best).await?;
		let newest = if view.is_none() { self.chain.newest_task().await? } else { None };
		let sight = interpret(batch, &owner, task, view, newest);
		let Sight::Task(view) = &sight else { return Ok(sight) };
		if !view.phase.has_ended() {
			return Ok(sight);
		}
		let final_view = self.chain.task(task, At::Finalized).await?;
		Ok(match interpret(batch, &owner, task, final_view, None) {
			Sight::Task(view) if view.phase.has_ended() => Sight::Task(view),
			_ => Sight::Ending,
		})
	}

	/// Changes a batch unless somebody else gave it another task meanwhile.
	async fn change(
		&self,
		seen: &Batch,
		change: impl FnOnce(&mut Batch) + Send + 'static,
	) -> Result<(), BookError> {
		let task = seen.task;
		let change = move |batch: &mut Batch| {
			if batch.task == task {
				change(batch);
			}
			Ok(())
		};
		self.book.update(seen.id, change).await.map(|_| ())
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::batch::tests::{batch, view};
	use cuckoo_primitives::views::TaskPhase;

	#[test]
	fn a_task_is_told_from_another_a_lost_one_and_a_forgotten_one() {
		let batch = batch();
		let owner = AccountId32::new([9; 32]);
		let seen = |view, newest| interpret(&batch, &owner, 4, view, newest);
		let own = view(&batch, 4, TaskPhase::Working, 0);
		assert_eq!(seen(Some(own.clone()), None), Sight::Task(Box::new(own.clone())));
		let mut another_input = own.clone();
		another_input.input_root = Default::default();
		assert_eq!(seen(Some(another_input), None), Sight::Lost);
		let mut of_another = own;
		of_another.coordinator = AccountId32::new([1; 32]);
		assert_eq!(seen(Some(of_another), None), Sight::Lost);
		assert_eq!(seen(None, Some(4)), Sight::Forgotten);
		assert_eq!(seen(None, Some(3)), Sight::Lost);
		assert_eq!(seen(None, None), Sight::Lost);
	}
}
