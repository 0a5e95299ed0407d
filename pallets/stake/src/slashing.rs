//! What pools lose: slashes, jail, and offences that the consensus proves.
//!
//! The owner pays first: its shares are burnt with what they are worth, so the price of a share stands. What is left to pay falls on all voters alike: the price falls, in
//! the pool and in every bucket that was filled since the offence. So a slash costs the same whatever the number of voters, and who left after the offence pays like who
//! stayed.

use crate::{
	pallet::{
		Claims, Config, CurrentEra, Event, Pallet, SessionEras, SlashHistory, Unbonding,
		MAX_LIABLE_ERAS, MAX_SLASHES,
	},
	types::{mul_div, shares_covering, Bucket, Pool},
	validators::Sessions,
	WeightInfo,
};
use alloc::{collections::BTreeMap, vec::Vec};
use cuckoo_primitives::{
	traits::OnWeightChange, views::Slash, Balance, EraIndex, PoolStatus, SlashReason,
};
use frame_support::{
	traits::{fungible::Mutate, tokens::Preservation, Get},
	weights::Weight,
};
use sp_runtime::{traits::UniqueSaturatedInto, PerThing, Perbill, Rounding};
use sp_staking::{
	offence::{OffenceDetails, OnOffenceHandler},
	SessionIndex,
};

/// What of a pool can be slashed for an offence.
struct Liable {
	/// The oldest era whose bucket can.
	since: EraIndex,
	/// The buckets.
	buckets: BTreeMap<EraIndex, Bucket>,
}

impl<T: Config> Pallet<T> {
	/// Slashes a pool that is settled, and remembers it. Returns what was taken.
	fn slash_pool(
		owner: &T::AccountId,
		pool: &mut Pool<T::AccountId>,
		amount: Balance,
		since: EraIndex,
		reason: SlashReason,
		provers: &[T::AccountId],
	) -> Balance {
		let mut liable = Self::liable(owner, since);
		let all = liable.worth_with(pool);
		let own = Self::slash_owner(owner, pool, &mut liable, amount);
		let voters = slash_voters(pool, &mut liable.buckets, amount.saturating_sub(own)); // own may round up
		for (era, bucket) in &liable.buckets {
			Unbonding::<T>::set(owner, *era, (bucket.shares > 0).then_some(*bucket));
		}
		let slashed = own.saturating_add(voters); // parts of one issuance
		let proved = Self::reward_provers(own, provers);
		Self::burn(slashed.saturating_sub(proved)); // a part of it
		Self::remember_slash(owner, since, reason, slashed, part(slashed, all));
		let owner = owner.clone();
		let event = Event::Slashed { owner, reason, era: since, amount: slashed, own, proved };
		Self::deposit_event(event);
		slashed
	}

	/// What left a pool in an era or later and is not paid out yet. It may have waited long enough and still be there: a dispute keeps it.
	fn liable(owner: &T::AccountId, since: EraIndex) -> Liable {
		let now = CurrentEra::<T>::get().index;
		let since = since.max(now.saturating_sub(MAX_LIABLE_ERAS.saturating_sub(1)));
		let bucket = |era| Some((era, Unbonding::<T>::get(owner, era)?));
		Liable { since, buckets: (since..=now).filter_map(bucket).collect() }
	}

	/// Burns the owner's shares, in the pool and then in the buckets, until the amount is paid or they are gone.
	fn slash_owner(
		owner: &T::AccountId,
		pool: &mut Pool<T::AccountId>,
		liable: &mut Liable,
		amount: Balance,
	) -> Balance {
		let worth = pool.own();
		let (taken, burnt) = if worth <= amount {
			(worth, pool.own_shares)
		} else {
			let shares = shares_covering(amount, pool.tokens, pool.shares);
			(amount, shares.unwrap_or(pool.own_shares).min(pool.own_shares))
		};
		// A part of the pool, so nothing saturates here or below.
		pool.tokens = pool.tokens.saturating_sub(taken);
		pool.shares = pool.shares.saturating_sub(burnt);
		let rest = pool.own_shares.saturating_sub(burnt);
		Self::set_vote(owner, owner, pool, rest);

		let mut taken = taken;
		if taken >= amount {
			return taken;
		}
		Claims::<T>::mutate_exists(owner, owner, |stored| {
			let mut claims = stored.take().unwrap_or_default();
			for claim in claims.iter_mut().filter(|claim| claim.era >= liable.since) {
				let Some(bucket) = liable.buckets.get_mut(&claim.era) else { continue };
				let left = amount.saturating_sub(taken); // 0 once that is enough
				let shares = shares_covering(left, bucket.tokens, bucket.shares);
				let shares = shares.unwrap_or(claim.shares).min(claim.shares);
				claim.shares = claim.shares.saturating_sub(shares);
				// What a share is worth, a planck or so, is the most by which this takes too much.
				taken = taken.saturating_add(bucket.redeem(shares));
			}
			claims.retain(|claim| claim.shares > 0);
			*stored = (!claims.is_empty()).then_some(claims);
		});
		taken
	}

