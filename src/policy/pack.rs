//! Statements into documents of limited size: as few documents as can be, the same ones every time.
//!
//! A resource is what cannot be cut. A document pays once for itself and once for each statement in it, so statements are kept together
//! where that is shorter. Two orders are tried, each filling one document after the other to the brim; the one that needs fewer documents is
//! taken. Sizes are bytes of the minified text: whatever AWS means by characters, there are not more of them.

use super::draft::{Allow, Draft};

/// Overflow of the room for documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackOverflow {
    /// The documents that would be needed; none when a single resource is too large for any.
    pub documents: Option<usize>,
    /// The characters of one document that says everything.
    pub characters: usize,
}

/// Cuts statements into at most `documents` documents of at most `characters` characters each. A statement without resources is left
/// out.
///
/// # Errors
/// [`PackOverflow`] gives the room that would be needed.
pub fn pack(
    statements: &[Allow],
    documents: usize,
    characters: usize,
) -> Result<Vec<Draft>, PackOverflow> {
    let mut items: Vec<PackItem<'_>> = Vec::new();
    for (statement, allow) in statements.iter().enumerate() {
        items.extend(allow.resources.iter().map(|resource| PackItem {
            statement,
            resource,
            size: quoted(resource),
        }));
    }
    let heads: Vec<usize> = statements.iter().map(head).collect();
    let packer = Packer { heads, characters };
    let whole = Packer {
        characters: usize::MAX,
        ..packer.clone()
    };
    let total: usize = whole
        .fill(&items)
        .iter()
        .flatten()
        .map(|bin| bin.size)
        .sum();
    // Together by statement, the largest first; and simply the largest first.
    items.sort_by_key(|item| (item.statement, std::cmp::Reverse(item.size)));
    let by_statement = packer.fill(&items);
    items.sort_by_key(|item| (std::cmp::Reverse(item.size), item.statement));
    let by_size = packer.fill(&items);
    let (Some(by_statement), Some(by_size)) = (by_statement, by_size) else {
        return Err(PackOverflow {
            documents: None,
            characters: total,
        });
    };
    let bins = if by_size.len() < by_statement.len() {
        by_size
    } else {
        by_statement
    };
    if bins.len() > documents {
        return Err(PackOverflow {
            documents: Some(bins.len()),
            characters: total,
        });
    }
    Ok(bins.iter().map(|bin| bin.draft(statements)).collect())
}

/// A resource of a statement, by the statement's place.
#[derive(Clone, Copy)]
struct PackItem<'s> {
    statement: usize,
    resource: &'s str,
    /// As JSON.
    size: usize,
}

/// One document being filled: the resources of each statement.
struct Bin<'s> {
    statements: Vec<(usize, Vec<&'s str>)>,
    size: usize,
}

#[derive(Clone)]
struct Packer {
    /// Characters of each statement without its resources.
    heads: Vec<usize>,
    characters: usize,
}

impl Packer {
    /// Fills one document after the other; `None` when something fits in none.
    fn fill<'s>(&self, items: &[PackItem<'s>]) -> Option<Vec<Bin<'s>>> {
        let mut left: Vec<PackItem<'s>> = items.to_vec();
        let mut bins = Vec::new();
        while !left.is_empty() {
            let mut bin = Bin {
                statements: Vec::new(),
                size: size_of_empty(),
            };
            left.retain(|item| !self.add(&mut bin, item));
            if bin.statements.is_empty() {
                return None;
            }
            bins.push(bin);
        }
        Some(bins)
    }

    /// Adds an item if there is room for it.
    fn add<'s>(&self, bin: &mut Bin<'s>, item: &PackItem<'s>) -> bool {
        let known = bin
            .statements
            .iter()
            .position(|(statement, _)| *statement == item.statement);
        let growth = match known.and_then(|at| bin.statements.get(at)) {
            // A comma between statements.
            None => {
                let head = self.heads.get(item.statement).copied().unwrap_or_default();
                head + item.size + usize::from(!bin.statements.is_empty())
            }
            // A comma, and with the second resource the brackets of a list.
            Some((_, resources)) => item.size + if resources.len() == 1 { 3 } else { 1 },
        };
        if bin.size.saturating_add(growth) > self.characters {
            return false;
        }
        bin.size += growth;
        match known.and_then(|at| bin.statements.get_mut(at)) {
            Some((_, resources)) => resources.push(item.resource),
            None => bin.statements.push((item.statement, vec![item.resource])),
        }
        true
    }
}

impl Bin<'_> {
    /// The document, in the order of the statements and of the resources' names.
    fn draft(&self, statements: &[Allow]) -> Draft {
        let mut filled: Vec<&(usize, Vec<&str>)> = self.statements.iter().collect();
        filled.sort_by_key(|(statement, _)| *statement);
        let allow = |(statement, resources): &(usize, Vec<&str>)| {
            let whole = statements.get(*statement);
            let actions = whole.map(|allow| allow.actions.clone());
            let mut resources: Vec<String> = resources.iter().map(ToString::to_string).collect();
            resources.sort_unstable();
            Allow::new(actions.unwrap_or_default(), resources)
                .when(whole.and_then(|allow| allow.condition.clone()))
        };
        Draft::new(filled.into_iter().map(allow).collect())
    }
}

/// Text as a JSON string, in bytes.
fn quoted(text: &str) -> usize {
    let escaped = |c: char| match c {
        '"' | '\\' | '\u{8}' | '\t' | '\n' | '\u{c}' | '\r' => 2,
        c if c < ' ' => 6,
        c => c.len_utf8(),
    };
    2 + text.chars().map(escaped).sum::<usize>()
}

fn size_of_empty() -> usize {
    r#"{"Version":"2012-10-17","Statement":[]}"#.len()
}

