"""`scripts/check miner-soak`: a miner works without a pause for an hour, and takes no more memory and no more files in the end than in the beginning.

A chain with a coordinator and one miner, which always has more small tasks than it can take. Every ten seconds memory, threads and open files of the miner and of its worker process
are read from /proc, and its tasks from its own metrics. After a tenth of the time a line is fitted through the memory of each process: by how much it rises until the end is the
growth. The files that are open are counted by the median of a tenth of the time, the first after the warm-up and the last.
"""

import argparse
import statistics
import sys
import time
from types import SimpleNamespace

import numpy as np

import miners
from network import DEMO, Failure, checked, say, together, wait_for

# By how much memory may grow, and how many files more may be open.
GROWTH, HANDLES = 0.05, 3
# How often the miner is looked at, in seconds.
LOOK = 10
# The part of the time that the miner may take to get warm, and over which files are counted.
WARM = 0.1
# Jobs that are open at a time: more than there are slots.
OPEN, SLOTS = 32, 8
# Denoising steps of a picture: a tenth of a second.
STEPS = 20
# How long the last tasks may take, in seconds.
END = 300
OVER = ("completed", "failed", "expired", "cancelled")


def parse():
    parser = argparse.ArgumentParser(prog="scripts/check miner-soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60, help="how long (default: %(default)s)")
    args = parser.parse_args()
    if args.minutes < 5:
        parser.error("--minutes is at least 5: less is the noise alone")
    return args


def start(network):
    say("starting the chain, a coordinator and a miner")
    network.start_node()
    endpoint = f"http://127.0.0.1:{network.port_of('coordinator')}"
    model = DEMO / "model"
    together(
        lambda: network.register("cuckoo-coordinator", "//Bob//stash", "//Bob", "2500000", "coordinator", endpoint),
        lambda: network.register("miner-client", "//Charlie//stash", "//Charlie", "1000000", "miner"),
        lambda: network.register_model("demo", model, "text-to-image", work_window=40),
    )
    together(lambda: network.start_coordinator("//Bob", None, "--batch-items", 1), lambda: network.start_miner("miner", "//Charlie", [model], "--slots", SLOTS))
    return network.processes["miner"]


class Work:
    """The jobs of an application that always wants more."""

    def __init__(self, network):
        self.app = network.application("coordinator")
        self.open, self.posted, self.unwell = [], 0, []

    def look(self):
        """Takes note of what has ended."""
        left = []
        for job in self.open:
            state = self.app.job(job)
            if state["state"] not in OVER:
                left.append(job)
            elif state["state"] != "completed":
                self.unwell.append(f"{job} ended as {state['state']}: {state['error']}")
        self.open = left

    def fill(self):
        while len(self.open) < OPEN:
            status, _, job = self.app.post_job("text_to_image", "demo", prompt="a green triangle", seed=self.posted, steps=STEPS)
            if status != 202:
                raise Failure(f"the coordinator answered {status}: {job}")
            self.open.append(job["id"])
            self.posted += 1


def measure(miner, began):
    """The miner as it is now; of its processes the parent comes first."""
    miner.alive()
    pids = miner.child.pid, miners.worker(miner)
    if None in pids:
        raise Failure("the worker process has ended; see the miner's log")
    now = miners.Metrics(miner)
    return SimpleNamespace(
        at=time.monotonic() - began,
        pids=pids,
        memory=[miners.memory(pid) for pid in pids],
        handles=[miners.handles(pid) for pid in pids],
        threads=[miners.threads(pid) for pid in pids],
        done=now.tasks("settled"),
        missed=now.tasks("missed", "failed"),
    )


def row(found):
    """A line of the table."""
    pair = lambda values: " + ".join(str(value) for value in values)
    memory = " + ".join(f"{value / 2**20:.1f}" for value in found.memory)
    return f"{found.at / 60:.0f} | {found.done} | {found.missed} | {memory} | {pair(found.handles)} | {pair(found.threads)}"


def soak(network, miner, seconds):
    """Keeps the miner at work; what it was like every ten seconds, and what did not go well."""
    work, began, samples = Work(network), time.monotonic(), []
    print("minute | tasks done | missed | MiB of miner + worker | open files | threads", flush=True)
    while (now := time.monotonic() - began) < seconds:
        work.look()
        work.fill()
        if now >= LOOK * len(samples):
            samples.append(measure(miner, began))
            if len(samples) % (60 // LOOK) == 1:
                print(row(samples[-1]), flush=True)
        time.sleep(1)
    say("waiting for the last tasks")

    def finished():
        work.look()
        report = miners.ask(miner, "/status")
        return not work.open and not report["seats"] and not report["kept"]

    wait_for("the end of all tasks", finished, END, every=1)
    last = miners.Metrics(miner)
    return samples, last.tasks("settled"), last.tasks("missed", "failed"), work.unwell


def judge(samples, seconds):
    """How much memory and how many files each process has gained since it was warm."""
    warm = [sample for sample in samples if sample.at >= seconds * WARM]
    times = np.array([sample.at for sample in warm])
    few = max(1, round(len(samples) * WARM))
    growth, handles = [], []
    for which in range(len(warm[0].pids)):
        slope, base = np.polyfit(times, [sample.memory[which] for sample in warm], 1)
        growth.append(slope * (times[-1] - times[0]) / (base + slope * times[0]))
        first, last = (statistics.median(sample.handles[which] for sample in part) for part in (warm[:few], warm[-few:]))
        handles.append(round(last - first))
    return growth, handles


def check(network, args):
    """Prints the table and the figures; returns what did not hold."""
    miner, seconds = start(network), args.minutes * 60
    say(f"working for {args.minutes:g} minutes")
    samples, done, missed, unwell = soak(network, miner, seconds)
    growth, handles = judge(samples, seconds)
    names = ("the miner", "its worker")
    faults = unwell
    faults += [f"{name} has grown by {value:.1%}, the bar is {GROWTH:.0%}" for name, value in zip(names, growth) if value > GROWTH]
    faults += [f"{name} has {value} files open more than in the beginning, the bar is {HANDLES}" for name, value in zip(names, handles) if value > HANDLES]
    if missed:
        faults.append(f"{missed} tasks were missed")
    if not done:
        faults.append("no task was done")
    if len({sample.pids for sample in samples}) > 1:
        faults.append("the worker process was begun anew; see the miner's log")
    for name, memory, files in zip(names, growth, handles):
        print(f"{name + ':':12} memory {memory:+.2%}, open files {files:+d}")
    print(f"miner-soak: minutes={args.minutes:g} tasks={done} missed={missed} rss_growth={max(growth):.4f} fds_growth={max(handles)}", flush=True)
    return faults


def main():
    args = parse()
    return checked("cuckoo-soak-", lambda network: check(network, args))


if __name__ == "__main__":
    sys.exit(main())
