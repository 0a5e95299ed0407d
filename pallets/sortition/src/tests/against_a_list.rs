//! The tree against a plain list under random operations.

use crate::{mock::*, types::levels, Pallet, WeightedSets};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
	Insert(u32, u128),
	Update(u32, u128),
	Remove(u32),
}

fn op() -> impl Strategy<Value = Op> {
	let weight = prop_oneof![Just(0u128), 1..100u128, Just(u128::from(u64::MAX))];
	prop_oneof![
		4 => (0..400u32, weight.clone()).prop_map(|(m, w)| Op::Insert(m, w)),
		2 => (0..400u32, weight).prop_map(|(m, w)| Op::Update(m, w)),
		3 => (0..400u32).prop_map(Op::Remove),
	]
}

/// The same rules without a tree: members in the order of their positions.
#[derive(Default)]
struct List(Vec<(u32, u128)>);

impl List {
	fn position(&self, member: u32) -> Option<usize> {
		self.0.iter().position(|(m, _)| *m == member)
	}

	fn apply(&mut self, op: &Op) -> bool {
		match (
			op,
			self.position(match op {
				Op::Insert(m, _) | Op::Update(m, _) | Op::Remove(m) => *m,
			}),
		) {
			(Op::Insert(m, w), None) => self.0.push((*m, *w)),
			(Op::Update(_, w), Some(at)) => self.0[at].1 = *w,
			(Op::Remove(_), Some(at)) => {
				self.0.swap_remove(at);
			},
			_ => return false,
		}
		true
	}

	fn total(&self) -> u128 {
		self.0.iter().map(|(_, w)| w).sum()
	}

	/// Who holds a ticket when the excluded are left out.
	fn find(&self, ticket: u128, excluded: &[u32]) -> Option<u32> {
		let mut ticket = ticket;
		for (member, weight) in self.0.iter().filter(|(m, _)| !excluded.contains(m)) {
			match ticket.checked_sub(*weight) {
				Some(rest) => ticket = rest,
				None => return Some(*member),
			}
		}
		None
	}
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(48))]

	#[test]
	fn the_tree_does_what_a_list_does(ops in prop::collection::vec(op(), 1..700), excluded in prop::collection::vec(0..400u32, 0..4), seed: [u8; 32]) {
		run(|| {
			let mut list = List::default();
			for (i, op) in ops.iter().enumerate() {
				let done = match op {
					Op::Insert(m, w) => Sortition::insert(&0, m, *w),
					Op::Update(m, w) => Sortition::update(&0, m, *w),
					Op::Remove(m) => Sortition::remove(&0, m),
				};
				assert_eq!(done.is_ok(), list.apply(op), "{op:?}");
				assert_eq!(Sortition::total(&0), list.total());
				assert_eq!(Sortition::len(&0) as usize, list.0.len());
				if i % 50 == 0 {
					Sortition::do_try_state().unwrap();
				}
			}
			let height = levels(list.0.len() as u32);
			let mut start = 0;
			for (position, (member, weight)) in list.0.iter().enumerate() {
				assert_eq!(Sortition::weight(&0, member), Some(*weight));
				assert_eq!(Pallet::<Test>::weight_before(&0, position as u32, height), start);
				if *weight > 0 {
					for ticket in [start, start + weight - 1] {
						assert_eq!(Pallet::<Test>::find(&0, height, ticket), list.find(ticket, &[]));
					}
				}
				start += weight;
			}
			let left: u128 = list.0.iter().filter(|(m, _)| !excluded.contains(m)).map(|(_, w)| w).sum();
			let expected = crate::draw::uniform(&seed, left).and_then(|t| list.find(t, &excluded));
			assert_eq!(Sortition::draw(&0, &seed, &excluded), expected);
		});
	}
}
