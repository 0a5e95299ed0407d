//! Keeps one worker alive: begins it, hands it jobs, and begins it anew when it ends, hangs or says what makes no sense.
//!
//! The job that a worker was at when it ended has failed, and whoever gave it may try again. Those that waited behind it are handed to the next worker: they cost nothing.
//! The worker has what it runs and what it runs next, no more: what waits here is handed on by its urgency, and a task that is due sooner overtakes the others. While no process can be
//! begun, jobs are given back at once: another device may have time for them.

use std::{
	collections::BTreeMap,
	io,
	path::PathBuf,
	process::{ExitStatus, Stdio},
	sync::{
		atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed},
		Arc,
	},
	time::{Duration, Instant},
};

use anyhow::{anyhow, bail, ensure, Context, Result};
use clap::ValueEnum;
use cuckoo_client::cli::LogFormat;
use cuckoo_primitives::{BlockNumber, TaskId};
use tokio::{
	process::{Child, ChildStdin, ChildStdout, Command},
	sync::{mpsc, oneshot},
	time::{interval, sleep, timeout, MissedTickBehavior},
};

use super::{
	child::{CUDA_FAILED, TOO_LARGE},
	protocol::{self, Answer, JobId, ModelFiles, Opened, Request, Run},
};
use crate::{
	job::{Computed, JobError},
	runtime::Options,
};

/// How long ONNX Runtime may take to load.
const START: Duration = Duration::from_secs(120);
/// How long a model may take to open.
const OPEN: Duration = Duration::from_secs(600);
/// How long a worker may take to end once it is told to.
const END: Duration = Duration::from_secs(5);
/// How often it is looked whether a job hangs.
const LOOK: Duration = Duration::from_millis(500);
/// Before a worker that has ended is begun anew: from the first time to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A worker that has lived so long has not failed again at once.
const RECOVERED: Duration = Duration::from_secs(60);

/// How workers are begun.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
	/// The program: this one.
	pub program: PathBuf,
	/// How they write their log.
	pub log_format: LogFormat,
	/// What they run models on.
	pub runtime: Options,
	/// What the files of the models that one keeps open may have together, in bytes.
	pub memory_limit: Option<u64>,
	/// The memory that one may take on the host, in bytes.
	pub process_limit: Option<u64>,
}

impl WorkerOptions {
	/// This very program, even if its file was replaced meanwhile.
	pub fn this_program() -> PathBuf {
		PathBuf::from("/proc/self/exe")
	}

	fn command(&self) -> Command {
		let mut command = Command::new(&self.program);
		if let Some(format) = self.log_format.to_possible_value() {
			command.args(["--log-format", format.get_name()]);
		}
		command.arg("worker");
		let Options { library, allow_cpu, device, threads } = &self.runtime;
		command.args(["--device", &device.to_string(), "--threads", &threads.to_string()]);
		if *allow_cpu {
			command.arg("--allow-cpu");
		}
		if let Some(library) = library {
			command.arg("--onnxruntime").arg(library);
		}
		for (name, limit) in
			[("--memory-limit", self.memory_limit), ("--process-limit", self.process_limit)]
		{
			if let Some(limit) = limit {
				command.args([name, &limit.to_string()]);
			}
		}
		// A group of its own: Ctrl-C is for the parent, which lets it finish. It ends with the parent all the same, when its standard input closes.
		command.process_group(0).kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped());
		command
	}
}

/// What a worker runs on, as it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
	/// ONNX Runtime's library, in words.
	pub library: String,
	/// The provider, in words.
	pub provider: String,
}

/// A device's worker. Clones share it; it ends with the last of them.
#[derive(Clone)]
pub struct Worker {
	/// The device's number.
	pub device: i32,
	/// What it runs on.
	pub ready: Ready,
	orders: mpsc::UnboundedSender<Order>,
	queued: Arc<AtomicUsize>,
	restarts: Arc<AtomicU32>,
	process: Arc<AtomicU32>,
	alive: Arc<AtomicBool>,
}

/// When a job is due, and of which task it is: what is less is run first, so that a task's items stay together.
type Urgency = (BlockNumber, TaskId);

/// A job as it is given.
struct Order {
	model: ModelFiles,
	work: Work,
	/// Once it runs: without a sign of life for so long it hangs.
	patience: Duration,
	urgency: Urgency,
}

enum Work {
	Open(oneshot::Sender<Result<Opened, String>>),
	Run { run: Run, reply: oneshot::Sender<Result<Computed, JobError>> },
}

impl Work {
	fn is_wanted(&self) -> bool {
		match self {
			Self::Open(reply) => !reply.is_closed(),
			Self::Run { reply, .. } => !reply.is_closed(),
		}
	}

