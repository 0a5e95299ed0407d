//! Chance that is the same on every machine.

use cuckoo_primitives::Balance;

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): two
/// lines, so that it is fast in a build without optimisation, and good enough to pick calls with.
pub struct Random(u64);

impl Random {
	pub fn new(seed: u64) -> Self {
		Self(seed)
	}

	fn word(&mut self) -> u64 {
		self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
		let mut mixed = self.0;
		mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
		mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
		mixed ^ (mixed >> 31)
	}

	/// A number below another; 0 if there is none.
	pub fn below(&mut self, bound: u64) -> u64 {
		self.word() % bound.max(1)
	}

	/// An index into something of this length.
	pub fn index(&mut self, length: usize) -> usize {
		self.below(length as u64) as usize
	}

	/// Whether something happens that happens so often.
	pub fn chance(&mut self, percent: u64) -> bool {
		self.below(100) < percent
	}

	/// One of a list, if it is not empty.
	pub fn pick<T: Copy>(&mut self, list: &[T]) -> Option<T> {
		let index = self.index(list.len());
		list.get(index).copied()
	}

	/// An amount up to another, all alike likely.
	pub fn up_to(&mut self, most: Balance) -> Balance {
		let any = (Balance::from(self.word()) << 64) | Balance::from(self.word());
		any % most.saturating_add(1)
	}

	/// A part of an amount: of every size from all of it to dust, large ones more often.
	pub fn some_of(&mut self, all: Balance) -> Balance {
		let halvings = self.below(12) * self.below(6);
		self.up_to(all >> halvings)
	}
}
