//! Random calls of everybody at once, for as long as it takes to find what nobody thought of.
//!
//! Three coordinators post tasks for three models, one of them exact, and thirty miners [do them](actors): eighteen honestly and in time, the others in
//! some of their seats only. They make results up, alone or together, copy, are silent at any step, say that there are no inputs, go and come back, and what
//! they send [comes](send) late, twice, in another order or never. Whoever likes [challenges what was paid, cancels, votes, leaves, and tries what must be
//! refused](others). Blocks lack their VRF, hooks lack weight, so that deadlines lie about, and the number of verifiers, the sample and the rate of audits
//! change.
//!
//! After every block
//!
//! - every `try_state` holds, and no call was refused because the state contradicts itself;
//! - the money is where [a ledger](model) of all tasks says: whatever a coordinator lost is a pool's that earned it or was burnt, and all CAI is accounted for;
//! - what an honest miner had to do in this block was accepted, and no honest miner was slashed, unless most of a court's jurors lied.
//!
//! A failure tells the seed and the calls of the block. The same seed does the same again: `CUCKOO_FUZZ_SEED` picks one.

mod actors;
#[path = "../../../stake/src/fuzz/harness.rs"]
mod harness;
mod model;
mod others;
#[path = "../../../stake/src/fuzz/random.rs"]
mod random;
mod results;
mod send;
mod tally;
mod view;

use crate::{mock::*, verdict, Event, Receipts};
use actors::{Key, Must, Work};
use cuckoo_primitives::{views::SeatKind, Balance, ModelId, Role, TaskId, CAI};
use frame_support::{traits::Hooks, weights::Weight};
use harness::{number_of, renewed};
use model::Model;
use pallet_models::Event as ModelEvent;
use pallet_stake::{Event as StakeEvent, SlashHistory};
use random::Random;
use send::Sent;
use sp_io::TestExternalities;
use sp_runtime::{AccountId32, Perbill};
use std::{
	collections::{BTreeMap, BTreeSet},
	ops::RangeInclusive,
	rc::Rc,
	time::{Duration, Instant},
};
use tally::Tally;
use view::View;

/// How many calls a chain lives for.
const CALLS_OF_A_CHAIN: u64 = 50_000;
/// So many blocks are made before the storage is written anew: see [`renewed`].
const BLOCKS_OF_A_STORAGE: u32 = 64;
/// So many blocks lie between two looks at what changes slowly.
const BLOCKS_BETWEEN: u32 = 16;
/// So often is it told how far it is.
const TELL: Duration = Duration::from_secs(5);

// The numbers of the accounts.
const COORDINATORS: RangeInclusive<u8> = 1..=3;
const MINERS: RangeInclusive<u8> = 4..=33;
/// Registered the models.
const REGISTRAR: u8 = 40;
/// Vote and challenge.
const VOTERS: RangeInclusive<u8> = 50..=59;
/// Has nothing.
const POOR: u8 = 250;
/// Between how many operator accounts an owner can choose.
const OPERATORS: u8 = 3;

/// Enough for all that hooks ever have to do.
const PLENTY: Weight = Weight::from_parts(1_000_000_000_000, u64::MAX);
/// Half of it fits any deadline, by the estimate of what they cost.
const TIGHT: Weight = Weight::from_parts(4_000_000_000, u64::MAX);
/// Half of it fits some deadlines, and some not.
const STARVED: Weight = Weight::from_parts(400_000_000, u64::MAX);

/// An account that an owner may have its work done by.
fn operator_account(owner: u8, number: u8) -> AccountId32 {
	account(owner + 70 * (1 + number))
}

/// The account that does an owner's work, or did it until the owner left.
fn operator_of(owner: u8) -> Option<AccountId32> {
	pallet_stake::Pools::<Test>::get(account(owner)).map(|pool| pool.operator)
}

/// Whether an owner's miner does all that is asked of it in time. Three of five do.
fn is_honest(owner: u8) -> bool {
	!MINERS.contains(&owner) || owner % 5 < 3
}

fn owners() -> impl Iterator<Item = u8> {
	COORDINATORS.chain(MINERS)
}

/// The accounts that may pay for an owner's tasks.
fn operators(owner: u8) -> impl Iterator<Item = AccountId32> {
	(0..OPERATORS).map(move |number| operator_account(owner, number))
}

/// Everybody who can have something, but the stake.
fn accounts() -> impl Iterator<Item = AccountId32> {
	let others = VOTERS.chain([REGISTRAR, POOR]);
	owners().chain(others).map(account).chain(owners().flat_map(operators))
}

