//! The outbox: what was told of each job, and the events that have not arrived yet, on disk.
//!
//! One redb file beside the job book. An event and the note that it was told are written together, before the event is sent for the first time; it is
//! removed when it has arrived. So a crash loses none, and repeats at most the one that was under way, with the same id.

use std::{
	path::Path,
	sync::{
		atomic::{AtomicU64, Ordering},
		Arc,
	},
};

use redb::{ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};

use super::Event;
use crate::{id::JobId, keys::KeyId, store::Store};

/// Which events of a job were told, a bit for each.
const TOLD: TableDefinition<u128, u16> = TableDefinition::new("told");
/// The events that wait, by number, as JSON.
const WAITING: TableDefinition<u64, &[u8]> = TableDefinition::new("waiting");

/// An event on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
	/// Its id, the same in every attempt.
	pub id: String,
	/// The key whose endpoint it goes to.
	pub owner: KeyId,
	/// What is sent.
	pub body: String,
	/// When it was told, in seconds of Unix time.
	pub told: u64,
	/// How many attempts have failed.
	pub attempts: u32,
	/// When the next attempt is due, in milliseconds of Unix time.
	pub due: u64,
}

/// What has become of a job.
#[derive(Clone, Debug)]
pub struct News {
	/// The job.
	pub job: JobId,
	/// The key whose endpoint hears of it.
	pub owner: KeyId,
	/// Each event with its body; those that were told before are left out.
	pub events: Vec<(Event, String)>,
	/// Whether they are to be sent, and not only noted as told.
	pub send: bool,
}

/// Where an event that waits stands in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Place {
	/// Its number; it is not in what is stored, but is its key.
	#[serde(skip)]
	pub number: u64,
	/// The key whose endpoint it goes to.
	pub owner: KeyId,
	/// When the next attempt is due, in milliseconds of Unix time.
	pub due: u64,
}

/// The outbox; clones share it.
#[derive(Clone)]
pub struct Outbox {
	inner: Arc<Inner>,
}

struct Inner {
	store: Store,
	/// No number is given twice while the process runs.
	next: AtomicU64,
}

impl Outbox {
	/// Opens the outbox in this file, or starts one. Returns what waits, by number.
	pub fn open(path: &Path) -> anyhow::Result<(Self, Vec<Place>)> {
		let store = Store::open(path)?;
		let txn = store.write()?;
		txn.open_table(TOLD)?;
		txn.open_table(WAITING)?;
		store.commit(txn)?;

		let mut places = Vec::new();
		for entry in store.read()?.open_table(WAITING)?.iter()? {
			let (number, event) = entry?;
			let place: Place = serde_json::from_slice(event.value())?;
			places.push(Place { number: number.value(), ..place });
		}
		let next = places.last().map_or(0, |place| place.number + 1);
		Ok((Self { inner: Arc::new(Inner { store, next: next.into() }) }, places))
	}

	/// Of these jobs, each with the bits of the events that should have been told by now, those of which one was not.
	pub async fn untold(&self, jobs: Vec<(JobId, u16)>) -> anyhow::Result<Vec<JobId>> {
		self.blocking(move |inner| {
			let told = inner.store.read()?.open_table(TOLD)?;
			let mut untold = Vec::new();
			for (job, due) in jobs {
				let bits = told.get(job.0)?.map_or(0, |bits| bits.value());
				if due & !bits != 0 {
					untold.push(job);
				}
			}
			Ok(untold)
		})
		.await
	}

	/// Notes that events were told, and keeps them until they have arrived; those that were told before are left out. `now` is the time in milliseconds of
	/// Unix time. Returns what waits from now on.
	pub async fn tell(&self, news: Vec<News>, now: u64) -> anyhow::Result<Vec<Place>> {
		let bits = |news: &News| news.events.iter().fold(0, |bits, (event, _)| bits | event.bit());
		let jobs = news.iter().map(|news| (news.job, bits(news))).collect();
		// Most changes of a job are none that is told, and a write waits for the disk.
		if self.untold(jobs).await?.is_empty() {
			return Ok(Vec::new());
		}
		self.blocking(move |inner| inner.tell(news, now)).await
	}

