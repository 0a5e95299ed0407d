//! Euler's method (T. Karras, M. Aittala, T. Aila, S. Laine, "Elucidating the design space of diffusion-based generative models", 2022, algorithm 2
//! without churn), with the conventions of diffusers' `EulerDiscreteScheduler`.
//!
//! The latents are the clean ones and `sigma` times standard normal ones. The model sees them divided by √(sigma² + 1), as it was trained: with α the
//! share of the signal's variance at a training time step, sigma there is √((1 − α) / α), and between two time steps it is interpolated. A step from
//! sigma to the next, smaller one follows the slope of the path, (latents − clean) / sigma.
//!
//! Logarithms and powers come from `libm`, so that they are the same bits on every machine.

use anyhow::{bail, Result};

use super::{
	linspace, Config, FinalSigma, Interpolation, Prediction, Schedule, Spacing, Step, TimestepType,
	Training,
};
use crate::job::JobError;

/// How Karras et al. space the noise levels: evenly in their 7th root (equation 5, ρ).
const RHO: f64 = 7.0;

/// The schedule of Euler's method of one model.
#[derive(Debug)]
pub struct Euler {
	training: Training,
	/// The noise level at each training time step; each is above the one before.
	sigmas: Vec<f64>,
	/// Whether the model's output is its velocity, and not the noise.
	velocity: bool,
	karras: Option<Karras>,
	final_sigma: f64,
}

/// Noise levels by the rule of Karras et al., from the largest to the smallest: where not said, those that the run would have without the rule.
#[derive(Debug)]
struct Karras {
	smallest: Option<f64>,
	largest: Option<f64>,
}

impl Euler {
	pub(super) fn new(config: &Config) -> Result<Self> {
		let training = Training::new(config, Spacing::Linspace)?;
		if config.use_exponential_sigmas || config.use_beta_sigmas {
			bail!("use_exponential_sigmas and use_beta_sigmas are not supported");
		}
		if matches!(config.interpolation_type, Interpolation::LogLinear) {
			bail!("interpolation_type log_linear is not supported");
		}
		if matches!(config.timestep_type, TimestepType::Continuous) {
			bail!("timestep_type continuous is not supported");
		}
		let velocity = match config.prediction_type {
			Prediction::Epsilon => false,
			Prediction::Velocity => true,
			Prediction::Sample => {
				bail!("prediction_type sample is not supported with this scheduler")
			},
		};
		let sigmas: Vec<f64> =
			training.alphas.iter().map(|alpha| ((1.0 - alpha) / alpha).sqrt()).collect();
		let (first, last) = (sigmas[0], sigmas[sigmas.len() - 1]);
		if config.use_karras_sigmas {
			let smallest = config.sigma_min.unwrap_or(first);
			let largest = config.sigma_max.unwrap_or(last);
			if !(smallest > 0.0 && smallest < largest) {
				bail!("noise levels from sigma_min {smallest} to sigma_max {largest} cannot be");
			}
		}
		Ok(Self {
			training,
			sigmas,
			velocity,
			karras: config
				.use_karras_sigmas
				.then_some(Karras { smallest: config.sigma_min, largest: config.sigma_max }),
			final_sigma: match config.final_sigmas_type {
				FinalSigma::Zero => 0.0,
				FinalSigma::SigmaMin => first,
			},
		})
	}

	pub(super) fn schedule(&self, steps: usize) -> Result<Schedule, JobError> {
		// A network takes them as 32-bit floats at most.
		let timesteps = self.training.timesteps(steps)?;
		let mut timesteps: Vec<f32> = timesteps.into_iter().map(|t| t as f32).collect();
		let mut sigmas: Vec<f64> = timesteps.iter().map(|t| self.sigma((*t).into())).collect();
		if let Some(Karras { smallest, largest }) = self.karras {
			// There is at least one step.
			let smallest = smallest.unwrap_or(sigmas[steps - 1]);
			sigmas = karras(largest.unwrap_or(sigmas[0]), smallest, steps);
			timesteps = sigmas.iter().map(|sigma| self.timestep(*sigma) as f32).collect();
		}
		let largest = sigmas[0];
		let start = match self.training.spacing {
			Spacing::Linspace | Spacing::Trailing => largest,
			// Such a run does not start at the end of the training, where hardly any signal is left.
			Spacing::Leading => (largest * largest + 1.0).sqrt(),
		};
		let nexts = sigmas.iter().skip(1).copied().chain([self.final_sigma]);
		let update = |(sigma, next)| super::Update::Euler(self.update(sigma, next));
		let updates = sigmas.iter().copied().zip(nexts).map(update);
		let step = |(timestep, update)| Step { timestep, update };
		Ok(Schedule {
			init_noise_sigma: start as f32,
			steps: timesteps.into_iter().zip(updates).map(step).collect(),
		})
	}

