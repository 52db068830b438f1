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
    /// No colours.
    #[cfg(test)]
    pub(super) const fn none() -> Self {
        Self { on: false }
    }

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

    /// Columns and lines of the terminal, if there is one and it tells.
    pub(super) fn size(&self) -> Option<(usize, usize)> {
        let (width, height) = self.terminal.then(|| terminal_size::terminal_size_of(io::stdout())).flatten()?;
        Some((width.0.into(), height.0.into()))
    }

    /// Prints a line that stays, above the table.
    pub(super) fn say(&mut self, line: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(self.erase().as_bytes())?;
        self.drawn = 0;
        writeln!(out, "{line}")?;
        out.flush()
    }

    /// Draws the table in the place of the one before. What is too wide or too high for the terminal is cut there, since it
    /// would not be erased.
    pub(super) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        // The cursor stands in the line below.
        let most = self.size().map_or(usize::MAX, |(_, height)| height.saturating_sub(1));
        let lines = lines.get(..most).unwrap_or(lines);
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
