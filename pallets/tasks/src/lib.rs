#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]
#![deny(rustdoc::broken_intra_doc_links)]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
pub use benchmarking::SetRandomness;
pub use pallet::*;
pub use types::{
	Commitment, Court, DrawSet, Due, Miner, Outcome, Phase, Receipt, Record, Reveal, ShownItem,
	Task,
};
pub use weights::WeightInfo;

mod audit;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod challenge;
mod court;
mod deadlines;
mod draw;
mod faults;
#[cfg(test)]
mod fuzz;
mod lifecycle;
mod miners;
#[cfg(test)]
mod mock;
mod queue;
mod results;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "std", feature = "try-runtime"))]
mod try_state;
pub mod types;
pub mod verdict;
mod views;
pub mod weights;

#[frame_support::pallet]
pub mod pallet {
	use super::*;
	use crate::types::{
		Demands, DueKey, Link, ModelList, Queue, Sample, Seat, Task, MAX_BATCH, MAX_MODELS,
	};
	use alloc::vec::Vec;
	use cuckoo_primitives::{
		traits::{Models, Pools, WeightedSets},
		views::SeatKind,
		Balance, BlockNumber, ModelId, TaskId,
	};
	use frame_support::{
		pallet_prelude::*,
		traits::{
			fungible::{Inspect, InspectHold, MutateHold},
			Randomness,
		},
		weights::WeightMeter,
	};
	use frame_system::pallet_prelude::{ensure_signed, BlockNumberFor, OriginFor};
	use sp_core::H256;
	use sp_runtime::{AccountId32, Perbill, SaturatedConversion};

	#[pallet::config]
	pub trait Config:
		frame_system::Config<RuntimeEvent: From<Event<Self>>, AccountId = AccountId32, Hash = H256>
	{
		/// CAI.
		type Currency: Inspect<Self::AccountId, Balance = Balance>
			+ InspectHold<Self::AccountId, Reason = Self::RuntimeHoldReason>
			+ MutateHold<Self::AccountId, Reason = Self::RuntimeHoldReason>;
		/// The reason why a fee is held.
		type RuntimeHoldReason: From<HoldReason>;
		/// The stake behind coordinators and miners.
		type Pools: Pools<Self::AccountId>;
		/// The models that may be run.
		type Models: Models;
		/// The sets that are drawn from.
		type Sets: WeightedSets<DrawSet, Self::AccountId>;
		/// The randomness of the parent block's VRF; `None` if it had none.
		type Randomness: Randomness<Option<H256>, BlockNumberFor<Self>>;
		/// What the calls cost.
		type WeightInfo: WeightInfo;

		/// The most inferences in one task.
		#[pallet::constant]
		type MaxItems: Get<u32>;
		/// The most slots of a miner. With eight seats for each, bounds the list of its seats.
		#[pallet::constant]
		type MaxSlots: Get<u32>;
		/// The most open tasks of a coordinator. Bounds what one of them can put on the chain's hooks.
		#[pallet::constant]
		type MaxOpenTasks: Get<u32>;
		/// The longest that a task may wait for a miner, in blocks.
		#[pallet::constant]
		type MaxWait: Get<BlockNumber>;
		/// How many blocks after posting a task is drawn at the earliest. At 2, the randomness is of a block made after the one with the task.
		#[pallet::constant]
		type RandomnessDelay: Get<BlockNumber>;
		/// The most blocks that a miner may have for a task, from draw to commit.
		#[pallet::constant]
		type MaxWindow: Get<BlockNumber>;
		/// How many blocks after the commitment the lot is drawn. The coordinator has so long to say that it did not get the outputs.
		#[pallet::constant]
		type LotteryDelay: Get<BlockNumber>;
		/// For how many blocks verifiers and jurors are looked for, while others may become free.
		#[pallet::constant]
		type Patience: Get<BlockNumber>;
		/// How many blocks there are to show what was committed to; five times as many in an audit or a court.
		#[pallet::constant]
		type RevealWindow: Get<BlockNumber>;
		/// How many blocks a receipt is kept. So long a paid result can be challenged.
		#[pallet::constant]
		type ReceiptLife: Get<BlockNumber>;
		/// How many miners compute the sample of an audited task again; at least 1, at most [`MAX_VERIFIERS`](crate::types::MAX_VERIFIERS).
		type Verifiers: Get<u32>;
		/// How many items of a task are in the sample; at least 1, at most [`MAX_SAMPLE`](crate::types::MAX_SAMPLE).
		type SampleSize: Get<u32>;
		/// So many audits in a row must find a miner's results right before fewer than all of its tasks are audited.
		type CleanAudits: Get<u32>;
		/// The chance of an audit does not fall below this.
		type LeastAuditRate: Get<Perbill>;
		/// What a wrong result costs, and silence under an audit, in fees of its task.
		type WrongResultSlash: Get<u32>;
		/// What it costs a juror if the court finds its result wrong, in fees of the task.
		type WrongJurorSlash: Get<u32>;
		/// What it costs not to show what was committed to, in fees of the task; a task's miner under an audit pays [`Config::WrongResultSlash`].
		type NoRevealSlash: Get<u32>;
		/// What it costs not to commit in time, in fees of the task.
		type NoCommitmentSlash: Get<u32>;
		/// What a challenger puts up, in fees of the task; twice as much after each challenge of it that failed.
		type ChallengeBond: Get<u32>;
		/// What of its pool a miner loses beside with its third wrong result within [`Config::FaultMemory`].
		type RepeatedSlash: Get<Perbill>;
		/// For how many blocks a wrong result is remembered.
		type FaultMemory: Get<BlockNumber>;
		/// The most weight that deadlines and draws may take of a block. What does not fit goes on in the next.
		#[pallet::constant]
		type HookBudget: Get<Weight>;
		/// What has [`Config::Randomness`] return something in benchmarks.
		#[cfg(feature = "runtime-benchmarks")]
		type SetRandomness: SetRandomness;
	}

