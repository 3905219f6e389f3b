// SPDX-License-Identifier: BSD-2-Clause
//! What lender and borrower agree on.

use sel4::cap::Endpoint;
use sel4::Word;

/// Pages that are lent.
pub const LENT_PAGES: u32 = 16;
/// The slot in which both find the endpoint at which they meet.
pub const MEETING_SLOT: u32 = 5;

/// The endpoint at which they meet.
pub const fn meeting() -> Endpoint {
    Endpoint::from_bits(MEETING_SLOT as Word)
}
