//! What the items that may come next cost, and what it spared to go by that.

use super::{Bench, Driver, DriverError};
use crate::search::Step;

/// Items that are priced before a step: each takes a look at what differs between two trees, some 20 ms.
const PRICED_MAX: usize = 48;

impl<B: Bench> Driver<'_, B> {
    /// Lets the search know what the items cost that may come next.
    pub(super) fn set_prices(&mut self) -> Result<(), DriverError<B::Error>> {
        // The bad end comes first, whatever it costs.
        if !self.made.contains_key(&self.ends.0) {
            return Ok(());
        }
        self.price();
        // That the other end has to wait is known by the prices only.
        self.leave_out()?;
        self.price();
        Ok(())
    }

    fn price(&mut self) {
        let promising = self.search.promising(PRICED_MAX);
        self.ask(&promising);
        let known = &self.prices.known;
        let nearest = |item: &usize| Some((*item, known.get(item)?.nearest));
        self.search.set_prices(promising.iter().filter_map(nearest));
    }

    fn ask(&mut self, items: &[usize]) {
        let is_new = |item: &usize| !self.prices.known.contains_key(item);
        let unknown: Vec<usize> = items.iter().copied().filter(is_new).collect();
        if unknown.is_empty() || self.prices.is_silent {
            return;
        }
        let prices = self.bench.prices(&unknown);
        self.prices.is_silent = prices.is_empty();
        self.prices.known.extend(unknown.into_iter().zip(prices));
    }

    /// What is spared by making this item where it costs least, and not the one that would be next if all cost the
    /// same where the last one was made, in milliseconds: an estimate.
    pub(super) fn spared(&mut self, item: usize) -> Option<i64> {
        let is_next = matches!(self.search.step(), Step::Run(next) if next.item == item);
        let other = self.search.regardless_of_price().filter(|_| is_next)?;
        self.ask(&[item, other]);
        let of = |item: usize| self.prices.known.get(&item);
        let (Some(item), Some(other), Some(whole_ms)) = (of(item), of(other), self.bench.whole_ms()) else {
            return None;
        };
        Some(((other.last - item.nearest) * whole_ms as f64) as i64)
    }
}
