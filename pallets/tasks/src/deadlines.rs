//! What happens when a block comes. Everything that is due is kept by block; what the hook's budget cannot take goes on in the next block, oldest first.

use crate::{
	pallet::{Config, DeadlineCursor, Deadlines, Error, Event, Pallet, Receipts, Tasks},
	queue::End,
	types::{Due, DueKey, Outcome, Phase},
	WeightInfo,
};
use cuckoo_primitives::{BlockNumber, TaskId};
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
			.saturating_add(T::WeightInfo::expire())
			.saturating_add(T::WeightInfo::forget())
	}

	/// What meeting a deadline can cost.
	pub(crate) fn due_weight(due: Due) -> Weight {
		match due {
			Due::Ripe => T::WeightInfo::ripen(),
			Due::Commit | Due::Reveal => T::WeightInfo::miss(),
			Due::Expire => T::WeightInfo::expire(),
			Due::Forget => T::WeightInfo::forget(),
		}
	}

	fn meet(now: BlockNumber, task: TaskId, due: Due) -> DispatchResult {
		match due {
			Due::Ripe => Self::ripen(task),
			Due::Commit | Due::Reveal => Self::miss(now, task),
			Due::Expire => Self::expire(now, task),
			Due::Forget => {
				Receipts::<T>::remove(task);
				Ok(())
			},
		}
	}

	/// The task's randomness is there: it joins its queue.
	fn ripen(id: TaskId) -> DispatchResult {
		let mut task = Tasks::<T>::get(id).ok_or(Error::<T>::Corrupt)?;
		let end = if task.round == 0 { End::Back } else { End::Front };
		Self::enqueue(task.model, &task.coordinator, id, end)?;
		task.phase = Phase::Ready;
		Tasks::<T>::insert(id, task);
		Ok(())
	}

	/// The miner did not do its part: it goes offline, and the task back or home.
	fn miss(now: BlockNumber, id: TaskId) -> DispatchResult {
		let mut task = Tasks::<T>::get(id).ok_or(Error::<T>::Corrupt)?;
		let miner = task.phase.miner().ok_or(Error::<T>::Corrupt)?.clone();
		Self::deposit_event(Event::Missed { task: id, miner: miner.clone(), round: task.round });
		Self::take_offline(&miner)?;
		Self::leave_seat(&miner, id)?;
		if now > task.blocks.expires {
			return Self::refund(now, id, task, Outcome::Expired);
		}
		task.round = task.round.checked_add(1).ok_or(Error::<T>::Overflow)?;
		task.blocks.drawn = None;
		task.blocks.committed = None;
		Self::wait(now, id, &mut task);
		Tasks::<T>::insert(id, task);
		Ok(())
	}

	/// Has a task wait for randomness made after this block, and sets the end of its waiting.
	pub(crate) fn wait(now: BlockNumber, id: TaskId, task: &mut crate::types::Task<T::AccountId>) {
		let ripe = now.saturating_add(T::RandomnessDelay::get());
		task.phase = Phase::Ripening { ripe };
		Deadlines::<T>::insert(ripe, DueKey::new(id, Due::Ripe), ());
		Deadlines::<T>::insert(Self::after(task.blocks.expires), DueKey::new(id, Due::Expire), ());
	}

	fn expire(now: BlockNumber, id: TaskId) -> DispatchResult {
		let task = Tasks::<T>::get(id).ok_or(Error::<T>::Corrupt)?;
		Self::leave_queue(id, &task)?;
		Self::refund(now, id, task, Outcome::Expired)
	}
}
