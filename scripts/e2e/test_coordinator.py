"""What goes wrong around a coordinator: killed in the middle, miners that cheat at its door, requests that are none. Nothing is lost, nothing paid twice, and every planck is accounted for.

`scripts/check coordinator-faults` does more of it, and what takes longer.
"""

import base64
import http.client
import subprocess
import sys
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
from safetensors.numpy import load, save

import test_faults
from coordinators import MAX_LIFE, Hand, Ledger, blake2, output_path, sketch
from miners import Metrics, handles, memory
from network import DEMO, Failure, another_model, http as ask_http, public_key, together, wait_for
from strangers import Crawlers, flood

# `load_tests` is for unittest: all tests of a class at the same time.
from test_faults import ChainTest, load_tests  # noqa: F401
from test_support import MODEL, calibration

BOND = {"coordinator": "2500000", "miner": "100000"}
# In blocks: enough for a miner that is stopped for most of a test.
WORK_WINDOW = 40
# How long a step of a job may take, and a job whose post must first be known not to be in any block, in seconds.
STEP, JOB = 240, 400
# How much memory may be kept after a flood of requests, in bytes, and how many files and connections.
GROWTH, HANDLES = 32 << 20, 8
PROMPT = "a blue square"
# What is said of an output that is not the one under the root on chain.
MISMATCH = "not what it has shown on chain"

# The closed books of all tests, for who wants to print them.
BOOKS = []


def picture_inputs(count, seed=0, steps=2):
    return [{"prompt": PROMPT, "seed": seed + number, "steps": steps} for number in range(count)]


def tensor_inputs(count):
    files = (save({"x": np.random.default_rng(number).standard_normal((1, 8)).astype(np.float32)}) for number in range(count))
    return [{"safetensors": base64.b64encode(file).decode()} for file in files]


class Orders:
    """Requests of an application that is not put off: each has a key, and is sent again until it is answered."""

    def __init__(self, app, name, items=(1, 2, 1), model="demo", steps=20):
        self.app, self.model = app, model
        self.wanted = {f"{name}, {number}": picture_inputs(count, 10 * number, steps) for number, count in enumerate(items)}
        self.jobs, self.sending = {}, []

    def ask(self, key):
        """Whether it was answered. One key is one job."""
        try:
            status, _, job = self.app.post_batch("text_to_image", self.model, self.wanted[key], {"idempotency-key": key})
        except (OSError, http.client.HTTPException, ValueError):
            # The coordinator was killed over it.
            return False
        if status == 202:
            if self.jobs.setdefault(key, job["id"]) != job["id"]:
                raise Failure(f"the request {key!r} became two jobs: {self.jobs[key]} and {job['id']}")
            return True
        if status < 500 and status != 429:
            raise Failure(f"the coordinator answered {status}: {job}")
        return False

    def send(self):
        """All at once, without waiting for the answers."""
        pool = ThreadPoolExecutor(len(self.wanted))
        self.sending = [pool.submit(self.ask, key) for key in self.wanted]
        pool.shutdown(wait=False)
        return self

    def insist(self):
        """Sends every request again until it is answered; the jobs."""
        for sent in self.sending:
            sent.result()
        for key in self.wanted:
            wait_for(f"an answer to {key!r}", lambda: self.ask(key), 120)
        return list(self.jobs.values())


def make_tensor_model(folder, seed=3):
    subprocess.run([sys.executable, DEMO / "tensor_oracle.py", "--make", folder, "--seed", str(seed)], check=True, timeout=120)


