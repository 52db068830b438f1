//! Runs: twice, at the same time, killed half-way, undone, and without the rights for it.

use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use safeguard_proxy::redirect::{self, Redirect, Standing, State, StateError, Values};
use safeguard_tests::fabric::{Place, Wiring};

use super::{BOTH, COMES, Client, IMDS, PROXY, Rig};
use safeguard_tests::parts::{Part, here};

/// How long a process of its own may take to get to work.
const PATIENCE: Duration = Duration::from_secs(30);

/// Set in a process of its own that does what it says, and nothing in others.
const CHILD: &str = "SAFEGUARD_TEST_REDIRECT";

#[test]
fn bringing_it_up_again_changes_nothing_and_open_connections_live_on() {
    if !here("bringing_it_up_again_changes_nothing_and_open_connections_live_on", Part::Network) {
        return;
    }
    let mut rig = Rig::new(Wiring::Vpc, 1);
    rig.up();
    let once = rig.setup();
    let connect = |metadata| rig.fabric.in_pod(0, || Client::connect((metadata, 80).into(), COMES)).ok().unwrap();
    let mut clients = BOTH.map(connect);
    for _ in 0..3 {
        rig.bring_up().unwrap();
        assert_eq!(rig.setup(), once);
        for client in &mut clients {
            assert!(client.get(COMES).is_from(PROXY));
        }
    }
}

#[test]
fn taking_it_down_removes_exactly_ours() {
    if !here("taking_it_down_removes_exactly_ours", Part::Network) {
        return;
    }
    let rig = Rig::new(Wiring::Vpc, 1);
    // Others', as like to ours as can be.
    rig.nft("table ip safeguard_redirect { chain redirected { type nat hook prerouting priority dstnat; }; }");
    rig.ip("rule add pref 3 to 169.254.169.254 lookup main\nrule add pref 6 to 169.254.169.254 prohibit");
    rig.ip("rule add pref 5 from 192.0.2.1 to 169.254.169.254 prohibit\naddr add 169.254.168.251/32 dev lo");
    let before = rig.setup();
    // What is not there is no error.
    rig.down();
    assert_eq!(rig.setup(), before);
    rig.bring_up().unwrap();
    assert_ne!(rig.setup(), before);
    rig.check(false);
    rig.down();
    assert_eq!(rig.setup(), before);
    assert!(matches!(State::read(rig.redirect.state_file()), Err(StateError::Missing { .. })));
}

#[test]
fn runs_at_the_same_time_wait_for_each_other() {
    if !here("runs_at_the_same_time_wait_for_each_other", Part::Network) {
        return;
    }
    let mut rig = Rig::new(Wiring::Vpc, 1);
    rig.up();
    let (rig, redirect) = (&rig, &rig.redirect);
    std::thread::scope(|scope| {
        let checks: Vec<_> =
            (0..4).map(|_| scope.spawn(|| rig.on_node(async |of| redirect::check(of, true).await))).collect();
        let ups: Vec<_> = (0..2).map(|_| scope.spawn(|| rig.bring_up())).collect();
        for up in ups {
            up.join().unwrap().unwrap();
        }
        for check in checks {
            let report = check.join().unwrap().unwrap();
            assert!(report.state.ok && report.mended.is_empty(), "{report:?}");
        }
    });
    assert_eq!(State::read(redirect.state_file()).unwrap().generation, 0);
}

/// A child of the next tests: what it is told to do, in the namespace that it was started in.
#[test]
fn child() {
    let Some(told) = std::env::var_os(CHILD) else { return };
    let (what, state_file) = told.to_str().unwrap().split_once(' ').unwrap();
    let redirect = Redirect::new(Values { state_file: state_file.into(), ..Values::default() }).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let said = runtime.block_on(async {
        match what {
            "check" => loop {
                redirect::check(&redirect, true).await.unwrap();
            },
            "check-once" => {
                redirect::check(&redirect, true).await.map(|report| serde_json::to_string(&report).unwrap())
            }
            "up" => redirect::up(&redirect).await.map(|done| format!("{done:?}")),
            other => panic!("{other}"),
        }
    });
    let said = match said {
        Ok(done) => format!("done: {done}"),
        Err(error) => format!("error: {error}"),
    };
    std::fs::write(format!("{state_file}.said"), said).unwrap();
}

/// Arguments for this test binary, and its environment.
fn told(rig: &Rig, what: &str) -> (Vec<&'static str>, String) {
    let told = format!("{what} {}", rig.redirect.state_file().display());
    (vec!["redirect::runs::child", "--exact", "--nocapture", "--test-threads=1"], told)
}

fn said(rig: &Rig) -> String {
    std::fs::read_to_string(format!("{}.said", rig.redirect.state_file().display())).unwrap()
}

