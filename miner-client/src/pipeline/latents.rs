//! The noise that a picture starts from: the same bits on every machine.
//!
//! ChaCha20 keyed by the hash of the seed gives the words, Box and Muller's transform makes normal numbers of them. The logarithm and the cosine
//! come from `libm`, a port that does not ask the system's own library.

use rand_chacha::{
	rand_core::{RngCore, SeedableRng},
	ChaCha20Rng,
};
use sp_crypto_hashing::blake2_256;

use crate::tensors::Tensor;

const TAG: &[u8] = b"cuckoo/latents";

/// Standard normal latents of shape `[1, channels, height, width]` for a job's seed, scaled to the scheduler's first noise level.
pub fn initial(seed: u64, [channels, height, width]: [usize; 3], sigma: f32) -> Tensor {
	let key = blake2_256(&[TAG, &seed.to_le_bytes()].concat());
	let mut words = ChaCha20Rng::from_seed(key);
	let values = normal(&mut words, channels * height * width);
	let values = values.into_iter().map(|value| value as f32 * sigma).collect();
	Tensor::f32([1, channels, height, width], values)
}

/// Standard normal numbers, two of each two words of a generator.
pub(crate) fn normal(words: &mut impl RngCore, count: usize) -> Vec<f64> {
	let mut values = Vec::with_capacity(count + 1);
	while values.len() < count {
		let (u1, u2) = (uniform(words.next_u64()), uniform(words.next_u64()));
		let radius = libm::sqrt(-2.0 * libm::log(u1));
		let angle = 2.0 * core::f64::consts::PI * u2;
		values.push(radius * libm::cos(angle));
		values.push(radius * libm::sin(angle));
	}
	values.truncate(count);
	values
}

/// The upper 53 bits as a number strictly between 0 and 1.
fn uniform(word: u64) -> f64 {
	((word >> 11) as f64 + 0.5) * (1.0 / (1u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
	use super::*;

	/// The values of `scripts/demo-model/reference.py`, which has its own ChaCha20.
	#[test]
	fn known_answers() {
		let latents = initial(7, [4, 8, 8], 1.0);
		let values = latents.as_f32().unwrap();
		let known = [0.00620612, 0.09785614, 1.7953998, 1.4221348, -1.5027304, 0.43352827f32];
		for (value, known) in values.iter().zip(known) {
			assert!((value - known).abs() < 1e-6, "{value} is not {known}");
		}
		assert_eq!(latents.shape, [1, 4, 8, 8]);
		assert!((values[255] - 0.13957536).abs() < 1e-6);
		let odd = initial(u64::MAX, [1, 1, 3], 2.0);
		let known = [-0.6683438, -0.5508095, 0.63637054f32];
		for (value, known) in odd.as_f32().unwrap().iter().zip(known) {
			assert!((value - 2.0 * known).abs() < 1e-6, "{value} is not twice {known}");
		}
	}

	#[test]
	fn they_are_standard_normal() {
		let latents = initial(1, [4, 64, 64], 1.0);
		let values = latents.values();
		let n = values.len() as f64;
		let mean = values.iter().sum::<f64>() / n;
		let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
		assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
	}
}
