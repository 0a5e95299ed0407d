//! How calls come on chain: at once, after all others of the block, or as the network pleases.

use super::Fuzz;
use crate::mock::*;
use frame_support::traits::GetCallMetadata;
use sp_runtime::{traits::Dispatchable, AccountId32};

pub type TaskCall = crate::Call<Test>;
pub type StakeCall = pallet_stake::Call<Test>;
pub type ModelCall = pallet_models::Call<Test>;

/// A call on its way.
#[derive(Clone, Debug)]
pub struct Sent {
	/// Who signed it; root, if nobody has.
	pub by: Option<AccountId32>,
	pub call: RuntimeCall,
	/// Whether it comes after all others of its block.
	pub last: bool,
}

impl Fuzz {
	fn queue(&mut self, delay: u64, sent: Sent) {
		self.queue.entry(self.block + delay as u32).or_default().push(sent);
	}

	/// Comes in this block.
	pub fn send(&mut self, by: AccountId32, call: impl Into<RuntimeCall>) {
		self.queue(0, Sent { by: Some(by), call: call.into(), last: false });
	}

	/// Comes in this block, after what others send.
	pub fn send_last(&mut self, by: AccountId32, call: impl Into<RuntimeCall>) {
		self.queue(0, Sent { by: Some(by), call: call.into(), last: true });
	}

	pub fn send_as_root(&mut self, call: impl Into<RuntimeCall>) {
		self.queue(0, Sent { by: None, call: call.into(), last: false });
	}

	/// Comes late, twice or never, and out of order.
	pub fn send_loosely(&mut self, by: AccountId32, call: impl Into<RuntimeCall>) {
		let sent = Sent { by: Some(by), call: call.into(), last: false };
		if self.random.chance(4) {
			let delay = 1 + self.random.below(25);
			self.queue(delay, sent.clone());
		}
		let delay = match self.random.below(40) {
			0 => return,
			1 => self.random.below(40),
			2..=7 => self.random.below(4),
			_ => 0,
		};
		self.queue(delay, sent);
	}

	/// All that has come by this block, in any order.
	pub fn deliver(&mut self) {
		let later = self.queue.split_off(&(self.block + 1));
		let due = std::mem::replace(&mut self.queue, later);
		let mut calls: Vec<Sent> = due.into_values().flatten().collect();
		for place in (1..calls.len()).rev() {
			let other = self.random.index(place + 1);
			calls.swap(place, other);
		}
		calls.sort_by_key(|sent| sent.last);
		for sent in calls {
			self.dispatch(sent);
		}
	}

	fn dispatch(&mut self, sent: Sent) {
		let name = sent.call.get_call_metadata();
		let origin = sent.by.clone().map_or_else(RuntimeOrigin::root, RuntimeOrigin::signed);
		self.sent.push(sent.clone());
		let refused = sent.call.clone().dispatch(origin).err().map(|wrong| wrong.error);
		if let (None, Some(payer), RuntimeCall::Tasks(TaskCall::post { items, fee, .. })) =
			(refused, &sent.by, &sent.call)
		{
			let id = crate::NextTask::<Test>::get() - 1;
			self.model.posted(id, payer.clone(), *items, *fee);
		}
		self.tally.count(name, refused);
	}
}
