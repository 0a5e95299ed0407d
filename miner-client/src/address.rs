//! Where a coordinator may be.
//!
//! Its address stands on chain, written there by a stranger: a miner would send requests to whatever it names, also to what only this machine can reach. So some
//! addresses are never asked, whether the endpoint names them or a name leads there: link-local ones, among them the service by which a machine in a cloud
//! learns its credentials, multicast, broadcast, and those that stand for no machine. Loopback and private addresses are asked: there developers have their
//! coordinators, and miners that of the house. A stranger gains little by them: what is sent is a `GET` or `PUT` with a path and signed headers of the miner's
//! own, redirects are not followed, and of an answer nothing is handed on.
//!
//! What counts is the address that is connected to: a name is looked up once for each connection, here, and no proxy does it in the miner's place.

use std::{
	collections::BTreeSet,
	error::Error,
	io,
	net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
	sync::{Arc, Mutex, PoisonError},
};

use futures::{future::BoxFuture, FutureExt};
use reqwest::{
	dns::{Addrs, Name, Resolve, Resolving},
	Url,
};

/// So many hosts are kept, so that each is told once: whoever makes up more is told of again.
const MOST_TOLD: usize = 1000;
/// Where clouds that do not use a link-local address keep the service that knows a machine's credentials.
const METADATA: [IpAddr; 5] = [
	IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
	IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
	IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
	IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
	IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Why a host is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{ip} is {what}: no coordinator is asked there")]
pub(crate) struct Refused {
	ip: IpAddr,
	what: &'static str,
}

/// Looks up a name.
type LookUp = fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;

/// As this machine does.
async fn look_up(name: String) -> io::Result<Vec<IpAddr>> {
	let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
	Ok(found.map(|address| address.ip()).collect())
}

/// Gives a client no address that may not be asked, and tells once of each host that has no other. Clones share what was told.
#[derive(Clone)]
pub(crate) struct Guard {
	look_up: LookUp,
	told: Arc<Mutex<BTreeSet<String>>>,
}

impl Default for Guard {
	fn default() -> Self {
		Self::with(|name| look_up(name).boxed())
	}
}

impl Guard {
	/// Looks names up in this way.
	pub(crate) fn with(look_up: LookUp) -> Self {
		Self { look_up, told: Arc::default() }
	}

	/// Fails if a URL's host is an address that is not asked. For those that are numbers: a client does not look them up. Names pass, they are looked up later.
	pub(crate) fn check(&self, url: &Url) -> Result<(), Refused> {
		let host = url.host_str().unwrap_or_default();
		let number = host.trim_start_matches('[').trim_end_matches(']');
		match number.parse::<IpAddr>() {
			Ok(ip) => self.allowed(host, [ip]).map(drop),
			Err(_) => Ok(()),
		}
	}

	/// Those of a host's addresses that may be asked. Fails if there are others alone.
	fn allowed(
		&self,
		host: &str,
		found: impl IntoIterator<Item = IpAddr>,
	) -> Result<Vec<IpAddr>, Refused> {
		let (mut good, mut bad) = (Vec::new(), None);
		for ip in found {
			match not_asked(ip) {
				None => good.push(ip),
				Some(what) => bad = Some(Refused { ip, what }),
			}
		}
		match bad {
			Some(refused) if good.is_empty() => {
				self.tell(host, refused);
				Err(refused)
			},
			_ => Ok(good),
		}
	}

	fn tell(&self, host: &str, refused: Refused) {
		// A set of names: whoever panicked while holding it left nothing half done.
		let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
		if told.len() >= MOST_TOLD {
			told.clear();
		}
		if told.insert(host.to_owned()) {
			tracing::error!(host, why = %refused, "a coordinator's endpoint is refused; its owner can change it with Stake.set_intro");
		}
	}

	async fn addresses(self, host: String) -> Result<Addrs, Box<dyn Error + Send + Sync>> {
		let found = (self.look_up)(host.clone()).await?;
		let allowed = self.allowed(&host, found)?;
		Ok(Box::new(allowed.into_iter().map(|ip| SocketAddr::new(ip, 0))))
	}
}

impl Resolve for Guard {
	fn resolve(&self, name: Name) -> Resolving {
		Box::pin(self.clone().addresses(name.as_str().to_owned()))
	}
}

/// What an address is, if it is none that is asked.
fn not_asked(ip: IpAddr) -> Option<&'static str> {
	let ip = as_v4(ip).map_or(ip, IpAddr::V4);
	let link_local = match ip {
		IpAddr::V4(ip) => ip.is_link_local(),
		IpAddr::V6(ip) => ip.is_unicast_link_local(),
	};
	// All of 0.0.0.0/8, "this network".
	let nowhere = match ip {
		IpAddr::V4(ip) => ip.octets()[0] == 0,
		IpAddr::V6(ip) => ip.is_unspecified(),
	};
	if link_local {
		Some("link-local")
	} else if nowhere {
		Some("the address of no machine")
	} else if ip.is_multicast() {
		Some("a multicast address")
	} else if ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
		Some("the broadcast address")
	} else if METADATA.contains(&ip) {
		Some("a cloud's metadata service")
	} else {
		None
	}
}

