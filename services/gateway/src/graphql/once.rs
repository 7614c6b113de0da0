//! A change is made once.
//!
//! Fields of one name in the answer are one field, as the specification has it: their selections are merged. The library
//! resolves each of them and merges what they answer. To who reads that is no harm if they are the same ([`super::merged`]); a change
//! it makes as often as it is written. So they are refused.

use std::collections::HashSet;

use async_graphql::parser::types::{
    ExecutableDocument, OperationDefinition, Selection, SelectionSet,
};
use async_graphql::{Pos, Variables};

use super::emptied::is_left_out;
use super::objects;
use super::refusal::Refusal;

/// Refuses a mutation that has two changes of one name, given all variables, or one that cannot be made for what it is given
/// ([`objects`]).
///
/// # Errors
/// Names the change, the fragment that is there twice, or the argument.
pub(super) fn check(
    mutation: &OperationDefinition,
    document: &ExecutableDocument,
    variables: &Variables,
) -> Result<(), Refusal> {
    let mut seen = Seen {
        document,
        variables,
        changes: HashSet::new(),
        fragments: HashSet::new(),
    };
    seen.set(&mutation.selection_set.node)
}

struct Seen<'a> {
    document: &'a ExecutableDocument,
    variables: &'a Variables,
    /// By their names in the answer.
    changes: HashSet<&'a str>,
    /// Each is looked at once, however many spread it.
    fragments: HashSet<&'a str>,
}

impl<'a> Seen<'a> {
    fn set(&mut self, set: &'a SelectionSet) -> Result<(), Refusal> {
        let variables = self.variables;
        let wanted = set.items.iter();
        for item in wanted.filter(|item| !is_left_out(&item.node, variables)) {
            match &item.node {
                Selection::Field(field) => {
                    let name = field.node.response_key().node.as_str();
                    // What the type is called can be asked for as often as one likes.
                    if field.node.name.node != "__typename" && !self.changes.insert(name) {
                        return Err(twice(name, item.pos));
                    }
                    // Each change is met here, wherever it stands.
                    objects::check(&field.node, variables)?;
                }
                Selection::InlineFragment(inline) => {
                    self.set(&inline.node.selection_set.node)?;
                }
                Selection::FragmentSpread(spread) => {
                    self.fragment(spread.node.fragment_name.node.as_str(), item.pos)?;
                }
            }
        }
        Ok(())
    }

    fn fragment(&mut self, name: &'a str, at: Pos) -> Result<(), Refusal> {
        // There is none that is unknown: the document was weighed.
        let Some(fragment) = self.document.fragments.get(name) else {
            return Ok(());
        };
        if !self.fragments.insert(name) {
            return Err(twice(name, at));
        }
        self.set(&fragment.node.selection_set.node)
    }
}

fn twice(name: &str, at: Pos) -> Refusal {
    let detail =
        format!("{name} is there twice: a change is made once, or under another name again");
    Refusal::new(detail).at(at)
}
