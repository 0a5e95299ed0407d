//! What somebody might try with shares and rewards, and what comes of it.

use super::acts::*;
use crate::{
	mock::*,
	pallet::{Error, RewardIndex, Unsettled},
};
use cuckoo_primitives::{traits::Pools as _, CAI};
use frame_support::{assert_noop, assert_ok, traits::fungible::Mutate};
use sp_runtime::Perbill;

#[test]
fn first_depositor_makes_shares_dear_before_anybody_else_votes() {
	run(|| {
		miner(1, 20_001 * CAI);
		give(1, 4_000_000 * CAI);
		assert_ok!(vote(2, 1, CAI));
		assert_eq!((worth(1), worth(2)), (20_001 * CAI, CAI));
	});
}

#[test]
fn first_depositor_of_an_emptied_pool_finds_tokens_that_no_share_stands_for() {
	run(|| {
		// At nearly four planck a share, taking out three planck less than all takes every share.
		miner(1, 30_000 * CAI);
		reward(1, 90_000 * CAI);
		assert_ok!(unvote(1, 1, worth(1) - 3));
		assert_eq!((pool(1).shares, pool(1).tokens), (0, 3));
		assert_ok!(vote(1, 1, 20_001 * CAI));
		assert_eq!(worth(1), 20_001 * CAI + 3);
		assert_ok!(vote(2, 1, 10_000 * CAI));
		assert_near(worth(1), 20_001 * CAI + 3);
		assert_near(worth(2), 10_000 * CAI);
		assert_eq!(pot(), owed());
	});
}

#[test]
fn share_inflation_by_a_donation_to_the_pot() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 7 * CAI));
		give(1, 1_000_000 * CAI);
		assert_eq!((worth(1), worth(2)), (30_000 * CAI, 7 * CAI));
		assert_ok!(vote(3, 1, 1_234 * CAI + 5));
		assert_eq!(worth(3), 1_234 * CAI + 5);
		assert_ok!(unvote(2, 1, ALL));
		assert_eq!(waiting(2), 7 * CAI);
		// Nobody's for ever, and counted as nobody's.
		assert_eq!(pot(), owed() + 1_000_000 * CAI);
	});
}

/// A pool with a share or a few, each worth thousands of CAI, that takes votes.
fn dear_pool() {
	miner(1, 30_000 * CAI);
	// Only a slash leaves so few: see `share_inflation_by_taking_out_all_but_a_few_shares`.
	assert_eq!(slash(1, 30_000 * CAI - 5, 0, &[]), 30_000 * CAI - 5);
	reward(1, 25_000 * CAI);
	assert!(Stake::weight(&account(1)) > 0 && pool(1).shares < 10, "the test shows nothing");
}

#[test]
fn share_inflation_by_taking_out_all_but_a_few_shares() {
	run(|| {
		miner(1, 30_000 * CAI);
		// Out with all but the smallest vote, a reward in, and again: a share gets a thousand times as dear each time.
		let refused = (0..10).find_map(|_| {
			let refused = unvote(1, 1, worth(1) - CAI).err();
			reward(1, 1_000 * CAI);
			refused
		});
		assert_eq!(refused, Some(Error::<Test>::RoundingTooLarge.into()));
		assert!(pool(1).shares > 1_000, "{} shares", pool(1).shares);
	});
}

#[test]
fn share_inflation_to_keep_what_a_vote_buys_no_whole_share_for() {
	run(|| {
		dear_pool();
		let price = pool(1).tokens / pool(1).shares;
		for amount in [CAI, price - 1, price + price / 2, price + price / 100] {
			assert_noop!(vote(2, 1, amount), Error::<Test>::ClosedToVotes);
		}
	});
}

#[test]
fn share_inflation_to_keep_what_a_voter_takes_out_no_whole_share_for() {
	run(|| {
		// A vote of exactly some whole shares loses nothing, so it is taken.
		dear_pool();
		assert_ok!(vote(2, 1, pool(1).tokens));
		let before = worth(2);
		// Whether or not such a part can be taken out: the rest is still the voter's.
		let _ = unvote(2, 1, CAI);
		let after = worth(2) + waiting(2);
		assert!(before - after <= before / 1_000_000, "{before} planck became {after}");
	});
}

