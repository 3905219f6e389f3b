// SPDX-License-Identifier: BSD-2-Clause
//! What decides a run: the arguments of `stress.sh`, the numbers that follow from the seed, and the
//! host's wish that it finish.
//!
//! ```text
//!   settings.rs   the arguments, as words `name=value`; the names of phases are handed in
//!   random.rs     the sequence of numbers of a seed
//!   console.rs    what the host says while it runs
//! ```
//!
//! Nothing here knows the manager.

pub mod console;
pub mod random;
pub mod settings;

pub use console::asked_to_finish;
pub use random::Random;
pub use settings::Settings;
