//! What lies in the model store.

use std::{
	fs, io,
	path::{Path, PathBuf},
};

use anyhow::{ensure, Context, Result};
use cuckoo_primitives::views::ModelView;
use serde::Serialize;
use sp_core::H256;
use sp_crypto_hashing::blake2_256;

use super::{
	configured,
	pull::{lock, PullError, UNFINISHED},
};
use crate::{
	config::Config,
	model::{MAX_SUMS_BYTES, SUMS},
};

/// A folder in the store.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Entry {
	/// Its name.
	pub(super) name: String,
	/// Where it is.
	pub(super) path: PathBuf,
	/// What its list of files says it is; none if there is no such list. Only hashing all files shows that it is true.
	pub(super) manifest: Option<H256>,
	/// What its files have together.
	pub(super) bytes: u64,
	/// Whether the miner is to serve it.
	pub(super) configured: bool,
	/// Whether it is a download that was not finished.
	pub(super) unfinished: bool,
}

impl Entry {
	fn look(path: PathBuf, configured: &[PathBuf]) -> io::Result<Self> {
		let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
		let real = path.canonicalize()?;
		Ok(Self {
			manifest: manifest(&path),
			bytes: bytes_in(&path)?,
			configured: configured.iter().any(|dir| dir.starts_with(&real)),
			unfinished: name.starts_with(UNFINISHED),
			name,
			path,
		})
	}

	/// The model on chain that this is, an active one before others.
	pub(super) fn on_chain<'a>(&self, views: &'a [ModelView]) -> Option<&'a ModelView> {
		let manifest = self.manifest?;
		let mut same = views.iter().filter(|view| view.manifest == manifest);
		same.clone().find(|view| view.active).or_else(|| same.next())
	}

	/// Removes the folder, unless somebody is fetching into it.
	pub(super) fn remove(&self) -> Result<()> {
		let failed = || format!("cannot remove {}", self.path.display());
		let _held = match self.unfinished.then(|| lock(&self.path)).transpose() {
			Err(PullError::Busy) => return Err(PullError::Busy).with_context(failed),
			// Whatever else is wrong with it, it is to go.
			held => held.ok(),
		};
		fs::remove_dir_all(&self.path).with_context(failed)
	}
}

/// The store, looked through.
pub(super) struct Shelf {
	/// Where it is.
	pub(super) store: PathBuf,
	/// Its folders, in the order of their names.
	pub(super) entries: Vec<Entry>,
}

impl Shelf {
	/// Looks through the store; one that is not there is empty.
	pub(super) fn open(config: &Config) -> Result<Self> {
		let store = config.store();
		Self::look(&store, &configured(config))
			.with_context(|| format!("cannot read the model store {}", store.display()))
	}

	fn look(store: &Path, configured: &[PathBuf]) -> io::Result<Self> {
		let mut entries = Vec::new();
		let found = match fs::read_dir(store) {
			Err(error) if error.kind() == io::ErrorKind::NotFound => None,
			found => Some(found?),
		};
		for entry in found.into_iter().flatten() {
			let path = entry?.path();
			let hidden =
				path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
			let unfinished =
				path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED));
			// `lost+found` of a disk of its own, say.
			let readable = fs::read_dir(&path).is_ok();
			if path.is_dir() && readable && (unfinished || !hidden) {
				entries.push(Entry::look(path, configured)?);
			}
		}
		entries.sort_by(|a, b| a.name.cmp(&b.name));
		Ok(Self { store: store.into(), entries })
	}

	/// Those with these names or manifests.
	pub(super) fn choose(&self, names: &[String]) -> Result<Vec<&Entry>> {
		let mut chosen = Vec::new();
		for name in names {
			let wanted = |entry: &&Entry| {
				entry.name == *name || entry.manifest.is_some_and(|m| format!("{m:?}") == *name)
			};
			let mut found = self.entries.iter().filter(wanted).peekable();
			ensure!(
				found.peek().is_some(),
				"{name} is not in the model store {}; `miner-client models ls` lists what is",
				self.store.display()
			);
			chosen.extend(found);
		}
		Ok(chosen)
	}

	/// All but unfinished downloads.
	pub(super) fn complete(&self) -> Vec<&Entry> {
		self.entries.iter().filter(|entry| !entry.unfinished).collect()
	}

	/// Those that nobody will miss: neither configured, nor among the active ones of these models.
	pub(super) fn dispensable(&self, models: &[ModelView]) -> Vec<&Entry> {
		let active = |entry: &Entry| entry.on_chain(models).is_some_and(|view| view.active);
		self.entries.iter().filter(|entry| !entry.configured && !active(entry)).collect()
	}
}

