//! `miner-client run`: puts the parts together.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use anyhow::{bail, ensure, Context, Result};
use cuckoo_client::{calls, cli::LogFormat, plain, Node, Outbox, Signer};
use cuckoo_primitives::{tolerance::Tolerance, views::ModelView, ModelId};
use sp_core::crypto::AccountId32;
use tokio::{sync::watch, time::timeout};

use crate::{
	config::Config,
	gpu::Gpus,
	http::Coordinators,
	journal::{self, Journal},
	metrics,
	miner::Miner,
	model::Model,
	notify::{self, Doing},
	operator::{self, Presence},
	seats,
	server::{self, Report, Status},
	stats::Stats,
	stop::{self, Stop},
	table,
	work::{Limits, Tools},
	worker::{protocol::Batch, Served, Workers},
};

/// How long going offline may hold up the end of the program.
const FAREWELL: Duration = Duration::from_secs(30);

/// How long to mine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
	/// Until told to stop.
	Stopped,
	/// Until the first task is done.
	FirstTask,
	/// Not at all: only whether everything is there.
	Ready,
}

/// Mines.
pub async fn run(config: Config, log_format: LogFormat, until: Until) -> Result<()> {
	ensure!(!config.model_dir.is_empty(), "no model to serve: name its folder with --model-dir");
	let key = config.key()?;
	let prometheus = metrics::install()?;
	let (stopper, stop) = stop::signals()?;
	let account = AccountId32::new(key.public_key().0);
	let stats = Arc::new(Stats::new(&config.devices));
	let known = Report {
		version: env!("CARGO_PKG_VERSION"),
		operator: account.to_string(),
		..Report::default()
	};
	let status = Arc::new(Status::new(known, stats.clone()));
	let machine = Machine::begin(&config, log_format, &status).await;
	// What is wrong here is told at once, unless there may be promises to keep.
	let machine = match machine {
		Err(error) if !has_journal(&config.data_dir, &account) => return Err(error),
		machine => machine,
	};

	let node = config.connect().await?;
	let genesis = node.genesis();
	let coordinators = Coordinators::new(key.clone(), genesis).context("cannot use HTTP")?;
	tracing::info!(operator = %account, url = node.url(), ?genesis, "connected");
	status.set_known(|report| {
		(report.genesis, report.node) = (format!("{genesis:?}"), node.url());
	});
	// A folder of its own for each chain and key: promises must not get mixed up.
	let chain = hex::encode(&genesis.as_bytes()[..4]);
	let folder = config.data_dir.join(format!("{chain}-{account}"));
	let journal = Arc::new(Journal::open(&folder)?);
	tracing::info!(folder = %folder.display(), "journal");
	// After the journal, which says what to do where another miner has both.
	if until != Until::Ready {
		server::serve(config.listen, status.clone(), prometheus).await?;
	}
	let outbox = (until != Until::Ready).then(|| journal.clone() as Arc<dyn Outbox>);
	let signer = Signer::start_with(node.clone(), key, outbox).await?;

	let view = operator::view(&node, &account).await?;
	let owner = view.as_ref().map_or_else(|| account.clone(), |view| view.owner.clone());
	let prepared = match (operator::check(view.as_ref(), &account), machine) {
		(Ok(_), Ok(machine)) => prepare(machine, &node, config.batch).await,
		(Err(error), _) | (_, Err(error)) => Err(error),
	};
	// To show what was promised takes no model and no GPU, and not to show it costs more than to miss a task: so that comes first, and then the end.
	let owed = journal.records()?.len();
	let (Prepared { workers, served, names }, failed) = match prepared {
		Ok(prepared) => (prepared, None),
		Err(error) if owed > 0 && until != Until::Ready => {
			let why = format!("{error:#}");
			tracing::error!(why, owed, "no new work can be taken; finishing what was promised");
			stopper.drain();
			(Prepared::nothing(stats), Some(error))
		},
		Err(error) => return Err(error),
	};
	let ids: Vec<ModelId> = served.keys().copied().collect();
	let (of_node, of_signer) = (node.clone(), signer.clone());
	let presence = Presence::new(of_node, of_signer, workers.clone(), ids, config.slots)?;
	if until == Until::Ready {
		tracing::info!("everything is there; without --dry-run it would go online now");
		return Ok(());
	}

	status.set_known(|report| report.models = names);
	if let Ok(gpus) = Gpus::open() {
		server::watch_gpus(&status, move |device| Some(gpus.gpu(device.try_into().ok()?)))
			.context("cannot begin a thread that looks at the GPUs")?;
	}
	tokio::spawn(table::tell(status.clone(), table::Place::of(log_format)));
	let tools = Tools {
		signer: signer.clone(),
		coordinators,
		journal: journal.clone(),
		genesis,
		workers,
		models: served,
		limits: Limits::default(),
	};
	let once = (until == Until::FirstTask).then_some(stopper);
	let miner = Miner::new(node.clone(), owner, Arc::new(tools), status.clone(), once)?;

	let (leaving, left) = watch::channel(None);
	let attending = tokio::spawn(presence.attend(journal, status, stop.clone(), leaving));
	let result = miner.run(seats::follow(node, account), stop.clone(), left).await;
	let wanted = *stop.borrow();
	let result = match failed {
		Some(error) => result.and(Err(error)),
		None => result,
	};
	if wanted == Stop::Now {
		return result;
	}
	// Told to stop, it goes offline by itself; after a failure nobody else will do it.
	let gone = match &result {
		Ok(()) => timeout(FAREWELL, attending).await.is_ok(),
		Err(_) => {
			attending.abort();
			matches!(timeout(FAREWELL, signer.submit(calls::go_offline())).await, Ok(Ok(_)))
		},
	};
	if !gone {
		tracing::warn!("could not go offline; `miner-client go-offline` does it");
	}
	result
}

