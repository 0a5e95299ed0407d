//! Which connections have no request, so that they can make room for those that need it.

use std::{
	collections::BTreeMap,
	pin::Pin,
	sync::{
		atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
		Arc, Mutex, MutexGuard, PoisonError,
	},
	task::{Context, Poll},
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;

/// The connections without a request, whoever has been so longest first.
#[derive(Default)]
pub struct Idle(Mutex<Line>);

#[derive(Default)]
struct Line {
	/// The place of whoever comes next.
	next: u64,
	/// How to tell each of them, by its place.
	connections: BTreeMap<u64, Arc<Notify>>,
}

impl Idle {
	fn line(&self) -> MutexGuard<'_, Line> {
		// Whoever panicked while holding it left nothing half done that matters.
		self.0.lock().unwrap_or_else(PoisonError::into_inner)
	}

	fn enter(&self, told: &Arc<Notify>) -> u64 {
		let mut line = self.line();
		let place = line.next;
		line.next += 1;
		line.connections.insert(place, told.clone());
		place
	}

	fn leave(&self, place: u64) {
		self.line().connections.remove(&place);
	}

	/// Tells the connection that has been without a request longest to end. It goes on if it gets one at this moment.
	pub fn close_longest(&self) {
		let longest = self.line().connections.pop_first();
		if let Some((_, told)) = longest {
			told.notify_one();
		}
	}
}

/// What a connection does. All but its place in the line is changed by its own task alone.
pub struct Activity {
	idle: Arc<Idle>,
	/// That it should end, if it has no request.
	told: Arc<Notify>,
	/// Where it stands in the line; `None` while it has a request.
	place: Mutex<Option<u64>>,
	/// How many requests it has had.
	begun: AtomicUsize,
	/// Whether something waits to be written.
	writing: AtomicBool,
}

impl Activity {
	/// That of a new connection. It has no request yet.
	pub fn new(idle: Arc<Idle>) -> Arc<Self> {
		let told = Arc::new(Notify::new());
		let place = Mutex::new(Some(idle.enter(&told)));
		let (begun, writing) = (AtomicUsize::new(0), AtomicBool::new(false));
		Arc::new(Self { idle, told, place, begun, writing })
	}

	fn place(&self) -> MutexGuard<'_, Option<u64>> {
		self.place.lock().unwrap_or_else(PoisonError::into_inner)
	}

	/// A request has come; it lasts until what is returned is dropped.
	pub fn begin(self: &Arc<Self>) -> Serving {
		self.begun.fetch_add(1, Relaxed);
		if let Some(place) = self.place().take() {
			self.idle.leave(place);
		}
		Serving(self.clone())
	}

	/// How many requests have come.
	pub fn begun(&self) -> usize {
		self.begun.load(Relaxed)
	}

	/// Whether there is a request that is not answered yet.
	pub fn is_serving(&self) -> bool {
		self.place().is_none()
	}

	/// Whether something waits to be written.
	pub fn is_writing(&self) -> bool {
		self.writing.load(Relaxed)
	}

	/// Notes whether something waits to be written.
	pub fn set_writing(&self, writing: bool) {
		self.writing.store(writing, Relaxed);
	}

	/// Returns when the connection should end for another's sake, and loses nothing by it: it has no request, and its last answer has been written.
	/// To be waited for by the connection's own task, or what is true here would not be so there.
	pub async fn closing(&self) {
		loop {
			self.told.notified().await;
			if !self.is_serving() && !self.is_writing() {
				return;
			}
		}
	}
}

impl Drop for Activity {
	fn drop(&mut self) {
		if let Some(place) = self.place().take() {
			self.idle.leave(place);
		}
	}
}

/// A connection's request, until it is dropped.
pub struct Serving(Arc<Activity>);

impl Drop for Serving {
	fn drop(&mut self) {
		let Self(activity) = self;
		let mut place = activity.place();
		if place.is_none() {
			*place = Some(activity.idle.enter(&activity.told));
		}
	}
}

/// The body of an answer. Its request lasts until it was read.
pub struct Served {
	body: Body,
	_serving: Serving,
}

impl Served {
	/// The answer's body to this request.
	pub fn new(body: Body, serving: Serving) -> Self {
		Self { body, _serving: serving }
	}
}

impl HttpBody for Served {
	type Data = Bytes;
	type Error = axum::Error;

	fn poll_frame(
		mut self: Pin<&mut Self>,
		cx: &mut Context<'_>,
	) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
		Pin::new(&mut self.body).poll_frame(cx)
	}

	fn is_end_stream(&self) -> bool {
		self.body.is_end_stream()
	}

	fn size_hint(&self) -> SizeHint {
		self.body.size_hint()
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use futures::poll;
	use std::pin::pin;

	/// Whether a connection that was told to end does so.
	async fn ends(activity: &Activity) -> bool {
		poll!(pin!(activity.closing())).is_ready()
	}

	#[tokio::test]
	async fn whoever_has_been_without_a_request_longest_ends() {
		let idle = Arc::new(Idle::default());
		let [first, second, third] = [(); 3].map(|()| Activity::new(idle.clone()));
		let serving = first.begin();
		assert!(first.is_serving() && !second.is_serving());
		// It has a request.
		idle.close_longest();
		assert!(!ends(&first).await && ends(&second).await && !ends(&third).await);
		// Now it is behind the third.
		drop(serving);
		assert_eq!((first.is_serving(), first.begun()), (false, 1));
		idle.close_longest();
		assert!(!ends(&first).await && ends(&third).await);
		// It goes, and nobody else is in line.
		drop(first);
		assert!(idle.line().connections.is_empty());
		idle.close_longest();
	}

	#[tokio::test]
	async fn whoever_gets_a_request_or_still_writes_goes_on() {
		let idle = Arc::new(Idle::default());
		let activity = Activity::new(idle.clone());
		idle.close_longest();
		let serving = activity.begin();
		assert!(!ends(&activity).await);
		drop(serving);
		activity.set_writing(true);
		idle.close_longest();
		assert!(!ends(&activity).await);
		// After its next request it is in line again.
		activity.set_writing(false);
		drop(activity.begin());
		idle.close_longest();
		assert!(ends(&activity).await);
	}
}
