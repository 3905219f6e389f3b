# SPDX-License-Identifier: BSD-2-Clause
"""The plots of a report, by matplotlib, as SVG whose colours are those of the page.

Colours are drawn as ones that stand for a variable of the page's style sheet and are replaced in the
result, so that one drawing serves in light and in dark.
"""

import io
import re
from html import escape

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot
from matplotlib.collections import PolyCollection
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import blended_transform_factory

import figures

NAMES = ("ink", "soft", "line", "paper", "free", "ready", "largest", "cost", "median", "worst", "limit", "phase",
         "ready-line")
STANDS_FOR = {name: f"#0102{number:02x}" for number, name in enumerate(NAMES, 1)}
C = STANDS_FOR

matplotlib.rcParams.update({
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": C["ink"],
    "axes.labelcolor": C["ink"],
    "axes.edgecolor": C["soft"],
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": C["line"],
    "grid.linewidth": 0.7,
    "xtick.color": C["soft"],
    "ytick.color": C["soft"],
    "xtick.labelcolor": C["ink"],
    "ytick.labelcolor": C["ink"],
    "legend.frameon": False,
    "legend.fontsize": 9,
})

def themed(svg, name):
    """The svg element alone, its colours variables, its ids its own, its letters the page's."""
    svg = svg[svg.index("<svg"):]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"(font: [^;\"]*?\d+(?:\.\d+)?px) [^;\"]*", r"\1 system-ui, sans-serif", svg)
    for variable, colour in STANDS_FOR.items():
        svg = svg.replace(colour, f"var(--{variable})")
    return svg


class Size:
    """A drawing for wide windows and one for narrow ones, in which letters are as large."""

    def __init__(self, name, width, legend):
        self.name, self.width, self.legend = name, width, legend

    @property
    def narrow(self):
        return self.name == "narrow"


# The width in inches of 72 CSS pixels at least, and how many entries of a legend stand beside each other.
SIZES = (Size("wide", 8.4, 4), Size("narrow", 4.0, 2))


def each_size(draw):
    """The drawings of a plot, of which the page shows the one for its window."""
    return "".join(draw(size) for size in SIZES)


def finish(figure, name, label, size, hits):
    """Draws a figure; `hits` are the texts that stand for its parts under the pointer."""
    target = io.StringIO()
    figure.savefig(target, format="svg", transparent=True, bbox_inches="tight", pad_inches=0.05,
                   metadata={"Date": None})
    pyplot.close(figure)
    svg = themed(target.getvalue(), f"{name}-{size.name}")
    for number, text in enumerate(hits):
        part = f'<g id="{name}-{size.name}-hit-{number}">'
        svg = svg.replace(part, f'{part[:-1]} class="hit"><title>{escape(text)}</title>', 1)
    size_class = f'class="plot for-{size.name}" id="plot-{name}-{size.name}"'
    return svg.replace("<svg ", f'<svg {size_class} role="img" aria-label="{escape(label)}" ', 1)


def add_hits(plot, spots, transform):
    """Rectangles that are not seen (what is not drawn has no pointer on it); finish gives them their texts."""
    for number, (left, bottom, width, height) in enumerate(spots):
        part = Rectangle((left, bottom), width, height, transform=transform, clip_on=False, zorder=9,
                         facecolor=C["soft"], edgecolor="none", alpha=0.001, gid=f"hit-{number}")
        part.set_in_layout(False)
        plot.add_patch(part)


def violin(y, costs):
    """Polygons around y, as high as there are many operations in a bucket."""
    most = max(count for _, _, count in costs)
    for first, following, count in costs:
        left, height = max(first, 0.7), 0.42 * (count / most) ** 0.5
        yield [(left, y - height), (following, y - height), (following, y + height), (left, y + height)]


def distributions(operations, unit, name, label):
    """For each of some kinds of operations how often it cost how much."""
    operations = sorted(operations, key=lambda one: figures.quantile(one, 0.5))
    return each_size(lambda size: draw_distributions(operations, unit, name, label, size))


