//! Regions, their partitions, and the hosts of STS that are trusted for each.

/// A part of AWS with accounts of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Partition {
    Aws,
    China,
    Government,
}

impl Partition {
    /// As it is written in ARNs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::China => "aws-cn",
            Self::Government => "aws-us-gov",
        }
    }

    /// Domains of its services: of IPv4 alone, and of both (botocore, `partitions.json`: `dnsSuffix`, `dualStackDnsSuffix`).
    fn domains(self) -> [&'static str; 2] {
        match self {
            Self::Aws | Self::Government => ["amazonaws.com", "api.aws"],
            Self::China => ["amazonaws.com.cn", "api.amazonwebservices.com.cn"],
        }
    }
}

/// A region by its name, such as `eu-central-1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Region {
    name: String,
    partition: Partition,
}

/// The one host of STS that is no region's. It takes requests that are signed for `us-east-1`.
const GLOBAL_HOST: &str = "sts.amazonaws.com";
const GLOBAL_REGION: &str = "us-east-1";

impl Region {
    /// None for what is no name of a region, and for partitions that are not known here.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let mut words = name.split('-');
        let (area, last) = (words.next()?, words.next_back()?);
        let letters = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
        let middle: Vec<&str> = words.collect();
        let formed = name.len() <= 32
            && area.len() == 2
            && letters(area)
            && (1..=2).contains(&middle.len())
            && middle.iter().all(|word| letters(word))
            && (1..=2).contains(&last.len())
            && last.bytes().all(|b| b.is_ascii_digit());
        let partition = match (area, middle.as_slice()) {
            ("cn", [_]) => Partition::China,
            ("us", ["gov", _]) => Partition::Government,
            // botocore, `partitions.json`: the `regionRegex` of `aws`.
            ("us" | "eu" | "ap" | "sa" | "ca" | "me" | "af" | "il" | "mx", [_]) => Partition::Aws,
            _ => return None,
        };
        formed.then(|| Self { name: name.to_owned(), partition })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn partition(&self) -> Partition {
        self.partition
    }

    /// The host of a service that every region has, such as `ec2.eu-central-1.amazonaws.com`.
    pub(crate) fn host_of(&self, service: &str) -> String {
        let [domain, _] = self.partition.domains();
        format!("{service}.{}.{domain}", self.name)
    }

    /// The region that a request to this host of STS is signed for; none for a host that is not trusted for this region.
    ///
    /// Hosts are compared whole and never parsed: there is nothing that a name could be confused with.
    pub(crate) fn signing_region(&self, host: &str, allow_global: bool) -> Option<&str> {
        let region = &self.name;
        let regional = self
            .partition
            .domains()
            .iter()
            .any(|domain| ["sts", "sts-fips"].iter().any(|service| host == format!("{service}.{region}.{domain}")));
        if regional {
            return Some(region);
        }
        (allow_global && self.partition == Partition::Aws && host == GLOBAL_HOST).then_some(GLOBAL_REGION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_know_their_partition() {
        for (name, partition) in [
            ("eu-central-1", "aws"),
            ("ap-southeast-7", "aws"),
            ("mx-central-1", "aws"),
            ("cn-northwest-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
        ] {
            assert_eq!(Region::named(name).unwrap().partition().as_str(), partition, "{name}");
        }
    }

    #[test]
    fn what_is_no_region_is_none() {
        let long = format!("eu-{}-1", "x".repeat(40));
        for name in [
            "",
            "eu",
            "eu-1",
            "eu--1",
            "EU-central-1",
            "eu-central-1.evil",
            "eu-central-1/",
            "eu-central-x",
            "eu-centrál-1",
            "us-iso-east-1",
            "us-isob-east-1",
            "eusc-de-east-1",
            "xx-central-1",
            "eu-central-100",
            "-eu-central-1",
            &long,
        ] {
            assert_eq!(Region::named(name), None, "{name}");
        }
    }

    #[test]
    fn a_region_trusts_its_own_hosts_alone() {
        let region = Region::named("eu-central-1").unwrap();
        for host in [
            "sts.eu-central-1.amazonaws.com",
            "sts-fips.eu-central-1.amazonaws.com",
            "sts.eu-central-1.api.aws",
            "sts-fips.eu-central-1.api.aws",
        ] {
            assert_eq!(region.signing_region(host, false), Some("eu-central-1"), "{host}");
        }
        for host in [
            "sts.eu-west-1.amazonaws.com",
            "sts.amazonaws.com",
            "sts.eu-central-1.amazonaws.com.cn",
            "STS.eu-central-1.amazonaws.com",
            "sts.eu-central-1.amazonaws.com.",
        ] {
            assert_eq!(region.signing_region(host, false), None, "{host}");
        }
        let china = Region::named("cn-north-1").unwrap();
        assert_eq!(china.signing_region("sts.cn-north-1.amazonaws.com.cn", true), Some("cn-north-1"));
        assert_eq!(china.signing_region("sts.cn-north-1.amazonaws.com", true), None);
        assert_eq!(china.signing_region("sts.amazonaws.com", true), None);
    }

    #[test]
    fn the_global_host_is_trusted_only_where_it_is_allowed() {
        let region = Region::named("eu-central-1").unwrap();
        assert_eq!(region.signing_region("sts.amazonaws.com", true), Some("us-east-1"));
        assert_eq!(region.signing_region("sts.amazonaws.com.evil", true), None);
    }
}
