//! A coordinator's ripe tasks for one model: a list linked both ways, so that a task leaves from anywhere in O(1). The coordinator stands in the draw
//! while one of its queues is not empty.
//!
//! A task's place is reserved when it is posted: what a coordinator has open is counted by model, so that joining a queue later cannot fail.

use crate::{
	pallet::{Config, Demand as Demanded, Error, Links, Pallet, Queues},
	types::{Demand, DrawSet, Link, Queue},
};
use cuckoo_primitives::{
	traits::{Pools, WeightedSets},
	Balance, ModelId, TaskId,
};
use frame_support::{dispatch::DispatchResult, ensure, traits::Get};

/// Where a task joins a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
	/// Drawn next: a task whose miner failed it does not wait twice.
	Front,
	/// Drawn after all others.
	Back,
}

impl<T: Config> Pallet<T> {
	/// Reserves a place for one task more of this model.
	pub(crate) fn open_demand(model: ModelId, coordinator: &T::AccountId) -> DispatchResult {
		Demanded::<T>::try_mutate(coordinator, |demands| {
			// At most sixteen counters, none above `MaxOpenTasks`.
			let open = demands.iter().fold(0u32, |sum, demand| sum.saturating_add(demand.open));
			ensure!(open < T::MaxOpenTasks::get(), Error::<T>::TooManyTasks);
			match demands.iter_mut().find(|demand| demand.model == model) {
				Some(demand) => demand.open = demand.open.saturating_add(1),
				None => demands
					.try_push(Demand { model, open: 1, queued: 0 })
					.map_err(|_| Error::<T>::BadModelCount)?,
			}
			Ok(())
		})
	}

	/// Gives the place of a task back that has ended.
	pub(crate) fn close_demand(model: ModelId, coordinator: &T::AccountId) {
		Demanded::<T>::mutate_exists(coordinator, |stored| {
			let Some(demands) = stored else { return };
			if let Some(demand) = demands.iter_mut().find(|demand| demand.model == model) {
				demand.open = demand.open.saturating_sub(1); // counted up when it was posted
			}
			demands.retain(|demand| demand.open > 0);
			if demands.is_empty() {
				*stored = None;
			}
		});
	}

	/// Counts a task that joins or leaves a queue; the coordinator joins the draw with its first and leaves it with its last.
	fn count_queued(
		model: ModelId,
		coordinator: &T::AccountId,
		change: impl FnOnce(u32) -> Option<u32>,
	) -> DispatchResult {
		let demands = Demanded::<T>::try_mutate(coordinator, |demands| {
			let demand = demands
				.iter_mut()
				.find(|demand| demand.model == model)
				.ok_or(Error::<T>::Corrupt)?;
			demand.queued = change(demand.queued).ok_or(Error::<T>::Corrupt)?;
			Ok::<_, Error<T>>(demands.clone())
		})?;
		let weight = Self::coordinator_weight(&demands, T::Pools::weight(coordinator));
		T::Sets::set(&DrawSet::Coordinators, coordinator, weight)
	}

	/// What a coordinator weighs in the draw.
	pub(crate) fn coordinator_weight(demands: &[Demand], stake: Balance) -> Balance {
		if demands.iter().any(|demand| demand.queued > 0) {
			stake
		} else {
			0
		}
	}

	/// Puts a task into its coordinator's queue.
	pub(crate) fn enqueue(
		model: ModelId,
		coordinator: &T::AccountId,
		task: TaskId,
		end: End,
	) -> DispatchResult {
		let (queue, link) = match Queues::<T>::get(model, coordinator) {
			None => (Queue { head: task, tail: task }, Link::default()),
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
		Self::count_queued(model, coordinator, |queued| queued.checked_add(1))
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
		} else {
			Queues::<T>::insert(model, coordinator, queue);
		}
		Self::count_queued(model, coordinator, |queued| queued.checked_sub(1))
	}
}
