//! What is stored of tasks, miners and queues. No storage here.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use cuckoo_primitives::{views::TaskBlocks, Balance, BlockNumber, ModelId, TaskId};
use frame_support::{traits::ConstU32, BoundedVec};
use scale_info::TypeInfo;
use sp_core::H256;

/// The most models that a miner serves, and that a coordinator has tasks open for, at a time. Bounds what a change of stake or a draw has to look at.
pub const MAX_MODELS: u32 = 16;
/// The most tasks that one call commits to or reveals.
pub const MAX_BATCH: u32 = 32;

/// A list of models.
pub type ModelList = BoundedVec<ModelId, ConstU32<MAX_MODELS>>;

/// The sets that are drawn from; their members are owners of pools, weighted by stake.
#[derive(
	Clone,
	Copy,
	Debug,
	PartialEq,
	Eq,
	PartialOrd,
	Ord,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
)]
pub enum DrawSet {
	/// Coordinators with a task in a queue.
	Coordinators,
	/// Miners that serve this model and have a free slot.
	Miners(ModelId),
}

/// What a coordinator has open for one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Demand {
	/// The model.
	pub model: ModelId,
	/// Open tasks.
	pub open: u32,
	/// Those of them that stand in the queue.
	pub queued: u32,
}

/// What a coordinator has open, by model.
pub type Demands = BoundedVec<Demand, ConstU32<MAX_MODELS>>;

/// An open task.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Task<AccountId> {
	/// The owner of the coordinator's pool.
	pub coordinator: AccountId,
	/// The coordinator's operator that posted it: the fee is held there.
	pub payer: AccountId,
	/// The model to run.
	pub model: ModelId,
	/// The Merkle root over the inputs.
	pub input_root: H256,
	/// How many inferences it holds.
	pub items: u32,
	/// What is held for it, in planck.
	pub fee: Balance,
	/// Which draw this is, from 0.
	pub round: u32,
	/// The blocks of the steps taken.
	pub blocks: TaskBlocks,
	/// Where it is.
	pub phase: Phase<AccountId>,
}

/// Where an open task is.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum Phase<AccountId> {
	/// Waits for randomness that nobody can know yet.
	Ripening {
		/// The block whose draw it can take part in first.
		ripe: BlockNumber,
	},
	/// In its coordinator's queue.
	Ready,
	/// Drawn.
	Working {
		/// The owner of the miner's pool.
		miner: AccountId,
		/// The last block for the commitment.
		deadline: BlockNumber,
	},
	/// Committed.
	Revealing {
		/// The owner of the miner's pool.
		miner: AccountId,
		/// The operator account that committed; part of the commitment.
		by: AccountId,
		/// The commitment.
		commitment: H256,
		/// The block of the commitment: the reveal comes later.
		committed: BlockNumber,
		/// The last block for the reveal.
		deadline: BlockNumber,
	},
}

impl<AccountId> Phase<AccountId> {
	/// The owner of the pool that has a seat.
	pub fn miner(&self) -> Option<&AccountId> {
		match self {
			Self::Ripening { .. } | Self::Ready => None,
			Self::Working { miner, .. } | Self::Revealing { miner, .. } => Some(miner),
		}
	}
}

/// How a task ended.
#[derive(
	Clone,
	Copy,
	Debug,
	PartialEq,
	Eq,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
)]
pub enum Outcome<AccountId> {
	/// This owner's miner was paid.
	Settled {
		/// The owner of the miner's pool.
		miner: AccountId,
		/// The Merkle root over the outputs.
		output_root: H256,
	},
	/// Nobody finished it in time: refunded.
	Expired,
	/// Taken back by its coordinator: refunded.
	Cancelled,
}

/// What is kept of a task that ended, for a while.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Receipt<AccountId> {
	/// The owner of the coordinator's pool.
	pub coordinator: AccountId,
	/// The model.
	pub model: ModelId,
	/// The Merkle root over the inputs.
	pub input_root: H256,
	/// How many inferences it held.
	pub items: u32,
	/// What was paid or refunded, in planck.
	pub fee: Balance,
	/// Which draw was the last, from 0.
	pub round: u32,
	/// The blocks of the steps taken.
	pub blocks: TaskBlocks,
	/// How it ended.
	pub outcome: Outcome<AccountId>,
}

/// A miner that is online, or still has seats.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Miner {
	/// Whether it may be drawn.
	pub online: bool,
	/// The models that it serves.
	pub models: ModelList,
	/// How many tasks it takes at a time.
	pub slots: u32,
	/// How many it has.
	pub used: u32,
}

/// The ends of one coordinator's queue for one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Queue {
	/// The task that is drawn next.
	pub head: TaskId,
	/// The task that came last.
	pub tail: TaskId,
}

/// A task's neighbours in its queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Link {
	/// The one drawn before.
	pub prev: Option<TaskId>,
	/// The one drawn after.
	pub next: Option<TaskId>,
}

/// What happens to a task when a block comes.
#[derive(
	Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, MaxEncodedLen, TypeInfo,
)]
pub enum Due {
	/// Its randomness is there: it joins its queue.
	Ripe,
	/// Its miner has not committed.
	Commit,
	/// Its miner has not revealed.
	Reveal,
	/// It has waited long enough: refunded.
	Expire,
	/// Its receipt goes.
	Forget,
}

/// A deadline's key within its block: the task's number with its highest byte first, so that storage keeps older tasks before newer ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct DueKey {
	task: [u8; 8],
	due: Due,
}

impl DueKey {
	/// The key of what is due for a task.
	pub fn new(task: TaskId, due: Due) -> Self {
		Self { task: task.to_be_bytes(), due }
	}

	/// The task, and what is due for it.
	pub fn parts(self) -> (TaskId, Due) {
		(TaskId::from_be_bytes(self.task), self.due)
	}
}

/// What a miner promises for a task.
///
/// It names round and input root beside the task, so that a promise that was delayed, or made for a fork on which the number meant another task,
/// does not stand for something that its miner has not computed.
#[derive(
	Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Commitment {
	/// The task.
	pub task: TaskId,
	/// Which draw of the task this is for.
	pub round: u32,
	/// The Merkle root over the inputs that were computed.
	pub input_root: H256,
	/// `blake2_256("cuckoo/commit" ‖ genesis ‖ task ‖ round ‖ account ‖ output root ‖ salt)`.
	pub hash: H256,
}

/// What a miner shows of a task.
#[derive(
	Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Reveal {
	/// The task.
	pub task: TaskId,
	/// The Merkle root over the outputs.
	pub output_root: H256,
	/// The salt of the commitment.
	pub salt: [u8; 32],
}
