//! What happens when a block comes. Everything that is due is kept by block; what the hook's budget cannot take goes on in the next block, oldest first.

use crate::{
	pallet::{Config, Courts, DeadlineCursor, Deadlines, Error, Event, Pallet, Receipts, Tasks},
	queue::End,
	types::{Due, DueKey, Outcome, Phase},
	WeightInfo,
};
use cuckoo_primitives::{BlockNumber, SlashReason, TaskId};
use frame_support::{
	storage::with_storage_layer,
	traits::{Defensive, Get},
	weights::{Weight, WeightMeter},
};
use sp_runtime::DispatchResult;

impl<T: Config> Pallet<T> {
	/// The block after the last one in which something may still be done.
	pub(crate) fn after(deadline: BlockNumber) -> BlockNumber {
		// The chain does not reach 2³² blocks: at 3 s that is 400 years.
		deadline.saturating_add(1)
	}

	pub(crate) fn meet_deadlines(now: BlockNumber, meter: &mut WeightMeter) {
		let start = DeadlineCursor::<T>::get();
		let mut at = start;
		while at <= now && meter.try_consume(T::WeightInfo::next_deadline()).is_ok() {
			// One walk over the block's keys: beginning anew after each would pass over all that were removed before. What is met adds deadlines to later
			// blocks only, and takes away none that comes later in this one but of its own task.
			let mut whole = true;
			for key in Deadlines::<T>::iter_key_prefix(at) {
				let (_, due) = key.parts();
				let cost = T::WeightInfo::next_deadline().saturating_add(Self::due_weight(due));
				if meter.try_consume(cost).is_err() {
					whole = false;
					break;
				}
				Self::meet_if_due(now, at, key);
			}
			if !whole {
				break;
			}
			at = Self::after(at);
		}
		if at != start {
			DeadlineCursor::<T>::put(at);
		}
	}

	/// Meets a deadline of a block, if it was not taken away meanwhile.
	pub(crate) fn meet_if_due(now: BlockNumber, at: BlockNumber, key: DueKey) {
		if Deadlines::<T>::take(at, key).is_some() {
			let (task, due) = key.parts();
			// Every task has its deadlines and its place (try_state): nothing here can fail.
			let _ = with_storage_layer(|| Self::meet(now, task, due)).defensive();
		}
	}

	/// What the hooks will do for a task whatever becomes of it: whoever posts it pays for that too.
	pub(crate) fn life_weight() -> Weight {
		T::WeightInfo::ripen()
			.saturating_add(T::WeightInfo::lottery())
			.saturating_add(T::WeightInfo::expire())
			.saturating_add(T::WeightInfo::forget())
	}

	/// What the hooks will do for a court: whoever challenges pays for it.
	pub(crate) fn court_weight() -> Weight {
		T::WeightInfo::convene()
			.saturating_add(T::WeightInfo::end_jury_commit())
			.saturating_add(T::WeightInfo::judge())
	}

	/// What meeting a deadline can cost.
	pub(crate) fn due_weight(due: Due) -> Weight {
		match due {
			Due::Ripe => T::WeightInfo::ripen(),
			Due::Commit => T::WeightInfo::miss(),
			Due::Lottery => T::WeightInfo::lottery(),
			Due::Audit => T::WeightInfo::open_audit(),
			Due::Verify => T::WeightInfo::end_verify(),
			Due::Reveal => T::WeightInfo::end_reveal(),
			Due::Court => T::WeightInfo::convene(),
			Due::JuryCommit => T::WeightInfo::end_jury_commit(),
			Due::JuryReveal => T::WeightInfo::judge(),
			Due::Expire => T::WeightInfo::expire(),
			Due::Forget => T::WeightInfo::forget(),
		}
	}

	fn meet(now: BlockNumber, task: TaskId, due: Due) -> DispatchResult {
		match due {
			Due::Ripe => Self::ripen(task),
			Due::Commit => Self::miss_commitment(now, task),
			Due::Lottery => Self::hold_lottery(now, task),
			Due::Audit => Self::open_audit(now, task),
			Due::Verify => Self::end_verify(now, task),
			Due::Reveal => Self::end_reveal(now, task),
			Due::Court => Self::convene(now, task),
			Due::JuryCommit => Self::end_jury_commit(now, task),
			Due::JuryReveal => Self::end_jury_reveal(now, task),
			Due::Expire => Self::expire(now, task),
			Due::Forget => {
				Self::forget(now, task);
				Ok(())
			},
		}
	}

	/// The task's randomness is there: it joins its queue.
	fn ripen(id: TaskId) -> DispatchResult {
		let mut task = Tasks::<T>::get(id).ok_or(Error::<T>::Corrupt)?;
		let end = if task.rounds == 0 { End::Back } else { End::Front };
		Self::enqueue(task.model, &task.coordinator, id, end)?;
		task.phase = Phase::Ready;
		Tasks::<T>::insert(id, task);
		Ok(())
	}

	/// The miner has not committed: the task goes to another.
	fn miss_commitment(now: BlockNumber, id: TaskId) -> DispatchResult {
		let task = Tasks::<T>::get(id).ok_or(Error::<T>::Corrupt)?;
		let miner = task.phase.miner().ok_or(Error::<T>::Corrupt)?;
		Self::miss(miner, id, task.fee, SlashReason::NoCommitment, &[])?;
		Self::go_back(now, id, task)
	}

	fn expire(now: BlockNumber, id: TaskId) -> DispatchResult {
		let task = Tasks::<T>::get(id).ok_or(Error::<T>::Corrupt)?;
		Self::leave_queue(id, &task)?;
		let refund = Self::refund(&task)?;
		Self::deposit_event(Event::Expired { task: id, refund });
		Self::end(now, id, task, Outcome::Expired, None);
		Ok(())
	}

	/// A receipt goes, unless a court still judges what it is of.
	fn forget(now: BlockNumber, id: TaskId) {
		if Courts::<T>::contains_key(id) {
			let later = now.saturating_add(T::RevealWindow::get()); // see `after`
			Deadlines::<T>::insert(Self::after(later), DueKey::new(id, Due::Forget), ());
		} else {
			Receipts::<T>::remove(id);
		}
	}
}
