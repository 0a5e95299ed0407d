//! Post, cancel, commit, reveal, and how a task ends.

use crate::{
	pallet::{Config, Deadlines, Error, Event, HoldReason, NextTask, Pallet, Receipts, Tasks},
	types::{Commitment, Due, DueKey, Outcome, Phase, Receipt, Reveal, Task},
};
use cuckoo_primitives::{
	commitment::commitment,
	traits::{Models, Pools},
	views::TaskBlocks,
	Balance, BlockNumber, ModelId, Role, TaskId,
};
use frame_support::{
	dispatch::DispatchResult,
	ensure,
	storage::with_storage_layer,
	traits::{
		fungible::MutateHold,
		tokens::{Fortitude, Precision, Restriction},
		Get,
	},
};
use sp_core::H256;
use sp_runtime::{traits::Zero, DispatchError, SaturatedConversion};

impl<T: Config> Pallet<T> {
	pub(crate) fn now() -> BlockNumber {
		frame_system::Pallet::<T>::block_number().saturated_into()
	}

	fn genesis() -> H256 {
		frame_system::Pallet::<T>::block_hash(
			frame_system::pallet_prelude::BlockNumberFor::<T>::zero(),
		)
	}

	pub(crate) fn do_post(
		operator: T::AccountId,
		model: ModelId,
		input_root: H256,
		items: u32,
		fee: Balance,
		max_wait: BlockNumber,
	) -> DispatchResult {
		let coordinator = match T::Pools::of_operator(&operator) {
			Some((owner, Role::Coordinator)) => owner,
			_ => return Err(Error::<T>::NotCoordinator.into()),
		};
		ensure!(T::Pools::weight(&coordinator) > 0, Error::<T>::StakeTooSmall);
		let terms = T::Models::terms(model).ok_or(Error::<T>::UnknownModel)?;
		ensure!(terms.active, Error::<T>::ModelInactive);
		ensure!((1..=T::MaxItems::get()).contains(&items), Error::<T>::BadItemCount);
		ensure!(
			(T::RandomnessDelay::get()..=T::MaxWait::get()).contains(&max_wait),
			Error::<T>::BadMaxWait
		);
		let least = terms.min_fee.checked_mul(items.into()).ok_or(Error::<T>::Overflow)?;
		ensure!(fee >= least, Error::<T>::FeeTooLow);
		Self::open_demand(model, &coordinator)?;
		T::Currency::hold(&HoldReason::Fee.into(), &operator, fee)?;

		let now = Self::now();
		let id = NextTask::<T>::get();
		NextTask::<T>::put(id.checked_add(1).ok_or(Error::<T>::Overflow)?);
		let expires = now.checked_add(max_wait).ok_or(Error::<T>::Overflow)?;
		let mut task = Task {
			coordinator: coordinator.clone(),
			payer: operator,
			model,
			input_root,
			items,
			fee,
			round: 0,
			blocks: TaskBlocks { posted: now, expires, ..Default::default() },
			phase: Phase::Ready,
		};
		Self::wait(now, id, &mut task);
		Tasks::<T>::insert(id, task);
		Self::deposit_event(Event::Posted { task: id, coordinator, model, items, fee });
		Ok(())
	}

	/// The open task, or why there is none.
	fn open(id: TaskId) -> Result<Task<T::AccountId>, Error<T>> {
		Tasks::<T>::get(id).ok_or_else(|| {
			if Receipts::<T>::contains_key(id) {
				Error::<T>::TaskEnded
			} else {
				Error::<T>::UnknownTask
			}
		})
	}

	pub(crate) fn do_cancel(operator: T::AccountId, id: TaskId) -> DispatchResult {
		let task = Self::open(id)?;
		ensure!(
			T::Pools::of_operator(&operator).is_some_and(|(owner, _)| owner == task.coordinator),
			Error::<T>::NotYours
		);
		ensure!(task.phase.miner().is_none(), Error::<T>::AlreadyDrawn);
		Self::leave_queue(id, &task)?;
		Deadlines::<T>::remove(Self::after(task.blocks.expires), DueKey::new(id, Due::Expire));
		Self::refund(Self::now(), id, task, Outcome::Cancelled)
	}

	/// Takes a task that waits out of wherever it waits.
	pub(crate) fn leave_queue(id: TaskId, task: &Task<T::AccountId>) -> DispatchResult {
		match task.phase {
			Phase::Ripening { ripe } => {
				Deadlines::<T>::remove(ripe, DueKey::new(id, Due::Ripe));
				Ok(())
			},
			Phase::Ready => Self::dequeue(task.model, &task.coordinator, id),
			Phase::Working { .. } | Phase::Revealing { .. } => Err(Error::<T>::Corrupt.into()),
		}
	}

