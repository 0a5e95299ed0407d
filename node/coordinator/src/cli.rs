//! The command line.

use std::{
	fs::File,
	io::Read,
	path::{Path, PathBuf},
};

use anyhow::{ensure, Context};
use clap::{Args, Parser, Subcommand, ValueEnum};
use cuckoo_client::{
	calls::{self, ShownItem},
	cli::{
		ensure_fits, format_cai, init_logging, parse_cai, KeyArgs, KeyCommand, LogFormat, NodeArgs,
		RegisterArgs,
	},
	events, Signer,
};
use cuckoo_primitives::{
	merkle::{self, SKETCH_BYTES},
	tolerance::{Leaf, Tolerance},
	Balance, BlockNumber, ModelId, ModelKind, Role, TaskId, MAX_LINE_BYTES,
};
use serde::Deserialize;
use sp_core::H256;
use sp_crypto_hashing::blake2_256;

use crate::{
	config::{Config, Flags, ENV_CONFIG},
	keys_cli::ApiKeyCommand,
	server,
};

/// The largest calibration report that is read.
const MAX_REPORT_BYTES: u64 = 16 << 20;

/// Serves AI models to applications over HTTP: posts their requests to the Cuckoo chain, hands the work to the miners
/// that the chain draws, and the results back.
///
/// To start one: make a key for the operator (`key generate`), have the staker register it as a coordinator (`register`), send the
/// operator account some CAI for fees, and `run`.
#[derive(Debug, Parser)]
#[command(name = "cuckoo-coordinator", version, max_term_width = 100)]
pub struct Cli {
	/// How the log on standard error looks.
	#[arg(long, global = true, value_enum, default_value_t)]
	log_format: LogFormat,
	#[command(subcommand)]
	command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
	/// Serve applications and miners.
	///
	/// Every option can also be set by an environment variable, CUCKOO_COORDINATOR_ and its name in capitals, or by a line of a TOML
	/// file, both with _ for -. Flags win over the environment, and the environment over the file.
	///
	/// One thing has no flag: what is offered for an inference of a single model. It stands in a table `fees` of the file, in CAI, by the model's number or by
	/// the name that means it (`GET /v1/models` lists those), such as `shapes = 0.5` or `3 = 0.25`; a number goes before a name.
	Run {
		/// A TOML file of options.
		#[arg(long, value_name = "FILE", env = ENV_CONFIG)]
		config: Option<PathBuf>,
		#[command(flatten)]
		flags: Box<Flags>,
	},
	/// Make, import or look at an operator's key.
	#[command(subcommand)]
	Key(KeyCommand),
	/// Register a coordinator: a staker's bond, an operator account, an introduction.
	Register(Box<RegisterArgs>),
	/// Make, list and revoke the keys of applications.
	#[command(subcommand)]
	ApiKey(ApiKeyCommand),
	/// Work with the models on the chain.
	#[command(subcommand)]
	Model(ModelCommand),
	/// Have a court judge an output that the chain has paid for, because you know that it is wrong.
	///
	/// A bond is held for it: `ChallengeBond` times the task's fee (ten, unless that parameter was changed), and twice as much after each challenge of the task that has failed. It comes back if the court finds the output
	/// wrong, with a part of what its miner loses; if it finds it right or too close to tell, the bond is lost; if it cannot judge, it comes back. The inputs must be
	/// there for the jurors to fetch.
	Challenge(Box<ChallengeArgs>),
}

#[derive(Debug, Subcommand)]
enum ModelCommand {
	/// Register a model. Tasks can be posted for it once it is calibrated.
	Register(Box<ModelArgs>),
	/// Tell the chain how close two honest results of a model of yours are, so that tasks can be posted for it.
	Calibrate(Box<CalibrateArgs>),
}

