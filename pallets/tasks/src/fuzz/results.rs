//! What the outputs of a task are, and what somebody shows who did not compute them.
//!
//! Who can fetch a task's inputs, and what comes out of them, follows from the input root alone: nothing has to be remembered of a task.

use super::random::Random;
use crate::mock::leaf;
use codec::Encode;
use cuckoo_primitives::tolerance::{Leaf, Tolerance};
use sp_core::H256;
use sp_crypto_hashing::blake2_256;

/// To whom the coordinator serves the inputs: the first byte of the root.
const TO_ALL: u8 = 0;
const TO_SOME: u8 = 1;
const TO_NOBODY: u8 = 2;

/// The root over some inputs.
pub fn inputs(random: &mut Random) -> H256 {
	let mut root = [0; 32];
	root[0] = match random.below(24) {
		0 => TO_NOBODY,
		1 | 2 => TO_SOME,
		_ => TO_ALL,
	};
	root[24..].copy_from_slice(&random.below(u64::MAX).to_be_bytes());
	root.into()
}

/// Whether this owner's miner can have the inputs.
pub fn can_fetch(inputs: &H256, owner: u8) -> bool {
	let [luck, ..] = (inputs, owner).using_encoded(blake2_256);
	match inputs.0[0] {
		TO_ALL => true,
		TO_SOME => luck.is_multiple_of(2),
		_ => false,
	}
}

fn right(inputs: &H256, item: u32) -> i16 {
	let [number, ..] = (inputs, item).using_encoded(blake2_256);
	10_000 + 39 * i16::from(number)
}

/// What an honest miner finds. Where machines may differ, no two of them are more than 6 in 10,000 apart.
pub fn honest(inputs: &H256, item: u32, owner: u8, tolerance: &Tolerance) -> Leaf {
	let [number, ..] = (inputs, item, owner).using_encoded(blake2_256);
	let noise = match tolerance {
		Tolerance::Exact => 0,
		Tolerance::Approx { .. } => i16::from(number % 7) - 3,
	};
	leaf(right(inputs, item) + noise)
}

/// Something that is nearly right: 25 in 10,000 away.
pub fn grey(inputs: &H256, item: u32) -> Leaf {
	let right = right(inputs, item);
	leaf(right + right / 400)
}

/// What all who lie together say.
pub fn lie(inputs: &H256, item: u32) -> Leaf {
	leaf(-right(inputs, item))
}

/// What nobody else says.
pub fn junk(inputs: &H256, item: u32, owner: u8) -> Leaf {
	let [number, ..] = (b"junk", inputs, item, owner).using_encoded(blake2_256);
	leaf(-1_000 - 30 * i16::from(number))
}
