//! Fetching a model: every byte is hashed while it comes, and nothing is used before all of it is right.
//!
//! ```text
//! STORE/.pull-MANIFEST/parts/HASH   what has come of a file, to go on from after a cut
//! STORE/.pull-MANIFEST/files/PATH   files whose hash is right
//! STORE/NAME                        all of them, once the last is there
//! ```

use std::{
	fs::{self, File, OpenOptions, TryLockError},
	io::{self, Seek, Write},
	path::{Path, PathBuf},
	time::Duration,
};

use cuckoo_client::plain;
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};
use sp_core::H256;
use sp_crypto_hashing::blake2_256;

use super::source::Source;
use crate::model::{ensure_plain, parse, sha256, Model, ModelError, MAX_SUMS_BYTES, SUMS};

/// What the folder of a model that is not complete yet begins with.
pub(super) const UNFINISHED: &str = ".pull-";
/// In it, what tells that somebody is at it.
const LOCK: &str = "lock";

/// Why a model did not come. Says what to do about it.
#[derive(Debug, thiserror::Error)]
pub(super) enum PullError {
	/// It comes from nowhere.
	#[error("--from {0:?} is neither an http or https address nor a folder")]
	Source(String),
	/// This machine's disk.
	#[error("cannot use {}: {reason}", .path.display())]
	Disk {
		/// The file or folder.
		path: PathBuf,
		/// What the system says.
		reason: String,
	},
	/// Not all of a file came.
	#[error("{from}: {reason}; what has come is kept, the same command goes on from there")]
	Cut {
		/// The file.
		from: String,
		/// What happened.
		reason: String,
	},
	/// The file is not there, or not for everybody.
	#[error("{from}: the server answered {status}; check --from, SHA256SUMS and all files it lists must lie below it")]
	Refused {
		/// The file.
		from: String,
		/// The HTTP status.
		status: u16,
	},
	/// More bytes than there may be.
	#[error("{file}: with it the model has more than {limit} bytes; if it is that large, raise --max-bytes")]
	TooLarge {
		/// The file.
		file: String,
		/// How many there may be in all.
		limit: u64,
	},
	/// The bytes are others than they should be.
	#[error("{file}: SHA-256 is {found}, SHA256SUMS says {expected}; whoever serves it has to put it right")]
	WrongHash {
		/// The file.
		file: String,
		/// The listed hash.
		expected: String,
		/// That of what came.
		found: String,
	},
	/// Files of another model.
	#[error("{from} has the hash {found:?}, the model's manifest is {expected:?}: these are another model's files")]
	OtherModel {
		/// The list of files.
		from: String,
		/// The manifest.
		expected: H256,
		/// The list's hash.
		found: H256,
	},
	/// What the folder would be called is the name of something else.
	#[error("{} is there and is not this model ({reason}): give another --name, or remove it with `miner-client models rm`", .path.display())]
	Taken {
		/// Where.
		path: PathBuf,
		/// What is wrong with it.
		reason: ModelError,
	},
	/// Another process is at it.
	#[error("another miner-client is fetching this model: wait for it")]
	Busy,
	/// The list of files, or a file in it, is no good.
	#[error(transparent)]
	Model(#[from] ModelError),
}

impl PullError {
	pub(super) fn disk(path: &Path, error: &io::Error) -> Self {
		Self::Disk { path: path.into(), reason: error.to_string() }
	}
}

/// How much may come, and how patiently it is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
	/// Bytes of all files together.
	pub(super) max_bytes: u64,
	/// How often in a row a file may be cut short before a further byte of it comes.
	pub(super) attempts: u32,
	/// How long to wait after that.
	pub(super) pause: Duration,
}

