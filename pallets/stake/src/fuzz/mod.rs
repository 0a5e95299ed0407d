//! Random calls, eras, rewards and slashes, against [a list](model) of who has how much.
//!
//! Twelve accounts, eight of which may have a pool of any role, do [what makes sense and some of what
//! does not](ops): they register, vote, take out, withdraw, set terms and leave; tasks and blocks are
//! paid, eras turn, pools are slashed, jailed and frozen, and now and then a parameter is changed.
//! Whatever is sent to the pallet is done to the model too. Then
//!
//! - both must agree on whether it was refused, and on a reason;
//! - after every block `try_state` must hold, the pot must hold exactly what it owes, the total
//!   issuance must be what was minted less what was burnt, and every vote in a pool that was changed
//!   must be worth what the model says, within [what rounding explains](holdings);
//! - every [`BLOCKS_BETWEEN`] blocks every balance and every position, as `Stake::position` shows it,
//!   must be as well, of pools that were settled and of others.
//!
//! A mismatch panics with the seed, the call, and what both know of the pool. The same seed does the
//! same again, whatever the number of calls: `CUCKOO_FUZZ_SEED` picks one.

mod amount;
mod calls;
mod check;
mod harness;
mod holdings;
mod model;
mod ops;
pub(crate) mod random;
mod rewards;
mod send;
mod slashing;
mod tally;

use crate::{mock::*, pallet::Issuance};
use cuckoo_primitives::Balance;
use frame_support::traits::Hooks;
use harness::{chain, number_of, renewed};
use holdings::ACCOUNTS;
use model::{Model, OWNERS};
use ops::reset_parameters;
use pallet_authorship::EventHandler;
use pallet_session::SessionManager;
use random::Random;
use send::id;
use sp_io::TestExternalities;
use sp_runtime::{AccountId32, BuildStorage};
use std::{fmt::Debug, time::Instant};
use tally::Tally;

/// How many calls a chain lives for.
const CALLS_OF_A_CHAIN: u64 = 50_000;
/// The most calls in a block.
const CALLS_IN_A_BLOCK: u64 = 24;
/// So many blocks lie between two comparisons of everything.
const BLOCKS_BETWEEN: u32 = 16;
/// So many blocks are made before the storage is written anew: see [`renewed`].
const BLOCKS_OF_A_STORAGE: u32 = 256;
/// So many blocks make a session.
const BLOCKS_OF_A_SESSION: u32 = 3;
/// What is in the pot before anybody stakes, so that the account exists, as the genesis has it.
const SEED_OF_POT: Balance = 1;

/// A chain and the model of it.
struct Fuzz {
	seed: u64,
	random: Random,
	model: Model,
	tally: Tally,
	/// The calls until this chain began, and those to its end.
	calls: u64,
	last_call: u64,
	block: u32,
	session: u32,
	/// What there was at the start, what came from outside since, and what was given to the pot.
	genesis: Balance,
	outside: Balance,
	donated: Balance,
	/// The pools that were changed in this block.
	touched: [bool; OWNERS],
	/// Which parameter was changed last, and to what.
	changed: String,
}

/// The chain at its genesis.
fn genesis() -> TestExternalities {
	Weights::take();
	Working::take();
	AtRisk::take();
	Keyless::take();
	Disabled::take();
	reset_parameters();
	let mut storage = frame_system::GenesisConfig::<Test>::default().build_storage().unwrap();
	let accounts = (0..ACCOUNTS).map(|who| (id(who), START));
	pallet_balances::GenesisConfig::<Test> {
		balances: accounts.chain([(Stake::pot_account(), SEED_OF_POT)]).collect(),
		..Default::default()
	}
	.assimilate_storage(&mut storage)
	.unwrap();
	chain(storage.top.into_iter().collect())
}

impl Fuzz {
	fn new(seed: u64, calls: u64, tally: Tally) -> Self {
		Self {
			seed,
			random: Random::new(seed),
			model: Model { free: [START; ACCOUNTS], ..Default::default() },
			calls: tally.calls,
			last_call: tally.calls + calls,
			tally,
			block: 0,
			session: 0,
			genesis: Balances::total_issuance(),
			outside: 0,
			donated: 0,
			touched: [false; OWNERS],
			changed: "none".into(),
		}
	}

	fn is_over(&self) -> bool {
		self.tally.calls >= self.last_call
	}

