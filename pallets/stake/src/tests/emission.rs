use super::acts::*;
use crate::{
	fuzz::random::Random,
	mock::*,
	pallet::{Author, CurrentEra, Error, Fees, RewardIndex, TotalWeight, Unsettled},
	types::Issued,
	Event,
};
use cuckoo_primitives::{traits::Pools as _, Balance, CAI};
use frame_support::{assert_noop, assert_ok};
use pallet_balances::TotalIssuance;
use pallet_session::SessionManager;
use sp_runtime::{DispatchResult, Perbill};

/// Nothing is minted or burnt that is not counted. Holds where a test uses `pay`, not `reward`.
#[track_caller]
fn assert_all_is_counted(genesis: Balance) {
	let Issued { staking, mining, burnt } = issued();
	assert_eq!(TotalIssuance::<Test>::get(), genesis + staking + mining - burnt);
	assert_eq!(pot(), owed());
}

#[test]
fn an_era_raises_one_index_whatever_the_number_of_pools() {
	run(|| {
		StakingPerEra::set(1_000 * CAI);
		for n in 1..=10 {
			miner(n, 25_000 * CAI);
		}
		run_to_era(1);
		System::assert_has_event(RuntimeEvent::Stake(Event::EraStarted {
			era: 1,
			reward: 1_000 * CAI,
		}));
		// 1,000 on 250,000: 4 thousandths of a planck on each, in units of 10⁻²⁷.
		assert_eq!(RewardIndex::<Test>::get(), 4_000_000_000_000_000_000_000_000);
		assert_eq!((Unsettled::<Test>::get(), issued().staking), (1_000 * CAI, 1_000 * CAI));
		for n in 1..=10 {
			// The pool is as it was, and worth what it is due all the same.
			assert_eq!((pool(n).tokens, worth(n)), (25_000 * CAI, 25_100 * CAI));
		}
	});
}

#[test]
fn pools_share_an_era_by_their_weights() {
	run(|| {
		StakingPerEra::set(1_200 * CAI);
		miner(1, 30_000 * CAI);
		miner(2, 80_000 * CAI);
		assert_ok!(vote(3, 2, 10_000 * CAI));
		run_to_era(1);
		assert_eq!(worth(1), 30_300 * CAI);
		assert_ok!(settle(1));
		assert_ok!(settle(2));
		assert_eq!(worth(1), 30_300 * CAI);
		assert_eq!((pool(2).tokens, Unsettled::<Test>::get()), (90_900 * CAI, 0));
		assert_eq!(Stake::weight(&account(2)), 90_900 * CAI);
		assert_eq!(TotalWeight::<Test>::get(), 121_200 * CAI);
	});
}

#[test]
fn an_era_pays_exactly_what_it_should_whatever_the_weights() {
	run(|| {
		let genesis = TotalIssuance::<Test>::get();
		StakingPerEra::set(777 * CAI + 77);
		miner(1, 30_000 * CAI + 1);
		miner(2, 77_777 * CAI + 777);
		validator(3, 123_456 * CAI + 789);
		for era in 1..=20 {
			run_to_era(era);
			assert_eq!(issued().staking, u128::from(era) * (777 * CAI + 77));
			if era % 3 == 0 {
				assert_ok!(settle(2));
			}
		}
		for n in 1..=3 {
			assert_ok!(settle(n));
		}
		// Each settlement leaves less than a planck, and each era's index is short of less than one for all.
		assert!(Unsettled::<Test>::get() < 40);
		assert_all_is_counted(genesis);
	});
}

#[test]
fn who_takes_no_part_earns_nothing_and_the_others_earn_it() {
	run(|| {
		StakingPerEra::set(1_000 * CAI);
		miner(1, 25_000 * CAI);
		miner(2, 25_000 * CAI);
		run_to_era(1);
		assert_ok!(chill(1));
		assert_eq!(worth(1), 25_500 * CAI);
		run_to_era(2);
		assert_eq!((worth(1), worth(2)), (25_500 * CAI, 26_500 * CAI));
		assert_eq!(issued().staking, 2_000 * CAI);
		// Back, it is not paid for the time in between.
		assert_ok!(unjail(1));
		assert_eq!(worth(1), 25_500 * CAI);
		run_to_era(3);
		// The other's weight is what it was when it was settled last.
		assert_near(worth(1), 25_500 * CAI + 1_000 * CAI * 25_500 / 50_500);
	});
}

