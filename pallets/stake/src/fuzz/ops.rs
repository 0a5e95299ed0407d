//! What is tried: random, but so that most of it makes sense.

use super::{
	holdings::{ACCOUNTS, DUST},
	model::{minimum, number, waiting_eras, Introduction, Model, Pool, Terms, OWNERS},
	random::Random,
	Fuzz,
};
use crate::{
	mock::{
		AuthorFees, BlockReward, BondingEras, CommissionNotice, EraLength, FeeBurn, JailEras,
		MaxCommission, MaxCommissionStep, MinCoordinatorBond, MinMinerBond, MinValidatorBond,
		MiningBonus, MiningPot, ProverShare, StakingPerEra, StakingPot,
	},
	pallet::MAX_CLAIMS,
	types::Issued,
};
use cuckoo_primitives::{Balance, EraIndex, PoolStatus, Role, CAI};
use sp_runtime::Perbill;

/// An account that takes a little out in every era and withdraws nothing before it has to.
const HOARDER: usize = ACCOUNTS - 1;

/// Something to try. Accounts and owners are indices.
#[derive(Clone, Debug)]
pub enum Op {
	Register { owner: usize, terms: Terms },
	Vote { voter: usize, owner: usize, amount: Balance },
	Unvote { voter: usize, owner: usize, amount: Balance },
	Withdraw { voter: usize, owner: usize },
	WithdrawFor { by: usize, voter: usize, owner: usize },
	SetOperator { owner: usize, operator: u8 },
	SetIntro { owner: usize, intro: Introduction },
	SetCommission { owner: usize, commission: Perbill },
	Chill { owner: usize },
	Unjail { owner: usize },
	Unregister { owner: usize },
	Settle { by: usize, owner: usize },
	Pay { payer: usize, owner: usize, fee: Balance },
	Fee { payer: usize, fee: Balance },
	Slash { owner: usize, amount: Balance, since: EraIndex, provers: Vec<usize> },
	Offence { owner: usize, fraction: Perbill, session: u32, reporters: Vec<usize> },
	Freeze { owner: usize },
	Release { owner: usize },
	Donate { from: usize, amount: Balance },
	// What happens outside the pallet.
	Mint { to: usize, amount: Balance },
	Work { owner: usize, works: bool },
	Keys { owner: usize, keyless: bool },
	Parameter { change: String },
}

impl Op {
	pub fn name(&self) -> &'static str {
		match self {
			Self::Register { .. } => "register",
			Self::Vote { .. } => "vote",
			Self::Unvote { .. } => "unvote",
			Self::Withdraw { .. } => "withdraw",
			Self::WithdrawFor { .. } => "withdraw_for",
			Self::SetOperator { .. } => "set_operator",
			Self::SetIntro { .. } => "set_intro",
			Self::SetCommission { .. } => "set_commission",
			Self::Chill { .. } => "chill",
			Self::Unjail { .. } => "unjail",
			Self::Unregister { .. } => "unregister",
			Self::Settle { .. } => "settle",
			Self::Pay { .. } => "pay",
			Self::Fee { .. } => "transaction fee",
			Self::Slash { .. } => "slash",
			Self::Offence { .. } => "offence",
			Self::Freeze { .. } => "freeze",
			Self::Release { .. } => "release",
			Self::Donate { .. } => "donation",
			Self::Mint { .. } => "(mint)",
			Self::Work { .. } => "(work)",
			Self::Keys { .. } => "(session keys)",
			Self::Parameter { .. } => "(parameter)",
		}
	}

	/// Whether it is a call of the pallet, not something that happens around it.
	pub fn is_call(&self) -> bool {
		!self.name().starts_with('(')
	}

	/// The owner of the pool that it is about.
	pub fn owner(&self) -> Option<usize> {
		match self {
			Self::Register { owner, .. }
			| Self::Vote { owner, .. }
			| Self::Unvote { owner, .. }
			| Self::Withdraw { owner, .. }
			| Self::WithdrawFor { owner, .. }
			| Self::SetOperator { owner, .. }
			| Self::SetIntro { owner, .. }
			| Self::SetCommission { owner, .. }
			| Self::Chill { owner }
			| Self::Unjail { owner }
			| Self::Unregister { owner }
			| Self::Settle { owner, .. }
			| Self::Pay { owner, .. }
			| Self::Slash { owner, .. }
			| Self::Offence { owner, .. }
			| Self::Freeze { owner }
			| Self::Release { owner }
			| Self::Work { owner, .. }
			| Self::Keys { owner, .. } => Some(*owner),
			_ => None,
		}
	}
}

