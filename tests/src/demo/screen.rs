//! Standard output: a table that is drawn over itself on a terminal, plain lines elsewhere.

use std::io::{self, IsTerminal as _, Write as _};

/// Where the demo is shown.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: bool,
    /// Lines of the table that is on the screen.
    drawn: usize,
}

/// Colours, where there are any.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    on: bool,
}

impl Paint {
    pub(super) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    pub(super) fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    pub(super) fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl Screen {
    pub(super) fn new() -> Self {
        Self { terminal: io::stdout().is_terminal(), drawn: 0 }
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    pub(super) fn paint(&self) -> Paint {
        Paint { on: self.terminal }
    }

    /// Prints a line that stays, above the table.
    pub(super) fn say(&mut self, line: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(self.erase().as_bytes())?;
        self.drawn = 0;
        writeln!(out, "{line}")?;
        out.flush()
    }

    /// Draws the table in the place of the one before. Lines that are too long for the terminal are cut there, since
    /// wrapped ones would not be erased.
    pub(super) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let mut text = self.erase();
        text.push_str("\x1b[?7l");
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        text.push_str("\x1b[?7h");
        self.drawn = lines.len();
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Leaves the table where it is; what follows is printed below it.
    pub(super) fn keep(&mut self) {
        self.drawn = 0;
    }

    fn erase(&self) -> String {
        if self.drawn == 0 { String::new() } else { format!("\x1b[{}A\r\x1b[J", self.drawn) }
    }
}
