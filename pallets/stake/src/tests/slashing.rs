use super::acts::*;
use crate::{
	mock::*,
	pallet::{Candidates, Error, SessionEras, SlashHistory, TotalWeight, MAX_SLASHES},
	Event,
};
use cuckoo_primitives::{traits::Pools as _, PoolStatus, SlashReason, CAI};
use frame_support::{assert_noop, assert_ok, traits::fungible::Unbalanced};
use pallet_session::SessionManager;

#[test]
fn the_owner_pays_first_and_the_price_stands() {
	run(|| {
		miner(1, 40_000 * CAI);
		assert_ok!(vote(2, 1, 10_000 * CAI));
		// So that a share is not worth a planck.
		reward(1, 777 * CAI);
		let (own, voters, all) = (worth(1), worth(2), pool(1).tokens);
		assert_eq!(slash(1, 15_000 * CAI, 0, &[]), 15_000 * CAI);
		assert_eq!(pool(1).tokens, all - 15_000 * CAI);
		assert!(worth(2) >= voters);
		assert_near(worth(2), voters);
		assert_near(worth(1), own - 15_000 * CAI);
		assert_eq!(LastWeight::of(&account(1)), Some(all - 15_000 * CAI));
	});
}

#[test]
fn what_the_owner_cannot_pay_falls_on_all_voters_alike() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 10_000 * CAI));
		assert_ok!(vote(3, 1, 30_000 * CAI));
		assert_eq!(slash(1, 50_000 * CAI, 0, &[]), 50_000 * CAI);
		assert_eq!((worth(1), worth(2), worth(3)), (0, 5_000 * CAI, 15_000 * CAI));
		System::assert_has_event(RuntimeEvent::Stake(Event::Slashed {
			owner: account(1),
			reason: SlashReason::Equivocation,
			era: 0,
			amount: 50_000 * CAI,
			own: 30_000 * CAI,
			proved: 0,
		}));
		assert_eq!(pot(), owed());
	});
}

#[test]
fn voters_of_many_odd_sizes_lose_the_same_part() {
	run(|| {
		miner(1, 30_000 * CAI);
		let votes = [CAI, 7 * CAI + 3, 1_001 * CAI + 11, 99_999 * CAI + 999_999_999];
		for (n, amount) in votes.into_iter().enumerate() {
			assert_ok!(vote(2 + n as u8, 1, amount));
		}
		let all: u128 = votes.iter().sum();
		assert_eq!(slash(1, 30_000 * CAI + all / 3, 0, &[]), 30_000 * CAI + all / 3);
		for (n, amount) in votes.into_iter().enumerate() {
			assert_near(worth(2 + n as u8), amount - amount / 3);
		}
		assert_eq!(pot(), owed());
	});
}

#[test]
fn what_left_before_the_offence_is_not_liable_and_what_left_since_is() {
	run(|| {
		miner(1, 30_000 * CAI);
		for voter in 2..=4 {
			assert_ok!(vote(voter, 1, 10_000 * CAI));
		}
		assert_ok!(unvote(2, 1, ALL));
		run_to_era(1);
		assert_ok!(unvote(3, 1, ALL));
		run_to_era(2);
		assert_eq!(slash(1, 40_000 * CAI, 1, &[]), 40_000 * CAI);
		assert_eq!((waiting(2), waiting(3), worth(4)), (10_000 * CAI, 5_000 * CAI, 5_000 * CAI));
	});
}

#[test]
fn what_the_owner_took_out_since_the_offence_pays_before_its_voters() {
	run(|| {
		miner(1, 60_000 * CAI);
		assert_ok!(vote(2, 1, 10_000 * CAI));
		assert_ok!(unvote(1, 1, 10_000 * CAI));
		run_to_era(1);
		assert_ok!(unvote(1, 1, 30_000 * CAI));
		// 20,000 CAI are in the pool and 30,000 left since the offence: the voter pays the rest. What left before has no part in it.
		assert_eq!(slash(1, 55_000 * CAI, 1, &[]), 55_000 * CAI);
		assert_eq!((worth(1), waiting(1), worth(2)), (0, 10_000 * CAI, 5_000 * CAI));
	});
}

#[test]
fn no_more_is_taken_than_there_is() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 10_000 * CAI));
		assert_eq!(slash(1, ALL, 0, &[]), 40_000 * CAI);
		assert_eq!(slash(1, ALL, 0, &[]), 0);
		assert_eq!(slash(3, CAI, 0, &[]), 0);
		assert_eq!((pot(), owed(), issued().burnt), (0, 0, 40_000 * CAI));
	});
}

