//! The denoising schedule: DDIM (J. Song, C. Meng, S. Ermon, "Denoising diffusion implicit models", 2021) without noise between the steps
//! (η = 0), as diffusers' `DDIMScheduler` reads it from `scheduler_config.json`.
//!
//! The schedule is computed in f64, tensors in f32.

use anyhow::{bail, Context, Result};
use serde::Deserialize;

use crate::job::JobError;

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BetaSchedule {
	Linear,
	ScaledLinear,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Prediction {
	Epsilon,
	#[serde(rename = "v_prediction")]
	Velocity,
	Sample,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Spacing {
	Leading,
	Trailing,
	Linspace,
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
	timestep_spacing: Spacing,
	steps_offset: usize,
	set_alpha_to_one: bool,
	clip_sample: bool,
	clip_sample_range: f32,
	thresholding: bool,
	rescale_betas_zero_snr: bool,
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
			timestep_spacing: Spacing::Leading,
			steps_offset: 0,
			set_alpha_to_one: true,
			clip_sample: true,
			clip_sample_range: 1.0,
			thresholding: false,
			rescale_betas_zero_snr: false,
		}
	}
}

/// The schedule of one model.
#[derive(Debug)]
pub struct Ddim {
	/// The share of the clean signal's variance at each training time step.
	alphas: Vec<f64>,
	final_alpha: f64,
	prediction: Prediction,
	spacing: Spacing,
	offset: usize,
	clip: Option<f32>,
}

impl Ddim {
	/// The noise level that the latents start at.
	pub const INIT_NOISE_SIGMA: f32 = 1.0;

	/// Reads `scheduler_config.json`.
	pub fn from_json(json: &str) -> Result<Self> {
		#[derive(Deserialize)]
		struct Class {
			#[serde(rename = "_class_name")]
			name: Option<String>,
		}
		let class: Class = serde_json::from_str(json).context("scheduler_config.json")?;
		match class.name.as_deref() {
			Some("DDIMScheduler") => {},
			other => bail!(
				"scheduler_config.json: scheduler {} is not supported yet; models with a DDIMScheduler can be run",
				other.unwrap_or("without a _class_name")
			),
		}
		let config: Config = serde_json::from_str(json).context("scheduler_config.json")?;
		let total = config.num_train_timesteps;
		if !(1..=100_000).contains(&total) {
			bail!("scheduler_config.json: num_train_timesteps {total} is not from 1 to 100000");
		}
		if config.trained_betas.is_some() || config.thresholding || config.rescale_betas_zero_snr {
			bail!("scheduler_config.json: trained_betas, thresholding and rescale_betas_zero_snr are not supported");
		}
		if config.clip_sample && config.clip_sample_range <= 0.0 {
			bail!("scheduler_config.json: clip_sample_range is not above 0");
		}
		let (start, end) = (config.beta_start, config.beta_end);
		let betas: Vec<f64> = match config.beta_schedule {
			BetaSchedule::Linear => linspace(start, end, total).collect(),
			BetaSchedule::ScaledLinear => {
				linspace(start.sqrt(), end.sqrt(), total).map(|b| b * b).collect()
			},
		};
		if !betas.iter().all(|b| *b > 0.0 && *b < 1.0) {
			bail!("scheduler_config.json: betas from {start} to {end} do not lie between 0 and 1");
		}
		let alphas: Vec<f64> = betas
			.iter()
			.scan(1.0, |product, beta| {
				*product *= 1.0 - beta;
				Some(*product)
			})
			.collect();
		Ok(Self {
			final_alpha: if config.set_alpha_to_one { 1.0 } else { alphas[0] },
			alphas,
			prediction: config.prediction_type,
			spacing: config.timestep_spacing,
			offset: config.steps_offset,
			clip: config.clip_sample.then_some(config.clip_sample_range),
		})
	}

