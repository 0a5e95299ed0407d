//! Inputs and outputs by the hash of their bytes.
//!
//! Behind it is an `object_store`: a folder here, `blobs/ab/abcdef…`, written to a staging file, flushed and renamed into place.

use std::{path::Path as FilePath, sync::Arc};

use axum::body::Bytes;
use cuckoo_primitives::work::MAX_BLOB_BYTES;
use object_store::{
	local::LocalFileSystem, path::Path, GetOptions, ObjectStore, PutMode, PutPayload,
};
use sp_core::H256;
use sp_crypto_hashing::blake2_256;

/// Why a blob cannot be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
	/// It is larger than an item may be.
	#[error("{0} bytes are more than the {MAX_BLOB_BYTES} that an input or output may have")]
	TooLarge(u64),
	/// There is none with this hash.
	#[error("there is no blob {0:?}")]
	Missing(H256),
	/// What is stored under the hash has another one: the disk, or somebody, changed it.
	#[error("the stored blob {0:?} is damaged: its bytes have another hash")]
	Damaged(H256),
	/// The store does not work.
	#[error("the blob store: {0}")]
	Store(Box<object_store::Error>),
}

impl From<object_store::Error> for BlobError {
	fn from(error: object_store::Error) -> Self {
		Self::Store(Box::new(error))
	}
}

/// The blobs; clones share them.
#[derive(Clone)]
pub struct Blobs {
	store: Arc<dyn ObjectStore>,
}

impl Blobs {
	/// Keeps blobs in this folder, which must exist.
	pub fn in_folder(folder: &FilePath) -> Result<Self, BlobError> {
		let store = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
		Ok(Self { store: Arc::new(store) })
	}

	/// Keeps these bytes and says under which hash. Bytes that are kept already are written again, which heals a damaged file.
	pub async fn put(&self, bytes: Bytes) -> Result<H256, BlobError> {
		if bytes.len() > MAX_BLOB_BYTES {
			return Err(BlobError::TooLarge(bytes.len() as u64));
		}
		let (hash, bytes) = hashed(bytes).await;
		let payload = PutPayload::from(bytes);
		self.store.put_opts(&location(&hash), payload, PutMode::Overwrite.into()).await?;
		Ok(hash)
	}

	/// The bytes with this hash.
	pub async fn get(&self, hash: H256) -> Result<Bytes, BlobError> {
		let found = match self.store.get_opts(&location(&hash), GetOptions::default()).await {
			Err(object_store::Error::NotFound { .. }) => return Err(BlobError::Missing(hash)),
			found => found?,
		};
		if found.meta.size > MAX_BLOB_BYTES as u64 {
			return Err(BlobError::TooLarge(found.meta.size));
		}
		let (actual, bytes) = hashed(found.bytes().await?).await;
		if actual == hash {
			Ok(bytes)
		} else {
			Err(BlobError::Damaged(hash))
		}
	}
}

/// Large blobs take long enough to hash that no thread which serves requests should do it.
async fn hashed(bytes: Bytes) -> (H256, Bytes) {
	const QUICK: usize = 64 << 10;
	if bytes.len() <= QUICK {
		return (blake2_256(&bytes).into(), bytes);
	}
	let shared = bytes.clone();
	let task = tokio::task::spawn_blocking(move || H256::from(blake2_256(&shared)));
	match task.await {
		Ok(hash) => (hash, bytes),
		// Only while the process shuts down.
		Err(_) => (blake2_256(&bytes).into(), bytes),
	}
}

fn location(hash: &H256) -> Path {
	let name = hex::encode(hash);
	Path::from(format!("{}/{name}", &name[..2]))
}

#[cfg(test)]
mod tests {
	use super::*;

	#[tokio::test]
	async fn blobs_come_back_by_hash() {
		let dir = tempfile::tempdir().unwrap();
		let blobs = Blobs::in_folder(dir.path()).unwrap();
		for size in [0, 5, 100_000] {
			let bytes = Bytes::from(vec![7; size]);
			let hash = blobs.put(bytes.clone()).await.unwrap();
			assert_eq!(hash, H256::from(blake2_256(&bytes)));
			assert_eq!(blobs.get(hash).await.unwrap(), bytes);
		}
		let missing = blobs.get(H256::zero()).await;
		assert!(matches!(missing, Err(BlobError::Missing(_))));
	}

	#[tokio::test]
	async fn a_changed_file_is_an_error_until_it_is_put_again() {
		let dir = tempfile::tempdir().unwrap();
		let blobs = Blobs::in_folder(dir.path()).unwrap();
		let hash = blobs.put(Bytes::from_static(b"honest")).await.unwrap();
		let name = hex::encode(hash);
		std::fs::write(dir.path().join(&name[..2]).join(&name), b"forged").unwrap();
		assert!(matches!(blobs.get(hash).await, Err(BlobError::Damaged(_))));
		blobs.put(Bytes::from_static(b"honest")).await.unwrap();
		assert_eq!(blobs.get(hash).await.unwrap(), "honest");
	}

	#[tokio::test]
	async fn too_large_is_refused() {
		let dir = tempfile::tempdir().unwrap();
		let blobs = Blobs::in_folder(dir.path()).unwrap();
		let large = Bytes::from(vec![0; MAX_BLOB_BYTES + 1]);
		assert!(matches!(blobs.put(large).await, Err(BlobError::TooLarge(_))));
	}
}
