//! The program `cuckoo-coordinator`.

use clap::Parser;
use cuckoo_coordinator::cli::Cli;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
	Cli::parse().run().await
}
