"""`scripts/check adversaries`: miners that cheat, each in its own way, and a coordinator that does, among nine honest miners on a chain of their own.

Every honest miner serves eight models; every adversary serves one of them, with far more stake than all honest miners together, so that it is drawn. The models are used side by side,
because most of the time is spent waiting for blocks. What is printed of each habit is read from the chain's events and from the application's side of the coordinator: what the chain
did, to whom, and what the application got. No honest miner may lose anything.
"""

import argparse
import base64
import json
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import onnxruntime
from safetensors.numpy import load, save

from network import BIN, CAI, Failure, another_model, cai, checked, public_key, say, together, wait_for

# From demo-model, where `network` has Python look.
import variants
from false_slashes import make_tensor_model

# A court of seven, a verifier, and one more.
HONEST = [f"honest-{number}" for number in range(1, 10)]
HONEST_BOND, HONEST_FUNDS = "25000", "26000"
# The chain begins with ten million CAI in each of twelve accounts. The adversaries that are not among them get less.
RICH_BOND, POOR_BOND, POOR_FUNDS = "9000000", "3000000", "3100000"
COORDINATOR_BOND = "2500000"
# How many slots an honest miner offers: more than there are tasks at a time, so that nobody who is needed is busy.
HONEST_SLOTS = 16
# In blocks: enough for an honest miner on a busy machine to commit.
WORK_WINDOW = 20
# In blocks: a task whose miner is silent for a hundred must not expire before the next one has finished it.
MAX_WAIT = 400
# The least fee of the models, R, in planck.
FEE = CAI // 2
# What faults cost, in fees: the parameters WrongResultSlash, WrongJurorSlash, NoRevealSlash and NoCommitmentSlash.
WRONG, WRONG_JUROR, NO_REVEAL, NO_COMMITMENT = 30, 10, 3, 1
# How many miners must say that the inputs cannot be had.
UNABLE = 3
# Results farther apart than this are not the same; the model's tolerance ends far below.
SAME = 1e-3
# How long things may take, in seconds: a step of a task, a task, one whose miner is silent, and what the coordinator says about it once it is final.
STEP, TASK, SILENT, FINAL = 180, 400, 1000, 120
# How often a task is posted in the hope that the adversary is drawn as what it cheats as.
TRIES = 5
# Who of the programs that all need the same two cores starts at a time.
AT_A_TIME = 4

# Of each adversary its account, its habit and its model. Whoever shares a model comes one after the other.
ADVERSARIES = {
    "junk": ("//Charlie", "junk", "junk"),
    "junk-juror": ("//Charlie//stash", "junk-juror", "junk"),
    "stale": ("//Dave", "stale", "stale"),
    "vanishing": ("//Adversary//1", "vanish", "stale"),
    "copier": ("//Dave//stash", "copy-commitment", "commitment"),
    "revealer": ("//Eve", "copy-reveal", "reveal"),
    "silent": ("//Eve//stash", "silent", "silent"),
    "int8": ("//Ferdie", "int8", "int8"),
    "twice": ("//Adversary//2", "reveal-twice", "int8"),
    "colluder-1": ("//Ferdie//stash", "collude", "collusion"),
    "colluder-2": ("//Alice//stash", "collude", "collusion"),
}
# The second one serves inputs to nobody.
COORDINATORS = {"coordinator": "//Bob", "closed": "//Bob//stash"}
# Who registers each model.
MODELS = {
    "junk": "//Charlie",
    "stale": "//Dave",
    "commitment": "//Dave//stash",
    "reveal": "//Eve",
    "silent": "//Eve//stash",
    "int8": "//Ferdie",
    "collusion": "//Ferdie//stash",
    "withheld": "//Bob//stash",
}
# Pays for the accounts that begin with nothing.
TREASURY = "//Alice"
ENDS = ("Settled", "Rejected", "Void", "Unavailable", "Undelivered", "Expired", "Cancelled")


def honest_account(name):
    return f"//Honest//{name.rsplit('-', 1)[1]}"


