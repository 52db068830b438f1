//! Pure: the partition that a region is in.

/// Beginnings of the names of regions, longest first, and their partitions, as the `regionRegex` of each partition in
/// `botocore/data/partitions.json` (botocore 1.44.5) has them.
const PARTITIONS: [(&str, &str); 7] = [
    ("us-isob-", "aws-iso-b"),
    ("eu-isoe-", "aws-iso-e"),
    ("us-isof-", "aws-iso-f"),
    ("us-iso-", "aws-iso"),
    ("us-gov-", "aws-us-gov"),
    ("eusc-", "aws-eusc"),
    ("cn-", "aws-cn"),
];

/// The partition of a region. One that is not known is in `aws`, as in the endpoint rules of the SDKs (`aws.partition` in the
/// Smithy rules engine).
pub(super) fn of_region(region: &str) -> &'static str {
    PARTITIONS.iter().find(|(start, _)| region.starts_with(start)).map_or("aws", |(_, partition)| partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_is_known_by_its_regions() {
        for (region, partition) in [
            ("eu-central-1", "aws"),
            ("us-east-1", "aws"),
            ("il-central-1", "aws"),
            ("cn-northwest-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("eu-isoe-west-1", "aws-iso-e"),
            ("us-isof-south-1", "aws-iso-f"),
            ("eusc-de-east-1", "aws-eusc"),
            ("xx-new-1", "aws"),
        ] {
            assert_eq!(of_region(region), partition, "{region}");
        }
    }
}
