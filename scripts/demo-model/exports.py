"""Makes a copy of a text-to-image model's folder as another exporter might have written it.

The networks compute what they did, but take and give 16-bit floats, ids as 64-bit
integers and the time step as a scalar float; the scheduler is Euler's, at time
steps that need not be whole. The copy has its own SHA256SUMS.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sums import SUMS, write_sums

INSIDE = "_inside"
# What goes in as what, floats aside: by name, whatever it was before.
TYPES = {"input_ids": TensorProto.INT64, "timestep": TensorProto.FLOAT}


def border(model):
    """Converts what goes in and comes out, and leaves everything between as it was."""
    graph = model.graph
    before, after, renamed = [], [], {}
    for port in graph.input:
        kind = port.type.tensor_type
        inside, scalar = port.name + INSIDE, port.name == "timestep" and len(kind.shape.dim) == 1
        cast = port.name + "_cast" if scalar else inside
        before.append(helper.make_node("Cast", [port.name], [cast], to=kind.elem_type))
        if scalar:
            graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "timestep_shape"))
            before.append(helper.make_node("Reshape", [cast, "timestep_shape"], [inside]))
            del kind.shape.dim[:]
        kind.elem_type = TYPES.get(port.name, TensorProto.FLOAT16)
        renamed[port.name] = inside
    for port in graph.output:
        inside = port.name + INSIDE
        after.append(helper.make_node("Cast", [inside], [port.name], to=TensorProto.FLOAT16))
        port.type.tensor_type.elem_type = TensorProto.FLOAT16
        renamed[port.name] = inside
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [renamed.get(name, name) for name in names]
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)
    # What was noted of tensors on the way is under their old names.
    del graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    return model


def copy(source, target):
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(SUMS))
    for path in target.rglob("*.onnx"):
        onnx.save(border(onnx.load(path)), path)
    path = target / "scheduler" / "scheduler_config.json"
    config = json.loads(path.read_text())
    config |= {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "linspace", "interpolation_type": "linear"}
    path.write_text(json.dumps(config, indent=2) + "\n")
    write_sums(target)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="the model's folder")
    parser.add_argument("out", type=Path, help="the folder to make; it must not exist")
    args = parser.parse_args()
    if args.out.exists():
        parser.error(f"{args.out} exists already")
    copy(args.model, args.out)


if __name__ == "__main__":
    main()
