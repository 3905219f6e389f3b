// SPDX-License-Identifier: BSD-2-Clause
//! Conditions on the configuration: `KEY`, `KEY = "value"`, `true`, `not(…)`, `all(…)`, `any(…)`.

use std::iter::Peekable;

use proc_macro::{Delimiter, Literal, TokenStream, TokenTree};

use crate::{configuration, Setting};

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
            let found = tokens.next();
            match (&found, setting_of(&key)?) {
                (Some(TokenTree::Literal(value)), Setting::Text(text)) => {
                    Ok(text == text_of(value))
                }
                (Some(TokenTree::Ident(word)), Setting::Switch(set)) => {
                    let wanted = bool_of(&word.to_string());
                    wanted.map(|wanted| wanted == set).ok_or_else(|| no_value(&key, found))
                }
                _ => Err(no_value(&key, found)),
            }
        }
        _ => bool_of(&key).map_or_else(|| switch(&key), Ok),
    }
}

/// What is wrong where an option is compared with what it cannot be.
fn no_value(key: &str, found: Option<TokenTree>) -> String {
    let wanted = match setting_of(key) {
        Ok(Setting::Switch(_)) => "true or false, as it is a switch",
        _ => "a value in quotes",
    };
    format!("{key} is compared with {}: wanted {wanted}", shown(found))
}

fn bool_of(word: &str) -> Option<bool> {
    match word {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Whether a switch is set.
pub fn switch(key: &str) -> Result<bool, String> {
    match setting_of(key)? {
        Setting::Switch(set) => Ok(set),
        Setting::Text(text) => {
            Err(format!("{key} is no switch: compare it, as in `{key} = \"{text}\"`"))
        }
    }
}

/// The value of an option that is no switch.
pub fn text(key: &str) -> Result<&'static str, String> {
    match setting_of(key)? {
        Setting::Text(text) => Ok(text),
        Setting::Switch(_) => Err(format!("{key} is a switch: it is `true` or `false`")),
    }
}

/// What an option is set to.
fn setting_of(key: &str) -> Result<Setting, String> {
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