	/// The time steps of a run, the noisiest first.
	pub fn timesteps(&self, steps: usize) -> Result<Vec<usize>, JobError> {
		let total = self.alphas.len();
		if steps == 0 || steps > total {
			return Err(JobError::Input(format!("{steps} steps; the model can do 1 to {total}")));
		}
		let timesteps: Vec<usize> = match self.spacing {
			Spacing::Leading => {
				let jump = total / steps;
				(0..steps).rev().map(|i| i * jump + self.offset).collect()
			},
			Spacing::Trailing => {
				let jump = total as f64 / steps as f64;
				let down = (0..steps).map(|i| total as f64 - i as f64 * jump);
				down.map(|t| t.round_ties_even() as usize - 1).collect()
			},
			Spacing::Linspace => {
				let mut up: Vec<usize> = linspace(0.0, (total - 1) as f64, steps)
					.map(|t| t.round_ties_even() as usize)
					.collect();
				up.reverse();
				up
			},
		};
		match timesteps.iter().find(|t| **t >= total) {
			Some(t) => Err(JobError::Input(format!(
				"with {steps} steps the model's schedule would start at time step {t} of {total}"
			))),
			None => Ok(timesteps),
		}
	}

	/// One step down: from the latents at `timestep` and the model's output there to the latents of the next, less noisy step of a run of `steps`.
	pub fn step(&self, latents: &[f32], out: &[f32], timestep: usize, steps: usize) -> Vec<f32> {
		let alpha = self.alphas[timestep];
		let next = timestep.checked_sub(self.alphas.len() / steps);
		let alpha_next = next.map_or(self.final_alpha, |t| self.alphas[t]);
		let (signal, noise) = (alpha.sqrt() as f32, (1.0 - alpha).sqrt() as f32);
		let (signal_next, noise_next) =
			(alpha_next.sqrt() as f32, (1.0 - alpha_next).sqrt() as f32);
		let one = |(x, out): (&f32, &f32)| {
			let (clean, eps) = match self.prediction {
				Prediction::Epsilon => ((x - noise * out) / signal, *out),
				Prediction::Velocity => (signal * x - noise * out, signal * out + noise * x),
				Prediction::Sample => (*out, (x - signal * out) / noise),
			};
			let clean = self.clip.map_or(clean, |range| clean.clamp(-range, range));
			signal_next * clean + noise_next * eps
		};
		latents.iter().zip(out).map(one).collect()
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

	/// The demo model's schedule, with some fields set otherwise.
	fn ddim(change: &str) -> Result<Ddim> {
		let base: serde_json::Value = serde_json::from_str(
			r#"{"_class_name": "DDIMScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
			"clip_sample": false, "timestep_spacing": "trailing", "trained_betas": null, "skip_prk_steps": true}"#,
		)
		.unwrap();
		let mut config = base.as_object().unwrap().clone();
		let change: serde_json::Value = serde_json::from_str(change).unwrap();
		config.extend(change.as_object().unwrap().clone());
		Ddim::from_json(&serde_json::to_string(&config).unwrap())
	}

