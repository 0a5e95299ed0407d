//! What the coordinator counts, in Prometheus' format. Labels are few and fixed: no name that a stranger chooses becomes one.

use axum::{
	extract::Request,
	middleware::Next,
	response::{IntoResponse, Response},
};
use cuckoo_primitives::BlockNumber;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::{
	chain::{PostError, Posted},
	id::unix_now,
	job::Job,
};

const JOB_SECONDS: &str = "cuckoo_job_seconds";
/// From a picture in no time to a task that waited for a miner for minutes.
const SECONDS: [f64; 11] = [1.0, 3.0, 6.0, 9.0, 12.0, 18.0, 30.0, 60.0, 120.0, 300.0, 900.0];

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
	::metrics::describe_gauge!("cuckoo_tasks_open", "Tasks on chain that are being followed");
	::metrics::describe_gauge!("cuckoo_best_block", "The newest block seen");
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
		.build_recorder())
}

/// A job has come to another state.
pub(crate) fn job_is(job: &Job) {
	let state = job.state.name();
	::metrics::counter!("cuckoo_jobs_total", "state" => state).increment(1);
	if job.state.is_final() {
		let seconds = unix_now().saturating_sub(job.created) as f64;
		::metrics::histogram!(JOB_SECONDS, "state" => state).record(seconds);
	}
}

pub(crate) fn posted(outcome: &Result<Posted, PostError>) {
	let outcome = match outcome {
		Ok(_) => "in_block",
		Err(PostError::Refused(_)) => "refused",
		Err(PostError::NotSent(_)) => "not_sent",
		Err(PostError::Unsure(_)) => "unsure",
	};
	::metrics::counter!("cuckoo_posts_total", "outcome" => outcome).increment(1);
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
	count("app", next.run(request).await)
}

/// Counts requests of miners.
pub async fn count_miner(request: Request, next: Next) -> Response {
	count("miner", next.run(request).await)
}

fn count(side: &'static str, response: impl IntoResponse) -> Response {
	let response = response.into_response();
	let status = response.status().as_u16().to_string();
	::metrics::counter!("cuckoo_http_requests_total", "side" => side, "status" => status)
		.increment(1);
	response
}
