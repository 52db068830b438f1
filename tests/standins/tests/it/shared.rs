//! What all stand-ins share: keys of one account, and where they listen.

use std::net::TcpListener;

use safeguard_standins::{Account, CloudWatch, Listen, Options, Principal};
use tokio::net::TcpStream;

use crate::client::sdk_with;

#[tokio::test]
async fn stand_ins_of_one_account_accept_each_others_keys() {
    let account = Account::new("210987654321").unwrap();
    let options = || Options { keys: Some(account.clone()), ..Options::default() };
    let (one, two) = (CloudWatch::start(options()).await.unwrap(), CloudWatch::start(options()).await.unwrap());
    let role = Principal::session("arn:aws:iam::210987654321:role/a/r", "s");
    let issued = account.issue_temporary(role.clone(), None);
    for (at, key) in [(&one, two.credential()), (&two, one.issue(None)), (&one, issued.clone())] {
        sdk_with(at, &key).create_log_group().log_group_name(&key.access_key_id).send().await.unwrap();
    }
    assert_eq!(account.principal(&issued.access_key_id), Some(role));
    account.revoke(&issued.access_key_id);
    assert_eq!(account.principal(&issued.access_key_id), None);
    let error = sdk_with(&one, &issued).create_log_group().log_group_name("g").send().await.unwrap_err();
    assert_eq!(error.as_service_error().unwrap().meta().code(), Some("UnrecognizedClientException"));
}

#[tokio::test]
async fn a_listener_that_was_bound_elsewhere_serves_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let cloud = CloudWatch::start(Options { listener: Some(listener.into()), ..Options::default() }).await.unwrap();
    assert_eq!(cloud.addr(), addr);
    TcpStream::connect(addr).await.unwrap();
    cloud.go_down().await;
    TcpStream::connect(addr).await.unwrap_err();
    cloud.come_up().await.unwrap_err();
}

#[tokio::test]
async fn binding_is_done_on_a_thread_of_its_own_each_time() {
    let first = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = first.local_addr().unwrap();
    drop(first);
    let here = std::thread::current().id();
    let bind = move || {
        assert_ne!(std::thread::current().id(), here);
        TcpListener::bind(addr)
    };
    let options = Options { listener: Some(Listen::with(bind)), ..Options::default() };
    let cloud = CloudWatch::start(options).await.unwrap();
    for _ in 0..2 {
        assert_eq!(cloud.addr(), addr);
        TcpStream::connect(addr).await.unwrap();
        cloud.go_down().await;
        TcpStream::connect(addr).await.unwrap_err();
        cloud.come_up().await.unwrap();
    }
}
