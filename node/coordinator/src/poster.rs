//! Brings accepted jobs onto the chain, each exactly once: puts those of one model together into batches, and posts each batch as a task.
//!
//! A lone job is posted at once. While a post of its model is under way, further jobs wait for the next: until that post is in a block, or `window` has passed, or as many inferences
//! wait as a batch may hold. So the busier it is, the more share a task, and nobody waits for company that does not come.
//!
//! A post can get into a block without the poster hearing of it: the process may die, the node may go away. So before a post leaves, the book
//! notes that one is under way and which task was the newest then. A batch with such a note and no task is *unsure*: the poster looks
//! through the tasks that came after the note for one of its own with the batch's input root, and posts again only once a post from before
//! could not be in a block any more and every task in question was seen not to be it. No fee is paid twice.

use std::{
	collections::{BTreeMap, HashMap, HashSet},
	panic::AssertUnwindSafe,
	sync::Arc,
	time::{Duration, Instant},
};

use cuckoo_primitives::{views::TaskView, Balance, BlockNumber, ModelId, TaskId};
use futures::{stream, FutureExt, StreamExt, TryStreamExt};
use sp_core::{crypto::AccountId32, H256};
use tokio::{
	sync::{broadcast, watch},
	task::JoinSet,
};

use crate::{
	batch::{Batch, BatchId, List, Posting},
	book::{Book, BookError},
	chain::{At, Chain, ChainError, Fault, Post, PostError, Posted, POST_LIFE},
	id::JobId,
	job::{Job, JobState, Settlement},
	metrics,
};

/// How long nothing is posted after the node did not take a post.
const PAUSE: Duration = Duration::from_secs(3);
/// After a change of the book: what else changes in this time is looked at together.
const SETTLE: Duration = Duration::from_millis(20);
/// The chain's slot time.
const BLOCK: Duration = Duration::from_secs(3);
/// How many tasks are looked through for lost posts at a time, and how many of them are asked for at once.
const SCAN: u64 = 500;
const QUESTIONS: usize = 16;
/// How long nothing is posted after the chain refused a task that it may take later.
const LONG_PAUSE: Duration = Duration::from_secs(15);
/// How often, and for how long at least, a task is posted that the chain may take later.
const ATTEMPTS: u32 = 5;
const INSIST: Duration = Duration::from_secs(300);

/// Some tasks after a number, oldest first, as far as the chain still shows them.
#[derive(Debug, Default)]
struct Scan {
	tasks: Vec<TaskView>,
	/// Those of which nothing is known any more.
	unknown: Vec<TaskId>,
	/// Whether there are no later ones.
	whole: bool,
}

/// How far a lost post was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Search {
	/// A block from before which every post under way was signed.
	since: BlockNumber,
	/// No task up to this one is it, in any block that is not final.
	floor: Option<TaskId>,
	/// Whether nothing is known any more of a task that may have been it.
	unknown: bool,
}

impl Search {
	/// Whether it may be a task with this number.
	fn covers(&self, task: TaskId) -> bool {
		self.floor.is_none_or(|floor| task > floor)
	}

	/// Notes which tasks it is not. One in a block that is not final may get another number yet.
	fn goes_on(&mut self, scan: &Scan, finalized: BlockNumber) {
		let fixed = scan.tasks.iter().filter(|view| view.blocks.posted <= finalized);
		let Some(last) = fixed.map(|view| view.task).max() else { return };
		if self.covers(last) {
			let passed = |task: &TaskId| self.covers(*task) && *task < last;
			self.unknown |= scan.unknown.iter().any(passed);
			self.floor = Some(last);
		}
	}
}

/// What to do about an unsure batch.
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

/// Whether this may be the task of that batch.
fn fits(batch: &Batch, owner: &AccountId32, view: &TaskView) -> bool {
	view.coordinator == *owner
		&& view.model == batch.model
		&& (view.items, view.fee) == (batch.items(), batch.fee)
		&& view.input_root == batch.input_root()
}

