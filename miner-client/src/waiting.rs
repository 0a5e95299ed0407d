//! Whether a seat's work stands still because its coordinator keeps the inputs back.
//!
//! A coordinator that answers nothing, or so slowly that the deadline passes, would have honest miners slashed for nothing. So it counts how long nothing could be run for want of
//! an input, whatever came of each attempt to fetch one.

use std::{
	sync::{Mutex, MutexGuard, PoisonError},
	time::{Duration, Instant},
};

/// To wait for so long at a stretch is enough.
const STRETCH: Duration = Duration::from_secs(20);
/// To wait for less than this altogether is nothing.
const LEAST: Duration = Duration::from_secs(5);

/// What one seat's work is at.
#[derive(Debug)]
pub struct Waiting(Mutex<Book>);

#[derive(Debug)]
struct Book {
	began: Instant,
	fetching: u32,
	computing: u32,
	/// Since when nothing runs and something is fetched.
	since: Option<Instant>,
	/// How long it was like that before.
	before: Duration,
}

impl Book {
	fn change(&mut self, now: Instant, change: impl FnOnce(&mut Self)) {
		change(self);
		match (self.since, self.fetching > 0 && self.computing == 0) {
			(None, true) => self.since = Some(now),
			(Some(since), false) => {
				self.before += now.duration_since(since);
				self.since = None;
			},
			_ => {},
		}
	}

	fn is_stuck(&self, now: Instant) -> bool {
		let Some(since) = self.since else { return false };
		let stretch = now.duration_since(since);
		let total = self.before + stretch;
		stretch >= STRETCH || (total >= LEAST && total * 2 >= now.duration_since(self.began))
	}
}

impl Default for Waiting {
	fn default() -> Self {
		let (began, before) = (Instant::now(), Duration::ZERO);
		Self(Mutex::new(Book { began, fetching: 0, computing: 0, since: None, before }))
	}
}

/// Something is under way until this is dropped.
#[must_use = "dropped at once, it is over"]
pub struct UnderWay<'a> {
	waiting: &'a Waiting,
	end: fn(&mut Book),
}

impl Drop for UnderWay<'_> {
	fn drop(&mut self) {
		self.waiting.lock().change(Instant::now(), self.end);
	}
}

impl Waiting {
	/// An input, or the list of them, is being fetched.
	pub fn fetching(&self) -> UnderWay<'_> {
		self.begin(|book| book.fetching += 1, |book| book.fetching -= 1)
	}

	/// An input is being run, or waits for a device.
	pub fn computing(&self) -> UnderWay<'_> {
		self.begin(|book| book.computing += 1, |book| book.computing -= 1)
	}

	/// Whether nothing can be run for want of an input now, and has not for long: for 20 s at a stretch, or for half of the time since the work began.
	pub fn is_stuck(&self) -> bool {
		self.lock().is_stuck(Instant::now())
	}

	fn begin(&self, begin: fn(&mut Book), end: fn(&mut Book)) -> UnderWay<'_> {
		self.lock().change(Instant::now(), begin);
		UnderWay { waiting: self, end }
	}

	fn lock(&self) -> MutexGuard<'_, Book> {
		self.0.lock().unwrap_or_else(PoisonError::into_inner)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	type Change = fn(&mut Book);

	/// A book, and what happens to it: at which second, what.
	fn after(events: &[(u64, Change)]) -> (Instant, Book) {
		let began = Instant::now();
		let mut book =
			Book { began, fetching: 0, computing: 0, since: None, before: Duration::ZERO };
		for (second, event) in events {
			book.change(began + Duration::from_secs(*second), event);
		}
		(began, book)
	}

	const FETCH: Change = |book| book.fetching += 1;
	const FETCHED: Change = |book| book.fetching -= 1;
	const RUN: Change = |book| book.computing += 1;
	const RAN: Change = |book| book.computing -= 1;

	#[test]
	fn a_coordinator_that_answers_nothing_is_seen() {
		let (began, book) = after(&[(0, FETCH)]);
		let stuck = |second| book.is_stuck(began + Duration::from_secs(second));
		assert_eq!([1, 4, 5, 100].map(stuck), [false, false, true, true]);
	}

	#[test]
	fn a_coordinator_that_answers_slowly_each_time_is_seen() {
		let mut events = Vec::new();
		for item in 0..10 {
			events.extend([(4 * item, FETCH), (4 * item + 3, FETCHED)]);
			events.extend([(4 * item + 3, RUN), (4 * item + 4, RAN)]);
		}
		events.push((40, FETCH));
		let (began, book) = after(&events);
		assert!(book.is_stuck(began + Duration::from_secs(41)));
	}

	#[test]
	fn a_slow_device_is_nobody_elses_fault() {
		// The next input comes while the device works.
		let (began, book) = after(&[(0, FETCH), (1, FETCHED), (1, RUN), (1, FETCH)]);
		assert!(!book.is_stuck(began + Duration::from_secs(500)));
		// It begins late, and has only just asked.
		let (began, book) = after(&[(60, FETCH)]);
		assert!(!book.is_stuck(began + Duration::from_secs(64)));
		// What was computed for long before the coordinator went away counts for a while.
		let (began, book) = after(&[(0, RUN), (100, RAN), (100, FETCH)]);
		let stuck = |second| book.is_stuck(began + Duration::from_secs(second));
		assert_eq!([110, 119, 120].map(stuck), [false, false, true]);
	}

	#[test]
	fn what_is_dropped_is_over() {
		let waiting = Waiting::default();
		{
			let _fetching = waiting.fetching();
			let _computing = waiting.computing();
			let book = waiting.lock();
			assert_eq!((book.fetching, book.computing, book.since), (1, 1, None));
		}
		let _fetching = waiting.fetching();
		assert!(waiting.lock().since.is_some() && !waiting.is_stuck());
	}
}
