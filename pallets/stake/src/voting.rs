//! Into a pool and out of it: shares, buckets, claims.

use crate::{
	pallet::{
		Claims, Config, CurrentEra, Disputes, Error, Event, Pallet, Unbonding, Votes, MAX_CLAIMS,
	},
	types::{shares_covering, shares_for, tokens_for, Claim, Pool},
};
use cuckoo_primitives::{traits::Work, Balance, EraIndex, PoolStatus};
use frame_support::{
	dispatch::DispatchResult,
	ensure,
	traits::{
		fungible::{Inspect, Mutate},
		tokens::{Fortitude, Preservation},
		Get,
	},
};
use sp_runtime::traits::AccountIdConversion;

/// A vote may lose this part of itself to rounding at most.
const MAX_ROUNDING: Balance = 1_000_000;

impl<T: Config> Pallet<T> {
	/// The account that holds all stake.
	pub fn pot_account() -> T::AccountId {
		T::PotId::get().into_account_truncating()
	}

	/// How many eras lie between leaving a pool and being paid out.
	pub(crate) fn bonding_eras() -> EraIndex {
		// A voter must be able to leave in every era of its waiting time.
		T::BondingEras::get().clamp(1, MAX_CLAIMS - 1)
	}

	/// The first era in which what left a pool in `era` is paid out.
	pub(crate) fn payable_from(era: EraIndex) -> EraIndex {
		// Eras are counted from 0 and turn once in hours: 2³² are never reached.
		era.saturating_add(Self::bonding_eras())
	}

	/// Moves CAI into the pot.
	pub(crate) fn take(from: &T::AccountId, amount: Balance) -> DispatchResult {
		let free = T::Currency::reducible_balance(from, Preservation::Preserve, Fortitude::Polite);
		ensure!(amount <= free, Error::<T>::BalanceTooLow);
		T::Currency::transfer(from, &Self::pot_account(), amount, Preservation::Preserve)?;
		Ok(())
	}

	pub(crate) fn do_vote(
		voter: &T::AccountId,
		owner: &T::AccountId,
		amount: Balance,
	) -> DispatchResult {
		let mut pool = Self::settled(owner).ok_or(Error::<T>::NotRegistered)?;
		// An owner may put its bond right again, whatever happened, but for good is for good.
		let own = voter == owner && !matches!(pool.status, PoolStatus::Retired { .. });
		ensure!(own || Self::weigh(&pool) > 0, Error::<T>::ClosedToVotes);
		ensure!(amount >= T::MinVote::get(), Error::<T>::VoteTooSmall);
		let shares =
			shares_for(amount, pool.tokens, pool.shares).ok_or(Error::<T>::ClosedToVotes)?;
		pool.tokens = pool.tokens.checked_add(amount).ok_or(Error::<T>::Overflow)?;
		pool.shares = pool.shares.checked_add(shares).ok_or(Error::<T>::Overflow)?;
		// A pool can be brought down to a few shares and have them made dear by a reward. Nobody loses more than dust to its rounding.
		let lost = amount.saturating_sub(tokens_for(shares, pool.tokens, pool.shares)); // never worth more
		ensure!(lost <= amount / MAX_ROUNDING, Error::<T>::ClosedToVotes);
		Self::take(voter, amount)?;
		let held = Votes::<T>::get(voter, owner).checked_add(shares).ok_or(Error::<T>::Overflow)?;
		Self::set_vote(voter, owner, &mut pool, held);
		Self::write_pool(owner, pool);
		Self::deposit_event(Event::Voted {
			voter: voter.clone(),
			owner: owner.clone(),
			amount,
			shares,
		});
		Ok(())
	}

	/// Writes down how many of a pool's shares are a voter's.
	pub(crate) fn set_vote(
		voter: &T::AccountId,
		owner: &T::AccountId,
		pool: &mut Pool<T::AccountId>,
		shares: Balance,
	) {
		if voter == owner {
			pool.own_shares = shares;
		}
		if shares == 0 {
			Votes::<T>::remove(voter, owner);
		} else {
			Votes::<T>::insert(voter, owner, shares);
		}
	}

	pub(crate) fn do_unvote(
		voter: &T::AccountId,
		owner: &T::AccountId,
		amount: Balance,
	) -> DispatchResult {
		let mut pool = Self::settled(owner).ok_or(Error::<T>::NotRegistered)?;
		Self::take_out(voter, owner, &mut pool, amount)?;
		// Else its voters would pay for what it has taken on.
		ensure!(voter != owner || pool.own() >= T::Work::at_risk(owner), Error::<T>::StakeAtRisk);
		Self::write_pool(owner, pool);
		Ok(())
	}

