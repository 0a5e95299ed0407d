//! `cuckoo-node validator`: what a validator's owner and its operator tell the chain.
//!
//! Everything here talks to a running node over RPC; nothing opens its database.

use anyhow::{anyhow, bail, ensure, Context};
use clap::{Args, Subcommand};
use codec::DecodeAll;
use cuckoo_client::{
	calls,
	cli::{
		format_cai, init_logging, KeyArgs, KeyCommand, LogFormat, NodeArgs, RegisterArgs,
		UnregisterArgs,
	},
	Node, Signer,
};
use cuckoo_primitives::{
	views::{Obstacle, OperatorView},
	PoolStatus, Role,
};
use cuckoo_rpc::CuckooApiClient;
use cuckoo_runtime::{AccountId, BlockNumber, Hash, SessionKeys};
use jsonrpsee::{core::ClientError, types::ErrorCode};
use sc_rpc::{
	author::{AuthorApiClient, GeneratedSessionKeys},
	system::{NodeRole, SystemApiClient},
};
use sp_core::Bytes;

const STEPS: &str = "\
From nothing to a validator:
  1. cuckoo-node validator key generate --key-file operator.json
       makes the operator's key and prints its account; send it a few CAI for fees and for the deposit of its session keys.
  2. cuckoo-node validator register --owner-key-file owner.json --operator ACCOUNT --bond 100001 --name \"My validator\"
       stakes the owner's CAI behind that operator, once. More than 100,000 CAI; the owner's key can stay elsewhere.
  3. cuckoo-node --validator --node-key-file node.key --base-path DIR
       the node itself, without any key file of the above; let it catch up with the chain.
  4. cuckoo-node validator set-keys --key-file operator.json
       on the node's machine: makes the keys that it signs blocks with, and registers them.
  5. cuckoo-node validator status ACCOUNT
       says whether it is elected, and if not, why.";

/// Register a validator, set its session keys, look at it, leave.
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = STEPS)]
pub enum ValidatorCommand {
	/// Make, import or look at the operator's key. The keys that blocks are signed with are others, and stay in the node: see `set-keys`.
	#[command(subcommand)]
	Key(KeyCommand),

	/// Stake CAI and register a validator with its operator account.
	Register(RegisterArgs),

	/// Make new session keys in the validator's own node, and register them with their proof of possession. Also changes them.
	///
	/// They count from the session after next; the old ones are needed until then, and both are in the node.
	SetKeys(SetKeysArgs),

	/// Take the session keys away, once the validator is not elected any more: its owner calls stake.chill, and its node runs until the session after next.
	PurgeKeys(PurgeKeysArgs),

	/// Leave for good, after `purge-keys`: the owner's stake starts its waiting time.
	Unregister(UnregisterArgs),

	/// Say what a validator has at stake, whether it is elected, and if not, why.
	Status(StatusArgs),
}

/// Make or take session keys, and register them.
#[derive(Args, Clone, Debug)]
pub struct SetKeysArgs {
	/// The validator's own node: its keys are made there.
	#[command(flatten)]
	node: NodeArgs,
	/// Who registers them.
	#[command(flatten)]
	key: KeyArgs,
	/// Keys that were made before with `author_rotateKeysWithOwner` for the operator's account, for an operator whose key is on another machine than its node. Then
	/// --node-url can be any node.
	#[arg(long, value_name = "HEX", requires = "proof")]
	keys: Option<Bytes>,
	/// Their proof of possession.
	#[arg(long, value_name = "HEX", requires = "keys")]
	proof: Option<Bytes>,
}

/// Take session keys away.
#[derive(Args, Clone, Debug)]
pub struct PurgeKeysArgs {
	/// Which node to send it to.
	#[command(flatten)]
	node: NodeArgs,
	/// Whose.
	#[command(flatten)]
	key: KeyArgs,
}

/// Look at a validator.
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
	/// The operator's account, or the owner's.
	#[arg(value_name = "ACCOUNT")]
	account: AccountId,
	/// Which node to ask.
	#[command(flatten)]
	node: NodeArgs,
}

impl ValidatorCommand {
	/// Does it.
	pub fn run(self) -> anyhow::Result<()> {
		init_logging(LogFormat::Text);
		let runtime =
			tokio::runtime::Runtime::new().context("cannot start the program's threads")?;
		runtime.block_on(async {
			match self {
				Self::Key(command) => command.run(),
				Self::Register(args) => args.run(Role::Validator).await,
				Self::SetKeys(args) => set_keys(args).await,
				Self::PurgeKeys(args) => purge_keys(args).await,
				Self::Unregister(args) => args.run().await,
				Self::Status(args) => status(args).await,
			}
		})
	}
}

