//! Pools, buckets and the arithmetic of shares. No storage here.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use cuckoo_primitives::{
	Balance, BlockNumber, EraIndex, Role, MAX_LINE_BYTES, MAX_LONG_LINE_BYTES,
};
use frame_support::{traits::ConstU32, BoundedVec};
use scale_info::TypeInfo;
use sp_core::U256;
use sp_runtime::Perbill;

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

/// A pool: the stake of its owner and of everybody who voted for it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Pool<AccountId> {
	/// What the pool's operator does.
	pub role: Role,
	/// The account that does it.
	pub operator: AccountId,
	/// The owner's share of what the voters earn.
	pub commission: Perbill,
	/// What the pool is worth, in planck.
	pub tokens: Balance,
	/// Into how many shares that is divided.
	pub shares: Balance,
	/// How many of them are the owner's.
	pub own_shares: Balance,
}

impl<AccountId> Pool<AccountId> {
	/// What the owner's own bond is worth, in planck.
	pub fn own(&self) -> Balance {
		tokens_for(self.own_shares, self.tokens, self.shares)
	}
}

/// What left a pool in one era and waits: slashed like the pool until it is paid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Bucket {
	/// What it is worth, in planck.
	pub tokens: Balance,
	/// Into how many shares that is divided.
	pub shares: Balance,
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
fn mul_div(a: Balance, b: Balance, c: Balance) -> Option<Balance> {
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
