//! The pages of this repository, taken apart: prose, headings, and fenced blocks with what their first line says.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Languages that a fenced block may name. Nothing else, so that a slip of the pen is no block that nobody looks at.
const LANGUAGES: [&str; 9] = ["", "sh", "json", "yaml", "toml", "text", "python", "promql", "http"];

/// A Markdown file.
#[derive(Debug)]
pub(super) struct Page {
    /// Its path in the repository.
    pub(super) path: String,
    /// Lines outside of fenced blocks, each with its number.
    pub(super) prose: Vec<(usize, String)>,
    /// What is between fences.
    pub(super) blocks: Vec<Block>,
}

/// A fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// Where it begins, as `README.md:12`.
    pub(super) at: String,
    /// The first word behind the fence.
    pub(super) language: String,
    /// What stands behind that word.
    pub(super) rest: String,
    /// What is in it, without the fence's indentation.
    pub(super) text: String,
}

impl Page {
    /// Takes a text apart.
    ///
    /// # Errors
    /// When a fence is not closed, or names no language of ours.
    pub(super) fn parse(path: &str, text: &str) -> Result<Self, String> {
        let mut page = Self { path: path.to_owned(), prose: Vec::new(), blocks: Vec::new() };
        let mut open: Option<(usize, Block)> = None;
        for (number, line) in (1..).zip(text.lines()) {
            let inner = line.trim_start_matches(' ');
            let indent = line.len() - inner.len();
            match (&mut open, inner.strip_prefix("```")) {
                (None, Some(info)) => {
                    let (language, rest) = info.trim().split_once(' ').unwrap_or((info.trim(), ""));
                    let at = format!("{path}:{number}");
                    if !LANGUAGES.contains(&language) {
                        return Err(format!("{at}: a block of `{language}`; known are {LANGUAGES:?}"));
                    }
                    let (language, rest) = (language.to_owned(), rest.trim().to_owned());
                    open = Some((indent, Block { at, language, rest, text: String::new() }));
                }
                (None, None) => page.prose.push((number, line.to_owned())),
                (Some(_), Some("")) => page.blocks.extend(open.take().map(|(_, block)| block)),
                (Some((indent, block)), _) => {
                    // What is indented less is blank.
                    block.text += line.get(*indent..).unwrap_or_default();
                    block.text.push('\n');
                }
            }
        }
        match open {
            Some((_, block)) => Err(format!("{}: the block is not closed", block.at)),
            None => Ok(page),
        }
    }

    /// Its headings, as anchors: small letters, digits, `_` and `-`; blanks become `-`, everything else goes, and what is there
    /// already gets a number, as GitHub does it.
    pub(super) fn anchors(&self) -> Vec<String> {
        let mut anchors: Vec<String> = Vec::new();
        for (_, line) in &self.prose {
            let title = line.trim_start_matches('#');
            let depth = line.len() - title.len();
            if !(1..=6).contains(&depth) || !title.starts_with(' ') {
                continue;
            }
            let kept = |c: char| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                _ => None,
            };
            let slug: String = plain(title.trim()).to_lowercase().chars().filter_map(kept).collect();
            let same = (1..).map(|n| format!("{slug}-{n}"));
            let free = std::iter::once(slug.clone()).chain(same).find(|slug| !anchors.contains(slug));
            anchors.extend(free);
        }
        anchors
    }

    /// What stands between backticks in the prose, each with the number of its line.
    pub(super) fn spans(&self) -> impl Iterator<Item = (usize, &str)> {
        self.prose.iter().flat_map(|(number, line)| line.split('`').skip(1).step_by(2).map(|span| (*number, span)))
    }
}

/// A title without its links.
fn plain(title: &str) -> String {
    let mut text = String::new();
    let mut rest = title;
    while let Some((before, link)) = rest.split_once('[') {
        text += before;
        match link.split_once("](").and_then(|(name, target)| Some((name, target.split_once(')')?.1))) {
            Some((name, after)) => {
                text += name;
                rest = after;
            }
            None => rest = link,
        }
    }
    text + rest
}

/// The repository.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every page.
pub(super) fn pages() -> Vec<Page> {
    let pages: Result<Vec<Page>, String> = files("*.md").map(|(path, text)| Page::parse(&path, &text)).collect();
    pages.unwrap_or_else(|error| panic!("{error}"))
}

/// All that our programs are made of, with strings in one piece that are written in several lines.
pub(super) fn sources() -> String {
    let mut sources = String::new();
    for (_, text) in files("*.rs") {
        for line in text.lines() {
            match line.strip_suffix('\\') {
                Some(begun) => sources += begun.trim_start(),
                None => {
                    sources += line.trim_start();
                    sources.push('\n');
                }
            }
        }
    }
    sources
}

/// Files that are committed, or would be by `git add --all`, with what is in them.
fn files(pattern: &str) -> impl Iterator<Item = (String, String)> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", pattern]).current_dir(root());
    let listed = git.output().unwrap();
    assert!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).unwrap();
    let paths: Vec<String> = listed.split('\0').map(str::to_owned).filter(|path| root().join(path).is_file()).collect();
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(root().join(&path)).unwrap()))
}

#[test]
fn blocks_are_found_with_their_language_and_lose_their_indentation() {
    let text =
        "# A\n\n1. Do:\n\n   ```sh no-run: it needs a cluster\n   one\n     two\n\n   ```\n\nand\n\n```\nthree\n```\n";
    let page = Page::parse("a.md", text).unwrap();
    let block = |at: &str, language: &str, rest: &str, text: &str| Block {
        at: at.to_owned(),
        language: language.to_owned(),
        rest: rest.to_owned(),
        text: text.to_owned(),
    };
    assert_eq!(
        page.blocks,
        [block("a.md:5", "sh", "no-run: it needs a cluster", "one\n  two\n\n"), block("a.md:13", "", "", "three\n")]
    );
    assert!(Page::parse("a.md", "```sh\none\n").unwrap_err().contains("a.md:1: the block is not closed"));
    assert!(Page::parse("a.md", "```shell\none\n```\n").unwrap_err().contains("`shell`"));
}

#[test]
fn anchors_are_those_of_github() {
    let text = "# What `logs.a_b` is, and why: 3 a.m.?\n## [The proxy](x.md)\n### The proxy\n#no heading\n```\n# in a block\n```\n## §Ä é";
    let anchors = Page::parse("a.md", text).unwrap().anchors();
    assert_eq!(anchors, ["what-logsa_b-is-and-why-3-am", "the-proxy", "the-proxy-1", "ä-é"]);
}
