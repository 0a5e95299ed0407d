//! How a program talks to a Cuckoo node.
//!
//! * [`node`]: one connection, kept alive over a list of nodes, for jsonrpsee and subxt alike;
//! * [`signer`]: one task that signs for one account, so that no two transactions share a nonce;
//! * [`calls`] and [`events`]: the chain's calls with types, and what came of them;
//! * [`earnings`]: what a pool has earned, by the events of blocks;
//! * [`request`]: the signed HTTP requests between miner and coordinator;
//! * [`keystore`]: operator keys in encrypted files, in the format of polkadot.js;
//! * [`cli`]: the command line that coordinator, miner and validators share;
//! * [`plain`]: text of strangers, made safe for a terminal.
//!
//! What a program knows of the chain comes from the chain's metadata at run time: an upgraded runtime needs no new program as long as
//! the names in [`calls`] and [`events`] stay.

#![cfg_attr(test, allow(clippy::unwrap_used))]
#![deny(rustdoc::broken_intra_doc_links)]

pub mod calls;
pub mod cli;
pub mod earnings;
pub mod events;
pub mod keystore;
pub mod node;
pub mod plain;
pub mod request;
pub mod signer;

pub use calls::Call;
pub use events::Event;
pub use node::{Node, NodeError};
pub use signer::{Included, Outbox, Signed, Signer, TxError};
pub use subxt_signer::sr25519::Keypair;