	/// Pays those who proved an offence out of the pot, in equal parts: a part of what the owner paid. All that voters lose is burnt, or an owner could have itself
	/// reported by a friend and gain by its voters' loss. Returns how much.
	fn reward_provers(own: Balance, provers: &[T::AccountId]) -> Balance {
		let Some(each) =
			T::ProverShare::get().mul_floor(own).checked_div(provers.len().unique_saturated_into())
		else {
			return 0;
		};
		let pot = Self::pot_account();
		let pay = |prover| T::Currency::transfer(&pot, prover, each, Preservation::Expendable);
		// An account that cannot take it, being below the existential deposit, goes without.
		let paid = provers.iter().filter(|prover| each > 0 && pay(prover).is_ok()).count();
		each.saturating_mul(paid.unique_saturated_into()) // a part of what was slashed
	}

	fn remember_slash(
		owner: &T::AccountId,
		era: EraIndex,
		reason: SlashReason,
		amount: Balance,
		part: Perbill,
	) {
		let block = frame_system::Pallet::<T>::block_number().unique_saturated_into();
		SlashHistory::<T>::mutate(owner, |history| {
			let same = |record: &&mut Slash| record.era == era && record.reason == reason;
			if reason == SlashReason::Equivocation {
				if let Some(record) = history.iter_mut().find(same) {
					record.amount = record.amount.saturating_add(amount); // parts of one issuance
					record.part = add_parts(record.part, part.deconstruct());
					return;
				}
			}
			let record = Slash { era, block, reason, amount, part: part.deconstruct() };
			if history.len() >= MAX_SLASHES as usize {
				history.remove(0);
			}
			// There is room: an entry was removed if there was none.
			let _ = history.try_push(record);
		});
	}

	pub(crate) fn do_slash(
		owner: &T::AccountId,
		amount: Balance,
		since: EraIndex,
		reason: SlashReason,
		provers: &[T::AccountId],
	) -> Balance {
		let Some(mut pool) = Self::settled(owner) else { return 0 };
		let slashed = Self::slash_pool(owner, &mut pool, amount, since, reason, provers);
		Self::write_pool(owner, pool);
		slashed
	}

	pub(crate) fn do_jail(owner: &T::AccountId) {
		let Some(mut pool) = Self::settled(owner) else { return };
		Self::jail(owner, &mut pool);
		Self::write_pool(owner, pool);
	}

	/// Takes an operator out of draws and elections for some eras at least.
	fn jail(owner: &T::AccountId, pool: &mut Pool<T::AccountId>) {
		let until = CurrentEra::<T>::get().index.saturating_add(T::JailEras::get()); // far from 2³²
		match pool.status {
			PoolStatus::Retired { .. } => return,
			PoolStatus::Jailed { until: before } if before >= until => return,
			_ => pool.status = PoolStatus::Jailed { until },
		}
		Self::deposit_event(Event::Jailed { owner: owner.clone(), until });
	}

	/// The era since which whoever made blocks in a session can be slashed for it: the one in which it was elected, a session before. What it took out since then
	/// had helped it to be elected.
	fn era_of_election(session: SessionIndex) -> Option<EraIndex> {
		SessionEras::<T>::get(session.saturating_sub(1)).or_else(|| SessionEras::<T>::get(session))
	}

