//! What the tests do again and again, in few words.

use crate::{
	mock::*,
	pallet::{Fees, Issuance, Pools, Unbonding, Unsettled},
	types::{Issued, Pool},
};
use cuckoo_primitives::{traits::Pools as _, Balance, EraIndex, SlashReason};
use frame_support::{
	traits::{
		fungible::{Balanced, Inspect, Mutate},
		tokens::{Fortitude, Precision, Preservation},
		Hooks, OnUnbalanced,
	},
	weights::Weight,
};
use pallet_authorship::EventHandler;
use sp_runtime::{AccountId32, DispatchResult, Perbill};
use sp_staking::{
	offence::{OffenceDetails, OnOffenceHandler},
	SessionIndex,
};

/// All of something.
pub const ALL: Balance = Balance::MAX;
/// By how many planck rounding may move an amount in a test of a few steps.
pub const DUST: Balance = 10;

pub fn signed(n: u8) -> RuntimeOrigin {
	RuntimeOrigin::signed(account(n))
}

pub fn percent(n: u32) -> Perbill {
	Perbill::from_percent(n)
}

pub fn vote(n: u8, owner: u8, amount: Balance) -> DispatchResult {
	Stake::vote(signed(n), account(owner), amount)
}

pub fn unvote(n: u8, owner: u8, amount: Balance) -> DispatchResult {
	Stake::unvote(signed(n), account(owner), amount)
}

pub fn withdraw(n: u8, owner: u8) -> DispatchResult {
	Stake::withdraw(signed(n), account(owner))
}

pub fn unregister(n: u8) -> DispatchResult {
	Stake::unregister(signed(n))
}

pub fn chill(n: u8) -> DispatchResult {
	Stake::chill(signed(n))
}

pub fn unjail(n: u8) -> DispatchResult {
	Stake::unjail(signed(n))
}

pub fn set_commission(n: u8, parts: u32) -> DispatchResult {
	Stake::set_commission(signed(n), percent(parts))
}

/// Settles a pool, by somebody who has nothing to do with it.
pub fn settle(owner: u8) -> DispatchResult {
	Stake::settle(signed(19), account(owner))
}

/// Slashes a pool for an offence of an era, as the pallet that judges work does.
pub fn slash(owner: u8, amount: Balance, since: EraIndex, provers: &[u8]) -> Balance {
	let provers: Vec<AccountId32> = provers.iter().map(|n| account(*n)).collect();
	Stake::slash(&account(owner), amount, since, SlashReason::Equivocation, &provers)
}

/// Reports an equivocation in a session, as the pallet that collects offences does.
pub fn offend(owner: u8, fraction: Perbill, session: SessionIndex, reporters: &[u8]) {
	let reporters = reporters.iter().map(|n| account(*n)).collect();
	let details = OffenceDetails { offender: (account(owner), ()), reporters };
	let _: Weight = Stake::on_offence(&[details], &[fraction], session);
}

/// Pays a pool for a task with CAI that an account has, so that nothing comes out of nothing.
pub fn pay(from: u8, owner: u8, fee: Balance) {
	give(from, fee);
	Stake::pay(&account(owner), fee).unwrap();
}

/// Puts CAI in the pot, for nobody.
pub fn give(from: u8, amount: Balance) {
	let (from, pot) = (account(from), Stake::pot_account());
	<Balances as Mutate<_>>::transfer(&from, &pot, amount, Preservation::Preserve).unwrap();
}

/// Ends the block, in which this much was paid in transaction fees. Its author has this owner.
pub fn author(owner: Option<u8>, fees: Balance) {
	if let Some(owner) = owner {
		<Stake as EventHandler<_, _>>::note_author(account(owner));
	}
	let (exact, polite) = (Precision::Exact, Fortitude::Polite);
	let payer = account(20);
	let credit =
		<Balances as Balanced<_>>::withdraw(&payer, fees, exact, Preservation::Preserve, polite);
	Stake::on_unbalanced(credit.unwrap());
	Stake::on_finalize(System::block_number());
}

pub fn pool(owner: u8) -> Pool<AccountId32> {
	Pools::<Test>::get(account(owner)).unwrap()
}

pub fn issued() -> Issued {
	Issuance::<Test>::get()
}

pub fn free(n: u8) -> Balance {
	Balances::balance(&account(n))
}

/// What an account has taken out and not been paid yet.
pub fn waiting(n: u8) -> Balance {
	let positions = Stake::position(account(n));
	positions.iter().flat_map(|position| &position.unbonding).map(|part| part.worth).sum()
}

pub fn pot() -> Balance {
	Balances::balance(&Stake::pot_account())
}

/// What the pot owes: without donations it holds exactly that.
pub fn owed() -> Balance {
	let pools: Balance = Pools::<Test>::iter_values().map(|pool| pool.tokens).sum();
	let buckets: Balance = Unbonding::<Test>::iter_values().map(|bucket| bucket.tokens).sum();
	pools + buckets + Unsettled::<Test>::get() + Fees::<Test>::get()
}

#[track_caller]
pub fn assert_near(amount: Balance, exact: Balance) {
	assert!(amount.abs_diff(exact) < DUST, "{amount} is not {exact} but for rounding");
}