	/// Whoever gave it may have gone: that is no fault of anybody.
	fn fail(self, reason: String) {
		match self {
			Self::Open(reply) => drop(reply.send(Err(reason))),
			Self::Run { reply, .. } => drop(reply.send(Err(JobError::Machine(reason)))),
		}
	}
}

/// A job under way.
struct Pending {
	order: Order,
	stage: Stage,
	cancelled: bool,
}

/// How far a job has come, and when that was last heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
	/// It waits here.
	Held,
	/// It waits for its turn at the worker.
	Waiting,
	/// Its model is being opened, if it is not open.
	Opening(Instant),
	/// It runs.
	Running(Instant),
}

impl Pending {
	/// Whether there was no sign of life for too long.
	fn hangs(&self, now: Instant) -> bool {
		match self.stage {
			Stage::Held | Stage::Waiting => false,
			Stage::Opening(since) => now.duration_since(since) > OPEN,
			Stage::Running(since) => now.duration_since(since) > self.order.patience,
		}
	}
}

/// Counts a job as long as it is under way.
struct Queued(Arc<AtomicUsize>);

impl Drop for Queued {
	fn drop(&mut self) {
		self.0.fetch_sub(1, Relaxed);
	}
}

impl Worker {
	/// Begins a device's worker; fails if ONNX Runtime cannot be used.
	pub async fn start(options: WorkerOptions) -> Result<Self> {
		let process = Process::start(&options).await?;
		let (orders, received) = mpsc::unbounded_channel();
		let worker = Self {
			device: options.runtime.device,
			ready: process.ready.clone(),
			orders,
			queued: Arc::default(),
			restarts: Arc::default(),
			process: Arc::default(),
			alive: Arc::new(AtomicBool::new(true)),
		};
		let supervisor = Supervisor {
			options,
			received,
			ready: process.ready.clone(),
			pending: BTreeMap::new(),
			last: 0,
			restarts: worker.restarts.clone(),
			process: worker.process.clone(),
			alive: worker.alive.clone(),
		};
		tokio::spawn(supervisor.attend(process));
		Ok(worker)
	}

	/// How many jobs it has.
	pub fn queued(&self) -> usize {
		self.queued.load(Relaxed)
	}

	/// How often it was begun anew.
	pub fn restarts(&self) -> u32 {
		self.restarts.load(Relaxed)
	}

	/// Whether it can be given jobs: not while its process cannot be begun anew.
	pub fn is_alive(&self) -> bool {
		self.alive.load(Relaxed)
	}

	/// The process's number; 0 while there is none.
	pub fn process(&self) -> u32 {
		self.process.load(Relaxed)
	}

	/// Opens a model, if it is not open, and tries it with an input of our own making.
	pub async fn open(&self, model: ModelFiles) -> Result<Opened> {
		let (reply, answer) = oneshot::channel();
		let work = Work::Open(reply);
		self.give(Order { model, work, patience: OPEN, urgency: (0, 0) }, answer)
			.await
			.context("the worker's supervisor has ended")?
			.map_err(|reason| anyhow!(reason))
	}

	/// Runs one item, that is due at the block `due`. Dropping the future gives the job up. `patience` is how long it may go without a sign of life: between two denoising steps, or for all of a tensor model's run.
	pub async fn run(
		&self,
		model: ModelFiles,
		run: Run,
		patience: Duration,
		due: BlockNumber,
	) -> Result<Computed, JobError> {
		let (reply, answer) = oneshot::channel();
		let urgency = (due, run.task);
		let work = Work::Run { run, reply };
		let gone = |_| JobError::Machine("the worker's supervisor has ended".into());
		self.give(Order { model, work, patience, urgency }, answer).await.map_err(gone)?
	}

	async fn give<T>(
		&self,
		order: Order,
		answer: oneshot::Receiver<T>,
	) -> Result<T, oneshot::error::RecvError> {
		self.queued.fetch_add(1, Relaxed);
		let _queued = Queued(self.queued.clone());
		// If nobody receives it, its reply is dropped with it, and the answer fails.
		let _ = self.orders.send(order);
		answer.await
	}
}

/// A worker's process and its two pipes.
struct Process {
	child: Child,
	requests: mpsc::UnboundedSender<Request>,
	answers: mpsc::Receiver<io::Result<Answer>>,
	ready: Ready,
	since: Instant,
}

