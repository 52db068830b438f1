#![expect(clippy::disallowed_methods, reason = "the tests are the operator, who writes a kubeconfig")]

use super::*;
use crate::token::{FixedToken, Token};

const KUBECONFIG: &str = "clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]";

fn settings(mode: AccessMode, url: Option<&str>, kubeconfig: Option<&Path>) -> AccessSettings {
    AccessSettings { mode, url: url.map(str::to_owned), kubeconfig: kubeconfig.map(Path::to_owned) }
}

fn means() -> Means {
    Means { user_agent: "test/1", ..Means::default() }
}

fn minting() -> Means {
    Means { minted: Some(Arc::new(FixedToken(Token::new("t").unwrap()))), ..means() }
}

#[tokio::test]
async fn what_the_operator_wrote_goes_before_what_the_surroundings_say() {
    let dir = tempfile::tempdir().unwrap();
    let (mine, nodes) = (dir.path().join("mine"), dir.path().join("nodes"));
    for path in [&mine, &nodes] {
        std::fs::write(path, KUBECONFIG).unwrap();
    }
    let pod = Surroundings { in_cluster: true, kubeconfigs: vec![nodes.clone()] };
    let node = Surroundings { in_cluster: false, ..pod.clone() };
    let url = Access::Url("https://a".to_owned());
    let (mine_too, nodes_too) = (Access::Kubeconfig(mine.clone()), Access::Kubeconfig(nodes));
    for (settings, around, access) in [
        (settings(AccessMode::Auto, None, None), &pod, Access::InCluster),
        (settings(AccessMode::Auto, None, None), &node, nodes_too.clone()),
        (settings(AccessMode::Auto, Some("https://a"), Some(&mine)), &pod, url.clone()),
        (settings(AccessMode::Auto, None, Some(&mine)), &pod, mine_too),
        (settings(AccessMode::Kubeconfig, None, None), &pod, nodes_too),
        (settings(AccessMode::Url, Some("https://a"), None), &pod, url),
        (settings(AccessMode::InCluster, None, None), &node, Access::InCluster),
    ] {
        assert_eq!(settings.choose(around).await.access, access, "{settings:?}");
    }
}

#[tokio::test]
async fn the_first_kubeconfig_that_is_there_is_taken_and_a_missing_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (missing, there) = (dir.path().join("missing"), dir.path().join("there"));
    std::fs::write(&there, KUBECONFIG).unwrap();
    let around = Surroundings { in_cluster: false, kubeconfigs: vec![missing.clone(), there.clone()] };
    let chosen = AccessSettings::default().choose(&around).await;
    assert_eq!(chosen, Chosen { access: Access::Kubeconfig(there), kubeconfig: Some(KUBECONFIG.into()) });
    let around = Surroundings { in_cluster: false, kubeconfigs: vec![missing.clone()] };
    let chosen = AccessSettings::default().choose(&around).await;
    assert_eq!(chosen, Chosen { access: Access::Kubeconfig(missing.clone()), kubeconfig: None });
    let error = chosen.access.api_server(&minting()).unwrap_err().to_string();
    assert!(error.contains(missing.to_str().unwrap()) && error.contains("[kubernetes]"), "{error}");
}

#[test]
fn what_would_never_be_read_is_a_contradiction() {
    let file = Path::new("/k");
    for (mode, url, kubeconfig, field) in [
        (AccessMode::Url, None, None, Some("mode")),
        (AccessMode::InCluster, Some("https://a"), None, Some("url")),
        (AccessMode::Kubeconfig, Some("https://a"), None, Some("url")),
        (AccessMode::InCluster, None, Some(file), Some("kubeconfig")),
        (AccessMode::Url, Some("https://a"), Some(file), Some("kubeconfig")),
        (AccessMode::Auto, Some("https://a"), Some(file), None),
        (AccessMode::Kubeconfig, None, Some(file), None),
    ] {
        let found = settings(mode, url, kubeconfig).contradiction().map(|found| found.field);
        assert_eq!(found, field, "{mode:?} {url:?} {kubeconfig:?}");
    }
}

#[test]
fn a_way_needs_a_token() {
    let url = Access::Url("http://127.0.0.1:1".to_owned());
    let error = url.api_server(&means()).unwrap_err();
    assert!(matches!(error, AccessError::NoToken), "{error}");
    assert!(url.api_server(&minting()).is_ok());
    assert!(url.api_server(&Means { token_file: Some("/token".into()), ..means() }).is_ok());
}

#[test]
fn a_kubeconfig_leads_to_its_server_and_a_broken_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    std::fs::write(&path, KUBECONFIG).unwrap();
    let access = Access::Kubeconfig(path.clone());
    assert_eq!(access.api_server(&minting()).unwrap().base, "http://127.0.0.1:1");
    std::fs::write(&path, "clusters: 5").unwrap();
    let error = access.api_server(&minting()).unwrap_err().to_string();
    assert!(error.contains(path.to_str().unwrap()), "{error}");
}