/// What runs models, and the models.
struct Prepared {
	workers: Workers,
	served: BTreeMap<ModelId, Served>,
	names: Vec<(ModelId, String)>,
}

impl Prepared {
	fn nothing(stats: Arc<Stats>) -> Self {
		Self { workers: Workers::none(stats), served: BTreeMap::new(), names: Vec::new() }
	}
}

/// What of this machine is looked at before any node is asked.
struct Machine {
	models: Vec<Model>,
	workers: Workers,
}

impl Machine {
	/// Checks the models' files and begins the workers.
	async fn begin(config: &Config, log_format: LogFormat, status: &Status) -> Result<Self> {
		let models = config.model_dir.iter().map(|dir| (dir.as_path(), verify(dir)));
		let models = usable(models.collect())?;
		let stats = status.stats().clone();
		let workers = Workers::start(config.worker(log_format), &config.devices, stats).await?;
		if let Some(ready) = workers.ready().next().cloned() {
			status.set_known(|report| {
				(report.library, report.provider) = (ready.library, ready.provider);
			});
		}
		Ok(Self { models, workers })
	}
}

/// Opens the models, so that one that cannot be opened is known before work for it is taken.
async fn prepare(machine: Machine, node: &Node, most: u32) -> Result<Prepared> {
	let Machine { models, workers } = machine;
	let on_chain = operator::models(node).await?;
	let known = models.iter().map(|model| (model.dir(), to_serve(model, &on_chain, most)));
	let (known, names): (Vec<Served>, Vec<String>) = usable(known.collect())?.into_iter().unzip();
	let (doing, told) = watch::channel(Doing::new());
	let opened = notify::with_more_time(told, workers.open(&known, &doing)).await;
	let opened = known.iter().zip(names).zip(opened).map(|((model, name), opened)| {
		(model.dir.as_path(), opened.map(|()| (model.clone(), name)))
	});
	let (mut served, mut names) = (BTreeMap::new(), Vec::new());
	for (model, name) in usable(opened.collect())? {
		tracing::info!(model = model.model, name, "ready");
		names.push((model.model, name));
		served.insert(model.model, model);
	}
	Ok(Prepared { workers, served, names })
}

/// How a model is run, by what the chain says of it, and its name there.
fn to_serve(model: &Model, on_chain: &[ModelView], most: u32) -> Result<(Served, String)> {
	let view = on_chain_of(model, on_chain)?;
	let served = Served {
		model: view.model,
		dir: model.dir().to_path_buf(),
		kind: view.kind,
		manifest: model.manifest(),
		reference_ms: view.reference_ms,
		batch: batch(view, most),
	};
	Ok((served, view.name.clone()))
}

/// One of several models that cannot be served is left out, loudly: the others earn without it. Fails if none is left.
fn usable<T>(models: Vec<(&Path, Result<T>)>) -> Result<Vec<T>> {
	let alone = models.len() == 1;
	let mut good = Vec::new();
	for (dir, model) in models {
		match model {
			Ok(model) => good.push(model),
			Err(error) if alone => return Err(error),
			Err(error) => {
				let error = format!("{error:#}");
				tracing::error!(dir = %dir.display(), error, "this model is not served");
			},
		}
	}
	ensure!(!good.is_empty(), "none of the models can be served");
	Ok(good)
}

