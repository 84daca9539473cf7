//! The room for connections: how many there are at once, and whose.
//!
//! A client that holds many connections takes none of another's: one address has a share, and where its
//! share or the whole is taken, the connection that was idle longest makes room. What is beyond that
//! answers health and who has an access token alone.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::gauge;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::proxies::Proxies;

/// Connections of one address at most, but for those that its streams need.
const OF_ADDRESS: usize = 512;

/// Connections of all that are kept for health and for who has a token, at most.
const SPARE: usize = 64;

/// So many connections are looked at for the one that was idle longest.
const SAMPLE: usize = 16;

/// A connection without a request ends after this time, as one does whose client takes nothing of its
/// answer.
const IDLE: Duration = Duration::from_secs(60);

/// The room for all connections.
#[derive(Debug)]
pub(super) struct House {
    all: usize,
    spare: usize,
    of_address: usize,
    proxies: Proxies,
    since: Instant,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    count: usize,
    of_address: HashMap<IpAddr, Vec<Arc<Place>>>,
}

/// A connection.
#[derive(Debug)]
struct Place {
    /// Its address, or of IPv6 the network.
    network: IpAddr,
    is_spare: bool,
    is_stream: AtomicBool,
    /// Milliseconds of the house when it became idle; 0 while it has a request.
    idle: AtomicU64,
    /// Told to make room.
    leave: Notify,
}

/// The room of one connection, kept by whoever has it in use: a stream outlives its request.
#[derive(Debug, Clone)]
pub(super) struct Room {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    house: Arc<House>,
    place: Arc<Place>,
}

impl House {
    /// Room for so many connections, of which one address has no more than a share or its `streams`.
    pub(super) fn new(connections: usize, streams: usize, proxies: Proxies) -> Arc<Self> {
        Arc::new(Self {
            all: connections,
            spare: SPARE.min(connections / 8),
            of_address: OF_ADDRESS.min(connections.div_ceil(2)).max(streams),
            proxies,
            since: Instant::now(),
            taken: Mutex::default(),
        })
    }

    /// Room for a connection from `address`; `None` where all is taken and nobody makes room.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Room> {
        let network = network(address);
        let mut taken = self.taken();
        let held = taken.of_address.get(&network).map_or(0, Vec::len);
        let has_share = held < self.of_address || self.proxies.has(address);
        let is_beyond_share = !(has_share || taken.give_up_of(network));
        let is_full = taken.count + self.spare >= self.all && !taken.give_up_of_most();
        if taken.count >= self.all {
            return None;
        }
        let place = Arc::new(Place {
            network,
            is_spare: is_beyond_share || is_full,
            is_stream: AtomicBool::new(false),
            idle: AtomicU64::new(self.now()),
            leave: Notify::new(),
        });
        taken.count += 1;
        let places = taken.of_address.entry(network).or_default();
        places.push(Arc::clone(&place));
        drop(taken);
        gauge!("sise_http_connections").increment(1);
        let house = Arc::clone(self);
        Some(Room {
            held: Arc::new(Held { house, place }),
        })
    }

    /// Ends connections that were idle for long.
    pub(super) fn clear_out(&self) {
        let now = self.now();
        let limit = u64::try_from(IDLE.as_millis()).unwrap_or(u64::MAX);
        for place in self.taken().of_address.values().flatten() {
            let idle = place.idle.load(Ordering::Relaxed);
            if place.may_leave() && now.saturating_sub(idle) > limit {
                place.leave.notify_one();
            }
        }
    }

    /// Milliseconds of the house, from 1.
    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis())
            .map_or(u64::MAX, |now| now.saturating_add(1))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Every change leaves it whole.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Lets the connection of an address go that was idle longest, of some. Says whether there was one.
    fn give_up_of(&mut self, network: IpAddr) -> bool {
        let Some(places) = self.of_address.get(&network) else {
            return false;
        };
        let some = (0..SAMPLE).filter_map(|_| places.get(fastrand::usize(..places.len().max(1))));
        let idle = some.filter(|place| place.may_leave());
        let longest = idle.min_by_key(|place| place.idle.load(Ordering::Relaxed));
        let Some(place) = longest.cloned() else {
            return false;
        };
        place.leave.notify_one();
        self.remove(&place);
        true
    }

    /// The same of the address that has most.
    fn give_up_of_most(&mut self) -> bool {
        let most = self
            .of_address
            .iter()
            .max_by_key(|(_, places)| places.len());
        let most = most.map(|(network, _)| *network);
        most.is_some_and(|network| self.give_up_of(network))
    }

    /// Takes a connection out, if it is still there.
    fn remove(&mut self, place: &Arc<Place>) {
        let Some(places) = self.of_address.get_mut(&place.network) else {
            return;
        };
        if let Some(found) = places.iter().position(|held| Arc::ptr_eq(held, place)) {
            places.swap_remove(found);
            self.count -= 1;
        }
        if places.is_empty() {
            self.of_address.remove(&place.network);
        }
    }
}

