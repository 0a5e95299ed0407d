//! Who asks: a middleware in front of everything that applications ask for, which finds the [`Caller`] or refuses the request.

use std::{
	net::{IpAddr, Ipv4Addr, Ipv6Addr},
	sync::Arc,
	time::Duration,
};

use axum::{
	extract::{Request, State},
	http::{
		header, uri::Authority, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version,
	},
	middleware::Next,
	response::{IntoResponse, Response},
};
use cuckoo_primitives::ModelId;

use crate::{
	config::Config,
	error::{set, ApiError},
	keys::{ApiKey, KeyId, Keys, Refusal, Scope, Turn},
	metrics,
	server::App,
};

/// How many requests a minute a key may make, as OpenAI's API says it.
const HEADER_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit-requests");
/// How many could follow at once.
const HEADER_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining-requests");
/// How long until it could be all of them again.
const HEADER_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset-requests");

/// How to get in. It is no secret, and saves whoever runs the coordinator a question.
const HOW: &str = "whoever runs this coordinator makes an API key with `cuckoo-coordinator api-key create --name NAME`; \
	 send it in the header `Authorization: Bearer ck_...`";

/// What proxies write into requests. None who asks for itself does.
const PROXIES: [&str; 6] =
	["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

/// Who sent a request: an extension of every request behind [`auth`].
#[derive(Clone, Debug)]
pub struct Caller {
	/// The key that came with it; `None`: the coordinator is open, and no keys were made.
	pub key: Option<Arc<ApiKey>>,
}

impl Caller {
	/// Whose jobs these are.
	pub fn owner(&self) -> Option<KeyId> {
		self.key.as_ref().map(|key| key.id)
	}

	/// Whether they may use the model of this name.
	pub fn may_use(&self, name: &str, model: ModelId) -> bool {
		self.key.as_ref().is_none_or(|key| key.may_use(name, model))
	}
}

/// Whom applications are served to as long as no keys are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OpenTo {
	Nobody,
	/// Whoever can reach a loopback address for itself; see [`from_here`].
	ThisMachine,
	Everybody,
}

impl OpenTo {
	fn of(config: &Config) -> Self {
		match config {
			Config { open: true, .. } => Self::Everybody,
			_ if config.listen.ip().is_loopback() => Self::ThisMachine,
			_ => Self::Nobody,
		}
	}
}

/// Warns in the log, once at the start, if applications are served without keys.
pub fn warn_if_open(config: &Config, keys: &Keys) {
	let whom = match OpenTo::of(config) {
		_ if !keys.is_empty() => return,
		OpenTo::Nobody => return,
		OpenTo::ThisMachine => "every program on this machine, and whoever a hidden proxy lets in,",
		OpenTo::Everybody => "everybody who reaches it",
	};
	tracing::warn!(
		address = %config.listen,
		"NO API KEYS: {whom} can spend this coordinator's CAI; `cuckoo-coordinator api-key create \
		 --name NAME` makes a key, and from then on everybody needs one"
	);
}

/// Lets a request through with its [`Caller`], or answers it: 401 without a key that is good, 403 without the scope, 429 beyond the key's limit. As long as no
/// keys are made, 403 if it is not certain that it comes from where applications are served to.
///
/// The key comes in the `Authorization` header and nowhere else: an address ends up in logs and histories.
pub async fn auth(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
	gate(&app.keys, OpenTo::of(&app.config), request, next).await
}

async fn gate(keys: &Keys, open: OpenTo, mut request: Request, next: Next) -> Response {
	let (verdict, turn) = judge(keys, open, &request);
	// What no handler sees, none writes to a log.
	request.headers_mut().remove(header::AUTHORIZATION);
	let mut response = match verdict {
		Ok(caller) => {
			request.extensions_mut().insert(caller);
			next.run(request).await
		},
		Err(error) => refuse(error),
	};
	if let Some(turn) = turn {
		let headers = response.headers_mut();
		set(headers, HEADER_LIMIT, turn.limit);
		set(headers, HEADER_REMAINING, turn.remaining);
		set(headers, HEADER_RESET, shown(turn.reset));
	}
	response
}

