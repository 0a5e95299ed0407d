//! How close two results must be to count as the same, and the integer arithmetic by which a chain tells.
//!
//! A [`Leaf`] is what a miner shows of an output: its hash and its sketch, 65 bytes made by `sketch` (see there for the layout). The
//! distance of two sketches a and b estimates that of the two outputs, relative to the larger one:
//!
//! ```text
//! distance² = Σ (aₖ − bₖ)² ÷ max(Σ aₖ², Σ bₖ²)
//! ```
//!
//! With 32 projections the estimate of distance² errs by a quarter (1 σ): it is a χ² variable with 32 degrees of freedom, over 32. An output at 2.5 times a threshold is taken to be within it
//! with probability 1.5·10⁻⁸, one at half of it to be beyond with 2·10⁻¹³.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::H256;

use crate::merkle::SKETCH_BYTES;

/// A sketch's bytes.
pub type Sketch = [u8; SKETCH_BYTES];

/// The sketch of an output that has none: the input could not be run, or gave values that are not finite numbers. An exponent that no other sketch has.
pub const NO_SKETCH: Sketch = {
	let mut sketch = [0; SKETCH_BYTES];
	sketch[0] = i8::MIN as u8;
	sketch
};

/// One millionth, the unit of tolerances.
pub const PARTS: u32 = 1_000_000;

/// What a miner shows of one output.
#[derive(
	Clone,
	Copy,
	Debug,
	PartialEq,
	Eq,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
)]
pub struct Leaf {
	/// The BLAKE2b-256 hash of the output's bytes.
	pub hash: H256,
	/// Its sketch.
	pub sketch: Sketch,
}

/// How close two honest results of a model are.
#[derive(
	Clone,
	Copy,
	Debug,
	PartialEq,
	Eq,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
	Serialize,
	Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Tolerance {
	/// Every honest machine gives the same bytes.
	Exact,
	/// Two honest machines give nearly the same values. Relative distances of outputs, in millionths.
	Approx {
		/// Up to here two results are the same.
		agree: u32,
		/// Beyond this, one of them is wrong. In between nobody can say.
		wrong: u32,
	},
}

/// What two results are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likeness {
	/// The same.
	Agree,
	/// Neither the same nor certainly different: nobody is to blame.
	Grey,
	/// At least one of them is wrong.
	Wrong,
}

/// The square of a relative distance, as a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distance {
	/// Σ (aₖ − bₖ)², below 2⁷⁰.
	apart: u128,
	/// The larger of Σ aₖ² and Σ bₖ², below 2⁶⁸; not 0 unless both are.
	size: u128,
}

impl Distance {
	/// That of two sketches; `None` if only one of them is a sketch at all.
	pub fn of(a: &Sketch, b: &Sketch) -> Option<Self> {
		match (a == &NO_SKETCH, b == &NO_SKETCH) {
			(true, true) => return Some(Self { apart: 0, size: 0 }),
			(true, false) | (false, true) => return None,
			(false, false) => {},
		}
		let (exponent_a, exponent_b) = (i32::from(a[0] as i8), i32::from(b[0] as i8));
		let common = exponent_a.min(exponent_b);
		let (a, b) = (scale(a, exponent_a - common), scale(b, exponent_b - common));
		let (Some(a), Some(b)) = (a, b) else {
			// One is more than 2¹⁶ times as large: beside it the other is nothing.
			return Some(Self { apart: 1, size: 1 });
		};
		let square = |n: i64| u128::from(n.unsigned_abs()).pow(2); // below 2⁶⁴
		let sum = |v: &[i64; 32]| v.iter().map(|n| square(*n)).sum::<u128>();
		let apart = a.iter().zip(&b).map(|(a, b)| square(a - b)).sum();
		Some(Self { apart, size: sum(&a).max(sum(&b)) })
	}

	/// Whether it is at most so many millionths.
	pub fn within(&self, parts: u32) -> bool {
		// Below 2⁷⁰ · 2⁴⁰ and 2⁶⁸ · 2⁶⁴: neither fills 128 bits for parts up to 2³⁰; saturated, the comparison still holds.
		let one = u128::from(PARTS).pow(2);
		self.apart.saturating_mul(one) <= self.size.saturating_mul(u128::from(parts).pow(2))
	}

	/// The distance itself, for people and tables.
	#[cfg(feature = "std")]
	pub fn to_f64(&self) -> f64 {
		if self.apart == 0 {
			return 0.0;
		}
		(self.apart as f64 / self.size as f64).sqrt()
	}
}

/// The projections over a smaller exponent; `None` if the difference is more than 16.
fn scale(sketch: &Sketch, by: i32) -> Option<[i64; 32]> {
	if by > 16 {
		return None;
	}
	let mut scaled = [0; 32];
	for (to, bytes) in scaled.iter_mut().zip(sketch[1..].chunks_exact(2)) {
		let mantissa: [u8; 2] = bytes.try_into().ok()?;
		*to = i64::from(i16::from_le_bytes(mantissa)) << by;
	}
	Some(scaled)
}

