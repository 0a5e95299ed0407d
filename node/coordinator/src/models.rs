//! The models on the chain, as applications name them.
//!
//! Anyone may register a model under any name, also under one that others have or had. Whoever asks for a name, has set it, or has bound a key to it
//! must not be served a stranger's model because the one that they mean takes no tasks any more. So:
//!
//! * a name means the model that had it first, as long as that one takes tasks;
//! * once it takes none, the name is *ambiguous* if a later model of this name takes tasks: it is refused, and means nothing until the first one is back;
//! * a model's number on chain, as decimal text, means this model and no other, and can stand wherever a name can. A name that looks like a number is
//!   never taken for a name.
//!
//! The list is read from the chain when it is needed and kept. It is read by one at a time, and nobody who can be served from the one that is kept waits for that.

use std::{
	collections::BTreeMap,
	sync::{Arc, Mutex, MutexGuard, PoisonError},
	time::{Duration, Instant},
};

use axum::http::StatusCode;
use cuckoo_primitives::{views::ModelView, ModelId, ModelKind};
use tokio::sync::watch;

use crate::{
	chain::{Answer, Chain, ChainError},
	error::ApiError,
};

/// How old the list may be, for what.
#[derive(Clone, Copy, Debug)]
struct Ages {
	/// A list this old is read again, beside the requests that it goes on to serve.
	fresh: Duration,
	/// From the beginning of one read to that of the next at least: names that nobody has cost the node next to nothing.
	pause: Duration,
	/// A list this old is not used any more. Jobs are accepted while the node is away, to be posted when it is back; but after this long what the models cost and
	/// whether they take tasks is a guess.
	oldest: Duration,
}

const AGES: Ages = Ages {
	fresh: Duration::from_secs(60),
	pause: Duration::from_secs(3),
	oldest: Duration::from_secs(3_600),
};

/// Why nobody can say which model is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
	/// The node does not answer.
	#[error(transparent)]
	Chain(#[from] ChainError),
	/// The first model of this name takes no tasks, and a later one does.
	#[error(
		"the name {0:?} is ambiguous: the first model of this name takes no tasks now, and another one has it, too; ask for a model by its number, as in \
		 \"model\": \"12\"; GET /v1/models lists them"
	)]
	Ambiguous(String),
}

impl From<FindError> for ApiError {
	fn from(error: FindError) -> Self {
		match error {
			FindError::Chain(error) => error.into(),
			FindError::Ambiguous(_) => {
				let code = "model_ambiguous";
				let ambiguous = Self::new(StatusCode::NOT_FOUND, code, error.to_string());
				Self { param: Some("model"), ..ambiguous }
			},
		}
	}
}

/// The number that a text is, as it is written: without signs, spaces, and noughts before it.
pub fn number(text: &str) -> Option<ModelId> {
	let number: ModelId = text.parse().ok()?;
	(number.to_string() == text).then_some(number)
}

/// Whether a text looks like a number, be it one that no model can have: then it is no name.
fn is_number(text: &str) -> bool {
	!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What is asked of the chain.
trait Source: Send + Sync {
	/// Every model.
	fn models(&self) -> Answer<'_, Vec<ModelView>>;
}

impl Source for Arc<dyn Chain> {
	fn models(&self) -> Answer<'_, Vec<ModelView>> {
		Chain::models(&**self)
	}
}

/// What is known of the chain's models.
pub struct Catalogue {
	shared: Arc<Shared>,
	ages: Ages,
}

/// What a read that is under way has in common with those who wait for it.
struct Shared {
	source: Box<dyn Source>,
	/// Locked for moments only.
	state: Mutex<State>,
}

struct State {
	/// What was read last.
	list: Option<Arc<List>>,
	/// When the last read began.
	begun: Option<Instant>,
	/// Why it failed, if it did.
	error: Option<ChainError>,
	/// Closed once it is over, however it ended.
	over: watch::Receiver<()>,
}

impl Catalogue {
	/// Over a chain; read when first asked.
	pub fn new(chain: Arc<dyn Chain>) -> Self {
		Self::over(Box::new(chain), AGES)
	}

