//! Puts the parts together: one listener for applications and miners, the poster, the watcher, and an orderly end.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{
	extract::State,
	http::{header, StatusCode},
	response::{IntoResponse, Response},
	routing::get,
	Json, Router,
};
use cuckoo_client::{cli::KeyArgs, Node, Signer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
	net::TcpListener,
	sync::{watch, Semaphore},
};
use tower_http::{timeout::TimeoutLayer, trace::TraceLayer};

use crate::{
	app_api,
	blobs::Blobs,
	book::Book,
	chain::{Chain, NodeChain},
	config::Config,
	error::ApiError,
	metrics, miner_api,
	models::Catalogue,
	poster::Poster,
	watcher::{Pulse, Watcher},
};

/// How many uploads are taken in at a time.
const UPLOADS: usize = 8;
/// How long requests that wait may go on after the order to stop.
const GRACE: Duration = Duration::from_secs(10);
/// How often the chain is looked at.
const TICK: Duration = Duration::from_secs(1);
/// A chain that makes no block for this long is not worth a request.
const STILL: Duration = Duration::from_secs(60);
/// How often counted values are put together.
const UPKEEP: Duration = Duration::from_secs(5);
/// Beyond the longest time that a handler takes by itself.
const MARGIN: Duration = Duration::from_secs(240);

/// What the handlers share.
pub struct App {
	/// What was set.
	pub config: Config,
	/// The chain.
	pub chain: Arc<dyn Chain>,
	/// The jobs.
	pub book: Book,
	/// Inputs and outputs.
	pub blobs: Blobs,
	/// The models.
	pub models: Catalogue,
	/// Turns for uploads.
	pub uploads: Semaphore,
	metrics: PrometheusHandle,
	pulse: watch::Sender<Pulse>,
	stop: watch::Sender<bool>,
}

impl App {
	/// With the book and the blobs in these places.
	pub fn new(
		config: Config,
		chain: Arc<dyn Chain>,
		book: Book,
		blobs: Blobs,
		metrics: PrometheusHandle,
	) -> Arc<Self> {
		Arc::new(Self {
			config,
			models: Catalogue::new(chain.clone()),
			chain,
			book,
			blobs,
			uploads: Semaphore::new(UPLOADS),
			metrics,
			pulse: watch::Sender::new(None),
			stop: watch::Sender::new(false),
		})
	}

	/// Makes the poster, the watcher and waiting requests come to an end.
	pub fn stop(&self) {
		self.stop.send_replace(true);
	}

	/// Returns when waiting requests should be answered because the process ends.
	pub async fn closing(&self) {
		self.stopping().await;
		tokio::time::sleep(GRACE.saturating_sub(Duration::from_secs(1))).await;
	}

	/// Returns once the order to stop was given.
	async fn stopping(&self) {
		let mut stop = self.stop.subscribe();
		// An error would mean that the sender is gone, and it is in `self`.
		let _ = stop.wait_for(|stop| *stop).await;
	}

	/// Starts the poster and the watcher, which look at the book and the chain every `tick`.
	pub fn start(&self, tick: Duration) -> tokio::task::JoinSet<()> {
		let mut tasks = tokio::task::JoinSet::new();
		let (book, chain) = (&self.book, &self.chain);
		let poster = Poster::new(book.clone(), chain.clone(), self.config.posts_in_flight);
		tasks.spawn(poster.run(tick, self.stop.subscribe()));
		let watcher = Watcher::new(book.clone(), chain.clone(), self.pulse.clone());
		tasks.spawn(watcher.run(tick, self.stop.subscribe()));
		tasks
	}
}

/// All routes.
pub fn router(app: Arc<App>) -> Router {
	let longest = app.config.wait() + MARGIN;
	Router::new()
		.merge(app_api::routes())
		.merge(miner_api::routes())
		.route("/healthz", get(|| async { "ok\n" }))
		.route("/readyz", get(readyz))
		.route("/metrics", get(show_metrics))
		.fallback(|| async { ApiError::not_found("there is nothing here") })
		.method_not_allowed_fallback(|| async {
			let message = "this address does not take this method";
			ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
		})
		.layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, longest))
		.layer(TraceLayer::new_for_http())
		.with_state(app)
}