#[test]
fn a_jailed_pool_and_one_below_the_minimum_earn_nothing() {
	run(|| {
		StakingPerEra::set(1_000 * CAI);
		validator(1, 200_000 * CAI);
		miner(2, 30_000 * CAI);
		miner(3, 25_000 * CAI);
		Stake::start_session(0);
		offend(1, percent(10), 0, &[]);
		assert_ok!(unvote(2, 2, 10_000 * CAI));
		run_to_era(1);
		for n in 1..=3 {
			assert_ok!(settle(n));
		}
		assert_eq!((worth(1), worth(2), worth(3)), (180_000 * CAI, 20_000 * CAI, 26_000 * CAI));
		assert_eq!(Unsettled::<Test>::get(), 0);
	});
}

#[test]
fn what_is_out_earns_nothing_any_more() {
	run(|| {
		StakingPerEra::set(1_000 * CAI);
		miner(1, 25_000 * CAI);
		assert_ok!(vote(2, 1, 25_000 * CAI));
		assert_ok!(unvote(2, 1, ALL));
		run_to_era(1);
		assert_eq!((worth(1), waiting(2)), (26_000 * CAI, 25_000 * CAI));
	});
}

#[test]
fn who_votes_after_an_era_has_turned_has_no_part_in_it() {
	run(|| {
		StakingPerEra::set(300 * CAI);
		miner(1, 30_000 * CAI);
		run_to_era(1);
		assert_ok!(vote(2, 1, 10_000 * CAI));
		assert_near(worth(1), 30_300 * CAI);
		assert_near(worth(2), 10_000 * CAI);
		run_to_era(2);
		assert_near(worth(2), 10_000 * CAI + 270 * CAI * 10_000 / 40_300);
		assert_near(worth(1) + worth(2), 40_600 * CAI);
	});
}

#[test]
fn an_owner_has_its_commission_of_what_an_era_pays() {
	run(|| {
		StakingPerEra::set(400 * CAI);
		miner(1, 30_000 * CAI);
		assert_ok!(vote(2, 1, 10_000 * CAI));
		run_to_era(1);
		let seen = (worth(1), worth(2));
		assert_ok!(Stake::settle(signed(2), account(1)));
		System::assert_has_event(RuntimeEvent::Stake(Event::Rewarded {
			owner: account(1),
			amount: 400 * CAI,
			commission: 40 * CAI,
		}));
		assert_near(worth(1), 30_310 * CAI);
		assert_near(worth(2), 10_090 * CAI);
		// What was shown before is what it is now.
		assert_eq!((worth(1), worth(2)), seen);
		assert_noop!(settle(3), Error::<Test>::NotRegistered);
	});
}

#[test]
fn less_than_a_cai_earns_nothing_rather_than_everything() {
	run(|| {
		MinMinerBond::set(0);
		StakingPerEra::set(1_000 * CAI);
		miner(1, CAI - 1);
		run_to_era(2);
		assert_eq!((RewardIndex::<Test>::get(), issued().staking), (0, 0));
		assert_eq!((worth(1), pot()), (CAI - 1, CAI - 1));
		assert_ok!(vote(1, 1, CAI));
		run_to_era(3);
		assert_eq!(issued().staking, 1_000 * CAI);
	});
}

#[test]
fn nobody_at_all_earns_nothing() {
	run(|| {
		StakingPerEra::set(1_000 * CAI);
		run_to_era(3);
		assert_eq!((RewardIndex::<Test>::get(), issued(), pot()), (0, Issued::default(), 0));
	});
}

