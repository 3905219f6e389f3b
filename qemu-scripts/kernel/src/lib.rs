// SPDX-License-Identifier: BSD-2-Clause
//! Empty: see this folder's `Cargo.toml`.
