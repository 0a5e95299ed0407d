//! The keys of applications: who may ask this coordinator for work, for what, how often and for how much.
//!
//! They are in one file, [`FILE_NAME`] in the data directory. The commands of [`crate::keys_cli`] write it, and a running coordinator looks every second
//! whether it has changed: a key that was revoked is refused a second later. A file that cannot be read changes nothing, so that no mistake in it locks
//! everybody out or lets everybody in.
//!
//! Of a key's secret only the SHA-256 hash is kept. Hashing it slowly, as is done with passwords, would protect nothing: nobody guesses 32 random bytes.

mod file;
mod limit;

use std::{
	collections::{BTreeMap, BTreeSet},
	fmt,
	path::PathBuf,
	str::FromStr,
	sync::{Arc, Mutex, MutexGuard, PoisonError},
	time::{Duration, Instant},
};

use clap::ValueEnum;
use cuckoo_primitives::{Balance, ModelId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sp_core::H256;
use sp_crypto_hashing::sha2_256;
use tokio::{sync::watch, task::JoinHandle};

use crate::models;

use file::Stamp;
use limit::Bucket;

pub use file::{create, list, revoke, Made, Wanted, FILE_NAME};
pub use limit::Turn;

/// How every secret begins, so that people and secret scanners know one when they see it.
const SECRET_PREFIX: &str = "ck_";
/// The prefix and 32 bytes in base64url.
const SECRET_LENGTH: usize = SECRET_PREFIX.len() + 43;
/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A key's name, which is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u64);

impl fmt::Display for KeyId {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		write!(f, "key_{:016x}", self.0)
	}
}

impl FromStr for KeyId {
	type Err = &'static str;

	fn from_str(text: &str) -> Result<Self, Self::Err> {
		text.strip_prefix("key_")
			.filter(|hex| hex.len() == 16 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
			.and_then(|hex| u64::from_str_radix(hex, 16).ok())
			.map(Self)
			.ok_or("a key id is \"key_\" and 16 hexadecimal digits, as `api-key list` shows it")
	}
}

impl Serialize for KeyId {
	fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
		to.collect_str(self)
	}
}

impl<'de> Deserialize<'de> for KeyId {
	fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
		String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
	}
}

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
	/// Ask for work, which costs CAI, and cancel it.
	Submit,
	/// Look at models, and at its own jobs and their outputs.
	Read,
}

impl Scope {
	/// All there are.
	pub const ALL: [Self; 2] = [Self::Submit, Self::Read];

	/// As it is written.
	pub fn name(self) -> &'static str {
		match self {
			Self::Submit => "submit",
			Self::Read => "read",
		}
	}
}

/// Where to tell of a key's jobs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
	/// The address.
	pub url: String,
	/// What messages are signed with, as the Standard Webhooks scheme writes it: `whsec_` and 24 to 64 bytes in base64. Unlike the key's own it is kept, because
	/// it is needed to sign.
	pub secret: String,
}

impl fmt::Debug for Webhook {
	/// Without the secret, which would end up in a log.
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.debug_struct("Webhook").field("url", &self.url).finish_non_exhaustive()
	}
}

/// A key as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
	/// Its name for programs.
	pub id: KeyId,
	/// Its name for people.
	pub name: String,
	/// The SHA-256 hash of its secret.
	pub hash: H256,
	/// What it may do.
	pub scopes: BTreeSet<Scope>,
	/// The only models that it may use, by name or by number; `None`: any.
	#[serde(default, skip_serializing_if = "Option::is_none")]
	pub models: Option<Vec<String>>,
	/// All that it may ever spend, in planck, less what came back; `None`: no bound of its own.
	#[serde(default, skip_serializing_if = "Option::is_none", with = "maybe_planck")]
	pub budget: Option<Balance>,
	/// How many requests a minute it may make, and how many at once; `None`: any number.
	#[serde(default, skip_serializing_if = "Option::is_none")]
	pub per_minute: Option<u32>,
	/// When it was made, in seconds of Unix time.
	pub created: u64,
	/// Since when it is good for nothing.
	#[serde(default, skip_serializing_if = "Option::is_none")]
	pub revoked: Option<u64>,
	/// Where to tell of its jobs.
	#[serde(default, skip_serializing_if = "Option::is_none")]
	pub webhook: Option<Webhook>,
}

