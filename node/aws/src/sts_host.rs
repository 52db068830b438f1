//! Where STS is in a region.

/// The host of STS in a region, such as `sts.eu-central-1.amazonaws.com`; none for what is no name of a region.
pub(crate) fn sts_host(region: &str) -> Option<String> {
    let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_region = (1..=63).contains(&region.len()) && region.bytes().all(lower);
    is_region.then(|| format!("sts.{region}.{}", dns_suffix(region)))
}

/// The domain of a region's partition (botocore, `partitions.json`).
fn dns_suffix(region: &str) -> &'static str {
    const SUFFIXES: [(&str, &str); 6] = [
        ("cn-", "amazonaws.com.cn"),
        ("us-iso-", "c2s.ic.gov"),
        ("us-isob-", "sc2s.sgov.gov"),
        ("us-isof-", "csp.hci.ic.gov"),
        ("eu-isoe-", "cloud.adc-e.uk"),
        ("eusc-", "amazonaws.eu"),
    ];
    SUFFIXES.iter().find(|(start, _)| region.starts_with(start)).map_or("amazonaws.com", |(_, suffix)| suffix)
}
