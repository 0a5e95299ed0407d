"""A tiny text embedding model in the layout of sentence-transformers exports, and the check of what the Rust miner makes of it.

The model is a BERT of two layers with random weights: its embeddings mean nothing, but
every part of a real one is there. The check runs model.onnx in Python's onnxruntime and
does everything around it itself; the tokens are those of the package `tokenizers`, if it
is installed, and of a tokenizer for this vocabulary, which must agree.
"""

import argparse
import json
import sys
import unicodedata
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

from sums import write_sums

BAR = 1e-5
WIDTH, LAYERS, MAX_POSITIONS, MAX_TOKENS = 32, 2, 24, 16
LETTERS = "abcdefghijklmnopqrstuvwxyz"
VOCABULARY = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]"),
    *LETTERS,
    *(f"##{letter}" for letter in LETTERS),
    *("red", "blue", "circle", "square", "above", "embed", "##ding", "the", "of", "cafe"),
    *".,!?'-",
]
TEXTS = (
    "a red circle above a blue square",
    "A RED CIRCLE, above a blue square!",
    "Embeddings of the caf\u00e9's squares",
    "x",
    "7 unknown \u4e2d words",
    "one text with so many words that what is at its end cannot be read by the model any more",
)

# ---- the model -----------------------------------------------------------------


class Graph:
    """Nodes and constants with names of their own."""

    def __init__(self, rng):
        self.rng, self.nodes, self.constants = rng, [], []

    def constant(self, value):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def weights(self, *shape):
        return self.constant((self.rng.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32))

    def number(self, value):
        return self.constant(np.array(value, np.float32))

    def __call__(self, operator, *inputs, name=None, **attributes):
        name = name or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def normalized(self, x):
        """Each vector with mean 0 and variance 1."""
        centred = self("Sub", x, self("ReduceMean", x, axes=[-1]))
        variance = self("ReduceMean", self("Mul", centred, centred), axes=[-1])
        return self("Div", centred, self("Sqrt", self("Add", variance, self.number(1e-5))))

    def layer(self, x, hidden):
        """Attention of one head, and a perceptron; `hidden` is added to the scores."""
        query, key, value = (self("MatMul", x, self.weights(WIDTH, WIDTH)) for _ in range(3))
        scores = self("MatMul", query, self("Transpose", key, perm=[0, 2, 1]))
        scores = self("Add", self("Div", scores, self.number(np.sqrt(WIDTH))), hidden)
        seen = self("MatMul", self("Softmax", scores, axis=-1), value)
        x = self.normalized(self("Add", x, self("MatMul", seen, self.weights(WIDTH, WIDTH))))
        wide = self("Relu", self("MatMul", x, self.weights(WIDTH, 2 * WIDTH)))
        return self.normalized(self("Add", x, self("MatMul", wide, self.weights(2 * WIDTH, WIDTH))))


def network(seed, ids):
    """input_ids, attention_mask, token_type_ids [B, T] -> last_hidden_state [B, T, WIDTH]."""
    g = Graph(np.random.default_rng(seed))
    zero, one = g.constant(np.array(0, np.int64)), g.constant(np.array(1, np.int64))
    length = g("Gather", g("Shape", "input_ids"), one)
    words = g("Gather", g.weights(len(VOCABULARY), WIDTH), "input_ids")
    kinds = g("Gather", g.weights(2, WIDTH), "token_type_ids")
    places = g("Gather", g.weights(MAX_POSITIONS, WIDTH), g("Range", zero, length, one))
    x = g.normalized(g("Add", g("Add", words, kinds), places))
    # Tokens that are masked lose every comparison.
    mask = g("Cast", "attention_mask", to=TensorProto.FLOAT)
    hidden = g("Mul", g("Sub", g.number(1), mask), g.number(-1e4))
    hidden = g("Unsqueeze", hidden, g.constant(np.array([1], np.int64)))
    for _ in range(LAYERS):
        x = g.layer(x, hidden)
    g("Identity", x, name="last_hidden_state")
    free = ["batch", "tokens"]
    graph = helper.make_graph(
        g.nodes,
        "embedding_oracle",
        [helper.make_tensor_value_info(name, ids, free) for name in ("input_ids", "attention_mask", "token_type_ids")],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*free, WIDTH])],
        g.constants,
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])
    onnx.checker.check_model(model, full_check=True)
    return model


def tokenizer():
    """tokenizer.json: BERT's, with a limit and padding that are not the model's."""
    special = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    ids = {token: id for id, token in enumerate(VOCABULARY)}

    def token(name, kind=0):
        return {"SpecialToken": {"id": name, "type_id": kind}}

    def sequence(name, kind):
        return {"Sequence": {"id": name, "type_id": kind}}

    return {
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 128, "strategy": "LongestFirst", "stride": 0},
        "padding": {
            "strategy": "BatchLongest",
            "direction": "Right",
            "pad_to_multiple_of": 8,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "[PAD]",
        },
        "added_tokens": [{"id": id, "content": name, **special} for id, name in enumerate(VOCABULARY[:4])],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [token("[CLS]"), sequence("A", 0), token("[SEP]")],
            "pair": [token("[CLS]"), sequence("A", 0), token("[SEP]"), sequence("B", 1), token("[SEP]", 1)],
            "special_tokens": {name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in ("[CLS]", "[SEP]")},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": ids,
        },
    }


