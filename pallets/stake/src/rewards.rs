//! What pools earn: by the index, for work, for blocks; and how it is shared out.
//!
//! All stake earns by one index: what a planck of weight has earned since the genesis. An era raises it, whatever the number of pools; a pool takes its part in
//! when it is settled, which every change of it begins with.

use crate::{
	pallet::{
		Author, Config, CurrentEra, Error, Event, Fees, Issuance, Pallet, Pools, RewardIndex,
		TotalWeight, Unsettled, Votes,
	},
	types::{mul_div, Era, Pool, INDEX_ONE, LEAST_EARNING},
};
use cuckoo_primitives::{Balance, BlockNumber, PoolStatus};
use frame_support::{
	defensive,
	dispatch::DispatchResult,
	traits::{
		fungible::{Balanced, Credit, Mutate},
		tokens::{Fortitude, Precision, Preservation},
		Get, Imbalance, OnUnbalanced,
	},
};
use frame_system::pallet_prelude::BlockNumberFor;

impl<T: Config> Pallet<T> {
	/// A pool as it is now: what it earned by the index is in it, and an announced commission in force if its time has come. It must be written back.
	pub(crate) fn settled(owner: &T::AccountId) -> Option<Pool<T::AccountId>> {
		let mut pool = Pools::<T>::get(owner)?;
		let index = RewardIndex::<T>::get();
		let due = pool.due(index);
		pool.index = index;
		if due > 0 {
			// What all pools are due is at most what was minted for them (try_state).
			Unsettled::<T>::mutate(|all| *all = all.saturating_sub(due));
			Self::share_out(owner, &mut pool, due);
		}
		// After that: what came in before is shared out at the old rate.
		pool.apply_raise(CurrentEra::<T>::get().index, T::MaxCommission::get());
		Some(pool)
	}

	/// Shares out an amount that is in the pot already.
	fn share_out(owner: &T::AccountId, pool: &mut Pool<T::AccountId>, amount: Balance) {
		let commission = match pool.earn(amount) {
			Some(earned) => {
				if earned.shares > 0 {
					Votes::<T>::insert(owner, owner, pool.own_shares);
				}
				earned.commission
			},
			// Everybody has left: what comes in late is the owner's, and waits like what left before. If it cannot, because this era's bucket was slashed to
			// nothing, it is burnt.
			None if pool.shares == 0 => {
				let era = CurrentEra::<T>::get().index;
				if Self::start_unbonding(owner, owner, era, amount).is_err() {
					Self::burn(amount);
				}
				amount
			},
			// More shares than 128 bits hold: no commission, then.
			None => {
				pool.tokens = pool.tokens.saturating_add(amount); // parts of one issuance
				0
			},
		};
		Self::deposit_event(Event::Rewarded { owner: owner.clone(), amount, commission });
	}

	/// Burns CAI of the pot.
	pub(crate) fn burn(amount: Balance) {
		if amount == 0 {
			return;
		}
		let pot = Self::pot_account();
		let (exact, force) = (Precision::Exact, Fortitude::Force);
		match T::Currency::burn_from(&pot, amount, Preservation::Expendable, exact, force) {
			Ok(burnt) => {
				Issuance::<T>::mutate(|all| all.burnt = all.burnt.saturating_add(burnt)); // below 2¹²⁸ for ages
			},
			Err(error) => {
				defensive!("the pot holds less than it owes", error);
			},
		}
	}

	/// Mints CAI into the pot: `wanted` planck or as much as is left of the staking pot.
	fn mint_staking(wanted: Balance) -> Balance {
		let mut issued = Issuance::<T>::get();
		let amount = wanted.min(T::StakingPot::get().saturating_sub(issued.staking)); // 0 once it is empty
		if amount == 0 || T::Currency::mint_into(&Self::pot_account(), amount).is_err() {
			return 0;
		}
		issued.staking = issued.staking.saturating_add(amount); // at most the pot
		Issuance::<T>::put(issued);
		amount
	}

	/// Begins a new era if it is time. Returns whether it was.
	pub(crate) fn turn_era(now: BlockNumber) -> bool {
		let era = CurrentEra::<T>::get();
		// Blocks are numbered upwards, so this is the age of the era.
		if now.saturating_sub(era.start) < T::EraLength::get() {
			return false;
		}
		let reward = Self::raise_index();
		let index = era.index.saturating_add(1);
		CurrentEra::<T>::put(Era { index, start: now });
		Self::deposit_event(Event::EraStarted { era: index, reward });
		true
	}

