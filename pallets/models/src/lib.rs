#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]
#![deny(rustdoc::broken_intra_doc_links)]

extern crate alloc;

pub use pallet::*;
pub use types::{Model, ModelStatus};
pub use weights::WeightInfo;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod impls;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "std", feature = "try-runtime"))]
mod try_state;
pub mod types;
pub mod weights;

#[frame_support::pallet]
pub mod pallet {
	use super::*;
	use crate::types::Name;
	use cuckoo_primitives::{tolerance::Tolerance, Balance, BlockNumber, ModelId, ModelKind};
	use frame_support::{
		pallet_prelude::*,
		traits::fungible::{Inspect, MutateHold},
	};
	use frame_system::pallet_prelude::{ensure_root, ensure_signed, BlockNumberFor, OriginFor};
	use sp_core::H256;

	#[pallet::config]
	pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
		/// CAI.
		type Currency: Inspect<Self::AccountId, Balance = Balance>
			+ MutateHold<Self::AccountId, Reason = Self::RuntimeHoldReason>;
		/// The reason why a deposit is held.
		type RuntimeHoldReason: From<HoldReason>;
		/// What the calls cost.
		type WeightInfo: WeightInfo;

		/// Held from whoever registers a model, in planck. Pays for the storage.
		#[pallet::constant]
		type Deposit: Get<Balance>;
		/// The lowest minimum fee, in planck: a task that costs its coordinator nothing costs the chain all the same.
		#[pallet::constant]
		type LeastFee: Get<Balance>;
		/// The longest work window, in blocks. Bounds how long a miner can sit on a task.
		#[pallet::constant]
		type MaxWorkWindow: Get<BlockNumber>;
		/// The least distance up to which two results must count as the same, in millionths. Covers what a sketch's 16 bits round away: below it, honest
		/// results could seem to differ.
		#[pallet::constant]
		type LeastAgree: Get<u32>;
		/// The largest distance beyond which two results may be said to differ, in millionths. A tolerance that lets more pass would let pass what was
		/// never computed.
		#[pallet::constant]
		type MostWrong: Get<u32>;
		/// The longest reference time for one inference, in milliseconds. Bounds how long a miner can sit on a task, too.
		#[pallet::constant]
		type MaxReference: Get<u32>;
	}

	#[pallet::pallet]
	pub struct Pallet<T>(_);

	/// Why CAI is held.
	#[pallet::composite_enum]
	pub enum HoldReason {
		/// The deposit for a model.
		Model,
	}

	/// The models, by number.
	#[pallet::storage]
	pub type Models<T: Config> =
		StorageMap<_, Twox64Concat, ModelId, Model<T::AccountId>, OptionQuery>;

	/// The number of the next model.
	#[pallet::storage]
	pub type NextModel<T> = StorageValue<_, ModelId, ValueQuery>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A model is known from now on. Tasks are taken for it once it is calibrated.
		Registered {
			/// Its number.
			model: ModelId,
			/// Who registered it.
			by: T::AccountId,
			/// The BLAKE2b-256 hash of its `SHA256SUMS`.
			manifest: H256,
		},
		/// It is known how close two honest results of a model are: tasks are taken for it.
		Calibrated {
			/// Its number.
			model: ModelId,
			/// How close they are.
			tolerance: Tolerance,
			/// How long one inference takes on the slowest machine that should still earn, in milliseconds.
			reference_ms: u32,
			/// The BLAKE2b-256 hash of the report that says how this was measured.
			evidence: H256,
		},
		/// Two courts could not agree on a result of a model: no new tasks are taken for it until it is calibrated again.
		Distrusted {
			/// Its number.
			model: ModelId,
		},
		/// No new tasks are taken for a model until further notice.
		Suspended {
			/// Its number.
			model: ModelId,
		},
		/// A model is no longer suspended. Tasks are taken for it if it is calibrated.
		Resumed {
			/// Its number.
			model: ModelId,
		},
		/// No new tasks are taken for a model, for good.
		Retired {
			/// Its number.
			model: ModelId,
		},
	}

	#[pallet::error]
	pub enum Error<T> {
		/// There is no model with this number.
		UnknownModel,
		/// Only whoever registered the model can do this.
		NotYours,
		/// The model is retired: register it again.
		Retired,
		/// The model is suspended: only root can resume it.
		Suspended,
		/// The model is not suspended: there is nothing to resume.
		NotSuspended,
		/// The model has its tolerance, which miners that are online count on: register it again to have another one.
		AlreadyCalibrated,
		/// In a tolerance `agree` must be at least `LeastAgree`, `wrong` at least four times `agree` and at most `MostWrong`.
		BadTolerance,
		/// The reference time must be at least a millisecond and at most the longest allowed.
		BadReference,
		/// A model needs a name.
		NameMissing,
		/// The work window must be at least one block and at most the longest allowed.
		BadWorkWindow,
		/// The minimum fee is below the lowest that is allowed.
		FeeTooLow,
		/// All model numbers are used up.
		NoMoreNumbers,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call]
	impl<T: Config> Pallet<T> {
		/// Registers a model. Tasks can be posted for it once it is calibrated. A deposit is held until it is retired.
		///
		/// - `name`: what applications ask for; several models may have the same, then the number decides.
		/// - `kind`: how its files are run.
		/// - `manifest`: the BLAKE2b-256 hash of its `SHA256SUMS`; `miner-client manifest` prints it.
		/// - `min_fee`: the least fee for one inference, in planck; at least `LeastFee`.
		/// - `work_window`: how many blocks a miner has from draw to commit at least, to fetch the inputs and hand over the outputs. On top of it come five
		///   times the reference time of its items.
		#[pallet::call_index(0)]
		#[pallet::weight(T::WeightInfo::register())]
		pub fn register(
			origin: OriginFor<T>,
			name: Name,
			kind: ModelKind,
			manifest: H256,
			#[pallet::compact] min_fee: Balance,
			work_window: BlockNumber,
		) -> DispatchResult {
			let by = ensure_signed(origin)?;
			Self::do_register(by, name, kind, manifest, min_fee, work_window)
		}

		/// Takes no new tasks for a model until further notice. Root only.
		///
		/// - `model`: its number.
		#[pallet::call_index(1)]
		#[pallet::weight(T::WeightInfo::suspend())]
		pub fn suspend(origin: OriginFor<T>, model: ModelId) -> DispatchResult {
			ensure_root(origin)?;
			Self::do_suspend(model)
		}

		/// Takes no new tasks for a model of yours, for good, and returns the deposit.
		///
		/// - `model`: its number.
		#[pallet::call_index(2)]
		#[pallet::weight(T::WeightInfo::retire())]
		pub fn retire(origin: OriginFor<T>, model: ModelId) -> DispatchResult {
			let by = ensure_signed(origin)?;
			Self::do_retire(by, model)
		}

		/// Says how close two honest results of a model of yours are, so that tasks can be posted for it. Possible once: miners that are online count on
		/// it. When two courts could not agree on a result, it has to be said anew.
		///
		/// - `model`: its number.
		/// - `tolerance`: relative distances of two results, in millionths: the same up to `agree`, one of them wrong beyond `wrong`, which is at least four
		///   times as much. `Exact` is only for models whose every honest machine gives the same bytes; a miner should think twice before it serves
		///   one, because a single different bit counts as a wrong result.
		/// - `reference_ms`: how long one inference takes on the slowest machine that should still earn, in milliseconds.
		/// - `evidence`: the BLAKE2b-256 hash of the report that `miner-client calibrate` wrote, so that anyone who has it can tell that it is the one.
		#[pallet::call_index(3)]
		#[pallet::weight(T::WeightInfo::calibrate())]
		pub fn calibrate(
			origin: OriginFor<T>,
			model: ModelId,
			tolerance: Tolerance,
			reference_ms: u32,
			evidence: H256,
		) -> DispatchResult {
			let by = ensure_signed(origin)?;
			Self::do_calibrate(by, model, tolerance, reference_ms, evidence)
		}

		/// Ends the suspension of a model: tasks are taken for it again, if it is calibrated. Root only.
		///
		/// - `model`: its number.
		#[pallet::call_index(4)]
		#[pallet::weight(T::WeightInfo::resume())]
		pub fn resume(origin: OriginFor<T>, model: ModelId) -> DispatchResult {
			ensure_root(origin)?;
			Self::do_resume(model)
		}
	}
}
