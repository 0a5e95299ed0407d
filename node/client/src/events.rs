//! What came of a call: the events of its transaction, decoded by the chain's metadata.

use cuckoo_primitives::{ModelId, TaskId};
use subxt::{
	dynamic::{At, Value},
	ext::scale_value::{Composite, ValueDef},
	Metadata,
};

use crate::{
	node::{failed, Chain, NodeError},
	signer::Included,
};

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
	/// The pallet that emitted it.
	pub pallet: String,
	/// Which of the pallet's events it is.
	pub variant: String,
	/// Its fields. A pallet's error in a field stands there as text: `Tasks.NoSeat: …`.
	pub fields: Composite<()>,
}

impl Event {
	/// An event of a block with this metadata.
	pub fn decode(
		event: &subxt::events::Event<'_, Chain>,
		metadata: &Metadata,
	) -> Result<Self, NodeError> {
		let fields: Composite<()> = event.decode_fields_unchecked_as().map_err(failed)?;
		let named = |value| name_error(value, metadata);
		Ok(Self {
			pallet: event.pallet_name().into(),
			variant: event.event_name().into(),
			fields: match fields {
				Composite::Named(fields) => Composite::Named(
					fields.into_iter().map(|(name, value)| (name, named(value))).collect(),
				),
				Composite::Unnamed(fields) => {
					Composite::Unnamed(fields.into_iter().map(named).collect())
				},
			},
		})
	}

	/// Whether it is this event of this pallet.
	pub fn is(&self, pallet: &str, variant: &str) -> bool {
		self.pallet == pallet && self.variant == variant
	}

	/// A field that is a number.
	pub fn number<N: TryFrom<u128>>(&self, field: &str) -> Option<N> {
		N::try_from(self.fields.at(field)?.as_u128()?).ok()
	}
}

/// The task that `Tasks.post` made.
pub fn posted_task(included: &Included) -> Option<TaskId> {
	first(included, "Tasks", "Posted")?.number("task")
}

/// The model that `Models.register` made.
pub fn registered_model(included: &Included) -> Option<ModelId> {
	first(included, "Models", "Registered")?.number("model")
}

/// The tasks whose entry in `Tasks.commit` or `Tasks.reveal` was refused, and why. The other entries went through.
pub fn refusals(included: &Included) -> Vec<(TaskId, String)> {
	included
		.events
		.iter()
		.filter(|event| event.is("Tasks", "CommitRefused") || event.is("Tasks", "RevealRefused"))
		.filter_map(|event| {
			let why = event.fields.at("error")?;
			Some((event.number("task")?, why.as_str().map_or_else(|| why.to_string(), Into::into)))
		})
		.collect()
}

fn first<'a>(included: &'a Included, pallet: &str, variant: &str) -> Option<&'a Event> {
	included.events.iter().find(|event| event.is(pallet, variant))
}

/// The name of a pallet's error and what its documentation says, up to the first empty line.
pub(crate) fn error_name(
	metadata: &Metadata,
	pallet: u8,
	error: u8,
) -> Option<(String, String, String)> {
	let pallet = metadata.pallet_by_error_index(pallet)?;
	let error = pallet.error_variant_by_index(error)?;
	let docs: Vec<_> =
		error.docs.iter().map(|line| line.trim()).take_while(|line| !line.is_empty()).collect();
	Some((pallet.name().into(), error.name.clone(), docs.join(" ")))
}

/// A `DispatchError::Module` says only two numbers: puts what they mean in its place.
fn name_error(value: Value, metadata: &Metadata) -> Value {
	let name = |(pallet, error)| error_name(metadata, pallet, error);
	match module_error(&value).and_then(name) {
		Some((pallet, error, docs)) => Value::string(format!("{pallet}.{error}: {docs}")),
		None => value,
	}
}

/// The indices of the pallet and of its error, if the value is a `DispatchError::Module`.
fn module_error(value: &Value) -> Option<(u8, u8)> {
	let ValueDef::Variant(variant) = &value.value else { return None };
	if variant.name != "Module" {
		return None;
	}
	let byte = |value: Option<&Value>| u8::try_from(value?.as_u128()?).ok();
	let module = variant.values.at(0);
	Some((byte(module.at("index"))?, byte(module.at("error").at(0))?))
}

#[cfg(test)]
mod tests {
	use super::*;
	use sp_core::H256;

	fn included(events: Vec<Event>) -> Included {
		Included { block: 7, hash: H256::zero(), extrinsic: H256::zero(), events }
	}

	fn event(pallet: &str, variant: &str, fields: Vec<(&str, Value)>) -> Event {
		Event { pallet: pallet.into(), variant: variant.into(), fields: Composite::named(fields) }
	}

	#[test]
	fn the_new_task_and_model_are_found_among_other_events() {
		let included = included(vec![
			event("Balances", "Held", vec![("amount", Value::u128(5))]),
			event("Tasks", "Posted", vec![("task", Value::u128(42)), ("items", Value::u128(1))]),
			event("Models", "Registered", vec![("model", Value::u128(3))]),
		]);
		assert_eq!(posted_task(&included), Some(42));
		assert_eq!(registered_model(&included), Some(3));
		assert!(refusals(&included).is_empty());
	}

	#[test]
	fn what_is_missing_or_too_large_is_not_found() {
		assert_eq!(posted_task(&included(vec![])), None);
		let huge = vec![("model", Value::u128(1 << 40))];
		assert_eq!(registered_model(&included(vec![event("Models", "Registered", huge)])), None);
	}

	#[test]
	fn refused_entries_come_with_their_reason() {
		let refused = |variant, task: u128, why| {
			event("Tasks", variant, vec![("task", Value::u128(task)), ("error", why)])
		};
		let included = included(vec![
			refused("CommitRefused", 1, Value::string("Tasks.NoSeat: no seat")),
			refused("RevealRefused", 2, Value::unnamed_variant("BadOrigin", [])),
			refused("Committed", 3, Value::bool(true)),
		]);
		let refusals = refusals(&included);
		assert_eq!(refusals[0], (1, "Tasks.NoSeat: no seat".to_owned()));
		assert_eq!(refusals[1].0, 2);
		assert!(refusals[1].1.contains("BadOrigin"));
		assert_eq!(refusals.len(), 2);
	}

	#[test]
	fn a_module_error_is_recognised() {
		let module = Value::named_composite([
			("index", Value::u128(12)),
			("error", Value::from_bytes([3u8, 0, 0, 0])),
		]);
		assert_eq!(module_error(&Value::unnamed_variant("Module", [module])), Some((12, 3)));
		assert_eq!(module_error(&Value::unnamed_variant("BadOrigin", [])), None);
		assert_eq!(module_error(&Value::u128(12)), None);
	}
}
