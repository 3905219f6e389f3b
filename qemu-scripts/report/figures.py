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


def verdict(data):
    """Whether all was well, and how the run went, in one line."""
    status, start = data["status"], f"seed {data['run']['seed']}"
    done = sum(attempts(operation) for operation in data["operations"])
    kept = data["balance"] and all(before == after for _, before, after in data["balance"])
    if status == 0 and kept:
        return True, f"Passed: {plural(done, 'operation')} on {start}, and everything is as it was at the start"
    if status == 0:
        # It cannot be; but a page that says so is better than one that says that all was well.
        return False, f"Not known: {start} ended well, but did not tell what it left behind"
    if data["end"]:
        return False, data["end"].removeprefix("stress: ")
    if any(before != after for _, before, after in data["balance"]):
        return False, f"FAILED: {start} did not give back everything"
    return False, f"FAILED: {start} ended with exit code {status}"
