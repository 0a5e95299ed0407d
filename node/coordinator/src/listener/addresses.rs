//! How many connections each address has, so that none has all there are.

use std::{
	collections::HashMap,
	net::{IpAddr, Ipv6Addr},
	sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many times as many connections as a /64 of IPv6 a /48 may have. Providers give customers a /64 or a /56 at home, and up to a /48, which is 65,536
/// of the former, to whoever asks.
const OF_A_SITE: usize = 4;

/// Whose connections are counted together: those whose addresses begin with the same so many bits.
type Network = (IpAddr, u8);

/// How many connections each address has.
pub struct Addresses {
	/// The most that one may have.
	most: usize,
	/// Proxies that bring many clients, and bound them themselves.
	trusted: Vec<IpAddr>,
	/// Only of those that have any.
	taken: Mutex<HashMap<Network, usize>>,
}

impl Addresses {
	/// An address may have this many; of these ones nothing is counted.
	pub fn new(most: usize, trusted: &[IpAddr]) -> Arc<Self> {
		let trusted = trusted.iter().map(IpAddr::to_canonical).collect();
		Arc::new(Self { most, trusted, taken: Mutex::default() })
	}

	fn taken(&self) -> MutexGuard<'_, HashMap<Network, usize>> {
		// A plain map: whoever panicked while holding it left nothing half done.
		self.taken.lock().unwrap_or_else(PoisonError::into_inner)
	}

	/// Counts a connection from this address, until what is returned is dropped; `None` if it has as many as it may.
	pub fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Share> {
		let networks = self.networks(address);
		let mut taken = self.taken();
		let full = |(network, most): &(Network, usize)| {
			taken.get(network).is_some_and(|count| count >= most)
		};
		if networks.iter().any(full) {
			return None;
		}
		let networks: Vec<Network> = networks.into_iter().map(|(network, _)| network).collect();
		for network in &networks {
			*taken.entry(*network).or_default() += 1;
		}
		Some(Share { addresses: self.clone(), networks })
	}

	/// What a connection from this address counts for, and how many that may have.
	///
	/// Nothing for loopback: a proxy on this machine, for TLS, brings everybody from there, and has to bound them itself. Whoever has one address of IPv6
	/// has all of its /64, and may have more than one of those.
	fn networks(&self, address: IpAddr) -> Vec<(Network, usize)> {
		match address.to_canonical() {
			address if address.is_loopback() || self.trusted.contains(&address) => Vec::new(),
			IpAddr::V6(address) => vec![
				(network(address, 64), self.most),
				(network(address, 48), self.most.saturating_mul(OF_A_SITE)),
			],
			address => vec![((address, 32), self.most)],
		}
	}
}

/// The network of this address that has so many bits, from 1 to 128, in common.
fn network(address: Ipv6Addr, bits: u8) -> Network {
	let common = u128::MAX << (128 - u32::from(bits));
	(Ipv6Addr::from(u128::from(address) & common).into(), bits)
}

/// A connection's part of what its address may have.
pub struct Share {
	addresses: Arc<Addresses>,
	/// What it counts for.
	networks: Vec<Network>,
}

impl Drop for Share {
	fn drop(&mut self) {
		let mut taken = self.addresses.taken();
		for network in &self.networks {
			if let Some(count) = taken.get_mut(network) {
				*count = count.saturating_sub(1);
				if *count == 0 {
					taken.remove(network);
				}
			}
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn an_address_has_so_many_connections_and_no_more() {
		let addresses = Addresses::new(2, &[]);
		let enter = |address: &str| addresses.enter(address.parse().unwrap());
		for (own, also_own, other) in [
			("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
			("2001:db8::1", "2001:db8::ffff:0:0:1", "2001:db8:0:1::1"),
		] {
			let (first, second) = (enter(own), enter(also_own));
			assert!(first.is_some() && second.is_some());
			assert!(enter(own).is_none() && enter(also_own).is_none());
			assert!(enter(other).is_some());
			drop(first);
			let again = enter(also_own);
			assert!(again.is_some() && enter(own).is_none());
		}
		assert!(addresses.taken().is_empty());
	}

	#[test]
	fn many_networks_of_one_site_are_one_customer() {
		let addresses = Addresses::new(2, &[]);
		let enter = |address: &str| addresses.enter(address.parse().unwrap());
		let mut held: Vec<_> =
			(0..8).map(|number| enter(&format!("2001:db8:7:{number:x}::1"))).collect();
		assert!(held.iter().all(Option::is_some));
		assert!(enter("2001:db8:7:ff::1").is_none(), "the /48 has four times two");
		assert!(enter("2001:db8:8::1").is_some());
		held.pop();
		// What was refused for the /48 does not count for its /64.
		let again = [enter("2001:db8:7:ff::1"), enter("2001:db8:7:ff::1")];
		assert!(again[0].is_some() && again[1].is_none());
		drop((held, again));
		assert!(addresses.taken().is_empty());
	}

	#[test]
	fn this_machine_and_trusted_proxies_have_as_many_as_they_like() {
		let trusted = ["192.0.2.7", "::ffff:192.0.2.8", "2001:db8::7"];
		let trusted = trusted.map(|address| address.parse().unwrap());
		let addresses = Addresses::new(1, &trusted);
		for address in [
			"127.0.0.1",
			"127.8.8.8",
			"::1",
			"::ffff:127.0.0.1",
			"192.0.2.7",
			"::ffff:192.0.2.7",
			"192.0.2.8",
			"2001:db8::7",
		] {
			let held: Vec<_> = (0..9).map(|_| addresses.enter(address.parse().unwrap())).collect();
			assert!(held.iter().all(Option::is_some), "{address}");
		}
		// Its neighbour is somebody else.
		let held: Vec<_> =
			(0..2).map(|_| addresses.enter("2001:db8::8".parse().unwrap())).collect();
		assert!(held[0].is_some() && held[1].is_none());
	}
}
