//! The chain's calls, one function each.
//!
//! Arguments are matched with the chain's by name when the call is signed, so a renamed or missing one is an error and never a different call.

use cuckoo_primitives::{
	commitment::Salt,
	tolerance::{Leaf, Tolerance},
	views::IntroView,
	Balance, BlockNumber, ModelId, ModelKind, Role, TaskId,
};
use sp_core::{crypto::AccountId32, H256};
use subxt::{dynamic::Value, ext::scale_value::Composite, tx::DynamicPayload};

/// A call, ready for [`Signer::submit`](crate::Signer::submit).
pub type Call = DynamicPayload<Composite<()>>;

/// What is promised of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commitment {
	/// The task.
	pub task: TaskId,
	/// Which draw of it this is for.
	pub round: u32,
	/// The Merkle root over the inputs that were computed.
	pub input_root: H256,
	/// What hides the output root.
	pub hash: H256,
}

/// The result behind a commitment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reveal {
	/// The task.
	pub task: TaskId,
	/// The Merkle root over its outputs.
	pub output_root: H256,
	/// What the commitment was salted with.
	pub salt: Salt,
	/// The items that are looked at, in their order.
	pub items: Vec<ShownItem>,
}

/// One output that is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownItem {
	/// Its hash and sketch.
	pub leaf: Leaf,
	/// The hashes beside the way from it to the output root; empty where the root is over what is shown.
	pub proof: Vec<H256>,
}

fn call<const N: usize>(pallet: &str, name: &str, arguments: [(&str, Value); N]) -> Call {
	subxt::dynamic::tx(pallet, name, Composite::named(arguments))
}

fn bytes(bytes: impl AsRef<[u8]>) -> Value {
	Value::from_bytes(bytes)
}

fn number(number: impl Into<u128>) -> Value {
	Value::u128(number.into())
}

/// A variant without fields. `Debug` names it as the chain does: both come from the same enum.
fn variant(variant: impl std::fmt::Debug) -> Value {
	Value::unnamed_variant(format!("{variant:?}"), [])
}

fn tolerance_value(tolerance: Tolerance) -> Value {
	match tolerance {
		Tolerance::Exact => variant(tolerance),
		Tolerance::Approx { agree, wrong } => {
			Value::named_variant("Approx", [("agree", number(agree)), ("wrong", number(wrong))])
		},
	}
}

fn intro_value(intro: &IntroView) -> Value {
	Value::named_composite([
		("name", bytes(&intro.name)),
		("description", bytes(&intro.description)),
		("website", bytes(&intro.website)),
		("location", bytes(&intro.location)),
		("hardware", bytes(&intro.hardware)),
		("endpoint", bytes(&intro.endpoint)),
	])
}

/// Registers the signer's pool with its bond. `commission` is in parts per billion.
pub fn register(
	role: Role,
	operator: &AccountId32,
	intro: &IntroView,
	commission: u32,
	bond: Balance,
) -> Call {
	let arguments = [
		("role", variant(role)),
		("operator", bytes(operator)),
		("intro", intro_value(intro)),
		("commission", number(commission)),
		("bond", number(bond)),
	];
	call("Stake", "register", arguments)
}

/// Takes the signer's pool out for good.
pub fn unregister() -> Call {
	call("Stake", "unregister", [])
}

/// Sets the keys that a validator signs blocks and finality votes with. `proof` is their signatures of the signer's account, as `author_rotateKeysWithOwner`
/// makes them.
pub fn set_keys(
	babe: impl AsRef<[u8]>,
	grandpa: impl AsRef<[u8]>,
	proof: impl AsRef<[u8]>,
) -> Call {
	let keys = Value::named_composite([("babe", bytes(babe)), ("grandpa", bytes(grandpa))]);
	call("Session", "set_keys", [("keys", keys), ("proof", bytes(proof))])
}

/// Takes a validator's session keys away.
pub fn purge_keys() -> Call {
	call("Stake", "purge_keys", [])
}

/// Registers a model. It takes tasks once it is calibrated.
pub fn register_model(
	name: &str,
	kind: ModelKind,
	manifest: H256,
	min_fee: Balance,
	work_window: BlockNumber,
) -> Call {
	let arguments = [
		("name", bytes(name)),
		("kind", variant(kind)),
		("manifest", bytes(manifest)),
		("min_fee", number(min_fee)),
		("work_window", number(work_window)),
	];
	call("Models", "register", arguments)
}

/// Says how close two honest results of a model are. `reference_ms` is how long one inference takes on the slowest machine that should still earn;
/// `evidence` is the hash of the report that says so.
pub fn calibrate_model(
	model: ModelId,
	tolerance: Tolerance,
	reference_ms: u32,
	evidence: H256,
) -> Call {
	let arguments = [
		("model", number(model)),
		("tolerance", tolerance_value(tolerance)),
		("reference_ms", number(reference_ms)),
		("evidence", bytes(evidence)),
	];
	call("Models", "calibrate", arguments)
}

/// Posts a task; its fee is held. `max_wait` is in blocks.
pub fn post(
	model: ModelId,
	input_root: H256,
	items: u32,
	fee: Balance,
	max_wait: BlockNumber,
) -> Call {
	let arguments = [
		("model", number(model)),
		("input_root", bytes(input_root)),
		("items", number(items)),
		("fee", number(fee)),
		("max_wait", number(max_wait)),
	];
	call("Tasks", "post", arguments)
}

/// Offers to run these models, `slots` tasks at a time.
pub fn go_online(models: &[ModelId], slots: u32) -> Call {
	let models = Value::unnamed_composite(models.iter().map(|model| number(*model)));
	call("Tasks", "go_online", [("models", models), ("slots", number(slots))])
}

