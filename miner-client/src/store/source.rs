//! Where a model's files come from: a web address or a folder, opened at any place of a file.

use std::{
	io::SeekFrom,
	path::{Path, PathBuf},
	time::Duration,
};

use reqwest::{header, redirect, Client, Response, StatusCode, Url};
use tokio::{
	fs::File,
	io::{AsyncReadExt, AsyncSeekExt},
};

use super::pull::PullError;

/// To reach a server at all.
const CONNECT: Duration = Duration::from_secs(10);
/// Stores of large files often send on to another address. What comes from there is checked like everything else.
const REDIRECTS: usize = 5;
/// How much of a local file is read at a time.
const PIECE: usize = 1 << 20;

/// A place that has a model's files.
#[derive(Debug)]
pub(super) enum Source {
	/// Below a web address.
	Web {
		/// How to ask.
		http: Client,
		/// The address that `SHA256SUMS` lies below.
		base: Url,
	},
	/// In a local folder.
	Folder(PathBuf),
}

/// A file that comes.
#[derive(Debug)]
pub(super) struct Opened {
	body: Body,
	/// At which of its bytes it begins: where it was asked to, or at the first.
	pub(super) from: u64,
	/// How many bytes are to come, if that is known.
	pub(super) rest: Option<u64>,
}

#[derive(Debug)]
enum Body {
	Web(Response),
	Folder(File),
}

impl Source {
	/// What `--from` names. A server that sends nothing for `silence` is given up.
	pub(super) fn parse(text: &str, silence: Duration) -> Result<Self, PullError> {
		let wrong = || PullError::Source(text.to_owned());
		if !text.contains("://") {
			let folder = PathBuf::from(text);
			return if folder.is_dir() { Ok(Self::Folder(folder)) } else { Err(wrong()) };
		}
		let base = Url::parse(text).map_err(|_| wrong())?;
		if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
			return Err(wrong());
		}
		let http = Client::builder()
			.user_agent(concat!("miner-client/", env!("CARGO_PKG_VERSION")))
			.redirect(redirect::Policy::limited(REDIRECTS))
			// A key in the address is not for whoever it redirects to.
			.referer(false)
			.connect_timeout(CONNECT)
			.read_timeout(silence)
			.build();
		let http = http.map_err(|error| PullError::Cut {
			from: shown(&base),
			reason: format!("cannot use HTTP: {error}"),
		})?;
		Ok(Self::Web { http, base })
	}

	/// Where it is, for people to read.
	pub(super) fn name(&self, file: &str) -> String {
		match self {
			Self::Web { base, .. } => shown(&address(base, file)),
			Self::Folder(folder) => folder.join(file).display().to_string(),
		}
	}

	/// Opens a file at one of its bytes. Whoever cannot give it from there on gives all of it.
	pub(super) async fn open(&self, file: &str, from: u64) -> Result<Opened, PullError> {
		match self {
			Self::Web { http, base } => web(http, address(base, file), from).await,
			Self::Folder(folder) => local(&folder.join(file), from).await,
		}
	}
}

/// The file's address: its path, piece by piece, behind that of the base. A query stays, some stores give access by it.
fn address(base: &Url, file: &str) -> Url {
	let mut address = base.clone();
	// Only an address that cannot be a base has no path, and those are refused.
	if let Ok(mut path) = address.path_segments_mut() {
		path.pop_if_empty().extend(file.split('/'));
	}
	address
}

/// An address without what may be secret in it.
fn shown(address: &Url) -> String {
	let mut address = address.clone();
	address.set_query(None);
	// Only an address without a host has no place for them, and those cannot be a base.
	let _ = address.set_username("").and_then(|()| address.set_password(None));
	address.to_string()
}

/// An error of the web without the address, which is told beside it.
fn reason(error: reqwest::Error) -> String {
	format!("{:#}", anyhow::Error::from(error.without_url()))
}

