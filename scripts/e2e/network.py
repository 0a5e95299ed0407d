"""A Cuckoo network on this machine: a dev chain, a coordinator and miners, started, watched and stopped.

Used by `scripts/run` and by the end-to-end tests. Everything listens on loopback and keeps its files in one folder.
"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ["CARGO_TARGET_DIR"]) / "debug"
CAI = 10**18
PASSWORD = "development only"


class Failure(Exception):
    """Something did not come as it should; the message says what and where to look."""


def free_port(preferred):
    """This port if nobody listens on it, else any other."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return probe.getsockname()[1]
            except OSError:
                continue
    raise Failure("no free port on 127.0.0.1")


def http(url, body=None, headers=None, timeout=30, method=None):
    """Status, headers and body of one request; JSON bodies are decoded."""
    data = json.dumps(body).encode() if body is not None else None
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

    def stop(self, how=signal.SIGTERM, seconds=20):
        if self.child.poll() is None:
            self.child.send_signal(how)
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                print(f"{self.name} did not stop within {seconds} s: killing it", file=sys.stderr)
                self.child.kill()
                self.child.wait()
        return self.child.returncode


class Network:
    """The chain and whoever was started on it. Use as a context manager: leaving stops everything."""

    def __init__(self, folder, say=lambda text: None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.say = say
        self.processes = {}
        self.rpc_port = None
        self.password = self.folder / "password"
        self.password.write_text(PASSWORD + "\n")
        self.password.chmod(0o600)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Stops everything, last started first; returns the exit codes."""
        return {name: self.processes.pop(name).stop() for name in reversed(list(self.processes))}

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
        wait_for("the node's first block", lambda: node.alive() and self.best_block() > 0, 60)
        return node

    @property
    def node_url(self):
        return f"ws://127.0.0.1:{self.rpc_port}"

    def key(self, uri):
        """The encrypted key file of a well-known development key, and its account."""
        file = self.folder / "keys" / (uri.strip("/").replace("//", "-").lower() + ".json")
        if not file.exists():
            secret = self.folder / "secret"
            secret.write_text(uri + "\n")
            secret.chmod(0o600)
            self.run("miner-client", "key", "import", "--key-file", file, "--password-file", self.password, "--suri-file", secret)
            secret.unlink()
        return file, json.loads(file.read_text())["address"]

    def register(self, role, owner, operator, bond, name, endpoint=None, commission="10", check=True):
        """Bonds and registers; `role` is the program that the operator will run."""
        owner_file, _ = self.key(owner)
        _, account = self.key(operator)
        extra = ["--endpoint", endpoint] if endpoint else []
        return self.run(
            role, "register",
            "--node-url", self.node_url,
            "--owner-key-file", owner_file,
            "--owner-password-file", self.password,
            "--operator", account,
            "--bond", bond,
            "--commission", commission,
            "--name", name,
            *extra,
            check=check,
        )  # fmt: skip

    def register_model(self, name, folder, kind, min_fee="0.5", work_window=20, check=True):
        file, _ = self.key("//Alice")
        return self.run(
            "cuckoo-coordinator", "model", "register", name,
            "--node-url", self.node_url,
            "--key-file", file,
            "--password-file", self.password,
            "--kind", kind,
            "--manifest", folder,
            "--min-fee", min_fee,
            "--work-window", work_window,
            check=check,
        )  # fmt: skip

    def start_coordinator(self, operator="//Bob", port=None, *extra):
        file, _ = self.key(operator)
        self.coordinator_port = port or self.coordinator_port
        coordinator = self.start(
            "coordinator",
            "cuckoo-coordinator", "run",
            "--node-url", self.node_url,
            "--key-file", file,
            "--password-file", self.password,
            "--listen", f"127.0.0.1:{self.coordinator_port}",
            "--data-dir", self.folder / "coordinator",
            *extra,
        )  # fmt: skip
        wait_for("the coordinator", lambda: coordinator.alive() and http(self.app + "/readyz")[0] == 200, 60)
        return coordinator

    @property
    def app(self):
        return f"http://127.0.0.1:{self.coordinator_port}"

    def start_miner(self, name, operator, models, *extra, online=True, env=None):
        file, account = self.key(operator)
        port = free_port(9617)
        args = [part for model in models for part in ("--model-dir", model)]
        miner = self.start(
            name,
            "miner-client", "run",
            "--node-url", self.node_url,
            "--key-file", file,
            "--password-file", self.password,
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

    def rpc(self, method, *params):
        _, _, answer = http(
            f"http://127.0.0.1:{self.rpc_port}",
            {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)},
        )
        if "error" in answer:
            raise Failure(f"{method}: {answer['error']}")
        return answer["result"]

    def best_block(self):
        return int(self.rpc("chain_getHeader")["number"], 16)

    def finalized_block(self):
        return int(self.rpc("chain_getHeader", self.rpc("chain_getFinalizedHead"))["number"], 16)

    def wait_blocks(self, count):
        target = self.best_block() + count
        wait_for(f"block {target}", lambda: self.best_block() >= target, 15 + 4 * count)

    def task(self, task):
        return self.rpc("cuckoo_task", task)

    def operator(self, account):
        return self.rpc("cuckoo_operator", account)

    # --- the application's side

    def picture(self, prompt, timeout=180, headers=None, **fields):
        body = {"prompt": prompt, "response_format": "b64_json", **fields}
        return http(f"{self.app}/v1/images/generations", body, headers, timeout)

    def job(self, job):
        return http(f"{self.app}/v1/jobs/{job}")[2]

    def wait_job(self, job, key, values, seconds=120):
        """The job once `key` has one of these values."""

        def probe():
            state = self.job(job)
            return state if state.get(key) in values else None

        return wait_for(f"job {job} with {key} {'/'.join(values)}", probe, seconds)
