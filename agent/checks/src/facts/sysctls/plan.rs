//! What `sysctl.d` will set at boot (sysctl.d(5)).

use std::collections::BTreeMap;

use super::key::Key;

/// Most names that are set. More are not what a person or a distribution wrote.
const MAX_NAMES: usize = 10_000;

/// What is set, in which order.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    names: BTreeMap<Key, Setting>,
    count: usize,
}

/// The last word on one name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The value; `None` keeps patterns from setting the name.
    value: Option<String>,
    /// The file and the line.
    pub(crate) source: String,
    /// Its place among all.
    place: usize,
}

/// There are more than [`MAX_NAMES`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Setting {
    /// The value that is set. One that sets nothing is never given out.
    pub(crate) fn value(&self) -> &str {
        self.value.as_deref().unwrap_or_default()
    }
}

impl Plan {
    /// Takes in the next file. Lines that set nothing are left out, as systemd leaves them out.
    pub(crate) fn add(&mut self, path: &str, text: &str) -> Result<(), TooMany> {
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            let (ignores_failure, rest) = line.strip_prefix('-').map_or((false, line), |rest| (true, rest));
            let (name, value) = match rest.split_once('=') {
                Some((name, value)) => (name, Some(value.trim().to_owned())),
                None if ignores_failure => (rest, None),
                None => continue,
            };
            self.set(Key::parse(name.trim()), value, format!("{path} line {}", at + 1));
            if self.names.len() > MAX_NAMES {
                return Err(TooMany);
            }
        }
        Ok(())
    }

    fn set(&mut self, key: Key, value: Option<String>, source: String) {
        // The same value again leaves a setting in its place among the patterns.
        if self.names.get(&key).is_some_and(|old| old.value == value) {
            return;
        }
        self.count += 1;
        self.names.insert(key, Setting { value, source, place: self.count });
    }

    /// What sets a name; `None` if nothing does. A name that is given itself is not subject to patterns.
    pub(crate) fn of(&self, key: &Key) -> Option<&Setting> {
        match self.names.get(key) {
            Some(own) => own.value.is_some().then_some(own),
            None => self.last(|pattern| pattern.matches(key)),
        }
    }

    /// What sets all that a pattern stands for, but for the names that are given themselves.
    pub(crate) fn of_others(&self, pattern: &Key) -> Option<&Setting> {
        self.last(|own| own.covers(pattern))
    }

    /// The names that are given themselves and that a pattern stands for.
    pub(crate) fn given(&self, pattern: &Key) -> impl Iterator<Item = &Key> {
        self.names.keys().filter(move |name| !name.is_pattern() && pattern.matches(name))
    }

    fn last(&self, applies: impl Fn(&Key) -> bool) -> Option<&Setting> {
        let patterns = self.names.iter().filter(|(key, setting)| setting.value.is_some() && key.is_pattern());
        patterns.filter(|(key, _)| applies(key)).map(|(_, setting)| setting).max_by_key(|setting| setting.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(files: &[&str]) -> Plan {
        let mut plan = Plan::default();
        for (at, text) in files.iter().enumerate() {
            plan.add(&format!("{at}"), text).unwrap();
        }
        plan
    }

    fn value(plan: &Plan, name: &str) -> Option<String> {
        plan.of(&Key::parse(name)).map(|setting| format!("{} from {}", setting.value(), setting.source))
    }

    #[test]
    fn the_last_assignment_counts() {
        let plan = plan(&["# c\n; c\n\nkernel.x = 1\nkernel.y=2\n", " kernel/x =  3 \nnonsense\n-kernel.z=4\n"]);
        assert_eq!(value(&plan, "kernel.x").as_deref(), Some("3 from 1 line 1"));
        assert_eq!(value(&plan, "kernel.y").as_deref(), Some("2 from 0 line 5"));
        assert_eq!(value(&plan, "kernel.z").as_deref(), Some("4 from 1 line 3"));
        assert_eq!(value(&plan, "nonsense"), None);
    }

    /// The example of sysctl.d(5).
    #[test]
    fn names_that_are_given_themselves_are_not_subject_to_patterns() {
        let plan = plan(&["net.ipv4.conf.default.rp_filter = 2\nnet.ipv4.conf.*.rp_filter = 2\n\
              -net.ipv4.conf.all.rp_filter\nnet.ipv4.conf.hub0.rp_filter = 1\n"]);
        let of = |interface| value(&plan, &format!("net.ipv4.conf.{interface}.rp_filter"));
        assert_eq!(of("eth0").as_deref(), Some("2 from 0 line 2"));
        assert_eq!(of("default").as_deref(), Some("2 from 0 line 1"));
        assert_eq!(of("hub0").as_deref(), Some("1 from 0 line 4"));
        assert_eq!(of("all"), None);
    }

    #[test]
    fn of_two_patterns_the_one_that_was_changed_last_counts() {
        let files = ["n.a.*.x = 1\nn.*.b.x = 2\n", "n.a.*.x = 1\n"];
        assert_eq!(value(&plan(&files), "n.a.b.x").as_deref(), Some("2 from 0 line 2"));
        let files = ["n.a.*.x = 1\nn.*.b.x = 2\n", "n.a.*.x = 3\n"];
        assert_eq!(value(&plan(&files), "n.a.b.x").as_deref(), Some("3 from 1 line 1"));
    }

    #[test]
    fn a_name_can_be_taken_back() {
        assert_eq!(value(&plan(&["kernel.x=1\n", "-kernel.x\n"]), "kernel.x"), None);
    }

    #[test]
    fn too_many_names_are_refused() {
        let text: String = (0..=MAX_NAMES).map(|n| format!("n{n}=1\n")).collect();
        assert_eq!(Plan::default().add("x", &text), Err(TooMany));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[a-z./*=#;\\- \\n\\[\\]]{0,200}") {
            let plan = plan(&[&text]);
            plan.of(&Key::parse("a.b"));
            plan.of_others(&Key::parse("a.*"));
        }
    }
}
