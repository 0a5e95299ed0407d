"""Tests of the schedulers in reference.py, and of the file that miner-client's tests read."""

import json
import unittest
from pathlib import Path

import numpy as np

import reference
import schedulers

GOLDENS = Path(__file__).resolve().parents[2] / "miner-client/src/pipeline/scheduler/goldens.json"


class Schedulers(unittest.TestCase):
    def test_goldens_are_what_the_script_makes(self):
        """Up to the last digits, which the machine's logarithms decide."""
        made, kept = schedulers.goldens(), json.loads(GOLDENS.read_text())
        self.assertEqual([run["name"] for run in made], [run["name"] for run in kept])
        for one, other in zip(made, kept):
            self.assertEqual((one["config"], one["steps"]), (other["config"], other["steps"]))
            for key in ("init_noise_sigma", "timesteps", "latents", "inputs", "outs"):
                np.testing.assert_allclose(one[key], other[key], rtol=1e-5, atol=1e-6, err_msg=f"{one['name']}: {key}")

    def test_the_truth_leads_back(self):
        """Told the exact noise each time, a scheduler ends at the clean values, but for what noise its last step leaves."""
        clean, eps = np.random.default_rng(1).standard_normal((2, 5)).astype(np.float32)
        for name, config, _ in schedulers.RUNS:
            run = reference.scheduler(config, 10)
            euler = isinstance(run, reference.Euler)

            def share(step):
                """Signal and noise in what the model sees."""
                alpha = 1 / (1 + run.sigmas[step] ** 2) if euler else run.alphas[run.timesteps[step]]
                return np.sqrt(alpha), np.sqrt(1 - alpha)

            latents = clean + run.sigmas[0] * eps if euler else share(0)[0] * clean + share(0)[1] * eps
            for step in range(10):
                signal, noise = share(step)
                found = (run.scale(latents, step) - signal * clean) / noise
                out = signal * found - noise * clean if run.prediction == "v_prediction" else found
                latents = run.step(out, step, latents)
            left = run.sigmas[-1] if euler else np.sqrt(1 - run.final_alpha)
            self.assertLessEqual(np.abs(latents - clean).max(), 1e-3 + left * np.abs(eps).max(), name)

    def test_euler_refuses_what_it_does_not_do(self):
        for change in ({"prediction_type": "sample"}, {"interpolation_type": "log_linear"}, {"use_beta_sigmas": True}):
            with self.assertRaises(ValueError):
                reference.Euler(change, 4)
        with self.assertRaises(ValueError):
            reference.scheduler({"_class_name": "PNDMScheduler"}, 4)


if __name__ == "__main__":
    unittest.main()
