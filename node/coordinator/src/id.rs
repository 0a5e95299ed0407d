//! Names of jobs, and the time.

use std::{
	fmt,
	str::FromStr,
	time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds of Unix time.
pub fn unix_millis() -> u64 {
	let since = SystemTime::now().duration_since(UNIX_EPOCH);
	// Some hundred million years are left.
	since.map_or(0, |since| since.as_millis() as u64)
}

/// Seconds of Unix time.
pub fn unix_now() -> u64 {
	SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// A job's name: 48 bits of time, so that jobs sort by age, and 80 random bits, so that nobody guesses another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u128);

impl JobId {
	/// A new id, of now.
	pub fn random() -> Self {
		let millis =
			SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
		Self((millis << 80) | (rand::random::<u128>() >> 48))
	}
}

impl JobId {
	/// When it was made, in milliseconds of Unix time.
	pub fn millis(self) -> u64 {
		(self.0 >> 80) as u64
	}
}

impl fmt::Display for JobId {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		write!(f, "job_{:032x}", self.0)
	}
}

impl FromStr for JobId {
	type Err = &'static str;

	fn from_str(text: &str) -> Result<Self, Self::Err> {
		text.strip_prefix("job_")
			.filter(|hex| hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
			.and_then(|hex| u128::from_str_radix(hex, 16).ok())
			.map(Self)
			.ok_or("a job id is \"job_\" and 32 hexadecimal digits")
	}
}

impl Serialize for JobId {
	fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
		to.collect_str(self)
	}
}

impl<'de> Deserialize<'de> for JobId {
	fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
		String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn ids_sort_by_age_and_read_back() {
		let id = JobId::random();
		assert_eq!(id.to_string().parse(), Ok(id));
		for bad in ["", "job_", "job_12", "job_+123456789012345678901234567890a", "x"] {
			assert!(bad.parse::<JobId>().is_err(), "{bad}");
		}
		std::thread::sleep(std::time::Duration::from_millis(2));
		assert!(JobId::random() > id);
	}
}
