//! How the pallets see each other.

use alloc::vec::Vec;
use frame_support::{dispatch::DispatchResult, weights::Weight};

use crate::types::{Balance, BlockNumber, EraIndex, ModelId, Role, SlashReason};

/// Pools of stake, as the pallet that hands out work sees them. An operator is known by the *owner* of its pool.
pub trait Pools<AccountId> {
	/// The pool that this account works for, and as what.
	fn of_operator(operator: &AccountId) -> Option<(AccountId, Role)>;
	/// The pool's weight in a draw, in planck; 0 while it may not be drawn.
	fn weight(owner: &AccountId) -> Balance;
	/// Where a coordinator serves inputs and takes outputs: an HTTP address, empty for other roles.
	fn endpoint(owner: &AccountId) -> Vec<u8>;
	/// The account that holds all stake.
	fn pot() -> AccountId;
	/// Pays a pool for a task: burns its part of the fee, adds the bonus, shares out the sum, and tells [`OnWeightChange`]. The caller has moved the fee to
	/// [`Pools::pot`] just before, in the same storage layer.
	fn pay(owner: &AccountId, fee: Balance) -> DispatchResult;
	/// Takes `amount` planck, or what there is, from a pool and from what left it in `since` or later, and tells [`OnWeightChange`]. A part of what the
	/// owner loses goes to the `provers` in equal shares; the rest, and all that voters lose, is burnt. Returns what was taken.
	fn slash(
		owner: &AccountId,
		amount: Balance,
		since: EraIndex,
		reason: SlashReason,
		provers: &[AccountId],
	) -> Balance;
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
}

impl<AccountId> Work<AccountId> for () {
	fn is_working(_: &AccountId) -> bool {
		false
	}
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
	/// How many blocks a miner has from draw to commit, for one inference.
	pub work_window: BlockNumber,
	/// Whether tasks may be posted for it.
	pub active: bool,
}

/// The models that may be run.
pub trait Models {
	/// A model's terms, if there is such a model.
	fn terms(model: ModelId) -> Option<Terms>;
	/// Registers a model with the least fee and the longest work window, and returns its number.
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
