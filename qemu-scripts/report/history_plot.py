# SPDX-License-Identifier: BSD-2-Clause
"""The plot of a run over its operations: phases, memory, fragmentation, pages, faults, and how fast it went."""

import matplotlib
from matplotlib import pyplot
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import blended_transform_factory

import figures
from plots import C, add_hits, each_size, finish, tight, with_prefix

MIB = 1 << 20
# More parts than these are not told apart by a pointer.
MOST_HITS = 250
# What is shown of free memory.
NAMES = ("free untypeds", "made, not handed out", "all that is free", "largest free untyped")
NARROW_NAMES = ("free untypeds", "made", "all free", "largest untyped")


def history(data):
    """All of it, over operations and seconds."""
    return each_size(lambda size: draw(data, size))


def draw(data, size):
    of, at = figures.series(data), figures.series(data)["operation"]
    phases = figures.phases(data)
    matplotlib.rcParams["svg.hashsalt"] = "history"
    heights = (0.5 + 0.15 * len(phases), 2.4, 1.1, 1.1, 1.1, 1.1)
    figure, plots = pyplot.subplots(6, 1, sharex=True, figsize=(size.width, sum(heights) + 1.2),
                                    height_ratios=heights, layout="constrained")
    bands, memory, fragments, pages, faults, speed = plots
    draw_phases(bands, phases, size)
    draw_memory(memory, of, size)
    line(fragments, at, [value / 10 for value in of["permille"]], "largest", "fragmen-\ntation, %")
    fragments.set_ylim(0, 103)
    line(pages, at, of["pages"], "cost", "pages\nmapped")
    line(faults, at, of["faults"], "worst", "faults\nresolved")
    rates = figures.rates(data)
    line(speed, [first for first, _ in rates], [rate for _, rate in rates], "ready-line", "operations\na second")
    speed.set_xlabel("operations")
    speed.set_xlim(0, max(at[-1], 1))
    speed.xaxis.set_major_locator(MaxNLocator(4 if size.narrow else 8))
    speed.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    for plot in (pages, faults, speed):
        plot.set_ylim(0)
        plot.yaxis.set_major_locator(MaxNLocator(3))
        plot.yaxis.set_major_formatter(FuncFormatter(with_prefix))
    for plot in plots[1:]:
        for first, last in phases.get("fill", ()):
            plot.axvspan(first, last, color=C["soft"], alpha=0.18, linewidth=0)
    show_seconds(bands, at, figures.seconds(data), size)
    figure.align_ylabels(plots)
    hits = add_moments(speed, data)
    return finish(figure, "history", "Phases, free memory, fragmentation, mapped pages, faults and operations a "
                  "second over the run", size, hits)


def line(plot, at, values, colour, label):
    """One figure over the operations."""
    plot.plot(at, values, color=C[colour], linewidth=1.1)
    plot.set_ylabel(label, fontsize=9)


def draw_phases(plot, phases, size):
    """A band for each phase, where it was on; the first one on top."""
    for row, spans in enumerate(phases.values()):
        plot.broken_barh([(first, last - first) for first, last in spans], (row - 0.4, 0.8),
                         facecolor=C["phase"], linewidth=0)
    plot.set_yticks(range(len(phases)), list(phases), fontsize=8)
    plot.set_ylim(len(phases) - 0.4, -0.6)
    plot.tick_params(axis="y", length=0)


def draw_memory(plot, of, size):
    """What is free, and in which pieces."""
    at = of["operation"]
    untyped, free = ([value / MIB for value in of[key]] for key in ("untyped", "free"))
    names = NARROW_NAMES if size.narrow else NAMES
    plot.fill_between(at, 0, untyped, color=C["free"], linewidth=0, label=names[0])
    plot.fill_between(at, untyped, free, color=C["ready"], linewidth=0, label=names[1])
    plot.plot(at, free, color=C["ink"], linewidth=0.9, label=names[2])
    plot.plot(at, [value / MIB for value in of["largest"]], color=C["largest"], linewidth=1.2,
              label=names[3])
    plot.set_ylabel("free, MiB", fontsize=9)
    plot.set_ylim(0, max(free) * 1.02)
    plot.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=size.legend, borderaxespad=0.1, **tight(size))


def add_moments(plot, data):
    """Parts of the run under the pointer, from top to bottom of the plot; what is said of each."""
    of, seconds = figures.series(data), figures.seconds(data)
    at = of["operation"]
    step = -(-len(at) // MOST_HITS)
    chosen = list(range(0, len(at), step))
    edges = [at[0], *((at[one] + at[other]) / 2 for one, other in zip(chosen, chosen[1:])), max(at[-1], 1)]
    down = blended_transform_factory(plot.transData, plot.figure.transFigure)
    add_hits(plot, [(left, 0, right - left, 1) for left, right in zip(edges, edges[1:])], down)
    return [
        f"operation {at[one]:,}, {seconds[one]:,.1f} s, phase {of['phase'][one]}: "
        f"{figures.in_bytes(of['free'][one])} free, the largest free untyped {figures.in_bytes(of['largest'][one])}, "
        f"fragmentation {of['permille'][one] / 10:.1f} %, {of['pages'][one]:,} pages mapped, "
        f"{of['faults'][one]:,} faults, {of['calls'][one]:,} kernel calls"
        for one in chosen
    ]


def show_seconds(plot, at, seconds, size):
    """A scale of seconds above: operations do not all take as long."""
    above = plot.secondary_xaxis("top")
    step = next(step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1200, 3600, 1e9)
                if seconds[-1] / step <= (4 if size.narrow else 8))
    ticks, labels, following, apart = [], [], 0.0, at[-1] / (9 if size.narrow else 20)
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
