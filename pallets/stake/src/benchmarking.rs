//! What each call and hook costs at most.
//!
//! Every pool here has all there can be to settle: rewards by the index, a commission on them that buys its owner shares, and a higher commission whose time has
//! come. Where the call itself neither gives nor takes the pool's weight, the owner's bond is below the minimum as if that had been raised since the last settlement,
//! so that the pool leaves the candidates on the way. What the pallet that hands out work does with a new weight is priced by itself
//! ([`OnWeightChange::weight_changed_weight`](cuckoo_primitives::traits::OnWeightChange::weight_changed_weight)).

use crate::{
	pallet::{
		Author, Call, Candidates, Claims, Config, CurrentEra, Fees, Intros, Operators, Pallet,
		Pools, RewardIndex, SlashHistory, Unbonding, Votes, MAX_CLAIMS, MAX_LIABLE_ERAS,
		MAX_SLASHES,
	},
	types::{Intro, Line, LongLine, Raise},
	validators::Sessions,
};
use alloc::{vec, vec::Vec};
use cuckoo_primitives::{
	views::Slash, Balance, PoolStatus, Role, SlashReason, CAI, MAX_LINE_BYTES, MAX_LONG_LINE_BYTES,
};
use frame_benchmarking::v2::*;
use frame_support::{
	dispatch::DispatchResult,
	traits::{fungible::Mutate, ConstU32, Get},
	BoundedVec,
};
use frame_system::RawOrigin;
use sp_runtime::{DispatchError, Perbill};

/// More than any bond and deposit together, in planck.
const PLENTY: Balance = 100_000_000 * CAI;
/// By how much a bond is above its role's minimum, and what a voter votes, in planck.
const SPARE: Balance = 1_000_000 * CAI;
/// The commission of a new pool, the one that was announced for it, and one to announce after that.
const COMMISSIONS: [Perbill; 3] =
	[Perbill::from_percent(1), Perbill::from_percent(2), Perbill::from_percent(3)];

fn rich<T: Config>(who: T::AccountId) -> Result<T::AccountId, DispatchError> {
	T::Currency::mint_into(&who, PLENTY)?;
	Ok(who)
}

/// The voter of every pool that [`new_pool`] makes.
fn voter<T: Config>() -> T::AccountId {
	account("voter", 0, 0)
}

/// The longest introduction.
fn full_intro(role: Role) -> Intro {
	let line = || Line::truncate_from(vec![b'x'; MAX_LINE_BYTES as usize]);
	let long = || LongLine::truncate_from(vec![b'x'; MAX_LONG_LINE_BYTES as usize]);
	let mut endpoint = b"https://".to_vec();
	endpoint.resize(MAX_LONG_LINE_BYTES as usize, b'x');
	Intro {
		name: line(),
		description: long(),
		website: long(),
		location: line(),
		hardware: long(),
		endpoint: match role {
			Role::Coordinator => LongLine::truncate_from(endpoint),
			Role::Validator | Role::Miner => LongLine::default(),
		},
	}
}

fn bond_for<T: Config>(role: Role) -> Balance {
	Pallet::<T>::minimum(role).saturating_add(SPARE)
}

fn new_pool<T: Config>(owner: &T::AccountId, operator: T::AccountId, role: Role) -> DispatchResult {
	let (owner, intro) = (rich::<T>(owner.clone())?, full_intro(role));
	let bond = bond_for::<T>(role);
	Pallet::<T>::do_register(owner.clone(), role, operator, intro, COMMISSIONS[0], bond)?;
	Pallet::<T>::do_vote(&rich::<T>(voter::<T>())?, &owner, SPARE)
}

/// The pool of a validator whose owner is this account.
fn validator<T: Config>(owner: &T::AccountId) -> DispatchResult {
	new_pool::<T>(owner, account("operator", 0, 0), Role::Validator)
}

/// Ends the era: all pools with a weight are due their part of what was minted for it.
fn next_era<T: Config>() {
	let start = CurrentEra::<T>::get().start;
	Pallet::<T>::turn_era(start.saturating_add(T::EraLength::get()));
}

/// A higher commission whose time comes with the pool's next settlement.
fn announce_raise<T: Config>(owner: &T::AccountId) {
	Pools::<T>::mutate_extant(owner, |pool| {
		pool.raise = Some(Raise { commission: COMMISSIONS[1], from_era: 0 });
	});
}

/// Leaves to a pool's next settlement all that it can have to do.
fn leave_unsettled<T: Config>(owner: &T::AccountId) {
	announce_raise::<T>(owner);
	next_era::<T>();
	let pool = Pools::<T>::get(owner).expect("the pool is there");
	assert!(pool.due(RewardIndex::<T>::get()) > 0, "a pool with a weight is due a reward");
}

