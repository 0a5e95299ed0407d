//! Parameters change by the root origin only, at once, and never beyond their bounds.

use cuckoo_runtime::{
	configs::parameters::{dynamic_params::stake as raw, stake, RuntimeParameters},
	AccountId, Parameters, RuntimeOrigin, CAI,
};
use frame_support::{assert_noop, assert_ok, traits::Get};
use sp_runtime::{DispatchError, Perbill};

fn run(test: impl FnOnce()) {
	sp_io::TestExternalities::default().execute_with(test);
}

fn set(parameter: raw::Parameters) {
	let parameter = RuntimeParameters::Stake(parameter);
	assert_ok!(Parameters::set_parameter(RuntimeOrigin::root(), parameter));
}

fn bond() -> u128 {
	<stake::MinMinerBond as Get<u128>>::get()
}

#[test]
fn a_parameter_has_its_default_until_it_is_set_and_after_it_is_unset() {
	run(|| {
		assert_eq!(bond(), 20_000 * CAI);
		set(raw::Parameters::MinMinerBond(raw::MinMinerBond, Some(30_000 * CAI)));
		assert_eq!(bond(), 30_000 * CAI);
		set(raw::Parameters::MinMinerBond(raw::MinMinerBond, None));
		assert_eq!(bond(), 20_000 * CAI);
	});
}

#[test]
fn a_value_outside_its_bounds_counts_as_the_bound() {
	run(|| {
		set(raw::Parameters::MinMinerBond(raw::MinMinerBond, Some(0)));
		assert_eq!(bond(), 1_000 * CAI);
		set(raw::Parameters::BondingEras(raw::BondingEras, Some(1_000)));
		assert_eq!(<stake::BondingEras as Get<u32>>::get(), 31);
		set(raw::Parameters::EraLength(raw::EraLength, Some(0)));
		assert_eq!(<stake::EraLength as Get<u32>>::get(), 3_600);
		set(raw::Parameters::ProverShare(raw::ProverShare, Some(Perbill::one())));
		assert_eq!(<stake::ProverShare as Get<Perbill>>::get(), Perbill::from_percent(60));
		set(raw::Parameters::StakingPot(raw::StakingPot, Some(u128::MAX)));
		assert_eq!(<stake::StakingPot as Get<u128>>::get(), 110_000_000 * CAI);
	});
}

#[test]
fn nobody_else_sets_them() {
	run(|| {
		let more = raw::Parameters::FeeBurn(raw::FeeBurn, Some(Perbill::one()));
		let somebody = RuntimeOrigin::signed(AccountId::new([1; 32]));
		assert_noop!(
			Parameters::set_parameter(somebody, RuntimeParameters::Stake(more)),
			DispatchError::BadOrigin
		);
	});
}
