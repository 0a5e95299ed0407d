"""A Cuckoo network on this machine: a dev chain, a coordinator and miners, started, watched and stopped.

Used by `scripts/run`, by the checks and by the end-to-end tests. Everything listens on loopback and keeps its files in one folder.
"""

import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

DEMO = pathlib.Path(__file__).resolve().parents[1] / "demo-model"
# What makes models there can be imported, too.
sys.path.insert(0, str(DEMO))
from sums import add_sum

BIN = pathlib.Path(os.environ["CARGO_TARGET_DIR"]) / "debug"
CAI = 10**18
PASSWORD = "development only"
# How close two results of the demo model are, and how long it takes: the chain takes no tasks for a model before it is told.
CALIBRATION = DEMO / "calibration.json"
# The chain's parameters FeeBurn and MiningBonus, in percent of a task's fee.
FEE_BURN, MINING_BONUS = 10, 8
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

_ports = set()
_ports_lock = threading.Lock()


class Failure(Exception):
    """Something did not come as it should; the message says what and where to look."""


def say(text):
    """Tells whoever waits how far things are."""
    print(f"\033[1m==>\033[0m {text}" if sys.stderr.isatty() else f"==> {text}", file=sys.stderr, flush=True)


def cai(planck):
    """An amount in words."""
    text = f"{int(planck) / CAI:,.6f}".rstrip("0").rstrip(".")
    return f"{text} CAI"


def earned(fee):
    """By how much a pool grows for work at this fee, in planck: the fee, less what is burnt of it, and the bonus."""
    return fee - fee * FEE_BURN // 100 + fee * MINING_BONUS // 100


def free_port(preferred):
    """This port if nobody listens on it, else any other. None is given out twice."""
    for port in (preferred, *[0] * 20):
        with _ports_lock, socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found = probe.getsockname()[1]
            if found not in _ports:
                _ports.add(found)
                return found
    raise Failure("no free port on 127.0.0.1")


def together(*calls, at_a_time=None):
    """Makes these calls at the same time, because most of them wait for a block, or only so many; their results, or the first failure once all have ended."""
    with ThreadPoolExecutor(at_a_time or len(calls)) as pool:
        return [done.result() for done in [pool.submit(call) for call in calls]]


def public_key(account):
    """The 32 bytes in an SS58 address."""
    number = 0
    for character in account:
        number = number * 58 + BASE58.index(character)
    return number.to_bytes(35, "big")[1:33]


def storage_key(pallet, item, key=None):
    """Where the chain keeps an item, or in a map hashed with BLAKE2 the entry of this key."""
    # Here, because only tests ask: scripts/run does with Python alone.
    import xxhash

    names = b"".join(xxhash.xxh64_intdigest(name.encode(), seed).to_bytes(8, "little") for name in (pallet, item) for seed in (0, 1))
    entry = hashlib.blake2b(key, digest_size=16).digest() + key if key is not None else b""
    return "0x" + (names + entry).hex()


def link(source, target):
    """The same file under another name, or a copy where that cannot be; not to be written to."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


def another_model(source, folder, note):
    """A model's files under another manifest: to the chain a model of its own, with miners of its own."""
    shutil.copytree(source, folder, copy_function=link)
    (folder / "note.txt").write_text(note)
    add_sum(folder, "note.txt")
    return folder


def http(url, body=None, headers=None, timeout=30, method=None, raw=None):
    """Status, headers and body of one request with this JSON, or these raw bytes; JSON bodies are decoded."""
    data = json.dumps(body).encode() if body is not None else raw
    headers = {"content-type": "application/json", **(headers or {})} if data else (headers or {})
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            status, head, content = answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        status, head, content = error.code, error.headers, error.read()
    if "json" in (head.get("content-type") or ""):
        content = json.loads(content)
    return status, head, content


def wait_for(what, probe, seconds, every=0.3):
    """The first true value of `probe`; connection errors count as not yet."""
    end = time.monotonic() + seconds
    while True:
        try:
            value = probe()
        except (OSError, ValueError) as error:
            value, last = None, error
        else:
            last = None
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"{what}: nothing within {seconds} s" + (f" ({last})" if last else ""))
        time.sleep(every)


