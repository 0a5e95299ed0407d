//! Sends what is tried to the pallet and to the model.

use super::{
	amount::Amount,
	model::{Introduction, Outcome, Record, Stored, OWNERS},
	ops::Op,
	slashing::Fine,
	Fuzz,
};
use crate::{
	mock::*,
	pallet::{Claims, Event, Pools, SlashHistory, Unbonding, Votes},
	types::{tokens_for, Intro},
};
use cuckoo_primitives::{traits::Pools as _, Balance, EraIndex, Role, SlashReason};
use frame_support::{
	dispatch::DispatchResult,
	storage::with_storage_layer,
	traits::{
		fungible::{Balanced, Inspect, Mutate},
		tokens::{Fortitude, Precision, Preservation},
		OnUnbalanced,
	},
	weights::Weight,
};
use sp_runtime::{AccountId32, DispatchError};
use sp_staking::offence::{OffenceDetails, OnOffenceHandler};

/// The account with an index.
pub fn id(index: usize) -> AccountId32 {
	account(super::model::number(index))
}

fn signed(index: usize) -> RuntimeOrigin {
	RuntimeOrigin::signed(id(index))
}

/// The reason of a refusal. What another pallet says is about somebody's balance.
fn reason(error: DispatchError) -> &'static str {
	match error {
		DispatchError::Module(_) => error.into(),
		_ => "BalanceTooLow",
	}
}

fn introduce(intro: Introduction, role: Role) -> Intro {
	let name = if intro == Introduction::Nameless { "" } else { "x" };
	let wrong = intro == Introduction::WrongEndpoint;
	let endpoint = match role {
		Role::Coordinator if wrong => "ftp://x",
		Role::Coordinator => "https://x",
		_ if wrong => "http://x",
		_ => "",
	};
	crate::mock::intro(name, endpoint)
}

/// What the owner paid of the last slash, by its event.
fn slashed_of_owner() -> Balance {
	let slashed = System::events().into_iter().rev().find_map(|record| match record.event {
		RuntimeEvent::Stake(Event::Slashed { own, .. }) => Some(own),
		_ => None,
	});
	slashed.unwrap_or(0)
}

impl Fuzz {
	/// What came of a call on a pool, as far as every call must know.
	fn outcome(&self, result: DispatchResult, owner: usize, voter: usize) -> Outcome {
		let refused = result.err().map(reason);
		if refused.is_some() {
			return Outcome { refused, ..Default::default() };
		}
		let (owner, voter) = (id(owner), id(voter));
		let pool: Option<Stored> = Pools::<Test>::get(&owner);
		let shares = match &pool {
			Some(pool) if owner == voter => pool.own_shares,
			_ => Votes::<Test>::get(&voter, &owner),
		};
		Outcome { pool, shares, ..Default::default() }
	}

	/// The same for a call that can change what waits.
	pub fn leaving(&self, result: DispatchResult, owner: usize, voter: usize) -> Outcome {
		let outcome = self.outcome(result, owner, voter);
		if outcome.refused.is_some() {
			return outcome;
		}
		let claims = Claims::<Test>::get(id(voter), id(owner));
		let claims = claims.iter().map(|claim| claim.era).collect();
		let bucket = Unbonding::<Test>::get(id(owner), self.model.era);
		Outcome { claims, bucket, ..outcome }
	}

	/// What is on record of the slashes of a pool for offences of an era.
	fn record(&self, owner: usize, era: EraIndex) -> Option<Record> {
		let history = SlashHistory::<Test>::get(id(owner));
		let found = history.iter().find(|slash| slash.era == era)?;
		Some(Record { era, amount: found.amount, part: found.part })
	}

