//! What can be said on the command line.

use crate::validator::ValidatorCommand;
use sc_cli::RunCmd;

/// The Cuckoo chain's node: keeps the chain, makes blocks as a validator, and answers wallets, coordinators and miners over RPC.
#[derive(Debug, clap::Parser)]
pub struct Cli {
	#[command(subcommand)]
	pub subcommand: Option<Subcommand>,

	#[clap(flatten)]
	pub run: RunCmd,
}

#[derive(Debug, clap::Subcommand)]
pub enum Subcommand {
	/// Make, inspect or insert keys.
	#[command(subcommand)]
	Key(sc_cli::KeySubcommand),

	/// Register a validator, set its session keys, look at it, leave.
	#[command(subcommand)]
	Validator(ValidatorCommand),

	/// Print a chain's specification as JSON; `--raw` for the one that all nodes of a network start from.
	ExportChainSpec(sc_cli::ExportChainSpecCmd),

	/// Check blocks again.
	CheckBlock(sc_cli::CheckBlockCmd),

	/// Write blocks to a file.
	ExportBlocks(sc_cli::ExportBlocksCmd),

	/// Write the state at a block as a chain specification.
	ExportState(sc_cli::ExportStateCmd),

	/// Read blocks from a file.
	ImportBlocks(sc_cli::ImportBlocksCmd),

	/// Delete the chain's data.
	PurgeChain(sc_cli::PurgeChainCmd),

	/// Go back some blocks.
	Revert(sc_cli::RevertCmd),

	/// Print what is known of the stored chain.
	ChainInfo(sc_cli::ChainInfoCmd),

	/// Measure what the runtime's calls and hooks cost; `scripts/weights` does it with the right options.
	#[cfg(feature = "runtime-benchmarks")]
	#[command(subcommand)]
	Benchmark(Benchmark),
}

/// What can be measured.
#[cfg(feature = "runtime-benchmarks")]
#[derive(Debug, clap::Subcommand)]
pub enum Benchmark {
	/// A pallet's calls and hooks.
	Pallet(frame_benchmarking_cli::PalletCmd),
}
