use super::*;
use crate::{
	batch::Posting,
	job::tests::{job, output},
};

const PLENTY: Limits = Limits { jobs: 10, escrow: 1_000_000 };

fn open(dir: &tempfile::TempDir, limits: Limits) -> Book {
	Book::open(&dir.path().join("jobs.redb"), limits).unwrap()
}

async fn create(book: &Book, job: Job) -> Progress {
	let (progress, new) = book.create(job, None).await.unwrap();
	assert!(new);
	progress
}

/// A job in a batch of its own.
async fn alone(book: &Book, job: Job) -> Batch {
	let id = create(book, job).await.job.id;
	book.put_together(vec![id]).await.unwrap().unwrap()
}

async fn change(book: &Book, id: BatchId, change: fn(&mut Batch)) -> Result<Batch, BookError> {
	book.update(id, move |batch| {
		change(batch);
		Ok(())
	})
	.await
}

#[tokio::test]
async fn the_book_survives_being_closed() {
	let dir = tempfile::tempdir().unwrap();
	let (first, second) = (job(), job());
	let book = open(&dir, PLENTY);
	book.pin_genesis(H256::repeat_byte(1)).unwrap();
	let batch = alone(&book, first.clone()).await;
	create(&book, second.clone()).await;
	let batch = change(&book, batch.id, |batch| batch.posted(5, Some(3))).await.unwrap();
	drop(book);

	let book = open(&dir, PLENTY);
	let place = Place::In { batch: batch.id, first: 0 };
	let in_it = Some(Arc::new(batch.clone()));
	let expected = Progress { job: Job { place, ..first.clone() }, batch: in_it };
	assert_eq!(book.get(first.id).await.unwrap(), Some(expected));
	assert_eq!(book.by_task(5).await.unwrap(), Some(batch.clone()));
	assert_eq!(book.listed(List::Watch).await.unwrap(), [batch]);
	assert_eq!(book.listed(List::Post).await.unwrap(), []);
	assert_eq!(book.waiting().await.unwrap(), [second]);
	assert_eq!(book.genesis().unwrap(), Some(H256::repeat_byte(1)));
	let other = book.pin_genesis(H256::repeat_byte(2));
	assert!(matches!(other, Err(BookError::OtherChain { .. })));
}

#[tokio::test]
async fn jobs_of_another_version_are_left_to_it() {
	let dir = tempfile::tempdir().unwrap();
	let path = dir.path().join("jobs.redb");
	let db = redb::Database::create(&path).unwrap();
	let txn = db.begin_write().unwrap();
	txn.open_table(JOBS).unwrap().insert(1, &b"{}"[..]).unwrap();
	txn.commit().unwrap();
	drop(db);
	assert!(matches!(Book::open(&path, PLENTY), Err(BookError::OtherFormat)));
}

#[tokio::test]
async fn jobs_share_a_batch_and_hear_of_their_own_outputs() {
	let dir = tempfile::tempdir().unwrap();
	let book = open(&dir, PLENTY);
	let first = Job { inputs: vec![H256::repeat_byte(4); 2], ..job() };
	let jobs = [first, job()];
	for job in &jobs {
		create(&book, job.clone()).await;
	}
	let ids = || jobs.iter().map(|job| job.id).collect::<Vec<_>>();
	let batch = book.put_together(ids()).await.unwrap().unwrap();
	assert_eq!((batch.items(), batch.fee, batch.parts.len()), (3, 2_000, 2));
	assert_eq!(book.put_together(ids()).await.unwrap(), None, "each job is in one batch");
	change(&book, batch.id, |batch| batch.posted(5, None)).await.unwrap();

	let mut changes = book.changes();
	change(&book, batch.id, |batch| batch.deliver(2, output(9, 0)).unwrap()).await.unwrap();
	assert_eq!(changes.try_recv(), Ok(jobs[1].id));
	assert!(changes.try_recv().is_err(), "the other job's outputs have not changed");
	let state = async |job: &Job| book.get(job.id).await.unwrap().unwrap().state();
	assert_eq!(state(&jobs[1]).await, JobState::Completed);
	assert_eq!(state(&jobs[0]).await, JobState::Queued);
}

