//! What can be set: by flags, by environment variables `CUCKOO_COORDINATOR_*`, in a TOML file, in this order; then by default. A name
//! that is not known is an error wherever it stands, so that a typing mistake is not silently the default.

use std::{
	collections::BTreeMap,
	fmt::{self, Display},
	net::{IpAddr, Ipv4Addr, SocketAddr},
	path::{Path, PathBuf},
	str::FromStr,
	time::Duration,
};

use anyhow::{bail, Context};
use cuckoo_client::cli::parse_cai;
use cuckoo_primitives::{Balance, BlockNumber, ModelId, CAI};
use figment::{
	providers::{Env, Format, Serialized, Toml},
	Figment,
};
use serde::{de, Deserialize, Deserializer, Serialize};
use sp_core::H256;

use crate::{book::Limits, poster::Sharing};

/// How the variables of the environment begin.
pub const ENV_PREFIX: &str = "CUCKOO_COORDINATOR_";
/// The variable that names the TOML file.
pub const ENV_CONFIG: &str = "CUCKOO_COORDINATOR_CONFIG";

/// Everything that `run` needs to know.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
	/// WebSocket addresses of nodes, in the order in which they are tried.
	#[serde(deserialize_with = "one_or_many")]
	pub node_url: Vec<String>,
	/// The hash of the chain's first block; without it the chain of the data directory, or at first the node's.
	pub genesis: Option<H256>,
	/// The operator's encrypted key.
	pub key_file: Option<PathBuf>,
	/// The file with the key's password; without it the terminal is asked.
	pub password_file: Option<PathBuf>,
	/// Where applications and miners are served.
	pub listen: SocketAddr,
	/// Where the job book and the blobs are.
	pub data_dir: PathBuf,
	/// The fee offered for a picture; without it the least that the model takes.
	pub fee_per_image: Option<Cai>,
	/// The fee offered for an inference of a model, by its number, or else by the name that means it; without either `fee_per_image` or the least that the
	/// model takes.
	pub fees: BTreeMap<String, Cai>,
	/// The highest fee of one inference, whatever its model asks; an audit may cost as much again for each item that it looks at. Anybody can register a model and run it.
	pub max_fee: Cai,
	/// The highest sum of the fees of all jobs of which the chain has not decided.
	pub max_escrow: Cai,
	/// How many blocks a task may wait for a miner before its fee comes back.
	pub max_wait: BlockNumber,
	/// How many milliseconds a job waits for others to share a task with, while a task of its model is being posted; at most 60,000.
	pub batch_window_ms: u64,
	/// How many inferences of several jobs share a task at most; a job that has more has one of its own.
	pub batch_items: u32,
	/// The model of requests for pictures that name none, by its name or its number; without it the only one there is.
	#[serde(deserialize_with = "name_or_number")]
	pub default_model: Option<String>,
	/// How many seconds a request waits for its output before it is told to come back.
	pub wait_seconds: u64,
	/// How many jobs may be open at a time.
	pub max_open_jobs: u64,
	/// How many posts may be under way at a time.
	pub posts_in_flight: usize,
	/// Denoising steps of requests that name none.
	pub default_steps: u32,
	/// Guidance of requests that name none.
	pub default_guidance: f32,
	/// Whether everybody is served as long as no key was made, on whatever address and through whatever proxy; without it only this machine, on a loopback
	/// address.
	pub open: bool,
	/// The addresses of proxies on other machines: how many connections come from there is not bounded, because they bring many clients. Nothing else is
	/// different for them.
	#[serde(deserialize_with = "one_or_many")]
	pub trusted_proxies: Vec<IpAddr>,
	/// Where inputs and outputs are kept: `file:///folder`, which must exist, or `s3://bucket/prefix`; without it, `blobs` in the data directory.
	pub blob_url: Option<String>,
	/// How many hours a job is kept after it was accepted, and until it is over.
	pub retention_hours: u64,
	/// How many megabytes, of 1,000,000 bytes, must be free on the data directory's disk for anything new to be accepted, wherever blobs are kept; 0: any
	/// number will do.
	pub min_free_mb: u64,
	/// Whether webhooks may go to addresses that are not public.
	pub webhook_private: bool,
	/// A folder with what is known of models' tensors, `MODEL/config.json` in the form of the Open Inference Protocol.
	pub model_metadata: Option<PathBuf>,
}

