# SPDX-License-Identifier: BSD-2-Clause
"""Physical memory as a drawing: rows of squares, each in the colour of what it is used for most."""

from html import escape
from itertools import groupby

# What the guest's letters mean, in the order of the legend.
USES = {
    "A": "free, in untypeds of 4 MiB and more",
    "B": "free, in untypeds of 64 KiB and more",
    "C": "free, in smaller untypeds",
    "r": "made and ready to be handed out",
    "f": "frames in use",
    "L": "large frames in use",
    "t": "page tables and directories",
    "k": "threads, endpoints and other kernel objects; untypeds handed out",
    "b": "the manager's book-keeping",
    "x": "left over in batches of objects",
    ".": "the kernel, the program, no RAM",
}
COLUMNS = 64
SIDE = 6
MARGIN = 62


def colour_class(letter):
    """The class of the style sheet that gives its colour."""
    return f"use-{ord(letter)}"


def row_of(squares, top, address, square_bytes):
    """The rectangles of one row, one for each run of equal squares, with what they stand for as titles."""
    column = 0
    for letter, run in groupby(squares):
        width = len(list(run))
        x, start = MARGIN + column * SIDE, address + column * square_bytes
        title = f"0x{start:08x} to 0x{start + width * square_bytes:08x}: mostly {escape(USES.get(letter, letter))}"
        yield (f'<rect class="{colour_class(letter)}" x="{x}" y="{top}" width="{width * SIDE}" '
               f'height="{SIDE - 1}"><title>{title}</title></rect>')
        column += width


def draw(name, told):
    """The svg element of one map."""
    squares, bytes_of_row = told["squares"], told["square_bytes"] * COLUMNS
    rows = [squares[at:at + COLUMNS] for at in range(0, len(squares), COLUMNS)]
    shapes = []
    for number, row in enumerate(rows):
        top = number * SIDE
        if number % 4 == 0:
            address = f"{number * bytes_of_row / (1 << 20):g} MiB"
            shapes.append(f'<text x="{MARGIN - 6}" y="{top + SIDE}" text-anchor="end">{address}</text>')
        shapes.extend(row_of(row, top, number * bytes_of_row, told["square_bytes"]))
    width, height = MARGIN + COLUMNS * SIDE, len(rows) * SIDE
    # Gaps between the squares: one line down for each column.
    gaps = "".join(f"M{MARGIN + column * SIDE - 0.5} 0v{height}" for column in range(1, COLUMNS + 1))
    shapes.append(f'<path d="{gaps}" pointer-events="none"/>')
    return (
        f'<svg class="map" role="img" aria-label="Physical memory, {name}" viewBox="0 -3 {width} {height + 6}">'
        + "".join(shapes) + "</svg>"
    )
