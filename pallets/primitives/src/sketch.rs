//! 65 bytes that tell how close two results are.
//!
//! Two honest machines compute the same model to slightly different bits, so a hash alone would call honest miners liars. A sketch is 32
//! random ±1 projections of the output (Johnson–Lindenstrauss; D. Achlioptas, "Database-friendly random projections", 2003): the distance of two
//! sketches estimates the distance of the two outputs. The signs are drawn from ChaCha20 seeded by a [key](Keys) and the item, so that nobody can prepare
//! an output that is wrong only where no projection looks, and that a sketch of one round or one court is worth nothing in another.
//!
//! Layout: one `i8` exponent `e`, then 32 little-endian `i16` mantissas `m`; projection `k` is about `m_k · 2^e`.

use codec::{Decode, Encode};
use rand_chacha::{
	rand_core::{RngCore, SeedableRng},
	ChaCha20Rng,
};
use serde::{Deserialize, Serialize};
use sp_core::H256;
use sp_crypto_hashing::blake2_256;

use crate::{
	merkle::SKETCH_BYTES,
	tolerance::{Leaf, Sketch, NO_SKETCH},
	types::TaskId,
	views::Seat,
	work::NO_OUTPUT,
};

/// How many projections a sketch holds: as many as a random `u32` has bits.
pub const PROJECTIONS: usize = 32;

const TAG: &[u8; 13] = b"cuckoo/sketch";

/// What the sketches that a seat shows are made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Keys {
	/// For all seats of a task, as long as one miner has it.
	pub task: H256,
	/// For jurors, out of the draw of their court.
	pub court: Option<H256>,
}

impl Keys {
	/// Those of a seat.
	pub fn of(seat: &Seat) -> Self {
		Self { task: task_key(seat.task, seat.task_round), court: seat.court_key }
	}

	/// What a seat shows of an item's output: hash and sketch; a juror both again, made with its court's key.
	///
	/// `None` if the values have no sketch.
	pub fn leaves(&self, item: u32, output: &[u8], values: &[f64]) -> Option<Vec<Leaf>> {
		self.each(output, |key| sketch(key, item, values.iter().copied()))
	}

	/// What a seat shows of an item whose input cannot be run.
	pub fn no_leaves(&self) -> Vec<Leaf> {
		self.each(NO_OUTPUT, |_| Some(NO_SKETCH)).unwrap_or_default()
	}

	fn each(&self, output: &[u8], sketch: impl Fn(&H256) -> Option<Sketch>) -> Option<Vec<Leaf>> {
		let first = Leaf { hash: blake2_256(output).into(), sketch: sketch(&self.task)? };
		let Some(key) = &self.court else { return Some(vec![first]) };
		// Where results are the same to the last bit hashes decide, and the plain one is public.
		let hash = blake2_256(&[key.as_bytes(), output].concat()).into();
		Some(vec![first, Leaf { hash, sketch: sketch(key)? }])
	}
}

/// The key of the sketches that everybody in a task makes, as long as the miner has it that came by this draw.
pub fn task_key(task: TaskId, round: u32) -> H256 {
	(TAG, task, round).using_encoded(blake2_256).into()
}

/// For four bits, what turns the sign of a number where the bit is 0.
const FLIPS: [[u64; 4]; 16] = flips();

const fn flips() -> [[u64; 4]; 16] {
	let mut flips = [[0; 4]; 16];
	let mut at = 0;
	while at < 64 {
		let (word, k) = (at / 4, at % 4);
		flips[word][k] = if (word >> k) & 1 == 1 { 0 } else { 1 << 63 };
		at += 1;
	}
	flips
}

