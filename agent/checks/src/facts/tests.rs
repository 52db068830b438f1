use super::*;
use crate::fixture::Fixture;

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
