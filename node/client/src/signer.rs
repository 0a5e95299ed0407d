//! One task that signs for one account.
//!
//! The task owns the account's nonces, so that two parts of a program never sign with the same one. It signs and submits in the order it
//! is asked, without waiting for the one before to be included. Every transaction dies after 16 blocks: whether it took place is
//! certain then, and nothing old can turn up later. A program that keeps an [`Outbox`] sends the very same bytes again when it was ended meanwhile, so that nothing takes place twice.

use std::{
	sync::{
		atomic::{AtomicBool, Ordering::Relaxed},
		Arc,
	},
	time::Duration,
};

use sp_core::{crypto::AccountId32, H256};
use subxt::{
	client::OnlineClientAtBlockImpl,
	config::DefaultExtrinsicParamsBuilder,
	error::{BackendError, DispatchError, ExtrinsicError, RpcError},
	tx::{SubmittableTransaction, TransactionProgress, TransactionStatus},
	Metadata,
};
use subxt_rpcs::UserError;
use subxt_signer::sr25519::Keypair;
use tokio::{
	sync::{mpsc, oneshot},
	time::{sleep, timeout},
};

use crate::{
	calls::Call,
	events::{self, Event},
	node::{failed, Chain, Node, NodeError},
};

/// How many blocks a transaction is valid for.
const ERA: u32 = 16;
/// How far finality may lie behind before the era counts from a block that is not final.
const MAX_LAG: u32 = 6;
/// The chain's slot time.
const BLOCK: Duration = Duration::from_secs(3);
/// An era and some missed slots.
const LIMIT: Duration = Duration::from_secs(3 * (ERA as u64 + 4));
/// How many calls may wait to be signed.
const QUEUE: usize = 64;

/// A transaction in a best block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Included {
	/// The block's number.
	pub block: u32,
	/// The block's hash.
	pub hash: H256,
	/// The transaction's hash.
	pub extrinsic: H256,
	/// What the transaction did.
	pub events: Vec<Event>,
}

/// What was signed and sent, and is not known to be in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
	/// Its nonce.
	pub nonce: u64,
	/// The block from which its era counts.
	pub born: u32,
	/// The whole transaction.
	pub bytes: Vec<u8>,
}

/// Where a program keeps what it has signed.
pub trait Outbox: Send + Sync + 'static {
	/// On disk when this returns: it is sent after that.
	fn keep(&self, signed: &Signed) -> anyhow::Result<()>;
	/// Its end is known.
	fn forget(&self, nonce: u64);
	/// What was kept when the program was ended.
	fn kept(&self) -> anyhow::Result<Vec<Signed>>;
}

/// Why a call did not take place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TxError {
	/// It is in a block, and the chain refused it there; the fee is paid.
	#[error("{pallet}.{error}: {docs}")]
	Dispatch {
		/// The pallet that refused it.
		pallet: String,
		/// The pallet's name for the reason.
		error: String,
		/// The reason in words.
		docs: String,
	},
	/// It cannot be in a block as it is.
	#[error("the transaction was not accepted: {0}")]
	Invalid(String),
	/// The node did not answer before it was sent.
	#[error(transparent)]
	Node(#[from] NodeError),
	/// Its time has passed.
	#[error(
		"the transaction was in no block within {} s and is void after block {last}: check that the \
		 chain makes blocks and the node has peers, then send it again",
		LIMIT.as_secs()
	)]
	TimedOut {
		/// The last block that it could have been in.
		last: u32,
	},
	/// The program is shutting down.
	#[error("the signer has stopped: the program is shutting down")]
	Stopped,
}

/// A handle of the task that signs for an account. Cheap to clone.
#[derive(Clone)]
pub struct Signer {
	key: Keypair,
	queue: mpsc::Sender<Job>,
}

struct Job {
	call: Call,
	answer: oneshot::Sender<Result<Included, TxError>>,
}

impl Signer {
	/// Starts the task. It ends when the last handle is gone.
	pub async fn start(node: Node, key: Keypair) -> Result<Self, NodeError> {
		Self::start_with(node, key, None).await
	}

	/// Starts the task with an outbox, once what was left in it is in a block or can be in none any more: that takes 16 blocks at most.
	pub async fn start_with(
		node: Node,
		key: Keypair,
		outbox: Option<Arc<dyn Outbox>>,
	) -> Result<Self, NodeError> {
		let account = account_of(&key);
		if let Some(outbox) = &outbox {
			clear(&node, outbox.as_ref()).await?;
		}
		let nonce = node.next_nonce(&account).await?;
		let (queue, jobs) = mpsc::channel(QUEUE);
		let actor = Actor {
			node,
			key: key.clone(),
			account,
			nonce: Some(nonce),
			unsure: Arc::new(AtomicBool::new(false)),
			outbox,
		};
		tokio::spawn(actor.run(jobs));
		Ok(Self { key, queue })
	}

