//! The chains that this binary knows by name. What they start with is in the runtime's presets.

use cuckoo_runtime::{configs::SS58Prefix, WASM_BINARY};
use sc_service::{ChainType, Properties};
use sp_genesis_builder::{DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET};

/// A chain's specification.
pub type ChainSpec = sc_service::GenericChainSpec;

fn properties() -> Properties {
	let mut properties = Properties::new();
	properties.insert("tokenSymbol".into(), "CAI".into());
	properties.insert("tokenDecimals".into(), 18.into());
	properties.insert("ss58Format".into(), SS58Prefix::get().into());
	properties
}

fn preset(name: &str, id: &str, kind: ChainType, preset: &str) -> Result<ChainSpec, String> {
	let wasm = WASM_BINARY
		.ok_or("this node was built without the runtime's WebAssembly: build it again without SKIP_WASM_BUILD")?;
	Ok(ChainSpec::builder(wasm, None)
		.with_name(name)
		.with_id(id)
		.with_protocol_id("cuckoo")
		.with_chain_type(kind)
		.with_genesis_config_preset_name(preset)
		.with_properties(properties())
		.build())
}

/// One validator, for trying things out.
pub fn dev() -> Result<ChainSpec, String> {
	preset("Cuckoo Development", "dev", ChainType::Development, DEV_RUNTIME_PRESET)
}

/// Three validators on one machine.
pub fn local() -> Result<ChainSpec, String> {
	preset("Cuckoo Local", "local", ChainType::Local, LOCAL_TESTNET_RUNTIME_PRESET)
}
