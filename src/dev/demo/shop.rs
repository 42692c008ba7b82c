//! The scenario: customers with orders under way, and couriers that deliver them. Pure: the caller
//! passes chance and ids.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

/// Number of couriers.
pub(super) const COURIERS: usize = 4;

/// Minimum and maximum number of customers.
const CUSTOMERS: (u32, u32) = (8, 300);

/// Events a second for each customer. With more, a customer would do nothing but reconnect with new
/// tokens.
const PER_CUSTOMER: u32 = 3;

/// Number of customers of a tenant. A topic's messages go one after the other, so one tenant cannot
/// have all customers.
const PER_TENANT: usize = 8;

/// Number of open orders of a customer. A token names them all.
const ORDERS: usize = 5;

/// An order's way: the name of the event, and the order's state.
const WAY: [(&str, &str); 6] = [
    ("OrderPlaced", "placed"),
    ("OrderUpdated", "paid"),
    ("OrderUpdated", "packed"),
    ("OrderUpdated", "on the road"),
    ("OrderUpdated", "two stops away"),
    ("OrderDelivered", "delivered"),
];

/// Texts of the announcements.
const NEWS: [&str; 4] = [
    "Free delivery until six",
    "The bakery is back",
    "Snow: couriers take it slowly",
    "Ten thousand orders today",
];

/// An event to be put on the bus.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Put {
    pub(super) source: &'static str,
    pub(super) detail_type: &'static str,
    pub(super) detail: Value,
    /// The customer who needs a token with new orders after it: all of the old ones are delivered.
    pub(super) renews: Option<usize>,
}

#[derive(Clone, Debug)]
struct Order {
    id: String,
    total: u32,
    courier: usize,
    /// Steps of its way that the order has made.
    steps: usize,
}

#[derive(Clone, Debug)]
struct Customer {
    id: String,
    orders: Vec<Order>,
}

/// The shop.
#[derive(Clone, Debug)]
pub(super) struct Shop {
    tenants: Vec<String>,
    customers: Vec<Customer>,
    couriers: Vec<String>,
    /// Ids to come, so that tests know them.
    ids: Ids,
    puts: u64,
}

/// Source of ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Ids(VecDeque<String>);

impl Ids {
    fn next(&mut self) -> String {
        self.0.pop_front().unwrap_or_else(crate::dev::uuid::uuid)
    }
}

impl Shop {
    /// A shop with customers enough for so many events a second.
    pub(super) fn open(rate: u32) -> Self {
        let mut ids = Ids::default();
        let customers = (rate / PER_CUSTOMER).clamp(CUSTOMERS.0, CUSTOMERS.1) as usize;
        let mut some = |count: usize| (0..count).map(|_| ids.next()).collect();
        let mut shop = Self {
            tenants: some(customers.div_ceil(PER_TENANT)),
            couriers: some(COURIERS),
            customers: Vec::new(),
            ids,
            puts: 0,
        };
        for _ in 0..customers {
            let id = shop.ids.next();
            let orders = shop.orders();
            shop.customers.push(Customer { id, orders });
        }
        // Not all of them at the same point.
        for (index, customer) in shop.customers.iter_mut().enumerate() {
            for (number, order) in customer.orders.iter_mut().enumerate() {
                order.steps = (index + number) % WAY.len();
            }
        }
        shop
    }

    fn orders(&mut self) -> Vec<Order> {
        let order = |_| Order {
            id: self.ids.next(),
            total: fastrand::u32(5..900),
            courier: fastrand::usize(..COURIERS),
            steps: 0,
        };
        (0..ORDERS).map(order).collect()
    }

    /// The next event.
    pub(super) fn next(&mut self) -> Put {
        self.puts += 1;
        if self.puts.is_multiple_of(60) {
            let news = NEWS.get(fastrand::usize(..NEWS.len()));
            return Put {
                source: "shop.office",
                detail_type: "Announced",
                detail: json!({ "text": news }),
                renews: None,
            };
        }
        let index = fastrand::usize(..self.customers.len().max(1));
        self.go_on(index)
    }

