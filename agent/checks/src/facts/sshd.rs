//! What sshd would do: its configuration with `Include` and `Match`, and the options that its unit starts it with.
//!
//! How it is read follows sshd itself (OpenSSH 8.7 to 9.2, `servconf.c`, `misc.c`) and sshd_config(5): the first value of a keyword
//! wins; a `Match` block that matches wins over the global section; an included file's `Match` ends with that file.

mod arguments;
mod include;
mod line;
pub(crate) mod options;
mod value;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::expect::Value;
use crate::facts::Facts;
use crate::host::Host;
use crate::observed::{Cause, Observed, Unobserved};
use options::{Collect, SshdOption, Unwritten};

const CONFIG: &str = "/etc/ssh/sshd_config";
/// Where distributions install the daemon.
const PROGRAMS: &[&str] = &["/usr/sbin/sshd", "/usr/bin/sshd", "/usr/local/sbin/sshd"];
/// What distributions call its unit.
const UNITS: &[&str] = &["sshd.service", "ssh.service"];

/// The deepest `Include` (OpenSSH, servconf.c, `SERVCONF_MAX_DEPTH`).
const MAX_DEPTH: usize = 16;
/// Most files, and most bytes of all of them: an `Include` may name the same file again and again.
const MAX_FILES: usize = 256;
const MAX_BYTES: usize = 4 << 20;
/// Most lines, and most `Match` blocks: each may become evidence. Real hosts have less than a hundredth of it.
const MAX_SETTINGS: usize = 10_000;
const MAX_BLOCKS: usize = 1_000;
/// Longest condition of a block, in characters, that evidence shows.
const MAX_CONDITION: usize = 200;

/// The configuration of sshd.
#[derive(Debug)]
pub(crate) struct Sshd {
    /// What is written, in the order in which sshd reads it; `None` if there is no sshd.
    settings: Option<Vec<Setting>>,
}

/// One line.
#[derive(Debug)]
struct Setting {
    /// In lower case.
    keyword: String,
    arguments: Vec<String>,
    scope: Scope,
    source: Source,
}

/// Where a line stands.
#[derive(Debug, Clone)]
enum Source {
    File {
        path: Rc<Path>,
        line: usize,
    },
    /// An option on the command line of the unit, and where that stands.
    CommandLine(Rc<str>),
}

/// For whom a line counts.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scope {
    /// For everybody, unless a block says otherwise.
    Global,
    /// For everybody, in a block (`Match all`): it wins over the global section.
    All { block: usize },
    /// For connections that match.
    Matching { block: usize, condition: Rc<str> },
}

/// A value that counts for some connections.
#[derive(Debug)]
pub(crate) struct Effective {
    /// Where it is written, and for whom.
    pub(crate) source: String,
    /// The value; `None` if nothing is written and OpenSSH has no default.
    pub(crate) value: Observed<Option<Value>>,
}

impl Sshd {
    pub(crate) fn gather(facts: &Facts<'_>) -> Observed<Self> {
        let host = facts.host();
        if !is_installed(host)? {
            return Ok(Self { settings: None });
        }
        let started = arguments::of_unit(facts, UNITS)?;
        let mut reader = Reader { host, settings: started.settings, blocks: 0, files: 0, bytes: 0 };
        if let Some(config) = started.config.unwrap_or_else(|| Some(PathBuf::from(CONFIG))) {
            reader.file(&config, &Scope::Global, 0)?;
        }
        let mut settings = reader.settings;
        if started.ports_given {
            settings.retain(|s| s.keyword != "port" || matches!(s.source, Source::CommandLine(_)));
        }
        Ok(Self { settings: Some(settings) })
    }

    /// The values of an option that count for somebody; `None` if there is no sshd.
    pub(crate) fn effective(&self, option: &SshdOption) -> Option<Vec<Effective>> {
        let settings = self.settings.as_ref()?;
        let own: Vec<&Setting> = settings.iter().filter(|s| option.is_called(&s.keyword)).collect();
        let groups = match option.collect {
            Collect::First => first_of_each(&own),
            Collect::Append => appended(&own),
            Collect::Disputed => own.iter().map(|setting| vec![*setting]).collect(),
        };
        let for_all = groups.iter().flatten().any(|s| !matches!(s.scope, Scope::Matching { .. }));
        let mut values: Vec<Effective> = groups.into_iter().filter_map(|group| effective(option, &group)).collect();
        if !for_all {
            let source = format!("{}: not written, OpenSSH's default", option.name);
            values.insert(0, Effective { source, value: default(option) });
        }
        Some(values)
    }
}

/// Neither the daemon nor its configuration: then there is no sshd.
fn is_installed(host: &Host) -> Observed<bool> {
    for path in PROGRAMS.iter().chain([&CONFIG]) {
        if host.attributes_of_link(Path::new(path))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The first line of the global section and of each block. Behind a `Match all` nothing counts, neither later blocks nor the
/// global section.
fn first_of_each<'a>(own: &[&'a Setting]) -> Vec<Vec<&'a Setting>> {
    let mut firsts: Vec<&Setting> = Vec::new();
    for setting in own {
        let all_before = firsts.iter().any(|first| matches!(first.scope, Scope::All { .. }));
        let same_before = firsts.iter().any(|first| first.scope == setting.scope);
        if !same_before && (setting.scope == Scope::Global || !all_before) {
            firsts.push(setting);
        }
    }
    if firsts.iter().any(|first| matches!(first.scope, Scope::All { .. })) {
        firsts.retain(|first| first.scope != Scope::Global);
    }
    firsts.into_iter().map(|first| vec![first]).collect()
}

