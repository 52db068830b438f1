//! Reads `policies/*.yaml` once, when the program is built: JSON is read in a hundredth of the time.

#![expect(clippy::disallowed_methods, reason = "a build reads its own sources and writes where cargo says")]

use std::error::Error;
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=policies");
    let out = env::var("OUT_DIR")?;
    for entry in fs::read_dir("policies")? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        let value: serde_json::Value =
            serde_yaml_ng::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        let name = path.with_extension("json");
        let name = name.file_name().ok_or("a file has a name")?;
        fs::write(Path::new(&out).join(name), serde_json::to_string(&value)?)?;
    }
    Ok(())
}
