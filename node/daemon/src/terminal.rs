//! Writing to the terminal: results on stdout, complaints on stderr, and an exit code.

use std::io::{self, ErrorKind, IsTerminal, Write};

/// Exit codes. 64 and 75 are those of sysexits(3).
pub mod exit {
    /// Done.
    pub const OK: u8 = 0;
    /// It did not work.
    pub const FAILED: u8 = 1;
    /// The command line or the settings are wrong; trying again does not help.
    pub const USAGE: u8 = 64;
    /// Another instance runs on this node.
    pub const BUSY: u8 = 75;
}

/// Prints a result; gives the exit code. A reader that has gone (`| head`) is no failure.
#[must_use]
pub fn print(text: &str) -> u8 {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => exit::OK,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => exit::OK,
        Err(error) => complain(exit::FAILED, &format!("cannot write the result: {error}")),
    }
}

/// Says what is wrong, and gives the exit code back. When stderr is gone, too, the code has to do.
#[must_use]
pub fn complain(code: u8, message: &str) -> u8 {
    drop(writeln!(io::stderr().lock(), "{message}"));
    code
}

/// Whether colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether they are.
    pub colour: bool,
}

/// Something is wrong.
pub const RED: &str = "31";
/// It works.
pub const GREEN: &str = "32";
/// Something may be wrong.
pub const YELLOW: &str = "33";
/// A heading.
pub const BOLD: &str = "1";

impl Style {
    /// Colours on a terminal, unless `NO_COLOR` (no-color.org) or `TERM=dumb` speak against it.
    #[must_use]
    pub fn of_stdout() -> Self {
        let wanted = crate::telemetry::colours_wanted(|name| std::env::var_os(name));
        Self { colour: wanted && io::stdout().is_terminal() }
    }

    /// The text in a colour (the number of ECMA-48, Select Graphic Rendition).
    #[must_use]
    pub fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The text without a control character. What others wrote, names of containers and messages of servers, must not reach the
/// terminal as it is.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_others_wrote_moves_the_cursor() {
        assert_eq!(printable("shop\u{1b}[2J\r\nümlaut"), "shop\\u{1b}[2J\\r\\nümlaut");
    }
}
