//! The command line.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use cuckoo_client::{
	calls,
	cli::{init_logging, KeyCommand, LogFormat, RegisterArgs},
	plain, Signer,
};
use cuckoo_primitives::{ModelKind, Role};
use serde::Serialize;

use crate::{
	account, bench, calibration,
	config::Config,
	config_show, doctor, gpu, infer, init,
	model::Model,
	rewards,
	run::{self, Until},
	runtime, store, worker,
};

/// How long what still runs may take to end once the program is done.
const LAST_MOMENT: Duration = Duration::from_millis(200);

const STEPS: &str = "\
From nothing to mining:
  1. miner-client key generate --key-file operator.json
       makes the operator's key and prints its account; send it a few CAI for fees.
  2. miner-client models pull MODEL --from URL
       fetches a model; miner-client bench tells whether this machine is fast enough for it.
  3. miner-client register --owner-key-file owner.json --operator ACCOUNT --bond 21000 --name \"My rig\"
       stakes the owner's CAI behind that operator, once. More than 20,000 CAI, with room for a slash; the owner's key can stay elsewhere.
  4. miner-client doctor --key-file operator.json --model-dir MODEL
       looks at ONNX Runtime, the GPU, the model's files, the node and the registration, and says what is missing.
  5. miner-client run --key-file operator.json --model-dir MODEL
       mines until it is told to stop (Ctrl-C finishes what was promised, a second one stops at once).";

/// Runs ONNX models for the Cuckoo network and earns CAI for it.
#[derive(Debug, Parser)]
#[command(name = "miner-client", version, after_help = STEPS)]
struct Cli {
	/// How to write the log, which goes to standard error; RUST_LOG filters it.
	#[arg(long, global = true, value_enum, default_value = "auto", env = "MINER_LOG_FORMAT")]
	log_format: LogFormat,
	#[command(subcommand)]
	command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
	/// Mine: take tasks, run them, show the results, be paid.
	///
	/// Every setting can also stand in a TOML file (--config) as `slots = 2` or in the environment as MINER_SLOTS=2. Flags come before the
	/// environment, the environment before the file.
	Run(RunArgs),
	/// Run a model here, without any chain: one input, or a list of prompts.
	Infer(infer::InferArgs),
	/// Run a model over many inputs under one setting and keep the sketches of its outputs, for `calibrate` on another machine.
	#[command(after_help = calibration::HELP)]
	Sketches(calibration::SketchesArgs),
	/// Measure how close a model's honest results are and make its tolerance of it, unless a cheat could pass for honest.
	///
	/// Runs the model over the same inputs with one thread and with all cores (on the GPU where there is one, and on the CPU beside it with
	/// --allow-cpu), optimised and not, then both cheats, and compares all honest results with each other and the cheats' with the first of them.
	#[command(after_help = calibration::HELP)]
	Calibrate(calibration::CalibrateArgs),
	/// Check a model's folder against its SHA256SUMS and print its manifest, the hash under which a chain knows it.
	Manifest {
		/// The model's folder.
		dir: PathBuf,
	},
	/// Run a model as fast as this machine can, and say how fast that is.
	Bench(bench::BenchArgs),
	/// Write a configuration file with every setting explained, and a folder for keys.
	Init(init::InitArgs),
	/// Print the settings and where they come from.
	#[command(subcommand)]
	Config(config_show::ConfigCommand),
	/// Print the GPUs.
	Devices(gpu::DevicesArgs),
	/// Fetch, check and throw away models.
	#[command(subcommand, after_help = store::HELP)]
	Models(store::ModelsCommand),
	/// Print the pool, its seats, and what is in the way of more.
	Status(account::StatusArgs),
	/// Print what the pool has earned lately.
	Rewards(rewards::RewardsArgs),
	/// Look at everything that mining needs, and say what is missing. Fails if anything is.
	Doctor(Settings),
	/// Make, import or look at the operator's key.
	#[command(subcommand)]
	Key(KeyCommand),
	/// Stake CAI and register a miner with its operator account.
	Register(RegisterArgs),
	/// Tell the chain that this operator takes no more tasks. `run` does so by itself when it ends.
	GoOffline(Settings),
	/// Run models for the process on the other end of standard input and output. `run` begins one for each device.
	#[command(hide = true)]
	Worker(WorkerArgs),
}

/// How a worker process runs models; given by the process that begins it.
#[derive(Args, Debug)]
struct WorkerArgs {
	/// ONNX Runtime's library.
	#[arg(long, value_name = "FILE")]
	onnxruntime: Option<PathBuf>,
	/// Whether the CPU may be used where CUDA cannot.
	#[arg(long)]
	allow_cpu: bool,
	/// The CUDA device.
	#[arg(long, default_value_t = 0)]
	device: i32,
	/// The threads of a session on the CPU.
	#[arg(long, default_value_t = 1)]
	threads: usize,
	/// What the files of the open models may have together, in bytes.
	#[arg(long)]
	memory_limit: Option<u64>,
	/// The memory that the process may take, in bytes.
	#[arg(long)]
	process_limit: Option<u64>,
}

