//! The database of dpkg: `/var/lib/dpkg/status` (deb822(5), dpkg-query(1)).

use std::path::Path;

use super::{MAX_PACKAGES, Package};
use crate::host::Host;
use crate::observed::{Cause, Observed, Unobserved};

const STATUS: &str = "/var/lib/dpkg/status";

/// Most bytes; a desktop has some 10 MiB.
const MAX_STATUS: u64 = 64 << 20;

/// The path of the database and what it lists; `None` if there is none.
pub(super) fn read(host: &Host) -> Observed<Option<(String, Vec<Package>)>> {
    let path = Path::new(STATUS);
    let Some(bytes) = host.bytes(path, MAX_STATUS)? else { return Ok(None) };
    let packages = parse(&bytes).map_err(|(line, problem)| Unobserved::line(path, line, problem))?;
    if packages.len() > MAX_PACKAGES {
        let why = format!("{STATUS}: lists more than {MAX_PACKAGES} packages");
        return Err(Unobserved::new(Cause::TooMuch, why));
    }
    Ok(Some((STATUS.to_owned(), packages)))
}

/// The fields of a paragraph that matter.
#[derive(Default)]
struct Paragraph<'a> {
    name: Option<&'a [u8]>,
    status: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
    /// Whether there was any line.
    begun: bool,
}

/// Pure: the packages of a status file of which files are on the host; an error is a line, counted from 1, and what is wrong with
/// it.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Package>, (usize, &'static str)> {
    let mut packages = Vec::new();
    let mut paragraph = Paragraph::default();
    let mut line_number = 0;
    for line in bytes.split(|b| *b == b'\n') {
        line_number += 1;
        match line {
            [] => {
                packages.extend(paragraph.package().map_err(|problem| (line_number, problem))?);
                paragraph = Paragraph::default();
            }
            // What continues the field before: of those that matter none is continued.
            [b' ' | b'\t', ..] if paragraph.begun => {}
            line => paragraph.field(line).map_err(|problem| (line_number, problem))?,
        }
        if packages.len() > MAX_PACKAGES {
            break;
        }
    }
    packages.extend(paragraph.package().map_err(|problem| (line_number, problem))?);
    Ok(packages)
}

impl<'a> Paragraph<'a> {
    fn field(&mut self, line: &'a [u8]) -> Result<(), &'static str> {
        self.begun = true;
        let colon = line.iter().position(|b| *b == b':').ok_or("is no field")?;
        let (name, value) = line.split_at_checked(colon).ok_or("is no field")?;
        let member = match name {
            _ if name.eq_ignore_ascii_case(b"package") => &mut self.name,
            _ if name.eq_ignore_ascii_case(b"status") => &mut self.status,
            _ if name.eq_ignore_ascii_case(b"version") => &mut self.version,
            _ => return Ok(()),
        };
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        if member.replace(value).is_some() {
            return Err("is a field twice");
        }
        Ok(())
    }

    /// The package, if any of its files are on the host: what was wanted of it (`hold`, `deinstall`) does not matter, only what it is.
    fn package(&self) -> Result<Option<Package>, &'static str> {
        if !self.begun {
            return Ok(None);
        }
        let name = self.name.ok_or("ends a paragraph without Package")?;
        let status = self.status.ok_or("ends a paragraph without Status")?;
        let whole = match status.split(|b| *b == b' ').nth(2).ok_or("ends a paragraph with an odd Status")? {
            b"installed" | b"triggers-pending" | b"triggers-awaited" => true,
            b"unpacked" | b"half-configured" | b"half-installed" => false,
            b"not-installed" | b"config-files" => return Ok(None),
            _ => return Err("ends a paragraph with an odd Status"),
        };
        let text =
            |bytes: &[u8]| std::str::from_utf8(bytes).map(Box::from).map_err(|_| "ends a paragraph that is no text");
        Ok(Some(Package { name: text(name)?, version: text(self.version.unwrap_or_default())?, whole }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STATUS: &str = "Package: bash\nEssential: yes\nStatus: install ok installed\nDescription: shell\n a: b\n .\n\
        Version: 5.2-2\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n\npackage: held\nstatus: hold ok installed\n\
        version: 2:1.0\n\nPackage: broken\nStatus: install reinstreq half-installed\nVersion: 3\n";

    #[test]
    fn what_is_on_the_host_counts_whatever_was_wanted() {
        let seen: Vec<_> =
            parse(STATUS.as_bytes()).unwrap().into_iter().map(|p| (p.name, p.version, p.whole)).collect();
        let wanted = [("bash", "5.2-2", true), ("held", "2:1.0", true), ("broken", "3", false)];
        assert_eq!(seen, wanted.map(|(n, v, w)| (n.into(), v.into(), w)));
    }

    #[test]
    fn what_makes_no_sense_is_named_with_its_line() {
        for (text, line) in [
            ("Package: a\nwhat\n", 2),
            ("Package: a\n\n", 2),
            ("Status: install ok installed\n\n", 2),
            ("Package: a\nPackage: b\n", 2),
            ("Package: a\nStatus: installed\n\n", 3),
            (" continued\n", 1),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err().0, line, "{text}");
        }
        assert_eq!(parse(b"\n\n\n"), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(prop_oneof![Just(b':'), Just(b'\n'), Just(b' '), any::<u8>()], 0..200)) {
            parse(&bytes).ok();
        }
    }
}