#[test]
fn a_check_that_is_killed_half_way_leaves_nothing_that_the_next_does_not_remove() {
    if !here("a_check_that_is_killed_half_way_leaves_nothing_that_the_next_does_not_remove", Part::Network) {
        return;
    }
    let mut rig = Rig::new(Wiring::Vpc, 1);
    rig.up();
    rig.check(false);
    let whole = rig.setup();
    let exe = std::env::current_exe().unwrap();
    let (arguments, told) = told(&rig, "check");
    for turn in 0..6 {
        // The even ones stand still while they probe, since no answer comes; the others are killed wherever they are.
        let caught = turn % 2 == 0;
        if caught {
            rig.nft("table inet other { chain c { type filter hook input priority 0; tcp dport 8181 drop; }; }");
        }
        let mut command = rig.fabric.command_in(Place::Node, exe.to_str().unwrap());
        command.args(&arguments).env(CHILD, &told).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let until = Instant::now() + PATIENCE;
        while caught && !interfaces(&rig).contains("sgprobe0") {
            assert!(Instant::now() < until, "no probe was seen");
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(7 * turn));
        child.kill().unwrap();
        child.wait().unwrap();
        if caught {
            let tables = rig.printed("nft", &["list", "tables"]);
            assert!(tables.contains("safeguard_probe"), "nothing was left, so the test proves nothing: {tables}");
            rig.nft("delete table inet other");
        }
        let report = rig.check(true);
        assert!(report.state.ok, "{report:?}");
        assert_eq!(rig.setup(), whole);
    }
    // An interface whose namespace somebody holds open does not go with it.
    rig.ip("link add sgprobe0 type veth peer name left");
    rig.ip("link set sgprobe0 up\nroute add 169.254.168.253/32 dev sgprobe0");
    assert!(rig.check(true).state.ok);
    assert_eq!(rig.setup(), whole);
}

#[test]
fn a_lock_that_is_held_is_waited_for() {
    if !here("a_lock_that_is_held_is_waited_for", Part::Network) {
        return;
    }
    let rig = Rig::new(Wiring::Vpc, 0);
    rig.bring_up().unwrap();
    let mut lock = rig.fabric.command_in(Place::Node, "flock");
    let file = rig.redirect.state_file().with_extension("lock");
    lock.arg(file).args(["sh", "-c", "echo held; exec sleep 1"]).stdout(Stdio::piped());
    let mut holder = lock.spawn().unwrap();
    holder.stdout.take().unwrap().read_exact(&mut [0; 5]).unwrap();
    let started = Instant::now();
    assert!(rig.check(false).state.ok);
    assert!(started.elapsed() > Duration::from_millis(500), "{:?}", started.elapsed());
    holder.wait().unwrap();
}

/// The node's interfaces.
fn interfaces(rig: &Rig) -> String {
    rig.fabric.in_node(|| std::fs::read_to_string("/proc/thread-self/net/dev")).unwrap()
}

/// Runs the child without a capability.
fn without(rig: &Rig, capability: &str, what: &str) -> String {
    let exe = std::env::current_exe().unwrap();
    let (arguments, told) = told(rig, what);
    let mut command = rig.fabric.command_in(Place::Node, "setpriv");
    command.args([&format!("--bounding-set=-{capability}"), "--", exe.to_str().unwrap()]);
    let ended = command.args(&arguments).env(CHILD, &told).stdin(Stdio::null()).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    said(rig)
}

#[test]
fn without_the_rights_for_it_the_error_says_which_and_nothing_is_claimed() {
    if !here("without_the_rights_for_it_the_error_says_which_and_nothing_is_claimed", Part::Network) {
        return;
    }
    let rig = Rig::new(Wiring::Vpc, 1);
    let said = without(&rig, "net_admin", "up");
    assert!(said.starts_with("error: not permitted") && said.contains("CAP_NET_ADMIN"), "{said}");
    let said = without(&rig, "net_admin", "check-once");
    assert!(said.contains("\"ok\":false") && said.contains("CAP_NET_ADMIN"), "{said}");
    // Bringing it up needs no more than that one.
    let said = without(&rig, "sys_admin", "up");
    assert_eq!(said, "done: Redirected");
    let said = without(&rig, "sys_admin", "check-once");
    assert!(said.contains("\"ok\":false") && said.contains("CAP_SYS_ADMIN"), "{said}");
    let state = State::read(rig.redirect.state_file()).unwrap();
    assert_eq!((state.layers.routing, state.layers.probe), (Standing::Holds, Standing::Unknown));
    assert!(BOTH.iter().all(|metadata| !rig.get(Place::Pod(0), *metadata).is_from(IMDS)));
}

#[test]
fn without_nft_the_check_says_so_and_routing_has_refused_pods_already() {
    if !here("without_nft_the_check_says_so_and_routing_has_refused_pods_already", Part::Network) {
        return;
    }
    // A program that fails stands for one that the kernel does not let do its work.
    let rig = Rig::with(Wiring::Vpc, 1, |values| values.nft = Some("/bin/false".into()));
    let said = rig.bring_up().unwrap_err().to_string();
    assert!(said.contains("/bin/false"), "{said}");
    for metadata in BOTH {
        assert_eq!(rig.get(Place::Pod(0), metadata), super::Got::NoRoute);
    }
    let report = rig.check(true);
    assert!(!report.state.ok && report.state.layers.table == Standing::Unknown, "{report:?}");
    let missing = Rig::with(Wiring::Vpc, 0, |values| values.nft = Some("/nowhere/nft".into()));
    let report = missing.check(true);
    assert!(!report.state.ok && report.state.problems[0].text.contains("`nftables`"), "{report:?}");
    rig.no_pod_was_seen_by_imds();
}