/// Decides about an unsure batch. `finalized` is the last block that the scan certainly covers, `taken` the tasks that belong to other batches.
fn decide(
	batch: &Batch,
	owner: &AccountId32,
	search: &Search,
	scan: &Scan,
	taken: &HashSet<TaskId>,
	finalized: BlockNumber,
) -> Decision {
	let ours = |view: &&TaskView| {
		search.covers(view.task) && !taken.contains(&view.task) && fits(batch, owner, view)
	};
	if let Some(found) = scan.tasks.iter().filter(ours).map(|view| view.task).min() {
		return Decision::Adopt(found);
	}
	if !scan.whole || finalized < search.since.saturating_add(POST_LIFE) {
		return Decision::Wait;
	}
	if search.unknown || scan.unknown.iter().any(|task| search.covers(*task)) {
		return Decision::GiveUp;
	}
	Decision::PostAgain
}

/// How jobs share tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
	/// How long a job waits for others at most while a post of its model is under way.
	pub window: Duration,
	/// How many inferences share a task at most; a job that has more has one of its own.
	pub items: u32,
}

/// Longer than any process runs.
const NEVER: Duration = Duration::from_secs(1 << 32);

/// What jobs of one batch have in common: the model, what an inference costs, and how long they may wait.
type Sort = (ModelId, Balance, BlockNumber);

fn sort(job: &Job) -> Sort {
	(job.model, job.fee / Balance::from(job.items().max(1)), job.max_wait)
}

/// Which of these jobs, oldest first, go into a batch now. `under_way`: whether a post of their sort is; `waited`: how long the oldest has waited.
fn company(jobs: &[Job], sharing: Sharing, under_way: bool, waited: Duration) -> Vec<Vec<JobId>> {
	let mut batches: Vec<(u32, Vec<JobId>)> = Vec::new();
	for job in jobs {
		// One that is to be alone fills its batch.
		let items = if job.alone { u32::MAX } else { job.items() };
		match batches.last_mut() {
			Some((sum, ids)) if sum.saturating_add(items) <= sharing.items => {
				*sum += items;
				ids.push(job.id);
			},
			_ => batches.push((items, vec![job.id])),
		}
	}
	// The last one may get more company.
	let waits = under_way && waited < sharing.window;
	if batches.last().is_some_and(|(items, _)| *items < sharing.items) && waits {
		batches.pop();
	}
	batches.into_iter().map(|(_, ids)| ids).collect()
}

/// Why a batch is not on chain, by the word of chain or node.
struct Refusal {
	why: String,
	fault: Fault,
	/// When it was refused first.
	since: Instant,
	/// How often it was.
	attempts: u32,
}

impl Refusal {
	/// Whether there is no point in trying again.
	fn is_final(&self, batch: &Batch) -> bool {
		let patience = BLOCK.saturating_mul(batch.max_wait).max(INSIST);
		self.fault != Fault::Passing
			|| (self.attempts >= ATTEMPTS && self.since.elapsed() > patience)
	}
}

/// Posts jobs until told to stop.
pub struct Poster {
	book: Book,
	chain: Arc<dyn Chain>,
	slots: usize,
	sharing: Sharing,
	/// Since when the oldest job of each sort waits for company.
	waiting: BTreeMap<Sort, (JobId, Instant)>,
	/// Batches of which it is not known whether their post went in.
	unsure: HashMap<BatchId, Search>,
	/// The batches that the chain or the node has refused.
	refused: HashMap<BatchId, Refusal>,
	/// How often lost posts are looked for.
	search: Duration,
	/// When that was last.
	searched: Option<Instant>,
	/// Until when nothing is posted.
	rest: Option<Instant>,
	/// The posts that this process has under way: their roots and sorts.
	under_way: HashMap<BatchId, (H256, Sort)>,
	posts: JoinSet<(BatchId, Result<Posted, PostError>)>,
}

impl Poster {
	/// With at most `slots` posts under way at a time.
	pub fn new(book: Book, chain: Arc<dyn Chain>, slots: usize, sharing: Sharing) -> Self {
		Self {
			book,
			chain,
			slots: slots.max(1),
			sharing,
			waiting: BTreeMap::new(),
			unsure: HashMap::new(),
			refused: HashMap::new(),
			search: Duration::ZERO,
			searched: None,
			rest: None,
			under_way: HashMap::new(),
			posts: JoinSet::new(),
		}
	}

