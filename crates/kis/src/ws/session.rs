//! One session: registers the wanted codes one at a time, and reports what arrives (contract 5.1 to
//! 5.4).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics::{counter, gauge};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::cipher::Cipher;
use super::frame::{Dropped, Frame, Record, TRADES};
use super::refusals::Refusals;
use super::reply::{self, Reply, Said, Verdict};
use super::socket::{Incoming, Socket};
use super::teller::Teller;
use super::trade::{Context, NoPrice, read};
use crate::Bases;
use crate::refusal::Refusal;
use sise_domain::{Calendar, KrxTime, Quote, Symbol, Universe, Venue};
use sise_port::GapReason;
use sise_port::clock::Clock;

/// Time between two requests (contract 5.8).
const REQUEST_GAP: Duration = Duration::from_millis(100);

/// Time limit for the answer to a request.
const REPLY_PATIENCE: Duration = Duration::from_secs(10);

/// Silence after which a session counts as dead, whatever the state of its connection (contract
/// 5.8).
const SILENCE: Duration = Duration::from_secs(120);

/// Interval of attempts to send pending reports.
const TELL_AGAIN: Duration = Duration::from_millis(50);

/// Shared state for reading trades.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) calendar: Arc<ArcSwap<Calendar>>,
    pub(super) universe: Arc<ArcSwap<Universe>>,
    pub(super) bases: Arc<Bases>,
    pub(super) clock: Clock,
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was stopped.
    Stopped,
    /// No code is wanted any more.
    Idle,
    /// The connection ended; the reason as text.
    Lost(String),
    /// Nothing was received for a long time.
    Silent,
    /// A request was not answered.
    Unanswered,
    /// The broker refused a request, and would refuse any other of this session.
    Refused(Box<Reply>),
}

/// A request without an answer so far.
#[derive(Debug, Clone, Copy)]
struct Pending {
    code: Symbol,
    registers: bool,
    deadline: Instant,
}

