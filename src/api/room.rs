//! Connection limits: how many connections there are, and how they are shared.
//!
//! A client with many connections must not crowd out the others. Each address has a share; if that
//! or the total is used up, the connection that was idle longest is closed. The spare connections
//! beyond that only serve health and clients with an access token. The bytes of large answers that
//! clients have not read yet are limited too; if the limit is reached, the connection with the
//! oldest such answer is closed.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use metrics::gauge;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::proxies::Proxies;

/// Maximum number of connections per address, or its number of streams if that is larger.
const OF_ADDRESS: usize = 128;

/// Maximum number of connections reserved for health and for clients with a token.
const SPARE: usize = 64;

/// Maximum number of answer bytes that clients have not read yet.
const UNTAKEN: usize = 64 << 20;

/// Answers smaller than this are not counted.
const SMALL: usize = 4 * 1024;

/// Time after which a connection without a request is closed. The same holds if the client does not
/// read its answer.
const IDLE: Duration = Duration::from_secs(60);

/// The room for all connections.
#[derive(Debug)]
pub(super) struct Capacity {
    all: usize,
    /// Additional connections that may still be closing.
    leaving: usize,
    spare: usize,
    of_address: usize,
    proxies: Proxies,
    since: Instant,
    taken: Mutex<Taken>,
    untaken: Mutex<Untaken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Connections with a room.
    count: usize,
    /// Connections with an open file, including those that were told to close and have not yet.
    open: usize,
    of_address: HashMap<IpAddr, Vec<Arc<Place>>>,
}

/// Large answers that clients have not read yet, oldest first.
#[derive(Debug, Default)]
struct Untaken {
    bytes: usize,
    next: u64,
    answers: BTreeMap<u64, (Arc<Place>, usize)>,
}

/// A large answer, counted until it is dropped.
struct Answer {
    text: Bytes,
    number: u64,
    capacity: Arc<Capacity>,
}

/// A connection.
#[derive(Debug)]
struct Place {
    /// Its address, or the network for IPv6.
    network: IpAddr,
    is_spare: bool,
    is_stream: AtomicBool,
    /// When it became idle, in milliseconds of [`Capacity::now`]; 0 while it has a request.
    idle: AtomicU64,
    /// Notified to make room.
    leave: Notify,
}

/// The room of one connection. Clones share it, because a stream outlives its request.
#[derive(Debug, Clone)]
pub(super) struct Room {
    held: Arc<Share>,
}

#[derive(Debug)]
struct Share {
    capacity: Arc<Capacity>,
    place: Arc<Place>,
}

impl Capacity {
    /// Creates room for `connections`, of which one address gets no more than its share or its
    /// `streams`. Another `leaving` connections may have lost their room and not be closed yet.
    pub(super) fn new(
        connections: usize,
        leaving: usize,
        streams: usize,
        proxies: Proxies,
    ) -> Arc<Self> {
        Arc::new(Self {
            all: connections,
            leaving,
            spare: SPARE.min(connections / 8),
            of_address: OF_ADDRESS.min(connections.div_ceil(2)).max(streams),
            proxies,
            since: Instant::now(),
            taken: Mutex::default(),
            untaken: Mutex::default(),
        })
    }

    /// Takes room for a connection from `address`; `None` if all of it is in use and no connection
    /// can be closed.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Room> {
        let network = network(address);
        let is_proxy = self.proxies.has(address);
        let mut taken = self.taken();
        if taken.open >= self.all + self.leaving {
            return None;
        }
        let has_share = |taken: &Taken| is_proxy || taken.of(network) < self.of_address;
        let is_full = |taken: &Taken| taken.count + self.spare >= self.all;
        if !has_share(&taken) {
            taken.give_up_of(network, |_| true);
        }
        if is_full(&taken) {
            taken.give_up_of_most(|place| !place.is_spare);
        }
        // A spare connection is only closed for another one if nothing else is left.
        if taken.count >= self.all && !taken.give_up_of_most(|_| true) {
            return None;
        }
        let place = Arc::new(Place {
            network,
            is_spare: !has_share(&taken) || is_full(&taken),
            is_stream: AtomicBool::new(false),
            idle: AtomicU64::new(self.now()),
            leave: Notify::new(),
        });
        taken.count += 1;
        taken.open += 1;
        let places = taken.of_address.entry(network).or_default();
        places.push(Arc::clone(&place));
        drop(taken);
        gauge!("sise_http_connections").increment(1);
        let capacity = Arc::clone(self);
        Some(Room {
            held: Arc::new(Share { capacity, place }),
        })
    }

    /// Whether more connections are open than there is room for, because some have not closed yet.
    pub(super) fn is_left_by_some(&self) -> bool {
        self.taken().open > self.all
    }

    /// Closes connections that were idle for too long.
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

    /// Milliseconds since the start, from 1.
    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis())
            .map_or(u64::MAX, |now| now.saturating_add(1))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Every change leaves it consistent, so a poisoned lock is safe to use.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn untaken(&self) -> MutexGuard<'_, Untaken> {
        // Every change leaves it consistent, so a poisoned lock is safe to use.
        self.untaken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Returns the number of connections of an address.
    fn of(&self, network: IpAddr) -> usize {
        self.of_address.get(&network).map_or(0, Vec::len)
    }

    /// Closes the idlest connection of an address and kind. Returns whether there was one.
    fn give_up_of(&mut self, network: IpAddr, is_of_kind: fn(&Place) -> bool) -> bool {
        let places = self.of_address.get(&network).into_iter().flatten();
        let idle = places.filter(|place| place.may_leave() && is_of_kind(place));
        let longest = idle.min_by_key(|place| place.idle.load(Ordering::Relaxed));
        let Some(place) = longest.cloned() else {
            return false;
        };
        place.leave.notify_one();
        self.remove(&place);
        true
    }

    /// As [`Taken::give_up_of`], for the address with the most connections of the kind.
    fn give_up_of_most(&mut self, is_of_kind: fn(&Place) -> bool) -> bool {
        let counts = self.of_address.iter().map(|(network, places)| {
            let idle = places.iter();
            let idle = idle.filter(|place| place.may_leave() && is_of_kind(place));
            (idle.count(), *network)
        });
        let most = counts.max_by_key(|(count, _)| *count);
        most.is_some_and(|(_, network)| self.give_up_of(network, is_of_kind))
    }

    /// Removes a connection, if it is still there.
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

