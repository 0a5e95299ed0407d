//! A redb file that is written to again once there is room on the disk.
//!
//! redb gives up on a database whose file could not be written once, for as long as it is open. It has to be opened anew, which finds everything that was committed.

use std::{
	path::Path,
	sync::{
		atomic::{AtomicBool, Ordering::Relaxed},
		Mutex, PoisonError, RwLock,
	},
	time::{Duration, Instant},
};

use redb::{
	Database, DatabaseError, ReadTransaction, ReadableDatabase, StorageError, TransactionError,
	WriteTransaction,
};

type Opener = Box<dyn Fn() -> Result<Database, DatabaseError> + Send + Sync>;

/// Why a file cannot be used.
pub type StoreError = Box<redb::Error>;

/// So long a file is left alone after it was opened anew: that reads all of it, and a disk that is full stays full for a while.
const PAUSE: Duration = Duration::from_secs(5);

/// The file.
pub struct Store {
	open: Opener,
	/// None if it could not be opened again.
	db: RwLock<Option<Database>>,
	/// Whether it has to be opened anew.
	stale: AtomicBool,
	/// Whether the last write did not get to the disk.
	broken: AtomicBool,
	/// When it was opened anew last.
	opened: Mutex<Option<Instant>>,
	pause: Duration,
}

impl Store {
	/// Opens a file, or starts one.
	pub fn open(path: &Path) -> Result<Self, StoreError> {
		let path = path.to_owned();
		Self::with(Box::new(move || Database::create(&path)), PAUSE)
	}

	fn with(open: Opener, pause: Duration) -> Result<Self, StoreError> {
		let db = RwLock::new(Some(open().map_err(error)?));
		let (stale, broken) = (AtomicBool::new(false), AtomicBool::new(false));
		Ok(Self { open, db, stale, broken, opened: Mutex::default(), pause })
	}

	/// Whether what was to be written last is on the disk.
	pub fn works(&self) -> bool {
		!self.broken.load(Relaxed)
	}

	/// What was begun could not be read or written: the file is opened anew before the next is begun.
	pub fn fail(&self) {
		self.broken.store(true, Relaxed);
		self.stale.store(true, Relaxed);
	}

	/// Begins to read, as of now.
	pub fn read(&self) -> Result<ReadTransaction, StoreError> {
		self.begin(Database::begin_read)
	}

	/// Begins to write, once nobody else does.
	pub fn write(&self) -> Result<WriteTransaction, StoreError> {
		self.begin(Database::begin_write)
	}

	/// Writes to the disk, and returns when it is there.
	pub fn commit(&self, txn: WriteTransaction) -> Result<(), StoreError> {
		let done = txn.commit().map_err(error);
		match done {
			Ok(()) => self.broken.store(false, Relaxed),
			Err(_) => self.fail(),
		}
		done
	}

	fn begin<T>(
		&self,
		begin: impl Fn(&Database) -> Result<T, TransactionError>,
	) -> Result<T, StoreError> {
		for _ in 0..2 {
			if self.stale.load(Relaxed) {
				self.open_anew()?;
			}
			let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
			match db.as_ref().map(&begin) {
				Some(Ok(txn)) => return Ok(txn),
				Some(Err(TransactionError::Storage(StorageError::PreviousIo))) | None => {
					self.fail()
				},
				Some(Err(other)) => return Err(error(other)),
			}
		}
		Err(error(StorageError::PreviousIo))
	}

	fn open_anew(&self) -> Result<(), StoreError> {
		// Plain values: whoever panicked with a lock held has left nothing half done.
		let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
		if !self.stale.load(Relaxed) {
			// Somebody else was first.
			return Ok(());
		}
		if opened.is_some_and(|at| at.elapsed() < self.pause) {
			return Err(error(StorageError::PreviousIo));
		}
		*opened = Some(Instant::now());
		tracing::info!("a file that could not be used is opened anew");
		let mut db = self.db.write().unwrap_or_else(PoisonError::into_inner);
		// Closed first: the file is locked.
		*db = None;
		*db = Some((self.open)().map_err(error)?);
		self.stale.store(false, Relaxed);
		Ok(())
	}
}

fn error(error: impl Into<redb::Error>) -> StoreError {
	Box::new(error.into())
}

#[cfg(test)]
mod tests {
	use std::{io, sync::Arc};

	use redb::{Builder, StorageBackend, TableDefinition};

	use super::*;

	const NUMBERS: TableDefinition<u64, u64> = TableDefinition::new("numbers");

	/// A disk that can be full.
	#[derive(Clone, Debug, Default)]
	struct Disk {
		bytes: Arc<Mutex<Vec<u8>>>,
		full: Arc<AtomicBool>,
	}

	impl Disk {
		fn check(&self) -> io::Result<()> {
			match self.full.load(Relaxed) {
				true => Err(io::ErrorKind::StorageFull.into()),
				false => Ok(()),
			}
		}
	}

	impl StorageBackend for Disk {
		fn len(&self) -> io::Result<u64> {
			Ok(self.bytes.lock().unwrap().len() as u64)
		}

		fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
			let from = offset as usize;
			out.copy_from_slice(&self.bytes.lock().unwrap()[from..from + out.len()]);
			Ok(())
		}

		fn set_len(&self, len: u64) -> io::Result<()> {
			self.check()?;
			self.bytes.lock().unwrap().resize(len as usize, 0);
			Ok(())
		}

		fn sync_data(&self) -> io::Result<()> {
			self.check()
		}

		fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
			self.check()?;
			let from = offset as usize;
			self.bytes.lock().unwrap()[from..from + data.len()].copy_from_slice(data);
			Ok(())
		}
	}

	fn put(store: &Store, number: u64) -> Result<(), StoreError> {
		let txn = store.write()?;
		txn.open_table(NUMBERS).map_err(error)?.insert(number, number).map_err(error)?;
		store.commit(txn)
	}

	fn has(store: &Store, number: u64) -> bool {
		let table = store.read().unwrap().open_table(NUMBERS).unwrap();
		table.get(number).unwrap().is_some()
	}

	fn on(disk: &Disk, pause: Duration) -> Store {
		let disk = disk.clone();
		Store::with(Box::new(move || Builder::new().create_with_backend(disk.clone())), pause)
			.unwrap()
	}

	#[test]
	fn a_full_disk_costs_what_was_not_written_and_no_more() {
		let disk = Disk::default();
		let store = on(&disk, Duration::ZERO);
		put(&store, 1).unwrap();
		assert!(store.works());

		disk.full.store(true, Relaxed);
		assert!(put(&store, 2).is_err() && !store.works());
		assert!(put(&store, 3).is_err(), "it is still full");
		disk.full.store(false, Relaxed);
		// Who reads first opens it anew, too.
		assert!(has(&store, 1));
		put(&store, 4).unwrap();
		assert!(store.works());
		assert!(has(&store, 1) && !has(&store, 3) && has(&store, 4));
	}

	#[test]
	fn it_is_not_opened_anew_all_the_time() {
		let disk = Disk::default();
		let store = on(&disk, Duration::from_secs(3_600));
		put(&store, 1).unwrap();
		disk.full.store(true, Relaxed);
		assert!(put(&store, 2).is_err());
		assert!(put(&store, 3).is_err(), "opened anew, and full");
		disk.full.store(false, Relaxed);
		assert!(put(&store, 4).is_err() && store.read().is_err(), "it was opened anew just now");
	}
}
