//! The options of sshd: how each is written, which of several lines counts, and what it is where nothing is written.
//!
//! Source of names, spellings and defaults: sshd_config(5) and `servconf.c` (`keywords`, `multistate_*`,
//! `fill_default_server_options`), `myproposal.h` of OpenSSH 8.7 (Amazon Linux 2023) to 9.2 (Debian 12).

/// An option.
#[derive(Debug)]
pub(crate) struct SshdOption {
    /// As sshd_config(5) spells it.
    pub(crate) name: &'static str,
    /// Older names.
    pub(super) aliases: &'static [&'static str],
    pub(super) kind: Kind,
    pub(super) collect: Collect,
    pub(super) default: Unwritten,
}

/// How a value is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// One of these words, in any case, and what it means.
    Words(&'static [(&'static str, &'static str)]),
    /// A number.
    Number,
    /// A time, in seconds or with units.
    Seconds,
    /// `begin:rate:full`.
    Startups,
    /// A list with commas, which may begin with `+`, `-` or `^`.
    Algorithms,
    /// Several words.
    Names,
    /// One word.
    Text,
    /// The rest of the line.
    Line,
}

/// Which of several lines counts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Collect {
    /// The first.
    First,
    /// All of them together.
    Append,
    /// The first to some versions of OpenSSH, the last to others: so each of them has to be right.
    Disputed,
}

/// What an option is where nothing is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unwritten {
    /// This.
    Is(&'static str),
    /// Nothing.
    Unset,
    /// It depends on the version, or on how the distribution built it.
    Varies,
}

impl SshdOption {
    /// Whether this is what a keyword (in lower case) means.
    pub(super) fn is_called(&self, keyword: &str) -> bool {
        self.name.eq_ignore_ascii_case(keyword) || self.aliases.contains(&keyword)
    }
}

/// The option of a name, in any case; `None` if sshd has none.
pub(crate) fn find(name: &str) -> Option<&'static SshdOption> {
    let name = name.to_ascii_lowercase();
    ALL.iter().find(|option| option.is_called(&name))
}

const YES_NO: Kind = Kind::Words(&[("yes", "yes"), ("no", "no")]);
const FORWARDING: Kind =
    Kind::Words(&[("yes", "yes"), ("all", "yes"), ("no", "no"), ("remote", "remote"), ("local", "local")]);
const LEVELS: Kind = Kind::Words(&[
    ("quiet", "QUIET"),
    ("fatal", "FATAL"),
    ("error", "ERROR"),
    ("info", "INFO"),
    ("verbose", "VERBOSE"),
    ("debug", "DEBUG1"),
    ("debug1", "DEBUG1"),
    ("debug2", "DEBUG2"),
    ("debug3", "DEBUG3"),
]);
const FACILITIES: Kind = Kind::Words(&[
    ("daemon", "DAEMON"),
    ("user", "USER"),
    ("auth", "AUTH"),
    ("authpriv", "AUTHPRIV"),
    ("local0", "LOCAL0"),
    ("local1", "LOCAL1"),
    ("local2", "LOCAL2"),
    ("local3", "LOCAL3"),
    ("local4", "LOCAL4"),
    ("local5", "LOCAL5"),
    ("local6", "LOCAL6"),
    ("local7", "LOCAL7"),
]);
const ROOT_LOGIN: Kind = Kind::Words(&[
    ("without-password", "prohibit-password"),
    ("prohibit-password", "prohibit-password"),
    ("forced-commands-only", "forced-commands-only"),
    ("yes", "yes"),
    ("no", "no"),
]);
const RHOSTS: Kind = Kind::Words(&[("yes", "yes"), ("no", "no"), ("shosts-only", "shosts-only")]);
const FAMILIES: Kind = Kind::Words(&[("inet", "inet"), ("inet6", "inet6"), ("any", "any")]);
const COMPRESSIONS: Kind = Kind::Words(&[("yes", "yes"), ("delayed", "yes"), ("no", "no")]);
const GATEWAYS: Kind = Kind::Words(&[("clientspecified", "clientspecified"), ("yes", "yes"), ("no", "no")]);
const TUNNELS: Kind =
    Kind::Words(&[("yes", "yes"), ("point-to-point", "point-to-point"), ("ethernet", "ethernet"), ("no", "no")]);