impl Place {
    fn may_leave(&self) -> bool {
        self.idle.load(Ordering::Relaxed) > 0 && !self.is_stream.load(Ordering::Relaxed)
    }
}

impl Room {
    /// Whether it is of the last, for health and for who has a token.
    pub(super) fn is_spare(&self) -> bool {
        self.held.place.is_spare
    }

    /// A request begins.
    pub(super) fn work(&self) {
        self.held.place.idle.store(0, Ordering::Relaxed);
    }

    /// A request is answered.
    pub(super) fn rest(&self) {
        let now = self.held.house.now();
        self.held.place.idle.store(now, Ordering::Relaxed);
    }

    /// Whether it is a stream now, which is never idle.
    pub(super) fn streams(&self, is_stream: bool) {
        self.held
            .place
            .is_stream
            .store(is_stream, Ordering::Relaxed);
    }

    /// Waits until it is wanted for another.
    pub(super) async fn is_wanted(&self) {
        self.held.place.leave.notified().await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.house.taken().remove(&self.place);
        gauge!("sise_http_connections").decrement(1);
    }
}

/// Who has one address of IPv6 has a network of them.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::time::advance;

    use super::*;

    const STREAMS: usize = 4;

    fn house(connections: usize) -> Arc<House> {
        House::new(
            connections,
            STREAMS,
            Proxies::new(&["10.0.0.0/8".parse().unwrap()]),
        )
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    async fn fill(house: &Arc<House>, address: IpAddr, count: usize) -> Vec<Room> {
        let mut rooms = Vec::new();
        for _ in 0..count {
            rooms.push(house.take(address).unwrap());
            advance(Duration::from_millis(10)).await;
        }
        rooms
    }

    fn leaving(rooms: &[Room]) -> usize {
        let wanted = rooms
            .iter()
            .filter(|room| room.is_wanted().now_or_never().is_some());
        wanted.count()
    }

    #[tokio::test(start_paused = true)]
    async fn slow_connections_of_one_address_make_room_for_every_other() {
        let house = house(40);
        let slow = fill(&house, address(1), 300).await;
        let other = house.take(address(2)).unwrap();
        assert!(!other.is_spare());
        // Of its own address too a new one gets in, for the one that was idle longest or nearly so.
        let own = house.take(address(1)).unwrap();
        assert!(!own.is_spare());
        assert_eq!(leaving(&slow), 300 - 19);
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_a_share_that_is_in_use_only_the_reserve_is_left() {
        let house = house(40);
        let busy = fill(&house, address(1), 20).await;
        busy.iter().for_each(Room::work);
        let more = house.take(address(1)).unwrap();
        assert!(more.is_spare(), "for health and tokens alone");
        let other = house.take(address(2)).unwrap();
        assert!(!other.is_spare());
        // One that is answered can go, one that became a stream cannot.
        busy.iter().take(10).for_each(Room::rest);
        busy.iter().take(10).for_each(|room| room.streams(true));
        more.work();
        assert!(house.take(address(1)).unwrap().is_spare());
        let of_proxy = house.take(IpAddr::from([10, 0, 0, 1])).unwrap();
        assert!(!of_proxy.is_spare());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_in_use_is_never_more_than_there_is_room_for() {
        let house = house(8);
        let mut rooms = Vec::new();
        for last in 0..8 {
            let room = house.take(address(last)).unwrap();
            room.work();
            rooms.push(room);
        }
        let spare = rooms.iter().filter(|room| room.is_spare()).count();
        assert_eq!(spare, 1, "one of eight is kept");
        assert!(house.take(address(9)).is_none());
        rooms.pop();
        assert!(house.take(address(9)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_idle_for_long_goes() {
        let house = house(40);
        let rooms = fill(&house, address(1), 3).await;
        rooms.iter().take(1).for_each(Room::work);
        rooms
            .iter()
            .skip(1)
            .take(1)
            .for_each(|room| room.streams(true));
        house.clear_out();
        assert_eq!(leaving(&rooms), 0);
        advance(IDLE + Duration::from_secs(1)).await;
        house.clear_out();
        assert_eq!(leaving(&rooms), 1);
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), address(1));
    }
}
