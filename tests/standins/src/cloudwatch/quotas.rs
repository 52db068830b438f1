//! Requests a second, per operation: a token bucket that holds one second's worth.

use std::collections::BTreeMap;

use crate::cloudwatch::{limits, operation::Op};

#[derive(Debug, Default)]
pub(crate) struct Quotas {
    buckets: BTreeMap<Op, Bucket>,
}

#[derive(Debug)]
struct Bucket {
    // Thousandths of a request, so that a millisecond refills a whole number of them.
    tokens: i64,
    at_ms: i64,
}

impl Quotas {
    /// True when this request is within the quota of its operation.
    pub(crate) fn admit(&mut self, op: Op, now_ms: i64) -> bool {
        let Some(rate) = limits::requests_per_second(op) else { return true };
        let full = rate * 1_000;
        let bucket = self.buckets.entry(op).or_insert(Bucket { tokens: full, at_ms: now_ms });
        let elapsed = (now_ms - bucket.at_ms).clamp(0, 1_000);
        bucket.at_ms = now_ms.max(bucket.at_ms);
        bucket.tokens = (bucket.tokens + elapsed * rate).min(full);
        let admitted = bucket.tokens >= 1_000;
        if admitted {
            bucket.tokens -= 1_000;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_admits_exactly_the_quota_and_refills() {
        let mut quotas = Quotas::default();
        for (op, rate) in [(Op::PutRetentionPolicy, 5), (Op::CreateLogStream, 50), (Op::PutLogEvents, 5_000)] {
            let admitted = (0..rate * 2).filter(|_| quotas.admit(op, 1_000_000)).count();
            assert_eq!(i64::try_from(admitted).unwrap(), rate, "{op}");
            assert!(quotas.admit(op, 1_000_200), "{op}");
            let later = (0..rate * 2).filter(|_| quotas.admit(op, 1_009_000)).count();
            assert_eq!(i64::try_from(later).unwrap(), rate, "{op}");
        }
    }

    #[test]
    fn operations_do_not_share_a_quota() {
        let mut quotas = Quotas::default();
        while quotas.admit(Op::TagResource, 0) {}
        assert!(quotas.admit(Op::PutRetentionPolicy, 0));
    }
}
