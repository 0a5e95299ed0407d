//! What this miner tells about itself over HTTP, on the loopback interface: `/healthz`, `/metrics`, `/status`.

use std::{
	net::SocketAddr,
	sync::{Arc, Mutex, MutexGuard, PoisonError},
	time::{Duration, Instant},
};

use anyhow::{ensure, Context, Result};
use axum::{extract::State, http::StatusCode, routing::get, Json, Router};
use cuckoo_primitives::{BlockNumber, ModelId, TaskId};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;

use crate::metrics;

/// Without news from the node for so long, a miner is not well: its deadlines pass.
const STALE: Duration = Duration::from_secs(60);
/// How often old measurements are folded up.
const UPKEEP: Duration = Duration::from_secs(30);

/// A seat and what is being done about it.
#[derive(Clone, Debug, Serialize)]
pub struct SeatStatus {
	/// The task.
	pub task: TaskId,
	/// Which draw of it.
	pub round: u32,
	/// The model.
	pub model: ModelId,
	/// The last block for what is due.
	pub deadline: BlockNumber,
	/// What is being done.
	pub doing: &'static str,
}

/// What a miner tells about itself.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
	/// Its version.
	pub version: &'static str,
	/// Its operator account.
	pub operator: String,
	/// The chain.
	pub genesis: String,
	/// ONNX Runtime's library.
	pub library: String,
	/// What models run on.
	pub provider: String,
	/// The models served, by number and name.
	pub models: Vec<(ModelId, String)>,
	/// The node in use.
	pub node: String,
	/// Whether the chain may draw it.
	pub online: bool,
	/// The last best block in which the seats were seen.
	pub block: BlockNumber,
	/// What it has promised.
	pub seats: Vec<SeatStatus>,
	/// Results that are still kept, and how many of them wait to be delivered.
	pub kept: usize,
	/// Results that wait to be delivered.
	pub undelivered: usize,
}

/// The report, kept up to date.
pub struct Status {
	inner: Mutex<(Report, Option<Instant>)>,
}

impl Status {
	/// Starts from what does not change.
	pub fn new(report: Report) -> Self {
		metrics::info(report.provider.clone());
		metrics::online(false);
		Self { inner: Mutex::new((report, None)) }
	}

	/// Whether the chain may draw this miner.
	pub fn set_online(&self, online: bool) {
		metrics::online(online);
		self.lock().0.online = online;
	}

	/// What was seen in a block, just now if `fresh`, and what is done about it.
	pub fn set_work(&self, fresh: bool, change: impl FnOnce(&mut Report)) {
		let mut inner = self.lock();
		change(&mut inner.0);
		if fresh {
			inner.1 = Some(Instant::now());
		}
		metrics::seats(inner.0.block, inner.0.seats.len());
	}

	/// The report as it is.
	pub fn report(&self) -> Report {
		self.lock().0.clone()
	}

	/// Whether there was news from the node lately.
	pub fn is_well(&self) -> bool {
		self.lock().1.is_some_and(|at| at.elapsed() < STALE)
	}

	fn lock(&self) -> MutexGuard<'_, (Report, Option<Instant>)> {
		// Plain data: whoever panicked while holding it left nothing half done.
		self.inner.lock().unwrap_or_else(PoisonError::into_inner)
	}
}

/// Serves until the program ends.
pub async fn serve(
	address: SocketAddr,
	status: Arc<Status>,
	prometheus: PrometheusHandle,
) -> Result<()> {
	ensure!(
		address.ip().is_loopback(),
		"--listen {address}: the status is for this machine only; use 127.0.0.1 and, for others, a proxy that asks who they are"
	);
	let listener = tokio::net::TcpListener::bind(address)
		.await
		.with_context(|| format!("cannot listen on {address}; choose another with --listen"))?;
	tracing::info!(%address, "status at http://{address}/status, metrics at /metrics");
	let upkeep = prometheus.clone();
	tokio::spawn(async move {
		loop {
			tokio::time::sleep(UPKEEP).await;
			upkeep.run_upkeep();
		}
	});
	let served = axum::serve(listener, routes(status, prometheus));
	tokio::spawn(async move { served.await });
	Ok(())
}

fn routes(status: Arc<Status>, prometheus: PrometheusHandle) -> Router {
	let well = |State(status): State<Arc<Status>>| async move {
		if status.is_well() {
			(StatusCode::OK, "well\n")
		} else {
			(StatusCode::SERVICE_UNAVAILABLE, "no news from the node\n")
		}
	};
	let report = |State(status): State<Arc<Status>>| async move { Json(status.report()) };
	Router::new()
		.route("/healthz", get(well))
		.route("/status", get(report))
		.route("/metrics", get(move || async move { prometheus.render() }))
		.with_state(status)
}
