//! A stream that has its times, for what comes and for what goes.

use std::{
	future::Future,
	io::{self, IoSlice},
	pin::Pin,
	sync::Arc,
	task::{Context, Poll},
	time::Duration,
};

use tokio::{
	io::{AsyncRead, AsyncWrite, ReadBuf},
	time::{sleep, Instant, Sleep},
};

use super::{idle::Activity, Limits};

/// A stream that cannot be read any more once headers take too long, nor written to once the other side takes too little of what waits.
///
/// Headers take from their first byte, and the first of a connection from its beginning, until the request has begun. Hyper's own time for headers covers the
/// silence before them as well, and so can be no shorter than that may last.
pub(super) struct Impatient<S> {
	stream: S,
	limits: Limits,
	activity: Arc<Activity>,
	/// Until when the headers must be here that have begun to come, and how many requests came before them.
	headers: Option<(usize, Pin<Box<Sleep>>)>,
	/// What waits to be written, if something does.
	waiting: Option<Waiting>,
}

/// Bytes that wait to be written.
struct Waiting {
	/// Until when enough of them must be taken.
	end: Pin<Box<Sleep>>,
	/// How many were.
	taken: usize,
}

impl<S> Impatient<S> {
	/// That of a new connection, whose first headers are due.
	pub(super) fn new(stream: S, limits: Limits, activity: Arc<Activity>) -> Self {
		let headers = Some((activity.begun(), Box::pin(sleep(limits.headers))));
		Self { stream, limits, activity, headers, waiting: None }
	}

	/// What came of an attempt to read: an error if headers have taken too long.
	fn headers_in_time(
		&mut self,
		read: Poll<io::Result<()>>,
		came: bool,
		cx: &mut Context<'_>,
	) -> Poll<io::Result<()>> {
		let begun = self.activity.begun();
		// Their request has begun: they are here.
		if self.headers.as_ref().is_some_and(|(before, _)| *before != begun) {
			self.headers = None;
		}
		// What comes now is a body, whose time is its handler's business.
		if self.activity.is_serving() {
			return read;
		}
		if read.is_pending() {
			let Some((_, end)) = &mut self.headers else { return read };
			return end.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()));
		}
		if came && self.headers.is_none() {
			self.headers = Some((begun, Box::pin(sleep(self.limits.headers))));
		}
		read
	}

	/// What came of an attempt to write so many bytes: an error if it is time to give up.
	///
	/// Within each period the other side takes all that waits, or at least so much of it as [`Limits`] says. A few bytes now and then would otherwise hold a
	/// large answer for days; and small ones, such as the signs of life in a stream of events, are taken whole.
	fn in_time(
		&mut self,
		written: Poll<io::Result<usize>>,
		offered: usize,
		cx: &mut Context<'_>,
	) -> Poll<io::Result<usize>> {
		let Limits { stall, least, .. } = self.limits;
		match written {
			Poll::Ready(Ok(taken)) if taken >= offered => self.waiting = None,
			Poll::Ready(Ok(taken)) => {
				let waiting = self.waiting.get_or_insert_with(|| Waiting::new(stall));
				waiting.taken = waiting.taken.saturating_add(taken);
				if waiting.taken >= least {
					waiting.taken = 0;
					waiting.end.as_mut().reset(Instant::now() + stall);
				}
			},
			Poll::Ready(Err(_)) => {},
			Poll::Pending => {
				let waiting = self.waiting.get_or_insert_with(|| Waiting::new(stall));
				if waiting.end.as_mut().poll(cx).is_ready() {
					return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
				}
			},
		}
		self.activity.set_writing(self.waiting.is_some());
		written
	}
}

impl Waiting {
	fn new(stall: Duration) -> Self {
		Self { end: Box::pin(sleep(stall)), taken: 0 }
	}
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
	fn poll_read(
		mut self: Pin<&mut Self>,
		cx: &mut Context<'_>,
		buffer: &mut ReadBuf<'_>,
	) -> Poll<io::Result<()>> {
		let before = buffer.filled().len();
		let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
		let came = buffer.filled().len() > before;
		self.headers_in_time(read, came, cx)
	}
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
	fn poll_write(
		mut self: Pin<&mut Self>,
		cx: &mut Context<'_>,
		bytes: &[u8],
	) -> Poll<io::Result<usize>> {
		let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
		self.in_time(written, bytes.len(), cx)
	}