/// Makes up an operation.
type Chooser = fn(&mut Fuzz) -> Op;

/// How often each is tried, in parts of the sum.
const CHOICES: [(u64, Chooser); 21] = [
	(40, Fuzz::register),
	(220, Fuzz::vote),
	(200, Fuzz::unvote),
	(110, Fuzz::withdraw),
	(20, Fuzz::set_operator),
	(10, Fuzz::set_intro),
	(40, Fuzz::set_commission),
	(8, Fuzz::chill),
	(40, Fuzz::unjail),
	(16, Fuzz::unregister),
	(50, Fuzz::settle),
	(110, Fuzz::pay),
	(20, Fuzz::fee),
	(40, Fuzz::slash),
	(16, Fuzz::offence),
	(8, Fuzz::freeze),
	(16, Fuzz::release),
	(4, Fuzz::donate),
	(10, Fuzz::mint),
	(12, Fuzz::outside),
	(5, Fuzz::parameter),
];

/// Whether the best that is left to do with a pool is to leave it.
fn is_over(pool: &Pool) -> bool {
	pool.is_retired() || (pool.tokens < DUST && pool.shares > 0)
}

impl Fuzz {
	/// What to try next.
	pub fn choose(&mut self) -> Op {
		let mut ticket = self.random.below(CHOICES.iter().map(|(weight, _)| weight).sum());
		for (weight, choose) in CHOICES {
			match ticket.checked_sub(weight) {
				Some(rest) => ticket = rest,
				None => return choose(self),
			}
		}
		self.settle()
	}

	/// Mostly an owner of whom something holds, if there is one.
	fn owner(&mut self, percent: u64, holds: impl Fn(&Model, usize) -> bool) -> usize {
		let fitting: Vec<usize> = (0..OWNERS).filter(|owner| holds(&self.model, *owner)).collect();
		let any = self.random.index(OWNERS);
		let chosen = self.random.pick(&fitting).filter(|_| self.random.chance(percent));
		chosen.unwrap_or(any)
	}

	/// Mostly an owner whose pool fits, if there is one.
	fn pool(&mut self, percent: u64, fits: impl Fn(&Pool) -> bool) -> usize {
		self.owner(percent, |model, owner| model.pools[owner].as_ref().is_some_and(&fits))
	}

	fn account(&mut self) -> usize {
		self.random.index(ACCOUNTS)
	}

	fn accounts(&mut self) -> Vec<usize> {
		(0..self.random.below(4)).map(|_| self.account()).collect()
	}

	fn intro(&mut self) -> Introduction {
		match self.random.below(16) {
			0 => Introduction::Nameless,
			1 => Introduction::WrongEndpoint,
			_ => Introduction::Good,
		}
	}

	fn operator(&mut self, owner: usize) -> u8 {
		match self.random.below(16) {
			0 => number(owner),
			1 => number(self.account()),
			2 => {
				let pools = self.model.pools.iter().flatten();
				let used: Vec<u8> = pools.map(|pool| pool.operator).collect();
				self.random.pick(&used).unwrap_or(100)
			},
			_ => 100 + self.random.below(100) as u8,
		}
	}

	fn commission(&mut self, around: u32) -> Perbill {
		match self.random.below(8) {
			0 => Perbill::zero(),
			1 => Perbill::from_percent(self.random.below(70) as u32),
			2 => Perbill::from_parts(around),
			_ => Perbill::from_parts(around + self.random.below(50_000_000) as u32),
		}
	}

