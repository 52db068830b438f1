//! The steps on a copy of a Debian's disk: what they change, that they change it once, and that each keeps what it claims.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use safeguard_checks::{Report, Status};
use safeguard_tests::parts::{Part, here};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::image::{Image, by_control};
use super::scripts::claimed;

fn sha256(bytes: impl AsRef<[u8]>) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Each file of a tree with all that a reader could tell of it, but times.
fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else if meta.is_file() {
                sha256(fs::read(&path).unwrap())
            } else {
                String::new()
            };
            let known = format!("{:o} {}:{} {content}", meta.mode(), meta.uid(), meta.gid());
            found.insert(path.strip_prefix(root).unwrap().display().to_string(), known);
            if meta.is_dir() {
                open.push(path);
            }
        }
    }
    found
}

/// Written past the capture of the test runner: the scores are what a reader of the log looks for.
fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn scores(report: &Report) -> Vec<(String, u32, Option<u32>)> {
    report.policies.iter().map(|p| (p.policy.clone(), p.counts.fail, p.counts.score())).collect()
}

#[test]
fn steps_mend_what_they_claim_and_change_nothing_when_taken_again() {
    if !here("ami::steps::steps_mend_what_they_claim_and_change_nothing_when_taken_again", Part::Debian) {
        return;
    }
    let image = Image::new();
    let before = image.check();
    image.works("provision/run");
    let once = tree(&image.root());
    let after = image.check();
    say(&format!("ami: before the steps {:?}", scores(&before)));
    say(&format!("ami: after the steps  {:?}", scores(&after)));
    for ((policy, failed, old), (_, fails, new)) in scores(&before).into_iter().zip(scores(&after)) {
        assert_eq!(fails, 0, "{policy}");
        assert!(old <= new, "{policy}: {old:?} {new:?}");
        // The EKS policy is about what nodeadm writes at boot: nothing of it can be judged in an image.
        assert_eq!(failed > 0, policy != "cis-eks-1.8.0", "{policy} has nothing to mend: {failed}");
    }
    let mended = by_control(&before).values().filter(|finding| finding.status == Status::Fail).count();
    assert!(mended >= 45, "only {mended} controls failed before");

    // What can be judged in an image and is claimed by a step passes; an exception is no pass, and none is claimed.
    let findings = by_control(&after);
    let claimed = claimed();
    assert!(claimed.len() >= 80, "only {} controls are claimed", claimed.len());
    for control in &claimed {
        let finding = findings.get(control).unwrap_or_else(|| panic!("a step is for {control}, which does not exist"));
        assert!(matches!(finding.status, Status::Pass | Status::NotApplicable), "{control} is claimed: {finding:#?}");
    }
    // And whatever was mended is claimed by the step that did it.
    for (control, finding) in by_control(&before) {
        if finding.status == Status::Fail && findings[&control].status == Status::Pass {
            assert!(claimed.contains(&control), "no step says that it mends {control}");
        }
    }

    image.works("provision/run");
    let twice = tree(&image.root());
    let changed: Vec<_> = twice.iter().filter(|(path, known)| once.get(*path) != Some(known)).collect();
    assert!(changed.is_empty() && once.len() == twice.len(), "taken again, the steps changed {changed:#?}");
}

/// The operator's settings win, and settings that would blind the unit are refused.
#[test]
fn settings_of_the_operator_are_in_the_image() {
    if !here("ami::steps::settings_of_the_operator_are_in_the_image", Part::Debian) {
        return;
    }
    let (image, settings) = (Image::new(), tempfile::tempdir().unwrap());
    let step = || {
        let mut step = Command::new("bash");
        step.arg(super::image::ami().join("provision/80-safeguard.sh"));
        step.env("ROOT", image.root()).env("SETTINGS", settings.path()).output().unwrap()
    };
    fs::write(settings.path().join("agent.toml"), "[node]\ncluster = \"prod\"\n").unwrap();
    let output = step();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("host_root"), "{output:?}");

    let mine = "[node]\nhost_root = \"/proc/1/root\"\ncluster = \"prod\"\n";
    fs::write(settings.path().join("agent.toml"), mine).unwrap();
    assert!(step().status.success());
    assert_eq!(fs::read_to_string(image.at("/etc/safeguard/agent.toml")).unwrap(), mine);
}

/// Without our programs nothing goes on: an image without an agent is none.
#[test]
fn an_image_without_our_packages_is_not_made() {
    if !here("ami::steps::an_image_without_our_packages_is_not_made", Part::Debian) {
        return;
    }
    let image = Image::new();
    fs::remove_file(image.at("/usr/bin/safeguard-proxy")).unwrap();
    let output = image.run("provision/run");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("safeguard-proxy is missing"), "{output:?}");
}

