//! NVIDIA's GPUs, as its driver tells of them through NVML: what there is, and how hot and full it is.
//!
//! ONNX Runtime needs none of it; without NVML a miner works, and these figures are missing.

use std::{env, fmt};

use anyhow::Result;
use clap::Args;
use comfy_table::{presets, Table};
use indicatif::BinaryBytes;
use nvml_wrapper::{
	cuda_driver_version_major, cuda_driver_version_minor, enum_wrappers::device::TemperatureSensor,
	error::NvmlError, Device, Nvml,
};
use serde::Serialize;

/// Why nothing is known of GPUs. Says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum GpuError {
	/// NVML cannot be used.
	#[error(
		"NVIDIA's driver tells nothing of GPUs ({0}): install the driver, or see with `nvidia-smi` what is wrong with it; a container has to be started \
		 with `--gpus all` (NVIDIA Container Toolkit)"
	)]
	NoNvml(#[from] NvmlError),
}

/// A GPU.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Gpu {
	/// Its number, counted by the driver.
	pub index: u32,
	/// Its name.
	pub name: String,
	/// What it is known by wherever it sits.
	pub uuid: Option<String>,
	/// All of its memory, in bytes.
	pub memory_total: Option<u64>,
	/// What of it is in use, by anybody, in bytes.
	pub memory_used: Option<u64>,
	/// How hot it is, in °C.
	pub temperature: Option<u32>,
	/// What it draws, in W.
	pub power: Option<f64>,
	/// For how much of the last second or so it did something, in percent.
	pub utilization: Option<u32>,
	/// Why nothing more is known of it, if so.
	pub problem: Option<String>,
}

impl fmt::Display for Gpu {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		if let Some(problem) = &self.problem {
			return write!(f, "{problem}");
		}
		write!(f, "{}", self.name)?;
		if let (Some(used), Some(total)) = (self.memory_used, self.memory_total) {
			let free = total.saturating_sub(used);
			write!(f, ", {} of {} free", BinaryBytes(free), BinaryBytes(total))?;
		}
		if let Some(temperature) = self.temperature {
			write!(f, ", {temperature} °C")?;
		}
		Ok(())
	}
}

/// The driver and what it drives.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Facts {
	/// The driver's version.
	pub driver: String,
	/// The newest version of CUDA that the driver knows, such as `13.0`.
	pub cuda: String,
	/// The GPUs, in the driver's order.
	pub gpus: Vec<Gpu>,
}

/// A way to the driver. Opening it takes a moment, asking does not; it can be shared by threads.
pub struct Gpus(Nvml);

impl Gpus {
	/// Loads NVML.
	pub fn open() -> Result<Self, GpuError> {
		Ok(Self(Nvml::init()?))
	}

	/// Everything, as of now.
	pub fn facts(&self) -> Result<Facts, GpuError> {
		let cuda = self.0.sys_cuda_driver_version()?;
		let (major, minor) = (cuda_driver_version_major(cuda), cuda_driver_version_minor(cuda));
		let count = self.0.device_count()?;
		Ok(Facts {
			driver: self.0.sys_driver_version()?,
			cuda: format!("{major}.{minor}"),
			gpus: (0..count).map(|index| self.gpu(index)).collect(),
		})
	}

	/// One of them, as of now.
	pub fn gpu(&self, index: u32) -> Gpu {
		match self.0.device_by_index(index) {
			Ok(device) => look(index, &device),
			Err(error) => Gpu { index, problem: Some(error.to_string()), ..Gpu::default() },
		}
	}
}

/// What of it can be had: a GPU that has no sensor for something, or may not tell it, still has the rest.
fn look(index: u32, device: &Device<'_>) -> Gpu {
	let memory = device.memory_info().ok();
	Gpu {
		index,
		name: device.name().unwrap_or_else(|_| "a GPU without a name".into()),
		uuid: device.uuid().ok(),
		memory_total: memory.as_ref().map(|memory| memory.total),
		memory_used: memory.as_ref().map(|memory| memory.used),
		temperature: device.temperature(TemperatureSensor::Gpu).ok(),
		power: device.power_usage().ok().map(|milliwatts| f64::from(milliwatts) / 1e3),
		utilization: device.utilization_rates().ok().map(|rates| rates.gpu),
		problem: None,
	}
}

