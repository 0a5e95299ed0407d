//! Who makes blocks: the validators with the largest pools, elected anew for every session.

use crate::pallet::{
	Candidates, Config, CurrentEra, Elected, Error, Event, Operators, Pallet, Pools, SessionEras,
};
use alloc::vec::Vec;
use core::{cmp::Reverse, marker::PhantomData};
use cuckoo_primitives::Balance;
use frame_support::{dispatch::DispatchResult, ensure, traits::Get, weights::Weight};
use pallet_session::{historical, SessionManager};
use sp_runtime::{traits::Convert, Perbill};
use sp_staking::SessionIndex;

/// The sessions, as far as elections and offences need them.
pub trait Sessions<AccountId> {
	/// Whether a validator has set the keys that it makes blocks with.
	fn has_keys(owner: &AccountId) -> bool;
	/// Whether it has set others since the next session was prepared.
	fn has_new_keys(owner: &AccountId) -> bool;
	/// Whether it makes blocks in this session or the next.
	fn is_active(owner: &AccountId) -> bool;
	/// Takes the keys away that an operator has set.
	fn purge_keys(operator: AccountId) -> DispatchResult;
	/// What that costs.
	fn purge_keys_weight() -> Weight;
	/// Keeps a validator from making blocks for the rest of the session, if enough others are left. `fraction` is how much it was slashed.
	fn disable(owner: &AccountId, fraction: Perbill);
	/// Forgets who made blocks in the sessions before this one: no offence of theirs can be judged any more.
	fn forget_before(session: SessionIndex);
}

/// Sessions that nobody ends.
impl<AccountId> Sessions<AccountId> for () {
	fn has_keys(_: &AccountId) -> bool {
		false
	}
	fn has_new_keys(_: &AccountId) -> bool {
		false
	}
	fn is_active(_: &AccountId) -> bool {
		false
	}
	fn purge_keys(_: AccountId) -> DispatchResult {
		Ok(())
	}
	fn purge_keys_weight() -> Weight {
		Weight::zero()
	}
	fn disable(_: &AccountId, _: Perbill) {}
	fn forget_before(_: SessionIndex) {}
}

/// The owner of the pool that an account operates: validators are known by their owners, and their operators set their keys.
pub struct OwnerOf<T>(PhantomData<T>);

impl<T: Config> Convert<T::AccountId, Option<T::AccountId>> for OwnerOf<T> {
	fn convert(operator: T::AccountId) -> Option<T::AccountId> {
		Operators::<T>::get(operator)
	}
}

impl<T: Config> Pallet<T> {
	/// The validators with the largest pools among those that take part and have keys, in the order of their accounts.
	///
	/// Reads every candidate, of which there are fewer than all CAI by the smallest bond: this is called once a session, in a block without transactions.
	fn elect() -> Vec<T::AccountId> {
		let weight = |owner: &T::AccountId| Pools::<T>::get(owner).map_or(0, |pool| pool.weight);
		let mut candidates: Vec<(Balance, T::AccountId)> = Candidates::<T>::iter_keys()
			.filter(T::Sessions::has_keys)
			.map(|owner| (weight(&owner), owner))
			.collect();
		candidates.sort_unstable_by_key(|(weight, owner)| (Reverse(*weight), owner.clone()));
		candidates.truncate(T::MaxValidators::get() as usize);
		let mut elected: Vec<_> = candidates.into_iter().map(|(_, owner)| owner).collect();
		elected.sort_unstable();
		elected
	}
}

impl<T: Config> Pallet<T> {
	/// Keys are needed to be judged by as long as they are in use; and without the keys of its last validator the chain would stop.
	pub(crate) fn do_purge_keys(operator: T::AccountId) -> DispatchResult {
		let owner = Operators::<T>::get(&operator).ok_or(Error::<T>::NotRegistered)?;
		let elected = Elected::<T>::get().contains(&owner);
		ensure!(!elected && !T::Sessions::is_active(&owner), Error::<T>::StillElected);
		T::Sessions::purge_keys(operator)
	}
}

impl<T: Config> SessionManager<T::AccountId> for Pallet<T> {
	/// `None` keeps the validators: if they and their keys are the same, or nobody could be elected, for without validators the chain would stop for ever. With new keys
	/// they are named again, or the record of who had which keys in a session would be that of the old ones.
	fn new_session(session: SessionIndex) -> Option<Vec<T::AccountId>> {
		let elected = Self::elect();
		if elected.is_empty() {
			Elected::<T>::kill();
			return None;
		}
		let same = elected == Elected::<T>::get().into_inner();
		if same && !elected.iter().any(T::Sessions::has_new_keys) {
			return None;
		}
		let count = elected.len().try_into().ok()?;
		// It was cut to that length.
		Elected::<T>::put(frame_support::BoundedVec::truncate_from(elected.clone()));
		Self::deposit_event(Event::ValidatorsElected { session, count });
		Some(elected)
	}

	fn start_session(session: SessionIndex) {
		SessionEras::<T>::insert(session, CurrentEra::<T>::get().index);
		if let Some(old) = session.checked_sub(T::SessionMemory::get()) {
			SessionEras::<T>::remove(old);
			T::Sessions::forget_before(old);
		}
	}

	fn end_session(_: SessionIndex) {}
}

impl<T: Config> historical::SessionManager<T::AccountId, ()> for Pallet<T> {
	fn new_session(session: SessionIndex) -> Option<Vec<(T::AccountId, ())>> {
		let elected = <Self as SessionManager<_>>::new_session(session)?;
		Some(elected.into_iter().map(|owner| (owner, ())).collect())
	}

	fn start_session(session: SessionIndex) {
		<Self as SessionManager<_>>::start_session(session);
	}

	fn end_session(session: SessionIndex) {
		<Self as SessionManager<_>>::end_session(session);
	}
}