    /// One of a customer's orders takes its next step.
    fn go_on(&mut self, index: usize) -> Put {
        let tenant = self.tenants.get(index / PER_TENANT);
        let couriers = &self.couriers;
        let Some(customer) = self.customers.get_mut(index) else {
            return Put {
                source: "shop.office",
                detail_type: "Closed",
                detail: json!({}),
                renews: None,
            };
        };
        let open = |order: &&mut Order| order.steps < WAY.len();
        let mut open: Vec<&mut Order> = customer.orders.iter_mut().filter(open).collect();
        let place = fastrand::usize(..open.len().max(1));
        let (mut detail_type, mut detail) = ("OrderUpdated", json!({}));
        if let Some(order) = open.get_mut(place)
            && let Some((name, state)) = WAY.get(order.steps)
        {
            order.steps += 1;
            detail_type = name;
            detail = json!({
                "orderId": order.id,
                "tenantId": tenant,
                "customerId": customer.id,
                "courierId": couriers.get(order.courier),
                "state": state,
                "total": order.total,
            });
        }
        let done = customer.orders.iter().all(|order| order.steps >= WAY.len());
        Put {
            source: "shop.orders",
            detail_type,
            detail,
            renews: done.then_some(index),
        }
    }

    /// A customer whose orders are all delivered orders again.
    pub(super) fn renew(&mut self, index: usize) {
        let orders = self.orders();
        if let Some(customer) = self.customers.get_mut(index) {
            customer.orders = orders;
        }
    }

    /// Number of customers.
    pub(super) fn customers(&self) -> usize {
        self.customers.len()
    }

    /// Claims of a customer's token.
    pub(super) fn customer(&self, index: usize) -> Map<String, Value> {
        let customer = self.customers.get(index);
        let orders = customer.map_or(&[][..], |customer| &customer.orders);
        let orders: Vec<Value> = orders
            .iter()
            .map(|order| json!({ "id": order.id, "courier": self.couriers.get(order.courier) }))
            .collect();
        claims(
            customer.map(|customer| customer.id.as_str()),
            ("orders", orders.into()),
        )
    }

    /// Claims of a courier's token: the courier's id, and the orders that it brings.
    pub(super) fn courier(&self, index: usize) -> Map<String, Value> {
        let orders = self.customers.iter().flat_map(|customer| &customer.orders);
        let tour = orders.filter(|order| order.courier == index);
        // A connection has 50 subscriptions at most.
        let tour: Vec<Value> = tour.take(20).map(|order| order.id.clone().into()).collect();
        claims(
            self.couriers.get(index).map(String::as_str),
            ("tour", tour.into()),
        )
    }

    /// Channel on which a courier reports its position.
    pub(super) fn position(&self, index: usize) -> Option<String> {
        Some(format!("position/{}", self.couriers.get(index)?))
    }

    /// An order of a customer.
    pub(super) fn order_of(&self, index: usize) -> Option<String> {
        let order = self.customers.get(index)?.orders.first()?;
        Some(format!("order/{}", order.id))
    }
}

fn claims(sub: Option<&str>, (name, value): (&str, Value)) -> Map<String, Value> {
    let mut claims = Map::new();
    claims.insert("sub".into(), sub.into());
    claims.insert(name.into(), value);
    claims
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_goes_its_whole_way() {
        let mut shop = Shop::open(25);
        let mut renewed = 0;
        let mut seen = std::collections::BTreeMap::<String, Vec<String>>::new();
        for _ in 0..5_000 {
            let put = shop.next();
            if put.source == "shop.orders" {
                let member = |name: &str| put.detail[name].as_str().unwrap().to_owned();
                seen.entry(member("orderId"))
                    .or_default()
                    .push(member("state"));
            }
            if let Some(index) = put.renews {
                shop.renew(index);
                renewed += 1;
            }
        }
        assert!(renewed > 100, "{renewed}");
        // Orders that began after the opening, and are done.
        let whole: Vec<&str> = WAY.iter().map(|(_, state)| *state).collect();
        let done = seen
            .values()
            .filter(|states| states.last().is_some_and(|last| last == "delivered"));
        let (full, late): (Vec<_>, Vec<_>) = done.partition(|states| states.len() == WAY.len());
        assert!(full.len() > 500 && late.len() <= shop.customers() * ORDERS);
        assert!(full.iter().all(|states| **states == whole));
    }

    #[test]
    fn claims_fit_the_roles_of_the_shop() {
        let shop = Shop::open(25);
        let customer = shop.customer(0);
        assert_eq!(customer["orders"].as_array().unwrap().len(), ORDERS);
        assert!(customer["orders"][0]["courier"].is_string());
        let tours =
            (0..COURIERS).map(|index| shop.courier(index)["tour"].as_array().unwrap().len());
        assert_eq!(tours.sum::<usize>(), shop.customers() * ORDERS);
    }
}