	#[test]
	fn timesteps_as_numpy_spaces_them() {
		let of = |spacing: &str, steps| {
			ddim(&format!(r#"{{"timestep_spacing": "{spacing}"}}"#))
				.unwrap()
				.timesteps(steps)
				.unwrap()
		};
		assert_eq!(of("leading", 7), [852, 710, 568, 426, 284, 142, 0]);
		assert_eq!(of("trailing", 7), [999, 856, 713, 570, 428, 285, 142]);
		assert_eq!(of("linspace", 7), [999, 832, 666, 500, 333, 166, 0]);
		assert_eq!(of("linspace", 1), [0]);
		let offset = ddim(r#"{"timestep_spacing": "leading", "steps_offset": 1}"#).unwrap();
		assert_eq!(offset.timesteps(4).unwrap(), [751, 501, 251, 1]);
		assert!(offset.timesteps(1000).is_err(), "would start beyond the end");
		assert!(offset.timesteps(0).is_err() && offset.timesteps(1001).is_err());
	}

	#[test]
	fn alphas_as_in_the_reference() {
		let ddim = ddim("{}").unwrap();
		for (t, known) in [(0, 0.99915), (1, 0.99829603), (500, 0.27633268), (999, 0.0046601)] {
			assert!((ddim.alphas[t] - known).abs() < 1e-7, "{t}: {}", ddim.alphas[t]);
		}
	}

	/// The values of `scripts/demo-model/reference.py`.
	#[test]
	fn steps_as_in_the_reference() {
		let ddim = ddim(r#"{"prediction_type": "v_prediction"}"#).unwrap();
		let close = |found: Vec<f32>, known: [f32; 2]| {
			assert!(found.iter().zip(known).all(|(f, k)| (f - k).abs() < 1e-6), "{found:?}");
		};
		close(ddim.step(&[1.0, 0.25], &[0.5, -1.0], 999, 4), [0.8997052, 0.41741127]);
		close(ddim.step(&[1.0, 0.25], &[0.5, -1.0], 249, 4), [0.5369928, 0.7751701]);
	}

	/// A model that always tells the truth leads back to the clean latents, whatever it is asked for and however the steps are spaced.
	#[test]
	fn the_truth_leads_back() {
		let (clean, eps) = ([0.7f32, -0.3], [1.1f32, -0.4]);
		for prediction in ["epsilon", "v_prediction", "sample"] {
			for spacing in ["trailing", "leading", "linspace"] {
				let change = format!(
					r#"{{"prediction_type": "{prediction}", "timestep_spacing": "{spacing}", "steps_offset": 1}}"#
				);
				let ddim = ddim(&change).unwrap();
				let at =
					|t: usize| (ddim.alphas[t].sqrt() as f32, (1.0 - ddim.alphas[t]).sqrt() as f32);
				let timesteps = ddim.timesteps(10).unwrap();
				let (signal, noise) = at(timesteps[0]);
				let mut latents: Vec<f32> =
					clean.iter().zip(eps).map(|(c, e)| signal * c + noise * e).collect();
				for t in timesteps {
					let (signal, noise) = at(t);
					// What the model would say of latents made of `clean` and whatever noise they now hold.
					let out: Vec<f32> = latents
						.iter()
						.zip(clean)
						.map(|(x, c)| {
							let e = (x - signal * c) / noise;
							match prediction {
								"epsilon" => e,
								"v_prediction" => signal * e - noise * c,
								_ => c,
							}
						})
						.collect();
					latents = ddim.step(&latents, &out, t, 10);
				}
				for (x, c) in latents.iter().zip(clean) {
					assert!((x - c).abs() < 1e-3, "{prediction} {spacing}: {x} is not {c}");
				}
			}
		}
	}

	#[test]
	fn clipping_bounds_the_clean_latents() {
		let ddim = ddim(r#"{"clip_sample": true, "clip_sample_range": 0.5}"#).unwrap();
		// The last step's result is the clean latents themselves.
		assert_eq!(ddim.step(&[3.0, -3.0], &[0.0, 0.0], 99, 10), [0.5, -0.5]);
	}

	#[test]
	fn what_is_not_implemented_is_said() {
		for (change, word) in [
			(r#"{"_class_name": "EulerDiscreteScheduler"}"#, "EulerDiscreteScheduler"),
			(r#"{"_class_name": null}"#, "_class_name"),
			(r#"{"beta_schedule": "squaredcos_cap_v2"}"#, "squaredcos_cap_v2"),
			(r#"{"prediction_type": "flow"}"#, "flow"),
			(r#"{"thresholding": true}"#, "thresholding"),
			(r#"{"trained_betas": [0.1]}"#, "trained_betas"),
			(r#"{"beta_end": 1.5}"#, "1.5"),
			(r#"{"num_train_timesteps": 0}"#, "num_train_timesteps"),
			(r#"{"clip_sample": true, "clip_sample_range": -1}"#, "clip_sample_range"),
		] {
			let error = format!("{:#}", ddim(change).unwrap_err());
			assert!(error.contains(word), "{error}");
		}
	}
}
