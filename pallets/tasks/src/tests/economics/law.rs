//! What can be computed on paper: the short form, which says what makes cheating dear, and the full one with what that leaves out: courts that fail, and what
//! seats pay each other.

use super::{
	network::OTHERS,
	rules::{float, Finding, Jurors, Rules, Strategy, Trial, COST},
};
use crate::{
	types::{FIRST_COURT, SECOND_COURT},
	verdict,
};
use sp_runtime::Perbill;

fn choose(n: u32, k: u32) -> f64 {
	(0..k).fold(1.0, |product, i| product * f64::from(n - i) / f64::from(i + 1))
}

/// The chance that of so many jurors, drawn from `miners` of whom `ours` are the coalition's, exactly `k` are.
fn seats(miners: u32, ours: u32, jurors: u32, k: u32) -> f64 {
	if k > ours || jurors - k > miners - ours {
		return 0.0;
	}
	choose(ours, k) * choose(miners - ours, jurors - k) / choose(miners, jurors)
}

/// The chance that the coalition has a majority of a court.
pub fn capture(miners: u32, ours: u32, jurors: u32, second: bool) -> f64 {
	(verdict::majority(jurors, second)..=jurors).map(|k| seats(miners, ours, jurors, k)).sum()
}

/// The same if there were miners without number, a part `f` of them the coalition's.
pub fn binomial_capture(f: f64, jurors: u32, second: bool) -> f64 {
	let chance =
		|k: u32| choose(jurors, k) * f.powf(k.into()) * (1.0 - f).powf((jurors - k).into());
	(verdict::majority(jurors, second)..=jurors).map(chance).sum()
}

/// What a court finds in which so many are the coalition's.
fn finding(jurors: u32, ours: u32, second: bool) -> Option<Finding> {
	let majority = verdict::majority(jurors, second);
	if jurors - ours >= majority {
		Some(Finding::Wrong)
	} else {
		(ours >= majority).then_some(Finding::Captured)
	}
}

/// How a trial may end.
#[derive(Default)]
struct Odds {
	wrong: f64,
	captured: f64,
	/// See [`Rules::worth`].
	worth: f64,
}

impl Odds {
	fn of(rules: &Rules, miners: u32, ours: u32, challenged: bool, manner: Jurors) -> Self {
		let mut odds = Self::default();
		let mut add = |chance: f64, trial: Trial| {
			match trial.finding {
				Finding::Wrong => odds.wrong += chance,
				Finding::Captured => odds.captured += chance,
				Finding::Void => {},
			}
			odds.worth += chance * rules.worth(&trial, challenged, manner);
		};
		for first in 0..=FIRST_COURT.min(ours) {
			let chance = seats(miners, ours, FIRST_COURT, first);
			if let Some(finding) = finding(FIRST_COURT, first, false) {
				add(chance, Trial { finding, jurors: FIRST_COURT, ours: first });
				continue;
			}
			// Who sat in the first court does not sit in the second.
			let (miners, ours) = (miners - FIRST_COURT, ours - first);
			for second in 0..=SECOND_COURT.min(ours) {
				let chance = chance * seats(miners, ours, SECOND_COURT, second);
				let finding = finding(SECOND_COURT, second, true).unwrap_or(Finding::Void);
				add(chance, Trial { finding, jurors: SECOND_COURT, ours: second });
			}
		}
		odds
	}
}

/// What to expect of a strategy.
pub struct Law {
	/// The chance that a junk result is slashed.
	pub caught: f64,
	/// What a task brings the coalition, in R.
	pub profit: f64,
	/// What it would bring if it were computed.
	pub honest: f64,
	/// The chance by the short form: p = t + (1 − t) · q · (1 − f).
	pub short_caught: f64,
	/// The profit by the short form: R (1 − p) − p S for a junk result, R − C for another.
	pub short_profit: f64,
}

impl Law {
	/// With so many of the [`OTHERS`] in the coalition.
	pub fn of(rules: &Rules, colluding: u8, rate: Perbill, strategy: Strategy) -> Self {
		let (all, ours) = (u32::from(OTHERS), u32::from(colluding));
		let (f, q, t) = (f64::from(ours) / f64::from(all), float(rate), rules.known);
		let odds =
			|miners, ours, challenged| Odds::of(rules, miners, ours, challenged, strategy.jurors());
		// Whoever has a seat in the task cannot be a juror.
		let audit = odds(all - 1, ours, false);
		let challenge = odds(all, ours, true);
		let challenge_of_both = odds(all - 1, ours.saturating_sub(1), true);

		// Beside an honest verifier: slashed, and worth.
		let (found, found_worth) = match strategy {
			Strategy::AllSeats => (1.0, -rules.wrong),
			_ => (
				audit.wrong + audit.captured * t * challenge.wrong,
				audit.worth + audit.captured * (1.0 + t * challenge.worth),
			),
		};
		let caught = q * (1.0 - f) * found
			+ q * f * t * challenge_of_both.wrong
			+ (1.0 - q) * t * challenge.wrong;
		// One fee for the task, and one for a verifier of the coalition's.
		let cheating = q * (1.0 - f) * found_worth
			+ q * f * (2.0 + t * challenge_of_both.worth)
			+ (1.0 - q) * (1.0 + t * challenge.worth);
		let honest = (1.0 - COST) * (1.0 + q * f);
		let short_caught = t + (1.0 - t) * q * (1.0 - f);
		let short_cheating = 1.0 - short_caught - short_caught * rules.wrong;
		let part = float(strategy.part());
		Self {
			caught,
			profit: honest + part * (cheating - honest),
			honest,
			short_caught,
			short_profit: (1.0 - COST) + part * (short_cheating - (1.0 - COST)),
		}
	}
}