#[test]
fn provers_share_two_fifths_and_the_rest_is_burnt() {
	run(|| {
		miner(1, 30_000 * CAI);
		slash(1, 10_000 * CAI, 0, &[3, 4]);
		assert_eq!((free(3), free(4)), (START + 2_000 * CAI, START + 2_000 * CAI));
		assert_eq!(issued().burnt, 6_000 * CAI);
		// What does not divide is burnt too.
		slash(1, CAI, 1, &[5, 6, 7]);
		assert_eq!(free(5), START + 133_333_333_333_333_333);
		assert_eq!(issued().burnt, 6_001 * CAI - 3 * 133_333_333_333_333_333);
		assert_eq!(pot(), owed());
	});
}

#[test]
fn without_provers_all_is_burnt() {
	run(|| {
		let before = pallet_balances::TotalIssuance::<Test>::get();
		miner(1, 30_000 * CAI);
		slash(1, 10_000 * CAI, 0, &[]);
		assert_eq!(issued().burnt, 10_000 * CAI);
		assert_eq!(pallet_balances::TotalIssuance::<Test>::get(), before - 10_000 * CAI);
	});
}

#[test]
fn the_part_of_a_prover_that_cannot_take_it_is_burnt() {
	run(|| {
		// An account that one planck more overflows stands for one below the existential deposit, which is a planck here.
		Balances::write_balance(&account(30), u128::MAX).unwrap();
		miner(1, 30_000 * CAI);
		slash(1, 10_000 * CAI, 0, &[30, 3]);
		assert_eq!(free(3), START + 2_000 * CAI);
		assert_eq!(issued().burnt, 8_000 * CAI);
		// A slash too small for a planck each is burnt.
		slash(1, 4, 1, &[3, 4]);
		assert_eq!((free(3), free(4)), (START + 2_000 * CAI, START));
		assert_eq!(issued().burnt, 8_000 * CAI + 4);
		assert_eq!(pot(), owed());
	});
}

#[test]
fn the_history_keeps_the_newest_slashes() {
	run(|| {
		miner(1, 30_000 * CAI);
		for era in 0..MAX_SLASHES + 8 {
			assert_eq!(slash(1, CAI, era, &[]), CAI);
		}
		let eras: Vec<u32> = SlashHistory::<Test>::get(account(1)).iter().map(|s| s.era).collect();
		assert_eq!(eras, (8..MAX_SLASHES + 8).collect::<Vec<_>>());
		let last = Stake::operator(account(1)).unwrap().slashes.pop().unwrap();
		assert_eq!((last.amount, last.block), (CAI, 1));
	});
}

#[test]
fn an_equivocation_reported_twice_in_an_era_counts_once() {
	run(|| {
		validator(1, 200_000 * CAI);
		Stake::start_session(0);
		Stake::start_session(1);
		offend(1, percent(10), 0, &[]);
		assert_eq!(worth(1), 180_000 * CAI);
		offend(1, percent(10), 1, &[3]);
		offend(1, percent(5), 1, &[3]);
		assert_eq!((worth(1), free(3)), (180_000 * CAI, START));
		// A larger fraction counts by what it is larger.
		offend(1, percent(25), 1, &[3]);
		assert_eq!((worth(1), free(3)), (150_000 * CAI, START + 12_000 * CAI));
		let history = SlashHistory::<Test>::get(account(1));
		assert_eq!((history.len(), history[0].amount), (1, 50_000 * CAI));
	});
}

#[test]
fn an_equivocation_reported_twice_costs_nothing_of_what_was_added_after_the_first() {
	run(|| {
		validator(1, 110_000 * CAI);
		Stake::start_session(0);
		offend(1, percent(10), 0, &[]);
		// The owner puts its bond right again. That is not what it offended with.
		assert_ok!(vote(1, 1, 100_000 * CAI));
		offend(1, percent(10), 0, &[]);
		assert_eq!(worth(1), 199_000 * CAI);
	});
}

#[test]
fn equivocations_in_two_eras_count_twice() {
	run(|| {
		validator(1, 200_000 * CAI);
		Stake::start_session(0);
		run_to_era(1);
		Stake::start_session(1);
		Stake::start_session(2);
		offend(1, percent(10), 1, &[]);
		offend(1, percent(10), 2, &[]);
		assert_eq!(worth(1), 162_000 * CAI);
		assert_eq!(SlashHistory::<Test>::get(account(1)).len(), 2);
	});
}