def make(folder, seed, cls):
    """Writes the model's folder and texts/N.json. With `cls`, ids have 32 bits, and the embedding is the first token's vector as it is."""
    modules = ["Transformer", "Pooling"] + ([] if cls else ["Normalize"])
    paths = ["", "1_Pooling", "2_Normalize"]
    configs = {
        "config.json": {"model_type": "bert", "hidden_size": WIDTH, "max_position_embeddings": MAX_POSITIONS},
        "sentence_bert_config.json": {"max_seq_length": MAX_TOKENS, "do_lower_case": False},
        "modules.json": [
            {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{module}"}
            for n, (module, path) in enumerate(zip(modules, paths))
        ],
        "1_Pooling/config.json": {
            "word_embedding_dimension": WIDTH,
            "pooling_mode_cls_token": cls,
            "pooling_mode_mean_tokens": not cls,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
        "tokenizer.json": tokenizer(),
        **{f"texts/{n}.json": {"text": text} for n, text in enumerate(TEXTS)},
    }
    for name, config in configs.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(config))
    onnx.save(network(seed, TensorProto.INT32 if cls else TensorProto.INT64), folder / "model.onnx")
    write_sums(folder)


# ---- the check -----------------------------------------------------------------


def words(text):
    """As BERT splits: no accents, lower case, every punctuation mark and Chinese character alone."""
    text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
    alone = lambda c: unicodedata.category(c)[0] in "PS" or "\u4e00" <= c <= "\u9fff"
    return "".join(f" {c} " if alone(c) else c for c in text.lower()).split()


def pieces(word):
    """The longest known beginning, then the longest known beginning of what is left; [UNK] if there is none."""
    found, at = [], 0
    while at < len(word):
        ends = (end for end in range(len(word), at, -1) if ("##" if at else "") + word[at:end] in VOCABULARY)
        end = next(ends, None)
        if end is None:
            return ["[UNK]"]
        found.append(("##" if at else "") + word[at:end])
        at = end
    return found


def tokens(text, folder):
    """The ids of a text, cut to the model's length."""
    config = json.loads((folder / "sentence_bert_config.json").read_text())
    parts = [piece for word in words(text) for piece in pieces(word)][: config["max_seq_length"] - 2]
    ids = [VOCABULARY.index(piece) for piece in ["[CLS]", *parts, "[SEP]"]]
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return ids
    engine = Tokenizer.from_file(str(folder / "tokenizer.json"))
    engine.no_padding()
    engine.enable_truncation(config["max_seq_length"])
    assert engine.encode(text).ids == ids, (text, engine.encode(text).tokens, ids)
    return ids


def embedding(session, ids, cls):
    """float32 [WIDTH]."""
    types = {"tensor(int32)": np.int32, "tensor(int64)": np.int64}
    values = {"input_ids": ids, "attention_mask": [1] * len(ids), "token_type_ids": [0] * len(ids)}
    feeds = {port.name: np.array([values[port.name]], types[port.type]) for port in session.get_inputs()}
    hidden = session.run(["last_hidden_state"], feeds)[0][0]
    if cls:
        return hidden[0]
    mean = hidden.mean(0)
    return mean / np.linalg.norm(mean)


def compare(folder, outputs):
    """True if outputs/N.safetensors holds the embedding of texts/N.json and nothing else, each within the bar."""
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    cls = json.loads((folder / "1_Pooling/config.json").read_text())["pooling_mode_cls_token"]
    wanted, worst, ok = [], 0.0, True
    for path in sorted((folder / "texts").iterdir()):
        text = json.loads(path.read_text())["text"]
        want = embedding(session, tokens(text, folder), cls)
        got = load_file(outputs / f"{path.stem}.safetensors")
        found = got.get("embedding")
        if set(got) != {"embedding"} or found.shape != want.shape or found.dtype != want.dtype:
            ok, worst = False, np.inf
            continue
        wanted.append(want)
        # np.maximum, not max(): a NaN must stay.
        apart = np.abs(found - want).max()
        worst = float(np.maximum(worst, apart))
        print(f"{text[:40]!r}: {apart:.3g}")
    # Embeddings that hardly differ would show nothing.
    nearest = min((np.abs(a - b).max() for n, a in enumerate(wanted) for b in wanted[:n]), default=0.0)
    print(f"embedding-oracle: texts={len(wanted)} max_abs={worst:.3g} nearest_texts={nearest:.3g} bar={BAR:.0e}")
    return ok and worst <= BAR and nearest > 100 * BAR


def main():
    parser = argparse.ArgumentParser(description="Make a tiny text embedding model, or compare what was made of its texts.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--make", type=Path, metavar="DIR")
    what.add_argument("--compare", nargs=2, type=Path, metavar=("DIR", "OUTPUTS"))
    parser.add_argument("--seed", type=int, default=5, help="only with --make")
    parser.add_argument("--cls", action="store_true", help="only with --make: the first token's vector, not normalised, from 32-bit ids")
    args = parser.parse_args()
    if args.make:
        make(args.make, args.seed, args.cls)
    else:
        sys.exit(not compare(*args.compare))


if __name__ == "__main__":
    main()
