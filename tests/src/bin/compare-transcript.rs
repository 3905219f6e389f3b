// SPDX-License-Identifier: BSD-2-Clause
//! Compares a root task's transcript with the model: `compare-transcript FILE`. See
//! [`vmm_tests::transcript`].

use std::process::ExitCode;

#[cfg(target_pointer_width = "64")]
use vmm_tests::transcript::Transcript;

#[cfg(not(target_pointer_width = "64"))]
fn main() -> ExitCode {
    eprintln!("a host of 64 bits is needed");
    ExitCode::from(2)
}

#[cfg(target_pointer_width = "64")]
fn main() -> ExitCode {
    let Some(file) = std::env::args().nth(1) else {
        eprintln!("usage: compare-transcript FILE");
        return ExitCode::from(2);
    };
    let compared = std::fs::read(&file)
        .map_err(|error| format!("{file}: {error}"))
        .and_then(|bytes| Transcript::parse(&String::from_utf8_lossy(&bytes)))
        .and_then(|transcript| transcript.compare().map_err(|divergence| divergence.to_string()));
    match compared {
        Ok(calls) => {
            println!("the model and the kernel agree on {calls} calls");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
