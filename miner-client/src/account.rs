//! `miner-client status`: how a miner stands on chain. It only asks, and needs no password.

use std::{future::Future, time::Duration};

use anyhow::{bail, Context, Result};
use clap::Args;
use cuckoo_client::{cli::format_cai, keystore, plain, Node};
use cuckoo_primitives::{
	views::{Duty, ModelView, Obstacle, OperatorView, Seat, SeatKind, Slash},
	Balance, ModelId, PoolStatus, SlashReason,
};
use cuckoo_rpc::CuckooApiClient;
use serde_json::json;
use sp_core::crypto::AccountId32;
use tokio::time::timeout;

use crate::{cli::Settings, config::Config, operator};

/// For one question to the node.
const ANSWER: Duration = Duration::from_secs(20);
/// For everything about models, where a command can do without.
const MODELS: Duration = Duration::from_secs(15);

/// Whose standing to show.
#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
	/// The operator's account, or the owner's. [default: the account in the operator's key file]
	#[arg(value_name = "ACCOUNT")]
	account: Option<AccountId32>,
	/// Print JSON; amounts are in planck then, 10^18 of them are a CAI.
	#[arg(long)]
	json: bool,
	#[command(flatten)]
	settings: Settings,
}

/// Prints the pool, its seats, and what is in the way of more.
pub(crate) async fn status(args: StatusArgs) -> Result<()> {
	let StatusArgs { account, json, settings } = args;
	let config = settings.read()?;
	let node = config.connect().await?;
	let pool = pool(&node, account, &config).await?;
	let rpc = node.rpc().await?;
	let seats = answer(rpc.seats(pool.operator.clone(), None)).await?;
	let obstacles = obstacles(&node, &pool.operator).await?;
	let free = node.free_balance(&pool.operator).await?;
	if json {
		let all = json!({
			"pool": pool,
			"seats": seats,
			"obstacles": obstacles,
			"operator_balance": free.to_string(),
		});
		println!("{}", serde_json::to_string_pretty(&all)?);
		return Ok(());
	}
	let models = operator::models(&node).await?;
	for (what, text) in described(&pool, &seats, &obstacles, &models, free) {
		println!("{what:<11} {text}");
	}
	Ok(())
}

/// The pool of an account, or of the operator's key.
pub(crate) async fn pool(
	node: &Node,
	account: Option<AccountId32>,
	config: &Config,
) -> Result<OperatorView> {
	let account = match (account, &config.key_file) {
		(Some(account), _) => account,
		(None, Some(file)) => keystore::inspect(file)?.0,
		(None, None) => bail!(
			"whose? give an account, or the operator's key file with --key-file; its password is not needed"
		),
	};
	let found = operator::view(node, &account).await?;
	found.with_context(|| {
		format!("{account} has no pool: its owner registers one with `miner-client register --operator {account}`")
	})
}

/// A question's answer, unless the node takes too long.
pub(crate) async fn answer<T, E>(question: impl Future<Output = Result<T, E>>) -> Result<T>
where
	E: std::error::Error + Send + Sync + 'static,
{
	let late = || format!("the node gave no answer in {} s", ANSWER.as_secs());
	Ok(timeout(ANSWER, question).await.with_context(late)??)
}

/// What keeps an operator from being drawn, or how likely it is to be.
pub(crate) async fn obstacles(node: &Node, operator: &AccountId32) -> Result<Vec<Obstacle>> {
	let rpc = node.rpc().await?;
	answer(rpc.obstacles(operator.clone(), None)).await
}

/// All models on chain, for commands that can do without: an error if no node answers soon.
pub(crate) async fn models_on_chain(config: &Config) -> Result<Vec<ModelView>> {
	let models = async { operator::models(&config.connect().await?).await };
	timeout(MODELS, models).await.context("no node answers")?
}

/// The lines of `status`.
fn described(
	pool: &OperatorView,
	seats: &[Seat],
	obstacles: &[Obstacle],
	models: &[ModelView],
	free: Balance,
) -> Vec<(&'static str, String)> {
	let votes = pool.tokens.saturating_sub(pool.own);
	let online = match pool.free_slots {
		Some(free) => format!("online, {free} free slots"),
		None => "offline".into(),
	};
	let name = plain::line(&pool.intro.name);
	let mut lines = vec![
		("pool", format!("{name:?} of {}, {}", pool.owner, standing(&pool.status))),
		("operator", format!("{}, {:?}, {online}", pool.operator, pool.role)),
		("fees", format!("{} CAI to pay them with", format_cai(free))),
		("bond", format!("{} CAI of the owner's own", format_cai(pool.own))),
		(
			"votes",
			format!("{} CAI of others, {} CAI in all", format_cai(votes), format_cai(pool.tokens)),
		),
		("commission", commission(pool)),
	];
	let seat = |seat: &Seat| ("seat", seat_in_words(seat, models));
	lines.extend(seats.iter().map(seat));
	let obstacle = |obstacle: &Obstacle| ("draws", explain(obstacle, models));
	lines.extend(obstacles.iter().map(obstacle));
	// The latest first.
	lines.extend(pool.slashes.iter().rev().map(|slash| ("slashed", slash_in_words(slash))));
	lines
}

