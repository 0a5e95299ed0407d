//! What each call and hook costs at most.
//!
//! Miners serve, and coordinators have tasks open for, as many models as they may. Where a benchmark is about a set, the set is full of others: their number
//! makes the tree three levels deep, as it is with up to 32,768 members, and one level short of what a million have. A level more is another node, half a
//! kilobyte, to be read and written once or twice a set. The one that joins stands last; the one that leaves stands first, so that the last one takes its place
//! and two paths of nodes change. Where several miners leave or join, no two of them have a set in common but one that they are drawn from.
//!
//! Tasks are as large as they may be, and their audits as large as the parameters could ask for.

use crate::{
	draw::{Draw, MAX_HEADS, MAX_IDLE, MAX_REDRAWS},
	pallet::{
		Beacon, Call, Config, Courts, DeadlineCursor, Deadlines, Error, HoldReason, Miners,
		NextTask, Pallet, Receipts, Records, Seats, Tasks,
	},
	types::{
		Accused, Audit, Commitment, DrawSet, Due, DueKey, Leaves, ModelList, Outcome, Phase,
		Promise, Record, Reveal, Sample, Seat, ShownItem, Stage, Verifiers, FIRST_COURT, MAX_BATCH,
		MAX_DEMANDS, MAX_MODELS, MAX_SAMPLE, MAX_UNABLE, MAX_VERIFIERS, SECOND_COURT,
	},
	verdict, WeightInfo,
};
use alloc::{vec, vec::Vec};
use codec::Encode;
use core::ops::Range;
use cuckoo_primitives::{
	commitment::commitment,
	merkle::{self, SKETCH_BYTES},
	tolerance::Leaf,
	traits::{Models, OnWeightChange, Pools, WeightedSets},
	views::SeatKind,
	Balance, BlockNumber, ModelId, Role, SlashReason, TaskId, CAI,
};
use frame_benchmarking::v2::*;
use frame_support::{
	dispatch::DispatchResult,
	storage::with_storage_layer,
	traits::{fungible::MutateHold, Get},
	weights::WeightMeter,
	BoundedVec,
};
use frame_system::RawOrigin;
use sp_core::H256;
use sp_crypto_hashing::blake2_256;
use sp_runtime::DispatchError;

/// Has [`Config::Randomness`] return something: a benchmark's block has no parent with a VRF.
pub trait SetRandomness {
	/// As if the parent block's VRF had given this.
	fn set_randomness(value: H256);
}

/// Where there is randomness in every block.
impl SetRandomness for () {
	fn set_randomness(_: H256) {}
}

/// The others in a set: one more than 32², which is what two levels hold.
const OTHERS: u32 = 32 * 32 + 1;
/// What weighs so much more than any pool that it is drawn before all of them.
const HEAVY: Balance = 1 << 110;
/// The block in which everything begins.
const START: BlockNumber = 1;
/// The last block of a phase that a benchmark begins with: later than the shortest waiting time.
const LAST: BlockNumber = 100;
/// The block in which that phase is over.
const OVER: BlockNumber = LAST + 1;
/// The eras that may begin between a draw and the last verdict: two and a half days of the shortest eras, three hours. A slash looks through all of them for
/// what has left the pool.
const ERAS: u32 = 20;
const ROOT: H256 = H256::repeat_byte(9);
const SALT: [u8; 32] = [7; 32];
/// What those who are right have found, and the others.
const RIGHT: i16 = 10_000;
const WRONG: i16 = -10_000;

/// How far a miner has come in its seat.
#[derive(Clone, Copy)]
enum Did {
	/// It has not committed.
	Nothing,
	/// It has committed.
	Promised,
	/// It has shown results whose projections are all this.
	Shown(i16),
}

fn at_block<T: Config>(number: BlockNumber) {
	frame_system::Pallet::<T>::set_block_number(number.into());
}

/// As if the parent block had a VRF, and the beacon had become this.
fn set_beacon<T: Config>(value: u8) {
	T::SetRandomness::set_randomness(ROOT);
	Beacon::<T>::put(H256::repeat_byte(value));
}

/// One of those in every set. They weigh a planck, so that in a draw nobody but who it is about is ever drawn; and nothing can be slashed from them.
fn other<T: Config>(number: u32) -> T::AccountId {
	account("other", number, 0)
}

/// Some of those in every set, apart by more than a node, so that each is a path of its own. There are sixteen of them, from 1 on.
fn others<T: Config>(numbers: Range<u32>) -> Vec<T::AccountId> {
	numbers.map(|number| other::<T>(number * 64)).collect()
}

fn fill<T: Config>(set: DrawSet) -> DispatchResult {
	(0..OTHERS).try_for_each(|number| T::Sets::insert(&set, &other::<T>(number), 1))
}

fn fill_miners<T: Config>(models: &[ModelId]) -> DispatchResult {
	models.iter().try_for_each(|model| fill::<T>(DrawSet::Miners(*model)))
}

/// Has as many of a model's others as are passed over at most be drawn before anybody else.
fn weigh_down<T: Config>(model: ModelId) -> DispatchResult {
	let set = DrawSet::Miners(model);
	(0..MAX_REDRAWS).try_for_each(|number| T::Sets::update(&set, &other::<T>(number), HEAVY))
}

/// In how many of the models' sets a miner is.
fn count_sets<T: Config>(models: &[ModelId], miner: &T::AccountId) -> usize {
	let drawn = |model: &&ModelId| T::Sets::weight(&DrawSet::Miners(**model), miner).is_some();
	models.iter().filter(drawn).count()
}

