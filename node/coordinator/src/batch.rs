//! Jobs of one model that go on chain together, as one task: what was posted, and what has become of it. Data and rules, no storage and no network.
//!
//! The state is sampled from the chain, not told step by step, so any open state may follow any other; what holds is that an ended batch stays ended and that money moves one way.

use std::{collections::BTreeMap, fmt};

use cuckoo_primitives::{
	merkle::{self, SKETCH_BYTES},
	tolerance::Leaf,
	views::{TaskPhase, TaskView},
	Balance, BlockNumber, ModelId, ModelKind, TaskId,
};
use serde::{Deserialize, Serialize};
use sp_core::{crypto::AccountId32, H256};

use crate::{
	id::JobId,
	job::{planck, Job, JobBlocks, JobState, Output, Settlement},
};

/// A batch's number in this coordinator's book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BatchId(pub u64);

impl fmt::Display for BatchId {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		write!(f, "batch {}", self.0)
	}
}

/// A change of a batch that must not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{batch} cannot go from {from} to {to}")]
pub struct IllegalChange {
	batch: BatchId,
	from: String,
	to: String,
}

/// Why an upload was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryRefused {
	/// This miner has delivered something else for this seat.
	AnotherOutput,
	/// The batch has ended without outputs.
	Ended,
}

/// What was known just before a post was sent: enough to find out later whether it went in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
	/// Every task up to this one is older than the post.
	pub floor: Option<TaskId>,
}

/// A job in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
	/// The job.
	pub job: JobId,
	/// How many of the batch's items are its.
	pub items: u32,
	/// What of the fee is for them, in planck.
	#[serde(with = "planck")]
	pub fee: Balance,
}

/// Where the fee is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Money {
	/// Promised or held on chain.
	Held,
	/// Paid, burnt, or nobody knows.
	Gone,
	/// Back, or it never left.
	Back,
}

/// Which list of the book a batch is on: who has to do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
	/// The poster.
	Post,
	/// The watcher, with each block.
	Watch,
	/// The watcher, now and then: who was paid can be challenged as long as the chain remembers.
	Recheck,
}

/// So many blocks after the commitment the outputs must be here. The chain hears of it only until the lot, four blocks after the commitment.
const UNDELIVERED_AFTER: BlockNumber = 2;

/// How long a miner that was paid may take to deliver: some of its attempts, which are 15 s apart.
const DELIVERY_BLOCKS: BlockNumber = 20;

/// A batch as the book keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
	/// Its number.
	pub id: BatchId,
	/// When it was put together, in seconds of Unix time.
	pub created: u64,
	/// How its model is run.
	pub kind: ModelKind,
	/// Its model.
	pub model: ModelId,
	/// Its jobs, in the order of their items.
	pub parts: Vec<Part>,
	/// BLAKE2b-256 of each item's input.
	pub inputs: Vec<H256>,
	/// The fee offered for all items, in planck.
	#[serde(with = "planck")]
	pub fee: Balance,
	/// How many blocks the task may wait for a miner.
	pub max_wait: BlockNumber,
	/// What those of its jobs wait for whose outputs are not here.
	pub state: JobState,
	/// What the chain has decided.
	pub settlement: Settlement,
	/// Set before the first post leaves, and kept.
	pub posting: Option<Posting>,
	/// The task on chain.
	pub task: Option<TaskId>,
	/// Which draw of the task is the present one.
	pub round: u32,
	/// The owner of the pool of the miner drawn last.
	pub miner: Option<AccountId32>,
	/// When it took which step.
	pub blocks: JobBlocks,
	/// The block up to which a miner that was paid may still deliver: counted from when that was seen, since this coordinator may have been away.
	pub owed_until: Option<BlockNumber>,
	/// What was delivered, by item.
	pub outputs: BTreeMap<u32, Output>,
	/// Whether what was delivered is not what stands under the root that the miner has shown on chain.
	pub mismatch: bool,
	/// Whether it was settled once and then challenged: its fee was counted as paid.
	#[serde(default)]
	pub challenged: bool,
	/// Whether the chain has forgotten the task: nothing changes any more.
	pub closed: bool,
	/// Why there are no outputs, or what went wrong after them.
	pub error: Option<String>,
}

