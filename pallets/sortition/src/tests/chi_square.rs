//! Whether draws come as often as the weights say.

use crate::{mock::*, WeightedSets};
use codec::Encode;
use sp_crypto_hashing::blake2_256;

/// Pearson's statistic of `draws` draws against the weights of those not excluded, and its degrees of freedom.
fn chi_square(weights: &[u128], excluded: &[u32], draws: u32) -> (f64, f64) {
	let mut seen = vec![0u32; weights.len()];
	for i in 0..draws {
		let seed = ("chi", i).using_encoded(blake2_256);
		seen[Sortition::draw(&0, &seed, excluded).unwrap() as usize] += 1;
	}
	let in_play = |m: usize| !excluded.contains(&(m as u32));
	let total: u128 = weights.iter().enumerate().filter(|(m, _)| in_play(*m)).map(|(_, w)| w).sum();
	let mut statistic = 0.0;
	let mut freedom = -1.0;
	for (member, weight) in weights.iter().enumerate() {
		if *weight == 0 || !in_play(member) {
			assert_eq!(seen[member], 0, "member {member} has no chance and was drawn");
			continue;
		}
		let expected = f64::from(draws) * *weight as f64 / total as f64;
		assert!(expected >= 5.0, "too few draws for this test");
		statistic += (f64::from(seen[member]) - expected).powi(2) / expected;
		freedom += 1.0;
	}
	(statistic, freedom)
}

/// The 0.999 quantile of chi-square, after Wilson and Hilferty (1931).
fn limit(freedom: f64) -> f64 {
	let part = 2.0 / (9.0 * freedom);
	freedom * (1.0 - part + 3.0902 * part.sqrt()).powi(3)
}

#[test]
fn draws_follow_the_weights() {
	let weights: Vec<u128> =
		(0..300u128).map(|i| if i % 7 == 0 { 0 } else { 1 + i % 40 }).collect();
	run(|| {
		for (member, weight) in weights.iter().enumerate() {
			Sortition::insert(&0, &(member as u32), *weight).unwrap();
		}
		for excluded in [vec![], vec![1, 39, 299, 150]] {
			let (statistic, freedom) = chi_square(&weights, &excluded, 60_000);
			assert!(statistic < limit(freedom), "{statistic} with {freedom} degrees of freedom");
		}
	});
}

#[test]
fn the_test_would_see_a_biased_draw() {
	// One member in ten heavier by half than the test believes: the statistic must leave its range.
	let weights: Vec<u128> = (0..50u128).map(|i| if i % 10 == 0 { 150 } else { 100 }).collect();
	run(|| {
		for (member, weight) in weights.iter().enumerate() {
			Sortition::insert(&0, &(member as u32), *weight).unwrap();
		}
		let (statistic, freedom) = chi_square(&[100; 50], &[], 60_000);
		assert!(statistic > limit(freedom), "{statistic} with {freedom} degrees of freedom");
	});
}
