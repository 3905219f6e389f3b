// SPDX-License-Identifier: BSD-2-Clause
//! Holds the model to the real kernel: replays on the model what a root task did and printed.
//!
//! A transcript is the root task's output. These lines count, in this order; others are skipped:
//!
//! ```text
//! arch NAME                           ia32 or x86_64; ia32 when it is left out
//! image ADDRESS PAGES                 where the image is mapped (hexadecimal), its pages
//! untyped SLOT PADDR BITS DEVICE      each untyped of the boot (PADDR hexadecimal, DEVICE 0 or 1)
//! window SLOT S0 S1 S2 S3             the sequences' slots, and the untypeds they start from
//! sequence SEED STEPS VADDR           after `Config::clear`, a generator was started …
//! scenario NAME VADDR                 … or a scenario was run …
//! answers TEXT                        … these were the results, as `call_sequence::Answer` …
//! mapped DIGITS                       … and then something was mapped (1) or not (0) in the
//!                                     root task's own VSpace at each of `Config::vaddrs`
//! ```
//!
//! Sequences follow each other on one machine, so what one leaves behind counts for the next.
//! `mapped` may be left out.

use std::fmt;

use call_sequence::{Answer, Call, Config, Scenario, Source};
use untyped_alloc::kernel::CPtr;

use crate::model::{Arch, Arena, BootConfig, ModelKernel};

/// Where the model's own boot objects lie: above all that the architecture has, as nothing says
/// where the kernel's are.
const KERNEL_BASE: usize = 1 << 48;

/// What a root task printed.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    x86_64: bool,
    image: (usize, usize),
    untypeds: Vec<(usize, usize, u8, bool)>,
    window: Vec<usize>,
    sequences: Vec<Sequence>,
}

#[derive(Clone, Debug)]
struct Sequence {
    source: Source,
    vaddr: usize,
    answers: String,
    mapped: Option<String>,
}

/// The first call that the two kernels answered differently.
#[derive(Clone, Debug)]
pub struct Divergence {
    /// The sequence's seed, or the scenario's name.
    pub source: String,
    /// The number of the call in it.
    pub step: usize,
    /// The call.
    pub call: Option<Call>,
    /// What the model answered, and what the transcript says from there on.
    pub model: String,
    /// What the transcript says.
    pub kernel: String,
    /// The calls before it, with their answers.
    pub before: Vec<(Call, String)>,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (call, answer) in &self.before {
            writeln!(f, "  {answer:<10} {call:?}")?;
        }
        writeln!(f, "{}, step {}: {:?}", self.source, self.step, self.call)?;
        write!(f, "model {}, kernel {}", self.model, self.kernel)
    }
}

impl Transcript {
    /// Reads a root task's output.
    ///
    /// # Errors
    /// The line that cannot be read, or what is missing.
    pub fn parse(text: &str) -> Result<Transcript, String> {
        let mut transcript = Transcript::default();
        let text = without_kernel_messages(text);
        for line in text.lines() {
            let line = line.trim();
            transcript.read_line(line).ok_or_else(|| format!("cannot read: {line}"))?;
        }
        if transcript.window.len() != 5 || transcript.untypeds.is_empty() {
            return Err("the machine is not described".into());
        }
        Ok(transcript)
    }

    fn read_line(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        let kind = words.next()?;
        let rest: Vec<&str> = words.collect();
        let decimal = |i: usize| rest.get(i)?.parse::<usize>().ok();
        let hex = |i: usize| usize::from_str_radix(rest.get(i)?, 16).ok();
        match kind {
            "arch" => match rest[..] {
                ["ia32"] => self.x86_64 = false,
                ["x86_64"] => self.x86_64 = true,
                _ => return None,
            },
            "image" => self.image = (hex(0)?, decimal(1)?),
            "untyped" => {
                self.untypeds.push((decimal(0)?, hex(1)?, decimal(2)? as u8, decimal(3)? == 1));
            }
            "window" => {
                self.window = (0..5).map(decimal).collect::<Option<_>>()?;
            }
            "sequence" => {
                let source = Source::Random { seed: decimal(0)? as u64, steps: decimal(1)? };
                self.sequences.push(Sequence::new(source, hex(2)?));
            }
            "scenario" => {
                let source = Source::Scenario(Scenario::named(rest.first()?)?);
                self.sequences.push(Sequence::new(source, hex(1)?));
            }
            "answers" => self.sequences.last_mut()?.answers.push_str(rest.first()?),
            "mapped" => self.sequences.last_mut()?.mapped = Some(rest.first()?.to_string()),
            _ => {}
        }
        Some(())
    }

