//! Inputs and outputs by the hash of their bytes.
//!
//! Behind it is an `object_store`: a folder here, `blobs/ab/abcdef…`, written to a staging file, flushed and renamed into place; or, by
//! configuration, a bucket that speaks S3, under `prefix/own/ab/abcdef…`. There `own` is this coordinator's account: several coordinators can share
//! a bucket, and none deletes what another needs.

mod s3;

use std::{
	array,
	future::Future,
	io,
	path::Path as FilePath,
	sync::Arc,
	time::{Duration, SystemTime},
};

use axum::body::Bytes;
use cuckoo_primitives::work::MAX_BLOB_BYTES;
use futures::{
	future,
	stream::{self, BoxStream},
	StreamExt, TryStreamExt,
};
use object_store::{
	local::LocalFileSystem, path::Path, GetOptions, GetResult, ObjectMeta, ObjectStore,
	ObjectStoreScheme, PutMode, PutPayload,
};
use reqwest::Url;
use sp_core::H256;
use sp_crypto_hashing::blake2_256;
use tokio::sync::RwLock;

use crate::id::unix_now;

/// The longest that a store may take, with everything that is tried again.
const TIMEOUT: Duration = Duration::from_secs(90);
/// A staging file this old is what a crash left.
const STAGED: Duration = Duration::from_secs(3_600);

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
	/// The store does not work now: its disk is full, its server does not answer, or no longer knows this coordinator. The same may succeed later.
	#[error("the blob store does not work: {0}")]
	Unavailable(String),
	/// The setting that says where the store is cannot be used.
	#[error("the blob store cannot be opened: {0}")]
	Setting(String),
}

impl From<object_store::Error> for BlobError {
	fn from(error: object_store::Error) -> Self {
		Self::Unavailable(error.to_string())
	}
}

/// The blobs; clones share them.
#[derive(Clone)]
pub struct Blobs {
	store: Arc<dyn ObjectStore>,
	/// What stands before every name.
	root: Path,
	/// A blob is not deleted while it is being put: a turn for each first byte of a hash.
	turns: Arc<[RwLock<()>; 256]>,
}

impl Blobs {
	/// Keeps blobs in this folder, which must exist.
	pub fn in_folder(folder: &FilePath) -> Result<Self, BlobError> {
		Self::below(folder, Path::default())
	}

	/// Keeps blobs where an address says: `s3://bucket/prefix`, with the credentials and the endpoint from the variables `AWS_ACCESS_KEY_ID`,
	/// `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT` and `AWS_ALLOW_HTTP`, or `file:///folder`, which must exist; in both under `own`, a name
	/// that no other coordinator has. Nothing is asked of the store yet: see [`check`](Self::check).
	pub fn from_url(url: &str, own: &str) -> Result<Self, BlobError> {
		let setting = BlobError::Setting;
		let url: Url = url.parse().map_err(|error| setting(format!("not an address: {error}")))?;
		if !url.username().is_empty() || url.password().is_some() {
			let message = "credentials belong into the environment, not into the address";
			return Err(setting(message.into()));
		}
		let (scheme, prefix) =
			ObjectStoreScheme::parse(&url).map_err(|error| setting(error.to_string()))?;
		match scheme {
			ObjectStoreScheme::Local => {
				let folder = url
					.to_file_path()
					.map_err(|()| setting(format!("{url} names no folder of this machine")))?;
				Self::below(&folder, Path::from(own))
			},
			ObjectStoreScheme::AmazonS3 => {
				let store = s3::open(&url).map_err(|error| setting(error.to_string()))?;
				Ok(Self::new(Arc::new(store), prefix.join(own)))
			},
			_ => Err(setting(format!("{url} is neither s3://bucket/prefix nor file:///folder"))),
		}
	}

	fn below(folder: &FilePath, root: Path) -> Result<Self, BlobError> {
		let setting = |error: String| BlobError::Setting(format!("{}: {error}", folder.display()));
		let store =
			LocalFileSystem::new_with_prefix(folder).map_err(|error| setting(error.to_string()))?;
		match clear_staged(&folder.join(root.to_string())) {
			// Nothing was put yet.
			Err(error) if error.kind() == io::ErrorKind::NotFound => {},
			cleared => cleared.map_err(|error| setting(error.to_string()))?,
		}
		Ok(Self::new(Arc::new(store.with_fsync(true)), root))
	}

	fn new(store: Arc<dyn ObjectStore>, root: Path) -> Self {
		Self { store, root, turns: Arc::new(array::from_fn(|_| RwLock::new(()))) }
	}

