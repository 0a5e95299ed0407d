//! What all do who have no seat, or beside it: coordinators, stakers, challengers, who registered the models, and whoever tries what must be refused.

use super::{
	actors::{commits, shows},
	is_honest, operator_account, operator_of, results,
	send::{ModelCall, StakeCall, TaskCall},
	Fuzz, COORDINATORS, MINERS, OPERATORS, POOR, REGISTRAR, VOTERS,
};
use crate::{
	mock::*,
	tests::acts::shown_item,
	types::{Outcome, Phase},
	Commitment, Receipts, Reveal, ShownItem,
};
use cuckoo_primitives::{
	tolerance::Tolerance, Balance, ModelId, ModelKind, PoolStatus, Role, TaskId, CAI,
};
use frame_support::traits::{fungible::Mutate, Get};
use pallet_models::{ModelStatus, NextModel};
use pallet_stake::{Intro, Pool};
use sp_core::H256;
use sp_runtime::{AccountId32, Perbill};
use std::ops::RangeInclusive;

/// About so many tasks are open at a time.
const OPEN: usize = 40;
/// How many models tasks are posted for.
const MODELS: usize = 3;
/// A coordinator's operator gets more when it has less than this, and so much.
const SMALL_PURSE: Balance = 20_000 * CAI;
/// What its models need: the tolerance, the work window in blocks, and the reference time in milliseconds.
const TERMS: [(Tolerance, u32, u32); MODELS] = [
	(Tolerance::Approx { agree: 1_000, wrong: 4_000 }, 10, 1),
	(Tolerance::Approx { agree: 2_000, wrong: 20_000 }, 5, 200),
	(Tolerance::Exact, 1, 50),
];

/// Something that is done now and then.
type Habit = fn(&mut Fuzz);

/// How often each is done, in parts of the sum.
const HABITS: [(u64, Habit); 16] = [
	(8, Fuzz::cancel),
	(3, Fuzz::undelivered),
	(14, Fuzz::challenge),
	(8, Fuzz::go_online),
	(4, Fuzz::go_offline),
	(14, Fuzz::vote),
	(10, Fuzz::unvote),
	(6, Fuzz::withdraw),
	(4, Fuzz::set_operator),
	(4, Fuzz::set_terms),
	(2, Fuzz::chill),
	(12, Fuzz::mend),
	(3, Fuzz::leave),
	(4, Fuzz::settle),
	(3, Fuzz::change_model),
	(24, Fuzz::nonsense),
];

/// A model's terms, by its number.
fn terms(model: ModelId) -> (Tolerance, u32, u32) {
	TERMS[model as usize % MODELS]
}

fn pool(owner: u8) -> Option<Pool<AccountId32>> {
	pallet_stake::Pools::<Test>::get(account(owner))
}

fn introduction(owner: u8) -> Intro {
	let endpoint: &[u8] = if COORDINATORS.contains(&owner) { b"https://c" } else { b"" };
	Intro {
		name: b"x".to_vec().try_into().unwrap(),
		endpoint: endpoint.to_vec().try_into().unwrap(),
		..Default::default()
	}
}

/// A commitment to nothing.
fn empty_promise(task: TaskId) -> Commitment {
	Commitment { task, round: 0, input_root: H256::zero(), hash: H256::zero() }
}

/// Shows nothing that anybody has committed to.
fn empty_reveal(task: TaskId) -> Reveal {
	Reveal { task, output_root: H256::zero(), salt: [0; 32], items: Default::default() }
}

impl Fuzz {
	/// What happens in every block, and some of what happens now and then.
	pub fn others_act(&mut self) {
		self.care_for_models();
		for owner in COORDINATORS {
			let Some(operator) = operator_of(owner) else { continue };
			if Balances::free_balance(&operator) < SMALL_PURSE {
				self.mint(&operator, 5 * SMALL_PURSE);
			}
		}
		for open in self.view.tasks.len()..(self.view.tasks.len() + 5).min(OPEN) {
			if self.random.chance(if open * 2 < OPEN { 90 } else { 50 }) {
				self.post();
			}
		}
		let view = self.view.clone();
		for owner in MINERS {
			let online = view.miners.get(&owner).is_some_and(|miner| miner.online);
			if online || !self.random.chance(25) {
				continue;
			}
			if self.random.chance(5) || pool(owner).is_some_and(|pool| pool.weight > 0) {
				self.be_online(owner);
			}
		}
		for _ in 0..1 + self.random.below(10) {
			let mut ticket = self.random.below(HABITS.iter().map(|(weight, _)| weight).sum());
			for (weight, habit) in HABITS {
				match ticket.checked_sub(weight) {
					Some(rest) => ticket = rest,
					None => {
						habit(self);
						break;
					},
				}
			}
		}
	}

