//! Buckets that speak S3, over the HTTP client that this program has anyway.
//!
//! `object_store` would bring its own, and with it a second TLS library; rustls, when it finds two in one program, refuses to choose between them
//! and panics, in the connections to the node as well.

use std::{io, time::Duration};

use async_trait::async_trait;
use cuckoo_primitives::work::MAX_BLOB_BYTES;
use object_store::{
	aws::{AmazonS3, AmazonS3Builder},
	client::{
		HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
	},
	BackoffConfig, ClientConfigKey, ClientOptions, RetryConfig,
};
use reqwest::{redirect, Body, Client, Request, Url};

/// No answer of a store is larger: a blob, or a page of a listing.
const MAX_ANSWER: usize = MAX_BLOB_BYTES + (4 << 20);

/// Opens the bucket of this address; how it is reached and with which credentials say the variables `AWS_*`.
pub(super) fn open(url: &Url) -> object_store::Result<AmazonS3> {
	build(AmazonS3Builder::from_env(), url)
}

fn build(builder: AmazonS3Builder, url: &Url) -> object_store::Result<AmazonS3> {
	let backoff = BackoffConfig {
		init_backoff: Duration::from_millis(100),
		max_backoff: Duration::from_secs(2),
		base: 2.0,
	};
	let retry = RetryConfig { backoff, max_retries: 4, retry_timeout: Duration::from_secs(30) };
	builder
		.with_url(url.as_str())
		.with_retry(retry)
		// Blobs are deleted one by one, and not every store knows the request for many.
		.with_disable_bulk_delete(true)
		.with_http_connector(Connector)
		.build()
}

#[derive(Debug)]
struct Connector;

impl HttpConnector for Connector {
	fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
		let generic = |source: Box<dyn std::error::Error + Send + Sync>| {
			object_store::Error::Generic { store: "S3", source }
		};
		let time = |key: ClientConfigKey| {
			let text = options.get_config_value(&key);
			text.map(|text| humantime::parse_duration(&text))
				.transpose()
				.map_err(|error| generic(error.into()))
		};
		let allow_http = options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|set| {
			["1", "true", "on", "yes", "y"].contains(&set.to_ascii_lowercase().as_str())
		});
		// A signature is for one address, so that a redirect cannot be followed with it.
		let no_redirect = redirect::Policy::none();
		let mut client = Client::builder().redirect(no_redirect).https_only(!allow_http);
		if let Some(whole) = time(ClientConfigKey::Timeout)? {
			client = client.timeout(whole);
		}
		if let Some(connect) = time(ClientConfigKey::ConnectTimeout)? {
			client = client.connect_timeout(connect);
		}
		let client = client.build().map_err(|error| generic(error.into()))?;
		Ok(HttpClient::new(Service(client)))
	}
}

#[derive(Debug)]
struct Service(Client);

#[async_trait]
impl HttpService for Service {
	async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
		let (parts, body) = request.into_parts();
		let url = Url::parse(&parts.uri.to_string())
			.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
		let mut request = Request::new(parts.method, url);
		*request.headers_mut() = parts.headers;
		*request.body_mut() = Some(match body.as_bytes() {
			Some(bytes) => Body::from(bytes.clone()),
			None => Body::wrap(body),
		});

		let mut answer = self.0.execute(request).await.map_err(failed)?;
		let mut bytes = Vec::new();
		while let Some(chunk) = answer.chunk().await.map_err(failed)? {
			if bytes.len() + chunk.len() > MAX_ANSWER {
				let error =
					io::Error::other(format!("the answer is longer than {MAX_ANSWER} bytes"));
				return Err(HttpError::new(HttpErrorKind::Decode, error));
			}
			bytes.extend_from_slice(&chunk);
		}
		let mut response = HttpResponse::new(bytes.into());
		*response.status_mut() = answer.status();
		*response.headers_mut() = std::mem::take(answer.headers_mut());
		Ok(response)
	}
}

