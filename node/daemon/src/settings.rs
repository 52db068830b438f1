//! TOML settings that know where each value came from. Generic: a program brings its own structs and defaults.
//!
//! Comes in: the text of a file (whoever opens files reads it), and the dotted keys that exist ([`known_keys`]).
//! Goes out: [`Loaded`], the value with the set of keys that the file gave, or an error that names file, line and key.
//!
//! A mistyped key must not be a silent default: on these nodes "the exclusion did not apply" is a hole in an audit
//! trail, so a file with a key that nobody reads is refused whole.

mod keys;
mod load;
mod nearest;
mod show;

pub use keys::known_keys;
pub use load::{Loaded, SettingsError, UnknownKey, load};
pub use nearest::nearest;
pub use show::{Row, render_table, show};

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
