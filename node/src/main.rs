//! `cuckoo-node`: the Cuckoo chain's node.
//!
//! * `cli`: what can be said on the command line; `command`: what is done then;
//! * `chain_spec`: the chains that this binary knows by name;
//! * `service`: the node's parts put together; `rpc`: what it answers.

// The error is the SDK's, and is made once at most.
#![allow(clippy::result_large_err)]

mod chain_spec;
mod cli;
mod command;
mod rpc;
mod service;

fn main() -> sc_cli::Result<()> {
	command::run()
}
