//! What accounts can do, in the model, and when it must be refused.

use super::{
	amount::Amount,
	model::{
		agree, minimum, number, reaches, waiting_eras, Introduction, Model, Outcome, Pool, Terms,
		Verdict, ALL_SHARES, MILLION, OWNERS, SLACK,
	},
};
use crate::{
	mock::{CommissionNotice, MaxCommission, MaxCommissionStep, MinVote, RegistrationDeposit},
	pallet::MAX_CLAIMS,
	types::Raise,
};
use cuckoo_primitives::{Balance, PoolStatus, Role};
use sp_runtime::Perbill;
use std::mem::take;

impl Model {
	/// Whether an amount of a voter can begin to wait.
	pub fn judge_waiting(
		&self,
		verdict: &mut Verdict,
		voter: usize,
		owner: usize,
		(amount, error): (Amount, f64),
	) {
		// What was slashed to nothing does not wait.
		let any = reaches(amount, error, 1);
		if any == Some(false) {
			return;
		}
		let claims = self.claims(voter, owner);
		if claims.len() >= MAX_CLAIMS as usize && !claims.contains(&self.era) {
			verdict.refuse(any, "TooManyClaims");
		}
		let bucket = self.buckets.get(&(owner, self.era));
		if let Some(bucket) = bucket.filter(|bucket| bucket.slashed) {
			let bought = amount.f64() * bucket.shares as f64 / bucket.tokens as f64;
			let full = (bucket.shares as f64 + bought) / ALL_SHARES;
			if bucket.tokens == 0 || full > 1.01 {
				verdict.refuse(any, "WaitForNextEra");
			} else if full > 0.99 {
				verdict.refuse(None, "WaitForNextEra");
			}
		}
	}

	/// Makes an amount of a voter wait.
	pub fn wait(
		&mut self,
		voter: usize,
		owner: usize,
		(amount, error): (Amount, f64),
		dearest: f64,
		outcome: &Outcome,
	) -> Result<(), String> {
		if outcome.claims.contains(&self.era) {
			let bucket = self.buckets.entry((owner, self.era)).or_default();
			let planck = bucket.rounding();
			bucket.holders.add(voter, amount, planck, error);
			let stored = outcome.bucket.unwrap_or_default();
			(bucket.tokens, bucket.shares) = (stored.tokens, stored.shares);
			let (whole, drift) = (bucket.holders.total(), bucket.holders.drift);
			agree("the bucket of this era", stored.tokens, whole, drift)?;
			bucket.holders.know_total(Amount::planck(stored.tokens));
			bucket.dearest = bucket.dearest.max(dearest);
		} else {
			agree("what left and does not wait", 0, amount, error + 1.0)?;
		}
		let claims = self.claims(voter, owner);
		if claims != outcome.claims {
			return Err(format!("claims of eras {:?}, in the model {claims:?}", outcome.claims));
		}
		Ok(())
	}

	/// Whether an account already works for a pool, or owns another than this.
	fn is_taken(&self, operator: u8, owner: usize) -> bool {
		let mut present = self.pools.iter().flatten().filter(|pool| !pool.is_retired());
		let mut others = (0..OWNERS).filter(|other| *other != owner);
		present.any(|pool| pool.operator == operator)
			|| others.any(|other| number(other) == operator && self.pools[other].is_some())
	}

	/// A pool, settled, of somebody who has not left.
	fn settled_present(&self, verdict: &mut Verdict, owner: usize) -> Option<Pool> {
		let pool = self.settled(owner);
		verdict.refuse_if(pool.is_none(), "NotRegistered");
		verdict.refuse_if(pool.as_ref().is_some_and(Pool::is_retired), "Retired");
		pool
	}

