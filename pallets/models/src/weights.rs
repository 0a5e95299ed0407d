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
	/// [`crate::Call::suspend`]
	fn suspend() -> Weight;
	/// [`crate::Call::retire`]
	fn retire() -> Weight;
	/// [`crate::Call::calibrate`]
	fn calibrate() -> Weight;
	/// [`crate::Call::resume`]
	fn resume() -> Weight;
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
		Self::storage(3, 4)
	}
	fn suspend() -> Weight {
		Self::storage(1, 1)
	}
	fn retire() -> Weight {
		Self::storage(3, 3)
	}
	fn calibrate() -> Weight {
		Self::storage(1, 1)
	}
	fn resume() -> Weight {
		Self::storage(1, 1)
	}
}
