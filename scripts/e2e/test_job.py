"""The main job: a prompt becomes a picture, its miner drawn by stake, committed, revealed and paid on chain."""

import base64
import pathlib
import subprocess
import sys
import unittest

from network import DEMO, Failure, earned, http, together, wait_for
from test_support import FEE, MODEL, NetworkTest, calibration, png_size

ORACLE = DEMO / "tensor_oracle.py"
MINERS = ("//Charlie", "//Dave")
PROMPT = "a red circle above a blue square"


class Job(NetworkTest):
    """A coordinator and two miners that serve a picture model and a tensor model."""

    @classmethod
    def prepare(cls, network):
        cls.tensor = network.folder / "tensor"
        subprocess.run([sys.executable, ORACLE, "--make", cls.tensor], check=True, timeout=120)
        measured = calibration(network.folder / "calibration.json", 10)
        network.start_node()
        endpoint = f"http://127.0.0.1:{network.port_of('coordinator')}"
        together(
            lambda: network.register("cuckoo-coordinator", "//Bob//stash", "//Bob", "2500000", "coordinator", endpoint),
            lambda: network.register("miner-client", "//Charlie//stash", "//Charlie", "100000", "small"),
            lambda: network.register("miner-client", "//Dave//stash", "//Dave", "400000", "large"),
            lambda: network.register_model("demo", MODEL, "text-to-image"),
            lambda: network.register_model("tiny", cls.tensor, "tensor", min_fee="0.25", by="//Eve", calibration=measured),
        )
        together(
            # A task for each job: that jobs share tasks is tested elsewhere.
            lambda: network.start_coordinator("//Bob", None, "--batch-items", 1),
            lambda: network.start_miner("small", "//Charlie", [MODEL, cls.tensor]),
            lambda: network.start_miner("large", "//Dave", [MODEL, cls.tensor]),
        )
        cls.app = network.application("coordinator")

    def ask(self, prompt=PROMPT, **fields):
        """A picture and what came with it."""
        status, _, answer = self.app.picture(prompt, **fields)
        self.assertEqual(status, 200, answer)
        return base64.b64decode(answer["data"][0]["b64_json"]), answer["x_cuckoo"]

    def quiet(self):
        """Waits until no task of an earlier test is open."""
        _, account = self.network.key("//Bob")
        wait_for("the end of every task", lambda: self.network.balance(account)["held"] == 0, 60)

    def settled(self, job):
        return self.app.wait_job(job, "settlement", ("settled", "refunded", "void"), 60)

    def pool(self, owner, block):
        return int(self.network.rpc("cuckoo_operator", owner, self.network.block_hash(block))["tokens"])

    def payer(self, block):
        _, account = self.network.key("//Bob")
        return self.network.balance(account, self.network.block_hash(block))

    def test_a_prompt_becomes_a_picture_before_the_chain_has_settled(self):
        """The application waits for the miner and not for the chain; the chain then pays the drawn miner's pool the fee, less a tenth, and the bonus."""
        self.quiet()
        picture, receipt = self.ask(seed=7)
        early = self.app.job(receipt["job"])
        self.assertEqual(png_size(picture), (64, 64))
        self.assertEqual((early["state"], early["settlement"]), ("completed", "pending"))
        self.assertEqual(self.app.output(receipt["job"])[2], picture)

        job = self.settled(receipt["job"])
        self.assertEqual((job["state"], job["settlement"], job["error"]), ("completed", "settled", None))
        task = self.network.task(job["task"])
        self.assertEqual((task["phase"], task["round"], int(task["fee"])), ("settled", 0, FEE))
        self.assertEqual(task["miner"], receipt["miner"])
        owners = [self.network.key(f"{operator}//stash")[1] for operator in MINERS]
        self.assertIn(task["miner"], owners)
        # Nobody knows the miner yet, so the other one computes it again; to the same picture.
        self.assertEqual(sorted([task["miner"], *task["verifiers"]]), sorted(owners))
        self.check_blocks(task["blocks"])
        self.check_money(task)

    def check_blocks(self, blocks):
        """Post, draw with later randomness, commit, reveal in a later block, settle: in this order."""
        self.assertGreaterEqual(blocks["drawn"], blocks["posted"] + 2)
        self.assertGreater(blocks["committed"], blocks["drawn"])
        self.assertGreater(blocks["revealed"], blocks["committed"])
        self.assertGreaterEqual(blocks["ended"], blocks["revealed"])

    def check_money(self, task):
        """The fee, and that of an audit, are held from the coordinator's operator from the post on; with the settlement a tenth is burnt, and the miner's pool has the rest and 8 % more."""
        posted, ended = task["blocks"]["posted"], task["blocks"]["ended"]
        grown = self.pool(task["miner"], ended) - self.pool(task["miner"], ended - 1)
        self.assertEqual(grown, earned(FEE))
        before, after, paid = self.payer(posted - 1), self.payer(posted), self.payer(ended)
        # One verifier computes the only item again, and is paid as much as the miner.
        self.assertEqual(after["held"] - before["held"], 2 * FEE)
        self.assertEqual(paid["held"], after["held"] - 2 * FEE)
        cost = FEE * (1 + len(task["verifiers"]))
        spent = before["free"] + before["held"] - paid["free"] - paid["held"]
        self.assertGreaterEqual(spent, cost)
        self.assertLess(spent - cost, FEE // 5, "the post's own fee is small")

    def test_the_chain_is_finalising(self):
        """Blocks become final, a few behind the newest."""
        start = self.network.finalized_block()
        wait_for("two more final blocks", lambda: self.network.finalized_block() >= start + 2, 30)
        self.assertLess(self.network.best_block() - self.network.finalized_block(), 8)

    def test_the_same_prompt_and_seed_give_the_same_picture_on_another_miner(self):
        """Two equal requests at a time: each miner has one slot, so both are drawn, and the pictures are equal to the last byte."""
        self.quiet()
        (one, first), (two, second) = together(lambda: self.ask(seed=11), lambda: self.ask(seed=11))
        self.assertNotEqual(first["task"], second["task"])
        self.assertNotEqual(first["miner"], second["miner"], "both were computed by one miner")
        self.assertEqual(one, two)
        self.assertEqual(first["output_hashes"], second["output_hashes"])
        other, _ = self.ask(seed=12)
        self.assertNotEqual(one, other)

    def test_a_batch_is_one_task_of_which_a_sample_is_computed_again(self):
        """Six pictures of one prompt: one task, one fee for each, and four of them are computed again by the other miner."""
        self.quiet()
        status, _, answer = self.app.picture("a red circle above a blue square", model="demo", n=6, seed=40, steps=4)
        self.assertEqual(status, 200, answer)
        pictures = {image["b64_json"] for image in answer["data"]}
        self.assertEqual(len(pictures), 6)
        receipt = answer["x_cuckoo"]
        # Computed again in Python it would take another implementation: here the same seed by itself gives the same picture.
        status, _, alone = self.app.picture("a red circle above a blue square", model="demo", seed=43, steps=4)
        self.assertEqual(alone["data"][0]["b64_json"], answer["data"][3]["b64_json"])
        job = self.settled(receipt["job"])
        task = self.network.task(job["task"])
        self.assertEqual((task["items"], int(task["fee"]), task["phase"]), (6, 6 * FEE, "settled"))
        verifier, = task["verifiers"]
        ended = task["blocks"]["ended"]
        grown = self.pool(verifier, ended) - self.pool(verifier, ended - 1)
        self.assertEqual(grown, earned(4 * FEE))

    def test_a_tensor_model_computes_what_onnx_says(self):
        """Any ONNX file: named tensors in, named tensors out, equal to those of onnx's reference evaluator."""
        tensors = base64.b64encode((self.tensor / "input.safetensors").read_bytes()).decode()
        status, headers, job = self.app.post_job("tensor", "tiny", safetensors=tensors)
        self.assertEqual(status, 202, job)
        self.assertEqual(headers["x-cuckoo-job"], job["id"])
        status, _, early = self.app.output(job["id"])
        self.assertEqual((status, early["error"]["code"]), (409, "not_completed"))
        job = self.app.wait_job(job["id"], "state", ("completed", "failed", "expired"), 60)
        self.assertEqual((job["state"], job["kind"]), ("completed", "tensor"))
        status, headers, output = self.app.output(job["id"])
        self.assertEqual((status, headers["content-type"]), (200, "application/octet-stream"))
        file = pathlib.Path(self.folder, "output.safetensors")
        file.write_bytes(output)
        compared = subprocess.run(
            [sys.executable, ORACLE, "--compare", self.tensor, file], capture_output=True, text=True, timeout=120
        )
        self.assertEqual(compared.returncode, 0, compared.stdout + compared.stderr)
        status, _, refused = self.app.output(job["id"], "?format=png")
        self.assertEqual((status, refused["error"]["param"]), (400, "format"))

    def test_a_repeated_request_is_the_same_job(self):
        """An application that lost the answer asks again with its Idempotency-Key and pays once."""
        key = {"idempotency-key": "order 17"}
        status, _, first = self.app.picture(PROMPT, headers=key, seed=5)
        self.assertEqual(status, 200, first)
        status, _, again = self.app.picture(PROMPT, headers=key, seed=5)
        self.assertEqual(status, 200, again)
        self.assertEqual((again["x_cuckoo"]["job"], again["data"]), (first["x_cuckoo"]["job"], first["data"]))
        status, _, other = self.app.picture(PROMPT, headers=key, seed=6)
        self.assertEqual((status, other["error"]["code"]), (409, "idempotency_key_reused"))
        # Both at a time is one job, too.
        key = {"idempotency-key": "order 18"}
        jobs = together(*[lambda: self.app.post_job("text_to_image", "demo", headers=key, prompt=PROMPT, seed=5)] * 2)
        self.assertEqual([status for status, _, _ in jobs], [202, 202])
        self.assertEqual(jobs[0][2]["id"], jobs[1][2]["id"])

    def accepted(self):
        return self.network.processes["coordinator"].log.read_text().count('"accepted"')

    def refused(self, answer, status, kind, code, param=None):
        got, _, body = answer
        self.assertEqual(got, status, body)
        error = body["error"]
        self.assertEqual((error["type"], error["code"], error["param"]), (kind, code, param), error)
        self.assertGreater(len(error["message"]), 10)

    def test_a_bad_request_is_refused_with_what_is_wrong(self):
        """Each wrong request gets an error object as OpenAI's clients expect it, and no job."""
        bad, before = "invalid_request_error", self.accepted()
        url = f"{self.app.url}/v1/images/generations"
        pictures = (
            ("unknown model", {"prompt": PROMPT, "model": "nothing"}, 404, "model_not_found", "model"),
            ("a model of another kind", {"prompt": PROMPT, "model": "tiny"}, 400, "unsupported_value", "model"),
            ("empty prompt", {"prompt": ""}, 400, "invalid_value", "prompt"),
            ("blank prompt", {"prompt": " \n"}, 400, "invalid_value", "prompt"),
            ("prompt too long", {"prompt": "x" * 2001}, 400, "invalid_value", "prompt"),
            ("prompt too long in bytes", {"prompt": "ü" * 1001}, 400, "invalid_value", "prompt"),
            ("eleven pictures", {"prompt": PROMPT, "n": 11}, 400, "invalid_value", "n"),
            ("an address wanted", {"prompt": PROMPT, "response_format": "url"}, 400, "unsupported_value", "response_format"),
            ("no size", {"prompt": PROMPT, "size": "large"}, 400, "invalid_value", "size"),
            ("too many steps", {"prompt": PROMPT, "steps": 151}, 400, "invalid_value", "steps"),
            ("guidance out of range", {"prompt": PROMPT, "guidance_scale": 51}, 400, "invalid_value", "guidance_scale"),
            ("no prompt", {"model": "demo"}, 400, "invalid_json", None),
            ("a negative seed", {"prompt": PROMPT, "seed": -1}, 400, "invalid_json", None),
            ("no object", [PROMPT], 400, "invalid_json", None),
        )
        for what, body, status, code, param in pictures:
            with self.subTest(what):
                self.refused(http(url, body), status, bad, code, param)
        with self.subTest("tensors that are none"):
            answer = self.app.post_job("tensor", "tiny", safetensors=base64.b64encode(b"nothing").decode())
            self.refused(answer, 400, bad, "invalid_value", "input.safetensors")
        with self.subTest("an empty key"):
            answer = self.app.picture(PROMPT, headers={"idempotency-key": ""})
            self.refused(answer, 400, bad, "invalid_value", "Idempotency-Key")
        self.refuse_raw(url, bad)
        self.assertEqual(self.accepted(), before)

    def refuse_raw(self, url, bad):
        """What is no JSON, too large, not there or asked in the wrong way."""
        raw = (
            ("malformed JSON", url, b'{"prompt": ', "application/json", 400, "invalid_json"),
            ("no JSON", url, b"prompt=x", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
            ("too large", url, b" " * (2 << 20), "application/json", 413, "too_large"),
            ("no such address", f"{self.app.url}/v1/nothing", None, None, 404, "not_found"),
            ("no such job", f"{self.app.url}/v1/jobs/job_{'0' * 32}", None, None, 404, "not_found"),
            ("no job at all", f"{self.app.url}/v1/jobs/5", None, None, 404, "not_found"),
            ("wrong method", url, None, None, 405, "method_not_allowed"),
        )
        for what, address, body, kind, status, code in raw:
            with self.subTest(what):
                headers = {"content-type": kind} if kind else {}
                self.refused(http(address, raw=body, headers=headers), status, bad, code)

    def test_a_size_that_the_model_does_not_make_is_refused(self):
        """Once a picture has shown what the model makes, another size is an error and not a picture of the wrong size."""
        self.ask(seed=1)
        answer = self.app.picture(PROMPT, size="1024x1024")
        self.refused(answer, 400, "invalid_request_error", "unsupported_value", "size")
        self.assertIn("64x64", answer[2]["error"]["message"])

    def test_models_are_listed_for_applications_and_on_chain(self):
        """What can be asked for, and under which hash of its files."""
        _, _, listed = http(f"{self.app.url}/v1/models")
        on_chain = {model["name"]: model for model in self.network.rpc("cuckoo_models", 0, 100)}
        self.assertEqual({model["id"] for model in listed["data"]}, {"demo", "tiny"})
        self.assertEqual(set(on_chain), {"demo", "tiny"})
        for model in listed["data"]:
            there = on_chain[model["id"]]
            self.assertEqual(model["x_cuckoo"]["manifest"], there["manifest"])
            self.assertEqual(model["x_cuckoo"]["min_fee"], there["min_fee"])
            self.assertEqual(model["x_cuckoo"]["tolerance"], there["tolerance"])
        printed = self.network.run("miner-client", "manifest", MODEL).stdout.strip()
        self.assertEqual(on_chain["demo"]["manifest"], printed)
        self.assertEqual(self.network.rpc("cuckoo_model", on_chain["tiny"]["model"]), on_chain["tiny"])
        self.assertIsNone(self.network.rpc("cuckoo_model", 99))
        self.assertEqual(len(self.network.rpc("cuckoo_models", 1, 100)), 1)

    def test_operators_and_votes_can_be_read(self):
        """The pools of a role, richest first, with names; and what a staker's votes are worth."""
        rpc = self.network.rpc
        miners = rpc("cuckoo_operators", "miner", 0, 10)
        self.assertEqual([miner["intro"]["name"] for miner in miners], ["large", "small"])
        self.assertEqual([miner["operator"] for miner in miners], [self.network.key(m)[1] for m in ("//Dave", "//Charlie")])
        self.assertGreaterEqual(int(miners[0]["tokens"]), 400_000 * 10**18)
        self.assertTrue(all(miner["active"] for miner in miners))
        self.assertEqual([m["owner"] for m in rpc("cuckoo_operators", "miner", 1, 10)], [miners[1]["owner"]])
        self.assertEqual(len(rpc("cuckoo_operators", "miner", 0, 1)), 1)
        (coordinator,) = rpc("cuckoo_operators", "coordinator", 0, 10)
        self.assertEqual(coordinator["intro"]["endpoint"], self.app.url)
        (validator,) = rpc("cuckoo_operators", "validator", 0, 10)
        self.assertTrue(validator["elected"])
        self.quiet()
        draws = rpc("cuckoo_obstacles", miners[0]["operator"])
        self.assertEqual([(draw["obstacle"], draw["model"]) for draw in draws], [("in_draw", 0), ("in_draw", 1)])
        (vote,) = rpc("cuckoo_position", miners[0]["owner"])
        self.assertEqual((vote["owner"], vote["role"], vote["unbonding"]), (miners[0]["owner"], "miner", []))
        self.assertGreaterEqual(int(vote["worth"]), 400_000 * 10**18)
        nobody = self.network.key("//Ferdie")[1]
        self.assertEqual(rpc("cuckoo_position", nobody), [])
        self.assertIsNone(rpc("cuckoo_operator", nobody))
        self.assertEqual(rpc("cuckoo_seats", nobody), [])

    def test_a_task_can_be_read(self):
        """An ended task keeps its receipt; one that never was is null, and nonsense is an error and not an empty answer."""
        _, receipt = self.ask(seed=2)
        task = self.network.task(receipt["task"])
        self.assertEqual((task["task"], task["items"], int(task["fee"])), (receipt["task"], 1, FEE))
        self.assertEqual(task["coordinator"], self.network.key("//Bob//stash")[1])
        self.assertIsNone(self.network.task(10**9))
        with self.assertRaisesRegex(Failure, "-32602"):
            self.network.task("the first")

    def test_the_metadata_is_there_in_every_version(self):
        """Tools old and new can read the chain: metadata versions 14, 15 and 16."""
        encoded = bytes.fromhex(self.network.rpc("state_call", "Metadata_metadata_versions", "0x")[2:])
        numbers = [int.from_bytes(encoded[at : at + 4], "little") for at in range(1, len(encoded), 4)]
        self.assertEqual(encoded[0], len(numbers) * 4)
        self.assertLessEqual({14, 15, 16}, set(numbers))

    def test_everybody_tells_how_it_is(self):
        """Health, status and metrics of coordinator, miner and node."""
        self.assertEqual(http(f"{self.app.url}/healthz")[0], 200)
        self.assertIn(b"cuckoo_", http(f"{self.app.url}/metrics")[2])
        for name in ("small", "large"):
            here = f"http://127.0.0.1:{self.network.processes[name].port}"
            self.assertEqual(http(f"{here}/healthz")[0], 200)
            status = http(f"{here}/status")[2]
            self.assertTrue(status["online"])
            self.assertEqual({model for _, model in status["models"]}, {"demo", "tiny"})
            self.assertEqual(http(f"{here}/metrics")[0], 200)
        self.assertEqual(http(f"http://127.0.0.1:{self.network.metrics_port}/metrics")[0], 200)


if __name__ == "__main__":
    unittest.main()
