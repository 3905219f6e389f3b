# SPDX-License-Identifier: BSD-2-Clause
"""Makes a table, a JSON file and a verdict of the benchmark's output. Called by bench.sh."""

import argparse
import json
import math
import sys

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import files
import interrupts

# What must be held, whatever was saved: the greatest ratio to the floor, of all and of the longest
# operation; kernel calls; bytes a page (where a word has 4 bytes: records are made of words);
# instructions, and those of the longest operation.
RATIO = {
    "map_bulk_4k": 1.05,
    "map_single_4k": 1.15,
    "unmap_free_bulk_4k": 1.05,
    "protect_bulk_4k": 1.05,
    "ipc_buffer": 1.15,
    "fault_demand_zero": 1.15,
    "cold_single": 1.25,
}
# No request waits for more than the clearing of the smallest untyped that had to be begun.
WORST_RATIO = {"cold_single": 1.05}
INSTRUCTIONS = {"clear_page": 2000, "cold_map_1m": 2_500_000}
WORST = {
    "cold_single_cleared": 500_000,
    "cold_single_paced": 50_000,
    "cold_single_paced_again": 50_000,
}
KERNEL_CALLS = {"alloc_1024_frames": 10}
BYTES_PER_PAGE = {"map_bulk_4k": 4, "alloc_1024_frames": 4, "map_scattered_4k": 32}

SPREAD = ("median", "p99", "worst")


def per_unit(total, units):
    """A total divided by its units, to two places; None stays None."""
    if total is None:
        return None
    figure = round(total / units, 2)
    return int(figure) if figure == int(figure) else figure


def row(raw):
    """One object of the JSON file from one line of the guest."""
    result = {
        "name": raw["name"],
        "unit": raw["unit"],
        "instructions": per_unit(raw["instructions"], raw["count"]),
        "floor": per_unit(raw.get("floor"), raw["count"]),
        "ratio": round(raw["instructions"] / raw["floor"], 4) if raw.get("floor") else None,
        "kernel_calls": per_unit(raw["kernel_calls"], raw["count"]),
        "bytes_per_page": per_unit(raw["bytes"], raw["pages"]) if "pages" in raw else None,
    }
    for key in (*SPREAD, *("floor_" + key for key in SPREAD)):
        if key in raw:
            result[key] = raw[key]
    if result.get("floor_worst"):
        result["worst_ratio"] = round(result["worst"] / result["floor_worst"], 4)
    return result


