//! What is in the images, and what is not.

use std::path::Path;
use std::process::Command;

use safeguard_tests::parts::{Part, here};
use tar::EntryType;

use super::archive::{Archive, Entry};
use super::{EPOCH, IMAGES, REVISION, SOURCE, archive, build, script};

/// Where the lists are. One that is no longer right is written anew by a run with `SAFEGUARD_LISTS=write`.
fn list(image: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("install/images/{image}.txt"))
}

fn line(entry: &Entry) -> String {
    format!("{:04o} {}\n", entry.mode, entry.path)
}

/// A file that came in with a library, an update or a mistake is seen in the list's difference.
#[test]
fn each_image_holds_what_its_list_says_and_nothing_else() {
    if !here("images::each_image_holds_what_its_list_says", Part::Buildah) {
        return;
    }
    for image in IMAGES {
        let archive = Archive::read(&archive(image));
        let found: String = archive.entries.iter().map(line).collect();
        if std::env::var_os("SAFEGUARD_LISTS").is_some_and(|wish| wish == "write") {
            std::fs::write(list(image), &found).unwrap();
        }
        assert_eq!(found, std::fs::read_to_string(list(image)).unwrap(), "{image}");
    }
}

/// Whoever gets to run something in a container finds nothing to run, nothing to write to and no way to become more.
#[test]
fn no_image_has_a_shell_or_anything_that_may_be_written() {
    if !here("images::no_image_has_a_shell", Part::Buildah) {
        return;
    }
    for image in IMAGES {
        let archive = Archive::read(&archive(image));
        for entry in &archive.entries {
            let Entry { path, kind, mode, owner, time, bytes } = entry;
            assert!(matches!(kind, EntryType::Regular | EntryType::Directory), "{image}: {path} is {kind:?}");
            assert_eq!(mode & 0o7022, 0, "{image}: {path} is {mode:o}");
            assert_eq!((*owner, *time), ((0, 0), EPOCH), "{image}: {path}");
            // No script starts without an interpreter, and there is none: what can be run is a program or a library.
            let runs = *kind == EntryType::Regular && mode & 0o111 != 0;
            assert_eq!(runs, bytes.starts_with(b"\x7fELF"), "{image}: {path} is {mode:o}");
        }
        let programs: Vec<&str> = archive.entries.iter().map(|entry| entry.path.as_str()).filter(is_program).collect();
        let expected: &[&str] = match image {
            "safeguard" => &["/usr/bin/safeguard"],
            "safeguard-agent" => &["/usr/bin/safeguard-agent"],
            "safeguard-proxy" => &["/usr/bin/safeguard-proxy"],
            _ => &["/usr/bin/safeguard-proxy", "/usr/sbin/nft"],
        };
        assert_eq!(programs, expected, "{image}");
    }
}

fn is_program(path: &&str) -> bool {
    ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/libexec/", "/usr/local/"]
        .iter()
        .any(|dir| path.starts_with(dir))
}

#[test]
fn each_image_says_what_it_is_and_as_whom_it_runs() {
    if !here("images::each_image_says_what_it_is", Part::Buildah) {
        return;
    }
    for image in IMAGES {
        let Archive { name, config, .. } = Archive::read(&archive(image));
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(name, format!("localhost/{image}:{version}"));
        let label = |name: &str| config["config"]["Labels"][format!("org.opencontainers.image.{name}")].as_str();
        assert_eq!(label("title"), Some(image));
        assert_eq!(label("version"), Some(version), "as the program in it says");
        assert_eq!((label("revision"), label("source")), (Some(REVISION), Some(SOURCE)));
        assert!(label("licenses").unwrap().starts_with("Apache-2.0 AND "), "{config}");
        assert!(label("description").unwrap().len() > 20, "{config}");
        assert_eq!(config["created"], "2023-11-14T22:13:20Z");
        let (user, program, arguments) = match image {
            "safeguard" => ("65532:65532", "/usr/bin/safeguard", vec!["serve"]),
            "safeguard-agent" => ("0:0", "/usr/bin/safeguard-agent", vec!["run"]),
            "safeguard-proxy" => ("0:0", "/usr/bin/safeguard-proxy", vec!["serve"]),
            _ => ("0:0", "/usr/bin/safeguard-proxy", vec!["redirect", "up"]),
        };
        assert_eq!(config["config"]["User"], user, "{image}");
        assert_eq!(config["config"]["Entrypoint"], serde_json::json!([program]), "{image}");
        assert_eq!(config["config"]["Cmd"], serde_json::json!(arguments), "{image}");
    }
}

