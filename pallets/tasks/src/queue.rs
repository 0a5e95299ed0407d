//! A coordinator's ripe tasks for one model: a list linked both ways, so that a task leaves from anywhere in O(1). The coordinator stands in the draw
//! while it is not empty.

use crate::{
	pallet::{Config, Error, Links, Pallet, Queues, Waiting},
	types::{DrawSet, Drawn, Link, Queue},
};
use cuckoo_primitives::{
	traits::{Pools, WeightedSets},
	ModelId, TaskId,
};
use frame_support::{dispatch::DispatchResult, ensure};

/// Where a task joins a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
	/// Drawn next: a task whose miner failed it does not wait twice.
	Front,
	/// Drawn after all others.
	Back,
}

impl<T: Config> Pallet<T> {
	/// Puts a task into its coordinator's queue.
	pub(crate) fn enqueue(
		model: ModelId,
		coordinator: &T::AccountId,
		task: TaskId,
		end: End,
	) -> DispatchResult {
		let (queue, link) = match Queues::<T>::get(model, coordinator) {
			None => {
				Self::start_waiting(model, coordinator)?;
				(Queue { head: task, tail: task }, Link::default())
			},
			Some(Queue { head, tail }) if end == End::Front => {
				Links::<T>::mutate_extant(head, |link| link.prev = Some(task));
				(Queue { head: task, tail }, Link { prev: None, next: Some(head) })
			},
			Some(Queue { head, tail }) => {
				Links::<T>::mutate_extant(tail, |link| link.next = Some(task));
				(Queue { head, tail: task }, Link { prev: Some(tail), next: None })
			},
		};
		Links::<T>::insert(task, link);
		Queues::<T>::insert(model, coordinator, queue);
		Ok(())
	}

	/// Takes a task out of its coordinator's queue, wherever it stands.
	pub(crate) fn dequeue(
		model: ModelId,
		coordinator: &T::AccountId,
		task: TaskId,
	) -> DispatchResult {
		let link = Links::<T>::take(task).ok_or(Error::<T>::Corrupt)?;
		let mut queue = Queues::<T>::get(model, coordinator).ok_or(Error::<T>::Corrupt)?;
		match link.prev {
			Some(prev) => Links::<T>::mutate_extant(prev, |other| other.next = link.next),
			None => queue.head = link.next.unwrap_or(task),
		}
		match link.next {
			Some(next) => Links::<T>::mutate_extant(next, |other| other.prev = link.prev),
			None => queue.tail = link.prev.unwrap_or(task),
		}
		if link == Link::default() {
			Queues::<T>::remove(model, coordinator);
			Self::stop_waiting(model, coordinator)
		} else {
			Queues::<T>::insert(model, coordinator, queue);
			Ok(())
		}
	}

	fn start_waiting(model: ModelId, coordinator: &T::AccountId) -> DispatchResult {
		Waiting::<T>::try_mutate(coordinator, |models| models.try_push(model))
			.map_err(|_| Error::<T>::BadModelCount)?;
		Self::weigh_coordinator(model, coordinator, T::Pools::weight(coordinator))
	}

	fn stop_waiting(model: ModelId, coordinator: &T::AccountId) -> DispatchResult {
		Waiting::<T>::mutate_exists(coordinator, |stored| {
			if let Some(models) = stored {
				models.retain(|other| *other != model);
				if models.is_empty() {
					*stored = None;
				}
			}
		});
		Self::weigh_coordinator(model, coordinator, 0)
	}

	/// Whether a task more would have the coordinator wait for too many models.
	pub(crate) fn ensure_may_wait(model: ModelId, coordinator: &T::AccountId) -> DispatchResult {
		let models = Waiting::<T>::get(coordinator);
		ensure!(models.contains(&model) || !models.is_full(), Error::<T>::BadModelCount);
		Ok(())
	}

	pub(crate) fn weigh_coordinator(
		model: ModelId,
		coordinator: &T::AccountId,
		weight: u128,
	) -> DispatchResult {
		T::Sets::set(
			&DrawSet::Coordinators(model),
			&Drawn::Owner(coordinator.clone()),
			weight,
		)?;
		Self::weigh_model(model)
	}

	/// A model is drawn by the stake that waits for it, while somebody is there to do the work.
	pub(crate) fn weigh_model(model: ModelId) -> DispatchResult {
		let weight = if T::Sets::total(&DrawSet::Miners(model)) > 0 {
			T::Sets::total(&DrawSet::Coordinators(model))
		} else {
			0
		};
		T::Sets::set(&DrawSet::Models, &Drawn::Model(model), weight)
	}
}
