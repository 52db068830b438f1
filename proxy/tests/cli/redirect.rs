//! `redirect up|check|down` in a network namespace that the test makes: nothing outside of it is touched or asked.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::texts;

/// A node's network that lives as long as the test.
struct Net {
    dir: TempDir,
}

impl Net {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("redirect.json");
        fs::write(dir.path().join("proxy.toml"), format!("[redirect]\nstate_file = {state:?}\n")).unwrap();
        Self { dir }
    }

    fn state(&self) -> Value {
        serde_json::from_slice(&fs::read(self.dir.path().join("redirect.json")).unwrap()).unwrap()
    }

    /// Runs a script in a new network namespace; `$P` is the program, and `$C` names its settings.
    fn run(&self, script: &str) -> (i32, String, String) {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-euc", &format!("ip link set lo up\n{script}")]);
        command.env("P", env!("CARGO_BIN_EXE_safeguard-proxy"));
        command.env("C", format!("--config={}", self.dir.path().join("proxy.toml").display()));
        texts(command.stdin(Stdio::null()).output().unwrap())
    }
}

/// Whether namespaces can be made and nftables written; if not, says so by the test's name. In CI that is a failure.
fn can(test: &str) -> bool {
    let mut try_it = Command::new("unshare");
    try_it.args(["--net", "nft", "list", "tables"]).stdout(Stdio::null()).stderr(Stdio::null());
    if try_it.status().is_ok_and(|status| status.success()) && Path::new("/proc/self/ns/net").exists() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{test} cannot run: it needs root, unshare and nft");
    // Past the test runner's capture, which would keep it to itself: a test that did not run counts as passed.
    std::io::stderr().write_all(format!("not run: {test}: it needs root, unshare and nft\n").as_bytes()).unwrap();
    false
}

#[test]
fn a_redirect_comes_up_is_proved_mended_and_goes_again() {
    if !can("a_redirect_comes_up_is_proved_mended_and_goes_again") {
        return;
    }
    let net = Net::new();
    let (code, out, err) = net.run(
        "$P redirect up $C; $P redirect up $C
         $P redirect check $C
         nft flush ruleset
         $P redirect check $C && exit 90 || test $? = 1
         $P redirect check $C --repair
         $P redirect check $C --format json
         nft list tables | grep -q safeguard || exit 91
         $P redirect down $C
         test -e $STATE && exit 92; nft list tables | grep safeguard && exit 93; exit 0"
            .replace("$STATE", net.dir.path().join("redirect.json").to_str().unwrap())
            .as_str(),
    );
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    for part in ["169.254.169.254:80 to 169.254.168.252:8181", "All layers hold.", "table    BROKEN", "mended: table:"]
    {
        assert!(out.contains(part), "{part} is not in {out}");
    }
    assert!(out.contains("\"ok\": true") && out.ends_with("and with it the node's credentials.\n"), "{out}");
}

#[test]
fn what_was_never_up_is_told_layer_by_layer_and_kept_for_others() {
    if !can("what_was_never_up_is_told_layer_by_layer_and_kept_for_others") {
        return;
    }
    let net = Net::new();
    let (code, out, _) = net.run("$P redirect check $C");
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("routing  BROKEN") && out.contains("check --repair"), "{out}");
    assert_eq!(net.state()["ok"], false);
}

#[test]
fn settings_that_cannot_be_used_change_nothing() {
    if !can("settings_that_cannot_be_used_change_nothing") {
        return;
    }
    let net = Net::new();
    fs::write(net.dir.path().join("proxy.toml"), "[redirect]\naddress_v4 = \"127.0.0.1\"\n").unwrap();
    for command in ["up", "down", "check"] {
        let (code, out, err) = net.run(&format!("$P redirect {command} $C || {{ e=$?; nft list tables; exit $e; }}"));
        assert!((code, out.as_str()) == (64, "") && err.contains("`redirect.address_v4`"), "{command}: {code} {err}");
    }
}
