//! `check` and `policy`: exit codes, formats, exceptions, and what a person reads.

#![expect(clippy::disallowed_methods, reason = "a test builds a host and runs the program from outside")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::node::{file_mode, program};

/// An image with users and nothing else, and a directory beside it.
struct Image {
    dir: TempDir,
}

/// What a command ended with and wrote.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Image {
    fn new() -> Self {
        let image = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir_all(image.path("root/etc")).unwrap();
        image.write("root/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n");
        image.write("root/etc/group", "root:x:0:\n");
        image
    }

    /// The same with a second name for root.
    fn with_another_root() -> Self {
        let image = Self::new();
        image.write("root/etc/passwd", "root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/:/bin/sh\n");
        image
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    /// `check` with these arguments, on the image.
    fn check(&self, args: &[&str]) -> Said {
        let root = self.path("root");
        said(&[&["check", "--root", root.to_str().unwrap(), "--node", "node-1"], args].concat())
    }

    /// The only finding.
    fn finding(&self, args: &[&str]) -> (i32, Value) {
        let Said { code, out, err } = self.check(&[&["--format", "json"], args].concat());
        let report: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
        let policies = report["policies"].as_array().unwrap();
        assert_eq!((policies.len(), policies[0]["findings"].as_array().unwrap().len()), (1, 1), "{report}");
        (code, policies[0]["findings"][0].clone())
    }
}

fn said(args: &[&str]) -> Said {
    let output = program(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn the_exit_code_says_what_was_found() {
    let (clean, bad) = (Image::new(), Image::with_another_root());
    let one = ["--only", "ACC-01"];
    assert_eq!(clean.check(&one).code, 0);
    assert_eq!(bad.check(&one).code, 1);
    assert_eq!(bad.check(&["--only", "ACC-01", "--fail-on", "none"]).code, 0);

    // What cannot be observed is no finding unless it is asked for, and never clean silently.
    fs::remove_file(clean.path("root/etc/passwd")).unwrap();
    symlink("passwd", clean.path("root/etc/passwd")).unwrap();
    let (code, finding) = clean.finding(&one);
    assert_eq!((code, &finding["status"]), (0, &Value::from("unknown")), "{finding}");
    assert_eq!(clean.check(&["--only", "ACC-01", "--fail-on", "unknown"]).code, 1);
}

#[test]
fn what_cannot_be_run_ends_with_2_and_a_wrong_command_line_with_64() {
    let image = Image::new();
    let ended = |args: &[&str], code: i32, part: &str| {
        let said = image.check(args);
        assert!(said.code == code && said.out.is_empty(), "{args:?}: {} {}", said.code, said.out);
        assert!(said.err.contains(part), "{args:?}: {part:?} is not in {}", said.err);
    };
    ended(&["--only", "ACC-1"], 2, "there is no control `ACC-1`; did you mean `ACC-01`?");
    ended(&["cis-eks-1.8"], 2, "there is no policy `cis-eks-1.8`; did you mean `cis-eks-1.8.0`?");
    ended(&["--exceptions", "/does/not/exist.yaml"], 2, "/does/not/exist.yaml: does not exist");
    ended(&["--level", "3"], 64, "--level");
    ended(&["--format", "xml"], 64, "xml");
    ended(&["--label", "no-value"], 64, "KEY=VALUE");
    let nowhere = said(&["check", "--root", "/does/not/exist"]);
    assert!(nowhere.code == 2 && nowhere.err.contains("/does/not/exist"), "{} {}", nowhere.code, nowhere.err);
}

/// Without root, on a root that this user may not enter, there is nothing to report on.
#[test]
fn a_root_that_may_not_be_entered_ends_with_2() {
    let image = Image::new();
    fs::set_permissions(image.dir.path(), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(image.path("root"), Permissions::from_mode(0o700)).unwrap();
    let mut check = program(&["check", "--root", image.path("root").join("etc").to_str().unwrap()]);
    if fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0) {
        // Whoever else may run the program: it lies where the build put it.
        check = nobody(&image, check.get_args());
    } else {
        fs::set_permissions(image.path("root"), Permissions::from_mode(0o000)).unwrap();
    }
    let output = started(&mut check);
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && err.contains("permission denied"), "{} {err}", output.status);
    fs::set_permissions(image.path("root"), Permissions::from_mode(0o700)).unwrap();
}

/// What the command said. A child that another test started at the moment of the copy holds the copy open for writing until it
/// is a program itself, and so long nobody can start it (ETXTBSY).
fn started(command: &mut std::process::Command) -> std::process::Output {
    for _ in 0..100 {
        match command.output() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            other => return other.unwrap(),
        }
    }
    panic!("the copy of the program stays busy");
}