/// In how many of its models' sets a miner is; `None` if it is forgotten, being offline without a seat.
fn own_sets<T: Config>(miner: &T::AccountId) -> Option<usize> {
	Miners::<T>::get(miner).map(|stored| count_sets::<T>(&stored.models, miner))
}

/// That each of these miners is online, and in no set.
fn assert_in_no_set<T: Config>(miners: &[T::AccountId]) {
	assert!(miners.iter().all(|miner| own_sets::<T>(miner) == Some(0)));
}

/// That each of these miners is in the sets of all its models.
fn assert_in_all_sets<T: Config>(miners: &[T::AccountId]) {
	assert!(miners.iter().all(|miner| own_sets::<T>(miner) == Some(MAX_MODELS as usize)));
}

/// That each of these miners is offline, without a seat.
fn assert_gone<T: Config>(miners: &[T::AccountId]) {
	assert!(miners.iter().all(|miner| own_sets::<T>(miner).is_none()));
}

fn new_models<T: Config>(count: u32) -> Vec<ModelId> {
	(0..count).map(|_| T::Models::benchmark_model()).collect()
}

/// As many models as a coordinator has tasks open for, and those of them that a miner serves.
fn demanded_and_served<T: Config>() -> (Vec<ModelId>, Vec<ModelId>) {
	let demanded = new_models::<T>(MAX_DEMANDS);
	let served = demanded.iter().copied().take(MAX_MODELS as usize).collect();
	(demanded, served)
}

fn list(models: &[ModelId]) -> ModelList {
	ModelList::truncate_from(models.to_vec())
}

/// A miner that is online, by the owner of its pool.
fn new_miner<T: Config>(
	number: u32,
	operator: &T::AccountId,
	models: &[ModelId],
	slots: u32,
) -> Result<T::AccountId, DispatchError> {
	let owner = account("miner", number, 0);
	T::Pools::benchmark_pool(&owner, operator, Role::Miner)?;
	Pallet::<T>::do_go_online(operator.clone(), list(models), slots)?;
	Ok(owner)
}

/// Miners that are online, by the owners of their pools. Each serves as many models as it may: the shared ones, whose sets are left as they are, and others of
/// its own.
fn new_miners<T: Config>(
	numbers: Range<u32>,
	shared: &[ModelId],
	slots: u32,
) -> Result<Vec<T::AccountId>, DispatchError> {
	let mut owners = Vec::new();
	for number in numbers {
		let own = new_models::<T>(MAX_MODELS - shared.len() as u32);
		let models = [shared, own.as_slice()].concat();
		let operator = account("miner's operator", number, 0);
		owners.push(new_miner::<T>(number, &operator, &models, slots)?);
		fill_miners::<T>(&own)?;
	}
	Ok(owners)
}

/// Has eras begin, and be rewarded: one does with every pool.
fn pass_eras<T: Config>() -> DispatchResult {
	(0..ERAS).try_for_each(|number| {
		let operator = account("passer-by's operator", number, 0);
		T::Pools::benchmark_pool(&account("passer-by", number, 0), &operator, Role::Miner)
	})
}

/// Leaves a miner's owner so little more than the least bond that the next slash takes it out of all draws.
fn reduce_bond<T: Config>(owner: &T::AccountId) {
	let least = T::Pools::least_bond(Role::Miner).saturating_add(CAI);
	let amount = T::Pools::own(owner).saturating_sub(least);
	T::Pools::slash(owner, amount, T::Pools::era(), SlashReason::WrongJuror, &[]);
}

/// All that can be remembered of a miner: a court has found its results wrong twice, and none of this model for ever so long.
fn full_record(model: ModelId) -> Record {
	let before = (0..15).map(|number| (ModelId::MAX - number, 1));
	Record {
		streaks: BoundedVec::truncate_from(before.chain([(model, u32::MAX)]).collect()),
		audits: 1,
		grey: 1,
		wrong: BoundedVec::truncate_from(vec![START; 2]),
	}
}

/// The least fee for the largest task.
fn fee_for<T: Config>(model: ModelId) -> Balance {
	let least = T::Models::terms(model).map_or(0, |terms| terms.min_fee);
	least.saturating_mul(T::MaxItems::get().into())
}

fn new_task<T: Config>(
	operator: &T::AccountId,
	model: ModelId,
	max_wait: BlockNumber,
) -> Result<TaskId, DispatchError> {
	let (id, items, fee) = (NextTask::<T>::get(), T::MaxItems::get(), fee_for::<T>(model));
	Pallet::<T>::do_post(operator.clone(), model, H256::zero(), items, fee, max_wait)?;
	let mut task = Tasks::<T>::get(id).ok_or(Error::<T>::UnknownTask)?;
	let held = task.held();
	(task.audit.verifiers, task.audit.sample) = (MAX_VERIFIERS, MAX_SAMPLE);
	let more = task.held().saturating_sub(held);
	T::Currency::hold(&HoldReason::Fee.into(), &task.payer, more)?;
	Tasks::<T>::insert(id, task);
	Ok(id)
}

/// A coordinator, by the owner of its pool, with a task for each of the models. None of them is ripe. Returns the number of the first.
fn new_coordinator<T: Config>(
	number: u32,
	operator: &T::AccountId,
	models: &[ModelId],
	max_wait: BlockNumber,
) -> Result<(T::AccountId, TaskId), DispatchError> {
	let owner = account("coordinator", number, 0);
	T::Pools::benchmark_pool(&owner, operator, Role::Coordinator)?;
	let first = NextTask::<T>::get();
	for model in models {
		new_task::<T>(operator, *model, max_wait)?;
	}
	Ok((owner, first))
}

