//! Pure: which log group and stream a container's lines go to.
//!
//! Templates are checked once at start against the naming rules of the service. What fills them in is not under our
//! control: a character that the service refuses is replaced by `#` and its two hexadecimal digits, and `#` itself by
//! `#23`, so that two different names never become one.

use std::fmt::Write as _;

use xxhash_rust::xxh3::xxh3_64;

use crate::limits;

/// What a name may be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variable {
    /// Name of the EKS cluster.
    Cluster,
    /// AWS region.
    Region,
    /// AWS account id.
    Account,
    /// EC2 instance id.
    InstanceId,
    /// Name of the Kubernetes node.
    Node,
    /// Namespace of the pod.
    Namespace,
    /// Name of the pod.
    Pod,
    /// Name of the container.
    Container,
}

impl Variable {
    const ALL: [(&str, Self); 8] = [
        ("cluster", Self::Cluster),
        ("region", Self::Region),
        ("account", Self::Account),
        ("instance_id", Self::InstanceId),
        ("node", Self::Node),
        ("namespace", Self::Namespace),
        ("pod", Self::Pod),
        ("container", Self::Container),
    ];
}

/// Whether a template names a group or a stream: they have different rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// A log group.
    Group,
    /// A log stream.
    Stream,
}

/// Why a template is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A `{word}` that is no variable.
    #[error("`{{{name}}}` is not known; use one of {}", Variable::ALL.map(|(n, _)| format!("{{{n}}}")).join(" "))]
    Unknown {
        /// What stood between the braces.
        name: String,
    },
    /// A brace without its partner.
    #[error("a `{{` or `}}` has no partner")]
    Unbalanced,
    /// Text that the service refuses.
    #[error("`{character}` may not be in a log {kind:?} name")]
    Character {
        /// The offending character.
        character: char,
        /// Group or stream.
        kind: NameKind,
    },
    /// Nothing in it.
    #[error("the name is empty")]
    Empty,
    /// Reserved by AWS.
    #[error("a log group's name must not start with `aws/`")]
    Reserved,
    /// A container's variable in a name that is for the node's own logs, or the like.
    #[error("`{{{name}}}` has no value here")]
    NoValue {
        /// The variable.
        name: &'static str,
    },
}

/// A checked template for group or stream names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    kind: NameKind,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Variable),
}

/// What a container is called.
#[derive(Debug, Clone, Copy)]
pub struct ContainerNames<'a> {
    /// Namespace of the pod.
    pub namespace: &'a str,
    /// Name of the pod.
    pub pod: &'a str,
    /// Name of the container.
    pub container: &'a str,
}

/// What the node is called; empty where it is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeNames {
    /// Name of the EKS cluster.
    pub cluster: String,
    /// AWS region.
    pub region: String,
    /// AWS account id.
    pub account: String,
    /// EC2 instance id.
    pub instance_id: String,
    /// Name of the Kubernetes node.
    pub node: String,
}

impl Template {
    /// Checks a template.
    ///
    /// # Errors
    /// [`TemplateError`] says what to change.
    pub fn new(kind: NameKind, text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (plain, behind) = rest.split_once('{').map_or((rest, None), |(a, b)| (a, Some(b)));
            if plain.contains('}') {
                return Err(TemplateError::Unbalanced);
            }
            if let Some(character) = plain.chars().find(|c| !allowed_in_text(kind, *c)) {
                return Err(TemplateError::Character { character, kind });
            }
            if !plain.is_empty() {
                parts.push(Part::Text(plain.to_owned()));
            }
            let Some(behind) = behind else { break };
            let (name, behind) = behind.split_once('}').ok_or(TemplateError::Unbalanced)?;
            let known = Variable::ALL.iter().find(|(n, _)| *n == name);
            let (_, variable) = known.ok_or_else(|| TemplateError::Unknown { name: name.to_owned() })?;
            parts.push(Part::Value(*variable));
            rest = behind;
        }
        match parts.first() {
            None => Err(TemplateError::Empty),
            Some(Part::Text(t)) if kind == NameKind::Group && t.starts_with("aws/") => Err(TemplateError::Reserved),
            Some(_) => Ok(Self { kind, parts }),
        }
    }

    /// Whether the template uses a variable.
    #[must_use]
    pub fn uses(&self, variable: Variable) -> bool {
        self.parts.contains(&Part::Value(variable))
    }

    /// The name for a container. It keeps the rules of the service whatever the values are.
    #[must_use]
    pub fn fill(&self, node: &NodeNames, container: &ContainerNames<'_>) -> String {
        let mut name = String::new();
        for part in &self.parts {
            let value = match part {
                Part::Text(text) => {
                    name.push_str(text);
                    continue;
                }
                Part::Value(variable) => match variable {
                    Variable::Cluster => &node.cluster,
                    Variable::Region => &node.region,
                    Variable::Account => &node.account,
                    Variable::InstanceId => &node.instance_id,
                    Variable::Node => &node.node,
                    Variable::Namespace => container.namespace,
                    Variable::Pod => container.pod,
                    Variable::Container => container.container,
                },
            };
            escape_value(self.kind, value, &mut name);
        }
        // `aws/` may also come out of values.
        if self.kind == NameKind::Group && name.starts_with("aws/") {
            name.replace_range(3..4, "#2F");
        }
        if name.is_empty() {
            name.push_str("unknown");
        }
        shortened(name)
    }
}