#[test]
fn dust_votes() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_noop!(vote(2, 1, 1), Error::<Test>::VoteTooSmall);
		assert_noop!(vote(2, 1, CAI - 1), Error::<Test>::VoteTooSmall);
		assert_ok!(vote(2, 1, CAI));
		assert_noop!(vote(2, 1, 1), Error::<Test>::VoteTooSmall);
		assert_noop!(unvote(2, 1, 1), Error::<Test>::VoteTooSmall);
		assert_ok!(unvote(2, 1, CAI));
	});
}

#[test]
fn going_in_and_out_at_an_odd_price_to_gain_by_rounding() {
	run(|| {
		miner(1, 30_000 * CAI);
		reward(1, 7_777 * CAI + 13);
		let mut owners = worth(1);
		for n in 0..50 {
			assert_ok!(vote(2, 1, 2 * CAI + n * n + 1));
			assert!(worth(1) >= owners);
			owners = worth(1);
			assert_ok!(unvote(2, 1, CAI / 3 + n));
			assert!(worth(1) >= owners);
			owners = worth(1);
		}
		assert_ok!(unvote(2, 1, ALL));
		// A share is worth less than two planck, and that is what each of 101 steps may cost.
		let back = free(2) + waiting(2);
		assert!(back <= START && START - back <= 2 * 101);
		assert_eq!(pot(), owed());
	});
}

#[test]
fn commission_raised_after_the_reward() {
	run(|| {
		StakingPerEra::set(1_000 * CAI);
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 10_000 * CAI));
		run_to_era(3);
		// Three eras are due and not in the pool yet: they are the voters' at the old commission of a tenth.
		assert_ok!(set_commission(1, 15));
		assert_near(worth(2), 10_675 * CAI);
		assert_eq!(pool(1).commission, percent(10));
		// When its time has come, what came in until then is still shared out at the old one.
		run_to_era(6);
		let before = worth(2);
		assert_ok!(settle(1));
		assert_eq!((worth(2), pool(1).commission), (before, percent(15)));
		assert_near(worth(2), 10_675 * CAI + 2_700 * CAI * 10_675 / 43_000);
		// And nothing before that time is at the new one.
		run_to_era(7);
		assert_ok!(settle(1));
		assert_near(worth(2), before + before * 850 / 46_000);
	});
}

#[test]
fn commission_raised_and_the_pool_left_unsettled_for_long() {
	run(|| {
		StakingPerEra::set(1_000 * CAI);
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 10_000 * CAI));
		assert_ok!(set_commission(1, 15));
		// In force from era 2 on, had anybody settled the pool; so these nine eras are all at the old commission.
		run_to_era(9);
		assert_ok!(settle(1));
		assert_near(worth(2), 10_000 * CAI + 9 * 900 * CAI / 4);
		assert_eq!(pool(1).commission, percent(15));
	});
}

#[test]
fn voting_for_a_pool_after_its_reward_came_in_and_before_it_is_settled() {
	run(|| {
		StakingPerEra::set(1_000 * CAI);
		miner(1, 30_000 * CAI);
		run_to_era(5);
		assert_ok!(vote(2, 1, 1_000_000 * CAI));
		assert_near(worth(2), 1_000_000 * CAI);
		assert_ok!(unvote(2, 1, ALL));
		assert_near(waiting(2), 1_000_000 * CAI);
		assert_near(worth(1), 35_000 * CAI);
	});
}

