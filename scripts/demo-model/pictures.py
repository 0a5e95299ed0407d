"""The synthetic pictures: prompt grammar, renderer, held-out split and detector.

Only numpy is needed here, so that the checks run without torch. Run directly,
this file shows a prompt's picture and what the detector says about it.
"""

import argparse
import hashlib
import re

import numpy as np

SIZE = 64
BACKGROUND = (245, 243, 238)
# Chosen far apart in RGB (nearest two: blue and purple, 115), so that the
# detector can tell them by distance alone.
COLOURS = {
    "red": (214, 40, 40),
    "green": (44, 160, 66),
    "blue": (42, 75, 215),
    "yellow": (245, 205, 40),
    "purple": (150, 50, 185),
    "cyan": (50, 195, 215),
    "black": (24, 24, 28),
}
SHAPES = ("circle", "square", "triangle")
RELATIONS = ("above", "below", "left of", "right of")
MIRROR = {"above": "below", "below": "above", "left of": "right of", "right of": "left of"}

# One thing is (colour, shape); one scene is (thing,) or (thing, relation, thing).


def all_scenes():
    """Every scene of the grammar: 21 with one shape, 1512 with two of different colours."""
    things = [(c, s) for c in COLOURS for s in SHAPES]
    scenes = [(a,) for a in things]
    scenes += [(a, rel, b) for a in things for rel in RELATIONS for b in things if a[0] != b[0]]
    return scenes


def prompt_of(scene, to_the=False):
    """The prompt of a scene. `to_the` says "to the left of" for "left of"."""
    first = "a {} {}".format(*scene[0])
    if len(scene) == 1:
        return first
    relation = scene[1]
    if to_the and relation.endswith(" of"):
        relation = "to the " + relation
    return "{} {} a {} {}".format(first, relation, *scene[2])


_PROMPT = re.compile(
    r"^a (\w+) (\w+)(?: (above|below|(?:to the )?(?:left|right) of) a (\w+) (\w+))?$"
)


def parse(prompt):
    """The scene of a prompt; ValueError if the prompt is outside the grammar."""
    match = _PROMPT.match(prompt)
    if not match:
        raise ValueError(f"not in the grammar: {prompt!r}")
    c1, s1, relation, c2, s2 = match.groups()
    scene = ((c1, s1),) if relation is None else ((c1, s1), relation.replace("to the ", ""), (c2, s2))
    for colour, shape in scene[::2]:
        if colour not in COLOURS or shape not in SHAPES:
            raise ValueError(f"unknown colour or shape: {prompt!r}")
    return scene


def _rank(scene):
    # "a above b" and "b below a" describe the same pictures, so both get the
    # same rank: holding out only one of them would leak its pictures.
    if len(scene) == 3 and scene[1] in ("below", "right of"):
        scene = (scene[2], MIRROR[scene[1]], scene[0])
    return hashlib.sha256(prompt_of(scene).encode()).hexdigest()


def split():
    """(training scenes, held-out scenes). About 15 % of the pairs and 4 of the 21 singles are held out."""
    scenes = all_scenes()
    held = set(sorted((s for s in scenes if len(s) == 1), key=_rank)[:4])
    pairs = sorted((s for s in scenes if len(s) == 3), key=lambda s: (_rank(s), s))
    held.update(pairs[: 2 * round(0.15 * len(pairs) / 2)])
    return [s for s in scenes if s not in held], [s for s in scenes if s in held]


def score_list():
    """The 48 held-out (seed, prompt) of the score: 11 for each relation and 4 single shapes."""
    held = sorted(split()[1], key=lambda s: hashlib.sha256(repr(s).encode()).hexdigest())
    chosen = [s for s in held if len(s) == 1][:4]
    for relation in RELATIONS:
        chosen += [s for s in held if len(s) == 3 and s[1] == relation][:11]
    chosen.sort(key=lambda s: hashlib.sha256(prompt_of(s).encode()).hexdigest())
    return [(1000 + n, prompt_of(s, to_the=n % 2 == 1)) for n, s in enumerate(chosen)]


def place(scene, rng):
    """Random positions and sizes for a scene: a list of (colour, shape, cx, cy, r)."""
    if len(scene) == 1:
        cx, cy = 32 + rng.uniform(-10, 10, 2)
        return [(*scene[0], cx, cy, rng.uniform(9, 14))]
    a, relation, b = scene
    if relation in ("below", "right of"):
        a, relation, b = b, MIRROR[relation], a
    placed = []
    for thing, along in ((a, 17), (b, 47)):
        along = along + rng.uniform(-2.5, 2.5)
        across = 32 + rng.uniform(-7, 7)
        cx, cy = (across, along) if relation == "above" else (along, across)
        placed.append((*thing, cx, cy, rng.uniform(8.5, 11.5)))
    return placed


_Y, _X = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) + 0.5


def _cover(shape, dx, dy, r):
    """How much of each pixel the shape covers (one-pixel anti-aliasing from the distance to its edge)."""
    if shape == "circle":
        inside = r - np.hypot(dx, dy)
    elif shape == "square":
        inside = 0.92 * r - np.maximum(np.abs(dx), np.abs(dy))
    else:
        # Apex up: height 2r, base 2.2r; the sides' normal is (2, 1.1) / |(2, 1.1)|.
        side = (1.1 * (dy + r) - 2 * np.abs(dx)) / np.hypot(2, 1.1)
        inside = np.minimum(r - dy, side)
    return np.clip(inside + 0.5, 0, 1)


