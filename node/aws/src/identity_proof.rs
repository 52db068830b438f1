//! The word of AWS for who this instance is: its identity document and the signature of it.

use tokio::time::timeout;

use crate::identity::{DEADLINE, DOCUMENT, IdentityError, get, plain_client};

/// PKCS#7 of the document, by a key of RSA with 2048 bits, in base64 (EC2 User Guide, "Verify instance identity documents").
const RSA2048: &str = "/latest/dynamic/instance-identity/rsa2048";
/// The longest of the two. A document has some 500 bytes, a signature some 2 KiB.
const MAX_BYTES: usize = 16 * 1024;

/// The instance identity document with its signature. Whoever reaches the metadata service has both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityTexts {
    /// The document, to the byte: the signature is of exactly these.
    pub document: String,
    /// PKCS#7 in base64, in lines, without header and footer.
    pub rsa2048: String,
}

/// Asks the metadata service at `endpoint` (as [`crate::identity()`] does) for the instance identity document and its signature.
/// Within 5 seconds in all.
///
/// # Errors
/// [`IdentityError`].
pub async fn identity_proof(endpoint: Option<&str>) -> Result<IdentityTexts, IdentityError> {
    let client = plain_client(endpoint)?;
    let ask = async {
        let (document, rsa2048) = (get(&client, DOCUMENT).await?, get(&client, RSA2048).await?);
        for (path, text) in [(DOCUMENT, &document), (RSA2048, &rsa2048)] {
            if text.is_empty() || text.len() > MAX_BYTES {
                let reason = format!("{} bytes came, and 1 to {MAX_BYTES} are right", text.len());
                return Err(IdentityError::Refused { path: path.to_owned(), reason });
            }
        }
        Ok(IdentityTexts { document, rsa2048 })
    };
    timeout(DEADLINE, ask).await.unwrap_or(Err(IdentityError::Deadline))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::tests::service;

    #[tokio::test]
    async fn both_come_as_they_are() {
        let url = service(|path| match path {
            DOCUMENT => (200, "{\n  \"region\" : \"x\"\n}"),
            RSA2048 => (200, "AAAA\nBBBB"),
            _ => (404, ""),
        })
        .await;
        let texts = identity_proof(Some(&url)).await.unwrap();
        assert_eq!(texts.document, "{\n  \"region\" : \"x\"\n}");
        assert_eq!(texts.rsa2048, "AAAA\nBBBB");
    }

    #[tokio::test]
    async fn what_is_missing_empty_or_huge_is_an_error_with_its_path() {
        let empty = service(|path| if path == DOCUMENT { (200, "{}") } else { (200, "") }).await;
        let missing = service(|path| if path == DOCUMENT { (200, "{}") } else { (404, "") }).await;
        let huge = service(|path| {
            static HUGE: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| "A".repeat(MAX_BYTES + 1));
            if path == DOCUMENT { (200, "{}") } else { (200, &HUGE) }
        })
        .await;
        for url in [empty, missing, huge] {
            let error = identity_proof(Some(&url)).await.unwrap_err().to_string();
            assert!(error.contains(RSA2048), "{error}");
        }
    }
}