def read_rows(path):
    """The rows of a file with the benchmark's output."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return rows_in(file)


def rows_in(lines):
    """The rows between the markers, of each part; a guest may print other lines, too."""
    rows, within, parts = [], False, 0
    for line in map(str.strip, lines):
        if line in ("bench: begin", "bench: end"):
            if within == (line == "bench: begin"):
                break
            within, parts = not within, parts + 1
        elif within and line.startswith("{"):
            rows.append(row(json.loads(line)))
    if within or not parts:
        sys.exit("the benchmark's output is not complete")
    return rows


def show(rows):
    """Prints the table."""

    def cell(value):
        return "" if value is None else f"{value:,}"

    columns = ("instructions", "floor", "ratio", "kernel_calls", "bytes_per_page", *SPREAD)
    heads = ("operation", "unit", "instructions", "floor", "ratio", "calls", "bytes/page", *SPREAD)
    table = [heads]
    for entry in rows:
        figures = (cell(entry.get(column)) for column in columns)
        table.append((entry["name"], entry["unit"], *figures))
    widths = [max(len(line[at]) for line in table) for at in range(len(heads))]
    for line in table:
        cells = [
            text.ljust(width) if at < 2 else text.rjust(width)
            for at, (text, width) in enumerate(zip(line, widths))
        ]
        print("  ".join(cells).rstrip())


def growth_faults(rows):
    """Operations that grow faster than log n, at any of their sizes.

    The cost a + b * log n, with a and b not negative, grows from one size to another by at most the
    ratio of the sizes' logarithms. So the bound at each size follows from the sizes and from the
    cost at the smallest one.
    """
    series = {}
    for entry in rows:
        name, beside, others = entry["name"].partition("_beside_")
        if beside and int(others) > 1:  # the bound has nothing to say from log 1 = 0
            cost = entry["median"] if "median" in entry else entry["instructions"]
            series.setdefault(name, []).append((int(others), cost))
    for name, points in series.items():
        few, least = min(points)
        for many, cost in sorted(points)[1:]:
            times = math.log(many) / math.log(few)
            if cost > times * least:
                yield (
                    f"{name}: {least} instructions beside {few}, {cost} beside {many}: "
                    f"{cost / least:.2f} times, at most {times:.2f}"
                )


def word_bytes(made_with):
    """The bytes of a word, of the architecture that rows were made on (without any: IA32)."""
    return 8 if made_with and made_with.get("architecture") == "x86_64" else 4


def measure_faults(rows, made_with):
    """Measures that are not held."""
    by_name = {entry["name"]: entry for entry in rows}
    most_bytes = {name: limit * word_bytes(made_with) // 4 for name, limit in BYTES_PER_PAGE.items()}
    limits = (
        ("ratio", RATIO), ("worst_ratio", WORST_RATIO), ("kernel_calls", KERNEL_CALLS),
        ("bytes_per_page", most_bytes), ("instructions", INSTRUCTIONS), ("worst", WORST),
    )
    for key, most in limits:
        for name, limit in most.items():
            value = by_name.get(name, {}).get(key)
            if value is None:
                yield f"{name}: no {key}"
            elif value > limit:
                yield f"{name}: {key} {value}, at most {limit}"
    yield from growth_faults(rows)


# What fails a comparison.
COUNTS = ("got worse", "unknown")


def judged(entry):
    """What a row is judged by: its ratio to the floor, or where it has none, its instructions."""
    return "instructions" if entry["ratio"] is None else "ratio"


def compare_row(name, old, new, margin):
    """What differs by more than the margin (percent), as pairs of a kind and a text.

    Kernel calls and bytes are told and do not count: they also depend on where in memory the image
    ends. The measures limit them.
    """
    if new is None:
        yield "got worse", f"{name}: there is no such row any more"
        return
    for key in (judged(old), "kernel_calls", "bytes_per_page"):
        before, now = old[key], new[key]
        cost = key == judged(old)
        if before is None and now is None:
            continue
        if before is None or now is None:
            yield "got worse" if cost else "differs", f"{name}: {key} {now}, was {before}"
        elif now > before * (1 + margin / 100):
            yield "got worse" if cost else "differs", f"{name}: {key} {now}, was {before}"
        elif now < before * (1 - margin / 100):
            yield "got better" if cost else "differs", f"{name}: {key} {now}, was {before}"


def compare(rows, before, margin):
    """What differs by more than the margin between rows and those of before."""
    now = {entry["name"]: entry for entry in rows}
    for entry in before:
        yield from compare_row(entry["name"], entry, now.get(entry["name"]), margin)
    known = {entry["name"] for entry in before}
    for name in now:
        if name not in known:
            yield "unknown", f"{name}: nothing to compare this row with"


def load(path):
    """Rows to compare with, and the tools that they were made with (of --json's nothing is known)."""
    with open(path, encoding="utf-8") as file:
        saved = json.load(file)
    return (saved, None) if isinstance(saved, list) else (saved["rows"], saved["made_with"])


def save(path, rows, made_with):
    """Writes what load reads: a line for each tool and each row, so that differences can be read."""
    tools = ",\n".join(f"    {json.dumps(name)}: {json.dumps(made_with[name])}" for name in made_with)
    lines = ",\n".join(f"    {json.dumps(entry)}" for entry in rows)
    files.write_whole(path, f'{{\n  "made_with": {{\n{tools}\n  }},\n  "rows": [\n{lines}\n  ]\n}}\n')


def add(path, rows, made_with):
    """Writes rows into a saved result that lacks them; those that it has stay, in the order of now."""
    before, then = load(path)
    if others := differing_tools(then, made_with):
        raise interrupts.Failed(f"{path} was made with other tools ({others}): no row can be added to it")
    saved = {entry["name"]: entry for entry in before}
    names = {entry["name"] for entry in rows}
    kept = [entry for entry in before if entry["name"] not in names]
    save(path, [*(saved.get(entry["name"], entry) for entry in rows), *kept], then)


def differing_tools(made_with, now):
    """What is different, as a text; empty where nothing is, or nothing is known."""
    names = [name for name in now if made_with and made_with.get(name) != now[name]]
    return "; ".join(f"{name}: {now[name]}, then {made_with.get(name)}" for name in names)


def name_of(fault):
    """The row that a measure is not held in."""
    return fault.partition(":")[0]


def compare_with(path, rows, arguments):
    """Prints what differs from a saved result; returns whether anything does that counts."""
    before, made_with = load(path)
    others = differing_tools(made_with, dict(arguments.tools))
    # Compilers give different code for the same source.
    margin = arguments.other_margin if others else arguments.margin
    print(f"compared with {path}, no row may be {margin:g} % worse"
          + (f", as it was made with other tools ({others})" if others else ""))
    differences = list(compare(rows, before, margin))
    if not others:
        not_held = {name_of(fault) for fault in measure_faults(before, made_with)}
        now = measure_faults(rows, dict(arguments.tools))
        lost = [fault for fault in now if name_of(fault) not in not_held]
        differences += [("got worse", f"{fault}, which was held") for fault in lost]
    for kind, difference in differences:
        print(f"{kind}: {difference}")
    if any(kind != "differs" for kind, _ in differences):
        print("if that is as it should be, renew what is compared with: bench.sh --renew")
    return any(kind in COUNTS for kind, _ in differences)


def judge(rows, arguments):
    """Prints what is wrong; returns whether anything is that counts."""
    not_held = list(measure_faults(rows, dict(arguments.tools)))
    for fault in not_held:
        print(f"measure not held: {fault}")
    failed = bool(not_held) and not arguments.only_compare
    if arguments.compare:
        failed |= compare_with(arguments.compare, rows, arguments)
    return failed


def parse_arguments(words):
    """What bench.sh passes on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json")
    parser.add_argument("--save")
    parser.add_argument("--add")
    parser.add_argument("--compare")
    parser.add_argument("--margin", type=float, required=True)
    parser.add_argument("--other-margin", type=float, required=True)
    parser.add_argument("--only-compare", action="store_true")
    parser.add_argument("output")
    parser.add_argument("tools", nargs="*", type=lambda word: tuple(word.split("=", 1)))
    return parser.parse_args(words)


def main(words):
    """Returns the exit code."""
    arguments = parse_arguments(words)
    rows = read_rows(arguments.output)
    # First what is kept: whoever reads the table may have gone.
    if arguments.json:
        files.write_whole(arguments.json, json.dumps(rows, indent=2) + "\n")
    if arguments.save:
        save(arguments.save, rows, dict(arguments.tools))
    if arguments.add:
        add(arguments.add, rows, dict(arguments.tools))
    show(rows)
    failed = judge(rows, arguments)
    return 1 if failed else 0


if __name__ == "__main__":
    interrupts.main("bench.sh", main, sys.argv[1:])