/// The IPv4 address that an IPv6 address stands for: mapped (`::ffff:a.b.c.d`), compatible (`::a.b.c.d`), or by way of NAT64 (`64:ff9b::a.b.c.d`). `::` and `::1`
/// stand for themselves.
fn as_v4(ip: IpAddr) -> Option<Ipv4Addr> {
	let IpAddr::V6(ip) = ip else { return None };
	let [.., a, b, c, d] = ip.octets();
	let embeds = match ip.segments() {
		[0, 0, 0, 0, 0, 0, ..] => !ip.is_unspecified() && !ip.is_loopback(),
		[0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => true,
		_ => false,
	};
	embeds.then(|| Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
pub(crate) mod tests {
	use super::*;
	use std::future::ready;

	fn check(endpoint: &str) -> Result<(), Refused> {
		Guard::default().check(&Url::parse(endpoint).unwrap())
	}

	/// The metadata service of a cloud, whatever the name.
	pub(crate) fn metadata(_: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
		ready(Ok(vec![IpAddr::from([169, 254, 169, 254])])).boxed()
	}

	/// This machine, whatever the name.
	pub(crate) fn loopback(_: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
		ready(Ok(vec![IpAddr::from([127, 0, 0, 1])])).boxed()
	}

	#[test]
	fn some_addresses_are_never_asked() {
		for (host, what) in [
			("169.254.169.254", "link-local"),
			("169.254.0.1:8080", "link-local"),
			("2852039166", "link-local"),
			("0xa9fea9fe", "link-local"),
			("169.254.169.254.", "link-local"),
			("[::ffff:169.254.169.254]", "link-local"),
			("[::ffff:a9fe:a9fe]:80", "link-local"),
			("[::169.254.169.254]", "link-local"),
			("[64:ff9b::169.254.169.254]", "link-local"),
			("[fe80::1]", "link-local"),
			("[febf::1]", "link-local"),
			("0.0.0.0", "no machine"),
			("0", "no machine"),
			("0.1.2.3", "no machine"),
			("[::]", "no machine"),
			("[::ffff:0.0.0.0]", "no machine"),
			("224.0.0.1", "multicast"),
			("239.255.255.255", "multicast"),
			("[ff02::1]", "multicast"),
			("[::ffff:224.0.0.1]", "multicast"),
			("255.255.255.255", "broadcast"),
			("[::ffff:255.255.255.255]", "broadcast"),
			("100.100.100.200", "metadata"),
			("[fd00:ec2::254]", "metadata"),
		] {
			let refused = check(&format!("http://{host}/x")).unwrap_err().to_string();
			assert!(refused.contains(what), "{host}: {refused}");
		}
	}

	#[test]
	fn all_others_are_asked() {
		for host in [
			"127.0.0.1:9944",
			"[::1]",
			"[::ffff:127.0.0.1]",
			"10.0.0.1",
			"172.16.0.1",
			"192.168.1.2:8080",
			"[fd12::1]",
			"100.64.0.1",
			"169.253.255.255",
			"169.255.0.1",
			"1.1.1.1",
			"223.255.255.255",
			"255.255.255.254",
			"[fec0::1]",
			"[2606:4700::1111]",
			"coordinator.example",
			"localhost",
		] {
			assert_eq!(check(&format!("http://{host}/x")), Ok(()), "{host}");
		}
	}

	#[test]
	fn of_several_addresses_the_good_ones_are_used() {
		let guard = Guard::default();
		let allowed = |found: &[&str]| {
			let found: Vec<IpAddr> = found.iter().map(|ip| ip.parse().unwrap()).collect();
			guard.allowed("some.example", found)
		};
		let good: Vec<IpAddr> = vec!["192.168.1.2".parse().unwrap()];
		assert_eq!(allowed(&["fe80::1", "192.168.1.2", "169.254.1.2"]), Ok(good));
		assert!(allowed(&["fe80::1", "169.254.1.2"]).is_err());
		assert_eq!(allowed(&[]), Ok(Vec::new()));
	}

	#[test]
	fn each_host_is_told_of_once_and_not_without_end() {
		let guard = Guard::default();
		let told = |host: &str| {
			let before = guard.told.lock().unwrap().len();
			guard.allowed(host, [IpAddr::from([0; 4])]).unwrap_err();
			guard.told.lock().unwrap().len() - before
		};
		assert_eq!((told("a.example"), told("a.example"), told("b.example")), (1, 0, 1));
		for number in 0..MOST_TOLD {
			let host = format!("{number}.example");
			guard.allowed(&host, [IpAddr::from([0; 4])]).unwrap_err();
		}
		assert!(guard.told.lock().unwrap().len() <= MOST_TOLD);
	}
}
