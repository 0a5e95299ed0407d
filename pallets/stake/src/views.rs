//! What the runtime API and the view functions tell about pools and votes. Reads many entries: for nodes, never for blocks.

use crate::{
	pallet::{
		Claims, Config, CurrentEra, Elected, Intros, Operators, Pallet, Pools, RewardIndex,
		SlashHistory, Unbonding, Votes,
	},
	types::{tokens_for, Intro, Pool},
	validators::Sessions,
};
use alloc::{collections::BTreeMap, string::String, vec::Vec};
use cuckoo_primitives::{
	views::{IntroView, Obstacle, OperatorView, PositionView, UnbondingView, MAX_PAGE},
	BlockNumber, EraIndex, PoolStatus, Role,
};
use frame_support::traits::Get;

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
	/// A pool with what it has earned and not taken in yet: what settling it now would make of it.
	fn up_to_date(owner: &T::AccountId) -> Option<Pool<T::AccountId>> {
		let mut pool = Pools::<T>::get(owner)?;
		let due = pool.due(RewardIndex::<T>::get());
		pool.earn(due);
		pool.apply_raise(CurrentEra::<T>::get().index, T::MaxCommission::get());
		Some(pool)
	}

	/// The owner meant by an account: itself, if it has a pool, for anybody can name it as operator before it registers.
	fn owner_of(account: T::AccountId) -> T::AccountId {
		if Pools::<T>::contains_key(&account) {
			return account;
		}
		Operators::<T>::get(&account).unwrap_or(account)
	}

	fn operator_view(owner: T::AccountId, pool: Pool<T::AccountId>) -> OperatorView {
		OperatorView {
			intro: intro_view(Intros::<T>::get(&owner)),
			active: pool.weight > 0,
			elected: Elected::<T>::get().contains(&owner),
			slashes: SlashHistory::<T>::get(&owner).into_inner(),
			own: pool.own(),
			role: pool.role,
			status: pool.status,
			tokens: pool.tokens,
			commission: pool.commission.deconstruct(),
			commission_raise: pool.raise.map(|r| (r.commission.deconstruct(), r.from_era)),
			operator: pool.operator,
			owner,
			free_slots: None,
		}
	}

	pub(crate) fn view_operator(account: T::AccountId) -> Option<OperatorView> {
		let owner = Self::owner_of(account);
		Self::up_to_date(&owner).map(|pool| Self::operator_view(owner, pool))
	}

	pub(crate) fn view_operators(role: Role, start: u32, limit: u32) -> Vec<OperatorView> {
		let mut pools: Vec<_> = Pools::<T>::iter()
			.filter(|(_, pool)| pool.role == role)
			.map(|(owner, pool)| (pool.tokens, owner))
			.collect();
		pools.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
		pools
			.into_iter()
			.skip(start as usize)
			.take(limit.min(MAX_PAGE) as usize)
			.filter_map(|(_, owner)| {
				Some(Self::operator_view(owner.clone(), Self::up_to_date(&owner)?))
			})
			.collect()
	}

	pub(crate) fn view_position(who: T::AccountId) -> Vec<PositionView> {
		let mut positions: BTreeMap<T::AccountId, PositionView> = BTreeMap::new();
		let empty = |owner: &T::AccountId| PositionView {
			owner: owner.clone(),
			role: Pools::<T>::get(owner).map(|pool| pool.role),
			worth: 0,
			unbonding: Vec::new(),
		};
		for (owner, shares) in Votes::<T>::iter_prefix(&who) {
			let pool = Self::up_to_date(&owner);
			// The owner's commission on what is due would be in its shares already.
			let own = |p: &Pool<_>| if owner == who { p.own_shares } else { shares };
			let worth = pool.map_or(0, |p| tokens_for(own(&p), p.tokens, p.shares));
			positions.entry(owner.clone()).or_insert_with(|| empty(&owner)).worth = worth;
		}
		for (owner, claims) in Claims::<T>::iter_prefix(&who) {
			let unbonding = claims.iter().map(|claim| {
				let bucket = Unbonding::<T>::get(&owner, claim.era).unwrap_or_default();
				let from_era = Self::payable_from(claim.era);
				UnbondingView {
					worth: tokens_for(claim.shares, bucket.tokens, bucket.shares),
					from_era,
					from_block: Self::start_of(from_era),
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

	/// The block with which an era that is to come begins; that of the present one for those before.
	fn start_of(era: EraIndex) -> BlockNumber {
		let now = CurrentEra::<T>::get();
		let blocks = era.saturating_sub(now.index).saturating_mul(T::EraLength::get()); // far from 2³²
		now.start.saturating_add(blocks)
	}

	pub(crate) fn view_obstacles(account: T::AccountId) -> Vec<Obstacle> {
		let owner = Self::owner_of(account);
		let Some(pool) = Self::up_to_date(&owner) else {
			return Vec::from([Obstacle::NotRegistered]);
		};
		let mut obstacles = Vec::new();
		match pool.status {
			PoolStatus::Open => {},
			PoolStatus::Chilled => obstacles.push(Obstacle::Chilled),
			PoolStatus::Jailed { until } => obstacles.push(Obstacle::Jailed { until }),
			PoolStatus::Retired { .. } => return Vec::from([Obstacle::Retired]),
		}
		let (own, minimum) = (pool.own(), Self::minimum(pool.role));
		if own <= minimum {
			obstacles.push(Obstacle::BondTooSmall { own, minimum });
		}
		if pool.role == Role::Validator {
			if !T::Sessions::has_keys(&owner) {
				obstacles.push(Obstacle::NoSessionKeys);
			} else if obstacles.is_empty() && !Elected::<T>::get().contains(&owner) {
				obstacles.push(Obstacle::NotElected);
			}
		}
		obstacles
	}
}
