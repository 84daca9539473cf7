//! One connection of the live feed.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::super::broker::Sim;
use super::Mishap;
use super::message::{self, Answer, Input, Request};
use super::oddity::Oddity;
use super::trade::record;
use sise_domain::Symbol;

/// How often the session checks for trades that are due.
const STEP: Duration = Duration::from_millis(10);

/// Most trades made up for a code at once, if the host was slow.
const MOST_AT_ONCE: u32 = 50;

/// A client that accepts nothing for this long is disconnected.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a connection ends.
enum End {
    /// The connection was closed in order, by either side.
    Closed,
    /// The connection broke, or a fault broke it.
    Broken,
}

/// A registered code.
struct Registered {
    place: Option<usize>,
    due: Instant,
    /// Volume of the day at the last trade.
    volume: i64,
}

struct Session<'a> {
    sim: &'a Sim,
    number: u64,
    /// The app key that the session holds.
    app_key: Option<String>,
    registered: BTreeMap<Symbol, Registered>,
    is_silent: bool,
    /// Whether a PINGPONG is still unanswered.
    awaits_pong: bool,
    /// The fault to inject into the next frame.
    next: Option<Mishap>,
}

/// Serves one connection until it ends.
pub(crate) async fn serve(sim: Sim, mut socket: WebSocket) {
    let mut session = Session {
        number: sim.feed().connected(),
        sim: &sim,
        app_key: None,
        registered: BTreeMap::new(),
        is_silent: false,
        awaits_pong: false,
        next: None,
    };
    let end = session.run(&mut socket).await;
    let linger = match end {
        End::Closed => Duration::ZERO,
        End::Broken => sim.options().feed.linger,
    };
    if let Some(app_key) = &session.app_key {
        sim.feed().release(app_key, linger);
    }
    let left = session.registered.len();
    sim.feed().count(|stats| stats.registrations -= count(left));
}

