//! Brings events to their endpoints: what waits in the outbox, one attempt after the other.

use std::{
	collections::{BTreeMap, HashMap},
	future::Future,
	time::Duration,
};

use reqwest::{header, Client, Response, StatusCode};
use tokio::task::{Id, JoinError, JoinSet};

use super::{
	address::{self, Refused},
	millis,
	outbox::{News, Outbox, Place, Waiting},
	plan::Plan,
	sign::Secret,
	unix_millis,
};
use crate::{
	id::unix_now,
	keys::{KeyId, Webhook},
};

/// How many events may wait.
pub const MOST_WAITING: usize = 10_000;
/// An event that is older is not tried again, however few attempts it has had.
const OLDEST: Duration = Duration::from_secs(48 * 3_600);
/// The longest wait that an endpoint can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);
/// So much of an answer is read, so that its connection can be used again.
const ANSWER: usize = 4 << 10;
/// And for so long.
const ANSWER_TIME: Duration = Duration::from_secs(1);
/// The clock is looked at this often, in case it was set.
const LOOK: Duration = Duration::from_secs(60);
/// An event that could not be read is tried again after so long.
const UNREADABLE: Duration = Duration::from_secs(60);

/// The endpoint of a key, if it has one.
pub type Endpoints = Box<dyn Fn(KeyId) -> Option<Webhook> + Send + Sync>;

/// How events are sent.
pub struct Settings {
	/// Whether endpoints may be anywhere, and without TLS.
	pub private: bool,
	/// How long after an attempt has failed comes the next.
	pub delays: Vec<Duration>,
	/// How long an attempt may take.
	pub timeout: Duration,
	/// How long an endpoint rests after an attempt has failed; twice as long after each further one.
	pub rest: Duration,
	/// The longest that it rests.
	pub longest_rest: Duration,
	/// How many events may wait.
	pub most_waiting: usize,
	/// How many attempts are made at a time.
	pub at_a_time: usize,
}

impl Default for Settings {
	fn default() -> Self {
		const MINUTE: u64 = 60;
		const HOUR: u64 = 60 * MINUTE;
		let delays = [5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR];
		Self {
			private: false,
			delays: delays.map(Duration::from_secs).to_vec(),
			timeout: Duration::from_secs(15),
			rest: Duration::from_secs(5),
			longest_rest: Duration::from_secs(5 * MINUTE),
			most_waiting: MOST_WAITING,
			at_a_time: 4,
		}
	}
}

/// How an attempt ended.
#[derive(Debug)]
enum Outcome {
	Arrived,
	/// The endpoint wants no more.
	Gone,
	Failed {
		why: String,
		/// The endpoint is where it may not be.
		refused: bool,
		/// The endpoint asks to be left alone for so long.
		wait: Duration,
	},
}

impl Outcome {
	fn failed(why: impl Into<String>) -> Self {
		Self::Failed { why: why.into(), refused: false, wait: Duration::ZERO }
	}
}

/// An attempt that is under way.
struct Attempt {
	number: u64,
	event: Waiting,
	url: String,
}

/// Sends what waits.
pub struct Courier {
	outbox: Outbox,
	plan: Plan,
	endpoints: Endpoints,
	client: Client,
	settings: Settings,
	running: JoinSet<Outcome>,
	attempts: HashMap<Id, Attempt>,
	/// The endpoints that wanted no more, by key, with their address then.
	gone: HashMap<KeyId, String>,
}

impl Courier {
	/// Sends what waits in the outbox, and what will.
	pub fn new(
		outbox: Outbox,
		waiting: Vec<Place>,
		endpoints: Endpoints,
		settings: Settings,
	) -> anyhow::Result<Self> {
		let client = address::client(settings.private, address::system_lookup(), settings.timeout)?;
		let mut plan = Plan::default();
		// A clock that was wrong when they were put off may have put them off for years.
		let longest = settings.delays.iter().max().copied().unwrap_or_default() * 2;
		let latest = unix_millis().saturating_add(millis(longest.max(LONGEST_WAIT)));
		for place in waiting {
			plan.add(place.owner, place.number, place.due.min(latest));
		}
		let (running, attempts, gone) = (JoinSet::new(), HashMap::new(), HashMap::new());
		Ok(Self { outbox, plan, endpoints, client, settings, running, attempts, gone })
	}

	/// Whether anybody hears of this key's jobs. An endpoint that has had enough does, as far as the outbox is concerned: it is not to hear of them later.
	pub fn serves(&self, owner: KeyId) -> bool {
		(self.endpoints)(owner).is_some()
	}

