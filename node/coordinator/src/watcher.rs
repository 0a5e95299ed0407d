//! Follows every posted task to its end.
//!
//! What the chain shows at its best block moves a job along; what ends it must be final, because a block that is not can still be replaced by one in
//! which the miner was not paid. What is to be followed stands in the book, so a restart goes on where the last run stopped.

use std::{
	collections::HashSet,
	sync::{Arc, Mutex},
	time::{Duration, Instant},
};

use cuckoo_primitives::{views::TaskView, BlockNumber, TaskId};
use futures::StreamExt;
use sp_core::crypto::AccountId32;
use tokio::sync::watch;

use crate::{
	book::{Book, BookError},
	chain::{At, Chain},
	job::{Job, Settlement},
	metrics,
};

/// The newest block and when it was first seen.
pub type Pulse = Option<(BlockNumber, Instant)>;

/// How many tasks are asked for at a time.
const QUESTIONS: usize = 16;

/// What the chain's view of a task means for its job.
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

/// What it means that task `task` of `job` looks like `view`, `newest` being the newest task there is.
fn interpret(
	job: &Job,
	owner: &AccountId32,
	task: TaskId,
	view: Option<TaskView>,
	newest: Option<TaskId>,
) -> Sight {
	match view {
		Some(view) if view.input_root == job.input_root() && view.coordinator == *owner => {
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
	/// The tasks that were said to be undelivered.
	undelivered: Mutex<HashSet<TaskId>>,
}

impl Watcher {
	/// Tells `pulse` of every new block.
	pub fn new(book: Book, chain: Arc<dyn Chain>, pulse: watch::Sender<Pulse>) -> Self {
		Self { book, chain, pulse, undelivered: Mutex::default() }
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
		let jobs = self.book.to_watch().await?;
		metrics::watched(block, jobs.len());
		futures::stream::iter(jobs)
			.for_each_concurrent(QUESTIONS, |job| async move {
				let id = job.id;
				if let Err(error) = self.look(job, block).await {
					tracing::warn!(job = %id, %error, "a task could not be followed");
				}
			})
			.await;
		self.pulse.send_replace(Some((block, Instant::now())));
		Ok(())
	}

	async fn look(&self, job: Job, block: BlockNumber) -> anyhow::Result<()> {
		let Some(task) = job.task else { return Ok(()) };
		match self.sight(&job, task).await? {
			Sight::Task(view) => {
				if job.is_undelivered(&view, block) {
					self.say_undelivered(&job, task);
				}
				self.change(&job, move |job| {
					job.follow(&view);
					job.wait_for_delivery(block);
				})
				.await?;
			},
			Sight::Lost => {
				tracing::warn!(job = %job.id, task, "the post vanished with its block; looking for it");
				self.change(&job, Job::unposted).await?;
			},
			Sight::Forgotten => {
				tracing::warn!(job = %job.id, task, "the task's receipt is gone; its outcome is unknown");
				let why = "the chain no longer keeps the receipt of the task, and how it ended was not seen";
				let change = move |job: &mut Job| {
					if job.settlement != Settlement::Settled {
						job.settlement = Settlement::Void;
					}
					job.fail(why);
				};
				self.change(&job, change).await?;
			},
			Sight::Ending => {},
		}
		Ok(())
	}

	/// Says on chain that an output never came: neither this coordinator nor the miner gains by it, but the job ends. Once for a task.
	fn say_undelivered(&self, job: &Job, task: TaskId) {
		let first = self.undelivered.lock().is_ok_and(|mut said| said.insert(task));
		if !first {
			return;
		}
		tracing::warn!(job = %job.id, task, "the miner has committed and delivered nothing; the chain is told");
		let chain = self.chain.clone();
		// Beside the round, which must not wait for a block.
		tokio::spawn(async move {
			if let Err(error) = chain.undelivered(task).await {
				tracing::warn!(task, %error, "it could not be told");
			}
		});
	}

	async fn sight(&self, job: &Job, task: TaskId) -> anyhow::Result<Sight> {
		let owner = self.chain.owner();
		let view = self.chain.task(task, At::Best).await?;
		let newest = if view.is_none() { self.chain.newest_task().await? } else { None };
		let sight = interpret(job, &owner, task, view, newest);
		let Sight::Task(view) = &sight else { return Ok(sight) };
		if !view.phase.has_ended() {
			return Ok(sight);
		}
		let final_view = self.chain.task(task, At::Finalized).await?;
		Ok(match interpret(job, &owner, task, final_view, None) {
			Sight::Task(view) if view.phase.has_ended() => Sight::Task(view),
			_ => Sight::Ending,
		})
	}

	/// Changes a job unless somebody else gave it another task meanwhile.
	async fn change(
		&self,
		seen: &Job,
		change: impl FnOnce(&mut Job) + Send + 'static,
	) -> Result<(), BookError> {
		let task = seen.task;
		let change = move |job: &mut Job| {
			if job.task == task {
				change(job);
			}
			Ok(())
		};
		self.book.update(seen.id, change).await.map(|_| ())
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::job::tests::{job, view};
	use cuckoo_primitives::views::TaskPhase;

	#[test]
	fn a_task_is_told_from_another_a_lost_one_and_a_forgotten_one() {
		let job = job();
		let owner = AccountId32::new([9; 32]);
		let seen = |view, newest| interpret(&job, &owner, 4, view, newest);
		let own = view(&job, 4, TaskPhase::Working, 0);
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