    /// The machine of the transcript.
    fn machine(&self) -> BootConfig {
        let of = |device| {
            let wanted = self.untypeds.iter().filter(move |untyped| untyped.3 == device);
            wanted.map(|&(_, paddr, bits, _)| (paddr, bits)).collect()
        };
        BootConfig {
            arch: if self.x86_64 { Arch::X86_64 } else { Arch::IA32 },
            cnode_radix: 16,
            kernel_base: KERNEL_BASE,
            ram: of(false),
            devices: of(true),
            image_vaddr: self.image.0,
            image_pages: self.image.1,
        }
    }

    /// Where a sequence works.
    fn config(&self, sources: [CPtr; 4], vaddr: usize) -> Config {
        let window = CPtr::new(self.window[0]);
        match self.x86_64 {
            true => Config::x86_64(window, sources, vaddr),
            false => Config::ia32(window, sources, vaddr),
        }
    }

    /// Replays all sequences on the model, and compares call by call. How many calls there were.
    ///
    /// # Errors
    /// The first difference.
    ///
    /// # Panics
    /// When the model boots into other slots than the kernel did.
    pub fn compare(&self) -> Result<usize, Box<Divergence>> {
        let arena = Arena::new();
        let mut kernel = ModelKernel::boot(&arena, &self.machine());
        let slots: Vec<usize> = kernel.facts().untypeds.iter().map(|u| u.slot).collect();
        let theirs: Vec<usize> = self.untypeds.iter().map(|untyped| untyped.0).collect();
        assert_eq!(slots, theirs, "untypeds lie in other slots");
        let sources = [1, 2, 3, 4].map(|i| CPtr::new(self.window[i]));
        let mut calls = 0;
        for sequence in &self.sequences {
            let config = self.config(sources, sequence.vaddr);
            config.clear(&mut kernel).expect("a window can be cleared");
            sequence.compare(&mut kernel, &config)?;
            kernel.check();
            calls += sequence.source.steps();
        }
        Ok(calls)
    }
}

impl Sequence {
    fn new(source: Source, vaddr: usize) -> Sequence {
        Sequence { source, vaddr, answers: String::new(), mapped: None }
    }

    fn compare(
        &self,
        kernel: &mut ModelKernel<'_>,
        config: &Config,
    ) -> Result<(), Box<Divergence>> {
        let mut answers = &self.answers[..];
        let mut before = Vec::new();
        self.source.run(kernel, config, |_, step, call, result| {
            let model = Answer(result).to_string();
            match answers.strip_prefix(&model) {
                Some(rest) => answers = rest,
                None => {
                    return Err(Box::new(Divergence {
                        source: self.source.to_string(),
                        step,
                        call: Some(*call),
                        model,
                        kernel: answers.chars().take(12).collect(),
                        before: std::mem::take(&mut before),
                    }));
                }
            }
            before.push((*call, model));
            Ok(())
        })?;
        let digit = |&vaddr: &usize| if is_mapped(kernel, vaddr) { '1' } else { '0' };
        let model: String = config.vaddrs.iter().map(digit).collect();
        match &self.mapped {
            Some(theirs) if *theirs != model => Err(Box::new(Divergence {
                source: self.source.to_string(),
                step: self.source.steps(),
                call: None,
                model,
                kernel: theirs.clone(),
                before,
            })),
            _ => Ok(()),
        }
    }
}

