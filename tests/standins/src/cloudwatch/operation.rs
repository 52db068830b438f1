//! The operations of the API, by their names in `X-Amz-Target`.

use std::fmt;

macro_rules! operations {
    ($($name:ident),+ $(,)?) => {
        /// An operation of the CloudWatch Logs API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Op {
            $(#[doc = concat!("`Logs_20140328.", stringify!($name), "`")] $name,)+
            /// Anything else; always answered with `UnknownOperationException`.
            Unknown,
        }

        impl Op {
            /// The name without the service prefix, as in the API reference.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Op::$name => stringify!($name),)+
                    Op::Unknown => "Unknown",
                }
            }

            /// Reads an `X-Amz-Target` value such as `Logs_20140328.PutLogEvents`.
            #[must_use]
            pub fn from_target(target: &str) -> Op {
                match target.strip_prefix("Logs_20140328.") {
                    $(Some(stringify!($name)) => Op::$name,)+
                    _ => Op::Unknown,
                }
            }
        }
    };
}

operations!(
    PutLogEvents,
    CreateLogGroup,
    CreateLogStream,
    PutRetentionPolicy,
    TagResource,
    ListTagsForResource,
    AssociateKmsKey,
    DescribeLogGroups,
    DescribeLogStreams,
    GetLogEvents,
    FilterLogEvents,
    DeleteLogGroup,
    DeleteLogStream,
);

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
