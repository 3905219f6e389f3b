// SPDX-License-Identifier: BSD-2-Clause
//! The version of the protocol, its limits, and the slots that a client starts with.

/// The version of the layout of messages.
pub const VERSION: u32 = 4;
/// Bytes of a page: requests and answers count memory in pages of this size.
pub const PAGE_BYTES: usize = 4096;

/// The most words of a message.
pub const MAX_WORDS: usize = 32;
/// The most pages that one request maps, unmaps, protects, shares or clones. The service answers
/// how many pages are done, and the client asks for the rest, so that no request of one client
/// delays the faults of the other clients for long.
pub const MAX_PAGES: u32 = 64;
/// The most guard pages on one side of a region.
pub const MAX_GUARDS: u32 = 16;
/// The most regions of a client.
pub const MAX_REGIONS: u32 = 256;
/// The most open offers of a client.
pub const MAX_OFFERS: u32 = 16;
/// The most threads of a client, its first one included.
pub const MAX_THREADS: u32 = 8;

/// The logarithm (base 2) of the number of slots in a client's CNode. CPtrs of a client are slot
/// numbers of this CNode.
pub const CNODE_BITS: u8 = 4;
/// The slot of the service's endpoint, whose badge tells the service who the client is.
pub const SERVICE_SLOT: u32 = 1;
/// The slot of the endpoint that receives the faults of the client's first thread.
pub const FAULT_SLOT: u32 = 2;
/// The first slot that the program may use: capabilities beyond the two above are put here and
/// in the slots after it.
pub const FIRST_FREE_SLOT: u32 = 3;
