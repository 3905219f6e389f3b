//! Memory for the manager itself: the reserve of nodes, slots and objects, and how it is refilled.

pub(crate) mod objects;
pub(crate) mod refill;
