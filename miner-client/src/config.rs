//! Settings: flags over environment over file over defaults.
//!
//! The file is TOML and the environment is `MINER_*`, with the names of the fields of [`Config`] in both: `slots = 2`, `MINER_SLOTS=2`. A name that is not known is an error
//! in both. What the other programs of a node share may also stand in `CUCKOO_NODE_URL`, `CUCKOO_GENESIS`, `CUCKOO_KEY_FILE` and `CUCKOO_PASSWORD_FILE`.

use std::{
	net::{Ipv4Addr, SocketAddr},
	path::{Path, PathBuf},
	thread::available_parallelism,
};

use anyhow::{ensure, Context, Result};
use cuckoo_client::{
	cli::{KeyArgs, LogFormat},
	Keypair, Node,
};
use figment::{
	providers::{Env, Format, Serialized, Toml},
	Figment,
};
use serde::{de::Error as _, Deserialize, Deserializer, Serialize};
use sp_core::H256;

use crate::{runtime, worker::WorkerOptions};

/// What may also stand in the environment without `MINER_`.
const SHARED: [&str; 4] = ["node_url", "genesis", "key_file", "password_file"];

/// More inputs together than this are no faster on any device.
const MAX_BATCH: u32 = 64;

/// All settings.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
	/// Nodes, the first that can be used is used.
	#[serde(deserialize_with = "list")]
	pub node_url: Vec<String>,
	/// The chain, if it has to be a certain one.
	pub genesis: Option<H256>,
	/// The operator's key.
	pub key_file: Option<PathBuf>,
	/// A file with its password.
	pub password_file: Option<PathBuf>,
	/// Where promises and results are kept.
	pub data_dir: PathBuf,
	/// The folders of the models to serve.
	#[serde(deserialize_with = "list")]
	pub model_dir: Vec<PathBuf>,
	/// Where `miner-client models` keeps what it fetches; without it, the folder `models` in `data_dir`.
	pub model_store: Option<PathBuf>,
	/// How many tasks to compute at a time.
	pub slots: u32,
	/// Where to answer `/healthz`, `/metrics` and `/status`.
	pub listen: SocketAddr,
	/// ONNX Runtime's library.
	pub onnxruntime: Option<PathBuf>,
	/// Whether the CPU may be used where CUDA cannot.
	#[serde(deserialize_with = "figment::util::bool_from_str_or_int")]
	pub allow_cpu: bool,
	/// The CUDA devices, each with a worker process of its own.
	#[serde(deserialize_with = "numbers")]
	pub devices: Vec<i32>,
	/// The threads of a session on the CPU.
	pub threads: usize,
	/// How many inputs of a task one device runs together.
	pub batch: u32,
	/// What the files of the models that are kept open on a device may have together, in MiB; without it all stay open.
	pub memory_limit_mb: Option<u64>,
	/// The memory that a worker process may take on the host, in MiB; beyond it it is begun anew.
	pub worker_limit_mb: Option<u64>,
}

impl Default for Config {
	fn default() -> Self {
		Self {
			node_url: vec!["ws://127.0.0.1:9944".into()],
			genesis: None,
			key_file: None,
			password_file: None,
			data_dir: default_data_dir(),
			model_dir: Vec::new(),
			model_store: None,
			slots: 1,
			listen: (Ipv4Addr::LOCALHOST, 9617).into(),
			onnxruntime: None,
			allow_cpu: false,
			devices: vec![0],
			threads: available_parallelism().map_or(1, usize::from),
			batch: 1,
			memory_limit_mb: None,
			worker_limit_mb: None,
		}
	}
}

fn default_data_dir() -> PathBuf {
	let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
	let share = var("XDG_DATA_HOME").or_else(|| Some(var("HOME")?.join(".local/share")));
	share.unwrap_or_default().join("cuckoo-miner")
}

