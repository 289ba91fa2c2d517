//! The project's Markdown files, and the few things of Markdown that these tests have to know.

use std::path::{Path, PathBuf};

/// The project's folder.
pub const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// One Markdown file.
pub struct Page {
    /// Its path from the project's folder.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// A block of code.
pub struct Block<'a> {
    /// What stands behind the opening fence, such as `sh run`.
    pub info: &'a str,
    /// Its lines, without the indentation of the fence.
    pub code: String,
}

/// All of them, but for those of others.
pub fn all() -> Vec<Page> {
    let mut pages = Vec::new();
    collect(Path::new(PROJECT), &mut pages);
    pages.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(pages.iter().any(|page| page.name == "README.md"));
    assert!(pages.len() > 20, "{}", pages.len());
    pages
}

fn collect(folder: &Path, pages: &mut Vec<Page>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path: PathBuf = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        if path.is_dir() {
            if !["node_modules", "target", ".git"].contains(&name) {
                collect(&path, pages);
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            let inside = path.strip_prefix(PROJECT).expect("it is in the project");
            pages.push(Page {
                name: inside.to_str().expect("text").to_owned(),
                text: std::fs::read_to_string(&path).expect("a file"),
            });
        }
    }
}

impl Page {
    /// Its blocks of code.
    pub fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks = Vec::new();
        let mut open: Option<(usize, Block<'_>)> = None;
        for line in self.text.lines() {
            let trimmed = line.trim_start();
            match (&mut open, trimmed.strip_prefix("```")) {
                (Some(_), Some("")) => blocks.extend(open.take().map(|(_, block)| block)),
                (None, Some(info)) => {
                    let code = String::new();
                    open = Some((line.len() - trimmed.len(), Block { info, code }));
                }
                (Some((indent, block)), _) => {
                    block.code += line.get(*indent..).unwrap_or("");
                    block.code += "\n";
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block of code does not end", self.name);
        blocks
    }

    /// Its text without blocks and pieces of code.
    pub fn prose(&self) -> String {
        let mut prose = String::new();
        let mut is_code = false;
        for line in self.text.lines() {
            if line.trim_start().starts_with("```") {
                is_code = !is_code;
            } else if !is_code {
                for (at, piece) in line.split('`').enumerate() {
                    prose += if at % 2 == 0 { piece } else { "code" };
                }
            }
            prose += "\n";
        }
        prose
    }

    /// What stands between single backticks.
    pub fn pieces(&self) -> Vec<&str> {
        let mut is_code = false;
        let mut pieces = Vec::new();
        for line in self.text.lines() {
            if line.trim_start().starts_with("```") {
                is_code = !is_code;
            } else if !is_code {
                pieces.extend(line.split('`').skip(1).step_by(2));
            }
        }
        pieces
    }

    /// What a link can have behind `#`: its headings, as the usual sites make them into anchors.
    pub fn anchors(&self) -> Vec<String> {
        let mut anchors: Vec<String> = Vec::new();
        let mut is_code = false;
        for line in self.text.lines() {
            if line.trim_start().starts_with("```") {
                is_code = !is_code;
            }
            let title = line.trim_start_matches('#');
            if is_code || title.len() == line.len() || !title.starts_with(' ') {
                continue;
            }
            let anchor: String = title
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect();
            let same = anchors.iter().filter(|own| **own == anchor).count();
            anchors.push(if same == 0 {
                anchor
            } else {
                format!("{anchor}-{same}")
            });
        }
        anchors
    }
}
