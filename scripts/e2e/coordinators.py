"""What the tests of a coordinator share: a miner's requests made one by one, a network line that can be cut, and where every planck of an operator went."""

import hashlib
import math
import socket
import struct
import threading
import time
from types import SimpleNamespace

import sr25519

from check_adversaries import Chain
from network import free_port, http, public_key, wait_for

# The seed behind every well-known account.
DEVELOPMENT = bytes.fromhex("fac7959dbfe72f052e5a0c3c8d6530f202b02fd8f9f5ca3580ec8deb7797479e")
# For how long a miner's requests are good, in seconds, and for how long they may be at most.
LIFE, MAX_LIFE = 30, 60
# A sketch that fits no output: 65 bytes.
NO_SKETCH = "00" * 65
# How many projections of an output are in a sketch.
PROJECTIONS = 32
# The chain's parameters Verifiers and SampleSize.
VERIFIERS, SAMPLE = 1, 4
ENDS = ("Settled", "Expired", "Cancelled", "Rejected", "Void", "Unavailable", "Undelivered")


def blake2(data):
    return hashlib.blake2b(data, digest_size=32).digest()


def keypair(uri):
    """The sr25519 pair of a well-known account, such as `//Bob//stash`."""
    pair = sr25519.pair_from_seed(DEVELOPMENT)
    for name in uri.strip("/").split("//"):
        code = (bytes([len(name) << 2]) + name.encode()).ljust(32, b"\0")
        _, *pair = sr25519.hard_derive_keypair((code, *pair), b"")
    return tuple(pair)


def encoded(text):
    """A text in SCALE: its length, in one byte or two, and its bytes."""
    data = text.encode()
    length = len(data) << 2
    return (bytes([length]) if len(data) < 64 else (length | 1).to_bytes(2, "little")) + data


class Hand:
    """Does by hand what a miner's program does with a coordinator: one signed request after the other."""

    def __init__(self, network, miner, coordinator, operator):
        """In the name of the account `miner`, for the coordinator of this name, whose operator is the account `operator`."""
        self.account, self.pair = network.key(miner)[1], keypair(miner)
        self.url = network.application(coordinator).url
        self.coordinator = public_key(network.key(operator)[1])
        self.genesis = bytes.fromhex(network.block_hash(0)[2:])

    def sign(self, method, path, body=b"", ahead=LIFE, coordinator=None):
        """The headers that make this request the miner's, for so many seconds."""
        expires = int(time.time()) + ahead
        parts = b"cuckoo/request", self.genesis, coordinator or self.coordinator, encoded(method), encoded(path), blake2(body), expires.to_bytes(8, "little")
        signature = sr25519.sign(self.pair, blake2(b"".join(parts)))
        return {"cuckoo-account": self.account, "cuckoo-expires": str(expires), "cuckoo-body": blake2(body).hex(), "cuckoo-signature": signature.hex()}

    def send(self, method, path, body=b"", headers=None):
        """Status and content of the answer to this request, signed unless it comes with headers."""
        headers = self.sign(method, path, body) if headers is None else headers
        status, _, content = http(self.url + path, raw=body or None, headers=headers, method=method)
        return status, content

    def inputs(self, task):
        return self.send("GET", f"/v1/miner/tasks/{task}/inputs")

    def blob(self, hash):
        return self.send("GET", f"/v1/miner/blobs/{hash}")

    def put(self, task, item, output, sketch=NO_SKETCH):
        return self.send("PUT", output_path(task, item, sketch), output)


def output_path(task, item, sketch=NO_SKETCH):
    return f"/v1/miner/tasks/{task}/outputs/{item}?sketch={sketch}"


# --- sketches, by their description in `pallets/primitives`


def chacha20(key):
    """The words of ChaCha20's key stream, without a nonce."""
    first, counter = (*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key)), 0
    while True:
        start = [*first, counter & 0xFFFFFFFF, counter >> 32, 0, 0]
        block = start.copy()
        for _ in range(10):
            for row in range(4):
                quarter(block, row, 4 + row, 8 + row, 12 + row)
            for row in range(4):
                quarter(block, row, 4 + (row + 1) % 4, 8 + (row + 2) % 4, 12 + (row + 3) % 4)
        yield from ((word + begun) & 0xFFFFFFFF for word, begun in zip(block, start))
        counter += 1


def quarter(block, a, b, c, d):
    for to, by, turned, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        block[to] = (block[to] + block[by]) & 0xFFFFFFFF
        mixed = block[turned] ^ block[to]
        block[turned] = ((mixed << turn) | (mixed >> (32 - turn))) & 0xFFFFFFFF


def sketch(task, item, values, drawn=0):
    """The sketch, in hexadecimal, that a task's miner, drawn after so many others, makes of an item's output."""
    key = blake2(b"cuckoo/sketch" + struct.pack("<QI", task, drawn))
    signs = chacha20(blake2(b"cuckoo/sketch" + key + struct.pack("<I", item)))
    sums = [0.0] * PROJECTIONS
    for value, word in zip(map(float, values), signs):
        sums = [total + (value if word >> bit & 1 else -value) for bit, total in enumerate(sums)]
    # The smallest exponent at which the largest projection fits 15 bits.
    exponent = math.frexp(max(map(abs, sums)))[1] - 15 if any(sums) else 0
    mantissas = (min(2**15 - 1, max(-(2**15), round(math.ldexp(total, -exponent)))) for total in sums)
    return struct.pack(f"<b{PROJECTIONS}h", exponent, *mantissas).hex()


