//! What the runtime API tells about pools and votes. Reads many entries: for nodes, never for blocks.

use crate::{
	pallet::{Claims, Config, Intros, Operators, Pallet, Pools, Unbonding, Votes},
	types::{tokens_for, Intro, Pool},
};
use alloc::{collections::BTreeMap, string::String, vec::Vec};
use cuckoo_primitives::{
	views::{IntroView, OperatorView, PositionView, UnbondingView, MAX_PAGE},
	Role,
};
use sp_runtime::Perbill;

fn text(bytes: &[u8]) -> String {
	String::from_utf8_lossy(bytes).into_owned()
}

fn intro_view(intro: Intro) -> IntroView {
	IntroView {
		name: text(&intro.name),
		description: text(&intro.description),
		website: text(&intro.website),
		location: text(&intro.location),
		hardware: text(&intro.hardware),
		endpoint: text(&intro.endpoint),
	}
}

impl<T: Config> Pallet<T> {
	fn operator_view(owner: T::AccountId, pool: Pool<T::AccountId>) -> OperatorView {
		OperatorView {
			intro: intro_view(Intros::<T>::get(&owner)),
			active: Self::draw_weight(&pool) > 0,
			own: pool.own(),
			role: pool.role,
			tokens: pool.tokens,
			commission: Perbill::deconstruct(pool.commission),
			operator: pool.operator,
			owner,
			free_slots: None,
		}
	}

	/// The pool of an owner, or the one that an account operates.
	pub fn operator(account: T::AccountId) -> Option<OperatorView> {
		let owner = Operators::<T>::get(&account).unwrap_or(account);
		Pools::<T>::get(&owner).map(|pool| Self::operator_view(owner, pool))
	}

	/// Operators of a role, richest pool first: at most [`MAX_PAGE`] from `start` on.
	pub fn operators(role: Role, start: u32, limit: u32) -> Vec<OperatorView> {
		let mut pools: Vec<_> = Pools::<T>::iter().filter(|(_, pool)| pool.role == role).collect();
		pools.sort_by(|a, b| b.1.tokens.cmp(&a.1.tokens).then_with(|| a.0.cmp(&b.0)));
		pools
			.into_iter()
			.skip(start as usize)
			.take(limit.min(MAX_PAGE) as usize)
			.map(|(owner, pool)| Self::operator_view(owner, pool))
			.collect()
	}

	/// What a staker's votes are worth, and what waits to be withdrawn.
	pub fn position(who: T::AccountId) -> Vec<PositionView> {
		let mut positions: BTreeMap<T::AccountId, PositionView> = BTreeMap::new();
		let pool = |owner: &T::AccountId| Pools::<T>::get(owner);
		let empty = |owner: &T::AccountId| PositionView {
			owner: owner.clone(),
			role: pool(owner).map(|pool| pool.role),
			worth: 0,
			unbonding: Vec::new(),
		};
		for (owner, shares) in Votes::<T>::iter_prefix(&who) {
			let worth = pool(&owner).map_or(0, |p| tokens_for(shares, p.tokens, p.shares));
			positions.entry(owner.clone()).or_insert_with(|| empty(&owner)).worth = worth;
		}
		for (owner, claims) in Claims::<T>::iter_prefix(&who) {
			let unbonding = claims.iter().map(|claim| {
				let bucket = Unbonding::<T>::get(&owner, claim.era).unwrap_or_default();
				UnbondingView {
					worth: tokens_for(claim.shares, bucket.tokens, bucket.shares),
					from_era: Self::payable_from(claim.era),
				}
			});
			positions
				.entry(owner.clone())
				.or_insert_with(|| empty(&owner))
				.unbonding
				.extend(unbonding);
		}
		positions.into_values().collect()
	}
}