	/// Runs until `stop` turns true, then waits for the posts under way. Looks at the book when it changes and every `tick`.
	pub async fn run(mut self, tick: Duration, mut stop: watch::Receiver<bool>) {
		self.search = tick;
		let mut changes = self.book.changes();
		let mut ticks = tokio::time::interval(tick);
		ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
		while !*stop.borrow() {
			while let Some(done) = self.posts.try_join_next() {
				self.finished(done).await;
			}
			let closing = match self.round().await {
				Ok(()) => self.closing(),
				Err(error) => {
					tracing::warn!(%error, "posting waits");
					metrics::posting_waits();
					NEVER
				},
			};
			tokio::select! {
				_ = stop.changed() => break,
				_ = ticks.tick() => {},
				() = tokio::time::sleep(closing) => {},
				Some(done) = self.posts.join_next() => self.finished(done).await,
				_ = changes.recv() => {
					tokio::time::sleep(SETTLE).await;
					drain(&mut changes);
				},
			}
		}
		// What is cut off here is unsure, and is looked for after the next start.
		while let Some(done) = self.posts.join_next().await {
			self.finished(done).await;
		}
	}

	/// When the next window closes, if something can be posted then.
	fn closing(&self) -> Duration {
		if self.posts.len() >= self.slots() {
			return NEVER;
		}
		let left =
			|(_, since): &(JobId, Instant)| self.sharing.window.saturating_sub(since.elapsed());
		let closing = self.waiting.values().map(left).min().unwrap_or(NEVER);
		let rest = self
			.rest
			.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
		closing.max(rest)
	}

	/// How many posts may be under way: one to try it with, after the chain or the node has refused one that may be taken later.
	fn slots(&self) -> usize {
		let tries = self.refused.values().any(|refusal| refusal.fault == Fault::Passing);
		if tries {
			1
		} else {
			self.slots
		}
	}

	/// Deals with every job and batch that is not on chain, as far as that goes now.
	async fn round(&mut self) -> anyhow::Result<()> {
		let (mut lost, mut ready) = (Vec::new(), Vec::new());
		for batch in self.book.listed(List::Post).await? {
			if self.under_way.contains_key(&batch.id) {
				continue;
			}
			if batch.posting.is_none() {
				ready.push(batch);
				continue;
			}
			if !self.unsure.contains_key(&batch.id) {
				// A node that is behind must not make an old post look older than it is.
				let now = self.chain.block(At::Best).await?;
				let since = now.max(batch.blocks.posted.unwrap_or(0));
				let floor = batch.posting.and_then(|posting| posting.floor);
				self.unsure.insert(batch.id, Search { since, floor, unknown: false });
			}
			lost.push(batch);
		}
		let is_lost = |id: &BatchId| lost.iter().any(|batch| batch.id == *id);
		self.unsure.retain(|id, _| is_lost(id));
		let (ready_ids, under_way) = (ready.iter().map(|batch| batch.id), &self.under_way);
		let ready_ids: HashSet<BatchId> = ready_ids.collect();
		self.refused
			.retain(|id, _| is_lost(id) || ready_ids.contains(id) || under_way.contains_key(id));
		if !lost.is_empty() && self.searched.is_none_or(|at| at.elapsed() >= self.search) {
			self.searched = Some(Instant::now());
			if let Err(error) = self.recover(lost).await {
				tracing::warn!(%error, "lost posts are looked for again");
			}
		}

		let waiting = self.book.waiting().await?;
		if waiting.is_empty() && ready.is_empty() {
			self.waiting.clear();
			return Ok(());
		}
		let rests = self.rest.is_some_and(|until| until > Instant::now());
		if rests || self.posts.len() >= self.slots() {
			return Ok(());
		}
		// Nothing is put together that cannot be posted: while the node is away, jobs wait for it, and each may still be taken back.
		let floor = self.chain.newest_task().await?;
		for batch in ready {
			if self.posts.len() < self.slots() {
				self.post(batch, floor).await?;
			}
		}
		self.gather(waiting, floor).await
	}

	/// Puts jobs that wait into batches and posts these, as many as may be under way.
	async fn gather(&mut self, waiting: Vec<Job>, floor: Option<TaskId>) -> anyhow::Result<()> {
		let mut sorts: BTreeMap<Sort, Vec<Job>> = BTreeMap::new();
		for job in waiting {
			sorts.entry(sort(&job)).or_default().push(job);
		}
		self.waiting.retain(|sort, _| sorts.contains_key(sort));
		let mut sorts: Vec<_> = sorts.into_iter().collect();
		// Who has waited longest comes first, whatever the model.
		sorts.sort_by_key(|(_, jobs)| jobs.first().map(|job| job.id));
		for (sort, jobs) in sorts {
			let Some(oldest) = jobs.first().map(|job| job.id) else { continue };
			let (id, since) = *self.waiting.entry(sort).or_insert((oldest, Instant::now()));
			let since = if id == oldest { since } else { Instant::now() };
			self.waiting.insert(sort, (oldest, since));
			let under_way = self.under_way.values().any(|(_, of)| *of == sort);
			for ids in company(&jobs, self.sharing, under_way, since.elapsed()) {
				if self.posts.len() >= self.slots() {
					return Ok(());
				}
				self.waiting.remove(&sort);
				if let Some(batch) = self.book.put_together(ids).await? {
					metrics::batched(&batch);
					self.post(batch, floor).await?;
				}
			}
		}
		Ok(())
	}

