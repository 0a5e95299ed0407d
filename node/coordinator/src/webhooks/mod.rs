//! Webhooks: what becomes of a job is told to the endpoint of the key that it belongs to, by the [Standard Webhooks](https://www.standardwebhooks.com)
//! specification.
//!
//! # What is told
//! That a job's state is final: `job.completed`, `job.failed`, `job.cancelled`, `job.expired`. What the chain decided about its fee: `job.settled`,
//! `job.refunded`, `job.burnt`, `job.overturned`, `job.void`. The body is `{"type", "timestamp", "data"}`, where `data` is the job as `GET /v1/jobs/{id}`
//! shows it when the event is noted. Each event has one id, the header `webhook-id`, made of the job and the event.
//!
//! # What is promised
//! Each event is written to the outbox, `webhooks.redb` in the data directory, before it is sent, and sent until the endpoint answers 2xx, or the last
//! of the attempts has failed: at once, and after 5 s, 5 min, 30 min, 2 h, 5 h and 10 h. A crash loses none: at the start the jobs of the retention
//! period are compared with what was told. It may repeat one, with the same id. Fresh events are sent in the order in which they happened; one that has
//! to be sent again does not hold up others.
//!
//! # What is bounded
//! Four attempts at a time, one for each endpoint; an endpoint that fails rests for a while, which grows, so that it holds nobody up. 10,000 events
//! wait; beyond that the oldest goes of the endpoint for which most wait, with a loud line in the log. Nothing is sent to an address that is not public,
//! unless that is set. An endpoint that answers 410 hears no more until the coordinator is started again.

mod address;
mod courier;
mod outbox;
mod plan;
mod sign;

use std::{
	collections::HashSet,
	sync::Arc,
	time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use serde::Serialize;
use tokio::sync::{
	broadcast::{self, error::RecvError, error::TryRecvError},
	watch,
};

use crate::{
	id::{unix_now, JobId},
	job::{JobState, JobView, Progress, Settlement},
	keys::{self, KeyId},
	server::App,
};
use courier::{Courier, Settings};
use outbox::{News, Outbox};

/// The name of the outbox in the data directory.
const FILE_NAME: &str = "webhooks.redb";
/// How many jobs are looked at together.
const BATCH: usize = 256;
/// How long is waited after the outbox or the book could not be used.
const RETRY: Duration = Duration::from_secs(5);
/// How long attempts that are under way may go on after the order to stop.
const GRACE: Duration = Duration::from_secs(5);
/// How often what was told of old jobs is forgotten.
const FORGET: Duration = Duration::from_secs(3_600);
/// What was told is kept this much longer than the jobs are, in seconds: a job that is not over yet is kept longer too.
const KEEP_LONGER: u64 = 30 * 24 * 3_600;

/// Something that is told of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
	/// The output is here.
	Completed,
	/// There will be no output.
	Failed,
	/// The task was taken back.
	Cancelled,
	/// No miner finished the task in time.
	Expired,
	/// The miner was paid.
	Settled,
	/// The fee came back.
	Refunded,
	/// The fee was burnt.
	Burnt,
	/// The miner was paid, and then a court found its result wrong.
	Overturned,
	/// Ended without a verdict.
	Void,
}

impl Event {
	/// The events of a job in this state: what its application waits for first.
	fn of(state: JobState, settlement: Settlement) -> Vec<Self> {
		let state = match state {
			JobState::Queued | JobState::Assigned | JobState::Running => None,
			JobState::Completed => Some(Self::Completed),
			JobState::Failed => Some(Self::Failed),
			JobState::Cancelled => Some(Self::Cancelled),
			JobState::Expired => Some(Self::Expired),
		};
		let settlement = match settlement {
			Settlement::None | Settlement::Pending | Settlement::Disputed => None,
			Settlement::Settled => Some(Self::Settled),
			Settlement::Refunded => Some(Self::Refunded),
			Settlement::Burnt => Some(Self::Burnt),
			Settlement::Overturned => Some(Self::Overturned),
			Settlement::Void => Some(Self::Void),
		};
		state.into_iter().chain(settlement).collect()
	}

	/// Its place in what is kept of a job, which must never change.
	fn bit(self) -> u16 {
		match self {
			Self::Completed => 1,
			Self::Failed => 1 << 1,
			Self::Cancelled => 1 << 2,
			Self::Expired => 1 << 3,
			Self::Settled => 1 << 4,
			Self::Refunded => 1 << 5,
			Self::Burnt => 1 << 6,
			Self::Overturned => 1 << 7,
			Self::Void => 1 << 8,
		}
	}

	fn word(self) -> &'static str {
		match self {
			Self::Completed => "completed",
			Self::Failed => "failed",
			Self::Cancelled => "cancelled",
			Self::Expired => "expired",
			Self::Settled => "settled",
			Self::Refunded => "refunded",
			Self::Burnt => "burnt",
			Self::Overturned => "overturned",
			Self::Void => "void",
		}
	}

	/// The type of the message.
	fn name(self) -> String {
		format!("job.{}", self.word())
	}

	/// The id of the message about this job.
	fn id(self, job: JobId) -> String {
		format!("msg_{:032x}_{}", job.0, self.word())
	}
}

