//! Addresses of the page. Every value is encoded, whoever chose it.

use form_urlencoded::Serializer;

/// `path?name=value&...`; values that are empty are left out.
pub(crate) fn to(path: &str, query: &[(&str, &str)]) -> String {
    let mut pairs = Serializer::new(String::new());
    pairs.extend_pairs(query.iter().filter(|(_, value)| !value.is_empty()));
    match pairs.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_leave_their_place() {
        assert_eq!(to("/nodes", &[("state", ""), ("text", "a&b=\"<é#")]), "/nodes?text=a%26b%3D%22%3C%C3%A9%23");
        assert_eq!(to("/", &[]), "/");
    }
}
