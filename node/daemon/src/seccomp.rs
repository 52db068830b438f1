//! From here on this process starts no other program, and reaches into no other process.
//!
//! A hole in a parser of hostile input is worth less to an attacker who cannot run anything. And what is root by number, or may trace
//! (`SYS_PTRACE`, to read whose files in `/proc` are whose), could end or take over whatever runs on the host. The filter is installed
//! by the process itself: one in a systemd unit or a container's profile would forbid the exec that starts us.

use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
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

/// Forbids to every thread of this process, and to those it makes later:
/// - to start a program: execve(2), execveat(2);
/// - to reach into another process: ptrace(2), process_vm_readv(2), process_vm_writev(2);
/// - to send a signal to anybody but this process: kill(2), tgkill(2), rt_sigqueueinfo(2), rt_tgsigqueueinfo(2) with another number
///   than its own, tkill(2), pidfd_send_signal(2).
///
/// A thread that tries takes the whole process with it (SIGSYS). Everything else passes. Sets `no_new_privs`. There is no way back.
///
/// Call it from `main` once settings are read: it is global to the process by nature.
///
/// # Errors
/// When the architecture is unknown or the kernel refuses; nothing has changed then, except `no_new_privs` perhaps.
pub fn confine() -> Result<(), SeccompError> {
    let program = filter(std::env::consts::ARCH, std::process::id())?;
    seccompiler::apply_filter_all_threads(&program).map_err(SeccompError::Install)
}

fn filter(arch: &'static str, own: u32) -> Result<BpfProgram, SeccompError> {
    let target: TargetArch = match arch {
        "x86_64" => TargetArch::x86_64,
        "aarch64" => TargetArch::aarch64,
        _ => return Err(SeccompError::Architecture { arch }),
    };
    let forbidden = FORBIDDEN.into_iter().chain(X32.map(|number| 0x4000_0000 | number));
    let compile = || -> Result<BpfProgram, BackendError> {
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = forbidden.map(|number| (number, Vec::new())).collect();
        for number in SIGNALS {
            let another = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, own.into())?;
            rules.insert(number, vec![SeccompRule::new(vec![another])?]);
        }
        SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::KillProcess, target)?.try_into()
    };
    compile().map_err(SeccompError::Compile)
}

const FORBIDDEN: [i64; 7] = [
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_tkill,
    libc::SYS_pidfd_send_signal,
];

/// Whose first argument is the process that gets the signal. To itself it may send what it likes: abort(3) does.
const SIGNALS: [i64; 4] = [libc::SYS_kill, libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo];

#[cfg(not(target_arch = "x86_64"))]
const X32: [i64; 0] = [];

/// The same calls of the x32 ABI, without bit 30. They come through the same audit architecture (arch/x86/entry/syscalls/
/// syscall_64.tbl), most with numbers of their own, so a filter that names only the native ones lets them by. Nothing here is
/// x32. Calls of the 32-bit architecture are another audit architecture, for which seccompiler's preamble kills.
#[cfg(target_arch = "x86_64")]
const X32: [i64; 11] = [
    520, // execve
    545, // execveat
    521, // ptrace
    539, // process_vm_readv
    540, // process_vm_writev
    524, // rt_sigqueueinfo
    536, // rt_tgsigqueueinfo
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_pidfd_send_signal,
];

#[cfg(test)]
mod tests;
