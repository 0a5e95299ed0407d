//! Every pallet's parameters.

mod consensus;
mod fees;
mod governance;
pub mod parameters;
mod system;
mod work;

pub use consensus::{KeyOwners, BABE_GENESIS_EPOCH_CONFIG};
pub use governance::ProxyType;
pub use system::{BlockWeights, SS58Prefix};
