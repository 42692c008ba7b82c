//! EventBridge events: envelopes, the scan that reads them, and the event-pattern language.
//!
//! A body is parsed once, in one pass that captures the fields which patterns and templates name ([`scan`]); there is no
//! tree of values. This module is pure: no sockets, clock or environment.

pub mod decode_error;
pub mod envelope;
pub mod fields;
pub mod foreign;
mod lex;
mod notification;
pub mod path_probe;
pub mod pattern;
pub mod scan;
pub mod scanned;
pub mod trace;
pub mod words;
