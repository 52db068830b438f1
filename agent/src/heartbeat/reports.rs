//! The latest reports, for when the safeguard asks for one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use safeguard_heartbeat::{Digest, ReportSource, limits};

/// Reports that are kept: the latest, and those that a beat under way may have named.
const KEPT: usize = 3;

/// The latest reports by their digests.
#[derive(Debug, Default)]
pub(crate) struct Reports(Mutex<VecDeque<(Digest, Arc<[u8]>)>>);

impl Reports {
    /// Keeps a report.
    pub(crate) fn put(&self, digest: Digest, report: Arc<[u8]>) {
        if report.len() > limits::REPORT_BYTES {
            tracing::warn!(bytes = report.len(), "The report is too long to be sent; beats name it all the same.");
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != digest);
        kept.push_front((digest, report));
        kept.truncate(KEPT);
    }
}

impl ReportSource for Reports {
    fn report(&self, digest: &Digest) -> Option<Arc<[u8]>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(known, _)| known == digest).map(|(_, report)| report.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_there_and_no_more() {
        let reports = Reports::default();
        let digest = |n: u8| Digest::of(&[n]);
        for n in [1, 2, 3, 2, 4] {
            reports.put(digest(n), Arc::from([n].as_slice()));
        }
        let there: Vec<u8> = (1..=4).filter(|n| reports.report(&digest(*n)).is_some()).collect();
        assert_eq!(there, [2, 3, 4]);
        reports.put(digest(9), vec![0; limits::REPORT_BYTES + 1].into());
        assert!(reports.report(&digest(9)).is_none());
    }
}
