//! Ways out of a slash that somebody might try. In all of them the offence is of era 0.

use super::acts::*;
use crate::{
	mock::*,
	pallet::{Error, SlashHistory},
};
use cuckoo_primitives::{traits::Pools as _, PoolStatus, Role, CAI};
use frame_support::{assert_noop, assert_ok};
use pallet_session::SessionManager;

/// An owner with 30,000 CAI and two voters with 10,000 each.
fn pool_with_voters() {
	miner(1, 30_000 * CAI);
	for voter in [2, 3] {
		assert_ok!(vote(voter, 1, 10_000 * CAI));
	}
}

#[test]
fn a_voter_unbonds_in_the_era_of_the_offence() {
	run(|| {
		pool_with_voters();
		assert_ok!(unvote(2, 1, ALL));
		assert_eq!(slash(1, 40_000 * CAI, 0, &[]), 40_000 * CAI);
		// Who left pays like who stayed.
		assert_eq!((waiting(2), worth(3)), (5_000 * CAI, 5_000 * CAI));
		run_to_era(3);
		assert_ok!(withdraw(2, 1));
		assert_eq!(free(2), START - 5_000 * CAI);
	});
}

#[test]
fn voters_unbond_in_the_eras_between_the_offence_and_its_judgement() {
	run(|| {
		pool_with_voters();
		run_to_era(1);
		assert_ok!(unvote(2, 1, 4_000 * CAI));
		run_to_era(2);
		assert_ok!(unvote(2, 1, 4_000 * CAI));
		run_to_era(3);
		assert_ok!(unvote(2, 1, ALL));
		assert_eq!(slash(1, 40_000 * CAI, 0, &[]), 40_000 * CAI);
		assert_eq!((waiting(2), worth(3)), (5_000 * CAI, 5_000 * CAI));
	});
}

#[test]
fn an_owner_unbonds_in_the_era_of_the_offence_for_its_voters_to_pay() {
	run(|| {
		pool_with_voters();
		assert_ok!(unvote(1, 1, ALL));
		assert_eq!(slash(1, 25_000 * CAI, 0, &[]), 25_000 * CAI);
		assert_eq!((waiting(1), worth(2), worth(3)), (5_000 * CAI, 10_000 * CAI, 10_000 * CAI));
	});
}

#[test]
fn an_owner_unbonds_bit_by_bit_for_its_voters_to_pay() {
	run(|| {
		pool_with_voters();
		for era in 0..3 {
			run_to_era(era);
			assert_ok!(unvote(1, 1, 5_000 * CAI));
		}
		// The bond in the pool, and of what waits the oldest first.
		assert_eq!(slash(1, 22_000 * CAI, 0, &[]), 22_000 * CAI);
		assert_eq!((worth(1), waiting(1)), (0, 8_000 * CAI));
		assert_eq!((worth(2), worth(3)), (10_000 * CAI, 10_000 * CAI));
	});
}

#[test]
fn a_staker_unregisters_after_the_offence() {
	run(|| {
		pool_with_voters();
		assert_ok!(unregister(1));
		assert_eq!(slash(1, 40_000 * CAI, 0, &[]), 40_000 * CAI);
		assert_eq!((waiting(1), worth(2), worth(3)), (0, 5_000 * CAI, 5_000 * CAI));
		run_to_era(3);
		assert_noop!(withdraw(1, 1), Error::<Test>::NothingToWithdraw);
		// Only the deposit is back.
		assert_eq!(free(1), START - 30_000 * CAI);
	});
}

#[test]
fn a_staker_unregisters_and_registers_again_to_be_somebody_new() {
	run(|| {
		pool_with_voters();
		assert_ok!(unregister(1));
		assert_noop!(register(1, Role::Miner, 30_000 * CAI), Error::<Test>::Retired);
		assert_ok!(unvote(2, 1, ALL));
		assert_ok!(unvote(3, 1, ALL));
		run_to_era(2);
		assert_noop!(register(1, Role::Miner, 30_000 * CAI), Error::<Test>::Retired);
		run_to_era(3);
		miner(1, 50_000 * CAI);
		// Judged in the last era in which it can be: the new bond pays first, then what was left of the old.
		assert_eq!(slash(1, 60_000 * CAI, 0, &[]), 60_000 * CAI);
		assert_eq!((worth(1), waiting(1)), (0, 20_000 * CAI));
		assert_eq!((waiting(2), waiting(3)), (10_000 * CAI, 10_000 * CAI));
		assert_eq!(SlashHistory::<Test>::get(account(1)).len(), 1);
	});
}

