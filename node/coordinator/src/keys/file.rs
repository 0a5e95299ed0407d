//! The file of the keys: read by the coordinator, changed by the commands.

use std::{
	collections::BTreeSet,
	fs::{self, File, Metadata, TryLockError},
	io::{self, Read, Write},
	os::unix::fs::{fchown, MetadataExt, OpenOptionsExt},
	path::Path,
	thread,
	time::{Duration, Instant},
};

use anyhow::{anyhow, bail, ensure, Context};
use axum::http::Uri;
use base64::{
	engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
	Engine,
};
use cuckoo_primitives::Balance;
use rand::{rngs::OsRng, RngCore};
use serde::{Deserialize, Serialize};

use super::{hash_of, ApiKey, KeyId, Scope, Webhook, SECRET_PREFIX};
use crate::id::unix_now;

/// The name of the file in the data directory.
pub const FILE_NAME: &str = "api-keys.json";

/// How the file is laid out. Another version is not read: half understood, it could let in whom it should keep out.
const VERSION: u32 = 1;
/// The largest file that is read or written.
const MAX_FILE: u64 = 16 << 20;
/// The most keys, revoked ones included.
const MAX_KEYS: usize = 10_000;
/// The longest name of a key or of a model, in bytes.
const MAX_NAME: usize = 64;
/// The most models that a key is bound to.
const MAX_MODELS: usize = 64;
/// The longest address of a webhook, in bytes.
const MAX_URL: usize = 2_048;
/// How long a command waits for another one, which takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it tries.
const TRY: Duration = Duration::from_millis(10);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
	version: u32,
	keys: Vec<ApiKey>,
}

/// What changes when a file does: a new file has another inode, one that was written in place another time or length, one whose owner or mode was
/// changed another time of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
	modified: (i64, i64),
	changed: (i64, i64),
	length: u64,
	inode: (u64, u64),
	mode: u32,
}

impl Stamp {
	/// Of the file at this path; `None` if it is not there, or not to be seen.
	pub(super) fn of(path: &Path) -> Option<Self> {
		fs::metadata(path).ok().as_ref().map(Self::from)
	}

	/// Whether others on this machine may read or write the file.
	pub(super) fn is_open_to_others(&self) -> bool {
		self.mode & 0o077 != 0
	}
}

impl From<&Metadata> for Stamp {
	fn from(found: &Metadata) -> Self {
		Self {
			modified: (found.mtime(), found.mtime_nsec()),
			changed: (found.ctime(), found.ctime_nsec()),
			length: found.len(),
			inode: (found.dev(), found.ino()),
			mode: found.mode(),
		}
	}
}

/// The keys in a file, and what to know it by; `None` if there is no file.
pub(super) fn read(path: &Path) -> anyhow::Result<Option<(Vec<ApiKey>, Stamp)>> {
	let shown = path.display();
	let cannot = || format!("cannot read {shown}: is this the user that runs the coordinator?");
	let file = match File::open(path) {
		Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
		opened => opened.with_context(cannot)?,
	};
	// Of the open file, so that it is what is read even if another takes its name meanwhile; and before it is read, so that a later change shows.
	let stamp = Stamp::from(&file.metadata().with_context(cannot)?);
	let mut text = Vec::new();
	file.take(MAX_FILE + 1).read_to_end(&mut text).with_context(cannot)?;
	ensure!(text.len() as u64 <= MAX_FILE, "{shown} has more than {} MiB", MAX_FILE >> 20);
	// Where the mistake is and not what it is: that would quote the file, in which there are secrets of webhooks.
	let found: KeyFile = serde_json::from_slice(&text).map_err(|error| {
		anyhow!(
			"{shown} is no file of API keys: see line {}, column {}",
			error.line(),
			error.column()
		)
	})?;
	ensure!(
		found.version == VERSION,
		"{shown} has version {}, this program reads version {VERSION}: use the program that wrote it",
		found.version
	);
	check(&found.keys).with_context(|| format!("{shown} is no file of API keys"))?;
	Ok(Some((found.keys, stamp)))
}

/// What would make two keys one, or a limit none.
fn check(keys: &[ApiKey]) -> anyhow::Result<()> {
	ensure!(keys.len() <= MAX_KEYS, "it holds more than {MAX_KEYS} keys");
	let (mut ids, mut hashes) = (BTreeSet::new(), BTreeSet::new());
	for key in keys {
		ensure!(ids.insert(key.id), "it holds {} twice", key.id);
		ensure!(hashes.insert(key.hash), "the hash of {} is another key's too", key.id);
		ensure!(key.per_minute != Some(0), "{} has a limit of no requests at all", key.id);
	}
	Ok(())
}

