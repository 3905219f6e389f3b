// SPDX-License-Identifier: BSD-2-Clause
/*
 * What roottask/src/bin/bench-large/program.rs measures, on Linux: the same in the same order, in
 * rows of the same names. It is the first program there (/init), without a C library, for x86_64.
 *
 * It prints lines as the benchmark does and ends QEMU by the port of isa-debug-exit. Under
 * -icount shift=0 a tick of the time-stamp counter is one instruction, of program or kernel.
 */

#define PAGE 4096L
#define PAGES 16384L
#define BYTES (PAGES * PAGE)
#define LARGE (2L << 20)
#define SPARSE 100
#define FEW ((PAGES + SPARSE - 1) / SPARSE)
#define TIMES 1000
#define PORT 0xf4

/* Numbers of x86_64's system calls, and of their options. */
enum {
    WRITE = 1, MMAP = 9, MPROTECT = 10, MUNMAP = 11, MADVISE = 28, FORK = 57, EXIT = 60, WAIT4 = 61,
    UNAME = 63, IOPL = 172,
    READABLE = 1, READ_WRITE = 3,
    SHARED = 0x01, PRIVATE = 0x02, ANONYMOUS = 0x20, POPULATE = 0x8000,
    HUGE_PAGES = 14, NO_HUGE_PAGES = 15, POPULATE_WRITE = 23,
};

/* The exit codes of QEMU are twice these and one. */
enum { SUCCESS = 16, FAILURE = 17 };

typedef unsigned long Ticks;

static inline Ticks now(void) {
    unsigned low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (Ticks)high << 32 | low;
}

static long call(long number, long a, long b, long c, long d, long e, long f) {
    register long fourth __asm__("r10") = d, fifth __asm__("r8") = e, sixth __asm__("r9") = f;
    long answer;
    __asm__ volatile("syscall"
                     : "=a"(answer)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
                     : "rcx", "r11", "memory");
    return answer;
}

static long length(const char *text) {
    long bytes = 0;
    while (text[bytes] != 0)
        bytes++;
    return bytes;
}

static void print(const char *text) { call(WRITE, 1, (long)text, length(text), 0, 0, 0); }

static void print_number(Ticks number) {
    char digits[24];
    int at = sizeof digits - 1;
    digits[at] = 0;
    do
        digits[--at] = '0' + number % 10;
    while ((number /= 10) != 0);
    print(digits + at);
}

static void __attribute__((noreturn)) end(int code) {
    if (call(IOPL, 3, 0, 0, 0, 0, 0) == 0)
        __asm__ volatile("outb %b0, %w1" : : "a"(code), "d"(PORT));
    /* Without the port: Linux panics when its first program ends. */
    for (;;)
        call(EXIT, code, 0, 0, 0, 0, 0);
}

/* What a system call answered, if that is no error. */
static long checked(const char *what, long answer) {
    if (answer >= 0 || answer < -4095)
        return answer;
    print("linux: ");
    print(what);
    print(" fails with error ");
    print_number(-answer);
    print("\n");
    end(FAILURE);
}

static void row(const char *name, const char *unit, long count, Ticks instructions) {
    print("{\"name\":\"");
    print(name);
    print("\",\"unit\":\"");
    print(unit);
    print("\",\"count\":");
    print_number(count);
    print(",\"instructions\":");
    print_number(instructions);
    print(",\"kernel_calls\":0}\n");
}

static void page_row(const char *name, Ticks instructions) {
    row(name, "page", PAGES, instructions);
}

/* The loops of walker.rs, an instruction for an instruction; a step is in bytes. */
#define WALK(instruction, step)                                                        \
    __asm__ volatile("1: " instruction "\n add $" #step ", %0\n dec %k1\n jnz 1b"        \
                     : "+r"(address), "+r"(count) : : "eax", "memory")

static Ticks walk_to_write(long address) {
    long count = PAGES;
    Ticks start = now();
    WALK("mov %k1, (%0)", 4096);
    return now() - start;
}

static Ticks walk_to_write_few(long address) {
    long count = FEW;
    Ticks start = now();
    WALK("mov %k1, (%0)", 409600);
    return now() - start;
}

static Ticks walk_to_read(long address) {
    long count = PAGES;
    Ticks start = now();
    WALK("mov (%0), %%eax", 4096);
    return now() - start;
}

static long map(long bytes, long flags) {
    return checked("mmap", call(MMAP, 0, bytes, READ_WRITE, flags | ANONYMOUS, -1, 0));
}

static void unmap(long address, long bytes) {
    checked("munmap", call(MUNMAP, address, bytes, 0, 0, 0, 0));
}

