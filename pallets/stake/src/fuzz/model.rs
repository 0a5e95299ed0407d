//! The rules of the README without a share, a price or an index: for every pool a list of who has how
//! much in it, for every era another of who took how much out. Calls change one of them
//! ([`super::calls`]), rewards and slashes go round everybody ([`super::rewards`],
//! [`super::slashing`]).
//!
//! The list is exact; [`super::holdings`] says how far the pallet's rounding may be from it. What can
//! be known without rounding (who is in a pool at all, an operator, a commission, a balance, what was
//! minted and burnt) must be the same to the last planck. Where rounding decides what happens, a
//! planck more or less than a minimum, say, the model lets the pallet decide.
//!
//! Two things that a list would not have are part of the rules, because they can be seen:
//!
//! - When a pool is **settled**. What an era brought it is its own from the era's turn on, by what it
//!   weighed when it was changed last; but it is divided among the voters, and earns itself, only from
//!   the next change of the pool on, and an announced commission comes in force then.
//! - How many planck a **share costs**, for that is the unit of all rounding, and a vote or a part of
//!   one that would lose a millionth of itself to it is refused. The model takes it from the pallet.

use super::{
	amount::Amount,
	holdings::{Holdings, ACCOUNTS, DUST},
};
use crate::{
	mock::{BondingEras, MaxCommission, MinCoordinatorBond, MinMinerBond, MinValidatorBond},
	pallet::MAX_CLAIMS,
	types::{self, Issued, Raise},
};
use cuckoo_primitives::{Balance, EraIndex, PoolStatus, Role};
use sp_runtime::{AccountId32, Perbill};
use std::{collections::BTreeMap, mem::take};

/// The first accounts may have pools.
pub const OWNERS: usize = 8;
/// 2¹²⁸: so many shares there cannot be.
pub const ALL_SHARES: f64 = 340_282_366_920_938_463_463_374_607_431_768_211_456.0;
/// A vote, or a part of one, may lose this part of itself to rounding at most.
pub const MILLION: f64 = 1e6;
/// Bounds and prices are kept to 53 bits.
pub const SLACK: f64 = 1.000_001;

/// A pool as the pallet stores it.
pub type Stored = types::Pool<AccountId32>;

/// What the pallet made of a call.
#[derive(Debug, Default)]
pub struct Outcome {
	/// Why it refused the call, if it did.
	pub refused: Option<&'static str>,
	/// The pool after it.
	pub pool: Option<Stored>,
	/// The voter's shares after it.
	pub shares: Balance,
	/// The eras in which the voter took something out that is not paid yet.
	pub claims: Vec<EraIndex>,
	/// The bucket of the present era after it.
	pub bucket: Option<types::Bucket>,
}

/// The terms on which a pool is registered.
#[derive(Clone, Debug)]
pub struct Terms {
	pub role: Role,
	pub operator: u8,
	pub intro: Introduction,
	pub commission: Perbill,
	pub bond: Balance,
}

/// An introduction, as far as a rule looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Introduction {
	Good,
	Nameless,
	WrongEndpoint,
}

/// A pool.
#[derive(Clone, Debug)]
pub struct Pool {
	pub role: Role,
	pub operator: u8,
	pub status: PoolStatus,
	pub commission: Perbill,
	pub raise: Option<Raise>,
	pub voters: Holdings,
	/// What nobody has a share of any more, in planck.
	pub left_behind: Balance,
	/// What it weighs since it was changed last, and how far the pallet's weight may be from it.
	pub weight: Amount,
	pub weight_error: f64,
	/// What eras brought it since, and how far the pallet's amount may be from it.
	pub owed: Amount,
	pub owed_error: f64,
	/// What the pallet stores of it since it was changed last.
	pub tokens: Balance,
	pub shares: Balance,
	/// The most it can have earned since, in planck.
	gained: f64,
	/// What one of its shares cost when it was dearest, in planck, since the pool was empty; infinity
	/// once it was worth next to nothing.
	pub dearest: f64,
}

