"""`scripts/check false-slashes`: how far honest results lie apart, and cheating ones from them.

Runs `miner-client sketches` under everything that a machine can vary, compares all
pairs of runs on each input, and judges them by the tolerance that `miner-client
calibrate` makes from other inputs. The distance is computed here again, in numpy,
from the formula in pallets/primitives/src/tolerance.rs.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import variants
from sums import write_sums

DEMO_MODEL = Path(__file__).resolve().parent / "model"
THREADS = (1, 2)
OPTIMISATIONS = ("none", "basic", "extended", "all")
# Inputs that are run together, where the model can: with the graph as miners have it.
TOGETHER = 4
LEAST_PAIRS = 100_000
# How far beyond `wrong` a cheat's nearest result must lie.
TOLD_APART = 2.5
# Inputs that calibration did not see.
FIRST = 1000
# The longest that one command may take, in seconds.
LIMIT = 3600


def say(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


# ---- a tensor model whose arithmetic depends on threads and optimisation ------------


def make_tensor_model(folder, seed=3):
    """A small residual network: convolutions with batch norms to fold, a depthwise one, a gelu to fuse, 64 outputs."""
    rng = np.random.default_rng(seed)
    weights, nodes = [], []

    def weight(name, *shape, fan=None):
        scale = np.sqrt(2 / (fan or np.prod(shape[1:])))
        weights.append(numpy_helper.from_array((scale * rng.standard_normal(shape)).astype(np.float32), name))
        return name

    def around_one(name, size):
        weights.append(numpy_helper.from_array(rng.uniform(0.5, 1.5, size).astype(np.float32), name))
        return name

    def node(kind, inputs, output, **attributes):
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def conv(x, name, given, made, kernel, stride=1, group=1):
        w = weight(f"{name}.w", made, given // group, kernel, kernel)
        y = node("Conv", [x, w], f"{name}.conv", kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4, strides=[stride] * 2, group=group)
        norm = [around_one(f"{name}.scale", made), weight(f"{name}.bias", made, fan=50), weight(f"{name}.mean", made, fan=50), around_one(f"{name}.var", made)]
        return node("BatchNormalization", [y, *norm], f"{name}.norm")

    x = node("Relu", [conv("x", "stem", 3, 32, 3)], "stem")
    down, beside = conv(x, "down", 32, 64, 3, stride=2), conv(x, "beside", 32, 64, 1, stride=2)
    x = node("Relu", [node("Add", [down, beside], "halved.sum")], "halved")
    deep = conv(node("Relu", [conv(x, "depth", 64, 64, 3, group=64)], "depth"), "point", 64, 64, 1)
    x = node("Relu", [node("Add", [x, deep], "block.sum")], "block")
    x = node("Flatten", [node("AveragePool", [x], "pool", kernel_shape=[4, 4], strides=[4, 4])], "flat")
    x = node("Gemm", [x, weight("hidden.w", 1024, 128, fan=1024), weight("hidden.b", 128, fan=50)], "hidden")
    constants = {"root": 2**0.5, "one": 1.0, "half": 0.5}
    weights.extend(numpy_helper.from_array(np.array(value, np.float32), name) for name, value in constants.items())
    erf = node("Erf", [node("Div", [x, "root"], "gelu.in")], "gelu.erf")
    x = node("Mul", [node("Mul", [x, node("Add", [erf, "one"], "gelu.sum")], "gelu.product"), "half"], "gelu")
    x = node("LayerNormalization", [x, around_one("layer.scale", 128), weight("layer.bias", 128, fan=50)], "layer", axis=-1)
    node("MatMul", [x, weight("out.w", 128, 64, fan=128)], "y")

    graph = helper.make_graph(
        nodes,
        "false_slashes",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 64])],
        weights,
    )
    # An IR version and opset that every current runtime reads.
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(model, full_check=True)
    folder.mkdir()
    onnx.save(model, folder / "model.onnx")
    write_sums(folder)


# ---- the miner -----------------------------------------------------------------------


class Failure(Exception):
    pass


class Miner:
    """Runs `miner-client` for one model."""

    def __init__(self, args, folder, model):
        self.args, self.folder, self.model = args, folder, model

    def run(self, command, library, *flags):
        # The settings of whoever runs this are not those of the check.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MINER_")}
        environment |= {"ORT_DYLIB_PATH": str(library), "RUST_LOG": "error"}
        line = [self.args.miner, command, "--steps", self.args.steps, *flags]
        done = subprocess.run([str(part) for part in line], env=environment, capture_output=True, text=True, timeout=LIMIT)
        if done.returncode:
            raise Failure("\n".join([" ".join(map(str, line)), done.stdout.strip(), done.stderr.strip()]))
        return done.stdout

    def sketches(self, library, *flags, model=None, inputs=None):
        """A run as `miner-client sketches` tells of it."""
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".json") as file:
            count = inputs or self.args.inputs
            self.run("sketches", library, "--model", model or self.model, "--inputs", count, "--first", FIRST, "--output", file.name, *flags)
            return Run(json.load(file))

    def calibrate(self, library, int8, pruned):
        """The tolerance in millionths: (agree, wrong)."""
        report = self.folder / "calibration.json"
        told = self.run("calibrate", library, "--allow-cpu", "--model", self.model, "--int8", int8, "--pruned", pruned, "--output", report)
        print(told, file=sys.stderr, end="")
        tolerance = json.loads(report.read_text())["tolerance"]["approx"]
        return tolerance["agree"], tolerance["wrong"]


class Run:
    """A run's hashes, and the numbers of its sketches: an i8 exponent, then 32 little-endian i16 mantissas."""

    def __init__(self, told):
        self.inputs, self.manifest = told["inputs"], told["manifest"]
        self.provider, self.version, self.cpu = told["provider"], told["onnxruntime"], told["cpu"]
        self.hashes = np.array([output["hash"] for output in told["outputs"]])
        sketches = np.array([list(bytes.fromhex(output["sketch"])) for output in told["outputs"]], np.uint8)
        exponents = sketches[:, :1].view(np.int8).astype(np.float64)
        if (exponents == -128).any():
            raise Failure("an output has no sketch")
        self.numbers = sketches[:, 1:].copy().view("<i2") * 2.0**exponents


