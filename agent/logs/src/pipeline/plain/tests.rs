#![expect(clippy::disallowed_methods, reason = "a test writes the files it reads")]

//! Moments between a look and a listing that real rotation hits only under load.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use safeguard_host::HostRoot;
use tempfile::TempDir;

use super::*;
use crate::discover::{PathGlob, list_plain};
use crate::pipeline::files::Look;

/// A directory with one log, and what the room knows of it.
struct Rig {
    root: TempDir,
    host: HostRoot,
    files: Vec<LogFile>,
    next: FileNo,
    now: Instant,
}

fn lines(from: usize, to: usize) -> String {
    (from..to).map(|n| format!("2026-11-24 07:00:00 line {n:04}\n")).collect()
}

impl Rig {
    /// `a.log` with 100 lines, all of them delivered.
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let host = HostRoot::open(root.path()).unwrap();
        let mut rig = Self { root, host, files: Vec::new(), next: 1, now: Instant::now() };
        rig.append("a.log", &lines(0, 100));
        assert!(!rig.reconcile());
        rig.deliver(0);
        rig
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.root.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = std::fs::File::options().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn cut(&self, name: &str) {
        std::fs::File::options().write(true).open(self.path(name)).unwrap().set_len(0).unwrap();
    }

    fn gzip(&self, name: &str, text: &str) {
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        gz.write_all(text.as_bytes()).unwrap();
        std::fs::write(self.path(name), gz.finish().unwrap()).unwrap();
    }

    /// Lists the directory, without looking at open files before.
    fn reconcile(&mut self) -> bool {
        let dir = self.host.dir("/".as_ref()).unwrap();
        let listing = list_plain("/".as_ref(), &dir, &[PathGlob::new("/a.log").unwrap()], &[]).unwrap();
        let found = listing.logs.into_values().next().unwrap();
        let complain = |error: String| panic!("{error}");
        reconcile_plain(&mut self.files, &dir, &found, 1, &mut self.next, self.now, complain)
    }

    /// All that is there now of a file is read and accepted.
    fn deliver(&mut self, index: usize) {
        let file = &mut self.files[index];
        file.look(self.now).unwrap();
        let size = file.size;
        file.settled.insert(0..size);
        file.tail = crate::tail::Tail::resume(&file.settled);
        assert_eq!(file.look(self.now).unwrap(), Look::Same);
        assert!(file.mark.is_some());
    }

    /// Looks, and makes two of a file that was cut.
    fn look(&mut self) {
        if self.files[0].look(self.now).unwrap() == Look::Cut {
            let old = self.files[0].split_off(self.next, self.now).unwrap();
            self.next += 1;
            self.files.insert(0, old);
        }
    }

    fn names(&self) -> Vec<String> {
        self.files.iter().map(|f| f.name.to_string_lossy().into_owned()).collect()
    }
}

/// logrotate's `copytruncate`: the original is cut after it was looked at and before its copy is opened.
#[tokio::test]
async fn the_copy_of_a_file_that_was_just_cut_is_no_new_file() {
    let mut rig = Rig::new();
    std::fs::copy(rig.path("a.log"), rig.path("a.log.1")).unwrap();
    rig.cut("a.log");
    assert!(rig.reconcile(), "the copy is looked at again");
    assert_eq!(rig.names(), ["a.log"], "and is no file of its own");
    rig.look();
    rig.reconcile();
    assert_eq!(rig.names(), ["a.log.1", "a.log"]);
    assert!(!rig.files[0].has_unread(), "everything in the copy was delivered");
}

/// The same while the copy is still short.
#[tokio::test]
async fn half_a_copy_of_a_file_that_was_just_cut_is_no_new_file() {
    let mut rig = Rig::new();
    rig.append("a.log.1", &lines(0, 3));
    rig.cut("a.log");
    assert!(rig.reconcile());
    assert_eq!(rig.names(), ["a.log"]);
}

/// The same with `compress`, once the copy is compressed: it holds what the original does not hold any more.
#[tokio::test]
async fn the_compressed_copy_of_a_file_that_was_just_cut_is_no_new_file() {
    let mut rig = Rig::new();
    rig.gzip("a.log.1.gz", &lines(0, 100));
    rig.cut("a.log");
    rig.append("a.log", &lines(100, 120));
    assert!(rig.reconcile(), "the compressed copy is looked at again");
    assert_eq!(rig.names(), ["a.log"], "and is no file of its own");
    rig.look();
    rig.reconcile();
    assert_eq!(rig.names(), ["a.log.1.gz", "a.log"]);
    assert_eq!(rig.files[0].tail.position(), lines(0, 100).len() as u64, "reading goes on where it was");
}

/// The same while the copy that it was made of is still there: both are whole, and nobody has seen one without the other.
#[tokio::test]
async fn of_a_copy_and_its_compressed_form_one_is_read() {
    let mut rig = Rig::new();
    std::fs::copy(rig.path("a.log"), rig.path("a.log.1")).unwrap();
    rig.gzip("a.log.1.gz", &lines(0, 100));
    rig.cut("a.log");
    rig.look();
    assert!(rig.reconcile(), "the compressed form is looked at again");
    assert_eq!(rig.names(), ["a.log.1", "a.log"]);
    assert!(!rig.files[0].has_unread(), "everything in the copy was delivered");
    std::fs::remove_file(rig.path("a.log.1")).unwrap();
    assert!(!rig.reconcile());
    assert_eq!(rig.names(), ["a.log.1.gz", "a.log"]);
    assert!(!rig.files[0].has_unread());
}

/// Files that start alike, as with a banner: what an older one holds, compressed, is not in the one that is written now.
#[tokio::test]
async fn the_compressed_form_of_an_older_file_that_starts_alike_is_a_file() {
    let mut rig = Rig::new();
    rig.gzip("a.log.1.gz", &(lines(0, 20) + &lines(500, 700)));
    assert!(!rig.reconcile());
    assert_eq!(rig.names(), ["a.log.1.gz", "a.log"]);
    assert!(rig.files[0].has_unread());
}

/// What was cut and has grown to the very size it had is another file: without this its lines were never read.
#[tokio::test]
async fn a_file_that_was_cut_and_has_its_old_size_again_is_seen() {
    let mut rig = Rig::new();
    // Kernels keep times of files in steps of their tick.
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    rig.cut("a.log");
    rig.append("a.log", &lines(100, 200));
    assert_eq!(rig.files[0].look(rig.now).unwrap(), Look::Cut);
}

/// `copytruncate` with `compress`: the compressed form is half made beside the copy.
#[tokio::test]
async fn a_half_made_gz_does_not_take_the_place_of_the_copy_it_is_made_of() {
    let mut rig = Rig::new();
    rig.append("a.log", &lines(100, 200));
    std::fs::copy(rig.path("a.log"), rig.path("a.log.1")).unwrap();
    rig.cut("a.log");
    let mut half = GzEncoder::new(Vec::new(), Compression::fast());
    half.write_all(lines(0, 20).as_bytes()).unwrap();
    half.flush().unwrap();
    std::fs::write(rig.path("a.log.1.gz"), half.get_ref()).unwrap();
    rig.look();
    assert!(rig.reconcile(), "the compressed form is looked at again");
    assert_eq!(rig.names(), ["a.log.1", "a.log"]);
    assert_eq!(rig.files[0].tail.position(), lines(0, 100).len() as u64, "reading goes on where it was");
}
