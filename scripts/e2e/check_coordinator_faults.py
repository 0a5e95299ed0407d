"""`scripts/check coordinator-faults`: whatever goes wrong around a coordinator loses no job, pays for none twice, and leaves no planck unaccounted for.

The tests of `test_coordinator`, which `scripts/test` runs, too; and here: kill -9 at every other step of a job, and at all of them; a disk without room; an object store that is down, or
hangs; a node that is killed over a post; a chain whose blocks are undone; ten thousand requests that are none. Of `test_faults` those in which node and coordinator go away.

Every test has books of its own. In the end the coordinator's operator account has lost, to the planck, what the chain's events say that was paid to miners and verifiers, burnt, and taken as
fees of its transactions; nothing is held; and the tasks on chain are those of its jobs, with as many inferences.
"""

import argparse
import contextlib
import importlib.util
import shutil
import subprocess
import sys
import time
import unittest
from types import SimpleNamespace

import test_coordinator
import test_faults
import test_miner
from coordinators import Ledger, Relay
from network import Process, cai, free_port, http, together, wait_for
from test_coordinator import MOMENTS, STEP, CoordinatorTest, Orders, Target, picture_inputs

# How many requests that are none, and how many connections that never end one; how long these may stay, in seconds.
FLOOD, CRAWLERS, PATIENCE = 10_000, 200, 120
# How long a request may take that cannot be done, in seconds.
REFUSED_WITHIN = 120
# Before the first byte of what a block's author has drawn, in its header: 1 for a slot that was its own.
BABE, OWN_SLOT = "0x0642414245", 1
BUCKET = "cuckoo"

# What a miner's disk without room is made of (see there), for files whose path holds MISFORTUNE_WHERE; and for those that are written from their beginning to their end.
MISFORTUNE = test_miner.MISFORTUNE.replace('"/journal.redb"', 'getenv("MISFORTUNE_WHERE")') + r"""
ssize_t write(int file, const void *bytes, size_t count) {
    if (!is_full(file))
        return syscall(SYS_write, file, bytes, count);
    errno = ENOSPC;
    return -1;
}
"""


class Kills(CoordinatorTest):
    """Each test has a coordinator of its own, which is killed at one moment, or at all of them. Two miners do the work of all."""

    # Not "in block": once a post was sent, it goes into one while the coordinator is away; that moment has a test of its own in `test_coordinator`.
    ALL = ("accepted", "batched", "sent", "drawn", "fetched", "completed", "paid", "settled")
    COORDINATORS = {
        "accepted": "//Bob",
        "batched": "//Bob//stash",
        "sent": "//Charlie",
        "posted": "//Charlie//stash",
        "drawn": "//Dave",
        "fetched": "//Dave//stash",
        "completed": "//Eve",
        "paid": "//Eve//stash",
        "settled": "//Ferdie",
        "every": "//Ferdie//stash",
    }
    MINERS = {"worker-1": ("//Alice", "demo"), "worker-2": ("//Alice//stash", "demo")}
    # The coordinator that is killed at every moment may be away when a verifier wants its input.
    WORK_WINDOWS = {"demo": 80}

    def test_killed_when_a_job_is_in_the_book(self):
        """kill -9 of a coordinator that has written down a job and done nothing else about it."""
        self.killed_at("accepted", "accepted")

    def test_killed_when_jobs_are_put_together(self):
        """kill -9 of a coordinator that has written down which jobs it will post together, and has posted nothing."""
        self.killed_at("batched", "batched")

    def test_killed_when_a_post_is_sent(self):
        """kill -9 of a coordinator whose post waits in the node's pool."""
        self.killed_at("sent", "sent")

    def test_killed_when_a_post_is_noted(self):
        """kill -9 of a coordinator that knows its task, and has no miner for it."""
        self.killed_at("posted", "posted")

    def test_killed_when_a_miner_is_drawn(self):
        """kill -9 of a coordinator that hung while a miner was drawn."""
        self.killed_at("drawn", "drawn")

    def test_killed_when_a_miner_has_the_inputs(self):
        """kill -9 of a coordinator whose miner is at work."""
        self.killed_at("fetched", "fetched")

    def test_killed_when_a_job_is_complete(self):
        """kill -9 of a coordinator that has an output for which nobody is paid yet."""
        self.killed_at("completed", "completed")

    def test_killed_when_the_chain_has_paid(self):
        """kill -9 of a coordinator that hung while the chain paid for its tasks."""
        self.killed_at("paid", "paid")

    def test_killed_when_a_job_is_settled(self):
        """kill -9 of a coordinator that has seen the chain pay."""
        self.killed_at("settled", "settled")

    def test_killed_at_every_moment(self):
        """kill -9 at all of these moments in the life of the same three jobs."""
        self.killed_at("every", *self.ALL)

    def test_no_moment_is_forgotten(self):
        """Each moment has a test."""
        tested = {*self.COORDINATORS, *self.ALL, "in block"} - {"every"}
        self.assertEqual(tested, set(MOMENTS))