	/// An event that waits.
	pub async fn read(&self, number: u64) -> anyhow::Result<Option<Waiting>> {
		self.blocking(move |inner| {
			let waiting = inner.store.read()?.open_table(WAITING)?;
			let event = waiting.get(number)?;
			Ok(event.map(|event| serde_json::from_slice(event.value())).transpose()?)
		})
		.await
	}

	/// Writes an event that waits again, if it still does.
	pub async fn update(&self, number: u64, event: Waiting) -> anyhow::Result<()> {
		self.blocking(move |inner| {
			let txn = inner.store.write()?;
			{
				let mut waiting = txn.open_table(WAITING)?;
				if waiting.get(number)?.is_some() {
					waiting.insert(number, serde_json::to_vec(&event)?.as_slice())?;
				}
			}
			Ok(inner.store.commit(txn)?)
		})
		.await
	}

	/// These wait no more.
	pub async fn remove(&self, numbers: Vec<u64>) -> anyhow::Result<()> {
		if numbers.is_empty() {
			return Ok(());
		}
		self.blocking(move |inner| {
			let txn = inner.store.write()?;
			{
				let mut waiting = txn.open_table(WAITING)?;
				for number in numbers {
					waiting.remove(number)?;
				}
			}
			Ok(inner.store.commit(txn)?)
		})
		.await
	}

	/// Forgets what was told of jobs that are older than this one would be.
	pub async fn forget_before(&self, oldest: JobId) -> anyhow::Result<()> {
		self.blocking(move |inner| {
			let txn = inner.store.write()?;
			{
				let mut told = txn.open_table(TOLD)?;
				told.retain_in(..oldest.0, |_, _| false)?;
			}
			Ok(inner.store.commit(txn)?)
		})
		.await
	}

	/// The disk can be slow.
	async fn blocking<T: Send + 'static>(
		&self,
		work: impl FnOnce(&Inner) -> anyhow::Result<T> + Send + 'static,
	) -> anyhow::Result<T> {
		let inner = self.inner.clone();
		tokio::task::spawn_blocking(move || {
			// Whatever it was: to open the file anew does no harm.
			work(&inner).inspect_err(|_| inner.store.fail())
		})
		.await?
	}
}

