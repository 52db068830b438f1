//! `serve` from its command line: how it starts, and how it ends.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::{program, texts};

/// For anything that a healthy program does at once; the machine may be busy.
const PATIENCE: u32 = 600;
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A proxy whose Kubernetes does not answer, so that it never gets to its first pod.
struct Node {
    dir: TempDir,
}

impl Node {
    fn new() -> Self {
        let node = Self { dir: tempfile::tempdir().unwrap() };
        node.settings("[node]\nname = \"node-7\"\n[aws]\nregion = \"eu-central-1\"\n");
        node
    }

    fn settings(&self, more: &str) {
        let dir = self.dir.path().display();
        let text = format!(
            "proxy = {{ listen = [\"127.0.0.1:0\"], socket = \"{dir}/proxy.sock\", lock = \"{dir}/proxy.lock\", metrics = \"off\" }}\n\
             kubernetes = {{ url = \"http://127.0.0.1:9\", token_file = \"{dir}/token\" }}\n\
             roles = {{ base_arn = \"arn:aws:iam::123456789012:role/\" }}\n\
             redirect = {{ state_file = \"{dir}/redirect.json\" }}\n{more}"
        );
        fs::write(self.dir.path().join("proxy.toml"), text).unwrap();
    }

    fn args(&self) -> Vec<String> {
        vec!["serve".to_owned(), "--config".to_owned(), self.dir.path().join("proxy.toml").display().to_string()]
    }

    fn run(&self) -> (i32, String, String) {
        let args = self.args();
        texts(program(&args.iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap())
    }

    fn start(&self) -> Running {
        let args = self.args();
        let mut command = program(&args.iter().map(String::as_str).collect::<Vec<_>>());
        Running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
    }
}

/// Killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The lock is taken before anything slow, and says whose it is.
fn wait_for_pid(lock: &Path, running: &Running) {
    let pid = running.0.id().to_string();
    let held = || fs::read_to_string(lock).is_ok_and(|text| text.trim() == pid);
    for _ in 0..PATIENCE {
        if held() {
            return;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    panic!("nobody holds {}", lock.display());
}

#[test]
fn a_second_proxy_on_a_node_ends_with_75_and_the_first_at_once_when_it_is_told_to() {
    let node = Node::new();
    let mut first = node.start();
    wait_for_pid(&node.dir.path().join("proxy.lock"), &first);
    let (code, out, err) = node.run();
    assert_eq!((code, out.as_str()), (75, ""), "{err}");
    assert!(err.contains(&format!("held by pid {}", first.0.id())), "{err}");

    kill(Pid::from_raw(i32::try_from(first.0.id()).unwrap()), Signal::SIGTERM).unwrap();
    let ended = (0..PATIENCE).find_map(|_| {
        std::thread::sleep(LOOK_EVERY);
        first.0.try_wait().unwrap()
    });
    let mut said = String::new();
    first.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(ended.and_then(|status| status.code()), Some(0), "{said}");
}

#[test]
fn settings_that_cannot_be_used_end_with_64() {
    let node = Node::new();
    node.settings("[limits]\nconnections = 0\n");
    let (code, _, err) = node.run();
    assert!(code == 64 && err.contains("`limits.connections` = 0"), "{code} {err}");
}

#[test]
fn a_node_that_is_not_known_names_the_keys_to_set() {
    let node = Node::new();
    node.settings("");
    let (code, _, err) = node.run();
    assert_eq!(code, 1, "{err}");
    for part in ["Set `node.name`", "NODE_NAME", "Set `aws.region`", "AWS_REGION"] {
        assert!(err.contains(part), "{part} is not in {err}");
    }
    assert!(!err.contains("roles.base_arn"), "{err}");
}
