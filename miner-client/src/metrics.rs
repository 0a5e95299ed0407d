//! What is counted, for Prometheus.

use anyhow::{Context, Result};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

const TASKS: &str = "cuckoo_miner_tasks_total";
const SECONDS: &str = "cuckoo_miner_task_seconds";
const TRANSACTIONS: &str = "cuckoo_miner_transactions_total";
const ONLINE: &str = "cuckoo_miner_online";
const SEATS: &str = "cuckoo_miner_seats";
const BLOCK: &str = "cuckoo_miner_block";
const INFO: &str = "cuckoo_miner_info";

/// Starts counting. What is counted before is lost.
pub fn install() -> Result<PrometheusHandle> {
	let handle = PrometheusBuilder::new()
		.set_buckets(&[0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0])
		.and_then(PrometheusBuilder::install_recorder)
		.context("cannot start the metrics")?;
	describe_counter!(TASKS, "Tasks that ended, by outcome: settled, missed, failed");
	describe_histogram!(SECONDS, "Seconds of each stage: fetch, infer, upload, commit, reveal");
	describe_counter!(TRANSACTIONS, "Transactions, by call and outcome");
	describe_gauge!(ONLINE, "1 while the chain may draw this miner");
	describe_gauge!(SEATS, "Seats now");
	describe_gauge!(BLOCK, "The last best block in which the seats were seen");
	describe_gauge!(INFO, "1, with the version and what models run on as labels");
	Ok(handle)
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

/// A task ended.
pub fn task_ended(outcome: Outcome) {
	let outcome = match outcome {
		Outcome::Settled => "settled",
		Outcome::Missed => "missed",
		Outcome::Failed => "failed",
	};
	counter!(TASKS, "outcome" => outcome).increment(1);
}

/// A stage of a task took so long.
pub fn stage(stage: &'static str, seconds: f64) {
	histogram!(SECONDS, "stage" => stage).record(seconds);
}

/// A transaction went through or not.
pub fn transaction(call: &'static str, through: bool) {
	let outcome = if through { "included" } else { "failed" };
	counter!(TRANSACTIONS, "call" => call, "outcome" => outcome).increment(1);
}

/// Whether the chain may draw this miner.
pub fn online(online: bool) {
	gauge!(ONLINE).set(f64::from(u8::from(online)));
}

/// What was seen in a block.
pub fn seats(block: u32, seats: usize) {
	gauge!(BLOCK).set(f64::from(block));
	gauge!(SEATS).set(seats as f64);
}

/// What this program is.
pub fn info(provider: String) {
	gauge!(INFO, "version" => env!("CARGO_PKG_VERSION"), "provider" => provider).set(1.0);
}
