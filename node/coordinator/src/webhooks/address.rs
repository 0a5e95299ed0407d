//! Where messages may go. Whoever has a key chooses an address, and this program stands in a network with doors that are open to it alone: so the
//! address must be a public one. What is checked is what is connected to: a name is looked up here, once for each connection, all its addresses are
//! checked, and the connection goes to these and to no others.

use std::{
	error::Error,
	io,
	net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
	sync::Arc,
	time::Duration,
};

use futures::{future::BoxFuture, FutureExt};
use reqwest::{
	dns::{Addrs, Name, Resolve, Resolving},
	redirect, Client, Url,
};

/// How long connecting may take, with looking up the name.
const CONNECT: Duration = Duration::from_secs(10);
/// A connection is kept this long for the next message.
const IDLE: Duration = Duration::from_secs(30);

/// Why nothing is sent to an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
	/// It cannot be read.
	#[error("the webhook's address cannot be read")]
	Unreadable,
	/// Messages would be sent in the clear.
	#[error("the webhook's address does not begin with https://")]
	NotHttps,
	/// It holds a user name or a password.
	#[error("the webhook's address holds a user name or a password")]
	Credentials,
	/// Its name stands for no address.
	#[error("the webhook's name has no address")]
	Nowhere,
	/// It leads to where no stranger may send this program.
	#[error("the webhook leads to {0}, which is {1}; `webhook_private` would allow it")]
	Address(IpAddr, &'static str),
}

impl Refused {
	/// Whether this is why a request failed.
	pub fn is_cause(error: &(dyn Error + 'static)) -> bool {
		{
			let mut cause = Some(error);
			while let Some(error) = cause {
				if error.is::<Self>() {
					return true;
				}
				cause = error.source();
			}
			false
		}
	}
}

/// Reads an address and checks what can be checked without looking up its name. `private`: whether it may lead anywhere, and without TLS.
pub fn check(url: &str, private: bool) -> Result<Url, Refused> {
	let url = Url::parse(url).map_err(|_| Refused::Unreadable)?;
	match url.scheme() {
		"https" => {},
		"http" if private => {},
		_ => return Err(Refused::NotHttps),
	}
	if !url.username().is_empty() || url.password().is_some() {
		return Err(Refused::Credentials);
	}
	// However a number was written, here it stands in its usual form.
	let host = url.host_str().ok_or(Refused::Unreadable)?;
	if let Ok(ip) = host.trim_matches(['[', ']']).parse() {
		check_ip(ip, private)?;
	}
	Ok(url)
}

fn check_ip(ip: IpAddr, private: bool) -> Result<(), Refused> {
	let why = match ip {
		_ if private => None,
		IpAddr::V4(ip) => not_public_v4(ip),
		IpAddr::V6(ip) => not_public_v6(ip),
	};
	why.map_or(Ok(()), |why| Err(Refused::Address(ip, why)))
}

/// Network, length of its prefix, what it is. By IANA's registry of special addresses, and one that a cloud has among the public ones.
const V4: [(Ipv4Addr, u32, &str); 17] = [
	(Ipv4Addr::new(0, 0, 0, 0), 8, "unspecified"),
	(Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
	(Ipv4Addr::new(100, 64, 0, 0), 10, "shared by a provider's customers"),
	(Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
	// With the metadata services of most clouds, 169.254.169.254 and 169.254.170.2.
	(Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
	(Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
	(Ipv4Addr::new(192, 0, 0, 0), 24, "reserved for protocols"),
	(Ipv4Addr::new(192, 0, 2, 0), 24, "for documentation"),
	(Ipv4Addr::new(192, 31, 196, 0), 24, "reserved for name servers"),
	(Ipv4Addr::new(192, 88, 99, 0), 24, "a relay to IPv6"),
	(Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
	(Ipv4Addr::new(198, 18, 0, 0), 15, "for benchmarks"),
	(Ipv4Addr::new(198, 51, 100, 0), 24, "for documentation"),
	(Ipv4Addr::new(203, 0, 113, 0), 24, "for documentation"),
	(Ipv4Addr::new(168, 63, 129, 16), 32, "a cloud's metadata service"),
	(Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
	(Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

fn not_public_v4(ip: Ipv4Addr) -> Option<&'static str> {
	let bits = u32::from(ip);
	V4.iter()
		.find(|(network, length, _)| (bits ^ u32::from(*network)) >> (32 - length) == 0)
		.map(|(_, _, what)| *what)
}

/// Those that are none of the public ones, and those among them that stand for something else.
const V6: [(Ipv6Addr, u32, &str); 10] = [
	(Ipv6Addr::UNSPECIFIED, 128, "unspecified"),
	(Ipv6Addr::LOCALHOST, 128, "loopback"),
	(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "private"),
	(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "link-local"),
	(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),
	// With Teredo, which embeds an IPv4 address.
	(Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "reserved for protocols"),
	(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "for documentation"),
	(Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "a tunnel to an IPv4 address"),
	(Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48, "reserved for name servers"),
	(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "for documentation"),
];

/// `::ffff:a.b.c.d`, the same machine as `a.b.c.d`.
const MAPPED: Ipv6Addr = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0);
/// `64:ff9b::a.b.c.d`, by which a network without IPv4 reaches `a.b.c.d`; of such a network every name without an IPv6 address has one.
const NAT64: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);
const PUBLIC: Ipv6Addr = Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0);

fn not_public_v6(ip: Ipv6Addr) -> Option<&'static str> {
	let bits = u128::from(ip);
	let within =
		|network: Ipv6Addr, length: u32| (bits ^ u128::from(network)) >> (128 - length) == 0;
	if within(MAPPED, 96) || within(NAT64, 96) {
		let [.., a, b, c, d] = ip.octets();
		return not_public_v4(Ipv4Addr::new(a, b, c, d));
	}
	V6.iter()
		.find(|(network, length, _)| within(*network, *length))
		.map(|(_, _, what)| *what)
		.or((!within(PUBLIC, 3)).then_some("not a public address"))
}

/// Looks up a name.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// As this machine does.
pub fn system_lookup() -> Lookup {
	Arc::new(|name: String| look_up(name).boxed())
}

async fn look_up(name: String) -> io::Result<Vec<IpAddr>> {
	let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
	Ok(found.map(|address| address.ip()).collect())
}

/// Gives the client only addresses that were checked.
struct Guard {
	private: bool,
	lookup: Lookup,
}

impl Resolve for Guard {
	fn resolve(&self, name: Name) -> Resolving {
		let lookup = (self.lookup)(name.as_str().to_string());
		Box::pin(allowed(lookup, self.private))
	}
}

async fn allowed(
	lookup: BoxFuture<'static, io::Result<Vec<IpAddr>>>,
	private: bool,
) -> Result<Addrs, Box<dyn Error + Send + Sync>> {
	let found = lookup.await?;
	if found.is_empty() {
		return Err(Refused::Nowhere.into());
	}
	// One that may not be reached among others that may is an attack as well.
	for ip in &found {
		check_ip(*ip, private)?;
	}
	Ok(Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0))))
}

/// A client that connects to allowed addresses only, through no proxy, follows no redirect, and gives up after `timeout`. Addresses that are numbers are
/// not looked up: [`check`] them.
pub fn client(private: bool, lookup: Lookup, timeout: Duration) -> reqwest::Result<Client> {
	Client::builder()
		.user_agent(concat!("cuckoo-coordinator/", env!("CARGO_PKG_VERSION")))
		.no_proxy()
		.redirect(redirect::Policy::none())
		.https_only(!private)
		.dns_resolver(Arc::new(Guard { private, lookup }))
		.timeout(timeout)
		.connect_timeout(CONNECT.min(timeout))
		.pool_max_idle_per_host(1)
		.pool_idle_timeout(IDLE)
		.build()
}

#[cfg(test)]
mod tests {
	use super::*;
	use std::sync::Mutex;
	use tokio::net::TcpListener;