/// A list, or text with commas, as environment variables have it.
fn list<'de, D: Deserializer<'de>, T: From<String>>(from: D) -> Result<Vec<T>, D::Error> {
	#[derive(Deserialize)]
	#[serde(untagged)]
	enum OneOrMany {
		One(String),
		Many(Vec<String>),
	}
	let many = match OneOrMany::deserialize(from)? {
		OneOrMany::Many(many) => many,
		OneOrMany::One(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
	};
	Ok(many.into_iter().filter(|part| !part.is_empty()).map(T::from).collect())
}

/// Numbers, or text with commas, as environment variables have it.
fn numbers<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<i32>, D::Error> {
	#[derive(Deserialize)]
	#[serde(untagged)]
	enum OneOrMany {
		One(i32),
		Many(Vec<i32>),
		Text(String),
	}
	match OneOrMany::deserialize(from)? {
		OneOrMany::One(one) => Ok(vec![one]),
		OneOrMany::Many(many) => Ok(many),
		OneOrMany::Text(text) => {
			text.split(',').map(|part| part.trim().parse().map_err(D::Error::custom)).collect()
		},
	}
}

impl Config {
	/// Puts together flags, environment, file and defaults.
	pub fn read(file: Option<&Path>, flags: impl Serialize) -> Result<Self> {
		Self::checked(&Self::figment(file, flags))
	}

	/// What was set, and where each setting comes from; without the defaults.
	pub fn figment(file: Option<&Path>, flags: impl Serialize) -> Figment {
		let environment = |figment: Figment| {
			figment
				.merge(Env::prefixed("CUCKOO_").only(&SHARED))
				// Where the others are, and how the log looks, which is asked before them.
				.merge(Env::prefixed("MINER_").ignore(&["config", "log_format"]))
		};
		Self::layered(file, environment, flags)
	}

	fn layered(
		file: Option<&Path>,
		environment: impl FnOnce(Figment) -> Figment,
		flags: impl Serialize,
	) -> Figment {
		let mut figment = Figment::new();
		if let Some(file) = file {
			figment = figment.merge(Toml::file_exact(file));
		}
		environment(figment).merge(Serialized::defaults(flags))
	}

	fn checked(figment: &Figment) -> Result<Self> {
		let config: Self =
			figment.extract().context("the settings are wrong (see `miner-client run --help`)")?;
		ensure!(config.slots > 0, "slots is 0: a miner takes at least one task at a time");
		ensure!(
			(1..=MAX_BATCH).contains(&config.batch),
			"batch is {}: a device runs 1 to {MAX_BATCH} inputs together",
			config.batch
		);
		ensure!(config.threads > 0, "threads is 0: a session needs at least one");
		ensure!(!config.devices.is_empty(), "devices is empty: name at least one");
		ensure!(!config.node_url.is_empty(), "node_url is empty: name at least one node");
		Ok(config)
	}

	/// How models are run. `ORT_DYLIB_PATH` is what ONNX Runtime's own tools look at.
	pub fn runtime(&self) -> runtime::Options {
		let from_env = || std::env::var_os("ORT_DYLIB_PATH").filter(|v| !v.is_empty());
		runtime::Options {
			library: self.onnxruntime.clone().or_else(|| from_env().map(PathBuf::from)),
			allow_cpu: self.allow_cpu,
			device: self.devices.first().copied().unwrap_or_default(),
			threads: self.threads,
		}
	}

	/// How worker processes are begun.
	pub fn worker(&self, log_format: LogFormat) -> WorkerOptions {
		let bytes = |mib: u64| mib.saturating_mul(1 << 20);
		WorkerOptions {
			program: WorkerOptions::this_program(),
			log_format,
			runtime: self.runtime(),
			memory_limit: self.memory_limit_mb.map(bytes),
			process_limit: self.worker_limit_mb.map(bytes),
		}
	}

	/// Where `miner-client models` keeps what it fetches.
	pub fn store(&self) -> PathBuf {
		self.model_store.clone().unwrap_or_else(|| self.data_dir.join("models"))
	}

	/// Opens the operator's key.
	pub fn key(&self) -> Result<Keypair> {
		let key_file = self.key_file.clone().context(
			"no operator key: name it with --key-file; `miner-client key generate` makes one",
		)?;
		KeyArgs { key_file, password_file: self.password_file.clone() }.load()
	}

	/// Connects to a node.
	pub async fn connect(&self) -> Result<Node> {
		Ok(Node::connect(&self.node_url, self.genesis).await?)
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use figment::value::Dict;

	/// What a line of TOML says.
	fn said(toml: &str) -> Dict {
		Figment::from(Toml::string(toml)).extract().unwrap()
	}

	fn layers(file: Option<&str>, environment: &str, flags: &str) -> Result<Config> {
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("miner.toml");
		if let Some(file) = file {
			std::fs::write(&path, file).unwrap();
		}
		let environment = |figment: Figment| figment.merge(Serialized::defaults(said(environment)));
		Config::checked(&Config::layered(file.map(|_| path.as_path()), environment, said(flags)))
	}

	#[test]
	fn flags_over_environment_over_file_over_defaults() {
		let file = "slots = 2\nthreads = 2\ndevices = 2\nmodel_dir = [\"a\", \"b\"]\n";
		let environment = "threads = 3\ndevices = \"3, 4\"\nallow_cpu = 1\nnode_url = \"ws://one, ws://two\"\nkey_file = \"operator.json\"";
		let config = layers(Some(file), environment, "").unwrap();
		assert_eq!((config.slots, config.threads, config.devices), (2, 3, vec![3, 4]));
		let config = layers(Some(file), environment, "devices = [5]").unwrap();
		assert_eq!(config.devices, [5]);
		assert_eq!(config.model_dir, [Path::new("a"), Path::new("b")]);
		assert_eq!(config.node_url, ["ws://one", "ws://two"]);
		assert_eq!(config.key_file.as_deref(), Some(Path::new("operator.json")));
		assert!(config.allow_cpu);
		assert_eq!(config.listen.to_string(), "127.0.0.1:9617");
		assert_eq!(layers(None, "", "").unwrap(), Config::default());
	}

	#[test]
	fn what_is_wrong_is_named() {
		let wrong = |file, environment| format!("{:#}", layers(file, environment, "").unwrap_err());
		let error = wrong(Some("slot = 2\n"), "");
		assert!(error.contains("`slot`") && error.contains("miner.toml"), "{error}");
		assert!(wrong(None, "slot = 2").contains("`slot`"));
		assert!(wrong(None, "slots = \"many\"").contains("many"));
		assert!(wrong(None, "slots = 0").contains("slots is 0"));
		assert!(wrong(None, "batch = 0").contains("1 to 64"));
		assert!(wrong(None, "devices = []").contains("devices is empty"));
		assert!(wrong(None, "devices = \"a\"").contains("devices"));
		assert!(wrong(None, "node_url = \",\"").contains("node_url"));
		let missing = Config::layered(Some(Path::new("/nowhere/miner.toml")), |f| f, Dict::new());
		assert!(
			format!("{:#}", Config::checked(&missing).unwrap_err()).contains("nowhere/miner.toml")
		);
	}
}