/// Tells of jobs until told to stop.
pub struct Webhooks {
	app: Arc<App>,
	outbox: Outbox,
	courier: Courier,
}

impl Webhooks {
	/// Opens the outbox in the data directory.
	pub fn open(app: Arc<App>) -> anyhow::Result<Self> {
		let path = app.config.data_dir.join(FILE_NAME);
		let (outbox, waiting) = Outbox::open(&path)
			.with_context(|| format!("cannot open the webhooks' outbox {}", path.display()))?;
		let keys = app.keys.clone();
		// A revoked key's as well: its jobs go on.
		let endpoints = Box::new(move |key: KeyId| keys.get(key)?.webhook.clone());
		let settings = Settings { private: app.config.webhook_private, ..Settings::default() };
		let courier = Courier::new(outbox.clone(), waiting, endpoints, settings)?;
		Ok(Self { app, outbox, courier })
	}

	/// Runs until `stop` turns true.
	pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
		let mut changes = self.app.book.changes();
		// Nobody listened while the process was down.
		let mut missed = true;
		let (mut tried, mut forgotten): (Option<Instant>, Option<Instant>) = (None, None);
		loop {
			if missed && tried.is_none_or(|at| at.elapsed() >= RETRY) {
				tried = Some(Instant::now());
				tokio::select! {
					() = ordered(&mut stop) => break,
					caught_up = self.catch_up() => missed = has_failed(caught_up),
				}
			}
			if forgotten.is_none_or(|at| at.elapsed() > FORGET) {
				forgotten = Some(Instant::now());
				if let Err(error) = self.forget().await {
					tracing::warn!(%error, "what webhooks told of old jobs could not be forgotten");
				}
			}
			let woken = async {
				tokio::select! {
					() = ordered(&mut stop) => None,
					heard = next(&mut changes, missed) => heard,
				}
			};
			let Some(heard) = self.courier.attend(woken).await else { break };
			missed |= heard.missed;
			missed |= has_failed(self.tell_of(&heard.jobs).await);
		}
		self.courier.finish(GRACE).await;
	}

	/// Tells what was not told yet of the jobs of the retention period.
	async fn catch_up(&mut self) -> anyhow::Result<()> {
		let keep = self.app.config.retention_hours.saturating_mul(3_600);
		let oldest = unix_now().saturating_sub(keep);
		let path = self.app.config.data_dir.join(keys::FILE_NAME);
		let keys = tokio::task::spawn_blocking(move || keys::list(&path)).await??;
		let mut jobs: Vec<JobId> = Vec::new();
		for key in keys.into_iter().filter(|key| key.webhook.is_some()) {
			let (mut before, mut found) = (None, 0);
			// Newest first; of more than can wait the oldest would be dropped.
			while found <= courier::MOST_WAITING {
				let page = self.app.book.list(Some(key.id), before, BATCH).await?;
				let Some(last) = page.last() else { break };
				before = Some(last.job.id);
				let ended = last.job.created < oldest;
				let due = page.iter().filter(|progress| progress.job.created >= oldest);
				let due = due.map(|progress| {
					let events = Event::of(progress.state(), progress.settlement());
					(progress.job.id, events.into_iter().fold(0, |bits, event| bits | event.bit()))
				});
				let untold = self.outbox.untold(due.collect()).await?;
				found += untold.len();
				jobs.extend(untold);
				if ended {
					break;
				}
			}
		}
		jobs.sort_unstable();
		for jobs in jobs.chunks(BATCH) {
			self.tell_of(jobs).await?;
		}
		Ok(())
	}

	/// Tells what was not told yet of these jobs.
	async fn tell_of(&mut self, jobs: &[JobId]) -> anyhow::Result<()> {
		let mut news = Vec::new();
		for job in jobs {
			if let Some(progress) = self.app.book.get(*job).await? {
				news.extend(self.news_of(&progress)?);
			}
		}
		self.courier.tell(news).await
	}

	/// What is to be told of a job; `None` if there is nothing, or nobody to tell it to.
	fn news_of(&self, progress: &Progress) -> anyhow::Result<Option<News>> {
		let due = Event::of(progress.state(), progress.settlement());
		let Some(owner) = progress.job.owner.filter(|_| !due.is_empty()) else { return Ok(None) };
		if !self.courier.serves(owner) {
			return Ok(None);
		}
		let now = SystemTime::now();
		let mut events = Vec::new();
		for event in due {
			events.push((event, body(event, now, JobView::from(progress))?));
		}
		Ok(Some(News { job: progress.job.id, owner, events, send: true }))
	}

	async fn forget(&self) -> anyhow::Result<()> {
		let keep =
			self.app.config.retention_hours.saturating_mul(3_600).saturating_add(KEEP_LONGER);
		let oldest = u128::from(unix_now().saturating_sub(keep)) * 1_000;
		// A job's id begins with its time in milliseconds.
		self.outbox.forget_before(JobId(oldest << 80)).await
	}
}

