// SPDX-License-Identifier: BSD-2-Clause
//! Memory for the manager itself: the reserve of nodes, and how it is refilled.

pub(crate) mod refill;
