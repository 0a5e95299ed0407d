//! Counts storage reads and writes by what the state machine traces: each is an event there.

use std::sync::{
	atomic::{AtomicU32, Ordering},
	Arc,
};
use tracing::{
	field::{Field, Visit},
	span, subscriber, Event, Metadata, Subscriber,
};

/// How often storage was read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
	pub reads: u32,
	pub writes: u32,
}

impl Count {
	/// The larger number of each.
	pub fn worst(self, other: Self) -> Self {
		Self { reads: self.reads.max(other.reads), writes: self.writes.max(other.writes) }
	}
}

/// What an operation reads and writes, each time anew if it does so to one entry more than once.
///
/// A step of an iteration over keys is no event; the value that is read at it is one.
pub fn count(operation: impl FnOnce()) -> Count {
	let counter = Counter::default();
	subscriber::with_default(counter.clone(), operation);
	let (reads, writes) = &*counter.0;
	Count { reads: reads.load(Ordering::Relaxed), writes: writes.load(Ordering::Relaxed) }
}

/// Reads and writes.
#[derive(Clone, Default)]
struct Counter(Arc<(AtomicU32, AtomicU32)>);

impl Visit for Counter {
	fn record_str(&mut self, field: &Field, value: &str) {
		if field.name() == "method" {
			match value {
				"Get" | "Exists" => self.0 .0.fetch_add(1, Ordering::Relaxed),
				"Put" | "Append" => self.0 .1.fetch_add(1, Ordering::Relaxed),
				_ => 0,
			};
		}
	}

	fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl Subscriber for Counter {
	fn enabled(&self, metadata: &Metadata<'_>) -> bool {
		metadata.target() == "state"
	}

	fn event(&self, event: &Event<'_>) {
		event.record(&mut self.clone());
	}

	fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
		span::Id::from_u64(1)
	}

	fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
	fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
	fn enter(&self, _: &span::Id) {}
	fn exit(&self, _: &span::Id) {}
}
