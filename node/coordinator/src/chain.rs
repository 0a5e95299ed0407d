//! What the coordinator asks of the chain, as a trait, so that everything above it can be tested without a node; and the trait over a node.

use std::{fmt::Display, future::Future, time::Duration};

use cuckoo_client::{calls, events, Node, Signer, TxError};
use cuckoo_primitives::{
	views::{ModelView, OperatorView, Seat, TaskView, MAX_PAGE},
	Balance, BlockNumber, ModelId, Role, TaskId,
};
use cuckoo_rpc::CuckooApiClient;
use futures::{future::BoxFuture, FutureExt};
use sp_core::{crypto::AccountId32, H256};

/// How long a node may take for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// More models than this are not listed.
const MAX_MODELS: usize = 10_000;
/// What the chain has against every task of a model, or of this coordinator's settings, whatever its inputs.
const OF_EVERY_TASK: [&str; 4] = ["UnknownModel", "ModelInactive", "BadMaxWait", "FeeTooLow"];
/// What it has against a task that is too large, where smaller ones might do.
const OF_THE_TASK: [&str; 2] = ["BadItemCount", "FeeTooHigh"];
/// Where the chain keeps the number of the next task.
const NEXT_TASK: (&str, &str) = ("Tasks", "NextTask");

/// More operators of a role than this are not listed.
const MAX_OPERATORS: usize = 500;
/// Where the chain keeps what miners offer, by the owner of their pool.
const MINERS: (&str, &str) = ("Tasks", "Miners");

/// For how many blocks after it was signed a post can still get into one: the signer's era, and two for the time between looking at
/// the best block and signing.
pub const POST_LIFE: BlockNumber = 16 + 2;

/// What a call to the chain comes to.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, ChainError>>;

/// The chain gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chain does not answer ({what}): {why}; is the node running and reachable?")]
pub struct ChainError {
	/// What was asked.
	pub what: &'static str,
	/// What went wrong.
	pub why: String,
}

/// A task to post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
	/// The model to run.
	pub model: ModelId,
	/// The root over the inputs.
	pub input_root: H256,
	/// How many there are.
	pub items: u32,
	/// The fee for all of them, in planck.
	pub fee: Balance,
	/// How many blocks the task may wait.
	pub max_wait: BlockNumber,
}

/// A post that is in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posted {
	/// The task's number.
	pub task: TaskId,
	/// The block.
	pub block: BlockNumber,
}

/// Whose fault it is that a post fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
	/// The model's, or the settings': no task like this would be taken.
	Model,
	/// The task's: it is too large.
	Task,
	/// Nobody's: it may be taken later.
	Passing,
}

/// A post that is not known to be in a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
	/// It failed in a block, which may yet be replaced by one in which it does not.
	#[error("{why}")]
	Failed {
		/// What the chain has against it.
		why: String,
		/// Whose fault that is.
		fault: Fault,
	},
	/// The node did not take it: it is in no block and will be in none.
	#[error("{0}")]
	NotTaken(String),
	/// It did not get as far as the node.
	#[error("{0}")]
	NotSent(String),
	/// It may have gone in, or may still.
	#[error("{0}")]
	Unsure(String),
}

/// What a miner offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
	/// The owner of its pool.
	pub owner: AccountId32,
	/// Whether it may be drawn. One that may not has seats to finish.
	pub online: bool,
	/// The models that it serves.
	pub models: Vec<ModelId>,
	/// How many tasks it computes at a time.
	pub slots: u32,
}

/// As of which block a question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
	/// The newest block, which may yet be replaced.
	Best,
	/// The newest block that never will be.
	Finalized,
}

