//! Takes connections, with what axum's own server leaves open: how long a connection may be held without use, and by how many.
//!
//! Whoever sends headers one byte at a time, or nothing, or reads hardly anything of an answer, would hold a connection for ever, and enough of them all that
//! there are. So each of these has its time, no address may have all connections, and where all are taken, whoever has been without a request longest makes
//! room: a bound of what one may hold for how long is not enough where a stranger has thousands of addresses. HTTP/2 is not spoken: hyper bounds no time for
//! a connection that is silent, as long as it could become one of either kind.

mod addresses;
mod idle;
mod stream;

use std::{convert::Infallible, future::Future, net::IpAddr, sync::Arc, time::Duration};

use axum::{body::Body, http::Request, Router};
use hyper::server::conn::http1;
use hyper_util::{
	rt::{TokioIo, TokioTimer},
	server::graceful::GracefulShutdown,
	service::TowerToHyperService,
};
use tokio::{
	net::TcpListener,
	sync::{OwnedSemaphorePermit, Semaphore},
	time::{sleep, timeout},
};
use tower::ServiceExt;

use addresses::Addresses;
use idle::{Activity, Idle, Served};
use stream::Impatient;

/// The largest headers, in bytes.
const MAX_HEADERS: usize = 64 << 10;
/// After a connection could not be taken: the system has no more files to give, say. And how long the connection that should make room for another one has
/// for it, before the next is told to.
const PAUSE: Duration = Duration::from_millis(200);

/// What bounds connections.
#[derive(Clone, Copy, Debug)]
struct Limits {
	/// How long headers may take from their first byte; those of the first request from the connection's beginning.
	headers: Duration,
	/// How long a connection may be silent between an answer and the end of the next headers. Longer than proxies keep theirs for another request (60 s is
	/// usual): whoever closes first may meet a request, which is lost.
	idle: Duration,
	/// The period within which the other side must take in something of what is written.
	stall: Duration,
	/// So much of it at least, in bytes, or all that there is.
	least: usize,
	/// How many connections there are at a time.
	connections: usize,
	/// How many of them an address may have; more are closed at once.
	per_address: usize,
}

impl Default for Limits {
	fn default() -> Self {
		Self {
			headers: Duration::from_secs(20),
			idle: Duration::from_secs(75),
			stall: Duration::from_secs(60),
			least: 64 << 10,
			connections: 4_096,
			per_address: 512,
		}
	}
}

/// Serves until `stop` returns and every request that was under way is answered. Connections from the `trusted` addresses are not bounded by their number, as
/// those from this machine are not: they are proxies, which bring many clients.
pub async fn serve(
	listener: TcpListener,
	router: Router,
	trusted: &[IpAddr],
	stop: impl Future<Output = ()>,
) {
	let limits = Limits::default();
	let addresses = Addresses::new(limits.per_address, trusted);
	serve_within(limits, addresses, listener, router, stop).await;
}

async fn serve_within(
	limits: Limits,
	addresses: Arc<Addresses>,
	listener: TcpListener,
	router: Router,
	stop: impl Future<Output = ()>,
) {
	let mut builder = http1::Builder::new();
	builder.timer(TokioTimer::new()).header_read_timeout(limits.idle).max_buf_size(MAX_HEADERS);
	let (graceful, places) =
		(GracefulShutdown::new(), Arc::new(Semaphore::new(limits.connections)));
	let idle = Arc::new(Idle::default());
	let mut stop = std::pin::pin!(stop);
	loop {
		let accepted = tokio::select! {
			accepted = listener.accept() => accepted,
			() = &mut stop => break,
		};
		let (stream, address) = match accepted {
			Ok(accepted) => accepted,
			Err(error) => {
				tracing::warn!(%error, "a connection could not be taken");
				sleep(PAUSE).await;
				continue;
			},
		};
		let Some(share) = addresses.enter(address.ip()) else {
			tracing::debug!(%address, "an address has too many connections");
			continue;
		};
		// The order to stop is heard while there is no place, too.
		let place = tokio::select! {
			place = free_place(&places, &idle) => place,
			() = &mut stop => break,
		};
		if let Err(error) = stream.set_nodelay(true) {
			tracing::debug!(%error, "a connection is slower than it could be");
		}
		let (router, activity) = (router.clone(), Activity::new(idle.clone()));
		let io = TokioIo::new(Impatient::new(stream, limits, activity.clone()));
		let requests = activity.clone();
		let service = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
			let (router, serving) = (router.clone(), requests.begin());
			async move {
				let response = router.oneshot(request.map(Body::new)).await;
				let Ok(response) = response;
				Ok::<_, Infallible>(response.map(|body| Served::new(body, serving)))
			}
		});
		let connection = builder.serve_connection(io, TowerToHyperService::new(service));
		let connection = graceful.watch(connection);
		tokio::spawn(async move {
			let _held = (place, share);
			tokio::select! {
				// A request that has come meanwhile counts.
				biased;
				ended = connection => {
					// Whoever is on the other end has gone, or was too slow.
					if let Err(error) = ended {
						tracing::debug!(%error, "a connection ended early");
					}
				},
				() = activity.closing() => {
					tracing::debug!(%address, "a connection made room for another one");
				},
			}
		});
	}
	drop(listener);
	graceful.shutdown().await;
}

