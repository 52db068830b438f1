//! A name server that knows one name: UDP, as a resolver asks it.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

use safeguard_tests::fabric::{Fabric, Place};
use tokio::task::{JoinHandle, block_in_place};

/// Bytes of a message before its question.
const HEADER: usize = 12;

/// A running name server. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Names {
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Names {
    /// On port 53 of the node's loopback, where nobody else's resolver is disturbed.
    pub(super) fn start(fabric: &Fabric, name: &str, address: Ipv4Addr) -> Self {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
        let socket = block_in_place(|| fabric.within(Place::Node, || UdpSocket::bind(at))).unwrap();
        socket.set_nonblocking(true).unwrap();
        let socket = tokio::net::UdpSocket::from_std(socket).unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (known, record) = (name.to_owned(), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let Some((wanted, reply)) = answer(&buffer[..length], &known, address) else { continue };
                record.lock().unwrap().push(wanted);
                // Who is gone asks again, or does not.
                drop(socket.send_to(&reply, from).await);
            }
        });
        Self { asked, task }
    }

    /// The names that were asked for.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The name that a message asks for, and the reply (RFC 1035 section 4).
fn answer(message: &[u8], known: &str, address: Ipv4Addr) -> Option<(String, Vec<u8>)> {
    let mut labels = Vec::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(std::str::from_utf8(message.get(at..at + length)?).ok()?.to_owned());
        at += length;
    }
    let question = message.get(HEADER..at + 4)?;
    let wanted = labels.join(".");
    let is_known = wanted.eq_ignore_ascii_case(known);
    // A (1); AAAA has an empty answer.
    let is_v4 = question.ends_with(&[0, 1, 0, 1]);
    let mut reply = message.get(..2)?.to_vec();
    // A response, authoritative, recursion desired and there; 3: there is no such name.
    reply.extend([0x85, if is_known { 0x80 } else { 0x83 }, 0, 1, 0, u8::from(is_known && is_v4), 0, 0, 0, 0]);
    reply.extend(question);
    if is_known && is_v4 {
        // The question's name, A, IN, 60 seconds, 4 bytes.
        reply.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        reply.extend(address.octets());
    }
    Some((wanted, reply))
}
