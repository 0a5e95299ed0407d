//! What a transaction costs.

use crate::{Balance, Balances, Runtime, RuntimeEvent, Stake};
use frame_support::{parameter_types, traits::ConstU8};
use pallet_transaction_payment::{FungibleAdapter, Multiplier, TargetedFeeAdjustment};
use sp_runtime::{traits::Bounded, FixedPointNumber, Perquintill};

parameter_types! {
	/// 10⁷ planck a picosecond of work: a thousandth of a CAI for 100 µs.
	pub const WeightPrice: Balance = 10_000_000;
	/// 10¹² planck a byte: a ten-thousandth of a CAI for a hundred bytes.
	pub const BytePrice: Balance = 1_000_000_000_000;
	/// Blocks fuller than a quarter make the next ones dearer, so that nobody crowds commits and reveals out of their deadlines for long.
	pub const TargetFullness: Perquintill = Perquintill::from_percent(25);
	/// The speed that Polkadot uses: 75 parts in a million of the distance from the target, a block.
	pub AdjustmentSpeed: Multiplier = Multiplier::saturating_from_rational(75, 1_000_000);
	pub MinMultiplier: Multiplier = Multiplier::saturating_from_rational(1, 10);
	pub MaxMultiplier: Multiplier = Bounded::max_value();
}

impl pallet_transaction_payment::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	// A part is the author's, the rest is burnt.
	type OnChargeTransaction = FungibleAdapter<Balances, Stake>;
	type OperationalFeeMultiplier = ConstU8<5>;
	type WeightToFee = frame_support::weights::ConstantMultiplier<Balance, WeightPrice>;
	type LengthToFee = frame_support::weights::ConstantMultiplier<Balance, BytePrice>;
	type FeeMultiplierUpdate =
		TargetedFeeAdjustment<Self, TargetFullness, AdjustmentSpeed, MinMultiplier, MaxMultiplier>;
	type WeightInfo = pallet_transaction_payment::weights::SubstrateWeight<Runtime>;
}
