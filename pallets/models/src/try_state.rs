//! What must hold of all models; run after every test.

use crate::{
	pallet::{Config, Models, NextModel, Pallet},
	types::ModelStatus,
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
		}
		Ok(())
	}
}
