//! What anybody may know: for the page, and for whoever wants to look without a key.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /v1/network?limit=100` | this coordinator's pool, and the miners, richest pool first |
//! | `GET /v1/tasks?limit=20` | the newest tasks of this coordinator, as far as the chain shows them to everybody, too |
//!
//! No prompt, no output and no job's id is in either: an id is all that it takes to read a job of a coordinator without keys. However many visitors there are, the chain
//! is asked once in six seconds, and the book once a second.

use std::{
	collections::{BTreeMap, HashMap},
	future::Future,
	sync::Arc,
	time::{Duration, Instant},
};

use axum::{
	extract::{rejection::QueryRejection, Query, State},
	http::header,
	response::{IntoResponse, Response},
	routing::get,
	Extension, Json, Router,
};
use cuckoo_primitives::{
	views::{IntroView, OperatorView, Slash},
	Balance, BlockNumber, EraIndex, ModelId, ModelKind, PoolStatus, Role, SlashReason, TaskId,
};
use serde::{Deserialize, Serialize};
use sp_core::{crypto::AccountId32, H256};
use tokio::sync::{watch, Mutex};

use crate::{
	chain::{At, ChainError, Offer},
	error::ApiError,
	id::unix_now,
	job::{planck, JobBlocks, JobState, Progress, Settlement},
	server::App,
};

/// For how long an answer of the chain is given again: two blocks.
const CHAIN_LIFE: Duration = Duration::from_secs(6);
/// For how long an answer of the book is given again.
const BOOK_LIFE: Duration = Duration::from_secs(1);
/// How many miners are told of at most, and if nobody says how many.
const MINERS: Limits = Limits { most: 500, usual: 100 };
/// How many tasks are told of at most, and if nobody says how many.
const TASKS: Limits = Limits { most: 100, usual: 20 };
/// Among how many of the newest jobs tasks are looked for: several jobs may be one task.
const JOBS: usize = 500;

/// The routes. They need no key.
pub fn routes() -> Router<Arc<App>> {
	Router::new()
		.route("/v1/network", get(network))
		.route("/v1/tasks", get(tasks))
		.layer(Extension(Arc::new(Answers::default())))
}

/// The last answers.
struct Answers {
	network: Cached<Network>,
	tasks: Cached<Vec<TaskRow>>,
}

impl Default for Answers {
	fn default() -> Self {
		Self { network: Cached::new(CHAIN_LIFE), tasks: Cached::new(BOOK_LIFE) }
	}
}

struct Limits {
	most: usize,
	usual: usize,
}

#[derive(Deserialize)]
struct Listing {
	limit: Option<usize>,
}

impl Limits {
	fn of(&self, query: Result<Query<Listing>, QueryRejection>) -> Result<usize, ApiError> {
		let bad = |why: String| ApiError::bad("limit", "invalid_value", why);
		let Query(listing) = query.map_err(|rejection| bad(rejection.body_text()))?;
		let limit = listing.limit.unwrap_or(self.usual);
		if (1..=self.most).contains(&limit) {
			return Ok(limit);
		}
		Err(bad(format!("limit must be from 1 to {}", self.most)))
	}
}

/// `GET /v1/network`
async fn network(
	State(app): State<Arc<App>>,
	Extension(answers): Extension<Arc<Answers>>,
	query: Result<Query<Listing>, QueryRejection>,
) -> Result<Response, ApiError> {
	let limit = MINERS.of(query)?;
	let network = answers.network.get(|| read_network(&app)).await?;
	Ok(network.answer(CHAIN_LIFE, |network| network.first(limit)))
}

/// `GET /v1/tasks`
async fn tasks(
	State(app): State<Arc<App>>,
	Extension(answers): Extension<Arc<Answers>>,
	query: Result<Query<Listing>, QueryRejection>,
) -> Result<Response, ApiError> {
	let limit = TASKS.of(query)?;
	let tasks = answers.tasks.get(|| read_tasks(&app)).await?;
	Ok(tasks.answer(BOOK_LIFE, |rows| List { object: "list", data: beginning(rows, limit) }))
}

