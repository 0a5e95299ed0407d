//! The draw: a random number, shifted past whoever is excluded, followed down the tree.

use crate::{
	pallet::{Config, Pallet, PositionOf, Sets},
	types::levels,
};
use alloc::vec::Vec;
use codec::Encode;
use sp_core::U256;
use sp_crypto_hashing::blake2_256;

/// A number from 0 to `range` − 1, each exactly as likely as the next: the high half of hash × range, where the few hashes that would favour some
/// numbers are hashed again (D. Lemire, "Fast random integer generation in an interval", 2019; here once in more than 2¹²⁸ draws). A slightly
/// different range gives a slightly different number, so that nobody re-rolls a draw by moving a planck. `None` if the range is empty.
pub(crate) fn uniform(seed: &[u8; 32], range: u128) -> Option<u128> {
	let range = U256::from(range);
	// 2²⁵⁶ mod range, computed as (2²⁵⁶ − range) mod range.
	let surplus = (!range).overflowing_add(U256::one()).0.checked_rem(range)?;
	let mut hash = blake2_256(seed);
	loop {
		let product = U256::from_big_endian(&hash).full_mul(range);
		let [a, b, c, d, e, f, ..] = product.0;
		if U256([a, b, c, d]) >= surplus {
			return Some(u128::from(f) << 64 | u128::from(e));
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
	fn moving_a_planck_does_not_re_roll() {
		let total = 1_000_000 * 10u128.pow(18);
		for i in 0..1_000u32 {
			let seed = i.using_encoded(blake2_256);
			let (one, other) = (uniform(&seed, total).unwrap(), uniform(&seed, total + 1).unwrap());
			assert!(one.abs_diff(other) <= 1);
		}
	}

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
