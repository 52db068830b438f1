//! Names that only the log room has: templates, and whom a setting means.

use safeguard_daemon::settings::Findings;
use safeguard_logs::{Multiline, MultilineSettings, NameKind, PathGlob, Selector, Template, UnitGlob, Variable};

/// One method per kind of name.
pub(super) trait Names {
    fn template(&mut self, key: &str, kind: NameKind, text: &str) -> Option<Template>;
    /// Files and the journal have no names of a container.
    fn host_stream(&mut self, text: &str) -> Option<Template>;
    fn selectors(&mut self, key: &str, texts: &[String]) -> Vec<Selector>;
    /// Namespaces: selectors that say nothing of pods.
    fn namespaces(&mut self, key: &str, texts: &[String]) -> Vec<Selector>;
    fn paths(&mut self, key: &str, texts: &[String]) -> Vec<PathGlob>;
    fn units(&mut self, key: &str, texts: &[String]) -> Vec<UnitGlob>;
    /// Whom lines are put together for: a file by its path, or containers.
    fn multiline(&mut self, key: &str, whose: &str, how: Multiline, rules: &mut MultilineSettings);
}

impl Names for Findings {
    fn template(&mut self, key: &str, kind: NameKind, text: &str) -> Option<Template> {
        self.make(key, text, Template::new(kind, text))
    }

    fn host_stream(&mut self, text: &str) -> Option<Template> {
        let template = self.template("logs.host_stream", NameKind::Stream, text)?;
        let foreign = [Variable::Namespace, Variable::Pod, Variable::Container];
        if foreign.into_iter().any(|variable| template.uses(variable)) {
            let reason = "{namespace}, {pod} and {container} have no value here";
            self.add("logs.host_stream", &format!("{text:?}"), reason);
            return None;
        }
        Some(template)
    }

    fn selectors(&mut self, key: &str, texts: &[String]) -> Vec<Selector> {
        self.each(key, texts, Selector::new)
    }

    fn namespaces(&mut self, key: &str, texts: &[String]) -> Vec<Selector> {
        self.each(key, texts, |text| match text.contains('/') {
            true => Err(format!("`{text}` is not the name of a namespace, with * and ?")),
            false => Selector::new(text),
        })
    }

    fn paths(&mut self, key: &str, texts: &[String]) -> Vec<PathGlob> {
        self.each(key, texts, PathGlob::new)
    }

    fn units(&mut self, key: &str, texts: &[String]) -> Vec<UnitGlob> {
        self.each(key, texts, UnitGlob::new)
    }

    fn multiline(&mut self, key: &str, whose: &str, how: Multiline, rules: &mut MultilineSettings) {
        let made = if whose.starts_with('/') {
            PathGlob::new(whose).map(|glob| rules.files.push((glob, how)))
        } else {
            Selector::new(whose).map(|selector| rules.containers.push((selector, how)))
        };
        self.test(key, whose, made);
    }
}