	fn register(&mut self) -> Op {
		let owner = self.owner(85, |model, owner| {
			model.pools[owner].as_ref().is_none_or(|pool| pool.is_retired() && pool.shares == 0)
		});
		let free = self.model.free[owner];
		let roles = [Role::Validator, Role::Coordinator, Role::Miner];
		let wanted = self.random.pick(&roles).unwrap_or(Role::Miner);
		// Who has too little for one role takes another.
		let affordable = |role: &Role| minimum(*role) < free / 2;
		let role = [wanted, Role::Validator, Role::Miner].into_iter().find(affordable);
		let role = role.unwrap_or(wanted);
		let least = minimum(role);
		let bond = match self.random.below(16) {
			0 => least,
			1 => self.random.up_to(least),
			2 => free,
			3 => free.saturating_sub(10 * CAI + 1),
			4..=6 => least + 1,
			_ => least + 1 + self.random.some_of(free.saturating_sub(least) / 2),
		};
		let (operator, intro) = (self.operator(owner), self.intro());
		let commission = self.commission(100_000_000);
		Op::Register { owner, terms: Terms { role, operator, intro, commission, bond } }
	}

	fn vote(&mut self) -> Op {
		// An owner whose bond has fallen to the minimum puts it right again.
		let mends = self.random.chance(15);
		let fits = |pool: &Pool| !pool.is_retired() && pool.weight.is_zero() == mends;
		let owner = self.pool(90, fits);
		let voter = if mends || self.random.chance(20) { owner } else { self.account() };
		let free = self.model.free[voter];
		let least = self.model.pools[owner].as_ref().map_or(0, |pool| minimum(pool.role));
		let amount = match self.random.below(40) {
			_ if mends && self.random.chance(70) => least + 1,
			0 => free,
			1 => free.saturating_sub(1),
			2 => free.saturating_add(1 + self.random.up_to(CAI)),
			3 => CAI - 1,
			4 => self.random.up_to(1_000),
			5 | 6 => CAI,
			_ => CAI + self.random.some_of(free / 4),
		};
		Op::Vote { voter, owner, amount }
	}

	fn unvote(&mut self) -> Op {
		if let Some(owner) = self.hoard().filter(|_| self.random.chance(12)) {
			let amount = CAI / 100 + self.random.up_to(1_000);
			return Op::Unvote { voter: HOARDER, owner, amount };
		}
		let over = self.random.chance(40);
		let owner = self.pool(95, |pool| !pool.voters.is_empty() && (!over || is_over(pool)));
		let Some(pool) = &self.model.pools[owner] else {
			return Op::Unvote { voter: self.account(), owner, amount: CAI };
		};
		let (over, holders) = (is_over(pool), pool.voters.holders().collect::<Vec<_>>());
		let any = self.random.index(ACCOUNTS);
		let voter = self.random.pick(&holders).filter(|_| self.random.chance(93)).unwrap_or(any);
		let held = pool.voters.get(voter).map_or(0, |held| held.amount.floor());
		let amount = match self.random.below(32) {
			_ if over && self.random.chance(60) => Balance::MAX,
			0 => Balance::MAX,
			1 | 2 => held,
			3 => held + 1 + self.random.up_to(2),
			4 => held + CAI,
			5 => self.random.up_to(10),
			6 => held.saturating_sub(CAI),
			7 => held.saturating_sub(CAI - 1),
			8 => held.saturating_sub(self.random.up_to(5)),
			9 => 0,
			_ => self.random.some_of(held),
		};
		Op::Unvote { voter, owner, amount }
	}

	/// The first pool in which the hoarder is: always the same, so that the eras add up.
	fn hoard(&self) -> Option<usize> {
		let hoards = |pool: &Pool| pool.voters.holds(HOARDER);
		(0..OWNERS).find(|owner| self.model.pools[*owner].as_ref().is_some_and(hoards))
	}

	fn withdraw(&mut self) -> Op {
		let (model, waiting) = (&self.model, waiting_eras());
		let mut due = Vec::new();
		for ((owner, era), bucket) in &model.buckets {
			if era + waiting <= model.era && model.disputes[*owner] == 0 {
				due.extend(bucket.holders.holders().map(|voter| (voter, *owner)));
			}
		}
		due.retain(|(voter, owner)| {
			*voter != HOARDER || model.claims(HOARDER, *owner).len() >= MAX_CLAIMS as usize
		});
		let any = (self.random.index(ACCOUNTS - 1), self.random.index(OWNERS));
		let chosen = self.random.pick(&due).filter(|_| self.random.chance(85));
		let (voter, owner) = chosen.unwrap_or(any);
		if self.random.chance(70) {
			Op::Withdraw { voter, owner }
		} else {
			Op::WithdrawFor { by: self.account(), voter, owner }
		}
	}

