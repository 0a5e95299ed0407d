"""`scripts/check coordinator-load`: what a coordinator does under load, what it adds to the time that chain and miner take, and what a request costs on chain.

A chain, a coordinator, two miners, and two models so small that the miners are never what is waited for. The applications are a second process: 1, 32 and 256 of them at a time, each with a
connection of its own, and each sends its next request when it has the answer to the one before. In the series `jobs` a request is `POST /v1/jobs` and the answer is looked for; in the series
`embeddings` it is `POST /v1/embeddings`, which waits. Every answer is compared with what onnxruntime makes of the same input, so that no two requests of a batch can be mistaken for
each other. A request that is put off is sent again, with its Idempotency-Key, when its Retry-After says so.

What the coordinator adds is read from its own histogram: from a job's acceptance to its post in a block and to its inputs with a miner, and from the delivery of its last output to the answer.
What is paid on chain is read from the chain's events, series by series, and must be what the operator's account has lost.

Another series of 256 must take no more memory than there is. The last is of one application at a coordinator whose window is two blocks long: its requests must not wait for others that
never come.
"""

import argparse
import asyncio
import base64
import json
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import onnxruntime
from safetensors.numpy import load, save

import miners
from coordinators import Ledger
from network import DEMO, Failure, cai, checked, say, together
from test_support import calibration

# From demo-model, where `network` has Python look.
import embedding_oracle

TENSOR, WORDS = "tiny", "words"
# How many applications there are at a time.
ONE, SOME, MANY = 1, 32, 256
CLIENTS = ONE, SOME, MANY
# How many requests each of them makes, one after the other.
JOBS, EMBEDDINGS, LONE = {ONE: 10, SOME: 4, MANY: 3}, {ONE: 5, SOME: 3, MANY: 2}, 8
# In milliseconds: two blocks.
LONG_WINDOW = 6000
# The least fee there is, in CAI, and in blocks what a task may take: nobody is to be late on a busy machine.
FEE, WORK_WINDOW = "0.01", 60
SLOTS = 64

# With batches of up to 16, an inference of many costs a sixteenth of a lone one if every batch is full; half full is good enough. A few requests at a time make smaller batches.
COST_RATIO, POSTS_OF_SOME = 1 / 8, 1 / 4
# Of as many requests as are accepted in a second when they come one after the other: less than half of them side by side would be a lock. Applications, miners and node use the same cores.
RATE_RATIO = 0.5
# A post is in the next block, or in the one after it if it came while that was made. A window of two blocks would make it three.
LONE_BLOCKS = 1.7
# Many wait no more than twice as long as one until a miner has their inputs: the chain draws many miners in a block.
FETCH_RATIO = 2
# Of the time that an application waits, the part from the last output to the answer.
ANSWER_SHARE = 0.1
# What connections, book and buffers may take more after a series than before it, and what another series of the same size may, in MiB.
GROWTH, GROWTH_AGAIN = 64, 16

# How long a request is repeated, or waited for, in seconds; when a job is first looked at, and how often then.
GIVE_UP, FIRST_LOOK, LOOK = 300, 5, 1
# The coordinator's histogram of its stages: from a job's acceptance to its post in a block, and to its inputs with a miner; from its last output to the answer.
STAGES = "cuckoo_stage_seconds"
POST, FETCH, ANSWER = "post", "hand_over", "answer"


