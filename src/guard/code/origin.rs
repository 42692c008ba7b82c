//! Origins: the thing behind a name, after aliases, imports and wrappers were followed.

/// Start of an origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum OriginRoot {
    /// A name that nothing in the file declares.
    Global,
    /// A package, by the name that is imported.
    Package(String),
    /// Another file of the repository, by its name relative to this one.
    Module(String),
}

/// A thing: its start and the members that lead to it. `()` is the result of a call, `new` an
/// instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CodeOrigin {
    pub(crate) root: OriginRoot,
    pub(crate) path: Vec<String>,
}

/// Objects of a browser and of Node.js that hold all globals.
const GLOBAL_OBJECTS: [&str; 6] = ["window", "globalThis", "self", "global", "frames", "top"];

impl CodeOrigin {
    /// A global.
    pub(crate) fn global(name: &str) -> Self {
        Self {
            root: OriginRoot::Global,
            path: vec![name.to_owned()],
        }
    }

    /// Everything that a name in quotes exports.
    pub(crate) fn imported(specifier: &str) -> Self {
        let is_relative = specifier.starts_with('.') || specifier.starts_with('/');
        let specifier = specifier.strip_prefix("node:").unwrap_or(specifier);
        let specifier = specifier.strip_prefix("npm:").unwrap_or(specifier);
        let name = specifier.to_owned();
        Self {
            root: match is_relative {
                true => OriginRoot::Module(name),
                false => OriginRoot::Package(name),
            },
            path: Vec::new(),
        }
    }

    /// A member of it.
    #[must_use]
    pub(crate) fn member(mut self, name: &str) -> Self {
        if let (OriginRoot::Global, [only]) = (&self.root, &*self.path)
            && GLOBAL_OBJECTS.contains(&&**only)
        {
            self.path.clear();
        }
        // `Socket.bind(null, url)` is the function with arguments.
        if name == "()" && self.path.last().is_some_and(|last| last == "bind") {
            self.path.pop();
            return self;
        }
        self.path.push(name.to_owned());
        self
    }

    /// The name of a global without members.
    pub(crate) fn sole_global(&self) -> Option<&str> {
        match (&self.root, &*self.path) {
            (OriginRoot::Global, [only]) => Some(only),
            _ => None,
        }
    }

    /// The package's name.
    pub(crate) fn package(&self) -> Option<&str> {
        match &self.root {
            OriginRoot::Package(name) => Some(name),
            _ => None,
        }
    }

    /// The path as text: `AWS.IotData.new`.
    pub(crate) fn dotted(&self) -> String {
        self.path.join(".")
    }
}
