"""`scripts/check miner-throughput`: what the miner costs beside a bare loop of ONNX Runtime, and how busy it keeps its device on a real chain.

First `miner-client bench` and a loop in Python run the same model files by turns, on the CPU, with as many threads and the same version of ONNX Runtime: a network of convolutions, and
the demo model's UNet, each with so many samples at a time that one inference takes some 25 ms. The loop runs once with ONNX Runtime's own settings and once with the miner's, which are
there to give the same bits each time, and the faster of the two is the one to keep up with. Its inputs have the shapes and types of the miner's; what stands in them does not change
what there is to compute. The UNet is run as a tensor model and not as text-to-image: beside `reference.py`, whose arithmetic between the steps is numpy's, the miner would be measured
against Python and not against ONNX Runtime, and a slow session could hide behind a fast scheduler.

Then a chain with a coordinator, the miner that is measured and another one that the chain's audits draw their verifiers from, on the same processor. The busy share is the time that
the measured miner's worker computed, by the miner's own metrics, in the time between its first inference and its last. A slot is taken from the draw to the commitment, three or four
blocks beyond the computing: to be busy a miner offers as many slots as bridge that.
"""

import argparse
import collections
import json
import os
import pathlib
import re
import statistics
import sys
import time
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime

from miners import Metrics
from network import DEMO, Failure, checked, say, together

# From demo-model, where `network` has Python look.
from false_slashes import make_tensor_model
from sums import write_sums

RATIO, BUSY = 0.97, 0.95
# Shorter tasks are not what the second bar is for, in seconds.
LEAST_TASK = 0.5
# How many samples one inference takes.
TENSOR_BATCH, UNET_BATCH = 256, 24
# How often the metrics are looked at, in seconds, and how often it is told how far things are.
LOOK, TELL = 0.1, 30
# How long a task may take at most, in seconds, and what the first one takes beyond it.
TASK, FIRST = 15, 300
# The work of one task's item: as many denoising steps as there may be.
STEPS = 150
# The measured miner has so much more stake that it is drawn whenever it has a slot free.
MEASURED_BOND, OTHER_BOND = "5000000", "25000"
# In blocks: what waits in the measured miner's slots must not be late, nor what waits for a slot.
WORK_WINDOW, MAX_WAIT = 100, 2000

# What ONNX Runtime's library says of itself, as the miner reads it.
VERSION = re.compile(rb"VERS_(\d+\.\d+\.\d+)")
TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int32)": np.int32, "tensor(int64)": np.int64}


