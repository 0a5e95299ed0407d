//! Which event is sent next: what waits for whom, without a clock and without a network. Times are in milliseconds of Unix time.

use std::collections::{BTreeSet, HashMap};

use crate::keys::KeyId;

/// The events that wait, by the key whose endpoint they go to. Of each endpoint one at a time is in hand.
#[derive(Default)]
pub struct Plan {
	lines: HashMap<KeyId, Line>,
	events: usize,
	turns: u64,
}

/// What waits for one endpoint.
#[derive(Default)]
struct Line {
	/// When it is due, and its number.
	queue: BTreeSet<(u64, u64)>,
	in_hand: Option<u64>,
	/// How many attempts in a row have failed.
	failures: u32,
	/// Nothing is sent before, because the last attempt failed.
	rests_until: u64,
	/// When it was its turn last.
	turn: u64,
}

impl Line {
	fn ready_at(&self) -> Option<u64> {
		let (due, _) = self.queue.first()?;
		self.in_hand.is_none().then(|| self.rests_until.max(*due))
	}

	fn events(&self) -> usize {
		self.queue.len() + usize::from(self.in_hand.is_some())
	}
}

impl Plan {
	/// How many events wait, those in hand included.
	pub fn events(&self) -> usize {
		self.events
	}

	/// An event waits from now on.
	pub fn add(&mut self, owner: KeyId, number: u64, due: u64) {
		if self.lines.entry(owner).or_default().queue.insert((due, number)) {
			self.events += 1;
		}
	}

	/// Takes the next event that is due in hand: of all endpoints that have one, of the one whose turn was longest ago.
	pub fn take(&mut self, now: u64) -> Option<(KeyId, u64)> {
		let ready = |line: &Line| line.ready_at().is_some_and(|at| at <= now);
		let next = self.lines.iter_mut().filter(|(_, line)| ready(line));
		let (owner, line) = next.min_by_key(|(owner, line)| (line.turn, **owner))?;
		let (_, number) = line.queue.pop_first()?;
		self.turns += 1;
		line.turn = self.turns;
		line.in_hand = Some(number);
		Some((*owner, number))
	}

	/// When the next event can be taken.
	pub fn next_at(&self) -> Option<u64> {
		self.lines.values().filter_map(Line::ready_at).min()
	}

	/// The event in hand has arrived.
	pub fn arrived(&mut self, owner: KeyId) {
		if let Some(line) = self.lines.get_mut(&owner) {
			self.events -= usize::from(line.in_hand.take().is_some());
			line.failures = 0;
			line.rests_until = 0;
			if line.queue.is_empty() {
				self.lines.remove(&owner);
			}
		}
	}

	/// The event in hand has not arrived; it is due `again`, or never. Its endpoint rests for as long as `rest` says for so many failures in a row.
	pub fn failed(
		&mut self,
		owner: KeyId,
		again: Option<u64>,
		now: u64,
		rest: impl FnOnce(u32) -> u64,
	) {
		let Some(line) = self.lines.get_mut(&owner) else { return };
		match (line.in_hand.take(), again) {
			(Some(number), Some(due)) => {
				line.queue.insert((due, number));
			},
			(Some(_), None) => self.events -= 1,
			(None, _) => {},
		}
		line.failures = line.failures.saturating_add(1);
		line.rests_until = now.saturating_add(rest(line.failures));
	}

	/// Nothing waits for this endpoint any more; these did.
	pub fn forget(&mut self, owner: KeyId) -> Vec<u64> {
		let Some(line) = self.lines.remove(&owner) else { return Vec::new() };
		self.events -= line.events();
		line.queue.into_iter().map(|(_, number)| number).chain(line.in_hand).collect()
	}

