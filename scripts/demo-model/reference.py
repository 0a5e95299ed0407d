"""An independent text-to-image pipeline in numpy and onnxruntime.

It reads the same model folder as the Rust pipeline and shares no code with it,
so that each can be checked against the other. The schedulers have the semantics
of diffusers' DDIMScheduler with eta = 0 and EulerDiscreteScheduler without churn.
Networks get the types that they ask for; everything between them is float32.
"""

import argparse
import hashlib
import json
import unicodedata
from pathlib import Path

import numpy as np
import onnxruntime

# ---- tokenizer: CLIP's byte-level BPE ------------------------------------------


def bytes_to_unicode():
    """GPT-2's and CLIP's map from bytes to printable characters, in vocabulary order."""
    kept = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = [b for b in range(256) if b not in kept]
    return {b: chr(c) for b, c in zip(kept + rest, kept + [256 + n for n in range(len(rest))])}


def _kind(char):
    if char.isspace():
        return "space"
    return {"L": "letter", "N": "number"}.get(unicodedata.category(char)[0], "other")


def split_words(text):
    """CLIP's pattern: contractions, runs of letters, single numbers, runs of anything else."""
    words, at = [], 0
    while at < len(text):
        whole = next(
            (
                s
                for s in ("<|startoftext|>", "<|endoftext|>", "'s", "'t", "'re", "'ve", "'m", "'ll", "'d")
                if text.startswith(s, at)
            ),
            None,
        )
        kind = _kind(text[at])
        end = at + 1
        if whole:
            end = at + len(whole)
        elif kind in ("letter", "other"):
            while end < len(text) and _kind(text[end]) == kind:
                end += 1
        if whole or kind != "space":
            words.append(text[at:end])
        at = end
    return words


class Tokenizer:
    def __init__(self, folder):
        folder = Path(folder)
        config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
        self.length = config["model_max_length"]
        self.ids = json.loads((folder / "vocab.json").read_text("utf-8"))
        self.start, self.end = self.ids[config["bos_token"]], self.ids[config["eos_token"]]
        self.pad = self.ids[config["pad_token"]]
        lines = (folder / "merges.txt").read_text("utf-8").splitlines()
        pairs = [tuple(line.split()) for line in lines if line and not line.startswith("#version")]
        self.rank = {pair: n for n, pair in enumerate(pairs)}
        self.bytes = bytes_to_unicode()

    def _merge(self, word):
        parts = [self.bytes[b] for b in word.encode("utf-8")]
        parts[-1] += "</w>"
        while len(parts) > 1:
            pair = min(zip(parts, parts[1:]), key=lambda p: self.rank.get(p, len(self.rank)))
            if pair not in self.rank:
                break
            merged, at = [], 0
            while at < len(parts):
                if tuple(parts[at : at + 2]) == pair:
                    merged.append("".join(pair))
                    at += 2
                else:
                    merged.append(parts[at])
                    at += 1
            parts = merged
        return parts

    def __call__(self, text):
        """int32 [length]: start, the words' tokens (cut if too many), end, padding."""
        text = unicodedata.normalize("NFC", text)
        ids = []
        for word in split_words(" ".join(text.split()).lower()):
            # CLIP's tokenizers take the special tokens whole when they occur in the text.
            ids += [self.ids[word]] if word.startswith("<|") and word in self.ids else [
                self.ids[part] for part in self._merge(word)
            ]
        ids = [self.start, *ids[: self.length - 2], self.end]
        return np.array(ids + [self.pad] * (self.length - len(ids)), np.int32)


# ---- initial latents -----------------------------------------------------------


def chacha20_words(key, count):
    """The first `count` u32 words of ChaCha20 (64-bit counter from 0, 64-bit nonce 0)."""
    blocks = -(-count // 16)
    state = np.zeros((16, blocks), np.uint32)
    state[:4] = np.frombuffer(b"expand 32-byte k", "<u4")[:, None]
    state[4:12] = np.frombuffer(key, "<u4")[:, None]
    counter = np.arange(blocks, dtype=np.uint64)
    state[12], state[13] = (counter & 0xFFFFFFFF).astype(np.uint32), (counter >> np.uint64(32)).astype(np.uint32)
    x = state.copy()

    def turn(a, b, c, d):
        for into, add, xor, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[into] += x[add]
            x[xor] ^= x[into]
            x[xor] = (x[xor] << np.uint32(by)) | (x[xor] >> np.uint32(32 - by))

    for _ in range(10):
        for a, b, c, d in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)):
            turn(a, b, c, d)
        for a, b, c, d in ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            turn(a, b, c, d)
    return (x + state).T.ravel()[:count]