/// A scanner finds the packages that everything of Debian is from, with the versions that are in the image.
#[test]
fn scanners_find_the_packages_of_debian() {
    if !here("images::scanners_find_the_packages", Part::Buildah) {
        return;
    }
    for image in IMAGES {
        let archive = Archive::read(&archive(image));
        assert!(archive.text("/etc/os-release").contains("\nID=debian\n"), "{image}");
        let packages = archive.entries.iter().filter_map(|entry| entry.path.strip_prefix("/var/lib/dpkg/status.d/"));
        let packages: Vec<&str> = packages.collect();
        let of_all = ["ca-certificates", "libc6", "libgcc-s1"];
        assert!(of_all.iter().all(|package| packages.contains(package)), "{image}: {packages:?}");
        assert_eq!(packages.contains(&"nftables"), image == "safeguard-redirect", "{image}: {packages:?}");
        for package in packages {
            let installed = Command::new("dpkg-query").args(["-f", "${Version}", "-W", package]).output().unwrap();
            let version = String::from_utf8(installed.stdout).unwrap();
            let status = archive.text(&format!("/var/lib/dpkg/status.d/{package}"));
            assert!(status.contains(&format!("\nVersion: {version}\n")), "{image}: {version}: {status}");
            assert!(!archive.text(&format!("/usr/share/doc/{package}/copyright")).is_empty());
        }
    }
}

/// Whoever has the same source can prove that an image was made of it.
#[test]
fn the_same_programs_make_the_same_image_byte_for_byte() {
    if !here("images::the_same_programs_make_the_same_image", Part::Buildah) {
        return;
    }
    let again = tempfile::tempdir().unwrap();
    build(again.path(), &["safeguard-redirect", "safeguard"]);
    for image in ["safeguard-redirect", "safeguard"] {
        let (first, second) = (archive(image), again.path().join(format!("{image}.oci.tar")));
        // Not `assert_eq!`: it would print ten megabytes.
        assert!(std::fs::read(first).unwrap() == std::fs::read(second).unwrap(), "{image} is not what it was");
    }
    let left: Vec<_> = std::fs::read_dir(again.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

/// What is wrong is said before anything is built, and by its name.
#[test]
fn the_script_says_what_is_wrong() {
    if !here("images::the_script_says_what_is_wrong", Part::Buildah) {
        return;
    }
    let run = |arguments: &[&str]| {
        let output = Command::new(script()).args(arguments).env("SOURCE_DATE_EPOCH", "1").output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, out, _) = run(&["--help"]);
    assert!(code == Some(0) && IMAGES.iter().all(|image| out.contains(image)) && out.contains("--programs"), "{out}");
    let (code, _, said) = run(&["--programms", "x"]);
    assert!(code == Some(64) && said.contains("--programms"), "{code:?} {said}");
    let (code, _, said) = run(&["safeguard-agnet"]);
    assert!(code == Some(64) && said.contains("no image safeguard-agnet"), "{code:?} {said}");
    let empty = tempfile::tempdir().unwrap();
    let dir = empty.path().to_str().unwrap();
    let (code, _, said) = run(&["--programs", dir, "--out", dir, "safeguard"]);
    assert!(code == Some(1) && said.contains("/safeguard is missing: cargo build"), "{code:?} {said}");
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 0);
}
