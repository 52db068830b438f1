//! Secrets stay out of the log, however much is asked for.

use nix::sys::signal::Signal;
use safeguard_standins::{Fault, Op};

use crate::node::{Node, PATIENCE, Running};

fn settings(node: &Node) {
    node.settings("log = { filter = \"trace\" }\n[logs]\nflush_interval = \"100ms\"");
}

async fn nothing_secret_was_said(node: &Node, mut agent: Running) {
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.ends(PATIENCE).await.code(), Some(0));
    let said = agent.said();
    assert!(said.iter().any(|line| line.contains("\"DEBUG\"")), "the level was not in force: {said:#?}");
    for secret in node.secrets() {
        let leaks: Vec<&String> = said.iter().filter(|line| line.contains(secret)).collect();
        assert!(leaks.is_empty(), "{leaks:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_written_at_trace_level() {
    let node = Node::new().await;
    settings(&node);
    node.write(["first".to_owned()]);
    let mut command = node.run_command();
    // Found by the environment, so that there is something to say at this level.
    command.env("AWS_CA_BUNDLE", "").env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9");
    let agent = Running::spawn(command);
    node.arrives(1).await;
    // Refusals take other ways through the code than successes.
    node.cloud.faults().next(Op::PutLogEvents, 2, Fault::unrecognized_client());
    node.cloud.faults().next(Op::PutLogEvents, 1, Fault::denied());
    node.write(["second".to_owned()]);
    node.arrives(2).await;
    nothing_secret_was_said(&node, agent).await;
}

/// To a signature that does not match, AWS services answer with what should have been signed: the request's headers, and
/// with them the session token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_signature_is_not_quoted_with_its_token() {
    let node = Node::new().await;
    settings(&node);
    let mut command = node.run_command();
    command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9");
    let agent = Running::spawn(command);
    let [_, token] = node.secrets();
    let refusal = format!(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key \
         and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request \
         should have been\n'POST\n/\n\nhost:logs\nx-amz-security-token:{token}\n\nhost;x-amz-security-token\n0'"
    );
    node.cloud.faults().next(Op::PutLogEvents, 2, Fault::status(403, "InvalidSignatureException", refusal));
    node.write(["first".to_owned()]);
    node.arrives(1).await;
    nothing_secret_was_said(&node, agent).await;
}
