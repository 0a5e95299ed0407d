//! `miner-client init`: a configuration file that explains itself, and a folder for keys.

use std::{
	fs::{self, OpenOptions},
	io::{self, Write},
	path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::Args;

use crate::config::Config;

/// The folder for keys, beside the configuration file.
const KEYS: &str = "keys";
/// The key that the file names.
const KEY_FILE: &str = "operator.json";

/// What stands at the beginning of the file.
const HEAD: &str = "\
# Settings of miner-client, read with --config FILE or MINER_CONFIG=FILE.
#
# A setting behind a # is not in force: it shows the default, or an example where there is none. Flags come before the environment
# (slots = 2 is MINER_SLOTS=2 there), the environment before this file, this file before the defaults. A name that is not known is an error.
# `miner-client config show --resolved --config FILE` tells what is in force and where each value comes from.
";

/// A setting, as people are told of it.
pub(crate) struct Setting {
	/// Its name, that of a field of [`Config`].
	pub(crate) name: &'static str,
	/// What it does, line by line.
	about: &'static str,
	/// What to show where there is no default, as TOML.
	example: &'static str,
}

/// All settings, in the order in which they are told.
pub(crate) const SETTINGS: &[Setting] = &[
	Setting {
		name: "node_url",
		about: "The nodes to talk to, ws:// or wss://. The next one is used when one fails; after some minutes the first is returned to.",
		example: "",
	},
	Setting {
		name: "genesis",
		about: "The chain, by its genesis hash: a node on another is refused. Without it, the chain of the first node that answers.",
		example: "\"0x91b171bb158e2d3848fa23a9f1c25182fb8e20313b2c1eb49219da7a70ce90c3\"",
	},
	Setting {
		name: "key_file",
		about: "The operator's key, encrypted: `miner-client key generate` makes it. It signs the work and pays its fees; the stake is its owner's, whose key\nbelongs on another machine.",
		example: "",
	},
	Setting {
		name: "password_file",
		about: "A file whose first line is the key's password. Without it the password is asked for.",
		example: "\"/etc/cuckoo/password\"",
	},
	Setting {
		name: "data_dir",
		about: "Where promises and results are kept. Whoever loses this folder cannot keep what it has promised, and is slashed for it.",
		example: "",
	},
	Setting {
		name: "model_dir",
		about: "The folders of the models to serve, at most 8. `miner-client models pull` fetches one.",
		example: "",
	},
	Setting {
		name: "model_store",
		about: "Where `miner-client models` keeps what it fetches. [default: the folder models in data_dir]",
		example: "\"/srv/cuckoo/models\"",
	},
	Setting { name: "slots", about: "How many tasks to compute at a time.", example: "" },
	Setting {
		name: "listen",
		about: "Where to answer /healthz, /readyz, /metrics and /status; on the loopback interface only.",
		example: "",
	},
	Setting {
		name: "onnxruntime",
		about: "ONNX Runtime's library, version 1.24 or later. [default: ORT_DYLIB_PATH, then beside the program, then /usr/local/lib and /usr/lib]",
		example: "\"/opt/onnxruntime/lib/libonnxruntime.so\"",
	},
	Setting {
		name: "allow_cpu",
		about: "Whether to run on the CPU where CUDA cannot be used. It is slower, and never happens without this.",
		example: "",
	},
	Setting {
		name: "devices",
		about: "The CUDA devices; each has a process of its own that runs the models. `miner-client devices` lists them.",
		example: "",
	},
	Setting {
		name: "threads",
		about: "The threads of a session on the CPU. [default: all cores of this machine]",
		example: "",
	},
	Setting {
		name: "batch",
		about: "How many inputs of a task a device runs together, 1 to 64; `miner-client bench --batch` tells what it brings. Models whose results must be the same to\nthe bit run one at a time, as do those that take no more.",
		example: "",
	},
	Setting {
		name: "memory_limit_mb",
		about: "What the files of the models kept open on a device may have together, in MiB: those not used for longest are closed for others.\nWithout it all stay open.",
		example: "16000",
	},
	Setting {
		name: "worker_limit_mb",
		about: "The memory that a process which runs models may take on the host, in MiB; beyond it it is begun anew. Without it there is no limit.",
		example: "32000",
	},
];

/// Where to put the file.
#[derive(Args, Debug)]
pub(crate) struct InitArgs {
	/// The configuration file to write. The folder for keys comes beside it, as `keys`.
	#[arg(value_name = "FILE", default_value = "miner.toml")]
	path: PathBuf,
	/// Overwrite a configuration file that is there. Keys are never overwritten.
	#[arg(long)]
	force: bool,
}

/// Does it, and says what comes next.
pub(crate) fn command(args: &InitArgs) -> Result<()> {
	let InitArgs { path, force } = args;
	let keys = init(path, *force)?;
	let (file, key) = (path.display(), keys.join(KEY_FILE));
	println!("wrote {file} and the folder {}; next:", keys.display());
	println!("  miner-client key generate --key-file {}", key.display());
	println!("  miner-client devices");
	println!("  miner-client models pull MODEL --from URL --config {file}");
	println!("  miner-client doctor --config {file}");
	Ok(())
}

/// Writes the file and makes the folder for keys, which is its owner's alone, and returns that folder. A file that is there is overwritten only with `force`.
pub fn init(path: &Path, force: bool) -> Result<PathBuf> {
	let cannot = || format!("cannot write {}", path.display());
	let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
	let folder = folder.unwrap_or(Path::new("."));
	fs::create_dir_all(folder).with_context(cannot)?;
	// A path that means the same wherever the miner is started.
	let keys = folder.canonicalize().with_context(cannot)?.join(KEYS);
	let text = template(&Config::default(), &keys.join(KEY_FILE))?;
	let mut how = OpenOptions::new();
	how.write(true);
	if force {
		how.create(true).truncate(true);
	} else {
		how.create_new(true);
	}
	let mut file = match how.open(path) {
		Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
			let advice = "to write it anew, with the defaults, pass --force";
			return Err(error).with_context(|| format!("{} is there: {advice}", path.display()));
		},
		opened => opened.with_context(cannot)?,
	};
	file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(cannot)?;
	make_private(&keys).with_context(|| format!("cannot make the folder {}", keys.display()))?;
	Ok(keys)
}

