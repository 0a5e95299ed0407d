"""What goes wrong: programs killed in the middle, machines that vanish, nodes that cannot be used, files that are not what they should be."""

import base64
import hashlib
import json
import os
import shutil
import socket
import struct
import subprocess
import threading
import unittest

from network import another_model, http, public_key, together, wait_for
from test_support import FEE, MODEL, NetworkTest, OneClass, SideBySide, png_size

NOBODY = "ws://127.0.0.1:1"
OTHER_GENESIS = "0x" + "11" * 32


def load_tests(loader, tests, pattern):
    """All classes at the same time, and in each all tests, unless the class has an order; a test that is named alone runs alone."""
    return SideBySide(of_one_class(suite) for suite in tests)


def of_one_class(suite):
    in_order = any(getattr(test, "in_order", False) for test in suite)
    return suite if in_order else OneClass(suite)


class ChainTest(NetworkTest):
    """Jobs on a chain of one's own."""

    def ask(self, app, model, prompt="a green triangle", headers=None, **fields):
        """A job for a picture, accepted and on its way."""
        status, _, job = app.post_job("text_to_image", model, headers, prompt=prompt, **{"seed": 3, **fields})
        self.assertEqual(status, 202, job)
        return job["id"]

    def task_of(self, app, job):
        """The number of a job's task, once it is posted."""
        posted = lambda: app.job(job) if app.job(job)["task"] is not None else None
        return wait_for(f"{job} to be posted", posted, 60)["task"]

    def wait_phase(self, task, phase):
        wait_for(f"task {task} {phase}", lambda: self.network.task(task)["phase"] == phase, 60, every=0.05)

    def check_settled(self, app, job, seconds=120):
        """The job once the chain has paid for it, with its picture."""
        app.wait_job(job, "settlement", ("settled", "refunded", "void"), seconds)
        # A miner that was paid while the coordinator was away still delivers.
        done = app.wait_job(job, "state", ("completed", "failed", "expired", "cancelled"), seconds)
        self.assertEqual((done["state"], done["settlement"], done["error"]), ("completed", "settled", None))
        status, _, picture = app.output(job)
        self.assertEqual(status, 200, picture)
        self.assertEqual(png_size(picture), (64, 64))
        return done

    def check_one_round(self, app, job):
        """The job, settled by the first miner that was drawn."""
        done = self.check_settled(app, job)
        self.assertEqual((done["round"], self.network.task(done["task"])["round"]), (0, 0))
        return done

    def check_drained(self, miner, account, task):
        """SIGTERM: the miner ends with status 0 when it has done what it was drawn for, and is not drawn again."""
        self.assertEqual(miner.stop(seconds=60), 0)
        self.assertIsNone(self.network.operator(account)["free_slots"])
        self.assertEqual(self.network.rpc("cuckoo_seats", account), [])
        self.assertEqual(self.network.task(task)["phase"], "settled")

    def check_spent(self, account, before, tasks):
        """That an account paid for so many tasks and has nothing held for more."""
        now = self.network.balance(account)
        self.assertEqual(now["held"], before["held"])
        spent = before["free"] - now["free"]
        self.assertGreaterEqual(spent, tasks * FEE)
        self.assertLess(spent, tasks * FEE + FEE // 2, "more than the tasks' fees and the fees of their posts")


class Crashes(ChainTest):
    """One chain. Each test has a model that only its own miners serve, so none is drawn for another's task."""

    # A development chain has twelve accounts with CAI: here each is owner and operator at once.
    COORDINATORS = {"coordinator": "//Bob", "killed": "//Charlie//stash", "lonely": "//Eve//stash"}
    MINERS = {
        "posted": "//Alice",
        "drawn": "//Charlie",
        "computed": "//Dave",
        "committed": "//Eve",
        "always": "//Ferdie",
        "vanishing": "//Alice//stash",
        "staying": "//Bob//stash",
        "loyal": "//Dave//stash",
        "draining": "//Ferdie//stash",
    }

    @classmethod
    def prepare(cls, network):
        network.start_node()
        together(
            *(lambda name=name: cls.add_coordinator(name) for name in cls.COORDINATORS),
            *(lambda name=name: cls.add_miner(name) for name in cls.MINERS),
        )
        # A task for each job: that jobs share tasks is tested elsewhere.
        start = lambda name, *extra: network.start_coordinator(cls.COORDINATORS[name], None, "--batch-items", 1, *extra, name=name)
        together(
            lambda: start("coordinator"),
            lambda: start("killed"),
            lambda: start("lonely", "--max-wait", 4, "--fee-per-image", "0.6"),
        )
        cls.app = network.application("coordinator")

    @classmethod
    def add_coordinator(cls, name):
        account, endpoint = cls.COORDINATORS[name], f"http://127.0.0.1:{cls.network.port_of(name)}"
        cls.network.register("cuckoo-coordinator", account, account, "2500000", name, endpoint)
        if name == "lonely":
            cls.add_model("nobody's", account)
            cls.add_model("dear", account, min_fee="1")

    @classmethod
    def add_miner(cls, name):
        account = cls.MINERS[name]
        cls.network.register("miner-client", account, account, "100000", name)
        if name != "staying":
            cls.add_model(name, account, work_window=5 if name == "vanishing" else 20)

    @classmethod
    def add_model(cls, name, account, **terms):
        folder = another_model(MODEL, cls.folder / "models" / name, name)
        cls.network.register_model(name, folder, "text-to-image", by=account, **terms)

    def start_miner(self, name, model=None, *extra):
        folder = self.folder / "models" / (model or name)
        return self.network.start_miner(f"miner-{name}", self.MINERS[name], [folder], *extra)

    def account(self, name):
        return self.network.key({**self.COORDINATORS, **self.MINERS}[name])[1]

    # --- a miner killed with kill -9 and started again

    def killed_when(self, name, *moments):
        """A job whose only miner is killed at each of these moments, and started again each time."""
        miner = self.start_miner(name)
        job = self.ask(self.app, name, steps=60)
        task = self.task_of(self.app, job)
        for number, reached in enumerate(moments):
            wait_for(f"moment {number} to kill {name}", lambda: reached(self, task, miner), 60, every=0.02)
            miner.kill()
            miner.start()
        done = self.check_one_round(self.app, job)
        self.assertEqual((done["task"], done["miner"]), (task, self.account(name)))
        same = [t for t in self.network.tasks(self.account("coordinator")) if t["model"] == self.network.task(task)["model"]]
        self.assertEqual(len(same), 1, "posted twice")
        return miner

    def posted(self, task, miner):
        return True

    def drawn(self, task, miner):
        return self.network.task(task)["phase"] != "queued"

    def computed(self, task, miner):
        return miner.wrote('"message":"computed"')

    def committed(self, task, miner):
        return self.network.task(task)["phase"] in ("revealing", "settled")

    def revealed(self, task, miner):
        return self.network.task(task)["phase"] == "settled"

    def check_computed_once(self, miner):
        """A result on disk is never computed again: another one would not open the commitment."""
        self.assertEqual(miner.log.read_text().count('"message":"computed"'), 1)
        self.assertTrue(miner.wrote("taken up from the journal"))

    def test_a_miner_killed_before_the_draw_finishes_its_task(self):
        """kill -9 right after the post: it is drawn while it is gone, and does the work after its restart."""
        self.killed_when("posted", Crashes.posted)

    def test_a_miner_killed_when_drawn_finishes_its_task(self):
        """kill -9 with the draw, before there is a result."""
        self.killed_when("drawn", Crashes.drawn)

    def test_a_miner_killed_with_a_result_finishes_its_task(self):
        """kill -9 when result and salt are on disk and the commit is about to leave."""
        self.check_computed_once(self.killed_when("computed", Crashes.computed))

    def test_a_miner_killed_after_its_commit_finishes_its_task(self):
        """kill -9 when the commit is in a block and the reveal is not: the journal opens the commitment after the restart."""
        self.check_computed_once(self.killed_when("committed", Crashes.committed))

    def test_a_miner_killed_at_every_step_finishes_its_task(self):
        """kill -9 after the post, the draw, the result, the commit and the reveal of one task."""
        steps = (Crashes.posted, Crashes.drawn, Crashes.computed, Crashes.committed, Crashes.revealed)
        self.check_computed_once(self.killed_when("always", *steps))

    def test_a_task_goes_from_a_miner_that_vanishes_to_another(self):
        """A miner that is drawn and never comes back loses the task at its deadline and is offline; the application gets its picture."""
        miners = dict(
            zip(
                ("vanishing", "staying"),
                together(lambda: self.start_miner("vanishing"), lambda: self.start_miner("staying", "vanishing")),
            )
        )
        # Both hang until it is known who is drawn.
        for miner in miners.values():
            miner.pause()
            self.addCleanup(miner.go_on)
        job = self.ask(self.app, "vanishing", steps=2)
        task = self.task_of(self.app, job)
        self.wait_phase(task, "working")
        drawn = self.network.task(task)["miner"]
        (gone,) = [name for name in miners if self.account(name) == drawn]
        (other,) = [name for name in miners if name != gone]
        miners[gone].kill()
        miners[other].go_on()
        done = self.check_settled(self.app, job)
        self.assertEqual((done["round"], done["miner"]), (1, self.account(other)))
        self.assertEqual(self.network.task(task)["round"], 1)
        self.assertIsNone(self.network.operator(self.account(gone))["free_slots"])
        self.assertIsNotNone(self.network.operator(self.account(other))["free_slots"])

    # --- a coordinator killed with kill -9 and started again

    def waits_in_the_pool(self, account):
        """Whether the node holds a transaction of this account that is in no block yet."""
        key = public_key(account).hex()
        return any(key in extrinsic for extrinsic in self.network.rpc("author_pendingExtrinsics"))

    def test_a_coordinator_killed_in_mid_task_finishes_its_jobs_and_posts_none_twice(self):
        """kill -9 with one job at its miner, one whose post is on its way and one just accepted: after a restart all three are done, for three fees."""
        name, account = "loyal", self.account("killed")
        self.start_miner(name, None, "--slots", 3)
        coordinator, app = self.network.processes["killed"], self.network.application("killed")
        before = self.network.balance(account)
        at_work = self.ask(app, name, "a red circle", steps=150)
        self.wait_phase(self.task_of(app, at_work), "working")
        posting = self.ask(app, name, "a blue square")
        wait_for("a post on its way", lambda: self.waits_in_the_pool(account), 20, every=0.01)
        key = {"idempotency-key": "the last one"}
        accepted = self.ask(app, name, "a yellow star", key)
        coordinator.kill()
        with self.assertRaises(OSError):
            app.job(accepted)
        coordinator.start()
        wait_for("the coordinator", lambda: coordinator.alive() and http(f"{app.url}/readyz")[0] == 200, 60)
        jobs = (at_work, posting, accepted)
        self.assertEqual([app.job(job)["id"] for job in jobs], list(jobs))
        self.assertEqual(self.ask(app, name, "a yellow star", key), accepted)
        # Whether the last post has left is only known when none that was signed before could still come into a block.
        done = [self.check_settled(app, job, 200) for job in jobs]
        tasks = [task["task"] for task in self.network.tasks(account)]
        self.assertEqual(tasks, sorted(job["task"] for job in done))
        self.check_spent(account, before, 3)

    # --- nobody there

    def test_a_job_without_a_miner_waits_and_is_refunded(self):
        """No miner online: the job waits, then ends as expired with its fee back; who waited for the picture is told so."""
        app, account = self.network.application("lonely"), self.account("lonely")
        with self.subTest("a fee below the model's least is refused before anything is paid"):
            status, _, answer = app.post_job("text_to_image", "dear", prompt="a red circle")
            self.assertEqual((status, answer["error"]["code"], answer["error"]["type"]), (503, "fee_too_low", "server_error"))
        before = self.network.balance(account)
        job = self.ask(app, "nobody's")
        task = self.task_of(app, job)
        waiting = app.job(job)
        self.assertEqual((waiting["state"], waiting["settlement"], waiting["miner"]), ("queued", "pending", None))
        # The fee, and as much for the verifier of its only item.
        self.assertEqual(self.network.balance(account)["held"] - before["held"], 2 * int(waiting["fee"]))
        status, headers, late = app.picture("a red circle", model="nobody's")
        self.assertEqual((status, late["error"]["code"], headers["x-should-retry"]), (503, "no_miner", "false"))
        self.assert_says(late["error"]["message"], "no miner", "refunded")
        done = app.wait_job(job, "settlement", ("settled", "refunded", "void"), 60)
        self.assertEqual((done["state"], done["settlement"]), ("expired", "refunded"))
        self.assert_says(done["error"], "no miner", "refunded")
        self.assertEqual(app.job(late["error"]["job"])["settlement"], "refunded")
        self.assertEqual(self.network.task(task)["phase"], "expired")
        status, _, answer = app.output(job)
        self.assertEqual((status, answer["error"]["code"]), (503, "no_miner"))
        self.check_spent(account, before, 0)

    # --- two that must not be two, and an orderly end

    def test_a_second_program_with_the_same_data_is_refused_and_the_first_drains(self):
        """Two processes with one key would commit against each other. SIGTERM with a task in hand: finished, offline, exit 0."""
        miner = self.start_miner("draining")
        again = self.network.run(*self.again(miner), check=False, timeout=60)
        self.assertNotEqual(again.returncode, 0)
        self.assert_says(again.stderr, f"another miner-client, process {miner.child.pid},", str(self.folder / "miner-draining"))
        coordinator = self.network.processes["coordinator"]
        again = self.network.run(*self.again(coordinator), check=False, timeout=60)
        self.assertNotEqual(again.returncode, 0)
        self.assert_says(again.stderr, "does another coordinator use this data directory?", str(self.folder / "coordinator"))

        job = self.ask(self.app, "draining", steps=100)
        wait_for("the miner to see its seat", lambda: miner.wrote('"message":"drawn"'), 60, every=0.02)
        self.check_drained(miner, self.account("draining"), self.app.job(job)["task"])
        self.check_one_round(self.app, job)

    def again(self, process):
        """The command line of a program that runs."""
        return [os.path.basename(process.args[0]), *process.args[1:]]

    # --- a node on another chain

    def test_a_node_on_another_chain_is_refused(self):
        """Whoever is told its chain's genesis does not work on another."""
        key = self.network.signing("//Alice")
        node = ("--node-url", self.network.node_url, "--genesis", OTHER_GENESIS)
        data = ("--data-dir", self.folder / "elsewhere", "--listen", "127.0.0.1:0")
        genesis = self.network.block_hash(0)
        calls = {
            "miner": ("miner-client", "run", *node, *key, *data, "--allow-cpu", "--model-dir", MODEL),
            "doctor": ("miner-client", "doctor", *node, *key, "--allow-cpu", "--model-dir", MODEL),
            "go-offline": ("miner-client", "go-offline", *node, *key),
            "coordinator": ("cuckoo-coordinator", "run", *node, *key, *data),
        }
        for what, call in calls.items():
            with self.subTest(what):
                done = self.network.run(*call, check=False, timeout=60)
                self.assertNotEqual(done.returncode, 0)
                said = f"the node at {self.network.node_url} is on another chain"
                self.assert_says(done.stdout + done.stderr, said, genesis, OTHER_GENESIS, "--node-url")


class Absences(ChainTest):
    """A chain with one of each: the node goes away and comes back, then the coordinator, then everything ends."""

    in_order = True

    @classmethod
    def prepare(cls, network):
        network.start_node()
        endpoint = f"http://127.0.0.1:{network.port_of('coordinator')}"
        together(
            lambda: network.register("cuckoo-coordinator", "//Bob//stash", "//Bob", "2500000", "coordinator", endpoint),
            lambda: network.register("miner-client", "//Charlie//stash", "//Charlie", "100000", "miner"),
            lambda: network.register_model("demo", MODEL, "text-to-image"),
        )
        together(lambda: network.start_coordinator("//Bob", None, "--batch-items", 1), lambda: network.start_miner("miner", "//Charlie", [MODEL]))
        cls.app = network.application("coordinator")

    def test_1_a_node_killed_in_mid_task_costs_nothing(self):
        """kill -9 of the node with a task at its miner: coordinator and miner find it again, the job settles for one fee."""
        network, account = self.network, self.network.key("//Bob")[1]
        before = network.balance(account)
        job = self.ask(self.app, "demo", steps=150)
        self.wait_phase(self.task_of(self.app, job), "working")
        node, programs = network.processes["node"], [network.processes[name] for name in ("coordinator", "miner")]
        since = [program.written() for program in programs]
        node.kill()
        for program, start in zip(programs, since):
            lost = "lost the connection to the node"
            wait_for(f"{program.name} to notice", lambda: program.alive() and program.wrote(lost, start), 30)
        status, _, answer = self.app.post_job("text_to_image", "demo", prompt="a red circle")
        if status != 202:
            self.assertEqual((status, answer["error"]["code"]), (503, "chain_unavailable"))
        self.assertEqual(self.app.job(job)["id"], job)
        node.start()
        self.check_settled(self.app, job)
        jobs = [job, self.ask(self.app, "demo", "a blue square")]
        if status == 202:
            jobs.append(answer["id"])
        for job in jobs:
            self.check_settled(self.app, job, 180)
        self.check_spent(account, before, len(jobs))
        for program in programs:
            self.assertTrue(program.wrote("connected to a node"))

    def test_2_a_coordinator_that_was_away_for_long_gets_the_result(self):
        """The coordinator is gone until the miner was paid without it: when it is back the application gets what was paid for."""
        coordinator = self.network.processes["coordinator"]
        job = self.ask(self.app, "demo", "a red circle above a green square", steps=150)
        task = self.task_of(self.app, job)
        wait_for("the miner to fetch the input", lambda: self.app.job(job)["state"] == "running", 60, every=0.02)
        coordinator.kill()
        try:
            settled = lambda: self.network.task(task)["phase"] == "settled"
            wait_for("the settlement", settled, 180)
        finally:
            coordinator.start()
            ready = lambda: coordinator.alive() and http(f"{self.app.url}/readyz")[0] == 200
            wait_for("the coordinator", ready, 60)
        self.check_settled(self.app, job)

    def test_3_a_miner_that_is_drawn_while_it_leaves_does_the_work(self):
        """SIGTERM in the block before the draw: it is drawn before its going offline is in a block, and stays for that task."""
        job = self.ask(self.app, "demo")
        task = self.task_of(self.app, job)
        posted = self.network.task(task)["blocks"]["posted"]
        wait_for("the block before the draw", lambda: self.network.best_block() > posted, 30, every=0.05)
        self.check_drained(self.network.processes["miner"], self.network.key("//Charlie")[1], task)

    def test_4_programs_end_well_when_they_are_told(self):
        """SIGTERM: exit status 0 of everything, within seconds, and the miner is offline."""
        network = self.network
        self.assertEqual(network.processes["miner"].stop(), 0)
        self.assertIsNone(network.operator(network.key("//Charlie")[1])["free_slots"])
        self.assertEqual(network.processes["coordinator"].stop(), 0)
        self.assertEqual(network.processes["node"].stop(), 0)

    def test_5_jobs_of_one_chain_are_not_taken_to_another(self):
        """A coordinator's data directory belongs to its chain: started with a node of another one it says so and ends."""
        coordinator = self.network.processes["coordinator"]
        with FakeNode() as node:
            args = [node.url if arg == self.network.node_url else arg for arg in coordinator.args]
            done = self.network.run("cuckoo-coordinator", *args[1:], check=False, timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assert_says(done.stderr, "is on another chain", OTHER_GENESIS, "--data-dir", str(self.folder / "coordinator"))


class FakeNode:
    """A WebSocket that answers like a node, of another chain and, if wanted, one that has not caught up."""

    def __init__(self, syncing=False):
        health = {"isSyncing": syncing, "shouldHavePeers": True, "peers": 3}
        self.answers = {"chain_getBlockHash": OTHER_GENESIS, "system_health": health}

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.socket.close()

    def serve(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(client,), daemon=True).start()

    def talk(self, client):
        with client, client.makefile("rwb") as stream:
            headers = {}
            while line := stream.readline().strip():
                name, _, value = line.partition(b":")
                headers[name.lower()] = value.strip()
            accept = hashlib.sha1(headers[b"sec-websocket-key"] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
            head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            stream.write(head + base64.b64encode(accept) + b"\r\n\r\n")
            stream.flush()
            while frame := self.read(stream):
                self.answer(stream, *frame)

    def read(self, stream):
        """Kind and content of one frame, `None` at the end. Clients' frames are masked."""
        head = stream.read(2)
        if len(head) < 2:
            return None
        length = head[1] & 0x7F
        if length > 125:
            length = int.from_bytes(stream.read(2 if length == 126 else 8), "big")
        mask = stream.read(4)
        content = bytes(byte ^ mask[at % 4] for at, byte in enumerate(stream.read(length)))
        return head[0] & 0x0F, content

    def answer(self, stream, kind, content):
        text = 1
        if kind != text:
            return
        request = json.loads(content)
        answer = {"jsonrpc": "2.0", "id": request["id"], "result": self.answers.get(request["method"])}
        reply = json.dumps(answer).encode()
        stream.write(struct.pack(">BBH", 0x80 | text, 126, len(reply)) + reply)
        stream.flush()


class Starts(NetworkTest):
    """Programs that cannot start say why, and what to do, and end. There is no chain."""

    def programs(self, node, data):
        """Everything that needs a node, as command lines."""
        file, account = self.network.key("//Alice")
        key = self.network.signing("//Alice")
        owner = ("--owner-key-file", file, "--owner-password-file", self.network.password)
        at = ("--node-url", node)
        model = ("--manifest", MODEL, "--kind", "text-to-image", "--min-fee", "1", "--work-window", "20")
        return {
            "miner": self.miner(*at),
            "doctor": ("miner-client", "doctor", *at, *key, "--allow-cpu", "--model-dir", MODEL),
            "go-offline": ("miner-client", "go-offline", *at, *key),
            "register": ("miner-client", "register", *at, *owner, "--operator", account, "--bond", "30000", "--name", "m"),
            "coordinator": ("cuckoo-coordinator", "run", *at, *key, "--data-dir", self.folder / data, "--listen", "127.0.0.1:0"),
            "model": ("cuckoo-coordinator", "model", "register", "m", *at, *key, *model),
        }

    def miner(self, *extra, model=MODEL, cpu="--allow-cpu"):
        """A miner's command line. What is asked for in `extra` comes last and counts."""
        args = [*self.network.signing("//Alice"), "--data-dir", self.folder / "m"]
        args += ["--listen", "127.0.0.1:0", "--model-dir", model, *([cpu] if cpu else [])]
        return "miner-client", "run", *args, *(extra or ("--node-url", NOBODY))

    def fails(self, *args, env=None):
        """What a program says that must end by itself with an error."""
        done = self.network.run(*args, check=False, timeout=60, env=env)
        self.assertNotEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def check_all_say(self, node, *parts):
        calls = self.programs(node, data=self.id())
        said = together(*(lambda call=call: self.fails(*call) for call in calls.values()))
        for what, text in zip(calls, said):
            with self.subTest(what):
                self.assert_says(text, node, *parts)

    def test_a_node_that_does_not_answer(self):
        """Every program names the address and what to look at, and gives up in seconds."""
        self.check_all_say(NOBODY, "no node answers at", "check that it runs and that --node-url is its address")

    def test_a_node_that_answers_with_something_else(self):
        """A port where something else listens is no node."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"ws://127.0.0.1:{silent.getsockname()[1]}"
            threading.Thread(target=hang_up, args=(silent,), daemon=True).start()
            self.assert_says(self.fails(*self.miner("--node-url", url)), "no node answers at", url)

    def test_a_node_that_is_still_syncing(self):
        """A node that has not caught up shows an old chain: nobody works on it."""
        with FakeNode(syncing=True) as node:
            self.check_all_say(node.url, "is still syncing", "wait until it has caught up, or use another node")

    def test_a_model_with_one_wrong_byte(self):
        """The miner names the file, the hash that it should have and the one that it has, before anything runs."""
        folder = self.folder / "changed"
        shutil.copytree(MODEL, folder)
        file = folder / "unet" / "model.onnx"
        data = bytearray(file.read_bytes())
        expected = hashlib.sha256(data).hexdigest()
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
        found = hashlib.sha256(data).hexdigest()
        for call in (
            self.miner(model=folder),
            ("miner-client", "manifest", folder),
            ("miner-client", "infer", "--model", folder, "--allow-cpu", "--input", os.devnull),
        ):
            with self.subTest(call[1]):
                self.assert_says(self.fails(*call), "unet/model.onnx", expected, found)

    def test_a_model_that_is_not_complete(self):
        """A listed file that is missing, a file with weights that is not listed, and no list at all."""
        folders = [self.folder / name for name in ("missing", "unlisted", "listless")]
        for folder in folders:
            shutil.copytree(MODEL, folder)
        (folders[0] / "vae_decoder" / "model.onnx").unlink()
        (folders[1] / "unet" / "more.onnx").write_bytes(b"weights")
        (folders[2] / "SHA256SUMS").unlink()
        missing, unlisted, listless = (self.fails(*self.miner(model=folder)) for folder in folders)
        self.assert_says(missing, "vae_decoder/model.onnx", "cannot be read")
        self.assert_says(unlisted, "unet/more.onnx", "not listed in SHA256SUMS")
        self.assert_says(listless, str(folders[2] / "SHA256SUMS"), "sha256sum")

    def test_onnx_runtime_is_missing(self):
        """It says where it looked and how to get it."""
        library = str(self.folder / "nowhere" / "libonnxruntime.so")
        by_flag = self.fails(*self.miner("--onnxruntime", library))
        by_environment = self.fails(*self.miner(), env={"ORT_DYLIB_PATH": library})
        for text in (by_flag, by_environment):
            self.assert_says(text, "ONNX Runtime is missing", library, "scripts/setup", "ORT_DYLIB_PATH")

    def test_onnx_runtime_is_no_library(self):
        """A file that cannot be loaded is named, with the reason."""
        library = self.folder / "text.so"
        library.write_text("not a library\n")
        self.assert_says(self.fails(*self.miner("--onnxruntime", library)), str(library), "cannot be loaded as ONNX Runtime", "scripts/setup")

    def compile(self, name, code):
        """A shared library of this C code."""
        gcc = shutil.which("gcc")
        if not gcc:
            self.skipTest("there is no gcc to make a library with")
        source, library = self.folder / f"{name}.c", self.folder / f"lib{name}.so"
        source.write_text(code)
        subprocess.run([gcc, "-shared", "-fPIC", "-o", library, source], check=True, timeout=60)
        return library

    def test_onnx_runtime_is_too_old(self):
        """A library that calls itself 1.10 is refused by its version; another library for what it lacks."""
        old = self.compile(
            "old",
            """
            typedef struct { const void *(*api)(unsigned); const char *(*version)(void); } Base;
            static const void *api(unsigned wanted) { return wanted <= 10 ? (const void *)&api : 0; }
            static const char *version(void) { return "1.10.0"; }
            static const Base base = { api, version };
            const Base *OrtGetApiBase(void) { return &base; }
            """,
        )
        text = self.fails(*self.miner("--onnxruntime", old))
        self.assertRegex(text, rf"ONNX Runtime at {old} is version 1\.10\.0, 1\.\d+ or later is needed")
        other = self.compile("other", "int unrelated(void) { return 0; }")
        self.assert_says(self.fails(*self.miner("--onnxruntime", other)), str(other), "does not export `OrtGetApiBase`")

    def test_no_gpu_and_the_cpu_not_allowed(self):
        """Nothing falls back to the CPU without a word."""
        text = self.fails(*self.miner(cpu=None))
        if "no node answers" in text:
            self.skipTest("CUDA can be used here")
        self.assert_says(text, "CUDA cannot be used", "--allow-cpu")

    def test_settings_with_mistakes(self):
        """A name that is not known is an error wherever it stands, and so is a value that makes no sense."""
        file = self.folder / "miner.toml"
        file.write_text("slot = 2\n")
        self.assert_says(self.fails(*self.miner("--config", file)), "`slot`", "miner.toml")
        self.assert_says(self.fails(*self.miner("--slots", "0")), "slots is 0")
        self.assert_says(self.fails(*self.miner(), env={"MINER_SLOT": "2"}), "slot")
        coordinator = self.programs(NOBODY, data="settings")["coordinator"]
        self.assert_says(self.fails(*coordinator, "--max-wait", "0"), "max_wait")
        file.write_text("max_wiat = 2\n")
        self.assert_says(self.fails(*coordinator, "--config", file), "max_wiat")


def hang_up(listener):
    """Takes connections and ends them at once, until the listener is closed."""
    while True:
        try:
            listener.accept()[0].close()
        except OSError:
            return


if __name__ == "__main__":
    unittest.main()