/// A debug kernel explains its refusals on the same serial line, in the middle of what the root
/// task prints: `<<seL4 … >>`, a line feed, a carriage return.
fn without_kernel_messages(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, message)) = rest.split_once("<<seL4") {
        kept.push_str(before);
        let after = message.split_once(">>").map_or("", |(_, after)| after);
        let after = after.trim_start_matches('\r').strip_prefix('\n').unwrap_or(after);
        rest = after.strip_prefix('\r').unwrap_or(after);
    }
    kept + rest
}

/// What `PageDirectory_GetStatusBits` tells of an address: nothing of the kernel's part.
fn is_mapped(kernel: &ModelKernel<'_>, vaddr: usize) -> bool {
    vaddr < kernel.arch().user_top && kernel.mapping(kernel.facts().vspace, vaddr).is_some()
}

#[cfg(test)]
mod tests {
    use call_sequence::{record, scenarios_for};
    use untyped_alloc::kernel::ObjectSizes;

    use super::*;
    use crate::model::SharedModel;

    const MACHINE: &str = "image 8048000 4\nuntyped 18 800000 23 0\nuntyped 19 e0000000 22 1\n\
                           window 20 18 18 18 19\n";

    /// The transcript of the model itself.
    fn transcript(sources: &[Source]) -> String {
        let parsed = Transcript::parse(MACHINE).unwrap();
        let arena = Arena::new();
        let shared = SharedModel::new(ModelKernel::boot(&arena, &parsed.machine()));
        let untypeds = [18, 18, 18, 19].map(CPtr::new);
        let config = Config::ia32(CPtr::new(20), untypeds, 0x4000_0000);
        let mut text = MACHINE.to_string();
        for source in sources {
            let mapped = |vaddr| Some(is_mapped(&shared.get(), vaddr));
            record(source, &mut shared.clone(), &config, &mut text, mapped).unwrap();
        }
        text
    }

    const RANDOM: Source = Source::Random { seed: 5, steps: 500 };

    #[test]
    fn the_model_agrees_with_itself() {
        let scenarios = scenarios_for(&ObjectSizes::IA32).map(Source::Scenario);
        let sources: Vec<Source> = scenarios.chain([RANDOM]).collect();
        let calls = sources.iter().map(Source::steps).sum();
        let transcript = Transcript::parse(&transcript(&sources)).unwrap();
        assert_eq!(transcript.compare().map_err(|d| d.to_string()), Ok(calls));
    }

    #[test]
    fn a_wrong_answer_is_found() {
        let (head, tail) = transcript(&[RANDOM]).split_once("\nmapped ").map(own).unwrap();
        let wrong = format!("{}?\nmapped {tail}", &head[..head.len() - 1]);
        let divergence = Transcript::parse(&wrong).unwrap().compare().unwrap_err();
        assert_eq!(divergence.step, 499);
    }

    #[test]
    fn a_wrong_mapping_is_found() {
        let (head, _) = transcript(&[RANDOM]).split_once("\nmapped ").map(own).unwrap();
        let wrong = format!("{head}\nmapped 11111111111111111111");
        assert_eq!(Transcript::parse(&wrong).unwrap().compare().unwrap_err().call, None);
    }

    fn own((head, tail): (&str, &str)) -> (String, String) {
        (head.into(), tail.into())
    }

    #[test]
    fn a_debug_kernels_messages_are_skipped() {
        let text = "mapped 1<<seL4(CPU 0) [decode/1]: no>>\n\r0<<seL4: no>>\n\r\nend";
        assert_eq!(without_kernel_messages(text), "mapped 10\nend");
    }

    #[test]
    fn a_transcript_must_describe_its_machine() {
        assert!(Transcript::parse("sequence 1 2").is_err());
        assert!(Transcript::parse("untyped 18 x 23 0").is_err());
    }
}
