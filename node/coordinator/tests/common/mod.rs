//! A chain that does what a test says, a coordinator on it, and a miner that can also misbehave.

#![allow(dead_code, reason = "each test file uses its part")]

use std::{
	collections::{BTreeMap, HashMap, VecDeque},
	path::Path,
	sync::{Arc, Mutex, MutexGuard},
	time::Duration,
};

use cuckoo_client::{
	request::{self, Sign},
	Keypair, TxError,
};
use cuckoo_coordinator::{
	blobs::Blobs,
	book::Book,
	chain::{Answer, At, Chain, Offer, Post, PostError, Posted},
	config::Config,
	keys::{self, Keys},
	metrics,
	server::{serve, App},
};
use cuckoo_primitives::{
	merkle,
	tolerance::Tolerance,
	views::{Duty, ModelView, OperatorView, Seat, SeatKind, TaskBlocks, TaskPhase, TaskView},
	work::Inputs,
	ModelId, ModelKind, Role, TaskId, CAI,
};
use futures::{future::BoxFuture, FutureExt};
use reqwest::{Client, Response};
use safetensors::{tensor::TensorView, Dtype};
use sp_core::{crypto::AccountId32, H256};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

pub const GENESIS: H256 = H256::repeat_byte(0xc0);
pub const COORDINATOR: AccountId32 = AccountId32::new([1; 32]);
pub const OWNER: AccountId32 = AccountId32::new([2; 32]);
pub const MINER_OWNER: AccountId32 = AccountId32::new([3; 32]);
const TICK: Duration = Duration::from_millis(20);

/// What happens to a post, if not what should.
pub enum Fault {
	/// It goes in, and the poster never hears of it.
	InButUnheard,
	/// It is lost, and the poster cannot know.
	Lost,
	/// The chain refuses it.
	Refused,
}

#[derive(Default)]
struct State {
	block: u32,
	tasks: BTreeMap<TaskId, TaskView>,
	seats: HashMap<AccountId32, Vec<Seat>>,
	/// The operator behind [`MINER_OWNER`].
	drawn_last: Option<AccountId32>,
	faults: VecDeque<Fault>,
	posts: usize,
	/// What is registered, if not what usually is.
	models: Option<Vec<ModelView>>,
}

/// A chain in memory. Every block is final at once.
#[derive(Default)]
pub struct FakeChain(Mutex<State>);

impl FakeChain {
	pub fn new() -> Arc<Self> {
		let chain = Self::default();
		chain.state().block = 10;
		Arc::new(chain)
	}

	fn state(&self) -> MutexGuard<'_, State> {
		self.0.lock().unwrap()
	}

	pub fn advance(&self, blocks: u32) {
		self.state().block += blocks;
	}

	pub fn fail_next_post(&self, fault: Fault) {
		self.state().faults.push_back(fault);
	}

	/// Registers these models in the place of those that there are.
	pub fn set_models(&self, models: Vec<ModelView>) {
		self.state().models = Some(models);
	}

	/// How many posts reached the chain or got lost on the way.
	pub fn posts(&self) -> usize {
		self.state().posts
	}

	pub fn tasks(&self) -> Vec<TaskView> {
		self.state().tasks.values().cloned().collect()
	}

	/// Draws a miner for a task, in place of any before.
	pub fn draw(&self, task: TaskId, miner: &AccountId32) {
		let mut state = self.state();
		state.block += 1;
		let block = state.block;
		for seats in state.seats.values_mut() {
			seats.retain(|seat| seat.task != task);
		}
		let view = state.tasks.get_mut(&task).unwrap();
		if view.phase == TaskPhase::Working {
			view.round += 1;
		}
		view.phase = TaskPhase::Working;
		view.miner = Some(MINER_OWNER);
		view.blocks.drawn = Some(block);
		let seat = Seat {
			task,
			kind: SeatKind::Primary,
			round: view.round,
			model: view.model,
			duty: Duty::Commit,
			deadline: block + 10,
			input_root: view.input_root,
			items: view.items,
			sample: Vec::new(),
			task_round: view.round,
			court_key: None,
			fee: view.fee,
			coordinator: OWNER,
			coordinator_operator: COORDINATOR,
			endpoint: String::new(),
		};
		state.drawn_last = Some(miner.clone());
		state.seats.entry(miner.clone()).or_default().push(seat);
	}

	/// Ends a task.
	pub fn end(&self, task: TaskId, phase: TaskPhase) {
		let mut state = self.state();
		state.block += 1;
		let block = state.block;
		for seats in state.seats.values_mut() {
			seats.retain(|seat| seat.task != task);
		}
		let view = state.tasks.get_mut(&task).unwrap();
		view.phase = phase;
		view.blocks.ended = Some(block);
	}

	/// Undoes the block with the newest task.
	pub fn revert_newest(&self) {
		let mut state = self.state();
		state.tasks.pop_last().unwrap();
		state.block += 1;
	}
}

