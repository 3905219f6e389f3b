//! Tests of the room by itself: each structure against a plain model, with no kernel.

mod slots;
