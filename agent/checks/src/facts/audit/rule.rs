//! Pure: what a line of a rules file says (auditctl(8)).

use super::words::{self, Word};

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A rule.
    Rule(Box<Rule>),
    /// `-D`: no rule from before counts.
    DeleteAll,
    /// `-e`: 0 is off, 1 on, 2 on and locked.
    Enabled(u8),
    /// Something that adds and takes no rule: the size of the backlog, what happens on failure.
    Other,
}

/// A rule.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The file and line.
    pub(crate) source: String,
    /// Whether it goes before all others (`-A`).
    pub(super) prepended: bool,
    /// Which of the kernel's lists it is on.
    pub(crate) list: List,
    /// Whether what fits is kept out (`never`) or recorded.
    pub(crate) never: bool,
    /// System calls; `None` is all of them.
    pub(crate) syscalls: Option<Vec<String>>,
    /// `b64` or `b32`; `None` is both.
    pub(crate) architecture: Option<String>,
    /// The file or directory that it watches.
    pub(crate) target: Option<Target>,
    /// Kinds of access, of `rwxa`; `None` is any.
    pub(crate) permissions: Option<String>,
    /// Everything else that narrows it.
    pub(crate) fields: Vec<Field>,
}

/// Lists of rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum List {
    /// When a system call ends.
    #[default]
    Exit,
    /// When a task begins: `never` here is for all that the task will do.
    Task,
    /// Records that are not written.
    Exclude,
    /// `user`, `filesystem`, `io_uring`.
    Other,
}

/// What a rule watches.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Absolute, without a slash at its end.
    pub(crate) path: String,
    pub(crate) reach: Reach,
}

/// How far a watch goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// `path=`: this file, or the entries of this directory itself.
    One,
    /// `dir=`: everything below.
    Below,
    /// `-w`: everything below if it is a directory.
    Either,
}

/// A condition: `auid>=1000` (`-F`), or `uid!=euid` (`-C`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) operator: String,
    pub(crate) value: String,
}

/// Kinds of access.
const PERMISSIONS: &str = "rwxa";

/// What the kernel's number for "not set" is: `-1` of 32 bits.
const UNSET: &str = "4294967295";

/// What a line says; `None` for an empty line or a comment.
pub(crate) fn parse(line: &str) -> Result<Option<Line>, &'static str> {
    let options = words::options(line)?;
    if options.is_empty() {
        return Ok(None);
    }
    let is = |name: &str| options.iter().any(|word| word.name == name);
    if is("d") || is("W") || (is("D") && options.len() > 1) {
        return Err("takes away single rules, which is not understood");
    }
    if is("a") || is("A") || is("w") {
        return rule(options).map(|rule| Some(Line::Rule(Box::new(rule))));
    }
    let mut said = Line::Other;
    for Word { name, argument } in options {
        match (name.as_str(), argument.as_deref()) {
            ("D", _) => said = Line::DeleteAll,
            ("e", Some(value)) => said = Line::Enabled(enabled(value)?),
            ("f", Some("0" | "1" | "2")) | ("i" | "c" | "t" | "s" | "v" | "l", None) => {}
            ("r" | "b" | "backlog_wait_time", Some(n)) if n.starts_with(|c: char| c.is_ascii_digit()) => {}
            ("q", Some(_)) | ("loginuid-immutable" | "reset-lost" | "reset_backlog_wait_time_actual", None) => {}
            _ => return Err("has an option that makes no sense here"),
        }
    }
    Ok(Some(said))
}

fn enabled(value: &str) -> Result<u8, &'static str> {
    value.parse().ok().filter(|n| *n <= 2).ok_or("-e takes 0, 1 or 2")
}