impl Session<'_> {
    async fn run(&mut self, socket: &mut WebSocket) -> End {
        let feed = self.sim.options().feed;
        let mut ends = self.sim.feed().ends();
        let mut mishaps = self.sim.feed().mishaps();
        let mut steps = interval(STEP);
        steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pings = interval(feed.ping_pong);
        pings.reset();
        loop {
            let outcome = tokio::select! {
                _ = ends.changed() => {
                    let _ = socket.send(Message::Close(None)).await;
                    return End::Closed;
                }
                message = socket.recv() => match message {
                    Some(Ok(Message::Text(text))) => self.take(socket, text.as_str()).await,
                    Some(Ok(Message::Pong(_))) => {
                        self.awaits_pong = false;
                        Ok(())
                    }
                    Some(Ok(Message::Close(_))) => return End::Closed,
                    Some(Ok(_)) => Ok(()),
                    Some(Err(_)) | None => return End::Broken,
                },
                mishap = mishaps.recv() => {
                    self.next = mishap.ok();
                    Ok(())
                }
                _ = pings.tick() => self.ping(socket).await,
                _ = steps.tick() => self.stream(socket).await,
            };
            if let Err(end) = outcome {
                return end;
            }
        }
    }

    async fn ping(&mut self, socket: &mut WebSocket) -> Result<(), End> {
        if self.is_silent {
            return Ok(());
        }
        if std::mem::replace(&mut self.awaits_pong, true) {
            return Err(End::Broken);
        }
        send(socket, message::ping_pong(self.sim.now())).await
    }

    /// Handles a message of the client: the echo of a PINGPONG, or a request.
    async fn take(&mut self, socket: &mut WebSocket, text: &str) -> Result<(), End> {
        if text.contains("\"PINGPONG\"") {
            self.awaits_pong = false;
            return Ok(());
        }
        if self.is_silent {
            return Ok(());
        }
        let request: Option<Request> = serde_json::from_str(text).ok();
        let (answer, input) = match &request {
            None => (Answer::NoJson, None),
            Some(request) => (self.judge(request), Some(&request.body.input)),
        };
        if answer.is_refusal() {
            self.sim.feed().count(|stats| stats.refused += 1);
        }
        send(socket, answer.text(input)).await?;
        if answer == Answer::InUse {
            let _ = socket.send(Message::Close(None)).await;
            return Err(End::Closed);
        }
        Ok(())
    }

    fn judge(&mut self, request: &Request) -> Answer {
        let Request { header, body } = request;
        let registry = self.sim.feed();
        let Some(app_key) = registry.app_key(&header.approval_key, self.sim.now()) else {
            return Answer::NotApproved;
        };
        if !registry.claim(&app_key, self.number) {
            return Answer::InUse;
        }
        self.app_key = Some(app_key);
        if !["P", "B"].contains(&header.custtype.as_str()) {
            return Answer::WrongCustomer;
        }
        let Input { tr_id, tr_key } = &body.input;
        if tr_id != "H0STCNT0" {
            return Answer::WrongTransaction;
        }
        let Ok(code) = tr_key.parse::<Symbol>() else {
            return Answer::WrongCode;
        };
        match header.tr_type.as_str() {
            "1" => self.register(code),
            "2" => match self.registered.remove(&code) {
                Some(_) => {
                    registry.count(|stats| stats.registrations -= 1);
                    Answer::Unregistered
                }
                None => Answer::NotFound,
            },
            _ => Answer::WrongType,
        }
    }

    fn register(&mut self, code: Symbol) -> Answer {
        if self.registered.contains_key(&code) {
            return Answer::Already;
        }
        if self.registered.len() >= self.sim.options().feed.registrations {
            return Answer::Full;
        }
        let registered = Registered {
            place: self.sim.market().place(code.as_str()),
            due: Instant::now(),
            volume: 0,
        };
        self.registered.insert(code, registered);
        let have = count(self.registered.len());
        self.sim.feed().count(|stats| {
            stats.registrations += 1;
            stats.max_registrations = stats.max_registrations.max(have);
        });
        Answer::Registered
    }

    /// Sends the trades that are due.
    async fn stream(&mut self, socket: &mut WebSocket) -> Result<(), End> {
        let feed = self.sim.options().feed;
        if self.is_silent || feed.ticks <= 0.0 {
            return Ok(());
        }
        let records = self.records(feed.ticks, feed.fields);
        for records in records.chunks(feed.records.max(1)) {
            self.sim.feed().count(|stats| {
                stats.frames += 1;
                stats.trades += count(records.len());
            });
            let text = message::frame(records, records.len(), feed.is_encrypted);
            let mishap = self.next.take().or_else(|| self.draw());
            if mishap.is_some() {
                self.sim.feed().count(|stats| stats.mishaps += 1);
            }
            let text = match mishap {
                None => text,
                Some(Mishap::Drop) => return Err(End::Broken),
                Some(Mishap::Close) => {
                    let _ = socket.send(Message::Close(None)).await;
                    return Err(End::Closed);
                }
                Some(Mishap::Silent) => {
                    self.is_silent = true;
                    return Ok(());
                }
                Some(Mishap::Truncated) => {
                    let middle = text.len() / 2;
                    text.get(..middle).unwrap_or_default().to_owned()
                }
                Some(Mishap::Miscounted) => {
                    message::frame(records, records.len() + 1, feed.is_encrypted)
                }
                Some(Mishap::Odd(oddity)) => {
                    let today = self.sim.now().date_naive();
                    let odd = records.first().map(|record| oddity.applied(record, today));
                    let records: Vec<String> = odd.into_iter().chain(records.to_vec()).collect();
                    message::frame(&records, records.len(), feed.is_encrypted)
                }
            };
            send(socket, text).await?;
        }
        Ok(())
    }

    /// Returns the records that are due, of all codes.
    fn records(&mut self, ticks: f64, fields: usize) -> Vec<String> {
        let now = Instant::now();
        let market = self.sim.market();
        let pause = Duration::from_secs_f64(1.0 / ticks);
        let moment = self.sim.now();
        let mut records = Vec::new();
        if self
            .registered
            .values()
            .all(|registered| registered.due > now)
        {
            return records;
        }
        market.look(|figures| {
            for registered in self.registered.values_mut() {
                let mut owed = 0;
                while registered.due <= now && owed < MOST_AT_ONCE {
                    registered.due += pause;
                    owed += 1;
                }
                registered.due = registered.due.max(now);
                let stock = registered.place.and_then(|place| market.stock(place));
                let figures = registered.place.and_then(figures);
                let (Some(stock), Some(figures)) = (stock, figures) else {
                    continue;
                };
                // A stock without volume has no trades.
                if figures.volume == 0 {
                    continue;
                }
                for _ in 0..owed {
                    let size = (figures.volume - registered.volume).max(1);
                    registered.volume = figures.volume;
                    let price = self.sim.price_of_trade(figures.price);
                    records.push(record(stock, &figures, price, size, moment, fields));
                }
            }
        });
        records
    }

    /// Draws the fault of a frame.
    fn draw(&self) -> Option<Mishap> {
        let faults = self.sim.options().feed.faults;
        [
            (faults.drop, Mishap::Drop),
            (faults.close, Mishap::Close),
            (faults.truncated, Mishap::Truncated),
            (faults.miscounted, Mishap::Miscounted),
            (faults.silent, Mishap::Silent),
            (faults.expected, Mishap::Odd(Oddity::Expected)),
            (faults.block, Mishap::Odd(Oddity::Block)),
            (faults.other_day, Mishap::Odd(Oddity::OtherDay)),
            (faults.other_hour, Mishap::Odd(Oddity::OtherHour)),
        ]
        .into_iter()
        .find_map(|(share, mishap)| self.sim.strikes(share).then_some(mishap))
    }
}

async fn send(socket: &mut WebSocket, text: String) -> Result<(), End> {
    let sending = socket.send(Message::Text(text.into()));
    match tokio::time::timeout(PATIENCE, sending).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(End::Broken),
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
