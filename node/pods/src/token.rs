//! The token that the API server knows us by.

use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use crate::limits::MAX_TOKEN_BYTES;

/// A bearer token. It shows itself only to who asks for it by [`Token::expose`].
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Takes a token. White space around it is dropped.
    ///
    /// # Errors
    /// [`TokenError::Unusable`] if nothing is left, or if it cannot stand in a header.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let whole = !text.is_empty() && text.len() <= MAX_TOKEN_BYTES && text.bytes().all(|b| b.is_ascii_graphic());
        if whole { Ok(Self(text.to_owned())) } else { Err(TokenError::Unusable) }
    }

    /// The token itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("the token file {} cannot be read: {source}. Mount a service account's token there", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is empty, too long, or has characters that no token has.
    #[error("the token is empty or no token")]
    Unusable,
    /// Another source failed. The text is shown: it has to be free of secrets.
    #[error("no token: {0}")]
    Other(String),
}

/// The future of [`TokenSource::token`].
pub type TokenFuture<'a> = Pin<Box<dyn Future<Output = Result<Token, TokenError>> + Send + 'a>>;

/// Where tokens come from. It is asked before every request, which is about twice a minute.
pub trait TokenSource: Send + Sync + fmt::Debug {
    /// The token for a request that is made now. It is waited for within [`Deadlines::answer`](crate::Deadlines).
    fn token(&self) -> TokenFuture<'_>;

    /// The API server refused the last token: a source that keeps tokens drops it. The request is made once more at once.
    fn rejected(&self) {}
}

/// A projected service account token, which the kubelet replaces before it expires. The file is read each time.
#[derive(Debug, Clone)]
pub struct FileToken {
    path: PathBuf,
}

impl FileToken {
    /// A token in this file, such as `/var/run/secrets/kubernetes.io/serviceaccount/token`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl TokenSource for FileToken {
    fn token(&self) -> TokenFuture<'_> {
        let path = self.path.clone();
        Box::pin(async move {
            // A disk may hang; the runtime must not.
            let read = tokio::task::spawn_blocking(move || {
                read_own(&path, MAX_TOKEN_BYTES as u64).map_err(|source| TokenError::File { path, source })
            });
            let bytes = read.await.map_err(|error| TokenError::Other(error.to_string()))??;
            Token::new(std::str::from_utf8(&bytes).map_err(|_| TokenError::Unusable)?)
        })
    }
}

/// Always the same token: for tests, and for API servers that were given one for good.
#[derive(Debug, Clone)]
pub struct FixedToken(pub Token);

impl TokenSource for FixedToken {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }
}

/// A file that was mounted for this process.
#[expect(clippy::disallowed_methods, reason = "a file that was mounted for this process, not one of the host's")]
pub(crate) fn read_own(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    // Looked at first: opening a FIFO waits for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(std::io::Error::other(format!("it is larger than {most} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_does_not_show_itself() {
        let token = Token::new(" secret\n").unwrap();
        assert_eq!((token.expose(), format!("{token:?}").contains("secret")), ("secret", false));
        for unusable in ["", " \n", "two words", "line\nbreak", "ü"] {
            assert!(Token::new(unusable).is_err(), "{unusable:?}");
        }
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the test writes the file that it reads")]
    async fn a_file_is_read_each_time_and_named_when_it_cannot_be() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let source = FileToken::new(&path);
        let error = source.token().await.unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        for token in ["first", "second"] {
            std::fs::write(&path, token).unwrap();
            assert_eq!(source.token().await.unwrap().expose(), token);
        }
        std::fs::write(&path, vec![b'a'; MAX_TOKEN_BYTES + 1]).unwrap();
        assert!(source.token().await.is_err());
        assert!(FileToken::new(dir.path()).token().await.is_err(), "a directory is no token");
    }
}
