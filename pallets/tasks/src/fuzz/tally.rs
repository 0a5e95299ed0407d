//! What a run did.

use crate::mock::*;
use frame_support::traits::{CallMetadata, PalletInfoAccess};
use scale_info::{TypeDef, TypeInfo};
use sp_runtime::{DispatchError, ModuleError};
use std::collections::BTreeMap;

/// An error's number and name.
type Numbered = (u8, &'static str);

/// A pallet whose refusals are told apart.
struct Refusing {
	name: &'static str,
	index: fn() -> usize,
	errors: fn() -> Vec<Numbered>,
}

/// This pallet, and then those that stand behind it.
static PALLETS: [Refusing; 3] = [
	Refusing { name: "Tasks", index: Tasks::index, errors: errors::<crate::Error<Test>> },
	Refusing { name: "Stake", index: Stake::index, errors: errors::<pallet_stake::Error<Test>> },
	Refusing { name: "Models", index: Models::index, errors: errors::<pallet_models::Error<Test>> },
];

/// A pallet's errors by their number.
fn errors<E: TypeInfo>() -> Vec<Numbered> {
	match E::type_info().type_def {
		TypeDef::Variant(errors) => {
			errors.variants.iter().map(|error| (error.index, error.name)).collect()
		},
		_ => Vec::new(),
	}
}

/// What a run did.
#[derive(Debug, Default)]
pub struct Tally {
	/// How often each call was done, and refused, by pallet and name.
	sent: BTreeMap<(&'static str, &'static str), [u64; 2]>,
	/// How often each error came up, by pallet and name.
	refusals: BTreeMap<(&'static str, &'static str), u64>,
	/// How often everything else happened.
	seen: BTreeMap<&'static str, u64>,
	pub calls: u64,
	pub refused: u64,
	pub blocks: u64,
}

impl Tally {
	/// A call.
	pub fn count(&mut self, call: CallMetadata, refused: Option<DispatchError>) {
		let CallMetadata { function_name, pallet_name } = call;
		let counts = self.sent.entry((pallet_name, function_name)).or_default();
		counts[usize::from(refused.is_some())] += 1;
		self.calls += 1;
		if let Some(error) = refused {
			self.refused += 1;
			self.refuse(error);
		}
	}

	/// A refusal, of a call or of a part of one.
	pub fn refuse(&mut self, error: DispatchError) {
		let reason = match error {
			// A message gets lost where an error is stored; its number does not.
			DispatchError::Module(ModuleError { index, error: [number, ..], .. }) => {
				let pallet = PALLETS.iter().find(|pallet| (pallet.index)() == usize::from(index));
				pallet.and_then(|pallet| {
					let mut errors = (pallet.errors)().into_iter();
					errors.find(|(at, _)| *at == number).map(|(_, name)| (pallet.name, name))
				})
			},
			_ => None,
		};
		let reason = reason.unwrap_or_else(|| ("others", error.into()));
		let broken = reason == ("Tasks", "Corrupt") || reason == ("Tasks", "Overflow");
		assert!(!broken, "the pallet contradicts itself: {reason:?}");
		*self.refusals.entry(reason).or_default() += 1;
	}

	/// Something that happened.
	pub fn see(&mut self, what: &'static str) {
		*self.seen.entry(what).or_default() += 1;
	}

	/// How often it did.
	pub fn times(&self, what: &str) -> u64 {
		self.seen.get(what).copied().unwrap_or(0)
	}

	/// The errors of the pallet that never came up.
	pub fn missed(&self) -> Vec<&'static str> {
		let [tasks, ..] = &PALLETS;
		let names = (tasks.errors)().into_iter().map(|(_, name)| name);
		names.filter(|name| !self.refusals.contains_key(&(tasks.name, *name))).collect()
	}

	/// Prints it; the last line is for programs.
	pub fn print(&self) {
		println!("{:>32} {:>12} {:>12}", "call", "done", "refused");
		for ((pallet, name), [done, refused]) in &self.sent {
			let name = format!("{pallet} {name}");
			println!("{name:>32} {done:>12} {refused:>12}");
		}
		println!("\n{:>32} {:>12}", "what happened", "times");
		for (what, times) in &self.seen {
			println!("{what:>32} {times:>12}");
		}
		println!("\n{:>32} {:>12}", "refused for", "times");
		for ((pallet, reason), times) in &self.refusals {
			let name = format!("{pallet} {reason}");
			println!("{name:>32} {times:>12}");
		}
		let missed = self.missed();
		println!("{:>32} {:>12}", "never refused for", missed.len());
		println!("{}\n", missed.join(" "));
		let Self { calls, refused, blocks, .. } = self;
		let numbers = [
			("tasks", "posted"),
			("settled", "settled"),
			("audited", "audited"),
			("disputed", "disputed"),
			("courts", "first court seated"),
			("second_courts", "second court seated"),
			("captured", "honest slashed by a captured court"),
			("challenges", "challenged"),
			("slashes", "slashed"),
			("honest_slashed", "honest slashed"),
		];
		let numbers = numbers.map(|(key, what)| format!("{key}={}", self.times(what))).join(" ");
		println!("task-fuzz: calls={calls} refused={refused} blocks={blocks} {numbers}");
	}
}