fn ripe_in<T: Config>(id: TaskId) -> Result<BlockNumber, BenchmarkError> {
	match Tasks::<T>::get(id).map(|task| task.phase) {
		Some(Phase::Ripening { ripe }) => Ok(ripe),
		_ => Err("the task does not ripen".into()),
	}
}

/// Puts a task in its queue.
fn ripen_now<T: Config>(id: TaskId) -> Result<(), BenchmarkError> {
	let ripe = ripe_in::<T>(id)?;
	Pallet::<T>::meet_if_due(ripe, ripe, DueKey::new(id, Due::Ripe));
	Ok(())
}

/// Gives a task that ripens to a miner.
fn seat<T: Config>(id: TaskId, miner: &T::AccountId) -> Result<(), BenchmarkError> {
	let task = Tasks::<T>::get(id).ok_or("there is no such task")?;
	Pallet::<T>::leave_queue(id, &task)?;
	Pallet::<T>::assign(START, id, task, miner.clone())?;
	Ok(())
}

/// Gives a miner tasks, each of another coordinator: no two have a key in common.
fn seats<T: Config>(
	miner: &T::AccountId,
	models: &[ModelId],
	count: u32,
) -> Result<Vec<TaskId>, BenchmarkError> {
	let mut tasks = Vec::new();
	for (number, model) in (0..count).zip(models.iter().cycle()) {
		let operator: T::AccountId = account("coordinator's operator", number, 0);
		let wait = T::MaxWait::get();
		let (_, id) = new_coordinator::<T>(number, &operator, &[*model], wait)?;
		seat::<T>(id, miner)?;
		tasks.push(id);
	}
	Ok(tasks)
}

/// A commitment for a task's first round.
fn promise<T: Config>(id: TaskId, operator: &T::AccountId, root: &H256) -> Commitment {
	let hash = commitment(&Pallet::<T>::genesis(), id, 0, operator, root, &SALT);
	Commitment { task: id, round: 0, input_root: H256::zero(), hash }
}

/// A result whose projections are all this.
fn leaf(value: i16) -> Leaf {
	let mut sketch = [0; SKETCH_BYTES];
	for projection in sketch[1..].chunks_exact_mut(2) {
		projection.copy_from_slice(&value.to_le_bytes());
	}
	Leaf { hash: ROOT, sketch }
}

/// The root over the largest task's outputs, which are all the same, and what is shown of any of them. Each row of such a tree has one hash, and every proof is
/// of the longest.
fn same_outputs<T: Config>() -> (H256, ShownItem) {
	let leaf = leaf(RIGHT);
	let mut node = merkle::root([merkle::output_leaf(&leaf)]);
	let mut proof = Vec::new();
	for _ in 0..T::MaxItems::get().ilog2() {
		proof.push(node);
		node = (node, node).using_encoded(blake2_256).into();
	}
	(node, ShownItem { leaf, proof: BoundedVec::truncate_from(proof) })
}

/// The largest audit by these verifiers; by none, what is shown of a task that is not audited.
fn audit_by<T: Config>(verifiers: &[T::AccountId]) -> Audit<T::AccountId> {
	Audit {
		verifiers: Verifiers::truncate_from(verifiers.to_vec()),
		sample: Sample::truncate_from((0..MAX_SAMPLE).collect()),
	}
}

/// Brings a task into a phase, whose end is due in block [`OVER`].
fn enter<T: Config>(id: TaskId, phase: Phase<T::AccountId>, due: Due) {
	Tasks::<T>::mutate_extant(id, |task| task.phase = phase);
	Deadlines::<T>::insert(OVER, DueKey::new(id, due), ());
}

/// Has a task's miner commit, and the lot spare it. Returns what it has to show.
fn spare<T: Config>(id: TaskId, operator: &T::AccountId) -> Result<Reveal, BenchmarkError> {
	let (output_root, item) = same_outputs::<T>();
	Pallet::<T>::do_commit(operator, &promise::<T>(id, operator, &output_root))?;
	let task = Tasks::<T>::get(id).ok_or("there is no such task")?;
	let miner = task.phase.miner().cloned().ok_or("the task has no miner")?;
	let phase = Phase::Revealing { miner, audit: audit_by::<T>(&[]), deadline: LAST };
	enter::<T>(id, phase, Due::Reveal);
	let items = BoundedVec::truncate_from(vec![item; MAX_SAMPLE as usize]);
	Ok(Reveal { task: id, output_root, salt: SALT, items })
}

/// As if so many miners had not got the inputs of a task.
fn set_unable<T: Config>(id: TaskId, count: u32) {
	let unable = BoundedVec::truncate_from(others::<T>(12..12 + count));
	Tasks::<T>::mutate_extant(id, |task| task.unable = unable);
}

/// A seat of a task's first round.
fn new_seat<T: Config>(
	id: TaskId,
	kind: SeatKind,
	did: Did,
) -> Result<Seat<T::AccountId>, BenchmarkError> {
	let task = Tasks::<T>::get(id).ok_or("there is no such task")?;
	let mut seat = Pallet::<T>::new_seat(kind, 0, task.fee, START, LAST);
	if !matches!(did, Did::Nothing) {
		seat.promise = Some(Promise { by: other::<T>(0), hash: ROOT, block: START });
	}
	if let Did::Shown(value) = did {
		let count = if kind == SeatKind::Juror { 1 } else { MAX_SAMPLE };
		seat.shown = Some(Leaves::truncate_from(vec![leaf(value); count as usize]));
	}
	Ok(seat)
}

/// Gives a miner a seat in a task.
fn sit<T: Config>(
	miner: &T::AccountId,
	id: TaskId,
	kind: SeatKind,
	did: Did,
) -> Result<(), BenchmarkError> {
	Pallet::<T>::take_seat(miner, id, new_seat::<T>(id, kind, did)?)?;
	Ok(())
}