async fn web(http: &Client, address: Url, from: u64) -> Result<Opened, PullError> {
	let cut = |reason| PullError::Cut { from: shown(&address), reason };
	let mut from = from;
	loop {
		let mut request = http.get(address.clone());
		if from > 0 {
			request = request.header(header::RANGE, format!("bytes={from}-"));
		}
		let answer = request.send().await.map_err(|error| cut(reason(error)))?;
		let status = answer.status();
		let begin = match status {
			StatusCode::PARTIAL_CONTENT => range_begin(&answer),
			_ if status.is_success() => Some(0),
			_ => None,
		};
		if begin == Some(from) || begin == Some(0) {
			let rest = answer.content_length();
			return Ok(Opened { body: Body::Web(answer), from: begin.unwrap_or_default(), rest });
		}
		// Another part than was asked for, or none: the part that is here is no part of what is there.
		if from > 0 && (status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE) {
			from = 0;
			continue;
		}
		let busy = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
		if status.is_server_error() || busy.contains(&status) {
			return Err(cut(format!("it answered {status}")));
		}
		return Err(PullError::Refused { from: shown(&address), status: status.as_u16() });
	}
}

/// The first byte of a partial answer: `bytes 5-9/10` begins at 5.
fn range_begin(answer: &Response) -> Option<u64> {
	let range = answer.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
	range.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

async fn local(path: &Path, from: u64) -> Result<Opened, PullError> {
	let failed = |error: std::io::Error| PullError::disk(path, &error);
	let mut file = File::open(path).await.map_err(failed)?;
	let size = file.metadata().await.map_err(failed)?.len();
	let from = if from > size { 0 } else { from };
	file.seek(SeekFrom::Start(from)).await.map_err(failed)?;
	Ok(Opened { body: Body::Folder(file), from, rest: Some(size - from) })
}

impl Opened {
	/// Puts the next bytes in the place of what is in `piece`; none once all have come.
	pub(super) async fn next(&mut self, piece: &mut Vec<u8>) -> Result<(), String> {
		piece.clear();
		match &mut self.body {
			Body::Web(answer) => loop {
				let next = answer.chunk().await;
				let next = next.map_err(reason)?;
				let Some(next) = next else { break };
				piece.extend_from_slice(&next);
				// An empty piece is not the end.
				if !piece.is_empty() {
					break;
				}
			},
			Body::Folder(file) => {
				piece.resize(PIECE, 0);
				let read = file.read(piece).await.map_err(|error| error.to_string())?;
				piece.truncate(read);
			},
		}
		Ok(())
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	const SILENCE: Duration = Duration::from_secs(5);

	#[test]
	fn a_source_is_a_web_address_or_a_folder() {
		let dir = tempfile::tempdir().unwrap();
		let folder = dir.path().to_str().unwrap();
		assert!(matches!(Source::parse(folder, SILENCE), Ok(Source::Folder(_))));
		assert!(matches!(Source::parse("https://a.example/m", SILENCE), Ok(Source::Web { .. })));
		for bad in ["/nowhere/at/all", "ftp://a.example/m", "file:///etc", "http://", ""] {
			let error = Source::parse(bad, SILENCE).unwrap_err();
			assert!(matches!(error, PullError::Source(_)), "{bad}: {error}");
		}
	}

	#[test]
	fn a_files_address_lies_below_the_base() {
		let at = |base: &str, file| address(&Url::parse(base).unwrap(), file).to_string();
		assert_eq!(at("https://a.example", "SHA256SUMS"), "https://a.example/SHA256SUMS");
		assert_eq!(
			at("https://a.example/m/", "unet/model.onnx"),
			"https://a.example/m/unet/model.onnx"
		);
		assert_eq!(
			at("https://a.example/m?key=1", "a b?#%.json"),
			"https://a.example/m/a%20b%3F%23%25.json?key=1"
		);
	}

	#[test]
	fn no_secret_of_an_address_is_told() {
		let base = Url::parse("https://me:secret@a.example/m?key=secret").unwrap();
		assert_eq!(shown(&address(&base, "x")), "https://a.example/m/x");
	}

	#[tokio::test]
	async fn a_local_file_is_opened_where_it_was_left() {
		let dir = tempfile::tempdir().unwrap();
		std::fs::write(dir.path().join("x"), b"0123456789").unwrap();
		let source = Source::Folder(dir.path().to_owned());
		let mut piece = Vec::new();
		for (from, rest) in [(0, "0123456789"), (7, "789"), (10, ""), (11, "0123456789")] {
			let mut opened = source.open("x", from).await.unwrap();
			assert_eq!(opened.rest, Some(rest.len() as u64));
			opened.next(&mut piece).await.unwrap();
			assert_eq!(piece, rest.as_bytes());
		}
		assert!(matches!(source.open("y", 0).await, Err(PullError::Disk { .. })));
	}
}
