// SPDX-License-Identifier: BSD-2-Clause
//! The programs' ELF files. `lib.sh` builds them first, and says where in `VMM_CLIENTS`.

/// Starts all others.
pub static INIT: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/swap-init"));
/// What it starts, by name.
pub static OTHERS: [(&str, &[u8]); 5] = [
    ("disk-driver", include_bytes!(concat!(env!("VMM_CLIENTS"), "/disk-driver"))),
    ("swap-pager", include_bytes!(concat!(env!("VMM_CLIENTS"), "/swap-pager"))),
    ("sorter", include_bytes!(concat!(env!("VMM_CLIENTS"), "/sorter"))),
    ("mapper", include_bytes!(concat!(env!("VMM_CLIENTS"), "/mapper"))),
    ("keeper", include_bytes!(concat!(env!("VMM_CLIENTS"), "/keeper"))),
];
