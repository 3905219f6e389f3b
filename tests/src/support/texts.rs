// SPDX-License-Identifier: BSD-2-Clause
//! What the texts of errors must have in them, for lists of all variants of an enum.

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};

/// An address for errors that have one, as it must not be printed.
const IN_DECIMAL: &str = "11255808";

/// The variants of the enum `name` in `source`, as rustfmt leaves them.
pub fn variants(source: &str, name: &str) -> BTreeSet<String> {
    let (_, behind) = source.split_once(&format!("pub enum {name} {{\n")).expect("there is one");
    let (body, _) = behind.split_once("\n}\n").expect("it ends");
    let indented = body.lines().filter_map(|line| line.strip_prefix("    "));
    let names = indented.filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
    let alone = |line: &str| line.split(|c: char| !c.is_alphanumeric()).next().map(String::from);
    names.filter_map(alone).collect()
}

/// Whether `part` stands in `text` with no letter, digit or underscore beside it.
fn has(text: &str, part: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(part).any(|(at, _)| {
        !text[..at].ends_with(is_word) && !text[at + part.len()..].starts_with(is_word)
    })
}

/// Holds texts to what they must have, and the list to having all variants. The address
/// `0xab_c000` is never in decimal, and a text is one line in words, no value as `Debug` prints a
/// structure.
pub fn hold<E: Debug + Display>(said: &[(E, &[&str])], mut missing: BTreeSet<String>) {
    for (error, parts) in said {
        let (text, debug) = (error.to_string(), format!("{error:?}"));
        for part in *parts {
            assert!(has(&text, part), "{debug}: {part:?} is not in {text:?}");
        }
        assert!(!text.contains(IN_DECIMAL), "{debug}: an address in decimal in {text:?}");
        assert!(!text.contains(['{', '\n']) && text.contains(' '), "{debug}: {text:?}");
        let name = debug.split(|c: char| !c.is_alphanumeric()).next().unwrap_or("");
        missing.remove(name);
    }
    assert!(missing.is_empty(), "nothing says what these must have in them: {missing:?}");
}

#[cfg(test)]
mod tests {
    use super::{has, variants};

    #[test]
    fn variants_are_found() {
        let source = "pub enum Other {\n    Else,\n}\npub enum Error {\n    /// No Such.\n    A(usize),\n    \
                      B {\n        /// It.\n        Cc: u8,\n    },\n    C,\n}\n";
        assert_eq!(variants(source, "Error"), ["A", "B", "C"].map(String::from).into());
        assert!(has("a 12 b", "12") && has("12", "12") && !has("0x12", "12") && !has("123", "12"));
    }
}
