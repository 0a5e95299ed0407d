//! What the runtime API tells about tasks. For nodes, never for blocks.

use crate::{
	pallet::{Config, Miners, Pallet, Receipts, Seats, Tasks},
	types::{DrawSet, Outcome, Phase},
};
use alloc::{string::String, vec::Vec};
use cuckoo_primitives::{
	traits::{Pools, WeightedSets},
	views::{Duty, Obstacle, Seat, TaskPhase, TaskView},
	ModelId, Role, TaskId,
};

impl<T: Config> Pallet<T> {
	/// What this operator account has promised and not done yet.
	pub fn seats(operator: T::AccountId) -> Vec<Seat> {
		let Ok(owner) = Self::miner_of(&operator) else { return Vec::new() };
		let mut seats: Vec<Seat> =
			Seats::<T>::iter_key_prefix(&owner).filter_map(Self::seat).collect();
		seats.sort_by_key(|seat| seat.deadline);
		seats
	}

	fn seat(id: TaskId) -> Option<Seat> {
		let task = Tasks::<T>::get(id)?;
		let (duty, deadline) = match task.phase {
			Phase::Working { deadline, .. } => (Duty::Commit, deadline),
			Phase::Revealing { commitment, deadline, .. } => (Duty::Reveal(commitment), deadline),
			Phase::Ripening { .. } | Phase::Ready => return None,
		};
		Some(Seat {
			task: id,
			round: task.round,
			model: task.model,
			duty,
			deadline,
			input_root: task.input_root,
			items: task.items,
			fee: task.fee,
			endpoint: String::from_utf8_lossy(&T::Pools::endpoint(&task.coordinator)).into_owned(),
			coordinator: task.coordinator,
			coordinator_operator: task.payer,
		})
	}

	/// A task that is open, or ended so lately that its receipt is still kept.
	pub fn task(id: TaskId) -> Option<TaskView> {
		if let Some(task) = Tasks::<T>::get(id) {
			let phase = match task.phase {
				Phase::Ripening { .. } | Phase::Ready => TaskPhase::Queued,
				Phase::Working { .. } => TaskPhase::Working,
				Phase::Revealing { .. } => TaskPhase::Revealing,
			};
			return Some(TaskView {
				task: id,
				model: task.model,
				input_root: task.input_root,
				items: task.items,
				fee: task.fee,
				round: task.round,
				phase,
				miner: task.phase.miner().cloned(),
				blocks: task.blocks,
				output_root: None,
				coordinator: task.coordinator,
			});
		}
		let receipt = Receipts::<T>::get(id)?;
		let (phase, miner, output_root) = match receipt.outcome {
			Outcome::Settled { miner, output_root } => {
				(TaskPhase::Settled, Some(miner), Some(output_root))
			},
			Outcome::Expired => (TaskPhase::Expired, None, None),
			Outcome::Cancelled => (TaskPhase::Cancelled, None, None),
		};
		Some(TaskView {
			task: id,
			model: receipt.model,
			coordinator: receipt.coordinator,
			input_root: receipt.input_root,
			items: receipt.items,
			fee: receipt.fee,
			round: receipt.round,
			phase,
			miner,
			blocks: receipt.blocks,
			output_root,
		})
	}

	/// What keeps an operator with a weight from being drawn, or how likely it is to be.
	pub fn obstacles(owner: &T::AccountId, role: Role) -> Vec<Obstacle> {
		let in_draw = |set: DrawSet, model| {
			let weight = T::Sets::weight(&set, owner)?;
			Some(Obstacle::InDraw { model, weight, total: T::Sets::total(&set) })
		};
		match role {
			Role::Validator => Vec::new(),
			Role::Coordinator => {
				Vec::from([in_draw(DrawSet::Coordinators, None).unwrap_or(Obstacle::NothingPosted)])
			},
			Role::Miner => match Miners::<T>::get(owner) {
				Some(miner) if !miner.online => Vec::from([Obstacle::Offline]),
				None => Vec::from([Obstacle::Offline]),
				Some(miner) if miner.used >= miner.slots => Vec::from([Obstacle::NoFreeSlot]),
				Some(miner) => {
					let draw = |model: &ModelId| in_draw(DrawSet::Miners(*model), Some(*model));
					miner.models.iter().filter_map(draw).collect()
				},
			},
		}
	}
}
