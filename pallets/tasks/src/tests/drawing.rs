use crate::{mock::*, pallet::Error};
use cuckoo_primitives::{views::TaskPhase, Role, CAI};
use frame_support::{assert_noop, assert_ok};

#[test]
fn a_task_is_drawn_by_randomness_made_after_it() {
	run(|| {
		coordinator(1);
		miner(2, 30_000 * CAI, 1);
		let task = post(1);
		let posted = System::block_number();
		blocks(1);
		assert_eq!(phase(task), Some(TaskPhase::Queued));
		blocks(1);
		assert_eq!(phase(task), Some(TaskPhase::Working));
		assert_eq!(Tasks::task(task).unwrap().blocks.drawn, Some(posted + 2));
	});
}

#[test]
fn without_a_vrf_tasks_wait_a_block() {
	run(|| {
		coordinator(1);
		miner(2, 30_000 * CAI, 1);
		let task = post(1);
		Vrf::set(false);
		blocks(5);
		assert_eq!(phase(task), Some(TaskPhase::Queued));
		Vrf::set(true);
		blocks(1);
		assert_eq!(phase(task), Some(TaskPhase::Working));
	});
}

#[test]
fn more_stake_more_tasks() {
	run(|| {
		coordinator(1);
		// One against three: of 400 tasks about 100 and 300. Five standard deviations are 43.
		miner(2, 100_000 * CAI, 8);
		miner(3, 300_000 * CAI, 8);
		let mut seen = [0u32; 2];
		for _ in 0..400 {
			let task = post(1);
			blocks(2);
			let who = drawn(task).unwrap();
			seen[usize::from(who) - 2] += 1;
			commit(who, task).unwrap();
			lot();
			reveal(who, task).unwrap();
		}
		assert!((57..=143).contains(&seen[0]), "{seen:?}");
	});
}

#[test]
fn more_stake_more_miners() {
	run(|| {
		// One idle miner, two coordinators that both always wait: how often each one's task is taken goes by their stake.
		register(1, Role::Coordinator, 2_100_000 * CAI);
		register(4, Role::Coordinator, 4_200_000 * CAI);
		miner(2, 100_000 * CAI, 1);
		// For so long that none of them expires before it is its turn.
		let post = |n| post_task(n, 0, 1, FEE, MaxWait::get());
		for _ in 0..3 {
			post(1);
			post(4);
		}
		blocks(1);
		let mut seen = [0u32; 2];
		for _ in 0..300 {
			blocks(1);
			let seats = Tasks::seats(account(102));
			let seat = seats.first().unwrap();
			let from_first = seat.coordinator == account(1);
			seen[usize::from(!from_first)] += 1;
			post(if from_first { 1 } else { 4 });
			commit(2, seat.task).unwrap();
			lot();
			reveal(2, seat.task).unwrap();
		}
		// A third of 300; five standard deviations are 41.
		assert!((59..=141).contains(&seen[0]), "{seen:?}");
	});
}

#[test]
fn a_coordinators_oldest_task_comes_first() {
	run(|| {
		coordinator(1);
		let tasks: Vec<_> = (0..4).map(|_| post(1)).collect();
		blocks(2);
		miner(2, 100_000 * CAI, 1);
		for task in tasks {
			blocks(1);
			assert_eq!(Tasks::seats(account(102))[0].task, task);
			commit(2, task).unwrap();
			lot();
			reveal(2, task).unwrap();
		}
	});
}

#[test]
fn nobody_is_starved_and_nobody_gets_two_seats_for_one_slot() {
	run(|| {
		coordinator(1);
		(2..=9).for_each(|n| miner(n, (u128::from(n) * 15_000) * CAI, 1));
		let tasks: Vec<_> = (0..12).map(|_| post(1)).collect();
		blocks(2);
		let mut who: Vec<_> = tasks.iter().filter_map(|task| drawn(*task)).collect();
		who.sort_unstable();
		assert_eq!(who, [2, 3, 4, 5, 6, 7, 8, 9]);
	});
}

#[test]
fn miners_are_drawn_only_for_models_that_they_serve() {
	run(|| {
		model(WINDOW);
		coordinator(1);
		register(2, Role::Miner, 30_000 * CAI);
		online(2, &[1], 4).unwrap();
		let (other, own) = (post_for(1, 0), post_for(1, 1));
		blocks(5);
		assert_eq!((drawn(other), drawn(own)), (None, Some(2)));
		online(2, &[0], 4).unwrap();
		blocks(1);
		assert_eq!(drawn(other), Some(2));
	});
}