impl Batch {
	/// The root that the task is posted with.
	pub fn input_root(&self) -> H256 {
		merkle::root(self.inputs.iter().map(merkle::input_leaf))
	}

	/// Adds a job, whose items come behind those that are there.
	pub fn add(&mut self, job: &Job) {
		self.parts.push(Part { job: job.id, items: job.items(), fee: job.fee });
		self.inputs.extend_from_slice(&job.inputs);
		// No sum of fees exceeds what is bounded by the escrow.
		self.fee = self.fee.saturating_add(job.fee);
	}

	/// How many inferences it is; never more than a task can hold.
	pub fn items(&self) -> u32 {
		u32::try_from(self.inputs.len()).unwrap_or(u32::MAX)
	}

	/// Which list it is on.
	pub fn list(&self) -> Option<List> {
		let open = !self.state.is_final();
		match self.settlement {
			Settlement::None if open || self.state == JobState::Completed => Some(List::Post),
			Settlement::Pending | Settlement::Disputed => Some(List::Watch),
			// Paid, and the output may still come.
			Settlement::Settled if open => Some(List::Watch),
			Settlement::Settled if !self.closed => Some(List::Recheck),
			Settlement::None
			| Settlement::Settled
			| Settlement::Void
			| Settlement::Refunded
			| Settlement::Burnt
			| Settlement::Overturned => None,
		}
	}

	/// Whether nothing more happens to it but, perhaps, a challenge.
	pub fn is_over(&self) -> bool {
		matches!(self.list(), None | Some(List::Recheck))
	}

	/// Where the fee is.
	pub fn money(&self) -> Money {
		match self.settlement {
			Settlement::None if self.list().is_none() => Money::Back,
			Settlement::None | Settlement::Pending | Settlement::Disputed => Money::Held,
			Settlement::Refunded => Money::Back,
			Settlement::Settled | Settlement::Void | Settlement::Burnt | Settlement::Overturned => {
				Money::Gone
			},
		}
	}

	/// Whether an output is of the round that the chain shows, and of the miner that has its seat.
	fn is_of(output: &Output, view: &TaskView) -> bool {
		(output.task, output.round) == (view.task, view.round)
			&& view.miner.as_ref() == Some(&output.miner)
	}

	/// Whether all outputs of the round that the chain shows are here.
	fn has_all_of(&self, view: &TaskView) -> bool {
		self.outputs.len() == self.inputs.len()
			&& self.outputs.values().all(|output| Self::is_of(output, view))
	}

	/// Whether this batch may turn into `next`.
	pub fn check_change(&self, next: &Self) -> Result<(), IllegalChange> {
		if self.state.may_become(next.state) && self.settlement.may_become(next.settlement) {
			return Ok(());
		}
		let describe =
			|of: &Self| format!("{}, settlement {}", of.state.name(), of.settlement.name());
		Err(IllegalChange { batch: self.id, from: describe(self), to: describe(next) })
	}

	/// Its post is in a block.
	pub fn posted(&mut self, task: TaskId, block: Option<BlockNumber>) {
		self.task = Some(task);
		self.settlement = Settlement::Pending;
		self.blocks.posted = block;
	}

	/// The block with its post is no longer part of the chain; whether the post is elsewhere is for the poster to find out.
	pub fn unposted(&mut self) {
		self.task = None;
		self.settlement = Settlement::None;
		// The block of the lost post stays: nothing is posted again before the chain is well past it.
		self.blocks = JobBlocks { posted: self.blocks.posted, ..JobBlocks::default() };
		if !self.state.is_final() {
			self.state = JobState::Queued;
		}
	}

	/// There will be no output.
	pub fn fail(&mut self, why: impl Into<String>) {
		self.end(JobState::Failed, why);
	}

	/// The miner of this round has fetched the input.
	pub fn fetched(&mut self, round: u32) {
		if !self.state.is_final() {
			self.round = round;
			self.state = JobState::Running;
		}
	}

