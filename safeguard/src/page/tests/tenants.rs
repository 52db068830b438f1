//! Two tenants may have clusters of one name: they are told apart.

use serde_json::Value;

use super::seeded::Seeded;

/// A fleet of one tenant, and the name of a cluster of his with more than three nodes.
fn of_acme() -> (Seeded, String) {
    let seeded = Seeded::new(40);
    seeded.db.execute("UPDATE node SET tenant = 'acme'", []).unwrap();
    let one = "SELECT cluster FROM node WHERE state <> 'retired' GROUP BY 1 HAVING count(*) > 3 ORDER BY 1 LIMIT 1";
    let cluster = seeded.db.query_row(one, [], |row| row.get(0)).unwrap();
    (seeded, cluster)
}

#[tokio::test]
async fn clusters_of_one_name_are_each_tenants_own() {
    let (one, _) = of_acme();
    assert!(!one.get("/").await.contains(" of acme"), "whose it is says nothing where there is one tenant");

    let (seeded, cluster) = of_acme();
    let some = "UPDATE node SET tenant = 'globex' WHERE id IN
                (SELECT id FROM node WHERE cluster = ?1 AND state <> 'retired' ORDER BY id LIMIT 3)";
    assert_eq!(seeded.db.execute(some, [&cluster]).unwrap(), 3);
    let overview: Value = serde_json::from_str(&seeded.get("/v1/overview").await).unwrap();
    let of = |tenant: &str| {
        let all = overview["clusters"].as_array().unwrap().iter();
        let found: Vec<_> =
            all.filter(|roll| roll["tenant"] == tenant && roll["cluster"] == cluster.as_str()).collect();
        assert_eq!(found.len(), 1, "{overview:#}");
        found[0]["nodes"].as_u64().unwrap()
    };
    let all = "SELECT count(*) FROM node WHERE cluster = ?1 AND state <> 'retired'";
    let all: u64 = seeded.db.query_row(all, [&cluster], |row| row.get::<_, u32>(0)).unwrap().into();
    assert_eq!((of("globex"), of("acme")), (3, all - 3));

    // The page says whose each is, and its links lead to that tenant's nodes alone.
    let page = seeded.get("/").await;
    let section = page.split("id=\"clusters\"").nth(1).unwrap().split("</section>").next().unwrap();
    let row = section.split("<tr>").find(|row| row.contains("of globex")).unwrap();
    assert!(row.contains(&cluster) && row.contains("tenant=globex"), "{row}");
    let list = seeded.get(&format!("/v1/nodes?cluster={cluster}&tenant=globex")).await;
    assert_eq!(serde_json::from_str::<Value>(&list).unwrap()["total"], 3);
}