#[tokio::test]
async fn one_key_stands_for_one_request_of_one_owner() {
	let dir = tempfile::tempdir().unwrap();
	let book = open(&dir, PLENTY);
	let keyed = Job { idempotency_key: Some("k".into()), ..job() };
	let held = create(&book, keyed.clone()).await;
	let again = Job { id: JobId::random(), ..keyed.clone() };
	assert_eq!(book.create(again, None).await.unwrap(), (held.clone(), false));
	let found = book.find_key(None, "k".into(), keyed.request_hash).await.unwrap();
	assert_eq!(found, Some(held));
	let other = Job { id: JobId::random(), request_hash: H256::zero(), ..keyed.clone() };
	assert!(matches!(book.create(other, None).await, Err(BookError::KeyReused)));
	let reused = book.find_key(None, "k".into(), H256::zero()).await;
	assert!(matches!(reused, Err(BookError::KeyReused)));
	// Somebody else's is another.
	let of_another = Job { id: JobId::random(), owner: Some(KeyId(7)), ..keyed };
	create(&book, of_another).await;
}

#[tokio::test]
async fn only_so_many_jobs_are_open() {
	let dir = tempfile::tempdir().unwrap();
	let book = open(&dir, Limits { jobs: 2, ..PLENTY });
	let batch = alone(&book, job()).await;
	create(&book, job()).await;
	assert!(matches!(book.create(job(), None).await, Err(BookError::Full)));
	change(&book, batch.id, |batch| batch.fail("no")).await.unwrap();
	create(&book, job()).await;
}

#[tokio::test]
async fn the_sum_of_fees_is_bounded_and_follows_the_chain() {
	let dir = tempfile::tempdir().unwrap();
	let book = open(&dir, Limits { escrow: 2_500, ..PLENTY });
	let batch = alone(&book, job()).await;
	let waiting = create(&book, job()).await;
	assert!(matches!(book.create(job(), None).await, Err(BookError::Escrow)));
	assert_eq!(book.held().await.unwrap(), 2_000);
	book.cancel(waiting.job.id).await.unwrap();
	assert_eq!(book.held().await.unwrap(), 1_000);
	change(&book, batch.id, |batch| batch.posted(5, None)).await.unwrap();
	assert_eq!(book.held().await.unwrap(), 1_000);
	change(&book, batch.id, |batch| batch.settlement = Settlement::Settled).await.unwrap();
	assert_eq!(book.held().await.unwrap(), 0);
	// A challenge holds it again.
	change(&book, batch.id, |batch| batch.settlement = Settlement::Disputed).await.unwrap();
	assert_eq!(book.held().await.unwrap(), 1_000);
	change(&book, batch.id, |batch| batch.settlement = Settlement::Overturned).await.unwrap();
	assert_eq!(book.held().await.unwrap(), 0);
}

#[tokio::test]
async fn a_key_spends_its_budget_and_gets_refunds_back() {
	let dir = tempfile::tempdir().unwrap();
	let book = open(&dir, PLENTY);
	let key = KeyId(7);
	let of_key = || Job { owner: Some(key), ..job() };
	let create = async || book.create(of_key(), Some(2_000)).await;
	let (first, _) = create().await.unwrap();
	let (second, _) = create().await.unwrap();
	let Err(BookError::Budget { left: 0, fee: 1_000 }) = create().await else {
		panic!("more than the budget was spent")
	};
	let batch = book.put_together(vec![first.job.id]).await.unwrap().unwrap();
	change(&book, batch.id, |batch| batch.posted(5, None)).await.unwrap();
	change(&book, batch.id, |batch| batch.settlement = Settlement::Refunded).await.unwrap();
	assert_eq!(book.spent(key).await.unwrap(), 1_000);
	book.cancel(second.job.id).await.unwrap();
	assert_eq!(book.spent(key).await.unwrap(), 0);
	assert_eq!(book.held().await.unwrap(), 0);
}

