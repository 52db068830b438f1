use super::*;
use crate::fixture::Fixture;

fn unit(fixture: &Fixture) -> Unit {
    fixture.with(|facts| Unit::read(facts.host())).unwrap().unwrap()
}

fn command(fixture: &Fixture) -> String {
    unit(fixture).command.unwrap().join(" ")
}

#[test]
fn the_unit_of_al2_has_its_arguments_in_drop_ins() {
    let fixture = Fixture::dead();
    fixture
        .file(
            "/etc/systemd/system/kubelet.service",
            "[Unit]\nExecStart=/no\n[Service]\nExecStartPre=/sbin/iptables -P FORWARD ACCEPT\n\
             ExecStart=/usr/bin/kubelet --cloud-provider aws \\\n    --config /etc/kubernetes/kubelet/kubelet-config.json \\\n\
             # a comment in between\n    --kubeconfig /var/lib/kubelet/kubeconfig $KUBELET_ARGS $KUBELET_EXTRA_ARGS\n",
        )
        .file("/etc/systemd/system/kubelet.service.d/10-kubelet-args.conf", "[Service]\nEnvironment='KUBELET_ARGS=--node-ip=10.0.0.1 --v=2'\n")
        .file("/etc/systemd/system/kubelet.service.d/README", "[Service]\nExecStart=\n");
    assert_eq!(
        command(&fixture),
        "/usr/bin/kubelet --cloud-provider aws --config /etc/kubernetes/kubelet/kubelet-config.json --kubeconfig \
         /var/lib/kubelet/kubeconfig --node-ip=10.0.0.1 --v=2"
    );
    assert_eq!(unit(&fixture).files.len(), 2);
}

#[test]
fn an_empty_exec_start_begins_anew() {
    let fixture = Fixture::dead();
    fixture
        .file("/usr/lib/systemd/system/kubelet.service", "[Service]\nExecStart=/usr/bin/kubelet --old\n")
        .file("/etc/systemd/system/kubelet.service.d/exec-start.conf", "[Service]\nExecStart=\nExecStart=-/usr/bin/kubelet --node-ip ${IP}\nEnvironment=IP=1.2.3.4\nWorkingDirectory=/opt\n");
    assert_eq!(command(&fixture), "/usr/bin/kubelet --node-ip 1.2.3.4");
    assert_eq!(unit(&fixture).directory, Path::new("/opt"));
}

#[test]
fn two_commands_are_none() {
    let fixture = Fixture::dead();
    fixture.file("/lib/systemd/system/kubelet.service", "[Service]\nExecStart=/a/kubelet\nExecStart=/b/kubelet\n");
    assert_eq!(unit(&fixture).command.unwrap_err().cause, Cause::Parse);
}

#[test]
fn the_first_directory_wins_and_a_mask_hides_all() {
    let fixture = Fixture::dead();
    fixture
        .file("/usr/lib/systemd/system/kubelet.service", "[Service]\nExecStart=/usr/bin/kubelet --vendor\n")
        .file("/usr/lib/systemd/system/kubelet.service.d/10-a.conf", "[Service]\nEnvironment=A=vendor\n")
        .file("/etc/systemd/system/kubelet.service.d/10-a.conf", "[Service]\nEnvironment=A=operator\n")
        .file(
            "/usr/lib/systemd/system/kubelet.service.d/20-b.conf",
            "[Service]\nExecStart=\nExecStart=/usr/bin/kubelet $A $B\nEnvironment=B=b\n",
        );
    assert_eq!(command(&fixture), "/usr/bin/kubelet operator b");
    fixture.link("/etc/systemd/system/kubelet.service.d/20-b.conf", "/dev/null");
    assert_eq!(command(&fixture), "/usr/bin/kubelet --vendor");
    fixture.link("/etc/systemd/system/kubelet.service", "/dev/null");
    assert!(fixture.with(|facts| Unit::read(facts.host())).unwrap().is_none());
}

#[test]
fn environment_files_come_last_and_may_be_missing_if_they_say_so() {
    let mut fixture = Fixture::dead();
    fixture
        .file(
            "/etc/systemd/system/kubelet.service",
            "[Service]\nExecStart=/usr/bin/kubelet $A\nEnvironmentFile=-/etc/default/kubelet\nEnvironment=A=unit\n",
        )
        .file("/etc/default/kubelet", "A=--file\n");
    assert_eq!(command(&fixture), "/usr/bin/kubelet --file");
    fixture.without("/etc/default/kubelet");
    assert_eq!(command(&fixture), "/usr/bin/kubelet unit");
    fixture.file(
        "/etc/systemd/system/kubelet.service",
        "[Service]\nExecStart=/usr/bin/kubelet $A\nEnvironmentFile=/etc/eks/kubelet/environment\n",
    );
    assert_eq!(unit(&fixture).command.unwrap_err().cause, Cause::Phase);
    fixture.phase = Phase::Run;
    assert_eq!(unit(&fixture).command.unwrap_err().cause, Cause::NotAFile);
}

#[test]
fn a_wrapper_is_not_the_kubelet() {
    let fixture = Fixture::dead();
    fixture.file(
        "/etc/systemd/system/kubelet.service",
        "[Service]\nExecStart=/bin/sh -c 'exec kubelet --anonymous-auth=false'\n",
    );
    let why = unit(&fixture).command.unwrap_err();
    assert_eq!((why.cause, why.message.contains("starts /bin/sh")), (Cause::Parse, true), "{why:?}");
}

#[test]
fn no_unit_is_a_fact() {
    assert!(Fixture::dead().with(|facts| Unit::read(facts.host())).unwrap().is_none());
}
