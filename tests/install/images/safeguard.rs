//! The safeguard's image in a pod: as nobody in particular, with a state directory and nothing else to write to.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::time::Duration;

use safeguard_tests::containerd::{Bind, Containerd, Network, Settings, Workload};
use safeguard_tests::fabric::{Fabric, Place, Wiring};
use safeguard_tests::parts::{Part, here};
use safeguard_tests::proxied::ask;
use tokio::task::block_in_place;

use super::{archive, name, said, until};

const UID: &str = "11111111-2222-3333-4444-555555555555";

/// Whom the image runs as.
const USER: u32 = 65_532;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_safeguard_answers_and_ends_when_it_is_told_to() {
    let parts = [Part::Buildah, Part::Containerd, Part::BridgePlugin, Part::Network];
    if !parts.into_iter().all(|part| here("images::the_safeguard_answers", part)) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // A port of loopback of its own.
    let fabric = block_in_place(|| Fabric::build(Wiring::Bridge, 0)).unwrap();
    let network = Network {
        namespace: fabric.path(Place::Node),
        results: dir.path().join("cni"),
        bridge: "cni0".to_owned(),
        subnet: "10.244.0.0/24".to_owned(),
    };
    let settings = Settings { network: Some(network), ..Settings::default() };
    let containerd = Containerd::start_with(dir.path(), &settings).await.unwrap();
    containerd.import(&archive("safeguard"), &name("safeguard")).await.unwrap();
    let (settings, state) = (dir.path().join("settings"), dir.path().join("state"));
    for part in [&settings, &state] {
        std::fs::create_dir(part).unwrap();
    }
    // As the kubelet makes a volume of a pod with an `fsGroup`.
    chown(&state, Some(0), Some(USER)).unwrap();
    std::fs::set_permissions(&state, Permissions::from_mode(0o2775)).unwrap();
    std::fs::write(settings.join("safeguard.toml"), "[page]\nopen = true\n").unwrap();

    let pod = containerd.run_host_pod("safeguard", "safeguard-0", UID, &dir.path().join("pods"), &[]).await.unwrap();
    let workload = Workload {
        image: name("safeguard"),
        mounts: vec![Bind::read(&settings, "/etc/safeguard"), Bind::write(&state, "/var/lib/safeguard-server")],
        ..Workload::default()
    };
    let server = containerd.run_workload(&pod, "safeguard", 0, &workload).await.unwrap();
    let get = |path: &str| {
        let to = ([127, 0, 0, 1], 8420).into();
        block_in_place(|| fabric.in_node(|| ask(to, "GET", path, &[])))
    };
    until("it answers", &server, || get("/v1/challenge").is_ok()).await;
    assert_eq!(get("/v1/challenge").unwrap().status, 200, "{}", said(&server));
    let key = std::fs::metadata(state.join("reply.key")).unwrap();
    assert_eq!((key.uid(), key.gid(), key.mode() & 0o777), (USER, USER, 0o600));
    containerd.stop_container(&server, Duration::from_secs(20)).await.unwrap();
    assert_eq!(containerd.wait_exit(&server).await.unwrap(), 0, "{}", said(&server));
    assert!(said(&server).contains("Ending"), "{}", said(&server));
    containerd.stop().await.unwrap();
}
