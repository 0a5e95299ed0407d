//! Puts the parts together: one listener for applications and miners, the poster, the watcher, and an orderly end.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{
	extract::State,
	http::{header, StatusCode},
	middleware,
	response::{IntoResponse, Response},
	routing::get,
	Json, Router,
};
use cuckoo_client::{cli::KeyArgs, Node, Signer};
use cuckoo_primitives::BlockNumber;
use metrics_exporter_prometheus::PrometheusHandle;
use sp_core::crypto::AccountId32;
use tokio::{
	net::TcpListener,
	sync::{watch, Semaphore},
};
use tower_http::{timeout::TimeoutLayer, trace::TraceLayer};

use crate::{
	answers::{Answers, TO_APPLICATIONS, TO_MINERS},
	app_api, auth,
	blobs::Blobs,
	book::Book,
	chain::{Chain, NodeChain},
	config::Config,
	disk::Floor,
	embeddings,
	error::ApiError,
	keys::{self, KeyId, Keys},
	listener, metrics, miner_api,
	models::Catalogue,
	network, open_inference, page,
	poster::Poster,
	replay::Replays,
	retention::Retention,
	seats::Seats,
	uploads::Uploads,
	watcher::{Pulse, Watcher},
	webhooks::Webhooks,
};

/// The description of what applications can ask for.
const OPENAPI: &str = include_str!("../openapi.json");
const JSON: (header::HeaderName, &str) = (header::CONTENT_TYPE, "application/json");
/// How long requests that wait may go on after the order to stop.
const GRACE: Duration = Duration::from_secs(10);
/// How often the chain is looked at.
const TICK: Duration = Duration::from_secs(1);
/// A chain that makes no block for this long is not worth a request.
const STILL: Duration = Duration::from_secs(60);
/// How often counted values are put together.
const UPKEEP: Duration = Duration::from_secs(5);
/// Beyond the longest time that a handler takes by itself.
const MARGIN: Duration = Duration::from_secs(300);

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
	/// Whether there is room on the disk.
	pub floor: Floor,
	/// The keys of applications.
	pub keys: Keys,
	/// What is known of models' tensors.
	pub signatures: open_inference::Signatures,
	/// Turns for uploads.
	pub uploads: Uploads,
	/// Turns for large requests of the Open Inference Protocol.
	pub infers: Semaphore,
	/// Turns for large answers to applications, by their keys.
	pub answers: Answers<Option<KeyId>>,
	/// Turns for large inputs that miners fetch, by their operators.
	pub inputs: Answers<AccountId32>,
	/// Questions about miners' seats.
	pub seats: Seats,
	/// The requests of miners that were seen.
	pub replays: Replays,
	metrics: PrometheusHandle,
	pulse: watch::Sender<Pulse>,
	stop: watch::Sender<bool>,
}

impl App {
	/// With the book, the blobs and the keys in these places.
	pub fn new(
		config: Config,
		chain: Arc<dyn Chain>,
		book: Book,
		blobs: Blobs,
		keys: Keys,
		metrics: PrometheusHandle,
	) -> Arc<Self> {
		let floor = Floor::new(&config.data_dir, config.min_free());
		Arc::new(Self {
			config,
			floor,
			models: Catalogue::new(chain.clone()),
			chain,
			book,
			blobs,
			keys,
			signatures: open_inference::Signatures::default(),
			uploads: Uploads::default(),
			infers: Semaphore::new(open_inference::TURNS),
			answers: Answers::new(TO_APPLICATIONS),
			inputs: Answers::new(TO_MINERS),
			seats: Seats::default(),
			replays: Replays::default(),
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
		let (slots, sharing) = (self.config.posts_in_flight, self.config.sharing());
		let poster = Poster::new(book.clone(), chain.clone(), slots, sharing);
		tasks.spawn(poster.run(tick, self.stop.subscribe()));
		let (pulse, uploads) = (self.pulse.clone(), self.uploads.clone());
		let watcher = Watcher::new(book.clone(), chain.clone(), pulse, uploads);
		tasks.spawn(watcher.run(tick, self.stop.subscribe()));
		let keep = Duration::from_secs(self.config.retention_hours.saturating_mul(3_600));
		let retention = Retention::new(book.clone(), self.blobs.clone(), keep);
		tasks.spawn(retention.run(self.stop.subscribe()));
		tasks
	}

	/// The newest block that the watcher has seen.
	pub fn newest_block(&self) -> Option<BlockNumber> {
		self.pulse.borrow().map(|(block, _)| block)
	}

	/// The newest block, if the chain was seen to move lately and what is accepted can be kept; else what is wrong.
	pub async fn readiness(&self) -> Result<BlockNumber, String> {
		if let Err(full) = self.floor.check() {
			tracing::warn!(%full, "not ready");
			return Err("the disk is full".into());
		}
		if !self.book.works().await {
			return Err("the job book cannot be written".into());
		}
		match *self.pulse.borrow() {
			Some((block, seen)) if seen.elapsed() < STILL => Ok(block),
			Some((block, seen)) => {
				let seconds = seen.elapsed().as_secs();
				Err(format!("no block for {seconds} s, after {block}"))
			},
			None => Err("the chain was not seen yet".into()),
		}
	}
}

/// All routes.
pub fn router(app: Arc<App>) -> Router {
	let longest = app.config.wait() + MARGIN;
	let applications = Router::new()
		.merge(app_api::routes())
		.merge(embeddings::routes())
		.merge(open_inference::routes())
		.route_layer(middleware::from_fn_with_state(app.clone(), auth::auth));
	Router::new()
		.merge(applications)
		.merge(miner_api::routes())
		.merge(open_inference::health_routes())
		.merge(network::routes())
		.merge(page::routes())
		.route("/openapi.json", get(|| async { ([JSON], OPENAPI) }))
		.route("/healthz", get(|| async { "ok\n" }))
		.route("/readyz", get(readyz))
		.route("/metrics", get(show_metrics))
		.fallback(|| async { ApiError::not_found("there is nothing here") })
		.method_not_allowed_fallback(|| async {
			let message = "this address does not take this method";
			ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
		})
		.layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, longest))
		.layer(middleware::from_fn(open_inference::errors))
		.layer(TraceLayer::new_for_http())
		.with_state(app)
}