fn rule(options: Vec<Word>) -> Result<Rule, &'static str> {
    let mut rule = Rule::default();
    let mut lists = 0;
    for Word { name, argument } in options {
        let argument = argument.unwrap_or_default();
        match name.as_str() {
            "a" | "A" => {
                lists += 1;
                rule.prepended = name == "A";
                (rule.list, rule.never) = list_and_action(&argument)?;
            }
            "w" => {
                lists += 1;
                rule.watch(&argument, Reach::Either)?;
            }
            "p" => rule.permissions = Some(permissions(&argument)?),
            "S" => rule.add_syscalls(&argument)?,
            "F" => rule.add_field(&argument)?,
            "C" => rule.fields.push(field(&argument)?),
            "k" => {}
            _ => return Err("has an option that makes no sense in a rule"),
        }
    }
    if lists != 1 {
        return Err("is more than one rule");
    }
    Ok(rule)
}

/// `always,exit`, or the other way round.
fn list_and_action(text: &str) -> Result<(List, bool), &'static str> {
    let (one, other) = text.split_once(',').ok_or("-a takes a list and an action")?;
    let (list, action) = if matches!(one, "always" | "never") { (other, one) } else { (one, other) };
    let never = match action {
        "always" => false,
        "never" => true,
        _ => return Err("-a takes always or never"),
    };
    let list = match list {
        "exit" => List::Exit,
        "task" => List::Task,
        "exclude" => List::Exclude,
        "user" | "filesystem" | "io_uring" => List::Other,
        _ => return Err("-a takes a list that the kernel does not have"),
    };
    Ok((list, never))
}

fn permissions(text: &str) -> Result<String, &'static str> {
    let text = text.to_ascii_lowercase();
    if text.is_empty() || text.len() > PERMISSIONS.len() || !text.chars().all(|c| PERMISSIONS.contains(c)) {
        return Err("permissions are letters of rwxa");
    }
    Ok(text)
}

/// `name OPERATOR value`, both in one spelling.
pub(crate) fn field(text: &str) -> Result<Field, &'static str> {
    let is_operator = |c: char| matches!(c, '!' | '=' | '<' | '>' | '&');
    let at = text.find(is_operator).ok_or("a field has no operator")?;
    let (name, rest) = text.split_at_checked(at).ok_or("a field has no operator")?;
    let value = rest.trim_start_matches(is_operator);
    let operator = rest.strip_suffix(value).unwrap_or_default();
    if name.is_empty() || value.is_empty() || !matches!(operator, "=" | "!=" | "<" | "<=" | ">" | ">=" | "&" | "&=") {
        return Err("a field is no comparison");
    }
    let name = if name == "loginuid" { "auid" } else { name };
    let value = if matches!(value, "unset" | "-1") { UNSET } else { value };
    Ok(Field { name: name.to_owned(), operator: operator.to_owned(), value: value.to_owned() })
}

