//! Tokens that are made in this process, and kept until it is time for the next.

use std::fmt;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::token::{Token, TokenError, TokenFuture, TokenSource};

/// A token, and how long it is good for.
#[derive(Debug, Clone)]
pub struct Minted {
    /// The token.
    pub token: Token,
    /// When to make the next one.
    pub renew_at: SystemTime,
}

/// Tokens that `mint` makes. One is kept until its `renew_at`, or until the API server refuses it.
pub struct MintedToken<M> {
    what: String,
    now: fn() -> SystemTime,
    mint: M,
    kept: Mutex<Option<Minted>>,
}

impl<M> MintedToken<M> {
    /// `what` is shown by `Debug`, such as the name of the cluster. `now` tells the time of day. `mint` makes a token that is
    /// good from then on.
    pub fn new(what: impl Into<String>, now: fn() -> SystemTime, mint: M) -> Self {
        Self { what: what.into(), now, mint, kept: Mutex::default() }
    }
}

impl<M> fmt::Debug for MintedToken<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MintedToken").field("what", &self.what).finish_non_exhaustive()
    }
}

impl<M, F> MintedToken<M>
where
    M: Fn(SystemTime) -> F,
    F: Future<Output = Result<Minted, TokenError>>,
{
    async fn current(&self) -> Result<Token, TokenError> {
        let now = (self.now)();
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(kept) = kept.filter(|kept| now < kept.renew_at) {
            return Ok(kept.token);
        }
        let made = (self.mint)(now).await?;
        let token = made.token.clone();
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
        Ok(token)
    }
}

impl<M, F> TokenSource for MintedToken<M>
where
    M: Fn(SystemTime) -> F + Send + Sync,
    F: Future<Output = Result<Minted, TokenError>> + Send + 'static,
{
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(self.current())
    }

    fn rejected(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    static NOW: AtomicU64 = AtomicU64::new(0);

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_token_is_kept_until_it_has_to_be_renewed_or_is_refused() {
        let made = AtomicU64::new(0);
        let source = MintedToken::new("prod", now, |now| {
            let serial = made.fetch_add(1, Ordering::Relaxed);
            async move {
                let token = Token::new(&format!("secret-{serial}"))?;
                Ok(Minted { token, renew_at: now + Duration::from_secs(600) })
            }
        });
        let expose = async || source.token().await.unwrap().expose().to_owned();
        assert_eq!((expose().await, expose().await), ("secret-0".to_owned(), "secret-0".to_owned()));
        NOW.store(599, Ordering::Relaxed);
        assert_eq!(expose().await, "secret-0");
        NOW.store(600, Ordering::Relaxed);
        assert_eq!(expose().await, "secret-1");
        source.rejected();
        assert_eq!(expose().await, "secret-2");
        let shown = format!("{source:?}");
        assert!(shown.contains("prod") && !shown.contains("secret"), "{shown}");
    }

    #[tokio::test]
    async fn a_failure_is_told_and_not_kept() {
        let fails = AtomicU64::new(1);
        let source = MintedToken::new("prod", now, |now| {
            let fails = fails.swap(0, Ordering::Relaxed) == 1;
            async move {
                if fails {
                    return Err(TokenError::Other("no credentials".to_owned()));
                }
                Ok(Minted { token: Token::new("t")?, renew_at: now })
            }
        });
        assert!(source.token().await.unwrap_err().to_string().contains("no credentials"));
        assert_eq!(source.token().await.unwrap().expose(), "t");
    }
}
