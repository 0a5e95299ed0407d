use super::acts::*;
use crate::{
	mock::*,
	pallet::{Error, Intros, Operators, TotalWeight},
	types::Raise,
	Event,
};
use cuckoo_primitives::{traits::Pools as _, PoolStatus, Role, CAI};
use frame_support::{assert_noop, assert_ok, traits::fungible::InspectHold};
use sp_runtime::Perbill;

#[test]
fn a_commission_has_a_cap_and_rises_by_steps() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_noop!(set_commission(1, 51), Error::<Test>::CommissionTooHigh);
		assert_noop!(set_commission(1, 16), Error::<Test>::CommissionStepTooLarge);
		assert_noop!(set_commission(2, 11), Error::<Test>::NotRegistered);
		assert_ok!(set_commission(1, 15));
		// One announced is not a step to start the next from.
		assert_noop!(set_commission(1, 20), Error::<Test>::CommissionStepTooLarge);
		// The cap holds where a step would go beyond it.
		MaxCommission::set(percent(12));
		assert_noop!(set_commission(1, 13), Error::<Test>::CommissionTooHigh);
	});
}

#[test]
fn a_raise_is_announced_and_in_force_from_the_first_settlement_after_the_notice() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(set_commission(1, 15));
		System::assert_has_event(RuntimeEvent::Stake(Event::CommissionRaiseAnnounced {
			owner: account(1),
			commission: percent(15),
			from_era: 3,
		}));
		assert_eq!(pool(1).raise, Some(Raise { commission: percent(15), from_era: 3 }));
		let view = Stake::operator(account(1)).unwrap();
		assert_eq!(view.commission_raise, Some((percent(15).deconstruct(), 3)));
		run_to_era(2);
		assert_ok!(settle(1));
		assert_eq!(pool(1).commission, percent(10));
		run_to_era(3);
		assert_eq!(pool(1).commission, percent(10));
		assert_ok!(settle(1));
		assert_eq!((pool(1).commission, pool(1).raise), (percent(15), None));
		// And from there it may rise by another step.
		assert_ok!(set_commission(1, 20));
	});
}

#[test]
fn a_reward_for_work_is_shared_out_at_the_commission_of_the_era_it_comes_in() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 30_000 * CAI));
		assert_ok!(set_commission(1, 15));
		run_to_era(1);
		reward(1, 2_000 * CAI);
		assert_near(worth(2), 30_900 * CAI);
		run_to_era(3);
		let (before, all) = (worth(2), pool(1).tokens);
		reward(1, 2_000 * CAI);
		assert_near(worth(2), before + 1_700 * before / (all / CAI));
	});
}

#[test]
fn lowering_a_commission_is_in_force_at_once() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 30_000 * CAI));
		assert_ok!(set_commission(1, 0));
		System::assert_has_event(RuntimeEvent::Stake(Event::CommissionSet {
			owner: account(1),
			commission: Perbill::zero(),
		}));
		reward(1, 2_000 * CAI);
		assert_near(worth(2), 31_000 * CAI);
	});
}

#[test]
fn setting_a_commission_no_higher_calls_an_announced_raise_off() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(set_commission(1, 15));
		assert_ok!(set_commission(1, 8));
		run_to_era(4);
		assert_ok!(settle(1));
		assert_eq!((pool(1).commission, pool(1).raise), (percent(8), None));
		assert_ok!(set_commission(1, 12));
		assert_ok!(set_commission(1, 8));
		run_to_era(8);
		assert_ok!(settle(1));
		assert_eq!((pool(1).commission, pool(1).raise), (percent(8), None));
	});
}

#[test]
fn a_raise_that_replaces_another_is_noticed_as_long() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(set_commission(1, 11));
		run_to_era(1);
		assert_ok!(set_commission(1, 15));
		run_to_era(3);
		assert_ok!(settle(1));
		assert_eq!(pool(1).commission, percent(10));
		run_to_era(4);
		assert_ok!(settle(1));
		assert_eq!(pool(1).commission, percent(15));
	});
}

#[test]
fn a_commission_goes_no_higher_than_the_cap_of_its_time() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(set_commission(1, 15));
		MaxCommission::set(percent(12));
		run_to_era(3);
		assert_ok!(settle(1));
		assert_eq!(pool(1).commission, percent(12));
		// One in force comes down with the cap.
		MaxCommission::set(percent(7));
		assert_ok!(settle(1));
		assert_eq!(pool(1).commission, percent(7));
	});
}