	pub fn register(
		&mut self,
		owner: usize,
		terms: &Terms,
		outcome: &Outcome,
	) -> Result<(), String> {
		let mut verdict = Verdict::default();
		let mut left_behind = 0;
		if let Some(old) = &self.pools[owner] {
			if let PoolStatus::Retired { era } = old.status {
				let over = era + waiting_eras() <= self.era;
				// Who left the old pool in this era would be slashed for what the new one does in it.
				let shared = self.buckets.contains_key(&(owner, self.era));
				let empty = old.voters.is_empty() && self.disputes[owner] == 0 && !shared;
				verdict.refuse_if(!over || !empty, "Retired");
				left_behind = old.left_behind;
			} else {
				verdict.refuse_if(true, "AlreadyRegistered");
			}
		}
		let free = self.free[owner];
		let cost = terms.bond.saturating_add(RegistrationDeposit::get()).saturating_add(1);
		verdict.refuse_if(self.is_taken(terms.operator, owner), "OperatorTaken");
		// An owner who works for another pool: whether that is refused is not written down.
		let mut present = self.pools.iter().flatten().filter(|pool| !pool.is_retired());
		let works = present.any(|pool| pool.operator == number(owner));
		verdict.refuse(if works { None } else { Some(false) }, "OperatorTaken");
		verdict.refuse_if(terms.commission > MaxCommission::get(), "CommissionTooHigh");
		verdict.refuse_if(terms.bond <= minimum(terms.role), "BondTooSmall");
		Self::judge_intro(&mut verdict, terms.intro);
		verdict.refuse_if(cost > free, "BalanceTooLow");
		if !verdict.judge(outcome)? {
			return Ok(());
		}
		let mut pool = Pool::new(terms);
		pool.voters.add(owner, Amount::planck(terms.bond + left_behind), 0.0, 0.0);
		self.free[owner] -= terms.bond + RegistrationDeposit::get();
		self.write(owner, pool, outcome)
	}

	fn judge_intro(verdict: &mut Verdict, intro: Introduction) {
		verdict.refuse_if(intro == Introduction::Nameless, "NameMissing");
		verdict.refuse_if(intro == Introduction::WrongEndpoint, "BadEndpoint");
	}

	pub fn vote(
		&mut self,
		voter: usize,
		owner: usize,
		amount: Balance,
		outcome: &Outcome,
	) -> Result<(), String> {
		let mut verdict = Verdict::default();
		let Some(mut pool) = self.settled(owner) else {
			return Verdict::only("NotRegistered", outcome);
		};
		if voter != owner || pool.is_retired() {
			verdict.refuse(pool.is_open(owner).map(|open| !open), "ClosedToVotes");
		}
		verdict.refuse_if(amount < MinVote::get(), "VoteTooSmall");
		pool.judge_price(&mut verdict, amount);
		// The existential deposit of a planck stays.
		verdict.refuse_if(amount >= self.free[voter], "BalanceTooLow");
		if !verdict.judge(outcome)? {
			return Ok(());
		}
		let whole = Amount::planck(amount) + Amount::planck(take(&mut pool.left_behind));
		let rounding = if pool.voters.is_empty() { 0.0 } else { pool.rounding(outcome) };
		pool.voters.add(voter, whole, rounding, 0.0);
		self.free[voter] -= amount;
		self.write(owner, pool, outcome)
	}

