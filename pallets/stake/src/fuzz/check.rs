//! Compares the pallet with the model.

use super::{
	holdings::ACCOUNTS,
	model::{waiting_eras, Bucket, Pool, OWNERS},
	send::id,
	Fuzz,
};
use crate::{
	mock::*,
	pallet::{Claims, CurrentEra, Disputes, Fees, Issuance, Pools, Unbonding, Unsettled, Votes},
	types::{tokens_for, Era},
};
use cuckoo_primitives::{
	views::{PositionView, UnbondingView},
	Balance, EraIndex,
};
use frame_support::traits::fungible::Inspect;

impl Fuzz {
	/// Where every planck is: of the pot, and of all there are.
	pub fn check_money(&self) -> Result<(), String> {
		let pools: Balance = Pools::<Test>::iter_values().map(|pool| pool.tokens).sum();
		let buckets: Balance = Unbonding::<Test>::iter_values().map(|bucket| bucket.tokens).sum();
		let owed = pools + buckets + Unsettled::<Test>::get() + Fees::<Test>::get();
		let pot = Balances::balance(&Stake::pot_account());
		if pot != owed + super::SEED_OF_POT + self.donated {
			return Err(format!("the pot holds {pot}, owes {owed} and was given {}", self.donated));
		}
		let issued = Issuance::<Test>::get();
		if issued != self.model.issued {
			return Err(format!("issued {issued:?}, in the model {:?}", self.model.issued));
		}
		let minted = self.genesis + self.outside + issued.staking + issued.mining;
		let all = Balances::total_issuance();
		if all + issued.burnt != minted {
			return Err(format!("{all} planck exist, {minted} were minted: {issued:?}"));
		}
		Ok(())
	}

	/// The votes of a pool that was changed in this block, and so settled.
	pub fn check_votes(&mut self, owner: usize) -> Result<(), String> {
		let stored = Pools::<Test>::get(id(owner));
		let (Some(stored), Some(pool)) = (&stored, &self.model.pools[owner]) else {
			let same = stored.is_none() && self.model.pools[owner].is_none();
			return if same { Ok(()) } else { Err("only one of both has a pool".into()) };
		};
		if LastWeight::of(&id(owner)) != Some(stored.weight) {
			return Err("the draw was told another weight".into());
		}
		for voter in 0..ACCOUNTS {
			let shares = Votes::<Test>::get(id(voter), id(owner));
			let Some(held) = pool.voters.get(voter) else {
				if shares > 0 {
					return Err(format!("account {voter} has a vote that the model has not"));
				}
				continue;
			};
			if shares == 0 {
				return Err(format!("account {voter} has no vote, in the model {held:?}"));
			}
			let worth = tokens_for(shares, stored.tokens, stored.shares);
			let bound = pool.bound(voter);
			self.tally
				.compare(worth, held.amount, bound, pool.dearest)
				.map_err(|wrong| format!("account {voter} in pool {owner}: {wrong}"))?;
		}
		Ok(())
	}

	/// Every account: what it has, and its positions as the pallet shows them, settled or not.
	pub fn check_everything(&mut self) -> Result<(), String> {
		let settled = self.model.all_settled();
		let now = CurrentEra::<Test>::get();
		let model_now = Era { index: self.model.era, start: self.model.era_start };
		if now != model_now {
			return Err(format!("the present era is {now:?}, in the model {model_now:?}"));
		}
		for (owner, disputes) in self.model.disputes.into_iter().enumerate() {
			if Disputes::<Test>::get(id(owner)) != disputes {
				return Err(format!("pool {owner} has not {disputes} disputes"));
			}
		}
		for who in 0..ACCOUNTS {
			let (free, model_free) = (Balances::balance(&id(who)), self.model.free[who]);
			if free != model_free {
				return Err(format!("account {who} has {free}, in the model {model_free}"));
			}
			let mut views = Stake::position(id(who));
			for (owner, pool) in settled.iter().enumerate() {
				let view = views.iter().position(|view| view.owner == id(owner));
				let view = view.map(|at| views.swap_remove(at));
				self.check_position(who, owner, pool.as_ref(), view)
					.map_err(|wrong| format!("account {who} in pool {owner}: {wrong}"))?;
			}
			if !views.is_empty() {
				return Err(format!("account {who} has positions that nobody knows: {views:?}"));
			}
		}
		Ok(())
	}

	fn check_position(
		&mut self,
		who: usize,
		owner: usize,
		pool: Option<&Pool>,
		view: Option<PositionView>,
	) -> Result<(), String> {
		let vote = pool.and_then(|pool| Some((pool, pool.voters.get(who)?)));
		let claims = self.model.claims(who, owner);
		let Some(view) = view else {
			return if vote.is_none() && claims.is_empty() {
				Ok(())
			} else {
				Err(format!("no position, in the model {vote:?} and claims of {claims:?}"))
			};
		};
		match vote {
			Some((pool, held)) => {
				let bound = pool.bound(who);
				self.tally.compare(view.worth, held.amount, bound, pool.dearest)?;
			},
			None if view.worth > 0 || claims.is_empty() => {
				return Err(format!("{view:?}, which the model has not"));
			},
			None => {},
		}
		if view.unbonding.len() != claims.len() {
			return Err(format!("{view:?}, in the model claims of {claims:?}"));
		}
		for (shown, era) in view.unbonding.iter().zip(claims) {
			let bucket = self.model.buckets.get(&(owner, era)).cloned().unwrap_or_default();
			self.check_claim(who, era, &bucket, shown)?;
		}
		Ok(())
	}

	fn check_claim(
		&mut self,
		who: usize,
		era: EraIndex,
		bucket: &Bucket,
		shown: &UnbondingView,
	) -> Result<(), String> {
		let held = bucket.holders.get(who).ok_or("a claim that the model has not")?;
		if shown.from_era != era + waiting_eras() {
			return Err(format!("what left in era {era} is paid from {} on", shown.from_era));
		}
		let bound = held.error + bucket.rounding();
		self.tally.compare(shown.worth, held.amount, bound, bucket.dearest)
	}

	/// All that both know of a pool, to find out what went wrong.
	pub fn report(&self, owner: usize) -> String {
		let mut lines = vec![format!("pool {owner} in the pallet:")];
		lines.push(format!("  {:?}", Pools::<Test>::get(id(owner))));
		for who in 0..ACCOUNTS {
			let shares = Votes::<Test>::get(id(who), id(owner));
			let claims = Claims::<Test>::get(id(who), id(owner)).into_inner();
			if shares > 0 || !claims.is_empty() {
				lines.push(format!("  account {who}: {shares} shares, {claims:?}"));
			}
		}
		let mut buckets: Vec<_> = Unbonding::<Test>::iter_prefix(id(owner)).collect();
		buckets.sort_by_key(|(era, _)| *era);
		lines.extend(buckets.iter().map(|(era, bucket)| format!("  era {era}: {bucket:?}")));
		lines.push(format!("pool {owner} in the model:"));
		lines.push(format!("  {:?}", self.model.pools[owner]));
		let model = self.model.buckets.range((owner, 0)..=(owner, EraIndex::MAX));
		lines.extend(model.map(|((_, era), bucket)| format!("  era {era}: {bucket:?}")));
		lines.push(format!("  slashes on record: {:?}", self.model.records[owner]));
		lines.join("\n")
	}

	/// The votes of all pools that were changed in this block.
	pub fn check_touched(&mut self) -> Result<(), String> {
		for owner in 0..OWNERS {
			if std::mem::take(&mut self.touched[owner]) {
				self.check_votes(owner)?;
			}
		}
		Ok(())
	}
}
