//! Requests to coordinators: inputs by hash, outputs by upload. What travels is described in [`cuckoo_primitives::work`].
//!
//! A coordinator is a stranger: every answer has a time and a size limit, redirects are not followed, some addresses are not asked, and bytes count only if their
//! hash is right.

use std::{sync::Arc, time::Duration};

use cuckoo_client::{request, Keypair};
use cuckoo_primitives::{
	merkle,
	tolerance::Sketch,
	views::Seat,
	work::{Inputs, MAX_BLOB_BYTES},
	TaskId,
};
use reqwest::{redirect, Client, Method, Url};
use sp_core::{crypto::AccountId32, H256};
use sp_crypto_hashing::blake2_256;

use crate::address::Guard;

/// To reach a coordinator at all.
const CONNECT: Duration = Duration::from_secs(5);
/// Between two pieces of an answer.
const SILENCE: Duration = Duration::from_secs(20);
/// For a whole request: [`MAX_BLOB_BYTES`] over a line of 5 Mbit/s.
const WHOLE: Duration = Duration::from_secs(120);
/// What one hash takes in the JSON of [`Inputs`], and some room for the rest.
const HASH_JSON: usize = 80;
const SMALL: usize = 4096;

/// Why a coordinator's answer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
	/// The endpoint on chain is no address.
	#[error("the coordinator's endpoint {0:?} is no http or https address; its owner can change it with Stake.set_intro")]
	Endpoint(String),
	/// No answer, or not all of it; or it is where no coordinator is asked.
	#[error("no answer from {url}: {reason}")]
	Unreachable {
		/// What was asked.
		url: String,
		/// What went wrong.
		reason: String,
	},
	/// An answer other than success.
	#[error("{url} answered {status}: {body:?}")]
	Refused {
		/// What was asked.
		url: String,
		/// The HTTP status.
		status: u16,
		/// The beginning of what it said.
		body: String,
	},
	/// More bytes than there may be.
	#[error("{url} sent more than {limit} bytes")]
	TooLarge {
		/// What was asked.
		url: String,
		/// How many there may be.
		limit: usize,
	},
	/// Bytes, but not those the chain or the hash promises.
	#[error("{url} sent {found}, the task needs {expected}")]
	Wrong {
		/// What was asked.
		url: String,
		/// What came.
		found: String,
		/// What should have come.
		expected: String,
	},
}

impl HttpError {
	/// Whether asking again is of no use: the coordinator has looked at the bytes and does not want them.
	pub fn is_final(&self) -> bool {
		// Not 401, a clock that is off, nor 403 and 404: its node may not have seen the draw yet, or it has just come back from a crash.
		matches!(self, Self::Refused { status: 400 | 405 | 409 | 410 | 413 | 415 | 422, .. })
	}
}

/// A coordinator, as a seat names it.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
	/// Its address on chain.
	pub endpoint: &'a str,
	/// The account that its requests are signed for.
	pub operator: &'a AccountId32,
}

impl<'a> From<&'a Seat> for Peer<'a> {
	fn from(seat: &'a Seat) -> Self {
		Self { endpoint: &seat.endpoint, operator: &seat.coordinator_operator }
	}
}

/// Talks to coordinators in the name of one operator.
pub struct Coordinators {
	http: Client,
	/// For what is sent: how long that takes depends on the line, and nothing comes back meanwhile.
	uploads: Client,
	guard: Guard,
	key: Keypair,
	genesis: H256,
}

impl Coordinators {
	/// A client that signs with the operator's key.
	pub fn new(key: Keypair, genesis: H256) -> reqwest::Result<Self> {
		Self::guarded(key, genesis, Guard::default())
	}

	fn guarded(key: Keypair, genesis: H256, guard: Guard) -> reqwest::Result<Self> {
		let builder = || {
			Client::builder()
				.user_agent(concat!("miner-client/", env!("CARGO_PKG_VERSION")))
				.redirect(redirect::Policy::none())
				// A proxy would look names up by itself.
				.no_proxy()
				.dns_resolver(Arc::new(guard.clone()))
				.connect_timeout(CONNECT)
				.timeout(WHOLE)
		};
		let http = builder().read_timeout(SILENCE).build()?;
		let uploads = builder().build()?;
		Ok(Self { http, uploads, guard, key, genesis })
	}

