#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]
#![deny(rustdoc::broken_intra_doc_links)]

extern crate alloc;

pub use pallet::*;
pub use types::{Bucket, Claim, Era, Intro, Pool};
pub use weights::WeightInfo;

mod impls;
#[cfg(test)]
mod mock;
mod rewards;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "std", feature = "try-runtime"))]
mod try_state;
pub mod types;
mod views;
pub mod weights;

#[frame_support::pallet]
pub mod pallet {
	use super::*;
	use cuckoo_primitives::{traits::OnWeightChange, Balance, BlockNumber, EraIndex, Role};
	use frame_support::{
		pallet_prelude::*,
		traits::fungible::{Inspect, Mutate, MutateHold},
		PalletId,
	};
	use frame_system::pallet_prelude::{ensure_signed, BlockNumberFor, OriginFor};
	use sp_runtime::{Perbill, SaturatedConversion};

	/// The most eras of one pool that a voter can wait for at a time. Stops a voter from growing the list that `withdraw` reads.
	pub const MAX_CLAIMS: u32 = 32;

	#[pallet::config]
	pub trait Config:
		frame_system::Config<RuntimeEvent: From<Event<Self>>, AccountId = sp_runtime::AccountId32>
	{
		/// CAI.
		type Currency: Inspect<Self::AccountId, Balance = Balance>
			+ Mutate<Self::AccountId>
			+ MutateHold<Self::AccountId, Reason = Self::RuntimeHoldReason>;
		/// The reason why a deposit is held.
		type RuntimeHoldReason: From<HoldReason>;
		/// Told when a pool's weight in the draw has changed.
		type OnWeightChange: OnWeightChange<Self::AccountId>;
		/// What the calls cost.
		type WeightInfo: WeightInfo;

		/// Names the account that holds all stake.
		#[pallet::constant]
		type PotId: Get<PalletId>;
		/// A validator's own bond must be worth more than this, in planck.
		#[pallet::constant]
		type MinValidatorBond: Get<Balance>;
		/// A coordinator's own bond must be worth more than this, in planck.
		#[pallet::constant]
		type MinCoordinatorBond: Get<Balance>;
		/// A miner's own bond must be worth more than this, in planck.
		#[pallet::constant]
		type MinMinerBond: Get<Balance>;
		/// The least that a vote may be worth, in planck. Keeps votes far above the rounding of a share, and storage from filling with dust.
		#[pallet::constant]
		type MinVote: Get<Balance>;
		/// Held from an owner for its introduction, in planck. Pays for the storage.
		#[pallet::constant]
		type RegistrationDeposit: Get<Balance>;
		/// The most that an owner may keep of what its voters earn.
		#[pallet::constant]
		type MaxCommission: Get<Perbill>;
		/// How long an era is, in blocks.
		#[pallet::constant]
		type EraLength: Get<BlockNumber>;
		/// How many eras lie between leaving a pool and being paid out. Outlasts the longest task, challenge and court together, so that nobody leaves
		/// before what it did is judged.
		#[pallet::constant]
		type BondingEras: Get<EraIndex>;
	}

	#[pallet::pallet]
	pub struct Pallet<T>(_);

	/// Why CAI is held.
	#[pallet::composite_enum]
	pub enum HoldReason {
		/// The deposit for a pool's introduction.
		Registration,
	}

	/// The pools, by owner.
	#[pallet::storage]
	pub type Pools<T: Config> =
		StorageMap<_, Blake2_128Concat, T::AccountId, Pool<T::AccountId>, OptionQuery>;

	/// The owner of the pool that an account operates.
	#[pallet::storage]
	pub type Operators<T: Config> =
		StorageMap<_, Blake2_128Concat, T::AccountId, T::AccountId, OptionQuery>;

	/// How each operator introduces itself, by owner.
	#[pallet::storage]
	pub type Intros<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Intro, ValueQuery>;

	/// How many shares a voter has in a pool: voter, then owner.
	#[pallet::storage]
	pub type Votes<T: Config> = StorageDoubleMap<
		_,
		Blake2_128Concat,
		T::AccountId,
		Blake2_128Concat,
		T::AccountId,
		Balance,
		ValueQuery,
	>;

	/// What left a pool, by owner and era.
	#[pallet::storage]
	pub type Unbonding<T: Config> = StorageDoubleMap<
		_,
		Blake2_128Concat,
		T::AccountId,
		Twox64Concat,
		EraIndex,
		Bucket,
		OptionQuery,
	>;

