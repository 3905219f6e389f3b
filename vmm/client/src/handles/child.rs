// SPDX-License-Identifier: BSD-2-Clause
//! Programs that were asked for: started, told of, ended.

use sel4::{cap, CapRights, Word};

use super::call::{call, finish, into_slot};
use super::error::{Error, Result};
use super::kinds::{Account, Child, Handle, Memory, Space, Thread};
use super::object::{no_answer, Object};
use super::slots::{free_slot, take_slot};
use crate::arch::UserRegisters;
use crate::objects::{
    Amounts, Answer, FaultKind, FaultPolicy, Name, ProgramOptions, Registers, Request, Rights,
    State, CNODE_BITS, CNODE_SLOT,
};

/// What a program does, or how it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChildStatus {
    /// What it does.
    pub state: State,
    /// Whether it has ended and all is given back that it had.
    pub gone: bool,
    /// Its exit code, if it has ended itself; if it has faulted, what the fault says beside its
    /// kind.
    pub code: u32,
    /// The kind of its last fault.
    pub fault: FaultKind,
    /// The address that it touched, if it has faulted.
    pub address: usize,
    /// The address of the instruction that faulted.
    pub instruction: usize,
}

impl Account {
    /// A program with a space and an account of its own, which has these amounts of this one's:
    /// with capabilities to both, which end with it. It is empty: [`Child::load`] is next.
    /// [`Account::begin_program`] does more of it.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::OutOfSlots`].
    pub fn create_program(
        &self,
        name: &str,
        amounts: Amounts,
        options: ProgramOptions,
    ) -> Result<(Child, Space, Account)> {
        let name = Name::new(name);
        let mut slots = [0; 3];
        for index in 0..slots.len() {
            match take_slot() {
                Ok(slot) => slots[index] = slot,
                Err(error) => {
                    slots[..index].iter().for_each(|&slot| free_slot(slot));
                    return Err(error);
                }
            }
        }
        let [slot, space, account] = slots;
        let request = Request::CreateProgram { amounts, options, name, slot, space, account };
        match finish(&request, &[self.slot()]) {
            Ok(()) => {
                Ok((Child::from_slot(slot), Space::from_slot(space), Account::from_slot(account)))
            }
            Err(error) => {
                slots.iter().for_each(|&slot| free_slot(slot));
                Err(error)
            }
        }
    }
}

impl Child {
    /// Loads its image from an ELF file.
    ///
    /// # Errors
    /// [`Error::Refused`]: with `BadImage` for a file that cannot be loaded.
    pub fn load(&self, file: &Memory) -> Result {
        finish(&Request::Load {}, &[self.slot(), file.slot()])
    }

    /// Gives it a capability to an object, with these rights, in an empty slot of its own.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn grant(&self, object: &impl Handle, rights: Rights, slot: u32) -> Result {
        finish(&Request::Grant { rights, slot }, &[self.slot(), object.slot()])
    }

    /// Gives it a copy of a capability in a slot of this program that is not to an object of the
    /// service's.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn grant_kernel(&self, from: u32, slot: u32) -> Result {
        finish(&Request::GrantKernel { slot }, &[self.slot(), from])
    }

    /// Lets it run, with this argument, so many pages of stack, and a priority that is not above
    /// this program's.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn start(&self, argument: usize, stack: u32, priority: u8) -> Result {
        let priority = priority.into();
        finish(&Request::Start { argument, stack, priority }, &[self.slot()])
    }

    /// Says how many milliseconds one of its threads waits for a page of paged memory: then it has
    /// a fault. 0: for ever.
    ///
    /// # Errors
    /// [`Error::Refused`]: with `NoClock` where the service has none.
    pub fn limit_waits(&self, ms: u32) -> Result {
        finish(&Request::LimitWaits { ms }, &[self.slot()])
    }

    /// Its first thread, as any other thread, with this policy for its faults from now on. The
    /// account pays for the record. To end the thread is to end the program; to destroy the record
    /// is to let the thread go on, if it was suspended by it.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::OutOfSlots`].
    pub fn first_thread(&self, payer: &Account, policy: FaultPolicy) -> Result<Thread> {
        let request = |slot| Request::FirstThread { policy, slot };
        into_slot(request, &[self.slot(), payer.slot()]).map(Thread::from_slot)
    }

    /// Suspends it with all its threads: they execute no further instruction once this returns. A
    /// system call that one is in goes to its end first, and it is `Suspending` until then:
    /// [`Child::wait`] tells when it is `Suspended`.
    ///
    /// # Errors
    /// [`Error::Refused`]: with `WrongState` if it was not started, is suspended so already, or has
    /// ended.
    pub fn suspend(&self) -> Result {
        finish(&Request::SuspendProgram {}, &[self.slot()])
    }

    /// Lets it go on where it was suspended, or a fault suspended it.
    ///
    /// # Errors
    /// [`Error::Refused`]: with `WrongState` if it is not.
    pub fn resume(&self) -> Result {
        finish(&Request::Resume {}, &[self.slot()])
    }

    /// The registers of the thread whose fault has suspended it.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn registers(&self) -> Result<UserRegisters> {
        registers(self.slot())
    }

    /// Changes the registers of the thread whose fault has suspended it.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn set_registers(&self, registers: UserRegisters) -> Result {
        set_registers(self.slot(), registers)
    }

    /// Ends it: it runs no more once this returns.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn kill(&self) -> Result {
        finish(&Request::Kill {}, &[self.slot()])
    }

    /// Has the notification signalled to which the capability in this slot leads, when it has ended
    /// and all is given back that it had; or it is suspended, by a fault or by request.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn tell_end(&self, slot: u32) -> Result {
        tell_end(self.slot(), slot)
    }

    /// What it does, or how it ended.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn status(&self) -> Result<ChildStatus> {
        status(self.slot())
    }

    /// Waits until it has ended and all is given back that it had, or is suspended, by a fault or
    /// by request.
    /// `told` is the slot of a capability to a notification that nothing else signals.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn wait(&self, told: u32) -> Result<ChildStatus> {
        wait(self.slot(), told)
    }

    /// Gives back its record, with the slots of the capabilities that ended with it; ends it first,
    /// if it has not ended.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn remove(self, space: Space, account: Account) -> Result {
        self.destroy()?;
        free_slot(space.slot());
        free_slot(account.slot());
        Ok(())
    }
}