#[test]
fn overflow_at_full_issuance() {
	run(|| {
		let all = 1_000_000_000 * CAI;
		for n in [1, 2] {
			Balances::mint_into(&account(n), 2 * all).unwrap();
		}
		MinMinerBond::set(0);
		StakingPerEra::set(6_000 * CAI);
		miner(1, all - CAI);
		miner(2, CAI);
		run_to_era(1);
		assert_ok!(settle(1));
		assert_ok!(settle(2));
		// The smallest pool beside the largest: to the planck, though an era's index step is 6 · 10²¹ of 10²⁷ only.
		assert_eq!(worth(1), all - CAI + 6_000 * CAI - 6_000_000_000_000);
		assert_eq!(worth(2), CAI + 6_000_000_000_000);
		assert_ok!(vote(2, 1, all));
		assert_near(worth(2), all + CAI + 6_000_000_000_000);
		assert_eq!(slash(1, all, 0, &[]), all);
		assert_ok!(unvote(2, 1, ALL));
		assert_eq!(pot(), owed());
	});
}

#[test]
fn overflow_of_the_index_by_a_single_small_stake() {
	run(|| {
		MinMinerBond::set(0);
		StakingPerEra::set(StakingPot::get());
		miner(1, CAI);
		run_to_era(1);
		assert_ok!(settle(1));
		assert_eq!(worth(1), 110_000_001 * CAI);
		// All CAI that there may ever be on a stake that small is still far from what the index holds.
		assert!(RewardIndex::<Test>::get() < u128::MAX / 1_000);
	});
}

#[test]
fn reward_index_at_its_last_unit() {
	run(|| {
		RewardIndex::<Test>::put(u128::MAX - 1);
		StakingPerEra::set(1_000 * CAI);
		miner(1, 30_000 * CAI);
		run_to_era(3);
		// What the index cannot carry is not minted either.
		assert_eq!((RewardIndex::<Test>::get(), issued().staking), (u128::MAX - 1, 0));
		assert_ok!(settle(1));
		assert_eq!((worth(1), pot()), (30_000 * CAI, 30_000 * CAI));
	});
}

#[test]
fn emission_past_the_last_planck_of_the_staking_pot() {
	run(|| {
		StakingPot::set(2_000 * CAI + 1);
		StakingPerEra::set(1_000 * CAI);
		BlockReward::set(CAI);
		miner(1, 30_000 * CAI);
		run_to_era(2);
		assert_eq!(issued().staking, 2_000 * CAI);
		run_to_era(3);
		assert_eq!(issued().staking, 2_000 * CAI + 1);
		let index = RewardIndex::<Test>::get();
		run_to_era(6);
		author(Some(1), 0);
		assert_eq!((RewardIndex::<Test>::get(), issued().staking), (index, 2_000 * CAI + 1));
		assert_ok!(settle(1));
		assert_near(worth(1), 32_000 * CAI);
		assert_eq!(pot(), owed());
		// A pot that is made smaller than what it gave is empty.
		StakingPot::set(0);
		run_to_era(7);
		author(Some(1), 0);
		assert_eq!(issued().staking, 2_000 * CAI + 1);
	});
}

#[test]
fn block_rewards_past_the_last_planck_of_the_staking_pot() {
	run(|| {
		StakingPot::set(CAI + 5);
		BlockReward::set(CAI);
		StakingPerEra::set(CAI);
		miner(1, 30_000 * CAI);
		for minted in [CAI, CAI + 5, CAI + 5] {
			author(Some(1), 0);
			assert_eq!((issued().staking, worth(1)), (minted, 30_000 * CAI + minted));
		}
		run_to_era(1);
		assert_eq!((issued().staking, Unsettled::<Test>::get()), (CAI + 5, 0));
	});
}

#[test]
fn a_pool_slashed_to_zero_and_voted_on_again() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 10_000 * CAI));
		assert_eq!(slash(1, ALL, 0, &[]), 40_000 * CAI);
		// As long as worthless shares are about, no amount buys a fair part beside them.
		assert_noop!(vote(1, 1, 25_000 * CAI), Error::<Test>::ClosedToVotes);
		assert_noop!(vote(3, 1, 25_000 * CAI), Error::<Test>::ClosedToVotes);
		assert_ok!(unvote(2, 1, ALL));
		assert_eq!((pool(1).shares, waiting(2)), (0, 0));
		assert_ok!(vote(1, 1, 25_000 * CAI));
		assert_ok!(vote(3, 1, 5_000 * CAI));
		assert_eq!((worth(1), worth(2), worth(3)), (25_000 * CAI, 0, 5_000 * CAI));
		assert_eq!(Stake::weight(&account(1)), 30_000 * CAI);
		run_to_era(3);
		assert_noop!(withdraw(2, 1), Error::<Test>::NothingToWithdraw);
	});
}

