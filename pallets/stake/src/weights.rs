//! What calls and hooks cost. The runtime takes it from measurements (`scripts/weights`); mocks from an estimate: storage counted by hand, priced by
//! the database's weights, with a flat 50 µs for the rest.

use core::marker::PhantomData;
use frame_support::{
	traits::Get,
	weights::{constants::WEIGHT_REF_TIME_PER_MICROS, Weight},
};

/// What the calls cost.
pub trait WeightInfo {
	/// [`crate::Call::register`]
	fn register() -> Weight;
	/// [`crate::Call::vote`]
	fn vote() -> Weight;
	/// [`crate::Call::unvote`]
	fn unvote() -> Weight;
	/// [`crate::Call::withdraw`] and [`crate::Call::withdraw_for`], with a full list of claims
	fn withdraw() -> Weight;
	/// [`crate::Call::set_operator`]
	fn set_operator() -> Weight;
	/// [`crate::Call::set_intro`]
	fn set_intro() -> Weight;
	/// [`crate::Call::set_commission`]
	fn set_commission() -> Weight;
	/// [`crate::Call::chill`]
	fn chill() -> Weight;
	/// [`crate::Call::unregister`]
	fn unregister() -> Weight;
	/// [`crate::Call::unjail`]
	fn unjail() -> Weight;
	/// [`crate::Call::settle`]
	fn settle() -> Weight;
	/// The beginning of a block in which an era turns
	fn turn_era() -> Weight;
	/// The beginning of any other block
	fn same_era() -> Weight;
	/// The end of a block: its author is paid
	fn on_finalize() -> Weight;
	/// A slash of a pool and `b` of its buckets
	fn slash(b: u32) -> Weight;
}

/// The estimate.
pub struct Estimate<T>(PhantomData<T>);

impl<T: frame_system::Config> Estimate<T> {
	fn storage(reads: u64, writes: u64) -> Weight {
		Weight::from_parts(50 * WEIGHT_REF_TIME_PER_MICROS, 0)
			.saturating_add(T::DbWeight::get().reads_writes(reads, writes))
	}
}

impl<T: frame_system::Config> WeightInfo for Estimate<T> {
	fn register() -> Weight {
		Self::storage(7, 9)
	}
	fn vote() -> Weight {
		Self::storage(10, 6)
	}
	fn unvote() -> Weight {
		Self::storage(10, 7)
	}
	fn withdraw() -> Weight {
		let buckets = u64::from(crate::pallet::MAX_CLAIMS);
		Self::storage(4 + buckets, 3 + buckets)
	}
	fn set_operator() -> Weight {
		Self::storage(8, 7)
	}
	fn set_intro() -> Weight {
		Self::storage(6, 6)
	}
	fn set_commission() -> Weight {
		Self::storage(6, 5)
	}
	fn chill() -> Weight {
		Self::storage(6, 6)
	}
	fn unregister() -> Weight {
		Self::storage(12, 12)
	}
	fn unjail() -> Weight {
		Self::storage(6, 6)
	}
	fn settle() -> Weight {
		Self::storage(6, 5)
	}
	fn turn_era() -> Weight {
		Self::storage(5, 6)
	}
	fn same_era() -> Weight {
		Self::storage(1, 0)
	}
	fn on_finalize() -> Weight {
		Self::storage(9, 8)
	}
	fn slash(b: u32) -> Weight {
		Self::storage(12 + u64::from(b), 10 + u64::from(b))
	}
}
