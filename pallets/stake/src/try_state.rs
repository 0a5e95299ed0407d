//! What must hold of all stake; run after every test.

use crate::{
	pallet::{
		Candidates, Claims, Config, Intros, Operators, Pallet, Pools, RewardIndex, TotalWeight,
		Unbonding, Unsettled, Votes,
	},
	types::Pool,
};
use alloc::collections::BTreeMap;
use cuckoo_primitives::{Balance, EraIndex, PoolStatus, Role};
use frame_support::{ensure, traits::fungible::Inspect};
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// The list in the README, in its order.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		Self::validate_pot()?;
		Self::validate_shares()?;
		Self::validate_buckets()?;
		Self::validate_operators()?;
		Self::validate_weights()
	}

	fn validate_pot() -> Result<(), TryRuntimeError> {
		let pools: Balance = Pools::<T>::iter_values().map(|pool| pool.tokens).sum();
		let unbonding: Balance = Unbonding::<T>::iter_values().map(|bucket| bucket.tokens).sum();
		ensure!(
			T::Currency::total_balance(&Self::pot_account())
				>= pools + unbonding + Unsettled::<T>::get(),
			"the pot holds less than pools and buckets are worth, and pools are due"
		);
		let index = RewardIndex::<T>::get();
		let due: Balance = Pools::<T>::iter_values().map(|pool| pool.due(index)).sum();
		ensure!(due <= Unsettled::<T>::get(), "pools are due more than was minted for them");
		Ok(())
	}

	fn validate_shares() -> Result<(), TryRuntimeError> {
		let mut issued: BTreeMap<T::AccountId, Balance> = BTreeMap::new();
		for (voter, owner, shares) in Votes::<T>::iter() {
			ensure!(shares > 0, "a vote without shares is stored");
			let pool = Pools::<T>::get(&owner).ok_or("a vote for no pool")?;
			ensure!(
				voter != owner || pool.own_shares == shares,
				"own_shares is not the owner's vote"
			);
			*issued.entry(owner).or_default() += shares;
		}
		for (owner, pool) in Pools::<T>::iter() {
			ensure!(
				issued.get(&owner).copied().unwrap_or(0) == pool.shares,
				"a pool's shares are not those of its voters"
			);
			ensure!(
				pool.own_shares == Votes::<T>::get(&owner, &owner),
				"own_shares is not the owner's vote"
			);
		}
		Ok(())
	}

	fn validate_buckets() -> Result<(), TryRuntimeError> {
		let mut claimed: BTreeMap<(T::AccountId, EraIndex), Balance> = BTreeMap::new();
		for (_, owner, claims) in Claims::<T>::iter() {
			ensure!(!claims.is_empty(), "an empty list of claims is stored");
			ensure!(
				claims.windows(2).all(|pair| pair[0].era < pair[1].era),
				"claims are not in the order of their eras"
			);
			for claim in claims {
				ensure!(claim.shares > 0, "an empty claim is stored");
				*claimed.entry((owner.clone(), claim.era)).or_default() += claim.shares;
			}
		}
		for (owner, era, bucket) in Unbonding::<T>::iter() {
			ensure!(
				claimed.remove(&(owner, era)) == Some(bucket.shares),
				"a bucket's shares are not those claimed of it"
			);
		}
		ensure!(claimed.is_empty(), "a claim on no bucket");
		Ok(())
	}

	fn validate_operators() -> Result<(), TryRuntimeError> {
		let present = |pool: &Pool<_>| !matches!(pool.status, PoolStatus::Retired { .. });
		for (owner, pool) in Pools::<T>::iter().filter(|(_, pool)| present(pool)) {
			ensure!(
				Operators::<T>::get(&pool.operator) == Some(owner.clone()),
				"a pool's operator does not point back"
			);
			ensure!(Intros::<T>::contains_key(&owner), "a pool has no introduction");
		}
		let pools = Pools::<T>::iter_values().filter(present).count();
		ensure!(Operators::<T>::iter_keys().count() == pools, "an operator of no pool");
		ensure!(Intros::<T>::iter_keys().count() == pools, "an introduction of no pool");
		Ok(())
	}

	fn validate_weights() -> Result<(), TryRuntimeError> {
		let mut all: Balance = 0;
		for (owner, pool) in Pools::<T>::iter() {
			// A minimum that was changed since counts from the next settlement on.
			ensure!(
				pool.weight == 0 || (pool.weight == pool.tokens && pool.status == PoolStatus::Open),
				"a pool's weight is neither its tokens nor nothing"
			);
			let candidate = pool.role == Role::Validator && pool.weight > 0;
			ensure!(
				Candidates::<T>::contains_key(&owner) == candidate,
				"the candidates are not the validators with a weight"
			);
			all += pool.weight;
		}
		ensure!(TotalWeight::<T>::get() == all, "the total is not the sum of all weights");
		Ok(())
	}
}