impl ApiKey {
	/// Whether it may do this.
	pub fn may(&self, scope: Scope) -> bool {
		self.scopes.contains(&scope)
	}

	/// Whether it may use the model with this number. `name` is the one that means this model and no other, as the
	/// [`Catalogue`](crate::models::Catalogue) gives it: a key that is bound to a name may use what the name means and no other model that is called so, be
	/// it asked for by name or by number; one that is bound to a number may use this model, whatever it is called.
	pub fn may_use(&self, name: &str, model: ModelId) -> bool {
		let is_it = |bound: &String| bound == name || models::number(bound) == Some(model);
		self.models.as_ref().is_none_or(|bounds| bounds.iter().any(is_it))
	}
}

/// An amount in planck, or none, as JSON knows it: a decimal string or null.
pub mod maybe_planck {
	use serde::{de::Error, Deserialize, Deserializer, Serializer};

	/// Writes the amount.
	pub fn serialize<S: Serializer>(amount: &Option<u128>, to: S) -> Result<S::Ok, S::Error> {
		match amount {
			Some(amount) => to.collect_str(amount),
			None => to.serialize_none(),
		}
	}

	/// Reads the amount.
	pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u128>, D::Error> {
		let text = Option::<String>::deserialize(from)?;
		text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
	}
}

/// Why a secret opens nothing. A stranger is not told which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
	/// No key has it.
	#[error("there is no such key")]
	Unknown,
	/// Its key was revoked.
	#[error("{0} is revoked")]
	Revoked(KeyId),
}

/// The keys in force; clones share them.
#[derive(Clone)]
pub struct Keys {
	inner: Arc<Inner>,
}

struct Inner {
	path: PathBuf,
	table: watch::Sender<Table>,
	looked: Mutex<Looked>,
	/// One for each limited key that has asked for something: never more than there are keys.
	buckets: Mutex<BTreeMap<KeyId, Bucket>>,
	/// Where the buckets' clock begins.
	start: Instant,
}

#[derive(Default)]
struct Table {
	by_hash: BTreeMap<H256, Arc<ApiKey>>,
	by_id: BTreeMap<KeyId, Arc<ApiKey>>,
}

/// What was seen of the file.
#[derive(Default)]
struct Looked {
	/// What the keys in force were read from; `None`: there was no file.
	read: Option<Stamp>,
	/// What was found and could not be read; it was complained about.
	failed: Option<Option<Stamp>>,
}

impl Keys {
	/// Reads the keys in this file; there are none if it does not exist.
	///
	/// Fails if there is one that cannot be read: without the keys in it anybody might be let in.
	pub fn open(path: impl Into<PathBuf>) -> anyhow::Result<Self> {
		let inner = Inner {
			path: path.into(),
			table: watch::Sender::new(Table::default()),
			looked: Mutex::default(),
			buckets: Mutex::default(),
			start: Instant::now(),
		};
		if let Some((keys, stamp)) = file::read(&inner.path)? {
			inner.install(keys, stamp);
			locked(&inner.looked).read = Some(stamp);
		}
		Ok(Self { inner: Arc::new(inner) })
	}

	/// Reads the file again whenever it has changed, until the last of the keys' clones is gone, or the task is aborted.
	pub fn spawn_watcher(&self) -> JoinHandle<()> {
		let inner = Arc::downgrade(&self.inner);
		tokio::spawn(async move {
			loop {
				tokio::time::sleep(LOOK).await;
				let Some(inner) = inner.upgrade() else { return };
				// Disks can be slow.
				let look = tokio::task::spawn_blocking(move || inner.look());
				if let Err(error) = look.await {
					tracing::error!(%error, "could not look at the file of API keys");
				}
			}
		})
	}