/// What is in PACKAGES is installed by the image's own package manager, and only when it is another version.
#[test]
fn packages_of_ours_are_installed_once() {
    if !here("ami::steps::packages_of_ours_are_installed_once", Part::Debian) {
        return;
    }
    let (image, packages) = (Image::new(), tempfile::tempdir().unwrap());
    let build = |name: &str, version: &str| {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("DEBIAN")).unwrap();
        fs::create_dir_all(tree.path().join("usr/bin")).unwrap();
        let control =
            format!("Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: test\nDescription: test\n");
        fs::write(tree.path().join("DEBIAN/control"), control).unwrap();
        fs::write(tree.path().join("usr/bin").join(name), version).unwrap();
        fs::set_permissions(tree.path().join("usr/bin").join(name), fs::Permissions::from_mode(0o755)).unwrap();
        let mut dpkg = Command::new("dpkg-deb");
        dpkg.args(["--root-owner-group", "--build"]).arg(tree.path()).arg(packages.path().join(format!("{name}.deb")));
        assert!(dpkg.output().unwrap().status.success());
    };
    let step = || {
        let mut step = Command::new("bash");
        step.arg(super::image::ami().join("provision/10-packages.sh"));
        let output = step.env("ROOT", image.root()).env("PACKAGES", packages.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        fs::metadata(image.at("/var/lib/dpkg/status")).unwrap().mtime_nsec()
    };
    let has = |name: &str| fs::read_to_string(image.at(&format!("/usr/bin/{name}"))).unwrap();
    ["safeguard-agent", "safeguard-proxy"].iter().for_each(|name| build(name, "1.0"));
    let first = step();
    assert_eq!((has("safeguard-agent"), has("safeguard-proxy")), ("1.0".to_owned(), "1.0".to_owned()));
    assert_eq!(step(), first, "installed once more");
    build("safeguard-proxy", "1.1");
    assert_ne!(step(), first);
    assert_eq!((has("safeguard-agent"), has("safeguard-proxy")), ("1.0".to_owned(), "1.1".to_owned()));
    assert!(!image.at("/var/lib/safeguard-packages").exists());
}

#[test]
fn a_hardened_image_may_become_one_and_its_manifest_says_what_it_is() {
    if !here("ami::steps::a_hardened_image_may_become_one_and_its_manifest_says_what_it_is", Part::Debian)
        || !here("ami::steps::a_hardened_image_may_become_one_and_its_manifest_says_what_it_is", Part::Jq)
    {
        return;
    }
    let image = Image::hardened();
    image.works("validate/run");
    let report = fs::read(image.reports().join("report.json")).unwrap();
    let manifest: Value = serde_json::from_str(&image.works("manifest/write")).unwrap();
    assert_eq!(manifest["distribution"], "debian-12");
    assert_eq!(manifest["report_sha256"], sha256(&report));
    let agent = fs::read(image.at("/usr/bin/safeguard-agent")).unwrap();
    assert_eq!(manifest["files"]["/usr/bin/safeguard-agent"], sha256(agent));
    assert!(manifest["files"]["/etc/sysctl.d/60-safeguard.conf"].is_string());
    let packages = manifest["packages"].as_array().unwrap();
    assert!(packages.iter().any(|p| p["name"] == "systemd" && p["version"].as_str().unwrap().starts_with("252")));
    let report: Report = serde_json::from_slice(&report).unwrap();
    assert_eq!(manifest["policies"]["eks-node-hardening"]["digest"], report.policies[2].digest.as_str());

    // One control of level 1 that fails, and nobody answers for it.
    fs::remove_file(image.at("/etc/modprobe.d/60-safeguard.conf")).unwrap();
    let output = image.run("validate/run");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("MOD-03") && said.contains("refused: controls of level 1 fail"), "{said}");

    // Somebody answers.
    let exceptions = ["MOD-01", "MOD-03"].map(|control| {
        format!("  - {{control: eks-node-hardening/{control}, reason: A test., owner: test, expires: 2999-01-01}}\n")
    });
    fs::write(image.at("/etc/safeguard/exceptions.yaml"), format!("exceptions:\n{}", exceptions.concat())).unwrap();
    image.works("validate/run");

    // An agent that cannot answer is no consent.
    fs::write(image.at("/etc/safeguard/exceptions.yaml"), "exceptions: 7\n").unwrap();
    assert_eq!(image.run("validate/run").status.code(), Some(2));
}
