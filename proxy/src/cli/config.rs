//! `config example|check|show`

use std::path::PathBuf;

use safeguard_daemon::settings::{document, render_table, rows};
use safeguard_daemon::terminal::{complain, exit, print};
use safeguard_proxy::config::{EXAMPLE, Environment, SettingsFile, resolve};

use super::arguments::Format;

pub(super) fn example() -> u8 {
    print(EXAMPLE)
}

pub(super) fn check(config: Option<PathBuf>) -> u8 {
    let file = SettingsFile::new(config);
    match file.load() {
        Ok(_) => print(&format!("{}: can be used\n", file.path().display())),
        Err(error) => complain(exit::USAGE, &error.to_string()),
    }
}

pub(super) fn show(config: Option<PathBuf>, format: Format) -> u8 {
    let file = SettingsFile::new(config);
    let loaded = match file.load() {
        Ok(loaded) => loaded,
        Err(error) => return complain(exit::USAGE, &error.to_string()),
    };
    let checked = match loaded.value.checked() {
        Ok(checked) => checked,
        Err(problems) => return complain(exit::USAGE, &problems.to_string()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return complain(exit::FAILED, &format!("cannot start: {error}")),
    };
    let resolved = runtime.block_on(resolve(&loaded.value, &checked, &Environment::of_process()));
    runtime.shutdown_background();
    let rows = rows(&loaded, file.path(), &resolved.found);
    print(&match format {
        Format::Table => render_table(&rows),
        Format::Json => format!("{:#}\n", document(&rows)),
    })
}
