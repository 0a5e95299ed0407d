//! One connection to a node, kept alive over a list of addresses.
//!
//! A program stays with the node it has until the connection breaks, or the node gets no new blocks while another does, and only then goes on to the next address. After some
//! minutes it returns to the first, if that can be used again. Every node is asked for its genesis and whether it is syncing before it is used. jsonrpsee and subxt share the one
//! socket.

use std::{
	sync::{
		atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
		Arc, Weak,
	},
	time::{Duration, Instant},
};

use futures::TryStreamExt;
use jsonrpsee::{
	core::{
		client::{ClientT, Error as ClientError, SubscriptionClientT},
		traits::ToRpcParams,
	},
	rpc_params,
	ws_client::{PingConfig, WsClient, WsClientBuilder},
};
use serde::{de::DeserializeOwned, Deserialize};
use sp_core::{crypto::AccountId32, H256};
use subxt::{
	backend::LegacyBackend,
	dynamic::{At, Value},
	SubstrateConfig,
};
use subxt_rpcs::client::{RawRpcFuture, RawRpcSubscription, RawValue, RpcClientT};
use tokio::{
	sync::Mutex,
	time::{sleep, timeout},
};

/// The kind of chain that Cuckoo is to subxt: 32-byte accounts, BLAKE2b-256, the usual extensions.
pub type Chain = SubstrateConfig;
/// subxt's client.
pub type Api = subxt::OnlineClient<Chain>;

const CONNECT: Duration = Duration::from_secs(10);
const REQUEST: Duration = Duration::from_secs(30);
/// A node that answers no ping for this long is gone, though its socket may not know yet.
const SILENCE: Duration = Duration::from_secs(25);
/// Metadata is the largest answer, well under 1 MiB.
const MAX_RESPONSE: u32 = 32 << 20;
/// How often the whole list is tried before a caller is told that there is no node.
const ROUNDS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// The first node is returned to if it is no more blocks behind than this.
const BEHIND: u32 = 3;

/// When to use another node though the connection holds.
#[derive(Clone, Copy)]
struct Pace {
	/// How often it is looked whether the node in use still follows the chain, and whether the first one is there again.
	look: Duration,
	/// A node without a new block for so long is left for another that has one.
	standstill: Duration,
	/// How long a program stays with another node than the first before it returns.
	away: Duration,
}

const PACE: Pace = Pace {
	look: Duration::from_secs(15),
	standstill: Duration::from_secs(45),
	away: Duration::from_secs(120),
};

/// Why there is no answer from a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
	/// Nobody answers there.
	#[error(
		"no node answers at {url} ({why}): check that it runs and that --node-url is its address"
	)]
	Unreachable {
		/// The address.
		url: String,
		/// What happened instead.
		why: String,
	},
	/// The node answers, and serves another chain.
	#[error(
		"the node at {url} is on another chain: its genesis is {found:?}, not {expected:?}; \
		 give --node-url of a node on the right chain"
	)]
	OtherChain {
		/// The address.
		url: String,
		/// The genesis hash of the chain that this program works on.
		expected: H256,
		/// The node's.
		found: H256,
	},
	/// The node has not caught up with its chain.
	#[error(
		"the node at {url} is still syncing: wait until it has caught up, or use another node"
	)]
	Syncing {
		/// The address.
		url: String,
	},
	/// A request failed on the way or at the node.
	#[error("a request to the node failed: {0}")]
	Rpc(String),
}

impl From<ClientError> for NodeError {
	fn from(error: ClientError) -> Self {
		Self::Rpc(describe(&error))
	}
}

/// What a person should read of an error: the message of an answer, not its Rust structure.
fn describe(error: &ClientError) -> String {
	let ClientError::Call(answer) = error else { return error.to_string() };
	match answer.data() {
		Some(data) => format!("{} ({}): {}", answer.message(), answer.code(), data.get()),
		None => format!("{} ({})", answer.message(), answer.code()),
	}
}

/// A connection to one of several nodes. Cheap to clone; the clones share the connection.
#[derive(Clone)]
pub struct Node {
	pool: Arc<Pool>,
	api: Api,
}

impl Node {
	/// Connects to the first of the addresses that serves the chain with this genesis and is not syncing. Without a genesis the
	/// first node that answers decides which chain it is, for good.
	pub async fn connect(urls: &[String], genesis: Option<H256>) -> Result<Self, NodeError> {
		let pool = Arc::new(Pool::connect(urls, genesis).await?);
		let genesis = pool.genesis;
		if urls.len() > 1 {
			tokio::spawn(tend(Arc::downgrade(&pool), PACE));
		}
		let backend = LegacyBackend::<Chain>::builder().build(pool.clone());
		let config = SubstrateConfig::builder().set_genesis_hash(genesis).build();
		let api = Api::from_backend_with_config(config, Arc::new(backend)).await.map_err(failed)?;
		Ok(Self { pool, api })
	}

