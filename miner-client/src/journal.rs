//! What this miner has promised, on disk before the promise leaves.
//!
//! A commitment binds: whoever cannot show the salt and the result behind it is slashed, not paid, and offline until it calls again. So a record with both, and the outputs themselves, is
//! written and flushed in one transaction before the commitment is signed. What to do next is then decided from two things alone, the record and what
//! the chain says of the seat, so that a process killed at any moment goes on where it was: see [`next`].

use std::{
	fs::{self, DirBuilder, File},
	io::{Read, Write},
	os::unix::fs::DirBuilderExt,
	path::{Path, PathBuf},
};

use cuckoo_client::{Outbox, Signed};
use cuckoo_primitives::{
	commitment::{commitment, Salt},
	merkle,
	sketch::Keys,
	tolerance::{Leaf, Sketch},
	views::{Duty, Seat, SeatKind, TaskPhase, TaskView},
	BlockNumber, ModelId, TaskId,
};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};
use sp_core::{crypto::AccountId32, H256};

use crate::job::Computed;

/// The journal's file in its folder.
pub const FILE: &str = "journal.redb";

/// What of it is kept in memory: results are read once or twice.
const CACHE_BYTES: usize = 16 << 20;

/// A seat's name: the task and which draw of it.
pub type Key = (TaskId, u32);
/// An item of a seat: the task, which draw of it, and the item's number in the task.
type Item = (TaskId, u32, u32);

const RECORDS: TableDefinition<Key, &[u8]> = TableDefinition::new("records");
const OUTPUTS: TableDefinition<Item, &[u8]> = TableDefinition::new("outputs");
/// Of each output: its hashes and sketches, and what it is the output of.
const LEAVES: TableDefinition<Item, LeavesOf> = TableDefinition::new("leaves");
type LeavesOf = (Vec<([u8; 32], Sketch)>, [u8; 32]);
/// Transactions on their way, by nonce: the block from which the era counts, and the bytes.
const OUTBOX: TableDefinition<u64, (u32, &[u8])> = TableDefinition::new("outbox");
/// What was last said with `Tasks.go_online`.
const OFFERS: TableDefinition<(), &[u8]> = TableDefinition::new("offers");

/// How far a promise has come, as far as this miner knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
	/// The result is there, the commitment may have been sent.
	Computed,
	/// The commitment was in a block.
	Committed,
	/// The result was shown in a block.
	Revealed,
}

/// A result, and everything needed to stand by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
	/// The task.
	pub task: TaskId,
	/// Which draw of the task.
	pub round: u32,
	/// As what this miner sits in the task.
	pub kind: SeatKind,
	/// The model that was run.
	pub model: ModelId,
	/// The Merkle root over the inputs that it was run on.
	pub input_root: H256,
	/// How many items the task has.
	pub items: u32,
	/// Those that were computed, unless it was all of them.
	pub sample: Vec<u32>,
	/// What the sketches were made with.
	pub keys: Keys,
	/// The Merkle root over the outputs.
	pub output_root: H256,
	/// What the commitment is salted with.
	pub salt: H256,
	/// The commitment.
	pub commitment: H256,
	/// Where the outputs go.
	pub endpoint: String,
	/// The account of the coordinator's operator.
	pub coordinator_operator: AccountId32,
	/// The best block when the result was there.
	pub block: BlockNumber,
	/// How far the promise has come.
	pub step: Step,
	/// Whether the coordinator has the outputs, or does not want them.
	pub delivered: bool,
}

impl Record {
	/// The record of a computed seat.
	pub fn new(
		seat: &Seat,
		leaves: &[Leaf],
		salt: Salt,
		genesis: &H256,
		operator: &AccountId32,
		block: BlockNumber,
	) -> Self {
		let output_root = merkle::root(leaves.iter().map(merkle::output_leaf));
		let all = seat.kind == SeatKind::Primary;
		Self {
			task: seat.task,
			round: seat.round,
			kind: seat.kind,
			model: seat.model,
			input_root: seat.input_root,
			items: seat.items,
			sample: if all { Vec::new() } else { seat.sample.clone() },
			keys: Keys::of(seat),
			output_root,
			salt: salt.into(),
			commitment: commitment(genesis, seat.task, seat.round, operator, &output_root, &salt),
			endpoint: seat.endpoint.clone(),
			coordinator_operator: seat.coordinator_operator.clone(),
			block,
			step: Step::Computed,
			// Nobody asked a verifier or juror for its outputs.
			delivered: !all,
		}
	}

