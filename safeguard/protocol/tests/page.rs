//! docs/protocol.md says of refusals what they are.

#![expect(clippy::disallowed_methods, reason = "a test reads the page that it holds")]

use safeguard_protocol::{Code, Kind, Remedy};

#[test]
fn the_page_tells_every_code_as_it_is() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md")).unwrap();
    let table = page.split("<!-- codes:begin -->").nth(1).unwrap().split("<!-- codes:end -->").next().unwrap();
    let cells = |row: &str| row.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect::<Vec<_>>();
    let told: Vec<Vec<String>> = table.lines().filter(|line| line.starts_with("| `")).map(cells).collect();
    assert_eq!(told.len(), Code::ALL.len());
    for (row, code) in told.iter().zip(Code::ALL) {
        let remedy = match code.remedy() {
            Remedy::Wait => "wait",
            Remedy::Enrol => "enrol",
            Remedy::NewKey => "new-key",
            Remedy::Drop => "drop",
            Remedy::Operator => "operator",
        };
        assert_eq!(row[1..4], [code.as_str(), &code.status().to_string(), remedy]);
    }
    let kinds =
        [Kind::Enrolment, Kind::Statement, Kind::Challenge, Kind::Enrolled, Kind::Acknowledgement, Kind::Refusal];
    for kind in kinds {
        assert!(page.contains(&format!("`{}`", kind.media_type())), "{kind:?}");
    }
}
