//! Each block: a coordinator by stake, its oldest task, then a miner by stake, as often as the hook's budget allows.

use crate::{
	pallet::{Config, Deadlines, Error, Event, Pallet, Queues, Tasks},
	types::{DrawSet, Drawn, Due, DueKey, Phase},
	WeightInfo,
};
use codec::Encode;
use cuckoo_primitives::{
	traits::{Models, WeightedSets},
	BlockNumber, TaskId,
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

impl<T: Config> Pallet<T> {
	/// Draws until nothing waits, nobody is idle, or the budget is used up.
	pub(crate) fn draw_tasks(now: BlockNumber, meter: &mut WeightMeter) {
		if meter.try_consume(T::WeightInfo::hook_base()).is_err() {
			return;
		}
		// Without a VRF in the parent block there is nothing to draw with: the tasks wait a block.
		let (Some(seed), _) = T::Randomness::random(TAG) else { return };
		let mut count = 0u32;
		while meter.try_consume(T::WeightInfo::draw()).is_ok() {
			let drawn = with_storage_layer(|| Self::draw_one(now, seed.as_ref(), count));
			match drawn.defensive() {
				Ok(true) => count = count.saturating_add(1), // far below 2^32 draws fit a block
				Ok(false) | Err(_) => return,
			}
		}
	}

	/// Draws one task and its miner; `false` if there is no pair left.
	fn draw_one(now: BlockNumber, seed: &[u8], count: u32) -> Result<bool, DispatchError> {
		let ticket = |step: &[u8], salt: u64| (TAG, seed, step, salt).using_encoded(blake2_256);
		let Some(Drawn::Model(model)) =
			T::Sets::draw(&DrawSet::Models, &ticket(b"model", count.into()), &[])
		else {
			return Ok(false);
		};
		let Some(Drawn::Owner(coordinator)) = T::Sets::draw(
			&DrawSet::Coordinators(model),
			&ticket(b"coordinator", count.into()),
			&[],
		) else {
			return Ok(false);
		};
		let queue = Queues::<T>::get(model, &coordinator).ok_or(Error::<T>::Corrupt)?;
		let task = queue.head;
		// A miner never gets its own staker's tasks.
		let own = [Drawn::Owner(coordinator.clone())];
		let Some(Drawn::Owner(miner)) =
			T::Sets::draw(&DrawSet::Miners(model), &ticket(b"miner", task), &own)
		else {
			return Ok(false);
		};
		Self::dequeue(model, &coordinator, task)?;
		Self::assign(now, task, miner)?;
		Ok(true)
	}

	fn assign(now: BlockNumber, id: TaskId, miner: T::AccountId) -> DispatchResult {
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
