//! The signed HTTP requests between a miner and a coordinator.
//!
//! The signature covers coordinator, method, path, body and expiry (see [`cuckoo_primitives::work`]), so a request that somebody overheard is
//! good for nothing else, for nobody else, and not for long.

use std::time::{SystemTime, UNIX_EPOCH};

use cuckoo_primitives::work::{
	request_digest, HEADER_ACCOUNT, HEADER_BODY, HEADER_EXPIRES, HEADER_SIGNATURE, MAX_REQUEST_LIFE,
};
use sp_core::{
	crypto::{AccountId32, Ss58Codec},
	H256,
};
use sp_crypto_hashing::blake2_256;
use subxt_signer::sr25519::{self, Keypair};

use crate::signer::{account_of, Signer};

/// Half of what a receiver accepts: the two clocks may then differ by as much, either way.
const LIFE: u64 = MAX_REQUEST_LIFE / 2;

/// Whoever can sign as an account: a running [`Signer`], or a key alone.
pub trait Sign {
	/// The account.
	fn account(&self) -> AccountId32;
	/// An sr25519 signature over the message.
	fn sign_bytes(&self, message: &[u8]) -> [u8; 64];
}

impl Sign for Signer {
	fn account(&self) -> AccountId32 {
		Signer::account(self)
	}

	fn sign_bytes(&self, message: &[u8]) -> [u8; 64] {
		Signer::sign_bytes(self, message)
	}
}

impl Sign for Keypair {
	fn account(&self) -> AccountId32 {
		account_of(self)
	}

	fn sign_bytes(&self, message: &[u8]) -> [u8; 64] {
		self.sign(message).0
	}
}

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
	/// A header is missing.
	#[error("the header {0} is missing: sign the request with the operator's key")]
	Missing(&'static str),
	/// A header is not what it should be.
	#[error("the header {0} is malformed")]
	Malformed(&'static str),
	/// It came too late.
	#[error("the request has expired: check this machine's clock, and sign it anew")]
	Expired,
	/// It would be good for too long.
	#[error(
		"the request expires more than {MAX_REQUEST_LIFE} s ahead: check this machine's clock"
	)]
	TooFarAhead,
	/// It was here before.
	#[error("this very request was here before: sign each anew")]
	Replayed,
	/// What came is not what was signed.
	#[error("the body is not the one whose hash the header {HEADER_BODY} names")]
	OtherBody,
	/// The signature is for something else, or somebody else's.
	#[error("the signature does not fit this request: is the coordinator's account right?")]
	BadSignature,
}

/// The time, in seconds since 1970.
pub fn now() -> u64 {
	SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The headers that make a request the signer's, made at the time `now`. `coordinator` is the account of the coordinator's operator; `path` is the
/// request's path as it is sent, with its query if it has one.
pub fn headers(
	signer: &impl Sign,
	genesis: &H256,
	coordinator: &AccountId32,
	method: &str,
	path: &str,
	body: &[u8],
	now: u64,
) -> [(&'static str, String); 4] {
	let (expires, body) = (now + LIFE, H256::from(blake2_256(body)));
	let digest = request_digest(genesis, coordinator, method, path, body, expires);
	[
		(HEADER_ACCOUNT, signer.account().to_ss58check()),
		(HEADER_EXPIRES, expires.to_string()),
		(HEADER_BODY, hex::encode(body)),
		(HEADER_SIGNATURE, hex::encode(signer.sign_bytes(&digest))),
	]
}

/// Who a request says it is from. A coordinator can look at this before it takes in a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
	account: AccountId32,
	expires: u64,
	body: H256,
	signature: [u8; 64],
}

impl Claim {
	/// Reads the headers of a request that arrived at the time `now`.
	pub fn read<'a>(
		header: impl Fn(&str) -> Option<&'a str>,
		now: u64,
	) -> Result<Self, RequestError> {
		let get = |name: &'static str| header(name).ok_or(RequestError::Missing(name));
		let account = AccountId32::from_ss58check(get(HEADER_ACCOUNT)?)
			.map_err(|_| RequestError::Malformed(HEADER_ACCOUNT))?;
		let expires: u64 =
			get(HEADER_EXPIRES)?.parse().map_err(|_| RequestError::Malformed(HEADER_EXPIRES))?;
		let mut body = H256::zero();
		hex::decode_to_slice(get(HEADER_BODY)?, &mut body.0)
			.map_err(|_| RequestError::Malformed(HEADER_BODY))?;
		let mut signature = [0u8; 64];
		hex::decode_to_slice(get(HEADER_SIGNATURE)?, &mut signature)
			.map_err(|_| RequestError::Malformed(HEADER_SIGNATURE))?;
		if expires < now {
			return Err(RequestError::Expired);
		}
		if expires - now > MAX_REQUEST_LIFE {
			return Err(RequestError::TooFarAhead);
		}
		Ok(Self { account, expires, body, signature })
	}

	/// The account, which anybody may claim to be until [`Claim::check`].
	pub fn account(&self) -> &AccountId32 {
		&self.account
	}

	/// Until when it is good, in seconds since 1970, and its signature: no two requests have the same.
	pub fn once(&self) -> (u64, [u8; 64]) {
		(self.expires, self.signature)
	}

	/// BLAKE2b-256 of the body that it was signed with.
	pub fn body(&self) -> H256 {
		self.body
	}

	/// Whether the account signed exactly this request to this coordinator. What comes as its body is for [`is_body`].
	pub fn check(
		self,
		genesis: &H256,
		coordinator: &AccountId32,
		method: &str,
		path: &str,
	) -> Result<AccountId32, RequestError> {
		let digest = request_digest(genesis, coordinator, method, path, self.body, self.expires);
		let key = sr25519::PublicKey(self.account.clone().into());
		if sr25519::verify(&sr25519::Signature(self.signature), digest, &key) {
			Ok(self.account)
		} else {
			Err(RequestError::BadSignature)
		}
	}
}

