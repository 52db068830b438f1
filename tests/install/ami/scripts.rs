//! What can be said of the scripts and of the template without running them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use safeguard_tests::parts::{Part, here};
use sha2::{Digest as _, Sha256};

use super::image::ami;

/// Every file below a directory.
pub(super) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Shell scripts, by their name or by their first line.
fn scripts() -> Vec<PathBuf> {
    let is_script = |path: &PathBuf| {
        path.extension().is_some_and(|suffix| suffix == "sh")
            || fs::read(path).unwrap().starts_with(b"#!/usr/bin/env bash")
    };
    files(&ami()).into_iter().filter(is_script).collect()
}

#[test]
fn every_script_passes_shellcheck() {
    if !here("ami::scripts::every_script_passes_shellcheck", Part::Shellcheck) {
        return;
    }
    let scripts = scripts();
    assert!(scripts.len() > 20, "only {} scripts are found", scripts.len());
    let output = Command::new("shellcheck").arg("--external-sources").args(&scripts).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    for script in scripts {
        let text = fs::read_to_string(&script).unwrap();
        // What is sourced has it from whoever sources it, and data does nothing.
        let strict = text.contains("set -euo pipefail") || text.contains("root.sh\"") || !text.starts_with("#!");
        assert!(strict, "{} goes on after a mistake", script.display());
    }
}

/// Syntax alone. Debian's packer knows neither `required_plugins` nor the plugin's newer fields: those are seen by `packer init` and
/// `packer validate` with the plugin, which needs the network.
#[test]
fn the_template_is_what_packer_can_read() {
    if !here("ami::scripts::the_template_is_what_packer_can_read", Part::Packer) {
        return;
    }
    let validate = |dir: &Path| {
        let mut packer = Command::new("packer");
        packer.env("CHECKPOINT_DISABLE", "1").args(["validate", "-syntax-only"]).arg(dir).output().unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    for name in ["node.pkr.hcl", "variables.pkr.hcl"] {
        fs::copy(ami().join("packer").join(name), dir.path().join(name)).unwrap();
    }
    let output = validate(dir.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));

    // The check sees a mistake.
    let template = fs::read_to_string(dir.path().join("node.pkr.hcl")).unwrap();
    fs::write(dir.path().join("node.pkr.hcl"), template.replacen("build {", "build ", 1)).unwrap();
    assert!(!validate(dir.path()).status.success());

    // What an auditor asks of it first, whoever edits it.
    for line in
        ["encrypt_boot = true", "http_tokens = \"required\"", "imds_support = \"v2.0\"", "kms_key_id = var.kms_key_id"]
    {
        let (name, value) = line.split_once(" = ").unwrap();
        let is = |text: &str| text.split_once('=').is_some_and(|(n, v)| n.trim() == name && v.trim() == value);
        assert!(template.lines().any(is), "the template lacks {line}");
    }
    // Packer's own first line, which has it, is not read by a shell that is named.
    let shells: Vec<_> = template.lines().filter(|line| line.contains("execute_command")).collect();
    assert!(shells.len() == 3 && shells.iter().all(|line| line.contains("bash -e ")), "{shells:?}");
    assert!(!template.contains("\"/tmp"), "a builder may have /tmp without exec");
}