impl Default for Config {
	fn default() -> Self {
		Self {
			node_url: vec!["ws://127.0.0.1:9944".into()],
			genesis: None,
			key_file: None,
			password_file: None,
			listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
			data_dir: "cuckoo-coordinator".into(),
			fee_per_image: None,
			fees: BTreeMap::new(),
			max_fee: Cai(CAI),
			max_escrow: Cai(1_000 * CAI),
			max_wait: 100,
			batch_window_ms: 500,
			batch_items: 16,
			default_model: None,
			wait_seconds: 120,
			max_open_jobs: 1_000,
			posts_in_flight: 16,
			default_steps: 20,
			default_guidance: 4.0,
			open: false,
			trusted_proxies: Vec::new(),
			blob_url: None,
			retention_hours: 168,
			min_free_mb: 512,
			webhook_private: false,
			model_metadata: None,
		}
	}
}

/// The flags of `run`. Each can also be a variable `CUCKOO_COORDINATOR_…` or a line of the TOML file, with `_` for `-`.
#[derive(clap::Args, Clone, Debug, Default, Serialize)]
pub struct Flags {
	/// A node's WebSocket address; give several for failover [default: ws://127.0.0.1:9944]
	#[arg(long, value_name = "URL")]
	#[serde(skip_serializing_if = "Vec::is_empty")]
	node_url: Vec<String>,
	/// The hash of the chain's first block; a node of another chain is refused
	#[arg(long, value_name = "HASH")]
	#[serde(skip_serializing_if = "Option::is_none")]
	genesis: Option<String>,
	/// The operator's encrypted key, made by `key generate` or `key import`
	#[arg(long, value_name = "FILE")]
	#[serde(skip_serializing_if = "Option::is_none")]
	key_file: Option<PathBuf>,
	/// The file with the key's password; without it the terminal is asked
	#[arg(long, value_name = "FILE")]
	#[serde(skip_serializing_if = "Option::is_none")]
	password_file: Option<PathBuf>,
	/// Where applications and miners are served [default: 127.0.0.1:8080]
	#[arg(long, value_name = "ADDRESS")]
	#[serde(skip_serializing_if = "Option::is_none")]
	listen: Option<SocketAddr>,
	/// Where the job book and the blobs are [default: ./cuckoo-coordinator]
	#[arg(long, value_name = "DIR")]
	#[serde(skip_serializing_if = "Option::is_none")]
	data_dir: Option<PathBuf>,
	/// The fee offered for a picture, in CAI, such as 0.25; that of a model in the file's `fees` goes before it [default: the least that the model takes]
	#[arg(long, value_name = "CAI")]
	#[serde(skip_serializing_if = "Option::is_none")]
	fee_per_image: Option<String>,
	/// The highest fee of one inference, whatever its model asks, in CAI; an audit may cost as much again for each item that it looks at [default: 1]
	#[arg(long, value_name = "CAI")]
	#[serde(skip_serializing_if = "Option::is_none")]
	max_fee: Option<String>,
	/// The highest sum of the fees of all jobs of which the chain has not decided, in CAI; more are answered with 429 [default: 1000]
	#[arg(long, value_name = "CAI")]
	#[serde(skip_serializing_if = "Option::is_none")]
	max_escrow: Option<String>,
	/// How many blocks a task may wait for a miner before its fee comes back [default: 100]
	#[arg(long, value_name = "BLOCKS")]
	#[serde(skip_serializing_if = "Option::is_none")]
	max_wait: Option<BlockNumber>,
	/// How long a job waits for others to share a task with, while a task of its model is being posted; a lone job does not wait; at most 60000 [default: 500]
	#[arg(long, value_name = "MILLISECONDS")]
	#[serde(skip_serializing_if = "Option::is_none")]
	batch_window_ms: Option<u64>,
	/// How many inferences of several jobs share a task at most: one miner computes them all; a job that has more has a task of its own [default: 16]
	#[arg(long, value_name = "NUMBER")]
	#[serde(skip_serializing_if = "Option::is_none")]
	batch_items: Option<u32>,
	/// The model of requests for pictures that name none [default: the only one there is]
	#[arg(long, value_name = "NAME|NUMBER")]
	#[serde(skip_serializing_if = "Option::is_none")]
	default_model: Option<String>,
	/// How long a request waits for its output before it is told to come back, with 504 [default: 120]
	#[arg(long, value_name = "SECONDS")]
	#[serde(skip_serializing_if = "Option::is_none")]
	wait_seconds: Option<u64>,
	/// How many jobs may be open at a time; more are answered with 429 [default: 1000]
	#[arg(long, value_name = "NUMBER")]
	#[serde(skip_serializing_if = "Option::is_none")]
	max_open_jobs: Option<u64>,
	/// How many posts may be under way at a time [default: 16]
	#[arg(long, value_name = "NUMBER")]
	#[serde(skip_serializing_if = "Option::is_none")]
	posts_in_flight: Option<usize>,
	/// Denoising steps of requests that name none [default: 20]
	#[arg(long, value_name = "NUMBER")]
	#[serde(skip_serializing_if = "Option::is_none")]
	default_steps: Option<u32>,
	/// Guidance of requests that name none [default: 4]
	#[arg(long, value_name = "NUMBER")]
	#[serde(skip_serializing_if = "Option::is_none")]
	default_guidance: Option<f32>,
	/// Serve everybody as long as no API key was ever made, on whatever address and through whatever proxy: whoever reaches it spends the operator's CAI.
	/// Without it only this machine is served then, on a loopback address, and nothing that came through a proxy or is for another host
	#[arg(long)]
	#[serde(skip_serializing_if = "std::ops::Not::not")]
	open: bool,
	/// The addresses of proxies on other machines, with commas between them: any number of connections may come from there, where others may have 512. Such a
	/// proxy has to bound its clients itself, as one on this machine has to
	#[arg(long, value_name = "ADDRESSES", value_delimiter = ',')]
	#[serde(skip_serializing_if = "Vec::is_empty")]
	trusted_proxies: Vec<IpAddr>,
	/// Where inputs and outputs are kept: `file:///folder`, which must exist, or s3://bucket/prefix with the usual AWS_... variables [default: blobs in the
	/// data directory]
	#[arg(long, value_name = "URL")]
	#[serde(skip_serializing_if = "Option::is_none")]
	blob_url: Option<String>,
	/// How long a job is kept after it was accepted, and until it is over [default: 168]
	#[arg(long, value_name = "HOURS")]
	#[serde(skip_serializing_if = "Option::is_none")]
	retention_hours: Option<u64>,
	/// How much must be free on the disk of the data directory for anything new to be accepted; with less, new jobs are answered with 503, and so is /readyz;
	/// 0: no bound [default: 512]
	#[arg(long, value_name = "MEGABYTES")]
	#[serde(skip_serializing_if = "Option::is_none")]
	min_free_mb: Option<u64>,
	/// Let webhooks go to addresses that are not public, and over http
	#[arg(long)]
	#[serde(skip_serializing_if = "std::ops::Not::not")]
	webhook_private: bool,
	/// A folder with what is known of models' tensors, MODEL/config.json in the form of the Open Inference Protocol
	#[arg(long, value_name = "DIR")]
	#[serde(skip_serializing_if = "Option::is_none")]
	model_metadata: Option<PathBuf>,
}