	/// CAI from outside.
	fn mint(&mut self, to: &AccountId32, amount: Balance) {
		Balances::mint_into(to, amount).unwrap();
		self.model.minted(to, amount);
	}

	fn one_of(&mut self, numbers: RangeInclusive<u8>) -> u8 {
		let (first, last) = (*numbers.start(), *numbers.end());
		first + self.random.below(u64::from(last - first) + 1) as u8
	}

	/// Anybody with a pool.
	fn an_owner(&mut self) -> u8 {
		self.one_of(*COORDINATORS.start()..=*MINERS.end())
	}

	/// An open task, if there is one, for which something holds if there is one of those.
	fn a_task(&mut self, fits: impl Fn(&Phase<AccountId32>) -> bool) -> TaskId {
		let all: Vec<TaskId> = self.view.tasks.keys().copied().collect();
		let fitting = self.view.tasks.iter().filter(|(_, task)| fits(&task.phase));
		let fitting: Vec<TaskId> = fitting.map(|(id, _)| *id).collect();
		let any = self.random.pick(&all).unwrap_or(0);
		self.random.pick(&fitting).filter(|_| self.random.chance(60)).unwrap_or(any)
	}

	/// The operator of a task's coordinator, or sometimes of another.
	fn client_of(&mut self, task: TaskId) -> Option<AccountId32> {
		let client = self.view.tasks.get(&task).map(|task| number(&task.coordinator));
		let other = self.one_of(COORDINATORS);
		operator_of(client.filter(|_| self.random.chance(90)).unwrap_or(other))
	}

	fn post(&mut self) {
		let coordinator = self.one_of(COORDINATORS);
		let Some(operator) = operator_of(coordinator) else { return };
		let Some(model) = self.random.pick(&self.models) else { return };
		let items = match self.random.below(12) {
			0 => 40,
			1 | 2 => 1 + self.random.below(40) as u32,
			3..=5 => 1,
			_ => 1 + self.random.below(8) as u32,
		};
		let (least, most) = (MIN_FEE * Balance::from(items), most_fee());
		let fee = match self.random.below(32) {
			0 => least,
			1 => most,
			2 => most - self.random.up_to(10 * CAI),
			_ => least + self.random.some_of(20 * CAI),
		};
		let max_wait = match self.random.below(10) {
			0 => RandomnessDelay::get(),
			1 => MaxWait::get(),
			_ => RandomnessDelay::get() + self.random.below(60) as u32,
		};
		let input_root = results::inputs(&mut self.random);
		self.send(operator, TaskCall::post { model, input_root, items, fee, max_wait });
	}

	fn cancel(&mut self) {
		let task = self.a_task(|phase| phase.miner().is_none());
		let Some(operator) = self.client_of(task) else { return };
		self.send_loosely(operator, TaskCall::cancel { task });
	}

	fn undelivered(&mut self) {
		let task = self.a_task(|phase| matches!(phase, Phase::Lottery { .. }));
		let Some(operator) = self.client_of(task) else { return };
		self.send_loosely(operator, TaskCall::undelivered { task });
	}