/// Fetches the model with this manifest into a folder of this name, and returns the folder. Does nothing if it is there.
pub(super) async fn pull(
	store: &Path,
	name: &str,
	manifest: H256,
	source: &Source,
	limits: Limits,
) -> Result<PathBuf, PullError> {
	let target = store.join(name);
	if target.exists() {
		return match Model::verify(&target).and_then(|model| model.expect(manifest)) {
			Ok(()) => Ok(target),
			Err(reason) => Err(PullError::Taken { path: target, reason }),
		};
	}
	let work = store.join(format!("{UNFINISHED}{}", hex::encode(manifest)));
	let (parts, files) = (work.join("parts"), work.join("files"));
	for folder in [&parts, &files] {
		fs::create_dir_all(folder).map_err(|error| PullError::disk(folder, &error))?;
	}
	let lock = lock(&work)?;

	let sums = sums(source, manifest).await?;
	let text = std::str::from_utf8(&sums).map_err(|error| ModelError::NoSums {
		path: source.name(SUMS).into(),
		reason: error.to_string(),
	})?;
	let listed = parse(text)?;
	// All of them before the first byte is written.
	listed.keys().try_for_each(|file| ensure_plain(file))?;
	let mut pull = Pull { source, limits, parts, files: files.clone(), left: limits.max_bytes };
	for (file, hash) in &listed {
		pull.file(file, hash).await?;
	}
	let list = files.join(SUMS);
	fs::write(&list, &sums).map_err(|error| PullError::disk(&list, &error))?;
	// What counts is what lies on the disk, and that nothing else lies beside it.
	Model::verify(&files)?.expect(manifest)?;
	fs::rename(&files, &target).map_err(|error| PullError::disk(&target, &error))?;
	drop(lock);
	fs::remove_dir_all(&work).map_err(|error| PullError::disk(&work, &error))?;
	Ok(target)
}

/// Keeps others from fetching into this folder, until the file is dropped.
pub(super) fn lock(work: &Path) -> Result<File, PullError> {
	let path = work.join(LOCK);
	let file = File::create(&path).map_err(|error| PullError::disk(&path, &error))?;
	match file.try_lock() {
		Ok(()) => Ok(file),
		Err(TryLockError::WouldBlock) => Err(PullError::Busy),
		Err(TryLockError::Error(error)) => Err(PullError::disk(&path, &error)),
	}
}

/// The list of the model's files, which is the one thing that its manifest vouches for.
async fn sums(source: &Source, manifest: H256) -> Result<Vec<u8>, PullError> {
	let from = source.name(SUMS);
	let mut opened = source.open(SUMS, 0).await?;
	let (mut sums, mut piece) = (Vec::new(), Vec::new());
	loop {
		let next = opened.next(&mut piece).await;
		next.map_err(|reason| PullError::Cut { from: from.clone(), reason })?;
		if piece.is_empty() {
			break;
		}
		if (sums.len() + piece.len()) as u64 > MAX_SUMS_BYTES {
			let reason = format!("it has more than {MAX_SUMS_BYTES} bytes");
			return Err(ModelError::NoSums { path: from.into(), reason }.into());
		}
		sums.extend_from_slice(&piece);
	}
	let found = H256::from(blake2_256(&sums));
	if found != manifest {
		return Err(PullError::OtherModel { from, expected: manifest, found });
	}
	Ok(sums)
}

/// A model on its way.
struct Pull<'a> {
	source: &'a Source,
	limits: Limits,
	parts: PathBuf,
	files: PathBuf,
	/// How many bytes may still come.
	left: u64,
}

/// What has come of a file.
struct Part {
	file: File,
	hash: Sha256,
	bytes: u64,
}