def parse():
    parser = argparse.ArgumentParser(prog="scripts/check miner-throughput", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=6, help="how often each runs, by turns (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="how long each time (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="the threads of a session (default: all cores)")
    parser.add_argument("--tasks", type=int, default=200, help="how many tasks go through the whole system (default: %(default)s)")
    parser.add_argument("--items", type=int, default=1, help=f"pictures of a task, of {STEPS} steps each (default: %(default)s)")
    parser.add_argument("--slots", type=int, default=32, help="slots of the measured miner (default: %(default)s)")
    args = parser.parse_args()
    if min(args.rounds, args.seconds, args.threads, args.tasks, args.items, args.slots) < 1:
        parser.error("all of these are at least 1")
    return args


# --- beside a bare loop


def fix_batch(source, folder, samples):
    """Writes the model with this number of samples where its file leaves it open."""
    model = onnx.load(source)
    for value in (*model.graph.input, *model.graph.output):
        dimensions = value.type.tensor_type.shape.dim
        if dimensions and dimensions[0].dim_param:
            dimensions[0].dim_value = samples
    onnx.checker.check_model(model, full_check=True)
    folder.mkdir(exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    write_sums(folder)
    return folder


def make_models(folder):
    made = folder / "convolutions"
    make_tensor_model(made)
    return {
        "convolutions": fix_batch(made / "model.onnx", made, TENSOR_BATCH),
        "unet": fix_batch(DEMO / "model" / "unet" / "model.onnx", folder / "unet", UNET_BATCH),
    }


def check_versions():
    """The version of ONNX Runtime, if the miner's is Python's."""
    library = pathlib.Path(os.environ["ORT_DYLIB_PATH"])
    found = VERSION.search(library.read_bytes())
    version = found[1].decode() if found else "unknown"
    if version != onnxruntime.__version__:
        raise Failure(
            f"the miner's ONNX Runtime at {library} is version {version}, Python's is {onnxruntime.__version__}: what they take cannot be compared; "
            "without ORT_DYLIB_PATH the miner uses the version that scripts/setup has installed for both"
        )
    return version


class Loop:
    """ONNX Runtime in Python, with nothing around it."""

    def __init__(self, folder, threads, as_miner):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        if as_miner:
            options.use_deterministic_compute = True
            options.add_session_config_entry("session.force_spinning_stop", "1")
        self.session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
        rng = np.random.default_rng(0)
        self.feeds = {port.name: self.made(port, rng) for port in self.session.get_inputs()}

    def made(self, port, rng):
        kind = TYPES[port.type]
        made = rng.standard_normal(port.shape) if np.issubdtype(kind, np.floating) else rng.integers(0, 16, port.shape)
        return made.astype(kind)

    def per_second(self, seconds):
        # The first runs lay out memory.
        for _ in range(3):
            self.session.run(None, self.feeds)
        count, began = 0, time.perf_counter()
        while (took := time.perf_counter() - began) < seconds:
            self.session.run(None, self.feeds)
            count += 1
        return count / took


def bench(network, folder, args):
    """What `miner-client bench` says of this model."""
    told = network.run(
        "miner-client", "bench",
        "--model", folder,
        "--seconds", args.seconds,
        "--threads", args.threads,
        "--allow-cpu",
        "--json",
        timeout=args.seconds + 120,
    )  # fmt: skip
    try:
        return json.loads(told.stdout)["per_second"]
    except (ValueError, KeyError) as error:
        raise Failure(f"miner-client bench --json printed no figures ({error!r}): {told.stdout[:200]!r}") from None


def compare(network, name, folder, args):
    """Runs the miner and the loops by turns; their medians, and the median of the miner's ratio to the faster loop in each round, as a row."""
    loops = {"bare": Loop(folder, args.threads, False), "bare, as miner": Loop(folder, args.threads, True)}
    found = collections.defaultdict(list)
    for number in range(args.rounds):
        say(f"{name}: round {number + 1} of {args.rounds}")
        found["miner"].append(bench(network, folder, args))
        for which, loop in loops.items():
            found[which].append(loop.per_second(args.seconds))
    medians = {which: statistics.median(values) for which, values in found.items()}
    # A machine's speed drifts: what is compared ran within seconds of each other.
    fastest = max(loops, key=medians.get)
    ratio = statistics.median(miner / loop for miner, loop in zip(found["miner"], found[fastest]))
    return SimpleNamespace(name=name, medians=medians, found=found, ratio=ratio)


def compare_all(network, args):
    """The rows of the first table."""
    version = check_versions()
    rows = [compare(network, name, folder, args) for name, folder in make_models(network.folder).items()]
    print(f"inferences per second on the CPU, {args.threads} threads, ONNX Runtime {version}: median of {args.rounds} rounds of {args.seconds} s, and their range")
    print("model | miner-client bench | bare loop | bare loop, the miner's settings | miner ÷ faster loop")
    for row in rows:
        cells = [f"{row.medians[which]:.2f} ({min(values):.2f} to {max(values):.2f})" for which, values in row.found.items()]
        print(" | ".join([row.name, *cells, f"{row.ratio:.3f}"]), flush=True)
    return rows


# --- through the whole system


def start(network, args):
    """The chain, a coordinator, the miner that is measured, and the one that verifies."""
    say("starting the chain, a coordinator and two miners")
    network.start_node()
    endpoint = f"http://127.0.0.1:{network.port_of('coordinator')}"
    model = DEMO / "model"
    together(
        lambda: network.register("cuckoo-coordinator", "//Bob//stash", "//Bob", "2500000", "coordinator", endpoint),
        lambda: network.register("miner-client", "//Charlie//stash", "//Charlie", MEASURED_BOND, "measured"),
        lambda: network.register("miner-client", "//Dave//stash", "//Dave", OTHER_BOND, "other"),
        lambda: network.register_model("demo", model, "text-to-image", work_window=WORK_WINDOW),
    )
    together(
        lambda: network.start_coordinator("//Bob", None, "--max-wait", MAX_WAIT, "--batch-items", 1),
        lambda: network.start_miner("measured", "//Charlie", [model], "--slots", args.slots, "--threads", args.threads),
        lambda: network.start_miner("other", "//Dave", [model], "--slots", 1, "--threads", 1),
    )
    return network.processes["measured"]


def post(network, args, number):
    """A job of as many different pictures as a task has items."""
    seeds = range(number * args.items, (number + 1) * args.items)
    inputs = [{"prompt": "a red circle above a blue square", "seed": seed, "steps": STEPS} for seed in seeds]
    status, _, job = network.application("coordinator").post_batch("text_to_image", "demo", inputs)
    if status != 202:
        raise Failure(f"the coordinator answered {status}: {job}")
    return job["id"]


class Busy:
    """How long the measured miner computed, from its first inference to its last task."""

    def __init__(self, miner):
        self.miner = miner
        self.first = self.last = None

    def look(self):
        now = Metrics(self.miner)
        seen = SimpleNamespace(at=time.monotonic(), inferences=now.inferences, computing=now.computing, done=now.uploads)
        if seen.inferences and not self.first:
            self.first = self.last = seen
        # What it verifies for others once its own tasks are done comes whenever it comes: only who is a task's miner hands over outputs.
        if self.last and seen.done > self.last.done:
            self.last = seen

    @property
    def seconds(self):
        return self.last.at - self.first.at

    @property
    def computing(self):
        return self.last.computing - self.first.computing

    @property
    def share(self):
        return self.computing / self.seconds if self.seconds else 0.0

    @property
    def item(self):
        """How long an item takes."""
        return self.last.computing / self.last.inferences


def follow(network, measured, jobs):
    """Looks at the metrics until every job has ended."""
    busy, left = Busy(measured), collections.deque(jobs)
    began = told = time.monotonic()
    while left:
        measured.alive()
        busy.look()
        # One question at a time: whatever it is about, the others have moved on when it is answered.
        if network.job(left[0])["settlement"] in ("settled", "refunded", "void"):
            left.popleft()
        now = time.monotonic()
        if now - began > FIRST + TASK * len(jobs):
            raise Failure(f"{len(left)} of {len(jobs)} tasks had not ended after {now - began:.0f} s")
        if now - told > TELL:
            told = now
            say(f"  {len(jobs) - len(left)} of {len(jobs)} tasks have ended")
        time.sleep(LOOK)
    if not busy.last:
        raise Failure("the measured miner has computed nothing")
    return busy


def work(network, args):
    """Prints what the whole system did; the busy share, and what did not hold."""
    measured = start(network, args)
    say(f"posting {args.tasks} tasks")
    jobs = together(*(lambda number=number: post(network, args, number) for number in range(args.tasks)), at_a_time=8)
    busy = follow(network, measured, jobs)
    ended = [network.job(job) for job in jobs]
    tasks = [network.task(job["task"]) for job in ended if job["task"] is not None]
    owner = network.operator(network.key("//Charlie")[1])["owner"]
    mine = sum(task["miner"] == owner for task in tasks)
    settled, late = sum(job["settlement"] == "settled" for job in ended), Metrics(measured).tasks("missed", "failed")
    each = busy.item
    rows = [
        ("tasks", f"{len(jobs)} of {args.items} items, {settled} settled"),
        ("done by the measured miner", f"{mine}, with {args.slots} slots; {late} missed"),
        ("audited", sum(bool(task["verifiers"]) for task in tasks)),
        ("an item takes it", f"{each:.3f} s"),
        ("from first to last task", f"{busy.seconds:.1f} s"),
        ("of them computing", f"{busy.computing:.1f} s"),
    ]
    for name, value in rows:
        print(f"{name + ':':30} {value}")
    bars = {
        f"{len(jobs) - settled} tasks were not settled": settled == len(jobs),
        f"the measured miner missed {late}": late == 0,
        f"a task takes {each * args.items:.2f} s, which is less than {LEAST_TASK} s: give it more --items": each * args.items >= LEAST_TASK,
        f"the device was busy for {busy.share:.3f} of the time, the bar is {BUSY}": busy.share >= BUSY,
    }
    return busy.share, [text for text, held in bars.items() if not held]


def check(network, args):
    """Prints both tables and the figures; returns what did not hold."""
    rows = compare_all(network, args)
    share, faults = work(network, args)
    slow = [f"{row.name}: the miner does {row.ratio:.3f} of what the bare loop does, the bar is {RATIO}" for row in rows if row.ratio < RATIO]
    ratio = min(row.ratio for row in rows)
    print(f"miner-throughput: ratio={ratio:.3f} busy={share:.3f} tasks={args.tasks} bars={RATIO},{BUSY}", flush=True)
    return slow + faults


def main():
    args = parse()
    return checked("cuckoo-throughput-", lambda network: check(network, args))


if __name__ == "__main__":
    sys.exit(main())