	/// The noise level at a time step, which may lie between two of the training.
	fn sigma(&self, timestep: f64) -> f64 {
		let low = timestep as usize;
		let high = (low + 1).min(self.sigmas.len() - 1);
		let share = timestep - low as f64;
		self.sigmas[low] + share * (self.sigmas[high] - self.sigmas[low])
	}

	/// The time step at a noise level, interpolated in the levels' logarithms.
	fn timestep(&self, sigma: f64) -> f64 {
		let above = self.sigmas.partition_point(|s| *s <= sigma);
		let low = above.saturating_sub(1).min(self.sigmas.len() - 2);
		let logs = [self.sigmas[low], self.sigmas[low + 1], sigma].map(libm::log);
		let share = (logs[2] - logs[0]) / (logs[1] - logs[0]);
		low as f64 + share.clamp(0.0, 1.0)
	}

	fn update(&self, sigma: f64, next: f64) -> Update {
		let scale = (sigma * sigma + 1.0).sqrt();
		// The slope is the noise. A velocity is √α·noise − √(1 − α)·clean, with √α = 1 / scale and √(1 − α) = sigma / scale; the latents
		// are clean + sigma·noise. So the noise is velocity / scale + latents·sigma / scale².
		let (of_latents, of_out) =
			if self.velocity { (sigma / (scale * scale), 1.0 / scale) } else { (0.0, 1.0) };
		Update {
			scale: scale as f32,
			delta: (next - sigma) as f32,
			of_latents: of_latents as f32,
			of_out: of_out as f32,
		}
	}
}

/// Noise levels from the largest to the smallest, evenly spaced in their [`RHO`]th root.
fn karras(largest: f64, smallest: f64, steps: usize) -> Vec<f64> {
	let root = |sigma| libm::pow(sigma, 1.0 / RHO);
	linspace(root(largest), root(smallest), steps).map(|root| libm::pow(root, RHO)).collect()
}

/// A step from one noise level to the next. The slope is a sum of the latents and of the model's output.
#[derive(Debug)]
pub(super) struct Update {
	scale: f32,
	delta: f32,
	of_latents: f32,
	of_out: f32,
}

impl Update {
	pub(super) fn input(&self, latents: &[f32]) -> Vec<f32> {
		latents.iter().map(|x| x / self.scale).collect()
	}