/// How to print the GPUs.
#[derive(Args, Debug)]
pub(crate) struct DevicesArgs {
	/// Print JSON instead of a table; sizes are in bytes then.
	#[arg(long)]
	json: bool,
}

/// `miner-client devices`: prints the GPUs.
pub(crate) fn devices(args: &DevicesArgs) -> Result<()> {
	let facts = Gpus::open()?.facts()?;
	if args.json {
		println!("{}", serde_json::to_string_pretty(&facts)?);
		return Ok(());
	}
	println!("driver {}, CUDA {}", facts.driver, facts.cuda);
	println!("{}", table(&facts.gpus).trim_fmt());
	for note in notes(|name| env::var(name).ok()) {
		println!("{note}");
	}
	Ok(())
}

fn table(gpus: &[Gpu]) -> Table {
	let mut table = Table::new();
	table.load_preset(presets::NOTHING);
	table.set_header(["GPU", "name", "memory", "in use", "temperature", "power", "busy"]);
	for gpu in gpus {
		let name = gpu.problem.as_ref().unwrap_or(&gpu.name);
		table.add_row([
			gpu.index.to_string(),
			name.clone(),
			shown(gpu.memory_total.map(BinaryBytes)),
			shown(gpu.memory_used.map(BinaryBytes)),
			shown(gpu.temperature.map(|degrees| format!("{degrees} °C"))),
			shown(gpu.power.map(|watts| format!("{watts:.0} W"))),
			shown(gpu.utilization.map(|percent| format!("{percent} %"))),
		]);
	}
	table
}

/// A value, or a dash for one that is not known.
fn shown(value: Option<impl fmt::Display>) -> String {
	value.map_or_else(|| "-".into(), |value| value.to_string())
}

/// Why CUDA's numbers, which `--device` takes, may be others than those of the table.
fn notes(variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
	let mut notes = Vec::new();
	if let Some(visible) = variable("CUDA_VISIBLE_DEVICES") {
		notes.push(format!(
			"CUDA_VISIBLE_DEVICES is {visible:?}: --device counts these alone, from 0."
		));
	}
	notes
}

#[cfg(test)]
mod tests {
	use super::*;

	fn gpu() -> Gpu {
		Gpu {
			index: 1,
			name: "NVIDIA H100".into(),
			memory_total: Some(80 << 30),
			memory_used: Some(20 << 30),
			temperature: Some(41),
			..Gpu::default()
		}
	}

	#[test]
	fn a_machine_with_or_without_a_driver_gets_an_answer() {
		match Gpus::open() {
			Ok(gpus) => {
				let facts = gpus.facts().unwrap();
				assert!(facts.cuda.contains('.'), "{facts:?}");
				assert!(gpus.gpu(u32::MAX).problem.is_some());
				println!("{facts:?}");
			},
			Err(error) => {
				let text = error.to_string();
				assert!(text.contains("nvidia-smi") && text.contains("--gpus all"), "{text}");
			},
		}
	}

	#[test]
	fn what_is_not_known_is_a_dash() {
		let lost = Gpu { index: 2, problem: Some("it fell off".into()), ..Gpu::default() };
		let text = table(&[gpu(), lost]).trim_fmt();
		let lines: Vec<&str> = text.lines().collect();
		assert_eq!(lines.len(), 3, "{text}");
		for part in ["NVIDIA H100", "80.00 GiB", "20.00 GiB", "41 °C", "-"] {
			assert!(lines[1].contains(part), "{text} lacks {part}");
		}
		assert!(lines[2].contains("it fell off"), "{text}");
	}

	#[test]
	fn a_gpu_is_one_line() {
		assert_eq!(gpu().to_string(), "NVIDIA H100, 60.00 GiB of 80.00 GiB free, 41 °C");
		let lost = Gpu { problem: Some("it fell off".into()), ..gpu() };
		assert_eq!(lost.to_string(), "it fell off");
	}

	#[test]
	fn numbers_that_may_differ_are_told() {
		assert!(notes(|_| None).is_empty());
		let few = |name: &str| (name == "CUDA_VISIBLE_DEVICES").then(|| "3".to_owned());
		assert!(notes(few)[0].contains("\"3\""));
	}
}
