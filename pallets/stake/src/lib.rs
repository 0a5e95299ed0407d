#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]
#![deny(rustdoc::broken_intra_doc_links)]

extern crate alloc;

pub use pallet::*;
pub use types::{Bucket, Claim, Era, Intro, Issued, Pool, Raise};
pub use validators::{OwnerOf, Sessions};
pub use weights::WeightInfo;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod mock;
mod pools;
mod registration;
mod rewards;
mod slashing;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "std", feature = "try-runtime"))]
mod try_state;
pub mod types;
mod validators;
mod views;
mod voting;
pub mod weights;

#[frame_support::pallet]
pub mod pallet {
	use super::*;
	use alloc::vec::Vec;
	use cuckoo_primitives::{
		traits::{OnWeightChange, Work},
		views::{Obstacle, OperatorView, PositionView, Slash},
		Balance, BlockNumber, EraIndex, Role, SlashReason,
	};
	use frame_support::{
		pallet_prelude::*,
		traits::fungible::{Balanced, Mutate, MutateHold},
		PalletId,
	};
	use frame_system::pallet_prelude::{ensure_signed, BlockNumberFor, OriginFor};
	use sp_runtime::{Perbill, SaturatedConversion};
	use sp_staking::SessionIndex;

	/// The most eras of one pool that a voter can wait for at a time. Stops a voter from growing the list that `withdraw` reads.
	pub const MAX_CLAIMS: u32 = 32;
	/// The most slashes that are remembered of a pool. More than there are eras in which an equivocation can be judged, so that none is forgotten before that.
	pub const MAX_SLASHES: u32 = 32;
	/// How many eras back, the present one included, a slash reaches at most: the longest waiting time, and as long again for disputes that keep stake from leaving.
	pub const MAX_LIABLE_ERAS: u32 = 64;