#[derive(Args, Debug)]
struct ModelArgs {
	#[command(flatten)]
	node: NodeArgs,
	/// The key of the account that registers the model and pays its deposit.
	#[command(flatten)]
	key: KeyArgs,
	/// The name that applications ask for: one that no model has or had, and that is no number.
	///
	/// A name means the first model that had it, as long as that one takes tasks; all others must be asked for by their numbers.
	name: String,
	/// How its files are run.
	#[arg(long, value_enum)]
	kind: Kind,
	/// The BLAKE2b-256 hash of its SHA256SUMS file, as 0x and 64 hexadecimal digits; or that file, or the folder with it.
	#[arg(long, value_name = "HASH|PATH")]
	manifest: String,
	/// The least fee for one inference, in CAI.
	#[arg(long, value_name = "CAI", value_parser = parse_cai)]
	min_fee: Balance,
	/// How many blocks of 3 s a miner has from draw to commit at least, to fetch the inputs and hand over the outputs. On top of it come five times the
	/// reference time of its items.
	#[arg(long, value_name = "BLOCKS")]
	work_window: BlockNumber,
	/// The report of `miner-client calibrate`: the model is calibrated with it at once. Without it, `model calibrate` does so later.
	#[arg(long, value_name = "FILE")]
	calibration: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct CalibrateArgs {
	#[command(flatten)]
	node: NodeArgs,
	/// The key of the account that registered the model.
	#[command(flatten)]
	key: KeyArgs,
	/// The model's number.
	#[arg(long, value_name = "NUMBER")]
	model: ModelId,
	/// The report of `miner-client calibrate`.
	#[arg(long, value_name = "FILE")]
	calibration: PathBuf,
}

#[derive(Args, Debug)]
struct ChallengeArgs {
	#[command(flatten)]
	node: NodeArgs,
	/// The key of the account that challenges and puts up the bond.
	#[command(flatten)]
	key: KeyArgs,
	/// The task's number.
	#[arg(long, value_name = "NUMBER")]
	task: TaskId,
	/// Which of its outputs, from 0.
	#[arg(long, value_name = "NUMBER", default_value_t = 0)]
	item: u32,
	/// Hash and sketch of an output, both in hexadecimal, as `output_hashes` and `output_sketches` of GET /v1/jobs/{id} show them. Repeat it for all outputs of the task, in
	/// their order: together they prove that this one is among them.
	#[arg(long = "leaf", value_name = "HASH:SKETCH", value_parser = parse_leaf, required = true)]
	leaves: Vec<Leaf>,
}

/// The kinds of models, as they are written on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
	/// A folder in the layout of exported Stable Diffusion models.
	TextToImage,
	/// One ONNX file, model.onnx.
	Tensor,
	/// A folder in the layout of exported sentence-transformers models.
	TextEmbedding,
}

impl From<Kind> for ModelKind {
	fn from(kind: Kind) -> Self {
		match kind {
			Kind::TextToImage => Self::TextToImage,
			Kind::Tensor => Self::Tensor,
			Kind::TextEmbedding => Self::TextEmbedding,
		}
	}
}

impl Cli {
	/// Does what the command line says.
	pub async fn run(self) -> anyhow::Result<()> {
		init_logging(self.log_format);
		match self.command {
			Command::Run { config, flags } => {
				server::run(Config::load(config.as_deref(), &flags)?).await
			},
			Command::Key(command) => command.run(),
			Command::ApiKey(command) => command.run(),
			Command::Register(args) => args.run(Role::Coordinator).await,
			Command::Model(ModelCommand::Register(args)) => args.register().await,
			Command::Model(ModelCommand::Calibrate(args)) => args.calibrate().await,
			Command::Challenge(args) => args.challenge().await,
		}
	}
}

impl ModelArgs {
	async fn register(self) -> anyhow::Result<()> {
		ensure_fits("the name", &self.name, MAX_LINE_BYTES)?;
		let manifest = manifest(&self.manifest)?;
		// Before anything is paid for.
		let calibration = self.calibration.as_deref().map(Calibration::read).transpose()?;
		let key = self.key.load()?;
		let node = self.node.connect().await?;
		let signer = Signer::start(node, key).await?;
		let kind = self.kind.into();
		let call =
			calls::register_model(&self.name, kind, manifest, self.min_fee, self.work_window);
		let included = signer.submit(call).await?;
		let model = events::registered_model(&included)
			.context("the block shows no Models.Registered event: is the node's runtime newer?")?;
		println!(
			"model {model} {:?} registered in block {}: manifest {manifest:?}, at least {} CAI, {} blocks",
			self.name,
			included.block,
			format_cai(self.min_fee),
			self.work_window
		);
		let next =
			format!("`cuckoo-coordinator model calibrate --model {model} --calibration FILE`");
		let Some(calibration) = calibration else {
			println!(
				"it takes no tasks before it is calibrated: measure it with `miner-client calibrate`, which writes FILE, \
				 then {next}"
			);
			return Ok(());
		};
		let calibrated = calibration.submit(&signer, model).await;
		calibrated.with_context(|| {
			format!(
				"the model is registered, but not calibrated; with a report that is right: {next}"
			)
		})
	}
}

impl CalibrateArgs {
	async fn calibrate(self) -> anyhow::Result<()> {
		let calibration = Calibration::read(&self.calibration)?;
		let key = self.key.load()?;
		let node = self.node.connect().await?;
		let signer = Signer::start(node, key).await?;
		calibration.submit(&signer, self.model).await
	}
}

