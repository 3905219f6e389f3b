// SPDX-License-Identifier: BSD-2-Clause
//! What `run.sh --device` says of the machine, as the root task reads it.

#[path = "../../roottask/src/device_words.rs"]
mod device_words;

use device_words::{DeviceError, MAX_DEVICES, Wanted, parse};

/// A204 A261
#[test]
fn words_name_ports_lines_and_rights() {
    for (text, wanted) in [
        ("ports=0x1f0-0x1f7", Wanted::Ports(0x1f0, 0x1f7)),
        ("ports=0-65535", Wanted::Ports(0, 65535)),
        ("ports=0x3f6-1014", Wanted::Ports(0x3f6, 0x3f6)),
        ("irq=0", Wanted::Line(0)),
        ("irq=0xf", Wanted::Line(15)),
        ("memory=0xb8000:0x8000", Wanted::Memory(0xb8000, 8)),
        ("memory=753664:262144", Wanted::Memory(0xb8000, 64)),
        ("memory=0xfffff000:4096", Wanted::Memory(0xffff_f000, 1)),
        ("physical", Wanted::Physical),
        ("ide", Wanted::Ide),
    ] {
        assert_eq!(parse(1, text), Ok(wanted), "{text}");
    }
}

/// A204
#[test]
fn words_that_name_nothing_are_refused() {
    let (unknown, none) = (DeviceError::Unknown { word: 7 }, DeviceError::NoNumber { word: 7 });
    for (text, error) in [
        ("", unknown),
        ("IDE", unknown),
        ("ide=0", unknown),
        ("port=1-2", unknown),
        ("ports", unknown),
        ("ports=", none),
        ("ports=1", none),
        ("ports=1-", none),
        ("ports=-1", none),
        ("ports=1-65536", none),
        ("ports=0x1f0-0x1g7", none),
        ("ports=1-2-3", none),
        ("ports=8-7", DeviceError::Backwards { first: 8, last: 7 }),
        ("memory", unknown),
        ("memory=0xb8000", none),
        ("memory=:4096", none),
        ("memory=0xb8000:", none),
        ("memory=0xb8000:-4096", none),
        ("memory=0xb8000:4095", DeviceError::NoMemory { address: 0xb8000, bytes: 4095 }),
        ("memory=0xb8800:4096", DeviceError::NoMemory { address: 0xb8800, bytes: 4096 }),
        ("memory=0xb8000:0", DeviceError::NoMemory { address: 0xb8000, bytes: 0 }),
        ("memory=0:0x100000000000", DeviceError::NoMemory { address: 0, bytes: 1 << 44 }),
        (
            "memory=0xfffffffffffff000:8192",
            DeviceError::NoMemory { address: 0xffff_ffff_ffff_f000, bytes: 8192 },
        ),
        ("irq=", none),
        ("irq=-1", none),
        ("irq=256", none),
        ("irq=2", DeviceError::NoLine { line: 2 }),
        ("irq=16", DeviceError::NoLine { line: 16 }),
    ] {
        assert_eq!(parse(7, text), Err(error), "{text:?}");
    }
}

#[test]
fn refusals_say_what_there_could_be() {
    let most = MAX_DEVICES.to_string();
    for (error, said) in [
        (DeviceError::Unknown { word: 7 }, vec!["device 7", "ports=FIRST-LAST", "ide"]),
        (DeviceError::NoNumber { word: 7 }, vec!["device 7", "number"]),
        (DeviceError::Backwards { first: 0x1f7, last: 0x1f0 }, vec!["0x1f7", "0x1f0", "before"]),
        (DeviceError::NoLine { line: 16 }, vec!["line 16", "0 to 15", "without 2"]),
        (
            DeviceError::NoMemory { address: 0xb8001, bytes: 4096 },
            vec!["4096 bytes", "0xb8001", "whole pages of 4096"],
        ),
        (DeviceError::NoController, vec!["IDE", "bus master"]),
        (DeviceError::TooMany, vec![&most, "devices"]),
    ] {
        let text = error.to_string();
        assert!(said.iter().all(|part| text.contains(part)), "{text}");
    }
}
