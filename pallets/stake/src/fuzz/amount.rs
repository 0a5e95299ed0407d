//! Amounts so much finer than a planck that what they leave over can never be seen in one.

use cuckoo_primitives::Balance;
use sp_core::{U256, U512};
use std::{
	fmt,
	iter::Sum,
	ops::{Add, AddAssign, Sub, SubAssign},
};

/// The binary places after the point. All CAI there can be is below 2⁹⁰ planck, so an amount takes
/// at most 218 bits of 256, and the product of two fits 512.
const PLACES: u32 = 128;
const TWO_POW_64: f64 = 18_446_744_073_709_551_616.0;
const BILLION: u32 = 1_000_000_000;

/// An amount in units of 2⁻¹²⁸ planck.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(U256);

impl Amount {
	pub fn planck(amount: Balance) -> Self {
		Self(U256::from(amount) << PLACES)
	}

	pub fn is_zero(self) -> bool {
		self.0.is_zero()
	}

	/// The share of this that falls to `part` of `whole`; nothing if the whole is nothing.
	pub fn of(self, part: Self, whole: Self) -> Self {
		if part == whole || whole.is_zero() {
			return if whole.is_zero() { Self::default() } else { self };
		}
		let product = self.0.full_mul(part.0) / U512::from(whole.0);
		Self(U256::try_from(product).expect("a part of an amount is an amount"))
	}

	/// So many billionths of this.
	pub fn parts(self, billionths: u32) -> Self {
		Self(self.0 * U256::from(billionths) / U256::from(BILLION))
	}

	/// The planck that are whole.
	pub fn floor(self) -> Balance {
		(self.0 >> PLACES).low_u128()
	}

	/// In planck, to 53 bits.
	pub fn f64(self) -> f64 {
		let U256(words) = self.0;
		let units = words.iter().rev().fold(0.0, |all, word| all * TWO_POW_64 + *word as f64);
		units / TWO_POW_64 / TWO_POW_64
	}

	/// How far apart two amounts are, in planck: exact up to the last step.
	pub fn distance(self, other: Self) -> f64 {
		(self.max(other) - self.min(other)).f64()
	}
}

impl fmt::Debug for Amount {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		let rest = *self - Self::planck(self.floor());
		write!(f, "{} + {:.6}", self.floor(), rest.f64())
	}
}

impl Add for Amount {
	type Output = Self;
	fn add(self, other: Self) -> Self {
		Self(self.0 + other.0)
	}
}

impl Sub for Amount {
	type Output = Self;
	fn sub(self, other: Self) -> Self {
		Self(self.0 - other.0)
	}
}

impl AddAssign for Amount {
	fn add_assign(&mut self, other: Self) {
		*self = *self + other;
	}
}

impl SubAssign for Amount {
	fn sub_assign(&mut self, other: Self) {
		*self = *self - other;
	}
}

impl Sum for Amount {
	fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
		amounts.fold(Self::default(), Add::add)
	}
}
