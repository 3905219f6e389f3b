// SPDX-License-Identifier: BSD-2-Clause
//! What comes before the phases and after them.
//!
//! ```text
//!   warm_up.rs    before the start is taken, the manager's own pages come to their largest number
//!   balance.rs    at the end everything must be as it was at the start
//! ```

pub mod balance;
pub mod warm_up;
