"""Whole runs of the schedulers in reference.py, for the tests of miner-client's.

The model is one that always answers with given numbers. Prints JSON; to write the
file that the tests read, from this folder:

    python schedulers.py > ../../miner-client/src/pipeline/scheduler/goldens.json
"""

import json

import numpy as np

import reference

STABLE_DIFFUSION = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "clip_sample": False,
    "trained_betas": None,
}
DDIM = {"_class_name": "DDIMScheduler", **STABLE_DIFFUSION}
EULER = {"_class_name": "EulerDiscreteScheduler", **STABLE_DIFFUSION}
# name, config, steps
RUNS = [
    ("ddim of the demo model", {**DDIM, "prediction_type": "v_prediction", "timestep_spacing": "trailing"}, 4),
    ("ddim of stable diffusion 1", {**DDIM, "set_alpha_to_one": False, "steps_offset": 1}, 5),
    ("ddim linspace, linear betas", {"_class_name": "DDIMScheduler", "clip_sample": False, "timestep_spacing": "linspace"}, 3),
    ("euler with all defaults", {"_class_name": "EulerDiscreteScheduler"}, 4),
    ("euler linspace", {**EULER, "timestep_spacing": "linspace", "interpolation_type": "linear"}, 6),
    ("euler leading", {**EULER, "timestep_spacing": "leading", "steps_offset": 1}, 5),
    ("euler trailing, v", {**EULER, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}, 4),
    ("euler leading, v", {**EULER, "timestep_spacing": "leading", "prediction_type": "v_prediction"}, 3),
    ("euler karras", {**EULER, "use_karras_sigmas": True, "timestep_spacing": "leading", "steps_offset": 1}, 5),
    ("euler karras from to, v", {**EULER, "use_karras_sigmas": True, "sigma_min": 0.05, "sigma_max": 10.0, "prediction_type": "v_prediction"}, 4),
    ("euler to the smallest sigma", {**EULER, "final_sigmas_type": "sigma_min", "timestep_spacing": "trailing"}, 3),
    ("euler in one step", {**EULER, "timestep_spacing": "trailing"}, 1),
]


def numbers(values):
    """As few digits as tell float32 numbers apart."""
    return [float(f"{value:.9g}") for value in np.float32(values)]


def golden(name, config, steps, seed):
    """One run: what comes in and goes out at every step."""
    rng = np.random.default_rng(seed)
    run = reference.scheduler(config, steps)
    latents = rng.standard_normal(3).astype(np.float32) * np.float32(run.init_noise_sigma)
    at, inputs, outs = [latents], [], []
    for step in range(steps):
        inputs.append(run.scale(latents, step))
        outs.append(rng.standard_normal(3).astype(np.float32))
        latents = run.step(outs[-1], step, latents)
        at.append(latents)
    return {
        "name": name,
        "config": config,
        "steps": steps,
        "init_noise_sigma": numbers([run.init_noise_sigma])[0],
        "timesteps": numbers(run.timesteps),
        "latents": [numbers(values) for values in at],
        "inputs": [numbers(values) for values in inputs],
        "outs": [numbers(values) for values in outs],
    }


def goldens():
    return [golden(*run, seed) for seed, run in enumerate(RUNS)]


def main():
    lines = ",\n".join(json.dumps(run) for run in goldens())
    print(f"[\n{lines}\n]")


if __name__ == "__main__":
    main()
