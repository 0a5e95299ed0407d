//! What is counted, for Prometheus.
//!
//! A label is a model's number, a device's number, or one of a few words, and never a task: what is kept does not grow with the work done.

use std::{
	fs,
	time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use cuckoo_primitives::{Balance, ModelId, CAI};
use metrics::{
	counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram, Counter,
};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use crate::{gpu::Gpu, stats::DeviceStats};

const TASKS: &str = "cuckoo_miner_tasks_total";
const SECONDS: &str = "cuckoo_miner_task_seconds";
const INFERENCES: &str = "cuckoo_miner_inferences_total";
const BUSY: &str = "cuckoo_miner_busy_ratio";
const QUEUE: &str = "cuckoo_miner_queue_depth";
const RESTARTS: &str = "cuckoo_miner_worker_restarts_total";
const GPU_MEMORY: &str = "cuckoo_miner_gpu_memory_bytes";
const GPU_MEMORY_SIZE: &str = "cuckoo_miner_gpu_memory_size_bytes";
const GPU_TEMPERATURE: &str = "cuckoo_miner_gpu_temperature_celsius";
const GPU_POWER: &str = "cuckoo_miner_gpu_power_watts";
const GPU_UTILIZATION: &str = "cuckoo_miner_gpu_utilization";
const TRANSACTIONS: &str = "cuckoo_miner_transactions_total";
const REWARDS: &str = "cuckoo_miner_rewards_microcai_total";
const RECONNECTS: &str = "cuckoo_miner_rpc_reconnects_total";
const ONLINE: &str = "cuckoo_miner_online";
const READY: &str = "cuckoo_miner_ready";
const SEATS: &str = "cuckoo_miner_seats";
const BLOCK: &str = "cuckoo_miner_block";
const JOURNAL: &str = "cuckoo_miner_journal_records";
const INFO: &str = "cuckoo_miner_info";
const START: &str = "process_start_time_seconds";
const MEMORY: &str = "process_resident_memory_bytes";
const FILES: &str = "process_open_fds";

/// What grows, and what it is.
const COUNTERS: [(&str, &str); 6] = [
	(TASKS, "Tasks that ended, by model and outcome: settled, missed, failed"),
	(INFERENCES, "Inferences by device, model and outcome: done, failed (each attempt)"),
	(RESTARTS, "How often a device's worker process was begun anew"),
	(TRANSACTIONS, "Transactions, by call and outcome: included, failed"),
	(REWARDS, "What the chain paid for tasks since the program began, in millionths of a CAI"),
	(RECONNECTS, "How often the connection to a node was made anew, or another node was chosen"),
];

/// What goes up and down, and what it is.
const GAUGES: [(&str, &str); 16] = [
	(BUSY, "For which part of the last minute a device had an inference to run, 0 to 1"),
	(QUEUE, "Jobs that a device has, the one that runs included"),
	(GPU_MEMORY, "Memory of a GPU in use, by anybody"),
	(GPU_MEMORY_SIZE, "All memory of a GPU"),
	(GPU_TEMPERATURE, "How hot a GPU is"),
	(GPU_POWER, "What a GPU draws"),
	(GPU_UTILIZATION, "For which part of the last second or so a GPU did something, 0 to 1"),
	(ONLINE, "1 while the chain may draw this miner"),
	(READY, "1 while /readyz says so"),
	(SEATS, "Seats now"),
	(BLOCK, "The last best block in which the seats were seen"),
	(
		JOURNAL,
		"Results in the journal, by whether their coordinator has them: delivered, undelivered",
	),
	(INFO, "1, with the version, ONNX Runtime's library and what models run on as labels"),
	(START, "When this process began, in seconds since 1970"),
	(MEMORY, "Memory that this process takes, without its workers"),
	(FILES, "Files, sockets and pipes that this process has open"),
];

/// Starts counting. What is counted before is lost.
pub fn install() -> Result<PrometheusHandle> {
	let handle = builder().and_then(PrometheusBuilder::install_recorder);
	let handle = handle.context("cannot start the metrics")?;
	describe();
	Ok(handle)
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
	PrometheusBuilder::new()
		.set_buckets(&[0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0])
}

fn describe() {
	for (name, help) in COUNTERS {
		describe_counter!(name, help);
	}
	for (name, help) in GAUGES {
		describe_gauge!(name, help);
	}
	describe_histogram!(
		SECONDS,
		"Seconds of each stage, by model: fetch, infer, upload, commit, reveal"
	);
	if let Ok(since) = SystemTime::now().duration_since(UNIX_EPOCH) {
		gauge!(START).set(since.as_secs_f64());
	}
}

/// How a task ended for this miner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
	/// Shown and paid.
	Settled,
	/// The deadline passed first, or somebody else got it.
	Missed,
	/// It could not be computed.
	Failed,
}