	#[pallet::config]
	pub trait Config:
		frame_system::Config<RuntimeEvent: From<Event<Self>>, AccountId = sp_runtime::AccountId32>
	{
		/// CAI.
		type Currency: Balanced<Self::AccountId, Balance = Balance>
			+ Mutate<Self::AccountId>
			+ MutateHold<Self::AccountId, Reason = Self::RuntimeHoldReason>;
		/// The reason why a deposit is held.
		type RuntimeHoldReason: From<HoldReason>;
		/// Told when a pool's weight in the draw has changed.
		type OnWeightChange: OnWeightChange<Self::AccountId>;
		/// What operators have taken on.
		type Work: Work<Self::AccountId>;
		/// The sessions in which validators make blocks.
		type Sessions: Sessions<Self::AccountId>;
		/// What the calls cost.
		type WeightInfo: WeightInfo;

		/// Names the account that holds all stake.
		#[pallet::constant]
		type PotId: Get<PalletId>;
		/// The least that a vote may be worth, in planck. Keeps votes far above the rounding of a share, and storage from filling with dust.
		#[pallet::constant]
		type MinVote: Get<Balance>;
		/// Held from an owner for its introduction, in planck. Pays for the storage.
		#[pallet::constant]
		type RegistrationDeposit: Get<Balance>;
		/// How many validators make blocks at most.
		#[pallet::constant]
		type MaxValidators: Get<u32>;
		/// For how many sessions the era they began in is remembered: at least as many as there are in `BondingEras`.
		#[pallet::constant]
		type SessionMemory: Get<u32>;

		// Parameters that may change while the chain runs: no storage is bounded by one, and none is in the metadata's constants.

		/// A validator's own bond must be worth more than this, in planck.
		type MinValidatorBond: Get<Balance>;
		/// A coordinator's own bond must be worth more than this, in planck.
		type MinCoordinatorBond: Get<Balance>;
		/// A miner's own bond must be worth more than this, in planck.
		type MinMinerBond: Get<Balance>;
		/// The most that an owner may keep of what its voters earn.
		type MaxCommission: Get<Perbill>;
		/// The most by which an owner may raise its commission at a time.
		type MaxCommissionStep: Get<Perbill>;
		/// How many eras before it is in force a higher commission is announced: never fewer than [`Config::BondingEras`].
		type CommissionNotice: Get<EraIndex>;
		/// How long an era is, in blocks.
		type EraLength: Get<BlockNumber>;
		/// How many eras lie between leaving a pool and being paid out; fewer than [`MAX_CLAIMS`]. Outlasts the longest task, challenge and court together,
		/// so that nobody leaves before what it did is judged.
		type BondingEras: Get<EraIndex>;
		/// How much staking may ever be rewarded with, in planck.
		type StakingPot: Get<Balance>;
		/// What all stake earns in an era, in planck.
		type StakingPerEra: Get<Balance>;
		/// What the author of a block earns beside the fees, in planck, out of the staking pot.
		type BlockReward: Get<Balance>;
		/// The author's part of a block's transaction fees; the rest is burnt.
		type AuthorFees: Get<Perbill>;
		/// How much mining may ever be rewarded with, in planck.
		type MiningPot: Get<Balance>;
		/// What of a task's fee is added to it out of the mining pot; never more than [`Config::FeeBurn`], or paying oneself would pay.
		type MiningBonus: Get<Perbill>;
		/// What of a task's fee is burnt.
		type FeeBurn: Get<Perbill>;
		/// What of an owner's loss by a slash goes to whoever proved the offence; the rest, and all that voters lose, is burnt.
		type ProverShare: Get<Perbill>;
		/// How many eras a jailed operator stays out at least.
		type JailEras: Get<EraIndex>;
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

	/// How many disputes are open in which a pool may be slashed, by owner.
	#[pallet::storage]
	pub type Disputes<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, u32, ValueQuery>;

	/// The last slashes of each pool, oldest first, by owner.
	#[pallet::storage]
	pub type SlashHistory<T: Config> = StorageMap<
		_,
		Blake2_128Concat,
		T::AccountId,
		BoundedVec<Slash, ConstU32<MAX_SLASHES>>,
		ValueQuery,
	>;

	/// The present era.
	#[pallet::storage]
	pub type CurrentEra<T: Config> = StorageValue<_, Era, ValueQuery>;

	/// What a planck of weight has earned since the genesis, in units of 10⁻²⁷ planck.
	#[pallet::storage]
	pub type RewardIndex<T: Config> = StorageValue<_, Balance, ValueQuery>;

	/// The sum of all pools' weights, in planck.
	#[pallet::storage]
	pub type TotalWeight<T: Config> = StorageValue<_, Balance, ValueQuery>;

	/// What was minted for pools and is not in them yet, in planck.
	#[pallet::storage]
	pub type Unsettled<T: Config> = StorageValue<_, Balance, ValueQuery>;

	/// What was minted and burnt.
	#[pallet::storage]
	pub type Issuance<T: Config> = StorageValue<_, Issued, ValueQuery>;

	/// The author's part of the transaction fees of this block, in planck.
	#[pallet::storage]
	pub type Fees<T: Config> = StorageValue<_, Balance, ValueQuery>;

	/// The owner of the pool whose operator makes this block.
	#[pallet::storage]
	pub type Author<T: Config> = StorageValue<_, T::AccountId, OptionQuery>;

	/// The owners of the validators that may be elected: those with a weight. With [`Config::MinValidatorBond`] locked for each there cannot be very many.
	#[pallet::storage]
	pub type Candidates<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, (), OptionQuery>;

	/// The owners of the validators elected last, in the order of their accounts.
	#[pallet::storage]
	pub type Elected<T: Config> =
		StorageValue<_, BoundedVec<T::AccountId, T::MaxValidators>, ValueQuery>;

	/// The era in which each session began.
	#[pallet::storage]
	pub type SessionEras<T> = StorageMap<_, Twox64Concat, SessionIndex, EraIndex, OptionQuery>;

	#[pallet::genesis_config]
	#[derive(frame_support::DefaultNoBound)]
	pub struct GenesisConfig<T: Config> {
		/// The pools of validators and miners at the start: owner, operator, role, and bond in planck.
		pub pools: Vec<(T::AccountId, T::AccountId, Role, Balance)>,
	}

	#[pallet::genesis_build]
	impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
		fn build(&self) {
			for (owner, operator, role, bond) in &self.pools {
				let name = b"genesis".to_vec().try_into();
				let intro = Intro { name: name.unwrap_or_default(), ..Default::default() };
				let (owner, operator) = (owner.clone(), operator.clone());
				let done =
					Pallet::<T>::do_register(owner, *role, operator, intro, Perbill::zero(), *bond);
				assert!(done.is_ok(), "a pool of the genesis cannot be registered: {done:?}");
			}
		}
	}

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
			/// What all stake earned for the one before, in planck. A pool takes its part in whenever something of it changes.
			reward: Balance,
		},
		/// A pool has another commission.
		CommissionSet {
			/// The pool's owner.
			owner: T::AccountId,
			/// The owner's share of what the voters earn, from now on.
			commission: Perbill,
		},
		/// A pool will have a higher commission.
		CommissionRaiseAnnounced {
			/// The pool's owner.
			owner: T::AccountId,
			/// The owner's share of what the voters earn.
			commission: Perbill,
			/// From the pool's first settlement in this era or later.
			from_era: EraIndex,
		},
		/// An owner took its operator out of draws and elections.
		Chilled {
			/// The pool's owner.
			owner: T::AccountId,
		},
		/// An operator was caught cheating and is out of draws and elections.
		Jailed {
			/// The pool's owner.
			owner: T::AccountId,
			/// The first era in which the owner can bring it back with `unjail`.
			until: EraIndex,
		},
		/// A chilled or jailed operator is back in draws and elections.
		Unjailed {
			/// The pool's owner.
			owner: T::AccountId,
		},
		/// A staker left: its operator has no role any more. Its voters can take their votes back.
		Unregistered {
			/// The staker.
			owner: T::AccountId,
		},
		/// A pool, and what had left it since the offence, was slashed: the owner's part first, then all voters alike.
		Slashed {
			/// The pool's owner.
			owner: T::AccountId,
			/// For what.
			reason: SlashReason,
			/// The era of the offence.
			era: EraIndex,
			/// How much, in planck.
			amount: Balance,
			/// What of it was the owner's own, in planck.
			own: Balance,
			/// What of it went to whoever proved the offence, in planck. The rest was burnt.
			proved: Balance,
		},
		/// Validators were elected for a later session.
		ValidatorsElected {
			/// The session that they make blocks in.
			session: SessionIndex,
			/// How many there are.
			count: u32,
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
		/// The commission may not be raised by so much at a time.
		CommissionStepTooLarge,
		/// The pool was jailed, and its time is not over.
		StillJailed,
		/// The operator is neither chilled nor jailed.
		NotChilled,
		/// This staker has left; it can register again once everything of its old pool has been taken out and the waiting time is over.
		Retired,
		/// The operator is online, or has taken on work that is not finished: let it go offline and finish first.
		StillWorking,
		/// The validator has session keys: let its operator call `stake.purgeKeys` first.
		PurgeKeysFirst,
		/// The validator makes blocks in this session or is elected for a later one: its owner calls `stake.chill`, and half an hour later it is not.
		StillElected,
		/// The pool's shares are so few and dear that rounding would take more than a millionth of what leaves: take all of it out, or what whole shares are worth.
		RoundingTooLarge,
		/// A dispute is open in which the pool may be slashed: nothing can be withdrawn until it is over.
		Disputed,
		/// The operator has taken on work for which the owner's bond is at risk: that much of it stays until the work is done.
		StakeAtRisk,
		/// What left the pool in this era was slashed to nothing: take the rest out in the next era.
		WaitForNextEra,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn on_initialize(now: BlockNumberFor<T>) -> Weight {
			let turned = Self::turn_era(now.saturated_into());
			let turning =
				if turned { T::WeightInfo::turn_era() } else { T::WeightInfo::same_era() };
			turning.saturating_add(T::WeightInfo::on_finalize())
		}

		fn on_finalize(_: BlockNumberFor<T>) {
			Self::pay_author();
		}

		fn integrity_test() {
			assert!(T::MinVote::get() > 0, "a vote must buy at least one share");
			assert!(T::MaxValidators::get() > 0, "somebody must make blocks");
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::view_functions]
	impl<T: Config> Pallet<T> {
		/// The pool of an owner, or the one that an account operates.
		pub fn operator(account: T::AccountId) -> Option<OperatorView> {
			Self::view_operator(account)
		}

		/// Operators of a role, richest pool first: at most 100 from `start` on.
		pub fn operators(role: Role, start: u32, limit: u32) -> Vec<OperatorView> {
			Self::view_operators(role, start, limit)
		}

		/// What a staker's votes are worth, and what waits to be withdrawn.
		pub fn position(who: T::AccountId) -> Vec<PositionView> {
			Self::view_position(who)
		}

		/// Why the operator of a pool is in no draw and no election, so far as its stake is concerned. Nothing if it is.
		pub fn obstacles(account: T::AccountId) -> Vec<Obstacle> {
			Self::view_obstacles(account)
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
		/// - `bond`: your own stake, in planck: more than the role's minimum (by default 2,000,000 CAI for a coordinator, 100,000 CAI for a validator, 20,000 CAI
		///   for a miner).
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
		#[pallet::weight(T::WeightInfo::set_operator().saturating_add(T::OnWeightChange::weight_changed_weight()))]
		pub fn set_operator(origin: OriginFor<T>, operator: T::AccountId) -> DispatchResult {
			let owner = ensure_signed(origin)?;
			Self::do_set_operator(owner, operator)
		}

		/// Introduces your operator anew.
		///
		/// - `intro`: replaces all that was said before.
		#[pallet::call_index(6)]
		#[pallet::weight(T::WeightInfo::set_intro().saturating_add(T::OnWeightChange::weight_changed_weight()))]
		pub fn set_intro(origin: OriginFor<T>, intro: Intro) -> DispatchResult {
			let owner = ensure_signed(origin)?;
			Self::do_set_intro(owner, intro)
		}

		/// Sets the owner's share of what your voters earn. Lower is in force at once; higher is announced, and in force from the pool's first settlement after the
		/// notice period on. What came in before is shared out at the old rate.
		///
		/// - `commission`: the new share, at most the highest allowed and at most one step higher than now.
		#[pallet::call_index(7)]
		#[pallet::weight(T::WeightInfo::set_commission().saturating_add(T::OnWeightChange::weight_changed_weight()))]
		pub fn set_commission(origin: OriginFor<T>, commission: Perbill) -> DispatchResult {
			let owner = ensure_signed(origin)?;
			Self::do_set_commission(owner, commission)
		}

		/// Takes your operator out of draws and elections, until `unjail`. What it has taken on it must still finish; the pool earns nothing by its stake.
		#[pallet::call_index(8)]
		#[pallet::weight(T::WeightInfo::chill().saturating_add(T::OnWeightChange::weight_changed_weight()))]
		pub fn chill(origin: OriginFor<T>) -> DispatchResult {
			let owner = ensure_signed(origin)?;
			Self::do_chill(owner)
		}

		/// Leaves for good: your operator has no role any more, your own stake starts its waiting time, and your deposit comes back at once. Your voters can
		/// take their votes back at any time. The operator must be offline with nothing to finish, and not in jail.
		#[pallet::call_index(9)]
		#[pallet::weight(T::WeightInfo::unregister().saturating_add(T::OnWeightChange::weight_changed_weight()))]
		pub fn unregister(origin: OriginFor<T>) -> DispatchResult {
			let owner = ensure_signed(origin)?;
			Self::do_unregister(owner)
		}

		/// Brings your chilled operator back, or your jailed one once its time is over. The bond must be above the minimum.
		#[pallet::call_index(10)]
		#[pallet::weight(T::WeightInfo::unjail().saturating_add(T::OnWeightChange::weight_changed_weight()))]
		pub fn unjail(origin: OriginFor<T>) -> DispatchResult {
			let owner = ensure_signed(origin)?;
			Self::do_unjail(owner)
		}

		/// Brings a pool up to date: what it has earned is shared out, an announced commission is put in force if its time has come, and a changed minimum takes effect.
		/// Anybody may do it; every other call on a pool does it first.
		///
		/// - `owner`: the staker whose pool it is.
		#[pallet::call_index(11)]
		#[pallet::weight(T::WeightInfo::settle().saturating_add(T::OnWeightChange::weight_changed_weight()))]
		pub fn settle(origin: OriginFor<T>, owner: T::AccountId) -> DispatchResult {
			ensure_signed(origin)?;
			let pool = Self::settled(&owner).ok_or(Error::<T>::NotRegistered)?;
			Self::write_pool(&owner, pool);
			Ok(())
		}

		/// Takes the session keys of your validator away, and returns their deposit. Only once it is not elected any more: see `chill`.
		#[pallet::call_index(12)]
		#[pallet::weight(T::Sessions::purge_keys_weight().saturating_add(T::DbWeight::get().reads(4)))]
		pub fn purge_keys(origin: OriginFor<T>) -> DispatchResult {
			let operator = ensure_signed(origin)?;
			Self::do_purge_keys(operator)
		}
	}
}