#[test]
fn a_pool_slashed_to_a_planck_and_voted_on_again() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 10_000 * CAI));
		assert_eq!(slash(1, 40_000 * CAI - 1, 0, &[]), 40_000 * CAI - 1);
		// 128 bits do not hold the shares that this would buy.
		assert_noop!(vote(1, 1, 25_000 * CAI), Error::<Test>::ClosedToVotes);
		// An income makes shares worth something again, for those who hold them and less its commission.
		reward(1, 10 * CAI);
		assert_near(worth(2), 9 * CAI);
		assert_ok!(vote(1, 1, 30_000 * CAI));
		assert_ok!(vote(3, 1, 1_000 * CAI));
		assert_near(worth(1), 30_001 * CAI);
		assert_near(worth(2), 9 * CAI);
		assert_near(worth(3), 1_000 * CAI);
		assert_eq!(pot(), owed());
	});
}

#[test]
fn a_bucket_slashed_to_zero_and_filled_again_in_the_same_era() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 10_000 * CAI));
		assert_ok!(unvote(2, 1, ALL));
		assert_ok!(unvote(1, 1, ALL));
		assert_eq!(slash(1, ALL, 0, &[]), 40_000 * CAI);
		assert_ok!(vote(1, 1, 25_000 * CAI));
		// What came in now would be shared with claims that are worth nothing.
		assert_noop!(unvote(1, 1, CAI), Error::<Test>::WaitForNextEra);
		assert_noop!(unregister(1), Error::<Test>::WaitForNextEra);
		run_to_era(1);
		assert_ok!(unvote(1, 1, ALL));
		assert_eq!((waiting(1), waiting(2)), (25_000 * CAI, 0));
		run_to_era(3);
		assert_ok!(withdraw(2, 1));
		assert_eq!(free(2), START - 10_000 * CAI);
		run_to_era(4);
		assert_ok!(withdraw(1, 1));
		assert_eq!((free(1), pot()), (START - 30_010 * CAI, 0));
	});
}

#[test]
fn withdrawing_twice() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 1_000 * CAI));
		assert_ok!(vote(3, 1, 1_000 * CAI));
		assert_ok!(unvote(2, 1, ALL));
		assert_ok!(unvote(3, 1, ALL));
		run_to_era(3);
		assert_ok!(withdraw(2, 1));
		assert_noop!(withdraw(2, 1), Error::<Test>::NothingToWithdraw);
		let again = || Stake::withdraw_for(signed(3), account(2), account(1));
		assert_noop!(again(), Error::<Test>::NothingToWithdraw);
		assert_eq!((free(2), free(3)), (START, START - 1_000 * CAI));
	});
}

#[test]
fn withdrawing_for_somebody_else_to_have_it() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 1_000 * CAI));
		assert_ok!(unvote(2, 1, ALL));
		run_to_era(3);
		assert_ok!(Stake::withdraw_for(signed(3), account(2), account(1)));
		assert_eq!((free(2), free(3)), (START, START));
	});
}

#[test]
fn a_commission_of_everything_takes_no_more_than_the_income() {
	run(|| {
		MaxCommission::set(Perbill::one());
		MaxCommissionStep::set(Perbill::one());
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 10_000 * CAI));
		assert_ok!(set_commission(1, 100));
		run_to_era(3);
		reward(1, 4_000 * CAI);
		assert_near(worth(1), 34_000 * CAI);
		assert_near(worth(2), 10_000 * CAI);
		assert!(worth(2) >= 10_000 * CAI);
	});
}
