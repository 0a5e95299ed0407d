//! `miner-client worker`: the process that runs models on one device, for the parent on the other end of its standard input and output.

use std::{
	collections::BTreeMap,
	fs,
	io::{self, BufReader, Stdout, Write},
	path::Path,
	process,
	sync::{
		atomic::{AtomicBool, Ordering::Relaxed},
		mpsc, Arc, Mutex, MutexGuard, PoisonError,
	},
	thread::{self, JoinHandle},
	time::Instant,
};

use anyhow::{ensure, Context, Result};
use cuckoo_primitives::{sketch::Keys, tolerance::Distance};
use sp_core::H256;

use super::protocol::{self, Answer, Batch, JobId, ModelFiles, Opened, Request};
use crate::{
	calibration::{made, made_input},
	job::{compute, compute_together, Computed, Item, JobError},
	model::Model,
	pipeline::{Pipeline, Unwatched, Watch},
	runtime::{Options, Provider, Runtime},
};

/// The process ends by itself with this status where CUDA has failed: its context may be of no use any more.
pub const CUDA_FAILED: i32 = 71;
/// The process ends by itself with this status once it takes more memory than it may.
pub const TOO_LARGE: i32 = 72;

/// How a worker runs models.
#[derive(Clone, Debug)]
pub struct Settings {
	/// What they run on.
	pub runtime: Options,
	/// What the files of the open models may have together, in bytes: those that were not used for longest are closed for others.
	pub memory_limit: Option<u64>,
	/// The memory that the process may take on the host, in bytes: one that grows beyond it ends after its job, and is begun anew.
	pub process_limit: Option<u64>,
}

/// Serves the parent until it closes the worker's standard input.
pub fn serve(settings: &Settings) -> Result<()> {
	// If the machine runs out of memory, the worker goes before the miner that can begin it anew.
	if let Err(error) = fs::write("/proc/self/oom_score_adj", "500") {
		tracing::debug!(%error, "cannot offer to be killed first");
	}
	let parent = Parent(Arc::new(Mutex::new(io::stdout())));
	let runtime = match Runtime::load(&settings.runtime) {
		Ok(runtime) => runtime,
		Err(error) => {
			// The parent says it to whom it concerns.
			parent.tell(&Answer::Unusable(error.to_string()));
			parent.leave(1);
		},
	};
	let (library, provider) = (runtime.library().to_string(), runtime.provider().to_string());
	parent.tell(&Answer::Ready { library, provider });

	let shared = Shared {
		parent,
		runtime,
		turn: Arc::default(),
		jobs: Arc::default(),
		process_limit: settings.process_limit,
	};
	let mut models = Models::new(shared.clone(), settings.memory_limit);
	let mut from = BufReader::new(io::stdin().lock());
	while let Some(request) = protocol::read(&mut from).context("cannot read what to do")? {
		match request {
			Request::Open(id, model) => models.hand(model, Job { id, run: None })?,
			Request::Run(id, model, keys, item, input) => {
				shared.jobs().insert(id, Arc::default());
				models.hand(model, Job { id, run: Some(Run { keys, item, input }) })?;
			},
			Request::Cancel(id) => {
				if let Some(cancelled) = shared.jobs().get(&id) {
					cancelled.store(true, Relaxed);
				}
			},
		}
	}
	Ok(())
}

/// Standard output, taken by one thread at a time.
#[derive(Clone)]
struct Parent(Arc<Mutex<Stdout>>);

impl Parent {
	fn tell(&self, answer: &Answer) {
		let mut stdout = self.0.lock().unwrap_or_else(PoisonError::into_inner);
		if protocol::write(&mut *stdout, answer).is_err() {
			// Nobody is there who could want anything.
			process::exit(0);
		}
	}

	/// Ends the process once everything was said.
	fn leave(&self, status: i32) -> ! {
		let mut stdout = self.0.lock().unwrap_or_else(PoisonError::into_inner);
		// Nothing can be done about it here.
		let _ = stdout.flush();
		process::exit(status)
	}
}

/// What the threads of all models have in common.
#[derive(Clone)]
struct Shared {
	parent: Parent,
	runtime: Runtime,
	/// One run at a time has the device: two would take it from each other, and memory for both.
	turn: Arc<Mutex<()>>,
	/// The jobs under way, and whether somebody still waits for them.
	jobs: Arc<Mutex<BTreeMap<JobId, Arc<AtomicBool>>>>,
	process_limit: Option<u64>,
}

impl Shared {
	fn jobs(&self) -> MutexGuard<'_, BTreeMap<JobId, Arc<AtomicBool>>> {
		self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
	}
}

