//! DDIM (J. Song, C. Meng, S. Ermon, "Denoising diffusion implicit models", 2021) without noise between the steps (η = 0), as diffusers'
//! `DDIMScheduler` reads it.

use anyhow::{bail, Result};

use super::{Config, Prediction, Schedule, Spacing, Step, Training};
use crate::job::JobError;

/// The DDIM schedule of one model.
#[derive(Debug)]
pub struct Ddim {
	training: Training,
	final_alpha: f64,
	prediction: Prediction,
	clip: Option<f32>,
}

impl Ddim {
	/// The noise level that the latents start at.
	const INIT_NOISE_SIGMA: f32 = 1.0;

	pub(super) fn new(config: &Config) -> Result<Self> {
		let training = Training::new(config, Spacing::Leading)?;
		if config.thresholding {
			bail!("thresholding is not supported");
		}
		if config.clip_sample && config.clip_sample_range <= 0.0 {
			bail!("clip_sample_range is not above 0");
		}
		Ok(Self {
			final_alpha: if config.set_alpha_to_one { 1.0 } else { training.alphas[0] },
			training,
			prediction: config.prediction_type,
			clip: config.clip_sample.then_some(config.clip_sample_range),
		})
	}

	pub(super) fn schedule(&self, steps: usize) -> Result<Schedule, JobError> {
		let timesteps = self.training.timesteps(steps)?;
		let timesteps = timesteps.into_iter().map(|t| t.round_ties_even() as usize);
		let step = |t: usize| Step {
			timestep: t as f32,
			update: super::Update::Ddim(self.update(t, steps)),
		};
		Ok(Schedule {
			init_noise_sigma: Self::INIT_NOISE_SIGMA,
			steps: timesteps.map(step).collect(),
		})
	}

	/// One step down: from the latents at `timestep` to those of the next, less noisy step of a run of `steps`.
	fn update(&self, timestep: usize, steps: usize) -> Update {
		let alphas = &self.training.alphas;
		let alpha = alphas[timestep];
		let next = timestep.checked_sub(alphas.len() / steps);
		let alpha_next = next.map_or(self.final_alpha, |t| alphas[t]);
		Update {
			signal: alpha.sqrt() as f32,
			noise: (1.0 - alpha).sqrt() as f32,
			signal_next: alpha_next.sqrt() as f32,
			noise_next: (1.0 - alpha_next).sqrt() as f32,
			prediction: self.prediction,
			clip: self.clip,
		}
	}
}

/// The latents are `signal` times the clean ones and `noise` times standard normal ones, before and after.
#[derive(Debug)]
pub(super) struct Update {
	signal: f32,
	noise: f32,
	signal_next: f32,
	noise_next: f32,
	prediction: Prediction,
	clip: Option<f32>,
}

impl Update {
	pub(super) fn next(&self, latents: &[f32], out: &[f32]) -> Vec<f32> {
		let Self { signal, noise, signal_next, noise_next, .. } = *self;
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

#[cfg(test)]
mod tests {
	use crate::pipeline::scheduler::{
		tests::{scheduler, timesteps, truth},
		Scheduler,
	};

	#[test]
	fn timesteps_as_numpy_spaces_them() {
		let of = |spacing: &str, steps| {
			timesteps(&format!(r#"{{"timestep_spacing": "{spacing}"}}"#), steps)
		};
		assert_eq!(of("leading", 7), [852.0, 710.0, 568.0, 426.0, 284.0, 142.0, 0.0]);
		assert_eq!(of("trailing", 7), [999.0, 856.0, 713.0, 570.0, 428.0, 285.0, 142.0]);
		assert_eq!(of("linspace", 7), [999.0, 832.0, 666.0, 500.0, 333.0, 166.0, 0.0]);
		assert_eq!(of("linspace", 1), [0.0]);
		assert_eq!(
			timesteps(r#"{"timestep_spacing": null}"#, 2),
			[500.0, 0.0],
			"leading by default"
		);
	}

	#[test]
	fn alphas_as_in_the_reference() {
		let Scheduler::Ddim(ddim) = scheduler("{}").unwrap() else { panic!() };
		for (t, known) in [(0, 0.99915), (1, 0.99829603), (500, 0.27633268), (999, 0.0046601)] {
			let alpha = ddim.training.alphas[t];
			assert!((alpha - known).abs() < 1e-7, "{t}: {alpha}");
		}
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
				let Scheduler::Ddim(ddim) = scheduler(&change).unwrap() else { panic!() };
				let at = |timestep: f32| {
					let alpha = ddim.training.alphas[timestep as usize];
					(alpha.sqrt() as f32, (1.0 - alpha).sqrt() as f32)
				};
				let schedule = ddim.schedule(10).unwrap();
				let (signal, noise) = at(schedule.steps[0].timestep);
				let mut latents: Vec<f32> =
					clean.iter().zip(eps).map(|(c, e)| signal * c + noise * e).collect();
				for step in &schedule.steps {
					let (signal, noise) = at(step.timestep);
					// What the model would say of latents made of `clean` and whatever noise they now hold.
					let out: Vec<f32> = step
						.input(&latents)
						.iter()
						.zip(clean)
						.map(|(x, c)| {
							truth(prediction, c, (x - signal * c) / noise, (signal, noise))
						})
						.collect();
					latents = step.next(&latents, &out);
				}
				for (x, c) in latents.iter().zip(clean) {
					assert!((x - c).abs() < 1e-3, "{prediction} {spacing}: {x} is not {c}");
				}
			}
		}
	}

	#[test]
	fn clipping_bounds_the_clean_latents() {
		let ddim = scheduler(r#"{"clip_sample": true, "clip_sample_range": 0.5}"#).unwrap();
		let schedule = ddim.schedule(10).unwrap();
		// The last step's result is the clean latents themselves.
		assert_eq!(schedule.steps[9].next(&[3.0, -3.0], &[0.0, 0.0]), [0.5, -0.5]);
	}
}
