"""Requests that are none: what a program with a fault, or somebody with bad intentions, sends to a coordinator. No answer but a refusal is right for any of them."""

import asyncio
import base64
import json
import random
import struct
from types import SimpleNamespace

JSON = "application/json"
PROMPT = "a red circle"
# What a server may say to them, beside any status from 400 to 499: that it does not know such a method or version.
OTHER_REFUSALS = (501, 505)
# How long an answer may take, in seconds.
ANSWER = 60
# Between two bytes of whoever is slow, in seconds.
SLOW = 0.5


def post(path, body, media=JSON, headers=()):
    """The bytes of a request with this body."""
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", f"content-type: {media}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def get(path, *headers, method="GET"):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "host: 127.0.0.1", *headers]).encode() + b"\r\n\r\n"


def tensors(header, data=b"", length=None):
    """A safetensors file with this header, true or not, in base64."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return base64.b64encode(struct.pack("<Q", len(text) if length is None else length) + text + data).decode()


# Safetensors files whose headers lie.
FILES = (
    "",
    "@@@",
    base64.b64encode(b"junk").decode(),
    tensors(b""),
    tensors(b"{", b"x" * 64),
    tensors([]),
    tensors({"x": 5}),
    tensors({}, length=2**63),
    tensors({}, length=2**40),
    tensors({}, length=2**64 - 1),
    tensors({"x": {"dtype": "F99", "shape": [1, 8], "data_offsets": [0, 32]}}, bytes(32)),
    tensors({"x": {"dtype": "F32", "shape": [1, 8], "data_offsets": [0, 64]}}, bytes(32)),
    tensors({"x": {"dtype": "F32", "shape": [1, 9], "data_offsets": [0, 32]}}, bytes(32)),
    tensors({"x": {"dtype": "F32", "shape": [2**62, 8], "data_offsets": [0, 32]}}, bytes(32)),
    tensors({"x": {"dtype": "F32", "shape": [1, 8], "data_offsets": [32, 0]}}, bytes(32)),
    tensors({"x": {"dtype": "F32", "shape": [1, 8], "data_offsets": [2**63, 2**63 + 32]}}, bytes(32)),
)
# By address: a good body, and for each of its fields what must not stand there.
NUMBERS = ("one", -1, 1.5, [], 2**70)
MODELS = (5, [], {}, "no such model", "x" * 3000)
WRONG = {
    "/v1/images/generations": (
        {"model": "{picture}", "prompt": PROMPT, "steps": 2},
        {
            "prompt": (5, True, [], {}, "", " \n", "x" * 2001, None),
            "model": MODELS,
            "n": (*NUMBERS, 0, 11),
            "steps": (*NUMBERS, 0, 151),
            "seed": NUMBERS,
            "guidance_scale": ("x", -1, 51, []),
            "size": (5, "large", "x", [], "64"),
            "response_format": (5, "gif", []),
        },
    ),
    "/v1/embeddings": (
        {"input": PROMPT},
        {"input": (None, 5, {}, [], [[]], [5.5], "", [""], [None], "x" * 65_537), "model": MODELS, "encoding_format": (5, "hex")},
    ),
    "/v1/jobs": (
        {"kind": "tensor", "model": "{tensor}", "input": {"safetensors": FILES[0]}},
        {
            "kind": (5, None, "", "sound", []),
            "model": MODELS,
            "input": (None, 5, "x", [], {}, [5], {"safetensors": 5}, *({"safetensors": file} for file in FILES), [{"safetensors": file} for file in FILES]),
        },
    ),
    "/v2/models/{tensor}/infer": (
        {"inputs": [{"name": "x", "shape": [1, 8], "datatype": "FP32", "data": [0] * 8}]},
        {
            "inputs": (
                None, 5, [], [5], [{}], "x", {},
                [{"name": 5, "shape": [1, 8], "datatype": "FP32", "data": [0] * 8}],
                [{"name": "x", "shape": [1, 2**62], "datatype": "FP32", "data": [0] * 8}],
                [{"name": "x", "shape": [-1, 8], "datatype": "FP32", "data": [0] * 8}],
                [{"name": "x", "shape": "x", "datatype": "FP32", "data": [0] * 8}],
                [{"name": "x", "shape": [1, 8], "datatype": "FP99", "data": [0] * 8}],
                [{"name": "x", "shape": [1, 8], "datatype": "FP32", "data": [0] * 7}],
                [{"name": "x", "shape": [1, 8], "datatype": "FP32", "data": ["a"] * 8}],
                [{"name": "x", "shape": [1, 8], "datatype": "FP32", "parameters": {"binary_data_size": 32}}],
            ),
        },
    ),
}  # fmt: skip
PATHS = (
    "/v1/jobs/../../etc/passwd",
    "/v1/jobs/%2e%2e/%2e%2e/etc/passwd",
    "/v1/jobs/job_%00",
    "/v1/jobs/job_" + "0" * 32,
    "/v1/jobs/job_" + "g" * 32,
    "/v1/jobs/" + "a" * 8000,
    "/v1/jobs/job_" + "0" * 32 + "/output?item=-1",
    "/v1/jobs/job_" + "0" * 32 + "/output?item=99999999999999999999",
    "/v1/jobs/job_" + "0" * 32 + "/output?format=../..",
    "/v1/jobs/job_" + "0" * 32 + "/events",
    "/v1/jobs?limit=-1",
    "/v1/jobs?limit=all",
    "/v1/jobs?before=yesterday",
    "/v1//models",
    "//v1/models",
    "/v1/models/%ff",
    "/v1/models/" + "%2f" * 1000,
    "/v1/models/no%20such%20model",
    "/v2/models/../../etc/passwd",
    "/v2/models/no-such-model",
    "/v2/models/no-such-model/versions/99999999999999999999/ready",
    "/v1/miner/tasks/-1/inputs",
    "/v1/miner/tasks/99999999999999999999/inputs",
    "/v1/miner/tasks/0/inputs",
    "/v1/miner/blobs/../../../etc/passwd",
    "/v1/miner/blobs/%2e%2e%2f%2e%2e%2fjobs.redb",
    "/v1/miner/blobs/0x" + "0" * 64,
    "/v1/miner/blobs/0x" + "z" * 64,
    "/jobs.redb",
    "/api-keys.json",
    "/blobs/",
    "/page.js/../jobs.redb",
    "/%",
    "/%zz",
    "/\\..\\..\\",
    "/" + "/".join("a" * 2000),
)


class Nuisances:
    """Malformed requests without end, each other than the ones before, and the same for the same seed."""

    def __init__(self, seed, picture, tensor):
        """For a coordinator of a chain with a model of pictures and a model of tensors."""
        self.random, self.models = random.Random(seed), {"picture": picture, "tensor": tensor}
        well_formed = (self.wrong_field, self.broken_json, self.wrong_media, self.odd_path, self.odd_method, self.unsigned)
        self.kinds = *well_formed, self.odd_head, self.odd_length, self.odd_chunks, self.noise

    def __iter__(self):
        while True:
            for kind in self.kinds:
                yield kind()

    def made(self, kind, *parts, end="wait", patient=False):
        """`end` says whether the other side waits for an answer, ends its half of the line, or leaves. `patient`: not all that it announces comes, so no answer may come either."""
        return SimpleNamespace(kind=kind, parts=parts, end=end, patient=patient)

    def template(self):
        path = self.random.choice(list(WRONG))
        body, fields = WRONG[path]
        named = {field: value.format(**self.models) if field == "model" else value for field, value in body.items()}
        return path.format(**self.models), named, fields

    def bytes(self, most):
        return self.random.randbytes(self.random.randint(1, most))

    # --- what is well-formed HTTP

    def wrong_field(self):
        """JSON with one field that is not what it should be."""
        path, body, fields = self.template()
        field = self.random.choice(list(fields))
        body[field] = self.random.choice(fields[field])
        return self.made(f"{path} {field}", post(path, json.dumps(body).encode()))

    def broken_json(self):
        """What is no JSON."""
        path, body, _ = self.template()
        text = json.dumps(body).encode()
        broken = self.random.choice((
            lambda: text[: self.random.randrange(len(text))],
            lambda: text + b"x",
            lambda: b"}" + text,
            lambda: b"\xff" + self.bytes(300),
            lambda: b"\xef\xbb\xbf\x00" + text,
            lambda: text.decode().encode("utf-16"),
            lambda: b"[" * self.random.randint(200, 100_000),
            lambda: b'{"a":' * self.random.randint(200, 20_000),
            lambda: b'{"prompt": NaN, "input": NaN, "inputs": NaN, "kind": NaN}',
            lambda: b'{"prompt": "\\ud800", "input": "\\ud800", "inputs": "\\ud800", "kind": "\\ud800"}',
            lambda: b'{"prompt": "\x01", "input": "\x01", "inputs": "\x01", "kind": "\x01"}',
            lambda: b'{"prompt": "\xc3\x28", "input": "\xc3\x28", "inputs": "\xc3\x28", "kind": "\xc3\x28"}',
            lambda: b" " * (2 << 20) if self.random.random() < 0.05 else b" ",
        ))()  # fmt: skip
        return self.made(f"{path} no JSON", post(path, broken))

    def wrong_media(self):
        path = self.random.choice([path for path in WRONG if path.startswith("/v1")])
        media = self.random.choice(("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "image/png", "text/html"))
        key = ("idempotency-key: " + "k" * 300,) if self.random.random() < 0.3 else ()
        return self.made(f"{path} {media}", post(path, b"prompt=x&input=x&kind=tensor", media, key))

    def odd_path(self):
        path = self.random.choice(PATHS)
        return self.made(f"path {path[:60]}", get(path))

    def odd_method(self):
        method = self.random.choice(("PUT", "DELETE", "PATCH", "TRACE", "BREW", "CONNECT", "get", "X" * 300))
        return self.made(f"method {method[:10]}", get(self.random.choice(("/v1/jobs", "/v1/images/generations", "/v1/miner/blobs/0")), "content-length: 0", method=method))

    def unsigned(self):
        """Requests of a miner that nobody signed."""
        value = lambda *some: self.random.choice(some)
        account = value("", "5", "x" * 48, "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY", "\t")
        expires = value("", "0", "-1", "soon", str(2**64), "4102444800", "1e9")
        signature = value("", "0x", "zz" * 64, self.random.randbytes(64).hex(), self.random.randbytes(63).hex(), "00" * 5000)
        body = value("", "0x", self.random.randbytes(32).hex(), self.random.randbytes(31).hex())
        headers = f"cuckoo-account: {account}", f"cuckoo-expires: {expires}", f"cuckoo-body: {body}", f"cuckoo-signature: {signature}"
        headers = self.random.sample(headers, self.random.randint(0, 4))
        task = self.random.randint(0, 5)
        if self.random.random() < 0.5:
            return self.made("unsigned GET", get(f"/v1/miner/tasks/{task}/inputs", *headers))
        sketch = value("", "zz" * 65, "00" * 64, "00" * 65)
        path = f"/v1/miner/tasks/{task}/outputs/0?sketch={sketch}"
        return self.made("unsigned PUT", get(path, *headers, "content-length: 4", method="PUT") + b"junk")

    # --- what is none

    def odd_head(self):
        head = b"GET /v1/jobs/x HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        large = b"y" * 4096
        what, *parts = self.random.choice((
            ("no version", b"GET /v1/jobs/x\r\n\r\n"),
            ("another version", b"GET /v1/jobs/x HTTP/9.9\r\nhost: 127.0.0.1\r\n\r\n"),
            ("no target", b"GET\r\n\r\n"),
            ("spaces", b"  \r\n \r\n\r\n"),
            ("a method with signs", b"G@T /v1/jobs/x HTTP/1.1\r\n\r\n"),
            ("no colon", head + b"nothing\r\n\r\n"),
            ("a name with spaces", head + b"a name: x\r\n\r\n"),
            ("a space before the colon", head + b"content-length : 5\r\n\r\nhello"),
            ("a null", head + b"x: a\0b\r\n\r\n"),
            ("a folded line", head + b"x: a\r\n b\r\n\r\n"),
            ("many headers", head + b"".join(b"x-%d: y\r\n" % number for number in range(500)) + b"\r\n"),
            ("a large header", head + b"x: ", *[large] * 200, b"\r\n\r\n"),
            ("a large name", head, *[large] * 200, b": x\r\n\r\n"),
            ("a path that is not ASCII", b"GET /v1/jobs/\xff\xfe HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"),
            ("one bad request and fifty more", b"GET /v1/nothing HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n" * 51),
        ))  # fmt: skip
        return self.made(what, *parts)

    def odd_length(self):
        head = b"POST /v1/jobs HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        length = self.random.choice((b"-1", b"abc", b"18446744073709551616", b"5, 6", b"1e3", b"0x10", b"5\r\ncontent-length: 6", b"+5", b""))
        if self.random.random() < 0.5:
            return self.made(f"content-length {length.decode()!r}", head + b"content-length: " + length + b"\r\n\r\n{}", end=self.random.choice(("wait", "half")), patient=True)
        # More is announced than comes.
        announced = self.random.choice((b"1000", b"1000000", b"10737418240"))
        return self.made(f"{announced.decode()} bytes announced", head + b"content-length: " + announced + b"\r\n\r\n{", end=self.random.choice(("half", "leave")), patient=True)

    def odd_chunks(self):
        head = b"POST /v1/jobs HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ntransfer-encoding: "
        what, text, end = self.random.choice((
            ("a size that is no number", b"chunked\r\n\r\nzz\r\n", "wait"),
            ("a negative size", b"chunked\r\n\r\n-1\r\nx", "wait"),
            ("a vast size", b"chunked\r\n\r\nffffffffffffffff\r\nx", "half"),
            ("a size beyond all", b"chunked\r\n\r\n" + b"f" * 40 + b"\r\nx", "wait"),
            ("no end of a chunk", b"chunked\r\n\r\n1\r\n{XX", "wait"),
            ("a long extension", b"chunked\r\n\r\n1;x=" + b"y" * 40_000 + b"\r\n{\r\n0\r\n\r\n", "wait"),
            ("less than announced", b"chunked\r\n\r\n64\r\n{", "half"),
            ("no last chunk", b"chunked\r\n\r\n1\r\n{\r\n", "leave"),
            ("large trailers", b"chunked\r\n\r\n1\r\n{\r\n0\r\n" + b"x: " + b"y" * 100_000 + b"\r\n\r\n", "wait"),
            ("a length besides", b"chunked\r\ncontent-length: 5\r\n\r\n1\r\n{\r\n0\r\n\r\n", "wait"),
            ("another coding", b"xchunked\r\n\r\n{", "half"),
            ("two codings", b"chunked, identity\r\n\r\n1\r\n{\r\n0\r\n\r\n", "half"),
            ("many small chunks", b"chunked\r\n\r\n" + b"1\r\n{\r\n" * 5000 + b"0\r\n\r\n", "wait"),
        ))  # fmt: skip
        return self.made(f"chunks: {what}", head + text, end=end, patient=end != "wait")

    def noise(self):
        """Other protocols, and nothing at all."""
        what, data = self.random.choice((
            ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + self.random.randbytes(500)),
            ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self.random.randbytes(50)),
            ("SSH", b"SSH-2.0-stranger\r\n"),
            ("bytes", self.bytes(4096)),
            ("nothing", b""),
            ("line ends", b"\r\n" * 1000),
        ))  # fmt: skip
        return self.made(what, data, end="half", patient=True)


# --- how they are sent


async def send(port, nuisance):
    """What came back: a status, or in a word what happened instead."""
    writer = None
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for part in nuisance.parts:
            writer.write(part)
            await writer.drain()
        if nuisance.end == "leave":
            return "left"
        if nuisance.end == "half":
            writer.write_eof()
        return await asyncio.wait_for(status(reader), ANSWER)
    except TimeoutError:
        return "silent"
    except OSError:
        return "closed"
    finally:
        if writer:
            writer.close()


async def status(reader):
    """The status of the first answer that is no mere encouragement."""
    while line := await reader.readline():
        parts = line.split()
        if not line.startswith(b"HTTP/1.") or len(parts) < 2 or not parts[1].isdigit():
            return "another protocol"
        if not parts[1].startswith(b"1"):
            return int(parts[1])
        while (await reader.readline()).strip():
            pass
    return "closed"


def is_refusal(nuisance, answer):
    """Whether a request that is none was treated as such."""
    if isinstance(answer, int):
        return 400 <= answer < 500 or answer in OTHER_REFUSALS
    return answer != "silent" or nuisance.patient


def flood(port, count, seed, at_a_time=64, **models):
    """Sends so many of them; how often each answer came, and those that are no refusals."""

    async def all_of_them():
        answers, faults, requests = {}, [], zip(range(count), Nuisances(seed, **models))

        async def sender():
            for _, nuisance in requests:
                answer = await send(port, nuisance)
                answers[answer] = answers.get(answer, 0) + 1
                if not is_refusal(nuisance, answer):
                    faults.append(f"{nuisance.kind}: {answer}")

        await asyncio.gather(*(sender() for _ in range(at_a_time)))
        return answers, faults

    return asyncio.run(all_of_them())


class Crawlers:
    """Connections that send a byte now and then, and never a whole request."""

    HEAD = b"GET /v1/models HTTP/1.1\r\nhost: 127.0.0.1\r\nx: " + b"y" * 10_000
    BODY = b"POST /v1/jobs HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 10000\r\n\r\n" + b" " * 9_999

    def __init__(self, port, count):
        self.port, self.count, self.open = port, count, 0

    async def crawl(self, data, at_once):
        """Until the other side has had enough. So much is sent at once in the beginning."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.open += 1
        try:
            writer.write(data[:at_once])
            ended = asyncio.create_task(reader.read())
            for byte in data[at_once:]:
                await asyncio.wait([ended], timeout=SLOW)
                if ended.done():
                    await ended
                    return
                writer.write(bytes([byte]))
                await writer.drain()
        except OSError:
            pass
        finally:
            self.open -= 1
            writer.close()

    async def all(self, seconds):
        heads = [self.crawl(self.HEAD, 20) for _ in range(self.count // 2)]
        bodies = [self.crawl(self.BODY, self.BODY.index(b"\r\n\r\n") + 5) for _ in range(self.count - len(heads))]
        crawling = [asyncio.create_task(crawl) for crawl in (*heads, *bodies)]
        _, left = await asyncio.wait(crawling, timeout=seconds)
        for task in left:
            task.cancel()
        await asyncio.gather(*crawling, return_exceptions=True)
        return len(left)

    def run(self, seconds):
        """How many of them the other side still bears with after so long."""
        return asyncio.run(self.all(seconds))
