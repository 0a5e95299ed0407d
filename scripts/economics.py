"""`scripts/check economics`: makes the tables of docs/economics.md and docs/economics.svg from what the simulation has counted.

The tables come between two comments in docs/economics.md; the text around them is written by hand. Needs nothing but the standard library.
"""

import argparse
import csv
import math
from pathlib import Path

BEGIN = "<!-- Written by scripts/check economics: -->"
END = "<!-- Until here. -->"
# A colour for each audit rate that tells them apart for colour-blind eyes, too (Okabe and Ito).
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7")


def read(path):
    """The cells, each a dictionary of numbers and the strategy's name."""
    with path.open(newline="") as file:
        return [{name: value if name == "strategy" else float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def values(cells, name):
    """The different values of a column, in their order."""
    return list(dict.fromkeys(cell[name] for cell in cells))


# ---- tables ----------------------------------------------------------------------------


def table(head, rows):
    lines = [head, ["---:"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def percent(value, digits=2):
    return f"{100 * value:.{digits}f} %"


def strategy_table(cells):
    head = ["f", "q", "caught", "expected", "short", "tasks to a slash", "expected", "95 %", "expected", "profit", "expected", "short", "honest"]
    rows = []
    for cell in cells:
        profit = f"{cell['profit']:.3f} ± {cell['profit_error']:.3f}"
        rows.append(
            [
                f"{cell['colluding_percent']:.0f} %",
                f"{cell['audit_percent']:.0f} %",
                f"{100 * cell['caught']:.2f} ± {percent(cell['caught_error'])}",
                percent(cell["caught_law"]),
                percent(cell["caught_short"]),
                f"{cell['first_slash']:.1f} ± {cell['first_slash_error']:.1f}",
                f"{cell['first_slash_law']:.1f}",
                f"{cell['first_slash_p95']:.0f}",
                f"{cell['first_slash_p95_law']:.0f}",
                f"**{profit}**" if cell["advantage"] > 0 else profit,
                f"{cell['profit_law']:.3f}",
                f"{cell['profit_short']:.3f}",
                f"{cell['honest']:.3f}",
            ]
        )
    return table(head, rows)


def court_table(cells):
    """One row for each coalition, from the cell with the most courts."""
    head = ["f", "courts of 7", "captured", "expected", "short", "courts of 21", "captured", "expected", "short"]
    rows = []
    for colluding in values(cells, "colluding_percent"):
        cell = max((cell for cell in cells if cell["colluding_percent"] == colluding), key=lambda cell: cell["first_courts"])
        row = [f"{colluding:.0f} %"]
        for size in ("first", "second"):
            courts = cell[f"{size}_courts"]
            row.append(f"{courts:.0f}")
            row.extend(percent(cell[f"{size}_captured{law}"] / courts, 3) if courts else "none" for law in ("", "_law"))
            row.append(percent(cell[f"{size}_capture_short"], 3))
        rows.append(row)
    return table(head, rows)


def what_pays(cells):
    winners = [cell for cell in cells if cell["advantage"] > 0]
    if not winners:
        return f"Cheating pays in none of {len(cells)} cells."
    places = (
        f"{cell['strategy']} with f = {cell['colluding_percent']:.0f} % and q = {cell['audit_percent']:.0f} %, by "
        f"{cell['advantage']:.3f} ± {cell['advantage_error']:.3f} R a task"
        for cell in winners
    )
    return f"Cheating pays in {len(winners)} of {len(cells)} cells: " + "; ".join(places) + "."


def report(cells):
    parts = []
    for strategy in values(cells, "strategy"):
        of_it = [cell for cell in cells if cell["strategy"] == strategy]
        parts += [f"### {strategy[0].upper()}{strategy[1:]}", strategy_table(of_it)]
    parts += ["### Courts", court_table(cells)]
    parts += ["### What pays", what_pays(cells)]
    return "\n\n".join(parts)


# ---- plot ------------------------------------------------------------------------------


class Panel:
    """Axes, points and lines in a rectangle of the picture."""

    WIDTH, HEIGHT = 400, 330

    def __init__(self, left, top, xs, ys, label, scale):
        self.left, self.top, self.scale = left, top, scale
        self.xs, self.ys = (min(xs), max(xs)), (scale(ys[0]), scale(ys[-1]))
        self.parts = [text(left + self.WIDTH / 2, top - 14, label, "middle", 14)]
        bottom = top + self.HEIGHT
        for x in xs:
            at = self.x(x)
            self.parts += [line([(at, top), (at, bottom)], "#e4e4e4"), text(at, bottom + 18, f"{x:.0f}", "middle")]
        for y in ys:
            at = self.y(y)
            self.parts += [line([(left, at), (left + self.WIDTH, at)], "#888" if y == 0 else "#e4e4e4"), text(left - 8, at + 4, f"{y:g}", "end")]
        self.parts.append(text(left + self.WIDTH / 2, bottom + 38, "f: colluding stake, percent", "middle"))

    def x(self, value):
        low, high = self.xs
        return self.left + self.WIDTH * (value - low) / (high - low)

    def y(self, value):
        low, high = self.ys
        return self.top + self.HEIGHT * (high - self.scale(value)) / (high - low)

    def curve(self, points, expected, colour, dashes):
        """What was counted as points with their standard errors, what is expected as a line."""
        self.parts.append(line([(self.x(x), self.y(y)) for x, y in expected], colour, 1.8, dashes))
        for x, y, error in points:
            self.parts.append(line([(self.x(x), self.y(y - error)), (self.x(x), self.y(y + error))], colour, 1.2))
            self.parts.append(f'<circle cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="3.2" fill="{colour}"/>')


def text(x, y, words, anchor="start", size=12):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{words}</text>'


def line(points, colour, width=1.0, dashes=""):
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dash}/>'


def curves(panel, cells, styles, counted, expected):
    for strategy, dashes in styles:
        for rate, colour in zip(values(cells, "audit_percent"), COLOURS):
            some = [cell for cell in cells if cell["strategy"] == strategy and cell["audit_percent"] == rate]
            points = [(cell["colluding_percent"], *counted(cell)) for cell in some]
            panel.curve(points, [(cell["colluding_percent"], expected(cell)) for cell in some], colour, dashes)


def plot(cells):
    width, height = 1000, 500
    shares, rates = values(cells, "colluding_percent"), values(cells, "audit_percent")
    # Nearly linear around 0, logarithmic far from it, so that both a fifth of a fee and seven fees can be seen.
    gain = Panel(60, 60, shares, [-10, -5, -2, -1, -0.5, 0, 0.5, 1], "what cheating brings beyond honest work, R a task", lambda y: math.asinh(y / 0.4))
    slash = Panel(550, 60, shares, [1, 3, 10, 30, 100, 300, 1000, 3000], "tasks until the first slash", math.log10)
    curves(
        gain,
        cells,
        (("always", "5 4"), ("wary jurors", "")),
        lambda cell: (cell["advantage"], cell["advantage_error"]),
        lambda cell: cell["profit_law"] - cell["honest_law"],
    )
    curves(
        slash,
        cells,
        (("one in 20", "5 4"), ("wary jurors", "")),
        lambda cell: (cell["first_slash"], cell["first_slash_error"]),
        lambda cell: cell["first_slash_law"],
    )
    legend = []
    for place, (rate, colour) in enumerate(zip(rates, COLOURS)):
        x = 60 + 85 * place
        legend += [line([(x, 464), (x + 24, 464)], colour, 3), text(x + 30, 468, f"q = {rate:.0f} %")]
    legend += [line([(420, 464), (450, 464)], "#444", 1.8), text(456, 468, "wary jurors")]
    legend += [line([(550, 464), (580, 464)], "#444", 1.8, "5 4"), text(586, 468, "always (left), one in 20 (right)")]
    legend.append(text(60, 488, "Points: counted, with standard errors. Lines: expected. Above 0 cheating pays."))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *gain.parts,
        *slash.parts,
        *legend,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("counted", type=Path, help="the file that the simulation has written")
    parser.add_argument("docs", type=Path, help="the folder with economics.md")
    args = parser.parse_args()
    cells = read(args.counted)
    page = args.docs / "economics.md"
    before, _, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{page} has no place for the tables")
    page.write_text(f"{before}{BEGIN}\n\n{report(cells)}\n\n{END}{after}")
    (args.docs / "economics.svg").write_text(plot(cells))


if __name__ == "__main__":
    main()
