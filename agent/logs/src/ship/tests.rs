use super::*;
use crate::batch::{Buffers, Compression, Event, OpenBatch, Source, Wrapping};
use crate::settings::GroupClass;
use bytes::Bytes;
use std::io::Read;
use std::sync::Mutex;
use tokio::sync::mpsc::unbounded_channel;

/// What the fake service is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Call {
    Put { stream: String, messages: Vec<String>, gzip: bool },
    CreateStream(String),
    CreateGroup(String),
    SetRetention(u32),
    NewCredentials,
}

type Answer = Result<Rejected, FailureKind>;
type Script = Box<dyn FnMut(&Call) -> Option<Answer> + Send>;

/// A service that answers by script; `None` is a request that never ends.
#[derive(Clone)]
struct Fake {
    script: Arc<Mutex<Script>>,
    calls: Arc<Mutex<Vec<(Instant, Call)>>>,
}

impl Fake {
    fn new(script: impl FnMut(&Call) -> Option<Answer> + Send + 'static) -> Self {
        Self { script: Arc::new(Mutex::new(Box::new(script))), calls: Arc::default() }
    }

    async fn answer(&self, operation: &'static str, call: Call) -> Result<Rejected, Failure> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.calls.lock().unwrap().push((Instant::now(), call.clone()));
        let answer = (self.script.lock().unwrap())(&call);
        match answer {
            Some(answer) => answer.map_err(|kind| Failure { kind, operation, message: format!("{kind:?}") }),
            None => std::future::pending().await,
        }
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().iter().map(|(_, c)| c.clone()).collect()
    }

    fn puts(&self) -> usize {
        self.calls().iter().filter(|c| matches!(c, Call::Put { .. })).count()
    }
}

impl LogsApi for Fake {
    async fn put(&self, body: Bytes, gzip: bool) -> Result<Rejected, Failure> {
        let mut text = Vec::new();
        if gzip {
            flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut text).unwrap();
        } else {
            text.extend_from_slice(&body);
        }
        let body: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let messages = body["logEvents"].as_array().unwrap().iter().map(|e| e["message"].as_str().unwrap().to_owned());
        let (stream, messages) = (body["logStreamName"].as_str().unwrap().to_owned(), messages.collect());
        self.answer("PutLogEvents", Call::Put { stream, messages, gzip }).await
    }
    async fn create_stream(&self, _: &str, stream: &str) -> Result<(), Failure> {
        self.answer("CreateLogStream", Call::CreateStream(stream.into())).await.map(drop)
    }
    async fn create_group(&self, group: &str, _: &NewGroups) -> Result<(), Failure> {
        self.answer("CreateLogGroup", Call::CreateGroup(group.into())).await.map(drop)
    }
    async fn set_retention(&self, _: &str, days: u32) -> Result<(), Failure> {
        self.answer("PutRetentionPolicy", Call::SetRetention(days)).await.map(drop)
    }
    fn credentials_refused(&self) {
        self.calls.lock().unwrap().push((Instant::now(), Call::NewCredentials));
    }
}

fn put(call: &Call, stream: &str) -> bool {
    matches!(call, Call::Put { stream: s, .. } if s == stream)
}

/// The stage under test, with a channel at each end.
struct Rig {
    commands: UnboundedSender<Command>,
    outcomes: UnboundedReceiver<Outcome>,
    fake: Fake,
}

impl Rig {
    fn new(create: bool, fake: &Fake) -> Self {
        let new_groups = NewGroups {
            create,
            retention_days: Some(30),
            kms_key: None,
            class: GroupClass::Standard,
            tags: std::collections::BTreeMap::new(),
        };
        let (commands, commands_in) = unbounded_channel();
        let (outcomes_out, outcomes) = unbounded_channel();
        tokio::spawn(run(fake.clone(), new_groups, commands_in, outcomes_out, || {}));
        Self { commands, outcomes, fake: fake.clone() }
    }

    fn ship(&self, target: TargetNo, messages: &[&str]) {
        self.ship_as(target, messages, Compression::None);
    }

