//! What the node answers: the standard methods of a chain with BABE and GRANDPA, and our own ([`cuckoo_rpc`]).

use crate::service::{Backend, Client, SelectChain};
use cuckoo_primitives::{
	views::{
		ModelView, ModelsApi, Obstacle, OperatorView, PositionView, Seat, StakeApi, TaskView,
		TasksApi,
	},
	ModelId, Role, TaskId,
};
use cuckoo_rpc::{CuckooApiServer, SeatsUpdate};
use cuckoo_runtime::{opaque::Block, AccountId, BlockNumber, Hash};
use futures::StreamExt;
use jsonrpsee::{
	core::{async_trait, RpcResult, SubscriptionResult},
	types::ErrorObjectOwned,
	PendingSubscriptionSink, RpcModule, SubscriptionMessage,
};
use sc_client_api::BlockchainEvents;
use sc_consensus_babe::BabeWorkerHandle;
use sc_consensus_grandpa::{
	FinalityProofProvider, GrandpaJustificationStream, SharedAuthoritySet, SharedVoterState,
};
use sc_rpc::SubscriptionTaskExecutor;
use sp_api::{ApiError, ProvideRuntimeApi};
use sp_blockchain::HeaderBackend;
use sp_keystore::KeystorePtr;
use std::sync::Arc;

type Pool = sc_transaction_pool::TransactionPoolHandle<Block, Client>;

/// What the methods of GRANDPA need.
#[derive(Clone)]
pub struct GrandpaDeps {
	/// How the vote stands.
	pub voter_state: SharedVoterState,
	/// Who votes.
	pub authority_set: SharedAuthoritySet<Hash, BlockNumber>,
	/// New proofs of finality.
	pub justifications: GrandpaJustificationStream<Block>,
	/// Old ones.
	pub finality_proofs: Arc<FinalityProofProvider<Backend, Block>>,
}

/// What all methods need.
#[derive(Clone)]
pub struct Deps {
	/// The chain.
	pub client: Arc<Client>,
	/// The transactions that wait.
	pub pool: Arc<Pool>,
	/// Which of several chains is followed.
	pub select_chain: SelectChain,
	/// The node's keys.
	pub keystore: KeystorePtr,
	/// What makes blocks.
	pub babe_worker: BabeWorkerHandle<Block>,
	/// What makes them final.
	pub grandpa: GrandpaDeps,
}

/// All methods in one module.
pub fn create(
	deps: Deps,
	executor: SubscriptionTaskExecutor,
) -> Result<RpcModule<()>, Box<dyn std::error::Error + Send + Sync>> {
	use pallet_transaction_payment_rpc::{TransactionPayment, TransactionPaymentApiServer};
	use sc_consensus_babe_rpc::{Babe, BabeApiServer};
	use sc_consensus_grandpa_rpc::{Grandpa, GrandpaApiServer};
	use substrate_frame_rpc_system::{System, SystemApiServer};

	let Deps { client, pool, select_chain, keystore, babe_worker, grandpa } = deps;
	let mut module = RpcModule::new(());
	module.merge(System::new(client.clone(), pool).into_rpc())?;
	module.merge(TransactionPayment::new(client.clone()).into_rpc())?;
	module.merge(Babe::new(client.clone(), babe_worker, keystore, select_chain).into_rpc())?;
	module.merge(
		Grandpa::new(
			executor.clone(),
			grandpa.authority_set,
			grandpa.voter_state,
			grandpa.justifications,
			grandpa.finality_proofs,
		)
		.into_rpc(),
	)?;
	module.merge(Cuckoo { client, executor }.into_rpc())?;
	Ok(module)
}

/// Our own methods: thin over the runtime APIs.
struct Cuckoo {
	client: Arc<Client>,
	executor: SubscriptionTaskExecutor,
}

impl Cuckoo {
	fn at(&self, at: Option<Hash>) -> Hash {
		at.unwrap_or_else(|| self.client.info().best_hash)
	}
}

/// The code of an error of the runtime, as in the SDK's own RPC servers.
const RUNTIME_ERROR: i32 = 1;

fn runtime_error(why: ApiError) -> ErrorObjectOwned {
	ErrorObjectOwned::owned(
		RUNTIME_ERROR,
		"the runtime did not answer; is the block known to this node and its state not pruned?",
		Some(why.to_string()),
	)
}

#[async_trait]
impl CuckooApiServer for Cuckoo {
	fn seats(&self, operator: AccountId, at: Option<Hash>) -> RpcResult<Vec<Seat>> {
		self.client.runtime_api().seats(self.at(at), operator).map_err(runtime_error)
	}

	async fn subscribe_seats(
		&self,
		pending: PendingSubscriptionSink,
		operator: AccountId,
	) -> SubscriptionResult {
		let client = self.client.clone();
		let follow = async move {
			// Listening starts before the first look, so that no block falls in between.
			let mut blocks = client.import_notification_stream();
			let Ok(sink) = pending.accept().await else { return };
			let mut last = None;
			let mut at = client.info().best_hash;
			loop {
				let seats = match client.runtime_api().seats(at, operator.clone()) {
					Ok(seats) => seats,
					// The subscription ends, and its client sees that it has to subscribe again.
					Err(_) => return,
				};
				if last.as_ref() != Some(&seats) {
					let Ok(Some(block)) = client.number(at) else { return };
					let update = SeatsUpdate { block, hash: at, seats: seats.clone() };
					let Ok(message) = SubscriptionMessage::from_json(&update) else { return };
					if sink.send(message).await.is_err() {
						return;
					}
					last = Some(seats);
				}
				at = loop {
					futures::select! {
						block = blocks.next() => match block {
							Some(block) if block.is_new_best => break block.hash,
							Some(_) => {},
							None => return,
						},
						() = futures::FutureExt::fuse(Box::pin(sink.closed())) => return,
					}
				};
			}
		};
		self.executor.spawn("cuckoo-seats", Some("rpc"), Box::pin(follow));
		Ok(())
	}

	fn task(&self, task: TaskId, at: Option<Hash>) -> RpcResult<Option<TaskView>> {
		self.client.runtime_api().task(self.at(at), task).map_err(runtime_error)
	}

	fn operators(
		&self,
		role: Role,
		start: u32,
		limit: u32,
		at: Option<Hash>,
	) -> RpcResult<Vec<OperatorView>> {
		self.client.runtime_api().operators(self.at(at), role, start, limit).map_err(runtime_error)
	}

	fn operator(&self, account: AccountId, at: Option<Hash>) -> RpcResult<Option<OperatorView>> {
		self.client.runtime_api().operator(self.at(at), account).map_err(runtime_error)
	}

	fn position(&self, who: AccountId, at: Option<Hash>) -> RpcResult<Vec<PositionView>> {
		self.client.runtime_api().position(self.at(at), who).map_err(runtime_error)
	}

	fn obstacles(&self, account: AccountId, at: Option<Hash>) -> RpcResult<Vec<Obstacle>> {
		self.client.runtime_api().obstacles(self.at(at), account).map_err(runtime_error)
	}

	fn model(&self, model: ModelId, at: Option<Hash>) -> RpcResult<Option<ModelView>> {
		self.client.runtime_api().model(self.at(at), model).map_err(runtime_error)
	}

	fn models(&self, start: ModelId, limit: u32, at: Option<Hash>) -> RpcResult<Vec<ModelView>> {
		self.client.runtime_api().models(self.at(at), start, limit).map_err(runtime_error)
	}
}
