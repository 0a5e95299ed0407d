//! What a run did, and how far the pallet and the model were apart.

use super::{amount::Amount, model::agree, ops::Op};
use cuckoo_primitives::Balance;
use std::collections::BTreeMap;

/// Refusals that a run should come across. (A sum that does not fit 128 bits is not reached with
/// all CAI there is.)
const REASONS: [&str; 22] = [
	"BondTooSmall",
	"AlreadyRegistered",
	"OperatorTaken",
	"NotRegistered",
	"CommissionTooHigh",
	"NameMissing",
	"BadEndpoint",
	"ClosedToVotes",
	"VoteTooSmall",
	"NotEnoughVotes",
	"BalanceTooLow",
	"TooManyClaims",
	"NothingToWithdraw",
	"CommissionStepTooLarge",
	"StillJailed",
	"NotChilled",
	"Retired",
	"StillWorking",
	"PurgeKeysFirst",
	"RoundingTooLarge",
	"Disputed",
	"WaitForNextEra",
];

/// What a share cost when it was dearest, in planck: up to these, differences are told apart. Pools
/// that were dust once are the last, and are not among the worst in the summary's last line.
const DEAREST: [(&str, f64); 5] = [
	("up to 2", 2.0),
	("up to 1,000", 1e3),
	("up to 1,000,000", 1e6),
	("more", f64::MAX),
	("the pool was dust", f64::INFINITY),
];

/// How far positions were apart.
#[derive(Clone, Copy, Debug, Default)]
struct Apart {
	compared: u64,
	planck: f64,
	bound: f64,
	of_bound: f64,
}

/// What a run did.
#[derive(Debug, Default)]
pub struct Tally {
	/// How often each was done, and refused.
	sent: BTreeMap<&'static str, [u64; 2]>,
	reasons: BTreeMap<&'static str, u64>,
	apart: [Apart; DEAREST.len()],
	pub calls: u64,
	pub refused: u64,
	pub eras: u64,
	pub rewards: u64,
	pub slashes: u64,
	pub blocks: u64,
}

impl Tally {
	pub fn count(&mut self, op: &Op, refused: Option<&'static str>) {
		let counts = self.sent.entry(op.name()).or_default();
		counts[usize::from(refused.is_some())] += 1;
		if let Some(reason) = refused {
			*self.reasons.entry(reason).or_default() += 1;
			self.refused += 1;
		}
		self.calls += u64::from(op.is_call());
	}

	/// Compares a position, of a pool or bucket in which a share was so dear.
	pub fn compare(
		&mut self,
		pallet: Balance,
		exact: Amount,
		bound: f64,
		dearest: f64,
	) -> Result<(), String> {
		let class = DEAREST.iter().position(|(_, most)| dearest <= *most).unwrap_or_default();
		let apart = &mut self.apart[class];
		let planck = Amount::planck(pallet).distance(exact);
		apart.compared += 1;
		apart.planck = apart.planck.max(planck);
		apart.bound = apart.bound.max(bound);
		// Below a planck there is nothing to be seen.
		apart.of_bound = apart.of_bound.max(planck / bound.max(1.0));
		agree("a position", pallet, exact, bound)
	}

	/// Prints it; the last line is for programs.
	pub fn print(&self) {
		println!("{:>20} {:>12} {:>12}", "operation", "done", "refused");
		for (name, [done, refused]) in &self.sent {
			println!("{name:>20} {done:>12} {refused:>12}");
		}
		println!("\n{:>24} {:>12}", "refused for", "times");
		for (reason, times) in &self.reasons {
			println!("{reason:>24} {times:>12}");
		}
		let missed: Vec<_> = self.missed().collect();
		println!("{:>24} {:>12}", "never refused for", missed.len());
		println!("{}", missed.join(" "));
		println!(
			"\n{:>24} {:>12} {:>16} {:>16} {:>14}",
			"dearest share, planck",
			"positions",
			"apart, planck",
			"bound, planck",
			"worst of bound"
		);
		for ((name, _), apart) in DEAREST.iter().zip(&self.apart) {
			let Apart { compared, planck, bound, of_bound } = apart;
			println!("{name:>24} {compared:>12} {planck:>16.3} {bound:>16.3} {of_bound:>14.4}");
		}
		let pools = &self.apart[..DEAREST.len() - 1];
		let worst = |of: fn(&Apart) -> f64| pools.iter().map(of).fold(0.0, f64::max);
		let Self { calls, refused, eras, rewards, slashes, blocks, .. } = self;
		println!(
			"stake-fuzz: calls={calls} refused={refused} eras={eras} rewards={rewards} \
			 slashes={slashes} blocks={blocks} worst_planck={:.3} worst_of_bound={:.4}",
			worst(|apart| apart.planck),
			worst(|apart| apart.of_bound),
		);
	}

	/// The refusals that did not happen.
	pub fn missed(&self) -> impl Iterator<Item = &'static str> + '_ {
		REASONS.into_iter().filter(move |reason| !self.reasons.contains_key(reason))
	}
}