struct Job {
	id: JobId,
	/// Nothing, where the model is only to be opened.
	run: Option<Run>,
}

struct Run {
	keys: Keys,
	item: u32,
	input: Vec<u8>,
}

/// Tells the parent at every occasion that jobs go on, and ends them once nobody waits for any of them.
struct Caller<'a> {
	parent: &'a Parent,
	jobs: &'a [(JobId, Arc<AtomicBool>)],
}

impl Watch for Caller<'_> {
	fn cancelled(&self) -> bool {
		self.jobs.iter().for_each(|(id, _)| self.parent.tell(&Answer::Alive(*id)));
		self.jobs.iter().all(|(_, cancelled)| cancelled.load(Relaxed))
	}
}

/// The open models.
struct Models {
	shared: Shared,
	limit: Option<u64>,
	open: BTreeMap<H256, Open>,
	/// Counts the jobs, so that the model that was used last has the highest number.
	clock: u64,
}

/// A model on its thread.
struct Open {
	jobs: mpsc::Sender<Job>,
	thread: JoinHandle<()>,
	bytes: u64,
	used: u64,
}

impl Models {
	fn new(shared: Shared, limit: Option<u64>) -> Self {
		Self { shared, limit, open: BTreeMap::new(), clock: 0 }
	}

	/// Gives a job to its model's thread, which opens it first if it is not open.
	fn hand(&mut self, model: ModelFiles, job: Job) -> Result<()> {
		self.clock += 1;
		let key = model.manifest;
		// A thread whose model could not be opened has ended: the next job tries again.
		let job = match self.open.get_mut(&key) {
			Some(open) => {
				open.used = self.clock;
				match open.jobs.send(job) {
					Ok(()) => return Ok(()),
					Err(mpsc::SendError(job)) => job,
				}
			},
			None => job,
		};
		self.open.remove(&key);
		let bytes = size(Path::new(&model.dir));
		let closing = self.make_room(bytes);
		let (jobs, queue) = mpsc::channel();
		let shared = self.shared.clone();
		let thread = thread::Builder::new().name("model".into()).spawn(move || {
			// Their memory is free only once they have ended.
			closing.into_iter().for_each(|thread| drop(thread.join()));
			follow(&shared, &model, &queue);
		});
		let thread = thread.context("cannot start a model's thread")?;
		jobs.send(job).context("the model's thread has ended")?;
		self.open.insert(key, Open { jobs, thread, bytes, used: self.clock });
		Ok(())
	}

	/// Closes models until there is room for so much more: those first that were not used for longest. Returns their threads, which finish what they have.
	fn make_room(&mut self, bytes: u64) -> Vec<JoinHandle<()>> {
		let mut closing = Vec::new();
		let Some(limit) = self.limit else { return closing };
		let taken =
			|open: &BTreeMap<H256, Open>| open.values().map(|model| model.bytes).sum::<u64>();
		while taken(&self.open).saturating_add(bytes) > limit {
			let oldest = self.open.iter().min_by_key(|(_, open)| open.used).map(|(key, _)| *key);
			let Some(open) = oldest.and_then(|key| self.open.remove(&key)) else { break };
			tracing::info!(bytes = open.bytes, "a model is closed for another");
			closing.push(open.thread);
		}
		closing
	}
}

/// What the files of a folder have together.
fn size(dir: &Path) -> u64 {
	let Ok(entries) = fs::read_dir(dir) else { return 0 };
	let of = |entry: fs::DirEntry| match entry.metadata() {
		Ok(found) if found.is_dir() => size(&entry.path()),
		Ok(found) => found.len(),
		Err(_) => 0,
	};
	entries.flatten().map(of).sum()
}

/// A model as it is open.
struct Opening {
	pipeline: Pipeline,
	/// How many inputs it runs together.
	most: usize,
}

/// A model's thread: opens it, and runs its jobs, those together that are there.
fn follow(shared: &Shared, model: &ModelFiles, queue: &mpsc::Receiver<Job>) {
	let mut open: Option<Opening> = None;
	// Taken from the queue, and of another sort than those before it.
	let mut held: Option<Job> = None;
	while let Some(job) = held.take().or_else(|| queue.recv().ok()) {
		let turn = shared.turn.lock().unwrap_or_else(PoisonError::into_inner);
		// To open a model may take minutes; a run gives signs of life.
		let begun = if open.is_some() { Answer::Alive(job.id) } else { Answer::Begun(job.id) };
		shared.parent.tell(&begun);
		let start = Instant::now();
		let opened = match open.take() {
			Some(opened) => Ok(opened),
			None => begin(shared, model),
		};
		let opened = match opened {
			Ok(opened) => open.insert(opened),
			Err(error) => {
				refuse(shared, &job, format!("{error:#}"));
				continue;
			},
		};
		match job.run {
			None => {
				let millis = start.elapsed().as_millis() as u64;
				let trial = trial(shared, &opened.pipeline, job.id);
				let trial = trial.map_err(|error| format!("{error:#}"));
				shared.parent.tell(&Answer::Opened(job.id, Ok(Opened { millis, trial })));
			},
			Some(run) => {
				let mut runs = vec![(job.id, run)];
				while runs.len() < opened.most && held.is_none() {
					match queue.try_recv() {
						Ok(Job { id, run: Some(run) }) => runs.push((id, run)),
						Ok(other) => held = Some(other),
						Err(_) => break,
					}
				}
				run_all(shared, opened, runs);
			},
		}
		drop(turn);
	}
}

