//! A node of the tree and the places in it. No storage here.

use codec::{Decode, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// The bits of a position that choose a child of a node.
const BITS: u32 = 5;
/// Children of a node. With 32 a million members are four levels, with 16 they would be five, and a node is still only half a kilobyte.
pub const FANOUT: u32 = 1 << BITS;

/// The weights of a node's children: of members on level 0, of whole nodes above.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Node(pub [u128; FANOUT as usize]);

impl Node {
	/// The total weight below this node; `None` if it does not fit 128 bits.
	pub fn total(&self) -> Option<u128> {
		self.0.iter().try_fold(0u128, |sum, weight| sum.checked_add(*weight))
	}

	/// The total weight of the children before `slot`; the tree's total fits 128 bits, so this cannot saturate.
	pub fn before(&self, slot: usize) -> u128 {
		self.0.iter().take(slot).fold(0u128, |sum, weight| sum.saturating_add(*weight))
	}

	/// The child in whose weight `ticket` falls, and what of the ticket is left inside it.
	pub fn descend(&self, mut ticket: u128) -> Option<(usize, u128)> {
		for (slot, weight) in self.0.iter().enumerate() {
			match ticket.checked_sub(*weight) {
				Some(rest) => ticket = rest,
				None => return Some((slot, ticket)),
			}
		}
		None
	}
}

/// What is known of a set without reading its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct SetInfo {
	/// How many members it has; never zero.
	pub len: u32,
	/// What their weights add up to.
	pub total: u128,
}

/// How many levels the tree of a set with `len` members has; a set of up to 32 has one.
pub fn levels(len: u32) -> u8 {
	let mut levels = 1;
	let mut capacity = u64::from(FANOUT);
	while capacity < u64::from(len) {
		capacity = capacity.saturating_mul(u64::from(FANOUT)); // ends at 32^7 = 2^35
		levels += 1;
	}
	levels
}

/// The node of a level that covers a position, and the slot in it.
pub fn place(position: u32, level: u8) -> (u32, usize) {
	let child = position.checked_shr(BITS * u32::from(level)).unwrap_or(0);
	(child / FANOUT, (child % FANOUT) as usize)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn levels_grow_with_powers_of_32() {
		for (len, expected) in [
			(0, 1),
			(1, 1),
			(32, 1),
			(33, 2),
			(1_024, 2),
			(1_025, 3),
			(1_000_000, 4),
			(u32::MAX, 7),
		] {
			assert_eq!(levels(len), expected, "{len}");
		}
	}

	#[test]
	fn a_ticket_falls_into_the_weight_that_holds_it() {
		let mut node = Node::default();
		node.0[..5].copy_from_slice(&[0, 3, 0, 5, 1]);
		let fall = |ticket| node.descend(ticket);
		assert_eq!(fall(0), Some((1, 0)));
		assert_eq!(fall(2), Some((1, 2)));
		assert_eq!(fall(3), Some((3, 0)));
		assert_eq!(fall(7), Some((3, 4)));
		assert_eq!(fall(8), Some((4, 0)));
		assert_eq!(fall(9), None);
		assert_eq!(node.before(3), 3);
		assert_eq!(node.total(), Some(9));
	}
}
