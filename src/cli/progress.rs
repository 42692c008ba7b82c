//! A progress bar on a terminal; silent elsewhere.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on standard error. `template` is indicatif's.
pub(super) fn bar(total: u64, template: &str, message: &'static str) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() && !super::terminal::is_quiet() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template(template);
    ProgressBar::with_draw_target(Some(total), target)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message(message)
}
