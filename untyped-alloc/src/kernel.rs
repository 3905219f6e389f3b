//! The seam: the kernel's invocations, in the kernel's own terms.
//!
//! The memory crates reach seL4 through the one trait [`Kernel`] and touch mapped memory through
//! the one trait [`Memory`]. `vmm`'s adapter implements both on the `sel4` bindings; the model
//! kernel of `tests/` implements both on the host. Nothing else in these crates knows how a system
//! call is made, so nothing else in them needs `unsafe`.
//!
//! Each method is one invocation of the seL4 manual (its chapter on the API), refuses what the
//! kernel refuses, and returns the kernel's own error. What the kernel does not check (that a
//! virtual address lies in a region of ours, that a slot is ours) is the caller's business.

use core::fmt;

/// A capability pointer: an address in the caller's CSpace, resolved with all bits of a word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CPtr(usize);

impl CPtr {
    /// The null capability pointer. The kernel keeps slot 0 of the initial CNode empty, so an
    /// invocation of it fails with a failed lookup.
    pub const NULL: CPtr = CPtr(0);

    /// A capability pointer from the word the kernel knows it by.
    pub const fn new(bits: usize) -> CPtr {
        CPtr(bits)
    }

    /// The word the kernel knows it by.
    pub const fn bits(self) -> usize {
        self.0
    }

    /// The capability pointer `by` slots further on. Only meaningful inside one CNode.
    ///
    /// Wraps on overflow, as slots of one CNode never reach the end of a word.
    pub const fn offset(self, by: usize) -> CPtr {
        CPtr(self.0.wrapping_add(by))
    }
}

impl fmt::Debug for CPtr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CPtr({:#x})", self.0)
    }
}

/// Where a capability slot or a CNode lies: resolve `depth` bits of `index`, starting at the CNode
/// `root` (itself a capability in the caller's CSpace).
///
/// For a retype's destination `depth` 0 means the CNode `root` itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CapPath {
    /// A CNode capability, as the caller's CSpace resolves it.
    pub root: CPtr,
    /// The address to resolve from that CNode on; its low `depth` bits count.
    pub index: usize,
    /// How many bits of `index` to resolve, 0 to the bits of a word.
    pub depth: u8,
}

/// What an untyped is retyped into.
///
/// Sizes are in bits (the logarithm of bytes, or of slots for a CNode). Paging structures are named
/// by level, 0 being the root of a VSpace, so that one seam serves every architecture.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Blueprint {
    /// An untyped of 2^`size_bits` bytes, 4 ≤ `size_bits` ≤ 29 on IA32.
    Untyped {
        /// Logarithm of its size in bytes.
        size_bits: u8,
    },
    /// A thread control block.
    Tcb,
    /// An endpoint.
    Endpoint,
    /// A notification.
    Notification,
    /// A CNode of 2^`radix_bits` slots, 1 ≤ `radix_bits`.
    CNode {
        /// Logarithm of its number of slots.
        radix_bits: u8,
    },
    /// A frame of 2^`size_bits` bytes; only the sizes the architecture has (12 and 22 on IA32).
    Frame {
        /// Logarithm of its size in bytes.
        size_bits: u8,
    },
    /// A paging structure: level 0 is a VSpace root (IA32's page directory), 1 the next below it
    /// (IA32's page table), and so on.
    Table {
        /// Its level, counted from the root.
        level: u8,
    },
}

/// The sizes of kernel objects on one architecture, in bits. Source: the `seL4_*Bits` constants of
/// libsel4 for that architecture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ObjectSizes {
    /// Bits of a word, and so of a capability pointer.
    pub word_bits: u8,
    /// One CNode slot.
    pub slot_bits: u8,
    /// A thread control block.
    pub tcb_bits: u8,
    /// An endpoint.
    pub endpoint_bits: u8,
    /// A notification.
    pub notification_bits: u8,
    /// Any paging structure; they have one size on x86.
    pub table_bits: u8,
    /// How many levels of paging structures there are.
    pub table_levels: u8,
    /// The frame sizes there are, smallest first; unused entries are 0.
    pub frame_bits: [u8; 3],
    /// The untyped an ASID pool is made of.
    pub asid_pool_bits: u8,
    /// The smallest untyped.
    pub untyped_min_bits: u8,
    /// The largest untyped.
    pub untyped_max_bits: u8,
    /// The most objects one retype makes (`CONFIG_RETYPE_FAN_OUT_LIMIT`).
    pub retype_limit: usize,
}

impl ObjectSizes {
    /// IA32 of seL4 5.0.0, as configured here.
    pub const IA32: ObjectSizes = ObjectSizes {
        word_bits: 32,
        slot_bits: 4,
        tcb_bits: 10,
        endpoint_bits: 4,
        notification_bits: 4,
        table_bits: 12,
        table_levels: 2,
        frame_bits: [12, 22, 0],
        asid_pool_bits: 12,
        untyped_min_bits: 4,
        untyped_max_bits: 29,
        retype_limit: 256,
    };