fn beginning<T>(rows: &[T], limit: usize) -> &[T] {
	rows.get(..limit).unwrap_or(rows)
}

#[derive(Serialize)]
struct List<'a, T> {
	object: &'static str,
	data: &'a [T],
}

/// Something that is asked for once in a while, however many want to know it.
struct Cached<T> {
	/// For how long an answer is given again.
	life: Duration,
	last: watch::Sender<Option<Arc<Known<T>>>>,
	/// Held by the one who asks.
	turn: Mutex<Turn>,
}

#[derive(Default)]
struct Turn {
	/// When it was last asked, with whatever success.
	asked: Option<Instant>,
	/// Why that failed.
	error: Option<ApiError>,
}

/// An answer, and when it came.
struct Known<T> {
	value: T,
	since: Instant,
}

impl<T> Cached<T> {
	fn new(life: Duration) -> Self {
		Self { life, last: watch::Sender::new(None), turn: Mutex::default() }
	}

	/// The last answer, if it is fresh; else a new one. An old answer is better than none, so a failure counts only before the first success.
	async fn get<Q: Future<Output = Result<T, ApiError>>>(
		&self,
		question: impl FnOnce() -> Q,
	) -> Result<Arc<Known<T>>, ApiError> {
		let mut turn = match (self.turn.try_lock(), self.last()) {
			(Ok(turn), _) => turn,
			// Somebody is asking.
			(Err(_), Some(last)) => return Ok(last),
			(Err(_), None) => self.turn.lock().await,
		};
		if turn.asked.is_none_or(|at| at.elapsed() >= self.life) {
			turn.error = match question().await {
				Ok(value) => {
					let known = Known { value, since: Instant::now() };
					self.last.send_replace(Some(Arc::new(known)));
					None
				},
				Err(error) => Some(error),
			};
			turn.asked = Some(Instant::now());
		}
		let none = || turn.error.clone().unwrap_or_else(|| ApiError::internal("nothing was asked"));
		self.last().ok_or_else(none)
	}

	fn last(&self) -> Option<Arc<Known<T>>> {
		self.last.borrow().clone()
	}
}

impl<T> Known<T> {
	/// What is shown of it, and how old it is.
	fn answer<'a, V: Serialize>(
		&'a self,
		life: Duration,
		view: impl FnOnce(&'a T) -> V,
	) -> Response {
		let headers = [
			(header::CACHE_CONTROL, format!("public, max-age={}", life.as_secs())),
			(header::AGE, self.since.elapsed().as_secs().to_string()),
		];
		(headers, Json(view(&self.value))).into_response()
	}
}

/// What the chain says of those who work for it.
struct Network {
	genesis: H256,
	block: BlockNumber,
	/// When this was read, in seconds of Unix time.
	read: u64,
	/// None if its pool is gone.
	coordinator: Option<PoolRow>,
	miners: Vec<MinerRow>,
}

#[derive(Serialize)]
struct NetworkView<'a> {
	object: &'static str,
	genesis: H256,
	block: BlockNumber,
	read: u64,
	coordinator: &'a Option<PoolRow>,
	miners: &'a [MinerRow],
	/// How many miners there are, up to the most that are listed.
	miners_in_all: usize,
}

impl Network {
	fn first(&self, limit: usize) -> NetworkView<'_> {
		NetworkView {
			object: "network",
			genesis: self.genesis,
			block: self.block,
			read: self.read,
			coordinator: &self.coordinator,
			miners: beginning(&self.miners, limit),
			miners_in_all: self.miners.len(),
		}
	}
}

