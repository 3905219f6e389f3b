// SPDX-License-Identifier: BSD-2-Clause
// The memory manager of a root task on seL4 5.0.0, for C (C99 and later) and C++.
//
// A root task is a main that calls vmm_start(vmm_boot_info()) first. qemu-scripts/cc.sh compiles
// and links it, qemu-scripts/run.sh boots it, vmm/c/example/main.c is one. The library brings what
// comes before main and after it (stack, thread-local storage, memcpy and its like); nothing else
// is needed, no header and no library of seL4's.
//
// What a function returns: VMM_OK, or a code that says why it did nothing. Every function that
// returns a vmm_code_t can return VMM_NOT_STARTED and VMM_NO_IPC_BUFFER besides what is said at
// it. Where several codes are due, which of them is returned is not promised.
//
// Pointers: one to what a function writes or reads must not be NULL, or the answer is
// VMM_NULL_POINTER, unless it is said there that it may be. Else it must be valid, as in C. Nothing
// is written where the answer is not VMM_OK. Strings end with a zero byte, and are not kept.
//
// Threads: every function may be called by any thread of the program's own address space and
// CSpace that has an IPC buffer which the kernel or vmm_set_ipc_buffer gave it; on IA32 its FS must
// hold the selector for it (0x3b), as seL4's own libraries have it. One request is served at a
// time, others wait. The stack of a thread that makes requests must be mapped, not left to be
// mapped when it is touched; of it 8 pages are enough for any request.
//
// Mistakes in the library itself, and those that it cannot answer by a code, end the program with a
// sentence on the first serial line.
//
// This file is made of the library's sources: cargo run -p vmm-c-header -- --write.

#ifndef VMM_H
#define VMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The kernel's boot information (seL4_BootInfo).
typedef struct vmm_boot_info_t vmm_boot_info_t;

// Pages may be read.
#define VMM_READ 1

// Pages may be written, and so also read.
#define VMM_WRITE 2

// Pages may not be touched. Alone, since 0 stands for what is usual.
#define VMM_NO_ACCESS 4

// Pages may be run, and so also read. Without it no instruction is fetched from them, where the
// processor and the kernel can forbid that; x86 as seL4 5.0.0 uses it cannot.
#define VMM_EXECUTE 8

