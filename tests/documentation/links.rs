//! Links inside of the project.

use std::path::{Component, Path, PathBuf};

use super::pages::{PROJECT, Page, all};

/// The targets of `[text](target)` and `![text](target)` in prose.
fn targets(page: &Page) -> Vec<String> {
    let prose = page.prose();
    let targets = prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    targets.map(str::to_owned).collect()
}

/// The path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for piece in path.components() {
        match piece {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            piece => plain.push(piece),
        }
    }
    plain
}

#[test]
fn every_link_leads_to_a_file_and_to_a_heading_of_it() {
    let pages = all();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for page in &pages {
        for target in targets(page) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            count += 1;
            let (file, anchor) = target
                .split_once('#')
                .map_or((&target[..], None), |(f, a)| (f, Some(a)));
            let folder = Path::new(&page.name).parent().expect("a folder");
            let path = if file.is_empty() {
                page.name.clone().into()
            } else {
                plain(&folder.join(file))
            };
            if !Path::new(PROJECT).join(&path).exists() {
                wrong.push(format!("{}: there is no {target}", page.name));
                continue;
            }
            let Some(anchor) = anchor else { continue };
            let to = pages.iter().find(|page| Path::new(&page.name) == path);
            if !to.is_some_and(|to| to.anchors().iter().any(|own| own == anchor)) {
                wrong.push(format!(
                    "{}: {} has no heading #{anchor}",
                    page.name,
                    path.display()
                ));
            }
        }
    }
    assert!(count > 100, "{count}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_page_is_reached_from_the_first_one() {
    let pages = all();
    let (mut reached, mut todo) = (vec!["README.md".to_owned()], vec!["README.md".to_owned()]);
    while let Some(name) = todo.pop() {
        let Some(page) = pages.iter().find(|page| page.name == name) else {
            continue;
        };
        let folder = Path::new(&name).parent().expect("a folder");
        for target in targets(page) {
            let file = target.split('#').next().expect("a file");
            let mut path = plain(&folder.join(file));
            if Path::new(PROJECT).join(&path).is_dir() {
                path = path.join("README.md");
            }
            let path = path.to_str().expect("text").to_owned();
            if !file.is_empty() && !target.contains("://") && !reached.contains(&path) {
                reached.push(path.clone());
                todo.push(path);
            }
        }
    }
    let lost: Vec<&str> = pages
        .iter()
        .map(|page| &page.name[..])
        .filter(|name| name.starts_with("docs/") && !reached.iter().any(|own| own == name))
        .collect();
    assert!(lost.is_empty(), "nothing leads to {lost:?}");
}