#[test]
fn a_staker_takes_another_operator_after_the_offence() {
	run(|| {
		validator(1, 200_000 * CAI);
		Stake::start_session(0);
		assert_ok!(Stake::set_operator(signed(1), account(120)));
		offend(1, percent(10), 0, &[]);
		assert_eq!(worth(1), 180_000 * CAI);
		assert_eq!(pool(1).status, PoolStatus::Jailed { until: 2 });
		assert_eq!(Stake::weight(&account(1)), 0);
		assert_noop!(unjail(1), Error::<Test>::StillJailed);
	});
}

#[test]
fn a_staker_chills_its_operator_after_the_offence() {
	run(|| {
		validator(1, 200_000 * CAI);
		Stake::start_session(0);
		assert_ok!(chill(1));
		offend(1, percent(10), 0, &[]);
		assert_eq!(worth(1), 180_000 * CAI);
		// And chilled is not a way around the jail.
		assert_ok!(chill(1));
		assert_noop!(unjail(1), Error::<Test>::StillJailed);
	});
}

#[test]
fn a_staker_takes_another_role_after_the_offence() {
	run(|| {
		validator(1, 200_000 * CAI);
		Stake::start_session(0);
		assert_noop!(register(1, Role::Miner, 30_000 * CAI), Error::<Test>::AlreadyRegistered);
		assert_noop!(unregister(1), Error::<Test>::PurgeKeysFirst);
		Keyless::set(vec![account(1)]);
		assert_ok!(unregister(1));
		run_to_era(2);
		assert_noop!(register(1, Role::Miner, 30_000 * CAI), Error::<Test>::Retired);
		offend(1, percent(50), 0, &[]);
		assert_eq!(waiting(1), 100_000 * CAI);
		// Once it is too late to slash what could have left, the new pool is not slashed in its place.
		run_to_era(3);
		miner(1, 30_000 * CAI);
		offend(1, percent(100), 0, &[]);
		assert_eq!((worth(1), waiting(1)), (30_000 * CAI, 100_000 * CAI));
		assert_eq!(pool(1).status, PoolStatus::Open);
	});
}

#[test]
fn a_voter_withdraws_in_the_block_of_the_offence() {
	run(|| {
		pool_with_voters();
		assert_ok!(unvote(2, 1, ALL));
		assert_noop!(withdraw(2, 1), Error::<Test>::NothingToWithdraw);
		assert_eq!(slash(1, ALL, 0, &[]), 50_000 * CAI);
		assert_noop!(withdraw(2, 1), Error::<Test>::NothingToWithdraw);
		run_to_era(3);
		assert_ok!(withdraw(2, 1));
		assert_eq!(free(2), START - 10_000 * CAI);
	});
}

#[test]
fn a_voter_is_late_to_withdraw_what_left_in_the_era_of_the_offence() {
	run(|| {
		pool_with_voters();
		assert_ok!(unvote(2, 1, ALL));
		run_to_era(3);
		// It could have withdrawn by now; as it has not, it pays.
		assert_eq!(slash(1, 40_000 * CAI, 0, &[]), 40_000 * CAI);
		assert_ok!(withdraw(2, 1));
		assert_eq!(free(2), START - 5_000 * CAI);
	});
}

#[test]
fn a_voter_withdraws_while_a_dispute_is_open() {
	run(|| {
		pool_with_voters();
		assert_ok!(unvote(2, 1, ALL));
		Stake::freeze(&account(1));
		Stake::freeze(&account(1));
		run_to_era(3);
		let for_it = || Stake::withdraw_for(signed(9), account(2), account(1));
		assert_noop!(withdraw(2, 1), Error::<Test>::Disputed);
		assert_noop!(for_it(), Error::<Test>::Disputed);
		// One of two disputes is over, the other ends in a slash.
		Stake::release(&account(1));
		assert_noop!(withdraw(2, 1), Error::<Test>::Disputed);
		assert_eq!(slash(1, 40_000 * CAI, 0, &[]), 40_000 * CAI);
		Stake::release(&account(1));
		assert_ok!(for_it());
		assert_eq!(free(2), START - 5_000 * CAI);
		// More releases than disputes do no harm: the next dispute counts.
		Stake::release(&account(1));
		Stake::freeze(&account(1));
		assert_ok!(unvote(3, 1, ALL));
		run_to_era(6);
		assert_noop!(withdraw(3, 1), Error::<Test>::Disputed);
	});
}

