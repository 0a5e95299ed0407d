//! The command line that coordinator, miner and validators share.
//!
//! Secrets come from files, standard input or a prompt, never from arguments: those are in the process list and the shell's history.

use std::{
	fs::{self, File},
	io::{self, IsTerminal, Read},
	path::{Path, PathBuf},
};

use anyhow::{bail, ensure, Context};
use clap::{Args, Subcommand, ValueEnum};
use cuckoo_primitives::{views::IntroView, Balance, Role, MAX_LINE_BYTES, MAX_LONG_LINE_BYTES};
use sp_core::{crypto::AccountId32, H256};
use subxt_signer::sr25519::Keypair;
use tracing_subscriber::EnvFilter;
use zeroize::Zeroizing;

use crate::{
	calls,
	keystore::{self, KeystoreError},
	node::{Node, NodeError},
	plain::{self, PlainFields},
	signer::Signer,
};

/// The digits of a CAI behind the point.
const CAI_DIGITS: usize = 18;
/// The digits of a percentage behind the point: commission is kept in parts per billion.
const PERCENT_DIGITS: usize = 7;
/// No password and no phrase is longer.
const MAX_SECRET: u64 = 4096;
/// More files than this in one folder are no keys.
const MAX_KEY_FILES: usize = 1000;

/// Which node to talk to.
#[derive(Args, Clone, Debug)]
pub struct NodeArgs {
	/// Where a node listens, ws:// or wss://. Repeat it, or separate several by commas: the next one is used when one fails.
	#[arg(
		long = "node-url",
		value_name = "URL",
		env = "CUCKOO_NODE_URL",
		value_delimiter = ',',
		default_value = "ws://127.0.0.1:9944"
	)]
	pub node_urls: Vec<String>,
	/// The chain to work on, by its genesis hash. Without it, the chain of the first node that answers.
	#[arg(long, value_name = "HASH", env = "CUCKOO_GENESIS", value_parser = parse_hash)]
	pub genesis: Option<H256>,
}

impl NodeArgs {
	/// Connects to the first node that can be used.
	pub async fn connect(&self) -> Result<Node, NodeError> {
		Node::connect(&self.node_urls, self.genesis).await
	}
}

/// Where the operator's key is.
#[derive(Args, Clone, Debug)]
pub struct KeyArgs {
	/// The operator's key, encrypted; made by `key generate` or `key import`, or exported from a wallet as JSON.
	#[arg(long, value_name = "FILE", env = "CUCKOO_KEY_FILE")]
	pub key_file: PathBuf,
	/// A file whose first line is the key's password. Without it the password is asked for.
	#[arg(long, value_name = "FILE", env = "CUCKOO_PASSWORD_FILE")]
	pub password_file: Option<PathBuf>,
}

impl KeyArgs {
	/// Opens the key file.
	pub fn load(&self) -> anyhow::Result<Keypair> {
		open(&self.key_file, self.password_file.as_deref())
	}

	/// Writes a new key file.
	fn store(&self, key: &sp_core::sr25519::Pair, name: &str) -> anyhow::Result<()> {
		let password = new_password(self.password_file.as_deref())?;
		let account = keystore::write(&self.key_file, key, &password, name)?;
		println!("{account}");
		eprintln!(
			"Wrote the key of this account to {}. Keep a copy of the file and of its password.",
			self.key_file.display()
		);
		Ok(())
	}
}

/// Work with the operator's key.
#[derive(Clone, Debug, Subcommand)]
pub enum KeyCommand {
	/// Make a new key, write it to a new encrypted file and print its account.
	Generate {
		/// Where to write it.
		#[command(flatten)]
		key: KeyArgs,
		/// The name that wallets show for it.
		#[arg(long, default_value = "Cuckoo operator")]
		name: String,
	},
	/// Encrypt an existing key into a new file and print its account.
	Import {
		/// Where to write it.
		#[command(flatten)]
		key: KeyArgs,
		/// The name that wallets show for it.
		#[arg(long, default_value = "Cuckoo operator")]
		name: String,
		/// A file, or - for standard input, whose first line is the secret: a phrase of 12 to 24 words, a seed as 0x and 64 hex digits, either
		/// with a derivation path, or on a development chain just //Alice.
		#[arg(long, value_name = "FILE")]
		suri_file: PathBuf,
	},
	/// Print whose key a file holds, and check the password if there is a password file.
	Inspect {
		/// What to look at.
		#[command(flatten)]
		key: KeyArgs,
	},
	/// Print account, name and file of every key in a folder. No password is needed for that, and none is tried.
	List {
		/// The folder.
		#[arg(value_name = "DIR", default_value = "keys")]
		dir: PathBuf,
	},
}