impl State {
	fn insert(&mut self, post: &Post) -> Posted {
		self.block += 1;
		let task = self.tasks.len() as TaskId;
		let view = TaskView {
			task,
			model: post.model,
			coordinator: OWNER,
			input_root: post.input_root,
			items: post.items,
			fee: post.fee,
			round: 0,
			phase: TaskPhase::Queued,
			miner: None,
			blocks: TaskBlocks { posted: self.block, ..TaskBlocks::default() },
			sample: Vec::new(),
			verifiers: Vec::new(),
			output_root: None,
		};
		self.tasks.insert(task, view);
		Posted { task, block: self.block }
	}
}

fn answer<'a, T: Send + 'a>(value: T) -> Answer<'a, T> {
	std::future::ready(Ok(value)).boxed()
}

impl Chain for FakeChain {
	fn genesis(&self) -> H256 {
		GENESIS
	}

	fn account(&self) -> AccountId32 {
		COORDINATOR
	}

	fn owner(&self) -> AccountId32 {
		OWNER
	}

	fn free(&self) -> Answer<'_, u128> {
		answer(1_000 * CAI)
	}

	fn block(&self, _: At) -> Answer<'_, u32> {
		answer(self.state().block)
	}

	fn seats(&self, operator: AccountId32) -> Answer<'_, Vec<Seat>> {
		answer(self.state().seats.get(&operator).cloned().unwrap_or_default())
	}

	fn operator(&self, account: AccountId32) -> Answer<'_, Option<OperatorView>> {
		let state = self.state();
		let known = state.drawn_last.as_ref() == Some(&account)
			|| state.seats.get(&account).is_some_and(|seats| !seats.is_empty());
		answer(known.then(|| pool(account)))
	}

	fn operators(&self, role: Role) -> Answer<'_, Vec<OperatorView>> {
		let drawn = self.state().drawn_last.clone().filter(|_| role == Role::Miner);
		answer(drawn.into_iter().map(pool).collect())
	}

	fn offers(&self) -> Answer<'_, Vec<Offer>> {
		answer(Vec::new())
	}

	fn task(&self, task: TaskId, _: At) -> Answer<'_, Option<TaskView>> {
		answer(self.state().tasks.get(&task).cloned())
	}

	fn newest_task(&self) -> Answer<'_, Option<TaskId>> {
		answer(self.state().tasks.keys().last().copied())
	}

	fn models(&self) -> Answer<'_, Vec<ModelView>> {
		let usual = || {
			vec![
				model(0, "shapes", ModelKind::TextToImage),
				model(1, "sum", ModelKind::Tensor),
				model(2, "words", ModelKind::TextEmbedding),
			]
		};
		answer(self.state().models.clone().unwrap_or_else(usual))
	}

	fn undelivered(&self, task: TaskId) -> BoxFuture<'_, Result<(), TxError>> {
		self.end(task, TaskPhase::Undelivered);
		std::future::ready(Ok(())).boxed()
	}

	fn cancel(&self, task: TaskId) -> BoxFuture<'_, Result<(), TxError>> {
		self.end(task, TaskPhase::Cancelled);
		std::future::ready(Ok(())).boxed()
	}

	fn post(&self, post: Post) -> BoxFuture<'_, Result<Posted, PostError>> {
		let mut state = self.state();
		state.posts += 1;
		let unsure = || PostError::Unsure("the node went away".into());
		let outcome = match state.faults.pop_front() {
			None => Ok(state.insert(&post)),
			Some(Fault::InButUnheard) => {
				state.insert(&post);
				Err(unsure())
			},
			Some(Fault::Lost) => Err(unsure()),
			Some(Fault::Refused) => Err(PostError::Failed {
				why: "Tasks.ModelInactive".into(),
				fault: cuckoo_coordinator::chain::Fault::Model,
			}),
		};
		std::future::ready(outcome).boxed()
	}
}