// What a function returns: VMM_OK, or why a request was refused. Where a function does not say
// otherwise, everything is then as it was before the request.
//
// The number says whose fault it is: 1 to 99 the caller's, 100 to 199 want of a resource, 200 and
// more the manager's or the kernel's.
typedef enum {
  // The request was carried out.
  VMM_OK = 0,
  // A pointer that must not be NULL is.
  VMM_NULL_POINTER = 1,
  // There is no manager yet: vmm_start was not called, or did not succeed.
  VMM_NOT_STARTED = 2,
  // vmm_start was called before.
  VMM_ALREADY_STARTED = 3,
  // The boot information cannot be used as it is.
  VMM_BAD_BOOT_INFO = 4,
  // A number is not one of those that may be given in its place.
  VMM_BAD_ARGUMENT = 5,
  // The caller is a fault policy, which the handler it runs in cannot be stopped by.
  VMM_IN_POLICY = 6,
  // The calling thread has no IPC buffer that vmm_set_ipc_buffer or the kernel gave it.
  VMM_NO_IPC_BUFFER = 7,
  // There is a fault handler already.
  VMM_HANDLER_RUNNING = 8,
  // There is no fault handler.
  VMM_NO_HANDLER = 9,
  // No region covers the address, or nothing is mapped there.
  VMM_NOTHING_THERE = 10,
  // An address, or the end of a range, lies outside user space.
  VMM_OUTSIDE_USER_SPACE = 11,
  // An address is not aligned as it must be.
  VMM_MISALIGNED = 12,
  // A range has no page.
  VMM_EMPTY_RANGE = 13,
  // A range wraps around the end of the address space.
  VMM_RANGE_WRAPS = 14,
  // There is no such address space, or no more.
  VMM_NO_SUCH_SPACE = 15,
  // There is no such region, or no more.
  VMM_NO_SUCH_REGION = 16,
  // There is no such registered thread, or no more.
  VMM_NO_SUCH_THREAD = 17,
  // There is no such IPC buffer, or no more.
  VMM_NO_SUCH_IPC_BUFFER = 18,
  // No fault waits for a pager under this ticket.
  VMM_NO_SUCH_REQUEST = 19,
  // The slot is not for an answer to this thread.
  VMM_NO_REPLY_SLOT = 20,
  // A pager has this token already.
  VMM_TOKEN_IN_USE = 21,
  // No pager has this token.
  VMM_NO_SUCH_PAGER = 22,
  // The range overlaps a region.
  VMM_OVERLAP = 23,
  // The range is not all inside one region.
  VMM_OUTSIDE_REGION = 24,
  // The range touches a guard page.
  VMM_GUARD = 25,
  // Something is mapped there already.
  VMM_ALREADY_MAPPED = 26,
  // Nothing is mapped there.
  VMM_NOT_MAPPED = 27,
  // More rights than the region's ceiling allows.
  VMM_RIGHTS_EXCEED_CEILING = 28,
  // The region is of a kind that this request is not for: the program's image, an IPC buffer.
  VMM_WRONG_KIND = 29,
  // The range cuts a large page that cannot be cut, or a large page would be misaligned.
  VMM_LARGE_PAGE = 30,
  // The memory is not the manager's to change.
  VMM_NOT_MANAGED = 31,
  // The memory is shared with another region.
  VMM_SHARED = 32,
  // What was to be given back is in use.
  VMM_IN_USE = 33,
  // The capability is no frame of the smallest page size.
  VMM_NO_PAGE = 34,
  // Thread-local storage that cannot be.
  VMM_BAD_TLS = 35,
  // The architecture has no frame of this size.
  VMM_NO_SUCH_FRAME_SIZE = 36,
  // The frame cannot be an IPC buffer.
  VMM_BAD_IPC_BUFFER = 37,
  // An IPC buffer takes a region of one page, and this one has more.
  VMM_NOT_ONE_PAGE = 38,
  // The space is the manager's own, and cannot be destroyed.
  VMM_OWN_SPACE = 39,
  // The memory is that of a thread that must not fault, and stays as it is.
  VMM_PINNED = 40,
  // A registered thread still uses the space, or an object that was allocated for it.
  VMM_SPACE_IN_USE = 41,
  // The object was not allocated for this space.
  VMM_NOT_OF_SPACE = 42,
  // The architecture has no such object.
  VMM_NO_SUCH_OBJECT = 43,
  // Nothing was asked for.
  VMM_ZERO_COUNT = 44,
  // More than one request can have.
  VMM_TOO_MANY = 45,
  // The capability was not handed out.
  VMM_NOT_ALLOCATED = 46,
  // The object was freed before.
  VMM_STALE = 47,
  // There is no memory at this physical address.
  VMM_NO_MEMORY_AT = 48,
  // The memory at this physical address is in use.
  VMM_ADDRESS_IN_USE = 49,
  // Device memory makes frames and untypeds alone.
  VMM_DEVICE_MEMORY = 50,
  // The boot information has no untyped memory that could be used.
  VMM_NO_UNTYPED = 51,
  // The boot information describes untyped memory that cannot be.
  VMM_BAD_UNTYPED = 52,
  // The first stack was used up before its guard could be unmapped, and what lies below may have
  // been overwritten.
  VMM_STACK_TOO_SMALL = 53,
  // Memory that is mapped or copied when it is touched would lie where the kernel does not tell
  // the whole address of a touch: on x86_64 of seL4 5.0.0 from 4 GiB on.
  VMM_FAULTS_NOT_TOLD = 54,
  // No thread can run in the space. No request of this library makes such a space.
  VMM_STORE_SPACE = 55,
  // No block of memory of the size needed is left.
  VMM_OUT_OF_MEMORY = 100,
  // No capability slots are left.
  VMM_OUT_OF_SLOTS = 101,
  // Memory for the manager's own records ran out.
  VMM_OUT_OF_NODES = 102,
  // No hole of the address space is large enough.
  VMM_NO_ROOM = 103,
  // Cutting a large page takes memory, and so much is not to be had.
  VMM_OUT_OF_MEMORY_TO_CUT = 104,
  // No identifier for an address space is left.
  VMM_OUT_OF_ASIDS = 105,
  // No badge for a thread is left.
  VMM_OUT_OF_BADGES = 106,
  // No number for an address space is left.
  VMM_OUT_OF_SPACE_NUMBERS = 107,
  // The memory is shared as often as can be counted.
  VMM_SHARED_TOO_OFTEN = 108,
  // The space may not have more.
  VMM_OUT_OF_QUOTA = 109,
  // There is as much pinned memory as there can be.
  VMM_TOO_MANY_PINNED = 110,
  // There are as many pagers as there can be.
  VMM_TOO_MANY_PAGERS = 111,
  // Memory is there, but the kernel must clear it first, and more than it may by one call.
  VMM_NEEDS_CLEARING = 112,
  // The kernel refused an invocation. A request that maps has undone what it did; of one that
  // unmaps or protects, the first pages stay done (vmm_error_detail says how many), and making
  // it again does the rest.
  VMM_KERNEL_REFUSED = 200,
  // The manager told of an error that this library has no code for.
  VMM_OTHER_ERROR = 201,
} vmm_code_t;