impl KeyCommand {
	/// Does it.
	pub fn run(self) -> anyhow::Result<()> {
		match self {
			Self::Generate { key, name } => key.store(&keystore::generate(), &name),
			Self::Import { key, name, suri_file } => {
				let suri = if suri_file == Path::new("-") {
					first_line(io::stdin()).context("cannot read the secret from standard input")?
				} else {
					secret_file(&suri_file)?
				};
				key.store(&keystore::from_suri(&suri)?, &name)
			},
			Self::Inspect { key } => {
				let (account, name) = keystore::inspect(&key.key_file)?;
				if key.password_file.is_some() {
					key.load()?;
					eprintln!("The password opens it.");
				}
				println!("{account} {}", plain::line(&name));
				Ok(())
			},
			Self::List { dir } => {
				for (file, found) in keys_in(&dir)? {
					match found {
						Ok((account, name)) => println!("{account} {name:?} {}", file.display()),
						// Without the reason: it could quote what may be a password.
						Err(KeystoreError::Malformed { path, .. }) => {
							eprintln!("{} is no key file", path.display());
						},
						Err(error) => eprintln!("{error}"),
					}
					if others_can_read(&file) {
						eprintln!("{0} can be read by others: chmod 600 {0}", file.display());
					}
				}
				Ok(())
			},
		}
	}
}

/// A key's account and the name that its file gives it.
type Labelled = (AccountId32, String);

/// The files of a folder in the order of their names, each with whose key it says it holds, or why it is none.
fn keys_in(dir: &Path) -> anyhow::Result<Vec<(PathBuf, Result<Labelled, KeystoreError>)>> {
	let unreadable = || {
		format!("cannot read the folder {}: name the one that holds your key files", dir.display())
	};
	let mut files = Vec::new();
	for entry in fs::read_dir(dir).with_context(unreadable)? {
		let path = entry.with_context(unreadable)?.path();
		if path.is_file() {
			files.push(path);
		}
		let many = files.len() > MAX_KEY_FILES;
		ensure!(!many, "more than {MAX_KEY_FILES} files in {}: is it a keystore?", dir.display());
	}
	files.sort();
	Ok(files.into_iter().map(|file| (file.clone(), keystore::inspect(&file))).collect())
}

/// Whether somebody else on this machine may read a file, who could then try passwords on it for as long as they like.
#[cfg(unix)]
fn others_can_read(file: &Path) -> bool {
	use std::os::unix::fs::PermissionsExt;
	fs::metadata(file).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
}

/// Whether somebody else on this machine may read a file: not known here.
#[cfg(not(unix))]
fn others_can_read(_: &Path) -> bool {
	false
}

/// Put down a bond and register a pool with its operator. The owner does this, once; the operator's key is not needed.
#[derive(Args, Clone, Debug)]
pub struct RegisterArgs {
	/// Which node to send it to.
	#[command(flatten)]
	pub node: NodeArgs,
	/// The owner's key, encrypted: whose CAI is staked.
	#[arg(long, value_name = "FILE")]
	pub owner_key_file: PathBuf,
	/// A file whose first line is the password of the owner's key. Without it the password is asked for.
	#[arg(long, value_name = "FILE")]
	pub owner_password_file: Option<PathBuf>,
	/// The account that does the work; best not the owner's own.
	#[arg(long, value_name = "ACCOUNT")]
	pub operator: AccountId32,
	/// The bond, in CAI: more than 20000 for a miner, more than 100000 for a validator, more than 2000000 for a coordinator.
	#[arg(long, value_name = "CAI", value_parser = parse_cai)]
	pub bond: Balance,
	/// The owner's share of what the pool's voters earn, in percent.
	#[arg(long, value_name = "PERCENT", default_value = "10", value_parser = parse_percent)]
	pub commission: u32,
	/// The pool's name.
	#[arg(long)]
	pub name: String,
	/// One line on what it does.
	#[arg(long, default_value = "")]
	pub description: String,
	/// Its website.
	#[arg(long, default_value = "")]
	pub website: String,
	/// Where its machines stand.
	#[arg(long, default_value = "")]
	pub location: String,
	/// What they are.
	#[arg(long, default_value = "")]
	pub hardware: String,
	/// Coordinators only: where miners reach it over HTTP.
	#[arg(long, value_name = "URL", default_value = "")]
	pub endpoint: String,
}