#[test]
fn a_chilled_operator_is_out_until_it_comes_back() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 1_000 * CAI));
		assert_noop!(unjail(1), Error::<Test>::NotChilled);
		assert_ok!(chill(1));
		assert_ok!(chill(1));
		assert_eq!((Stake::weight(&account(1)), TotalWeight::<Test>::get()), (0, 0));
		assert_eq!(LastWeight::of(&account(1)), Some(0));
		// Voters may leave; none but the owner may come.
		assert_noop!(vote(3, 1, CAI), Error::<Test>::ClosedToVotes);
		assert_ok!(unvote(2, 1, 500 * CAI));
		assert_ok!(vote(1, 1, CAI));
		assert_eq!(Stake::weight(&account(1)), 0);
		// At once, as nobody judged it.
		assert_ok!(unjail(1));
		assert_eq!(Stake::weight(&account(1)), 30_501 * CAI);
		assert_ok!(vote(3, 1, CAI));
	});
}

#[test]
fn a_chilled_operator_needs_its_bond_to_come_back() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(chill(1));
		assert_ok!(unvote(1, 1, 10_000 * CAI));
		assert_noop!(unjail(1), Error::<Test>::BondTooSmall);
		assert_ok!(vote(1, 1, CAI));
		assert_ok!(unjail(1));
	});
}

#[test]
fn who_still_works_or_has_keys_cannot_leave() {
	run(|| {
		miner(1, 30_000 * CAI);
		Working::set(vec![account(1)]);
		assert_noop!(unregister(1), Error::<Test>::StillWorking);
		Working::set(Vec::new());
		assert_ok!(unregister(1));
		validator(2, 200_000 * CAI);
		assert_noop!(unregister(2), Error::<Test>::PurgeKeysFirst);
		Keyless::set(vec![account(2)]);
		assert_ok!(unregister(2));
		assert_noop!(unregister(3), Error::<Test>::NotRegistered);
	});
}

#[test]
fn leaving_for_good_gives_the_deposit_back_and_sets_the_operator_free() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(unregister(1));
		assert_eq!(Balances::total_balance_on_hold(&account(1)), 0);
		assert_eq!((free(1), waiting(1)), (START - 30_000 * CAI, 30_000 * CAI));
		assert_eq!(pool(1).status, PoolStatus::Retired { era: 0 });
		assert_eq!(Stake::of_operator(&account(101)), None);
		assert!(!Operators::<Test>::contains_key(account(101)));
		assert!(!Intros::<Test>::contains_key(account(1)));
		assert_eq!(TotalWeight::<Test>::get(), 0);
		// For another pool, but not the owner: who asks for a pool by its account must find the same one.
		miner(2, 30_000 * CAI);
		assert_ok!(Stake::set_operator(signed(2), account(101)));
		assert_noop!(Stake::set_operator(signed(2), account(1)), Error::<Test>::OperatorTaken);
		run_to_era(3);
		assert_ok!(withdraw(1, 1));
		assert_eq!(free(1), START);
	});
}

#[test]
fn what_one_has_left_is_not_to_be_changed() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 1_000 * CAI));
		assert_ok!(unregister(1));
		let set_operator = || Stake::set_operator(signed(1), account(110));
		assert_noop!(set_operator(), Error::<Test>::Retired);
		let set_intro = || Stake::set_intro(signed(1), intro("x", ""));
		assert_noop!(set_intro(), Error::<Test>::Retired);
		assert_noop!(set_commission(1, 5), Error::<Test>::Retired);
		assert_noop!(chill(1), Error::<Test>::Retired);
		assert_noop!(unjail(1), Error::<Test>::Retired);
		assert_noop!(unregister(1), Error::<Test>::Retired);
		assert_noop!(register(1, Role::Miner, 30_000 * CAI), Error::<Test>::Retired);
		// Not even the owner may put its bond right.
		assert_noop!(vote(1, 1, 30_000 * CAI), Error::<Test>::ClosedToVotes);
		assert_noop!(vote(2, 1, 30_000 * CAI), Error::<Test>::ClosedToVotes);
		assert_ok!(settle(1));
		assert_eq!(Stake::weight(&account(1)), 0);
	});
}