	fn over(source: Box<dyn Source>, ages: Ages) -> Self {
		// Its other end is dropped at once: no read is under way.
		let (_, over) = watch::channel(());
		let state = State { list: None, begun: None, error: None, over };
		Self { shared: Arc::new(Shared { source, state: Mutex::new(state) }), ages }
	}

	/// The models that can be asked for, each under the name that means it and no other: its own, or else its number.
	pub async fn active(&self) -> Result<Vec<(String, ModelView)>, ChainError> {
		let list = self.list().await?;
		Ok(list.active().map(|model| list.named(model)).collect())
	}

	/// The model that a name or a number means, under the name that means it and no other.
	///
	/// What is not in the list may be new, so that the list is read again. Fails if that fails, and where the name is ambiguous.
	pub async fn find(&self, asked: &str) -> Result<Option<(String, ModelView)>, FindError> {
		let mut list = self.list().await?;
		if matches!(list.choose(asked), Ok(None)) {
			list = self.newer().await?;
		}
		Ok(list.choose(asked)?.map(|model| list.named(model)))
	}

	/// The only active model of a kind, if there is just one, as [`find`](Self::find) gives it.
	pub async fn only(&self, kind: ModelKind) -> Result<Option<(String, ModelView)>, ChainError> {
		let mut list = self.list().await?;
		if !list.active().any(|model| model.kind == kind) {
			list = self.newer().await?;
		}
		let mut of_kind = list.active().filter(|model| model.kind == kind);
		let only = of_kind.next().filter(|_| of_kind.next().is_none());
		Ok(only.map(|model| list.named(model)))
	}

	/// The list that is kept, if it can be used; else a new one.
	async fn list(&self) -> Result<Arc<List>, ChainError> {
		let kept = self.shared.state().list.clone();
		match kept.filter(|list| list.read.elapsed() < self.ages.oldest) {
			Some(list) => {
				if list.read.elapsed() >= self.ages.fresh {
					self.read();
				}
				Ok(list)
			},
			None => self.newer().await,
		}
	}

	/// What the last read came to, after the one that is under way, or that begins now because the last one is some time ago.
	async fn newer(&self) -> Result<Arc<List>, ChainError> {
		let mut over = self.read();
		// Nothing is ever sent: what comes is the end.
		while over.changed().await.is_ok() {}
		let state = self.shared.state();
		match (&state.error, &state.list) {
			(Some(error), _) => Err(error.clone()),
			(None, Some(list)) => Ok(list.clone()),
			(None, None) => {
				Err(ChainError { what: "models", why: "the question was given up".into() })
			},
		}
	}

	/// Begins to read the list, unless that is under way, or was begun a moment ago. Returns what is closed once it is over.
	fn read(&self) -> watch::Receiver<()> {
		let now = Instant::now();
		let mut state = self.shared.state();
		let under_way = state.over.has_changed().is_ok();
		let lately = state.begun.is_some_and(|begun| now.duration_since(begun) < self.ages.pause);
		if !under_way && !lately {
			let (ends, over) = watch::channel(());
			state.begun = Some(now);
			state.over = over;
			let shared = self.shared.clone();
			// By itself: the request that asked may be broken off, and others wait for the answer.
			tokio::spawn(async move {
				// Dropped at the end, whatever it is.
				let _ends = ends;
				let read = shared.source.models().await;
				shared.note(read, now);
			});
		}
		state.over.clone()
	}
}

impl Shared {
	fn state(&self) -> MutexGuard<'_, State> {
		self.state.lock().unwrap_or_else(PoisonError::into_inner)
	}

	/// Notes what a read came to that began then. An old list is better than none.
	fn note(&self, read: Result<Vec<ModelView>, ChainError>, begun: Instant) {
		let read = read.map(|models| Arc::new(List::new(models, begun)));
		let mut state = self.state();
		match read {
			Ok(list) => {
				state.list = Some(list);
				state.error = None;
			},
			Err(error) => {
				tracing::warn!(%error, "the list of models could not be read");
				state.error = Some(error);
			},
		}
	}
}