	/// The genesis hash of the chain.
	pub fn genesis(&self) -> H256 {
		self.pool.genesis
	}

	/// The address of the node in use, without what may be a key in it.
	pub fn url(&self) -> String {
		self.pool.url()
	}

	/// How often the connection was made anew, or another node was chosen.
	pub fn reconnects(&self) -> u64 {
		self.pool.reconnects.load(Relaxed)
	}

	/// The live client, on which the methods of `cuckoo_rpc::CuckooApiClient` are called. Looks for another node if the connection is gone,
	/// and gives up after a few seconds: whoever waits longer calls again.
	pub async fn rpc(&self) -> Result<Arc<WsClient>, NodeError> {
		self.pool.rpc().await
	}

	/// subxt over the same socket. It outlives the connection: its requests go to whichever node is in use.
	pub async fn subxt(&self) -> Result<Api, NodeError> {
		self.rpc().await?;
		Ok(self.api.clone())
	}

	/// The block that the node builds on.
	pub async fn best_block(&self) -> Result<(u32, H256), NodeError> {
		self.head("chain_getBlockHash").await
	}

	/// The last block that can no longer be reverted.
	pub async fn finalized_block(&self) -> Result<(u32, H256), NodeError> {
		self.head("chain_getFinalizedHead").await
	}

	/// What an account can spend, in planck, as of the best block.
	pub async fn free_balance(&self, who: &AccountId32) -> Result<u128, NodeError> {
		let (number, hash) = self.best_block().await?;
		let at = self.api.at_block_hash_and_number(hash, number.into()).await.map_err(failed)?;
		let key = vec![Value::from_bytes(who)];
		let account = at.storage().fetch(("System", "Account"), key).await.map_err(failed)?;
		let account = account.decode().map_err(failed)?;
		account
			.at("data")
			.at("free")
			.and_then(|free| free.as_u128())
			.ok_or_else(|| failed("System.Account holds no free balance"))
	}

	/// The hash of the block with this number on the node's best chain.
	pub(crate) async fn block_hash(&self, number: u32) -> Result<Option<H256>, NodeError> {
		self.request("chain_getBlockHash", [number]).await
	}

	/// The next nonce of an account, after those of its transactions that wait in the node's pool.
	pub(crate) async fn next_nonce(&self, account: &AccountId32) -> Result<u64, NodeError> {
		self.request("system_accountNextIndex", [account]).await
	}

	/// Any request.
	pub(crate) async fn request<R: DeserializeOwned>(
		&self,
		method: &str,
		params: impl ToRpcParams + Send,
	) -> Result<R, NodeError> {
		Ok(self.rpc().await?.request(method, params).await?)
	}

	async fn head(&self, method: &str) -> Result<(u32, H256), NodeError> {
		// One client for both, or the second question may go to a node that does not have the block.
		let rpc = self.rpc().await?;
		let hash: H256 = rpc.request(method, rpc_params![]).await?;
		Ok((number_of(&rpc, Some(hash)).await?, hash))
	}
}

/// The number of this block, or of the best one.
async fn number_of(rpc: &WsClient, hash: Option<H256>) -> Result<u32, NodeError> {
	#[derive(Deserialize)]
	struct Header {
		number: String,
	}
	let header: Option<Header> = rpc.request("chain_getHeader", rpc_params![hash]).await?;
	let number = header.and_then(|header| hex_number(&header.number));
	number.ok_or_else(|| failed(format!("it has no header of {hash:?}")))
}

/// Any error of subxt's, as one of the node's.
pub(crate) fn failed(error: impl std::fmt::Display) -> NodeError {
	NodeError::Rpc(error.to_string())
}