/// Whether it has to be done again; the log says why.
fn has_failed(outcome: anyhow::Result<()>) -> bool {
	if let Err(error) = &outcome {
		let error = format!("{error:#}");
		tracing::error!(error, "webhooks wait: it could not be noted what is to be told");
	}
	outcome.is_err()
}

/// Returns once the order to stop was given.
async fn ordered(stop: &mut watch::Receiver<bool>) {
	// An error means that nobody is left to give it.
	let _ = stop.wait_for(|stop| *stop).await;
}

/// What was heard of the job book.
struct Heard {
	/// Jobs that have changed.
	jobs: Vec<JobId>,
	/// Whether others have, and nobody knows which.
	missed: bool,
}

/// Waits for changes; `missed`: only for a while, because something is to be tried again. `None` if there will be none any more.
async fn next(changes: &mut broadcast::Receiver<JobId>, missed: bool) -> Option<Heard> {
	let pause = if missed { RETRY } else { Duration::MAX };
	let mut heard = Heard { jobs: Vec::new(), missed: false };
	let first = tokio::select! {
		first = changes.recv() => first,
		() = tokio::time::sleep(pause) => return Some(heard),
	};
	match first {
		Ok(job) => heard.jobs.push(job),
		Err(RecvError::Lagged(_)) => heard.missed = true,
		Err(RecvError::Closed) => return None,
	}
	let mut known: HashSet<JobId> = heard.jobs.iter().copied().collect();
	while heard.jobs.len() < BATCH {
		match changes.try_recv() {
			Ok(job) if known.insert(job) => heard.jobs.push(job),
			Ok(_) => {},
			Err(TryRecvError::Lagged(_)) => heard.missed = true,
			Err(TryRecvError::Empty | TryRecvError::Closed) => break,
		}
	}
	Some(heard)
}

fn body(event: Event, now: SystemTime, job: JobView<'_>) -> serde_json::Result<String> {
	#[derive(Serialize)]
	struct Body<'a> {
		#[serde(rename = "type")]
		kind: String,
		timestamp: String,
		data: JobView<'a>,
	}
	let timestamp = humantime::format_rfc3339_millis(now).to_string();
	serde_json::to_string(&Body { kind: event.name(), timestamp, data: job })
}

/// Milliseconds of Unix time.
fn unix_millis() -> u64 {
	let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
	millis(since)
}

fn millis(time: Duration) -> u64 {
	u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
	use super::*;

	const EVENTS: [Event; 9] = [
		Event::Completed,
		Event::Failed,
		Event::Cancelled,
		Event::Expired,
		Event::Settled,
		Event::Refunded,
		Event::Burnt,
		Event::Overturned,
		Event::Void,
	];

	#[test]
	fn an_open_job_is_not_told_of_and_an_ended_one_by_state_and_settlement() {
		for state in [JobState::Queued, JobState::Assigned, JobState::Running] {
			for settlement in [Settlement::None, Settlement::Pending, Settlement::Disputed] {
				assert!(Event::of(state, settlement).is_empty());
			}
		}
		let pending = Event::of(JobState::Completed, Settlement::Pending);
		assert_eq!(pending, [Event::Completed]);
		let refunded = Event::of(JobState::Expired, Settlement::Refunded);
		assert_eq!(refunded, [Event::Expired, Event::Refunded]);
		// Paid, and the output still to come.
		assert_eq!(Event::of(JobState::Running, Settlement::Settled), [Event::Settled]);
	}

	#[test]
	fn each_event_has_a_name_an_id_and_a_bit_of_its_own() {
		let job = JobId(1);
		let bits = EVENTS.iter().fold(0, |bits, event| bits | event.bit());
		assert_eq!(bits, 0b1_1111_1111);
		let ids: HashSet<_> = EVENTS.iter().map(|event| event.id(job)).collect();
		let names: HashSet<_> = EVENTS.iter().map(|event| event.name()).collect();
		assert_eq!((ids.len(), names.len()), (EVENTS.len(), EVENTS.len()));
		// The parts of what is signed are separated by full stops.
		assert!(ids.iter().all(|id| !id.contains('.')));
		assert_eq!(Event::Void.name(), "job.void");
		assert_eq!(Event::Void.id(job), "msg_00000000000000000000000000000001_void");
	}

	#[tokio::test]
	async fn changes_are_taken_together_and_missed_ones_are_known_to_be() {
		let (sender, mut changes) = broadcast::channel(4);
		for job in [1, 2, 1] {
			sender.send(JobId(job)).unwrap();
		}
		let heard = next(&mut changes, false).await.unwrap();
		assert_eq!((heard.jobs, heard.missed), (vec![JobId(1), JobId(2)], false));
		for job in 0..9 {
			sender.send(JobId(job)).unwrap();
		}
		let heard = next(&mut changes, false).await.unwrap();
		assert!(heard.missed && heard.jobs.ends_with(&[JobId(8)]));
		drop(sender);
		assert!(next(&mut changes, false).await.is_none());
	}
}
