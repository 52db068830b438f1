//! A kernel module.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::Facts;
use crate::facts::modules::{self, LOADED, Line, Modprobe, Modules, Tree};
use crate::verdict::{Evidence, Verdict};

/// A module and what has to hold of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// Its name; `-` and `_` are the same.
    pub name: String,
    /// What has to hold.
    pub is: State,
}

/// What a module can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Neither loaded nor built in, and it cannot be loaded on request: it is not there for the kernel that runs (for each kernel on disk, when dead),
    /// or `modprobe.d` has `install NAME /bin/false` (or `/bin/true`) and `blacklist NAME`.
    Unavailable,
    /// Loaded or built in.
    Loaded,
    /// There, or built in: it can be loaded.
    Available,
}

impl Module {
    pub(crate) fn judge(&self, facts: &Facts<'_>) -> Verdict {
        Verdict::about(facts.modules(), |modules| match self.is {
            State::Unavailable => Verdict::all([self.not_loaded(modules), self.not_loadable(modules)]),
            State::Loaded => Verdict::any([self.loaded(modules), self.built_in(modules)]),
            State::Available => Verdict::about(&modules.trees, |trees| {
                Verdict::all(trees.iter().map(|tree| self.in_tree(tree, modules)))
            }),
        })
    }

    fn loaded(&self, modules: &Modules) -> Verdict {
        Verdict::about(&modules.loaded, |loaded| {
            let state = modules::find(loaded, &self.name).map_or("not loaded", |module| module.state.as_str());
            Verdict::of(self.evidence(LOADED, state, "loaded", state == "Live"))
        })
    }

    fn not_loaded(&self, modules: &Modules) -> Verdict {
        Verdict::about(&modules.loaded, |loaded| {
            let module = modules::find(loaded, &self.name);
            let state = module.map_or("not loaded", |module| module.state.as_str());
            Verdict::of(self.evidence(LOADED, state, "not loaded", module.is_none()))
        })
    }

    /// Whether it is a part of the running kernel; only asked where one runs.
    fn built_in(&self, modules: &Modules) -> Verdict {
        match (&modules.loaded, &modules.trees) {
            // Without a running kernel there is nothing that it could be in.
            (Err(why), _) | (_, Err(why)) => Verdict::unknown(why.clone()),
            (Ok(_), Ok(trees)) => Verdict::any(trees.iter().map(|tree| {
                let (built_in, seen) = yes_or_no(tree.is_built_in(&self.name), "built in", "not built in");
                Verdict::of(self.evidence(&tree.built_in_list(), seen, "built in", built_in))
            })),
        }
    }

    fn not_loadable(&self, modules: &Modules) -> Verdict {
        Verdict::about(&modules.trees, |trees| {
            Verdict::all(trees.iter().map(|tree| {
                let (built_in, seen) = yes_or_no(tree.is_built_in(&self.name), "built in", "not built in");
                let no_part = Verdict::of(self.evidence(&tree.built_in_list(), seen, "not built in", !built_in));
                let out = if tree.is_on_disk(&self.name) {
                    Verdict::about(&modules.modprobe, |modprobe| self.kept_out(modprobe))
                } else {
                    Verdict::of(self.evidence(&tree.on_disk_list(), "not there", "not there, or kept out", true))
                };
                Verdict::all([no_part, out])
            }))
        })
    }

    /// Whether `modprobe.d` keeps it out. It takes both lines: `blacklist` alone does not keep a module from being loaded by its
    /// name, and a benchmark asks for both.
    fn kept_out(&self, modprobe: &Modprobe) -> Verdict {
        let install = modprobe.install(&self.name);
        let source = install.map_or("modprobe.d", |line| line.source.as_str());
        let seen = install.map_or("no install line".to_owned(), |line| format!("install {}", line.command));
        let kept = install.is_some_and(Line::does_nothing);
        let install = Verdict::of(self.evidence(source, &seen, "install /bin/false", kept));
        let blacklist = modprobe.blacklist(&self.name);
        let source = blacklist.map_or("modprobe.d", |line| line.source.as_str());
        let (kept, seen) = yes_or_no(blacklist.is_some(), "blacklist", "no blacklist line");
        Verdict::all([install, Verdict::of(self.evidence(source, seen, "blacklist", kept))])
    }

    /// Whether a kernel has it, as a part or as a file that `modprobe.d` does not keep out.
    fn in_tree(&self, tree: &Tree, modules: &Modules) -> Verdict {
        if tree.is_built_in(&self.name) {
            return Verdict::of(self.evidence(&tree.built_in_list(), "built in", "there", true));
        }
        if !tree.is_on_disk(&self.name) {
            return Verdict::of(self.evidence(&tree.on_disk_list(), "not there", "there", false));
        }
        Verdict::about(&modules.modprobe, |modprobe| match modprobe.install(&self.name) {
            Some(line) if line.does_nothing() => {
                Verdict::of(self.evidence(&line.source, &format!("install {}", line.command), "there", false))
            }
            _ => Verdict::of(self.evidence(&tree.on_disk_list(), "there", "there", true)),
        })
    }

    fn evidence(&self, source: &str, seen: &str, expected: &str, holds: bool) -> Evidence {
        Evidence::new(format!("{source}: {}", self.name), seen, expected, holds)
    }
}

fn yes_or_no<'a>(is: bool, yes: &'a str, no: &'a str) -> (bool, &'a str) {
    (is, if is { yes } else { no })
}

#[cfg(test)]
mod tests;
