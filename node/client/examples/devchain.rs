//! What `scripts/check adversaries` needs of a development chain beside what it does: CAI in more accounts than the chain begins with, and what happened in every block.

use std::{fmt::Display, time::Duration};

use anyhow::{anyhow, Result};
use clap::{Parser, Subcommand};
use cuckoo_client::{
	cli::{parse_cai, KeyArgs, NodeArgs},
	Call, Event, Node, Signer,
};
use cuckoo_primitives::Balance;
use futures::future::try_join_all;
use serde_json::{json, Value as Json};
use sp_core::crypto::AccountId32;
use subxt::{
	dynamic::Value,
	ext::scale_value::{Composite, Primitive, ValueDef},
};
use tokio::time::sleep;

/// How often a new block is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// Works on a development chain.
#[derive(Debug, Parser)]
struct Args {
	#[command(flatten)]
	node: NodeArgs,
	#[command(subcommand)]
	command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
	/// Give CAI to accounts, the same to each.
	Fund {
		/// Whose CAI.
		#[command(flatten)]
		key: KeyArgs,
		/// How much each gets.
		#[arg(long, value_name = "CAI", value_parser = parse_cai)]
		amount: Balance,
		/// Who gets it.
		#[arg(required = true)]
		accounts: Vec<AccountId32>,
	},
	/// Print a line of JSON for each block, from the first one on and for ever: its number and its events.
	Events {
		/// The pallets whose events to print.
		#[arg(required = true)]
		pallets: Vec<String>,
	},
}

#[tokio::main]
async fn main() -> Result<()> {
	let args = Args::parse();
	let node = args.node.connect().await?;
	match args.command {
		Command::Fund { key, amount, accounts } => {
			let signer = Signer::start(node, key.load()?).await?;
			let transfers = accounts.iter().map(|to| signer.submit(transfer(to, amount)));
			for included in try_join_all(transfers).await? {
				println!("in block {}", included.block);
			}
			Ok(())
		},
		Command::Events { pallets } => follow(node, &pallets).await,
	}
}

fn transfer(to: &AccountId32, amount: Balance) -> Call {
	let to = Value::unnamed_variant("Id", [Value::from_bytes(to)]);
	let arguments = [("dest", to), ("value", Value::u128(amount))];
	subxt::dynamic::tx("Balances", "transfer_keep_alive", Composite::named(arguments))
}

/// The best chain of a single author: nothing of it is undone.
async fn follow(node: Node, pallets: &[String]) -> Result<()> {
	let mut next = 1;
	loop {
		let (best, _) = node.best_block().await?;
		while next <= best {
			let failed = |error: &dyn Display| anyhow!("cannot read block {next}: {error}");
			let at = node.subxt().await?.at_block(next).await.map_err(|e| failed(&e))?;
			let events = at.events().fetch().await.map_err(|e| failed(&e))?;
			let mut told = Vec::new();
			for event in events.iter() {
				let event = event.map_err(|e| failed(&e))?;
				if pallets.iter().any(|pallet| pallet == event.pallet_name()) {
					let Event { pallet, variant, fields } =
						Event::decode(&event, at.metadata_ref())?;
					told.push(
						json!({ "pallet": pallet, "event": variant, "fields": composite(&fields) }),
					);
				}
			}
			println!("{}", json!({ "block": next, "events": told }));
			next += 1;
		}
		sleep(LOOK).await;
	}
}

/// A value as JSON: accounts and hashes in hexadecimal, variants by their name.
fn value(value: &Value) -> Json {
	match &value.value {
		ValueDef::Composite(fields) => composite(fields),
		ValueDef::Variant(variant) if variant.values.is_empty() => variant.name.clone().into(),
		ValueDef::Variant(variant) => {
			let fields = (variant.name.clone(), composite(&variant.values));
			Json::Object(std::iter::once(fields).collect())
		},
		ValueDef::Primitive(Primitive::Bool(bool)) => (*bool).into(),
		ValueDef::Primitive(Primitive::String(text)) => text.clone().into(),
		// JSON's numbers end at 2⁵³: amounts are text.
		ValueDef::Primitive(Primitive::U128(number)) => {
			u32::try_from(*number).map_or_else(|_| number.to_string().into(), Json::from)
		},
		ValueDef::Primitive(other) => format!("{other:?}").into(),
		ValueDef::BitSequence(bits) => format!("{bits:?}").into(),
	}
}

fn composite(fields: &Composite<()>) -> Json {
	match fields {
		Composite::Named(fields) => {
			Json::Object(fields.iter().map(|(name, field)| (name.clone(), value(field))).collect())
		},
		Composite::Unnamed(fields) => match (bytes(fields), fields.as_slice()) {
			(Some(bytes), _) => format!("0x{}", hex::encode(bytes)).into(),
			// An account or a hash in its type's wrapping.
			(None, [wrapped]) if is_bytes(wrapped) => value(wrapped),
			(None, fields) => fields.iter().map(value).collect(),
		},
	}
}

fn is_bytes(value: &Value) -> bool {
	matches!(&value.value, ValueDef::Composite(Composite::Unnamed(fields)) if bytes(fields).is_some())
}

/// The 32 bytes that these values are, if they are that.
fn bytes(values: &[Value]) -> Option<Vec<u8>> {
	let byte = |value: &Value| u8::try_from(value.as_u128()?).ok();
	(values.len() == 32).then(|| values.iter().map(byte).collect())?
}
