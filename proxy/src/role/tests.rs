use proptest::prelude::*;

use super::*;

fn base() -> RoleBase {
    RoleBase::of_account("aws", "123456789012").unwrap()
}

#[test]
fn a_role_may_be_given_in_every_way_that_kube2iam_and_kiam_know() {
    let with_path = RoleBase::new("arn:aws:iam::123456789012:role/eks/").unwrap();
    let arn = "arn:aws:iam::123456789012:role/reader";
    assert_eq!(base().role("reader").unwrap().as_str(), arn);
    assert_eq!(base().role("/reader").unwrap().as_str(), arn);
    assert_eq!(base().role(arn).unwrap().as_str(), arn);
    assert_eq!(base().role(" reader\t").unwrap().as_str(), arn);
    assert_eq!(base().role("a/b/reader").unwrap().as_str(), "arn:aws:iam::123456789012:role/a/b/reader");
    assert_eq!(with_path.role("reader").unwrap().as_str(), "arn:aws:iam::123456789012:role/eks/reader");
    let other = "arn:aws-us-gov:iam::210987654321:role/x/reader";
    assert_eq!(with_path.role(other).unwrap().as_str(), other);
}

/// Research row 50: nothing that an annotation can say gets into a URL, a header or a log as something else.
#[test]
fn what_is_no_role_is_refused() {
    for (text, error) in [
        ("", RoleError::Empty),
        ("  ", RoleError::Empty),
        ("a b", RoleError::Name),
        ("a\nb", RoleError::Name),
        ("a\r\nX-Header: 1", RoleError::Name),
        ("a%2fb", RoleError::Name),
        ("../admin", RoleError::Name),
        ("a/../b", RoleError::Name),
        ("a/./b", RoleError::Name),
        ("a//b", RoleError::Name),
        ("//a", RoleError::Name),
        ("a/", RoleError::Name),
        ("..", RoleError::Name),
        ("a/.", RoleError::Name),
        ("\u{fc}ber", RoleError::Name),
        ("a\0", RoleError::Name),
        ("arn:aws:iam::123456789012:user/me", RoleError::Arn),
        ("arn:aws:iam::123456789012:role/", RoleError::Name),
        ("arn:aws:iam::12345678901:role/a", RoleError::Arn),
        ("arn:aws:iam:us-east-1:123456789012:role/a", RoleError::Arn),
        ("arn:aws:sts::123456789012:assumed-role/a/b", RoleError::Arn),
        ("arn:evil:iam::123456789012:role/a", RoleError::Arn),
        ("ARN:aws:iam::123456789012:role/a", RoleError::Arn),
        ("arn:aws:iam::123456789012:role/a:b", RoleError::Name),
    ] {
        assert_eq!(base().role(text), Err(error), "{text:?}");
    }
    assert_eq!(base().role(&"a".repeat(65)), Err(RoleError::Name));
    assert!(base().role(&"a".repeat(64)).is_ok());
    assert_eq!(base().role(&format!("arn:aws:iam::123456789012:role/{}", "a/".repeat(2_000))), Err(RoleError::Long));
}

#[test]
fn parts_of_an_arn() {
    let role = RoleArn::new("arn:aws-cn:iam::123456789012:role/a/b/name").unwrap();
    assert_eq!((role.name(), role.account(), role.partition()), ("name", "123456789012", "aws-cn"));
    assert_eq!(base().shown(&base().role("x/y").unwrap()), "x/y");
    assert_eq!(base().shown(&role), role.as_str());
}

/// Research section 4: one name for one pod, whatever is refreshed when (aws/eks-pod-identity-agent#14).
#[test]
fn a_session_name_is_legal_and_the_same_each_time() {
    let template = SessionTemplate::default();
    let names = |namespace, pod| SessionNames { namespace, pod, service_account: "default", node: "node-1" };
    assert_eq!(template.name(&names("shop", "web-0")), "shop.web-0");
    let long = "a-very-long-deployment-name-with-a-suffix-that-says-more-5d4f8c7b9-x2x4z";
    let one = template.name(&names("a-long-namespace", long));
    assert_eq!(one.len(), 64);
    assert_eq!(one, template.name(&names("a-long-namespace", long)));
    let longer = format!("{long}y");
    let other = template.name(&names("a-long-namespace", &longer));
    assert_ne!(one, other, "two long names that begin alike stay apart");
    let short = SessionTemplate::new("{pod}").unwrap().name(&names("n", "p"));
    assert!(short.len() >= 2 && short.starts_with("p-"), "{short}");
}

#[test]
fn a_template_with_what_sts_refuses_is_refused() {
    for text in ["", "{pod", "a b", "{uid}", "{pod}/x", "{pod}:x"] {
        assert!(SessionTemplate::new(text).is_err(), "{text}");
    }
    assert!(SessionTemplate::new("eks@{node}.{service_account}").is_ok());
}

proptest! {
    #[test]
    fn every_role_that_is_accepted_is_an_arn_and_comes_back_as_it_was(text in ".{0,80}") {
        if let Ok(role) = base().role(&text) {
            prop_assert!(role.as_str().bytes().all(|b| b.is_ascii_graphic()));
            prop_assert!(!role.as_str().split('/').any(|step| step == ".."), "no step of a path is a step up");
            prop_assert_eq!(base().role(base().shown(&role)).unwrap(), role.clone());
            prop_assert_eq!(RoleArn::new(role.as_str()).unwrap(), role);
        }
    }

    #[test]
    fn every_session_name_is_legal(namespace in ".{0,70}", pod in ".{0,260}") {
        let names = SessionNames { namespace: &namespace, pod: &pod, service_account: "s", node: "n" };
        let name = SessionTemplate::default().name(&names);
        prop_assert!((2..=64).contains(&name.len()), "{}", name);
        prop_assert!(name.chars().all(is_session_char), "{}", name);
    }
}
