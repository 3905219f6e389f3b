// SPDX-License-Identifier: BSD-2-Clause
//! What `#[root_task]` expands to.

/// Declares the program's main, its stack and its heap. `#[root_task]` expands to this.
#[macro_export]
macro_rules! declare_root_task {
    (main = $main:path $(,)?) => {
        $crate::declare_root_task! { main = $main, stack_size = $crate::DEFAULT_STACK_SIZE }
    };
    (main = $main:path, stack_size = $stack_size:expr $(,)?) => {
        $crate::__declare_main! { $main, $stack_size }
    };
    (main = $main:path, heap_size = $heap_size:expr $(,)?) => {
        $crate::declare_root_task! {
            main = $main,
            stack_size = $crate::DEFAULT_STACK_SIZE,
            heap_size = $heap_size
        }
    };
    (main = $main:path, stack_size = $stack_size:expr, heap_size = $heap_size:expr $(,)?) => {
        $crate::__declare_main! { $main, $stack_size }
        $crate::__declare_heap! { $heap_size }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __declare_main {
    ($main:path, $stack_size:expr) => {
        const _: () = {
            use $crate::_private::{returned, sel4::BootInfoPtr};
            #[allow(unused_imports)] // one of the two
            use $crate::_private::{RunAny as _, RunDisplayed as _};
            use $crate::_private::{StackBounds, StackMemory, StackTop};

            static STACK: StackMemory<{ $stack_size }> = StackMemory::new();

            // SAFETY: the one symbol of this name, of the type that the runtime declares.
            #[unsafe(no_mangle)]
            static __sel4_root_task__stack_top: StackTop = STACK.top();

            // Read by a memory manager, if there is one, which knows this section and not us.
            // SAFETY: the section has entries of this type alone.
            #[used]
            #[unsafe(link_section = "sel4_root_task_stack")]
            static BOUNDS: StackBounds = STACK.bounds();

            // SAFETY: the one symbol of this name, with the signature that the runtime declares.
            #[unsafe(no_mangle)]
            fn __sel4_root_task__main(bootinfo: &BootInfoPtr) {
                // The first of the two that there is, by value or by reference.
                #[allow(clippy::needless_borrow)]
                returned($main).run($main, bootinfo)
            }

            // Here and not in the runtime, whose tests are checked with std's handler beside it, as
            // the program's own are (`cargo check --all-targets`).
            #[cfg(not(test))]
            #[panic_handler]
            fn panic(info: &::core::panic::PanicInfo<'_>) -> ! {
                $crate::_private::panicked(info)
            }

            // The linker looks for the entry in the runtime's archive because of this.
            #[used]
            static START: unsafe extern "C" fn() -> ! = $crate::_private::_start;
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __declare_heap {
    ($size:expr) => {
        const _: () = {
            #[global_allocator]
            static HEAP: $crate::_private::GlobalHeap<$crate::_private::RootTask, { $size }> =
                $crate::_private::GlobalHeap::new();

            // SAFETY: the one symbol of this name, with the signature that the runtime declares.
            #[unsafe(no_mangle)]
            fn __sel4_root_task__trim_heap() -> usize {
                HEAP.trim()
            }
        };
    };
}
