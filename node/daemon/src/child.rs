//! Some promises are about a whole process. Their tests run one other test of this binary in a process of its own.

use std::process::Command;

const VARIABLE: &str = "SAFEGUARD_TEST_CHILD";

/// A command that runs the test `name` (with its module path), in which [`is_child`] is then true.
pub(crate) fn command(name: &str) -> Command {
    #[expect(clippy::disallowed_methods, reason = "a test looks at a process from outside")]
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(VARIABLE, name);
    command
}

/// Whether this process was started to run the test `name`; when not, that test has nothing to do.
pub(crate) fn is_child(name: &str) -> bool {
    std::env::var_os(VARIABLE).is_some_and(|value| value == name)
}