// Whose fault a refused request is, and so what to do about it.
typedef enum {
  // Nobody's: the request was not refused, or the number is no code.
  VMM_NOBODY = 0,
  // The caller's: repeating the request will not help.
  VMM_CALLER = 1,
  // Something ran out: the request can succeed once some of it is given back.
  VMM_RESOURCE = 2,
  // The kernel refused what it should not have: a fault of the manager's, or of who took a
  // capability away from it.
  VMM_MANAGER = 3,
} vmm_blame_t;

// How pages are cached.
typedef enum {
  // As ordinary memory.
  VMM_WRITE_BACK = 0,
  // Writes go through to memory at once.
  VMM_WRITE_THROUGH = 1,
  // Not at all: for the registers of devices.
  VMM_UNCACHED = 2,
  // Writes are gathered: for frame buffers.
  VMM_WRITE_COMBINING = 3,
} vmm_cache_t;

// What a region is for.
typedef enum {
  // Memory that is mapped, unmapped and protected page by page.
  VMM_MEMORY = 0,
  // A stack: memory with a guard below.
  VMM_STACK = 1,
  // IPC buffers.
  VMM_IPC_BUFFER = 2,
  // The program's image, and what else the kernel mapped at boot.
  VMM_BOOT = 3,
  // The manager's own records.
  VMM_BOOKKEEPING = 4,
  // Addresses in which others place regions.
  VMM_RESERVATION = 5,
  // What the kernel would not unmap. It is tried again by vmm_trim.
  VMM_QUARANTINE = 6,
} vmm_region_kind_t;

// What kind of fault it is.
typedef enum {
  // A page fault: `value` is the address.
  VMM_PAGE_FAULT = 0,
  // A capability pointer that leads nowhere: `value` is the pointer.
  VMM_CAP_FAULT = 1,
  // A system call that the kernel does not have: `value` is its number.
  VMM_UNKNOWN_SYSCALL = 2,
  // An exception of the processor: `value` is its number.
  VMM_EXCEPTION = 3,
} vmm_fault_kind_t;

// The kinds of kernel objects.
typedef enum {
  // A thread control block.
  VMM_TCB = 1,
  // An endpoint.
  VMM_ENDPOINT = 2,
  // A notification.
  VMM_NOTIFICATION = 3,
  // A CNode of 2^bits slots; bits is 1 or more.
  VMM_CNODE = 4,
  // A frame of 2^bits bytes: 12 or 22 on IA32, 12 or 21 on x86_64.
  VMM_FRAME = 5,
  // Untyped memory of 2^bits bytes: 4 to 29 on IA32, to 47 on x86_64.
  VMM_UNTYPED = 6,
} vmm_kind_t;

// What becomes of a thread whose fault cannot be resolved.
typedef enum {
  // It stops where it is.
  VMM_SUSPEND = 0,
  // What was wrong has been put right: it repeats its instruction.
  VMM_RESUME = 1,
} vmm_verdict_t;

// An address space. All zero is the program's own.
typedef struct {
  // Tells it from spaces that had its number before.
  uint64_t serial;
  // 1 to 2^27 - 1; 0 for the program's own space.
  uint32_t number;
} vmm_space_t;

// A capability pointer, as seL4's own seL4_CPtr: a word.
typedef uintptr_t vmm_cptr_t;

// What a region is to be. All zero but `pages`: anywhere, readable and writable, without guards.
typedef struct {
  // How many pages of 4096 bytes, guard pages not counted; 1 or more.
  size_t pages;
  // Where its first page behind the guard below is to be, in bytes, a multiple of 4096; 0 for
  // anywhere.
  uintptr_t address;
  // A name for people, of which the first 15 bytes count; or NULL.
  const char *name;
  // What its pages may be used for: VMM_READ, VMM_WRITE and VMM_EXECUTE, or VMM_NO_ACCESS; 0 for
  // reading and writing.
  uint32_t rights;
  // The most that its pages may ever be used for, as `rights`; 0 for reading and writing, and
  // executing if `rights` has that.
  uint32_t ceiling;
  // How its pages are cached: a vmm_cache_t.
  int cache;
  // Guard pages below, which are never mapped: 0 to 65535.
  uint16_t guard_below;
  // Guard pages above.
  uint16_t guard_above;
  // Its alignment: to 2^align_bits bytes; 0 for that of a page.
  uint8_t align_bits;
  // The size of its pages: 0 or 12 for pages of 4096 bytes; 22 on IA32 and 21 on x86_64 for
  // large ones, of which `address` and `pages` must be multiples.
  uint8_t page_bits;
  // For vmm_reserve: how many pages are mapped when one of them is touched, 1 to 16, rounded
  // down to a power of two. 0: none, a touch is a fault that is reported.
  uint8_t on_demand;
} vmm_map_options_t;