    fn ship_as(&self, target: TargetNo, messages: &[&str], mut compression: Compression) {
        let stream = format!("s{target}");
        let wrapping = Wrapping::raw();
        let mut batch = OpenBatch::new(target, "g", &stream, Vec::new());
        for (i, message) in messages.iter().enumerate() {
            let line = i as u64 * 10..i as u64 * 10 + 10;
            let source = Source { file: 1, container: target, line, pieces: None, carried: None, bytes: None };
            let event = Event {
                timestamp_ms: 1 + i as i64,
                wrapping: &wrapping,
                content: message.as_bytes(),
                mark: None,
                source,
            };
            batch.push(&event).unwrap();
        }
        let target = Arc::new(Target { group: "g".into(), stream });
        self.commands.send(Command::Ship(target, Box::new(batch.seal(&mut compression, &Buffers::default())))).unwrap();
    }

    /// The next receipt, within this time.
    async fn receipt(&mut self, within: Duration) -> Receipt {
        let next = async {
            loop {
                if let Some(Outcome::Settled(receipt)) = self.outcomes.recv().await {
                    return receipt;
                }
            }
        };
        tokio::time::timeout(within, next)
            .await
            .unwrap_or_else(|_| panic!("no receipt; calls: {:?}", self.fake.calls()))
    }
}

const SOON: Duration = Duration::from_secs(5);
const OK: Option<Answer> = Some(Ok(Rejected { too_old_end: None, expired_end: None, too_new_start: None }));

fn fails(kind: FailureKind) -> Option<Answer> {
    Some(Err(kind))
}

/// open-telemetry/opentelemetry-collector-contrib#45120: an hour without CloudWatch costs patience and nothing else.
#[tokio::test(start_paused = true)]
async fn an_hour_without_the_service_loses_nothing_and_does_not_hammer() {
    let back = Instant::now() + Duration::from_secs(3600);
    let fake = Fake::new(move |_| if Instant::now() < back { fails(FailureKind::Transient) } else { OK });
    let mut rig = Rig::new(true, &fake);
    rig.ship(0, &["a", "b"]);
    let receipt = rig.receipt(Duration::from_secs(3600 + 60)).await;
    assert_eq!(receipt.size, Count::new(2, 20));
    assert!(receipt.lost.is_empty());
    assert!((100..400).contains(&fake.puts()), "{} tries", fake.puts());
}

/// vectordotdev/vector#12253, fluent/fluent-bit#4293: a throttled batch is sent again, whole and once.
#[tokio::test(start_paused = true)]
async fn a_throttled_batch_is_tried_again() {
    let mut left = 3;
    let fake = Fake::new(move |_| {
        left -= 1;
        if left >= 0 { fails(FailureKind::Throttled) } else { OK }
    });
    let mut rig = Rig::new(true, &fake);
    rig.ship(0, &["a"]);
    rig.receipt(Duration::from_secs(30)).await;
    assert_eq!(fake.puts(), 4);
}

/// aws/amazon-cloudwatch-agent PR#2014, PR#2023: a denied stream never delays another.
#[tokio::test(start_paused = true)]
async fn a_denied_stream_does_not_delay_others() {
    let fake = Fake::new(|c| if put(c, "s0") { fails(FailureKind::Denied) } else { OK });
    let mut rig = Rig::new(true, &fake);
    for _ in 0..2 {
        rig.ship(0, &["denied"]);
    }
    for target in 1..50 {
        let asked = Instant::now();
        rig.ship(target, &["fine"]);
        assert_eq!(rig.receipt(SOON).await.target, target);
        assert!(asked.elapsed() < Duration::from_millis(300), "{:?}", asked.elapsed());
    }
}

/// fluent/fluent-bit#4606, aws/aws-for-fluent-bit#525: a request that never ends holds its own stream and no other.
#[tokio::test(start_paused = true)]
async fn a_hung_request_does_not_delay_others() {
    let fake = Fake::new(|c| if put(c, "s0") { None } else { OK });
    let mut rig = Rig::new(true, &fake);
    for _ in 0..4 {
        rig.ship(0, &["hangs"]);
    }
    for target in 1..20 {
        rig.ship(target, &["fine"]);
        assert_eq!(rig.receipt(SOON).await.target, target);
    }
}

