use crate::{mock::*, pallet::Error, Event, Miners};
use cuckoo_primitives::{
	views::{Duty, SeatKind, TaskPhase},
	CAI,
};
use frame_support::{assert_noop, assert_ok, weights::Weight};

#[test]
fn a_task_whose_miner_vanishes_goes_to_another() {
	run(|| {
		coordinator(1);
		miner(2, 30_000 * CAI, 4);
		let task = post(1);
		let later = post(1);
		blocks(2);
		assert_eq!((drawn(task), drawn(later)), (Some(2), Some(2)));
		miner(3, 30_000 * CAI, 1);
		blocks(TIME);
		assert_eq!(phase(task), Some(TaskPhase::Working));
		blocks(1);
		let (miner, kind) = (account(2), SeatKind::Primary);
		System::assert_has_event(Event::Missed { task, miner, kind, round: 0 }.into());
		// A fee for each of the two.
		assert_eq!(bond(2), 30_000 * CAI - 2 * FEE);
		assert_eq!(phase(task), Some(TaskPhase::Queued));
		assert_eq!(Tasks::free_slots(&account(2)), None);
		assert!(!Miners::<Test>::contains_key(account(2)));
		blocks(2);
		assert_eq!(Tasks::seats(account(103)).len(), 1);
		let seat = Tasks::seats(account(103)).remove(0);
		assert_eq!((seat.round, seat.duty), (1, Duty::Commit));
		// The first miner's late commitment, and one for the round before, are worth nothing.
		assert_noop!(commit(2, seat.task), Error::<Test>::NoSeat);
		let stale = promise(3, seat.task, 0);
		assert_noop!(commit_to(3, vec![stale]), Error::<Test>::WrongRound);
		assert_ok!(commit(3, seat.task));
		lot();
		assert_ok!(reveal(3, seat.task));
	});
}

#[test]
fn a_reassigned_task_stands_before_its_coordinators_newer_ones() {
	run(|| {
		coordinator(1);
		miner(2, 30_000 * CAI, 1);
		let task = post(1);
		blocks(2);
		let newer = post(1);
		blocks(TIME + 3);
		miner(3, 30_000 * CAI, 1);
		blocks(1);
		assert_eq!((drawn(task), drawn(newer)), (Some(3), None));
	});
}

#[test]
fn who_commits_and_never_reveals_is_slashed_and_goes_offline() {
	run(|| {
		coordinator(1);
		miner(2, 30_000 * CAI, 4);
		let task = post(1);
		blocks(2);
		assert_ok!(commit(2, task));
		lot();
		blocks(RevealWindow::get());
		assert_eq!(phase(task), Some(TaskPhase::Revealing));
		blocks(1);
		let (miner, kind) = (account(2), SeatKind::Primary);
		System::assert_has_event(Event::Missed { task, miner, kind, round: 0 }.into());
		assert_eq!(bond(2), 30_000 * CAI - 3 * FEE);
		assert_eq!(phase(task), Some(TaskPhase::Queued));
		assert_eq!(Tasks::free_slots(&account(2)), None);
		assert_noop!(reveal(2, task), Error::<Test>::NoSeat);
	});
}

#[test]
fn a_miner_that_was_offline_comes_back_and_finishes() {
	run(|| {
		coordinator(1);
		miner(2, 30_000 * CAI, 1);
		let task = post(1);
		blocks(2 + TIME + 1);
		assert_ok!(online(2, &[0], 1));
		blocks(2);
		assert_eq!(drawn(task), Some(2));
		assert_ok!(commit(2, task));
		lot();
		assert_ok!(reveal(2, task));
		assert_eq!(bond(2), 30_000 * CAI - FEE + FEE);
	});
}

#[test]
fn a_task_missed_after_its_waiting_time_is_refunded() {
	run(|| {
		coordinator(1);
		let task = post(1);
		blocks(WAIT - 1);
		miner(2, 30_000 * CAI, 1);
		blocks(1);
		assert_eq!(phase(task), Some(TaskPhase::Working));
		blocks(TIME + 1);
		assert_eq!(phase(task), Some(TaskPhase::Expired));
		assert_eq!(purse(101), PURSE);
	});
}

#[test]
fn deadlines_that_do_not_fit_a_block_are_met_in_the_next_ones() {
	run(|| {
		coordinator(1);
		let tasks: Vec<_> = (0..20).map(|_| post(1)).collect();
		use crate::WeightInfo;
		type W = crate::weights::Estimate<Test>;
		blocks(2);
		let three = (W::next_deadline() + W::expire()) * 3 + W::next_deadline();
		HookBudget::set(three * 2);
		blocks(WAIT - 1);
		let open = || tasks.iter().filter(|task| phase(**task) == Some(TaskPhase::Queued)).count();
		assert!(open() > 0, "all fitted: the test shows nothing");
		for _ in 0..60 {
			let before = open();
			blocks(1);
			assert!(before - open() <= 3);
		}
		assert_eq!(open(), 0);
		assert_eq!(purse(101), PURSE);
	});
}

#[test]
fn a_flood_of_deadlines_leaves_half_of_the_hooks_to_draws() {
	use crate::WeightInfo;
	type W = crate::weights::Estimate<Test>;
	run(|| {
		coordinator(1);
		coordinator(4);
		let task = post(4);
		blocks(2);
		for _ in 0..300 {
			post(1);
		}
		HookBudget::set((W::hook_base() + W::draw()) * 2);
		miner(2, 30_000 * CAI, 1);
		blocks(2);
		assert!(
			crate::Deadlines::<Test>::iter_key_prefix(System::block_number()).count() > 0,
			"all deadlines fitted: the test shows nothing"
		);
		assert_eq!(drawn(task), Some(2));
	});
}

#[test]
fn a_deadline_that_the_hook_has_not_met_yet_is_still_a_deadline() {
	run(|| {
		coordinator(1);
		miner(2, 30_000 * CAI, 1);
		let task = post(1);
		blocks(2);
		// A chain so full that the hook gets nothing done.
		HookBudget::set(Weight::zero());
		blocks(TIME + 1);
		assert_eq!(phase(task), Some(TaskPhase::Working));
		assert_noop!(commit(2, task), Error::<Test>::TooLate);
	});
}