	#[test]
	fn no_address_that_is_not_public_may_be_reached() {
		let forbidden = [
			"0.0.0.0",
			"0.1.2.3",
			"10.0.0.1",
			"100.64.0.1",
			"100.100.100.200",
			"100.127.255.255",
			"127.0.0.1",
			"127.255.255.254",
			"168.63.129.16",
			"169.254.169.254",
			"169.254.170.2",
			"172.16.0.1",
			"172.31.255.255",
			"192.0.0.192",
			"192.0.2.1",
			"192.31.196.1",
			"192.88.99.1",
			"192.168.1.1",
			"198.18.0.1",
			"198.19.255.255",
			"198.51.100.7",
			"203.0.113.7",
			"224.0.0.1",
			"239.255.255.255",
			"240.0.0.1",
			"255.255.255.255",
			"::",
			"::1",
			"::127.0.0.1",
			"::8.8.8.8",
			"::ffff:127.0.0.1",
			"::ffff:10.0.0.1",
			"::ffff:169.254.169.254",
			"::ffff:0:127.0.0.1",
			"64:ff9b::127.0.0.1",
			"64:ff9b::192.168.0.1",
			"64:ff9b::169.254.169.254",
			"64:ff9b:1::8.8.8.8",
			"100::1",
			"2001::1",
			"2001:0:53aa:64c:0:fbff:80ff:fffe",
			"2001:2::1",
			"2001:10::1",
			"2001:20::1",
			"2001:db8::1",
			"2002:7f00:1::1",
			"2002:808:808::1",
			"2620:4f:8000::1",
			"3fff::1",
			"4000::1",
			"5f00::1",
			"fc00::1",
			"fd00:ec2::254",
			"fd20:ce::254",
			"fe80::1",
			"fec0::1",
			"ff02::1",
		];
		for ip in forbidden {
			let ip: IpAddr = ip.parse().unwrap();
			assert!(matches!(check_ip(ip, false), Err(Refused::Address(..))), "{ip}");
			assert_eq!(check_ip(ip, true), Ok(()));
		}
	}