/// The kind decides whether a request is tried again. The address is left out: `object_store` shows it where it may.
fn failed(error: reqwest::Error) -> HttpError {
	let kind = if error.is_timeout() {
		HttpErrorKind::Timeout
	} else if error.is_connect() {
		HttpErrorKind::Connect
	} else if error.is_builder() {
		HttpErrorKind::Unknown
	} else {
		HttpErrorKind::Interrupted
	};
	let causes = anyhow::Error::new(error.without_url());
	HttpError::new(kind, io::Error::other(format!("{causes:#}")))
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::blobs::{BlobError, Blobs};
	use axum::{
		body::Bytes,
		extract::State,
		http::{header, HeaderMap, Method, StatusCode, Uri},
		response::{IntoResponse, Response},
		Router,
	};
	use object_store::path::Path;
	use std::{
		collections::HashMap,
		sync::{Arc, Mutex},
	};
	use tokio::{net::TcpListener, task::JoinHandle};

	/// As much of S3 as is used here.
	#[derive(Default)]
	struct Bucket {
		objects: HashMap<String, Bytes>,
		/// So many requests are still answered with 503.
		down: usize,
		requests: usize,
	}

	type Shared = Arc<Mutex<Bucket>>;

	async fn s3(
		State(bucket): State<Shared>,
		method: Method,
		uri: Uri,
		headers: HeaderMap,
		body: Bytes,
	) -> Response {
		let mut bucket = bucket.lock().unwrap();
		bucket.requests += 1;
		let signed = headers
			.get(header::AUTHORIZATION)
			.and_then(|value| value.to_str().ok())
			.is_some_and(|value| value.starts_with("AWS4-HMAC-SHA256 Credential=key/"));
		if !signed {
			return StatusCode::FORBIDDEN.into_response();
		}
		if bucket.down > 0 {
			bucket.down -= 1;
			return StatusCode::SERVICE_UNAVAILABLE.into_response();
		}
		let (name, made) = (uri.path().to_string(), [(header::ETAG, "\"1\"")]);
		match method {
			Method::PUT => {
				bucket.objects.insert(name, body);
				made.into_response()
			},
			Method::DELETE => {
				bucket.objects.remove(&name);
				StatusCode::NO_CONTENT.into_response()
			},
			Method::GET if uri.query().is_some_and(|query| query.contains("list-type=2")) => {
				let keys = bucket.objects.iter().map(|(name, bytes)| {
					let key = name.strip_prefix("/bucket/").unwrap();
					let size = bytes.len();
					format!(
						"<Contents><Key>{key}</Key><Size>{size}</Size><ETag>1</ETag>\
						 <LastModified>2020-01-01T00:00:00.000Z</LastModified></Contents>"
					)
				});
				let keys: String = keys.collect();
				format!("<ListBucketResult>{keys}</ListBucketResult>").into_response()
			},
			// Axum leaves out the bytes for a HEAD, and keeps their length.
			_ => match bucket.objects.get(&name) {
				Some(bytes) => {
					let changed = [(header::LAST_MODIFIED, "Wed, 01 Jan 2020 00:00:00 GMT")];
					(made, changed, bytes.clone()).into_response()
				},
				None => StatusCode::NOT_FOUND.into_response(),
			},
		}
	}

	async fn serve() -> (Shared, String, JoinHandle<()>) {
		let bucket = Shared::default();
		let app = Router::new().fallback(s3).with_state(bucket.clone());
		let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
		let endpoint = format!("http://{}", listener.local_addr().unwrap());
		let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
		(bucket, endpoint, server)
	}

	fn bucket_at(endpoint: &str, allow_http: bool) -> Blobs {
		let builder = AmazonS3Builder::new()
			.with_endpoint(endpoint)
			.with_access_key_id("key")
			.with_secret_access_key("secret")
			.with_allow_http(allow_http);
		let store = build(builder, &"s3://bucket/some/prefix".parse().unwrap()).unwrap();
		Blobs::new(Arc::new(store), Path::from("some/prefix/own"))
	}

	#[tokio::test]
	async fn a_bucket_keeps_blobs_as_a_folder_does() {
		use futures::TryStreamExt;
		let (bucket, endpoint, _server) = serve().await;
		let blobs = bucket_at(&endpoint, true);
		blobs.check().await.unwrap();
		assert!(bucket.lock().unwrap().objects.is_empty());
		for size in [0, 5, 100_000] {
			let bytes = Bytes::from(vec![7; size]);
			let hash = blobs.put(bytes.clone()).await.unwrap();
			assert_eq!(blobs.size(hash).await.unwrap(), size as u64);
			assert_eq!(blobs.get(hash).await.unwrap(), bytes);
			let name = hex::encode(hash);
			let place = format!("/bucket/some/prefix/own/{}/{name}", &name[..2]);
			assert!(bucket.lock().unwrap().objects.contains_key(&place));

			let listed: Vec<_> = blobs.older(Duration::from_secs(60)).try_collect().await.unwrap();
			assert_eq!(listed, [hash]);
			assert!(blobs.delete(hash, Duration::from_secs(60)).await.unwrap());
			assert!(matches!(blobs.get(hash).await, Err(BlobError::Missing(_))));
		}
	}

	#[tokio::test]
	async fn a_bucket_that_hiccups_is_asked_again_and_one_that_is_down_is_unavailable() {
		let (bucket, endpoint, server) = serve().await;
		let blobs = bucket_at(&endpoint, true);
		bucket.lock().unwrap().down = 2;
		let hash = blobs.put(Bytes::from_static(b"kept")).await.unwrap();
		assert_eq!(bucket.lock().unwrap().requests, 3);

		bucket.lock().unwrap().down = 1_000;
		assert!(matches!(blobs.get(hash).await, Err(BlobError::Unavailable(_))));
		assert!(bucket.lock().unwrap().requests < 10);
		bucket.lock().unwrap().down = 0;
		assert_eq!(blobs.get(hash).await.unwrap(), "kept");

		server.abort();
		assert!(server.await.unwrap_err().is_cancelled());
		// With no connection left from before.
		let blobs = bucket_at(&endpoint, true);
		assert!(matches!(blobs.get(hash).await, Err(BlobError::Unavailable(_))));
		assert!(matches!(blobs.check().await, Err(BlobError::Unavailable(_))));
	}

	#[tokio::test]
	async fn a_bucket_without_tls_is_not_spoken_to_unless_that_is_set() {
		let (bucket, endpoint, _server) = serve().await;
		let put = bucket_at(&endpoint, false).put(Bytes::from_static(b"secret")).await;
		assert!(matches!(put, Err(BlobError::Unavailable(_))));
		assert_eq!(bucket.lock().unwrap().requests, 0);
	}

	#[tokio::test]
	async fn what_a_bucket_changed_is_damaged() {
		let (bucket, endpoint, _server) = serve().await;
		let blobs = bucket_at(&endpoint, true);
		let hash = blobs.put(Bytes::from_static(b"honest")).await.unwrap();
		for bytes in bucket.lock().unwrap().objects.values_mut() {
			*bytes = Bytes::from_static(b"forged");
		}
		assert!(matches!(blobs.get(hash).await, Err(BlobError::Damaged(_))));
	}
}