	/// The chain shows the task like this.
	pub fn follow(&mut self, view: &TaskView) {
		self.compare(view);
		let redrawn = view.round != self.round;
		self.round = view.round;
		self.miner = view.miner.clone();
		self.blocks = JobBlocks {
			posted: Some(view.blocks.posted),
			drawn: view.blocks.drawn,
			committed: view.blocks.committed,
			revealed: view.blocks.revealed,
			settled: view.blocks.ended,
		};
		match view.phase {
			TaskPhase::Queued => self.go_on(JobState::Queued),
			TaskPhase::Working
			| TaskPhase::Lottery
			| TaskPhase::Verifying
			| TaskPhase::Revealing
			| TaskPhase::Disputed => {
				if redrawn || self.state == JobState::Queued {
					self.go_on(JobState::Assigned);
				}
				if view.phase == TaskPhase::Disputed {
					self.challenged |= self.settlement == Settlement::Settled;
					self.settlement = Settlement::Disputed;
				}
			},
			TaskPhase::Settled => {
				self.settlement = Settlement::Settled;
			},
			TaskPhase::Expired => {
				self.settlement = Settlement::Refunded;
				let why = "no miner finished the task in time; the fee was refunded";
				self.end(JobState::Expired, why);
			},
			TaskPhase::Cancelled => {
				self.settlement = Settlement::Refunded;
				let why = "the coordinator took the task back; the fee was refunded";
				self.end(JobState::Cancelled, why);
			},
			TaskPhase::Rejected => {
				self.settlement = Settlement::Refunded;
				self.doubt("a court found the miner's result wrong; the fee was refunded");
			},
			TaskPhase::Overturned => {
				self.settlement = Settlement::Overturned;
				self.doubt("the miner was paid, and then a court found its result wrong");
			},
			TaskPhase::Void => {
				self.settlement = Settlement::Refunded;
				self.doubt("no court could tell who is right; the fee was refunded");
			},
			TaskPhase::Unavailable => {
				self.settlement = Settlement::Burnt;
				self.doubt("miners could not fetch the input; the fee was burnt");
			},
			TaskPhase::Undelivered => {
				self.settlement = Settlement::Burnt;
				self.doubt(
					"the miner committed to a result and did not deliver it; the fee was burnt",
				);
			},
		}
	}

	/// Compares what was delivered with the root that the miner has shown.
	fn compare(&mut self, view: &TaskView) {
		let Some(root) = view.output_root else { return };
		if !self.has_all_of(view) {
			// What applications were given of an earlier round nobody has vouched for.
			let stray = self.outputs.values().any(|output| !Self::is_of(output, view));
			self.mismatch |= view.phase.has_ended() && stray;
			return;
		}
		let leaf = |output: &Output| {
			let mut sketch = [0; SKETCH_BYTES];
			hex::decode_to_slice(&output.sketch, &mut sketch).ok()?;
			Some(merkle::output_leaf(&Leaf { hash: output.hash, sketch }))
		};
		let leaves: Option<Vec<_>> = self.outputs.values().map(leaf).collect();
		self.mismatch = leaves.is_none_or(|leaves| merkle::root(leaves) != root);
	}

	/// The chain did not accept the result. An output that is here stays here, with the reason beside it.
	fn doubt(&mut self, why: &str) {
		self.error = Some(why.into());
		self.end(JobState::Failed, why);
	}

	/// Gives up, some blocks after it was first asked, on an output that was paid for and does not come. `now` is the newest block.
	pub fn wait_for_delivery(&mut self, now: BlockNumber) {
		let owed = self.settlement == Settlement::Settled && !self.state.is_final();
		if owed && now >= *self.owed_until.get_or_insert(now.saturating_add(DELIVERY_BLOCKS)) {
			self.end(JobState::Failed, "the miner was paid but never delivered the output");
		}
	}

	/// The miner that has the seat now delivers an item. The same again changes nothing. What was delivered for another round or task, or by another miner, gives way: its seat is
	/// gone, or was in a block that is no longer part of the chain. The batch is complete with the last of its items.
	pub fn deliver(&mut self, item: u32, output: Output) -> Result<(), DeliveryRefused> {
		let seat = |of: &Output| (of.task, of.round, of.miner.clone());
		match self.outputs.get(&item).filter(|held| seat(held) == seat(&output)) {
			Some(held) if held.hash == output.hash => return Ok(()),
			Some(_) => return Err(DeliveryRefused::AnotherOutput),
			None => {},
		}
		if self.state.is_final() && self.state != JobState::Completed {
			return Err(DeliveryRefused::Ended);
		}
		self.round = output.round;
		self.outputs.insert(item, output);
		if self.outputs.len() == self.inputs.len() {
			self.state = JobState::Completed;
		}
		Ok(())
	}

