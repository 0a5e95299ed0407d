//! A server of models that misbehaves, and what comes of it.

use std::{
	collections::BTreeMap,
	sync::{Arc, Mutex},
};

use axum::{
	body::Body,
	extract::State,
	http::{header, HeaderMap, StatusCode, Uri},
	response::{IntoResponse, Response},
	Router,
};
use futures::{stream, StreamExt};

use super::*;
use crate::model::tests::folder;

/// A name of a listed file, and the other one's.
const LARGE: &str = "unet/model.onnx";
const SMALL: &str = "unet/config.json";
const SIZE: usize = 100_000;

/// How the server misbehaves.
#[derive(Clone, Copy, Default)]
struct Manners {
	/// Cut answers short after so many bytes, so many times.
	cut: (usize, u32),
	/// Do not say how many bytes are to come.
	silent_about_size: bool,
	/// Send all of a file whatever was asked for.
	no_ranges: bool,
	/// Do not answer at all.
	dead: bool,
}

#[derive(Default)]
struct Shop {
	files: Mutex<BTreeMap<String, Vec<u8>>>,
	manners: Mutex<Manners>,
	/// What was asked for: file and range.
	asked: Mutex<Vec<(String, Option<String>)>>,
}

impl Shop {
	fn put(&self, name: &str, bytes: &[u8]) {
		self.files.lock().unwrap().insert(name.into(), bytes.into());
	}

	fn behave(&self, manners: Manners) {
		*self.manners.lock().unwrap() = manners;
	}

	fn ranges(&self) -> Vec<(String, String)> {
		let asked = self.asked.lock().unwrap();
		asked.iter().filter_map(|(file, range)| Some((file.clone(), range.clone()?))).collect()
	}
}

async fn serve(State(shop): State<Arc<Shop>>, uri: Uri, headers: HeaderMap) -> Response {
	let name = uri.path().trim_start_matches("/models/").to_owned();
	let range = headers.get(header::RANGE).map(|range| range.to_str().unwrap().to_owned());
	shop.asked.lock().unwrap().push((name.clone(), range.clone()));
	let manners = *shop.manners.lock().unwrap();
	if manners.dead {
		std::future::pending::<()>().await;
	}
	let Some(file) = shop.files.lock().unwrap().get(&name).cloned() else {
		return StatusCode::NOT_FOUND.into_response();
	};
	let from = range.filter(|_| !manners.no_ranges);
	let from = from.map(|r| r["bytes=".len()..].trim_end_matches('-').parse::<usize>().unwrap());
	if from.is_some_and(|from| from >= file.len()) {
		return StatusCode::RANGE_NOT_SATISFIABLE.into_response();
	}
	let mut answer = Response::builder();
	if let Some(from) = from {
		let range = format!("bytes {from}-{}/{}", file.len() - 1, file.len());
		answer = answer.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, range);
	}
	let mut rest = file[from.unwrap_or_default()..].to_vec();
	if !manners.silent_about_size {
		answer = answer.header(header::CONTENT_LENGTH, rest.len());
	}
	let (bytes, times) = manners.cut;
	let cut = times > 0 && rest.len() > bytes;
	if cut {
		rest.truncate(bytes);
		shop.manners.lock().unwrap().cut.1 -= 1;
	}
	let body = stream::once(async move { Ok(rest) }).chain(stream::once(async move {
		if cut {
			// After what was sent has left.
			tokio::time::sleep(Duration::from_millis(100)).await;
			return Err(io::Error::other("cut"));
		}
		Ok(Vec::new())
	}));
	answer.body(Body::from_stream(body)).unwrap()
}

/// A model on a server on a port of its own, and a store.
struct Scene {
	shop: Arc<Shop>,
	url: String,
	store: tempfile::TempDir,
	manifest: H256,
	large: Vec<u8>,
}

impl Scene {
	async fn new() -> Self {
		let large: Vec<u8> = (0..SIZE).map(|n| (n * n / 7) as u8).collect();
		let dir = folder(&[(LARGE, &large), (SMALL, b"{}")]);
		let sums = fs::read(dir.path().join(SUMS)).unwrap();
		let shop = Arc::new(Shop::default());
		for (name, bytes) in [(SUMS, &sums), (LARGE, &large), (SMALL, &b"{}".to_vec())] {
			shop.put(name, bytes);
		}
		let app = Router::new().fallback(serve).with_state(shop.clone());
		let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
		let url = format!("http://{}/models", listener.local_addr().unwrap());
		tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
		let manifest = blake2_256(&sums).into();
		Self { shop, url, store: tempfile::tempdir().unwrap(), manifest, large }
	}

	fn limits() -> Limits {
		Limits { max_bytes: 1 << 20, attempts: 0, pause: Duration::from_millis(1) }
	}