/// Whether this is the body that a request was signed with.
pub fn is_body(signed: H256, body: &[u8]) -> Result<(), RequestError> {
	match H256::from(blake2_256(body)) == signed {
		true => Ok(()),
		false => Err(RequestError::OtherBody),
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use subxt_signer::sr25519::dev;

	const NOW: u64 = 1_800_000_000;
	const PATH: &str = "/v1/miner/tasks/7/outputs/0";
	type Headers = [(&'static str, String); 4];

	/// Who signed a request that arrived at the time `now`, if it is good: what a coordinator asks one after the other.
	fn verify<'a>(
		header: impl Fn(&str) -> Option<&'a str>,
		genesis: &H256,
		coordinator: &AccountId32,
		method: &str,
		path: &str,
		body: &[u8],
		now: u64,
	) -> Result<AccountId32, RequestError> {
		let claim = Claim::read(header, now)?;
		let signed = claim.body();
		let account = claim.check(genesis, coordinator, method, path)?;
		is_body(signed, body).map(|()| account)
	}

	fn genesis() -> H256 {
		H256::repeat_byte(1)
	}

	fn coordinator() -> AccountId32 {
		AccountId32::new([2; 32])
	}

	fn signed() -> Headers {
		headers(&dev::alice(), &genesis(), &coordinator(), "PUT", PATH, b"output", NOW)
	}

	fn get<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
		headers.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str())
	}

	fn at(headers: &Headers, now: u64) -> Result<AccountId32, RequestError> {
		verify(|name| get(headers, name), &genesis(), &coordinator(), "PUT", PATH, b"output", now)
	}

	#[test]
	fn a_signed_request_is_its_signers() {
		assert_eq!(at(&signed(), NOW), Ok(account_of(&dev::alice())));
	}

	#[test]
	fn it_is_good_for_nothing_else() {
		let headers = signed();
		let replay = |genesis: u8, to: u8, method, path, body: &[u8]| {
			let (genesis, to) = (H256::repeat_byte(genesis), AccountId32::new([to; 32]));
			verify(|name| get(&headers, name), &genesis, &to, method, path, body, NOW)
		};
		assert!(replay(1, 2, "PUT", PATH, b"output").is_ok());
		for other in [
			replay(9, 2, "PUT", PATH, b"output"),
			replay(1, 9, "PUT", PATH, b"output"),
			replay(1, 2, "GET", PATH, b"output"),
			replay(1, 2, "PUT", "/v1/miner/tasks/8/outputs/0", b"output"),
		] {
			assert_eq!(other, Err(RequestError::BadSignature));
		}
		for other in [replay(1, 2, "PUT", PATH, b"0utput"), replay(1, 2, "PUT", PATH, b"")] {
			assert_eq!(other, Err(RequestError::OtherBody));
		}
	}

	#[test]
	fn it_is_good_for_a_while_only() {
		let headers = signed();
		assert!(at(&headers, NOW + LIFE).is_ok());
		assert_eq!(at(&headers, NOW + LIFE + 1), Err(RequestError::Expired));
		assert!(at(&headers, NOW - LIFE).is_ok());
		assert_eq!(at(&headers, NOW - LIFE - 1), Err(RequestError::TooFarAhead));
		let mut longer = signed();
		longer[1].1 = (NOW + LIFE + 1).to_string();
		assert_eq!(at(&longer, NOW), Err(RequestError::BadSignature));
	}

	#[test]
	fn nobody_can_put_another_name_on_it() {
		let mut headers = signed();
		headers[0].1 = account_of(&dev::bob()).to_ss58check();
		assert_eq!(at(&headers, NOW), Err(RequestError::BadSignature));
	}

	#[test]
	fn nobody_can_put_another_body_under_it() {
		let mut headers = signed();
		headers[2].1 = hex::encode(blake2_256(b"another"));
		let checked = verify(
			|name| get(&headers, name),
			&genesis(),
			&coordinator(),
			"PUT",
			PATH,
			b"another",
			NOW,
		);
		assert_eq!(checked, Err(RequestError::BadSignature));
	}

	#[test]
	fn a_bad_header_is_named() {
		for (index, name) in
			[HEADER_ACCOUNT, HEADER_EXPIRES, HEADER_BODY, HEADER_SIGNATURE].into_iter().enumerate()
		{
			let mut headers = signed();
			headers[index].1 = "nonsense".into();
			assert_eq!(at(&headers, NOW), Err(RequestError::Malformed(name)));
			headers[index].0 = "cuckoo-other";
			assert_eq!(at(&headers, NOW), Err(RequestError::Missing(name)));
		}
	}
}
