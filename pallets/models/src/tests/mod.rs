use crate::{mock::*, pallet::Error, Event, ModelStatus, Models as Stored};
use cuckoo_primitives::{
	tolerance::Tolerance,
	traits::{Models as _, Terms},
	ModelId, ModelKind,
};
use frame_support::{
	assert_noop, assert_ok, dispatch::DispatchResult, traits::fungible::InspectHold,
};
use sp_core::H256;
use sp_runtime::DispatchError;

fn register(by: u64, name: &[u8], window: u32) -> Result<(), DispatchError> {
	Models::register(
		RuntimeOrigin::signed(by),
		name.to_vec().try_into().unwrap(),
		ModelKind::Tensor,
		H256::repeat_byte(1),
		7,
		window,
	)
}

const LOOSE: Tolerance = Tolerance::Approx { agree: 1_000, wrong: 4_000 };
const EVIDENCE: H256 = H256::repeat_byte(2);

fn calibrate(by: u64, model: ModelId, tolerance: Tolerance, reference_ms: u32) -> DispatchResult {
	Models::calibrate(RuntimeOrigin::signed(by), model, tolerance, reference_ms, EVIDENCE)
}

fn suspend(model: ModelId) -> DispatchResult {
	Models::suspend(RuntimeOrigin::root(), model)
}

fn resume(model: ModelId) -> DispatchResult {
	Models::resume(RuntimeOrigin::root(), model)
}

fn status(model: ModelId) -> ModelStatus {
	Stored::<Test>::get(model).unwrap().status
}

#[test]
fn models_are_numbered_from_zero_and_known_by_their_terms() {
	run(|| {
		assert_ok!(register(RICH, b"a", 10));
		assert_ok!(register(RICH, b"a", 20));
		assert_ok!(calibrate(RICH, 1, LOOSE, 30));
		let terms =
			Terms { min_fee: 7, work_window: 20, tolerance: LOOSE, reference_ms: 30, active: true };
		assert_eq!(Models::terms(1), Some(terms));
		let view = Models::model(1).unwrap();
		assert_eq!((view.tolerance, view.reference_ms, view.active), (Some(LOOSE), 30, true));
		assert_eq!(Models::terms(2), None);
		assert_eq!(Balances::total_balance_on_hold(&RICH), 200);
		assert_eq!(Models::models(0, 100).len(), 2);
		assert_eq!(Models::models(1, 100).len(), 1);
		assert_eq!(Models::models(0, 1).len(), 1);
	});
}

#[test]
fn a_model_needs_a_name_a_window_a_fee_and_a_deposit() {
	run(|| {
		assert_noop!(register(RICH, b"", 10), Error::<Test>::NameMissing);
		assert_noop!(register(RICH, b"a", 0), Error::<Test>::BadWorkWindow);
		assert_noop!(register(RICH, b"a", 1_001), Error::<Test>::BadWorkWindow);
		assert!(register(POOR, b"a", 10).is_err());
		assert_noop!(
			Models::register(
				RuntimeOrigin::signed(RICH),
				b"a".to_vec().try_into().unwrap(),
				ModelKind::Tensor,
				H256::zero(),
				4,
				10
			),
			Error::<Test>::FeeTooLow
		);
	});
}

#[test]
fn only_its_registrar_retires_a_model_and_only_once() {
	run(|| {
		assert_ok!(register(RICH, b"a", 10));
		let retire = |by| Models::retire(RuntimeOrigin::signed(by), 0);
		assert_noop!(retire(POOR), Error::<Test>::NotYours);
		assert_noop!(Models::retire(RuntimeOrigin::signed(RICH), 1), Error::<Test>::UnknownModel);
		assert_ok!(retire(RICH));
		assert_noop!(retire(RICH), Error::<Test>::Retired);
		assert_eq!(Balances::total_balance_on_hold(&RICH), 0);
		assert!(!Models::terms(0).unwrap().active);
		assert_eq!(Stored::<Test>::get(0).unwrap().deposit, 0);
	});
}

#[test]
fn only_root_suspends_a_model_and_resumes_it() {
	run(|| {
		assert_ok!(register(RICH, b"a", 10));
		assert_ok!(calibrate(RICH, 0, LOOSE, 30));
		assert_noop!(Models::suspend(RuntimeOrigin::signed(RICH), 0), DispatchError::BadOrigin);
		assert_ok!(suspend(0));
		assert!(!Models::terms(0).unwrap().active);
		assert_noop!(suspend(0), Error::<Test>::Suspended);
		assert_noop!(suspend(9), Error::<Test>::UnknownModel);
		assert_noop!(Models::resume(RuntimeOrigin::signed(RICH), 0), DispatchError::BadOrigin);
		assert_ok!(resume(0));
		System::assert_last_event(Event::<Test>::Resumed { model: 0 }.into());
		assert!(Models::terms(0).unwrap().active);
		assert_noop!(resume(0), Error::<Test>::NotSuspended);
		assert_noop!(resume(9), Error::<Test>::UnknownModel);
	});
}

#[test]
fn a_model_takes_no_tasks_before_it_is_calibrated() {
	run(|| {
		assert_ok!(register(RICH, b"a", 10));
		assert_eq!(status(0), ModelStatus::Uncalibrated);
		assert!(!Models::terms(0).unwrap().active);
		let view = Models::model(0).unwrap();
		assert_eq!((view.tolerance, view.reference_ms, view.active), (None, 0, false));
		assert_ok!(calibrate(RICH, 0, LOOSE, 30));
		let (tolerance, reference_ms, evidence) = (LOOSE, 30, EVIDENCE);
		let event = Event::<Test>::Calibrated { model: 0, tolerance, reference_ms, evidence };
		System::assert_last_event(event.into());
		assert_eq!(status(0), ModelStatus::Active);
		assert!(Models::terms(0).unwrap().active);
	});
}