	/// Whoever knows all results challenges one of a paid task; mostly one that is wrong, if there is one.
	fn challenge(&mut self) {
		let Some(task) = self.random.pick(&self.paid) else { return };
		let Some(receipt) = Receipts::<Test>::get(task) else { return };
		let Outcome::Settled { miner, .. } = receipt.outcome else { return };
		let owner = number(&miner);
		let Some(work) = self.works.get(&(task, owner, receipt.round)) else { return };
		let leaves = work.leaves.clone();
		let honest = |item| results::honest(&receipt.input_root, item, owner, &receipt.tolerance);
		let wrong = (0..receipt.items).filter(|item| leaves[*item as usize] != honest(*item));
		let wrong: Vec<u32> = wrong.collect();
		let any = self.random.below(receipt.items.into()) as u32;
		let mut item = self.random.pick(&wrong).filter(|_| self.random.chance(80)).unwrap_or(any);
		// Right ones are not so interesting.
		if wrong.is_empty() && self.random.chance(50) {
			return;
		}
		let mut shown = shown_item(&leaves, item);
		match self.random.below(24) {
			0 => shown.leaf = leaf(1),
			1 => shown.proof = Default::default(),
			2 => item += 1,
			_ => {},
		}
		let challenger = match self.random.below(16) {
			0 => account(POOR),
			1..=3 => account(self.one_of(MINERS)),
			_ => account(self.one_of(VOTERS)),
		};
		self.send_loosely(challenger, TaskCall::challenge { task, item, shown });
	}

	/// Says that a miner is ready, for most models and some tasks.
	fn be_online(&mut self, owner: u8) {
		let Some(operator) = operator_of(owner) else { return };
		let mut models = self.models.clone();
		if models.is_empty() {
			return;
		}
		if models.len() > 1 && self.random.chance(30) {
			let gone = self.random.index(models.len());
			models.remove(gone);
		}
		let models = models.try_into().unwrap();
		let slots = 1 + self.random.below(6) as u32;
		self.send(operator, TaskCall::go_online { models, slots });
	}

	fn go_online(&mut self) {
		let owner = self.one_of(MINERS);
		self.be_online(owner);
	}

	fn go_offline(&mut self) {
		let owner = self.one_of(MINERS);
		let Some(operator) = operator_of(owner) else { return };
		self.send_loosely(operator, TaskCall::go_offline {});
	}

	fn vote(&mut self) {
		let owner = self.an_owner();
		let voter = if self.random.chance(30) { owner } else { self.one_of(VOTERS) };
		let amount = match self.random.below(20) {
			0 => self.random.up_to(CAI),
			1 => 10_000 * CAI + self.random.up_to(CAI),
			_ => CAI + self.random.some_of(2_000 * CAI),
		};
		self.send_loosely(account(voter), StakeCall::vote { owner: account(owner), amount });
	}

	fn unvote(&mut self) {
		let owner = self.an_owner();
		let voter = if self.random.chance(30) { owner } else { self.one_of(VOTERS) };
		let held = pallet_stake::Votes::<Test>::get(account(voter), account(owner));
		let amount = match self.random.below(20) {
			0 if !is_honest(owner) || voter != owner => Balance::MAX,
			1 => self.random.some_of(held),
			2 => self.random.up_to(held),
			_ => self.random.some_of(held / 20),
		};
		self.send_loosely(account(voter), StakeCall::unvote { owner: account(owner), amount });
	}

	fn withdraw(&mut self) {
		let owner = self.an_owner();
		let voter = if self.random.chance(40) { owner } else { self.one_of(VOTERS) };
		let (voter, owner) = (account(voter), account(owner));
		if self.random.chance(70) {
			self.send_loosely(voter, StakeCall::withdraw { owner });
		} else {
			let by = account(self.one_of(VOTERS));
			self.send_loosely(by, StakeCall::withdraw_for { voter, owner });
		}
	}

	/// What the old one has sent in this block still counts: or an honest miner could miss its time by this.
	fn set_operator(&mut self) {
		let owner = self.an_owner();
		let other = self.an_owner();
		let taken = operator_of(other).filter(|_| other != owner && self.random.chance(10));
		let own = operator_account(owner, self.random.below(OPERATORS.into()) as u8);
		let operator = taken.unwrap_or(own);
		self.send_last(account(owner), StakeCall::set_operator { operator });
	}

	fn set_terms(&mut self) {
		let owner = self.an_owner();
		if self.random.chance(20) {
			let intro = introduction(owner);
			self.send_loosely(account(owner), StakeCall::set_intro { intro });
		} else {
			let commission = Perbill::from_percent(self.random.below(60) as u32);
			self.send_loosely(account(owner), StakeCall::set_commission { commission });
		}
	}

