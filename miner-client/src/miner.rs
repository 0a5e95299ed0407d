//! The loop over all seats.
//!
//! It holds what the chain shows and what the journal holds side by side, asks [`next`] what each seat needs, and starts that. Everything that takes
//! time runs beside the loop and reports back; commits and reveals that are due at the same moment share a transaction.

use std::{
	collections::BTreeMap,
	future::Future,
	sync::Arc,
	time::{Duration, Instant},
};

use anyhow::{Context, Result};
use cuckoo_client::{
	calls::{self, Call},
	earnings, events, Included, Node,
};
use cuckoo_primitives::{
	views::{Duty, Seat, SeatKind, TaskPhase, TaskView},
	Balance, BlockNumber, TaskId,
};
use cuckoo_rpc::{CuckooApiClient, SeatsUpdate};
use sp_core::crypto::AccountId32;
use tokio::{
	sync::{mpsc, watch},
	task::AbortHandle,
	time::{interval, timeout, MissedTickBehavior},
};

use crate::{
	journal::{is_over, may_commit, next, JournalError, Key, Next, Record, Step},
	metrics::{self, Outcome},
	notify::Watchdog,
	server::{SeatStatus, Status},
	stop::{Stop, Stopper},
	waiting::Waiting,
	work::{self, Tools, WorkError},
};

/// The chain takes so many in one call.
const MAX_BATCH: usize = 32;
/// A block.
const TICK: Duration = Duration::from_secs(3);
/// Before something is sent again that was refused.
const PAUSE: Duration = Duration::from_secs(3);
/// For one question to the node.
const ANSWER: Duration = Duration::from_secs(20);
/// How long the last uploads may take once every seat is finished and the program is to end.
const LAST_UPLOADS: Duration = Duration::from_secs(20);
/// So many blocks, and for so long, another view of the chain may be behind.
const LITTLE: BlockNumber = 3;
const LATE: Duration = Duration::from_secs(12);

/// What is sent to the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
	Commit,
	Reveal,
	Unavailable,
}

impl Kind {
	fn name(self) -> &'static str {
		match self {
			Self::Commit => "commit",
			Self::Reveal => "reveal",
			Self::Unavailable => "unavailable",
		}
	}
}

/// What the loop hears from what runs beside it.
enum Event {
	Computed(Key, Result<Record, WorkError>),
	Delivered(Key),
	Sent {
		kind: Kind,
		keys: Vec<Key>,
		seconds: f64,
		result: Result<Included, String>,
	},
	Over {
		key: Key,
		task: Option<TaskView>,
		/// What it was paid, in planck.
		earned: Balance,
	},
	/// The look for records that are over, as of this finalised block, has ended.
	Swept(BlockNumber),
}

/// One seat, or what is left of it.
#[derive(Default)]
struct Work {
	seat: Option<Seat>,
	/// The block in which it was first seen.
	seen: BlockNumber,
	record: Option<Record>,
	computing: Option<Running>,
	/// Whether its coordinator keeps the inputs from it.
	waiting: Arc<Waiting>,
	delivering: Option<Running>,
	/// A commit or reveal is on its way.
	sending: bool,
	/// The block of the last one: what the chain showed before it is out of date.
	sent_in: BlockNumber,
	not_before: Option<Instant>,
	/// Given up, and said so.
	given_up: bool,
}

impl Work {
	fn doing(&self) -> &'static str {
		match (&self.record, &self.seat) {
			_ if self.given_up => "given up",
			(None, _) => "computing",
			(Some(_), Some(Seat { duty: Duty::Commit, .. })) => "committing",
			(Some(_), Some(Seat { duty: Duty::Wait(_), .. })) => "waiting",
			(Some(_), Some(_)) => "revealing",
			(Some(_), None) => "finished",
		}
	}
}

/// Something that runs beside the loop, ended when nobody wants it any more.
struct Running(AbortHandle);

impl Drop for Running {
	fn drop(&mut self) {
		self.0.abort();
	}
}

