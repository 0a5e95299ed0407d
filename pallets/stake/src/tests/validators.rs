use super::acts::*;
use crate::{
	mock::*,
	pallet::{CurrentEra, Elected, Error, SessionEras, TotalWeight},
	Event, GenesisConfig,
};
use cuckoo_primitives::{traits::Pools as _, Role, CAI};
use frame_support::{assert_noop, assert_ok, traits::BuildGenesisConfig};
use pallet_session::{historical, SessionManager};
use sp_runtime::AccountId32;

fn accounts(all: &[u8]) -> Vec<AccountId32> {
	all.iter().map(|n| account(*n)).collect()
}

/// Elects for a session: `None` if nothing changes.
fn elect(session: u32) -> Option<Vec<AccountId32>> {
	Stake::new_session(session)
}

#[test]
fn the_largest_pools_are_elected_in_the_order_of_their_accounts() {
	run(|| {
		for (n, bond) in [(5, 150_000), (1, 120_000), (4, 110_000), (2, 140_000), (3, 130_000)] {
			validator(n, bond * CAI);
		}
		assert_eq!(elect(1), Some(accounts(&[2, 3, 5])));
		System::assert_has_event(RuntimeEvent::Stake(Event::ValidatorsElected {
			session: 1,
			count: 3,
		}));
		// Votes count like the bond.
		assert_ok!(vote(10, 4, 25_000 * CAI));
		assert_eq!(elect(2), Some(accounts(&[2, 4, 5])));
		assert_eq!(Elected::<Test>::get().into_inner(), accounts(&[2, 4, 5]));
		assert!(Stake::operator(account(4)).unwrap().elected);
		assert!(!Stake::operator(account(3)).unwrap().elected);
	});
}

#[test]
fn of_equal_pools_those_of_the_lower_accounts_are_elected() {
	run(|| {
		for n in [4, 3, 2, 1] {
			validator(n, 120_000 * CAI);
		}
		assert_eq!(elect(1), Some(accounts(&[1, 2, 3])));
	});
}

#[test]
fn fewer_than_there_is_room_for_are_all_elected() {
	run(|| {
		validator(2, 120_000 * CAI);
		assert_eq!(elect(1), Some(accounts(&[2])));
	});
}

#[test]
fn an_election_that_changes_nothing_says_so() {
	run(|| {
		validator(1, 120_000 * CAI);
		validator(2, 130_000 * CAI);
		assert!(elect(1).is_some());
		assert_eq!(elect(2), None);
		// Another order by weight is the same set.
		assert_ok!(vote(10, 1, 50_000 * CAI));
		assert_eq!(elect(3), None);
		validator(3, 110_000 * CAI);
		assert_eq!(elect(4), Some(accounts(&[1, 2, 3])));
		assert_eq!(elect(5), None);
	});
}

#[test]
fn nobody_is_never_elected() {
	run(|| {
		assert_eq!(elect(1), None);
		validator(1, 120_000 * CAI);
		assert!(elect(2).is_some());
		assert_ok!(chill(1));
		assert_eq!(elect(3), None);
		// Whoever comes instead is elected then, or comes back.
		assert_ok!(unjail(1));
		assert_eq!(elect(4), Some(accounts(&[1])));
		assert_ok!(chill(1));
		validator(2, 120_000 * CAI);
		assert_eq!(elect(5), Some(accounts(&[2])));
	});
}

#[test]
fn the_same_validators_with_other_keys_are_elected_anew() {
	run(|| {
		validator(1, 120_000 * CAI);
		assert!(elect(1).is_some());
		Rekeyed::set(vec![account(1)]);
		assert_eq!(elect(2), Some(accounts(&[1])));
		Rekeyed::take();
		assert_eq!(elect(3), None);
	});
}

#[test]
fn keys_stay_as_long_as_they_are_in_use() {
	run(|| {
		validator(1, 120_000 * CAI);
		validator(2, 120_000 * CAI);
		let purge = |operator| Stake::purge_keys(RuntimeOrigin::signed(account(operator)));
		assert_noop!(purge(1), Error::<Test>::NotRegistered);
		assert!(elect(1).is_some());
		assert_noop!(purge(101), Error::<Test>::StillElected);
		Active::set(vec![account(1)]);
		assert_ok!(chill(1));
		assert!(elect(2).is_some());
		assert_noop!(purge(101), Error::<Test>::StillElected);
		assert_noop!(unregister(1), Error::<Test>::PurgeKeysFirst);
		Active::take();
		assert_ok!(purge(101));
		assert_ok!(unregister(1));
	});
}

