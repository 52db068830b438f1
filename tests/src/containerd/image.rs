//! A container image made of the one static `busybox` binary, packed without a registry.

use anyhow::Context as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// Name of the image that test containers run.
pub(super) const IMAGE: &str = "localhost/busybox:1";

/// Name of the same image when it holds a pod's namespaces. Its default command sleeps.
pub(super) const PAUSE_IMAGE: &str = "localhost/pause:1";

/// Where Debian's package `busybox-static` puts its binary.
const BUSYBOX: &str = "/bin/busybox";

/// The commands that exist in the image, as links to `busybox`.
const COMMANDS: [&str; 22] = [
    "awk", "cat", "date", "dd", "echo", "env", "false", "head", "kill", "ls", "printf", "ps", "seq", "sh", "sleep",
    "stty", "tail", "tr", "true", "wc", "wget", "yes",
];

/// The image as `docker save` lays it out, which `ctr images import` reads.
pub(super) fn archive() -> anyhow::Result<Vec<u8>> {
    let layer = layer()?;
    let config = serde_json::to_vec(&json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "Env": ["PATH=/bin"],
            // `busybox sleep` takes no "infinity" in every build; this is 68 years.
            "Cmd": ["/bin/sleep", "2147483647"],
            "WorkingDir": "/",
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", hex(&Sha256::digest(&layer)))] },
        "history": [{ "created_by": "busybox" }],
    }))?;
    let manifest = serde_json::to_vec(&json!([
        { "Config": "config.json", "RepoTags": [IMAGE, PAUSE_IMAGE], "Layers": ["layer.tar"] }
    ]))?;

    let mut archive = Builder::new(Vec::new());
    for (path, content) in [("config.json", &config), ("layer.tar", &layer), ("manifest.json", &manifest)] {
        append_file(&mut archive, path, 0o644, content)?;
    }
    Ok(archive.into_inner()?)
}

fn layer() -> anyhow::Result<Vec<u8>> {
    let busybox = std::fs::read(BUSYBOX).with_context(|| format!("read {BUSYBOX} (install busybox-static)"))?;
    // A dynamic binary would fail inside the container with a "no such file" that names the wrong file.
    anyhow::ensure!(is_static(&busybox), "{BUSYBOX} is not static (install busybox-static)");

    let mut layer = Builder::new(Vec::new());
    for directory in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
        let mut header = header(EntryType::Directory, 0o755, 0);
        layer.append_data(&mut header, format!("{directory}/"), std::io::empty())?;
    }
    append_file(&mut layer, "bin/busybox", 0o755, &busybox)?;
    for command in COMMANDS {
        let mut header = header(EntryType::Symlink, 0o777, 0);
        layer.append_link(&mut header, format!("bin/{command}"), "busybox")?;
    }
    Ok(layer.into_inner()?)
}

fn append_file(archive: &mut Builder<Vec<u8>>, path: &str, mode: u32, content: &[u8]) -> anyhow::Result<()> {
    let mut header = header(EntryType::Regular, mode, u64::try_from(content.len())?);
    archive.append_data(&mut header, path, content)?;
    Ok(())
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Whether an ELF file names no interpreter. The name is a plain string near the start of a dynamic binary.
fn is_static(elf: &[u8]) -> bool {
    let start = &elf[..elf.len().min(4096)];
    !start.windows(8).any(|window| window == b"/ld-linu")
}

/// The architecture's name in image configurations.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "x86_64" => "amd64",
        other => other,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
