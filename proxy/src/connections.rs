//! Who holds which connections: a bound for each address, a bound for all, and a way to make room.
//!
//! When all places are taken, one is taken back from the address that holds most of them, from a connection that has not asked for
//! anything yet or has been answered. So nobody who opens many can keep others out (research row 49).

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// All connections. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    per_address: usize,
    in_all: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    by_address: HashMap<IpAddr, VecDeque<Arc<Place>>>,
    count: usize,
    /// Closed to make room, since the start.
    evicted: u64,
    /// Not let in, since the start.
    refused: u64,
}

/// A connection's place, as others see it.
#[derive(Debug, Default)]
struct Place {
    /// A request is being answered.
    busy: AtomicBool,
    close: Notify,
}

/// A connection's place, as it sees it. Dropping it leaves.
#[derive(Debug)]
pub(crate) struct Seat {
    inner: Arc<Inner>,
    address: IpAddr,
    place: Arc<Place>,
}

/// Numbers for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) open: usize,
    pub(crate) evicted: u64,
    pub(crate) refused: u64,
}

impl Inner {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    pub(crate) fn new(per_address: usize, in_all: usize) -> Self {
        Self { inner: Arc::new(Inner { per_address, in_all, open: Mutex::default() }) }
    }

    /// A place for a connection from this address. `None` if the address has all of its own, and none of them is idle, or if there is
    /// no room at all.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<Seat> {
        let mut open = self.inner.open();
        let own = open.by_address.get(&address).map_or(0, VecDeque::len);
        // An address that is full makes room in its own ranks; when everything is full, whoever has most does.
        let from = if own >= self.inner.per_address {
            Some(address)
        } else if open.count >= self.inner.in_all {
            open.by_address.iter().max_by_key(|(_, places)| places.len()).map(|(address, _)| *address)
        } else {
            None
        };
        if let Some(from) = from
            && !open.evict(from)
        {
            open.refused += 1;
            return None;
        }
        let place = Arc::<Place>::default();
        open.by_address.entry(address).or_default().push_back(place.clone());
        open.count += 1;
        Some(Seat { inner: self.inner.clone(), address, place })
    }

    pub(crate) fn counts(&self) -> Counts {
        let open = self.inner.open();
        Counts { open: open.count, evicted: open.evicted, refused: open.refused }
    }
}

impl Open {
    /// Closes the oldest connection of an address that is not being answered.
    fn evict(&mut self, address: IpAddr) -> bool {
        let Some(places) = self.by_address.get_mut(&address) else { return false };
        let Some(at) = places.iter().position(|place| !place.busy.load(Ordering::Relaxed)) else { return false };
        if let Some(place) = places.remove(at) {
            place.close.notify_one();
        }
        if places.is_empty() {
            self.by_address.remove(&address);
        }
        self.count -= 1;
        self.evicted += 1;
        true
    }
}

impl Seat {
    /// Returns when the place is wanted for another.
    pub(crate) async fn evicted(&self) {
        self.place.close.notified().await;
    }

    /// Until the guard is dropped a request is being answered.
    pub(crate) fn busy(&self) -> Busy {
        self.place.busy.store(true, Ordering::Relaxed);
        Busy(self.place.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.inner.open();
        let Some(places) = open.by_address.get_mut(&self.address) else { return };
        let Some(at) = places.iter().position(|place| Arc::ptr_eq(place, &self.place)) else { return };
        places.remove(at);
        if places.is_empty() {
            open.by_address.remove(&self.address);
        }
        open.count -= 1;
    }
}

/// See [`Seat::busy`].
#[derive(Debug)]
pub(crate) struct Busy(Arc<Place>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> IpAddr {
        [10, 0, 0, n].into()
    }

    #[tokio::test]
    async fn one_address_cannot_keep_others_out() {
        let all = Connections::new(8, 8);
        let greedy: Vec<_> = (0..8).map(|_| all.enter(address(1)).unwrap()).collect();
        let others: Vec<_> = (2..6).map(|n| all.enter(address(n)).unwrap()).collect();
        assert_eq!(all.counts(), Counts { open: 8, evicted: 4, refused: 0 });
        // The oldest were told.
        for seat in &greedy[..4] {
            seat.evicted().await;
        }
        drop(greedy);
        assert_eq!(all.counts().open, 4);
        drop(others);
        assert_eq!(all.counts().open, 0);
    }

    #[tokio::test]
    async fn who_is_being_answered_is_not_put_out() {
        let all = Connections::new(2, 100);
        let (one, two) = (all.enter(address(1)).unwrap(), all.enter(address(1)).unwrap());
        let (busy, also) = (one.busy(), two.busy());
        assert!(all.enter(address(1)).is_none());
        drop(also);
        let three = all.enter(address(1)).unwrap();
        two.evicted().await;
        drop((busy, one, two, three));
        assert_eq!(all.counts(), Counts { open: 0, evicted: 1, refused: 1 });
    }

    #[test]
    fn a_place_that_was_taken_back_is_not_counted_twice() {
        let all = Connections::new(1, 10);
        let mut seats = Vec::new();
        for _ in 0..50 {
            seats.push(all.enter(address(1)).unwrap());
            assert_eq!(all.counts().open, 1);
        }
        drop(seats);
        assert_eq!(all.counts().open, 0);
    }
}
