//! What this miner tells about itself over HTTP, on the loopback interface: `/healthz`, `/readyz`, `/metrics`, `/status`.

use std::{
	collections::BTreeMap,
	io,
	net::SocketAddr,
	sync::{Arc, Mutex, MutexGuard, PoisonError},
	thread,
	time::{Duration, Instant},
};

use anyhow::{ensure, Context, Result};
use axum::{extract::State, http::StatusCode, routing::get, Json, Router};
use cuckoo_primitives::{BlockNumber, ModelId, TaskId};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;

use crate::{
	gpu::Gpu,
	metrics,
	stats::{DeviceStats, Stats},
};

/// Without news from the node for so long, a miner is not well: its deadlines pass.
const STALE: Duration = Duration::from_secs(60);
/// The work loop turns at least every three seconds. One that does not for so long is stuck.
const STILL: Duration = Duration::from_secs(30);
/// How often the GPUs are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// For how long what was seen of a GPU is told.
const KNOWN: Duration = Duration::from_secs(30);
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

/// A device: what it has done and, if it is a GPU of NVIDIA's, how it is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DeviceReport {
	/// What it has done.
	#[serde(flatten)]
	pub stats: DeviceStats,
	/// How it is, seconds ago; sizes are in bytes.
	pub gpu: Option<Gpu>,
}

/// What a miner tells about itself. The last four fields are filled in by [`Status::report`].
#[derive(Clone, Debug, Default, Serialize)]
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
	/// The models served, by number and name; none before they are loaded.
	pub models: Vec<(ModelId, String)>,
	/// The node in use; empty before there is one.
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
	/// Why no work can come, in a word; null if it can.
	pub unready: Option<&'static str>,
	/// What the chain paid for tasks since the program began, in planck.
	pub earned: String,
	/// How often worker processes were begun anew.
	pub restarts: u64,
	/// The devices.
	pub devices: Vec<DeviceReport>,
}

/// The report, kept up to date.
pub struct Status {
	stats: Arc<Stats>,
	inner: Mutex<Inner>,
}

struct Inner {
	report: Report,
	/// When the node last told of a new block.
	news: Option<Instant>,
	/// When the work loop last turned.
	turn: Option<Instant>,
	/// Each device's GPU, and when it was looked at.
	gpus: BTreeMap<i32, (Instant, Gpu)>,
}

impl Inner {
	fn ages(&self) -> (Option<Duration>, Option<Duration>) {
		let age = |at: Option<Instant>| at.map(|at| at.elapsed());
		(age(self.news), age(self.turn))
	}
}

impl Status {
	/// Starts from what does not change, and what the devices do.
	pub fn new(report: Report, stats: Arc<Stats>) -> Self {
		metrics::online(false);
		let inner = Inner { report, news: None, turn: None, gpus: BTreeMap::new() };
		Self { stats, inner: Mutex::new(inner) }
	}

	/// What the devices do.
	pub fn stats(&self) -> &Arc<Stats> {
		&self.stats
	}

	/// Whether the chain may draw this miner.
	pub fn set_online(&self, online: bool) {
		metrics::online(online);
		self.lock().report.online = online;
	}

	/// What has become known while the program begins: the operator, the node, the models.
	pub fn set_known(&self, change: impl FnOnce(&mut Report)) {
		change(&mut self.lock().report);
	}

	/// What was seen in a block, just now if `fresh`, and what is done about it. For the work loop alone: it is known to turn by calling this.
	pub fn set_work(&self, fresh: bool, change: impl FnOnce(&mut Report)) {
		let mut inner = self.lock();
		change(&mut inner.report);
		let now = Some(Instant::now());
		inner.turn = now;
		if fresh {
			inner.news = now;
		}
		metrics::seats(inner.report.block, inner.report.seats.len());
		metrics::journal(inner.report.kept, inner.report.undelivered);
	}

	/// What was just seen of a device's GPU.
	pub fn set_gpu(&self, device: i32, gpu: Gpu) {
		self.lock().gpus.insert(device, (Instant::now(), gpu));
	}

	/// The report as of now.
	pub fn report(&self) -> Report {
		let (devices, earned) = (self.stats.snapshot(), self.stats.earnings());
		let inner = self.lock();
		let (news, turn) = inner.ages();
		let device = |stats: DeviceStats| {
			let seen = inner.gpus.get(&stats.device).filter(|(at, _)| at.elapsed() < KNOWN);
			DeviceReport { gpu: seen.map(|(_, gpu)| gpu.clone()), stats }
		};
		Report {
			unready: unready(&inner.report, news, turn),
			earned: earned.to_string(),
			restarts: devices.iter().map(|stats| stats.restarts).sum(),
			devices: devices.into_iter().map(device).collect(),
			..inner.report.clone()
		}
	}

