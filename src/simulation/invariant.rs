//! The checks of every run. A violation is a defect of the model, and its figures are worth
//! nothing.

use super::engine::SimulationRun;

/// Parts of a message by which the even phases of clients may differ from the exact sum: the
/// discrepancy of multiples of the golden ratio grows with the logarithm of their number.
const PHASE_ERROR: f64 = 32.0;

/// Everything that does not hold after all clients were settled. `addressed` is the sum of the
/// messages to each client over the whole run.
pub(crate) fn check(run: &SimulationRun<'_>, addressed: u64) -> Vec<String> {
    let mut violations = Vec::new();
    let clients = &run.clients;
    if clients.early_live > 0 {
        let count = clients.early_live;
        violations.push(format!(
            "{count} clients were live before their CONNECT was admitted"
        ));
    }
    let counted = [clients.live, clients.away, clients.connected];
    if clients.recount() != counted {
        violations.push(format!(
            "live, away and connected clients are {:?}, and were counted as {counted:?}",
            clients.recount()
        ));
    }
    let ledger = &run.ledger;
    let lost: u64 = ledger.lost.iter().sum();
    let fates = ledger.delivered + run.stored() + lost;
    if fates != addressed {
        violations.push(format!(
            "{addressed} messages were addressed; {} delivered, {} stored and {lost} lost are {fates}",
            ledger.delivered,
            run.stored()
        ));
    }
    let exact = ledger.addressed_to_all();
    if (addressed as f64 - exact).abs() > PHASE_ERROR {
        violations.push(format!(
            "{addressed} messages were addressed, and published times subscribers is {exact:.0}"
        ));
    }
    if run.unconserved_steps > 0 {
        violations.push(format!(
            "in {} seconds the queue's events were not published, buried or waiting",
            run.unconserved_steps
        ));
    }
    let names = ["CONNECT", "SUBSCRIBE"];
    let seconds = names
        .iter()
        .zip(run.busiest_second)
        .zip(run.most_in_a_second());
    for ((name, most), bound) in seconds {
        if bound.is_some_and(|bound| most > bound) {
            violations.push(format!("{most} {name}s were admitted in a second"));
        }
    }
    let totals = run.connect_totals;
    let refused = totals.unreachable
        + totals.connect_quota
        + totals.client_id
        + totals.authorizer_throttled
        + totals.authorizer_timeout
        + totals.gateway;
    let open = totals.attempts.checked_sub(totals.admitted + refused);
    if open.is_none_or(|open| open > u64::from(run.scenario().clients.count)) {
        violations.push(format!(
            "attempts are neither admitted nor refused: {totals:?}"
        ));
    }
    violations
}
