//! Looks into the datastore while a task is in work: whether its run still wants it (the lease), and whether it still is
//! the one that counts (the next attempt's mark).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use model::{Attempt, layout, lease::LeaseTerms, spec::TaskSpec};

use crate::{
    console::Console,
    failure::sentence,
    interrupts::Interrupts,
    lease::{self, Lapse},
    order::Order,
    retry::random_fraction,
    s3::Patience,
    store::Store,
};

/// How long a look may take when the container is about to be killed.
const HURRIED: Duration = Duration::from_secs(1);

/// Who looks, and where.
#[derive(Debug, Clone)]
pub(crate) struct Lookout {
    store: Store,
    terms: LeaseTerms,
    /// Flow and run.
    run: String,
    /// The launcher writes it before it launches the next attempt.
    next_attempt: String,
    /// How long one look may take.
    patience: Duration,
    /// Whether user code has begun, or is about to. Clones share it.
    has_begun: Arc<AtomicBool>,
    interrupts: Interrupts,
    console: Arc<Console>,
}

/// Looks go on as long as this is there.
#[derive(Debug)]
pub(crate) struct Watch {
    _ends: Sender<()>,
}

impl Lookout {
    /// For a task whose run has a lease.
    pub(crate) fn new(
        store: &Store,
        spec: &TaskSpec,
        patience: Duration,
        interrupts: &Interrupts,
        console: &Arc<Console>,
    ) -> Option<Self> {
        let TaskSpec { flow, task, .. } = spec;
        let next = Attempt(spec.attempt.0.saturating_add(1));
        Some(Self {
            store: store.clone(),
            terms: spec.lease.clone()?,
            run: format!("{flow}/{}", task.run),
            next_attempt: layout::attempt_json(flow, task, next),
            patience,
            has_begun: Arc::default(),
            interrupts: interrupts.clone(),
            console: Arc::clone(console),
        })
    }

    /// Whether user code may start. What cannot be known is no reason against it.
    pub(crate) fn gate(&self) -> Result<(), Order> {
        match lease::read(&self.store, &self.terms.key, self.patience()) {
            Ok(sight) => match sight.against_a_start(&self.run, &self.terms) {
                Some(order) => Err(order),
                None => Ok(()),
            },
            Err(unknown) => {
                let why = sentence(&unknown);
                let text = format!("the run's lease is not known, so the task starts: {why}");
                self.console.say(&text);
                Ok(())
            }
        }
    }

    /// User code begins, unless an order has come: from now on the grace counts, and not the gate.
    pub(crate) fn begins(&self) {
        self.has_begun.store(true, Ordering::Relaxed);
    }

    /// Starts to look now and then, and to act on what is seen.
    pub(crate) fn start(&self) -> Watch {
        let (ends, ended) = channel();
        let lookout = self.clone();
        thread::spawn(move || lookout.watch(&ended));
        Watch { _ends: ends }
    }

    /// Whether the next attempt was launched, and nothing of this one may be written any more. Once it is known, it stays so.
    pub(crate) fn is_superseded(&self) -> bool {
        if self.interrupts.is_superseded() {
            return true;
        }
        // What cannot be known is no reason to throw a result away.
        let found = self.store.exists(&self.next_attempt, self.patience());
        let is_superseded = found.unwrap_or(false);
        if is_superseded {
            self.order(Order::Superseded);
        }
        is_superseded
    }

    fn watch(&self, ended: &Receiver<()>) {
        let mut lapse = Lapse::default();
        // Between half and one and a half of it, so that 10,000 containers do not look together.
        let pause = || {
            Duration::from_secs(self.terms.cadence_seconds.max(1)).mul_f64(0.5 + random_fraction())
        };
        while ended.recv_timeout(pause()) == Err(RecvTimeoutError::Timeout) {
            if self.is_superseded() {
                return;
            }
            let Ok(sight) = lease::read(&self.store, &self.terms.key, self.patience()) else {
                continue;
            };
            let order = if self.has_begun.load(Ordering::Relaxed) {
                lapse.look(&sight, &self.run, &self.terms, Instant::now())
            } else {
                // The gate may close while the task is prepared.
                sight.against_a_start(&self.run, &self.terms)
            };
            if let Some(order) = order {
                self.order(order);
                return;
            }
        }
    }

    fn order(&self, order: Order) {
        self.console.say(&sentence(&order));
        self.interrupts.order(order);
    }

    fn patience(&self) -> Patience {
        // Once a signal has come, time is short, and there are other things to tell.
        let patience = match self.interrupts.raised() {
            Some(_) => self.patience.min(HURRIED),
            None => self.patience,
        };
        Patience::Until(Instant::now() + patience)
    }
}