	pub fn unvote(
		&mut self,
		voter: usize,
		owner: usize,
		amount: Balance,
		outcome: &Outcome,
	) -> Result<(), String> {
		let mut verdict = Verdict::default();
		let Some(mut pool) = self.settled(owner) else {
			return Verdict::only("NotRegistered", outcome);
		};
		let Some(held) = pool.voters.get(voter).copied() else {
			return Verdict::only("NotEnoughVotes", outcome);
		};
		let (all, exact) = (amount == Balance::MAX, pool.is_exact());
		let wanted = if all { held.amount } else { Amount::planck(amount) };
		let share = if exact { 0.0 } else { pool.price() + 1.0 };
		let near = held.error + share;
		// Whether the vote is worth just what is asked for.
		let whole = held.amount.distance(wanted) <= near * SLACK;
		if !all {
			if whole && near > 0.0 {
				verdict.refuse(None, "NotEnoughVotes");
				verdict.refuse(None, "VoteTooSmall");
			} else if !whole && wanted > held.amount {
				verdict.refuse_if(true, "NotEnoughVotes");
			} else if !whole {
				let rest = reaches(held.amount - wanted, near, MinVote::get());
				verdict.refuse(rest.map(|enough| !enough), "VoteTooSmall");
				verdict.refuse_if(amount == 0, "VoteTooSmall");
			}
			// Shares that cost no more than a planck lose none.
			if pool.price() > 1.0 && !exact && share * 1.01 > amount as f64 / MILLION {
				verdict.refuse(None, "RoundingTooLarge");
			}
		}
		let out = if all { (held.amount, held.error + share.min(1.0)) } else { (wanted, 0.0) };
		self.judge_waiting(&mut verdict, voter, owner, out);
		if !verdict.judge(outcome)? {
			return Ok(());
		}
		let gone = outcome.shares == 0;
		if (gone && !whole) || (all && !gone) {
			return Err(format!("{} shares are left of the vote", outcome.shares));
		}
		if gone {
			// All of it is paid in whole planck; of a part, what the last share is worth stays.
			pool.voters.leave(voter, if all { share.min(1.0) } else { share });
		} else {
			let rounding = pool.rounding(outcome);
			pool.voters.take(voter, wanted, rounding, 0.0);
		}
		self.wait(voter, owner, out, pool.dearest, outcome)?;
		self.write(owner, pool, outcome)
	}

	/// `paid` is what the voter's account has more than before.
	pub fn withdraw(
		&mut self,
		voter: usize,
		owner: usize,
		paid: Balance,
		outcome: &Outcome,
	) -> Result<(), String> {
		let mut verdict = Verdict::default();
		let mut due = self.claims(voter, owner);
		due.retain(|era| era + waiting_eras() <= self.era);
		verdict.refuse_if(self.disputes[owner] > 0, "Disputed");
		verdict.refuse_if(due.is_empty(), "NothingToWithdraw");
		if !verdict.judge(outcome)? {
			return Ok(());
		}
		let (mut amount, mut bound) = (Amount::default(), 0.0);
		for key in due.into_iter().map(|era| (owner, era)) {
			let Some(bucket) = self.buckets.get_mut(&key) else { continue };
			let planck = bucket.rounding();
			let Some((part, error)) = bucket.holders.leave(voter, planck) else { continue };
			amount += part;
			bound += error;
			if bucket.holders.is_empty() {
				self.buckets.remove(&key);
			}
		}
		self.free[voter] += paid;
		agree("what was paid out", paid, amount, bound)
	}

	pub fn set_operator(
		&mut self,
		owner: usize,
		operator: u8,
		outcome: &Outcome,
	) -> Result<(), String> {
		let mut verdict = Verdict::default();
		verdict.refuse_if(self.is_taken(operator, owner), "OperatorTaken");
		let pool = self.settled_present(&mut verdict, owner);
		if !verdict.judge(outcome)? {
			return Ok(());
		}
		let Some(mut pool) = pool else { return Ok(()) };
		pool.operator = operator;
		self.write(owner, pool, outcome)
	}

	pub fn set_intro(
		&mut self,
		owner: usize,
		intro: Introduction,
		outcome: &Outcome,
	) -> Result<(), String> {
		let mut verdict = Verdict::default();
		let pool = self.settled_present(&mut verdict, owner);
		Self::judge_intro(&mut verdict, intro);
		if !verdict.judge(outcome)? {
			return Ok(());
		}
		let Some(pool) = pool else { return Ok(()) };
		self.write(owner, pool, outcome)
	}