fn standing(status: &PoolStatus) -> String {
	match status {
		PoolStatus::Open => "open".into(),
		PoolStatus::Chilled => {
			"chilled: its owner took it out (Stake.unjail brings it back)".into()
		},
		PoolStatus::Jailed { until } => format!("jailed until era {until}"),
		PoolStatus::Retired { era } => format!("left for good in era {era}"),
	}
}

/// Parts per billion as percent.
fn percent(parts: u32) -> String {
	format!("{} %", f64::from(parts) / 1e7)
}

fn commission(pool: &OperatorView) -> String {
	let now = percent(pool.commission);
	match pool.commission_raise {
		Some((raised, era)) => format!("{now}, {} from era {era} on", percent(raised)),
		None => now,
	}
}

fn model_name(model: ModelId, models: &[ModelView]) -> String {
	match models.iter().find(|view| view.model == model) {
		Some(view) => format!("model {model} ({})", plain::line(&view.name)),
		None => format!("model {model}"),
	}
}

fn seat_in_words(seat: &Seat, models: &[ModelView]) -> String {
	let kind = match seat.kind {
		SeatKind::Primary => "its own",
		SeatKind::Verifier => "to compute a sample again",
		SeatKind::Juror => "in a court",
	};
	let due = match seat.duty {
		Duty::Commit => "commit",
		Duty::Wait(_) => "wait",
		Duty::Reveal(_) => "show the result",
	};
	let (task, items, model) = (seat.task, seat.items, model_name(seat.model, models));
	format!("task {task} of {items} items, {model}, {kind}: {due} until block {}", seat.deadline)
}

fn slash_in_words(slash: &Slash) -> String {
	let why = match slash.reason {
		SlashReason::Equivocation => "two blocks for one slot, or two votes in one round",
		SlashReason::NoCommitment => "no commitment in time",
		SlashReason::NoReveal => "no result shown in time",
		SlashReason::WrongResult => "a wrong result, or silence under an audit",
		SlashReason::WrongJuror => "a wrong result in a court",
		SlashReason::Repeated => "wrong results again and again",
	};
	let (amount, part) = (format_cai(slash.amount), percent(slash.part));
	format!("{amount} CAI ({part}) in block {}, era {}: {why}", slash.block, slash.era)
}