impl RegisterArgs {
	/// Registers the pool and prints the block that it is in.
	pub async fn run(self, role: Role) -> anyhow::Result<()> {
		let serves = role == Role::Coordinator;
		ensure!(!serves || !self.endpoint.is_empty(), "give --endpoint: miners must reach it");
		ensure!(serves || self.endpoint.is_empty(), "only a coordinator has an --endpoint");
		for (flag, text, most) in [
			("--name", &self.name, MAX_LINE_BYTES),
			("--description", &self.description, MAX_LONG_LINE_BYTES),
			("--website", &self.website, MAX_LONG_LINE_BYTES),
			("--location", &self.location, MAX_LINE_BYTES),
			("--hardware", &self.hardware, MAX_LONG_LINE_BYTES),
			("--endpoint", &self.endpoint, MAX_LONG_LINE_BYTES),
		] {
			ensure_fits(flag, text, most)?;
		}
		let owner = open(&self.owner_key_file, self.owner_password_file.as_deref())?;
		let signer = Signer::start(self.node.connect().await?, owner).await?;
		let intro = IntroView {
			name: self.name,
			description: self.description,
			website: self.website,
			location: self.location,
			hardware: self.hardware,
			endpoint: self.endpoint,
		};
		let call = calls::register(role, &self.operator, &intro, self.commission, self.bond);
		let included = signer.submit(call).await?;
		println!(
			"{role:?} {} of owner {} registered in block {} with a bond of {} CAI",
			self.operator,
			signer.account(),
			included.block,
			format_cai(self.bond),
		);
		Ok(())
	}
}

/// Leave for good: the operator has no role any more, and the owner's stake starts its waiting time. Voters can take theirs back at any time.
#[derive(Args, Clone, Debug)]
pub struct UnregisterArgs {
	/// Which node to send it to.
	#[command(flatten)]
	pub node: NodeArgs,
	/// The owner's key, encrypted.
	#[arg(long, value_name = "FILE")]
	pub owner_key_file: PathBuf,
	/// A file whose first line is the password of the owner's key. Without it the password is asked for.
	#[arg(long, value_name = "FILE")]
	pub owner_password_file: Option<PathBuf>,
}

impl UnregisterArgs {
	/// Unregisters the pool and prints the block that did it.
	pub async fn run(self) -> anyhow::Result<()> {
		let owner = open(&self.owner_key_file, self.owner_password_file.as_deref())?;
		let signer = Signer::start(self.node.connect().await?, owner).await?;
		let included = signer.submit(calls::unregister()).await?;
		println!("pool of owner {} unregistered in block {}", signer.account(), included.block);
		Ok(())
	}
}

/// Fails unless a text is short enough for the chain.
pub fn ensure_fits(what: &str, text: &str, most: u32) -> anyhow::Result<()> {
	let bytes = text.len();
	ensure!(bytes <= most as usize, "{what} is {bytes} bytes long, the chain takes {most}");
	Ok(())
}

/// How to write the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
	/// Text on a terminal, JSON elsewhere.
	#[default]
	Auto,
	/// A line of text for each entry.
	Text,
	/// A JSON object for each entry.
	Json,
}

/// ONNX Runtime tells every allocation at `info`.
const DEFAULT_LOG: &str = "info,ort=warn";

/// Sends the log to standard error, filtered by `RUST_LOG`, from `info` on without it.
pub fn init_logging(format: LogFormat) {
	let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG));
	let terminal = io::stderr().is_terminal();
	// https://no-color.org: set and not empty.
	let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
	let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
	let json = match format {
		LogFormat::Auto => !terminal,
		LogFormat::Text => false,
		LogFormat::Json => true,
	};
	let set = if json {
		log.json().try_init()
	} else {
		log.with_ansi(terminal && !no_color).fmt_fields(PlainFields).try_init()
	};
	if set.is_err() {
		tracing::debug!("the log was set up before");
	}
}

