//! What our programs can be asked for, by their own word: `--help` of each subcommand, read once.

use std::collections::BTreeMap;
use std::process::Command;

use safeguard_tests::built::program;

/// The programs of the manual.
pub(super) const PROGRAMS: [&str; 3] = ["safeguard-agent", "safeguard-proxy", "safeguard"];

/// A command: what may follow its name.
#[derive(Debug, Default)]
pub(super) struct Cli {
    subcommands: BTreeMap<String, Cli>,
    /// Flags, and the values that one takes: none if it takes no value, an empty list if any.
    flags: BTreeMap<String, Option<Vec<String>>>,
    /// Whether words may follow that are no flags.
    takes_words: bool,
}

impl Cli {
    /// Asks a program for all it can do.
    pub(super) fn of(name: &str) -> Self {
        Self::ask(name, &[])
    }

    fn ask(name: &str, path: &[&str]) -> Self {
        let output = Command::new(program(name)).args(path).arg("--help").output().unwrap();
        assert!(output.status.success(), "{name} {path:?} --help: {}", String::from_utf8_lossy(&output.stderr));
        let mut cli = Self::parse(&String::from_utf8(output.stdout).unwrap());
        for (subcommand, inner) in &mut cli.subcommands {
            *inner = Self::ask(name, &[path, &[subcommand]].concat());
        }
        cli
    }

    /// Reads the text of clap's `--help`, without what subcommands have.
    fn parse(help: &str) -> Self {
        let mut cli = Self::default();
        let mut section = "";
        let mut last = None;
        for line in help.lines() {
            let inner = line.trim_start();
            let depth = line.len() - inner.len();
            if depth == 0 && !line.is_empty() {
                section = line.trim_end_matches(':');
                cli.takes_words |= section == "Arguments";
            } else if section == "Commands" && depth == 2 {
                let name = inner.split_whitespace().next().unwrap_or_default();
                if name != "help" {
                    cli.subcommands.insert(name.to_owned(), Self::default());
                }
            } else if section == "Options" && inner.starts_with("- ") {
                // One of the values that the last flag takes.
                let value = inner.trim_start_matches("- ").split(':').next().unwrap_or_default();
                let flag: Option<&mut Option<Vec<String>>> = last.as_ref().and_then(|flag| cli.flags.get_mut(flag));
                if let Some(Some(values)) = flag {
                    values.push(value.to_owned());
                }
            } else if section == "Options" && inner.starts_with('-') {
                // `-h, --help  Print help`, `--config <FILE>  Settings file`.
                let value = inner.contains('<').then(Vec::new);
                for flag in
                    inner.split([',', ' ']).filter(|word| !word.is_empty()).take_while(|word| word.starts_with('-'))
                {
                    cli.flags.insert(flag.to_owned(), value.clone());
                    last = Some(flag.to_owned());
                }
            }
        }
        cli
    }

    /// What is wrong with a call, given its words.
    pub(super) fn wrong(&self, all: &[String]) -> Option<String> {
        let mut here = self;
        let mut words = all.iter();
        let mut may_descend = true;
        while let Some(word) = words.next() {
            if word.starts_with('-') && word.len() > 1 {
                let (flag, given) = word.split_once('=').map_or((word.as_str(), None), |(flag, v)| (flag, Some(v)));
                let Some(takes) = here.flags.get(flag) else { return Some(format!("there is no {flag}")) };
                if let Some(values) = takes {
                    let Some(value) = given.or_else(|| words.next().map(String::as_str)) else {
                        return Some(format!("{flag} takes a value"));
                    };
                    if !values.is_empty() && !values.iter().any(|known| known == value) {
                        return Some(format!("{flag} takes one of {values:?}, not {value}"));
                    }
                }
            } else if let Some(inner) = here.subcommands.get(word).filter(|_| may_descend) {
                here = inner;
            } else if here.takes_words {
                may_descend = false;
            } else {
                return Some(format!("{word} is no subcommand, and no word may stand there"));
            }
        }
        // A program may be named by itself; a group of subcommands may not.
        let asked = given_help(all);
        let group = !std::ptr::eq(self, here) && !here.takes_words && !asked;
        here.subcommands.keys().next().filter(|_| group).map(|one| format!("a subcommand is missing, such as {one}"))
    }
}

fn given_help(words: &[String]) -> bool {
    words.iter().any(|word| word == "--help" || word == "-h")
}

#[test]
fn a_call_that_no_program_takes_is_found() {
    let inner = "Look\n\nUsage: p check [OPTIONS] [POLICY]...\n\nCommands:\n  diff  What changed\n  help  Print this message\n\n\
                 Arguments:\n  [POLICY]...\n          Policies\n\nOptions:\n      --root <DIR>\n          The root\n      \
                 --format <FORMAT>\n          How\n\n          Possible values:\n          - table: For people\n          \
                 - json:  For programs\n  -h, --help\n          Print help\n";
    let mut cli = Cli::parse(
        "A program\n\nUsage: p <COMMAND>\n\nCommands:\n  check  Look at it\n  logs   Logs\n\nOptions:\n  -h, --help  Print\n",
    );
    cli.subcommands.insert("check".to_owned(), Cli::parse(inner));
    let logs = Cli::parse("Usage: p logs <COMMAND>\n\nCommands:\n  status  Ask\n\nOptions:\n  -h, --help  Print\n");
    cli.subcommands.insert("logs".to_owned(), logs);
    let wrong = |line: &str| cli.wrong(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    for good in ["check", "", "--help", "check a b --root / --format json", "check --root=/ diff", "logs status"] {
        assert_eq!(wrong(good), None, "{good}");
    }
    for (bad, why) in [
        ("chek", "chek is no subcommand"),
        ("check --rot /", "there is no --rot"),
        ("check --root", "--root takes a value"),
        ("check --format xml", "--format takes one of"),
        ("logs status now", "now is no subcommand"),
        ("logs", "a subcommand is missing, such as status"),
    ] {
        assert!(wrong(bad).is_some_and(|said| said.contains(why)), "{bad}: {:?}", wrong(bad));
    }
}