class Stores(CoordinatorTest):
    """Coordinators that cannot write: the book, the inputs and outputs, or the object store where these are. Two miners do the work of all."""

    # Their folders have these names, so none is like what stands in the paths of the others' files.
    COORDINATORS = {"book": "//Bob", "inputs": "//Bob//stash", "bucket": "//Charlie"}
    MINERS = {"worker-1": ("//Alice", "demo"), "worker-2": ("//Alice//stash", "demo")}
    FULL = {"book": "/jobs.redb", "inputs": "/blobs/"}

    @classmethod
    def prepare(cls, network):
        cls.library = cls.make_misfortune()
        cls.relay = cls.start_store(network)
        super().prepare(network)

    @classmethod
    def make_misfortune(cls):
        compiler, source = shutil.which("cc"), cls.folder / "misfortune.c"
        if not compiler or 'getenv("MISFORTUNE_WHERE")' not in MISFORTUNE:
            return None
        source.write_text(MISFORTUNE)
        library = source.with_suffix(".so")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source], check=True, timeout=60)
        return library

    @classmethod
    def start_store(cls, network):
        """An object store that others wrote, behind a line that can be cut: its objects are in its memory, so it cannot be ended itself."""
        if not importlib.util.find_spec("moto"):
            return None
        port = free_port(0)
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
        cls.store = network.processes["store"] = Process("store", command, network.folder / "store.log")
        cls.store_url = f"http://127.0.0.1:{port}/{BUCKET}"
        wait_for("the object store", lambda: cls.store.alive() and http(cls.store_url, method="PUT")[0] == 200, 60)
        return Relay(port)

    @classmethod
    def start_coordinator(cls, name, **how):
        env = {}
        if name in cls.FULL and cls.library:
            env = {"LD_PRELOAD": str(cls.library), "MISFORTUNE_WHERE": cls.FULL[name], "MISFORTUNE_FULL": str(cls.full(name))}
        if name == "bucket" and cls.relay:
            env = {
                "CUCKOO_COORDINATOR_BLOB_URL": f"s3://{BUCKET}/blobs",
                # A job is running when its own input was fetched, and not that of another one in its task.
                "CUCKOO_COORDINATOR_BATCH_ITEMS": "1",
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{cls.relay.port}",
                "AWS_ALLOW_HTTP": "true",
                "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "nobody",
                "AWS_SECRET_ACCESS_KEY": "nothing",
                "NO_PROXY": "127.0.0.1",
            }
        return super().start_coordinator(name, env=env)

    @classmethod
    def full(cls, name):
        """The file that takes all room from this coordinator while it is there."""
        return cls.folder / f"no room for {name}"

    def refused(self, target, key):
        """A request that cannot be done: an error of the server's, no job, and in time."""
        before = target.process.log.read_text().count('"message":"accepted"')
        body = {"kind": "text_to_image", "model": "demo", "input": picture_inputs(1, seed=50)}
        status, _, answer = http(f"{target.app.url}/v1/jobs", body, {"idempotency-key": key}, REFUSED_WITHIN)
        self.assertIn(status, range(500, 600), answer)
        self.assertEqual(answer["error"]["type"], "server_error")
        self.assertNotIn("job", answer["error"])
        self.assertEqual(target.process.log.read_text().count('"message":"accepted"'), before)

    def taken(self, target, key):
        """The job of the same request, once it can be done: at the latest after a new start, if the coordinator has ended."""
        orders = Orders(target.app, key)
        orders.wanted = {key: picture_inputs(1, seed=50)}

        def answered():
            if target.process.child.poll() is not None:
                target.process.start()
            return orders.ask(key)

        wait_for("the request to be taken", answered, 120)
        target.wait_ready()
        return orders.jobs[key]

    def at_work(self, target, pictures=4):
        """A job whose miner has an input, and no output yet."""
        job = self.order(target.app, "demo", picture_inputs(pictures, steps=150))
        wait_for("a miner to be at work", lambda: target.app.job(job)["state"] == "running", STEP, every=0.02)
        return job

    @contextlib.contextmanager
    def cut(self):
        """The object store is gone, for as long as this lasts."""
        self.relay.cut()
        try:
            yield
        finally:
            self.relay.mend()

    def needs_misfortune(self):
        if not self.library:
            self.skipTest("there is no C compiler to make a library with")

    def test_a_book_without_room_takes_no_job_and_loses_none(self):
        """No room for the book: a request is refused, and the job at work goes on with room again; if the coordinator has ended, after a new start by its service manager."""
        self.needs_misfortune()
        target, full = Target(self, "book"), self.full("book")
        self.addCleanup(full.unlink, missing_ok=True)
        job = self.at_work(target)
        full.touch()
        self.refused(target, "no room")
        full.unlink()
        self.check_all(target, [job, self.taken(target, "no room")])

    def test_blobs_without_room_cost_no_job(self):
        """No room for inputs and outputs: a request is refused, an output is handed over again, until there is room."""
        self.needs_misfortune()
        target, full = Target(self, "inputs"), self.full("inputs")
        self.addCleanup(full.unlink, missing_ok=True)
        miners = [self.miner(name) for name in self.MINERS]
        job, since = self.at_work(target), [miner.written() for miner in miners]
        full.touch()
        self.refused(target, "no room")
        again = "cannot hand over the output, trying again"
        wait_for("a miner to hand over again", lambda: any(miner.wrote(again, at) for miner, at in zip(miners, since)), STEP, every=0.1)
        full.unlink()
        self.check_all(target, [job, self.taken(target, "no room")])

    def test_an_object_store_that_is_down_costs_no_job(self):
        """Inputs and outputs in an object store that is gone, or does not answer: requests are refused in time; what was accepted is done once it is back."""
        if not self.relay:
            self.skipTest("there is no object store to use: the Python package moto[server] is not installed")
        target = Target(self, "bucket")
        first = self.order(target.app, "demo", picture_inputs(1))
        self.check_settled(target.app, first)
        jobs = [first]
        with self.subTest("gone: a request"), self.cut():
            self.refused(target, "gone")
            status, _, answer = http(f"{target.app.url}/v1/jobs/{first}/output", timeout=REFUSED_WITHIN)
            self.assertIn(status, range(500, 600), answer)
            self.assertEqual(target.app.job(first)["state"], "completed")
        jobs.append(self.taken(target, "gone"))
        with self.subTest("gone: an output"):
            job = self.at_work(target, pictures=1)
            with self.cut():
                task = target.app.job(job)["task"]
                wait_for("the miner to commit", lambda: self.network.task(task)["blocks"]["committed"], STEP, every=0.05)
            self.check_settled(target.app, job)
            jobs.append(job)
        with self.subTest("silent: a request"):
            self.store.pause()
            self.addCleanup(self.store.go_on)
            self.refused(target, "silent")
            self.store.go_on()
        jobs.append(self.taken(target, "silent"))
        with self.subTest("gone: a new start"), self.cut():
            target.process.kill()
            target.process.start()
            started = lambda: target.process.child.poll() is not None or http(f"{target.app.url}/readyz")[0] == 200
            wait_for("the coordinator to serve, or to end", started, 120)
        if target.process.child.poll() is not None:
            target.process.start()
        target.wait_ready(120)
        status, _, listed = http(f"{self.store_url}?list-type=2")
        self.assertEqual(status, 200, listed)
        self.assertIn(b"<Key>blobs/", listed)
        self.check_all(target, jobs)


