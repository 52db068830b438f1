//! The safeguard as the kubelet runs it: not as root, on a volume that is its group's, asked as the probes ask.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use safeguard_standins::Tls;
use safeguard_tests::built::program;
use safeguard_tests::helm::{data, objects, only};
use safeguard_tests::parts::{Part, here};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// What the kubelet's probe of this kind gets: it does not look at certificates, and names the pod by its address.
fn probe(port: u16, get: &Value) -> String {
    assert_eq!((&get["scheme"], &get["port"]), (&"HTTPS".into(), &"https".into()));
    let url = format!("https://127.0.0.1:{port}{}", get["path"].as_str().unwrap());
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--insecure", "--noproxy", "*", "--max-time", "5", "--output", "/dev/null"]);
    let output =
        curl.args(["--header", "Host: 10.0.12.34:8420", "--write-out", "%{http_code}", &url]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Starts it as the container's user, from a file that this user may run.
fn start(dir: &Path, user: u32) -> Child {
    let mut serve = Command::new(dir.join("safeguard"));
    serve.args(["serve", "--config"]).arg(dir.join("safeguard.toml")).env_clear().current_dir("/");
    let said = fs::File::options().append(true).create(true).open(dir.join("said")).unwrap();
    serve.uid(user).gid(user).stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn().unwrap()
}

#[test]
fn the_safeguard_answers_its_probes_and_keeps_its_key_to_itself() {
    let name = "chart::probes::the_safeguard_answers_its_probes_and_keeps_its_key_to_itself";
    // The network part is what needs root.
    if !here(name, Part::Helm) || !here(name, Part::Curl) || !here(name, Part::Network) {
        return;
    }
    let objects = objects("safeguard", "default");
    let pod = &only(&objects, "StatefulSet")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let number = |key: &str| u32::try_from(pod["securityContext"][key].as_u64().unwrap()).unwrap();
    let (user, group) = (number("runAsUser"), number("fsGroup"));

    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(program("safeguard"), dir.join("safeguard")).unwrap();
    let own = |path: &Path, mode| {
        chown(path, Some(0), Some(group)).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    // A volume and a secret, as `fsGroup` makes them.
    let (volume, secret) = (dir.join("volume"), dir.join("tls"));
    for (path, mode) in [(&volume, 0o2775), (&secret, 0o2750)] {
        fs::create_dir(path).unwrap();
        own(path, mode);
    }
    let tls = Tls::generate().unwrap();
    for (file, text) in [("tls.crt", tls.certificate_pem()), ("tls.key", tls.key_pem())] {
        fs::write(secret.join(file), text).unwrap();
        own(&secret.join(file), 0o440);
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut settings = data(&objects, "safeguard.toml").unwrap().to_owned();
    for (rendered, here) in [
        ("\"0.0.0.0:8420\"".to_owned(), format!("\"127.0.0.1:{port}\"")),
        ("\"/etc/tls/".to_owned(), format!("\"{}/", secret.display())),
        ("\"/var/lib/safeguard-server/".to_owned(), format!("\"{}/", volume.display())),
    ] {
        assert!(settings.contains(&rendered), "{rendered} is not in {settings}");
        settings = settings.replace(&rendered, &here);
    }
    fs::write(dir.join("safeguard.toml"), settings).unwrap();

    // A second time it finds what the first one left.
    for run in 1..=2 {
        let mut child = start(dir, user);
        let until = Instant::now() + PATIENCE;
        for kind in ["startupProbe", "livenessProbe", "readinessProbe"] {
            while probe(port, &container[kind]["httpGet"]) != "200" {
                let said = fs::read_to_string(dir.join("said")).unwrap();
                let ended = child.try_wait().unwrap();
                assert!(Instant::now() < until && ended.is_none(), "run {run}: {kind}: {ended:?} {said}");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "run {run}");
    }
    let mode = |path: &str| fs::metadata(volume.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("state"), mode("state/reply.key")), (0o700, 0o600));
}