def render(placed):
    """The picture of placed shapes: uint8 [64, 64, 3]."""
    picture = np.empty((SIZE, SIZE, 3), np.float32)
    picture[:] = BACKGROUND
    for colour, shape, cx, cy, r in placed:
        cover = _cover(shape, _X - cx, _Y - cy, r)[..., None].astype(np.float32)
        picture += cover * (np.float32(COLOURS[colour]) - picture)
    return np.round(picture).astype(np.uint8)


# ---- the detector -------------------------------------------------------------

NEAR = 75  # largest RGB distance at which a pixel has a colour at all
MIN_AREA = 90  # the smallest rendered shape (a triangle with r = 8.5) covers 159 pixels
MIN_IOU = 0.8  # a square's overlap with a circle is 0.785
MAX_STRAY = 50  # foreground pixels that belong to no asked-for shape


def _largest_component(mask):
    """The largest 4-connected part of a boolean mask."""
    todo = mask.copy()
    best = []
    for start in zip(*np.nonzero(mask)):
        if not todo[start]:
            continue
        todo[start] = False
        part, front = [], [start]
        while front:
            y, x = front.pop()
            part.append((y, x))
            for at in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= at[0] < mask.shape[0] and 0 <= at[1] < mask.shape[1] and todo[at]:
                    todo[at] = False
                    front.append(at)
        if len(part) > len(best):
            best = part
    out = np.zeros_like(mask)
    if best:
        out[tuple(np.transpose(best))] = True
    return out


def _shape_of(part):
    """(shape, overlap): the shape that, drawn into the part's bounding box, overlaps it best."""
    ys, xs = np.nonzero(part)
    box = part[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    h, w = box.shape
    y, x = np.mgrid[0:h, 0:w] + 0.5
    y, x = 2 * y / h - 1, 2 * x / w - 1
    ideal = {
        "circle": x * x + y * y <= 1,
        "square": np.ones_like(box),
        "triangle": np.abs(x) <= (y + 1) / 2,
    }
    if not 0.6 <= h / w <= 1.6:
        return "none", 0.0
    overlap = {name: (box & m).sum() / (box | m).sum() for name, m in ideal.items()}
    best = max(overlap, key=overlap.get)
    return best, overlap[best]


def _grow(mask, by):
    for _ in range(by):
        padded = np.pad(mask, 1)
        mask = mask | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return mask


def check(prompt, rgb):
    """Does the picture show what the prompt asks for, and nothing else? -> (bool, reason).

    No learning: pixels are named by their nearest colour, a shape is the
    largest connected part of its colour, and its kind is the best overlap.
    """
    scene = parse(prompt)
    rgb = np.asarray(rgb)
    if rgb.shape != (SIZE, SIZE, 3) or rgb.dtype != np.uint8:
        return False, f"not a {SIZE}x{SIZE} RGB picture"
    names = list(COLOURS)
    palette = np.float32([COLOURS[c] for c in names] + [BACKGROUND])
    distance = np.linalg.norm(rgb[:, :, None, :].astype(np.float32) - palette, axis=-1)
    nearest = np.where(distance.min(-1) <= NEAR, distance.argmin(-1), -1)
    background = nearest == len(names)
    if background.mean() < 0.5:
        return False, "background missing"
    centres = []
    explained = background.copy()
    for colour, shape in scene[::2]:
        part = _largest_component(nearest == names.index(colour))
        if part.sum() < MIN_AREA:
            return False, f"no {colour} shape"
        found, overlap = _shape_of(part)
        if found != shape or overlap < MIN_IOU:
            return False, f"{colour} shape is a {found} ({overlap:.2f}), not a {shape}"
        ys, xs = np.nonzero(part)
        centres.append((ys.mean(), xs.mean()))
        # Two pixels around a shape are its anti-aliased edge.
        explained |= _grow(part, 2)
    stray = int((~explained).sum())
    if stray > MAX_STRAY:
        return False, f"{stray} stray pixels"
    if len(scene) == 3:
        (ay, ax), (by, bx) = centres
        down, right = by - ay, bx - ax
        along, across = {
            "above": (down, right),
            "below": (-down, right),
            "left of": (right, down),
            "right of": (-right, down),
        }[scene[1]]
        if along < 10 or along <= abs(across):
            return False, f"not {scene[1]} (dx={right:+.0f}, dy={down:+.0f})"
    return True, "ok"


def main():
    parser = argparse.ArgumentParser(description="Draw a prompt's synthetic picture and check it.")
    parser.add_argument("prompt", help='for example "a red circle above a blue square"')
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", required=True, help="PNG file to write")
    args = parser.parse_args()
    from PIL import Image

    picture = render(place(parse(args.prompt), np.random.default_rng(args.seed)))
    Image.fromarray(picture).save(args.out)
    print(*check(args.prompt, picture))


if __name__ == "__main__":
    main()