/// The chain's models at one time.
struct List {
	/// In the order of their numbers, which is that in which they were registered.
	models: Vec<ModelView>,
	/// What each name means.
	names: BTreeMap<String, Meaning>,
	/// When the chain was asked.
	read: Instant,
}

/// What a name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
	/// The model that had it first: where it is in the list.
	First(usize),
	/// No model, because none that has it takes tasks.
	Nothing,
	/// No model, because a later one takes tasks and the first one does not.
	Ambiguous,
}

impl List {
	fn new(mut models: Vec<ModelView>, read: Instant) -> Self {
		models.sort_by_key(|model| model.model);
		let mut names = BTreeMap::new();
		for (place, model) in models.iter().enumerate() {
			if is_number(&model.name) {
				continue;
			}
			let first = if model.active { Meaning::First(place) } else { Meaning::Nothing };
			let later = |meaning: &mut Meaning| {
				if model.active && *meaning == Meaning::Nothing {
					*meaning = Meaning::Ambiguous;
				}
			};
			names.entry(model.name.clone()).and_modify(later).or_insert(first);
		}
		Self { models, names, read }
	}

	fn active(&self) -> impl Iterator<Item = &ModelView> {
		self.models.iter().filter(|model| model.active)
	}

	/// The active model that a name or a number means.
	fn choose(&self, asked: &str) -> Result<Option<&ModelView>, FindError> {
		if is_number(asked) {
			let asked = number(asked);
			return Ok(self.active().find(|model| asked == Some(model.model)));
		}
		match self.names.get(asked) {
			Some(Meaning::First(place)) => Ok(self.models.get(*place)),
			Some(Meaning::Ambiguous) => Err(FindError::Ambiguous(asked.into())),
			Some(Meaning::Nothing) | None => Ok(None),
		}
	}

	/// A model under the name that means it and no other.
	fn named(&self, model: &ModelView) -> (String, ModelView) {
		let own = matches!(self.choose(&model.name), Ok(Some(it)) if it.model == model.model);
		let name = if own { model.name.clone() } else { model.model.to_string() };
		(name, model.clone())
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use cuckoo_primitives::tolerance::Tolerance;
	use futures::FutureExt;
	use sp_core::H256;
	use std::{
		collections::VecDeque,
		sync::atomic::{AtomicUsize, Ordering},
	};
	use tokio::{
		sync::Semaphore,
		task::{yield_now, JoinHandle},
	};

	const HOUR: Duration = Duration::from_secs(3_600);
	/// Reads again whenever that is asked for.
	const EAGER: Ages = Ages { fresh: Duration::ZERO, pause: Duration::ZERO, oldest: HOUR };
	/// Never does.
	const PATIENT: Ages = Ages { fresh: Duration::ZERO, pause: HOUR, oldest: HOUR };

	fn model(model: ModelId, name: &str, active: bool) -> ModelView {
		ModelView {
			model,
			name: name.into(),
			kind: ModelKind::TextToImage,
			manifest: H256::zero(),
			min_fee: 1,
			work_window: 10,
			tolerance: Some(Tolerance::Approx { agree: 1_000, wrong: 4_000 }),
			reference_ms: 1,
			active,
		}
	}

	fn shapes() -> Vec<ModelView> {
		vec![model(1, "shapes", true)]
	}

	fn shapes_and_circles() -> Vec<ModelView> {
		vec![model(1, "shapes", true), model(2, "circles", true)]
	}

	fn gone() -> ChainError {
		ChainError { what: "models", why: "gone".into() }
	}

	/// A node that answers when a test lets it.
	struct Node {
		/// What it says, before it is gone.
		answers: Mutex<VecDeque<Vec<ModelView>>>,
		/// One for each question that it may answer.
		turns: Semaphore,
		asked: AtomicUsize,
	}

	impl Node {
		fn asked(&self) -> usize {
			self.asked.load(Ordering::SeqCst)
		}
	}

	impl Source for Arc<Node> {
		fn models(&self) -> Answer<'_, Vec<ModelView>> {
			self.asked.fetch_add(1, Ordering::SeqCst);
			async move {
				self.turns.acquire().await.unwrap().forget();
				let answer = self.answers.lock().unwrap().pop_front();
				answer.ok_or_else(gone)
			}
			.boxed()
		}
	}

