// SPDX-License-Identifier: BSD-2-Clause
//! What is told of a fault that cannot be resolved, and what becomes of its thread.

use core::fmt;

use sel4::{cap_type, MessageInfoBuilder, UserContext, Word};

use super::ThreadFault;
use crate::faults::report::FaultReport;
use crate::sel4::bindings::{self, Backtrace};
use crate::types::error::Error;
use crate::types::ids::ThreadId;
use crate::types::region::Escaped;
use crate::types::thread::ThreadInfo;
use untyped_alloc::CPtr;

/// What becomes of a thread whose fault cannot be resolved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It stops where it is. `TCB_Resume` lets it repeat its instruction.
    Suspend,
    /// It stops, and this endpoint gets a message if somebody waits there; a notification is
    /// signalled. The handler never waits for whoever it is. The message has the label
    /// [`Verdict::HANDED_LABEL`] and five words: badge, kind of fault (0 page, 1 capability, 2
    /// system call, 3 exception), address or number, instruction pointer, and 1 for a write.
    HandTo(CPtr),
    /// What was wrong has been put right: it repeats its instruction.
    Resume,
    /// It is gone, killed by whoever says so: nobody is to be answered.
    Killed,
}

impl Verdict {
    /// The label of the message that [`Verdict::HandTo`] sends.
    pub const HANDED_LABEL: Word = 0x510;
}

/// A fault that cannot be resolved, for whoever decides what becomes of the thread. Its `Display`
/// is for a person.
#[derive(Debug)]
pub struct Incident<'a> {
    /// The thread's id: its badge.
    pub id: ThreadId,
    /// The thread.
    pub thread: &'a ThreadInfo,
    /// What it did.
    pub fault: ThreadFault,
    /// Why a fault that could be resolved was not: memory or quota is out, its pager refused.
    pub error: Option<Error>,
    /// Whether its pager refused the page, or ended before it answered.
    pub refused_by_pager: bool,
    /// Of a page fault: what lies where.
    pub report: Option<FaultReport<'a>>,
    /// The thread's registers.
    pub registers: Option<UserContext>,
    /// Who had called whom when it faulted, as far as its stack is mapped and its program was
    /// compiled with frame pointers.
    pub backtrace: Option<Backtrace>,
}

impl Incident<'_> {
    /// Sends the message of [`Verdict::HandTo`].
    pub(super) fn hand_to(&self, endpoint: CPtr) {
        let (kind, what, ip, write) = match self.fault {
            ThreadFault::Page(fault) => {
                (0, fault.address, fault.ip, fault.access == crate::types::fault::Access::Write)
            }
            ThreadFault::Capability { ip, cptr, .. } => (1, cptr, ip, false),
            ThreadFault::UnknownSyscall { ip, number } => (2, number, ip, false),
            ThreadFault::Exception { ip, number, .. } => (3, number, ip, false),
        };
        let words = [self.id.badge(), kind, what, ip, usize::from(write)];
        sel4::with_ipc_buffer_mut(|buffer| {
            for (place, word) in buffer.msg_regs_mut().iter_mut().zip(words) {
                *place = word as Word;
            }
        });
        let info = MessageInfoBuilder::default().label(Verdict::HANDED_LABEL).length(words.len());
        endpoint.cap::<cap_type::Endpoint>().nb_send(info.build());
    }
}

/// The registers of a thread that waits for its fault to be answered, if they can be read.
pub(super) fn registers(thread: &ThreadInfo) -> Option<UserContext> {
    let tcb = thread.tcb.cap::<cap_type::Tcb>();
    tcb.tcb_read_all_registers(false).ok()
}

impl fmt::Display for Incident<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Escaped(self.thread.name.as_str());
        match (self.fault, &self.report) {
            (ThreadFault::Page(_), Some(report)) => {
                let has_tls =
                    self.registers.as_ref().is_some_and(|r| bindings::thread_pointer(r) != 0);
                let below_zero = report.below_zero.filter(|_| !has_tls);
                FaultReport { below_zero, ..*report }.fmt(f)?
            }
            (ThreadFault::Page(fault), None) => writeln!(f, "{name}: {fault:x?}")?,
            (ThreadFault::Capability { ip, cptr, receiving }, _) => {
                let doing = if receiving { "receiving from" } else { "using" };
                writeln!(f, "{name}: {doing} capability {cptr:#x}, instruction at {ip:#x}")?;
                writeln!(f, "  {cptr:#x} leads nowhere in its CSpace")?;
            }
            (ThreadFault::UnknownSyscall { ip, number }, _) => {
                writeln!(f, "{name}: system call {number:#x}, instruction at {ip:#x}")?;
                writeln!(f, "  the kernel has no such call")?;
            }
            (ThreadFault::Exception { ip, number, code }, _) => {
                writeln!(f, "{name}: exception {number}, code {code:#x}, instruction at {ip:#x}")?;
            }
        }
        if self.refused_by_pager {
            writeln!(f, "  its pager refused the page, or has ended")?;
        }
        if let Some(error) = self.error {
            writeln!(f, "  not resolved: {error}")?;
        }
        write!(f, "  badge {}, {:?}", self.id.badge(), self.thread.space)?;
        self.say_registers(f)?;
        match &self.backtrace {
            Some(backtrace) => writeln!(f, "  backtrace of {name}: {backtrace}"),
            None => Ok(()),
        }
    }
}

impl Incident<'_> {
    /// The rest of a line, and further ones.
    fn say_registers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(registers) = &self.registers else { return writeln!(f) };
        // Those that say where it was beside its space, the others six a line.
        let named = bindings::named(registers);
        let named = named.as_ref();
        let digits = sel4::WORD_SIZE / 4;
        let (place, others) = named.split_at(4);
        write!(f, ",")?;
        place.iter().try_for_each(|(name, value)| write!(f, " {name} {value:0digits$x}"))?;
        for line in others.chunks(6) {
            write!(f, "\n ")?;
            line.iter().try_for_each(|(name, value)| write!(f, " {name} {value:0digits$x}"))?;
        }
        writeln!(f)
    }
}
