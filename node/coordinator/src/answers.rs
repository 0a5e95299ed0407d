//! Turns for large answers. Each holds up to 64 MiB of a miner's output or input, and what is made of it, until its reader has taken it all; so there is only
//! so much of it at a time, not all of one reader's, and whoever takes it too slowly loses it. Applications and miners do not wait for each other.
//!
//! An answer below 1 MiB needs no turn: those are bounded by the number of connections.

use std::{
	collections::HashMap,
	hash::Hash,
	io,
	pin::Pin,
	sync::{Arc, Mutex, PoisonError},
	task::{Context, Poll},
	time::{Duration, Instant},
};

use axum::{
	body::{to_bytes, Body, Bytes, HttpBody},
	response::{IntoResponse, Response},
};
use hyper::body::{Frame, SizeHint};
use tokio::{
	sync::{OwnedSemaphorePermit, Semaphore},
	time::timeout,
};

use crate::error::ApiError;

const MIB: u64 = 1 << 20;
/// How many bytes of an answer are given away at a time; between two such pieces it is seen whether they go too slowly.
const PIECE: usize = 64 << 10;

/// How much there may be at a time, and how fast it must be taken.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
	/// How many MiB all answers have together.
	all: u32,
	/// How many of them those of one reader.
	of_one: u32,
	/// How long an answer waits for its turn.
	patience: Duration,
	/// How long any of them may take.
	grace: Duration,
	/// For so many bytes it may take a second longer.
	rate: u64,
}

/// For applications: what 64 MiB of outputs become takes up to 192 MiB for a moment. A line of half a Mbit/s will do.
pub const TO_APPLICATIONS: Terms = Terms {
	all: 384,
	of_one: 192,
	patience: Duration::from_secs(30),
	grace: Duration::from_secs(60),
	rate: 64 << 10,
};

/// For miners, whose inputs go as they are. They wait no longer than 20 s for an answer's headers, and 120 s for all of it.
pub const TO_MINERS: Terms = Terms {
	all: 192,
	of_one: 64,
	patience: Duration::from_secs(15),
	grace: Duration::from_secs(30),
	rate: 512 << 10,
};

/// The turns, by whose they are.
pub struct Answers<R> {
	terms: Terms,
	/// A permit for each MiB.
	all: Arc<Semaphore>,
	/// The same for each reader that has or waits for a turn.
	readers: Mutex<HashMap<R, Arc<Semaphore>>>,
}

impl<R: Eq + Hash> Answers<R> {
	/// On these terms.
	pub fn new(terms: Terms) -> Self {
		let all = Arc::new(Semaphore::new(permits(terms.all)));
		Self { terms, all, readers: Mutex::default() }
	}

	/// A turn for an answer that takes this many bytes at most while it is made and until it was sent; one reader's whole share, if they are more. An error,
	/// 503, if it does not come in time.
	pub async fn turn(&self, reader: R, bytes: u64) -> Result<Turn, ApiError> {
		if bytes < MIB {
			return Ok(Turn { terms: self.terms, room: None });
		}
		let own = {
			// A plain map: whoever panicked while holding it left nothing half done.
			let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
			// Whoever has no turn needs no place here.
			readers.retain(|_, own| Arc::strong_count(own) > 1);
			let new = || Arc::new(Semaphore::new(permits(self.terms.of_one)));
			let own = readers.entry(reader).or_insert_with(new);
			own.clone()
		};
		let needed = mib(bytes).min(self.terms.of_one);
		let room = async {
			let own = own.acquire_many_owned(needed).await.ok()?;
			Some([own, self.all.clone().acquire_many_owned(needed).await.ok()?])
		};
		match timeout(self.terms.patience, room).await {
			Ok(Some(room)) => Ok(Turn { terms: self.terms, room: Some(room) }),
			Ok(None) | Err(_) => {
				Err(ApiError::busy("too many large answers at a time; try again in a moment"))
			},
		}
	}
}

/// MiB, of which the last may be begun.
fn mib(bytes: u64) -> u32 {
	u32::try_from(bytes.div_ceil(MIB)).unwrap_or(u32::MAX)
}

fn permits(mib: u32) -> usize {
	usize::try_from(mib).unwrap_or(usize::MAX)
}

/// Room for an answer, until it is dropped.
pub struct Turn {
	terms: Terms,
	/// Of its reader's share and of all; `None`: it needs none.
	room: Option<[OwnedSemaphorePermit; 2]>,
}

impl Turn {
	/// The answer, which keeps as much of the room as it has bytes until the last of them was written, or the connection has ended.
	pub async fn keep(self, answer: impl IntoResponse) -> Result<Response, ApiError> {
		let (parts, body) = answer.into_response().into_parts();
		let Some(room) = self.room else { return Ok(Response::from_parts(parts, body)) };
		// It is there already, in one piece, which is not copied.
		let bytes = to_bytes(body, usize::MAX).await.map_err(ApiError::internal)?;
		let size = bytes.len() as u64;
		let body = if size < MIB {
			Body::from(bytes)
		} else {
			let needed = permits(mib(size));
			let room = room.map(|mut all| all.split(needed).unwrap_or(all));
			let left = Bytes::from_owner(Held { bytes, _room: room });
			Body::new(Sent { left, size, began: Instant::now(), terms: self.terms })
		};
		Ok(Response::from_parts(parts, body))
	}
}

/// The bytes of an answer. The room belongs to them, not to the body: hyper drops that once it has given its last piece, which may wait to be written for long.
struct Held {
	bytes: Bytes,
	_room: [OwnedSemaphorePermit; 2],
}

impl AsRef<[u8]> for Held {
	fn as_ref(&self) -> &[u8] {
		&self.bytes
	}
}

