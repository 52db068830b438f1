//! The `nft` program: the one place where this project starts another.

use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time;

use super::{Error, Redirect};

/// Where distributions install it. Not PATH: what runs with CAP_NET_ADMIN is not chosen by the environment.
const PLACES: [&str; 4] = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft", "/usr/local/sbin/nft"];

/// How long one run may take. Our table takes 20 ms; the kernel serialises transactions, and one of kube-proxy with tens of
/// thousands of rules takes seconds.
const DEADLINE: Duration = Duration::from_secs(20);

/// Most bytes that a listing may have. Ours has 10 KB.
const MOST_OUTPUT: u64 = 8 << 20;

/// Most bytes of its complaint that are kept.
const MOST_SAID: usize = 600;

/// A program that can be run.
#[derive(Debug, Clone)]
pub(super) struct Nft {
    program: PathBuf,
}

/// How a run ended.
struct Ended {
    success: bool,
    out: Vec<u8>,
    said: String,
}

impl Nft {
    /// The one of the settings, or the first in the usual places.
    pub(super) fn find(redirect: &Redirect) -> Result<Self, Error> {
        let places: Vec<&Path> =
            redirect.nft().map_or_else(|| PLACES.iter().map(Path::new).collect(), |path| vec![path]);
        let found = places.iter().find(|path| path.is_file());
        let tried = || places.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        found.map(|path| Self { program: path.to_path_buf() }).ok_or_else(|| Error::NftMissing { tried: tried() })
    }

    /// Runs commands as one transaction: all of them, or none.
    pub(super) async fn apply(&self, commands: &str) -> Result<(), Error> {
        let action = "load the nftables table";
        let ended = self.run(action, &["-f", "-"], commands).await?;
        if ended.success { Ok(()) } else { Err(self.failed(action, ended.said)) }
    }

    /// What `nft -j list` prints; None where there is no such thing.
    pub(super) async fn list(&self, what: &[&str]) -> Result<Option<Value>, Error> {
        let action = format!("list the nftables {}", what.join(" "));
        let ended = self.run(&action, &[&["-j", "list"], what].concat(), "").await?;
        if !ended.success {
            let absent = ended.said.contains("No such file or directory");
            return if absent { Ok(None) } else { Err(self.failed(&action, ended.said)) };
        }
        let parsed = serde_json::from_slice(&ended.out);
        parsed.map(Some).map_err(|error| self.failed(&action, format!("its output is not JSON: {error}")))
    }

    async fn run(&self, action: &str, arguments: &[&str], input: &str) -> Result<Ended, Error> {
        let of_io = |source| self.not_run(action, source);
        let running = async {
            #[expect(clippy::disallowed_methods, reason = "rules of the firewall have no other stable interface")]
            let mut command = std::process::Command::new(&self.program);
            command.args(arguments).current_dir("/").env_clear();
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = Command::from(command).kill_on_drop(true).spawn().map_err(of_io)?;
            let (mut stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
            let write = async {
                if let Some(stdin) = stdin.as_mut() {
                    // It may end with a complaint before it has read everything; the complaint is what counts.
                    drop(stdin.write_all(input.as_bytes()).await);
                }
                drop(stdin);
            };
            let ((), out, said) = tokio::join!(write, read(stdout), read(stderr));
            // Before the wait: one that printed too much stands before a full pipe, and is killed when it is dropped.
            let (out, said) = (out.map_err(of_io)?, cut(&String::from_utf8_lossy(&said.map_err(of_io)?)));
            let status = child.wait().await.map_err(of_io)?;
            Ok(Ended { success: status.success(), out, said })
        };
        let late = || Error::TooLong { action: action.to_owned(), seconds: DEADLINE.as_secs() };
        time::timeout(DEADLINE, running).await.unwrap_or_else(|_| Err(late()))
    }

    fn not_run(&self, action: &str, source: io::Error) -> Error {
        Error::NftRun { program: self.program.clone(), action: action.to_owned(), source }
    }

    /// The remedy goes by what nft says, since its exit status is 1 for everything.
    fn failed(&self, action: &str, said: String) -> Error {
        let action = action.to_owned();
        if said.contains("Operation not permitted") {
            Error::NotPermitted { action }
        } else if said.contains("Could not process rule: No such file or directory")
            || said.contains("Operation not supported")
            || said.contains("Protocol not supported")
        {
            Error::KernelLacks { said }
        } else {
            Error::Nft { program: self.program.clone(), action, said }
        }
    }
}

/// All of a stream, up to the bound and an error beyond it.
async fn read(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let Some(stream) = stream else { return Ok(Vec::new()) };
    let mut bytes = Vec::new();
    stream.take(MOST_OUTPUT + 1).read_to_end(&mut bytes).await?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= MOST_OUTPUT);
    if fits { Ok(bytes) } else { Err(io::Error::other(format!("it printed more than {MOST_OUTPUT} bytes"))) }
}

/// One line, of a bounded length.
fn cut(said: &str) -> String {
    let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(MOST_SAID).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redirect::Values;

    fn with(path: &str) -> Result<Nft, Error> {
        Nft::find(&Redirect::new(Values { nft: Some(path.into()), ..Values::default() }).unwrap())
    }

    #[tokio::test]
    async fn a_missing_program_is_named_with_its_package() {
        let said = with("/nowhere/nft").unwrap_err().to_string();
        assert!(said.contains("/nowhere/nft") && said.contains("`nftables`"), "{said}");
    }

    #[tokio::test]
    async fn what_the_program_says_is_in_the_error_and_a_program_that_is_none_is_one() {
        // Programs that are everywhere, of which none is nft.
        let said = with("/bin/false").unwrap().apply("").await.unwrap_err().to_string();
        assert!(said.contains("/bin/false"), "{said}");
        let said = with("/bin/echo").unwrap().list(&["tables"]).await.unwrap_err().to_string();
        assert!(said.contains("not JSON"), "{said}");
        let said = with("/etc/passwd").unwrap().apply("").await.unwrap_err().to_string();
        assert!(said.contains("could not be run"), "{said}");
    }

    #[test]
    fn complaints_become_remedies() {
        let nft = with("/bin/true").unwrap();
        let failed = |said: &str| nft.failed("load", said.to_owned()).to_string();
        assert!(failed("Operation not permitted (you must be root)").contains("CAP_NET_ADMIN"));
        assert!(failed("Error: Could not process rule: No such file or directory").contains("nft_fib_inet"));
        assert!(failed("syntax error").contains("syntax error"));
        assert_eq!(cut(&"a\n b ".repeat(1000)).chars().count(), MOST_SAID);
    }
}