/// Makes a folder that nobody else can look into; one that is there becomes such a folder.
fn make_private(folder: &Path) -> io::Result<()> {
	let mut builder = fs::DirBuilder::new();
	builder.recursive(true);
	#[cfg(unix)]
	std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
	builder.create(folder)?;
	#[cfg(unix)]
	fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
	Ok(())
}

/// The file: every setting with what it does, behind a `#` except for the key.
fn template(defaults: &Config, key_file: &Path) -> Result<String> {
	let key_file = key_file.to_str().context("the path is not in UTF-8, as TOML must be")?;
	let defaults = serde_json::to_value(defaults)?;
	let mut text = HEAD.to_owned();
	for Setting { name, about, example } in SETTINGS {
		text += "\n";
		for line in about.lines() {
			text += &format!("# {line}\n");
		}
		// Text, numbers, truth values and lists of them are written alike in JSON and TOML.
		text += &match defaults.get(name) {
			_ if *name == "key_file" => {
				format!("{name} = {}\n", serde_json::Value::from(key_file))
			},
			Some(default) if example.is_empty() => format!("#{name} = {default}\n"),
			_ => format!("#{name} = {example}\n"),
		};
	}
	Ok(text)
}

#[cfg(test)]
mod tests {
	use super::*;
	use figment::{
		error::Kind,
		providers::{Format, Serialized, Toml},
		value::Dict,
		Figment,
	};

	/// The file with every setting in force.
	fn uncommented(text: &str) -> String {
		let setting = |line: &str| {
			line.strip_prefix('#')
				.filter(|s| s.contains(" = ") && !s.starts_with(' '))
				.map(str::to_owned)
		};
		text.lines().map(|line| setting(line).unwrap_or(line.to_owned()) + "\n").collect()
	}

	fn names(figment: &Figment) -> Vec<String> {
		let mut names: Vec<String> = figment.extract::<Dict>().unwrap().into_keys().collect();
		names.sort();
		names
	}

	/// What serde knows of the fields of the settings.
	fn fields() -> Vec<String> {
		let unknown = Figment::from(Serialized::default("no_such_setting", 1));
		let error = unknown.extract::<Config>().unwrap_err();
		let Kind::UnknownField(_, fields) = error.kind else { panic!("{error}") };
		let mut fields: Vec<String> = fields.iter().map(|field| field.to_string()).collect();
		fields.sort();
		fields
	}

	#[test]
	fn every_setting_is_told_and_can_be_used_as_it_stands() {
		let text = template(&Config::default(), Path::new("/home/me/keys/operator.json")).unwrap();
		let all = Figment::from(Toml::string(&uncommented(&text)));
		assert_eq!(names(&all), fields(), "a field of Config is missing here, or one too many");
		let config: Config = all.extract().unwrap();
		assert_eq!(config.slots, Config::default().slots);
		assert_eq!(config.devices, Config::default().devices);
		assert!(config.genesis.is_some() && config.memory_limit_mb.is_some());
		let told: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
		assert_eq!(told.len(), fields().len());
		for line in text.lines() {
			assert!(line.chars().count() <= 170, "{line}");
		}
	}

	#[test]
	fn only_the_key_is_set() {
		let text = template(&Config::default(), Path::new("/home/\"me\"/operator.json")).unwrap();
		let figment = Figment::from(Toml::string(&text));
		assert_eq!(names(&figment), ["key_file"]);
		let config: Config = figment.extract().unwrap();
		let key_file = Some(PathBuf::from("/home/\"me\"/operator.json"));
		assert_eq!(config, Config { key_file, ..Config::default() });
	}

	#[test]
	fn nothing_is_overwritten_without_force_and_keys_are_private() {
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("etc/miner.toml");
		let keys = init(&path, false).unwrap();
		assert!(keys.is_absolute() && keys.ends_with("etc/keys"), "{}", keys.display());
		fs::write(keys.join(KEY_FILE), "a key").unwrap();
		fs::write(&path, "slots = 2\n").unwrap();
		let error = format!("{:#}", init(&path, false).unwrap_err());
		assert!(error.contains("--force") && error.contains("miner.toml"), "{error}");
		assert_eq!(fs::read_to_string(&path).unwrap(), "slots = 2\n");
		#[cfg(unix)]
		{
			use std::os::unix::fs::PermissionsExt;
			let open = fs::Permissions::from_mode(0o755);
			fs::set_permissions(&keys, open).unwrap();
			init(&path, true).unwrap();
			let mode = fs::metadata(&keys).unwrap().permissions().mode();
			assert_eq!(mode & 0o777, 0o700);
		}
		init(&path, true).unwrap();
		assert!(fs::read_to_string(&path).unwrap().contains("#slots = 1"));
		assert_eq!(fs::read_to_string(keys.join(KEY_FILE)).unwrap(), "a key");
	}
}