	/// The hashes of a task's inputs, which together have the root that the chain knows.
	pub async fn inputs(
		&self,
		peer: Peer<'_>,
		task: TaskId,
		items: u32,
		input_root: H256,
	) -> Result<Vec<H256>, HttpError> {
		let path = format!("/v1/miner/tasks/{task}/inputs");
		let limit = SMALL + items as usize * HASH_JSON;
		let (url, body) = self.send(peer, Method::GET, &path, Vec::new(), limit).await?;
		let wrong = |url, found, expected| HttpError::Wrong { url, found, expected };
		let hashes = match serde_json::from_slice::<Inputs>(&body) {
			Ok(Inputs { hashes }) => hashes,
			Err(e) => return Err(wrong(url, format!("no list of hashes ({e})"), "one".into())),
		};
		if hashes.len() != items as usize {
			return Err(wrong(url, format!("{} hashes", hashes.len()), format!("{items}")));
		}
		let root = merkle::root(hashes.iter().map(merkle::input_leaf));
		if root != input_root {
			let found = format!("hashes with the root {root:?}");
			return Err(wrong(url, found, format!("the root {input_root:?}")));
		}
		Ok(hashes)
	}

	/// The bytes with this hash.
	pub async fn blob(&self, peer: Peer<'_>, hash: H256) -> Result<Vec<u8>, HttpError> {
		let path = format!("/v1/miner/blobs/{hash:?}");
		let (url, body) = self.send(peer, Method::GET, &path, Vec::new(), MAX_BLOB_BYTES).await?;
		let found = H256::from(blake2_256(&body));
		if found != hash {
			let found = format!("{} bytes with the hash {found:?}", body.len());
			return Err(HttpError::Wrong { url, found, expected: format!("the hash {hash:?}") });
		}
		Ok(body)
	}

	/// Hands over the output of an item.
	pub async fn upload(
		&self,
		peer: Peer<'_>,
		task: TaskId,
		item: u32,
		sketch: &Sketch,
		output: Vec<u8>,
	) -> Result<(), HttpError> {
		let path = format!("/v1/miner/tasks/{task}/outputs/{item}?sketch={}", hex::encode(sketch));
		self.send(peer, Method::PUT, &path, output, SMALL).await.map(drop)
	}

	async fn send(
		&self,
		peer: Peer<'_>,
		method: Method,
		path: &str,
		body: Vec<u8>,
		limit: usize,
	) -> Result<(String, Vec<u8>), HttpError> {
		let address = url(peer.endpoint, path)?;
		let url = address.to_string();
		let no_answer = |reason| HttpError::Unreachable { url: url.clone(), reason };
		self.guard.check(&address).map_err(|refused| no_answer(refused.to_string()))?;
		let unreachable = |error: reqwest::Error| {
			no_answer(format!("{:#}", anyhow::Error::from(error.without_url())))
		};
		let headers = request::headers(
			&self.key,
			&self.genesis,
			peer.operator,
			method.as_str(),
			path,
			&body,
			request::now(),
		);
		let http = if method == Method::PUT { &self.uploads } else { &self.http };
		let mut call = http.request(method, address);
		for (name, value) in headers {
			call = call.header(name, value);
		}
		let mut answer = call.body(body).send().await.map_err(unreachable)?;
		let status = answer.status();
		let limit = if status.is_success() { limit } else { SMALL };
		let mut received = Vec::new();
		while let Some(piece) = answer.chunk().await.map_err(unreachable)? {
			if received.len() + piece.len() > limit {
				return Err(HttpError::TooLarge { url, limit });
			}
			received.extend_from_slice(&piece);
		}
		if !status.is_success() {
			let body = String::from_utf8_lossy(&received).chars().take(300).collect();
			return Err(HttpError::Refused { url, status: status.as_u16(), body });
		}
		Ok((url, received))
	}
}