	/// Why the process is not well; `None` if it is.
	fn trouble(&self) -> Option<&'static str> {
		let (news, turn) = self.lock().ages();
		trouble(news, turn)
	}

	/// Brings the metrics up to date that change without anybody saying so.
	fn measure(&self) {
		let report = self.report();
		metrics::ready(report.unready.is_none());
		if !report.provider.is_empty() {
			metrics::info(&report.provider, &report.library);
		}
		report.models.iter().for_each(|(model, _)| metrics::served(*model));
		metrics::devices(report.devices.iter().map(|of| &of.stats), self.stats.earnings());
		let seen: Vec<i32> = self.lock().gpus.keys().copied().collect();
		for device in report.devices.iter().filter(|of| seen.contains(&of.stats.device)) {
			metrics::gpu(device.stats.device, device.gpu.as_ref());
		}
		metrics::process();
	}

	fn lock(&self) -> MutexGuard<'_, Inner> {
		// Plain data: whoever panicked while holding it left nothing half done.
		self.inner.lock().unwrap_or_else(PoisonError::into_inner)
	}
}

/// What is wrong with a process whose node told of a block, and whose work loop turned, so long ago.
fn trouble(news: Option<Duration>, turn: Option<Duration>) -> Option<&'static str> {
	if news.is_none_or(|age| age >= STALE) {
		Some("no news from the node")
	} else if turn.is_none_or(|age| age >= STILL) {
		Some("the work loop stands still")
	} else {
		None
	}
}

/// Why no work can come, in a word: the first of these that holds.
fn unready(
	report: &Report,
	news: Option<Duration>,
	turn: Option<Duration>,
) -> Option<&'static str> {
	if report.node.is_empty() {
		Some("connecting")
	} else if report.models.is_empty() {
		Some("loading")
	} else if news.is_none() {
		Some("waiting")
	} else if news >= Some(STALE) {
		Some("stale")
	} else if turn.is_none_or(|age| age >= STILL) {
		Some("stuck")
	} else if !report.online {
		Some("offline")
	} else {
		None
	}
}

/// Looks at the devices' GPUs every few seconds, by means of `look`, until the status is gone. On a thread of its own: a driver that hangs holds up nothing else.
pub fn watch_gpus(
	status: &Arc<Status>,
	look: impl Fn(i32) -> Option<Gpu> + Send + 'static,
) -> io::Result<()> {
	watch(status, LOOK, look)
}

fn watch(
	status: &Arc<Status>,
	pause: Duration,
	look: impl Fn(i32) -> Option<Gpu> + Send + 'static,
) -> io::Result<()> {
	let weak = Arc::downgrade(status);
	thread::Builder::new().name("gpus".into()).spawn(move || {
		while let Some(status) = weak.upgrade() {
			for device in status.stats.snapshot() {
				if let Some(gpu) = look(device.device) {
					status.set_gpu(device.device, gpu);
				}
			}
			drop(status);
			thread::sleep(pause);
		}
	})?;
	Ok(())
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
	let well = |State(status): State<Arc<Status>>| async move { answer(status.trouble(), "well") };
	let ready =
		|State(status): State<Arc<Status>>| async move { answer(status.report().unready, "ready") };
	let report = |State(status): State<Arc<Status>>| async move { Json(status.report()) };
	let measured = move |State(status): State<Arc<Status>>| async move {
		status.measure();
		prometheus.render()
	};
	Router::new()
		.route("/healthz", get(well))
		.route("/readyz", get(ready))
		.route("/status", get(report))
		.route("/metrics", get(measured))
		.with_state(status)
}