	fn set_operator(&mut self) -> Op {
		let owner = self.pool(90, |pool| !pool.is_retired());
		Op::SetOperator { owner, operator: self.operator(owner) }
	}

	fn set_intro(&mut self) -> Op {
		let owner = self.pool(90, |pool| !pool.is_retired());
		Op::SetIntro { owner, intro: self.intro() }
	}

	fn set_commission(&mut self) -> Op {
		let owner = self.pool(90, |pool| !pool.is_retired());
		let now = self.model.pools[owner].as_ref().map_or(0, |pool| pool.commission.deconstruct());
		Op::SetCommission { owner, commission: self.commission(now) }
	}

	fn chill(&mut self) -> Op {
		Op::Chill { owner: self.pool(90, |pool| pool.status == PoolStatus::Open) }
	}

	fn unjail(&mut self) -> Op {
		let out =
			|pool: &Pool| matches!(pool.status, PoolStatus::Chilled | PoolStatus::Jailed { .. });
		Op::Unjail { owner: self.pool(90, out) }
	}

	fn unregister(&mut self) -> Op {
		let over = self.random.chance(60);
		let fits = |pool: &Pool| !pool.is_retired() && (!over || is_over(pool));
		let owner = self.pool(90, fits);
		if self.random.chance(80) {
			// Its operator has gone offline and purged its keys before.
			self.set_working(owner, false);
			self.set_keyless(owner, true);
		}
		Op::Unregister { owner }
	}

	fn settle(&mut self) -> Op {
		Op::Settle { by: self.account(), owner: self.pool(95, |_| true) }
	}

	fn pay(&mut self) -> Op {
		let (payer, owner) = (self.account(), self.pool(95, |_| true));
		let free = self.model.free[payer];
		if free < 2 {
			return self.mint();
		}
		let tokens = self.model.pools[owner].as_ref().map_or(CAI, |pool| pool.tokens);
		let fee = match self.random.below(64) {
			// Makes the shares of a pool that was brought down to little dear, or those of one that was
			// slashed to next to nothing worth something again.
			_ if tokens < DUST && self.random.chance(2) => 1_000 * CAI,
			_ if (DUST..100 * CAI).contains(&tokens) && self.random.chance(30) => 1_000 * CAI,
			0 => self.random.up_to(tokens / 3),
			1..=6 => self.random.up_to(tokens / 100),
			7..=9 => self.random.up_to(100),
			_ => self.random.up_to(tokens / 10_000),
		};
		Op::Pay { payer, owner, fee: fee.clamp(1, free - 1) }
	}

	fn fee(&mut self) -> Op {
		let payer = self.account();
		let free = self.model.free[payer];
		if free < 2 {
			return self.mint();
		}
		Op::Fee { payer, fee: 1 + self.random.up_to((free - 2).min(CAI)) }
	}

	fn slash(&mut self) -> Op {
		let owner = self.pool(95, |pool| pool.tokens > 0);
		let pool = self.model.pools[owner].as_ref();
		let tokens = pool.map_or(CAI, |pool| pool.tokens);
		let own = pool.and_then(|pool| pool.voters.get(owner)).map_or(0, |own| own.amount.floor());
		let amount = match self.random.below(128) {
			0 => Balance::MAX,
			1 => tokens.saturating_sub(self.random.up_to(3)),
			2 => tokens - tokens / 1_000_000_000,
			3..=5 => self.random.up_to(tokens),
			6..=9 => (own + 1).saturating_sub(self.random.up_to(2)),
			10..=15 => own.saturating_add(self.random.up_to(tokens / 20)),
			16..=20 => self.random.up_to(3),
			_ => self.random.some_of(tokens / 50),
		};
		let ago = if self.random.chance(50) { 0 } else { self.random.below(7) as u32 };
		let since = self.model.era.saturating_sub(ago);
		Op::Slash { owner, amount, since, provers: self.accounts() }
	}

	fn offence(&mut self) -> Op {
		let owner = self.pool(95, |pool| pool.role == Role::Validator && pool.tokens > 0);
		let fraction = match self.random.below(32) {
			0 => Perbill::one(),
			1 => Perbill::zero(),
			2..=5 => Perbill::from_percent(self.random.below(40) as u32),
			_ => Perbill::from_parts(self.random.below(10_000_000) as u32),
		};
		let session = self.session.saturating_sub(self.random.below(14) as u32);
		Op::Offence { owner, fraction, session, reporters: self.accounts() }
	}