/// The chain, as the coordinator sees it.
pub trait Chain: Send + Sync {
	/// The hash of its first block.
	fn genesis(&self) -> H256;
	/// The coordinator's operator account.
	fn account(&self) -> AccountId32;
	/// The owner of its pool.
	fn owner(&self) -> AccountId32;
	/// What the operator's account can spend, in planck.
	fn free(&self) -> Answer<'_, Balance>;
	/// The number of the newest block.
	fn block(&self, at: At) -> Answer<'_, BlockNumber>;
	/// What an operator has promised and not done yet.
	fn seats(&self, operator: AccountId32) -> Answer<'_, Vec<Seat>>;
	/// The pool that an account operates or owns.
	fn operator(&self, account: AccountId32) -> Answer<'_, Option<OperatorView>>;
	/// The operators of a role, richest pool first, up to some hundreds.
	fn operators(&self, role: Role) -> Answer<'_, Vec<OperatorView>>;
	/// What each miner that is online, or has seats to finish, offers; up to some hundreds.
	fn offers(&self) -> Answer<'_, Vec<Offer>>;
	/// A task, or its receipt.
	fn task(&self, task: TaskId, at: At) -> Answer<'_, Option<TaskView>>;
	/// The newest task, as of a block that may be a few behind the best one.
	fn newest_task(&self) -> Answer<'_, Option<TaskId>>;
	/// Every model.
	fn models(&self) -> Answer<'_, Vec<ModelView>>;
	/// Says that a task's outputs never came, and waits until that is in a block.
	fn undelivered(&self, task: TaskId) -> BoxFuture<'_, Result<(), TxError>>;
	/// Takes a task back that no miner has yet, and waits until that is in a block.
	fn cancel(&self, task: TaskId) -> BoxFuture<'_, Result<(), TxError>>;
	/// Posts a task and waits until it is in a block.
	fn post(&self, post: Post) -> BoxFuture<'_, Result<Posted, PostError>>;
}

/// The chain behind a node.
pub struct NodeChain {
	node: Node,
	signer: Signer,
	owner: AccountId32,
}

impl NodeChain {
	/// Over a node, as the operator whose calls this signer signs. Checks that the account is a coordinator's active operator and
	/// that it can pay at least one fee: `fee`, or without it the least that any model asks.
	pub async fn new(node: Node, signer: Signer, fee: Option<Balance>) -> anyhow::Result<Self> {
		let account = signer.account();
		let mut chain = Self { node, signer, owner: account.clone() };
		let view = chain.operator(account.clone()).await?;
		let models = chain.models().await?;
		let least = models.iter().filter(|m| m.active).map(|m| m.min_fee).min();
		if least.is_none() {
			tracing::warn!(
				"no model is registered and active on this chain; every request will be refused until one is: \
				 see `cuckoo-coordinator model register --help`"
			);
		}
		let free = chain.free().await?;
		chain.owner =
			admit(&account, view, free, fee.or(least).unwrap_or(0)).map_err(anyhow::Error::msg)?;
		Ok(chain)
	}

	async fn at(&self, at: At) -> Result<Option<H256>, String> {
		match at {
			At::Best => Ok(None),
			At::Finalized => Ok(Some(self.node.finalized_block().await.map_err(text)?.1)),
		}
	}
}

/// Whether this account may work as a coordinator: the owner of its pool, or what to do first.
fn admit(
	account: &AccountId32,
	view: Option<OperatorView>,
	free: Balance,
	fee: Balance,
) -> Result<AccountId32, String> {
	let Some(view) = view else {
		return Err(format!(
			"{account} is not registered as an operator on this chain: have its staker run \
			 `cuckoo-coordinator register --help`, or give the --key-file of the registered operator"
		));
	};
	if view.role != Role::Coordinator {
		return Err(format!(
			"{account} is registered as {:?}, not as coordinator: give the --key-file of a coordinator's \
			 operator, or register one with `cuckoo-coordinator register`",
			view.role
		));
	}
	if view.operator != *account {
		return Err(format!(
			"{account} owns a coordinator's pool, but the operator of that pool is {}: give the --key-file of \
			 the operator, or name another one with the call Stake.set_operator",
			view.operator
		));
	}
	if !view.active {
		return Err(format!(
			"the coordinator {account} is not active: its own bond is worth {} planck, at or below the \
			 minimum, or it is chilled; add to the bond with Stake.vote, or register again",
			view.own
		));
	}
	if free < fee {
		return Err(format!(
			"{account} has {free} planck free, less than one fee of {fee}: send it CAI, fees are paid from \
			 the operator account"
		));
	}
	Ok(view.owner)
}

impl Chain for NodeChain {
	fn genesis(&self) -> H256 {
		self.node.genesis()
	}

	fn account(&self) -> AccountId32 {
		self.signer.account()
	}

	fn owner(&self) -> AccountId32 {
		self.owner.clone()
	}