impl WorkerArgs {
	fn settings(self) -> worker::child::Settings {
		let Self { onnxruntime: library, allow_cpu, device, threads, memory_limit, process_limit } =
			self;
		let runtime = runtime::Options { library, allow_cpu, device, threads };
		worker::child::Settings { runtime, memory_limit, process_limit }
	}
}

/// How to mine, and for how long.
#[derive(Args, Debug)]
struct RunArgs {
	/// Open the models, connect, look at the registration, and end: nothing is said to the chain.
	#[arg(long, conflicts_with = "once")]
	dry_run: bool,
	/// Go offline with the first task that comes, and end once it is done.
	#[arg(long)]
	once: bool,
	#[command(flatten)]
	settings: Settings,
}

/// The settings of a miner. Those that are not given come from elsewhere, see [`Config`].
#[derive(Args, Debug, Serialize)]
pub(crate) struct Settings {
	/// A TOML file with settings.
	#[arg(long, value_name = "FILE", env = "MINER_CONFIG")]
	#[serde(skip)]
	pub(crate) config: Option<PathBuf>,
	/// A node's address, ws:// or wss://. Repeat it: the next one is used when one fails. [default: ws://127.0.0.1:9944]
	#[arg(long, value_name = "URL")]
	#[serde(skip_serializing_if = "Vec::is_empty")]
	node_url: Vec<String>,
	/// The chain to work on, by its genesis hash. Without it, the chain of the first node that answers.
	#[arg(long, value_name = "HASH")]
	#[serde(skip_serializing_if = "Option::is_none")]
	genesis: Option<String>,
	/// The operator's key, encrypted, as `key generate` makes it or a wallet exports it.
	#[arg(long, value_name = "FILE")]
	#[serde(skip_serializing_if = "Option::is_none")]
	key_file: Option<PathBuf>,
	/// A file whose first line is the key's password. Without it the password is asked for.
	#[arg(long, value_name = "FILE")]
	#[serde(skip_serializing_if = "Option::is_none")]
	password_file: Option<PathBuf>,
	/// Where promises and results are kept; without it, what was promised cannot be kept. [default: ~/.local/share/cuckoo-miner]
	#[arg(long, value_name = "DIR")]
	#[serde(skip_serializing_if = "Option::is_none")]
	data_dir: Option<PathBuf>,
	/// The folder of a model to serve. Repeat it for more models.
	#[arg(long, value_name = "DIR")]
	#[serde(skip_serializing_if = "Vec::is_empty")]
	model_dir: Vec<PathBuf>,
	/// Where `miner-client models` keeps what it fetches. [default: ~/.local/share/cuckoo-miner/models]
	#[arg(long, value_name = "DIR")]
	#[serde(skip_serializing_if = "Option::is_none")]
	model_store: Option<PathBuf>,
	/// How many tasks to compute at a time. [default: 1]
	#[arg(long, value_name = "N")]
	#[serde(skip_serializing_if = "Option::is_none")]
	slots: Option<u32>,
	/// Where to answer /healthz, /readyz, /metrics and /status; loopback only. [default: 127.0.0.1:9617]
	#[arg(long, value_name = "ADDRESS")]
	#[serde(skip_serializing_if = "Option::is_none")]
	listen: Option<String>,
	/// How many inputs of a task a device runs together. [default: 1]
	#[arg(long, value_name = "N")]
	#[serde(skip_serializing_if = "Option::is_none")]
	batch: Option<u32>,
	/// What the files of the models kept open on a device may have together, in MiB: those not used for longest are closed for others. [default: all stay open]
	#[arg(long, value_name = "MIB")]
	#[serde(skip_serializing_if = "Option::is_none")]
	memory_limit_mb: Option<u64>,
	/// The memory that a worker process may take on the host, in MiB; beyond it it is begun anew. [default: no limit]
	#[arg(long, value_name = "MIB")]
	#[serde(skip_serializing_if = "Option::is_none")]
	worker_limit_mb: Option<u64>,
	#[command(flatten)]
	#[serde(flatten)]
	runtime: RuntimeFlags,
}

impl Settings {
	/// Puts them together with those that come from elsewhere.
	pub(crate) fn read(self) -> Result<Config> {
		let file = self.config.clone();
		Config::read(file.as_deref(), self)
	}
}