	/// Notes that a post is under way, and sends it. Every task up to `floor` is older.
	async fn post(&mut self, batch: Batch, floor: Option<TaskId>) -> anyhow::Result<()> {
		let batch = self
			.book
			.update(batch.id, move |batch| -> Result<(), BookError> {
				if batch.list() == Some(List::Post) {
					batch.posting = Some(Posting { floor });
				}
				Ok(())
			})
			.await?;
		if batch.list() != Some(List::Post) {
			// It was taken back meanwhile.
			return Ok(());
		}
		let post = Post {
			model: batch.model,
			input_root: batch.input_root(),
			items: batch.items(),
			fee: batch.fee,
			max_wait: batch.max_wait,
		};
		let sort = (post.model, post.fee / Balance::from(post.items.max(1)), post.max_wait);
		self.under_way.insert(batch.id, (post.input_root, sort));
		let chain = self.chain.clone();
		self.posts.spawn(async move {
			// Whatever happens, its end is that of this batch alone.
			let end = AssertUnwindSafe(chain.post(post)).catch_unwind().await;
			let panicked = |_| Err(PostError::Unsure("posting it ended in a panic".into()));
			(batch.id, end.unwrap_or_else(panicked))
		});
		Ok(())
	}

	/// Remembers why a batch is not on chain.
	fn refuse(&mut self, id: BatchId, why: String, fault: Fault) {
		let before = self.refused.get(&id);
		let since = before.map_or_else(Instant::now, |before| before.since);
		let attempts = before.map_or(0, |before| before.attempts) + 1;
		self.refused.insert(id, Refusal { why, fault, since, attempts });
	}

	/// The node did not take the post of a batch.
	async fn not_taken(&mut self, id: BatchId) -> Result<(), BookError> {
		let batch = self.book.batch(id).await?.ok_or(BookError::UnknownBatch(id))?;
		self.after_refusal(&batch).await
	}

	/// A batch that was refused and is certainly not on chain: ends it, takes it apart, or has it posted again.
	async fn after_refusal(&mut self, batch: &Batch) -> Result<(), BookError> {
		let Some(refusal) = self.refused.get(&batch.id).filter(|refusal| refusal.is_final(batch))
		else {
			return forget_posting(&self.book, batch.id).await;
		};
		// Unless something of it is here already: then it is for those jobs to keep.
		let small = batch.parts.len() > 1 && batch.outputs.is_empty();
		if refusal.fault == Fault::Task && small {
			tracing::info!(batch = %batch.id, "its jobs are posted one by one");
			return self.book.take_apart(batch.id).await;
		}
		let why = format!("the chain refused the task: {}", refusal.why);
		let change = move |batch: &mut Batch| {
			batch.fail(why);
			Ok(())
		};
		self.book.update::<BookError>(batch.id, change).await.map(drop)
	}

