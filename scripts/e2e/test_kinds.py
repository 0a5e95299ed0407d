"""Models that other exporters wrote, run by `miner-client infer` beside Python's onnxruntime; no chain."""

import json
import subprocess
import sys

from network import BIN, DEMO, together
from test_support import LoggedTest, MODEL


class Kinds(LoggedTest):
    """What the miner makes of a folder is what the folder's own tools make of it."""

    def run_to_end(self, *command):
        ran = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)

    def script(self, name, *args):
        self.run_to_end(sys.executable, DEMO / name, *args)

    def infer(self, model, job, output, *args):
        self.run_to_end(
            BIN / "miner-client", "infer", "--allow-cpu", "--model", model, "--input", job, "--output", output, *args
        )

    def embeds(self, name, *how):
        """A tiny sentence-transformers export gives the embeddings that it gives in Python."""
        model, outputs = self.folder / name, self.folder / f"{name}-outputs"
        self.script("embedding_oracle.py", "--make", model, *how)
        outputs.mkdir()
        texts = sorted((model / "texts").iterdir())
        infer = lambda text: lambda: self.infer(model, text, outputs / f"{text.stem}.safetensors")
        together(*map(infer, texts), at_a_time=2)
        self.script("embedding_oracle.py", "--compare", model, outputs)

    def test_a_text_becomes_the_mean_of_its_tokens(self):
        self.embeds("mean")

    def test_a_text_becomes_its_first_token(self):
        self.embeds("first", "--cls")

    def test_half_precision_and_eulers_scheduler(self):
        """The demo model with 16-bit floats at its networks' borders, other ids and time steps, and Euler's scheduler: stage by stage what NumPy makes of it."""
        model, job, dump = self.folder / "export", self.folder / "job.json", self.folder / "dump.safetensors"
        self.script("exports.py", MODEL, model)
        job.write_text(json.dumps({"prompt": "a red circle above a blue square", "seed": 7, "steps": 4, "guidance_scale": 4.0}))
        self.infer(model, job, self.folder / "picture.safetensors", "--dump", dump)
        self.script("pipeline_oracle.py", "--half", "--model", model, "--dump", dump, "--job", job)
