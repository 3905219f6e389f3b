# SPDX-License-Identifier: BSD-2-Clause
"""Reads the kernel's interface out of its own headers, with the compiler as the judge.

Enumerators are listed by preprocessing the headers; every value is what the compiler says
it is. The kernel's headers and libsel4's are evaluated apart and must agree.
"""

import re

KERNEL_HEADERS = [
    "assert.h", "types.h", "api/errors.h", "api/invocation.h", "arch/api/sel4_invocation.h",
    "arch/api/invocation.h", "api/failures.h", "api/syscall.h", "object/structures.h",
    "plat_mode/machine/hardware.h", "arch/kernel/tlb_bitmap.h", "bootinfo.h",
]

LIBSEL4_HEADERS = [
    "autoconf.h", "sel4/types.h", "sel4/invocation.h", "sel4/bootinfo_types.h",
    "sel4/arch/bootinfo_types.h",
]

# The kernel's other enumerators are its inner affairs.
KERNEL_ENUMS = {
    "invocation_label", "arch_invocation_label", "sel4_arch_invocation_label", "syscall",
}
KERNEL_ENUMERATORS = re.compile(r"seL4_")

KERNEL_MACROS = [
    "SYSCALL_MAX", "SYSCALL_MIN", "CONFIG_RESET_CHUNK_BITS",
]

# Macros of the kernel that are addresses: never negative.
KERNEL_ADDRESSES = ["PPTR_USER_TOP"]

LIBSEL4_MACROS = [
    "seL4_WordBits", "seL4_PageBits", "seL4_LargePageBits", "seL4_SlotBits",
    "seL4_TCBBits", "seL4_EndpointBits", "seL4_NotificationBits", "seL4_PageTableBits",
    "seL4_PageDirBits", "seL4_ASIDPoolBits", "seL4_MinUntypedBits", "seL4_MaxUntypedBits",
    "seL4_MsgMaxExtraCaps", "seL4_UntypedRetypeMaxObjects", "seL4_BadgeBits", "seL4_DataFault", "seL4_InstructionFault",
    "TLS_GDT_ENTRY", "TLS_GDT_SELECTOR", "IPCBUF_GDT_ENTRY", "IPCBUF_GDT_SELECTOR",
    "IRQ_OFFSET", "VECTOR_MIN", "VECTOR_MAX", "SEL4_BOOTINFO_HEADER_PADDING",
    "SEL4_BOOTINFO_HEADER_X86_VBE",
]

# Capability rights as words.
LIBSEL4_RIGHTS = {
    name: f"{name}.words[0]"
    for name in [
        "seL4_CanRead", "seL4_CanWrite", "seL4_CanGrant", "seL4_ReadWrite", "seL4_AllRights",
        "seL4_NoWrite", "seL4_NoRead", "seL4_NoRights",
    ]
}

# Structures of libsel4 with all their fields, in order; beside them seL4_UserContext, which each
# architecture has its own of.
LAYOUTS = {
    "seL4_BootInfo": """
        extraLen nodeID numNodes numIOPTLevels ipcBuffer empty sharedFrames userImageFrames
        userImagePaging ioSpaceCaps extraBIPages initThreadCNodeSizeBits initThreadDomain
        archInfo untyped untypedList
    """.split(),
    "seL4_BootInfoHeader": ["id", "len"],
    "seL4_SlotRegion": ["start", "end"],
    "seL4_UntypedDesc": ["paddr", "padding1", "padding2", "sizeBits", "isDevice"],
    "seL4_IPCBuffer": """
        tag msg userData caps_or_badges receiveCNode receiveIndex receiveDepth
    """.split(),
}

# One-word bit-field blocks: their fields in the order of the constructor's arguments.
BITFIELDS = {
    "seL4_MessageInfo": ["label", "capsUnwrapped", "extraCaps", "length"],
    "seL4_CapRights": ["capAllowGrant", "capAllowRead", "capAllowWrite"],
    "seL4_PrioProps": ["mcp", "prio"],
    "seL4_CapData_Badge": ["Badge"],
    "seL4_CapData_Guard": ["GuardBits", "GuardSize"],
}


class Disagreement(Exception):
    """The headers are not what this file takes them for."""


def require(condition, complaint):
    if not condition:
        raise Disagreement(complaint)


def include_lines(headers):
    return "".join(f"#include <{header}>\n" for header in headers)


def list_enumerators(preprocessed):
    """All (enum tag, enumerator) pairs of a preprocessed text; the tag may be empty."""
    text = re.sub(r"^#.*$", "", preprocessed, flags=re.MULTILINE)
    for block in re.finditer(r"\benum\s*(\w*)\s*\{([^}]*)\}", text):
        for item in block.group(2).split(","):
            name = re.match(r"\s*(\w+)", item)
            if name and not name.group(1).startswith("_"):
                yield block.group(1), name.group(1)


