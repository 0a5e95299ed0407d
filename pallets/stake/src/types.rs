//! Pools, buckets and the arithmetic of shares. No storage here.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use cuckoo_primitives::{
	Balance, BlockNumber, EraIndex, PoolStatus, Role, MAX_LINE_BYTES, MAX_LONG_LINE_BYTES,
};
use frame_support::{traits::ConstU32, BoundedVec};
use scale_info::TypeInfo;
use sp_core::U256;
use sp_runtime::Perbill;

/// One reward a planck in units of the reward index. With at least [`LEAST_EARNING`] planck to share in, an index that has paid out all CAI there can be is
/// below 10²⁷ · 10²⁷ / 10¹⁸ = 10³⁶, and 128 bits hold 3 · 10³⁸.
pub const INDEX_ONE: Balance = 1_000_000_000_000_000_000_000_000_000;
/// With less than this to share in, in planck, an era pays nothing: the index could overflow.
pub const LEAST_EARNING: Balance = cuckoo_primitives::CAI;

/// A line of an introduction, read as UTF-8.
pub type Line = BoundedVec<u8, ConstU32<MAX_LINE_BYTES>>;
/// A longer line of an introduction, read as UTF-8.
pub type LongLine = BoundedVec<u8, ConstU32<MAX_LONG_LINE_BYTES>>;

/// How an operator introduces itself to stakers and, for coordinators, to miners.
#[derive(
	Clone,
	Debug,
	Default,
	PartialEq,
	Eq,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
)]
pub struct Intro {
	/// Its name. Must not be empty.
	pub name: Line,
	/// One line on what it does.
	pub description: LongLine,
	/// Its website.
	pub website: LongLine,
	/// Where its machines stand.
	pub location: Line,
	/// What they are.
	pub hardware: LongLine,
	/// Coordinators only, and required there: the `http://` or `https://` address at which miners fetch inputs and hand in outputs.
	pub endpoint: LongLine,
}

/// A commission that was announced and is not in force yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Raise {
	/// The new commission.
	pub commission: Perbill,
	/// The first era in which the pool is settled at it.
	pub from_era: EraIndex,
}

/// A pool: the stake of its owner and of everybody who voted for it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Pool<AccountId> {
	/// What the pool's operator does.
	pub role: Role,
	/// The account that does it.
	pub operator: AccountId,
	/// Whether it takes part.
	pub status: PoolStatus,
	/// The owner's share of what the voters earn.
	pub commission: Perbill,
	/// A higher one, if announced.
	pub raise: Option<Raise>,
	/// What the pool is worth, in planck.
	pub tokens: Balance,
	/// Into how many shares that is divided.
	pub shares: Balance,
	/// How many of them are the owner's.
	pub own_shares: Balance,
	/// What the pool weighs in the draws and earns staking rewards for, in planck: its tokens, or 0 while it takes no part.
	pub weight: Balance,
	/// The reward index up to which it has earned.
	pub index: Balance,
}

/// How an amount that a pool earned was shared out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Earned {
	/// The owner's commission, in planck.
	pub commission: Balance,
	/// The shares that it bought.
	pub shares: Balance,
}

impl<AccountId> Pool<AccountId> {
	/// What the owner's own bond is worth, in planck.
	pub fn own(&self) -> Balance {
		tokens_for(self.own_shares, self.tokens, self.shares)
	}

	/// What the pool has earned up to a reward index, in planck.
	pub fn due(&self, index: Balance) -> Balance {
		// The index only rises.
		mul_div(self.weight, index.saturating_sub(self.index), INDEX_ONE).unwrap_or(0)
	}

	/// Takes in what it earned: the voters' part raises the price of a share, and the commission buys the owner shares at the new price. `None`, and
	/// nothing is changed, if the pool has no shares or the sum does not fit.
	pub fn earn(&mut self, amount: Balance) -> Option<Earned> {
		if self.shares == 0 {
			return None;
		}
		let commission = self.commission.mul_floor(amount);
		let shared = self.tokens.checked_add(amount.checked_sub(commission)?)?;
		let tokens = shared.checked_add(commission)?;
		let shares = shares_for(commission, shared, self.shares)?;
		let (all, own) = (self.shares.checked_add(shares)?, self.own_shares.checked_add(shares)?);
		(self.tokens, self.shares, self.own_shares) = (tokens, all, own);
		Some(Earned { commission, shares })
	}

