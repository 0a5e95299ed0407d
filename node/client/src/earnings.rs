//! What a pool has earned: its `Stake.Rewarded` events, each with the task that it was for.

use cuckoo_primitives::{views::SeatKind, Balance, BlockNumber, TaskId};
use sp_core::crypto::AccountId32;
use subxt::{
	dynamic::{At, Value},
	events::Phase,
	ext::scale_value::ValueDef,
};

use crate::{
	events::Event,
	node::{failed, Node, NodeError},
};

/// Something that a pool earned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reward {
	/// The block.
	pub block: BlockNumber,
	/// How much, in planck, commission included.
	pub amount: Balance,
	/// What of it went to the owner as commission, in planck.
	pub commission: Balance,
	/// The task that it was for, and as what the pool's operator sat in it. Without one it is for stake, for a block, or for a seat in a court.
	pub task: Option<(TaskId, SeatKind)>,
}

/// What the pool of this owner earned in a block of the node's best chain. A node that does not keep all states knows the latest few hundred blocks.
pub async fn of_block(
	node: &Node,
	block: BlockNumber,
	owner: &AccountId32,
) -> Result<Vec<Reward>, NodeError> {
	let at = node.subxt().await?.at_block(block).await.map_err(failed)?;
	let mut events = Vec::new();
	for event in at.events().fetch().await.map_err(failed)?.iter() {
		let event = event.map_err(failed)?;
		if matches!(
			(event.pallet_name(), event.event_name()),
			("Stake", "Rewarded") | ("Tasks", "Settled")
		) {
			let extrinsic = match event.phase() {
				Phase::ApplyExtrinsic(index) => Some(index),
				Phase::Initialization | Phase::Finalization => None,
			};
			events.push((extrinsic, Event::decode(&event, at.metadata_ref())?));
		}
	}
	Ok(rewards(block, owner, &events))
}

/// The owner's rewards among the events of a block, each of which comes with the extrinsic that emitted it.
///
/// The chain pays a task's miner, then those who computed a sample of it again, and then says that the task is settled. Before each payment a pool may take in
/// what its stake has earned meanwhile, so that only the last reward of a pool is for the task.
fn rewards(
	block: BlockNumber,
	owner: &AccountId32,
	events: &[(Option<u32>, Event)],
) -> Vec<Reward> {
	let mut all: Vec<(Option<AccountId32>, Reward)> = Vec::new();
	// Where those begin that may be for the next task that is settled, and in which extrinsic.
	let (mut first, mut current) = (0, None);
	for (extrinsic, event) in events {
		if current != Some(*extrinsic) {
			(first, current) = (all.len(), Some(*extrinsic));
		}
		if event.is("Stake", "Rewarded") {
			let reward = Reward {
				block,
				amount: event.number("amount").unwrap_or_default(),
				commission: event.number("commission").unwrap_or_default(),
				task: None,
			};
			all.push((account(event, "owner"), reward));
		} else if let (true, Some(task)) = (event.is("Tasks", "Settled"), event.number("task")) {
			let miner = account(event, "miner");
			assign(&mut all[first..], task, miner.as_ref());
			first = all.len();
		}
	}
	all.into_iter().filter(|(whose, _)| whose.as_ref() == Some(owner)).map(|(_, r)| r).collect()
}

/// Names the task of those rewards that were paid for it: the last of its miner and, behind it, the last of each other pool.
fn assign(paid: &mut [(Option<AccountId32>, Reward)], task: TaskId, miner: Option<&AccountId32>) {
	let mut seen: Vec<AccountId32> = Vec::new();
	for (whose, reward) in paid.iter_mut().rev() {
		let Some(whose) = whose else { continue };
		if Some(&*whose) == miner {
			reward.task = Some((task, SeatKind::Primary));
			return;
		}
		if !seen.contains(whose) {
			reward.task = Some((task, SeatKind::Verifier));
			seen.push(whose.clone());
		}
	}
	// The miner was not paid: these were for something else.
	for (_, reward) in paid {
		reward.task = None;
	}
}

/// A field that is an account.
fn account(event: &Event, field: &str) -> Option<AccountId32> {
	let mut bytes = Vec::new();
	gather(event.fields.at(field)?, &mut bytes)?;
	<[u8; 32]>::try_from(bytes).ok().map(AccountId32::new)
}

