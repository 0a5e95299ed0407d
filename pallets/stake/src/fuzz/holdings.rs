//! Who has how much of a pool or of a bucket, and how far the pallet's rounding may be from it.
//!
//! The pallet divides a pool into whole shares and pays whole planck; the list divides it exactly.
//! What the two differ by is not guessed: each operation adds to a bound what it can cost at most,
//! and the bound goes where the money goes. Write `w` for what the pallet holds for somebody (shares
//! times price, not rounded), `m` for the amount in the list, `f = w / Σw`, `g = m / Σm`. Kept are
//!
//! - `error`, at least `|w − m|`, in planck;
//! - `skew`, at least `|f − g|`;
//! - `drift`, at least `|Σw − Σm|`, in planck;
//!
//! and `w − m = (f − g) · Σw + g · (Σw − Σm)` is why two of them bound the third. In short:
//!
//! | operation | who does it | everybody else |
//! | --- | --- | --- |
//! | in or out of an amount | one share's price: what rounding the shares can cost | their part of it |
//! | out of everything | leaves the list; a planck is not paid out | their part of that planck |
//! | a reward `R` | `skew · R` | `skew · R` |
//! | a slash of a part `q` | `error · (1 − q)`, and their part of a planck | the same |
//!
//! So a position is off by at most about one share's price for each operation of its own, and by its
//! part of one for those of others; a pool whose shares cost a planck is not off at all. Rewards,
//! slashes and who leaves whole do not move anybody's part of what the others have, so `skew` outlives
//! a slash to nearly nothing, after which `error` says nothing about how the next reward is divided.
//!
//! A pool that is worth less than [`DUST`] is a matter of its own: what is left of it is no more than
//! what earlier rounding moved, so that income from then on is divided by hardly more than chance.

use super::amount::Amount;

/// How many accounts there are.
pub const ACCOUNTS: usize = 12;

/// With less than this in it, in planck, a pool is dust: a millionth of a CAI.
pub const DUST: u128 = 1_000_000_000_000;

/// What the list itself leaves over in its last places, in planck: so little that it only matters
/// for telling "exactly" from "nearly".
const LAST_PLACES: f64 = 1e-20;

/// What somebody has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Holding {
	pub amount: Amount,
	/// What it was before all was slashed to nothing: how later income is divided.
	claim: Amount,
	/// How far the pallet's rounding may be from the amount, in planck.
	pub error: f64,
	/// How far the pallet's rounding may be from the amount's part of the whole.
	skew: f64,
}

/// A list of them.
#[derive(Clone, Debug, Default)]
pub struct Holdings {
	list: [Option<Holding>; ACCOUNTS],
	/// How far the pallet's rounding may be from the whole, in planck.
	pub drift: f64,
}

/// An amount that is being charged to one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Due {
	pub left: Amount,
	/// How far what is left may be from what is left in the pallet, in planck.
	pub unsure: f64,
}

impl Due {
	/// Whether nothing is left, in the pallet neither.
	pub fn is_paid(&self) -> bool {
		self.left.is_zero() && self.unsure == 0.0
	}
}

/// A bound on a part of the whole, from one in planck and the least that the whole can be.
fn skewed(planck: f64, whole: f64) -> f64 {
	if planck == 0.0 {
		0.0
	} else if whole <= 0.0 {
		1.0
	} else {
		(planck / whole).min(1.0)
	}
}

impl Holdings {
	pub fn get(&self, who: usize) -> Option<&Holding> {
		self.list[who].as_ref()
	}

	pub fn holds(&self, who: usize) -> bool {
		self.list[who].is_some()
	}