	/// The seat's name.
	pub fn key(&self) -> Key {
		(self.task, self.round)
	}

	/// Whether this is the result of that seat, and not of one with the same number on a chain that was begun anew.
	pub fn is_of(&self, seat: &Seat) -> bool {
		self.key() == (seat.task, seat.round)
			&& self.kind == seat.kind
			&& (self.kind == SeatKind::Primary || self.sample == seat.sample)
			&& self.keys == Keys::of(seat)
			&& self.model == seat.model
			&& self.input_root == seat.input_root
			&& self.items == seat.items
	}
}

/// The items that a seat's miner computes.
pub fn items_of(kind: SeatKind, items: u32, sample: &[u32]) -> Vec<u32> {
	match kind {
		SeatKind::Primary => (0..items).collect(),
		SeatKind::Verifier | SeatKind::Juror => sample.to_vec(),
	}
}

/// What a seat needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
	/// Fetch the inputs and run the model.
	Compute,
	/// Send the journalled commitment.
	Commit,
	/// Show the journalled result.
	Reveal,
	/// The chain holds a commitment that this journal knows nothing of: nobody can open it.
	Lost,
	/// Nothing.
	Nothing,
}

/// What a seat needs next, from what is on disk and what the chain asks for.
///
/// The chain is right about what has happened, whatever the record's step says: a transaction may have been lost with a fork, or have gone through
/// just before this process was killed. A result on disk is never computed again: its commitment may be on its way already, and another result would not open it.
pub fn next(record: Option<&Record>, duty: Option<&Duty>) -> Next {
	match (record, duty) {
		(_, None) => Next::Nothing,
		(None, Some(Duty::Commit)) => Next::Compute,
		(Some(_), Some(Duty::Commit)) => Next::Commit,
		(record, Some(Duty::Wait(promised) | Duty::Reveal(promised)))
			if record.is_none_or(|record| record.commitment != *promised) =>
		{
			Next::Lost
		},
		(_, Some(Duty::Reveal(_))) => Next::Reveal,
		(_, Some(Duty::Wait(_))) => Next::Nothing,
	}
}

/// How many blocks before its deadline a commitment is sent whether or not the coordinator has the outputs.
const MARGIN: BlockNumber = 6;

/// Whether to commit now. From the commitment on the coordinator can say that it did not get the outputs, and then nobody is paid: so they go first, as long as the deadline allows.
pub fn may_commit(record: &Record, deadline: BlockNumber, now: BlockNumber) -> bool {
	record.delivered || now.saturating_add(MARGIN) >= deadline
}

