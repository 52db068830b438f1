//! A log file with any content, plain or `.gz`. The first two bytes say how it is read.
#![no_main]

use std::io::{Seek, SeekFrom, Write};

use safeguard_logs::fuzzing::{Reading, file};

thread_local! {
    static FILE: std::fs::File = tempfile::tempfile().expect("a temporary file");
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [how, most, content @ ..] = data else { return };
    let reading = Reading {
        gzip: how & 1 != 0,
        splits: how & 2 != 0,
        crashes: how & 4 != 0,
        take: if how & 8 != 0 { usize::from(how >> 4) } else { usize::MAX },
        most: usize::from(*most).max(1),
    };
    FILE.with(|f| {
        let mut f = f.try_clone().expect("a descriptor");
        f.set_len(0).expect("room on the disk");
        f.seek(SeekFrom::Start(0)).expect("the start");
        f.write_all(content).expect("room on the disk");
        file(f, reading);
    });
});
