"""The kernel's configuration and what of it is compiled: data only."""

# The flags that name the architecture; the kernel's headers want them beside autoconf.h.
ARCH_DEFINES = ["HAVE_AUTOCONF", "ARCH_IA32", "ARCH_X86", "X86_32", "__KERNEL_32__", "FASTPATH"]

# What autoconf.h says, without the CONFIG_ prefix; True is written as 1.
COMMON = {
    "ARCH_X86": True,
    "ARCH_IA32": True,
    "PLAT_PC99": True,
    "KERNEL_MASTER": True,
    "WORD_SIZE": 32,
    "HAVE_FPU": True,
    "FPU_MAX_RESTORES_SINCE_SWITCH": 64,
    "FXSAVE": True,
    "XSAVE_SIZE": 512,
    "IRQ_PIC": True,
    "XAPIC": True,
    "SYSENTER": True,
    "FSGSBASE_GDT": True,
    "TIMER_TICK_MS": 2,
    "TIME_SLICE": 5,
    "RETYPE_FAN_OUT_LIMIT": 256,
    "MAX_NUM_WORK_UNITS_PER_PREEMPTION": 100,
    "MAX_NUM_BOOTINFO_UNTYPED_CAPS": 167,
    "NUM_DOMAINS": 1,
    "NUM_PRIORITIES": 256,
    "MAX_NUM_NODES": 1,
    "CACHE_LN_SZ": 64,
    "KERNEL_STACK_BITS": 12,
    "ROOT_CNODE_SIZE_BITS": 16,
    "FASTPATH": True,
    "MULTIBOOT_GRAPHICS_MODE_NONE": True,
}

# Each flavour: what it adds to the configuration, and its extra defines.
FLAVOURS = {
    "debug": (
        {"DEBUG_BUILD": True, "PRINTING": True, "USER_STACK_TRACE_LENGTH": 16},
        ["DEBUG"],
    ),
    "release": ({}, ["NDEBUG"]),
}

# Searched in this order, below the source tree's `include/` or the generated headers.
INCLUDE_DIRS = [".", "32", "arch/x86", "arch/x86/arch/32", "plat/pc99", "plat/pc99/plat/32"]

# Bit-field descriptions: below `include/`, and the header each becomes.
BITFIELDS = {
    "arch/x86/arch/object/structures.bf": "arch/object/structures_gen.h",
    "32/mode/api/shared_types.bf": "mode/api/shared_types_gen.h",
    "plat/pc99/plat/32/plat_mode/machine/hardware.bf": "plat_mode/machine/hardware_gen.h",
}

# The C files of an IA32 PC kernel, below `src/`. They are compiled as one unit.
C_SOURCES = """
    api/faults.c api/syscall.c
    arch/x86/32/c_traps.c arch/x86/32/kernel/elf.c arch/x86/32/kernel/ipi.c
    arch/x86/32/kernel/thread.c arch/x86/32/kernel/vspace.c
    arch/x86/32/kernel/vspace_32paging.c arch/x86/32/machine/registerset.c
    arch/x86/32/model/statedata.c arch/x86/32/object/objecttype.c
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
    arch/x86/multiboot.S arch/x86/32/head.S arch/x86/32/machine_asm.S arch/x86/32/traps.S
""".split()

LINKER_SCRIPT = "plat/pc99/linker.lds"

CFLAGS = """
    -m32 --std=gnu99 -O2 -g -nostdlib -nostdinc -ffreestanding -fno-pic -fno-stack-protector
    -fno-asynchronous-unwind-tables -mno-mmx -mno-sse -mno-sse2 -mno-3dnow -w
""".split()

LDFLAGS = """
    -m32 -nostdlib -static -no-pie -Wl,-m,elf_i386 -Wl,-n -Wl,--build-id=none
""".split()