	/// Whether no key was ever made. Revoked ones count: whoever revokes the last does not mean to serve everybody.
	pub fn is_empty(&self) -> bool {
		self.inner.table.borrow().by_id.is_empty()
	}

	/// The key that this is the secret of.
	///
	/// How long it takes says nothing of use about the secrets of others: what is compared with those that are kept is a hash. How far it is like one of them may
	/// show in the time, but whoever measures that can neither choose the hash of what they try, nor get from a hash, even all of it, to 32 random bytes.
	pub fn check(&self, secret: &str) -> Result<Arc<ApiKey>, Refusal> {
		if secret.len() != SECRET_LENGTH || !secret.starts_with(SECRET_PREFIX) {
			return Err(Refusal::Unknown);
		}
		let hash = hash_of(secret);
		let key = self.inner.table.borrow().by_hash.get(&hash).cloned();
		let key = key.ok_or(Refusal::Unknown)?;
		match key.revoked {
			None => Ok(key),
			Some(_) => Err(Refusal::Revoked(key.id)),
		}
	}

	/// A key by its id, even if it was revoked: its jobs go on.
	pub fn get(&self, id: KeyId) -> Option<Arc<ApiKey>> {
		self.inner.table.borrow().by_id.get(&id).cloned()
	}

	/// Counts a request against a key's limit; `None` if it has none.
	pub fn turn(&self, key: &ApiKey) -> Option<Turn> {
		let limit = key.per_minute?;
		let now = self.inner.start.elapsed();
		let mut buckets = locked(&self.inner.buckets);
		let bucket = buckets.entry(key.id).or_insert_with(|| Bucket::full(limit, now));
		Some(bucket.take(limit, now))
	}
}

impl Inner {
	/// Reads the file again if it has changed.
	fn look(&self) {
		let found = Stamp::of(&self.path);
		let mut looked = locked(&self.looked);
		if found == looked.read {
			looked.failed = None;
			return;
		}
		let error = match file::read(&self.path) {
			Ok(Some((keys, stamp))) => {
				tracing::info!(keys = keys.len(), "the API keys have changed");
				self.install(keys, stamp);
				*looked = Looked { read: Some(stamp), failed: None };
				return;
			},
			Ok(None) => "it is gone".to_string(),
			Err(error) => format!("{error:#}"),
		};
		// It is tried again all the same: what failed may have been the machine and not the file.
		if looked.failed != Some(found) {
			looked.failed = Some(found);
			tracing::error!(
				file = %self.path.display(), error,
				"THE FILE OF API KEYS CANNOT BE READ: the keys of before stay in force, and none is made or revoked until it can"
			);
		}
	}

	/// Puts keys in force in the place of all others.
	fn install(&self, keys: Vec<ApiKey>, stamp: Stamp) {
		if stamp.is_open_to_others() {
			let file = self.path.display();
			tracing::warn!(
				"{file} holds secrets of webhooks and is open to others: chmod 600 {file}"
			);
		}
		let mut table = Table::default();
		for key in keys.into_iter().map(Arc::new) {
			table.by_id.insert(key.id, key.clone());
			table.by_hash.insert(key.hash, key);
		}
		let in_use = |id: &KeyId| table.by_id.get(id).is_some_and(|key| key.revoked.is_none());
		locked(&self.buckets).retain(|id, _| in_use(id));
		self.table.send_replace(table);
	}
}

/// What is kept of a secret.
fn hash_of(secret: &str) -> H256 {
	sha2_256(secret.as_bytes()).into()
}

