//! Brings accepted jobs onto the chain, each exactly once.
//!
//! A post can get into a block without the poster hearing of it: the process may die, the node may go away. So before a post leaves, the book
//! notes that one is under way and which task was the newest then. A job with such a note and no task is *unsure*: the poster looks
//! through the tasks that came after the note for one of its own with the job's input root, and posts again only once a post from before
//! could not be in a block any more and every task in question was seen not to be it. No fee is paid twice.

use std::{
	collections::{HashMap, HashSet},
	sync::Arc,
	time::Duration,
};

use cuckoo_primitives::{views::TaskView, BlockNumber, TaskId};
use sp_core::{crypto::AccountId32, H256};
use tokio::{
	sync::{broadcast, watch},
	task::JoinSet,
};

use crate::{
	book::{Book, BookError},
	chain::{At, Chain, ChainError, Post, PostError, Posted, POST_LIFE},
	id::JobId,
	job::{Job, JobState, Posting, Settlement},
	metrics,
};

/// The most tasks that are looked through for a lost post.
const MAX_SCAN: u64 = 5_000;

/// The tasks after some number, as far as the chain still shows them.
#[derive(Debug, Default)]
struct Scan {
	tasks: Vec<TaskView>,
	/// Those of which nothing is known any more.
	unknown: Vec<TaskId>,
}

/// What to do about an unsure job.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
	/// Its post went in as this task.
	Adopt(TaskId),
	/// A post may still go in.
	Wait,
	/// No post went in, and none can.
	PostAgain,
	/// It cannot be known whether a post went in.
	GiveUp,
}

/// Decides about an unsure job. `since` is a block from before which every post under way was signed, `finalized` the last block that
/// the scan certainly covers, `taken` the tasks that belong to other jobs.
fn decide(
	job: &Job,
	owner: &AccountId32,
	scan: &Scan,
	taken: &HashSet<TaskId>,
	since: BlockNumber,
	finalized: BlockNumber,
) -> Decision {
	let root = job.input_root();
	let after = |task: TaskId| job.posting.and_then(|p| p.floor).is_none_or(|floor| task > floor);
	let ours = |view: &&TaskView| {
		after(view.task)
			&& view.coordinator == *owner
			&& view.input_root == root
			&& view.model == job.model
			&& !taken.contains(&view.task)
	};
	if let Some(found) = scan.tasks.iter().filter(ours).map(|view| view.task).min() {
		return Decision::Adopt(found);
	}
	if finalized < since.saturating_add(POST_LIFE) {
		return Decision::Wait;
	}
	if scan.unknown.iter().any(|task| after(*task)) {
		return Decision::GiveUp;
	}
	Decision::PostAgain
}

/// Posts jobs until told to stop.
pub struct Poster {
	book: Book,
	chain: Arc<dyn Chain>,
	slots: usize,
	/// Jobs of which it is not known whether their post went in, and the block in which that was noticed.
	unsure: HashMap<JobId, BlockNumber>,
	/// The roots of posts that this process has under way.
	under_way: HashMap<JobId, H256>,
	posts: JoinSet<(JobId, Result<Posted, PostError>)>,
}

impl Poster {
	/// With at most `slots` posts under way at a time.
	pub fn new(book: Book, chain: Arc<dyn Chain>, slots: usize) -> Self {
		Self {
			book,
			chain,
			slots: slots.max(1),
			unsure: HashMap::new(),
			under_way: HashMap::new(),
			posts: JoinSet::new(),
		}
	}

	/// Runs until `stop` turns true, then waits for the posts under way. Looks at the book when it changes and every `tick`.
	pub async fn run(mut self, tick: Duration, mut stop: watch::Receiver<bool>) {
		let mut changes = self.book.changes();
		let mut ticks = tokio::time::interval(tick);
		ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
		while !*stop.borrow() {
			if let Err(error) = self.round().await {
				tracing::warn!(%error, "posting waits");
				metrics::posting_waits();
			}
			tokio::select! {
				_ = stop.changed() => break,
				_ = ticks.tick() => {},
				Some(done) = self.posts.join_next() => self.finished(done).await,
				_ = changes.recv() => drain(&mut changes),
			}
		}
		// What is cut off here is unsure, and is looked for after the next start.
		while let Some(done) = self.posts.join_next().await {
			self.finished(done).await;
		}
	}