	/// Writes, reads and deletes a few bytes: that a store does not work should be known before the first request.
	pub async fn check(&self) -> Result<(), BlobError> {
		let probe: [u8; 16] = rand::random();
		let location = self.root.clone().join(format!("probe-{}", hex::encode(probe)));
		let payload = PutPayload::from(Bytes::copy_from_slice(&probe));
		within("put", self.store.put_opts(&location, payload, PutMode::Overwrite.into())).await?;
		let found = within("get", self.store.get_opts(&location, GetOptions::default())).await?;
		let read = within("get", found.bytes()).await?;
		within("delete", self.remove(location)).await?;
		if read != probe[..] {
			let message = "it returns other bytes than were written";
			return Err(BlobError::Unavailable(message.into()));
		}
		Ok(())
	}

	/// Keeps these bytes and says under which hash. Bytes that are kept already are written again, which heals a damaged file, and keeps it from being
	/// deleted for a while.
	pub async fn put(&self, bytes: Bytes) -> Result<H256, BlobError> {
		if bytes.len() > MAX_BLOB_BYTES {
			return Err(BlobError::TooLarge(bytes.len() as u64));
		}
		let (hash, bytes) = hashed(bytes).await;
		let _turn = self.turn(&hash).read().await;
		let payload = PutPayload::from(bytes);
		let location = self.location(&hash);
		within("put", self.store.put_opts(&location, payload, PutMode::Overwrite.into())).await?;
		Ok(hash)
	}

	/// How many bytes the blob with this hash has. None of them is read.
	pub async fn size(&self, hash: H256) -> Result<u64, BlobError> {
		let look = GetOptions::new().with_head(true);
		Ok(self.find(hash, look).await?.meta.size)
	}

	/// The bytes with this hash.
	pub async fn get(&self, hash: H256) -> Result<Bytes, BlobError> {
		let found = self.find(hash, GetOptions::default()).await?;
		let (actual, bytes) = hashed(within("get", found.bytes()).await?).await;
		if actual == hash {
			Ok(bytes)
		} else {
			failed("get");
			Err(BlobError::Damaged(hash))
		}
	}

	/// The blob with this hash, unless it is larger than one can be.
	async fn find(&self, hash: H256, options: GetOptions) -> Result<GetResult, BlobError> {
		let location = self.location(&hash);
		let found = match within("get", self.store.get_opts(&location, options)).await {
			Err(object_store::Error::NotFound { .. }) => return Err(BlobError::Missing(hash)),
			found => found?,
		};
		if found.meta.size > MAX_BLOB_BYTES as u64 {
			return Err(BlobError::TooLarge(found.meta.size));
		}
		Ok(found)
	}

	/// Deletes a blob if it was last put at least `older_than` ago: a request that has just put the same bytes needs them, and is not in the job book
	/// yet. Says whether there was one and it is gone.
	pub async fn delete(&self, hash: H256, older_than: Duration) -> Result<bool, BlobError> {
		let location = self.location(&hash);
		// From the look at its age to its end nobody puts it.
		let _turn = self.turn(&hash).write().await;
		let look = GetOptions::new().with_head(true);
		let found = match within("delete", self.store.get_opts(&location, look)).await {
			Err(object_store::Error::NotFound { .. }) => return Ok(false),
			found => found?,
		};
		if age(&found.meta) < older_than {
			return Ok(false);
		}
		match within("delete", self.remove(location)).await {
			Err(object_store::Error::NotFound { .. }) => Ok(false),
			deleted => Ok(deleted.map(|()| true)?),
		}
	}

	/// All blobs that were last put at least `older_than` ago, in no order.
	pub fn older(&self, older_than: Duration) -> BoxStream<'static, Result<H256, BlobError>> {
		let root = (!self.root.is_root()).then_some(&self.root);
		self.store
			.list(root)
			.map_err(BlobError::from)
			.try_filter_map(move |meta| {
				future::ready(Ok(named(&meta.location).filter(|_| age(&meta) >= older_than)))
			})
			.boxed()
	}

	async fn remove(&self, location: Path) -> object_store::Result<()> {
		let one = stream::once(future::ready(Ok(location))).boxed();
		self.store.delete_stream(one).try_for_each(|_| future::ready(Ok(()))).await
	}

	fn turn(&self, hash: &H256) -> &RwLock<()> {
		&self.turns[usize::from(hash.0[0])]
	}

	fn location(&self, hash: &H256) -> Path {
		let name = hex::encode(hash);
		self.root.clone().join(&name[..2]).join(name.as_str())
	}
}

/// The hash that a stored name stands for, if it is a blob's.
fn named(location: &Path) -> Option<H256> {
	let mut hash = H256::zero();
	hex::decode_to_slice(location.filename()?, &mut hash.0).ok()?;
	Some(hash)
}