/// The chain at its genesis.
fn genesis() -> TestExternalities {
	let has = |numbers: RangeInclusive<u8>, amount: Balance| {
		numbers.map(move |number| (account(number), amount * CAI))
	};
	let payers = COORDINATORS.flat_map(operators).map(|payer| (payer, 100_000 * CAI));
	let stakers = has(COORDINATORS, 10_000_000).chain(has(MINERS, 300_000));
	let others = has(VOTERS, 200_000).chain(has(REGISTRAR..=REGISTRAR, 10_000));
	chain(stakers.chain(others).chain(payers).collect())
}

/// What the network is set to at the start.
fn set_parameters() {
	HookBudget::set(PLENTY);
	Vrf::set(true);
	StakingPot::set(1_000_000 * CAI);
	StakingPerEra::set(100 * CAI);
	ProverShare::set(Perbill::from_percent(40));
	EraLength::set(60);
	MaxOpenTasks::set(16);
	LeastAuditRate::set(Perbill::from_percent(20));
	VerifierCount::set(2);
	SampleSize::set(4);
}

/// Other tests count on these.
fn reset_parameters() {
	HookBudget::reset();
	Vrf::reset();
	StakingPot::reset();
	StakingPerEra::reset();
	ProverShare::reset();
	EraLength::reset();
	MaxOpenTasks::reset();
	LeastAuditRate::reset();
	VerifierCount::reset();
	SampleSize::reset();
}

/// A court's jurors, by the numbers of their owners.
struct Bench {
	jurors: Vec<u8>,
	second: bool,
}

/// A chain and everybody who uses it.
struct Fuzz {
	seed: u64,
	random: Random,
	tally: Tally,
	/// The calls until this chain began, and those to its end.
	calls: u64,
	last_call: u64,
	block: u32,
	/// The block from which on hooks have another budget.
	next_budget: u32,
	/// What there is to do in this block.
	view: Rc<View>,
	model: Model,
	/// What is on its way, by the block in which it comes.
	queue: BTreeMap<u32, Vec<Sent>>,
	/// The calls of this block.
	sent: Vec<Sent>,
	works: BTreeMap<Key, Work>,
	musts: Vec<Must>,
	/// The courts that sat last, by task.
	benches: BTreeMap<TaskId, Bench>,
	/// Who was slashed by courts of liars.
	wronged: BTreeSet<u8>,
	/// The models that tasks are posted for.
	models: Vec<ModelId>,
	/// Tasks that were paid lately.
	paid: Vec<TaskId>,
}

impl Fuzz {
	fn new(seed: u64, calls: u64, tally: Tally) -> Self {
		set_parameters();
		// Chance on chain comes from the number of the block.
		let block = 1 + (seed % 10_000) as u32 * 100_000;
		System::set_block_number(block);
		crate::DeadlineCursor::<Test>::put(block);
		let mut random = Random::new(seed);
		for owner in owners() {
			let (role, most) = if COORDINATORS.contains(&owner) {
				(Role::Coordinator, 3_000_000 * CAI)
			} else {
				(Role::Miner, 100_000 * CAI)
			};
			let bond = Stake::minimum(role) + 1 + random.up_to(most);
			let commission = Perbill::from_percent(random.below(51) as u32);
			register_pool(account(owner), operator_account(owner, 0), role, commission, bond);
		}
		Self {
			seed,
			random,
			calls: tally.calls,
			last_call: tally.calls + calls,
			tally,
			block,
			next_budget: block,
			view: Rc::default(),
			model: Model::new(COORDINATORS.flat_map(operators)),
			queue: BTreeMap::new(),
			sent: Vec::new(),
			works: BTreeMap::new(),
			musts: Vec::new(),
			benches: BTreeMap::new(),
			wronged: BTreeSet::new(),
			models: Vec::new(),
			paid: Vec::new(),
		}
	}

	fn is_over(&self) -> bool {
		self.tally.calls >= self.last_call
	}

	fn block(&mut self) {
		self.change_parameters();
		self.block += 1;
		self.sent.clear();
		System::set_block_number(self.block);
		System::reset_events();
		Stake::on_initialize(self.block);
		Tasks::on_initialize(self.block);
		self.view = Rc::new(View::take());
		self.miners_act();
		self.others_act();
		self.deliver();
		self.tally.blocks += 1;
		self.read_events();
		self.check_musts();
		self.model.check();
		try_state();
		if self.block.is_multiple_of(BLOCKS_BETWEEN) {
			self.check_slowly();
		}
	}

