//! The presets make a chain that can start.

use cuckoo_runtime::{presets, AccountId, Balances, RuntimeGenesisConfig, Session, Stake, CAI};
use frame_support::traits::{fungible::Inspect, BuildGenesisConfig};
use serde_json::Value;
use sp_core::{sr25519, Pair};

/// Puts a preset's values over the defaults, as a node does.
fn merge(base: &mut Value, patch: Value) {
	match (base, patch) {
		(Value::Object(base), Value::Object(patch)) => {
			for (key, value) in patch {
				merge(base.entry(key).or_insert(Value::Null), value);
			}
		},
		(base, patch) => *base = patch,
	}
}

fn start(preset: &str, test: impl FnOnce()) {
	let patch = presets::get_preset(&preset.into()).expect("the preset exists");
	let mut config = serde_json::to_value(RuntimeGenesisConfig::default()).expect("it is JSON");
	merge(&mut config, serde_json::from_slice(&patch).expect("the preset is JSON"));
	let config: RuntimeGenesisConfig =
		serde_json::from_value(config).expect("the preset fits the runtime");
	sp_io::TestExternalities::default().execute_with(|| {
		config.build();
		test();
		cuckoo_runtime::do_try_state().expect("the state is sound");
	});
}

#[test]
fn dev_has_one_validator_and_local_three() {
	start("development", || assert_eq!(Session::validators().len(), 1));
	start("local_testnet", || {
		let mut owners = presets::VALIDATORS.map(AccountId::new);
		owners.sort();
		assert_eq!(Session::validators(), owners);
		for owner in owners {
			let pool = Stake::operator(owner).expect("each has a pool");
			assert!(pool.active && pool.elected);
		}
	});
}

#[test]
fn the_validators_of_the_start_have_the_keys_that_their_names_say() {
	for (number, account) in (1..).zip(presets::VALIDATORS) {
		let key = sr25519::Pair::from_string(&format!("//Validator//{number}"), None);
		assert_eq!(key.expect("it is a key").public().0, account);
	}
}

#[test]
fn well_known_accounts_are_rich_and_the_pot_never_vanishes() {
	start("development", || {
		let alice = sp_keyring::Sr25519Keyring::Alice.to_account_id();
		assert_eq!(Balances::balance(&alice), 10_000_000 * CAI);
		assert!(Balances::balance(&Stake::pot_account()) >= Balances::minimum_balance());
	});
}

#[test]
fn there_is_no_other_preset() {
	assert!(presets::get_preset(&"mainnet".into()).is_none());
	assert_eq!(presets::preset_names().len(), 2);
}
