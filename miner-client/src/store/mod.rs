//! `miner-client models`: the models on this machine, one folder each, and how they come and go.
//!
//! `pull` fetches one, from what `source` opens; `shelf` is what lies there. A model that is configured is never removed.

mod pull;
mod shelf;
mod source;

use std::{
	io::{self, BufRead, IsTerminal},
	path::{Component, Path, PathBuf},
	time::Duration,
};

use anyhow::{bail, ensure, Context, Result};
use clap::{Args, Subcommand};
use comfy_table::{presets, Table};
use cuckoo_client::{cli::parse_hash, plain};
use cuckoo_primitives::{views::ModelView, ModelId};
use indicatif::DecimalBytes;
use serde_json::json;
use sp_core::H256;

use self::{
	pull::{pull, Limits},
	shelf::{Entry, Shelf},
	source::Source,
};
use crate::{account::models_on_chain, cli::Settings, config::Config, model::Model};

/// How often in a row a download may be cut short before another byte comes, and how long to wait after that.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(2);

/// What a miner's owner has to know, below the help.
pub(crate) const HELP: &str = "\
A model on chain is the hash of a list of files: SHA256SUMS, with the SHA-256 of each. Whoever has the files can serve them, from any web server; no file
is used unless its hash is right, so nobody has to be trusted. To mine a model:
  1. miner-client models pull 0 --from https://models.example/demo
       fetches it into the model store, by its number or its name on chain.
  2. model_dir = [\"STORE/FOLDER\"] in miner.toml, or --model-dir, with the folder that `pull` prints.
  3. miner-client bench --model STORE/FOLDER
       tells whether this machine is fast enough.";

/// Work with the models on this machine.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
	/// List the models in the model store: name, manifest, size, what they are on chain, and whether they are configured.
	Ls(LsArgs),
	/// Fetch a model, or the rest of one: what has come before a cut is kept.
	Pull(PullArgs),
	/// Hash the files of models again, all in the store without a name. Fails if one is not as it should be.
	Verify(VerifyArgs),
	/// Remove models from the store. Those that are configured stay.
	Rm(RmArgs),
	/// Remove the models that are not configured, and downloads that were not finished.
	Prune(PruneArgs),
}

/// How to list.
#[derive(Args, Debug)]
pub(crate) struct LsArgs {
	/// Print JSON; sizes are in bytes then.
	#[arg(long)]
	json: bool,
	/// Ask no node what the models are on chain.
	#[arg(long)]
	offline: bool,
	#[command(flatten)]
	settings: Settings,
}

/// What to fetch.
#[derive(Args, Debug)]
pub(crate) struct PullArgs {
	/// The model, by its number or its name on chain.
	#[arg(value_name = "MODEL", required_unless_present = "manifest", conflicts_with = "manifest")]
	wanted: Option<String>,
	/// The model, by its manifest: the BLAKE2b-256 hash of its SHA256SUMS, as `miner-client manifest` prints it. No node is asked then.
	#[arg(long, value_name = "HASH", value_parser = parse_hash)]
	manifest: Option<H256>,
	/// Where its files are: an http or https address below which SHA256SUMS and the files lie, or a local folder.
	#[arg(long, value_name = "URL|DIR")]
	from: String,
	/// What its folder in the store is called. [default: its manifest]
	#[arg(long, value_name = "NAME")]
	name: Option<String>,
	/// The most bytes that all its files may have together.
	#[arg(long, value_name = "BYTES", default_value_t = 20_000_000_000)]
	max_bytes: u64,
	/// For how many seconds a server may send nothing.
	#[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
	idle_timeout: u64,
	#[command(flatten)]
	settings: Settings,
}

/// What to look at.
#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
	/// Folders of the store, by name or manifest.
	#[arg(value_name = "NAME")]
	names: Vec<String>,
	#[command(flatten)]
	settings: Settings,
}

/// What to remove.
#[derive(Args, Debug)]
pub(crate) struct RmArgs {
	/// Folders of the store, by name or manifest.
	#[arg(value_name = "NAME", required = true)]
	names: Vec<String>,
	/// Do not ask.
	#[arg(long)]
	yes: bool,
	#[command(flatten)]
	settings: Settings,
}

/// What to keep.
#[derive(Args, Debug)]
pub(crate) struct PruneArgs {
	/// Keep, beside those that are configured, models that are active on chain. Needs a node.
	#[arg(long)]
	inactive: bool,
	/// Do not ask.
	#[arg(long)]
	yes: bool,
	#[command(flatten)]
	settings: Settings,
}

