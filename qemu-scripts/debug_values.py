# SPDX-License-Identifier: BSD-2-Clause
"""For gdb: what the compiler's types hold. Names of fields are known here, and no layout."""

import gdb


def plain(value):
    """What cells and one-field structures hold."""
    while value.type.strip_typedefs().code == gdb.TYPE_CODE_STRUCT:
        fields = value.type.fields()
        name = value.type.name or ""
        if name.startswith("core::cell::"):
            value = value["value"]
        elif len(fields) == 1 and fields[0].name in ("__0", "0", "bits"):
            value = value[fields[0]]
        else:
            break
    return value


def number(value):
    """An integer, or a newtype of one."""
    return int(plain(value))


def variant(value):
    """The name of an enum's variant, and its value: Option, State, Blueprint, Kind ..."""
    value = plain(value)
    if value.type.code == gdb.TYPE_CODE_ENUM:
        return str(value).rsplit("::", 1)[-1], value
    for field in value.type.fields():
        if not field.artificial and field.name:
            return field.name, value[field]
    raise gdb.GdbError(f"no variant of {value.type}")


def option(value):
    """What an Option holds, or None."""
    name, inner = variant(value)
    return inner[inner.type.fields()[0]] if name == "Some" else None


def tree(root, link, node_type):
    """The nodes of an intrusive tree in order: `root` is the tree, `link` the field in a node."""
    node_type = gdb.lookup_type(node_type)
    offset = next(field.bitpos // 8 for field in node_type.fields() if field.name == link)
    link_type = gdb.lookup_type("intrusive_collections::rbtree::Link").pointer()

    def walk(at):
        while at:
            here = gdb.Value(at).cast(link_type).dereference()
            yield from walk(address(here["left"]))
            yield gdb.Value(at - offset).cast(node_type.pointer()).dereference()
            at = address(here["right"])

    yield from walk(address(root["root"]))


def region_nodes(space):
    """The nodes of a space's regions and of the ends of its reservations, by address."""
    region = gdb.lookup_type("vmm::state::region::Region").pointer()

    def walk(link):
        at = address(link)
        if at:
            node = gdb.Value(at).cast(region).dereference()
            before, behind = (node["links"]["below"][side]["value"]["value"] for side in range(2))
            yield from walk(before)
            yield node
            yield from walk(behind)

    yield from walk(space["regions"]["value"]["value"]["tree"]["root"])


def is_top(root):
    """Whether an Option<NonNull<Link>> is none or a link without a parent."""
    at = address(root)
    link = gdb.lookup_type("intrusive_collections::rbtree::Link").pointer()
    return at == 0 or number(gdb.Value(at).cast(link)["parent_color"]) <= 1


def address(value):
    """The address in an Option<NonNull<_>>, 0 for none."""
    return int.from_bytes(bytes_of(value), "little")


def bytes_of(value):
    where = int(value.address)
    return gdb.selected_inferior().read_memory(where, value.type.sizeof).tobytes()


def name_of(value):
    """The field `name` of a region or a thread."""
    name = value["name"]
    length = number(name["len"])
    return bytes_of(name["bytes"])[:length].decode(errors="replace")
