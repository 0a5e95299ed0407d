//! Who has a pool, and on what terms: registering and leaving, the operator, the introduction, the commission.

use crate::{
	pallet::{
		Candidates, Config, CurrentEra, Disputes, Error, Event, HoldReason, Intros, Operators,
		Pallet, Pools, RewardIndex, TotalWeight, Unbonding, Votes,
	},
	types::{Intro, Pool, Raise},
	validators::Sessions,
};
use cuckoo_primitives::{
	traits::{OnWeightChange, Work},
	Balance, PoolStatus, Role,
};
use frame_support::{
	dispatch::DispatchResult,
	ensure,
	traits::{fungible::MutateHold, tokens::Precision, Get},
};
use sp_runtime::{Perbill, Saturating};

impl<T: Config> Pallet<T> {
	/// What a role's own bond must be worth more than, in planck.
	pub fn minimum(role: Role) -> Balance {
		match role {
			Role::Validator => T::MinValidatorBond::get(),
			Role::Coordinator => T::MinCoordinatorBond::get(),
			Role::Miner => T::MinMinerBond::get(),
		}
	}

	/// What a pool weighs in draws and elections, in planck: its tokens, or 0 unless it is open and the owner's bond above the minimum.
	pub(crate) fn weigh(pool: &Pool<T::AccountId>) -> Balance {
		if pool.status == PoolStatus::Open && pool.own() > Self::minimum(pool.role) {
			pool.tokens
		} else {
			0
		}
	}

