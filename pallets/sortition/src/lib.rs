#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]
#![deny(rustdoc::broken_intra_doc_links)]

extern crate alloc;

pub use cuckoo_primitives::traits::WeightedSets;
pub use pallet::*;
pub use types::{Node, SetInfo, FANOUT};

mod draw;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;
mod tree;
#[cfg(any(feature = "std", feature = "try-runtime"))]
mod try_state;
pub mod types;

#[frame_support::pallet]
pub mod pallet {
	use super::*;
	use frame_support::pallet_prelude::*;

	#[pallet::config]
	pub trait Config: frame_system::Config {
		/// Names a set.
		type SetId: Parameter + MaxEncodedLen;
		/// What a set holds.
		type Member: Parameter + MaxEncodedLen + Ord;
	}

	#[pallet::pallet]
	pub struct Pallet<T>(_);

	/// How many members a set has. A set without members has no entry.
	#[pallet::storage]
	pub type Sets<T: Config> = StorageMap<_, Blake2_128Concat, T::SetId, SetInfo, OptionQuery>;

	/// The sum tree of a set: 32 weights a node. Level 0 holds the members' own weights, 32 positions a node; a node of level `k + 1` holds the
	/// totals of 32 nodes of level `k`.
	#[pallet::storage]
	pub type Nodes<T: Config> =
		StorageDoubleMap<_, Blake2_128Concat, T::SetId, Twox64Concat, (u8, u32), Node, OptionQuery>;

	/// The member at a position; positions are 0 to the set's length − 1 without gaps.
	#[pallet::storage]
	pub type MemberAt<T: Config> =
		StorageDoubleMap<_, Blake2_128Concat, T::SetId, Twox64Concat, u32, T::Member, OptionQuery>;

	/// Where a member stands.
	#[pallet::storage]
	pub type PositionOf<T: Config> = StorageDoubleMap<
		_,
		Blake2_128Concat,
		T::SetId,
		Blake2_128Concat,
		T::Member,
		u32,
		OptionQuery,
	>;

	/// Why a set could not be changed.
	#[pallet::error]
	pub enum Error<T> {
		/// The member is in the set already.
		AlreadyMember,
		/// The member is not in the set.
		NotMember,
		/// The set is full, or its weights would no longer add up to a 128-bit number.
		Overflow,
		/// The stored tree contradicts itself. This cannot happen while `try_state` holds.
		Corrupt,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<frame_system::pallet_prelude::BlockNumberFor<T>> for Pallet<T> {
		#[cfg(feature = "try-runtime")]
		fn try_state(
			_: frame_system::pallet_prelude::BlockNumberFor<T>,
		) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}
}