#[test]
fn only_its_registrar_calibrates_a_model() {
	run(|| {
		assert_ok!(register(RICH, b"a", 10));
		assert_noop!(calibrate(POOR, 0, LOOSE, 30), Error::<Test>::NotYours);
		assert_noop!(calibrate(RICH, 1, LOOSE, 30), Error::<Test>::UnknownModel);
		assert_noop!(
			Models::calibrate(RuntimeOrigin::root(), 0, LOOSE, 30, EVIDENCE),
			DispatchError::BadOrigin
		);
	});
}

#[test]
fn nobody_tightens_the_tolerance_that_miners_count_on() {
	run(|| {
		assert_ok!(register(RICH, b"a", 10));
		assert_ok!(calibrate(RICH, 0, LOOSE, 30));
		assert_noop!(calibrate(RICH, 0, Tolerance::Exact, 30), Error::<Test>::AlreadyCalibrated);
		assert_ok!(suspend(0));
		assert_noop!(calibrate(RICH, 0, Tolerance::Exact, 30), Error::<Test>::Suspended);
		assert_ok!(Models::retire(RuntimeOrigin::signed(RICH), 0));
		assert_noop!(calibrate(RICH, 0, Tolerance::Exact, 30), Error::<Test>::Retired);
	});
}

#[test]
fn a_tolerance_leaves_room_for_the_noise_of_sketches() {
	run(|| {
		assert_ok!(register(RICH, b"a", 10));
		let bad = [(199, 4_000), (200, 799), (1_000, 500_001), (125_001, 500_000), (1 << 30, 0)];
		for (agree, wrong) in bad {
			let tolerance = Tolerance::Approx { agree, wrong };
			assert_noop!(calibrate(RICH, 0, tolerance, 30), Error::<Test>::BadTolerance);
		}
		let good = [(200, 800), (200, 500_000), (125_000, 500_000)];
		let good = good.map(|(agree, wrong)| Tolerance::Approx { agree, wrong });
		for (model, tolerance) in (1..).zip(good.into_iter().chain([Tolerance::Exact])) {
			assert_ok!(register(RICH, b"a", 10));
			assert_ok!(calibrate(RICH, model, tolerance, 30));
			assert_eq!(Models::terms(model).unwrap().tolerance, tolerance);
		}
	});
}

#[test]
fn a_reference_time_is_a_millisecond_to_ten_minutes() {
	run(|| {
		for _ in 0..2 {
			assert_ok!(register(RICH, b"a", 10));
		}
		assert_noop!(calibrate(RICH, 0, LOOSE, 0), Error::<Test>::BadReference);
		assert_noop!(calibrate(RICH, 0, LOOSE, 600_001), Error::<Test>::BadReference);
		assert_ok!(calibrate(RICH, 0, LOOSE, 1));
		assert_ok!(calibrate(RICH, 1, LOOSE, 600_000));
	});
}

#[test]
fn a_model_that_was_suspended_uncalibrated_is_so_again_when_it_is_resumed() {
	run(|| {
		assert_ok!(register(RICH, b"a", 10));
		assert_ok!(suspend(0));
		assert_noop!(calibrate(RICH, 0, LOOSE, 30), Error::<Test>::Suspended);
		assert_ok!(resume(0));
		assert_eq!(status(0), ModelStatus::Uncalibrated);
		assert_ok!(calibrate(RICH, 0, LOOSE, 30));
	});
}

#[test]
fn a_model_on_which_courts_cannot_agree_is_calibrated_again() {
	run(|| {
		assert_ok!(register(RICH, b"a", 10));
		assert_ok!(calibrate(RICH, 0, LOOSE, 30));
		Models::distrust(0);
		System::assert_last_event(Event::<Test>::Distrusted { model: 0 }.into());
		assert_eq!(status(0), ModelStatus::Uncalibrated);
		let terms = Models::terms(0).unwrap();
		// What is open still has to be computed, in the time that it takes.
		assert_eq!((terms.active, terms.reference_ms), (false, 30));
		assert_eq!(Models::model(0).unwrap().tolerance, None);
		let wider = Tolerance::Approx { agree: 2_000, wrong: 8_000 };
		assert_ok!(calibrate(RICH, 0, wider, 30));
		assert_eq!(Models::model(0).unwrap().tolerance, Some(wider));
	});
}

#[test]
fn distrust_ends_no_suspension_and_brings_nothing_back() {
	run(|| {
		for _ in 0..3 {
			assert_ok!(register(RICH, b"a", 10));
		}
		assert_ok!(calibrate(RICH, 0, LOOSE, 30));
		assert_ok!(suspend(0));
		Models::distrust(0);
		assert_eq!(status(0), ModelStatus::Suspended);
		assert_ok!(resume(0));
		assert_eq!(status(0), ModelStatus::Uncalibrated);

		assert_ok!(Models::retire(RuntimeOrigin::signed(RICH), 1));
		let before = System::events().len();
		(1..4).for_each(Models::distrust);
		assert_eq!(System::events().len(), before);
		assert_eq!(status(1), ModelStatus::Retired);
		assert_eq!(status(2), ModelStatus::Uncalibrated);
		assert!(!Stored::<Test>::contains_key(3));
	});
}

#[test]
fn a_retired_model_is_neither_suspended_nor_resumed() {
	run(|| {
		assert_ok!(register(RICH, b"a", 10));
		assert_ok!(Models::retire(RuntimeOrigin::signed(RICH), 0));
		assert_noop!(suspend(0), Error::<Test>::Retired);
		assert_noop!(resume(0), Error::<Test>::Retired);
	});
}
