//! Turns for uploads: an output takes up to 64 MiB of memory while it comes, so few come at a time, and not all of them from one miner.

use std::{
	collections::HashMap,
	sync::{Arc, Mutex, MutexGuard, PoisonError},
	time::{Duration, Instant},
};

use cuckoo_primitives::TaskId;
use sp_core::crypto::AccountId32;
use tokio::{
	sync::{OwnedSemaphorePermit, Semaphore},
	time::timeout,
};

/// How many uploads are taken in at a time.
const UPLOADS: usize = 8;
/// How many of them from one operator.
const OF_ONE: usize = 2;
/// For so long a miner is excused whose upload could not be taken in: two of the pauses after which it tries again.
const EXCUSED: Duration = Duration::from_secs(30);
/// How long an upload waits for its turn.
const PATIENCE: Duration = Duration::from_secs(30);

/// The turns; clones share them.
#[derive(Clone)]
pub struct Uploads {
	turns: Arc<Semaphore>,
	known: Arc<Mutex<Known>>,
	patience: Duration,
}

#[derive(Default)]
struct Known {
	operators: HashMap<AccountId32, Arc<Semaphore>>,
	/// How many uploads of a task are under way.
	tasks: HashMap<TaskId, usize>,
	/// When an upload of a task could not be taken in, by this coordinator's fault.
	kept_out: HashMap<TaskId, Instant>,
}

impl Default for Uploads {
	fn default() -> Self {
		let turns = Arc::new(Semaphore::new(UPLOADS));
		Self { turns, known: Arc::default(), patience: PATIENCE }
	}
}

impl Uploads {
	/// A turn for an upload of this operator's, for this task; none if it does not come in time. It ends when it is dropped.
	pub async fn turn(&self, operator: AccountId32, task: TaskId) -> Option<Turn> {
		// From now on it is under way: whoever stands in line has not failed to deliver.
		let noted = Noted::new(self.clone(), task);
		let own = {
			let mut known = self.known();
			// Whoever has no upload under way needs no place here.
			known.operators.retain(|_, turns| Arc::strong_count(turns) > 1);
			let turns = known.operators.entry(operator);
			turns.or_insert_with(|| Arc::new(Semaphore::new(OF_ONE))).clone()
		};
		let turns = async {
			let own = own.acquire_owned().await.ok()?;
			Some((own, self.turns.clone().acquire_owned().await.ok()?))
		};
		let turns = timeout(self.patience, turns).await.ok()??;
		Some(Turn { _noted: noted, _turns: turns })
	}

	/// Whether something of this task is being uploaded, or waits for its turn.
	pub fn under_way(&self, task: TaskId) -> bool {
		self.known().tasks.contains_key(&task)
	}

	/// Notes that an upload of a task could not be taken in: there was no turn for it, or what is kept could not be written.
	pub fn keep_out(&self, task: TaskId) {
		let mut known = self.known();
		known.kept_out.retain(|_, at| at.elapsed() < EXCUSED);
		known.kept_out.insert(task, Instant::now());
	}

	/// Whether that was so lately: then the miner is not to blame, and is about to try again.
	pub fn was_kept_out(&self, task: TaskId) -> bool {
		self.known().kept_out.get(&task).is_some_and(|at| at.elapsed() < EXCUSED)
	}

	fn known(&self) -> MutexGuard<'_, Known> {
		// Plain maps: whoever panicked while holding them left nothing half done.
		self.known.lock().unwrap_or_else(PoisonError::into_inner)
	}
}

/// An upload under way.
pub struct Turn {
	_noted: Noted,
	_turns: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

/// An upload that counts as one of its task.
struct Noted {
	uploads: Uploads,
	task: TaskId,
}

impl Noted {
	fn new(uploads: Uploads, task: TaskId) -> Self {
		*uploads.known().tasks.entry(task).or_default() += 1;
		Self { uploads, task }
	}
}

impl Drop for Noted {
	fn drop(&mut self) {
		let mut known = self.uploads.known();
		if let Some(count) = known.tasks.get_mut(&self.task) {
			*count -= 1;
			if *count == 0 {
				known.tasks.remove(&self.task);
			}
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn operator(number: u8) -> AccountId32 {
		AccountId32::new([number; 32])
	}

	#[tokio::test]
	async fn nobody_takes_all_turns() {
		let uploads = Uploads { patience: Duration::from_millis(20), ..Uploads::default() };
		let mut held = Vec::new();
		for _ in 0..OF_ONE {
			held.push(uploads.turn(operator(1), 5).await.unwrap());
		}
		assert!(uploads.turn(operator(1), 6).await.is_none(), "it has as many as one may have");
		for number in OF_ONE..UPLOADS {
			held.push(uploads.turn(operator(number as u8), 7).await.unwrap());
		}
		assert!(uploads.turn(operator(100), 8).await.is_none(), "there are no more");
		held.remove(0);
		assert!(uploads.turn(operator(100), 8).await.is_some());
	}

	#[test]
	fn whoever_was_kept_out_is_excused() {
		let uploads = Uploads::default();
		uploads.keep_out(5);
		assert!(uploads.was_kept_out(5) && !uploads.was_kept_out(6));
	}

	#[tokio::test]
	async fn who_waits_for_a_turn_is_under_way() {
		let uploads = Uploads::default();
		let held = [uploads.turn(operator(1), 5).await, uploads.turn(operator(1), 5).await];
		{
			let mut waiting = std::pin::pin!(uploads.turn(operator(1), 6));
			assert!(futures::poll!(waiting.as_mut()).is_pending());
			assert!(uploads.under_way(6));
		}
		assert!(!uploads.under_way(6) && uploads.under_way(5), "{}", held.len());
	}

	#[tokio::test]
	async fn what_is_under_way_is_known() {
		let uploads = Uploads::default();
		let (first, second) =
			(uploads.turn(operator(1), 5).await, uploads.turn(operator(1), 5).await);
		assert!(uploads.under_way(5) && !uploads.under_way(6));
		drop(first);
		assert!(uploads.under_way(5));
		drop(second);
		assert!(!uploads.under_way(5));
		let last = uploads.turn(operator(2), 6).await;
		assert_eq!(uploads.known().operators.len(), 1, "{}", last.is_some());
	}
}