def initial_latents(seed, shape):
    """float32 [1, *shape] of standard normals, by Box-Muller from the seed's keystream."""
    key = hashlib.blake2b(b"cuckoo/latents" + seed.to_bytes(8, "little"), digest_size=32).digest()
    count = int(np.prod(shape))
    pairs = -(-count // 2)
    low, high = chacha20_words(key, 4 * pairs).astype(np.uint64).reshape(-1, 2).T
    u = (((low | high << np.uint64(32)) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    u1, u2 = u.reshape(-1, 2).T
    radius, angle = np.sqrt(-2 * np.log(u1)), 2 * np.pi * u2
    z = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1).ravel()[:count]
    return z.astype(np.float32).reshape(1, *shape)


# ---- schedulers ----------------------------------------------------------------


def training_alphas(config):
    """The share of the clean signal's variance at each training time step."""
    total = config.get("num_train_timesteps", 1000)
    start, end = config.get("beta_start", 0.0001), config.get("beta_end", 0.02)
    schedule = config.get("beta_schedule", "linear")
    if schedule == "scaled_linear":
        betas = np.linspace(start**0.5, end**0.5, total) ** 2
    elif schedule == "linear":
        betas = np.linspace(start, end, total)
    else:
        raise ValueError(f"unsupported beta_schedule {schedule}")
    return np.cumprod(1 - betas)


def spaced(config, default, total, steps):
    """float64 [steps]: the time steps of a run, the noisiest first; those of linspace are not rounded."""
    spacing = config.get("timestep_spacing", default)
    if spacing == "leading":
        return np.arange(steps)[::-1] * (total // steps) + float(config.get("steps_offset", 0))
    if spacing == "trailing":
        return np.round(np.arange(total, 0, -total / steps)) - 1
    if spacing == "linspace":
        return np.linspace(0, total - 1, steps)[::-1]
    raise ValueError(f"unsupported timestep_spacing {spacing}")


def prediction_of(config):
    prediction = config.get("prediction_type", "epsilon")
    if prediction not in ("epsilon", "v_prediction"):
        raise ValueError(f"unsupported prediction_type {prediction}")
    return prediction


class Ddim:
    """eta = 0: no noise is added."""

    init_noise_sigma = 1.0

    def __init__(self, config, steps):
        if config.get("clip_sample", True) or config.get("thresholding") or config.get("rescale_betas_zero_snr"):
            raise ValueError("clip_sample, thresholding and rescale_betas_zero_snr are not supported")
        self.prediction = prediction_of(config)
        self.alphas = training_alphas(config)
        self.final_alpha = 1.0 if config.get("set_alpha_to_one", True) else self.alphas[0]
        total = len(self.alphas)
        self.jump = total // steps
        self.timesteps = np.round(spaced(config, "leading", total, steps)).astype(np.int64)

    def scale(self, latents, step):
        """What the model sees of the latents before the step with this number."""
        return latents

    def step(self, out, step, latents):
        """The latents after the step with this number."""
        timestep = self.timesteps[step]
        previous = timestep - self.jump
        alpha = self.alphas[timestep]
        alpha_previous = self.alphas[previous] if previous >= 0 else self.final_alpha
        signal, noise = np.float32(alpha**0.5), np.float32((1 - alpha) ** 0.5)
        if self.prediction == "epsilon":
            clean, eps = (latents - noise * out) / signal, out
        else:
            clean, eps = signal * latents - noise * out, signal * out + noise * latents
        return np.float32(alpha_previous**0.5) * clean + np.float32((1 - alpha_previous) ** 0.5) * eps


class Euler:
    """Karras et al. 2022, algorithm 2 without churn: the latents are the clean ones plus sigma times noise, and follow d = (latents - clean) / sigma."""

    def __init__(self, config, steps):
        others = ("use_exponential_sigmas", "use_beta_sigmas", "rescale_betas_zero_snr")
        if any(config.get(other) for other in others) or config.get("interpolation_type", "linear") != "linear":
            raise ValueError("only linear interpolation of the sigmas, and Karras', are supported")
        self.prediction = prediction_of(config)
        alphas = training_alphas(config)
        known = np.sqrt((1 - alphas) / alphas)
        total = len(known)
        self.timesteps = spaced(config, "linspace", total, steps).astype(np.float32)
        sigmas = np.interp(self.timesteps, np.arange(total), known)
        if config.get("use_karras_sigmas"):
            largest = sigmas[0] if config.get("sigma_max") is None else config["sigma_max"]
            smallest = sigmas[-1] if config.get("sigma_min") is None else config["sigma_min"]
            sigmas = np.linspace(largest ** (1 / 7), smallest ** (1 / 7), steps) ** 7
            self.timesteps = np.interp(np.log(sigmas), np.log(known), np.arange(total)).astype(np.float32)
        last = known[0] if config.get("final_sigmas_type", "zero") == "sigma_min" else 0.0
        self.sigmas = np.append(sigmas, last)
        ends = config.get("timestep_spacing", "linspace") in ("linspace", "trailing")
        self.init_noise_sigma = sigmas[0] if ends else np.sqrt(sigmas[0] ** 2 + 1)

    def scale(self, latents, step):
        """What the model sees of the latents before the step with this number."""
        return latents / np.float32(np.sqrt(self.sigmas[step] ** 2 + 1))

    def step(self, out, step, latents):
        """The latents after the step with this number."""
        sigma = self.sigmas[step]
        if self.prediction == "epsilon":
            clean = latents - np.float32(sigma) * out
        else:
            clean = latents / np.float32(sigma**2 + 1) - np.float32(sigma / np.sqrt(sigma**2 + 1)) * out
        return latents + np.float32(self.sigmas[step + 1] - sigma) * ((latents - clean) / np.float32(sigma))


def scheduler(config, steps):
    """The run of so many steps that scheduler_config.json describes."""
    classes = {"DDIMScheduler": Ddim, "EulerDiscreteScheduler": Euler}
    name = config.get("_class_name")
    if name not in classes:
        raise ValueError(f"unsupported scheduler {name}")
    return classes[name](config, steps)


# ---- pipeline ------------------------------------------------------------------


def to_pixels(sample):
    """float [1, 3, H, W] in [-1, 1] -> uint8 [H, W, 3]; halves round to even."""
    return np.round(np.clip(sample[0] / 2 + 0.5, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)


def guide(out, guidance):
    """Classifier-free guidance of a batch in the order [unconditional, conditional]."""
    return out[:1] + np.float32(guidance) * (out[1:] - out[:1])


# What a network says that it takes, in numpy's words.
TYPES = {
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


class Pipeline:
    def __init__(self, folder):
        folder = Path(folder)
        self.tokenizer = Tokenizer(folder / "tokenizer")
        self.scheduler_config = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
        self.scaling = json.loads((folder / "vae_decoder" / "config.json").read_text())["scaling_factor"]
        self.sessions = {
            name: onnxruntime.InferenceSession(str(folder / name / "model.onnx"), providers=["CPUExecutionProvider"])
            for name in ("text_encoder", "unet", "vae_decoder")
        }
        ports = {port.name: port for port in self.sessions["unet"].get_inputs()}
        self.latent_shape, self.timestep_port = tuple(ports["sample"].shape[1:]), ports["timestep"]

    def _run(self, name, **feeds):
        """The first output as float32; what goes in as the network's own types."""
        types = {port.name: TYPES[port.type] for port in self.sessions[name].get_inputs()}
        feeds = {key: value.astype(types[key]) for key, value in feeds.items()}
        return self.sessions[name].run(None, feeds)[0].astype(np.float32)

    def tokens(self, prompt, negative=""):
        return np.stack([self.tokenizer(negative), self.tokenizer(prompt)])

    def embed(self, ids):
        return self._run("text_encoder", input_ids=ids)

    def timestep(self, timestep):
        """[1], of the type that the UNet takes: an integer is what is left without the fraction."""
        return np.array([timestep]).astype(np.float32).astype(TYPES[self.timestep_port.type])

    def unet(self, sample, timestep, embeddings):
        """One time step for all; a UNet may want it without a dimension."""
        timestep = np.asarray(timestep).reshape([1] * len(self.timestep_port.shape))
        feeds = dict(sample=sample, timestep=timestep, encoder_hidden_states=embeddings)
        return self._run("unet", **feeds)

    def decode(self, latents):
        return self._run("vae_decoder", latent_sample=latents / np.float32(self.scaling))

    def __call__(self, prompt, seed, steps=20, guidance=4.0, negative="", trace=None):
        """uint8 [H, W, 3]. `trace`, if a dict, receives every stage under the dump's names."""
        trace = {} if trace is None else trace
        run = scheduler(self.scheduler_config, steps)
        trace["input_ids"] = ids = self.tokens(prompt, negative)
        trace["text_embeddings"] = embeddings = self.embed(ids)
        latents = initial_latents(seed, self.latent_shape) * np.float32(run.init_noise_sigma)
        trace["latents.0"] = latents
        for i, timestep in enumerate(map(self.timestep, run.timesteps)):
            sample = np.concatenate([run.scale(latents, i)] * 2)
            out = self.unet(sample, timestep, embeddings)
            latents = run.step(guide(out, guidance), i, latents)
            trace[f"unet.{i}.timestep"] = timestep
            trace[f"unet.{i}.sample"], trace[f"unet.{i}.out"] = sample, out
            trace[f"latents.{i + 1}"] = latents
        trace["vae.sample"] = sample = self.decode(latents)
        trace["image"] = image = to_pixels(sample)
        return image


def main():
    parser = argparse.ArgumentParser(description="Make one picture with numpy and onnxruntime.")
    parser.add_argument("--model", required=True, help="model folder")
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--negative-prompt", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=4.0)
    parser.add_argument("--out", required=True, help="PNG file to write")
    args = parser.parse_args()
    from PIL import Image

    pipeline = Pipeline(args.model)
    image = pipeline(args.prompt, args.seed, args.steps, args.guidance, args.negative_prompt)
    Image.fromarray(image).save(args.out)


if __name__ == "__main__":
    main()
