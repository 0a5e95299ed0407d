//! Register, vote, unvote, withdraw, and the turning of eras.

use crate::{
	pallet::{
		Claims, Config, CurrentEra, Error, Event, HoldReason, Intros, Operators, Pallet, Pools,
		Unbonding, Votes,
	},
	types::{shares_covering, shares_for, tokens_for, Claim, Era, Intro, Pool},
};
use cuckoo_primitives::{traits::OnWeightChange, Balance, BlockNumber, EraIndex, Role};
use frame_support::{
	dispatch::DispatchResult,
	ensure,
	traits::{
		fungible::{Inspect, Mutate, MutateHold},
		tokens::{Fortitude, Preservation},
		Get,
	},
};
use sp_runtime::{traits::AccountIdConversion, Perbill};

/// A vote may lose this part of itself to rounding at most.
const MAX_ROUNDING: Balance = 1_000_000;

impl<T: Config> Pallet<T> {
	/// The account that holds all stake.
	pub fn pot_account() -> T::AccountId {
		T::PotId::get().into_account_truncating()
	}

	/// What a role's own bond must be worth more than, in planck.
	pub fn minimum(role: Role) -> Balance {
		match role {
			Role::Validator => T::MinValidatorBond::get(),
			Role::Coordinator => T::MinCoordinatorBond::get(),
			Role::Miner => T::MinMinerBond::get(),
		}
	}

	/// A pool's weight in the draw, in planck: its tokens, or 0 while the owner's bond is not above the minimum.
	pub(crate) fn draw_weight(pool: &Pool<T::AccountId>) -> Balance {
		if pool.own() > Self::minimum(pool.role) {
			pool.tokens
		} else {
			0
		}
	}

	/// Every change of a pool ends here: stored, and known to the draw.
	pub(crate) fn write_pool(owner: &T::AccountId, pool: Pool<T::AccountId>) {
		let (role, weight) = (pool.role, Self::draw_weight(&pool));
		Pools::<T>::insert(owner, pool);
		T::OnWeightChange::weight_changed(owner, role, weight);
	}

	/// An operator works for one pool, and is nobody else's owner: who asks for a pool by either account must find the same one.
	fn ensure_operator(owner: &T::AccountId, operator: &T::AccountId) -> DispatchResult {
		let taken = Operators::<T>::contains_key(operator)
			|| (operator != owner && Pools::<T>::contains_key(operator));
		ensure!(!taken, Error::<T>::OperatorTaken);
		Ok(())
	}

	pub(crate) fn ensure_intro(role: Role, intro: &Intro) -> DispatchResult {
		ensure!(!intro.name.is_empty(), Error::<T>::NameMissing);
		let http =
			intro.endpoint.starts_with(b"http://") || intro.endpoint.starts_with(b"https://");
		let fits = if role == Role::Coordinator { http } else { intro.endpoint.is_empty() };
		ensure!(fits, Error::<T>::BadEndpoint);
		Ok(())
	}

	pub(crate) fn do_register(
		owner: T::AccountId,
		role: Role,
		operator: T::AccountId,
		intro: Intro,
		commission: Perbill,
		bond: Balance,
	) -> DispatchResult {
		ensure!(!Pools::<T>::contains_key(&owner), Error::<T>::AlreadyRegistered);
		Self::ensure_operator(&owner, &operator)?;
		ensure!(commission <= T::MaxCommission::get(), Error::<T>::CommissionTooHigh);
		ensure!(bond > Self::minimum(role), Error::<T>::BondTooSmall);
		Self::ensure_intro(role, &intro)?;
		T::Currency::hold(&HoldReason::Registration.into(), &owner, T::RegistrationDeposit::get())?;
		Self::take(&owner, bond)?;
		let pool = Pool {
			role,
			operator: operator.clone(),
			commission,
			tokens: bond,
			shares: bond,
			own_shares: bond,
		};
		Votes::<T>::insert(&owner, &owner, bond);
		Operators::<T>::insert(&operator, &owner);
		Intros::<T>::insert(&owner, intro);
		Self::write_pool(&owner, pool);
		Self::deposit_event(Event::Registered { owner, role, operator, bond });
		Ok(())
	}

	pub(crate) fn do_set_operator(owner: T::AccountId, operator: T::AccountId) -> DispatchResult {
		Self::ensure_operator(&owner, &operator)?;
		Pools::<T>::try_mutate(&owner, |pool| {
			let pool = pool.as_mut().ok_or(Error::<T>::NotRegistered)?;
			Operators::<T>::remove(&pool.operator);
			pool.operator = operator.clone();
			Ok::<_, Error<T>>(())
		})?;
		Operators::<T>::insert(&operator, &owner);
		Self::deposit_event(Event::OperatorSet { owner, operator });
		Ok(())
	}

	pub(crate) fn do_vote(
		voter: &T::AccountId,
		owner: &T::AccountId,
		amount: Balance,
	) -> DispatchResult {
		let mut pool = Pools::<T>::get(owner).ok_or(Error::<T>::NotRegistered)?;
		ensure!(voter == owner || Self::draw_weight(&pool) > 0, Error::<T>::ClosedToVotes);
		ensure!(amount >= T::MinVote::get(), Error::<T>::VoteTooSmall);
		let shares =
			shares_for(amount, pool.tokens, pool.shares).ok_or(Error::<T>::ClosedToVotes)?;
		pool.tokens = pool.tokens.checked_add(amount).ok_or(Error::<T>::Overflow)?;
		// A pool can be brought down to a few shares and have them made dear by a reward. Nobody loses more than dust to its rounding.
		let all = pool.shares.checked_add(shares).ok_or(Error::<T>::Overflow)?;
		let lost = amount.saturating_sub(tokens_for(shares, pool.tokens, all)); // never worth more
		ensure!(lost <= amount / MAX_ROUNDING, Error::<T>::ClosedToVotes);
		Self::take(voter, amount)?;
		Self::add_shares(voter, owner, &mut pool, shares)?;
		Self::write_pool(owner, pool);
		Self::deposit_event(Event::Voted {
			voter: voter.clone(),
			owner: owner.clone(),
			amount,
			shares,
		});
		Ok(())
	}

