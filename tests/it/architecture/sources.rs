//! The source text as modules: what each file defines, what it gives other names, and which paths its code mentions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Item, UseTree, Visibility};

/// A path as it is written: `["super", "frame", "Frame"]`.
pub type Written = Vec<String>;

/// A module, of one file; a module within a file is one too.
#[derive(Debug, Default)]
pub struct Module {
    /// From the repository's top: `src/archive/frame.rs`.
    pub file: String,
    /// The names that are defined here, except for child modules.
    pub defined: BTreeSet<String>,
    /// The names that `use` brings here, with what they stand for.
    pub bound: BTreeMap<String, Written>,
    /// `use x::*`.
    pub globs: Vec<Written>,
    /// What is brought here for this file, not for others. A trait may be needed without being mentioned.
    pub brought: BTreeSet<Written>,
    /// What is handed on under a name of this module: `pub use`.
    pub handed_on: BTreeSet<Written>,
    /// Every path that the code mentions.
    pub mentioned: BTreeSet<Written>,
}

/// The modules of a crate by their paths; its root has the empty one.
#[derive(Debug)]
pub struct Sources {
    pub modules: BTreeMap<Vec<String>, Module>,
}

/// The repository.
pub fn top() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).to_path_buf()
}

impl Sources {
    /// The crate whose root is this file, such as `src/lib.rs`.
    pub fn of(root: &str) -> Self {
        Self::read(root, &|file| {
            fs::read_to_string(top().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
        })
    }

    /// The crate whose root is this file, with the texts of all files.
    pub fn read(root: &str, text: &dyn Fn(&str) -> String) -> Self {
        let mut sources = Self {
            modules: BTreeMap::new(),
        };
        let folder = Path::new(root).parent().expect("a folder").to_path_buf();
        sources.add_file(Vec::new(), root, &folder, text);
        sources
    }

    fn add_file(&mut self, path: Vec<String>, file: &str, children: &Path, text: &dyn Fn(&str) -> String) {
        let parsed = syn::parse_file(&text(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        if !for_tests(&parsed.attrs) {
            self.add(path, file, children, parsed.items, text);
        }
    }

    /// What is only compiled for tests is left out.
    fn add(&mut self, path: Vec<String>, file: &str, children: &Path, items: Vec<Item>, text: &dyn Fn(&str) -> String) {
        let mut module = Module {
            file: file.to_owned(),
            ..Module::default()
        };
        for item in items.into_iter().filter(|item| !for_tests(attributes(item))) {
            match item {
                Item::Mod(inner) => {
                    let name = inner.ident.to_string();
                    let below = children.join(&name);
                    let path = path.iter().cloned().chain([name]).collect();
                    match inner.content {
                        Some((_, items)) => self.add(path, file, &below, items, text),
                        None => self.add_file(path, &format!("{}.rs", below.display()), &below, text),
                    }
                }
                Item::Use(brought) => module.bring(&brought.tree, Vec::new(), &brought.vis),
                item => {
                    module.defined.extend(name_of(&item));
                    module.mention(item.to_token_stream());
                }
            }
        }
        self.modules.insert(path, module);
    }
}

impl Module {
    fn bring(&mut self, tree: &UseTree, before: Written, visibility: &Visibility) {
        let with = |name: &str| before.iter().cloned().chain([name.to_owned()]).collect::<Written>();
        match tree {
            UseTree::Path(path) => self.bring(&path.tree, with(&path.ident.to_string()), visibility),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.bring(tree, before.clone(), visibility);
                }
            }
            UseTree::Glob(_) => {
                self.note(before.clone(), visibility);
                self.globs.push(before);
            }
            UseTree::Name(name) if name.ident == "self" => {
                self.bind(before.last().expect("a path before self").clone(), before, visibility);
            }
            UseTree::Name(name) => self.bind(name.ident.to_string(), with(&name.ident.to_string()), visibility),
            UseTree::Rename(renamed) => {
                let whole = match renamed.ident == "self" {
                    true => before,
                    false => with(&renamed.ident.to_string()),
                };
                self.bind(renamed.rename.to_string(), whole, visibility);
            }
        }
    }

    fn bind(&mut self, name: String, whole: Written, visibility: &Visibility) {
        self.note(whole.clone(), visibility);
        self.bound.insert(name, whole);
    }

    fn note(&mut self, whole: Written, visibility: &Visibility) {
        match visibility {
            Visibility::Inherited => self.brought.insert(whole),
            _ => self.handed_on.insert(whole),
        };
    }

    /// Notes the paths in code, in macros' arguments too.
    fn mention(&mut self, code: TokenStream) {
        let tokens: Vec<TokenTree> = code.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            at = match &tokens[at] {
                TokenTree::Group(group) => {
                    self.mention(group.stream());
                    at + 1
                }
                TokenTree::Punct(punct) if punct.as_char() == '#' && test_attribute(tokens.get(at + 1)) => {
                    after_item(&tokens, at + 2)
                }
                TokenTree::Ident(ident) if ident == "use" => match self.mention_use(&tokens, at) {
                    Some(after) => after,
                    None => at + 1,
                },
                TokenTree::Ident(_) if !continues(&tokens, at) => {
                    let (path, after) = path_at(&tokens, at);
                    self.mentioned.insert(path);
                    after
                }
                _ => at + 1,
            };
        }
    }

    /// A `use` within a function counts as one of the module's.
    fn mention_use(&mut self, tokens: &[TokenTree], at: usize) -> Option<usize> {
        let length = tokens[at..].iter().position(|token| is(token, ';'))?;
        let code = tokens[at..=at + length].iter().cloned().collect::<TokenStream>();
        let brought = syn::parse2::<syn::ItemUse>(code).ok()?;
        self.bring(&brought.tree, Vec::new(), &brought.vis);
        Some(at + length + 1)
    }
}

/// The name that an item defines.
fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

/// The attributes of an item.
fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let text = attribute.meta.to_token_stream().to_string().replace(' ', "");
        text == "cfg(test)"
    })
}

fn is(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn test_attribute(token: Option<&TokenTree>) -> bool {
    let Some(TokenTree::Group(group)) = token else {
        return false;
    };
    group.delimiter() == Delimiter::Bracket && group.stream().to_string().replace(' ', "") == "cfg(test)"
}

/// Where what follows an attribute ends.
fn after_item(tokens: &[TokenTree], from: usize) -> usize {
    let ends = |token: &TokenTree| is(token, ';') || matches!(token, TokenTree::Group(group) if braced(group));
    match tokens[from..].iter().position(ends) {
        Some(length) => from + length + 1,
        None => tokens.len(),
    }
}

fn braced(group: &Group) -> bool {
    group.delimiter() == Delimiter::Brace
}

/// Whether a name is no path's beginning: a method's, a field's, a lifetime's, a path's further segment.
fn continues(tokens: &[TokenTree], at: usize) -> bool {
    let before = |back: usize, sign: char| at >= back && is(&tokens[at - back], sign);
    before(1, '\'') || (before(1, '.') && !before(2, '.')) || (before(1, ':') && before(2, ':'))
}

/// The path that begins here, and where it ends.
fn path_at(tokens: &[TokenTree], at: usize) -> (Written, usize) {
    let mut path = vec![tokens[at].to_string()];
    let mut at = at + 1;
    while let [colon, another, TokenTree::Ident(next), ..] = &tokens[at..] {
        if !is(colon, ':') || !is(another, ':') {
            break;
        }
        path.push(next.to_string());
        at += 3;
    }
    (path, at)
}
