//! `miner-client rewards`: what a pool has earned of late, and for which tasks. It only asks, and needs no password.
//!
//! The chain keeps no account of what was earned: rewards are events of blocks, and a pool's votes grow with them. So blocks are read, and what the owner's own stake is worth now is
//! put beside what it was worth in the first of them.

use anyhow::{Context, Result};
use clap::Args;
use cuckoo_client::{
	cli::format_cai,
	earnings::{self, Reward},
	plain, Node,
};
use cuckoo_primitives::{
	views::{OperatorView, SeatKind},
	Balance, BlockNumber, MILLIS_PER_BLOCK,
};
use cuckoo_rpc::CuckooApiClient;
use futures::{stream, StreamExt};
use serde_json::json;
use sp_core::crypto::AccountId32;

use crate::{
	account::{answer, pool},
	cli::Settings,
	infer::progress,
};

/// How many blocks are read at a time.
const PARALLEL: usize = 8;

/// Whose earnings to show, and since when.
#[derive(Args, Debug)]
pub(crate) struct RewardsArgs {
	/// The operator's account, or the owner's. [default: the account in the operator's key file]
	#[arg(value_name = "ACCOUNT")]
	account: Option<AccountId32>,
	/// How many of the latest blocks to look at; there are 20 a minute. A node that does not keep all states knows a few hundred.
	#[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
	blocks: u32,
	/// Print JSON; amounts are in planck then, 10^18 of them are a CAI.
	#[arg(long)]
	json: bool,
	#[command(flatten)]
	settings: Settings,
}

/// Prints what a pool has earned of late.
pub(crate) async fn rewards(args: RewardsArgs) -> Result<()> {
	let RewardsArgs { account, blocks, json, settings } = args;
	let config = settings.read()?;
	let node = config.connect().await?;
	let pool = pool(&node, account, &config).await?;
	let (last, _) = node.best_block().await?;
	let wanted = last.saturating_sub(blocks - 1);
	let (first, rewards) = walk(&node, &pool.owner, wanted, last).await?;
	let before = own_stake(&node, &pool.owner, first).await;
	let earned = Earned { pool, first, last, wanted, before, rewards };
	if json {
		println!("{}", serde_json::to_string_pretty(&earned.json())?);
	} else {
		earned.print();
	}
	Ok(())
}

/// Reads blocks from the last one back, as far as the node knows them: the first that was read, and what was earned in all of them, oldest first.
async fn walk(
	node: &Node,
	owner: &AccountId32,
	wanted: BlockNumber,
	last: BlockNumber,
) -> Result<(BlockNumber, Vec<Reward>)> {
	let bar = progress(u64::from(last - wanted) + 1, "blocks");
	let blocks = stream::iter((wanted..=last).rev());
	let mut blocks = blocks
		.map(|block| async move { (block, earnings::of_block(node, block, owner).await) })
		.buffered(PARALLEL);
	let (mut first, mut all) = (last, Vec::new());
	while let Some((block, found)) = blocks.next().await {
		match found {
			Ok(found) => all.extend(found.into_iter().rev()),
			Err(error) if block == last => return Err(error).context("cannot read the last block"),
			// What lies further back is gone.
			Err(error) => {
				tracing::debug!(block, "{error}");
				break;
			},
		}
		first = block;
		bar.inc(1);
	}
	bar.finish_and_clear();
	all.reverse();
	Ok((first, all))
}

/// What the owner's own stake was worth in an earlier block, if the node still knows.
async fn own_stake(node: &Node, owner: &AccountId32, block: BlockNumber) -> Option<Balance> {
	let at = node.subxt().await.ok()?.at_block(block).await.ok()?.block_hash();
	let rpc = node.rpc().await.ok()?;
	Some(answer(rpc.operator(owner.clone(), Some(at))).await.ok()??.own)
}

/// What a pool has earned between two blocks.
struct Earned {
	pool: OperatorView,
	first: BlockNumber,
	last: BlockNumber,
	/// The block from which on it was to be told.
	wanted: BlockNumber,
	/// What the owner's own stake was worth at the first block.
	before: Option<Balance>,
	rewards: Vec<Reward>,
}

impl Earned {
	fn total(&self, part: impl Fn(&Reward) -> Balance) -> Balance {
		self.rewards.iter().map(part).fold(0, Balance::saturating_add)
	}