	/// Whether its miner has committed and not delivered, so late that the coordinator should say so on chain. `now` is the newest block. Since the block `here` miners could
	/// deliver: while this coordinator was away, it was not they who were late. `under_way`: whether something of it is being uploaded, which is given a block more.
	pub fn is_undelivered(
		&self,
		view: &TaskView,
		here: BlockNumber,
		now: BlockNumber,
		under_way: bool,
	) -> bool {
		let patience = UNDELIVERED_AFTER + BlockNumber::from(under_way);
		let due = view.blocks.committed.map(|block| block.max(here).saturating_add(patience));
		let overdue = due.is_some_and(|due| now >= due);
		let wanted = !self.state.is_final() || self.state == JobState::Completed;
		view.phase == TaskPhase::Lottery && overdue && wanted && !self.has_all_of(view)
	}

	fn go_on(&mut self, state: JobState) {
		if !self.state.is_final() {
			self.state = state;
		}
	}

	/// An output that is here stays here, whatever the chain says later.
	fn end(&mut self, state: JobState, why: impl Into<String>) {
		if !self.state.is_final() {
			self.state = state;
			self.error = Some(why.into());
		}
	}
}

#[cfg(test)]
pub(crate) mod tests {
	use super::*;
	use crate::{
		id::unix_now,
		job::tests::{job, output},
	};
	use cuckoo_primitives::views::TaskBlocks;

	/// A batch of these jobs.
	pub(crate) fn batch_of(jobs: &[Job]) -> Batch {
		let part = |job: &Job| Part { job: job.id, items: job.items(), fee: job.fee };
		Batch {
			id: BatchId(1),
			created: unix_now(),
			kind: jobs[0].kind,
			model: jobs[0].model,
			parts: jobs.iter().map(part).collect(),
			inputs: jobs.iter().flat_map(|job| job.inputs.clone()).collect(),
			fee: jobs.iter().map(|job| job.fee).sum(),
			max_wait: 100,
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
		}
	}

	/// A batch of one job with one item.
	pub(crate) fn batch() -> Batch {
		batch_of(&[job()])
	}

	pub(crate) fn view(batch: &Batch, task: TaskId, phase: TaskPhase, round: u32) -> TaskView {
		TaskView {
			task,
			model: batch.model,
			coordinator: AccountId32::new([9; 32]),
			input_root: batch.input_root(),
			items: batch.items(),
			fee: batch.fee,
			round,
			phase,
			miner: Some(AccountId32::new([8; 32])),
			blocks: TaskBlocks { posted: 10, drawn: Some(12), ..Default::default() },
			sample: Vec::new(),
			verifiers: Vec::new(),
			output_root: None,
		}
	}

	#[test]
	fn a_batch_changes_by_the_rules_only() {
		let paid = Batch { settlement: Settlement::Settled, ..batch() };
		let unpaid = Batch { settlement: Settlement::Pending, ..paid.clone() };
		assert!(paid.check_change(&unpaid).is_err());
		assert_eq!(unpaid.check_change(&paid), Ok(()));
		let failed = Batch { state: JobState::Failed, ..batch() };
		assert!(failed.check_change(&batch()).is_err());
	}

