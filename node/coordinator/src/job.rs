//! What applications ask for: a job is one or more inferences of one model. Data and rules, no storage and no network.
//!
//! Two things are told apart, because they come apart: the *state*, which the application waits for, and the *settlement*, which the chain reaches later. A job is `completed` the
//! moment the miner has uploaded its outputs, with settlement `pending`.
//!
//! Jobs go on chain in batches ([`crate::batch`]), each batch one task. Of a job nothing is kept that is its batch's: what can be said of it is said by [`Progress`], of both.

use std::sync::Arc;

use cuckoo_primitives::{work::NO_OUTPUT, Balance, BlockNumber, ModelId, ModelKind, TaskId};
use serde::{Deserialize, Serialize};
use sp_core::{crypto::AccountId32, H256};
use sp_crypto_hashing::blake2_256;

use crate::{
	batch::{Batch, BatchId},
	id::JobId,
	keys::KeyId,
};

/// An amount as a decimal string: JSON's numbers end at 2⁵³.
pub mod planck {
	use serde::{de::Error, Deserialize, Deserializer, Serializer};

	/// Writes the amount.
	pub fn serialize<S: Serializer>(amount: &u128, to: S) -> Result<S::Ok, S::Error> {
		to.collect_str(amount)
	}

	/// Reads the amount.
	pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
		String::deserialize(from)?.parse().map_err(D::Error::custom)
	}
}

/// What the application waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
	/// Accepted: to be posted, or posted and waiting for a miner.
	Queued,
	/// A miner was drawn.
	Assigned,
	/// The miner has fetched the input.
	Running,
	/// The output is here.
	Completed,
	/// There will be no output; `error` says why.
	Failed,
	/// Taken back before a miner was drawn.
	Cancelled,
	/// No miner finished the task in time.
	Expired,
}

impl JobState {
	/// Whether nothing more will happen to the output.
	pub fn is_final(self) -> bool {
		matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::Expired)
	}

	/// Whether a job in this state may be in `next` when it is looked at again.
	pub fn may_become(self, next: Self) -> bool {
		self == next || !self.is_final()
	}

	/// Its name in answers and metrics.
	pub fn name(self) -> &'static str {
		match self {
			Self::Queued => "queued",
			Self::Assigned => "assigned",
			Self::Running => "running",
			Self::Completed => "completed",
			Self::Failed => "failed",
			Self::Cancelled => "cancelled",
			Self::Expired => "expired",
		}
	}
}

/// What the chain has decided about the fee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settlement {
	/// Nothing: the task is not on chain.
	None,
	/// The fee is held.
	Pending,
	/// The miner was paid.
	Settled,
	/// A court is open.
	Disputed,
	/// Ended without a verdict that this coordinator could see.
	Void,
	/// The fee came back.
	Refunded,
	/// The fee was burnt: miners could not have the input, or the output never came.
	Burnt,
	/// The miner was paid, and then a court found its result wrong.
	Overturned,
}

impl Settlement {
	/// Its name in answers and metrics.
	pub fn name(self) -> &'static str {
		match self {
			Self::None => "none",
			Self::Pending => "pending",
			Self::Settled => "settled",
			Self::Disputed => "disputed",
			Self::Void => "void",
			Self::Refunded => "refunded",
			Self::Burnt => "burnt",
			Self::Overturned => "overturned",
		}
	}

	/// Whether the chain has decided; who was paid can still be challenged.
	pub fn is_final(self) -> bool {
		!matches!(self, Self::None | Self::Pending | Self::Disputed)
	}

	/// Whether the chain can go from this to `next`. A post can vanish with its block before it is final (`Pending` to `None`), and a paid
	/// task can still be challenged (`Settled` to `Disputed`).
	pub fn may_become(self, next: Self) -> bool {
		use Settlement::*;
		self == next
			|| match self {
				None => matches!(next, Pending | Void),
				Pending => {
					matches!(next, None | Settled | Disputed | Void | Refunded | Burnt | Overturned)
				},
				Disputed => matches!(next, Settled | Void | Refunded | Burnt | Overturned),
				Settled => matches!(next, Disputed | Overturned),
				Void | Refunded | Burnt | Overturned => false,
			}
	}
}

/// What a miner delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
	/// BLAKE2b-256 of its bytes.
	pub hash: H256,
	/// Its sketch, in hexadecimal: with the hash, what stands under the output root on chain.
	pub sketch: String,
	/// The task that it was delivered for.
	pub task: TaskId,
	/// The round of the task in which it was delivered.
	pub round: u32,
	/// The owner of the pool of the miner that delivered it.
	pub miner: AccountId32,
	/// The operator account that it was delivered with.
	pub operator: AccountId32,
	/// When it came, in milliseconds of Unix time.
	pub at: u64,
}