/// Who sent this, or why they are refused; and what their limit said, if they have one.
fn judge(keys: &Keys, open: OpenTo, request: &Request) -> (Result<Caller, ApiError>, Option<Turn>) {
	let without_key = match open {
		_ if !keys.is_empty() => None,
		OpenTo::Nobody => None,
		OpenTo::ThisMachine => Some(from_here(request)),
		OpenTo::Everybody => Some(Ok(())),
	};
	if let Some(verdict) = without_key {
		return (verdict.map(|()| Caller { key: None }), None);
	}
	let headers = request.headers();
	if !headers.contains_key(header::AUTHORIZATION) {
		let message = format!("an API key is needed here: {HOW}");
		return (Err(unauthorized("missing_api_key", message)), None);
	}
	let found = bearer(headers).ok_or(Refusal::Unknown).and_then(|secret| keys.check(secret));
	let key = match found {
		Ok(key) => key,
		Err(refusal) => {
			tracing::debug!(%refusal, "a request was refused");
			// One answer for all cases: whether a key once was good is not a stranger's business.
			let message = format!("this API key is not good, or no longer: {HOW}");
			return (Err(unauthorized("invalid_api_key", message)), None);
		},
	};
	let turn = keys.turn(&key);
	(admit(key, request.method(), turn).map(|key| Caller { key: Some(key) }), turn)
}

/// Refuses what reached a loopback address and may yet come from elsewhere: a proxy on this machine, as far as it can be told from others, serves strangers;
/// and a page of another site can give its own name this machine's address, after which the browser takes the coordinator for a part of that site.
fn from_here(request: &Request) -> Result<(), ApiError> {
	let headers = request.headers();
	let why = if let Some(name) = PROXIES.iter().find(|name| headers.contains_key(**name)) {
		format!("the header {name} says that this request came through a proxy")
	} else if request.version() < Version::HTTP_11 {
		// Nginx, as it comes, writes none of those headers, and the coordinator's own address as the host; but it does not speak HTTP/1.1 to what is
		// behind it.
		"this request is in HTTP/1.0, as proxies speak it and hardly anybody else".into()
	} else if !is_for_here(request) {
		"this request's header Host names neither localhost nor a loopback address".into()
	} else {
		return Ok(());
	};
	let message = format!(
		"as long as there are no API keys only this machine is served, and {why}: make a key with \
		 `cuckoo-coordinator api-key create --name NAME`, or set `open = true` to serve everybody"
	);
	Err(ApiError::new(StatusCode::FORBIDDEN, "only_this_machine", message))
}

/// Whether a request says for which host it is, and means this machine by it.
fn is_for_here(request: &Request) -> bool {
	let hosts = request.headers().get_all(header::HOST).iter();
	let hosts = hosts.map(|host| host.to_str().unwrap_or_default());
	let mut hosts = hosts.chain(request.uri().authority().map(Authority::as_str)).peekable();
	hosts.peek().is_some() && hosts.all(is_loopback)
}

/// Whether this is `localhost` or a loopback address, with a port or without.
fn is_loopback(authority: &str) -> bool {
	let (host, port) = match authority.rsplit_once(':') {
		// The colons in brackets are an address's own.
		Some((host, port)) if !port.ends_with(']') => (host, port),
		_ => (authority, ""),
	};
	let address = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
		Some(host) => host.parse::<Ipv6Addr>().map(IpAddr::V6),
		None => host.parse::<Ipv4Addr>().map(IpAddr::V4),
	};
	let here = host.eq_ignore_ascii_case("localhost")
		|| address.is_ok_and(|address| address.to_canonical().is_loopback());
	here && port.bytes().all(|digit| digit.is_ascii_digit())
}

/// Whether a good key is good for this request.
fn admit(key: Arc<ApiKey>, method: &Method, turn: Option<Turn>) -> Result<Arc<ApiKey>, ApiError> {
	if let Some((turn, seconds)) = turn.and_then(|turn| Some((turn, turn.retry_after()?))) {
		let message = format!(
			"this API key may make {} requests a minute: try again in {seconds} s",
			turn.limit
		);
		let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", message);
		return Err(error.retry_after(seconds));
	}
	let scope = match *method {
		Method::GET | Method::HEAD | Method::OPTIONS => Scope::Read,
		_ => Scope::Submit,
	};
	if !key.may(scope) {
		let message = format!(
			"this API key lacks the scope {0}: use one that was made with `--scope {0}`",
			scope.name()
		);
		return Err(ApiError::new(StatusCode::FORBIDDEN, "insufficient_scope", message));
	}
	Ok(key)
}