/// The path at the endpoint, which may lie below a path of its own. What is signed is the path alone: whatever stands before a coordinator takes the rest
/// away.
fn url(endpoint: &str, path: &str) -> Result<Url, HttpError> {
	let bad = || HttpError::Endpoint(endpoint.chars().take(200).collect());
	let base = Url::parse(endpoint).map_err(|_| bad())?;
	let plain = matches!(base.scheme(), "http" | "https") && base.query().is_none();
	if !plain || base.fragment().is_some() || !base.username().is_empty() {
		return Err(bad());
	}
	Url::parse(&format!("{}{path}", endpoint.trim_end_matches('/'))).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::address::tests::{loopback, metadata};
	use axum::{
		body::Bytes,
		extract::{Path, State},
		http::{HeaderMap, StatusCode, Uri},
		response::Redirect,
		routing::{get, put},
		Json, Router,
	};
	use cuckoo_primitives::tolerance::NO_SKETCH;
	use std::sync::Mutex;

	const GENESIS: H256 = H256::repeat_byte(1);

	fn key() -> Keypair {
		Keypair::from_secret_key([3; 32]).unwrap()
	}

	fn operator() -> AccountId32 {
		AccountId32::new([2; 32])
	}

	fn verified(method: &str, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> bool {
		let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
		let path = uri.path_and_query().unwrap().as_str();
		let Ok(claim) = request::Claim::read(header, request::now()) else { return false };
		request::is_body(claim.body(), body).is_ok()
			&& claim.check(&GENESIS, &operator(), method, path).is_ok()
	}

	/// A coordinator with the inputs "one" and "two", on a port of its own.
	async fn coordinator(uploads: Arc<Mutex<Vec<Vec<u8>>>>) -> String {
		let inputs = |uri: Uri, headers: HeaderMap| async move {
			let hashes = [b"one", b"two"].map(|input| H256::from(blake2_256(input))).to_vec();
			let ok = verified("GET", &uri, &headers, b"");
			(if ok { StatusCode::OK } else { StatusCode::UNAUTHORIZED }, Json(Inputs { hashes }))
		};
		let blob = |Path(hash): Path<H256>| async move {
			let known = [b"one", b"two"].into_iter().find(|i| H256::from(blake2_256(*i)) == hash);
			known.map_or(vec![0; 8], |blob| blob.to_vec())
		};
		let output = |State(uploads): State<Arc<Mutex<Vec<Vec<u8>>>>>,
		              uri: Uri,
		              headers: HeaderMap,
		              body: Bytes| async move {
			if !verified("PUT", &uri, &headers, &body) {
				return StatusCode::UNAUTHORIZED;
			}
			uploads.lock().unwrap().push(body.to_vec());
			StatusCode::NO_CONTENT
		};
		let app = Router::new()
			.route("/v1/miner/tasks/7/inputs", get(inputs))
			.route("/v1/miner/tasks/8/inputs", get(|| async { vec![b' '; 1 << 20] }))
			.route("/v1/miner/tasks/9/inputs", get(|| async { Redirect::to("/elsewhere") }))
			.route("/v1/miner/blobs/{hash}", get(blob))
			.route("/v1/miner/tasks/7/outputs/0", put(output))
			.with_state(uploads);
		let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
		let address = listener.local_addr().unwrap();
		tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
		format!("http://{address}/")
	}

	fn root() -> H256 {
		let hashes = [b"one", b"two"].map(|input| H256::from(blake2_256(input)));
		merkle::root(hashes.iter().map(merkle::input_leaf))
	}

	#[tokio::test]
	async fn inputs_and_blobs_are_taken_if_their_hashes_are_right() {
		let endpoint = coordinator(Default::default()).await;
		let operator = operator();
		let peer = Peer { endpoint: &endpoint, operator: &operator };
		let client = Coordinators::new(key(), GENESIS).unwrap();
		let hashes = client.inputs(peer, 7, 2, root()).await.unwrap();
		assert_eq!(client.blob(peer, hashes[1]).await.unwrap(), b"two");

		let other = client.inputs(peer, 7, 2, H256::zero()).await.unwrap_err();
		assert!(matches!(other, HttpError::Wrong { .. }), "{other}");
		let fewer = client.inputs(peer, 7, 1, root()).await.unwrap_err();
		assert!(matches!(fewer, HttpError::Wrong { .. }), "{fewer}");
		let blob = client.blob(peer, H256::repeat_byte(9)).await.unwrap_err();
		assert!(matches!(blob, HttpError::Wrong { .. }), "{blob}");
	}

	#[tokio::test]
	async fn what_is_too_large_or_elsewhere_is_refused() {
		let endpoint = coordinator(Default::default()).await;
		let operator = operator();
		let peer = Peer { endpoint: &endpoint, operator: &operator };
		let client = Coordinators::new(key(), GENESIS).unwrap();
		let large = client.inputs(peer, 8, 2, root()).await.unwrap_err();
		assert!(matches!(large, HttpError::TooLarge { .. }), "{large}");
		let elsewhere = client.inputs(peer, 9, 2, root()).await.unwrap_err();
		assert!(matches!(elsewhere, HttpError::Refused { status: 303, .. }), "{elsewhere}");
		let unknown = client.inputs(peer, 10, 2, root()).await.unwrap_err();
		assert!(matches!(unknown, HttpError::Refused { status: 404, .. }), "{unknown}");
		assert!(!unknown.is_final(), "the coordinator may come to know the task");

		let gone = Peer { endpoint: "http://127.0.0.1:1", operator: &operator };
		let gone = client.inputs(gone, 7, 2, root()).await.unwrap_err();
		assert!(matches!(gone, HttpError::Unreachable { .. }) && !gone.is_final(), "{gone}");
	}

	#[tokio::test]
	async fn where_no_coordinator_is_asked_there_is_no_answer() {
		let operator = operator();
		let reason = |error: HttpError| {
			assert!(!error.is_final(), "its owner may change it");
			match error {
				HttpError::Unreachable { reason, .. } => reason,
				other => panic!("{other}"),
			}
		};
		let client = Coordinators::new(key(), GENESIS).unwrap();
		for endpoint in ["http://169.254.169.254/", "http://[::ffff:169.254.169.254]/latest"] {
			let peer = Peer { endpoint, operator: &operator };
			let reason = reason(client.inputs(peer, 7, 2, root()).await.unwrap_err());
			assert!(reason.contains("is link-local"), "{reason}");
		}
		// A name that leads there.
		let client = Coordinators::guarded(key(), GENESIS, Guard::with(metadata)).unwrap();
		let peer = Peer { endpoint: "http://coordinator.example/", operator: &operator };
		let inputs = client.inputs(peer, 7, 2, root()).await.unwrap_err();
		let output = client.upload(peer, 7, 0, &NO_SKETCH, b"picture".to_vec()).await.unwrap_err();
		for reason in [reason(inputs), reason(output)] {
			assert!(reason.contains("169.254.169.254 is link-local"), "{reason}");
		}
	}

	#[tokio::test]
	async fn a_name_of_this_machine_is_asked() {
		let endpoint = coordinator(Default::default()).await;
		let endpoint = endpoint.replace("127.0.0.1", "home.example");
		let operator = operator();
		let peer = Peer { endpoint: &endpoint, operator: &operator };
		let client = Coordinators::guarded(key(), GENESIS, Guard::with(loopback)).unwrap();
		assert_eq!(client.inputs(peer, 7, 2, root()).await.unwrap().len(), 2);
	}

	#[tokio::test]
	async fn an_output_is_handed_over_signed_for_that_coordinator() {
		let uploads = Arc::new(Mutex::new(Vec::new()));
		let endpoint = coordinator(uploads.clone()).await;
		let (right, wrong) = (operator(), AccountId32::new([5; 32]));
		let client = Coordinators::new(key(), GENESIS).unwrap();
		let peer = Peer { endpoint: &endpoint, operator: &right };
		client.upload(peer, 7, 0, &NO_SKETCH, b"picture".to_vec()).await.unwrap();
		assert_eq!(uploads.lock().unwrap().as_slice(), [b"picture".to_vec()]);
		let other = Peer { endpoint: &endpoint, operator: &wrong };
		let error = client.upload(other, 7, 0, &NO_SKETCH, b"picture".to_vec()).await.unwrap_err();
		assert!(matches!(error, HttpError::Refused { status: 401, .. }) && !error.is_final());
		let conflict = HttpError::Refused { url: endpoint, status: 409, body: String::new() };
		assert!(conflict.is_final());
	}

	#[test]
	fn only_plain_web_addresses_are_endpoints() {
		let good = |endpoint| url(endpoint, "/v1/x").unwrap().to_string();
		assert_eq!(good("https://a.example"), "https://a.example/v1/x");
		assert_eq!(good("http://10.0.0.1:8080/cuckoo/"), "http://10.0.0.1:8080/cuckoo/v1/x");
		for bad in [
			"",
			"a.example",
			"file:///etc/passwd",
			"ftp://a",
			"http://u:p@a",
			"http://a/?x=",
			"http://a/#",
		] {
			assert!(matches!(url(bad, "/v1/x"), Err(HttpError::Endpoint(_))), "{bad}");
		}
	}
}