/// The blocks of the steps that the task has taken; the miner's are of the last round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobBlocks {
	/// The task was posted.
	pub posted: Option<BlockNumber>,
	/// A miner was drawn.
	pub drawn: Option<BlockNumber>,
	/// It committed to its result.
	pub committed: Option<BlockNumber>,
	/// It showed its result.
	pub revealed: Option<BlockNumber>,
	/// It was paid, or the fee came back.
	pub settled: Option<BlockNumber>,
}

/// What an output of [`NO_OUTPUT`](cuckoo_primitives::work::NO_OUTPUT) means, for applications.
pub const NO_OUTPUT_MEANS: &str =
	"the model cannot run this input, or gives no finite numbers for it";

/// What it means that outputs are not those under the root on chain.
const MISMATCH_MEANS: &str =
	"what the miner delivered is not what it has shown on chain: do not trust it";

/// A job as the book keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
	/// Its name.
	pub id: JobId,
	/// When it was accepted, in seconds of Unix time.
	pub created: u64,
	/// The key that it was asked for with.
	pub owner: Option<KeyId>,
	/// How its model is run.
	pub kind: ModelKind,
	/// Its model.
	pub model: ModelId,
	/// The name that the application asked for.
	pub model_name: String,
	/// The model's files at that time.
	pub manifest: H256,
	/// BLAKE2b-256 over route and body of the request: the same idempotency key must come with the same hash.
	pub request_hash: H256,
	/// The application's `Idempotency-Key`.
	pub idempotency_key: Option<String>,
	/// The seed of a picture.
	pub seed: Option<u64>,
	/// BLAKE2b-256 of each item's input.
	pub inputs: Vec<H256>,
	/// The fee for all items, in planck.
	#[serde(with = "planck")]
	pub fee: Balance,
	/// How many blocks its task may wait for a miner.
	pub max_wait: BlockNumber,
	/// Whether it has a task of its own, because the chain refused one that it shared.
	#[serde(default)]
	pub alone: bool,
	/// Where it is.
	pub place: Place,
}

/// Where a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
	/// It waits for a batch.
	Waiting,
	/// In a batch, from this item of it on.
	In {
		/// The batch.
		batch: BatchId,
		/// Its first item's number there.
		first: u32,
	},
	/// It ended before it came into one, and cost nothing.
	Ended {
		/// As what.
		state: JobState,
		/// Why.
		error: String,
	},
}

impl Job {
	/// How many inferences it is; the accepted are never more than a task can hold.
	pub fn items(&self) -> u32 {
		u32::try_from(self.inputs.len()).unwrap_or(u32::MAX)
	}
}

/// A job and the batch that it is in: everything that can be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
	/// The job.
	pub job: Job,
	/// Its batch, once it is in one; the jobs of a batch share it.
	pub batch: Option<Arc<Batch>>,
}

impl Progress {
	/// What the application waits for.
	pub fn state(&self) -> JobState {
		let batch = match (&self.job.place, &self.batch) {
			(Place::Ended { state, .. }, _) => return *state,
			(Place::In { .. }, Some(batch)) => batch,
			(Place::Waiting | Place::In { .. }, _) => return JobState::Queued,
		};
		if !(0..self.items()).all(|item| self.output(item).is_some()) {
			return batch.state;
		}
		if self.gave_nothing() {
			JobState::Failed
		} else {
			JobState::Completed
		}
	}

	/// What the chain has decided.
	pub fn settlement(&self) -> Settlement {
		self.batch.as_ref().map_or(Settlement::None, |batch| batch.settlement)
	}

	/// Why there is no output, or what went wrong after it.
	pub fn error(&self) -> Option<&str> {
		if let Place::Ended { error, .. } = &self.job.place {
			return Some(error);
		}
		let batch = self.batch.as_ref()?;
		if self.gave_nothing() {
			return Some(NO_OUTPUT_MEANS);
		}
		if batch.mismatch {
			return Some(MISMATCH_MEANS);
		}
		// Others of the batch may lack their outputs where this job has its own.
		let doubted = !matches!(
			batch.settlement,
			Settlement::None | Settlement::Pending | Settlement::Settled | Settlement::Disputed
		);
		batch.error.as_deref().filter(|_| doubted || self.state() != JobState::Completed)
	}

	/// How many inferences it is.
	pub fn items(&self) -> u32 {
		self.job.items()
	}

