//! Requests under pressure: where memory is out, pages are moved, and the request is made again.

use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::types::error::{Error, Result};

/// How often a request is made again at the most. Each time something was gained, so this bounds
/// requests for many large pieces only.
const MOST_ROUNDS: usize = 1024;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Makes a request that leaves all as it was when it fails. Where it finds no memory, pages are
    /// moved so that a piece of the size it wants is free, and it is made again.
    #[inline(always)]
    pub(crate) fn under_pressure<T>(
        &mut self,
        mut request: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<T> {
        match request(self) {
            Err(Error::Allocator(error @ untyped_alloc::Error::OutOfMemory { .. })) => {
                self.compact_for(error, request)
            }
            made => made,
        }
    }

    #[cold]
    #[inline(never)]
    fn compact_for<T>(
        &mut self,
        mut error: untyped_alloc::Error,
        mut request: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<T> {
        for _ in 0..MOST_ROUNDS {
            let untyped_alloc::Error::OutOfMemory { size_bits } = error else { break };
            // What stands in the way of that is not what the caller asked for.
            if !matches!(self.compact(size_bits), Ok(true)) {
                break;
            }
            match request(self) {
                Err(Error::Allocator(again)) => error = again,
                made => return made,
            }
        }
        Err(error.into())
    }
}
