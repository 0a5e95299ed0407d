//! What must hold of all models; run after every test.

use crate::{
	pallet::{Config, Models, NextModel, Pallet},
	types::{is_sound, ModelStatus},
};
use frame_support::ensure;
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// The list in the README.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		let next = NextModel::<T>::get();
		for (id, model) in Models::<T>::iter() {
			ensure!(id < next, "a model's number is not below the next");
			ensure!(
				(model.status == ModelStatus::Retired) == (model.deposit == 0),
				"a deposit does not go with the model's status"
			);
			let calibrated = model.tolerance.is_some();
			ensure!(
				match model.status {
					ModelStatus::Active => calibrated,
					ModelStatus::Uncalibrated => !calibrated,
					ModelStatus::Suspended | ModelStatus::Retired => true,
				},
				"a tolerance does not go with the model's status"
			);
			ensure!(!calibrated || model.reference_ms > 0, "a calibrated model takes no time");
			// What is allowed at the ends may change with the runtime.
			ensure!(
				model.tolerance.is_none_or(|tolerance| is_sound(&tolerance, 1, u32::MAX)),
				"a tolerance's wrong is not far enough beyond its agree"
			);
		}
		Ok(())
	}
}