/// The sketch of an output's values, in the order in which the model puts them out, before any quantising.
///
/// `None` if a value, or a sum of them, is not a finite number: such an output has no distance to anything.
pub fn sketch(key: &H256, item: u32, values: impl IntoIterator<Item = f64>) -> Option<Sketch> {
	let mut signs = ChaCha20Rng::from_seed((TAG, key, item).using_encoded(blake2_256));
	let mut sums = [0f64; PROJECTIONS];
	for value in values {
		let (word, bits) = (signs.next_u32(), value.to_bits());
		// Bit k of the word is 1 where the value is added, 0 where it is taken away: four at a time, which processors do at once.
		for (four, sums) in sums.chunks_exact_mut(4).enumerate() {
			let flips = &FLIPS[((word >> (4 * four)) & 15) as usize];
			for (sum, flip) in sums.iter_mut().zip(flips) {
				*sum += f64::from_bits(bits ^ flip);
			}
		}
	}
	if !sums.iter().all(|s| s.is_finite()) {
		return None;
	}
	let largest = sums.iter().fold(0f64, |a, s| a.max(s.abs()));
	// The smallest exponent at which the largest projection fits 15 bits; sums below 2^-112 are zero for every purpose. The least exponent of all is that of
	// `NO_SKETCH`.
	let exponent = if largest == 0.0 {
		0
	} else {
		(libm::ilogb(largest) - 14).clamp((-i8::MAX).into(), i8::MAX.into())
	};
	let mut out = [0u8; SKETCH_BYTES];
	out[0] = (exponent as i8) as u8;
	for (k, sum) in sums.iter().enumerate() {
		let scaled = libm::rint(libm::scalbn(*sum, -exponent));
		let mantissa = scaled.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
		out[1 + 2 * k..3 + 2 * k].copy_from_slice(&mantissa.to_le_bytes());
	}
	// A machine that keeps the smallest numbers must agree with one that takes them for zero.
	if out[1..].iter().all(|byte| *byte == 0) {
		out[0] = 0;
	}
	Some(out)
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::tolerance::Distance;

	const KEY: H256 = H256::repeat_byte(7);

	#[test]
	fn the_sketch_distance_estimates_the_true_distance() {
		let honest: Vec<f64> = (0..3000).map(|i| f64::from(i).sin()).collect();
		for step in [1e-1, 1e-2, 1e-3] {
			let other: Vec<f64> =
				honest.iter().enumerate().map(|(i, x)| x + step * (i as f64 * 1.7).cos()).collect();
			let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
			let truth = norm(&mut honest.iter().zip(&other).map(|(a, b)| a - b))
				/ norm(&mut honest.iter().copied());
			let (a, b) = (sketch(&KEY, 0, honest.iter().copied()), sketch(&KEY, 0, other));
			let seen = Distance::of(&a.unwrap(), &b.unwrap()).unwrap().to_f64();
			assert!((0.4..2.5).contains(&(seen / truth)), "{seen} for {truth}");
		}
	}

	#[test]
	fn task_round_and_item_choose_the_signs() {
		let found =
			|task, round, item| sketch(&task_key(task, round), item, (0..100).map(f64::from));
		let all = [found(1, 0, 0), found(2, 0, 0), found(1, 1, 0), found(1, 0, 1)];
		for (i, a) in all.iter().enumerate() {
			assert!(all.iter().skip(i + 1).all(|b| a != b));
		}
		assert_eq!(found(1, 0, 0), all[0]);
	}

	#[test]
	fn what_a_juror_shows_beside_cannot_be_made_of_what_others_have_shown() {
		let seat = |court| Keys { task: task_key(1, 0), court };
		let values: Vec<f64> = (0..100).map(f64::from).collect();
		let leaves = |court| seat(court).leaves(3, b"output", &values).unwrap();
		let (miner, juror) = (leaves(None), leaves(Some(KEY)));
		assert_eq!((miner.len(), juror.len()), (1, 2));
		assert_eq!(miner[0], juror[0]);
		let other = leaves(Some(H256::repeat_byte(8)));
		for beside in [&miner[0], &other[1]] {
			assert_ne!(beside.hash, juror[1].hash);
			assert_ne!(beside.sketch, juror[1].sketch);
		}
		let nothing = seat(Some(KEY)).no_leaves();
		assert!(nothing.len() == 2 && nothing.iter().all(|leaf| leaf.sketch == NO_SKETCH));
		assert_eq!(seat(None).leaves(0, b"output", &[f64::NAN]), None);
	}

	#[test]
	fn what_is_not_a_number_has_no_sketch() {
		assert_eq!(sketch(&KEY, 0, [f64::NAN]), None);
		assert_eq!(sketch(&KEY, 0, [f64::INFINITY, 1.0]), None);
		assert!(sketch(&KEY, 0, [0.0]).is_some());
		assert!(sketch(&KEY, 0, [1e300]).is_some());
		assert!(sketch(&KEY, 0, [1e-300]).is_some_and(|sketch| sketch != NO_SKETCH));
	}
}
