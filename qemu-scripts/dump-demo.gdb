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
    echo -- statistics\n
end
break dump_demo::almost_all_mapped
break dump_demo::all_shown
continue
echo -- too early\n
show_all
continue
echo -- in time\n
show_all
