// SPDX-License-Identifier: BSD-2-Clause
// A root task in C: starts the manager, uses memory, and gives all of it back.
#include <vmm.h>

// Makes a request; one that is refused is printed, and ends the program.
#define MUST(request) \
    do { \
        vmm_code_t code = (request); \
        if (code != VMM_OK) return vmm_print_code(#request, code); \
    } while (0)

int main(void)
{
    MUST(vmm_start(vmm_boot_info()));
    vmm_space_t own = vmm_own_space();

    // 16 pages with a guard page on either side; each is written and read.
    vmm_map_options_t options = {.pages = 16, .name = "heap", .guard_below = 1, .guard_above = 1};
    vmm_region_t heap;
    MUST(vmm_map(own, &options, &heap));
    for (size_t page = 0; page < 16; page++) {
        volatile uint32_t *word = (volatile uint32_t *)(heap.address + page * 4096);
        if (*word != 0) return 1;
        *word = 42;
        if (*word != 42) return 1;
    }
    MUST(vmm_protect(own, heap.address, 4, VMM_READ));
    MUST(vmm_unmap(own, heap.address + 8 * 4096, 8));

    // What a thread needs: a stack with a guard below, an IPC buffer, a thread control block.
    vmm_stack_options_t stack_options = {.pages = 4, .name = "stack"};
    vmm_stack_t stack;
    vmm_ipc_buffer_t buffer;
    vmm_object_t tcb;
    MUST(vmm_allocate_stack(own, &stack_options, &stack));
    MUST(vmm_allocate_ipc_buffer(own, &buffer));
    MUST(vmm_allocate(VMM_TCB, 0, &tcb));
    MUST(vmm_set_ipc_buffer(tcb.cptr, buffer));

    // The page below the heap is its guard, and stays so: the answer says why.
    if (vmm_print_code("a guard page", vmm_populate(own, heap.start, 1)) != VMM_GUARD) return 1;
    MUST(vmm_print_stats());

    MUST(vmm_free(tcb));
    MUST(vmm_release_ipc_buffer(buffer));
    MUST(vmm_release(stack.region));
    MUST(vmm_release(heap));
    vmm_print("all is given back\n");
    return 0;
}
