//! What the chain, the coordinator and the miner must agree on to the last bit.
//!
//! * [`types`]: ids, roles and what a model is;
//! * [`merkle`]: one root over a task's inputs, one over its outputs;
//! * [`commitment`]: the hash a miner puts on chain before it shows its result;
//! * `sketch` (`std`): 65 bytes that tell how close two results are;
//! * [`tolerance`]: how close they must be, and how a chain tells;
//! * [`sample`]: which items of a task are looked at;
//! * `traits` (`pallet`): how the pallets see each other;
//! * [`views`]: what the chain tells about tasks, seats, operators and votes, and the runtime APIs that tell it;
//! * `work` (`std`): what travels over HTTP between a coordinator and a miner.
//!
//! Hashes are BLAKE2b-256 throughout, amounts are in planck (10⁻¹⁸ CAI), times in blocks unless a name says otherwise.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]
#![deny(rustdoc::broken_intra_doc_links)]

extern crate alloc;

pub mod commitment;
pub mod merkle;
pub mod sample;
#[cfg(feature = "std")]
pub mod sketch;
pub mod tolerance;
#[cfg(feature = "pallet")]
pub mod traits;
pub mod types;
pub mod views;
#[cfg(feature = "std")]
pub mod work;

pub use types::*;

/// One CAI in planck, the smallest unit.
pub const CAI: u128 = 1_000_000_000_000_000_000;
