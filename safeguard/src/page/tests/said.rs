//! What the page says of a node.

use super::seeded::Seeded;

#[tokio::test]
async fn what_a_node_says_of_itself_is_on_its_page() {
    let seeded = Seeded::new(20);
    let id: i64 =
        seeded.db.query_row("SELECT id FROM node WHERE state = 'compliant' LIMIT 1", [], |row| row.get(0)).unwrap();
    let page = seeded.get(&format!("/nodes/{id}")).await;
    for said in ["<dt>Agent</dt><dd>0.1.0</dd>", "<dt>In its cluster</dt><dd>Ready", "the next ends 2027-03-31"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    let node: serde_json::Value = serde_json::from_str(&seeded.get(&format!("/v1/nodes/{id}")).await).unwrap();
    assert_eq!(node["statement"]["program"]["version"], "0.1.0");
}
