//! The commands that make, list and revoke the keys of applications.

use std::{array, path::PathBuf};

use clap::{Args, Subcommand};
use cuckoo_client::cli::{format_cai, parse_cai};
use cuckoo_primitives::Balance;
use serde::Serialize;

use crate::{
	config::{Config, Flags, ENV_CONFIG},
	id::unix_now,
	keys::{self, ApiKey, KeyId, Made, Scope, Wanted},
	server::private_folder,
};

const EXAMPLES: &str = "Examples:
  A key for a script, which keeps the secret and nothing else:
    CUCKOO_KEY=$(cuckoo-coordinator api-key create --name script)

  For an application that may spend 50 CAI on one model, and is told when its jobs are done:
    cuckoo-coordinator api-key create --name shop --model shapes --budget 50 --per-minute 60 \\
      --webhook https://shop.example/cuckoo

  For a screen that only shows what goes on:
    cuckoo-coordinator api-key create --name screen --scope read

  To use it, as with OpenAI's clients:
    curl -H \"Authorization: Bearer $CUCKOO_KEY\" http://127.0.0.1:8080/v1/models
    OPENAI_API_KEY=$CUCKOO_KEY OPENAI_BASE_URL=http://127.0.0.1:8080/v1 python app.py";

/// Work with the keys of applications.
///
/// As long as there are none, a coordinator that listens on a loopback address serves everybody on this machine, but nothing that came through a proxy or is
/// for another host, and one that listens on another address serves nobody; `run --open` changes both. From the first one on, every request of an
/// application needs one: a header `Authorization: Bearer ck_...`. A running coordinator sees every change within a second; nothing has to be restarted.
#[derive(Debug, Subcommand)]
pub enum ApiKeyCommand {
	/// Make a key and print its secret, this once.
	///
	/// Standard output gets the secret and nothing else, standard error the rest in words; --json puts everything on standard output. The secret is kept
	/// nowhere: who loses it makes a new key and revokes the old one.
	#[command(after_long_help = EXAMPLES)]
	Create(Box<CreateArgs>),
	/// Show the keys: what they are for, never their secrets.
	List(ListArgs),
	/// Make a key good for nothing, from the next second on and for ever.
	///
	/// Requests that are being answered, and jobs that were accepted, go on.
	Revoke(RevokeArgs),
}

/// Where the keys are.
#[derive(Args, Debug)]
struct Place {
	/// The coordinator's data directory. Without it, what `run` takes: CUCKOO_COORDINATOR_DATA_DIR, or data_dir in the TOML file [default: ./cuckoo-coordinator]
	#[arg(long, value_name = "DIR")]
	data_dir: Option<PathBuf>,
	/// The TOML file of `run`, if it names the data directory
	#[arg(long, value_name = "FILE", env = ENV_CONFIG)]
	config: Option<PathBuf>,
}

impl Place {
	/// The file of the keys.
	fn file(&self) -> anyhow::Result<PathBuf> {
		let folder = match &self.data_dir {
			Some(folder) => folder.clone(),
			None => Config::load(self.config.as_deref(), &Flags::default())?.data_dir,
		};
		Ok(folder.join(keys::FILE_NAME))
	}
}

/// What a new key is to be.
#[derive(Args, Debug)]
pub struct CreateArgs {
	/// What people call it, such as the application's name
	#[arg(long, value_name = "TEXT")]
	name: String,
	/// What it may do; repeat it for several [default: everything]
	#[arg(long = "scope", value_name = "SCOPE", value_enum)]
	scopes: Vec<Scope>,
	/// A model that it may use, by its name or its number on chain; repeat it for several. A name means the model that it means to applications, and no other
	/// that is called so [default: every model]
	#[arg(long = "model", value_name = "NAME|NUMBER")]
	models: Vec<String>,
	/// All that it may ever spend, in CAI; what is refunded may be spent again [default: no bound but the coordinator's]
	#[arg(long, value_name = "CAI", value_parser = parse_cai)]
	budget: Option<Balance>,
	/// How many requests it may make a minute, and how many at once; looking after a job counts too [default: any number]
	#[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
	per_minute: Option<u32>,
	/// Where to tell of its jobs, signed as Standard Webhooks are; the secret for checking the signatures is printed with the key
	#[arg(long, value_name = "URL")]
	webhook: Option<String>,
	#[command(flatten)]
	place: Place,
	/// Print the key as a JSON object
	#[arg(long)]
	json: bool,
}