	/// Sends a call to both, and returns why it was refused, if it was. An error says what the two
	/// do not agree on.
	pub fn send(&mut self, op: &Op) -> Result<Option<&'static str>, String> {
		let refused = match op.clone() {
			Op::Register { owner, terms } => {
				let intro = introduce(terms.intro, terms.role);
				let (operator, commission) = (account(terms.operator), terms.commission);
				let (role, bond) = (terms.role, terms.bond);
				let result =
					Stake::register(signed(owner), role, operator, intro, commission, bond);
				let outcome = self.outcome(result, owner, owner);
				self.model.register(owner, &terms, &outcome)?;
				outcome.refused
			},
			Op::Vote { voter, owner, amount } => self.send_vote(voter, owner, amount)?,
			Op::Unvote { voter, owner, amount } => {
				let result = Stake::unvote(signed(voter), id(owner), amount);
				let outcome = self.leaving(result, owner, voter);
				self.model.unvote(voter, owner, amount, &outcome)?;
				outcome.refused
			},
			Op::Withdraw { voter, owner } => {
				let before = Balances::balance(&id(voter));
				let result = Stake::withdraw(signed(voter), id(owner));
				self.sent_withdrawal(voter, owner, before, result)?
			},
			Op::WithdrawFor { by, voter, owner } => {
				let before = Balances::balance(&id(voter));
				let result = Stake::withdraw_for(signed(by), id(voter), id(owner));
				self.sent_withdrawal(voter, owner, before, result)?
			},
			Op::SetOperator { owner, operator } => {
				let result = Stake::set_operator(signed(owner), account(operator));
				let outcome = self.outcome(result, owner, owner);
				self.model.set_operator(owner, operator, &outcome)?;
				outcome.refused
			},
			Op::SetIntro { owner, intro } => {
				let role = self.model.pools[owner].as_ref().map_or(Role::Miner, |pool| pool.role);
				let result = Stake::set_intro(signed(owner), introduce(intro, role));
				let outcome = self.outcome(result, owner, owner);
				self.model.set_intro(owner, intro, &outcome)?;
				outcome.refused
			},
			Op::SetCommission { owner, commission } => {
				let result = Stake::set_commission(signed(owner), commission);
				let outcome = self.outcome(result, owner, owner);
				self.model.set_commission(owner, commission, &outcome)?;
				outcome.refused
			},
			Op::Chill { owner } => {
				let outcome = self.outcome(Stake::chill(signed(owner)), owner, owner);
				self.model.chill(owner, &outcome)?;
				outcome.refused
			},
			Op::Unjail { owner } => {
				let outcome = self.outcome(Stake::unjail(signed(owner)), owner, owner);
				self.model.unjail(owner, &outcome)?;
				outcome.refused
			},
			Op::Unregister { owner } => {
				let outcome = self.leaving(Stake::unregister(signed(owner)), owner, owner);
				self.model.unregister(owner, &outcome)?;
				outcome.refused
			},
			Op::Settle { by, owner } => {
				let outcome = self.outcome(Stake::settle(signed(by), id(owner)), owner, owner);
				self.model.settle(owner, &outcome)?;
				outcome.refused
			},
			Op::Pay { payer, owner, fee } => self.send_pay(payer, owner, fee)?,
			Op::Slash { owner, amount, since, provers } => {
				self.send_slash(owner, amount, since, provers)?
			},
			Op::Offence { owner, fraction, session, reporters } => {
				let since = self.model.elected_in(session).unwrap_or_default();
				let before = self.record(owner, since).unwrap_or_default();
				let details = OffenceDetails {
					offender: (id(owner), ()),
					reporters: reporters.iter().map(|who| id(*who)).collect(),
				};
				let _: Weight = Stake::on_offence(&[details], &[fraction], session);
				let record = self.record(owner, since);
				let taken = record.unwrap_or_default().amount - before.amount;
				// The model finds out itself how much that should have been.
				let (amount, error) = (Amount::default(), 0.0);
				let own = if taken > 0 { slashed_of_owner() } else { 0 };
				let fine = Fine { amount, error, since, provers: reporters, taken, own, record };
				let outcome = self.leaving(Ok(()), owner, owner);
				self.model.offend(owner, fraction, session, fine, &outcome)?;
				self.tally.slashes += 1;
				None
			},
			Op::Freeze { owner } => {
				Stake::freeze(&id(owner));
				self.model.disputes[owner] += 1;
				None
			},
			Op::Release { owner } => {
				Stake::release(&id(owner));
				self.model.disputes[owner] = self.model.disputes[owner].saturating_sub(1);
				None
			},
			Op::Fee { payer, fee } => {
				let (exact, polite) = (Precision::Exact, Fortitude::Polite);
				let kept = Preservation::Preserve;
				let credit =
					<Balances as Balanced<_>>::withdraw(&id(payer), fee, exact, kept, polite);
				Stake::on_unbalanced(credit.map_err(|error| format!("{error:?}"))?);
				self.model.take_fee(payer, fee);
				None
			},
			Op::Donate { from, amount } => {
				give(from, amount).map_err(|error| format!("{error:?}"))?;
				self.model.free[from] -= amount;
				self.donated += amount;
				None
			},
			Op::Mint { to, amount } => {
				let minted = Balances::mint_into(&id(to), amount);
				minted.map_err(|error| format!("{error:?}"))?;
				self.model.free[to] += amount;
				self.outside += amount;
				None
			},
			Op::Work { owner, works } => {
				self.set_working(owner, works);
				None
			},
			Op::Keys { owner, keyless } => {
				self.set_keyless(owner, keyless);
				None
			},
			// In force since it was chosen.
			Op::Parameter { change } => {
				self.changed = change;
				None
			},
		};
		if refused.is_none() {
			if let Some(owner) = op.owner() {
				self.touched[owner] = true;
			}
		}
		Ok(refused)
	}

	fn send_vote(
		&mut self,
		voter: usize,
		owner: usize,
		amount: Balance,
	) -> Result<Option<&'static str>, String> {
		let before = Votes::<Test>::get(id(voter), id(owner));
		let outcome = self.outcome(Stake::vote(signed(voter), id(owner), amount), owner, voter);
		self.model.vote(voter, owner, amount, &outcome)?;
		// Whatever a share costs, nobody loses more than a millionth to it. (Shares of an income that
		// came in first only an owner can get.)
		if let (None, Some(pool)) = (outcome.refused, &outcome.pool) {
			let bought = outcome.shares - before;
			let worth = tokens_for(bought, pool.tokens, pool.shares);
			if amount.saturating_sub(worth) > amount / 1_000_000 {
				return Err(format!("a vote of {amount} planck bought {worth} planck"));
			}
		}
		Ok(outcome.refused)
	}

	fn sent_withdrawal(
		&mut self,
		voter: usize,
		owner: usize,
		before: Balance,
		result: DispatchResult,
	) -> Result<Option<&'static str>, String> {
		let paid = Balances::balance(&id(voter)) - before;
		let outcome = Outcome { refused: result.err().map(reason), ..Default::default() };
		self.model.withdraw(voter, owner, paid, &outcome)?;
		Ok(outcome.refused)
	}

	fn send_pay(
		&mut self,
		payer: usize,
		owner: usize,
		fee: Balance,
	) -> Result<Option<&'static str>, String> {
		// As the pallet that hands out work does: in the same storage layer.
		let result = with_storage_layer::<(), DispatchError, _>(|| {
			give(payer, fee)?;
			Stake::pay(&id(owner), fee)
		});
		let outcome = self.leaving(result, owner, owner);
		self.model.pay(payer, owner, fee, &outcome)?;
		if outcome.refused.is_none() {
			self.tally.rewards += 1;
		}
		Ok(outcome.refused)
	}

	fn send_slash(
		&mut self,
		owner: usize,
		amount: Balance,
		since: EraIndex,
		provers: Vec<usize>,
	) -> Result<Option<&'static str>, String> {
		let accounts: Vec<AccountId32> = provers.iter().map(|prover| id(*prover)).collect();
		let taken = Stake::slash(&id(owner), amount, since, SlashReason::Equivocation, &accounts);
		let record = self.record(owner, since);
		let amount = Amount::planck(amount);
		let own = if self.model.pools[owner].is_some() { slashed_of_owner() } else { 0 };
		let fine = Fine { amount, error: 0.0, since, provers, taken, own, record };
		let outcome = self.leaving(Ok(()), owner, owner);
		self.model.slash(owner, &fine, &outcome)?;
		self.tally.slashes += 1;
		Ok(None)
	}

	/// Gives an operator something to do, or lets it go offline.
	pub fn set_working(&mut self, owner: usize, works: bool) {
		self.model.working[owner] = works;
		let working = (0..OWNERS).filter(|owner| self.model.working[*owner]);
		Working::set(working.map(id).collect());
	}

	/// Purges a validator's session keys, or sets them.
	pub fn set_keyless(&mut self, owner: usize, keyless: bool) {
		self.model.keyless[owner] = keyless;
		let without = (0..OWNERS).filter(|owner| self.model.keyless[*owner]);
		Keyless::set(without.map(id).collect());
	}
}

/// Puts CAI of an account in the pot.
fn give(from: usize, amount: Balance) -> DispatchResult {
	let (from, pot) = (id(from), Stake::pot_account());
	<Balances as Mutate<_>>::transfer(&from, &pot, amount, Preservation::Preserve)?;
	Ok(())
}