fn begin(shared: &Shared, model: &ModelFiles) -> Result<Opening> {
	let pipeline = open(shared, model)?;
	let most = match model.batch {
		Some(batch) => match together(&pipeline, batch) {
			Ok(()) => batch.most as usize,
			Err(error) => {
				let why = format!("{error:#}");
				tracing::warn!(dir = model.dir, why, "this model runs one input at a time");
				1
			},
		},
		None => 1,
	};
	Ok(Opening { pipeline, most })
}

/// Whether inputs of our own making give together what each gives by itself: a first dimension that is open need not be that of the samples.
fn together(pipeline: &Pipeline, batch: Batch) -> Result<()> {
	let inputs = [0, 1].map(|number| made(pipeline, number, 1));
	let inputs = inputs.into_iter().collect::<Result<Vec<_>>>()?;
	let keys = Keys::default();
	let items: Vec<Item> =
		inputs.iter().map(|input| Item { keys: &keys, item: 0, input }).collect();
	let all = compute_together(pipeline, &items, &mut Unwatched)
		.context("its files leave no dimension open for more")??;
	for (input, together) in inputs.iter().zip(all) {
		let alone = compute(pipeline, &keys, 0, input, &mut Unwatched)?;
		let sketch = |computed: &Computed| computed.leaves.first().map(|leaf| leaf.sketch);
		let (a, b) = (sketch(&alone), sketch(&together?));
		let distance = a.zip(b).and_then(|(a, b)| Distance::of(&a, &b));
		let near = distance.is_some_and(|distance| distance.within(batch.agree));
		ensure!(near, "what it makes of two inputs together is not what it makes of each");
	}
	Ok(())
}

fn open(shared: &Shared, model: &ModelFiles) -> Result<Pipeline> {
	let files = Model::verify(Path::new(&model.dir))?;
	files.expect(model.manifest)?;
	Pipeline::open(&shared.runtime, &files, model.kind)
}

/// Runs an input that is made by rule: the model is warm after that, and whoever fails at another knows whether this machine can run it at all.
fn trial(shared: &Shared, pipeline: &Pipeline, id: JobId) -> Result<u64> {
	let input = made_input(pipeline)?;
	shared.parent.tell(&Answer::Alive(id));
	let done = compute(pipeline, &Keys::default(), 0, &input, &mut Unwatched)?;
	Ok((done.seconds * 1e3) as u64)
}

fn refuse(shared: &Shared, job: &Job, reason: String) {
	let answer = match job.run {
		None => Answer::Opened(job.id, Err(reason)),
		Some(_) => {
			shared.jobs().remove(&job.id);
			Answer::Done(job.id, Err(JobError::Runtime(reason)))
		},
	};
	shared.parent.tell(&answer);
}