/// How to show the keys.
#[derive(Args, Debug)]
pub struct ListArgs {
	#[command(flatten)]
	place: Place,
	/// Print them as a JSON array: amounts in planck, times in seconds of Unix time
	#[arg(long)]
	json: bool,
}

/// Which key to revoke.
#[derive(Args, Debug)]
pub struct RevokeArgs {
	/// The key, as `api-key list` shows it
	#[arg(value_name = "KEY_ID")]
	id: KeyId,
	#[command(flatten)]
	place: Place,
}

impl ApiKeyCommand {
	/// Does it.
	pub fn run(self) -> anyhow::Result<()> {
		match self {
			Self::Create(args) => args.run(),
			Self::List(args) => args.run(),
			Self::Revoke(args) => args.run(),
		}
	}
}

impl CreateArgs {
	fn run(self) -> anyhow::Result<()> {
		let path = self.place.file()?;
		let json = self.json;
		if let Some(folder) = path.parent() {
			private_folder(folder)?;
		}
		let made = keys::create(&path, self.wanted())?;
		if json {
			println!("{}", serde_json::to_string_pretty(&MadeView::from(&made))?);
		} else {
			println!("{}", made.secret);
			eprintln!("{}", explained(&made));
		}
		eprintln!(
			"It is in {}; a coordinator that runs with this data directory takes it within a second.",
			path.display()
		);
		Ok(())
	}

	fn wanted(self) -> Wanted {
		let any = Wanted::named(self.name);
		Wanted {
			scopes: if self.scopes.is_empty() {
				any.scopes
			} else {
				self.scopes.into_iter().collect()
			},
			name: any.name,
			models: Some(self.models).filter(|models| !models.is_empty()),
			budget: self.budget,
			per_minute: self.per_minute,
			webhook: self.webhook,
		}
	}
}

impl ListArgs {
	fn run(self) -> anyhow::Result<()> {
		let path = self.place.file()?;
		let keys = keys::list(&path)?;
		if self.json {
			let views: Vec<_> = keys.iter().map(KeyView::from).collect();
			println!("{}", serde_json::to_string_pretty(&views)?);
		} else if keys.is_empty() {
			eprintln!(
				"There are no keys in {}. `cuckoo-coordinator api-key create --name NAME` makes one.",
				path.display()
			);
		} else {
			print!("{}", table(&keys, unix_now()));
		}
		Ok(())
	}
}

impl RevokeArgs {
	fn run(self) -> anyhow::Result<()> {
		let (key, left) = keys::revoke(&self.place.file()?, self.id)?;
		println!(
			"{} {:?} is revoked: a running coordinator refuses it within a second",
			key.id, key.name
		);
		if left == 0 {
			eprintln!(
				"No key is left that is good: no application is served until `cuckoo-coordinator api-key create --name NAME` \
				 makes one."
			);
		}
		Ok(())
	}
}

/// A key as everybody may see it who may see the file: without secrets and hashes.
#[derive(Serialize)]
struct KeyView<'a> {
	id: KeyId,
	name: &'a str,
	scopes: Vec<Scope>,
	models: Option<&'a [String]>,
	#[serde(with = "keys::maybe_planck")]
	budget: Option<Balance>,
	per_minute: Option<u32>,
	webhook: Option<&'a str>,
	created: u64,
	revoked: Option<u64>,
}

impl<'a> From<&'a ApiKey> for KeyView<'a> {
	fn from(key: &'a ApiKey) -> Self {
		Self {
			id: key.id,
			name: &key.name,
			scopes: key.scopes.iter().copied().collect(),
			models: key.models.as_deref(),
			budget: key.budget,
			per_minute: key.per_minute,
			webhook: key.webhook.as_ref().map(|webhook| webhook.url.as_str()),
			created: key.created,
			revoked: key.revoked,
		}
	}
}

/// A new key with its secrets, this once.
#[derive(Serialize)]
struct MadeView<'a> {
	secret: &'a str,
	webhook_secret: Option<&'a str>,
	#[serde(flatten)]
	key: KeyView<'a>,
}

impl<'a> From<&'a Made> for MadeView<'a> {
	fn from(made: &'a Made) -> Self {
		Self {
			secret: &made.secret,
			webhook_secret: made.key.webhook.as_ref().map(|webhook| webhook.secret.as_str()),
			key: (&made.key).into(),
		}
	}
}

