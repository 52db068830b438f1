//! The container `redirect-check`: what it runs mends the redirect again and again.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use safeguard_proxy::redirect::State;
use safeguard_tests::built::program;
use safeguard_tests::fabric::{Fabric, Place, Wiring};
use safeguard_tests::helm::{objects, only};
use safeguard_tests::parts::{Part, here};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// A container's arguments, as the chart has them.
fn arguments(name: &str) -> Vec<String> {
    let objects = objects("safeguard-agent", "default");
    let spec = &only(&objects, "DaemonSet")["spec"]["template"]["spec"];
    let all = [&spec["initContainers"], &spec["containers"]].map(|list| list.as_array().unwrap().clone()).concat();
    let container = all.into_iter().find(|container| container["name"] == name).unwrap();
    container["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap().to_owned()).collect()
}

/// A node whose redirect was brought up by the one container, and the other one at work.
struct Node {
    fabric: Fabric,
    dir: tempfile::TempDir,
    check: Child,
}

impl Node {
    fn new() -> Self {
        let fabric = Fabric::build(Wiring::Vpc, 1).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("redirect.json");
        let settings = dir.path().join("proxy.toml");
        std::fs::write(&settings, format!("[redirect]\nstate_file = \"{}\"\n", state.display())).unwrap();
        let up = Self::command(&fabric, &settings, &arguments("redirect-up")).output().unwrap();
        assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
        // Only sooner, since nobody waits for a minute here.
        let mut every = arguments("redirect-check");
        let pause = every.iter().position(|argument| argument == "--every").expect("it repeats") + 1;
        every[pause] = "1s".to_owned();
        let said = File::create(dir.path().join("said")).unwrap();
        let check = Self::command(&fabric, &settings, &every).stdout(said).stdin(Stdio::null()).spawn().unwrap();
        Self { fabric, dir, check }
    }

    fn command(fabric: &Fabric, settings: &Path, arguments: &[String]) -> Command {
        let mut command = fabric.command_in(Place::Node, program("safeguard-proxy").to_str().unwrap());
        command.args(arguments).arg("--config").arg(settings);
        command
    }

    /// What it has printed: one line of JSON a report.
    fn said(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.dir.path().join("said")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn state(&self) -> Option<State> {
        State::read(&self.dir.path().join("redirect.json")).ok()
    }

    /// Waits until the state is as it should be.
    fn comes(&self, what: &str, wanted: impl Fn(&State) -> bool) -> State {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(state) = self.state().filter(|state| wanted(state)) {
                return state;
            }
            assert!(Instant::now() < until, "{what}: {:?}, {:?}", self.state(), self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.check.kill());
        drop(self.check.wait());
    }
}

#[test]
fn what_is_taken_away_comes_back_and_is_told_once() {
    let name = "chart::redirect::what_is_taken_away_comes_back_and_is_told_once";
    if !here(name, Part::Helm) || !here(name, Part::Network) {
        return;
    }
    let mut node = Node::new();
    let first = node.comes("it is checked", |state| state.ok);
    let nft = node.fabric.command_in(Place::Node, "nft").args(["flush", "ruleset"]).status().unwrap();
    assert!(nft.success());
    let mended = node.comes("the table is back", |state| state.ok && state.generation == first.generation + 1);
    // Whole again, and nothing to mend: that is news once more, and then no more.
    node.comes("it is checked again", |state| state.at_ms > mended.at_ms);
    let last = node.comes("and again", |state| state.at_ms > mended.at_ms + 3_000);
    assert_eq!(last.generation, mended.generation);
    let said = node.said();
    let mended: Vec<usize> = said.iter().map(|report| report["mended"].as_array().unwrap().len()).collect();
    assert!(matches!(*mended.as_slice(), [0, some, 0] if some > 0), "{mended:?}: {said:#?}");
    // As the kubelet ends it.
    kill(Pid::from_raw(node.check.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert_eq!(node.check.wait().unwrap().code(), Some(0));
    let settings = node.dir.path().join("proxy.toml");
    let check = Node::command(&node.fabric, &settings, &["redirect", "check"].map(str::to_owned)).output().unwrap();
    assert!(check.status.success(), "the redirect stays: {}", String::from_utf8_lossy(&check.stdout));
}
