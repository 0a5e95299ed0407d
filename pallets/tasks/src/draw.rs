//! Each block: a coordinator by stake, its oldest task, then a miner by stake, as often as the hook's budget allows.

use crate::{
	pallet::{Config, Deadlines, Demand, Error, Event, Pallet, Queues, Tasks},
	types::{DrawSet, Due, DueKey, Phase},
	WeightInfo,
};
use alloc::vec::Vec;
use codec::Encode;
use cuckoo_primitives::{
	traits::{Models, WeightedSets},
	BlockNumber, ModelId, TaskId,
};
use frame_support::{
	storage::with_storage_layer,
	traits::{Defensive, Randomness},
	weights::WeightMeter,
};
use sp_crypto_hashing::blake2_256;
use sp_runtime::{DispatchError, DispatchResult};

/// The domain of every draw's hash.
const TAG: &[u8; 11] = b"cuckoo/draw";

/// How many coordinators in a block may turn out to wait for nobody who is there, before the block's draws end. Each costs the later draws a walk
/// down the tree.
pub(crate) const MAX_IDLE: usize = 16;

/// What came of drawing a coordinator.
pub(crate) enum Draw<AccountId> {
	/// Its oldest task has a miner.
	Assigned,
	/// No miner is there for any of its tasks.
	Idle(AccountId),
	/// Nobody waits.
	Nobody,
}

impl<T: Config> Pallet<T> {
	/// Draws until nothing waits, nobody is idle, or the budget is used up.
	pub(crate) fn draw_tasks(now: BlockNumber, meter: &mut WeightMeter) {
		if meter.try_consume(T::WeightInfo::hook_base()).is_err() {
			return;
		}
		// Without a VRF in the parent block there is nothing to draw with: the tasks wait a block.
		let (Some(seed), _) = T::Randomness::random(TAG) else { return };
		let mut idle = Vec::new();
		let mut count = 0u32;
		while idle.len() < MAX_IDLE && meter.try_consume(T::WeightInfo::draw()).is_ok() {
			let drawn = with_storage_layer(|| Self::draw_one(now, seed.as_ref(), count, &idle));
			match drawn.defensive() {
				Ok(Draw::Assigned) => {},
				Ok(Draw::Idle(coordinator)) => idle.push(coordinator),
				Ok(Draw::Nobody) | Err(_) => return,
			}
			count = count.saturating_add(1); // far below 2^32 draws fit a block
		}
	}

	pub(crate) fn draw_one(
		now: BlockNumber,
		seed: &[u8],
		count: u32,
		idle: &[T::AccountId],
	) -> Result<Draw<T::AccountId>, DispatchError> {
		let ticket = |step: &[u8], salt: u64| (TAG, seed, step, salt).using_encoded(blake2_256);
		let Some(coordinator) =
			T::Sets::draw(&DrawSet::Coordinators, &ticket(b"coordinator", count.into()), idle)
		else {
			return Ok(Draw::Nobody);
		};
		let Some((model, task)) = Self::oldest(&coordinator) else {
			return Ok(Draw::Idle(coordinator));
		};
		// A miner never gets its own staker's tasks.
		let own = [coordinator];
		let miner = T::Sets::draw(&DrawSet::Miners(model), &ticket(b"miner", task), &own);
		let [coordinator] = own;
		let Some(miner) = miner else { return Ok(Draw::Idle(coordinator)) };
		Self::dequeue(model, &coordinator, task)?;
		Self::assign(now, task, miner)?;
		Ok(Draw::Assigned)
	}

	/// A coordinator's oldest queued task for which a miner is there.
	fn oldest(coordinator: &T::AccountId) -> Option<(ModelId, TaskId)> {
		Demand::<T>::get(coordinator)
			.iter()
			.filter(|demand| demand.queued > 0)
			.filter(|demand| T::Sets::total(&DrawSet::Miners(demand.model)) > 0)
			.filter_map(|demand| {
				let queue = Queues::<T>::get(demand.model, coordinator)?;
				Some((demand.model, queue.head))
			})
			.min_by_key(|(_, task)| *task)
	}

	pub(crate) fn assign(now: BlockNumber, id: TaskId, miner: T::AccountId) -> DispatchResult {
		let mut task = Tasks::<T>::get(id).ok_or(Error::<T>::Corrupt)?;
		let window = T::Models::terms(task.model).ok_or(Error::<T>::Corrupt)?.work_window;
		// Windows and items are bounded (`MaxWorkWindow`, `MaxItems`); a deadline at the end of all blocks is as good as none.
		let deadline = now.saturating_add(window.saturating_mul(task.items));
		Deadlines::<T>::remove(Self::after(task.blocks.expires), DueKey::new(id, Due::Expire));
		Deadlines::<T>::insert(Self::after(deadline), DueKey::new(id, Due::Commit), ());
		task.blocks.drawn = Some(now);
		task.phase = Phase::Working { miner: miner.clone(), deadline };
		let round = task.round;
		Tasks::<T>::insert(id, task);
		Self::take_seat(&miner, id)?;
		Self::deposit_event(Event::Drawn { task: id, miner, round, deadline });
		Ok(())
	}
}
