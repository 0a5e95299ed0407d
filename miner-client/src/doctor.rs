//! `miner-client doctor`: looks at everything that mining needs, in the order in which it is needed.

use anyhow::{bail, ensure, Context, Result};
use cuckoo_client::{cli::format_cai, Node};
use sp_core::crypto::AccountId32;

use crate::{
	config::Config,
	model::Model,
	operator,
	run::on_chain_of,
	runtime::{self, Runtime},
};

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
				println!("ok    {what}: {text}");
				Some(found)
			},
			Err(error) => {
				println!("FAIL  {what}: {error:#}");
				self.bad += 1;
				None
			},
		}
	}
}

/// Looks at everything; fails if anything is missing.
pub async fn doctor(config: Config) -> Result<()> {
	let mut findings = Findings::default();
	let library = runtime::locate(config.runtime().library.as_deref());
	findings.note("ONNX Runtime", library.map(|l| (l.clone(), l.to_string())).map_err(Into::into));
	let loaded = Runtime::load(&config.runtime());
	let loaded = loaded.map(|r| (r.provider(), r.provider().to_string()));
	findings.note("models run on", loaded.map_err(Into::into));

	let mut models = Vec::new();
	for dir in &config.model_dir {
		let model = Model::verify(dir).map_err(anyhow::Error::from);
		let text = |model: &Model| format!("{:?}, manifest {:?}", model.kind(), model.manifest());
		let what = format!("model in {}", dir.display());
		models.extend(findings.note(&what, model.map(|model| (model.clone(), text(&model)))));
	}
	if config.model_dir.is_empty() {
		let none: Result<((), String)> =
			Err(anyhow::anyhow!("none; name a folder with --model-dir"));
		findings.note("models", none);
	}

	let key = config.key().map(|key| AccountId32::new(key.public_key().0));
	let operator = findings.note("operator key", key.map(|key| (key.clone(), key.to_string())));
	let node = findings.note("node", node(&config).await);
	if let Some(node) = &node {
		let on_chain = operator::models(node).await;
		for model in &models {
			let view = on_chain.as_ref().map_err(|e| anyhow::anyhow!("{e:#}"));
			let view = view.and_then(|all| on_chain_of(model, all));
			let text = view.map(|view| ((), format!("number {}, {:?}", view.model, view.name)));
			findings.note("model on chain", text);
		}
		if let Some(operator) = &operator {
			findings.note("operator's CAI for fees", balance(node, operator).await);
			findings.note("registration", registration(node, operator).await);
		}
	}
	ensure!(findings.bad == 0, "{} of these need attention", findings.bad);
	Ok(())
}

async fn node(config: &Config) -> Result<(Node, String)> {
	let node = config.connect().await?;
	let (best, _) = node.best_block().await?;
	let (finalized, _) = node.finalized_block().await?;
	let genesis = node.genesis();
	let text = format!("{}, genesis {genesis:?}, block {best}, finalised {finalized}", node.url());
	Ok((node, text))
}

async fn balance(node: &Node, operator: &AccountId32) -> Result<((), String)> {
	let free = node.free_balance(operator).await?;
	if free == 0 {
		bail!("none; send it a few, every commit and reveal is a transaction");
	}
	Ok(((), format!("{} CAI", format_cai(free))))
}

async fn registration(node: &Node, operator: &AccountId32) -> Result<((), String)> {
	let view = operator::view(node, operator).await?;
	operator::check(view.as_ref(), operator)?;
	let view = view.context("the pool has just gone")?;
	let online = match view.free_slots {
		Some(free) => format!("online with {free} free slots"),
		None => "offline, `miner-client run` takes it online".into(),
	};
	let (tokens, owner) = (format_cai(view.tokens), view.owner);
	Ok(((), format!("pool of {owner} with {tokens} CAI, {online}")))
}
