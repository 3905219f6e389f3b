//! The configuration of the kernel these bindings are built for.

/// The kernel's configuration by the names of its `CONFIG_…` options.
pub use crate::sys::interface::consts;

/// The value of a configuration option as a `usize`; an unknown option does not compile.
#[macro_export]
macro_rules! sel4_cfg_usize {
    ($key:ident) => {
        $crate::config::consts::$key
    };
}

/// The value of a configuration option as a [`Word`](crate::Word); an unknown option does not
/// compile.
#[macro_export]
macro_rules! sel4_cfg_word {
    ($key:ident) => {
        $crate::config::consts::$key as $crate::Word
    };
}

/// Whether a configuration switch is set; an unknown option does not compile.
#[macro_export]
macro_rules! sel4_cfg_bool {
    ($key:ident) => {
        $crate::config::consts::$key != 0
    };
}