/// What a key is to be.
#[derive(Clone, Debug)]
pub struct Wanted {
	/// What people call it.
	pub name: String,
	/// What it may do.
	pub scopes: BTreeSet<Scope>,
	/// The only models that it may use, by name or by number.
	pub models: Option<Vec<String>>,
	/// All that it may ever spend, in planck.
	pub budget: Option<Balance>,
	/// How many requests a minute it may make.
	pub per_minute: Option<u32>,
	/// Where to tell of its jobs.
	pub webhook: Option<String>,
}

impl Wanted {
	/// A key of this name that may do anything.
	pub fn named(name: impl Into<String>) -> Self {
		Self {
			name: name.into(),
			scopes: Scope::ALL.into(),
			models: None,
			budget: None,
			per_minute: None,
			webhook: None,
		}
	}

	fn check(&self) -> anyhow::Result<()> {
		check_name("the name of a key", &self.name)?;
		ensure!(!self.scopes.is_empty(), "a key without a scope is good for nothing: give one");
		ensure!(
			self.per_minute != Some(0),
			"a key that may ask 0 times a minute is good for nothing"
		);
		if let Some(models) = &self.models {
			let many = models.len();
			ensure!(
				(1..=MAX_MODELS).contains(&many),
				"a key can be bound to 1 to {MAX_MODELS} models, not to {many}"
			);
			for model in models {
				check_name("the name or number of a model", model)?;
			}
		}
		self.webhook.as_deref().map_or(Ok(()), check_url)
	}
}

fn check_name(what: &str, name: &str) -> anyhow::Result<()> {
	ensure!(!name.trim().is_empty(), "{what} is empty");
	ensure!(name.len() <= MAX_NAME, "{what} has {} bytes, at most {MAX_NAME} fit", name.len());
	ensure!(!name.contains(char::is_control), "{what} holds a control character: {name:?}");
	Ok(())
}

/// Whether the address leads anywhere that it may is seen when something is sent there: names change what they stand for.
fn check_url(url: &str) -> anyhow::Result<()> {
	let example = "expected an address like https://example.org/hook";
	ensure!(url.len() <= MAX_URL, "the webhook's address has more than {MAX_URL} bytes");
	let uri = url.parse::<Uri>().with_context(|| format!("not a webhook: {url:?}; {example}"))?;
	let host = uri.host().is_some_and(|host| !host.is_empty());
	ensure!(
		host && matches!(uri.scheme_str(), Some("http" | "https")),
		"not a webhook: {url:?}; {example}"
	);
	let user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
	ensure!(
		!user && !url.contains('#'),
		"a webhook's address has neither a user nor a #fragment: messages are signed instead; {example}"
	);
	Ok(())
}

/// A key that was made.
pub struct Made {
	/// As it is kept.
	pub key: ApiKey,
	/// Its secret, which is nowhere else.
	pub secret: String,
	/// It is the only one: until now none was needed.
	pub first: bool,
}

/// Makes a key and writes it to the file, whose folder must exist.
pub fn create(path: &Path, wanted: Wanted) -> anyhow::Result<Made> {
	wanted.check()?;
	let secret = format!("{SECRET_PREFIX}{}", URL_SAFE_NO_PAD.encode(random()));
	let webhook = wanted.webhook.map(|url| {
		let secret = format!("whsec_{}", STANDARD.encode(random()));
		Webhook { url, secret }
	});
	change(path, |keys| {
		let first = keys.is_empty();
		make_room(keys)?;
		let mut id = KeyId(OsRng.next_u64());
		while keys.iter().any(|key| key.id == id) {
			id = KeyId(OsRng.next_u64());
		}
		let key = ApiKey {
			id,
			name: wanted.name,
			hash: hash_of(&secret),
			scopes: wanted.scopes,
			models: wanted.models,
			budget: wanted.budget,
			per_minute: wanted.per_minute,
			created: unix_now(),
			revoked: None,
			webhook,
		};
		keys.push(key.clone());
		Ok(Made { key, secret, first })
	})
}

