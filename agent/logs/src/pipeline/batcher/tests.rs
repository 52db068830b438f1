use super::*;
use crate::batch::{Source, Wrapping};
use crate::limits;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

fn batcher(budget: usize) -> (Batcher, UnboundedReceiver<Command>, TargetNo) {
    let (commands, commands_in) = unbounded_channel();
    let mut batcher = Batcher::new(Compression::None, budget, Duration::from_secs(1), 20, commands);
    let number = batcher.target(Target { group: "g".into(), stream: "s".into() });
    (batcher, commands_in, number)
}

fn push(batcher: &mut Batcher, number: TargetNo, content: &[u8], line: u64) -> Result<(), Blocked> {
    let source = Source { file: 1, container: 0, line: line..line + 1, pieces: None, carried: None, bytes: None };
    let wrapping = Wrapping::raw();
    batcher.push(number, &Event { timestamp_ms: 1, wrapping: &wrapping, content, mark: None, source }, 0)
}

/// A stream that fails and is short of memory is left alone for a while, and that while ends.
#[tokio::test(start_paused = true)]
async fn every_pause_lasts_and_none_is_begun_anew() {
    let (mut batcher, mut commands, number) = batcher(1_000);
    let failing = Trouble { since: Instant::now(), failures: 1, message: "denied".into() };
    batcher.lanes.get_mut(&number).unwrap().trouble = Some(failing);
    let began = Instant::now();
    let mut resumed = 0;
    // A reader that comes by every 10 ms for 10 seconds.
    for line in 0..1_000 {
        if !batcher.is_paused(number, Instant::now()) {
            resumed += 1;
            push(&mut batcher, number, &[b'x'; 900], line).unwrap();
        }
        // Another stream has no room either.
        batcher.pressed = true;
        batcher.relieve(Instant::now());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!((9..=11).contains(&resumed), "{resumed} times in {:?}", began.elapsed());
    // A pause that the shipping side asked for is kept as well.
    let until = Instant::now() + Duration::from_secs(30);
    batcher.lanes.get_mut(&number).unwrap().paused_until = Some(until);
    push(&mut batcher, number, &[b'x'; 900], 0).unwrap();
    batcher.pressed = true;
    assert!(!batcher.relieve(Instant::now()).is_empty());
    assert_eq!(batcher.lanes[&number].paused_until, Some(until));
    while let Ok(command) = commands.try_recv() {
        assert!(matches!(command, Command::Relieve), "a stream that fails sends nothing new: {command:?}");
    }
}

/// An event beyond what the service takes goes alone, for the service to refuse; it stops nothing, and nothing empty is sent.
#[tokio::test(start_paused = true)]
async fn an_event_beyond_every_limit_goes_alone_and_no_batch_is_empty() {
    for budget in [1, 64 * 1024 * 1024] {
        let (mut batcher, mut commands, number) = batcher(budget);
        let huge = vec![b'x'; limits::BATCH_BYTES + 1];
        let mut sizes = Vec::new();
        let contents = [&b"first"[..], &huge, b"last"];
        for (line, content) in contents.iter().enumerate() {
            for _ in 0..10 {
                let pushed = push(&mut batcher, number, content, line as u64);
                batcher.flush(Instant::now(), true);
                while let Ok(Command::Ship(_, sealed)) = commands.try_recv() {
                    sizes.push(sealed.events.len());
                    batcher.settled(number, sealed.memory());
                }
                if pushed.is_ok() {
                    break;
                }
            }
        }
        assert_eq!(sizes, [1, 1, 1], "budget {budget}");
        assert!(batcher.is_idle());
    }
}
