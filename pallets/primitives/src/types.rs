//! Ids, roles and what a model is.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

/// A task's number: a counter, never used twice.
pub type TaskId = u64;
/// A model's number: a counter, never used twice.
pub type ModelId = u32;
/// An amount in planck (10⁻¹⁸ CAI).
pub type Balance = u128;
/// A block's number.
pub type BlockNumber = u32;
/// An era's number.
pub type EraIndex = u32;

/// How long a block takes, in milliseconds. Cannot change once a chain has started.
pub const MILLIS_PER_BLOCK: u64 = 3_000;

/// Whether a pool's operator takes part.
#[derive(
	Clone,
	Copy,
	Debug,
	Default,
	PartialEq,
	Eq,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
	Serialize,
	Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum PoolStatus {
	/// It does, while the owner's bond is above the minimum.
	#[default]
	Open,
	/// Its owner took it out.
	Chilled,
	/// It was caught cheating.
	Jailed {
		/// The first era in which its owner can bring it back.
		until: EraIndex,
	},
	/// Its owner has left for good.
	Retired {
		/// The era in which that was.
		era: EraIndex,
	},
}

/// Why a pool was slashed.
#[derive(
	Clone,
	Copy,
	Debug,
	PartialEq,
	Eq,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
	Serialize,
	Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum SlashReason {
	/// The validator signed two blocks for one slot, or two votes in one round of finality.
	Equivocation,
	/// The miner did not commit in time.
	NoCommitment,
	/// The miner committed and did not show its result in time.
	NoReveal,
	/// A court found the miner's result wrong, or it was silent under an audit.
	WrongResult,
	/// A court found the juror's own result wrong.
	WrongJuror,
	/// A court found the miner's results wrong again and again.
	Repeated,
}

/// The length of a name, in bytes.
pub const MAX_LINE_BYTES: u32 = 64;
/// The length of a longer text, such as a description or an address, in bytes.
pub const MAX_LONG_LINE_BYTES: u32 = 256;

/// What a pool's operator does for the network.
#[derive(
	Clone,
	Copy,
	Debug,
	PartialEq,
	Eq,
	PartialOrd,
	Ord,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
	Serialize,
	Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
	/// Runs a node that makes blocks.
	Validator,
	/// Takes requests from applications and posts them as tasks.
	Coordinator,
	/// Runs models.
	Miner,
}

/// How a model's files are run, and so what a task's inputs look like.
#[derive(
	Clone,
	Copy,
	Debug,
	PartialEq,
	Eq,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
	Serialize,
	Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
	/// A folder in the layout of exported Stable Diffusion models; the input is a prompt, the output a picture.
	TextToImage,
	/// One ONNX file, `model.onnx`; input and output are its named tensors.
	Tensor,
	/// A folder in the layout of exported sentence-transformers models; the input is a text, the output its embedding.
	TextEmbedding,
}