	/// Slashes a validator for an equivocation, up to a fraction of what it had, and jails it. Reported again for the same era, only a larger fraction counts.
	pub(crate) fn punish(
		owner: &T::AccountId,
		fraction: Perbill,
		era: EraIndex,
		reporters: &[T::AccountId],
	) {
		let Some(mut pool) = Self::settled(owner) else { return };
		let reason = SlashReason::Equivocation;
		let history = SlashHistory::<T>::get(owner);
		let before = history.iter().find(|slash| slash.era == era && slash.reason == reason);
		let before = before.map_or(0, |slash| slash.part);
		// Of what is left, as much as brings the whole to the larger fraction.
		let more = fraction.deconstruct().saturating_sub(before); // nothing if it is not larger
		let rest = Perbill::one().deconstruct().saturating_sub(before);
		let left = Self::liable(owner, era).worth_with(&pool);
		let amount = mul_div(left, more.into(), rest.into()).unwrap_or(0);
		// Whoever makes a block reports in it: nobody gets a part of its own slash back that way.
		let others: Vec<_> = reporters.iter().filter(|who| *who != owner).cloned().collect();
		if amount > 0 {
			Self::slash_pool(owner, &mut pool, amount, era, reason, &others);
		}
		Self::jail(owner, &mut pool);
		Self::write_pool(owner, pool);
	}
}

impl Liable {
	/// What it is worth together with the pool, in planck.
	fn worth_with<AccountId>(&self, pool: &Pool<AccountId>) -> Balance {
		let buckets = self.buckets.values();
		buckets.fold(pool.tokens, |all, bucket| all.saturating_add(bucket.tokens)) // one issuance
	}
}

/// What part of all a slash was: rounded up, for amounts are rounded down, and the same fraction reported again must find that it has been paid.
fn part(slashed: Balance, all: Balance) -> Perbill {
	Perbill::from_rational_with_rounding(slashed, all.max(1), Rounding::Up)
		.unwrap_or(Perbill::one())
}

/// What two slashes one after the other take together, in parts per billion: the second is a part of what the first left.
fn add_parts(first: u32, second: u32) -> u32 {
	let left = Perbill::one().deconstruct().saturating_sub(first);
	first.saturating_add(Perbill::from_parts(second).mul_ceil(left)) // at most one
}

/// Takes an amount from all shares of a pool and its buckets alike. Returns what was taken: up to a planck less for each of them.
fn slash_voters<AccountId>(
	pool: &mut Pool<AccountId>,
	buckets: &mut BTreeMap<EraIndex, Bucket>,
	amount: Balance,
) -> Balance {
	// Parts of one issuance, and what is taken a part of each: nothing saturates.
	let all = buckets.values().fold(pool.tokens, |all, bucket| all.saturating_add(bucket.tokens));
	let amount = amount.min(all);
	let mut taken: Balance = 0;
	let parts =
		core::iter::once(&mut pool.tokens).chain(buckets.values_mut().map(|b| &mut b.tokens));
	for tokens in parts {
		let part = mul_div(amount, *tokens, all).unwrap_or(0);
		*tokens = tokens.saturating_sub(part);
		taken = taken.saturating_add(part);
	}
	taken
}

impl<T: Config> OnOffenceHandler<T::AccountId, (T::AccountId, ()), Weight> for Pallet<T> {
	fn on_offence(
		offenders: &[OffenceDetails<T::AccountId, (T::AccountId, ())>],
		fractions: &[Perbill],
		session: SessionIndex,
	) -> Weight {
		let mut weight = T::DbWeight::get().reads(2);
		// An offence older than the waiting time is nobody's any more: whoever was in the pool then may be gone.
		let Some(era) = Self::era_of_election(session) else { return weight };
		if Self::payable_from(era) <= CurrentEra::<T>::get().index {
			return weight;
		}
		for (details, fraction) in offenders.iter().zip(fractions) {
			let owner = &details.offender.0;
			Self::punish(owner, *fraction, era, &details.reporters);
			T::Sessions::disable(owner, *fraction);
			weight = weight
				.saturating_add(T::WeightInfo::slash(MAX_LIABLE_ERAS))
				.saturating_add(T::OnWeightChange::weight_changed_weight());
		}
		weight
	}
}