	/// Records what came of a post.
	async fn finished(
		&mut self,
		done: Result<(BatchId, Result<Posted, PostError>), tokio::task::JoinError>,
	) {
		// Nobody aborts them.
		let Ok((id, outcome)) = done else { return };
		self.under_way.remove(&id);
		metrics::posted(&outcome);
		let written = match outcome {
			Ok(Posted { task, block }) => {
				tracing::info!(batch = %id, task, block, "posted");
				// What kept others from the chain is over.
				self.refused.retain(|_, refusal| refusal.fault != Fault::Passing);
				adopt(&self.book, id, task, Some(block)).await
			},
			Err(PostError::Failed { why, fault }) => {
				tracing::warn!(batch = %id, %why, "the chain refused a post; it stays so unless the block is replaced");
				if fault == Fault::Passing {
					self.rest = Some(Instant::now() + LONG_PAUSE);
				}
				self.refuse(id, why, fault);
				Ok(())
			},
			Err(PostError::NotTaken(why)) => {
				tracing::warn!(batch = %id, %why, "the node did not take a post");
				self.rest = Some(Instant::now() + PAUSE);
				self.refuse(id, why, Fault::Passing);
				self.not_taken(id).await
			},
			Err(PostError::NotSent(why)) => {
				tracing::warn!(batch = %id, %why, "a post was not sent");
				self.rest = Some(Instant::now() + PAUSE);
				// A node that is away says nothing about the task.
				self.refused.remove(&id);
				forget_posting(&self.book, id).await
			},
			Err(PostError::Unsure(why)) => {
				tracing::warn!(batch = %id, %why, "a post may or may not have gone in; looking for it");
				Ok(())
			},
		};
		if let Err(error) = written {
			tracing::error!(batch = %id, %error, "the outcome of a post could not be noted; it will be looked for");
		}
	}

	/// Looks for the posts of unsure batches.
	async fn recover(&mut self, mut batches: Vec<Batch>) -> anyhow::Result<()> {
		// Before the scan, so that the scan covers this block.
		let finalized = self.chain.block(At::Finalized).await?;
		// One that failed in a block is worth looking for only once no other block can hold it.
		batches.retain(|batch| {
			let search = self.unsure.get(&batch.id);
			let over = search.is_some_and(|of| finalized >= of.since.saturating_add(POST_LIFE));
			over || !self.refused.contains_key(&batch.id)
		});
		let searches = batches.iter().filter_map(|batch| self.unsure.get(&batch.id));
		let Some(floor) = searches.map(|search| search.floor).min() else { return Ok(()) };
		let scan = scan(self.chain.as_ref(), floor).await?;
		let owner = self.chain.owner();
		let mut taken = HashSet::new();
		for view in &scan.tasks {
			let may_be = batches.iter().any(|batch| fits(batch, &owner, view));
			if may_be && self.book.by_task(view.task).await?.is_some() {
				taken.insert(view.task);
			}
		}
		for batch in batches {
			// A post of the same input that is under way could be taken for this one.
			if self.under_way.values().any(|(root, _)| *root == batch.input_root()) {
				continue;
			}
			let Some(search) = self.unsure.get_mut(&batch.id) else { continue };
			let decision = decide(&batch, &owner, search, &scan, &taken, finalized);
			search.goes_on(&scan, finalized);
			if let Decision::Adopt(task) = decision {
				taken.insert(task);
			}
			match self.settle(&batch, decision).await {
				Ok(true) => drop(self.unsure.remove(&batch.id)),
				Ok(false) => {},
				// The others are not to wait for it.
				Err(error) => {
					tracing::error!(batch = %batch.id, %error, "a lost post cannot be dealt with")
				},
			}
		}
		Ok(())
	}

	/// Does what was decided about an unsure batch; whether it is one no more.
	async fn settle(&mut self, batch: &Batch, decision: Decision) -> Result<bool, BookError> {
		let id = batch.id;
		match decision {
			Decision::Adopt(task) => {
				tracing::info!(batch = %id, task, "found the task of a post whose outcome was unknown");
				adopt(&self.book, id, task, None).await?;
			},
			Decision::Wait => return Ok(false),
			Decision::PostAgain if batch.state == JobState::Completed => {
				let why = "the task vanished with its block after the output had come";
				close(&self.book, id, why).await?;
			},
			Decision::PostAgain => {
				tracing::info!(batch = %id, "the post did not go in");
				self.after_refusal(batch).await?;
			},
			Decision::GiveUp => {
				let why = "it cannot be known any more whether the task was posted: the chain has forgotten \
					tasks of that time; send the request again";
				close(&self.book, id, why).await?;
			},
		}
		Ok(true)
	}
}

/// Notes that a batch's post is in a block.
async fn adopt(
	book: &Book,
	id: BatchId,
	task: TaskId,
	block: Option<BlockNumber>,
) -> Result<(), BookError> {
	let change = move |batch: &mut Batch| {
		batch.posted(task, block);
		Ok(())
	};
	let batch = book.update::<BookError>(id, change).await?;
	metrics::in_block(&batch);
	Ok(())
}