/// Makes a key good for nothing from now on; it stays in the file, with the time. Returns it and how many are left that are good for something.
pub fn revoke(path: &Path, id: KeyId) -> anyhow::Result<(ApiKey, usize)> {
	let shown = path.display();
	// Not even a lock is left in a folder that has nothing to do with keys.
	ensure!(path.is_file(), "there is no {shown}: give the --data-dir of the coordinator");
	change(path, |keys| {
		let key = keys.iter_mut().find(|key| key.id == id).with_context(|| {
			format!("there is no {id} in {shown}: `cuckoo-coordinator api-key list` shows which there are")
		})?;
		key.revoked.get_or_insert_with(unix_now);
		let key = key.clone();
		Ok((key, keys.iter().filter(|key| key.revoked.is_none()).count()))
	})
}

/// The keys in a file, oldest first; none if there is no file.
pub fn list(path: &Path) -> anyhow::Result<Vec<ApiKey>> {
	Ok(read(path)?.map(|(keys, _)| keys).unwrap_or_default())
}

/// If no more keys fit, the one that was revoked first goes.
fn make_room(keys: &mut Vec<ApiKey>) -> anyhow::Result<()> {
	if keys.len() < MAX_KEYS {
		return Ok(());
	}
	let revoked = keys.iter().enumerate().filter_map(|(at, key)| Some((key.revoked?, at)));
	let (_, oldest) = revoked.min().with_context(|| {
		format!("there are {MAX_KEYS} keys and no more fit: revoke one that is not needed")
	})?;
	keys.remove(oldest);
	Ok(())
}

fn random() -> [u8; 32] {
	let mut bytes = [0; 32];
	OsRng.fill_bytes(&mut bytes);
	bytes
}

/// Changes the keys in a file: all of the change or, on an error, nothing. A file that cannot be read is left as it is.
fn change<T>(
	path: &Path,
	change: impl FnOnce(&mut Vec<ApiKey>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
	let _lock = lock(path)?;
	let mut keys = list(path)?;
	let outcome = change(&mut keys)?;
	write(path, keys)?;
	Ok(outcome)
}

/// Keeps other commands out for as long as the returned file is open. It is never removed: who waits for it would hold another than who comes next.
fn lock(keys: &Path) -> anyhow::Result<File> {
	let path = keys.with_extension("lock");
	let shown = path.display();
	let cannot = || format!("cannot use {shown}: run this as the user that runs the coordinator");
	// Only a new file is given away: by an existing one its name may lead to somebody else's.
	let file = match new_file(&path) {
		Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
			File::options().write(true).open(&path)
		},
		made => made,
	};
	let file = file.with_context(cannot)?;
	let end = Instant::now() + PATIENCE;
	loop {
		match file.try_lock() {
			Ok(()) => return Ok(file),
			Err(TryLockError::WouldBlock) if Instant::now() < end => thread::sleep(TRY),
			Err(TryLockError::WouldBlock) => bail!(
				"another command has held {shown} for {} s: wait until it has ended, then repeat this one",
				PATIENCE.as_secs()
			),
			Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
		}
	}
}

/// Writes the file anew, so that nobody ever sees half of it, and a crash leaves the old or the new one.
fn write(path: &Path, keys: Vec<ApiKey>) -> anyhow::Result<()> {
	let mut text = serde_json::to_vec_pretty(&KeyFile { version: VERSION, keys })?;
	text.push(b'\n');
	ensure!(
		text.len() as u64 <= MAX_FILE,
		"the keys would fill more than {} MiB: bind fewer of them to long lists of models",
		MAX_FILE >> 20
	);
	let new = path.with_extension("json.new");
	let replace = || {
		// What a command that was killed may have left.
		match fs::remove_file(&new) {
			Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
			_ => {},
		}
		let mut file = new_file(&new)?;
		file.write_all(&text)?;
		file.sync_all()?;
		fs::rename(&new, path)?;
		File::open(folder(path))?.sync_all()
	};
	replace().with_context(|| {
		format!(
			"cannot write {}: is there space, and is this the user that runs the coordinator?",
			path.display()
		)
	})
}

/// A new file that nobody else can read. It belongs to whom its folder belongs to: what a command made as root the coordinator could not read.
fn new_file(path: &Path) -> io::Result<File> {
	let file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
	let owner = fs::metadata(folder(path))?;
	if file.metadata()?.uid() != owner.uid() {
		fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
	}
	Ok(file)
}

