//! What must hold of every set; run after every test.

use crate::{
	pallet::{Config, MemberAt, Nodes, Pallet, PositionOf, Sets},
	types::{levels, place},
};
use frame_support::ensure;
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// 1. positions and members map one to one, without gaps;
	/// 2. a node's total is what its parent holds for it, the root's is the set's;
	/// 3. no node, member or position lies outside its set.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		let mut nodes = 0;
		let mut members = 0;
		for (set, info) in Sets::<T>::iter() {
			ensure!(info.len > 0, "an empty set is stored");
			let height = levels(info.len);
			for position in 0..info.len {
				let member = MemberAt::<T>::get(&set, position).ok_or("a position is empty")?;
				ensure!(
					PositionOf::<T>::get(&set, &member) == Some(position),
					"a member is not where its position says"
				);
			}
			members += info.len as usize;
			for level in 0..height {
				let (last, _) = place(info.len - 1, level);
				nodes += last as usize + 1;
				for index in 0..=last {
					let total = Nodes::<T>::get(&set, (level, index))
						.ok_or("a node is missing")?
						.total()
						.ok_or("a node overflows")?;
					let above = if level + 1 == height {
						info.total
					} else {
						Nodes::<T>::get(&set, (level + 1, index / crate::FANOUT))
							.ok_or("a node is missing")?
							.0[(index % crate::FANOUT) as usize]
					};
					ensure!(total == above, "a total is not the sum below it");
				}
			}
		}
		ensure!(Nodes::<T>::iter_keys().count() == nodes, "a node belongs to no set");
		ensure!(MemberAt::<T>::iter_keys().count() == members, "a member belongs to no set");
		ensure!(PositionOf::<T>::iter_keys().count() == members, "a position belongs to no set");
		Ok(())
	}
}
