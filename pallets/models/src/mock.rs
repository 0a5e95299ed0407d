use crate as pallet_models;
use cuckoo_primitives::Balance;
use frame_support::{derive_impl, parameter_types};
use sp_runtime::BuildStorage;

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
	pub type Models = pallet_models;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
	type Block = frame_system::mocking::MockBlock<Test>;
	type AccountData = pallet_balances::AccountData<Balance>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
	type Balance = Balance;
	type AccountStore = System;
	type ExistentialDeposit = frame_support::traits::ConstU128<1>;
}

parameter_types! {
	pub const Deposit: Balance = 100;
	pub const LeastFee: Balance = 5;
	pub const MaxWorkWindow: u32 = 1_000;
	pub const LeastAgree: u32 = 200;
	pub const MostWrong: u32 = 500_000;
	pub const MaxReference: u32 = 600_000;
}

impl pallet_models::Config for Test {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type WeightInfo = crate::weights::Estimate<Test>;
	type Deposit = Deposit;
	type LeastFee = LeastFee;
	type MaxWorkWindow = MaxWorkWindow;
	type LeastAgree = LeastAgree;
	type MostWrong = MostWrong;
	type MaxReference = MaxReference;
}

pub const RICH: u64 = 1;
pub const POOR: u64 = 2;

/// A chain on which nobody has anything.
#[cfg(feature = "runtime-benchmarks")]
pub fn new_test_ext() -> sp_io::TestExternalities {
	frame_system::GenesisConfig::<Test>::default().build_storage().unwrap().into()
}

/// Runs a test on a chain with one rich and one poor account and checks `try_state` after it.
pub fn run(test: impl FnOnce()) {
	let mut storage = frame_system::GenesisConfig::<Test>::default().build_storage().unwrap();
	pallet_balances::GenesisConfig::<Test> {
		balances: vec![(RICH, 1_000), (POOR, 50)],
		..Default::default()
	}
	.assimilate_storage(&mut storage)
	.unwrap();
	sp_io::TestExternalities::from(storage).execute_with(|| {
		System::set_block_number(1);
		test();
		Models::do_try_state().unwrap();
	});
}
