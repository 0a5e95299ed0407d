//! The RPC methods that a Cuckoo node serves beside the standard ones: one trait, from which the node's server and everybody's client are
//! made, so that they cannot drift apart.
//!
//! Everything here can also be had from the runtime APIs of [`cuckoo_primitives::views`] by `state_call`; these methods add JSON, paging and a
//! subscription. `at` is a block's hash; without it the best block answers.

use cuckoo_primitives::{
	views::{ModelView, Obstacle, OperatorView, PositionView, Seat, TaskView},
	BlockNumber, ModelId, Role, TaskId,
};
use jsonrpsee::{core::RpcResult, proc_macros::rpc};
use serde::{Deserialize, Serialize};
use sp_core::{crypto::AccountId32, H256};

/// An operator's seats as of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatsUpdate {
	/// The block.
	pub block: BlockNumber,
	/// Its hash.
	pub hash: H256,
	/// What the operator has promised and not done yet, as of that block.
	pub seats: Vec<Seat>,
}

/// Tasks, operators, votes and models, readable.
#[rpc(client, server, namespace = "cuckoo")]
pub trait CuckooApi {
	/// What an operator account has promised and not done yet.
	#[method(name = "seats", blocking)]
	fn seats(&self, operator: AccountId32, at: Option<H256>) -> RpcResult<Vec<Seat>>;

	/// An operator's seats at once, and again with every best block in which they changed.
	#[subscription(name = "subscribeSeats" => "seatsUpdate", unsubscribe = "unsubscribeSeats", item = SeatsUpdate)]
	async fn subscribe_seats(&self, operator: AccountId32) -> jsonrpsee::core::SubscriptionResult;

	/// A task that is open, or ended so lately that its receipt is still kept.
	#[method(name = "task", blocking)]
	fn task(&self, task: TaskId, at: Option<H256>) -> RpcResult<Option<TaskView>>;

	/// Operators of a role, richest pool first: at most 100 from `start` on.
	#[method(name = "operators", blocking)]
	fn operators(
		&self,
		role: Role,
		start: u32,
		limit: u32,
		at: Option<H256>,
	) -> RpcResult<Vec<OperatorView>>;

	/// The pool behind an operator account or an owner.
	#[method(name = "operator", blocking)]
	fn operator(&self, account: AccountId32, at: Option<H256>) -> RpcResult<Option<OperatorView>>;

	/// What a staker's votes are worth, and what waits to be withdrawn.
	#[method(name = "position", blocking)]
	fn position(&self, who: AccountId32, at: Option<H256>) -> RpcResult<Vec<PositionView>>;

	/// Why an operator earns nothing: what keeps it out of draws and elections, or how likely it is to be drawn.
	#[method(name = "obstacles", blocking)]
	fn obstacles(&self, account: AccountId32, at: Option<H256>) -> RpcResult<Vec<Obstacle>>;

	/// A model by its number.
	#[method(name = "model", blocking)]
	fn model(&self, model: ModelId, at: Option<H256>) -> RpcResult<Option<ModelView>>;

	/// Models by number: at most 100 from `start` on.
	#[method(name = "models", blocking)]
	fn models(&self, start: ModelId, limit: u32, at: Option<H256>) -> RpcResult<Vec<ModelView>>;
}