/// A task with the seats of its miner and of as many verifiers as there can be; it waits no longer than it must, so that it has expired in block [`OVER`].
/// Returns the owners, the miner's first.
fn audited<T: Config>(
	slots: u32,
	miner: Did,
	verifiers: Did,
) -> Result<(TaskId, Vec<T::AccountId>), BenchmarkError> {
	let payer: T::AccountId = account("coordinator's operator", 0, 0);
	let models = new_models::<T>(MAX_DEMANDS);
	let (_, id) = new_coordinator::<T>(0, &payer, &models, T::RandomnessDelay::get())?;
	let owners = new_miners::<T>(0..1 + MAX_VERIFIERS, &[], slots)?;
	let verifiers = core::iter::repeat((SeatKind::Verifier, verifiers));
	let seats = core::iter::once((SeatKind::Primary, miner)).chain(verifiers);
	for (owner, (kind, did)) in owners.iter().zip(seats) {
		sit::<T>(owner, id, kind, did)?;
		Records::<T>::insert(owner, full_record(models[0]));
	}
	Ok((id, owners))
}

/// A second court about a task. The parties, its miner first, have shown what is wrong; it is for the caller to give the jurors their seats.
fn convened<T: Config>(
	id: TaskId,
	parties: &[T::AccountId],
	jurors: &[T::AccountId],
	stage: Stage,
) -> Result<(), BenchmarkError> {
	set_unable::<T>(id, MAX_UNABLE);
	let mut task = Tasks::<T>::get(id).ok_or("there is no such task")?;
	let (miner, verifiers) = parties.split_first().ok_or("there are no parties")?;
	task.phase = Phase::Disputed { miner: miner.clone(), audit: audit_by::<T>(verifiers) };
	let (risk, era) = (Pallet::<T>::risk(task.fee, SeatKind::Primary), T::Pools::era());
	let accused =
		|owner: &T::AccountId| Accused { owner: owner.clone(), leaf: leaf(WRONG), risk, era };
	let accused = BoundedVec::truncate_from(parties.iter().map(accused).collect());
	Pallet::<T>::open_court(START, id, &task, 0, accused);
	Tasks::<T>::insert(id, task);
	Courts::<T>::mutate_extant(id, |court| {
		court.second = true;
		court.size = jurors.len() as u32; // at most 21
		court.jurors = BoundedVec::truncate_from(jurors.to_vec());
		court.before = BoundedVec::truncate_from(others::<T>(5..5 + FIRST_COURT));
		court.stage = stage;
	});
	let due = match stage {
		Stage::Gathering { .. } => Due::Court,
		Stage::Committing { .. } => Due::JuryCommit,
		Stage::Revealing { .. } => Due::JuryReveal,
	};
	Deadlines::<T>::insert(OVER, DueKey::new(id, due), ());
	Ok(())
}

/// How a task has ended.
fn outcome<T: Config>(id: TaskId) -> Option<Outcome<T::AccountId>> {
	Receipts::<T>::get(id).map(|receipt| receipt.outcome)
}

#[benchmarks]
mod benchmarks {
	use super::*;

	// The coordinator's list of models has room for its last one.
	#[benchmark]
	fn post() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let (operator, wait) = (whitelisted_caller(), T::MaxWait::get());
		let models = new_models::<T>(MAX_DEMANDS);
		let (last, before) = models.split_last().ok_or("no models")?;
		new_coordinator::<T>(0, &operator, before, wait)?;
		let (id, items, fee) = (NextTask::<T>::get(), T::MaxItems::get(), fee_for::<T>(*last));

		#[extrinsic_call]
		_(RawOrigin::Signed(operator), *last, H256::zero(), items, fee, wait);