def evaluate(compile_text, headers, expressions):
    """The values of constant expressions, {name: expression}, in the given headers' scope.

    Each becomes an immediate operand in the assembler output, as two halves of 32 bits: so
    the compiler has computed it, and 0xe0000000 differs from a negative number. Optimising
    turns even a call of an inline constructor into a constant.
    """
    body = "".join(
        f'    asm volatile("->{name} %c0 %c1" :: "i"((int)({value})), '
        f'"i"((int)((long long)({value}) >> 32)));\n'
        for name, value in expressions.items()
    )
    text = include_lines(headers) + "void markers(void);\nvoid markers(void)\n{\n" + body + "}\n"
    values = {}
    for marker in re.finditer(r"->(\w+) (-?\d+) (-?\d+)", compile_text(text, "-S")):
        name, low, high = marker.group(1), int(marker.group(2)), int(marker.group(3))
        values[name] = (high << 32) | (low & 0xFFFFFFFF)
    missing = set(expressions) - set(values)
    require(not missing, f"the compiler did not evaluate {sorted(missing)}")
    return values


def kernel_constants(compile_text, arch):
    preprocessed = compile_text(include_lines(KERNEL_HEADERS), "-E")
    names = [
        name for tag, name in list_enumerators(preprocessed)
        if tag in KERNEL_ENUMS or KERNEL_ENUMERATORS.match(name)
    ]
    names += KERNEL_MACROS + KERNEL_ADDRESSES
    values = evaluate(compile_text, KERNEL_HEADERS, {name: name for name in names})
    for name in KERNEL_ADDRESSES:
        values[name] %= 1 << arch.word_bits
    return values


def libsel4_constants(compile_text, arch):
    preprocessed = compile_text(include_lines(LIBSEL4_HEADERS), "-E")
    names = [name for _, name in list_enumerators(preprocessed)]
    expressions = {name: name for name in names + LIBSEL4_MACROS + arch.macros}
    return evaluate(compile_text, LIBSEL4_HEADERS, {**expressions, **LIBSEL4_RIGHTS})


def merge(kernel, libsel4):
    """Both sets of constants; a name that both have must mean the same to both."""
    for name in kernel.keys() & libsel4.keys():
        require(
            kernel[name] == libsel4[name],
            f"{name}: {kernel[name]} in the kernel's headers, {libsel4[name]} in libsel4's",
        )
    return {**kernel, **libsel4}


def layouts(compile_text, arch):
    """Size and alignment of each structure, offset and size of each field."""
    expressions = {}
    structs = {**LAYOUTS, "seL4_UserContext": arch.user_context}
    for struct, fields in structs.items():
        expressions[f"{struct}__size"] = f"sizeof({struct})"
        expressions[f"{struct}__align"] = f"_Alignof({struct})"
        for field in fields:
            expressions[f"{struct}__{field}__offset"] = f"__builtin_offsetof({struct}, {field})"
            expressions[f"{struct}__{field}__size"] = f"sizeof((({struct} *)0)->{field})"
    values = evaluate(compile_text, LIBSEL4_HEADERS, expressions)
    described = {}
    for struct, fields in structs.items():
        end = 0
        for field in fields:
            offset = values[f"{struct}__{field}__offset"]
            require(offset == end, f"{struct}: something unnamed lies before {field}")
            end = offset + values[f"{struct}__{field}__size"]
        size = values[f"{struct}__size"]
        require(end == size, f"{struct}: something unnamed lies at its end")
        described[struct] = {
            "size": size,
            "align": values[f"{struct}__align"],
            "fields": {
                field: {
                    "offset": values[f"{struct}__{field}__offset"],
                    "size": values[f"{struct}__{field}__size"],
                }
                for field in fields
            },
        }
    return described


def bitfields(compile_text):
    """Shift and width of each field, from the constructors: the bits that a field of all
    ones sets beyond what one of all zeros sets."""
    expressions = {}
    for block, fields in BITFIELDS.items():
        def word(arguments):
            return f"{block}_new({', '.join(arguments)}).words[0]"

        zeros = ["0"] * len(fields)
        expressions[f"{block}__zero"] = word(zeros)
        for index, field in enumerate(fields):
            ones = zeros[:index] + ["-1"] + zeros[index + 1:]
            expressions[f"{block}__{field}"] = f"({word(ones)}) ^ ({word(zeros)})"
    values = evaluate(compile_text, LIBSEL4_HEADERS, expressions)
    described = {}
    for block, fields in BITFIELDS.items():
        described[block] = {"zero": values[f"{block}__zero"], "fields": {}}
        for field in fields:
            mask = values[f"{block}__{field}"]
            shift = (mask & -mask).bit_length() - 1
            bits = mask.bit_length() - shift
            require(mask == ((1 << bits) - 1) << shift, f"{block}.{field} is not contiguous")
            described[block]["fields"][field] = {"shift": shift, "bits": bits}
    return described


def describe(arch, kernel, libsel4):
    """The interface as a dictionary. `kernel` and `libsel4` each compile a text against one set of
    headers with the options given, and return the compiler's output."""
    return {
        "constants": merge(kernel_constants(kernel, arch), libsel4_constants(libsel4, arch)),
        "layouts": layouts(libsel4, arch),
        "bitfields": bitfields(libsel4),
    }
