//! From here on this process starts no other program.
//!
//! A hole in a parser of hostile input is worth less to an attacker who cannot run anything. The filter is installed by
//! the process itself: one in a systemd unit or a container's profile would forbid the exec that starts us.

use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
use std::collections::BTreeMap;

/// Why the filter is not in force.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// No filter is known for this machine's instruction set.
    #[error("no seccomp filter for the architecture {arch}: only x86_64 and aarch64 are known")]
    Architecture {
        /// As `std::env::consts::ARCH` names it.
        arch: &'static str,
    },
    /// The filter could not be compiled.
    #[error("the seccomp filter did not compile: {0}")]
    Compile(#[source] seccompiler::BackendError),
    /// The kernel did not take the filter.
    #[error(
        "the kernel refused the seccomp filter: {0}. It needs CONFIG_SECCOMP_FILTER, and a container runtime whose own profile allows seccomp(2)"
    )]
    Install(#[source] seccompiler::Error),
}

/// Forbids execve(2) and execveat(2) to every thread of this process and to those it makes later; a thread that tries
/// takes the whole process with it (SIGSYS). Everything else passes. Sets `no_new_privs`. There is no way back.
///
/// Call it from `main` once settings are read: it is global to the process by nature.
///
/// # Errors
/// When the architecture is unknown or the kernel refuses; nothing has changed then, except `no_new_privs` perhaps.
pub fn forbid_exec() -> Result<(), SeccompError> {
    let program = filter(std::env::consts::ARCH)?;
    seccompiler::apply_filter_all_threads(&program).map_err(SeccompError::Install)
}

fn filter(arch: &'static str) -> Result<BpfProgram, SeccompError> {
    let target: TargetArch = match arch {
        "x86_64" => TargetArch::x86_64,
        "aarch64" => TargetArch::aarch64,
        _ => return Err(SeccompError::Architecture { arch }),
    };
    let rules: BTreeMap<_, _> = forbidden().into_iter().map(|number| (number, Vec::new())).collect();
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::KillProcess, target)
        .and_then(BpfProgram::try_from)
        .map_err(SeccompError::Compile)
}

#[cfg(not(target_arch = "x86_64"))]
fn forbidden() -> [i64; 2] {
    [libc::SYS_execve, libc::SYS_execveat]
}

/// The x32 calls come through the same audit architecture with their own numbers (arch/x86/entry/syscalls/
/// syscall_64.tbl: 520 and 545 with bit 30 set), so a filter that names only the native two lets them by. Calls of the
/// 32-bit architecture are another audit architecture, for which seccompiler's preamble kills.
#[cfg(target_arch = "x86_64")]
fn forbidden() -> [i64; 4] {
    const X32: i64 = 0x4000_0000;
    [libc::SYS_execve, libc::SYS_execveat, X32 | 520, X32 | 545]
}

#[cfg(test)]
mod tests;
