use crate::{
	mock::*,
	pallet::{Error, Pools},
};
use cuckoo_primitives::{traits::Pools as _, Role, CAI};
use frame_support::{
	assert_noop, assert_ok,
	traits::fungible::{Inspect, InspectHold},
};
use sp_runtime::{DispatchResult, Perbill};

fn register(n: u8, role: Role, operator: u8, endpoint: &str, bond: u128) -> DispatchResult {
	Stake::register(
		RuntimeOrigin::signed(account(n)),
		role,
		account(operator),
		intro("x", endpoint),
		Perbill::zero(),
		bond,
	)
}

#[test]
fn exactly_the_minimum_is_not_enough() {
	run(|| {
		let miner = |bond| register(1, Role::Miner, 101, "", bond);
		assert_noop!(miner(0), Error::<Test>::BondTooSmall);
		assert_noop!(miner(20_000 * CAI), Error::<Test>::BondTooSmall);
		assert_ok!(miner(20_000 * CAI + 1));
		let coordinator = |bond| register(2, Role::Coordinator, 102, "http://c", bond);
		assert_noop!(coordinator(2_000_000 * CAI), Error::<Test>::BondTooSmall);
		assert_ok!(coordinator(2_000_000 * CAI + 1));
	});
}

#[test]
fn registering_moves_the_bond_holds_the_deposit_and_tells_the_draw() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_eq!(Balances::total_balance_on_hold(&account(1)), 10 * CAI);
		assert_eq!(Balances::balance(&account(1)), START - 30_010 * CAI);
		assert_eq!(Balances::balance(&Stake::pot_account()), 30_000 * CAI);
		assert_eq!(LastWeight::of(&account(1)), Some(30_000 * CAI));
		assert_eq!(Stake::weight(&account(1)), 30_000 * CAI);
		assert_eq!(Stake::of_operator(&account(101)), Some((account(1), Role::Miner)));
		assert_eq!(Stake::of_operator(&account(1)), None);
	});
}

#[test]
fn an_operator_account_works_for_one_pool() {
	run(|| {
		miner(1, 30_000 * CAI);
		assert_noop!(register(2, Role::Miner, 101, "", 30_000 * CAI), Error::<Test>::OperatorTaken);
		assert_noop!(
			register(1, Role::Miner, 102, "", 30_000 * CAI),
			Error::<Test>::AlreadyRegistered
		);
		miner(2, 30_000 * CAI);
		let set =
			|n, operator| Stake::set_operator(RuntimeOrigin::signed(account(n)), account(operator));
		assert_noop!(set(2, 101), Error::<Test>::OperatorTaken);
		assert_noop!(set(3, 103), Error::<Test>::NotRegistered);
		assert_ok!(set(2, 103));
		assert_eq!(Stake::of_operator(&account(102)), None);
		assert_eq!(Stake::of_operator(&account(103)), Some((account(2), Role::Miner)));
		assert_ok!(register(3, Role::Miner, 102, "", 30_000 * CAI));
	});
}

#[test]
fn introductions_are_checked() {
	run(|| {
		let bad = |role, endpoint| register(1, role, 101, endpoint, 3_000_000 * CAI);
		assert_noop!(bad(Role::Coordinator, ""), Error::<Test>::BadEndpoint);
		assert_noop!(bad(Role::Coordinator, "ftp://x"), Error::<Test>::BadEndpoint);
		assert_noop!(bad(Role::Miner, "http://x"), Error::<Test>::BadEndpoint);
		assert_noop!(
			Stake::register(
				RuntimeOrigin::signed(account(1)),
				Role::Miner,
				account(101),
				intro("", ""),
				Perbill::zero(),
				30_000 * CAI
			),
			Error::<Test>::NameMissing
		);
		miner(1, 30_000 * CAI);
		let set = |name: &str| Stake::set_intro(RuntimeOrigin::signed(account(1)), intro(name, ""));
		assert_ok!(set("new"));
		assert_noop!(set(""), Error::<Test>::NameMissing);
		assert_eq!(Stake::operator(account(101)).unwrap().intro.name, "new");
	});
}

#[test]
fn who_cannot_pay_bond_and_deposit_registers_nothing() {
	run(|| {
		assert!(register(1, Role::Miner, 101, "", START).is_err());
		assert!(register(30, Role::Miner, 101, "", 30_000 * CAI).is_err());
		assert!(!Pools::<Test>::contains_key(account(1)));
		assert_eq!(Balances::total_balance_on_hold(&account(1)), 0);
	});
}

#[test]
fn commission_has_a_cap() {
	run(|| {
		assert_noop!(
			Stake::register(
				RuntimeOrigin::signed(account(1)),
				Role::Miner,
				account(101),
				intro("x", ""),
				Perbill::from_percent(51),
				30_000 * CAI
			),
			Error::<Test>::CommissionTooHigh
		);
	});
}

#[test]
fn operators_are_ranked_by_what_stands_behind_them() {
	run(|| {
		miner(1, 30_000 * CAI);
		miner(2, 50_000 * CAI);
		miner(3, 40_000 * CAI);
		let owners = |start, limit| {
			let page = Stake::operators(Role::Miner, start, limit);
			page.into_iter().map(|view| view.owner).collect::<Vec<_>>()
		};
		assert_eq!(owners(0, 100), [account(2), account(3), account(1)]);
		assert_eq!(owners(1, 1), [account(3)]);
		assert!(Stake::operators(Role::Validator, 0, 100).is_empty());
	});
}

#[test]
fn nobody_hides_behind_anothers_name() {
	run(|| {
		miner(1, 30_000 * CAI);
		miner(2, 30_000 * CAI);
		let set =
			|n, operator| Stake::set_operator(RuntimeOrigin::signed(account(n)), account(operator));
		// With another pool's owner as its operator, a pool could be taken for the other.
		assert_noop!(set(2, 1), Error::<Test>::OperatorTaken);
		assert_noop!(register(3, Role::Miner, 1, "", 30_000 * CAI), Error::<Test>::OperatorTaken);
		assert_ok!(set(2, 2));
		assert_eq!(Stake::operator(account(1)).unwrap().owner, account(1));
	});
}
