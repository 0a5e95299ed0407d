//! What pools earn, in the model: an era's reward goes round all pools at its turn.

use super::{
	amount::Amount,
	model::{agree, Model, Outcome, Pool, Verdict, OWNERS},
};
use crate::{
	mock::{
		AuthorFees, BlockReward, EraLength, FeeBurn, MiningBonus, MiningPot, StakingPerEra,
		StakingPot,
	},
	pallet::MAX_CLAIMS,
	types::{INDEX_ONE, LEAST_EARNING},
};
use cuckoo_primitives::{Balance, BlockNumber, PoolStatus};
use std::mem::take;

impl Model {
	/// Begins a block. The pallet `minted` so much in it: what is asked of an era, or what is left of
	/// the pot, less what the last unit of the index cannot divide. Returns whether an era began.
	pub fn begin_block(&mut self, now: BlockNumber, minted: Balance) -> Result<bool, String> {
		if now - self.era_start < EraLength::get() {
			agree("minted in the middle of an era", minted, Amount::default(), 0.0)?;
			return Ok(false);
		}
		let left = StakingPot::get().saturating_sub(self.issued.staking);
		let wanted = StakingPerEra::get().min(left);
		let all: Amount = self.pools.iter().flatten().map(|pool| pool.weight).sum();
		let unsure: f64 = self.pools.iter().flatten().map(|pool| pool.weight_error).sum();
		let least = Amount::planck(LEAST_EARNING);
		let unclear = unsure > 0.0 && all.distance(least) <= unsure;
		if (unclear && minted == 0) || (!unclear && all < least) {
			agree("minted for next to no stake", minted, Amount::default(), 0.0)?;
		} else {
			let unit = all.f64() / INDEX_ONE as f64;
			if minted > wanted || ((wanted - minted) as f64) > unit + 1.0 {
				return Err(format!("an era minted {minted} planck, and {wanted} were due"));
			}
		}
		let earns = |pool: &&mut Pool| minted > 0 && !pool.weight.is_zero();
		for pool in self.pools.iter_mut().flatten().filter(earns) {
			pool.owed += Amount::planck(minted).of(pool.weight, all);
			// A planck was minted too much at most; the rest is weights that rounding moved.
			let part = pool.weight.f64() / all.f64();
			let moved = (pool.weight_error + part * unsure) / all.f64();
			pool.owed_error += part + minted as f64 * moved;
		}
		self.issued.staking += minted;
		(self.era, self.era_start) = (self.era + 1, now);
		Ok(true)
	}

	/// Shares an income out. Of a pool that everybody has left it is the owner's, who must wait for it; what cannot wait is burnt.
	fn reward(
		&mut self,
		owner: usize,
		pool: &mut Pool,
		amount: Balance,
		outcome: &Outcome,
	) -> Result<(), String> {
		if !pool.voters.is_empty() {
			pool.earn(owner, Amount::planck(amount), 0.0);
			return Ok(());
		}
		let late = (Amount::planck(amount), 0.0);
		let mut verdict = Verdict::default();
		self.judge_waiting(&mut verdict, owner, owner, late);
		let before = self.buckets.get(&(owner, self.era)).map_or(0, |bucket| bucket.tokens);
		let waits = amount == 0 || outcome.bucket.unwrap_or_default().tokens > before;
		let full = self.claims(owner, owner).len() >= MAX_CLAIMS as usize;
		let why = if full { "TooManyClaims" } else { "WaitForNextEra" };
		let refused = (!waits).then_some(why);
		if verdict.judge(&Outcome { refused, ..Default::default() })? {
			self.wait(owner, owner, late, pool.dearest, outcome)
		} else {
			self.issued.burnt += amount;
			Ok(())
		}
	}

	/// Pays a pool for a task.
	pub fn pay(
		&mut self,
		payer: usize,
		owner: usize,
		fee: Balance,
		outcome: &Outcome,
	) -> Result<(), String> {
		let Some(mut pool) = self.settled(owner) else {
			return Verdict::only("NotRegistered", outcome);
		};
		Verdict::default().judge(outcome)?;
		let burnt = FeeBurn::get().mul_floor(fee);
		let left = MiningPot::get().saturating_sub(self.issued.mining);
		let bonus = MiningBonus::get().min(FeeBurn::get()).mul_floor(fee).min(left);
		self.free[payer] -= fee;
		self.issued.burnt += burnt;
		self.issued.mining += bonus;
		self.reward(owner, &mut pool, fee - burnt + bonus, outcome)?;
		self.write(owner, pool, outcome)
	}

	/// Takes a transaction fee.
	pub fn take_fee(&mut self, payer: usize, fee: Balance) {
		let kept = AuthorFees::get().mul_floor(fee);
		self.free[payer] -= fee;
		self.fees += kept;
		self.issued.burnt += fee - kept;
	}

	/// Ends a block: its author is paid, unless it is in jail or nobody's. Returns whether it was.
	pub fn end_block(&mut self, outcome: &Outcome) -> Result<bool, String> {
		let fees = take(&mut self.fees);
		let author = self.author.take();
		let Some((owner, mut pool)) = author.and_then(|owner| Some((owner, self.settled(owner)?)))
		else {
			self.issued.burnt += fees;
			return Ok(false);
		};
		let paid = !matches!(pool.status, PoolStatus::Jailed { .. });
		if paid {
			let left = StakingPot::get().saturating_sub(self.issued.staking);
			let minted = BlockReward::get().min(left);
			self.issued.staking += minted;
			self.reward(owner, &mut pool, fees + minted, outcome)?;
		} else {
			self.issued.burnt += fees;
		}
		self.write(owner, pool, outcome)?;
		Ok(paid)
	}

	/// The pools that the pallet would find if it settled each.
	pub fn all_settled(&self) -> [Option<Pool>; OWNERS] {
		std::array::from_fn(|owner| self.settled(owner))
	}
}
