//! From distances to a tolerance: arithmetic, without any model.

use anyhow::{bail, Result};
use cuckoo_primitives::tolerance::{Distance, Tolerance, PARTS};
use serde::Serialize;

use super::sketches::Shown;

/// The least `agree`, in millionths: below it a sketch's own rounding to 16 bits would be taken for a difference.
const LEAST_AGREE: u32 = 200;
/// How far `agree` lies beyond nearly all honest pairs, and `wrong` beyond `agree`.
const MARGIN: u32 = 4;
/// How far beyond `wrong` a cheat's nearest result must lie: at that distance a sketch lets it pass once in 10⁸ times.
const TOLD_APART: f64 = 2.5;

/// The relative distance of two outputs of one input, as a chain sees it: none if their bytes are the same.
pub(super) fn distance(a: &Shown, b: &Shown) -> f64 {
	if a.hash == b.hash {
		return 0.0;
	}
	// Every output shown has a sketch; one that had none would be like nothing else.
	Distance::of(&a.sketch, &b.sketch).map_or(f64::INFINITY, |distance| distance.to_f64())
}

/// The smallest of the values that so many thousandths of them do not exceed; 0 of no values.
pub(crate) fn percentile(mut values: Vec<f64>, thousandths: usize) -> f64 {
	values.sort_by(f64::total_cmp);
	let rank = (values.len() * thousandths).div_ceil(1000);
	values.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// The distances of all pairs of runs, input by input.
pub(super) fn all_pairs(runs: &[&[Shown]]) -> Vec<f64> {
	let mut distances = Vec::new();
	for (at, a) in runs.iter().enumerate() {
		for b in runs.iter().skip(at + 1) {
			distances.extend(a.iter().zip(*b).map(|(a, b)| distance(a, b)));
		}
	}
	distances
}

/// How far honest results lie apart, relative to their size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Honest {
	/// Of 1000 pairs, 999 are as close as this.
	pub(super) p99_9: f64,
	/// The two farthest.
	pub(super) largest: f64,
}

impl Honest {
	/// Out of the distances of all pairs.
	pub(super) fn of(distances: Vec<f64>) -> Self {
		let largest = distances.iter().copied().fold(0.0, f64::max);
		Self { p99_9: percentile(distances, 999), largest }
	}
}

/// How far a cheat's results lie from the honest ones, relative to their size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Cheat {
	/// The nearest.
	pub(super) smallest: f64,
	/// Half of them are farther.
	pub(super) median: f64,
}

impl Cheat {
	/// Out of its outputs and those of an honest run on the same inputs.
	pub(super) fn of(outputs: &[Shown], honest: &[Shown]) -> Self {
		let distances: Vec<f64> = outputs.iter().zip(honest).map(|(a, b)| distance(a, b)).collect();
		let smallest = distances.iter().copied().fold(f64::INFINITY, f64::min);
		Self { smallest, median: percentile(distances, 500) }
	}
}

/// A tolerance's two distances, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Thresholds {
	/// Up to here two results are the same.
	pub(super) agree: u32,
	/// Beyond this, one of them is wrong.
	pub(super) wrong: u32,
	/// What `agree` would be, had no pair been so far apart that it had to be raised.
	pub(super) without_the_largest: u32,
}

impl Thresholds {
	/// What honest results need.
	pub(super) fn of(honest: &Honest) -> Self {
		let millionths = |distance: f64| (distance * f64::from(PARTS)).ceil() as u32; // saturates
		let without_the_largest = millionths(f64::from(MARGIN) * honest.p99_9).max(LEAST_AGREE);
		let agree = without_the_largest.max(millionths(honest.largest));
		Self { agree, wrong: agree.saturating_mul(MARGIN), without_the_largest }
	}

	/// The tolerance as a chain stores it. Approximate also where all hashes were equal: the next machine may differ.
	pub(super) fn tolerance(&self) -> Tolerance {
		Tolerance::Approx { agree: self.agree, wrong: self.wrong }
	}

	/// How far a cheat's nearest result must lie from the honest ones.
	pub(super) fn cheats_beyond(&self) -> f64 {
		TOLD_APART * f64::from(self.wrong) / f64::from(PARTS)
	}

