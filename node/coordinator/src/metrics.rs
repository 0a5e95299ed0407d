//! What the coordinator counts, in Prometheus' format. Labels are few and fixed: no name that a stranger chooses becomes one.

use std::{fs, time::Instant};

use axum::{extract::Request, middleware::Next, response::Response};
use cuckoo_primitives::{Balance, BlockNumber, CAI};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::{
	batch::Batch,
	book::BookError,
	chain::{PostError, Posted},
	id::{unix_millis, unix_now},
	job::{JobState, Progress, Settlement},
};

const JOB_SECONDS: &str = "cuckoo_job_seconds";
const BATCH_ITEMS: &str = "cuckoo_batch_items";
const STAGE: &str = "cuckoo_stage_seconds";
/// From nothing to a task that waited for a miner for minutes.
const STAGES: [f64; 14] =
	[0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 6.0, 9.0, 12.0, 18.0, 60.0, 300.0];
const HTTP: &str = "cuckoo_http_seconds";
const START: &str = "process_start_time_seconds";
const MEMORY: &str = "process_resident_memory_bytes";
const FILES: &str = "process_open_fds";
/// From one to a full batch.
const ITEMS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// From a picture in no time to a task that waited for a miner for minutes.
const SECONDS: [f64; 11] = [1.0, 3.0, 6.0, 9.0, 12.0, 18.0, 30.0, 60.0, 120.0, 300.0, 900.0];

/// A millionth of a CAI, in planck.
const MICROCAI: Balance = CAI / 1_000_000;