#[test]
fn a_validator_pays_for_what_helped_to_elect_it() {
	run(|| {
		validator(1, 110_000 * CAI);
		assert_ok!(vote(2, 1, 10_000 * CAI));
		assert_ok!(vote(3, 1, 10_000 * CAI));
		assert_ok!(unvote(2, 1, ALL));
		run_to_era(1);
		// Those of session 2 are elected as session 1 starts, in era 1; then the second voter leaves; session 2 starts in era 2.
		Stake::start_session(1);
		assert_ok!(unvote(3, 1, ALL));
		run_to_era(2);
		Stake::start_session(2);
		offend(1, percent(100), 2, &[]);
		assert_eq!((worth(1), waiting(2), waiting(3)), (0, 10_000 * CAI, 0));
		assert_eq!(SlashHistory::<Test>::get(account(1))[0].era, 1);
		assert_eq!(Disabled::get(), [account(1)]);
	});
}

#[test]
fn an_offence_of_a_forgotten_session_does_nothing() {
	run(|| {
		validator(1, 200_000 * CAI);
		for session in 0..=20 {
			Stake::start_session(session);
		}
		assert_eq!(SessionEras::<Test>::get(8), None);
		offend(1, percent(100), 8, &[3]);
		assert_eq!((worth(1), free(3)), (200_000 * CAI, START));
		assert_eq!(pool(1).status, PoolStatus::Open);
		assert!(Disabled::get().is_empty());
		// Of the oldest that is remembered the election is not, so it counts from its own era.
		offend(1, percent(10), 9, &[]);
		assert_eq!(worth(1), 180_000 * CAI);
	});
}

#[test]
fn an_offence_of_nobody_we_know_does_nothing() {
	run(|| {
		validator(1, 200_000 * CAI);
		Stake::start_session(0);
		offend(2, percent(100), 0, &[3]);
		assert_eq!((issued().burnt, free(3)), (0, START));
	});
}

#[test]
fn a_jailed_validator_is_out_of_draws_and_elections_until_it_comes_back() {
	run(|| {
		validator(1, 200_000 * CAI);
		validator(2, 150_000 * CAI);
		Stake::start_session(0);
		offend(1, percent(10), 0, &[]);
		assert_eq!(pool(1).status, PoolStatus::Jailed { until: 2 });
		assert_eq!((pool(1).weight, TotalWeight::<Test>::get()), (0, 150_000 * CAI));
		assert!(!Candidates::<Test>::contains_key(account(1)));
		assert_eq!(LastWeight::of(&account(1)), Some(0));
		assert_noop!(vote(3, 1, CAI), Error::<Test>::ClosedToVotes);
		run_to_era(1);
		assert_noop!(unjail(1), Error::<Test>::StillJailed);
		run_to_era(2);
		assert_ok!(unjail(1));
		assert_eq!(pool(1).status, PoolStatus::Open);
		assert_eq!(TotalWeight::<Test>::get(), 330_000 * CAI);
		assert!(Candidates::<Test>::contains_key(account(1)));
	});
}

#[test]
fn a_bond_slashed_to_the_minimum_is_put_right_before_it_comes_back() {
	run(|| {
		validator(1, 100_001 * CAI);
		Stake::start_session(0);
		offend(1, percent(10), 0, &[]);
		run_to_era(2);
		assert_noop!(unjail(1), Error::<Test>::BondTooSmall);
		let missing = 100_000 * CAI - worth(1);
		assert_ok!(vote(1, 1, missing));
		assert_noop!(unjail(1), Error::<Test>::BondTooSmall);
		assert_ok!(vote(1, 1, CAI));
		assert_ok!(unjail(1));
		assert_eq!(Stake::weight(&account(1)), 100_001 * CAI);
	});
}

#[test]
fn a_later_offence_prolongs_the_jail_and_never_shortens_it() {
	run(|| {
		validator(1, 200_000 * CAI);
		Stake::start_session(0);
		offend(1, percent(1), 0, &[]);
		run_to_era(1);
		offend(1, percent(1), 0, &[]);
		assert_eq!(pool(1).status, PoolStatus::Jailed { until: 3 });
		JailEras::set(1);
		offend(1, percent(1), 0, &[]);
		assert_eq!(pool(1).status, PoolStatus::Jailed { until: 3 });
	});
}

#[test]
fn who_has_left_is_slashed_and_not_jailed() {
	run(|| {
		validator(1, 200_000 * CAI);
		Stake::start_session(0);
		Keyless::set(vec![account(1)]);
		assert_ok!(unregister(1));
		offend(1, percent(10), 0, &[]);
		assert_eq!(waiting(1), 180_000 * CAI);
		assert_eq!(pool(1).status, PoolStatus::Retired { era: 0 });
	});
}
