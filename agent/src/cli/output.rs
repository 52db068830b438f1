//! Writing to the terminal: results on stdout, complaints on stderr.

use std::io::{self, ErrorKind, Write};

use super::exit;

/// Prints a result. A reader that has gone (`| head`) is no failure.
pub(super) fn print(text: &str) -> u8 {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => exit::OK,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => exit::OK,
        Err(error) => complain(exit::FAILED, &format!("cannot write the result: {error}")),
    }
}

/// Says what is wrong, and gives the exit code back. When stderr is gone, too, the code has to do.
pub(super) fn complain(code: u8, message: &str) -> u8 {
    drop(writeln!(io::stderr().lock(), "{message}"));
    code
}