def many(value):
    """A list of accounts; one of them alone may come without the list."""
    return [value] if isinstance(value, str) else value


class Chain:
    """The events of every block, as `devchain events` prints them."""

    def __init__(self, network, names, pallets=("Tasks", "Stake")):
        self.names = names
        self.process = network.start("events", "examples/devchain", "--node-url", network.node_url, "events", *pallets)
        self.lock = threading.Lock()
        self.at, self.block, self.events = 0, 0, []

    def update(self):
        """All events so far."""
        self.process.alive()
        with self.lock, open(self.process.log, "rb") as log:
            log.seek(self.at)
            text = log.read()
            # The last line may not be whole yet.
            text = text[: text.rfind(b"\n") + 1]
            self.at += len(text)
            for line in text.splitlines():
                if line.startswith(b'{"block"'):
                    told = json.loads(line)
                    self.block = told["block"]
                    self.events += [SimpleNamespace(block=self.block, **event) for event in told["events"]]
            return list(self.events)

    def of_task(self, task):
        return [event for event in self.update() if event.pallet == "Tasks" and event.fields.get("task") == task]

    def wait(self, task, names, seconds=STEP):
        """The first of these events of a task."""
        found = lambda: next((event for event in self.of_task(task) if event.event in names), None)
        return wait_for(f"{' or '.join(names)} of task {task}", found, seconds, every=1)

    def name(self, account):
        return self.names.get(account, account[:10])

    def who(self, event, field):
        return [self.name(account) for account in many(event.fields[field])]

    def slashes(self, names, first=0):
        """Who of these was slashed from a block on, why and for how much, in planck."""
        slashed = [event for event in self.update() if (event.pallet, event.event) == ("Stake", "Slashed") and event.block >= first]
        told = [(self.name(event.fields["owner"]), event.fields["reason"], int(event.fields["amount"])) for event in slashed]
        return [slash for slash in told if slash[0] in names]

    def went(self, event, field, names, first):
        """Which of these names such an event tells of, from a block on."""
        seen = [other for other in self.update() if other.event == event and other.block >= first]
        return sorted({self.name(other.fields[field]) for other in seen} & set(names))

    def story(self, task):
        """What the chain did with a task, in order: each event with its block and whom it is about."""
        told = []
        for event in self.of_task(task):
            text = event.event + self.detail(event)
            if told and told[-1][0] == text:
                told[-1][2] += 1
            else:
                told.append([text, event.block, 1])
        return ", ".join(f"{block} {text}" + (f" x{count}" if count > 1 else "") for text, block, count in told)

    def detail(self, event):
        fields = event.fields
        if event.event == "CourtSeated":
            return f"({len(many(fields['jurors']))} jurors)"
        if event.event == "Committed" and fields["kind"] == "Juror":
            return "(juror)"
        if event.event == "Audited":
            return "(agreed)" if fields["agreed"] else "(grey)"
        if "burnt" in fields:
            return f"(burnt {cai(fields['burnt'])})"
        field = next((field for field in ("verifiers", "wrong", "miner") if field in fields), None)
        return f"({', '.join(self.who(event, field)) or 'nobody'})" if field else ""


class Purses(threading.Thread):
    """Follows the own stake of every honest miner, block by block."""

    def __init__(self, network, names):
        super().__init__(daemon=True)
        self.network, self.names = network, names
        self.last, self.block, self.falls, self.looks = {}, 0, [], 0
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(0.5):
            try:
                self.look()
            except (OSError, ValueError, Failure):
                # The node is busy, or gone; how many looks there were is checked in the end.
                continue

    def look(self):
        block = self.network.best_block()
        if block == self.block:
            return
        for pool in self.network.rpc("cuckoo_operators", "miner", 0, 100, self.network.block_hash(block)):
            name = self.names.get("0x" + public_key(pool["owner"]).hex())
            if name not in HONEST:
                continue
            own = int(pool["own"])
            fall = self.last.get(name, own) - own
            if fall > 0:
                self.falls.append((block, name, fall))
            self.last[name] = own
        self.block = block
        self.looks += 1

    def lost(self, first=0):
        """What honest miners have lost from a block on, in planck."""
        return sum(fall for block, _, fall in list(self.falls) if block >= first)