/// What left a pool in one era.
#[derive(Clone, Debug, Default)]
pub struct Bucket {
	pub holders: Holdings,
	/// Whether it was slashed: as long as it was not, one of its shares is a planck and nothing is
	/// rounded. Never more than a planck, for a slash only makes it cheaper.
	pub slashed: bool,
	/// What the pallet stores of it, in the era in which it is filled.
	pub tokens: Balance,
	pub shares: Balance,
	/// What the shares of the pool cost that was left for it, when they were dearest.
	pub dearest: f64,
}

/// What was recorded of the slashes for offences of an era: how much, and how many billionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
	pub era: EraIndex,
	pub amount: Balance,
	pub part: u32,
}

/// All stake.
#[derive(Clone, Debug, Default)]
pub struct Model {
	pub pools: [Option<Pool>; OWNERS],
	pub buckets: BTreeMap<(usize, EraIndex), Bucket>,
	/// What accounts have beside their stake and deposits.
	pub free: [Balance; ACCOUNTS],
	pub era: EraIndex,
	pub era_start: u32,
	pub issued: Issued,
	pub fees: Balance,
	pub author: Option<usize>,
	pub disputes: [u32; OWNERS],
	pub records: [Vec<Record>; OWNERS],
	/// The eras in which sessions began that are remembered.
	pub sessions: BTreeMap<u32, EraIndex>,
	/// The owners whose operators have something to do, and those without session keys.
	pub working: [bool; OWNERS],
	pub keyless: [bool; OWNERS],
}

/// The account's number in the mock.
pub fn number(index: usize) -> u8 {
	index as u8 + 1
}

/// What a role's bond must be worth more than.
pub fn minimum(role: Role) -> Balance {
	match role {
		Role::Validator => MinValidatorBond::get(),
		Role::Coordinator => MinCoordinatorBond::get(),
		Role::Miner => MinMinerBond::get(),
	}
}

/// How many eras what left a pool waits.
pub fn waiting_eras() -> EraIndex {
	BondingEras::get().clamp(1, MAX_CLAIMS - 1)
}

/// Whether what the pallet has for an amount is at least so many planck; `None` if rounding decides.
pub fn reaches(amount: Amount, error: f64, planck: Balance) -> Option<bool> {
	let planck = Amount::planck(planck);
	let clear = error == 0.0 || amount.distance(planck) > error * SLACK;
	clear.then_some(amount >= planck)
}

/// Whether the pallet's amount is where the model's is, but for rounding.
pub fn agree(what: &str, pallet: Balance, exact: Amount, bound: f64) -> Result<(), String> {
	let apart = Amount::planck(pallet).distance(exact);
	if apart <= bound * SLACK {
		return Ok(());
	}
	let apart = format!("{apart} apart, and rounding explains {bound}");
	Err(format!("{what}: {pallet} planck, where the model has {exact:?}: {apart}"))
}

/// Why a call must be refused, and why it may be because rounding decides.
#[derive(Debug, Default)]
pub struct Verdict {
	must: Vec<&'static str>,
	may: Vec<&'static str>,
}

impl Verdict {
	/// A reason to refuse the call, if it is one.
	pub fn refuse_if(&mut self, so: bool, reason: &'static str) {
		self.refuse(Some(so), reason);
	}

	/// A reason to refuse the call, if it is one; `None` if rounding decides that.
	pub fn refuse(&mut self, so: Option<bool>, reason: &'static str) {
		match so {
			Some(true) => self.must.push(reason),
			Some(false) => {},
			None => self.may.push(reason),
		}
	}

	/// Whether the call went through, if the pallet could decide so.
	pub fn judge(&self, outcome: &Outcome) -> Result<bool, String> {
		match outcome.refused {
			None if self.must.is_empty() => Ok(true),
			Some(reason) if self.must.contains(&reason) || self.may.contains(&reason) => Ok(false),
			refused => Err(format!("{refused:?} from the pallet, from the model {self:?}")),
		}
	}