impl Outcome {
	const ALL: [Self; 3] = [Self::Settled, Self::Missed, Self::Failed];

	fn name(self) -> &'static str {
		match self {
			Self::Settled => "settled",
			Self::Missed => "missed",
			Self::Failed => "failed",
		}
	}
}

fn tasks(model: ModelId, outcome: Outcome) -> Counter {
	counter!(TASKS, "model" => model.to_string(), "outcome" => outcome.name())
}

/// A task ended.
pub fn task_ended(model: ModelId, outcome: Outcome) {
	tasks(model, outcome).increment(1);
}

/// This model is served. Its tasks are counted from 0: of a count that comes into the world as 1, Prometheus sees no increase.
pub(crate) fn served(model: ModelId) {
	for outcome in Outcome::ALL {
		tasks(model, outcome).absolute(0);
	}
}

/// A stage of a task took so long.
pub fn stage(model: ModelId, stage: &'static str, seconds: f64) {
	histogram!(SECONDS, "model" => model.to_string(), "stage" => stage).record(seconds);
}

/// A transaction went through or not.
pub fn transaction(call: &'static str, through: bool) {
	let outcome = if through { "included" } else { "failed" };
	counter!(TRANSACTIONS, "call" => call, "outcome" => outcome).increment(1);
}

/// How often a connection to a node was made anew, or another node was chosen, altogether.
pub fn rpc_reconnects(total: u64) {
	counter!(RECONNECTS).absolute(total);
}

/// Whether the chain may draw this miner.
pub fn online(online: bool) {
	gauge!(ONLINE).set(number(online));
}

/// Whether `/readyz` says so.
pub(crate) fn ready(ready: bool) {
	gauge!(READY).set(number(ready));
}

/// What was seen in a block.
pub fn seats(block: u32, seats: usize) {
	gauge!(BLOCK).set(f64::from(block));
	gauge!(SEATS).set(seats as f64);
}

/// How many results the journal holds, and how many of them wait to be delivered.
pub fn journal(kept: usize, undelivered: usize) {
	gauge!(JOURNAL, "state" => "delivered").set(kept.saturating_sub(undelivered) as f64);
	gauge!(JOURNAL, "state" => "undelivered").set(undelivered as f64);
}

/// What this program is.
pub fn info(provider: &str, library: &str) {
	gauge!(
		INFO,
		"version" => env!("CARGO_PKG_VERSION"),
		"provider" => provider.to_owned(),
		"library" => library.to_owned()
	)
	.set(1.0);
}

/// What the devices have done, and what was earned by it, in planck.
pub(crate) fn devices<'a>(devices: impl IntoIterator<Item = &'a DeviceStats>, earned: Balance) {
	// 2⁶⁴ millionths are more CAI than there will ever be.
	let earned = earned / (CAI / 1_000_000);
	counter!(REWARDS).absolute(u64::try_from(earned).unwrap_or(u64::MAX));
	for of in devices {
		let device = of.device.to_string();
		gauge!(BUSY, "device" => device.clone()).set(of.busy);
		gauge!(QUEUE, "device" => device.clone()).set(of.queue as f64);
		counter!(RESTARTS, "device" => device.clone()).absolute(of.restarts);
		for with in &of.models {
			for (outcome, total) in [("done", with.done), ("failed", with.failed)] {
				let (device, model) = (device.clone(), with.model.to_string());
				counter!(INFERENCES, "device" => device, "model" => model, "outcome" => outcome)
					.absolute(total);
			}
		}
	}
}

/// What is known of a device's GPU. What is not known any more becomes NaN: the last value would look like a present one.
pub(crate) fn gpu(device: i32, gpu: Option<&Gpu>) {
	let set = |name: &'static str, value: Option<f64>| {
		gauge!(name, "device" => device.to_string()).set(value.unwrap_or(f64::NAN));
	};
	set(GPU_MEMORY, gpu.and_then(|gpu| gpu.memory_used).map(|bytes| bytes as f64));
	set(GPU_MEMORY_SIZE, gpu.and_then(|gpu| gpu.memory_total).map(|bytes| bytes as f64));
	set(GPU_TEMPERATURE, gpu.and_then(|gpu| gpu.temperature).map(f64::from));
	set(GPU_POWER, gpu.and_then(|gpu| gpu.power));
	let utilization = gpu.and_then(|gpu| gpu.utilization);
	set(GPU_UTILIZATION, utilization.map(|percent| f64::from(percent) / 100.0));
}

/// What this process takes, where `/proc` tells.
pub(crate) fn process() {
	let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
	if let Some(bytes) = resident(&status) {
		gauge!(MEMORY).set(bytes as f64);
	}
	if let Ok(open) = fs::read_dir("/proc/self/fd") {
		gauge!(FILES).set(open.count() as f64);
	}
}

