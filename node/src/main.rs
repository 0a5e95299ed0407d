//! `cuckoo-node`: the Cuckoo chain's node.
//!
//! * `cli`: what can be said on the command line; `command`: what is done then;
//! * `chain_spec`: the chains that this binary knows by name;
//! * `service`: the node's parts put together; `rpc`: what it answers; `equivocation`: what it reports;
//! * `validator`: what a validator's owner and operator tell the chain.

// The error is the SDK's, and is made once at most.
#![allow(clippy::result_large_err)]

mod chain_spec;
mod cli;
mod command;
mod equivocation;
mod rpc;
mod service;
mod validator;

use std::process::ExitCode;

fn main() -> ExitCode {
	match command::run() {
		Ok(()) => ExitCode::SUCCESS,
		Err(error) => {
			// With its causes.
			eprintln!("error: {error:#}");
			ExitCode::FAILURE
		},
	}
}
