use crate as pallet_stake;
use crate::types::Intro;
use cuckoo_primitives::{traits::OnWeightChange, Balance, Role, CAI};
use frame_support::{derive_impl, parameter_types, traits::Hooks, PalletId};
use sp_runtime::{traits::IdentityLookup, AccountId32, BuildStorage, Perbill};
use std::cell::RefCell;

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
	pub const MinValidatorBond: Balance = 100_000 * CAI;
	pub const MinCoordinatorBond: Balance = 2_000_000 * CAI;
	pub const MinMinerBond: Balance = 20_000 * CAI;
	pub const MinVote: Balance = CAI;
	pub const RegistrationDeposit: Balance = 10 * CAI;
	pub const MaxCommission: Perbill = Perbill::from_percent(50);
	pub const EraLength: u32 = 10;
	pub const BondingEras: u32 = 3;
}

thread_local! {
	static WEIGHTS: RefCell<Vec<(AccountId32, Balance)>> = const { RefCell::new(Vec::new()) };
}

/// Keeps what the draw was told last of each pool.
pub struct LastWeight;

impl LastWeight {
	pub fn of(owner: &AccountId32) -> Option<Balance> {
		WEIGHTS.with_borrow(|all| all.iter().rev().find(|(who, _)| who == owner).map(|(_, w)| *w))
	}
}

impl OnWeightChange<AccountId32> for LastWeight {
	fn weight_changed(owner: &AccountId32, _: Role, weight: Balance) {
		WEIGHTS.with_borrow_mut(|all| all.push((owner.clone(), weight)));
	}
	fn weight_changed_weight() -> frame_support::weights::Weight {
		Default::default()
	}
}

impl pallet_stake::Config for Test {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type OnWeightChange = LastWeight;
	type WeightInfo = crate::weights::Estimate<Test>;
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
	WEIGHTS.with_borrow_mut(Vec::clear);
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

/// Goes on block by block until an era has this number.
pub fn run_to_era(era: u32) {
	while pallet_stake::CurrentEra::<Test>::get().index < era {
		let next = System::block_number() + 1;
		System::set_block_number(next);
		Stake::on_initialize(next);
	}
}

/// Registers a miner with this bond; its operator is the account 100 higher.
pub fn miner(n: u8, bond: Balance) {
	Stake::register(
		RuntimeOrigin::signed(account(n)),
		Role::Miner,
		account(n + 100),
		intro("m", ""),
		Perbill::from_percent(10),
		bond,
	)
	.unwrap();
}

/// Pays a reward into a pool, as the pallet that hands out work does.
pub fn reward(n: u8, amount: Balance) {
	use cuckoo_primitives::traits::Pools;
	use frame_support::traits::fungible::Mutate;
	Balances::mint_into(&Stake::pot_account(), amount).unwrap();
	Stake::reward(&account(n), amount).unwrap();
}