/// What the image was judged by, on the image and on its snapshots; and no tags from a report of another build.
#[test]
fn an_image_is_tagged_with_what_it_was_judged_by() {
    if !here("ami::scripts::an_image_is_tagged_with_what_it_was_judged_by", Part::Jq) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write(
        "aws",
        "#!/bin/sh\ncase \"$2\" in describe-images) printf 'snap-1\\tsnap-2\\n';; *) echo \"$@\" >>\"$0.log\";; esac\n",
    );
    fs::set_permissions(dir.path().join("aws"), fs::Permissions::from_mode(0o755)).unwrap();
    write("report.json", "{}");
    let digest: String = Sha256::digest("{}").iter().map(|byte| format!("{byte:02x}")).collect();
    let manifest = |digest: &str| {
        let text = format!(r#"{{"report_sha256": "{digest}", "agent_version": "1.2.3", "policy_digest": "abc"}}"#);
        write("manifest.json", &text);
    };
    manifest(&digest);
    write(
        "packer.json",
        r#"{"last_run_uuid": "b", "builds": [{"packer_run_uuid": "a", "artifact_id": "eu-west-1:ami-0"},
            {"packer_run_uuid": "b", "artifact_id": "eu-central-1:ami-1"}]}"#,
    );
    let tag = || {
        let path = format!("{}:/usr/bin:/bin", dir.path().display());
        Command::new(ami().join("packer/tag-image")).env("PATH", path).arg(dir.path()).output().unwrap()
    };
    let output = tag();
    assert!(output.status.success(), "{output:?}");
    let asked = fs::read_to_string(dir.path().join("aws.log")).unwrap();
    assert!(
        asked.starts_with("ec2 create-tags --region eu-central-1 --resources ami-1 snap-1 snap-2 --tags "),
        "{asked}"
    );
    for tag in [
        "agent-version,Value=1.2.3",
        "policy-digest,Value=abc",
        &format!("report-digest,Value={digest}"),
        "judged,Value=yes",
    ] {
        assert!(asked.contains(&format!("Key=safeguard:{tag}")), "{tag}: {asked}");
    }
    fs::remove_file(dir.path().join("aws.log")).unwrap();
    manifest("of another report");
    assert!(!tag().status.success());
    assert!(!dir.path().join("aws.log").exists(), "nothing is tagged");
}

/// Words of a comment that are ids of controls, when the comment ends with them: `# because. KRN-01 KRN-02`.
pub(super) fn tags(line: &str) -> Vec<String> {
    let is_id = |word: &&str| {
        let ours = word.split_once('-').is_some_and(|(family, number)| {
            family.len() == 3
                && family.bytes().all(|b| b.is_ascii_uppercase())
                && number.len() == 2
                && number.bytes().all(|b| b.is_ascii_digit())
        });
        let parts: Vec<_> = word.split('.').collect();
        ours || parts.len() == 3 && parts.iter().all(|part| part.parse::<u8>().is_ok())
    };
    let Some((_, comment)) = line.split_once('#') else { return Vec::new() };
    comment.split_whitespace().rev().take_while(is_id).map(str::to_owned).collect()
}

/// The controls that steps, or files that they put, say they are for.
pub(super) fn claimed() -> BTreeSet<String> {
    let files = ["provision", "rootfs"].iter().flat_map(|dir| files(&ami().join(dir))).collect::<Vec<_>>();
    let lines = files.iter().flat_map(|path| {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    lines.flat_map(|line| tags(&line)).collect()
}

/// A line of a step that changes the image stands below a tag, in the same block.
#[test]
fn every_block_of_a_step_says_which_controls_it_serves() {
    let changes = ["put ", "close ", "enable ", "rewrite ", "set_key ", "rm -f", "install -m", "touch "];
    let mut seen = 0;
    for path in files(&ami().join("provision")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if !name.starts_with(|c: char| c.is_ascii_digit()) || name == "90-cleanup.sh" {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let mut tagged = false;
        for line in text.lines() {
            // A blank line ends a block.
            tagged = !line.is_empty() && (tagged || !tags(line).is_empty());
            if changes.iter().any(|change| line.trim_start().starts_with(change)) {
                assert!(tagged, "{name}: which control is this for? {line}");
                seen += 1;
            }
        }
    }
    assert!(seen > 40, "only {seen} changes are seen");
}

#[test]
fn tags_are_read_from_the_end_of_a_comment() {
    assert_eq!(tags("# Because of that. KRN-01 4.2.13"), ["4.2.13", "KRN-01"]);
    assert_eq!(tags("# KRN-01 is not a tag here"), Vec::<String>::new());
    assert_eq!(tags("put 0644 /etc/KRN-01"), Vec::<String>::new());
}