impl Untaken {
    /// Counts an answer. If there is no room for it, the connections with the oldest unread answers
    /// are closed.
    fn add(&mut self, place: &Arc<Place>, bytes: usize) -> u64 {
        while self.bytes + bytes > UNTAKEN
            && let Some((_, (slow, waiting))) = self.answers.pop_first()
        {
            self.bytes -= waiting;
            slow.leave.notify_one();
        }
        let number = self.next;
        self.next += 1;
        self.bytes += bytes;
        self.answers.insert(number, (Arc::clone(place), bytes));
        number
    }

    /// Stops counting an answer.
    fn remove(&mut self, number: u64) {
        if let Some((_, bytes)) = self.answers.remove(&number) {
            self.bytes -= bytes;
        }
    }
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.capacity.untaken().remove(self.number);
    }
}

impl Place {
    fn may_leave(&self) -> bool {
        self.idle.load(Ordering::Relaxed) > 0 && !self.is_stream.load(Ordering::Relaxed)
    }
}

impl Room {
    /// Whether it is a spare connection, for health and clients with a token.
    pub(super) fn is_spare(&self) -> bool {
        self.held.place.is_spare
    }

    /// Marks the connection as busy with a request.
    pub(super) fn work(&self) {
        self.held.place.idle.store(0, Ordering::Relaxed);
    }

    /// Marks the connection as idle.
    pub(super) fn rest(&self) {
        let now = self.held.capacity.now();
        self.held.place.idle.store(now, Ordering::Relaxed);
    }

    /// Sets whether it is a stream, which is never idle.
    pub(super) fn streams(&self, is_stream: bool) {
        self.held
            .place
            .is_stream
            .store(is_stream, Ordering::Relaxed);
    }

    /// Returns an answer that is counted until its client has read all of it.
    pub(super) fn hold(&self, text: Bytes) -> Bytes {
        // Shared answers take no memory of their own.
        if text.len() < SMALL || !text.is_unique() {
            return text;
        }
        let Share { capacity, place } = &*self.held;
        let number = capacity.untaken().add(place, text.len());
        let capacity = Arc::clone(capacity);
        Bytes::from_owner(Answer {
            text,
            number,
            capacity,
        })
    }

    /// Waits until another connection needs the room.
    pub(super) async fn is_wanted(&self) {
        self.held.place.leave.notified().await;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.capacity.taken();
        taken.remove(&self.place);
        taken.open -= 1;
        drop(taken);
        gauge!("sise_http_connections").decrement(1);
    }
}

