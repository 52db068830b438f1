//! What changed between two settings files.

use serde_json::Value;

use super::file::ProgramSettings;

/// The dotted keys whose values differ, in the order of the settings.
pub fn differing<T: ProgramSettings>(one: &T, other: &T) -> Vec<String> {
    let (Ok(one), Ok(other)) = (serde_json::to_value(one), serde_json::to_value(other)) else { return Vec::new() };
    T::keys().into_iter().filter(|key| at(&one, key) != at(&other, key)).collect()
}

fn at<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    key.split('.').try_fold(value, |value, name| value.get(name))
}