class Check:
    """The network and what happens on it."""

    def __init__(self, network):
        self.network = network
        self.folder = network.folder
        self.numbers, self.rows = {}, []
        accounts = {**{name: honest_account(name) for name in HONEST}, **{name: account for name, (account, *_) in ADVERSARIES.items()}, **COORDINATORS}
        self.accounts = accounts

    # --- the network

    def start(self):
        network = self.network
        say("making the model and its copy in 8-bit integers, measuring how close honest results are")
        self.make_models()
        say("starting the chain")
        network.start_node()
        say(f"importing {len(self.accounts)} keys")
        for account in self.accounts.values():
            network.key(account)
        self.names = {"0x" + public_key(network.key(account)[1]).hex(): name for name, account in self.accounts.items()}
        self.chain = Chain(network, self.names)
        poor = [account for account, *_ in ADVERSARIES.values() if account.startswith("//Adversary")]
        self.fund(HONEST_FUNDS, [honest_account(name) for name in HONEST])
        self.fund(POOR_FUNDS, poor)
        say(f"registering {len(self.accounts)} pools and {len(MODELS)} models")
        together(*(lambda name=name: self.register(name) for name in self.accounts), at_a_time=AT_A_TIME)
        self.purses = Purses(network, self.names)
        self.purses.start()
        say("starting two coordinators and the honest miners")
        together(*(lambda name=name: network.start_coordinator(COORDINATORS[name], None, "--max-wait", MAX_WAIT, "--batch-items", 1, name=name) for name in COORDINATORS))
        together(*(lambda name=name: self.start_honest(name) for name in HONEST), at_a_time=AT_A_TIME)

    def make_models(self):
        made = self.folder / "made"
        make_tensor_model(made)
        for kind in ("int8", "pruned"):
            variants.copy(made, self.folder / kind, kind)
        self.calibration = self.folder / "calibration.json"
        cheats = ("--int8", self.folder / "int8", "--pruned", self.folder / "pruned")
        self.network.run("miner-client", "calibrate", "--allow-cpu", "--model", made, *cheats, "--output", self.calibration, timeout=600)
        for name in MODELS:
            another_model(made, self.model(name), name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.reference = onnxruntime.InferenceSession(made / "model.onnx", options, providers=["CPUExecutionProvider"])

    def model(self, name):
        return self.folder / "models" / name

    def fund(self, amount, accounts):
        network = self.network
        to = [network.key(account)[1] for account in accounts]
        network.run("examples/devchain", "--node-url", network.node_url, "fund", *network.signing(TREASURY), "--amount", amount, *to)

    def register(self, name):
        """A pool whose owner is its operator too, and the models of its account."""
        account, network = self.accounts[name], self.network
        if name in COORDINATORS:
            endpoint = f"http://127.0.0.1:{network.port_of(name)}"
            network.register("cuckoo-coordinator", account, account, COORDINATOR_BOND, name, endpoint)
        else:
            rich = POOR_BOND if account.startswith("//Adversary") else RICH_BOND
            network.register("miner-client", account, account, HONEST_BOND if name in HONEST else rich, name)
        for model in (model for model, by in MODELS.items() if by == account):
            terms = {"by": account, "work_window": WORK_WINDOW, "calibration": self.calibration}
            done = network.register_model(model, self.model(model), "tensor", str(FEE / CAI), **terms)
            # "model 3 …"
            self.numbers[model] = done.stdout.split()[1]

    def start_honest(self, name):
        folders = [self.model(model) for model in MODELS]
        self.network.start_miner(name, self.accounts[name], folders, "--threads", 1, "--slots", HONEST_SLOTS)

    # --- the adversaries

    def log(self, name):
        return self.folder / f"adversary-{name}.log"

    def bring(self, *names):
        """Starts these adversaries and waits until they may be drawn."""
        for name in names:
            _, habit, model = ADVERSARIES[name]
            files = self.folder / "int8" if habit == "int8" else self.model(model)
            since = self.log(name).stat().st_size if self.log(name).exists() else 0
            process = self.network.start(
                f"adversary-{name}",
                "examples/adversary",
                "--node-url", self.network.node_url,
                *self.network.signing(self.accounts[name]),
                "--habit", habit,
                "--model-dir", files,
                "--model", self.numbers[model],
            )  # fmt: skip
            wait_for(f"{name} online", lambda: process.alive() and process.wrote('"did":"go online"', since), STEP)

    def dismiss(self, *names):
        """Takes these adversaries offline, if they run."""
        for name in names:
            process = self.network.processes.get(f"adversary-{name}")
            if process and process.child.poll() is None:
                process.stop(seconds=60)

    def refused(self, name, did):
        """Why the chain refused what an adversary did in its seats; an empty text for what it took."""
        lines = [json.loads(line) for line in self.log(name).read_text(errors="replace").splitlines() if line.startswith("{")]
        return [line["refused"] or "" for line in lines if line.get("did") == did]

    # --- the application

    def post(self, model, coordinator="coordinator"):
        """A job with an input of its own, once it is a task."""
        app = self.network.application(coordinator)
        x = np.random.default_rng().standard_normal((1, 3, 32, 32)).astype(np.float32)
        status, _, job = app.post_job("tensor", model, safetensors=base64.b64encode(save({"x": x})).decode())
        if status != 202:
            raise Failure(f"the {coordinator} answered {status}: {job}")
        if coordinator == "closed":
            # It takes the job, and has nothing to give to a miner.
            shutil.rmtree(self.folder / coordinator / "blobs")
            (self.folder / coordinator / "blobs").mkdir()
        posted = lambda: app.job(job["id"])["task"]
        task = wait_for(f"{job['id']} to be posted", lambda: posted() is not None, STEP, every=1) and posted()
        (wanted,) = self.reference.run(None, {"x": x})
        return SimpleNamespace(app=app, id=job["id"], task=task, wanted=wanted)

    def got(self, job):
        """What the application has in the end: in words, how far from the right output that is, and its bytes."""
        settled = lambda: (state := job.app.job(job.id))["settlement"] not in ("pending", "disputed") and state
        state = wait_for(f"the coordinator to say how {job.id} ended", settled, FINAL, every=1)
        status, _, output = job.app.output(job.id)
        if status == 200:
            y = load(output)["y"]
            apart = float(np.linalg.norm(y - job.wanted) / max(np.linalg.norm(y), np.linalg.norm(job.wanted)))
            words = "the right output" if apart < SAME else f"a wrong output ({apart:.2g} of its size off)"
        else:
            output, apart, words = None, None, "no output"
        text = f"{words}; {state['state']}, {state['settlement']}"
        text += f": {state['error']}" if state["error"] else ""
        return SimpleNamespace(text=text, right=apart is not None and apart < SAME, output=output)

    # --- tasks and who gets them

    def drawn(self, model, *names):
        """A job on this model whose miner is one of these, and which of them; others that come before are waited for."""
        for _ in range(TRIES):
            job = self.post(model)
            (miner,) = self.chain.who(self.chain.wait(job.task, ["Drawn"]), "miner")
            if miner in names:
                return job, miner
            self.chain.wait(job.task, ENDS, TASK)
        raise Failure(f"{' and '.join(names)} were not drawn for {TRIES} tasks")

    def drawn_as_verifier(self, model, name):
        """A job whose miner is honest and whose verifier is this adversary: it comes online once the miner is drawn."""
        for _ in range(TRIES):
            job = self.post(model)
            self.chain.wait(job.task, ["Drawn"])
            self.bring(name)
            if name in self.chain.who(self.chain.wait(job.task, ["AuditOpened"]), "verifiers"):
                return job
            self.dismiss(name)
            self.chain.wait(job.task, ENDS, TASK)
        raise Failure(f"{name} was not drawn as a verifier of {TRIES} tasks")

    def tell(self, habit, first, jobs, names, got, refused=(), **bars):
        """Keeps what came of a habit. `refused` is why calls were, `bars` are what must hold, by what it says if it does not."""
        end = max((event.block for job in jobs for event in self.chain.of_task(job.task)), default=first)
        fates = [f"{name} slashed {cai(amount)} ({reason})" for name, reason, amount in self.chain.slashes(names, first)]
        fates += [f"{name} jailed" for name in self.chain.went("Jailed", "owner", names, first)]
        missed = self.chain.went("Missed", "miner", names, first)
        fates += [f"{name} offline" for name in missed]
        burnt = [event for job in jobs for event in self.chain.of_task(job.task) if event.event == "Unavailable"]
        fates += [f"{cai(event.fields['burnt'])} of the coordinator burnt" for event in burnt]
        wait_for(f"block {end}", lambda: self.purses.block >= end, STEP)
        lost = self.purses.lost(first)
        bars = {**bars, "an honest miner lost something": lost == 0}
        stories = [f"task {job.task}: {self.chain.story(job.task)}" for job in jobs]
        stories += [f"refused {why.split(':')[0]}" for why in refused if why]
        row = SimpleNamespace(
            habit=habit,
            chain=" / ".join(stories),
            whom=", ".join(fates) or "nobody",
            got=got,
            lost=lost,
            faults=[text.replace("_", " ") for text, held in bars.items() if not held],
        )
        self.rows.append(row)
        say(f"{habit}: {'done' if not row.faults else '; '.join(row.faults)}")

    def court(self, job, seconds=TASK):
        """How the court's task ended, and whom it found wrong."""
        end = self.chain.wait(job.task, ENDS, seconds)
        judged = [event for event in self.chain.of_task(job.task) if event.event == "Judged"]
        return end.event, sorted(self.chain.who(judged[-1], "wrong")) if judged else []

    # --- the habits

    def found_wrong(self, habit, first, name):
        """A miner whose every result is wrong, on the model of its name."""
        self.bring(name)
        job, _ = self.drawn(name, name)
        end, wrong = self.court(job)
        got = self.got(job)
        self.dismiss(name)
        self.tell(
            habit, first, [job], [name], got.text,
            it_was_not_found_wrong=(end, wrong) == ("Rejected", [name]),
            it_was_not_slashed_once=self.chain.slashes([name], first) == [(name, "WrongResult", WRONG * FEE)],
        )  # fmt: skip

    def junk(self, habit, first):
        self.found_wrong(habit, first, "junk")

    def stale(self, habit, first):
        self.bring("stale")
        before, _ = self.drawn("stale", "stale")
        honest = self.chain.wait(before.task, ENDS, TASK).event
        job, _ = self.drawn("stale", "stale")
        end, wrong = self.court(job)
        old, got = self.got(before), self.got(job)
        self.dismiss("stale")
        slashes = self.chain.slashes(["stale"], first)
        self.tell(
            habit, first, [before, job], ["stale"], f"first {old.text}; then {got.text}",
            its_honest_result_was_not_paid=honest == "Settled" and old.right,
            it_gave_another_result_than_the_first=got.output is not None and got.output == old.output,
            it_was_not_found_wrong=(end, wrong) == ("Rejected", ["stale"]),
            it_was_not_slashed_once=slashes == [("stale", "WrongResult", WRONG * FEE)],
        )  # fmt: skip

    def copied(self, habit, first, name, model, attempts):
        """A verifier that copies: nothing of that opens its commitment."""
        job = self.drawn_as_verifier(model, name)
        end = self.chain.wait(job.task, ENDS, SILENT)
        got = self.got(job)
        self.dismiss(name)
        events = self.chain.of_task(job.task)
        commits = [event for event in events if event.event == "Committed" and self.chain.who(event, "miner") == [name]]
        tried = [why for did in attempts for why in self.refused(name, did)]
        self.tell(
            habit, first, [job], [name], got.text, tried,
            its_commitment_was_not_taken=len(commits) == 1,
            what_it_showed_was_taken=len(tried) == len(attempts) and all("WrongReveal" in why for why in tried),
            it_was_not_slashed_once=self.chain.slashes([name], first) == [(name, "NoReveal", NO_REVEAL * FEE)],
            it_is_still_online=self.chain.went("Missed", "miner", [name], first) == [name],
            the_miner_was_not_paid=end.event == "Settled" and self.chain.who(end, "miner")[0] in HONEST,
            the_output_is_wrong=got.right,
        )  # fmt: skip

    def copied_commitment(self, habit, first):
        self.copied(habit, first, "copier", "commitment", ["copied reveal"])

    def copied_reveal(self, habit, first):
        self.copied(habit, first, "revealer", "reveal", ["copied reveal", "copied result"])

    def int8(self, habit, first):
        self.found_wrong(habit, first, "int8")

    def redrawn(self, habit, first, name, model, seconds, slash):
        """A miner that does not do its part: another does it."""
        self.bring(name)
        job, _ = self.drawn(model, name)
        end = self.chain.wait(job.task, ENDS, seconds)
        got = self.got(job)
        self.dismiss(name)
        draws = [event for event in self.chain.of_task(job.task) if event.event == "Drawn"]
        self.tell(
            habit, first, [job], [name], got.text,
            it_was_not_slashed_once=self.chain.slashes([name], first) == [(name, *slash)],
            it_is_still_online=self.chain.went("Missed", "miner", [name], first) == [name],
            no_other_was_drawn=len(draws) == 2,
            the_other_was_not_paid=end.event == "Settled" and self.chain.who(end, "miner")[0] in HONEST,
            the_output_is_wrong=got.right,
        )  # fmt: skip

    def silent(self, habit, first):
        self.redrawn(habit, first, "silent", "silent", SILENT, ("WrongResult", WRONG * FEE))

    def vanishing(self, habit, first):
        self.redrawn(habit, first, "vanishing", "stale", TASK, ("NoCommitment", NO_COMMITMENT * FEE))

    def junk_juror(self, habit, first):
        """It comes online once there will be a court: as a juror alone."""
        self.bring("junk")
        # A third wrong result would cost the miner more, and its place.
        for _ in range(2):
            job, _ = self.drawn("junk", "junk")
            self.chain.wait(job.task, ["AuditOpened"])
            self.bring("junk-juror")
            end, wrong = self.court(job)
            seated = [event for event in self.chain.of_task(job.task) if event.event == "CourtSeated"]
            if any("junk-juror" in self.chain.who(event, "jurors") for event in seated):
                break
            self.dismiss("junk-juror")
        got = self.got(job)
        self.dismiss("junk-juror", "junk")
        slashes = self.chain.slashes(["junk-juror"], first)
        self.tell(
            habit, first, [job], ["junk-juror", "junk"], got.text,
            it_was_not_found_wrong=(end, wrong) == ("Rejected", ["junk", "junk-juror"]),
            it_was_not_slashed_once=slashes == [("junk-juror", "WrongJuror", WRONG_JUROR * FEE)],
        )  # fmt: skip

    def withheld(self, habit, first):
        job = self.post("withheld", "closed")
        end = self.chain.wait(job.task, ENDS, TASK)
        got = self.got(job)
        unable = {name for event in self.chain.of_task(job.task) if event.event == "Unable" for name in self.chain.who(event, "miner")}
        self.tell(
            habit, first, [job], ["closed"], got.text,
            the_task_did_not_end_as_unavailable=end.event == "Unavailable",
            not_three_miners_said_so=len(unable) == UNABLE,
            # The fee, and as much for the verifier of the only item.
            its_coordinator_did_not_lose_the_fee=end.event == "Unavailable" and int(end.fields["burnt"]) == 2 * FEE,
            the_application_has_an_output=got.output is None,
        )  # fmt: skip

    def twice(self, habit, first):
        self.bring("twice")
        job, _ = self.drawn("int8", "twice")
        end = self.chain.wait(job.task, ENDS, TASK)
        # It says what came of it a block later.
        wait_for("three reveals", lambda: len(self.refused("twice", "reveal")) >= 3, STEP)
        got = self.got(job)
        self.dismiss("twice")
        tried = self.refused("twice", "reveal")
        paid = [
            event
            for event in self.chain.update()
            if event.event == "Rewarded" and event.block == end.block and self.chain.who(event, "owner") == ["twice"]
        ]
        late = ("AlreadyShown", "TaskEnded", "NoSeat")
        self.tell(
            habit, first, [job], ["twice"], got.text, tried,
            the_first_reveal_was_refused=tried[0] == "",
            a_further_reveal_was_taken=len(tried) == 3 and all(any(name in why for name in late) for why in tried[1:]),
            it_was_not_paid_once=end.event == "Settled" and len(paid) == 1,
            it_was_slashed=not self.chain.slashes(["twice"], first),
            the_output_is_wrong=got.right,
        )  # fmt: skip

    def colluding(self, habit, first):
        pair = ["colluder-1", "colluder-2"]
        self.bring(*pair)
        for _ in range(TRIES):
            job, miner = self.drawn("collusion", *pair)
            opened = self.chain.wait(job.task, ["AuditOpened"])
            end = self.chain.wait(job.task, ENDS, TASK)
            if set(self.chain.who(opened, "verifiers")) <= set(pair):
                break
        else:
            raise Failure(f"no task of {TRIES} had both of them as miner and verifier")
        self.dismiss(*pair)
        before = self.got(job)
        challenged = self.challenge(job)
        over = self.chain.wait(job.task, ("Overturned", "ChallengeFailed", "Void"), TASK)
        judged = [event for event in self.chain.of_task(job.task) if event.event == "Judged"]
        slashes = self.chain.slashes(pair, challenged)
        self.tell(
            habit, first, [job], pair, f"{before.text}; it was challenged since block {challenged}, and the chain says {self.network.task(job.task)['phase']}",
            their_result_did_not_pass_the_audit=end.event == "Settled" and not before.right,
            the_court_did_not_overturn_it=over.event == "Overturned" and [self.chain.who(event, "wrong") for event in judged] == [[miner]],
            the_miner_was_not_slashed_once=slashes == [(miner, "WrongResult", WRONG * FEE)],
        )  # fmt: skip

    def challenge(self, job):
        """Has a court judge the output of a job; the block since which it does."""
        state = job.app.job(job.id)
        leaf = f"{state['output_hashes'][0]}:{state['output_sketches'][0]}"
        terms = ("--task", job.task, "--item", 0, "--leaf", leaf)
        signing = self.network.signing(COORDINATORS["coordinator"])
        done = self.network.run("cuckoo-coordinator", "challenge", "--node-url", self.network.node_url, *signing, *terms)
        return int(done.stdout.split()[-1])

    def run(self, habits):
        """Goes through one model's habits, one after the other."""
        for habit, act in habits:
            first = self.network.best_block()
            say(f"{habit}: from block {first} on")
            try:
                act(self, habit, first)
            except Exception as failure:
                # That one failed is no reason not to look at the others.
                why = f"{type(failure).__name__}: {failure}"
                say(f"{habit}: {why}")
                lost = self.purses.lost(first)
                self.rows.append(SimpleNamespace(habit=habit, chain="-", whom="-", got="-", lost=lost, faults=[why]))


# What is done, and on which model, in the order of the table; on one model also in this order, one after the other.
HABITS = [
    ("junk", Check.junk, "junk"),
    ("an older result", Check.stale, "stale"),
    ("copies another's commitment", Check.copied_commitment, "commitment"),
    ("copies another's reveal", Check.copied_reveal, "reveal"),
    ("an INT8 version", Check.int8, "int8"),
    ("commits and never reveals", Check.silent, "silent"),
    ("takes work and vanishes", Check.vanishing, "stale"),
    ("junk as a juror", Check.junk_juror, "junk"),
    ("a coordinator that serves inputs to nobody", Check.withheld, "withheld"),
    ("reveals twice", Check.twice, "int8"),
    ("colludes as miner and verifier", Check.colluding, "collusion"),
]


def judge(check, seconds):
    """Prints the table and the figures; returns what did not hold."""
    order = [habit for habit, *_ in HABITS]
    print("habit | what the chain did, by block | to whom | what the application got | what honest miners lost")
    for row in sorted(check.rows, key=lambda row: order.index(row.habit)):
        print(f"{row.habit} | {row.chain} | {row.whom} | {row.got} | {cai(row.lost)}")
    faults = [f"{row.habit}: {fault}" for row in check.rows for fault in row.faults]
    pools = {name: check.network.operator(check.network.key(check.accounts[name])[1]) for name in HONEST}
    faults += [f"{name} was slashed: {pool['slashes']}" for name, pool in pools.items() if pool["slashes"]]
    faults += [f"{name} was taken offline" for name, pool in pools.items() if pool["free_slots"] is None]
    faults += [f"{name} was slashed for {reason}" for name, reason, _ in check.chain.slashes(HONEST)]
    lost = check.purses.lost()
    faults += [f"{name} lost {cai(fall)} in block {block}" for block, name, fall in check.purses.falls]
    # Every sixth block at least; what was missed in between is in the pools' own list of slashes.
    if check.purses.looks * 6 < seconds / 3:
        faults.append(f"the honest miners' stake was looked at only {check.purses.looks} times")
    slashed = sum(amount for *_, amount in check.chain.slashes(list(ADVERSARIES)))
    earned = sum(int(pool["own"]) for pool in pools.values()) - len(HONEST) * int(HONEST_BOND) * CAI
    caught = sum(not row.faults for row in check.rows)
    print(
        f"adversaries: habits={len(check.rows)} caught={caught} honest_miners={len(HONEST)} honest_losses={lost} honest_earned_cai={earned / CAI:.2f} "
        f"slashed_cai={slashed / CAI:.1f} blocks={check.chain.block} seconds={seconds:.0f}",
        flush=True,
    )
    return faults


def perform(network, habits):
    """Does these habits, all models side by side; prints the table and the figures, and returns what did not hold."""
    check = Check(network)
    check.start()
    began = time.monotonic()
    with ThreadPoolExecutor(len(MODELS)) as pool:
        try:
            groups = [[(habit, act) for habit, act, on in habits if on == model] for model in MODELS]
            for done in [pool.submit(check.run, group) for group in groups]:
                done.result()
        except BaseException:
            # Without the chain nobody waits any longer.
            network.stop(signal.SIGKILL)
            raise
    faults = judge(check, time.monotonic() - began)
    check.purses.over.set()
    check.purses.join()
    return faults


def option(act):
    """How a habit is named on the command line."""
    return act.__name__.replace("_", "-")


def parse():
    parser = argparse.ArgumentParser(prog="scripts/check adversaries", description=__doc__.splitlines()[0])
    names = ", ".join(option(act) for _, act, _ in HABITS)
    parser.add_argument("only", nargs="*", metavar="HABIT", help=f"these alone: {names}")
    return parser.parse_args()


def main():
    args = parse()
    habits = [habit for habit in HABITS if not args.only or option(habit[1]) in args.only]
    if len(habits) != (len(args.only) or len(HABITS)):
        print(f"error: there is no such habit: {' '.join(args.only)}", file=sys.stderr)
        return 2
    missing = [name for name in ("adversary", "devchain") if not (BIN / "examples" / name).exists()]
    if missing:
        print(f"error: {', '.join(missing)}: not built; cargo build --workspace --examples", file=sys.stderr)
        return 2
    return checked("cuckoo-adversaries-", lambda network: perform(network, habits))


if __name__ == "__main__":
    sys.exit(main())