class Nodes(CoordinatorTest):
    """A chain whose only node is killed."""

    COORDINATORS = {"coordinator": "//Bob"}
    MINERS = {"worker": ("//Alice", "demo")}

    def test_a_node_killed_over_a_post_costs_nothing(self):
        """kill -9 of the node with posts in its pool, which is in memory: they are gone. They are posted again once they cannot come back, and paid for once."""
        target, node = Target(self, "coordinator"), self.network.processes["node"]
        target.orders = Orders(target.app, "node").send()
        wait_for("a post on its way", target.sent, STEP, every=0.005)
        node.kill()
        node.start()
        wait_for("the node", lambda: node.alive() and self.network.best_block() > 0, 120)
        self.check_all(target, target.orders.insist())


class Away(CoordinatorTest):
    """A coordinator that is not there when its miner has done its work."""

    COORDINATORS = {"away": "//Bob"}
    MINERS = {"worker": ("//Alice", "demo")}

    def test_a_coordinator_that_was_away_while_its_miner_committed_waits_for_the_outputs(self):
        """kill -9 with the miner at work, and back two blocks after its commitment: it was the coordinator itself that kept the outputs from coming, so it must not say that they never came."""
        target = Target(self, "away")
        job = self.order(target.app, "demo", picture_inputs(1, steps=150))
        wait_for("the miner to be at work", lambda: target.app.job(job)["state"] == "running", STEP, every=0.02)
        task = target.app.job(job)["task"]
        target.process.kill()
        committed = wait_for("the miner to commit", lambda: self.network.task(task)["blocks"]["committed"], STEP, every=0.1)
        wait_for("two more blocks", lambda: self.network.best_block() >= committed + 2, STEP, every=0.1)
        self.assertEqual(self.network.task(task)["phase"], "lottery")
        target.start()
        self.check_all(target, [job])


