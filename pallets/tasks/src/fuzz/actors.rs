//! What miners do in their seats. The honest ones do all that is asked of them, in time and in the way that is asked; the others do so in some seats, and in
//! others whatever may harm somebody.

use super::{
	random::Random,
	results,
	send::TaskCall,
	view::{Duty, Place, Step, View},
	Fuzz,
};
use crate::{
	mock::*,
	tests::acts::{bare, shown_item},
	types::MAX_SAMPLE,
	Commitment, Reveal, Seats, ShownItem,
};
use cuckoo_primitives::{commitment::commitment, tolerance::Leaf, views::SeatKind, TaskId};
use frame_support::{traits::ConstU32, BoundedVec};
use sp_core::H256;
use sp_runtime::AccountId32;

/// What a miner is up to in a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
	/// All that is asked.
	Right,
	/// The same, in the last block for it or later.
	Late,
	/// Makes every third item up.
	Partly,
	/// Makes all of them up.
	Junk,
	/// Says what others say who lie.
	Lie,
	/// Is nearly right.
	Grey,
	/// Commits to what another has committed to, and shows what another shows.
	Copy,
	/// Commits to what it has committed to before.
	Again,
	/// Commits to another round or other inputs first.
	OtherRound,
	/// Never commits.
	Silent,
	/// Commits and never shows.
	Mute,
	/// Says that the inputs cannot be had.
	Unable,
	/// Shows other items first.
	OtherItems,
	/// Shows other proofs or leaves first.
	OtherProofs,
	/// Shows another salt first.
	OtherSalt,
}

/// What those do who do not do what is asked. Lies come more often, so that courts have something to judge.
const MISCHIEF: [Plan; 19] = [
	Plan::Late,
	Plan::Partly,
	Plan::Partly,
	Plan::Junk,
	Plan::Junk,
	Plan::Lie,
	Plan::Lie,
	Plan::Lie,
	Plan::Grey,
	Plan::Grey,
	Plan::Copy,
	Plan::Again,
	Plan::OtherRound,
	Plan::Silent,
	Plan::Mute,
	Plan::Unable,
	Plan::OtherItems,
	Plan::OtherProofs,
	Plan::OtherSalt,
];
/// What they do who cannot have the inputs.
const EXCUSES: [Plan; 6] =
	[Plan::Unable, Plan::Unable, Plan::Unable, Plan::Lie, Plan::Junk, Plan::Silent];

/// A seat: the task, the number of the owner, and the round.
pub type Key = (TaskId, u8, u32);

/// What a miner keeps of a seat until nobody asks for it any more.
pub struct Work {
	pub plan: Plan,
	/// Its results for all items that it has to compute, in their order.
	pub leaves: Vec<Leaf>,
	/// Whether one of them is not what an honest miner would have found.
	pub lies: bool,
	root: H256,
	salt: [u8; 32],
	/// Whether a commitment was sent, and whether something was shown.
	committed: bool,
	shown: bool,
}

/// What an honest miner has sent in this block, and what must have come of it.
pub struct Must {
	key: Key,
	done: Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
	Committed,
	Shown,
	Left,
}

impl Work {
	pub fn promise(&self, operator: &AccountId32, place: &Place, duty: &Duty) -> Commitment {
		let (task, round, genesis) = (place.task, place.seat.round, Tasks::genesis());
		let hash = commitment(&genesis, task, round, operator, &self.root, &self.salt);
		Commitment { task, round, input_root: duty.inputs, hash }
	}

	/// What is behind the commitment, without an item.
	pub fn opening(&self, task: TaskId) -> Reveal {
		Reveal { task, output_root: self.root, salt: self.salt, items: Default::default() }
	}

	/// What this seat shows.
	pub fn reveal(&self, place: &Place, duty: &Duty) -> Reveal {
		let items: Vec<ShownItem> = match place.seat.kind {
			SeatKind::Primary => {
				duty.sample.iter().map(|item| shown_item(&self.leaves, *item)).collect()
			},
			SeatKind::Verifier | SeatKind::Juror => bare(&self.leaves),
		};
		Reveal { items: items.try_into().unwrap(), ..self.opening(place.task) }
	}
}

fn key(owner: u8, place: &Place) -> Key {
	(place.task, owner, place.seat.round)
}

/// The call that commits to this.
pub fn commits(commitments: Vec<Commitment>) -> TaskCall {
	TaskCall::commit { commitments: commitments.try_into().unwrap() }
}

/// The call that shows this.
pub fn shows(reveals: Vec<Reveal>) -> TaskCall {
	TaskCall::reveal { reveals: reveals.try_into().unwrap() }
}