async fn set_keys(args: SetKeysArgs) -> anyhow::Result<()> {
	let key = args.key.load()?;
	let account = AccountId::new(key.public_key().0);
	let node = args.node.connect().await?;
	let view = node.rpc().await?.operator(account.clone(), None).await?;
	let view = admit(view, &account)?;
	let (keys, proof) = match (args.keys, args.proof) {
		(Some(keys), Some(proof)) => (keys, proof),
		_ => {
			ensure!(
				args.node.node_urls.len() == 1,
				"give one --node-url, that of the validator's own node: its keys are made there"
			);
			make_keys(&node, &account).await?
		},
	};
	let SessionKeys { babe, grandpa } = SessionKeys::decode_all(&mut &keys[..])
		.context("these are not the session keys of this chain: is the node of another version?")?;
	let signer = Signer::start(node, key).await?;
	let included = signer.submit(calls::set_keys(&babe, &grandpa, &*proof)).await?;
	println!(
		"session keys of owner {} set in block {}, from the session after next on: babe {}, grandpa {}",
		view.owner,
		included.block,
		hex(&babe),
		hex(&grandpa),
	);
	Ok(())
}

/// Makes new keys in the node, and with each of them a signature of the operator's account.
async fn make_keys(node: &Node, operator: &AccountId) -> anyhow::Result<(Bytes, Bytes)> {
	// One client for both questions, or the second could go to another node.
	let rpc = node.rpc().await?;
	let roles = SystemApiClient::<Hash, BlockNumber>::system_node_roles(&*rpc).await?;
	ensure!(
		roles.contains(&NodeRole::Authority),
		"the node at {} makes no blocks: start it with --validator",
		node.url(),
	);
	let owner = Bytes(AsRef::<[u8]>::as_ref(operator).to_vec());
	let made = AuthorApiClient::<Hash, Hash>::rotate_keys_with_owner(&*rpc, owner).await;
	let GeneratedSessionKeys { keys, proof } = made.map_err(|why| explain(why, &node.url()))?;
	Ok((keys, proof.context("the node makes keys without a proof of possession: it is too old")?))
}

/// A node makes keys for nobody who could be anybody.
fn explain(why: ClientError, url: &str) -> anyhow::Error {
	match &why {
		ClientError::Call(answer) if answer.code() == ErrorCode::MethodNotFound.code() => anyhow!(
			"the node at {url} makes session keys only for its own machine ({}): run this there, and the node without --rpc-external; \
			 or have them made there and give them by --keys and --proof",
			answer.message(),
		),
		_ => anyhow!(why).context(format!("the node at {url} makes no session keys")),
	}
}

/// The pool of a validator's operator, or what to do so that there is one.
fn admit(view: Option<OperatorView>, account: &AccountId) -> anyhow::Result<OperatorView> {
	let Some(view) = view else {
		bail!(
			"{account} is nobody's operator: the owner registers it with \
			 `cuckoo-node validator register --operator {account}`"
		);
	};
	ensure!(
		view.operator == *account,
		"{account} is an owner; the session keys are set with the key of its operator, {}",
		view.operator,
	);
	ensure!(
		view.role == Role::Validator,
		"{account} is registered as a {:?}: a validator needs an owner and an operator of its own",
		view.role,
	);
	Ok(view)
}

async fn purge_keys(args: PurgeKeysArgs) -> anyhow::Result<()> {
	let key = args.key.load()?;
	let signer = Signer::start(args.node.connect().await?, key).await?;
	let included = signer.submit(calls::purge_keys()).await?;
	println!(
		"session keys of operator {} taken away in block {}: its node is not needed any more",
		signer.account(),
		included.block,
	);
	Ok(())
}

async fn status(args: StatusArgs) -> anyhow::Result<()> {
	let account = args.account;
	let rpc = args.node.connect().await?.rpc().await?;
	let Some(view) = rpc.operator(account.clone(), None).await? else {
		bail!("{account} neither owns nor operates a pool");
	};
	ensure!(view.role == Role::Validator, "{account} is registered as a {:?}", view.role);
	let obstacles = rpc.obstacles(account, None).await?;
	println!("owner:    {}", view.owner);
	println!("operator: {}", view.operator);
	println!(
		"pool:     {} CAI, of which {} its own",
		format_cai(view.tokens),
		format_cai(view.own)
	);
	println!("status:   {}", standing(view.status));
	println!("elected:  {}", if view.elected { "yes" } else { "no" });
	for slash in view.slashes {
		println!(
			"slashed:  {} CAI in block {} for {:?}",
			format_cai(slash.amount),
			slash.block,
			slash.reason,
		);
	}
	for obstacle in obstacles {
		println!("obstacle: {}", advice(&obstacle));
	}
	Ok(())
}

fn standing(status: PoolStatus) -> String {
	match status {
		PoolStatus::Open => "open".into(),
		PoolStatus::Chilled => "taken out by its owner".into(),
		PoolStatus::Jailed { until } => format!("jailed until era {until}"),
		PoolStatus::Retired { era } => format!("left in era {era}"),
	}
}