/// The loop and what it knows.
pub struct Miner {
	node: Node,
	tools: Arc<Tools>,
	status: Arc<Status>,
	work: BTreeMap<Key, Work>,
	/// The last best block whose seats were seen.
	block: BlockNumber,
	sender: mpsc::UnboundedSender<Event>,
	events: mpsc::UnboundedReceiver<Event>,
	sweeping: bool,
	/// The last finalised block of which records were looked at.
	swept: BlockNumber,
	/// When the seats were last seen in a block that was not older.
	seen: Instant,
	/// Whether what an earlier process left behind was cleared away.
	cleared: bool,
	/// Ends the program after the first task, if that is all it is for.
	once: Option<Stopper>,
	/// The staker whose pool earns.
	owner: AccountId32,
	watchdog: Watchdog,
}

impl Miner {
	/// Takes up what the journal holds. `owner` is the staker whose pool this miner works for.
	pub fn new(
		node: Node,
		owner: AccountId32,
		tools: Arc<Tools>,
		status: Arc<Status>,
		once: Option<Stopper>,
	) -> Result<Self> {
		let (sender, events) = mpsc::unbounded_channel();
		let mut work = BTreeMap::new();
		for record in tools.journal.records()? {
			tracing::info!(task = record.task, round = record.round, step = ?record.step, "taken up from the journal");
			work.insert(record.key(), Work { record: Some(record), ..Default::default() });
		}
		Ok(Self {
			node,
			tools,
			status,
			work,
			block: 0,
			sender,
			events,
			sweeping: false,
			swept: 0,
			seen: Instant::now(),
			cleared: false,
			once,
			owner,
			watchdog: Watchdog::new(),
		})
	}

	/// Works until told to stop. To drain it goes on until a block that is not before the one in `left`, in which the operator went offline, shows no seat.
	pub async fn run(
		mut self,
		mut seats: watch::Receiver<Option<SeatsUpdate>>,
		mut stop: watch::Receiver<Stop>,
		left: watch::Receiver<Option<BlockNumber>>,
	) -> Result<()> {
		let mut tick = interval(TICK);
		tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
		let mut finished_at = None;
		loop {
			tokio::select! {
				changed = seats.changed() => {
					changed.context("nobody follows the seats any more")?;
					let update = seats.borrow_and_update().clone();
					self.see(update)?;
				},
				Some(event) = self.events.recv() => self.hear(event)?,
				_ = tick.tick() => self.sweep(),
				changed = stop.changed() => changed.context("nobody listens for signals any more")?,
			}
			// What has come meanwhile may share a transaction.
			while let Ok(event) = self.events.try_recv() {
				self.hear(event)?;
			}
			self.act();
			self.report();
			let wanted = *stop.borrow();
			self.feed(wanted);
			if wanted == Stop::Now {
				return Ok(());
			}
			// The seats are of a block that may be older than the one in which the last of them came.
			let last = left.borrow().is_some_and(|block| self.block >= block.max(1));
			if wanted == Stop::Drain && last && self.work.values().all(|w| w.seat.is_none()) {
				let since: &mut Instant = finished_at.get_or_insert_with(Instant::now);
				let uploading = self.work.values().any(|work| work.delivering.is_some());
				if !uploading || since.elapsed() > LAST_UPLOADS {
					tracing::info!("everything promised is done");
					return Ok(());
				}
			}
		}
	}