/// A place for one more connection. As long as there is none, whoever has been without a request longest is told to make room. It is cut off, not ended by
/// hyper's graceful shutdown: that waits for the rest of headers that have begun to come, which is what a slow sender of headers wants.
async fn free_place(places: &Arc<Semaphore>, idle: &Idle) -> OwnedSemaphorePermit {
	loop {
		if let Ok(place) = places.clone().try_acquire_owned() {
			return place;
		}
		idle.close_longest();
		// It may have got a request at this moment, or nobody was without one. Nobody closes the semaphore.
		if let Ok(Ok(place)) = timeout(PAUSE, places.clone().acquire_owned()).await {
			return place;
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use axum::routing::{get, post};
	use std::net::SocketAddr;
	use tokio::{
		io::{AsyncReadExt, AsyncWriteExt},
		net::TcpStream,
		sync::oneshot,
		task::JoinHandle,
	};

	/// For limits that a test waits for.
	const SHORT: Duration = Duration::from_millis(200);
	/// Less than the limits that a test does not wait for, and enough for everything else.
	const SOON: Duration = Duration::from_secs(10);
	/// More bytes than the system keeps of a connection.
	const LARGE: usize = 64 << 20;

	async fn slow() -> &'static str {
		sleep(2 * SHORT).await;
		"late"
	}

	struct Server {
		address: SocketAddr,
		stop: oneshot::Sender<()>,
		serving: JoinHandle<()>,
	}

	impl Server {
		async fn start(limits: Limits) -> Self {
			let router = Router::new()
				.route("/", get(|| async { "here" }))
				.route("/large", get(|| async { vec![0u8; LARGE] }))
				.route("/slow", get(slow))
				.route("/all", post(|all: String| async { all }));
			let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
			let address = listener.local_addr().unwrap();
			let (stop, stopped) = oneshot::channel::<()>();
			let stopped = async move {
				let _ = stopped.await;
			};
			let addresses = Addresses::new(limits.per_address, &[]);
			let serving = tokio::spawn(serve_within(limits, addresses, listener, router, stopped));
			Self { address, stop, serving }
		}

		async fn connect(&self) -> TcpStream {
			TcpStream::connect(self.address).await.unwrap()
		}

		/// A connection on which this was asked for. It may be used again.
		async fn ask(&self, path: &str) -> TcpStream {
			let mut stream = self.connect().await;
			ask(&mut stream, path).await;
			stream
		}

		async fn stop(self) {
			self.stop.send(()).unwrap();
			timeout(SOON, self.serving).await.unwrap().unwrap();
		}
	}

	async fn ask(stream: &mut TcpStream, path: &str) {
		let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
		stream.write_all(request.as_bytes()).await.unwrap();
	}

	/// Reads an answer that ends like this, on a connection that stays open.
	async fn answered(stream: &mut TcpStream, end: &str) {
		let mut bytes = Vec::new();
		let whole = async {
			while !bytes.ends_with(end.as_bytes()) {
				let read = stream.read_buf(&mut bytes).await.unwrap();
				assert_ne!(read, 0, "{bytes:?}");
			}
		};
		timeout(SOON, whole).await.expect("there is no answer");
		assert!(bytes.starts_with(b"HTTP/1.1 200 "), "{bytes:?}");
	}

	/// What comes until the other side closes the connection, which it must.
	async fn rest(mut stream: TcpStream) -> Vec<u8> {
		let mut bytes = Vec::new();
		// It may end in an error: what was sent and not read is reset.
		let _ = timeout(SOON, stream.read_to_end(&mut bytes)).await.expect("it is still open");
		bytes
	}

	async fn text(stream: TcpStream) -> String {
		String::from_utf8(rest(stream).await).unwrap()
	}

	#[tokio::test]
	async fn who_sends_no_whole_request_is_closed() {
		let server = Server::start(Limits { headers: SHORT, ..Limits::default() }).await;
		for begun in ["", "\r\n", "PRI", "GET / HTTP/1.1\r\nhost: localhost\r\n"] {
			let mut stream = server.connect().await;
			stream.write_all(begun.as_bytes()).await.unwrap();
			let answer = text(stream).await;
			assert!(!answer.contains("200"), "{begun:?}: {answer}");
		}
		server.stop().await;
	}

	#[tokio::test]
	async fn a_connection_may_wait_for_its_answer_but_not_long_for_its_next_request() {
		let limits = Limits { headers: SHORT, idle: SHORT, ..Limits::default() };
		let server = Server::start(limits).await;
		for (path, body) in [("/", "here"), ("/slow", "late")] {
			let answer = text(server.ask(path).await).await;
			assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
			assert!(answer.ends_with(body) && !answer.contains("close"), "{answer}");
		}
		server.stop().await;
	}

	#[tokio::test]
	async fn a_silent_connection_stays_longer_than_headers_may_take() {
		let server = Server::start(Limits { headers: SHORT, ..Limits::default() }).await;
		let mut stream = server.ask("/").await;
		answered(&mut stream, "here").await;
		sleep(2 * SHORT).await;
		ask(&mut stream, "/slow").await;
		answered(&mut stream, "late").await;
		sleep(2 * SHORT).await;
		// These do not end.
		stream.write_all(b"GET / HTTP/1.1\r\nhost").await.unwrap();
		assert!(rest(stream).await.is_empty());
		server.stop().await;
	}

	#[tokio::test]
	async fn http_2_is_refused() {
		let server = Server::start(Limits::default()).await;
		for begun in ["PRI * HTTP/2.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
			let mut stream = server.connect().await;
			stream.write_all(begun.as_bytes()).await.unwrap();
			// The first bytes of an HTTP/2 server would be a frame.
			let answer = rest(stream).await;
			assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400 "), "{answer:?}");
		}
		server.stop().await;
	}

	#[tokio::test]
	async fn the_order_to_stop_is_heard_while_all_places_are_taken() {
		let server = Server::start(Limits { connections: 2, ..Limits::default() }).await;
		let mut busy = [server.connect().await, server.connect().await];
		for stream in &mut busy {
			// The answer waits for the rest.
			let begun = b"POST /all HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n";
			stream.write_all(begun).await.unwrap();
		}
		sleep(SHORT).await;
		let mut third = server.ask("/").await;
		assert!(timeout(2 * PAUSE, third.read_u8()).await.is_err(), "there was a place");
		server.stop.send(()).unwrap();
		sleep(SHORT).await;
		assert!(rest(third).await.is_empty());
		// What is under way has its answer.
		for mut stream in busy {
			stream.write_all(b"9 letters").await.unwrap();
			let answer = text(stream).await;
			assert!(answer.ends_with("9 letters"), "{answer}");
		}
		timeout(SOON, server.serving).await.unwrap().unwrap();
	}

	#[tokio::test]
	async fn whoever_has_been_without_a_request_longest_makes_room() {
		let server = Server::start(Limits { connections: 3, ..Limits::default() }).await;
		let mut busy = server.connect().await;
		let begun = b"POST /all HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\n\r\n";
		busy.write_all(begun).await.unwrap();
		let mut crawling = server.connect().await;
		crawling.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
		let mut used = server.ask("/").await;
		answered(&mut used, "here").await;
		sleep(SHORT).await;

		let mut fourth = server.ask("/").await;
		answered(&mut fourth, "here").await;
		assert!(rest(crawling).await.is_empty());
		// That one was not the longest.
		ask(&mut used, "/").await;
		answered(&mut used, "here").await;
		let mut fifth = server.ask("/").await;
		answered(&mut fifth, "here").await;
		assert!(rest(fourth).await.is_empty());
		// And whoever has a request makes no room at all.
		busy.write_all(b"here").await.unwrap();
		answered(&mut busy, "here").await;
		drop((busy, used, fifth));
		server.stop().await;
	}

	#[tokio::test]
	async fn who_reads_nothing_of_an_answer_loses_the_connection() {
		let limits = Limits { idle: SHORT, stall: SHORT, connections: 1, ..Limits::default() };
		let server = Server::start(limits).await;
		let stalled = server.ask("/large").await;
		// There is a place for it once the other has lost its own.
		let answer = text(server.ask("/").await).await;
		assert!(answer.ends_with("here"), "{answer}");
		let taken = rest(stalled).await;
		assert!(taken.starts_with(b"HTTP/1.1 200 ") && taken.len() < LARGE, "{}", taken.len());
		server.stop().await;
	}
}