/// The secret in the only `Authorization` header, if that is what it holds.
fn bearer(headers: &HeaderMap) -> Option<&str> {
	let mut given = headers.get_all(header::AUTHORIZATION).iter();
	let (only, None) = (given.next()?, given.next()) else { return None };
	let (scheme, secret) = only.to_str().ok()?.split_once(' ')?;
	scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

fn unauthorized(code: &'static str, message: String) -> ApiError {
	ApiError::new(StatusCode::UNAUTHORIZED, code, message)
}

fn refuse(error: ApiError) -> Response {
	metrics::turned_away(match error.status {
		StatusCode::TOO_MANY_REQUESTS => "rate_limit",
		StatusCode::UNAUTHORIZED => "no_key",
		_ => "not_allowed",
	});
	let challenge = error.status == StatusCode::UNAUTHORIZED;
	let mut response = error.into_response();
	if challenge {
		let bearer = HeaderValue::from_static("Bearer");
		response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
	}
	response
}

/// A time as OpenAI's headers show it: `17ms`, `8.64s`, `1m0s`.
fn shown(time: Duration) -> String {
	let millis = time.as_nanos().div_ceil(1_000_000);
	let (minutes, rest) = (millis / 60_000, millis % 60_000);
	match (minutes, rest) {
		(0, 0..1_000) => format!("{rest}ms"),
		(0, _) => format!("{}s", rest as f64 / 1_000.0),
		_ => format!("{minutes}m{}s", rest as f64 / 1_000.0),
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::keys::{create, revoke, Made, Wanted, FILE_NAME};
	use axum::{middleware::from_fn, routing::get, Extension, Router};
	use tempfile::{tempdir, TempDir};

	/// A key, and the keys as they are right after it was made.
	fn made(dir: &TempDir, wanted: Wanted) -> (Made, Keys) {
		let path = dir.path().join(FILE_NAME);
		let made = create(&path, wanted).unwrap();
		(made, Keys::open(path).unwrap())
	}

	fn with(authorization: &str) -> HeaderMap {
		let value = HeaderValue::from_str(authorization).unwrap();
		HeaderMap::from_iter([(header::AUTHORIZATION, value)])
	}

	/// With this key's secret.
	fn of(made: &Made) -> HeaderMap {
		with(&format!("Bearer {}", made.secret))
	}

	fn asked(method: Method, headers: &HeaderMap) -> Request {
		let mut request = Request::default();
		*request.method_mut() = method;
		*request.headers_mut() = headers.clone();
		request
	}

	fn error(keys: &Keys, method: Method, headers: &HeaderMap) -> ApiError {
		judge(keys, OpenTo::Everybody, &asked(method, headers)).0.unwrap_err()
	}

	/// What a coordinator of this machine says to a request with these headers, to this address.
	fn here(uri: &str, headers: &[(&'static str, &str)]) -> Result<Caller, ApiError> {
		let dir = tempdir().unwrap();
		let keys = Keys::open(dir.path().join(FILE_NAME)).unwrap();
		let mut request = Request::default();
		*request.uri_mut() = uri.parse().unwrap();
		for (name, value) in headers {
			request.headers_mut().append(*name, HeaderValue::from_str(value).unwrap());
		}
		judge(&keys, OpenTo::ThisMachine, &request).0
	}

	#[test]
	fn without_keys_only_an_open_coordinator_serves() {
		let dir = tempdir().unwrap();
		let keys = Keys::open(dir.path().join(FILE_NAME)).unwrap();
		// Clients send a key because their library wants one.
		for headers in [HeaderMap::new(), with("Bearer anything")] {
			let request = asked(Method::POST, &headers);
			let (caller, turn) = judge(&keys, OpenTo::Everybody, &request);
			let caller = caller.unwrap();
			assert_eq!((caller.owner(), turn), (None, None));
			assert!(caller.may_use("shapes", 0));
			let closed = judge(&keys, OpenTo::Nobody, &request).0.unwrap_err();
			assert_eq!(closed.status, StatusCode::UNAUTHORIZED);
		}
	}

	#[test]
	fn loopback_is_open_to_this_machine_and_all_addresses_to_everybody_if_told_so() {
		let at = |listen: &str, open| {
			OpenTo::of(&Config { listen: listen.parse().unwrap(), open, ..Config::default() })
		};
		for here in ["127.0.0.1:8080", "[::1]:8080"] {
			assert_eq!((at(here, false), at(here, true)), (OpenTo::ThisMachine, OpenTo::Everybody));
		}
		for there in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:8080"] {
			assert_eq!((at(there, false), at(there, true)), (OpenTo::Nobody, OpenTo::Everybody));
		}
	}

	#[test]
	fn this_machine_is_known_by_the_names_that_it_has_for_itself() {
		for host in [
			"localhost",
			"LocalHost:8080",
			"127.0.0.1",
			"127.0.0.1:8080",
			"127.8.8.8:1",
			"[::1]",
			"[::1]:8080",
			"[::ffff:127.0.0.1]:8080",
		] {
			assert!(here("/v1/jobs", &[("host", host)]).is_ok(), "{host}");
			let uri = format!("http://{host}/v1/jobs");
			assert!(here(&uri, &[("host", host)]).is_ok(), "{uri}");
		}
		for host in [
			"",
			":8080",
			"coordinator",
			"example.org:8080",
			"localhost.example.org",
			"127.0.0.1.example.org:8080",
			"example.org:8080:127.0.0.1",
			"localhost:8080@example.org",
			"192.0.2.1:8080",
			"0.0.0.0:8080",
			"::1",
			"[::1",
			"[::2]:8080",
			"[127.0.0.1]",
			"127.1",
		] {
			let error = here("/v1/jobs", &[("host", host)]).unwrap_err();
			assert_eq!((error.status, error.code), (StatusCode::FORBIDDEN, "only_this_machine"));
			assert!(error.message.contains("cuckoo-coordinator api-key create"), "{error:?}");
		}
		// Of several, each must be this machine; and there must be one.
		let (own, other) = (("host", "localhost"), ("host", "example.org"));
		assert!(here("/v1/jobs", &[]).is_err());
		assert!(here("/v1/jobs", &[own, other]).is_err());
		assert!(here("http://example.org/v1/jobs", &[own]).is_err());
		assert!(here("http://localhost/v1/jobs", &[other]).is_err());
	}

	#[test]
	fn without_keys_a_proxy_is_not_this_machine() {
		let host = ("host", "127.0.0.1:8080");
		assert!(here("/v1/jobs", &[host]).is_ok());
		for proxy in PROXIES {
			let error = here("/v1/jobs", &[host, (proxy, "127.0.0.1")]).unwrap_err();
			assert_eq!((error.status, error.code), (StatusCode::FORBIDDEN, "only_this_machine"));
			assert!(error.message.contains(proxy), "{error:?}");
		}
		// And one that says nothing of itself.
		for (version, served) in
			[(Version::HTTP_09, false), (Version::HTTP_10, false), (Version::HTTP_11, true)]
		{
			let mut request = Request::default();
			*request.version_mut() = version;
			request.headers_mut().insert(host.0, HeaderValue::from_static(host.1));
			let dir = tempdir().unwrap();
			let keys = Keys::open(dir.path().join(FILE_NAME)).unwrap();
			let told = judge(&keys, OpenTo::ThisMachine, &request).0;
			let code = told.as_ref().err().map(|error| (error.status, error.code));
			let refused = (StatusCode::FORBIDDEN, "only_this_machine");
			assert_eq!(code, (!served).then_some(refused), "{version:?}");
			// Whoever serves everybody does so.
			assert!(judge(&keys, OpenTo::Everybody, &request).0.is_ok());
		}
		// With a key it is whoever has it.
		let dir = tempdir().unwrap();
		let (made, keys) = made(&dir, Wanted::named("a"));
		let mut headers = of(&made);
		headers.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.1"));
		headers.insert(header::HOST, HeaderValue::from_static("example.org"));
		let mut request = asked(Method::GET, &headers);
		*request.version_mut() = Version::HTTP_10;
		assert!(judge(&keys, OpenTo::ThisMachine, &request).0.is_ok());
	}

	#[test]
	fn a_good_key_is_known_and_bound_to_its_models() {
		let dir = tempdir().unwrap();
		let wanted = Wanted { models: Some(vec!["shapes".into()]), ..Wanted::named("a") };
		let (made, keys) = made(&dir, wanted);
		let lower = with(&format!("bearer  {}", made.secret));
		for headers in [of(&made), lower] {
			let request = asked(Method::POST, &headers);
			let caller = judge(&keys, OpenTo::Nobody, &request).0.unwrap();
			assert_eq!(caller.owner(), Some(made.key.id));
			assert!(caller.may_use("shapes", 0) && !caller.may_use("other", 1));
		}
	}

	#[test]
	fn wrong_and_revoked_keys_get_the_same_answer() {
		let dir = tempdir().unwrap();
		let (gone, _) = made(&dir, Wanted::named("gone"));
		revoke(&dir.path().join(FILE_NAME), gone.key.id).unwrap();
		let (good, keys) = made(&dir, Wanted::named("good"));
		let never = format!("Bearer ck_{}", "A".repeat(43));
		let mut two = of(&good);
		two.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer x"));
		let mut answers = Vec::new();
		for headers in [
			of(&gone),
			with(&never),
			with(""),
			with("Bearer"),
			with("Bearer "),
			with(&format!("Basic {}", good.secret)),
			with(&good.secret),
			with(&format!("Bearer {}", good.key.id)),
			two,
		] {
			let ApiError { status, code, message, retry_after, .. } =
				error(&keys, Method::GET, &headers);
			answers.push((status, code, message, retry_after));
		}
		answers.dedup();
		assert_eq!(answers.len(), 1, "{answers:?}");
		assert_eq!((answers[0].0, answers[0].1), (StatusCode::UNAUTHORIZED, "invalid_api_key"));
		let missing = error(&keys, Method::GET, &HeaderMap::new());
		assert_eq!((missing.status, missing.code), (StatusCode::UNAUTHORIZED, "missing_api_key"));
	}

	#[test]
	fn a_key_does_only_what_its_scopes_allow() {
		let dir = tempdir().unwrap();
		let only = |scope: Scope| Wanted { scopes: [scope].into(), ..Wanted::named("a") };
		let (reader, _) = made(&dir, only(Scope::Read));
		let (submitter, keys) = made(&dir, only(Scope::Submit));
		for (method, allowed, refused) in [
			(Method::GET, &reader, &submitter),
			(Method::HEAD, &reader, &submitter),
			(Method::POST, &submitter, &reader),
			(Method::PUT, &submitter, &reader),
			(Method::DELETE, &submitter, &reader),
		] {
			let request = asked(method.clone(), &of(allowed));
			assert!(judge(&keys, OpenTo::Everybody, &request).0.is_ok());
			let error = error(&keys, method, &of(refused));
			assert_eq!((error.status, error.code), (StatusCode::FORBIDDEN, "insufficient_scope"));
		}
	}

	#[test]
	fn times_look_as_clients_know_them() {
		for (nanos, text) in [
			(0, "0ms"),
			(1, "1ms"),
			(17_000_000, "17ms"),
			(999_000_001, "1s"),
			(8_640_000_000, "8.64s"),
			(59_999_999_999, "1m0s"),
			(61_500_000_000, "1m1.5s"),
		] {
			assert_eq!(shown(Duration::from_nanos(nanos)), text);
		}
	}

	#[tokio::test]
	async fn over_http_a_caller_is_known_limited_and_its_secret_goes_no_further() {
		let dir = tempdir().unwrap();
		let (made, keys) = made(&dir, Wanted { per_minute: Some(2), ..Wanted::named("a") });
		let whoami = |Extension(caller): Extension<Caller>, headers: HeaderMap| async move {
			format!("{:?} {}", caller.owner(), headers.contains_key(header::AUTHORIZATION))
		};
		let gate = move |request: Request, next: Next| {
			let keys = keys.clone();
			async move { super::gate(&keys, OpenTo::Everybody, request, next).await }
		};
		let routes = Router::new().route("/", get(whoami)).layer(from_fn(gate));
		let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
		let url = format!("http://{}/", listener.local_addr().unwrap());
		let server = tokio::spawn(async move { axum::serve(listener, routes).await });
		let client = reqwest::Client::new();

		let stranger = client.get(&url).send().await.unwrap();
		assert_eq!(stranger.status(), 401);
		assert_eq!(stranger.headers()["www-authenticate"], "Bearer");
		assert!(!stranger.headers().contains_key("x-ratelimit-limit-requests"));
		let body: serde_json::Value = stranger.json().await.unwrap();
		assert_eq!(body["error"]["type"], "authentication_error");
		let message = body["error"]["message"].as_str().unwrap();
		assert!(message.contains("cuckoo-coordinator api-key create"), "{message}");

		for remaining in ["1", "0"] {
			let answer = client.get(&url).bearer_auth(&made.secret).send().await.unwrap();
			assert_eq!(answer.status(), 200);
			assert_eq!(answer.headers()["x-ratelimit-limit-requests"], "2");
			assert_eq!(answer.headers()["x-ratelimit-remaining-requests"], remaining);
			assert!(answer.headers().contains_key("x-ratelimit-reset-requests"));
			let text = answer.text().await.unwrap();
			assert_eq!(text, format!("{:?} false", Some(made.key.id)));
		}
		let many = client.get(&url).bearer_auth(&made.secret).send().await.unwrap();
		assert_eq!(many.status(), 429);
		assert_eq!(many.headers()["x-ratelimit-remaining-requests"], "0");
		let wait: u32 = many.headers()["retry-after"].to_str().unwrap().parse().unwrap();
		assert!((1..=30).contains(&wait), "{wait}");
		let body: serde_json::Value = many.json().await.unwrap();
		assert_eq!(body["error"]["code"], "rate_limit_exceeded");
		server.abort();
	}
}
