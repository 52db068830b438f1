//! The packages, made once for all tests from the programs that Cargo built for them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use safeguard_tests::built::program;
use safeguard_tests::parts::tools;

/// The packages of this repository.
pub(crate) const PACKAGES: [&str; 3] = ["safeguard-agent", "safeguard-proxy", "safeguard"];

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// What a program says on its standard output; it has to succeed.
pub(crate) fn said(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let [out, err] = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(status.success(), "{command:?}: {status}\n{out}{err}");
    out
}

/// Where the packages are; two revisions of each, so that one can be upgraded to the other.
pub(crate) fn packages() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let built = program("safeguard-agent");
        let (profile, target) = (built.parent().unwrap(), built.parent().and_then(Path::parent).unwrap());
        let dir = profile.join("packages");
        // What an earlier version was made of must not be found.
        drop(std::fs::remove_dir_all(&dir));
        let tools = tools().unwrap().join("bin");
        for (revision, what) in [("1", &["deb", "rpm", "sbom"][..]), ("2", &["deb", "rpm"])] {
            let mut build = Command::new(root().join("packaging/build"));
            build.args(["--profile", profile.file_name().unwrap().to_str().unwrap(), "--revision", revision, "--out"]);
            said(
                build.arg(&dir).arg("--no-build").arg("--tools").arg(&tools).args(what).env("CARGO_TARGET_DIR", target),
            );
        }
        dir
    })
}

/// The file of a package: `format` is `deb` or `rpm`.
pub(crate) fn package(name: &str, format: &str, revision: u8) -> PathBuf {
    let (version, separator) = (env!("CARGO_PKG_VERSION"), if format == "deb" { "_" } else { "-" });
    let machine = if format == "deb" { "_amd64.deb" } else { ".x86_64.rpm" };
    let path = packages().join(format!("{name}{separator}{version}-{revision}{machine}"));
    assert!(path.exists(), "{} was not made", path.display());
    path
}
