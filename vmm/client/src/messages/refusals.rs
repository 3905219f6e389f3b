// SPDX-License-Identifier: BSD-2-Clause
//! Refusals to words and back.

use super::fields::number;
use super::message::{message, Message, REFUSED};
use crate::types::items::Resource;
use crate::types::malformed::Malformed;
use crate::types::refusal::Refusal;

impl Refusal {
    /// The message of this refusal.
    pub fn encode(&self) -> Message {
        message(REFUSED, &self.words())
    }

    /// The number of the refusal, and the words that belong to it.
    fn words(self) -> [usize; 4] {
        match self {
            Refusal::Malformed(what) => [1, what as usize, 0, 0],
            Refusal::NoSuchRegion => [2, 0, 0, 0],
            Refusal::NoSuchClient => [3, 0, 0, 0],
            Refusal::NoSuchOffer => [4, 0, 0, 0],
            Refusal::OutOfQuota { resource, limit, used } => {
                [5, resource as usize, limit as usize, used as usize]
            }
            Refusal::OutOfMemory => [6, 0, 0, 0],
            Refusal::NoRoom => [7, 0, 0, 0],
            Refusal::BadAddress { address } => [8, address, 0, 0],
            Refusal::Overlap { address } => [9, address, 0, 0],
            Refusal::NotMapped { address } => [10, address, 0, 0],
            Refusal::AlreadyMapped { address } => [11, address, 0, 0],
            Refusal::BeyondRights => [12, 0, 0, 0],
            Refusal::WrongKind => [13, 0, 0, 0],
            Refusal::TooMuch { most } => [14, most as usize, 0, 0],
            Refusal::BadSlot => [15, 0, 0, 0],
            Refusal::Internal => [16, 0, 0, 0],
            Refusal::NoSuchFault => [17, 0, 0, 0],
            Refusal::NoSuchThread => [18, 0, 0, 0],
            Refusal::NotTaken => [19, 0, 0, 0],
            Refusal::Shared { address } => [20, address, 0, 0],
        }
    }

    /// The refusal in the words of a message.
    pub(super) fn parse([kind, a, b, c]: [usize; 4]) -> Result<Refusal, Malformed> {
        let refusal = match kind {
            1 => Refusal::Malformed(Malformed::parse(a)?),
            2 => Refusal::NoSuchRegion,
            3 => Refusal::NoSuchClient,
            4 => Refusal::NoSuchOffer,
            5 => Refusal::OutOfQuota {
                resource: Resource::parse(a)?,
                limit: number(b)?,
                used: number(c)?,
            },
            6 => Refusal::OutOfMemory,
            7 => Refusal::NoRoom,
            8 => Refusal::BadAddress { address: a },
            9 => Refusal::Overlap { address: a },
            10 => Refusal::NotMapped { address: a },
            11 => Refusal::AlreadyMapped { address: a },
            12 => Refusal::BeyondRights,
            13 => Refusal::WrongKind,
            14 => Refusal::TooMuch { most: number(a)? },
            15 => Refusal::BadSlot,
            16 => Refusal::Internal,
            17 => Refusal::NoSuchFault,
            18 => Refusal::NoSuchThread,
            19 => Refusal::NotTaken,
            20 => Refusal::Shared { address: a },
            _ => return Err(Malformed::Value),
        };
        // The words that a refusal does not use are zero.
        (refusal.words() == [kind, a, b, c]).then_some(refusal).ok_or(Malformed::Value)
    }
}
