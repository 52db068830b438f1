//! The database of rpm, in SQLite.
//!
//! It has tens of megabytes and is read page by page, a few pages for each package: neither the database nor a library for it is in
//! memory. What another process has written to the write-ahead log counts, although nothing is written here.

mod header;
mod sqlite;
mod wal;

use std::path::{Path, PathBuf};

use super::{MAX_PACKAGES, Package};
use crate::host::Host;
use crate::observed::{Cause, Observed, Unobserved};
use header::Header;
use sqlite::{Database, Failure};
use wal::Wal;

/// Where it is: first where Fedora 36 and later have it, then where Amazon Linux 2023 has.
const DIRECTORIES: &[&str] = &["/usr/lib/sysimage/rpm", "/var/lib/rpm"];
const DATABASE: &str = "rpmdb.sqlite";
/// Formats of earlier versions: Berkeley DB and ndb.
const OLDER: &[&str] = &["Packages", "Packages.db"];

/// The table with one row for each package (rpm, lib/backend/sqlite.c).
const TABLE: &str = "Packages";

/// How much of a row is read at first: it holds names and versions of almost all packages.
const FIRST_READ: usize = 4_096;

/// How often everything is read again if it changed meanwhile.
const TRIES: usize = 3;

/// How a journal begins that has to be played back first (SQLite, "The Rollback Journal").
const HOT_JOURNAL: &[u8] = &[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// The path of the database and what it lists; `None` if there is none.
pub(super) fn read(host: &Host) -> Observed<Option<(String, Vec<Package>)>> {
    for dir in DIRECTORIES {
        let path = Path::new(dir).join(DATABASE);
        for _ in 0..TRIES {
            let before = state(host, &path)?;
            if before.is_none() {
                break;
            }
            let packages = packages(host, &path);
            // An error may be no more than a change.
            if state(host, &path)? == before {
                return packages.map(|packages| Some((path.display().to_string(), packages)));
            }
        }
        if state(host, &path)?.is_some() {
            let why = format!("{}: changes faster than it can be read", path.display());
            return Err(Unobserved::new(Cause::Changing, why));
        }
        for older in OLDER {
            let path = Path::new(dir).join(older);
            if host.attributes(&path)?.is_some() {
                return Err(Unobserved::file(&path, "is a database of an rpm before 4.16, which is not read"));
            }
        }
    }
    Ok(None)
}

/// What changes when the database or its log does; `None` if there is no database.
fn state(host: &Host, path: &Path) -> Observed<Option<impl PartialEq>> {
    let changes = |path: &Path| Ok::<_, Unobserved>(host.attributes(path)?.map(|a| (a.id, a.size, a.modified_ns)));
    Ok(changes(path)?.map(|database| (database, changes(&beside(path, "-wal")))))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn packages(host: &Host, path: &Path) -> Observed<Vec<Package>> {
    let failed = |failure: Failure| match failure {
        Failure::Malformed(problem) => Unobserved::file(path, problem),
        Failure::TooMuch => Unobserved::new(Cause::TooMuch, format!("{}: is more than is read", path.display())),
        Failure::Io(error) => Unobserved::new(Cause::Io, format!("cannot read {}: {error}", path.display())),
    };
    if let Some(journal) = host.open(&beside(path, "-journal"))? {
        let mut beginning = [0; HOT_JOURNAL.len()];
        if super::bytes::Bytes::read_at(&journal, 0, &mut beginning).is_ok() && beginning == HOT_JOURNAL {
            return Err(Unobserved::new(Cause::Changing, format!("{}: a change of it was cut short", path.display())));
        }
    }
    let Some(main) = host.open(path)? else { return Ok(Vec::new()) };
    let log = host.open(&beside(path, "-wal"))?;
    let log = log.map(|log| Ok((Wal::read(&log)?, log))).transpose().map_err(failed)?;
    let log = log.and_then(|(wal, file)| Some((wal?, file)));
    let log = log.as_ref().map(|(wal, file)| (wal, file));
    let database = Database::open(&main, log).map_err(failed)?;
    listed(&database).map_err(failed)
}

/// Every package of the table.
fn listed<B: super::bytes::Bytes + ?Sized>(database: &Database<'_, B>) -> Result<Vec<Package>, Failure> {
    let root = database.table(TABLE)?.ok_or(Failure::Malformed("has no table of packages"))?;
    let mut packages = Vec::new();
    database.rows(root, |row| {
        let (mut wanted, total) = (FIRST_READ, row.blob_length()?);
        loop {
            let beginning = row.blob(wanted.min(total))?;
            match header::parse(&beginning) {
                Header::Package(package) => break packages.push(package),
                Header::Longer(length) if length <= total => wanted = length,
                Header::Longer(_) => return Err(Failure::Malformed("has a package that ends too early")),
                Header::Malformed => return Err(Failure::Malformed("has a package that makes no sense")),
            }
        }
        if packages.len() > MAX_PACKAGES { Err(Failure::TooMuch) } else { Ok(()) }
    })?;
    Ok(packages)
}

/// Whoever reads what a header asks for comes to an end.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz_header(bytes: &[u8]) {
    if let Header::Longer(length) = header::parse(bytes) {
        assert!(length > bytes.len(), "it asks for {length} bytes and has {}", bytes.len());
    }
}

#[cfg(test)]
mod tests;