/// Whether nobody can ask for a record any more, given what the last *finalised* block says of its task. Anything less final could be undone by a
/// fork, and a forgotten salt cannot be found again.
pub fn is_over(record: &Record, finalized: BlockNumber, task: Option<&TaskView>) -> bool {
	if finalized < record.block {
		return false;
	}
	match task {
		// Ended so long ago that the chain has forgotten it.
		None => true,
		// Drawn anew since.
		Some(task) if task.round > record.round => true,
		// Paid for what the coordinator does not have yet: owed as long as the chain remembers.
		Some(task) if task.phase == TaskPhase::Settled => record.delivered,
		Some(task) => task.phase.has_ended(),
	}
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
	/// Two processes with one key would commit against each other.
	#[error("another miner-client{} is running with this key and data folder ({}); stop it first", .pid.as_ref().map(|p| format!(", process {p},")).unwrap_or_default(), .path.display())]
	InUse {
		/// The lock file.
		path: PathBuf,
		/// The other process, if it left its number.
		pid: Option<String>,
	},
	/// The folder cannot be used.
	#[error("cannot use {}: {error}", .path.display())]
	Folder {
		/// The folder or file.
		path: PathBuf,
		/// What the system says.
		error: std::io::Error,
	},
	/// The database failed.
	#[error("the journal failed: {0}; is the disk full?")]
	Database(Box<redb::Error>),
	/// A record cannot be read.
	#[error("a record of the journal is damaged: {0}")]
	Damaged(#[from] serde_json::Error),
}

/// The many errors of the database, as one.
fn database<E: Into<redb::Error>>(error: E) -> JournalError {
	JournalError::Database(Box::new(error.into()))
}

/// The journal of one operator. Only one process at a time can have it open.
pub struct Journal {
	database: Database,
	/// Held until the process ends, however it ends.
	_lock: File,
}

impl Journal {
	/// Opens the journal in a folder, which is made if it is not there.
	pub fn open(folder: &Path) -> Result<Self, JournalError> {
		// Its owner's alone: who knows a salt can copy a result before it is shown.
		DirBuilder::new()
			.recursive(true)
			.mode(0o700)
			.create(folder)
			.map_err(|error| JournalError::Folder { path: folder.to_path_buf(), error })?;
		let lock = lock(&folder.join("lock"))?;
		let database = Database::builder()
			.set_cache_size(CACHE_BYTES)
			.create(folder.join(FILE))
			.map_err(database)?;
		let journal = Self { database, _lock: lock };
		// So that readers find tables in a new file.
		journal.change(Durability::Immediate, |_| Ok(()))?;
		Ok(journal)
	}

	/// All records.
	pub fn records(&self) -> Result<Vec<Record>, JournalError> {
		let read = self.database.begin_read().map_err(database)?;
		let table = read.open_table(RECORDS).map_err(database)?;
		let entries = table.iter().map_err(database)?;
		entries
			.map(|entry| Ok(serde_json::from_slice(entry.map_err(database)?.1.value())?))
			.collect()
	}

	/// The output of an item.
	pub fn output(&self, (task, round): Key, item: u32) -> Result<Option<Vec<u8>>, JournalError> {
		let read = self.database.begin_read().map_err(database)?;
		let table = read.open_table(OUTPUTS).map_err(database)?;
		let output = table.get((task, round, item)).map_err(database)?;
		Ok(output.map(|bytes| bytes.value().to_vec()))
	}

	/// Whether an item was computed, with this model, input and keys: on another fork the same number may have meant another task.
	pub fn has_item(&self, (task, round): Key, item: u32, of: H256) -> Result<bool, JournalError> {
		let read = self.database.begin_read().map_err(database)?;
		let table = read.open_table(LEAVES).map_err(database)?;
		let leaf = table.get((task, round, item)).map_err(database)?;
		Ok(leaf.is_some_and(|leaf| leaf.value().1 == of.0))
	}

	/// What a seat shows of these items' outputs; `None` if one of them was not computed.
	pub fn leaves(
		&self,
		(task, round): Key,
		items: &[u32],
	) -> Result<Option<Vec<Leaf>>, JournalError> {
		let read = self.database.begin_read().map_err(database)?;
		let table = read.open_table(LEAVES).map_err(database)?;
		let mut leaves = Vec::new();
		for item in items {
			let found = table.get((task, round, *item)).map_err(database)?;
			let Some(found) = found else { return Ok(None) };
			let leaf = |(hash, sketch): ([u8; 32], Sketch)| Leaf { hash: hash.into(), sketch };
			leaves.extend(found.value().0.into_iter().map(leaf));
		}
		Ok(Some(leaves))
	}

	/// Keeps what came of an item, and of what, so that a batch goes on where it was. Not flushed: what is lost is computed again, and the promise flushes all.
	pub fn keep(
		&self,
		(task, round): Key,
		item: u32,
		of: H256,
		done: &Computed,
	) -> Result<(), JournalError> {
		self.change(Durability::None, |tables| {
			let key = (task, round, item);
			let leaves = done.leaves.iter().map(|leaf| (leaf.hash.0, leaf.sketch)).collect();
			tables.outputs.insert(key, done.output.as_slice()).map_err(database)?;
			tables.leaves.insert(key, (leaves, of.0)).map_err(database)?;
			Ok(())
		})
	}

	/// Writes a new record. When this returns, it is on disk with everything that was [kept](Self::keep) for it.
	pub fn promise(&self, record: &Record) -> Result<(), JournalError> {
		self.update(std::slice::from_ref(record))
	}

	/// Writes what has become of records.
	pub fn update(&self, changed: &[Record]) -> Result<(), JournalError> {
		self.change(Durability::Immediate, |tables| {
			changed.iter().try_for_each(|record| put(&mut tables.records, record))
		})
	}

	/// Removes a seat's record and its outputs, whether or not it came to a promise.
	pub fn forget(&self, (task, round): Key) -> Result<(), JournalError> {
		self.change(Durability::Immediate, |tables| {
			tables.records.remove((task, round)).map_err(database)?;
			let items = || (task, round, 0)..=(task, round, u32::MAX);
			tables.outputs.retain_in(items(), |_, _| false).map_err(database)?;
			tables.leaves.retain_in(items(), |_, _| false).map_err(database)?;
			Ok(())
		})
	}

	/// Removes what was computed of seats that are gone, and came to no promise.
	pub fn clear(&self, kept: impl Fn(Key) -> bool) -> Result<(), JournalError> {
		self.change(Durability::Immediate, |tables| {
			tables.outputs.retain(|(task, round, _), _| kept((task, round))).map_err(database)?;
			tables.leaves.retain(|(task, round, _), _| kept((task, round))).map_err(database)?;
			Ok(())
		})
	}

	/// What was last offered with `Tasks.go_online`: models and slots.
	pub fn offer(&self) -> Result<Option<(Vec<ModelId>, u32)>, JournalError> {
		let read = self.database.begin_read().map_err(database)?;
		match read.open_table(OFFERS) {
			Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
			table => {
				let offer = table.map_err(database)?.get(()).map_err(database)?;
				Ok(offer.map(|bytes| serde_json::from_slice(bytes.value())).transpose()?)
			},
		}
	}

	/// Remembers what was offered.
	pub fn set_offer(&self, models: &[ModelId], slots: u32) -> Result<(), JournalError> {
		let bytes = serde_json::to_vec(&(models, slots))?;
		let write = self.database.begin_write().map_err(database)?;
		let mut table = write.open_table(OFFERS).map_err(database)?;
		table.insert((), bytes.as_slice()).map_err(database)?;
		drop(table);
		write.commit().map_err(database)
	}

	fn change(
		&self,
		durability: Durability,
		change: impl FnOnce(&mut Tables<'_>) -> Result<(), JournalError>,
	) -> Result<(), JournalError> {
		let mut write = self.database.begin_write().map_err(database)?;
		write.set_durability(durability).map_err(database)?;
		change(&mut Tables {
			records: write.open_table(RECORDS).map_err(database)?,
			outputs: write.open_table(OUTPUTS).map_err(database)?,
			leaves: write.open_table(LEAVES).map_err(database)?,
		})?;
		write.commit().map_err(database)
	}
}

impl Outbox for Journal {
	fn keep(&self, signed: &Signed) -> anyhow::Result<()> {
		let write = self.database.begin_write().map_err(database)?;
		let mut table = write.open_table(OUTBOX).map_err(database)?;
		table.insert(signed.nonce, (signed.born, signed.bytes.as_slice())).map_err(database)?;
		drop(table);
		Ok(write.commit().map_err(database)?)
	}

	fn forget(&self, nonce: u64) {
		let forget = || -> Result<(), JournalError> {
			let write = self.database.begin_write().map_err(database)?;
			write.open_table(OUTBOX).map_err(database)?.remove(nonce).map_err(database)?;
			write.commit().map_err(database)
		};
		if let Err(error) = forget() {
			// It is sent again after a restart, and then in a block already.
			tracing::warn!(nonce, %error, "a transaction stays in the outbox");
		}
	}

	fn kept(&self) -> anyhow::Result<Vec<Signed>> {
		let read = self.database.begin_read().map_err(database)?;
		let table = match read.open_table(OUTBOX) {
			Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
			table => table.map_err(database)?,
		};
		let entries = table.iter().map_err(database)?;
		let signed = entries.map(|entry| {
			let (nonce, kept) = entry.map_err(database)?;
			let (born, bytes) = kept.value();
			Ok(Signed { nonce: nonce.value(), born, bytes: bytes.to_vec() })
		});
		signed.collect()
	}
}

type Records<'a> = redb::Table<'a, Key, &'static [u8]>;

/// The tables of a change.
struct Tables<'a> {
	records: Records<'a>,
	outputs: redb::Table<'a, Item, &'static [u8]>,
	leaves: redb::Table<'a, Item, LeavesOf>,
}

fn put(records: &mut Records<'_>, record: &Record) -> Result<(), JournalError> {
	let bytes = serde_json::to_vec(record)?;
	records.insert(record.key(), bytes.as_slice()).map_err(database)?;
	Ok(())
}

/// Takes the lock file, which the system gives back when the process ends, and leaves the process's number in it.
fn lock(path: &Path) -> Result<File, JournalError> {
	let failed = |error| JournalError::Folder { path: path.to_path_buf(), error };
	let open = File::options().read(true).write(true).create(true).truncate(false).open(path);
	let mut file = open.map_err(failed)?;
	match file.try_lock() {
		Ok(()) => {},
		Err(fs::TryLockError::WouldBlock) => {
			let mut pid = String::new();
			let read = file.take(20).read_to_string(&mut pid);
			let pid = read.ok().filter(|n| *n > 0).map(|_| pid);
			return Err(JournalError::InUse { path: path.to_path_buf(), pid });
		},
		Err(fs::TryLockError::Error(error)) => return Err(failed(error)),
	}
	file.set_len(0).map_err(failed)?;
	write!(file, "{}", std::process::id()).map_err(failed)?;
	Ok(file)
}

#[cfg(test)]
mod tests {
	use super::*;
	use cuckoo_primitives::views::TaskBlocks;

	fn seat(duty: Duty) -> Seat {
		Seat {
			task: 7,
			kind: SeatKind::Primary,
			round: 1,
			model: 3,
			duty,
			deadline: 50,
			input_root: H256::repeat_byte(1),
			items: 2,
			sample: Vec::new(),
			task_round: 1,
			court_key: None,
			fee: 5,
			coordinator: AccountId32::new([4; 32]),
			coordinator_operator: AccountId32::new([5; 32]),
			endpoint: "http://127.0.0.1:1".into(),
		}
	}

	fn outputs() -> Vec<Computed> {
		let leaf =
			|byte| Leaf { hash: H256::repeat_byte(byte), sketch: [byte; merkle::SKETCH_BYTES] };
		let output =
			|byte| Computed { output: vec![byte; 3], leaves: vec![leaf(byte)], seconds: 0.1 };
		vec![output(1), output(2)]
	}

	fn leaves() -> Vec<Leaf> {
		outputs().into_iter().flat_map(|output| output.leaves).collect()
	}

	fn record() -> Record {
		let operator = AccountId32::new([6; 32]);
		Record::new(&seat(Duty::Commit), &leaves(), [9; 32], &H256::zero(), &operator, 40)
	}

	fn view(phase: TaskPhase, round: u32) -> TaskView {
		TaskView {
			task: 7,
			model: 3,
			coordinator: AccountId32::new([4; 32]),
			input_root: H256::repeat_byte(1),
			items: 2,
			fee: 5,
			round,
			phase,
			miner: None,
			blocks: TaskBlocks::default(),
			sample: Vec::new(),
			verifiers: Vec::new(),
			output_root: None,
		}
	}

	/// Killed at any moment: whatever is on disk, whatever the chain has come to know, the next step is the right one.
	#[test]
	fn from_every_state_the_next_step_is_right() {
		let commitment = record().commitment;
		let (commit, wait, reveal) =
			(Duty::Commit, Duty::Wait(commitment), Duty::Reveal(commitment));
		let unknown = H256::repeat_byte(0xee);
		// Before the result was on disk.
		assert_eq!(next(None, Some(&commit)), Next::Compute);
		assert_eq!(next(None, Some(&reveal)), Next::Lost);
		assert_eq!(next(None, Some(&wait)), Next::Lost);
		assert_eq!(next(None, None), Next::Nothing);
		// After: never computed again, whatever was known of the commitment's way.
		for step in [Step::Computed, Step::Committed, Step::Revealed] {
			let record = Record { step, ..record() };
			assert_eq!(next(Some(&record), Some(&commit)), Next::Commit, "{step:?}");
			assert_eq!(next(Some(&record), Some(&reveal)), Next::Reveal, "{step:?}");
			assert_eq!(next(Some(&record), Some(&wait)), Next::Nothing, "{step:?}");
			for strange in [Duty::Wait(unknown), Duty::Reveal(unknown)] {
				assert_eq!(next(Some(&record), Some(&strange)), Next::Lost, "{step:?}");
			}
			assert_eq!(next(Some(&record), None), Next::Nothing, "{step:?}");
		}
	}

	#[test]
	fn a_record_goes_when_nobody_can_ask_for_it() {
		for step in [Step::Computed, Step::Committed, Step::Revealed] {
			let record = Record { step, ..record() };
			// What is not final may be undone.
			assert!(!is_over(&record, 39, None));
			assert!(!is_over(&record, 39, Some(&view(TaskPhase::Settled, 1))));
			for phase in [
				TaskPhase::Queued,
				TaskPhase::Working,
				TaskPhase::Lottery,
				TaskPhase::Verifying,
				TaskPhase::Revealing,
				TaskPhase::Disputed,
			] {
				assert!(!is_over(&record, 40, Some(&view(phase, 1))));
				assert!(!is_over(&record, 40, Some(&view(phase, 0))));
				assert!(is_over(&record, 40, Some(&view(phase, 2))));
			}
			for phase in [TaskPhase::Expired, TaskPhase::Void, TaskPhase::Rejected] {
				assert!(is_over(&record, 40, Some(&view(phase, 1))));
			}
			let paid = view(TaskPhase::Settled, 1);
			assert!(!is_over(&record, 40, Some(&paid)), "paid, and still owed to the coordinator");
			assert!(is_over(&Record { delivered: true, ..record.clone() }, 40, Some(&paid)));
			assert!(is_over(&record, 40, None));
		}
	}

	#[test]
	fn a_result_is_committed_to_once_delivered_or_when_time_runs_out() {
		let waiting = record();
		assert!(!may_commit(&waiting, 50, 43));
		assert!(may_commit(&waiting, 50, 44) && may_commit(&waiting, 50, 60));
		assert!(may_commit(&Record { delivered: true, ..waiting }, 50, 40));
	}

	#[test]
	fn a_record_fits_its_own_seat_only() {
		let record = record();
		assert!(!record.is_of(&Seat { kind: SeatKind::Verifier, ..seat(Duty::Commit) }));
		let verifier =
			|item| Seat { kind: SeatKind::Verifier, sample: vec![item], ..seat(Duty::Commit) };
		let operator = AccountId32::new([6; 32]);
		let of_verifier =
			Record::new(&verifier(1), &leaves()[..1], [9; 32], &H256::zero(), &operator, 40);
		assert!(of_verifier.is_of(&verifier(1)) && of_verifier.delivered);
		assert!(!of_verifier.is_of(&verifier(0)));
		assert!(record.is_of(&seat(Duty::Commit)));
		assert!(!record.is_of(&Seat { round: 2, ..seat(Duty::Commit) }));
		assert!(!record.is_of(&Seat { input_root: H256::zero(), ..seat(Duty::Commit) }));
		assert!(!record.is_of(&Seat { model: 4, ..seat(Duty::Commit) }));
		// The same round of a court that was drawn anew, on another fork.
		let court = |byte| Some(H256::repeat_byte(byte));
		let juror = |key| Seat { kind: SeatKind::Juror, court_key: court(key), ..verifier(1) };
		let of_juror = Record::new(&juror(1), &leaves(), [9; 32], &H256::zero(), &operator, 40);
		assert!(of_juror.is_of(&juror(1)) && !of_juror.is_of(&juror(2)));
	}

	#[test]
	fn what_was_promised_survives_the_process() {
		let dir = tempfile::tempdir().unwrap();
		let (first, second) = (record(), Record { round: 2, ..record() });
		let input = H256::repeat_byte(7);
		{
			let journal = Journal::open(dir.path()).unwrap();
			assert_eq!(journal.offer().unwrap(), None);
			for record in [&first, &second] {
				for (item, output) in (0..).zip(outputs()) {
					journal.keep(record.key(), item, input, &output).unwrap();
				}
				journal.promise(record).unwrap();
			}
			journal.update(&[Record { step: Step::Committed, ..first.clone() }]).unwrap();
			journal.set_offer(&[1, 2], 3).unwrap();
		}
		let journal = Journal::open(dir.path()).unwrap();
		let found = journal.records().unwrap();
		assert_eq!(found, [Record { step: Step::Committed, ..first.clone() }, second.clone()]);
		assert_eq!(journal.output(first.key(), 1).unwrap(), Some(vec![2; 3]));
		assert_eq!(journal.offer().unwrap(), Some((vec![1, 2], 3)));
		assert_eq!(journal.leaves(first.key(), &[1, 0]).unwrap().unwrap().len(), 2);
		assert_eq!(journal.leaves(first.key(), &[0, 2]).unwrap(), None);
		assert!(journal.has_item(first.key(), 1, input).unwrap());
		assert!(!journal.has_item(first.key(), 1, H256::zero()).unwrap());
		journal.forget(first.key()).unwrap();
		assert_eq!(journal.records().unwrap(), std::slice::from_ref(&second));
		assert_eq!(journal.output(first.key(), 0).unwrap(), None);
		assert_eq!(journal.leaves(first.key(), &[1]).unwrap(), None);
		assert_eq!(journal.output(second.key(), 0).unwrap(), Some(vec![1; 3]));
	}

	#[test]
	fn what_was_signed_is_sent_again_as_it_was() {
		let dir = tempfile::tempdir().unwrap();
		let signed = |nonce| Signed { nonce, born: 7, bytes: vec![nonce as u8; 3] };
		{
			let journal = Journal::open(dir.path()).unwrap();
			assert_eq!(journal.kept().unwrap(), []);
			(1..4).for_each(|nonce| Outbox::keep(&journal, &signed(nonce)).unwrap());
			Outbox::forget(&journal, 2);
			Outbox::forget(&journal, 9);
		}
		let journal = Journal::open(dir.path()).unwrap();
		assert_eq!(journal.kept().unwrap(), [signed(1), signed(3)]);
	}

	#[test]
	fn one_process_at_a_time() {
		let dir = tempfile::tempdir().unwrap();
		let journal = Journal::open(dir.path()).unwrap();
		let error = Journal::open(dir.path()).err().unwrap().to_string();
		assert!(error.contains(&std::process::id().to_string()), "{error}");
		drop(journal);
		Journal::open(dir.path()).unwrap();
	}

	#[test]
	fn the_commitment_is_the_chains() {
		let record = record();
		let operator = AccountId32::new([6; 32]);
		assert_eq!(record.output_root, merkle::root(leaves().iter().map(merkle::output_leaf)));
		let salt = record.salt.0;
		let expected = commitment(&H256::zero(), 7, 1, &operator, &record.output_root, &salt);
		assert_eq!(record.commitment, expected);
	}
}