fn allowed_in_text(kind: NameKind, c: char) -> bool {
    match kind {
        NameKind::Group => u8::try_from(c).is_ok_and(limits::group_byte),
        NameKind::Stream => !c.is_control() && u8::try_from(c).map_or(true, limits::stream_byte),
    }
}

fn escape_value(kind: NameKind, value: &str, name: &mut String) {
    for c in value.chars() {
        if c != '#' && allowed_in_text(kind, c) {
            name.push(c);
            continue;
        }
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            write!(name, "#{byte:02X}").expect("writing to a String does not fail");
        }
    }
}

/// A name that is too long keeps its start and gets the hash of all of it.
fn shortened(name: String) -> String {
    if name.chars().count() <= limits::NAME_CHARS {
        return name;
    }
    let hash = xxh3_64(name.as_bytes());
    let kept: String = name.chars().take(limits::NAME_CHARS - 17).collect();
    format!("{kept}#{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node() -> NodeNames {
        NodeNames { cluster: "prod".into(), node: "ip-10-0-0-1.ec2.internal".into(), ..NodeNames::default() }
    }

    fn fill(kind: NameKind, template: &str, namespace: &str, pod: &str, container: &str) -> String {
        let names = ContainerNames { namespace, pod, container };
        Template::new(kind, template).unwrap().fill(&node(), &names)
    }

    #[test]
    fn the_defaults_give_the_names_of_container_insights() {
        let group = fill(NameKind::Group, "/aws/containerinsights/{cluster}/application", "a", "b", "c");
        assert_eq!(group, "/aws/containerinsights/prod/application");
        assert_eq!(fill(NameKind::Stream, "{node}", "a", "b", "c"), "ip-10-0-0-1.ec2.internal");
        assert_eq!(fill(NameKind::Stream, "{namespace}/{pod}/{container}", "a", "b", "c"), "a/b/c");
    }

    #[test]
    fn a_wrong_template_says_what_is_wrong() {
        let group = |t| Template::new(NameKind::Group, t).unwrap_err();
        assert!(group("{cluser}").to_string().contains("{cluster}"));
        assert_eq!(group("/x/{cluster"), TemplateError::Unbalanced);
        assert_eq!(group("/x/cluster}"), TemplateError::Unbalanced);
        assert_eq!(group("aws/x"), TemplateError::Reserved);
        assert_eq!(group(""), TemplateError::Empty);
        assert_eq!(group("/x y"), TemplateError::Character { character: ' ', kind: NameKind::Group });
        let stream = |t| Template::new(NameKind::Stream, t).unwrap_err();
        assert_eq!(stream("a:b"), TemplateError::Character { character: ':', kind: NameKind::Stream });
        assert_eq!(stream("a*"), TemplateError::Character { character: '*', kind: NameKind::Stream });
    }

    #[test]
    fn values_cannot_make_a_reserved_name() {
        let name = Template::new(NameKind::Group, "{namespace}/{pod}")
            .unwrap()
            .fill(&node(), &ContainerNames { namespace: "aws", pod: "x", container: "c" });
        assert_eq!(name, "aws#2Fx");
    }

    proptest! {
        #[test]
        fn names_are_legal_and_differ_where_values_differ(a in "\\PC{0,300}|[a#:*/\\x00-\\x1f]{0,12}", b in "\\PC{0,300}|[a#:*/\\x00-\\x1f]{0,12}") {
            for kind in [NameKind::Group, NameKind::Stream] {
                let (x, y) = (fill(kind, "n{pod}", "", &a, ""), fill(kind, "n{pod}", "", &b, ""));
                prop_assert_eq!(x == y, a == b);
                prop_assert!((1..=512).contains(&x.chars().count()));
                match kind {
                    NameKind::Group => prop_assert!(x.bytes().all(limits::group_byte)),
                    NameKind::Stream => prop_assert!(x.bytes().all(limits::stream_byte)),
                }
            }
        }
    }
}