	fn chill(&mut self) {
		let owner = self.an_owner();
		self.send_loosely(account(owner), StakeCall::chill {});
	}

	fn settle(&mut self) {
		let (by, owner) = (self.one_of(VOTERS), self.an_owner());
		self.send_loosely(account(by), StakeCall::settle { owner: account(owner) });
	}

	/// Whoever is out of the draws does what brings it back.
	fn mend(&mut self) {
		let first = self.an_owner();
		let owners = (first..=*MINERS.end()).chain(*COORDINATORS.start()..first);
		let mut pools = owners.filter_map(|owner| Some((owner, pool(owner)?)));
		let Some((owner, pool)) = pools.find(|(_, pool)| {
			pool.weight == 0 && !matches!(pool.status, PoolStatus::Retired { .. })
		}) else {
			return;
		};
		let (who, least) = (account(owner), Stake::minimum(pool.role) + CAI);
		if pool.own() < least {
			let amount = least - pool.own() + self.random.some_of(10_000 * CAI) + CAI;
			if Balances::free_balance(&who) < 2 * amount {
				self.mint(&who, 2 * amount);
			}
			self.send(who, StakeCall::vote { owner: account(owner), amount });
		} else {
			self.send(who, StakeCall::unjail {});
		}
	}

	/// Some of those who are not honest leave, and come back under the same name.
	fn leave(&mut self) {
		let owner = self.one_of(MINERS);
		if is_honest(owner) || owner.is_multiple_of(2) {
			return;
		}
		let who = account(owner);
		match pool(owner) {
			Some(pool) if matches!(pool.status, PoolStatus::Retired { .. }) => {
				let operator = operator_account(owner, 0);
				let bond = Stake::minimum(Role::Miner) + 1 + self.random.some_of(20_000 * CAI);
				if Balances::free_balance(&who) < 2 * bond {
					self.mint(&who, 2 * bond);
				}
				let (role, intro, commission) = (Role::Miner, introduction(owner), Perbill::zero());
				self.send(who, StakeCall::register { role, operator, intro, commission, bond });
			},
			Some(pool) => {
				self.send(pool.operator, TaskCall::go_offline {});
				self.send_last(who, StakeCall::unregister {});
			},
			None => {},
		}
	}

	/// Has as many models as there should be, each with a tolerance.
	fn care_for_models(&mut self) {
		let registrar = account(REGISTRAR);
		for model in self.models.clone() {
			let Some(stored) = pallet_models::Models::<Test>::get(model) else { continue };
			match stored.status {
				ModelStatus::Uncalibrated if self.random.chance(40) => self.calibrate(model),
				ModelStatus::Suspended if self.random.chance(15) => {
					self.send_as_root(ModelCall::resume { model });
				},
				_ => {},
			}
		}
		let next = NextModel::<Test>::get();
		for model in next..next + (MODELS.saturating_sub(self.models.len())) as u32 {
			let (_, work_window, _) = terms(model);
			let name = b"m".to_vec().try_into().unwrap();
			let (kind, manifest, min_fee) = (ModelKind::Tensor, H256::zero(), MIN_FEE);
			let call = ModelCall::register { name, kind, manifest, min_fee, work_window };
			self.send(registrar.clone(), call);
		}
	}

	fn calibrate(&mut self, model: ModelId) {
		let (tolerance, _, reference_ms) = terms(model);
		let evidence = H256::zero();
		let call = ModelCall::calibrate { model, tolerance, reference_ms, evidence };
		self.send(account(REGISTRAR), call);
	}

	fn change_model(&mut self) {
		let Some(model) = self.random.pick(&self.models) else { return };
		match self.random.below(40) {
			0 => self.send(account(REGISTRAR), ModelCall::retire { model }),
			1..=9 => self.send_as_root(ModelCall::suspend { model }),
			10..=19 => self.send_as_root(ModelCall::resume { model }),
			20..=24 => self.send(account(POOR), ModelCall::retire { model }),
			_ => self.calibrate(model),
		}
	}

