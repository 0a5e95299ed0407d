//! Insert, update, remove: each walks once from a leaf to the root.

use crate::{
	pallet::{Config, Error, MemberAt, Nodes, Pallet, PositionOf, Sets},
	types::{levels, place, Node, SetInfo, FANOUT},
};
use alloc::vec::Vec;
use cuckoo_primitives::traits::WeightedSets;
use frame_support::{dispatch::DispatchResult, ensure};

impl<T: Config> WeightedSets<T::SetId, T::Member> for Pallet<T> {
	fn insert(set: &T::SetId, member: &T::Member, weight: u128) -> DispatchResult {
		ensure!(!PositionOf::<T>::contains_key(set, member), Error::<T>::AlreadyMember);
		let SetInfo { len, total } = Sets::<T>::get(set).unwrap_or(SetInfo { len: 0, total: 0 });
		let info = SetInfo {
			len: len.checked_add(1).ok_or(Error::<T>::Overflow)?,
			total: total.checked_add(weight).ok_or(Error::<T>::Overflow)?,
		};
		let (old, new) = (levels(len), levels(info.len));
		if new > old {
			// The tree grows at the top: its old root becomes the first child of the new one.
			let mut root = Node::default();
			root.0[0] = total;
			Nodes::<T>::insert(set, (new - 1, 0), root);
		}
		Self::write_weight(set, len, new, weight)?;
		MemberAt::<T>::insert(set, len, member);
		PositionOf::<T>::insert(set, member, len);
		Sets::<T>::insert(set, info);
		Ok(())
	}

	fn update(set: &T::SetId, member: &T::Member, weight: u128) -> DispatchResult {
		let position = PositionOf::<T>::get(set, member).ok_or(Error::<T>::NotMember)?;
		let mut info = Sets::<T>::get(set).ok_or(Error::<T>::Corrupt)?;
		let old = Self::weight_at(set, position);
		info.total = info
			.total
			.checked_sub(old)
			.ok_or(Error::<T>::Corrupt)?
			.checked_add(weight)
			.ok_or(Error::<T>::Overflow)?;
		Self::write_weight(set, position, levels(info.len), weight)?;
		Sets::<T>::insert(set, info);
		Ok(())
	}

	fn remove(set: &T::SetId, member: &T::Member) -> DispatchResult {
		let position = PositionOf::<T>::take(set, member).ok_or(Error::<T>::NotMember)?;
		let SetInfo { len, total } = Sets::<T>::get(set).ok_or(Error::<T>::Corrupt)?;
		let last = len.checked_sub(1).ok_or(Error::<T>::Corrupt)?;
		let height = levels(len);
		let weight = Self::weight_at(set, position);
		let moved = MemberAt::<T>::take(set, last).ok_or(Error::<T>::Corrupt)?;
		if position != last {
			// The last member fills the gap, so that positions stay dense.
			Self::write_weight(set, position, height, Self::weight_at(set, last))?;
			MemberAt::<T>::insert(set, position, &moved);
			PositionOf::<T>::insert(set, &moved, position);
		}
		Self::write_weight(set, last, height, 0)?;
		// Nodes that only covered the last position are empty now.
		for level in 0..height {
			match place(last, level) {
				(index, 0) => Nodes::<T>::remove(set, (level, index)),
				_ => break,
			}
		}
		if last == 0 {
			Sets::<T>::remove(set);
			return Ok(());
		}
		for level in levels(last)..height {
			Nodes::<T>::remove(set, (level, 0));
		}
		let total = total.checked_sub(weight).ok_or(Error::<T>::Corrupt)?;
		Sets::<T>::insert(set, SetInfo { len: last, total });
		Ok(())
	}

	fn weight(set: &T::SetId, member: &T::Member) -> Option<u128> {
		PositionOf::<T>::get(set, member).map(|position| Self::weight_at(set, position))
	}

	fn total(set: &T::SetId) -> u128 {
		Sets::<T>::get(set).map_or(0, |info| info.total)
	}

	fn len(set: &T::SetId) -> u32 {
		Sets::<T>::get(set).map_or(0, |info| info.len)
	}

	fn draw(set: &T::SetId, seed: &[u8; 32], excluded: &[T::Member]) -> Option<T::Member> {
		Self::do_draw(set, seed, excluded)
	}

	fn sets() -> Vec<T::SetId> {
		Sets::<T>::iter_keys().collect()
	}

	fn members(set: &T::SetId) -> Vec<(T::Member, u128)> {
		PositionOf::<T>::iter_prefix(set)
			.map(|(member, position)| (member, Self::weight_at(set, position)))
			.collect()
	}
}

impl<T: Config> Pallet<T> {
	/// The weight at a position; 0 where nobody stands.
	pub(crate) fn weight_at(set: &T::SetId, position: u32) -> u128 {
		let (index, slot) = place(position, 0);
		Nodes::<T>::get(set, (0, index)).map_or(0, |node| node.0[slot])
	}

	/// Writes a weight and the totals above it.
	fn write_weight(set: &T::SetId, position: u32, height: u8, weight: u128) -> DispatchResult {
		let mut weight = weight;
		for level in 0..height {
			let (index, slot) = place(position, level);
			let mut node = Nodes::<T>::get(set, (level, index)).unwrap_or_default();
			node.0[slot] = weight;
			// The set's own total was checked before; a part of it cannot overflow.
			weight = node.total().ok_or(Error::<T>::Corrupt)?;
			Nodes::<T>::insert(set, (level, index), node);
		}
		Ok(())
	}

	/// What all weights before a position add up to.
	pub(crate) fn weight_before(set: &T::SetId, position: u32, height: u8) -> u128 {
		(0..height)
			.map(|level| {
				let (index, slot) = place(position, level);
				Nodes::<T>::get(set, (level, index)).map_or(0, |node| node.before(slot))
			})
			// Disjoint parts of one total that fits 128 bits.
			.fold(0, u128::saturating_add)
	}

	/// The member in whose weight a ticket falls.
	pub(crate) fn find(set: &T::SetId, height: u8, ticket: u128) -> Option<T::Member> {
		let (mut index, mut ticket) = (0u32, ticket);
		for level in (0..height).rev() {
			let (slot, rest) = Nodes::<T>::get(set, (level, index))?.descend(ticket)?;
			index = index.checked_mul(FANOUT)?.checked_add(slot as u32)?;
			ticket = rest;
		}
		MemberAt::<T>::get(set, index)
	}
}