/// What a miner with such a plan finds for an item.
fn found(plan: Plan, duty: &Duty, item: u32, owner: u8) -> Leaf {
	match plan {
		Plan::Junk => results::junk(&duty.inputs, item, owner),
		Plan::Partly if item.is_multiple_of(3) => results::junk(&duty.inputs, item, owner),
		Plan::Lie => results::lie(&duty.inputs, item),
		Plan::Grey => results::grey(&duty.inputs, item),
		_ => results::honest(&duty.inputs, item, owner, &duty.tolerance),
	}
}

/// What is shown with something wrong about it.
fn spoilt(random: &mut Random, plan: Plan, mut reveal: Reveal) -> Reveal {
	let mut items = reveal.items.into_inner();
	match plan {
		Plan::OtherSalt => reveal.salt[31] ^= 1,
		Plan::OtherItems => match random.below(3) {
			0 => items.truncate(items.len() / 2),
			1 => items.reverse(),
			_ => items.extend(items.first().cloned()),
		},
		Plan::OtherProofs => {
			for shown in &mut items {
				if random.chance(50) {
					shown.leaf = leaf(1);
				} else {
					shown.proof = vec![H256::zero()].try_into().unwrap();
				}
			}
		},
		_ => {},
	}
	let items: BoundedVec<_, ConstU32<MAX_SAMPLE>> = BoundedVec::truncate_from(items);
	Reveal { items, ..reveal }
}

impl Fuzz {
	/// Everybody with a seat does something for it, or does not.
	pub fn miners_act(&mut self) {
		let view = self.view.clone();
		for (owner, places) in &view.seats {
			let Some(operator) = super::operator_of(*owner) else { continue };
			if super::is_honest(*owner) {
				self.work_honestly(&view, *owner, &operator, places);
			} else {
				for place in places {
					self.work_otherwise(&view, *owner, &operator, place);
				}
			}
		}
	}

	/// Computes, or makes up, what a seat asks for.
	fn begin_work(&mut self, owner: u8, place: &Place, duty: &Duty, plan: Plan) {
		let items = duty.computed(place.seat.kind);
		let all = |plan| -> Vec<Leaf> {
			items.iter().map(|item| found(plan, duty, *item, owner)).collect()
		};
		let leaves = all(plan);
		let lies = plan != Plan::Right && leaves != all(Plan::Right);
		let mut salt = [0; 32];
		salt[24..].copy_from_slice(&self.random.below(u64::MAX).to_be_bytes());
		let (root, committed, shown) = (root_of(&leaves), false, false);
		let work = Work { plan, leaves, lies, root, salt, committed, shown };
		self.works.insert(key(owner, place), work);
	}

	fn work_honestly(&mut self, view: &View, owner: u8, operator: &AccountId32, places: &[Place]) {
		let (mut promises, mut reveals) = (Vec::new(), Vec::new());
		for place in places {
			let Some(duty) = view.duty(place) else { continue };
			// It takes its time, but not more than it has.
			let urgent = duty.deadline <= self.block + 1;
			if !urgent && self.random.chance(40) {
				continue;
			}
			let key = key(owner, place);
			let done = match duty.step {
				Step::Commit if results::can_fetch(&duty.inputs, owner) => {
					self.begin_work(owner, place, &duty, Plan::Right);
					promises.push(self.works[&key].promise(operator, place, &duty));
					Done::Committed
				},
				Step::Commit => {
					if self.block < place.seat.patient_until {
						continue;
					}
					self.send(operator.clone(), TaskCall::unavailable { task: place.task });
					Done::Left
				},
				Step::Show => {
					reveals.push(self.works[&key].reveal(place, &duty));
					Done::Shown
				},
			};
			self.musts.push(Must { key, done });
		}
		if self.random.chance(50) {
			let (promises, reveals) = (promises.drain(..), reveals.drain(..));
			let promises: Vec<_> = promises.map(|promise| commits(vec![promise])).collect();
			let reveals: Vec<_> = reveals.map(|reveal| shows(vec![reveal])).collect();
			for call in promises.into_iter().chain(reveals) {
				self.send(operator.clone(), call);
			}
		}
		if !promises.is_empty() {
			self.send(operator.clone(), commits(promises));
		}
		if !reveals.is_empty() {
			self.send(operator.clone(), shows(reveals));
		}
	}

	/// What the honest ones have sent must have been accepted.
	pub fn check_musts(&mut self) {
		for Must { key: (task, owner, round), done } in std::mem::take(&mut self.musts) {
			let seat = Seats::<Test>::get(account(owner), task);
			let Some(seat) = seat.filter(|seat| seat.round == round) else { continue };
			let accepted = match done {
				Done::Committed => seat.promise.is_some(),
				Done::Shown => seat.shown.is_some(),
				Done::Left => false,
			};
			assert!(accepted, "{owner} is honest, task {task} in round {round}: not {done:?}");
		}
	}