	/// Drops what is beyond so many: of the endpoint for which most wait the oldest, again and again.
	pub fn drop_beyond(&mut self, most: usize) -> Vec<(KeyId, u64)> {
		let mut dropped = Vec::new();
		while self.events > most {
			let fullest = self.lines.iter_mut().max_by_key(|(_, line)| line.queue.len());
			let Some((owner, line)) = fullest else { break };
			let Some(oldest) = line.queue.iter().min_by_key(|(_, number)| *number).copied() else {
				break;
			};
			line.queue.remove(&oldest);
			self.events -= 1;
			dropped.push((*owner, oldest.1));
		}
		dropped
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	const A: KeyId = KeyId(1);
	const B: KeyId = KeyId(2);

	#[test]
	fn events_of_an_endpoint_go_in_order_and_one_at_a_time() {
		let mut plan = Plan::default();
		for number in 0..3 {
			plan.add(A, number, 10);
		}
		assert_eq!(plan.next_at(), Some(10));
		assert_eq!(plan.take(9), None);
		for number in 0..3 {
			assert_eq!(plan.take(10), Some((A, number)));
			assert_eq!(plan.take(10), None);
			assert_eq!(plan.next_at(), None);
			plan.arrived(A);
		}
		assert_eq!((plan.take(10), plan.events()), (None, 0));
		assert!(plan.lines.is_empty());
	}

	#[test]
	fn a_full_endpoint_does_not_keep_others_from_their_turn() {
		let mut plan = Plan::default();
		for number in 0..10 {
			plan.add(A, number, 0);
		}
		assert_eq!(plan.take(1), Some((A, 0)));
		plan.add(B, 10, 1);
		plan.arrived(A);
		assert_eq!(plan.take(1), Some((B, 10)));
		assert_eq!(plan.take(1), Some((A, 1)));
	}

	#[test]
	fn an_endpoint_that_fails_rests_and_its_event_comes_back() {
		let mut plan = Plan::default();
		plan.add(A, 0, 0);
		plan.add(A, 1, 0);
		let rest = |failures| 100 * u64::from(failures);
		plan.take(0).unwrap();
		plan.failed(A, Some(5), 0, rest);
		assert_eq!((plan.take(99), plan.next_at()), (None, Some(100)));
		assert_eq!(plan.take(100), Some((A, 1)));
		plan.failed(A, Some(1_000), 100, rest);
		assert_eq!((plan.take(299), plan.next_at()), (None, Some(300)));
		// The one that was put off less goes first.
		assert_eq!(plan.take(300), Some((A, 0)));
		plan.arrived(A);
		assert_eq!(plan.next_at(), Some(1_000));
		assert_eq!(plan.take(1_000), Some((A, 1)));
		plan.failed(A, None, 1_000, rest);
		assert_eq!((plan.take(9_999), plan.events()), (None, 0));
	}

	#[test]
	fn beyond_the_limit_the_oldest_of_the_fullest_goes() {
		let mut plan = Plan::default();
		plan.add(B, 0, 0);
		// Put off, and older than those that are due before it.
		plan.add(A, 1, 900);
		for number in 2..6 {
			plan.add(A, number, 0);
		}
		assert_eq!(plan.take(0), Some((A, 2)));
		assert_eq!(plan.drop_beyond(4), [(A, 1), (A, 3)]);
		assert_eq!(plan.events(), 4);
		// What is in hand is not taken away.
		assert_eq!(plan.drop_beyond(0).len(), 3);
		assert_eq!(plan.events(), 1);
		plan.arrived(A);
		assert_eq!(plan.events(), 0);
	}

	#[test]
	fn what_waited_for_a_forgotten_endpoint_is_named() {
		let mut plan = Plan::default();
		for number in 0..3 {
			plan.add(A, number, 0);
		}
		plan.add(B, 3, 0);
		plan.take(0).unwrap();
		assert_eq!(plan.forget(A), [1, 2, 0]);
		assert_eq!((plan.events(), plan.take(0)), (1, Some((B, 3))));
		// The attempt that was under way ends later.
		plan.failed(A, Some(5), 0, |_| 5);
		plan.arrived(A);
		assert_eq!(plan.events(), 1);
	}
}
