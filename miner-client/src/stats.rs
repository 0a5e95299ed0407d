//! What each device has done of late: counts for the table, `/status` and `/metrics`.
//!
//! Counts are of inferences, since the program began; rates and shares of the last minute; times of the last hundred inferences. What is kept does not grow
//! with time: a minute is sixty numbers. The arithmetic is in `Book`, which is told what time it is.

use std::{
	collections::{BTreeMap, VecDeque},
	iter::Sum,
	ops::AddAssign,
	sync::{Arc, Mutex, MutexGuard, PoisonError},
	time::{Duration, Instant},
};

use cuckoo_primitives::{Balance, ModelId};
use serde::Serialize;

/// Over how many seconds rates and shares are told.
const WINDOW: u64 = 60;
/// How many times are kept for percentiles.
const TIMES: usize = 100;

/// What a device has done with one model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelStats {
	/// The model.
	pub model: ModelId,
	/// Inferences done.
	pub done: u64,
	/// Inferences that failed, each attempt counted.
	pub failed: u64,
	/// Inferences done in the last minute.
	pub per_minute: u64,
	/// What half of the last hundred took at most, in milliseconds.
	pub p50_ms: Option<f64>,
	/// What 95 % of the last hundred took at most, in milliseconds.
	pub p95_ms: Option<f64>,
}

/// What a device has done, and has to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DeviceStats {
	/// The device's number, that of the settings.
	pub device: i32,
	/// What its worker runs models on, in words; empty until it has said so.
	pub provider: String,
	/// The models that its worker has opened.
	pub loaded: Vec<ModelId>,
	/// Inferences done.
	pub done: u64,
	/// Inferences that failed, each attempt counted.
	pub failed: u64,
	/// Inferences done in the last minute.
	pub per_minute: u64,
	/// For which part of the last minute it had an inference to run, from 0 to 1.
	pub busy: f64,
	/// Jobs that it has, the one that runs included.
	pub queue: usize,
	/// How often its worker process was begun anew.
	pub restarts: u64,
	/// The same by model.
	pub models: Vec<ModelStats>,
}

/// Counts what the devices do. Can be shared by threads.
pub struct Stats {
	start: Instant,
	book: Mutex<Book>,
}

impl Stats {
	/// For these devices, by their numbers in the settings.
	pub fn new(devices: &[i32]) -> Self {
		let devices = devices.iter().map(|device| (*device, Device::default())).collect();
		Self { start: Instant::now(), book: Mutex::new(Book { devices, earned: 0 }) }
	}

	/// A device's worker has said what it runs models on.
	pub fn runs_on(&self, device: i32, provider: &str) {
		self.with(|book, _| provider.clone_into(&mut book.device(device).provider));
	}

	/// A device's worker has opened a model.
	pub fn loaded(&self, device: i32, model: ModelId) {
		self.with(|book, _| book.device(device).loaded(model));
	}

	/// A device was given an inference. The device is busy until its end is told.
	pub fn begun(self: &Arc<Self>, device: i32, model: ModelId) -> Begun {
		self.with(|book, now| book.device(device).begun(now, model));
		Begun { stats: self.clone(), device, model, over: false }
	}

	/// How often a device's worker was begun anew, altogether.
	pub fn restarts(&self, device: i32, total: u64) {
		self.with(|book, _| book.device(device).restarts = total);
	}

	/// How many jobs a device has, the one that runs included.
	pub fn queued(&self, device: i32, jobs: usize) {
		self.with(|book, _| book.device(device).queue = jobs);
	}

	/// The chain has paid for a task, in planck.
	pub fn earned(&self, planck: Balance) {
		self.with(|book, _| book.earned = book.earned.saturating_add(planck));
	}

	/// All that was earned since the program began, in planck.
	pub fn earnings(&self) -> Balance {
		self.with(|book, _| book.earned)
	}

	/// All devices as of now, in the order of their numbers.
	pub fn snapshot(&self) -> Vec<DeviceStats> {
		self.with(|book, now| book.snapshot(now))
	}

