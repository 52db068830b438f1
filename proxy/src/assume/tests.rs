use std::sync::atomic::{AtomicU32, Ordering};

use secrecy::SecretString;
use tokio::time::sleep;

use super::*;
use crate::authorise::{authorise, rules_of};
use crate::testing;

const MINUTE: Duration = Duration::from_secs(60);

thread_local! {
    /// Each test has a thread and a paused clock of its own.
    static START: Instant = Instant::now();
}

fn now_ms() -> i64 {
    1_800_000_000_000 + i64::try_from(START.with(|start| start.elapsed().as_millis())).unwrap()
}

/// An STS that takes its time and does as it is told.
#[derive(Debug, Default)]
struct Scripted {
    calls: AtomicU32,
    delay: Mutex<Duration>,
    refuses: Mutex<Option<AssumeErrorKind>>,
    panics: Mutex<bool>,
}

impl Assume for Scripted {
    fn assume<'a>(&'a self, key: &'a SessionKey) -> Assumed<'a> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let (delay, refuses, panics) =
            (*self.delay.lock().unwrap(), *self.refuses.lock().unwrap(), *self.panics.lock().unwrap());
        Box::pin(async move {
            sleep(delay).await;
            assert!(!panics, "told to");
            if let Some(kind) = refuses {
                return Err(AssumeError { kind, code: "AccessDenied".into(), message: "no".into() });
            }
            Ok(Credentials {
                access_key_id: format!("ASIA{number}"),
                secret_access_key: SecretString::from("secret".to_owned()),
                token: SecretString::from("token".to_owned()),
                expires_ms: now_ms() + i64::from(key.duration) * 1_000,
            })
        })
    }
}

#[derive(Debug, Default)]
struct Told {
    issued: AtomicU32,
    failed: Mutex<Vec<(u32, Option<i64>)>>,
}

impl Witness for Told {
    fn issued(&self, _: &SessionKey, _: &Session) {
        self.issued.fetch_add(1, Ordering::SeqCst);
    }
    fn failed(&self, _: &SessionKey, failure: &Failure, until: Option<i64>) {
        self.failed.lock().unwrap().push((failure.times, until));
    }
}

struct Rig {
    sts: Arc<Scripted>,
    told: Arc<Told>,
    sessions: Sessions,
}

impl Rig {
    fn new() -> Self {
        now_ms();
        let (sts, told) = (Arc::<Scripted>::default(), Arc::<Told>::default());
        let sessions = Sessions::new(sts.clone(), told.clone(), now_ms);
        Self { sts, told, sessions }
    }

    fn calls(&self) -> u32 {
        self.sts.calls.load(Ordering::SeqCst)
    }

    async fn key_id(&self, grant: &Grant) -> Result<String, String> {
        let got = self.sessions.get(grant, Duration::from_secs(5)).await;
        got.map(|session| session.access_key_id.clone()).map_err(|error| error.code)
    }
}

fn grant_to(role: &str) -> Grant {
    let mut settings = testing::settings();
    settings.namespace_policy = crate::settings::NamespacePolicy::Off;
    let pod = testing::pod("uid-1", &[("iam.amazonaws.com/role", role)]);
    let namespace = testing::namespace(&[]);
    authorise(&pod, Some(&rules_of(&namespace, &settings)), &settings, "node").outcome.unwrap()
}

fn grants(number: usize) -> Vec<Grant> {
    (0..number).map(|number| grant_to(&format!("role-{number}"))).collect()
}

