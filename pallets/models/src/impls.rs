//! Register, calibrate, suspend, resume, retire; and how the pallet looks from outside.

use crate::{
	pallet::{Config, Error, Event, HoldReason, Models, NextModel, Pallet},
	types::{is_sound, Model, ModelStatus, Name},
};
use alloc::{string::String, vec::Vec};
use cuckoo_primitives::{
	tolerance::Tolerance,
	traits::{self, Terms},
	views::{ModelView, MAX_PAGE},
	Balance, BlockNumber, ModelId, ModelKind,
};
use frame_support::{
	dispatch::DispatchResult,
	ensure,
	traits::{fungible::MutateHold, tokens::Precision, Get},
};
use sp_core::H256;

impl<T: Config> Pallet<T> {
	pub(crate) fn do_register(
		registrar: T::AccountId,
		name: Name,
		kind: ModelKind,
		manifest: H256,
		min_fee: Balance,
		work_window: BlockNumber,
	) -> DispatchResult {
		ensure!(!name.is_empty(), Error::<T>::NameMissing);
		ensure!((1..=T::MaxWorkWindow::get()).contains(&work_window), Error::<T>::BadWorkWindow);
		ensure!(min_fee >= T::LeastFee::get(), Error::<T>::FeeTooLow);
		let model = NextModel::<T>::get();
		NextModel::<T>::put(model.checked_add(1).ok_or(Error::<T>::NoMoreNumbers)?);
		let deposit = T::Deposit::get();
		T::Currency::hold(&HoldReason::Model.into(), &registrar, deposit)?;
		Models::<T>::insert(
			model,
			Model {
				registrar: registrar.clone(),
				name,
				kind,
				manifest,
				min_fee,
				work_window,
				tolerance: None,
				reference_ms: 0,
				deposit,
				status: ModelStatus::Uncalibrated,
			},
		);
		Self::deposit_event(Event::Registered { model, by: registrar, manifest });
		Ok(())
	}

	pub(crate) fn do_calibrate(
		by: T::AccountId,
		id: ModelId,
		tolerance: Tolerance,
		reference_ms: u32,
		evidence: H256,
	) -> DispatchResult {
		let sound = is_sound(&tolerance, T::LeastAgree::get(), T::MostWrong::get());
		ensure!(sound, Error::<T>::BadTolerance);
		ensure!((1..=T::MaxReference::get()).contains(&reference_ms), Error::<T>::BadReference);
		Models::<T>::try_mutate(id, |model| {
			let model = model.as_mut().ok_or(Error::<T>::UnknownModel)?;
			ensure!(model.registrar == by, Error::<T>::NotYours);
			Self::ensure_in_force(model.status)?;
			ensure!(model.status == ModelStatus::Uncalibrated, Error::<T>::AlreadyCalibrated);
			model.tolerance = Some(tolerance);
			model.reference_ms = reference_ms;
			model.status = ModelStatus::Active;
			Self::deposit_event(Event::Calibrated { model: id, tolerance, reference_ms, evidence });
			Ok(())
		})
	}

	pub(crate) fn do_suspend(id: ModelId) -> DispatchResult {
		Models::<T>::try_mutate(id, |model| {
			let model = model.as_mut().ok_or(Error::<T>::UnknownModel)?;
			Self::ensure_in_force(model.status)?;
			model.status = ModelStatus::Suspended;
			Self::deposit_event(Event::Suspended { model: id });
			Ok(())
		})
	}

	pub(crate) fn do_resume(id: ModelId) -> DispatchResult {
		Models::<T>::try_mutate(id, |model| {
			let model = model.as_mut().ok_or(Error::<T>::UnknownModel)?;
			ensure!(model.status != ModelStatus::Retired, Error::<T>::Retired);
			ensure!(model.status == ModelStatus::Suspended, Error::<T>::NotSuspended);
			model.status = match model.tolerance {
				Some(_) => ModelStatus::Active,
				None => ModelStatus::Uncalibrated,
			};
			Self::deposit_event(Event::Resumed { model: id });
			Ok(())
		})
	}

	/// That a model is neither suspended nor retired.
	fn ensure_in_force(status: ModelStatus) -> Result<(), Error<T>> {
		match status {
			ModelStatus::Uncalibrated | ModelStatus::Active => Ok(()),
			ModelStatus::Suspended => Err(Error::Suspended),
			ModelStatus::Retired => Err(Error::Retired),
		}
	}

	pub(crate) fn do_retire(by: T::AccountId, id: ModelId) -> DispatchResult {
		Models::<T>::try_mutate(id, |model| {
			let model = model.as_mut().ok_or(Error::<T>::UnknownModel)?;
			ensure!(model.registrar == by, Error::<T>::NotYours);
			ensure!(model.status != ModelStatus::Retired, Error::<T>::Retired);
			T::Currency::release(
				&HoldReason::Model.into(),
				&by,
				model.deposit,
				Precision::BestEffort,
			)?;
			model.deposit = 0;
			model.status = ModelStatus::Retired;
			Self::deposit_event(Event::Retired { model: id });
			Ok(())
		})
	}

	/// A model as the runtime API tells it.
	pub fn model(id: ModelId) -> Option<ModelView> {
		Models::<T>::get(id).map(|model| ModelView {
			model: id,
			name: String::from_utf8_lossy(&model.name).into_owned(),
			kind: model.kind,
			manifest: model.manifest,
			min_fee: model.min_fee,
			work_window: model.work_window,
			tolerance: model.tolerance,
			reference_ms: model.reference_ms,
			active: model.status == ModelStatus::Active,
		})
	}

	/// Models by number: at most [`MAX_PAGE`] from `start` on.
	pub fn models(start: ModelId, limit: u32) -> Vec<ModelView> {
		(start..NextModel::<T>::get())
			.take(limit.min(MAX_PAGE) as usize)
			.filter_map(Self::model)
			.collect()
	}
}

impl<T: Config> traits::Models for Pallet<T> {
	fn terms(model: ModelId) -> Option<Terms> {
		Models::<T>::get(model).map(|model| Terms {
			min_fee: model.min_fee,
			work_window: model.work_window,
			// A model without one is not active: nothing that this could be applied to can be posted.
			tolerance: model.tolerance.unwrap_or(Tolerance::Exact),
			reference_ms: model.reference_ms,
			active: model.status == ModelStatus::Active,
		})
	}

	fn distrust(id: ModelId) {
		Models::<T>::mutate_extant(id, |model| {
			match model.status {
				ModelStatus::Active => model.status = ModelStatus::Uncalibrated,
				// Stays so, and is not active again without another tolerance.
				ModelStatus::Suspended => {},
				ModelStatus::Uncalibrated | ModelStatus::Retired => return,
			}
			if model.tolerance.take().is_some() {
				Self::deposit_event(Event::Distrusted { model: id });
			}
		});
	}

	#[cfg(feature = "runtime-benchmarks")]
	fn benchmark_model() -> ModelId {
		crate::benchmarking::model::<T>()
	}
}
