//! Operator keys in encrypted files.
//!
//! The format is polkadot.js's (JSON, version 3: sr25519 in PKCS#8, scrypt, XSalsa20-Poly1305), so a key made here opens in a wallet and a wallet's
//! exported account opens here. A file is never overwritten: a key that is lost takes its stake's operator with it.

use std::{
	fs, io,
	io::{Read, Write},
	path::{Path, PathBuf},
};

use base64::{engine::general_purpose::STANDARD, Engine};
use crypto_secretbox::{aead::Aead, KeyInit, XSalsa20Poly1305};
use rand::{rngs::OsRng, RngCore};
use serde::{Deserialize, Serialize};
use sp_core::{
	crypto::{AccountId32, Pair as _},
	sr25519::Pair,
};
use subxt_signer::{polkadot_js_compat, sr25519::Keypair};
use zeroize::Zeroizing;

/// What polkadot.js calls pkcs8: this, the 64 bytes of an Ed25519-style secret key, [`DIVIDER`], the public key.
const HEADER: [u8; 16] = [48, 83, 2, 1, 1, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];
const DIVIDER: [u8; 5] = [161, 35, 3, 33, 0];
const PLAIN: usize = HEADER.len() + 64 + DIVIDER.len() + 32;
/// Salt, the three scrypt parameters, nonce, tag.
const OVERHEAD: usize = 32 + 3 * 4 + 24 + 16;

/// polkadot.js reads these scrypt parameters in every version; newer ones write a fourfold N.
const LOG_N: u8 = 15;
const R: u32 = 8;
const P: u32 = 1;

/// No key file is near as large.
const MAX_FILE: u64 = 64 << 10;

/// Why a key was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
	/// The file system refused.
	#[error("cannot use the key file {}: {source}", .path.display())]
	Io {
		/// The file.
		path: PathBuf,
		/// What it said.
		source: io::Error,
	},
	/// There is a file in the way.
	#[error("{} exists and is never overwritten: give another path", .0.display())]
	Exists(PathBuf),
	/// It is something else.
	#[error("{} is no encrypted sr25519 key in polkadot.js's format, version 3: {why}", .path.display())]
	Malformed {
		/// The file.
		path: PathBuf,
		/// What is wrong with it.
		why: String,
	},
	/// The password opens nothing.
	#[error("the password does not open {}", .0.display())]
	WrongPassword(PathBuf),
	/// There would be no protection.
	#[error("the password is empty: choose one, it is all that protects a copied file")]
	EmptyPassword,
	/// Not a secret that keys are made of.
	// What was given stays out of the message: it may be a mistyped phrase.
	#[error("not a secret: expected 12 to 24 words, 0x and 64 hex digits, or a path like //Alice")]
	BadSecret,
}

#[derive(Serialize, Deserialize)]
struct KeyFile {
	encoded: String,
	encoding: Encoding,
	address: AccountId32,
	#[serde(default)]
	meta: Meta,
}

#[derive(Serialize, Deserialize)]
struct Encoding {
	content: Vec<String>,
	r#type: Vec<String>,
	version: String,
}

#[derive(Default, Serialize, Deserialize)]
struct Meta {
	#[serde(default)]
	name: String,
}

/// A new key from the system's randomness.
pub fn generate() -> Pair {
	Pair::generate().0
}

/// The key of a secret URI: a phrase or a hex seed, with a derivation path and a password if it has them.
pub fn from_suri(suri: &str) -> Result<Pair, KeystoreError> {
	match suri.trim() {
		// To the library nothing means the phrase that everybody knows.
		"" => Err(KeystoreError::BadSecret),
		// Its error quotes the secret.
		suri => Pair::from_string(suri, None).map_err(|_| KeystoreError::BadSecret),
	}
}