/// jtblin/kube2iam makes one call for each of 100 requests (research fact 9).
#[tokio::test(start_paused = true)]
async fn a_stampede_is_one_call() {
    let rig = Rig::new();
    *rig.sts.delay.lock().unwrap() = Duration::from_millis(300);
    let grant = grant_to("reader");
    let begun = Instant::now();
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (sessions, grant) = (rig.sessions.clone(), grant.clone());
        requests
            .spawn(async move { sessions.get(&grant, Duration::from_secs(5)).await.unwrap().access_key_id.clone() });
    }
    assert_eq!(requests.join_all().await, vec!["ASIA1"; 64]);
    assert_eq!(rig.calls(), 1);
    assert!(begun.elapsed() < Duration::from_millis(310));
    assert_eq!(rig.told.issued.load(Ordering::SeqCst), 1);
}

/// aws/eks-pod-identity-agent#50: a client that gives up takes nothing with it.
#[tokio::test(start_paused = true)]
async fn a_call_outlives_the_request_that_began_it() {
    let rig = Rig::new();
    *rig.sts.delay.lock().unwrap() = Duration::from_millis(900);
    let grant = grant_to("reader");
    assert!(rig.sessions.get(&grant, Duration::from_millis(100)).await.is_err());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.key_id(&grant).await.as_deref(), Ok("ASIA1"));
    assert_eq!(rig.calls(), 1);
}

/// uswitch/kiam PR#41, aws/aws-sdk-java#1893: what is served has more than half an hour to live, hour after hour.
#[tokio::test(start_paused = true)]
async fn what_is_served_has_half_an_hour_to_live() {
    let rig = Rig::new();
    let grant = grant_to("reader");
    let wanted = HashSet::from([grant.key().clone()]);
    for _ in 0..6 * 60 * 6 {
        let session = rig.sessions.get(&grant, Duration::from_secs(1)).await.unwrap();
        assert!(session.left_ms(now_ms()) > 30 * 60_000, "{}", session.left_ms(now_ms()));
        sleep(LOOK_EVERY).await;
        rig.sessions.maintain(&wanted);
        tokio::task::yield_now().await;
    }
    assert!((15..=20).contains(&rig.calls()), "{} calls in six hours", rig.calls());
}

/// Without a single request in between: pods find their session fresh.
#[tokio::test(start_paused = true)]
async fn a_session_is_kept_fresh_for_its_pod_and_forgotten_with_it() {
    let rig = Rig::new();
    let grant = grant_to("reader");
    let wanted = HashSet::from([grant.key().clone()]);
    rig.sessions.prefetch(&grant);
    for _ in 0..60 {
        sleep(MINUTE).await;
        rig.sessions.maintain(&wanted);
    }
    assert_eq!(rig.calls(), 3);
    sleep(MINUTE * 11).await;
    rig.sessions.maintain(&HashSet::new());
    assert_eq!(rig.sessions.counts().sessions, 0);
}

/// Design section 6: in an outage a session is served until 5 minutes before its true end, and not a moment longer.
#[tokio::test(start_paused = true)]
async fn an_outage_is_bridged_until_five_minutes_before_the_end() {
    let rig = Rig::new();
    let grant = grant_to("reader");
    let wanted = HashSet::from([grant.key().clone()]);
    assert!(rig.key_id(&grant).await.is_ok());
    *rig.sts.refuses.lock().unwrap() = Some(AssumeErrorKind::Unavailable);
    let begun = Instant::now();
    while begun.elapsed() < MINUTE * 55 - Duration::from_secs(11) {
        assert_eq!(rig.key_id(&grant).await.as_deref(), Ok("ASIA1"));
        sleep(LOOK_EVERY).await;
        rig.sessions.maintain(&wanted);
    }
    assert!(rig.told.failed.lock().unwrap().iter().all(|(_, until)| until.is_some()), "it is said how long it goes on");
    sleep(Duration::from_secs(22)).await;
    assert_eq!(rig.key_id(&grant).await, Err("AccessDenied".to_owned()));
    *rig.sts.refuses.lock().unwrap() = None;
    sleep(MINUTE).await;
    assert!(rig.key_id(&grant).await.is_ok(), "and it recovers by itself");
    assert!(rig.calls() < 120, "{} calls in an outage of half an hour", rig.calls());
}

