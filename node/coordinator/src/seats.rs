//! What is asked of the node for a miner's request: whether its operator holds a seat. Anybody can sign such a request, so only some of these questions are
//! asked at a time, and whoever was refused a moment ago is refused again without one.

use std::{
	collections::{HashMap, VecDeque},
	future::Future,
	sync::{Mutex, PoisonError},
	time::{Duration, Instant},
};

use cuckoo_primitives::{BlockNumber, TaskId};
use sp_core::crypto::AccountId32;
use tokio::{sync::Semaphore, time::timeout};

use crate::{chain::ChainError, error::ApiError};

/// How many questions are asked at a time. The node has others to answer: the poster's, the watcher's.
const QUESTIONS: usize = 16;
/// How long a question waits until it is asked.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a refusal is remembered at most: about a block.
const REMEMBERED: Duration = Duration::from_secs(3);
/// How many of them are.
const MOST: usize = 10_000;

/// What an operator was refused: to have any seat here, or to deliver for a task.
pub type Wish = (AccountId32, Option<TaskId>);

/// The questions, and what came of some.
pub struct Seats {
	questions: Semaphore,
	patience: Duration,
	refused: Mutex<Refused>,
}

#[derive(Default)]
struct Refused {
	/// Each with the newest block that was known when the node was asked.
	wishes: HashMap<Wish, Option<BlockNumber>>,
	/// The same, oldest first.
	order: VecDeque<(Instant, Wish)>,
}

impl Default for Seats {
	fn default() -> Self {
		let questions = Semaphore::new(QUESTIONS);
		Self { questions, patience: PATIENCE, refused: Mutex::default() }
	}
}

impl Seats {
	/// The node's answer to a question, which waits for its turn. An error, 503, if that does not come in time, or the answer does not.
	pub async fn ask<T>(
		&self,
		question: impl Future<Output = Result<T, ChainError>>,
	) -> Result<T, ApiError> {
		match timeout(self.patience, self.questions.acquire()).await {
			Ok(Ok(_turn)) => Ok(question.await?),
			Ok(Err(_)) | Err(_) => {
				Err(ApiError::busy("too many ask for their seats at a time; try again in a moment"))
			},
		}
	}

	/// Whether this was refused a moment ago, and no other block is known since. `block` is the newest that is.
	pub fn was_refused(&self, wish: &Wish, block: Option<BlockNumber>) -> bool {
		// Whoever panicked while holding it left at worst something that is forgotten too early.
		let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
		refused.forget(Instant::now());
		refused.wishes.get(wish).is_some_and(|then| *then == block)
	}

	/// Remembers a refusal. `block` was the newest that was known when the node was asked.
	pub fn refuse(&self, wish: Wish, block: Option<BlockNumber>) {
		let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
		let now = Instant::now();
		refused.forget(now);
		if refused.wishes.insert(wish.clone(), block).is_none() {
			refused.order.push_back((now, wish));
		}
		while refused.order.len() > MOST {
			refused.forget_oldest();
		}
	}
}

impl Refused {
	/// Forgets what is too old.
	fn forget(&mut self, now: Instant) {
		while self.order.front().is_some_and(|(at, _)| now.duration_since(*at) >= REMEMBERED) {
			self.forget_oldest();
		}
	}

	fn forget_oldest(&mut self) {
		if let Some((_, wish)) = self.order.pop_front() {
			self.wishes.remove(&wish);
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use futures::{future::join_all, poll};
	use std::pin::pin;

	fn operator(number: u64) -> AccountId32 {
		let mut account = [0; 32];
		account[..8].copy_from_slice(&number.to_le_bytes());
		AccountId32::new(account)
	}

	#[tokio::test]
	async fn few_questions_are_asked_at_a_time() {
		let seats = Seats { patience: Duration::from_millis(50), ..Seats::default() };
		let never = || seats.ask(std::future::pending::<Result<(), ChainError>>());
		let mut asked = pin!(join_all((0..QUESTIONS).map(|_| never())));
		assert!(poll!(asked.as_mut()).is_pending());
		let busy = seats.ask(async { Ok(()) }).await.unwrap_err();
		assert_eq!((busy.status.as_u16(), busy.code), (503, "busy"));
		assert!(busy.retry_after.is_some());
	}

	#[tokio::test]
	async fn an_answer_or_none_makes_way_for_the_next_question() {
		let seats = Seats { questions: Semaphore::new(1), ..Seats::default() };
		assert_eq!(seats.ask(async { Ok(5) }).await.unwrap(), 5);
		let away = ChainError { what: "seats", why: "away".into() };
		let error = seats.ask(async { Err::<(), _>(away) }).await.unwrap_err();
		assert_eq!(error.code, "chain_unavailable");
		assert_eq!(seats.ask(async { Ok(6) }).await.unwrap(), 6);
	}

	#[test]
	fn a_refusal_is_good_until_the_next_block_and_for_its_wish_alone() {
		let seats = Seats::default();
		let wish = (operator(1), Some(4));
		assert!(!seats.was_refused(&wish, Some(10)));
		seats.refuse(wish.clone(), Some(10));
		assert!(seats.was_refused(&wish, Some(10)));
		for other in [(operator(2), Some(4)), (operator(1), Some(5)), (operator(1), None)] {
			assert!(!seats.was_refused(&other, Some(10)));
		}
		assert!(!seats.was_refused(&wish, Some(11)));
		seats.refuse(wish.clone(), Some(11));
		assert!(seats.was_refused(&wish, Some(11)));
		assert_eq!(seats.refused.lock().unwrap().order.len(), 1);
		// And not for long, if no block is seen.
		let mut refused = seats.refused.lock().unwrap();
		refused.forget(Instant::now());
		assert_eq!(refused.wishes.len(), 1);
		refused.forget(Instant::now() + REMEMBERED);
		assert!(refused.wishes.is_empty() && refused.order.is_empty());
	}

	#[test]
	fn no_more_are_remembered_than_there_is_room_for() {
		let seats = Seats::default();
		let last = MOST as u64 + 5;
		for number in 0..=last {
			seats.refuse((operator(number), None), None);
		}
		let refused = seats.refused.lock().unwrap();
		assert!(refused.wishes.len() <= MOST);
		assert_eq!(refused.wishes.len(), refused.order.len());
		assert!(!refused.wishes.contains_key(&(operator(0), None)));
		assert!(refused.wishes.contains_key(&(operator(last), None)));
	}
}