def parse():
    parser = argparse.ArgumentParser(prog="scripts/check coordinator-load", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=float, default=1, help="so many times as many requests of each application (default: %(default)s)")
    parser.add_argument("--applications", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.rounds <= 0:
        parser.error("--rounds is more than 0")
    return args


# --- the inputs, and what must come of them


def tensor_input(number):
    return np.random.default_rng(number).standard_normal((1, 8)).astype(np.float32)


def text_input(number):
    """Letters apart, which are tokens of their own: another text for each number."""
    letters = [chr(ord("a") + number // 26**place % 26) for place in range(4)]
    return " ".join(["embedding", *letters])


class Oracle:
    """What onnxruntime makes of the inputs."""

    def __init__(self, tensor, words):
        self.words = words
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        open_model = lambda folder: onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
        self.tensor, self.embedding = open_model(tensor), open_model(words)

    def agrees(self, answer):
        """Whether an answer is that to its own question."""
        if "tensors" in answer:
            got = load(base64.b64decode(answer["tensors"]))["y"]
            (wanted,) = self.tensor.run(None, {"x": tensor_input(answer["number"])})
        else:
            got = np.array(answer["embedding"], np.float32)
            tokens = embedding_oracle.tokens(text_input(answer["number"]), self.words)
            wanted = embedding_oracle.embedding(self.embedding, tokens, cls=False)
        return got.shape == wanted.shape and bool(np.abs(got - wanted).max() < 1e-4)


# --- the applications: a process of their own


class Line:
    """A connection that is kept."""

    def __init__(self, port):
        self.port, self.reader, self.writer = port, None, None

    async def ask(self, method, path, body=None, headers=()):
        """Status, headers and content of the answer."""
        content = json.dumps(body).encode() if body is not None else b""
        head = [f"{method} {path} HTTP/1.1", f"host: 127.0.0.1:{self.port}", f"content-length: {len(content)}", "content-type: application/json", *headers]
        request, kept = "\r\n".join(head).encode() + b"\r\n\r\n" + content, self.writer is not None
        try:
            return await self.ask_once(request)
        except (OSError, EOFError):
            # A connection that was kept for long may have ended meanwhile.
            if not kept:
                raise
            return await self.ask_once(request)

    async def ask_once(self, request):
        if not self.writer:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            self.writer.write(request)
            await self.writer.drain()
            return await asyncio.wait_for(self.answer(), GIVE_UP)
        except BaseException:
            self.writer.close()
            self.writer = None
            raise

    async def answer(self):
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
        if "content-length" not in headers and status != 204:
            raise OSError(f"an answer without its length: {lines[0]}")
        return status, headers, await self.reader.readexactly(int(headers.get("content-length", 0)))


class Application:
    """Makes its requests one after the other."""

    def __init__(self, plan, which):
        self.plan, self.which, self.line = plan, which, Line(plan["port"])
        self.told = []

    async def run(self):
        for number in range(self.plan["rounds"]):
            number = self.plan["first"] + number * self.plan["clients"] + self.which
            told = {"number": number, "put_off": 0, "sent": time.time()}
            self.told.append(told)
            try:
                await (self.job if self.plan["series"] == "jobs" else self.embed)(told)
            except Exception as error:
                # It is told beside the answers of the others.
                told["error"] = f"{type(error).__name__}: {error}"
        return self.told

    async def insist(self, told, path, body):
        """Sends a request until it is answered with something else than that it should come again."""
        end = time.monotonic() + GIVE_UP
        while time.monotonic() < end:
            began = time.time()
            try:
                status, headers, content = await self.line.ask("POST", path, body, [f"idempotency-key: load {told['number']}"])
            except (OSError, EOFError):
                status, headers = None, {}
            if status in (200, 202):
                told |= {"took": [began, time.time()], "job": headers["x-cuckoo-job"]}
                return json.loads(content)
            if status not in (None, 408, 429, 503):
                raise OSError(f"{path} answered {status}: {content[:300]!r}")
            told["put_off"] += 1
            await asyncio.sleep(float(headers.get("retry-after", 1)))
        raise TimeoutError(f"{path} put it off for {GIVE_UP} s")

    async def job(self, told):
        tensors = base64.b64encode(save({"x": tensor_input(told["number"])})).decode()
        await self.insist(told, "/v1/jobs", {"kind": "tensor", "model": TENSOR, "input": {"safetensors": tensors}})
        told["accepted"] = told["took"][1]
        await asyncio.sleep(FIRST_LOOK)
        end = time.monotonic() + GIVE_UP
        while time.monotonic() < end:
            _, _, content = await self.line.ask("GET", f"/v1/jobs/{told['job']}")
            state = json.loads(content)["state"]
            if state == "completed":
                told["done"] = time.time()
                status, _, content = await self.line.ask("GET", f"/v1/jobs/{told['job']}/output")
                if status != 200:
                    raise OSError(f"the output of a completed job: {status}: {content[:300]!r}")
                told["tensors"] = base64.b64encode(content).decode()
                return
            if state in ("failed", "cancelled", "expired"):
                raise OSError(f"{told['job']} ended as {state}")
            await asyncio.sleep(LOOK)
        raise TimeoutError(f"{told['job']} is {state} after {GIVE_UP} s")

    async def embed(self, told):
        answer = await self.insist(told, "/v1/embeddings", {"model": WORDS, "input": text_input(told["number"])})
        told["done"] = told["took"][1]
        told["embedding"] = answer["data"][0]["embedding"]


async def applications(plan):
    clients = [Application(plan, which).run() for which in range(plan["clients"])]
    return [told for client in await asyncio.gather(*clients) for told in client]


# --- what the coordinator and the chain tell


class Blocks(threading.Thread):
    """Notes when each block came."""

    def __init__(self, network):
        super().__init__(daemon=True)
        self.network, self.seen, self.over = network, [], threading.Event()

    def run(self):
        last = 0
        while not self.over.wait(0.05):
            try:
                block = self.network.best_block()
            except (OSError, ValueError, Failure):
                continue
            if block > last:
                self.seen.append((time.time(), block))
                last = block

    def at(self, moment):
        """The newest block then."""
        return max((block for came, block in self.seen if came <= moment), default=0)


class Stage:
    """How long a stage took of the jobs that came through it between two looks at the coordinator."""

    def __init__(self, before, after, stage):
        # A stage through which no job has come yet has none of its own.
        edges = {labels["le"] for name, labels, _ in after.series if name == f"{STAGES}_bucket"}
        if not edges:
            raise Failure(f"the coordinator's /metrics has no histogram {STAGES}")
        gained = lambda part, **labels: after.total(f"{STAGES}_{part}", stage=stage, **labels) - before.total(f"{STAGES}_{part}", stage=stage, **labels)
        self.buckets = sorted((float(edge), gained("bucket", le=edge)) for edge in edges)
        self.count = gained("count")
        self.mean = gained("sum") / self.count if self.count else float("nan")

    def quantile(self, part):
        """In seconds, by a straight line within its bucket."""
        below, least = 0, 0.0
        for edge, count in self.buckets:
            if count >= part * self.count and count > below:
                return least + (edge - least) * (part * self.count - below) / (count - below) if edge != float("inf") else least
            below, least = count, edge
        return float("nan")


def quantile(values, part):
    return float(np.quantile(values, part)) if values else float("nan")


def busy(spans):
    """For how long at least one of these spans of time lasted."""
    total, end = 0.0, 0.0
    for began, ended in sorted(spans):
        total += max(0.0, ended - max(began, end))
        end = max(end, ended)
    return total


class Check:
    """The network, and the series on it."""

    def __init__(self, network, rounds):
        self.network, self.rounds, self.first = network, rounds, 0
        self.rows, self.faults = [], []

    def start(self):
        network = self.network
        tensor, words = network.folder / TENSOR, network.folder / WORDS
        subprocess.run([sys.executable, DEMO / "tensor_oracle.py", "--make", tensor], check=True, timeout=120)
        embedding_oracle.make(words, seed=5, cls=False)
        self.oracle = Oracle(tensor, words)
        terms = {"min_fee": FEE, "work_window": WORK_WINDOW, "calibration": calibration(network.folder / "calibration.json", 10)}
        say("starting the chain, a coordinator and two miners")
        network.start_node()
        endpoint = f"http://127.0.0.1:{network.port_of('coordinator')}"
        together(
            lambda: network.register("cuckoo-coordinator", "//Bob//stash", "//Bob", "2500000", "coordinator", endpoint),
            lambda: network.register("miner-client", "//Charlie//stash", "//Charlie", "5000000", "one"),
            lambda: network.register("miner-client", "//Dave//stash", "//Dave", "5000000", "other"),
            lambda: network.register_model(TENSOR, tensor, "tensor", by="//Eve", **terms),
            lambda: network.register_model(WORDS, words, "text-embedding", by="//Ferdie", **terms),
        )
        start = lambda name, operator: network.start_miner(name, operator, [tensor, words], "--slots", SLOTS, "--threads", 1)
        together(network.start_coordinator, lambda: start("one", "//Charlie"), lambda: start("other", "//Dave"))
        self.ledger, self.blocks = Ledger(network), Blocks(network)
        self.blocks.start()

    def restart(self, *options):
        """The coordinator with other settings, and the memory of a new process."""
        self.network.processes["coordinator"].stop()
        self.network.start_coordinator("//Bob", None, *options)

    # --- one series

    def applications(self, series, clients, rounds):
        """What a process with so many applications tells of its requests."""
        plan = {"series": series, "port": self.network.ports["coordinator"], "clients": clients, "rounds": rounds, "first": self.first}
        self.first += clients * rounds
        command = [sys.executable, __file__, "--applications"]
        done = subprocess.run(command, input=json.dumps(plan), capture_output=True, text=True, timeout=4 * GIVE_UP * rounds)
        if done.returncode:
            raise Failure(f"the applications ended with {done.returncode}: {done.stderr[-500:]}")
        return json.loads(done.stdout)

    def look(self, process):
        process.alive()
        here = SimpleNamespace(name="coordinator", port=self.network.ports["coordinator"])
        return SimpleNamespace(metrics=miners.Metrics(here), memory=miners.memory(process.child.pid) / 2**20)

    def run(self, series, clients, rounds, name=None):
        """One series; its row."""
        rounds = max(1, round(rounds * self.rounds))
        name = name or series
        say(f"{name}: {clients} at a time, {clients * rounds} requests")
        process = self.network.processes["coordinator"]
        books = self.ledger.open(name, "//Bob", "//Bob//stash")
        before = self.look(process)
        told, most = [], before.memory
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(self.applications, series, clients, rounds)
            while not running.done():
                most = max(most, self.look(process).memory)
                time.sleep(1)
            told = running.result()
        last = self.ledger.closed(books)
        after = self.look(process)
        row = SimpleNamespace(name=name, series=series, clients=clients, told=told, before=before.memory, after=after.memory, most=most)
        row.account = self.ledger.account(books, last)
        self.measure(row, before.metrics, after.metrics)
        self.judge(row)
        self.rows.append(row)
        return row

    def measure(self, row, before, after):
        row.answered = [told for told in row.told if "error" not in told]
        if not row.answered:
            raise Failure(f"{row.name}: no request was answered; {row.told[0]['error']}")
        row.put_off = sum(told["put_off"] for told in row.told)
        taken = [told["took"] for told in row.answered if "accepted" in told]
        # From the question to the answer that is no output.
        row.took = [1000 * (ended - began) for began, ended in taken]
        row.rate = len(taken) / busy(taken) if taken else float("nan")
        row.waited = [told["done"] - told["sent"] for told in row.answered]
        row.post, row.fetch, row.answer = (Stage(before, after, stage) for stage in (POST, FETCH, ANSWER))
        row.posts = len(row.account.tasks) / len(row.told)
        row.fees, row.audits = (amount / len(row.told) for amount in (row.account.fees, row.account.audits))
        ended = lambda job: self.network.wait_job(job, "settlement", ("settled", "refunded", "void", "burnt", "overturned"))
        row.jobs = together(*(lambda told=told: ended(told["job"]) for told in row.answered), at_a_time=8)
        row.blocks = [job["blocks"]["posted"] - self.blocks.at(told["accepted"]) for told, job in zip(row.answered, row.jobs) if "accepted" in told]

    def judge(self, row):
        """What is wrong whatever the machine can do: a request or an answer that is lost, twice there or another's, and CAI that is gone."""
        errors = [told["error"] for told in row.told if "error" in told]
        unwell = [job for job in row.jobs if (job["state"], job["settlement"]) != ("completed", "settled")]
        others = [told["job"] for told in row.answered if not self.oracle.agrees(told)]
        jobs, account = {told["job"] for told in row.answered}, row.account
        row.lost = len(errors) + len(unwell) + len(others)
        bars = {
            f"{len(errors)} requests came to nothing, the first: {errors[:1]}": not errors,
            f"{len(unwell)} jobs did not end well, the first: {unwell[:1]}": not unwell,
            f"{len(others)} answers are not those to their questions, the first: {others[:1]}": not others,
            "two requests have one job": len(jobs) == len(row.answered),
            f"{account.items} inferences were posted for {len(row.told)} requests": account.items == len(row.told),
            "the tasks on chain are not those of the jobs": set(account.tasks) == {job["task"] for job in row.jobs},
            f"{account.missing} planck are missing, {account.held} are held": account.missing == account.held == account.more_held == 0,
        }
        self.faults += [f"{row.name}, {row.clients}: {text}" for text, held in bars.items() if not held]

    # --- all of them

    def all(self):
        self.start()
        jobs = {clients: self.run("jobs", clients, JOBS[clients]) for clients in CLIENTS}
        embeddings = {clients: self.run("embeddings", clients, EMBEDDINGS[clients]) for clients in CLIENTS}
        again = self.run("jobs", MANY, 1, "jobs, again")
        self.restart("--batch-window-ms", LONG_WINDOW)
        lone = self.run("jobs", ONE, LONE, "jobs, window of 6 s")
        self.blocks.over.set()
        self.print_table()
        self.compare(jobs, embeddings, again, lone)
        return self.faults

    def print_table(self):
        columns = (
            "series", "at a time", "requests", "put off", "accepted/s", "202 p50/p99 ms", "wait p50/p99 s", "accept to post mean/p50/p99 s",
            "accept to fetch mean/p50/p99 s", "output to answer mean/p50/p99 ms",
            "blocks to post", "posts/inference", "transaction fees/inference", "audit fees/inference", "MiB before/most/after",
        )  # fmt: skip
        print(" | ".join(columns))
        pair = lambda values, form: f"{quantile(values, 0.5):{form}}/{quantile(values, 0.99):{form}}"
        three = lambda stage, scale, form: "/".join(f"{scale * value:{form}}" for value in (stage.mean, stage.quantile(0.5), stage.quantile(0.99)))
        for row in self.rows:
            cells = (
                row.name, row.clients, len(row.told), row.put_off, f"{row.rate:.0f}", pair(row.took, ".1f"), pair(row.waited, ".1f"),
                three(row.post, 1, ".2f"), three(row.fetch, 1, ".2f"), three(row.answer, 1000, ".1f"),
                f"{statistics.fmean(row.blocks):.2f}" if row.blocks else "-", f"{row.posts:.3f}", cai(row.fees), cai(row.audits), f"{row.before:.0f}/{row.most:.0f}/{row.after:.0f}",
            )  # fmt: skip
            print(" | ".join(str(cell) for cell in cells), flush=True)

    def compare(self, jobs, embeddings, again, lone):
        """Prints the figures, and holds them against each other."""
        one, some, many = (jobs[clients] for clients in CLIENTS)
        cost = many.fees / one.fees
        blocks = statistics.fmean(lone.blocks)
        growth = max(row.after - row.before for row in self.rows if row is not again)
        growth_again = again.after - again.before
        share = max(row.answer.mean / statistics.fmean(row.waited) for row in embeddings.values())
        fetch = many.fetch.mean / one.fetch.mean
        bars = {
            f"an inference costs {cost:.3f} of a lone one at {MANY} at a time, the bar is {COST_RATIO}": cost <= COST_RATIO,
            f"{some.posts:.2f} posts an inference at {SOME} at a time, the bar is {POSTS_OF_SOME}": some.posts <= POSTS_OF_SOME,
            f"a lone request is posted after {blocks:.2f} blocks, the bar is {LONE_BLOCKS}": blocks <= LONE_BLOCKS,
            f"a lone request is not alone in its task: {lone.posts:.2f} posts an inference": lone.posts == one.posts == 1,
            f"{fetch:.2f} times as long until a miner has the inputs at {MANY} at a time, the bar is {FETCH_RATIO}": fetch <= FETCH_RATIO,
            f"{share:.3f} of the wait is between the last output and the answer, the bar is {ANSWER_SHARE}": share <= ANSWER_SHARE,
            f"memory has grown by {growth:.0f} MiB in a series, the bar is {GROWTH}": growth <= GROWTH,
            f"memory has grown by {growth_again:.0f} MiB in the same series again, the bar is {GROWTH_AGAIN}": growth_again <= GROWTH_AGAIN,
        }
        for row in (some, many):
            text = f"{row.rate:.0f} requests a second are accepted at {row.clients} at a time and {one.rate:.0f} of one, the bar is {RATE_RATIO} of that"
            bars[text] = row.rate >= RATE_RATIO * one.rate
        self.faults += [text for text, held in bars.items() if not held]
        lost, missing = sum(row.lost for row in self.rows), sum(abs(row.account.missing) for row in self.rows)
        each = lambda form, values: ",".join(f"{value:{form}}" for value in values)
        print(
            f"coordinator-load: clients={each('d', CLIENTS)} accepted_per_s={each('.0f', (row.rate for row in jobs.values()))} "
            f"accept_p99_ms={each('.0f', (quantile(row.took, 0.99) for row in jobs.values()))} accept_to_fetch_s={each('.2f', (row.fetch.mean for row in jobs.values()))} "
            f"answer_ms={each('.1f', (1000 * row.answer.mean for row in embeddings.values()))} posts_per_inference={each('.3f', (row.posts for row in jobs.values()))} "
            f"fees_per_inference_cai={each('.6f', (row.fees / 10**18 for row in jobs.values()))} cost_ratio={cost:.3f} lone_blocks={blocks:.2f} lost={lost} "
            f"missing_planck={missing} growth_mib={growth:.0f} growth_again_mib={growth_again:.0f}",
            flush=True,
        )


def main():
    args = parse()
    if args.applications:
        json.dump(asyncio.run(applications(json.load(sys.stdin))), sys.stdout)
        return 0
    return checked("cuckoo-load-", lambda network: Check(network, args.rounds).all())


if __name__ == "__main__":
    sys.exit(main())
