//! What is known about the host: each fact gathered once, when a rule first asks for it.

pub(crate) mod accounts;
pub(crate) mod audit;
pub(crate) mod boot;
pub(crate) mod glob;
pub(crate) mod kubelet;
pub(crate) mod modules;
pub(crate) mod mounts;
pub(crate) mod packages;
pub(crate) mod precedence;
pub(crate) mod processes;
pub(crate) mod sockets;
pub(crate) mod sshd;
pub(crate) mod sysctls;
pub(crate) mod units;

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use crate::evaluate::Inputs;
use crate::host::{Host, Touched};
use crate::observed::Observed;

pub(crate) use accounts::Accounts;
pub(crate) use audit::Audit;
pub(crate) use boot::Boot;
pub(crate) use kubelet::Kubelet;
pub(crate) use modules::Modules;
pub(crate) use mounts::Mounts;
pub(crate) use packages::Packages;
pub(crate) use processes::Processes;
pub(crate) use sockets::Sockets;
pub(crate) use sshd::Sshd;
pub(crate) use sysctls::Sysctls;
pub(crate) use units::Units;

/// The facts of one host. What was gathered is kept until [`forget`](Self::forget).
#[derive(Debug)]
pub struct Facts<'a> {
    host: &'a Host,
    inputs: &'a Inputs,
    now_ms: i64,
    mounts: Fact<Mounts>,
    sysctls: Fact<Sysctls>,
    modules: Fact<Modules>,
    accounts: Fact<Accounts>,
    sshd: Fact<Sshd>,
    units: Fact<Units>,
    packages: Fact<Packages>,
    sockets: Fact<Sockets>,
    audit: Fact<Audit>,
    processes: Fact<Processes>,
    kubelet: Fact<Kubelet>,
    boot: Fact<Boot>,
}

/// One kind of fact, and the files that it came from.
#[derive(Debug)]
struct Fact<T> {
    value: OnceCell<Observed<T>>,
    touched: RefCell<Arc<Touched>>,
}

impl<'a> Facts<'a> {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(host: &'a Host, inputs: &'a Inputs) -> Self {
        Self {
            host,
            inputs,
            now_ms: inputs.now_ms,
            mounts: Fact::default(),
            sysctls: Fact::default(),
            modules: Fact::default(),
            accounts: Fact::default(),
            sshd: Fact::default(),
            units: Fact::default(),
            packages: Fact::default(),
            sockets: Fact::default(),
            audit: Fact::default(),
            processes: Fact::default(),
            kubelet: Fact::default(),
            boot: Fact::default(),
        }
    }

    /// The host that is looked at. Attributes and small files are read through it, each time a rule asks: that is cheaper than
    /// to remember them.
    pub(crate) fn host(&self) -> &'a Host {
        self.host
    }

    /// What is known besides files.
    pub(crate) fn inputs(&self) -> &'a Inputs {
        self.inputs
    }

    /// What time it is, in milliseconds since the epoch: that of the inputs, or of the last look after it.
    pub(crate) fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// It is later now.
    pub(crate) fn set_now(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
    }

    /// Forgets what came from one of these files, or from a directory that one of them is in.
    pub fn forget(&mut self, changed: &BTreeSet<PathBuf>) {
        self.mounts.forget(changed);
        self.sysctls.forget(changed);
        self.modules.forget(changed);
        self.accounts.forget(changed);
        self.sshd.forget(changed);
        self.units.forget(changed);
        self.packages.forget(changed);
        self.sockets.forget(changed);
        self.audit.forget(changed);
        self.processes.forget(changed);
        self.kubelet.forget(changed);
        self.boot.forget(changed);
    }

    /// What is mounted where: PID 1's view, and what `fstab` and mount units say of the next boot.
    pub(crate) fn mounts(&self) -> &Observed<Mounts> {
        self.mounts.get(self.host, || Mounts::gather(self))
    }

    /// Kernel parameters: what `sysctl.d` will set at boot, and (read one by one) what holds now.
    pub(crate) fn sysctls(&self) -> &Observed<Sysctls> {
        self.sysctls.get(self.host, || Sysctls::gather(self))
    }

    /// Kernel modules: loaded, built in, on disk, and what `modprobe.d` makes of them.
    pub(crate) fn modules(&self) -> &Observed<Modules> {
        self.modules.get(self.host, || Modules::gather(self))
    }

    /// Users and groups, without their secrets.
    pub(crate) fn accounts(&self) -> &Observed<Accounts> {
        self.accounts.get(self.host, || Accounts::gather(self))
    }

    /// What sshd would do: its configuration with `Include` and `Match`.
    pub(crate) fn sshd(&self) -> &Observed<Sshd> {
        self.sshd.get(self.host, || Sshd::gather(self))
    }

    /// Systemd unit files: where they are, enabled, masked, with their drop-ins.
    pub(crate) fn units(&self) -> &Observed<Units> {
        self.units.get(self.host, || Units::gather(self))
    }

    /// Installed packages, of the rpm or the dpkg database.
    pub(crate) fn packages(&self) -> &Observed<Packages> {
        self.packages.get(self.host, || Packages::gather(self))
    }

    /// What listens on the network, in the host's network namespace.
    pub(crate) fn sockets(&self) -> &Observed<Sockets> {
        self.sockets.get(self.host, || Sockets::gather(self))
    }

    /// Audit rules on disk, in the order in which they are loaded.
    pub(crate) fn audit(&self) -> &Observed<Audit> {
        self.audit.get(self.host, || Audit::gather(self))
    }

    /// The host's processes: names, arguments, working directories.
    pub(crate) fn processes(&self) -> &Observed<Processes> {
        self.processes.get(self.host, || Processes::gather(self))
    }

    /// The kubelet's effective configuration, and who decided each setting.
    pub(crate) fn kubelet(&self) -> &Observed<Kubelet> {
        self.kubelet.get(self.host, || Kubelet::gather(self))
    }

    /// The kernel's command line: this boot's, and the next one's.
    pub(crate) fn boot(&self) -> &Observed<Boot> {
        self.boot.get(self.host, || Boot::gather(self))
    }
}

impl<T> Default for Fact<T> {
    fn default() -> Self {
        Self { value: OnceCell::new(), touched: RefCell::default() }
    }
}

impl<T> Fact<T> {
    /// The fact, gathered if this is the first time. Whoever asks while gathering another fact depends on this one's files too.
    fn get(&self, host: &Host, gather: impl FnOnce() -> Observed<T>) -> &Observed<T> {
        let value = self.value.get_or_init(|| {
            let (value, touched) = host.touched_by(gather);
            self.touched.replace(touched);
            value
        });
        host.share(self.touched.borrow().clone());
        value
    }

    fn forget(&mut self, changed: &BTreeSet<PathBuf>) {
        if self.touched.get_mut().concerns(changed) {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests;
