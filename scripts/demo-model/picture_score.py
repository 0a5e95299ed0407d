"""Scores 48 pictures of held-out prompts with the detector of pictures.py.

With --all, every held-out prompt is scored with a seed of its own: the 48 are
few, and a share of them has a standard error of about 4 points.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import pictures

BAR = 0.90


def from_reference(args, listed):
    """Makes the pictures with reference.py, and keeps them if asked to."""
    import reference

    pipeline = reference.Pipeline(args.model)
    for n, (seed, prompt) in enumerate(listed):
        picture = pipeline(prompt, seed, args.steps, args.guidance)
        if args.keep:
            args.keep.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(args.keep / f"{n:02}.png")
        yield picture


def from_folder(folder):
    for n in range(len(pictures.score_list())):
        path = folder / f"{n:02}.png"
        yield np.asarray(Image.open(path).convert("RGB")) if path.exists() else None


def write_sheet(found, path, side=4, scale=2):
    """A contact sheet of the first side x side pictures."""
    step = pictures.SIZE * scale + 4
    sheet = Image.new("RGB", (side * step + 4, side * step + 4), (128, 128, 128))
    for n, picture in enumerate(found[: side * side]):
        big = Image.fromarray(picture).resize((step - 4, step - 4), Image.Resampling.NEAREST)
        sheet.paste(big, (n % side * step + 4, n // side * step + 4))
    sheet.save(path, optimize=True)


def main():
    parser = argparse.ArgumentParser(description="Score pictures of the 48 held-out prompts.")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--reference", action="store_true", help="make the pictures with reference.py")
    source.add_argument("--pictures", type=Path, help="folder with 00.png ... 47.png made elsewhere")
    source.add_argument("--list", action="store_true", help='print the 48 "seed<TAB>prompt" lines and stop')
    parser.add_argument("--model", type=Path, default=Path(__file__).resolve().parent / "model")
    parser.add_argument("--steps", type=int, default=20, help="only with --reference")
    parser.add_argument("--guidance", type=float, default=4.0, help="only with --reference")
    parser.add_argument("--all", action="store_true", help="only with --reference: all held-out prompts, not the 48")
    parser.add_argument("--keep", type=Path, help="only with --reference: folder to write the pictures to")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of the first 16 pictures")
    args = parser.parse_args()

    if args.all and not args.reference:
        parser.error("--all needs --reference")
    listed = pictures.score_list()
    if args.all:
        listed = [(50000 + n, pictures.prompt_of(s)) for n, s in enumerate(pictures.split()[1])]
    if args.list:
        for seed, prompt in listed:
            print(f"{seed}\t{prompt}")
        return
    scored = list(from_reference(args, listed) if args.reference else from_folder(args.pictures))
    found = 0
    for n, ((seed, prompt), picture) in enumerate(zip(listed, scored)):
        ok, reason = (False, "no such file") if picture is None else pictures.check(prompt, picture)
        found += ok
        print(f"{n:02}  {seed}  {prompt:<50}  {reason}")
    if args.sheet:
        write_sheet([p for p in scored if p is not None], args.sheet)
    share = found / len(listed)
    print(f"picture-score: found={found} of={len(listed)} share={share:.3f} bar={BAR:.2f}")
    sys.exit(share < BAR)


if __name__ == "__main__":
    main()