#[test]
fn who_falls_to_the_minimum_or_goes_offline_is_not_drawn() {
	run(|| {
		coordinator(1);
		miner(2, 30_000 * CAI, 8);
		miner(3, 30_000 * CAI, 8);
		assert_ok!(Stake::unvote(RuntimeOrigin::signed(account(2)), account(2), 10_000 * CAI));
		assert_ok!(Tasks::go_offline(operator(3)));
		assert_eq!(Tasks::free_slots(&account(3)), None);
		let task = post(1);
		blocks(3);
		assert_eq!(drawn(task), None);
		assert_noop!(online(2, &[0], 1), Error::<Test>::StakeTooSmall);
		assert_ok!(Stake::vote(RuntimeOrigin::signed(account(2)), account(2), CAI));
		blocks(1);
		assert_eq!(drawn(task), Some(2));
	});
}

#[test]
fn going_online_is_checked() {
	run(|| {
		assert_noop!(online(1, &[0], 1), Error::<Test>::NotMiner);
		coordinator(1);
		assert_noop!(online(1, &[0], 1), Error::<Test>::NotMiner);
		register(2, Role::Miner, 30_000 * CAI);
		assert_noop!(online(2, &[], 1), Error::<Test>::BadModelCount);
		assert_noop!(online(2, &[7], 1), Error::<Test>::UnknownModel);
		assert_noop!(online(2, &[0], 0), Error::<Test>::BadSlotCount);
		assert_noop!(online(2, &[0], 9), Error::<Test>::BadSlotCount);
		assert_ok!(online(2, &[0, 0], 8));
		assert_eq!(Tasks::free_slots(&account(2)), Some(8));
		assert_ok!(Tasks::go_offline(operator(2)));
		assert_ok!(Tasks::go_offline(operator(2)));
	});
}

#[test]
fn a_full_block_draws_on_in_the_next() {
	use crate::WeightInfo;
	type W = crate::weights::Estimate<Test>;
	run(|| {
		model(100);
		coordinator(1);
		for n in 2..=9 {
			register(n, Role::Miner, 30_000 * CAI);
			online(n, &[1], 8).unwrap();
		}
		let tasks: Vec<_> = (0..30).map(|_| post_for(1, 1)).collect();
		HookBudget::set(W::hook_base() + W::draw() * 4);
		let working =
			|| tasks.iter().filter(|task| phase(**task) == Some(TaskPhase::Working)).count();
		let mut before = 0;
		for _ in 0..20 {
			blocks(1);
			assert!(working() - before <= 4, "the budget was passed");
			before = working();
		}
		assert_eq!(working(), 30);
	});
}

#[test]
fn many_models_do_not_multiply_a_coordinators_chance() {
	run(|| {
		// Coordinator 1 waits for eight models, coordinator 4 with the same stake for one: each task of the one idle miner is as likely to be either's.
		(0..8).for_each(|_| model(WINDOW));
		coordinator(1);
		coordinator(4);
		register(2, Role::Miner, 30_000 * CAI);
		online(2, &[0, 1, 2, 3, 4, 5, 6, 7], 1).unwrap();
		let post_for = |n, model| post_task(n, model, 1, FEE, MaxWait::get());
		for model in 0..8 {
			post_for(1, model);
		}
		post_for(4, 0);
		blocks(1);
		let mut seen = [0u32; 2];
		for _ in 0..200 {
			blocks(1);
			let seat = Tasks::seats(account(102)).remove(0);
			let who = if seat.coordinator == account(1) { 1 } else { 4 };
			seen[usize::from(who == 4)] += 1;
			post_for(who, seat.model);
			commit(2, seat.task).unwrap();
			lot();
			reveal(2, seat.task).unwrap();
		}
		// Half of 200; five standard deviations are 35.
		assert!((65..=135).contains(&seen[0]), "{seen:?}");
	});
}

#[test]
fn who_waits_for_nobody_does_not_hold_up_the_others() {
	run(|| {
		model(WINDOW);
		// Ten times the stake, but no miner for its model.
		register(1, Role::Coordinator, 4_900_000 * CAI);
		coordinator(4);
		miner(2, 30_000 * CAI, 1);
		post_for(1, 1);
		let task = post(4);
		blocks(2);
		assert_eq!(drawn(task), Some(2));
	});
}