def draw_distributions(operations, unit, name, label, size):
    rows = range(len(operations))
    matplotlib.rcParams["svg.hashsalt"] = name
    figure, plot = pyplot.subplots(figsize=(size.width, 1.2 + 0.27 * len(operations)), layout="constrained")
    shapes = [shape for y, one in zip(rows, operations) for shape in violin(y, one["costs"])]
    plot.add_collection(PolyCollection(shapes, facecolor=C["cost"], edgecolor="none"))
    marks = (("median", 0.5, "|", "median"), ("99th percentile", 0.99, "d", "limit"))
    for legend, share, marker, colour in marks:
        at = [figures.quantile(one, share) for one in operations]
        plot.plot(at, rows, marker, color=C[colour], label=legend, markersize=9 if marker == "|" else 5,
                  markeredgewidth=2 if marker == "|" else 0)
    plot.plot([one["worst"] for one in operations], rows, "x", color=C["worst"], label="worst", markersize=5)
    plot.set_xscale("log")
    plot.set_ylim(-0.7, len(operations) - 0.3)
    row_names(plot, [one["operation"] for one in operations], size)
    plot.xaxis.set_major_locator(LogLocator(numticks=4 if size.narrow else 9))
    plot.xaxis.set_minor_formatter(NullFormatter())
    plot.xaxis.set_major_formatter(FuncFormatter(with_prefix))
    plot.set_xlabel(f"cost of one operation, {unit}" + ("" if size.narrow else " (logarithmic)"))
    plot.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.3, **tight(size))
    add_row_hits(plot, len(operations))
    hits = [
        f"{one['operation']}: {figures.plural(sum(count for _, _, count in one['costs']), 'operation')}; "
        f"median at most {figures.quantile(one, 0.5):,}, 99 % at most {figures.quantile(one, 0.99):,}, "
        f"worst {one['worst']:,} {unit}"
        for one in operations
    ]
    return finish(figure, name, label, size, hits)


def tight(size):
    """For legends where there is little room."""
    return {"handletextpad": 0.3, "columnspacing": 0.9} if size.narrow else {}


def row_names(plot, names, size):
    """Names of rows at the left of a plot."""
    plot.set_yticks(range(len(names)), names)
    plot.tick_params(axis="y", length=0, labelsize=8.5 if size.narrow else 10)
    plot.grid(axis="y", visible=False)


def add_row_hits(plot, count):
    """A part under the pointer for each row, its name included."""
    across = blended_transform_factory(plot.figure.transFigure, plot.transData)
    add_hits(plot, [(0, y - 0.5, 1, 1) for y in range(count)], across)


def with_prefix(value, _=None):
    """1000 as 1 k, 1000000 as 1 M."""
    for prefix, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:g} {prefix}"
    return f"{value:g}"


def ratios(rows, limits):
    """The ratios of the benchmark to what the kernel alone would take, with the measures to hold."""
    rows = [row for row in reversed(rows) if row["ratio"] is not None]
    return each_size(lambda size: draw_ratios(rows, limits, size))


def draw_ratios(rows, limits, size):
    matplotlib.rcParams["svg.hashsalt"] = "ratios"
    figure, plot = pyplot.subplots(figsize=(size.width, 1.2 + 0.27 * len(rows)), layout="constrained")
    for y, row in enumerate(rows):
        limit = limits.get(row["name"])
        colour = C["worst" if limit and row["ratio"] > limit else "cost"]
        plot.plot([1, row["ratio"]], [y, y], color=colour, linewidth=3, solid_capstyle="butt")
        plot.plot([row["ratio"]], [y], "o", color=colour, markersize=6)
        plot.annotate(f"{row['ratio']:.2f}", (row["ratio"], y), xytext=(9, 0), textcoords="offset points",
                      va="center", fontsize=8)
        if limit:
            plot.plot([limit], [y], "|", color=C["limit"], markersize=13, markeredgewidth=2)
    plot.plot([], [], "|", color=C["limit"], markersize=11, markeredgewidth=2, label="the most it may be")
    plot.plot([], [], "o", color=C["worst"], label="above that")
    plot.axvline(1, color=C["soft"], linewidth=1)
    row_names(plot, [row["name"] for row in rows], size)
    plot.set_ylim(-0.7, len(rows) - 0.3)
    plot.set_xlim(0.95, max(row["ratio"] for row in rows) * 1.1)
    plot.set_xlabel("times the kernel's calls alone" if size.narrow
                    else "instructions, as a multiple of those of the kernel's calls alone")
    plot.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.3, **tight(size))
    add_row_hits(plot, len(rows))
    hits = [f"{row['name']}: {row['ratio']:.3f} times the kernel's calls alone"
            + (f"; at most {limits[row['name']]}" if row["name"] in limits else "") for row in rows]
    return finish(figure, "ratios", "Instructions of the manager's operations beside the kernel's alone", size, hits)
