# SPDX-License-Identifier: BSD-2-Clause
"""Makes the report of a stress run: one page that needs nothing but itself. Called by stress.sh."""

import argparse
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # leave nothing beside the scripts

HERE = Path(__file__).resolve().parent
sys.path.insert(1, str(HERE.parent))

import jinja2
from markupsafe import Markup

import bench
import figures
import files
import history_plot
import memory_map
import plots
import stress_data

# The moments of the maps, in the order in which they come.
MOMENTS = {
    "start": "At the start",
    "fullest": "When it was fullest",
    "last operation": "At the last operation",
    "failure": "When it failed",
    "end": "At the end, all given back",
}
# The parts of the page: what to call each in an address, and its heading.
SECTIONS = {
    "balance": "Was everything given back?",
    "compared": "Compared with an earlier run",
    "history": "Free memory, fragmentation and faults",
    "map": "Physical memory",
    "costs": "What an operation costs",
    "phases": "What an operation costs in each phase",
    "operations": "Operations by kind",
    "calls": "Kernel calls",
    "benchmark": "The benchmark",
    "about": "Configuration and versions",
}


def facts(data):
    """The run in a few numbers."""
    least, _, _ = figures.least_free(data)
    wrong, met = figures.wrong_requests(data)
    return [
        ("operations", f"{data['done']:,}"),
        ("kernel calls", f"{figures.kernel_calls(data):,}"),
        ("wrong requests refused", f"{met:,} of {wrong:,}" if data["operations"] else "not told"),
        ("faults resolved", f"{figures.series(data)['faults'][-1]:,}"),
        ("least free memory", figures.in_bytes(least)),
        ("duration", f"{figures.seconds(data)[-1]:,.1f} s"),
    ]


def history(data):
    """Phases, free memory, fragmentation and faults over time."""
    least, operation, phase = figures.least_free(data)
    return {
        "plot": Markup(history_plot.history(data)), "least": figures.in_bytes(least), "operation": operation,
        "phase": phase, "total": figures.in_bytes(data["run"]["total_bytes"]),
        "filled": "fill" in figures.phases(data), "samples": figures.plural(len(data["samples"]), "sample"),
    }


def maps(data):
    """Maps of physical memory, and the bytes they show; None if none was told."""
    told = [(name, title, data["maps"][name]) for name, title in MOMENTS.items() if name in data["maps"]]
    if not told:
        return None
    return {
        "square": figures.in_bytes(told[0][2]["square_bytes"]),
        "moments": [{"title": title, "drawing": Markup(memory_map.draw(name, one)), "operation": one["operation"],
                     "free": figures.in_bytes(one["free_bytes"])} for name, title, one in told],
        "rows": [(memory_map.colour_class(letter), use,
                  [one["bytes"][letter] and figures.in_bytes(one["bytes"][letter]) for _, _, one in told])
                 for letter, use in memory_map.USES.items()],
        "heads": [title.split(",")[0].lower() for _, title, _ in told],
    }


def costs(data):
    """The cost of each kind of operation as a distribution; None where none was told."""
    operations, unit = data["operations"], data["run"]["unit"]
    if not operations:
        return None
    return {
        "plot": Markup(plots.distributions(operations, unit, "costs", "How often each kind of operation cost how much")),
        "dearest": max(operations, key=lambda one: one["worst"]),
        "rows": [
            (one["operation"], figures.attempts(one), figures.quantile(one, 0.5), figures.quantile(one, 0.99),
             one["worst"], one["worst_at"])
            for one in sorted(operations, key=lambda one: -figures.quantile(one, 0.5))
        ],
        "repeats": [(one["operation"], f"qemu-scripts/{data['repeat']} --operations {one['worst_at']}")
                    for one in operations],
    }


def phases(data):
    """The same by phases; None where it was not told."""
    operations, unit = figures.by_phase(data), data["run"]["unit"]
    if not operations:
        return None
    return {
        "plot": Markup(plots.distributions(operations, unit, "phases", "How often an operation cost how much in each phase")),
        "rows": [
            (one["operation"], sum(count for _, _, count in one["costs"]), figures.quantile(one, 0.5),
             figures.quantile(one, 0.99), one["worst"])
            for one in sorted(operations, key=lambda one: -figures.quantile(one, 0.99))
        ],
    }


