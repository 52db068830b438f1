//! IMDSv2 tokens.

use std::collections::HashMap;

use aws_lc_rs::rand;

use super::request::Shown;

/// The longest life of a token, in seconds (EC2 User Guide, "How Instance Metadata Service Version 2 works").
pub const MAX_TTL_SECONDS: u32 = 21_600;

/// Tokens that are remembered. Beyond, those that are past their time are forgotten, and count as wrong.
const MAX_TOKENS: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Tokens {
    // To the millisecond of its end.
    issued: HashMap<String, i64>,
}

impl Tokens {
    /// Reads the header that says how long a token shall live: whole seconds from 1 to 21600.
    pub(super) fn ttl(header: Option<&str>) -> Option<u32> {
        let text = header?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let ttl = digits.then(|| text.parse().ok()).flatten()?;
        (1..=MAX_TTL_SECONDS).contains(&ttl).then_some(ttl)
    }

    /// A new token; none when the system has no randomness to give.
    pub(super) fn issue(&mut self, ttl_seconds: u32, now_ms: i64) -> Option<String> {
        if self.issued.len() >= MAX_TOKENS {
            self.issued.retain(|_, ends| now_ms < *ends);
        }
        // 40 bytes are 56 characters that end in `==`, as real tokens do.
        let mut bytes = [0; 40];
        rand::fill(&mut bytes).ok()?;
        let token = base64_simd::STANDARD.encode_to_string(bytes);
        self.issued.insert(token.clone(), now_ms.saturating_add(i64::from(ttl_seconds) * 1_000));
        Some(token)
    }

    /// What a token is worth, and the whole seconds it has left.
    pub(super) fn judge(&self, token: Option<&str>, now_ms: i64) -> (Shown, i64) {
        let Some(token) = token else { return (Shown::None, 0) };
        match self.issued.get(token) {
            None => (Shown::Wrong, 0),
            Some(ends) if now_ms < *ends => (Shown::Valid, (ends - now_ms).div_euclid(1_000)),
            Some(_) => (Shown::Expired, 0),
        }
    }

    /// Ends all tokens, as a reboot of the service does.
    pub(super) fn expire(&mut self) {
        self.issued.values_mut().for_each(|ends| *ends = i64::MIN);
    }
}
