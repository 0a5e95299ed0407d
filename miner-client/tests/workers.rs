//! Worker processes as the miner keeps them, with the demo model on the CPU. What is killed, stopped or refused here is always the worker of the test itself.

#![allow(clippy::unwrap_used)]

use std::{
	env, fs,
	path::{Path, PathBuf},
	process::Command,
	sync::{Arc, Mutex},
	time::{Duration, Instant},
};

use cuckoo_client::cli::LogFormat;
use cuckoo_primitives::{
	sketch::Keys, tolerance::Distance, work::TextToImageInput, BlockNumber, ModelKind,
};
use futures::future::join_all;
use miner_client::{
	job::{Computed, JobError},
	model::Model,
	notify::Doing,
	runtime,
	stats::Stats,
	tensors::{self, Data, Tensor},
	worker::{
		protocol::{Batch, ModelFiles, Run},
		supervisor::{Worker, WorkerOptions},
		Served, Workers,
	},
};
use sha2::{Digest, Sha256};
use sp_core::H256;
use tempfile::TempDir;
use tokio::{
	sync::watch,
	time::{sleep, timeout},
};

/// Long enough for a slow machine.
const LONG: Duration = Duration::from_secs(120);

/// What is due at the same time is run in the order in which it comes.
const DUE: BlockNumber = 0;

/// An item of task 1.
fn item(input: Vec<u8>) -> Run {
	Run { task: 1, item: 0, keys: Keys::default(), input, alone: false }
}

/// How workers are begun here; nothing, said aloud, where there is no ONNX Runtime.
fn options() -> Option<WorkerOptions> {
	let Some(library) = env::var_os("ORT_DYLIB_PATH") else {
		eprintln!("skipped: ORT_DYLIB_PATH does not name a library of ONNX Runtime");
		return None;
	};
	Some(WorkerOptions {
		program: env!("CARGO_BIN_EXE_miner-client").into(),
		log_format: LogFormat::Text,
		runtime: runtime::Options {
			library: Some(library.into()),
			allow_cpu: true,
			device: 0,
			threads: 1,
		},
		memory_limit: None,
		process_limit: None,
	})
}

fn demo() -> PathBuf {
	Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/demo-model/model")
}

fn files(dir: &Path) -> ModelFiles {
	let manifest = Model::verify(dir).unwrap().manifest();
	ModelFiles {
		dir: dir.display().to_string(),
		kind: ModelKind::TextToImage,
		manifest,
		batch: None,
	}
}

/// The demo model's files with a note beside them: another model.
fn another() -> TempDir {
	fn copy(from: &Path, to: &Path) {
		fs::create_dir_all(to).unwrap();
		for entry in fs::read_dir(from).unwrap() {
			let entry = entry.unwrap();
			let target = to.join(entry.file_name());
			if entry.file_type().unwrap().is_dir() {
				copy(&entry.path(), &target);
			} else {
				fs::copy(entry.path(), target).unwrap();
			}
		}
	}
	let dir = tempfile::tempdir().unwrap();
	copy(&demo(), dir.path());
	// An empty file has this hash.
	let sums = dir.path().join("SHA256SUMS");
	let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  zzz.txt\n";
	fs::write(dir.path().join("zzz.txt"), "").unwrap();
	fs::write(&sums, fs::read_to_string(&sums).unwrap() + empty).unwrap();
	dir
}

/// A model that looks up a number in a table of sixteen, by hand in ONNX's protobuf: y = Gather(table, i).
fn table() -> TempDir {
	fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
		// Longer than 127 takes two bytes.
		let (low, high) = ((bytes.len() & 127) as u8, (bytes.len() >> 7) as u8);
		let length = if high == 0 { vec![low] } else { vec![low | 128, high] };
		[vec![(number << 3) | 2], length, bytes.to_vec()].concat()
	}
	let port = |name: &[u8], dtype: u8| {
		let shape = field(2, &field(1, &[1 << 3, 1]));
		let tensor = [vec![1 << 3, dtype], shape].concat();
		[field(1, name), field(2, &field(1, &tensor))].concat()
	};
	let node = [field(1, b"table"), field(1, b"i"), field(2, b"y"), field(4, b"Gather")].concat();
	let values: Vec<u8> = (0..16u8).flat_map(|n| f32::from(n).to_le_bytes()).collect();
	let table = [vec![1 << 3, 16, 2 << 3, 1], field(8, b"table"), field(9, &values)].concat();
	let graph = [
		field(1, &node),
		field(2, b"lookup"),
		field(5, &table),
		field(11, &port(b"i", 7)),
		field(12, &port(b"y", 1)),
	]
	.concat();
	let opset = [field(1, b""), vec![2 << 3, 13]].concat();
	let model = [vec![1 << 3, 8], field(7, &graph), field(8, &opset)].concat();
	let dir = tempfile::tempdir().unwrap();
	fs::write(dir.path().join("model.onnx"), &model).unwrap();
	let hash = hex::encode(Sha256::digest(&model));
	fs::write(dir.path().join("SHA256SUMS"), format!("{hash}  model.onnx\n")).unwrap();
	dir
}

