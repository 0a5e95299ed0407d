//! Counts what comes of the tasks of one coalition at one rate with one strategy, and sets it beside what is expected.

use super::{
	law::{binomial_capture, Law},
	network::{Network, Sitting, Task, OTHERS},
	rules::{float, Strategy},
};
use crate::types::{FIRST_COURT, SECOND_COURT};
use sp_runtime::Perbill;

/// From so many expected captures on, their number is close enough to a normal distribution to be tested by its standard deviation.
const ENOUGH: f64 = 10.0;

/// The mean of a quantity, and its standard error.
#[derive(Default)]
pub struct Mean {
	count: u32,
	sum: f64,
	squares: f64,
}

impl Mean {
	fn add(&mut self, value: f64) {
		self.count += 1;
		self.sum += value;
		self.squares += value * value;
	}

	pub fn value(&self) -> f64 {
		self.sum / f64::from(self.count)
	}

	pub fn error(&self) -> f64 {
		let count = f64::from(self.count);
		((self.squares / count - self.value().powi(2)).max(0.0) / count).sqrt()
	}
}

/// Courts of one size.
#[derive(Default)]
pub struct Courts {
	pub held: u32,
	pub captured: u32,
	/// Of captures.
	pub expected: f64,
	variance: f64,
}

impl Courts {
	fn add(&mut self, sitting: Sitting) {
		self.held += 1;
		self.captured += u32::from(sitting.captured);
		self.expected += sitting.chance;
		self.variance += sitting.chance * (1.0 - sitting.chance);
	}

	/// What part of the courts was captured.
	pub fn part(&self) -> f64 {
		f64::from(self.captured) / f64::from(self.held.max(1))
	}

	pub fn expected_part(&self) -> f64 {
		self.expected / f64::from(self.held.max(1))
	}

	/// By how many standard deviations the captures are off; nothing where there are too few to tell.
	fn sigma(&self) -> f64 {
		if self.expected < ENOUGH {
			return 0.0;
		}
		(f64::from(self.captured) - self.expected).abs() / self.variance.sqrt()
	}
}

/// All tasks of a coalition at a rate with a strategy.
pub struct Cell {
	pub colluding: u8,
	pub percent: u32,
	pub strategy: Strategy,
	pub law: Law,
	rate: Perbill,
	pub tasks: u32,
	pub cheats: u32,
	pub slashed: u32,
	pub void: u32,
	/// What a task brings the coalition, in R.
	pub profit: Mean,
	/// What it would bring if it were computed.
	pub honest: Mean,
	/// The one less the other.
	pub advantage: Mean,
	pub first: Courts,
	pub second: Courts,
	/// How many tasks it took to each slash, from the one before.
	spells: Vec<u32>,
	/// Tasks since the last slash.
	since: u32,
}

impl Cell {
	pub fn new(network: &Network, colluding: u8, percent: u32, strategy: Strategy) -> Self {
		let rate = Perbill::from_percent(percent);
		Self {
			colluding,
			percent,
			strategy,
			law: Law::of(&network.rules, colluding, rate, strategy),
			rate,
			tasks: 0,
			cheats: 0,
			slashed: 0,
			void: 0,
			profit: Mean::default(),
			honest: Mean::default(),
			advantage: Mean::default(),
			first: Courts::default(),
			second: Courts::default(),
			spells: Vec::new(),
			since: 0,
		}
	}

	pub fn count(&mut self, task: &Task) {
		self.tasks += 1;
		self.since += 1;
		let audited = task.is_audited(self.rate);
		let honest = task.honest_gain(audited);
		let mut gain = honest;
		if task.is_cheated(self.strategy) {
			let outcome = task.cheat(audited, self.strategy);
			gain = outcome.gain;
			self.cheats += 1;
			self.void += u32::from(outcome.void);
			for case in outcome.cases {
				self.first.add(case.first);
				case.second.into_iter().for_each(|sitting| self.second.add(sitting));
			}
			if outcome.slashed {
				self.slashed += 1;
				self.spells.push(self.since);
				self.since = 0;
			}
		}
		self.profit.add(gain);
		self.honest.add(honest);
		self.advantage.add(gain - honest);
	}

	/// What part of the cheated tasks was slashed.
	pub fn caught(&self) -> f64 {
		f64::from(self.slashed) / f64::from(self.cheats)
	}

	/// Its standard error, if the law holds.
	pub fn caught_error(&self) -> f64 {
		(self.law.caught * (1.0 - self.law.caught) / f64::from(self.cheats)).sqrt()
	}

	pub fn pays(&self) -> bool {
		self.advantage.value() > 0.0
	}

