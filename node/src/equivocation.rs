//! Reports validators that make two blocks for one slot.
//!
//! `sc-consensus-babe` looks for them too, but since polkadot-sdk#9147 it does so where the seals have been taken off the headers (`BabeBlockImport` instead of
//! `BabeVerifier`), and the runtime believes no proof without signatures: such a report fails in its block with `Babe.InvalidEquivocationProof`. This looks just before, puts
//! the seals back, and so is first in the pool, which takes one report of an offender and slot. Once the SDK's own reports are believed, this file can go.

use crate::service::Client;
use cuckoo_runtime::opaque::{Block, Header};
use jsonrpsee::core::async_trait;
use sc_consensus::{BlockCheckParams, BlockImport, BlockImportParams, ImportResult};
use sc_consensus_babe::find_pre_digest;
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_api::{ApiExt, ProvideRuntimeApi};
use sp_blockchain::HeaderBackend;
use sp_consensus::{BlockOrigin, Error as ConsensusError};
use sp_consensus_babe::{AuthorityId, BabeApi, EquivocationProof, Slot};
use std::{
	collections::BTreeMap,
	error::Error,
	sync::{Arc, Mutex, PoisonError},
};

/// How many headers are remembered: those of the last sessions.
const MAX_HEADERS: usize = 2_000;

/// The first header of each slot's author, with its seal.
type Seen = BTreeMap<(Slot, AuthorityId), Header>;

/// Imports blocks and reports who makes two for one slot.
#[derive(Clone)]
pub struct Reporter<I> {
	inner: I,
	client: Arc<Client>,
	pool: OffchainTransactionPoolFactory<Block>,
	seen: Arc<Mutex<Seen>>,
}

impl<I> Reporter<I> {
	/// Over BABE's block import.
	pub fn new(inner: I, client: Arc<Client>, pool: OffchainTransactionPoolFactory<Block>) -> Self {
		Self { inner, client, pool, seen: Arc::default() }
	}

	/// Remembers who made a block, and reports it if it is the second one for its slot. The header's seal has been checked.
	fn look_at(&self, header: Header) -> Result<(), Box<dyn Error + Send + Sync>> {
		let digest = find_pre_digest::<Block>(&header)?;
		let (slot, parent) = (digest.slot(), header.parent_hash);
		let api = self.client.runtime_api();
		let mut epoch = api.current_epoch(parent)?;
		if slot >= epoch.start_slot + epoch.duration {
			epoch = api.next_epoch(parent)?;
		}
		let Some((author, _)) =
			epoch.authorities.into_iter().nth(digest.authority_index() as usize)
		else {
			return Ok(());
		};
		let first = {
			// A panic elsewhere leaves the map whole.
			let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
			remember(&mut seen, slot, &author, &header)
		};
		let Some(first) = first else { return Ok(()) };
		tracing::warn!(%slot, %author, "a validator made two blocks for one slot: reporting it");
		self.report(EquivocationProof {
			offender: author,
			slot,
			first_header: first,
			second_header: header,
		})
	}

	/// Puts a report into the pool of this node, for the next block that it makes.
	fn report(&self, proof: EquivocationProof<Header>) -> Result<(), Box<dyn Error + Send + Sync>> {
		let best = self.client.info().best_hash;
		let parent = proof.second_header.parent_hash;
		let owner_at = |block| {
			let api = self.client.runtime_api();
			api.generate_key_ownership_proof(block, proof.slot, proof.offender.clone())
		};
		// A proof counts in its own session. The parent of a session's first block lies in the one before; the other block for the slot was imported, and does not.
		let mut owner = None;
		for block in [parent, proof.first_header.hash(), best] {
			let epoch = self.client.runtime_api().current_epoch(block)?;
			let slots = epoch.start_slot..epoch.start_slot + epoch.duration;
			if slots.contains(&proof.slot) {
				owner = owner_at(block)?;
				break;
			}
		}
		let Some(owner) = owner else {
			return Err("no block of the offender's session is known".into());
		};
		let mut api = self.client.runtime_api();
		api.register_extension(self.pool.offchain_transaction_pool(best));
		api.submit_report_equivocation_unsigned_extrinsic(best, proof, owner)?
			.ok_or("the pool does not take the report")?;
		Ok(())
	}
}

