//! Addresses, paging geometry and the shadow of a VSpace's paging structures, for seL4.
#![no_std]
