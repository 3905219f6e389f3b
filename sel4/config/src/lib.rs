// SPDX-License-Identifier: BSD-2-Clause
//! Macros that choose code by the kernel's configuration. Use them through the crate `sel4`, which
//! shows them as its own; names and syntax are rust-sel4's.
//!
//! A condition is an option's name without its `CONFIG_` (`PRINTING`), which must be a switch;
//! `NAME = "value"` for text and numbers (beyond upstream `NAME = 64`, too); `NAME = true` for a
//! switch; `true` or `false`; or `not(…)`, `all(…)`, `any(…)` of conditions. An option that the
//! kernel's configuration does not have, or that is compared with what it cannot be, is a compile
//! error:
//!
//! ```
//! # use sel4_config::{sel4_cfg, sel4_cfg_bool};
//! #[sel4_cfg(all(WORD_SIZE = "64", KERNEL_MCS = false))]
//! const WORD_BYTES: usize = 8;
//! #[sel4_cfg(not(WORD_SIZE = "64"))]
//! const WORD_BYTES: usize = 4;
//! assert_eq!(WORD_BYTES, 8);
//! assert!(sel4_cfg_bool!(PRINTING) && !sel4_cfg_bool!(KERNEL_MCS));
//! ```
//!
//! ```compile_fail
//! #[sel4_config::sel4_cfg(NO_SUCH_OPTION)]
//! struct Item;
//! ```
//!
//! ```compile_fail
//! #[sel4_config::sel4_cfg(PRINTING = "1")] // a switch is no text
//! struct Item;
//! ```
//!
//! ```compile_fail
//! #[sel4_config::sel4_cfg(WORD_SIZE)] // nor is a number a switch
//! struct Item;
//! ```
//!
//! ```compile_fail
//! #[sel4_config::sel4_cfg(WORD_SIZE = true)]
//! struct Item;
//! ```
//!
//! ```compile_fail
//! const SWITCH: usize = sel4_config::sel4_cfg_usize!(PRINTING);
//! ```
//!
//! ```text
//!   build.rs       the configuration as a table, from $SEL4_PREFIX/interface.json
//!   condition.rs   whether a condition holds
//!   parts.rs       variants, fields and arms that are there or not
//! ```

mod condition;
mod parts;

use proc_macro::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

use condition::{holds, switch, text};
use parts::{chosen, condition_in, Kind};

/// What an option is set to.
#[derive(Clone, Copy)]
enum Setting {
    Switch(bool),
    /// Or a number.
    Text(&'static str),
}

/// The options and what they are set to.
fn configuration() -> &'static [(&'static str, Setting)] {
    include!(concat!(env!("OUT_DIR"), "/table.rs"))
}

/// What the macro gives, or a compile error that says what is wrong.
fn or_error(made: Result<TokenStream, String>) -> TokenStream {
    made.unwrap_or_else(|message| {
        let text = TokenTree::Literal(Literal::string(&message));
        let arguments = TokenTree::Group(Group::new(Delimiter::Parenthesis, text.into()));
        let mut error: TokenStream = "::core::compile_error!".parse().expect("it is Rust");
        error.extend([arguments, TokenTree::Punct(Punct::new(';', Spacing::Alone))]);
        error
    })
}

/// Keeps the item behind it where the condition holds: `#[sel4_cfg(KERNEL_MCS)]`.
#[proc_macro_attribute]
pub fn sel4_cfg(condition: TokenStream, item: TokenStream) -> TokenStream {
    or_error(holds(condition).map(|holds| if holds { item } else { TokenStream::new() }))
}

/// Puts attributes before the item where the condition holds:
/// `#[sel4_cfg_attr(PRINTING, allow(dead_code))]`.
#[proc_macro_attribute]
pub fn sel4_cfg_attr(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut parts: Vec<TokenStream> = vec![TokenStream::new()];
    for token in arguments {
        match &token {
            TokenTree::Punct(comma) if comma.as_char() == ',' => parts.push(TokenStream::new()),
            _ => parts.last_mut().expect("there is one").extend([token]),
        }
    }
    let attributes = parts.split_off(1);
    or_error(holds(parts.remove(0)).map(|holds| {
        let mut out = TokenStream::new();
        for attribute in attributes.into_iter().filter(|it| holds && !it.is_empty()) {
            let brackets = TokenTree::Group(Group::new(Delimiter::Bracket, attribute));
            out.extend([TokenTree::Punct(Punct::new('#', Spacing::Alone)), brackets]);
        }
        out.extend(item);
        out
    }))
}

