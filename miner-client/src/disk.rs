//! Threads of their own for the journal.
//!
//! The runtime's threads for what waits are begun as they are needed and shared with whatever else waits, such as the names of hosts: somebody else's slow name server could keep a
//! promise from the disk, and each thread more keeps some memory. These are two from the beginning to the end.

use std::{
	panic::{catch_unwind, AssertUnwindSafe},
	sync::{
		mpsc::{channel, Receiver, Sender},
		Arc, LazyLock, Mutex,
	},
	thread,
};

use tokio::sync::oneshot;

/// One more than one: who reads need not wait for who writes.
const THREADS: usize = 2;

type Work = Box<dyn FnOnce() + Send>;

static QUEUE: LazyLock<Sender<Work>> = LazyLock::new(|| {
	let (queue, work) = channel::<Work>();
	let work = Arc::new(Mutex::new(work));
	for _ in 0..THREADS {
		let work = work.clone();
		let begun = thread::Builder::new().name("disk".into()).spawn(move || serve(&work));
		if let Err(error) = begun {
			tracing::error!(%error, "a thread for the journal cannot be begun");
		}
	}
	queue
});

fn serve(work: &Mutex<Receiver<Work>>) {
	loop {
		// Held while there is nothing to do, and let go of before anything is done.
		let next = work.lock().map(|work| work.recv());
		let Ok(Ok(next)) = next else { return };
		// Whoever waits for it hears that there is no answer.
		drop(catch_unwind(AssertUnwindSafe(next)));
	}
}

/// Does something that may wait for the disk. None if it panicked, or if there is no thread to do it.
pub(crate) async fn on_disk<T: Send + 'static>(
	work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
	let (answer, done) = oneshot::channel();
	let work = Box::new(move || {
		// Nobody waits any more: that is no error.
		drop(answer.send(work()));
	});
	QUEUE.send(work).ok()?;
	done.await.ok()
}

#[cfg(test)]
mod tests {
	use super::*;
	use std::collections::HashSet;

	#[tokio::test]
	async fn the_same_threads_do_everything_and_outlive_a_panic() {
		assert_eq!(on_disk(|| -> u8 { panic!("a bug") }).await, None);
		let mut threads = HashSet::new();
		for number in 0..50 {
			let (thread, same) = on_disk(move || (thread::current().id(), number)).await.unwrap();
			assert_eq!(same, number);
			threads.insert(thread);
		}
		assert!(threads.len() <= THREADS);
	}
}
