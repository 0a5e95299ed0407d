//! What each call and hook costs at most.
//!
//! Miners serve, and coordinators have tasks open for, as many models as they may. Where a benchmark is about a set, the set is full of others: their number makes
//! the tree three levels deep, as it is with up to 32,768 members, and one level short of what a million have. A level more is another node, half a kilobyte, to be
//! read and written once or twice a set. The one that joins stands last; the one that leaves stands first, so that the last one takes its place and two
//! paths of nodes change.

use crate::{
	draw::{Draw, MAX_IDLE},
	pallet::{
		Call, Config, DeadlineCursor, Deadlines, Miners, NextTask, Pallet, Receipts, Seats, Tasks,
	},
	types::{
		Commitment, DrawSet, Due, DueKey, ModelList, Outcome, Phase, Reveal, MAX_BATCH, MAX_MODELS,
	},
	WeightInfo,
};
use alloc::vec::Vec;
use cuckoo_primitives::{
	commitment::commitment,
	traits::{Models, OnWeightChange, Pools, WeightedSets},
	Balance, BlockNumber, ModelId, Role, TaskId,
};
use frame_benchmarking::v2::*;
use frame_support::{
	dispatch::DispatchResult, storage::with_storage_layer, traits::Get, weights::WeightMeter,
	BoundedVec,
};
use frame_system::{pallet_prelude::BlockNumberFor, RawOrigin};
use sp_core::H256;
use sp_runtime::DispatchError;

/// The others in a set: one more than 32², which is what two levels hold.
const OTHERS: u32 = 32 * 32 + 1;
/// The block in which everything begins.
const START: BlockNumber = 1;
const ROOT: H256 = H256::repeat_byte(9);
const SALT: [u8; 32] = [7; 32];

fn at_block<T: Config>(number: BlockNumber) {
	frame_system::Pallet::<T>::set_block_number(number.into());
}

/// One of those in every set. They weigh a planck, so that in a draw nobody but who it is about is ever drawn.
fn other<T: Config>(number: u32) -> T::AccountId {
	account("other", number, 0)
}

fn fill<T: Config>(set: DrawSet) -> DispatchResult {
	(0..OTHERS).try_for_each(|number| T::Sets::insert(&set, &other::<T>(number), 1))
}

fn fill_miners<T: Config>(models: &[ModelId]) -> DispatchResult {
	models.iter().try_for_each(|model| fill::<T>(DrawSet::Miners(*model)))
}

/// In how many of the models' sets a miner is.
fn count_sets<T: Config>(models: &[ModelId], miner: &T::AccountId) -> usize {
	let drawn = |model: &&ModelId| T::Sets::weight(&DrawSet::Miners(**model), miner).is_some();
	models.iter().filter(drawn).count()
}

fn new_models<T: Config>(count: u32) -> Vec<ModelId> {
	(0..count).map(|_| T::Models::benchmark_model()).collect()
}

fn list(models: &[ModelId]) -> ModelList {
	ModelList::truncate_from(models.to_vec())
}

/// A miner that is online, by the owner of its pool.
fn new_miner<T: Config>(
	operator: &T::AccountId,
	models: &[ModelId],
	slots: u32,
) -> Result<T::AccountId, DispatchError> {
	let owner = account("miner", 0, 0);
	T::Pools::benchmark_pool(&owner, operator, Role::Miner)?;
	Pallet::<T>::do_go_online(operator.clone(), list(models), slots)?;
	Ok(owner)
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
	Pallet::<T>::assign(START, id, miner.clone())?;
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

fn promise<T: Config>(id: TaskId, operator: &T::AccountId) -> Result<Commitment, BenchmarkError> {
	let task = Tasks::<T>::get(id).ok_or("there is no such task")?;
	let genesis = frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::from(0u32));
	let hash = commitment(&genesis, id, task.round, operator, &ROOT, &SALT);
	Ok(Commitment { task: id, round: task.round, input_root: task.input_root, hash })
}

#[benchmarks]
mod benchmarks {
	use super::*;

	// The coordinator's list of models has room for its last one.
	#[benchmark]
	fn post() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let (operator, wait) = (whitelisted_caller(), T::MaxWait::get());
		let models = new_models::<T>(MAX_MODELS);
		let (last, others) = models.split_last().ok_or("no models")?;
		new_coordinator::<T>(0, &operator, others, wait)?;
		let (id, items, fee) = (NextTask::<T>::get(), T::MaxItems::get(), fee_for::<T>(*last));

