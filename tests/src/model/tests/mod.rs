//! The model's rules, one test each, by the kernel file they come from.

mod support;

mod untyped;
