use std::{
	collections::VecDeque,
	convert::Infallible,
	path::PathBuf,
	sync::{Arc, Mutex},
	time::Instant,
};

use axum::{
	body::{Body, Bytes},
	extract::State,
	http::HeaderMap,
	response::{IntoResponse, Response as Answered},
	routing::post,
	Router,
};
use futures::stream;
use tokio::net::TcpListener;

use super::*;
use crate::{id::JobId, webhooks::Event};

const A: KeyId = KeyId(1);
const B: KeyId = KeyId(2);
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What an endpoint does with a message, if it does not just take it.
enum Answer {
	Status(u16),
	/// It never answers.
	Hang,
	Redirect(String),
	/// It takes the message and says so without end.
	Endless,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Message {
	id: String,
	time: u64,
	signature: String,
	body: String,
}

/// An endpoint that does what a test says.
#[derive(Clone, Default)]
struct Endpoint {
	url: String,
	seen: Arc<Mutex<Vec<Message>>>,
	answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl Endpoint {
	async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
		let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
		let url = format!("http://{}/hook", listener.local_addr().unwrap());
		let answers = Arc::new(Mutex::new(answers.into_iter().collect()));
		let endpoint = Self { url, answers, ..Self::default() };
		let app = Router::new().route("/hook", post(hear)).with_state(endpoint.clone());
		tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
		endpoint
	}

	fn seen(&self) -> Vec<Message> {
		self.seen.lock().unwrap().clone()
	}

	fn bodies(&self) -> Vec<String> {
		self.seen().into_iter().map(|message| message.body).collect()
	}

	fn has(&self, messages: usize) -> impl Fn() -> bool + '_ {
		move || self.seen().len() >= messages
	}
}

async fn hear(State(endpoint): State<Endpoint>, headers: HeaderMap, body: String) -> Answered {
	assert_eq!(headers["content-type"], "application/json");
	let text = |name: &str| headers[name].to_str().unwrap().to_string();
	let message = Message {
		id: text("webhook-id"),
		time: text("webhook-timestamp").parse().unwrap(),
		signature: text("webhook-signature"),
		body,
	};
	endpoint.seen.lock().unwrap().push(message);
	let answer = endpoint.answers.lock().unwrap().pop_front();
	match answer {
		None => StatusCode::NO_CONTENT.into_response(),
		Some(Answer::Status(code)) => StatusCode::from_u16(code).unwrap().into_response(),
		Some(Answer::Hang) => std::future::pending().await,
		Some(Answer::Redirect(url)) => {
			(StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, url)]).into_response()
		},
		Some(Answer::Endless) => {
			let chunk = || Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 1024]));
			Body::from_stream(stream::repeat_with(chunk)).into_response()
		},
	}
}

fn millis_of(time: u64) -> Duration {
	Duration::from_millis(time)
}

/// With two more attempts, soon after the first.
fn quick() -> Settings {
	Settings {
		private: true,
		delays: vec![millis_of(20); 2],
		timeout: Duration::from_secs(30),
		rest: millis_of(5),
		longest_rest: millis_of(10),
		..Settings::default()
	}
}

struct Folder<'a>(&'a tempfile::TempDir);

impl Folder<'_> {
	/// A courier over the outbox in this folder.
	fn courier(&self, endpoints: &[(KeyId, &Endpoint)], settings: Settings) -> Courier {
		let urls: HashMap<_, _> =
			endpoints.iter().map(|(key, endpoint)| (*key, endpoint.url.clone())).collect();
		let lookup =
			move |key: KeyId| Some(Webhook { url: urls.get(&key)?.clone(), secret: SECRET.into() });
		let (outbox, waiting) = Outbox::open(&self.path()).unwrap();
		Courier::new(outbox, waiting, Box::new(lookup), settings).unwrap()
	}

	fn path(&self) -> PathBuf {
		self.0.path().join("webhooks.redb")
	}
}

fn news(owner: KeyId, body: &str) -> News {
	let events = vec![(Event::Completed, body.to_string())];
	News { job: JobId::random(), owner, events, send: true }
}

/// Lets the courier work until something is so.
async fn until(courier: &mut Courier, is_so: impl Fn() -> bool) {
	let so = async {
		while !is_so() {
			tokio::time::sleep(millis_of(2)).await;
		}
	};
	tokio::time::timeout(Duration::from_secs(20), courier.attend(so)).await.unwrap();
}

/// Gives the courier time to do what it should not.
async fn a_while(courier: &mut Courier) {
	courier.attend(tokio::time::sleep(millis_of(200))).await;
}

#[tokio::test]
async fn events_arrive_signed_and_in_order_and_wait_no_more() {
	let dir = tempfile::tempdir().unwrap();
	let endpoint = Endpoint::start([]).await;
	let mut courier = Folder(&dir).courier(&[(A, &endpoint)], quick());
	courier.tell(vec![news(A, "1"), news(A, "2")]).await.unwrap();
	courier.tell(vec![news(A, "3")]).await.unwrap();
	until(&mut courier, endpoint.has(3)).await;
	assert_eq!(endpoint.bodies(), ["1", "2", "3"]);
	let secret = Secret::parse(SECRET).unwrap();
	for Message { id, time, signature, body } in endpoint.seen() {
		assert!(unix_now() - time < 20);
		assert_eq!(signature, secret.sign(&id, time, &body));
	}
	a_while(&mut courier).await;
	assert_eq!(courier.plan.events(), 0);
	drop(courier);
	assert!(Outbox::open(&Folder(&dir).path()).unwrap().1.is_empty());
	assert_eq!(endpoint.seen().len(), 3);
}

