//! Stake, models and tasks: what the project is about.

use crate::{
	AccountId, Balance, Balances, BlockNumber, Models, Runtime, RuntimeHoldReason, Sortition,
	Stake, Tasks, CAI, DAYS, HOURS, MINUTES,
};
use frame_support::{
	parameter_types,
	weights::{constants::WEIGHT_REF_TIME_PER_MILLIS, Weight},
	PalletId,
};
use pallet_tasks::DrawSet;
use sp_runtime::Perbill;

parameter_types! {
	pub const PotId: PalletId = PalletId(*b"ck/stake");
	pub const MinValidatorBond: Balance = 100_000 * CAI;
	pub const MinCoordinatorBond: Balance = 2_000_000 * CAI;
	pub const MinMinerBond: Balance = 20_000 * CAI;
	pub const MinVote: Balance = CAI;
	pub const RegistrationDeposit: Balance = 10 * CAI;
	pub const MaxCommission: Perbill = Perbill::from_percent(50);
	pub const EraLength: BlockNumber = 6 * HOURS;
	/// Seven days: longer than a task, its challenge and its courts together.
	pub const BondingEras: u32 = 28;
}

impl pallet_stake::Config for Runtime {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type OnWeightChange = Tasks;
	type WeightInfo = pallet_stake::weights::Estimate<Runtime>;
	type PotId = PotId;
	type MinValidatorBond = MinValidatorBond;
	type MinCoordinatorBond = MinCoordinatorBond;
	type MinMinerBond = MinMinerBond;
	type MinVote = MinVote;
	type RegistrationDeposit = RegistrationDeposit;
	type MaxCommission = MaxCommission;
	type EraLength = EraLength;
	type BondingEras = BondingEras;
}

impl pallet_sortition::Config for Runtime {
	type SetId = DrawSet;
	type Member = AccountId;
}

parameter_types! {
	pub const ModelDeposit: Balance = 100 * CAI;
	pub const LeastFee: Balance = CAI / 100;
	pub const MaxWorkWindow: BlockNumber = HOURS;
}

impl pallet_models::Config for Runtime {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type WeightInfo = pallet_models::weights::Estimate<Runtime>;
	type Deposit = ModelDeposit;
	type LeastFee = LeastFee;
	type MaxWorkWindow = MaxWorkWindow;
}

parameter_types! {
	pub const MaxItems: u32 = 1;
	pub const MaxSlots: u32 = 64;
	pub const MaxOpenTasks: u32 = 2_000;
	pub const MaxWait: BlockNumber = DAYS;
	pub const RandomnessDelay: BlockNumber = 2;
	pub const RevealWindow: BlockNumber = MINUTES;
	pub const ReceiptLife: BlockNumber = DAYS;
	/// A fifth of a block.
	pub const HookBudget: Weight = Weight::from_parts(300 * WEIGHT_REF_TIME_PER_MILLIS, u64::MAX);
}

impl pallet_tasks::Config for Runtime {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type Pools = Stake;
	type Models = Models;
	type Sets = Sortition;
	type Randomness = pallet_babe::ParentBlockRandomness<Runtime>;
	type WeightInfo = pallet_tasks::weights::Estimate<Runtime>;
	type MaxItems = MaxItems;
	type MaxSlots = MaxSlots;
	type MaxOpenTasks = MaxOpenTasks;
	type MaxWait = MaxWait;
	type RandomnessDelay = RandomnessDelay;
	type RevealWindow = RevealWindow;
	type ReceiptLife = ReceiptLife;
	type HookBudget = HookBudget;
}
