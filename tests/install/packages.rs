//! deb and rpm: what is in them, how hard the programs are, and what installing, upgrading and removing them does to a root.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use safeguard_tests::machine::debian;
use safeguard_tests::parts::{Part, here};
use serde_json::Value;
use tempfile::TempDir;

use crate::packaged::{PACKAGES, package, packages, root, said};

/// Compares with a file that somebody reviewed. `SAFEGUARD_BLESS=1` writes it anew.
fn reviewed(file: &str, now: &str) {
    let path = root().join("packaging").join(file);
    if std::env::var_os("SAFEGUARD_BLESS").is_some() {
        fs::write(&path, now).unwrap();
    }
    let before = fs::read_to_string(&path).unwrap_or_default();
    assert!(before == now, "packaging/{file} says otherwise; SAFEGUARD_BLESS=1 writes what is so now:\n{now}");
}

/// `-rw-r--r-- /path` of each file of a package.
fn contents(name: &str, format: &str) -> BTreeSet<String> {
    let file = package(name, format, 1);
    let listed = if format == "deb" {
        let line = |line: &str| {
            let mut words = line.split_whitespace();
            let mode = words.next()?.to_owned();
            let path = words.nth(4)?.strip_prefix('.')?;
            (!path.ends_with('/')).then(|| format!("{mode} {path}"))
        };
        said(Command::new("dpkg-deb").arg("--contents").arg(file)).lines().filter_map(line).collect()
    } else {
        let format = "[%{FILEMODES:perms} %{FILENAMES}\\n]";
        let all = said(Command::new("rpm").args(["--query", "--package", "--queryformat", format]).arg(file));
        all.lines().filter(|line| !line.starts_with('d')).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    // What the two families of distributions call otherwise.
    let common = |line: String| {
        line.replace("/zsh/site-functions/", "/zsh/vendor-completions/")
            .replace(&format!("/usr/share/licenses/{name}/LICENSE"), &format!("/usr/share/doc/{name}/copyright"))
    };
    listed.into_iter().map(common).filter(|line| !line.contains("/changelog")).collect()
}

#[test]
fn both_formats_bring_what_was_reviewed() {
    if !here("packages::both_formats_bring_what_was_reviewed", Part::Packagers) {
        return;
    }
    let mut now = String::new();
    for name in PACKAGES {
        let deb = contents(name, "deb");
        assert_eq!(deb, contents(name, "rpm"), "{name}");
        writeln!(now, "{name}").unwrap();
        deb.iter().for_each(|line| writeln!(now, "  {line}").unwrap());
    }
    reviewed("contents.golden", &now);
}

/// What the linker made of each program, and the newest symbol of glibc that it asks for: Amazon Linux 2023 has 2.34.
#[test]
fn programs_are_hard_and_run_where_glibc_is_old() {
    if !here("packages::programs_are_hard_and_run_where_glibc_is_old", Part::Packagers) {
        return;
    }
    let mut now = String::new();
    for name in PACKAGES {
        let file = packages().parent().unwrap().join("package").join(name).join(name);
        let read = |what: &str| said(Command::new("readelf").args(["--wide", what]).arg(&file));
        let (header, segments, dynamic) = (read("--file-header"), read("--segments"), read("--dynamic"));
        let has = |text: &str, what: &str| if text.lines().any(|line| line.contains(what)) { "yes" } else { "no" };
        let stack = segments.lines().find(|line| line.contains("GNU_STACK")).unwrap();
        let needed: Vec<_> = dynamic.lines().filter(|line| line.contains("(NEEDED)")).filter_map(bracketed).collect();
        let symbols = read("--dyn-syms");
        let versions = symbols.split("GLIBC_").skip(1).filter_map(|rest| rest.split([' ', '\n', ')']).next());
        let newest = versions.filter_map(version).max().unwrap();
        assert!(newest <= (2, 34), "{name} needs glibc {newest:?}");
        writeln!(now, "{name}").unwrap();
        writeln!(now, "  position independent   {}", has(&header, "DYN (")).unwrap();
        writeln!(now, "  relocations read-only  {}", has(&segments, "GNU_RELRO")).unwrap();
        writeln!(now, "  symbols bound at start {}", has(&dynamic, "BIND_NOW")).unwrap();
        writeln!(now, "  executable stack       {}", has(stack, "RWE")).unwrap();
        writeln!(now, "  search path of its own {}", has(&dynamic, "PATH")).unwrap();
        writeln!(now, "  text relocations       {}", has(&dynamic, "TEXTREL")).unwrap();
        writeln!(now, "  libraries              {}", needed.join(" ")).unwrap();
    }
    reviewed("hardening.golden", &now);
}

fn bracketed(line: &str) -> Option<&str> {
    line.split_once('[')?.1.split(']').next()
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Each list names what its program is made of, at the versions of the lock file, with licences, and nothing that only tests need.
#[test]
fn the_list_of_parts_is_that_of_the_program() {
    if !here("packages::the_list_of_parts_is_that_of_the_program", Part::Packagers) {
        return;
    }
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let licences = fs::read_to_string(packages().join("THIRD-PARTY-LICENCES")).unwrap();
    for (name, has, has_not) in [
        ("safeguard-agent", "aws-sdk-cloudwatchlogs", "axum"),
        ("safeguard-proxy", "aws-sdk-sts", "aws-sdk-cloudwatchlogs"),
        ("safeguard", "axum", "aws-sdk-cloudwatchlogs"),
    ] {
        let text = fs::read_to_string(packages().join(format!("{name}.cdx.json"))).unwrap();
        let list: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&list["bomFormat"], &list["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
        assert_eq!(list["metadata"]["component"]["name"], name);
        let parts = list["components"].as_array().unwrap();
        let names: BTreeSet<_> = parts.iter().map(|part| part["name"].as_str().unwrap()).collect();
        for wanted in [has, "tokio", "rustls", "aws-lc-sys"] {
            assert!(names.contains(wanted), "{name} is made of {wanted}");
        }
        for unwanted in [has_not, "proptest", "rcgen", "safeguard-standins"] {
            assert!(!names.contains(unwanted), "{name} is not made of {unwanted}");
        }
        for part in parts.iter().filter(|part| !part["name"].as_str().unwrap().starts_with("safeguard")) {
            let (part_name, version) = (part["name"].as_str().unwrap(), part["version"].as_str().unwrap());
            assert!(
                lock.contains(&format!("name = \"{part_name}\"\nversion = \"{version}\"")),
                "{part_name} {version}"
            );
            assert!(part["licenses"].is_array(), "{part_name} has a licence");
            assert!(licences.contains(&format!("{part_name} {version}: ")), "{part_name}: the text of its licence");
        }
    }
}

/// What a person finds after the package is there: the manual, the words of the shell, and settings that can be used.
#[test]
fn rpm_installs_upgrades_and_removes_in_a_clean_root() {
    if !here("packages::rpm_installs_upgrades_and_removes_in_a_clean_root", Part::Packagers)
        || !here("packages::rpm_installs_upgrades_and_removes_in_a_clean_root", Part::Debian)
    {
        return;
    }
    let dir = clean_root();
    let rpm = |arguments: &[&str]| {
        // Its database knows nothing of the C library that is there.
        let mut rpm = Command::new("rpm");
        said(rpm.arg("--root").arg(dir.path()).args(["--dbpath", "/var/lib/rpm"]).args(arguments))
    };
    let file = |name: &str, revision| package(name, "rpm", revision).to_str().unwrap().to_owned();
    let inside = |line: &str| said(Command::new("chroot").arg(dir.path()).args(["sh", "-ec", line]));
    rpm(&["--initdb"]);
    for name in PACKAGES {
        rpm(&["--install", "--nodeps", &file(name, 1)]);
        assert!(inside(&format!("{name} --version")).starts_with(name));
        inside(&format!("{name} config check"));
        for shown in [format!("man/man8/{name}.8.gz"), format!("bash-completion/completions/{name}")] {
            assert!(dir.path().join("usr/share").join(&shown).exists(), "{shown}");
        }
    }
    assert!(inside("getent passwd safeguard").contains("nologin"), "the account of the backend");
    // An operator's settings outlive an upgrade, and so does what is enabled.
    fs::write(dir.path().join("etc/safeguard/agent.toml"), "[node]\ncluster = \"mine\"\n").unwrap();
    inside("systemctl enable safeguard-agent safeguard-proxy-redirect");
    for name in PACKAGES {
        rpm(&["--upgrade", "--nodeps", &file(name, 2)]);
        assert_eq!(rpm(&["--query", "--queryformat", "%{RELEASE}", name]), "2");
    }
    assert!(fs::read_to_string(dir.path().join("etc/safeguard/agent.toml")).unwrap().contains("mine"));
    assert_eq!(inside("systemctl is-enabled safeguard-agent").trim(), "enabled");
    fs::create_dir_all(dir.path().join("var/lib/safeguard")).unwrap();
    fs::write(dir.path().join("var/lib/safeguard/logs.checkpoint"), "kept").unwrap();
    for name in PACKAGES {
        rpm(&["--erase", name]);
    }
    gone(dir.path());
    assert!(dir.path().join("etc/safeguard/agent.toml.rpmsave").exists(), "settings that were changed are kept");
}

#[test]
fn deb_installs_upgrades_and_removes_in_a_clean_root() {
    if !here("packages::deb_installs_upgrades_and_removes_in_a_clean_root", Part::Packagers)
        || !here("packages::deb_installs_upgrades_and_removes_in_a_clean_root", Part::Debian)
    {
        return;
    }
    let dir = clean_root();
    // Inside: outside it would look up accounts that are not those of the root.
    let dpkg = |arguments: &[&str]| said(Command::new("chroot").arg(dir.path()).arg("dpkg").args(arguments));
    let file = |name: &str, revision| {
        fs::copy(package(name, "deb", revision), dir.path().join("package.deb")).unwrap();
        "/package.deb"
    };
    let inside = |line: &str| said(Command::new("chroot").arg(dir.path()).args(["sh", "-ec", line]));
    for name in PACKAGES {
        // What it depends on is there: nothing is forced.
        dpkg(&["--install", file(name, 1)]);
        inside(&format!("{name} config check"));
    }
    assert!(inside("getent passwd safeguard").contains("nologin"), "the account of the backend");
    fs::write(dir.path().join("etc/safeguard/agent.toml"), "[node]\ncluster = \"mine\"\n").unwrap();
    inside("systemctl enable safeguard-agent safeguard-proxy-redirect");
    for name in PACKAGES {
        dpkg(&["--force-confold", "--install", file(name, 2)]);
    }
    assert!(fs::read_to_string(dir.path().join("etc/safeguard/agent.toml")).unwrap().contains("mine"));
    assert_eq!(inside("systemctl is-enabled safeguard-agent").trim(), "enabled");
    fs::create_dir_all(dir.path().join("var/lib/safeguard")).unwrap();
    fs::write(dir.path().join("var/lib/safeguard/logs.checkpoint"), "kept").unwrap();
    for name in PACKAGES {
        dpkg(&["--remove", name]);
    }
    gone(dir.path());
    assert!(dir.path().join("etc/safeguard/agent.toml").exists(), "settings stay until the package is purged");
    dpkg(&["--purge", "safeguard-agent"]);
    assert!(!dir.path().join("etc/safeguard/agent.toml").exists());
}

/// A Debian of its own, as debootstrap left it.
fn clean_root() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    said(Command::new("cp").args(["--archive", "--no-target-directory"]).arg(debian().unwrap()).arg(dir.path()));
    dir
}

/// Programs and units are gone, and are not asked for at the next boot; what the agent knows is kept.
fn gone(root: &Path) {
    for name in PACKAGES {
        assert!(!root.join("usr/bin").join(name).exists(), "{name}");
    }
    let units = fs::read_dir(root.join("usr/lib/systemd/system")).unwrap();
    let wanted = fs::read_dir(root.join("etc/systemd/system/multi-user.target.wants")).unwrap();
    let left = units.chain(wanted).map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<_> = left.filter(|name| name.starts_with("safeguard")).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(fs::read_to_string(root.join("var/lib/safeguard/logs.checkpoint")).unwrap(), "kept");
}
