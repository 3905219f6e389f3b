// SPDX-License-Identifier: BSD-2-Clause
//! The attribute `#[root_task]`; use it through `sel4_root_task`, where it is documented.

use proc_macro::{Delimiter, Group, Ident, Punct, Spacing, Span, TokenStream, TokenTree};

/// Makes a function the root task's main: see `sel4_root_task::root_task`.
#[proc_macro_attribute]
pub fn root_task(attr: TokenStream, item: TokenStream) -> TokenStream {
    let Some(name) = function_name(item.clone()) else {
        return compile_error("#[root_task] goes on a function");
    };
    let arguments = match check_arguments(attr) {
        Ok(arguments) => arguments,
        Err(message) => return compile_error(message),
    };

    // ::sel4_root_task::declare_root_task! { main = NAME, ARGUMENTS }
    let mut declaration = TokenStream::new();
    declaration.extend([ident("main"), punct('='), TokenTree::Ident(name)]);
    if !arguments.is_empty() {
        declaration.extend([punct(',')]);
        declaration.extend(arguments);
    }
    let mut out = item;
    out.extend([
        joint_colon(),
        punct(':'),
        ident("sel4_root_task"),
        joint_colon(),
        punct(':'),
        ident("declare_root_task"),
        punct('!'),
        TokenTree::Group(Group::new(Delimiter::Brace, declaration)),
    ]);
    out
}

/// The name behind the keyword `fn`.
fn function_name(item: TokenStream) -> Option<Ident> {
    let mut tokens = item.into_iter();
    tokens.find(|token| matches!(token, TokenTree::Ident(word) if word.to_string() == "fn"))?;
    match tokens.next()? {
        TokenTree::Ident(name) => Some(name),
        _ => None,
    }
}

/// Sees to it that the arguments are `stack_size = …` and `heap_size = …`, at most once each and in
/// that order, so that a mistake is reported here and not deep inside a macro.
fn check_arguments(attr: TokenStream) -> Result<TokenStream, &'static str> {
    const USAGE: &str =
        "#[root_task] takes `stack_size = …` and `heap_size = …`, in this order, each optional";
    let mut allowed = ["stack_size", "heap_size"].into_iter();
    let mut tokens = attr.clone().into_iter().peekable();
    while tokens.peek().is_some() {
        let Some(TokenTree::Ident(key)) = tokens.next() else {
            return Err(USAGE);
        };
        if !allowed.any(|name| key.to_string() == name) {
            return Err(USAGE);
        }
        if !matches!(tokens.next(), Some(TokenTree::Punct(p)) if p.as_char() == '=') {
            return Err(USAGE);
        }
        if tokens.peek().is_none() {
            return Err(USAGE);
        }
        // Groups are single tokens, so a comma at this level ends the expression, unless it stands
        // between the angle brackets of a path; such an expression wants parentheses.
        tokens.by_ref().find(|token| matches!(token, TokenTree::Punct(p) if p.as_char() == ','));
    }
    Ok(attr)
}

fn ident(name: &str) -> TokenTree {
    TokenTree::Ident(Ident::new(name, Span::call_site()))
}

fn punct(c: char) -> TokenTree {
    TokenTree::Punct(Punct::new(c, Spacing::Alone))
}

fn joint_colon() -> TokenTree {
    TokenTree::Punct(Punct::new(':', Spacing::Joint))
}

fn compile_error(message: &str) -> TokenStream {
    format!("::core::compile_error!({message:?});").parse().expect("the text is Rust")
}