class Forks(CoordinatorTest):
    """Three validators. The coordinator's is cut off from the other two: what it has put into blocks is undone when they are together again, for the other two have made more.

    Nodes on one machine always find each other, so whoever is cut off is one that runs while the others do not.
    """

    in_order = True
    COORDINATORS = {"coordinator": "//Bob"}
    MINERS = {"worker": ("//Alice", "demo")}
    WORK_WINDOWS = {"demo": 100}

    @classmethod
    def prepare(cls, network):
        # It makes blocks even if it is alone.
        network.start_validator("alice", "--alice", "--force-authoring")
        for name in ("bob", "charlie"):
            network.start_validator(name, f"--{name}")
        wait_for("block 2 to become final", lambda: all(node.alive() for node in network.validators) and network.finalized_block() >= 2, 180)
        cls.ledger = Ledger(network, undone=True)
        cls.make_models()
        together(lambda: cls.add_coordinator("coordinator"), lambda: cls.add_miners("demo"))
        # The miner's node is not the coordinator's: it sees nothing of what will be undone.
        bob = f"ws://127.0.0.1:{network.validators[1].rpc_port}"
        folder = cls.folder / "models" / "demo"
        together(lambda: cls.start_coordinator("coordinator"), lambda: network.start_miner("miner-worker", "//Alice", [folder], nodes=[bob]))
        cls.open_books()

    def weight(self, node, first):
        """What decides between two ends of a chain: how many blocks from this one on were made in their authors' own slots, and how many there are."""
        rpc = self.network.rpc
        best = int(rpc("chain_getHeader", node=node)["number"], 16)
        headers = [rpc("chain_getHeader", rpc("chain_getBlockHash", number, node=node), node=node) for number in range(first, best + 1)]
        drawn = (next(log for log in header["digest"]["logs"] if log.startswith(BABE)) for header in headers)
        # The length comes before it, in one byte or two.
        kinds = [(data := bytes.fromhex(log[2:]))[6 if data[5] & 3 == 0 else 7] for log in drawn]
        return kinds.count(OWN_SLOT), len(kinds)

    def posted(self, target):
        """A job whose post is in a block of the one validator that runs: number and hash of that block, and how heavy its chain is at most when it is stopped now."""
        network = self.network
        first = network.finalized_block()
        job = self.order(target.app, "demo", picture_inputs(1))
        self.task_of(target.app, job)
        block = target.app.job(job)["blocks"]["posted"]
        own, length = self.weight(network.validators[0], first)
        return SimpleNamespace(job=job, block=block, hash=network.block_hash(block), first=first, weight=(own + 1, length + 1))

    def wait_ahead(self, nodes, post):
        heavier = lambda: all(node.alive() for node in nodes) and self.weight(nodes[0], post.first) > post.weight
        wait_for("the others to be ahead", heavier, STEP, every=1)

    def check_undone(self, target, post):
        """The block is not part of the chain any more; the job is done, for one fee."""
        wait_for("the block with the post to be undone", lambda: self.network.block_hash(post.block) not in (post.hash, None), STEP)
        self.check_all(target, [post.job])

    def test_1_a_post_that_is_undone_and_comes_back_is_paid_once(self):
        """The post's block is undone. The node still has the post and puts it into another one, where its task may have another number."""
        alice, *others = self.network.validators
        target = Target(self, "coordinator")
        for node in others:
            node.pause()
            self.addCleanup(node.go_on)
        post = self.posted(target)
        alice.pause()
        self.addCleanup(alice.go_on)
        for node in others:
            node.go_on()
        self.wait_ahead(others, post)
        alice.go_on()
        self.check_undone(target, post)

    def test_2_a_post_that_is_undone_and_gone_is_posted_again_and_paid_once(self):
        """The post's block is undone, and the node has lost the post: the coordinator posts again, once it cannot come back."""
        alice, *others = self.network.validators
        self.open_books()
        target = Target(self, "coordinator")
        for node in others:
            node.kill()
        post = self.posted(target)
        alice.kill()
        for node in others:
            node.start()
        self.wait_ahead(others, post)
        alice.start()
        self.check_undone(target, post)


