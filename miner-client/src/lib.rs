//! The program a GPU owner leaves running: it takes tasks that the chain draws it for, runs their models in ONNX Runtime, and shows the results.
//!
//! From an input's bytes to an output's bytes:
//! * [`runtime`] finds ONNX Runtime and decides what it runs on, [`session`] opens one ONNX file on a thread of its own, [`tensors`] are what goes in and comes out;
//! * [`model`] checks a model's folder before anything in it is used;
//! * [`pipeline`] is what a model's kind means, [`job`] runs one item and makes its hash and sketch, and [`worker`] keeps that in a process for each device.
//!
//! From a draw to a paid task:
//! * [`seats`] follows what the chain asks for, [`miner`] is the loop that decides and sends, [`work`] what is done for one seat, [`waiting`] whether its coordinator keeps it from going on;
//! * [`journal`] keeps what was promised, so that a process killed at any moment loses nothing; `disk` has threads of its own for that;
//! * [`http`] talks to coordinators, `address` says where one may be, [`operator`] keeps the miner online.
//!
//! Around them: `calibration` measures how close a model's honest results are; [`cli`], [`config`], [`run`], [`doctor`], [`stop`]; [`stats`] counts what the devices do, [`server`], [`metrics`], [`table`] and [`notify`] tell of it; [`gpu`] asks the driver.

#![cfg_attr(test, allow(clippy::unwrap_used))]
#![deny(rustdoc::broken_intra_doc_links)]

mod account;
mod address;
mod assignment;
mod bench;
mod calibration;
pub mod cli;
pub mod config;
mod config_show;
mod disk;
pub mod doctor;
pub mod gpu;
pub mod http;
mod infer;
mod init;
pub mod job;
pub mod journal;
pub mod metrics;
pub mod miner;
pub mod model;
pub mod notify;
pub mod operator;
pub mod pipeline;
mod rewards;
pub mod run;
pub mod runtime;
pub mod seats;
pub mod server;
pub mod session;
pub mod stats;
pub mod stop;
mod store;
pub mod table;
pub mod tensors;
pub mod waiting;
pub mod work;
pub mod worker;