/// An obstacle in words, with what to do about it.
pub(crate) fn explain(obstacle: &Obstacle, models: &[ModelView]) -> String {
	match obstacle {
		Obstacle::NotRegistered => "no pool has this owner or operator: `miner-client register`".into(),
		Obstacle::Chilled => "the owner took the operator out: Stake.unjail brings it back".into(),
		Obstacle::Jailed { until } => {
			format!("it was slashed and is jailed: from era {until} on Stake.unjail brings it back")
		},
		Obstacle::Retired => "the owner has left for good".into(),
		Obstacle::BondTooSmall { own, minimum } => format!(
			"the owner's own bond is {} CAI and must be more than {} CAI: Stake.vote for itself adds to it",
			format_cai(*own),
			format_cai(*minimum)
		),
		Obstacle::NoSessionKeys => "it has no session keys: its operator sets them with session.setKeys".into(),
		Obstacle::NotElected => "others outweigh it: votes help, from the session after the next election on".into(),
		Obstacle::Offline => {
			"it is offline: `miner-client run` brings it online, and after a missed deadline again".into()
		},
		Obstacle::NoFreeSlot => {
			"all its slots are busy, or eight results a slot wait for their lot, audit or court".into()
		},
		Obstacle::BondAtRisk { model, own, at_risk } => format!(
			"of its bond of {} CAI {} CAI are at risk for the seats that it has, too much for another task of {}: it goes on once some have ended, \
			 or Stake.vote for itself adds to the bond",
			format_cai(*own),
			format_cai(*at_risk),
			model_name(*model, models)
		),
		Obstacle::NothingPosted => "it has no task that waits for a miner".into(),
		Obstacle::InDraw { model, weight, total } => {
			let share = 100.0 * *weight as f64 / (*total).max(1) as f64;
			let of = model.map_or("its kind".into(), |model| model_name(model, models));
			format!("nothing is in the way: {share:.2} % of the draws of {of} fall on it")
		},
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use cuckoo_primitives::{views::IntroView, ModelKind, Role, CAI};
	use sp_core::H256;

	fn view() -> OperatorView {
		OperatorView {
			owner: AccountId32::new([1; 32]),
			operator: AccountId32::new([2; 32]),
			role: Role::Miner,
			tokens: 25_000 * CAI,
			own: 20_001 * CAI,
			commission: 100_000_000,
			commission_raise: Some((125_000_000, 7)),
			status: PoolStatus::Jailed { until: 9 },
			elected: false,
			slashes: vec![Slash {
				era: 3,
				block: 77,
				reason: SlashReason::NoReveal,
				amount: 30 * CAI,
				part: 1_500_000,
			}],
			active: true,
			free_slots: Some(2),
			intro: IntroView { name: "My rig".into(), ..Default::default() },
		}
	}

	fn models() -> Vec<ModelView> {
		vec![ModelView {
			model: 3,
			name: "demo".into(),
			kind: ModelKind::TextToImage,
			manifest: H256::zero(),
			min_fee: 1,
			work_window: 20,
			tolerance: None,
			reference_ms: 1,
			active: true,
		}]
	}

	#[test]
	fn a_pool_is_told_in_a_few_lines() {
		let seat = Seat {
			task: 5,
			kind: SeatKind::Primary,
			round: 0,
			model: 3,
			duty: Duty::Commit,
			deadline: 81,
			input_root: H256::zero(),
			items: 16,
			sample: vec![],
			task_round: 0,
			court_key: None,
			fee: CAI,
			coordinator: AccountId32::new([3; 32]),
			coordinator_operator: AccountId32::new([4; 32]),
			endpoint: "http://127.0.0.1:8080".into(),
		};
		let lines = described(&view(), &[seat], &[Obstacle::Offline], &models(), CAI / 2);
		let all: Vec<String> = lines.iter().map(|(what, text)| format!("{what}: {text}")).collect();
		let text = all.join("\n");
		for part in [
			"pool: \"My rig\" of ",
			"jailed until era 9",
			"online, 2 free slots",
			"fees: 0.5 CAI",
			"bond: 20001 CAI",
			"votes: 4999 CAI of others, 25000 CAI in all",
			"commission: 10 %, 12.5 % from era 7 on",
			"seat: task 5 of 16 items, model 3 (demo), its own: commit until block 81",
			"draws: it is offline",
			"slashed: 30 CAI (0.15 %) in block 77, era 3: no result shown in time",
		] {
			assert!(text.contains(part), "{text}\nlacks {part}");
		}
	}

	#[test]
	fn names_do_nothing_to_the_terminal() {
		let evil = "x\u{1b}[2J\n\u{202e}y";
		let (mut pool, mut models) = (view(), models());
		pool.intro.name = evil.into();
		models[0].name = evil.into();
		let draw = Obstacle::InDraw { model: Some(3), weight: 1, total: 2 };
		for (what, text) in described(&pool, &[], &[draw], &models, 0) {
			assert!(!text.contains(['\u{1b}', '\n', '\u{202e}']), "{what}: {text:?}");
		}
		assert_eq!(model_name(3, &models), "model 3 (x\u{fffd}[2J\u{fffd}\u{fffd}y)");
	}

	#[test]
	fn every_obstacle_says_what_is_wrong() {
		let draw = |model, total| Obstacle::InDraw { model, weight: 25, total };
		assert!(explain(&draw(Some(3), 100), &models())
			.contains("25.00 % of the draws of model 3 (demo)"));
		assert!(explain(&draw(None, 0), &[]).contains("its kind"));
		let risk = Obstacle::BondAtRisk { model: 4, own: 20_001 * CAI, at_risk: 15_000 * CAI };
		let text = explain(&risk, &models());
		assert!(text.contains("20001 CAI 15000 CAI") && text.contains("model 4:"), "{text}");
		let small = Obstacle::BondTooSmall { own: 20_000 * CAI, minimum: 20_000 * CAI };
		assert!(explain(&small, &[]).contains("must be more than 20000 CAI"));
		assert!(explain(&Obstacle::Jailed { until: 9 }, &[]).contains("era 9"));
	}
}