	/// Does one thing after the other, each whole or not at all; fails only if none is done.
	pub(crate) fn do_each<I>(
		list: impl IntoIterator<Item = I>,
		act: impl Fn(&I) -> DispatchResult,
		refused: impl Fn(&I, DispatchError) -> Event<T>,
	) -> DispatchResult {
		let mut done = false;
		let mut first = None;
		for item in list {
			match with_storage_layer(|| act(&item)) {
				Ok(()) => done = true,
				Err(error) => {
					first.get_or_insert(error);
					Self::deposit_event(refused(&item, error));
				},
			}
		}
		match first {
			_ if done => Ok(()),
			Some(error) => Err(error),
			None => Err(Error::<T>::NothingToDo.into()),
		}
	}

	pub(crate) fn do_commit(operator: &T::AccountId, promise: &Commitment) -> DispatchResult {
		let id = promise.task;
		let owner = Self::miner_of(operator)?;
		let mut task = Self::open(id)?;
		ensure!(task.phase.miner() == Some(&owner), Error::<T>::NoSeat);
		ensure!(
			promise.round == task.round && promise.input_root == task.input_root,
			Error::<T>::WrongRound
		);
		let Phase::Working { miner, deadline } = task.phase else {
			return Err(Error::<T>::AlreadyCommitted.into());
		};
		let now = Self::now();
		ensure!(now <= deadline, Error::<T>::TooLate);
		Deadlines::<T>::remove(Self::after(deadline), DueKey::new(id, Due::Commit));
		let deadline = now.saturating_add(T::RevealWindow::get()); // see `after`
		Deadlines::<T>::insert(Self::after(deadline), DueKey::new(id, Due::Reveal), ());
		task.blocks.committed = Some(now);
		task.phase = Phase::Revealing {
			miner: miner.clone(),
			by: operator.clone(),
			commitment: promise.hash,
			committed: now,
			deadline,
		};
		Tasks::<T>::insert(id, task);
		Self::deposit_event(Event::Committed { task: id, miner, deadline });
		Ok(())
	}

	pub(crate) fn do_reveal(operator: &T::AccountId, reveal: &Reveal) -> DispatchResult {
		let id = reveal.task;
		let owner = Self::miner_of(operator)?;
		let mut task = Self::open(id)?;
		ensure!(task.phase.miner() == Some(&owner), Error::<T>::NoSeat);
		let Phase::Revealing { miner, by, commitment: promised, committed, deadline } =
			task.phase.clone()
		else {
			return Err(Error::<T>::NotCommitted.into());
		};
		let now = Self::now();
		ensure!(now > committed, Error::<T>::TooEarly);
		ensure!(now <= deadline, Error::<T>::TooLate);
		let shown =
			commitment(&Self::genesis(), id, task.round, &by, &reveal.output_root, &reveal.salt);
		ensure!(shown == promised, Error::<T>::WrongReveal);
		Deadlines::<T>::remove(Self::after(deadline), DueKey::new(id, Due::Reveal));
		task.blocks.revealed = Some(now);
		Self::leave_seat(&miner, id)?;
		Self::settle(now, id, task, miner, reveal.output_root)
	}

	/// Pays the miner's pool. The fee is in the pot before the pool's books say so.
	fn settle(
		now: BlockNumber,
		id: TaskId,
		task: Task<T::AccountId>,
		miner: T::AccountId,
		output_root: H256,
	) -> DispatchResult {
		let fee = task.fee;
		T::Currency::transfer_on_hold(
			&HoldReason::Fee.into(),
			&task.payer,
			&T::Pools::pot(),
			fee,
			Precision::Exact,
			Restriction::Free,
			// A freeze on the payer's account is no reason not to pay its miner.
			Fortitude::Force,
		)?;
		T::Pools::pay(&miner, fee)?;
		Self::end(now, id, task, Outcome::Settled { miner: miner.clone(), output_root });
		Self::deposit_event(Event::Settled { task: id, miner, fee, output_root });
		Ok(())
	}

	/// Returns the fee of a task that nobody finished.
	pub(crate) fn refund(
		now: BlockNumber,
		id: TaskId,
		task: Task<T::AccountId>,
		outcome: Outcome<T::AccountId>,
	) -> DispatchResult {
		let refund = T::Currency::release(
			&HoldReason::Fee.into(),
			&task.payer,
			task.fee,
			Precision::BestEffort,
		)?;
		Self::deposit_event(match outcome {
			Outcome::Cancelled => Event::Cancelled { task: id, refund },
			_ => Event::Expired { task: id, refund },
		});
		Self::end(now, id, task, outcome);
		Ok(())
	}

	/// Leaves nothing of a task but its receipt.
	fn end(now: BlockNumber, id: TaskId, task: Task<T::AccountId>, outcome: Outcome<T::AccountId>) {
		let Task { coordinator, model, input_root, items, fee, round, mut blocks, .. } = task;
		blocks.ended = Some(now);
		Self::close_demand(model, &coordinator);
		Tasks::<T>::remove(id);
		Receipts::<T>::insert(
			id,
			Receipt { coordinator, model, input_root, items, fee, round, blocks, outcome },
		);
		let forget = now.saturating_add(T::ReceiptLife::get()); // see `after`
		Deadlines::<T>::insert(Self::after(forget), DueKey::new(id, Due::Forget), ());
	}
}