impl Tolerance {
	/// What two results are to each other.
	pub fn compare(&self, a: &Leaf, b: &Leaf) -> Likeness {
		match self {
			Self::Exact if a.hash == b.hash => Likeness::Agree,
			Self::Exact => Likeness::Wrong,
			// The hashes say nothing here: whoever shows another's hash with a sketch that does not belong to it must not agree with both.
			Self::Approx { agree, wrong } => match Distance::of(&a.sketch, &b.sketch) {
				Some(distance) if distance.within(*agree) => Likeness::Agree,
				Some(distance) if distance.within(*wrong) => Likeness::Grey,
				_ => Likeness::Wrong,
			},
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use rand_chacha::{
		rand_core::{RngCore, SeedableRng},
		ChaCha20Rng,
	};

	fn sketch(exponent: i8, mantissa: impl Fn(usize) -> i16) -> Sketch {
		let mut sketch = [0; SKETCH_BYTES];
		sketch[0] = exponent as u8;
		for k in 0..32 {
			sketch[1 + 2 * k..3 + 2 * k].copy_from_slice(&mantissa(k).to_le_bytes());
		}
		sketch
	}

	fn leaf(hash: u8, sketch: Sketch) -> Leaf {
		Leaf { hash: H256::repeat_byte(hash), sketch }
	}

	const LOOSE: Tolerance = Tolerance::Approx { agree: 1_000, wrong: 4_000 };

	#[test]
	fn exact_results_are_told_by_their_hashes_and_others_by_their_sketches() {
		let (a, b) = (leaf(1, sketch(0, |_| 1)), leaf(1, sketch(0, |_| -1)));
		assert_eq!(LOOSE.compare(&a, &b), Likeness::Wrong);
		assert_eq!(Tolerance::Exact.compare(&a, &b), Likeness::Agree);
		let other = leaf(2, a.sketch);
		assert_eq!(LOOSE.compare(&a, &other), Likeness::Agree);
		assert_eq!(Tolerance::Exact.compare(&a, &other), Likeness::Wrong);
	}

	#[test]
	fn thresholds_are_met_to_the_unit() {
		// All projections 10,000 against 10,000 + d: the distance is d ÷ (10,000 + d).
		let a = leaf(1, sketch(0, |_| 10_000));
		let by = |d: i16| LOOSE.compare(&a, &leaf(2, sketch(0, |_| 10_000 + d)));
		assert_eq!(by(10), Likeness::Agree);
		assert_eq!(by(11), Likeness::Grey);
		assert_eq!(by(40), Likeness::Grey);
		assert_eq!(by(41), Likeness::Wrong);
	}

	#[test]
	fn exponents_are_brought_together() {
		let a = sketch(3, |k| 100 * k as i16);
		let same = sketch(1, |k| 400 * k as i16);
		assert_eq!(Distance::of(&a, &same), Distance::of(&same, &a));
		assert!(Distance::of(&a, &same).unwrap().within(0));
		// 2¹⁷ times as large: everything is apart.
		let tiny = sketch(-14, |k| 100 * k as i16);
		assert!(!Distance::of(&a, &tiny).unwrap().within(PARTS - 1));
		assert!(Distance::of(&a, &tiny).unwrap().within(PARTS));
		let (first, last) = (sketch(-127, |_| 1), sketch(127, |_| i16::MIN));
		assert!(Distance::of(&first, &last).unwrap().within(PARTS));
	}

	#[test]
	fn nothing_overflows_at_the_ends() {
		let (low, high) = (sketch(0, |_| i16::MIN), sketch(16, |_| i16::MAX));
		let distance = Distance::of(&low, &high).unwrap();
		assert!(distance.within(u32::MAX) && !distance.within(PARTS));
		let opposite = Distance::of(&sketch(0, |_| i16::MIN), &sketch(0, |_| i16::MAX)).unwrap();
		assert!(opposite.within(2 * PARTS) && !opposite.within(2 * PARTS - 100));
		let nothing = Distance::of(&sketch(5, |_| 0), &sketch(-9, |_| 0)).unwrap();
		assert!(nothing.within(0));
	}

	#[test]
	fn what_has_no_sketch_is_like_nothing_but_itself() {
		let (none, some) = (leaf(1, NO_SKETCH), leaf(2, sketch(0, |_| 0)));
		assert_eq!(LOOSE.compare(&none, &some), Likeness::Wrong);
		assert_eq!(LOOSE.compare(&none, &leaf(3, NO_SKETCH)), Likeness::Agree);
	}

	#[test]
	fn the_integers_say_what_floating_point_says() {
		let mut random = ChaCha20Rng::seed_from_u64(1);
		for shift in 0..=16i8 {
			let mut rows = [[0i16; 32]; 2];
			rows.iter_mut().flatten().for_each(|n| *n = random.next_u32() as i16);
			let (a, b) = (sketch(shift, |k| rows[0][k]), sketch(0, |k| rows[1][k]));
			let value =
				|row: usize, k: usize, by: i8| f64::from(rows[row][k]) * 2f64.powi(by.into());
			let (mut apart, mut sizes) = (0.0, [0.0f64; 2]);
			for k in 0..32 {
				let (x, y) = (value(0, k, shift), value(1, k, 0));
				apart += (x - y).powi(2);
				sizes[0] += x * x;
				sizes[1] += y * y;
			}
			let expected = (apart / sizes[0].max(sizes[1])).sqrt();
			let found = Distance::of(&a, &b).unwrap().to_f64();
			assert!((found / expected - 1.0).abs() < 1e-12, "{found} for {expected}");
		}
	}
}
