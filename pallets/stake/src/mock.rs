use crate as pallet_stake;
use crate::{types::Intro, validators::Sessions, Operators, Pools};
use cuckoo_primitives::{
	traits::{OnWeightChange, Work},
	Balance, Role, CAI,
};
use frame_support::{
	derive_impl, dispatch::DispatchResult, parameter_types, traits::Hooks, PalletId,
};
use sp_runtime::{traits::IdentityLookup, AccountId32, BuildStorage, Perbill};
use std::collections::BTreeMap;

#[frame_support::runtime]
mod runtime {
	#[runtime::runtime]
	#[runtime::derive(
		RuntimeCall,
		RuntimeEvent,
		RuntimeError,
		RuntimeOrigin,
		RuntimeFreezeReason,
		RuntimeHoldReason,
		RuntimeSlashReason,
		RuntimeLockId,
		RuntimeTask,
		RuntimeViewFunction
	)]
	pub struct Test;

	#[runtime::pallet_index(0)]
	pub type System = frame_system;
	#[runtime::pallet_index(1)]
	pub type Balances = pallet_balances;
	#[runtime::pallet_index(2)]
	pub type Stake = pallet_stake;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
	type Block = frame_system::mocking::MockBlockU32<Test>;
	type AccountId = AccountId32;
	type Lookup = IdentityLookup<AccountId32>;
	type AccountData = pallet_balances::AccountData<Balance>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
	type Balance = Balance;
	type AccountStore = System;
	type ExistentialDeposit = frame_support::traits::ConstU128<1>;
}

parameter_types! {
	pub const PotId: PalletId = PalletId(*b"ck/stake");
	pub const MinVote: Balance = CAI;
	pub const RegistrationDeposit: Balance = 10 * CAI;
	pub const MaxValidators: u32 = 3;
	pub const SessionMemory: u32 = 12;
	// Parameters, which tests may change. Nothing is minted and burnt unless a test says so.
	pub static MinValidatorBond: Balance = 100_000 * CAI;
	pub static MinCoordinatorBond: Balance = 2_000_000 * CAI;
	pub static MinMinerBond: Balance = 20_000 * CAI;
	pub static MaxCommission: Perbill = Perbill::from_percent(50);
	pub static MaxCommissionStep: Perbill = Perbill::from_percent(5);
	pub static CommissionNotice: u32 = 2;
	pub static EraLength: u32 = 10;
	pub static BondingEras: u32 = 3;
	pub static StakingPot: Balance = 110_000_000 * CAI;
	pub static StakingPerEra: Balance = 0;
	pub static BlockReward: Balance = 0;
	pub static AuthorFees: Perbill = Perbill::from_percent(50);
	pub static MiningPot: Balance = 300_000_000 * CAI;
	pub static MiningBonus: Perbill = Perbill::zero();
	pub static FeeBurn: Perbill = Perbill::zero();
	pub static ProverShare: Perbill = Perbill::from_percent(40);
	pub static JailEras: u32 = 2;
	// What the other pallets know.
	/// The pools that the draw was told of, with what it was told last.
	pub static Weights: BTreeMap<AccountId32, Balance> = BTreeMap::new();
	/// The owners whose operators have something to do.
	pub static Working: Vec<AccountId32> = Vec::new();
	pub static AtRisk: BTreeMap<AccountId32, Balance> = BTreeMap::new();
	/// The validators without session keys.
	pub static Keyless: Vec<AccountId32> = Vec::new();
	/// The validators with other keys than those of the next session.
	pub static Rekeyed: Vec<AccountId32> = Vec::new();
	/// The validators that make blocks.
	pub static Active: Vec<AccountId32> = Vec::new();
	/// The validators that were disabled.
	pub static Disabled: Vec<AccountId32> = Vec::new();
}

/// Keeps what the draw was told last of each pool.
pub struct LastWeight;

impl LastWeight {
	pub fn of(owner: &AccountId32) -> Option<Balance> {
		Weights::get().get(owner).copied()
	}
}

impl OnWeightChange<AccountId32> for LastWeight {
	fn weight_changed(owner: &AccountId32, _: Role, weight: Balance) {
		Weights::mutate(|all| all.insert(owner.clone(), weight));
	}
	fn weight_changed_weight() -> frame_support::weights::Weight {
		Default::default()
	}
}

/// What operators have taken on.
pub struct Tasks;

impl Work<AccountId32> for Tasks {
	fn is_working(owner: &AccountId32) -> bool {
		Working::get().contains(owner)
	}
	fn at_risk(owner: &AccountId32) -> Balance {
		AtRisk::get().get(owner).copied().unwrap_or(0)
	}
	fn forget(owner: &AccountId32) {
		AtRisk::mutate(|all| all.remove(owner));
	}
}

/// Validators have keys unless a test takes them away.
pub struct Keys;