const CIPHERS: &str =
    "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com";
const MACS: &str = "umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,\
    hmac-sha1-etm@openssh.com,umac-64@openssh.com,umac-128@openssh.com,hmac-sha2-256,hmac-sha2-512,hmac-sha1";
const HOST_KEYS: &str = "/etc/ssh/ssh_host_rsa_key /etc/ssh/ssh_host_ecdsa_key /etc/ssh/ssh_host_ed25519_key";

/// An option of which the first line counts.
const fn first(name: &'static str, kind: Kind, default: Unwritten) -> SshdOption {
    SshdOption { name, aliases: &[], kind, collect: Collect::First, default }
}

/// An option of which all lines count together.
const fn append(name: &'static str, default: Unwritten) -> SshdOption {
    SshdOption { name, aliases: &[], kind: Kind::Names, collect: Collect::Append, default }
}

/// An option of which versions take the first or the last line.
const fn disputed(name: &'static str, kind: Kind, default: Unwritten) -> SshdOption {
    SshdOption { name, aliases: &[], kind, collect: Collect::Disputed, default }
}

/// The same with older names, in lower case.
const fn also(aliases: &'static [&'static str], option: SshdOption) -> SshdOption {
    SshdOption { aliases, ..option }
}

use Unwritten::{Is, Unset, Varies};