	/// Fails if a cheat might pass for honest.
	pub(super) fn tell_apart(&self, name: &str, cheat: &Cheat) -> Result<()> {
		let least = self.cheats_beyond();
		if cheat.smallest > least {
			return Ok(());
		}
		bail!(
			"precision not distinguishable: a result of {name} lies {:.3e} from the honest one, and all must lie beyond {least:.3e}, {TOLD_APART} times `wrong`",
			cheat.smallest
		)
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use cuckoo_primitives::sketch::sketch;
	use sp_core::H256;

	/// An output of a hundred values that grow by so much.
	fn shown(hash: u8, by: f64) -> Shown {
		let values = (0..100).map(|i| f64::from(i % 7 - 3) * (1.0 + by));
		Shown {
			hash: [hash; 32].into(),
			sketch: sketch(&H256::zero(), 0, values).unwrap(),
			ms: 1.0,
		}
	}

	#[test]
	fn equal_bytes_have_no_distance() {
		assert_eq!(distance(&shown(1, 0.0), &shown(1, 0.5)), 0.0);
		let found = distance(&shown(1, 0.0), &shown(2, 0.25));
		assert!((found - 0.2).abs() < 1e-3, "{found}");
	}

	#[test]
	fn percentiles_are_values_that_were_there() {
		let values: Vec<f64> = (1..=2000).rev().map(f64::from).collect();
		assert_eq!(percentile(values.clone(), 999), 1998.0);
		assert_eq!(percentile(values.clone(), 500), 1000.0);
		assert_eq!(percentile(values, 1000), 2000.0);
		assert_eq!(percentile(vec![3.0], 999), 3.0);
		assert_eq!(percentile(vec![1.0, 2.0, 3.0], 500), 2.0);
		assert_eq!(percentile(vec![], 999), 0.0);
	}

	#[test]
	fn every_pair_of_runs_is_compared_on_every_input() {
		let runs = [0.0f64, 0.1, 0.2].map(|by| vec![shown((by * 10.0) as u8, by); 5]);
		let runs: Vec<&[Shown]> = runs.iter().map(Vec::as_slice).collect();
		let distances = all_pairs(&runs);
		assert_eq!(distances.len(), 3 * 5);
		let honest = Honest::of(distances);
		assert!((honest.largest - 0.2 / 1.2).abs() < 1e-3, "{honest:?}");
		assert!(all_pairs(&runs[..1]).is_empty());
	}

	#[test]
	fn thresholds_have_a_floor_and_a_margin() {
		let of = |p99_9, largest| {
			let found = Thresholds::of(&Honest { p99_9, largest });
			(found.agree, found.wrong, found.without_the_largest)
		};
		assert_eq!(of(0.0, 0.0), (200, 800, 200));
		assert_eq!(of(1e-5, 2e-5), (200, 800, 200));
		// 4 · 2⁻¹² is 976.6 millionths.
		assert_eq!(of(2f64.powi(-12), 2f64.powi(-11)), (977, 3908, 977));
		// The largest is never beyond `agree`.
		assert_eq!(of(2f64.powi(-12), 2f64.powi(-8)), (3907, 15628, 977));
		assert_eq!(of(0.0, 2f64.powi(-8)), (3907, 15628, 200));
	}

	#[test]
	fn the_tolerance_is_approximate_even_if_nothing_differed() {
		let thresholds = Thresholds::of(&Honest::of(vec![0.0; 10]));
		assert_eq!(thresholds.tolerance(), Tolerance::Approx { agree: 200, wrong: 800 });
		let json = serde_json::to_value(thresholds.tolerance()).unwrap();
		assert_eq!(json, serde_json::json!({"approx": {"agree": 200, "wrong": 800}}));
	}

	#[test]
	fn a_cheat_that_could_pass_is_refused() {
		let thresholds = Thresholds::of(&Honest { p99_9: 0.0, largest: 0.0 });
		assert_eq!(thresholds.cheats_beyond(), 0.002);
		let judge = |smallest| thresholds.tell_apart("int8", &Cheat { smallest, median: 1.0 });
		judge(0.0021).unwrap();
		for smallest in [0.002, 0.001, 0.0] {
			let error = judge(smallest).unwrap_err().to_string();
			assert!(
				error.contains("precision not distinguishable") && error.contains("int8"),
				"{error}"
			);
		}
		let cheat = Cheat::of(
			&[shown(1, 0.1), shown(2, 0.01), shown(3, 0.2)],
			&[shown(4, 0.0), shown(5, 0.0), shown(6, 0.0)],
		);
		assert!((cheat.smallest - 0.01 / 1.01).abs() < 1e-3, "{cheat:?}");
		assert!((cheat.median - 0.1 / 1.1).abs() < 1e-3, "{cheat:?}");
	}
}