fn index(i: i64) -> Vec<u8> {
	let tensor = Tensor { shape: vec![1], data: Data::I64(vec![i]) };
	tensors::write([("i", &tensor)]).unwrap()
}

fn picture(steps: u32) -> Vec<u8> {
	serde_json::to_vec(&TextToImageInput {
		prompt: "a red circle above a blue square".into(),
		negative_prompt: String::new(),
		seed: 1,
		steps,
		guidance_scale: 4.0,
	})
	.unwrap()
}

fn signal(worker: &Worker, signal: &str) {
	let process = worker.process();
	assert_ne!(process, 0, "there is no process");
	let done = Command::new("kill").args([signal, &process.to_string()]).status().unwrap();
	assert!(done.success());
}

async fn one(worker: &Worker, model: &ModelFiles, steps: u32) -> Result<H256, JobError> {
	let run = worker.run(model.clone(), item(picture(steps)), LONG, DUE);
	let done = timeout(LONG, run).await.expect("the worker does not answer")?;
	Ok(done.leaves[0].hash)
}

/// Until the job that was given has its turn: the worker takes up the CPU.
async fn until_busy(worker: &Worker) {
	let ticks = || {
		let stat = fs::read_to_string(format!("/proc/{}/stat", worker.process())).ok()?;
		stat.rsplit(')').next()?.split_whitespace().nth(11)?.parse::<u64>().ok()
	};
	let before = ticks().unwrap();
	let start = Instant::now();
	while ticks().is_none_or(|now| now < before + 3) {
		assert!(start.elapsed() < LONG, "it never begins");
		sleep(Duration::from_millis(20)).await;
	}
}

#[tokio::test]
async fn a_worker_gives_what_the_model_gives_each_time() {
	let Some(options) = options() else { return };
	let worker = Worker::start(options).await.unwrap();
	assert!(worker.ready.provider.starts_with("CPU"), "{}", worker.ready.provider);
	let model = files(&demo());
	let opened = worker.open(model.clone()).await.unwrap();
	assert!(opened.trial.is_ok(), "{opened:?}");
	let first = one(&worker, &model, 2).await.unwrap();
	assert_eq!(one(&worker, &model, 2).await.unwrap(), first);
	assert_ne!(one(&worker, &model, 3).await.unwrap(), first);
	// What the input is at fault for is no fault of the worker.
	let bad = worker.run(model.clone(), item(b"no job".to_vec()), LONG, DUE).await;
	assert!(matches!(bad, Err(JobError::Input(_))), "{bad:?}");
	assert_eq!((worker.restarts(), worker.queued()), (0, 0));
}

#[tokio::test]
async fn a_killed_worker_costs_the_run_that_it_was_at_and_no_other() {
	let Some(options) = options() else { return };
	let worker = Worker::start(options).await.unwrap();
	let model = files(&demo());
	let expected = one(&worker, &model, 2).await.unwrap();
	let (long, next) = tokio::join!(one(&worker, &model, 150), async {
		until_busy(&worker).await;
		// Frozen, or a fast machine would be done with it too soon.
		signal(&worker, "-STOP");
		let next = one(&worker, &model, 2);
		tokio::pin!(next);
		// It stands behind the long one when that is killed.
		assert!(timeout(Duration::from_millis(300), &mut next).await.is_err());
		signal(&worker, "-KILL");
		next.await
	},);
	let error = long.unwrap_err();
	assert!(matches!(&error, JobError::Machine(why) if why.contains("signal: 9")), "{error}");
	assert_eq!(next.unwrap(), expected);
	assert_eq!(worker.restarts(), 1);
}

