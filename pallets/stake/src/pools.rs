//! How the pallet looks to the one that hands out work.

use crate::pallet::{Config, CurrentEra, Disputes, Intros, Operators, Pallet, Pools};
use alloc::vec::Vec;
use cuckoo_primitives::{traits, Balance, EraIndex, Role, SlashReason};
use frame_support::dispatch::DispatchResult;

impl<T: Config> traits::Pools<T::AccountId> for Pallet<T> {
	fn of_operator(operator: &T::AccountId) -> Option<(T::AccountId, Role)> {
		let owner = Operators::<T>::get(operator)?;
		let role = Pools::<T>::get(&owner)?.role;
		Some((owner, role))
	}

	fn weight(owner: &T::AccountId) -> Balance {
		Pools::<T>::get(owner).map_or(0, |pool| pool.weight)
	}

	fn own(owner: &T::AccountId) -> Balance {
		Pools::<T>::get(owner).map_or(0, |pool| pool.own())
	}

	fn tokens(owner: &T::AccountId) -> Balance {
		Pools::<T>::get(owner).map_or(0, |pool| pool.tokens)
	}

	fn least_bond(role: Role) -> Balance {
		Self::minimum(role)
	}

	fn era() -> EraIndex {
		CurrentEra::<T>::get().index
	}

	fn endpoint(owner: &T::AccountId) -> Vec<u8> {
		Intros::<T>::get(owner).endpoint.into_inner()
	}

	fn pot() -> T::AccountId {
		Self::pot_account()
	}

	fn pay(owner: &T::AccountId, fee: Balance) -> DispatchResult {
		Self::do_pay(owner, fee)
	}

	fn burn(amount: Balance) {
		Self::burn(amount);
	}

	fn slash(
		owner: &T::AccountId,
		amount: Balance,
		since: EraIndex,
		reason: SlashReason,
		provers: &[T::AccountId],
	) -> Balance {
		Self::do_slash(owner, amount, since, reason, provers)
	}

	fn jail(owner: &T::AccountId) {
		Self::do_jail(owner);
	}

	fn freeze(owner: &T::AccountId) {
		Disputes::<T>::mutate(owner, |open| *open = open.saturating_add(1)); // far from 2³²
	}

	fn release(owner: &T::AccountId) {
		Disputes::<T>::mutate_exists(owner, |open| {
			*open = open.and_then(|open| open.checked_sub(1)).filter(|open| *open > 0)
		});
	}

	#[cfg(feature = "runtime-benchmarks")]
	fn benchmark_pool(owner: &T::AccountId, operator: &T::AccountId, role: Role) -> DispatchResult {
		crate::benchmarking::unsettled_pool::<T>(owner, operator, role)
	}
}