/// Takes no more tasks.
pub fn go_offline() -> Call {
	call("Tasks", "go_offline", [])
}

/// Commits to the results of tasks.
pub fn commit(commitments: &[Commitment]) -> Call {
	let commitments = commitments.iter().map(|commitment| {
		Value::named_composite([
			("task", number(commitment.task)),
			("round", number(commitment.round)),
			("input_root", bytes(commitment.input_root)),
			("hash", bytes(commitment.hash)),
		])
	});
	call("Tasks", "commit", [("commitments", Value::unnamed_composite(commitments))])
}

fn shown_item(shown: &ShownItem) -> Value {
	let (hash, sketch) = (bytes(shown.leaf.hash), bytes(shown.leaf.sketch));
	let proof = shown.proof.iter().map(bytes);
	Value::named_composite([
		("leaf", Value::named_composite([("hash", hash), ("sketch", sketch)])),
		("proof", Value::unnamed_composite(proof)),
	])
}

/// Says that the inputs of a task cannot be had.
pub fn unavailable(task: TaskId) -> Call {
	call("Tasks", "unavailable", [("task", number(task))])
}

/// Says that the outputs of a task never came.
pub fn undelivered(task: TaskId) -> Call {
	call("Tasks", "undelivered", [("task", number(task))])
}

/// Takes back a task that no miner has yet.
pub fn cancel(task: TaskId) -> Call {
	call("Tasks", "cancel", [("task", number(task))])
}

/// Has a court judge an item of a paid task.
pub fn challenge(task: TaskId, item: u32, shown: &ShownItem) -> Call {
	let arguments = [("task", number(task)), ("item", number(item)), ("shown", shown_item(shown))];
	call("Tasks", "challenge", arguments)
}

/// Shows the results behind commitments.
pub fn reveal(reveals: &[Reveal]) -> Call {
	let reveals = reveals.iter().map(|reveal| {
		Value::named_composite([
			("task", number(reveal.task)),
			("output_root", bytes(reveal.output_root)),
			("salt", bytes(reveal.salt)),
			("items", Value::unnamed_composite(reveal.items.iter().map(shown_item))),
		])
	});
	call("Tasks", "reveal", [("reveals", Value::unnamed_composite(reveals))])
}

#[cfg(test)]
mod tests {
	use super::*;
	use cuckoo_primitives::tolerance::NO_SKETCH;

	/// `Pallet.call(argument, …)`.
	fn signature(call: &Call) -> String {
		let Composite::Named(arguments) = call.call_data() else {
			panic!("arguments go by name");
		};
		let names: Vec<_> = arguments.iter().map(|(name, _)| name.as_str()).collect();
		format!("{}.{}({})", call.pallet_name(), call.call_name(), names.join(", "))
	}

	#[test]
	fn calls_have_the_names_of_the_chain() {
		let (who, hash) = (AccountId32::new([7; 32]), H256::repeat_byte(9));
		let intro = IntroView::default();
		let shown = ShownItem { leaf: Leaf { hash, sketch: NO_SKETCH }, proof: vec![hash] };
		let calls = [
			(
				register(Role::Miner, &who, &intro, 0, 1),
				"Stake.register(role, operator, intro, commission, bond)",
			),
			(unregister(), "Stake.unregister()"),
			(set_keys([1u8; 32], [2u8; 32], [3u8; 128]), "Session.set_keys(keys, proof)"),
			(purge_keys(), "Stake.purge_keys()"),
			(
				register_model("m", ModelKind::Tensor, hash, 1, 1),
				"Models.register(name, kind, manifest, min_fee, work_window)",
			),
			(
				calibrate_model(1, Tolerance::Exact, 1, hash),
				"Models.calibrate(model, tolerance, reference_ms, evidence)",
			),
			(post(1, hash, 1, 1, 1), "Tasks.post(model, input_root, items, fee, max_wait)"),
			(go_online(&[1], 1), "Tasks.go_online(models, slots)"),
			(commit(&[]), "Tasks.commit(commitments)"),
			(reveal(&[]), "Tasks.reveal(reveals)"),
			(unavailable(1), "Tasks.unavailable(task)"),
			(undelivered(1), "Tasks.undelivered(task)"),
			(challenge(1, 2, &shown), "Tasks.challenge(task, item, shown)"),
		];
		for (call, expected) in calls {
			assert_eq!(signature(&call), expected);
		}
	}

	#[test]
	fn values_have_the_shape_of_their_type() {
		assert_eq!(variant(Role::Coordinator), Value::unnamed_variant("Coordinator", []));
		assert_eq!(variant(ModelKind::TextToImage), Value::unnamed_variant("TextToImage", []));
		assert_eq!(tolerance_value(Tolerance::Exact), Value::unnamed_variant("Exact", []));
		assert_eq!(
			tolerance_value(Tolerance::Approx { agree: 210, wrong: 840 }),
			Value::named_variant("Approx", [("agree", number(210u32)), ("wrong", number(840u32))]),
		);
		let hash = H256::repeat_byte(1);
		let promise = Commitment { task: 5, round: 2, input_root: H256::zero(), hash };
		let value = Value::named_composite([
			("task", number(5u64)),
			("round", number(2u32)),
			("input_root", bytes([0u8; 32])),
			("hash", bytes([1u8; 32])),
		]);
		assert_eq!(
			commit(&[promise]).call_data(),
			&Composite::named([("commitments", Value::unnamed_composite([value]))]),
		);
		let keys =
			Value::named_composite([("babe", bytes([1u8; 32])), ("grandpa", bytes([2u8; 32]))]);
		assert_eq!(
			set_keys([1u8; 32], [2u8; 32], [3u8; 128]).call_data(),
			&Composite::named([("keys", keys), ("proof", bytes([3u8; 128]))]),
		);
	}
}