/* 64 MiB that nothing is mapped in, on addresses for large pages; which pages it may have. */
static long reserve(long advice) {
    long whole = map(BYTES + LARGE, PRIVATE), start = (whole + LARGE - 1) & -LARGE;
    if (start > whole)
        unmap(whole, start - whole);
    if (start < whole + LARGE)
        unmap(start + BYTES, whole + LARGE - start);
    checked("madvise", call(MADVISE, start, BYTES, advice, 0, 0, 0));
    return start;
}

static void calibrate(void) {
    long turns = 1000000;
    Ticks start = now();
    __asm__ volatile("1: dec %k0\n jnz 1b" : "+r"(turns));
    row("loop_of_2", "turn", 1000000, now() - start);
}

static void protect(const char *alone, const char *with_touch, long address) {
    Ticks start = now();
    checked("mprotect", call(MPROTECT, address, BYTES, READABLE, 0, 0, 0));
    Ticks spent = now() - start;
    page_row(alone, spent);
    page_row(with_touch, spent + walk_to_read(address));
    checked("mprotect", call(MPROTECT, address, BYTES, READ_WRITE, 0, 0, 0));
}

/* What the second program did to the memory that it has of the first. */
struct Child {
    Ticks written, read;
};

static Ticks fork_and_walk(const char *alone, const char *with_writes, const char *with_touch,
                           long address) {
    struct Child *told = (struct Child *)map(PAGE, SHARED);
    told->written = told->read = 0;
    Ticks start = now();
    long child = checked("fork", call(FORK, 0, 0, 0, 0, 0, 0));
    if (child == 0) {
        told->written = walk_to_write_few(address);
        told->read = walk_to_read(address);
        call(EXIT, 0, 0, 0, 0, 0, 0);
    }
    Ticks cloned = now() - start;
    checked("wait4", call(WAIT4, child, 0, 0, 0, 0, 0));
    Ticks written = told->written;
    page_row(alone, cloned);
    page_row(with_writes, cloned + written);
    page_row(with_touch, cloned + written + told->read);
    unmap((long)told, PAGE);
    return written;
}

static void single_pages(void) {
    Ticks pair = 0, mapping = 0, ending = 0;
    for (int turn = 0; turn < TIMES; turn++) {
        Ticks start = now();
        unmap(map(PAGE, PRIVATE), PAGE);
        pair += now() - start;
    }
    row("region_pair", "pair", TIMES, pair);
    for (int turn = 0; turn < TIMES; turn++) {
        Ticks start = now();
        long page = map(PAGE, PRIVATE | POPULATE);
        Ticks mapped = now();
        unmap(page, PAGE);
        ending += now() - mapped;
        mapping += mapped - start;
    }
    row("region_of_1", "call", TIMES, mapping);
    row("release_of_1", "call", TIMES, ending);
}

static void measure(void) {
    calibrate();
    long region = reserve(NO_HUGE_PAGES);
    page_row("touch_64m", walk_to_write(region));
    unmap(region, BYTES);

    region = reserve(HUGE_PAGES);
    page_row("touch_64m_large", walk_to_write(region));
    protect("protect_64m_large", "protect_64m_large_read", region);
    fork_and_walk("fork_64m_large", "fork_64m_large_write", "fork_64m_large_read", region);
    unmap(region, BYTES);

    region = reserve(NO_HUGE_PAGES);
    Ticks start = now();
    checked("madvise", call(MADVISE, region, BYTES, POPULATE_WRITE, 0, 0, 0));
    page_row("populate_64m", now() - start);
    protect("protect_64m", "protect_64m_read", region);
    Ticks written = fork_and_walk("fork_64m", "fork_64m_write", "fork_64m_read", region);
    row("cow_break_64m", "fault", FEW, written);
    start = now();
    unmap(region, BYTES);
    page_row("release_64m", now() - start);

    /* Linux clears whatever memory it maps. */
    region = reserve(NO_HUGE_PAGES);
    page_row("touch_64m_used", walk_to_write(region));
    unmap(region, BYTES);
    single_pages();
    region = reserve(NO_HUGE_PAGES);
    page_row("touch_64m_used_direct", walk_to_write(region));
    unmap(region, BYTES);
}

/* The name and version of what runs here. */
static void print_version(void) {
    struct { char system[65], node[65], release[65], version[65], machine[65], domain[65]; } names;
    checked("uname", call(UNAME, (long)&names, 0, 0, 0, 0, 0));
    print("linux: ");
    print(names.release);
    print(", ");
    print(names.version);
    print("\n");
}

void __attribute__((noreturn)) _start(void) {
    print_version();
    print("bench: begin\n");
    measure();
    print("bench: end\n");
    end(SUCCESS);
}