impl Process {
	async fn start(options: &WorkerOptions) -> Result<Self> {
		let mut child = options.command().spawn().context("cannot begin a worker process")?;
		let stdin = child.stdin.take().context("the worker has no standard input")?;
		let stdout = child.stdout.take().context("the worker has no standard output")?;
		let (requests, to_write) = mpsc::unbounded_channel();
		tokio::spawn(write_all(stdin, to_write));
		// A bound: a worker that says more than is heard has to wait.
		let (to_hear, mut answers) = mpsc::channel(64);
		tokio::spawn(read_all(stdout, to_hear));
		let first = timeout(START, answers.recv()).await.context("ONNX Runtime does not load")?;
		let ready = match first {
			Some(Ok(Answer::Ready { library, provider })) => Ready { library, provider },
			Some(Ok(Answer::Unusable(reason))) => bail!(reason),
			Some(Ok(_)) => bail!("the worker process did not say what it runs on"),
			Some(Err(error)) => return Err(error).context("the worker process makes no sense"),
			None => {
				let status = timeout(END, child.wait()).await;
				bail!(
					"the worker process ended at once: {}",
					describe(status.ok().and_then(Result::ok))
				)
			},
		};
		Ok(Self { child, requests, answers, ready, since: Instant::now() })
	}

	/// Ends it, and says how it had ended.
	async fn end(self) -> Option<ExitStatus> {
		let Self { mut child, requests, answers, .. } = self;
		// Its standard input closes once all was written, at which it ends by itself.
		drop((requests, answers));
		match timeout(END, child.wait()).await {
			Ok(status) => status.ok(),
			Err(_) => kill(child).await,
		}
	}
}

async fn kill(mut child: Child) -> Option<ExitStatus> {
	if let Err(error) = child.kill().await {
		tracing::debug!(%error, "the worker process had ended");
	}
	child.wait().await.ok()
}

async fn write_all(mut stdin: ChildStdin, mut requests: mpsc::UnboundedReceiver<Request>) {
	while let Some(request) = requests.recv().await {
		if protocol::send(&mut stdin, &request).await.is_err() {
			// It has ended, which its other pipe tells.
			return;
		}
	}
}

async fn read_all(mut stdout: ChildStdout, answers: mpsc::Sender<io::Result<Answer>>) {
	while let Some(answer) = protocol::receive(&mut stdout).await.transpose() {
		let last = answer.is_err();
		if answers.send(answer).await.is_err() || last {
			return;
		}
	}
}

fn describe(status: Option<ExitStatus>) -> String {
	match status {
		Some(status) if status.code() == Some(CUDA_FAILED) => "CUDA failed".into(),
		Some(status) if status.code() == Some(TOO_LARGE) => "it took too much memory".into(),
		Some(status) => status.to_string(),
		None => "it cannot be said how".into(),
	}
}

/// Why a process is over.
enum End {
	/// Nobody wants a worker any more.
	Unwanted,
	/// It ended, or makes no sense.
	Failed(Option<io::Error>),
	/// This job hung.
	Hung(JobId),
}

struct Supervisor {
	options: WorkerOptions,
	received: mpsc::UnboundedReceiver<Order>,
	ready: Ready,
	pending: BTreeMap<JobId, Pending>,
	last: JobId,
	restarts: Arc<AtomicU32>,
	process: Arc<AtomicU32>,
	alive: Arc<AtomicBool>,
}