class Target:
    """A coordinator that is to be killed, and what can be seen of it."""

    def __init__(self, test, name):
        self.network, self.process = test.network, test.network.processes[name]
        self.app, self.books = test.network.application(name), test.books[name]
        self.orders, self.since = None, self.process.written()

    def start(self):
        self.since = self.process.written()
        self.process.start()
        self.wait_ready()

    def wait_ready(self, seconds=60):
        wait_for(f"the {self.process.name}", lambda: self.process.alive() and ask_http(f"{self.app.url}/readyz")[0] == 200, seconds)

    def again(self):
        self.process.kill()
        self.start()

    # --- how far it is

    def said(self, message):
        """Whether this stands in its log, from its last start on."""
        return self.process.wrote(f'"message":"{message}"', self.since)

    def batched(self):
        """Whether it has put jobs together since it was started, or is beyond that."""
        here = SimpleNamespace(name=self.process.name, port=self.network.ports[self.process.name])
        return Metrics(here).total("cuckoo_batch_items_count") > 0 or self.sent() or self.posted()

    def sent(self):
        return test_faults.Crashes.waits_in_the_pool(self, self.books.account)

    def tasks(self):
        return self.network.tasks(self.books.owner)

    def in_block(self):
        return not self.sent() and self.tasks()

    def drawn(self):
        return any(task["phase"] != "queued" for task in self.tasks())

    def paid(self):
        return all(task["phase"] == "settled" for task in self.tasks())

    def jobs(self):
        return [self.app.job(job) for job in list(self.orders.jobs.values())]

    def posted(self):
        return any(job["task"] is not None for job in self.jobs())

    def fetched(self):
        return any(job["state"] in ("running", "completed") for job in self.jobs())

    def completed(self):
        return any(job["state"] == "completed" for job in self.jobs())

    def revealing(self):
        """Whether nobody needs the coordinator any more: every output is here, and every verifier has committed to its own."""
        jobs = self.jobs()
        completed = len(jobs) == len(self.orders.wanted) and all(job["state"] == "completed" for job in jobs)
        return completed and all(task["phase"] in ("revealing", "settled") for task in self.tasks())

    def settled(self):
        return any(job["settlement"] == "settled" for job in self.jobs())


# When a coordinator is killed: between any two steps of a job. What comes first, if anything, is when it is frozen: so the step after it happens on chain, and the coordinator cannot
# know when it is killed.
MOMENTS = {
    "accepted": (None, lambda target: target.said("accepted")),
    "batched": (None, Target.batched),
    "sent": (None, Target.sent),
    "in block": (Target.sent, Target.in_block),
    "posted": (None, Target.posted),
    "drawn": (Target.posted, Target.drawn),
    "fetched": (None, Target.fetched),
    "completed": (None, Target.completed),
    "paid": (Target.revealing, Target.paid),
    "settled": (None, Target.settled),
}
# Over in no time.
SHORT = "accepted", "batched"