/// What [`Pools::benchmark_pool`](cuckoo_primitives::traits::Pools::benchmark_pool) promises.
pub(crate) fn unsettled_pool<T: Config>(
	owner: &T::AccountId,
	operator: &T::AccountId,
	role: Role,
) -> DispatchResult {
	new_pool::<T>(owner, rich::<T>(operator.clone())?, role)?;
	announce_raise::<T>(owner);
	next_era::<T>();
	Ok(())
}

/// As if the minimum had been raised since the pool was settled: all but one of the owner's shares become the voter's, and its weight stands until the next settlement.
fn outgrow<T: Config>(owner: &T::AccountId) {
	Pools::<T>::mutate_extant(owner, |pool| {
		let given = pool.own_shares.saturating_sub(1);
		pool.own_shares = pool.own_shares.saturating_sub(given);
		Votes::<T>::insert(owner, owner, pool.own_shares);
		Votes::<T>::mutate(voter::<T>(), owner, |shares| *shares = shares.saturating_add(given));
	});
}

/// Takes a little out in each of so many eras: that many claims and buckets.
fn leave_in_eras<T: Config>(
	voter: &T::AccountId,
	owner: &T::AccountId,
	eras: u32,
) -> DispatchResult {
	for _ in 0..eras {
		Pallet::<T>::do_unvote(voter, owner, T::MinVote::get())?;
		next_era::<T>();
	}
	Ok(())
}

/// The settlement that [`leave_unsettled`] has left to do was done.
fn assert_settled<T: Config>(owner: &T::AccountId) {
	let pool = Pools::<T>::get(owner).expect("the pool is there");
	assert_eq!((pool.commission, pool.raise), (COMMISSIONS[1], None));
	assert_eq!(pool.index, RewardIndex::<T>::get());
}

#[benchmarks]
mod benchmarks {
	use super::*;

	// A validator, who joins the candidates, that had a pool before: what is left of it must be looked through.
	#[benchmark]
	fn register() -> Result<(), BenchmarkError> {
		let owner = rich::<T>(whitelisted_caller())?;
		let operator: T::AccountId = account("operator", 0, 0);
		let (intro, bond) = (full_intro(Role::Miner), bond_for::<T>(Role::Miner));
		let (before, commission) = (operator.clone(), COMMISSIONS[0]);
		Pallet::<T>::do_register(owner.clone(), Role::Miner, before, intro, commission, bond)?;
		Pallet::<T>::do_unregister(owner.clone())?;
		for _ in 0..Pallet::<T>::bonding_eras() {
			next_era::<T>();
		}

		#[extrinsic_call]
		_(
			RawOrigin::Signed(owner.clone()),
			Role::Validator,
			operator.clone(),
			full_intro(Role::Validator),
			commission,
			bond_for::<T>(Role::Validator),
		);

		assert_eq!(Operators::<T>::get(&operator), Some(owner.clone()));
		assert!(Candidates::<T>::contains_key(&owner));
		Ok(())
	}

	#[benchmark]
	fn vote() -> Result<(), BenchmarkError> {
		let (caller, owner) = (rich::<T>(whitelisted_caller())?, account("owner", 0, 0));
		validator::<T>(&owner)?;
		leave_unsettled::<T>(&owner);

		#[extrinsic_call]
		_(RawOrigin::Signed(caller.clone()), owner.clone(), SPARE);

		assert!(Votes::<T>::get(&caller, &owner) > 0);
		assert_settled::<T>(&owner);
		Ok(())
	}

	// The claim is the last for which there is room.
	#[benchmark]
	fn unvote() -> Result<(), BenchmarkError> {
		let (caller, owner) = (rich::<T>(whitelisted_caller())?, account("owner", 0, 0));
		validator::<T>(&owner)?;
		Pallet::<T>::do_vote(&caller, &owner, SPARE)?;
		leave_in_eras::<T>(&caller, &owner, MAX_CLAIMS - 1)?;
		outgrow::<T>(&owner);
		leave_unsettled::<T>(&owner);

		#[extrinsic_call]
		_(RawOrigin::Signed(caller.clone()), owner.clone(), T::MinVote::get());

		assert_eq!(Claims::<T>::get(&caller, &owner).len(), MAX_CLAIMS as usize);
		assert!(!Candidates::<T>::contains_key(&owner));
		assert_settled::<T>(&owner);
		Ok(())
	}

	// A full list of claims, all of them ripe, for somebody else than the caller: one account more.
	#[benchmark]
	fn withdraw() -> Result<(), BenchmarkError> {
		let (caller, owner) = (rich::<T>(whitelisted_caller())?, account("owner", 0, 0));
		validator::<T>(&owner)?;
		let voter = voter::<T>();
		leave_in_eras::<T>(&voter, &owner, MAX_CLAIMS)?;
		for _ in 0..Pallet::<T>::bonding_eras() {
			next_era::<T>();
		}

		#[extrinsic_call]
		withdraw_for(RawOrigin::Signed(caller), voter.clone(), owner.clone());

		assert!(!Claims::<T>::contains_key(&voter, &owner));
		assert_eq!(Unbonding::<T>::iter_prefix(&owner).count(), 0);
		Ok(())
	}