		assert!(Tasks::<T>::contains_key(id));
		Ok(())
	}

	// The only task that the coordinator has in a queue, so that it leaves the draw: far more than mending the links of a long queue, of which at most two
	// change.
	#[benchmark]
	fn cancel() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let (operator, wait) = (whitelisted_caller(), T::MaxWait::get());
		let models = new_models::<T>(MAX_DEMANDS);
		let (owner, id) = new_coordinator::<T>(0, &operator, &models, wait)?;
		ripen_now::<T>(id)?;
		fill::<T>(DrawSet::Coordinators)?;

		#[extrinsic_call]
		_(RawOrigin::Signed(operator), id);

		assert_eq!(outcome::<T>(id), Some(Outcome::Cancelled));
		assert_eq!(T::Sets::weight(&DrawSet::Coordinators, &owner), None);
		Ok(())
	}

	// Online already, for other models: the miner leaves as many sets as it joins.
	#[benchmark]
	fn go_online() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let (operator, slots) = (whitelisted_caller(), T::MaxSlots::get());
		let (before, after) = (new_models::<T>(MAX_MODELS), new_models::<T>(MAX_MODELS));
		let owner = new_miner::<T>(0, &operator, &before, slots)?;
		fill_miners::<T>(&before)?;
		fill_miners::<T>(&after)?;

		#[extrinsic_call]
		_(RawOrigin::Signed(operator), list(&after), slots);

		assert_eq!(count_sets::<T>(&before, &owner), 0);
		assert_eq!(count_sets::<T>(&after, &owner), after.len());
		Ok(())
	}

	#[benchmark]
	fn go_offline() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let (operator, slots) = (whitelisted_caller(), T::MaxSlots::get());
		let models = new_models::<T>(MAX_MODELS);
		let owner = new_miner::<T>(0, &operator, &models, slots)?;
		fill_miners::<T>(&models)?;

		#[extrinsic_call]
		_(RawOrigin::Signed(operator));

		assert_gone::<T>(&[owner.clone()]);
		assert_eq!(count_sets::<T>(&models, &owner), 0);
		Ok(())
	}

	// Each as the last juror of a second court: whether all others have committed is looked up of every one of them. No set is touched.
	#[benchmark]
	fn commit(n: Linear<1, { MAX_BATCH }>) -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let (operator, slots) = (whitelisted_caller(), T::MaxSlots::get());
		let models = new_models::<T>(1);
		let owner = new_miner::<T>(0, &operator, &models, slots)?;
		let payer: T::AccountId = account("coordinator's operator", 0, 0);
		let wanted = models.repeat(n as usize);
		let (_, first) = new_coordinator::<T>(0, &payer, &wanted, T::MaxWait::get())?;
		let before: Vec<T::AccountId> = (1..SECOND_COURT).map(other::<T>).collect();
		let jurors = [before.as_slice(), &[owner.clone()]].concat();
		let tasks: Vec<TaskId> = (first..).take(n as usize).collect();
		let mut promises = Vec::new();
		for id in &tasks {
			let stage = Stage::Committing { deadline: LAST };
			convened::<T>(*id, &others::<T>(1..5), &jurors, stage)?;
			let theirs = new_seat::<T>(*id, SeatKind::Juror, Did::Promised)?;
			before.iter().for_each(|juror| Seats::<T>::insert(juror, id, theirs.clone()));
			sit::<T>(&owner, *id, SeatKind::Juror, Did::Nothing)?;
			promises.push(promise::<T>(*id, &operator, &ROOT));
		}

		#[extrinsic_call]
		_(RawOrigin::Signed(operator), BoundedVec::truncate_from(promises));

		for id in tasks {
			let court = Courts::<T>::get(id).ok_or("the court is gone")?;
			assert_eq!(court.stage, Stage::Committing { deadline: START });
		}
		Ok(())
	}

	// Tasks that are not audited: each is paid at once. Every slot is taken: with the first result the miner joins the sets of its models again, with every
	// other one its pool's new worth is written there. Its pool has rewards to settle and a commission to raise. As many items as a sample can have are proved.
	#[benchmark]
	fn reveal(n: Linear<1, { MAX_BATCH }>) -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let (operator, slots) = (whitelisted_caller(), n.min(T::MaxSlots::get()));
		let models = new_models::<T>(MAX_MODELS);
		let owner = new_miner::<T>(0, &operator, &models, slots)?;
		let tasks = seats::<T>(&owner, &models, n)?;
		fill_miners::<T>(&models)?;
		let mut reveals = Vec::new();
		for id in &tasks {
			reveals.push(spare::<T>(*id, &operator)?);
		}
		at_block::<T>(START + 1);

		#[extrinsic_call]
		_(RawOrigin::Signed(operator), BoundedVec::truncate_from(reveals));

		for id in tasks {
			assert!(matches!(outcome::<T>(id), Some(Outcome::Settled { .. })));
		}
		assert_in_all_sets::<T>(&[owner]);
		Ok(())
	}

	// The third miner that says so: the fee is burnt and the task ends. The miner's only slot becomes free.
	#[benchmark]
	fn unavailable() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let (operator, payer) = (whitelisted_caller(), account("coordinator's operator", 0, 0));
		let (models, served) = demanded_and_served::<T>();
		let (_, id) = new_coordinator::<T>(0, &payer, &models, T::MaxWait::get())?;
		let miner = new_miner::<T>(0, &operator, &served, 1)?;
		seat::<T>(id, &miner)?;
		fill_miners::<T>(&served)?;
		set_unable::<T>(id, MAX_UNABLE - 1);
		let begun = Seats::<T>::get(&miner, id).ok_or("the miner has no seat")?;
		at_block::<T>(begun.patient_until);

		#[extrinsic_call]
		_(RawOrigin::Signed(operator), id);

		assert_eq!(outcome::<T>(id), Some(Outcome::Unavailable));
		assert_in_all_sets::<T>(&[miner]);
		Ok(())
	}

	// The miner's only slot becomes free.
	#[benchmark]
	fn undelivered() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let (operator, payer) = (account("miner's operator", 0, 0), whitelisted_caller());
		let (models, served) = demanded_and_served::<T>();
		let (_, id) = new_coordinator::<T>(0, &payer, &models, T::MaxWait::get())?;
		let miner = new_miner::<T>(0, &operator, &served, 1)?;
		seat::<T>(id, &miner)?;
		fill_miners::<T>(&served)?;
		Pallet::<T>::do_commit(&operator, &promise::<T>(id, &operator, &ROOT))?;

		#[extrinsic_call]
		_(RawOrigin::Signed(payer), id);

		assert_eq!(outcome::<T>(id), Some(Outcome::Undelivered { miner: miner.clone() }));
		assert_in_all_sets::<T>(&[miner]);
		Ok(())
	}

	// The longest proof, for a task with as many verifiers as there can be.
	#[benchmark]
	fn challenge() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let caller: T::AccountId = whitelisted_caller();
		T::Pools::benchmark_pool(&account("challenger", 0, 0), &caller, Role::Coordinator)?;
		let operator = account("miner's operator", 0, 0);
		let models = new_models::<T>(1);
		let miner = new_miner::<T>(0, &operator, &models, 1)?;
		let tasks = seats::<T>(&miner, &models, 1)?;
		let id = *tasks.first().ok_or("there is no task")?;
		let shown = spare::<T>(id, &operator)?;
		at_block::<T>(START + 1);
		Pallet::<T>::do_reveal(&operator, &shown)?;
		Receipts::<T>::mutate_extant(id, |receipt| {
			receipt.verifiers = Verifiers::truncate_from(others::<T>(1..1 + MAX_VERIFIERS));
		});
		let item = shown.items.first().cloned().ok_or("there is no item")?;
		assert_eq!(item.proof.len(), T::MaxItems::get().ilog2() as usize);

		#[extrinsic_call]
		_(RawOrigin::Signed(caller.clone()), id, 0u32, item);

		let court = Courts::<T>::get(id).ok_or("there is no court")?;
		assert_eq!(court.challenge.map(|by| by.by), Some(caller));
		assert_eq!(court.before.len(), MAX_VERIFIERS as usize);
		Ok(())
	}

	// A miner that leaves the draws: the dearest that a change of weight can be.
	#[benchmark]
	fn weigh(n: Linear<1, { MAX_MODELS }>) -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let (operator, slots) = (account("miner's operator", 0, 0), T::MaxSlots::get());
		let models = new_models::<T>(n);
		let owner = new_miner::<T>(0, &operator, &models, slots)?;
		fill_miners::<T>(&models)?;

		#[block]
		{
			<Pallet<T> as OnWeightChange<_>>::weight_changed(&owner, Role::Miner, 0);
		}

		assert_in_no_set::<T>(&[owner]);
		Ok(())
	}

	// The first of many in a block.
	#[benchmark]
	fn next_deadline() -> Result<(), BenchmarkError> {
		for id in 0..1_000 {
			Deadlines::<T>::insert(START, DueKey::new(id, Due::Forget), ());
		}
		let found;

		#[block]
		{
			found = Deadlines::<T>::iter_key_prefix(START).next();
		}

		assert_eq!(found, Some(DueKey::new(0, Due::Forget)));
		Ok(())
	}

	// The coordinator's first task in a queue, so that it joins the draw.
	#[benchmark]
	fn ripen() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let operator = account("coordinator's operator", 0, 0);
		let models = new_models::<T>(MAX_DEMANDS);
		let (owner, id) = new_coordinator::<T>(0, &operator, &models, T::MaxWait::get())?;
		fill::<T>(DrawSet::Coordinators)?;
		let at = ripe_in::<T>(id)?;

		#[block]
		{
			Pallet::<T>::meet_if_due(at, at, DueKey::new(id, Due::Ripe));
		}

		assert_eq!(Tasks::<T>::get(id).map(|task| task.phase), Some(Phase::Ready));
		assert!(T::Sets::weight(&DrawSet::Coordinators, &owner).is_some());
		Ok(())
	}

	// The coordinator's only task in a queue, so that it leaves the draw.
	#[benchmark]
	fn expire() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let operator = account("coordinator's operator", 0, 0);
		let models = new_models::<T>(MAX_DEMANDS);
		let (owner, id) = new_coordinator::<T>(0, &operator, &models, T::MaxWait::get())?;
		ripen_now::<T>(id)?;
		fill::<T>(DrawSet::Coordinators)?;
		let at = Pallet::<T>::after(START.saturating_add(T::MaxWait::get()));
		at_block::<T>(at);

		#[block]
		{
			Pallet::<T>::meet_if_due(at, at, DueKey::new(id, Due::Expire));
		}

		assert_eq!(outcome::<T>(id), Some(Outcome::Expired));
		assert_eq!(T::Sets::weight(&DrawSet::Coordinators, &owner), None);
		Ok(())
	}

	// A miner that does not commit is slashed and goes offline; the task has waited long enough, and to refund it is more than to draw for it again.
	#[benchmark]
	fn miss() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let (operator, payer) =
			(account("miner's operator", 0, 0), account("coordinator's operator", 0, 0));
		let (models, served) = demanded_and_served::<T>();
		let miner = new_miner::<T>(0, &operator, &served, T::MaxSlots::get())?;
		fill_miners::<T>(&served)?;
		let wait = T::RandomnessDelay::get();
		let (_, id) = new_coordinator::<T>(0, &payer, &models, wait)?;
		seat::<T>(id, &miner)?;
		pass_eras::<T>()?;
		let Some(Phase::Working { deadline, .. }) = Tasks::<T>::get(id).map(|task| task.phase)
		else {
			return Err("nobody works on the task".into());
		};
		let at = Pallet::<T>::after(deadline);
		at_block::<T>(at);

		#[block]
		{
			Pallet::<T>::meet_if_due(at, at, DueKey::new(id, Due::Commit));
		}

		assert_eq!(outcome::<T>(id), Some(Outcome::Expired));
		assert!(!Seats::<T>::contains_key(&miner, id));
		assert_eq!(count_sets::<T>(&served, &miner), 0);
		assert_gone::<T>(&[miner]);
		Ok(())
	}

	#[benchmark]
	fn forget() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let operator: T::AccountId = account("coordinator's operator", 0, 0);
		let models = new_models::<T>(1);
		let (_, id) = new_coordinator::<T>(0, &operator, &models, T::MaxWait::get())?;
		Pallet::<T>::do_cancel(operator, id)?;
		let at = Pallet::<T>::after(START.saturating_add(T::ReceiptLife::get()));
		at_block::<T>(at);

		#[block]
		{
			Pallet::<T>::meet_if_due(at, at, DueKey::new(id, Due::Forget));
		}

		assert!(!Receipts::<T>::contains_key(id));
		Ok(())
	}

	// Spared: the sample is drawn at once. Where the lot falls the other way, that is left to a later deadline.
	#[benchmark]
	fn lottery() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let (operator, payer) =
			(account("miner's operator", 0, 0), account("coordinator's operator", 0, 0));
		let (models, served) = demanded_and_served::<T>();
		let (_, id) = new_coordinator::<T>(0, &payer, &models, T::MaxWait::get())?;
		let miner = new_miner::<T>(0, &operator, &served, T::MaxSlots::get())?;
		sit::<T>(&miner, id, SeatKind::Primary, Did::Promised)?;
		Records::<T>::insert(&miner, full_record(models[0]));
		let phase = Phase::Lottery { miner, at: OVER, until: OVER, attempts: 0, due: false };
		enter::<T>(id, phase, Due::Lottery);
		at_block::<T>(OVER);
		let spared = |value: &u8| {
			set_beacon::<T>(*value);
			Pallet::<T>::ticket(b"lottery", id)
				.is_some_and(|seed| !verdict::falls_within(&seed, T::LeastAuditRate::get()))
		};
		(0..=u8::MAX).find(spared).ok_or("every task is audited")?;

		#[block]
		{
			Pallet::<T>::meet_if_due(OVER, OVER, DueKey::new(id, Due::Lottery));
		}

		let task = Tasks::<T>::get(id).ok_or("the task is gone")?;
		assert!(matches!(task.phase, Phase::Revealing { .. }));
		assert_eq!(task.phase.audit().map(|audit| audit.sample.len()), Some(MAX_SAMPLE as usize));
		Ok(())
	}

	// Full, after as many as can be were found to have too much at risk. All who cannot have a seat are in the set too, and each verifier's last slot is taken.
	#[benchmark]
	fn open_audit() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let (operator, payer) =
			(account("miner's operator", 0, 0), account("coordinator's operator", 0, 0));
		let models = new_models::<T>(MAX_DEMANDS);
		let (_, id) = new_coordinator::<T>(0, &payer, &models, T::MaxWait::get())?;
		let shared = &models[..1];
		let miner = new_miner::<T>(0, &operator, shared, T::MaxSlots::get())?;
		sit::<T>(&miner, id, SeatKind::Primary, Did::Promised)?;
		let verifiers = new_miners::<T>(1..1 + MAX_VERIFIERS, shared, 1)?;
		fill_miners::<T>(shared)?;
		weigh_down::<T>(shared[0])?;
		set_unable::<T>(id, MAX_UNABLE);
		let phase = Phase::Lottery { miner, at: OVER, until: OVER, attempts: 0, due: true };
		enter::<T>(id, phase, Due::Audit);
		at_block::<T>(OVER);
		set_beacon::<T>(0);

		#[block]
		{
			Pallet::<T>::meet_if_due(OVER, OVER, DueKey::new(id, Due::Audit));
		}

		let task = Tasks::<T>::get(id).ok_or("the task is gone")?;
		assert!(matches!(task.phase, Phase::Verifying { .. }));
		assert!(verifiers.iter().all(|verifier| Seats::<T>::contains_key(verifier, id)));
		assert_in_no_set::<T>(&verifiers);
		Ok(())
	}

	// No verifier has committed: all are slashed and go offline.
	#[benchmark]
	fn end_verify() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let (id, owners) = audited::<T>(T::MaxSlots::get(), Did::Promised, Did::Nothing)?;
		let (miner, verifiers) = owners.split_first().ok_or("there is no miner")?;
		let (miner, audit) = (miner.clone(), audit_by::<T>(verifiers));
		let phase = Phase::Verifying { miner, audit, attempts: 0, deadline: LAST };
		enter::<T>(id, phase, Due::Verify);
		pass_eras::<T>()?;
		at_block::<T>(OVER);

		#[block]
		{
			Pallet::<T>::meet_if_due(OVER, OVER, DueKey::new(id, Due::Verify));
		}

		let task = Tasks::<T>::get(id).ok_or("the task is gone")?;
		assert!(matches!(task.phase, Phase::Lottery { attempts: 1, due: true, .. }));
		assert_gone::<T>(verifiers);
		Ok(())
	}

	// Nobody has shown anything: miner and verifiers are slashed and go offline, and the task has waited long enough. To pay all of them would be to put them
	// into the sets that they leave here, which is less.
	#[benchmark]
	fn end_reveal() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let (id, owners) = audited::<T>(T::MaxSlots::get(), Did::Promised, Did::Promised)?;
		let (miner, verifiers) = owners.split_first().ok_or("there is no miner")?;
		let (miner, audit) = (miner.clone(), audit_by::<T>(verifiers));
		enter::<T>(id, Phase::Revealing { miner, audit, deadline: LAST }, Due::Reveal);
		pass_eras::<T>()?;
		at_block::<T>(OVER);

		#[block]
		{
			Pallet::<T>::meet_if_due(OVER, OVER, DueKey::new(id, Due::Reveal));
		}

		assert_eq!(outcome::<T>(id), Some(Outcome::Expired));
		assert_gone::<T>(&owners);
		Ok(())
	}

	// A full second court, after as many as can be were found to have too much at risk. All who cannot be jurors are in the set too, and each juror's last slot
	// is taken.
	#[benchmark]
	fn convene() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let payer: T::AccountId = account("coordinator's operator", 0, 0);
		let models = new_models::<T>(MAX_DEMANDS);
		let (_, id) = new_coordinator::<T>(0, &payer, &models, T::MaxWait::get())?;
		let shared = &models[..1];
		let jurors = new_miners::<T>(0..SECOND_COURT, shared, 1)?;
		fill_miners::<T>(shared)?;
		weigh_down::<T>(shared[0])?;
		let stage = Stage::Gathering { at: OVER, until: OVER };
		convened::<T>(id, &others::<T>(1..2 + MAX_VERIFIERS), &[], stage)?;
		at_block::<T>(OVER);
		set_beacon::<T>(0);

		#[block]
		{
			Pallet::<T>::meet_if_due(OVER, OVER, DueKey::new(id, Due::Court));
		}

		let court = Courts::<T>::get(id).ok_or("the court is gone")?;
		assert!(matches!(court.stage, Stage::Committing { .. }));
		assert_eq!(court.jurors.len(), jurors.len());
		assert_in_no_set::<T>(&jurors);
		Ok(())
	}

	// No juror of a second court has committed: all are slashed and go offline, the court is over, and miner and verifiers join the sets again.
	#[benchmark]
	fn end_jury_commit() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let (id, parties) = audited::<T>(1, Did::Shown(WRONG), Did::Shown(WRONG))?;
		let first = 1 + MAX_VERIFIERS;
		let slots = T::MaxSlots::get();
		let jurors = new_miners::<T>(first..first + SECOND_COURT, &[], slots)?;
		for juror in &jurors {
			sit::<T>(juror, id, SeatKind::Juror, Did::Nothing)?;
		}
		convened::<T>(id, &parties, &jurors, Stage::Committing { deadline: LAST })?;
		at_block::<T>(OVER);

		#[block]
		{
			Pallet::<T>::meet_if_due(OVER, OVER, DueKey::new(id, Due::JuryCommit));
		}

		assert_eq!(outcome::<T>(id), Some(Outcome::Void));
		assert!(!Courts::<T>::contains_key(id));
		assert_gone::<T>(&jurors);
		assert_in_all_sets::<T>(&parties);
		Ok(())
	}

	// A second court in which no more jurors agree than must. Those join the sets again; for the other jurors' owners the slash leaves too small a bond; and
	// for each of the accused it is the third wrong result. All but the right jurors leave their sets, and what they are slashed is shared out among those.
	#[benchmark]
	fn judge() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let slots = T::MaxSlots::get();
		let (id, parties) = audited::<T>(slots, Did::Shown(WRONG), Did::Shown(WRONG))?;
		let first = 1 + MAX_VERIFIERS;
		let middle = first + verdict::majority(SECOND_COURT, true);
		let right = new_miners::<T>(first..middle, &[], 1)?;
		let wrong = new_miners::<T>(middle..first + SECOND_COURT, &[], slots)?;
		wrong.iter().for_each(reduce_bond::<T>);
		let jurors = [right.as_slice(), wrong.as_slice()].concat();
		convened::<T>(id, &parties, &jurors, Stage::Revealing { deadline: LAST })?;
		pass_eras::<T>()?;
		for juror in &right {
			sit::<T>(juror, id, SeatKind::Juror, Did::Shown(RIGHT))?;
		}
		for juror in &wrong {
			sit::<T>(juror, id, SeatKind::Juror, Did::Shown(WRONG))?;
		}
		at_block::<T>(OVER);

		#[block]
		{
			Pallet::<T>::meet_if_due(OVER, OVER, DueKey::new(id, Due::JuryReveal));
		}

		assert!(matches!(outcome::<T>(id), Some(Outcome::Rejected { .. })));
		assert!(!Courts::<T>::contains_key(id));
		assert_in_all_sets::<T>(&right);
		for owners in [&wrong, &parties] {
			assert!(owners.iter().all(|owner| T::Pools::weight(owner) == 0));
			assert_in_no_set::<T>(owners);
		}
		Ok(())
	}

	// A block in which nothing is due and there is no room for a draw.
	#[benchmark]
	fn hook_base() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		set_beacon::<T>(0);
		DeadlineCursor::<T>::put(START);

		#[block]
		{
			Pallet::<T>::turn_beacon();
			let mut deadlines = WeightMeter::with_limit(T::WeightInfo::next_deadline());
			Pallet::<T>::meet_deadlines(START, &mut deadlines);
			let mut draws = WeightMeter::with_limit(T::WeightInfo::hook_base());
			Pallet::<T>::draw_tasks(START, &mut draws);
		}

		assert_ne!(Beacon::<T>::get(), H256::zero());
		assert_eq!(DeadlineCursor::<T>::get(), Pallet::<T>::after(START));
		Ok(())
	}

	// As many coordinators were found idle before as can be. The one that is drawn has a task in the queue of every model; for the oldest ones nobody is found,
	// after as many as can be had too much at risk, and they go to the back; for the last that is tried, the last that may be drawn is found. The miner leaves
	// all draws of its models with its last slot. A coordinator with one task only would leave the draw: less than to look for miners twice in vain.
	#[benchmark]
	fn draw() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let operator = account("coordinator's operator", 0, 0);
		let models = new_models::<T>(MAX_DEMANDS);
		let (_, first) = new_coordinator::<T>(0, &operator, &models, T::MaxWait::get())?;
		let tasks: Vec<TaskId> = (first..).take(models.len()).collect();
		for id in &tasks {
			ripen_now::<T>(*id)?;
			set_unable::<T>(*id, MAX_UNABLE - 1);
		}
		let served = &models[MAX_HEADS - 1..][..MAX_MODELS as usize];
		let miner = new_miner::<T>(0, &account("miner's operator", 0, 0), served, 1)?;
		fill_miners::<T>(&models)?;
		for model in &models {
			weigh_down::<T>(*model)?;
		}
		fill::<T>(DrawSet::Coordinators)?;
		let idle = others::<T>(1..MAX_IDLE as u32);
		let drawn;

		#[block]
		{
			drawn = with_storage_layer(|| Pallet::<T>::draw_one(START, &SALT, 0, &idle));
		}

		assert!(matches!(drawn, Ok(Draw::Assigned)));
		let task = Tasks::<T>::get(tasks[MAX_HEADS - 1]).ok_or("the task is gone")?;
		assert_eq!(task.phase.miner(), Some(&miner));
		assert_in_no_set::<T>(&[miner]);
		Ok(())
	}

	impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
