//! Against themselves: what no client of a library's sends. Against others in `wire/tests.rs`.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::timeout;

use super::*;

/// What is in a record, and the type that it says.
type Content<'a> = (&'a [u8], u8);

const BYE: Content<'_> = (&CLOSE_NOTIFY, ALERT);

fn pair() -> (Records<DuplexStream>, Records<DuplexStream>) {
    let secrets = |key: u8| (7, ConnectionTrafficSecrets::Aes256Gcm { key: [key; 32].into(), iv: [key; 12].into() });
    let (here, there) = duplex(1 << 20);
    let here = Records::new(here, ExtractedSecrets { tx: secrets(1), rx: secrets(2) });
    (here, Records::new(there, ExtractedSecrets { tx: secrets(2), rx: secrets(1) }))
}

/// What is heard of records with these contents and types, and why it ends.
async fn heard(records: &[Content<'_>]) -> (Vec<u8>, Option<ErrorKind>) {
    let (mut here, mut there) = pair();
    for (content, kind) in records {
        there.seal(*kind, &[IoSlice::new(content)]).unwrap();
    }
    there.flush().await.unwrap();
    let mut heard = Vec::new();
    let end = timeout(Duration::from_secs(5), here.read_to_end(&mut heard)).await.expect("it goes on and on");
    (heard, end.err().map(|error| error.kind()))
}

#[tokio::test]
async fn what_is_in_a_record_is_what_it_says() {
    let beat: Content<'_> = (b"a beat", APPLICATION_DATA);
    let invalid = Some(ErrorKind::InvalidData);
    type Case<'a> = (&'a [Content<'a>], &'a [u8], Option<ErrorKind>);
    let cases: [Case<'_>; 7] = [
        (&[beat, BYE, beat], b"a beat", None),
        // Padded with zeros, as one likes.
        (&[(b"a beat\x17\0\0", 0), BYE], b"a beat", None),
        (&[(b"\0\0\0", 0), beat], b"", invalid),
        // A fatal alert, half of one, and a handshake.
        (&[(&[2, 40], ALERT), beat], b"", Some(ErrorKind::ConnectionAborted)),
        (&[(&[1], ALERT), beat], b"", Some(ErrorKind::ConnectionAborted)),
        (&[(&[24, 0, 0, 1, 0], 22), beat], b"", invalid),
        (&[beat, beat, BYE], b"a beata beat", None),
    ];
    for (n, (records, all, end)) in cases.into_iter().enumerate() {
        assert_eq!(heard(records).await, (all.to_vec(), end), "case {n}");
    }
}

#[tokio::test]
async fn some_empty_records_are_nothing_and_many_are_an_attack() {
    let empty: Content<'_> = (b"", APPLICATION_DATA);
    let some = [&[empty; 32][..], &[(b"x", APPLICATION_DATA)], &[empty; 32], &[BYE]].concat();
    assert_eq!(heard(&some).await, (b"x".to_vec(), None));
    assert_eq!(heard(&[empty; 33]).await, (Vec::new(), Some(ErrorKind::InvalidData)));
}

#[tokio::test]
async fn a_key_has_its_last_record() {
    let (mut here, mut there) = pair();
    (here.reads.sequence, there.writes.sequence) = (MOST_RECORDS - 1, MOST_RECORDS - 1);
    there.write_all(b"the last").await.unwrap();
    there.flush().await.unwrap();
    let mut last = [0; 8];
    here.read_exact(&mut last).await.unwrap();
    assert_eq!(&last, b"the last");
    assert_eq!(there.write_all(b"one more").await.unwrap_err().kind(), ErrorKind::InvalidData);
    assert!(there.spoken.as_ref().unwrap().outgoing.is_empty(), "it was not sealed, and would be sent");
}

/// Also what the client says after it is not waited for, and no good-bye is said: that would be an end as it should be.
#[tokio::test]
async fn no_good_bye_is_said_to_who_is_not_believed() {
    let (mut here, mut there) = pair();
    there.seal(22, &[IoSlice::new(b"?")]).unwrap();
    there.flush().await.unwrap();
    assert!(here.read_u8().await.is_err());
    here.shutdown().await.unwrap();
    assert_eq!(there.read_u8().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert!(!there.ended);
}