impl Supervisor {
	async fn attend(mut self, mut process: Process) {
		let mut pause = FIRST_PAUSE;
		loop {
			self.process.store(process.child.id().unwrap_or_default(), Relaxed);
			let end = self.serve(&mut process).await;
			self.process.store(0, Relaxed);
			let lived = process.since.elapsed();
			let device = self.options.runtime.device;
			let why = match end {
				End::Unwanted => {
					process.end().await;
					return;
				},
				End::Hung(job) => {
					kill(process.child).await;
					format!("job {job} gave no sign of life and was ended")
				},
				End::Failed(error) => {
					let mut why = describe(process.end().await);
					if let Some(error) = error {
						why = format!("{why}; it said what makes no sense: {error}");
					}
					why
				},
			};
			tracing::warn!(
				device,
				why,
				lived_s = lived.as_secs(),
				"the worker process ended; another is begun"
			);
			self.fail_running(&why);
			self.restarts.fetch_add(1, Relaxed);
			pause = if lived > RECOVERED { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
			process = loop {
				sleep(pause).await;
				match self.again().await {
					Ok(process) => break process,
					Err(error) => {
						tracing::error!(
							device,
							error = format!("{error:#}"),
							"the worker cannot be begun, trying again"
						);
						pause = (pause * 2).min(LONGEST_PAUSE);
						self.give_back(&format!("{error:#}"));
					},
				}
				if self.received.is_closed() && self.received.is_empty() {
					return;
				}
			};
			self.alive.store(true, Relaxed);
		}
	}

	/// There is no process, and who knows when there will be: all jobs go back to those who gave them.
	fn give_back(&mut self, why: &str) {
		self.alive.store(false, Relaxed);
		let why = format!("device {} cannot be used: {why}", self.options.runtime.device);
		for pending in core::mem::take(&mut self.pending).into_values() {
			pending.order.work.fail(why.clone());
		}
		while let Ok(order) = self.received.try_recv() {
			order.work.fail(why.clone());
		}
	}

	/// Begins the process anew. What it runs on stays the same: a GPU that is lost is no reason to go on with the CPU without a word.
	async fn again(&self) -> Result<Process> {
		let process = Process::start(&self.options).await?;
		let (now, before) = (&process.ready.provider, &self.ready.provider);
		ensure!(now == before, "models would run on {now} now, before it was {before}");
		Ok(process)
	}

	/// Hands jobs on and answers back until the process is over.
	async fn serve(&mut self, process: &mut Process) -> End {
		let mut look = interval(LOOK);
		look.set_missed_tick_behavior(MissedTickBehavior::Delay);
		loop {
			self.hand_on(process);
			tokio::select! {
				order = self.received.recv() => match order {
					Some(order) => self.take(order),
					None => return End::Unwanted,
				},
				answer = process.answers.recv() => match answer {
					Some(Ok(answer)) => self.hear(answer),
					Some(Err(error)) => return End::Failed(Some(error)),
					None => return End::Failed(None),
				},
				_ = look.tick() => {
					if let Some(job) = self.look(process) {
						return End::Hung(job);
					}
				},
			}
		}
	}

	fn take(&mut self, order: Order) {
		self.last += 1;
		self.pending.insert(self.last, Pending { order, stage: Stage::Held, cancelled: false });
	}

	/// Gives the worker what it runs next: what is due first, and of that what came first.
	fn hand_on(&mut self, process: &Process) {
		let held = |pending: &Pending| pending.stage == Stage::Held;
		let mut there = self.pending.values().filter(|pending| !held(pending)).count();
		loop {
			let waiting = self.pending.iter_mut().filter(|(_, pending)| held(pending));
			let Some((id, next)) = waiting.min_by_key(|(id, next)| (next.order.urgency, **id))
			else {
				return;
			};
			// One batch that runs, the next, and one whose input is read meanwhile.
			let together = next.order.model.batch.map_or(1, |batch| batch.most.max(1));
			if there > (together as usize).saturating_mul(2) {
				return;
			}
			next.stage = Stage::Waiting;
			// If the process is over, it is sent again to the next.
			let _ = process.requests.send(request(*id, &next.order));
			there += 1;
		}
	}

	fn hear(&mut self, answer: Answer) {
		let now = Instant::now();
		match answer {
			Answer::Begun(id) => self.set_stage(id, Stage::Opening(now)),
			Answer::Alive(id) => self.set_stage(id, Stage::Running(now)),
			Answer::Opened(id, result) => {
				if let Some(Work::Open(reply)) = self.finish(id) {
					let _ = reply.send(result);
				}
			},
			Answer::Done(id, result) => {
				if let Some(Work::Run { reply, .. }) = self.finish(id) {
					let _ = reply.send(result.map(Into::into));
				}
			},
			Answer::Ready { .. } | Answer::Unusable(_) => {
				tracing::warn!("the worker process says again how it has begun");
			},
		}
	}

	fn set_stage(&mut self, id: JobId, stage: Stage) {
		if let Some(pending) = self.pending.get_mut(&id) {
			pending.stage = stage;
		}
	}

	fn finish(&mut self, id: JobId) -> Option<Work> {
		self.pending.remove(&id).map(|pending| pending.order.work)
	}

	/// Cancels what nobody wants any more, and finds a job that hangs.
	fn look(&mut self, process: &Process) -> Option<JobId> {
		self.pending
			.retain(|_, pending| pending.stage != Stage::Held || pending.order.work.is_wanted());
		for (id, pending) in &mut self.pending {
			if !pending.cancelled && !pending.order.work.is_wanted() {
				pending.cancelled = true;
				let _ = process.requests.send(Request::Cancel(*id));
			}
		}
		let now = Instant::now();
		self.pending.iter().find(|(_, pending)| pending.hangs(now)).map(|(id, _)| *id)
	}

	/// The process is over: whatever it was at has failed, and the rest waits for the next.
	fn fail_running(&mut self, why: &str) {
		for (id, mut pending) in core::mem::take(&mut self.pending) {
			if !matches!(pending.stage, Stage::Held | Stage::Waiting) {
				pending.order.work.fail(format!("the worker process ended: {why}"));
			} else if pending.order.work.is_wanted() {
				(pending.cancelled, pending.stage) = (false, Stage::Held);
				self.pending.insert(id, pending);
			}
		}
	}
}

fn request(id: JobId, order: &Order) -> Request {
	let model = order.model.clone();
	match &order.work {
		Work::Open(_) => Request::Open(id, model),
		Work::Run { run, .. } => Request::Run(id, model, run.clone()),
	}
}