#[test]
fn voters_take_their_votes_back_after_the_owner_has_left() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 1_000 * CAI));
		assert_ok!(unregister(1));
		// A late income is theirs, less the commission, which is a vote like any other.
		reward(1, 100 * CAI);
		assert_near(worth(2), 1_090 * CAI);
		assert_near(worth(1), 10 * CAI);
		run_to_era(4);
		assert_ok!(unvote(2, 1, ALL));
		assert_noop!(register(1, Role::Miner, 30_000 * CAI), Error::<Test>::Retired);
		assert_ok!(unvote(1, 1, ALL));
		// What has just left would be slashed with a pool that begins in the same era.
		assert_noop!(register(1, Role::Miner, 30_000 * CAI), Error::<Test>::Retired);
		run_to_era(5);
		assert_ok!(register(1, Role::Miner, 30_000 * CAI));
		run_to_era(7);
		assert_ok!(withdraw(2, 1));
		assert_near(free(2), START + 90 * CAI);
	});
}

#[test]
fn who_has_left_may_come_back_after_everybody_is_out_and_the_waiting_time_over() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 1_000 * CAI));
		let again = || register(1, Role::Coordinator, 2_500_000 * CAI);
		assert_ok!(unregister(1));
		run_to_era(2);
		assert_ok!(unvote(2, 1, ALL));
		assert_noop!(again(), Error::<Test>::Retired);
		run_to_era(3);
		assert_ok!(again());
		assert_eq!(pool(1).role, Role::Coordinator);
		assert_eq!(Stake::weight(&account(1)), 2_500_000 * CAI);
		// What left the old pool is still to be had.
		assert_ok!(withdraw(1, 1));
		run_to_era(5);
		assert_ok!(withdraw(2, 1));
		assert_eq!((free(1), free(2)), (START - 2_500_010 * CAI, START));
	});
}

#[test]
fn what_nobody_has_a_share_of_goes_to_the_next_pool_of_the_same_owner() {
	run(|| {
		// At nearly four planck a share, taking out three planck less than all takes every share.
		miner(1, 30_000 * CAI);
		reward(1, 90_000 * CAI);
		assert_ok!(unvote(1, 1, worth(1) - 3));
		assert_ok!(unregister(1));
		assert_eq!((pool(1).shares, pool(1).tokens), (0, 3));
		run_to_era(3);
		miner(1, 30_000 * CAI);
		assert_eq!(worth(1), 30_000 * CAI + 3);
		assert_eq!(pot(), owed());
	});
}

#[test]
fn a_changed_minimum_counts_from_the_next_settlement() {
	run(|| {
		miner(1, 30_000 * CAI);
		MinMinerBond::set(30_000 * CAI);
		assert_eq!(Stake::weight(&account(1)), 30_000 * CAI);
		assert_ok!(settle(1));
		assert_eq!((Stake::weight(&account(1)), TotalWeight::<Test>::get()), (0, 0));
		assert_eq!(pool(1).status, PoolStatus::Open);
		assert_noop!(vote(2, 1, CAI), Error::<Test>::ClosedToVotes);
		MinMinerBond::set(30_000 * CAI - 1);
		// It is open, so nothing has to be called but a settlement.
		assert_noop!(unjail(1), Error::<Test>::NotChilled);
		assert_ok!(settle(1));
		assert_eq!(LastWeight::of(&account(1)), Some(30_000 * CAI));
		assert_noop!(settle(2), Error::<Test>::NotRegistered);
	});
}

#[test]
fn a_waiting_time_that_is_changed_counts_for_what_waits_already() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(unvote(1, 1, 1_000 * CAI));
		BondingEras::set(2);
		run_to_era(2);
		BondingEras::set(4);
		assert_noop!(withdraw(1, 1), Error::<Test>::NothingToWithdraw);
		BondingEras::set(2);
		assert_ok!(withdraw(1, 1));
		// There is always one, and never more eras of it than claims are kept for.
		BondingEras::set(0);
		assert_ok!(unvote(1, 1, 1_000 * CAI));
		assert_noop!(withdraw(1, 1), Error::<Test>::NothingToWithdraw);
		run_to_era(3);
		BondingEras::set(1_000);
		assert_noop!(withdraw(1, 1), Error::<Test>::NothingToWithdraw);
		run_to_era(33);
		assert_ok!(withdraw(1, 1));
	});
}