	/// Moves a part of a vote into the bucket of the present era; `Balance::MAX` means all of it.
	pub(crate) fn take_out(
		voter: &T::AccountId,
		owner: &T::AccountId,
		pool: &mut Pool<T::AccountId>,
		amount: Balance,
	) -> DispatchResult {
		let held = Votes::<T>::get(voter, owner);
		ensure!(held > 0, Error::<T>::NotEnoughVotes);
		let worth = tokens_for(held, pool.tokens, pool.shares);
		let shares = if amount == Balance::MAX || amount == worth {
			held
		} else {
			ensure!(amount <= worth, Error::<T>::NotEnoughVotes);
			ensure!(amount > 0, Error::<T>::VoteTooSmall);
			shares_covering(amount, pool.tokens, pool.shares).ok_or(Error::<T>::Overflow)?.min(held)
		};
		let redeemed = tokens_for(shares, pool.tokens, pool.shares);
		let out = redeemed.min(amount);
		let lost = redeemed.saturating_sub(out); // the smaller of both
		ensure!(lost <= out / MAX_ROUNDING, Error::<T>::RoundingTooLarge);
		let rest = held.checked_sub(shares).ok_or(Error::<T>::NotEnoughVotes)?;
		pool.tokens = pool.tokens.checked_sub(out).ok_or(Error::<T>::Overflow)?;
		pool.shares = pool.shares.checked_sub(shares).ok_or(Error::<T>::Overflow)?;
		ensure!(
			rest == 0 || tokens_for(rest, pool.tokens, pool.shares) >= T::MinVote::get(),
			Error::<T>::VoteTooSmall
		);
		Self::set_vote(voter, owner, pool, rest);
		let era = CurrentEra::<T>::get().index;
		Self::start_unbonding(voter, owner, era, out)?;
		Self::deposit_event(Event::Unvoted {
			voter: voter.clone(),
			owner: owner.clone(),
			amount: out,
			from_era: Self::payable_from(era),
		});
		Ok(())
	}

	/// Puts an amount that is in the pot into a bucket, and a claim on it. Changes nothing if it fails.
	pub(crate) fn start_unbonding(
		voter: &T::AccountId,
		owner: &T::AccountId,
		era: EraIndex,
		amount: Balance,
	) -> DispatchResult {
		// The vote was slashed to nothing: nothing waits.
		if amount == 0 {
			return Ok(());
		}
		let mut bucket = Unbonding::<T>::get(owner, era).unwrap_or_default();
		let shares =
			shares_for(amount, bucket.tokens, bucket.shares).ok_or(Error::<T>::WaitForNextEra)?;
		bucket.tokens = bucket.tokens.checked_add(amount).ok_or(Error::<T>::Overflow)?;
		bucket.shares = bucket.shares.checked_add(shares).ok_or(Error::<T>::WaitForNextEra)?;
		Claims::<T>::try_mutate(voter, owner, |claims| match claims.last_mut() {
			Some(last) if last.era == era => {
				last.shares = last.shares.checked_add(shares).ok_or(Error::<T>::WaitForNextEra)?;
				Ok(())
			},
			_ => claims.try_push(Claim { era, shares }).map_err(|_| Error::<T>::TooManyClaims),
		})?;
		Unbonding::<T>::insert(owner, era, bucket);
		Ok(())
	}

	pub(crate) fn do_withdraw(voter: &T::AccountId, owner: &T::AccountId) -> DispatchResult {
		ensure!(Disputes::<T>::get(owner) == 0, Error::<T>::Disputed);
		let now = CurrentEra::<T>::get().index;
		let mut paid: Balance = 0;
		let mut any = false;
		Claims::<T>::try_mutate_exists(voter, owner, |stored| {
			let mut claims = stored.take().unwrap_or_default();
			claims.retain(|claim| {
				if Self::payable_from(claim.era) > now {
					return true;
				}
				any = true;
				let worth = Unbonding::<T>::mutate_exists(owner, claim.era, |stored| {
					let mut bucket = stored.take().unwrap_or_default();
					let worth = bucket.redeem(claim.shares);
					*stored = (bucket.shares > 0).then_some(bucket);
					worth
				});
				paid = paid.saturating_add(worth); // parts of one issuance
				false
			});
			*stored = (!claims.is_empty()).then_some(claims);
			ensure!(any, Error::<T>::NothingToWithdraw);
			Ok::<_, Error<T>>(())
		})?;
		T::Currency::transfer(&Self::pot_account(), voter, paid, Preservation::Expendable)?;
		Self::deposit_event(Event::Withdrawn {
			voter: voter.clone(),
			owner: owner.clone(),
			amount: paid,
		});
		Ok(())
	}
}
