//! Which items of a task an audit looks at.
//!
//! One item already deters: whoever fakes a part x of a task saves that part of its cost, and one item finds it with probability x. So the expected slash falls no faster than
//! the gain, and a sample of a fixed size does for a task of any size.

use alloc::{collections::BTreeSet, vec::Vec};
use codec::Encode;
use sp_crypto_hashing::blake2_256;

/// Different items of a task, in their order, each set of that size equally likely: all of them if it has no more. (R. Floyd; J. Bentley, "Programming pearls: a sample of brilliance", 1987.)
pub fn sample(seed: &[u8; 32], items: u32, size: u32) -> Vec<u32> {
	let mut chosen = BTreeSet::new();
	for last in items.saturating_sub(size)..items {
		let item = below(seed, last);
		if !chosen.insert(item) {
			chosen.insert(last);
		}
	}
	chosen.into_iter().collect()
}

/// A number up to `last`. 128 bits of a hash leave a bias below 2⁻⁹⁶.
fn below(seed: &[u8; 32], last: u32) -> u32 {
	let hash = (b"cuckoo/sample", seed, last).using_encoded(blake2_256);
	let number = hash.first_chunk().map_or(0, |half| u128::from_le_bytes(*half));
	(number % (u128::from(last) + 1)) as u32
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_sample_has_its_size_and_no_item_twice() {
		for (items, size, expected) in
			[(1, 4, 1), (3, 4, 3), (4, 4, 4), (5, 4, 4), (65_536, 8, 8), (7, 0, 0)]
		{
			let found = sample(&[9; 32], items, size);
			assert_eq!(found.len(), expected);
			assert!(found.windows(2).all(|pair| pair[0] < pair[1]));
			assert!(found.iter().all(|item| *item < items));
		}
	}

	#[test]
	fn every_item_is_as_likely() {
		let mut seen = [0u32; 10];
		for n in 0..10_000u32 {
			let seed = n.using_encoded(blake2_256);
			sample(&seed, 10, 3).into_iter().for_each(|item| seen[item as usize] += 1);
		}
		// 3,000 each, with a standard deviation of 46.
		assert!(seen.iter().all(|count| count.abs_diff(3_000) < 230), "{seen:?}");
	}
}
