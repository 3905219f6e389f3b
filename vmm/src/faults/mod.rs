// SPDX-License-Identifier: BSD-2-Clause
//! Page faults: what they are, what resolves them, who is asked, and what a person is told.

pub(crate) mod decide;
pub(crate) mod deferred;
pub(crate) mod demand;
pub(crate) mod dense;
pub(crate) mod hand_over;
pub(crate) mod page_requests;
pub(crate) mod registry;
pub(crate) mod report;
pub(crate) mod request_ends;
pub(crate) mod resolve;
pub(crate) mod supply;