/// aws/amazon-cloudwatch-logs-for-fluent-bit#95, #314, aws/aws-for-fluent-bit#1164: what is missing is created, whenever it goes
/// missing, and the batch stays.
#[tokio::test(start_paused = true)]
async fn what_is_missing_is_created_and_the_batch_is_kept() {
    let (mut group, mut stream, mut deleted) = (false, false, false);
    let fake = Fake::new(move |c| match c {
        Call::CreateGroup(_) => {
            group = true;
            OK
        }
        Call::CreateStream(_) if !group => fails(FailureKind::NotFound),
        Call::CreateStream(_) => {
            stream = true;
            OK
        }
        Call::Put { messages, .. } if messages[0] == "deleted meanwhile" && !deleted => {
            (deleted, stream) = (true, false);
            fails(FailureKind::NotFound)
        }
        Call::Put { .. } if !stream => fails(FailureKind::NotFound),
        Call::SetRetention(_) => fails(FailureKind::Throttled),
        _ => OK,
    });
    let mut rig = Rig::new(true, &fake);
    rig.ship(0, &["first"]);
    let asked = Instant::now();
    rig.receipt(SOON).await;
    assert!(asked.elapsed() < Duration::from_millis(100), "nothing waits for the retention");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(
        fake.calls().iter().filter(|c| matches!(c, Call::SetRetention(30))).count(),
        5,
        "retention is worth some tries"
    );
    rig.ship(0, &["second"]);
    rig.receipt(SOON).await;
    let before = fake.calls().len();
    rig.ship(0, &["deleted meanwhile"]);
    rig.receipt(SOON).await;
    assert!(fake.calls()[before..].contains(&Call::CreateStream("s0".into())));
}

#[tokio::test(start_paused = true)]
async fn a_missing_group_is_not_created_where_that_is_off() {
    let fake = Fake::new(|_| fails(FailureKind::NotFound));
    let mut rig = Rig::new(false, &fake);
    rig.ship(0, &["x"]);
    let Some(Outcome::Trouble { trouble: Some(trouble), .. }) = rig.outcomes.recv().await else { panic!() };
    assert!(trouble.message.contains("logs.groups.create"), "{}", trouble.message);
    assert!(!fake.calls().iter().any(|c| matches!(c, Call::CreateGroup(_))));
}

/// aws/amazon-cloudwatch-agent PR#2190: throttled creation of one stream stops no other.
#[tokio::test(start_paused = true)]
async fn throttled_creation_stops_no_other_stream() {
    let fake = Fake::new(|c| match c {
        Call::Put { stream, .. } if stream == "s0" => fails(FailureKind::NotFound),
        Call::CreateStream(s) if s == "s0" => fails(FailureKind::Throttled),
        _ => OK,
    });
    let mut rig = Rig::new(true, &fake);
    rig.ship(0, &["x"]);
    for target in 1..10 {
        rig.ship(target, &["fine"]);
        assert_eq!(rig.receipt(Duration::from_secs(20)).await.target, target);
    }
}

