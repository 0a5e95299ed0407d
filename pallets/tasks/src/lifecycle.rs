//! Post, cancel, and how a task ends.

use crate::{
	pallet::{Config, Deadlines, Error, Event, HoldReason, NextTask, Pallet, Receipts, Tasks},
	types::{
		AuditTerms, Due, DueKey, Outcome, Phase, Receipt, Seat, Task, Verifiers, MAX_SAMPLE,
		MAX_VERIFIERS,
	},
};
use cuckoo_primitives::{
	traits::{Models, Pools},
	views::{SeatKind, TaskBlocks},
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

	pub(crate) fn genesis() -> H256 {
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
		ensure!(terms.window(items) <= T::MaxWindow::get(), Error::<T>::BadItemCount);
		ensure!(
			(T::RandomnessDelay::get()..=T::MaxWait::get()).contains(&max_wait),
			Error::<T>::BadMaxWait
		);
		let least = terms.min_fee.checked_mul(items.into()).ok_or(Error::<T>::Overflow)?;
		ensure!(fee >= least, Error::<T>::FeeTooLow);
		ensure!(
			Self::risk(fee, SeatKind::Primary) <= T::Pools::least_bond(Role::Miner),
			Error::<T>::FeeTooHigh
		);
		Self::open_demand(model, &coordinator)?;
		let audit = Self::audit_terms(fee, items).ok_or(Error::<T>::Overflow)?;

		let now = Self::now();
		let id = NextTask::<T>::get();
		NextTask::<T>::put(id.checked_add(1).ok_or(Error::<T>::Overflow)?);
		let expires = now.checked_add(max_wait).ok_or(Error::<T>::Overflow)?;
		let mut task = Task {
			coordinator: coordinator.clone(),
			payer: operator,
			model,
			tolerance: terms.tolerance,
			input_root,
			items,
			fee,
			audit,
			round: 0,
			rounds: 0,
			output_root: None,
			unable: Default::default(),
			blocks: TaskBlocks { posted: now, expires, ..Default::default() },
			phase: Phase::Ready,
		};
		T::Currency::hold(&HoldReason::Fee.into(), &task.payer, task.held())?;
		Self::wait(now, id, &mut task);
		Tasks::<T>::insert(id, task);
		Self::deposit_event(Event::Posted { task: id, coordinator, model, items, fee });
		Ok(())
	}

	/// What an audit of a task with this fee is. Each verifier is paid for its items what the miner is paid for as many. `None` if it does not fit.
	fn audit_terms(fee: Balance, items: u32) -> Option<AuditTerms> {
		let verifiers = T::Verifiers::get().clamp(1, MAX_VERIFIERS);
		let sample = T::SampleSize::get().clamp(1, MAX_SAMPLE).min(items);
		let each = fee.checked_mul(sample.into())?.div_ceil(items.max(1).into());
		fee.checked_add(each.checked_mul(verifiers.into())?)?;
		Some(AuditTerms { verifiers, sample, fee: each })
	}

	/// The open task, or why there is none.
	pub(crate) fn open(id: TaskId) -> Result<Task<T::AccountId>, Error<T>> {
		Tasks::<T>::get(id).ok_or_else(|| {
			if Receipts::<T>::contains_key(id) {
				Error::<T>::TaskEnded
			} else {
				Error::<T>::UnknownTask
			}
		})
	}

	fn ensure_own(operator: &T::AccountId, task: &Task<T::AccountId>) -> Result<(), Error<T>> {
		let owner = T::Pools::of_operator(operator).map(|(owner, _)| owner);
		ensure!(owner.as_ref() == Some(&task.coordinator), Error::<T>::NotYours);
		Ok(())
	}

	pub(crate) fn do_cancel(operator: T::AccountId, id: TaskId) -> DispatchResult {
		let task = Self::open(id)?;
		Self::ensure_own(&operator, &task)?;
		ensure!(task.phase.miner().is_none(), Error::<T>::AlreadyDrawn);
		Self::leave_queue(id, &task)?;
		Deadlines::<T>::remove(Self::after(task.blocks.expires), DueKey::new(id, Due::Expire));
		let refund = Self::refund(&task)?;
		Self::deposit_event(Event::Cancelled { task: id, refund });
		Self::end(Self::now(), id, task, Outcome::Cancelled, None);
		Ok(())
	}

	pub(crate) fn do_undelivered(operator: &T::AccountId, id: TaskId) -> DispatchResult {
		let task = Self::open(id)?;
		Self::ensure_own(operator, &task)?;
		let Phase::Lottery { miner, at, due: false, attempts: 0, .. } = task.phase.clone() else {
			return Err(Error::<T>::NotUndelivered.into());
		};
		Deadlines::<T>::remove(at, DueKey::new(id, Due::Lottery));
		Self::release_seat(&miner, id)?;
		let burnt = Self::burn_fee(&task)?;
		Self::deposit_event(Event::Undelivered { task: id, miner: miner.clone(), burnt });
		Self::end(Self::now(), id, task, Outcome::Undelivered { miner }, None);
		Ok(())
	}

	/// Takes a task that waits out of wherever it waits.
	pub(crate) fn leave_queue(id: TaskId, task: &Task<T::AccountId>) -> DispatchResult {
		match task.phase {
			Phase::Ripening { ripe } => {
				Deadlines::<T>::remove(ripe, DueKey::new(id, Due::Ripe));
				Ok(())
			},
			Phase::Ready => Self::dequeue(task.model, &task.coordinator, id),
			_ => Err(Error::<T>::Corrupt.into()),
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

	/// Has a task wait for randomness made after this block, and sets the end of its waiting.
	pub(crate) fn wait(now: BlockNumber, id: TaskId, task: &mut Task<T::AccountId>) {
		let ripe = now.saturating_add(T::RandomnessDelay::get());
		task.phase = Phase::Ripening { ripe };
		Deadlines::<T>::insert(ripe, DueKey::new(id, Due::Ripe), ());
		Deadlines::<T>::insert(Self::after(task.blocks.expires), DueKey::new(id, Due::Expire), ());
	}

	/// A task whose miner has left it: it waits for another, or is refunded if it has waited long enough. No seat in it is left.
	pub(crate) fn go_back(
		now: BlockNumber,
		id: TaskId,
		mut task: Task<T::AccountId>,
	) -> DispatchResult {
		if now > task.blocks.expires {
			let refund = Self::refund(&task)?;
			Self::deposit_event(Event::Expired { task: id, refund });
			Self::end(now, id, task, Outcome::Expired, None);
			return Ok(());
		}
		task.round = task.rounds;
		task.output_root = None;
		task.blocks.drawn = None;
		task.blocks.committed = None;
		task.blocks.revealed = None;
		Self::wait(now, id, &mut task);
		Tasks::<T>::insert(id, task);
		Ok(())
	}

	/// Moves a part of what is held for a task to where the stake is.
	fn move_to_pot(payer: &T::AccountId, amount: Balance) -> DispatchResult {
		T::Currency::transfer_on_hold(
			&HoldReason::Fee.into(),
			payer,
			&T::Pools::pot(),
			amount,
			Precision::Exact,
			Restriction::Free,
			// A freeze on the payer's account is no reason not to pay its miner.
			Fortitude::Force,
		)?;
		Ok(())
	}

	/// Pays a pool out of what is held for a task. The fee is in the pot before the pool's books say so.
	fn pay(payer: &T::AccountId, owner: &T::AccountId, fee: Balance) -> DispatchResult {
		Self::move_to_pot(payer, fee)?;
		T::Pools::pay(owner, fee)
	}

	/// Pays a task's miner, and those of its verifiers who did their part; what is left of what was held goes back.
	pub(crate) fn settle(
		now: BlockNumber,
		id: TaskId,
		task: Task<T::AccountId>,
		miner: T::AccountId,
		output_root: H256,
		verifiers: &[T::AccountId],
		seat: &Seat<T::AccountId>,
	) -> DispatchResult {
		let fee = task.fee;
		Self::pay(&task.payer, &miner, fee)?;
		let rest = Self::pay_verifiers(&task, verifiers, task.held().saturating_sub(fee))?;
		Self::release_fee(&task, rest)?;
		let outcome = Outcome::Settled { miner: miner.clone(), output_root };
		Self::end(now, id, task, outcome, Some(seat));
		Receipts::<T>::mutate_extant(id, |receipt| {
			receipt.verifiers = Verifiers::truncate_from(verifiers.to_vec());
		});
		Self::deposit_event(Event::Settled { task: id, miner, fee, output_root });
		Ok(())
	}

	/// Pays the verifiers out of what is held, and says how much of it is left.
	pub(crate) fn pay_verifiers(
		task: &Task<T::AccountId>,
		verifiers: &[T::AccountId],
		held: Balance,
	) -> Result<Balance, DispatchError> {
		verifiers.iter().try_fold(held, |held, verifier| {
			Self::pay(&task.payer, verifier, task.audit.fee)?;
			held.checked_sub(task.audit.fee).ok_or(Error::<T>::Corrupt.into())
		})
	}

	/// Returns all that is held for a task.
	pub(crate) fn refund(task: &Task<T::AccountId>) -> Result<Balance, DispatchError> {
		Self::release_fee(task, task.held())
	}

	/// Returns a part of what is held for a task.
	pub(crate) fn release_fee(
		task: &Task<T::AccountId>,
		part: Balance,
	) -> Result<Balance, DispatchError> {
		T::Currency::release(&HoldReason::Fee.into(), &task.payer, part, Precision::Exact)
	}

	/// Burns all that is held for a task: its coordinator must not come off cheaper than with an audit.
	pub(crate) fn burn_fee(task: &Task<T::AccountId>) -> Result<Balance, DispatchError> {
		let held = task.held();
		Self::move_to_pot(&task.payer, held)?;
		T::Pools::burn(held);
		Ok(held)
	}

	/// Leaves nothing of a task but its receipt. The seat is that of a miner that was paid, and can be challenged.
	pub(crate) fn end(
		now: BlockNumber,
		id: TaskId,
		task: Task<T::AccountId>,
		outcome: Outcome<T::AccountId>,
		seat: Option<&Seat<T::AccountId>>,
	) {
		let Task {
			coordinator,
			payer,
			model,
			tolerance,
			input_root,
			items,
			fee,
			round,
			rounds,
			mut blocks,
			..
		} = task;
		blocks.ended = Some(now);
		Self::close_demand(model, &coordinator);
		Tasks::<T>::remove(id);
		let receipt = Receipt {
			coordinator,
			payer,
			model,
			tolerance,
			input_root,
			items,
			fee,
			round,
			rounds,
			verifiers: Default::default(),
			era: seat.map_or(0, |seat| seat.era),
			risk: seat.map_or(0, |seat| seat.risk),
			upheld: 0,
			blocks,
			outcome,
		};
		Receipts::<T>::insert(id, receipt);
		let forget = now.saturating_add(T::ReceiptLife::get()); // see `after`
		Deadlines::<T>::insert(Self::after(forget), DueKey::new(id, Due::Forget), ());
	}
}
