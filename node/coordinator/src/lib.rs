//! The coordinator: applications on one side, the chain and its miners on the other.
//!
//! From top to bottom; each part knows only those below it:
//!
//! * [`app_api`], [`embeddings`], [`open_inference`] and, on the other side, [`miner_api`]: what is asked over HTTP, with [`openai`], [`error`] and [`png`] for the forms that
//!   applications know; [`network`] and [`page`]: what anybody may see, and the page that shows it;
//! * [`orders`]: from a request to a job and back;
//! * [`auth`] and [`keys`], with [`keys_cli`]: which applications may ask, for what, how often and for how much; [`replay`]: no miner's request counts twice; [`seats`]: whether its
//!   operator has one; [`uploads`] and [`answers`]: what may be sent now that is large;
//! * [`poster`] and [`watcher`]: bring jobs onto the chain, many in one task, and follow them there;
//! * [`webhooks`] tells of jobs, [`retention`] removes old ones; [`disk`]: whether there is room for new ones;
//! * [`models`]: the models that can be asked for;
//! * [`book`] and [`blobs`]: the jobs, and what goes in and out of them, on disk, with [`store`];
//! * [`chain`]: what is asked of a node;
//! * [`job`], [`batch`] and [`id`]: what a job is, and what the task that it shares with others may become.
//!
//! [`server`] puts them together behind a [`listener`], [`config`] and [`cli`] say how.

#![cfg_attr(test, allow(clippy::unwrap_used))]
#![deny(rustdoc::broken_intra_doc_links)]

pub mod answers;
pub mod app_api;
pub mod auth;
pub mod batch;
pub mod blobs;
pub mod book;
pub mod chain;
pub mod cli;
pub mod config;
pub mod disk;
pub mod embeddings;
pub mod error;
pub mod id;
pub mod job;
pub mod keys;
pub mod keys_cli;
pub mod listener;
pub mod metrics;
pub mod miner_api;
pub mod models;
pub mod network;
pub mod open_inference;
pub mod openai;
pub mod orders;
pub mod page;
pub mod png;
pub mod poster;
pub mod replay;
pub mod retention;
pub mod seats;
pub mod server;
pub mod store;
pub mod uploads;
pub mod watcher;
pub mod webhooks;
