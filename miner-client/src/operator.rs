//! The operator's standing on chain: registered, active, online; and bringing it back online.

use std::{
	sync::Arc,
	time::{Duration, Instant},
};

use anyhow::{bail, ensure, Context, Result};
use cuckoo_client::{calls, Node, Signer};
use cuckoo_primitives::{
	views::{ModelView, OperatorView, MAX_PAGE},
	BlockNumber, ModelId, Role,
};
use cuckoo_rpc::CuckooApiClient;
use sp_core::crypto::AccountId32;
use tokio::{
	sync::watch,
	time::{interval, sleep, timeout, MissedTickBehavior},
};

use crate::{journal::Journal, server::Status, stop::Stop, worker::Workers};

/// For one question to the node.
const ANSWER: Duration = Duration::from_secs(20);
/// After going offline once, and after doing so again and again.
const FIRST_PAUSE: Duration = Duration::from_secs(6);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Who has been online for this long has recovered.
const RECOVERED: Duration = Duration::from_secs(600);
/// More models than this are not looked through, whatever the node says.
const MOST_MODELS: usize = 10_000;
/// How often the operator's standing is looked at.
const LOOK: Duration = Duration::from_secs(9);
/// What the chain takes in one `Tasks.go_online`.
const MAX_MODELS: usize = 8;

/// The pool behind the operator, if there is one.
pub async fn view(node: &Node, operator: &AccountId32) -> Result<Option<OperatorView>> {
	let rpc = node.rpc().await?;
	Ok(timeout(ANSWER, rpc.operator(operator.clone(), None)).await??)
}

/// All models on chain.
pub async fn models(node: &Node) -> Result<Vec<ModelView>> {
	let rpc = node.rpc().await?;
	let mut models: Vec<ModelView> = Vec::new();
	while models.len() < MOST_MODELS {
		let start = models.last().map_or(0, |model| model.model.saturating_add(1));
		let page = timeout(ANSWER, rpc.models(start, MAX_PAGE, None)).await??;
		if page.is_empty() {
			break;
		}
		models.extend(page);
	}
	Ok(models)
}

/// The pool; fails, saying what to do, unless the account is the operator of an active miner.
pub fn check<'a>(
	view: Option<&'a OperatorView>,
	operator: &AccountId32,
) -> Result<&'a OperatorView> {
	let Some(view) = view else {
		bail!(
			"{operator} is nobody's operator: its staker registers it with `miner-client register --operator {operator}`, \
			or names it with Stake.set_operator"
		);
	};
	ensure!(
		view.operator == *operator,
		"{operator} is a staker; its pool's operator is {}: run miner-client with that key",
		view.operator
	);
	ensure!(
		view.role == Role::Miner,
		"{operator} is registered as a {:?}; mining needs an operator of its own",
		view.role
	);
	ensure!(
		view.active,
		"the pool of {} takes part in no draw: its own bond must be more than 20,000 CAI (Stake.vote for itself adds to it), \
		and it must not be chilled or jailed",
		view.owner
	);
	Ok(view)
}

/// Keeps an operator online with the models that it serves.
pub struct Presence {
	node: Node,
	signer: Signer,
	workers: Workers,
	models: Vec<ModelId>,
	slots: u32,
	pause: Duration,
	/// When it last went online.
	since: Option<Instant>,
	/// Not before this is it said again.
	not_before: Option<Instant>,
	/// Whether the chain showed it online when last asked.
	online: bool,
}

impl Presence {
	/// For an operator that serves these models, as many tasks at a time as there are slots.
	pub fn new(
		node: Node,
		signer: Signer,
		workers: Workers,
		models: Vec<ModelId>,
		slots: u32,
	) -> Result<Self> {
		ensure!(
			models.len() <= MAX_MODELS,
			"{} models are configured, the chain takes {MAX_MODELS} of one miner",
			models.len()
		);
		let pause = FIRST_PAUSE;
		Ok(Self {
			node,
			signer,
			workers,
			models,
			slots,
			pause,
			since: None,
			not_before: None,
			online: false,
		})
	}

