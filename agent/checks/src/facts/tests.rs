use super::*;
use crate::fixture::Fixture;

#[test]
fn a_change_concerns_the_file_its_directory_and_what_is_below_it_and_nothing_beside() {
    let touched: BTreeSet<PathBuf> =
        ["/etc/audit/rules.d", "/etc/passwd", "/var/lib/rpm/rpmdb.sqlite"].map(PathBuf::from).into();
    for path in ["/etc/passwd", "/etc/audit/rules.d/10.rules", "/etc/audit", "/var/lib/rpm", "/etc"] {
        assert!(concerns(&touched, Path::new(path)), "{path}");
    }
    for path in ["/etc/passwd-", "/etc/audit-old", "/etc/audit/audit.rules", "/var/lib/dpkg", "/usr"] {
        assert!(!concerns(&touched, Path::new(path)), "{path}");
    }
}

/// The directory was not there when the fact was gathered.
#[test]
fn a_fact_is_gathered_again_when_a_directory_appears_that_it_was_looked_for_in() {
    let node = Fixture::new();
    let (host, inputs) = (node.host(), Inputs::default());
    let mut facts = Facts::new(&host, &inputs);
    let users = |facts: &Facts<'_>| format!("{:?}", facts.accounts());
    let before = users(&facts);
    node.file("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n").file("/etc/group", "root:x:0:\n");
    assert_eq!(users(&facts), before, "what was gathered is kept");
    facts.forget(&BTreeSet::from(["/etc".into()]));
    assert_ne!(users(&facts), before);
}