class Ledger:
    """What became of the CAI of coordinators' operators, from the chain's own events."""

    def __init__(self, network, undone=False):
        """`undone` says that blocks which were read can be undone: then all are read again whenever somebody asks."""
        self.network, self.undone = network, undone
        self.lock, self.chain = threading.Lock(), None

    def open(self, name, operator, owner):
        """The books of a coordinator as they are now: there must be no task of it, and no transaction on its way."""
        best = self.network.best_block()
        final = lambda: (block := self.network.finalized_block()) >= best and block
        block = wait_for(f"block {best} to become final", final, 120)
        account, owner = self.network.key(operator)[1], self.network.key(owner)[1]
        balance = self.network.balance(account, self.network.block_hash(block))
        return SimpleNamespace(name=name, account=account, owner=owner, block=block, **balance)

    def events(self, first, last):
        """Every event of these blocks."""
        with self.lock:
            ended = self.chain and self.chain.process.child.poll() is not None
            if not self.chain or self.undone or ended:
                self.read_anew()
            wait_for(f"the events of block {last}", lambda: self.chain.update() and self.chain.block >= last, 120)
            return [event for event in self.chain.update() if first <= event.block <= last]

    def read_anew(self):
        if before := self.network.processes.pop("events", None):
            before.stop()
            before.log.unlink()
        self.chain = Chain(self.network, {}, pallets=("Tasks", "TransactionPayment"))

    def closed(self, books, seconds=300):
        """The last final block, once nothing more is held of this account than in the beginning."""

        def nothing_held():
            block = self.network.finalized_block()
            balance = self.network.balance(books.account, self.network.block_hash(block))
            return balance["held"] == books.held and block

        return wait_for(f"every escrow of {books.name} to be paid or given back", nothing_held, seconds, every=1)

    def account(self, books, last):
        """What was posted, paid, given back and burnt from the opening of the books to a final block, beside what the account has lost."""
        now = self.network.balance(books.account, self.network.block_hash(last))
        events = self.events(books.block + 1, last)
        of_tasks = [event for event in events if event.pallet == "Tasks" and "task" in event.fields]
        owner, payer = ("0x" + public_key(account).hex() for account in (books.owner, books.account))
        posted = {event.fields["task"]: event for event in of_tasks if event.event == "Posted" and event.fields["coordinator"] == owner}
        ended = {event.fields["task"]: event for event in of_tasks if event.event in ENDS and event.fields["task"] in posted}
        paid = [event for event in events if event.event == "TransactionFeePaid" and event.fields["who"] == payer]
        told = SimpleNamespace(
            name=books.name,
            tasks=sorted(posted),
            items=sum(event.fields["items"] for event in posted.values()),
            paid=0, audits=0, refunded=0, burnt=0, held=0,
            transactions=len(paid),
            fees=sum(int(event.fields["actual_fee"]) for event in paid),
            spent=books.free + books.held - now["free"] - now["held"],
            more_held=now["held"] - books.held,
        )  # fmt: skip
        for task, event in posted.items():
            fee, items = int(event.fields["fee"]), event.fields["items"]
            each = -(-fee * min(SAMPLE, items) // items)
            held, end = fee + VERIFIERS * each, ended.get(task)
            if end is None:
                told.held += held
            elif end.event == "Settled":
                told.paid += fee
                told.audits += each * len(self.network.task(task)["verifiers"])
            elif "burnt" in end.fields:
                told.burnt += int(end.fields["burnt"])
            else:
                # Who verified what a court rejected is paid out of what does not come back.
                told.refunded += int(end.fields["refund"])
                told.audits += held - int(end.fields["refund"])
        told.missing = told.spent - told.paid - told.audits - told.burnt - told.fees
        return told


class Relay:
    """A port that leads to another one, as long as the line is not cut."""

    def __init__(self, target):
        self.target, self.port = target, free_port(0)
        self.lock, self.ends = threading.Lock(), set()
        self.listener = None
        self.mend()

    def mend(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.serve, args=(self.listener,), daemon=True).start()

    def cut(self):
        """Ends every connection, and takes no more."""
        with self.lock:
            ends, self.ends, self.listener = [*self.ends, self.listener], set(), None
        for end in ends:
            self.hang_up(end)

    def hang_up(self, end):
        try:
            # Closing alone would not wake whoever waits for it.
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        end.close()

    def serve(self, listener):
        while True:
            try:
                near = listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", self.target), 5)
            except ConnectionRefusedError:
                near.close()
                continue
            except OSError:
                return
            far.settimeout(None)
            with self.lock:
                if listener is not self.listener:
                    self.hang_up(near)
                    self.hang_up(far)
                    return
                self.ends |= {near, far}
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self.carry, args=(source, target), daemon=True).start()

    def carry(self, source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        self.hang_up(target)