/// fluent/fluent-bit#4203: one event that the service refuses is found and set aside; the rest is delivered.
#[tokio::test(start_paused = true)]
async fn a_poison_event_is_set_aside_and_the_rest_delivered() {
    for compression in [Compression::None, Compression::gzip(1)] {
        let delivered = Arc::new(Mutex::new(Vec::new()));
        let seen = delivered.clone();
        let fake = Fake::new(move |c| match c {
            Call::Put { messages, .. } if messages.iter().any(|m| m == "poison") => fails(FailureKind::Invalid),
            Call::Put { messages, .. } => {
                seen.lock().unwrap().extend(messages.clone());
                OK
            }
            _ => OK,
        });
        let mut rig = Rig::new(true, &fake);
        let messages: Vec<String> = (0..100).map(|i| if i == 37 { "poison".into() } else { format!("m{i}") }).collect();
        rig.ship_as(0, &messages.iter().map(String::as_str).collect::<Vec<_>>(), compression);
        let receipt = rig.receipt(Duration::from_secs(30)).await;
        assert_eq!(receipt.lost, [(0, Reason::Quarantined, Count::new(1, 10))]);
        assert!(std::str::from_utf8(&receipt.quarantined[0].text).unwrap().contains("poison"));
        let mut delivered = delivered.lock().unwrap().clone();
        delivered.sort();
        delivered.dedup();
        assert_eq!(delivered.len(), 99);
        assert!(fake.puts() < 20, "halving, not one by one: {}", fake.puts());
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_understand_gzip_gets_plain_bodies() {
    let fake = Fake::new(|c| match c {
        Call::Put { gzip: true, .. } => fails(FailureKind::Invalid),
        _ => OK,
    });
    let mut rig = Rig::new(true, &fake);
    rig.ship_as(0, &["a", "b"], Compression::gzip(1));
    assert!(rig.receipt(SOON).await.lost.is_empty());
    assert_eq!(fake.puts(), 2);
}

/// A refusal of everything is about the stream or the account: nothing may be given up for it.
#[tokio::test(start_paused = true)]
async fn when_every_event_is_refused_none_is_given_up() {
    let until = Instant::now() + Duration::from_secs(600);
    let fake = Fake::new(move |_| if Instant::now() < until { fails(FailureKind::Invalid) } else { OK });
    let mut rig = Rig::new(true, &fake);
    let messages: Vec<String> = (0..50).map(|i| format!("m{i}")).collect();
    rig.ship(0, &messages.iter().map(String::as_str).collect::<Vec<_>>());
    let receipt = rig.receipt(Duration::from_secs(700)).await;
    assert!(receipt.lost.is_empty() && receipt.quarantined.is_empty());
    // But a batch that holds nothing else than one refused event must not stop its stream for ever.
    let fake = Fake::new(|c| {
        if matches!(c, Call::Put { messages, .. } if messages[0] == "poison") {
            fails(FailureKind::Invalid)
        } else {
            OK
        }
    });
    let mut rig = Rig::new(true, &fake);
    rig.ship(0, &["poison"]);
    rig.ship(0, &["fine"]);
    let mut lost = rig.receipt(Duration::from_secs(60)).await.lost;
    lost.extend(rig.receipt(Duration::from_secs(60)).await.lost);
    assert_eq!(lost, [(0, Reason::Quarantined, Count::new(1, 10))]);
}

/// fluent/fluent-bit#4203: a batch of nothing but refused events ends too, with every one of them kept aside.
#[tokio::test(start_paused = true)]
async fn a_batch_of_refused_events_alone_ends() {
    for (events, compression) in [(3, Compression::None), (8, Compression::None), (300, Compression::gzip(1))] {
        let fake = Fake::new(|c| match c {
            Call::Put { messages, .. } if messages.iter().any(|m| m.contains("poison")) => fails(FailureKind::Invalid),
            _ => OK,
        });
        let mut rig = Rig::new(true, &fake);
        let messages: Vec<String> = (0..events).map(|i| format!("poison {i}")).collect();
        rig.ship_as(0, &messages.iter().map(String::as_str).collect::<Vec<_>>(), compression);
        let receipt = rig.receipt(Duration::from_secs(3_600)).await;
        assert_eq!(receipt.lost, [(0, Reason::Quarantined, Count::new(events, events * 10))]);
        let kept =
            |m: &String| receipt.quarantined.iter().filter(|q| q.text.ends_with(format!("{m}\"}}").as_bytes())).count();
        assert!(messages.iter().all(|m| kept(m) == 1), "each once");
        assert!(fake.puts() < 2_500, "{} requests for {events} events", fake.puts());
        // The stream goes on.
        rig.ship(0, &["fine"]);
        assert!(rig.receipt(Duration::from_secs(60)).await.lost.is_empty());
    }
}

/// aws/amazon-cloudwatch-agent 1.300071.0: at a slow pace the stream that was served longest ago goes first, so that none
/// starves behind busy ones.
#[tokio::test(start_paused = true)]
async fn at_a_slow_pace_streams_take_turns() {
    let slow = Arc::new(Mutex::new(true));
    let throttled = slow.clone();
    let fake = Fake::new(move |_| if *throttled.lock().unwrap() { fails(FailureKind::Throttled) } else { OK });
    let mut rig = Rig::new(true, &fake);
    rig.ship(100, &["slows everything down"]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    *slow.lock().unwrap() = false;
    rig.receipt(Duration::from_secs(60)).await;
    let before = fake.calls().len();
    // Each always has two batches waiting, as the pipeline lets it.
    for target in 0..10 {
        rig.ship(target, &["x"]);
        rig.ship(target, &["x"]);
    }
    for _ in 0..50 {
        let target = rig.receipt(Duration::from_secs(60)).await.target;
        rig.ship(target, &["x"]);
    }
    let calls = fake.calls();
    let streams =
        calls[before..].iter().filter_map(|c| if let Call::Put { stream, .. } = c { Some(stream) } else { None });
    let streams: Vec<_> = streams.take(50).collect();
    for round in streams.chunks(10) {
        let served: std::collections::HashSet<_> = round.iter().collect();
        assert_eq!(served.len(), 10, "{streams:?}");
    }
}

/// aws/aws-for-fluent-bit#523: rejected events are accounted by their indexes, which are not counts.
#[tokio::test(start_paused = true)]
async fn rejected_events_are_counted_by_reason() {
    let rejected = Rejected { too_old_end: Some(2), expired_end: Some(5), too_new_start: Some(9) };
    let fake = Fake::new(move |_| Some(Ok(rejected)));
    let mut rig = Rig::new(true, &fake);
    rig.ship(0, &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    let mut lost = rig.receipt(SOON).await.lost;
    lost.sort_by_key(|(_, reason, _)| reason.name());
    assert_eq!(
        lost,
        [
            (0, Reason::Expired, Count::new(3, 30)),
            (0, Reason::TooNew, Count::new(1, 10)),
            (0, Reason::TooOld, Count::new(2, 20)),
        ]
    );
    // fluent/fluent-bit#5906: all of it too old is a success that delivers nothing. Indexes beyond the end do no harm.
    for end in [3, 100] {
        let fake = Fake::new(move |_| Some(Ok(Rejected { too_old_end: Some(end), ..Rejected::default() })));
        let mut rig = Rig::new(true, &fake);
        rig.ship(0, &["0", "1", "2"]);
        assert_eq!(rig.receipt(SOON).await.lost, [(0, Reason::TooOld, Count::new(3, 30))]);
        assert_eq!(fake.puts(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_are_fetched_again() {
    let mut refused = false;
    let fake =
        Fake::new(move |_| if std::mem::replace(&mut refused, true) { OK } else { fails(FailureKind::Credentials) });
    let mut rig = Rig::new(true, &fake);
    rig.ship(0, &["x"]);
    rig.receipt(SOON).await;
    assert_eq!(fake.calls()[1], Call::NewCredentials);
}

#[tokio::test(start_paused = true)]
async fn a_failing_stream_gives_back_what_it_holds_and_a_working_one_does_not() {
    let fake = Fake::new(|c| if put(c, "s0") { fails(FailureKind::Denied) } else { None });
    let mut rig = Rig::new(true, &fake);
    rig.ship(0, &["a"]);
    rig.ship(0, &["b"]);
    rig.ship(1, &["c"]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    rig.commands.send(Command::Relieve).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut returned = Vec::new();
    while let Ok(outcome) = rig.outcomes.try_recv() {
        if let Outcome::Returned { target, claims, .. } = outcome {
            returned.push((target, claims[0].events));
        }
    }
    assert_eq!(returned, [(0, 1), (0, 1)]);
}

#[test]
fn waits_double_up_to_a_bound_and_differ() {
    for failures in 1..40 {
        let wait = wait(failures);
        assert!(wait <= LONGEST_WAIT && wait >= FIRST_WAIT / 2, "{failures}: {wait:?}");
    }
    let waits: std::collections::HashSet<_> = (0..50).map(|_| wait(10)).collect();
    assert!(waits.len() > 10, "a fleet must not come back at once");
}
