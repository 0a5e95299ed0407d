//! No signed request counts twice: whoever has seen one on its way can do nothing with it.
//!
//! A request is good for a minute or so, and its signature has chance in it, so that no two are the same. Each that was good is remembered until it has
//! expired and a while beyond. Only requests of operators that hold a seat get here: anybody can make keys, and fill any memory with what those have signed.

use std::{
	collections::{BTreeSet, HashMap},
	sync::{Mutex, PoisonError},
};

use sp_core::crypto::AccountId32;

/// More are not remembered in all. Whoever has most of them then loses one of its own, so that one operator's flood pushes out nothing of others'.
const MOST: usize = 200_000;
/// For how many seconds a request is remembered beyond its expiry. One that came before that may be asked about afterwards: an upload takes its time, and so
/// may a node.
const BEYOND: u64 = 300;

/// When a request expires, in seconds since 1970, and its signature, which covers that.
pub type Once = (u64, [u8; 64]);

/// The requests that were seen and may still be good.
#[derive(Default)]
pub struct Replays(Mutex<Seen>);

#[derive(Default)]
struct Seen {
	/// By operator; those that expire first come first.
	operators: HashMap<AccountId32, BTreeSet<Once>>,
	/// How many there are in all.
	count: usize,
	/// The second in which what was too old was last removed.
	cleaned: u64,
}

impl Replays {
	/// Whether a request is here for the first time. Before this is asked, its signature must have been found good, and its operator to hold a seat.
	/// `now` is in seconds since 1970.
	pub fn is_new(&self, operator: &AccountId32, once: Once, now: u64) -> bool {
		// Whoever panicked while holding it left at worst a wrong count, until the next second.
		let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
		if seen.cleaned != now {
			seen.clean(now);
		}
		if seen.operators.get(operator).is_some_and(|own| own.contains(&once)) {
			return false;
		}
		if seen.count >= MOST {
			seen.forget_one();
		}
		seen.operators.entry(operator.clone()).or_default().insert(once);
		seen.count += 1;
		true
	}
}

impl Seen {
	/// Forgets what nobody can send any more.
	fn clean(&mut self, now: u64) {
		let oldest = now.saturating_sub(BEYOND);
		self.operators.retain(|_, own| {
			while own.first().is_some_and(|(expires, _)| *expires < oldest) {
				own.pop_first();
			}
			!own.is_empty()
		});
		self.count = self.operators.values().map(BTreeSet::len).sum();
		self.cleaned = now;
	}

	/// Makes room at the cost of the operator with most requests: of those, the one that expires first.
	fn forget_one(&mut self) {
		if let Some(own) = self.operators.values_mut().max_by_key(|own| own.len()) {
			own.pop_first();
			self.count = self.count.saturating_sub(1);
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	const ONE: AccountId32 = AccountId32::new([1; 32]);
	const OTHER: AccountId32 = AccountId32::new([2; 32]);

	fn once(expires: u64, number: usize) -> Once {
		let mut signature = [0; 64];
		signature[..8].copy_from_slice(&number.to_le_bytes());
		(expires, signature)
	}

	fn count(replays: &Replays) -> usize {
		let seen = replays.0.lock().unwrap();
		assert_eq!(seen.count, seen.operators.values().map(BTreeSet::len).sum::<usize>());
		seen.count
	}

	#[test]
	fn a_request_counts_once() {
		let replays = Replays::default();
		assert!(replays.is_new(&ONE, once(100, 1), 50));
		assert!(replays.is_new(&ONE, once(100, 2), 50));
		// As long as one that was read in its last second may be asked about.
		for now in [50, 100, 101, 100 + BEYOND] {
			assert!(!replays.is_new(&ONE, once(100, 1), now));
			assert!(!replays.is_new(&ONE, once(100, 2), now));
		}
		assert_eq!(count(&replays), 2);
	}

	#[test]
	fn what_has_expired_is_forgotten_whoever_sent_it() {
		let replays = Replays::default();
		assert!(replays.is_new(&ONE, once(100, 1), 50));
		assert!(replays.is_new(&OTHER, once(200, 2), 50));
		assert!(replays.is_new(&OTHER, once(300, 3), 101 + BEYOND));
		assert_eq!(count(&replays), 2);
		assert!(!replays.0.lock().unwrap().operators.contains_key(&ONE));
		assert!(!replays.is_new(&OTHER, once(200, 2), 101 + BEYOND));
	}

	#[test]
	fn whoever_sends_most_pushes_out_its_own_alone() {
		let replays = Replays::default();
		for number in 0..10 {
			assert!(replays.is_new(&OTHER, once(100, number), 50));
		}
		for number in 0..(MOST + 5) {
			assert!(replays.is_new(&ONE, once(200, number), 50));
		}
		assert_eq!(count(&replays), MOST);
		for number in 0..10 {
			assert!(!replays.is_new(&OTHER, once(100, number), 50));
		}
		assert!(!replays.is_new(&ONE, once(200, MOST + 4), 50));
	}
}
