//! Manual pages and shell completions, made from what the command line says of itself: they cannot say anything else than `--help`.

#![expect(clippy::disallowed_methods, reason = "the files go where whoever makes a package says")]

use std::fs::{create_dir_all, write};
use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::{Shell, generate};
use clap_mangen::Man;

use crate::terminal::{complain, exit, print};

/// System administration (man(1)).
const SECTION: &str = "8";

/// Writes `man8/`, `bash/`, `zsh/` and `fish/` below a directory; gives the exit code.
#[must_use]
pub fn manual(command: Command, dir: &Path) -> u8 {
    match write_all(command, dir) {
        Ok(files) => print(&format!("{files} files below {}\n", dir.display())),
        Err(error) => complain(exit::FAILED, &format!("cannot write below {}: {error}", dir.display())),
    }
}

fn write_all(mut command: Command, dir: &Path) -> io::Result<usize> {
    // `help` is a command too; nobody needs a page of it.
    let mut described = command.clone().disable_help_subcommand(true);
    described.build();
    let mut files = pages(&described, &dir.join("man8"))?;
    let name = command.get_name().to_owned();
    for (shell, file) in
        [(Shell::Bash, name.clone()), (Shell::Zsh, format!("_{name}")), (Shell::Fish, format!("{name}.fish"))]
    {
        let mut script = Vec::new();
        generate(shell, &mut command, &name, &mut script);
        files += put(&dir.join(shell.to_string()), &file, &script)?;
    }
    Ok(files)
}

/// A page of a command, and one of each of its subcommands.
fn pages(command: &Command, dir: &Path) -> io::Result<usize> {
    let page = Man::new(command.clone()).section(SECTION);
    let mut text = Vec::new();
    page.render(&mut text)?;
    let mut files = put(dir, &page.get_filename(), &text)?;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        files += pages(below, dir)?;
    }
    Ok(files)
}

fn put(dir: &Path, file: &str, content: &[u8]) -> io::Result<usize> {
    create_dir_all(dir)?;
    write(dir.join(file), content)?;
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_and_every_shell_its_words() {
        let dir = tempfile::tempdir().unwrap();
        let below = Command::new("redirect").about("Brings them here").subcommand(Command::new("check"));
        let hidden = Command::new("secret").hide(true);
        let command = Command::new("it").about("Does it").version("1.2.3").subcommand(below).subcommand(hidden);
        assert_eq!(manual(command, dir.path()), exit::OK);
        let read = |file: &str| std::fs::read_to_string(dir.path().join(file)).unwrap();
        let pages: Vec<_> =
            std::fs::read_dir(dir.path().join("man8")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(pages.len(), 3, "{pages:?}");
        assert!(read("man8/it.8").contains(".TH it 8"), "{}", read("man8/it.8"));
        assert!(read("man8/it-redirect.8").contains("Brings them here"));
        assert!(read("man8/it-redirect-check.8").contains("it redirect check"));
        for file in ["bash/it", "zsh/_it", "fish/it.fish"] {
            assert!(read(file).contains("redirect"), "{file}");
        }
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        assert_eq!(manual(Command::new("it"), Path::new("/proc/self/nowhere")), exit::FAILED);
    }
}
