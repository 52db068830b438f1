//! Pods come and go, addresses are used again, annotations change, the proxy dies, the watch breaks: at no moment does a pod hold a key
//! of the node, or of another pod.

use std::time::Duration;

use safeguard_tests::proxied::{NAMESPACE, PATIENCE, Proxied, Wish};
use tokio::time::{Instant, sleep};

use super::without_proxy;

const PODS: u8 = 5;
const ROLES: [&str; 5] = ["one", "two", "three", "four", "five"];

/// What a pod holds has to be its own: its name in the session, and a role that it has asked for in its life. Whether it holds anything.
fn check(node: &Proxied, number: u8, asked: &[Vec<String>], step: &str) -> bool {
    let Some(arn) = node.whoami(number) else { return false };
    let wish = node.wish(number);
    let wish = wish.unwrap_or_else(|| panic!("{step}: the interface {number} has no pod, and got {arn}"));
    let own = asked[usize::from(number)]
        .iter()
        .any(|role| arn == format!("arn:aws:sts::123456789012:assumed-role/{role}/shop.{}", wish.name));
    assert!(own, "{step}: pod {number}, {wish:?}, got {arn}");
    true
}

async fn churn(seed: u64, steps: u32) {
    let Some(mut node) = without_proxy("proxy::churn", PODS).await else { return };
    // Most of what is asked here has no answer: waiting for it is tested elsewhere.
    node.set_unknown_pod_wait(Duration::from_millis(20));
    node.up().await;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut asked: Vec<Vec<String>> = vec![Vec::new(); usize::from(PODS)];
    let mut serial = 0;
    let mut granted = 0;
    for step in 0..steps {
        let number = random.u8(0..PODS);
        let role = ROLES[random.usize(0..ROLES.len())];
        let action = random.u8(0..12);
        let told = format!("seed {seed}, step {step}, action {action} on {number} with {role}");
        match action {
            // A pod starts, in the place of another or not.
            0..=4 => {
                node.end_pod(number);
                serial += 1;
                let annotations = vec![("iam.amazonaws.com/role".to_owned(), role.to_owned())];
                let wish = Wish { uid: format!("uid-{serial}"), name: format!("pod-{serial}"), annotations };
                asked[usize::from(number)] = vec![role.to_owned()];
                node.run_pod(number, wish);
            }
            // The API hears late of the end, or of the start.
            5 => {
                if let Some(old) = node.wish(number).cloned() {
                    node.remove_result(&old);
                    serial += 1;
                    let annotations = vec![("iam.amazonaws.com/role".to_owned(), role.to_owned())];
                    let wish = Wish { uid: format!("uid-{serial}"), name: format!("pod-{serial}"), annotations };
                    asked[usize::from(number)] = vec![role.to_owned()];
                    node.run_pod(number, wish);
                    check(&node, number, &asked, &told);
                    node.api.delete_pod(NAMESPACE, &old.name);
                }
            }
            6 => node.end_pod(number),
            // It asks for another role.
            7 => {
                if let Some(mut wish) = node.wish(number).cloned() {
                    wish.annotations = vec![("iam.amazonaws.com/role".to_owned(), role.to_owned())];
                    asked[usize::from(number)].push(role.to_owned());
                    node.tell_api(number, &wish);
                }
            }
            8 => {
                node.kill();
                check(&node, number, &asked, &told);
                node.start(&[]);
                node.started().await;
            }
            9 => node.api.cut_watches(),
            10 => {
                node.api.drop_changes(1);
                node.api.expire_watches();
            }
            _ => {
                node.api.go_down().await;
                check(&node, number, &asked, &told);
                // Its port is free once the last of its connections is gone.
                let late = Instant::now() + PATIENCE;
                while let Err(error) = node.api.come_up().await {
                    assert!(Instant::now() < late, "{told}: {error}");
                    sleep(Duration::from_millis(20)).await;
                }
            }
        }
        granted += (0..PODS).filter(|number| check(&node, *number, &asked, &told)).count();
        if random.bool() {
            sleep(Duration::from_millis(random.u64(0..40))).await;
        }
    }
    assert!(granted > usize::try_from(steps).unwrap(), "pods got {granted} answers: nothing was tested");
    node.nothing_leaked();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_happens_no_pod_holds_a_key_that_is_not_its_own() {
    for seed in [1, 2, 3] {
        churn(seed, 40).await;
    }
}
