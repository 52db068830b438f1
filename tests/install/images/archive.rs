//! What is in an image: its archive, as the OCI image specification lays it out.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::Value;
use tar::EntryType;

/// A file or directory of an image's only layer.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) kind: EntryType,
    pub(super) mode: u32,
    pub(super) owner: (u64, u64),
    pub(super) time: u64,
    pub(super) bytes: Vec<u8>,
}

/// An image.
#[derive(Debug)]
pub(super) struct Archive {
    /// The whole name, with the tag.
    pub(super) name: String,
    /// The OCI image configuration.
    pub(super) config: Value,
    pub(super) entries: Vec<Entry>,
}

impl Archive {
    pub(super) fn read(path: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut archive = tar::Archive::new(File::open(path).unwrap());
        for file in archive.entries().unwrap() {
            let mut file = file.unwrap();
            let name = file.path().unwrap().to_str().unwrap().trim_start_matches("./").to_owned();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            files.insert(name, bytes);
        }
        let json = |bytes: &[u8]| -> Value { serde_json::from_slice(bytes).unwrap() };
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().unwrap();
            &files[&format!("blobs/{}", digest.replace(':', "/"))]
        };
        let index = json(&files["index.json"]);
        let [descriptor] = index["manifests"].as_array().unwrap().as_slice() else { panic!("one image: {index}") };
        let name = descriptor["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap().to_owned();
        let manifest = json(blob(descriptor));
        let [layer] = manifest["layers"].as_array().unwrap().as_slice() else { panic!("one layer: {manifest}") };
        let mut layer = tar::Archive::new(GzDecoder::new(blob(layer).as_slice()));
        let entries = layer.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let path = format!("/{}", entry.path().unwrap().to_str().unwrap().trim_end_matches('/'));
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            let header = entry.header();
            Entry {
                path,
                kind: header.entry_type(),
                // What it is stands there, too.
                mode: header.mode().unwrap() & 0o7777,
                owner: (header.uid().unwrap(), header.gid().unwrap()),
                time: header.mtime().unwrap(),
                bytes,
            }
        });
        Self { name, config: json(blob(&manifest["config"])), entries: entries.collect() }
    }

    /// What a file holds.
    pub(super) fn text(&self, path: &str) -> &str {
        let entry = self.entries.iter().find(|entry| entry.path == path);
        std::str::from_utf8(&entry.unwrap_or_else(|| panic!("there is no {path}")).bytes).unwrap()
    }
}
