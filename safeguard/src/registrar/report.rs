//! One report that was asked for.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use safeguard_protocol::{Code, Digest};

use super::{Refused, Registrar};
use crate::store::Batch;
use crate::store::report::Read;

impl Registrar {
    pub(super) fn report(
        &mut self,
        batch: &Batch<'_>,
        digest: &Digest,
        body: &[u8],
        now_ms: i64,
    ) -> rusqlite::Result<Result<(), Refused>> {
        let Some(node_id) = self.wanted.get(digest).copied() else {
            let known = self.fleet.reports.contains(digest);
            return Ok(if known { Ok(()) } else { Err(Refused::new(Code::Report, "nobody asked for this report")) });
        };
        // A signed statement names the digest: the body needs no signature of its own.
        if Digest::of(body) != *digest {
            return Ok(Err(Refused::new(Code::Report, "the report is not what its digest says")));
        }
        let read = match Read::of(body) {
            Ok(read) => read,
            Err(error) => return Ok(Err(Refused::new(Code::Report, format!("the report cannot be read: {error}")))),
        };
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        let packed = packed.write_all(body).and_then(|()| packed.finish()).unwrap_or_default();
        batch.report(node_id, digest, &packed, &read, now_ms)?;
        self.wanted.remove(digest);
        self.fleet.reports.insert(*digest);
        Ok(Ok(()))
    }
}