class Process:
    """One program of ours, with its log in a file."""

    def __init__(self, name, args, log, env=None):
        self.name, self.args, self.log, self.env = name, [str(a) for a in args], log, env
        self.child = None
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                self.args,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "RUST_BACKTRACE": "0", **(self.env or {})},
                start_new_session=True,
            )

    def alive(self):
        if self.child.poll() is not None:
            tail = self.log.read_text(errors="replace").splitlines()[-5:]
            raise Failure(f"{self.name} ended with {self.child.returncode}; see {self.log}\n  " + "\n  ".join(tail))
        return True

    def wrote(self, text, since=0):
        """Whether its log, from this byte on, holds the text."""
        return text.encode() in self.log.read_bytes()[since:]

    def written(self):
        """How long its log is."""
        return self.log.stat().st_size

    def pause(self):
        """Stops it where it is, like a machine that hangs."""
        self.child.send_signal(signal.SIGSTOP)

    def go_on(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGCONT)

    def kill(self):
        """Ends it without a chance to say anything."""
        self.child.kill()
        self.child.wait()

    def stop(self, how=signal.SIGTERM, seconds=20):
        if self.child.poll() is None:
            self.child.send_signal(how)
            self.go_on()
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                print(f"{self.name} did not stop within {seconds} s: killing it", file=sys.stderr)
                self.child.kill()
                self.child.wait()
        return self.child.returncode


class Application:
    """What an application does with a coordinator."""

    def __init__(self, url):
        self.url = url

    def picture(self, prompt, timeout=180, headers=None, **fields):
        body = {"prompt": prompt, "response_format": "b64_json", **fields}
        return http(f"{self.url}/v1/images/generations", body, headers, timeout)

    def post_job(self, kind, model, headers=None, **input):
        return http(f"{self.url}/v1/jobs", {"kind": kind, "model": model, "input": input}, headers)

    def post_batch(self, kind, model, inputs, headers=None):
        """A job with a list of inputs: one task."""
        return http(f"{self.url}/v1/jobs", {"kind": kind, "model": model, "input": inputs}, headers)

    def job(self, job):
        return http(f"{self.url}/v1/jobs/{job}")[2]

    def output(self, job, query=""):
        return http(f"{self.url}/v1/jobs/{job}/output{query}")

    def wait_job(self, job, key, values, seconds=120):
        """The job once `key` has one of these values."""

        def probe():
            state = self.job(job)
            return state if state.get(key) in values else None

        return wait_for(f"job {job} with {key} {'/'.join(values)}", probe, seconds)