impl Config {
	/// Puts flags, environment and file together and checks the result.
	pub fn load(file: Option<&Path>, flags: &Flags) -> anyhow::Result<Self> {
		let mut sources = Figment::new();
		if let Some(file) = file {
			if !file.is_file() {
				bail!("there is no configuration file {}", file.display());
			}
			sources = sources.merge(Toml::file_exact(file));
		}
		let config: Self = sources
			.merge(Env::prefixed(ENV_PREFIX).ignore(&["config"]))
			.merge(Serialized::defaults(flags))
			.extract()
			.context("the configuration cannot be used")?;
		config.check()?;
		Ok(config)
	}

	fn check(&self) -> anyhow::Result<()> {
		if self.node_url.is_empty() {
			bail!("node_url is empty: give the WebSocket address of at least one node");
		}
		if self.max_wait == 0 {
			bail!("max_wait must be at least 1 block");
		}
		if self.max_open_jobs == 0 {
			bail!("max_open_jobs must be at least 1");
		}
		if !(1..=65_536).contains(&self.batch_items) {
			bail!("batch_items must be from 1 to 65536");
		}
		if self.batch_window_ms > 60_000 {
			bail!("batch_window_ms must be at most 60000");
		}
		if self.retention_hours == 0 {
			bail!("retention_hours must be at least 1");
		}
		if !(1..=3_600).contains(&self.wait_seconds) {
			bail!("wait_seconds must be from 1 to 3600");
		}
		Ok(())
	}

