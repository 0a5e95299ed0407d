//! What a fault costs, and what is remembered of it.

use crate::{
	pallet::{Config, Event, Pallet, Records},
	types::{Accused, Seat},
};
use cuckoo_primitives::{
	traits::Pools, views::SeatKind, Balance, BlockNumber, ModelId, SlashReason, TaskId,
};
use frame_support::{dispatch::DispatchResult, traits::Get};

impl<T: Config> Pallet<T> {
	/// What a fault costs in a task with this fee, in planck.
	fn cost(fee: Balance, reason: SlashReason) -> Balance {
		let fees = match reason {
			SlashReason::NoCommitment => T::NoCommitmentSlash::get(),
			SlashReason::NoReveal => T::NoRevealSlash::get(),
			SlashReason::WrongResult => T::WrongResultSlash::get(),
			SlashReason::WrongJuror => T::WrongJurorSlash::get(),
			SlashReason::Repeated | SlashReason::Equivocation => 0,
		};
		// A fee above the limit of `post` counts as everything: whoever loses it cannot lose more than it has.
		fee.saturating_mul(fees.into())
	}

	/// The most that a seat can cost its miner, in planck.
	pub(crate) fn risk(fee: Balance, kind: SeatKind) -> Balance {
		let worst = match kind {
			SeatKind::Primary | SeatKind::Verifier => SlashReason::WrongResult,
			SeatKind::Juror => SlashReason::WrongJuror,
		};
		[worst, SlashReason::NoReveal, SlashReason::NoCommitment]
			.map(|reason| Self::cost(fee, reason))
			.into_iter()
			.fold(0, Balance::max)
	}

	/// Slashes a miner for what it did in a seat; never for more than it knew to be at risk when it was drawn.
	pub(crate) fn punish(
		owner: &T::AccountId,
		seat: &Seat<T::AccountId>,
		fee: Balance,
		reason: SlashReason,
		provers: &[T::AccountId],
	) {
		let amount = Self::cost(fee, reason).min(seat.risk);
		if amount > 0 {
			T::Pools::slash(owner, amount, seat.era, reason, provers);
		}
	}

	/// A miner that missed a deadline: slashed, offline, and out of its seat.
	pub(crate) fn miss(
		owner: &T::AccountId,
		id: TaskId,
		fee: Balance,
		reason: SlashReason,
		provers: &[T::AccountId],
	) -> DispatchResult {
		let seat = Self::leave_seat(owner, id)?;
		let (kind, round) = (seat.kind, seat.round);
		Self::deposit_event(Event::Missed { task: id, miner: owner.clone(), kind, round });
		Self::punish(owner, &seat, fee, reason, provers);
		Self::take_offline(owner)
	}

	/// A court found a miner's result wrong: it is slashed, and if it happens again and again a part of its whole pool goes, and it is jailed.
	pub(crate) fn punish_wrong(
		accused: &Accused<T::AccountId>,
		model: ModelId,
		fee: Balance,
		provers: &[T::AccountId],
		now: BlockNumber,
	) {
		let Accused { owner, risk, era, .. } = accused;
		let amount = Self::cost(fee, SlashReason::WrongResult).min(*risk);
		T::Pools::slash(owner, amount, *era, SlashReason::WrongResult, provers);
		// Nothing is remembered of an owner that has left.
		if T::Pools::own(owner) == 0 {
			return;
		}
		let again = Records::<T>::mutate(owner, |record| {
			record.set_streak(model, |_| 0);
			record.audits = record.audits.saturating_add(1); // counted for people only
			let memory = T::FaultMemory::get();
			record.wrong.retain(|before| now.saturating_sub(*before) <= memory);
			let again = record.wrong.is_full();
			if again {
				record.wrong.remove(0);
			}
			// There is room for it: one was taken out if there was none.
			let _ = record.wrong.try_push(now);
			again
		});
		if again {
			let part = T::RepeatedSlash::get().mul_floor(T::Pools::tokens(owner));
			T::Pools::slash(owner, part, *era, SlashReason::Repeated, provers);
			T::Pools::jail(owner);
		}
	}

	/// A miner that was audited does not show what it had committed to. It has seen that it would be judged, so that costs as much as a wrong result, and its proofs count for
	/// nothing: or whoever cheats would be silent whenever it is audited.
	pub(crate) fn punish_silence(
		owner: &T::AccountId,
		id: TaskId,
		model: ModelId,
		fee: Balance,
		provers: &[T::AccountId],
	) -> DispatchResult {
		Self::miss(owner, id, fee, SlashReason::WrongResult, provers)?;
		Records::<T>::mutate(owner, |record| record.set_streak(model, |_| 0));
		Ok(())
	}

	/// An audit of a miner has ended without a fault.
	pub(crate) fn remember_audit(owner: &T::AccountId, model: ModelId, agreed: bool) {
		Records::<T>::mutate(owner, |record| {
			// Counters of single tasks: far from 2³².
			record.audits = record.audits.saturating_add(1);
			if agreed {
				record.set_streak(model, |streak| streak.saturating_add(1));
			} else {
				record.grey = record.grey.saturating_add(1);
			}
		});
	}
}