fn age(meta: &ObjectMeta) -> Duration {
	let put = u64::try_from(meta.last_modified.timestamp()).unwrap_or(0);
	Duration::from_secs(unix_now().saturating_sub(put))
}

/// No store may keep a request for ever.
async fn within<T>(
	operation: &'static str,
	work: impl Future<Output = object_store::Result<T>>,
) -> object_store::Result<T> {
	let done = match tokio::time::timeout(TIMEOUT, work).await {
		Ok(done) => done,
		Err(_) => {
			let source = format!("no answer within {} s", TIMEOUT.as_secs()).into();
			Err(object_store::Error::Generic { store: "blob", source })
		},
	};
	if matches!(&done, Err(error) if !matches!(error, object_store::Error::NotFound { .. })) {
		failed(operation);
	}
	done
}

fn failed(operation: &'static str) {
	::metrics::counter!("cuckoo_blob_errors_total", "operation" => operation).increment(1);
}

/// Removes what puts left behind that a crash cut off: their names end in `#` and a number, and the store does not show them.
fn clear_staged(folder: &FilePath) -> io::Result<()> {
	for entry in std::fs::read_dir(folder)? {
		let entry = entry?;
		if !entry.file_type()?.is_dir() {
			continue;
		}
		for entry in std::fs::read_dir(entry.path())? {
			let entry = entry?;
			if !entry.file_name().to_string_lossy().contains('#') {
				continue;
			}
			let written = entry.metadata().and_then(|file| file.modified());
			let age = written.map(|at| SystemTime::now().duration_since(at).unwrap_or_default());
			// One that has gone meanwhile was no leftover.
			if age.is_ok_and(|age| age > STAGED) {
				std::fs::remove_file(entry.path())?;
			}
		}
	}
	Ok(())
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

#[cfg(test)]
pub(crate) mod tests {
	use super::*;
	use std::{fs::File, path::PathBuf};

	const HOUR: Duration = Duration::from_secs(3_600);

	fn file(dir: &tempfile::TempDir, hash: &H256) -> PathBuf {
		let name = hex::encode(hash);
		dir.path().join(&name[..2]).join(&name)
	}

	/// Makes a blob in this folder look as if it had been put this long ago.
	pub(crate) fn put_long_ago(dir: &tempfile::TempDir, hash: &H256, ago: Duration) {
		let file = File::options().write(true).open(file(dir, hash)).unwrap();
		file.set_modified(SystemTime::now() - ago).unwrap();
	}

	#[tokio::test]
	async fn blobs_come_back_by_hash() {
		let dir = tempfile::tempdir().unwrap();
		let blobs = Blobs::in_folder(dir.path()).unwrap();
		for size in [0, 5, 100_000] {
			let bytes = Bytes::from(vec![7; size]);
			let hash = blobs.put(bytes.clone()).await.unwrap();
			assert_eq!(hash, H256::from(blake2_256(&bytes)));
			assert_eq!(blobs.size(hash).await.unwrap(), size as u64);
			assert_eq!(blobs.get(hash).await.unwrap(), bytes);
		}
		let missing = blobs.get(H256::zero()).await;
		assert!(matches!(missing, Err(BlobError::Missing(_))));
		let missing = blobs.size(H256::zero()).await;
		assert!(matches!(missing, Err(BlobError::Missing(_))));
	}

	#[tokio::test]
	async fn a_changed_file_is_an_error_until_it_is_put_again() {
		let dir = tempfile::tempdir().unwrap();
		let blobs = Blobs::in_folder(dir.path()).unwrap();
		let hash = blobs.put(Bytes::from_static(b"honest")).await.unwrap();
		std::fs::write(file(&dir, &hash), b"forged").unwrap();
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

	#[tokio::test]
	async fn a_blob_is_deleted_only_when_nobody_has_just_put_it() {
		let dir = tempfile::tempdir().unwrap();
		let blobs = Blobs::in_folder(dir.path()).unwrap();
		let hash = blobs.put(Bytes::from_static(b"old")).await.unwrap();
		assert!(!blobs.delete(hash, HOUR).await.unwrap());
		put_long_ago(&dir, &hash, 2 * HOUR);
		// The same bytes come with another request.
		blobs.put(Bytes::from_static(b"old")).await.unwrap();
		assert!(!blobs.delete(hash, HOUR).await.unwrap());
		assert_eq!(blobs.get(hash).await.unwrap(), "old");

		put_long_ago(&dir, &hash, 2 * HOUR);
		assert!(blobs.delete(hash, HOUR).await.unwrap());
		assert!(matches!(blobs.get(hash).await, Err(BlobError::Missing(_))));
		assert!(!blobs.delete(hash, HOUR).await.unwrap());
	}

	#[tokio::test]
	async fn a_put_and_a_delete_at_the_same_time_never_lose_the_put() {
		let dir = tempfile::tempdir().unwrap();
		let blobs = Blobs::in_folder(dir.path()).unwrap();
		let bytes = Bytes::from_static(b"wanted again");
		for _ in 0..50 {
			let hash = blobs.put(bytes.clone()).await.unwrap();
			put_long_ago(&dir, &hash, 2 * HOUR);
			let (put, deleted) = tokio::join!(blobs.put(bytes.clone()), blobs.delete(hash, HOUR));
			deleted.unwrap();
			assert_eq!(blobs.get(put.unwrap()).await.unwrap(), bytes);
		}
	}

	#[tokio::test]
	async fn only_old_blobs_are_listed_and_nothing_else() {
		let dir = tempfile::tempdir().unwrap();
		let blobs = Blobs::in_folder(dir.path()).unwrap();
		let old = blobs.put(Bytes::from_static(b"old")).await.unwrap();
		put_long_ago(&dir, &old, 2 * HOUR);
		blobs.put(Bytes::from_static(b"new")).await.unwrap();
		std::fs::write(dir.path().join("notes.txt"), b"not a blob").unwrap();
		let listed: Vec<_> = blobs.older(HOUR).try_collect().await.unwrap();
		assert_eq!(listed, [old]);
	}

	#[tokio::test]
	async fn what_a_crash_left_half_written_is_cleared_at_the_start() {
		let dir = tempfile::tempdir().unwrap();
		let blobs = Blobs::in_folder(dir.path()).unwrap();
		let hash = blobs.put(Bytes::from_static(b"whole")).await.unwrap();
		let staged = |number| PathBuf::from(format!("{}#{number}", file(&dir, &hash).display()));
		let (left, fresh) = (staged(1), staged(2));
		std::fs::write(&left, b"hal").unwrap();
		let long_ago = SystemTime::now() - 2 * HOUR;
		File::options().write(true).open(&left).unwrap().set_modified(long_ago).unwrap();
		std::fs::write(&fresh, b"hal").unwrap();
		let blobs = Blobs::in_folder(dir.path()).unwrap();
		assert!(!left.exists() && fresh.exists());
		assert_eq!(blobs.get(hash).await.unwrap(), "whole");
	}

	#[tokio::test]
	async fn coordinators_that_share_a_store_do_not_delete_each_others_blobs() {
		let dir = tempfile::tempdir().unwrap();
		let url = Url::from_directory_path(dir.path()).unwrap();
		let first = Blobs::from_url(url.as_str(), "first").unwrap();
		let second = Blobs::from_url(url.as_str(), "second").unwrap();
		let hash = first.put(Bytes::from_static(b"same")).await.unwrap();
		assert_eq!(second.put(Bytes::from_static(b"same")).await.unwrap(), hash);
		assert!(first.delete(hash, Duration::ZERO).await.unwrap());
		assert!(matches!(first.get(hash).await, Err(BlobError::Missing(_))));
		assert_eq!(second.get(hash).await.unwrap(), "same");
		let listed: Vec<_> = second.older(Duration::ZERO).try_collect().await.unwrap();
		assert_eq!(listed, [hash]);
	}

	#[tokio::test]
	async fn a_store_that_cannot_be_written_is_found_out_at_the_start() {
		let dir = tempfile::tempdir().unwrap();
		let blobs = Blobs::in_folder(dir.path()).unwrap();
		blobs.check().await.unwrap();
		assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
		// A file in the place of the folder: nothing can be written below it, whoever runs the test.
		let path = dir.path().to_path_buf();
		dir.close().unwrap();
		std::fs::write(&path, b"").unwrap();
		assert!(matches!(blobs.check().await, Err(BlobError::Unavailable(_))));
		let put = blobs.put(Bytes::from_static(b"lost")).await;
		assert!(matches!(put, Err(BlobError::Unavailable(_))));
		assert!(matches!(Blobs::in_folder(&path), Err(BlobError::Setting(_))));
		std::fs::remove_file(path).unwrap();
	}

	#[test]
	fn addresses_of_stores_that_are_not_served_are_refused() {
		let secret = "s3://id:secret@bucket/prefix";
		for bad in ["bucket", "memory:///", "http://host/bucket", "file:///nowhere/at/all", secret]
		{
			let error = match Blobs::from_url(bad, "own") {
				Err(error @ BlobError::Setting(_)) => error.to_string(),
				_ => panic!("{bad} was taken"),
			};
			assert!(!error.contains("secret"), "{error}");
		}
	}
}
