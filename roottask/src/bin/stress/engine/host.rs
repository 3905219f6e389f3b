// SPDX-License-Identifier: BSD-2-Clause
//! The service that client programs ask, with its endpoint.

use vmm::CPtr;
use vmm_service::Service;

/// The service. It keeps two pages for good, and so is made once in a run.
pub struct Host {
    /// What answers requests.
    pub service: Service<'static>,
    /// Where they arrive.
    pub endpoint: CPtr,
}
