// SPDX-License-Identifier: BSD-2-Clause
// A plugin for QEMU that counts how often each block of instructions is executed between two readings
// of the time-stamp counter. Built and read by bench_profile.py.
//
// The benchmark reads the counter before each single operation and behind it. Where the same two
// instructions read it by turns, at least MIN_TURNS times, that is a row, or the floor of one; which of the
// two stretches between them is the operation is for the reader to know, so both are written:
//
//   run TURNS             a stretch, and how often it came
//   ADDRESS LENGTH TIMES  a block: where it begins, its instructions, how often it was executed
//
// QEMU's interface for plugins (docs/devel/tcg-plugins) is declared here as far as it is used: Debian has
// no header for it.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIN_TURNS 16

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*translated)(uint64_t id, struct qemu_plugin_tb *);
typedef void (*executed)(unsigned cpu, void *data);
typedef void (*ended)(uint64_t id, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, translated);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, executed, int flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, executed, int flags, void *data);
void qemu_plugin_register_atexit_cb(uint64_t id, ended, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);

int qemu_plugin_version = 1;

// A block of instructions, and how often it was executed in each of the two stretches.
struct block {
    uint64_t address;
    size_t length;
    uint64_t times[2];
    struct block *next;
};

static struct block *blocks;
static FILE *output;
// The instructions that read the counter last, in the order in which they came; how many are known.
static uint64_t readers[2];
static int known;
// Which stretch this is: the one behind readers[0] or behind readers[1].
static int stretch;
static uint64_t turns;

static void begin_counting(void)
{
    for (struct block *block = blocks; block; block = block->next)
        block->times[0] = block->times[1] = 0;
}

static void write_run(void)
{
    for (int which = 0; which < 2; which++) {
        fprintf(output, "run %lu\n", (unsigned long)turns);
        for (struct block *block = blocks; block; block = block->next)
            if (block->times[which])
                fprintf(output, "%lx %zu %lu\n", (unsigned long)block->address, block->length,
                       (unsigned long)block->times[which]);
    }
}

static void end_run(void)
{
    if (turns >= MIN_TURNS)
        write_run();
    begin_counting();
    turns = 0;
}

static void counter_read(unsigned cpu, void *data)
{
    (void)cpu;
    uint64_t reader = (uintptr_t)data;
    if (known == 2 && (reader == readers[0] || reader == readers[1])) {
        stretch = reader == readers[1];
        turns += stretch;
    } else if (known < 2 || turns >= MIN_TURNS) {
        if (known == 2) {
            end_run();
            known = 0;
        }
        stretch = known;
        readers[known++] = reader;
    } else {
        // The first of the two was before a row; the second may be the first one's of it.
        for (struct block *block = blocks; block; block = block->next) {
            block->times[0] = block->times[stretch];
            block->times[1] = 0;
        }
        readers[0] = readers[stretch];
        readers[1] = reader;
        stretch = 1;
        turns = 1;
    }
}

static void block_executed(unsigned cpu, void *data)
{
    (void)cpu;
    struct block *block = data;
    block->times[stretch] += known != 0;
}

// Whether an instruction is RDTSC.
static bool reads_counter(const struct qemu_plugin_insn *instruction)
{
    const unsigned char *bytes = qemu_plugin_insn_data(instruction);
    return qemu_plugin_insn_size(instruction) == 2 && bytes[0] == 0x0f && bytes[1] == 0x31;
}

static void block_translated(uint64_t id, struct qemu_plugin_tb *translated)
{
    (void)id;
    struct block *block = calloc(1, sizeof *block);
    if (!block)
        abort();
    block->address = qemu_plugin_tb_vaddr(translated);
    block->length = qemu_plugin_tb_n_insns(translated);
    block->next = blocks;
    blocks = block;
    qemu_plugin_register_vcpu_tb_exec_cb(translated, block_executed, 0, block);
    for (size_t index = 0; index < block->length; index++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(translated, index);
        if (reads_counter(instruction)) {
            void *reader = (void *)(uintptr_t)qemu_plugin_insn_vaddr(instruction);
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, counter_read, 0, reader);
        }
    }
}

static void machine_ended(uint64_t id, void *data)
{
    (void)id;
    (void)data;
    end_run();
    fclose(output);
}

// The one argument is `out=FILE`, where all is written.
int qemu_plugin_install(uint64_t id, const void *info, int count, char **arguments)
{
    (void)info;
    if (count != 1 || strncmp(arguments[0], "out=", 4) != 0)
        return 1;
    output = fopen(arguments[0] + 4, "w");
    if (!output)
        return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, block_translated);
    qemu_plugin_register_atexit_cb(id, machine_ended, NULL);
    return 0;
}