	fn free(&self) -> Answer<'_, Balance> {
		within("balance", async move { self.node.free_balance(&self.account()).await }).boxed()
	}

	fn block(&self, at: At) -> Answer<'_, BlockNumber> {
		within("block", async move {
			let (number, _) = match at {
				At::Best => self.node.best_block().await,
				At::Finalized => self.node.finalized_block().await,
			}
			.map_err(text)?;
			Ok::<_, String>(number)
		})
		.boxed()
	}

	fn seats(&self, operator: AccountId32) -> Answer<'_, Vec<Seat>> {
		within("seats", async move {
			self.node.rpc().await.map_err(text)?.seats(operator, None).await.map_err(text)
		})
		.boxed()
	}

	fn operator(&self, account: AccountId32) -> Answer<'_, Option<OperatorView>> {
		within("operator", async move {
			self.node.rpc().await.map_err(text)?.operator(account, None).await.map_err(text)
		})
		.boxed()
	}

	fn operators(&self, role: Role) -> Answer<'_, Vec<OperatorView>> {
		within("operators", async move {
			// All pages as of one block: pools change places.
			let (_, at) = self.node.best_block().await.map_err(text)?;
			let rpc = self.node.rpc().await.map_err(text)?;
			let mut operators: Vec<OperatorView> = Vec::new();
			while operators.len() < MAX_OPERATORS {
				let start = u32::try_from(operators.len()).map_err(text)?;
				let page = rpc.operators(role, start, MAX_PAGE, Some(at)).await.map_err(text)?;
				let full = page.len() >= MAX_PAGE as usize;
				operators.extend(page);
				if !full {
					break;
				}
			}
			Ok::<_, String>(operators)
		})
		.boxed()
	}

	fn offers(&self) -> Answer<'_, Vec<Offer>> {
		// The fields of `Miner` in the chain's metadata: online, models, slots, used, seats, at_risk.
		type Stored = (bool, Vec<ModelId>, u32, u32, u32, Balance);
		within("offers", async move {
			let client = self.node.subxt().await.map_err(text)?;
			let block = client.at_current_block().await.map_err(text)?;
			let mut stored = block.storage().iter(MINERS, Vec::new()).await.map_err(text)?;
			let mut offers = Vec::new();
			while offers.len() < MAX_OPERATORS {
				let Some(entry) = stored.next().await else { break };
				let entry = entry.map_err(text)?;
				let key = entry.key().map_err(text)?;
				let owner = key.part(0).ok_or("a miner's key has no part")?;
				let owner = owner.decode_as::<[u8; 32]>().map_err(text)?;
				let owner = owner.ok_or("a miner's key does not hold its owner")?;
				let (online, models, slots, ..) =
					entry.value().decode_as::<Stored>().map_err(text)?;
				offers.push(Offer { owner: owner.into(), online, models, slots });
			}
			Ok::<_, String>(offers)
		})
		.boxed()
	}

	fn task(&self, task: TaskId, at: At) -> Answer<'_, Option<TaskView>> {
		within("task", async move {
			let at = self.at(at).await?;
			self.node.rpc().await.map_err(text)?.task(task, at).await.map_err(text)
		})
		.boxed()
	}

	fn newest_task(&self) -> Answer<'_, Option<TaskId>> {
		within("newest task", async move {
			let client = self.node.subxt().await.map_err(text)?;
			let block = client.at_current_block().await.map_err(text)?;
			let next = block.storage().fetch(NEXT_TASK, Vec::new()).await.map_err(text)?;
			let next: TaskId = next.decode_as().map_err(text)?;
			Ok::<_, String>(next.checked_sub(1))
		})
		.boxed()
	}

	fn models(&self) -> Answer<'_, Vec<ModelView>> {
		within("models", async move {
			let rpc = self.node.rpc().await.map_err(text)?;
			let mut models: Vec<ModelView> = Vec::new();
			while models.len() < MAX_MODELS {
				let start = models.last().map_or(0, |last| last.model + 1);
				let page = rpc.models(start, MAX_PAGE, None).await.map_err(text)?;
				if page.is_empty() {
					break;
				}
				models.extend(page);
			}
			Ok::<_, String>(models)
		})
		.boxed()
	}

	fn undelivered(&self, task: TaskId) -> BoxFuture<'_, Result<(), TxError>> {
		async move { self.signer.submit(calls::undelivered(task)).await.map(drop) }.boxed()
	}

	fn cancel(&self, task: TaskId) -> BoxFuture<'_, Result<(), TxError>> {
		async move { self.signer.submit(calls::cancel(task)).await.map(drop) }.boxed()
	}

	fn post(&self, post: Post) -> BoxFuture<'_, Result<Posted, PostError>> {
		async move {
			let call =
				calls::post(post.model, post.input_root, post.items, post.fee, post.max_wait);
			// No timeout of ours: the signer has one, and whatever is cut short here would only be unsure.
			match self.signer.submit(call).await {
				Ok(included) => match events::posted_task(&included) {
					Some(task) => Ok(Posted { task, block: included.block }),
					None => Err(PostError::Unsure("the block shows no Tasks.Posted event".into())),
				},
				Err(error) => Err(post_error(error)),
			}
		}
		.boxed()
	}
}