#[tokio::test]
async fn only_what_is_not_on_its_way_is_taken_back() {
	let dir = tempfile::tempdir().unwrap();
	let book = open(&dir, PLENTY);
	let waiting = create(&book, job()).await.job.id;
	let taken = book.cancel(waiting).await.unwrap();
	assert_eq!((taken.state(), taken.is_over()), (JobState::Cancelled, true));
	assert_eq!(book.cancel(waiting).await.unwrap(), taken);
	assert_eq!(book.put_together(vec![waiting]).await.unwrap(), None);
	// In a batch of its own, which waits for the node.
	let batch = alone(&book, job()).await;
	let unposted = book.cancel(batch.parts[0].job).await.unwrap();
	assert_eq!((unposted.state(), unposted.is_over()), (JobState::Cancelled, true));
	assert_eq!(book.listed(List::Post).await.unwrap(), []);
	assert_eq!(book.held().await.unwrap(), 0);
	let batch = alone(&book, job()).await;
	change(&book, batch.id, |batch| batch.posting = Some(Posting { floor: None })).await.unwrap();
	let under_way = book.cancel(batch.parts[0].job).await.unwrap();
	assert_eq!(under_way.state(), JobState::Queued);
	assert!(matches!(book.cancel(JobId::random()).await, Err(BookError::Unknown(_))));
}

#[tokio::test]
async fn open_jobs_are_counted_by_state() {
	let dir = tempfile::tempdir().unwrap();
	let book = open(&dir, PLENTY);
	create(&book, job()).await;
	let (running, ended) = (alone(&book, job()).await, alone(&book, job()).await);
	change(&book, running.id, |batch| batch.fetched(0)).await.unwrap();
	change(&book, ended.id, |batch| batch.fail("no")).await.unwrap();
	let counts = book.open_by_state().await.unwrap();
	assert_eq!(counts, [(JobState::Queued, 1), (JobState::Assigned, 0), (JobState::Running, 1)]);
}

#[tokio::test]
async fn what_the_chain_refuses_together_is_tried_alone() {
	let dir = tempfile::tempdir().unwrap();
	let book = open(&dir, PLENTY);
	let ids = [create(&book, job()).await.job.id, create(&book, job()).await.job.id];
	let batch = book.put_together(ids.into()).await.unwrap().unwrap();
	change(&book, batch.id, |batch| batch.posting = Some(Posting { floor: None })).await.unwrap();
	book.take_apart(batch.id).await.unwrap();
	let waiting = book.waiting().await.unwrap();
	assert_eq!(
		waiting.iter().map(|job| (job.id, job.alone)).collect::<Vec<_>>(),
		ids.map(|id| (id, true))
	);
	assert_eq!(book.listed(List::Post).await.unwrap(), []);
	assert_eq!(book.batch(batch.id).await.unwrap(), None);
	assert_eq!(book.held().await.unwrap(), 2_000);
	let next = alone(&book, job()).await;
	assert!(next.id > batch.id, "no number is given twice");
	// One that is on chain stays together.
	change(&book, next.id, |batch| batch.posted(5, None)).await.unwrap();
	book.take_apart(next.id).await.unwrap();
	assert!(book.batch(next.id).await.unwrap().is_some());
}

#[tokio::test]
async fn room_is_told_beforehand_as_it_is_found_then() {
	let dir = tempfile::tempdir().unwrap();
	let book = open(&dir, Limits { jobs: 2, escrow: 2_500 });
	let key = Some(KeyId(7));
	book.create(Job { owner: key, ..job() }, Some(1_500)).await.unwrap();
	let room = async |owner, fee| book.check_room(owner, fee, Some(1_500)).await;
	assert!(room(key, 500).await.is_ok());
	assert!(matches!(room(key, 501).await, Err(BookError::Budget { left: 500, fee: 501 })));
	assert!(room(None, 1_500).await.is_ok(), "only keys have budgets");
	assert!(matches!(room(None, 1_501).await, Err(BookError::Escrow)));
	create(&book, job()).await;
	assert!(matches!(room(None, 0).await, Err(BookError::Full)));
}

#[tokio::test]
async fn an_illegal_change_or_a_taken_task_changes_nothing() {
	let dir = tempfile::tempdir().unwrap();
	let book = open(&dir, PLENTY);
	let (first, second) = (alone(&book, job()).await, alone(&book, job()).await);
	let failed = change(&book, first.id, |batch| batch.fail("no")).await.unwrap();
	let revived = change(&book, first.id, |batch| batch.state = JobState::Queued).await;
	assert!(matches!(revived, Err(BookError::Illegal(_))));
	let paid = change(&book, second.id, |batch| batch.settlement = Settlement::Settled).await;
	assert!(matches!(paid, Err(BookError::Illegal(_))));
	let found = book.get(first.parts[0].job).await.unwrap().unwrap();
	assert_eq!(found.batch.as_deref(), Some(&failed));

	let third = alone(&book, job()).await;
	change(&book, second.id, |batch| batch.posted(5, None)).await.unwrap();
	let taken = change(&book, third.id, |batch| batch.posted(5, None)).await;
	assert!(matches!(taken, Err(BookError::TaskTaken(5))));
	assert_eq!(book.by_task(5).await.unwrap().unwrap().id, second.id);
	assert_eq!(book.listed(List::Post).await.unwrap(), [third]);
	assert_eq!(book.held().await.unwrap(), 2_000, "money does not move with what did not happen");
}