	pub fn set_commission(
		&mut self,
		owner: usize,
		commission: Perbill,
		outcome: &Outcome,
	) -> Result<(), String> {
		let mut verdict = Verdict::default();
		verdict.refuse_if(commission > MaxCommission::get(), "CommissionTooHigh");
		let pool = self.settled_present(&mut verdict, owner);
		let before = pool.as_ref().map_or(0, |pool| pool.commission.deconstruct());
		let step = commission.deconstruct().saturating_sub(before);
		let too_far = pool.is_some() && step > MaxCommissionStep::get().deconstruct();
		verdict.refuse_if(too_far, "CommissionStepTooLarge");
		if !verdict.judge(outcome)? {
			return Ok(());
		}
		let Some(mut pool) = pool else { return Ok(()) };
		if step == 0 {
			(pool.commission, pool.raise) = (commission, None);
		} else {
			let from_era = self.era + CommissionNotice::get().max(waiting_eras());
			pool.raise = Some(Raise { commission, from_era });
		}
		self.write(owner, pool, outcome)
	}

	pub fn chill(&mut self, owner: usize, outcome: &Outcome) -> Result<(), String> {
		let mut verdict = Verdict::default();
		let pool = self.settled_present(&mut verdict, owner);
		if !verdict.judge(outcome)? {
			return Ok(());
		}
		let Some(mut pool) = pool else { return Ok(()) };
		// Who is in jail stays there.
		if pool.status == PoolStatus::Open {
			pool.status = PoolStatus::Chilled;
		}
		self.write(owner, pool, outcome)
	}

	pub fn unjail(&mut self, owner: usize, outcome: &Outcome) -> Result<(), String> {
		let mut verdict = Verdict::default();
		let Some(mut pool) = self.settled_present(&mut verdict, owner) else {
			return Verdict::only("NotRegistered", outcome);
		};
		verdict.refuse_if(pool.status == PoolStatus::Open, "NotChilled");
		if let PoolStatus::Jailed { until } = pool.status {
			verdict.refuse_if(self.era < until, "StillJailed");
		}
		if !pool.is_retired() {
			pool.status = PoolStatus::Open;
			verdict.refuse(pool.is_open(owner).map(|open| !open), "BondTooSmall");
		}
		if !verdict.judge(outcome)? {
			return Ok(());
		}
		self.write(owner, pool, outcome)
	}

	pub fn unregister(&mut self, owner: usize, outcome: &Outcome) -> Result<(), String> {
		let mut verdict = Verdict::default();
		let Some(mut pool) = self.settled_present(&mut verdict, owner) else {
			return Verdict::only("NotRegistered", outcome);
		};
		verdict.refuse_if(self.working[owner], "StillWorking");
		let has_keys = pool.role == Role::Validator && !self.keyless[owner];
		verdict.refuse_if(has_keys, "PurgeKeysFirst");
		if let PoolStatus::Jailed { until } = pool.status {
			verdict.refuse_if(self.era < until, "StillJailed");
		}
		let planck = if pool.is_exact() { 0.0 } else { 1.0 };
		let out = pool.voters.leave(owner, planck);
		if let Some(out) = out {
			self.judge_waiting(&mut verdict, owner, owner, out);
		}
		if !verdict.judge(outcome)? {
			return Ok(());
		}
		pool.status = PoolStatus::Retired { era: self.era };
		self.free[owner] += RegistrationDeposit::get();
		if let Some(out) = out {
			self.wait(owner, owner, out, pool.dearest, outcome)?;
		}
		self.write(owner, pool, outcome)
	}

	pub fn settle(&mut self, owner: usize, outcome: &Outcome) -> Result<(), String> {
		match self.settled(owner) {
			Some(pool) => {
				Verdict::default().judge(outcome)?;
				self.write(owner, pool, outcome)
			},
			None => Verdict::only("NotRegistered", outcome),
		}
	}
}