	/// Notes news in the outbox and sends them as soon as it is their turn.
	pub async fn tell(&mut self, mut news: Vec<News>) -> anyhow::Result<()> {
		for news in &mut news {
			news.send &= self.endpoint(news.owner).is_some();
		}
		for place in self.outbox.tell(news, unix_millis()).await? {
			self.plan.add(place.owner, place.number, place.due);
		}
		let dropped = self.plan.drop_beyond(self.settings.most_waiting);
		let mut of: BTreeMap<KeyId, usize> = BTreeMap::new();
		for (owner, _) in &dropped {
			*of.entry(*owner).or_default() += 1;
		}
		for (owner, events) in of {
			tracing::error!(
				key = %owner, events,
				"WEBHOOK EVENTS WERE DROPPED: too many wait, most of them for this key's endpoint, and the oldest are never sent"
			);
			lost("dropped", events);
		}
		self.remove(dropped.into_iter().map(|(_, number)| number).collect()).await;
		Ok(())
	}

	/// Makes attempts until `until` is ready.
	pub async fn attend<T>(&mut self, until: impl Future<Output = T>) -> T {
		let mut until = std::pin::pin!(until);
		loop {
			self.start().await;
			::metrics::gauge!("cuckoo_webhooks_waiting").set(self.plan.events() as f64);
			let full = self.attempts.len() >= self.settings.at_a_time;
			let next = self.plan.next_at().filter(|_| !full);
			let pause = next.map(|at| Duration::from_millis(at.saturating_sub(unix_millis())));
			let pause = pause.unwrap_or(LOOK).clamp(Duration::from_millis(1), LOOK);
			tokio::select! {
				done = &mut until => return done,
				Some(ended) = self.running.join_next_with_id() => self.ended(ended).await,
				() = tokio::time::sleep(pause) => {},
			}
		}
	}

	/// Lets attempts that are under way go on for so long and makes no others. Those that do not end are made again after the next start.
	pub async fn finish(&mut self, within: Duration) {
		let all = async {
			while let Some(ended) = self.running.join_next_with_id().await {
				self.ended(ended).await;
			}
		};
		// The outbox knows what has not arrived.
		let _ = tokio::time::timeout(within, all).await;
		self.running.abort_all();
	}

	/// The endpoint of a key, unless it wants no more.
	fn endpoint(&self, owner: KeyId) -> Option<Webhook> {
		let endpoint = (self.endpoints)(owner)?;
		(self.gone.get(&owner) != Some(&endpoint.url)).then_some(endpoint)
	}

	/// Starts the attempts that are due.
	async fn start(&mut self) {
		while self.attempts.len() < self.settings.at_a_time {
			let now = unix_millis();
			let Some((owner, number)) = self.plan.take(now) else { return };
			let Some(endpoint) = self.endpoint(owner) else {
				tracing::warn!(key = %owner, "events wait for a key that has no webhook any more; they are dropped");
				self.forget(owner, "no_endpoint").await;
				continue;
			};
			match self.outbox.read(number).await {
				Ok(Some(event)) => {
					let url = endpoint.url.clone();
					let (client, private) = (self.client.clone(), self.settings.private);
					let sent = send(client, private, endpoint, event.clone());
					let id = self.running.spawn(sent).id();
					self.attempts.insert(id, Attempt { number, event, url });
				},
				Ok(None) => self.plan.failed(owner, None, now, |_| 0),
				Err(error) => {
					tracing::error!(%error, "an event that waits in the webhooks' outbox cannot be read");
					let again = now.saturating_add(millis(UNREADABLE));
					self.plan.failed(owner, Some(again), now, |_| 0);
				},
			}
		}
	}

	/// An attempt has ended.
	async fn ended(&mut self, ended: Result<(Id, Outcome), JoinError>) {
		let (id, outcome) = match ended {
			Ok(ended) => ended,
			Err(error) => (error.id(), Outcome::failed("the attempt was broken off")),
		};
		let Some(Attempt { number, event, url }) = self.attempts.remove(&id) else { return };
		let owner = event.owner;
		match outcome {
			Outcome::Arrived => {
				attempted("arrived");
				tracing::debug!(key = %owner, event = event.id, "a webhook arrived");
				self.plan.arrived(owner);
				self.remove(vec![number]).await;
			},
			Outcome::Gone => {
				attempted("gone");
				tracing::warn!(
					key = %owner,
					"the endpoint of this key answered 410: it hears no more until the coordinator is started again, or the key has another one"
				);
				self.gone.insert(owner, url);
				self.forget(owner, "gone").await;
			},
			Outcome::Failed { why, refused, wait } => {
				attempted(if refused { "refused" } else { "failed" });
				self.failed(number, event, &why, wait).await;
			},
		}
	}