	fn over(
		answers: impl Into<VecDeque<Vec<ModelView>>>,
		turns: usize,
		ages: Ages,
	) -> (Arc<Node>, Catalogue) {
		let answers = Mutex::new(answers.into());
		let node = Node { answers, turns: Semaphore::new(turns), asked: AtomicUsize::new(0) };
		let node = Arc::new(node);
		(node.clone(), Catalogue::over(Box::new(node), ages))
	}

	async fn find(catalogue: &Catalogue, asked: &str) -> Result<Option<ModelId>, FindError> {
		Ok(catalogue.find(asked).await?.map(|(_, model)| model.model))
	}

	type Found = JoinHandle<Result<Option<ModelId>, FindError>>;

	fn ask(catalogue: &Arc<Catalogue>, asked: &'static str) -> Found {
		let catalogue = catalogue.clone();
		tokio::spawn(async move { find(&catalogue, asked).await })
	}

	/// Lets everything happen that can.
	async fn settle() {
		for _ in 0..50 {
			yield_now().await;
		}
	}

	#[tokio::test]
	async fn while_one_reads_others_are_served_the_old_list() {
		let (node, catalogue) = over([shapes(), shapes_and_circles()], 1, EAGER);
		let catalogue = Arc::new(catalogue);
		for _ in 0..10 {
			assert_eq!(find(&catalogue, "shapes").await, Ok(Some(1)));
			assert_eq!(catalogue.active().await.unwrap().len(), 1);
			settle().await;
		}
		assert_eq!(node.asked(), 2, "one read at a time");
		let (one, other) = (ask(&catalogue, "circles"), ask(&catalogue, "2"));
		settle().await;
		assert!(!one.is_finished() && !other.is_finished(), "they may be new");
		assert_eq!(find(&catalogue, "shapes").await, Ok(Some(1)));
		node.turns.add_permits(1);
		assert_eq!((one.await.unwrap(), other.await.unwrap()), (Ok(Some(2)), Ok(Some(2))));
		assert_eq!(node.asked(), 2);
	}

	#[tokio::test]
	async fn before_there_is_a_list_all_wait_for_one_read_whoever_goes_away() {
		let (node, catalogue) = over([shapes()], 0, PATIENT);
		let catalogue = Arc::new(catalogue);
		let first = ask(&catalogue, "shapes");
		settle().await;
		let others = [(); 3].map(|()| ask(&catalogue, "shapes"));
		first.abort();
		settle().await;
		assert!(others.iter().all(|other| !other.is_finished()));
		node.turns.add_permits(1);
		for other in others {
			assert_eq!(other.await.unwrap(), Ok(Some(1)));
		}
		assert_eq!(node.asked(), 1);
	}

	#[tokio::test]
	async fn what_is_unknown_has_the_list_read_again_but_not_at_once() {
		let (node, catalogue) = over([shapes(), shapes_and_circles()], 9, PATIENT);
		for unknown in ["circles", "2", ""] {
			assert_eq!(find(&catalogue, unknown).await, Ok(None));
		}
		assert_eq!(catalogue.only(ModelKind::Tensor).await, Ok(None));
		assert_eq!(node.asked(), 1);

		let (node, catalogue) = over([shapes(), shapes_and_circles()], 9, EAGER);
		assert_eq!(find(&catalogue, "circles").await, Ok(Some(2)));
		assert_eq!(node.asked(), 2);
	}