	/// The account that it signs for.
	pub fn account(&self) -> AccountId32 {
		account_of(&self.key)
	}

	/// Signs anything but a transaction, with sr25519.
	pub fn sign_bytes(&self, message: &[u8]) -> [u8; 64] {
		self.key.sign(message).0
	}

	/// Signs a call with the next nonce, submits it and waits until it is in a best block.
	///
	/// After an error the call did not take place, with one exception: after [`TxError::TimedOut`] on a chain that stands still, and after
	/// [`TxError::Stopped`], it may yet, within its era.
	pub async fn submit(&self, call: Call) -> Result<Included, TxError> {
		let (answer, outcome) = oneshot::channel();
		self.queue.send(Job { call, answer }).await.map_err(|_| TxError::Stopped)?;
		outcome.await.map_err(|_| TxError::Stopped)?
	}
}

/// The account of a key.
pub(crate) fn account_of(key: &Keypair) -> AccountId32 {
	AccountId32::new(key.public_key().0)
}

struct Actor {
	node: Node,
	key: Keypair,
	account: AccountId32,
	/// The next nonce, if known.
	nonce: Option<u64>,
	/// Set when a submitted transaction may have left its nonce unused.
	unsure: Arc<AtomicBool>,
	outbox: Option<Arc<dyn Outbox>>,
}

impl Actor {
	async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
		while let Some(Job { call, answer }) = jobs.recv().await {
			// Nobody is left to hear an answer whose receiver is gone: that is no error.
			match self.send(&call).await {
				Err(error) => drop(answer.send(Err(error))),
				Ok(sent) => {
					let (node, unsure) = (self.node.clone(), self.unsure.clone());
					let outbox = self.outbox.clone();
					tokio::spawn(async move {
						let nonce = sent.nonce;
						let outcome = sent.outcome(&node).await;
						if let Some(outbox) = outbox {
							outbox.forget(nonce);
						}
						if !matches!(outcome, Ok(_) | Err(TxError::Dispatch { .. })) {
							unsure.store(true, Relaxed);
						}
						drop(answer.send(outcome));
					});
				},
			}
		}
	}

	async fn send(&mut self, call: &Call) -> Result<Sent, TxError> {
		if self.unsure.swap(false, Relaxed) {
			self.nonce = None;
		}
		let (born, hash) = checkpoint(&self.node).await?;
		let api = self.node.subxt().await?;
		let at = api.at_block_hash_and_number(hash, born.into()).await.map_err(failed)?;
		let mut again = true;
		loop {
			let nonce = match self.nonce {
				Some(nonce) => nonce,
				None => self.node.next_nonce(&self.account).await?,
			};
			let params = DefaultExtrinsicParamsBuilder::<Chain>::new()
				.nonce(nonce)
				.mortal_from_unchecked(ERA.into(), born.into(), hash)
				.build();
			let signed = {
				let signable = at.tx().create_signable_offline(call, params);
				signable.map_err(invalid)?.sign(&self.key).map_err(invalid)?
			};
			if let Some(outbox) = &self.outbox {
				let kept = Signed { nonce, born, bytes: signed.encoded().to_vec() };
				// Sent all the same: not to show a result because the disk is full costs more than to sign it again after a restart.
				if let Err(error) = outbox.keep(&kept) {
					tracing::error!(
						nonce,
						error = format!("{error:#}"),
						"a transaction could not be kept"
					);
				}
			}
			let progress = match signed.submit_and_watch().await {
				Ok(progress) => Some(progress),
				Err(error) => match refusal(&error) {
					Some(refused) => {
						self.nonce = None;
						if let Some(outbox) = &self.outbox {
							outbox.forget(nonce);
						}
						if again && is_about_nonce(refused) {
							again = false;
							continue;
						}
						return Err(TxError::Invalid(explain(refused, &self.account)));
					},
					// The connection broke: the node may have it or not. It is sent until one does.
					None => None,
				},
			};
			self.nonce = Some(nonce + 1);
			return Ok(Sent { signed, nonce, progress, born });
		}
	}
}

/// The chain's metadata has no such call, or not with such arguments.
fn invalid(error: ExtrinsicError) -> TxError {
	TxError::Invalid(error.to_string())
}

/// The block from which an era counts: one that no fork undoes, and one near enough to leave time.
async fn checkpoint(node: &Node) -> Result<(u32, H256), NodeError> {
	let (best, _) = node.best_block().await?;
	let finalized = node.finalized_block().await?;
	if best.saturating_sub(finalized.0) <= MAX_LAG {
		return Ok(finalized);
	}
	let number = best - MAX_LAG;
	let hash = node.block_hash(number).await?;
	Ok((number, hash.ok_or_else(|| failed(format!("it has no block {number}")))?))
}