#[tokio::test]
async fn a_run_without_a_sign_of_life_is_ended() {
	let Some(options) = options() else { return };
	let worker = Worker::start(options).await.unwrap();
	let model = files(&demo());
	let expected = one(&worker, &model, 2).await.unwrap();
	let short = Duration::from_secs(3);
	let (hung, ()) =
		tokio::join!(worker.run(model.clone(), item(picture(150)), short, DUE), async {
			until_busy(&worker).await;
			signal(&worker, "-STOP");
		},);
	let error = hung.unwrap_err();
	assert!(matches!(&error, JobError::Machine(why) if why.contains("sign of life")), "{error}");
	assert_eq!(one(&worker, &model, 2).await.unwrap(), expected);
	assert_eq!(worker.restarts(), 1);
}

#[tokio::test]
async fn a_run_that_nobody_waits_for_is_dropped() {
	let Some(options) = options() else { return };
	let worker = Worker::start(options).await.unwrap();
	let model = files(&demo());
	one(&worker, &model, 2).await.unwrap();
	let start = Instant::now();
	one(&worker, &model, 2).await.unwrap();
	let short = start.elapsed();
	let long = one(&worker, &model, 150);
	assert!(timeout(short, long).await.is_err());
	let start = Instant::now();
	one(&worker, &model, 2).await.unwrap();
	// All 150 steps would have taken several times as long.
	let waited = start.elapsed();
	assert!(waited < short * 20 + Duration::from_millis(500), "{waited:?} for {short:?}");
	assert_eq!((worker.restarts(), worker.queued()), (0, 0));
}

#[tokio::test]
async fn a_worker_that_grows_beyond_its_limit_is_begun_anew() {
	let Some(mut options) = options() else { return };
	options.process_limit = Some(1 << 20);
	let worker = Worker::start(options).await.unwrap();
	let model = files(&demo());
	let first = one(&worker, &model, 2).await.unwrap();
	assert_eq!(one(&worker, &model, 2).await.unwrap(), first);
	assert!(worker.restarts() >= 1);
}

/// How many models of this kind the worker has open: each of their three networks has a thread of that name.
fn open_models(worker: &Worker) -> usize {
	let threads = fs::read_dir(format!("/proc/{}/task", worker.process())).unwrap();
	let name = |thread: PathBuf| fs::read_to_string(thread.join("comm")).unwrap_or_default();
	threads.flatten().filter(|thread| name(thread.path()).trim() == "onnx").count() / 3
}

#[tokio::test]
async fn models_make_room_for_each_other() {
	let Some(mut options) = options() else { return };
	options.memory_limit = Some(1);
	let worker = Worker::start(options).await.unwrap();
	let other = another();
	let (model, other) = (files(&demo()), files(other.path()));
	assert_ne!(model.manifest, other.manifest);
	let expected = one(&worker, &model, 2).await.unwrap();
	for model in [&other, &model, &other] {
		assert_eq!(one(&worker, model, 2).await.unwrap(), expected);
		assert_eq!(open_models(&worker), 1);
	}
	assert_eq!(worker.restarts(), 0);
}

#[tokio::test]
async fn a_folder_that_is_not_the_model_any_more_is_not_run() {
	let Some(options) = options() else { return };
	let worker = Worker::start(options).await.unwrap();
	let dir = another();
	let model = files(dir.path());
	fs::write(dir.path().join("unet/model.onnx"), "something else").unwrap();
	let error = worker.open(model.clone()).await.unwrap_err();
	assert!(format!("{error:#}").contains("unet/model.onnx"), "{error:#}");
	let error = one(&worker, &model, 2).await.unwrap_err();
	assert!(error.to_string().contains("SHA-256"), "{error}");
	// Others are run as before.
	one(&worker, &files(&demo()), 2).await.unwrap();
}

fn stats(devices: &[i32]) -> Arc<Stats> {
	Arc::new(Stats::new(devices))
}

#[tokio::test]
async fn an_input_at_fault_is_told_from_a_machine_at_fault() {
	let Some(options) = options() else { return };
	let workers = Workers::start(options, &[0], stats(&[0])).await.unwrap();
	let dir = table();
	let manifest = Model::verify(dir.path()).unwrap().manifest();
	let mut model = Served {
		model: 3,
		dir: dir.path().to_path_buf(),
		kind: ModelKind::Tensor,
		manifest,
		reference_ms: 1,
		batch: None,
	};
	workers.run(&model, item(index(2)), DUE).await.unwrap();
	// The table ends before that.
	let beyond = workers.run(&model, item(index(99)), DUE).await;
	let error = beyond.unwrap_err();
	assert!(matches!(error, JobError::Input(_)), "{error}");
	assert!(workers.can_run(&model).await);
	model.dir = "/nowhere".into();
	model.manifest = H256::zero();
	assert!(!workers.can_run(&model).await);
}

