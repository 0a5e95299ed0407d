//! What must hold of all tasks; run after every test.

use crate::{
	pallet::{
		Config, DeadlineCursor, Deadlines, Demand, HoldReason, Links, Miners, NextTask, Pallet,
		Queues, Receipts, Seats, Tasks,
	},
	types::{DrawSet, Due, Phase},
};
use alloc::{
	collections::{BTreeMap, BTreeSet},
	vec::Vec,
};
use cuckoo_primitives::{
	traits::{Pools, WeightedSets},
	Balance, ModelId, TaskId,
};
use frame_support::{ensure, traits::fungible::InspectHold};
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// The list in the README, in its order.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		Self::validate_queues()?;
		Self::validate_fees()?;
		Self::validate_seats()?;
		Self::validate_draws()?;
		Self::validate_deadlines()
	}

	fn validate_queues() -> Result<(), TryRuntimeError> {
		let mut queued = BTreeSet::new();
		for (model, coordinator, queue) in Queues::<T>::iter() {
			let (mut at, mut before) = (Some(queue.head), None);
			while let Some(id) = at {
				let link = Links::<T>::get(id).ok_or("a queued task has no link")?;
				ensure!(link.prev == before, "a queue is not linked both ways");
				let task = Tasks::<T>::get(id).ok_or("a queued task is not open")?;
				ensure!(
					task.phase == Phase::Ready
						&& task.model == model
						&& task.coordinator == coordinator,
					"a task stands in a queue that its phase does not name"
				);
				ensure!(queued.insert(id), "a task is queued twice");
				(before, at) = (at, link.next);
			}
			ensure!(before == Some(queue.tail), "a queue does not end at its tail");
		}
		let ready: BTreeSet<TaskId> = Tasks::<T>::iter()
			.filter(|(_, task)| task.phase == Phase::Ready)
			.map(|(id, _)| id)
			.collect();
		ensure!(ready == queued, "a ready task is in no queue");
		ensure!(Links::<T>::iter_keys().count() == queued.len(), "a link belongs to no queue");
		Self::validate_demand()
	}

	fn validate_demand() -> Result<(), TryRuntimeError> {
		let mut counted: BTreeMap<(T::AccountId, ModelId), (u32, u32)> = BTreeMap::new();
		for task in Tasks::<T>::iter_values() {
			let (open, queued) = counted.entry((task.coordinator, task.model)).or_default();
			*open += 1;
			*queued += u32::from(task.phase == Phase::Ready);
		}
		for (coordinator, demands) in Demand::<T>::iter() {
			ensure!(!demands.is_empty(), "an empty demand is stored");
			for demand in demands {
				ensure!(
					counted.remove(&(coordinator.clone(), demand.model))
						== Some((demand.open, demand.queued)),
					"what a coordinator has open is not counted right"
				);
			}
		}
		ensure!(counted.is_empty(), "an open task is not counted");
		Ok(())
	}

	fn validate_fees() -> Result<(), TryRuntimeError> {
		let mut held: BTreeMap<T::AccountId, Balance> = BTreeMap::new();
		for task in Tasks::<T>::iter_values() {
			*held.entry(task.payer).or_default() += task.fee;
		}
		for (payer, fees) in held {
			ensure!(
				T::Currency::balance_on_hold(&HoldReason::Fee.into(), &payer) == fees,
				"what is held is not the sum of the open tasks' fees"
			);
		}
		Ok(())
	}

	fn validate_seats() -> Result<(), TryRuntimeError> {
		let mut seats: BTreeMap<T::AccountId, Vec<TaskId>> = BTreeMap::new();
		for (id, task) in Tasks::<T>::iter() {
			if let Some(miner) = task.phase.miner() {
				seats.entry(miner.clone()).or_default().push(id);
			}
		}
		ensure!(
			Seats::<T>::iter_keys().count() == seats.values().map(Vec::len).sum::<usize>(),
			"a seat in no task"
		);
		for (owner, tasks) in &seats {
			ensure!(
				tasks.iter().all(|id| Seats::<T>::contains_key(owner, id)),
				"a drawn miner has no seat"
			);
			ensure!(
				Miners::<T>::get(owner).is_some_and(|miner| miner.used as usize == tasks.len()),
				"a miner's used slots are not its seats"
			);
		}
		for (owner, miner) in Miners::<T>::iter() {
			ensure!(
				seats.get(&owner).map_or(0, Vec::len) == miner.used as usize,
				"a miner's used slots are not its seats"
			);
			ensure!(miner.online || miner.used > 0, "a miner that is gone is stored");
		}
		Ok(())
	}

	fn validate_draws() -> Result<(), TryRuntimeError> {
		let mut expected: BTreeMap<DrawSet, BTreeMap<T::AccountId, Balance>> = BTreeMap::new();
		for (owner, miner) in Miners::<T>::iter() {
			let weight = Self::miner_weight(&miner, T::Pools::weight(&owner));
			for model in miner.models.iter().filter(|_| weight > 0) {
				expected.entry(DrawSet::Miners(*model)).or_default().insert(owner.clone(), weight);
			}
		}
		for (coordinator, demands) in Demand::<T>::iter() {
			let weight = Self::coordinator_weight(&demands, T::Pools::weight(&coordinator));
			if weight > 0 {
				expected.entry(DrawSet::Coordinators).or_default().insert(coordinator, weight);
			}
		}
		let stored: BTreeMap<DrawSet, BTreeMap<T::AccountId, Balance>> = T::Sets::sets()
			.into_iter()
			.map(|set| (set, T::Sets::members(&set).into_iter().collect()))
			.collect();
		ensure!(stored == expected, "a draw is not by the stake of those who may be drawn");
		Ok(())
	}

	fn validate_deadlines() -> Result<(), TryRuntimeError> {
		let mut due = BTreeSet::new();
		for (id, task) in Tasks::<T>::iter() {
			ensure!(id < NextTask::<T>::get(), "a task's number is not below the next");
			ensure!(!Receipts::<T>::contains_key(id), "an open task has a receipt");
			let expire = (Self::after(task.blocks.expires), (id, Due::Expire));
			match task.phase {
				Phase::Ripening { ripe } => due.extend([expire, (ripe, (id, Due::Ripe))]),
				Phase::Ready => due.extend([expire]),
				Phase::Working { deadline, .. } => {
					due.extend([(Self::after(deadline), (id, Due::Commit))]);
				},
				Phase::Revealing { deadline, .. } => {
					due.extend([(Self::after(deadline), (id, Due::Reveal))]);
				},
			}
		}
		let cursor = DeadlineCursor::<T>::get();
		let mut forgotten = 0;
		for (at, key) in Deadlines::<T>::iter_keys() {
			let (id, what) = key.parts();
			ensure!(at >= cursor, "a deadline in the past");
			if what == Due::Forget {
				ensure!(Receipts::<T>::contains_key(id), "the end of no receipt");
				forgotten += 1;
			} else {
				ensure!(due.remove(&(at, (id, what))), "a deadline that its task does not name");
			}
		}
		ensure!(due.is_empty(), "a task without its deadline");
		ensure!(Receipts::<T>::iter_keys().count() == forgotten, "a receipt without an end");
		Ok(())
	}
}
