//! What the chains `dev` and `local` start with: well-known keys with funds, and their validators.

use crate::{
	configs::BABE_GENESIS_EPOCH_CONFIG, AccountId, BabeConfig, Balance, BalancesConfig,
	RuntimeGenesisConfig, SessionConfig, SessionKeys, Stake, SudoConfig, CAI,
};
use alloc::{string::ToString, vec, vec::Vec};
use frame_support::build_struct_json_patch;
use serde_json::Value;
use sp_genesis_builder::{PresetId, DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET};
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};

/// What every well-known account has.
const ENDOWMENT: Balance = 10_000_000 * CAI;

fn session_keys(
	key: Sr25519Keyring,
	finality: Ed25519Keyring,
) -> (AccountId, AccountId, SessionKeys) {
	let account = key.to_account_id();
	let keys = SessionKeys { babe: key.public().into(), grandpa: finality.public().into() };
	(account.clone(), account, keys)
}

fn genesis(validators: Vec<(AccountId, AccountId, SessionKeys)>) -> Value {
	let rich = Sr25519Keyring::iter()
		.filter(|key| !matches!(key, Sr25519Keyring::One | Sr25519Keyring::Two))
		.map(|key| (key.to_account_id(), ENDOWMENT));
	// The pot never falls below the existential deposit, whatever is withdrawn from it.
	let pot = [(Stake::pot_account(), CAI)];
	build_struct_json_patch!(RuntimeGenesisConfig {
		balances: BalancesConfig { balances: rich.chain(pot).collect::<Vec<_>>() },
		babe: BabeConfig { epoch_config: BABE_GENESIS_EPOCH_CONFIG },
		session: SessionConfig { keys: validators },
		sudo: SudoConfig { key: Some(Sr25519Keyring::Alice.to_account_id()) },
	})
}

/// The preset of this name, as JSON.
pub fn get_preset(id: &PresetId) -> Option<Vec<u8>> {
	let alice = session_keys(Sr25519Keyring::Alice, Ed25519Keyring::Alice);
	let bob = session_keys(Sr25519Keyring::Bob, Ed25519Keyring::Bob);
	let charlie = session_keys(Sr25519Keyring::Charlie, Ed25519Keyring::Charlie);
	let preset = match id.as_ref() {
		DEV_RUNTIME_PRESET => genesis(vec![alice]),
		LOCAL_TESTNET_RUNTIME_PRESET => genesis(vec![alice, bob, charlie]),
		_ => return None,
	};
	Some(preset.to_string().into_bytes())
}

/// All presets.
pub fn preset_names() -> Vec<PresetId> {
	vec![PresetId::from(DEV_RUNTIME_PRESET), PresetId::from(LOCAL_TESTNET_RUNTIME_PRESET)]
}
