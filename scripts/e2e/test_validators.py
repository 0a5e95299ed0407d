"""The preset `local`: three validators on one machine make blocks and make them final."""

from network import Process, BIN, Failure, free_port, http, wait_for
from test_support import LoggedTest

import subprocess


class LocalTest(LoggedTest):
    def validator(self, name, *extra):
        """Starts one of the well-known validators; returns its RPC port."""
        key = self.folder / f"{name}.key"
        made = subprocess.run([BIN / "cuckoo-node", "key", "generate-node-key", "--file", key], capture_output=True, text=True, check=True)
        rpc, port = free_port(0), free_port(0)
        args = (
            BIN / "cuckoo-node",
            "--chain", "local",
            f"--{name}",
            "--base-path", self.folder / name,
            "--node-key-file", key,
            "--listen-addr", f"/ip4/127.0.0.1/tcp/{port}",
            "--rpc-port", rpc,
            "--no-prometheus",
            "--no-mdns",
            "--no-telemetry",
            *extra,
        )  # fmt: skip
        process = Process(name, args, self.folder / f"{name}.log")
        self.addCleanup(process.stop)
        address = f"/ip4/127.0.0.1/tcp/{port}/p2p/{made.stderr.split()[-1]}"
        return process, rpc, address

    def finalized(self, rpc):
        def ask(method, *params):
            request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
            answer = http(f"http://127.0.0.1:{rpc}", request)[2]
            if "error" in answer:
                raise Failure(f"{method}: {answer['error']}")
            return answer["result"]

        return int(ask("chain_getHeader", ask("chain_getFinalizedHead"))["number"], 16)

    def test_three_validators_finalise(self):
        first, rpc, address = self.validator("alice")
        others = [self.validator(name, "--bootnodes", address) for name in ("bob", "charlie")]
        for process, rpc, _ in [(first, rpc, address), *others]:
            final = lambda: process.alive() and self.finalized(rpc) >= 3
            wait_for(f"{process.name} to see block 3 final", final, 120)


del LoggedTest
