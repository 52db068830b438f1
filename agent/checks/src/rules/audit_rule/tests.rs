//! What rules on disk record, judged as the kernel would take them.

use crate::fixture::Fixture;

const IDENTITY: &str = "audit_rule: {watch: /etc/shadow, permissions: wa}";
const TIME: &str = "audit_rule: {syscalls: [adjtimex, settimeofday]}";
const MOUNT: &str = "audit_rule: {syscalls: [mount], architectures: [b64], fields: ['auid>=1000', 'auid!=unset']}";
const LOCKED: &str = "audit_rule: {immutable: true}";

/// A host that joins `rules.d`, with one file there.
fn host(rules: &str) -> Fixture {
    let host = Fixture::new();
    let unit = "[Service]\nExecStart=/sbin/auditd\nExecStartPost=-/sbin/augenrules --load\n";
    host.file("/usr/lib/systemd/system/auditd.service", unit).file("/etc/audit/rules.d/50.rules", rules);
    host
}

#[test]
fn a_watch_in_either_spelling_records_a_path() {
    for rules in [
        "-w /etc/shadow -p wa -k identity\n",
        "-w /etc/shadow\n",
        "-w /etc/shadow -p rwxa\n",
        "-p aw -k identity -w /etc/shadow/\n",
        "-a always,exit -F path=/etc/shadow -F perm=wa -F key=identity\n",
        "-a exit,always -S all -F path=/etc/shadow -F perm=wa -k identity\n",
        "-a always,exit -F arch=b64 -F path=/etc/shadow -F perm=wa\n-a always,exit -F arch=b32 -F path=/etc/shadow -F perm=wa\n",
        "-w /etc -p wa\n",
        "-a always,exit -F dir=/etc/ -F perm=wa\n",
        "-w /etc/shadow -p w\n-w /etc/shadow -p a\n",
    ] {
        host(rules).holds(IDENTITY);
    }
    let verdict = host("-b 8192\n-w /etc/shadow -p wa\n").holds(IDENTITY);
    assert_eq!(verdict.evidence[0].source, "/etc/audit/rules.d/50.rules:2");
}

/// kube-bench and bloodhound match text: a longer name, a comment or another letter is not the rule.
#[test]
fn what_only_looks_like_the_watch_does_not_record() {
    for rules in [
        "",
        "# -w /etc/shadow -p wa\n",
        "-w /etc/shadow- -p wa\n",
        "-w /etc/shadow.d -p wa\n",
        "-w /etc/shadow -p w\n",
        "-w /etc/shadow/x -p wa\n",
        "-a always,exit -F path=/etc -F perm=wa\n",
        "-a never,exit -F path=/etc/shadow -F perm=wa\n",
        "-a always,task -F path=/etc/shadow -F perm=wa\n",
        "-a always,exit -F path=/etc/shadow -F perm=wa -F auid>=1000\n",
        "-a always,exit -F path=/etc/shadow -F perm=wa -S openat\n",
        "-a always,exit -F arch=b64 -F path=/etc/shadow -F perm=wa\n",
    ] {
        host(rules).fails(IDENTITY);
    }
    let verdict = host("-a always,exit -F path=/etc/shadow -F perm=wa -F auid>=1000\n").fails(IDENTITY);
    assert_eq!(verdict.evidence[0].source, "/etc/audit/rules.d/50.rules:1, only for auid>=1000");
    let verdict = host("").fails(IDENTITY);
    assert!(verdict.evidence[0].source.contains("joined by augenrules (/usr/lib/systemd/system/auditd.service:3)"));
    assert_eq!(verdict.evidence[0].observed, "not recorded: w (b64), a (b64), w (b32), a (b32)");
}

#[test]
fn a_path_rule_on_a_directory_is_not_about_what_is_in_it() {
    let kubernetes = "audit_rule: {watch: /etc/kubernetes, permissions: wa}";
    let host = host("-a always,exit -F path=/etc/kubernetes -F perm=wa\n");
    host.dir("/etc/kubernetes").fails(kubernetes);
    host.file("/etc/audit/rules.d/50.rules", "-w /etc/kubernetes/ -p wa\n").holds(kubernetes);
}

