//! A mistake in a file that a person wrote, and where it is.

use std::borrow::Cow;
use std::fmt;

/// A mistake in a policy or exceptions file: says where, so that it can be mended without a search.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistake {
    /// The file, as whoever asked calls it.
    pub file: String,
    /// Line and column, counted from 1; `None` if the file as a whole is meant.
    pub at: Option<(usize, usize)>,
    /// The field, such as `controls[3].check.kubelet.setting`; empty if the file as a whole is meant.
    pub field: String,
    /// What is wrong, in a sentence without a full stop.
    pub problem: String,
}

/// `FILE:LINE:COLUMN: FIELD: PROBLEM`, as editors and compilers write it.
impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl Mistake {
    /// The file as a whole is wrong.
    pub(crate) fn whole(file: &str, problem: impl Into<String>) -> Self {
        Self { file: file.to_owned(), at: None, field: String::new(), problem: problem.into() }
    }
}

/// Something that the grammar allows and that is wrong all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Where.
    pub field: Field,
    /// What is wrong, in a sentence without a full stop.
    pub problem: String,
}

/// The way to a field from the top of a file: `controls[3].check.kubelet.setting`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Field(pub(crate) Vec<Step>);

/// One step of the way to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Into a map.
    Key(Cow<'static, str>),
    /// Into a list.
    Index(usize),
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if n == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Flaws as they are found on a walk through a file: knows where the walk is.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    here: Field,
    pub(crate) flaws: Vec<Flaw>,
}

impl Walk {
    /// Walks on in a field of what is here.
    pub(crate) fn key(&mut self, key: &'static str, walk: impl FnOnce(&mut Self)) {
        self.step(Step::Key(key.into()), walk);
    }

    /// Walks on in a member of the list that is here.
    pub(crate) fn index(&mut self, index: usize, walk: impl FnOnce(&mut Self)) {
        self.step(Step::Index(index), walk);
    }

    /// What is here is wrong.
    pub(crate) fn flaw(&mut self, problem: impl Into<String>) {
        self.flaws.push(Flaw { field: self.here.clone(), problem: problem.into() });
    }

    /// A field of what is here is wrong, unless `right`.
    pub(crate) fn require(&mut self, key: &'static str, right: bool, problem: impl Into<String>) {
        if !right {
            self.key(key, |here| here.flaw(problem));
        }
    }

    fn step(&mut self, step: Step, walk: impl FnOnce(&mut Self)) {
        self.here.0.push(step);
        walk(self);
        self.here.0.pop();
    }
}