async fn read_network(app: &App) -> Result<Network, ApiError> {
	let chain = &app.chain;
	let pools = async {
		tokio::try_join!(
			chain.block(At::Best),
			chain.operator(chain.owner()),
			chain.operators(Role::Miner)
		)
	};
	let (pools, offers, models) = tokio::join!(pools, chain.offers(), app.models.active());
	let (block, coordinator, miners) = pools?;
	// What miners serve is beside the point where it cannot be had: the rest is shown without it.
	let unknown = |error: &ChainError| tracing::warn!(%error, "what miners serve is not known");
	let offers = offers.inspect_err(unknown).ok();
	let models = models.unwrap_or_default().into_iter();
	let names: BTreeMap<_, _> = models.map(|(name, model)| (model.model, name)).collect();
	Ok(Network {
		genesis: chain.genesis(),
		block,
		read: unix_now(),
		coordinator: coordinator.map(PoolRow::from),
		miners: rank(miners, offers, &names),
	})
}

/// A pool and its operator.
#[derive(Serialize)]
struct PoolRow {
	owner: AccountId32,
	operator: AccountId32,
	/// Whether it takes part in draws at all.
	active: bool,
	status: &'static str,
	/// The first era in which a jailed one can be brought back.
	jailed_until: Option<EraIndex>,
	/// All that the pool is worth, in planck: its weight in draws.
	#[serde(with = "planck")]
	stake: Balance,
	/// What of it is the owner's own bond.
	#[serde(with = "planck")]
	own: Balance,
	/// What of it is others' votes.
	#[serde(with = "planck")]
	votes: Balance,
	/// The owner's share of what voters earn, in parts per billion.
	commission: u32,
	/// A higher share that was announced, and the first era in which it may be in force.
	commission_raise: Option<(u32, EraIndex)>,
	slashes: Slashes,
	intro: IntroView,
}

/// What is remembered of a pool's slashes: the last 32.
#[derive(Serialize)]
struct Slashes {
	count: usize,
	/// How many of them were for a deadline that a miner missed while it said it was online.
	missed: usize,
	/// The newest.
	last: Option<Slash>,
}

impl From<OperatorView> for PoolRow {
	fn from(view: OperatorView) -> Self {
		let missed = |slash: &&Slash| slash.reason == SlashReason::NoCommitment;
		Self {
			slashes: Slashes {
				count: view.slashes.len(),
				missed: view.slashes.iter().filter(missed).count(),
				last: view.slashes.last().cloned(),
			},
			owner: view.owner,
			operator: view.operator,
			active: view.active,
			status: match view.status {
				PoolStatus::Open => "open",
				PoolStatus::Chilled => "chilled",
				PoolStatus::Jailed { .. } => "jailed",
				PoolStatus::Retired { .. } => "retired",
			},
			jailed_until: match view.status {
				PoolStatus::Jailed { until } => Some(until),
				PoolStatus::Open | PoolStatus::Chilled | PoolStatus::Retired { .. } => None,
			},
			stake: view.tokens,
			own: view.own,
			votes: view.tokens.saturating_sub(view.own),
			commission: view.commission,
			commission_raise: view.commission_raise,
			intro: view.intro,
		}
	}
}

/// A miner.
#[derive(Serialize)]
struct MinerRow {
	/// By what its pool is worth, from 1.
	rank: usize,
	#[serde(flatten)]
	pool: PoolRow,
	/// Whether it may be drawn once it has a free slot. The chain keeps no record of the time that a miner was online.
	online: bool,
	/// How many more tasks it takes now.
	free_slots: Option<u32>,
	/// How many tasks it computes at a time, if it is online.
	slots: Option<u32>,
	/// What it serves, if it is online; null if that is not known.
	models: Option<Vec<String>>,
}

/// The miners that have not left, richest pool first as they come, under the names of their models.
fn rank(
	miners: Vec<OperatorView>,
	offers: Option<Vec<Offer>>,
	names: &BTreeMap<ModelId, String>,
) -> Vec<MinerRow> {
	let name =
		|model: &ModelId| names.get(model).cloned().unwrap_or_else(|| format!("model {model}"));
	let offers: Option<HashMap<_, _>> =
		offers.map(|offers| offers.into_iter().map(|offer| (offer.owner.clone(), offer)).collect());
	let here = miners.into_iter().filter(|v| !matches!(v.status, PoolStatus::Retired { .. }));
	(1..)
		.zip(here.take(MINERS.most))
		.map(|(rank, view)| {
			let offer = offers.as_ref().map(|offers| offers.get(&view.owner).filter(|o| o.online));
			MinerRow {
				rank,
				online: view.free_slots.is_some(),
				free_slots: view.free_slots,
				slots: offer.flatten().map(|offer| offer.slots),
				models: offer.map(|offer| match offer {
					Some(offer) => offer.models.iter().map(name).collect(),
					None => Vec::new(),
				}),
				pool: view.into(),
			}
		})
		.collect()
}

