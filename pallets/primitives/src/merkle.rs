//! One root over a task's inputs, one over its outputs.
//!
//! The tree is the SDK's `binary-merkle-tree` over BLAKE2b-256. It hashes a leaf's bytes and a pair of nodes alike, so what keeps a
//! node from passing for a leaf is length: an inner node is 64 bytes, an input's leaf 33 and an output's 98, and every leaf
//! starts with a zero byte.

use crate::tolerance::Leaf;
use alloc::vec::Vec;
use sp_core::H256;
use sp_runtime::traits::BlakeTwo256;

/// The bytes of a sketch: 32 two-byte projections and their common exponent.
pub const SKETCH_BYTES: usize = 65;

const LEAF: u8 = 0;

/// The leaf of an input: `0x00 ‖ blake2_256(input)`.
pub fn input_leaf(input_hash: &H256) -> [u8; 33] {
	let mut leaf = [LEAF; 33];
	leaf[1..].copy_from_slice(input_hash.as_bytes());
	leaf
}

/// The leaf of an output: `0x00 ‖ blake2_256(output) ‖ sketch`.
pub fn output_leaf(Leaf { hash, sketch }: &Leaf) -> [u8; 98] {
	let mut leaf = [LEAF; 98];
	leaf[1..33].copy_from_slice(hash.as_bytes());
	leaf[33..].copy_from_slice(sketch);
	leaf
}

/// The longest way from a leaf to the root: that of 65,536 leaves.
pub const MAX_PROOF: u32 = 16;

/// The hashes beside the way from one of the leaves to the root. Empty if there is no such leaf, and where there is only one.
pub fn proof<L: AsRef<[u8]>>(leaves: impl IntoIterator<Item = L>, index: u32) -> Vec<H256> {
	let leaves: Vec<L> = leaves.into_iter().collect();
	if index as usize >= leaves.len() {
		return Vec::new();
	}
	binary_merkle_tree::merkle_proof::<BlakeTwo256, _, _>(leaves, index).proof
}

/// How many hashes stand beside the way from a leaf to the root. At an odd end of a row a node has none beside it.
fn proof_length(index: u32, leaves: u32) -> usize {
	let (mut at, mut row, mut length) = (index, leaves, 0);
	while row > 1 {
		length += usize::from(at ^ 1 < row);
		(at, row) = (at / 2, row.div_ceil(2));
	}
	length
}

/// Whether a leaf stands at this place among so many under the root. A proof of another length is none: it would have what is not a leaf stand for one.
pub fn is_under(root: &H256, leaf: &[u8], index: u32, leaves: u32, proof: &[H256]) -> bool {
	if proof.len() != proof_length(index, leaves) {
		return false;
	}
	let leaf = binary_merkle_tree::Leaf::Value(leaf);
	binary_merkle_tree::verify_proof::<BlakeTwo256, _, _>(root, proof.to_vec(), leaves, index, leaf)
}

/// The root over leaves in the order of their items.
pub fn root<L: AsRef<[u8]>>(leaves: impl IntoIterator<Item = L>) -> H256 {
	binary_merkle_tree::merkle_root::<BlakeTwo256, _>(leaves)
}

#[cfg(test)]
mod tests {
	use super::*;

	fn leaves(count: u32) -> Vec<[u8; 98]> {
		let leaf = |n: u32| Leaf {
			hash: H256::from_low_u64_be(n.into()),
			sketch: [n as u8; SKETCH_BYTES],
		};
		(0..count).map(|n| output_leaf(&leaf(n))).collect()
	}

	#[test]
	fn every_leaf_is_proved_at_its_place_and_nowhere_else() {
		for count in [1, 2, 3, 7, 8, 100] {
			let leaves = leaves(count);
			let root = root(&leaves);
			for index in 0..count {
				let proof = proof(&leaves, index);
				let leaf = &leaves[index as usize];
				assert!(is_under(&root, leaf, index, count, &proof));
				assert!(!is_under(&root, leaf, (index + 1) % (count + 1), count, &proof));
				let other = &leaves[((index + 1) % count) as usize];
				assert_eq!(is_under(&root, other, index, count, &proof), count == 1);
			}
			assert!(proof(&leaves, count).is_empty());
			assert!(!is_under(&root, &leaves[0], count, count, &[]));
		}
	}

	#[test]
	fn one_place_does_not_open_as_two_leaves() {
		let [a, b, c, ..] = leaves(4)[..] else { unreachable!() };
		let (below, beside) = (root([&b, &c]), root([&a]));
		let hash = |left: H256, right: H256| {
			H256::from(sp_crypto_hashing::blake2_256(&[left.0, right.0].concat()))
		};
		// Two leaves, of which the second is a node with two more below it.
		let forged = hash(beside, below);
		assert!(is_under(&forged, &a, 0, 2, &[below]));
		let deeper = [root([&c]), beside];
		assert!(!is_under(&forged, &b, 1, 2, &deeper) && !is_under(&forged, &b, 0, 2, &deeper));
	}

	#[test]
	fn the_longest_proof_is_as_long_as_it_may_be() {
		let leaves = leaves(65_536);
		assert_eq!(proof(leaves, 65_535).len(), MAX_PROOF as usize);
	}
}