		#[extrinsic_call]
		_(RawOrigin::Signed(operator), *last, H256::zero(), items, fee, wait);

		assert!(Tasks::<T>::contains_key(id));
		Ok(())
	}

	// The only task that the coordinator has in a queue, so that it leaves the draw: far more than mending the links of a long queue, of which at most two change.
	#[benchmark]
	fn cancel() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let (operator, wait) = (whitelisted_caller(), T::MaxWait::get());
		let models = new_models::<T>(MAX_MODELS);
		let (owner, id) = new_coordinator::<T>(0, &operator, &models, wait)?;
		ripen_now::<T>(id)?;
		fill::<T>(DrawSet::Coordinators)?;

		#[extrinsic_call]
		_(RawOrigin::Signed(operator), id);

		let outcome = Receipts::<T>::get(id).map(|receipt| receipt.outcome);
		assert_eq!(outcome, Some(Outcome::Cancelled));
		assert_eq!(T::Sets::weight(&DrawSet::Coordinators, &owner), None);
		Ok(())
	}

	// Online already, for other models: the miner leaves as many sets as it joins.
	#[benchmark]
	fn go_online() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let (operator, slots) = (whitelisted_caller(), T::MaxSlots::get());
		let (before, after) = (new_models::<T>(MAX_MODELS), new_models::<T>(MAX_MODELS));
		let owner = new_miner::<T>(&operator, &before, slots)?;
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
		let owner = new_miner::<T>(&operator, &models, slots)?;
		fill_miners::<T>(&models)?;

		#[extrinsic_call]
		_(RawOrigin::Signed(operator));

		assert!(!Miners::<T>::contains_key(&owner));
		assert_eq!(count_sets::<T>(&models, &owner), 0);
		Ok(())
	}

	// No set is touched.
	#[benchmark]
	fn commit(n: Linear<1, { MAX_BATCH }>) -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let (operator, slots) = (whitelisted_caller(), T::MaxSlots::get());
		let models = new_models::<T>(MAX_MODELS);
		let owner = new_miner::<T>(&operator, &models, slots)?;
		let tasks = seats::<T>(&owner, &models, n)?;
		let mut promises = Vec::new();
		for id in &tasks {
			promises.push(promise::<T>(*id, &operator)?);
		}

		#[extrinsic_call]
		_(RawOrigin::Signed(operator), BoundedVec::truncate_from(promises));

		for id in tasks {
			let task = Tasks::<T>::get(id).ok_or("the task is gone")?;
			assert!(matches!(task.phase, Phase::Revealing { .. }));
		}
		Ok(())
	}

	// Every slot is taken: with the first result the miner joins the sets of its models again, with every other one its pool's new worth is written there. Its pool
	// has rewards to settle and a commission to raise.
	#[benchmark]
	fn reveal(n: Linear<1, { MAX_BATCH }>) -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let (operator, slots) = (whitelisted_caller(), n.min(T::MaxSlots::get()));
		let models = new_models::<T>(MAX_MODELS);
		let owner = new_miner::<T>(&operator, &models, slots)?;
		let tasks = seats::<T>(&owner, &models, n)?;
		fill_miners::<T>(&models)?;
		let mut reveals = Vec::new();
		for id in &tasks {
			Pallet::<T>::do_commit(&operator, &promise::<T>(*id, &operator)?)?;
			reveals.push(Reveal { task: *id, output_root: ROOT, salt: SALT });
		}
		at_block::<T>(START + 1);

		#[extrinsic_call]
		_(RawOrigin::Signed(operator), BoundedVec::truncate_from(reveals));

		for id in tasks {
			let outcome = Receipts::<T>::get(id).map(|receipt| receipt.outcome);
			assert!(matches!(outcome, Some(Outcome::Settled { .. })));
		}
		assert_eq!(count_sets::<T>(&models, &owner), models.len());
		Ok(())
	}

	// A miner that leaves the draws: the dearest that a change of weight can be.
	#[benchmark]
	fn weigh(n: Linear<1, { MAX_MODELS }>) -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let (operator, slots) = (account("miner's operator", 0, 0), T::MaxSlots::get());
		let models = new_models::<T>(n);
		let owner = new_miner::<T>(&operator, &models, slots)?;
		fill_miners::<T>(&models)?;

		#[block]
		{
			<Pallet<T> as OnWeightChange<_>>::weight_changed(&owner, Role::Miner, 0);
		}

		assert_eq!(count_sets::<T>(&models, &owner), 0);
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
		let models = new_models::<T>(MAX_MODELS);
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
		let models = new_models::<T>(MAX_MODELS);
		let (owner, id) = new_coordinator::<T>(0, &operator, &models, T::MaxWait::get())?;
		ripen_now::<T>(id)?;
		fill::<T>(DrawSet::Coordinators)?;
		let at = Pallet::<T>::after(START.saturating_add(T::MaxWait::get()));
		at_block::<T>(at);

		#[block]
		{
			Pallet::<T>::meet_if_due(at, at, DueKey::new(id, Due::Expire));
		}

		let outcome = Receipts::<T>::get(id).map(|receipt| receipt.outcome);
		assert_eq!(outcome, Some(Outcome::Expired));
		assert_eq!(T::Sets::weight(&DrawSet::Coordinators, &owner), None);
		Ok(())
	}

	// A miner that committed and does not reveal; the task has waited long enough, and to refund it is more than to draw for it again.
	#[benchmark]
	fn miss() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let (operator, slots) = (account("miner's operator", 0, 0), T::MaxSlots::get());
		let models = new_models::<T>(MAX_MODELS);
		let miner = new_miner::<T>(&operator, &models, slots)?;
		fill_miners::<T>(&models)?;
		let payer = account("coordinator's operator", 0, 0);
		let wait = T::RandomnessDelay::get();
		let (_, id) = new_coordinator::<T>(0, &payer, &models, wait)?;
		seat::<T>(id, &miner)?;
		Pallet::<T>::do_commit(&operator, &promise::<T>(id, &operator)?)?;
		let at = Pallet::<T>::after(START.saturating_add(T::RevealWindow::get()));
		at_block::<T>(at);

		#[block]
		{
			Pallet::<T>::meet_if_due(at, at, DueKey::new(id, Due::Reveal));
		}

		let outcome = Receipts::<T>::get(id).map(|receipt| receipt.outcome);
		assert_eq!(outcome, Some(Outcome::Expired));
		assert!(!Miners::<T>::contains_key(&miner) && !Seats::<T>::contains_key(&miner, id));
		assert_eq!(count_sets::<T>(&models, &miner), 0);
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

	// A block in which nothing is due and nothing can be drawn.
	#[benchmark]
	fn hook_base() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		DeadlineCursor::<T>::put(START);

		#[block]
		{
			let mut deadlines = WeightMeter::with_limit(T::WeightInfo::next_deadline());
			Pallet::<T>::meet_deadlines(START, &mut deadlines);
			let mut draws = WeightMeter::with_limit(T::WeightInfo::hook_base());
			Pallet::<T>::draw_tasks(START, &mut draws);
		}

		assert_eq!(DeadlineCursor::<T>::get(), Pallet::<T>::after(START));
		Ok(())
	}

	// As many coordinators were found idle before as can be; the one that is drawn leaves the draw with its only task in a queue, and the miner all draws of its models
	// with its last slot. A coordinator that has other tasks queued stays in the draw: to look at the queues of all its models is less than to leave it.
	#[benchmark]
	fn draw() -> Result<(), BenchmarkError> {
		at_block::<T>(START);
		let models = new_models::<T>(MAX_MODELS);
		let miner = new_miner::<T>(&account("miner's operator", 0, 0), &models, 1)?;
		fill_miners::<T>(&models)?;
		let operator = account("coordinator's operator", 0, 0);
		let (owner, id) = new_coordinator::<T>(0, &operator, &models, T::MaxWait::get())?;
		ripen_now::<T>(id)?;
		fill::<T>(DrawSet::Coordinators)?;
		// Apart by more than a node, so that each is a path of its own.
		let idle: Vec<T::AccountId> =
			(1..MAX_IDLE).map(|number| other::<T>(number as u32 * 64)).collect();
		let drawn;

		#[block]
		{
			drawn = with_storage_layer(|| Pallet::<T>::draw_one(START, &SALT, 0, &idle));
		}

		assert!(matches!(drawn, Ok(Draw::Assigned)));
		let task = Tasks::<T>::get(id).ok_or("the task is gone")?;
		assert_eq!(task.phase.miner(), Some(&miner));
		assert_eq!(T::Sets::weight(&DrawSet::Coordinators, &owner), None);
		assert_eq!(count_sets::<T>(&models, &miner), 0);
		Ok(())
	}

	impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
