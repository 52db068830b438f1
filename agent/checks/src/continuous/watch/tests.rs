use super::*;

fn watch(touched: &[&str]) -> Watch {
    let (mut watch, _) = Watch::new(PathBuf::from("/host"));
    watch.watcher = None;
    watch.set(touched.iter().map(PathBuf::from).collect());
    watch
}

#[test]
fn news_concern_what_was_looked_at_what_was_listed_and_what_leads_there() {
    let mut watch = watch(&["/etc/passwd", "/etc/sysctl.d", "/var/lib/kubelet/pki/kubelet.crt"]);
    let mut concerns = |path: &str| watch.concerns(Path::new(path)).map(|p| p.display().to_string());
    assert_eq!(concerns("/host/etc/passwd").as_deref(), Some("/etc/passwd"));
    assert_eq!(concerns("/host/etc/sysctl.d/99-mine.conf").as_deref(), Some("/etc/sysctl.d/99-mine.conf"));
    assert_eq!(concerns("/host/var/lib/kubelet").as_deref(), Some("/var/lib/kubelet"), "it was made just now");
    assert_eq!(concerns("/host/etc/passwd-"), None, "a name that begins the same is another file");
    assert_eq!(concerns("/host/etc/hosts"), None);
    assert_eq!(concerns("/etc/passwd"), None, "not of this host");
}