	async fn pull_with(&self, limits: Limits) -> Result<PathBuf, PullError> {
		let source = Source::parse(&self.url, Duration::from_millis(500)).unwrap();
		pull(self.store.path(), "m", self.manifest, &source, limits).await
	}

	async fn pull(&self) -> Result<PathBuf, PullError> {
		self.pull_with(Self::limits()).await
	}

	fn part(&self) -> PathBuf {
		let work = format!("{UNFINISHED}{}", hex::encode(self.manifest));
		let hash = hex::encode(Sha256::digest(&self.large));
		self.store.path().join(work).join("parts").join(hash)
	}

	fn is_whole(&self, dir: &Path) -> bool {
		let left_over = fs::read_dir(self.store.path()).unwrap().count() - 1;
		let model = Model::verify(dir).unwrap();
		left_over == 0
			&& model.manifest() == self.manifest
			&& fs::read(dir.join(LARGE)).unwrap() == self.large
	}
}

#[tokio::test]
async fn a_model_comes_whole_from_the_web_or_a_folder() {
	let scene = Scene::new().await;
	let dir = scene.pull().await.unwrap();
	assert!(dir.ends_with("m") && scene.is_whole(&dir));
	let asked = scene.shop.asked.lock().unwrap().len();
	// It is there.
	scene.pull().await.unwrap();
	assert_eq!(scene.shop.asked.lock().unwrap().len(), asked);

	let source = Source::Folder(dir);
	let again = pull(scene.store.path(), "n", scene.manifest, &source, Scene::limits()).await;
	assert_eq!(Model::verify(&again.unwrap()).unwrap().manifest(), scene.manifest);
}

#[tokio::test]
async fn a_download_cut_short_goes_on_where_it_stopped() {
	let scene = Scene::new().await;
	scene.shop.behave(Manners { cut: (40_000, 1), ..Manners::default() });
	let error = scene.pull().await.unwrap_err();
	assert!(matches!(error, PullError::Cut { .. }), "{error}");
	assert!(error.to_string().contains(LARGE) && error.to_string().contains("goes on"), "{error}");
	let have = fs::metadata(scene.part()).unwrap().len();
	assert_eq!(have, 40_000);
	let dir = scene.pull().await.unwrap();
	assert!(scene.is_whole(&dir));
	assert_eq!(scene.shop.ranges(), [(LARGE.to_owned(), format!("bytes={have}-"))]);
}

#[tokio::test]
async fn cuts_are_borne_while_bytes_come() {
	let scene = Scene::new().await;
	scene.shop.behave(Manners { cut: (30_000, 3), ..Manners::default() });
	let dir = scene.pull_with(Limits { attempts: 1, ..Scene::limits() }).await.unwrap();
	assert!(scene.is_whole(&dir));
	assert_eq!(scene.shop.ranges().len(), 3);

	let scene = Scene::new().await;
	scene.shop.behave(Manners { cut: (30_000, 9), no_ranges: true, ..Manners::default() });
	let error = scene.pull_with(Limits { attempts: 2, ..Scene::limits() }).await.unwrap_err();
	assert!(matches!(error, PullError::Cut { .. }), "{error}");
	assert_eq!(scene.shop.manners.lock().unwrap().cut.1, 6, "twice in vain is enough");
}