/// wazuh#33221: system calls may be spread over rules, lines and options.
#[test]
fn system_calls_may_be_spread_over_rules() {
    for rules in [
        "-a always,exit -F arch=b64 -S adjtimex,settimeofday -k t\n-a always,exit -F arch=b32 -S adjtimex,settimeofday -k t\n",
        "-a always,exit -F arch=b64 -S settimeofday -S adjtimex\n-a always,exit -F arch=b32 -S adjtimex\n\
         -k t -S settimeofday -F arch=b32 -a exit,always\n",
        "-a always,exit -S all\n",
    ] {
        host(rules).holds(TIME);
    }
    let host = host("-a always,exit -F arch=b64 -S adjtimex,settimeofday\n-a always,exit -F arch=b32 -S adjtimex\n");
    let verdict = host.fails(TIME);
    assert_eq!(verdict.evidence[0].observed, "not recorded: settimeofday (b32)");
    host.file("/etc/audit/rules.d/50.rules", "-a always,exit -S adjtimex,settimeofday\n").fails(TIME);
    host.holds("audit_rule: {syscalls: [adjtimex], architectures: [b64]}");
    host.fails("audit_rule: {syscalls: [adjtime], architectures: [b64]}");
}

#[test]
fn fields_may_narrow_as_far_as_the_policy_says() {
    for rules in [
        "-a always,exit -F arch=b64 -S mount -F auid>=1000 -F auid!=unset\n",
        "-a always,exit -F arch=b64 -S mount -F auid>=1000 -F auid!=-1\n",
        "-a always,exit -F arch=b64 -S mount -F auid>999 -F auid!=4294967295 -k m\n",
        "-a always,exit -F arch=b64 -S mount -F auid>=500\n",
        "-a always,exit -F arch=b64 -S mount\n",
    ] {
        host(rules).holds(MOUNT);
    }
    for rules in [
        "-a always,exit -F arch=b64 -S mount -F auid>=2000\n",
        "-a always,exit -F arch=b64 -S mount -F auid=1000\n",
        "-a always,exit -F arch=b64 -S mount -F auid>=1000 -F success=1\n",
        "-a always,exit -F arch=b64 -S mount -F dir=/mnt\n",
        "-a always,exit -F arch=b64 -S mount -C uid!=euid\n",
    ] {
        host(rules).fails(MOUNT);
    }
    host("-a always,exit -F arch=b64 -C euid!=uid -S execve\n")
        .holds("audit_rule: {syscalls: [execve], architectures: [b64], fields: ['uid!=euid']}");
}

#[test]
fn a_rule_that_never_records_comes_first_or_not() {
    let record = "-a always,exit -F arch=b64 -S mount\n";
    host(&format!("-a never,exit -F arch=b64 -S mount\n{record}")).fails(MOUNT);
    host(&format!("-a never,exit -S all\n{record}")).fails(MOUNT);
    host(&format!("{record}-a never,exit -S all\n")).holds(MOUNT);
    host(&format!("{record}-A never,exit -S all\n")).fails(MOUNT);
    host(&format!("-a never,exit -F arch=b32 -S all\n-a never,exit -F arch=b64 -S umount2\n{record}")).holds(MOUNT);
    let verdict = host(&format!("{record}-a never,task\n")).fails(MOUNT);
    assert!(verdict.evidence[0].source.ends_with("50.rules:2 keeps it out before"), "{verdict:?}");
    host(&format!("{record}-a always,exclude -F msgtype=SYSCALL\n")).fails(MOUNT);
    host(&format!("{record}-a always,exclude -F msgtype=CWD\n")).holds(MOUNT);
    let verdict = host(&format!("-a never,exit -F dir=/var/lib/containerd\n{record}")).holds(MOUNT);
    let wanted = "/etc/audit/rules.d/50.rules:2, except what /etc/audit/rules.d/50.rules:1 keeps out";
    assert_eq!(verdict.evidence[0].source, wanted);
    host("-a never,exit -F path=/etc/shadow\n-w /etc/shadow -p wa\n").fails(IDENTITY);
    host("-a never,exit -F path=/etc/shadow -F perm=r\n-w /etc/shadow -p wa\n").holds(IDENTITY);
    host("-a never,exit -F dir=/etc/other\n-w /etc/shadow -p wa\n").holds(IDENTITY);
}

