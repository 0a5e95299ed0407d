"""Programs that nobody here wrote ask a coordinator, as applications and people will: OpenAI's clients, Triton's, a verifier of Standard Webhooks, a tester of OpenAPI
documents, a browser. And every command of docs/applications.md does what the page says.

`scripts/check app-clients` runs the same with more of the tester's requests.
"""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

import numpy as np
import onnx
import onnxruntime
import openai
import tritonclient.http as triton
from onnx import TensorProto, helper
from safetensors.numpy import save
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from tritonclient.utils import InferenceServerException

from clients.helpers import Lossy, Receiver, blocks
from network import BIN, CAI, another_model, free_port, http, together, wait_for
from test_support import MODEL, NetworkTest, OneClass, SideBySide, calibration, png_size

# From demo-model, where `network` has Python look.
import embedding_oracle
from sums import write_sums

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CLIENTS = pathlib.Path(os.environ["CUCKOO_CLIENTS"])
DOCUMENT = ROOT / "node" / "coordinator" / "openapi.json"
PAGE = ROOT / "docs" / "applications.md"
# Where that page says that the coordinator is and a receiver of webhooks, and what it writes for a key.
PAGE_HOST, PAGE_RECEIVER, PAGE_KEY = "127.0.0.1:8080", "9000", "YOUR_KEY"
PROMPT, TEXT = "a red circle above a blue square", "a blue square"
MODELS = {"demo", "words", "simple", "idle"}
# In pixels: a phone and a desktop.
WIDTHS = (390, 1280)
# Answers that the tester must have had, because they are what the document is for.
GOOD = {
    ("POST /v1/images/generations", 200),
    ("POST /v1/embeddings", 200),
    ("POST /v1/jobs", 202),
    ("GET /v1/jobs/{id}", 200),
    ("GET /v1/jobs/{id}/events", 200),
    ("GET /v2/models/{name}", 200),
    ("POST /v2/models/{name}/infer", 200),
    ("GET /v1/network", 200),
    ("GET /v1/tasks", 200),
}
# How many requests of each kind the tester makes up, and for how many seconds at most; the check sets more.
EXAMPLES, SECONDS = 15, 90
# What the coordinator's operator declares of the ONNX model's tensors.
SIMPLE = {
    "name": "simple",
    "inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [1, 16]}, {"name": "INPUT1", "datatype": "INT32", "shape": [1, 16]}],
    "outputs": [{"name": name, "datatype": "FP32", "shape": [1, 16]} for name in ("OUTPUT0", "OUTPUT1")],
}
# What the tests found out, for the last line of the check.
FIGURES = {}


def load_tests(loader, tests, pattern):
    """All tests at the same time: most of their time they wait for blocks."""
    return SideBySide(OneClass(suite) for suite in tests)


def missing(program):
    """Why a program or package is not there, in the words of scripts/setup; none if it is."""
    said = CLIENTS / "missing"
    lines = said.read_text().splitlines() if said.exists() else []
    return next((line for line in lines if program in line), None)


def node():
    """Skips the test where Node.js or its packages are not there."""
    why = missing("node") or missing("npm")
    found = shutil.which("node") and (CLIENTS / "node_modules").is_dir()
    if why or not found:
        raise unittest.SkipTest(why or "Node.js and its packages are not there: scripts/setup --clients")


def browser():
    """The browser's path; skips the test where there is none."""
    command = os.environ["CUCKOO_BROWSER"]
    path = shutil.which(command)
    if not path:
        raise unittest.SkipTest(missing(command) or f"there is no {command}: scripts/setup --clients, or CUCKOO_BROWSER names another Chromium or Chrome")
    return path


def make_simple(folder):
    """Writes the model that Triton's own examples ask, but for one type: sum and difference of 16 floats and 16 integers."""
    folder.mkdir(parents=True)
    shape = [1, 16]
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["INPUT1"], ["b"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["INPUT0", "b"], ["OUTPUT0"]),
            helper.make_node("Sub", ["INPUT0", "b"], ["OUTPUT1"]),
        ],
        "simple",
        [helper.make_tensor_value_info("INPUT0", TensorProto.FLOAT, shape), helper.make_tensor_value_info("INPUT1", TensorProto.INT32, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("OUTPUT0", "OUTPUT1")],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, folder / "model.onnx")
    write_sums(folder)


