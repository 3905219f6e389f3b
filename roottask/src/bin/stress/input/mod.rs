//! What decides a run: the arguments of `stress.sh`, and the numbers that follow from the seed.
//!
//! ```text
//!   settings.rs   the arguments, as words `name=value`; the names of phases are handed in
//!   random.rs     the sequence of numbers of a seed
//! ```
//!
//! Nothing here knows the manager.

pub mod random;
pub mod settings;

pub use random::Random;
pub use settings::Settings;