/// What is in a validator's way, and what to do about it.
fn advice(obstacle: &Obstacle) -> String {
	match obstacle {
		Obstacle::Chilled => "its owner took it out; Stake.unjail brings it back".into(),
		Obstacle::Jailed { until } => {
			format!("it was slashed; from era {until} on its owner can call Stake.unjail")
		},
		Obstacle::Retired => "its owner has left".into(),
		Obstacle::BondTooSmall { own, minimum } => format!(
			"its owner's bond is {} CAI and must be more than {}; Stake.vote for itself adds to it",
			format_cai(*own),
			format_cai(*minimum),
		),
		Obstacle::NoSessionKeys => {
			"it has no session keys; `cuckoo-node validator set-keys` makes and registers them"
				.into()
		},
		Obstacle::NotElected => {
			"it is not elected yet, or others outweigh it; the next election is within ten minutes"
				.into()
		},
		// Those of other roles.
		other => format!("{other:?}"),
	}
}

fn hex(key: impl AsRef<[u8]>) -> String {
	sp_core::bytes::to_hex(key.as_ref(), false)
}

#[cfg(test)]
mod tests {
	use super::*;
	use clap::{Command, FromArgMatches};
	use cuckoo_primitives::views::IntroView;
	use jsonrpsee::types::ErrorObject;

	fn parse(line: &str) -> Result<ValidatorCommand, clap::Error> {
		let command = ValidatorCommand::augment_subcommands(Command::new("validator"));
		let matches = command.try_get_matches_from(line.split(' '))?;
		ValidatorCommand::from_arg_matches(&matches)
	}

	fn view(role: Role) -> OperatorView {
		OperatorView {
			owner: AccountId::new([1; 32]),
			operator: AccountId::new([2; 32]),
			role,
			tokens: 0,
			own: 0,
			commission: 0,
			commission_raise: None,
			status: PoolStatus::Open,
			active: true,
			elected: false,
			slashes: Vec::new(),
			free_slots: None,
			intro: IntroView::default(),
		}
	}

	#[test]
	fn the_command_line_is_sound() {
		ValidatorCommand::augment_subcommands(Command::new("validator")).debug_assert();
	}

	#[test]
	fn keys_come_with_their_proof_or_not_at_all() {
		let set = "validator set-keys --key-file operator.json";
		let Ok(ValidatorCommand::SetKeys(args)) = parse(set) else { panic!("it can be parsed") };
		assert!(args.keys.is_none() && args.proof.is_none());
		assert!(parse(&format!("{set} --keys 0x01")).is_err());
		assert!(parse(&format!("{set} --proof 0x01")).is_err());
		assert!(parse(&format!("{set} --keys 0x01 --proof zz")).is_err());
		let both = parse(&format!("{set} --keys 0x01 --proof 0x0203"));
		let Ok(ValidatorCommand::SetKeys(args)) = both else { panic!("it can be parsed") };
		assert_eq!(args.proof, Some(Bytes(vec![2, 3])));
	}

	#[test]
	fn whoever_is_no_validators_operator_is_told_what_to_do() {
		let account = AccountId::new([2; 32]);
		let told = |view, account| admit(view, account).map_err(|why| why.to_string());
		assert!(told(Some(view(Role::Validator)), &account).is_ok());
		let why = told(None, &account).expect_err("nobody's");
		assert!(why.contains(&format!("validator register --operator {account}")), "{why}");
		let why = told(Some(view(Role::Miner)), &account).expect_err("a miner's");
		assert!(why.contains("Miner"), "{why}");
		let owner = AccountId::new([1; 32]);
		let why = told(Some(view(Role::Validator)), &owner).expect_err("the owner");
		assert!(why.contains(&account.to_string()), "{why}");
	}

	#[test]
	fn a_node_that_trusts_nobody_is_explained() {
		let unsafe_call = "RPC call is unsafe to be called externally";
		let refused = ErrorObject::owned(ErrorCode::MethodNotFound.code(), unsafe_call, None::<()>);
		let why = explain(ClientError::Call(refused), "ws://node:9944").to_string();
		assert!(why.contains("ws://node:9944") && why.contains("its own machine"), "{why}");
		let other = explain(ClientError::RequestTimeout, "ws://node:9944");
		assert!(!other.to_string().contains("its own machine"));
	}

	#[test]
	fn every_obstacle_of_a_validator_comes_with_advice() {
		assert!(advice(&Obstacle::NoSessionKeys).contains("set-keys"));
		let small = Obstacle::BondTooSmall { own: 0, minimum: cuckoo_primitives::CAI };
		assert!(advice(&small).contains("more than 1;"));
	}
}