impl Pull<'_> {
	/// Fetches a file, unless it is there.
	async fn file(&mut self, name: &str, expected: &str) -> Result<(), PullError> {
		let (whole, part) = (self.files.join(name), self.parts.join(expected));
		if whole.is_file() {
			let found = sha256(&whole).map_err(|error| PullError::disk(&whole, &error))?;
			if found == expected {
				return self.take(name, size(&whole));
			}
		}
		let bar = bar(name);
		let (mut cuts, mut most) = (0, 0);
		let bytes = loop {
			let before = size(&part);
			match self.attempt(name, expected, &part, &bar).await {
				Ok(bytes) => break bytes,
				Err(PullError::Cut { from, reason }) => {
					// Whatever gets on may be cut short as often as it likes.
					if size(&part) > most {
						(cuts, most) = (0, size(&part));
					} else {
						cuts += 1;
					}
					if cuts >= self.limits.attempts {
						return Err(PullError::Cut { from, reason });
					}
					tracing::warn!(from, reason, "cut short; going on from there");
					tokio::time::sleep(self.limits.pause).await;
				},
				// What was here before may be at fault: once more, from nothing.
				Err(PullError::WrongHash { .. }) if before > 0 => most = 0,
				Err(error) => return Err(error),
			}
		};
		bar.finish_and_clear();
		if let Some(folder) = whole.parent() {
			fs::create_dir_all(folder).map_err(|error| PullError::disk(folder, &error))?;
		}
		fs::rename(&part, &whole).map_err(|error| PullError::disk(&whole, &error))?;
		tracing::info!(file = name, bytes, "fetched");
		self.take(name, bytes)
	}

	/// Counts the bytes of a file that is there.
	fn take(&mut self, file: &str, bytes: u64) -> Result<(), PullError> {
		self.left = self.left.checked_sub(bytes).ok_or_else(|| self.too_large(file))?;
		Ok(())
	}

	fn too_large(&self, file: &str) -> PullError {
		PullError::TooLarge { file: file.into(), limit: self.limits.max_bytes }
	}

	/// Fetches what is missing of a file into its part, and returns how many bytes it has. What is too much or wrong is not kept.
	async fn attempt(
		&self,
		name: &str,
		expected: &str,
		path: &Path,
		bar: &ProgressBar,
	) -> Result<u64, PullError> {
		let disk = |error: io::Error| PullError::disk(path, &error);
		let mut part = Part::open(path).map_err(disk)?;
		if part.bytes > 0 && part.hex() == expected {
			return Ok(part.bytes);
		}
		let mut opened = self.source.open(name, part.bytes).await?;
		if opened.from != part.bytes {
			part.empty().map_err(disk)?;
		}
		if let Some(rest) = opened.rest {
			let size = part.bytes.saturating_add(rest);
			self.ensure_room(name, size, path)?;
			bar.set_length(size);
		}
		let mut piece = Vec::new();
		loop {
			let next = opened.next(&mut piece).await;
			next.map_err(|reason| PullError::Cut { from: self.source.name(name), reason })?;
			if piece.is_empty() {
				break;
			}
			self.ensure_room(name, part.bytes.saturating_add(piece.len() as u64), path)?;
			part.add(&piece).map_err(disk)?;
			bar.set_position(part.bytes);
		}
		part.file.sync_all().map_err(disk)?;
		let found = part.hex();
		if found == expected {
			return Ok(part.bytes);
		}
		fs::remove_file(path).map_err(disk)?;
		Err(PullError::WrongHash { file: name.into(), expected: expected.into(), found })
	}

	/// Fails, and removes the part, if the file has more bytes than may still come.
	fn ensure_room(&self, name: &str, bytes: u64, part: &Path) -> Result<(), PullError> {
		if bytes <= self.left {
			return Ok(());
		}
		fs::remove_file(part).map_err(|error| PullError::disk(part, &error))?;
		Err(self.too_large(name))
	}
}

impl Part {
	/// Opens it, and takes in what is there.
	fn open(path: &Path) -> io::Result<Self> {
		let mut how = OpenOptions::new();
		let mut file = how.read(true).write(true).create(true).truncate(false).open(path)?;
		let mut hash = Sha256::new();
		let bytes = io::copy(&mut file, &mut hash)?;
		Ok(Self { file, hash, bytes })
	}

	/// Begins anew.
	fn empty(&mut self) -> io::Result<()> {
		self.file.set_len(0)?;
		self.file.rewind()?;
		(self.hash, self.bytes) = (Sha256::new(), 0);
		Ok(())
	}

	fn add(&mut self, piece: &[u8]) -> io::Result<()> {
		self.file.write_all(piece)?;
		self.hash.update(piece);
		self.bytes += piece.len() as u64;
		Ok(())
	}

	/// The hash of what is there.
	fn hex(&self) -> String {
		hex::encode(self.hash.clone().finalize())
	}
}

/// How many bytes a file has; 0 if there is none.
fn size(path: &Path) -> u64 {
	fs::metadata(path).map_or(0, |found| found.len())
}

/// A bar that tells how much of a file is there. Draws nothing where standard error is no terminal.
fn bar(name: &str) -> ProgressBar {
	let template = "{msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
	let style = ProgressStyle::with_template(template);
	let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
	ProgressBar::no_length().with_style(style).with_message(plain::line(name))
}

#[cfg(test)]
mod tests;
