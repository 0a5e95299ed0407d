//! What an operation costs in storage reads, storage writes and time, by the size of the set.

use super::counter::{count, Count};
use crate::{mock::*, WeightedSets};
use codec::Encode;
use sp_crypto_hashing::blake2_256;
use std::time::Instant;

#[derive(Clone, Copy, Debug)]
struct Cost {
	reads: u32,
	writes: u32,
	micros: f64,
}

const REPEATS: u32 = 400;
const ROUNDS: u32 = 20;

/// The largest count of an operation over many random members, and its mean time in the fastest of several rounds over the same members: what the
/// operation itself costs, without what else the machine did meanwhile.
fn cost(members: u32, operation: impl Fn(u32)) -> Cost {
	let member = |i: u32| {
		u32::from_be_bytes(("pick", i).using_encoded(blake2_256)[..4].try_into().unwrap()) % members
	};
	let counts = (0..REPEATS).map(|i| count(|| operation(member(i))));
	let Count { reads, writes } = counts.fold(Count::default(), Count::worst);
	let round = |_| {
		let start = Instant::now();
		(0..REPEATS).for_each(|i| operation(member(i)));
		start.elapsed().as_secs_f64() * 1e6 / f64::from(REPEATS)
	};
	Cost { reads, writes, micros: (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min) }
}

fn weight(member: u32) -> u128 {
	1 + u128::from(member % 1_000)
}

fn fill(members: u32) {
	for member in 0..members {
		Sortition::insert(&0, &member, weight(member)).unwrap();
	}
}

/// Draw, insert, update and remove in a set of this size.
fn costs(members: u32) -> [(&'static str, Cost); 4] {
	fill(members);
	let seed = |i: u32| ("seed", i).using_encoded(blake2_256);
	// In pairs, so that the set keeps its size.
	let insert = cost(members, |_| {
		Sortition::insert(&0, &members, 5).and_then(|_| Sortition::remove(&0, &members)).unwrap()
	});
	let remove = cost(members, |m| {
		Sortition::remove(&0, &m).and_then(|_| Sortition::insert(&0, &m, weight(m))).unwrap()
	});
	[
		("draw", cost(members, |m| assert!(Sortition::draw(&0, &seed(m), &[]).is_some()))),
		("update", cost(members, |m| Sortition::update(&0, &m, weight(m) + 1).unwrap())),
		("insert last + remove last", insert),
		("remove any + insert", remove),
	]
}

#[test]
fn a_draw_reads_one_node_a_level() {
	run(|| {
		for (set_size, expected) in [(100, 4), (2_000, 5)] {
			let _ = Sortition::members(&0)
				.into_iter()
				.map(|(member, _)| Sortition::remove(&0, &member).unwrap())
				.count();
			fill(set_size);
			let draw =
				cost(set_size, |m| assert!(Sortition::draw(&0, &[m as u8; 32], &[]).is_some()));
			assert_eq!((draw.reads, draw.writes), (expected, 0), "{set_size} members");
		}
	});
}

#[test]
#[ignore = "takes a minute: scripts/check sortition-cost"]
fn sortition_cost() {
	println!(
		"{:>26} {:>10} {:>6} {:>7} {:>9}",
		"operation", "members", "reads", "writes", "time/µs"
	);
	let mut draws = Vec::new();
	for members in [100, 10_000, 1_000_000] {
		sp_io::TestExternalities::default().execute_with(|| {
			for (name, Cost { reads, writes, micros }) in costs(members) {
				println!("{name:>26} {members:>10} {reads:>6} {writes:>7} {micros:>9.1}");
				if name == "draw" {
					draws.push((reads, micros));
				}
			}
		});
	}
	let reads = f64::from(draws[2].0) / f64::from(draws[0].0);
	let time = draws[2].1 / draws[0].1;
	println!(
		"sortition-cost: draw_reads_1e6_over_1e2={reads:.2} draw_time_1e6_over_1e2={time:.2} bar=3"
	);
	assert!(
		reads <= 3.0 && time <= 3.0,
		"a draw from a million costs more than three times one from a hundred"
	);
}
