//! One operation: made, judged, entered in the reference, compared.

use vmm::{Blame, Error, Result};

use super::decode::Op;
use super::execute::Made;
use super::{Failing, Fault, Run};
use crate::machine;
use crate::reference::Want;

/// The name of an error's variant.
fn name(error: &Error) -> String {
    let all = format!("{error:?}");
    let end = all.find(|c: char| !c.is_alphanumeric()).unwrap_or(all.len());
    all[..end].to_string()
}

impl<'p> Run<'p> {
    /// Makes one operation, judges it, and makes it again if it failed for an injected reason.
    pub(super) fn step(&mut self, op: Op, fault: Fault) {
        let failed = self.attempt(op, fault);
        if failed {
            self.attempt(op, None);
        }
    }

    /// Returns whether it failed for the injected reason.
    fn attempt(&mut self, op: Op, fault: Fault) -> bool {
        let want = self.want(op);
        // An unfinished clone of a space is left behind where destroying it is refused (MODEL.md).
        let fault = fault.map(|fault| Failing {
            lasts: fault.lasts && !matches!(op, Op::CloneSpace(_) | Op::DestroySpace(_)),
            ..fault
        });
        let failures = self.vmm.kernel().injected_failures();
        match fault {
            Some(Failing { nth, error, lasts: false }) => {
                self.vmm.kernel_mut().fail_nth(nth, error);
            }
            Some(Failing { nth, error, lasts: true }) => {
                self.vmm.kernel_mut().fail_from(nth, error);
            }
            None => {}
        }
        let result = self.execute(op);
        self.vmm.kernel_mut().disarm();
        let fired = self.vmm.kernel().injected_failures() != failures;
        let lasts = fired && fault.is_some_and(|fault| fault.lasts);
        if self.trace {
            let fault = fault.filter(|_| fired);
            eprintln!("{op:x?}, fault {fault:x?}\n    => {result:x?}");
        }
        self.judge(op, &want, &result, fired);
        match result {
            Ok(made) => self.apply(op, made),
            Err(error) if fired => self.apply_part(op, error),
            Err(_) => {}
        }
        if fired && machine::CHECKED {
            // What the kernel would not let go waits in the quarantine.
            if let Err(violation) = self.vmm.validate() {
                panic!("validate: {violation:?}");
            }
            self.vmm.kernel().check_manager();
            self.vmm.trim().expect("nothing fails now");
        }
        // What was refused has changed nothing; what was short may have.
        if fired || matches!(result, Err(Error::Allocator(_) | Error::OutOfNodes(_))) {
            self.follow_cow();
            self.follow_poke(op);
        }
        if lasts {
            self.heal(op);
        }
        self.compare();
        fired && result.is_err()
    }

    fn judge(&mut self, op: Op, want: &Want, result: &Result<Made>, fired: bool) {
        let refused = |want: &Want, error: &Error| {
            let name = name(error);
            let known = want.must.iter().chain(&want.may).any(|known| *known == name);
            let exact = ["NoRoom", "OutOfQuota"].contains(&name.as_str());
            let short = error.blame() == Blame::Resource && !exact;
            known || short || fired && name != "NoRoom" && error.blame() != Blame::Caller
        };
        let right = |want: &Want| match result {
            Ok(_) => want.must.is_empty(),
            Err(error) => refused(want, error),
        };
        if !right(want) {
            // Book-keeping may have taken the place first.
            self.see_obstacles();
            let now = self.want(op);
            assert!(right(&now), "{op:x?}: {result:x?}, wanted {want:?} (a fault: {fired})");
        }
    }
}