	/// What the network is set to in the next block.
	fn change_parameters(&mut self) {
		Vrf::set(!self.random.chance(7));
		if self.random.chance(2) {
			VerifierCount::set(1 + self.random.below(3) as u32);
		}
		if self.random.chance(2) {
			SampleSize::set(1 + self.random.below(8) as u32);
		}
		if self.random.chance(1) {
			let percent = self.random.pick(&[0, 5, 20, 50, 100]).unwrap_or(20);
			LeastAuditRate::set(Perbill::from_percent(percent));
		}
		if self.block < self.next_budget {
			return;
		}
		let (budget, blocks) = match self.random.below(12) {
			0 => (Weight::zero(), 3),
			1 => (STARVED, 6),
			2 | 3 => (TIGHT, 20),
			_ => (PLENTY, 30),
		};
		HookBudget::set(budget);
		self.next_budget = self.block + 1 + self.random.below(blocks) as u32;
	}

	/// What happened in a block, in its order.
	fn read_events(&mut self) {
		let mut slashed = Vec::new();
		let mut wronged = BTreeSet::new();
		for record in System::events() {
			self.model.note(&record.event);
			match &record.event {
				RuntimeEvent::Tasks(event) => self.note_task(event, &mut wronged),
				RuntimeEvent::Stake(StakeEvent::Slashed { owner, reason, .. }) => {
					self.tally.see("slashed");
					slashed.push((number(owner), *reason));
				},
				RuntimeEvent::Models(ModelEvent::Registered { model, .. }) => {
					self.models.push(*model);
				},
				RuntimeEvent::Models(ModelEvent::Retired { model, .. }) => {
					self.models.retain(|other| other != model);
				},
				RuntimeEvent::Models(ModelEvent::Distrusted { .. }) => {
					self.tally.see("model distrusted");
				},
				_ => {},
			}
		}
		for (owner, reason) in slashed.into_iter().filter(|(owner, _)| is_honest(*owner)) {
			if wronged.contains(&owner) {
				self.tally.see("honest slashed by a captured court");
			} else {
				self.tally.see("honest slashed");
				panic!("{owner} is honest and was slashed: {reason:?}");
			}
		}
		self.wronged.extend(wronged);
	}

	/// Counts what happened to a task, and finds out which honest miners a court of liars has wronged.
	fn note_task(&mut self, event: &Event<Test>, wronged: &mut BTreeSet<u8>) {
		let what = match event {
			Event::Posted { .. } => "posted",
			Event::Drawn { .. } => "drawn",
			Event::Committed { kind: SeatKind::Primary, .. } => "miner committed",
			Event::Committed { kind: SeatKind::Verifier, .. } => "verifier committed",
			Event::Committed { kind: SeatKind::Juror, .. } => "juror committed",
			Event::NotAudited { due: false, .. } => "not audited",
			Event::NotAudited { due: true, .. } => "not audited for want of verifiers",
			Event::AuditOpened { .. } => "audit opened",
			Event::AuditCommitted { .. } => "audit committed",
			Event::Audited { agreed, .. } => {
				if !agreed {
					self.tally.see("audit grey");
				}
				"audited"
			},
			Event::Disputed { challenger: None, .. } => "disputed",
			Event::Disputed { challenger: Some(_), .. } => "challenged",
			Event::CourtSeated { task, jurors, second, .. } => {
				let jurors = jurors.iter().map(number).collect();
				self.benches.insert(*task, Bench { jurors, second: *second });
				if *second {
					"second court seated"
				} else {
					"first court seated"
				}
			},
			Event::Judged { task, wrong, .. } => {
				if self.is_captured(*task) {
					self.tally.see("court captured");
					wronged.extend(wrong.iter().map(number));
				}
				"judged"
			},
			Event::NoMajority { last: false, .. } => "no majority",
			Event::NoMajority { last: true, .. } => "no majority at last",
			Event::ChallengeFailed { .. } => "challenge failed",
			Event::CommitRefused { error, .. } | Event::RevealRefused { error, .. } => {
				self.tally.refuse(*error);
				"refused of a list"
			},
			Event::Settled { task, .. } => {
				self.paid.push(*task);
				"settled"
			},
			Event::Missed { kind: SeatKind::Primary, .. } => "miner missed",
			Event::Missed { kind: SeatKind::Verifier, .. } => "verifier missed",
			Event::Missed { kind: SeatKind::Juror, .. } => "juror missed",
			Event::Unable { .. } => "unable",
			Event::Expired { .. } => "expired",
			Event::Cancelled { .. } => "cancelled",
			Event::Rejected { .. } => "rejected",
			Event::Overturned { .. } => "overturned",
			Event::Void { .. } => "void",
			Event::Unavailable { .. } => "unavailable",
			Event::Undelivered { .. } => "undelivered",
			Event::WentOnline { .. } => "went online",
			Event::WentOffline { .. } => "went offline",
			_ => "something else",
		};
		self.tally.see(what);
	}

