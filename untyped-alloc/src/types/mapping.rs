// SPDX-License-Identifier: BSD-2-Clause
//! Rights and cache policy of a mapping.

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
        /// Instructions may be fetched from the page. No right of a capability: an attribute of the
        /// mapping, where the architecture has one.
        const EXECUTE = 8;
    }
}

impl Rights {
    /// Reading and writing, without grant: all there is for a frame's capability.
    pub const READ_WRITE: Rights = Rights::READ.union(Rights::WRITE);

    /// Reading and executing: of pages with code.
    pub const READ_EXECUTE: Rights = Rights::READ.union(Rights::EXECUTE);

    /// All that a page can have.
    pub const READ_WRITE_EXECUTE: Rights = Rights::READ_WRITE.union(Rights::EXECUTE);
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