/// A statement without its resources.
fn head(statement: &Allow) -> usize {
    let actions: usize = statement.actions.iter().map(|action| quoted(action)).sum();
    let list = match statement.actions.len() {
        1 => 0,
        many => many + 1,
    };
    let condition = statement.condition.as_ref().map_or(0, |condition| {
        r#","Condition":"#.len() + condition.characters()
    });
    r#"{"Effect":"Allow","Action":,"Resource":}"#.len() + actions + list + condition
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn statements(resources: &[&[usize]]) -> Vec<Allow> {
        let actions: [&[&str]; 3] = [
            &["iot:Connect"],
            &["iot:Publish", "iot:RetainPublish"],
            &["iot:Subscribe"],
        ];
        let names = |lengths: &&[usize]| {
            let name =
                |(index, length): (usize, &usize)| format!("{index:02}\"é{}", "x".repeat(*length));
            lengths.iter().enumerate().map(name).collect()
        };
        let statement = |(actions, lengths): (&&[&'static str], &&[usize])| {
            Allow::new(actions.to_vec(), names(lengths))
        };
        actions.iter().zip(resources).map(statement).collect()
    }

    /// The fewest documents, by trying every way to put the items.
    fn fewest(statements: &[Allow], characters: usize) -> Option<usize> {
        let items: Vec<(usize, &String)> = statements
            .iter()
            .enumerate()
            .flat_map(|(index, allow)| {
                allow
                    .resources
                    .iter()
                    .map(move |resource| (index, resource))
            })
            .collect();
        let fits = |set: &[usize]| {
            let allows = statements.iter().enumerate().filter_map(|(index, allow)| {
                let of = |at: &&usize| items[**at].0 == index;
                let resources: Vec<String> = set
                    .iter()
                    .filter(of)
                    .map(|at| items[*at].1.clone())
                    .collect();
                (!resources.is_empty()).then(|| Allow::new(allow.actions.clone(), resources))
            });
            Draft::new(allows.collect()).minified().len() <= characters
        };
        fn search(
            at: usize,
            items: usize,
            bins: &mut Vec<Vec<usize>>,
            fits: &impl Fn(&[usize]) -> bool,
            best: &mut Option<usize>,
        ) {
            if best.is_some_and(|best| bins.len() >= best) {
                return;
            }
            if at == items {
                *best = Some(bins.len());
                return;
            }
            for bin in 0..=bins.len() {
                if bin == bins.len() {
                    bins.push(Vec::new());
                }
                bins[bin].push(at);
                if fits(&bins[bin]) {
                    search(at + 1, items, bins, fits, best);
                }
                bins[bin].pop();
                bins.retain(|bin| !bin.is_empty());
            }
        }
        let mut best = None;
        search(0, items.len(), &mut Vec::new(), &fits, &mut best);
        best
    }

    /// Everything that some documents say, in order.
    fn said(drafts: &[Draft]) -> Vec<(&'static str, String)> {
        let of = |allow: &Allow| {
            let pair = |action: &&'static str| {
                let action = *action;
                allow
                    .resources
                    .iter()
                    .map(move |resource| (action, resource.clone()))
            };
            allow.actions.iter().flat_map(pair).collect::<Vec<_>>()
        };
        let mut said: Vec<_> = drafts
            .iter()
            .flat_map(|draft| &draft.statements)
            .flat_map(of)
            .collect();
        said.sort();
        said
    }

    fn lengths() -> impl Strategy<Value = Vec<Vec<usize>>> {
        proptest::collection::vec(proptest::collection::vec(0_usize..60, 0..4), 3)
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_sizes_are_right(lengths in lengths(), characters in 150_usize..400) {
            let lengths: Vec<&[usize]> = lengths.iter().map(Vec::as_slice).collect();
            let statements = statements(&lengths);
            let packed = pack(&statements, usize::MAX, characters);
            let fewest = fewest(&statements, characters);
            match &packed {
                Ok(drafts) => {
                    prop_assert_eq!(said(drafts), said(&[Draft::new(statements.clone())]));
                    prop_assert!(drafts.iter().all(|draft| draft.minified().len() <= characters));
                    let fewest = fewest.unwrap();
                    prop_assert!(drafts.len() <= fewest + 1, "{} documents, {fewest} are enough", drafts.len());
                    if let Some(less) = drafts.len().checked_sub(1) {
                        let refused = pack(&statements, less, characters).unwrap_err();
                        prop_assert_eq!(refused.documents, Some(drafts.len()));
                        let full: Vec<Allow> = statements.iter().filter(|allow| !allow.resources.is_empty()).cloned().collect();
                        prop_assert_eq!(refused.characters, Draft::new(full).minified().len());
                    }
                }
                Err(overflow) => {
                    prop_assert_eq!(overflow.documents, None);
                    prop_assert_eq!(fewest, None);
                }
            }
            prop_assert_eq!(pack(&statements, usize::MAX, characters), packed);
        }
    }

    /// Counts how often the fewest documents are missed, over many small cases.
    #[test]
    fn the_fewest_documents_are_mostly_found() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut missed = 0;
        for _ in 0..500 {
            let lengths: Vec<Vec<usize>> = (0..3)
                .map(|_| {
                    (0..random.usize(0..4))
                        .map(|_| random.usize(0..60))
                        .collect()
                })
                .collect();
            let lengths: Vec<&[usize]> = lengths.iter().map(Vec::as_slice).collect();
            let statements = statements(&lengths);
            let characters = random.usize(180..400);
            if let (Ok(drafts), Some(fewest)) = (
                pack(&statements, 99, characters),
                fewest(&statements, characters),
            ) {
                missed += usize::from(drafts.len() > fewest);
            }
        }
        assert!(missed <= 5, "missed {missed} of 500");
    }
}