#[test]
fn a_task_pays_its_fee_less_what_is_burnt_and_with_the_bonus() {
	run(|| {
		let genesis = TotalIssuance::<Test>::get();
		FeeBurn::set(percent(10));
		MiningBonus::set(percent(4));
		miner(1, 30_000 * CAI);
		pay(5, 1, 100 * CAI);
		assert_eq!(worth(1), 30_094 * CAI);
		let expected = Issued { staking: 0, mining: 4 * CAI, burnt: 10 * CAI };
		assert_eq!(issued(), expected);
		// Parts of a planck are neither burnt nor minted.
		pay(5, 1, 19);
		assert_eq!(worth(1), 30_094 * CAI + 18);
		assert_eq!(issued(), Issued { burnt: 10 * CAI + 1, ..expected });
		pay(5, 1, 0);
		assert_all_is_counted(genesis);
	});
}

#[test]
fn a_bonus_above_what_is_burnt_does_not_make_paying_oneself_pay() {
	run(|| {
		let genesis = TotalIssuance::<Test>::get();
		FeeBurn::set(percent(10));
		MiningBonus::set(percent(50));
		miner(1, 30_000 * CAI);
		for fee in [100 * CAI, 1_000_000 * CAI, 19, 1] {
			let before = free(1) + worth(1);
			pay(1, 1, fee);
			assert!(free(1) + worth(1) <= before);
		}
		assert_eq!(issued().mining, issued().burnt);
		assert_all_is_counted(genesis);
		// With nothing burnt there is no bonus.
		FeeBurn::set(percent(0));
		let before = issued();
		pay(1, 1, 100 * CAI);
		assert_eq!(issued(), before);
	});
}

#[test]
fn the_mining_pot_runs_out_cleanly() {
	run(|| {
		let genesis = TotalIssuance::<Test>::get();
		FeeBurn::set(percent(10));
		MiningBonus::set(percent(10));
		MiningPot::set(15 * CAI);
		miner(1, 30_000 * CAI);
		let mut expected = 30_000 * CAI;
		for paid in [100, 95, 90, 90] {
			pay(5, 1, 100 * CAI);
			expected += paid * CAI;
			assert_eq!(worth(1), expected);
		}
		let all = Issued { staking: 0, mining: 15 * CAI, burnt: 40 * CAI };
		assert_eq!(issued(), all);
		MiningPot::set(0);
		pay(5, 1, 100 * CAI);
		assert_eq!(issued(), Issued { burnt: 50 * CAI, ..all });
		assert_all_is_counted(genesis);
	});
}

#[test]
fn an_author_has_its_part_of_the_fees_and_the_block_reward() {
	run(|| {
		let genesis = TotalIssuance::<Test>::get();
		BlockReward::set(2 * CAI);
		validator(1, 200_000 * CAI);
		author(Some(1), 10 * CAI);
		assert_eq!(worth(1), 200_007 * CAI);
		let expected = Issued { staking: 2 * CAI, mining: 0, burnt: 5 * CAI };
		assert_eq!(issued(), expected);
		assert_eq!(Stake::weight(&account(1)), 200_007 * CAI);
		// An odd planck is burnt.
		BlockReward::set(0);
		author(Some(1), 11);
		assert_eq!(worth(1), 200_007 * CAI + 5);
		assert_eq!(issued(), Issued { burnt: 5 * CAI + 6, ..expected });
		// Voters have their part, and the owner its commission.
		assert_ok!(vote(2, 1, 100_000 * CAI));
		author(Some(1), 600 * CAI);
		assert_near(worth(2), 100_000 * CAI + 270 * CAI * 100_000 / 300_007);
		assert_all_is_counted(genesis);
	});
}

#[test]
fn fees_are_paid_once_and_in_their_block() {
	run(|| {
		validator(1, 200_000 * CAI);
		validator(2, 200_000 * CAI);
		author(Some(1), 10 * CAI);
		author(Some(2), 0);
		author(None, 0);
		assert_eq!((worth(1), worth(2)), (200_005 * CAI, 200_000 * CAI));
		assert_eq!((Fees::<Test>::get(), Author::<Test>::get()), (0, None));
	});
}