impl Inner {
	fn tell(&self, news: Vec<News>, now: u64) -> anyhow::Result<Vec<Place>> {
		let txn = self.store.write()?;
		let mut places = Vec::new();
		{
			let mut told = txn.open_table(TOLD)?;
			let mut waiting = txn.open_table(WAITING)?;
			for News { job, owner, events, send } in news {
				let mut bits = told.get(job.0)?.map_or(0, |bits| bits.value());
				for (event, body) in events {
					if bits & event.bit() != 0 {
						continue;
					}
					bits |= event.bit();
					if !send {
						continue;
					}
					let number = self.next.fetch_add(1, Ordering::Relaxed);
					let id = event.id(job);
					let event =
						Waiting { id, owner, body, told: now / 1_000, attempts: 0, due: now };
					waiting.insert(number, serde_json::to_vec(&event)?.as_slice())?;
					places.push(Place { number, owner, due: now });
				}
				told.insert(job.0, bits)?;
			}
		}
		self.store.commit(txn)?;
		Ok(places)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	const OWNER: KeyId = KeyId(7);

	fn news(job: JobId, events: &[Event]) -> News {
		let events = events.iter().map(|event| (*event, event.name())).collect();
		News { job, owner: OWNER, events, send: true }
	}

	#[tokio::test]
	async fn an_event_is_told_once_and_waits_through_a_restart() {
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("webhooks.redb");
		let (outbox, waiting) = Outbox::open(&path).unwrap();
		assert!(waiting.is_empty());
		let (job, done) = (JobId::random(), [Event::Completed]);
		let places = outbox.tell(vec![news(job, &done)], 5_000).await.unwrap();
		assert_eq!(places, [Place { number: 0, owner: OWNER, due: 5_000 }]);
		// The same change is seen again, and then one more.
		assert!(outbox.tell(vec![news(job, &done)], 6_000).await.unwrap().is_empty());
		let both = [Event::Completed, Event::Settled];
		let second = outbox.tell(vec![news(job, &both)], 7_000).await.unwrap();
		assert_eq!(second.len(), 1);
		let put_off = Waiting { attempts: 1, due: 9_000, ..outbox.read(0).await.unwrap().unwrap() };
		outbox.update(0, put_off.clone()).await.unwrap();

		drop(outbox);
		let (outbox, waiting) = Outbox::open(&path).unwrap();
		assert_eq!(waiting, [Place { number: 0, owner: OWNER, due: 9_000 }, second[0]]);
		assert_eq!(outbox.read(0).await.unwrap(), Some(put_off));
		let settled = outbox.read(second[0].number).await.unwrap().unwrap();
		assert_eq!(settled.id, format!("msg_{:032x}_settled", job.0));
		assert_eq!((settled.body.as_str(), settled.told), ("job.settled", 7));
		assert!(outbox.tell(vec![news(job, &both)], 8_000).await.unwrap().is_empty());
	}

	#[tokio::test]
	async fn what_has_arrived_is_gone_and_its_number_is_not_given_again() {
		let dir = tempfile::tempdir().unwrap();
		let (outbox, _) = Outbox::open(&dir.path().join("webhooks.redb")).unwrap();
		let (first, second) = (JobId::random(), JobId::random());
		outbox.tell(vec![news(first, &[Event::Failed])], 0).await.unwrap();
		outbox.remove(vec![0]).await.unwrap();
		assert_eq!(outbox.read(0).await.unwrap(), None);
		let places = outbox.tell(vec![news(second, &[Event::Failed])], 0).await.unwrap();
		assert_eq!(places[0].number, 1);
		// An attempt that ends after its event was dropped brings nothing back.
		let gone = outbox.read(1).await.unwrap().unwrap();
		outbox.remove(vec![1]).await.unwrap();
		outbox.update(1, gone).await.unwrap();
		assert_eq!(outbox.read(1).await.unwrap(), None);
	}

	#[tokio::test]
	async fn what_is_only_noted_does_not_wait_and_is_not_told_later() {
		let dir = tempfile::tempdir().unwrap();
		let (outbox, _) = Outbox::open(&dir.path().join("webhooks.redb")).unwrap();
		let job = JobId::random();
		let noted = News { send: false, ..news(job, &[Event::Completed]) };
		assert!(outbox.tell(vec![noted], 0).await.unwrap().is_empty());
		assert!(outbox.tell(vec![news(job, &[Event::Completed])], 0).await.unwrap().is_empty());
	}

	#[tokio::test]
	async fn it_knows_what_was_not_told_until_that_is_forgotten() {
		let dir = tempfile::tempdir().unwrap();
		let (outbox, _) = Outbox::open(&dir.path().join("webhooks.redb")).unwrap();
		let (old, new) = (JobId(5), JobId(9));
		let done = Event::Completed.bit();
		outbox.tell(vec![news(old, &[Event::Completed])], 0).await.unwrap();
		let asked = vec![(old, done), (new, done), (new, 0)];
		assert_eq!(outbox.untold(asked).await.unwrap(), [new]);
		let more = vec![(old, done | Event::Void.bit())];
		assert_eq!(outbox.untold(more).await.unwrap(), [old]);
		outbox.forget_before(JobId(6)).await.unwrap();
		assert_eq!(outbox.untold(vec![(old, done)]).await.unwrap(), [old]);
	}
}