	/// The same for a call that can only be refused.
	pub fn only(reason: &'static str, outcome: &Outcome) -> Result<(), String> {
		let verdict = Self { must: vec![reason], may: Vec::new() };
		verdict.judge(outcome).map(|_| ())
	}
}

impl Pool {
	pub fn new(terms: &Terms) -> Self {
		Self {
			role: terms.role,
			operator: terms.operator,
			status: PoolStatus::Open,
			commission: terms.commission,
			raise: None,
			voters: Holdings::default(),
			left_behind: 0,
			weight: Amount::default(),
			weight_error: 0.0,
			owed: Amount::default(),
			owed_error: 0.0,
			tokens: 0,
			shares: 0,
			gained: 0.0,
			dearest: 0.0,
		}
	}

	pub fn is_retired(&self) -> bool {
		matches!(self.status, PoolStatus::Retired { .. })
	}

	/// Whether one of its shares is worth a planck exactly, so that nothing is rounded.
	pub fn is_exact(&self) -> bool {
		self.tokens == self.shares && self.gained == 0.0
	}

	/// The most that one of its shares can be worth, in planck.
	pub fn price(&self) -> f64 {
		if self.shares == 0 {
			return 0.0;
		}
		(self.tokens as f64 + self.gained) / self.shares as f64 * SLACK
	}

	/// The most that rounding to whole shares can cost in a call that ended like this.
	pub fn rounding(&self, outcome: &Outcome) -> f64 {
		let after = outcome.pool.as_ref().filter(|pool| pool.shares > 0);
		let after = after.map_or(0.0, |pool| pool.tokens as f64 / pool.shares as f64 * SLACK);
		if self.is_exact() {
			0.0
		} else {
			self.price().max(after)
		}
	}

	/// How far a position is at most from what the model says: rounding until now, and the rounding
	/// of what a share is worth.
	pub fn bound(&self, voter: usize) -> f64 {
		let last = if self.is_exact() { 0.0 } else { 1.0 };
		self.voters.get(voter).map_or(0.0, |held| held.error + last)
	}

	/// Takes an income in: the commission is the owner's, the rest everybody's.
	pub fn earn(&mut self, owner: usize, amount: Amount, error: f64) {
		if amount.is_zero() {
			return;
		}
		self.gained += amount.f64() * SLACK + error;
		let rate = self.commission.deconstruct();
		// A commission is a whole number of planck, which is known if the amount is. Less than that is
		// none.
		let (mut commission, mut planck) =
			(amount.parts(rate), 1.0 + error * f64::from(rate) / 1e9);
		if error == 0.0 {
			(commission, planck) = (Amount::planck(commission.floor()), 0.0);
		}
		self.voters.share_out(amount - commission, error);
		if !commission.is_zero() {
			self.voters.add(owner, commission, planck + self.price(), 0.0);
		}
	}

	/// Takes a voter off the list of whom the pallet has no share: it had less than one.
	fn forget(&mut self, voter: usize) -> Result<(), String> {
		let share = self.price();
		match self.voters.leave(voter, 0.0) {
			Some((amount, error)) => agree("a vote without shares", 0, amount, error + share),
			None => Ok(()),
		}
	}

	/// Whether it takes part; `None` if rounding decides.
	pub fn is_open(&self, owner: usize) -> Option<bool> {
		if self.status != PoolStatus::Open {
			return Some(false);
		}
		let (amount, error) =
			self.voters.get(owner).map_or_else(Default::default, |own| (own.amount, own.error));
		// Worth more than the minimum, and worth is a whole number of planck.
		reaches(amount, error, minimum(self.role) + 1)
	}

	/// Whether its shares are too many or too dear for an amount to buy some.
	pub fn judge_price(&self, verdict: &mut Verdict, amount: Balance) {
		if self.shares == 0 {
			return;
		}
		let tokens = self.tokens as f64 + self.gained;
		// Slashed to nothing, so that no amount buys a fair part.
		verdict.refuse_if(tokens == 0.0, "ClosedToVotes");
		let bought = amount as f64 * self.shares as f64 / tokens;
		let full = (self.shares as f64 + bought) / ALL_SHARES;
		// What it earned is known to a few planck only, which is much if that is all there is.
		let unsure = self.gained > 0.0 && tokens < 1e12;
		if full > 0.99 || unsure {
			verdict.refuse((full > 1.01 && !unsure).then_some(true), "ClosedToVotes");
			verdict.refuse(None, "Overflow");
		}
		if !self.is_exact() && tokens / self.shares as f64 * 1.01 + 1.0 > amount as f64 / MILLION {
			verdict.refuse(None, "ClosedToVotes");
		}
	}
}

