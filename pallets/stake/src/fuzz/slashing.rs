//! What pools lose, in the model: a slash goes round everybody who was in the pool at the offence.

use super::{
	amount::Amount,
	holdings::{Due, Holdings},
	model::{agree, waiting_eras, Model, Outcome, Pool, Record},
};
use crate::{
	mock::{JailEras, ProverShare},
	pallet::{MAX_LIABLE_ERAS, MAX_SLASHES},
};
use cuckoo_primitives::{Balance, EraIndex, PoolStatus};
use sp_runtime::Perbill;

const BILLION: u32 = 1_000_000_000;

/// A slash.
#[derive(Debug)]
pub struct Fine {
	pub amount: Amount,
	/// How far the pallet's amount may be from it.
	pub error: f64,
	/// The era of the offence.
	pub since: EraIndex,
	/// Those who proved it.
	pub provers: Vec<usize>,
	/// What the pallet took.
	pub taken: Balance,
	/// What of it the owner paid.
	pub own: Balance,
	/// What it then had on record for that era.
	pub record: Option<Record>,
}

impl Model {
	/// The eras since an offence in which something left the pool that is not paid out yet.
	fn liable(&self, owner: usize, since: EraIndex) -> Vec<EraIndex> {
		let since = since.max(self.era.saturating_sub(MAX_LIABLE_ERAS - 1));
		self.buckets.range((owner, since)..=(owner, self.era)).map(|(key, _)| key.1).collect()
	}

	/// What can be slashed, in the pool and in the buckets of these eras, and how far what the pallet
	/// finds there may be from it.
	fn within_reach(&self, owner: usize, pool: &Pool, eras: &[EraIndex]) -> (Amount, f64) {
		let buckets = eras.iter().filter_map(|era| self.buckets.get(&(owner, *era)));
		let lists: Vec<&Holdings> =
			buckets.map(|bucket| &bucket.holders).chain([&pool.voters]).collect();
		let whole: Amount = lists.iter().map(|list| list.total()).sum();
		let left_behind = Amount::planck(pool.left_behind);
		(whole + left_behind, lists.iter().map(|list| list.drift).sum())
	}

	/// What a slash costs the owner, in the pool and then in what left it, oldest first.
	fn charge_owner(&mut self, owner: usize, pool: &mut Pool, due: &mut Due, eras: &[EraIndex]) {
		let (dust, share) = if pool.is_exact() { (0.0, 0.0) } else { (1.0, pool.price()) };
		pool.voters.charge(owner, due, dust, share);
		for era in eras {
			if due.is_paid() {
				return;
			}
			if let Some(bucket) = self.buckets.get_mut(&(owner, *era)) {
				let planck = bucket.rounding();
				bucket.holders.charge(owner, due, planck, planck);
			}
		}
	}

	/// What is left to pay, taken from everybody alike. Returns how much that is.
	fn charge_voters(
		&mut self,
		owner: usize,
		pool: &mut Pool,
		due: &Due,
		eras: &[EraIndex],
	) -> Amount {
		let (whole, drift) = self.within_reach(owner, pool, eras);
		let part = due.left.min(whole);
		if due.is_paid() || whole.is_zero() {
			return part;
		}
		let (near, least) = (due.unsure + drift, whole.f64() - drift);
		let close = due.left.distance(whole) <= near;
		let fraction = part.f64() / whole.f64();
		let (unsure, dust) = if due.left > whole && !close {
			// All of it, to the last planck.
			(0.0, 0.0)
		} else if close || least <= 0.0 {
			((near / whole.f64()).min(1.0), 1.0)
		} else {
			(((due.unsure + fraction * drift) / least).min(1.0), 1.0)
		};
		pool.voters.cut(part, whole, unsure, dust);
		if pool.left_behind > 0 {
			// Nobody is in the pool then; what is left of it is compared as if somebody were.
			let left_behind = Amount::planck(pool.left_behind);
			pool.left_behind -= left_behind.of(part, whole).floor();
			pool.voters.drift += left_behind.f64() * unsure + 2.0;
		}
		for era in eras {
			if let Some(bucket) = self.buckets.get_mut(&(owner, *era)) {
				bucket.holders.cut(part, whole, unsure, dust);
				bucket.slashed = true;
			}
		}
		part
	}

	/// Slashes a settled pool.
	fn slash_pool(
		&mut self,
		owner: usize,
		pool: &mut Pool,
		fine: &Fine,
		outcome: &Outcome,
	) -> Result<(), String> {
		let eras = self.liable(owner, fine.since);
		let (all, drift) = self.within_reach(owner, pool, &eras);
		let mut due = Due { left: fine.amount, unsure: fine.error };
		self.charge_owner(owner, pool, &mut due, &eras);
		let own = fine.amount - due.left;
		let bound = due.unsure + fine.error + 2.0 * (eras.len() as f64 + 1.0);
		agree("slashed of the owner", fine.own, own, bound)?;
		let voters = self.charge_voters(owner, pool, &due, &eras);
		let taken = fine.amount - due.left + voters;
		// Each of the parts is rounded down to a planck; a share of a bucket is a planck at most. When
		// there is too little, what there is counts.
		let parts = eras.len() as f64 + 1.0;
		let short =
			due.left.distance(voters) > 0.0 || fine.amount.distance(all) <= fine.error + drift;
		let bound = 2.0 * parts + fine.error + if short { drift } else { 0.0 };
		agree("slashed", fine.taken, taken, bound)?;
		self.forget_claims(owner, &eras, outcome)?;
		self.reward_provers(fine);
		self.remember(owner, fine, all.f64(), bound + drift)
	}