    /// x86_64 of seL4 5.0.0: described so that the core is tested on a second geometry.
    pub const X86_64: ObjectSizes = ObjectSizes {
        word_bits: 64,
        slot_bits: 5,
        tcb_bits: 11,
        endpoint_bits: 4,
        notification_bits: 5,
        table_bits: 12,
        table_levels: 4,
        frame_bits: [12, 21, 30],
        asid_pool_bits: 12,
        untyped_min_bits: 4,
        untyped_max_bits: 47,
        retype_limit: 256,
    };

    /// The size of what `blueprint` describes, in bits, or `None` where the architecture has no
    /// such object.
    pub fn size_bits(&self, blueprint: Blueprint) -> Option<u8> {
        match blueprint {
            Blueprint::Untyped { size_bits } => (self.untyped_min_bits..=self.untyped_max_bits)
                .contains(&size_bits)
                .then_some(size_bits),
            Blueprint::Tcb => Some(self.tcb_bits),
            Blueprint::Endpoint => Some(self.endpoint_bits),
            Blueprint::Notification => Some(self.notification_bits),
            Blueprint::CNode { radix_bits } => {
                let size_bits = radix_bits.checked_add(self.slot_bits)?;
                (radix_bits >= 1 && size_bits <= self.untyped_max_bits).then_some(size_bits)
            }
            Blueprint::Frame { size_bits } => {
                (size_bits != 0 && self.frame_bits.contains(&size_bits)).then_some(size_bits)
            }
            Blueprint::Table { level } => (level < self.table_levels).then_some(self.table_bits),
        }
    }
}

bitflags::bitflags! {
    /// Rights on a capability or a mapping (manual, "Access rights").
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub struct Rights: u8 {
        /// The frame may be written, the endpoint sent to.
        const WRITE = 1;
        /// The frame may be read, the endpoint received from.
        const READ = 2;
        /// Capabilities may be passed on through the endpoint.
        const GRANT = 4;
    }
}

impl Rights {
    /// Reading and writing, without grant: all there is for a frame.
    pub const READ_WRITE: Rights = Rights::READ.union(Rights::WRITE);
}

/// How a mapping is cached. A frame of device memory wants `Uncached`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum CachePolicy {
    /// Ordinary memory.
    #[default]
    WriteBack,
    /// Writes go through to memory at once.
    WriteThrough,
    /// No caching, for device registers.
    Uncached,
    /// Writes are gathered, for frame buffers.
    WriteCombining,
}

/// The kernel's answer to an invocation it refuses (`seL4_Error`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KernelError {
    /// An argument that is no capability is wrong.
    InvalidArgument,
    /// A capability is of the wrong type or in the wrong state.
    InvalidCapability,
    /// The invocation is not allowed on this capability.
    IllegalOperation,
    /// A number is out of its range.
    RangeError,
    /// An address is not aligned.
    AlignmentError,
    /// A capability, or a paging structure above the address, is missing.
    FailedLookup,
    /// The message is too short.
    TruncatedMessage,
    /// The destination slot, or the page table's place, is occupied.
    DeleteFirst,
    /// The capability has children.
    RevokeFirst,
    /// The untyped has not enough room.
    NotEnoughMemory,
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KernelError::InvalidArgument => "invalid argument",
            KernelError::InvalidCapability => "invalid capability",
            KernelError::IllegalOperation => "illegal operation",
            KernelError::RangeError => "range error",
            KernelError::AlignmentError => "alignment error",
            KernelError::FailedLookup => "failed lookup",
            KernelError::TruncatedMessage => "truncated message",
            KernelError::DeleteFirst => "delete first",
            KernelError::RevokeFirst => "revoke first",
            KernelError::NotEnoughMemory => "not enough memory",
        })
    }
}

impl core::error::Error for KernelError {}

/// What an invocation returns.
pub type KernelResult<T = ()> = Result<T, KernelError>;

/// The kernel, as far as memory management needs it: one method an invocation.
///
/// A capability argument is a [`CPtr`] in the caller's CSpace; a slot argument is a [`CapPath`].
pub trait Kernel {
    /// `Untyped_Retype`: makes `count` objects in the consecutive slots of the CNode at `node`,
    /// from slot number `offset` on. Clears the untyped first if it was used and has no children.
    fn untyped_retype(
        &mut self,
        untyped: CPtr,
        blueprint: Blueprint,
        node: CapPath,
        offset: usize,
        count: usize,
    ) -> KernelResult;

    /// `CNode_Copy`: a copy of the capability at `src`, with at most `rights`, in the empty slot
    /// `dst`. A copied frame capability starts unmapped.
    fn cnode_copy(&mut self, dst: CapPath, src: CapPath, rights: Rights) -> KernelResult;

    /// `CNode_Mint` with a badge (endpoints and notifications; 28 bits on IA32).
    fn cnode_mint_badge(
        &mut self,
        dst: CapPath,
        src: CapPath,
        rights: Rights,
        badge: usize,
    ) -> KernelResult;

