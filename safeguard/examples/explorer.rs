//! Opens the Compliance Explorer on a simulated fleet: `cargo run --release -p safeguard --example explorer -- 200 8700`.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a program to look at, not one to ship")]

use std::net::{Ipv4Addr, SocketAddr};

use safeguard::explorer::{Explorer, Settings};
use safeguard::store::simulate;
use safeguard_daemon::clock;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let nodes = words.next().map_or(Ok(200), |word| word.parse())?;
    let port = words.next().map_or(Ok(0), |word| word.parse())?;
    let directory = std::env::temp_dir().join(format!("safeguard-explorer-{}", std::process::id()));
    std::fs::create_dir(&directory)?;
    let store = directory.join("store.sqlite");
    let mut db = safeguard::store::create(&store)?;
    simulate::fill(&mut db, nodes, 7, clock::now_ms())?;

    let explorer = Explorer::new(&store, Settings { open: std::env::var_os("CLOSED").is_none() }, clock::now_ms);
    let app = safeguard::page::router(explorer.clone()).merge(safeguard::api::router(explorer));
    let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    println!("http://{}/ (store: {})", listener.local_addr()?, store.display());
    axum::serve(listener, app).await?;
    Ok(())
}
