//! A virtual-memory manager for the seL4 microkernel.
#![no_std]