	/// Pays all stake for an era. Returns how much was minted for it.
	fn raise_index() -> Balance {
		let all = TotalWeight::<T>::get();
		if all < LEAST_EARNING {
			return 0;
		}
		let left = T::StakingPot::get().saturating_sub(Issuance::<T>::get().staking); // 0 once it is empty
		let step = mul_div(T::StakingPerEra::get().min(left), INDEX_ONE, all).unwrap_or(0);
		let Some(index) = RewardIndex::<T>::get().checked_add(step) else { return 0 };
		// What the step pays out, rounded up, is at most what the step was made from.
		let exact = mul_div(step, all, INDEX_ONE).unwrap_or(0);
		let rounded =
			exact.saturating_add(Balance::from(mul_div(exact, INDEX_ONE, all) < Some(step)));
		let minted = Self::mint_staking(rounded);
		if minted < rounded {
			return 0;
		}
		RewardIndex::<T>::put(index);
		Unsettled::<T>::mutate(|all| *all = all.saturating_add(minted)); // parts of one issuance
		minted
	}

	/// Pays a pool for a task whose fee is in the pot.
	pub(crate) fn do_pay(owner: &T::AccountId, fee: Balance) -> DispatchResult {
		let mut pool = Self::settled(owner).ok_or(Error::<T>::NotRegistered)?;
		let burn = T::FeeBurn::get();
		let burnt = burn.mul_floor(fee);
		Self::burn(burnt);
		let mut issued = Issuance::<T>::get();
		// Whoever pays itself gets back at most what was burnt: the bonus is never more than that.
		let bonus = T::MiningBonus::get().min(burn).mul_floor(fee);
		let bonus = bonus.min(T::MiningPot::get().saturating_sub(issued.mining)); // 0 once it is empty
		if bonus > 0 {
			T::Currency::mint_into(&Self::pot_account(), bonus)?;
			issued.mining = issued.mining.saturating_add(bonus); // at most the pot
			Issuance::<T>::put(issued);
		}
		let paid = fee.checked_sub(burnt).and_then(|rest| rest.checked_add(bonus));
		Self::share_out(owner, &mut pool, paid.ok_or(Error::<T>::Overflow)?);
		Self::write_pool(owner, pool);
		Ok(())
	}

	/// Pays the author of the block that ends: its part of the fees, and the block reward. One that was caught cheating makes blocks until the session ends, for nothing.
	pub(crate) fn pay_author() {
		let fees = Fees::<T>::take();
		match Author::<T>::take().and_then(|owner| Some((Self::settled(&owner)?, owner))) {
			Some((mut pool, owner)) if !matches!(pool.status, PoolStatus::Jailed { .. }) => {
				let amount = fees.saturating_add(Self::mint_staking(T::BlockReward::get())); // parts of one issuance
				if amount > 0 {
					Self::share_out(&owner, &mut pool, amount);
				}
				Self::write_pool(&owner, pool);
			},
			Some((pool, owner)) => {
				Self::burn(fees);
				Self::write_pool(&owner, pool);
			},
			None => Self::burn(fees),
		}
	}
}

/// Keeps the author's part of transaction fees for it and burns the rest.
impl<T: Config> OnUnbalanced<Credit<T::AccountId, T::Currency>> for Pallet<T> {
	fn on_nonzero_unbalanced(fees: Credit<T::AccountId, T::Currency>) {
		let all = fees.peek();
		let (kept, burnt) = fees.split(T::AuthorFees::get().mul_floor(all));
		let amount = kept.peek();
		drop(burnt);
		let kept = match T::Currency::resolve(&Self::pot_account(), kept) {
			Ok(()) => amount,
			// The pot does not exist: it is burnt with the rest when it is dropped.
			Err(_) => 0,
		};
		Fees::<T>::mutate(|fees| *fees = fees.saturating_add(kept)); // parts of one issuance
		Issuance::<T>::mutate(|issued| {
			issued.burnt = issued.burnt.saturating_add(all.saturating_sub(kept))
		});
	}
}

impl<T: Config> pallet_authorship::EventHandler<T::AccountId, BlockNumberFor<T>> for Pallet<T> {
	fn note_author(author: T::AccountId) {
		Author::<T>::put(author);
	}
}
