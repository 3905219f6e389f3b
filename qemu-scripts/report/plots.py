"""The plots of a report, by matplotlib, as SVG whose colours are those of the page.

Colours are drawn as ones that stand for a variable of the page's style sheet and are replaced in the
result, so that one drawing serves in light and in dark.
"""

import io
import re

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot
from matplotlib.collections import PolyCollection
from matplotlib.ticker import FuncFormatter, NullFormatter

import figures

NAMES = ("ink", "soft", "line", "paper", "free", "ready", "largest", "cost", "median", "worst", "limit")
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

MIB = 1 << 20


def themed(svg, name):
    """The svg element alone, its colours variables, its ids its own, its letters the page's."""
    svg = svg[svg.index("<svg"):]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"(font: [^;\"]*?\d+(?:\.\d+)?px) [^;\"]*", r"\1 system-ui, sans-serif", svg)
    for variable, colour in STANDS_FOR.items():
        svg = svg.replace(colour, f"var(--{variable})")
    return svg


def finish(figure, name, label):
    """Draws a figure."""
    target = io.StringIO()
    figure.savefig(target, format="svg", transparent=True, bbox_inches="tight", pad_inches=0.05,
                   metadata={"Date": None})
    pyplot.close(figure)
    svg = themed(target.getvalue(), name)
    return svg.replace("<svg ", f'<svg class="plot" id="plot-{name}" role="img" aria-label="{label}" ', 1)


def spans(flags):
    """The runs of true values, as pairs of the first and the one behind the last."""
    edges = [at for at in range(len(flags) + 1)
             if (at < len(flags) and flags[at]) != (at > 0 and flags[at - 1])]
    return zip(edges[::2], edges[1::2])


def history(data):
    """Free memory, fragmentation and mapped pages, over operations and seconds."""
    of = figures.series(data)
    at = of["operation"]
    matplotlib.rcParams["svg.hashsalt"] = "history"
    figure, (memory, fragments, pages) = pyplot.subplots(
        3, 1, sharex=True, figsize=(8.4, 6.6), height_ratios=(3, 1.3, 1.3), layout="constrained"
    )
    untyped, free = ([value / MIB for value in of[key]] for key in ("untyped", "free"))
    memory.fill_between(at, 0, untyped, color=C["free"], linewidth=0, label="free untypeds")
    memory.fill_between(at, untyped, free, color=C["ready"], linewidth=0, label="made, not handed out")
    memory.plot(at, free, color=C["ink"], linewidth=0.9, label="all that is free")
    memory.plot(at, [value / MIB for value in of["largest"]], color=C["largest"], linewidth=1.2,
                label="largest free untyped")
    memory.set_ylabel("MiB")
    memory.set_ylim(0, max(free) * 1.02)
    memory.legend(loc="lower left", bbox_to_anchor=(0, 1.13), ncols=4, borderaxespad=0)
    fragments.plot(at, [value / 10 for value in of["permille"]], color=C["largest"], linewidth=1.1)
    fragments.set_ylim(0, 103)
    fragments.set_ylabel("fragmen-\ntation, %")
    pages.plot(at, of["pages"], color=C["cost"], linewidth=1.1)
    pages.set_ylim(0)
    pages.set_ylabel("pages\nmapped")
    pages.set_xlabel("operations")
    pages.set_xlim(0, max(at[-1], 1))
    for axis in (pages.xaxis, pages.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    for plot in (memory, fragments, pages):
        for first, behind in spans([phase == "fill" for phase in of["phase"]]):
            plot.axvspan(at[first], at[min(behind, len(at) - 1)], color=C["soft"], alpha=0.18, linewidth=0)
    show_seconds(memory, at, figures.seconds(data))
    return finish(figure, "history", "Free memory, fragmentation and mapped pages over the run")


def show_seconds(plot, at, seconds):
    """A scale of seconds above: operations do not all take as long."""
    above = plot.secondary_xaxis("top")
    step = next(step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1200, 3600, 1e9)
                if seconds[-1] / step <= 8)
    ticks, labels, following, apart = [], [], 0.0, at[-1] / 20
    for operation, second in zip(at, seconds):
        if second >= following:
            passed = following + step * ((second - following) // step)
            following = passed + step
            # Where operations are slow, seconds lie too close together to name each.
            if not ticks or operation - ticks[-1] >= apart:
                ticks.append(operation)
                labels.append(f"{passed:g} s")
    above.set_xticks(ticks, labels)
    above.tick_params(labelsize=8)
    above.spines["top"].set_visible(False)


def violin(y, costs):
    """Polygons around y, as high as there are many operations in a bucket."""
    most = max(count for _, _, count in costs)
    for first, following, count in costs:
        left, height = max(first, 0.7), 0.42 * (count / most) ** 0.5
        yield [(left, y - height), (following, y - height), (following, y + height), (left, y + height)]


def costs(data):
    """For each kind of operation how often it cost how much."""
    operations = sorted(data["operations"], key=lambda one: figures.quantile(one, 0.5))
    rows = range(len(operations))
    matplotlib.rcParams["svg.hashsalt"] = "costs"
    figure, plot = pyplot.subplots(figsize=(8.4, 1.2 + 0.27 * len(operations)), layout="constrained")
    shapes = [shape for y, one in zip(rows, operations) for shape in violin(y, one["costs"])]
    plot.add_collection(PolyCollection(shapes, facecolor=C["cost"], edgecolor="none"))
    marks = (("median", 0.5, "|", "median"), ("99th percentile", 0.99, "d", "limit"))
    for label, share, marker, colour in marks:
        at = [figures.quantile(one, share) for one in operations]
        plot.plot(at, rows, marker, color=C[colour], label=label, markersize=9 if marker == "|" else 5,
                  markeredgewidth=2 if marker == "|" else 0)
    plot.plot([one["worst"] for one in operations], rows, "x", color=C["worst"], label="worst", markersize=5)
    plot.set_xscale("log")
    plot.set_ylim(-0.7, len(operations) - 0.3)
    plot.set_yticks(rows, [one["operation"] for one in operations])
    plot.tick_params(axis="y", length=0)
    plot.grid(axis="y", visible=False)
    plot.xaxis.set_minor_formatter(NullFormatter())
    plot.xaxis.set_major_formatter(FuncFormatter(with_prefix))
    plot.set_xlabel(f"cost of one operation, {data['run']['unit']} (logarithmic)")
    plot.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.3)
    return finish(figure, "costs", "How often each kind of operation cost how much")


def with_prefix(value, _=None):
    """1000 as 1 k, 1000000 as 1 M."""
    for prefix, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:g} {prefix}"
    return f"{value:g}"


def ratios(rows, limits):
    """The ratios of the benchmark to what the kernel alone would take, with the measures to hold."""
    rows = [row for row in reversed(rows) if row["ratio"] is not None]
    matplotlib.rcParams["svg.hashsalt"] = "ratios"
    figure, plot = pyplot.subplots(figsize=(8.4, 1.2 + 0.27 * len(rows)), layout="constrained")
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
    plot.set_yticks(range(len(rows)), [row["name"] for row in rows])
    plot.set_ylim(-0.7, len(rows) - 0.3)
    plot.set_xlim(0.95, max(row["ratio"] for row in rows) * 1.1)
    plot.tick_params(axis="y", length=0)
    plot.grid(axis="y", visible=False)
    plot.set_xlabel("instructions, as a multiple of those of the kernel's calls alone")
    plot.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.3)
    return finish(figure, "ratios", "Instructions of the manager's operations beside the kernel's alone")
