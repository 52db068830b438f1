//! A machine that boots with our packages: who starts before whom, and no line is lost whatever the agent's life is like.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use safeguard_standins::{CloudWatch, Options};
use safeguard_tests::machine::{Machine, Storage};
use safeguard_tests::parts::{Part, here};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use crate::packaged::package;

const PORT: u16 = 4280;
const PATIENCE: Duration = Duration::from_secs(40);
const LOG: &str = "/var/log/pods/shop_web-1_0b7c2f6e-0000-4000-8000-000000000001/app/0.log";

/// A node whose kubelet and containerd only claim to be some.
struct Node {
    machine: Machine,
    service: CloudWatch,
    written: u32,
}

impl Node {
    async fn boot() -> Self {
        let machine = block_in_place(|| Machine::boot(Storage::Persistent)).unwrap();
        let listener = Some(machine.listen(PORT));
        let service = CloudWatch::start(Options { listener, ..Options::default() }).await.unwrap();
        let node = Self { machine, service, written: 0 };
        let key = node.service.credential();
        let keys = format!(
            "[Service]\nEnvironment=AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={} AWS_EC2_METADATA_DISABLED=true\n",
            key.access_key_id, key.secret_access_key
        );
        let idle = "[Service]\nType=exec\nExecStart=/usr/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n";
        for (path, text) in [
            ("etc/systemd/system/containerd.service", idle.to_owned()),
            (
                "etc/systemd/system/kubelet.service",
                format!("[Unit]\nAfter=containerd.service\nWants=containerd.service\n{idle}"),
            ),
            (
                "etc/systemd/system/safeguard-agent.service.d/test.conf",
                format!("{keys}WatchdogSec=3s\nTimeoutAbortSec=1s\n"),
            ),
            ("etc/systemd/system/safeguard-proxy.service.d/test.conf", keys),
            (
                "etc/safeguard/agent.toml",
                format!(
                    "[node]\nname = \"node-1\"\ncluster = \"prod\"\nhost_root = \"/proc/1/root\"\n[aws]\nregion = \"{}\"\n\
                     endpoint_url = \"http://127.0.0.1:{PORT}\"\n[logs]\nflush_interval = \"500ms\"\n",
                    node.service.region()
                ),
            ),
            (
                "etc/safeguard/proxy.toml",
                "[node]\nname = \"node-1\"\n[aws]\nregion = \"us-east-1\"\nsts_endpoint_url = \"http://127.0.0.1:9\"\n\
                 [kubernetes]\nmode = \"url\"\nurl = \"http://127.0.0.1:9\"\ntoken_file = \"/etc/hostname\"\n\
                 [roles]\nbase_arn = \"arn:aws:iam::123456789012:role/\"\n"
                    .to_owned(),
            ),
        ] {
            let path = node.machine.root().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        node.run(&format!("mkdir -p $(dirname {LOG}) /var/lib/cni/results"));
        for name in ["safeguard-agent", "safeguard-proxy"] {
            node.install(name, 1);
        }
        node
    }

    fn run(&self, line: &str) -> String {
        block_in_place(|| self.machine.run(&["sh", "-ec", line])).unwrap_or_else(|error| panic!("{error}"))
    }

    fn show(&self, unit: &str, property: &str) -> String {
        self.run(&format!("systemctl show -P {property} {unit}")).trim().to_owned()
    }

    /// What was written of the settings before stays: dpkg is told not to ask.
    fn install(&self, name: &str, revision: u8) {
        fs::copy(package(name, "deb", revision), self.machine.root().join("srv/package.deb")).unwrap();
        self.run("dpkg --force-confold --install /srv/package.deb");
    }

    /// The container says something.
    fn write(&mut self, lines: u32) {
        let (first, last) = (self.written + 1, self.written + lines);
        self.run(&format!(
            "for i in $(seq {first} {last}); do echo \"$(date -u +%FT%T.%NZ) stdout F line $i\"; done >> {LOG}"
        ));
        self.written = last;
    }

    /// How often each line is there.
    fn arrived(&self) -> BTreeMap<u32, u32> {
        let mut times = BTreeMap::new();
        self.service.for_each_event(|_, _, event| {
            let number = event.message.split_once("line ").map(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()));
            if let Some(Ok(number)) = number.and_then(|mut parts| Some(parts.next()?.parse())) {
                *times.entry(number).or_default() += 1;
            }
        });
        times.retain(|number, _| *number <= self.written);
        times
    }

