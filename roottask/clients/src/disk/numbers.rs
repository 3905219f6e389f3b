// SPDX-License-Identifier: BSD-2-Clause
//! Arguments of the form `name=number`.

/// The number that stands behind `name=` among the words of a program's arguments.
pub fn number_of(arguments: &str, name: &str) -> Option<u32> {
    let mut words = arguments.split_whitespace().filter_map(|word| word.split_once('='));
    words.find(|(found, _)| *found == name).and_then(|(_, number)| number.parse().ok())
}