/// The codes with which a node says that a transaction is no good: of a bad format, not to be read by the runtime, invalid, of unknown validity,
/// replaced by none as good.
const REFUSED: [i32; 5] = [1001, 1002, 1010, 1011, 1014];

/// What the node's pool has against a transaction, or `None` if the node did not say.
fn refusal(error: &ExtrinsicError) -> Option<&UserError> {
	match error {
		ExtrinsicError::ErrorSubmittingTransaction(BackendError::Rpc(RpcError::ClientError(
			subxt_rpcs::Error::User(error),
		))) if REFUSED.contains(&error.code) => Some(error),
		// Anything else, such as a pool that is full for the moment, may go through later.
		_ => None,
	}
}

fn reason(refused: &UserError) -> &str {
	refused.data.as_ref().map_or("", |data| data.get().trim_matches('"'))
}

/// Whether somebody else used the nonce: it is in a block, or in a transaction that waits in the pool.
fn is_about_nonce(refused: &UserError) -> bool {
	const INVALID: i32 = 1010;
	const TOO_LOW_PRIORITY: i32 = 1014;
	refused.code == TOO_LOW_PRIORITY
		|| (refused.code == INVALID && reason(refused).contains("outdated"))
}

fn explain(refused: &UserError, account: &AccountId32) -> String {
	let reason = reason(refused);
	if reason.contains("pay some fees") {
		format!("{account} cannot pay the fee: send it some CAI")
	} else {
		format!("{}: {reason}", refused.message)
	}
}

/// A signed transaction on its way into a block.
struct Sent {
	signed: SubmittableTransaction<Chain, OnlineClientAtBlockImpl<Chain>>,
	nonce: u64,
	progress: Option<TransactionProgress<Chain, OnlineClientAtBlockImpl<Chain>>>,
	/// The block from which its era counts.
	born: u32,
}

impl Sent {
	async fn outcome(self, node: &Node) -> Result<Included, TxError> {
		let last = self.born + ERA - 1;
		timeout(LIMIT, self.find(node, last)).await.unwrap_or(Err(TxError::TimedOut { last }))
	}

	/// Waits for the node to say which block the transaction is in. If the node loses sight of it or goes away, sends the same bytes again, which
	/// can take place once only, and looks for them in every block that they may be in.
	async fn find(self, node: &Node, last: u32) -> Result<Included, TxError> {
		let blocks = match self.progress {
			Some(progress) => Vec::from_iter(follow(progress).await?),
			None => Vec::new(),
		};
		for hash in blocks {
			match read(node, hash, self.signed.hash()).await {
				Ok(Some(included)) => return Ok(included),
				Ok(None) => {},
				Err(TxError::Node(error)) => tracing::debug!(?hash, "{error}"),
				Err(error) => return Err(error),
			}
		}
		sleep(BLOCK).await;
		insist(node, self.signed.encoded(), self.born, last).await
	}
}

/// Sends these bytes until they are in a block, and looks for them in every block that they may be in.
async fn insist(node: &Node, bytes: &[u8], born: u32, last: u32) -> Result<Included, TxError> {
	let extrinsic = H256::from(sp_crypto_hashing::blake2_256(bytes));
	let bytes = format!("0x{}", hex::encode(bytes));
	loop {
		// A node that has it already refuses it: only its being in a block counts.
		let again: Result<H256, _> = node.request("author_submitExtrinsic", [&bytes]).await;
		tracing::debug!(?extrinsic, ?again, "sent again");
		if let Ok((best, _)) = node.best_block().await {
			for number in born + 1..=best.min(last) {
				let Some(hash) = node.block_hash(number).await.ok().flatten() else { continue };
				match read(node, hash, extrinsic).await {
					Ok(Some(included)) => return Ok(included),
					Ok(None) => {},
					Err(TxError::Node(error)) => tracing::debug!(?hash, "{error}"),
					Err(error) => return Err(error),
				}
			}
			if best >= last {
				return Err(TxError::TimedOut { last });
			}
		}
		sleep(BLOCK).await;
	}
}

/// Sends what was left in an outbox when the program was ended, in the order of its nonces, until all of it is in a block or can be in none any more.
async fn clear(node: &Node, outbox: &dyn Outbox) -> Result<(), NodeError> {
	let mut kept = outbox.kept().map_err(|error| failed(format!("the outbox: {error:#}")))?;
	kept.sort_by_key(|signed| signed.nonce);
	for signed in kept {
		let last = signed.born.saturating_add(ERA - 1);
		let sending = insist(node, &signed.bytes, signed.born, last);
		let end = timeout(LIMIT, sending).await.unwrap_or(Err(TxError::TimedOut { last }));
		match end {
			Ok(included) => {
				tracing::info!(
					nonce = signed.nonce,
					block = included.block,
					"sent before, now in a block"
				);
			},
			Err(error) => tracing::warn!(nonce = signed.nonce, %error, "sent before, and void"),
		}
		outbox.forget(signed.nonce);
	}
	Ok(())
}