/// Returns the address, or its network for IPv6, because an IPv6 client has a whole network.
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
    const LEAVING: usize = 100;

    fn capacity(connections: usize) -> Arc<Capacity> {
        Capacity::new(
            connections,
            LEAVING,
            STREAMS,
            Proxies::new(&["10.0.0.0/8".parse().unwrap()]),
        )
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    async fn fill(capacity: &Arc<Capacity>, address: IpAddr, count: usize) -> Vec<Room> {
        let mut rooms = Vec::new();
        for _ in 0..count {
            rooms.push(capacity.take(address).unwrap());
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
        let capacity = capacity(40);
        let slow = fill(&capacity, address(1), 100).await;
        let other = capacity.take(address(2)).unwrap();
        assert!(!other.is_spare());
        // At the limit of its own address a new connection still gets in, in place of the idlest
        // one.
        let own = capacity.take(address(1)).unwrap();
        assert!(!own.is_spare());
        let (long, short) = slow.split_at(100 - 19);
        assert_eq!((leaving(long), leaving(short)), (100 - 19, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_a_share_that_is_in_use_only_the_reserve_is_left() {
        let capacity = capacity(40);
        let busy = fill(&capacity, address(1), 20).await;
        busy.iter().for_each(Room::work);
        let more = capacity.take(address(1)).unwrap();
        assert!(more.is_spare(), "for health and tokens alone");
        let other = capacity.take(address(2)).unwrap();
        assert!(!other.is_spare());
        // A connection with an answered request can be closed; one that became a stream cannot.
        busy.iter().take(10).for_each(Room::rest);
        busy.iter().take(10).for_each(|room| room.streams(true));
        more.work();
        assert!(capacity.take(address(1)).unwrap().is_spare());
        let of_proxy = capacity.take(IpAddr::from([10, 0, 0, 1])).unwrap();
        assert!(!of_proxy.is_spare());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_in_use_is_never_more_than_there_is_room_for() {
        let capacity = capacity(8);
        let mut rooms = Vec::new();
        for last in 0..8 {
            let room = capacity.take(address(last)).unwrap();
            room.work();
            rooms.push(room);
        }
        let spare = rooms.iter().filter(|room| room.is_spare()).count();
        assert_eq!(spare, 1, "one of eight is kept");
        assert!(capacity.take(address(9)).is_none());
        rooms.pop();
        assert!(capacity.take(address(9)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn where_streams_fill_the_house_the_last_idle_connections_make_room_for_each_other() {
        let capacity = capacity(40);
        let mut streams = Vec::new();
        for last in 1..=5 {
            streams.extend(fill(&capacity, address(last), 7).await);
        }
        streams.iter().for_each(|room| room.streams(true));
        let mut strangers = fill(&capacity, address(20), 5).await;
        assert!(strangers.iter().all(Room::is_spare));
        assert_eq!(leaving(&strangers), 0);
        for round in 0..5 {
            let health = capacity.take(address(1)).unwrap();
            assert!(health.is_spare());
            health.work();
            assert_eq!(leaving(&strangers[round..=round]), 1, "the longest idle");
            assert_eq!(leaving(&strangers), 0);
            drop(health);
            strangers.extend(fill(&capacity, address(20), 1).await);
        }
        strangers.iter().for_each(Room::work);
        assert!(capacity.take(address(1)).is_none(), "all are in use");
        assert_eq!(leaving(&streams), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn where_the_largest_address_gives_nothing_up_another_does() {
        let capacity = capacity(40);
        let busy = fill(&capacity, address(1), 20).await;
        busy.iter().for_each(Room::work);
        let idle = fill(&capacity, address(2), 15).await;
        let other = capacity.take(address(3)).unwrap();
        assert!(!other.is_spare());
        assert_eq!((leaving(&busy), leaving(&idle)), (0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_told_to_go_has_a_file_until_it_is_gone() {
        let capacity = capacity(40);
        let mut rooms = fill(&capacity, address(1), 40 + LEAVING).await;
        assert!(capacity.is_left_by_some());
        assert!(
            capacity.take(address(2)).is_none(),
            "no file is left for it"
        );
        // The first ones, which were told to close, close.
        rooms.drain(..LEAVING);
        assert!(!capacity.is_left_by_some());
        assert!(!capacity.take(address(2)).unwrap().is_spare());
        drop(rooms);
        let taken = capacity.taken();
        assert_eq!((taken.count, taken.open), (0, 0));
    }

    #[tokio::test]
    async fn large_answers_that_nobody_takes_make_room_for_new_ones() {
        const LARGE: usize = UNTAKEN / 4;
        let capacity = capacity(40);
        let rooms: Vec<Room> = (1..=6)
            .map(|last| capacity.take(address(last)).unwrap())
            .collect();
        let answer = |room: &Room| room.hold(vec![7; LARGE].into());
        let first: Vec<Bytes> = rooms.iter().take(4).map(answer).collect();
        assert!(first.iter().all(|text| text.len() == LARGE));
        assert_eq!(leaving(&rooms), 0);
        // Small and shared answers do not count.
        let shared = Bytes::from(vec![7; LARGE]);
        let small = rooms[5].hold(vec![7; SMALL - 1].into());
        let held = rooms[5].hold(shared.clone());
        assert_eq!((held.len(), small.len()), (LARGE, SMALL - 1));
        assert_eq!(capacity.untaken().bytes, UNTAKEN);
        let fifth = answer(&rooms[4]);
        assert_eq!(leaving(&rooms[..1]), 1, "it waits longest");
        assert_eq!(leaving(&rooms), 0);
        // A part keeps the whole answer in memory.
        let part = fifth.slice(..1);
        drop((first, fifth));
        assert_eq!(capacity.untaken().bytes, LARGE);
        drop(part);
        assert_eq!(capacity.untaken().bytes, 0);
        assert!(capacity.untaken().answers.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_idle_for_long_goes() {
        let capacity = capacity(40);
        let rooms = fill(&capacity, address(1), 3).await;
        rooms.iter().take(1).for_each(Room::work);
        rooms
            .iter()
            .skip(1)
            .take(1)
            .for_each(|room| room.streams(true));
        capacity.clear_out();
        assert_eq!(leaving(&rooms), 0);
        advance(IDLE + Duration::from_secs(1)).await;
        capacity.clear_out();
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