#[tokio::test]
async fn a_failed_event_comes_again_with_the_same_id_and_is_given_up_in_the_end() {
	let dir = tempfile::tempdir().unwrap();
	let codes = [500, 503, 404, 429, 500];
	let endpoint = Endpoint::start(codes.map(Answer::Status)).await;
	let mut courier = Folder(&dir).courier(&[(A, &endpoint)], quick());
	courier.tell(vec![news(A, "never heard")]).await.unwrap();
	until(&mut courier, endpoint.has(3)).await;
	// The third attempt has failed as well.
	a_while(&mut courier).await;
	let seen = endpoint.seen();
	assert_eq!(seen.len(), 3);
	assert!(seen.iter().all(|message| message.id == seen[0].id && message.body == seen[0].body));
	assert_eq!(courier.plan.events(), 0);

	courier.tell(vec![news(A, "heard")]).await.unwrap();
	until(&mut courier, endpoint.has(6)).await;
	a_while(&mut courier).await;
	let seen = endpoint.seen();
	assert_eq!(seen.len(), 6);
	assert!(seen[3..].iter().all(|message| message.id == seen[3].id && message.body == "heard"));
	assert_eq!(courier.plan.events(), 0);
}

#[tokio::test]
async fn a_server_that_hangs_holds_nobody_up() {
	let dir = tempfile::tempdir().unwrap();
	let (slow, quick_one) = (Endpoint::start([Answer::Hang]).await, Endpoint::start([]).await);
	let mut courier = Folder(&dir).courier(&[(A, &slow), (B, &quick_one)], quick());
	let start = Instant::now();
	courier.tell((0..5).map(|_| news(A, "slow")).collect()).await.unwrap();
	courier.tell((0..5).map(|_| news(B, "quick")).collect()).await.unwrap();
	until(&mut courier, quick_one.has(5)).await;
	assert!(start.elapsed() < quick().timeout);
	// One attempt at a time: four would be all there are.
	assert_eq!(slow.seen().len(), 1);
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_on_and_asked_again() {
	let dir = tempfile::tempdir().unwrap();
	let endpoint = Endpoint::start([Answer::Hang]).await;
	let settings = Settings { timeout: millis_of(300), ..quick() };
	let mut courier = Folder(&dir).courier(&[(A, &endpoint)], settings);
	courier.tell(vec![news(A, "x")]).await.unwrap();
	until(&mut courier, endpoint.has(2)).await;
	let seen = endpoint.seen();
	assert_eq!(seen[0].id, seen[1].id);
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
	let dir = tempfile::tempdir().unwrap();
	let endpoint = Endpoint::start([Answer::Endless, Answer::Endless]).await;
	let mut courier = Folder(&dir).courier(&[(A, &endpoint)], quick());
	courier.tell(vec![news(A, "1"), news(A, "2"), news(A, "3")]).await.unwrap();
	until(&mut courier, endpoint.has(3)).await;
	a_while(&mut courier).await;
	assert_eq!(endpoint.bodies(), ["1", "2", "3"]);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
	let dir = tempfile::tempdir().unwrap();
	let elsewhere = Endpoint::start([]).await;
	let endpoint = Endpoint::start([Answer::Redirect(elsewhere.url.clone())]).await;
	let mut courier = Folder(&dir).courier(&[(A, &endpoint)], quick());
	courier.tell(vec![news(A, "x")]).await.unwrap();
	until(&mut courier, endpoint.has(2)).await;
	a_while(&mut courier).await;
	assert_eq!((endpoint.seen().len(), elsewhere.seen().len()), (2, 0));
}

#[tokio::test]
async fn an_endpoint_that_is_gone_hears_no_more_until_the_next_start() {
	let dir = tempfile::tempdir().unwrap();
	let endpoint = Endpoint::start([Answer::Status(410)]).await;
	let mut courier = Folder(&dir).courier(&[(A, &endpoint)], quick());
	courier.tell(vec![news(A, "1"), news(A, "2")]).await.unwrap();
	until(&mut courier, endpoint.has(1)).await;
	a_while(&mut courier).await;
	let third = news(A, "3");
	courier.tell(vec![third.clone()]).await.unwrap();
	a_while(&mut courier).await;
	assert_eq!((endpoint.bodies(), courier.plan.events()), (vec!["1".to_string()], 0));

	drop(courier);
	let mut courier = Folder(&dir).courier(&[(A, &endpoint)], quick());
	courier.tell(vec![third, news(A, "4")]).await.unwrap();
	until(&mut courier, endpoint.has(2)).await;
	a_while(&mut courier).await;
	assert_eq!(endpoint.bodies(), ["1", "4"]);
}

#[tokio::test]
async fn a_restart_in_mid_delivery_loses_nothing_and_repeats_with_the_same_id() {
	let dir = tempfile::tempdir().unwrap();
	let endpoint = Endpoint::start([Answer::Hang]).await;
	let mut courier = Folder(&dir).courier(&[(A, &endpoint)], quick());
	let (first, second) = (news(A, "1"), news(A, "2"));
	courier.tell(vec![first.clone(), second.clone()]).await.unwrap();
	until(&mut courier, endpoint.has(1)).await;
	drop(courier);

	let mut courier = Folder(&dir).courier(&[(A, &endpoint)], quick());
	// At the start the book is compared with what was told.
	courier.tell(vec![first, second]).await.unwrap();
	until(&mut courier, endpoint.has(3)).await;
	a_while(&mut courier).await;
	assert_eq!(endpoint.bodies(), ["1", "1", "2"]);
	let seen = endpoint.seen();
	assert_eq!(seen[0].id, seen[1].id);
	assert_ne!(seen[1].id, seen[2].id);
}

#[tokio::test]
async fn an_order_to_stop_lets_an_attempt_end() {
	let dir = tempfile::tempdir().unwrap();
	let endpoint = Endpoint::start([]).await;
	let mut courier = Folder(&dir).courier(&[(A, &endpoint)], quick());
	courier.tell(vec![news(A, "x")]).await.unwrap();
	courier.start().await;
	courier.finish(Duration::from_secs(20)).await;
	assert_eq!((endpoint.seen().len(), courier.plan.events()), (1, 0));
}

#[tokio::test]
async fn beyond_the_limit_the_oldest_of_the_fullest_endpoint_is_dropped() {
	let dir = tempfile::tempdir().unwrap();
	let (full, other) = (Endpoint::start([]).await, Endpoint::start([]).await);
	let settings = Settings { most_waiting: 3, ..quick() };
	let mut courier = Folder(&dir).courier(&[(A, &full), (B, &other)], settings);
	courier.tell((0..4).map(|number| news(A, &number.to_string())).collect()).await.unwrap();
	courier.tell(vec![news(B, "other")]).await.unwrap();
	assert_eq!(courier.plan.events(), 3);
	until(&mut courier, || full.seen().len() + other.seen().len() == 3).await;
	a_while(&mut courier).await;
	assert_eq!(full.bodies(), ["2", "3"]);
	assert_eq!(other.bodies(), ["other"]);
	drop(courier);
	assert!(Outbox::open(&Folder(&dir).path()).unwrap().1.is_empty());
}

#[tokio::test]
async fn a_private_address_is_not_connected_to_by_number_or_name() {
	let dir = tempfile::tempdir().unwrap();
	let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
	let port = listener.local_addr().unwrap().port();
	let hosts = ["https://127.0.0.1", "https://localhost", "http://127.0.0.1"];
	for (key, host) in (0..).map(KeyId).zip(hosts) {
		let endpoint = Endpoint { url: format!("{host}:{port}/hook"), ..Endpoint::default() };
		let settings = Settings { private: false, delays: Vec::new(), ..quick() };
		let mut courier = Folder(&dir).courier(&[(key, &endpoint)], settings);
		courier.tell(vec![news(key, "x")]).await.unwrap();
		for _ in 0..100 {
			if courier.plan.events() > 0 {
				a_while(&mut courier).await;
			}
		}
		assert_eq!(courier.plan.events(), 0, "{host}");
	}
	let knock = tokio::time::timeout(millis_of(50), listener.accept()).await;
	assert!(knock.is_err(), "it was connected to");
}

#[tokio::test]
async fn what_waits_for_a_key_without_a_webhook_is_dropped() {
	let dir = tempfile::tempdir().unwrap();
	let endpoint = Endpoint::start([]).await;
	let mut courier = Folder(&dir).courier(&[(A, &endpoint)], quick());
	courier.tell(vec![news(A, "1"), news(A, "2")]).await.unwrap();
	drop(courier);
	let mut courier = Folder(&dir).courier(&[], quick());
	assert!(!courier.serves(A));
	assert_eq!(courier.plan.events(), 2);
	a_while(&mut courier).await;
	assert_eq!((courier.plan.events(), endpoint.seen().len()), (0, 0));
}

#[tokio::test]
async fn what_a_failure_says_holds_neither_the_address_nor_the_secret() {
	let client = address::client(true, address::system_lookup(), millis_of(500)).unwrap();
	let event =
		Waiting { id: "msg_1".into(), owner: A, body: "{}".into(), told: 0, attempts: 0, due: 0 };
	let (hidden, secret) = ("http://127.0.0.1:1/hidden?token=hidden", "whsec_hidden");
	for (url, secret) in [(hidden, SECRET), ("hidden", SECRET), (hidden, secret)] {
		let endpoint = Webhook { url: url.into(), secret: secret.into() };
		let outcome = format!("{:?}", send(client.clone(), true, endpoint, event.clone()).await);
		assert!(outcome.starts_with("Failed") && !outcome.contains("hidden"), "{outcome}");
	}
}