def distances(a, b):
    """sqrt(sum((a - b)^2) / max(sum(a^2), sum(b^2))) of each input; 0 where the bytes are the same."""
    if a.inputs != b.inputs:
        raise Failure("two runs had different inputs")
    apart = ((a.numbers - b.numbers) ** 2).sum(1)
    size = np.maximum((a.numbers**2).sum(1), (b.numbers**2).sum(1))
    relative = np.sqrt(np.divide(apart, size, out=np.zeros_like(apart), where=size > 0))
    return np.where(a.hashes == b.hashes, 0.0, relative)


# ---- what is measured ----------------------------------------------------------------


def honest_runs(miner, args):
    """Every combination on the CPU, and those on the GPU where there is one: (runs, why there is none)."""
    settings = [
        (library, "--allow-cpu", "--threads", threads, "--optimization", optimisation)
        for library, threads, optimisation in itertools.product(args.library, THREADS, OPTIMISATIONS)
    ]
    together = ("--optimization", "all", "--batch", TOGETHER)
    settings += [(library, "--allow-cpu", "--threads", threads, *together) for library, threads in itertools.product(args.library, THREADS)]
    started = time.monotonic()

    def one(numbered):
        number, flags = numbered
        run = miner.sketches(*flags)
        say(f"{number} of {len(settings)} runs on the CPU, {time.monotonic() - started:.0f} s")
        return run

    # Two threads each at most: side by side only where that many cores are free.
    with ThreadPoolExecutor(max_workers=max(1, (os.cpu_count() or 1) // max(THREADS))) as pool:
        runs = list(pool.map(one, enumerate(settings, 1)))
    versions = {str(run.version) for run in runs}
    if len(versions) < len(args.library):
        raise Failure(f"{len(args.library)} versions of ONNX Runtime were given, and only {', '.join(sorted(versions))} ran")
    without = None
    try:
        if not miner.sketches(args.gpu_library, inputs=1).provider.startswith("CUDA"):
            raise Failure("models do not run on CUDA")
    except Failure as failure:
        lines = [line for line in str(failure).splitlines() if "CUDA" in line]
        without = (lines[0] if lines else str(failure)).removeprefix("error: ")
    else:
        runs += [miner.sketches(args.gpu_library, "--optimization", optimisation) for optimisation in OPTIMISATIONS]
        runs.append(miner.sketches(args.gpu_library, *together))
        say(f"{len(OPTIMISATIONS) + 1} runs on {runs[-1].provider}")
    return runs, without


def measure(name, model, folder, args):
    """A row of the table as a dict."""
    say(f"{name}: making the cheats and the tolerance")
    cheats = {kind: folder / kind for kind in ("int8", "pruned")}
    for kind, out in cheats.items():
        variants.copy(model, out, kind)
    project = args.library[0]
    miner = Miner(args, folder, model)
    agree, wrong = miner.calibrate(project, *cheats.values())
    runs, without = honest_runs(miner, args)
    if len({run.manifest for run in runs}) != 1:
        raise Failure("two runs had different models")
    pairs = list(itertools.combinations(runs, 2))
    honest = np.concatenate([distances(a, b) for a, b in pairs])
    equal = np.concatenate([a.hashes == b.hashes for a, b in pairs])
    row = {"model": name, "runs": len(runs), "pairs": honest.size, "bit-equal": equal.mean()}
    # Values that were there: no interpolation.
    for label, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
        row[label] = np.quantile(honest, share, method="inverted_cdf")
    row |= {"largest": honest.max(), "agree": agree / 1e6, "wrong": wrong / 1e6}
    for kind, out in cheats.items():
        cheat = miner.sketches(project, "--allow-cpu", model=out)
        row[kind] = min(distances(cheat, run).min() for run in runs)
    row["beyond"] = int((honest > wrong / 1e6).sum())
    row["versions"], row["cpu"], row["without"] = sorted({run.version for run in runs}), runs[0].cpu, without
    return row


COLUMNS = ("model", "runs", "pairs", "bit-equal", "p50", "p99", "p99.9", "largest", "agree", "wrong", "int8", "pruned")


def table(rows):
    def cell(column, value):
        if column == "bit-equal":
            return f"{value:.1%}"
        return f"{value:.2e}" if isinstance(value, float) else str(value)

    print(f"{'model':<15}" + "".join(f"{column:>10}" for column in COLUMNS[1:]))
    for row in rows:
        print(f"{row['model']:<15}" + "".join(f"{cell(column, row[column]):>10}" for column in COLUMNS[1:]))
    print("Distances are relative to the output's size; int8 and pruned are the smallest of the cheat's to any honest result.")
    threads, levels, versions = (", ".join(map(str, varied)) for varied in (THREADS, OPTIMISATIONS, rows[0]["versions"]))
    print(f"Varied: threads {threads}; optimisation {levels}; ONNX Runtime {versions}.")
    print(f"Batch: with optimisation all, inputs by themselves and {TOGETHER} together.")
    gpu = f"none: {rows[0]['without']}" if rows[0]["without"] else f"{len(OPTIMISATIONS) + 1} runs of each model"
    print(f"Processor: {rows[0]['cpu'] or 'unknown'}; GPU: {gpu}")


def judge(rows):
    """The last line; True if everything holds."""
    pairs, beyond = (sum(row[key] for row in rows) for key in ("pairs", "beyond"))
    largest = max(row["largest"] / row["wrong"] for row in rows)
    cheats = min(row[kind] / row["wrong"] for row in rows for kind in ("int8", "pruned"))
    faults = []
    if pairs < LEAST_PAIRS:
        faults.append(f"fewer than {LEAST_PAIRS} pairs")
    if beyond:
        faults.append("honest results beyond `wrong`")
    # "not >" rather than "<=": a NaN must fail.
    if not cheats > TOLD_APART:
        faults.append(f"a cheat within {TOLD_APART} times `wrong`")
    for fault in faults:
        print("FAIL:", fault)
    print(f"false-slashes: pairs={pairs} beyond_wrong={beyond} largest_of_wrong={largest:.4f} cheats_smallest_over_wrong={cheats:.2f} bar=0")
    return not faults


def main():
    parser = argparse.ArgumentParser(prog="scripts/check false-slashes", description=__doc__.splitlines()[0])
    parser.add_argument("--miner", type=Path, required=True, help="miner-client")
    parser.add_argument("--library", type=Path, action="append", required=True, help="a library of ONNX Runtime, the project's own first; repeat it with other versions")
    parser.add_argument("--gpu-library", type=Path, required=True, help="the library to try CUDA with")
    parser.add_argument("--inputs", type=int, default=256, help="inputs of each run (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=4, help="denoising steps of a picture (default: %(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cuckoo-false-slashes-") as folder:
        folder = Path(folder)
        made = folder / "model"
        make_tensor_model(made)
        rows = []
        try:
            for name, model in (("text-to-image", DEMO_MODEL), ("tensor", made)):
                (folder / name).mkdir()
                rows.append(measure(name, model, folder / name, args))
        except (Failure, subprocess.TimeoutExpired) as failure:
            sys.exit(f"error: {failure}")
    table(rows)
    sys.exit(not judge(rows))


if __name__ == "__main__":
    main()
