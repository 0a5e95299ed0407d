"""What goes wrong around a miner: its nodes, its disk, its clock, its models' files, its worker process, its coordinator."""

import base64
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import time
import unittest

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save

from miners import Metrics, node_of, worker
from network import another_model, free_port, http, together, wait_for

# From demo-model, where `network` has Python look.
from sums import add_sum, write_sums

# `load_tests` is for unittest: all classes at the same time.
from test_faults import ChainTest, load_tests  # noqa: F401
from test_support import MODEL, calibration

MINUTE = 60
# A node that gives no block for 45 s, looked at every 15 s, is left; the first node is returned to after 120 s. Some room for connecting.
LEFT_WITHIN, BACK_WITHIN = 75, 180
GIVES_UP = "no result; the deadline will pass"

# A disk without room and a clock that is off, for one process alone and without the rights to make either: writes to the journal fail as they do on a full disk while the file
# MISFORTUNE_FULL is there, and the time of day is off by as many seconds as the file MISFORTUNE_CLOCK says.
MISFORTUNE = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int is_full(int file) {
    const char *full = getenv("MISFORTUNE_FULL");
    char link[32], path[4096];
    if (!full || access(full, F_OK) != 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return strstr(path, "/journal.redb") != 0;
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
    if (!is_full(file))
        return syscall(SYS_pwrite64, file, bytes, count, at);
    errno = ENOSPC;
    return -1;
}

int ftruncate64(int file, off64_t length) {
    if (!is_full(file))
        return syscall(SYS_ftruncate, file, length);
    errno = ENOSPC;
    return -1;
}

static long off_by(void) {
    const char *clock = getenv("MISFORTUNE_CLOCK");
    char text[16] = "";
    int before = errno, file = clock ? open(clock, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        if (read(file, text, sizeof text - 1) < 0)
            text[0] = 0;
        close(file);
    }
    errno = before;
    return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME)
        now->tv_sec += off_by();
    return failed;
}
"""


def make_vast_model(folder):
    """A tensor model that asks for more memory than any machine can address, whatever its input: 2⁴⁶ floats."""
    nodes = [
        helper.make_node("Add", ["n", "many"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["vast"]),
        helper.make_node("ReduceMax", ["vast"], ["y"], keepdims=1),
    ]
    graph = helper.make_graph(
        nodes,
        "vast",
        [helper.make_tensor_value_info("n", TensorProto.INT64, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [numpy_helper.from_array(np.array([2**46], np.int64), "many")],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    write_sums(folder)


class Misfortunes(ChainTest):
    """One chain. Each test has a model that only its own miner serves, so none is drawn for another's task."""

    # Here each account is owner and operator at once.
    COORDINATORS = {"coordinator": "//Bob", "away": "//Charlie//stash"}
    MINERS = {
        "killed": "//Alice",
        "growing": "//Charlie",
        "vast": "//Dave",
        "corrupt": "//Eve",
        "full": "//Ferdie",
        "clock": "//Alice//stash",
        "waiting": "//Bob//stash",
        "hanging": "//Dave//stash",
        "gone": "//Eve//stash",
    }
    # In blocks, for those who need less time to give up, or more to go on.
    WORK_WINDOWS = {"corrupt": 6, "full": 10, "clock": 60, "waiting": 80, "hanging": 60}

    @classmethod
    def prepare(cls, network):
        network.start_node()
        together(
            *(lambda name=name: cls.add_coordinator(name) for name in cls.COORDINATORS),
            *(lambda name=name: cls.add_miner(name) for name in cls.MINERS),
        )
        together(*(lambda name=name: network.start_coordinator(cls.COORDINATORS[name], name=name) for name in cls.COORDINATORS))
        cls.app = network.application("coordinator")

    @classmethod
    def add_coordinator(cls, name):
        account, endpoint = cls.COORDINATORS[name], f"http://127.0.0.1:{cls.network.port_of(name)}"
        cls.network.register("cuckoo-coordinator", account, account, "2500000", name, endpoint)

    @classmethod
    def add_miner(cls, name):
        account, folder = cls.MINERS[name], cls.model(name)
        cls.network.register("miner-client", account, account, "100000", name)
        if name == "corrupt":
            # Files of its own, and no links to everybody's: one of them is to be changed.
            shutil.copytree(MODEL, folder)
            (folder / "note.txt").write_text(name)
            add_sum(folder, "note.txt")
        else:
            another_model(MODEL, folder, name)
        terms = {"by": account, "work_window": cls.WORK_WINDOWS.get(name, 20)}
        cls.network.register_model(name, folder, "text-to-image", **terms)
        if name == "vast":
            make_vast_model(cls.model("too-vast"))
            measured = calibration(cls.folder / "vast.json", 10)
            cls.network.register_model("too-vast", cls.model("too-vast"), "tensor", **terms | {"calibration": measured})

    @classmethod
    def model(cls, name):
        return cls.folder / "models" / name

    def start_miner(self, name, *extra, models=(), env=None):
        folders = [self.model(model) for model in (name, *models)]
        return self.network.start_miner(f"miner-{name}", self.MINERS[name], folders, *extra, env=env)

    def ask_batch(self, model, pictures, steps):
        """A job for several pictures, accepted and on its way."""
        inputs = [{"prompt": "a green triangle", "seed": seed, "steps": steps} for seed in range(pictures)]
        status, _, job = self.app.post_batch("text_to_image", model, inputs)
        self.assertEqual(status, 202, job)
        return job["id"]

    def at_work(self, miner):
        """Waits until a batch's first picture is done, and the next one runs."""
        wait_for(f"{miner.name} to be at work", lambda: miner.alive() and Metrics(miner).inferences, 90, every=0.02)

    def check_nothing_missed(self, miner, name):
        """The miner is still online, and was never late."""
        self.assertTrue(miner.alive())
        self.assertEqual(Metrics(miner).tasks("missed", "failed"), 0)
        account = self.network.key(self.MINERS[name])[1]
        self.assertIsNotNone(self.network.operator(account)["free_slots"])
        self.assertEqual(self.network.operator(account)["slashes"], [])

    # --- the worker process

    def test_a_worker_that_is_killed_costs_no_task(self):
        """kill -9 of the process that runs the models, in the middle of a batch: another one is begun and the task done in time."""
        miner = self.start_miner("killed")
        first = worker(miner)
        job = self.ask_batch("killed", 4, steps=150)
        self.at_work(miner)
        os.kill(first, signal.SIGKILL)
        self.check_one_round(self.app, job)
        self.assertNotIn(worker(miner), (first, None))
        self.assert_says(miner.log.read_text(), "the worker process ended; another is begun", "running it again")
        self.check_nothing_missed(miner, "killed")

    def test_a_worker_that_grows_too_large_is_begun_anew(self):
        """A worker beyond its limit ends after each inference and another one goes on: the batch is done, in time."""
        miner = self.start_miner("growing", "--worker-limit-mb", 1)
        first = worker(miner)
        self.check_one_round(self.app, self.ask_batch("growing", 3, steps=2))
        wait_for("a new worker", lambda: worker(miner) not in (first, None), 60)
        self.assertGreaterEqual(miner.log.read_text().count("it took too much memory"), 2)
        self.check_nothing_missed(miner, "growing")

    def test_a_model_that_needs_more_memory_than_there_is_is_given_up_and_nothing_else(self):
        """Its tasks are tried, given up and never committed to; the miner says why, and goes on with its other model."""
        miner = self.start_miner("vast", "--slots", 2, models=["too-vast"])
        self.assert_says(miner.log.read_text(), "no input of our own making runs on it", "Failed to allocate memory")
        tensors = base64.b64encode(save({"n": np.array([1], np.int64)})).decode()
        status, _, job = self.app.post_job("tensor", "too-vast", safetensors=tensors)
        self.assertEqual(status, 202, job)
        task = self.task_of(self.app, job["id"])
        wait_for("the miner to give up", lambda: miner.alive() and miner.wrote(GIVES_UP), 90)
        self.assertIn(self.network.task(task)["phase"], ("working", "queued"))
        self.check_settled(self.app, self.ask(self.app, "vast", steps=2))
        self.assertIsNone(self.network.task(task)["blocks"]["committed"])

    def test_a_worker_that_hangs_is_ended_and_its_task_done(self):
        """Slow: SIGSTOP of the worker in the middle of a batch. After a minute without a sign of life it is ended, another one is begun, and the task is done in time."""
        miner = self.start_miner("hanging")
        first = worker(miner)
        # If the miner does not end it, nobody else would.
        self.addCleanup(kill, first)
        job = self.ask_batch("hanging", 4, steps=150)
        self.at_work(miner)
        os.kill(first, signal.SIGSTOP)
        wait_for("the miner to end it", lambda: miner.alive() and miner.wrote("gave no sign of life"), 2 * MINUTE)
        self.check_one_round(self.app, job)
        self.assertNotIn(worker(miner), (first, None))
        self.check_nothing_missed(miner, "hanging")

    # --- files

    def test_a_model_that_is_changed_under_a_running_miner_is_not_run(self):
        """One byte of a file is another: a new worker opens no such model, the miner names the file and promises nothing. With the right file it does the task."""
        miner = self.start_miner("corrupt")
        file = self.model("corrupt") / "unet" / "model.onnx"
        good = file.read_bytes()
        bad = bytearray(good)
        bad[len(bad) // 2] ^= 1
        file.write_bytes(bad)
        os.kill(worker(miner), signal.SIGKILL)
        job = self.ask(self.app, "corrupt", steps=2)
        wait_for("the miner to give up", lambda: miner.alive() and miner.wrote(GIVES_UP), 90)
        self.assert_says(miner.log.read_text(), "unet/model.onnx", *(hashlib.sha256(data).hexdigest() for data in (good, bad)))
        self.assertFalse(miner.wrote('"message":"computed"'), "a result was made with a changed model")
        file.write_bytes(good)
        done = self.check_settled(self.app, job, 300)
        self.assertGreaterEqual(done["round"], 1)

    def test_what_was_promised_is_shown_without_the_model(self):
        """Killed between commitment and reveal, and its model is gone: the miner takes no new work, shows what it has promised, is paid, and ends saying what is wrong."""
        miner = self.start_miner("gone")
        job = self.ask(self.app, "gone", steps=2)
        wait_for("the commitment", lambda: miner.alive() and miner.wrote('"message":"commit is in a block"'), 90, every=0.02)
        miner.kill()
        self.model("gone").rename(self.folder / "moved")
        since = miner.written()
        miner.start()
        done = self.check_settled(self.app, job)
        self.assertEqual(done["round"], 0)
        wait_for("the miner to end", lambda: miner.child.poll() is not None, 90)
        self.assertNotEqual(miner.child.returncode, 0)
        self.assertTrue(miner.wrote("finishing what was promised", since))
        self.assertIsNotNone(done["blocks"]["revealed"])
        account = self.network.key(self.MINERS["gone"])[1]
        self.assertIsNone(self.network.operator(account)["free_slots"], "it is still online")
        self.assertEqual(self.network.operator(account)["slashes"], [])

    def test_nothing_is_committed_that_a_full_disk_cannot_keep(self):
        """No room for the promise: it is said and nothing is committed. With room again the miner does the task, if it has ended after a new start by its service manager."""
        full = self.folder / "no room"
        miner = self.start_miner("full", env={"LD_PRELOAD": self.misfortune(), "MISFORTUNE_FULL": str(full)})
        wait_for("the miner to know", lambda: miner.wrote('"message":"online"'), 30)
        full.touch()
        job = self.ask(self.app, "full", steps=2)
        task = self.task_of(self.app, job)
        wait_for("the miner to say so", lambda: miner.wrote("is the disk full?"), 90)
        # As long as it might still have sent what it could not write down.
        self.network.wait_blocks(4)
        self.assertFalse(miner.wrote('"message":"commit is in a block"'), "committed, and not written down")
        self.assertIsNone(self.network.task(task)["blocks"]["committed"])
        full.unlink()

        def settled():
            if miner.child.poll() is not None:
                miner.start()
            return self.network.task(task)["phase"] == "settled"

        wait_for("the miner to do the task", settled, 240)
        self.check_settled(self.app, job)

    # --- time

    def test_a_clock_that_is_off_by_a_minute_is_named_and_costs_nothing(self):
        """The coordinator takes no request of another time. The miner says that its clock is off, and does the task in time once it is right."""
        clock = self.folder / "clock"
        miner = self.start_miner("clock", env={"LD_PRELOAD": self.misfortune(), "MISFORTUNE_CLOCK": str(clock)})
        for seconds in (MINUTE, -MINUTE):
            with self.subTest("ahead" if seconds > 0 else "behind"):
                since = miner.written()
                clock.write_text(str(seconds))
                job = self.ask(self.app, "clock", steps=2)
                wait_for("the miner to say so", lambda: miner.alive() and miner.wrote("check this machine's clock", since), 90)
                clock.unlink()
                self.check_one_round(self.app, job)
        self.check_nothing_missed(miner, "clock")

    # --- the coordinator

    def test_a_coordinator_that_is_down_for_a_minute_costs_nothing(self):
        """Gone before the miner has fetched the input, and back a minute later: the same miner does the task, in time."""
        app, coordinator = self.network.application("away"), self.network.processes["away"]
        miner = self.start_miner("waiting")
        miner.pause()
        self.addCleanup(miner.go_on)
        job = self.ask(app, "waiting", steps=2)
        self.wait_phase(self.task_of(app, job), "working")
        coordinator.kill()
        miner.go_on()
        wait_for("the miner to miss it", lambda: miner.alive() and miner.wrote("cannot fetch the"), MINUTE)
        time.sleep(MINUTE)
        coordinator.start()
        wait_for("the coordinator", lambda: coordinator.alive() and http(f"{app.url}/readyz")[0] == 200, MINUTE)
        self.check_one_round(app, job)
        self.check_nothing_missed(miner, "waiting")

    def misfortune(self):
        """The library that a miner is started with, for this test alone."""
        compiler = shutil.which("cc")
        if not compiler:
            self.skipTest("there is no C compiler to make a library with")
        source = self.folder / f"{self._testMethodName}.c"
        source.write_text(MISFORTUNE)
        library = source.with_suffix(".so")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source], check=True, timeout=MINUTE)
        return str(library)