/// jtblin/kube2iam PR#200: a role that cannot be assumed is not asked for with each request.
#[tokio::test(start_paused = true)]
async fn a_failure_is_remembered_for_a_moment() {
    let rig = Rig::new();
    let grant = grant_to("reader");
    *rig.sts.refuses.lock().unwrap() = Some(AssumeErrorKind::Denied);
    for _ in 0..1_000 {
        assert_eq!(rig.key_id(&grant).await, Err("AccessDenied".to_owned()));
    }
    assert_eq!(rig.calls(), 1);
    let begun = Instant::now();
    while begun.elapsed() < MINUTE * 10 {
        assert!(rig.key_id(&grant).await.is_err());
        sleep(Duration::from_secs(1)).await;
    }
    assert!((12..=24).contains(&rig.calls()), "{} calls in ten minutes", rig.calls());
    *rig.sts.refuses.lock().unwrap() = None;
    sleep(Duration::from_secs(46)).await;
    assert!(rig.key_id(&grant).await.is_ok(), "whoever mends the trust policy waits less than a minute");
}

/// A node with 20 pods and an STS that takes 150 ms: one after the other their sessions would take 3 s.
#[tokio::test(start_paused = true)]
async fn sessions_are_fetched_side_by_side() {
    let rig = Rig::new();
    let slow = Duration::from_millis(150);
    *rig.sts.delay.lock().unwrap() = slow;
    let (begun, grants) = (Instant::now(), grants(20));
    grants.iter().for_each(|grant| rig.sessions.prefetch(grant));
    for grant in &grants {
        assert!(rig.key_id(grant).await.is_ok());
    }
    assert!(begun.elapsed() < slow * 3, "{:?}", begun.elapsed());
    assert_eq!(rig.calls(), 20);
}

/// The sessions of a whole node are under way, and a pod asks: it does not wait for those of others.
#[tokio::test(start_paused = true)]
async fn who_asks_goes_before_what_is_fetched_ahead() {
    let rig = Rig::new();
    let slow = Duration::from_millis(150);
    *rig.sts.delay.lock().unwrap() = slow;
    let (begun, grants) = (Instant::now(), grants(110));
    grants.iter().for_each(|grant| rig.sessions.prefetch(grant));
    sleep(Duration::from_millis(10)).await;
    assert!(rig.key_id(&grants[109]).await.is_ok());
    assert!(begun.elapsed() < slow * 2, "{:?}", begun.elapsed());
    assert_eq!(rig.calls(), 25, "twelve of the others, twice, and the one that was asked for");
    sleep(slow * 10).await;
    assert_eq!((rig.calls(), rig.sessions.counts().sessions), (110, 110));
}

#[tokio::test(start_paused = true)]
async fn other_sessions_do_not_wait_for_one_that_hangs() {
    let rig = Rig::new();
    *rig.sts.delay.lock().unwrap() = Duration::from_secs(3_600);
    let stuck = grant_to("stuck");
    rig.sessions.prefetch(&stuck);
    tokio::task::yield_now().await;
    *rig.sts.delay.lock().unwrap() = Duration::ZERO;
    assert!(rig.key_id(&grant_to("other")).await.is_ok());
    assert_eq!(rig.key_id(&stuck).await, Err("Timeout".to_owned()));
    sleep(Duration::from_secs(10)).await;
    assert!(rig.key_id(&stuck).await.is_ok(), "a call that hangs is given up, and made again");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_panics_leaves_nobody_waiting() {
    let rig = Rig::new();
    *rig.sts.panics.lock().unwrap() = true;
    let grant = grant_to("reader");
    assert_eq!(rig.key_id(&grant).await, Err("Panic".to_owned()));
    *rig.sts.panics.lock().unwrap() = false;
    sleep(Duration::from_secs(2)).await;
    assert!(rig.key_id(&grant).await.is_ok());
}
