//! n pages, slots or nodes are left.
