use crate::{
	mock::*,
	pallet::{Error, Pools, Votes},
};
use cuckoo_primitives::{traits::Pools as _, CAI};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchResult;

fn vote(n: u8, owner: u8, amount: u128) -> DispatchResult {
	Stake::vote(RuntimeOrigin::signed(account(n)), account(owner), amount)
}

#[test]
fn votes_raise_the_weight_in_the_draw() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 1_000 * CAI));
		assert_ok!(vote(1, 1, 500 * CAI));
		assert_eq!(LastWeight::of(&account(1)), Some(31_500 * CAI));
		let pool = Stake::operator(account(1)).unwrap();
		assert_eq!((pool.tokens, pool.own), (31_500 * CAI, 30_500 * CAI));
		let position = Stake::position(account(2));
		assert_eq!((position.len(), position[0].worth), (1, 1_000 * CAI));
	});
}

#[test]
fn dust_and_votes_for_nobody_are_refused() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_noop!(vote(2, 1, CAI - 1), Error::<Test>::VoteTooSmall);
		assert_noop!(vote(2, 3, CAI), Error::<Test>::NotRegistered);
		assert!(vote(2, 1, START + 1).is_err());
		assert_eq!(Votes::<Test>::get(account(2), account(1)), 0);
	});
}

#[test]
fn a_pool_whose_owner_fell_to_the_minimum_takes_no_votes_but_its_owners() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 100 * CAI));
		assert_ok!(Stake::unvote(RuntimeOrigin::signed(account(1)), account(1), 10_000 * CAI));
		assert_eq!(Stake::weight(&account(1)), 0);
		assert_eq!(LastWeight::of(&account(1)), Some(0));
		assert_noop!(vote(2, 1, CAI), Error::<Test>::ClosedToVotes);
		assert_ok!(vote(1, 1, CAI));
		assert_eq!(Stake::weight(&account(1)), 20_101 * CAI);
		assert_ok!(vote(2, 1, CAI));
	});
}

#[test]
fn a_share_price_made_dear_steals_no_voters_rounding() {
	run(|| {
		// The owner brings its pool down to a share, round by round: all but the smallest vote out, a reward in. The last reward lifts its bond above the
		// minimum again: two shares at 20,000 CAI would take half of what the next voter cannot buy a whole share for.
		miner(1, 30_000 * CAI);
		for _ in 0..6 {
			let owner = RuntimeOrigin::signed(account(1));
			let worth = Stake::operator(account(1)).unwrap().own;
			assert_ok!(Stake::unvote(owner, account(1), worth - CAI));
			reward(1, 1_000 * CAI);
		}
		let owner = RuntimeOrigin::signed(account(1));
		let worth = Stake::operator(account(1)).unwrap().own;
		assert_ok!(Stake::unvote(owner, account(1), worth - CAI));
		reward(1, 25_000 * CAI);
		assert!(Stake::weight(&account(1)) > 0, "the pool is not open: the test shows nothing");
		assert!(Pools::<Test>::get(account(1)).unwrap().shares < 10);
		assert_noop!(vote(2, 1, 39_999 * CAI), Error::<Test>::ClosedToVotes);
	});
}
