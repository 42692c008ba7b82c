//! The shop in which roles are tried: its channels and routes, to which a test adds the roles that
//! it is about.

#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) const CUSTOMER: &str = "5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11";
pub(crate) const ORDER: &str = "11111111-4f0b-4d3e-9f51-6a4f0c6c2a11";

const SHOP: &str = r#"
channels:
  user: { id: uuid }
  order: { id: uuid }
routes:
  - name: orders
    match: { source: [shop.orders] }
    to: ["order:{detail.orderId}"]
"#;

/// A configuration with more below it: roles, and other sections that a test wants.
pub(crate) fn configuration(more: &str) -> String {
    [SHOP, more].concat()
}
