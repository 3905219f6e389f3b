"""Numbers of a report: what is read off the data of a run, and how it is written down."""

# The fields of a sample, in the order in which the guest prints them; the last one is the host's.
SAMPLE = (
    "operation", "ticks", "free", "untyped", "largest", "permille", "pages", "faults", "calls",
    "phase", "host_seconds",
)


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