class CoordinatorTest(ChainTest):
    """Coordinators, each killed or cheated by one test, on a chain of their own. Here each account is owner and operator at once."""

    # A development chain has twelve accounts with CAI.
    COORDINATORS = {}
    # By name, a miner's account and its model.
    MINERS = {}
    # Of models, where they are not as usual.
    WORK_WINDOWS = {}
    # The models that are no pictures', but y = softmax(relu(x W + b) V).
    TENSORS = ()

    @classmethod
    def prepare(cls, network):
        network.start_node()
        cls.ledger = Ledger(network)
        cls.make_models()
        together(
            *(lambda name=name: cls.add_coordinator(name) for name in cls.COORDINATORS),
            *(lambda model=model: cls.add_miners(model) for model in cls.models()),
        )
        together(
            *(lambda name=name: cls.start_coordinator(name) for name in cls.COORDINATORS),
            *(lambda name=name: cls.start_miner(name) for name in cls.MINERS),
        )
        cls.open_books()

    @classmethod
    def open_books(cls):
        opened = together(*(lambda pair=pair: cls.ledger.open(pair[0], pair[1], pair[1]) for pair in cls.COORDINATORS.items()))
        cls.books = {books.name: books for books in opened}

    @classmethod
    def models(cls):
        return dict.fromkeys(model for _, model in cls.MINERS.values())

    @classmethod
    def make_models(cls):
        for model in cls.models():
            folder = cls.folder / "models" / model
            if model in cls.TENSORS:
                make_tensor_model(folder)
            else:
                another_model(MODEL, folder, model)

    @classmethod
    def add_coordinator(cls, name):
        account, endpoint = cls.COORDINATORS[name], f"http://127.0.0.1:{cls.network.port_of(name)}"
        cls.network.register("cuckoo-coordinator", account, account, BOND["coordinator"], name, endpoint)

    @classmethod
    def add_miners(cls, model):
        """A model and the miners that will serve it."""
        miners = [(name, account) for name, (account, of) in cls.MINERS.items() if of == model]
        for name, account in miners:
            cls.network.register("miner-client", account, account, BOND["miner"], name)
        terms = {"by": miners[0][1], "work_window": cls.WORK_WINDOWS.get(model, WORK_WINDOW)}
        if model in cls.TENSORS:
            terms["calibration"] = calibration(cls.folder / f"{model}.json", 10)
        kind = "tensor" if model in cls.TENSORS else "text-to-image"
        cls.network.register_model(model, cls.folder / "models" / model, kind, **terms)

    @classmethod
    def start_coordinator(cls, name, **how):
        return cls.network.start_coordinator(cls.COORDINATORS[name], None, name=name, **how)

    @classmethod
    def start_miner(cls, name):
        account, model = cls.MINERS[name]
        return cls.network.start_miner(f"miner-{name}", account, [cls.folder / "models" / model], "--slots", 8)

    def miner(self, name):
        return self.network.processes[f"miner-{name}"]

    def stopped(self, name):
        """This miner, frozen until the test says otherwise: it is drawn, and does nothing."""
        miner = self.miner(name)
        miner.pause()
        self.addCleanup(miner.go_on)
        return miner

    def hand(self, miner, coordinator):
        """What does by hand what this miner would do."""
        return Hand(self.network, self.MINERS[miner][0], coordinator, self.COORDINATORS[coordinator])

    def order(self, app, model, inputs):
        kind = "tensor" if model in self.TENSORS else "text_to_image"
        status, _, job = app.post_batch(kind, model, inputs)
        self.assertEqual(status, 202, job)
        return job["id"]

    def outputs(self, app, job, count):
        """What the miner has delivered of a job."""
        answers = [app.output(job, f"?format=safetensors&item={item}") for item in range(count)]
        self.assertEqual([status for status, _, _ in answers], [200] * count)
        return [content for _, _, content in answers]

    def check_settled(self, app, job, seconds=JOB):
        """The job once the chain has paid for it, with its outputs, of whatever kind."""
        app.wait_job(job, "settlement", ("settled", "refunded", "void", "burnt", "overturned"), seconds)
        done = app.wait_job(job, "state", ("completed", "failed", "expired", "cancelled"), seconds)
        self.assertEqual((done["state"], done["settlement"], done["error"]), ("completed", "settled", None))
        self.outputs(app, job, done["items"])
        return done

    def check_all(self, target, jobs):
        """Every job has its pictures and is paid for, once: by the coordinator, by the chain's events and by the account's balance."""
        for job in jobs:
            self.check_settled(target.app, job)
        self.check_books(target, jobs)

    def check_books(self, target, jobs):
        """No task is nobody's, no inference was posted twice, nothing is held any more, and what the account has lost is what was paid."""
        last = self.ledger.closed(target.books)
        told = self.ledger.account(target.books, last)
        BOOKS.append(told)
        views = [target.app.job(job) for job in jobs]
        self.assertEqual(told.tasks, sorted({view["task"] for view in views}), "a task without a job, or a job without its task")
        self.assertEqual(told.items, sum(view["items"] for view in views), "an inference was posted twice, or never")
        self.assertEqual(told.paid, sum(int(view["fee"]) for view in views if view["settlement"] == "settled"), "what was paid is not the settled jobs' fees")
        self.assertEqual((told.held, told.more_held), (0, 0), "something is still held")
        self.assertEqual(told.missing, 0, f"planck that nothing accounts for: {told}")

    def killed_at(self, name, *moments):
        """Three requests, of which one is for two pictures; their coordinator is killed at each of these moments and started again. All are done, once."""
        target = Target(self, name)
        target.orders = Orders(target.app, name).send()
        for moment in moments:
            freeze, reached = MOMENTS[moment]
            if freeze:
                wait_for(f"{name} to be frozen before {moment!r}", lambda: freeze(target), STEP, every=0.05)
                target.process.pause()
            every = 0.005 if moment in SHORT else 0.05
            wait_for(f"{name} to be killed at {moment!r}", lambda: reached(target), STEP, every)
            target.again()
            jobs = target.orders.insist()
        self.check_all(target, jobs)

    def check_flood(self, name, count, crawlers, seconds):
        """So many requests that are none, and connections that never end one: refused, or left alone; then the coordinator does what it did before, in as much memory."""
        target, port = Target(self, name), self.network.ports[name]
        pid, models = target.process.child.pid, {"picture": "demo", "tensor": "tiny"}
        # What any work takes for the first time is not what a flood leaves behind.
        flood(port, 300, seed=1, **models)
        kept, open_before = memory(pid), handles(pid)
        answers, faults = flood(port, count, seed=2, **models)
        self.assertEqual(faults[:10], [], f"of {count} requests that are none {len(faults)} were not refused; all answers: {answers}")
        with ThreadPoolExecutor(1) as pool:
            slow = Crawlers(port, crawlers)
            crawling = pool.submit(slow.run, seconds)
            wait_for("all slow connections to be there", lambda: crawling.done() or slow.open == crawlers, 30, every=0.05)
            began = time.monotonic()
            job = self.order(target.app, "demo", picture_inputs(1))
            self.assertLess(time.monotonic() - began, 5, "a good request waits for the slow ones")
            left = crawling.result()
        wait_for("their connections to be closed", lambda: handles(pid) <= open_before + HANDLES, 60)
        self.check_all(target, [job])
        self.assertTrue(target.process.alive())
        log = target.process.log.read_text()
        self.assertNotIn("panicked", log)
        self.assertEqual(log.count('"message":"accepted"'), 1)
        grown = memory(pid) - kept
        self.assertLess(grown, GROWTH, f"{grown / 2**20:.1f} MiB more are kept after the flood")
        return left

    @classmethod
    def add_tensor_model(cls, by):
        """A model that no miner serves: requests for it are looked at more closely than for one that is not there."""
        make_tensor_model(cls.folder / "tiny", seed=5)
        measured = calibration(cls.folder / "tiny.json", 10)
        cls.network.register_model("tiny", cls.folder / "tiny", "tensor", by=by, calibration=measured)