/// The resident memory in a `/proc/PID/status`, in bytes.
fn resident(status: &str) -> Option<u64> {
	let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
	line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn number(yes: bool) -> f64 {
	f64::from(u8::from(yes))
}

#[cfg(test)]
pub(crate) mod tests {
	use super::*;
	use crate::stats::ModelStats;
	use metrics_exporter_prometheus::PrometheusRecorder;

	/// A recorder that is not that of the whole process.
	pub(crate) fn recorder() -> PrometheusRecorder {
		builder().unwrap().build_recorder()
	}

	/// Counts something of everything, and returns what Prometheus would be told.
	fn everything() -> String {
		let recorder = recorder();
		metrics::with_local_recorder(&recorder, || {
			describe();
			served(3);
			task_ended(3, Outcome::Settled);
			served(3);
			task_ended(3, Outcome::Missed);
			task_ended(4, Outcome::Failed);
			stage(3, "infer", 0.2);
			transaction("commit", true);
			transaction("commit", false);
			rpc_reconnects(0);
			online(true);
			ready(false);
			seats(77, 2);
			journal(5, 2);
			info("CUDA device 0", "ONNX Runtime 1.31.1 at /usr/local/lib");
			let with = ModelStats {
				model: 3,
				done: 7,
				failed: 1,
				per_minute: 7,
				p50_ms: None,
				p95_ms: None,
			};
			let of = DeviceStats {
				queue: 2,
				restarts: 1,
				busy: 0.5,
				models: vec![with],
				..Default::default()
			};
			devices(&[of], CAI / 2 + 1);
			let known = Gpu {
				memory_used: Some(1 << 30),
				memory_total: Some(8 << 30),
				temperature: Some(61),
				utilization: Some(50),
				..Gpu::default()
			};
			gpu(0, Some(&known));
			gpu(1, None);
			process();
		});
		recorder.handle().render()
	}

	#[test]
	fn everything_that_is_described_is_counted_and_the_other_way_round() {
		let text = everything();
		let names = COUNTERS.iter().chain(&GAUGES).map(|(name, _)| *name).chain([SECONDS]);
		let mut names: Vec<&str> = names.collect();
		// On Linux; elsewhere the two that /proc tells are missing.
		let told = |kind: &str| {
			let lines = text.lines().filter_map(|line| line.strip_prefix(kind));
			lines.filter_map(|line| line.split(' ').next()).collect::<Vec<_>>()
		};
		let (mut typed, mut helped) = (told("# TYPE "), told("# HELP "));
		names.sort_unstable();
		typed.sort_unstable();
		helped.sort_unstable();
		assert_eq!(typed, names, "{text}");
		assert_eq!(helped, names, "{text}");
	}

	#[test]
	fn what_is_counted_is_told_with_its_labels() {
		let text = everything();
		for line in [
			"cuckoo_miner_tasks_total{model=\"3\",outcome=\"settled\"} 1",
			"cuckoo_miner_tasks_total{model=\"3\",outcome=\"failed\"} 0",
			"cuckoo_miner_tasks_total{model=\"4\",outcome=\"failed\"} 1",
			"cuckoo_miner_task_seconds_bucket{model=\"3\",stage=\"infer\",le=\"0.3\"} 1",
			"cuckoo_miner_inferences_total{device=\"0\",model=\"3\",outcome=\"done\"} 7",
			"cuckoo_miner_inferences_total{device=\"0\",model=\"3\",outcome=\"failed\"} 1",
			"cuckoo_miner_busy_ratio{device=\"0\"} 0.5",
			"cuckoo_miner_queue_depth{device=\"0\"} 2",
			"cuckoo_miner_worker_restarts_total{device=\"0\"} 1",
			"cuckoo_miner_gpu_memory_bytes{device=\"0\"} 1073741824",
			"cuckoo_miner_gpu_temperature_celsius{device=\"0\"} 61",
			"cuckoo_miner_gpu_utilization{device=\"0\"} 0.5",
			"cuckoo_miner_gpu_power_watts{device=\"0\"} NaN",
			"cuckoo_miner_gpu_memory_bytes{device=\"1\"} NaN",
			"cuckoo_miner_rewards_microcai_total 500000",
			"cuckoo_miner_rpc_reconnects_total 0",
			"cuckoo_miner_journal_records{state=\"delivered\"} 3",
			"cuckoo_miner_journal_records{state=\"undelivered\"} 2",
			"cuckoo_miner_online 1",
			"cuckoo_miner_ready 0",
			"cuckoo_miner_block 77",
		] {
			assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
		}
	}

	#[test]
	fn memory_is_read_as_linux_writes_it() {
		assert_eq!(resident("Name:\tminer\nVmRSS:\t    2048 kB\nVmSwap:\t 0 kB\n"), Some(2 << 20));
		assert_eq!(resident("Name:\tminer\n"), None);
		assert_eq!(resident("VmRSS:\tmuch\n"), None);
	}
}
