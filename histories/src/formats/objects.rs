//! The objects that tests of concurrent data structures name at the head of a history, and what their methods are called there and here.

/// A concurrent object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Object {
    /// The model that judges it.
    pub(super) model: &'static str,
    /// Methods, and what they are called here.
    methods: &'static [(&'static [&'static str], &'static str, Does)],
}

/// What a method does with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// It is told the value.
    Takes,
    /// It returns the value, or that there is none.
    Gives,
    /// It is told the value and says whether that was or became so.
    Answers,
}

const IN: &[&str] = &["push", "enq", "enqueue", "add", "put", "insert", "offer"];
const OUT: &[&str] = &["pop", "deq", "dequeue", "rem", "remove", "get", "take", "poll"];
const PEEK: &[&str] = &["peek", "top"];

const STACK: Object =
    Object { model: "stack", methods: &[(IN, "push", Does::Takes), (OUT, "pop", Does::Gives), (PEEK, "peek", Does::Gives)] };
const QUEUE: Object =
    Object { model: "fifo-queue", methods: &[(IN, "enqueue", Does::Takes), (OUT, "dequeue", Does::Gives), (PEEK, "peek", Does::Gives)] };
/// The greatest comes out first.
const PRIORITY: Object = Object {
    model: "max-priority-queue",
    methods: &[(&["insert"], "insert", Does::Takes), (&["poll"], "delete-max", Does::Gives), (PEEK, "peek", Does::Gives)],
};
const DEQUE: Object = Object {
    model: "deque",
    methods: &[
        (&["push_front"], "push-front", Does::Takes),
        (&["push_back"], "push-back", Does::Takes),
        (&["pop_front"], "pop-front", Does::Gives),
        (&["pop_back"], "pop-back", Does::Gives),
        (&["peek_front"], "peek-front", Does::Gives),
        (&["peek_back"], "peek-back", Does::Gives),
    ],
};
const SET: Object = Object {
    model: "set",
    methods: &[
        (&["add", "insert", "put"], "add", Does::Answers),
        (&["remove", "rem", "delete"], "remove", Does::Answers),
        (&["contains", "member", "has"], "contains", Does::Answers),
    ],
};
const REGISTER: Object =
    Object { model: "register", methods: &[(&["write", "put", "set"], "write", Does::Takes), (&["read", "get"], "read", Does::Gives)] };

/// The objects of a tool, by the names that it gives them.
pub(super) type Named = [(&'static str, Object)];

/// Those of `LiMo`, and of the histories that it was measured with (Emmi, Enea and Hamza 2015).
pub(super) const LIMO: &Named = &[("atomic-stack", STACK), ("atomic-queue", QUEUE), ("atomic-set", SET), ("atomic-register", REGISTER)];

/// Those of `PolyLin`.
pub(super) const POLYLIN: &Named = &[("stack", STACK), ("queue", QUEUE), ("pqueue", PRIORITY), ("deque", DEQUE), ("set", SET)];

/// The object of a name.
pub(super) fn named(objects: &Named, name: &str) -> Option<Object> {
    objects.iter().find(|(known, _)| *known == name).map(|(_, object)| *object)
}

impl Object {
    /// What a method is called here, and what it does.
    ///
    /// # Errors
    /// A sentence that names the methods there are.
    pub(super) fn method(&self, name: &str) -> Result<(&'static str, Does), String> {
        let found = self.methods.iter().find(|(names, ..)| names.contains(&name));
        found.map(|(_, f, does)| (*f, *does)).ok_or_else(|| {
            let known: Vec<&str> = self.methods.iter().flat_map(|(names, ..)| names.iter().copied()).collect();
            format!("the model {} has no method {name}; it has {}", self.model, known.join(", "))
        })
    }
}