// A region of addresses.
typedef struct {
  // The space it lies in.
  vmm_space_t space;
  // Tells it from regions that began where it does before.
  uint64_t serial;
  // Where it begins, in bytes, guard pages included.
  uintptr_t start;
  // The first address that can be used, in bytes: behind the guard pages below.
  uintptr_t address;
} vmm_region_t;

// What is known of a region.
typedef struct {
  // The region.
  vmm_region_t region;
  // Its pages of 4096 bytes, guard pages not counted.
  size_t pages;
  // Guard pages below.
  size_t guard_below;
  // Guard pages above.
  size_t guard_above;
  // What its pages may be used for, unless they were protected since: VMM_READ, VMM_WRITE
  // and VMM_EXECUTE, or VMM_NO_ACCESS.
  uint32_t rights;
  // The most that they may ever be used for.
  uint32_t ceiling;
  // How its pages are cached.
  vmm_cache_t cache;
  // What it is for.
  vmm_region_kind_t kind;
  // How many pages are mapped when one is touched; 0: none.
  uint8_t on_demand;
  // Its name, which ends with a zero byte.
  char name[16];
} vmm_region_info_t;

// What is mapped at an address.
typedef struct {
  // Where its page begins, in bytes.
  uintptr_t page;
  // The capability of the frame that is mapped there.
  vmm_cptr_t frame;
  // What it may be used for, as it was asked for: VMM_READ, VMM_WRITE and VMM_EXECUTE, or
  // VMM_NO_ACCESS.
  uint32_t rights;
  // How it is cached.
  vmm_cache_t cache;
  // Its size: 2^size_bits bytes.
  uint8_t size_bits;
  // Whether the first write gets a frame of its own.
  bool copy_on_write;
} vmm_mapping_t;

// A kernel object.
typedef struct {
  // Tells it from objects whose capabilities had its slot before.
  uint64_t serial;
  // Its capability.
  vmm_cptr_t cptr;
} vmm_object_t;

// What a stack is to be. All zero but `pages`: mapped at once, with one guard page below.
typedef struct {
  // How many pages of 4096 bytes, guard pages not counted; 1 or more.
  size_t pages;
  // A name for people, of which the first 15 bytes count; or NULL.
  const char *name;
  // Guard pages below, which are never mapped; 0 for 1, which is the least.
  uint16_t guard_pages;
  // For a stack that is mapped when it is touched, by the fault handler: how many pages for one
  // touch, 1 to 16. 0 for a stack that is mapped at once. A thread on a stack that grows must
  // make no requests: its own touch would wait for the handler, which would wait for it.
  uint8_t on_demand;
} vmm_stack_options_t;

// A stack, which grows downwards.
typedef struct {
  // Its region, which vmm_release gives back.
  vmm_region_t region;
  // The lowest address that can be used, in bytes. The pages below are the guard.
  uintptr_t bottom;
  // The address after the highest, page-aligned: the first stack pointer.
  uintptr_t top;
} vmm_stack_t;

// An IPC buffer, in a frame of its own, with an unmapped page on either side.
typedef struct {
  // The region it lies in, perhaps with others.
  vmm_region_t region;
  // Its address, in bytes; page-aligned.
  uintptr_t address;
  // The capability of its frame.
  vmm_cptr_t frame;
} vmm_ipc_buffer_t;

// A thread whose faults are answered.
typedef struct {
  // Tells it from threads that had its badge before.
  uint64_t serial;
  // The badge of its fault messages: 1 to 2^27 - 1.
  uint32_t badge;
} vmm_thread_t;

// A fault that cannot be resolved.
typedef struct {
  // The thread.
  vmm_thread_t thread;
  // The space it runs in.
  vmm_space_t space;
  // Address or number, by `kind`. On x86_64 the kernel tells of an address its low 32 bits.
  uintptr_t value;
  // The address of the instruction.
  uintptr_t ip;
  // What kind of fault.
  vmm_fault_kind_t kind;
  // Why a fault was not resolved that could be, such as VMM_OUT_OF_MEMORY; VMM_OK for one that
  // can never be.
  vmm_code_t code;
  // Of a page fault, whether the thread was writing.
  bool write;
} vmm_fault_t;

// Decides what becomes of a thread whose fault cannot be resolved: returns a vmm_verdict_t
// (anything else is VMM_SUSPEND).
//
// It runs in the handler's thread, on its stack; no other thread's requests are served meanwhile.
// It may make requests, but none that stops the handler.
typedef int (*vmm_policy_t)(const vmm_fault_t *fault, void *context);

