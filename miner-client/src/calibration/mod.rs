//! How close two honest results of a model are: measured, not guessed.
//!
//! ```text
//! miner-client sketches ─▶ FILE   one run: the outputs of many inputs, under one setting, on one machine
//! miner-client calibrate ─▶ report   several such runs, the runs of others, and two cheats: the model's tolerance, or a refusal
//! ```
//! `inputs` are made by rule, the same on every machine; `sketches` runs them and keeps hashes and sketches; `figures` is the arithmetic, without any
//! model; `calibrate` puts them together.

mod calibrate;
mod figures;
mod inputs;
mod sketches;

pub(crate) use calibrate::{calibrate, CalibrateArgs};
pub(crate) use figures::percentile;
pub(crate) use inputs::{huge, made, made_alike, made_input};
pub(crate) use sketches::{sketches, SketchesArgs};

/// What a model's owner has to know, below the help of both commands.
pub(crate) const HELP: &str = "\
For a model's owner: from an ONNX export to a tolerance on chain:
  1. python scripts/demo-model/variants.py MODEL INT8 --int8
     python scripts/demo-model/variants.py MODEL PRUNED --pruned
       make the copies that a cheat would run.
  2. miner-client sketches --model MODEL --output other.json
       on every other kind of machine that should be able to mine it: other GPUs, other versions of ONNX Runtime. The inputs are made by rule, so
       nothing but the file travels; where they have to be your own, give all commands the same --inputs-dir.
  3. miner-client calibrate --model MODEL --int8 INT8 --pruned PRUNED --with other.json --output calibration.json
       writes tolerance and reference time. It refuses, and writes nothing, if a cheat's result cannot be told from an honest one: then the machines
       differ too much, or the model gives too little away to be checked.
  4. cuckoo-coordinator model register --calibration calibration.json ..., or model calibrate for a model that is registered already
       puts them on chain with the report's hash. Publish the report, so that anyone can repeat it.
A machine that was not measured may differ more than those that were: the more kinds of machines, the fewer honest miners are called liars.";
