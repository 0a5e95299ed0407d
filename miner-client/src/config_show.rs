//! `miner-client config show`: the settings that are in force, and where each of them comes from.

use anyhow::Result;
use clap::{Args, Subcommand};
use figment::{Figment, Source};
use serde_json::{json, Value};

use crate::{cli::Settings, config::Config, init::SETTINGS};

/// What is told of a setting that nobody has made.
const DEFAULT: &str = "default";

/// Look at the settings.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
	/// Print the settings that were made, each with where it comes from: a flag, the environment or the file.
	///
	/// What is printed is TOML that --config takes. Keys and passwords are not in it, only where they are.
	Show(ShowArgs),
}

/// What to print.
#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
	/// Print all settings, those too that nobody has made.
	#[arg(long)]
	resolved: bool,
	/// Print JSON: for each setting its value and its source.
	#[arg(long)]
	json: bool,
	#[command(flatten)]
	settings: Settings,
}

impl ConfigCommand {
	/// Does it. Fails if the settings are wrong.
	pub(crate) fn run(self) -> Result<()> {
		let Self::Show(ShowArgs { resolved, json, settings }) = self;
		let figment = Config::figment(settings.config.as_deref(), &settings);
		let config = settings.read()?;
		let mut lines = lines(&config, &figment)?;
		lines.retain(|line| resolved || line.source != DEFAULT);
		if json {
			let all = lines.iter().map(|line| {
				let Line { value, source, .. } = line;
				(line.name.to_owned(), json!({ "value": value, "source": source }))
			});
			println!("{}", serde_json::to_string_pretty(&all.collect::<serde_json::Map<_, _>>())?);
			return Ok(());
		}
		if lines.is_empty() {
			println!("# no setting was made; --resolved prints the defaults");
		}
		print!("{}", text(&lines));
		Ok(())
	}
}

/// A setting in force.
#[derive(Debug, PartialEq)]
struct Line {
	name: &'static str,
	value: Value,
	source: String,
}

/// All settings, in the order in which `init` tells them.
fn lines(config: &Config, figment: &Figment) -> Result<Vec<Line>> {
	let values = serde_json::to_value(config)?;
	let line = |name| Line {
		name,
		value: values.get(name).cloned().unwrap_or_default(),
		source: source(figment, name),
	};
	Ok(SETTINGS.iter().map(|setting| line(setting.name)).collect())
}

/// Who made a setting.
fn source(figment: &Figment, name: &str) -> String {
	let Some(metadata) = figment.find_metadata(name) else { return DEFAULT.into() };
	match &metadata.source {
		Some(Source::File(path)) => format!("file {}", path.display()),
		// Nothing in this program's code sets anything but what the command line says.
		Some(Source::Code(_)) => format!("flag {}", flag(name)),
		// The environment, which figment calls "`MINER_` environment variable(s)".
		_ => match metadata.name.split('`').nth(1) {
			Some(prefix) => format!("environment {prefix}{}", name.to_ascii_uppercase()),
			None => metadata.name.to_string(),
		},
	}
}

/// The flag for a setting.
fn flag(name: &str) -> String {
	match name {
		// It is given once for each.
		"devices" => "--device".into(),
		_ => format!("--{}", name.replace('_', "-")),
	}
}

/// TOML with the sources as comments.
fn text(lines: &[Line]) -> String {
	let setting = |line: &Line| match &line.value {
		Value::Null => format!("# {} is not set", line.name),
		// Text, numbers, truth values and lists of them are written alike in JSON and TOML.
		value => format!("{} = {value}", line.name),
	};
	let settings: Vec<String> = lines.iter().map(setting).collect();
	let width = settings.iter().map(|setting| setting.chars().count()).max().unwrap_or_default();
	let line = |(setting, line): (&String, &Line)| format!("{setting:width$}  # {}\n", line.source);
	settings.iter().zip(lines).map(line).collect()
}

#[cfg(test)]
mod tests {
	use super::*;
	use figment::{
		providers::{Env, Format, Serialized, Toml},
		value::Dict,
	};

	/// Settings from a file and from flags.
	fn figment(file: &std::path::Path) -> Figment {
		std::fs::write(file, "slots = 2\nthreads = 2\nmodel_dir = [\"a\", \"b\"]\n").unwrap();
		let flags: Dict =
			Figment::from(Toml::string("threads = 4\ndevices = [1]")).extract().unwrap();
		Figment::new().merge(Toml::file_exact(file)).merge(Serialized::defaults(flags))
	}

	#[test]
	fn every_setting_is_shown_with_its_source() {
		let file = tempfile::NamedTempFile::new().unwrap();
		let figment = figment(file.path());
		let lines = lines(&figment.extract().unwrap(), &figment).unwrap();
		assert_eq!(lines.len(), SETTINGS.len());
		let found = |name: &str| {
			let line = lines.iter().find(|line| line.name == name).unwrap();
			(line.value.clone(), line.source.clone())
		};
		let from_file = format!("file {}", file.path().display());
		assert_eq!(found("slots"), (json!(2), from_file.clone()));
		assert_eq!(found("model_dir"), (json!(["a", "b"]), from_file));
		assert_eq!(found("threads"), (json!(4), "flag --threads".into()));
		assert_eq!(found("devices"), (json!([1]), "flag --device".into()));
		assert_eq!(found("listen"), (json!("127.0.0.1:9617"), "default".into()));
		assert_eq!(found("genesis"), (Value::Null, "default".into()));
	}

	#[test]
	fn a_variable_of_the_environment_is_named() {
		// One that every process has, cut in two: what it says does not matter here.
		let figment = Figment::new().merge(Env::prefixed("PA").only(&["th"]));
		assert_eq!(source(&figment, "th"), "environment PATH");
	}

	#[test]
	fn what_is_printed_can_be_read_again() {
		let file = tempfile::NamedTempFile::new().unwrap();
		let figment = figment(file.path());
		let config: Config = figment.extract().unwrap();
		let lines = lines(&config, &figment).unwrap();
		let text = text(&lines);
		let again: Config = Figment::from(Toml::string(&text)).extract().unwrap();
		assert_eq!(again, config, "{text}");
		assert!(text.contains("# genesis is not set"), "{text}");
	}
}
