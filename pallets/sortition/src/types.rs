//! A node of the tree and the places in it. No storage here.

use codec::{Decode, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Children of a node.
pub const FANOUT: u32 = 16;

/// Sixteen weights: of members on level 0, of whole nodes above.
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

/// How many levels the tree of a set with `len` members has; a set of up to sixteen has one.
pub fn levels(len: u32) -> u8 {
	let mut levels = 1;
	let mut capacity = u64::from(FANOUT);
	while capacity < u64::from(len) {
		capacity = capacity.saturating_mul(u64::from(FANOUT)); // ends at 16^8 = 2^32
		levels += 1;
	}
	levels
}

/// The node of a level that covers a position, and the slot in it.
pub fn place(position: u32, level: u8) -> (u32, usize) {
	let child = position.checked_shr(4 * u32::from(level)).unwrap_or(0);
	(child / FANOUT, (child % FANOUT) as usize)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn levels_grow_with_powers_of_sixteen() {
		for (len, expected) in
			[(0, 1), (1, 1), (16, 1), (17, 2), (256, 2), (257, 3), (1_000_000, 5), (u32::MAX, 8)]
		{
			assert_eq!(levels(len), expected, "{len}");
		}
	}

	#[test]
	fn a_ticket_falls_into_the_weight_that_holds_it() {
		let node = Node([0, 3, 0, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
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
