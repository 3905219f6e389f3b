"""Makes a table, a JSON file and a verdict of the benchmark's output. Called by bench.sh."""

import json
import sys

# The measures of DESIGN.md: the greatest ratio to the floor, kernel calls, bytes a page.
RATIO = {
    "map_bulk_4k": 1.05,
    "map_single_4k": 1.15,
    "unmap_free_bulk_4k": 1.05,
    "protect_bulk_4k": 1.05,
    "ipc_buffer": 1.15,
    "fault_demand_zero": 1.15,
}
KERNEL_CALLS = {"alloc_1024_frames": 10}
BYTES_PER_PAGE = {"map_bulk_4k": 4, "alloc_1024_frames": 4, "map_scattered_4k": 32}

# What grows with the logarithm costs at most this many times as much beside 10,000 as beside 10:
# log 10,000 / log 10. What is linear costs hundreds of times as much.
GROWTH = 4
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
    return result


def read_rows(path):
    """The rows between the markers; none if the output is not complete."""
    lines = [line.strip() for line in open(path, encoding="utf-8", errors="replace")]
    try:
        begin, end = lines.index("bench: begin"), lines.index("bench: end")
    except ValueError:
        sys.exit("the benchmark's output is not complete")
    return [row(json.loads(line)) for line in lines[begin + 1 : end]]


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
    """Operations that cost much more beside many regions than beside few."""
    series = {}
    for entry in rows:
        name, beside, others = entry["name"].partition("_beside_")
        if beside:
            series.setdefault(name, []).append((int(others), entry["median"]))
    for name, points in series.items():
        (few, least), (many, most) = min(points), max(points)
        if most > GROWTH * least:
            yield f"{name}: {least} instructions beside {few}, {most} beside {many}"


def measure_faults(rows):
    """Measures that are not held."""
    by_name = {entry["name"]: entry for entry in rows}
    limits = (("ratio", RATIO), ("kernel_calls", KERNEL_CALLS), ("bytes_per_page", BYTES_PER_PAGE))
    for key, most in limits:
        for name, limit in most.items():
            value = by_name.get(name, {}).get(key)
            if value is None:
                yield f"{name}: no {key}"
            elif value > limit:
                yield f"{name}: {key} {value}, at most {limit}"
    yield from growth_faults(rows)


def comparison_faults(rows, path, margin):
    """Rows that got worse than the margin (percent) since the file was written."""
    before = {entry["name"]: entry for entry in json.load(open(path, encoding="utf-8"))}
    now = {entry["name"]: entry for entry in rows}
    for name, old in before.items():
        key = "instructions" if old["ratio"] is None else "ratio"
        new = now.get(name, {}).get(key)
        if new is None:
            yield f"{name}: no {key} any more"
        elif new > old[key] * (1 + margin / 100):
            yield f"{name}: {key} {new}, was {old[key]}"


def main(output, json_path, compare_path, margin):
    rows = read_rows(output)
    show(rows)
    if json_path:
        with open(json_path, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=2)
            file.write("\n")
    faults = [("measure not held", fault) for fault in measure_faults(rows)]
    if compare_path:
        worse = comparison_faults(rows, compare_path, float(margin))
        faults += [("got worse", fault) for fault in worse]
    for kind, fault in faults:
        print(f"{kind}: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