def operations(data):
    """Operations by kind and how they ended."""
    rows = [
        (one["operation"], one["done"], one["short"], one["refused"] + one["wrong_and_short"], one["refused"])
        for one in data["operations"]
    ]
    return [*rows, ("all", *(sum(row[at] for row in rows) for at in range(1, 5)))] if rows else None


def calls(data):
    """Kernel calls by kind."""
    made = sorted(((count, name) for name, count in data["calls"].items() if count), reverse=True)
    total = sum(count for count, _ in made)
    rows = [(name, count, f"{100 * count / total:.1f} %") for count, name in made]
    return [*rows, ("all", total, "100 %")] if rows else None


def compared(data, earlier):
    """The run beside an earlier one, if there is any."""
    if not earlier:
        return None
    costs_of_both = figures.compared_costs(data, earlier)
    return {
        "verdict": stress_data.verdict(earlier)[1],
        "different": figures.different_settings(data, earlier),
        "rows": [(name, write(before), write(now), change(before, now))
                 for name, before, now, write in figures.compared(data, earlier)],
        "costs": costs_of_both and [
            (name, *(f"{one:,}" for one in values[:2]), change(*values[:2], figures.BUCKET),
             *(f"{one:,}" for one in values[2:]), change(*values[2:], figures.BUCKET))
            for name, *values in costs_of_both
        ],
    }


def change(before, now, noise=0.0):
    """By how much a number has changed, in per cent; nothing where it may be the same."""
    if before == now or not before:
        return ""
    share = now / before - 1
    return "" if abs(share) <= noise else f"{100 * share:+,.1f} %"


def benchmark(path):
    """The ratios of the benchmark, if there are any."""
    if not path:
        return None
    rows, made_with = bench.load(path)
    return {
        "plot": Markup(plots.ratios(rows, bench.RATIO)), "made_with": list(made_with.items()),
        "not_held": list(bench.measure_faults(rows, made_with)),
    }


def style():
    """The style sheet, with the colours of the maps."""
    rules = [(HERE / "page.css").read_text(encoding="utf-8")]
    for letter in memory_map.USES:
        variable = "--use-none" if letter == "." else f"--use-{letter}"
        rules.append(f".{memory_map.colour_class(letter)} {{ fill: var({variable}); background: var({variable}); }}\n")
    return Markup("".join(rules))


def make_page(data, benchmark_path, earlier):
    """The page, as text. What is no Markup is escaped."""
    well, verdict = stress_data.verdict(data)
    told = {
        "balance": data["balance"], "compared": compared(data, earlier), "history": history(data), "map": maps(data),
        "costs": costs(data), "phases": phases(data), "operations": operations(data), "calls": calls(data),
        "benchmark": benchmark(benchmark_path), "about": data["about"],
    }
    # What a run must tell is on the page even if it was not told.
    always = ("balance", "history", "map", "costs", "about")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )
    environment.filters["plural"] = figures.plural
    return environment.get_template("page.html").render(
        told, data=data, run=data["run"], well=well, verdict=verdict, facts=facts(data), style=style(),
        script=Markup((HERE / "hover.js").read_text(encoding="utf-8")), wrong=figures.wrong_requests(data),
        sections={name: heading for name, heading in SECTIONS.items() if told[name] or name in always},
    )


def parse_arguments():
    """What stress.py passes on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="what stress.py saved")
    parser.add_argument("--bench", help="rows of the benchmark, by bench.sh --save or --json")
    parser.add_argument("--compare", help="what stress.py saved of an earlier run")
    parser.add_argument("--output", required=True, help="the page")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    try:
        data = stress_data.load(arguments.data)
        earlier = stress_data.load(arguments.compare) if arguments.compare else None
        files.write_whole(arguments.output, make_page(data, arguments.bench, earlier))
    except (OSError, ValueError) as error:
        sys.exit(f"page.py: {error}")


if __name__ == "__main__":
    main()