async fn readyz(State(app): State<Arc<App>>) -> Response {
	let (status, message) = match app.readiness().await {
		Ok(_) => (StatusCode::OK, "ready".to_string()),
		Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
	};
	let block = app.newest_block();
	(status, Json(serde_json::json!({ "status": message, "block": block }))).into_response()
}

async fn show_metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
	let held = app.book.held().await.ok();
	let open = app.book.open_by_state().await.unwrap_or_default();
	metrics::now(app.readiness().await.is_ok(), held, app.config.max_escrow.0, &open);
	([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], app.metrics.render())
}

/// Runs a coordinator until it is told to stop.
pub async fn run(config: Config) -> anyhow::Result<()> {
	let key_file = config
		.key_file
		.clone()
		.context("no operator key: give --key-file; `cuckoo-coordinator key generate` makes one")?;
	let key = KeyArgs { key_file, password_file: config.password_file.clone() }.load()?;

	// Each connection is an open file, and few may be open by default.
	if let Err(error) = fdlimit::raise_fd_limit() {
		tracing::warn!(%error, "the bound for open files stays as it is");
	}
	private_folder(&config.data_dir)?;
	let blobs_folder = config.data_dir.join("blobs");
	let blobs = match &config.blob_url {
		Some(url) => {
			let account = AccountId32::new(key.public_key().0);
			Blobs::from_url(url, &account.to_string())?
		},
		None => {
			private_folder(&blobs_folder)?;
			Blobs::in_folder(&blobs_folder)?
		},
	};
	blobs.check().await.context("the blob store cannot be used")?;
	let keys = Keys::open(config.data_dir.join(keys::FILE_NAME))?;
	let book =
		Book::open(&config.data_dir.join("jobs.redb"), config.limits()).with_context(|| {
			format!(
				"cannot open the job book in {}; does another coordinator use this data directory?",
				config.data_dir.display()
			)
		})?;

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

	let app = App::new(config, chain, book, blobs, keys, metrics::install()?);
	auth::warn_if_open(&app.config, &app.keys);
	if let Some(folder) = &app.config.model_metadata {
		app.signatures.load(folder)?;
	}
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
	tasks.spawn(Webhooks::open(app.clone())?.run(app.stop.subscribe()));
	let keys = app.keys.spawn_watcher();
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
	let stop = async move {
		stop.await;
		tracing::info!("stopping: what waits has {} s", GRACE.as_secs());
		ordered.stop();
	};
	let trusted = &app.config.trusted_proxies;
	let server = listener::serve(listener, router(app.clone()), trusted, stop);
	let end = async {
		app.stopping().await;
		tokio::time::sleep(GRACE).await;
	};
	tokio::select! {
		() = server => {},
		() = end => tracing::warn!("some connections were still open"),
	}

	// The posts that are under way have a chance to be noted; those that are not are looked for after the next start.
	let ended = async { while tasks.join_next().await.is_some() {} };
	if tokio::time::timeout(GRACE, ended).await.is_err() {
		tracing::warn!("some posts were still under way; they are looked for after the next start");
	}
	upkeep.abort();
	keys.abort();
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
pub(crate) fn private_folder(folder: &Path) -> anyhow::Result<()> {
	DirBuilder::new()
		.recursive(true)
		.mode(0o700)
		.create(folder)
		.with_context(|| format!("cannot make the folder {}", folder.display()))
}
