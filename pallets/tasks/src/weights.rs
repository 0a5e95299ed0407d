//! What calls and hooks cost. The runtime takes it from measurements (`scripts/weights`); mocks from an estimate: storage counted by hand, priced by
//! the database's weights, with 50 µs for the rest of a step, and for each set that changes.

use crate::{
	draw::{MAX_HEADS, MAX_IDLE},
	types::MAX_MODELS,
};
use core::marker::PhantomData;
use frame_support::{
	traits::Get,
	weights::{constants::WEIGHT_REF_TIME_PER_MICROS, Weight},
};

/// What one call that commits to `n` tasks costs a miner that serves `m` models. It is in the draw of each, and joins them again but once; so many calls of one task each are never cheaper.
pub fn commit<W: WeightInfo>(n: u32, m: u32) -> Weight {
	W::commit(n).min(W::commit_one(m).saturating_mul(n.max(1).into()))
}

/// What one call that shows the results of `n` tasks costs a miner that serves `m` models, likewise.
pub fn reveal<W: WeightInfo>(n: u32, m: u32) -> Weight {
	W::reveal(n).min(W::reveal_one(m).saturating_mul(n.max(1).into()))
}

/// What one draw costs at most.
pub fn largest_draw<W: WeightInfo>() -> Weight {
	W::draw(MAX_IDLE as u32, MAX_HEADS as u32, MAX_MODELS)
}

/// What calls and hooks cost.
pub trait WeightInfo {
	/// [`crate::Call::post`]
	fn post() -> Weight;
	/// [`crate::Call::cancel`]
	fn cancel() -> Weight;
	/// [`crate::Call::go_online`]
	fn go_online() -> Weight;
	/// [`crate::Call::go_offline`]
	fn go_offline() -> Weight;
	/// [`crate::Call::commit`] for `n` tasks by a miner that serves as many models as it may
	fn commit(n: u32) -> Weight;
	/// [`crate::Call::commit`] for one task by a miner that serves `m` models
	fn commit_one(m: u32) -> Weight;
	/// [`crate::Call::reveal`] for `n` tasks by a miner that serves as many models as it may
	fn reveal(n: u32) -> Weight;
	/// [`crate::Call::reveal`] for one task by a miner that serves `m` models
	fn reveal_one(m: u32) -> Weight;
	/// Giving an operator another weight in the draws of `n` models
	fn weigh(n: u32) -> Weight;
	/// Looking for the next deadline
	fn next_deadline() -> Weight;
	/// A task that joins its queue
	fn ripen() -> Weight;
	/// A task that leaves its queue and is refunded
	fn expire() -> Weight;
	/// A task whose miner missed a deadline, and the miner going offline
	fn miss() -> Weight;
	/// A receipt that goes
	fn forget() -> Weight;
	/// [`crate::Call::unavailable`]
	fn unavailable() -> Weight;
	/// [`crate::Call::undelivered`]
	fn undelivered() -> Weight;
	/// [`crate::Call::challenge`]
	fn challenge() -> Weight;
	/// The lot of a task
	fn lottery() -> Weight;
	/// Verifiers drawn for a task
	fn open_audit() -> Weight;
	/// The end of the time for verifiers to commit
	fn end_verify() -> Weight;
	/// The end of the time to show results, and the verdict
	fn end_reveal() -> Weight;
	/// A full second court drawn
	fn convene() -> Weight;
	/// The end of the time for jurors to commit
	fn end_jury_commit() -> Weight;
	/// The judgement of a full second court
	fn judge() -> Weight;
	/// What the hook costs before it draws
	fn hook_base() -> Weight;
	/// One task drawn, after `i` coordinators and `h` tasks of the one that was drawn had turned out to wait for nobody who is there, for a miner that serves `m` models; for
	/// none of them, the finding that nobody can have it
	fn draw(i: u32, h: u32, m: u32) -> Weight;
}

/// The estimate.
pub struct Estimate<T>(PhantomData<T>);

/// Nodes that a change in a set of a million members reads and writes.
const TREE: u64 = 4;

/// The sets that a miner is in at most.
const MOST: u64 = MAX_MODELS as u64;

impl<T: frame_system::Config> Estimate<T> {
	fn storage(reads: u64, writes: u64) -> Weight {
		Weight::from_parts(50 * WEIGHT_REF_TIME_PER_MICROS, 0)
			.saturating_add(T::DbWeight::get().reads_writes(reads, writes))
	}

