//! A file system of its own, so small that it fills.

#![expect(clippy::disallowed_methods, reason = "it is the disk of a test")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// A tmpfs over a directory, which is made if it is not there, until this is dropped.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts it; `size` as tmpfs(5) has it. `None` where the kernel does not let us: it takes root.
    #[must_use]
    pub fn mount(at: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(at).ok()?;
        let options = format!("size={size},mode=0700");
        mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some(options.as_str())).ok()?;
        Some(Self(at.to_owned()))
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        let Ok(mut filler) = File::create(self.filler()) else { return };
        while filler.write(&[0; 4_096]).is_ok_and(|written| written > 0) {}
    }

    /// Gives that room back.
    pub fn clear(&self) {
        // It fails only when nothing was filled.
        fs::remove_file(self.filler()).ok();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // It fails only when it is gone already.
        umount2(&self.0, MntFlags::MNT_DETACH).ok();
    }
}
