//! TOML settings that know where each value came from. Generic: a program brings its own structs and defaults.
//!
//! Comes in: a file ([`SettingsFile`]) or its text, and the dotted keys that exist ([`known_keys`]).
//! Goes out: [`Loaded`], the value with the set of keys that the file gave, or an error that names file, line and key;
//! every value that is not allowed ([`Problems`]); what was found elsewhere for what the file leaves open ([`Found`]).
//!
//! A mistyped key must not be a silent default: on these nodes "the exclusion did not apply" is a hole in an audit
//! trail, so a file with a key that nobody reads is refused whole.

mod differing;
mod file;
mod findings;
mod found;
mod keys;
mod load;
mod nearest;
mod problem;
mod show;
mod units;

pub use differing::differing;
pub use file::{FileError, ProgramSettings, SettingsFile, read_regular};
pub use findings::Findings;
pub use found::{Found, Missing, Source};
pub use keys::known_keys;
pub use load::{Loaded, SettingsError, UnknownKey, load};
pub use nearest::nearest;
pub use problem::{Problem, Problems};
pub use show::{Row, document, render_table, rows, show};
pub use units::{HumanBytes, HumanDuration, UnitError};

/// One segment of a dotted key, quoted as TOML wants it when it is not a bare key. So a file's `"logs.batch"` never
/// passes for the key `batch` in the table `logs`.
fn segment(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { format!("{name:?}") }
}

fn join(prefix: &str, name: &str) -> String {
    let name = segment(name);
    if prefix.is_empty() { name } else { format!("{prefix}.{name}") }
}

#[cfg(test)]
mod tests;