	/// A voter's parts of a pool's buckets, oldest first: voter, then owner.
	#[pallet::storage]
	pub type Claims<T: Config> = StorageDoubleMap<
		_,
		Blake2_128Concat,
		T::AccountId,
		Blake2_128Concat,
		T::AccountId,
		BoundedVec<Claim, ConstU32<MAX_CLAIMS>>,
		ValueQuery,
	>;

	/// The present era.
	#[pallet::storage]
	pub type CurrentEra<T: Config> = StorageValue<_, Era, ValueQuery>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A staker registered a pool and bonded its own stake.
		Registered {
			/// The staker.
			owner: T::AccountId,
			/// What its operator does.
			role: Role,
			/// The account that does it.
			operator: T::AccountId,
			/// The owner's bond, in planck.
			bond: Balance,
		},
		/// A pool has another operator account.
		OperatorSet {
			/// The pool's owner.
			owner: T::AccountId,
			/// The account that does the work from now on.
			operator: T::AccountId,
		},
		/// An operator introduced itself anew.
		IntroSet {
			/// The pool's owner.
			owner: T::AccountId,
		},
		/// CAI went into a pool.
		Voted {
			/// Whose.
			voter: T::AccountId,
			/// The pool's owner.
			owner: T::AccountId,
			/// How much, in planck.
			amount: Balance,
			/// The shares it bought, in units of which the first pool share was worth one planck.
			shares: Balance,
		},
		/// CAI left a pool and waits to be withdrawn.
		Unvoted {
			/// Whose.
			voter: T::AccountId,
			/// The pool's owner.
			owner: T::AccountId,
			/// How much, in planck.
			amount: Balance,
			/// The first era in which it can be withdrawn.
			from_era: EraIndex,
		},
		/// CAI was paid out.
		Withdrawn {
			/// To whom.
			voter: T::AccountId,
			/// The owner of the pool that it had been in.
			owner: T::AccountId,
			/// How much, in planck.
			amount: Balance,
		},
		/// A pool earned something.
		Rewarded {
			/// The pool's owner.
			owner: T::AccountId,
			/// How much, in planck, commission included.
			amount: Balance,
			/// What of it went to the owner as commission, in planck.
			commission: Balance,
		},
		/// A new era began.
		EraStarted {
			/// Its number.
			era: EraIndex,
		},
	}

	#[pallet::error]
	pub enum Error<T> {
		/// The bond must be worth *more* than the role's minimum: exactly the minimum is not enough.
		BondTooSmall,
		/// This staker has a pool already. One staker, one pool.
		AlreadyRegistered,
		/// The operator account already works for a pool, or owns another.
		OperatorTaken,
		/// Nobody with a pool has this account.
		NotRegistered,
		/// The commission is above the highest that is allowed.
		CommissionTooHigh,
		/// An introduction needs a name.
		NameMissing,
		/// A coordinator's introduction needs the address at which miners reach it, beginning with `http://` or `https://`; nobody else has one.
		BadEndpoint,
		/// Votes are not taken: the owner's own bond is not above its role's minimum, or the pool was slashed to nothing, or its shares are so few
		/// and dear that rounding would take more than a millionth of the vote.
		ClosedToVotes,
		/// A vote must be worth at least the least vote; what is left of one too, unless nothing is left.
		VoteTooSmall,
		/// The vote is worth less than that.
		NotEnoughVotes,
		/// The account's free balance does not cover the amount and the existential deposit that must stay in it.
		BalanceTooLow,
		/// Too many eras of this pool are waited for: withdraw first.
		TooManyClaims,
		/// Nothing of this pool has waited long enough.
		NothingToWithdraw,
		/// A sum does not fit 128 bits.
		Overflow,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn on_initialize(now: BlockNumberFor<T>) -> Weight {
			Self::turn_era(now.saturated_into());
			T::WeightInfo::on_initialize()
		}

		fn integrity_test() {
			assert!(T::MinVote::get() > 0, "a vote must buy at least one share");
			assert!(T::BondingEras::get() > 0, "leaving must take longer than judging");
			assert!(
				T::BondingEras::get() < MAX_CLAIMS,
				"a voter must be able to leave in every era of its waiting time"
			);
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call]
	impl<T: Config> Pallet<T> {
		/// Registers a pool for a role and bonds your own stake in it.
		///
		/// - `role`: what the operator will do.
		/// - `operator`: the account that will do it, on a machine that is online. It can never move stake; take one that is not your own.
		/// - `intro`: what stakers read about you. A deposit is held for it. Coordinators name their endpoint in it.
		/// - `commission`: your share of what your voters earn.
		/// - `bond`: your own stake, in planck: more than the role's minimum (2,000,000 CAI for a coordinator, 20,000 CAI for a miner).
		#[pallet::call_index(0)]
		#[pallet::weight(T::WeightInfo::register().saturating_add(T::OnWeightChange::weight_changed_weight()))]
		pub fn register(
			origin: OriginFor<T>,
			role: Role,
			operator: T::AccountId,
			intro: Intro,
			commission: Perbill,
			#[pallet::compact] bond: Balance,
		) -> DispatchResult {
			let owner = ensure_signed(origin)?;
			Self::do_register(owner, role, operator, intro, commission, bond)
		}

		/// Puts CAI behind an operator. It earns and is slashed like the operator's own stake.
		///
		/// - `owner`: the staker whose pool it is. Your own pool raises your bond.
		/// - `amount`: how much, in planck.
		#[pallet::call_index(1)]
		#[pallet::weight(T::WeightInfo::vote().saturating_add(T::OnWeightChange::weight_changed_weight()))]
		pub fn vote(
			origin: OriginFor<T>,
			owner: T::AccountId,
			#[pallet::compact] amount: Balance,
		) -> DispatchResult {
			let voter = ensure_signed(origin)?;
			Self::do_vote(&voter, &owner, amount)
		}

		/// Takes CAI out of a pool. It stops earning at once and is paid out after the waiting time, less what is slashed until then.
		///
		/// - `owner`: the staker whose pool it is.
		/// - `amount`: how much, in planck. More than the vote is worth fails; `u128::MAX` takes all of it.
		#[pallet::call_index(2)]
		#[pallet::weight(T::WeightInfo::unvote().saturating_add(T::OnWeightChange::weight_changed_weight()))]
		pub fn unvote(
			origin: OriginFor<T>,
			owner: T::AccountId,
			#[pallet::compact] amount: Balance,
		) -> DispatchResult {
			let voter = ensure_signed(origin)?;
			Self::do_unvote(&voter, &owner, amount)
		}

		/// Pays out what has waited long enough.
		///
		/// - `owner`: the staker whose pool it had been in.
		#[pallet::call_index(3)]
		#[pallet::weight(T::WeightInfo::withdraw())]
		pub fn withdraw(origin: OriginFor<T>, owner: T::AccountId) -> DispatchResult {
			let voter = ensure_signed(origin)?;
			Self::do_withdraw(&voter, &owner)
		}

		/// Pays out what somebody else's vote has waited for, to that voter.
		///
		/// - `voter`: who is paid.
		/// - `owner`: the staker whose pool it had been in.
		#[pallet::call_index(4)]
		#[pallet::weight(T::WeightInfo::withdraw())]
		pub fn withdraw_for(
			origin: OriginFor<T>,
			voter: T::AccountId,
			owner: T::AccountId,
		) -> DispatchResult {
			ensure_signed(origin)?;
			Self::do_withdraw(&voter, &owner)
		}

		/// Hands your operator's work to another account, at once. What the old one had promised the new one must do.
		///
		/// - `operator`: an account that works for no pool yet.
		#[pallet::call_index(5)]
		#[pallet::weight(T::WeightInfo::set_operator())]
		pub fn set_operator(origin: OriginFor<T>, operator: T::AccountId) -> DispatchResult {
			let owner = ensure_signed(origin)?;
			Self::do_set_operator(owner, operator)
		}

		/// Introduces your operator anew.
		///
		/// - `intro`: replaces all that was said before.
		#[pallet::call_index(6)]
		#[pallet::weight(T::WeightInfo::set_intro())]
		pub fn set_intro(origin: OriginFor<T>, intro: Intro) -> DispatchResult {
			let owner = ensure_signed(origin)?;
			let pool = Pools::<T>::get(&owner).ok_or(Error::<T>::NotRegistered)?;
			Self::ensure_intro(pool.role, &intro)?;
			Intros::<T>::insert(&owner, intro);
			Self::deposit_event(Event::IntroSet { owner });
			Ok(())
		}
	}
}
