//! What a pool earns, and how the pallet looks to the one that hands out work.

use crate::{
	pallet::{Config, Error, Event, Intros, Operators, Pallet, Pools},
	types::shares_for,
};
use alloc::vec::Vec;
use cuckoo_primitives::{traits, Balance, Role};
use frame_support::{
	dispatch::DispatchResult,
	traits::{fungible::Mutate, tokens::Preservation},
};

impl<T: Config> traits::Pools<T::AccountId> for Pallet<T> {
	fn of_operator(operator: &T::AccountId) -> Option<(T::AccountId, Role)> {
		let owner = Operators::<T>::get(operator)?;
		let role = Pools::<T>::get(&owner)?.role;
		Some((owner, role))
	}

	fn weight(owner: &T::AccountId) -> Balance {
		Pools::<T>::get(owner).map_or(0, |pool| Self::draw_weight(&pool))
	}

	fn endpoint(owner: &T::AccountId) -> Vec<u8> {
		Intros::<T>::get(owner).endpoint.into_inner()
	}

	fn pot() -> T::AccountId {
		Self::pot_account()
	}

	fn reward(owner: &T::AccountId, amount: Balance) -> DispatchResult {
		let mut pool = Pools::<T>::get(owner).ok_or(Error::<T>::NotRegistered)?;
		let commission = if pool.shares == 0 {
			// Everybody has left: what comes in late is the owner's.
			T::Currency::transfer(&Self::pot_account(), owner, amount, Preservation::Expendable)?;
			amount
		} else {
			let commission = pool.commission.mul_floor(amount);
			let shared = amount.checked_sub(commission).ok_or(Error::<T>::Overflow)?;
			pool.tokens = pool.tokens.checked_add(shared).ok_or(Error::<T>::Overflow)?;
			// The commission buys the owner shares at the price after the voters' part.
			let shares =
				shares_for(commission, pool.tokens, pool.shares).ok_or(Error::<T>::Overflow)?;
			pool.tokens = pool.tokens.checked_add(commission).ok_or(Error::<T>::Overflow)?;
			Self::add_shares(owner, owner, &mut pool, shares)?;
			commission
		};
		Self::write_pool(owner, pool);
		Self::deposit_event(Event::Rewarded { owner: owner.clone(), amount, commission });
		Ok(())
	}
}
