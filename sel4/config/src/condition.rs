// SPDX-License-Identifier: BSD-2-Clause
//! Conditions on the configuration: `KEY`, `KEY = "value"`, `not(…)`, `all(…)`, `any(…)`.

use std::iter::Peekable;

use proc_macro::{Delimiter, Literal, TokenStream, TokenTree};

use crate::configuration;

type Tokens = Peekable<proc_macro::token_stream::IntoIter>;

/// Whether the condition holds.
///
/// # Errors
/// What is wrong with it: its form, or an option that the kernel does not have.
pub fn holds(condition: TokenStream) -> Result<bool, String> {
    let mut all = list(condition)?;
    match (all.pop(), all.is_empty()) {
        (Some(value), true) => Ok(value),
        _ => Err("wanted one condition on the kernel's configuration".to_string()),
    }
}

/// The values of conditions that are separated by commas.
fn list(conditions: TokenStream) -> Result<Vec<bool>, String> {
    let mut tokens = conditions.into_iter().peekable();
    let mut values = Vec::new();
    while tokens.peek().is_some() {
        values.push(one(&mut tokens)?);
        match tokens.next() {
            None => break,
            Some(TokenTree::Punct(comma)) if comma.as_char() == ',' => {}
            Some(other) => return Err(format!("`{other}` is no part of a condition")),
        }
    }
    Ok(values)
}

fn one(tokens: &mut Tokens) -> Result<bool, String> {
    let key = match tokens.next() {
        Some(TokenTree::Ident(key)) => key.to_string(),
        other => return Err(format!("wanted an option of the kernel, found {}", shown(other))),
    };
    match tokens.peek() {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis => {
            let values = list(group.stream())?;
            tokens.next();
            match key.as_str() {
                "not" if values.len() == 1 => Ok(!values[0]),
                "not" => Err("`not` takes one condition".to_string()),
                "all" => Ok(values.into_iter().all(|value| value)),
                "any" => Ok(values.into_iter().any(|value| value)),
                _ => Err(format!("there are `not`, `all` and `any`, and no `{key}`")),
            }
        }
        Some(TokenTree::Punct(sign)) if sign.as_char() == '=' => {
            tokens.next();
            match tokens.next() {
                Some(TokenTree::Literal(value)) => Ok(value_of(&key)? == text_of(&value)),
                other => Err(format!("wanted a value for {key}, found {}", shown(other))),
            }
        }
        _ => switch(&key),
    }
}

/// Whether a switch is set.
pub fn switch(key: &str) -> Result<bool, String> {
    match value_of(key)? {
        "0" | "" => Ok(false),
        "1" => Ok(true),
        other => Err(format!("{key} is no switch: compare it, as in `{key} = \"{other}\"`")),
    }
}

/// The value of an option.
pub fn value_of(key: &str) -> Result<&'static str, String> {
    configuration()
        .iter()
        .find_map(|(name, value)| (*name == key).then_some(*value))
        .ok_or_else(|| format!("the kernel's configuration has no option {key}"))
}

/// A literal as text: without quotes, or a number without its suffix.
fn text_of(literal: &Literal) -> String {
    let text = literal.to_string();
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(text) => text.to_string(),
        None => text.trim_end_matches("usize").to_string(),
    }
}

fn shown(token: Option<TokenTree>) -> String {
    token.map_or("the end".to_string(), |token| format!("`{token}`"))
}