impl ModelsCommand {
	/// Does it.
	pub(crate) async fn run(self) -> Result<()> {
		match self {
			Self::Ls(LsArgs { json, offline, settings }) => {
				let config = settings.read()?;
				list(&config, offline, json).await
			},
			Self::Pull(args) => fetch(args).await,
			Self::Verify(VerifyArgs { names, settings }) => {
				verify(&Shelf::open(&settings.read()?)?, &names)
			},
			Self::Rm(RmArgs { names, yes, settings }) => {
				let shelf = Shelf::open(&settings.read()?)?;
				let chosen = shelf.choose(&names)?;
				for entry in &chosen {
					ensure!(
						!entry.configured,
						"{} is configured: take it out of model_dir first",
						entry.name
					);
				}
				remove(&chosen, yes)
			},
			Self::Prune(PruneArgs { inactive, yes, settings }) => {
				let config = settings.read()?;
				ensure!(
					!config.model_dir.is_empty(),
					"model_dir names no model, so all of them would go: give the --config that the miner runs with, or remove each with `miner-client models rm`"
				);
				let shelf = Shelf::open(&config)?;
				let active = match inactive {
					true => {
						models_on_chain(&config).await.context("what is active is not known")?
					},
					false => Vec::new(),
				};
				remove(&shelf.dispensable(&active), yes)
			},
		}
	}
}

async fn list(config: &Config, offline: bool, json: bool) -> Result<()> {
	let shelf = Shelf::open(config)?;
	let views = match offline {
		true => None,
		false => models_on_chain(config).await.map_err(|error| tracing::warn!("{error:#}")).ok(),
	};
	if json {
		let each = |entry: &Entry| {
			let view = views.as_deref().and_then(|views| entry.on_chain(views));
			json!({ "folder": entry, "on_chain": view })
		};
		let all: Vec<serde_json::Value> = shelf.entries.iter().map(each).collect();
		println!("{}", serde_json::to_string_pretty(&all)?);
		return Ok(());
	}
	println!("{} in {}", shelf.entries.len(), shelf.store.display());
	if !shelf.entries.is_empty() {
		println!("{}", table(&shelf.entries, views.as_deref()).trim_fmt());
	}
	Ok(())
}

/// The models beside what they are on chain, if that is known.
fn table(entries: &[Entry], views: Option<&[ModelView]>) -> Table {
	let mut table = Table::new();
	table.load_preset(presets::NOTHING);
	table.set_header(["name", "size", "configured", "on chain", "manifest"]);
	for entry in entries {
		let on_chain = match (views, views.and_then(|views| entry.on_chain(views))) {
			(None, _) => "?".into(),
			(_, None) => "no".into(),
			(_, Some(view)) => {
				let active = if view.active { "active" } else { "not active" };
				format!("{} {}, {active}", view.model, plain::line(&view.name))
			},
		};
		table.add_row([
			plain::line(&entry.name),
			DecimalBytes(entry.bytes).to_string(),
			if entry.configured { "yes" } else { "no" }.into(),
			on_chain,
			entry.manifest.map_or_else(|| "none".into(), |manifest| format!("{manifest:?}")),
		]);
	}
	table
}

async fn fetch(args: PullArgs) -> Result<()> {
	let PullArgs { wanted, manifest, from, name, max_bytes, idle_timeout, settings } = args;
	let config = settings.read()?;
	// Before a node is asked.
	let source = Source::parse(&from, Duration::from_secs(idle_timeout))?;
	let manifest = match (manifest, wanted) {
		(Some(manifest), _) => manifest,
		(None, Some(wanted)) => {
			let views = models_on_chain(&config)
				.await
				.context("a node has to say which model that is; --manifest does without one")?;
			by_name(&wanted, &views)?.manifest
		},
		(None, None) => bail!("which model? give its number or name on chain, or --manifest"),
	};
	let name = name.unwrap_or_else(|| format!("{manifest:?}"));
	ensure_name(&name)?;
	let limits = Limits { max_bytes, attempts: ATTEMPTS, pause: PAUSE };
	let folder = pull(&config.store(), &name, manifest, &source, limits).await?;
	println!("{}", folder.display());
	eprintln!("All files are there and right. To serve it, add the folder to model_dir.");
	Ok(())
}

/// The model on chain with this number or name. Of several with one name the active one.
fn by_name<'a>(wanted: &str, views: &'a [ModelView]) -> Result<&'a ModelView> {
	if let Ok(number) = wanted.parse::<ModelId>() {
		let found = views.iter().find(|view| view.model == number);
		return found.with_context(|| format!("there is no model {number} on this chain"));
	}
	let named: Vec<&ModelView> = views.iter().filter(|view| view.name == wanted).collect();
	let active: Vec<&ModelView> = named.iter().copied().filter(|view| view.active).collect();
	match (active.as_slice(), named.as_slice()) {
		([one], _) | ([], [one]) => Ok(*one),
		([], []) => {
			let known = |view: &ModelView| format!("{} {}", view.model, plain::line(&view.name));
			let known: Vec<String> = views.iter().map(known).collect();
			bail!("no model on this chain is called {wanted:?}; there are: {}", known.join(", "))
		},
		(many, all) => {
			let many = if many.is_empty() { all } else { many };
			let numbers: Vec<String> = many.iter().map(|view| view.model.to_string()).collect();
			bail!("several models are called {wanted:?}: give a number, {}", numbers.join(" or "))
		},
	}
}