fn hex_number(text: &str) -> Option<u32> {
	u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// The addresses, and the connection to one of them.
struct Pool {
	urls: Vec<String>,
	genesis: H256,
	current: AtomicUsize,
	/// How many searches found no node.
	failures: AtomicU64,
	/// How often another connection took the place of the first.
	reconnects: AtomicU64,
	live: Mutex<Live>,
}

struct Live {
	client: Arc<WsClient>,
	/// How the last search that found no node ended.
	failure: Option<NodeError>,
}

impl Live {
	/// The connection and which address it goes to change together, under the lock.
	fn use_now(&mut self, pool: &Pool, at: usize, client: WsClient) {
		pool.current.store(at, Relaxed);
		pool.reconnects.fetch_add(1, Relaxed);
		self.client = Arc::new(client);
	}
}

impl Pool {
	async fn connect(urls: &[String], genesis: Option<H256>) -> Result<Self, NodeError> {
		let (at, client, genesis) = search(urls, 0, genesis).await?;
		Ok(Self {
			urls: urls.to_vec(),
			genesis,
			current: AtomicUsize::new(at),
			failures: AtomicU64::new(0),
			reconnects: AtomicU64::new(0),
			live: Mutex::new(Live { client: Arc::new(client), failure: None }),
		})
	}

	/// Uses the node at this address from now on, if it can be used, and has a block after `best`. Those who hold the connection before keep it until they ask again.
	async fn switch(&self, index: usize, best: u32) -> bool {
		let Some(url) = self.urls.get(index) else { return false };
		let Ok((client, _)) = dial(url, Some(self.genesis)).await else { return false };
		if !number_of(&client, None).await.is_ok_and(|number| number > best) {
			return false;
		}
		self.live.lock().await.use_now(self, index, client);
		true
	}

	fn url(&self) -> String {
		self.urls.get(self.current.load(Relaxed)).map_or_else(String::new, |url| shown(url))
	}

	async fn rpc(&self) -> Result<Arc<WsClient>, NodeError> {
		let failures = self.failures.load(Relaxed);
		// Held during the search: one looks for a node, the others wait for it.
		let mut live = self.live.lock().await;
		if live.client.is_connected() {
			return Ok(live.client.clone());
		}
		// Whoever waited while a search failed shares its outcome instead of searching in turn.
		if let (true, Some(failure)) = (self.failures.load(Relaxed) != failures, &live.failure) {
			return Err(failure.clone());
		}
		tracing::warn!(url = self.url(), "lost the connection to the node");
		match search(&self.urls, self.current.load(Relaxed) + 1, Some(self.genesis)).await {
			Ok((at, client, _)) => {
				live.use_now(self, at, client);
				tracing::info!(url = self.url(), "connected to a node");
				Ok(live.client.clone())
			},
			Err(failure) => {
				live.failure = Some(failure.clone());
				self.failures.fetch_add(1, Relaxed);
				Err(failure)
			},
		}
	}
}

/// Goes on to another node while the present one stands still, and back to the first once it can be used again. Ends with the pool.
async fn tend(pool: Weak<Pool>, pace: Pace) {
	let (mut best, mut seen, mut away) = (0, Instant::now(), Instant::now());
	loop {
		sleep(pace.look).await;
		let Some(pool) = pool.upgrade() else { return };
		let (client, current) = (pool.live.lock().await.client.clone(), pool.current.load(Relaxed));
		if let Ok(number) = number_of(&client, None).await {
			if number != best {
				(best, seen) = (number, Instant::now());
			}
		}
		if current == 0 {
			away = Instant::now();
		} else if away.elapsed() > pace.away && pool.switch(0, best.saturating_sub(BEHIND)).await {
			tracing::info!(url = pool.url(), "back at the first node");
			seen = Instant::now();
			continue;
		}
		if seen.elapsed() > pace.standstill {
			for index in order(current + 1, pool.urls.len()).filter(|index| *index != current) {
				if pool.switch(index, best).await {
					tracing::warn!(
						url = pool.url(),
						block = best,
						"the node before got no new block; using another"
					);
					seen = Instant::now();
					break;
				}
			}
		}
	}
}

/// Tries the addresses from `first` on, in rounds that lie ever further apart.
async fn search(
	urls: &[String],
	first: usize,
	genesis: Option<H256>,
) -> Result<(usize, WsClient, H256), NodeError> {
	let silent = |error: &NodeError| matches!(error, NodeError::Unreachable { .. });
	let mut worst = NodeError::Unreachable {
		url: "any address".into(),
		why: "the list of addresses is empty".into(),
	};
	for round in 0..ROUNDS {
		if round > 0 {
			sleep(pause(round, rand::random())).await;
		}
		let mut some_silent = false;
		for index in order(first, urls.len()) {
			match dial(&urls[index], genesis).await {
				Ok((client, genesis)) => return Ok((index, client, genesis)),
				Err(error) => {
					tracing::debug!(round, "{error}");
					some_silent |= silent(&error);
					// An address that gave a wrong answer tells more than one that gave none.
					if silent(&worst) || !silent(&error) {
						worst = error;
					}
				},
			}
		}
		// A node on another chain stays there, and one that syncs needs longer than this.
		if !some_silent {
			break;
		}
	}
	Err(worst)
}

/// Every address once, from `first` on.
fn order(first: usize, addresses: usize) -> impl Iterator<Item = usize> {
	(0..addresses).map(move |step| (first + step) % addresses)
}

/// How long to wait before a round: twice as long each time, half of it by chance, so that many programs do not return to a restarted node at
/// the same moment.
fn pause(round: u32, chance: f64) -> Duration {
	let full = FIRST_PAUSE.saturating_mul(1 << round.saturating_sub(1).min(16)).min(LONGEST_PAUSE);
	full / 2 + (full / 2).mul_f64(chance)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Health {
	is_syncing: bool,
	should_have_peers: bool,
}

/// Connects, and looks whether the node can be used.
async fn dial(url: &str, genesis: Option<H256>) -> Result<(WsClient, H256), NodeError> {
	let address = || shown(url);
	let unreachable = |why: String| NodeError::Unreachable { url: address(), why };
	let client = WsClientBuilder::new()
		.connection_timeout(CONNECT)
		.request_timeout(REQUEST)
		.max_response_size(MAX_RESPONSE)
		.enable_ws_ping(PingConfig::new().ping_interval(SILENCE / 2).inactive_limit(SILENCE))
		.build(url);
	let client = timeout(CONNECT, client)
		.await
		.map_err(|_| unreachable(format!("not within {} s", CONNECT.as_secs())))?
		.map_err(|error| unreachable(describe(&error)))?;
	let unreachable = |error: ClientError| unreachable(describe(&error));
	let found: H256 = client.request("chain_getBlockHash", [0u32]).await.map_err(unreachable)?;
	if let Some(expected) = genesis.filter(|expected| *expected != found) {
		return Err(NodeError::OtherChain { url: address(), expected, found });
	}
	let health: Health =
		client.request("system_health", rpc_params![]).await.map_err(unreachable)?;
	// A lone node of a development chain calls itself syncing now and then; there is nobody to sync from.
	if health.is_syncing && health.should_have_peers {
		return Err(NodeError::Syncing { url: address() });
	}
	Ok((client, found))
}

/// An address without user, path and query: whoever sells access to nodes puts keys there, and this is for logs.
fn shown(url: &str) -> String {
	let (scheme, rest) = url.split_once("://").unwrap_or(("ws", url));
	let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
	let host = host.rsplit('@').next().unwrap_or_default();
	format!("{scheme}://{host}")
}

/// Parameters that are JSON already.
struct Raw(Option<Box<RawValue>>);

impl ToRpcParams for Raw {
	fn to_rpc_params(self) -> Result<Option<Box<RawValue>>, serde_json::Error> {
		Ok(self.0)
	}
}

impl RpcClientT for Pool {
	fn request_raw<'a>(
		&'a self,
		method: &'a str,
		params: Option<Box<RawValue>>,
	) -> RawRpcFuture<'a, Box<RawValue>> {
		Box::pin(async move {
			let client = self.rpc().await.map_err(boxed)?;
			client.request(method, Raw(params)).await.map_err(for_subxt)
		})
	}

	fn subscribe_raw<'a>(
		&'a self,
		sub: &'a str,
		params: Option<Box<RawValue>>,
		unsub: &'a str,
	) -> RawRpcFuture<'a, RawRpcSubscription> {
		Box::pin(async move {
			let client = self.rpc().await.map_err(boxed)?;
			let stream = client
				.subscribe::<Box<RawValue>, _>(sub, Raw(params), unsub)
				.await
				.map_err(for_subxt)?
				.map_err(subxt_rpcs::Error::Deserialization);
			// Only subxt's chainHead backend asks for the id, and this is for the legacy one.
			Ok(RawRpcSubscription { stream: Box::pin(stream), id: None })
		})
	}
}