	/// What must be refused, or what comes at the wrong time.
	fn nonsense(&mut self) {
		let client = operator_of(self.one_of(COORDINATORS)).unwrap_or(account(POOR));
		let miner = operator_of(self.one_of(MINERS)).unwrap_or(account(POOR));
		let somebody = account(self.one_of(VOTERS));
		let any = self.a_task(|_| true);
		let gone = self.random.pick(&self.paid).unwrap_or(0);
		let never = crate::NextTask::<Test>::get() + 100;
		match self.random.below(20) {
			0 => self.post_wrongly(client),
			1 => self.post_wrongly(miner),
			2 => self.go_online_wrongly(miner),
			3 => self.send(miner, commits(Vec::new())),
			4 => self.send(miner, shows(Vec::new())),
			5 => self.send(somebody, commits(vec![empty_promise(any)])),
			6 => self.send(miner, commits(vec![empty_promise(gone), empty_promise(never)])),
			7 => self.send(miner, shows(vec![empty_reveal(gone), empty_reveal(never)])),
			8 => self.send(miner, TaskCall::unavailable { task: gone }),
			9 => self.send(client, TaskCall::cancel { task: gone }),
			10 => self.send(client, TaskCall::cancel { task: never }),
			11 => self.send(client, TaskCall::undelivered { task: any }),
			12 => {
				let shown = ShownItem { leaf: leaf(1), proof: Default::default() };
				self.send(somebody, TaskCall::challenge { task: any, item: 0, shown });
			},
			13 => self.send(somebody, StakeCall::vote { owner: account(POOR), amount: CAI }),
			_ => self.seat_wrongly(),
		}
	}

	fn post_wrongly(&mut self, operator: AccountId32) {
		let Some(mut model) = self.random.pick(&self.models) else { return };
		let (mut items, mut fee, mut max_wait) = (1, CAI, WAIT);
		match self.random.below(9) {
			0 => model += 1_000,
			1 => items = 0,
			2 => items = MaxItems::get() + 1,
			3 => fee = MIN_FEE - 1,
			4 => fee = most_fee() + 1,
			5 => fee = Balance::MAX,
			6 => max_wait = RandomnessDelay::get() - 1,
			7 => max_wait = MaxWait::get() + 1,
			_ => {},
		}
		let input_root = results::inputs(&mut self.random);
		self.send(operator, TaskCall::post { model, input_root, items, fee, max_wait });
	}

	fn go_online_wrongly(&mut self, operator: AccountId32) {
		let (mut models, mut slots) = (self.models.clone(), 1);
		match self.random.below(4) {
			0 => models.clear(),
			1 => models.push(1_000),
			2 => slots = 0,
			_ => slots = MaxSlots::get() + 1,
		}
		let models = models.try_into().unwrap();
		self.send(operator, TaskCall::go_online { models, slots });
	}

	/// Something about a seat that is not asked for. An honest miner does nothing before it has committed that keeps it from committing.
	fn seat_wrongly(&mut self) {
		let view = self.view.clone();
		let owners: Vec<u8> = view.seats.keys().copied().collect();
		let Some(owner) = self.random.pick(&owners) else { return };
		let Some(operator) = operator_of(owner) else { return };
		let places = &view.seats[&owner];
		let place = &places[self.random.index(places.len())];
		let (task, round) = (place.task, place.seat.round);
		let work = self.works.get(&(task, owner, round));
		let reveal = match (work, view.duty(place)) {
			(Some(work), Some(duty)) => work.reveal(place, &duty),
			(Some(work), None) => work.opening(task),
			(None, _) => empty_reveal(task),
		};
		let bound = !is_honest(owner) || place.seat.promise.is_some();
		match self.random.below(4) {
			0 => self.send_loosely(operator, shows(vec![reveal])),
			1 => self.send_loosely(operator, shows(vec![reveal, empty_reveal(task)])),
			2 if bound => self.send_loosely(operator, TaskCall::unavailable { task }),
			3 if bound => {
				let promise = Commitment { round, ..empty_promise(task) };
				self.send_loosely(operator, commits(vec![promise]));
			},
			_ => {},
		}
	}
}

/// The highest fee: a wrong result costs no more than the least bond.
fn most_fee() -> Balance {
	let fees: u32 = <<Test as crate::Config>::WrongResultSlash as Get<u32>>::get();
	Stake::minimum(Role::Miner) / Balance::from(fees)
}
