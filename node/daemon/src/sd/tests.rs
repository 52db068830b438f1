use super::*;
use crate::child;
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// A socket that plays systemd's part; waits 10 s for a message at most.
fn manager(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

fn heard(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 1024];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8(buffer.get(..length).unwrap().to_vec()).unwrap()
}

const SPEAKER: &str = "sd::tests::child_that_speaks";

#[test]
fn child_that_speaks() {
    if child::is_child(SPEAKER) {
        ready("shipping 3 files");
        reloading();
        reloaded("settings taken");
        status("half way\nMAINPID=1");
        ping();
        stopping("draining");
        let watchdog = format!("watchdog {:?}\n", watchdog_interval());
        std::io::stderr().write_all(watchdog.as_bytes()).unwrap();
    }
}

fn said(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn says_what_sd_notify_3_asks_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let systemd = manager(&path);
    let mut command = child::command(SPEAKER);
    command.env("NOTIFY_SOCKET", &path);
    said(command);
    assert_eq!(heard(&systemd), "READY=1\nSTATUS=shipping 3 files\n");
    let reload = heard(&systemd);
    let at = reload.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    assert!(at.trim_end().parse::<u64>().unwrap() > 0, "{reload}");
    assert_eq!(heard(&systemd), "READY=1\nSTATUS=settings taken\n");
    assert_eq!(heard(&systemd), "STATUS=half way MAINPID=1\n", "a status cannot smuggle in another field");
    assert_eq!(heard(&systemd), "WATCHDOG=1\n");
    assert_eq!(heard(&systemd), "STOPPING=1\nSTATUS=draining\n");
}

#[test]
fn is_quiet_without_a_manager() {
    let mut command = child::command(SPEAKER);
    command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
    assert_eq!(said(command), "watchdog None\n");
}

#[test]
fn the_watchdog_is_fed_twice_in_its_interval_and_only_by_the_process_it_watches() {
    let with = |microseconds: &str, pid: Option<&str>| {
        let mut command = child::command(SPEAKER);
        command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_PID").env("WATCHDOG_USEC", microseconds);
        if let Some(pid) = pid {
            command.env("WATCHDOG_PID", pid);
        }
        said(command)
    };
    assert_eq!(with("30000000", None), "watchdog Some(15s)\n");
    assert_eq!(with("30000000", Some("1")), "watchdog None\n", "another process is watched");
    assert_eq!(with("0", None), "watchdog None\n");
    assert_eq!(with("soon", None), "watchdog None\n");
}

#[test]
fn the_watched_process_itself_is_recognised() {
    let ours = child::command(SPEAKER);
    #[expect(clippy::disallowed_methods, reason = "a shell knows its pid before it becomes the child")]
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "export WATCHDOG_PID=$$; exec \"$0\" \"$@\""]).arg(ours.get_program()).args(ours.get_args());
    shell.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.env_remove("NOTIFY_SOCKET").env("WATCHDOG_USEC", "2000000");
    assert_eq!(said(shell), "watchdog Some(1s)\n");
}

#[test]
fn an_abstract_address_is_reached() {
    let name = format!("safeguard-test-{}", std::process::id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    Notifier { address: Some(format!("@{name}").into()) }.send(&[NotifyState::Ready]).unwrap();
    assert_eq!(heard(&socket), "READY=1\n");
}

#[test]
fn a_manager_that_does_not_read_costs_a_second_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let _deaf = manager(&path);
    let notifier = Notifier { address: Some(path.into()) };
    // The kernel queues net.unix.max_dgram_qlen of them, 512 at most by default.
    let error = (0..10_000).find_map(|_| notifier.send(&[NotifyState::Watchdog]).err()).unwrap();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
}

#[test]
fn a_manager_that_is_gone_is_no_failure() {
    let notifier = Notifier { address: Some("/nonexistent/notify".into()) };
    assert!(notifier.send(&[NotifyState::Ready]).is_err());
    notifier.tell(&[NotifyState::Ready]);
}