/// A model that takes tasks.
pub fn model(model: ModelId, name: &str, kind: ModelKind) -> ModelView {
	ModelView {
		model,
		name: name.into(),
		kind,
		manifest: H256::repeat_byte(7),
		min_fee: CAI,
		work_window: 10,
		tolerance: Some(Tolerance::Approx { agree: 1_000, wrong: 4_000 }),
		reference_ms: 1,
		active: true,
	}
}

/// A miner's pool with this operator.
fn pool(operator: AccountId32) -> OperatorView {
	OperatorView {
		owner: MINER_OWNER,
		operator,
		role: Role::Miner,
		tokens: 1,
		own: 1,
		commission: 0,
		commission_raise: None,
		status: Default::default(),
		elected: false,
		slashes: Vec::new(),
		active: true,
		free_slots: None,
		intro: Default::default(),
	}
}

/// A running coordinator.
pub struct Coordinator {
	pub url: String,
	pub http: Client,
	stop: Option<oneshot::Sender<()>>,
	server: JoinHandle<anyhow::Result<()>>,
}

impl Coordinator {
	/// Starts one over the data in this folder.
	pub async fn start(folder: &Path, chain: &Arc<FakeChain>, config: Config) -> Self {
		let blobs = folder.join("blobs");
		std::fs::create_dir_all(&blobs).unwrap();
		// The outbox of webhooks is there, too.
		let config = Config { data_dir: folder.into(), ..config };
		let app = App::new(
			config.clone(),
			chain.clone(),
			Book::open(&folder.join("jobs.redb"), config.limits()).unwrap(),
			Blobs::in_folder(&blobs).unwrap(),
			Keys::open(folder.join(keys::FILE_NAME)).unwrap(),
			metrics::detached().unwrap(),
		);
		let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
		let url = format!("http://{}", listener.local_addr().unwrap());
		let (stop, stopped) = oneshot::channel::<()>();
		let stopped = async move {
			let _ = stopped.await;
		};
		let server = tokio::spawn(serve(app, listener, TICK, stopped));
		// No connection outlives its request, so that stopping waits for none.
		let http = Client::builder().pool_max_idle_per_host(0).build().unwrap();
		Self { url, http, stop: Some(stop), server }
	}

	/// Stops it in order; its folder can be used again.
	pub async fn stop(mut self) {
		self.stop.take().unwrap().send(()).unwrap();
		self.server.await.unwrap().unwrap();
	}

	pub async fn post(&self, path: &str, body: serde_json::Value) -> Response {
		self.http.post(format!("{}{path}", self.url)).json(&body).send().await.unwrap()
	}

	pub async fn get(&self, path: &str) -> Response {
		self.http.get(format!("{}{path}", self.url)).send().await.unwrap()
	}

	/// Accepts a picture's job without waiting for it.
	pub async fn accept(&self, prompt: &str) -> String {
		let body = serde_json::json!({
			"kind": "text_to_image", "input": { "prompt": prompt, "seed": 5 },
		});
		let response = self.post("/v1/jobs", body).await;
		assert_eq!(response.status(), 202);
		let job: serde_json::Value = response.json().await.unwrap();
		job["id"].as_str().unwrap().into()
	}

	pub async fn job(&self, id: &str) -> serde_json::Value {
		self.get(&format!("/v1/jobs/{id}")).await.json().await.unwrap()
	}

