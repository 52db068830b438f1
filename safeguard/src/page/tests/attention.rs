//! What the first page says of nodes that somebody has to see to.

use super::seeded::{NOW, Seeded};

/// Who does not tell is named, five of each kind, with the way to the rest.
#[tokio::test]
async fn who_is_silent_is_named_and_the_rest_is_counted() {
    let seeded = Seeded::new(1);
    for n in 0..7 {
        let account = "INSERT INTO ec2_place (account, region, silent_since_ms) VALUES (?1, 'eu-central-1', ?2)";
        seeded.db.execute(account, (format!("{n:012}"), NOW)).unwrap();
        let cluster = "INSERT INTO cluster_place (tenant, cluster, silent_since_ms) VALUES ('acme', ?1, ?2)";
        seeded.db.execute(cluster, (format!("<prod-{n}>"), NOW)).unwrap();
    }
    let page = seeded.get("/").await;
    assert_eq!(page.matches("EC2 is silent").count(), 5);
    assert_eq!(page.matches("Cluster is silent").count(), 5);
    assert!(page.contains("&lt;prod-0&gt;") && !page.contains("prod-5"), "{page}");
    for place in ["ec2", "cluster"] {
        assert!(page.contains(&format!("<a href=\"/actions#{place}\">And 2 more</a>")), "{place}: {page}");
    }
}

/// Who reads that a node is missing reads there why one that speaks counts as that, and whether EC2 knows it.
#[tokio::test]
async fn a_missing_node_is_told_with_what_is_known_of_it() {
    let seeded = Seeded::new(20);
    let reasons = r#"["no live beat for 2 h","it speaks, but its clock is <60> min behind","EC2 says that its instance is running"]"#;
    let node = "UPDATE node SET state = 'missing', reasons = ?1 WHERE id = 1";
    assert_eq!(seeded.db.execute(node, [reasons]).unwrap(), 1);
    let heard = "UPDATE heard SET last_live_ms = ?1 WHERE key_no = 1";
    assert_eq!(seeded.db.execute(heard, [NOW - 7_200_000]).unwrap(), 1);
    let page = seeded.get("/").await;
    let told = page.split("<li").find(|item| item.contains("has sent no live beat")).unwrap();
    let says = ": it speaks, but its clock is &lt;60&gt; min behind; EC2 says that its instance is running.";
    assert!(told.contains(says), "{told}");
}