	#[benchmark]
	fn set_operator() -> Result<(), BenchmarkError> {
		let owner: T::AccountId = whitelisted_caller();
		validator::<T>(&owner)?;
		outgrow::<T>(&owner);
		leave_unsettled::<T>(&owner);
		let operator: T::AccountId = account("operator", 1, 0);

		#[extrinsic_call]
		_(RawOrigin::Signed(owner.clone()), operator.clone());

		assert_eq!(Operators::<T>::get(&operator), Some(owner.clone()));
		assert_settled::<T>(&owner);
		Ok(())
	}

	#[benchmark]
	fn set_intro() -> Result<(), BenchmarkError> {
		let owner: T::AccountId = whitelisted_caller();
		validator::<T>(&owner)?;
		outgrow::<T>(&owner);
		leave_unsettled::<T>(&owner);
		let mut intro = full_intro(Role::Validator);
		intro.location = Line::truncate_from(b"somewhere else".to_vec());

		#[extrinsic_call]
		_(RawOrigin::Signed(owner.clone()), intro.clone());

		assert_eq!(Intros::<T>::get(&owner), intro);
		assert_settled::<T>(&owner);
		Ok(())
	}

	// Another raise is announced after the one that comes in force.
	#[benchmark]
	fn set_commission() -> Result<(), BenchmarkError> {
		let owner: T::AccountId = whitelisted_caller();
		validator::<T>(&owner)?;
		outgrow::<T>(&owner);
		leave_unsettled::<T>(&owner);

		#[extrinsic_call]
		_(RawOrigin::Signed(owner.clone()), COMMISSIONS[2]);

		let pool = Pools::<T>::get(&owner).ok_or("no pool")?;
		assert_eq!(pool.commission, COMMISSIONS[1]);
		assert_eq!(pool.raise.map(|raise| raise.commission), Some(COMMISSIONS[2]));
		Ok(())
	}

	#[benchmark]
	fn chill() -> Result<(), BenchmarkError> {
		let owner: T::AccountId = whitelisted_caller();
		validator::<T>(&owner)?;
		leave_unsettled::<T>(&owner);

		#[extrinsic_call]
		_(RawOrigin::Signed(owner.clone()));

		let pool = Pools::<T>::get(&owner).ok_or("no pool")?;
		assert_eq!((pool.status, pool.weight), (PoolStatus::Chilled, 0));
		assert!(!Candidates::<T>::contains_key(&owner));
		assert_settled::<T>(&owner);
		Ok(())
	}

	// The owner's list of claims has room for its last one.
	#[benchmark]
	fn unregister() -> Result<(), BenchmarkError> {
		let owner: T::AccountId = whitelisted_caller();
		validator::<T>(&owner)?;
		leave_in_eras::<T>(&owner, &owner, MAX_CLAIMS - 1)?;
		leave_unsettled::<T>(&owner);

		#[extrinsic_call]
		_(RawOrigin::Signed(owner.clone()));

		let pool = Pools::<T>::get(&owner).ok_or("no pool")?;
		assert!(matches!(pool.status, PoolStatus::Retired { .. }));
		assert_eq!(pool.own_shares, 0);
		assert_eq!(Claims::<T>::get(&owner, &owner).len(), MAX_CLAIMS as usize);
		assert!(!Candidates::<T>::contains_key(&owner) && !Intros::<T>::contains_key(&owner));
		assert_settled::<T>(&owner);
		Ok(())
	}

	// It weighed nothing, so nothing is due; but the announced commission is, and it joins the candidates again.
	#[benchmark]
	fn unjail() -> Result<(), BenchmarkError> {
		let owner: T::AccountId = whitelisted_caller();
		validator::<T>(&owner)?;
		Pallet::<T>::do_chill(owner.clone())?;
		Pools::<T>::mutate_extant(&owner, |pool| pool.status = PoolStatus::Jailed { until: 0 });
		announce_raise::<T>(&owner);

		#[extrinsic_call]
		_(RawOrigin::Signed(owner.clone()));

		let pool = Pools::<T>::get(&owner).ok_or("no pool")?;
		assert_eq!((pool.status, pool.weight), (PoolStatus::Open, pool.tokens));
		assert!(Candidates::<T>::contains_key(&owner));
		assert_eq!(pool.commission, COMMISSIONS[1]);
		Ok(())
	}