/// The block that the transaction is in, or `None` if the node lost sight of it.
async fn follow(
	mut progress: TransactionProgress<Chain, OnlineClientAtBlockImpl<Chain>>,
) -> Result<Option<H256>, TxError> {
	while let Some(Ok(status)) = progress.next().await {
		match status {
			TransactionStatus::InBestBlock(block) | TransactionStatus::InFinalizedBlock(block) => {
				return Ok(Some(block.block_hash()));
			},
			// One pool threw it out; another may have it and put it into a block. Only blocks decide.
			TransactionStatus::Error { .. }
			| TransactionStatus::Dropped { .. }
			| TransactionStatus::Invalid { .. } => return Ok(None),
			TransactionStatus::Validated
			| TransactionStatus::Broadcasted
			| TransactionStatus::NoLongerInBestBlock => {},
		}
	}
	Ok(None)
}

/// What the transaction did in this block, or `None` if it is not in it.
async fn read(node: &Node, hash: H256, extrinsic: H256) -> Result<Option<Included>, TxError> {
	let at = node.subxt().await?.at_block(hash).await.map_err(failed)?;
	let extrinsics = at.extrinsics().fetch().await.map_err(failed)?;
	let Some(found) = extrinsics.iter().flatten().find(|found| found.hash() == extrinsic) else {
		return Ok(None);
	};
	let mut events = Vec::new();
	for event in found.events().await.map_err(failed)?.iter() {
		let event = event.map_err(failed)?;
		if event.pallet_name() == "System" && event.event_name() == "ExtrinsicFailed" {
			let error = DispatchError::decode_from(event.field_bytes(), at.metadata());
			return Err(dispatch(&error.map_err(failed)?, at.metadata_ref()));
		}
		events.push(Event::decode(&event, at.metadata_ref())?);
	}
	let block = u32::try_from(at.block_number()).map_err(failed)?;
	Ok(Some(Included { block, hash, extrinsic, events }))
}

fn dispatch(error: &DispatchError, metadata: &Metadata) -> TxError {
	let named = match error {
		DispatchError::Module(module) => {
			events::error_name(metadata, module.pallet_index(), module.error_index())
		},
		_ => None,
	};
	let (pallet, error, docs) =
		named.unwrap_or_else(|| ("Runtime".into(), format!("{error:?}"), error.to_string()));
	TxError::Dispatch { pallet, error, docs }
}

#[cfg(test)]
mod tests {
	use super::*;

	fn refused(code: i32, data: &str) -> UserError {
		let data = serde_json::value::to_raw_value(data).unwrap();
		UserError { code, message: "Invalid Transaction".into(), data: Some(data) }
	}

	fn submitting(error: subxt_rpcs::Error) -> ExtrinsicError {
		ExtrinsicError::ErrorSubmittingTransaction(error.into())
	}

	#[test]
	fn only_a_used_nonce_is_worth_a_second_signature() {
		assert!(is_about_nonce(&refused(1010, "Transaction is outdated")));
		assert!(is_about_nonce(&refused(1014, "")));
		assert!(!is_about_nonce(&refused(1010, "Transaction has a bad signature")));
		assert!(!is_about_nonce(&refused(1016, "outdated")));
	}

	#[test]
	fn a_refusal_is_told_from_a_broken_connection() {
		let user = refused(1010, "Transaction is outdated");
		assert!(refusal(&submitting(user.into())).is_some());
		let lost = subxt_rpcs::Error::Client("the socket closed".into());
		assert!(refusal(&submitting(lost)).is_none());
	}

	#[test]
	fn an_account_without_money_is_told_so() {
		let account = AccountId32::new([1; 32]);
		let why = explain(
			&refused(1010, "Inability to pay some fees (e.g. account balance too low)"),
			&account,
		);
		assert_eq!(why, format!("{account} cannot pay the fee: send it some CAI"));
		let why = explain(&refused(1010, "Transaction has a bad signature"), &account);
		assert_eq!(why, "Invalid Transaction: Transaction has a bad signature");
	}

	#[test]
	fn errors_read_like_sentences() {
		let refused = TxError::Dispatch {
			pallet: "Tasks".into(),
			error: "NoSeat".into(),
			docs: "The operator has no seat in this task.".into(),
		};
		assert_eq!(refused.to_string(), "Tasks.NoSeat: The operator has no seat in this task.");
		assert!(TxError::TimedOut { last: 17 }.to_string().contains("within 60 s"));
	}
}