class Faults(CoordinatorTest):
    """Each test has a coordinator of its own; those that stop a miner have a model that only that one serves."""

    COORDINATORS = {
        "unanswered": "//Bob",
        "in-block": "//Bob//stash",
        "steps": "//Charlie",
        "cheated": "//Charlie//stash",
        "late": "//Dave",
        "flooded": "//Dave//stash",
    }
    MINERS = {
        "worker-1": ("//Alice", "demo"),
        "worker-2": ("//Alice//stash", "demo"),
        "steps": ("//Eve", "steps"),
        "cheat": ("//Eve//stash", "cheat"),
        "late-1": ("//Ferdie", "late"),
        "late-2": ("//Ferdie//stash", "late"),
    }
    WORK_WINDOWS = {"steps": 150, "cheat": 100, "late": 5}
    TENSORS = ("steps",)

    @classmethod
    def add_miners(cls, model):
        super().add_miners(model)
        if model == "demo":
            cls.add_tensor_model("//Alice")

    # --- killed

    def test_a_coordinator_killed_over_its_answers_has_every_job_once(self):
        """kill -9 with requests that have just come, that are in the book, and that are just answered: sent again with their keys, each is one job."""
        target, jobs = Target(self, "unanswered"), []
        for number in range(4):
            orders = Orders(target.app, f"unanswered {number}", (1, 1, 2), steps=2).send()
            # Whatever it has come to in this time.
            time.sleep(0.01 * number)
            target.again()
            jobs += orders.insist()
        self.assertEqual(len(set(jobs)), 12)
        self.check_all(target, jobs)

    def test_a_coordinator_killed_before_it_knows_that_its_post_is_in_a_block_posts_nothing_twice(self):
        """kill -9 of a coordinator that hung while its post got into a block."""
        self.killed_at("in-block", "in block")

    def test_a_coordinator_killed_after_every_step_of_a_miner_goes_on_where_it_was(self):
        """kill -9 after the draw, after the list of inputs, after the inputs, after each output, after the chain has paid, and after it was seen to have paid."""
        target, count = Target(self, "steps"), 3
        app, inputs = target.app, tensor_inputs(count)
        first = self.order(app, "steps", inputs)
        done = self.check_settled(app, first)
        # The same inputs give the same outputs, on the same machine to the last byte: what the miner will deliver is known. What it says of them changes with the task.
        outputs = self.outputs(app, first, count)
        values = [load(output)["y"].ravel() for output in outputs]
        self.assertEqual(done["output_sketches"], [sketch(done["task"], item, values[item]) for item in range(count)])
        miner = self.stopped("steps")
        job = self.order(app, "steps", inputs)
        task = self.task_of(app, job)
        self.wait_phase(task, "working")
        hand = self.hand("steps", "steps")
        target.again()
        status, told = hand.inputs(task)
        self.assertEqual((status, len(told["hashes"])), (200, count))
        target.again()
        for hash in told["hashes"]:
            status, blob = hand.blob(hash)
            self.assertEqual((status, blake2(blob).hex()), (200, hash.removeprefix("0x")))
        self.assertEqual(app.job(job)["state"], "running")
        for item, output in enumerate(outputs):
            target.again()
            self.assertEqual(app.job(job)["state"], "running")
            self.assertEqual(hand.put(task, item, output, sketch(task, item, values[item]))[0], 204)
            here = [hash is not None for hash in app.job(job)["output_hashes"]]
            self.assertEqual(here, [number <= item for number in range(count)])
        target.again()
        self.assertEqual(app.job(job)["state"], "completed")
        self.assertEqual(self.outputs(app, job, count), outputs)
        miner.go_on()
        # It has fetched the inputs again, and computed: it needs the coordinator no more.
        wait_for("the miner to commit", lambda: self.network.task(task)["blocks"]["committed"], STEP, every=0.05)
        target.process.pause()
        wait_for("the chain to pay", target.paid, STEP)
        target.again()
        app.wait_job(job, "settlement", ("settled",), STEP)
        target.again()
        self.check_one_round(app, job)
        self.check_all(target, [first, job])

    # --- miners

    def test_a_miner_delivers_its_own_task_once_and_nothing_else(self):
        """Junk, another's task, another output, requests that are forged, too old or sent again: refused. What is delivered first counts, and if the miner shows something else on chain the job says so."""
        target = Target(self, "cheated")
        app, inputs = target.app, picture_inputs(1)
        first, others = together(lambda: self.order(app, "cheat", inputs), lambda: self.order(app, "demo", inputs))
        self.check_settled(app, first)
        (output,) = self.outputs(app, first, 1)
        miner = self.stopped("cheat")
        job = self.order(app, "cheat", inputs)
        task = self.task_of(app, job)
        self.wait_phase(task, "working")
        hand, stranger = self.hand("cheat", "cheated"), self.hand("worker-1", "cheated")
        (hash,) = hand.inputs(task)[1]["hashes"]
        self.check_seats(app, hand, stranger, task, hash, app.job(others)["task"])
        self.check_signatures(hand, stranger, task)
        self.check_junk(app, hand, task, job, output)
        self.check_once(app, hand, task, job, output)
        miner.go_on()
        # What was delivered by hand had another sketch than what the miner has shown on chain: that is said. Nobody but the miner itself could have done it.
        done = app.wait_job(job, "settlement", ("settled", "refunded", "void", "burnt", "overturned"), JOB)
        self.assertEqual((done["state"], done["settlement"], done["round"]), ("completed", "settled", 0))
        self.assert_says(done["error"], MISMATCH)
        self.check_settled(app, others)
        self.check_books(target, [first, others, job])

    def check_seats(self, app, hand, stranger, task, hash, others):
        """Who has no seat in a task gets nothing of it and gives nothing to it."""
        answers = {
            "another's inputs": (stranger.inputs(task), 403),
            "another's blob": (stranger.blob(hash), 403),
            "another's output": (stranger.put(task, 0, b"junk"), 403),
            "the inputs of a task of others": (hand.inputs(others), 403),
            "an output for a task of others": (hand.put(others, 0, b"junk"), 403),
            "a task that is not": (hand.inputs(10**6), 404),
            "an item that is not": (hand.put(task, 1, b"junk"), 404),
            "a sketch that is none": (hand.put(task, 0, b"junk", "00"), 400),
            "a blob that is not": (hand.blob("0x" + "01" * 32), 403),
        }
        for what, ((status, content), expected) in answers.items():
            with self.subTest(what):
                self.assertEqual(status, expected, content)

    def check_signatures(self, hand, stranger, task):
        """A signature is good for one request to one coordinator, for a minute, and once."""
        path, output = f"/v1/miner/tasks/{task}/inputs", output_path(task, 0)
        elsewhere = public_key(self.network.key(self.COORDINATORS["late"])[1])
        forged = {**stranger.sign("GET", path), "cuckoo-account": hand.account}
        requests = {
            "no signature": ("GET", path, b"", {}),
            "of another path": ("GET", path, b"", hand.sign("GET", path + "/")),
            "of another method": ("GET", path, b"", hand.sign("PUT", path)),
            "of another body": ("PUT", output, b"output", hand.sign("PUT", output, b"0utput")),
            "for another coordinator": ("GET", path, b"", hand.sign("GET", path, coordinator=elsewhere)),
            "too old": ("GET", path, b"", hand.sign("GET", path, ahead=-1)),
            "good for too long": ("GET", path, b"", hand.sign("GET", path, ahead=MAX_LIFE + 30)),
            "by another": ("GET", path, b"", forged),
        }
        for what, request in requests.items():
            with self.subTest(what):
                status, content = hand.send(*request)
                self.assertEqual((status, content["error"]["code"]), (401, "bad_signature"))
        with self.subTest("sent again"):
            overheard = hand.sign("GET", path)
            self.assertEqual(hand.send("GET", path, headers=overheard)[0], 200)
            status, content = hand.send("GET", path, headers=overheard)
            self.assertEqual((status, content["error"]["code"]), (401, "bad_signature"))

    def check_junk(self, app, hand, task, job, output):
        """What is no picture is not taken, and the seat can still deliver."""
        other = save({"picture": load(output)["image"]})
        for junk in (b"", b"junk", b"\0" * 8, output[:-1], output + b"\0", other, save({"image": load(output)["image"].astype("float32")})):
            with self.subTest("junk", size=len(junk)):
                status, content = hand.put(task, 0, junk)
                self.assertEqual(status, 422, content)
        view = app.wait_job(job, "state", ("assigned", "running"), 30)
        self.assertEqual(view["output_hashes"], [None])

    def check_once(self, app, hand, task, job, output):
        """The first output counts. The same again changes nothing, another is refused."""
        path, changed = output_path(task, 0), load(output)["image"] ^ 1
        overheard = hand.sign("PUT", path, output)
        self.assertEqual(hand.send("PUT", path, output, overheard)[0], 204)
        with self.subTest("sent again"):
            status, content = hand.send("PUT", path, output, overheard)
            self.assertEqual((status, content["error"]["code"]), (401, "bad_signature"))
        self.assertEqual(hand.put(task, 0, output)[0], 204)
        self.assertEqual(hand.put(task, 0, save({"image": changed}))[0], 409)
        self.assertEqual(app.job(job)["state"], "completed")
        self.assertEqual(self.outputs(app, job, 1), [output])

    def test_a_miner_that_is_too_late_delivers_nothing(self):
        """Drawn, and silent until its time is over: neither inputs nor outputs are its business any more. Another does the task and is paid, once."""
        target, miners = Target(self, "late"), ("late-1", "late-2")
        for name in miners:
            self.stopped(name)
        job = self.order(target.app, "late", picture_inputs(1))
        task = self.task_of(target.app, job)
        self.wait_phase(task, "working")
        drawn = self.network.task(task)["miner"]
        (gone,) = [name for name in miners if self.network.key(self.MINERS[name][0])[1] == drawn]
        (other,) = [name for name in miners if name != gone]
        hand = self.hand(gone, "late")
        status, told = hand.inputs(task)
        self.assertEqual(status, 200, told)
        redrawn = lambda: (view := self.network.task(task))["round"] == 1 and view["phase"] == "working"
        wait_for("another miner to be drawn", redrawn, STEP)
        for status, content in (hand.inputs(task), hand.blob(told["hashes"][0]), hand.put(task, 0, b"junk")):
            self.assertEqual((status, content["error"]["code"]), (403, "no_seat"))
        for name in miners:
            self.miner(name).go_on()
        done = self.check_settled(target.app, job)
        self.assertEqual((done["round"], done["miner"]), (1, self.network.key(self.MINERS[other][0])[1]))
        self.assertEqual(hand.put(task, 0, b"junk")[0], 403)
        self.check_all(target, [job])

    # --- strangers

    def test_requests_that_are_none_cost_nothing(self):
        """A thousand of them, and some connections that never end a request: refused, no job, no memory kept; a good request is served meanwhile and afterwards."""
        self.check_flood("flooded", 1000, crawlers=20, seconds=5)


if __name__ == "__main__":
    unittest.main()
