use crate::{mock::*, pallet::Error};
use cuckoo_primitives::{traits::Pools as _, CAI};
use frame_support::{assert_noop, assert_ok, traits::fungible::Inspect};
use sp_runtime::DispatchResult;

fn vote(n: u8, owner: u8, amount: u128) -> DispatchResult {
	Stake::vote(RuntimeOrigin::signed(account(n)), account(owner), amount)
}

fn unvote(n: u8, owner: u8, amount: u128) -> DispatchResult {
	Stake::unvote(RuntimeOrigin::signed(account(n)), account(owner), amount)
}

fn withdraw(n: u8, owner: u8) -> DispatchResult {
	Stake::withdraw(RuntimeOrigin::signed(account(n)), account(owner))
}

#[test]
fn leaving_takes_its_weight_at_once_and_is_paid_eras_later() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 1_000 * CAI));
		assert_ok!(unvote(2, 1, 400 * CAI));
		assert_eq!(LastWeight::of(&account(1)), Some(30_600 * CAI));
		assert_noop!(withdraw(2, 1), Error::<Test>::NothingToWithdraw);
		run_to_era(2);
		assert_noop!(withdraw(2, 1), Error::<Test>::NothingToWithdraw);
		run_to_era(3);
		assert_ok!(Stake::withdraw_for(RuntimeOrigin::signed(account(9)), account(2), account(1)));
		assert_eq!(Balances::balance(&account(2)), START - 600 * CAI);
		assert_noop!(withdraw(2, 1), Error::<Test>::NothingToWithdraw);
	});
}

#[test]
fn only_what_waited_long_enough_is_paid() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 1_000 * CAI));
		assert_ok!(unvote(2, 1, 100 * CAI));
		run_to_era(1);
		assert_ok!(unvote(2, 1, 200 * CAI));
		assert_ok!(unvote(2, 1, 300 * CAI));
		assert_eq!(Stake::position(account(2))[0].unbonding.len(), 2);
		run_to_era(3);
		assert_ok!(withdraw(2, 1));
		assert_eq!(Balances::balance(&account(2)), START - 900 * CAI);
		run_to_era(4);
		assert_ok!(withdraw(2, 1));
		assert_eq!(Balances::balance(&account(2)), START - 400 * CAI);
	});
}

#[test]
fn nobody_takes_out_more_than_a_vote_is_worth() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 1_000 * CAI));
		assert_noop!(unvote(2, 1, 1_000 * CAI + 1), Error::<Test>::NotEnoughVotes);
		assert_noop!(unvote(3, 1, CAI), Error::<Test>::NotEnoughVotes);
		assert_noop!(unvote(2, 1, 0), Error::<Test>::VoteTooSmall);
		assert_noop!(unvote(2, 1, 1_000 * CAI - 1), Error::<Test>::VoteTooSmall);
		assert_ok!(unvote(2, 1, u128::MAX));
		assert_noop!(unvote(2, 1, CAI), Error::<Test>::NotEnoughVotes);
	});
}

#[test]
fn falling_to_the_minimum_takes_the_operator_out_of_the_draw_at_once() {
	run(|| {
		miner(1, 20_001 * CAI);
		assert_ok!(vote(2, 1, 5_000 * CAI));
		assert_eq!(Stake::weight(&account(1)), 25_001 * CAI);
		assert_ok!(unvote(1, 1, CAI));
		assert_eq!(LastWeight::of(&account(1)), Some(0));
	});
}

#[test]
fn what_an_operators_work_puts_at_risk_stays_until_it_is_done() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 1_000 * CAI));
		AtRisk::mutate(|all| all.insert(account(1), 150 * CAI));
		assert_noop!(unvote(1, 1, u128::MAX), Error::<Test>::StakeAtRisk);
		assert_noop!(unvote(1, 1, 29_850 * CAI + 1), Error::<Test>::StakeAtRisk);
		// That is the owner's part: voters may leave.
		assert_ok!(unvote(2, 1, u128::MAX));
		assert_ok!(unvote(1, 1, 29_850 * CAI));
		assert_noop!(unvote(1, 1, CAI), Error::<Test>::StakeAtRisk);
		AtRisk::take();
		assert_ok!(unvote(1, 1, u128::MAX));
	});
}

#[test]
fn an_owner_may_leave_whole_and_so_may_its_voters() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 1_000 * CAI));
		assert_ok!(unvote(1, 1, u128::MAX));
		assert_ok!(unvote(2, 1, u128::MAX));
		run_to_era(3);
		assert_ok!(withdraw(1, 1));
		assert_ok!(withdraw(2, 1));
		assert_eq!(Balances::balance(&Stake::pot_account()), 0);
		assert_eq!(Balances::balance(&account(2)), START);
	});
}

#[test]
fn claims_of_many_eras_ask_for_a_withdrawal() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 1_000 * CAI));
		for era in 0..32 {
			run_to_era(era);
			assert_ok!(unvote(2, 1, CAI));
		}
		run_to_era(32);
		assert_noop!(unvote(2, 1, CAI), Error::<Test>::TooManyClaims);
		assert_ok!(withdraw(2, 1));
		assert_ok!(unvote(2, 1, CAI));
	});
}