	#[test]
	fn a_task_is_followed_to_its_end() {
		let mut batch = batch();
		batch.posted(4, Some(10));
		assert_eq!((batch.list(), batch.money()), (Some(List::Watch), Money::Held));
		batch.follow(&view(&batch, 4, TaskPhase::Working, 0));
		assert_eq!((batch.state, batch.blocks.drawn), (JobState::Assigned, Some(12)));
		batch.fetched(0);
		batch.follow(&view(&batch, 4, TaskPhase::Working, 0));
		assert_eq!(batch.state, JobState::Running);
		// Its miner missed the deadline; another one is drawn.
		batch.follow(&view(&batch, 4, TaskPhase::Working, 1));
		assert_eq!((batch.state, batch.round), (JobState::Assigned, 1));
		batch.deliver(0, output(1, 1)).unwrap();
		batch.follow(&view(&batch, 4, TaskPhase::Settled, 1));
		assert_eq!((batch.state, batch.settlement), (JobState::Completed, Settlement::Settled));
		assert_eq!((batch.list(), batch.money()), (Some(List::Recheck), Money::Gone));
		assert!(batch.error.is_none() && batch.is_over());
		// It was challenged, and a court found it wrong.
		batch.follow(&view(&batch, 4, TaskPhase::Overturned, 1));
		assert_eq!((batch.settlement, batch.list()), (Settlement::Overturned, None));
		assert!(batch.error.is_some());
	}

	#[test]
	fn a_refund_and_a_paid_task_without_output_end_it() {
		let mut refunded = batch();
		refunded.posted(4, None);
		refunded.follow(&view(&refunded, 4, TaskPhase::Expired, 0));
		assert_eq!(refunded.state, JobState::Expired);
		assert_eq!((refunded.settlement, refunded.money()), (Settlement::Refunded, Money::Back));
		assert_eq!(refunded.deliver(0, output(1, 0)), Err(DeliveryRefused::Ended));

		let mut robbed = batch();
		robbed.posted(4, None);
		let settled = view(&robbed, 4, TaskPhase::Settled, 0);
		robbed.follow(&settled);
		robbed.wait_for_delivery(100);
		robbed.wait_for_delivery(100 + DELIVERY_BLOCKS - 1);
		assert!(robbed.list() == Some(List::Watch) && !robbed.state.is_final());
		let mut late = robbed.clone();
		late.deliver(0, output(1, 0)).unwrap();
		assert_eq!((late.state, late.list()), (JobState::Completed, Some(List::Recheck)));
		robbed.wait_for_delivery(100 + DELIVERY_BLOCKS);
		assert_eq!((robbed.state, robbed.settlement), (JobState::Failed, Settlement::Settled));
		assert_eq!(robbed.deliver(0, output(1, 0)), Err(DeliveryRefused::Ended));
	}

	#[test]
	fn what_was_never_posted_costs_nothing() {
		let mut refused = batch();
		assert_eq!((refused.list(), refused.money()), (Some(List::Post), Money::Held));
		refused.fail("the chain refused it");
		assert_eq!((refused.list(), refused.money()), (None, Money::Back));
	}

	#[test]
	fn one_output_a_round() {
		let mut batch = batch();
		batch.posted(4, None);
		batch.deliver(0, output(1, 0)).unwrap();
		let once = batch.clone();
		batch.deliver(0, output(1, 0)).unwrap();
		assert_eq!(batch, once);
		assert_eq!(batch.deliver(0, output(2, 0)), Err(DeliveryRefused::AnotherOutput));
		batch.deliver(0, output(2, 1)).unwrap();
		assert_eq!(batch.outputs[&0], output(2, 1));
	}

	#[test]
	fn whoever_has_the_seat_now_is_right() {
		let mut batch = batch();
		batch.posted(4, None);
		batch.deliver(0, output(1, 0)).unwrap();
		// The block with the draw was replaced: the same task and round, and another miner.
		let other = Output { miner: AccountId32::new([6; 32]), ..output(2, 0) };
		batch.deliver(0, other.clone()).unwrap();
		assert_eq!(batch.outputs[&0], other);
		// The post went in again as another task, whose rounds begin anew.
		batch.unposted();
		batch.posted(5, None);
		let mut committed = view(&batch, 5, TaskPhase::Lottery, 0);
		committed.blocks.committed = Some(20);
		assert!(batch.is_undelivered(&committed, 0, 22, false), "what is here is another task's");
		let again = Output { task: 5, ..output(3, 0) };
		batch.deliver(0, again.clone()).unwrap();
		assert_eq!(batch.outputs[&0], again);
		assert!(!batch.is_undelivered(&committed, 0, 22, false));
		// Another miner has the seat, after all.
		committed.miner = Some(AccountId32::new([6; 32]));
		assert!(batch.is_undelivered(&committed, 0, 22, false));
	}