/// Writes a key to a new file that only its owner can read, in a folder that is made if it is missing.
pub fn write(
	path: &Path,
	key: &Pair,
	password: &str,
	name: &str,
) -> Result<AccountId32, KeystoreError> {
	if password.is_empty() {
		return Err(KeystoreError::EmptyPassword);
	}
	let account = AccountId32::from(key.public());
	let owned = |words: [&str; 2]| words.map(str::to_owned).to_vec();
	let file = KeyFile {
		encoded: STANDARD.encode(seal(key, password)),
		encoding: Encoding {
			content: owned(["pkcs8", "sr25519"]),
			r#type: owned(["scrypt", "xsalsa20-poly1305"]),
			version: "3".into(),
		},
		address: account.clone(),
		meta: Meta { name: name.into() },
	};
	let failed = |source: io::Error| match source.kind() {
		io::ErrorKind::AlreadyExists => KeystoreError::Exists(path.into()),
		_ => KeystoreError::Io { path: path.into(), source },
	};
	let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
	make_private(folder).map_err(failed)?;
	// Appears whole or not at all; a temporary file is its owner's alone from the start.
	let mut new = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
	serde_json::to_writer_pretty(&mut new, &file).map_err(|e| failed(e.into()))?;
	new.write_all(b"\n").and_then(|()| new.as_file().sync_all()).map_err(failed)?;
	new.persist_noclobber(path).map_err(|e| failed(e.error))?;
	Ok(account)
}

/// Makes a folder and those above it, for their owner alone. Leaves folders that exist as they are.
fn make_private(folder: &Path) -> io::Result<()> {
	let mut builder = fs::DirBuilder::new();
	builder.recursive(true);
	#[cfg(unix)]
	std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
	builder.create(folder)
}

/// Salt, scrypt parameters, nonce and the encrypted key, as polkadot.js lays them out.
fn seal(key: &Pair, password: &str) -> Vec<u8> {
	let mut plain = Zeroizing::new(Vec::<u8>::with_capacity(PLAIN));
	plain.extend_from_slice(&HEADER);
	plain.extend_from_slice(&*Zeroizing::new(key.as_ref().secret.to_ed25519_bytes()));
	plain.extend_from_slice(&DIVIDER);
	plain.extend_from_slice(&key.public().0);

	let (mut salt, mut nonce) = ([0u8; 32], [0u8; 24]);
	OsRng.fill_bytes(&mut salt);
	OsRng.fill_bytes(&mut nonce);
	let mut secret = Zeroizing::new([0u8; 32]);
	let params = scrypt::Params::new(LOG_N, R, P, secret.len()).expect("constants in range; qed");
	scrypt::scrypt(password.as_bytes(), &salt, &params, &mut secret[..])
		.expect("32 bytes are a valid length; qed");
	let sealed = XSalsa20Poly1305::new((&*secret).into())
		.encrypt((&nonce).into(), plain.as_slice())
		.expect("a vector grows as needed; qed");

	let mut out = Vec::with_capacity(OVERHEAD + PLAIN);
	out.extend_from_slice(&salt);
	for parameter in [1u32 << LOG_N, P, R] {
		out.extend_from_slice(&parameter.to_le_bytes());
	}
	out.extend_from_slice(&nonce);
	out.extend_from_slice(&sealed);
	out
}

/// Opens a key file.
pub fn read(path: &Path, password: &str) -> Result<Keypair, KeystoreError> {
	use polkadot_js_compat::Error;
	let (text, _) = load(path)?;
	polkadot_js_compat::decrypt_json(&text, password).map_err(|error| match error {
		Error::Secretbox(_) => KeystoreError::WrongPassword(path.into()),
		other => KeystoreError::Malformed { path: path.into(), why: other.to_string() },
	})
}

/// Whose key a file says it holds, and the name it gives it. Only [`read`] shows that it is true.
pub fn inspect(path: &Path) -> Result<(AccountId32, String), KeystoreError> {
	let (_, file) = load(path)?;
	Ok((file.address, file.meta.name))
}

