//! The denoising schedule, as `scheduler_config.json` of a diffusers export tells it: at which time steps a run asks the model, and how the latents go from
//! one to the next. `_class_name` says which of two methods it is, [`Ddim`] or [`Euler`]; both are deterministic, no noise is added on the way.
//!
//! The schedule is computed in f64, tensors in f32.

mod ddim;
mod euler;

use anyhow::{bail, Context, Result};
use serde::Deserialize;

pub use self::{ddim::Ddim, euler::Euler};
use crate::job::JobError;

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BetaSchedule {
	Linear,
	ScaledLinear,
}

/// What the model's output stands for.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Prediction {
	Epsilon,
	#[serde(rename = "v_prediction")]
	Velocity,
	Sample,
}

/// How the time steps of a run are spread over those of the training.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Spacing {
	Leading,
	Trailing,
	Linspace,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Interpolation {
	Linear,
	LogLinear,
}

/// The noise level that a run ends at.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FinalSigma {
	Zero,
	SigmaMin,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TimestepType {
	Discrete,
	Continuous,
}

/// The fields of `scheduler_config.json` that matter, with diffusers' defaults for those that are not there.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Config {
	num_train_timesteps: usize,
	beta_start: f64,
	beta_end: f64,
	beta_schedule: BetaSchedule,
	trained_betas: Option<Vec<f64>>,
	prediction_type: Prediction,
	/// By default leading with DDIM, linspace with Euler.
	timestep_spacing: Option<Spacing>,
	steps_offset: usize,
	rescale_betas_zero_snr: bool,
	// Of DDIM alone.
	set_alpha_to_one: bool,
	clip_sample: bool,
	clip_sample_range: f32,
	thresholding: bool,
	// Of Euler alone.
	interpolation_type: Interpolation,
	use_karras_sigmas: bool,
	use_exponential_sigmas: bool,
	use_beta_sigmas: bool,
	sigma_min: Option<f64>,
	sigma_max: Option<f64>,
	timestep_type: TimestepType,
	final_sigmas_type: FinalSigma,
}

impl Default for Config {
	fn default() -> Self {
		Self {
			num_train_timesteps: 1000,
			beta_start: 0.0001,
			beta_end: 0.02,
			beta_schedule: BetaSchedule::Linear,
			trained_betas: None,
			prediction_type: Prediction::Epsilon,
			timestep_spacing: None,
			steps_offset: 0,
			rescale_betas_zero_snr: false,
			set_alpha_to_one: true,
			clip_sample: true,
			clip_sample_range: 1.0,
			thresholding: false,
			interpolation_type: Interpolation::Linear,
			use_karras_sigmas: false,
			use_exponential_sigmas: false,
			use_beta_sigmas: false,
			sigma_min: None,
			sigma_max: None,
			timestep_type: TimestepType::Discrete,
			final_sigmas_type: FinalSigma::Zero,
		}
	}
}

/// What a model was trained with, and how a run's time steps are taken from it.
#[derive(Debug)]
struct Training {
	/// The share of the clean signal's variance at each training time step.
	alphas: Vec<f64>,
	spacing: Spacing,
	offset: usize,
}

impl Training {
	fn new(config: &Config, spacing: Spacing) -> Result<Self> {
		let total = config.num_train_timesteps;
		if !(2..=100_000).contains(&total) {
			bail!("num_train_timesteps {total} is not from 2 to 100000");
		}
		if config.trained_betas.is_some() || config.rescale_betas_zero_snr {
			bail!("trained_betas and rescale_betas_zero_snr are not supported");
		}
		let (start, end) = (config.beta_start, config.beta_end);
		let betas: Vec<f64> = match config.beta_schedule {
			BetaSchedule::Linear => linspace(start, end, total).collect(),
			BetaSchedule::ScaledLinear => {
				linspace(start.sqrt(), end.sqrt(), total).map(|b| b * b).collect()
			},
		};
		if !betas.iter().all(|b| *b > 0.0 && *b < 1.0) {
			bail!("betas from {start} to {end} do not lie between 0 and 1");
		}
		let alphas = betas.iter().scan(1.0, |product, beta| {
			*product *= 1.0 - beta;
			Some(*product)
		});
		Ok(Self {
			alphas: alphas.collect(),
			spacing: config.timestep_spacing.unwrap_or(spacing),
			offset: config.steps_offset,
		})
	}

