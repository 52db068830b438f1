//! Asks chronyd how far off the clock can be, as `chronyc tracking` does.
//!
//! The kernel knows it too (`adjtimex(2)`), but no crate that is kept well reads that without `unsafe`. chronyd is what keeps the clock
//! on Amazon Linux 2023; where another program does, nobody is asked and nothing is known.
//!
//! The protocol is version 6 of chrony's command and monitoring protocol (`candm.h`), spoken since chrony 2.2; what it says was checked
//! with chronyd 4.3. It answers on the loopback interface unless `cmdport 0` is set, and who listens there had to be root.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use safeguard_checks::{ClockState, Inputs};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::timeout;

use super::replace;

/// Where chronyd is asked (chrony.conf(5), `cmdport`), on this machine.
const CHRONYD: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 323);

/// It answers in microseconds, or not at all.
const DEADLINE: Duration = Duration::from_secs(2);

const VERSION: u8 = 6;
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
/// The command, and the kind of its answer.
const TRACKING: (u16, u16) = (33, 5);

/// A reply; the request is as long, so that nobody can be flooded with replies.
const LENGTH: usize = 104;

/// The reference of a chronyd that was told to take its own clock for right (`local`).
const ITSELF: u32 = 0x7f7f_0101;

/// Asks at once and in each interval, until the room ends.
pub(super) async fn ask(learnt: watch::Sender<Inputs>, every: Duration) {
    loop {
        let answer = tracking(CHRONYD).await;
        learnt.send_if_modified(|inputs| replace(&mut inputs.clock, answer));
        tokio::time::sleep(every).await;
    }
}

/// What the chronyd at `address` says, or why it says nothing, in a sentence.
async fn tracking(address: SocketAddr) -> Result<ClockState, String> {
    let sequence = fastrand::u32(..);
    let mut reply = [0; LENGTH + 1];
    let asked = async {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        // From now on no other sender is heard.
        socket.connect(address).await?;
        socket.send(&request(sequence)).await?;
        socket.recv(&mut reply).await
    };
    let silent = || "no answer".to_owned();
    let length = match timeout(DEADLINE, asked).await {
        Ok(Ok(length)) => Ok(length),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(silent()),
    };
    let length = length.map_err(|why| {
        format!(
            "chronyd at {address}: {why}; without chronyd, or with `cmdport 0` in its settings, nobody can be asked"
        )
    })?;
    let reply = reply.get(..length).unwrap_or_default();
    read(reply, sequence).map_err(|problem| format!("chronyd at {address}: {problem}"))
}

fn request(sequence: u32) -> [u8; LENGTH] {
    let mut request = [0; LENGTH];
    let head = [VERSION, REQUEST, 0, 0].into_iter().chain(TRACKING.0.to_be_bytes()).chain([0, 0]);
    request.iter_mut().zip(head.chain(sequence.to_be_bytes())).for_each(|(to, byte)| *to = byte);
    request
}

/// Pure: what a reply says. The clock is off by no more than `|correction| + dispersion + delay / 2` (chronyc(1), "tracking"); chronyd
/// lets the dispersion grow while it hears of no source.
pub(crate) fn read(reply: &[u8], sequence: u32) -> Result<ClockState, &'static str> {
    const NOT_ITS_OWN: &str = "the answer is not chronyd's";
    if reply.len() != LENGTH || (number(reply, 0)? >> 16) != (u32::from(VERSION) << 8 | u32::from(REPLY)) {
        return Err(NOT_ITS_OWN);
    }
    let (command, answered, status) = (number(reply, 4)?, number(reply, 16)?, number(reply, 8)? >> 16);
    if command != (u32::from(TRACKING.0) << 16 | u32::from(TRACKING.1)) || answered != sequence {
        return Err(if status == 0 { NOT_ITS_OWN } else { "it refuses to tell" });
    }
    let synchronized = match number(reply, 52)? & 0xffff {
        // Normal, or with a leap second to come.
        0..=2 => number(reply, 28)? != ITSELF,
        3 => false,
        _ => return Err(NOT_ITS_OWN),
    };
    let (correction, delay, dispersion) = (float(reply, 68)?, float(reply, 92)?, float(reply, 96)?);
    let most = Duration::try_from_secs_f64(correction.abs() + dispersion.abs() + delay.abs() / 2.0);
    let most_us = most.map_or(i64::MAX, |most| i64::try_from(most.as_nanos().div_ceil(1000)).unwrap_or(i64::MAX));
    Ok(ClockState { synchronized, max_error_us: most_us })
}

fn number(reply: &[u8], at: usize) -> Result<u32, &'static str> {
    let bytes = reply.get(at..).and_then(<[u8]>::first_chunk).ok_or("the answer is too short")?;
    Ok(u32::from_be_bytes(*bytes))
}

/// chrony's own numbers: an exponent of 7 bits, then a coefficient of 25, both with a sign.
fn float(reply: &[u8], at: usize) -> Result<f64, &'static str> {
    let bits = number(reply, at)?.cast_signed();
    Ok(f64::from(bits << 7 >> 7) * 2_f64.powi((bits >> 25) - 25))
}

#[cfg(test)]
mod tests;