	pub fn holders(&self) -> impl Iterator<Item = usize> + '_ {
		(0..ACCOUNTS).filter(move |who| self.holds(*who))
	}

	pub fn is_empty(&self) -> bool {
		self.list.iter().all(Option::is_none)
	}

	pub fn total(&self) -> Amount {
		self.list.iter().flatten().map(|holding| holding.amount).sum()
	}

	/// Takes note of what the whole is in the pallet, which is within its bound.
	pub fn know_total(&mut self, pallet: Amount) {
		if self.drift > 0.0 {
			self.drift = self.total().distance(pallet) + LAST_PLACES;
		}
	}

	/// The most that the whole can be in the pallet.
	fn most(&self) -> f64 {
		self.total().f64() + self.drift
	}

	/// Everybody's amount, or what counts for it when all of them are nothing, and the sum.
	fn stakes(&self) -> ([Amount; ACCOUNTS], Amount) {
		let nothing = self.total().is_zero();
		let stake = |holding: &Holding| if nothing { holding.claim } else { holding.amount };
		let stakes = self.list.each_ref().map(|slot| slot.as_ref().map(stake).unwrap_or_default());
		(stakes, stakes.iter().copied().sum())
	}

	/// Everybody's part of the whole.
	fn parts(&self) -> [f64; ACCOUNTS] {
		let (stakes, whole) = self.stakes();
		let whole = whole.f64();
		stakes.map(|stake| if whole > 0.0 { stake.f64() / whole } else { 0.0 })
	}

	/// Books what an amount into or out of one holding does to the bounds: its holder may lose
	/// `rounding` to the others, and the amount be off by `error`. `parts` and `most` are from before.
	fn book(&mut self, who: usize, parts: &[f64; ACCOUNTS], most: f64, rounding: f64, error: f64) {
		let drift = self.drift;
		self.drift += error;
		let (after, least) = (self.parts(), self.total().f64() - self.drift);
		for (i, holding) in self.list.iter_mut().enumerate() {
			let Some(holding) = holding else { continue };
			let own = if i == who { 1.0 } else { after[i] };
			holding.error += if i == who { rounding + error } else { after[i] * rounding };
			let moved = (after[i] - parts[i]).abs() * drift + own * (rounding + error);
			let moved = holding.skew * most + moved;
			holding.skew = skewed(moved.min(holding.error + after[i] * self.drift), least);
			let error = holding.skew * (least + 2.0 * self.drift) + after[i] * self.drift;
			holding.error = holding.error.min(error);
		}
	}

	/// Puts an amount in.
	pub fn add(&mut self, who: usize, amount: Amount, rounding: f64, error: f64) {
		let (parts, most) = (self.parts(), self.most());
		self.list[who].get_or_insert_default().amount += amount;
		self.book(who, &parts, most, rounding, error);
	}

	/// Takes an amount out, or what there is; the holder stays in the list.
	pub fn take(&mut self, who: usize, amount: Amount, rounding: f64, error: f64) {
		let (parts, most) = (self.parts(), self.most());
		let Some(holding) = self.list[who].as_mut() else { return };
		let taken = holding.amount.min(amount);
		holding.amount -= taken;
		self.book(who, &parts, most, rounding, error + amount.distance(taken));
	}

	/// Takes a holder off the list, whose amount is paid out but for up to `dust` planck. Returns
	/// the amount, and how far what the pallet pays may be from it.
	pub fn leave(&mut self, who: usize, dust: f64) -> Option<(Amount, f64)> {
		let (parts, most) = (self.parts(), self.most());
		let left = self.list[who].take()?;
		let others: f64 = self.list.iter().flatten().map(|holding| holding.error).sum();
		let stays = (1.0 - parts[who]) * self.drift + left.skew * most;
		self.drift = stays.min(others) + dust;
		let (after, least) = (self.parts(), self.total().f64() - self.drift);
		// What the others have is divided among them as before.
		let rest = 1.0 - parts[who] - left.skew;
		for (i, holding) in self.list.iter_mut().enumerate() {
			let Some(holding) = holding else { continue };
			holding.error += after[i] * dust;
			let known = skewed(holding.error + after[i] * self.drift, least);
			holding.skew = skewed(holding.skew + after[i] * left.skew, rest).min(known);
			let error = holding.skew * (least + 2.0 * self.drift) + after[i] * self.drift;
			holding.error = holding.error.min(error);
		}
		Some((left.amount, left.error + dust))
	}

	/// Shares an amount out, which may be off by `error`.
	pub fn share_out(&mut self, amount: Amount, error: f64) {
		if self.stakes().1.is_zero() {
			// Nobody ever had anything: it happens to who is left with a share that is worth nothing.
			for holding in self.list.iter_mut().flatten() {
				(holding.claim, holding.skew) = (Amount::planck(1), 1.0);
			}
			if self.holders().count() == 1 {
				self.list.iter_mut().flatten().for_each(|only| only.skew = 0.0);
			}
		}
		let ((stakes, whole), parts) = (self.stakes(), self.parts());
		for (holding, stake) in self.list.iter_mut().zip(stakes) {
			if let Some(holding) = holding {
				holding.amount += amount.of(stake, whole);
			}
		}
		self.drift += error + LAST_PLACES;
		let (drift, most) = (self.drift, self.most());
		for (i, holding) in self.list.iter_mut().enumerate() {
			let Some(holding) = holding else { continue };
			let grown = holding.error + holding.skew * amount.f64() + parts[i] * error;
			holding.error = grown.min(holding.skew * most + parts[i] * drift) + LAST_PLACES;
		}
	}

	/// Takes `part` of `whole` from everybody: a fraction that may be off by `unsure`, and what it
	/// comes to by `dust` planck.
	pub fn cut(&mut self, part: Amount, whole: Amount, unsure: f64, dust: f64) {
		let (parts, most) = (self.parts(), self.most());
		let all = part >= whole;
		let kept = if all { 0.0 } else { 1.0 - part.f64() / whole.f64() };
		let worthless = self.total().is_zero();
		let mut cut = [0.0; ACCOUNTS];
		for (holding, cut) in self.list.iter_mut().zip(&mut cut) {
			let Some(holding) = holding else { continue };
			*cut = (holding.amount.f64() + holding.error) * unsure;
			if all {
				if !worthless {
					holding.claim = holding.amount;
				}
				holding.amount = Amount::default();
			} else {
				holding.amount -= holding.amount.of(part, whole);
			}
		}
		self.drift = self.drift * kept + most * unsure + dust + LAST_PLACES;
		let (drift, most) = (self.drift, self.most());
		for (i, holding) in self.list.iter_mut().enumerate() {
			let Some(holding) = holding else { continue };
			let shrunk = holding.error * kept + cut[i] + parts[i] * dust;
			holding.error = shrunk.min(holding.skew * most + parts[i] * drift) + LAST_PLACES;
		}
	}

	/// Charges one holder with what is due, or with all it has. All of it is paid but for `dust`,
	/// a part of it rounded by up to `rounding`.
	pub fn charge(&mut self, who: usize, due: &mut Due, dust: f64, rounding: f64) {
		let Some(own) = self.get(who).copied() else { return };
		let near = own.error + due.unsure + dust + rounding;
		// Then rounding decides whether anything is left, of the holding or of what is due.
		let close = near > 0.0 && own.amount.distance(due.left) <= near;
		if close {
			let taken = own.amount.min(due.left);
			self.take(who, taken, dust.max(rounding), near);
			due.left -= taken;
			due.unsure = near;
		} else if own.amount <= due.left {
			self.leave(who, dust);
			due.left -= own.amount;
			due.unsure += own.error + dust;
		} else {
			self.take(who, due.left, rounding, due.unsure);
			*due = Due { left: Amount::default(), unsure: 0.0 };
		}
	}
}