	/// An attempt has failed: the event waits for the next, or was given up.
	async fn failed(&mut self, number: u64, event: Waiting, why: &str, wait: Duration) {
		let (owner, now) = (event.owner, unix_millis());
		let (first, longest) = (self.settings.rest, self.settings.longest_rest);
		let rest = |failures: u32| {
			let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(16));
			millis(doubled.min(longest).max(wait))
		};
		let failures = event.attempts.saturating_add(1);
		let too_old = unix_now().saturating_sub(event.told) > OLDEST.as_secs();
		let next = usize::try_from(event.attempts).ok();
		let delay = next.and_then(|next| self.settings.delays.get(next).copied());
		let Some(delay) = delay.filter(|_| !too_old) else {
			tracing::error!(
				key = %owner, event = event.id, attempts = failures, why,
				"a webhook was given up; the job can still be asked for"
			);
			lost("given_up", 1);
			self.plan.failed(owner, None, now, rest);
			return self.remove(vec![number]).await;
		};
		tracing::info!(
			key = %owner, event = event.id, attempts = failures, why,
			"a webhook has not arrived; it is sent again later"
		);
		// So that what failed together does not come again together.
		let delay = delay.mul_f64(1.0 + 0.2 * rand::random::<f64>()).max(wait);
		let due = now.saturating_add(millis(delay));
		self.plan.failed(owner, Some(due), now, rest);
		let event = Waiting { attempts: failures, due, ..event };
		if let Err(error) = self.outbox.update(number, event).await {
			tracing::warn!(%error, "an attempt could not be noted; after a restart it is made again");
		}
	}

	/// Nothing is sent to the endpoint of this key any more of what waits.
	async fn forget(&mut self, owner: KeyId, reason: &'static str) {
		let numbers = self.plan.forget(owner);
		lost(reason, numbers.len());
		self.remove(numbers).await;
	}

	async fn remove(&self, numbers: Vec<u64>) {
		if let Err(error) = self.outbox.remove(numbers).await {
			tracing::warn!(%error, "webhooks that are done could not be removed from the outbox; after a restart they are sent again");
		}
	}
}

fn attempted(outcome: &'static str) {
	::metrics::counter!("cuckoo_webhooks_total", "outcome" => outcome).increment(1);
}

fn lost(reason: &'static str, events: usize) {
	::metrics::counter!("cuckoo_webhooks_lost_total", "reason" => reason).increment(events as u64);
}

/// One attempt. What it says of a failure holds no part of the address but its host's number: there are secrets in addresses.
async fn send(client: Client, private: bool, endpoint: Webhook, event: Waiting) -> Outcome {
	let url = match address::check(&endpoint.url, private) {
		Ok(url) => url,
		Err(error) => {
			let (why, wait) = (error.to_string(), Duration::ZERO);
			return Outcome::Failed { why, refused: true, wait };
		},
	};
	let Some(secret) = Secret::parse(&endpoint.secret) else {
		return Outcome::failed(
			"the webhook's secret is none: it is whsec_ and 24 to 64 bytes in base64",
		);
	};
	// Of the attempt: a receiver refuses what is old.
	let time = unix_now();
	let signature = secret.sign(&event.id, time, &event.body);
	let request = client
		.post(url)
		.header(header::CONTENT_TYPE, "application/json")
		.header("webhook-id", event.id)
		.header("webhook-timestamp", time.to_string())
		.header("webhook-signature", signature)
		.body(event.body);
	match request.send().await {
		Ok(answer) => judge(answer).await,
		Err(error) => {
			let refused = Refused::is_cause(&error);
			let why = format!("{:#}", anyhow::Error::new(error.without_url()));
			Outcome::Failed { why, refused, wait: Duration::ZERO }
		},
	}
}

/// What an answer means.
async fn judge(mut answer: Response) -> Outcome {
	let status = answer.status();
	let outcome = if status.is_success() {
		Outcome::Arrived
	} else if status == StatusCode::GONE {
		Outcome::Gone
	} else {
		let wait = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
		let wait = wait.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
		let wait = wait.unwrap_or_default().min(LONGEST_WAIT);
		Outcome::Failed { why: format!("the answer was {status}"), refused: false, wait }
	};
	// A connection of which an answer was read to its end can be used again; one with a longer answer is closed.
	let read = async {
		let mut left = ANSWER;
		while let Ok(Some(part)) = answer.chunk().await {
			match left.checked_sub(part.len()) {
				Some(rest) => left = rest,
				None => break,
			}
		}
	};
	// Whatever comes after the status changes nothing.
	let _ = tokio::time::timeout(ANSWER_TIME, read).await;
	outcome
}

#[cfg(test)]
mod tests;