/// Whether there is a journal of this key, of whatever chain.
fn has_journal(data_dir: &Path, account: &AccountId32) -> bool {
	let folders = fs::read_dir(data_dir).into_iter().flatten().flatten();
	let end = format!("-{account}");
	let of_key =
		|entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(|name| name.ends_with(&end));
	folders.filter(of_key).any(|entry| entry.path().join(journal::FILE).exists())
}

/// How inputs of a model may be run together: not at all where every bit counts.
fn batch(view: &ModelView, most: u32) -> Option<Batch> {
	match view.tolerance {
		Some(Tolerance::Approx { agree, .. }) if most > 1 => Some(Batch { most, agree }),
		_ => None,
	}
}

fn verify(dir: &Path) -> Result<Model> {
	let model = Model::verify(dir).with_context(|| format!("model in {}", dir.display()))?;
	tracing::info!(dir = %dir.display(), manifest = ?model.manifest(), "model's files are right");
	Ok(model)
}

/// The model on chain whose files these are.
pub(crate) fn on_chain_of<'a>(model: &Model, views: &'a [ModelView]) -> Result<&'a ModelView> {
	let (dir, manifest) = (model.dir().display(), model.manifest());
	let mut same = views.iter().filter(|view| model.expect(view.manifest).is_ok());
	if let Some(active) = same.clone().find(|view| view.active) {
		return Ok(active);
	}
	if let Some(view) = same.next() {
		let name = plain::line(&view.name);
		bail!("{dir}: model {} ({name}) is not active on this chain", view.model);
	}
	let known: Vec<String> = views
		.iter()
		.map(|view| format!("{} {} {:?}", view.model, plain::line(&view.name), view.manifest))
		.collect();
	bail!(
		"{dir}: its manifest {manifest:?} is that of no model on this chain, which has: {}",
		known.join(", ")
	);
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::model::tests::folder;
	use cuckoo_primitives::ModelKind;
	use sp_core::H256;

	#[test]
	fn one_model_of_several_may_fail_and_not_all() {
		let dir = Path::new("/models/a");
		let bad = || Err(anyhow::anyhow!("its files are wrong"));
		assert_eq!(usable(vec![(dir, Ok(1)), (dir, bad()), (dir, Ok(3))]).unwrap(), [1, 3]);
		let alone = usable::<u8>(vec![(dir, bad())]).unwrap_err().to_string();
		assert!(alone.contains("files are wrong"), "{alone}");
		assert!(usable::<u8>(vec![(dir, bad()), (dir, bad())]).is_err());
	}

	#[test]
	fn a_journal_is_found_whatever_its_chain() {
		let dir = tempfile::tempdir().unwrap();
		let (own, other) = (AccountId32::new([1; 32]), AccountId32::new([2; 32]));
		assert!(!has_journal(&dir.path().join("nowhere"), &own));
		let folder = dir.path().join(format!("91b171bb-{own}"));
		drop(Journal::open(&folder).unwrap());
		assert!(has_journal(dir.path(), &own) && !has_journal(dir.path(), &other));
	}

	#[test]
	fn a_folder_is_matched_by_its_manifest() {
		let dir = folder(&[("model.onnx", b"graph")]);
		let model = Model::verify(dir.path()).unwrap();
		let view = |id, manifest, active: bool| ModelView {
			model: id,
			name: format!("model {id}"),
			kind: ModelKind::Tensor,
			manifest,
			min_fee: 0,
			work_window: 20,
			tolerance: active.then_some(Tolerance::Exact),
			reference_ms: 1,
			active,
		};
		let other = view(1, H256::zero(), true);
		let old = view(2, model.manifest(), false);
		let new = view(3, model.manifest(), true);
		let all = [other.clone(), old.clone(), new];
		assert_eq!(on_chain_of(&model, &all).unwrap().model, 3);
		let suspended = on_chain_of(&model, &all[..2]).unwrap_err().to_string();
		assert!(suspended.contains("model 2") && suspended.contains("not active"), "{suspended}");
		let unknown = on_chain_of(&model, &all[..1]).unwrap_err().to_string();
		assert!(unknown.contains(&format!("{:?}", model.manifest())), "{unknown}");
		assert!(unknown.contains("1 model 1"), "{unknown}");
	}
}
