//! Chance that is the same on every machine.

use cuckoo_primitives::Balance;
use rand_chacha::{
	rand_core::{RngCore, SeedableRng},
	ChaCha8Rng,
};

/// What calls, accounts and amounts are picked with.
pub struct Random(ChaCha8Rng);

impl Random {
	pub fn new(seed: u64) -> Self {
		Self(ChaCha8Rng::seed_from_u64(seed))
	}

	/// A number below another; 0 if there is none.
	pub fn below(&mut self, bound: u64) -> u64 {
		self.0.next_u64() % bound.max(1)
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
		let any = (Balance::from(self.0.next_u64()) << 64) | Balance::from(self.0.next_u64());
		any % most.saturating_add(1)
	}

	/// A part of an amount: of every size from all of it to dust, large ones more often.
	pub fn some_of(&mut self, all: Balance) -> Balance {
		let halvings = self.below(12) * self.below(6);
		self.up_to(all >> halvings)
	}
}
