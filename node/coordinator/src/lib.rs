//! The coordinator: applications on one side, the chain and its miners on the other.
//!
//! From top to bottom; each part knows only those below it:
//!
//! * [`app_api`] and [`miner_api`]: the two sides over HTTP, with [`openai`], [`error`] and [`png`] for the forms that applications know;
//! * [`poster`] and [`watcher`]: bring jobs onto the chain and follow them there;
//! * [`models`]: the models that can be asked for;
//! * [`book`] and [`blobs`]: the jobs, and what goes in and out of them, on disk;
//! * [`chain`]: what is asked of a node;
//! * [`job`] and [`id`]: what a job is and may become.
//!
//! [`server`] puts them together, [`config`] and [`cli`] say how.

#![cfg_attr(test, allow(clippy::unwrap_used))]
#![deny(rustdoc::broken_intra_doc_links)]

pub mod app_api;
pub mod blobs;
pub mod book;
pub mod chain;
pub mod cli;
pub mod config;
pub mod error;
pub mod id;
pub mod job;
pub mod metrics;
pub mod miner_api;
pub mod models;
pub mod openai;
pub mod png;
pub mod poster;
pub mod server;
pub mod watcher;
