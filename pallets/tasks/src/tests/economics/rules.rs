//! What the coalition does, and what that costs and brings it by the rules. Amounts are in R, the fee of the task.

use crate::{
	mock::{ProverShare, Test},
	verdict, Config,
};
use frame_support::traits::Get;
use sp_runtime::Perbill;

/// What one inference costs whoever computes it. Junk costs nothing.
pub const COST: f64 = 0.7;
/// How many tasks have answers that their coordinators know: they challenge whatever else is paid.
pub const KNOWN: Perbill = Perbill::from_percent(2);
/// Who cheats seldom cheats once in so many tasks.
pub const SELDOM: u32 = 20;

/// How the coalition cheats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
	/// Junk for every task. Its verifiers show the same junk, and so do its jurors, come what may.
	Always,
	/// The same for one task in [`SELDOM`]; the others are computed.
	Seldom,
	/// Junk that is shown only if all seats are the coalition's. The miner has committed before a verifier is drawn, so beside an honest one all that is left
	/// to it is to be silent.
	AllSeats,
	/// Junk for every task, but jurors that show it only where it keeps the court from finding it wrong. Where there are too few of them they compute the item
	/// once, agree with the honest jurors and have their share of the slash.
	Wary,
}

impl Strategy {
	pub const ALL: [Self; 4] = [Self::Always, Self::Seldom, Self::AllSeats, Self::Wary];

	pub fn name(self) -> &'static str {
		match self {
			Self::Always => "always",
			Self::Seldom => "one in 20",
			Self::AllSeats => "all seats",
			Self::Wary => "wary jurors",
		}
	}

	/// How many of its tasks it cheats in.
	pub fn part(self) -> Perbill {
		match self {
			Self::Seldom => Perbill::from_rational(1, SELDOM),
			_ => Perbill::one(),
		}
	}

	pub fn jurors(self) -> Jurors {
		match self {
			Self::Wary => Jurors::Wary,
			_ => Jurors::Loyal,
		}
	}
}

/// How the coalition's jurors act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jurors {
	/// They show the junk.
	Loyal,
	/// They show the junk where that helps. Who sits in a court is on chain before its jurors commit.
	Wary,
}

impl Jurors {
	/// Whether they show junk, with so many of them in a court.
	pub fn lie(self, jurors: u32, ours: u32, second: bool) -> bool {
		self == Self::Loyal || jurors - ours < verdict::majority(jurors, second)
	}
}

/// What a court says to junk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
	/// It is wrong.
	Wrong,
	/// It is right: the court is the coalition's.
	Captured,
	/// Two courts had no majority.
	Void,
}

/// How a trial ended.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
	pub finding: Finding,
	/// How many sat in the court that decided.
	pub jurors: u32,
	/// How many of them were the coalition's.
	pub ours: u32,
}

/// What is taken and given, in R.
pub struct Rules {
	/// For a wrong result.
	pub wrong: f64,
	/// For a juror's wrong result.
	pub juror: f64,
	/// What a challenger puts up.
	pub bond: f64,
	/// What part of a slash goes to those who proved it.
	pub provers: f64,
	/// [`KNOWN`].
	pub known: f64,
}

impl Rules {
	/// As the chain has them now.
	pub fn in_force() -> Self {
		Self {
			wrong: fees::<<Test as Config>::WrongResultSlash>(),
			juror: fees::<<Test as Config>::WrongJurorSlash>(),
			bond: fees::<<Test as Config>::ChallengeBond>(),
			provers: float(ProverShare::get()),
			known: float(KNOWN),
		}
	}

	/// What a trial over the coalition's junk brings it, apart from the fee. A court is either an audit's, with an honest verifier accused beside the
	/// coalition's miner, or a challenger's, who has put up a bond and has a part of what is slashed.
	pub fn worth(&self, trial: &Trial, challenged: bool, manner: Jurors) -> f64 {
		let (ours, theirs) = (f64::from(trial.ours), f64::from(trial.jurors - trial.ours));
		let challenger = if challenged { 1.0 } else { 0.0 };
		match (trial.finding, manner) {
			(Finding::Void, _) => 0.0,
			(Finding::Wrong, Jurors::Loyal) => -self.wrong - self.juror * ours,
			(Finding::Wrong, Jurors::Wary) => {
				let back = self.provers * self.wrong * ours / (ours + theirs + challenger);
				// They compute it once, and tell each other.
				let cost = if trial.ours > 0 { COST } else { 0.0 };
				back - cost - self.wrong
			},
			(Finding::Captured, _) => {
				// Everybody else is wrong now, and pays those who are right.
				let part = self.provers * ours / (ours + challenger);
				let accuser = if challenged { self.bond } else { part * self.wrong };
				accuser + part * self.juror * theirs
			},
		}
	}
}

fn fees<G: Get<u32>>() -> f64 {
	f64::from(G::get())
}

pub fn float(part: Perbill) -> f64 {
	f64::from(part.deconstruct()) / f64::from(Perbill::one().deconstruct())
}