// What the fault handler is to be. All zero: one of the highest priority that prints each fault
// that it cannot resolve and suspends the thread.
typedef struct {
  // What decides of faults that cannot be resolved; NULL for printing and suspending.
  vmm_policy_t policy;
  // What `policy` is called with.
  void *context;
  // Pages of its stack, 4096 bytes each; 0 for 8.
  size_t stack_pages;
  // Its priority, 1 to 255, at least that of the threads whose faults it answers; 0 for 255.
  uint8_t priority;
} vmm_handler_options_t;

// The four words of the kernel's message about a page fault (seL4_VMFault_Msg), in their order.
typedef struct {
  // seL4_VMFault_IP: the address of the instruction.
  uintptr_t ip;
  // seL4_VMFault_Addr: the address that was touched.
  uintptr_t address;
  // seL4_VMFault_PrefetchFault: whether it was a fetch.
  uintptr_t prefetch;
  // seL4_VMFault_FSR: the processor's word on it.
  uintptr_t status;
} vmm_fault_words_t;

// How much there is of everything. Bytes are of RAM.
typedef struct {
  // System calls that the manager has made so far.
  uint64_t kernel_calls;
  // Pages that were moved to other frames so far, so that free memory became one piece.
  uint64_t moved_pages;
  // Pages of memory on demand that held nothing but zeros, in large pages that were given up
  // when memory was short, so far.
  uint64_t reclaimed_pages;
  // All memory that came in.
  size_t total_bytes;
  // What nobody uses of it.
  size_t free_bytes;
  // The largest free piece.
  size_t largest_free_bytes;
  // Memory of the manager's own records, used and spare.
  size_t bookkeeping_bytes;
  // What is used of it.
  size_t bookkeeping_bytes_used;
  // Capability slots that are free, without growing the CSpace.
  size_t free_slots;
  // What the kernel would not let go; vmm_trim tries again.
  size_t quarantined;
  // Address spaces.
  size_t spaces;
  // Frames of 4096 bytes in use.
  size_t frames;
  // Large frames in use.
  size_t large_frames;
  // Page tables in use, those that are kept empty included.
  size_t tables;
  // Thread control blocks in use.
  size_t tcbs;
  // Endpoints in use.
  size_t endpoints;
  // Notifications in use.
  size_t notifications;
  // CNodes in use.
  size_t cnodes;
} vmm_stats_t;

// How much there is in an address space.
typedef struct {
  // Pages of 4096 bytes that are mapped.
  size_t mapped_pages;
  // Regions, the page of the null pointer included.
  size_t regions;
  // Page tables, empty ones included.
  size_t tables;
  // Pages of the largest hole.
  size_t largest_hole;
} vmm_space_stats_t;

// The thread control block of the first thread (seL4_CapInitThreadTCB).
#define VMM_INITIAL_TCB 1

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Starts the manager of all that the kernel left to this root task. To be called first, once, by
// the first thread, before the program has used any of the untyped memory or slots that the boot
// information lists. A request clears as much memory as it needs: the kernel does that by one call
// for an untyped, in which nobody else runs. `boot` is what vmm_boot_info returned.
//
// Errors: VMM_NULL_POINTER; VMM_ALREADY_STARTED for all calls but the first; VMM_BAD_BOOT_INFO,
// VMM_STACK_TOO_SMALL, VMM_NO_UNTYPED, VMM_BAD_UNTYPED; VMM_OUT_OF_NODES, VMM_OUT_OF_MEMORY;
// VMM_KERNEL_REFUSED.
vmm_code_t vmm_start(const vmm_boot_info_t *boot);

// Says what a code means, in English, as a string that is there for good; "no such code" for other
// numbers.
const char *vmm_error_text(int code);

// Says whose fault a refused request is: by the code alone.
vmm_blame_t vmm_error_blame(int code);

// Writes in full what was wrong with the calling thread's last request that was refused with
// `code`, with the offending value, such as "0x1000 is a guard page"; or what vmm_error_text says,
// where nothing more is known. That is kept for the 16 threads whose requests were refused last.
//
// At most `bytes` bytes are written to `buffer`, the last of which is zero. Returns how many bytes
// the whole text has, without the zero byte, as snprintf does. `buffer` may be NULL: then nothing
// is written.
size_t vmm_error_detail(int code, char *buffer, size_t bytes);

// Returns the kernel's boot information: what vmm_start is given. (A seL4_BootInfo, for a program
// that has seL4's headers.)
const vmm_boot_info_t *vmm_boot_info(void);

// Ends the program, as returning from main does: with success if `status` is 0. QEMU ends with it,
// where it has the device for that (qemu-scripts/run.sh); elsewhere the first thread stops.
void vmm_exit(int status);

