//! Pure: what a namespace allows, read once from its annotations.

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use safeguard_pods::Annotations;

use crate::settings::{Imdsv2, PatternKind, Settings};

/// Patterns in one annotation.
const MOST_PATTERNS: usize = 1_000;

/// Bytes of a pattern, and of what it may become when it is compiled.
const PATTERN: usize = 2_048;
const COMPILED: usize = 256 * 1024;

/// What a namespace says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    pub(crate) allowed: Vec<Pattern>,
    /// Which service accounts may have which roles; `None` where nothing is said of them.
    pub(crate) service_accounts: Option<Vec<(Pattern, Vec<String>)>>,
    pub(crate) default_role: Option<Arc<str>>,
    pub(crate) imdsv2: Option<Imdsv2>,
    /// Something of it cannot be understood: then nothing is allowed.
    pub(crate) error: Option<RulesError>,
}

/// Why the rules of a namespace cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the namespace's annotation {annotation} cannot be used: {reason}")]
pub(crate) struct RulesError {
    pub(crate) annotation: String,
    pub(crate) reason: String,
}

/// A pattern that has to match all of an ARN.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    /// As the namespace has it.
    pub(crate) written: String,
    regex: Regex,
}

impl Pattern {
    pub(crate) fn matches(&self, arn: &str) -> bool {
        self.regex.is_match(arn)
    }

    fn new(written: &str, kind: PatternKind, settings: &Settings) -> Result<Self, String> {
        if written.len() > PATTERN {
            return Err(format!("a pattern is longer than {PATTERN} bytes"));
        }
        let whole = settings.base.pattern(written);
        let inner = match kind {
            PatternKind::Glob => glob(&whole),
            PatternKind::Regexp => regexp(&whole, written, settings),
        };
        // kiam leaves the group out, so that `a|b` escapes its anchors; kube2iam has no anchors at all (jtblin/kube2iam#341, #110).
        let regex = RegexBuilder::new(&format!("^(?:{inner})$")).size_limit(COMPILED).build();
        let regex = regex.map_err(|_| format!("{written:?} is no regular expression, or too large a one"))?;
        Ok(Self { written: written.to_owned(), regex })
    }
}

/// `*` is anything, `?` one character; everything else is itself.
fn glob(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        match c {
            '*' => pattern.push_str(".*"),
            '?' => pattern.push('.'),
            c => pattern.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    pattern
}

/// A regular expression for ARNs: the base in front of one for names is no expression.
fn regexp(whole: &str, written: &str, settings: &Settings) -> String {
    match whole.strip_prefix(settings.base.as_str()) {
        Some(name) if whole != written => format!("{}(?:{name})", regex::escape(settings.base.as_str())),
        _ => whole.to_owned(),
    }
}

impl Rules {
    pub(crate) fn read(annotations: &Annotations, settings: &Settings) -> Self {
        let names = &settings.annotations;
        let mut rules = Self::default();
        let get = |name: &String| annotations.get(name.as_str()).map(|value| value.trim()).filter(|v| !v.is_empty());
        let mut errors = Vec::new();
        let mut note = |annotation: &String, reason: String| {
            errors.push(RulesError { annotation: annotation.clone(), reason });
        };
        if let Some(text) = get(&names.allowed_roles) {
            match list(text, settings) {
                Ok(patterns) => rules.allowed = patterns,
                Err(reason) => note(&names.allowed_roles, reason),
            }
        } else if let Some(text) = get(&names.permitted) {
            match Pattern::new(text, PatternKind::Regexp, settings) {
                Ok(pattern) => rules.allowed = vec![pattern],
                Err(reason) => note(&names.permitted, reason),
            }
        }
        if let Some(text) = get(&names.service_accounts) {
            match accounts(text, settings) {
                Ok(accounts) => rules.service_accounts = Some(accounts),
                Err(reason) => note(&names.service_accounts, reason),
            }
        }
        rules.default_role = get(&names.default_role).map(Arc::from);
        match get(&names.imdsv2) {
            None => {}
            Some("required") => rules.imdsv2 = Some(Imdsv2::Required),
            Some("optional") => rules.imdsv2 = Some(Imdsv2::Optional),
            // Whoever wrote something here wanted more care, not less.
            Some(_) => rules.imdsv2 = Some(Imdsv2::Required),
        }
        rules.error = errors.into_iter().next();
        rules
    }
}

/// kube2iam: a JSON list. A single name without brackets is taken as one, too: that is what most people write first.
fn list(text: &str, settings: &Settings) -> Result<Vec<Pattern>, String> {
    let written: Vec<String> = match text.starts_with('[') {
        true => serde_json::from_str(text).map_err(|error| format!("it is no JSON list of strings ({error})"))?,
        false if text.starts_with(['{', '"']) => {
            return Err("it is no JSON list of strings, such as [\"role-a\", \"team/*\"]".to_owned());
        }
        false => vec![text.to_owned()],
    };
    if written.len() > MOST_PATTERNS {
        return Err(format!("it has more than {MOST_PATTERNS} entries"));
    }
    written.iter().map(|entry| Pattern::new(entry, settings.pattern, settings)).collect()
}

fn accounts(text: &str, settings: &Settings) -> Result<Vec<(Pattern, Vec<String>)>, String> {
    let written: BTreeMap<String, Vec<String>> = serde_json::from_str(text)
        .map_err(|error| format!("it is no JSON object such as {{\"role\": [\"service-account\"]}} ({error})"))?;
    if written.len() > MOST_PATTERNS {
        return Err(format!("it has more than {MOST_PATTERNS} entries"));
    }
    let pattern = |role: &str| Pattern::new(role, settings.pattern, settings);
    written.into_iter().map(|(role, accounts)| Ok((pattern(&role)?, accounts))).collect()
}