async fn read_tasks(app: &App) -> Result<Vec<TaskRow>, ApiError> {
	let jobs = app.book.recent(JOBS).await?;
	let cut = jobs.len() >= JOBS;
	Ok(merge(jobs.iter().map(TaskRow::of), cut))
}

/// A task, with nothing of what was asked and answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct TaskRow {
	task: TaskId,
	/// When its newest job was accepted, in seconds of Unix time.
	created: u64,
	kind: ModelKind,
	model: String,
	/// How many jobs it is.
	jobs: u32,
	/// How many inferences they are.
	items: u32,
	/// What they offer for them, in planck.
	#[serde(with = "planck")]
	fee: Balance,
	/// Of the job that has the farthest to go; if all have ended, of one that was completed, if there is one.
	state: JobState,
	settlement: Settlement,
	round: u32,
	miner: Option<AccountId32>,
	blocks: JobBlocks,
}

impl TaskRow {
	/// The task of a job that is on chain.
	fn of(progress: &Progress) -> Option<Self> {
		Some(Self {
			task: progress.task()?,
			created: progress.job.created,
			kind: progress.job.kind,
			model: progress.job.model_name.clone(),
			jobs: 1,
			items: progress.items(),
			fee: progress.job.fee,
			state: progress.state(),
			settlement: progress.settlement(),
			round: progress.round(),
			miner: progress.miner().cloned(),
			blocks: progress.blocks(),
		})
	}

	/// Takes in another job of the same task.
	fn add(&mut self, older: Self) {
		self.jobs = self.jobs.saturating_add(older.jobs);
		self.items = self.items.saturating_add(older.items);
		self.fee = self.fee.saturating_add(older.fee);
		if to_go(older.state) > to_go(self.state) {
			self.state = older.state;
		}
	}
}

/// How far a job has to go, and among those that have ended how much came of them.
fn to_go(state: JobState) -> u8 {
	match state {
		JobState::Queued => 6,
		JobState::Assigned => 5,
		JobState::Running => 4,
		JobState::Completed => 3,
		JobState::Failed => 2,
		JobState::Expired => 1,
		JobState::Cancelled => 0,
	}
}

/// The tasks of jobs, newest job first. If the list of jobs was `cut`, the last one's task may be there with a part of its jobs only: it is left out, unless it is alone.
fn merge(jobs: impl Iterator<Item = Option<TaskRow>>, cut: bool) -> Vec<TaskRow> {
	let mut rows: Vec<TaskRow> = Vec::new();
	let mut places: HashMap<TaskId, usize> = HashMap::new();
	let mut last = None;
	for job in jobs.flatten() {
		last = Some(job.task);
		match places.get(&job.task).and_then(|place| rows.get_mut(*place)) {
			Some(row) => row.add(job),
			None => {
				places.insert(job.task, rows.len());
				rows.push(job);
			},
		}
	}
	if cut && rows.len() > 1 {
		rows.retain(|row| Some(row.task) != last);
	}
	rows
}

#[cfg(test)]
mod tests {
	use super::*;
	use axum::http::{StatusCode, Uri};
	use cuckoo_primitives::CAI;
	use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

	fn view(owner: u8, change: impl FnOnce(&mut OperatorView)) -> OperatorView {
		let mut view = OperatorView {
			owner: [owner; 32].into(),
			operator: [owner + 100; 32].into(),
			role: Role::Miner,
			tokens: 50 * CAI,
			own: 30 * CAI,
			commission: 100_000_000,
			commission_raise: None,
			status: PoolStatus::Open,
			elected: false,
			slashes: Vec::new(),
			active: true,
			free_slots: None,
			intro: IntroView { name: "<b>rig</b>".into(), ..Default::default() },
		};
		change(&mut view);
		view
	}