/// Runs jobs together if that goes, one after the other if not.
fn run_all(shared: &Shared, opened: &mut Opening, mut runs: Vec<(JobId, Run)>) {
	let flag = |id: &JobId| (*id, shared.jobs().get(id).cloned().unwrap_or_default());
	runs.retain(|(id, _)| {
		let wanted = !flag(id).1.load(Relaxed);
		if !wanted {
			answer(shared, *id, Err(JobError::Cancelled));
		}
		wanted
	});
	let jobs: Vec<(JobId, Arc<AtomicBool>)> = runs.iter().map(|(id, _)| flag(id)).collect();
	let watch = |jobs| Caller { parent: &shared.parent, jobs };
	if runs.len() > 1 {
		// From here on they run.
		jobs.iter().for_each(|(id, _)| shared.parent.tell(&Answer::Alive(*id)));
		let item = |(_, run): &'_ (JobId, Run)| (run.keys, run.item);
		let keyed: Vec<(Keys, u32)> = runs.iter().map(item).collect();
		let inputs = runs.iter().zip(&keyed);
		let items: Vec<Item> = inputs
			.map(|((_, run), (keys, item))| Item { keys, item: *item, input: &run.input })
			.collect();
		match compute_together(&opened.pipeline, &items, &mut watch(&jobs)) {
			Some(Ok(results)) => {
				for ((id, _), result) in jobs.iter().zip(results) {
					answer(shared, *id, result);
				}
				return leave_if_too_large(shared);
			},
			Some(Err(JobError::Cancelled)) => {
				jobs.iter().for_each(|(id, _)| answer(shared, *id, Err(JobError::Cancelled)));
				return;
			},
			Some(Err(error)) => {
				tracing::warn!(%error, inputs = items.len(), "a batch failed; from now on this model runs one input at a time");
				opened.most = 1;
			},
			None => {},
		}
	}
	for ((id, run), job) in runs.iter().zip(&jobs) {
		shared.parent.tell(&Answer::Alive(*id));
		let watch = &mut watch(std::slice::from_ref(job));
		answer(shared, *id, compute(&opened.pipeline, &run.keys, run.item, &run.input, watch));
	}
	leave_if_too_large(shared);
}

/// Tells the parent what came of a job.
fn answer(shared: &Shared, id: JobId, result: Result<Computed, JobError>) {
	shared.jobs().remove(&id);
	let failed = matches!(result, Err(JobError::Runtime(_)));
	shared.parent.tell(&Answer::Done(id, result.map(Into::into)));
	if failed && matches!(shared.runtime.provider(), Provider::Cuda { .. }) {
		tracing::warn!(
			"CUDA has failed; this process ends, so that the next run has a context that works"
		);
		shared.parent.leave(CUDA_FAILED);
	}
}

fn leave_if_too_large(shared: &Shared) {
	if shared.process_limit.is_some_and(|limit| resident().is_some_and(|bytes| bytes > limit)) {
		tracing::warn!("this process has grown beyond its limit and ends, to be begun anew");
		shared.parent.leave(TOO_LARGE);
	}
}

/// The memory that this process takes, in bytes, where Linux tells.
fn resident() -> Option<u64> {
	let status = fs::read_to_string("/proc/self/status").ok()?;
	let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
	let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
	kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::{
		model::tests::folder,
		pipeline::{graphs::Graph, tensor::tests::doubling_model},
		runtime,
		tensors::{Data, Dtype, Tensor},
	};

	/// A tensor model of vectors of 3, any number of them, that does this with them.
	fn rows(node: impl FnOnce(Graph) -> Graph) -> (tempfile::TempDir, Model) {
		let shape = [None, Some(3)];
		let graph = node(Graph::default().input("x", Dtype::F32, &shape));
		let file = graph.output("y", Dtype::F32, &shape).file();
		let dir = folder(&[("model.onnx", &file)]);
		let model = Model::verify(dir.path()).unwrap();
		(dir, model)
	}

	#[test]
	fn inputs_are_run_together_only_where_that_changes_nothing() {
		let Some(runtime) = runtime::for_tests() else { return };
		let batch = Batch { most: 4, agree: 200 };
		let refused = |model: &Model| {
			let pipeline = Pipeline::open(runtime, model, model.kind()).unwrap();
			together(&pipeline, batch).err().map(|error| format!("{error:#}"))
		};
		let (_dir, each) = rows(|graph| graph.node("Add", &["x", "x"], "y", &[]));
		assert_eq!(refused(&each), None);
		// Sums over the rows: a second input has the first in it.
		let axis = Tensor { shape: vec![], data: Data::I64(vec![0]) };
		let (_dir, all) =
			rows(|graph| graph.constant("axis", &axis).node("CumSum", &["x", "axis"], "y", &[]));
		let why = refused(&all).unwrap();
		assert!(why.contains("not what it makes of each"), "{why}");
		let dir = folder(&[("model.onnx", &doubling_model())]);
		let why = refused(&Model::verify(dir.path()).unwrap()).unwrap();
		assert!(why.contains("no dimension open"), "{why}");
	}

	#[test]
	fn this_process_takes_some_memory() {
		assert!(resident().is_some_and(|bytes| bytes > 1 << 20));
	}

	#[test]
	fn a_folders_size_is_that_of_all_its_files() {
		let dir = tempfile::tempdir().unwrap();
		fs::create_dir(dir.path().join("unet")).unwrap();
		fs::write(dir.path().join("a"), [0; 10]).unwrap();
		fs::write(dir.path().join("unet/b"), [0; 7]).unwrap();
		assert_eq!(size(dir.path()), 17);
		assert_eq!(size(Path::new("/nowhere")), 0);
	}
}