#[test]
fn a_voter_drags_out_a_dispute_until_its_waiting_time_is_over() {
	run(|| {
		pool_with_voters();
		assert_ok!(unvote(2, 1, ALL));
		Stake::freeze(&account(1));
		// The waiting time is three eras. What a dispute keeps from being withdrawn must still pay for how it ends.
		run_to_era(5);
		assert_noop!(withdraw(2, 1), Error::<Test>::Disputed);
		assert_eq!(slash(1, 40_000 * CAI, 0, &[]), 40_000 * CAI);
		assert_eq!((waiting(2), worth(3)), (5_000 * CAI, 5_000 * CAI));
	});
}

#[test]
fn an_owner_drags_out_a_dispute_for_its_voters_to_pay() {
	run(|| {
		pool_with_voters();
		assert_ok!(unregister(1));
		Stake::freeze(&account(1));
		run_to_era(5);
		assert_eq!(slash(1, 25_000 * CAI, 0, &[]), 25_000 * CAI);
		assert_eq!((waiting(1), worth(2), worth(3)), (5_000 * CAI, 10_000 * CAI, 10_000 * CAI));
	});
}

#[test]
fn a_staker_registers_again_while_a_dispute_is_open() {
	run(|| {
		miner(1, 30_000 * CAI);
		Stake::freeze(&account(1));
		assert_ok!(unregister(1));
		run_to_era(4);
		assert_noop!(register(1, Role::Miner, 30_000 * CAI), Error::<Test>::Retired);
		Stake::release(&account(1));
		assert_ok!(register(1, Role::Miner, 30_000 * CAI));
	});
}

#[test]
fn an_offender_reports_itself() {
	run(|| {
		validator(1, 200_000 * CAI);
		Stake::start_session(0);
		offend(1, percent(10), 0, &[1]);
		// All of it is burnt.
		assert_eq!((worth(1), issued().burnt), (180_000 * CAI, 20_000 * CAI));
		assert_eq!(free(1), START - 200_010 * CAI);
		// Among others it has no part, and they have what they would have without it.
		validator(2, 200_000 * CAI);
		offend(2, percent(10), 0, &[2, 3]);
		assert_eq!((free(2), free(3)), (START - 200_010 * CAI, START + 8_000 * CAI));
		assert_eq!(issued().burnt, 32_000 * CAI);
	});
}

#[test]
fn an_offender_has_a_friend_report_it_to_gain_by_its_voters_loss() {
	run(|| {
		MinValidatorBond::set(100_000 * CAI);
		validator(1, 100_001 * CAI);
		assert_ok!(vote(2, 1, 900_000 * CAI));
		Stake::start_session(0);
		offend(1, percent(100), 0, &[3]);
		// The friend gets two fifths of what the owner itself lost, and nothing of what the voters did.
		let gained = free(3) - START;
		assert_eq!(gained, 100_001 * CAI * 2 / 5);
		assert!(gained < 100_001 * CAI);
		assert_eq!((worth(1), worth(2)), (0, 0));
	});
}

#[test]
fn an_owner_leaves_just_above_its_minimum_and_is_drawn_on_its_voters_stake() {
	run(|| {
		pool_with_voters();
		assert_ok!(unvote(1, 1, 9_999 * CAI));
		assert_eq!(Stake::weight(&account(1)), 40_001 * CAI);
		// A slash that takes the bond to the minimum takes the operator out at once.
		assert_eq!(slash(1, CAI, 0, &[]), CAI);
		assert_eq!((Stake::weight(&account(1)), LastWeight::of(&account(1))), (0, Some(0)));
		assert_noop!(vote(4, 1, CAI), Error::<Test>::ClosedToVotes);
	});
}