	fn with<R>(&self, act: impl FnOnce(&mut Book, Duration) -> R) -> R {
		let mut book = self.lock();
		// With the lock held, so that time never runs backwards for the book.
		let now = self.start.elapsed();
		act(&mut book, now)
	}

	fn lock(&self) -> MutexGuard<'_, Book> {
		// Plain counts: whoever panicked while holding them left nothing half done.
		self.book.lock().unwrap_or_else(PoisonError::into_inner)
	}
}

/// An inference under way. Dropped without a word it was given up: nobody wants it any more.
#[must_use = "dropped at once, the inference was given up"]
pub struct Begun {
	stats: Arc<Stats>,
	device: i32,
	model: ModelId,
	over: bool,
}

impl Begun {
	/// It is done. `seconds` is how long it took on the device.
	pub fn done(mut self, seconds: f64) {
		self.end(|device, now, model| device.done(now, model, seconds));
	}

	/// It has failed; another attempt may follow.
	pub fn failed(mut self) {
		self.end(|device, now, model| device.failed(now, model));
	}

	fn end(&mut self, act: impl FnOnce(&mut Device, Duration, ModelId)) {
		self.over = true;
		self.stats.with(|book, now| act(book.device(self.device), now, self.model));
	}
}

impl Drop for Begun {
	fn drop(&mut self) {
		if !self.over {
			self.end(|device, now, _| device.ended(now));
		}
	}
}

/// Something added up over each of the last seconds.
#[derive(Default)]
struct Minute<T>(VecDeque<(u64, T)>);

impl<T: AddAssign + Copy + Sum> Minute<T> {
	/// Adds to a second, which is not before the last one that was added to.
	fn add(&mut self, second: u64, what: T) {
		match self.0.back_mut() {
			Some((last, sum)) if *last >= second => *sum += what,
			_ => self.0.push_back((second, what)),
		}
		if self.0.len() as u64 > WINDOW {
			self.0.pop_front();
		}
	}

	/// The sum over this second and the 59 before it.
	fn sum(&self, second: u64) -> T {
		self.0.iter().filter(|(at, _)| at + WINDOW > second).map(|(_, what)| *what).sum()
	}
}

#[derive(Default)]
struct Model {
	done: u64,
	failed: u64,
	minute: Minute<u64>,
	/// Seconds, the latest last.
	times: VecDeque<f64>,
}

impl Model {
	fn stats(&self, model: ModelId, now: Duration) -> ModelStats {
		let mut times: Vec<f64> = self.times.iter().copied().collect();
		times.sort_by(f64::total_cmp);
		let ms = |part| percentile(&times, part).map(|seconds| seconds * 1e3);
		ModelStats {
			model,
			done: self.done,
			failed: self.failed,
			per_minute: self.minute.sum(now.as_secs()),
			p50_ms: ms(0.5),
			p95_ms: ms(0.95),
		}
	}
}

/// The least of these sorted values that this part of them does not exceed.
fn percentile(sorted: &[f64], part: f64) -> Option<f64> {
	let rank = (part * sorted.len() as f64).ceil() as usize;
	sorted.get(rank.saturating_sub(1)).copied()
}

#[derive(Default)]
struct Device {
	provider: String,
	loaded: Vec<ModelId>,
	models: BTreeMap<ModelId, Model>,
	queue: usize,
	restarts: u64,
	/// Inferences under way.
	running: u32,
	/// Until when `busy` is told.
	told: Duration,
	busy: Minute<Duration>,
}

impl Device {
	fn loaded(&mut self, model: ModelId) {
		if !self.loaded.contains(&model) {
			self.loaded.push(model);
		}
		// It has its row before its first inference.
		self.models.entry(model).or_default();
	}

	fn begun(&mut self, now: Duration, model: ModelId) {
		self.advance(now);
		self.running += 1;
		self.models.entry(model).or_default();
	}

