// SPDX-License-Identifier: BSD-2-Clause
//! What stress.sh asked for: words `name=value`.

use alloc::vec;
use alloc::vec::Vec;

/// What a run is to be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Determines the operations.
    pub seed: u64,
    /// Ends the run after as many.
    pub operations: Option<u64>,
    /// Ends the run after as long.
    pub seconds: Option<u64>,
    /// Operations between two checks of the whole state.
    pub validate: u64,
    /// For each phase, in the order of their names, whether it is wanted.
    pub phases: Vec<bool>,
    /// Memory is cleared beside the run, by a pacer.
    pub pacer: bool,
    /// Instructions are counted for time.
    pub icount: bool,
    /// The data of a report is wanted.
    pub report: bool,
    /// A map of physical memory is wanted with each line of progress.
    pub live: bool,
}

impl Settings {
    /// Reads the words of the command line; `phases` are the names of all phases that there are.
    ///
    /// # Errors
    /// The first word that makes no sense.
    pub fn parse<'w>(
        words: impl Iterator<Item = &'w str>,
        phases: &[&str],
    ) -> Result<Settings, &'w str> {
        let mut settings = Settings {
            seed: 1,
            operations: None,
            seconds: None,
            validate: 1000,
            phases: vec![true; phases.len()],
            pacer: false,
            icount: false,
            report: false,
            live: false,
        };
        for word in words {
            settings.take(word, phases).ok_or(word)?;
        }
        Ok(settings)
    }

    fn take(&mut self, word: &str, phases: &[&str]) -> Option<()> {
        let (name, value) = word.split_once('=')?;
        match name {
            "seed" => self.seed = value.parse().ok()?,
            "operations" => self.operations = Some(value.parse().ok()?),
            "seconds" => self.seconds = Some(value.parse().ok()?),
            "validate" => self.validate = value.parse().ok().filter(|&every| every != 0)?,
            "pacer" => self.pacer = value.parse::<u8>().ok()? != 0,
            "icount" => self.icount = value.parse::<u8>().ok()? != 0,
            "live" => self.live = value.parse::<u8>().ok()? != 0,
            "report" => self.report = value.parse::<u8>().ok()? != 0,
            "phases" => {
                self.phases.fill(false);
                for wanted in value.split(',') {
                    let index = phases.iter().position(|&name| name == wanted)?;
                    self.phases[index] = true;
                }
            }
            _ => return None,
        }
        Some(())
    }
}