	/// How jobs share tasks.
	pub fn sharing(&self) -> Sharing {
		Sharing { window: Duration::from_millis(self.batch_window_ms), items: self.batch_items }
	}

	/// How much may be open at a time.
	pub fn limits(&self) -> Limits {
		Limits { jobs: self.max_open_jobs, escrow: self.max_escrow.0 }
	}

	/// How many bytes must stay free on the disk of the data directory.
	pub fn min_free(&self) -> u64 {
		self.min_free_mb.saturating_mul(1_000_000)
	}

	/// How long a request waits for its output.
	pub fn wait(&self) -> Duration {
		Duration::from_secs(self.wait_seconds)
	}
}

/// An amount that people write in CAI and programs count in planck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cai(pub Balance);

impl<'de> Deserialize<'de> for Cai {
	fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
		struct Amount;
		impl de::Visitor<'_> for Amount {
			type Value = Cai;

			fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
				write!(f, "an amount of CAI such as 12 or \"0.25\"")
			}

			fn visit_str<E: de::Error>(self, text: &str) -> Result<Cai, E> {
				parse_cai(text).map(Cai).map_err(E::custom)
			}

			fn visit_u64<E: de::Error>(self, whole: u64) -> Result<Cai, E> {
				self.visit_str(&whole.to_string())
			}

			fn visit_i64<E: de::Error>(self, whole: i64) -> Result<Cai, E> {
				self.visit_str(&whole.to_string())
			}

			// A float prints as the shortest number that reads back as itself, which is the one that was written.
			fn visit_f64<E: de::Error>(self, amount: f64) -> Result<Cai, E> {
				self.visit_str(&amount.to_string())
			}
		}
		from.deserialize_any(Amount)
	}
}

/// Addresses as a list, or as one text with commas.
fn one_or_many<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
	D: Deserializer<'de>,
	T: FromStr<Err: Display>,
{
	#[derive(Deserialize)]
	#[serde(untagged)]
	enum Addresses {
		Text(String),
		List(Vec<String>),
	}
	let addresses: Vec<String> = match Addresses::deserialize(from)? {
		Addresses::Text(text) => text
			.split(',')
			.map(|address| address.trim().to_string())
			.filter(|address| !address.is_empty())
			.collect(),
		Addresses::List(list) => list,
	};
	let read = |address: String| {
		let read = address.parse::<T>();
		read.map_err(|error| de::Error::custom(format!("{address:?}: {error}")))
	};
	addresses.into_iter().map(read).collect()
}

