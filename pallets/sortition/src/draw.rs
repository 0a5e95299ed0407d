//! The draw: a random number, shifted past whoever is excluded, followed down the tree.

use crate::{
	pallet::{Config, Pallet, PositionOf, Sets},
	types::levels,
};
use alloc::vec::Vec;
use codec::Encode;
use sp_core::U256;
use sp_crypto_hashing::blake2_256;

/// A number from 0 to `range` − 1, each exactly as likely as the next: the few highest values of the 256-bit hash that would favour small numbers
/// are hashed again (that happens once in more than 2¹²⁸ draws). `None` if the range is empty.
pub(crate) fn uniform(seed: &[u8; 32], range: u128) -> Option<u128> {
	let range = U256::from(range);
	// 2²⁵⁶ mod range, computed as (2²⁵⁶ − range) mod range.
	let surplus = (!U256::zero()).checked_rem(range)?.overflowing_add(U256::one()).0 % range;
	let highest = !U256::zero() - surplus;
	let mut hash = blake2_256(seed);
	loop {
		let number = U256::from_big_endian(&hash);
		if number <= highest {
			return Some((number % range).low_u128());
		}
		hash = (b"again", hash).using_encoded(blake2_256);
	}
}

impl<T: Config> Pallet<T> {
	pub(crate) fn do_draw(
		set: &T::SetId,
		seed: &[u8; 32],
		excluded: &[T::Member],
	) -> Option<T::Member> {
		let info = Sets::<T>::get(set)?;
		let height = levels(info.len);
		let mut gaps: Vec<(u128, u128)> = Vec::with_capacity(excluded.len());
		let mut positions: Vec<u32> =
			excluded.iter().filter_map(|member| PositionOf::<T>::get(set, member)).collect();
		positions.sort_unstable();
		positions.dedup();
		let mut left = info.total;
		for position in positions {
			let weight = Self::weight_at(set, position);
			gaps.push((Self::weight_before(set, position, height), weight));
			left = left.checked_sub(weight)?;
		}
		let mut ticket = uniform(seed, left)?;
		for (start, weight) in gaps {
			if ticket >= start {
				ticket = ticket.checked_add(weight)?;
			}
		}
		Self::find(set, height, ticket)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn uniform_stays_in_range_and_uses_all_of_it() {
		assert_eq!(uniform(&[0; 32], 0), None);
		assert_eq!(uniform(&[0; 32], 1), Some(0));
		for range in [2u128, 3, 10, u128::MAX] {
			let mut seen = [0u32; 10];
			for i in 0..1_000u32 {
				let n = uniform(&(i, [0u8; 28]).using_encoded(blake2_256), range).unwrap();
				assert!(n < range);
				seen[(n / range.div_ceil(10)) as usize] += 1;
			}
			assert!(seen.iter().filter(|n| **n > 0).count() as u128 >= range.min(10));
		}
	}
}