	pub(super) fn next(&self, latents: &[f32], out: &[f32]) -> Vec<f32> {
		let one =
			|(x, out): (&f32, &f32)| x + self.delta * (self.of_latents * x + self.of_out * out);
		latents.iter().zip(out).map(one).collect()
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::pipeline::scheduler::{
		tests::{scheduler, timesteps, truth},
		Scheduler,
	};

	fn changes(fields: &str) -> String {
		format!(r#"{{"_class_name": "EulerDiscreteScheduler", {fields}}}"#)
	}

	fn euler(fields: &str) -> Euler {
		let Scheduler::Euler(euler) = scheduler(&changes(fields)).unwrap() else { panic!() };
		euler
	}

	#[test]
	fn timesteps_may_lie_between_those_of_the_training() {
		let of = |spacing: &str, steps| {
			timesteps(&changes(&format!(r#""timestep_spacing": {spacing}"#)), steps)
		};
		assert_eq!(of("\"leading\"", 4), [750.0, 500.0, 250.0, 0.0]);
		assert_eq!(of("\"trailing\"", 4), [999.0, 749.0, 499.0, 249.0]);
		assert_eq!(of("\"linspace\"", 5), [999.0, 749.25, 499.5, 249.75, 0.0]);
		assert_eq!(of("null", 5), of("\"linspace\"", 5), "the default");
	}

	#[test]
	fn levels_and_time_steps_are_each_others_inverse() {
		let euler = euler(r#""beta_schedule": "linear""#);
		for t in [0.0, 1.0, 499.0, 998.0, 999.0] {
			assert!((euler.timestep(euler.sigma(t)) - t).abs() < 1e-9, "{t}");
		}
		assert_eq!(euler.timestep(1e-9), 0.0);
		assert_eq!(euler.timestep(1e9), 999.0);
		let between = euler.sigma(10.25);
		assert!(euler.sigma(10.0) < between && between < euler.sigma(11.0));
	}

	#[test]
	fn karras_levels_start_and_end_where_they_should() {
		let sigmas = karras(80.0, 0.002, 5);
		let known = [80.0, 17.5278, 2.5152, 0.1698, 0.002];
		for (sigma, known) in sigmas.iter().zip(known) {
			assert!((sigma - known).abs() < 1e-4, "{sigmas:?}");
		}
		assert_eq!(karras(80.0, 0.002, 1).len(), 1);
		// The run's own ends, where the config names none.
		let euler = euler(r#""use_karras_sigmas": true, "timestep_spacing": "linspace""#);
		let schedule = euler.schedule(10).unwrap();
		let largest = schedule.init_noise_sigma;
		assert!((f64::from(largest) - euler.sigmas[999]).abs() < 1e-5, "{largest}");
		let (first, last) = (schedule.steps[0].timestep, schedule.steps[9].timestep);
		assert!((first - 999.0).abs() < 1e-3 && last.abs() < 1e-3, "{first} {last}");
	}

	/// A model that always tells the truth leads back to the clean latents, in however few steps: the path is a straight line.
	#[test]
	fn the_truth_leads_back() {
		let (clean, eps) = ([0.7f32, -0.3], [1.1f32, -0.4]);
		let delta = |step: &Step| match &step.update {
			super::super::Update::Euler(update) => update.delta,
			super::super::Update::Ddim(_) => panic!("not Euler's"),
		};
		for prediction in ["epsilon", "v_prediction"] {
			for fields in [
				r#""timestep_spacing": "trailing""#,
				r#""timestep_spacing": "leading", "steps_offset": 1"#,
				r#""timestep_spacing": "linspace""#,
				r#""timestep_spacing": "leading", "use_karras_sigmas": true"#,
				r#""use_karras_sigmas": true, "sigma_min": 0.03, "sigma_max": 14.5"#,
			] {
				let euler = euler(&format!(r#""prediction_type": "{prediction}", {fields}"#));
				let schedule = euler.schedule(3).unwrap();
				// The run ends at 0.
				let mut sigma = -schedule.steps.iter().map(delta).sum::<f32>();
				let mut latents: Vec<f32> =
					clean.iter().zip(eps).map(|(c, e)| c + sigma * e).collect();
				for step in &schedule.steps {
					let scale = (sigma * sigma + 1.0).sqrt();
					let inputs = step.input(&latents);
					let wanted = latents.iter().map(|x| x / scale);
					for (input, wanted) in inputs.iter().zip(wanted) {
						assert!((input - wanted).abs() < 1e-4, "{prediction} {fields}");
					}
					let out: Vec<f32> = latents
						.iter()
						.zip(clean)
						.map(|(x, c)| {
							let eps = (x - c) / sigma;
							truth(prediction, c, eps, (1.0 / scale, sigma / scale))
						})
						.collect();
					latents = step.next(&latents, &out);
					sigma += delta(step);
				}
				for (x, c) in latents.iter().zip(clean) {
					assert!((x - c).abs() < 1e-3, "{prediction} {fields}: {x} is not {c}");
				}
			}
		}
	}

	#[test]
	fn a_run_may_end_at_the_smallest_level_of_the_training() {
		let euler = euler(r#""final_sigmas_type": "sigma_min", "timestep_spacing": "trailing""#);
		let schedule = euler.schedule(2).unwrap();
		let latents = schedule.steps[1].next(&[0.0], &[1.0]);
		let wanted = euler.sigmas[0] - euler.sigma(499.0);
		assert!((f64::from(latents[0]) - wanted).abs() < 1e-6, "{latents:?}");
	}
}
