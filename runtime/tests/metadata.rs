//! What wallets read of the chain: every call, event, error and parameter of our pallets is documented for stakers.

use codec::Decode;
use cuckoo_runtime::Runtime;
use frame_metadata::{v15::RuntimeMetadataV15, RuntimeMetadata, RuntimeMetadataPrefixed};
use scale_info::{form::PortableForm, TypeDef};

/// Our own pallets; the SDK's are documented by theirs.
const OURS: [&str; 4] = ["Stake", "Sortition", "Models", "Tasks"];

fn metadata() -> RuntimeMetadataV15 {
	let bytes = Runtime::metadata_at_version(15).expect("version 15 is served");
	let prefixed = RuntimeMetadataPrefixed::decode(&mut &bytes[..]).expect("it decodes");
	match prefixed.1 {
		RuntimeMetadata::V15(metadata) => metadata,
		_ => panic!("another version was served"),
	}
}

#[test]
fn metadata_is_served_in_versions_14_15_and_16() {
	let versions = Runtime::metadata_versions();
	assert!([14, 15, 16].iter().all(|version| versions.contains(version)), "{versions:?}");
}

#[test]
fn every_call_event_and_error_has_docs() {
	let metadata = metadata();
	let mut bare = Vec::new();
	for pallet in metadata.pallets.iter().filter(|pallet| OURS.contains(&pallet.name.as_str())) {
		let types = [
			pallet.calls.as_ref().map(|calls| calls.ty.id),
			pallet.event.as_ref().map(|event| event.ty.id),
			pallet.error.as_ref().map(|error| error.ty.id),
		];
		for id in types.into_iter().flatten() {
			let TypeDef::<PortableForm>::Variant(variants) =
				&metadata.types.resolve(id).expect("the type is listed").type_def
			else {
				continue;
			};
			for variant in &variants.variants {
				if variant.docs.is_empty() {
					bare.push(format!("{}.{}", pallet.name, variant.name));
				}
				// Calls document their arguments in their own text, as wallets show it.
				if Some(id) == pallet.event.as_ref().map(|event| event.ty.id) {
					for field in variant.fields.iter().filter(|field| field.docs.is_empty()) {
						bare.push(format!("{}.{}.{:?}", pallet.name, variant.name, field.name));
					}
				}
			}
		}
		for constant in pallet.constants.iter().filter(|constant| constant.docs.is_empty()) {
			bare.push(format!("{}.{}", pallet.name, constant.name));
		}
	}
	assert!(bare.is_empty(), "without docs: {bare:?}");
}

#[test]
fn every_argument_is_explained_in_its_calls_docs() {
	let metadata = metadata();
	let mut unexplained = Vec::new();
	for pallet in metadata.pallets.iter().filter(|pallet| OURS.contains(&pallet.name.as_str())) {
		let Some(calls) = &pallet.calls else { continue };
		let TypeDef::<PortableForm>::Variant(variants) =
			&metadata.types.resolve(calls.ty.id).expect("the type is listed").type_def
		else {
			panic!("calls are variants")
		};
		for call in &variants.variants {
			let docs = call.docs.join("\n");
			for field in &call.fields {
				let name = field.name.as_deref().unwrap_or_default();
				if !docs.contains(&format!("`{name}`")) {
					unexplained.push(format!("{}.{}.{name}", pallet.name, call.name));
				}
			}
		}
	}
	assert!(unexplained.is_empty(), "not explained: {unexplained:?}");
}

/// Parameters are shown by `parameters.setParameter` as variants of an enumeration.
#[test]
fn every_parameter_has_its_unit_and_its_bounds_in_its_docs() {
	let metadata = metadata();
	let mut seen = 0;
	for ty in &metadata.types.types {
		let path = &ty.ty.path.segments;
		if !path.contains(&"dynamic_params".into()) || path.last() != Some(&"Parameters".into()) {
			continue;
		}
		let TypeDef::<PortableForm>::Variant(variants) = &ty.ty.type_def else { continue };
		for variant in &variants.variants {
			let docs = variant.docs.join(" ");
			let unit = [
				"In planck",
				"In eras",
				"In blocks",
				"In fees",
				"In miners",
				"In items",
				"In audits",
				"A part of",
			];
			assert!(unit.iter().any(|unit| docs.contains(unit)), "{}: {docs}", variant.name);
			assert!(docs.contains("from ") || docs.contains("up to "), "{}: {docs}", variant.name);
			seen += 1;
		}
	}
	assert!(seen >= 28, "{seen} parameters found");
}
