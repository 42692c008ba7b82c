//! Policies on the IoT control plane: the wanted state, the current state, and the steps from the
//! one to the other.
//!
//! Pure: it decides, `crate::aws` asks and does. Names, targets and documents are checked here before any call, so that a bulk
//! run does not learn of a typing error from AWS in its third hour.

pub mod canonical;
pub mod plan;
pub mod target;
pub mod text;
