// SPDX-License-Identifier: BSD-2-Clause
//! What the two threads say to each other.
//!
//! ```text
//!   int main(), priority 255              second_thread_entry(), priority 254
//!
//!   prints, calls ── 120 words, a ──►     prints, waits, receives
//!                    capability           prints, checks the words
//!   prints        ◄── 120 words ─────     replies
//!   checks the words, waits               prints
//!   is signalled  ◄───────────────────    signals the capability it was given
//! ```
//!
//! The first thread has the higher priority, so it goes on whenever it can: that alone makes the
//! order of the lines, there is no other synchronisation.

use core::sync::atomic::{AtomicUsize, Ordering};

use roottask::{check, check_eq, Manager, Outcome, Thread};
use sel4::init_thread::slot;
use sel4::{cap, CPtr, CapRights, MessageInfoBuilder, Word, NUM_MESSAGE_REGISTERS};
use sel4_root_task::debug_println;
use vmm::{Blueprint, Kernel, Object};

/// The badge of the capability that is passed.
const TICKET_BADGE: Word = 0x5ea14;
/// What each thread keeps in the word of its IPC buffer that the kernel leaves alone.
const FIRST_MARK: Word = 0x1111_1111;
const SECOND_MARK: Word = 0x2222_2222;

/// The words that the second thread received as they were sent.
static WORDS_RECEIVED: AtomicUsize = AtomicUsize::new(0);

/// Word `index` of the message to the second thread; no two are the same.
fn request(index: usize) -> Word {
    (0x9e37_79b9 as Word).wrapping_mul(index as Word + 1)
}

/// Word `index` of the answer.
fn answer(index: usize) -> Word {
    !request(index)
}

/// The objects that the conversation goes through.
pub struct Conversation {
    endpoint: Object,
    notification: Object,
    /// A slot for the capability to be passed, and one for its receiver to have it in.
    slots: vmm::CPtr,
}

impl Conversation {
    /// Makes the objects, and the capability that will be passed.
    pub fn prepare(vmm: &mut Manager) -> Outcome<Conversation> {
        let conversation = Conversation {
            endpoint: vmm.allocate(Blueprint::Endpoint)?,
            notification: vmm.allocate(Blueprint::Notification)?,
            slots: vmm.alloc_slots(2)?,
        };
        let cnode = slot::CNODE.cap();
        let original = cptr(conversation.notification.slot());
        cnode.absolute_cptr(conversation.ticket()).mint(
            &cnode.absolute_cptr(original),
            CapRights::all(),
            TICKET_BADGE,
        )?;
        Ok(conversation)
    }

    /// Starts the second thread and talks to it.
    pub fn hold(&self, thread: &Thread) -> Outcome {
        sel4::with_ipc_buffer_mut(|buffer| buffer.set_user_data(FIRST_MARK));
        let endpoint: cap::Endpoint = cptr(self.endpoint.slot()).cast();
        let arguments = [self.endpoint.slot().bits(), self.received().bits() as usize];
        thread.start(second_thread_entry, arguments)?;

        let info = MessageInfoBuilder::default().length(NUM_MESSAGE_REGISTERS).extra_caps(1);
        sel4::with_ipc_buffer_mut(|buffer| {
            fill(buffer.msg_regs_mut(), request);
            buffer.caps_or_badges_mut()[0] = self.ticket().bits();
        });
        debug_println!("int main(): call seL4_Call");
        let info = endpoint.call(info.build());
        debug_println!("int main(): returned from seL4_Call");
        let words = sel4::with_ipc_buffer(|buffer| count(buffer.msg_regs(), answer));
        let mark = sel4::with_ipc_buffer(|buffer| buffer.user_data());

        let notification: cap::Notification = cptr(self.notification.slot()).cast();
        let ((), badge) = notification.wait();

        check_eq!(info.length(), NUM_MESSAGE_REGISTERS);
        check_eq!(WORDS_RECEIVED.load(Ordering::Relaxed), NUM_MESSAGE_REGISTERS);
        debug_println!("int main() to second_thread_entry(): {words} words, each as sent");
        check_eq!(words, NUM_MESSAGE_REGISTERS);
        debug_println!("second_thread_entry() to int main(): {words} words, each as sent");
        check_eq!(badge, TICKET_BADGE);
        debug_println!(
            "capability passed: from slot {:#x} to slot {:#x}, its receiver signalled badge {badge:#x}",
            self.ticket().bits(),
            self.received().bits(),
        );
        check_eq!(mark, FIRST_MARK);
        // SAFETY: the second thread's buffer is mapped, and it waits by now and for good.
        let second = unsafe { &*(thread.buffer().address() as *const sel4::IpcBuffer) };
        check_eq!(second.user_data(), SECOND_MARK);
        check_eq!(second.msg_regs()[NUM_MESSAGE_REGISTERS - 1], answer(NUM_MESSAGE_REGISTERS - 1));
        Ok(())
    }

