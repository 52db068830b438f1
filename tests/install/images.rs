//! The container images: built by `packaging/images/build` from the programs beside this test, looked into, and run by containerd.

mod agent;
mod archive;
mod contents;
mod names;
mod proxy;
mod safeguard;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use safeguard_tests::built::program;
use safeguard_tests::containerd::Container;
use tokio::time::Instant;

use archive::Archive;

/// All of them.
const IMAGES: [&str; 4] = ["safeguard", "safeguard-agent", "safeguard-proxy", "safeguard-redirect"];

/// The time of everything in them.
const EPOCH: u64 = 1_700_000_000;

const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";
const SOURCE: &str = "https://git.example/safeguard";

/// How long something that has to come is waited for.
const PATIENCE: Duration = Duration::from_secs(45);

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/images/build")
}

/// Builds images into a directory.
fn build(out: &Path, images: &[&str]) {
    let programs = program("safeguard");
    let output = Command::new(script())
        .args(["--strip", "--revision", REVISION, "--source", SOURCE, "--programs"])
        .arg(programs.parent().unwrap())
        .arg("--out")
        .arg(out)
        .args(images)
        .env("SOURCE_DATE_EPOCH", EPOCH.to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The archive of an image. All are built by the first who asks.
fn archive(image: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let dir = BUILT.get_or_init(|| {
        // Stays until the next run: what failed can be looked into.
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("images");
        build(&dir, &[]);
        dir
    });
    dir.join(format!("{image}.oci.tar"))
}

/// The name by which an image is known to whom its archive is given.
fn name(image: &str) -> String {
    Archive::read(&archive(image)).name
}

/// What a container has written.
fn said(container: &Container) -> String {
    let log = std::fs::read_to_string(container.log_path()).unwrap();
    // Time, stream and tag come before it.
    let lines: Vec<&str> = log.lines().filter_map(|line| line.splitn(4, ' ').nth(3)).collect();
    lines.join("\n")
}

/// Waits until something holds, and says what the container said if it does not.
async fn until(what: &str, container: &Container, mut holds: impl FnMut() -> bool) {
    let late = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < late, "{what}: {}", said(container));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