	/// What was delivered for one of its items.
	pub fn output(&self, item: u32) -> Option<&Output> {
		let Place::In { first, .. } = self.job.place else { return None };
		if item >= self.items() {
			return None;
		}
		self.batch.as_ref()?.outputs.get(&first.checked_add(item)?)
	}

	/// The task on chain.
	pub fn task(&self) -> Option<TaskId> {
		self.batch.as_ref()?.task
	}

	/// Which draw of the task is the present one.
	pub fn round(&self) -> u32 {
		self.batch.as_ref().map_or(0, |batch| batch.round)
	}

	/// The owner of the pool of the miner drawn last.
	pub fn miner(&self) -> Option<&AccountId32> {
		self.batch.as_ref()?.miner.as_ref()
	}

	/// The operator account that delivered.
	pub fn operator(&self) -> Option<&AccountId32> {
		(0..self.items()).find_map(|item| self.output(item)).map(|output| &output.operator)
	}

	/// The blocks of the steps that its task has taken.
	pub fn blocks(&self) -> JobBlocks {
		self.batch.as_ref().map_or_else(JobBlocks::default, |batch| batch.blocks)
	}

	/// Whether nothing more happens to it: its state is final, and the chain has decided.
	pub fn is_over(&self) -> bool {
		match (&self.job.place, &self.batch) {
			(Place::Ended { .. }, _) => true,
			(Place::In { .. }, Some(batch)) => self.state().is_final() && batch.is_over(),
			(Place::Waiting | Place::In { .. }, _) => false,
		}
	}

	/// Whether it is a single inference, and the model gave nothing for it.
	fn gave_nothing(&self) -> bool {
		let nothing = || H256::from(blake2_256(NO_OUTPUT));
		self.items() == 1 && self.output(0).is_some_and(|output| output.hash == nothing())
	}
}

/// A job as applications see it.
#[derive(Serialize)]
pub struct JobView<'a> {
	id: JobId,
	object: &'static str,
	created: u64,
	kind: ModelKind,
	model: &'a str,
	manifest: H256,
	seed: Option<u64>,
	state: JobState,
	settlement: Settlement,
	task: Option<TaskId>,
	round: u32,
	miner: Option<&'a AccountId32>,
	operator: Option<&'a AccountId32>,
	#[serde(with = "planck")]
	fee: u128,
	max_wait: BlockNumber,
	blocks: JobBlocks,
	items: u32,
	/// Those of all jobs that share the task.
	batch_items: Option<u32>,
	/// Which of the task's items is this job's first.
	first_item: Option<u32>,
	/// Null for an output that is not here yet.
	output_hashes: Vec<Option<H256>>,
	/// In hexadecimal; with its hash it is what the chain knows of an output.
	output_sketches: Vec<Option<&'a str>>,
	error: Option<&'a str>,
}

impl<'a> From<&'a Progress> for JobView<'a> {
	fn from(of: &'a Progress) -> Self {
		let job = &of.job;
		let first_item = match job.place {
			Place::In { first, .. } => Some(first),
			Place::Waiting | Place::Ended { .. } => None,
		};
		let outputs = || (0..of.items()).map(|item| of.output(item));
		Self {
			id: job.id,
			object: "job",
			created: job.created,
			kind: job.kind,
			model: &job.model_name,
			manifest: job.manifest,
			seed: job.seed,
			state: of.state(),
			settlement: of.settlement(),
			task: of.task(),
			round: of.round(),
			miner: of.miner(),
			operator: of.operator(),
			fee: job.fee,
			max_wait: job.max_wait,
			blocks: of.blocks(),
			items: of.items(),
			batch_items: of.batch.as_deref().map(Batch::items),
			first_item,
			output_hashes: outputs().map(|output| output.map(|output| output.hash)).collect(),
			output_sketches: outputs().map(|output| output.map(|o| o.sketch.as_str())).collect(),
			error: of.error(),
		}
	}
}

#[cfg(test)]
pub(crate) mod tests {
	use super::*;
	use crate::{batch::tests::batch_of, id::unix_now};

	pub(crate) fn job() -> Job {
		Job {
			id: JobId::random(),
			created: unix_now(),
			owner: None,
			kind: ModelKind::TextToImage,
			model: 1,
			model_name: "shapes".into(),
			manifest: H256::repeat_byte(1),
			request_hash: H256::repeat_byte(2),
			idempotency_key: None,
			seed: Some(7),
			inputs: vec![H256::repeat_byte(3)],
			fee: 1_000,
			max_wait: 100,
			alone: false,
			place: Place::Waiting,
		}
	}

