//! The counters of each route, looked up once when a table of routes comes into use.
//!
//! A publication carries its route's name as a pointer that it shares with the table. The pointer's
//! address is the key: no name is compared or hashed for a message.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::route::table::RouteTable;
use crate::telemetry::metrics::{Metrics, RouteCounters};

/// The counters of the routes of one table.
pub(super) struct CountersByRoute {
    metrics: Arc<Metrics>,
    /// It is held so that no other name can come to lie at the address of one of its names.
    table: Option<Arc<RouteTable>>,
    counters: FxHashMap<usize, Arc<RouteCounters>>,
}

impl CountersByRoute {
    pub(super) fn new(metrics: &Arc<Metrics>) -> Self {
        Self {
            metrics: Arc::clone(metrics),
            table: None,
            counters: FxHashMap::default(),
        }
    }

    /// Looks up the counters of a table's routes, unless it is the one in use.
    pub(super) fn follow(&mut self, table: &Arc<RouteTable>) {
        let known = self.table.as_ref();
        if known.is_some_and(|known| Arc::ptr_eq(known, table)) {
            return;
        }
        let counters = table.routes().map(|route| {
            let counters = self.metrics.route(&route.name);
            (address(&route.name), counters)
        });
        self.counters = counters.collect();
        self.table = Some(Arc::clone(table));
    }

    /// The counters of a route, by the name that its publications share with the table.
    pub(super) fn of(&self, name: &Arc<str>) -> Arc<RouteCounters> {
        match self.counters.get(&address(name)) {
            Some(counters) => Arc::clone(counters),
            None => self.metrics.route(name),
        }
    }
}

fn address(name: &Arc<str>) -> usize {
    name.as_ptr().addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_another_table_is_found_by_its_text() {
        let metrics = Arc::new(Metrics::default());
        let mut counters = CountersByRoute::new(&metrics);
        counters.follow(&Arc::new(RouteTable::new(
            Vec::new(),
            crate::event::envelope::Envelope::default(),
            None,
        )));
        let (one, other) = (Arc::from("orders"), Arc::from("orders"));
        counters.of(&one).published.one();
        counters.of(&other).published.one();
        assert_eq!(metrics.counts(), [("published", 2)].into());
    }
}