	/// Takes those of the owner's claims off the lists of which the pallet has no share any more.
	fn forget_claims(
		&mut self,
		owner: usize,
		eras: &[EraIndex],
		outcome: &Outcome,
	) -> Result<(), String> {
		for era in eras {
			let key = (owner, *era);
			let Some(bucket) = self.buckets.get_mut(&key) else { continue };
			if !outcome.claims.contains(era) {
				if let Some((amount, error)) = bucket.holders.leave(owner, 0.0) {
					agree("a claim without shares", 0, amount, error + 1.0)?;
				}
			}
			if *era == self.era {
				let stored = outcome.bucket.unwrap_or_default();
				(bucket.tokens, bucket.shares) = (stored.tokens, stored.shares);
			}
			if bucket.holders.is_empty() {
				self.buckets.remove(&key);
			}
		}
		let claims = self.claims(owner, owner);
		if claims != outcome.claims {
			return Err(format!("claims of eras {:?}, in the model {claims:?}", outcome.claims));
		}
		Ok(())
	}

	/// Pays those who proved it, in equal parts, and burns the rest.
	fn reward_provers(&mut self, fine: &Fine) {
		let count = fine.provers.len() as Balance;
		// What the voters lose is burnt, all of it.
		let each = ProverShare::get().mul_floor(fine.own).checked_div(count).unwrap_or(0);
		for prover in &fine.provers {
			self.free[*prover] += each;
		}
		self.issued.burnt += fine.taken - each * count;
	}

	/// Remembers it. What part of everything it was is on record in billionths: those are the
	/// pallet's, if they are those of the model but for the last of them.
	fn remember(&mut self, owner: usize, fine: &Fine, all: f64, error: f64) -> Result<(), String> {
		let records = &mut self.records[owner];
		let known = records.iter().position(|record| record.era == fine.since);
		let before = known.map_or(Record::default(), |at| records[at]);
		let record = fine.record.ok_or("the pallet has no record of the slash")?;
		let rest = f64::from(BILLION - before.part);
		let part = f64::from(before.part) + fine.taken as f64 / all * rest;
		let apart = (f64::from(record.part) - part).abs();
		let lost = 3.0 + error / all * f64::from(BILLION);
		if record.amount != before.amount + fine.taken || (all > error && apart > lost) {
			return Err(format!("{record:?} for {fine:?}, after {before:?} of {all}"));
		}
		match known {
			Some(at) => records[at] = record,
			None => records.push(record),
		}
		if records.len() > MAX_SLASHES as usize {
			records.remove(0);
		}
		Ok(())
	}

	/// A slash by those who judge work.
	pub fn slash(&mut self, owner: usize, fine: &Fine, outcome: &Outcome) -> Result<(), String> {
		let Some(mut pool) = self.settled(owner) else {
			return agree("slashed of nobody", fine.taken, Amount::default(), 0.0);
		};
		self.slash_pool(owner, &mut pool, fine, outcome)?;
		self.write(owner, pool, outcome)
	}

	/// The era in which the validators of a session were elected: since then they are liable.
	pub fn elected_in(&self, session: u32) -> Option<EraIndex> {
		let before = self.sessions.get(&session.saturating_sub(1));
		before.or_else(|| self.sessions.get(&session)).copied()
	}

	/// Whether an offence of a session is still anybody's.
	pub fn can_judge(&self, session: u32) -> bool {
		self.elected_in(session).is_some_and(|era| self.era < era + waiting_eras())
	}

	/// Sessions that are forgotten once there are so many later ones.
	pub fn start_session(&mut self, session: u32, memory: u32) {
		self.sessions.insert(session, self.era);
		if let Some(old) = session.checked_sub(memory) {
			self.sessions.remove(&old);
		}
	}

	/// An equivocation in a session: the pool is brought to having lost a fraction of what there was,
	/// and jailed. The amount of the fine follows from it.
	pub fn offend(
		&mut self,
		owner: usize,
		fraction: Perbill,
		session: u32,
		fine: Fine,
		outcome: &Outcome,
	) -> Result<(), String> {
		let pool = self.settled(owner).filter(|_| self.can_judge(session));
		let Some(mut pool) = pool else {
			return agree("slashed for nothing", fine.taken, Amount::default(), 0.0);
		};
		let records = self.records[owner].iter();
		let before: u32 = records.filter(|record| record.era == fine.since).map(|r| r.part).sum();
		let rest = BILLION - before;
		let more = fraction.deconstruct().saturating_sub(before);
		if more > 0 && rest > 0 {
			let eras = self.liable(owner, fine.since);
			let (all, drift) = self.within_reach(owner, &pool, &eras);
			let amount = all.of(Amount::planck(more.into()), Amount::planck(rest.into()));
			let error = drift * f64::from(more) / f64::from(rest) + 1.0;
			// Nobody is slashed for less than a planck; rounding decides if there is hardly one.
			if amount.f64() > error || fine.taken > 0 {
				let provers = fine.provers.iter().copied().filter(|who| *who != owner).collect();
				let fine = Fine { amount, error, provers, ..fine };
				self.slash_pool(owner, &mut pool, &fine, outcome)?;
			}
		}
		let until = self.era + JailEras::get();
		pool.status = match pool.status {
			PoolStatus::Retired { era } => PoolStatus::Retired { era },
			PoolStatus::Jailed { until: before } => PoolStatus::Jailed { until: before.max(until) },
			_ => PoolStatus::Jailed { until },
		};
		self.write(owner, pool, outcome)
	}
}
