// SPDX-License-Identifier: BSD-2-Clause
//! Who may answer a call.
//!
//! Without MCS scheduling the kernel keeps the right to answer in the receiving thread itself, so
//! receiving takes no capability for it: `()` is enough.

use crate::{InvocationContext, MessageInfo, NoExplicitInvocationContext};

/// The right to answer, which the receiving thread has by itself after a call was received.
#[derive(Debug)]
pub struct ImplicitReplyAuthority<C = NoExplicitInvocationContext> {
    invocation_context: C,
}

/// The right to answer.
pub type ReplyAuthority<C = NoExplicitInvocationContext> = ImplicitReplyAuthority<C>;

impl<C> ImplicitReplyAuthority<C> {
    /// The right, used through `invocation_context`.
    pub const fn new(invocation_context: C) -> Self {
        Self { invocation_context }
    }
}

impl<C: Default> Default for ImplicitReplyAuthority<C> {
    fn default() -> Self {
        Self::new(C::default())
    }
}

impl<C: InvocationContext> ImplicitReplyAuthority<C> {
    /// Answers the call received last (`seL4_Reply`). Does nothing when there is none.
    #[inline]
    pub fn reply(self, info: MessageInfo) {
        let mut context = self.invocation_context;
        context.with_context_leaf(|ipc_buffer| crate::reply(ipc_buffer, info));
    }
}

/// What can be given to a receiving call as the right to answer.
pub trait ConveysReplyAuthority {
    /// The context that the right is used through.
    type C;

    /// The right.
    fn into_reply_authority(self) -> ReplyAuthority<Self::C>;
}

impl<C> ConveysReplyAuthority for ImplicitReplyAuthority<C> {
    type C = C;

    fn into_reply_authority(self) -> ReplyAuthority<C> {
        self
    }
}

impl ConveysReplyAuthority for () {
    type C = NoExplicitInvocationContext;

    fn into_reply_authority(self) -> ReplyAuthority<Self::C> {
        ReplyAuthority::new(NoExplicitInvocationContext::new())
    }
}