	/// The time steps of a run, the noisiest first. Those of [`Spacing::Linspace`] may lie between two of the training.
	fn timesteps(&self, steps: usize) -> Result<Vec<f64>, JobError> {
		let total = self.alphas.len();
		if steps == 0 || steps > total {
			return Err(JobError::Input(format!("{steps} steps; the model can do 1 to {total}")));
		}
		let timesteps: Vec<f64> = match self.spacing {
			Spacing::Leading => {
				let jump = total / steps;
				(0..steps).rev().map(|i| (i * jump + self.offset) as f64).collect()
			},
			Spacing::Trailing => {
				let jump = total as f64 / steps as f64;
				let down = (0..steps).map(|i| total as f64 - i as f64 * jump);
				down.map(|t| t.round_ties_even() - 1.0).collect()
			},
			Spacing::Linspace => {
				let mut up: Vec<f64> = linspace(0.0, (total - 1) as f64, steps).collect();
				up.reverse();
				up
			},
		};
		match timesteps.iter().find(|t| **t > (total - 1) as f64) {
			Some(t) => Err(JobError::Input(format!(
				"with {steps} steps the model's schedule would start at time step {t} of {total}"
			))),
			None => Ok(timesteps),
		}
	}
}

/// A model's method.
#[derive(Debug)]
pub enum Scheduler {
	/// `DDIMScheduler`
	Ddim(Ddim),
	/// `EulerDiscreteScheduler`
	Euler(Euler),
}

impl Scheduler {
	/// Reads `scheduler_config.json`.
	pub fn from_json(json: &str) -> Result<Self> {
		Self::read(json).context("scheduler_config.json")
	}

	fn read(json: &str) -> Result<Self> {
		#[derive(Deserialize)]
		struct Class {
			#[serde(rename = "_class_name")]
			name: Option<String>,
		}
		let class: Class = serde_json::from_str(json)?;
		match class.name.as_deref() {
			Some("DDIMScheduler") => Ok(Self::Ddim(Ddim::new(&serde_json::from_str(json)?)?)),
			Some("EulerDiscreteScheduler") => {
				Ok(Self::Euler(Euler::new(&serde_json::from_str(json)?)?))
			},
			other => bail!(
				"scheduler {} is not supported; models with a DDIMScheduler or an EulerDiscreteScheduler can be run",
				other.unwrap_or("without a _class_name")
			),
		}
	}

	/// What a run of so many steps does.
	pub fn schedule(&self, steps: usize) -> Result<Schedule, JobError> {
		match self {
			Self::Ddim(ddim) => ddim.schedule(steps),
			Self::Euler(euler) => euler.schedule(steps),
		}
	}
}

/// A run: where it starts, and what it does.
#[derive(Debug)]
pub struct Schedule {
	/// The noise level that the latents start at: the standard deviation of every value.
	pub init_noise_sigma: f32,
	/// The steps, the noisiest first.
	pub steps: Vec<Step>,
}

/// A step down to less noise.
#[derive(Debug)]
pub struct Step {
	/// The training time step that the model is asked at. May lie between two of them.
	pub timestep: f32,
	update: Update,
}

#[derive(Debug)]
enum Update {
	Ddim(ddim::Update),
	Euler(euler::Update),
}

impl Step {
	/// What the model gets to see of the latents.
	pub fn input(&self, latents: &[f32]) -> Vec<f32> {
		match &self.update {
			Update::Ddim(_) => latents.to_vec(),
			Update::Euler(euler) => euler.input(latents),
		}
	}

	/// The latents after this step, from those before it and the model's output for them.
	pub fn next(&self, latents: &[f32], out: &[f32]) -> Vec<f32> {
		match &self.update {
			Update::Ddim(ddim) => ddim.next(latents, out),
			Update::Euler(euler) => euler.next(latents, out),
		}
	}
}

/// `count` numbers from `start` to `end`, both included, as numpy spaces them.
fn linspace(start: f64, end: f64, count: usize) -> impl Iterator<Item = f64> {
	let step = if count > 1 { (end - start) / (count - 1) as f64 } else { 0.0 };
	(0..count).map(move |i| if i > 0 && i == count - 1 { end } else { start + i as f64 * step })
}

#[cfg(test)]
mod tests {
	use super::*;
	use serde_json::Value;