	/// Deals with every job that is not on chain, as far as that goes now.
	async fn round(&mut self) -> anyhow::Result<()> {
		let jobs = self.book.to_post().await?;
		let mut lost = Vec::new();
		for job in jobs {
			if self.under_way.contains_key(&job.id) {
				continue;
			}
			if job.posting.is_some() {
				if !self.unsure.contains_key(&job.id) {
					// A node that is behind must not make an old post look older than it is.
					let now = self.chain.block(At::Best).await?;
					self.unsure.insert(job.id, now.max(job.blocks.posted.unwrap_or(0)));
				}
				lost.push(job);
			} else if self.posts.len() < self.slots {
				self.post(job).await?;
			}
		}
		self.unsure.retain(|id, _| lost.iter().any(|job| job.id == *id));
		if lost.is_empty() {
			return Ok(());
		}
		self.recover(lost).await
	}

	/// Notes that a post is under way, and sends it.
	async fn post(&mut self, job: Job) -> anyhow::Result<()> {
		let floor = self.chain.newest_task().await?;
		let job = self
			.book
			.update(job.id, move |job| -> Result<(), BookError> {
				job.posting = Some(Posting { floor });
				Ok(())
			})
			.await?;
		let post = Post {
			model: job.model,
			input_root: job.input_root(),
			items: job.items(),
			fee: job.fee,
			max_wait: job.max_wait,
		};
		self.under_way.insert(job.id, post.input_root);
		let chain = self.chain.clone();
		self.posts.spawn(async move { (job.id, chain.post(post).await) });
		Ok(())
	}

	/// Records what came of a post.
	async fn finished(
		&mut self,
		done: Result<(JobId, Result<Posted, PostError>), tokio::task::JoinError>,
	) {
		let Ok((id, outcome)) = done else {
			// A post panicked; which one is not told. The ids that are no longer running are unsure and found in the next round.
			self.under_way.clear();
			return;
		};
		self.under_way.remove(&id);
		metrics::posted(&outcome);
		let written = match outcome {
			Ok(Posted { task, block }) => {
				tracing::info!(job = %id, task, block, "posted");
				adopt(&self.book, id, task, Some(block)).await
			},
			Err(PostError::Refused(why)) => {
				tracing::warn!(job = %id, %why, "the chain refused a post");
				let change = move |job: &mut Job| {
					job.fail(format!("the chain refused the task: {why}"));
					Ok(())
				};
				self.book.update::<BookError>(id, change).await.map(|_| ())
			},
			Err(PostError::NotSent(why)) => {
				tracing::warn!(job = %id, %why, "a post was not sent");
				forget_posting(&self.book, id).await
			},
			Err(PostError::Unsure(why)) => {
				tracing::warn!(job = %id, %why, "a post may or may not have gone in; looking for it");
				Ok(())
			},
		};
		if let Err(error) = written {
			tracing::error!(job = %id, %error, "the outcome of a post could not be noted; it will be looked for");
		}
	}

	/// Looks for the posts of unsure jobs.
	async fn recover(&mut self, jobs: Vec<Job>) -> anyhow::Result<()> {
		// Before the scan, so that the scan covers this block.
		let finalized = self.chain.block(At::Finalized).await?;
		let floors = jobs.iter().map(|job| job.posting.and_then(|p| p.floor));
		let Some(floor) = floors.min() else { return Ok(()) };
		let scan = scan(self.chain.as_ref(), floor).await?;
		let mut taken = HashSet::new();
		for view in &scan.tasks {
			if self.book.by_task(view.task).await?.is_some() {
				taken.insert(view.task);
			}
		}
		for job in jobs {
			// A post of the same input that is under way could be taken for this one.
			if self.under_way.values().any(|root| *root == job.input_root()) {
				continue;
			}
			let since = self.unsure.get(&job.id).copied().unwrap_or(finalized);
			let id = job.id;
			match decide(&job, &self.chain.owner(), &scan, &taken, since, finalized) {
				Decision::Adopt(task) => {
					tracing::info!(job = %id, task, "found the task of a post whose outcome was unknown");
					taken.insert(task);
					adopt(&self.book, id, task, None).await?;
				},
				Decision::Wait => continue,
				Decision::PostAgain if job.state == JobState::Completed => {
					let why = "the task vanished with its block after the output had come";
					close(&self.book, id, why).await?;
				},
				Decision::PostAgain => {
					tracing::info!(job = %id, "the post did not go in; posting again");
					forget_posting(&self.book, id).await?;
				},
				Decision::GiveUp => {
					let why = "it cannot be known any more whether the task was posted: the chain has forgotten \
						tasks of that time; send the request again";
					close(&self.book, id, why).await?;
				},
			}
			self.unsure.remove(&id);
		}
		Ok(())
	}
}

/// Notes that a job's post is in a block.
async fn adopt(
	book: &Book,
	id: JobId,
	task: TaskId,
	block: Option<BlockNumber>,
) -> Result<(), BookError> {
	let change = move |job: &mut Job| {
		job.posted(task, block);
		Ok(())
	};
	book.update(id, change).await.map(|_| ())
}