class Network:
    """The chain and whoever was started on it. Use as a context manager: leaving stops everything."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.processes = {}
        self.ports = {}
        self.lock = threading.Lock()
        self.rpc_port = None
        self.validators = []
        self.password = self.folder / "password"
        self.password.write_text(PASSWORD + "\n")
        self.password.chmod(0o600)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self, how=signal.SIGTERM):
        """Stops everything, the node last, so that the others can still say goodbye to the chain; returns the exit codes."""
        node = self.processes.pop("node", None)
        others, self.processes, self.validators = self.processes, {}, []
        with ThreadPoolExecutor() as pool:
            stopping = {name: pool.submit(process.stop, how) for name, process in others.items()}
        codes = {name: code.result() for name, code in stopping.items()}
        if node:
            codes["node"] = node.stop(how)
        return codes

    # --- programs

    def run(self, *args, timeout=120, check=True, env=None):
        """Runs one of our programs to its end and returns its output."""
        args = [str(a) for a in args]
        done = subprocess.run(
            [str(BIN / args[0]), *args[1:]],
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "RUST_BACKTRACE": "0", **(env or {})},
        )
        if check and done.returncode != 0:
            raise Failure(f"{' '.join(args)}\n{done.stderr.strip()}")
        return done

    def start(self, name, *args, env=None):
        args = (BIN / args[0], *args[1:])
        self.processes[name] = Process(name, args, self.folder / f"{name}.log", env)
        return self.processes[name]

    def start_node(self):
        self.rpc_port = self.rpc_port or free_port(9944)
        self.metrics_port = free_port(9615)
        node = self.start(
            "node",
            "cuckoo-node",
            "--dev",
            "--base-path", self.folder / "node",
            "--rpc-port", self.rpc_port,
            "--prometheus-port", self.metrics_port,
            "--listen-addr", f"/ip4/127.0.0.1/tcp/{free_port(30333)}",
            "--no-mdns",
            "--no-telemetry",
        )  # fmt: skip
        wait_for("the node's first block", lambda: node.alive() and self.best_block() > 0, 120)
        return node

    def start_validator(self, name, *role):
        """Starts a node of the chain `local`, connected to those that run already. The first one is the one that is asked."""
        key = self.folder / f"{name}.key"
        made = self.run("cuckoo-node", "key", "generate-node-key", "--file", key)
        rpc, port = free_port(0), free_port(0)
        known = [part for node in self.validators for part in ("--bootnodes", node.address)]
        node = self.start(
            name,
            "cuckoo-node",
            "--chain", "local",
            *role,
            "--base-path", self.folder / name,
            "--node-key-file", key,
            "--listen-addr", f"/ip4/127.0.0.1/tcp/{port}",
            "--rpc-port", rpc,
            "--no-prometheus",
            "--no-mdns",
            "--no-telemetry",
            *known,
        )  # fmt: skip
        node.rpc_port = rpc
        node.address = f"/ip4/127.0.0.1/tcp/{port}/p2p/{made.stderr.split()[-1]}"
        self.validators.append(node)
        self.rpc_port = self.rpc_port or rpc
        return node

    @property
    def node_url(self):
        return f"ws://127.0.0.1:{self.rpc_port}"

    def key(self, uri):
        """The encrypted key file of a well-known development key, and its account."""
        file = self.folder / "keys" / (uri.strip("/").replace("//", "-").lower() + ".json")
        with self.lock:
            if not file.exists():
                self.import_key(file, uri)
        return file, json.loads(file.read_text())["address"]

    def import_key(self, file, uri):
        secret = self.folder / "secret"
        secret.write_text(uri + "\n")
        secret.chmod(0o600)
        self.run("miner-client", "key", "import", "--key-file", file, "--password-file", self.password, "--suri-file", secret)
        secret.unlink()

    def signing(self, uri):
        """The options that let a program sign with a well-known development key."""
        file, _ = self.key(uri)
        return "--key-file", file, "--password-file", self.password

    def register(self, role, owner, operator, bond, name, endpoint=None, commission="10", **how):
        """Bonds and registers; `role` is the program that the operator will run, or `validator`."""
        owner_file, _ = self.key(owner)
        _, account = self.key(operator)
        extra = ["--endpoint", endpoint] if endpoint else []
        program = ("cuckoo-node", "validator") if role == "validator" else (role,)
        return self.run(
            *program, "register",
            "--node-url", self.node_url,
            "--owner-key-file", owner_file,
            "--owner-password-file", self.password,
            "--operator", account,
            "--bond", bond,
            "--commission", commission,
            "--name", name,
            *extra,
            **how,
        )  # fmt: skip

    def set_keys(self, operator, node, *extra, **how):
        """Makes session keys in this node and registers them for the operator."""
        return self.run(
            "cuckoo-node", "validator", "set-keys",
            "--node-url", f"ws://127.0.0.1:{node.rpc_port}",
            *self.signing(operator),
            *extra,
            **how,
        )  # fmt: skip

    def register_model(self, name, folder, kind, min_fee="0.5", work_window=20, by="//Alice", calibration=CALIBRATION, **how):
        """Registers a model, and calibrates it with this report unless there is none."""
        extra = ["--calibration", calibration] if calibration else []
        return self.run(
            "cuckoo-coordinator", "model", "register", name,
            "--node-url", self.node_url,
            *self.signing(by),
            "--kind", kind,
            "--manifest", folder,
            "--min-fee", min_fee,
            "--work-window", work_window,
            *extra,
            **how,
        )  # fmt: skip

    def calibrate_model(self, model, calibration=CALIBRATION, by="//Alice", **how):
        """Calibrates the model with this number."""
        return self.run(
            "cuckoo-coordinator", "model", "calibrate",
            "--node-url", self.node_url,
            *self.signing(by),
            "--model", model,
            "--calibration", calibration,
            **how,
        )  # fmt: skip

    def port_of(self, name):
        """The port that this coordinator listens on, today and after a restart."""
        with self.lock:
            return self.ports.setdefault(name, free_port(8080))

    def start_coordinator(self, operator="//Bob", port=None, *extra, name="coordinator", env=None):
        port = self.ports[name] = port or self.port_of(name)
        url = f"http://127.0.0.1:{port}"
        coordinator = self.start(
            name,
            "cuckoo-coordinator", "run",
            "--node-url", self.node_url,
            *self.signing(operator),
            "--listen", f"127.0.0.1:{port}",
            "--data-dir", self.folder / name,
            *extra,
            env=env,
        )  # fmt: skip
        wait_for(f"the {name}", lambda: coordinator.alive() and http(url + "/readyz")[0] == 200, 60)
        return coordinator

    @property
    def app(self):
        return f"http://127.0.0.1:{self.ports['coordinator']}"

    def application(self, coordinator):
        return Application(f"http://127.0.0.1:{self.ports[coordinator]}")

    def start_miner(self, name, operator, models, *extra, online=True, env=None, nodes=None):
        """Starts a miner that serves these models, with these nodes' addresses instead of the one that is asked."""
        _, account = self.key(operator)
        port = free_port(9617)
        args = [part for node in nodes or [self.node_url] for part in ("--node-url", node)]
        args += [part for model in models for part in ("--model-dir", model)]
        miner = self.start(
            name,
            "miner-client", "run",
            *self.signing(operator),
            "--data-dir", self.folder / name,
            "--listen", f"127.0.0.1:{port}",
            "--allow-cpu",
            *args,
            *extra,
            env=env,
        )  # fmt: skip
        miner.port = port
        if online:
            wait_for(
                f"{name} online",
                lambda: miner.alive() and (self.rpc("cuckoo_operator", account) or {}).get("free_slots"),
                90,
            )
        return miner

    # --- the chain

    def rpc(self, method, *params, node=None):
        """What the chain's node answers, or this validator's."""
        _, _, answer = http(
            f"http://127.0.0.1:{node.rpc_port if node else self.rpc_port}",
            {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)},
        )
        if "error" in answer:
            raise Failure(f"{method}: {answer['error']}")
        return answer["result"]

    def best_block(self):
        return int(self.rpc("chain_getHeader")["number"], 16)

    def finalized_block(self, node=None):
        head = self.rpc("chain_getFinalizedHead", node=node)
        return int(self.rpc("chain_getHeader", head, node=node)["number"], 16)

    def wait_blocks(self, count):
        target = self.best_block() + count
        wait_for(f"block {target}", lambda: self.best_block() >= target, 15 + 4 * count)

    def task(self, task):
        return self.rpc("cuckoo_task", task)

    def operator(self, account, at=None):
        return self.rpc("cuckoo_operator", account, at)

    def obstacles(self, account):
        """The names of what keeps an operator from earning."""
        return [obstacle["obstacle"] for obstacle in self.rpc("cuckoo_obstacles", account)]

    def tasks(self, owner):
        """The tasks that the coordinator of this owner has posted."""
        found, number = [], 0
        while task := self.task(number):
            found.append(task)
            number += 1
        return [task for task in found if task["coordinator"] == owner]

    def block_hash(self, number):
        return self.rpc("chain_getBlockHash", number)

    def storage(self, pallet, item, key=None, at=None):
        """The bytes of an item of the chain's storage, as of a block's hash; none if it is empty."""
        stored = self.rpc("state_getStorage", storage_key(pallet, item, key), at)
        return None if stored is None else bytes.fromhex(stored[2:])

    def balance(self, account, at=None):
        """What an account has free and what is held of it, in planck, as of a block's hash."""
        stored = self.storage("System", "Account", public_key(account), at) or bytes(80)
        # Nonce and three counters of four bytes come first.
        free, held = (int.from_bytes(stored[start : start + 16], "little") for start in (16, 32))
        return {"free": free, "held": held}

    # --- the application's side

    def picture(self, prompt, timeout=180, headers=None, **fields):
        return Application(self.app).picture(prompt, timeout, headers, **fields)

    def job(self, job):
        return Application(self.app).job(job)

    def wait_job(self, job, key, values, seconds=120):
        return Application(self.app).wait_job(job, key, values, seconds)


def checked(prefix, check):
    """Runs `check` on a network of its own; the exit status. What it returns as a list, or raises, did not hold: that is told, and the folder stays."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Network(folder) as network:
        try:
            faults = check(network) or []
        except KeyboardInterrupt:
            say("stopped")
            return 130
        except (Failure, OSError) as failure:
            faults = [str(failure)]
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    if faults:
        print(f"logs are in {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0