fn folder(path: &Path) -> &Path {
	path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
	use super::*;
	use std::{
		os::unix::fs::{chown, PermissionsExt},
		path::PathBuf,
	};
	use tempfile::{tempdir, TempDir};

	fn file(dir: &TempDir) -> PathBuf {
		dir.path().join(FILE_NAME)
	}

	fn hooked() -> Wanted {
		let webhook = Some("https://example.org/hook".into());
		Wanted {
			models: Some(vec!["shapes".into()]),
			budget: Some(u128::MAX),
			webhook,
			..Wanted::named("shop")
		}
	}

	fn refused(path: &Path, wanted: Wanted) -> String {
		format!("{:#}", create(path, wanted).err().unwrap())
	}

	#[test]
	fn a_key_is_read_back_and_its_secret_is_nowhere_in_the_file() {
		let dir = tempdir().unwrap();
		let path = file(&dir);
		let made = create(&path, hooked()).unwrap();
		assert!(made.first && made.secret.len() == 46, "{}", made.secret.len());
		assert!(!create(&path, Wanted::named("other")).unwrap().first);
		let listed = list(&path).unwrap();
		assert_eq!((&listed[0], listed.len()), (&made.key, 2));
		assert_eq!(listed[0].hash, hash_of(&made.secret));

		let text = fs::read_to_string(&path).unwrap();
		assert!(!text.contains(&made.secret) && !text.contains(&made.secret[3..]));
		// Amounts beyond 2^53 are exact.
		assert!(text.contains(&format!("\"budget\": \"{}\"", u128::MAX)), "{text}");
		let webhook = made.key.webhook.unwrap().secret;
		let signing = STANDARD.decode(webhook.strip_prefix("whsec_").unwrap()).unwrap();
		assert!((24..=64).contains(&signing.len()));
	}

	#[test]
	fn the_file_is_its_owners_alone() {
		let dir = tempdir().unwrap();
		let path = file(&dir);
		create(&path, Wanted::named("a")).unwrap();
		fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
		assert!(Stamp::of(&path).unwrap().is_open_to_others());
		create(&path, Wanted::named("b")).unwrap();
		for path in [&path, &path.with_extension("lock")] {
			assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
		}
		assert!(!Stamp::of(&path).unwrap().is_open_to_others());
	}

	#[test]
	fn what_root_makes_belongs_to_whom_the_folder_belongs_to() {
		let dir = tempdir().unwrap();
		// Only root can try this.
		if chown(dir.path(), Some(1_234), Some(1_234)).is_err() {
			return;
		}
		create(&file(&dir), Wanted::named("a")).unwrap();
		for path in [file(&dir), file(&dir).with_extension("lock")] {
			assert_eq!(fs::metadata(path).unwrap().uid(), 1_234);
		}
	}

	#[test]
	fn commands_at_the_same_time_lose_nothing() {
		let dir = tempdir().unwrap();
		let path = file(&dir);
		let first = create(&path, Wanted::named("first")).unwrap().key.id;
		thread::scope(|scope| {
			for worker in 0..4 {
				let path = &path;
				scope.spawn(move || {
					for number in 0..5 {
						create(path, Wanted::named(format!("{worker}.{number}"))).unwrap();
					}
				});
			}
			scope.spawn(|| revoke(&path, first).unwrap());
		});
		let keys = list(&path).unwrap();
		let names: BTreeSet<_> = keys.iter().map(|key| key.name.as_str()).collect();
		assert_eq!((keys.len(), names.len()), (21, 21));
		assert!(keys[0].revoked.is_some() && keys[0].id == first);
	}

	#[test]
	fn a_key_is_revoked_once_and_stays_in_the_file() {
		let dir = tempdir().unwrap();
		let path = file(&dir);
		let nowhere = format!("{:#}", revoke(&path, KeyId(1)).unwrap_err());
		assert!(
			nowhere.contains("--data-dir") && !path.with_extension("lock").exists(),
			"{nowhere}"
		);
		let (one, other) = (
			create(&path, Wanted::named("one")).unwrap(),
			create(&path, Wanted::named("two")).unwrap(),
		);
		let (revoked, left) = revoke(&path, one.key.id).unwrap();
		assert_eq!(left, 1);
		let again = revoke(&path, one.key.id).unwrap();
		assert_eq!(again, (revoked.clone(), 1));
		assert_eq!(revoke(&path, other.key.id).unwrap().1, 0);
		assert_eq!(list(&path).unwrap()[0], revoked);
		let unknown = format!("{:#}", revoke(&path, KeyId(1)).unwrap_err());
		assert!(unknown.contains("api-key list"), "{unknown}");
	}

	#[test]
	fn a_broken_file_is_neither_read_nor_overwritten() {
		let dir = tempdir().unwrap();
		let path = file(&dir);
		let made = create(&path, hooked()).unwrap();
		let good = fs::read_to_string(&path).unwrap();
		let twice = {
			let key = serde_json::to_value(&made.key).unwrap();
			serde_json::json!({ "version": 1, "keys": [key, key] }).to_string()
		};
		for bad in [
			String::new(),
			"{}".into(),
			good.replace("\"version\": 1", "\"version\": 2"),
			good.replace("\"created\"", "\"revokd\""),
			good.replace("key_", "kye_"),
			good[..good.len() / 2].into(),
			twice,
		] {
			fs::write(&path, &bad).unwrap();
			assert!(list(&path).is_err(), "{bad}");
			assert!(
				create(&path, Wanted::named("b")).is_err() && revoke(&path, made.key.id).is_err()
			);
			assert_eq!(fs::read_to_string(&path).unwrap(), bad);
		}
		fs::write(&path, vec![b' '; MAX_FILE as usize + 1]).unwrap();
		assert!(list(&path).unwrap_err().to_string().contains("16 MiB"));
	}

	#[test]
	fn what_is_said_of_a_broken_file_quotes_no_secret() {
		let dir = tempdir().unwrap();
		let path = file(&dir);
		create(&path, hooked()).unwrap();
		let good = fs::read_to_string(&path).unwrap();
		// The secret of the webhook where a number belongs, and as the name of a field.
		for (old, new) in
			[("\"version\": 1", "\"version\": \"whsec_abc\""), ("\"url\"", "\"whsec_abc\"")]
		{
			fs::write(&path, good.replace(old, new)).unwrap();
			let error = format!("{:#} {0:?}", list(&path).unwrap_err());
			assert!(!error.contains("whsec") && error.contains("line"), "{error}");
		}
	}

	#[test]
	fn what_a_killed_command_left_is_no_hindrance() {
		let dir = tempdir().unwrap();
		let path = file(&dir);
		create(&path, Wanted::named("a")).unwrap();
		let left = path.with_extension("json.new");
		fs::write(&left, "{\"version\": 1, \"ke").unwrap();
		create(&path, Wanted::named("b")).unwrap();
		assert_eq!(list(&path).unwrap().len(), 2);
		assert!(!left.exists());
	}

	#[test]
	fn a_key_that_makes_no_sense_is_not_made() {
		let dir = tempdir().unwrap();
		let path = file(&dir);
		for name in ["", " ", "a\nb", "x".repeat(MAX_NAME + 1).as_str()] {
			assert!(refused(&path, Wanted::named(name)).contains("name of a key"), "{name}");
		}
		let of = Wanted::named("a");
		refused(&path, Wanted { scopes: BTreeSet::new(), ..of.clone() });
		refused(&path, Wanted { per_minute: Some(0), ..of.clone() });
		refused(&path, Wanted { models: Some(Vec::new()), ..of.clone() });
		refused(&path, Wanted { models: Some(vec![String::new()]), ..of.clone() });
		let long = format!("https://example.org/{}", "x".repeat(MAX_URL));
		for url in [
			"",
			"example.org",
			"/hook",
			"ftp://example.org/",
			"file:///etc/passwd",
			"https://",
			"https://user:word@example.org/",
			"https://example.org/#part",
			"https://example.org/a b",
			long.as_str(),
		] {
			let error = refused(&path, Wanted { webhook: Some(url.into()), ..of.clone() });
			assert!(error.contains("webhook"), "{url}: {error}");
		}
		assert!(!path.exists());
		let local = Some("http://localhost:9000/hook?x=1".into());
		create(&path, Wanted { webhook: local, ..of }).unwrap();
	}

	#[test]
	fn the_file_does_not_grow_for_ever() {
		let dir = tempdir().unwrap();
		let key = create(&file(&dir), Wanted::named("a")).unwrap().key;
		let mut keys = vec![key; MAX_KEYS];
		assert!(make_room(&mut keys).is_err());
		keys[7].revoked = Some(20);
		keys[9].revoked = Some(10);
		keys[9].name = "revoked first".into();
		make_room(&mut keys).unwrap();
		assert_eq!(keys.len(), MAX_KEYS - 1);
		assert!(keys[7].revoked == Some(20) && keys.iter().all(|key| key.name == "a"));
	}
}
