//! `miner-client worker`: the process that runs models on one device, for the parent on the other end of its standard input and output.

use std::{
	collections::BTreeMap,
	fs,
	io::{self, BufReader, Read, Stdout, Write},
	path::Path,
	process,
	sync::{
		atomic::{AtomicBool, Ordering::Relaxed},
		mpsc, Arc, Mutex, MutexGuard, PoisonError,
	},
	thread,
	time::Instant,
};

use anyhow::{ensure, Context, Result};
use cuckoo_primitives::{sketch::Keys, tolerance::Distance};
use sp_core::H256;

use super::protocol::{self, Answer, Batch, JobId, ModelFiles, Opened, Request, Run};
use crate::{
	calibration::{huge, made_alike, made_input},
	job::{begin, compute, compute_together, Begun, Computed, Item, JobError},
	model::Model,
	pipeline::{Pipeline, Unwatched, Watch},
	runtime::{Options, Provider, Runtime},
};

/// The process ends by itself with this status where CUDA has failed: its context may be of no use any more.
pub const CUDA_FAILED: i32 = 71;
/// In a graph of ONNX: numbers are scaled by the largest of a whole tensor.
const QUANTIZED: &[u8] = b"DynamicQuantize";
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

	let shared =
		Shared { parent, runtime, jobs: Arc::default(), process_limit: settings.process_limit };
	let (jobs, queue) = mpsc::channel();
	let runner = Runner {
		shared: shared.clone(),
		limit: settings.memory_limit,
		open: BTreeMap::new(),
		clock: 0,
	};
	let begun = thread::Builder::new().name("runner".into()).spawn(move || runner.follow(&queue));
	begun.context("cannot start a thread")?;
	let mut from = BufReader::new(io::stdin().lock());
	while let Some(request) = protocol::read(&mut from).context("cannot read what to do")? {
		match request {
			Request::Open(id, model) => {
				jobs.send(Job { id, model, run: None }).context("nobody runs jobs any more")?;
			},
			Request::Run(id, model, run) => {
				shared.jobs().insert(id, Arc::default());
				let job = Job { id, model, run: Some(run) };
				jobs.send(job).context("nobody runs jobs any more")?;
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

/// What the thread that reads and the thread that runs have in common.
#[derive(Clone)]
struct Shared {
	parent: Parent,
	runtime: Runtime,
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
	model: ModelFiles,
	/// Nothing, where the model is only to be opened.
	run: Option<Run>,
}

impl Run {
	fn item(&self) -> Item<'_> {
		Item { keys: &self.keys, item: self.item, input: &self.input }
	}
}

impl Job {
	/// Whether it may be run together with this one.
	fn joins(&self, first: &ModelFiles, run: &Run) -> bool {
		let same = |other: &Run| !other.alone && !run.alone && other.task == run.task;
		self.model.manifest == first.manifest && self.run.as_ref().is_some_and(same)
	}
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

/// Runs one job, or one batch, at a time: two would take the device from each other, and memory for both.
struct Runner {
	shared: Shared,
	/// What the files of the open models may have together, in bytes.
	limit: Option<u64>,
	open: BTreeMap<H256, Open>,
	/// Counts the jobs, so that the model that was used last has the highest number.
	clock: u64,
}

/// An open model.
struct Open {
	pipeline: Pipeline,
	/// How many inputs it runs together.
	most: usize,
	bytes: u64,
	used: u64,
}

impl Runner {
	/// Runs jobs in the order in which they come, those together that may be.
	fn follow(mut self, queue: &mpsc::Receiver<Job>) {
		// Taken from the queue, and not of the batch before it.
		let mut next: Option<Job> = None;
		// Its run, if it was begun while the one before it ran.
		let mut early: Option<Result<Begun, JobError>> = None;
		let mut free = Instant::now();
		while let Some(Job { id, model, run }) = next.take().or_else(|| queue.recv().ok()) {
			// To open a model may take minutes; a run gives signs of life.
			let open = self.open.contains_key(&model.manifest);
			let begun = if open { Answer::Alive(id) } else { Answer::Begun(id) };
			self.shared.parent.tell(&begun);
			let (start, begun_early) = (Instant::now(), early.take());
			let shared = self.shared.clone();
			let opened = match self.opened(&model) {
				Ok(opened) => opened,
				Err(error) => {
					refuse(&shared, id, run.is_some(), format!("{error:#}"));
					continue;
				},
			};
			let Some(run) = run else {
				let millis = start.elapsed().as_millis() as u64;
				let trial = trial(&shared, &opened.pipeline, id);
				let trial = trial.map_err(|error| format!("{error:#}"));
				shared.parent.tell(&Answer::Opened(id, Ok(Opened { millis, trial })));
				continue;
			};
			let mut others = Vec::new();
			while others.len() + 1 < opened.most && next.is_none() {
				match queue.try_recv() {
					Ok(job) if job.joins(&model, &run) => others.push(job),
					Ok(job) => next = Some(job),
					Err(_) => break,
				}
			}
			if others.is_empty() {
				let begun = begun_early.or_else(|| begin(&opened.pipeline, run.item()));
				if let Some(begun) = begun {
					next = next.or_else(|| queue.try_recv().ok());
					early = next
						.as_ref()
						.filter(|job| job.model.manifest == model.manifest)
						// Where several run together, more may come.
						.filter(|_| opened.most == 1 && !run.alone)
						.and_then(|job| job.run.as_ref().filter(|run| !run.alone))
						.and_then(|run| begin(&opened.pipeline, run.item()));
					let result = begun.and_then(|begun| begun.finish(&opened.pipeline, free));
					free = Instant::now();
					answer(&shared, id, result);
					leave_if_too_large(&shared);
					continue;
				}
			}
			let others = others.into_iter().filter_map(|job| Some((job.id, job.run?)));
			let runs = [(id, run)].into_iter().chain(others).collect();
			run_all(&shared, opened, runs);
			free = Instant::now();
		}
	}

	/// A model, opened if it is not open.
	fn opened(&mut self, model: &ModelFiles) -> Result<&mut Open> {
		self.clock += 1;
		let key = model.manifest;
		if !self.open.contains_key(&key) {
			let bytes = size(Path::new(&model.dir));
			self.make_room(bytes);
			let (pipeline, most) = open(&self.shared, model)?;
			self.open.insert(key, Open { pipeline, most, bytes, used: 0 });
		}
		let opened = self.open.get_mut(&key).context("the model was closed at once")?;
		opened.used = self.clock;
		Ok(opened)
	}

	/// Closes models until there is room for so much more: those first that were not used for longest.
	fn make_room(&mut self, bytes: u64) {
		let Some(limit) = self.limit else { return };
		let taken =
			|open: &BTreeMap<H256, Open>| open.values().map(|model| model.bytes).sum::<u64>();
		while taken(&self.open).saturating_add(bytes) > limit {
			let oldest = self.open.iter().min_by_key(|(_, open)| open.used).map(|(key, _)| *key);
			let Some(closed) = oldest.and_then(|key| self.open.remove(&key)) else { break };
			tracing::info!(bytes = closed.bytes, "a model is closed for another");
		}
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

/// Opens a model, and finds out how many inputs it runs together.
fn open(shared: &Shared, model: &ModelFiles) -> Result<(Pipeline, usize)> {
	let files = Model::verify(Path::new(&model.dir))?;
	files.expect(model.manifest)?;
	let pipeline = Pipeline::open(&shared.runtime, &files, model.kind)?;
	let most = match model.batch {
		Some(batch) => match together(&pipeline, &files, batch) {
			Ok(()) => batch.most as usize,
			Err(error) => {
				let why = format!("{error:#}");
				tracing::warn!(dir = model.dir, why, "this model runs one input at a time");
				1
			},
		},
		None => 1,
	};
	Ok((pipeline, most))
}

/// Fails unless inputs of our own making give together what each gives by itself: a first dimension that is open need not be that of the samples. Nor must an input of huge
/// numbers change what comes of those beside it, or whoever posts one could make an honest miner's other results wrong.
fn together(pipeline: &Pipeline, model: &Model, batch: Batch) -> Result<()> {
	for (name, file) in model.graphs() {
		let holds = holds(file, QUANTIZED).with_context(|| name.to_owned())?;
		ensure!(
			!holds,
			"it scales its numbers by the largest of all, so that inputs would change each other"
		);
	}
	let most = batch.most.max(2);
	let inputs = (0..most).map(|number| made_alike(pipeline, number));
	let inputs = inputs.collect::<Result<Vec<_>>>()?;
	same(pipeline, &inputs, most as usize, batch)?;
	if let Some(huge) = huge(pipeline, &inputs[1])? {
		same(pipeline, &[inputs[0].clone(), huge], 1, batch)?;
	}
	Ok(())
}

/// Fails unless the first so many of these inputs give together what each of them gives by itself.
fn same(pipeline: &Pipeline, inputs: &[Vec<u8>], first: usize, batch: Batch) -> Result<()> {
	let keys = Keys::default();
	let items: Vec<Item> =
		inputs.iter().map(|input| Item { keys: &keys, item: 0, input }).collect();
	let all = compute_together(pipeline, &items, &mut Unwatched)
		.context("it takes one at a time, or its inputs differ in shape")??;
	for (input, together) in inputs.iter().zip(all).take(first) {
		let alone = compute(pipeline, &keys, 0, input, &mut Unwatched)?;
		let sketch = |computed: &Computed| computed.leaves.first().map(|leaf| leaf.sketch);
		let (a, b) = (sketch(&alone), sketch(&together?));
		let distance = a.zip(b).and_then(|(a, b)| Distance::of(&a, &b));
		let near = distance.is_some_and(|distance| distance.within(batch.agree));
		ensure!(near, "what it makes of inputs together is not what it makes of each");
	}
	Ok(())
}

/// Whether a file holds these bytes.
fn holds(file: &Path, bytes: &[u8]) -> io::Result<bool> {
	let mut from = fs::File::open(file)?;
	let (mut buffer, mut kept) = (vec![0; 1 << 20], 0);
	loop {
		let read = from.read(&mut buffer[kept..])?;
		if read == 0 {
			return Ok(false);
		}
		let filled = &buffer[..kept + read];
		if filled.windows(bytes.len()).any(|window| window == bytes) {
			return Ok(true);
		}
		// What was found may lie across the end.
		let rest = filled.len().min(bytes.len() - 1);
		let from = filled.len() - rest;
		buffer.copy_within(from..from + rest, 0);
		kept = rest;
	}
}

/// Runs an input that is made by rule: the model is warm after that, and whoever fails at another knows whether this machine can run it at all.
fn trial(shared: &Shared, pipeline: &Pipeline, id: JobId) -> Result<u64> {
	let input = made_input(pipeline)?;
	shared.parent.tell(&Answer::Alive(id));
	let done = compute(pipeline, &Keys::default(), 0, &input, &mut Unwatched)?;
	Ok((done.seconds * 1e3) as u64)
}

fn refuse(shared: &Shared, id: JobId, runs: bool, reason: String) {
	let answer = if runs {
		shared.jobs().remove(&id);
		Answer::Done(id, Err(JobError::Machine(reason)))
	} else {
		Answer::Opened(id, Err(reason))
	};
	shared.parent.tell(&answer);
}

/// Runs jobs together if that goes, one after the other if not.
fn run_all(shared: &Shared, opened: &mut Open, mut runs: Vec<(JobId, Run)>) {
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
		let items: Vec<Item> = runs.iter().map(|(_, run)| run.item()).collect();
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
	let failed = matches!(result, Err(JobError::Runtime(_) | JobError::Machine(_)));
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
			together(&pipeline, model, batch).err().map(|error| format!("{error:#}"))
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
		assert!(why.contains("takes one at a time"), "{why}");
		// Scaled by the largest number of all: inputs of one size agree, and a huge one beside them changes them.
		let (_dir, scaled) = rows(|graph| {
			graph
				.node("Abs", &["x"], "sizes", &[])
				.node("ReduceMax", &["sizes"], "largest", &[("keepdims", 0)])
				.node("Div", &["x", "largest"], "small", &[])
				.node("Round", &["small"], "rough", &[])
				.node("Add", &["x", "rough"], "y", &[])
		});
		assert!(refused(&scaled).is_some());
	}

	#[test]
	fn a_word_is_found_wherever_it_stands() {
		let dir = tempfile::tempdir().unwrap();
		let file = dir.path().join("model.onnx");
		for at in [0, 5, (1 << 20) - 7, (1 << 20) + 3] {
			let mut bytes = vec![b'D'; (1 << 20) + 100];
			fs::write(&file, &bytes).unwrap();
			assert!(!holds(&file, QUANTIZED).unwrap());
			bytes[at..at + QUANTIZED.len()].copy_from_slice(QUANTIZED);
			fs::write(&file, &bytes).unwrap();
			assert!(holds(&file, QUANTIZED).unwrap(), "{at}");
		}
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
