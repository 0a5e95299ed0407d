//! What is stored of a model. No storage here.

use codec::{Decode, Encode, MaxEncodedLen};
use cuckoo_primitives::{Balance, BlockNumber, ModelKind, MAX_LINE_BYTES};
use frame_support::{traits::ConstU32, BoundedVec};
use scale_info::TypeInfo;
use sp_core::H256;

/// A model's name, read as UTF-8.
pub type Name = BoundedVec<u8, ConstU32<MAX_LINE_BYTES>>;

/// A model.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Model<AccountId> {
	/// Who registered it.
	pub registrar: AccountId,
	/// What applications ask for.
	pub name: Name,
	/// How its files are run.
	pub kind: ModelKind,
	/// The BLAKE2b-256 hash of its `SHA256SUMS`.
	pub manifest: H256,
	/// The least fee for one inference, in planck.
	pub min_fee: Balance,
	/// How many blocks a miner has from draw to commit, for one inference.
	pub work_window: BlockNumber,
	/// What is held from the registrar, in planck; 0 once retired.
	pub deposit: Balance,
	/// Whether it may be run.
	pub status: ModelStatus,
}

/// Whether a model may be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum ModelStatus {
	/// Tasks are taken.
	Active,
	/// No new tasks until further notice.
	Suspended,
	/// No new tasks, for good.
	Retired,
}