	fn json(&self) -> serde_json::Value {
		let reward = |reward: &Reward| {
			json!({
				"block": reward.block,
				"amount": reward.amount.to_string(),
				"commission": reward.commission.to_string(),
				"task": reward.task.map(|(task, _)| task),
				"as": reward.task.map(|(_, kind)| kind),
			})
		};
		json!({
			"owner": self.pool.owner,
			"operator": self.pool.operator,
			"from_block": self.first,
			"to_block": self.last,
			"complete": self.first == self.wanted,
			"earned": self.total(|reward| reward.amount).to_string(),
			"commission": self.total(|reward| reward.commission).to_string(),
			"own_stake_before": self.before.map(|before| before.to_string()),
			"own_stake": self.pool.own.to_string(),
			"rewards": self.rewards.iter().map(reward).collect::<Vec<_>>(),
		})
	}

	fn print(&self) {
		for line in self.lines() {
			println!("{line}");
		}
	}

	fn lines(&self) -> Vec<String> {
		let Self { pool, first, last, .. } = self;
		let minutes = u64::from(last - first + 1) * MILLIS_PER_BLOCK / 60_000;
		let mut lines = vec![
			format!("pool {:?} of {}", plain::line(&pool.intro.name), pool.owner),
			format!(
				"earned {} CAI in blocks {first} to {last} (about {minutes} min); {} CAI of it commission, the rest went to all votes alike",
				format_cai(self.total(|reward| reward.amount)),
				format_cai(self.total(|reward| reward.commission)),
			),
			format!("the owner's own stake is worth {} CAI{}", format_cai(pool.own), self.change()),
		];
		if *first > self.wanted {
			lines.push(format!(
				"the node knows nothing of blocks before {first}: ask one that keeps all states (--state-pruning archive) for more"
			));
		}
		for reward in &self.rewards {
			let what = match reward.task {
				Some((task, SeatKind::Primary)) => format!("task {task}"),
				Some((task, _)) => format!("task {task}, computed again"),
				None => "stake, or a seat in a court".into(),
			};
			lines.push(format!(
				"  block {}: {} CAI for {what}",
				reward.block,
				format_cai(reward.amount)
			));
		}
		lines
	}

	/// How the owner's own stake has changed.
	fn change(&self) -> String {
		let (now, more) = (self.pool.own, ", with what was put in and taken out");
		match self.before {
			Some(before) if now > before => {
				format!(", {} more than before{more}", format_cai(now - before))
			},
			Some(before) if now < before => {
				format!(", {} less than before{more}", format_cai(before - now))
			},
			_ => String::new(),
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use cuckoo_primitives::{Role, CAI};

	fn earned() -> Earned {
		let pool = OperatorView {
			owner: AccountId32::new([1; 32]),
			operator: AccountId32::new([2; 32]),
			role: Role::Miner,
			tokens: 25_000 * CAI,
			own: 20_001 * CAI,
			commission: 0,
			commission_raise: None,
			status: Default::default(),
			elected: false,
			slashes: Vec::new(),
			active: true,
			free_slots: None,
			intro: Default::default(),
		};
		let reward = |block, task| Reward { block, amount: CAI, commission: CAI / 10, task };
		Earned {
			pool,
			first: 101,
			last: 300,
			wanted: 101,
			before: Some(20_000 * CAI),
			rewards: vec![
				reward(120, Some((8, SeatKind::Primary))),
				reward(130, Some((9, SeatKind::Verifier))),
				reward(131, None),
			],
		}
	}

	#[test]
	fn rewards_are_added_up_and_told_one_by_one() {
		let text = earned().lines().join("\n");
		for part in [
			"earned 3 CAI in blocks 101 to 300 (about 10 min); 0.3 CAI of it commission",
			"worth 20001 CAI, 1 more than before",
			"block 120: 1 CAI for task 8\n",
			"block 130: 1 CAI for task 9, computed again",
			"block 131: 1 CAI for stake",
		] {
			assert!(text.contains(part), "{text}\nlacks {part}");
		}
		assert!(!text.contains("archive"), "{text}");
	}

	#[test]
	fn what_the_node_has_forgotten_is_said() {
		let earned = Earned { wanted: 1, before: None, ..earned() };
		let text = earned.lines().join("\n");
		assert!(text.contains("before 101") && text.contains("archive"), "{text}");
		assert!(text.contains("worth 20001 CAI\n"), "{text}");
		let json = earned.json();
		assert_eq!(json["complete"], false);
		assert_eq!(json["own_stake_before"], serde_json::Value::Null);
	}

	#[test]
	fn amounts_are_exact_in_json() {
		let json = earned().json();
		assert_eq!(json["earned"], (3 * CAI).to_string());
		assert_eq!(json["complete"], true);
		assert_eq!(json["rewards"][1]["task"], 9);
		assert_eq!(json["rewards"][1]["as"], "verifier");
		assert_eq!(json["rewards"][2]["task"], serde_json::Value::Null);
	}
}