/// How models are run.
#[derive(Args, Debug, Serialize)]
pub(crate) struct RuntimeFlags {
	/// ONNX Runtime's library, libonnxruntime.so of version 1.24 or later. [default: ORT_DYLIB_PATH, then beside this program, then /usr/local/lib]
	#[arg(long, value_name = "FILE")]
	#[serde(skip_serializing_if = "Option::is_none")]
	onnxruntime: Option<PathBuf>,
	/// Run on the CPU where CUDA cannot be used. Never happens without this.
	#[arg(long)]
	#[serde(skip_serializing_if = "std::ops::Not::not")]
	allow_cpu: bool,
	/// The CUDA device. Repeat it for more: each has a worker process of its own. [default: 0]
	#[arg(long = "device", value_name = "N")]
	#[serde(skip_serializing_if = "Vec::is_empty")]
	devices: Vec<i32>,
	/// The threads of a session on the CPU. [default: all cores]
	#[arg(long, value_name = "N")]
	#[serde(skip_serializing_if = "Option::is_none")]
	threads: Option<usize>,
}

/// A model's kind as people write it.
pub(crate) fn parse_kind(text: &str) -> Result<ModelKind, String> {
	match text {
		"text-to-image" => Ok(ModelKind::TextToImage),
		"text-embedding" => Ok(ModelKind::TextEmbedding),
		"tensor" => Ok(ModelKind::Tensor),
		_ => Err("expected text-to-image, text-embedding or tensor".into()),
	}
}

/// The whole program.
pub fn main() -> ExitCode {
	// NVML counts devices by their bus, CUDA by their speed unless it is told otherwise. Workers inherit it.
	std::env::set_var("CUDA_DEVICE_ORDER", "PCI_BUS_ID");
	let Cli { log_format, command } = Cli::parse();
	init_logging(log_format);
	match execute(command, log_format) {
		Ok(()) => ExitCode::SUCCESS,
		Err(error) => {
			eprintln!("error: {}", plain::text(&format!("{error:#}")));
			ExitCode::FAILURE
		},
	}
}

fn execute(command: Command, log_format: LogFormat) -> Result<()> {
	match command {
		Command::Run(RunArgs { dry_run, once, settings }) => {
			let until = match (dry_run, once) {
				(true, _) => Until::Ready,
				(false, true) => Until::FirstTask,
				(false, false) => Until::Stopped,
			};
			block_on(run::run(settings.read()?, log_format, until))
		},
		Command::Infer(args) => infer::infer(args),
		Command::Sketches(args) => calibration::sketches(args),
		Command::Calibrate(args) => calibration::calibrate(args),
		Command::Manifest { dir } => {
			println!("{:?}", Model::verify(&dir)?.manifest());
			Ok(())
		},
		Command::Bench(args) => block_on(bench::bench(args)),
		Command::Init(args) => init::command(&args),
		Command::Config(command) => command.run(),
		Command::Devices(args) => gpu::devices(&args),
		Command::Models(command) => block_on(command.run()),
		Command::Status(args) => block_on(account::status(args)),
		Command::Rewards(args) => block_on(rewards::rewards(args)),
		Command::Doctor(settings) => block_on(doctor::doctor(settings.read()?)),
		Command::Key(command) => command.run(),
		Command::Register(args) => block_on(args.run(Role::Miner)),
		Command::GoOffline(settings) => block_on(go_offline(settings.read()?)),
		Command::Worker(args) => worker::child::serve(&args.settings()),
	}
}

fn block_on(work: impl std::future::Future<Output = Result<()>>) -> Result<()> {
	let runtime = tokio::runtime::Runtime::new().context("cannot start the program's threads")?;
	let result = runtime.block_on(work);
	// What is stopped in the middle is in the journal.
	runtime.shutdown_timeout(LAST_MOMENT);
	result
}

async fn go_offline(config: Config) -> Result<()> {
	let key = config.key()?;
	let signer = Signer::start(config.connect().await?, key).await?;
	let included = signer.submit(calls::go_offline()).await?;
	println!("{} is offline since block {}", signer.account(), included.block);
	Ok(())
}

#[cfg(test)]
mod tests {
	use super::*;
	use clap::CommandFactory;

	#[test]
	fn the_command_line_is_sound() {
		Cli::command().debug_assert();
	}

	#[test]
	fn only_given_flags_override_what_stands_elsewhere() {
		let line = "miner-client run --slots 3 --allow-cpu --model-dir a --model-dir b";
		let Command::Run(run) = Cli::parse_from(line.split(' ')).command else { panic!() };
		let given = serde_json::to_value(run.settings).unwrap();
		let expected = serde_json::json!({"slots": 3, "allow_cpu": true, "model_dir": ["a", "b"]});
		assert_eq!(given, expected);
		let Command::Doctor(settings) = Cli::parse_from(["miner-client", "doctor"]).command else {
			panic!()
		};
		assert_eq!(serde_json::to_value(settings).unwrap(), serde_json::json!({}));
	}

	#[test]
	fn kinds_are_written_with_hyphens() {
		assert_eq!(parse_kind("text-to-image"), Ok(ModelKind::TextToImage));
		assert_eq!(parse_kind("text-embedding"), Ok(ModelKind::TextEmbedding));
		assert_eq!(parse_kind("tensor"), Ok(ModelKind::Tensor));
		assert!(parse_kind("picture").is_err());
	}
}