/// Notes that no post of a batch can be in a block: the next round posts it as if for the first time.
async fn forget_posting(book: &Book, id: BatchId) -> Result<(), BookError> {
	let change = |batch: &mut Batch| {
		batch.posting = None;
		Ok(())
	};
	book.update(id, change).await.map(|_| ())
}

/// Leaves a batch alone for good.
async fn close(book: &Book, id: BatchId, why: &'static str) -> Result<(), BookError> {
	tracing::warn!(batch = %id, why, "giving up on a post");
	let change = move |batch: &mut Batch| {
		batch.settlement = Settlement::Void;
		batch.error = Some(why.into());
		batch.fail(why);
		Ok(())
	};
	book.update(id, change).await.map(|_| ())
}

/// The first tasks after `floor`: a lost post is in a block soon after it was sent.
async fn scan(chain: &dyn Chain, floor: Option<TaskId>) -> Result<Scan, ChainError> {
	let Some(newest) = chain.newest_task().await? else {
		return Ok(Scan { whole: true, ..Scan::default() });
	};
	let first = floor.map_or(0, |floor| floor.saturating_add(1));
	let last = newest.min(first.saturating_add(SCAN - 1));
	let mut scan = Scan { whole: last == newest, ..Scan::default() };
	let asked =
		|task| async move { Ok::<_, ChainError>((task, chain.task(task, At::Best).await?)) };
	let mut answers = stream::iter((first..=last).map(asked)).buffered(QUESTIONS);
	while let Some((task, view)) = answers.try_next().await? {
		match view {
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
	use crate::{
		batch::tests::{batch, view},
		job::tests::job,
	};
	use cuckoo_primitives::views::TaskPhase::{Queued, Working};

	const SINCE: BlockNumber = 100;
	const OVER: BlockNumber = SINCE + POST_LIFE;

	/// A batch whose post was under way when task 5 was the newest.
	fn unsure() -> Batch {
		Batch { posting: Some(Posting { floor: Some(5) }), ..batch() }
	}

	fn decided(batch: &Batch, scan: Scan, taken: &[TaskId], finalized: BlockNumber) -> Decision {
		let taken = taken.iter().copied().collect();
		let search = search(batch.posting.unwrap().floor);
		let scan = Scan { whole: true, ..scan };
		decide(batch, &AccountId32::new([9; 32]), &search, &scan, &taken, finalized)
	}

	fn search(floor: Option<TaskId>) -> Search {
		Search { since: SINCE, floor, unknown: false }
	}

	#[test]
	fn a_post_that_went_in_is_found() {
		let batch = unsure();
		let scan = || Scan { tasks: vec![view(&batch, 8, Working, 0)], ..Scan::default() };
		assert_eq!(decided(&batch, scan(), &[], SINCE), Decision::Adopt(8));
		assert_eq!(decided(&batch, scan(), &[], OVER), Decision::Adopt(8));
		// Not if it is another batch's with the same input.
		assert_eq!(decided(&batch, scan(), &[8], OVER), Decision::PostAgain);
	}

	#[test]
	fn tasks_of_others_or_from_before_are_not_taken_for_it() {
		let batch = unsure();
		let mut of_another = view(&batch, 6, Queued, 0);
		of_another.coordinator = AccountId32::new([1; 32]);
		let mut another_input = view(&batch, 7, Queued, 0);
		another_input.input_root = H256::zero();
		let mut another_model = view(&batch, 8, Queued, 0);
		another_model.model += 1;
		let from_before = view(&batch, 5, Queued, 0);
		let tasks = vec![of_another, another_input, another_model, from_before];
		let scan = Scan { tasks, unknown: vec![4], whole: true };
		assert_eq!(decided(&batch, scan, &[], OVER), Decision::PostAgain);
	}

	#[test]
	fn nothing_is_posted_again_while_a_post_could_still_go_in() {
		let batch = unsure();
		assert_eq!(decided(&batch, Scan::default(), &[], OVER - 1), Decision::Wait);
		assert_eq!(decided(&batch, Scan::default(), &[], OVER), Decision::PostAgain);
	}

	#[test]
	fn nothing_is_posted_again_when_a_task_in_question_is_forgotten() {
		let batch = unsure();
		let scan = || Scan { unknown: vec![6], ..Scan::default() };
		assert_eq!(decided(&batch, scan(), &[], OVER - 1), Decision::Wait);
		assert_eq!(decided(&batch, scan(), &[], OVER), Decision::GiveUp);
		let first_task_ever = Batch { posting: Some(Posting { floor: None }), ..batch };
		let scan = Scan { unknown: vec![0], ..Scan::default() };
		assert_eq!(decided(&first_task_ever, scan, &[], OVER), Decision::GiveUp);
	}

	const SHARING: Sharing = Sharing { window: Duration::from_secs(1), items: 4 };

	/// How many jobs go into each batch, for jobs of so many items.
	fn grouped(items: &[usize], under_way: bool, waited: u64) -> Vec<usize> {
		let of = |items: &usize| Job { inputs: vec![H256::zero(); *items], ..job() };
		let jobs: Vec<Job> = items.iter().map(of).collect();
		let waited = Duration::from_millis(waited);
		company(&jobs, SHARING, under_way, waited).iter().map(Vec::len).collect()
	}

	#[test]
	fn a_lone_job_is_not_held_up() {
		assert_eq!(grouped(&[1], false, 0), [1]);
		assert_eq!(grouped(&[], false, 0), [0; 0]);
	}

	#[test]
	fn jobs_share_a_batch_while_another_is_under_way() {
		assert_eq!(grouped(&[1, 1], true, 500), [0; 0]);
		assert_eq!(grouped(&[1, 1], true, 1_000), [2]);
		assert_eq!(grouped(&[1, 1], false, 500), [2], "the other is in a block");
		assert_eq!(grouped(&[1, 1, 1, 1], true, 0), [4], "a full batch waits for nobody");
		assert_eq!(grouped(&[1, 1, 1, 1, 1], true, 0), [4]);
		assert_eq!(grouped(&[1, 1, 1, 1, 1], false, 0), [4, 1]);
	}

	#[test]
	fn a_job_that_is_to_be_alone_has_no_company() {
		let alone = Job { alone: true, ..job() };
		let jobs = [job(), alone, job(), job()];
		let batches = company(&jobs, SHARING, true, Duration::ZERO);
		assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
		assert_eq!(batches[1], [jobs[1].id]);
	}

	#[test]
	fn a_refusal_is_final_when_the_task_is_wrong_or_it_was_tried_long_and_often() {
		let of = |fault, attempts, ago| Refusal {
			why: String::new(),
			fault,
			since: Instant::now().checked_sub(Duration::from_secs(ago)).unwrap(),
			attempts,
		};
		let batch = Batch { max_wait: 2, ..batch() };
		assert!(of(Fault::Task, 1, 0).is_final(&batch));
		assert!(of(Fault::Model, 1, 0).is_final(&batch));
		assert!(!of(Fault::Passing, ATTEMPTS, 299).is_final(&batch));
		assert!(!of(Fault::Passing, 2, 3_600).is_final(&batch), "the node was away");
		assert!(of(Fault::Passing, ATTEMPTS, 301).is_final(&batch));
	}

	#[test]
	fn a_long_search_goes_on_where_it_was() {
		let batch = unsure();
		let owner = AccountId32::new([9; 32]);
		let mut search = search(Some(5));
		let of_another = |task, posted| {
			let mut view = view(&batch, task, Queued, 0);
			(view.input_root, view.blocks.posted) = (H256::zero(), posted);
			view
		};
		let tasks = vec![of_another(6, 90), of_another(8, 95), of_another(9, 101)];
		let part = Scan { tasks, unknown: vec![7], whole: false };
		let decided = decide(&batch, &owner, &search, &part, &HashSet::new(), OVER);
		assert_eq!(decided, Decision::Wait, "there are more");
		search.goes_on(&part, 100);
		// Task 9 may get another number yet; of task 7 nothing will be known later, either.
		assert_eq!(search, Search { since: SINCE, floor: Some(8), unknown: true });
		let rest = Scan { tasks: vec![view(&batch, 10, Working, 0)], unknown: vec![], whole: true };
		let found = decide(&batch, &owner, &search, &rest, &HashSet::new(), OVER);
		assert_eq!(found, Decision::Adopt(10));
		let nothing = Scan { whole: true, ..Scan::default() };
		let given_up = decide(&batch, &owner, &search, &nothing, &HashSet::new(), OVER);
		assert_eq!(given_up, Decision::GiveUp);
	}

	#[test]
	fn a_job_stays_whole() {
		assert_eq!(grouped(&[3, 2, 9, 1, 1], false, 0), [1, 1, 1, 2]);
	}
}