class Bearer(triton.InferenceServerClientPlugin):
    """Puts the API key on every request of a client of Triton's."""

    def __init__(self, key):
        self.key = key

    def __call__(self, request):
        request.headers["authorization"] = f"Bearer {self.key}"


class Clients(NetworkTest):
    """A coordinator with API keys, two miners, and a model of each kind under the names that docs/applications.md and openapi.json use."""

    @classmethod
    def prepare(cls, network):
        cls.words, cls.simple = network.folder / "words-model", network.folder / "simple-model"
        embedding_oracle.make(cls.words, seed=5, cls=False)
        make_simple(cls.simple)
        idle = another_model(cls.simple, network.folder / "idle-model", "idle")
        cls.session = onnxruntime.InferenceSession(str(cls.words / "model.onnx"), providers=["CPUExecutionProvider"])
        measured = calibration(network.folder / "calibration.json", 10)
        cls.data = network.folder / "coordinator"
        # The first key, made before anybody is served: from the first answer on, everybody needs one.
        cls.main = cls.make_key("main")["secret"]
        network.start_node()
        declared = network.folder / "metadata" / "simple" / "config.json"
        declared.parent.mkdir(parents=True)
        declared.write_text(json.dumps(SIMPLE))
        cls.url = f"http://127.0.0.1:{network.port_of('coordinator')}"
        cls.host = cls.url.removeprefix("http://")
        together(
            lambda: network.register("cuckoo-coordinator", "//Bob//stash", "//Bob", "2500000", "coordinator", cls.url),
            lambda: network.register("miner-client", "//Charlie//stash", "//Charlie", "100000", "small"),
            lambda: network.register("miner-client", "//Dave//stash", "//Dave", "400000", "large"),
            lambda: network.register_model("demo", MODEL, "text-to-image"),
            lambda: network.register_model("words", cls.words, "text-embedding", min_fee="0.1", by="//Eve", calibration=measured),
            lambda: network.register_model("simple", cls.simple, "tensor", min_fee="0.1", by="//Ferdie", calibration=measured),
            # Nobody serves this one.
            lambda: network.register_model("idle", idle, "tensor", min_fee="0.1", by="//Eve//stash", calibration=measured),
        )
        models = [MODEL, cls.words, cls.simple]
        together(
            lambda: network.start_coordinator("//Bob", None, "--webhook-private", "--model-metadata", declared.parents[1]),
            # Enough slots that no test waits for another.
            lambda: network.start_miner("small", "//Charlie", models, "--slots", 8),
            lambda: network.start_miner("large", "//Dave", models, "--slots", 8),
        )

    # --- keys, and what is asked with them by hand

    @classmethod
    def make_key(cls, name, *options):
        """A new API key: its secrets and all that is known of it."""
        made = cls.network.run("cuckoo-coordinator", "api-key", "create", "--name", name, "--data-dir", cls.data, "--json", *options)
        return json.loads(made.stdout)

    def key(self, name, *options):
        """The secrets of a new API key, once it is good for something."""
        made = self.make_key(name, *options)
        wait_for(f"the key {name}", lambda: self.get("/v1/models", made["secret"])[0] != 401, 20)
        return made

    def ask(self, method, path, key=None, body=None, timeout=180):
        headers = {"authorization": f"Bearer {key or self.main}"}
        return http(self.url + path, body, headers, timeout, method)

    def get(self, path, key=None):
        return self.ask("GET", path, key)

    def jobs(self, key):
        """All jobs of an API key, newest first."""
        status, _, listed = self.get("/v1/jobs?limit=100", key)
        self.assertEqual((status, listed["object"]), (200, "list"), listed)
        return listed["data"]

    def settled(self, job, key=None):
        """The job, once the chain has decided about it."""
        last = {}

        def decided():
            last.update(self.get(f"/v1/jobs/{job}", key)[2])
            return last["settlement"] in ("settled", "refunded", "void", "burnt", "overturned")

        wait_for(f"the settlement of {job}", decided, 180)
        self.assertEqual((last["state"], last["settlement"], last["error"]), ("completed", "settled", None))
        return last

    def expected(self, *texts):
        """The embeddings that Python's onnxruntime gives."""
        return [embedding_oracle.embedding(self.session, embedding_oracle.tokens(text, self.words), cls=False) for text in texts]

    def assert_close(self, found, wanted):
        self.assertEqual(np.shape(found), np.shape(wanted))
        self.assertLessEqual(float(np.abs(np.subtract(found, wanted)).max()), embedding_oracle.BAR)

    # --- OpenAI's client for Python

    def openai(self, key=None, url=None, retries=0):
        return openai.OpenAI(base_url=f"{url or self.url}/v1", api_key=key or self.main, max_retries=retries, timeout=180)

    def test_openai_python(self):
        """Models are listed, a prompt becomes pictures with who made them beside them, texts become the embeddings that onnxruntime gives, in both encodings."""
        client = self.openai()
        self.assertEqual({model.id for model in client.models.list()}, MODELS)
        model = client.models.retrieve("demo")
        self.assertEqual((model.id, model.object, model.model_extra["x_cuckoo"]["kind"]), ("demo", "model", "text_to_image"))
        picture = dict(model="demo", prompt=PROMPT, n=2, size="auto", response_format="b64_json", extra_body={"seed": 3, "steps": 4})
        words = dict(model="words", input=list(embedding_oracle.TEXTS))
        pictures, floats, packed, unsaid, one = together(
            lambda: client.images.with_raw_response.generate(**picture),
            lambda: client.embeddings.create(**words, encoding_format="float"),
            lambda: client.embeddings.with_raw_response.create(**words, encoding_format="base64"),
            # Without a word the client asks for base64 and takes it apart by itself.
            lambda: client.embeddings.create(**words),
            lambda: client.embeddings.create(model="words", input=TEXT),
        )
        self.check_pictures(pictures)
        wanted = self.expected(*embedding_oracle.TEXTS)
        self.check_embeddings(floats, wanted)
        self.check_embeddings(unsaid, wanted)
        self.check_embeddings(one, self.expected(TEXT))
        raw = packed.http_response.json()
        unpacked = [np.frombuffer(base64.b64decode(each["embedding"]), "<f4") for each in raw["data"]]
        self.assert_close(unpacked, wanted)
        FIGURES["openai_python"] = "ok"

    def check_pictures(self, answer):
        made = answer.parse()
        pictures = [base64.b64decode(image.b64_json) for image in made.data]
        self.assertEqual([png_size(picture) for picture in pictures], [(64, 64)] * 2)
        self.assertNotEqual(*pictures)
        receipt = made.model_extra["x_cuckoo"]
        self.assertEqual(answer.headers["x-cuckoo-job"], receipt["job"])
        self.assertEqual(answer.headers["x-cuckoo-task"], str(receipt["task"]))
        self.assertEqual(answer.headers["x-cuckoo-miner"], receipt["miner"])
        self.assertEqual(answer.headers["x-cuckoo-model"], receipt["manifest"])
        self.assertIn(receipt["miner"], [self.network.key(f"{operator}//stash")[1] for operator in ("//Charlie", "//Dave")])
        job = self.settled(receipt["job"])
        self.assertEqual((job["items"], job["task"], job["output_hashes"]), (2, receipt["task"], receipt["output_hashes"]))

    def check_embeddings(self, answer, wanted):
        self.assertEqual((answer.object, answer.model), ("list", "words"))
        self.assertEqual([(each.object, each.index) for each in answer.data], [("embedding", index) for index in range(len(wanted))])
        self.assertGreaterEqual(answer.usage.total_tokens, 0)
        self.assert_close([each.embedding for each in answer.data], wanted)

    def test_openai_python_errors(self):
        """What goes wrong is raised as the class that applications catch, with the error object's fields."""
        client = self.openai()
        reader, few = self.key("reader", "--scope", "read")["secret"], self.key("few", "--per-minute", 1)["secret"]
        poor, bound = self.key("poor", "--budget", "0.2")["secret"], self.key("bound", "--model", "words")["secret"]
        picture = lambda key, **fields: lambda: self.openai(key).images.generate(**{"model": "demo", "prompt": PROMPT, **fields})
        cases = (
            ("an empty prompt", picture(None, prompt=""), openai.BadRequestError, 400, "invalid_value", "prompt"),
            ("eleven pictures", picture(None, n=11), openai.BadRequestError, 400, "invalid_value", "n"),
            ("an address wanted", picture(None, response_format="url"), openai.BadRequestError, 400, "unsupported_value", "response_format"),
            ("no text", lambda: client.embeddings.create(model="words", input=""), openai.BadRequestError, 400, "invalid_value", "input"),
            ("a model of another kind", picture(None, model="words"), openai.BadRequestError, 400, "unsupported_value", "model"),
            ("a wrong key", picture("ck_" + "A" * 43), openai.AuthenticationError, 401, "invalid_api_key", None),
            ("a key without the scope", picture(reader), openai.PermissionDeniedError, 403, "insufficient_scope", None),
            ("a model that is not the key's", picture(bound), openai.NotFoundError, 404, "model_not_found", "model"),
            ("no such model", picture(None, model="nothing"), openai.NotFoundError, 404, "model_not_found", "model"),
            ("no such model, looked up", lambda: client.models.retrieve("nothing"), openai.NotFoundError, 404, "model_not_found", None),
            ("no such address", lambda: client.chat.completions.create(model="demo", messages=[]), openai.NotFoundError, 404, "not_found", None),
            ("a request too soon", picture(few), openai.RateLimitError, 429, "rate_limit_exceeded", None),
            # Not a 429, which the client would send again.
            ("more than the budget", picture(poor), openai.APIStatusError, 402, "insufficient_quota", None),
        )
        for what, request, kind, status, code, param in cases:
            with self.subTest(what):
                with self.assertRaises(kind) as raised:
                    request()
                error = raised.exception
                self.assertEqual((error.status_code, error.code, error.param), (status, code, param))
                self.assertGreater(len(error.body["message"]), 10)
                if code == "rate_limit_exceeded":
                    self.assertGreater(int(error.response.headers["retry-after"]), 0)
        self.assertEqual(self.jobs(reader), [])
        FIGURES["openai_errors"] = len(cases)

    def test_openai_python_asks_again_and_pays_once(self):
        """The answer is lost on its way, the client asks again by itself; with an Idempotency-Key that is one job, paid once."""
        secret = self.key("careful")["secret"]
        line = Lossy(self.host)
        with line.serve() as url:
            client = self.openai(secret, url, retries=3)
            order = {"Idempotency-Key": "order 17"}
            picture, words = together(
                lambda: client.images.generate(model="demo", prompt=PROMPT, extra_body={"steps": 4}, extra_headers=order),
                lambda: client.embeddings.create(model="words", input=TEXT, extra_headers={"Idempotency-Key": "order 18"}),
            )
        self.assertEqual(png_size(base64.b64decode(picture.data[0].b64_json)), (64, 64))
        self.check_embeddings(words, self.expected(TEXT))
        # Two answers were lost, so four requests went through, and the two orders are two jobs.
        self.assertEqual((len(line.asked), line.statuses), (4, [200] * 4))
        self.assertEqual(sorted(key for key, _ in line.asked), ["order 17"] * 2 + ["order 18"] * 2)
        self.assertEqual(len(set(line.asked)), 2, "the client sent another request under the same key")
        jobs = self.jobs(secret)
        self.assertEqual(len(jobs), 2, jobs)
        # The same key with another request is a mistake, and not the first one's answer.
        with self.assertRaises(openai.ConflictError) as raised:
            self.openai(secret).images.generate(model="demo", prompt="something else", extra_headers=order)
        self.assertEqual(raised.exception.code, "idempotency_key_reused")
        FIGURES.update(retried_requests=len(line.asked), retried_jobs=len(jobs))

    # --- OpenAI's client for JavaScript

    def script(self, folder, name):
        """A script beside the packages that it imports."""
        folder.mkdir(exist_ok=True)
        link = folder / "node_modules"
        if not link.is_symlink():
            link.symlink_to(CLIENTS / "node_modules")
        return shutil.copy(HERE / "clients" / name, folder)

    def run_node(self, script, *args, env=None, timeout=240):
        """What a script prints as JSON."""
        done = subprocess.run(
            ["node", str(script), *map(str, args)], capture_output=True, text=True, timeout=timeout, env={**os.environ, **(env or {})}
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def test_openai_javascript(self):
        """The same in JavaScript: models, a picture, embeddings in both encodings, errors as their classes."""
        node()
        script = self.script(self.folder / "openai", "openai.mjs")
        env = {"OPENAI_BASE_URL": f"{self.url}/v1", "OPENAI_API_KEY": self.main}
        found = self.run_node(script, "demo", "words", TEXT, env=env)
        self.assertEqual((set(found["models"]), found["model"]), (MODELS, "demo"))
        self.assertEqual(png_size(base64.b64decode(found["picture"])), (64, 64))
        self.assertEqual(found["job"], found["header"])
        self.settled(found["job"])
        self.assert_close(found["numbers"], self.expected(TEXT)[0])
        self.assert_close(found["packed"], self.expected(TEXT, "x"))
        errors = [(error["name"], error["status"], error["code"], error["param"]) for error in found["errors"]]
        expected = [
            ("BadRequestError", 400, "invalid_value", "prompt"),
            ("NotFoundError", 404, "model_not_found", "model"),
            ("AuthenticationError", 401, "invalid_api_key", None),
        ]
        self.assertEqual(errors, expected)
        FIGURES["openai_javascript"] = "ok"

    # --- Triton's client

    def test_tritonclient(self):
        """Liveness, readiness, metadata; tensors in JSON and in binary, to the last bit what numpy makes of them; and texts."""
        numbers = np.random.default_rng(4)
        a = numbers.standard_normal((1, 16)).astype(np.float32)
        b = numbers.integers(-1000, 1000, (1, 16), dtype=np.int32)
        with triton.InferenceServerClient(self.host, network_timeout=180) as client:
            client.register_plugin(Bearer(self.main))
            self.assertTrue(client.is_server_live() and client.is_server_ready())
            self.assertTrue(client.is_model_ready("simple"))
            self.assertFalse(client.is_model_ready("nothing"))
            self.assertIn("binary_tensor_data", client.get_server_metadata()["extensions"])
            told = client.get_model_metadata("simple")
            self.assertEqual({name: told[name] for name in SIMPLE}, SIMPLE)
            self.assertEqual(client.get_model_metadata("words")["inputs"], [{"name": "TEXT", "datatype": "BYTES", "shape": [-1]}])
            for sent in (True, False):
                for back in (True, False):
                    with self.subTest(binary_request=sent, binary_answer=back):
                        self.check_infer(client, a, b, sent, back)
            self.check_texts(client)
            for what, model, status in (("no such model", "nothing", "404"), ("no input", "simple", "400")):
                with self.subTest(what), self.assertRaises(InferenceServerException) as raised:
                    client.infer(model, [])
                self.assertEqual(raised.exception.status(), status)
                self.assertGreater(len(raised.exception.message()), 10)
            client.unregister_plugin()
            with self.assertRaises(InferenceServerException) as raised:
                client.get_model_metadata("simple")
            self.assertEqual(raised.exception.status(), "401")
        FIGURES["tritonclient"] = "ok"

    def check_infer(self, client, a, b, sent, back):
        inputs = [triton.InferInput("INPUT0", list(a.shape), "FP32"), triton.InferInput("INPUT1", list(b.shape), "INT32")]
        inputs[0].set_data_from_numpy(a, binary_data=sent)
        inputs[1].set_data_from_numpy(b, binary_data=sent)
        wanted = [triton.InferRequestedOutput(name, binary_data=back) for name in ("OUTPUT0", "OUTPUT1")]
        result = client.infer("simple", inputs, outputs=wanted, request_id="42")
        answer = result.get_response()
        self.assertEqual((answer["model_name"], answer["id"]), ("simple", "42"))
        self.assertEqual(["binary_data_size" in output.get("parameters", {}) for output in answer["outputs"]], [back] * 2)
        np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), a + b.astype(np.float32))
        np.testing.assert_array_equal(result.as_numpy("OUTPUT1"), a - b.astype(np.float32))
        self.settled(answer["parameters"]["x_cuckoo_job"])

    def check_texts(self, client):
        texts = triton.InferInput("TEXT", [2], "BYTES")
        texts.set_data_from_numpy(np.array([TEXT.encode(), b"x"], object))
        result = client.infer("words", [texts])
        self.assert_close(result.as_numpy("EMBEDDING"), self.expected(TEXT, "x"))

    # --- webhooks

    def test_standardwebhooks(self):
        """What a job goes through is told to its key's address, signed as the library of Standard Webhooks wants it; what could not be delivered comes again."""
        receiver = Receiver(503)
        with receiver.serve() as url:
            made = self.key("hooks", "--webhook", f"{url}/cuckoo")
            verifier = Webhook(made["webhook_secret"])
            status, _, job = self.ask("POST", "/v1/jobs", made["secret"], {"kind": "text_embedding", "model": "words", "input": {"text": TEXT}})
            self.assertEqual(status, 202, job)
            told = lambda delivery: verifier.verify(delivery.body, delivery.headers)
            types = lambda came: sorted(told(delivery)["type"] for delivery in came)
            # The first one is refused, so it comes again.
            came = receiver.until(lambda came: types(came) == ["job.completed", "job.completed", "job.settled"], 180)
        messages = {delivery.headers["webhook-id"]: told(delivery) for delivery in came}
        self.assertEqual((len(messages), came[0].status), (2, 503), "the same message has the same id")
        for message in messages.values():
            self.assertEqual((message["data"]["id"], message["data"]["state"]), (job["id"], "completed"))
            self.assertEqual(message["data"]["settlement"] == "settled", message["type"] == "job.settled")
        settled = next(delivery for delivery in came if told(delivery)["type"] == "job.settled")
        forged = settled.body.replace(b'"settled"', b'"refunded"')
        for body, headers in ((forged, settled.headers), (settled.body, came[0].headers)):
            with self.assertRaises(WebhookVerificationError):
                verifier.verify(body, headers)
        with self.assertRaises(WebhookVerificationError):
            Webhook(base64.b64encode(b"another secret of 24 bytes").decode()).verify(settled.body, settled.headers)
        FIGURES["webhooks"] = len(came)

    # --- whose jobs they are

    def test_nobody_sees_anothers_jobs(self):
        """With another key a job is not there: not in the list, by its id, its output or its events, nor can it be cancelled."""
        other = self.key("other")["secret"]
        status, headers, job = self.ask("POST", "/v1/jobs", None, {"kind": "text_to_image", "model": "demo", "input": {"prompt": PROMPT, "steps": 4}})
        self.assertEqual((status, headers["x-cuckoo-job"]), (202, job["id"]))
        at = f"/v1/jobs/{job['id']}"
        for method, path in (("GET", at), ("GET", f"{at}/output"), ("GET", f"{at}/events"), ("POST", f"{at}/cancel")):
            with self.subTest(path):
                status, _, answer = self.ask(method, path, other, {} if method == "POST" else None)
                self.assertEqual((status, answer["error"]["code"]), (404, "not_found"))
        self.assertEqual(self.jobs(other), [])
        self.assertIn(job["id"], [mine["id"] for mine in self.jobs(self.main)])
        self.settled(job["id"])

    def test_a_job_that_is_taken_back_costs_nothing(self):
        """A key with a budget for one job: while that waits for a miner that nobody is there is no second one; once it was taken back there is."""
        secret = self.key("thrifty", "--budget", "0.1")["secret"]
        tensors = {name: np.zeros((1, 16), kind) for name, kind in (("INPUT0", np.float32), ("INPUT1", np.int32))}
        order = {"kind": "tensor", "model": "idle", "input": {"safetensors": base64.b64encode(save(tensors)).decode()}}
        status, _, job = self.ask("POST", "/v1/jobs", secret, order)
        self.assertEqual(status, 202, job)
        status, _, refused = self.ask("POST", "/v1/jobs", secret, order)
        self.assertEqual((status, refused["error"]["code"]), (402, "insufficient_quota"))
        # Refused only while its task is on its way to the chain.
        wait_for(f"{job['id']} to be taken back", lambda: self.ask("POST", f"/v1/jobs/{job['id']}/cancel", secret)[0] in (200, 202), 60)
        ended = wait_for(f"the end of {job['id']}", lambda: self.ended(job["id"], secret), 120)
        self.assertEqual(ended["state"], "cancelled")
        self.assertIn(ended["settlement"], ("none", "refunded"))
        status, _, second = self.ask("POST", "/v1/jobs", secret, order)
        self.assertEqual(status, 202, second)
        self.ask("POST", f"/v1/jobs/{second['id']}/cancel", secret)

    def ended(self, job, key):
        """The job, once its state is final and nothing is held for it."""
        found = self.get(f"/v1/jobs/{job}", key)[2]
        return found if found["state"] in ("completed", "failed", "cancelled", "expired") and found["settlement"] != "pending" else None

    # --- the OpenAPI document

    def test_openapi_document(self):
        """The server serves the document of the repository; a tester makes up requests from it, good and bad: every answer is one that the document has, and none is a
        server error.

        Good requests for work would be jobs, each with a fee and ten seconds of blocks. So the tester's key may spend what some jobs cost; beyond that every good request is
        refused with the 402 of the document, as quickly as a bad one. First come the document's examples and every border of every field, then requests at random.
        """
        status, headers, served = http(f"{self.url}/openapi.json")
        self.assertEqual((status, served), (200, json.loads(DOCUMENT.read_text())))
        secret = self.key("tester", "--budget", "3.5")["secret"]
        borders = self.schemathesis(secret, "borders", 600, "--phases", "examples,coverage")
        at_random = self.schemathesis(secret, "random", SECONDS + 300, "--phases", "fuzzing,stateful", "--max-examples", EXAMPLES, "--max-time", SECONDS)
        answers = borders + at_random
        # The document itself is what the tester reads to begin with, and it does not ask for it again.
        wanted = {f"{method.upper()} {path}" for path, methods in served["paths"].items() for method in methods} - {"GET /openapi.json"}
        self.assertEqual(wanted - {operation for operation, _ in answers}, set(), "not asked")
        self.assertEqual(GOOD - set(answers), set(), "not answered")
        spent = sum(int(job["fee"]) for job in self.jobs(secret) if job["settlement"] != "refunded" and job["state"] != "cancelled")
        self.assertLessEqual(spent, int(3.5 * CAI))
        FIGURES.update(operations=len(wanted), requests=len(answers), server_errors=sum(status >= 500 for _, status in answers))

    def schemathesis(self, key, name, seconds, *options):
        """Runs the tester to its end, which must be a good one; the operation and the status of each of its requests."""
        folder = self.folder / f"schemathesis-{name}"
        folder.mkdir()
        report = folder / "events.ndjson"
        command = [
            pathlib.Path(sys.executable).with_name("st"),
            "--config-file", HERE / "clients" / "schemathesis.toml",
            "--no-color",
            "run", f"{self.url}/openapi.json",
            "--report", "ndjson",
            "--report-ndjson-path", report,
            *options,
        ]  # fmt: skip
        done = subprocess.run(
            [str(part) for part in command], cwd=folder, env={**os.environ, "CUCKOO_TESTER_KEY": key}, capture_output=True, text=True, timeout=seconds
        )
        (folder / "output.txt").write_text(done.stdout + done.stderr)
        self.assertEqual(done.returncode, 0, done.stdout[-20_000:] + done.stderr[-2_000:])
        answers = []
        for line in report.read_text().splitlines():
            recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
            for id, exchange in recorder.get("interactions", {}).items():
                case, answer = recorder["cases"][id]["value"], exchange["response"]
                if answer:
                    answers.append((f"{case['method']} {case['path']}", answer["status_code"]))
        return answers

    # --- the page

    def test_page(self):
        """A person types a key and a prompt and sees the picture, then that the chain has settled; on a phone and on a desktop."""
        node()
        path = browser()
        pictures = pathlib.Path(os.environ.get("CUCKOO_PICTURES") or self.folder / "page")
        pictures.mkdir(parents=True, exist_ok=True)
        script = self.script(self.folder / "browser", "page.mjs")
        look = lambda width: lambda: self.run_node(script, path, self.url, width, self.main, PROMPT, pictures, self.folder / f"profile-{width}", timeout=400)
        owner = self.network.key("//Bob//stash")[1]
        for width, found in zip(WIDTHS, together(*map(look, WIDTHS))):
            with self.subTest(width=width):
                self.assertEqual(found["complaints"], [], "the browser complains")
                self.assertEqual(found["elsewhere"], [], "the page asks other sites")
                # Before the key is typed the models are refused, and nothing is ever after.
                self.assertEqual(set(found["refusedBefore"]), {"401 /v1/models"})
                self.assertEqual(found["refused"], [])
                self.assertEqual(found["picture"], {"width": 64, "height": 64})
                self.assert_says(found["settlement"], "Settled")
                self.assertEqual((found["miners"], found["owner"]), (2, owner))
                self.assertGreater(found["tasks"], 0)
                self.assertEqual(found["tooWide"], 0, "the page is wider than the screen")
                self.assertEqual(self.settled(found["job"])["seed"], 7)
                for picture in found["screenshots"]:
                    self.assertEqual(png_size(pathlib.Path(picture).read_bytes())[0], width * found["scale"])
        FIGURES["page_widths"] = ",".join(map(str, WIDTHS))

    # --- the page of documentation

    def test_commands_of_the_documentation(self):
        """Every command and program of docs/applications.md that is not about installing works as it stands there, but for the coordinator's address and the key."""
        node()
        folder = self.folder / "documentation"
        self.script(folder, "openai.mjs")
        # The coordinator's data directory, as its commands find it by themselves.
        (folder / "cuckoo-coordinator").symlink_to(self.data)
        path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), str(BIN), os.environ["PATH"]])
        env = {**os.environ, "PATH": path}
        ran, receiver = 0, str(free_port(int(PAGE_RECEIVER)))
        for block in blocks(PAGE):
            text = block.text.replace(PAGE_HOST, self.host).replace(PAGE_RECEIVER, receiver).replace(PAGE_KEY, self.main)
            if block.file:
                (folder / block.file).write_text(text)
            elif block.language == "sh":
                # What one block exports or defines the next ones have, as in a terminal.
                script = f"[ ! -e .env ] || source ./.env\n{text}\n{{ export -p; declare -f; }} >.env\n"
                done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=env, capture_output=True, text=True, timeout=300)
                self.assertEqual(done.returncode, 0, f"{PAGE}, line {block.line}:\n{block.text}\n{done.stdout[-4_000:]}{done.stderr[-4_000:]}")
                ran += 1
        self.assertEqual(png_size((folder / "picture.png").read_bytes()), (64, 64))
        self.assertTrue((folder / "square.png").read_bytes().startswith(b"\x89PNG"))
        FIGURES["commands"] = ran


if __name__ == "__main__":
    unittest.main()