#[test]
fn who_is_chilled_jailed_keyless_or_below_the_minimum_is_not_elected() {
	run(|| {
		for n in 1..=5 {
			validator(n, 120_000 * CAI);
		}
		Stake::start_session(0);
		assert_ok!(chill(1));
		offend(2, percent(1), 0, &[]);
		Keyless::set(accounts(&[3]));
		assert_ok!(unvote(4, 4, 20_000 * CAI));
		assert_eq!(elect(1), Some(accounts(&[5])));
		assert_ok!(unjail(1));
		Keyless::set(Vec::new());
		assert_ok!(vote(4, 4, CAI));
		assert_eq!(elect(2), Some(accounts(&[1, 3, 5])));
		run_to_era(2);
		assert_ok!(unjail(2));
		assert_ok!(chill(3));
		assert_eq!(elect(3), Some(accounts(&[1, 2, 5])));
	});
}

#[test]
fn who_leaves_is_not_elected_again() {
	run(|| {
		validator(1, 120_000 * CAI);
		validator(2, 120_000 * CAI);
		assert!(elect(1).is_some());
		Keyless::set(accounts(&[1]));
		assert_ok!(unregister(1));
		// Not even if its keys are set again.
		Keyless::set(Vec::new());
		assert_eq!(elect(2), Some(accounts(&[2])));
	});
}

#[test]
fn other_roles_are_not_elected() {
	run(|| {
		validator(1, 120_000 * CAI);
		miner(2, 500_000 * CAI);
		assert_ok!(register(3, Role::Coordinator, 2_500_000 * CAI));
		assert_eq!(elect(1), Some(accounts(&[1])));
	});
}

#[test]
fn what_a_pool_is_due_counts_in_an_election_once_it_is_settled() {
	run(|| {
		// To settle every candidate would make elections dear, and anybody can settle any.
		StakingPerEra::set(10_000 * CAI);
		for n in 1..=4 {
			validator(n, 120_000 * CAI);
		}
		run_to_era(1);
		assert_ok!(settle(4));
		assert_eq!(elect(1), Some(accounts(&[1, 2, 4])));
		assert_ok!(settle(3));
		assert_eq!(elect(2), Some(accounts(&[1, 3, 4])));
	});
}

#[test]
fn the_historical_sessions_elect_the_same() {
	run(|| {
		validator(1, 120_000 * CAI);
		let elected = <Stake as historical::SessionManager<AccountId32, ()>>::new_session(1);
		assert_eq!(elected, Some(vec![(account(1), ())]));
		let elected = <Stake as historical::SessionManager<AccountId32, ()>>::new_session(2);
		assert_eq!(elected, None);
		<Stake as historical::SessionManager<AccountId32, ()>>::start_session(7);
		assert_eq!(SessionEras::<Test>::get(7), Some(0));
	});
}

#[test]
fn the_eras_of_as_many_sessions_are_remembered_as_there_is_memory_for() {
	run(|| {
		for session in 0..30 {
			run_to_era(session / 3);
			Stake::start_session(session);
		}
		let mut known: Vec<_> = SessionEras::<Test>::iter().collect();
		known.sort_unstable();
		let expected: Vec<_> = (18..30).map(|session| (session, session / 3)).collect();
		assert_eq!(known, expected);
		assert_eq!(known.len() as u32, SessionMemory::get());
	});
}

#[test]
fn a_genesis_has_pools() {
	run(|| {
		let pools = vec![
			(account(1), account(101), Role::Validator, 200_000 * CAI),
			(account(2), account(102), Role::Validator, 300_000 * CAI),
			(account(3), account(103), Role::Miner, 30_000 * CAI),
		];
		GenesisConfig::<Test> { pools }.build();
		assert_eq!(Stake::of_operator(&account(102)), Some((account(2), Role::Validator)));
		assert_eq!((worth(1), worth(2), worth(3)), (200_000 * CAI, 300_000 * CAI, 30_000 * CAI));
		assert_eq!(TotalWeight::<Test>::get(), 530_000 * CAI);
		assert_eq!(Stake::operator(account(3)).unwrap().intro.name, "genesis");
		assert_eq!(CurrentEra::<Test>::get().index, 0);
		assert_eq!(elect(0), Some(accounts(&[1, 2])));
	});
}

#[test]
#[should_panic(expected = "a pool of the genesis cannot be registered")]
fn a_genesis_with_a_bond_too_small_builds_no_chain() {
	run(|| {
		let pools = vec![(account(1), account(101), Role::Validator, 100_000 * CAI)];
		GenesisConfig::<Test> { pools }.build();
	});
}