/// Lets variants of an enum have `#[sel4_cfg(…)]`.
#[proc_macro_attribute]
pub fn sel4_cfg_enum(_: TokenStream, item: TokenStream) -> TokenStream {
    or_error(chosen(item, Kind::Listed))
}

/// Lets fields of a structure have `#[sel4_cfg(…)]`.
#[proc_macro_attribute]
pub fn sel4_cfg_struct(_: TokenStream, item: TokenStream) -> TokenStream {
    or_error(chosen(item, Kind::Listed))
}

/// Lets the arms of the `match` within have `#[sel4_cfg(…)]`.
#[proc_macro]
pub fn sel4_cfg_wrap_match(item: TokenStream) -> TokenStream {
    or_error(chosen(item, Kind::Arms))
}

/// Takes the first block whose condition holds:
/// `sel4_cfg_if! { if #[sel4_cfg(PRINTING)] { … } else if #[sel4_cfg(…)] { … } else { … } }`.
/// Blocks may hold items, an expression or a type.
#[proc_macro]
pub fn sel4_cfg_if(blocks: TokenStream) -> TokenStream {
    or_error(first_block(blocks))
}

fn first_block(blocks: TokenStream) -> Result<TokenStream, String> {
    const FORM: &str =
        "wanted `if #[sel4_cfg(…)] { … }`, then `else if #[sel4_cfg(…)] { … }`, then `else { … }`";
    let mut tokens = blocks.into_iter();
    let mut found = None;
    loop {
        // Behind `else`, or at the start: `if` and a condition, or the last block.
        let (holds, block) = match tokens.next() {
            Some(TokenTree::Ident(word)) if word.to_string() == "if" => {
                let attribute = tokens.nth(1).as_ref().and_then(condition_in);
                (holds(attribute.ok_or(FORM)?)?, tokens.next())
            }
            other => (true, other),
        };
        match block {
            Some(TokenTree::Group(block)) if block.delimiter() == Delimiter::Brace => {
                if holds && found.is_none() {
                    found = Some(block.stream());
                }
            }
            _ => return Err(FORM.to_string()),
        }
        match tokens.next() {
            None => return Ok(found.unwrap_or_default()),
            Some(TokenTree::Ident(word)) if word.to_string() == "else" => {}
            Some(_) => return Err(FORM.to_string()),
        }
    }
}

/// The one option that the macros below are given.
fn option(name: TokenStream) -> Result<String, String> {
    let mut tokens = name.into_iter();
    match (tokens.next(), tokens.next()) {
        (Some(TokenTree::Ident(name)), None) => Ok(name.to_string()),
        _ => Err("wanted the name of one option of the kernel's configuration".to_string()),
    }
}

fn number(name: TokenStream) -> Result<u64, String> {
    let key = option(name)?;
    text(&key)?.parse().map_err(|_| format!("{key} is no number"))
}

/// Whether an option, which is a switch, is set.
#[proc_macro]
pub fn sel4_cfg_bool(name: TokenStream) -> TokenStream {
    or_error(option(name).and_then(|key| switch(&key)).map(|set| {
        TokenTree::Ident(Ident::new(if set { "true" } else { "false" }, Span::call_site())).into()
    }))
}

/// The value of an option, which is no switch, as text.
#[proc_macro]
pub fn sel4_cfg_str(name: TokenStream) -> TokenStream {
    let value = option(name).and_then(|key| text(&key));
    or_error(value.map(|value| TokenTree::Literal(Literal::string(value)).into()))
}

/// The value of an option as a `usize`.
#[proc_macro]
pub fn sel4_cfg_usize(name: TokenStream) -> TokenStream {
    or_error(
        number(name)
            .map(|number| TokenTree::Literal(Literal::usize_suffixed(number as usize)).into()),
    )
}

/// The value of an option as a number of whatever type is wanted: a machine word, say.
#[proc_macro]
pub fn sel4_cfg_word(name: TokenStream) -> TokenStream {
    or_error(number(name).map(|number| TokenTree::Literal(Literal::u64_unsuffixed(number)).into()))
}

/// All options as constants: switches as `bool`, all else as text. For the crate `sel4`.
#[doc(hidden)]
#[proc_macro]
pub fn all_constants(_: TokenStream) -> TokenStream {
    let mut out = String::new();
    for (name, setting) in configuration() {
        out.push_str(&match setting {
            Setting::Switch(set) => format!("pub const {name}: bool = {set};\n"),
            Setting::Text(text) => format!("pub const {name}: &str = {text:?};\n"),
        });
    }
    or_error(out.parse().map_err(|_| "the kernel's configuration is not usable".to_string()))
}
