//! The Compliance Explorer in a real browser, and its API against its own description, on a simulated fleet of 200 nodes.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use safeguard::explorer::{Explorer, Settings};
use safeguard::store::simulate;
use safeguard_daemon::clock;
use safeguard_tests::moto::venv_program;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;

use safeguard_tests::parts::{Part, here, node_modules};

/// The fleet, and the page that shows it.
struct Served {
    page: String,
    db: Connection,
    server: tokio::task::JoinHandle<()>,
    #[expect(dead_code, reason = "the directory lives as long as this")]
    directory: tempfile::TempDir,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Served {
    async fn new(open: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("store.sqlite");
        let mut db = safeguard::store::create(&store).unwrap();
        let now_ms = clock::now_ms();
        simulate::fill(&mut db, 200, 7, now_ms).unwrap();
        // EC2 tells of one account's instances, and not of another's.
        let place = "INSERT INTO ec2_place (account, region, listed_ms, instances, silent_since_ms, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let no: (Option<i64>, Option<&str>) = (None, None);
        db.execute(place, ("210987654321", "eu-central-1", now_ms - 90_000, 84, no.0, no.1)).unwrap();
        let why = "AccessDenied: not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::410987654323:role/safeguard-expected";
        db.execute(place, ("410987654323", "us-east-1", no.0, 0, now_ms - 5_400_000, why)).unwrap();
        // A node that is missing runs by the word of EC2, and its cluster has lost it too. Another cluster does not tell.
        let lost = "SELECT id, account, region, tenant, cluster FROM node WHERE state = 'missing' AND state_since_ms < ?1 ORDER BY id LIMIT 1";
        let text = |row: &rusqlite::Row<'_>, at| row.get::<_, String>(at);
        let (id, account, region, tenant, cluster) = db
            .query_row(lost, [now_ms - 2 * 3_600_000], |row| {
                Ok((row.get::<_, i64>(0)?, text(row, 1)?, text(row, 2)?, text(row, 3)?, text(row, 4)?))
            })
            .unwrap();
        let runs = "UPDATE node SET simulated = 0, ec2_state = 'running', cluster_state = 'not ready' WHERE id = ?1";
        db.execute(runs, [id]).unwrap();
        let told = format!("{place} ON CONFLICT DO NOTHING");
        db.execute(&told, (account, region, now_ms - 90_000, 84, no.0, no.1)).unwrap();
        let place = "INSERT INTO cluster_place (tenant, cluster, listed_ms, nodes, silent_since_ms, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        db.execute(place, (&tenant, cluster, now_ms - 90_000, 41, no.0, no.1)).unwrap();
        let why = "it answered 403: our token may not list nodes";
        db.execute(place, (&tenant, "archive-prod", now_ms - 6_000_000, 12, now_ms - 5_400_000, why)).unwrap();
        let explorer = Explorer::new(&store, Settings { open }, clock::now_ms);
        let app = safeguard::page::router(Arc::clone(&explorer)).merge(safeguard::api::router(explorer));
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let page = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { page, db, server, directory }
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("explorer")
}

/// `SCREENSHOTS=directory` keeps pictures of the pages there; those in docs/screenshots come from it.
#[tokio::test(flavor = "multi_thread")]
async fn people_find_what_fails_with_pointer_keyboard_telephone_and_in_the_dark() {
    if !here("explorer::people_find_what_fails", Part::Chromium) {
        return;
    }
    let mut served = Served::new(true).await;
    let mut command = Command::new("node");
    command.arg(scripts().join("browse.mjs")).env("PAGE", &served.page).env("MODULES", node_modules().unwrap());
    if let Some(pictures) = std::env::var_os("SCREENSHOTS") {
        command.env("PICTURES", pictures);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut browser = command.spawn().unwrap();
    let mut input = browser.stdin.take().unwrap();
    let mut lines = BufReader::new(browser.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    let talk = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line == "break" {
                let (id, name) = simulate::break_one(&mut served.db, clock::now_ms()).unwrap().unwrap();
                input.write_all(format!("{id} {name}\n").as_bytes()).await.unwrap();
            }
            said.push(line);
        }
    };
    tokio::time::timeout(Duration::from_secs(180), talk).await.expect("the browser ends within three minutes");
    let output = browser.wait_with_output().await.unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.last().is_some_and(|line| line == "done"), "{said:?}\n{complaint}");
}

/// Schemathesis makes requests out of the description, right and wrong ones, and compares the answers with it.
#[tokio::test(flavor = "multi_thread")]
async fn the_api_is_what_its_description_says() {
    if !here("explorer::the_api_is_what_its_description_says", Part::Schemathesis) {
        return;
    }
    let served = Served::new(false).await;
    let hash = safeguard_protocol::Digest::of(b"operates");
    let row = ("test", hash.as_bytes().as_slice(), "operate");
    served.db.execute("INSERT INTO token (name, hash, scope, created_ms) VALUES (?1, ?2, ?3, 0)", row).unwrap();
    let mut command = Command::new(venv_program("schemathesis").unwrap());
    command.arg("run").arg(format!("{}/v1/openapi.json", served.page));
    command.args(["--header", "Authorization: Bearer operates", "--exclude-path", "/v1/live", "--max-time", "60"]);
    command.args(["--max-examples", "25", "--generation-deterministic", "--request-timeout", "10", "--no-color"]);
    let output = command.kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(120), output).await.expect("two minutes are enough").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}