def kill(pid):
    """Ends a process, if it is there and still the same."""
    try:
        if "worker" in pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0"):
            os.kill(pid, signal.SIGKILL)
    except OSError:
        pass


class Nodes(ChainTest):
    """A chain with two nodes: a miner uses the first, which makes no blocks, and may use the second, which makes them all."""

    in_order = True

    @classmethod
    def prepare(cls, network):
        network.start_node()
        cls.first = cls.start_first(network)
        endpoint = f"http://127.0.0.1:{network.port_of('coordinator')}"
        together(
            lambda: network.register("cuckoo-coordinator", "//Bob//stash", "//Bob", "2500000", "coordinator", endpoint),
            lambda: network.register("miner-client", "//Charlie//stash", "//Charlie", "100000", "miner"),
            lambda: network.register_model("demo", MODEL, "text-to-image", work_window=50),
        )
        cls.wait_synced()
        cls.urls = f"ws://127.0.0.1:{cls.first.rpc_port}", network.node_url
        together(network.start_coordinator, lambda: network.start_miner("miner", "//Charlie", [MODEL], nodes=cls.urls))
        cls.app, cls.miner = network.application("coordinator"), network.processes["miner"]

    @classmethod
    def start_first(cls, network):
        """A node that follows the one that makes the blocks."""
        key, rpc = network.folder / "first.key", free_port(0)
        network.run("cuckoo-node", "key", "generate-node-key", "--file", key)
        known = [address for address in network.rpc("system_localListenAddresses") if "/ip4/127.0.0.1/" in address]
        node = network.start(
            "first",
            "cuckoo-node",
            "--chain", "dev",
            "--base-path", network.folder / "first",
            "--node-key-file", key,
            "--listen-addr", f"/ip4/127.0.0.1/tcp/{free_port(0)}",
            "--rpc-port", rpc,
            "--no-prometheus",
            "--no-mdns",
            "--no-telemetry",
            "--bootnodes", known[0],
        )  # fmt: skip
        node.rpc_port = rpc
        return node

    @classmethod
    def wait_synced(cls):
        def synced():
            cls.first.alive()
            health = cls.network.rpc("system_health", node=cls.first)
            best = int(cls.network.rpc("chain_getHeader", node=cls.first)["number"], 16)
            return not health["isSyncing"] and health["peers"] and best + 1 >= cls.network.best_block()

        wait_for("the first node to follow", synced, 120)

    def wait_node(self, url, seconds):
        wait_for(f"the miner to use {url}", lambda: self.miner.alive() and node_of(self.miner) == url, seconds)

    def check_nothing_missed(self):
        self.assertEqual(Metrics(self.miner).tasks("missed", "failed"), 0)
        self.assertEqual(self.network.operator(self.network.key("//Charlie")[1])["slashes"], [])

    def test_1_a_node_that_is_killed_costs_nothing(self):
        """kill -9 of the node that a miner uses, with a task in hand: it goes on with its other node, and the job settles for one fee."""
        account = self.network.key("//Bob")[1]
        before = self.network.balance(account)
        self.assertEqual(node_of(self.miner), self.urls[0])
        job = self.ask(self.app, "demo", steps=150)
        self.wait_phase(self.task_of(self.app, job), "working")
        self.first.kill()
        self.check_one_round(self.app, job)
        self.wait_node(self.urls[1], 30)
        self.check_spent(account, before, 1)
        self.check_nothing_missed()

    def test_2_a_node_that_is_back_is_returned_to(self):
        """The first node runs again: the miner returns to it after two minutes, and works on."""
        self.first.start()
        self.wait_synced()
        self.wait_node(self.urls[0], BACK_WITHIN)
        self.check_one_round(self.app, self.ask(self.app, "demo", steps=2))
        self.check_nothing_missed()

    def test_3_a_node_that_is_frozen_is_left(self):
        """SIGSTOP of the node, with a task just posted: its connection holds, and nothing comes. The miner uses the other one in time for the task."""
        self.addCleanup(self.first.go_on)
        self.first.pause()
        job = self.ask(self.app, "demo", steps=2)
        self.wait_node(self.urls[1], LEFT_WITHIN)
        self.check_one_round(self.app, job)
        self.check_nothing_missed()


if __name__ == "__main__":
    unittest.main()
