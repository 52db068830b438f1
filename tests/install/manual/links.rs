//! Links lead somewhere: into this repository to a file and a heading that are there, or to a host that we know.

use std::collections::BTreeMap;

use super::pages::{Page, root};

/// Hosts that pages may lead to. A page that names another one says so here.
const HOSTS: [&str; 6] =
    ["docs.aws.amazon.com", "github.com", "keepachangelog.com", "kubernetes.io", "semver.org", "www.apache.org"];

/// The targets of `[text](target)` and `[name]: target` in a line, and bare addresses in angle brackets.
fn targets(line: &str) -> Vec<String> {
    // What is code is no link.
    let text: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
    let mut found: Vec<String> = text
        .match_indices("](")
        .filter_map(|(at, _)| text.get(at + 2..)?.split_once(')').map(|(target, _)| target.to_owned()))
        .collect();
    let definition = text.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: "));
    found.extend(definition.map(|(_, target)| target.trim().to_owned()));
    found.extend(text.split('<').skip(1).filter_map(|rest| {
        let (target, _) = rest.split_once('>')?;
        target.starts_with("http").then(|| target.to_owned())
    }));
    found
}

/// What is wrong with a link of `page`; `anchors` has the headings of all pages.
fn wrong(page: &str, target: &str, anchors: &BTreeMap<&str, Vec<String>>) -> Option<String> {
    if target.contains(':') {
        let Some(rest) = target.strip_prefix("https://") else {
            return Some("another scheme than https".to_owned());
        };
        let host = rest.split(['/', '#', '?']).next().unwrap_or_default();
        let odd = rest.chars().any(|c| c.is_whitespace() || c.is_control() || "<>\"\\^{}|".contains(c));
        return if odd {
            Some("not a URL".to_owned())
        } else {
            (!HOSTS.contains(&host)).then(|| format!("the host {host} is in no list of ours"))
        };
    }
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let path = if path.is_empty() { page.to_owned() } else { resolve(page, path)? };
    if !anchors.contains_key(path.as_str()) && !root().join(&path).exists() {
        return Some(format!("there is no {path}"));
    }
    let anchor = anchor?;
    match anchors.get(path.as_str()) {
        None => Some(format!("{path} is no page, and has no heading #{anchor}")),
        Some(known) if known.iter().any(|known| known == anchor) => None,
        Some(_) => Some(format!("{path} has no heading #{anchor}")),
    }
}

/// A path as a page writes it, from the root of the repository. What leads out of it is left as it is: it does not exist.
fn resolve(page: &str, path: &str) -> Option<String> {
    let mut steps: Vec<&str> = page.split('/').collect();
    steps.pop();
    for step in path.trim_end_matches('/').split('/') {
        match step {
            "." => {}
            ".." if steps.pop().is_none() => return Some(path.to_owned() + " in this repository"),
            ".." => {}
            // An absolute path is one of the reader's machine.
            "" => return Some(path.to_owned() + " in this repository"),
            step => steps.push(step),
        }
    }
    Some(steps.join("/"))
}

/// Every link that leads nowhere, as `page:line: target: why`.
pub(super) fn broken(pages: &[Page]) -> Vec<String> {
    let anchors: BTreeMap<&str, Vec<String>> = pages.iter().map(|page| (page.path.as_str(), page.anchors())).collect();
    let links = pages.iter().flat_map(|page| {
        page.prose.iter().flat_map(move |(number, line)| targets(line).into_iter().map(move |to| (page, *number, to)))
    });
    links
        .filter_map(|(page, number, to)| {
            wrong(&page.path, &to, &anchors).map(|why| format!("{}:{number}: {to}: {why}", page.path))
        })
        .collect()
}

/// How many links there are.
pub(super) fn count(pages: &[Page]) -> usize {
    pages.iter().flat_map(|page| &page.prose).map(|(_, line)| targets(line).len()).sum()
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let good = Page::parse(
        "docs/a.md",
        "# One\n[b](../README.md) [c](#one) ![d](screenshots/overview.png) [e](https://github.com/x) `[f](g.md)` [unit](../systemd)",
    )
    .unwrap();
    assert_eq!(broken(std::slice::from_ref(&good)), [""; 0]);
    assert_eq!(count(std::slice::from_ref(&good)), 5);
    for (line, why) in [
        ("[b](missing.md)", "docs/a.md:1: missing.md: there is no docs/missing.md"),
        ("[b](#two)", "has no heading #two"),
        ("[b](../LICENSE#x)", "is no page"),
        ("[b](../../etc/passwd)", "there is no"),
        ("[b](/etc/passwd)", "there is no"),
        ("[b](https://example.org/)", "in no list"),
        ("[b](https://github.com/a b)", "not a URL"),
        ("[b](http://github.com/a)", "https"),
        ("[b]: missing.md", "there is no docs/missing.md"),
        ("<https://example.org/x>", "in no list"),
    ] {
        let found = broken(&[Page::parse("docs/a.md", line).unwrap()]);
        assert!(found.len() == 1 && found[0].contains(why), "{line}: {found:?}");
    }
}
