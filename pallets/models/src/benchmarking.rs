//! What each call costs at most: a model's entry has a full name.

use crate::{
	pallet::{Call, Config, Models, NextModel, Pallet},
	types::{Model, ModelStatus, Name},
};
use alloc::vec;
use cuckoo_primitives::{tolerance::Tolerance, Balance, ModelId, ModelKind, MAX_LINE_BYTES};
use frame_benchmarking::v2::*;
use frame_support::traits::{
	fungible::{Inspect, Mutate},
	Get,
};
use frame_system::RawOrigin;
use sp_core::H256;

fn full_name() -> Name {
	Name::truncate_from(vec![b'x'; MAX_LINE_BYTES as usize])
}

/// What [`Models::benchmark_model`](cuckoo_primitives::traits::Models::benchmark_model) promises. Written without a deposit: its registrar has nothing.
pub(crate) fn model<T: Config>() -> ModelId {
	let id = NextModel::<T>::get();
	NextModel::<T>::put(id.saturating_add(1));
	Models::<T>::insert(
		id,
		Model {
			registrar: account("registrar", 0, 0),
			name: full_name(),
			kind: ModelKind::Tensor,
			manifest: H256::zero(),
			min_fee: T::LeastFee::get(),
			work_window: T::MaxWorkWindow::get(),
			tolerance: Some(Tolerance::Approx { agree: 1_000, wrong: 4_000 }),
			reference_ms: 1,
			deposit: T::Deposit::get(),
			status: ModelStatus::Active,
		},
	);
	id
}

#[benchmarks(where T::Currency: Mutate<T::AccountId, Balance = Balance>)]
mod benchmarks {
	use super::*;

	/// The caller with a model of its own.
	fn registrar<T: Config>() -> Result<(T::AccountId, ModelId), BenchmarkError>
	where
		T::Currency: Mutate<T::AccountId, Balance = Balance>,
	{
		let (caller, id) = (rich::<T>()?, NextModel::<T>::get());
		let (fee, window) = (T::LeastFee::get(), T::MaxWorkWindow::get());
		let (name, kind, manifest) = (full_name(), ModelKind::Tensor, H256::zero());
		Pallet::<T>::do_register(caller.clone(), name, kind, manifest, fee, window)?;
		Ok((caller, id))
	}

	/// The caller, who can pay the deposit.
	fn rich<T: Config>() -> Result<T::AccountId, BenchmarkError>
	where
		T::Currency: Mutate<T::AccountId, Balance = Balance>,
	{
		let caller: T::AccountId = whitelisted_caller();
		let enough = T::Deposit::get().saturating_add(T::Currency::minimum_balance());
		T::Currency::mint_into(&caller, enough.saturating_mul(2))?;
		Ok(caller)
	}

	#[benchmark]
	fn register() -> Result<(), BenchmarkError> {
		let (caller, id) = (rich::<T>()?, NextModel::<T>::get());

		#[extrinsic_call]
		_(
			RawOrigin::Signed(caller),
			full_name(),
			ModelKind::Tensor,
			H256::zero(),
			T::LeastFee::get(),
			T::MaxWorkWindow::get(),
		);

		assert!(Models::<T>::contains_key(id));
		Ok(())
	}

	#[benchmark]
	fn suspend() -> Result<(), BenchmarkError> {
		let id = model::<T>();

		#[extrinsic_call]
		_(RawOrigin::Root, id);

		let status = Models::<T>::get(id).map(|entry| entry.status);
		assert_eq!(status, Some(ModelStatus::Suspended));
		Ok(())
	}

	#[benchmark]
	fn retire() -> Result<(), BenchmarkError> {
		let (caller, id) = registrar::<T>()?;

		#[extrinsic_call]
		_(RawOrigin::Signed(caller), id);

		let entry = Models::<T>::get(id).ok_or("no model")?;
		assert_eq!((entry.status, entry.deposit), (ModelStatus::Retired, 0));
		Ok(())
	}

	#[benchmark]
	fn calibrate() -> Result<(), BenchmarkError> {
		let (caller, id) = registrar::<T>()?;
		let tolerance =
			Tolerance::Approx { agree: T::LeastAgree::get(), wrong: T::MostWrong::get() };

		#[extrinsic_call]
		_(RawOrigin::Signed(caller), id, tolerance, T::MaxReference::get(), H256::zero());

		let entry = Models::<T>::get(id).ok_or("no model")?;
		assert_eq!((entry.status, entry.tolerance), (ModelStatus::Active, Some(tolerance)));
		Ok(())
	}

	#[benchmark]
	fn resume() -> Result<(), BenchmarkError> {
		let id = model::<T>();
		Pallet::<T>::do_suspend(id)?;

		#[extrinsic_call]
		_(RawOrigin::Root, id);

		let status = Models::<T>::get(id).map(|entry| entry.status);
		assert_eq!(status, Some(ModelStatus::Active));
		Ok(())
	}

	impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
