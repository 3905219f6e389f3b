// SPDX-License-Identifier: BSD-2-Clause
//! Running sequences and writing down what they returned, for a comparison elsewhere.

use core::fmt::{self, Write};

use untyped_alloc::kernel::{Kernel, KernelResult};

use crate::{Answer, Call, Config, Generator, Scenario};

/// Calls whose answers go into one line.
const PER_LINE: usize = 100;

/// Where calls come from.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// A generator.
    Random {
        /// Its seed.
        seed: u64,
        /// How many calls it makes.
        steps: usize,
    },
    /// A scenario.
    Scenario(&'static Scenario),
}

impl Source {
    /// How many calls there are.
    pub fn steps(&self) -> usize {
        match self {
            Source::Random { steps, .. } => *steps,
            Source::Scenario(scenario) => scenario.calls.len(),
        }
    }

    /// Makes the calls one by one; `each` gets the kernel after a call, the call's number, itself,
    /// and its result, and stops the rest with an error.
    ///
    /// # Errors
    /// That of `each`.
    pub fn run<K: Kernel, E>(
        &self,
        kernel: &mut K,
        config: &Config,
        mut each: impl FnMut(&mut K, usize, &Call, KernelResult<usize>) -> Result<(), E>,
    ) -> Result<(), E> {
        let seed = if let Source::Random { seed, .. } = self { *seed } else { 0 };
        let mut generator = Generator::new(seed, config);
        for step in 0..self.steps() {
            let call = match self {
                Source::Random { .. } => generator.next_call(),
                Source::Scenario(scenario) if scenario.levels == 2 => {
                    scenario.calls[step].on(&config.sizes)
                }
                Source::Scenario(scenario) => scenario.calls[step],
            };
            let result = call.run(kernel, config);
            generator.note(&call, result);
            each(kernel, step, &call, result)?;
        }
        Ok(())
    }
}

/// How a transcript names it.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Random { seed, steps } => write!(f, "sequence {seed} {steps}"),
            Source::Scenario(scenario) => write!(f, "scenario {}", scenario.name),
        }
    }
}

/// Clears the window, makes the calls of `source`, and writes them to `out` as a transcript has
/// them: a line that names the source, lines of answers, and which of [`Config::vaddrs`] are mapped
/// in the caller's VSpace then, as `is_mapped` says, if it can say.
///
/// # Errors
/// That of `out`; and that the window cannot be cleared.
pub fn record(
    source: &Source,
    kernel: &mut impl Kernel,
    config: &Config,
    out: &mut impl Write,
    is_mapped: impl Fn(usize) -> Option<bool>,
) -> fmt::Result {
    config.clear(kernel).map_err(|_| fmt::Error)?;
    write!(out, "{source} {:x}", config.vaddrs[0])?;
    source.run(kernel, config, |_, step, _, result| {
        if step % PER_LINE == 0 {
            write!(out, "\nanswers ")?;
        }
        write!(out, "{}", Answer(result))
    })?;
    let mut lead = "\nmapped ";
    for mapped in config.vaddrs.into_iter().filter_map(is_mapped) {
        write!(out, "{lead}{}", u8::from(mapped))?;
        lead = "";
    }
    writeln!(out)
}
