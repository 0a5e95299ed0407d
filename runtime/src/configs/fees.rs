//! What a transaction costs.

use crate::{Balance, Balances, Runtime, RuntimeEvent};
use frame_support::{parameter_types, traits::ConstU8};
use pallet_transaction_payment::{ConstFeeMultiplier, FungibleAdapter, Multiplier};
use sp_runtime::traits::One;

parameter_types! {
	/// 10⁷ planck a picosecond of work: a thousandth of a CAI for 100 µs.
	pub const WeightPrice: Balance = 10_000_000;
	/// 10¹² planck a byte: a ten-thousandth of a CAI for a hundred bytes.
	pub const BytePrice: Balance = 1_000_000_000_000;
	pub FeeMultiplier: Multiplier = Multiplier::one();
}

impl pallet_transaction_payment::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	// Fees are burnt.
	type OnChargeTransaction = FungibleAdapter<Balances, ()>;
	type OperationalFeeMultiplier = ConstU8<5>;
	type WeightToFee = frame_support::weights::ConstantMultiplier<Balance, WeightPrice>;
	type LengthToFee = frame_support::weights::ConstantMultiplier<Balance, BytePrice>;
	type FeeMultiplierUpdate = ConstFeeMultiplier<FeeMultiplier>;
	type WeightInfo = pallet_transaction_payment::weights::SubstrateWeight<Runtime>;
}