    /// Every line is there, and those before `may_be_twice` once.
    fn complete(&self, when: &str, may_be_twice: u32) {
        let times = self.arrived();
        let missing: Vec<u32> = (1..=self.written).filter(|number| !times.contains_key(number)).collect();
        assert!(missing.is_empty(), "{when}: of {} lines {missing:?} are missing: {}", self.written, self.journal());
        let twice: Vec<_> = times.range(..may_be_twice).filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "{when}: twice: {twice:?}");
    }

    async fn completes(&self, when: &str) {
        self.completes_but(when, u32::MAX).await;
    }

    async fn completes_but(&self, when: &str, may_be_twice: u32) {
        let late = Instant::now() + PATIENCE;
        while self.arrived().len() < usize::try_from(self.written).unwrap() && Instant::now() < late {
            sleep(Duration::from_millis(50)).await;
        }
        self.complete(when, may_be_twice);
    }

    async fn becomes(&self, unit: &str, property: &str, wanted: &str) {
        let late = Instant::now() + PATIENCE;
        while self.show(unit, property) != wanted {
            assert!(Instant::now() < late, "{unit}: {property} is not {wanted}: {}", self.journal());
            sleep(Duration::from_millis(100)).await;
        }
    }

    fn journal(&self) -> String {
        self.run("journalctl --no-pager --lines 60 --unit 'safeguard*'")
    }

    async fn reboot(&mut self) {
        self.service.go_down().await;
        block_in_place(|| self.machine.reboot()).unwrap();
        self.service.come_up().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_is_lost_over_stop_upgrade_reboot_and_hang() {
    const NAME: &str = "machine::no_line_is_lost_over_stop_upgrade_reboot_and_hang";
    if !here(NAME, Part::Machine) || !here(NAME, Part::Packagers) {
        return;
    }
    let mut node = Node::boot().await;
    assert_eq!(node.run("systemctl is-enabled safeguard-agent || true").trim(), "disabled", "nobody asked for it yet");
    node.write(20);
    // `start` waits until it says that it is ready.
    node.run("systemctl enable --now safeguard-agent");
    node.completes("after the start").await;
    // Nothing that is as it should be is complained of.
    let said = node.run("journalctl --no-pager --output=cat --unit safeguard-agent");
    assert!(said.contains("\"level\":\"INFO\"") && !said.contains("\"level\":\"WARN\""), "{said}");

    // SIGTERM: what was written a moment before is delivered before it ends.
    node.write(50);
    node.run("systemctl stop safeguard-agent");
    node.complete("after SIGTERM", u32::MAX);
    assert_eq!(node.show("safeguard-agent", "Result"), "success");
    node.write(20);
    node.run("systemctl start safeguard-agent");
    node.write(20);
    node.run("systemctl restart safeguard-agent");
    node.completes("after a restart").await;

    // The container goes on talking while the package is replaced.
    let (first, last) = (node.written + 1, node.written + 300);
    node.run(&format!(
        "systemd-run --quiet --unit=talk sh -ec 'for i in $(seq {first} {last}); do \
         echo \"$(date -u +%%FT%%T.%%NZ) stdout F line $i\"; sleep 0.01; done >> {LOG}'"
    ));
    let before = node.show("safeguard-agent", "MainPID");
    node.install("safeguard-agent", 2);
    node.becomes("safeguard-agent", "ActiveState", "active").await;
    assert_ne!(node.show("safeguard-agent", "MainPID"), before, "the new program runs");
    assert!(node.run("dpkg-query --show safeguard-agent").contains("-2"));
    node.becomes("talk", "ActiveState", "inactive").await;
    node.written = last;
    node.completes("after an upgrade").await;

    let young = node.written + 1;
    node.write(30);
    node.reboot().await;
    node.becomes("safeguard-agent", "ActiveState", "active").await;
    node.write(30);
    node.completes("after a reboot").await;

    // It hangs: systemd ends it and starts another. What is younger than the last checkpoint may come twice, and nothing is missing.
    let pid = node.show("safeguard-agent", "MainPID");
    node.run(&format!("kill -STOP {pid}"));
    node.write(30);
    node.becomes("safeguard-agent", "NRestarts", "1").await;
    node.becomes("safeguard-agent", "ActiveState", "active").await;
    assert!(node.run("journalctl --no-pager --unit safeguard-agent").contains("Watchdog timeout"));
    node.completes_but("after it hung", young).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_meet_the_redirect_before_anything_else() {
    const NAME: &str = "machine::pods_meet_the_redirect_before_anything_else";
    if !here(NAME, Part::Machine) || !here(NAME, Part::Packagers) {
        return;
    }
    let mut node = Node::boot().await;
    node.run(
        "systemctl daemon-reload; systemctl enable kubelet containerd safeguard-agent safeguard-proxy safeguard-proxy-redirect \
         safeguard-proxy-redirect-check.timer",
    );
    node.reboot().await;
    for unit in ["safeguard-proxy", "safeguard-agent", "kubelet"] {
        node.becomes(unit, "ActiveState", "active").await;
    }
    let at = |unit: &str, property: &str| node.show(unit, property).parse::<u64>().unwrap();
    let there = at("safeguard-proxy-redirect", "ActiveEnterTimestampMonotonic");
    assert!(there > 0);
    for unit in ["containerd", "kubelet", "safeguard-proxy"] {
        let started = at(unit, "ExecMainStartTimestampMonotonic");
        assert!(there <= started, "{unit} started {} us before the redirect was there", there - started);
    }
    // From a network namespace like a pod's.
    node.run("systemctl start safeguard-proxy-redirect-check");
    let state: serde_json::Value = serde_json::from_str(&node.run("cat /run/safeguard/redirect.json")).unwrap();
    assert_eq!(state["ok"], true, "{state}");
    assert_eq!(node.show("safeguard-proxy-redirect-check.timer", "ActiveState"), "active");

    // Killed, the proxy comes back; the redirect was there all the time.
    node.run("systemctl kill --signal=KILL safeguard-proxy");
    node.becomes("safeguard-proxy", "NRestarts", "1").await;
    node.becomes("safeguard-proxy", "ActiveState", "active").await;
    // Somebody flushes the rules: the check mends it.
    node.run(
        "nft flush ruleset; systemctl start safeguard-proxy-redirect-check; nft list ruleset | grep -q 169.254.169.254",
    );

    // Where the redirect cannot come up, no pod starts.
    let drop_in = node.machine.root().join("etc/systemd/system/safeguard-proxy-redirect.service.d/test.conf");
    fs::create_dir_all(drop_in.parent().unwrap()).unwrap();
    fs::write(drop_in, "[Service]\nExecStart=\nExecStart=/bin/false\n").unwrap();
    node.reboot().await;
    node.becomes("safeguard-proxy-redirect", "ActiveState", "failed").await;
    assert_eq!(node.show("kubelet", "ActiveState"), "inactive", "{}", node.journal());

    // Removed, it leaves nothing behind, and asks for nothing.
    fs::remove_dir_all(node.machine.root().join("etc/systemd/system/safeguard-proxy-redirect.service.d")).unwrap();
    node.run("systemctl daemon-reload; systemctl start safeguard-proxy; dpkg --remove safeguard-proxy");
    let rules = node.run("nft list ruleset; ip rule list || true");
    assert!(!rules.contains("169.254"), "{rules}");
}
