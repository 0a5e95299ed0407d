"""What a running miner tells of itself: its processes, as /proc shows them, its metrics and its status."""

import os
import pathlib
import re

from network import Failure, http

# A line of the metrics: name, labels, value.
LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="([^"]*)"')


def children(pid):
    """The processes that this one has begun and that have not ended."""
    found = []
    for file in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            text = file.read_text()
        except OSError:
            # It has ended meanwhile.
            continue
        # The name may hold anything; behind it stand the state and the parent.
        state, parent = text.rpartition(")")[2].split()[:2]
        if int(parent) == pid and state != "Z":
            found.append(int(file.parent.name))
    return found


def worker(miner):
    """The process that runs the models of a miner with one device; none while it is begun anew."""
    found = children(miner.child.pid)
    if len(found) > 1:
        raise Failure(f"{miner.name} has {len(found)} worker processes on one device")
    return found[0] if found else None


def status_of(pid, field):
    """A number of /proc/PID/status: memory is in KiB there."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{field}:\s*(\d+)", text, re.MULTILINE)[1])


def memory(pid):
    """The memory that a process takes, in bytes."""
    return status_of(pid, "VmRSS") * 1024


def threads(pid):
    return status_of(pid, "Threads")


def handles(pid):
    """How many files, sockets and pipes a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def ask(miner, path):
    status, _, content = http(f"http://127.0.0.1:{miner.port}{path}", timeout=10)
    if status != 200:
        raise Failure(f"{miner.name} answered {status} for {path}: {content!r}")
    return content


class Metrics:
    """The metrics of a miner at one moment."""

    def __init__(self, miner):
        lines = (LINE.match(line) for line in ask(miner, "/metrics").decode().splitlines())
        self.series = [(name, dict(LABEL.findall(labels or "")), float(value)) for name, labels, value in (line.groups() for line in lines if line)]

    def total(self, name, **labels):
        """The sum of the series with this name and these labels; 0 before the first."""
        return sum(value for found, of, value in self.series if found == name and labels.items() <= of.items())

    def tasks(self, *outcomes):
        """How many tasks ended like this."""
        return int(sum(self.total("cuckoo_miner_tasks_total", outcome=outcome) for outcome in outcomes))

    @property
    def inferences(self):
        """How many items were computed, for tasks of the chain."""
        return int(self.total("cuckoo_miner_task_seconds_count", stage="infer"))

    @property
    def computing(self):
        """How many seconds that took, one item after the other."""
        return self.total("cuckoo_miner_task_seconds_sum", stage="infer")

    @property
    def uploads(self):
        """How many tasks' outputs the coordinators have."""
        return int(self.total("cuckoo_miner_task_seconds_count", stage="upload"))


def node_of(miner):
    """The address of the node that a miner uses."""
    return ask(miner, "/status")["node"]
