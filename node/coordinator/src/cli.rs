//! The command line.

use std::path::PathBuf;

use anyhow::{ensure, Context};
use clap::{Args, Parser, Subcommand, ValueEnum};
use cuckoo_client::{
	calls,
	cli::{
		ensure_fits, format_cai, init_logging, parse_cai, KeyArgs, KeyCommand, LogFormat, NodeArgs,
		RegisterArgs,
	},
	events, Signer,
};
use cuckoo_primitives::{Balance, BlockNumber, ModelKind, Role, MAX_LINE_BYTES};
use sp_core::H256;
use sp_crypto_hashing::blake2_256;

use crate::{
	config::{Config, Flags, ENV_CONFIG},
	server,
};

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
	/// Work with the models on the chain.
	#[command(subcommand)]
	Model(ModelCommand),
}

#[derive(Debug, Subcommand)]
enum ModelCommand {
	/// Register a model, so that tasks can be posted for it.
	Register(Box<ModelArgs>),
}

#[derive(Args, Debug)]
struct ModelArgs {
	#[command(flatten)]
	node: NodeArgs,
	/// The key of the account that registers the model and pays its deposit.
	#[command(flatten)]
	key: KeyArgs,
	/// The name that applications ask for.
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
	/// How many blocks of 3 s a miner has from draw to commit, for one inference.
	#[arg(long, value_name = "BLOCKS")]
	work_window: BlockNumber,
}

/// The kinds of models, as they are written on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
	/// A folder in the layout of exported Stable Diffusion models.
	TextToImage,
	/// One ONNX file, model.onnx.
	Tensor,
}

impl From<Kind> for ModelKind {
	fn from(kind: Kind) -> Self {
		match kind {
			Kind::TextToImage => Self::TextToImage,
			Kind::Tensor => Self::Tensor,
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
			Command::Register(args) => args.run(Role::Coordinator).await,
			Command::Model(ModelCommand::Register(args)) => args.register().await,
		}
	}
}

impl ModelArgs {
	async fn register(self) -> anyhow::Result<()> {
		ensure_fits("the name", &self.name, MAX_LINE_BYTES)?;
		let manifest = manifest(&self.manifest)?;
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
	fn flags_of_run_are_read() {
		let line = "cuckoo-coordinator run --node-url ws://a --node-url ws://b --max-wait 9";
		let cli = Cli::try_parse_from(line.split(' ')).unwrap();
		let Command::Run { flags, .. } = cli.command else { panic!("not run") };
		assert_eq!(serde_json::to_value(flags).unwrap()["max_wait"], 9);
	}
}