#[test]
fn fees_are_burnt_when_the_author_has_no_pool() {
	run(|| {
		let genesis = TotalIssuance::<Test>::get();
		BlockReward::set(2 * CAI);
		author(Some(7), 10 * CAI);
		assert_eq!(issued(), Issued { staking: 0, mining: 0, burnt: 10 * CAI });
		author(None, 10 * CAI);
		author(None, 0);
		assert_eq!(issued(), Issued { staking: 0, mining: 0, burnt: 20 * CAI });
		assert_eq!((pot(), free(7)), (0, START));
		assert_all_is_counted(genesis);
	});
}

#[test]
fn what_an_emptied_pool_earns_is_its_owners() {
	run(|| {
		let genesis = TotalIssuance::<Test>::get();
		BlockReward::set(2 * CAI);
		StakingPerEra::set(1_000 * CAI);
		validator(1, 200_000 * CAI);
		run_to_era(1);
		// What the era paid is in before it is emptied.
		assert_ok!(unvote(1, 1, ALL));
		assert_eq!(waiting(1), 201_000 * CAI);
		let before = free(1);
		author(Some(1), 10 * CAI);
		assert_eq!(waiting(1), 201_007 * CAI);
		Keyless::set(vec![account(1)]);
		assert_ok!(unregister(1));
		pay(5, 1, 100 * CAI);
		assert_eq!((waiting(1), free(1)), (201_107 * CAI, before + 10 * CAI));
		assert_eq!((pool(1).tokens, pool(1).shares), (0, 0));
		assert_all_is_counted(genesis);
	});
}

#[test]
fn the_pot_holds_what_it_owes_to_the_planck_whatever_happens() {
	run(|| {
		let genesis = TotalIssuance::<Test>::get();
		StakingPerEra::set(1_234 * CAI + 567);
		BlockReward::set(CAI / 7);
		FeeBurn::set(percent(10));
		MiningBonus::set(percent(7));
		miner(1, 30_001 * CAI + 1);
		validator(2, 123_456 * CAI + 7);
		let mut chance = Random::new(1);
		let mut random = |below| Balance::from(chance.below(below));
		for _ in 0..600 {
			let (voter, owner) = (1 + random(6) as u8, 1 + random(2) as u8);
			let amount = random(5_000) * CAI + random(1_000_000_007);
			let era = CurrentEra::<Test>::get().index;
			// Many of these are refused, which changes nothing either.
			let _: DispatchResult = match random(12) {
				0..=2 => vote(voter, owner, amount),
				3 => unvote(voter, owner, amount),
				4 => unvote(voter, owner, ALL),
				5 => withdraw(voter, owner),
				6 if random(2) == 0 => chill(owner),
				6 => unjail(owner),
				7 => settle(owner),
				what => {
					match what {
						8 => pay(9, owner, amount),
						9 => author(Some(owner), amount / 1_000),
						10 => run_to_era(era + 1),
						_ => {
							let since = era.saturating_sub(random(5) as u32);
							slash(owner, amount, since, &[7, 8]);
						},
					}
					Ok(())
				},
			};
			assert_all_is_counted(genesis);
		}
		assert!(CurrentEra::<Test>::get().index > 20 && issued().mining > 0 && issued().burnt > 0);
	});
}

#[test]
fn an_author_that_was_caught_makes_blocks_for_nothing() {
	run(|| {
		BlockReward::set(CAI);
		validator(1, 200_000 * CAI);
		Stake::start_session(0);
		offend(1, Perbill::from_percent(10), 0, &[]);
		let issued = Balances::total_issuance();
		author(Some(1), 3 * CAI);
		// The fees are burnt, all of them.
		assert_eq!((worth(1), Balances::total_issuance()), (180_000 * CAI, issued - 3 * CAI));
	});
}
