# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's configuration and what of it is compiled: data only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Arch:
    """What differs between the architectures that the kernel is built for."""

    word_bits: int
    # The flags that name it; the kernel's headers want them beside autoconf.h.
    defines: list
    # What it adds to COMMON.
    config: dict
    # libsel4's name for it, below sel4_arch_include/.
    libsel4: str
    cflags: list
    # The emulation that the linker is to use.
    linker: str
    # Below src/arch/x86/<word_bits>/.
    c_sources: list
    # Whether what QEMU boots is another file than the kernel: QEMU's multiboot loader takes ELF
    # files of 32 bits only.
    converted_for_boot: bool
    # The fields of its seL4_UserContext, and the numbers that only its libsel4 has.
    user_context: list
    macros: list


# What autoconf.h says, without the CONFIG_ prefix; True is written as 1.
COMMON = {
    "ARCH_X86": True,
    "PLAT_PC99": True,
    "KERNEL_MASTER": True,
    "HAVE_FPU": True,
    "FPU_MAX_RESTORES_SINCE_SWITCH": 64,
    "FXSAVE": True,
    "XSAVE_SIZE": 512,
    "IRQ_PIC": True,
    "XAPIC": True,
    "TIMER_TICK_MS": 2,
    "TIME_SLICE": 5,
    "RETYPE_FAN_OUT_LIMIT": 256,
    # A retype clears its untyped in steps of 2^RESET_CHUNK_BITS bytes; a step is one unit of work, as
    # is a capability that a revocation deletes. Only between units does the kernel look for
    # interrupts, and only after so many: meanwhile nobody else runs. In steps of 2^8 bytes (what the
    # sources take by themselves) a step costs nearly as much as clearing its bytes; in steps of 2^12
    # next to nothing: bench.sh measures 1,463 instructions a page on IA32 and 760 on x86_64 (row
    # clear_page). 25 units are 25 of these, 36,600 and 19,000 instructions, or 25 mapped frames
    # deleted, some 31,000 of 1,241 each: the longest stretch. The program gaps measures it, by
    # interrupts that come too late: 36,350 and 18,265 are the most (the goal is half a million).
    # Fewer units would look more often than anybody needs: a look reads two ports.
    "RESET_CHUNK_BITS": 12,
    "MAX_NUM_WORK_UNITS_PER_PREEMPTION": 25,
    "NUM_DOMAINS": 1,
    "NUM_PRIORITIES": 256,
    "MAX_NUM_NODES": 1,
    "CACHE_LN_SZ": 64,
    "KERNEL_STACK_BITS": 12,
    "ROOT_CNODE_SIZE_BITS": 16,
    "FASTPATH": True,
    "MULTIBOOT_GRAPHICS_MODE_NONE": True,
}

ARCHES = {
    "ia32": Arch(
        word_bits=32,
        defines=["ARCH_IA32", "ARCH_X86", "X86_32", "__KERNEL_32__"],
        config={
            "ARCH_IA32": True,
            "WORD_SIZE": 32,
            "SYSENTER": True,
            "FSGSBASE_GDT": True,
            "MAX_NUM_BOOTINFO_UNTYPED_CAPS": 167,
        },
        libsel4="ia32",
        cflags=["-m32"],
        linker="elf_i386",
        c_sources="""
            c_traps.c kernel/elf.c kernel/ipi.c kernel/thread.c kernel/vspace.c
            kernel/vspace_32paging.c machine/registerset.c model/statedata.c object/objecttype.c
        """.split(),
        converted_for_boot=False,
        user_context="""
            eip esp eflags eax ebx ecx edx esi edi ebp tls_base fs gs
        """.split(),
        macros=["seL4_4MBits"],
    ),
    "x86_64": Arch(
        word_bits=64,
        defines=["ARCH_X86_64", "ARCH_X86", "X86_64", "__KERNEL_64__", "__X86_64__"],
        config={
            "ARCH_X86_64": True,
            "WORD_SIZE": 64,
            "SYSCALL": True,
            "FSGSBASE_MSR": True,
            # 4 GiB of RAM take 151 already. A page of boot information has room for 327.
            "MAX_NUM_BOOTINFO_UNTYPED_CAPS": 230,
        },
        libsel4="x86_64",
        cflags=["-m64", "-mcmodel=kernel"],
        linker="elf_x86_64",
        c_sources="""
            c_traps.c kernel/elf.c kernel/ipi.c kernel/thread.c kernel/vspace.c
            machine/registerset.c model/smp.c model/statedata.c object/objecttype.c
        """.split(),
        converted_for_boot=True,
        user_context="""
            rip rsp rflags rax rbx rcx rdx rsi rdi rbp r8 r9 r10 r11 r12 r13 r14 r15 tls_base
        """.split(),
        macros=["seL4_PDPTBits", "seL4_PML4Bits", "seL4_HugePageBits"],
    ),
}