async fn readyz(State(app): State<Arc<App>>) -> Response {
	let pulse = *app.pulse.borrow();
	let (status, message) = match pulse {
		Some((_, seen)) if seen.elapsed() < STILL => (StatusCode::OK, "ready".to_string()),
		Some((block, seen)) => {
			let seconds = seen.elapsed().as_secs();
			(StatusCode::SERVICE_UNAVAILABLE, format!("no block for {seconds} s, after {block}"))
		},
		None => (StatusCode::SERVICE_UNAVAILABLE, "the chain was not seen yet".into()),
	};
	let block = pulse.map(|(block, _)| block);
	(status, Json(serde_json::json!({ "status": message, "block": block }))).into_response()
}

async fn show_metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
	([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], app.metrics.render())
}

/// Runs a coordinator until it is told to stop.
pub async fn run(config: Config) -> anyhow::Result<()> {
	let key_file = config
		.key_file
		.clone()
		.context("no operator key: give --key-file; `cuckoo-coordinator key generate` makes one")?;
	let key = KeyArgs { key_file, password_file: config.password_file.clone() }.load()?;

	private_folder(&config.data_dir)?;
	let blobs_folder = config.data_dir.join("blobs");
	private_folder(&blobs_folder)?;
	let blobs = Blobs::in_folder(&blobs_folder)?;
	let book = Book::open(&config.data_dir.join("jobs.redb"), config.max_open_jobs).with_context(
		|| {
			format!(
				"cannot open the job book in {}; does another coordinator use this data directory?",
				config.data_dir.display()
			)
		},
	)?;

	let genesis = config.genesis.or(book.genesis()?);
	let node = Node::connect(&config.node_url, genesis).await.with_context(|| match genesis {
		Some(genesis) => format!(
			"cannot connect to the chain {genesis:?}, whose jobs are in {} or which --genesis names; for \
			 another chain choose another --data-dir",
			config.data_dir.display()
		),
		None => "cannot connect to the chain".into(),
	})?;
	book.pin_genesis(node.genesis())?;
	let url = node.url();
	let signer = Signer::start(node.clone(), key).await?;
	let fee = config.fee_per_image.map(|fee| fee.0);
	let chain = Arc::new(NodeChain::new(node, signer, fee).await?);
	tracing::info!(
		node = url, genesis = ?chain.genesis(), operator = %chain.account(), owner = %chain.owner(),
		"connected"
	);

	let listener = TcpListener::bind(config.listen)
		.await
		.with_context(|| format!("cannot listen on {}", config.listen))?;
	tracing::info!(address = %listener.local_addr()?, "serving applications and miners");

	let app = App::new(config, chain, book, blobs, metrics::install()?);
	serve(app, listener, TICK, order_to_stop()).await
}

/// Serves until `stop` returns, then ends within the grace period.
pub async fn serve(
	app: Arc<App>,
	listener: TcpListener,
	tick: Duration,
	stop: impl std::future::Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
	let mut tasks = app.start(tick);
	let upkeep = {
		let metrics = app.metrics.clone();
		tokio::spawn(async move {
			loop {
				tokio::time::sleep(UPKEEP).await;
				metrics.run_upkeep();
			}
		})
	};

	let ordered = app.clone();
	let server = axum::serve(listener, router(app.clone())).with_graceful_shutdown(async move {
		stop.await;
		tracing::info!("stopping: what waits has {} s", GRACE.as_secs());
		ordered.stop();
	});
	let end = async {
		app.stopping().await;
		tokio::time::sleep(GRACE).await;
	};
	tokio::select! {
		served = std::future::IntoFuture::into_future(server) => served.context("the server failed")?,
		() = end => tracing::warn!("some connections were still open"),
	}

	// The posts that are under way have a chance to be noted; those that are not are looked for after the next start.
	let ended = async { while tasks.join_next().await.is_some() {} };
	if tokio::time::timeout(GRACE, ended).await.is_err() {
		tracing::warn!("some posts were still under way; they are looked for after the next start");
	}
	upkeep.abort();
	tracing::info!("stopped");
	Ok(())
}

/// Returns on SIGTERM or SIGINT.
async fn order_to_stop() {
	use tokio::signal::unix::{signal, SignalKind};
	let terminate = async {
		match signal(SignalKind::terminate()) {
			Ok(mut signals) => {
				signals.recv().await;
			},
			Err(error) => {
				tracing::warn!(%error, "SIGTERM cannot be caught");
				std::future::pending::<()>().await;
			},
		}
	};
	tokio::select! {
		() = terminate => {},
		_ = tokio::signal::ctrl_c() => {},
	}
}

/// A folder that only this user can look into: prompts are private.
fn private_folder(folder: &Path) -> anyhow::Result<()> {
	DirBuilder::new()
		.recursive(true)
		.mode(0o700)
		.create(folder)
		.with_context(|| format!("cannot make the folder {}", folder.display()))
}