/// Remembers a header; returns the other one that the same author made for the same slot before, if there is one.
fn remember(seen: &mut Seen, slot: Slot, author: &AuthorityId, header: &Header) -> Option<Header> {
	let key = (slot, author.clone());
	if let Some(first) = seen.get(&key) {
		return (first != header).then(|| first.clone());
	}
	seen.insert(key, header.clone());
	if seen.len() > MAX_HEADERS {
		seen.pop_first();
	}
	None
}

#[async_trait]
impl<I> BlockImport<Block> for Reporter<I>
where
	I: BlockImport<Block, Error = ConsensusError> + Send + Sync,
{
	type Error = ConsensusError;

	async fn check_block(
		&self,
		block: BlockCheckParams<Block>,
	) -> Result<ImportResult, Self::Error> {
		self.inner.check_block(block).await
	}

	async fn import_block(
		&self,
		block: BlockImportParams<Block>,
	) -> Result<ImportResult, Self::Error> {
		// What is caught up with is too old to report, and nobody reports itself.
		if matches!(block.origin, BlockOrigin::NetworkBroadcast | BlockOrigin::ConsensusBroadcast) {
			if let Err(why) = self.look_at(block.post_header()) {
				tracing::warn!(
					"cannot tell whether a validator made two blocks for one slot: {why}"
				);
			}
		}
		self.inner.import_block(block).await
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use sp_consensus_babe::{
		check_equivocation_proof,
		digests::{CompatibleDigestItem, PreDigest, SecondaryPlainPreDigest},
		AuthorityPair,
	};
	use sp_core::{Pair, H256};
	use sp_runtime::{traits::Header as _, DigestItem};

	const SLOT: u64 = 7;

	fn validator(number: u8) -> AuthorityPair {
		AuthorityPair::from_seed(&[number; 32])
	}

	/// A header without its seal.
	fn header(state: u8) -> Header {
		let digest = SecondaryPlainPreDigest { authority_index: 0, slot: SLOT.into() };
		let mut header = Header::new(
			1,
			H256::zero(),
			H256::repeat_byte(state),
			H256::zero(),
			Default::default(),
		);
		let item = DigestItem::babe_pre_digest(PreDigest::SecondaryPlain(digest));
		header.digest_mut().push(item);
		header
	}

	fn sealed(mut header: Header, validator: &AuthorityPair) -> Header {
		let seal = validator.sign(header.hash().as_ref());
		header.digest_mut().push(DigestItem::babe_seal(seal));
		header
	}

	fn proof(first_header: Header, second_header: Header) -> EquivocationProof<Header> {
		let offender = validator(1).public();
		EquivocationProof { offender, slot: SLOT.into(), first_header, second_header }
	}

	#[test]
	fn only_a_second_header_of_the_same_author_and_slot_is_an_equivocation() {
		let mut seen = Seen::new();
		let (alice, bob) = (validator(1).public(), validator(2).public());
		let slot = Slot::from(SLOT);
		assert_eq!(remember(&mut seen, slot, &alice, &header(1)), None);
		assert_eq!(remember(&mut seen, slot, &alice, &header(1)), None);
		assert_eq!(remember(&mut seen, slot, &bob, &header(2)), None);
		assert_eq!(remember(&mut seen, slot + 1, &alice, &header(2)), None);
		assert_eq!(remember(&mut seen, slot, &alice, &header(2)), Some(header(1)));
	}

	#[test]
	fn the_oldest_headers_are_forgotten() {
		let mut seen = Seen::new();
		let alice = validator(1).public();
		for slot in 0..=MAX_HEADERS as u64 {
			remember(&mut seen, slot.into(), &alice, &header(1));
		}
		assert_eq!(seen.len(), MAX_HEADERS);
		assert!(!seen.contains_key(&(Slot::from(0u64), alice)));
	}

	#[test]
	fn a_proof_needs_the_seals() {
		let alice = validator(1);
		let (first, second) = (sealed(header(1), &alice), sealed(header(2), &alice));
		assert!(check_equivocation_proof(proof(first, second)));
		// What the SDK's own block import sends: when this is believed, nobody needs this file.
		assert!(!check_equivocation_proof(proof(header(1), header(2))));
	}
}