	#[benchmark]
	fn settle() -> Result<(), BenchmarkError> {
		let (caller, owner): (T::AccountId, T::AccountId) =
			(whitelisted_caller(), account("owner", 0, 0));
		validator::<T>(&owner)?;
		outgrow::<T>(&owner);
		leave_unsettled::<T>(&owner);

		#[extrinsic_call]
		_(RawOrigin::Signed(caller), owner.clone());

		assert!(!Candidates::<T>::contains_key(&owner));
		assert_settled::<T>(&owner);
		Ok(())
	}

	#[benchmark]
	fn turn_era() -> Result<(), BenchmarkError> {
		validator::<T>(&account("owner", 0, 0))?;
		let (era, index) = (CurrentEra::<T>::get(), RewardIndex::<T>::get());
		let now = era.start.saturating_add(T::EraLength::get());
		let turned;

		#[block]
		{
			turned = Pallet::<T>::turn_era(now);
		}

		assert!(turned);
		assert_eq!(CurrentEra::<T>::get().index, era.index.saturating_add(1));
		assert!(RewardIndex::<T>::get() > index);
		Ok(())
	}

	#[benchmark]
	fn same_era() -> Result<(), BenchmarkError> {
		let now = CurrentEra::<T>::get().start;
		let turned;

		#[block]
		{
			turned = Pallet::<T>::turn_era(now);
		}

		assert!(!turned);
		Ok(())
	}

	// The author earns fees and the block reward.
	#[benchmark]
	fn on_finalize() -> Result<(), BenchmarkError> {
		let owner: T::AccountId = account("owner", 0, 0);
		validator::<T>(&owner)?;
		outgrow::<T>(&owner);
		leave_unsettled::<T>(&owner);
		T::Currency::mint_into(&Pallet::<T>::pot_account(), CAI)?;
		Fees::<T>::put(CAI);
		Author::<T>::put(owner.clone());

		#[block]
		{
			Pallet::<T>::pay_author();
		}

		assert!(!Author::<T>::exists() && !Fees::<T>::exists());
		assert_settled::<T>(&owner);
		Ok(())
	}

	// All of a validator's pool, for an offence that two accounts proved: its owner's claims on buckets are burnt, what voters have in the buckets is lost, and the oldest
	// record of a full history goes. The bucket of the present era is left out: filling it would settle the pool. Asking to disable the validator is in it; that it is
	// disabled is not written, for this one makes no blocks.
	#[benchmark]
	fn slash(b: Linear<0, { MAX_LIABLE_ERAS - 1 }>) -> Result<(), BenchmarkError> {
		let owner: T::AccountId = account("owner", 0, 0);
		validator::<T>(&owner)?;
		// No list of claims is long enough for all: two voters, and the owner in the last eras.
		let voters = [voter::<T>(), rich::<T>(account("voter", 1, 0))?];
		Pallet::<T>::do_vote(&voters[1], &owner, SPARE)?;
		next_era::<T>();
		let since = CurrentEra::<T>::get().index;
		for n in 0..b {
			if b - n <= MAX_CLAIMS {
				Pallet::<T>::do_unvote(&owner, &owner, T::MinVote::get())?;
			}
			leave_in_eras::<T>(&voters[usize::from(n >= MAX_CLAIMS)], &owner, 1)?;
		}
		announce_raise::<T>(&owner);
		let reason = SlashReason::Equivocation;
		let old = (0..MAX_SLASHES).map(|n| Slash {
			era: u32::MAX - n,
			block: 0,
			reason,
			amount: 1,
			part: 0,
		});
		let old = BoundedVec::<_, ConstU32<MAX_SLASHES>>::truncate_from(old.collect());
		SlashHistory::<T>::insert(&owner, old);
		let provers = [rich::<T>(account("prover", 0, 0))?, rich::<T>(account("prover", 1, 0))?];
		let all = Perbill::one();

		#[block]
		{
			Pallet::<T>::punish(&owner, all, since, &provers);
			T::Sessions::disable(&owner, all);
		}

		let pool = Pools::<T>::get(&owner).ok_or("no pool")?;
		assert_eq!((pool.tokens, pool.own_shares, pool.weight), (0, 0, 0));
		assert!(matches!(pool.status, PoolStatus::Jailed { .. }));
		assert!(!Candidates::<T>::contains_key(&owner));
		assert!(!Claims::<T>::contains_key(&owner, &owner));
		let buckets: Vec<_> = Unbonding::<T>::iter_prefix_values(&owner).collect();
		assert_eq!(buckets.len(), b as usize);
		assert!(buckets.iter().all(|bucket| bucket.tokens == 0 && bucket.shares > 0));
		let history = SlashHistory::<T>::get(&owner);
		assert_eq!(history.len(), MAX_SLASHES as usize);
		assert_eq!(history.last().map(|record| record.era), Some(since));
		Ok(())
	}

	impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
