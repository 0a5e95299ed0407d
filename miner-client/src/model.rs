//! A model's folder, checked before anything in it is used.
//!
//! `SHA256SUMS`, in `sha256sum`'s format, names every file with its hash; the BLAKE2b-256 hash of `SHA256SUMS` itself is the *manifest* under which the
//! chain knows the model. So one hash on chain fixes every byte that is run, and `sha256sum -c SHA256SUMS` checks it by hand.
//!
//! A graph may keep its weights in any other file beside it, whatever that is called: so what is not listed may not lie in the folder at all. References that
//! lead out of a graph's folder ONNX Runtime itself refuses, from 1.24 on, the oldest that is used.

use std::{
	collections::BTreeMap,
	fs,
	io::Read,
	path::{Component, Path, PathBuf},
};

use cuckoo_primitives::ModelKind;
use sha2::{Digest, Sha256};
use sp_core::H256;
use sp_crypto_hashing::blake2_256;

/// The file that names all others.
pub const SUMS: &str = "SHA256SUMS";
/// The largest `SHA256SUMS`: some ten thousand files.
pub(crate) const MAX_SUMS_BYTES: u64 = 1 << 20;
/// Endings of program libraries, before a version such as `.1` if there is one. A model is data: nothing of it is loaded as a program, and none may be among its files.
const LIBRARIES: [&str; 3] = [".so", ".dll", ".dylib"];
/// What a text-to-image model consists of.
const TEXT_TO_IMAGE: [&str; 6] = [
	"tokenizer/vocab.json",
	"tokenizer/merges.txt",
	"text_encoder/model.onnx",
	"unet/model.onnx",
	"vae_decoder/model.onnx",
	"scheduler/scheduler_config.json",
];
/// What a tensor model consists of.
const TENSOR: [&str; 1] = ["model.onnx"];
/// What a text embedding model consists of.
const TEXT_EMBEDDING: [&str; 2] = ["tokenizer.json", "model.onnx"];

/// Why a folder is not the model it should be.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
	/// There is no usable `SHA256SUMS`.
	#[error("{}: {reason}; a model's folder needs it: in the folder, run `find . -type f ! -name SHA256SUMS -printf '%P\\0' | sort -z | xargs -0 sha256sum > SHA256SUMS`", .path.display())]
	NoSums {
		/// Where it should be.
		path: PathBuf,
		/// What is wrong.
		reason: String,
	},
	/// A line of `SHA256SUMS` is not `<hash>  <path>`.
	#[error("SHA256SUMS line {line}: expected 64 hex digits, two spaces and a path, each path once, found {found:?}")]
	BadLine {
		/// Its number, from 1.
		line: usize,
		/// What it says.
		found: String,
	},
	/// A listed path leads out of the folder.
	#[error("SHA256SUMS lists {path:?}, which is not inside the model's folder")]
	Outside {
		/// The path as listed.
		path: String,
	},
	/// A listed file cannot be read.
	#[error("{file}: listed in SHA256SUMS but cannot be read: {reason}")]
	Unreadable {
		/// The file.
		file: String,
		/// Why.
		reason: String,
	},
	/// A file's bytes are not the listed ones.
	#[error("{file}: SHA-256 is {found}, SHA256SUMS says {expected}; fetch the file again")]
	WrongHash {
		/// The file.
		file: String,
		/// The listed hash.
		expected: String,
		/// The file's hash.
		found: String,
	},
	/// A listed file is a program library.
	#[error("{file}: a program library; a model's folder holds data alone")]
	Library {
		/// The file.
		file: String,
	},
	/// A file is not listed: a graph could take its weights from it.
	#[error("{file}: not listed in SHA256SUMS, so nobody vouches for it, and a graph may take its weights from any file; move it out of the model's folder")]
	Unlisted {
		/// The file.
		file: String,
	},
	/// The folder lacks a file that its kind needs.
	#[error("{file}: a model of kind {kind:?} needs it, SHA256SUMS does not list it")]
	Lacking {
		/// The file.
		file: &'static str,
		/// The model's kind.
		kind: ModelKind,
	},
	/// The folder is a good model, but another one.
	#[error("the folder's manifest is {found:?}, expected {expected:?}: these are not the model's files")]
	WrongManifest {
		/// The manifest on chain.
		expected: H256,
		/// The folder's.
		found: H256,
	},
}