/// Fails unless a name is that of a folder in the store.
fn ensure_name(name: &str) -> Result<()> {
	let mut parts = Path::new(name).components();
	let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
	ensure!(
		plain && !name.starts_with('.') && !name.contains(['/', '\\']),
		"{name:?} is no name for a folder: it must not begin with a point, nor lead anywhere else"
	);
	Ok(())
}

fn verify(shelf: &Shelf, names: &[String]) -> Result<()> {
	let chosen = if names.is_empty() { shelf.complete() } else { shelf.choose(names)? };
	let mut bad = 0;
	for entry in &chosen {
		let name = plain::line(&entry.name);
		match Model::verify(&entry.path) {
			Ok(model) => println!("ok    {name}: manifest {:?}", model.manifest()),
			Err(error) => {
				println!("FAIL  {name}: {}", plain::text(&error.to_string()));
				bad += 1;
			},
		}
	}
	ensure!(bad == 0, "{bad} of {} models are not as they should be", chosen.len());
	Ok(())
}

/// Removes them, if it is meant.
fn remove(entries: &[&Entry], yes: bool) -> Result<()> {
	if entries.is_empty() {
		println!("nothing to remove");
		return Ok(());
	}
	for entry in entries {
		let path = plain::text(&entry.path.to_string_lossy());
		println!("{path}, {}", DecimalBytes(entry.bytes));
	}
	if !yes && !confirmed(&format!("Remove {}?", entries.len()))? {
		println!("nothing was removed");
		return Ok(());
	}
	for entry in entries {
		entry.remove()?;
		println!("removed {}", plain::line(&entry.name));
	}
	Ok(())
}

/// Asks on the terminal.
fn confirmed(question: &str) -> Result<bool> {
	ensure!(io::stdin().is_terminal(), "there is no terminal to ask on: pass --yes");
	eprint!("{question} [y/N] ");
	let mut answer = String::new();
	io::stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
	Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

/// The real paths of the folders that are configured; one that is not there yet as it is written.
fn configured(config: &Config) -> Vec<PathBuf> {
	let real = |dir: &PathBuf| dir.canonicalize().unwrap_or_else(|_| dir.clone());
	config.model_dir.iter().map(real).collect()
}

#[cfg(test)]
mod tests {
	use super::*;
	use cuckoo_primitives::ModelKind;

	pub(super) fn view(model: u32, name: &str, manifest: H256, active: bool) -> ModelView {
		ModelView {
			model,
			name: name.into(),
			kind: ModelKind::Tensor,
			manifest,
			min_fee: 1,
			work_window: 20,
			tolerance: None,
			reference_ms: 1,
			active,
		}
	}

	#[test]
	fn a_model_is_found_by_number_or_name() {
		let zero = H256::zero();
		let views = [
			view(0, "demo", zero, false),
			view(1, "demo", zero, true),
			view(2, "other", zero, false),
			view(3, "twin", zero, true),
			view(4, "twin", zero, true),
		];
		let number = |wanted| by_name(wanted, &views).map(|view| view.model);
		assert_eq!(number("0").unwrap(), 0);
		assert_eq!(number("demo").unwrap(), 1);
		assert_eq!(number("other").unwrap(), 2);
		let error = |wanted| number(wanted).unwrap_err().to_string();
		assert!(error("9").contains("no model 9"));
		assert!(error("demos").contains("1 demo, 2 other"), "{}", error("demos"));
		assert!(error("twin").contains("3 or 4"), "{}", error("twin"));
	}

	#[test]
	fn names_do_nothing_to_the_terminal() {
		let (evil, manifest) = ("x\u{1b}[2J\n\u{202e}y", H256::repeat_byte(7));
		let views = [view(0, evil, manifest, true)];
		let error = by_name("demo", &views).unwrap_err().to_string();
		let entry = Entry {
			name: evil.into(),
			path: "/models/x".into(),
			manifest: Some(manifest),
			bytes: 1,
			configured: false,
			unfinished: false,
		};
		let table = table(&[entry], Some(&views)).trim_fmt();
		for text in [error, table] {
			assert!(text.contains("x\u{fffd}[2J\u{fffd}\u{fffd}y"), "{text:?}");
			assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
		}
	}

	#[test]
	fn a_name_is_that_of_a_folder() {
		for good in ["demo", "0x0102", "a b", "demo.v2"] {
			ensure_name(good).unwrap();
		}
		for bad in ["", ".", "..", ".pull-x", "a/b", "/a", "a/", "a\\b", "./a"] {
			assert!(ensure_name(bad).is_err(), "{bad:?}");
		}
	}

	#[test]
	fn nothing_is_removed_without_a_word() {
		remove(&[], false).unwrap();
		if !io::stdin().is_terminal() {
			assert!(confirmed("Remove 1?").unwrap_err().to_string().contains("--yes"));
		}
	}
}