	fn done(&mut self, now: Duration, model: ModelId, seconds: f64) {
		self.ended(now);
		let model = self.models.entry(model).or_default();
		model.done += 1;
		model.minute.add(now.as_secs(), 1);
		model.times.push_back(seconds);
		if model.times.len() > TIMES {
			model.times.pop_front();
		}
	}

	fn failed(&mut self, now: Duration, model: ModelId) {
		self.ended(now);
		self.models.entry(model).or_default().failed += 1;
	}

	fn ended(&mut self, now: Duration) {
		self.advance(now);
		self.running = self.running.saturating_sub(1);
	}

	/// Counts the time until now as busy, if there was something to run.
	fn advance(&mut self, now: Duration) {
		// What lies further back does not count any more.
		let mut from = self.told.max(now.saturating_sub(Duration::from_secs(WINDOW)));
		self.told = now;
		while self.running > 0 && from < now {
			let second = from.as_secs();
			let to = now.min(Duration::from_secs(second + 1));
			self.busy.add(second, to - from);
			from = to;
		}
	}

	fn stats(&mut self, device: i32, now: Duration) -> DeviceStats {
		self.advance(now);
		let models: Vec<ModelStats> =
			self.models.iter().map(|(id, model)| model.stats(*id, now)).collect();
		DeviceStats {
			device,
			provider: self.provider.clone(),
			loaded: self.loaded.clone(),
			done: models.iter().map(|model| model.done).sum(),
			failed: models.iter().map(|model| model.failed).sum(),
			per_minute: models.iter().map(|model| model.per_minute).sum(),
			busy: self.busy(now),
			queue: self.queue,
			restarts: self.restarts,
			models,
		}
	}

	/// Of the time that the sum covers: the present second has only begun, and so may have the program.
	fn busy(&self, now: Duration) -> f64 {
		let first = (now.as_secs() + 1).saturating_sub(WINDOW);
		let covered = now.saturating_sub(Duration::from_secs(first)).as_secs_f64();
		if covered > 0.0 {
			(self.busy.sum(now.as_secs()).as_secs_f64() / covered).min(1.0)
		} else {
			0.0
		}
	}
}

/// The counts themselves. Times are since the program began.
struct Book {
	devices: BTreeMap<i32, Device>,
	earned: Balance,
}

impl Book {
	fn device(&mut self, device: i32) -> &mut Device {
		self.devices.entry(device).or_default()
	}