impl Bucket {
	/// What rounding to a whole share can cost, in planck.
	pub fn rounding(&self) -> f64 {
		if self.slashed {
			1.0
		} else {
			0.0
		}
	}
}

impl Model {
	/// A copy of a pool as its next change finds it: what it is owed is shared out at the commission
	/// that was in force until now, then an announced one comes in force if its era has come.
	pub fn settled(&self, owner: usize) -> Option<Pool> {
		let mut pool = self.pools[owner].clone()?;
		let (owed, error) = (take(&mut pool.owed), take(&mut pool.owed_error));
		// It comes in whole planck.
		pool.earn(owner, owed, error + 1.0);
		if let Some(raise) = pool.raise.filter(|raise| raise.from_era <= self.era) {
			(pool.commission, pool.raise) = (raise.commission, None);
		}
		pool.commission = pool.commission.min(MaxCommission::get());
		Some(pool)
	}

	/// Puts a changed pool back, with the weight that it has from now on, and compares what must be
	/// alike. The pallet may weigh it otherwise only where rounding decides.
	pub fn write(&mut self, owner: usize, mut pool: Pool, outcome: &Outcome) -> Result<(), String> {
		let stored = outcome.pool.as_ref().ok_or("the pallet has no such pool")?;
		let operator = crate::mock::account(pool.operator);
		let terms = (pool.role, operator, pool.status, pool.commission, pool.raise);
		let stored_terms =
			(stored.role, stored.operator.clone(), stored.status, stored.commission, stored.raise);
		if terms != stored_terms {
			return Err(format!("a pool has {stored_terms:?}, in the model {terms:?}"));
		}
		let whole = pool.voters.total() + Amount::planck(pool.left_behind);
		agree("a pool's tokens", stored.tokens, whole, pool.voters.drift)?;
		if stored.own_shares == 0 {
			pool.forget(owner)?;
		} else if !pool.voters.holds(owner) {
			return Err("the owner has a vote in the pallet and none in the model".into());
		}
		if stored.shares == 0 {
			for voter in 0..ACCOUNTS {
				pool.forget(voter)?;
			}
			pool.voters = Holdings::default();
			pool.left_behind = stored.tokens;
		}
		pool.voters.know_total(Amount::planck(stored.tokens - pool.left_behind));
		(pool.tokens, pool.shares, pool.gained) = (stored.tokens, stored.shares, 0.0);
		pool.dearest = match stored.tokens {
			_ if stored.shares == 0 => 0.0,
			0..DUST => f64::INFINITY,
			_ => pool.dearest.max(pool.price()),
		};
		let weighed = stored.weight > 0;
		if pool.is_open(owner).is_some_and(|open| open != weighed) {
			return Err(format!("the pool weighs {}", stored.weight));
		}
		if weighed && stored.weight != stored.tokens {
			return Err(format!("the pool weighs {}, not all of its tokens", stored.weight));
		}
		pool.weight = if weighed { pool.voters.total() } else { Amount::default() };
		pool.weight_error = if weighed { pool.voters.drift } else { 0.0 };
		self.pools[owner] = Some(pool);
		Ok(())
	}

	/// The eras in which a voter took something out of a pool that is not paid yet.
	pub fn claims(&self, voter: usize, owner: usize) -> Vec<EraIndex> {
		let buckets = self.buckets.range((owner, 0)..=(owner, EraIndex::MAX));
		buckets.filter(|(_, bucket)| bucket.holders.holds(voter)).map(|(key, _)| key.1).collect()
	}
}
