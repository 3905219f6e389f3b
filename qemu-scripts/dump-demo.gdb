# SPDX-License-Identifier: BSD-2-Clause
# What the test command has debug.sh do: the same parts between the same lines as dump-demo prints,
# at two moments, of which only the second is the one at which it prints them.
define show_all
    echo -- dump of space 1\n
    vmm regions 1
    echo -- dump of space 2\n
    vmm regions 2
    echo -- untypeds\n
    vmm untypeds
    echo -- slots\n
    vmm slots
    echo -- threads\n
    vmm threads
    vmm requests
    vmm quarantine
    echo -- statistics\n
end
tbreak dump_demo::almost_all_mapped
tbreak dump_demo::all_shown
continue
echo -- too early\n
show_all
continue
echo -- in time\n
show_all
# Where the thread stands that is in the midst of others' calls.
echo -- deep\n
vmm backtrace 1
# Nothing is in quarantine of itself: a region is made one, for a moment.
echo -- quarantine\n
python
with root_task():
    regions = [region for space in Vmm().spaces() for region in region_nodes(space)]
    kind = next(spec["kind"] for spec in (plain(it["spec"]) for it in regions) if name_of(spec) == "the last")
    was = bytes_of(kind)
    kinds = {it.name.rsplit("::", 1)[-1]: it.enumval for it in gdb.lookup_type("vmm::types::region::Kind").fields()}
    mark = kinds["Quarantine"]
    gdb.selected_inferior().write_memory(int(kind.address), bytes([mark]))
end
vmm quarantine
python
with root_task():
    gdb.selected_inferior().write_memory(int(kind.address), was)
end