// Returns the program's own address space; all zero before vmm_start.
vmm_space_t vmm_own_space(void);

// Makes an address space in which nothing is mapped.
//
// Errors: VMM_NULL_POINTER; VMM_OUT_OF_ASIDS, VMM_OUT_OF_SPACE_NUMBERS, VMM_OUT_OF_MEMORY,
// VMM_OUT_OF_SLOTS, VMM_OUT_OF_NODES; VMM_KERNEL_REFUSED.
vmm_code_t vmm_create_space(vmm_space_t *space);

// Destroys an address space and gives back all that is mapped in it.
//
// Errors: VMM_NO_SUCH_SPACE; VMM_OWN_SPACE; VMM_SPACE_IN_USE while threads that run in it are
// registered; VMM_KERNEL_REFUSED, and then destroying it again goes on.
vmm_code_t vmm_destroy_space(vmm_space_t space);

// Tells the capability of the root of a space's page tables: what TCB_SetSpace is given.
//
// Errors: VMM_NULL_POINTER; VMM_NO_SUCH_SPACE.
vmm_code_t vmm_vspace(vmm_space_t space, vmm_cptr_t *vspace);

// Makes a region and maps fresh memory, full of zeros, in all of it. One system call a page, and
// few besides.
//
// Errors: VMM_NULL_POINTER; VMM_BAD_ARGUMENT; VMM_EMPTY_RANGE, VMM_MISALIGNED,
// VMM_OUTSIDE_USER_SPACE, VMM_RANGE_WRAPS, VMM_OVERLAP, VMM_RIGHTS_EXCEED_CEILING,
// VMM_NO_SUCH_FRAME_SIZE, VMM_FAULTS_NOT_TOLD for what is mapped when it is touched;
// VMM_NO_SUCH_SPACE; VMM_NO_ROOM, VMM_OUT_OF_MEMORY, VMM_OUT_OF_SLOTS, VMM_OUT_OF_NODES;
// VMM_KERNEL_REFUSED. Nothing is left behind.
vmm_code_t vmm_map(vmm_space_t space, const vmm_map_options_t *options, vmm_region_t *region);

// Makes a region in which nothing is mapped: vmm_populate maps in it, or, where `on_demand` is not
// 0, the fault handler when it is touched. No system call.
//
// Errors: as vmm_map.
vmm_code_t vmm_reserve(vmm_space_t space, const vmm_map_options_t *options, vmm_region_t *region);

// Maps fresh memory, full of zeros, in `pages` pages from `address` on (bytes, a multiple of
// 4096): all in one region, with nothing mapped yet.
//
// Errors: VMM_NO_SUCH_SPACE; VMM_MISALIGNED, VMM_EMPTY_RANGE, VMM_RANGE_WRAPS,
// VMM_OUTSIDE_USER_SPACE, VMM_OUTSIDE_REGION, VMM_GUARD, VMM_WRONG_KIND, VMM_ALREADY_MAPPED; what
// can run out for vmm_map; VMM_KERNEL_REFUSED. Nothing is left behind.
vmm_code_t vmm_populate(vmm_space_t space, uintptr_t address, size_t pages);

// Unmaps `pages` pages from `address` on (bytes, a multiple of 4096), all in one region and all
// mapped, and gives their memory back. The region stays. One system call a page.
//
// Errors: as vmm_populate for the range; VMM_NOT_MAPPED; VMM_PINNED; VMM_LARGE_PAGE,
// VMM_OUT_OF_MEMORY_TO_CUT where it cuts a large page; VMM_KERNEL_REFUSED, see there.
vmm_code_t vmm_unmap(vmm_space_t space, uintptr_t address, size_t pages);

// Gives `pages` pages from `address` on (bytes, a multiple of 4096), all in one region and all
// mapped, other rights: VMM_READ, VMM_WRITE and VMM_EXECUTE, or VMM_NO_ACCESS. At no moment is one
// absent. One system call a page, and one more for up to 256 of them in the program's own space.
//
// Errors: as vmm_unmap; VMM_BAD_ARGUMENT for other rights, 0 among them;
// VMM_RIGHTS_EXCEED_CEILING.
vmm_code_t vmm_protect(vmm_space_t space, uintptr_t address, size_t pages, uint32_t rights);

// Gives a region back, a stack's as well: what is mapped in it, and its addresses.
//
// Errors: VMM_NO_SUCH_REGION, if it was released before too; VMM_WRONG_KIND for an IPC buffer and
// for the program's image; VMM_PINNED; VMM_KERNEL_REFUSED, and then releasing it again goes on.
vmm_code_t vmm_release(vmm_region_t region);