	/// Moves CAI into the pot.
	fn take(from: &T::AccountId, amount: Balance) -> DispatchResult {
		let free = T::Currency::reducible_balance(from, Preservation::Preserve, Fortitude::Polite);
		ensure!(amount <= free, Error::<T>::BalanceTooLow);
		T::Currency::transfer(from, &Self::pot_account(), amount, Preservation::Preserve)?;
		Ok(())
	}

	/// Issues shares to a voter.
	pub(crate) fn add_shares(
		voter: &T::AccountId,
		owner: &T::AccountId,
		pool: &mut Pool<T::AccountId>,
		shares: Balance,
	) -> DispatchResult {
		if shares == 0 {
			return Ok(());
		}
		pool.shares = pool.shares.checked_add(shares).ok_or(Error::<T>::Overflow)?;
		if voter == owner {
			pool.own_shares = pool.own_shares.checked_add(shares).ok_or(Error::<T>::Overflow)?;
		}
		Votes::<T>::try_mutate(voter, owner, |held| {
			*held = held.checked_add(shares).ok_or(Error::<T>::Overflow)?;
			Ok(())
		})
	}

	pub(crate) fn do_unvote(
		voter: &T::AccountId,
		owner: &T::AccountId,
		amount: Balance,
	) -> DispatchResult {
		let mut pool = Pools::<T>::get(owner).ok_or(Error::<T>::NotRegistered)?;
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
		let out = tokens_for(shares, pool.tokens, pool.shares).min(amount);
		let rest = held.checked_sub(shares).ok_or(Error::<T>::NotEnoughVotes)?;
		pool.tokens = pool.tokens.checked_sub(out).ok_or(Error::<T>::Overflow)?;
		pool.shares = pool.shares.checked_sub(shares).ok_or(Error::<T>::Overflow)?;
		if voter == owner {
			pool.own_shares = rest;
		}
		ensure!(
			rest == 0 || tokens_for(rest, pool.tokens, pool.shares) >= T::MinVote::get(),
			Error::<T>::VoteTooSmall
		);
		if rest == 0 {
			Votes::<T>::remove(voter, owner);
		} else {
			Votes::<T>::insert(voter, owner, rest);
		}
		let era = CurrentEra::<T>::get().index;
		Self::start_unbonding(voter, owner, era, out)?;
		Self::write_pool(owner, pool);
		Self::deposit_event(Event::Unvoted {
			voter: voter.clone(),
			owner: owner.clone(),
			amount: out,
			from_era: Self::payable_from(era),
		});
		Ok(())
	}

	fn start_unbonding(
		voter: &T::AccountId,
		owner: &T::AccountId,
		era: EraIndex,
		amount: Balance,
	) -> DispatchResult {
		let mut bucket = Unbonding::<T>::get(owner, era).unwrap_or_default();
		let shares =
			shares_for(amount, bucket.tokens, bucket.shares).ok_or(Error::<T>::Overflow)?;
		bucket.tokens = bucket.tokens.checked_add(amount).ok_or(Error::<T>::Overflow)?;
		bucket.shares = bucket.shares.checked_add(shares).ok_or(Error::<T>::Overflow)?;
		Claims::<T>::try_mutate(voter, owner, |claims| match claims.last_mut() {
			Some(last) if last.era == era => {
				last.shares = last.shares.checked_add(shares).ok_or(Error::<T>::Overflow)?;
				Ok(())
			},
			_ => claims.try_push(Claim { era, shares }).map_err(|_| Error::<T>::TooManyClaims),
		})?;
		Unbonding::<T>::insert(owner, era, bucket);
		Ok(())
	}

	/// The first era in which what left a pool in `era` is paid out.
	pub(crate) fn payable_from(era: EraIndex) -> EraIndex {
		// Eras are counted from 0 and turn once in hours: 2³² are never reached.
		era.saturating_add(T::BondingEras::get())
	}

	pub(crate) fn do_withdraw(voter: &T::AccountId, owner: &T::AccountId) -> DispatchResult {
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
				paid = paid.saturating_add(Self::redeem(owner, claim)); // parts of one issuance
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

	/// Takes a claim out of its bucket and returns what it is worth.
	fn redeem(owner: &T::AccountId, claim: &Claim) -> Balance {
		Unbonding::<T>::mutate_exists(owner, claim.era, |stored| {
			let mut bucket = stored.take().unwrap_or_default();
			// Whoever is last takes the rounding of those before.
			let worth = if claim.shares >= bucket.shares {
				bucket.tokens
			} else {
				tokens_for(claim.shares, bucket.tokens, bucket.shares)
			};
			// A claim is part of its bucket (try_state), so neither subtraction saturates.
			bucket.tokens = bucket.tokens.saturating_sub(worth);
			bucket.shares = bucket.shares.saturating_sub(claim.shares);
			*stored = (bucket.shares > 0).then_some(bucket);
			worth
		})
	}

	pub(crate) fn turn_era(now: BlockNumber) {
		let era = CurrentEra::<T>::get();
		// Blocks are numbered upwards, so this is the age of the era.
		if now.saturating_sub(era.start) >= T::EraLength::get() {
			let index = era.index.saturating_add(1);
			CurrentEra::<T>::put(Era { index, start: now });
			Self::deposit_event(Event::EraStarted { era: index });
		}
	}
}