/// A model's folder, every listed file of which has the listed hash.
#[derive(Clone, Debug)]
pub struct Model {
	dir: PathBuf,
	manifest: H256,
	files: BTreeMap<String, PathBuf>,
}

impl Model {
	/// Reads `SHA256SUMS` and hashes every file it lists. Fails if one is not as listed, or if there are others.
	pub fn verify(dir: &Path) -> Result<Self, ModelError> {
		let path = dir.join(SUMS);
		let no_sums = |reason: String| ModelError::NoSums { path: path.clone(), reason };
		let root = dir.canonicalize().map_err(|e| no_sums(e.to_string()))?;
		let size = fs::metadata(&path).map_err(|e| no_sums(e.to_string()))?.len();
		if size > MAX_SUMS_BYTES {
			return Err(no_sums(format!("{size} bytes, more than {MAX_SUMS_BYTES}")));
		}
		let sums = fs::read(&path).map_err(|e| no_sums(e.to_string()))?;
		let text = std::str::from_utf8(&sums).map_err(|e| no_sums(e.to_string()))?;
		let listed = parse(text)?;
		if listed.is_empty() {
			return Err(no_sums("lists no file".into()));
		}
		let mut files = BTreeMap::new();
		for (file, expected) in listed {
			let path = inside(&root, &file)?;
			let found = sha256(&path).map_err(|e| ModelError::Unreadable {
				file: file.clone(),
				reason: e.to_string(),
			})?;
			if found != expected {
				return Err(ModelError::WrongHash { file, expected, found });
			}
			tracing::debug!(%file, "hash is right");
			files.insert(file, path);
		}
		refuse_unlisted(&root, &root, &files)?;
		Ok(Self { dir: root, manifest: blake2_256(&sums).into(), files })
	}

	/// The folder.
	pub fn dir(&self) -> &Path {
		&self.dir
	}

	/// The hash under which the chain knows this model.
	pub fn manifest(&self) -> H256 {
		self.manifest
	}

	/// Fails if this is not the model with that manifest.
	pub fn expect(&self, manifest: H256) -> Result<(), ModelError> {
		if self.manifest == manifest {
			return Ok(());
		}
		Err(ModelError::WrongManifest { expected: manifest, found: self.manifest })
	}

	/// What the listed files make it.
	pub fn kind(&self) -> ModelKind {
		if self.files.contains_key("unet/model.onnx") {
			ModelKind::TextToImage
		} else if TEXT_EMBEDDING.iter().all(|file| self.files.contains_key(*file)) {
			ModelKind::TextEmbedding
		} else {
			ModelKind::Tensor
		}
	}

	/// Fails if a file that this kind of model needs is not listed.
	pub fn complete(&self, kind: ModelKind) -> Result<(), ModelError> {
		let needed: &[&'static str] = match kind {
			ModelKind::TextToImage => &TEXT_TO_IMAGE,
			ModelKind::Tensor => &TENSOR,
			ModelKind::TextEmbedding => &TEXT_EMBEDDING,
		};
		match needed.iter().find(|file| !self.files.contains_key(**file)) {
			Some(file) => Err(ModelError::Lacking { file, kind }),
			None => Ok(()),
		}
	}

	/// Where a listed file is. What is not listed is not there for anybody.
	pub fn file(&self, name: &str) -> Option<&Path> {
		self.files.get(name).map(PathBuf::as_path)
	}

	/// The listed ONNX files, by name.
	pub fn graphs(&self) -> impl Iterator<Item = (&str, &Path)> {
		let graphs = self.files.iter().filter(|(name, _)| name.ends_with(".onnx"));
		graphs.map(|(name, path)| (name.as_str(), path.as_path()))
	}

