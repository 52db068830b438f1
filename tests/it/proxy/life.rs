//! Starting, ending, being killed, being replaced: pods see a refusal, and never the node's credentials.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use safeguard_tests::fabric::{METADATA_V4, Place};
use safeguard_tests::proxied::{Wish, ask};

use super::{LIST, node, session, without_proxy};

/// jtblin/kube2iam#170, #94, uswitch/kiam#395: before the proxy is there, nobody answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn before_the_proxy_is_there_pods_are_refused() {
    let Some(mut node) = without_proxy("proxy::before_the_proxy_is_there", 1).await else { return };
    node.redirect_up();
    node.run_pod(0, Wish::role(0, "one"));
    let begun = Instant::now();
    let refused = node.get(0, LIST).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused, "{refused}");
    assert!(begun.elapsed() < Duration::from_secs(1), "at once, not after a timeout");
    node.start(&[]);
    node.started().await;
    assert_eq!(node.whoami(0), Some(session("one", 0)));
    node.nothing_leaked();
}

/// jtblin/kube2iam#194, #370, uswitch/kiam `--iptables-remove`: the redirect outlives the proxy, however it ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_proxy_that_is_killed_or_ended_leaves_pods_refused() {
    let Some(mut node) = node("proxy::a_proxy_that_is_killed", 1).await else { return };
    node.run_pod(0, Wish::role(0, "one"));
    for round in 0..3 {
        assert_eq!(node.whoami(0), Some(session("one", 0)));
        if round % 2 == 0 {
            node.kill();
        } else {
            assert_eq!(node.terminate().await.code(), Some(0), "{}", node.said());
        }
        for _ in 0..20 {
            let refused = node.get(0, LIST).unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused, "{refused}");
        }
        node.start(&[]);
        node.started().await;
    }
    node.nothing_leaked();
}

/// Another proxy takes over while a pod asks without pause: nobody is refused for longer than a moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_proxy_is_replaced_without_a_gap() {
    let Some(mut node) = node("proxy::a_proxy_is_replaced", 1).await else { return };
    node.run_pod(0, Wish::role(0, "one"));
    assert!(node.whoami(0).is_some());
    let (stop, longest, asked) = (AtomicBool::new(false), Mutex::new(Duration::ZERO), AtomicU32::new(0));
    let pod = node.fabric.pod(0).v4;
    // The node is borrowed for starting programs: the pod's namespace is entered once, by the thread that asks.
    std::thread::scope(|scope| {
        let client = scope.spawn({
            let entrance = node.fabric.entrance(Place::Pod(0)).unwrap();
            let (stop, longest, asked) = (&stop, &longest, &asked);
            move || {
                entrance.enter().unwrap();
                let to = std::net::SocketAddr::from((METADATA_V4, 80));
                let mut refused_since: Option<Instant> = None;
                while !stop.load(Ordering::Relaxed) {
                    asked.fetch_add(1, Ordering::Relaxed);
                    match ask(to, "GET", &format!("{LIST}one"), &[]) {
                        Ok(reply) if reply.status == 200 => {
                            if let Some(since) = refused_since.take() {
                                let mut longest = longest.lock().unwrap();
                                *longest = longest.max(since.elapsed());
                            }
                        }
                        _ => {
                            refused_since.get_or_insert_with(Instant::now);
                        }
                    }
                }
                if let Some(since) = refused_since {
                    *longest.lock().unwrap() = since.elapsed();
                }
            }
        });
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            runtime.block_on(async {
                for _ in 0..3 {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    node.start(&["--replace"]);
                    assert_eq!(node.ended().await.code(), Some(0), "{}", node.said());
                    node.started().await;
                }
                tokio::time::sleep(Duration::from_millis(300)).await;
            });
        });
        stop.store(true, Ordering::Relaxed);
        client.join().unwrap();
    });
    let (longest, asked) = (*longest.lock().unwrap(), asked.load(Ordering::Relaxed));
    assert!(asked > 100, "{asked} requests of {pod}");
    assert!(longest < Duration::from_secs(2), "pods were refused for {longest:?}: {}", node.said());
    node.nothing_leaked();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_second_proxy_is_refused_with_a_remedy() {
    let Some(mut node) = node("proxy::a_second_proxy", 1).await else { return };
    node.start(&[]);
    let first = node.pid();
    assert!(first.is_some());
    // The one that was started last ends by itself; the other goes on.
    let late = Instant::now() + Duration::from_secs(20);
    while !node.said().contains("is held by pid") {
        assert!(Instant::now() < late, "{}", node.said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    node.run_pod(0, Wish::role(0, "one"));
    assert_eq!(node.whoami(0), Some(session("one", 0)));
}

/// Design section 2: the process that pods can reach starts no program, and needs no capability.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_program_can_be_started_from_it() {
    let Some(node) = node("proxy::no_program_can_be_started", 1).await else { return };
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid().unwrap())).unwrap();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(field("Seccomp:"), "2");
    assert_eq!(field("NoNewPrivs:"), "1");
}
