//! The hash a miner puts on chain before it shows its result.
//!
//! `blake2_256(tag ‖ genesis ‖ task ‖ round ‖ account ‖ output_root ‖ salt)`. Chain, task, round and account are in it, so that a commitment copied
//! from somebody else opens for nobody; the salt is in it, so that a result with few possible values cannot be guessed from it.

use codec::Encode;
use sp_core::H256;
use sp_crypto_hashing::blake2_256;
use sp_runtime::AccountId32;

use crate::types::TaskId;

/// 32 fresh random bytes, kept secret until the reveal.
pub type Salt = [u8; 32];

const TAG: &[u8; 13] = b"cuckoo/commit";

/// The commitment of `operator` to `output_root` for one round of one task on the chain with this genesis.
pub fn commitment(
	genesis: &H256,
	task: TaskId,
	round: u32,
	operator: &AccountId32,
	output_root: &H256,
	salt: &Salt,
) -> H256 {
	// A tuple of fixed-length parts: no two different tuples have the same bytes.
	(TAG, genesis, task, round, operator, output_root, salt).using_encoded(blake2_256).into()
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn every_part_changes_the_commitment() {
		let base = |genesis: u8, task, round, account: u8, root: u8, salt: u8| {
			commitment(
				&H256::repeat_byte(genesis),
				task,
				round,
				&AccountId32::new([account; 32]),
				&H256::repeat_byte(root),
				&[salt; 32],
			)
		};
		let all = [
			base(1, 1, 1, 1, 1, 1),
			base(2, 1, 1, 1, 1, 1),
			base(1, 2, 1, 1, 1, 1),
			base(1, 1, 2, 1, 1, 1),
			base(1, 1, 1, 2, 1, 1),
			base(1, 1, 1, 1, 2, 1),
			base(1, 1, 1, 1, 1, 2),
		];
		for (i, a) in all.iter().enumerate() {
			assert!(all.iter().skip(i + 1).all(|b| a != b));
		}
	}
}
