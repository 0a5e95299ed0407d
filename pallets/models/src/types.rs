//! What is stored of a model. No storage here.

use codec::{Decode, Encode, MaxEncodedLen};
use cuckoo_primitives::{tolerance::Tolerance, Balance, BlockNumber, ModelKind, MAX_LINE_BYTES};
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
	/// How many blocks a miner has from draw to commit at least, to fetch the inputs and hand over the outputs. On top of it come five times the
	/// reference time of its items.
	pub work_window: BlockNumber,
	/// How close two honest results are; none until it is calibrated.
	pub tolerance: Option<Tolerance>,
	/// How long one inference takes on the slowest machine that should still earn, in milliseconds; 0 until it is calibrated. Outlives a tolerance that
	/// courts could not agree with: tasks that are open still have to be computed.
	pub reference_ms: u32,
	/// What is held from the registrar, in planck; 0 once retired.
	pub deposit: Balance,
	/// Whether it may be run.
	pub status: ModelStatus,
}

/// Whether a model may be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum ModelStatus {
	/// No new tasks until its registrar has said how close two honest results are: it is new, or a court could not agree.
	Uncalibrated,
	/// Tasks are taken.
	Active,
	/// No new tasks until root says otherwise.
	Suspended,
	/// No new tasks, for good.
	Retired,
}

/// How many times as far as `agree` a tolerance's `wrong` lies at least. Two results that each agree with a third are at most twice `agree` apart: half of
/// `wrong`, where a sketch calls one of them wrong with probability 2·10⁻¹³.
const GREY: u32 = 4;

/// Whether a tolerance can be told by sketches: `agree` is at least `least_agree`, `wrong` at most `most_wrong`, in millionths, and there is enough in between.
pub fn is_sound(tolerance: &Tolerance, least_agree: u32, most_wrong: u32) -> bool {
	match tolerance {
		Tolerance::Exact => true,
		Tolerance::Approx { agree, wrong } => {
			let least_wrong = agree.checked_mul(GREY);
			*agree >= least_agree
				&& least_wrong.is_some_and(|least| (least..=most_wrong).contains(wrong))
		},
	}
}
