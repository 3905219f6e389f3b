// SPDX-License-Identifier: BSD-2-Clause
//! Parts of an item that are there or not: what stands behind a `#[sel4_cfg(…)]` within it.

use std::iter::Peekable;

use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

use crate::condition::holds;

/// The name of the attribute.
const ATTRIBUTE: &str = "sel4_cfg";

/// What ends a part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A comma outside of brackets: variants and fields.
    Listed,
    /// That, or the block behind `=>`: arms of a match.
    Arms,
}

/// The item, without the parts whose condition does not hold: parts of its last braces, or, of a
/// structure without names, its last parentheses.
///
/// # Errors
/// What is wrong with a condition.
pub fn chosen(item: TokenStream, kind: Kind) -> Result<TokenStream, String> {
    let mut tokens: Vec<TokenTree> = item.into_iter().collect();
    let body = tokens.iter_mut().rev().find_map(|token| match token {
        TokenTree::Group(group) if group.delimiter() != Delimiter::Bracket => Some(group),
        _ => None,
    });
    if let Some(body) = body {
        let mut new = Group::new(body.delimiter(), parts(body.stream(), kind)?);
        new.set_span(body.span());
        *body = new;
    }
    Ok(tokens.into_iter().collect())
}

fn parts(body: TokenStream, kind: Kind) -> Result<TokenStream, String> {
    let mut tokens = body.into_iter().peekable();
    let mut kept = TokenStream::new();
    while tokens.peek().is_some() {
        let mut wanted = true;
        let mut part = Vec::new();
        while is(tokens.peek(), '#') {
            let sharp = tokens.next();
            let attribute = tokens.next();
            match attribute.as_ref().and_then(condition_in) {
                Some(condition) => wanted &= holds(condition)?,
                None => part.extend(sharp.into_iter().chain(attribute)),
            }
        }
        take_part(&mut tokens, kind, &mut part);
        if wanted {
            kept.extend(part);
        }
    }
    Ok(kept)
}

/// Moves one part, with the comma behind it. Commas between angle brackets do not end it.
fn take_part<I: Iterator<Item = TokenTree>>(
    tokens: &mut Peekable<I>,
    kind: Kind,
    part: &mut Vec<TokenTree>,
) {
    let (mut depth, mut behind_arrow) = (0, false);
    while let Some(token) = tokens.next() {
        let after_minus_or_equals = is(part.last(), '-') || is(part.last(), '=');
        let mut ends = false;
        match &token {
            TokenTree::Punct(sign) => match sign.as_char() {
                ',' => ends = depth == 0 || kind == Kind::Arms,
                '<' => depth += 1,
                '>' if after_minus_or_equals => behind_arrow |= is(part.last(), '='),
                '>' => depth -= 1,
                _ => {}
            },
            TokenTree::Group(group) if kind == Kind::Arms && behind_arrow => {
                // `=> { … }` ends an arm; `=> if x { … } else { … }` and the like end with a comma.
                let first = part.len() >= 2 && is(part.last(), '>');
                ends = first && group.delimiter() == Delimiter::Brace && !is(tokens.peek(), '.');
                if ends && is(tokens.peek(), ',') {
                    part.push(token);
                    part.extend(tokens.next());
                    return;
                }
            }
            _ => {}
        }
        part.push(token);
        if ends {
            return;
        }
    }
}

fn is(token: Option<&TokenTree>, sign: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

/// The condition of the attribute in these brackets, if it is this one.
pub fn condition_in(brackets: &TokenTree) -> Option<TokenStream> {
    let TokenTree::Group(brackets) = brackets else { return None };
    let mut inner = brackets.stream().into_iter();
    match (inner.next(), inner.next(), inner.next()) {
        (Some(TokenTree::Ident(name)), Some(TokenTree::Group(condition)), None)
            if name.to_string() == ATTRIBUTE =>
        {
            Some(condition.stream())
        }
        _ => None,
    }
}
