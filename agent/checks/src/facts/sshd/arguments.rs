//! The options on the command line that sshd's unit starts it with: they come before the configuration (sshd(8)).

use std::path::PathBuf;
use std::rc::Rc;

use super::{Scope, Setting, Source, line};
use crate::facts::Facts;
use crate::observed::{Cause, Observed, Unobserved};

/// Options with an argument, and those without one that change nothing here (OpenSSH, sshd.c).
const WITH_ARGUMENT: &str = "CEbcfghkopu";
const WITHOUT: &str = "46DGQRTdeiqrtV";

/// What a command line says.
#[derive(Debug, Default)]
pub(super) struct Started {
    /// Settings, in their order.
    pub(super) settings: Vec<Setting>,
    /// `-f FILE`, where `none` is no file at all; not given, the usual one.
    pub(super) config: Option<Option<PathBuf>>,
    /// `-p PORT`: then ports of the configuration do not count.
    pub(super) ports_given: bool,
}

/// The command line of the first of these units that is there.
pub(super) fn of_unit(facts: &Facts<'_>, names: &[&str]) -> Observed<Started> {
    let units = facts.units().as_ref().map_err(Clone::clone)?;
    for name in names {
        let Some(unit) = units.find(facts.host(), name)? else { continue };
        let commands = unit.commands(facts.host(), "ExecStart")?;
        let Some((place, words)) = commands.last() else { continue };
        let bad = |problem: &str| Unobserved::new(Cause::Parse, format!("{place}: {problem}"));
        let (program, arguments) = words.split_first().ok_or_else(|| bad("starts nothing"))?;
        if program.rsplit('/').next() != Some("sshd") {
            return Err(bad("starts another program, so sshd's options are not known"));
        }
        return parse(arguments, place).map_err(|problem| bad(&problem));
    }
    Ok(Started::default())
}

/// Pure: the arguments of sshd.
fn parse(arguments: &[String], place: &str) -> Result<Started, String> {
    let mut started = Started::default();
    let place: Rc<str> = place.into();
    let mut set = |keyword: &str, arguments: Vec<String>| {
        let source = Source::CommandLine(Rc::clone(&place));
        started.settings.push(Setting { keyword: keyword.to_owned(), arguments, scope: Scope::Global, source });
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut letters = word.strip_prefix('-').filter(|rest| !rest.is_empty()).unwrap_or_default().chars();
        if letters.as_str().is_empty() {
            return Err(format!("sshd takes no argument {word}"));
        }
        while let Some(letter) = letters.next() {
            if WITHOUT.contains(letter) {
                match letter {
                    '4' => set("addressfamily", vec!["inet".to_owned()]),
                    '6' => set("addressfamily", vec!["inet6".to_owned()]),
                    _ => {}
                }
                continue;
            }
            if !WITH_ARGUMENT.contains(letter) {
                return Err(format!("sshd knows no option -{letter}"));
            }
            let attached = letters.as_str();
            letters = "".chars();
            let value = if attached.is_empty() { words.next().map(String::as_str) } else { Some(attached) };
            let value = value.ok_or_else(|| format!("-{letter} has no argument"))?;
            match letter {
                'o' => {
                    let parsed = line::keyword(value).ok().flatten();
                    let parsed = parsed.and_then(|(keyword, rest)| Some((keyword, line::arguments(rest)?)));
                    let (keyword, arguments) = parsed.ok_or_else(|| format!("-o {value} is no setting"))?;
                    set(&keyword, arguments);
                }
                'g' => set("logingracetime", vec![value.to_owned()]),
                'h' => set("hostkey", vec![value.to_owned()]),
                'p' => {
                    set("port", vec![value.to_owned()]);
                    started.ports_given = true;
                }
                'f' if value.eq_ignore_ascii_case("none") => started.config = Some(None),
                'f' if value.starts_with('/') => started.config = Some(Some(PathBuf::from(value))),
                'f' => return Err(format!("-f {value} is no absolute path")),
                _ => {}
            }
        }
    }
    Ok(started)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(line: &str) -> Result<Started, String> {
        parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), "unit:1")
    }

    #[test]
    fn options_become_settings() {
        let started = parsed("-D -oPermitRootLogin=no -o X11Forwarding=yes -4e -p 2222 -g 1m -f /etc/other").unwrap();
        let settings: Vec<_> = started.settings.iter().map(|s| (s.keyword.as_str(), s.arguments.join(" "))).collect();
        let wanted = [
            ("permitrootlogin", "no"),
            ("x11forwarding", "yes"),
            ("addressfamily", "inet"),
            ("port", "2222"),
            ("logingracetime", "1m"),
        ];
        assert_eq!(settings, wanted.map(|(k, v)| (k, v.to_owned())));
        assert!(started.ports_given);
        assert_eq!(started.config, Some(Some(PathBuf::from("/etc/other"))));
        assert_eq!(parsed("-D -f none").unwrap().config, Some(None));
    }

    #[test]
    fn what_sshd_would_refuse_is_refused() {
        for line in ["-Z", "-o", "-o PermitRootLogin", "extra", "-", "-f relative"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(line in "[-oDfpg46 ='a\"é]{0,60}") {
            parsed(&line).ok();
        }
    }
}
