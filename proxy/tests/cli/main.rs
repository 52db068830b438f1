//! The program as its users meet it: arguments, exit codes, and what it says.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_methods, reason = "a test is the operator, and runs the program from outside")]

mod commands;
mod explain;
mod redirect;
mod serve;

use std::process::{Command, Output, Stdio};

/// The program with nothing in its environment that could lead it out of this machine.
pub(crate) fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_safeguard-proxy"));
    command.args(args).env_clear().env("AWS_EC2_METADATA_DISABLED", "true").stdin(Stdio::null());
    command
}

/// Exit code, stdout, stderr.
pub(crate) fn texts(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

pub(crate) fn output(args: &[&str]) -> (i32, String, String) {
    texts(program(args).output().unwrap())
}
