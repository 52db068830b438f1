//! Doors for the fuzz targets in `fuzz/`, where no file of a host leads to the parser alone. Only with the feature `fuzzing`; no
//! part of the API.

/// The header of an installed package, as far as it was read.
///
/// # Panics
/// If the parser is wrong: it asks for more than there is, or it does not ask.
pub fn rpm_header(bytes: &[u8]) {
    crate::facts::packages::rpm_header(bytes);
}