/// All of them.
pub(super) const ALL: &[SshdOption] = &[
    append("AcceptEnv", Unset),
    first("AddressFamily", FAMILIES, Is("any")),
    first("AllowAgentForwarding", YES_NO, Is("yes")),
    append("AllowGroups", Unset),
    first("AllowStreamLocalForwarding", FORWARDING, Is("yes")),
    first("AllowTcpForwarding", FORWARDING, Is("yes")),
    append("AllowUsers", Unset),
    first("AuthenticationMethods", Kind::Names, Is("any")),
    first("AuthorizedKeysCommand", Kind::Line, Is("none")),
    first("AuthorizedKeysCommandUser", Kind::Text, Unset),
    first("AuthorizedKeysFile", Kind::Names, Is(".ssh/authorized_keys .ssh/authorized_keys2")),
    first("AuthorizedPrincipalsCommand", Kind::Line, Is("none")),
    first("AuthorizedPrincipalsCommandUser", Kind::Text, Unset),
    first("AuthorizedPrincipalsFile", Kind::Text, Is("none")),
    first("Banner", Kind::Text, Is("none")),
    first("CASignatureAlgorithms", Kind::Algorithms, Varies),
    first("ChannelTimeout", Kind::Names, Is("none")),
    first("ChrootDirectory", Kind::Text, Is("none")),
    first("Ciphers", Kind::Algorithms, Is(CIPHERS)),
    first("ClientAliveCountMax", Kind::Number, Is("3")),
    first("ClientAliveInterval", Kind::Seconds, Is("0")),
    first("Compression", COMPRESSIONS, Is("yes")),
    append("DenyGroups", Unset),
    append("DenyUsers", Unset),
    first("DisableForwarding", YES_NO, Is("no")),
    first("ExposeAuthInfo", YES_NO, Is("no")),
    disputed("FingerprintHash", Kind::Text, Is("sha256")),
    first("ForceCommand", Kind::Line, Is("none")),
    first("GatewayPorts", GATEWAYS, Is("no")),
    first("GSSAPIAuthentication", YES_NO, Is("no")),
    first("GSSAPICleanupCredentials", YES_NO, Is("yes")),
    first("GSSAPIStrictAcceptorCheck", YES_NO, Is("yes")),
    also(&["hostbasedacceptedkeytypes"], first("HostbasedAcceptedAlgorithms", Kind::Algorithms, Varies)),
    first("HostbasedAuthentication", YES_NO, Is("no")),
    first("HostbasedUsesNameFromPacketOnly", YES_NO, Is("no")),
    append("HostCertificate", Unset),
    also(&["hostdsakey"], append("HostKey", Is(HOST_KEYS))),
    first("HostKeyAgent", Kind::Text, Is("none")),
    first("HostKeyAlgorithms", Kind::Algorithms, Varies),
    first("IgnoreRhosts", RHOSTS, Is("yes")),
    first("IgnoreUserKnownHosts", YES_NO, Is("no")),
    disputed("IPQoS", Kind::Line, Varies),
    also(
        &["challengeresponseauthentication", "skeyauthentication"],
        first("KbdInteractiveAuthentication", YES_NO, Is("yes")),
    ),
    first("KerberosAuthentication", YES_NO, Is("no")),
    first("KerberosGetAFSToken", YES_NO, Is("no")),
    first("KerberosOrLocalPasswd", YES_NO, Is("yes")),
    first("KerberosTicketCleanup", YES_NO, Is("yes")),
    first("KexAlgorithms", Kind::Algorithms, Varies),
    append("ListenAddress", Unset),
    first("LoginGraceTime", Kind::Seconds, Is("120")),
    first("LogLevel", LEVELS, Is("INFO")),
    first("LogVerbose", Kind::Names, Unset),
    first("MACs", Kind::Algorithms, Is(MACS)),
    first("MaxAuthTries", Kind::Number, Is("6")),
    first("MaxSessions", Kind::Number, Is("10")),
    disputed("MaxStartups", Kind::Startups, Is("10:30:100")),
    first("ModuliFile", Kind::Text, Varies),
    first("PasswordAuthentication", YES_NO, Is("yes")),
    first("PermitEmptyPasswords", YES_NO, Is("no")),
    first("PermitListen", Kind::Names, Is("any")),
    first("PermitOpen", Kind::Names, Is("any")),
    first("PermitRootLogin", ROOT_LOGIN, Is("prohibit-password")),
    first("PermitTTY", YES_NO, Is("yes")),
    first("PermitTunnel", TUNNELS, Is("no")),
    first("PermitUserEnvironment", Kind::Text, Is("no")),
    first("PermitUserRC", YES_NO, Is("yes")),
    disputed("PerSourceMaxStartups", Kind::Text, Is("none")),
    disputed("PerSourceNetBlockSize", Kind::Text, Is("32:128")),
    first("PerSourcePenalties", Kind::Names, Varies),
    first("PidFile", Kind::Text, Varies),
    append("Port", Is("22")),
    first("PrintLastLog", YES_NO, Is("yes")),
    first("PrintMotd", YES_NO, Is("yes")),
    also(&["pubkeyacceptedkeytypes"], first("PubkeyAcceptedAlgorithms", Kind::Algorithms, Varies)),
    also(&["dsaauthentication"], first("PubkeyAuthentication", YES_NO, Is("yes"))),
    first("PubkeyAuthOptions", Kind::Names, Is("none")),
    first("RDomain", Kind::Text, Is("none")),
    first("RekeyLimit", Kind::Line, Is("default none")),
    first("RequiredRSASize", Kind::Number, Is("1024")),
    first("RevokedKeys", Kind::Text, Is("none")),
    first("SecurityKeyProvider", Kind::Text, Is("internal")),
    first("SetEnv", Kind::Names, Unset),
    disputed("StreamLocalBindMask", Kind::Text, Is("0177")),
    first("StreamLocalBindUnlink", YES_NO, Is("no")),
    first("StrictModes", YES_NO, Is("yes")),
    append("Subsystem", Unset),
    first("SyslogFacility", FACILITIES, Is("AUTH")),
    also(&["keepalive"], first("TCPKeepAlive", YES_NO, Is("yes"))),
    first("TrustedUserCAKeys", Kind::Text, Is("none")),
    first("UnusedConnectionTimeout", Kind::Text, Is("none")),
    first("UseDNS", YES_NO, Is("no")),
    first("UsePAM", YES_NO, Is("no")),
    first("VersionAddendum", Kind::Line, Is("none")),
    first("X11DisplayOffset", Kind::Number, Is("10")),
    first("X11Forwarding", YES_NO, Is("no")),
    first("X11UseLocalhost", YES_NO, Is("yes")),
    first("XAuthLocation", Kind::Text, Varies),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_by_older_names() {
        assert_eq!(find("permitrootlogin").unwrap().name, "PermitRootLogin");
        assert_eq!(find("ChallengeResponseAuthentication").unwrap().name, "KbdInteractiveAuthentication");
        assert!(find("PermitRoot").is_none());
    }

    #[test]
    fn no_name_is_there_twice() {
        let mut names: Vec<_> =
            ALL.iter().flat_map(|o| [&[o.name][..], o.aliases].concat()).map(str::to_lowercase).collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
