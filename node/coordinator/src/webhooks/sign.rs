//! Signatures by the Standard Webhooks scheme, version 1: HMAC-SHA256 over the event's id, the time of the attempt and the body.

use std::fmt;

use base64::{engine::general_purpose::STANDARD, Engine};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// How every signing secret begins.
const PREFIX: &str = "whsec_";
/// How many bytes a secret may have.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// What an endpoint's messages are signed with.
pub struct Secret(Hmac<Sha256>);

impl Secret {
	/// Reads a secret: `whsec_` and 24 to 64 bytes in base64. `None` if it is none.
	pub fn parse(text: &str) -> Option<Self> {
		let bytes = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
		if !LENGTHS.contains(&bytes.len()) {
			return None;
		}
		Hmac::<Sha256>::new_from_slice(&bytes).ok().map(Self)
	}

	/// The value of the header `webhook-signature`. `time` is in seconds of Unix time.
	pub fn sign(&self, id: &str, time: u64, body: &str) -> String {
		let mut mac = self.0.clone();
		mac.update(format!("{id}.{time}.").as_bytes());
		mac.update(body.as_bytes());
		format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
	}
}

impl fmt::Debug for Secret {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str("Secret(..)")
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

	#[test]
	fn the_example_of_the_standard_has_the_signature_of_the_standard() {
		let secret = Secret::parse(SECRET).unwrap();
		let signature =
			secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
		assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
	}

	#[test]
	fn a_signature_is_for_one_event_one_time_and_one_body() {
		let secret = Secret::parse(SECRET).unwrap();
		let signature = secret.sign("msg_1", 1, "{}");
		assert_eq!(secret.sign("msg_1", 1, "{}"), signature);
		for other in [secret.sign("msg_2", 1, "{}"), secret.sign("msg_1", 2, "{}")] {
			assert_ne!(other, signature);
		}
		assert_ne!(secret.sign("msg_1", 1, "{ }"), signature);
	}

	#[test]
	fn what_is_no_secret_signs_nothing_and_a_secret_is_never_shown() {
		let short = format!("whsec_{}", STANDARD.encode([1; 23]));
		let long = format!("whsec_{}", STANDARD.encode([1; 65]));
		for bad in ["", "whsec_", &SECRET[6..], "whsec_not base64!", &short, &long] {
			assert!(Secret::parse(bad).is_none(), "{bad}");
		}
		assert_eq!(format!("{:?}", Secret::parse(SECRET).unwrap()), "Secret(..)");
	}
}
