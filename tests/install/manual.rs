//! The operator's manual is true: links lead somewhere, commands run, settings and metrics exist, samples are taken.
//!
//! `docs/README.md` says what a block's first line means. Each check is tried on a bad sample beside it.

mod alarms;
mod aws;
mod cli;
mod links;
mod names;
mod pages;
mod reference;
mod samples;
mod sandbox;
mod shell;

use std::collections::BTreeMap;

use safeguard_tests::parts::{Part, here};

use aws::Aws;
use cli::{Cli, PROGRAMS};
use names::{settings, shown, unknown_metrics, unknown_settings, unsaid};
use pages::{Block, Page, pages, root, sources};
use sandbox::{KINDS, Sandbox};

/// What a person types: a block that begins with one of these is `sh`, or it would be looked at by nobody.
const TYPED: [&str; 20] = [
    "apt-get",
    "aws",
    "cargo",
    "cat",
    "chmod",
    "chown",
    "cp",
    "curl",
    "grep",
    "helm",
    "install",
    "journalctl",
    "kubectl",
    "ls",
    "mkdir",
    "nft",
    "packer",
    "sudo",
    "systemctl",
    "tests/run",
];

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    assert!(links::count(&pages) > 60, "only {} links are found", links::count(&pages));
    let broken = links::broken(&pages);
    assert!(broken.is_empty(), "{broken:#?}");
}