/// The bytes that a value consists of, however they are nested; `None` if there is anything else in it.
fn gather(value: &Value, bytes: &mut Vec<u8>) -> Option<()> {
	if let ValueDef::Composite(parts) = &value.value {
		return parts.values().try_for_each(|part| gather(part, bytes));
	}
	bytes.push(u8::try_from(value.as_u128()?).ok()?);
	Some(())
}

#[cfg(test)]
mod tests {
	use super::*;
	use subxt::ext::scale_value::Composite;

	const MINER: [u8; 32] = [1; 32];
	const VERIFIER: [u8; 32] = [2; 32];

	fn event(pallet: &str, variant: &str, fields: Vec<(&str, Value)>) -> Event {
		Event { pallet: pallet.into(), variant: variant.into(), fields: Composite::named(fields) }
	}

	/// As the chain's metadata has an account: an array in a tuple of one.
	fn of(account: [u8; 32]) -> Value {
		Value::unnamed_composite([Value::from_bytes(account)])
	}

	fn rewarded(owner: [u8; 32], amount: u128) -> Event {
		let fields = vec![
			("owner", of(owner)),
			("amount", Value::u128(amount)),
			("commission", Value::u128(amount / 10)),
		];
		event("Stake", "Rewarded", fields)
	}

	fn settled(task: u128, miner: [u8; 32]) -> Event {
		let fields = vec![("task", Value::u128(task)), ("miner", of(miner))];
		event("Tasks", "Settled", fields)
	}

	fn found(owner: [u8; 32], events: &[(Option<u32>, Event)]) -> Vec<(u128, Option<TaskId>)> {
		let rewards = rewards(7, &AccountId32::new(owner), events);
		rewards.iter().map(|r| (r.amount, r.task.map(|(task, _)| task))).collect()
	}

	#[test]
	fn a_reward_is_for_the_task_that_is_settled_with_it() {
		let events: Vec<_> = [
			// What stake earned, taken in before each payment.
			rewarded(MINER, 3),
			rewarded(MINER, 100),
			rewarded(VERIFIER, 4),
			rewarded(VERIFIER, 50),
			settled(8, MINER),
			rewarded(MINER, 200),
			settled(9, MINER),
			// For something else.
			rewarded(MINER, 5),
		]
		.map(|event| (Some(2), event))
		.into();
		assert_eq!(found(MINER, &events), [(3, None), (100, Some(8)), (200, Some(9)), (5, None)]);
		assert_eq!(found(VERIFIER, &events), [(4, None), (50, Some(8))]);
		let all = rewards(7, &AccountId32::new(VERIFIER), &events);
		assert_eq!(all[1].task, Some((8, SeatKind::Verifier)));
		assert_eq!((all[1].block, all[1].commission), (7, 5));
		let all = rewards(7, &AccountId32::new(MINER), &events);
		assert_eq!(all[1].task, Some((8, SeatKind::Primary)));
		assert!(found([9; 32], &events).is_empty());
	}

	#[test]
	fn rewards_of_other_extrinsics_and_tasks_stay_without_a_task() {
		let events = [
			(None, rewarded(VERIFIER, 1)),
			(Some(0), rewarded(VERIFIER, 2)),
			// Its miner was paid in no event before it.
			(Some(0), settled(8, MINER)),
			(Some(1), settled(9, VERIFIER)),
		];
		assert_eq!(found(VERIFIER, &events), [(1, None), (2, None)]);
	}

	#[test]
	fn only_thirty_two_bytes_are_an_account() {
		let short = event("Stake", "Rewarded", vec![("owner", Value::from_bytes([1; 31]))]);
		let large = event("Stake", "Rewarded", vec![("owner", Value::u128(1 << 40))]);
		let words = event("Stake", "Rewarded", vec![("owner", Value::string("5Grwva"))]);
		for wrong in [&short, &large, &words] {
			assert_eq!(account(wrong, "owner"), None);
		}
		assert_eq!(account(&rewarded(MINER, 1), "owner"), Some(AccountId32::new(MINER)));
		assert_eq!(account(&rewarded(MINER, 1), "voter"), None);
	}
}
