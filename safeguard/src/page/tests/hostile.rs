//! Every text that comes from a node, and every one of an operator, is taken for the worst.

use super::seeded::Seeded;

const EVIL: &str = "\"><script>alert(1)</script><img src=x onerror=alert(2)>' OR 1=1; DROP TABLE node;-- {{7*7}} \u{202e}\u{0}\n=cmd|' /C calc'!A0";

/// Columns that keep what the page decides by; everything else is text and becomes hostile.
const KEPT: [&str; 3] = ["node.state", "finding.verdict", "token.scope"];

fn poison(seeded: &Seeded) -> usize {
    let db = &seeded.db;
    let asked = "INSERT INTO ec2_place (account, region, silent_since_ms) VALUES ('1', 'r', 1); INSERT INTO cluster_place (tenant, cluster, silent_since_ms) \
                 VALUES ('t', 'c', 1)";
    db.execute_batch(asked).unwrap();
    let tables: Vec<String> =
        column(db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'");
    let mut poisoned = 0;
    for table in tables {
        let columns: Vec<String> =
            column(db, &format!("SELECT name FROM pragma_table_info('{table}') WHERE type = 'TEXT'"));
        for name in columns.iter().filter(|name| !KEPT.contains(&format!("{table}.{name}").as_str())) {
            // What was there stays at the end, so that rows which have to differ do.
            let evil = EVIL.replace('\'', "''").replace('\0', "");
            poisoned +=
                db.execute(&format!("UPDATE {table} SET {name} = '{evil}' || coalesce({name}, '')"), []).unwrap();
        }
    }
    // What is JSON stays JSON, with hostile texts in it.
    let evil = serde_json::json!(EVIL);
    let list = serde_json::json!([EVIL, EVIL]).to_string();
    let detail = serde_json::json!({ "control": evil, "from": evil, "to": evil, "message": evil }).to_string();
    let seen = serde_json::json!([{ "source": evil, "observed": evil, "expected": evil, "holds": null }]).to_string();
    let body = serde_json::json!({
        "program": { "version": evil, "binary": evil }, "configuration": evil, "policies": [{ "id": evil, "digest": evil }],
        "exceptions": { "next_expiry": evil, "count": 1 }, "logs": { "lost": { EVIL: 3 }, "behind_bytes": -1, "oldest_unsent_ms": i64::MAX },
        "proxy": { "redirect": evil }, "membership": { "lease_age_s": u64::MAX },
    });
    db.execute("UPDATE node SET reasons = ?1 WHERE id % 2 = 0", [&list]).unwrap();
    db.execute("UPDATE event SET detail = ?1 WHERE id % 2 = 0", [&detail]).unwrap();
    db.execute("UPDATE finding SET evidence = ?1 WHERE node_id % 2 = 0", [&seen]).unwrap();
    db.execute("UPDATE content SET body = ?1", [body.to_string()]).unwrap();
    poisoned
}

fn column(db: &rusqlite::Connection, sql: &str) -> Vec<String> {
    db.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn nothing_that_a_node_says_becomes_part_of_the_page() {
    let seeded = Seeded::new(60);
    let poisoned = poison(&seeded);
    assert!(poisoned > 500, "{poisoned}");
    let evil = form_urlencoded::byte_serialize(EVIL.replace('\0', "").as_bytes()).collect::<String>();
    let mut pages = vec!["/".to_owned(), "/controls".to_owned(), "/nodes".to_owned(), "/actions".to_owned()];
    pages.extend(["tenant", "cluster", "group", "policy", "text"].map(|name| format!("/nodes?{name}={evil}")));
    pages.extend([
        format!("/?cluster={evil}"),
        format!("/control?policy={evil}&control={evil}"),
        format!("/sign-in?to={evil}"),
    ]);
    pages.extend((1..=60).map(|id| format!("/nodes/{id}")));
    pages.push(format!("/control?policy={evil}cis-al2023-1.0.0&control={evil}1.1.2.1"));
    let mut escaped = 0;
    for at in pages {
        let page = seeded.get(&at).await;
        let low = page.to_lowercase();
        for bad in ["<script>alert", "<img", "javascript:"] {
            assert!(!low.contains(bad), "{at} has {bad}");
        }
        // Each tag is one that the page itself writes.
        for tag in page.split('<').skip(1) {
            let name: String = tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
            assert!(TAGS.contains(&name.as_str()) || tag.starts_with("!DOCTYPE"), "{at} has <{name}>");
        }
        escaped += page.matches("&lt;script&gt;").count();
    }
    assert!(escaped > 200, "{escaped}");
    let nodes: u32 = seeded.db.query_row("SELECT count(*) FROM node", [], |row| row.get(0)).unwrap();
    assert_eq!(nodes, 60);
}

#[tokio::test]
async fn the_api_gives_hostile_text_as_text_and_no_formula() {
    let seeded = Seeded::new(40);
    poison(&seeded);
    seeded.db.execute("UPDATE node SET node_name = '=HYPERLINK(\"http://x\")' || id", []).unwrap();
    for at in [
        "/v1/overview",
        "/v1/nodes",
        "/v1/nodes/2",
        "/v1/controls",
        "/v1/findings",
        "/v1/events",
        "/v1/export/findings.json",
    ] {
        let body = seeded.get(at).await;
        let _: serde_json::Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{at}: {error}"));
    }
    let csv = seeded.get("/v1/export/nodes.csv").await;
    assert!(csv.contains("\"'=HYPERLINK(\"\"http://x\"\")1\"") && !csv.contains("\"=HYPERLINK"), "{csv}");
}

const TAGS: [&str; 56] = [
    "html", "head", "meta", "title", "link", "script", "body", "a", "header", "nav", "span", "main", "h1", "h2", "h3",
    "p", "b", "div", "section", "ul", "ol", "li", "dl", "dt", "dd", "table", "thead", "tbody", "tr", "th", "td", "svg",
    "rect", "line", "text", "polygon", "polyline", "circle", "figure", "details", "summary", "form", "input", "label",
    "select", "option", "button", "time", "article", "code", "strong", "em", "br", "hr", "tspan", "g",
];