	/// A listed text file's contents.
	pub fn text(&self, name: &str) -> Option<std::io::Result<String>> {
		self.file(name).map(fs::read_to_string)
	}
}

/// The listed paths, without a leading `./`, and their hashes.
pub(crate) fn parse(sums: &str) -> Result<BTreeMap<String, String>, ModelError> {
	let mut listed = BTreeMap::new();
	for (at, line) in sums.lines().enumerate() {
		let bad = || ModelError::BadLine { line: at + 1, found: line.chars().take(200).collect() };
		let (hash, path) = line.split_at_checked(64).ok_or_else(bad)?;
		let path = path.strip_prefix("  ").or_else(|| path.strip_prefix(" *")).ok_or_else(bad)?;
		let path = path.strip_prefix("./").unwrap_or(path);
		if path.is_empty() || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
			return Err(bad());
		}
		if listed.insert(path.to_string(), hash.to_ascii_lowercase()).is_some() {
			return Err(bad());
		}
	}
	Ok(listed)
}

/// Fails if a listed path by its name alone leads out of the folder, or is that of a program library.
pub(crate) fn ensure_plain(listed: &str) -> Result<(), ModelError> {
	if !Path::new(listed).components().all(|c| matches!(c, Component::Normal(_))) {
		return Err(ModelError::Outside { path: listed.to_string() });
	}
	if is_library(listed) {
		return Err(ModelError::Library { file: listed.to_string() });
	}
	Ok(())
}

fn is_library(path: &str) -> bool {
	let name = path.to_ascii_lowercase();
	let without_version = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
	LIBRARIES.iter().any(|ending| without_version.ends_with(ending))
}

/// The listed file's real path, if that is inside the folder.
fn inside(root: &Path, listed: &str) -> Result<PathBuf, ModelError> {
	ensure_plain(listed)?;
	let path = root
		.join(listed)
		.canonicalize()
		.map_err(|e| ModelError::Unreadable { file: listed.to_string(), reason: e.to_string() })?;
	// A symbolic link may lead anywhere.
	if path.starts_with(root) {
		Ok(path)
	} else {
		Err(ModelError::Outside { path: listed.to_string() })
	}
}

/// A file's SHA-256, in lower-case hex digits.
pub(crate) fn sha256(path: &Path) -> std::io::Result<String> {
	let mut file = fs::File::open(path)?;
	let mut hash = Sha256::new();
	let mut buffer = vec![0; 1 << 20];
	loop {
		match file.read(&mut buffer)? {
			0 => return Ok(hex::encode(hash.finalize())),
			read => hash.update(&buffer[..read]),
		}
	}
}