	#[pallet::pallet]
	pub struct Pallet<T>(_);

	/// Why CAI is held.
	#[pallet::composite_enum]
	pub enum HoldReason {
		/// The fee of an open task, and that of its audit.
		Fee,
		/// The bond of a challenge.
		Challenge,
	}

	/// A hash over the VRFs of all blocks, one after the other: what is drawn with it nobody could foresee who did not make every block since the draw was fixed.
	#[pallet::storage]
	pub type Beacon<T> = StorageValue<_, H256, ValueQuery>;

	/// The number of the next task.
	#[pallet::storage]
	pub type NextTask<T> = StorageValue<_, TaskId, ValueQuery>;

	/// The open tasks.
	#[pallet::storage]
	pub type Tasks<T: Config> =
		StorageMap<_, Twox64Concat, TaskId, Task<T::AccountId>, OptionQuery>;

	/// What is kept of tasks that ended lately.
	#[pallet::storage]
	pub type Receipts<T: Config> =
		StorageMap<_, Twox64Concat, TaskId, Receipt<T::AccountId>, OptionQuery>;

	/// The queues of ripe tasks: model, then coordinator (owner).
	#[pallet::storage]
	pub type Queues<T: Config> = StorageDoubleMap<
		_,
		Twox64Concat,
		ModelId,
		Blake2_128Concat,
		T::AccountId,
		Queue,
		OptionQuery,
	>;

	/// A queued task's neighbours.
	#[pallet::storage]
	pub type Links<T> = StorageMap<_, Twox64Concat, TaskId, Link, OptionQuery>;

	/// What a coordinator (owner) has open, by model.
	#[pallet::storage]
	pub type Demand<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Demands, ValueQuery>;