fn open(key_file: &Path, password_file: Option<&Path>) -> anyhow::Result<Keypair> {
	let password = match password_file {
		Some(file) => secret_file(file)?,
		None => ask(&format!("Password of {}: ", key_file.display()))?,
	};
	Ok(keystore::read(key_file, &password)?)
}

fn new_password(file: Option<&Path>) -> anyhow::Result<Zeroizing<String>> {
	let Some(file) = file else {
		let password = ask("Password for the new key file: ")?;
		ensure!(*ask("Again: ")? == *password, "the passwords differ");
		return Ok(password);
	};
	secret_file(file)
}

fn ask(prompt: &str) -> anyhow::Result<Zeroizing<String>> {
	if !io::stdin().is_terminal() {
		bail!("there is no terminal to ask for the password: give a password file");
	}
	Ok(Zeroizing::new(rpassword::prompt_password(prompt).context("cannot ask for the password")?))
}

fn secret_file(path: &Path) -> anyhow::Result<Zeroizing<String>> {
	File::open(path)
		.and_then(first_line)
		.with_context(|| format!("cannot read the secret in {}", path.display()))
}

fn first_line(from: impl Read) -> io::Result<Zeroizing<String>> {
	// As large as it can become, so that no outgrown copy stays in memory.
	let mut text = Zeroizing::new(String::with_capacity(MAX_SECRET as usize + 1));
	from.take(MAX_SECRET).read_to_string(&mut text)?;
	let line = text.lines().next().unwrap_or_default();
	Ok(Zeroizing::new(line.to_owned()))
}

/// A hash, `0x` and 64 hex digits.
pub fn parse_hash(text: &str) -> Result<H256, String> {
	text.parse().map_err(|_| "expected 0x and 64 hex digits".into())
}

/// An amount of CAI such as `20001` or `0.5`, in planck.
pub fn parse_cai(text: &str) -> Result<Balance, String> {
	parse_decimal(text, CAI_DIGITS)
}

/// A percentage such as `10` or `2.5`, in parts per billion.
pub fn parse_percent(text: &str) -> Result<u32, String> {
	match parse_decimal(text, PERCENT_DIGITS)? {
		parts @ 0..=1_000_000_000 => u32::try_from(parts).map_err(|error| error.to_string()),
		_ => Err("expected 0 to 100".into()),
	}
}

/// An amount in planck as CAI, exactly.
pub fn format_cai(amount: Balance) -> String {
	let one = cuckoo_primitives::CAI;
	let fraction = format!("{:0CAI_DIGITS$}", amount % one);
	match fraction.trim_end_matches('0') {
		"" => (amount / one).to_string(),
		fraction => format!("{}.{fraction}", amount / one),
	}
}

/// A decimal number times ten to the power of `digits`, with at most so many digits behind its point.
fn parse_decimal(text: &str, digits: usize) -> Result<u128, String> {
	let (whole, fraction) = match text.split_once('.') {
		Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
		Some(_) => return Err("expected digits behind the point".into()),
		None => (text, ""),
	};
	if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
		return Err("expected a number like 20001 or 0.5".into());
	}
	if fraction.len() > digits {
		return Err(format!("expected at most {digits} digits behind the point"));
	}
	format!("{whole}{fraction:0<digits$}").parse().map_err(|_| "the number is too large".into())
}

#[cfg(test)]
mod tests {
	use super::*;
	use clap::{Command, FromArgMatches};
	use cuckoo_primitives::CAI;

	#[test]
	fn the_command_line_is_sound() {
		KeyCommand::augment_subcommands(Command::new("key")).debug_assert();
		RegisterArgs::augment_args(Command::new("register")).debug_assert();
		UnregisterArgs::augment_args(Command::new("unregister")).debug_assert();
	}

