use proptest::prelude::*;

use super::*;

const SEQUENCE: u32 = 0xfe3f_1690;

/// As chronyd 4.3 sent it, with another reference than itself.
fn reply() -> Vec<u8> {
    let mut reply = vec![6, 2, 0, 0, 0, 33, 0, 5];
    reply.resize(LENGTH, 0);
    with(reply, &[(16, SEQUENCE), (28, 0xa9fe_a97b), (52, 4 << 16)])
}

fn with(mut reply: Vec<u8>, numbers: &[(usize, u32)]) -> Vec<u8> {
    for (at, number) in numbers {
        reply.splice(at..&(at + 4), number.to_be_bytes());
    }
    reply
}

/// 2 to the power of this.
fn power(exponent: i32) -> u32 {
    ((exponent + 2) << 25 | 1 << 23).cast_unsigned()
}

#[test]
fn the_error_is_what_chrony_says_it_can_be_at_most() {
    let in_step = ClockState { synchronized: true, max_error_us: 0 };
    assert_eq!(read(&reply(), SEQUENCE), Ok(in_step));
    // Half a second to correct, one second of delay, a quarter of dispersion.
    let off = with(reply(), &[(68, power(-1)), (92, power(0)), (96, power(-2))]);
    assert_eq!(read(&off, SEQUENCE), Ok(ClockState { synchronized: true, max_error_us: 1_250_000 }));
    // The sign of a correction only says in which direction.
    let before = with(reply(), &[(68, (1 << 25 | 0x0180_0000))]);
    assert_eq!(read(&before, SEQUENCE), Ok(ClockState { synchronized: true, max_error_us: 500_000 }));
    let huge = with(reply(), &[(96, 0x7eff_ffff)]);
    assert_eq!(read(&huge, SEQUENCE).map(|it| it.max_error_us), Ok(i64::MAX));
}

/// `chronyd` with `local` says that all is normal, and follows nobody.
#[test]
fn a_clock_that_follows_nobody_is_not_in_step() {
    let synchronized = |numbers: &[_]| read(&with(reply(), numbers), SEQUENCE).map(|it| it.synchronized);
    assert_eq!(synchronized(&[(52, 4 << 16 | 1)]), Ok(true), "a leap second to come");
    assert_eq!(synchronized(&[(52, 3)]), Ok(false), "unsynchronized");
    assert_eq!(synchronized(&[(28, ITSELF)]), Ok(false), "itself");
    assert!(synchronized(&[(52, 4)]).is_err());
}

#[test]
fn what_is_no_answer_to_the_question_is_none() {
    let whole = reply();
    for (what, wrong) in [
        ("nothing", Vec::new()),
        ("shorter", whole[..LENGTH - 1].to_vec()),
        ("longer", [whole.clone(), vec![0]].concat()),
        ("a request", with(whole.clone(), &[(0, 0x0601_0000)])),
        ("another version", with(whole.clone(), &[(0, 0x0502_0000)])),
        ("another command", with(whole.clone(), &[(4, 34 << 16 | 5)])),
        ("another question", with(whole.clone(), &[(16, SEQUENCE + 1)])),
    ] {
        assert_eq!(read(&wrong, SEQUENCE), Err("the answer is not chronyd's"), "{what}");
    }
    // Status 2 is "not authorised", with the null reply.
    let refused = with(whole, &[(4, 33 << 16 | 1), (8, 2 << 16)]);
    assert_eq!(read(&refused, SEQUENCE), Err("it refuses to tell"));
}

#[tokio::test]
async fn chronyd_is_asked_as_it_wants_to_be() {
    let chronyd = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = chronyd.local_addr().unwrap();
    let answers = async {
        let mut asked = [0; 1000];
        let (length, from) = chronyd.recv_from(&mut asked).await.unwrap();
        assert_eq!(
            (length, &asked[..8], &asked[12..length]),
            (LENGTH, &[6, 1, 0, 0, 0, 33, 0, 0][..], &[0; LENGTH - 12][..])
        );
        let sequence = u32::from_be_bytes(*asked[8..].first_chunk().unwrap());
        chronyd.send_to(&with(reply(), &[(16, sequence)]), from).await.unwrap();
    };
    let (said, ()) = tokio::join!(tracking(address), answers);
    assert_eq!(said, Ok(ClockState { synchronized: true, max_error_us: 0 }));
    drop(chronyd);
    let why = tracking(address).await.unwrap_err();
    assert!(why.contains(&address.to_string()) && why.contains("cmdport"), "{why}");
}

proptest! {
    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..120), numbers in prop::array::uniform4(any::<u32>())) {
        read(&bytes, SEQUENCE).ok();
        let [one, two, three, four] = numbers;
        read(&with(reply(), &[(52, one), (68, two), (92, three), (96, four)]), SEQUENCE).ok();
    }
}