	/// How many tasks it takes to the first slash: the mean, its standard error, and the number that is enough in 95 of 100 cases.
	fn first_slash(&self) -> (f64, f64, u32) {
		let mut mean = Mean::default();
		self.spells.iter().for_each(|spell| mean.add((*spell).into()));
		let mut spells = self.spells.clone();
		spells.sort_unstable();
		let p95 = spells.get((spells.len() * 95).div_ceil(100).saturating_sub(1));
		(mean.value(), mean.error(), p95.copied().unwrap_or(0))
	}

	/// The chance that a task, cheated in or not, ends in a slash.
	fn slash_chance(&self) -> f64 {
		self.law.caught * float(self.strategy.part())
	}

	/// The number of tasks of which one is slashed in 95 of 100 cases.
	fn p95_law(&self) -> f64 {
		(0.05f64.ln() / (1.0 - self.slash_chance()).ln()).ceil()
	}

	/// The worst of what is tested: by how many standard deviations slashes, profit and captured courts are off.
	pub fn sigma(&self) -> f64 {
		let caught = (self.caught() - self.law.caught).abs() / self.caught_error();
		let profit = (self.profit.value() - self.law.profit).abs() / self.profit.error();
		[caught, profit, self.first.sigma(), self.second.sigma()].into_iter().fold(0.0, f64::max)
	}

	pub fn head() -> String {
		format!(
			"{:<12} {:>4} {:>4} {:>8} {:>8} {:>8} | {:>11} {:>8} {:>8} {:>8} \
			 | {:>8} {:>8} {:>8} {:>7} | {:>8} {:>8} {:>8} {:>8} | {:>5}",
			"strategy",
			"f/%",
			"q/%",
			"caught",
			"expected",
			"short",
			"first slash",
			"expected",
			"95 %",
			"expected",
			"profit/R",
			"expected",
			"short",
			"honest",
			"5 of 7",
			"expected",
			"14 of 21",
			"expected",
			"sigma",
		)
	}

	pub fn row(&self) -> String {
		let (mean, _, p95) = self.first_slash();
		let Law { caught, profit, honest, short_caught, short_profit } = &self.law;
		format!(
			"{:<12} {:>4} {:>4} {:>8.4} {caught:>8.4} {short_caught:>8.4} | {mean:>11.1} {:>8.1} {p95:>8} {:>8} \
			 | {:>8.3} {profit:>8.3} {short_profit:>8.3} {honest:>7.3} | {:>8.4} {:>8.4} {:>8.4} {:>8.4} | {:>5.2}{}",
			self.strategy.name(),
			self.colluding,
			self.percent,
			self.caught(),
			1.0 / self.slash_chance(),
			self.p95_law(),
			self.profit.value(),
			self.first.part(),
			self.first.expected_part(),
			self.second.part(),
			self.second.expected_part(),
			self.sigma(),
			if self.pays() { "  it pays" } else { "" },
		)
	}

	/// The names and values of a line of the file.
	pub fn fields(&self) -> Vec<(&'static str, String)> {
		let (mean, mean_error, p95) = self.first_slash();
		let f = f64::from(self.colluding) / f64::from(OTHERS);
		let number = |value: f64| format!("{value:.6}");
		vec![
			("strategy", self.strategy.name().to_string()),
			("colluding_percent", self.colluding.to_string()),
			("audit_percent", self.percent.to_string()),
			("tasks", self.tasks.to_string()),
			("cheats", self.cheats.to_string()),
			("slashed", self.slashed.to_string()),
			("void", self.void.to_string()),
			("caught", number(self.caught())),
			("caught_error", number(self.caught_error())),
			("caught_law", number(self.law.caught)),
			("caught_short", number(self.law.short_caught)),
			("first_slash", number(mean)),
			("first_slash_error", number(mean_error)),
			("first_slash_law", number(1.0 / self.slash_chance())),
			("first_slash_p95", p95.to_string()),
			("first_slash_p95_law", number(self.p95_law())),
			("profit", number(self.profit.value())),
			("profit_error", number(self.profit.error())),
			("profit_law", number(self.law.profit)),
			("profit_short", number(self.law.short_profit)),
			("honest", number(self.honest.value())),
			("honest_law", number(self.law.honest)),
			("advantage", number(self.advantage.value())),
			("advantage_error", number(self.advantage.error())),
			("first_courts", self.first.held.to_string()),
			("first_captured", self.first.captured.to_string()),
			("first_captured_law", number(self.first.expected)),
			("first_capture_short", number(binomial_capture(f, FIRST_COURT, false))),
			("second_courts", self.second.held.to_string()),
			("second_captured", self.second.captured.to_string()),
			("second_captured_law", number(self.second.expected)),
			("second_capture_short", number(binomial_capture(f, SECOND_COURT, true))),
			("sigma", number(self.sigma())),
		]
	}
}