    /// `CNode_Mint` of a CNode capability with a guard: `guard_bits` bits (0 to 18 on IA32) of
    /// value `guard`.
    fn cnode_mint_guard(
        &mut self,
        dst: CapPath,
        src: CapPath,
        guard: usize,
        guard_bits: u8,
    ) -> KernelResult;

    /// `CNode_Delete`: empties the slot; the last capability to an object destroys it. Deleting
    /// an empty slot succeeds. A frame is unmapped with its last capability alone: a mapped copy
    /// that is deleted leaves its mapping behind.
    fn cnode_delete(&mut self, slot: CapPath) -> KernelResult;

    /// `CNode_Revoke`: deletes every capability derived from the one in the slot, not that one.
    fn cnode_revoke(&mut self, slot: CapPath) -> KernelResult;

    /// `Page_Map`: maps the frame at `vaddr` with `rights` (less what its capability lacks).
    /// Refused when this capability is mapped already, when the entry is occupied, or (with
    /// [`KernelError::FailedLookup`]) when a paging structure is missing.
    fn page_map(
        &mut self,
        frame: CPtr,
        vspace: CPtr,
        vaddr: usize,
        rights: Rights,
        cache: CachePolicy,
    ) -> KernelResult;

    /// `Page_Remap`: gives a mapped frame new rights and attributes where it is.
    fn page_remap(
        &mut self,
        frame: CPtr,
        vspace: CPtr,
        vaddr: usize,
        rights: Rights,
        cache: CachePolicy,
    ) -> KernelResult;

    /// `Page_Unmap`: takes the mapping of this capability away. Succeeds when there is none.
    fn page_unmap(&mut self, frame: CPtr) -> KernelResult;

    /// `Page_GetAddress`: the physical address of the frame, in bytes.
    fn page_get_address(&mut self, frame: CPtr) -> KernelResult<usize>;

    /// Maps a paging structure of `level` (≥ 1) over `vaddr` (`PageTable_Map` and its kin).
    fn table_map(&mut self, table: CPtr, level: u8, vspace: CPtr, vaddr: usize) -> KernelResult;

    /// Unmaps a paging structure of `level`; the kernel clears it, and what was mapped through it
    /// is no longer mapped.
    fn table_unmap(&mut self, table: CPtr, level: u8) -> KernelResult;

    /// `ASIDControl_MakePool`: turns an untyped of the pool's size into an ASID pool whose
    /// capability goes to the empty slot `dst`.
    fn asid_control_make_pool(&mut self, untyped: CPtr, dst: CapPath) -> KernelResult;

    /// `ASIDPool_Assign`: gives a new VSpace root its address-space identifier, without which
    /// nothing can be mapped in it.
    fn asid_pool_assign(&mut self, pool: CPtr, vspace: CPtr) -> KernelResult;

    /// `TCB_SetIPCBuffer`: the thread's IPC buffer is at `vaddr`, in the frame `frame`.
    fn tcb_set_ipc_buffer(&mut self, tcb: CPtr, vaddr: usize, frame: CPtr) -> KernelResult;

    /// `TCB_SetSpace`: the thread's fault endpoint (a CPtr of *its* CSpace), CSpace and VSpace.
    /// Guard data is left as the CNode capability has it.
    fn tcb_set_space(
        &mut self,
        tcb: CPtr,
        fault_endpoint: CPtr,
        cspace_root: CPtr,
        vspace: CPtr,
    ) -> KernelResult;

    /// `TCB_SetPriority`: 0 to 255, at most what the calling thread may give.
    fn tcb_set_priority(&mut self, tcb: CPtr, priority: u8) -> KernelResult;

    /// `TCB_Resume`, and then `Yield`: a thread of at least the caller's priority runs until it
    /// blocks before this returns.
    fn tcb_resume(&mut self, tcb: CPtr) -> KernelResult;
}

/// Memory that is mapped in the manager's own VSpace: what it does with contents.
///
/// `'p` is how long book-keeping memory lives: `'static` in a root task, a test's arena on the host.
pub trait Memory<'p> {
    /// Fills `bytes` bytes (a multiple of 4) at `vaddr` (mapped writable, 4 KiB aligned) with zero.
    fn zero(&mut self, vaddr: usize, bytes: usize);

    /// Copies `bytes` bytes from `src` to `dst`, both mapped, 4 KiB aligned and not overlapping.
    fn copy(&mut self, dst: usize, src: usize, bytes: usize);

    /// Writes `bytes` at `vaddr`, all of it mapped writable; of any alignment.
    fn write(&mut self, vaddr: usize, bytes: &[u8]);

    /// Turns the mapped page at `vaddr` (4 KiB, writable, used by nothing else from now on) into
    /// as many book-keeping nodes as fit.
    fn adopt<T: Default + 'p>(&mut self, vaddr: usize) -> &'p [T];
}