	#[test]
	fn public_addresses_may_be_reached() {
		let public = [
			"1.1.1.1",
			"9.255.255.255",
			"11.0.0.0",
			"100.63.255.255",
			"100.128.0.0",
			"126.255.255.255",
			"128.0.0.1",
			"168.63.129.15",
			"168.63.129.17",
			"169.253.255.255",
			"172.15.255.255",
			"172.32.0.0",
			"192.0.1.0",
			"192.167.255.255",
			"198.17.255.255",
			"198.20.0.0",
			"223.255.255.255",
			"::ffff:8.8.8.8",
			"64:ff9b::8.8.8.8",
			"2001:200::1",
			"2001:4860:4860::8888",
			"2606:4700::1111",
			"2a00:1450::1",
		];
		for ip in public {
			assert_eq!(check_ip(ip.parse().unwrap(), false), Ok(()), "{ip}");
		}
	}

	#[test]
	fn numbers_in_any_dress_are_known() {
		for host in [
			"127.0.0.1",
			"127.0.0.1.",
			"127.1",
			"2130706433",
			"0x7f000001",
			"0177.0.0.1",
			"%31%32%37.0.0.1",
			"１２７.0.0.1",
			"0",
			"10.0.0.1:8443",
			"[::1]",
			"[::ffff:7f00:1]",
			"[0:0:0:0:0:ffff:169.254.169.254]",
			"[64:ff9b::7f00:1]:443",
		] {
			let refused = check(&format!("https://{host}/hook"), false);
			assert!(matches!(refused, Err(Refused::Address(..))), "{host}: {refused:?}");
		}
	}

	#[test]
	fn addresses_without_tls_or_with_a_password_are_refused() {
		let refused = |url: &str| check(url, false).unwrap_err();
		for url in ["http://example.org/", "ftp://example.org/", "file:///etc/passwd"] {
			assert_eq!(refused(url), Refused::NotHttps);
		}
		assert_eq!(check("file:///etc/passwd", true).unwrap_err(), Refused::NotHttps);
		for url in ["https://me@example.org/", "https://:pass@example.org/"] {
			assert_eq!(refused(url), Refused::Credentials);
		}
		for url in ["", "example.org", "https://", "https://[::1", "https://a b/"] {
			assert_eq!(refused(url), Refused::Unreadable, "{url}");
		}
		check("https://example.org:8443/hook?x=1", false).unwrap();
		check("http://127.0.0.1:8080/hook", true).unwrap();
	}

	/// A name whose addresses change from one time to the next.
	fn rebinding(answers: &[&[&str]]) -> Lookup {
		let parse =
			|ips: &&[&str]| -> Vec<IpAddr> { ips.iter().map(|ip| ip.parse().unwrap()).collect() };
		let answers: Mutex<Vec<Vec<IpAddr>>> = Mutex::new(answers.iter().map(parse).collect());
		Arc::new(move |_: String| {
			let next = answers.lock().unwrap().remove(0);
			std::future::ready(Ok(next)).boxed()
		})
	}

	#[tokio::test]
	async fn a_name_that_turns_private_is_not_connected_to() {
		let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
		let url = format!("https://rebind.example:{}/", listener.local_addr().unwrap().port());
		let answers: [&[&str]; 5] =
			[&["127.0.0.1"], &["8.8.8.8", "127.0.0.1"], &["::1"], &["::ffff:127.0.0.1"], &[]];
		let count = answers.len();
		let client = client(false, rebinding(&answers), Duration::from_secs(5)).unwrap();
		for _ in 0..count {
			// The address was fine when it was checked.
			let url = check(&url, false).unwrap();
			let error = client.post(url).send().await.unwrap_err();
			assert!(Refused::is_cause(&error), "{error:?}");
		}
		let knock = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
		assert!(knock.is_err(), "it was connected to");
	}

	#[tokio::test]
	async fn a_private_name_is_connected_to_if_that_is_allowed() {
		let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
		let url = format!("http://inside.example:{}/", listener.local_addr().unwrap().port());
		let answers: [&[&str]; 1] = [&["127.0.0.1"]];
		let client = client(true, rebinding(&answers), Duration::from_secs(5)).unwrap();
		let sent = tokio::spawn(client.get(check(&url, true).unwrap()).send());
		listener.accept().await.unwrap();
		sent.abort();
	}
}
