//! Requests that have arrived and are not completed: what they would change, for a power cut may leave it.
//!
//! It is kept only where all of the history is: what a request has to say is copied as it arrives.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::change::Content;
use super::gate::{OrderedMutex, Rank};

/// What a request would change: what is to be put where, in its order.
pub(crate) type Pieces = Vec<(u64, Content)>;

/// The requests in flight, in the order in which they arrived.
#[derive(Debug)]
pub(crate) struct Flights(OrderedMutex<Table>);

#[derive(Debug, Default)]
struct Table {
    next: u64,
    in_flight: BTreeMap<u64, Arc<Pieces>>,
}

/// A request in flight, until this is dropped or it [has landed](Flights::landed).
#[derive(Debug)]
pub(crate) struct Flight {
    flights: Arc<Flights>,
    number: u64,
}

impl Default for Flights {
    fn default() -> Flights {
        Flights(OrderedMutex::new(Rank::Flights, Table::default()))
    }
}

impl Flights {
    /// Notes a request that has arrived.
    pub(crate) fn arrived(self: &Arc<Self>, pieces: Pieces) -> Flight {
        let mut table = self.0.lock();
        let number = table.next;
        table.next += 1;
        table.in_flight.insert(number, Arc::new(pieces));
        drop(table);
        Flight {
            flights: Arc::clone(self),
            number,
        }
    }

    /// Notes that what a request changes is in the history: it is in flight no more.
    pub(super) fn landed(&self, number: u64) {
        self.0.lock().in_flight.remove(&number);
    }

    /// Those in flight.
    pub(super) fn now(&self) -> Vec<Arc<Pieces>> {
        self.0.lock().in_flight.values().cloned().collect()
    }

    /// Forgets them: nobody completes them any more.
    pub(super) fn clear(&self) {
        self.0.lock().in_flight.clear();
    }
}

impl Flight {
    /// What it is known by.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.landed(self.number);
    }
}