	/// `n` miners that come back into the draws.
	fn released(n: u64) -> Weight {
		Self::storage(3, 2).saturating_add(Self::sets(MOST)).saturating_mul(n)
	}

	/// `n` miners that are slashed and go offline.
	fn missed(n: u64) -> Weight {
		Self::storage(12, 10).saturating_add(Self::sets(2 * MOST)).saturating_mul(n)
	}

	/// `n` miners that are drawn, past so many who are barred, and get a seat.
	fn drawn(n: u64, barred: u64) -> Weight {
		let walks = T::DbWeight::get().reads((barred + 1) * (TREE + 1));
		Self::storage(4, 2).saturating_add(walks).saturating_add(Self::sets(MOST)).saturating_mul(n)
	}

	/// A member that joins, leaves or changes its weight in `n` sets: two paths of nodes where another member takes its place, and who stands where.
	fn sets(n: u64) -> Weight {
		Weight::from_parts(n * 50 * WEIGHT_REF_TIME_PER_MICROS, 0)
			.saturating_add(T::DbWeight::get().reads_writes(n * (2 * TREE + 4), n * (2 * TREE + 4)))
	}
}

impl<T: frame_system::Config> WeightInfo for Estimate<T> {
	fn post() -> Weight {
		Self::storage(8, 7)
	}
	fn cancel() -> Weight {
		Self::storage(9, 9).saturating_add(Self::sets(1))
	}
	fn go_online() -> Weight {
		Self::storage(20, 2).saturating_add(Self::sets(2 * MOST))
	}
	fn go_offline() -> Weight {
		Self::storage(3, 1).saturating_add(Self::sets(MOST))
	}
	fn commit(n: u32) -> Weight {
		Self::storage(6, 5).saturating_mul(n.max(1).into()).saturating_add(Self::sets(MOST))
	}
	fn commit_one(m: u32) -> Weight {
		Self::storage(6, 5).saturating_add(Self::sets(m.into()))
	}
	fn reveal(n: u32) -> Weight {
		Self::reveal_one(MAX_MODELS).saturating_mul(n.max(1).into())
	}
	fn reveal_one(m: u32) -> Weight {
		Self::storage(14, 12).saturating_add(Self::sets(m.into()))
	}
	fn weigh(n: u32) -> Weight {
		Self::storage(1, 0).saturating_add(Self::sets(n.into()))
	}
	fn next_deadline() -> Weight {
		T::DbWeight::get().reads(1)
	}
	fn ripen() -> Weight {
		Self::storage(6, 7).saturating_add(Self::sets(1))
	}
	fn expire() -> Weight {
		Self::storage(8, 10).saturating_add(Self::sets(1))
	}
	fn miss() -> Weight {
		Self::storage(10, 10).saturating_add(Self::sets(MOST))
	}
	fn forget() -> Weight {
		Self::storage(1, 2)
	}
	fn unavailable() -> Weight {
		Self::storage(14, 14).saturating_add(Self::released(4))
	}
	fn undelivered() -> Weight {
		Self::storage(14, 14).saturating_add(Self::released(1))
	}
	fn challenge() -> Weight {
		Self::storage(8, 6)
	}
	fn lottery() -> Weight {
		Self::storage(4, 4)
	}
	fn open_audit() -> Weight {
		Self::storage(6, 6).saturating_add(Self::drawn(3, 12))
	}
	fn end_verify() -> Weight {
		Self::storage(4, 4).saturating_add(Self::missed(3))
	}
	fn end_reveal() -> Weight {
		Self::storage(14, 14).saturating_add(Self::missed(4))
	}
	fn convene() -> Weight {
		Self::storage(8, 6).saturating_add(Self::drawn(21, 36))
	}
	fn end_jury_commit() -> Weight {
		Self::storage(4, 4).saturating_add(Self::missed(21))
	}
	fn judge() -> Weight {
		Self::storage(20, 20).saturating_add(Self::missed(25)).saturating_add(Self::missed(4))
	}
	fn hook_base() -> Weight {
		Self::storage(2, 1)
	}
	fn draw(i: u32, h: u32, m: u32) -> Weight {
		let (idle, vain) = (u64::from(i), u64::from(h));
		let looks = (1 + idle + 5 * vain) * (TREE + 2) + 16 * 2;
		Self::storage(12 + looks, 8 + 4 * vain).saturating_add(Self::sets(1 + u64::from(m)))
	}
}