	/// The demo model's schedule, with some fields set otherwise.
	pub(super) fn scheduler(change: &str) -> Result<Scheduler> {
		let base = r#"{"_class_name": "DDIMScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
			"clip_sample": false, "timestep_spacing": "trailing", "trained_betas": null, "skip_prk_steps": true}"#;
		let mut config: serde_json::Map<String, Value> = serde_json::from_str(base).unwrap();
		config.extend(serde_json::from_str::<serde_json::Map<String, Value>>(change).unwrap());
		Scheduler::from_json(&serde_json::to_string(&config).unwrap())
	}

	/// The time steps of a run.
	pub(super) fn timesteps(change: &str, steps: usize) -> Vec<f32> {
		let schedule = scheduler(change).unwrap().schedule(steps).unwrap();
		schedule.steps.iter().map(|step| step.timestep).collect()
	}

	/// What a perfect model says of latents that are `signal * clean + noise * eps`.
	pub(super) fn truth(
		prediction: &str,
		clean: f32,
		eps: f32,
		(signal, noise): (f32, f32),
	) -> f32 {
		match prediction {
			"epsilon" => eps,
			"v_prediction" => signal * eps - noise * clean,
			_ => clean,
		}
	}

	#[derive(Deserialize)]
	struct Golden {
		name: String,
		config: Value,
		steps: usize,
		init_noise_sigma: f32,
		timesteps: Vec<f32>,
		/// Before each step, and after the last.
		latents: Vec<Vec<f32>>,
		/// What the model sees at each step.
		inputs: Vec<Vec<f32>>,
		/// What it answers.
		outs: Vec<Vec<f32>>,
	}

	/// `goldens.json` is what `scripts/demo-model/schedulers.py` writes: whole runs over three values, by the schedulers of `reference.py` there, which are NumPy
	/// and share no code with these. `test_schedulers.py` beside it tells when the file and the script differ.
	#[test]
	fn runs_as_in_the_reference() {
		let close = |found: &[f32], known: &[f32], what: &str| {
			assert_eq!(found.len(), known.len(), "{what}");
			for (f, k) in found.iter().zip(known) {
				assert!((f - k).abs() <= 2e-6 * k.abs().max(1.0), "{what}: {f} is not {k}");
			}
		};
		let goldens: Vec<Golden> = serde_json::from_str(include_str!("goldens.json")).unwrap();
		assert!(goldens.len() >= 10);
		for golden in goldens {
			let name = &golden.name;
			let scheduler = Scheduler::from_json(&golden.config.to_string()).unwrap();
			let schedule = scheduler.schedule(golden.steps).unwrap();
			close(&[schedule.init_noise_sigma], &[golden.init_noise_sigma], name);
			let found: Vec<f32> = schedule.steps.iter().map(|step| step.timestep).collect();
			close(&found, &golden.timesteps, name);
			for (i, step) in schedule.steps.iter().enumerate() {
				let (before, after) = (&golden.latents[i], &golden.latents[i + 1]);
				close(&step.input(before), &golden.inputs[i], name);
				close(&step.next(before, &golden.outs[i]), after, name);
			}
		}
	}

	#[test]
	fn impossible_runs_are_refused() {
		for class in ["DDIMScheduler", "EulerDiscreteScheduler"] {
			let change = format!(
				r#"{{"_class_name": "{class}", "timestep_spacing": "leading", "steps_offset": 1}}"#
			);
			let offset = scheduler(&change).unwrap();
			assert!(offset.schedule(1000).is_err(), "would start beyond the end");
			assert!(offset.schedule(0).is_err() && offset.schedule(1001).is_err());
			assert_eq!(timesteps(&change, 4), [751.0, 501.0, 251.0, 1.0]);
		}
	}

	#[test]
	fn what_is_not_implemented_is_said() {
		let refused = |change: &str| {
			let error = format!("{:#}", scheduler(change).unwrap_err());
			assert!(error.contains("scheduler_config.json"), "{error}");
			error
		};
		for (change, word) in [
			(r#"{"_class_name": "PNDMScheduler"}"#, "PNDMScheduler is not supported"),
			(r#"{"_class_name": "LMSDiscreteScheduler"}"#, "LMSDiscreteScheduler"),
			(r#"{"_class_name": "EulerAncestralDiscreteScheduler"}"#, "EulerAncestral"),
			(r#"{"_class_name": "X"}"#, "a DDIMScheduler or an EulerDiscreteScheduler can be run"),
			(r#"{"_class_name": null}"#, "_class_name"),
			(r#"{"beta_schedule": "squaredcos_cap_v2"}"#, "squaredcos_cap_v2"),
			(r#"{"prediction_type": "flow"}"#, "flow"),
			(r#"{"thresholding": true}"#, "thresholding"),
			(r#"{"trained_betas": [0.1]}"#, "trained_betas"),
			(r#"{"beta_end": 1.5}"#, "1.5"),
			(r#"{"num_train_timesteps": 1}"#, "num_train_timesteps"),
			(r#"{"clip_sample": true, "clip_sample_range": -1}"#, "clip_sample_range"),
		] {
			let error = refused(change);
			assert!(error.contains(word), "{error}");
		}
		for (fields, word) in [
			(r#""trained_betas": [0.1]"#, "trained_betas"),
			(r#""rescale_betas_zero_snr": true"#, "rescale_betas_zero_snr"),
			(r#""prediction_type": "sample""#, "prediction_type sample"),
			(r#""interpolation_type": "log_linear""#, "log_linear"),
			(r#""timestep_type": "continuous""#, "continuous"),
			(r#""use_beta_sigmas": true"#, "use_beta_sigmas"),
			(r#""use_exponential_sigmas": true"#, "use_exponential_sigmas"),
			(r#""use_karras_sigmas": true, "sigma_min": 20"#, "sigma_min"),
			(r#""use_karras_sigmas": true, "sigma_min": 0"#, "sigma_min"),
		] {
			let error =
				refused(&format!(r#"{{"_class_name": "EulerDiscreteScheduler", {fields}}}"#));
			assert!(error.contains(word), "{error}");
		}
	}
}
