use crate::{
	mock::*,
	pallet::{Error, Votes},
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