/// What to know of a new key, apart from its secret.
fn explained(made: &Made) -> String {
	let key = &made.key;
	let mut lines = vec![
		format!("This is the secret of {} {:?}. Keep it: it is not shown again.", key.id, key.name),
		"Applications send it in the header `Authorization: Bearer ck_...`; OpenAI's clients take it as OPENAI_API_KEY.".into(),
	];
	if let Some(webhook) = &key.webhook {
		lines.push(format!(
			"Messages to {} are signed (standardwebhooks.com); who receives them checks them with this secret: {}",
			webhook.url, webhook.secret
		));
		if webhook.url.starts_with("http:") {
			lines.push(
				"They are not encrypted on their way: use https:// beyond your own network.".into(),
			);
		}
	}
	if made.first {
		lines.push("It is the first key: from now on no application is served without one.".into());
	}
	lines.join("\n")
}

/// The keys in columns.
fn table(keys: &[ApiKey], now: u64) -> String {
	let titles =
		["ID", "NAME", "SCOPES", "MODELS", "BUDGET", "PER MINUTE", "WEBHOOK", "CREATED", "REVOKED"];
	let mut rows = vec![titles.map(String::from)];
	rows.extend(keys.iter().map(|key| row(key, now)));
	let widths: [usize; 9] =
		array::from_fn(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0));
	let mut text = String::new();
	for row in &rows {
		let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
		text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
		text.push('\n');
	}
	text
}

fn row(key: &ApiKey, now: u64) -> [String; 9] {
	let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.name()).collect();
	// Quoted: what people called it must not look like another column, or move the cursor.
	let models = key.models.as_ref().map(|models| {
		models.iter().map(|model| format!("{model:?}")).collect::<Vec<_>>().join(",")
	});
	let none = || "-".to_string();
	[
		key.id.to_string(),
		format!("{:?}", key.name),
		scopes.join(","),
		models.unwrap_or_else(|| "any".into()),
		key.budget.map_or_else(none, |budget| format!("{} CAI", format_cai(budget))),
		key.per_minute.map_or_else(none, |limit| limit.to_string()),
		key.webhook.as_ref().map_or_else(none, |webhook| webhook.url.escape_debug().to_string()),
		ago(key.created, now),
		key.revoked.map_or_else(none, |revoked| ago(revoked, now)),
	]
}