	fn freeze(&mut self) -> Op {
		Op::Freeze { owner: self.random.index(OWNERS) }
	}

	fn release(&mut self) -> Op {
		Op::Release { owner: self.owner(95, |model, owner| model.disputes[owner] > 0) }
	}

	fn donate(&mut self) -> Op {
		let from = self.account();
		let free = self.model.free[from];
		if free < 2 {
			return self.mint();
		}
		Op::Donate { from, amount: 1 + self.random.up_to((free - 2).min(100 * CAI)) }
	}

	/// Whoever has least gets something, so that slashes and fees do not bring all to an end.
	fn mint(&mut self) -> Op {
		let free = self.model.free;
		let to = (0..ACCOUNTS).min_by_key(|who| free[*who]).unwrap_or(0);
		let most = if free[to] < 2_000_000 * CAI { 2_000_000 * CAI } else { CAI };
		Op::Mint { to, amount: 1 + self.random.up_to(most) }
	}

	fn outside(&mut self) -> Op {
		let owner = self.random.index(OWNERS);
		if self.random.chance(50) {
			Op::Work { owner, works: self.random.chance(30) }
		} else {
			Op::Keys { owner, keyless: self.random.chance(50) }
		}
	}

	fn parameter(&mut self) -> Op {
		Op::Parameter { change: change_parameter(&mut self.random, self.model.issued) }
	}
}

/// Sets every parameter to what a run begins with.
pub fn reset_parameters() {
	MinValidatorBond::reset();
	MinCoordinatorBond::reset();
	MinMinerBond::reset();
	MaxCommission::reset();
	MaxCommissionStep::reset();
	CommissionNotice::reset();
	BondingEras::reset();
	StakingPot::reset();
	MiningPot::reset();
	AuthorFees::reset();
	ProverShare::reset();
	JailEras::reset();
	EraLength::set(4);
	StakingPerEra::set(1_000 * CAI);
	BlockReward::set(CAI);
	MiningBonus::set(Perbill::from_percent(10));
	FeeBurn::set(Perbill::from_percent(10));
}

/// Changes a parameter, which is in force at once, and says to what. Half of the changes go back to
/// where the run began.
fn change_parameter(random: &mut Random, issued: Issued) -> String {
	if random.chance(50) {
		reset_parameters();
		return "all are reset".into();
	}
	let percent = |random: &mut Random, most| Perbill::from_percent(random.below(most) as u32);
	macro_rules! set {
		($parameter:ident, $value:expr) => {{
			let value = $value;
			$parameter::set(value);
			format!("{} = {value:?}", stringify!($parameter))
		}};
	}
	match random.below(18) {
		0 => set!(MinValidatorBond, random.up_to(200_000) * CAI),
		1 => set!(MinCoordinatorBond, random.up_to(2_000_000) * CAI),
		2 => set!(MinMinerBond, random.up_to(100_000) * CAI),
		3 => set!(MinMinerBond, 0),
		4 => set!(MaxCommission, percent(random, 51)),
		5 => set!(MaxCommissionStep, percent(random, 31)),
		6 => set!(CommissionNotice, random.below(6) as u32),
		7 => set!(EraLength, random.below(9) as u32),
		8 => set!(BondingEras, random.below(9) as u32),
		9 => set!(BondingEras, 20 + random.below(20) as u32),
		10 => set!(StakingPerEra, random.up_to(10_000 * CAI)),
		11 => set!(BlockReward, random.up_to(10 * CAI)),
		12 => set!(AuthorFees, percent(random, 101)),
		13 => set!(FeeBurn, percent(random, 40)),
		14 => set!(MiningBonus, percent(random, 40)),
		// Nearly empty pots, and some that hold less than what came out of them.
		15 => set!(StakingPot, (issued.staking + random.up_to(3_000 * CAI)).saturating_sub(CAI)),
		16 => set!(MiningPot, (issued.mining + random.up_to(CAI)).saturating_sub(CAI / 10)),
		_ if random.chance(50) => set!(ProverShare, percent(random, 101)),
		_ => set!(JailEras, random.below(5) as u32),
	}
}
