"""Compares a dump of the Rust pipeline with numpy and onnxruntime, stage by stage.

Every tensor is computed again in two ways: "step" from the dump's own inputs of
that stage, which finds the stage that differs, and "end" from the prompt and
seed alone, which shows what the differences add up to.
"""

import argparse
import json
import sys

import numpy as np
from safetensors.numpy import load_file

import reference

STEP_BAR = 1e-5  # relative L2 of one stage computed from the dump's inputs
END_BAR = 1e-4  # relative L2 of any stage computed from the prompt and seed
LATENTS_BAR = 1e-6  # in initial noise levels, for the initial latents
HALF = 100  # by how much wider the bars are where networks take and give 16-bit floats, of which a difference in the last bit of 32 makes another one
PIXEL_SHARE = 0.001  # share of pixels that may differ by more than one level


def differences(got, want):
    """(largest absolute difference, relative L2); infinite if the shapes differ or a value is not finite."""
    if got.shape != want.shape or not np.isfinite(got).all():
        return np.inf, np.inf
    delta = got.astype(np.float64) - want.astype(np.float64)
    scale = np.linalg.norm(want.astype(np.float64))
    norm = np.linalg.norm(delta)
    return np.abs(delta).max(initial=0), norm / scale if scale else (np.inf if norm else 0.0)


def pixels_apart(got, want):
    """Share of pixels of which a channel differs by more than one level."""
    if got.shape != want.shape or got.dtype != np.uint8:
        return 1.0
    return (np.abs(got.astype(int) - want.astype(int)).max(-1) > 1).mean()


def stage_of(name):
    """All steps of one stage share one line of the table."""
    if name.startswith("latents."):
        return "latents.0" if name == "latents.0" else "latents.{i+1}"
    return "unet.{i}." + name.split(".")[2] if name.startswith("unet.") else name


def stepwise(pipeline, run, job, dump):
    """What each tensor should be, given the dump's own inputs of its stage."""
    want = {"text_embeddings": pipeline.embed(dump["input_ids"])}
    for i in range(len(run.timesteps)):
        latents, out = dump[f"latents.{i}"], dump[f"unet.{i}.out"]
        sample = dump[f"unet.{i}.sample"]
        want[f"unet.{i}.sample"] = np.concatenate([run.scale(latents, i)] * 2)
        want[f"unet.{i}.out"] = pipeline.unet(sample, dump[f"unet.{i}.timestep"], dump["text_embeddings"])
        guided = reference.guide(out, job["guidance_scale"])
        want[f"latents.{i + 1}"] = run.step(guided, i, latents)
    want["vae.sample"] = pipeline.decode(dump[f"latents.{job['steps']}"])
    want["image"] = reference.to_pixels(dump["vae.sample"])
    return want


def main():
    parser = argparse.ArgumentParser(description="Check a pipeline dump against numpy and onnxruntime.")
    parser.add_argument("--model", required=True, help="model folder")
    parser.add_argument("--dump", required=True, help="safetensors dump of the Rust pipeline")
    parser.add_argument("--job", required=True, help="JSON: prompt, seed, steps, guidance_scale[, negative_prompt]")
    parser.add_argument("--half", action="store_true", help="the networks take and give 16-bit floats: wider bars")
    args = parser.parse_args()
    with open(args.job, encoding="utf-8") as file:
        job = json.load(file)
    dump = load_file(args.dump)
    pipeline = reference.Pipeline(args.model)

    end = {}
    pipeline(job["prompt"], job["seed"], job["steps"], job["guidance_scale"], job.get("negative_prompt") or "", end)
    failures = [f"missing {name}" for name in end if name not in dump]
    if failures:
        sys.exit("\n".join(failures))
    run = reference.scheduler(pipeline.scheduler_config, job["steps"])
    step = stepwise(pipeline, run, job, dump)
    step_bar, end_bar = (bar * (HALF if args.half else 1) for bar in (STEP_BAR, END_BAR))

    # stage -> worst (step max, step L2, end max, end L2)
    table = {}
    exact = [name for name in end if name == "input_ids" or name.endswith(".timestep")]
    for name in exact:
        if not np.array_equal(dump[name], end[name]):
            failures.append(f"{name} differs")
    for name, want in end.items():
        if name in exact:
            continue
        by_step = differences(dump[name], step[name]) if name in step else (0.0, 0.0)
        row = (*by_step, *differences(dump[name], want))
        table[stage_of(name)] = np.maximum(table.get(stage_of(name), 0), row)

    print(f"{'stage':<18}{'step max abs':>14}{'step rel L2':>14}{'end max abs':>14}{'end rel L2':>14}")
    for stage, row in table.items():
        print(f"{stage:<18}" + "".join(f"{value:>14.3g}" for value in row))
    # The picture is rounded to 256 levels, so it is judged by its pixels instead.
    judged = np.array([row for stage, row in table.items() if stage != "image"])
    worst_step, worst_end = judged[:, 1].max(), judged[:, 3].max()
    apart = max(pixels_apart(dump["image"], want["image"]) for want in (step, end))
    # "not <=" rather than ">": a NaN must fail.
    if not table["latents.0"][2] <= LATENTS_BAR * run.init_noise_sigma:
        failures.append("latents.0 differs")
    if not worst_step <= step_bar:
        failures.append(f"stepwise above {step_bar:.0e}")
    if not worst_end <= end_bar:
        failures.append(f"end to end above {end_bar:.0e}")
    if not apart <= PIXEL_SHARE:
        failures.append(f"more than {PIXEL_SHARE:.1%} of pixels differ")
    for failure in failures:
        print("FAIL:", failure)
    print(
        f"pipeline-oracle: stages={len(table) + len({stage_of(n) for n in exact})} worst_step_rel_l2={worst_step:.3g} "
        f"end_to_end_rel_l2={worst_end:.3g} pixels_differing={apart:.5f} bar={end_bar:.0e}"
    )
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