/// One session.
pub(super) struct Session<'a> {
    socket: Box<dyn Socket>,
    approval_key: SecretString,
    reading: &'a Reading,
    teller: &'a mut Teller,
    refusals: &'a mut Refusals,
    /// Codes that were registered in an earlier session, so that some of their trades were missed.
    missed: &'a mut BTreeSet<Symbol>,
    /// Those of `missed` that are registered again, until all are.
    resumed: BTreeSet<Symbol>,
    registered: BTreeSet<Symbol>,
    /// Codes that the broker refused; they are not requested again.
    refused: BTreeSet<Symbol>,
    /// Registrations that there is room for, if that is known.
    most: Option<usize>,
    pending: Option<Pending>,
    cipher: Option<Cipher>,
    heard: Instant,
    next_request: Instant,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        socket: Box<dyn Socket>,
        approval_key: SecretString,
        reading: &'a Reading,
        teller: &'a mut Teller,
        refusals: &'a mut Refusals,
        missed: &'a mut BTreeSet<Symbol>,
    ) -> Self {
        let now = Instant::now();
        Self {
            socket,
            approval_key,
            reading,
            teller,
            refusals,
            missed,
            resumed: BTreeSet::new(),
            registered: BTreeSet::new(),
            refused: BTreeSet::new(),
            most: None,
            pending: None,
            cipher: None,
            heard: now,
            next_request: now,
        }
    }

    /// Keeps the registrations in line with `wanted` until the session ends, then closes it.
    pub(super) async fn run(
        mut self,
        wanted: &mut watch::Receiver<Arc<[Symbol]>>,
        stop: &CancellationToken,
    ) -> Ended {
        let ended = self.follow(wanted, stop).await;
        gauge!("sise_feed_connected").set(0);
        gauge!("sise_feed_registrations").set(0);
        if matches!(ended, Ended::Stopped | Ended::Idle) {
            self.missed.clear();
        } else {
            self.missed.append(&mut self.resumed);
            self.missed.extend(&self.registered);
            if !self.registered.is_empty() {
                let codes = std::mem::take(&mut self.registered);
                self.teller.gap(GapReason::Lost, codes);
            }
        }
        self.teller.registered(&BTreeSet::new());
        // Closed properly even after trouble: a session that the broker takes for alive blocks the
        // next one.
        self.socket.close().await;
        ended
    }

    async fn follow(
        &mut self,
        wanted: &mut watch::Receiver<Arc<[Symbol]>>,
        stop: &CancellationToken,
    ) -> Ended {
        loop {
            let next = {
                let wanted = wanted.borrow_and_update();
                if wanted.is_empty() {
                    return Ended::Idle;
                }
                self.next_request(&wanted)
            };
            if next.is_none() && self.pending.is_none() {
                self.tell_resumed();
            }
            let may_request = next.filter(|_| self.pending.is_none());
            let deadline = self.pending.map_or(self.heard, |pending| pending.deadline);
            tokio::select! {
                () = stop.cancelled() => return Ended::Stopped,
                incoming = self.socket.receive() => {
                    let text = match incoming {
                        Ok(Some(Incoming::Text(text))) => text,
                        Ok(Some(Incoming::Sign)) => {
                            self.heard = Instant::now();
                            continue;
                        }
                        Ok(None) => return Ended::Lost("closed by the broker".to_owned()),
                        Err(trouble) => return Ended::Lost(trouble),
                    };
                    self.heard = Instant::now();
                    if let Err(ended) = self.take(&text).await {
                        return ended;
                    }
                }
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return Ended::Stopped;
                    }
                }
                () = sleep_until(deadline), if self.pending.is_some() => return Ended::Unanswered,
                () = sleep_until(self.heard + SILENCE) => return Ended::Silent,
                () = sleep_until(self.next_request), if may_request.is_some() => {
                    if let Some((code, registers)) = may_request
                        && let Err(trouble) = self.request(code, registers).await
                    {
                        return Ended::Lost(trouble);
                    }
                }
                () = sleep(TELL_AGAIN), if self.teller.owes() => self.teller.flush(),
            }
        }
    }

    /// Returns the next code to request, and whether to register it.
    ///
    /// Registrations are given up before new ones are made.
    fn next_request(&self, wanted: &[Symbol]) -> Option<(Symbol, bool)> {
        let unwanted = self.registered.iter().find(|code| !wanted.contains(code));
        if let Some(code) = unwanted {
            return Some((*code, false));
        }
        if self.most.is_some_and(|most| self.registered.len() >= most) {
            return None;
        }
        let is_new =
            |code: &&Symbol| !self.registered.contains(code) && !self.refused.contains(code);
        wanted.iter().find(is_new).map(|code| (*code, true))
    }

    async fn request(&mut self, code: Symbol, registers: bool) -> Result<(), String> {
        let key = self.approval_key.expose_secret();
        let request = reply::request(key, TRADES, code.as_str(), registers);
        self.socket.send(request).await?;
        let now = Instant::now();
        self.next_request = now + REQUEST_GAP;
        self.pending = Some(Pending {
            code,
            registers,
            deadline: now + REPLY_PATIENCE,
        });
        Ok(())
    }

    /// Handles one message.
    async fn take(&mut self, text: &str) -> Result<(), Ended> {
        if text.trim_start().starts_with('{') {
            match reply::read(text) {
                // Echoed as an ordinary message, one of the two ways that work.
                Some(Said::PingPong) => {
                    let sent = self.socket.send(text.to_owned()).await;
                    sent.map_err(Ended::Lost)?;
                }
                Some(Said::Reply(reply)) => self.heed(reply)?,
                None => count_dropped("json"),
            }
            return Ok(());
        }
        let arrived_at = (self.reading.clock)();
        if let Err(dropped) = self.take_frame(text, arrived_at) {
            count_dropped(dropped.slug());
            let codes = self.codes_of(text);
            self.teller.gap(GapReason::Unreadable, codes);
        }
        Ok(())
    }

    fn take_frame(&mut self, text: &str, arrived_at: KrxTime) -> Result<(), Dropped> {
        let frame = Frame::read(text)?;
        if !frame.is_of_trades() {
            count_dropped("other_stream");
            return Ok(());
        }
        let clear = match frame.is_encrypted {
            true => {
                let cipher = self.cipher.as_ref().ok_or(Dropped::Cipher)?;
                Some(cipher.decrypt(frame.data).ok_or(Dropped::Cipher)?)
            }
            false => None,
        };
        let records = frame.records(clear.as_deref().unwrap_or(frame.data))?;
        let calendar = self.reading.calendar.load();
        let universe = self.reading.universe.load();
        let session = calendar.phase(Venue::Krx, arrived_at);
        for record in &records {
            if !record.begins_with_a_code() {
                // It may have been any of the codes.
                count_dropped(Dropped::Code.slug());
                let codes = self.registered.clone();
                self.teller.gap(GapReason::Unreadable, codes);
                continue;
            }
            let Some(symbol) = self.code_of(record) else {
                count_dropped("unasked");
                continue;
            };
            let context = Context {
                symbol,
                listing: universe.get(symbol),
                arrived_at,
                session,
                basis: self.reading.bases.of(symbol, arrived_at.date_naive()),
            };
            let read = read(record, context).and_then(|(quote, contradicted)| {
                let followed = self.reading.bases.follow(&quote);
                followed.map_err(NoPrice::Implausible)?;
                Ok((quote, contradicted))
            });
            match read {
                Ok((quote, contradicted)) => {
                    for _ in contradicted {
                        counter!("sise_schema_drift_total", "call" => "trades", "kind" => "contradictory").increment(1);
                    }
                    counter!("sise_feed_ticks_total").increment(1);
                    self.teller.tick(Quote {
                        simulated: self.socket.is_simulated(),
                        ..quote
                    });
                }
                Err(NoPrice::NoTrade(why)) => {
                    self.refusals.note(why, symbol, record.field(2), arrived_at);
                    if why.may_be_a_trade() {
                        self.teller.gap(GapReason::Refused, [symbol]);
                    }
                }
                Err(NoPrice::Implausible(why)) => {
                    Refusal::from(why).count("trades");
                    count_dropped("refused");
                    tracing::debug!(%symbol, %why, "a trade of the live feed is implausible");
                    // Makes the process request its price.
                    self.teller.gap(GapReason::Refused, [symbol]);
                }
            }
        }
        Ok(())
    }

    /// Returns the code of a record as it was registered; `None` if it was not.
    ///
    /// Notes may come without the `Q` with which they are requested.
    fn code_of(&self, record: &Record<'_>) -> Option<Symbol> {
        let code: Symbol = record.field(1).parse().ok()?;
        let is_asked = |code: &Symbol| {
            self.registered.contains(code) || self.pending.is_some_and(|p| p.code == *code)
        };
        let note = || format!("Q{code}").parse().ok().filter(is_asked);
        Some(code).filter(is_asked).or_else(note)
    }

    /// Returns the codes that an unreadable frame may be about.
    ///
    /// This is the code at its start if the frame has one record, else all registered codes.
    fn codes_of(&self, text: &str) -> Vec<Symbol> {
        let frame = Frame::read(text).ok().filter(|frame| !frame.is_encrypted);
        let named = frame
            .filter(Frame::has_one_record)
            .and_then(|frame| frame.data.split('^').next()?.parse().ok())
            .filter(|code| self.registered.contains(code));
        match named {
            Some(code) => vec![code],
            None => self.registered.iter().copied().collect(),
        }
    }

    /// Handles the answer to a request.
    fn heed(&mut self, reply: Reply) -> Result<(), Ended> {
        if let Some(cipher) = &reply.cipher {
            self.cipher = Some(cipher.clone());
        }
        if !matches!(reply.verdict, Verdict::Registered | Verdict::Unregistered) {
            counter!("sise_feed_refusals_total", "code" => reply.label()).increment(1);
        }
        let is_of_session = matches!(
            reply.verdict,
            Verdict::TryLater | Verdict::Unapproved | Verdict::InUse | Verdict::KeyRefused
        );
        if is_of_session {
            return Err(Ended::Refused(Box::new(reply)));
        }
        let is_answer = |pending: &Pending| {
            reply.tr_key.is_empty()
                || reply.tr_key == pending.code.as_str()
                || reply.tr_key == "(null)"
        };
        let Some(pending) = self.pending.filter(is_answer) else {
            return Ok(());
        };
        self.pending = None;
        let code = pending.code;
        match (pending.registers, reply.verdict) {
            (true, Verdict::Registered) => {
                self.registered.insert(code);
                if self.missed.remove(&code) {
                    self.resumed.insert(code);
                }
            }
            (true, Verdict::Full) => {
                let most = self.registered.len();
                if most == 0 {
                    return Err(Ended::Refused(Box::new(reply)));
                }
                tracing::warn!(
                    most,
                    "the broker takes no more registrations of the live feed: other programs may \
                     use the app key; set feed.registrations lower to keep room for them"
                );
                self.most = Some(most);
                self.teller.full(most);
            }
            (true, _) => {
                tracing::warn!(
                    %code,
                    answer = reply.code,
                    "the broker does not stream this code: its price is polled as before"
                );
                self.refused.insert(code);
                self.teller.refused(code);
                return Ok(());
            }
            // Whatever the answer, asking again is of no use.
            (false, _) => {
                self.registered.remove(&code);
                self.missed.remove(&code);
                self.most = None;
            }
        }
        gauge!("sise_feed_connected").set(u32::from(!self.registered.is_empty()));
        let count = u32::try_from(self.registered.len()).unwrap_or(u32::MAX);
        gauge!("sise_feed_registrations").set(count);
        self.teller.registered(&self.registered);
        Ok(())
    }

    /// Reports the resumed codes once all are registered, so that missed prices are requested.
    fn tell_resumed(&mut self) {
        if !self.resumed.is_empty() {
            let codes = std::mem::take(&mut self.resumed);
            self.teller.gap(GapReason::Resumed, codes);
        }
    }
}

fn count_dropped(reason: &'static str) {
    counter!("sise_feed_dropped_total", "reason" => reason).increment(1);
}