/// Starts counting in this process; the handle writes what was counted.
pub fn install() -> anyhow::Result<PrometheusHandle> {
	let recorder = recorder()?;
	let handle = recorder.handle();
	::metrics::set_global_recorder(recorder)
		.map_err(|_| anyhow::anyhow!("metrics are installed already"))?;
	::metrics::describe_counter!("cuckoo_jobs_total", "Jobs that reached a state, by state");
	::metrics::describe_counter!("cuckoo_posts_total", "Tasks posted, by outcome");
	::metrics::describe_counter!("cuckoo_posting_waits_total", "Rounds of posting that failed");
	::metrics::describe_counter!("cuckoo_http_requests_total", "Requests, by side and status");
	::metrics::describe_histogram!(
		HTTP,
		"Seconds from a request's headers to its answer's, by side; an application may wait for a miner"
	);
	::metrics::describe_gauge!("cuckoo_jobs_open", "Jobs that are not ended, by state");
	::metrics::describe_gauge!(
		"cuckoo_free_microcai",
		"What the operator's account can spend, in millionths of a CAI"
	);
	::metrics::describe_gauge!("cuckoo_tasks_open", "Tasks on chain that are being followed");
	::metrics::describe_gauge!("cuckoo_best_block", "The newest block seen");
	::metrics::describe_histogram!(
		STAGE,
		"Seconds of a job's stages. post: accepted to in a block; hand_over: accepted to a miner has the inputs; answer: the last output is here to answered"
	);
	::metrics::describe_counter!("cuckoo_settlements_total", "Tasks, by what the chain decided");
	::metrics::describe_counter!(
		"cuckoo_fees_microcai_total",
		"Fees, in millionths of a CAI, by what became of them"
	);
	::metrics::describe_gauge!(
		"cuckoo_escrow_microcai",
		"Fees of jobs of which the chain has not decided, in millionths of a CAI"
	);
	::metrics::describe_gauge!("cuckoo_escrow_limit_microcai", "The most that those may be");
	::metrics::describe_gauge!("cuckoo_ready", "1 while /readyz says so");
	::metrics::describe_gauge!("cuckoo_info", "1, with the version as label");
	::metrics::describe_gauge!(START, "When this process began, in seconds since 1970");
	::metrics::describe_gauge!(MEMORY, "Memory that this process takes");
	::metrics::describe_gauge!(FILES, "Files and sockets that this process has open");
	::metrics::gauge!(START).set(unix_now() as f64);
	::metrics::gauge!("cuckoo_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
	::metrics::describe_histogram!(BATCH_ITEMS, "Inferences of each task posted");
	::metrics::describe_counter!("cuckoo_refusals_total", "Requests turned away, by reason");
	::metrics::describe_counter!("cuckoo_webhooks_total", "Webhooks sent, by outcome");
	::metrics::describe_counter!("cuckoo_webhooks_lost_total", "Webhooks given up, by reason");
	::metrics::describe_gauge!("cuckoo_webhooks_waiting", "Webhooks that wait to be sent");
	::metrics::describe_counter!("cuckoo_blob_errors_total", "Failures of the blob store");
	::metrics::describe_counter!(
		"cuckoo_blobs_deleted_total",
		"Blobs deleted: not needed any more"
	);
	::metrics::describe_histogram!(JOB_SECONDS, "Seconds from accepted to ended, by state");
	Ok(handle)
}

/// A handle that counts nothing, for tests.
pub fn detached() -> anyhow::Result<PrometheusHandle> {
	Ok(recorder()?.handle())
}

fn recorder() -> anyhow::Result<metrics_exporter_prometheus::PrometheusRecorder> {
	Ok(PrometheusBuilder::new()
		.set_buckets_for_metric(Matcher::Full(JOB_SECONDS.into()), &SECONDS)?
		.set_buckets_for_metric(Matcher::Full(BATCH_ITEMS.into()), &ITEMS)?
		.set_buckets_for_metric(Matcher::Full(STAGE.into()), &STAGES)?
		.set_buckets_for_metric(Matcher::Full(HTTP.into()), &STAGES)?
		.build_recorder())
}

/// A job has come to another state.
pub(crate) fn job_is(progress: &Progress) {
	let state = progress.state();
	let (is_final, state) = (state.is_final(), state.name());
	::metrics::counter!("cuckoo_jobs_total", "state" => state).increment(1);
	if is_final {
		let seconds = unix_now().saturating_sub(progress.job.created) as f64;
		::metrics::histogram!(JOB_SECONDS, "state" => state).record(seconds);
	}
}

pub(crate) fn posted(outcome: &Result<Posted, PostError>) {
	let outcome = match outcome {
		Ok(_) => "in_block",
		Err(PostError::Failed { .. }) => "refused",
		Err(PostError::NotTaken(_)) => "not_taken",
		Err(PostError::NotSent(_)) => "not_sent",
		Err(PostError::Unsure(_)) => "unsure",
	};
	::metrics::counter!("cuckoo_posts_total", "outcome" => outcome).increment(1);
}

/// A stage of a job, which began at this millisecond of Unix time, is over.
fn stage(stage: &'static str, since: u64) {
	let took = unix_millis().saturating_sub(since);
	::metrics::histogram!(STAGE, "stage" => stage).record(took as f64 / 1e3);
}

/// A task is in a block.
pub(crate) fn in_block(batch: &Batch) {
	batch.parts.iter().for_each(|part| stage("post", part.job.millis()));
}

/// A miner has the inputs of a task.
pub(crate) fn handed_over(batch: &Batch) {
	batch.parts.iter().for_each(|part| stage("hand_over", part.job.millis()));
}

/// A job's outputs are given to an application that waits for them.
pub(crate) fn answered(progress: &Progress) {
	let last = (0..progress.items()).filter_map(|item| progress.output(item)).map(|out| out.at);
	if let Some(last) = last.max() {
		stage("answer", last);
	}
}

/// The chain has decided about a task's fee.
pub(crate) fn settled(batch: &Batch) {
	::metrics::counter!("cuckoo_settlements_total", "settlement" => batch.settlement.name())
		.increment(1);
	let outcome = match batch.settlement {
		// Who was paid, challenged and not found wrong is not paid again.
		Settlement::Settled | Settlement::Overturned if batch.challenged => return,
		Settlement::Settled | Settlement::Overturned => "paid",
		Settlement::Refunded => "refunded",
		Settlement::Burnt => "burnt",
		Settlement::None | Settlement::Pending | Settlement::Disputed | Settlement::Void => return,
	};
	let fee = u64::try_from(batch.fee / MICROCAI).unwrap_or(u64::MAX);
	::metrics::counter!("cuckoo_fees_microcai_total", "outcome" => outcome).increment(fee);
}

fn micro(planck: Balance) -> f64 {
	(planck / MICROCAI) as f64
}

/// What is open and how the process is, as of now.
pub(crate) fn now(ready: bool, held: Option<Balance>, limit: Balance, open: &[(JobState, u64)]) {
	for (state, count) in open {
		::metrics::gauge!("cuckoo_jobs_open", "state" => state.name()).set(*count as f64);
	}
	::metrics::gauge!("cuckoo_ready").set(f64::from(u8::from(ready)));
	if let Some(held) = held {
		::metrics::gauge!("cuckoo_escrow_microcai").set(micro(held));
	}
	::metrics::gauge!("cuckoo_escrow_limit_microcai").set(micro(limit));
	let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
	let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
	let kib = resident.and_then(|text| text.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
	if let Some(kib) = kib {
		::metrics::gauge!(MEMORY).set(kib as f64 * 1024.0);
	}
	if let Ok(open) = fs::read_dir("/proc/self/fd") {
		::metrics::gauge!(FILES).set(open.count() as f64);
	}
}

/// Jobs were put together into a task.
pub(crate) fn batched(batch: &Batch) {
	::metrics::histogram!(BATCH_ITEMS).record(f64::from(batch.items()));
}

/// A request for a job was turned away.
pub(crate) fn refused(error: &BookError) {
	let reason = match error {
		BookError::Full => "full",
		BookError::Escrow => "escrow",
		BookError::Budget { .. } => "budget",
		_ => return,
	};
	::metrics::counter!("cuckoo_refusals_total", "reason" => reason).increment(1);
}

/// A request was turned away before it came to a job.
pub(crate) fn turned_away(reason: &'static str) {
	::metrics::counter!("cuckoo_refusals_total", "reason" => reason).increment(1);
}

/// What the operator's account can spend.
pub(crate) fn free(planck: Balance) {
	::metrics::gauge!("cuckoo_free_microcai").set(micro(planck));
}

pub(crate) fn posting_waits() {
	::metrics::counter!("cuckoo_posting_waits_total").increment(1);
}

pub(crate) fn watched(block: BlockNumber, tasks: usize) {
	::metrics::gauge!("cuckoo_best_block").set(f64::from(block));
	::metrics::gauge!("cuckoo_tasks_open").set(tasks as f64);
}

/// Counts requests of applications.
pub async fn count_app(request: Request, next: Next) -> Response {
	count("app", request, next).await
}

/// Counts requests of miners.
pub async fn count_miner(request: Request, next: Next) -> Response {
	count("miner", request, next).await
}

async fn count(side: &'static str, request: Request, next: Next) -> Response {
	let began = Instant::now();
	let response = next.run(request).await;
	::metrics::histogram!(HTTP, "side" => side).record(began.elapsed().as_secs_f64());
	let status = response.status().as_u16().to_string();
	::metrics::counter!("cuckoo_http_requests_total", "side" => side, "status" => status)
		.increment(1);
	response
}

#[cfg(test)]
mod tests {
	use std::collections::BTreeSet;

	/// Names in a text that begin with `cuckoo_`, as the program gives them: without what a histogram adds.
	fn names(text: &str) -> BTreeSet<&str> {
		let is_end = |c: char| !c.is_ascii_lowercase() && c != '_';
		let words = text.split(is_end).filter(|word| word.starts_with("cuckoo_"));
		let bare = |word| {
			let ends = ["_bucket", "_sum", "_count"];
			ends.iter().find_map(|end| str::strip_suffix(word, end)).unwrap_or(word)
		};
		words.map(bare).collect()
	}

	#[test]
	fn the_dashboard_shows_what_is_counted() {
		let program = include_str!("metrics.rs").split("#[cfg(test)]").next().unwrap();
		let counted: BTreeSet<&str> =
			names(program).into_iter().filter(|name| *name != "cuckoo_primitives").collect();
		let shown = names(include_str!("../grafana/coordinator.json"));
		assert_eq!(shown.difference(&counted).collect::<Vec<_>>(), Vec::<&&str>::new());
		let unseen: Vec<&str> = counted.difference(&shown).copied().collect();
		// Of use when something is wrong.
		let on_demand =
			["cuckoo_blobs_deleted_total", "cuckoo_webhooks_lost_total", "cuckoo_webhooks_waiting"];
		assert_eq!(unseen, on_demand);
	}
}
