//! One root over a task's inputs, one over its outputs.
//!
//! The tree is the SDK's `binary-merkle-tree` over BLAKE2b-256. It hashes a leaf's bytes and a pair of nodes alike, so what keeps a
//! node from passing for a leaf is length: an inner node is 64 bytes, an input's leaf 33 and an output's 98, and every leaf
//! starts with a zero byte.

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
pub fn output_leaf(output_hash: &H256, sketch: &[u8; SKETCH_BYTES]) -> [u8; 98] {
	let mut leaf = [LEAF; 98];
	leaf[1..33].copy_from_slice(output_hash.as_bytes());
	leaf[33..].copy_from_slice(sketch);
	leaf
}

/// The root over leaves in the order of their items.
pub fn root<L: AsRef<[u8]>>(leaves: impl IntoIterator<Item = L>) -> H256 {
	binary_merkle_tree::merkle_root::<BlakeTwo256, _>(leaves)
}
