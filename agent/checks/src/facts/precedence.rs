//! Directories of configuration files that override each other by name, as systemd and modprobe read them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use safeguard_host::Kind;

use crate::host::Host;
use crate::observed::{Cause, Observed, Unobserved};

/// Most files of one kind. Distributions have some dozens.
const MAX_FILES: usize = 1_000;

/// Most bytes of all files of one kind. Distributions have some kilobytes.
const MAX_TEXT: usize = 4 << 20;

/// What those directories are below, the strongest first (sysctl.d(5), modprobe.d(5), systemd.unit(5)). `/lib` is `/usr/lib` by
/// another name on most hosts; all its names are known by then.
pub(crate) const PREFIXES: [&str; 5] = ["/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"];

/// The files with one of these extensions in `directory` below all [`PREFIXES`], sorted by name. Of equal names the strongest
/// counts, and hides the others even where it leads to `/dev/null`.
pub(crate) fn files(host: &Host, directory: &str, extensions: &[&str]) -> Observed<Vec<PathBuf>> {
    let mut strongest: BTreeMap<OsString, (PathBuf, Option<Kind>)> = BTreeMap::new();
    for prefix in PREFIXES {
        let directory = Path::new(prefix).join(directory);
        for entry in host.entries(&directory)?.unwrap_or_default() {
            let extension = Path::new(&entry.name).extension().and_then(OsStr::to_str);
            if extension.is_some_and(|e| extensions.contains(&e)) {
                let path = directory.join(&entry.name);
                strongest.entry(entry.name).or_insert((path, entry.kind));
            }
        }
    }
    if strongest.len() > MAX_FILES {
        return Err(Unobserved::new(Cause::TooMuch, format!("{directory}: has more than {MAX_FILES} files")));
    }
    let mut files = Vec::with_capacity(strongest.len());
    for (path, kind) in strongest.into_values() {
        if kind == Some(Kind::File) || !leads_to_null(host, &path)? {
            files.push(path);
        }
    }
    Ok(files)
}

/// The same with their texts, as long as these are of at most [`MAX_TEXT`] bytes together. A link that leads nowhere has no
/// text, and hides the weaker ones of its name all the same.
pub(crate) fn texts(host: &Host, directory: &str, extensions: &[&str]) -> Observed<Vec<(PathBuf, String)>> {
    let mut texts = Vec::new();
    let mut length = 0;
    for path in files(host, directory, extensions)? {
        let text = host.text(&path)?.unwrap_or_default();
        length += text.len();
        if length > MAX_TEXT {
            return Err(Unobserved::new(Cause::TooMuch, format!("{directory}: has more than {MAX_TEXT} bytes")));
        }
        texts.push((path, text));
    }
    Ok(texts)
}

/// Whether a path is a link to `/dev/null`, which is how a name is masked.
pub(crate) fn leads_to_null(host: &Host, path: &Path) -> Observed<bool> {
    let Some(target) = host.link(path)? else { return Ok(false) };
    let target = path.parent().unwrap_or(Path::new("/")).join(target);
    Ok(plain(&target) == Path::new("/dev/null"))
}

/// An absolute path without `.` and `..`, by its text alone.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::from("/"), |mut plain, part| {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => drop(plain.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
        plain
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    fn found(fixture: &Fixture) -> Vec<String> {
        let files = files(&fixture.host(), "sysctl.d", &["conf"]).unwrap();
        files.iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn files_are_sorted_by_name_and_the_strongest_of_equal_names_counts() {
        let fixture = Fixture::new();
        fixture.file("/usr/lib/sysctl.d/10-a.conf", "").file("/usr/lib/sysctl.d/50-b.conf", "");
        fixture.file("/run/sysctl.d/50-b.conf", "").file("/etc/sysctl.d/20-c.conf", "");
        fixture.file("/usr/local/lib/sysctl.d/99-z.conf", "").file("/usr/lib/sysctl.d/99-z.conf", "");
        assert_eq!(
            found(&fixture),
            [
                "/usr/lib/sysctl.d/10-a.conf",
                "/etc/sysctl.d/20-c.conf",
                "/run/sysctl.d/50-b.conf",
                "/usr/local/lib/sysctl.d/99-z.conf",
            ]
        );
    }

    #[test]
    fn other_extensions_are_left_out() {
        let fixture = Fixture::new();
        fixture.file("/etc/sysctl.d/README", "").file("/etc/sysctl.d/a.conf.rpmsave", "");
        fixture.file("/etc/sysctl.d/.conf", "").file("/etc/sysctl.d/b.conf~", "");
        assert!(found(&fixture).is_empty());
    }

    #[test]
    fn a_name_that_leads_to_null_hides_the_weaker_ones() {
        for null in ["/dev/null", "../../dev/null", "/etc/../dev/./null"] {
            let fixture = Fixture::new();
            fixture.file("/usr/lib/sysctl.d/50-b.conf", "").link("/etc/sysctl.d/50-b.conf", null);
            assert!(found(&fixture).is_empty(), "{null}");
        }
    }

    #[test]
    fn more_text_than_there_can_be_is_refused() {
        let fixture = Fixture::new();
        for at in 0..5 {
            fixture.file(&format!("/etc/sysctl.d/{at}.conf"), vec![b'#'; 1 << 20]);
        }
        let why = texts(&fixture.host(), "sysctl.d", &["conf"]).unwrap_err();
        assert_eq!(why.cause, Cause::TooMuch);
        fixture.without("/etc/sysctl.d/4.conf");
        assert_eq!(texts(&fixture.host(), "sysctl.d", &["conf"]).unwrap().len(), 4);
    }

    #[test]
    fn lib_by_another_name_counts_once() {
        let fixture = Fixture::new();
        fixture.file("/usr/lib/sysctl.d/50-b.conf", "").link("/lib", "usr/lib");
        assert_eq!(found(&fixture), ["/usr/lib/sysctl.d/50-b.conf"]);
    }

    #[test]
    fn a_file_where_the_directory_should_be_is_an_error() {
        let fixture = Fixture::new();
        fixture.file("/etc/sysctl.d", "");
        let why = files(&fixture.host(), "sysctl.d", &["conf"]).unwrap_err();
        assert!(why.message.contains("etc/sysctl.d"), "{why}");
    }
}
