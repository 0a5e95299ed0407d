//! What the calls cost. Storage is counted by hand here and priced by the database's weights, with a flat 50 µs a call for the rest;
//! `frame-benchmarking` replaces these figures.

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
	/// The turning of eras
	fn on_initialize() -> Weight;
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
		Self::storage(6, 8)
	}
	fn vote() -> Weight {
		Self::storage(4, 4)
	}
	fn unvote() -> Weight {
		Self::storage(5, 4)
	}
	fn withdraw() -> Weight {
		let buckets = u64::from(crate::pallet::MAX_CLAIMS);
		Self::storage(4 + buckets, 3 + buckets)
	}
	fn set_operator() -> Weight {
		Self::storage(2, 3)
	}
	fn set_intro() -> Weight {
		Self::storage(1, 1)
	}
	fn on_initialize() -> Weight {
		Self::storage(1, 1)
	}
}