	fn poll_write_vectored(
		mut self: Pin<&mut Self>,
		cx: &mut Context<'_>,
		parts: &[IoSlice<'_>],
	) -> Poll<io::Result<usize>> {
		let offered = parts.iter().map(|part| part.len()).sum();
		let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
		self.in_time(written, offered, cx)
	}

	fn is_write_vectored(&self) -> bool {
		self.stream.is_write_vectored()
	}

	// A TCP stream does these two at once.

	fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
		Pin::new(&mut self.stream).poll_flush(cx)
	}

	fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
		Pin::new(&mut self.stream).poll_shutdown(cx)
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use tokio::{
		io::{duplex, AsyncReadExt, AsyncWriteExt, DuplexStream},
		time::timeout,
	};

	const STALL: Duration = Duration::from_millis(500);
	/// What lies between the two ends.
	const BETWEEN: usize = 64;
	/// Less than the limits that a test does not wait for, and enough for everything else.
	const SOON: Duration = Duration::from_secs(10);

	fn pair() -> (Impatient<DuplexStream>, DuplexStream) {
		let limits = Limits { stall: STALL, least: BETWEEN, ..Limits::default() };
		let (near, far) = duplex(BETWEEN);
		(Impatient::new(near, limits, Activity::new(Arc::default())), far)
	}

	#[tokio::test]
	async fn slow_readers_are_waited_for_as_long_as_they_read_enough() {
		let (mut near, mut far) = pair();
		let reader = tokio::spawn(async move {
			for _ in 0..10 {
				sleep(STALL / 5).await;
				far.read_exact(&mut [0; BETWEEN]).await.unwrap();
			}
			far
		});
		// Twice as long as the other side may do nothing.
		timeout(SOON, near.write_all(&[0; 11 * BETWEEN])).await.unwrap().unwrap();
		assert!(!near.activity.is_writing());
		let _open = reader.await.unwrap();
		let error = timeout(SOON, near.write_all(&[0])).await.unwrap().unwrap_err();
		assert_eq!(error.kind(), io::ErrorKind::TimedOut);
	}

	#[tokio::test]
	async fn a_byte_now_and_then_is_not_enough() {
		let (mut near, mut far) = pair();
		let reader = tokio::spawn(async move {
			while far.read_u8().await.is_ok() {
				sleep(STALL / 20).await;
			}
		});
		let error = timeout(SOON, near.write_all(&[0; 10 * BETWEEN])).await.unwrap().unwrap_err();
		assert_eq!(error.kind(), io::ErrorKind::TimedOut);
		assert!(near.activity.is_writing());
		drop(near);
		timeout(SOON, reader).await.unwrap().unwrap();
	}

	#[tokio::test]
	async fn what_is_taken_whole_may_be_as_little_as_it_is() {
		let (mut near, mut far) = pair();
		for _ in 0..10 {
			timeout(SOON, near.write_all(b"event")).await.unwrap().unwrap();
			sleep(STALL / 5).await;
			far.read_exact(&mut [0; 5]).await.unwrap();
		}
	}

	#[tokio::test]
	async fn headers_have_their_time_and_bodies_do_not() {
		let (near, mut far) = duplex(BETWEEN);
		let limits = Limits { headers: STALL, ..Limits::default() };
		let activity = Activity::new(Arc::default());
		let mut near = Impatient::new(near, limits, activity.clone());
		let mut bytes = [0; BETWEEN];
		// The first are here, and there is time for the body.
		far.write_all(b"headers").await.unwrap();
		assert_eq!(near.read(&mut bytes).await.unwrap(), 7);
		let serving = activity.begin();
		assert!(timeout(2 * STALL, near.read(&mut bytes)).await.is_err());
		// Then for the silence before the next.
		drop(serving);
		assert!(timeout(2 * STALL, near.read(&mut bytes)).await.is_err());
		// Not for those.
		far.write_all(b"h").await.unwrap();
		assert_eq!(near.read(&mut bytes).await.unwrap(), 1);
		let error = timeout(SOON, near.read(&mut bytes)).await.unwrap().unwrap_err();
		assert_eq!(error.kind(), io::ErrorKind::TimedOut);
		// And a connection's first begin with it.
		let (near, _far) = duplex(BETWEEN);
		let mut silent = Impatient::new(near, limits, Activity::new(Arc::default()));
		let error = timeout(SOON, silent.read(&mut bytes)).await.unwrap().unwrap_err();
		assert_eq!(error.kind(), io::ErrorKind::TimedOut);
	}
}
