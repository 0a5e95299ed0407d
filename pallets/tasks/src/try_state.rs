//! What must hold of all tasks; run after every test.

use crate::{
	pallet::{
		Config, Courts, DeadlineCursor, Deadlines, Demand, HoldReason, Links, Miners, NextTask,
		Pallet, Queues, Receipts, Seats, Tasks,
	},
	types::{DrawSet, Due, Outcome, Phase, Stage},
};
use alloc::collections::{BTreeMap, BTreeSet};
use cuckoo_primitives::{
	traits::{Pools, WeightedSets},
	views::SeatKind,
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
		Self::validate_courts()?;
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
			*held.entry(task.payer.clone()).or_default() += task.held();
		}
		let mut bonds: BTreeMap<T::AccountId, Balance> = BTreeMap::new();
		for challenge in Courts::<T>::iter_values().filter_map(|court| court.challenge) {
			*bonds.entry(challenge.by).or_default() += challenge.bond;
		}
		for (challenger, bond) in bonds {
			ensure!(
				T::Currency::balance_on_hold(&HoldReason::Challenge.into(), &challenger) == bond,
				"what is held is not the sum of the bonds of open challenges"
			);
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
		let mut expected: BTreeMap<(T::AccountId, TaskId), SeatKind> = BTreeMap::new();
		for (id, task) in Tasks::<T>::iter() {
			let kinds =
				core::iter::once(SeatKind::Primary).chain(core::iter::repeat(SeatKind::Verifier));
			for (owner, kind) in task.phase.seated().zip(kinds) {
				let twice = expected.insert((owner.clone(), id), kind).is_some();
				ensure!(!twice, "two seats of a task belong to one owner");
			}
		}
		for (id, court) in Courts::<T>::iter() {
			for owner in &court.jurors {
				let twice = expected.insert((owner.clone(), id), SeatKind::Juror).is_some();
				ensure!(!twice, "a juror has another seat in the task");
			}
		}
		let mut used: BTreeMap<T::AccountId, (u32, u32, Balance)> = BTreeMap::new();
		for (owner, id, seat) in Seats::<T>::iter() {
			let kind = expected.remove(&(owner.clone(), id));
			ensure!(kind == Some(seat.kind), "a seat that its task or court does not name");
			ensure!(seat.shown.is_none() || seat.promise.is_some(), "shown but not promised");
			let (to_compute, count, risk) = used.entry(owner).or_default();
			*to_compute += u32::from(seat.promise.is_none());
			*count += 1;
			*risk += seat.risk;
		}
		ensure!(expected.is_empty(), "a task or court names a seat that is not there");
		for (owner, miner) in Miners::<T>::iter() {
			let (to_compute, count, risk) = used.remove(&owner).unwrap_or_default();
			ensure!(
				miner.used == to_compute,
				"a miner's used slots are not what it has to compute"
			);
			ensure!(miner.seats == count, "a miner's seats are not counted right");
			ensure!(miner.at_risk == risk, "what a miner has at risk is not that of its seats");
			ensure!(miner.online || miner.seats > 0, "a miner that is gone is stored");
		}
		ensure!(used.is_empty(), "the seat of no miner");
		Ok(())
	}

	fn validate_courts() -> Result<(), TryRuntimeError> {
		for (id, court) in Courts::<T>::iter() {
			ensure!(!court.accused.is_empty(), "a court without anybody to judge");
			match Tasks::<T>::get(id) {
				Some(task) => ensure!(
					court.challenge.is_none() && matches!(task.phase, Phase::Disputed { .. }),
					"a court about a task that is not disputed"
				),
				None => ensure!(
					court.challenge.is_some()
						&& Receipts::<T>::get(id).is_some_and(|receipt| matches!(
							receipt.outcome,
							Outcome::Settled { .. }
						)),
					"a challenge of what was not paid"
				),
			}
		}
		for (id, task) in Tasks::<T>::iter() {
			let disputed = matches!(task.phase, Phase::Disputed { .. });
			ensure!(disputed == Courts::<T>::contains_key(id), "a dispute without a court");
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
				Phase::Lottery { at, due: audit, .. } => {
					let what = if audit { Due::Audit } else { Due::Lottery };
					due.extend([(at, (id, what))]);
				},
				Phase::Verifying { deadline, .. } => {
					due.extend([(Self::after(deadline), (id, Due::Verify))]);
				},
				Phase::Revealing { deadline, .. } => {
					due.extend([(Self::after(deadline), (id, Due::Reveal))]);
				},
				Phase::Disputed { .. } => {},
			}
		}
		for (id, court) in Courts::<T>::iter() {
			due.insert(match court.stage {
				Stage::Gathering { at, .. } => (at, (id, Due::Court)),
				Stage::Committing { deadline } => (Self::after(deadline), (id, Due::JuryCommit)),
				Stage::Revealing { deadline } => (Self::after(deadline), (id, Due::JuryReveal)),
			});
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
