// SPDX-License-Identifier: BSD-2-Clause
// Every function of vmm.h, used rightly and wrongly: each mistake has its code, nothing of it stops
// the program, and in the end all memory and all slots are free again.
#include <vmm.h>

#define PAGE 4096

// Ends the function with 1, saying where, unless the condition holds.
#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            vmm_print("not so: " #condition "\n"); \
            return 1; \
        } \
    } while (0)

// As CHECK, for what a request must return.
#define WANT(wanted, request) \
    do { \
        vmm_code_t returned = (request); \
        if (returned != (wanted)) { \
            vmm_print("wanted " #wanted "\n"); \
            vmm_print_code(#request, returned); \
            return 1; \
        } \
    } while (0)

static vmm_space_t own;

static int equal(const char *one, const char *other)
{
    while (*one != 0 && *one == *other) one++, other++;
    return *one == *other;
}

static volatile uint32_t *word_at(uintptr_t address) { return (volatile uint32_t *)address; }

static int before_start(void)
{
    vmm_map_options_t options = {.pages = 1};
    vmm_region_t region;
    vmm_stats_t stats;
    own = vmm_own_space();
    CHECK(own.number == 0 && own.serial == 0);
    WANT(VMM_NOT_STARTED, vmm_map(own, &options, &region));
    WANT(VMM_NOT_STARTED, vmm_stats(&stats));
    WANT(VMM_NOT_STARTED, vmm_trim());
    WANT(VMM_NOT_STARTED, vmm_print_stats());
    WANT(VMM_NOT_STARTED, vmm_start_fault_handler(NULL));
    WANT(VMM_NULL_POINTER, vmm_start(NULL));
    WANT(VMM_OK, vmm_start(vmm_boot_info()));
    WANT(VMM_ALREADY_STARTED, vmm_start(vmm_boot_info()));
    own = vmm_own_space();
    CHECK(own.number != 0);
    return 0;
}

static int null_pointers(void)
{
    vmm_map_options_t options = {.pages = 1};
    vmm_stack_options_t stack_options = {.pages = 1};
    vmm_region_t region;
    vmm_stack_t stack = {0};
    WANT(VMM_NULL_POINTER, vmm_map(own, NULL, &region));
    WANT(VMM_NULL_POINTER, vmm_map(own, &options, NULL));
    WANT(VMM_NULL_POINTER, vmm_reserve(own, NULL, &region));
    WANT(VMM_NULL_POINTER, vmm_reserve(own, &options, NULL));
    WANT(VMM_NULL_POINTER, vmm_create_space(NULL));
    WANT(VMM_NULL_POINTER, vmm_vspace(own, NULL));
    WANT(VMM_NULL_POINTER, vmm_region_at(own, PAGE, NULL));
    WANT(VMM_NULL_POINTER, vmm_region_info((vmm_region_t){0}, NULL));
    WANT(VMM_NULL_POINTER, vmm_mapping_at(own, PAGE, NULL));
    WANT(VMM_NULL_POINTER, vmm_physical_address(own, PAGE, NULL));
    WANT(VMM_NULL_POINTER, vmm_allocate(VMM_TCB, 0, NULL));
    WANT(VMM_NULL_POINTER, vmm_allocate_stack(own, NULL, &stack));
    WANT(VMM_NULL_POINTER, vmm_allocate_stack(own, &stack_options, NULL));
    WANT(VMM_NULL_POINTER, vmm_allocate_ipc_buffer(own, NULL));
    WANT(VMM_NULL_POINTER, vmm_run_thread(VMM_INITIAL_TCB, stack, 1, NULL, NULL));
    WANT(VMM_NULL_POINTER, vmm_register_thread(own, VMM_INITIAL_TCB, 0, NULL, NULL));
    WANT(VMM_NULL_POINTER, vmm_resolve_fault(1, NULL));
    WANT(VMM_NULL_POINTER, vmm_stats(NULL));
    WANT(VMM_NULL_POINTER, vmm_space_stats(own, NULL));
    vmm_print(NULL);
    return 0;
}

static int memory(void)
{
    vmm_map_options_t options = {
        .pages = 8, .name = "a name of more than 15 bytes", .guard_below = 2, .guard_above = 1,
    };
    vmm_region_t region;
    vmm_region_info_t info;
    vmm_mapping_t mapping;
    uintptr_t physical;
    WANT(VMM_OK, vmm_map(own, &options, &region));
    uintptr_t first = region.address;
    CHECK(first == region.start + 2 * PAGE);
    CHECK(*word_at(first) == 0);
    *word_at(first + 7 * PAGE) = 42;
    CHECK(*word_at(first + 7 * PAGE) == 42);

    WANT(VMM_OK, vmm_region_at(own, first + 5, &info));
    CHECK(info.region.serial == region.serial && info.region.address == first);
    CHECK(info.pages == 8 && info.guard_below == 2 && info.guard_above == 1);
    CHECK(info.rights == (VMM_READ | VMM_WRITE) && info.kind == VMM_MEMORY);
    CHECK(info.cache == VMM_WRITE_BACK && info.on_demand == 0);
    CHECK(equal(info.name, "a name of more "));
    WANT(VMM_OK, vmm_mapping_at(own, first + PAGE + 1, &mapping));
    CHECK(mapping.page == first + PAGE && mapping.size_bits == 12 && !mapping.copy_on_write);
    WANT(VMM_OK, vmm_physical_address(own, first + 5, &physical));
    CHECK(physical % PAGE == 5);

    WANT(VMM_OK, vmm_protect(own, first, 2, VMM_READ));
    WANT(VMM_OK, vmm_mapping_at(own, first, &mapping));
    CHECK(mapping.rights == VMM_READ);
    WANT(VMM_OK, vmm_protect(own, first, 2, VMM_NO_ACCESS));
    WANT(VMM_BAD_ARGUMENT, vmm_protect(own, first, 2, 0));
    WANT(VMM_BAD_ARGUMENT, vmm_protect(own, first, 2, 16));
    WANT(VMM_RIGHTS_EXCEED_CEILING, vmm_protect(own, first, 2, VMM_EXECUTE));
    WANT(VMM_BAD_ARGUMENT, vmm_protect(own, first, 2, VMM_NO_ACCESS | VMM_READ));
    WANT(VMM_ALREADY_MAPPED, vmm_populate(own, first, 1));
    WANT(VMM_MISALIGNED, vmm_unmap(own, first + 1, 1));
    WANT(VMM_EMPTY_RANGE, vmm_unmap(own, first, 0));
    WANT(VMM_RANGE_WRAPS, vmm_unmap(own, first, SIZE_MAX));
    WANT(VMM_GUARD, vmm_unmap(own, region.start, 1));
    WANT(VMM_OK, vmm_unmap(own, first, 2));
    WANT(VMM_NOT_MAPPED, vmm_unmap(own, first, 2));
    WANT(VMM_NOTHING_THERE, vmm_mapping_at(own, first, &mapping));
    WANT(VMM_NOT_MAPPED, vmm_physical_address(own, first, &physical));
    WANT(VMM_OK, vmm_populate(own, first, 2));
    WANT(VMM_OVERLAP, vmm_map(own, &(vmm_map_options_t){.pages = 1, .address = first}, &region));
    WANT(VMM_OUTSIDE_USER_SPACE, vmm_region_at(own, UINTPTR_MAX, &info));
    CHECK(region.address == first); // nothing is written where a request is refused
    WANT(VMM_OK, vmm_release(region));
    WANT(VMM_NO_SUCH_REGION, vmm_release(region));
    WANT(VMM_NO_SUCH_REGION, vmm_region_info(region, &info));
    WANT(VMM_NO_SUCH_REGION, vmm_release((vmm_region_t){.start = UINTPTR_MAX}));
    WANT(VMM_NOTHING_THERE, vmm_region_at(own, first, &info));
    return 0;
}

// The stack that this runs on, and the page below it, which nobody may touch.
static int first_stack(void)
{
    vmm_region_info_t info;
    WANT(VMM_OK, vmm_region_at(own, (uintptr_t)&info, &info));
    CHECK(equal(info.name, "stack of main") && info.guard_below == 1);
    WANT(VMM_WRONG_KIND, vmm_unmap(own, info.region.start, 1));
    return 0;
}

static int options_are_checked(void)
{
    size_t large = sizeof(void *) == 4 ? 22 : 21;
    vmm_map_options_t large_page = {
        .pages = ((size_t)1 << large) / PAGE, .align_bits = large, .page_bits = large,
    };
    vmm_region_t region;
    WANT(VMM_EMPTY_RANGE, vmm_map(own, &(vmm_map_options_t){0}, &region));
    WANT(VMM_BAD_ARGUMENT, vmm_map(own, &(vmm_map_options_t){.pages = 1, .rights = 16}, &region));
    WANT(VMM_BAD_ARGUMENT, vmm_map(own, &(vmm_map_options_t){.pages = 1, .ceiling = 16}, &region));
    WANT(VMM_BAD_ARGUMENT, vmm_map(own, &(vmm_map_options_t){.pages = 1, .cache = 9}, &region));
    WANT(VMM_BAD_ARGUMENT, vmm_map(own, &(vmm_map_options_t){.pages = 1, .cache = -1}, &region));
    WANT(VMM_BAD_ARGUMENT,
         vmm_reserve(own, &(vmm_map_options_t){.pages = 1, .on_demand = 17}, &region));
    WANT(VMM_BAD_ARGUMENT,
         vmm_reserve(own, &(vmm_map_options_t){.pages = 1, .align_bits = 64}, &region));
    WANT(VMM_NO_SUCH_FRAME_SIZE,
         vmm_map(own, &(vmm_map_options_t){.pages = 1, .page_bits = 13}, &region));
    WANT(VMM_MISALIGNED, vmm_map(own, &(vmm_map_options_t){.pages = 1, .address = 5}, &region));
    WANT(VMM_OUT_OF_MEMORY, vmm_map(own, &(vmm_map_options_t){.pages = 1 << 18}, &region));
    WANT(VMM_NO_ROOM, vmm_reserve(own, &(vmm_map_options_t){.pages = SIZE_MAX}, &region));
    WANT(VMM_RIGHTS_EXCEED_CEILING,
         vmm_map(own, &(vmm_map_options_t){.pages = 1, .ceiling = VMM_READ}, &region));
    WANT(VMM_OK, vmm_map(own, &large_page, &region));
    *word_at(region.address + ((uintptr_t)1 << large) - 4) = 1;
    WANT(VMM_OK, vmm_release(region));
    return 0;
}

static int spaces(void)
{
    vmm_space_t space;
    vmm_space_stats_t stats;
    vmm_cptr_t vspace;
    vmm_region_t region;
    WANT(VMM_OK, vmm_create_space(&space));
    WANT(VMM_OK, vmm_vspace(space, &vspace));
    CHECK(vspace != 0);
    WANT(VMM_OK, vmm_map(space, &(vmm_map_options_t){.pages = 3}, &region));
    WANT(VMM_OK, vmm_space_stats(space, &stats));
    CHECK(stats.mapped_pages == 3);
    WANT(VMM_OK, vmm_print_space(space));
    WANT(VMM_OK, vmm_destroy_space(space));
    WANT(VMM_NO_SUCH_SPACE, vmm_destroy_space(space));
    WANT(VMM_NO_SUCH_SPACE, vmm_space_stats(space, &stats));
    WANT(VMM_NO_SUCH_SPACE, vmm_map(space, &(vmm_map_options_t){.pages = 3}, &region));
    WANT(VMM_NO_SUCH_SPACE, vmm_print_space(space));
    WANT(VMM_OWN_SPACE, vmm_destroy_space((vmm_space_t){0}));
    return 0;
}

static int objects(void)
{
    vmm_object_t object;
    struct { int kind; uint8_t bits; } kinds[] = {
        {VMM_TCB, 0}, {VMM_ENDPOINT, 0}, {VMM_NOTIFICATION, 0}, {VMM_CNODE, 4}, {VMM_FRAME, 12},
        {VMM_UNTYPED, 16},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        WANT(VMM_OK, vmm_allocate(kinds[i].kind, kinds[i].bits, &object));
        CHECK(object.cptr != 0);
        WANT(VMM_OK, vmm_free(object));
        vmm_code_t again = vmm_free(object);
        CHECK(again == VMM_STALE || again == VMM_NOT_ALLOCATED);
    }
    WANT(VMM_BAD_ARGUMENT, vmm_allocate(0, 0, &object));
    WANT(VMM_BAD_ARGUMENT, vmm_allocate(99, 0, &object));
    WANT(VMM_BAD_ARGUMENT, vmm_allocate(VMM_TCB, 10, &object));
    WANT(VMM_NO_SUCH_OBJECT, vmm_allocate(VMM_FRAME, 13, &object));
    WANT(VMM_NO_SUCH_OBJECT, vmm_allocate(VMM_UNTYPED, 255, &object));
    WANT(VMM_NOT_ALLOCATED, vmm_free((vmm_object_t){.cptr = VMM_INITIAL_TCB}));
    return 0;
}

static int buffers(void)
{
    vmm_ipc_buffer_t buffer, other;
    vmm_object_t tcb;
    vmm_mapping_t mapping;
    WANT(VMM_OK, vmm_allocate_ipc_buffer(own, &buffer));
    WANT(VMM_OK, vmm_allocate_ipc_buffer(own, &other));
    CHECK(buffer.frame != other.frame);
    WANT(VMM_OK, vmm_mapping_at(own, buffer.address, &mapping));
    CHECK(mapping.frame == buffer.frame);
    WANT(VMM_NOTHING_THERE, vmm_mapping_at(own, buffer.address - 1, &mapping));
    WANT(VMM_NOTHING_THERE, vmm_mapping_at(own, buffer.address + PAGE, &mapping));
    WANT(VMM_OK, vmm_allocate(VMM_TCB, 0, &tcb));
    WANT(VMM_OK, vmm_set_ipc_buffer(tcb.cptr, buffer));
    WANT(VMM_KERNEL_REFUSED, vmm_set_ipc_buffer(0, buffer));
    WANT(VMM_WRONG_KIND, vmm_release(buffer.region));
    WANT(VMM_OK, vmm_release_ipc_buffer(buffer));
    WANT(VMM_NO_SUCH_IPC_BUFFER, vmm_release_ipc_buffer(buffer));
    WANT(VMM_NO_SUCH_IPC_BUFFER, vmm_set_ipc_buffer(tcb.cptr, buffer));
    WANT(VMM_NO_SUCH_IPC_BUFFER, vmm_release_ipc_buffer((vmm_ipc_buffer_t){.address = 1}));
    WANT(VMM_OK, vmm_free(tcb));
    WANT(VMM_OK, vmm_release_ipc_buffer(other));
    return 0;
}

static int texts(void)
{
    vmm_mapping_t mapping;
    char text[12];
    CHECK(equal(vmm_error_text(VMM_GUARD), "the range touches a guard page"));
    CHECK(equal(vmm_error_text(-1), "no such code"));
    CHECK(vmm_error_blame(VMM_GUARD) == VMM_CALLER);
    CHECK(vmm_error_blame(VMM_OUT_OF_MEMORY) == VMM_RESOURCE);
    CHECK(vmm_error_blame(VMM_KERNEL_REFUSED) == VMM_MANAGER);
    CHECK(vmm_error_blame(VMM_OK) == VMM_NOBODY && vmm_error_blame(1000) == VMM_NOBODY);
    WANT(VMM_MISALIGNED, vmm_unmap(own, 0x1001, 1));
    CHECK(vmm_error_detail(VMM_MISALIGNED, text, sizeof text) == 35);
    CHECK(equal(text, "0x1001 is n")); // "... not aligned to 2^12 bytes"
    CHECK(vmm_error_detail(VMM_MISALIGNED, NULL, 100) == 35);
    CHECK(vmm_error_detail(VMM_MISALIGNED, text, 0) == 35);
    WANT(VMM_NOTHING_THERE, vmm_mapping_at(own, 0x1001, &mapping));
    CHECK(vmm_error_detail(VMM_MISALIGNED, NULL, 0) == 11); // "not aligned"
    // Of another code than the last one nothing more is known.
    CHECK(vmm_error_detail(VMM_IN_USE, text, sizeof text) == 6);
    CHECK(equal(text, "in use"));
    return 0;
}

// Memory that the policy is to map: it must be told of the touch, and may make requests.
static uintptr_t asked_for;
static vmm_code_t stopped;

static int map_it(const vmm_fault_t *fault, void *context)
{
    if (fault->kind != VMM_PAGE_FAULT || fault->value != (uint32_t)asked_for) return VMM_SUSPEND;
    if (!fault->write || fault->code != VMM_OK || context != &stopped) return VMM_SUSPEND;
    stopped = vmm_stop_fault_handler();
    return vmm_populate(own, asked_for, 1) == VMM_OK ? VMM_RESUME : VMM_SUSPEND;
}

static int faults(void)
{
    vmm_handler_options_t options = {.policy = map_it, .context = &stopped};
    vmm_map_options_t lazy = {.pages = 16, .on_demand = 4, .guard_above = 1};
    vmm_thread_t thread;
    vmm_region_t region, reserved;
    vmm_mapping_t mapping;
    WANT(VMM_NO_HANDLER, vmm_register_thread(own, VMM_INITIAL_TCB, 0, "main", &thread));
    WANT(VMM_NO_HANDLER, vmm_stop_fault_handler());
    WANT(VMM_OK, vmm_start_fault_handler(&options));
    WANT(VMM_HANDLER_RUNNING, vmm_start_fault_handler(NULL));
    WANT(VMM_OK, vmm_register_thread(own, VMM_INITIAL_TCB, 0, "main", &thread));

    WANT(VMM_OK, vmm_reserve(own, &lazy, &region));
    WANT(VMM_NOTHING_THERE, vmm_mapping_at(own, region.address, &mapping));
    CHECK(*word_at(region.address + 5 * PAGE) == 0);
    WANT(VMM_OK, vmm_mapping_at(own, region.address + 5 * PAGE, &mapping));

    WANT(VMM_OK, vmm_reserve(own, &(vmm_map_options_t){.pages = 1}, &reserved));
    asked_for = reserved.address;
    *word_at(asked_for) = 42;
    CHECK(*word_at(asked_for) == 42);
    CHECK(stopped == VMM_IN_POLICY);

    // What a loop of one's own would do with a message.
    vmm_fault_words_t words = {.ip = 5 * PAGE, .address = region.address + 12 * PAGE, .status = 6};
    WANT(VMM_OK, vmm_resolve_fault(thread.badge, &words));
    WANT(VMM_OK, vmm_mapping_at(own, words.address, &mapping));
    words.address = region.address + 16 * PAGE;
    WANT(VMM_NOT_MAPPED, vmm_resolve_fault(thread.badge, &words));
    WANT(VMM_NO_SUCH_THREAD, vmm_resolve_fault(thread.badge + 1, &words));

    WANT(VMM_KERNEL_REFUSED, vmm_register_thread(own, VMM_INITIAL_TCB, 1, NULL, &thread));
    WANT(VMM_OK, vmm_unregister_thread(thread));
    WANT(VMM_NO_SUCH_THREAD, vmm_unregister_thread(thread));
    WANT(VMM_OK, vmm_stop_fault_handler());
    WANT(VMM_OK, vmm_release(reserved));
    WANT(VMM_OK, vmm_release(region));
    return 0;
}

// Two threads and the first make requests at once.
#define WORKERS 2
#define ROUNDS 300

static __thread int my_rounds = 7;
static volatile int rounds[WORKERS];

static int map_and_release(void)
{
    vmm_region_t region;
    WANT(VMM_OK, vmm_map(own, &(vmm_map_options_t){.pages = 3, .name = "work"}, &region));
    for (int page = 0; page < 3; page++) CHECK(*word_at(region.address + page * PAGE) == 0);
    *word_at(region.address + PAGE) = 1;
    WANT(VMM_OK, vmm_release(region));
    return 0;
}

// A thread whose IPC buffer does not say that it is one: a request is refused.
static volatile int without_buffer = -1;

static void ask_without_buffer(void *argument)
{
    (void)argument;
    without_buffer = vmm_trim();
}

static void work(void *argument)
{
    volatile int *mine = argument;
    if (my_rounds != 7) return;
    for (my_rounds = 0; my_rounds < ROUNDS && map_and_release() == 0; my_rounds++) *mine += 1;
}

static int threads(void)
{
    vmm_stack_t stacks[WORKERS], lazy;
    vmm_ipc_buffer_t ipc[WORKERS];
    vmm_object_t tcbs[WORKERS];
    vmm_thread_t ids[WORKERS];
    vmm_stack_options_t options = {.pages = 16, .name = "worker", .guard_pages = 3};
    vmm_mapping_t mapping;
    WANT(VMM_OK, vmm_start_fault_handler(NULL));
    for (int i = 0; i < WORKERS; i++) {
        WANT(VMM_OK, vmm_allocate_stack(own, &options, &stacks[i]));
        CHECK(stacks[i].bottom == stacks[i].region.start + 3 * PAGE);
        CHECK(stacks[i].top == stacks[i].bottom + 16 * PAGE);
        WANT(VMM_NOTHING_THERE, vmm_mapping_at(own, stacks[i].bottom - 1, &mapping));
        WANT(VMM_OK, vmm_allocate_ipc_buffer(own, &ipc[i]));
        WANT(VMM_OK, vmm_allocate(VMM_TCB, 0, &tcbs[i]));
        WANT(VMM_OK, vmm_set_ipc_buffer(tcbs[i].cptr, ipc[i]));
        WANT(VMM_OK, vmm_register_thread(own, tcbs[i].cptr, 0, "worker", &ids[i]));
        WANT(VMM_OK, vmm_run_thread(tcbs[i].cptr, stacks[i], 255, work, (void *)&rounds[i]));
    }
    for (int turn = 0; turn < ROUNDS; turn++) CHECK(map_and_release() == 0);
    for (int turn = 0; turn < 100000 && (rounds[0] < ROUNDS || rounds[1] < ROUNDS); turn++)
        vmm_yield();
    CHECK(my_rounds == 7);
    for (int i = 0; i < WORKERS; i++) {
        CHECK(rounds[i] == ROUNDS);
        WANT(VMM_OK, vmm_unregister_thread(ids[i]));
        WANT(VMM_OK, vmm_free(tcbs[i]));
        WANT(VMM_OK, vmm_release_ipc_buffer(ipc[i]));
        WANT(VMM_OK, vmm_release(stacks[i].region));
        WANT(VMM_NO_SUCH_REGION, vmm_run_thread(tcbs[i].cptr, stacks[i], 255, work, NULL));
    }
    WANT(VMM_OK, vmm_allocate_stack(own, &options, &stacks[0]));
    WANT(VMM_OK, vmm_allocate_ipc_buffer(own, &ipc[0]));
    WANT(VMM_OK, vmm_allocate(VMM_TCB, 0, &tcbs[0]));
    WANT(VMM_OK, vmm_set_ipc_buffer(tcbs[0].cptr, ipc[0]));
    for (int i = 0; i < PAGE / 4; i++) word_at(ipc[0].address)[i] = 0;
    WANT(VMM_OK, vmm_register_thread(own, tcbs[0].cptr, 0, "bufferless", &ids[0]));
    WANT(VMM_OK, vmm_run_thread(tcbs[0].cptr, stacks[0], 255, ask_without_buffer, NULL));
    for (int turn = 0; turn < 1000 && without_buffer < 0; turn++) vmm_yield();
    CHECK(without_buffer == VMM_NO_IPC_BUFFER);
    WANT(VMM_OK, vmm_unregister_thread(ids[0]));
    WANT(VMM_OK, vmm_free(tcbs[0]));
    WANT(VMM_OK, vmm_release_ipc_buffer(ipc[0]));
    WANT(VMM_OK, vmm_release(stacks[0].region));
    WANT(VMM_OK, vmm_stop_fault_handler());

    options.on_demand = 1;
    WANT(VMM_OK, vmm_allocate_stack(own, &options, &lazy));
    WANT(VMM_NOT_MAPPED, vmm_run_thread(VMM_INITIAL_TCB, lazy, 255, work, NULL));
    WANT(VMM_OK, vmm_release(lazy.region));
    options.on_demand = 17;
    WANT(VMM_BAD_ARGUMENT, vmm_allocate_stack(own, &options, &lazy));
    options.pages = options.on_demand = 0;
    WANT(VMM_EMPTY_RANGE, vmm_allocate_stack(own, &options, &lazy));
    return 0;
}

int main(void)
{
    vmm_stats_t before, after;
    if (before_start() != 0) return 1;
    WANT(VMM_OK, vmm_trim());
    WANT(VMM_OK, vmm_stats(&before));
    if (null_pointers() || memory() || first_stack() || options_are_checked()) return 1;
    if (spaces() || objects() || buffers() || texts() || faults() || threads()) return 1;
    WANT(VMM_OK, vmm_trim());
    WANT(VMM_OK, vmm_stats(&after));
    CHECK(after.total_bytes == before.total_bytes && after.kernel_calls > before.kernel_calls);
    // An endpoint that was freed beside others in use comes back when the last of them is freed.
    CHECK(before.free_bytes - after.free_bytes < 512);
    CHECK(after.free_slots == before.free_slots && after.tables == before.tables);
    CHECK(after.tcbs == before.tcbs && after.endpoints == before.endpoints);
    CHECK(after.frames == before.frames && after.large_frames == before.large_frames);
    vmm_print_hex(after.free_bytes);
    vmm_print(" bytes free\nrequests: passed\n");
    vmm_exit(0);
    return 1; // not reached
}