	#[tokio::test]
	async fn a_node_that_is_away_leaves_the_old_list_in_use_until_it_is_too_old() {
		let (node, mut catalogue) = over([shapes()], 99, EAGER);
		for _ in 0..3 {
			assert_eq!(find(&catalogue, "shapes").await, Ok(Some(1)));
			assert_eq!(catalogue.active().await.unwrap().len(), 1);
			settle().await;
		}
		assert!(node.asked() > 1);
		let away = Err(FindError::Chain(gone()));
		assert_eq!(find(&catalogue, "circles").await, away, "nobody can say");
		catalogue.ages.oldest = Duration::ZERO;
		assert_eq!(find(&catalogue, "shapes").await, away);
		assert_eq!(catalogue.active().await, Err(gone()));
		assert_eq!(catalogue.only(ModelKind::TextToImage).await, Err(gone()));
		node.answers.lock().unwrap().push_back(shapes_and_circles());
		assert_eq!(find(&catalogue, "circles").await, Ok(Some(2)));
	}

	#[tokio::test]
	async fn the_only_model_of_a_kind_needs_no_name() {
		let (_, catalogue) = over([shapes()], 1, PATIENT);
		let (name, only) = catalogue.only(ModelKind::TextToImage).await.unwrap().unwrap();
		assert_eq!((name.as_str(), only.model), ("shapes", 1));
		let (_, catalogue) = over([shapes_and_circles()], 1, PATIENT);
		assert_eq!(catalogue.only(ModelKind::TextToImage).await, Ok(None));
	}

	/// Names with a past.
	fn history() -> List {
		let mut models = vec![
			model(0, "shapes", false),
			model(1, "shapes", true),
			model(2, "shapes", true),
			model(3, "circles", true),
			model(4, "circles", true),
			model(5, "circles", false),
			model(6, "gone", false),
			model(7, "lost", false),
			model(8, "lost", false),
			model(9, "3", true),
			model(10, "odd@2", true),
		];
		models.reverse();
		List::new(models, Instant::now())
	}

	#[test]
	fn a_name_means_the_first_model_that_had_it_or_none() {
		let list = history();
		let choose = |asked: &str| list.choose(asked).map(|found| found.map(|model| model.model));
		assert_eq!(choose("shapes"), Err(FindError::Ambiguous("shapes".into())));
		assert_eq!(choose("circles"), Ok(Some(3)));
		assert_eq!(choose("odd@2"), Ok(Some(10)));
		for nothing in ["gone", "lost", "squares", "", "shapes@2", "Circles"] {
			assert_eq!(choose(nothing), Ok(None), "{nothing:?}");
		}
	}

	#[test]
	fn a_number_means_one_model_and_is_no_name() {
		let list = history();
		let choose = |asked: &str| list.choose(asked).unwrap().map(|model| model.model);
		for active in [1, 2, 3, 4, 9, 10] {
			assert_eq!(choose(&active.to_string()), Some(active));
		}
		assert_eq!(choose("3"), Some(3), "another one is called 3");
		for nothing in ["0", "03", "5", "11", "4294967299", "+3", "-3", " 3", "3.0"] {
			assert_eq!(choose(nothing), None, "{nothing:?}");
		}
		assert_eq!((number("0"), number("7")), (Some(0), Some(7)));
		for other in ["4294967296", "+7", "07", "00", " 7", ""] {
			assert_eq!(number(other), None, "{other:?}");
		}
	}

	#[test]
	fn a_listed_name_leads_to_its_model() {
		let list = history();
		let listed: Vec<_> = list.active().map(|model| list.named(model).0).collect();
		assert_eq!(listed, ["1", "2", "circles", "4", "9", "odd@2"]);
		for model in list.active() {
			let (name, _) = list.named(model);
			assert_eq!(list.choose(&name).unwrap(), Some(model), "{name}");
		}
	}

	#[test]
	fn an_ambiguous_name_is_refused_with_what_to_do_instead() {
		let error = ApiError::from(history().choose("shapes").unwrap_err());
		assert_eq!((error.status, error.code), (StatusCode::NOT_FOUND, "model_ambiguous"));
		assert_eq!(error.param, Some("model"));
		assert!(error.message.contains("number"), "{}", error.message);
		let away = ApiError::from(FindError::from(gone()));
		assert_eq!(away.status, StatusCode::SERVICE_UNAVAILABLE);
	}
}