#[tokio::test]
async fn what_cannot_be_loaded_is_told_at_the_start() {
	let Some(mut options) = options() else { return };
	options.runtime.library = Some("/nowhere/libonnxruntime.so".into());
	let error = Worker::start(options.clone()).await.err().unwrap();
	assert!(format!("{error:#}").contains("/nowhere/libonnxruntime.so"), "{error:#}");
	options.program = "/bin/true".into();
	let error = Worker::start(options.clone()).await.err().unwrap();
	assert!(format!("{error:#}").contains("ended at once"), "{error:#}");
	options.program = "/bin/echo".into();
	let error = Worker::start(options).await.err().unwrap();
	assert!(format!("{error:#}").contains("makes no sense"), "{error:#}");
}

#[tokio::test]
async fn two_devices_share_the_work() {
	let Some(options) = options() else { return };
	// On the CPU each number is a process of its own.
	let stats = stats(&[0, 1]);
	let workers = Workers::start(options, &[0, 1], stats.clone()).await.unwrap();
	let dir = demo();
	let manifest = Model::verify(&dir).unwrap().manifest();
	let (kind, reference_ms, batch) = (ModelKind::TextToImage, 1_000, None);
	let model = Served { model: 3, dir, kind, manifest, reference_ms, batch };
	let (doing, mut seen) = watch::channel(Doing::new());
	let models = [Served { model: 4, dir: "/nowhere".into(), ..model.clone() }, model.clone()];
	let (opened, both) = tokio::join!(workers.open(&models, &doing), async {
		// A copy: nobody can tell anything as long as this is looked at.
		timeout(LONG, seen.wait_for(|all| all.len() == 2)).await.unwrap().unwrap().clone()
	});
	// Neither waits for the other, and one model not for another that cannot be opened.
	assert!(both.values().all(|what| what == "opening /nowhere"), "{both:?}");
	let why = format!("{:#}", opened[0].as_ref().unwrap_err());
	assert!(why.contains("model in /nowhere"), "{why}");
	opened[1].as_ref().unwrap();
	assert!(seen.borrow().values().all(|what| what == "ready"));
	let run = || workers.run(&model, item(picture(60)), DUE);
	let (a, b, busy) = tokio::join!(run(), run(), async {
		sleep(Duration::from_millis(50)).await;
		workers.all().iter().map(Worker::queued).collect::<Vec<_>>()
	});
	assert_eq!(a.unwrap().leaves, b.unwrap().leaves);
	assert_eq!(busy, [1, 1]);
	workers.measure();
	for device in stats.snapshot() {
		assert_eq!((device.done, device.failed, &device.loaded[..]), (1, 0, &[3][..]));
		assert!(device.busy > 0.0 && device.provider.contains("CPU"), "{device:?}");
	}
}

#[tokio::test]
async fn what_is_due_first_is_run_first() {
	let Some(options) = options() else { return };
	let worker = Worker::start(options).await.unwrap();
	let model = files(&demo());
	worker.open(model.clone()).await.unwrap();
	let order = Mutex::new(Vec::new());
	let job = async |name: char, (due, task)| {
		worker.run(model.clone(), Run { task, ..item(picture(4)) }, LONG, due).await.unwrap();
		order.lock().unwrap().push(name);
	};
	// The worker has the first three when the others come: what it runs, and what it runs next.
	tokio::join!(
		job('a', (20, 1)),
		job('b', (20, 1)),
		job('x', (20, 9)),
		job('c', (20, 3)),
		job('d', (20, 2)),
		job('e', (10, 9)),
		job('f', (20, 2)),
	);
	assert_eq!(order.into_inner().unwrap(), ['a', 'b', 'x', 'e', 'd', 'f', 'c']);
}