/// The same command by a user without rights, with a copy of the program that he can reach.
fn nobody<'a>(image: &Image, args: impl Iterator<Item = &'a std::ffi::OsStr>) -> std::process::Command {
    let copy = image.path("safeguard-agent");
    fs::copy(env!("CARGO_BIN_EXE_safeguard-agent"), &copy).unwrap();
    assert_eq!(file_mode(&copy) & 0o111, 0o111);
    let mut command = std::process::Command::new(copy);
    command.args(args).env_clear().uid(65_534).gid(65_534);
    command
}

#[test]
fn levels_and_choices_narrow_what_is_asked() {
    let image = Image::new();
    let controls = |args: &[&str]| {
        let report: Value = serde_json::from_str(&image.check(&[&["--format", "json"], args].concat()).out).unwrap();
        let policies = report["policies"].as_array().unwrap().clone();
        policies.iter().flat_map(|p| p["findings"].as_array().unwrap().clone()).collect::<Vec<_>>()
    };
    let all = controls(&[]);
    let first = controls(&["--level", "1"]);
    assert!(first.len() < all.len() && first.iter().all(|f| f["level"] == 1));
    assert_eq!(controls(&["cis-eks-1.8.0"]).len(), 13);
    let two = controls(&["--only", "ACC-01", "--only", "cis-eks-1.8.0/3.2.1"]);
    let ids: Vec<_> = two.iter().map(|f| f["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["node-1/cis-eks-1.8.0/3.2.1", "node-1/eks-node-hardening/ACC-01"]);
}

/// An exceptions file for one control.
fn exceptions(control: &str, expires: &str) -> String {
    format!(
        "exceptions:\n  - control: {control}\n    reason: the vendor insists\n    owner: jane\n    ticket: SEC-7\n    expires: {expires}\n"
    )
}

#[test]
fn an_exception_covers_a_failure_until_its_day() {
    let (image, one) = (Image::with_another_root(), "eks-node-hardening/ACC-01");
    let with = |text: &str| {
        let file = image.write("exceptions.yaml", text);
        image.finding(&["--only", "ACC-01", "--exceptions", &file])
    };
    let (code, finding) = with(&exceptions(one, "2999-12-31"));
    assert_eq!((code, finding["status"].as_str()), (0, Some("excepted")), "{finding}");
    assert_eq!(finding["exception"]["owner"], "jane");
    assert!(finding["evidence"].to_string().contains("toor"), "it is looked at all the same: {finding}");

    let (code, finding) = with(&exceptions(one, "2020-12-31"));
    assert_eq!((code, finding["status"].as_str()), (1, Some("fail")), "{finding}");
    assert_eq!(finding["exception"]["state"], "expired");

    image.write("root/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n");
    let (code, finding) = with(&exceptions(one, "2999-12-31"));
    assert_eq!((code, finding["status"].as_str()), (0, Some("pass")), "{finding}");
    assert_eq!(finding["exception"]["state"], "no-longer-needed");
    let table = image.check(&["--only", "ACC-01", "--exceptions", image.path("exceptions.yaml").to_str().unwrap()]).out;
    assert!(table.contains("exceptions that can go: eks-node-hardening/ACC-01"), "{table}");
}

#[test]
fn an_exception_for_what_there_is_not_names_the_nearest() {
    let image = Image::new();
    let file = image.write("exceptions.yaml", &exceptions("eks-node-hardening/ACC-1", "2999-12-31"));
    let Said { code, out, err } = image.check(&["--exceptions", &file]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains(&format!("{file}:2")) && err.contains("did you mean `eks-node-hardening/ACC-01`?"), "{err}");
}

/// As one writes it beside the file: not from `/`.
#[test]
fn files_are_found_from_where_one_is() {
    let image = Image::with_another_root();
    image.write("mine.yaml", &exceptions("eks-node-hardening/ACC-01", "2999-12-31"));
    let mut check = program(&["check", "--root", "root", "--only", "ACC-01", "--exceptions", "mine.yaml"]);
    let output = check.current_dir(image.dir.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn junit_is_whole_and_says_why() {
    let said = Image::with_another_root().check(&["--format", "junit", "--level", "1"]);
    assert_eq!(said.code, 1);
    let mut open = Vec::new();
    // Text and values have these three escaped, so every `<` begins a tag.
    for tag in said.out.split('<').skip(1).map(|rest| rest.split_once('>').unwrap().0) {
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name.to_owned()), "{tag}");
        } else if !tag.ends_with('/') && !tag.starts_with(['?', '!']) {
            open.push(tag.split_whitespace().next().unwrap().to_owned());
        }
    }
    assert_eq!(open, Vec::<String>::new());
    let failure = said.out.split("<testcase ").find(|case| case.contains("name=\"ACC-01 ")).unwrap();
    assert!(failure.contains("<failure") && failure.contains("toor"), "{failure}");
    let count = |what: &str| said.out.matches(&format!("<{what}")).count().to_string();
    let first = said.out.lines().nth(1).unwrap();
    assert!(first.contains(&format!("failures=\"{}\"", count("failure"))), "{first}");
    assert!(first.contains(&format!("tests=\"{}\"", count("testcase"))), "{first}");
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = Image::with_another_root().check(&["--format", "html"]).out;
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    assert!(page.contains("toor") && page.contains("Nobody but root is root"), "what fails, and why, is on it");
    for outside in ["src=", "<link", "<script", "@import", "url(", "http-equiv"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

/// What somebody wrote into a file of the host is shown as text, whatever it is.
#[test]
fn the_host_cannot_write_into_the_report() {
    let image = Image::new();
    let name = "<script>alert(1)</script>&\"\u{1b}[2J";
    image.write("root/etc/passwd", &format!("root:x:0:0:::\n{name}:x:0:0:::\n"));
    for format in ["html", "junit", "table"] {
        let out = image.check(&["--only", "ACC-01", "--format", format]).out;
        assert!(out.contains("alert(1)"), "{format}: {out}");
        assert!(!out.contains('\u{1b}'), "{format}");
        assert!(format == "table" || !out.contains("<script>"), "{format}: {out}");
    }
}

#[test]
fn one_control_is_explained() {
    let image = Image::with_another_root();
    let root = image.path("root");
    let explain = |id: &str| said(&["check", "explain", id, "--root", root.to_str().unwrap()]);
    let Said { code, out, .. } = explain("ACC-01");
    assert_eq!(code, 0, "to have been told is no finding");
    for part in
        ["eks-node-hardening/ACC-01", "against it", "toor", "why ", "remedy ", "userdel NAME", "HIPAA", "164.312"]
    {
        assert!(out.contains(part), "{part:?} is not in {out}");
    }
    assert!(!out.contains("\\n"), "{out}");
    // What is to be copied into a file stays as it is.
    let sysctl = explain("KRN-08").out;
    assert!(sysctl.lines().any(|line| line.trim() == "kernel.randomize_va_space = 2"), "{sysctl}");
    let unknown = explain("ACC-1");
    assert!(unknown.code == 2 && unknown.err.contains("did you mean `ACC-01`?"), "{}", unknown.err);
}

#[test]
fn diff_names_what_changed() {
    let image = Image::new();
    let report = |name: &str| image.write(name, &image.check(&["--format", "json"]).out);
    let before = report("before.json");
    image.write("root/etc/passwd", "root:x:0:0:::\ntoor:x:0:0:::\n");
    let after = report("after.json");
    let same = said(&["check", "diff", &before, &before]);
    assert_eq!((same.code, same.out.as_str()), (0, "nothing changed\n"));
    let diff = said(&["check", "diff", &before, &after]);
    assert_eq!(diff.code, 1);
    let changed = diff.out.lines().filter(|line| line.contains("->")).collect::<Vec<_>>();
    assert!(changed.iter().any(|line| line.starts_with("eks-node-hardening/ACC-01 ")), "{changed:?}");
    let expected = |line: &&&str| line.starts_with("eks-node-hardening/ACC-") || line.contains(": coverage ");
    assert_eq!(changed.iter().filter(expected).count(), changed.len(), "{changed:?}");
    for (file, part) in [("/does/not/exist.json", "exist"), (&*image.write("x.json", "{}"), "is no report")] {
        let bad = said(&["check", "diff", &before, file]);
        assert!(bad.code == 2 && bad.err.contains(file) && bad.err.contains(part), "{} {}", bad.code, bad.err);
    }
}

#[test]
fn policies_are_listed_and_shown() {
    let list = said(&["policy", "list"]);
    assert_eq!(list.code, 0);
    for name in ["cis-eks-1.8.0", "cis-kubernetes-1.12-worker", "eks-node-hardening"] {
        assert!(list.out.lines().any(|line| line.starts_with(name)), "{name} is not in {}", list.out);
        let shown = said(&["policy", "show", name, "--format", "json"]);
        let policy: Value = serde_json::from_str(&shown.out).unwrap();
        assert_eq!((shown.code, policy["policy"].as_str()), (0, Some(name)));
    }
    let shown = said(&["policy", "show", "eks-node-hardening"]).out;
    assert!(shown.contains("ACC-01") && shown.contains("userdel NAME"), "what, and how to mend it");
    assert_eq!(said(&["policy", "show", "nope"]).code, 64);
    let rows: Value = serde_json::from_str(&said(&["policy", "list", "--format", "json"]).out).unwrap();
    assert!(rows.as_array().unwrap().iter().all(|row| row["digest"].as_str().unwrap().len() == 64), "{rows}");
    let schema: Value = serde_json::from_str(&said(&["policy", "schema"]).out).unwrap();
    assert!(schema["$schema"].is_string() && schema.to_string().contains("audit_rule"));
}

/// A policy of the operator's own: what is wrong with it, and what it finds once it is right.
#[test]
fn a_policy_of_ones_own_is_linted_and_asked() {
    const MINE: &str = "policy: mine\nversion: \"1\"\ntitle: Mine\nsource: Our own.\ncontrols:\n  - id: A-1\n    title: No second root\n    level: 1\n    assessment: automated\n    severity: high\n    check:\n      accounts: only-root-has-uid-zero\n    why: Because.\n    remedy: userdel\n    hipaa: [\"164.312(d)\"]\n";
    let image = Image::with_another_root();
    fs::create_dir(image.path("policies.d")).unwrap();
    let directory = image.path("policies.d");
    let file = image.write("policies.d/mine.yaml", MINE);
    let good = said(&["policy", "lint", &file]);
    assert_eq!(
        (good.code, good.out.trim_end()),
        (0, &*format!("{file}: can be used: policy mine with 1 controls")),
        "{}",
        good.err
    );
    let mine = ["mine", "--policy-dir", directory.to_str().unwrap()];
    let (code, finding) = image.finding(&mine);
    assert_eq!((code, finding["id"].as_str()), (1, Some("node-1/mine/A-1")));

    for (wrong, line, parts) in [
        ("accounts: only-root-has-uid-zeroo", 12, ["controls[0].check.accounts", "only-root-has-uid-zero`?"]),
        ("account: only-root-has-uid-zero", 12, ["controls[0].check", "did you mean `accounts`?"]),
    ] {
        let file = image.write("policies.d/mine.yaml", &MINE.replace("accounts: only-root-has-uid-zero", wrong));
        let bad = said(&["policy", "lint", &file]);
        assert_eq!(bad.code, 1);
        assert!(bad.err.starts_with(&format!("{file}:{line}")), "{}", bad.err);
        assert!(parts.iter().all(|part| bad.err.contains(part)), "{parts:?}: {}", bad.err);
        // A policy that cannot be used is no reason to report on the others as if it were not there.
        let run = image.check(&mine);
        assert!(run.code == 2 && run.err.contains(&file), "{} {}", run.code, run.err);
    }
    let exceptions = image.write("exceptions.yaml", &exceptions("eks-node-hardening/ACC-01", "never"));
    let bad = said(&["policy", "lint", &exceptions]);
    assert!(bad.code == 1 && bad.err.contains("expires"), "{} {}", bad.code, bad.err);
}
