//! What the chains `dev` and `local` start with: well-known keys with funds, and their validators.

use crate::{
	configs::BABE_GENESIS_EPOCH_CONFIG, AccountId, BabeConfig, Balance, BalancesConfig, Role,
	RuntimeGenesisConfig, SessionConfig, SessionKeys, Stake, StakeConfig, SudoConfig, CAI,
};
use alloc::{string::ToString, vec, vec::Vec};
use frame_support::build_struct_json_patch;
use hex_literal::hex;
use serde_json::Value;
use sp_genesis_builder::{PresetId, DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET};
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};

/// What every well-known account has.
const ENDOWMENT: Balance = 10_000_000 * CAI;

/// What each validator of the start has bonded.
const VALIDATOR_BOND: Balance = 1_000_000 * CAI;

/// The accounts of `//Validator//1`, `//Validator//2` and `//Validator//3`: owners and operators of the validators of the start. Their nodes sign blocks with the
/// session keys of Alice, Bob and Charlie, which `--alice`, `--bob` and `--charlie` give them.
pub const VALIDATORS: [[u8; 32]; 3] = [
	hex!("f6fbfad3890aeb1ad390f18bc75a3ad34e29bca8c4d8e6c2e79fa4b9813e5b77"),
	hex!("b66ebcaaee32b0df068c655e8ba17eb619b4ce1137cefac205a59f8382559828"),
	hex!("8c0236499bff9ce54f5d9c6878a830dfccaa5ec387f0d0ccbff4670c25d7bb3f"),
];

const KEYS: [(Sr25519Keyring, Ed25519Keyring); 3] = [
	(Sr25519Keyring::Alice, Ed25519Keyring::Alice),
	(Sr25519Keyring::Bob, Ed25519Keyring::Bob),
	(Sr25519Keyring::Charlie, Ed25519Keyring::Charlie),
];

fn genesis(validators: usize) -> Value {
	let accounts = || VALIDATORS.map(AccountId::new).into_iter().take(validators);
	let keys = accounts().zip(KEYS).map(|(account, (babe, grandpa))| {
		let keys = SessionKeys { babe: babe.public().into(), grandpa: grandpa.public().into() };
		(account.clone(), account, keys)
	});
	let pools = accounts().map(|a| (a.clone(), a, Role::Validator, VALIDATOR_BOND));
	let rich = Sr25519Keyring::iter()
		.filter(|key| !matches!(key, Sr25519Keyring::One | Sr25519Keyring::Two))
		.map(|key| key.to_account_id());
	let endowed = rich.chain(accounts()).map(|account| (account, ENDOWMENT));
	// The pot never falls below the existential deposit, whatever is withdrawn from it.
	let pot = [(Stake::pot_account(), CAI)];
	build_struct_json_patch!(RuntimeGenesisConfig {
		balances: BalancesConfig { balances: endowed.chain(pot).collect::<Vec<_>>() },
		babe: BabeConfig { epoch_config: BABE_GENESIS_EPOCH_CONFIG },
		stake: StakeConfig { pools: pools.collect::<Vec<_>>() },
		session: SessionConfig { keys: keys.collect::<Vec<_>>() },
		sudo: SudoConfig { key: Some(Sr25519Keyring::Alice.to_account_id()) },
	})
}

/// The preset of this name, as JSON.
pub fn get_preset(id: &PresetId) -> Option<Vec<u8>> {
	let preset = match id.as_ref() {
		DEV_RUNTIME_PRESET => genesis(1),
		LOCAL_TESTNET_RUNTIME_PRESET => genesis(3),
		_ => return None,
	};
	Some(preset.to_string().into_bytes())
}

/// All presets.
pub fn preset_names() -> Vec<PresetId> {
	vec![PresetId::from(DEV_RUNTIME_PRESET), PresetId::from(LOCAL_TESTNET_RUNTIME_PRESET)]
}