/// What the locks guard is whole after every line: a panic elsewhere does not spoil it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
	mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
	use super::*;
	use std::fs;
	use tempfile::{tempdir, TempDir};

	fn file(dir: &TempDir) -> PathBuf {
		dir.path().join(FILE_NAME)
	}

	#[test]
	fn ids_read_back_and_look_like_ids() {
		let id = KeyId(0xab);
		assert_eq!(id.to_string(), "key_00000000000000ab");
		assert_eq!(id.to_string().parse(), Ok(id));
		assert_eq!(serde_json::to_string(&id).unwrap(), "\"key_00000000000000ab\"");
		for bad in ["", "key_", "key_ab", "key_+0000000000000ab", "ck_00000000000000ab"] {
			assert!(bad.parse::<KeyId>().is_err(), "{bad}");
		}
	}

	#[test]
	fn a_secret_opens_its_own_key_and_nothing_else() {
		let dir = tempdir().unwrap();
		let (one, two) = (
			create(&file(&dir), Wanted::named("one")).unwrap(),
			create(&file(&dir), Wanted::named("two")).unwrap(),
		);
		let keys = Keys::open(file(&dir)).unwrap();
		assert_eq!(*keys.check(&one.secret).unwrap(), one.key);
		assert_eq!(*keys.check(&two.secret).unwrap(), two.key);
		assert_eq!(*keys.get(two.key.id).unwrap(), two.key);
		let hash = format!("{:?}", one.key.hash);
		let other = format!("ck_{}", "A".repeat(43));
		let (id, longer) = (one.key.id.to_string(), format!("{} ", one.secret));
		let (shorter, bare) = (&one.secret[..45], &one.secret[3..]);
		for wrong in ["", "ck_", hash.as_str(), &hash[2..], other.as_str(), id.as_str()] {
			assert_eq!(keys.check(wrong), Err(Refusal::Unknown), "{wrong}");
		}
		for nearly in [longer.as_str(), shorter, bare] {
			assert_eq!(keys.check(nearly), Err(Refusal::Unknown), "{nearly}");
		}
	}

	#[tokio::test]
	async fn a_revoked_key_is_refused_without_a_restart() {
		let dir = tempdir().unwrap();
		let (kept, gone) = (
			create(&file(&dir), Wanted::named("kept")).unwrap(),
			create(&file(&dir), Wanted::named("gone")).unwrap(),
		);
		let keys = Keys::open(file(&dir)).unwrap();
		let watcher = keys.spawn_watcher();
		keys.check(&gone.secret).unwrap();
		revoke(&file(&dir), gone.key.id).unwrap();
		let new = create(&file(&dir), Wanted::named("new")).unwrap();
		let known = async {
			while keys.check(&new.secret).is_err() {
				tokio::time::sleep(Duration::from_millis(20)).await;
			}
		};
		tokio::time::timeout(Duration::from_secs(30), known).await.unwrap();
		assert_eq!(keys.check(&gone.secret), Err(Refusal::Revoked(gone.key.id)));
		keys.check(&kept.secret).unwrap();
		// For what it has asked for before.
		assert!(keys.get(gone.key.id).unwrap().revoked.is_some());

		drop(keys);
		tokio::time::timeout(Duration::from_secs(30), watcher).await.unwrap().unwrap();
	}

	#[test]
	fn a_broken_or_missing_file_keeps_the_keys_until_it_is_mended() {
		let dir = tempdir().unwrap();
		let made = create(&file(&dir), Wanted::named("a")).unwrap();
		let good = fs::read(file(&dir)).unwrap();
		let keys = Keys::open(file(&dir)).unwrap();
		for broken in [&b""[..], b"{", b"[]", &good[..good.len() / 2]] {
			fs::write(file(&dir), broken).unwrap();
			keys.inner.look();
			keys.check(&made.secret).unwrap();
			assert_eq!(locked(&keys.inner.looked).failed, Some(Stamp::of(&file(&dir))));
			// A coordinator that starts with it would not know whom to refuse.
			assert!(Keys::open(file(&dir)).is_err());
		}
		fs::remove_file(file(&dir)).unwrap();
		keys.inner.look();
		keys.check(&made.secret).unwrap();
		assert!(!keys.is_empty());

		fs::write(file(&dir), &good).unwrap();
		revoke(&file(&dir), made.key.id).unwrap();
		keys.inner.look();
		assert_eq!(keys.check(&made.secret), Err(Refusal::Revoked(made.key.id)));
		assert_eq!(locked(&keys.inner.looked).failed, None);
	}

	#[test]
	fn what_failed_once_is_tried_again() {
		let dir = tempdir().unwrap();
		let made = create(&file(&dir), Wanted::named("a")).unwrap();
		let keys = Keys::open(file(&dir)).unwrap();
		revoke(&file(&dir), made.key.id).unwrap();
		// As if the machine had had no file handle left when the new file was seen.
		locked(&keys.inner.looked).failed = Some(Stamp::of(&file(&dir)));
		keys.inner.look();
		assert_eq!(keys.check(&made.secret), Err(Refusal::Revoked(made.key.id)));
	}

	#[test]
	fn revoking_the_last_key_lets_nobody_in() {
		let dir = tempdir().unwrap();
		let keys = Keys::open(file(&dir)).unwrap();
		assert!(keys.is_empty());
		let made = create(&file(&dir), Wanted::named("a")).unwrap();
		keys.inner.look();
		assert!(!keys.is_empty());
		revoke(&file(&dir), made.key.id).unwrap();
		keys.inner.look();
		assert!(!keys.is_empty() && !Keys::open(file(&dir)).unwrap().is_empty());
	}

	#[test]
	fn each_key_has_a_limit_of_its_own_that_outlasts_a_change_of_others() {
		let dir = tempdir().unwrap();
		let limited = |name: &str| Wanted { per_minute: Some(1), ..Wanted::named(name) };
		let (one, two) = (
			create(&file(&dir), limited("one")).unwrap().key,
			create(&file(&dir), limited("two")).unwrap().key,
		);
		let free = create(&file(&dir), Wanted::named("free")).unwrap().key;
		let keys = Keys::open(file(&dir)).unwrap();
		assert_eq!(keys.turn(&free), None);
		assert_eq!(keys.turn(&one).unwrap().wait, None);
		assert!(keys.turn(&one).unwrap().wait.is_some());
		assert_eq!(keys.turn(&two).unwrap().wait, None);

		revoke(&file(&dir), two.id).unwrap();
		keys.inner.look();
		assert!(keys.turn(&one).unwrap().wait.is_some(), "a new file is no way round the limit");
		let known: Vec<_> = locked(&keys.inner.buckets).keys().copied().collect();
		assert_eq!(known, [one.id]);
	}

	#[test]
	fn a_key_is_bound_to_its_models() {
		let dir = tempdir().unwrap();
		let mut key = create(&file(&dir), Wanted::named("a")).unwrap().key;
		assert!(key.may_use("shapes", 1) && key.may(Scope::Submit));
		key.models = Some(vec!["shapes".into(), "7".into()]);
		key.scopes = [Scope::Read].into();
		assert!(key.may_use("shapes", 1) && !key.may_use("shapes2", 2) && !key.may_use("", 3));
		assert!(key.may(Scope::Read) && !key.may(Scope::Submit));

		// A later model that is called shapes, too, goes by its number.
		assert!(!key.may_use("4", 4));
		assert!(key.may_use("7", 7) && key.may_use("circles", 7) && !key.may_use("circles", 8));
		// What is beyond all numbers means nothing.
		key.models = Some(vec!["4294967303".into()]);
		assert!(!key.may_use("7", 7) && !key.may_use("shapes", 1));
	}

	#[test]
	fn a_log_shows_no_signing_secret() {
		let dir = tempdir().unwrap();
		let webhook = Some("https://example.org/hook".into());
		let made = create(&file(&dir), Wanted { webhook, ..Wanted::named("a") }).unwrap();
		let shown = format!("{:?}", made.key);
		assert!(shown.contains("example.org") && !shown.contains("whsec"), "{shown}");
	}
}