/// A model's name; or its number, which TOML and the environment take for a number and not for a text.
fn name_or_number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
	#[derive(Deserialize)]
	#[serde(untagged)]
	enum Model {
		Name(String),
		Number(ModelId),
	}
	let model = Option::<Model>::deserialize(from)?;
	Ok(model.map(|model| match model {
		Model::Name(name) => name,
		Model::Number(number) => number.to_string(),
	}))
}

#[cfg(test)]
mod tests {
	use super::*;
	use cuckoo_primitives::CAI;

	/// Without the environment, which tests share.
	fn read(toml: &str, flags: &Flags) -> anyhow::Result<Config> {
		Ok(Figment::from(Toml::string(toml)).merge(Serialized::defaults(flags)).extract()?)
	}

	#[test]
	fn flags_stand_above_the_file_and_the_file_above_the_defaults() {
		let flags = Flags { max_wait: Some(7), ..Flags::default() };
		let toml = "max_wait = 5\nfee_per_image = 0.1\nnode_url = \"ws://a, ws://b\"";
		let config = read(toml, &flags).unwrap();
		assert_eq!(config.max_wait, 7);
		assert_eq!(config.fee_per_image, Some(Cai(CAI / 10)));
		assert_eq!(config.node_url, ["ws://a", "ws://b"]);
		assert_eq!((config.wait_seconds, config.min_free()), (120, 512_000_000));
		let flags = Flags { node_url: vec!["ws://c".into()], ..Flags::default() };
		assert_eq!(read(toml, &flags).unwrap().node_url, ["ws://c"]);
	}

	#[test]
	fn trusted_proxies_are_addresses() {
		let none = Flags::default();
		let proxies = |toml: &str, flags: &Flags| {
			read(toml, flags).map(|config| config.trusted_proxies).map_err(|e| e.to_string())
		};
		let [one, other]: [IpAddr; 2] = ["192.0.2.7", "2001:db8::7"].map(|a| a.parse().unwrap());
		assert_eq!(proxies("", &none), Ok(Vec::new()));
		for both in ["\"192.0.2.7, 2001:db8::7\"", "[\"192.0.2.7\", \"2001:db8::7\"]"] {
			let toml = format!("trusted_proxies = {both}");
			assert_eq!(proxies(&toml, &none), Ok(vec![one, other]));
			let flags = Flags { trusted_proxies: vec![other], ..Flags::default() };
			assert_eq!(proxies(&toml, &flags), Ok(vec![other]));
		}
		for bad in ["192.0.2.0/24", "proxy.example", "192.0.2.7:80"] {
			let error = proxies(&format!("trusted_proxies = \"{bad}\""), &none).unwrap_err();
			assert!(error.contains(bad), "{error}");
		}
	}

	#[test]
	fn the_default_model_is_a_name_or_a_number() {
		let none = Flags::default();
		let model = |toml: &str| read(toml, &none).map(|config| config.default_model).ok();
		assert_eq!(model("default_model = \"shapes\""), Some(Some("shapes".into())));
		assert_eq!(model("default_model = \"3\""), Some(Some("3".into())));
		assert_eq!(model("default_model = 3"), Some(Some("3".into())));
		assert_eq!(model(""), Some(None));
		assert_eq!(model("default_model = -3"), None);
		let flags = Flags { default_model: Some("3".into()), ..Flags::default() };
		assert_eq!(read("default_model = 4", &flags).unwrap().default_model, Some("3".into()));
	}

	#[test]
	fn unknown_names_and_bad_values_are_errors() {
		let none = Flags::default();
		let error = read("max_wiat = 5", &none).unwrap_err().to_string();
		assert!(error.contains("max_wiat"), "{error}");
		assert!(read("fee_per_image = \"much\"", &none).is_err());
		assert!(read("fee_per_image = -1", &none).is_err());
		assert!(read("listen = \"here\"", &none).is_err());
		let zero = Flags { max_wait: Some(0), ..Flags::default() };
		assert!(read("", &zero).unwrap().check().is_err());
		assert!(Config::load(Some(Path::new("/nowhere/at/all.toml")), &none).is_err());
	}
}