	/// The miners that are online or still have seats, by owner.
	#[pallet::storage]
	pub type Miners<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Miner, OptionQuery>;

	/// The seats of each miner (owner).
	#[pallet::storage]
	pub type Seats<T: Config> = StorageDoubleMap<
		_,
		Blake2_128Concat,
		T::AccountId,
		Twox64Concat,
		TaskId,
		Seat<T::AccountId>,
		OptionQuery,
	>;

	/// The courts that sit, by task.
	#[pallet::storage]
	pub type Courts<T: Config> =
		StorageMap<_, Twox64Concat, TaskId, Court<T::AccountId>, OptionQuery>;

	/// What is remembered of each miner (owner) that was audited or judged.
	#[pallet::storage]
	pub type Records<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Record, ValueQuery>;

	/// What is due at the start of a block, in the order of the tasks.
	#[pallet::storage]
	pub type Deadlines<T> =
		StorageDoubleMap<_, Twox64Concat, BlockNumber, Identity, DueKey, (), OptionQuery>;

	/// The block whose deadlines are dealt with next: the present one, unless there were too many.
	#[pallet::storage]
	pub type DeadlineCursor<T> = StorageValue<_, BlockNumber, ValueQuery>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A coordinator posted a task; its fee is held.
		Posted {
			/// The task's number.
			task: TaskId,
			/// The owner of the coordinator's pool.
			coordinator: T::AccountId,
			/// The model to run.
			model: ModelId,
			/// How many inferences it holds.
			items: u32,
			/// The fee, in planck.
			fee: Balance,
		},
		/// A miner was drawn for a task.
		Drawn {
			/// The task's number.
			task: TaskId,
			/// The owner of the miner's pool.
			miner: T::AccountId,
			/// Which draw of the task this was, from 0.
			round: u32,
			/// The last block for its commitment.
			deadline: BlockNumber,
		},
		/// A miner committed to its result.
		Committed {
			/// The task's number.
			task: TaskId,
			/// The owner of the miner's pool.
			miner: T::AccountId,
			/// As what it sits in the task.
			kind: SeatKind,
		},
		/// A task is not audited: its miner shows the result, and that some of its items stand behind it.
		NotAudited {
			/// The task's number.
			task: TaskId,
			/// The items.
			sample: Sample,
			/// Whether an audit was due and no verifier could be had.
			due: bool,
			/// The last block to show the result.
			deadline: BlockNumber,
		},
		/// A task is audited: others compute a sample of it again.
		AuditOpened {
			/// The task's number.
			task: TaskId,
			/// The owners of their pools.
			verifiers: Vec<T::AccountId>,
			/// The items.
			sample: Sample,
			/// Which draw of the task the first of them came by; the others by the next ones.
			round: u32,
			/// The last block for their commitments.
			deadline: BlockNumber,
		},
		/// The verifiers have committed: everybody shows what was committed to.
		AuditCommitted {
			/// The task's number.
			task: TaskId,
			/// The last block for it.
			deadline: BlockNumber,
		},
		/// An audit has found a result right, or could not tell: its miner is paid.
		Audited {
			/// The task's number.
			task: TaskId,
			/// Whether miner and verifiers agreed. Otherwise they were too far apart for that and too close for a court.
			agreed: bool,
		},
		/// Miner and verifiers contradict each other, or somebody challenges a paid result: a court will tell who is right.
		Disputed {
			/// The task's number.
			task: TaskId,
			/// The item that is judged.
			item: u32,
			/// The owners of the pools whose results are judged.
			accused: Vec<T::AccountId>,
			/// Who challenged it, if anybody did.
			challenger: Option<T::AccountId>,
		},
		/// A court sits.
		CourtSeated {
			/// The task's number.
			task: TaskId,
			/// The owners of the jurors' pools.
			jurors: Vec<T::AccountId>,
			/// Whether it is the second court.
			second: bool,
			/// The last block for the jurors' commitments.
			deadline: BlockNumber,
		},
		/// A court has found who is right.
		Judged {
			/// The task's number.
			task: TaskId,
			/// The owners of the pools whose results were wrong, jurors among them.
			wrong: Vec<T::AccountId>,
		},
		/// No majority of a court agreed on a result.
		NoMajority {
			/// The task's number.
			task: TaskId,
			/// Whether it was the second court, or there will be none.
			last: bool,
		},
		/// A challenge failed: its bond went to the accused and the jurors.
		ChallengeFailed {
			/// The task's number.
			task: TaskId,
			/// The account that challenged.
			challenger: T::AccountId,
			/// The bond, in planck.
			bond: Balance,
		},
		/// One commitment of a call was refused; the others stand.
		CommitRefused {
			/// The task's number.
			task: TaskId,
			/// The account that committed.
			operator: T::AccountId,
			/// Why.
			error: DispatchError,
		},
		/// One reveal of a call was refused; the others stand.
		RevealRefused {
			/// The task's number.
			task: TaskId,
			/// The account that revealed.
			operator: T::AccountId,
			/// Why.
			error: DispatchError,
		},
		/// A miner showed its result and was paid.
		Settled {
			/// The task's number.
			task: TaskId,
			/// The owner of the miner's pool.
			miner: T::AccountId,
			/// The fee, in planck. Its pool got it less the part that is burnt, and the bonus.
			fee: Balance,
			/// The Merkle root over the outputs.
			output_root: H256,
		},
		/// A miner missed a deadline: it is slashed, and offline until it calls `go_online`.
		Missed {
			/// The task's number.
			task: TaskId,
			/// The owner of the miner's pool.
			miner: T::AccountId,
			/// As what it sat in the task.
			kind: SeatKind,
			/// Which draw of the task it came by.
			round: u32,
		},
		/// A miner says that a task's inputs cannot be had; it leaves its seat.
		Unable {
			/// The task's number.
			task: TaskId,
			/// The owner of the miner's pool.
			miner: T::AccountId,
			/// As what it sat in the task.
			kind: SeatKind,
		},
		/// Nobody finished a task in time; its fee was returned.
		Expired {
			/// The task's number.
			task: TaskId,
			/// What was returned, in planck.
			refund: Balance,
		},
		/// A coordinator took a task back; its fee was returned.
		Cancelled {
			/// The task's number.
			task: TaskId,
			/// What was returned, in planck.
			refund: Balance,
		},
		/// A court found the miner's result wrong; the fee was returned.
		Rejected {
			/// The task's number.
			task: TaskId,
			/// The owner of the miner's pool.
			miner: T::AccountId,
			/// What was returned, in planck.
			refund: Balance,
		},
		/// A court found a result wrong that had been paid.
		Overturned {
			/// The task's number.
			task: TaskId,
			/// The owner of the miner's pool.
			miner: T::AccountId,
		},
		/// No court could tell who is right; the fee was returned.
		Void {
			/// The task's number.
			task: TaskId,
			/// What was returned, in planck; 0 after a challenge, for the miner had been paid.
			refund: Balance,
		},
		/// The inputs of a task cannot be had; all that was held for it was burnt.
		Unavailable {
			/// The task's number.
			task: TaskId,
			/// What was burnt, in planck; 0 after a challenge, for the miner had been paid.
			burnt: Balance,
		},
		/// A coordinator says that it did not get the outputs of a task; all that was held for it was burnt.
		Undelivered {
			/// The task's number.
			task: TaskId,
			/// The owner of the miner's pool.
			miner: T::AccountId,
			/// What was burnt, in planck.
			burnt: Balance,
		},
		/// A miner may be drawn.
		WentOnline {
			/// The owner of the miner's pool.
			miner: T::AccountId,
			/// The models that it serves.
			models: ModelList,
			/// How many tasks it computes at a time.
			slots: u32,
		},
		/// A miner is not drawn any more.
		WentOffline {
			/// The owner of the miner's pool.
			miner: T::AccountId,
		},
	}

	#[pallet::error]
	pub enum Error<T> {
		/// This account is not the operator of a coordinator's pool.
		NotCoordinator,
		/// This account is not the operator of a miner's pool.
		NotMiner,
		/// The pool takes part in no draw: the owner's bond is not above the role's minimum (bond more with `Stake.vote`), or it is chilled or jailed.
		StakeTooSmall,
		/// There is no model with this number.
		UnknownModel,
		/// No tasks are taken for this model: it is not calibrated, suspended or retired.
		ModelInactive,
		/// A task holds at least one inference and at most `MaxItems`, and no more than a miner can do in `MaxWindow` blocks.
		BadItemCount,
		/// The fee is below the model's minimum for this many inferences.
		FeeTooLow,
		/// The fee is so high that no miner could stand for a wrong result with the least bond alone: post several smaller tasks.
		FeeTooHigh,
		/// A task waits at least `RandomnessDelay` blocks, or it could never be drawn, and at most `MaxWait`.
		BadMaxWait,
		/// A miner serves at least one and at most eight models; a coordinator has tasks open for at most sixteen.
		BadModelCount,
		/// The coordinator has `MaxOpenTasks` tasks open already.
		TooManyTasks,
		/// A miner has at least one slot and at most `MaxSlots`.
		BadSlotCount,
		/// There is no such task, or it ended so long ago that its receipt is gone.
		UnknownTask,
		/// The task has ended.
		TaskEnded,
		/// The task is not this coordinator's.
		NotYours,
		/// A miner was drawn already.
		AlreadyDrawn,
		/// This operator has no seat in the task.
		NoSeat,
		/// The commitment is for another round of the task, or for other inputs.
		WrongRound,
		/// This round is committed already.
		AlreadyCommitted,
		/// Nothing is committed yet.
		NotCommitted,
		/// The result was shown already.
		AlreadyShown,
		/// It is not time to show results: the lot is not drawn, or others have not committed yet.
		NotRevealing,
		/// The items that are looked at were not all shown, or more than those, or one does not stand where it should under the output root.
		WrongItems,
		/// This can be said only before a commitment, and only in the second half of the time for it.
		NotUnable,
		/// This can be said only between commitment and lot.
		NotUndelivered,
		/// Only a paid task whose receipt is still there can be challenged, and one item at a time.
		NotChallengeable,
		/// The deadline has passed.
		TooLate,
		/// The reveal comes at least one block after the commitment.
		TooEarly,
		/// Output root and salt do not make the commitment.
		WrongReveal,
		/// The list is empty.
		NothingToDo,
		/// A sum or a counter does not fit.
		Overflow,
		/// The stored state contradicts itself. This cannot happen while `try_state` holds.
		Corrupt,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn on_initialize(now: BlockNumberFor<T>) -> Weight {
			Self::turn_beacon();
			// However many deadlines there are, half of the budget is for draws.
			let mut deadlines = WeightMeter::with_limit(T::HookBudget::get() / 2);
			Self::meet_deadlines(now.saturated_into(), &mut deadlines);
			let left = T::HookBudget::get().saturating_sub(deadlines.consumed());
			let mut draws = WeightMeter::with_limit(left);
			Self::draw_tasks(now.saturated_into(), &mut draws);
			deadlines.consumed().saturating_add(draws.consumed())
		}

		fn integrity_test() {
			assert!(
				T::RandomnessDelay::get() >= 2 && T::LotteryDelay::get() >= 2,
				"the randomness must be of a block that was made after the task was fixed"
			);
			let half = T::HookBudget::get() / 2;
			let one_draw =
				T::WeightInfo::hook_base().saturating_add(weights::largest_draw::<T::WeightInfo>());
			assert!(one_draw.all_lte(half), "half of the hook's budget must fit a draw");
			for due in [
				Due::Ripe,
				Due::Commit,
				Due::Lottery,
				Due::Audit,
				Due::Verify,
				Due::Reveal,
				Due::Court,
				Due::JuryCommit,
				Due::JuryReveal,
				Due::Expire,
				Due::Forget,
			] {
				let cost = Self::due_weight(due).saturating_add(T::WeightInfo::next_deadline() * 2);
				assert!(cost.all_lte(half), "half of the hook's budget must fit any deadline");
			}
			let normal = T::BlockWeights::get().get(DispatchClass::Normal).max_extrinsic;
			let largest = T::WeightInfo::reveal(MAX_BATCH).max(T::WeightInfo::commit(MAX_BATCH));
			assert!(
				normal.is_none_or(|most| largest.all_lte(most)),
				"a full batch must fit a block"
			);
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call]
	impl<T: Config> Pallet<T> {
		/// Posts a task. By a coordinator's operator; the fee, and that of an audit, are held from it until the task ends. What no audit needed comes back.
		///
		/// - `model`: the model to run.
		/// - `input_root`: the Merkle root over the hashes of the inputs, which you serve to the miner.
		/// - `items`: how many inferences it holds.
		/// - `fee`: what the miner's pool is paid, in planck.
		/// - `max_wait`: for how many blocks miners may be drawn; after that the fee is returned.
		#[pallet::call_index(0)]
		#[pallet::weight(T::WeightInfo::post().saturating_add(Pallet::<T>::life_weight()))]
		pub fn post(
			origin: OriginFor<T>,
			model: ModelId,
			input_root: H256,
			items: u32,
			#[pallet::compact] fee: Balance,
			max_wait: BlockNumber,
		) -> DispatchResult {
			let operator = ensure_signed(origin)?;
			Self::do_post(operator, model, input_root, items, fee, max_wait)
		}

		/// Takes a task back for which no miner was drawn yet, and returns its fee. By the coordinator's operator.
		///
		/// - `task`: its number.
		#[pallet::call_index(1)]
		#[pallet::weight(T::WeightInfo::cancel())]
		pub fn cancel(origin: OriginFor<T>, task: TaskId) -> DispatchResult {
			let operator = ensure_signed(origin)?;
			Self::do_cancel(operator, task)
		}

		/// Says that you are ready for work. By a miner's operator. Called again, it replaces what was said before.
		///
		/// - `models`: the models that you have loaded.
		/// - `slots`: how many tasks you compute at a time. A slot is free again once you have committed; you get at most eight seats for each.
		#[pallet::call_index(2)]
		#[pallet::weight(T::WeightInfo::go_online())]
		pub fn go_online(origin: OriginFor<T>, models: ModelList, slots: u32) -> DispatchResult {
			let operator = ensure_signed(origin)?;
			Self::do_go_online(operator, models, slots)
		}

		/// Says that you take no more work. Seats that you have stay yours: finish them.
		#[pallet::call_index(3)]
		#[pallet::weight(T::WeightInfo::go_offline())]
		pub fn go_offline(origin: OriginFor<T>) -> DispatchResult {
			let operator = ensure_signed(origin)?;
			Self::do_go_offline(operator)
		}

		/// Commits to the results of tasks that you were drawn for. By the miner's operator.
		///
		/// One that is refused does not stop the others: it is named in a `CommitRefused` event. If all are, the call fails with the first reason.
		///
		/// - `commitments`: for each task its round, its input root, and the hash that hides your output root behind a salt.
		#[pallet::call_index(4)]
		#[pallet::weight(weights::commit::<T::WeightInfo>(commitments.len() as u32, MAX_MODELS))]
		pub fn commit(
			origin: OriginFor<T>,
			commitments: BoundedVec<Commitment, ConstU32<MAX_BATCH>>,
		) -> DispatchResultWithPostInfo {
			let operator = ensure_signed(origin)?;
			let (count, models) = (commitments.len() as u32, Self::models_of(&operator));
			Self::do_each(
				commitments,
				|promise| Self::do_commit(&operator, promise),
				|promise, error| Event::CommitRefused {
					task: promise.task,
					operator: operator.clone(),
					error,
				},
			)?;
			Ok(Some(weights::commit::<T::WeightInfo>(count, models)).into())
		}

		/// Shows the results that you committed to, once the lot is drawn and the verifiers or jurors have committed. By the miner's operator. A task that is not audited is
		/// paid at once.
		///
		/// One that is refused does not stop the others: it is named in a `RevealRefused` event. If all are, the call fails with the first reason.
		///
		/// - `reveals`: task, Merkle root over the outputs, the salt of the commitment, and the items that are looked at; as a juror your item
		///   twice, with the task's sketch and with your court's.
		#[pallet::call_index(5)]
		#[pallet::weight(weights::reveal::<T::WeightInfo>(reveals.len() as u32, MAX_MODELS))]
		pub fn reveal(
			origin: OriginFor<T>,
			reveals: BoundedVec<Reveal, ConstU32<MAX_BATCH>>,
		) -> DispatchResultWithPostInfo {
			let operator = ensure_signed(origin)?;
			let (count, models) = (reveals.len() as u32, Self::models_of(&operator));
			Self::do_each(
				reveals,
				|reveal| Self::do_reveal(&operator, reveal),
				|reveal, error| Event::RevealRefused {
					task: reveal.task,
					operator: operator.clone(),
					error,
				},
			)?;
			Ok(Some(weights::reveal::<T::WeightInfo>(count, models)).into())
		}

		/// Says that the inputs of a task that you were drawn for cannot be had. By the miner's operator, before it commits, and not before half of the time for that is over. You
		/// are not slashed. If the task was yours, another miner is drawn, and when three have said so, the task ends and all that is held for it is burnt. As a verifier or
		/// juror you leave the audit or the court.
		///
		/// - `task`: its number.
		#[pallet::call_index(6)]
		#[pallet::weight(T::WeightInfo::unavailable())]
		pub fn unavailable(origin: OriginFor<T>, task: TaskId) -> DispatchResult {
			let operator = ensure_signed(origin)?;
			Self::do_unavailable(&operator, task)
		}

		/// Says that the outputs of a task never came. By the coordinator's operator, between the miner's commitment and the lot. All that is held is burnt and the miner gets
		/// nothing, so that neither of you gains by not telling the truth.
		///
		/// - `task`: its number.
		#[pallet::call_index(7)]
		#[pallet::weight(T::WeightInfo::undelivered())]
		pub fn undelivered(origin: OriginFor<T>, task: TaskId) -> DispatchResult {
			let operator = ensure_signed(origin)?;
			Self::do_undelivered(&operator, task)
		}

		/// Says that an item of a paid task is wrong, and has a court judge it. By anybody, as long as the task's receipt is kept. A bond is held, of
		/// `ChallengeBond` times the task's fee and twice as much after each challenge of it that failed. It comes back if the court finds the item wrong, and you get a part of what its miner is slashed; if the
		/// court finds it right or too close to tell, half goes to that miner and half to the jurors. Without a majority, or if the jurors cannot fetch the inputs, it comes back.
		///
		/// - `task`: its number.
		/// - `item`: the item, from 0.
		/// - `shown`: its hash and sketch, and the proof that they stand under the task's output root.
		#[pallet::call_index(8)]
		#[pallet::weight(T::WeightInfo::challenge().saturating_add(Pallet::<T>::court_weight()))]
		pub fn challenge(
			origin: OriginFor<T>,
			task: TaskId,
			item: u32,
			shown: ShownItem,
		) -> DispatchResult {
			let challenger = ensure_signed(origin)?;
			Self::do_challenge(challenger, task, item, &shown)
		}
	}
}
