//! Every link leads somewhere, and every number to as many things as it says.

use std::collections::BTreeSet;

use super::seeded::Seeded;

/// The values of an attribute, each with the element that it is in.
fn elements<'a>(page: &'a str, attribute: &str) -> Vec<(&'a str, String)> {
    let begin = format!(" {attribute}=\"");
    let tags = page.split('<').filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag);
    let value = |tag: &'a str| {
        let (_, rest) = tag.split_once(&begin)?;
        Some((tag, rest.split_once('"')?.0.replace("&amp;", "&").replace("&quot;", "\"").replace("&lt;", "<")))
    };
    tags.filter_map(value).collect()
}

fn only(page: &str, attribute: &str) -> Option<u32> {
    elements(page, attribute).first().map(|(_, value)| value.parse().unwrap())
}

#[tokio::test]
async fn every_link_leads_somewhere_and_every_number_to_what_it_counts() {
    let seeded = Seeded::new(200);
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut open = vec!["/".to_owned()];
    let mut counted = 0;
    while let Some(at) = open.pop() {
        // A fleet links each of its lists in each of its filters: enough of them are looked at.
        if known.len() > 1_500 || !known.insert(at.clone()) {
            continue;
        }
        let page = seeded.get(&at).await;
        if at.starts_with("/static/") || at.starts_with("/v1/") {
            continue;
        }
        for (tag, href) in elements(&page, "href") {
            let (path, fragment) = href.split_once('#').unwrap_or((&href, ""));
            if path.is_empty() {
                assert!(page.contains(&format!("id=\"{fragment}\"")), "{at} links to #{fragment}");
                continue;
            }
            assert!(path.starts_with('/') && !path.starts_with("//"), "{at} links to {href}");
            if let Some(count) = only(&format!("<{tag}>"), "data-count") {
                let there = seeded.get(path).await;
                let (total, checks) = (only(&there, "data-total"), only(&there, "data-checks"));
                let whole = path == "/";
                assert!(
                    whole || total == Some(count) || checks == Some(count),
                    "{at}: {count} at {path}, not {total:?}"
                );
                counted += 1;
            }
            if let Some(count) = only(&format!("<{tag}>"), "data-fails") {
                assert_eq!(only(&seeded.get(path).await, "data-total"), Some(count), "{at}: {path}");
            }
            // One node of each kind is enough; they are 200.
            if !path.starts_with("/nodes/") || known.iter().filter(|at| at.starts_with("/nodes/")).count() < 25 {
                open.push(path.to_owned());
            }
        }
    }
    assert!(counted > 500 && known.len() > 200, "{counted} numbers on {} pages", known.len());
}

#[tokio::test]
async fn the_sum_of_the_states_is_the_fleet() {
    let seeded = Seeded::new(200);
    let page = seeded.get("/").await;
    let tiles: Vec<&str> = page.split("class=\"tile-n\"").skip(1).collect();
    let numbers = tiles.iter().filter_map(|tile| only(tile.split("</span>").next().unwrap(), "data-count"));
    assert_eq!((tiles.len(), numbers.sum::<u32>()), (7, 200));
}

#[tokio::test]
async fn a_list_of_many_parts_has_every_node_once() {
    let seeded = Seeded::new(200);
    let mut seen = BTreeSet::new();
    let mut at = Some("/nodes?state=compliant".to_owned());
    let mut total = None;
    while let Some(now) = at {
        let page = seeded.get(&now).await;
        total = only(&page, "data-total");
        for (_, href) in
            elements(&page, "href").iter().filter(|(_, href)| href.starts_with("/nodes/") && !href.contains('#'))
        {
            assert!(seen.insert(href.clone()), "{href} comes twice");
        }
        at = elements(&page, "href").into_iter().find(|(tag, _)| tag.contains("rel=\"next\"")).map(|(_, href)| href);
    }
    assert_eq!(Some(u32::try_from(seen.len()).unwrap()), total);
}

#[tokio::test]
async fn what_is_wrong_in_an_address_is_said() {
    let seeded = Seeded::new(3);
    for (at, status) in [
        ("/nodes/999", 404),
        ("/nodes/x", 404),
        ("/nodes?state=there", 400),
        ("/nodes?staet=missing", 400),
        ("/nodes?after=x", 404),
        ("/control?policy=x", 400),
        ("/static/../page.rs", 404),
        ("/static/x", 404),
    ] {
        assert_eq!(seeded.try_get(at).await.0, status, "{at}");
    }
}

#[tokio::test]
async fn an_empty_store_has_a_page() {
    let seeded = Seeded::new(0);
    for at in ["/", "/controls", "/nodes", "/actions", "/control?policy=p&control=c"] {
        assert!(!seeded.get(at).await.contains("NaN"), "{at}");
    }
}

/// What axe asks for and a look at the text can tell; `tests/it/explorer.rs` has axe itself.
#[tokio::test]
async fn every_page_has_a_language_a_title_one_heading_and_labels() {
    let seeded = Seeded::new(40);
    for at in [
        "/",
        "/controls",
        "/nodes",
        "/nodes/3",
        "/actions",
        "/control?policy=cis-al2023-1.0.0&control=1.1.2.1",
        "/sign-in",
    ] {
        let page = seeded.get(at).await;
        assert!(page.contains("<html lang=\"en\">") && page.contains("<title>"), "{at}");
        assert_eq!(page.matches("<h1").count(), 1, "{at}");
        let ids: Vec<_> = elements(&page, "id").into_iter().map(|(_, id)| id).collect();
        assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "{at}: an id comes twice");
        for (tag, id) in
            elements(&page, "id").iter().filter(|(tag, _)| tag.starts_with("input") || tag.starts_with("select"))
        {
            assert!(page.contains(&format!("for=\"{id}\"")), "{at}: {tag} has no label");
        }
        assert!(!page.contains(" style=") && !page.contains("<style") && !page.contains("<script>"), "{at}");
    }
}
