//! The page for people: a prompt to try, the miners, recent tasks, how to vote. Files of this crate's `page` folder, held in the program.
//!
//! Nothing of it comes from another site, and the browser is told to keep it so. What is shown in it comes from the same routes that applications use, and from
//! [`network`](crate::network).

use std::sync::Arc;

use axum::{
	http::{header, HeaderMap, HeaderValue, StatusCode},
	response::{IntoResponse, Response},
	routing::get,
	Router,
};
use sp_crypto_hashing::blake2_256;

use crate::error::set;

/// Address, content type and content of every file.
const FILES: [(&str, &str, &str); 4] = [
	("/", "text/html; charset=utf-8", include_str!("../page/index.html")),
	("/page.js", "text/javascript; charset=utf-8", include_str!("../page/page.js")),
	("/page.css", "text/css; charset=utf-8", include_str!("../page/page.css")),
	("/logo.svg", "image/svg+xml", include_str!("../page/logo.svg")),
];

/// Scripts, styles and data from here alone, none of them written into the page; pictures as well out of the script's memory. Nobody may show the page in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
	img-src 'self' data: blob:; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; \
	base-uri 'none'";

/// The routes. They need no key.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
	FILES.into_iter().fold(Router::new(), |router, (path, kind, content)| {
		let file = Arc::new(File::new(kind, content));
		let answer = move |request: HeaderMap| async move { file.answer(&request) };
		router.route(path, get(answer))
	})
}

/// A file, and the name of this version of it.
struct File {
	kind: &'static str,
	content: &'static str,
	etag: String,
}

impl File {
	fn new(kind: &'static str, content: &'static str) -> Self {
		let hash = blake2_256(content.as_bytes());
		Self { kind, content, etag: format!("\"{}\"", hex::encode(&hash[..16])) }
	}

	/// The file, or word that the browser has this version of it.
	fn answer(&self, request: &HeaderMap) -> Response {
		let mut response = if self.is_held(request) {
			StatusCode::NOT_MODIFIED.into_response()
		} else {
			([(header::CONTENT_TYPE, self.kind)], self.content).into_response()
		};
		let headers = response.headers_mut();
		set(headers, header::ETAG, &self.etag);
		// Files of two versions must not be mixed: the browser asks each time, and mostly hears that nothing changed.
		headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
		headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
		headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
		headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
		response
	}

	fn is_held(&self, request: &HeaderMap) -> bool {
		let held = request.get_all(header::IF_NONE_MATCH).iter();
		held.filter_map(|list| list.to_str().ok())
			.flat_map(|list| list.split(','))
			.map(|tag| tag.trim().trim_start_matches("W/"))
			.any(|tag| tag == self.etag || tag == "*")
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use axum::body::to_bytes;

	const PAGE: &str = FILES[0].2;
	const SCRIPT: &str = FILES[1].2;
	const STYLE: &str = FILES[2].2;

	fn asked(etag: &str) -> HeaderMap {
		HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_str(etag).unwrap())])
	}

	#[tokio::test]
	async fn every_file_comes_with_its_type_and_the_policy() {
		for (path, kind, content) in FILES {
			let response = File::new(kind, content).answer(&HeaderMap::new());
			assert_eq!(response.status(), StatusCode::OK, "{path}");
			let headers = response.headers().clone();
			assert_eq!(headers[header::CONTENT_TYPE], kind);
			assert_eq!(headers[header::CACHE_CONTROL], "no-cache");
			assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
			assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
			let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
			let directives: Vec<&str> = policy.split(';').map(str::trim).collect();
			let expected = [
				"default-src 'none'",
				"script-src 'self'",
				"style-src 'self'",
				"img-src 'self' data: blob:",
				"connect-src 'self'",
				"form-action 'none'",
				"frame-ancestors 'none'",
				"base-uri 'none'",
			];
			assert_eq!(directives, expected);
			let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
			assert_eq!(body, content.as_bytes());
		}
		// All routes can be made: none is there twice.
		let _: Router = routes();
	}

	#[tokio::test]
	async fn what_the_browser_holds_is_not_sent_again() {
		let file = File::new("text/css", "a {}");
		let etag = file.etag.clone();
		assert_ne!(etag, File::new("text/css", "b {}").etag);
		for held in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".into()] {
			let response = file.answer(&asked(&held));
			assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{held}");
			assert_eq!(response.headers()[header::ETAG], etag.as_str());
			assert!(to_bytes(response.into_body(), 10).await.unwrap().is_empty());
		}
		for other in ["\"x\"", "", "x"] {
			assert_eq!(file.answer(&asked(other)).status(), StatusCode::OK, "{other}");
		}
	}

	/// What stands between two marks, wherever they are.
	fn between<'a>(text: &'a str, start: &'a str, end: &'a str) -> impl Iterator<Item = &'a str> {
		text.split(start).skip(1).filter_map(move |rest| Some(rest.split_once(end)?.0))
	}

	#[test]
	fn nothing_comes_from_elsewhere_and_nothing_is_written_into_the_page() {
		let local = ["page.js", "page.css", "logo.svg"];
		for address in between(PAGE, "src=\"", "\"") {
			assert!(local.contains(&address), "{address}");
		}
		for link in between(PAGE, "<link ", ">") {
			let address = between(link, "href=\"", "\"").next().unwrap();
			assert!(local.contains(&address), "{address}");
		}
		for script in between(PAGE, "<script", "</script>") {
			assert!(script.ends_with('>'), "a script in the page: {script}");
		}
		for bad in
			["<style", " style=", " onclick=", " onload=", " onerror=", "javascript:", "<base"]
		{
			assert!(!PAGE.contains(bad), "{bad}");
		}
		for bad in ["url(", "@import", "http:", "https:"] {
			assert!(!STYLE.contains(bad), "{bad}");
		}
	}

	#[test]
	fn what_others_wrote_is_never_read_as_html() {
		for bad in [
			"innerHTML",
			"outerHTML",
			"insertAdjacentHTML",
			"document.write",
			"DOMParser",
			"setHTML",
			"createContextualFragment",
			"eval(",
			"new Function",
			"localStorage",
			"document.cookie",
		] {
			assert!(!SCRIPT.contains(bad), "{bad}");
		}
	}

	#[test]
	fn the_script_finds_what_it_looks_for() {
		let ids: Vec<&str> = between(PAGE, " id=\"", "\"").collect();
		let mut unique = ids.clone();
		unique.sort_unstable();
		unique.dedup();
		assert_eq!(unique.len(), ids.len(), "an id is there twice");
		let wanted: Vec<&str> = between(SCRIPT, "byId(\"", "\"").collect();
		assert!(wanted.len() > 20);
		for id in wanted {
			assert!(ids.contains(&id), "{id}");
		}
		let labelled = ["for=\"", "aria-labelledby=\"", "aria-describedby=\"", "href=\"#"];
		for id in labelled.into_iter().flat_map(|mark| between(PAGE, mark, "\"")) {
			assert!(id.split(' ').all(|id| ids.contains(&id)), "{id}");
		}
	}
}