fn boxed(error: impl std::error::Error + Send + Sync + 'static) -> subxt_rpcs::Error {
	subxt_rpcs::Error::Client(Box::new(error))
}

/// Keeps apart what the node refused and what did not get there, as the signer must.
fn for_subxt(error: ClientError) -> subxt_rpcs::Error {
	match error {
		ClientError::Call(answer) => subxt_rpcs::Error::User(subxt_rpcs::UserError {
			code: answer.code(),
			message: answer.message().into(),
			data: answer.data().map(ToOwned::to_owned),
		}),
		other => boxed(other),
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use jsonrpsee::{
		server::{Server, ServerHandle},
		types::ErrorObject,
		RpcModule,
	};
	use serde_json::json;
	use std::sync::atomic::AtomicU32;

	#[test]
	fn every_address_gets_its_turn_after_the_present_one() {
		assert_eq!(order(1, 3).collect::<Vec<_>>(), [1, 2, 0]);
		assert_eq!(order(3, 3).collect::<Vec<_>>(), [0, 1, 2]);
		assert_eq!(order(1, 1).collect::<Vec<_>>(), [0]);
		assert_eq!(order(1, 0).count(), 0);
	}

	#[test]
	fn pauses_double_up_to_a_limit() {
		for chance in [0.0, 0.5, 0.999] {
			assert!(pause(1, chance) >= FIRST_PAUSE / 2 && pause(1, chance) <= FIRST_PAUSE);
			assert_eq!(pause(2, chance), pause(1, chance) * 2);
			assert!(pause(u32::MAX, chance) <= LONGEST_PAUSE);
		}
	}

	#[test]
	fn block_numbers_are_hex() {
		assert_eq!(hex_number("0x1f"), Some(31));
		assert_eq!(hex_number("31"), None);
		assert_eq!(hex_number("0x100000000"), None);
	}

	#[test]
	fn a_refusal_reads_like_a_sentence_and_stays_a_refusal() {
		let error = || {
			let why = Some("Transaction is outdated");
			ClientError::Call(ErrorObject::owned(1010, "Invalid Transaction", why))
		};
		assert_eq!(
			NodeError::from(error()).to_string(),
			"a request to the node failed: Invalid Transaction (1010): \"Transaction is outdated\"",
		);
		assert!(matches!(for_subxt(error()), subxt_rpcs::Error::User(user) if user.code == 1010));
		let lost = ClientError::RequestTimeout;
		assert!(matches!(for_subxt(lost), subxt_rpcs::Error::Client(_)));
	}

	/// Something that answers like a node whose best block has this number.
	async fn node(best: Arc<AtomicU32>) -> (String, ServerHandle) {
		let server = Server::builder().build("127.0.0.1:0").await.unwrap();
		let mut module = RpcModule::new(best);
		module.register_method("chain_getBlockHash", |_, _, _| json!(H256::zero())).unwrap();
		module
			.register_method(
				"system_health",
				|_, _, _| json!({"isSyncing": false, "shouldHavePeers": true, "peers": 1}),
			)
			.unwrap();
		module
			.register_method(
				"chain_getHeader",
				|_, best, _| json!({"number": format!("{:#x}", best.load(Relaxed))}),
			)
			.unwrap();
		(format!("ws://{}", server.local_addr().unwrap()), server.start(module))
	}

	async fn until(pool: &Pool, index: usize) {
		let there = async {
			while pool.current.load(Relaxed) != index {
				sleep(Duration::from_millis(5)).await;
			}
		};
		timeout(Duration::from_secs(20), there).await.expect("it stays where it was");
	}

	#[tokio::test]
	async fn a_node_that_stands_still_is_left_for_one_that_does_not_and_the_first_is_returned_to() {
		let (first, second) = (Arc::new(AtomicU32::new(5)), Arc::new(AtomicU32::new(5)));
		let (a, _a) = node(first.clone()).await;
		let (b, _b) = node(second.clone()).await;
		let pool = Arc::new(Pool::connect(&[a, b], None).await.unwrap());
		let ms = Duration::from_millis;
		let pace = Pace { look: ms(20), standstill: ms(200), away: ms(600) };
		tokio::spawn(tend(Arc::downgrade(&pool), pace));
		// Nobody has anything new: there is no reason to go.
		sleep(ms(500)).await;
		assert_eq!(pool.current.load(Relaxed), 0);
		second.store(6, Relaxed);
		until(&pool, 1).await;
		assert!(pool.rpc().await.unwrap().is_connected());
		first.store(7, Relaxed);
		until(&pool, 0).await;
	}

	#[tokio::test]
	async fn a_list_without_a_node_says_what_to_do() {
		let error = Node::connect(&[], None).await.err().unwrap();
		assert!(error.to_string().contains("--node-url"), "{error}");
		// Nothing listens on port 1, and the answer comes at once.
		let error = dial("ws://127.0.0.1:1", None).await.err().unwrap();
		assert!(error.to_string().contains("ws://127.0.0.1:1"), "{error}");
	}
}