class Flood(CoordinatorTest):
    """A coordinator that strangers have found."""

    COORDINATORS = {"flooded": "//Bob"}
    MINERS = {"worker": ("//Alice", "demo")}

    @classmethod
    def add_miners(cls, model):
        super().add_miners(model)
        cls.add_tensor_model("//Alice")

    def test_ten_thousand_requests_that_are_none_cost_nothing(self):
        """Refused; and connections that never end a request are closed. No job, no memory kept; a good request is served meanwhile and afterwards."""
        left = self.check_flood("flooded", FLOOD, CRAWLERS, PATIENCE)
        self.assertEqual(left, 0, f"connections that have sent no whole request in {PATIENCE} s are still open")


def chosen(names):
    """Every test, class after class, as each needs the machine for itself; only those whose name holds one of these words, if there are any."""
    loader = unittest.TestLoader()
    loader.testNamePatterns = [f"*{name}*" for name in names] or None
    groups = [test_coordinator.Faults], [Kills], [Stores, Nodes, Away], [Forks], [Flood, test_faults.Absences]
    suites = ([loader.loadTestsFromTestCase(case) for case in group] for group in groups)
    return unittest.TestSuite(test_faults.load_tests(loader, [suite for suite in group if suite.countTestCases()], None) for group in suites)


def print_books():
    print("coordinator | tasks | inferences | to miners | to verifiers | given back | burnt | transactions | their fees | unaccounted for, planck")
    for told in test_coordinator.BOOKS:
        amounts = [cai(amount) for amount in (told.paid, told.audits, told.refunded, told.burnt)]
        print(" | ".join(str(cell) for cell in (told.name, len(told.tasks), told.items, *amounts, told.transactions, cai(told.fees), told.missing)))


def main():
    parser = argparse.ArgumentParser(prog="scripts/check coordinator-faults", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="only the tests whose name holds one of these words")
    began = time.monotonic()
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(chosen(parser.parse_args().names))
    print_books()
    failed = len(result.failures) + len(result.errors)
    seconds = time.monotonic() - began
    print(f"coordinator-faults: tests={result.testsRun} failed={failed} skipped={len(result.skipped)} seconds={seconds:.0f}", flush=True)
    return 0 if result.testsRun and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