fn refuse_unlisted(
	root: &Path,
	dir: &Path,
	listed: &BTreeMap<String, PathBuf>,
) -> Result<(), ModelError> {
	let unreadable = |error: std::io::Error| ModelError::Unreadable {
		file: dir.display().to_string(),
		reason: error.to_string(),
	};
	for entry in fs::read_dir(dir).map_err(unreadable)? {
		let entry = entry.map_err(unreadable)?;
		let path = entry.path();
		// Not through a link: what it leads to is not in the folder.
		if entry.file_type().map_err(unreadable)?.is_dir() {
			refuse_unlisted(root, &path, listed)?;
			continue;
		}
		let name = path.strip_prefix(root).unwrap_or(&path);
		// A name that is no text is not listed.
		let known = name.to_str().is_some_and(|name| name == SUMS || listed.contains_key(name));
		if !known {
			return Err(ModelError::Unlisted { file: name.to_string_lossy().into_owned() });
		}
	}
	Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
	use super::*;

	/// Writes the files and a `SHA256SUMS` of them.
	pub(crate) fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
		let dir = tempfile::tempdir().unwrap();
		let mut sums = String::new();
		for (name, bytes) in files {
			let path = dir.path().join(name);
			fs::create_dir_all(path.parent().unwrap()).unwrap();
			fs::write(path, bytes).unwrap();
			sums += &format!("{}  {name}\n", hex::encode(Sha256::digest(bytes)));
		}
		fs::write(dir.path().join(SUMS), sums).unwrap();
		dir
	}

	fn list(dir: &Path, path: &str, bytes: &[u8]) {
		let mut sums = fs::read_to_string(dir.join(SUMS)).unwrap();
		sums += &format!("{}  {path}\n", hex::encode(Sha256::digest(bytes)));
		fs::write(dir.join(SUMS), sums).unwrap();
	}

	#[test]
	fn a_good_folder_has_the_manifest_of_its_sums() {
		let dir = folder(&[("model.onnx", b"graph"), ("notes/README.md", b"hello")]);
		let model = Model::verify(dir.path()).unwrap();
		let sums = fs::read(dir.path().join(SUMS)).unwrap();
		assert_eq!(model.manifest(), H256::from(blake2_256(&sums)));
		assert_eq!(model.kind(), ModelKind::Tensor);
		model.complete(ModelKind::Tensor).unwrap();
		let lacking = model.complete(ModelKind::TextToImage).unwrap_err().to_string();
		assert!(lacking.contains("tokenizer/vocab.json"), "{lacking}");
		assert!(model.file("model.onnx").is_some() && model.file("unlisted.txt").is_none());
		assert!(model.file(SUMS).is_none());
		model.expect(model.manifest()).unwrap();
		let other = model.expect(H256::repeat_byte(7)).unwrap_err().to_string();
		assert!(other.contains("0x0707"), "{other}");
	}

	#[test]
	fn the_listed_files_make_the_kind() {
		let kind = |files: &[&str]| {
			let files: Vec<(&str, &[u8])> =
				files.iter().map(|name| (*name, name.as_bytes())).collect();
			Model::verify(folder(&files).path()).unwrap().kind()
		};
		assert_eq!(kind(&["model.onnx"]), ModelKind::Tensor);
		assert_eq!(kind(&["model.onnx", "tokenizer.json"]), ModelKind::TextEmbedding);
		assert_eq!(kind(&["tokenizer.json", "encoder.onnx"]), ModelKind::Tensor);
		let picture = ["unet/model.onnx", "tokenizer.json", "model.onnx"];
		assert_eq!(kind(&picture), ModelKind::TextToImage);
		let dir = folder(&[("model.onnx", b"graph")]);
		let model = Model::verify(dir.path()).unwrap();
		let lacking = model.complete(ModelKind::TextEmbedding).unwrap_err().to_string();
		assert!(lacking.contains("tokenizer.json: a model of kind TextEmbedding"), "{lacking}");
	}

	#[test]
	fn a_changed_byte_names_file_and_both_hashes() {
		let dir = folder(&[("model.onnx", b"graph")]);
		fs::write(dir.path().join("model.onnx"), b"grapH").unwrap();
		let error = Model::verify(dir.path()).unwrap_err().to_string();
		for part in [
			"model.onnx",
			&hex::encode(Sha256::digest(b"graph")),
			&hex::encode(Sha256::digest(b"grapH")),
		] {
			assert!(error.contains(part), "{error} lacks {part}");
		}
	}

	#[test]
	fn a_missing_file_is_named() {
		let dir = folder(&[("model.onnx", b"graph"), ("unet/model.onnx", b"unet")]);
		fs::remove_file(dir.path().join("unet/model.onnx")).unwrap();
		let error = Model::verify(dir.path()).unwrap_err();
		assert!(matches!(&error, ModelError::Unreadable { file, .. } if file == "unet/model.onnx"));
		fs::remove_file(dir.path().join(SUMS)).unwrap();
		assert!(matches!(Model::verify(dir.path()), Err(ModelError::NoSums { .. })));
	}

	#[test]
	fn weights_may_have_any_name_and_none_that_is_not_listed() {
		for extra in [
			"extra.onnx",
			"unet/weights.pb",
			"model.onnx_data",
			"model.onnx.weights",
			"weights.safetensors",
			"unet/weights",
			"weights.txt",
			".hidden",
			"unet/SHA256SUMS",
		] {
			let files: [(&str, &[u8]); 2] = [("model.onnx", b"graph"), ("unet/config.json", b"{}")];
			let dir = folder(&files);
			fs::write(dir.path().join(extra), b"?").unwrap();
			let error = Model::verify(dir.path()).unwrap_err();
			assert!(matches!(&error, ModelError::Unlisted { file } if file == extra), "{error}");
			let dir = folder(&[files[0], files[1], (extra, b"?")]);
			let model = Model::verify(dir.path()).unwrap();
			assert!(model.file(extra).is_some(), "{extra}");
		}
	}

	#[cfg(target_os = "linux")]
	#[test]
	fn no_link_brings_in_what_is_not_listed() {
		use std::os::unix::{ffi::OsStrExt, fs::symlink};
		let elsewhere = tempfile::tempdir().unwrap();
		fs::write(elsewhere.path().join("weights"), b"?").unwrap();
		for (link, target) in
			[("weights", elsewhere.path().join("weights")), ("data", elsewhere.path().into())]
		{
			let dir = folder(&[("model.onnx", b"graph")]);
			symlink(target, dir.path().join(link)).unwrap();
			let error = Model::verify(dir.path()).unwrap_err();
			assert!(matches!(&error, ModelError::Unlisted { file } if file == link), "{error}");
		}
		// What its name looks like is listed.
		let dir = folder(&[("model.onnx", b"graph"), ("a\u{fffd}", b"?")]);
		fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"a\xff")), b"?").unwrap();
		assert!(matches!(Model::verify(dir.path()), Err(ModelError::Unlisted { .. })));
	}

	#[test]
	fn program_libraries_are_no_part_of_a_model() {
		for library in ["ops.so", "unet/libops.so.1.2", "OPS.DLL", "ops.dylib"] {
			let dir = folder(&[("model.onnx", b"graph"), (library, b"?")]);
			let error = Model::verify(dir.path()).unwrap_err();
			assert!(matches!(&error, ModelError::Library { file } if file == library), "{error}");
		}
		for good in ["also", "model.so.onnx", "unet.so.d/weights", "v1.2"] {
			Model::verify(folder(&[("model.onnx", b"graph"), (good, b"?")]).path()).unwrap();
		}
	}

	#[test]
	fn no_path_leaves_the_folder() {
		let elsewhere = tempfile::NamedTempFile::new().unwrap();
		let absolute = elsewhere.path().to_str().unwrap();
		for path in ["../model.onnx", "unet/../../x", absolute] {
			let dir = folder(&[("model.onnx", b"graph")]);
			list(dir.path(), path, b"");
			let error = Model::verify(dir.path()).unwrap_err();
			assert!(matches!(error, ModelError::Outside { .. }), "{path}: {error}");
		}
		let dir = folder(&[("model.onnx", b"graph")]);
		std::os::unix::fs::symlink(elsewhere.path(), dir.path().join("config.json")).unwrap();
		list(dir.path(), "config.json", b"");
		assert!(matches!(Model::verify(dir.path()), Err(ModelError::Outside { .. })));
	}

	#[test]
	fn every_line_is_understood_or_refused() {
		let hash = "a".repeat(64);
		let good = format!("{hash}  ./a b.json\n{hash} *c\n");
		assert_eq!(parse(&good).unwrap().into_keys().collect::<Vec<_>>(), ["a b.json", "c"]);
		for bad in [
			"".to_string() + "\n",
			"abc  file".into(),
			format!("{hash} file"),
			format!("{hash}  "),
			format!("{}g  file", &hash[1..]),
			format!("{hash}  file\n{hash}  ./file"),
			format!("\\{hash}  new\\nline"),
			"é".repeat(40),
		] {
			assert!(matches!(parse(&bad), Err(ModelError::BadLine { .. })), "{bad:?}");
		}
	}
}