#[test]
fn files_are_joined_in_natural_order() {
    let host = host("-D\n");
    host.file("/etc/audit/rules.d/9-first.rules", "-a never,exit -S all\n");
    host.file("/etc/audit/rules.d/10-second.rules", "-w /etc/shadow -p wa\n");
    host.fails(IDENTITY);
    host.without("/etc/audit/rules.d/9-first.rules");
    host.holds(IDENTITY);
    host.file("/etc/audit/rules.d/x.rules.bak", "-a never,task\n")
        .file("/etc/audit/rules.d/.x.rules", "-a never,task\n");
    host.holds(IDENTITY);
}

#[test]
fn the_lock_is_moved_to_the_end_where_files_are_joined() {
    let host = host("-w /etc/shadow -p wa\n");
    host.fails(LOCKED);
    host.holds("audit_rule: {immutable: false}");
    host.file("/etc/audit/rules.d/10.rules", "-e 2\n");
    host.holds(LOCKED);
    host.holds(IDENTITY);
    host.fails("audit_rule: {immutable: false}");
    host.file("/etc/audit/rules.d/99.rules", "-e 1\n");
    host.fails(LOCKED);
    host.file("/etc/audit/rules.d/99.rules", "-e 0\n");
    assert_eq!(host.fails(IDENTITY).evidence[0].observed, "auditing is off (-e 0)");
}

#[test]
fn a_file_that_auditctl_loads_is_taken_line_by_line() {
    let host = host("-a never,task\n");
    host.file(
        "/etc/systemd/system/audit-rules.service",
        "[Service]\nExecStart=/sbin/auditctl -R /etc/audit/audit.rules\n",
    );
    host.file("/etc/audit/audit.rules", "-w /etc/shadow -p wa\n-e 2\n");
    host.holds(IDENTITY);
    host.holds(LOCKED);
    host.file("/etc/audit/audit.rules", "-e 2\n-w /etc/shadow -p wa\n");
    host.fails(IDENTITY);
    assert_eq!(host.fails(LOCKED).evidence[0].source, "/etc/audit/audit.rules:2");
    host.file("/etc/audit/audit.rules", "-w /etc/shadow -p wa\n-D\n");
    host.fails(IDENTITY);
}

#[test]
fn where_no_unit_says_the_files_that_are_there_count() {
    let host = Fixture::new();
    assert!(host.fails(IDENTITY).evidence[0].source.contains("no unit loads it"));
    host.file("/etc/audit/audit.rules", "-w /etc/shadow -p wa\n").holds(IDENTITY);
    host.file("/etc/audit/rules.d/x.rules", "-b 8192\n").fails(IDENTITY);
}

#[test]
fn a_dead_host_is_judged_by_its_files() {
    let host = Fixture::dead();
    host.file("/etc/audit/rules.d/x.rules", "-w /etc/shadow -p wa\n").holds(IDENTITY);
}

#[test]
fn what_is_not_understood_is_not_decided() {
    assert_eq!(
        host("-b 8192\n-w /etc/shadow -p wa -Z\n").unknown(IDENTITY),
        "/etc/audit/rules.d/50.rules: line 2: has an option that auditctl does not know"
    );
    assert!(host("-w /etc/shadow -p wa\n").unknown(&IDENTITY.replace("}", ", fields: [auid]}")).contains("policy"));
    let unreadable = host("");
    unreadable.dir("/etc/audit/rules.d/60.rules");
    unreadable.unknown(IDENTITY);
    let binary = Fixture::new();
    binary.file("/etc/audit/audit.rules", b"-w /etc/shadow\n\xff\n");
    assert!(binary.unknown(IDENTITY).contains("line 2: is not UTF-8"));
    assert!(host(&"-w /etc/shadow -p r\n".repeat(5_000)).unknown(IDENTITY).contains("more than 4096"));
}
