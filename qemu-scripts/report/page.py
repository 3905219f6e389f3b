"""Makes the report of a stress run: one page that needs nothing but itself. Called by stress.sh."""

import argparse
import string
import sys
from html import escape
from pathlib import Path

sys.dont_write_bytecode = True  # leave nothing beside the scripts

HERE = Path(__file__).resolve().parent
sys.path.insert(1, str(HERE.parent))

import bench
import figures
import files
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


def section(identity, heading, *parts):
    """A part of the page: what to call it in an address, its heading, and the whole of it."""
    whole = f'<section id="{identity}">\n<h2>{heading}</h2>\n' + "\n".join(parts) + "\n</section>\n"
    return identity, heading, whole


def paragraph(text):
    return f"<p>{text}</p>"


def figure(drawing, caption):
    return f'<figure><div class="wide">{drawing}</div><figcaption>{caption}</figcaption></figure>'


def table(heads, rows, text_columns=()):
    """A table whose first column is text and whose others are numbers, unless they are named."""
    def cell(at, value):
        kind = ' class="text"' if at in text_columns else ""
        return f"<td{kind}>{value if isinstance(value, str) else f'{value:,}' if value else '–'}</td>"

    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    head = f"<thead><tr>{head}</tr></thead>" if any(heads) else ""
    body = "\n".join(
        "<tr>" + "".join(cell(at, value) for at, value in enumerate(row)) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table>{head}<tbody>\n{body}\n</tbody></table></div>'


def facts(data):
    """The run in a few numbers."""
    least, _, _ = figures.least_free(data)
    wrong, met = figures.wrong_requests(data)
    numbers = [
        ("operations", f"{data['done']:,}"),
        ("kernel calls", f"{figures.kernel_calls(data):,}"),
        ("wrong requests refused", f"{met:,} of {wrong:,}" if data["operations"] else "not told"),
        ("faults resolved", f"{figures.series(data)['faults'][-1]:,}"),
        ("least free memory", figures.in_bytes(least)),
        ("duration", f"{figures.seconds(data)[-1]:,.1f} s"),
    ]
    return "".join(f"<div><dt>{name}</dt><dd>{number}</dd></div>\n" for name, number in numbers)


def balance_section(data):
    """Whether everything was given back."""
    heading = "Was everything given back?"
    if not data["balance"]:
        return section("balance", heading, paragraph("Not told: the run did not come to its end."))
    rows = [
        (what, before, after, '<span class="good">the same</span>' if before == after
         else f'<span class="bad">{after - before:+,}</span>')
        for what, before, after in data["balance"]
    ]
    different = sum(before != after for _, before, after in data["balance"])
    text = (
        "Yes: after the run had given back all it had, there was exactly what there was at the start."
        if not different else f"No: {different} of {len(rows)} figures differ."
    )
    note = ("The start was taken after a warm-up that brings the manager's own book-keeping to its largest. "
            "Sizes are in bytes. A difference of one page or one slot fails the run.")
    heads = ("", "at the start", "at the end", "difference")
    return section("balance", heading, paragraph(text), table(heads, rows), f'<p class="note">{note}</p>')


def history_section(data):
    """Free memory and fragmentation over time."""
    (least, operation, phase), total = figures.least_free(data), data["run"]["total_bytes"]
    caption = (
        f"Of {figures.in_bytes(total)} of RAM the manager had at least {figures.in_bytes(least)} free; that "
        f"least was seen at operation {operation:,}, in the phase {escape(phase)}. "
        "The green part lies in free untypeds; the yellow one is made into frames or page tables already that "
        "are ready to be handed out. Fragmentation is one minus the largest free untyped's share "
        "of all free untypeds: buddies are coalesced only when it pays, so it is high most of the time. It "
        "falls when an allocation or trimming coalesces them, and also when hardly any untypeds are free. "
        + ("Grey bands: phases that fill memory to the last page. "
           if "fill" in figures.series(data)["phase"] else "")
        + f"{figures.plural(len(data['samples']), 'sample')}; what happened between two of them is not seen. "
        + ("Seconds above are those of the guest, an instruction being a nanosecond." if data["run"]["icount"]
           else "Seconds above are of the host's clock.")
    )
    return section("history", "Free memory and fragmentation", figure(plots.history(data), caption))


def map_section(data):
    """Maps of physical memory, and the bytes they show."""
    told = [(name, title, data["maps"][name]) for name, title in MOMENTS.items() if name in data["maps"]]
    if not told:
        return section("map", "Physical memory", paragraph("Not told."))
    square = figures.in_bytes(told[0][2]["square_bytes"])
    intro = (
        f"Each square is {square} of RAM, in the colour of what takes the most of it; addresses rise from left to "
        "right and from top to bottom. The table below has the exact bytes."
    )
    drawings = "".join(
        f'<figure class="moment"><h3>{title}</h3>{memory_map.draw(name, one)}<figcaption>Operation '
        f"{one['operation']:,}: {figures.in_bytes(one['free_bytes'])} free.</figcaption></figure>"
        for name, title, one in told
    )
    rows = [
        (f'<span class="swatch {memory_map.colour_class(letter)}"></span>{use}',
         *(figures.in_bytes(one["bytes"][letter]) if one["bytes"][letter] else "–" for _, _, one in told))
        for letter, use in memory_map.USES.items()
    ]
    heads = ("used for", *(title.split(",")[0].lower() for _, title, _ in told))
    return section("map", "Physical memory", paragraph(intro), f'<div class="maps">{drawings}</div>',
                   table(heads, rows))


def cost_section(data):
    """The cost of each kind of operation as a distribution."""
    heading, unit = "What an operation costs", data["run"]["unit"]
    if not data["operations"]:
        return section("costs", heading, paragraph("Not told: the run did not come to its end."))
    counted = (
        "Instructions are counted exactly, the kernel's and its timer's included."
        if data["run"]["icount"] else
        "These are ticks of the processor's time-stamp counter in an emulator: they contain translating the "
        "guest's code for the first time and whatever else the host was doing, so the worst ones say little. "
        "Run with <code>--icount</code> for instructions."
    )
    dearest = max(data["operations"], key=lambda one: one["worst"])
    caption = (
        "Each row is a kind of operation, the cheapest at the bottom; the shape is thick where many of them lie. "
        "Operations of one kind differ in size: a map may be of one page or of thousands, and a request that "
        f"is refused is cheap. The dearest of all was <i>{escape(dearest['operation'])}</i>, operation "
        f"{dearest['worst_at']:,}, with {dearest['worst']:,} {unit}. {counted}"
    )
    rows = [
        (escape(one["operation"]), figures.attempts(one), figures.quantile(one, 0.5), figures.quantile(one, 0.99),
         one["worst"], one["worst_at"])
        for one in sorted(data["operations"], key=lambda one: -figures.quantile(one, 0.5))
    ]
    heads = ("operation", "times", "median, at most", "99 % at most", "worst", "in operation")
    note = f"In {unit}. Median and 99th percentile are known to an eighth: what stands here is the most they can be."
    return section("costs", heading, figure(plots.costs(data), caption), table(heads, rows),
                   f'<p class="note">{note}</p>')


def operation_section(data):
    """Operations by kind and how they ended."""
    if not data["operations"]:
        return None
    wrong, met = figures.wrong_requests(data)
    text = (
        f"{figures.plural(wrong, 'request')} were wrong on purpose, of which {met:,} were refused with the error "
        "that was expected"
        + (f"; for the other {wrong - met:,} something was short before that was found." if wrong > met else ".")
    )
    rows = [
        (escape(one["operation"]), one["done"], one["short"], one["refused"] + one["wrong_and_short"], one["refused"])
        for one in data["operations"]
    ]
    rows.append(("all", *(sum(row[at] for row in rows) for at in range(1, 5))))
    heads = ("operation", "done", "refused for want of something", "wrong on purpose", "refused as expected")
    return section("operations", "Operations by kind", paragraph(text), table(heads, rows))


def call_section(data):
    """Kernel calls by kind."""
    made = sorted(((count, name) for name, count in data["calls"].items() if count), reverse=True)
    total = sum(count for count, _ in made)
    if not total:
        return None
    rows = [(name, count, f"{100 * count / total:.1f} %") for count, name in made]
    rows.append(("all", total, "100 %"))
    return section("calls", "Kernel calls", table(("invocation", "times", "share"), rows))


def benchmark_section(path):
    """The ratios of the benchmark, if there are any."""
    if not path:
        return None
    rows, made_with = bench.load(path)
    not_held = list(bench.measure_faults(rows, made_with))
    caption = (
        "Each operation of the manager beside a raw loop of the same kernel calls, both counted in instructions "
        "on the release kernel; further right is dearer. "
        + (f"{figures.plural(len(not_held), 'measure')} not held: {escape('; '.join(not_held))}." if not_held
           else "All measures are held.")
    )
    origin = "This is not of this run, but of <code>bench.sh</code>" + (
        "; " + escape("; ".join(f"{name}: {value}" for name, value in made_with.items())) if made_with else ""
    ) + "."
    return section("benchmark", "The benchmark", paragraph(origin), figure(plots.ratios(rows, bench.RATIO), caption))


def about_section(data):
    """How the run was made, and how to make it again."""
    rows = [(escape(name), escape(value)) for name, value in data["about"]]
    repeat = f"The same operations again: <code>qemu-scripts/{escape(data['repeat'])}</code>"
    return section("about", "Configuration and versions", table(("", ""), rows, text_columns=(1,)), paragraph(repeat))


def make_page(data, benchmark):
    """The page, as text."""
    well, verdict = stress_data.verdict(data)
    sections = [
        balance_section(data), history_section(data), map_section(data), cost_section(data),
        operation_section(data), call_section(data), benchmark_section(benchmark), about_section(data),
    ]
    sections = [one for one in sections if one]
    links = " ".join(f'<a href="#{identity}">{heading}</a>' for identity, heading, _ in sections)
    style = (HERE / "page.css").read_text(encoding="utf-8")
    for letter in memory_map.USES:
        variable = "--use-none" if letter == "." else f"--use-{letter}"
        name = memory_map.colour_class(letter)
        style += f".{name} {{ fill: var({variable}); background: var({variable}); }}\n"
    template = string.Template((HERE / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(f"Stress run, seed {data['run']['seed']}"), style=style, mood="good" if well else "bad",
        verdict=escape(verdict), facts=facts(data), links=links,
        sections="\n".join(whole for _, _, whole in sections),
    )


def parse_arguments():
    """What stress.py passes on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="what stress.py saved")
    parser.add_argument("--bench", help="rows of the benchmark, by bench.sh --save or --json")
    parser.add_argument("--output", required=True, help="the page")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    try:
        data = stress_data.load(arguments.data)
        files.write_whole(arguments.output, make_page(data, arguments.bench))
    except (OSError, ValueError) as error:
        sys.exit(f"page.py: {error}")


if __name__ == "__main__":
    main()