	#[test]
	fn amounts_are_exact() {
		assert_eq!(parse_cai("20001"), Ok(20_001 * CAI));
		assert_eq!(parse_cai("0.000000000000000001"), Ok(1));
		assert_eq!(parse_cai("20000.000000000000000001"), Ok(20_000 * CAI + 1));
		assert_eq!(parse_cai("0.5"), Ok(CAI / 2));
		for bad in [
			"",
			".",
			".5",
			"5.",
			"-1",
			"+1",
			"1e3",
			"1,5",
			"1 000",
			"0x10",
			"1.2.3",
			"0.0000000000000000001",
			"999999999999999999999999999999999999999",
		] {
			assert!(parse_cai(bad).is_err(), "{bad}");
		}
	}

	#[test]
	fn amounts_are_printed_as_they_are_read() {
		for text in ["0", "1", "20001", "0.5", "20000.000000000000000001"] {
			assert_eq!(format_cai(parse_cai(text).unwrap()), text);
		}
	}

	#[test]
	fn percentages_end_at_a_hundred() {
		assert_eq!(parse_percent("0"), Ok(0));
		assert_eq!(parse_percent("2.5"), Ok(25_000_000));
		assert_eq!(parse_percent("100"), Ok(1_000_000_000));
		assert!(parse_percent("100.0000001").is_err());
		assert!(parse_percent("0.00000001").is_err());
	}

	#[test]
	fn a_secret_is_the_first_line() {
		for text in ["word", "word\n", "word\r\n", "word\nmore\n"] {
			assert_eq!(first_line(text.as_bytes()).unwrap().as_str(), "word");
		}
		assert_eq!(first_line("".as_bytes()).unwrap().as_str(), "");
		assert!(first_line([0xffu8].as_slice()).is_err());
	}

	#[test]
	fn a_key_is_imported_and_opened_without_a_terminal() {
		let folder = tempfile::tempdir().unwrap();
		let file = |name: &str, text: &str| {
			let path = folder.path().join(name);
			std::fs::write(&path, text).unwrap();
			path
		};
		let key = KeyArgs {
			key_file: folder.path().join("operator.json"),
			password_file: Some(file("password", "secret\n")),
		};
		let suri_file = file("suri", "//Alice\n");
		let import = KeyCommand::Import { key: key.clone(), name: "Alice".into(), suri_file };
		import.clone().run().unwrap();
		let alice = subxt_signer::sr25519::dev::alice();
		assert_eq!(key.load().unwrap().public_key().0, alice.public_key().0);
		KeyCommand::Inspect { key: key.clone() }.run().unwrap();
		assert!(import.run().is_err(), "it would overwrite the key");
		let listed = keys_in(folder.path()).unwrap();
		let names = listed.iter().map(|(path, _)| path.file_name().unwrap().to_str().unwrap());
		assert_eq!(names.collect::<Vec<_>>(), ["operator.json", "password", "suri"]);
		let account = AccountId32::new(alice.public_key().0);
		assert_eq!(listed[0].1.as_ref().unwrap(), &(account, "Alice".to_owned()));
		assert!(matches!(listed[1].1, Err(KeystoreError::Malformed { .. })));
		assert!(listed[2].1.is_err());
		KeyCommand::List { dir: folder.path().into() }.run().unwrap();
		let nowhere = KeyCommand::List { dir: folder.path().join("keys") }.run().unwrap_err();
		assert!(format!("{nowhere:#}").contains("holds your key files"), "{nowhere:#}");
		#[cfg(unix)]
		{
			use std::os::unix::fs::PermissionsExt;
			assert!(!others_can_read(&key.key_file));
			let open = fs::Permissions::from_mode(0o640);
			fs::set_permissions(folder.path().join("suri"), open).unwrap();
			assert!(others_can_read(&folder.path().join("suri")));
		}
		let wrong = KeyArgs { password_file: Some(file("wrong", "other")), ..key };
		assert!(wrong.load().is_err());
	}

	#[test]
	fn registering_takes_no_secret_as_an_argument() {
		let alice = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
		let line = ["register", "--owner-key-file", "owner.json", "--operator", alice];
		let line = line.into_iter().chain(["--bond", "20001.5", "--name", "My pool"]);
		let register = RegisterArgs::augment_args(Command::new("register"));
		let args = RegisterArgs::from_arg_matches(&register.get_matches_from(line)).unwrap();
		assert_eq!(args.bond, 20_001 * CAI + CAI / 2);
		assert_eq!(args.commission, 100_000_000);
		assert_eq!(args.operator.to_string(), alice);
	}
}
