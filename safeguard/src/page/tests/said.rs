//! What the page says of a node, and of those that are asked about it.

use super::seeded::{NOW, Seeded};

#[tokio::test]
async fn what_a_node_says_of_itself_is_on_its_page() {
    let seeded = Seeded::new(20);
    let id: i64 =
        seeded.db.query_row("SELECT id FROM node WHERE state = 'compliant' LIMIT 1", [], |row| row.get(0)).unwrap();
    let page = seeded.get(&format!("/nodes/{id}")).await;
    for said in ["<dt>Agent</dt><dd>0.1.0</dd>", "<dt>In its cluster</dt><dd>Ready", "the next ends 2027-03-31"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    // Nobody asked its cluster.
    assert!(!page.contains("said by the cluster"));
    let node: serde_json::Value = serde_json::from_str(&seeded.get(&format!("/v1/nodes/{id}")).await).unwrap();
    assert_eq!(node["statement"]["program"]["version"], "0.1.0");
    assert_eq!(node["node"]["cluster_state"], serde_json::Value::Null);
    seeded.db.execute("UPDATE node SET cluster_state = 'unknown' WHERE id = ?1", [id]).unwrap();
    let page = seeded.get(&format!("/nodes/{id}")).await;
    assert!(page.contains("<dt>In the cluster</dt><dd>its kubelet is not heard"), "{page}");
}

#[tokio::test]
async fn clusters_are_told_with_how_they_answer() {
    let seeded = Seeded::new(5);
    let page = seeded.get("/actions").await;
    assert!(page.contains("None is asked for its nodes") && page.contains("it would terminate <b>0</b>"), "{page}");
    let put = "INSERT INTO cluster_place (tenant, cluster, listed_ms, nodes, silent_since_ms, reason) VALUES ('acme', ?1, ?2, ?3, ?4, ?5)";
    seeded.db.execute(put, ("prod", NOW - 60_000, 1_234, None::<i64>, None::<&str>)).unwrap();
    seeded.db.execute(put, ("dev", None::<i64>, 0, NOW - 7_200_000, "it answered <403>")).unwrap();
    seeded.db.execute("INSERT INTO cluster_place (tenant, cluster) VALUES ('acme', 'new')", []).unwrap();
    let page = seeded.get("/actions").await;
    let section = page.split("id=\"cluster\"").nth(1).unwrap().split("</section>").next().unwrap();
    for said in ["1,234", "it answers", "for 2 h", "it answered &lt;403&gt;", "not asked yet", "never"] {
        assert!(section.contains(said), "{said}: {section}");
    }
    assert!(section.find("dev") < section.find("prod"), "who is silent comes first");
}