	fn slash(block: BlockNumber, reason: SlashReason) -> Slash {
		Slash { era: 1, block, reason, amount: 7 * CAI, part: 5 }
	}

	fn json(value: impl Serialize) -> serde_json::Value {
		serde_json::to_value(value).unwrap()
	}

	#[test]
	fn miners_are_told_of_with_all_that_stakers_want_to_know() {
		let poor = view(2, |v| {
			v.status = PoolStatus::Jailed { until: 9 };
			v.active = false;
			v.slashes =
				vec![slash(5, SlashReason::NoCommitment), slash(8, SlashReason::WrongResult)];
		});
		let miners = vec![
			view(1, |v| v.free_slots = Some(2)),
			view(3, |v| v.status = PoolStatus::Retired { era: 1 }),
			poor,
		];
		let offer = |owner, online| Offer {
			owner: AccountId32::new([owner; 32]),
			online,
			models: vec![4, 5],
			slots: 3,
		};
		let names = BTreeMap::from([(4, "shapes".to_string())]);
		let rows = json(rank(miners.clone(), Some(vec![offer(1, true), offer(2, false)]), &names));
		assert_eq!(rows.as_array().unwrap().len(), 2, "who has left is still there");
		let expected = serde_json::json!({
			"rank": 1,
			"owner": AccountId32::new([1; 32]),
			"operator": AccountId32::new([101; 32]),
			"active": true,
			"status": "open",
			"jailed_until": null,
			"stake": "50000000000000000000",
			"own": "30000000000000000000",
			"votes": "20000000000000000000",
			"commission": 100_000_000,
			"commission_raise": null,
			"slashes": { "count": 0, "missed": 0, "last": null },
			"intro": {
				"name": "<b>rig</b>", "description": "", "website": "", "location": "",
				"hardware": "", "endpoint": "",
			},
			"online": true,
			"free_slots": 2,
			"slots": 3,
			"models": ["shapes", "model 5"],
		});
		assert_eq!(rows[0], expected);
		let second = &rows[1];
		assert_eq!((&second["rank"], &second["online"]), (&json(2), &json(false)));
		assert_eq!((&second["status"], &second["jailed_until"]), (&json("jailed"), &json(9)));
		assert_eq!((&second["slots"], &second["models"]), (&json(()), &serde_json::json!([])));
		let slashes = serde_json::json!({
			"count": 2,
			"missed": 1,
			"last": {
				"era": 1, "block": 8, "reason": "wrong_result",
				"amount": "7000000000000000000", "part": 5,
			},
		});
		assert_eq!(second["slashes"], slashes);
		let unknown = json(rank(miners, None, &names));
		assert_eq!(unknown[0]["models"], json(()), "what is not known is not invented");
		assert_eq!(unknown[0]["free_slots"], 2);
	}

	fn job(task: TaskId, state: JobState) -> Option<TaskRow> {
		Some(TaskRow {
			task,
			created: 1_000,
			kind: ModelKind::TextToImage,
			model: "shapes".into(),
			jobs: 1,
			items: 2,
			fee: CAI,
			state,
			settlement: Settlement::Pending,
			round: 0,
			miner: None,
			blocks: JobBlocks::default(),
		})
	}

	#[test]
	fn jobs_of_a_task_are_one_row() {
		use JobState::*;
		let jobs = || {
			let waiting = [None, job(7, Completed), job(6, Cancelled)].into_iter();
			waiting.chain([job(7, Running), job(6, Completed), job(5, Failed), job(5, Failed)])
		};
		let rows = merge(jobs(), false);
		let seen: Vec<_> = rows.iter().map(|r| (r.task, r.jobs, r.items, r.fee, r.state)).collect();
		let expected = [
			(7, 2, 4, 2 * CAI, Running),
			(6, 2, 4, 2 * CAI, Completed),
			(5, 2, 4, 2 * CAI, Failed),
		];
		assert_eq!(seen, expected);
		let cut = merge(jobs(), true);
		assert_eq!(cut.iter().map(|row| row.task).collect::<Vec<_>>(), [7, 6]);
		assert_eq!(merge([job(1, Queued)].into_iter(), true).len(), 1);
	}