impl Sessions<AccountId32> for Keys {
	fn has_keys(owner: &AccountId32) -> bool {
		let validator = Pools::<Test>::get(owner).is_some_and(|p| p.role == Role::Validator);
		validator && !Keyless::get().contains(owner)
	}
	fn has_new_keys(owner: &AccountId32) -> bool {
		Rekeyed::get().contains(owner)
	}
	fn is_active(owner: &AccountId32) -> bool {
		Active::get().contains(owner)
	}
	fn purge_keys(operator: AccountId32) -> DispatchResult {
		let owner = Operators::<Test>::get(operator).unwrap();
		Keyless::mutate(|all| all.push(owner));
		Ok(())
	}
	fn purge_keys_weight() -> frame_support::weights::Weight {
		Default::default()
	}
	fn disable(owner: &AccountId32, _: Perbill) {
		Disabled::mutate(|all| all.push(owner.clone()));
	}
	fn forget_before(_: u32) {}
}

impl pallet_stake::Config for Test {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type OnWeightChange = LastWeight;
	type Work = Tasks;
	type Sessions = Keys;
	type WeightInfo = crate::weights::Estimate<Test>;
	type PotId = PotId;
	type MinVote = MinVote;
	type RegistrationDeposit = RegistrationDeposit;
	type MaxValidators = MaxValidators;
	type SessionMemory = SessionMemory;
	type MinValidatorBond = MinValidatorBond;
	type MinCoordinatorBond = MinCoordinatorBond;
	type MinMinerBond = MinMinerBond;
	type MaxCommission = MaxCommission;
	type MaxCommissionStep = MaxCommissionStep;
	type CommissionNotice = CommissionNotice;
	type EraLength = EraLength;
	type BondingEras = BondingEras;
	type StakingPot = StakingPot;
	type StakingPerEra = StakingPerEra;
	type BlockReward = BlockReward;
	type AuthorFees = AuthorFees;
	type MiningPot = MiningPot;
	type MiningBonus = MiningBonus;
	type FeeBurn = FeeBurn;
	type ProverShare = ProverShare;
	type JailEras = JailEras;
}

pub fn account(n: u8) -> AccountId32 {
	AccountId32::new([n; 32])
}

pub fn intro(name: &str, endpoint: &str) -> Intro {
	Intro {
		name: name.as_bytes().to_vec().try_into().unwrap(),
		endpoint: endpoint.as_bytes().to_vec().try_into().unwrap(),
		..Default::default()
	}
}

/// Every account 1 to 20 starts with this much.
pub const START: Balance = 5_000_000 * CAI;

/// Runs a test on a chain with twenty rich accounts and checks `try_state` after it.
pub fn run(test: impl FnOnce()) {
	Weights::take();
	let mut storage = frame_system::GenesisConfig::<Test>::default().build_storage().unwrap();
	pallet_balances::GenesisConfig::<Test> {
		balances: (1..=20).map(|n| (account(n), START)).collect(),
		..Default::default()
	}
	.assimilate_storage(&mut storage)
	.unwrap();
	sp_io::TestExternalities::from(storage).execute_with(|| {
		System::set_block_number(1);
		test();
		Stake::do_try_state().unwrap();
	});
}

/// A chain on which everything that can be minted or burnt is, and where the benchmarks' caller has no session keys.
#[cfg(feature = "runtime-benchmarks")]
pub fn new_test_ext() -> sp_io::TestExternalities {
	StakingPerEra::set(1_000 * CAI);
	BlockReward::set(CAI);
	MiningBonus::set(Perbill::from_percent(10));
	FeeBurn::set(Perbill::from_percent(10));
	Keyless::set(vec![frame_benchmarking::whitelisted_caller()]);
	frame_system::GenesisConfig::<Test>::default().build_storage().unwrap().into()
}

/// Goes on block by block until an era has this number.
pub fn run_to_era(era: u32) {
	while pallet_stake::CurrentEra::<Test>::get().index < era {
		let next = System::block_number() + 1;
		Stake::on_finalize(next - 1);
		System::set_block_number(next);
		Stake::on_initialize(next);
	}
}

/// Registers a pool with this bond and a commission of 10 %; its operator is the account 100 higher.
pub fn register(n: u8, role: Role, bond: Balance) -> DispatchResult {
	let endpoint = if role == Role::Coordinator { "http://c" } else { "" };
	let (owner, commission) = (RuntimeOrigin::signed(account(n)), Perbill::from_percent(10));
	Stake::register(owner, role, account(n + 100), intro("m", endpoint), commission, bond)
}

/// Registers a miner with this bond.
pub fn miner(n: u8, bond: Balance) {
	register(n, Role::Miner, bond).unwrap();
}

/// Registers a validator with this bond.
pub fn validator(n: u8, bond: Balance) {
	register(n, Role::Validator, bond).unwrap();
}

/// What an account's votes are worth, all together.
pub fn worth(n: u8) -> Balance {
	Stake::position(account(n)).iter().map(|position| position.worth).sum()
}

/// Pays a reward into a pool, as the pallet that hands out work does.
pub fn reward(n: u8, amount: Balance) {
	use cuckoo_primitives::traits::Pools;
	use frame_support::traits::fungible::Mutate;
	Balances::mint_into(&Stake::pot_account(), amount).unwrap();
	Stake::pay(&account(n), amount).unwrap();
}