	/// Takes in what the chain shows.
	fn see(&mut self, update: Option<SeatsUpdate>) -> Result<()> {
		let Some(SeatsUpdate { block, seats, .. }) = update else { return Ok(()) };
		// A question that was answered late, or another node that is a little behind: a seat that it does not know yet is not gone. After a while it is the chain that went back.
		let older = block < self.block && self.block - block <= LITTLE;
		if older && self.seen.elapsed() < LATE {
			return Ok(());
		}
		(self.block, self.seen) = (block, Instant::now());
		self.status.set_work(true, |report| report.block = block);
		let mut shown: BTreeMap<Key, Seat> =
			seats.into_iter().map(|seat| ((seat.task, seat.round), seat)).collect();
		let mut gone = Vec::new();
		for (key, work) in &mut self.work {
			let seat = shown.remove(key);
			if let (Some(seat), Some(record)) = (&seat, &work.record) {
				if !record.is_of(seat) {
					tracing::warn!(
						task = key.0,
						"the journal's result is of another chain's task; it is dropped"
					);
					self.tools.journal.forget(*key)?;
					*work = Work::default();
				}
			}
			let before = std::mem::replace(&mut work.seat, seat);
			if let (Some(before), None, None) = (before, &work.seat, &work.record) {
				gone.push((*key, before.model, work.given_up));
			}
		}
		for (key, model, given_up) in gone {
			if !given_up {
				let (task, round) = key;
				tracing::warn!(
					task,
					round,
					block,
					"the seat is gone, the result was not there yet"
				);
				metrics::task_ended(model, Outcome::Missed);
			}
			self.work.remove(&key);
			// What was computed of it.
			self.tools.journal.forget(key)?;
		}
		for (key, seat) in shown {
			if let Some(stopper) = &self.once {
				stopper.drain();
			}
			tracing::info!(
				task = seat.task,
				round = seat.round,
				kind = ?seat.kind,
				model = seat.model,
				block,
				deadline = seat.deadline,
				coordinator = seat.endpoint,
				"drawn"
			);
			self.work.insert(key, Work { seat: Some(seat), seen: block, ..Default::default() });
		}
		if !self.cleared {
			self.tools.journal.clear(|key| self.work.contains_key(&key))?;
			self.cleared = true;
		}
		Ok(())
	}

	/// Takes in what came of something.
	fn hear(&mut self, event: Event) -> Result<()> {
		match event {
			Event::Computed(key, result) => {
				let Some(work) = self.work.get_mut(&key) else { return Ok(()) };
				work.computing = None;
				match result {
					Ok(record) => work.record = Some(record),
					// Without a journal nothing can be promised. Whoever restarts the program opens it anew.
					Err(WorkError::Journal(error)) => return Err(error.into()),
					Err(error) => {
						work.given_up = true;
						tracing::error!(task = key.0, round = key.1, %error, "no result; the deadline will pass");
						if let Some(seat) = &work.seat {
							metrics::task_ended(seat.model, Outcome::Failed);
						}
					},
				}
			},
			Event::Delivered(key) => {
				let Some(work) = self.work.get_mut(&key) else { return Ok(()) };
				work.delivering = None;
				if let Some(record) = &mut work.record {
					record.delivered = true;
					noted(self.tools.journal.update(std::slice::from_ref(&*record)));
				}
			},
			Event::Sent { kind, keys, seconds, result } => self.sent(kind, &keys, seconds, result),
			Event::Over { key, task, earned } => {
				let Some(record) = self.work.remove(&key).and_then(|mut work| work.record.take())
				else {
					return Ok(());
				};
				let settled = match record.kind {
					SeatKind::Primary => task
						.is_some_and(|t| t.phase == TaskPhase::Settled && t.round == record.round),
					// Whoever computes again is done once it has shown what came of it, whatever becomes of the task.
					SeatKind::Verifier | SeatKind::Juror => record.step == Step::Revealed,
				};
				self.status.stats().earned(earned);
				tracing::info!(task = key.0, round = key.1, settled, earned, step = ?record.step, "over");
				let outcome = if settled { Outcome::Settled } else { Outcome::Missed };
				metrics::task_ended(record.model, outcome);
				self.tools.journal.forget(key)?;
			},
			Event::Swept(finalized) => (self.sweeping, self.swept) = (false, finalized),
		}
		Ok(())
	}

	fn sent(&mut self, kind: Kind, keys: &[Key], seconds: f64, result: Result<Included, String>) {
		metrics::transaction(kind.name(), result.is_ok());
		let refused: BTreeMap<TaskId, String> = match &result {
			Ok(included) => events::refusals(included).into_iter().collect(),
			Err(error) => keys.iter().map(|key| (key.0, error.clone())).collect(),
		};
		let mut changed = Vec::new();
		for key in keys {
			let Some(work) = self.work.get_mut(key) else { continue };
			work.sending = false;
			let call = kind.name();
			match (&result, refused.get(&key.0), kind) {
				(Ok(included), None, Kind::Unavailable) => {
					(work.given_up, work.computing) = (true, None);
					tracing::warn!(
						task = key.0,
						round = key.1,
						block = included.block,
						"the coordinator does not serve the inputs: another miner gets the task"
					);
				},
				(Ok(included), None, Kind::Commit | Kind::Reveal) => {
					let Some(record) = &mut work.record else { continue };
					let block = included.block;
					record.step =
						if kind == Kind::Commit { Step::Committed } else { Step::Revealed };
					work.sent_in = block;
					changed.push(record.clone());
					metrics::stage(record.model, call, seconds);
					tracing::info!(
						task = key.0,
						round = key.1,
						block,
						ms = (seconds * 1e3) as u64,
						"{call} is in a block"
					);
				},
				(_, why, _) => {
					work.not_before = Some(Instant::now() + PAUSE);
					let why = why.map_or("unknown", String::as_str);
					tracing::warn!(task = key.0, round = key.1, why, "{call} was refused");
				},
			}
		}
		noted(self.tools.journal.update(&changed));
	}