	#[test]
	fn a_task_is_shown_without_prompt_output_or_the_name_of_a_job() {
		let shown = json(job(7, JobState::Completed));
		let mut fields: Vec<_> = shown.as_object().unwrap().keys().map(String::as_str).collect();
		fields.sort_unstable();
		let allowed = [
			"blocks",
			"created",
			"fee",
			"items",
			"jobs",
			"kind",
			"miner",
			"model",
			"round",
			"settlement",
			"state",
			"task",
		];
		assert_eq!(fields, allowed);
		assert_eq!(shown["fee"], "1000000000000000000");
	}

	#[tokio::test]
	async fn a_thousand_visitors_are_one_question() {
		let (cached, asked) = (Cached::new(Duration::from_secs(3_600)), AtomicUsize::new(0));
		let question = || async {
			asked.fetch_add(1, SeqCst);
			tokio::time::sleep(Duration::from_millis(50)).await;
			Ok(5)
		};
		let visitors = (0..1_000).map(|_| async { cached.get(question).await.unwrap().value });
		assert!(futures::future::join_all(visitors).await.into_iter().all(|value| value == 5));
		assert_eq!(asked.load(SeqCst), 1);
	}

	#[tokio::test]
	async fn who_comes_while_somebody_asks_has_the_last_answer() {
		let cached = Cached::new(Duration::ZERO);
		cached.get(|| async { Ok(1) }).await.unwrap();
		let slow = cached.get(|| async {
			tokio::time::sleep(Duration::from_millis(200)).await;
			Ok(2)
		});
		let meanwhile = async {
			tokio::time::sleep(Duration::from_millis(20)).await;
			cached.get(|| async { Ok(3) }).await
		};
		let (slow, meanwhile) = tokio::join!(slow, meanwhile);
		assert_eq!((slow.unwrap().value, meanwhile.unwrap().value), (2, 1));
	}

	#[tokio::test]
	async fn a_failure_counts_only_while_there_is_no_answer() {
		let failure = || async { Err::<u8, _>(ApiError::not_found("gone")) };
		let cached = Cached::new(Duration::from_secs(3_600));
		assert_eq!(cached.get(failure).await.err().unwrap().status, StatusCode::NOT_FOUND);
		// Those who come next share it instead of waiting for the next failure.
		assert!(cached.get(|| async { Ok(1) }).await.is_err());

		let cached = Cached::new(Duration::ZERO);
		cached.get(|| async { Ok(1) }).await.unwrap();
		let old = cached.get(failure).await.unwrap();
		assert_eq!(old.value, 1);
		let response = old.answer(CHAIN_LIFE, |value| *value);
		assert_eq!(response.headers()[header::CACHE_CONTROL], "public, max-age=6");
		assert_eq!(response.headers()[header::AGE], "0");
	}

	#[test]
	fn lists_have_an_end() {
		let of = |limit| TASKS.of(Ok(Query(Listing { limit })));
		assert_eq!(of(None).unwrap(), 20);
		assert_eq!((of(Some(1)).unwrap(), of(Some(100)).unwrap()), (1, 100));
		for limit in [0, 101, usize::MAX] {
			let error = of(Some(limit)).unwrap_err();
			assert_eq!((error.status, error.param), (StatusCode::BAD_REQUEST, Some("limit")));
		}
		let uri: Uri = "/v1/tasks?limit=x".parse().unwrap();
		assert_eq!(
			TASKS.of(Query::try_from_uri(&uri)).unwrap_err().status,
			StatusCode::BAD_REQUEST
		);
		assert_eq!((beginning(&[1, 2, 3], 2), beginning(&[1], 2)), (&[1, 2][..], &[1][..]));
	}
}