/// The body of an answer, which ends in an error if it is taken too slowly.
struct Sent {
	left: Bytes,
	/// How many bytes there were.
	size: u64,
	began: Instant,
	terms: Terms,
}

impl Sent {
	fn is_late(&self) -> bool {
		let Terms { grace, rate, .. } = self.terms;
		let taken = self.size.saturating_sub(self.left.len() as u64);
		let earned = Duration::from_millis(taken.saturating_mul(1_000) / rate.max(1));
		self.began.elapsed() > grace.saturating_add(earned)
	}
}

impl HttpBody for Sent {
	type Data = Bytes;
	type Error = io::Error;

	fn poll_frame(
		mut self: Pin<&mut Self>,
		_: &mut Context<'_>,
	) -> Poll<Option<io::Result<Frame<Bytes>>>> {
		if self.left.is_empty() {
			return Poll::Ready(None);
		}
		if self.is_late() {
			// So that it is not asked for more.
			self.left = Bytes::new();
			return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
		}
		let next = self.left.len().min(PIECE);
		let piece = self.left.split_to(next);
		Poll::Ready(Some(Ok(Frame::data(piece))))
	}

	fn is_end_stream(&self) -> bool {
		self.left.is_empty()
	}

	fn size_hint(&self) -> SizeHint {
		SizeHint::with_exact(self.left.len() as u64)
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use futures::StreamExt;

	const SIZE: u64 = 3 * MIB + 5;
	const TERMS: Terms =
		Terms { all: 12, of_one: 8, patience: Duration::from_millis(50), ..TO_APPLICATIONS };

	/// How many MiB are free.
	fn free(answers: &Answers<u8>) -> usize {
		answers.all.available_permits()
	}

	fn answer() -> Vec<u8> {
		vec![7; usize::try_from(SIZE).unwrap()]
	}

	#[tokio::test]
	async fn an_answer_has_its_turn_until_it_was_sent() {
		let answers = Answers::new(TERMS);
		let turn = answers.turn(1, 2 * SIZE).await.unwrap();
		assert_eq!(free(&answers), 5);
		let answer = turn.keep(([("x-said", "yes")], answer())).await.unwrap();
		assert_eq!(free(&answers), 8);
		assert_eq!(answer.headers()["x-said"], "yes");
		let body = answer.into_body();
		assert_eq!(body.size_hint().exact(), Some(SIZE));
		let mut pieces: Vec<Bytes> = Vec::new();
		let mut stream = body.into_data_stream();
		while let Some(piece) = stream.next().await {
			pieces.push(piece.unwrap());
		}
		drop(stream);
		assert_eq!(pieces.iter().map(Bytes::len).sum::<usize>() as u64, SIZE);
		assert!(pieces.iter().flatten().all(|byte| *byte == 7));
		// The last of them still waits to be written.
		let last = pieces.pop();
		drop(pieces);
		assert_eq!(free(&answers), 8);
		drop(last);
		assert_eq!(free(&answers), 12);
	}

	#[tokio::test]
	async fn what_is_small_after_all_gives_its_turn_back() {
		let answers = Answers::new(TERMS);
		let turn = answers.turn(1, SIZE).await.unwrap();
		let answer = turn.keep("small").await.unwrap();
		assert_eq!(free(&answers), 12);
		assert_eq!(to_bytes(answer.into_body(), 10).await.unwrap(), "small");
		// And an answer that was never sent.
		let kept = answers.turn(1, SIZE).await.unwrap().keep(self::answer()).await.unwrap();
		assert_eq!(free(&answers), 8);
		drop(kept);
		assert_eq!(free(&answers), 12);
	}

	#[tokio::test]
	async fn nobody_has_all_turns_and_whoever_waits_too_long_is_told_so() {
		let answers = Answers::new(TERMS);
		let mut held = vec![answers.turn(1, 6 * MIB).await.unwrap()];
		let busy = answers.turn(1, 3 * MIB).await.err().unwrap();
		assert_eq!((busy.status.as_u16(), busy.code), (503, "busy"));
		assert!(busy.retry_after.is_some());
		held.push(answers.turn(2, 5 * MIB).await.unwrap());
		assert!(answers.turn(3, 2 * MIB).await.is_err(), "there is no room");
		// Small ones need none.
		held.push(answers.turn(3, MIB - 1).await.unwrap());
		held.remove(0);
		held.push(answers.turn(3, 2 * MIB).await.unwrap());
		drop(held);
		// More than anybody may have is all that one may have.
		let all = answers.turn(1, u64::MAX).await.unwrap();
		assert_eq!((free(&answers), answers.readers.lock().unwrap().len()), (4, 1));
		drop(all);
	}

	#[tokio::test]
	async fn whoever_takes_an_answer_too_slowly_loses_it() {
		let terms = Terms { grace: Duration::from_millis(300), rate: u64::MAX, ..TERMS };
		let answers = Answers::new(terms);
		let answer = answers.turn(1, SIZE).await.unwrap().keep(answer()).await.unwrap();
		let mut stream = answer.into_body().into_data_stream();
		assert_eq!(stream.next().await.unwrap().unwrap().len(), PIECE);
		tokio::time::sleep(2 * terms.grace).await;
		assert!(stream.next().await.unwrap().is_err());
		assert_eq!(free(&answers), 12);
	}

	#[test]
	fn who_has_taken_more_has_more_time() {
		let began = Instant::now();
		let terms = Terms { grace: Duration::ZERO, rate: 1, ..TERMS };
		let of = |left: usize| Sent { left: vec![0; left].into(), size: 10, began, terms };
		std::thread::sleep(Duration::from_millis(10));
		// A second for each byte.
		assert!(of(10).is_late() && !of(9).is_late() && !of(0).is_late());
	}
}
