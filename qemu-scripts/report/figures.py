# SPDX-License-Identifier: BSD-2-Clause
"""Numbers of a report: what is read off the data of a run, and how it is written down."""

# The fields of a sample, in the order in which the guest prints them; the last one is the host's.
SAMPLE = (
    "operation", "ticks", "free", "untyped", "largest", "permille", "pages", "faults", "calls",
    "phase", "host_seconds",
)


# What is not known of a cost: the largest part of itself that a bucket is wide (measure/histogram.rs).
BUCKET = 1 / 8


def series(data):
    """For each field of the samples the list of its values."""
    samples = data["samples"]
    return {name: [sample[at] for sample in samples] for at, name in enumerate(SAMPLE)}


def seconds(data):
    """For each sample the seconds since the start: the guest's where instructions are its clock."""
    if data["run"]["icount"]:
        return [sample[SAMPLE.index("ticks")] / 1e9 for sample in data["samples"]]
    return [sample[SAMPLE.index("host_seconds")] for sample in data["samples"]]


def quantile(operation, share):
    """A cost that at least so large a share of the operations did not exceed.

    It is known to the bucket it lies in: what is given is the most that it can be.
    """
    costs = operation["costs"]
    wanted, seen = share * sum(count for _, _, count in costs), 0
    for _, following, count in costs:
        seen += count
        if seen >= wanted:
            return min(following - 1, operation["worst"])
    return operation["worst"]


def attempts(operation):
    """How often it was asked for."""
    return sum(operation[key] for key in ("done", "short", "refused", "wrong_and_short"))


def wrong_requests(data):
    """How many requests were wrong, and how many of them were refused for that."""
    met = sum(operation["refused"] for operation in data["operations"])
    short = sum(operation["wrong_and_short"] for operation in data["operations"])
    return met + short, met


def kernel_calls(data):
    """How many there were; of a run that did not come to its end, until the last sample."""
    if data["calls"]:
        return sum(data["calls"].values())
    calls = series(data)["calls"]
    return calls[-1] - calls[0]


def least_free(data):
    """The bytes, the operation and the phase of the least free memory that was seen."""
    seen = [dict(zip(SAMPLE, sample)) for sample in data["samples"]]
    moments = [(one["free"], one["operation"], one["phase"]) for one in seen]
    moments += [(one["free_bytes"], one["operation"], one["phase"]) for one in data["maps"].values()]
    return min(moments)


def in_bytes(count):
    """A number of bytes, in the largest unit that leaves at least 1."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:,.1f} {unit}".replace(".0 ", " ")
    return f"{count:,} bytes"


def plural(count, noun):
    """1 page, 2 pages."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def phases(data):
    """Names of the phases in the order in which they first came, with the spans of operations of each."""
    of, spans = series(data), {}
    at, names = of["operation"], of["phase"]
    for index, name in enumerate(names[:-1]):
        one = spans.setdefault(name, [])
        if one and one[-1][1] == at[index]:
            one[-1] = (one[-1][0], at[index + 1])
        else:
            one.append((at[index], at[index + 1]))
    spans.setdefault(names[-1], [])
    return spans


def rates(data, parts=120):
    """Operations a second, each over about so large a part of the run: pairs of an operation and a rate."""
    at, passed = series(data)["operation"], seconds(data)
    least, first, found = (at[-1] - at[0]) / parts, 0, []
    for index in range(1, len(at)):
        if at[index] - at[first] >= least and passed[index] > passed[first]:
            found.append((at[index], (at[index] - at[first]) / (passed[index] - passed[first])))
            first = index
    return found


def by_phase(data):
    """What operations of each phase cost, in the shape of those of a kind."""
    return [
        {"operation": one["of_phase"], "costs": one["costs"], "worst": one["costs"][-1][1] - 1}
        for one in data["phases"]
    ]


def compared(data, earlier):
    """What of two runs can be held beside each other: rows of a name, the two numbers, and how they are written."""
    rows = []

    def add(name, measure, written):
        values = [measure(one) for one in (earlier, data)]
        if None not in values:
            rows.append((name, *values, written))

    def done(one):
        return max(one["done"], 1)

    whole = "{:,.0f}".format
    add("operations", lambda one: one["done"], whole)
    add("operations a second", lambda one: one["done"] / seconds(one)[-1] if seconds(one)[-1] else None, whole)
    add("kernel calls for each operation", lambda one: kernel_calls(one) / done(one), "{:,.2f}".format)
    add("faults for each 1,000 operations", lambda one: 1000 * series(one)["faults"][-1] / done(one), "{:,.1f}".format)
    add("least free memory", lambda one: least_free(one)[0], in_bytes)
    add("most pages mapped", lambda one: max(series(one)["pages"]), whole)
    add("fragmentation, median", lambda one: sorted(series(one)["permille"])[len(one["samples"]) // 2] / 10,
        "{:,.1f} %".format)
    return rows


def compared_costs(data, earlier):
    """For each kind of operation of both runs its name, and medians and 99th percentiles, the earlier one's first.

    None where costs are not in the same unit.
    """
    if data["run"]["unit"] != earlier["run"]["unit"]:
        return None
    before = {one["operation"]: one for one in earlier["operations"]}
    return [
        (one["operation"], *(quantile(of, share) for share in (0.5, 0.99) for of in (before[one["operation"]], one)))
        for one in data["operations"] if one["operation"] in before
    ]


def different_settings(data, earlier):
    """What was set otherwise: names with the earlier value and this one's."""
    before, now = dict(earlier["about"]), dict(data["about"])
    return [(name, before.get(name, "–"), now.get(name, "–"))
            for name in {**before, **now} if name != "date" and before.get(name) != now.get(name)]
