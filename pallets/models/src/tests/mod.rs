use crate::{mock::*, pallet::Error, Models as Stored};
use cuckoo_primitives::{traits::Models as _, ModelKind};
use frame_support::{assert_noop, assert_ok, traits::fungible::InspectHold};
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

#[test]
fn models_are_numbered_from_zero_and_known_by_their_terms() {
	run(|| {
		assert_ok!(register(RICH, b"a", 10));
		assert_ok!(register(RICH, b"a", 20));
		let terms = Models::terms(1).unwrap();
		assert_eq!((terms.min_fee, terms.work_window, terms.active), (7, 20, true));
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
fn only_root_suspends_a_model() {
	run(|| {
		assert_ok!(register(RICH, b"a", 10));
		assert_noop!(Models::suspend(RuntimeOrigin::signed(RICH), 0), DispatchError::BadOrigin);
		assert_ok!(Models::suspend(RuntimeOrigin::root(), 0));
		assert!(!Models::terms(0).unwrap().active);
		assert_noop!(Models::suspend(RuntimeOrigin::root(), 9), Error::<Test>::UnknownModel);
	});
}
