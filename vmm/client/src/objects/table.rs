// SPDX-License-Identifier: BSD-2-Clause
//! The macro that makes an enum of a table of messages, with how each is written and read.

/// Defines an enum whose variants are messages: `number Name { fields } [capabilities that are
/// due]`. Both directions are made of the same line, so they cannot differ.
macro_rules! messages {
    (
        $(#[$about:meta])*
        $enum:ident { $(
            $(#[$doc:meta])*
            $number:literal $name:ident { $( $(#[$field_doc:meta])* $field:ident: $type:ty, )* }
            $( [ $($due:expr),* ] )?
        )* }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[non_exhaustive]
        pub enum $enum { $(
            $(#[$doc])*
            $name { $( $(#[$field_doc])* $field: $type, )* },
        )* }

        impl $enum {
            /// The numbers of all of them.
            pub const NUMBERS: &[u32] = &[$($number),*];

            /// What they are called, in the same order.
            pub const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// What it is called.
            pub const fn name(&self) -> &'static str {
                match self { $( $enum::$name { .. } => stringify!($name), )* }
            }

            /// The message of it.
            pub fn encode(&self) -> Message {
                let mut words = Writer::new();
                let number = match self { $(
                    $enum::$name { $($field),* } => {
                        $( Field::put($field, &mut words); )*
                        $number
                    }
                )* };
                words.finish(label(number))
            }

            /// What a message says.
            ///
            /// # Errors
            /// What is wrong with the message.
            pub fn parse(label: u32, words: &[usize]) -> Result<$enum, Malformed> {
                let mut words = Reader::new(words);
                let message = match number(label)? {
                    $( $number => $enum::$name { $( $field: Field::take(&mut words)?, )* }, )*
                    _ => return Err(Malformed::Number),
                };
                words.end().map(|()| message)
            }

            $crate::objects::table::dues! {
                $enum: $( $name $( [ $($due),* ] )? ),*
            }
        }
    };
}

/// Defines the look-up of the capabilities that are due, where a table lists them.
macro_rules! dues {
    ($enum:ident: $( $name:ident [ $($due:expr),* ] ),*) => {
        /// The capabilities that are due with it, in their order.
        pub const fn due(&self) -> &'static [Due] {
            match self { $( $enum::$name { .. } => const { &[$($due),*] }, )* }
        }
    };
    ($enum:ident: $( $name:ident ),*) => {};
}

pub(super) use {dues, messages};
