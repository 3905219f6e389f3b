// SPDX-License-Identifier: BSD-2-Clause
//! The refusals that are expected, and no error of the service.

use vmm_client::protocol::Refusal;
use vmm_client::{Error, Result};

/// The value, or `None` when the request was refused because memory, room or quota is short, or
/// because the other client or its offer is gone.
pub fn unless_short<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Refused(
            Refusal::OutOfQuota { .. }
            | Refusal::OutOfMemory
            | Refusal::NoRoom
            | Refusal::NoSuchClient
            | Refusal::NoSuchOffer,
        )) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the answer to a fault was accepted. The thread that asked for the page may be gone, may
/// have the page by an earlier answer, or may have no room for it.
pub fn unless_gone(result: Result) -> Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(Error::Refused(Refusal::NoSuchFault | Refusal::NotTaken | Refusal::OutOfMemory)) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
