use crate::{mock::*, pallet::Error, WeightedSets};
use frame_support::assert_noop;

#[test]
fn members_come_once_and_leave_once() {
	run(|| {
		Sortition::insert(&0, &1, 5).unwrap();
		assert_noop!(Sortition::insert(&0, &1, 6), Error::<Test>::AlreadyMember);
		assert_noop!(Sortition::update(&0, &2, 6), Error::<Test>::NotMember);
		assert_noop!(Sortition::remove(&0, &2), Error::<Test>::NotMember);
		Sortition::remove(&0, &1).unwrap();
		assert_noop!(Sortition::remove(&0, &1), Error::<Test>::NotMember);
		assert_eq!((Sortition::len(&0), Sortition::total(&0)), (0, 0));
	});
}

#[test]
fn weights_that_do_not_add_up_are_refused_whole() {
	run(|| {
		Sortition::insert(&0, &1, u128::MAX).unwrap();
		assert_noop!(Sortition::insert(&0, &2, 1), Error::<Test>::Overflow);
		Sortition::insert(&0, &2, 0).unwrap();
		assert_noop!(Sortition::update(&0, &2, 1), Error::<Test>::Overflow);
	});
}

#[test]
fn sets_do_not_touch_each_other() {
	run(|| {
		Sortition::insert(&0, &1, 5).unwrap();
		Sortition::insert(&1, &1, 7).unwrap();
		Sortition::remove(&0, &1).unwrap();
		assert_eq!(Sortition::weight(&1, &1), Some(7));
		assert_eq!(Sortition::draw(&1, &[0; 32], &[]), Some(1));
	});
}

#[test]
fn nobody_is_drawn_where_nobody_is_left() {
	run(|| {
		assert_eq!(Sortition::draw(&0, &[0; 32], &[]), None);
		Sortition::insert(&0, &1, 0).unwrap();
		assert_eq!(Sortition::draw(&0, &[0; 32], &[]), None);
		Sortition::insert(&0, &2, 3).unwrap();
		assert_eq!(Sortition::draw(&0, &[0; 32], &[]), Some(2));
		assert_eq!(Sortition::draw(&0, &[0; 32], &[2]), None);
		assert_eq!(Sortition::draw(&0, &[0; 32], &[2, 2, 9]), None);
	});
}

#[test]
fn set_inserts_updates_and_removes() {
	run(|| {
		Sortition::set(&0, &1, 0).unwrap();
		assert_eq!(Sortition::len(&0), 0);
		Sortition::set(&0, &1, 4).unwrap();
		Sortition::set(&0, &1, 9).unwrap();
		assert_eq!(Sortition::weight(&0, &1), Some(9));
		Sortition::set(&0, &1, 0).unwrap();
		assert_eq!(Sortition::weight(&0, &1), None);
	});
}