	/// Looks at the operator's standing, and goes online if it is not, or not with these models. Each time it was taken offline it waits longer.
	async fn keep(&mut self, journal: &Journal) -> Result<()> {
		let operator = self.signer.account();
		let view = view(&self.node, &operator).await?;
		check(view.as_ref(), &operator)?;
		let online = view.is_some_and(|view| view.free_slots.is_some());
		let offer = (self.models.clone(), self.slots);
		let as_offered = journal.offer()?.as_ref() == Some(&offer);
		if self.online && !online {
			tracing::warn!(
				pause_s = self.pause.as_secs(),
				"the chain took this miner offline: it missed a deadline"
			);
			self.not_before = Some(Instant::now() + self.pause);
			self.pause = (self.pause * 2).min(LONGEST_PAUSE);
		}
		self.online = online;
		if online && !self.workers.is_alive() {
			tracing::error!("no device can be used: no new work until one can");
			self.leave().await?;
			return Ok(());
		}
		if online && as_offered {
			if self.since.is_some_and(|since| since.elapsed() > RECOVERED) {
				self.pause = FIRST_PAUSE;
			}
			return Ok(());
		}
		if self.not_before.is_some_and(|at| at > Instant::now()) || !self.workers.is_alive() {
			return Ok(());
		}
		let call = calls::go_online(&self.models, self.slots);
		let included = self.signer.submit(call).await.context("cannot go online")?;
		journal.set_offer(&offer.0, offer.1)?;
		tracing::info!(block = included.block, models = ?self.models, slots = self.slots, "online");
		self.online = true;
		self.since = Some(Instant::now());
		Ok(())
	}

	/// Keeps the operator online until the program is to stop, then takes it offline, and tells `left` the block from which on no seats come.
	pub async fn attend(
		mut self,
		journal: Arc<Journal>,
		status: Arc<Status>,
		mut stop: watch::Receiver<Stop>,
		left: watch::Sender<Option<BlockNumber>>,
	) {
		let mut look = interval(LOOK);
		look.set_missed_tick_behavior(MissedTickBehavior::Delay);
		while *stop.borrow_and_update() == Stop::No {
			tokio::select! {
				_ = look.tick() => {
					if let Err(error) = self.keep(&journal).await {
						tracing::warn!(error = format!("{error:#}"), "not online");
					}
					status.set_online(self.online);
				},
				_ = stop.changed() => {},
			}
		}
		// As long as the chain may draw it, what it draws has to be done.
		let mut pause = FIRST_PAUSE;
		while *stop.borrow_and_update() != Stop::Now {
			match self.leave().await {
				Ok(block) => {
					left.send_replace(Some(block));
					break;
				},
				Err(error) => {
					let error = format!("{error:#}");
					tracing::warn!(error, "new work may still come; trying again");
					tokio::select! {
						_ = sleep(pause) => {},
						_ = stop.changed() => {},
					}
					pause = (pause * 2).min(RECOVERED / 10);
				},
			}
		}
		status.set_online(self.online);
	}

	/// Takes no more work from the returned block on.
	async fn leave(&mut self) -> Result<BlockNumber> {
		let included =
			self.signer.submit(calls::go_offline()).await.context("cannot go offline")?;
		tracing::info!(block = included.block, "offline: no new seats");
		self.online = false;
		Ok(included.block)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn view() -> OperatorView {
		OperatorView {
			owner: AccountId32::new([1; 32]),
			operator: AccountId32::new([2; 32]),
			role: Role::Miner,
			tokens: 0,
			own: 0,
			commission: 0,
			commission_raise: None,
			status: Default::default(),
			elected: false,
			slashes: Vec::new(),
			active: true,
			free_slots: None,
			intro: Default::default(),
		}
	}

	#[test]
	fn whoever_may_not_mine_is_told_why() {
		let operator = AccountId32::new([2; 32]);
		check(Some(&view()), &operator).unwrap();
		let why = |view: Option<OperatorView>, account: &AccountId32| {
			check(view.as_ref(), account).unwrap_err().to_string()
		};
		assert!(why(None, &operator).contains("miner-client register"));
		let chilled = OperatorView { active: false, ..view() };
		assert!(why(Some(chilled), &operator).contains("20,000 CAI"));
		let coordinator = OperatorView { role: Role::Coordinator, ..view() };
		assert!(why(Some(coordinator), &operator).contains("Coordinator"));
		assert!(why(Some(view()), &AccountId32::new([1; 32])).contains("staker"));
	}
}