// Tells of the region that covers an address (bytes), guard pages included. No system call.
//
// Errors: VMM_NULL_POINTER; VMM_NO_SUCH_SPACE; VMM_OUTSIDE_USER_SPACE; VMM_NOTHING_THERE.
vmm_code_t vmm_region_at(vmm_space_t space, uintptr_t address, vmm_region_info_t *info);

// Tells of a region. No system call.
//
// Errors: VMM_NULL_POINTER; VMM_NO_SUCH_REGION.
vmm_code_t vmm_region_info(vmm_region_t region, vmm_region_info_t *info);

// Tells what the manager has mapped at an address (bytes). No system call.
//
// Errors: VMM_NULL_POINTER; VMM_NO_SUCH_SPACE; VMM_OUTSIDE_USER_SPACE; VMM_NOTHING_THERE.
vmm_code_t vmm_mapping_at(vmm_space_t space, uintptr_t address, vmm_mapping_t *mapping);

// Tells the physical address behind a mapped address, both in bytes. It stays what it is until the
// page is unmapped. One system call.
//
// Errors: VMM_NULL_POINTER; VMM_NO_SUCH_SPACE; VMM_OUTSIDE_USER_SPACE; VMM_NOT_MAPPED;
// VMM_KERNEL_REFUSED.
vmm_code_t vmm_physical_address(vmm_space_t space, uintptr_t address, uintptr_t *physical);

// Makes a kernel object: `kind` is a vmm_kind_t, `bits` its size where that can be chosen, and 0
// elsewhere. Its capability, with all rights, lies in a slot of the program's own CSpace. One
// system call for up to 256 small objects.
//
// Errors: VMM_NULL_POINTER; VMM_BAD_ARGUMENT for another kind, or a size of what has one size;
// VMM_NO_SUCH_OBJECT for a size that there is not; VMM_OUT_OF_MEMORY, VMM_OUT_OF_SLOTS,
// VMM_OUT_OF_NODES; VMM_KERNEL_REFUSED.
vmm_code_t vmm_allocate(int kind, uint8_t bits, vmm_object_t *object);

// Destroys an object that vmm_allocate made, with all copies of its capability.
//
// Errors: VMM_NOT_ALLOCATED, VMM_STALE for what was freed before; VMM_KERNEL_REFUSED, and then it
// is still there.
vmm_code_t vmm_free(vmm_object_t object);

// Makes a stack, with guard pages below and one above. vmm_release gives its region back.
//
// Errors: as vmm_map.
vmm_code_t vmm_allocate_stack(vmm_space_t space,
                              const vmm_stack_options_t *options,
                              vmm_stack_t *stack);

// Makes an IPC buffer: a frame of its own, full of zeros, with an unmapped page on either side.
//
// Errors: VMM_NULL_POINTER; VMM_NO_SUCH_SPACE; VMM_NO_ROOM, VMM_OUT_OF_QUOTA, VMM_OUT_OF_MEMORY,
// VMM_OUT_OF_SLOTS, VMM_OUT_OF_NODES; VMM_KERNEL_REFUSED.
vmm_code_t vmm_allocate_ipc_buffer(vmm_space_t space, vmm_ipc_buffer_t *buffer);

// Makes a buffer that of the thread `tcb` (TCB_SetIPCBuffer), which does not run and will run in
// the buffer's space. A thread of the program's own space can make requests with it.
//
// Errors: VMM_NO_SUCH_IPC_BUFFER; VMM_KERNEL_REFUSED for what is no thread control block.
vmm_code_t vmm_set_ipc_buffer(vmm_cptr_t tcb, vmm_ipc_buffer_t buffer);

// Takes a buffer from its thread, and gives its frame back. A thread that is still to run needs
// another buffer first.
//
// Errors: VMM_NO_SUCH_IPC_BUFFER, if it was released before too; VMM_PINNED; VMM_KERNEL_REFUSED,
// and then it is still there.
vmm_code_t vmm_release_ipc_buffer(vmm_ipc_buffer_t buffer);

// Lets a thread run: it calls `entry` with `argument`, and stops when that returns. Before that,
// vmm_set_ipc_buffer and vmm_register_thread have made it one of the program's own space, and
// `stack` is a stack of that space, mapped at once, that no other thread has. A few hundred bytes
// at its top are taken for what the thread begins with, its thread-local storage among them.
// `priority` is 0 to 255, at most the calling thread's; the first thread has 255. To end it, free
// its thread control block, after vmm_unregister_thread.
//
// Errors: VMM_NULL_POINTER for `entry`; VMM_NO_SUCH_REGION, VMM_WRONG_KIND for what is no stack of
// the program's own space; VMM_NOT_MAPPED for a stack whose top is not mapped, or
// cannot be written; VMM_KERNEL_REFUSED for what is no thread control block.
vmm_code_t vmm_run_thread(vmm_cptr_t tcb,
                          vmm_stack_t stack,
                          uint8_t priority,
                          void (*entry)(void *argument),
                          void *argument);