#[tokio::test]
async fn pictures_made_together_are_those_made_alone() {
	let Some(options) = options() else { return };
	let worker = Worker::start(options).await.unwrap();
	let alone = files(&demo());
	let together = ModelFiles { batch: Some(Batch { most: 4, agree: 200 }), ..alone.clone() };
	let input = |seed: u64| {
		let job: TextToImageInput = serde_json::from_slice(&picture(4)).unwrap();
		serde_json::to_vec(&TextToImageInput { seed, ..job }).unwrap()
	};
	let run = |model: &ModelFiles, seed: u64| {
		let (model, input, worker) = (model.clone(), input(seed), worker.clone());
		async move { worker.run(model, item(input), LONG, DUE).await.unwrap() }
	};
	let mut expected = Vec::new();
	for seed in 0..6 {
		expected.push(run(&alone, seed).await);
	}
	// A worker keeps a model as it was opened first.
	let Some(options) = self::options() else { return };
	let worker = Worker::start(options).await.unwrap();
	worker.open(together.clone()).await.unwrap();
	let jobs = (0..6).map(|seed| worker.run(together.clone(), item(input(seed)), LONG, DUE));
	// One that cannot be run is among them.
	let bad = worker.run(together.clone(), item(b"no job".to_vec()), LONG, DUE);
	let (found, bad) = tokio::join!(join_all(jobs), bad);
	assert!(matches!(bad, Err(JobError::Input(_))), "{bad:?}");
	let found: Vec<Computed> = found.into_iter().map(Result::unwrap).collect();
	for (alone, found) in expected.iter().zip(&found) {
		let distance = Distance::of(&alone.leaves[0].sketch, &found.leaves[0].sketch).unwrap();
		assert!(distance.within(200), "{distance:?}");
	}
	// Each took its part of the time that all of them took.
	let mut times: Vec<u64> = found.iter().map(|done| done.seconds.to_bits()).collect();
	times.sort_unstable();
	times.dedup();
	assert!(times.len() <= 4, "no two of them were run together: {found:?}");
}

#[tokio::test]
async fn a_model_that_takes_one_input_runs_one() {
	let Some(options) = options() else { return };
	let worker = Worker::start(options).await.unwrap();
	let dir = table();
	let model = ModelFiles {
		kind: ModelKind::Tensor,
		batch: Some(Batch { most: 8, agree: 200 }),
		..files(dir.path())
	};
	let jobs = (0..8).map(|at| worker.run(model.clone(), item(index(at)), LONG, DUE));
	for (at, done) in join_all(jobs).await.into_iter().enumerate() {
		let output = tensors::read(&done.unwrap().output).unwrap();
		assert_eq!(output["y"], Tensor::f32([1], vec![at as f32]));
	}
}

#[tokio::test]
async fn items_of_two_tasks_never_run_together() {
	let Some(options) = options() else { return };
	let worker = Worker::start(options).await.unwrap();
	let model = ModelFiles { batch: Some(Batch { most: 4, agree: 200 }), ..files(&demo()) };
	worker.open(model.clone()).await.unwrap();
	let alone = |task, alone| Run { task, alone, ..item(picture(4)) };
	// Each of another task, or such that have failed before.
	let jobs = [alone(1, false), alone(2, false), alone(3, false), alone(3, true), alone(3, true)];
	let jobs = jobs.map(|run| worker.run(model.clone(), run, LONG, DUE));
	let done: Vec<Computed> = join_all(jobs).await.into_iter().map(Result::unwrap).collect();
	for other in &done[1..] {
		assert_eq!(other.output, done[0].output, "run by itself it is the same to the bit");
	}
	let mut times: Vec<u64> = done.iter().map(|done| done.seconds.to_bits()).collect();
	times.sort_unstable();
	times.dedup();
	assert_eq!(times.len(), done.len(), "{done:?}");
}

#[tokio::test]
async fn a_device_that_is_lost_gives_its_work_back_until_it_returns() {
	let Some(mut options) = options() else { return };
	let dir = tempfile::tempdir().unwrap();
	let program = dir.path().join("miner-client");
	fs::copy(&options.program, &program).unwrap();
	options.program = program.clone();
	let worker = Worker::start(options).await.unwrap();
	let model = files(&demo());
	let expected = one(&worker, &model, 2).await.unwrap();
	// Without the program no process can be begun: so it is when a GPU has fallen off the bus.
	let away = dir.path().join("away");
	fs::rename(&program, &away).unwrap();
	let (first, second, ()) = tokio::join!(
		worker.run(model.clone(), item(picture(150)), LONG, DUE),
		worker.run(model.clone(), item(picture(2)), LONG, DUE),
		async {
			until_busy(&worker).await;
			signal(&worker, "-KILL");
		}
	);
	for lost in [first, second] {
		assert!(matches!(lost, Err(JobError::Machine(_))), "{lost:?}");
	}
	assert!(!worker.is_alive());
	fs::rename(&away, &program).unwrap();
	let back = async {
		while !worker.is_alive() {
			sleep(Duration::from_millis(20)).await;
		}
	};
	timeout(LONG, back).await.unwrap();
	assert_eq!(one(&worker, &model, 2).await.unwrap(), expected);
}