#[tokio::test]
async fn a_server_without_ranges_sends_it_all_again() {
	let scene = Scene::new().await;
	scene.shop.behave(Manners { cut: (40_000, 1), no_ranges: true, ..Manners::default() });
	scene.pull().await.unwrap_err();
	assert!(scene.is_whole(&scene.pull().await.unwrap()));
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up() {
	let scene = Scene::new().await;
	scene.shop.behave(Manners { dead: true, ..Manners::default() });
	let error = scene.pull().await.unwrap_err();
	assert!(matches!(error, PullError::Cut { .. }), "{error}");
}

#[tokio::test]
async fn a_truncated_or_changed_file_is_not_taken() {
	let scene = Scene::new().await;
	let mut changed = scene.large.clone();
	changed[SIZE / 2] ^= 1;
	for wrong in [&changed, &scene.large[..SIZE / 2].to_vec()] {
		scene.shop.put(LARGE, wrong);
		scene.shop.behave(Manners { silent_about_size: true, ..Manners::default() });
		let error = scene.pull().await.unwrap_err();
		let text = error.to_string();
		assert!(matches!(error, PullError::WrongHash { .. }), "{text}");
		for part in
			[LARGE, &hex::encode(Sha256::digest(wrong)), &hex::encode(Sha256::digest(&scene.large))]
		{
			assert!(text.contains(part), "{text} lacks {part}");
		}
		assert!(!scene.part().exists(), "nothing to go on from");
		assert!(!scene.store.path().join("m").exists());
	}
	let large = scene.large.clone();
	scene.shop.put(LARGE, &large);
	assert!(scene.is_whole(&scene.pull().await.unwrap()));
}

#[tokio::test]
async fn a_part_that_is_no_part_of_it_is_begun_anew() {
	for part in [&[7u8; 500][..], &[7u8; SIZE + 1][..]] {
		let scene = Scene::new().await;
		scene.shop.behave(Manners { cut: (10, 1), ..Manners::default() });
		scene.pull().await.unwrap_err();
		fs::write(scene.part(), part).unwrap();
		assert!(scene.is_whole(&scene.pull().await.unwrap()));
		assert_eq!(scene.shop.ranges().len(), 1);
	}
	// One that was whole is not asked for again.
	let scene = Scene::new().await;
	scene.shop.behave(Manners { cut: (10, 1), ..Manners::default() });
	scene.pull().await.unwrap_err();
	fs::write(scene.part(), &scene.large).unwrap();
	assert!(scene.is_whole(&scene.pull().await.unwrap()));
	assert!(scene.shop.ranges().is_empty());
}

#[tokio::test]
async fn no_path_leaves_the_folder() {
	let mut scene = Scene::new().await;
	for path in ["../evil.onnx", "/tmp/evil.onnx", "unet/../../../evil.onnx"] {
		let sums = format!("{}  {path}\n", hex::encode(Sha256::digest(b"evil")));
		scene.shop.put(SUMS, sums.as_bytes());
		scene.shop.put(path, b"evil");
		scene.manifest = blake2_256(sums.as_bytes()).into();
		let error = scene.pull().await.unwrap_err();
		assert!(matches!(error, PullError::Model(ModelError::Outside { .. })), "{path}: {error}");
	}
	let asked = scene.shop.asked.lock().unwrap();
	assert!(asked.iter().all(|(file, _)| file == SUMS), "{asked:?}");
}

#[tokio::test]
async fn no_program_library_is_fetched() {
	let mut scene = Scene::new().await;
	let sums = format!("{}  libops.so.1\n", hex::encode(Sha256::digest(b"evil")));
	scene.shop.put(SUMS, sums.as_bytes());
	scene.manifest = blake2_256(sums.as_bytes()).into();
	let error = scene.pull().await.unwrap_err();
	assert!(matches!(error, PullError::Model(ModelError::Library { .. })), "{error}");
	let asked = scene.shop.asked.lock().unwrap();
	assert!(asked.iter().all(|(file, _)| file == SUMS), "{asked:?}");
}

#[tokio::test]
async fn there_is_an_end_to_what_may_come() {
	let scene = Scene::new().await;
	for silent_about_size in [false, true] {
		scene.shop.behave(Manners { silent_about_size, ..Manners::default() });
		let limits = Limits { max_bytes: SIZE as u64, ..Scene::limits() };
		let error = scene.pull_with(limits).await.unwrap_err();
		assert!(matches!(&error, PullError::TooLarge { file, .. } if file == LARGE), "{error}");
		assert!(error.to_string().contains("--max-bytes"), "{error}");
		assert!(!scene.part().exists());
	}
	// Its two files have so many together.
	let limits = Limits { max_bytes: SIZE as u64 + 2, ..Scene::limits() };
	assert!(scene.is_whole(&scene.pull_with(limits).await.unwrap()));
}

#[tokio::test]
async fn the_list_of_files_is_bounded_and_the_right_one() {
	let scene = Scene::new().await;
	let good = scene.shop.files.lock().unwrap()[SUMS].clone();
	scene.shop.put(SUMS, " ".repeat(MAX_SUMS_BYTES as usize + 1).as_bytes());
	let error = scene.pull().await.unwrap_err();
	assert!(matches!(error, PullError::Model(ModelError::NoSums { .. })), "{error}");
	scene.shop.put(SUMS, &[&good[..], b"\n"].concat());
	let error = scene.pull().await.unwrap_err();
	assert!(matches!(error, PullError::OtherModel { .. }), "{error}");
	scene.shop.files.lock().unwrap().remove(SUMS);
	let error = scene.pull().await.unwrap_err();
	assert!(matches!(error, PullError::Refused { status: 404, .. }), "{error}");
	assert!(!scene.store.path().join("m").exists());
}

#[tokio::test]
async fn nothing_is_fetched_over_something_else_or_by_two_at_once() {
	let scene = Scene::new().await;
	fs::create_dir(scene.store.path().join("m")).unwrap();
	let error = scene.pull().await.unwrap_err();
	assert!(matches!(error, PullError::Taken { .. }), "{error}");
	fs::remove_dir(scene.store.path().join("m")).unwrap();

	let work = scene.part().ancestors().nth(2).unwrap().to_owned();
	fs::create_dir_all(&work).unwrap();
	let held = lock(&work).unwrap();
	assert!(matches!(scene.pull().await, Err(PullError::Busy)));
	drop(held);
	assert!(scene.is_whole(&scene.pull().await.unwrap()));
}
