//! How often a key may ask: a bucket of tokens, one for each request, that fills up again at a steady pace.

use std::time::Duration;

/// A bucket counts in parts of a token, as many as a minute has nanoseconds. So each nanosecond brings as many parts as the limit has requests a minute,
/// and nothing is ever rounded: a request every so often gets through exactly as often as it should.
const TOKEN: u128 = 60_000_000_000;

/// What is left of a key's requests. At most a minute's worth of them may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
	parts: u128,
	/// When `parts` was right, by the clock of whoever asks.
	at: Duration,
}

/// What a bucket said to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
	/// How many requests a minute there may be.
	pub limit: u32,
	/// How many could follow at once.
	pub remaining: u32,
	/// How long until the bucket is full, if no request comes.
	pub reset: Duration,
	/// The request is one too many: how long until there is a token for it.
	pub wait: Option<Duration>,
}

impl Turn {
	/// Full seconds until a request that is one too many would get through.
	pub fn retry_after(&self) -> Option<u32> {
		let seconds = self.wait?.as_nanos().div_ceil(1_000_000_000);
		Some(u32::try_from(seconds).unwrap_or(u32::MAX))
	}
}

impl Bucket {
	/// A bucket from which nothing was taken yet.
	pub(super) fn full(limit: u32, now: Duration) -> Self {
		Self { parts: capacity(limit), at: now }
	}

	/// Takes a token for a request, if there is one. The limit may be another than the last time; a clock that goes back brings nothing.
	pub(super) fn take(&mut self, limit: u32, now: Duration) -> Turn {
		let limit = limit.max(1);
		let capacity = capacity(limit);
		let passed = now.saturating_sub(self.at).as_nanos();
		let gained = passed.saturating_mul(u128::from(limit));
		let mut parts = self.parts.saturating_add(gained).min(capacity);
		let time_for = |parts: u128| {
			let nanos = parts.div_ceil(u128::from(limit));
			Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
		};
		let wait = match parts.checked_sub(TOKEN) {
			Some(left) => {
				parts = left;
				None
			},
			None => Some(time_for(TOKEN - parts)),
		};
		*self = Self { parts, at: self.at.max(now) };
		Turn {
			limit,
			remaining: u32::try_from(parts / TOKEN).unwrap_or(u32::MAX),
			reset: time_for(capacity - parts),
			wait,
		}
	}
}

fn capacity(limit: u32) -> u128 {
	u128::from(limit) * TOKEN
}

#[cfg(test)]
mod tests {
	use super::*;

	const SECOND: Duration = Duration::from_secs(1);

	#[test]
	fn a_burst_ends_at_the_limit_and_says_how_long_to_wait() {
		let mut bucket = Bucket::full(3, SECOND);
		for remaining in [2, 1, 0] {
			let turn = bucket.take(3, SECOND);
			assert_eq!((turn.limit, turn.remaining, turn.wait), (3, remaining, None));
			assert_eq!(turn.reset, 20 * SECOND * (3 - remaining));
			assert_eq!(turn.retry_after(), None);
		}
		let turn = bucket.take(3, SECOND);
		assert_eq!((turn.remaining, turn.wait), (0, Some(20 * SECOND)));
		assert_eq!(turn.retry_after(), Some(20));
	}

	#[test]
	fn a_bucket_refills_to_its_limit_and_no_further() {
		let mut bucket = Bucket::full(2, Duration::ZERO);
		bucket.take(2, Duration::ZERO);
		bucket.take(2, Duration::ZERO);
		let early = Duration::from_nanos(29_999_999_999);
		assert_eq!(bucket.take(2, early).wait, Some(Duration::from_nanos(1)));
		assert_eq!(bucket.take(2, early).retry_after(), Some(1));
		assert_eq!(bucket.take(2, 30 * SECOND).wait, None);
		let later = 30 * SECOND + 3_600 * SECOND;
		assert_eq!(bucket.take(2, later).remaining, 1);
		assert_eq!(bucket.take(2, later).wait, None);
		assert!(bucket.take(2, later).wait.is_some());
	}

	#[test]
	fn a_refusal_costs_nothing_and_asking_often_gains_nothing() {
		let mut bucket = Bucket::full(7, Duration::ZERO);
		let mut taken = 0;
		// 7 do not divide a minute evenly; asked every millisecond for ten minutes.
		for millis in 0..=600_000 {
			taken += u32::from(bucket.take(7, Duration::from_millis(millis)).wait.is_none());
		}
		assert_eq!(taken, 7 + 70);
	}

	#[test]
	fn a_clock_that_goes_back_and_extreme_limits_break_nothing() {
		let mut bucket = Bucket::full(1, 100 * SECOND);
		assert_eq!(bucket.take(1, 100 * SECOND).wait, None);
		assert_eq!(bucket.take(1, SECOND).wait, Some(60 * SECOND));
		assert_eq!(bucket.take(1, 100 * SECOND).wait, Some(60 * SECOND));
		assert_eq!(bucket.take(1, Duration::MAX).wait, None);
		let mut most = Bucket::full(u32::MAX, Duration::ZERO);
		assert_eq!(most.take(u32::MAX, Duration::MAX).remaining, u32::MAX - 1);
		assert_eq!(Bucket::full(0, Duration::ZERO).take(0, Duration::ZERO).wait, Some(60 * SECOND));
	}

	#[test]
	fn a_lower_limit_holds_at_once() {
		let mut bucket = Bucket::full(1_000, Duration::ZERO);
		assert_eq!(bucket.take(2, Duration::ZERO).remaining, 1);
		assert_eq!(bucket.take(2, Duration::ZERO).remaining, 0);
		assert!(bucket.take(2, Duration::ZERO).wait.is_some());
	}
}