	pub(crate) fn output(hash: u8, round: u32) -> Output {
		let (hash, sketch) = (H256::repeat_byte(hash), String::new());
		let (miner, operator) = (AccountId32::new([8; 32]), AccountId32::new([7; 32]));
		Output { hash, sketch, task: 4, round, miner, operator, at: 0 }
	}

	/// Its batch, to be changed without the other's.
	fn changed(of: &mut Progress) -> &mut Batch {
		Arc::make_mut(of.batch.as_mut().unwrap())
	}

	/// Two jobs, of two items and of one, that share a batch.
	fn two() -> (Progress, Progress) {
		let jobs = [Job { inputs: vec![H256::repeat_byte(4); 2], ..job() }, job()];
		let batch = Arc::new(batch_of(&jobs));
		let [a, b] = jobs;
		let of = |job: Job, first| {
			let place = Place::In { batch: batch.id, first };
			Progress { job: Job { place, ..job }, batch: Some(batch.clone()) }
		};
		(of(a, 0), of(b, 2))
	}

	#[test]
	fn an_ended_job_stays_ended() {
		use JobState::*;
		let all = [Queued, Assigned, Running, Completed, Failed, Cancelled, Expired];
		for from in all {
			for to in all {
				assert_eq!(from.may_become(to), from == to || !from.is_final(), "{from:?} {to:?}");
			}
		}
	}

	#[test]
	fn money_moves_one_way() {
		use Settlement::*;
		let legal = [
			(None, Pending),
			(None, Void),
			(Pending, None),
			(Pending, Settled),
			(Pending, Disputed),
			(Pending, Void),
			(Pending, Refunded),
			(Pending, Burnt),
			(Pending, Overturned),
			(Disputed, Settled),
			(Disputed, Void),
			(Disputed, Refunded),
			(Disputed, Burnt),
			(Disputed, Overturned),
			(Settled, Disputed),
			(Settled, Overturned),
		];
		let all = [None, Pending, Settled, Disputed, Void, Refunded, Burnt, Overturned];
		for from in all {
			for to in all {
				let expected = from == to || legal.contains(&(from, to));
				assert_eq!(from.may_become(to), expected, "{from:?} {to:?}");
			}
		}
	}

	#[test]
	fn a_job_is_complete_with_its_own_outputs() {
		let (mut a, mut b) = two();
		for item in [2, 1] {
			changed(&mut a).deliver(item, output(1, 0)).unwrap();
		}
		b.batch.clone_from(&a.batch);
		assert_eq!((a.state(), b.state()), (JobState::Queued, JobState::Completed));
		assert_eq!((a.output(0), a.output(1), a.output(2)), (None, Some(&output(1, 0)), None));
		assert_eq!((b.output(0), b.output(1)), (Some(&output(1, 0)), None));
		// The miner ends it there: what is here stays here.
		for of in [&mut a, &mut b] {
			changed(of).fail("no more came");
		}
		assert_eq!((a.state(), a.error()), (JobState::Failed, Some("no more came")));
		assert_eq!((b.state(), b.error()), (JobState::Completed, None));
		// Unless the chain does not believe it.
		changed(&mut b).settlement = Settlement::Overturned;
		assert!(b.error().is_some());
	}

	#[test]
	fn an_input_for_which_there_is_no_output_fails_its_own_job() {
		let (mut a, mut b) = two();
		let nothing = Output { hash: blake2_256(NO_OUTPUT).into(), ..output(1, 0) };
		for of in [&mut a, &mut b] {
			let batch = changed(of);
			(0..3).for_each(|item| batch.deliver(item, nothing.clone()).unwrap());
		}
		assert_eq!((b.state(), b.error()), (JobState::Failed, Some(NO_OUTPUT_MEANS)));
		// Of several the others are worth having.
		assert_eq!((a.state(), a.error()), (JobState::Completed, None));
	}

	#[test]
	fn a_job_without_a_batch_is_queued_or_has_ended() {
		let mut of = Progress { job: job(), batch: None };
		assert_eq!(
			(of.state(), of.settlement(), of.is_over()),
			(JobState::Queued, Settlement::None, false)
		);
		of.job.place = Place::Ended { state: JobState::Cancelled, error: "taken back".into() };
		assert_eq!(
			(of.state(), of.error(), of.is_over()),
			(JobState::Cancelled, Some("taken back"), true)
		);
	}

	#[test]
	fn a_job_survives_its_json() {
		let job = Job { place: Place::In { batch: BatchId(5), first: 3 }, ..job() };
		let json = serde_json::to_vec(&job).unwrap();
		assert_eq!(serde_json::from_slice::<Job>(&json).unwrap(), job);
	}
}