fn load(path: &Path) -> Result<(String, KeyFile), KeystoreError> {
	let mut text = String::new();
	fs::File::open(path)
		.and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
		.map_err(|source| KeystoreError::Io { path: path.into(), source })?;
	let malformed = |why: String| KeystoreError::Malformed { path: path.into(), why };
	let file: KeyFile = serde_json::from_str(&text).map_err(|e| malformed(e.to_string()))?;
	// The library that decrypts trusts the length.
	match STANDARD.decode(&file.encoded) {
		Ok(bytes) if bytes.len() == OVERHEAD + PLAIN => Ok((text, file)),
		Ok(bytes) => Err(malformed(format!("it encodes {} bytes", bytes.len()))),
		Err(error) => Err(malformed(error.to_string())),
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	/// `//Alice//operator`, exported by @polkadot/keyring 14.0.3.
	const FROM_POLKADOT_JS: &str = r#"{"encoded":"ZV1sxZZ2dnkMDxUGLC1wCiSOKOZP1onc4wKjyMu0h6AAAAIAAQAAAAgAAABTL3Rjam4OshRr+QqhJTCdg5it8XxMmKzsitiE48UIEINnhPtR01vwZGDQ4kXOv8ANfATlnhZ4iSq6E/Mo/GhkOQYy1CWLqwSlpSjw077+R+CTWlK3tGNQkLjxjxsRRYcQg0TI3Jgx4QC46QXSt93gaE/lUrTR4GikD1dl30hEci4fjwZyrvGk+ZzR/8fFdzYCcf9S+bXbSuFt0/Ep","encoding":{"content":["pkcs8","sr25519"],"type":["scrypt","xsalsa20-poly1305"],"version":"3"},"address":"5FREtNVBdrzTfNbYvFrWCDFGzvYr6CkrGiuaMQ9sprTbsNSg","meta":{"name":"operator"}}"#;
	const PASSWORD: &str = "correct horse";

	#[test]
	fn a_written_key_is_read_back() {
		let folder = tempfile::tempdir().unwrap();
		let path = folder.path().join("keys/operator.json");
		for key in [generate(), from_suri("//Alice").unwrap(), from_suri("//a/soft").unwrap()] {
			let account = write(&path, &key, PASSWORD, "mine").unwrap();
			let read = read(&path, PASSWORD).unwrap();
			assert_eq!(read.public_key().0, key.public().0);
			let signature = sp_core::sr25519::Signature::from(read.sign(b"message").0);
			assert!(Pair::verify(&signature, b"message", &key.public()));
			assert_eq!(inspect(&path).unwrap(), (account, "mine".to_owned()));
			fs::remove_file(&path).unwrap();
		}
	}

	#[test]
	fn a_key_of_polkadot_js_is_read() {
		let folder = tempfile::tempdir().unwrap();
		let path = folder.path().join("operator.json");
		fs::write(&path, FROM_POLKADOT_JS).unwrap();
		let expected = from_suri("//Alice//operator").unwrap();
		assert_eq!(read(&path, PASSWORD).unwrap().public_key().0, expected.public().0);
		assert!(matches!(read(&path, "wrong"), Err(KeystoreError::WrongPassword(_))));
	}

	#[test]
	fn a_file_is_private_and_never_overwritten() {
		let folder = tempfile::tempdir().unwrap();
		let path = folder.path().join("keys/operator.json");
		let first = write(&path, &generate(), PASSWORD, "first").unwrap();
		let second = write(&path, &generate(), PASSWORD, "second");
		assert!(matches!(second, Err(KeystoreError::Exists(_))));
		assert_eq!(inspect(&path).unwrap().0, first);
		#[cfg(unix)]
		{
			use std::os::unix::fs::PermissionsExt;
			let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
			assert_eq!(mode(&path), 0o600);
			assert_eq!(mode(path.parent().unwrap()), 0o700);
		}
	}

	#[test]
	fn bad_passwords_and_secrets_are_refused() {
		let folder = tempfile::tempdir().unwrap();
		let path = folder.path().join("operator.json");
		let empty = write(&path, &generate(), "", "name");
		assert!(matches!(empty, Err(KeystoreError::EmptyPassword)));
		for secret in ["", "alice bob", "0x1234"] {
			assert!(matches!(from_suri(secret), Err(KeystoreError::BadSecret)), "{secret}");
		}
	}

	#[test]
	fn what_is_no_key_file_is_refused_without_a_panic() {
		let folder = tempfile::tempdir().unwrap();
		let path = folder.path().join("operator.json");
		assert!(matches!(read(&path, PASSWORD), Err(KeystoreError::Io { .. })));
		let short = FROM_POLKADOT_JS.replace("ZV1sxZZ2dnkMDxUG", "");
		let old = FROM_POLKADOT_JS.replace(r#""version":"3""#, r#""version":"2""#);
		for text in ["", "{}", "not json", short.as_str(), old.as_str()] {
			fs::write(&path, text).unwrap();
			let error = read(&path, PASSWORD).err().unwrap();
			assert!(matches!(error, KeystoreError::Malformed { .. }), "{error}");
		}
	}
}
