//! The Cuckoo chain's runtime: its pallets put together.
//!
//! * [`configs`]: every pallet's parameters, a file for each concern;
//! * [`apis`]: what a node may ask the runtime;
//! * [`presets`]: what the chains `dev` and `local` start with;
//! * [`weights`]: what calls and hooks cost, measured.

#![cfg_attr(not(feature = "std"), no_std)]
// The derives of `#[frame_support::runtime]` are deeper than the compiler's default.
#![recursion_limit = "256"]

extern crate alloc;

#[cfg(feature = "std")]
include!(concat!(env!("OUT_DIR"), "/wasm_binary.rs"));

pub mod apis;
pub mod configs;
pub mod presets;
pub mod weights;

use alloc::vec::Vec;
use sp_runtime::{
	generic, impl_opaque_keys,
	traits::{BlakeTwo256, IdentifyAccount, Verify},
	MultiAddress, MultiSignature,
};
use sp_version::RuntimeVersion;

pub use cuckoo_primitives::{Balance, BlockNumber, Role, CAI};

/// What a transaction is signed with.
pub type Signature = MultiSignature;
/// Who signs.
pub type AccountId = <<Signature as Verify>::Signer as IdentifyAccount>::AccountId;
/// How many transactions an account has sent.
pub type Nonce = u32;
/// A BLAKE2b-256 hash.
pub type Hash = sp_core::H256;
/// How transactions name accounts.
pub type Address = MultiAddress<AccountId, ()>;
/// A block's header.
pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
/// A block.
pub type Block = generic::Block<Header, UncheckedExtrinsic>;

/// What is signed beside the call: the standard set in the standard order, so that every wallet can sign.
pub type TxExtension = (
	frame_system::AuthorizeCall<Runtime>,
	frame_system::CheckNonZeroSender<Runtime>,
	frame_system::CheckSpecVersion<Runtime>,
	frame_system::CheckTxVersion<Runtime>,
	frame_system::CheckGenesis<Runtime>,
	frame_system::CheckEra<Runtime>,
	frame_system::CheckNonce<Runtime>,
	frame_system::CheckWeight<Runtime>,
	pallet_transaction_payment::ChargeTransactionPayment<Runtime>,
	frame_metadata_hash_extension::CheckMetadataHash<Runtime>,
	frame_system::WeightReclaim<Runtime>,
);

/// A transaction.
pub type UncheckedExtrinsic =
	generic::UncheckedExtrinsic<Address, RuntimeCall, Signature, TxExtension>;

/// Runs blocks.
pub type Executive = frame_executive::Executive<
	Runtime,
	Block,
	frame_system::ChainContext<Runtime>,
	Runtime,
	AllPalletsWithSystem,
>;

impl_opaque_keys! {
	/// The keys that a validator signs blocks and finality votes with.
	pub struct SessionKeys {
		pub babe: Babe,
		pub grandpa: Grandpa,
	}
}

/// The runtime's version.
#[sp_version::runtime_version]
pub const VERSION: RuntimeVersion = RuntimeVersion {
	spec_name: alloc::borrow::Cow::Borrowed("cuckoo"),
	impl_name: alloc::borrow::Cow::Borrowed("cuckoo-node"),
	authoring_version: 1,
	spec_version: 1,
	impl_version: 1,
	apis: apis::RUNTIME_API_VERSIONS,
	transaction_version: 1,
	system_version: 1,
};

/// A block every three seconds. Cannot change once a chain has started.
pub const MILLISECS_PER_BLOCK: u64 = cuckoo_primitives::MILLIS_PER_BLOCK;
/// Blocks in a minute.
pub const MINUTES: BlockNumber = 60_000 / (MILLISECS_PER_BLOCK as BlockNumber);
/// Blocks in an hour.
pub const HOURS: BlockNumber = MINUTES * 60;
/// Blocks in a day.
pub const DAYS: BlockNumber = HOURS * 24;

#[frame_support::runtime]
mod runtime {
	/// The Cuckoo chain.
	#[runtime::runtime]
	#[runtime::derive(
		RuntimeCall,
		RuntimeEvent,
		RuntimeError,
		RuntimeOrigin,
		RuntimeFreezeReason,
		RuntimeHoldReason,
		RuntimeSlashReason,
		RuntimeLockId,
		RuntimeTask,
		RuntimeViewFunction
	)]
	pub struct Runtime;

	#[runtime::pallet_index(0)]
	pub type System = frame_system;
	#[runtime::pallet_index(1)]
	pub type Timestamp = pallet_timestamp;
	#[runtime::pallet_index(2)]
	pub type Babe = pallet_babe;
	#[runtime::pallet_index(3)]
	pub type Authorship = pallet_authorship;
	#[runtime::pallet_index(4)]
	pub type Balances = pallet_balances;
	#[runtime::pallet_index(5)]
	pub type TransactionPayment = pallet_transaction_payment;

	// Before Session: at genesis it has to know the validators before Session asks for them.
	#[runtime::pallet_index(10)]
	pub type Stake = pallet_stake;
	#[runtime::pallet_index(11)]
	pub type Session = pallet_session;
	#[runtime::pallet_index(12)]
	pub type Historical = pallet_session::historical;
	#[runtime::pallet_index(13)]
	pub type Offences = pallet_offences;
	#[runtime::pallet_index(14)]
	pub type Grandpa = pallet_grandpa;

	#[runtime::pallet_index(20)]
	pub type Sortition = pallet_sortition;
	#[runtime::pallet_index(21)]
	pub type Models = pallet_models;
	#[runtime::pallet_index(22)]
	pub type Tasks = pallet_tasks;

	#[runtime::pallet_index(30)]
	pub type Utility = pallet_utility;
	#[runtime::pallet_index(31)]
	pub type Multisig = pallet_multisig;
	#[runtime::pallet_index(32)]
	pub type Proxy = pallet_proxy;
	#[runtime::pallet_index(33)]
	pub type Sudo = pallet_sudo;
	#[runtime::pallet_index(34)]
	pub type Parameters = pallet_parameters;
}

/// What `cuckoo-node benchmark pallet` can measure: makes `list_benchmarks!` and `add_benchmarks!`, for [`apis`].
#[cfg(feature = "runtime-benchmarks")]
mod benchmarks {
	frame_benchmarking::define_benchmarks!(
		[frame_system, SystemBench::<Runtime>]
		[pallet_balances, Balances]
		[pallet_stake, Stake]
		[pallet_models, Models]
		[pallet_tasks, Tasks]
	);

	impl frame_system_benchmarking::Config for super::Runtime {}
}

/// Checks every pallet's `try_state`: for tests that run blocks of the real runtime.
#[cfg(feature = "std")]
pub fn do_try_state() -> Result<(), sp_runtime::TryRuntimeError> {
	Sortition::do_try_state()?;
	Stake::do_try_state()?;
	Models::do_try_state()?;
	Tasks::do_try_state()
}

/// Types for the node, which carries transactions without reading them.
pub mod opaque {
	use super::BlockNumber;
	use sp_runtime::{generic, traits::BlakeTwo256};

	/// A transaction as bytes.
	pub use sp_runtime::OpaqueExtrinsic as UncheckedExtrinsic;
	/// A block's header.
	pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
	/// A block of transactions as bytes.
	pub type Block = generic::Block<Header, UncheckedExtrinsic>;
}
