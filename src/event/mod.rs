//! EventBridge events: envelopes, the scan that reads them, and the event-pattern language.
