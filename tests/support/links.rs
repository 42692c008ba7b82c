//! Links of a built site, followed without a network: each page, file and fragment has to be there.

#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// A page's addresses and the names that links may lead to.
struct Page {
    links: Vec<String>,
    names: BTreeSet<String>,
}

/// Values of attributes in a text of HTML, which quotes them as mdBook does.
fn attributes<'t>(html: &'t str, name: &str) -> impl Iterator<Item = &'t str> {
    let begin = format!(" {name}=\"");
    let parts: Vec<&str> = html.split(&begin).skip(1).collect();
    parts.into_iter().filter_map(|rest| rest.split('"').next())
}

fn page(html: &str) -> Page {
    // Examples in blocks of code are text, whose tags are escaped: `<` begins real tags only.
    let unescaped = |text: &str| text.replace("&amp;", "&").replace("&#39;", "'");
    let links = attributes(html, "href").chain(attributes(html, "src"));
    Page {
        links: links.map(unescaped).collect(),
        names: attributes(html, "id").map(unescaped).collect(),
    }
}

fn pages(folder: &Path, below: &Path, found: &mut BTreeMap<PathBuf, Page>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = below.join(path.file_name().unwrap());
        if path.is_dir() {
            pages(&path, &name, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "html")
        {
            found.insert(name, page(&fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Target of a page's link within the site; `None` when it leaves the site.
fn target(from: &Path, link: &str) -> Option<PathBuf> {
    let mut way = from.parent().unwrap().to_path_buf();
    for part in Path::new(link).components() {
        match part {
            Component::Normal(name) => way.push(name),
            Component::ParentDir => {
                if !way.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(way)
}

/// The links of a site that lead nowhere, and the number of those that were followed.
pub(crate) fn broken(site: &Path) -> (Vec<String>, usize) {
    let mut found = BTreeMap::new();
    pages(site, Path::new(""), &mut found);
    let (mut broken, mut followed) = (Vec::new(), 0);
    for (name, page) in &found {
        // Shown for any address: its links are those of the first page.
        if name == Path::new("404.html") {
            continue;
        }
        for link in &page.links {
            if link.starts_with("https://") {
                let host = link.trim_start_matches("https://").split('/').next();
                if !host.is_some_and(|host| host.contains('.')) {
                    broken.push(format!("{}: {link}", name.display()));
                }
                continue;
            }
            if ["http://", "mailto:", "data:", "javascript:"]
                .iter()
                .any(|scheme| link.starts_with(scheme))
            {
                broken.push(format!("{}: {link}", name.display()));
                continue;
            }
            followed += 1;
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let leads = if path.is_empty() {
                Some(name.clone())
            } else {
                target(name, path)
            };
            let right = leads.is_some_and(|leads| match found.get(&leads) {
                Some(page) => fragment.is_empty() || page.names.contains(fragment),
                None => fragment.is_empty() && site.join(leads).is_file(),
            });
            if !right {
                broken.push(format!("{}: {link}", name.display()));
            }
        }
    }
    (broken, followed)
}
