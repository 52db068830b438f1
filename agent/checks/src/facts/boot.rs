//! The kernel's command line: this boot's, and the next one's.

mod cmdline;
mod grub;

use std::path::Path;

pub(crate) use self::cmdline::CommandLine;
use self::grub::{Grub, TooMany};
use crate::facts::Facts;
use crate::host::Host;
use crate::observed::{Cause, Observed, Unobserved};

/// What the running kernel was started with.
pub(crate) const NOW: &str = "/proc/cmdline";

/// Where GRUB is: on Amazon Linux and Fedora, and on Debian.
const GRUB: [&str; 2] = ["/boot/grub2", "/boot/grub"];

/// What GRUB reads there: its configuration, and the operator's, which that takes in.
const CONFIGURATIONS: [&str; 2] = ["grub.cfg", "custom.cfg"];

/// Where the entries of the Boot Loader Specification are, for GRUB and for systemd-boot.
const ENTRIES: [&str; 3] = ["/boot/loader/entries", "/boot/efi/loader/entries", "/efi/loader/entries"];

/// Where unified kernel images are. Each carries its own command line, which may be signed with it.
const UNIFIED: [&str; 3] = ["/boot/EFI/Linux", "/boot/efi/EFI/Linux", "/efi/EFI/Linux"];

/// Most entries that are looked at.
const MAX_ENTRIES: usize = 200;

/// The kernel's command line: this boot's, and the next one's.
#[derive(Debug)]
pub(crate) struct Boot {
    /// What the running kernel was started with.
    pub(crate) now: Observed<CommandLine>,
    /// All that the boot loader can start, whichever it is going to start; never empty.
    pub(crate) next: Observed<Vec<Entry>>,
}

/// Something that the boot loader can start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The file that says so, and the line.
    pub(crate) source: String,
    /// The command line that the kernel gets.
    pub(crate) line: CommandLine,
}

impl Boot {
    pub(crate) fn gather(facts: &Facts<'_>) -> Observed<Self> {
        let host = facts.host();
        Ok(Self { now: now(host), next: next(host) })
    }
}

fn now(host: &Host) -> Observed<CommandLine> {
    host.live("the running kernel's command line")?;
    let text = host.text(Path::new(NOW))?;
    let text = text.ok_or_else(|| Unobserved::new(Cause::Missing, format!("{NOW}: is not there")))?;
    Ok(CommandLine::parse(&text))
}

fn next(host: &Host) -> Observed<Vec<Entry>> {
    for directory in UNIFIED {
        let images = host.entries(Path::new(directory))?.unwrap_or_default();
        if let Some(image) = images.iter().find(|e| Path::new(&e.name).extension().is_some_and(|e| e == "efi")) {
            let image = Path::new(directory).join(&image.name);
            let why = format!("{}: is a unified kernel image, whose command line is not read", image.display());
            return Err(Unobserved::new(Cause::Missing, why));
        }
    }
    let mut entries = Vec::new();
    let mut with_entries = Vec::new();
    let mut is_grub = false;
    for directory in GRUB {
        for name in CONFIGURATIONS {
            let path = format!("{directory}/{name}");
            let Some(text) = host.text(Path::new(&path))? else { continue };
            is_grub = true;
            let block = host.text(&Path::new(directory).join("grubenv"))?.unwrap_or_default();
            let grub = Grub::parse(&text).with_environment(&block);
            let lines = grub.command_lines().map_err(|TooMany| too_many(&path))?;
            entries.extend(lines.into_iter().map(|(at, line)| Entry::new(format!("{path} line {at}"), &line)));
            with_entries.extend(grub.takes_entries.then_some(grub));
        }
    }
    // systemd-boot has no configuration but the entries.
    if !is_grub {
        with_entries.push(Grub::default());
    }
    for grub in with_entries {
        entries.extend(specified(host, &grub)?);
    }
    match entries.len() {
        0 => Err(Unobserved::new(
            Cause::Missing,
            "/boot: has nothing to boot from that is known here (GRUB, or entries)",
        )),
        1..=MAX_ENTRIES => Ok(entries),
        _ => Err(too_many("/boot")),
    }
}

/// The entries of the Boot Loader Specification, as a GRUB takes them in.
fn specified(host: &Host, grub: &Grub) -> Observed<Vec<Entry>> {
    let mut entries = Vec::new();
    for directory in ENTRIES {
        for name in host.entries(Path::new(directory))?.unwrap_or_default() {
            let path = Path::new(directory).join(name.name);
            if path.extension().is_none_or(|e| e != "conf") {
                continue;
            }
            let source = path.display().to_string();
            let text = host.text(&path)?.unwrap_or_default();
            let options = options(&text)
                .ok_or_else(|| Unobserved::file(&path, "starts something that is no kernel with a command line"))?;
            let lines = grub.options(&options).map_err(|TooMany| too_many(&source))?;
            entries.extend(lines.iter().map(|line| Entry::new(source.clone(), line)));
            if entries.len() > MAX_ENTRIES {
                return Err(too_many(directory));
            }
        }
    }
    Ok(entries)
}

/// All `options` of an entry; `None` if it has no `linux`.
fn options(text: &str) -> Option<String> {
    let fields = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let fields = fields.filter_map(|line| line.split_once(char::is_whitespace)).map(|(key, value)| (key, value.trim()));
    let fields: Vec<(&str, &str)> = fields.collect();
    let of = |wanted: &'static str| fields.iter().filter(move |(key, _)| *key == wanted).map(|(_, value)| *value);
    of("linux").next()?;
    Some(of("options").collect::<Vec<_>>().join(" "))
}

fn too_many(what: &str) -> Unobserved {
    Unobserved::new(Cause::TooMuch, format!("{what}: can start the kernel in more ways than are looked at"))
}

impl Entry {
    fn new(source: String, line: &str) -> Self {
        Self { source, line: CommandLine::parse(line) }
    }
}