	#[test]
	fn jobs_that_have_an_earlier_rounds_outputs_are_told_so() {
		let mut batch = batch_of(&[job(), job()]);
		batch.posted(4, None);
		batch.deliver(0, output(1, 0)).unwrap();
		let mut paid = view(&batch, 4, TaskPhase::Settled, 1);
		paid.output_root = Some(H256::repeat_byte(5));
		batch.follow(&paid);
		assert!(batch.mismatch, "the first job's output is another round's");
	}

	#[test]
	fn a_miner_paid_for_what_an_earlier_one_delivered_is_seen() {
		let mut batch = batch();
		batch.posted(4, None);
		batch.deliver(0, output(1, 0)).unwrap();
		assert_eq!(batch.state, JobState::Completed);
		// The next one commits and delivers nothing.
		let mut committed = view(&batch, 4, TaskPhase::Lottery, 1);
		committed.blocks.committed = Some(20);
		batch.follow(&committed);
		assert!(batch.is_undelivered(&committed, 0, 22, false));
		let mut paid = view(&batch, 4, TaskPhase::Settled, 1);
		paid.output_root = Some(H256::repeat_byte(5));
		batch.follow(&paid);
		assert!(batch.mismatch);
	}

	#[test]
	fn it_is_complete_with_its_last_output() {
		let mut batch =
			batch_of(&[Job { inputs: (0..3).map(H256::repeat_byte).collect(), ..job() }]);
		batch.posted(4, None);
		for item in [2, 0] {
			batch.deliver(item, output(1, 0)).unwrap();
			assert!(!batch.state.is_final());
		}
		let mut committed = view(&batch, 4, TaskPhase::Lottery, 0);
		committed.blocks.committed = Some(20);
		assert!(!batch.is_undelivered(&committed, 0, 21, false));
		assert!(batch.is_undelivered(&committed, 0, 22, false));
		assert!(!batch.is_undelivered(&committed, 0, 22, true), "an upload is under way");
		assert!(batch.is_undelivered(&committed, 0, 23, true));
		assert!(!batch.is_undelivered(&committed, 21, 22, false), "nobody could deliver before");
		assert!(batch.is_undelivered(&committed, 21, 23, false));
		batch.deliver(1, output(1, 0)).unwrap();
		assert_eq!(batch.state, JobState::Completed);
		assert!(!batch.is_undelivered(&committed, 0, 22, false));
	}

	#[test]
	fn a_miner_that_delivers_something_else_than_it_shows_on_chain_is_seen() {
		let mut batch = batch();
		batch.posted(4, None);
		let sketch = [3; SKETCH_BYTES];
		let leaf = Leaf { hash: H256::repeat_byte(1), sketch };
		let delivered = Output { sketch: hex::encode(sketch), ..output(1, 0) };
		batch.deliver(0, delivered).unwrap();
		let mut shown = view(&batch, 4, TaskPhase::Settled, 0);
		shown.output_root = Some(merkle::root([merkle::output_leaf(&leaf)]));
		batch.follow(&shown);
		assert!(!batch.mismatch);
		shown.output_root = Some(H256::repeat_byte(5));
		batch.follow(&shown);
		assert!(batch.mismatch);
	}

	#[test]
	fn a_post_lost_with_its_block_goes_back_to_the_poster() {
		let mut batch = batch();
		batch.posting = Some(Posting { floor: Some(3) });
		batch.posted(4, Some(10));
		batch.fetched(0);
		let before = batch.clone();
		batch.unposted();
		assert_eq!(
			(batch.list(), batch.task, batch.state),
			(Some(List::Post), None, JobState::Queued)
		);
		assert_eq!(before.check_change(&batch), Ok(()));
	}

	#[test]
	fn a_batch_survives_its_json() {
		let mut batch = Batch { miner: Some([1; 32].into()), ..batch() };
		batch.deliver(0, output(1, 0)).unwrap();
		let json = serde_json::to_vec(&batch).unwrap();
		assert_eq!(serde_json::from_slice::<Batch>(&json).unwrap(), batch);
	}
}