	/// Every change of a pool ends here: weighed, stored, and known to draws, elections and the reward index. The pool is one that was [settled](Self::settled),
	/// or it would be rewarded at its new weight for the time before.
	pub(crate) fn write_pool(owner: &T::AccountId, mut pool: Pool<T::AccountId>) {
		let (role, before, weight) = (pool.role, pool.weight, Self::weigh(&pool));
		pool.weight = weight;
		Pools::<T>::insert(owner, pool);
		if weight != before {
			// The total is the sum of all weights (try_state), and they are parts of one issuance.
			TotalWeight::<T>::mutate(|all| {
				*all = all.saturating_sub(before).saturating_add(weight);
			});
		}
		if role == Role::Validator && (weight == 0) != (before == 0) {
			Candidates::<T>::set(owner, (weight > 0).then_some(()));
		}
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

	/// The pool of somebody who has not left, with all that it earned.
	fn settled_present(owner: &T::AccountId) -> Result<Pool<T::AccountId>, Error<T>> {
		let pool = Self::settled(owner).ok_or(Error::<T>::NotRegistered)?;
		match pool.status {
			PoolStatus::Retired { .. } => Err(Error::<T>::Retired),
			_ => Ok(pool),
		}
	}

	/// What is left of the pool that a staker had before, in planck; fails unless everybody has taken out what was theirs, and nothing can be slashed any more.
	fn left_behind(owner: &T::AccountId) -> Result<Balance, Error<T>> {
		let Some(pool) = Pools::<T>::get(owner) else { return Ok(0) };
		let PoolStatus::Retired { era } = pool.status else {
			return Err(Error::<T>::AlreadyRegistered);
		};
		let now = CurrentEra::<T>::get().index;
		let over = Self::payable_from(era) <= now;
		// Nor has anybody left in this era: the new pool could be slashed for it, and that bucket with it.
		let empty = pool.shares == 0
			&& Disputes::<T>::get(owner) == 0
			&& !Unbonding::<T>::contains_key(owner, now);
		ensure!(over && empty, Error::<T>::Retired);
		Ok(pool.tokens)
	}

	pub(crate) fn do_register(
		owner: T::AccountId,
		role: Role,
		operator: T::AccountId,
		intro: Intro,
		commission: Perbill,
		bond: Balance,
	) -> DispatchResult {
		let left_behind = Self::left_behind(&owner)?;
		Self::ensure_operator(&owner, &operator)?;
		ensure!(commission <= T::MaxCommission::get(), Error::<T>::CommissionTooHigh);
		ensure!(bond > Self::minimum(role), Error::<T>::BondTooSmall);
		Self::ensure_intro(role, &intro)?;
		T::Currency::hold(&HoldReason::Registration.into(), &owner, T::RegistrationDeposit::get())?;
		Self::take(&owner, bond)?;
		let pool = Pool {
			role,
			operator: operator.clone(),
			status: PoolStatus::Open,
			commission,
			raise: None,
			tokens: bond.checked_add(left_behind).ok_or(Error::<T>::Overflow)?,
			shares: bond,
			own_shares: bond,
			weight: 0,
			index: RewardIndex::<T>::get(),
		};
		Votes::<T>::insert(&owner, &owner, bond);
		Operators::<T>::insert(&operator, &owner);
		Intros::<T>::insert(&owner, intro);
		Self::write_pool(&owner, pool);
		Self::deposit_event(Event::Registered { owner, role, operator, bond });
		Ok(())
	}

	pub(crate) fn do_unregister(owner: T::AccountId) -> DispatchResult {
		let mut pool = Self::settled_present(&owner)?;
		ensure!(!T::Work::is_working(&owner), Error::<T>::StillWorking);
		ensure!(!T::Sessions::has_keys(&owner), Error::<T>::PurgeKeysFirst);
		let era = CurrentEra::<T>::get().index;
		// Leaving and coming back is not a way out of jail, however short the waiting time.
		let jailed = matches!(pool.status, PoolStatus::Jailed { until } if until > era);
		ensure!(!jailed, Error::<T>::StillJailed);
		pool.status = PoolStatus::Retired { era };
		T::Work::forget(&owner);
		Operators::<T>::remove(&pool.operator);
		Intros::<T>::remove(&owner);
		let (reason, deposit) = (HoldReason::Registration.into(), T::RegistrationDeposit::get());
		T::Currency::release(&reason, &owner, deposit, Precision::BestEffort)?;
		if pool.own_shares > 0 {
			Self::take_out(&owner, &owner, &mut pool, Balance::MAX)?;
		}
		Self::write_pool(&owner, pool);
		Self::deposit_event(Event::Unregistered { owner });
		Ok(())
	}

	pub(crate) fn do_set_operator(owner: T::AccountId, operator: T::AccountId) -> DispatchResult {
		Self::ensure_operator(&owner, &operator)?;
		let mut pool = Self::settled_present(&owner)?;
		Operators::<T>::remove(&pool.operator);
		Operators::<T>::insert(&operator, &owner);
		pool.operator = operator.clone();
		Self::write_pool(&owner, pool);
		Self::deposit_event(Event::OperatorSet { owner, operator });
		Ok(())
	}

	pub(crate) fn do_set_intro(owner: T::AccountId, intro: Intro) -> DispatchResult {
		let pool = Self::settled_present(&owner)?;
		Self::ensure_intro(pool.role, &intro)?;
		Self::write_pool(&owner, pool);
		Intros::<T>::insert(&owner, intro);
		Self::deposit_event(Event::IntroSet { owner });
		Ok(())
	}

	pub(crate) fn do_set_commission(owner: T::AccountId, commission: Perbill) -> DispatchResult {
		ensure!(commission <= T::MaxCommission::get(), Error::<T>::CommissionTooHigh);
		let mut pool = Self::settled_present(&owner)?;
		if commission <= pool.commission {
			(pool.commission, pool.raise) = (commission, None);
			Self::deposit_event(Event::CommissionSet { owner: owner.clone(), commission });
		} else {
			// Larger than what it is compared with, just above.
			let step = commission.saturating_sub(pool.commission);
			ensure!(step <= T::MaxCommissionStep::get(), Error::<T>::CommissionStepTooLarge);
			let now = CurrentEra::<T>::get().index;
			// Eras are counted from 0 and turn once in hours: 2³² are never reached.
			let notice = T::CommissionNotice::get().max(Self::bonding_eras());
			let from_era = now.saturating_add(notice);
			pool.raise = Some(Raise { commission, from_era });
			let owner = owner.clone();
			Self::deposit_event(Event::CommissionRaiseAnnounced { owner, commission, from_era });
		}
		Self::write_pool(&owner, pool);
		Ok(())
	}

	pub(crate) fn do_chill(owner: T::AccountId) -> DispatchResult {
		let mut pool = Self::settled_present(&owner)?;
		// A jailed operator stays in jail.
		if pool.status == PoolStatus::Open {
			pool.status = PoolStatus::Chilled;
			Self::deposit_event(Event::Chilled { owner: owner.clone() });
		}
		Self::write_pool(&owner, pool);
		Ok(())
	}

	pub(crate) fn do_unjail(owner: T::AccountId) -> DispatchResult {
		let mut pool = Self::settled_present(&owner)?;
		match pool.status {
			PoolStatus::Open | PoolStatus::Retired { .. } => {
				return Err(Error::<T>::NotChilled.into())
			},
			PoolStatus::Jailed { until } => {
				ensure!(CurrentEra::<T>::get().index >= until, Error::<T>::StillJailed)
			},
			PoolStatus::Chilled => {},
		}
		pool.status = PoolStatus::Open;
		ensure!(Self::weigh(&pool) > 0, Error::<T>::BondTooSmall);
		Self::write_pool(&owner, pool);
		Self::deposit_event(Event::Unjailed { owner });
		Ok(())
	}
}