fn post_error(error: TxError) -> PostError {
	let why = error.to_string();
	match error {
		TxError::Dispatch { pallet, error, .. } => {
			let fault = match error.as_str() {
				error if pallet == "Tasks" && OF_EVERY_TASK.contains(&error) => Fault::Model,
				error if pallet == "Tasks" && OF_THE_TASK.contains(&error) => Fault::Task,
				_ => Fault::Passing,
			};
			PostError::Failed { why, fault }
		},
		TxError::Invalid(_) => PostError::NotTaken(why),
		TxError::Node(_) => PostError::NotSent(why),
		TxError::TimedOut { .. } | TxError::Stopped => PostError::Unsure(why),
	}
}
fn text(error: impl Display) -> String {
	error.to_string()
}

async fn within<T, E: Display>(
	what: &'static str,
	question: impl Future<Output = Result<T, E>>,
) -> Result<T, ChainError> {
	match tokio::time::timeout(ANSWER_TIMEOUT, question).await {
		Ok(answer) => answer.map_err(|error| ChainError { what, why: error.to_string() }),
		Err(_) => {
			Err(ChainError { what, why: format!("no answer in {} s", ANSWER_TIMEOUT.as_secs()) })
		},
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn view(change: impl FnOnce(&mut OperatorView)) -> Option<OperatorView> {
		let mut view = OperatorView {
			owner: [1; 32].into(),
			operator: [2; 32].into(),
			role: Role::Coordinator,
			tokens: 5,
			own: 5,
			commission: 0,
			commission_raise: None,
			status: Default::default(),
			elected: false,
			slashes: Vec::new(),
			active: true,
			free_slots: None,
			intro: Default::default(),
		};
		change(&mut view);
		Some(view)
	}

	#[test]
	fn a_task_that_is_wrong_is_told_from_a_chain_that_is_busy() {
		let refused = |pallet: &str, error: &str| {
			let (pallet, error) = (pallet.into(), error.into());
			post_error(TxError::Dispatch { pallet, error, docs: String::new() })
		};
		for (pallet, error, expected) in [
			("Tasks", "FeeTooHigh", Fault::Task),
			("Tasks", "ModelInactive", Fault::Model),
			("Tasks", "TooManyTasks", Fault::Passing),
			("Tasks", "StakeTooSmall", Fault::Passing),
			("Balances", "FeeTooHigh", Fault::Passing),
		] {
			let PostError::Failed { fault, .. } = refused(pallet, error) else { panic!() };
			assert_eq!(fault, expected, "{pallet}.{error}");
		}
		let cannot_pay = post_error(TxError::Invalid("it cannot pay the fee".into()));
		assert!(matches!(cannot_pay, PostError::NotTaken(_)));
	}

	#[test]
	fn only_an_active_coordinator_that_can_pay_is_admitted() {
		let operator = AccountId32::new([2; 32]);
		let admit = |view, free| admit(&operator, view, free, 10);
		assert_eq!(admit(view(|_| {}), 10), Ok([1; 32].into()));
		for (view, free, expected) in [
			(None, 10, "not registered"),
			(view(|v| v.role = Role::Miner), 10, "registered as Miner"),
			(view(|v| v.operator = [3; 32].into()), 10, "operator of that pool"),
			(view(|v| v.active = false), 10, "not active"),
			(view(|_| {}), 9, "send it CAI"),
		] {
			let error = admit(view, free).unwrap_err();
			assert!(error.contains(expected), "{error}");
		}
	}
}