	fn plan(&mut self, owner: u8, duty: &Duty) -> Plan {
		// Some are worse than others.
		let malice = 15 + u64::from(owner) * 7 % 50;
		let plans: &[Plan] = if !results::can_fetch(&duty.inputs, owner) {
			&EXCUSES
		} else if self.random.chance(malice) {
			&MISCHIEF
		} else {
			&[Plan::Right]
		};
		self.random.pick(plans).unwrap_or(Plan::Right)
	}

	fn work_otherwise(&mut self, view: &View, owner: u8, operator: &AccountId32, place: &Place) {
		let Some(duty) = view.duty(place) else { return };
		let key = key(owner, place);
		if !self.works.contains_key(&key) {
			let plan = self.plan(owner, &duty);
			self.begin_work(owner, place, &duty, plan);
		}
		match duty.step {
			Step::Commit => self.commit_otherwise(view, key, operator, place, &duty),
			Step::Show => self.show_otherwise(key, operator, place, &duty),
		}
	}

	fn commit_otherwise(
		&mut self,
		view: &View,
		key: Key,
		operator: &AccountId32,
		place: &Place,
		duty: &Duty,
	) {
		let (task, owner, _) = key;
		let Work { plan, committed, .. } = self.works[&key];
		let chance = match plan {
			Plan::Silent => 0,
			Plan::Unable => {
				if self.random.chance(30) {
					self.send_loosely(operator.clone(), TaskCall::unavailable { task });
				}
				0
			},
			Plan::Late if duty.deadline > self.block => 0,
			Plan::OtherRound => 60,
			_ if committed => 4,
			_ => 60,
		};
		if !self.random.chance(chance) {
			return;
		}
		let work = &self.works[&key];
		let mut promise = work.promise(operator, place, duty);
		let reveal = work.reveal(place, duty);
		match plan {
			Plan::Copy => promise.hash = copied(view, owner, task).unwrap_or(promise.hash),
			Plan::Again => promise.hash = self.before(owner, task).unwrap_or(promise.hash),
			Plan::OtherRound if !committed && self.random.chance(50) => promise.round += 1,
			Plan::OtherRound if !committed => promise.input_root = H256::repeat_byte(1),
			_ => {},
		}
		self.work(key).committed = true;
		self.send_loosely(operator.clone(), commits(vec![promise]));
		if self.random.chance(5) {
			self.send_last(operator.clone(), shows(vec![reveal]));
		}
	}

	fn show_otherwise(&mut self, key: Key, operator: &AccountId32, place: &Place, duty: &Duty) {
		let Work { plan, shown, .. } = self.works[&key];
		let chance = match plan {
			Plan::Mute => 0,
			Plan::Late if duty.deadline > self.block => 0,
			_ if shown => 20,
			_ => 60,
		};
		if !self.random.chance(chance) {
			return;
		}
		let mut reveal = self.works[&key].reveal(place, duty);
		if plan == Plan::Copy {
			let (task, owner, _) = key;
			let seats = self.works.range((task, 0, 0)..=(task, u8::MAX, u32::MAX));
			let mut others = seats.filter(|((_, other, _), _)| *other != owner);
			if let Some((_, other)) = others.next() {
				(reveal.output_root, reveal.salt) = (other.root, other.salt);
			}
		}
		if !shown {
			reveal = spoilt(&mut self.random, plan, reveal);
		}
		self.work(key).shown = true;
		self.send_loosely(operator.clone(), shows(vec![reveal]));
	}

	fn work(&mut self, key: Key) -> &mut Work {
		self.works.get_mut(&key).unwrap_or_else(|| panic!("nobody has begun {key:?}"))
	}

	/// What an owner's miner has committed to in another task.
	fn before(&self, owner: u8, task: TaskId) -> Option<H256> {
		let mut older = self.works.iter().rev();
		let found = older.find(|((other, who, _), _)| *who == owner && *other < task);
		let ((task, _, round), work) = found?;
		let operator = super::operator_of(owner)?;
		let (genesis, root) = (Tasks::genesis(), &work.root);
		Some(commitment(&genesis, *task, *round, &operator, root, &work.salt))
	}
}

/// What another owner's miner has committed to in the same task.
fn copied(view: &View, owner: u8, task: TaskId) -> Option<H256> {
	let others = view.seats.iter().filter(|(other, _)| **other != owner);
	let mut places = others.flat_map(|(_, places)| places).filter(|place| place.task == task);
	places.find_map(|place| Some(place.seat.promise.as_ref()?.hash))
}