	/// Whether so many jurors of the court that sat last lied that they could be its majority. As long as they are fewer, whatever the court finds right
	/// agrees with a juror who told the truth, and no other who does is beyond `wrong` of it.
	fn is_captured(&self, task: TaskId) -> bool {
		let Some(Bench { jurors, second }) = self.benches.get(&task) else { return false };
		let lies = |juror: u8| {
			let mut works = self.works.range((task, juror, 0)..=(task, juror, u32::MAX));
			works.next_back().is_some_and(|(_, work)| work.lies)
		};
		let liars = jurors.iter().filter(|juror| lies(**juror)).count();
		liars >= verdict::majority(jurors.len() as u32, *second) as usize
	}

	/// What changes slowly or takes long to look at; and forgets what is over.
	fn check_slowly(&mut self) {
		let receipts: BTreeSet<TaskId> = Receipts::<Test>::iter_keys().collect();
		self.model.prune(|task| receipts.contains(&task));
		let model = &self.model;
		self.works.retain(|(task, _, _), _| model.knows(*task));
		self.benches.retain(|task, _| model.knows(*task));
		self.paid.retain(|task| receipts.contains(task));
		self.model.check_all(accounts());
		for owner in MINERS.filter(|owner| is_honest(*owner) && !self.wronged.contains(owner)) {
			let slashes = SlashHistory::<Test>::get(account(owner));
			assert!(slashes.is_empty(), "{owner} is honest and was slashed: {slashes:?}");
		}
	}
}

impl Drop for Fuzz {
	fn drop(&mut self) {
		if std::thread::panicking() {
			for sent in &self.sent {
				let text: String = format!("{sent:?}").chars().take(400).collect();
				eprintln!("  {text}");
			}
			let (seed, call, block) = (self.seed, self.tally.calls - self.calls, self.block);
			eprintln!("CUCKOO_FUZZ_SEED={seed}, call {call}, block {block}: its calls are above");
		}
		reset_parameters();
	}
}

/// Runs a chain for so many calls.
fn run_chain(seed: u64, calls: u64, tally: Tally, mut tell: impl FnMut(&Tally)) -> Tally {
	let mut chain = renewed(genesis());
	let mut fuzz = chain.execute_with(|| Fuzz::new(seed, calls, tally));
	while !fuzz.is_over() {
		chain.execute_with(|| {
			for _ in 0..BLOCKS_OF_A_STORAGE {
				if !fuzz.is_over() {
					fuzz.block();
				}
			}
		});
		tell(&fuzz.tally);
		chain = renewed(chain);
	}
	chain.execute_with(|| fuzz.check_slowly());
	std::mem::take(&mut fuzz.tally)
}

#[test]
fn task_fuzz_short() {
	let run = |tally, seed| run_chain(seed, 10_000, tally, |_| ());
	let tally = (1..=2).fold(Tally::default(), run);
	assert!(tally.calls >= 20_000, "{tally:?}");
	// Or it would show little.
	assert!(tally.refused * 2 < tally.calls, "more was refused than done: {tally:?}");
	let needed =
		["settled", "audited", "disputed", "first court seated", "judged", "challenged", "slashed"];
	for what in needed {
		assert!(tally.times(what) >= 10, "{what} too seldom: {tally:?}");
	}
}

/// `CUCKOO_FUZZ_CALLS` calls on as many chains as that takes; with `CUCKOO_FUZZ_SEED` on that one.
#[test]
#[ignore = "takes a quarter of an hour; scripts/check task-fuzz"]
fn task_fuzz() {
	let all = number_of("CUCKOO_FUZZ_CALLS").unwrap_or(1_000_000);
	let only = number_of("CUCKOO_FUZZ_SEED");
	let start = Instant::now();
	let mut told = start;
	let mut tally = Tally::default();
	let mut seed = only.unwrap_or(1);
	while tally.calls < all {
		let calls = if only.is_some() { all } else { CALLS_OF_A_CHAIN.min(all - tally.calls) };
		tally = run_chain(seed, calls, tally, |tally| {
			if told.elapsed() >= TELL {
				told = Instant::now();
				println!("seed {seed}: {} of {all} calls, {:.0?}", tally.calls, start.elapsed());
			}
		});
		seed += 1;
	}
	tally.print();
}