	/// Starts whatever is due.
	fn act(&mut self) {
		let (mut commits, mut reveals, mut unable) = (Vec::new(), Vec::new(), Vec::new());
		let (now, block) = (Instant::now(), self.block);
		for (key, work) in &mut self.work {
			if let Some(record) = &work.record {
				if !record.delivered && work.delivering.is_none() {
					let (tools, sender, record) =
						(self.tools.clone(), self.sender.clone(), record.clone());
					let task = tokio::spawn(async move {
						work::deliver(&tools, &record).await;
						// The loop has ended when nobody hears this.
						let _ = sender.send(Event::Delivered(record.key()));
					});
					work.delivering = Some(Running(task.abort_handle()));
				}
			}
			let Some(seat) = work.seat.clone() else { continue };
			let paused = work.not_before.is_some_and(|at| at > now) || block < work.sent_in;
			if work.given_up || work.sending || paused || block >= seat.deadline {
				continue;
			}
			match (next(work.record.as_ref(), Some(&seat.duty)), &work.record) {
				(Next::Compute, _) if work.computing.is_none() => {
					let (tools, sender, key) = (self.tools.clone(), self.sender.clone(), *key);
					let waiting = work.waiting.clone();
					let task = tokio::spawn(async move {
						let result = work::compute(&tools, &seat, block, &waiting).await;
						let _ = sender.send(Event::Computed(key, result));
					});
					work.computing = Some(Running(task.abort_handle()));
				},
				(Next::Commit, Some(record)) if may_commit(record, seat.deadline, block) => {
					work.sending = true;
					commits.push(record.clone());
				},
				(Next::Reveal, Some(record)) => {
					work.sending = true;
					reveals.push((record.clone(), seat.sample.clone()));
				},
				// Whoever says so in time is not slashed, and the task goes to somebody who may have more luck.
				(Next::Compute, _)
					if work.waiting.is_stuck() && block >= say_unable(work.seen, seat.deadline) =>
				{
					work.sending = true;
					unable.push(*key);
				},
				(Next::Lost, _) => {
					work.given_up = true;
					tracing::error!(
						task = key.0,
						round = key.1,
						"the chain holds a commitment that this journal cannot open: was another data folder used, or another machine?"
					);
				},
				_ => {},
			}
		}
		for batch in commits.chunks(MAX_BATCH) {
			let promise = |r: &Record| calls::Commitment {
				task: r.task,
				round: r.round,
				input_root: r.input_root,
				hash: r.commitment,
			};
			let call = calls::commit(&batch.iter().map(promise).collect::<Vec<_>>());
			let keys = batch.iter().map(Record::key).collect();
			self.send(Kind::Commit, keys, async move { Ok(call) });
		}
		for batch in reveals.chunks(MAX_BATCH) {
			let keys = batch.iter().map(|(record, _)| record.key()).collect();
			let (tools, batch) = (self.tools.clone(), batch.to_vec());
			self.send(Kind::Reveal, keys, work::reveals(tools, batch));
		}
		for key in unable {
			let call = calls::unavailable(key.0);
			self.send(Kind::Unavailable, vec![key], async move { Ok(call) });
		}
	}

	fn send(
		&self,
		kind: Kind,
		keys: Vec<Key>,
		call: impl Future<Output = Result<Call, WorkError>> + Send + 'static,
	) {
		let (tools, sender) = (self.tools.clone(), self.sender.clone());
		tokio::spawn(async move {
			let start = Instant::now();
			let result = match call.await {
				Ok(call) => tools.signer.submit(call).await.map_err(|error| error.to_string()),
				Err(error) => Err(error.to_string()),
			};
			let seconds = start.elapsed().as_secs_f64();
			let _ = sender.send(Event::Sent { kind, keys, seconds, result });
		});
	}