/// The table of contents has every page of the manual.
#[test]
fn every_page_is_in_the_table_of_contents() {
    let contents = std::fs::read_to_string(root().join("docs/README.md")).unwrap();
    let pages = pages();
    let manual = pages.iter().filter_map(|page| page.path.strip_prefix("docs/")).filter(|name| *name != "README.md");
    let missing: Vec<_> = manual.filter(|name| !contents.contains(&format!("]({name})"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_sample_is_what_it_says() {
    let pages = pages();
    let wrong: Vec<_> = pages.iter().flat_map(|page| &page.blocks).filter_map(samples::wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_setting_that_a_page_names_exists() {
    let (pages, known) = (pages(), reference::known_keys());
    let named: usize = pages.iter().map(|page| settings(page, &known)).sum();
    assert!(named > 100, "pages name only {named} settings");
    // What a chart calls its values looks like ours, and is none.
    let ours = pages.iter().filter(|page| !page.path.starts_with("packaging/"));
    let unknown: Vec<_> = ours.flat_map(|page| unknown_settings(page, &known)).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn every_sentence_of_a_log_that_a_page_quotes_is_said() {
    let sources = sources();
    let unsaid: Vec<_> = pages().iter().flat_map(|page| unsaid(page, &sources)).collect();
    assert!(unsaid.is_empty(), "{unsaid:#?}");
}

#[test]
fn configure_is_what_the_examples_make() {
    let (path, made) = (root().join("docs/configure.md"), reference::page());
    assert_eq!(reference::missing(&made), [""; 0]);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|set| set == "1") {
        std::fs::write(&path, &made).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = written.lines().zip(made.lines()).position(|(one, other)| one != other);
    assert!(
        written == made,
        "docs/configure.md is not current from line {:?} on; its head says how it is made",
        differs.map(|n| n + 1)
    );
}

/// Whether a block of commands is run, and with which exit code it ends; or against a stand-in of AWS.
#[derive(Debug, PartialEq, Eq)]
enum Run {
    Not,
    Ends(i32),
    Aws,
}

/// What stands behind `sh`.
fn how(block: &Block) -> Result<Run, String> {
    let rest = block.rest.as_str();
    if let Some(why) = rest.strip_prefix("no-run: ") {
        let reason = why.split_whitespace().count() > 2;
        return if reason { Ok(Run::Not) } else { Err(format!("{}: `{why}` is no reason", block.at)) };
    }
    if rest == "aws" {
        return Ok(Run::Aws);
    }
    let code = if rest.is_empty() { Some(0) } else { rest.strip_prefix("exit ").and_then(|code| code.parse().ok()) };
    code.map(Run::Ends).ok_or_else(|| {
        format!("{}: `sh {rest}`: behind `sh` stands nothing, `exit N`, `aws` or `no-run: WHY`", block.at)
    })
}

/// What is wrong with the calls of our programs in a page: blocks of commands, and what stands between backticks.
fn wrong_calls(page: &Page, known: &BTreeMap<&str, Cli>) -> Vec<String> {
    let mut wrong = Vec::new();
    for block in &page.blocks {
        let first = block.text.split_whitespace().next().unwrap_or_default();
        // Pages beside what is built are for those who build it.
        let typed = PROGRAMS.contains(&first) || (TYPED.contains(&first) && !page.path.starts_with("packaging/"));
        if block.language.is_empty() && typed {
            wrong.push(format!("{}: these are commands: mark the block with `sh`", block.at));
        }
        if block.language == "sh" {
            wrong.extend(how(block).err());
            for (name, words) in shell::calls(&block.text, &PROGRAMS) {
                wrong.extend(
                    known[name.as_str()].wrong(&words).map(|why| format!("{}: {name} {words:?}: {why}", block.at)),
                );
            }
        }
    }
    // A group of subcommands may be named, and so may a program, without a call.
    let is_call = |why: &String| !why.starts_with("a subcommand is missing");
    for (line, span) in page.spans() {
        for (name, words) in shell::calls(span, &PROGRAMS) {
            let why = known[name.as_str()].wrong(&words).filter(is_call);
            wrong.extend(why.map(|why| format!("{}:{line}: `{span}`: {why}", page.path)));
        }
    }
    wrong
}

#[test]
fn every_call_of_our_programs_can_be_made() {
    let known: BTreeMap<&str, Cli> = PROGRAMS.into_iter().map(|name| (name, Cli::of(name))).collect();
    let wrong: Vec<_> = pages().iter().flat_map(|page| wrong_calls(page, &known)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let bad = "`safeguard-agent chek`\n```\nsafeguard-agent check\n```\n```sh no-run: because\nsafeguard serve --now\n```\n```sh exit x\n```\n";
    let found = wrong_calls(&Page::parse("a.md", bad).unwrap(), &known);
    assert_eq!(found.len(), 5, "{found:#?}");
}

/// Which sandbox a page's commands run in.
fn kind(page: &Page) -> Option<&str> {
    page.prose.iter().find_map(|(_, line)| line.trim().strip_prefix("<!-- sandbox: ")?.strip_suffix(" -->"))
}

/// The file that a sample is, for the commands after it.
fn sample_file(block: &Block) -> Option<&str> {
    (block.language == "yaml" && !block.rest.is_empty()).then_some(block.rest.as_str())
}

/// Runs a block; what is said if it does not end as it should.
fn mistake(sandbox: &Sandbox, block: &Block) -> Option<String> {
    let Ok(Run::Ends(code)) = how(block) else { return Some(format!("{}: it is not to be run", block.at)) };
    let ended = sandbox.run(&block.text);
    let wrong = || format!("{}: exit code {}\n{}\n{}", block.at, ended.code, block.text, ended.said);
    (ended.code != code).then(wrong)
}

/// Runs every block of commands of the pages that want this kind of node, each page on a node of its own.
async fn run(wanted: &str) {
    let pages = pages();
    let (mut ran, mut wrong) = (0, Vec::new());
    for page in pages.iter().filter(|page| kind(page) == Some(wanted)) {
        let sandbox = Sandbox::new(wanted).await;
        for bad in ["```sh\nsafeguard-agent policy show no-such-policy | cat\n```", "```sh exit 3\ntrue\n```"] {
            let bad = Page::parse("bad.md", bad).unwrap();
            assert!(tokio::task::block_in_place(|| mistake(&sandbox, &bad.blocks[0])).is_some(), "{bad:?}");
        }
        for block in &page.blocks {
            if let Some(file) = sample_file(block) {
                sandbox.put(file, &block.text);
            }
            if block.language == "sh" && matches!(how(block), Ok(Run::Ends(_))) {
                ran += 1;
                wrong.extend(tokio::task::block_in_place(|| mistake(&sandbox, block)));
            }
        }
        // Nothing of that page leaves a node that is at work in a worse state.
        if wanted == "running" && wrong.is_empty() {
            tokio::task::block_in_place(|| sandbox.is_well());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ran > 5, "only {ran} blocks of commands are for a node with {wanted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_command_for_a_new_node_runs() {
    if here("manual::every_command_for_a_new_node_runs", Part::Machine)
        && here("manual::every_command_for_a_new_node_runs", Part::Network)
    {
        run("programs").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_command_for_a_node_at_work_runs() {
    if here("manual::every_command_for_a_node_at_work_runs", Part::Machine)
        && here("manual::every_command_for_a_node_at_work_runs", Part::Network)
    {
        run("running").await;
    }
}

/// A page with commands that run says on which node; and no page wants a node that there is not.
#[test]
fn every_page_with_commands_names_its_node() {
    for page in pages() {
        let runs = page.blocks.iter().any(|block| block.language == "sh" && matches!(how(block), Ok(Run::Ends(_))));
        match kind(&page) {
            Some(kind) => assert!(KINDS.contains(&kind) && runs, "{}: sandbox {kind}", page.path),
            None => {
                assert!(!runs, "{}: it has commands that run; `<!-- sandbox: ... -->` says where: {KINDS:?}", page.path)
            }
        }
    }
}

/// Metrics by the word of the programs that show them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_metric_that_a_page_names_is_shown() {
    let test = "manual::every_metric_that_a_page_names_is_shown";
    if !here(test, Part::Machine) || !here(test, Part::Network) {
        return;
    }
    let sandbox = Sandbox::new("running").await;
    let text = tokio::task::block_in_place(|| {
        sandbox.sh("curl -sS --fail http://127.0.0.1:9464/metrics http://127.0.0.1:9465/metrics")
    });
    let shown = shown(&text);
    assert!(shown.len() > 40, "{shown:#?}");
    let read =
        |page: &Page| unknown_metrics(&page.path, &std::fs::read_to_string(root().join(&page.path)).unwrap(), &shown);
    let unknown: Vec<_> = pages().iter().flat_map(read).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
    // The alarms of the manual are about metrics: a page without one would be looked at in vain.
    let alarms = std::fs::read_to_string(root().join("docs/operate.md")).unwrap();
    assert!(unknown_metrics("", &alarms, &names::Shown::new()).len() > 10);
}

/// Each alarm has a row that says what to do, and a rule that fires where it should.
#[test]
fn every_alarm_fires_where_it_should_and_has_a_row() {
    let pages = pages();
    let operate = pages.iter().find(|page| page.path == "docs/operate.md").unwrap();
    let rules = &alarms::rules(operate).text;
    assert_eq!(alarms::names(rules), alarms::rows(operate));
    if !here("manual::every_alarm_fires_where_it_should_and_has_a_row", Part::Curl) {
        return;
    }
    assert_eq!(alarms::wrong(rules), None);
    for (good, bad) in [
        ("safeguard_proxy_ready == 0", "safeguard_proxy_ready = 0"),
        ("> 1.5e9", "> 1.5e10"),
        ("safeguard_healthy == 0", "safeguard_healthy >= 0"),
    ] {
        assert!(rules.contains(good) && alarms::wrong(&rules.replace(good, bad)).is_some(), "{bad} is taken");
    }
    let queries = pages.iter().flat_map(|page| &page.blocks).filter(|block| block.language == "promql");
    let unreadable: Vec<_> = queries.filter_map(alarms::unreadable).collect();
    assert!(unreadable.is_empty(), "{unreadable:#?}");
    let bad = Page::parse("a.md", "```promql\nsum by policy (x)\n```\n").unwrap();
    assert!(alarms::unreadable(&bad.blocks[0]).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_command_of_the_aws_cli_runs_and_every_policy_is_one() {
    let test = "manual::every_command_of_the_aws_cli_runs_and_every_policy_is_one";
    if !here(test, Part::Moto) || !here(test, Part::AwsCli) {
        return;
    }
    let (pages, aws) = (pages(), Aws::new().await);
    let blocks = pages.iter().flat_map(|page| &page.blocks);
    let blocks: Vec<_> = blocks.filter(|block| block.language == "sh" && matches!(how(block), Ok(Run::Aws))).collect();
    assert!(blocks.len() > 1, "{blocks:?}");
    let wrong: Vec<_> = tokio::task::block_in_place(|| blocks.iter().filter_map(|block| aws.mistake(block)).collect());
    assert!(wrong.is_empty(), "{wrong:#?}");
    let policies = pages.iter().flat_map(|page| &page.blocks);
    let unfit: Vec<_> = tokio::task::block_in_place(|| policies.filter_map(|block| aws.unfit_policy(block)).collect());
    assert!(unfit.is_empty(), "{unfit:#?}");
    let bad = "```sh aws\naws logs put-metric-filter --filter-name x\n```\n```json\n{\"Version\": \"2012-10-17\", \"Statement\": \
               [{\"Effect\": \"Allow\", \"Action\": \"PutLogEvents\", \"Resource\": \"*\"}]}\n```\n";
    let bad = Page::parse("a.md", bad).unwrap();
    assert!(tokio::task::block_in_place(|| aws.mistake(&bad.blocks[0])).is_some());
    assert!(tokio::task::block_in_place(|| aws.unfit_policy(&bad.blocks[1])).is_some());
}

/// What is to be copied into a cluster is what a cluster takes.
#[test]
fn every_manifest_is_one_of_kubernetes() {
    if !here("manual::every_manifest_is_one_of_kubernetes", Part::Helm) {
        return;
    }
    let pages = pages();
    let blocks = pages.iter().flat_map(|page| &page.blocks).filter(|block| samples::is_manifest(block));
    let wrong: Vec<_> = blocks.filter_map(samples::unfit_for_kubernetes).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let bad =
        "```yaml\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\nrule: []\n```\n";
    assert!(samples::unfit_for_kubernetes(&Page::parse("a.md", bad).unwrap().blocks[0]).is_some());
}

/// What `docs/operate.md` says of full disks: logs are delivered without their checkpoint, no beat goes out without its number on disk,
/// the safeguard refuses what it cannot store; and once there is room all of that ends by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn full_disks_do_what_the_page_says() {
    let test = "manual::full_disks_do_what_the_page_says";
    if !here(test, Part::Machine) || !here(test, Part::Network) {
        return;
    }
    let sandbox = Sandbox::new("running").await;
    tokio::task::block_in_place(|| {
        for (unit, dir) in [("safeguard-agent", "/var/lib/safeguard"), ("safeguard", "/var/lib/safeguard-server")] {
            sandbox.sh(&format!(
                "systemctl stop {unit}; cp -a {dir} /srv/kept; mount -t tmpfs -o size=4m,mode=700 tmpfs {dir}
                 cp -a /srv/kept/. {dir}; rm -r /srv/kept; systemctl start {unit}"
            ));
            sandbox.is_well();
            let fill = |size: &str| format!("dd if=/dev/zero of={dir}/fill bs={size} status=none || true");
            sandbox.sh(&[fill("64k"), fill("1k").replace("/fill", "/rest")].join("\n"));
            if unit == "safeguard-agent" {
                sandbox.sh(
                    "date -u '+%Y-%m-%dT%H:%M:%S.%NZ stdout F another order' >> /var/log/pods/shop_cart-1_*/web/0.log",
                );
                sandbox
                    .until("curl -sS http://127.0.0.1:9464/metrics | grep -q '^safeguard_logs_checkpoint_failing 1'");
                sandbox.until("safeguard-agent logs status | grep -Eq 'shop/cart-1/web +1 +1 '");
                // Beats go on, also where the agent starts on a full disk.
                sandbox.is_well();
                sandbox.sh("systemctl restart safeguard-agent");
                sandbox.is_well();
            } else {
                sandbox.until("safeguard-agent status | grep -q storage");
            }
            sandbox.sh(&format!("rm -f {dir}/fill {dir}/rest"));
            sandbox.is_well();
            sandbox.until("curl -sS http://127.0.0.1:9464/metrics | grep -q '^safeguard_logs_checkpoint_failing 0'");
        }
    });
}