#[tokio::test]
async fn lists_are_newest_first_and_of_one_owner() {
	let dir = tempfile::tempdir().unwrap();
	let book = open(&dir, PLENTY);
	let mut ids = Vec::new();
	for owner in [None, Some(KeyId(1)), None, Some(KeyId(2)), None] {
		let id = JobId(JobId::random().0 + ids.len() as u128);
		create(&book, Job { id, owner, ..job() }).await;
		ids.push(id);
	}
	ids.sort_unstable();
	let listed = async |owner, before, limit| -> Vec<JobId> {
		let found = book.list(owner, before, limit).await.unwrap();
		found.iter().map(|of| of.job.id).collect()
	};
	let own = listed(None, None, 10).await;
	assert_eq!(own.len(), 3);
	assert!(own.is_sorted_by(|a, b| a > b));
	assert_eq!(listed(None, Some(own[0]), 10).await, own[1..]);
	assert_eq!(listed(None, None, 1).await, own[..1]);
	assert_eq!(listed(Some(KeyId(1)), None, 10).await.len(), 1);
	assert_eq!(listed(Some(KeyId(3)), None, 10).await, []);
	let recent = book.recent(4).await.unwrap();
	let recent: Vec<JobId> = recent.iter().map(|of| of.job.id).collect();
	assert_eq!(recent, ids.iter().rev().copied().take(4).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_over_goes_with_the_blobs_that_nobody_else_needs() {
	let dir = tempfile::tempdir().unwrap();
	let book = open(&dir, PLENTY);
	let (shared, own) = (H256::repeat_byte(3), H256::repeat_byte(4));
	// Names are in the order of age.
	let old = Job { id: JobId(1), created: 100, inputs: vec![shared, own], ..job() };
	let young = Job { created: 200, ..job() };
	let batch = alone(&book, old.clone()).await;
	create(&book, young.clone()).await;
	let nothing = Removed { jobs: 0, blobs: vec![] };
	assert_eq!(book.remove_over(150, 10).await.unwrap(), nothing, "it is not over");
	change(&book, batch.id, |batch| {
		batch.posted(5, None);
		batch.deliver(0, output(8, 0)).unwrap();
		batch.deliver(1, output(8, 0)).unwrap();
		batch.deliver(0, output(9, 1)).unwrap();
		batch.deliver(1, output(9, 1)).unwrap();
	})
	.await
	.unwrap();
	change(&book, batch.id, |batch| batch.settlement = Settlement::Settled).await.unwrap();
	assert_eq!(book.remove_over(100, 10).await.unwrap(), nothing, "it is too young");
	let output = H256::repeat_byte(9);
	assert_eq!(book.unneeded(vec![own, shared, output]).await.unwrap(), []);
	let gone = Removed { jobs: 1, blobs: vec![own, output] };
	assert_eq!(book.remove_over(150, 10).await.unwrap(), gone);
	assert_eq!(book.unneeded(vec![own, shared, output]).await.unwrap(), [own, output]);
	assert_eq!(book.get(old.id).await.unwrap(), None);
	assert_eq!(book.by_task(5).await.unwrap(), None);
	assert_eq!(book.listed(List::Recheck).await.unwrap(), []);
	assert!(book.get(young.id).await.unwrap().is_some());
}

#[tokio::test]
async fn who_listens_hears_of_changes() {
	let dir = tempfile::tempdir().unwrap();
	let book = open(&dir, PLENTY);
	let mut changes = book.changes();
	let batch = alone(&book, job()).await;
	let id = batch.parts[0].job;
	change(&book, batch.id, |_| {}).await.unwrap();
	change(&book, batch.id, |batch| batch.fail("no")).await.unwrap();
	for _ in ["accepted", "in a batch", "failed"] {
		assert_eq!(changes.try_recv(), Ok(id));
	}
	assert!(changes.try_recv().is_err());
}