# Each flavour: what it adds to the configuration, and its extra defines.
FLAVOURS = {
    "debug": (
        {"DEBUG_BUILD": True, "PRINTING": True, "USER_STACK_TRACE_LENGTH": 16},
        ["DEBUG"],
    ),
    "release": ({}, ["NDEBUG"]),
}

# In the following, {bits} stands for the bits of a word.

# Searched in this order, below the source tree's `include/` or the generated headers.
INCLUDE_DIRS = [
    ".", "{bits}", "arch/x86", "arch/x86/arch/{bits}", "plat/pc99", "plat/pc99/plat/{bits}",
]

# Bit-field descriptions: below `include/`, and the header each becomes.
BITFIELDS = {
    "arch/x86/arch/object/structures.bf": "arch/object/structures_gen.h",
    "{bits}/mode/api/shared_types.bf": "mode/api/shared_types_gen.h",
    "plat/pc99/plat/{bits}/plat_mode/machine/hardware.bf": "plat_mode/machine/hardware_gen.h",
}

# The C files of a PC kernel, below `src/`: those of its architecture, then these. They are compiled
# as one unit.
C_SOURCES_FIRST = ["api/faults.c", "api/syscall.c"]
C_SOURCES = """
    arch/x86/api/faults.c arch/x86/benchmark/benchmark.c arch/x86/c_traps.c arch/x86/idle.c
    arch/x86/kernel/apic.c arch/x86/kernel/boot.c arch/x86/kernel/boot_sys.c
    arch/x86/kernel/cmdline.c arch/x86/kernel/ept.c arch/x86/kernel/ipi.c
    arch/x86/kernel/smp_sys.c arch/x86/kernel/vspace.c arch/x86/kernel/x2apic.c
    arch/x86/kernel/xapic.c
    arch/x86/machine/breakpoint.c arch/x86/machine/cpu_identification.c
    arch/x86/machine/fpu.c arch/x86/machine/hardware.c arch/x86/machine/registerset.c
    arch/x86/model/statedata.c
    arch/x86/object/interrupt.c arch/x86/object/ioport.c arch/x86/object/iospace.c
    arch/x86/object/objecttype.c arch/x86/object/tcb.c arch/x86/object/vcpu.c
    assert.c benchmark/benchmark_track.c benchmark/benchmark_utilisation.c
    fastpath/fastpath.c inlines.c
    kernel/boot.c kernel/cspace.c kernel/faulthandler.c kernel/stack.c kernel/thread.c
    machine/fpu.c machine/io.c machine/registerset.c
    model/preemption.c model/statedata.c
    object/cnode.c object/endpoint.c object/interrupt.c object/notification.c
    object/objecttype.c object/tcb.c object/untyped.c
    plat/pc99/machine/acpi.c plat/pc99/machine/hardware.c plat/pc99/machine/intel-vtd.c
    plat/pc99/machine/io.c plat/pc99/machine/ioapic.c plat/pc99/machine/pic.c
    plat/pc99/machine/pit.c
    smp/lock.c string.c util.c
    config/default_domain.c
""".split()

DEBUG_C_SOURCES = ["arch/x86/machine/capdl.c"]

ASM_SOURCES = """
    arch/x86/multiboot.S arch/x86/{bits}/head.S arch/x86/{bits}/machine_asm.S
    arch/x86/{bits}/traps.S
""".split()

LINKER_SCRIPT = "plat/pc99/linker.lds"

# Unrolled, the loop that clears memory (memzero) takes 1.4 instructions a word, not 4 (clear_page, by
# the words of a page). The sources are not changed, and what the compiler knows of strings it may not
# use in them.
CFLAGS = """
    --std=gnu99 -O2 -g -nostdlib -nostdinc -ffreestanding -fno-pic -fno-stack-protector
    -fno-asynchronous-unwind-tables -mno-mmx -mno-sse -mno-sse2 -mno-3dnow -w
    -funroll-loops
""".split()

LDFLAGS = """
    -nostdlib -static -no-pie -Wl,-n -Wl,--build-id=none
""".split()