/// The registers of a thread that is suspended.
pub(super) fn registers(slot: u32) -> Result<UserRegisters> {
    match call(&Request::ReadRegisters {}, &[slot])? {
        Answer::Registers { registers } => Ok(registers.into()),
        _ => Err(no_answer("ReadRegisters")),
    }
}

/// Changes the registers of a thread that is suspended.
pub(super) fn set_registers(slot: u32, registers: UserRegisters) -> Result {
    let registers = Registers::from(registers);
    finish(&Request::WriteRegisters { registers }, &[slot])
}

/// Has the end of a program or a thread told.
pub(super) fn tell_end(slot: u32, told: u32) -> Result {
    finish(&Request::TellEnd {}, &[slot, told])
}

/// What a program or a thread does, or how it ended.
pub(super) fn status(slot: u32) -> Result<ChildStatus> {
    match call(&Request::Info {}, &[slot])? {
        Answer::Program { state, gone, code, fault, address, instruction, .. } => {
            Ok(ChildStatus { state, gone, code, fault, address, instruction })
        }
        _ => Err(no_answer("Info")),
    }
}

/// Waits until a program or a thread has ended, or is suspended.
pub(super) fn wait(slot: u32, told: u32) -> Result<ChildStatus> {
    tell_end(slot, told)?;
    loop {
        // It is signalled at once if that is so already.
        cap::Notification::from_bits(told as Word).wait();
        let status = status(slot)?;
        if status.gone || status.state.is_suspended() {
            return Ok(status);
        }
    }
}

/// A capability to a notification whose signals set the bits `badge` of the word that who waits for
/// it gets. `slot` has the one that it is made from. [`empty_slot`](super::empty_slot) ends it.
///
/// # Errors
/// [`Error::OutOfSlots`]; [`Error::Kernel`] for a slot without such a capability.
pub fn mint_bit(slot: u32, badge: usize) -> Result<u32> {
    mint(slot, CapRights::all(), badge)
}

/// A capability with these rights to the same endpoint or notification, which tells who receives or
/// waits there of this badge. `slot` has the one that it is made from, without a badge.
/// [`empty_slot`](super::empty_slot) ends it.
///
/// # Errors
/// As [`mint_bit`].
pub fn mint(slot: u32, rights: CapRights, badge: usize) -> Result<u32> {
    let to = take_slot()?;
    let own = cap::CNode::from_bits(CNODE_SLOT as Word);
    let path = |slot: u32| own.absolute_cptr_from_bits_with_depth(slot as Word, CNODE_BITS.into());
    match path(to).mint(&path(slot), rights, badge as Word) {
        Ok(()) => Ok(to),
        Err(error) => {
            free_slot(to);
            Err(Error::Kernel { request: "CNode_Mint", error: error as u32 })
        }
    }
}
