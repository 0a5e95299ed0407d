//! See the library of the same name, or `miner-client --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
	miner_client::cli::main()
}