/// What is wrong, or else this word.
fn answer(wrong: Option<&'static str>, right: &str) -> (StatusCode, String) {
	match wrong {
		Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
		None => (StatusCode::OK, format!("{right}\n")),
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::metrics::tests::recorder;
	use std::sync::mpsc;

	fn known() -> Report {
		Report {
			version: "0.1.0",
			node: "ws://127.0.0.1:9944".into(),
			models: vec![(3, "demo".into())],
			online: true,
			..Report::default()
		}
	}

	#[test]
	fn the_first_thing_that_is_missing_is_named() {
		let (now, stale, still) = (Some(Duration::ZERO), Some(STALE), Some(STILL));
		assert_eq!(unready(&Report::default(), None, None), Some("connecting"));
		let loading = Report { models: Vec::new(), ..known() };
		assert_eq!(unready(&loading, None, None), Some("loading"));
		assert_eq!(unready(&known(), None, now), Some("waiting"));
		assert_eq!(unready(&known(), stale, now), Some("stale"));
		assert_eq!(unready(&known(), now, still), Some("stuck"));
		let offline = Report { online: false, ..known() };
		assert_eq!(unready(&offline, now, now), Some("offline"));
		assert_eq!(unready(&known(), now, now), None);

		assert_eq!(trouble(None, now), Some("no news from the node"));
		assert_eq!(trouble(stale, now), Some("no news from the node"));
		assert_eq!(trouble(now, still), Some("the work loop stands still"));
		assert_eq!(trouble(now, None), Some("the work loop stands still"));
		assert_eq!(trouble(now, now), None);
	}

	async fn ask(address: SocketAddr, path: &str) -> (u16, String) {
		let client = reqwest::Client::builder().no_proxy().build().unwrap();
		let answer = client.get(format!("http://{address}{path}")).send().await.unwrap();
		(answer.status().as_u16(), answer.text().await.unwrap())
	}

	#[tokio::test]
	async fn whoever_asks_is_told() {
		let stats = Arc::new(Stats::new(&[0]));
		let status = Arc::new(Status::new(Report { online: false, ..known() }, stats.clone()));
		let prometheus = recorder().handle();
		let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
		let address = listener.local_addr().unwrap();
		let served = axum::serve(listener, routes(status.clone(), prometheus));
		tokio::spawn(async move { served.await });

		assert_eq!(ask(address, "/healthz").await, (503, "no news from the node\n".into()));
		assert_eq!(ask(address, "/readyz").await, (503, "waiting\n".into()));
		status.set_work(true, |report| report.block = 9);
		assert_eq!(ask(address, "/healthz").await, (200, "well\n".into()));
		assert_eq!(ask(address, "/readyz").await, (503, "offline\n".into()));
		status.set_online(true);
		assert_eq!(ask(address, "/readyz").await, (200, "ready\n".into()));

		stats.runs_on(0, "CPU, 2 threads");
		stats.begun(0, 3).done(0.25);
		stats.restarts(0, 2);
		stats.earned(1 << 70);
		status.set_gpu(0, Gpu { name: "NVIDIA H100".into(), ..Gpu::default() });
		let (code, text) = ask(address, "/status").await;
		let told: serde_json::Value = serde_json::from_str(&text).unwrap();
		assert_eq!(code, 200);
		assert_eq!(told["block"], 9);
		assert_eq!(told["unready"], serde_json::Value::Null);
		// Larger than JSON's numbers.
		assert_eq!(told["earned"], (1u128 << 70).to_string());
		assert_eq!(told["restarts"], 2);
		assert_eq!(told["models"], serde_json::json!([[3, "demo"]]));
		let device = &told["devices"][0];
		assert_eq!(device["device"], 0);
		assert_eq!(device["done"], 1);
		assert_eq!(device["provider"], "CPU, 2 threads");
		assert_eq!(device["gpu"]["name"], "NVIDIA H100");
		assert_eq!(device["models"][0]["p50_ms"], 250.0);
		assert_eq!(ask(address, "/metrics").await.0, 200);
		assert_eq!(ask(address, "/nothing").await.0, 404);
	}

	#[test]
	fn gpus_are_looked_at_until_nobody_asks_any_more() {
		let status = Arc::new(Status::new(known(), Arc::new(Stats::new(&[0, 1]))));
		let (saw, seen) = mpsc::channel();
		let look = move |device: i32| {
			// The test may have ended.
			let _ = saw.send(device);
			(device == 1).then(|| Gpu { index: 1, ..Gpu::default() })
		};
		watch(&status, Duration::from_millis(1), look).unwrap();
		let wait = Duration::from_secs(20);
		// Twice, so that what was seen the first time is told.
		for device in [0, 1, 0, 1] {
			assert_eq!(seen.recv_timeout(wait), Ok(device));
		}
		let devices = status.report().devices;
		assert!(devices[0].gpu.is_none());
		assert_eq!(devices[1].gpu.as_ref().map(|gpu| gpu.index), Some(1));
		drop(status);
		let (began, mut last) = (Instant::now(), Ok(0));
		while last.is_ok() && began.elapsed() < wait {
			last = seen.recv_timeout(wait);
		}
		assert_eq!(last, Err(mpsc::RecvTimeoutError::Disconnected));
	}
}
