//! How the pallets see each other.

use alloc::vec::Vec;
use frame_support::{dispatch::DispatchResult, weights::Weight};

use crate::{
	tolerance::Tolerance,
	types::{Balance, BlockNumber, EraIndex, ModelId, Role, SlashReason, MILLIS_PER_BLOCK},
};

/// Pools of stake, as the pallet that hands out work sees them. An operator is known by the *owner* of its pool.
pub trait Pools<AccountId> {
	/// The pool that this account works for, and as what.
	fn of_operator(operator: &AccountId) -> Option<(AccountId, Role)>;
	/// The pool's weight in a draw, in planck; 0 while it may not be drawn.
	fn weight(owner: &AccountId) -> Balance;
	/// What the owner's own bond is worth, in planck.
	fn own(owner: &AccountId) -> Balance;
	/// What the pool is worth with all votes, in planck.
	fn tokens(owner: &AccountId) -> Balance;
	/// What an owner's own bond must be worth more than, in planck.
	fn least_bond(role: Role) -> Balance;
	/// The present era.
	fn era() -> EraIndex;
	/// Where a coordinator serves inputs and takes outputs: an HTTP address, empty for other roles.
	fn endpoint(owner: &AccountId) -> Vec<u8>;
	/// The account that holds all stake.
	fn pot() -> AccountId;
	/// Pays a pool for a task: burns its part of the fee, adds the bonus, shares out the sum, and tells [`OnWeightChange`]. The caller has moved the fee to
	/// [`Pools::pot`] just before, in the same storage layer.
	fn pay(owner: &AccountId, fee: Balance) -> DispatchResult;
	/// Burns what the caller has moved to [`Pools::pot`] just before, in the same storage layer.
	fn burn(amount: Balance);
	/// Takes `amount` planck, or what there is, from a pool and from what left it in `since` or later, and tells [`OnWeightChange`]. A part of what the
	/// owner loses goes to the `provers` in equal shares; the rest, and all that voters lose, is burnt. Returns what was taken.
	fn slash(
		owner: &AccountId,
		amount: Balance,
		since: EraIndex,
		reason: SlashReason,
		provers: &[AccountId],
	) -> Balance;
	/// Takes a pool's operator out of all draws for some eras at least, and tells [`OnWeightChange`].
	fn jail(owner: &AccountId);
	/// Keeps everything of a pool from being withdrawn until it is released as often: a dispute may end in a slash.
	fn freeze(owner: &AccountId);
	/// Undoes one [`Pools::freeze`].
	fn release(owner: &AccountId);
	/// Registers a pool with plenty of stake and everything that its next settlement can have to do. Both accounts get plenty of CAI.
	#[cfg(feature = "runtime-benchmarks")]
	fn benchmark_pool(owner: &AccountId, operator: &AccountId, role: Role) -> DispatchResult;
}

/// Work that an operator has taken on, as the pools see it.
pub trait Work<AccountId> {
	/// Whether a pool's operator is online, or has taken on what is not finished: then its owner cannot leave.
	fn is_working(owner: &AccountId) -> bool;
	/// What a pool's owner can be slashed for by what its operator has taken on, in planck: so much of its own bond stays in the pool.
	fn at_risk(owner: &AccountId) -> Balance;
	/// The owner has left for good: nothing is remembered of it.
	fn forget(owner: &AccountId);
}

impl<AccountId> Work<AccountId> for () {
	fn is_working(_: &AccountId) -> bool {
		false
	}
	fn at_risk(_: &AccountId) -> Balance {
		0
	}
	fn forget(_: &AccountId) {}
}

/// Told whenever a pool's weight in the draw has changed.
pub trait OnWeightChange<AccountId> {
	/// `weight` is what [`Pools::weight`] now returns.
	fn weight_changed(owner: &AccountId, role: Role, weight: Balance);
	/// The most that one call can cost.
	fn weight_changed_weight() -> Weight;
}

impl<AccountId> OnWeightChange<AccountId> for () {
	fn weight_changed(_: &AccountId, _: Role, _: Balance) {}
	fn weight_changed_weight() -> Weight {
		Weight::zero()
	}
}

