//! RT011: a timer or a loop asks again and again for news that an event could bring.

use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT011",
    "polling-loop",
    GuardSeverity::Error,
    "a timer or a loop asks again and again for what an event could say",
    "Each client that polls costs requests all the time, most of them for nothing, and \
     learns of a change late. With thousands of clients polling is most of the load of a \
     back end.",
    "put an event when the thing changes, declare its channel in the manifest, and fetch \
     once after a message, or take the data from the message",
    &[
        RuleSample::new(
            "src/orders.ts",
            r##"async function load() {
  const response = await fetch('/orders');
  show(await response.json());
}
setInterval(load, 5000);
"##,
        ),
        RuleSample::new(
            "src/status.ts",
            r##"const poll = async () => {
  const { data } = await axios.get('/status');
  setState(data);
  setTimeout(poll, 2000);
};
"##,
        ),
        RuleSample::new(
            "src/query.tsx",
            r##"import { useQuery } from '@tanstack/react-query';
export const useOrders = () => useQuery({ queryKey: ['orders'], queryFn: list, refetchInterval: 3000 });
"##,
        ),
    ],
    &[
        RuleSample::new(
            "src/clock.ts",
            r##"setInterval(() => tick(), 1000);
setInterval(() => fetch('/metrics', { method: 'POST', body: stats() }), 10_000);
"##,
        ),
        RuleSample::new(
            "src/retry.ts",
            r##"async function load(attempt = 0) {
  try {
    return await fetch('/orders');
  } catch {
    setTimeout(() => load(attempt + 1), 1000);
  }
}
"##,
        ),
        RuleSample::new(
            "src/query.tsx",
            r##"import { useQuery } from '@tanstack/react-query';
export const useOrders = () => useQuery({ queryKey: ['orders'], queryFn: list, refetchInterval: false });
"##,
        ),
    ],
);