	/// Stops with all that is needed to see what went wrong, and to see it again.
	fn must<T>(&self, what: &dyn Debug, owner: Option<usize>, result: Result<T, String>) -> T {
		let wrong = match result {
			Ok(value) => return value,
			Err(wrong) => wrong,
		};
		let owners = owner.map_or(0..OWNERS, |owner| owner..owner + 1);
		let both: Vec<String> = owners.map(|owner| self.report(owner)).collect();
		let (seed, call) = (self.seed, self.tally.calls - self.calls);
		panic!(
			"CUCKOO_FUZZ_SEED={seed}, call {call}, block {}, era {}: {what:?}: {wrong}\n{}\n\
			 changed last: {}",
			self.block,
			self.model.era,
			both.join("\n"),
			self.changed,
		);
	}

	fn begin_block(&mut self) {
		self.block += 1;
		System::set_block_number(self.block);
		System::reset_events();
		let before = Issuance::<Test>::get().staking;
		Stake::on_initialize(self.block);
		let minted = Issuance::<Test>::get().staking - before;
		let turned = self.model.begin_block(self.block, minted);
		if self.must(&"the beginning of a block", None, turned) {
			self.tally.eras += 1;
		}
		if self.block.is_multiple_of(BLOCKS_OF_A_SESSION) {
			self.session += 1;
			<Stake as SessionManager<AccountId32>>::start_session(self.session);
			self.model.start_session(self.session, SessionMemory::get());
			Disabled::take();
		}
		if self.random.chance(80) {
			let author = self.random.index(OWNERS);
			<Stake as EventHandler<_, _>>::note_author(id(author));
			self.model.author = Some(author);
		}
	}

	fn end_block(&mut self) {
		Stake::on_finalize(self.block);
		let author = self.model.author;
		let outcome = author.map(|owner| self.leaving(Ok(()), owner, owner));
		let paid = self.model.end_block(&outcome.unwrap_or_default());
		if self.must(&"the end of a block", author, paid) {
			self.tally.rewards += 1;
		}
		if let Some(owner) = author {
			self.touched[owner] = true;
		}
		self.tally.blocks += 1;
		let state = Stake::do_try_state().map_err(|error| format!("{error:?}"));
		self.must(&"try_state", None, state);
		let money = self.check_money();
		self.must(&"accounts", None, money);
		let votes = self.check_touched();
		self.must(&"votes", None, votes);
		if self.block.is_multiple_of(BLOCKS_BETWEEN) || self.is_over() {
			let everything = self.check_everything();
			self.must(&"positions", None, everything);
		}
	}

	fn block(&mut self) {
		self.begin_block();
		for _ in 0..=self.random.below(CALLS_IN_A_BLOCK) {
			let op = self.choose();
			let refused = self.send(&op);
			let refused = self.must(&op, op.owner(), refused);
			self.tally.count(&op, refused);
		}
		self.end_block();
	}
}

/// Runs a chain for so many calls.
fn run_chain(seed: u64, calls: u64, tally: Tally) -> Tally {
	let mut chain = genesis();
	let mut fuzz = chain.execute_with(|| Fuzz::new(seed, calls, tally));
	while !fuzz.is_over() {
		chain.execute_with(|| {
			for _ in 0..BLOCKS_OF_A_STORAGE {
				if !fuzz.is_over() {
					fuzz.block();
				}
			}
		});
		chain = renewed(chain);
	}
	fuzz.tally
}

#[test]
fn stake_fuzz_short() {
	let tally = (1..=4).fold(Tally::default(), |tally, seed| run_chain(seed, 5_000, tally));
	assert!(tally.calls >= 20_000 && tally.eras > 100 && tally.slashes > 100, "{tally:?}");
	// Or it would show little.
	assert!(tally.refused * 2 < tally.calls, "more was refused than done: {tally:?}");
}

/// `CUCKOO_FUZZ_CALLS` calls on as many chains as that takes; with `CUCKOO_FUZZ_SEED` on that one.
#[test]
#[ignore = "takes minutes; scripts/check stake-fuzz"]
fn stake_fuzz() {
	let all = number_of("CUCKOO_FUZZ_CALLS").unwrap_or(1_000_000);
	let only = number_of("CUCKOO_FUZZ_SEED");
	let start = Instant::now();
	let mut tally = Tally::default();
	let mut seed = only.unwrap_or(1);
	while tally.calls < all {
		let calls = CALLS_OF_A_CHAIN.min(all - tally.calls);
		tally = run_chain(seed, if only.is_some() { all } else { calls }, tally);
		println!("seed {seed}: {} of {all} calls, {:.0?}", tally.calls, start.elapsed());
		seed += 1;
	}
	tally.print();
}