/// What the pallet that hands out work needs to know of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
	/// The least fee for one inference, in planck.
	pub min_fee: Balance,
	/// How many blocks a miner has from draw to commit at least, to fetch the inputs and hand over the outputs; see [`Terms::window`].
	pub work_window: BlockNumber,
	/// How close two honest results are. [`Tolerance::Exact`] for a model that has none: it is not active, so that nothing can be posted for it. A task
	/// that was posted before [`Models::distrust`] has to be judged by the tolerance that its model had then.
	pub tolerance: Tolerance,
	/// How long one inference takes on the slowest machine that should still earn, in milliseconds; 0 if nobody has measured it yet.
	pub reference_ms: u32,
	/// Whether tasks may be posted for it.
	pub active: bool,
}

/// How many times the reference time a miner has for each item: room for a machine that does other things, too, or a few tasks at a time.
const PATIENCE: u64 = 5;

impl Terms {
	/// How many blocks a miner has from draw to commit for so many items: the work window and, on top of it, five times their reference time, rounded up.
	pub fn window(&self, items: u32) -> BlockNumber {
		// A time that no number holds is as good as the longest.
		let millis =
			PATIENCE.saturating_mul(u64::from(items)).saturating_mul(u64::from(self.reference_ms));
		let blocks = millis.div_ceil(MILLIS_PER_BLOCK);
		self.work_window.saturating_add(BlockNumber::try_from(blocks).unwrap_or(BlockNumber::MAX))
	}
}

/// The models that may be run.
pub trait Models {
	/// A model's terms, if there is such a model.
	fn terms(model: ModelId) -> Option<Terms>;
	/// Two courts could not agree on a result of this model: its tolerance is not what it should be. Takes it away, so that no new tasks are taken until
	/// the model is calibrated again.
	fn distrust(model: ModelId);
	/// Registers a model with the least fee and the longest work window, calibrated with `Approx { agree: 1_000, wrong: 4_000 }` and a millisecond for
	/// one inference, and returns its number.
	#[cfg(feature = "runtime-benchmarks")]
	fn benchmark_model() -> ModelId;
}

/// Sets whose members are drawn with a chance in proportion to their weight.
pub trait WeightedSets<SetId, Member> {
	/// Adds a member.
	fn insert(set: &SetId, member: &Member, weight: u128) -> DispatchResult;
	/// Gives a member another weight.
	fn update(set: &SetId, member: &Member, weight: u128) -> DispatchResult;
	/// Takes a member out.
	fn remove(set: &SetId, member: &Member) -> DispatchResult;
	/// A member's weight, if it is in the set.
	fn weight(set: &SetId, member: &Member) -> Option<u128>;
	/// What all weights add up to.
	fn total(set: &SetId) -> u128;
	/// How many members there are.
	fn len(set: &SetId) -> u32;
	/// A member by chance: each that is not excluded with probability weight ÷ sum of the weights not excluded. Costs one walk down the tree for the
	/// draw and one for each excluded member. `None` if nobody with a weight is left.
	fn draw(set: &SetId, seed: &[u8; 32], excluded: &[Member]) -> Option<Member>;
	/// All sets that are not empty, for `try_state`: reads an entry for each.
	fn sets() -> Vec<SetId>;
	/// All members with their weights, for `try_state` and tests: reads the whole set.
	fn members(set: &SetId) -> Vec<(Member, u128)>;

	/// Sets a member's weight whether or not it is in the set; weight 0 takes it out.
	fn set(set: &SetId, member: &Member, weight: u128) -> DispatchResult {
		match (Self::weight(set, member), weight) {
			(None, 0) => Ok(()),
			(None, _) => Self::insert(set, member, weight),
			(Some(_), 0) => Self::remove(set, member),
			(Some(old), _) if old == weight => Ok(()),
			(Some(_), _) => Self::update(set, member, weight),
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn terms(work_window: BlockNumber, reference_ms: u32) -> Terms {
		Terms { min_fee: 1, work_window, tolerance: Tolerance::Exact, reference_ms, active: true }
	}

	#[test]
	fn a_miner_has_the_work_window_and_five_times_the_reference_time() {
		assert_eq!(terms(10, 0).window(1), 10);
		// Any time at all is a block.
		assert_eq!(terms(10, 1).window(1), 11);
		assert_eq!(terms(10, 600).window(1), 11);
		assert_eq!(terms(10, 601).window(1), 12);
		// 5 · 100 · 2 s = 1,000 s, or 333⅓ blocks.
		assert_eq!(terms(10, 2_000).window(100), 344);
	}

	#[test]
	fn the_longest_windows_do_not_overflow() {
		assert_eq!(terms(1, u32::MAX).window(u32::MAX), BlockNumber::MAX);
		assert_eq!(terms(BlockNumber::MAX, 1).window(1), BlockNumber::MAX);
	}
}