	/// Puts a raised commission in force once its time has come, and one that was allowed before back to the most that is.
	pub fn apply_raise(&mut self, era: EraIndex, most: Perbill) {
		if let Some(raise) = self.raise.take_if(|raise| raise.from_era <= era) {
			self.commission = raise.commission;
		}
		self.commission = self.commission.min(most);
	}
}

/// What was minted and burnt since the genesis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Issued {
	/// Out of the staking pot, in planck: rewards by the index and for blocks.
	pub staking: Balance,
	/// Out of the mining pot, in planck: the bonus on task fees.
	pub mining: Balance,
	/// Burnt by this pallet, in planck: of slashes, task fees and transaction fees.
	pub burnt: Balance,
}

/// What left a pool in one era and waits: slashed like the pool until it is paid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Bucket {
	/// What it is worth, in planck.
	pub tokens: Balance,
	/// Into how many shares that is divided.
	pub shares: Balance,
}

impl Bucket {
	/// Takes shares out and returns what they are worth, in planck. Whoever is last takes the rounding of those before.
	pub fn redeem(&mut self, shares: Balance) -> Balance {
		let worth = if shares >= self.shares {
			self.tokens
		} else {
			tokens_for(shares, self.tokens, self.shares)
		};
		// A claim is part of its bucket (try_state), so neither subtraction saturates.
		self.tokens = self.tokens.saturating_sub(worth);
		self.shares = self.shares.saturating_sub(shares);
		worth
	}
}

/// A voter's part of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Claim {
	/// The era in which it left the pool.
	pub era: EraIndex,
	/// Its shares of that era's bucket.
	pub shares: Balance,
}

/// The present era.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Era {
	/// Its number, from 0.
	pub index: EraIndex,
	/// The block it began with.
	pub start: BlockNumber,
}

/// `⌊a · b / c⌋` without overflow in between; `None` if `c` is 0 or the result does not fit.
pub fn mul_div(a: Balance, b: Balance, c: Balance) -> Option<Balance> {
	// A product of two 128-bit numbers fits 256 bits.
	(U256::from(a) * U256::from(b)).checked_div(U256::from(c))?.try_into().ok()
}

/// The shares that `amount` buys: `⌊amount · shares / tokens⌋`, one a planck for the first. `None` if the pool was slashed to nothing: no
/// amount buys a fair share of a pool in which shares are worth nothing.
pub fn shares_for(amount: Balance, tokens: Balance, shares: Balance) -> Option<Balance> {
	if shares == 0 {
		Some(amount)
	} else {
		mul_div(amount, shares, tokens)
	}
}

/// What `part` of the shares is worth: `⌊part · tokens / shares⌋`. The remainder stays in the pool.
pub fn tokens_for(part: Balance, tokens: Balance, shares: Balance) -> Balance {
	mul_div(part, tokens, shares).unwrap_or(0)
}

/// The fewest shares worth at least `amount`: `⌈amount · shares / tokens⌉`, so that whoever takes out `amount` leaves no less than its due.
pub fn shares_covering(amount: Balance, tokens: Balance, shares: Balance) -> Option<Balance> {
	let floor = mul_div(amount, shares, tokens)?;
	if tokens_for(floor, tokens, shares) >= amount {
		Some(floor)
	} else {
		floor.checked_add(1)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn shares_round_in_the_pools_favour() {
		assert_eq!(shares_for(10, 0, 0), Some(10));
		assert_eq!(shares_for(10, 3, 2), Some(6));
		assert_eq!(shares_for(10, 0, 2), None);
		assert_eq!(tokens_for(1, 3, 2), 1);
		assert_eq!(tokens_for(1, 3, 0), 0);
		assert_eq!(shares_covering(1, 3, 2), Some(1));
		assert_eq!(shares_covering(2, 3, 2), Some(2));
		assert_eq!(shares_covering(3, 3, 2), Some(2));
	}

	#[test]
	fn full_issuance_does_not_overflow() {
		let all = 1_000_000_000 * cuckoo_primitives::CAI;
		assert_eq!(shares_for(all, all, all), Some(all));
		assert_eq!(tokens_for(all, all, all), all);
		assert_eq!(shares_for(u128::MAX, 1, u128::MAX), None);
	}
}
