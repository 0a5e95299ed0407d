//! How much room a disk has left, and the floor below which nothing new is accepted.
//!
//! Jobs that were accepted still need room: for their outputs, and for every change of theirs in the book. On a full disk the miners' work could not be
//! taken in, and what was paid for would be lost. So new jobs are refused while there is still room for the old ones.

use std::{
	io,
	path::{Path, PathBuf},
	sync::{Mutex, PoisonError},
	time::{Duration, Instant},
};

use rustix::fs::statvfs;

/// A disk is asked no more often than this.
const LOOK: Duration = Duration::from_secs(1);

/// How many bytes this user can still write to the filesystem that holds `path`, which must exist.
pub fn free(path: &Path) -> io::Result<u64> {
	let found = statvfs(path)?;
	Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// A disk has too little room for anything new.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{free} bytes are free on the disk of {}, and {least} must be", .path.display())]
pub struct Full {
	/// What is on the disk.
	pub path: PathBuf,
	/// How many bytes are free.
	pub free: u64,
	/// How many must be.
	pub least: u64,
}

/// How much must be free on a disk.
#[derive(Debug)]
pub struct Floor {
	path: PathBuf,
	least: u64,
	seen: Mutex<Option<Seen>>,
}

/// What was found when the disk was looked at last.
#[derive(Debug)]
struct Seen {
	at: Instant,
	verdict: Result<(), Full>,
}

impl Floor {
	/// At least so many bytes must be free on the filesystem that holds this path; 0: any number will do.
	pub fn new(path: impl Into<PathBuf>, bytes: u64) -> Self {
		Self { path: path.into(), least: bytes, seen: Mutex::new(None) }
	}

	/// Whether there is room for something new, as of at most a second ago. A disk that does not say how much is free counts as one with room: whatever is
	/// written to it next fails with a better reason, or does not.
	pub fn check(&self) -> Result<(), Full> {
		self.check_at(Instant::now())
	}

	fn check_at(&self, now: Instant) -> Result<(), Full> {
		let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
		let was_full = match seen.as_ref() {
			Some(seen) if now.duration_since(seen.at) < LOOK => return seen.verdict.clone(),
			Some(seen) => seen.verdict.is_err(),
			None => false,
		};
		let verdict = self.look();
		match &verdict {
			Err(full) if !was_full => tracing::error!(%full, "no new jobs are accepted"),
			Ok(()) if was_full => {
				let path = self.path.display();
				tracing::info!(%path, "there is room again: new jobs are accepted");
			},
			_ => {},
		}
		*seen = Some(Seen { at: now, verdict: verdict.clone() });
		verdict
	}

	fn look(&self) -> Result<(), Full> {
		match free(&self.path) {
			Ok(free) if free < self.least => {
				Err(Full { path: self.path.clone(), free, least: self.least })
			},
			Ok(_) => Ok(()),
			Err(error) => {
				let path = self.path.display();
				tracing::warn!(%path, %error, "how much room a disk has cannot be found out");
				Ok(())
			},
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::error::ApiError;

	#[test]
	fn a_disk_with_less_than_the_floor_is_full() {
		let dir = tempfile::tempdir().unwrap();
		assert!(free(dir.path()).unwrap() > 0);
		assert_eq!(Floor::new(dir.path(), 0).check(), Ok(()));
		let full = Floor::new(dir.path(), u64::MAX).check().unwrap_err();
		assert_eq!((full.path.as_path(), full.least), (dir.path(), u64::MAX));
		assert!(full.to_string().contains(&full.free.to_string()), "{full}");

		let error = ApiError::from(full);
		assert_eq!((error.status.as_u16(), error.code), (503, "storage_full"));
		assert!(error.retry_after.is_some());
		assert!(!error.message.contains(&*dir.path().to_string_lossy()), "{}", error.message);
	}

	#[test]
	fn a_disk_is_looked_at_once_a_second() {
		let dir = tempfile::tempdir().unwrap();
		let floor = Floor::new(dir.path(), 0);
		let start = Instant::now();
		let full = Full { path: dir.path().into(), free: 1, least: 2 };
		*floor.seen.lock().unwrap() = Some(Seen { at: start, verdict: Err(full.clone()) });
		assert_eq!(floor.check_at(start), Err(full.clone()));
		assert_eq!(floor.check_at(start + Duration::from_millis(999)), Err(full));
		assert_eq!(floor.check_at(start + LOOK), Ok(()));
	}

	#[test]
	fn a_disk_that_does_not_say_counts_as_one_with_room() {
		let dir = tempfile::tempdir().unwrap();
		let nowhere = dir.path().join("nowhere");
		assert!(free(&nowhere).is_err());
		assert_eq!(Floor::new(nowhere, u64::MAX).check(), Ok(()));
	}
}
