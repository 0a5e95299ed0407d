//! All workers of this machine: which of them gets a job.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{anyhow, ensure, Context, Result};
use cuckoo_primitives::{BlockNumber, ModelId, ModelKind};
use futures::future::join_all;
use sp_core::H256;
use tokio::{sync::watch, time::timeout};

use super::{
	protocol::{Batch, ModelFiles, Run},
	supervisor::{Ready, Worker, WorkerOptions},
};
use crate::{
	job::{Computed, JobError},
	notify::Doing,
	stats::Stats,
};

/// A job hangs after ten times what the slowest machine that should still earn takes for an inference, but not before this.
const LEAST_PATIENCE: Duration = Duration::from_secs(60);
/// Nor after this: no deadline is that far away.
const MOST_PATIENCE: Duration = Duration::from_secs(3600);
/// How long a device may take for a model at the start, all told: to open it and to try it. Each of the two has its own limit, once the worker has begun with it;
/// this one is also for a worker that never does.
const OPEN: Duration = Duration::from_secs(1800);

/// A model that this miner serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
	/// Its number on chain.
	pub model: ModelId,
	/// Its folder.
	pub dir: PathBuf,
	/// How it is run.
	pub kind: ModelKind,
	/// Its manifest.
	pub manifest: H256,
	/// What the chain says an inference takes, in milliseconds.
	pub reference_ms: u32,
	/// Whether its inputs may be run together.
	pub batch: Option<Batch>,
}

impl Served {
	fn files(&self) -> ModelFiles {
		let dir = self.dir.to_string_lossy().into_owned();
		ModelFiles { dir, kind: self.kind, manifest: self.manifest, batch: self.batch }
	}

	/// A picture gives a sign of life with each step; of anything else those that run together come together.
	fn patience(&self) -> Duration {
		let together = match self.kind {
			ModelKind::TextToImage => 1,
			ModelKind::Tensor | ModelKind::TextEmbedding => self.at_a_time(),
		};
		let expected = Duration::from_millis(self.reference_ms.into());
		(expected * 10 * together).clamp(LEAST_PATIENCE, MOST_PATIENCE)
	}

	/// How many inputs one device runs together at most.
	pub fn at_a_time(&self) -> u32 {
		self.batch.map_or(1, |batch| batch.most.max(1))
	}
}

/// The workers, one for each device, and what they have done.
#[derive(Clone)]
pub struct Workers {
	workers: Vec<Worker>,
	stats: Arc<Stats>,
}

impl Workers {
	/// Begins a worker for each of these devices, all at once; fails if none of them can be used, and does without those that cannot. What they do is counted in `stats`.
	pub async fn start(options: WorkerOptions, devices: &[i32], stats: Arc<Stats>) -> Result<Self> {
		ensure!(!devices.is_empty(), "no device to run models on");
		let started = devices.iter().map(|device| {
			let mut options = options.clone();
			options.runtime.device = *device;
			Worker::start(options)
		});
		let mut workers = Vec::new();
		for (device, started) in devices.iter().zip(join_all(started).await) {
			match started {
				Ok(worker) => {
					stats.runs_on(worker.device, &worker.ready.provider);
					workers.push(worker);
				},
				Err(error) if devices.len() > 1 => {
					let error = format!("{error:#}");
					tracing::error!(device, error, "this device cannot be used; the others are");
				},
				Err(error) => return Err(error),
			}
		}
		ensure!(!workers.is_empty(), "none of the devices {devices:?} can be used");
		Ok(Self { workers, stats })
	}

	/// No device at all.
	pub fn none(stats: Arc<Stats>) -> Self {
		Self { workers: Vec::new(), stats }
	}

	/// Each of them.
	pub fn all(&self) -> &[Worker] {
		&self.workers
	}

	/// Whether there is a device that works.
	pub fn is_alive(&self) -> bool {
		self.workers.iter().any(Worker::is_alive)
	}

	/// What each runs on.
	pub fn ready(&self) -> impl Iterator<Item = &Ready> {
		self.workers.iter().map(|worker| &worker.ready)
	}

	/// Opens models on every device, so that one that cannot be opened is known before work for it is taken: what came of each of them, in their order. Devices open
	/// beside each other; the models of one device, which share its memory, one after the other. `doing` is told what each device is at.
	pub async fn open(&self, models: &[Served], doing: &watch::Sender<Doing>) -> Vec<Result<()>> {
		let devices = self.workers.iter().map(|worker| self.open_all_on(worker, models, doing));
		let mut opened: Vec<Result<()>> = models.iter().map(|_| Ok(())).collect();
		for of_device in join_all(devices).await {
			for (all, one) in opened.iter_mut().zip(of_device) {
				if all.is_ok() {
					*all = one;
				}
			}
		}
		opened
	}

	async fn open_all_on(
		&self,
		worker: &Worker,
		models: &[Served],
		doing: &watch::Sender<Doing>,
	) -> Vec<Result<()>> {
		let mut opened = Vec::new();
		for model in models {
			let what = format!("opening {}", model.dir.display());
			doing.send_modify(|all| drop(all.insert(worker.device, what)));
			opened.push(self.open_on(worker, model).await);
		}
		doing.send_modify(|all| drop(all.insert(worker.device, "ready".into())));
		opened
	}

	async fn open_on(&self, worker: &Worker, model: &Served) -> Result<()> {
		let (device, dir) = (worker.device, model.dir.display());
		let opened = match timeout(OPEN, worker.open(model.files())).await {
			Ok(opened) => opened,
			Err(_) => Err(anyhow!("device {device} has not opened it in {} s", OPEN.as_secs())),
		};
		let opened = opened.with_context(|| format!("model in {dir}"))?;
		self.stats.loaded(device, model.model);
		let ms = opened.millis;
		match opened.trial {
			Ok(trial_ms) => tracing::info!(device, %dir, ms, trial_ms, "model is open"),
			Err(why) => {
				tracing::warn!(device, %dir, why, "model is open, but no input of our own making runs on it");
			},
		}
		Ok(())
	}

	/// Whether this machine can run a model at all: after something else failed.
	pub async fn can_run(&self, model: &Served) -> bool {
		if !self.is_alive() {
			return false;
		}
		for worker in self.workers.iter().filter(|worker| worker.is_alive()) {
			if !worker.open(model.files()).await.is_ok_and(|opened| opened.trial.is_ok()) {
				return false;
			}
		}
		true
	}

	/// Runs one item, that is due at the block `due`, on the device that has least to do; what is due sooner comes first there. Dropping the future gives the job up.
	pub async fn run(
		&self,
		model: &Served,
		run: Run,
		due: BlockNumber,
	) -> Result<Computed, JobError> {
		let alive = self.workers.iter().filter(|worker| worker.is_alive());
		let free = alive.min_by_key(|worker| worker.queued());
		let worker = free.ok_or_else(|| JobError::Machine("no device can be used".into()))?;
		let begun = self.stats.begun(worker.device, model.model);
		let result = worker.run(model.files(), run, model.patience(), due).await;
		match &result {
			Ok(computed) => begun.done(computed.seconds),
			Err(_) => begun.failed(),
		}
		result
	}

	/// Counts what waits, and which processes were begun anew.
	pub fn measure(&self) {
		for worker in &self.workers {
			self.stats.queued(worker.device, worker.queued());
			self.stats.restarts(worker.device, worker.restarts().into());
		}
	}
}
