//! Values of parameters that conditions ask for and that nobody gave: each combination is a world,
//! in which all templates are looked at.

use super::template::{ParsedTemplate, Undecided};

/// More combinations than this are not tried; further parameters stay unknown.
const MAX_WORLDS: usize = 64;

/// One combination: names with the value that is tried; `None` is a value that no condition names.
pub(super) type ParameterValues<'p> = Vec<(&'p str, Option<&'p str>)>;

/// All combinations; a single empty one where everything is known.
///
/// A parameter of several templates has one value in all of them, as `--parameter` gives one to
/// all.
pub(super) fn worlds<'p>(templates: &'p [ParsedTemplate<'_>]) -> Vec<ParameterValues<'p>> {
    let mut undecided: Vec<&Undecided> = Vec::new();
    for one in templates.iter().flat_map(|one| &one.undecided) {
        if !undecided.iter().any(|(name, _)| *name == one.0) {
            undecided.push(one);
        }
    }
    let mut worlds: Vec<ParameterValues<'p>> = vec![Vec::new()];
    for (name, tried) in undecided {
        if tried.is_empty() || worlds.len() * tried.len() > MAX_WORLDS {
            continue;
        }
        worlds = worlds
            .iter()
            .flat_map(|world| {
                tried.iter().map(move |value| {
                    let mut more = world.clone();
                    more.push((name.as_str(), value.as_deref()));
                    more
                })
            })
            .collect();
    }
    worlds
}
