//! Stake, models and tasks: what the project is about.

use super::{
	consensus::{MaxValidators, SessionMemory},
	parameters::{stake as parameters, tasks as rules},
};
use crate::{
	AccountId, Balance, Balances, BlockNumber, Historical, Models, Runtime, RuntimeHoldReason,
	RuntimeOrigin, Session, Sortition, Stake, Tasks, CAI, DAYS, HOURS, MINUTES,
};
use frame_support::{
	dispatch::DispatchResult,
	parameter_types,
	traits::ValidatorRegistration,
	weights::{constants::WEIGHT_REF_TIME_PER_MILLIS, Weight},
	PalletId,
};
use pallet_tasks::DrawSet;
use sp_runtime::Perbill;
use sp_staking::{offence::OffenceSeverity, SessionIndex};

parameter_types! {
	pub const PotId: PalletId = PalletId(*b"ck/stake");
	pub const MinVote: Balance = CAI;
	pub const RegistrationDeposit: Balance = 10 * CAI;
}

/// What elections and offences need of the sessions.
pub struct Sessions;

impl pallet_stake::Sessions<AccountId> for Sessions {
	fn has_keys(owner: &AccountId) -> bool {
		Session::is_registered(owner)
	}

	fn has_new_keys(owner: &AccountId) -> bool {
		let queued = Session::queued_keys();
		let queued = queued.iter().find(|(validator, _)| validator == owner);
		queued.is_some_and(|(_, keys)| Session::load_keys(owner).as_ref() != Some(keys))
	}

	fn is_active(owner: &AccountId) -> bool {
		let queued = Session::queued_keys();
		Session::validators().contains(owner) || queued.iter().any(|(queued, _)| queued == owner)
	}

	fn purge_keys(operator: AccountId) -> DispatchResult {
		Session::purge_keys(RuntimeOrigin::signed(operator))
	}

	fn purge_keys_weight() -> Weight {
		use pallet_session::WeightInfo;
		<Runtime as pallet_session::Config>::WeightInfo::purge_keys()
	}

	fn disable(owner: &AccountId, fraction: Perbill) {
		Session::report_offence(owner.clone(), OffenceSeverity(fraction));
	}

	fn forget_before(session: SessionIndex) {
		Historical::prune_up_to(session);
	}
}

impl pallet_stake::Config for Runtime {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type OnWeightChange = Tasks;
	type Work = Tasks;
	type Sessions = Sessions;
	type WeightInfo = crate::weights::pallet_stake::WeightInfo<Runtime>;
	type PotId = PotId;
	type MinVote = MinVote;
	type RegistrationDeposit = RegistrationDeposit;
	type MaxValidators = MaxValidators;
	type SessionMemory = SessionMemory;
	type MinValidatorBond = parameters::MinValidatorBond;
	type MinCoordinatorBond = parameters::MinCoordinatorBond;
	type MinMinerBond = parameters::MinMinerBond;
	type MaxCommission = parameters::MaxCommission;
	type MaxCommissionStep = parameters::MaxCommissionStep;
	type CommissionNotice = parameters::CommissionNotice;
	type EraLength = parameters::EraLength;
	type BondingEras = parameters::BondingEras;
	type StakingPot = parameters::StakingPot;
	type StakingPerEra = parameters::StakingPerEra;
	type BlockReward = parameters::BlockReward;
	type AuthorFees = parameters::AuthorFees;
	type MiningPot = parameters::MiningPot;
	type MiningBonus = parameters::MiningBonus;
	type FeeBurn = parameters::FeeBurn;
	type ProverShare = parameters::ProverShare;
	type JailEras = parameters::JailEras;
}

impl pallet_sortition::Config for Runtime {
	type SetId = DrawSet;
	type Member = AccountId;
}

parameter_types! {
	pub const ModelDeposit: Balance = 100 * CAI;
	pub const LeastFee: Balance = CAI / 100;
	pub const MaxWorkWindow: BlockNumber = HOURS;
	/// The noise of a sketch's 16 bits.
	pub const LeastAgree: u32 = 200;
	/// Half the size of a result.
	pub const MostWrong: u32 = 500_000;
	/// Ten minutes.
	pub const MaxReference: u32 = 600_000;
}

impl pallet_models::Config for Runtime {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type WeightInfo = crate::weights::pallet_models::WeightInfo<Runtime>;
	type Deposit = ModelDeposit;
	type LeastFee = LeastFee;
	type MaxWorkWindow = MaxWorkWindow;
	type LeastAgree = LeastAgree;
	type MostWrong = MostWrong;
	type MaxReference = MaxReference;
}

parameter_types! {
	pub const MaxItems: u32 = 65_536;
	pub const MaxSlots: u32 = 64;
	pub const MaxOpenTasks: u32 = 2_000;
	pub const MaxWait: BlockNumber = DAYS;
	pub const RandomnessDelay: BlockNumber = 2;
	/// Far below the time that stake waits before it is paid out.
	pub const MaxWindow: BlockNumber = DAYS;
	/// Twelve seconds: two blocks of them for the coordinator to see that nothing was delivered, and one to say so.
	pub const LotteryDelay: BlockNumber = 4;
	pub const Patience: BlockNumber = MINUTES / 2;
	pub const RevealWindow: BlockNumber = MINUTES;
	pub const ReceiptLife: BlockNumber = DAYS;
	/// A third of a block: half of it must fit the judgement of a full second court.
	pub const HookBudget: Weight = Weight::from_parts(500 * WEIGHT_REF_TIME_PER_MILLIS, u64::MAX);
}

/// Has the parent block have a VRF, for benchmarks.
#[cfg(feature = "runtime-benchmarks")]
pub struct ParentVrf;

#[cfg(feature = "runtime-benchmarks")]
impl pallet_tasks::SetRandomness for ParentVrf {
	fn set_randomness(value: crate::Hash) {
		pallet_babe::AuthorVrfRandomness::<Runtime>::put(Some(value.0));
	}
}

impl pallet_tasks::Config for Runtime {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type Pools = Stake;
	type Models = Models;
	type Sets = Sortition;
	type Randomness = pallet_babe::ParentBlockRandomness<Runtime>;
	type WeightInfo = crate::weights::pallet_tasks::WeightInfo<Runtime>;
	type MaxItems = MaxItems;
	type MaxSlots = MaxSlots;
	type MaxOpenTasks = MaxOpenTasks;
	type MaxWait = MaxWait;
	type RandomnessDelay = RandomnessDelay;
	type MaxWindow = MaxWindow;
	type LotteryDelay = LotteryDelay;
	type Patience = Patience;
	type RevealWindow = RevealWindow;
	type ReceiptLife = ReceiptLife;
	type Verifiers = rules::Verifiers;
	type SampleSize = rules::SampleSize;
	type CleanAudits = rules::CleanAudits;
	type LeastAuditRate = rules::LeastAuditRate;
	type WrongResultSlash = rules::WrongResultSlash;
	type WrongJurorSlash = rules::WrongJurorSlash;
	type NoRevealSlash = rules::NoRevealSlash;
	type NoCommitmentSlash = rules::NoCommitmentSlash;
	type ChallengeBond = rules::ChallengeBond;
	type RepeatedSlash = rules::RepeatedSlash;
	type FaultMemory = rules::FaultMemory;
	type HookBudget = HookBudget;
	#[cfg(feature = "runtime-benchmarks")]
	type SetRandomness = ParentVrf;
}