	fn snapshot(&mut self, now: Duration) -> Vec<DeviceStats> {
		self.devices.iter_mut().map(|(number, device)| device.stats(*number, now)).collect()
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn s(seconds: f64) -> Duration {
		Duration::from_secs_f64(seconds)
	}

	/// An inference from `begin` to `end`.
	fn run(device: &mut Device, begin: f64, end: f64) {
		device.begun(s(begin), 1);
		device.done(s(end), 1, end - begin);
	}

	fn close(found: f64, expected: f64) {
		assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
	}

	#[test]
	fn rates_are_of_the_last_minute() {
		let mut device = Device::default();
		for second in 0..90 {
			run(&mut device, f64::from(second), f64::from(second) + 0.5);
		}
		let stats = device.stats(0, s(90.0));
		assert_eq!((stats.done, stats.per_minute, stats.failed), (90, 59, 0));
		assert_eq!(device.stats(0, s(89.9)).per_minute, 60);
		let later = device.stats(0, s(120.0));
		assert_eq!((later.done, later.per_minute), (90, 29));
		assert_eq!(device.stats(0, s(3600.0)).per_minute, 0);
	}

	#[test]
	fn a_busy_device_is_busy_and_an_idle_one_idle() {
		let mut device = Device::default();
		close(device.stats(0, s(0.0)).busy, 0.0);
		run(&mut device, 0.0, 0.5);
		close(device.stats(0, s(1.0)).busy, 0.5);
		// Under way for longer than a minute.
		device.begun(s(2.0), 1);
		close(device.stats(0, s(200.0)).busy, 1.0);
		device.failed(s(200.0), 1);
		// The seconds from 171 on, of which 200 and those after it were idle.
		close(device.stats(0, s(230.5)).busy, 29.0 / 59.5);
		close(device.stats(0, s(300.0)).busy, 0.0);
	}

	#[test]
	fn inferences_side_by_side_count_once() {
		let mut device = Device::default();
		device.begun(s(0.0), 1);
		device.begun(s(1.0), 2);
		device.done(s(2.0), 1, 2.0);
		device.ended(s(3.0));
		close(device.stats(0, s(6.0)).busy, 0.5);
		// One end too many does no harm.
		device.ended(s(6.0));
		run(&mut device, 6.0, 12.0);
		close(device.stats(0, s(12.0)).busy, 0.75);
	}

	#[test]
	fn percentiles_are_of_the_last_hundred() {
		assert_eq!(percentile(&[], 0.5), None);
		assert_eq!(percentile(&[3.0], 0.95), Some(3.0));
		assert_eq!(percentile(&[1.0, 2.0], 0.5), Some(1.0));
		let mut device = Device::default();
		(0..50).for_each(|_| device.done(s(0.0), 7, 1000.0));
		(1..=100).rev().for_each(|ms| device.done(s(1.0), 7, f64::from(ms) / 1e3));
		let stats = device.stats(0, s(1.0));
		close(stats.models[0].p50_ms.unwrap(), 50.0);
		close(stats.models[0].p95_ms.unwrap(), 95.0);
		assert_eq!(stats.models[0].done, 150);
	}

	#[test]
	fn what_is_kept_does_not_grow() {
		let mut device = Device::default();
		for step in 0..20_000 {
			run(&mut device, f64::from(step) * 0.1, f64::from(step) * 0.1 + 0.05);
		}
		let model = &device.models[&1];
		assert!(model.times.len() <= TIMES && model.minute.0.len() as u64 <= WINDOW);
		assert!(device.busy.0.len() as u64 <= WINDOW);
		let stats = device.stats(0, s(2000.0));
		assert!((590..=600).contains(&stats.per_minute), "{stats:?}");
		assert!((stats.busy - 0.5).abs() < 0.01, "{stats:?}");
	}

	#[test]
	fn devices_and_models_are_told_apart() {
		let stats = Arc::new(Stats::new(&[1, 0]));
		stats.runs_on(0, "CUDA device 0");
		stats.loaded(0, 4);
		stats.loaded(0, 4);
		stats.begun(1, 3).done(0.25);
		stats.begun(1, 5).failed();
		drop(stats.begun(1, 5));
		stats.restarts(1, 2);
		stats.queued(1, 6);
		stats.earned(40);
		stats.earned(2);
		let [first, second] = &stats.snapshot()[..] else { panic!("not two devices") };
		assert_eq!((first.device, first.provider.as_str()), (0, "CUDA device 0"));
		assert_eq!((&first.loaded[..], first.done, first.models.len()), (&[4][..], 0, 1));
		assert_eq!((first.models[0].model, first.models[0].p50_ms), (4, None));
		assert_eq!((second.device, second.done, second.failed), (1, 1, 1));
		assert_eq!((second.queue, second.restarts, second.per_minute), (6, 2, 1));
		assert_eq!(second.models.iter().map(|m| m.model).collect::<Vec<_>>(), [3, 5]);
		assert_eq!(stats.earnings(), 42);
		let mut book = stats.lock();
		assert_eq!(book.device(1).running, 0);
		drop(book);
		let _running = stats.begun(1, 5);
		assert_eq!(stats.lock().device(1).running, 1);
	}

	#[test]
	fn who_panicked_with_the_counts_in_hand_does_not_end_them() {
		let stats = Stats::new(&[0]);
		let panicked = std::thread::scope(|scope| {
			scope.spawn(|| stats.with(|book, _| assert_eq!(book.earned, 7))).join()
		});
		assert!(panicked.is_err());
		stats.earned(1);
		assert_eq!(stats.earnings(), 1);
	}
}