/// How long ago a time was.
fn ago(then: u64, now: u64) -> String {
	let seconds = now.saturating_sub(then);
	match seconds {
		0..60 => format!("{seconds} s ago"),
		60..3_600 => format!("{} min ago", seconds / 60),
		3_600..86_400 => format!("{} h ago", seconds / 3_600),
		_ => format!("{} d ago", seconds / 86_400),
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use std::collections::BTreeSet;

	use clap::{CommandFactory, Parser};
	use cuckoo_primitives::CAI;
	use tempfile::{tempdir, TempDir};

	#[derive(Debug, Parser)]
	struct Line {
		#[command(subcommand)]
		command: ApiKeyCommand,
	}

	fn parsed(line: &str) -> Result<ApiKeyCommand, clap::Error> {
		let words = std::iter::once("api-key").chain(line.split(' '));
		Line::try_parse_from(words).map(|line| line.command)
	}

	fn wanted(line: &str) -> Wanted {
		let Ok(ApiKeyCommand::Create(args)) = parsed(line) else { panic!("not create: {line}") };
		args.wanted()
	}

	/// Does what the line says, in this data directory.
	fn run(dir: &TempDir, line: &str) -> anyhow::Result<()> {
		let line = format!("{line} --data-dir {}", dir.path().join("data").display());
		parsed(&line).unwrap().run()
	}

	fn file(dir: &TempDir) -> PathBuf {
		dir.path().join("data").join(keys::FILE_NAME)
	}

	#[test]
	fn the_command_line_is_sound() {
		Line::command().debug_assert();
	}

	#[test]
	fn a_key_may_do_everything_unless_it_is_bound() {
		let any = wanted("create --name a");
		assert_eq!((any.scopes.len(), any.models, any.budget), (2, None, None));
		let bound = wanted(
			"create --name shop --scope read --scope read --model shapes --model other --budget 0.5 --per-minute 60 \
			 --webhook https://example.org/hook",
		);
		assert_eq!(bound.name, "shop");
		assert_eq!(bound.scopes, BTreeSet::from([Scope::Read]));
		assert_eq!(bound.models, Some(vec!["shapes".into(), "other".into()]));
		assert_eq!((bound.budget, bound.per_minute), (Some(CAI / 2), Some(60)));
		assert_eq!(bound.webhook.as_deref(), Some("https://example.org/hook"));
		for bad in [
			"create",
			"create --name a --scope write",
			"create --name a --budget much",
			"create --name a --per-minute 0",
			"revoke",
			"revoke shop",
		] {
			assert!(parsed(bad).is_err(), "{bad}");
		}
	}

	#[test]
	fn keys_are_made_shown_and_revoked_in_a_folder_that_is_private() {
		use std::os::unix::fs::PermissionsExt;
		let dir = tempdir().unwrap();
		run(&dir, "list").unwrap();
		assert!(!dir.path().join("data").exists(), "looking makes nothing");
		run(&dir, "create --name a").unwrap();
		run(&dir, "create --name b --json").unwrap();
		let folder = std::fs::metadata(dir.path().join("data")).unwrap();
		assert_eq!(folder.permissions().mode() & 0o777, 0o700);
		let made = keys::list(&file(&dir)).unwrap();
		assert_eq!(made.len(), 2);
		for key in &made {
			run(&dir, &format!("revoke {}", key.id)).unwrap();
		}
		assert!(keys::list(&file(&dir)).unwrap().iter().all(|key| key.revoked.is_some()));
		run(&dir, "list").unwrap();
		run(&dir, "list --json").unwrap();
		let unknown = run(&dir, "revoke key_0000000000000000").unwrap_err();
		assert!(format!("{unknown:#}").contains("api-key list"), "{unknown:#}");
	}

	#[test]
	fn a_secret_is_shown_when_it_is_made_and_never_again() {
		let dir = tempdir().unwrap();
		let path = dir.path().join(keys::FILE_NAME);
		let line =
			"create --name shop --budget 0.5 --webhook http://example.org/hook --model shapes";
		let made = keys::create(&path, wanted(line)).unwrap();
		let signing = made.key.webhook.as_ref().unwrap().secret.clone();
		let view = serde_json::to_value(MadeView::from(&made)).unwrap();
		assert_eq!(view["secret"], made.secret);
		assert_eq!(view["webhook_secret"], signing);
		assert_eq!(view["id"], made.key.id.to_string());
		assert_eq!(view["budget"], (CAI / 2).to_string());
		assert_eq!(view["scopes"], serde_json::json!(["submit", "read"]));
		assert_eq!(view["revoked"], serde_json::Value::Null);

		let words = explained(&made);
		assert!(words.contains(&signing) && words.contains("https://"), "{words}");
		assert!(words.contains("first key") && !words.contains(&made.secret), "{words}");

		let hash = hex::encode(made.key.hash);
		let json = serde_json::to_string(&KeyView::from(&made.key)).unwrap();
		let shown = table(&[made.key], 0);
		for secret in [&made.secret[3..], &signing[6..], hash.as_str()] {
			assert!(!json.contains(secret) && !shown.contains(secret), "{json} {shown}");
		}
		assert!(shown.contains("0.5 CAI") && shown.contains("http://example.org/hook"), "{shown}");
	}

	#[test]
	fn a_table_has_straight_columns_whatever_names_hold() {
		let dir = tempdir().unwrap();
		let path = dir.path().join(keys::FILE_NAME);
		let mut keys: Vec<ApiKey> = ["a", "größer"]
			.map(|name| keys::create(&path, Wanted::named(name)).unwrap().key)
			.into();
		keys[1].revoked = Some(keys[1].created + 3_000);
		// Only by hand can such a name come into the file.
		keys[0].name = "x\u{1b}[2J\n".into();
		let shown = table(&keys, keys[0].created + 90_000);
		assert!(!shown.contains('\u{1b}'), "{shown}");
		let lines: Vec<_> = shown.lines().collect();
		assert_eq!(lines.len(), 3);
		let at = |line: &str, word: &str| {
			let bytes = line.find(word).unwrap();
			line[..bytes].chars().count()
		};
		let column = at(lines[0], "SCOPES");
		assert_eq!(at(lines[1], "submit,read"), column);
		assert_eq!(at(lines[2], "submit,read"), column);
		assert!(
			lines[1].ends_with("1 d ago  -") && lines[2].ends_with("1 d ago  1 d ago"),
			"{shown}"
		);
		assert_eq!(ago(10, 9), "0 s ago");
		assert_eq!(ago(0, 3_599), "59 min ago");
		assert_eq!(ago(0, 86_399), "23 h ago");
	}
}
