//! What calls and hooks cost, a file for each pallet: made by `scripts/weights` out of measurements, not to be edited.

pub mod pallet_models;
pub mod pallet_stake;
pub mod pallet_tasks;
