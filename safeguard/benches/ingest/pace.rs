//! How fast this machine is while it is measured. Where other guests work on the same cores it may be slower by more than a half from one second
//! to the next, which need not show as steal. So a thread on each processor verifies a signature now and then: how many verifications a beat
//! costs changes less from hour to hour than how long it takes (docs/performance.md).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use safeguard_protocol::{Envelope, Kind, SigningKey};

/// Five verifications in between take under 1 % of a processor.
const EACH: Duration = Duration::from_millis(50);

pub(crate) struct Pace {
    ends: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Duration>>>,
}

impl Pace {
    pub(crate) fn start() -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let here = sched_getaffinity(Pid::from_raw(0)).unwrap();
        let on = |cpu| {
            let ends = ends.clone();
            std::thread::spawn(move || verify(cpu, &ends))
        };
        let threads = (0..CpuSet::count()).filter(|cpu| here.is_set(*cpu).unwrap()).map(on).collect();
        Self { ends, threads }
    }

    /// How long it took to open and verify a beat: on average over all processors, and at best.
    pub(crate) fn end(self) -> (Duration, Duration) {
        self.ends.store(true, Ordering::Relaxed);
        let taken: Vec<_> = self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        let mean = taken.iter().sum::<Duration>() / u32::try_from(taken.len()).unwrap();
        (mean, *taken.iter().min().unwrap())
    }
}

fn verify(cpu: usize, ends: &AtomicBool) -> Vec<Duration> {
    let mut one = CpuSet::new();
    one.set(cpu).unwrap();
    sched_setaffinity(Pid::from_raw(0), &one).unwrap();
    let key = SigningKey::generate().unwrap().0;
    let (envelope, _) = Envelope::seal_json(Kind::Statement, &"x".repeat(2_000), &key).unwrap();
    let mut taken = Vec::new();
    while !ends.load(Ordering::Relaxed) {
        // The least of five: with the first the code is not in the cache, and with another something else may have had the processor.
        let five = (0..5).map(|_| {
            let start = Instant::now();
            envelope.open::<String>(Kind::Statement, &key.public()).unwrap();
            start.elapsed()
        });
        taken.push(five.min().unwrap());
        std::thread::sleep(EACH);
    }
    taken
}