impl Rule {
    fn watch(&mut self, path: &str, reach: Reach) -> Result<(), &'static str> {
        if self.target.is_some() {
            return Err("watches more than one path");
        }
        if !path.starts_with('/') {
            return Err("a watch has no absolute path");
        }
        let trimmed = path.trim_end_matches('/');
        let path = if trimmed.is_empty() { "/" } else { trimmed };
        self.target = Some(Target { path: path.to_owned(), reach });
        Ok(())
    }

    fn add_syscalls(&mut self, list: &str) -> Result<(), &'static str> {
        for name in list.split(',') {
            if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
                return Err("a system call has no name; numbers are not understood");
            }
            self.syscalls.get_or_insert_default().push(name.to_owned());
        }
        Ok(())
    }

    /// Fields that say what other members say go there; a key narrows nothing.
    fn add_field(&mut self, text: &str) -> Result<(), &'static str> {
        let field = field(text)?;
        match (field.name.as_str(), field.operator.as_str()) {
            ("key", _) => {}
            ("path", "=") => self.watch(&field.value, Reach::One)?,
            ("dir", "=") => self.watch(&field.value, Reach::Below)?,
            ("perm", "=") => self.permissions = Some(permissions(&field.value)?),
            ("arch", "=") => {
                self.architecture = Some(match field.value.as_str() {
                    "b64" | "x86_64" | "aarch64" => "b64".to_owned(),
                    "b32" | "i386" | "i486" | "i586" | "i686" | "arm" => "b32".to_owned(),
                    other => other.to_owned(),
                });
            }
            _ => self.fields.push(field),
        }
        Ok(())
    }

    /// Whether it is for a system call. `-S all` is all of them.
    pub(crate) fn is_for(&self, syscall: &str) -> bool {
        self.is_for_all() || self.syscalls.iter().flatten().any(|name| name == syscall)
    }

    /// Whether it is for all system calls.
    pub(crate) fn is_for_all(&self) -> bool {
        self.syscalls.as_ref().is_none_or(|names| names.iter().any(|name| name == "all"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(line: &str) -> Rule {
        match parse(line).unwrap().unwrap() {
            Line::Rule(rule) => *rule,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_watch_in_both_spellings() {
        let old = parsed("-w /etc/shadow/ -p wa -k identity");
        let new = parsed("-a always,exit -F path=/etc/shadow -F perm=wa -F key=identity");
        assert_eq!(old.target.as_ref().map(|t| t.path.as_str()), Some("/etc/shadow"));
        assert_eq!(old.permissions, new.permissions);
        assert_eq!((old.target.unwrap().reach, new.target.unwrap().reach), (Reach::Either, Reach::One));
        assert_eq!(parsed("-w / -p x").target.unwrap().path, "/");
    }

    #[test]
    fn options_in_any_order_and_lists_of_system_calls() {
        let one = parsed("-a always,exit -F arch=b64 -S adjtimex,settimeofday -S stime -k time");
        let other = parsed("-k time -S adjtimex -Ssettimeofday,stime -F arch=x86_64 -a exit,always");
        assert_eq!(one, other);
        assert_eq!(one.syscalls.as_ref().unwrap().len(), 3);
        assert!(one.is_for("stime") && !one.is_for("stim") && !one.is_for_all());
        assert!(parsed("-a always,exit -S all").is_for_all());
    }

    #[test]
    fn unset_has_one_spelling() {
        for text in ["auid!=unset", "auid!=-1", "auid!=4294967295", "loginuid!=unset"] {
            assert_eq!(field(text).unwrap(), field("auid!=unset").unwrap(), "{text}");
        }
        assert_ne!(field("auid>1000"), field("auid>=1000"));
    }

    #[test]
    fn control_lines() {
        assert_eq!(parse("-D"), Ok(Some(Line::DeleteAll)));
        assert_eq!(parse("-e 2"), Ok(Some(Line::Enabled(2))));
        assert_eq!(parse("-e2"), Ok(Some(Line::Enabled(2))));
        for line in ["-b 8192", "-f 1", "-i", "-c", "-r 100", "--backlog_wait_time 60000", "--loginuid-immutable"] {
            assert_eq!(parse(line), Ok(Some(Line::Other)), "{line}");
        }
        for line in ["", "  # -w /etc/shadow -p wa", "## x", "\r"] {
            assert_eq!(parse(line), Ok(None), "{line}");
        }
    }

    #[test]
    fn what_auditctl_would_refuse_or_is_not_understood() {
        for line in [
            "-Z",
            "w /etc/shadow",
            "-w etc/shadow",
            "-w",
            "-a always",
            "-a always,exit,x",
            "-a maybe,exit",
            "-a always,exit -F auid",
            "-a always,exit -F auid~1",
            "-a always,exit -S 59",
            "-a always,exit -F path=/a -F dir=/b",
            "-w /a -w /b",
            "-w /a -p z",
            "-w\t/etc/shadow",
            "-e 3",
            "-e",
            "-D -k x",
            "-W /etc/shadow",
            "-d always,exit -S open",
            "--unknown",
            "-b many",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(line in "[-awFSkpDe =,!<>&/0-9a-é\\\\]{0,80}") {
            parse(&line).ok();
        }
    }
}