/// Notes that no post of a job can be in a block: the next round posts it as if for the first time.
async fn forget_posting(book: &Book, id: JobId) -> Result<(), BookError> {
	let change = |job: &mut Job| {
		job.posting = None;
		Ok(())
	};
	book.update(id, change).await.map(|_| ())
}

/// Leaves a job alone for good.
async fn close(book: &Book, id: JobId, why: &'static str) -> Result<(), BookError> {
	tracing::warn!(job = %id, why, "giving up on a post");
	let change = move |job: &mut Job| {
		job.settlement = Settlement::Void;
		job.error = Some(why.into());
		job.fail(why);
		Ok(())
	};
	book.update(id, change).await.map(|_| ())
}

/// Every task after `floor`, newest first, up to a limit.
async fn scan(chain: &dyn Chain, floor: Option<TaskId>) -> Result<Scan, ChainError> {
	let mut scan = Scan::default();
	let Some(newest) = chain.newest_task().await? else { return Ok(scan) };
	let first = floor.map_or(0, |floor| floor.saturating_add(1));
	for (seen, task) in (first..=newest).rev().enumerate() {
		if seen as u64 >= MAX_SCAN {
			scan.unknown.push(task);
			break;
		}
		match chain.task(task, At::Best).await? {
			Some(view) => scan.tasks.push(view),
			None => scan.unknown.push(task),
		}
	}
	Ok(scan)
}

/// One look at the book covers all changes so far.
fn drain(changes: &mut broadcast::Receiver<JobId>) {
	use broadcast::error::TryRecvError::{Closed, Empty};
	while !matches!(changes.try_recv(), Err(Empty | Closed)) {}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::job::tests::{job, view};
	use cuckoo_primitives::views::TaskPhase::{Queued, Working};

	const SINCE: BlockNumber = 100;
	const OVER: BlockNumber = SINCE + POST_LIFE;

	/// A job whose post was under way when task 5 was the newest.
	fn unsure() -> Job {
		Job { posting: Some(Posting { floor: Some(5) }), ..job() }
	}

	fn decided(job: &Job, scan: Scan, taken: &[TaskId], finalized: BlockNumber) -> Decision {
		let taken = taken.iter().copied().collect();
		decide(job, &AccountId32::new([9; 32]), &scan, &taken, SINCE, finalized)
	}

	#[test]
	fn a_post_that_went_in_is_found() {
		let job = unsure();
		let scan = || Scan { tasks: vec![view(&job, 8, Working, 0)], unknown: vec![] };
		assert_eq!(decided(&job, scan(), &[], SINCE), Decision::Adopt(8));
		assert_eq!(decided(&job, scan(), &[], OVER), Decision::Adopt(8));
		// Not if it is another job's with the same input.
		assert_eq!(decided(&job, scan(), &[8], OVER), Decision::PostAgain);
	}

	#[test]
	fn tasks_of_others_or_from_before_are_not_taken_for_it() {
		let job = unsure();
		let mut of_another = view(&job, 6, Queued, 0);
		of_another.coordinator = AccountId32::new([1; 32]);
		let mut another_input = view(&job, 7, Queued, 0);
		another_input.input_root = H256::zero();
		let mut another_model = view(&job, 8, Queued, 0);
		another_model.model += 1;
		let from_before = view(&job, 5, Queued, 0);
		let tasks = vec![of_another, another_input, another_model, from_before];
		let scan = Scan { tasks, unknown: vec![4] };
		assert_eq!(decided(&job, scan, &[], OVER), Decision::PostAgain);
	}

	#[test]
	fn nothing_is_posted_again_while_a_post_could_still_go_in() {
		let job = unsure();
		assert_eq!(decided(&job, Scan::default(), &[], OVER - 1), Decision::Wait);
		assert_eq!(decided(&job, Scan::default(), &[], OVER), Decision::PostAgain);
	}

	#[test]
	fn nothing_is_posted_again_when_a_task_in_question_is_forgotten() {
		let job = unsure();
		let scan = || Scan { tasks: vec![], unknown: vec![6] };
		assert_eq!(decided(&job, scan(), &[], OVER - 1), Decision::Wait);
		assert_eq!(decided(&job, scan(), &[], OVER), Decision::GiveUp);
		let first_task_ever = Job { posting: Some(Posting { floor: None }), ..job };
		let scan = Scan { tasks: vec![], unknown: vec![0] };
		assert_eq!(decided(&first_task_ever, scan, &[], OVER), Decision::GiveUp);
	}
}
