//! What the first page says of nodes that somebody has to see to.

use super::seeded::{NOW, Seeded};

/// Who reads that a node is missing reads there why one that speaks counts as that, and whether EC2 knows it.
#[tokio::test]
async fn a_missing_node_is_told_with_what_is_known_of_it() {
    let seeded = Seeded::new(20);
    let reasons = r#"["no live beat for 2 h","it speaks, but its clock is <60> min behind","EC2 says that its instance is running"]"#;
    let row = (reasons, NOW - 7_200_000);
    let nodes = "UPDATE node SET state = 'missing', reasons = ?1, last_live_ms = ?2 WHERE id = 1";
    assert_eq!(seeded.db.execute(nodes, row).unwrap(), 1);
    let page = seeded.get("/").await;
    let told = page.split("<li").find(|item| item.contains("has sent no live beat")).unwrap();
    let says = ": it speaks, but its clock is &lt;60&gt; min behind; EC2 says that its instance is running.";
    assert!(told.contains(says), "{told}");
}