	/// Looks, beside the loop, which records without a seat are over for good.
	fn sweep(&mut self) {
		let records: Vec<Record> = self
			.work
			.values()
			.filter(|work| work.seat.is_none() && !work.sending)
			.filter_map(|work| work.record.clone())
			.collect();
		if self.sweeping || self.block == 0 || records.is_empty() {
			return;
		}
		self.sweeping = true;
		let (node, owner, sender) = (self.node.clone(), self.owner.clone(), self.sender.clone());
		let swept = self.swept;
		tokio::spawn(async move {
			let finalized = sweep(&node, &owner, records, swept, &sender).await;
			let finalized = finalized.unwrap_or_else(|error| {
				tracing::debug!(error = format!("{error:#}"), "cannot look for what is over");
				swept
			});
			let _ = sender.send(Event::Swept(finalized));
		});
	}

	/// Tells systemd that the loop turns, and what it does.
	fn feed(&mut self, wanted: Stop) {
		if self.block > 0 {
			self.watchdog.ready();
			let seats = self.work.values().filter(|work| work.seat.is_some()).count();
			self.watchdog.status(&format!("{seats} seats in block {}", self.block));
		}
		if wanted != Stop::No {
			self.watchdog.stopping();
		}
		self.watchdog.fed();
	}

	fn report(&self) {
		self.tools.workers.measure();
		metrics::rpc_reconnects(self.node.reconnects());
		let seats = self.work.values().filter_map(|work| {
			let seat = work.seat.as_ref()?;
			Some(SeatStatus {
				task: seat.task,
				round: seat.round,
				model: seat.model,
				deadline: seat.deadline,
				doing: work.doing(),
			})
		});
		let records = || self.work.values().filter_map(|work| work.record.as_ref());
		self.status.set_work(false, |report| {
			report.seats = seats.collect();
			report.kept = records().count();
			report.undelivered = records().filter(|record| !record.delivered).count();
			report.node = self.node.url();
		});
	}
}

/// What was not written down is no loss: the chain shows how far each record is.
fn noted(written: Result<(), JournalError>) {
	if let Err(error) = written {
		tracing::error!(%error, "the journal is behind");
	}
}

/// From which block on to say that the inputs cannot be had: two thirds into the time for it. The chain hears it in the second half only.
fn say_unable(seen: BlockNumber, deadline: BlockNumber) -> BlockNumber {
	seen.saturating_add(deadline.saturating_sub(seen) / 3 * 2)
}

async fn sweep(
	node: &Node,
	owner: &AccountId32,
	records: Vec<Record>,
	swept: BlockNumber,
	sender: &mpsc::UnboundedSender<Event>,
) -> Result<BlockNumber> {
	let (finalized, hash) = timeout(ANSWER, node.finalized_block()).await??;
	if finalized == swept {
		return Ok(finalized);
	}
	let rpc = node.rpc().await?;
	for record in records {
		let task = timeout(ANSWER, rpc.task(record.task, Some(hash))).await??;
		if is_over(&record, finalized, task.as_ref()) {
			let earned = match task.as_ref().and_then(|task| task.blocks.ended) {
				Some(block) => paid(node, owner, block, record.task).await,
				None => 0,
			};
			let _ = sender.send(Event::Over { key: record.key(), task, earned });
		}
	}
	Ok(finalized)
}

/// What a pool was paid for a task that ended in this block, in planck. 0 if the node does not know any more: it is told, and nothing depends on it.
async fn paid(node: &Node, owner: &AccountId32, block: BlockNumber, task: TaskId) -> Balance {
	let rewards = timeout(ANSWER, earnings::of_block(node, block, owner)).await;
	let Ok(Ok(rewards)) = rewards else {
		tracing::debug!(task, block, "the node does not tell what the task has paid");
		return 0;
	};
	let of_task = rewards.iter().filter(|reward| reward.task.is_some_and(|(id, _)| id == task));
	of_task.map(|reward| reward.amount).sum()
}