// Lets another thread of the same priority run, if there is one that can.
void vmm_yield(void);

// Starts a thread that answers the faults of registered threads: it maps memory that is mapped
// when it is touched, and asks a policy about all else. `options` may be NULL, for all zero.
//
// Errors: VMM_HANDLER_RUNNING; VMM_OUT_OF_MEMORY, VMM_OUT_OF_SLOTS, VMM_OUT_OF_NODES, VMM_NO_ROOM,
// VMM_TOO_MANY_PINNED; VMM_KERNEL_REFUSED, for a priority above the calling thread's too. Nothing
// is left behind.
vmm_code_t vmm_start_fault_handler(const vmm_handler_options_t *options);

// Stops the fault handler and gives back all it was given. Faults of threads that are still
// registered with it are not answered any more.
//
// Errors: VMM_NO_HANDLER; VMM_IN_POLICY; VMM_KERNEL_REFUSED.
vmm_code_t vmm_stop_fault_handler(void);

// Registers the thread `tcb`, which runs in `space` and whose CSpace is the program's own (both
// are set, by TCB_SetSpace): the faults it has from now on are answered, by the fault handler
// where `endpoint` is 0, else by whoever receives at that endpoint, of which it is the capability
// with all rights and without a badge. VMM_INITIAL_TCB is the first thread. `name` is for people,
// or NULL.
//
// Errors: VMM_NULL_POINTER for `thread`; VMM_NO_HANDLER; VMM_NO_SUCH_SPACE; VMM_OUT_OF_BADGES,
// VMM_OUT_OF_SLOTS, VMM_OUT_OF_NODES, VMM_OUT_OF_MEMORY; VMM_KERNEL_REFUSED for what is no thread
// control block or no such endpoint. Nothing is left behind.
vmm_code_t vmm_register_thread(vmm_space_t space,
                               vmm_cptr_t tcb,
                               vmm_cptr_t endpoint,
                               const char *name,
                               vmm_thread_t *thread);

// Forgets a thread: its faults are not answered any more, and a thread that has one stops. To be
// called before its thread control block is freed.
//
// Errors: VMM_NO_SUCH_THREAD, if it was forgotten before too; VMM_KERNEL_REFUSED, and then it is
// still registered.
vmm_code_t vmm_unregister_thread(vmm_thread_t thread);

// Resolves a page fault, for a loop of the caller's that has received it at its own endpoint: with
// the badge of the message and its four words. On VMM_OK the thread can go on: it is to be
// answered with an empty message. Up to 16 pages are mapped.
//
// Errors: VMM_NULL_POINTER; VMM_NO_SUCH_THREAD for a badge of no registered thread; VMM_NOT_MAPPED
// for a fault that can never be resolved: an address that is not the thread's, a guard page, a
// write to what may not be written; VMM_OUT_OF_MEMORY, VMM_OUT_OF_QUOTA and their like, for a
// fault that can be resolved later; VMM_KERNEL_REFUSED.
vmm_code_t vmm_resolve_fault(uintptr_t badge, const vmm_fault_words_t *words);

// Tells how much there is of everything. No system call.
//
// Errors: VMM_NULL_POINTER.
vmm_code_t vmm_stats(vmm_stats_t *stats);

// Tells how much there is in an address space. No system call.
//
// Errors: VMM_NULL_POINTER; VMM_NO_SUCH_SPACE.
vmm_code_t vmm_space_stats(vmm_space_t space, vmm_space_stats_t *stats);

// Gives back all that is kept for speed (empty page tables, unused objects), makes free memory as
// few pieces as can be, and undoes what the kernel did not let be undone before.
//
// Errors: VMM_KERNEL_REFUSED; the rest was done.
vmm_code_t vmm_trim(void);

// Prints a string (UTF-8) to the first serial line, on the release kernel too. NULL prints
// nothing. Lines of several threads may mix.
void vmm_print(const char *text);

// Prints a number in hexadecimal, with 0x before it.
void vmm_print_hex(uintptr_t number);

// Prints a line: `what`, and what was wrong with the request that returned `code`, in full.
// Returns `code` as it is.
int vmm_print_code(const char *what, int code);

// Prints how much there is of everything, a line for each thing.
//
// Errors: none but those of every function.
vmm_code_t vmm_print_stats(void);

// Prints the regions of an address space, and what is mapped in them. Nobody else's requests are
// served meanwhile.
//
// Errors: VMM_NO_SUCH_SPACE.
vmm_code_t vmm_print_space(vmm_space_t space);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* VMM_H */
