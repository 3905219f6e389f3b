// SPDX-License-Identifier: BSD-2-Clause
//! A program's global allocator.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use crate::heap::Heap;
use crate::pieces::Piece;

/// Where a heap has its pieces from.
pub trait Source: Sync {
    /// Memory of so many bytes, a multiple of [`PAGE_BYTES`](crate::PAGE_BYTES), that is nobody
    /// else's from now on; `None` where there is none. It must not allocate.
    fn more(&self, bytes: usize) -> Option<Piece>;

    /// Takes a piece back that it gave and that nobody uses any more; returns whether it could. If
    /// not, the heap has it as before.
    fn less(&self, piece: Piece) -> bool;
}

/// What a heap needs of the program whose global allocator it is.
pub trait Environment {
    /// Waits until no other thread has the heap.
    fn acquire();

    /// Lets the next thread have it.
    fn release();

    /// Where pieces come from; `None` while they come from nowhere. Called between
    /// [`Environment::acquire`] and [`Environment::release`].
    fn source() -> Option<&'static dyn Source>;
}

/// A heap that begins with `SIZE` bytes, as a program's global allocator.
#[repr(C, align(4096))]
pub struct GlobalHeap<E, const SIZE: usize> {
    memory: UnsafeCell<[u8; SIZE]>,
    inner: UnsafeCell<Inner>,
    environment: PhantomData<E>,
}

struct Inner {
    heap: Heap,
    begun: bool,
}

// SAFETY: both cells are used only by the thread that has the lock.
unsafe impl<E, const SIZE: usize> Sync for GlobalHeap<E, SIZE> {}

impl<E: Environment, const SIZE: usize> GlobalHeap<E, SIZE> {
    /// For a `static`: all zero as far as it is large, and so in .bss.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        GlobalHeap {
            memory: UnsafeCell::new([0; SIZE]),
            inner: UnsafeCell::new(Inner { heap: Heap::new(), begun: false }),
            environment: PhantomData,
        }
    }

    /// Gives all pieces back in which nothing is left. Returns the bytes that are left in pieces.
    pub fn trim(&self) -> usize {
        loop {
            let (empty, bytes) = self.with(|heap| (heap.take_empty(), heap.bytes()));
            let Some(piece) = empty else { return bytes };
            if !self.give_back(piece) {
                return self.with(|heap| heap.bytes());
            }
        }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Heap) -> T) -> T {
        E::acquire();
        // SAFETY: the lock is ours until `release`, and `f` cannot come back here: talc keeps its
        // lists inside the free memory and allocates nothing.
        let inner = unsafe { &mut *self.inner.get() };
        if !inner.begun {
            inner.begun = true;
            // SAFETY: the memory is this heap's alone, and given to it once. Where it is too small,
            // there is no heap, and the program's first allocation fails.
            unsafe { inner.heap.keep(self.memory.get().cast(), SIZE) };
        }
        let value = f(&mut inner.heap);
        E::release();
        value
    }

    /// Has a piece in which a block has room; returns whether there is one.
    fn grow(&self, layout: Layout) -> bool {
        let (wanted, source) = self.with(|heap| (heap.wanted(layout), E::source()));
        let (Some((best, least)), Some(source)) = (wanted, source) else { return false };
        let more = source.more(best);
        let more = more.or_else(|| if best == least { None } else { source.more(least) });
        let Some(piece) = more else { return false };
        // SAFETY: the source gave it, and takes it back when the heap has no use for it.
        match self.with(|heap| unsafe { heap.add(piece) }) {
            Ok(()) => true,
            // Other threads have had as many pieces as there can be.
            Err(piece) => {
                source.less(piece);
                false
            }
        }
    }

    /// Gives a piece back that is the heap's no more; returns whether its source took it.
    fn give_back(&self, piece: Piece) -> bool {
        let Some(source) = self.with(|_| E::source()) else { return false };
        let took = source.less(piece);
        if !took {
            // SAFETY: it is as it was. It fails only where other threads filled all places, and
            // then the memory is used by nobody.
            let _ = self.with(|heap| unsafe { heap.add(piece) });
        }
        took
    }
}

// SAFETY: blocks are handed out once, of the layout's size and alignment, and stay where they are
// until they are given back: a piece is given back only when no block is in it.
unsafe impl<E: Environment, const SIZE: usize> GlobalAlloc for GlobalHeap<E, SIZE> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        loop {
            // SAFETY: by the caller's promise the size is not 0.
            if let Some(block) = self.with(|heap| unsafe { heap.alloc(layout) }) {
                return block.as_ptr();
            }
            // Another thread may be faster: then there is none left again.
            if !self.grow(layout) {
                return ptr::null_mut();
            }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller got it from `alloc`, which returns null only for "none".
        let block = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: by the caller's promise a block of this layout that is still handed out.
        if let Some(piece) = self.with(|heap| unsafe { heap.free(block, layout) }) {
            self.give_back(piece);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as in `dealloc`.
        let old = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: by the caller's promise a block of this layout, and a size that is not 0.
        if self.with(|heap| unsafe { heap.resize(old, layout, size) }) {
            return block;
        }
        // SAFETY: by the caller's promise the size, rounded up to the alignment, is not too large.
        let new = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !new.is_null() {
            // SAFETY: both blocks have the old size at least, and are two. The old one is the
            // caller's no more.
            unsafe {
                ptr::copy_nonoverlapping(block, new, layout.size());
                self.dealloc(block, layout);
            }
        }
        new
    }
}