/// All lines of the global section, and all lines of each block.
fn appended<'a>(own: &[&'a Setting]) -> Vec<Vec<&'a Setting>> {
    let mut groups: Vec<Vec<&Setting>> = Vec::new();
    for setting in own {
        match groups.iter_mut().find(|group| group.first().is_some_and(|first| first.scope == setting.scope)) {
            Some(group) => group.push(setting),
            None => groups.push(vec![setting]),
        }
    }
    groups
}

/// The value of lines that count together.
fn effective(option: &SshdOption, group: &[&Setting]) -> Option<Effective> {
    let first = group.first()?;
    let arguments: Vec<String> = group.iter().flat_map(|s| s.arguments.iter().cloned()).collect();
    let place = match &first.source {
        Source::File { path, line } => format!("{}:{line}", path.display()),
        Source::CommandLine(place) => format!("{place} (command line)"),
    };
    let source = match &first.scope {
        Scope::Global => place,
        Scope::All { .. } => format!("{place} (Match all)"),
        Scope::Matching { condition, .. } => format!("{place} (Match {condition})"),
    };
    let value = value::of(option, &arguments)
        .map(Some)
        .map_err(|problem| Unobserved::new(Cause::Parse, format!("{source}: {}: {problem}", option.name)));
    Some(Effective { source, value })
}

fn default(option: &SshdOption) -> Observed<Option<Value>> {
    let words = match option.default {
        Unwritten::Unset => return Ok(None),
        Unwritten::Varies => {
            let why = format!("{}: not written, and its default depends on the version of OpenSSH", option.name);
            return Err(Unobserved::new(Cause::Missing, why));
        }
        Unwritten::Is(words) => words.split(' ').map(str::to_owned).collect::<Vec<_>>(),
    };
    value::of(option, &words).map(Some).map_err(|problem| Unobserved::new(Cause::Parse, problem))
}

/// Reads files into settings.
struct Reader<'a> {
    host: &'a Host,
    settings: Vec<Setting>,
    blocks: usize,
    files: usize,
    bytes: usize,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, base: &Scope, depth: usize) -> Observed<()> {
        if depth > MAX_DEPTH {
            return Err(Unobserved::file(path, "is included more than 16 files deep, which sshd refuses"));
        }
        let text = self.host.text(path)?.ok_or_else(|| {
            Unobserved::new(
                Cause::Missing,
                format!("{}: is not there, and sshd does not start without it", path.display()),
            )
        })?;
        self.files += 1;
        self.bytes += text.len();
        self.bounded(path)?;
        let path: Rc<Path> = path.into();
        let mut scope = base.clone();
        for (index, text) in text.lines().enumerate() {
            let bad = |problem: &str| Unobserved::line(&path, index + 1, problem);
            let Some((keyword, rest)) = line::keyword(text).map_err(bad)? else { continue };
            match keyword.as_str() {
                "match" => {
                    let condition = line::condition(rest).map_err(bad)?;
                    self.blocks += 1;
                    scope = self.narrowed(base, condition);
                }
                "include" => {
                    let patterns =
                        line::arguments(rest).filter(|p| !p.is_empty()).ok_or_else(|| bad("names no file"))?;
                    for pattern in patterns {
                        let named = include::expand(self.host, &pattern).map_err(|why| {
                            Unobserved::new(why.cause, format!("{}: line {}: {why}", path.display(), index + 1))
                        })?;
                        for included in named {
                            self.file(&included, &scope, depth + 1)?;
                        }
                    }
                }
                _ => {
                    let arguments = line::arguments(rest).ok_or_else(|| bad("its quotes do not close"))?;
                    let source = Source::File { path: Rc::clone(&path), line: index + 1 };
                    self.settings.push(Setting { keyword, arguments, scope: scope.clone(), source });
                }
            }
        }
        self.bounded(&path)
    }

    fn bounded(&self, path: &Path) -> Observed<()> {
        let few = self.files <= MAX_FILES && self.blocks <= MAX_BLOCKS && self.settings.len() <= MAX_SETTINGS;
        if few && self.bytes <= MAX_BYTES {
            return Ok(());
        }
        let why =
            format!("{}: with it, sshd's configuration has more files, lines or blocks than are read", path.display());
        Err(Unobserved::new(Cause::TooMuch, why))
    }

    /// For whom a `Match` block counts in a file that itself counts for `base`. `None` is `Match all`.
    fn narrowed(&self, base: &Scope, condition: Option<String>) -> Scope {
        let block = self.blocks;
        match (base, condition) {
            (Scope::Global | Scope::All { .. }, None) => Scope::All { block },
            (Scope::Global | Scope::All { .. }, Some(condition)) => {
                Scope::Matching { block, condition: shown(&condition) }
            }
            (Scope::Matching { condition, .. }, None) => Scope::Matching { block, condition: Rc::clone(condition) },
            (Scope::Matching { condition: outer, .. }, Some(inner)) => {
                Scope::Matching { block, condition: shown(&format!("{outer} and {inner}")) }
            }
        }
    }
}

/// A condition as evidence shows it.
fn shown(condition: &str) -> Rc<str> {
    condition.chars().take(MAX_CONDITION).collect::<String>().into()
}