    /// Deletes the capabilities and gives everything back.
    pub fn release(self, vmm: &mut Manager) -> Outcome {
        for index in 0..2 {
            let path = vmm.allocator().path(self.slots.offset(index));
            let deleted = vmm.kernel_mut().cnode_delete(path);
            check_eq!(deleted, Ok(()));
        }
        vmm.free_slots(self.slots, 2)?;
        vmm.free(self.notification)?;
        Ok(vmm.free(self.endpoint)?)
    }

    fn ticket(&self) -> CPtr {
        cptr(self.slots)
    }

    fn received(&self) -> CPtr {
        cptr(self.slots.offset(1))
    }
}

sel4::thread_entry! {
    /// The second thread: waits for a message, answers it, and uses the capability that came with
    /// it.
    fn second_thread_entry(endpoint: usize, receive_slot: usize) -> ! {
        let endpoint = cap::Endpoint::from_bits(endpoint as Word);
        let received = CPtr::from_bits(receive_slot as Word);
        sel4::with_ipc_buffer_mut(|buffer| {
            buffer.set_user_data(SECOND_MARK);
            buffer.set_recv_slot(&slot::CNODE.cap().absolute_cptr(received));
        });
        debug_println!("void second_thread_entry(): call seL4_Wait");
        let (info, _) = endpoint.recv(());
        debug_println!("void second_thread_entry(): returned from seL4_Wait, call seL4_Reply");
        if let Err(failure) = check_request(&info) {
            sel4_root_task::abort!("void second_thread_entry(): {failure}");
        }
        sel4::with_ipc_buffer_mut(|buffer| {
            fill(buffer.msg_regs_mut(), answer);
            let info = MessageInfoBuilder::default().length(NUM_MESSAGE_REGISTERS).build();
            sel4::reply(buffer, info);
        });
        debug_println!("void second_thread_entry(): returned from seL4_Reply");
        received.cast::<sel4::cap_type::Notification>().signal();
        loop {
            endpoint.recv(());
        }
    }
}

/// Checks what the second thread received.
fn check_request(info: &sel4::MessageInfo) -> Outcome {
    check_eq!(info.length(), NUM_MESSAGE_REGISTERS);
    check_eq!(info.extra_caps(), 1);
    check_eq!(info.caps_unwrapped(), 0);
    let words = sel4::with_ipc_buffer(|buffer| count(buffer.msg_regs(), request));
    WORDS_RECEIVED.store(words, Ordering::Relaxed);
    check!(words == NUM_MESSAGE_REGISTERS);
    Ok(())
}

fn fill(words: &mut [Word; NUM_MESSAGE_REGISTERS], word: fn(usize) -> Word) {
    words.iter_mut().enumerate().for_each(|(index, place)| *place = word(index));
}

/// How many words are what they should be.
fn count(words: &[Word; NUM_MESSAGE_REGISTERS], word: fn(usize) -> Word) -> usize {
    words.iter().enumerate().filter(|&(index, &found)| found == word(index)).count()
}

fn cptr(cptr: vmm::CPtr) -> CPtr {
    cptr.into()
}
