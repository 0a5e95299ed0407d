use super::acts::waiting;
use crate::mock::*;
use cuckoo_primitives::{traits::Pools as _, CAI};
use frame_support::{assert_ok, traits::fungible::Inspect};

#[test]
fn a_reward_reaches_voters_by_their_shares_after_the_commission() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(Stake::vote(RuntimeOrigin::signed(account(2)), account(1), 10_000 * CAI));
		reward(1, 400 * CAI);
		// A tenth is commission; of the rest three quarters are the owner's.
		assert!(worth(2) <= 10_090 * CAI && worth(2) > 10_090 * CAI - 10);
		assert!(worth(1) <= 30_310 * CAI && worth(1) > 30_310 * CAI - 10);
		assert_eq!(LastWeight::of(&account(1)), Some(40_400 * CAI));
	});
}

#[test]
fn who_votes_after_a_reward_has_no_part_in_it() {
	run(|| {
		miner(1, 30_000 * CAI);
		reward(1, 3_000 * CAI);
		assert_ok!(Stake::vote(RuntimeOrigin::signed(account(2)), account(1), 10_000 * CAI));
		assert!(worth(2) <= 10_000 * CAI && worth(2) > 10_000 * CAI - 10);
	});
}

#[test]
fn a_commission_too_small_for_a_share_leaves_no_empty_vote() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(Stake::vote(RuntimeOrigin::signed(account(2)), account(1), 10 * CAI));
		assert_ok!(Stake::unvote(RuntimeOrigin::signed(account(1)), account(1), u128::MAX));
		reward(1, 5);
		assert_eq!(crate::Votes::<Test>::get(account(1), account(1)), 0);
	});
}

#[test]
fn what_comes_in_after_all_have_left_is_the_owners() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(Stake::unvote(RuntimeOrigin::signed(account(1)), account(1), u128::MAX));
		let before = Balances::balance(&account(1));
		reward(1, 5 * CAI);
		// And it waits, or emptying the pool would be a way to be paid at once.
		assert_eq!((Balances::balance(&account(1)), waiting(1)), (before, 30_005 * CAI));
		assert_eq!(Stake::weight(&account(1)), 0);
	});
}