impl ChallengeArgs {
	async fn challenge(self) -> anyhow::Result<()> {
		let leaf = self.leaves.get(self.item as usize).copied().with_context(|| {
			format!("--item {} is not among the {} of --leaf", self.item, self.leaves.len())
		})?;
		let proof = merkle::proof(self.leaves.iter().map(merkle::output_leaf), self.item);
		let signer = Signer::start(self.node.connect().await?, self.key.load()?).await?;
		let call = calls::challenge(self.task, self.item, &ShownItem { leaf, proof });
		let included = signer.submit(call).await?;
		println!(
			"item {} of task {} is challenged since block {}",
			self.item, self.task, included.block
		);
		Ok(())
	}
}

/// What the chain knows of an output.
fn parse_leaf(text: &str) -> Result<Leaf, String> {
	let expected =
		|| format!("expected 64 hexadecimal digits, a colon and {} more", 2 * SKETCH_BYTES);
	let (hash, sketch) = text.split_once(':').ok_or_else(expected)?;
	let hash = hash.parse().map_err(|_| expected())?;
	let mut leaf = Leaf { hash, sketch: [0; SKETCH_BYTES] };
	let digits = sketch.strip_prefix("0x").unwrap_or(sketch);
	hex::decode_to_slice(digits, &mut leaf.sketch).map_err(|_| expected())?;
	Ok(leaf)
}

/// What of a calibration report goes on chain; there is more in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
struct Findings {
	/// How close two honest results are.
	tolerance: Tolerance,
	/// How long one inference takes on the slowest machine that should still earn, in milliseconds.
	reference_ms: u32,
}

/// A calibration report, as `miner-client calibrate` writes it.
#[derive(Debug)]
struct Calibration {
	findings: Findings,
	/// The BLAKE2b-256 hash of the file.
	evidence: H256,
}

impl Calibration {
	fn read(path: &Path) -> anyhow::Result<Self> {
		let shown = path.display();
		let mut report = Vec::new();
		let size = File::open(path)
			.and_then(|file| file.take(MAX_REPORT_BYTES + 1).read_to_end(&mut report))
			.with_context(|| format!("--calibration {shown} cannot be read"))?;
		ensure!(
			size as u64 <= MAX_REPORT_BYTES,
			"--calibration {shown} is no calibration report: it has more than {} MiB",
			MAX_REPORT_BYTES >> 20
		);
		let findings = serde_json::from_slice(&report).with_context(|| {
			format!(
				"--calibration {shown} is no report of `miner-client calibrate`, which holds at least \
				 {{\"tolerance\": {{\"approx\": {{\"agree\": 210, \"wrong\": 840}}}}, \"reference_ms\": 120}}"
			)
		})?;
		Ok(Self { findings, evidence: blake2_256(&report).into() })
	}

	async fn submit(&self, signer: &Signer, model: ModelId) -> anyhow::Result<()> {
		let Findings { tolerance, reference_ms } = self.findings;
		let call = calls::calibrate_model(model, tolerance, reference_ms, self.evidence);
		let included = signer.submit(call).await?;
		let tolerance = match tolerance {
			Tolerance::Exact => "results are the same to the last bit".into(),
			Tolerance::Approx { agree, wrong } => {
				format!("results agree up to {agree} millionths and are wrong beyond {wrong}")
			},
		};
		println!(
			"model {model} calibrated in block {}: {tolerance}, an inference takes {reference_ms} ms, evidence {:?}",
			included.block, self.evidence
		);
		Ok(())
	}
}