	/// Waits until a job's field has a value.
	pub async fn until(&self, id: &str, field: &str, value: &str) -> serde_json::Value {
		for _ in 0..500 {
			let job = self.job(id).await;
			if job[field] == value {
				return job;
			}
			tokio::time::sleep(TICK).await;
		}
		panic!("{field} did not become {value}: {}", self.job(id).await);
	}
}

/// A miner with its own key.
pub struct Miner {
	pub key: Keypair,
	http: Client,
	url: String,
}

impl Miner {
	pub fn new(seed: u8, coordinator: &Coordinator) -> Self {
		Self {
			key: Keypair::from_secret_key([seed; 32]).unwrap(),
			http: coordinator.http.clone(),
			url: coordinator.url.clone(),
		}
	}

	pub fn account(&self) -> AccountId32 {
		self.key.account()
	}

	/// The headers of a request to this coordinator, made at this time.
	pub fn sign(
		&self,
		method: &str,
		path: &str,
		body: &[u8],
		now: u64,
	) -> [(&'static str, String); 4] {
		request::headers(&self.key, &GENESIS, &COORDINATOR, method, path, body, now)
	}

	/// A request with any headers.
	pub async fn send(
		&self,
		method: &str,
		path: &str,
		body: Vec<u8>,
		headers: [(&'static str, String); 4],
	) -> Result<Response, reqwest::Error> {
		let method = method.parse().unwrap();
		let mut request = self.http.request(method, format!("{}{path}", self.url)).body(body);
		for (name, value) in headers {
			request = request.header(name, value);
		}
		request.send().await
	}

	pub async fn get(&self, path: &str) -> Response {
		let headers = self.sign("GET", path, &[], request::now());
		self.send("GET", path, Vec::new(), headers).await.unwrap()
	}

	pub async fn put(&self, path: &str, body: &[u8]) -> Response {
		let headers = self.sign("PUT", path, body, request::now());
		self.send("PUT", path, body.to_vec(), headers).await.unwrap()
	}

	/// Fetches a task's only input as an honest miner does, checking it against the root on chain.
	pub async fn fetch(&self, task: &TaskView) -> Vec<u8> {
		self.fetch_all(task).await.remove(0)
	}

	/// Fetches all of a task's inputs.
	pub async fn fetch_all(&self, task: &TaskView) -> Vec<Vec<u8>> {
		let path = format!("/v1/miner/tasks/{}/inputs", task.task);
		let mut answer = self.get(&path).await;
		// Here a miner can be drawn before the coordinator has noted that its post went in.
		while answer.status() == 404 {
			tokio::time::sleep(TICK).await;
			answer = self.get(&path).await;
		}
		let inputs: Inputs = answer.json().await.unwrap();
		let leaves = inputs.hashes.iter().map(merkle::input_leaf);
		assert_eq!(merkle::root(leaves), task.input_root);
		let mut all = Vec::new();
		for hash in inputs.hashes {
			let response = self.get(&format!("/v1/miner/blobs/{hash:?}")).await;
			assert_eq!(response.status(), 200);
			all.push(response.bytes().await.unwrap().to_vec());
		}
		all
	}
}

/// Where an item's output of task 0 goes, with a sketch.
pub fn output_path(item: u32) -> String {
	format!("/v1/miner/tasks/0/outputs/{item}?sketch={}", "0".repeat(130))
}

/// An output of a text-to-image model: one pixel high, in one colour.
pub fn picture(colour: u8) -> Vec<u8> {
	let pixels = [colour; 6];
	let image = TensorView::new(Dtype::U8, vec![1, 2, 3], &pixels).unwrap();
	safetensors::serialize([("image", image)], None).unwrap()
}

/// Waits until the chain has so many tasks.
pub async fn until_tasks(chain: &FakeChain, number: usize) -> Vec<TaskView> {
	for _ in 0..500 {
		let tasks = chain.tasks();
		if tasks.len() >= number {
			return tasks;
		}
		tokio::time::sleep(TICK).await;
	}
	panic!("there are {} tasks, not {number}", chain.tasks().len());
}

/// Gives a coordinator time to do what it should not.
pub async fn some_ticks() {
	tokio::time::sleep(TICK * 10).await;
}