/// The hash of a folder's list of files, if it has one that can be right.
fn manifest(dir: &Path) -> Option<H256> {
	let list = dir.join(SUMS);
	if fs::metadata(&list).ok()?.len() > MAX_SUMS_BYTES {
		return None;
	}
	Some(blake2_256(&fs::read(list).ok()?).into())
}

/// What all files in a folder have together. Links are not followed.
fn bytes_in(dir: &Path) -> io::Result<u64> {
	let mut sum = 0u64;
	for entry in fs::read_dir(dir)? {
		let entry = entry?;
		let found = entry.metadata()?;
		sum = sum.saturating_add(match found.is_dir() {
			true => bytes_in(&entry.path())?,
			false => found.len(),
		});
	}
	Ok(sum)
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::{model::tests::folder, store::tests::view};

	/// A store with a model that is configured, one that is not, and a download that was not finished.
	fn store() -> (tempfile::TempDir, Shelf) {
		let store = tempfile::tempdir().unwrap();
		for (name, bytes) in [("served", &b"graph"[..]), ("spare", &b"another"[..])] {
			let model = folder(&[("unet/model.onnx", bytes)]);
			fs::rename(model.path(), store.path().join(name)).unwrap();
		}
		fs::create_dir_all(store.path().join(".pull-01/parts")).unwrap();
		fs::write(store.path().join(".pull-01/parts/x"), b"123").unwrap();
		fs::create_dir(store.path().join(".other")).unwrap();
		fs::write(store.path().join("notes.txt"), b"no folder").unwrap();
		let served = store.path().join("served").canonicalize().unwrap();
		let shelf = Shelf::look(store.path(), &[served]).unwrap();
		(store, shelf)
	}

	fn names(entries: &[&Entry]) -> Vec<String> {
		entries.iter().map(|entry| entry.name.clone()).collect()
	}

	#[test]
	fn a_store_is_its_folders() {
		let (_store, shelf) = store();
		let all: Vec<&Entry> = shelf.entries.iter().collect();
		assert_eq!(names(&all), [".pull-01", "served", "spare"]);
		assert_eq!((all[0].bytes, all[0].manifest), (3, None));
		assert!(all[1].configured && !all[2].configured);
		let sums = fs::read(all[1].path.join(SUMS)).unwrap();
		assert_eq!(all[1].manifest, Some(blake2_256(&sums).into()));
		assert_eq!(all[1].bytes, sums.len() as u64 + 5);
		assert_eq!(names(&shelf.complete()), ["served", "spare"]);
		let none = Shelf::look(Path::new("/nowhere/models"), &[]).unwrap();
		assert!(none.entries.is_empty());
	}

	#[test]
	fn models_are_chosen_by_name_or_manifest() {
		let (_store, shelf) = store();
		let manifest = format!("{:?}", shelf.entries[2].manifest.unwrap());
		let chosen = shelf.choose(&["served".into(), manifest]).unwrap();
		assert_eq!(names(&chosen), ["served", "spare"]);
		let error = shelf.choose(&["../served".into()]).unwrap_err().to_string();
		assert!(error.contains("models ls"), "{error}");
	}

	#[test]
	fn what_is_served_or_active_stays() {
		let (_store, shelf) = store();
		assert_eq!(names(&shelf.dispensable(&[])), [".pull-01", "spare"]);
		let manifest = shelf.entries[2].manifest.unwrap();
		let mut views = [view(0, "spare", manifest, false), view(1, "spare", manifest, true)];
		assert_eq!(names(&shelf.dispensable(&views)), [".pull-01"]);
		assert_eq!(shelf.entries[2].on_chain(&views).unwrap().model, 1);
		views[1].active = false;
		assert_eq!(names(&shelf.dispensable(&views)), [".pull-01", "spare"]);
	}

	#[test]
	fn a_folder_goes_unless_somebody_fetches_into_it() {
		let (store, shelf) = store();
		let unfinished = &shelf.entries[0];
		let held = lock(&unfinished.path).unwrap();
		let error = format!("{:#}", unfinished.remove().unwrap_err());
		assert!(error.contains("another miner-client"), "{error}");
		drop(held);
		unfinished.remove().unwrap();
		shelf.entries[2].remove().unwrap();
		assert!(!store.path().join(".pull-01").exists() && !store.path().join("spare").exists());
		assert!(store.path().join("served/unet/model.onnx").exists());
	}

	#[cfg(unix)]
	#[test]
	fn a_linked_folder_is_taken_away_without_what_it_leads_to() {
		let (store, _) = store();
		let elsewhere = folder(&[("model.onnx", b"graph")]);
		std::os::unix::fs::symlink(elsewhere.path(), store.path().join("link")).unwrap();
		let shelf = Shelf::look(store.path(), &[]).unwrap();
		shelf.choose(&["link".into()]).unwrap()[0].remove().unwrap();
		assert!(!store.path().join("link").exists());
		assert!(elsewhere.path().join("model.onnx").exists());
	}
}