/// The hash in this text, or of the file that it names.
fn manifest(text: &str) -> anyhow::Result<H256> {
	if let Some(hash) = text.strip_prefix("0x").and_then(|hex| hex.parse().ok()) {
		return Ok(hash);
	}
	let mut path = PathBuf::from(text);
	if path.is_dir() {
		path.push("SHA256SUMS");
	}
	let sums = std::fs::read(&path).with_context(|| {
		format!("--manifest is neither a hash (0x and 64 hexadecimal digits) nor a file: {text}")
	})?;
	ensure!(!sums.is_empty(), "{} is empty", path.display());
	Ok(blake2_256(&sums).into())
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
	fn a_model_is_registered_with_its_hash_or_its_file() {
		let dir = tempfile::tempdir().unwrap();
		std::fs::write(dir.path().join("SHA256SUMS"), b"abc  model.onnx\n").unwrap();
		let hash = H256::from(blake2_256(b"abc  model.onnx\n"));
		let of = |path: PathBuf| manifest(path.to_str().unwrap()).unwrap();
		assert_eq!(of(dir.path().into()), hash);
		assert_eq!(of(dir.path().join("SHA256SUMS")), hash);
		assert_eq!(manifest(&format!("{hash:?}")).unwrap(), hash);
		assert!(manifest("0x12").is_err());
		assert!(manifest("/nowhere/at/all").is_err());
	}

	#[test]
	fn a_model_is_calibrated_with_a_report() {
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("calibration.json");
		let read = |report: &str| {
			std::fs::write(&path, report).unwrap();
			Calibration::read(&path)
		};
		let report = r#"{"inputs": 256, "tolerance": {"approx": {"agree": 210, "wrong": 840}}, "reference_ms": 120}"#;
		let calibration = read(report).unwrap();
		let tolerance = Tolerance::Approx { agree: 210, wrong: 840 };
		assert_eq!(calibration.findings, Findings { tolerance, reference_ms: 120 });
		assert_eq!(calibration.evidence, H256::from(blake2_256(report.as_bytes())));
		let exact = read(r#"{"tolerance": "exact", "reference_ms": 1}"#).unwrap();
		assert_eq!(exact.findings.tolerance, Tolerance::Exact);
		// Another report is other evidence, whatever it says.
		assert_ne!(read(&format!("{report} ")).unwrap().evidence, calibration.evidence);
	}

	#[test]
	fn what_is_no_report_is_told_so() {
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("calibration.json");
		let error = |report: &[u8]| {
			std::fs::write(&path, report).unwrap();
			format!("{:#}", Calibration::read(&path).unwrap_err())
		};
		for report in [&b""[..], b"[]", br#"{"tolerance": "exact"}"#, br#"{"reference_ms": 5}"#] {
			let text = error(report);
			assert!(text.contains("calibration.json") && text.contains("\"agree\": 210"), "{text}");
		}
		let text = error(br#"{"tolerance": {"approx": {"agree": 210}}, "reference_ms": 5}"#);
		assert!(text.contains("missing field `wrong`"), "{text}");
		let text = error(" ".repeat(MAX_REPORT_BYTES as usize + 1).as_bytes());
		assert!(text.contains("16 MiB"), "{text}");
		let text = format!("{:#}", Calibration::read(Path::new("/nowhere/at/all")).unwrap_err());
		assert!(text.contains("--calibration /nowhere/at/all"), "{text}");
	}

	#[test]
	fn a_model_is_registered_with_a_report_or_calibrated_later() {
		let model = |line: &str| {
			let line = format!("cuckoo-coordinator model {line} --key-file k.json");
			match Cli::try_parse_from(line.split(' ')).unwrap().command {
				Command::Model(command) => command,
				_ => panic!("not model"),
			}
		};
		let register = "register m --kind tensor --manifest m --min-fee 0.5 --work-window 20";
		for (more, expected) in [("", None), (" --calibration c.json", Some("c.json"))] {
			let ModelCommand::Register(args) = model(&format!("{register}{more}")) else {
				panic!("not register");
			};
			assert_eq!(args.calibration.as_deref(), expected.map(Path::new));
		}
		let ModelCommand::Calibrate(args) = model("calibrate --model 3 --calibration c.json")
		else {
			panic!("not calibrate");
		};
		assert_eq!((args.model, args.calibration.as_path()), (3, Path::new("c.json")));
	}

	#[test]
	fn an_output_is_challenged_by_its_hash_and_sketch() {
		let (hash, sketch) = (H256::repeat_byte(7), [9; SKETCH_BYTES]);
		let text = format!("{hash:?}:{}", hex::encode(sketch));
		assert_eq!(parse_leaf(&text), Ok(Leaf { hash, sketch }));
		assert_eq!(parse_leaf(&text.replace("0x", "")), Ok(Leaf { hash, sketch }));
		for bad in ["", ":", "0x07:09", &text[..text.len() - 1], text.replace(':', "").as_str()] {
			assert!(parse_leaf(bad).unwrap_err().contains("130"), "{bad}");
		}
		let line = format!(
			"cuckoo-coordinator challenge --task 5 --key-file k.json --leaf {text} --leaf {text}"
		);
		let cli = Cli::try_parse_from(line.split(' ')).unwrap();
		let Command::Challenge(args) = cli.command else { panic!("not challenge") };
		assert_eq!((args.task, args.item, args.leaves.len()), (5, 0, 2));
	}

	#[test]
	fn flags_of_run_are_read() {
		let line = "cuckoo-coordinator run --node-url ws://a --node-url ws://b --max-wait 9";
		let cli = Cli::try_parse_from(line.split(' ')).unwrap();
		let Command::Run { flags, .. } = cli.command else { panic!("not run") };
		assert_eq!(serde_json::to_value(flags).unwrap()["max_wait"], 9);
	}
}
