//! `miner-client doctor`: looks at everything that mining needs, in the order in which it is needed.

use std::{
	path::Path,
	time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{anyhow, bail, ensure, Context, Result};
use cuckoo_client::{cli::format_cai, plain, Node, NodeError};
use cuckoo_primitives::views::{ModelView, Obstacle, OperatorView};
use indicatif::DecimalBytes;
use rustix::fs::{access, statvfs, Access};
use sp_core::crypto::AccountId32;
use tokio::time::{sleep, timeout};

use crate::{
	account::{explain, obstacles},
	assignment,
	config::Config,
	gpu::Gpus,
	model::Model,
	operator,
	run::on_chain_of,
	runtime::{self, Optimization, Provider, Runtime},
};

/// Results are kept until they are paid for; an item's has up to 64 MiB.
const LEAST_DISK: u64 = 1_000_000_000;
/// How long a new block may take: some slots have none.
const NEW_BLOCK: Duration = Duration::from_secs(30);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(200);
/// How far this machine's clock may be ahead of a new block's time, in milliseconds: a block is a few seconds old when it comes, and requests to coordinators are
/// good for 30 s.
const CLOCK_AHEAD: i64 = 12_000;
/// How far it may be behind.
const CLOCK_BEHIND: i64 = -3_000;

/// What was found.
#[derive(Default)]
struct Findings {
	bad: u32,
}

impl Findings {
	/// Prints a finding, and hands on what it was about.
	fn note<T>(&mut self, what: &str, result: Result<(T, String)>) -> Option<T> {
		match result {
			Ok((found, text)) => {
				println!("{}", told("ok", what, &text));
				Some(found)
			},
			Err(error) => {
				println!("{}", told("FAIL", what, &format!("{error:#}")));
				self.bad += 1;
				None
			},
		}
	}

	/// Prints what may be good to know, and stops nobody from mining.
	fn remark(&self, what: &str, text: &str) {
		println!("{}", told("note", what, text));
	}
}

/// A finding as it is printed. Names of files and models are in it, and what nodes and libraries say.
fn told(verdict: &str, what: &str, text: &str) -> String {
	format!("{verdict:<5} {}: {}", plain::line(what), plain::text(text))
}

/// Looks at everything; fails if anything is missing.
pub async fn doctor(config: Config) -> Result<()> {
	let mut findings = Findings::default();
	let runtime = machine(&config, &mut findings);
	let models = models(&config, runtime.as_ref(), &mut findings);

	let key = config.key().map(|key| AccountId32::new(key.public_key().0));
	let operator = findings.note("operator key", key.map(|key| (key.clone(), key.to_string())));
	let node = findings.note("node", node(&config).await);
	if let Some(node) = &node {
		findings.note("clock", clock(node).await);
		let on_chain = operator::models(node).await;
		for model in &models {
			let view = on_chain.as_ref().map_err(|e| anyhow!("{e:#}"));
			let view = view.and_then(|all| on_chain_of(model, all));
			let text = view.map(|view| ((), format!("number {}, {:?}", view.model, view.name)));
			findings.note("model on chain", text);
		}
		if let Some(operator) = &operator {
			findings.note("operator's CAI for fees", balance(node, operator).await);
			let view = operator::view(node, operator).await;
			let known = view.as_ref().map_err(|e| anyhow!("{e:#}"));
			let registered = known.and_then(|view| registration(view.as_ref(), operator));
			findings.note("registration", registered.map(|text| ((), text)));
			if let Ok(Some(view)) = &view {
				findings.note("stake", Ok(((), stake(view))));
			}
			let models = on_chain.as_deref().unwrap_or_default();
			draws(obstacles(node, operator).await, models, &mut findings);
		}
	}
	ensure!(findings.bad == 0, "{} of these need attention", findings.bad);
	Ok(())
}

/// ONNX Runtime, what it runs on, the GPUs and the disk.
fn machine(config: &Config, findings: &mut Findings) -> Option<Runtime> {
	let options = config.runtime();
	let library = runtime::locate(options.library.as_deref());
	findings.note("ONNX Runtime", library.map(|l| (l.clone(), l.to_string())).map_err(Into::into));
	let loaded = Runtime::load(&options);
	let loaded = loaded.map(|r| (r.clone(), r.provider().to_string()));
	let runtime = findings.note("models run on", loaded.map_err(Into::into));
	if let Some(runtime) = &runtime {
		others(config, runtime, findings);
	}
	match Gpus::open().and_then(|gpus| gpus.facts()) {
		Ok(facts) => {
			let versions = format!("driver {}, CUDA {}", facts.driver, facts.cuda);
			findings.note("NVIDIA", Ok(((), versions)));
			for gpu in &facts.gpus {
				findings.remark(&format!("GPU {}", gpu.index), &gpu.to_string());
			}
		},
		// Whether it matters was said above: ONNX Runtime can do without, and so can the CPU.
		Err(error) => findings.remark("GPUs", &error.to_string()),
	}
	findings.note("disk", disk(&config.data_dir));
	runtime
}

/// The devices beside the first, on which models are to run as well.
fn others(config: &Config, runtime: &Runtime, findings: &mut Findings) {
	if !matches!(runtime.provider(), Provider::Cuda { .. }) {
		return;
	}
	for device in config.devices.iter().skip(1) {
		let provider = Provider::Cuda { device: *device };
		let usable = runtime.varied(provider, Optimization::All).builder();
		let usable = usable.map(|_| ((), provider.to_string())).map_err(Into::into);
		findings.note("models run on", usable);
	}
}

/// The models that are served: their files, and who runs their nodes.
fn models(config: &Config, runtime: Option<&Runtime>, findings: &mut Findings) -> Vec<Model> {
	let mut models = Vec::new();
	for dir in &config.model_dir {
		let model = Model::verify(dir).map_err(anyhow::Error::from);
		let text = |model: &Model| format!("{:?}, manifest {:?}", model.kind(), model.manifest());
		let what = format!("model in {}", dir.display());
		models.extend(findings.note(&what, model.map(|model| (model.clone(), text(&model)))));
	}
	if config.model_dir.is_empty() {
		let none: Result<((), String)> = Err(anyhow!(
			"none; name a folder with --model-dir, `miner-client models pull` fetches one"
		));
		findings.note("models", none);
	}
	// Without ONNX Runtime nobody can say.
	if let Some(runtime) = runtime {
		for (file, path) in models.iter().flat_map(Model::graphs) {
			findings.note(&format!("nodes of {file}"), nodes(runtime, path));
		}
	}
	models
}

/// Who runs the nodes of a graph. Some on the CPU are as it should be: those that work on shapes.
fn nodes(runtime: &Runtime, file: &Path) -> Result<((), String)> {
	let nodes = assignment::nodes(runtime, file)?;
	if matches!(runtime.provider(), Provider::Cuda { .. }) {
		ensure!(
			nodes.contains_key("CUDA"),
			"CUDA runs none of them ({}): the model would run on the CPU alone; export it in types and operators that CUDA has",
			assignment::in_words(&nodes)
		);
	}
	Ok(((), assignment::in_words(&nodes)))
}

/// The disk that the data folder is on, or will be.
fn disk(data_dir: &Path) -> Result<((), String)> {
	let folder = data_dir.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
	let failed = || format!("cannot use {} for the data folder", folder.display());
	access(folder, Access::WRITE_OK).with_context(failed)?;
	let found = statvfs(folder).with_context(failed)?;
	let free = found.f_bavail.saturating_mul(found.f_frsize);
	ensure!(
		free >= LEAST_DISK,
		"{} has {} free, {} are needed: a result that cannot be written down cannot be promised",
		folder.display(),
		DecimalBytes(free),
		DecimalBytes(LEAST_DISK)
	);
	Ok(((), format!("{} free for {}", DecimalBytes(free), data_dir.display())))
}

/// The node. One that still syncs is refused before anything is asked of it.
async fn node(config: &Config) -> Result<(Node, String)> {
	let node = config.connect().await?;
	let (best, _) = node.best_block().await?;
	let (finalized, _) = node.finalized_block().await?;
	let genesis = node.genesis();
	let text = format!(
		"{}, genesis {genesis:?}, not syncing, block {best}, finalised {finalized}",
		node.url()
	);
	Ok((node, text))
}

/// Waits for a new block and puts its time beside this machine's.
async fn clock(node: &Node) -> Result<((), String)> {
	let (before, _) = node.best_block().await?;
	let fresh = async {
		loop {
			sleep(LOOK).await;
			let (number, _) = node.best_block().await?;
			if number > before {
				break Ok::<_, NodeError>((number, SystemTime::now()));
			}
		}
	};
	let late = || {
		format!(
			"no new block in {} s: the chain stands still, or the node has no peers; then nothing can be promised or shown in time",
			NEW_BLOCK.as_secs()
		)
	};
	let (number, now) = timeout(NEW_BLOCK, fresh).await.with_context(late)??;
	let failed = |error: &dyn std::fmt::Display| anyhow!("block {number} tells no time: {error}");
	let at = node.subxt().await?.at_block(number).await.map_err(|e| failed(&e))?;
	let stamp = at.storage().fetch(("Timestamp", "Now"), Vec::new()).await;
	let stamp: u64 = stamp.map_err(|e| failed(&e))?.decode_as().map_err(|e| failed(&e))?;
	let now = now.duration_since(UNIX_EPOCH).context("this machine's clock stands before 1970")?;
	Ok(((), compare(u64::try_from(now.as_millis())?, stamp)?))
}

/// Whether the clock is right, by a block that has just come. Both times in milliseconds.
fn compare(now: u64, stamp: u64) -> Result<String> {
	let off = i64::try_from(now)?.saturating_sub(i64::try_from(stamp)?);
	let seconds = off.unsigned_abs() as f64 / 1e3;
	if off > CLOCK_AHEAD {
		bail!(
			"this machine's clock is {seconds:.1} s ahead of the newest block: set it by NTP (`timedatectl`), or coordinators refuse its requests"
		);
	}
	if off < CLOCK_BEHIND {
		bail!(
			"this machine's clock is {seconds:.1} s behind the newest block: set it by NTP (`timedatectl`), or coordinators refuse its requests"
		);
	}
	let side = if off < 0 { "before" } else { "after" };
	Ok(format!("the newest block came {seconds:.1} s {side} its time"))
}

async fn balance(node: &Node, operator: &AccountId32) -> Result<((), String)> {
	let free = node.free_balance(operator).await?;
	if free == 0 {
		bail!("none; send it a few, every commit and reveal is a transaction");
	}
	Ok(((), format!("{} CAI", format_cai(free))))
}

fn registration(view: Option<&OperatorView>, operator: &AccountId32) -> Result<String> {
	operator::check(view, operator)?;
	let view = view.context("there is no pool")?;
	let online = match view.free_slots {
		Some(free) => format!("online with {free} free slots"),
		None => "offline, `miner-client run` takes it online".into(),
	};
	Ok(format!("pool of {} with {} CAI, {online}", view.owner, format_cai(view.tokens)))
}

/// The stake behind the miner: what it can be slashed for, and what it is drawn by.
fn stake(view: &OperatorView) -> String {
	let (own, votes) = (view.own, view.tokens.saturating_sub(view.own));
	format!("{} CAI of the owner's own, {} CAI of voters", format_cai(own), format_cai(votes))
}

/// How likely the operator is to be drawn, or why it is not. What is its owner's to put right was found wrong above; the rest `run` and time put right.
fn draws(all: Result<Vec<Obstacle>>, models: &[ModelView], findings: &mut Findings) {
	let all = match all {
		Ok(all) => all,
		Err(error) => {
			findings.note::<()>("draws", Err(error));
			return;
		},
	};
	for obstacle in &all {
		let text = explain(obstacle, models);
		if matches!(obstacle, Obstacle::InDraw { .. }) {
			findings.note("draws", Ok(((), text)));
		} else {
			findings.remark("not drawn", &text);
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_clock_that_is_off_is_found_on_either_side() {
		let block: u64 = 1_800_000_000_000;
		let off = |by: i64| compare(block.saturating_add_signed(by), block);
		assert!(off(400).unwrap().contains("0.4 s after"));
		assert!(off(-400).unwrap().contains("0.4 s before"));
		assert!(off(9_000).is_ok());
		assert!(off(60_000).unwrap_err().to_string().contains("60.0 s ahead"));
		assert!(off(-60_000).unwrap_err().to_string().contains("60.0 s behind"));
		assert!(compare(0, u64::MAX).is_err());
	}

	#[test]
	fn a_folder_that_does_not_exist_yet_is_on_some_disk() {
		let dir = tempfile::tempdir().unwrap();
		let found = disk(&dir.path().join("a/b"));
		// Where the disk is full this is the other answer, which names it too.
		let text = found.map_or_else(|error| error.to_string(), |((), text)| text);
		assert!(
			text.contains("free") && text.contains(&dir.path().display().to_string()),
			"{text}"
		);
		let (later, here) = (disk(Path::new("nowhere/at/all")), disk(Path::new(".")));
		assert_eq!(later.is_ok(), here.is_ok());
	}

	#[test]
	fn a_finding_does_nothing_to_the_terminal() {
		assert_eq!(told("ok", "disk", "10 GB free"), "ok    disk: 10 GB free");
		let told = told("FAIL", "nodes of a\u{1b}[2J.onnx", "no\u{202e}\nsuch file");
		assert_eq!(told, "FAIL  nodes of a\u{fffd}[2J.onnx: no\u{fffd}\nsuch file");
	}

	#[test]
	fn what_is_in_the_way_of_draws_is_no_fault_of_its_own() {
		let mut findings = Findings::default();
		let draw = Obstacle::InDraw { model: None, weight: 1, total: 2 };
		draws(Ok(vec![Obstacle::Offline, draw]), &[], &mut findings);
		assert_eq!(findings.bad, 0);
		draws(Err(anyhow!("the node is gone")), &[], &mut findings);
		assert_eq!(findings.bad, 1);
	}

	#[test]
	fn a_registration_is_one_line_or_says_what_to_do() {
		let operator = AccountId32::new([2; 32]);
		let error = registration(None, &operator).unwrap_err().to_string();
		assert!(error.contains("miner-client register"), "{error}");
	}
}
