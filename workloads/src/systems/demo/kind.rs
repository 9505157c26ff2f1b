//! The demo store as a row of the table of systems.

use super::{Demo, DemoOptions, Replication};
use crate::systems::{Made, MakeError, Nodes, Place, Promise, Site, SystemKind};
use checker::Consistency;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ArgMatches, Args, Command, FromArgMatches as _};
use serde::{Deserialize, Deserializer, de};
use std::ffi::OsStr;
use std::sync::Arc;

/// The demo store.
#[derive(Clone, Copy, Debug)]
pub struct Kind;

/// With two nodes, every partition leaves no majority; more than nine are no longer small.
const PLACE: Place = Place::Here { usual: 5, possible: 3..=9 };

/// Its options, in the words of the command line and of files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[group(skip)]
pub struct DemoWords {
    /// How the store copies its data [default: quorum]
    #[arg(long, value_parser = SchemeNames, value_name = "SCHEME")]
    #[serde(deserialize_with = "scheme")]
    pub replication: Option<Replication>,
}

/// The schemes that serve registers, by name.
#[derive(Clone, Copy, Debug)]
struct SchemeNames;

impl TypedValueParser for SchemeNames {
    type Value = Replication;

    fn parse_ref(&self, command: &Command, argument: Option<&clap::Arg>, name: &OsStr) -> Result<Replication, clap::Error> {
        let names = PossibleValuesParser::new(self.possible_values().into_iter().flatten());
        let name = names.parse_ref(command, argument, name)?;
        Ok(Replication::by_name(&name).unwrap_or_default())
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let of_registers = Replication::all().filter(|scheme| scheme.offers("read") && scheme.offers("write"));
        Some(Box::new(of_registers.map(|scheme| PossibleValue::new(scheme.name()).help(scheme.describe()))))
    }
}

fn scheme<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Replication>, D::Error> {
    let name = Option::<String>::deserialize(deserializer)?;
    let known = |name: String| Replication::by_name(&name).ok_or_else(|| de::Error::custom(format!("there is no scheme `{name}`")));
    name.map(known).transpose()
}

impl SystemKind for Kind {
    fn name(&self) -> &'static str {
        "demo"
    }

    fn about(&self) -> &'static str {
        "A small replicated store of Rashomon's own, as processes on this machine: nothing to install"
    }

    fn place(&self) -> Place {
        PLACE
    }

    fn augment(&self, command: Command) -> Command {
        DemoWords::augment_args(command)
    }

    fn make(&self, options: &ArgMatches, site: &Site<'_>) -> Result<Made, MakeError> {
        let words = DemoWords::from_arg_matches(options).map_err(|error| MakeError::Usage(error.to_string()))?;
        let Nodes::Here { count, dir, program } = &site.nodes else {
            return Err(MakeError::Usage("the demo runs on this machine, not on hosts".into()));
        };
        let replication = words.replication.unwrap_or_default();
        let options = DemoOptions { nodes: *count, replication, dir: dir.join("nodes"), seed: site.seed, binary: program.to_path_buf() };
        let demo = Demo::new(options)?;
        let cluster = demo.cluster().clone();
        Ok(Made { system: Arc::new(demo), cluster })
    }

    fn promises(&self) -> &'static [Promise] {
        &[Promise {
            workload: "register",
            consistency: Consistency::Linearizable,
            words: "quorum: a majority answers each read and write, and readers write back what they found",
            source: "Attiya, Bar-Noy, Dolev: Sharing memory robustly in message-passing systems (1995)",
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_on_the_command_line_and_in_files() {
        let command = || DemoWords::augment_args(Command::new("demo"));
        let matches = command().try_get_matches_from(["demo", "--replication", "async-primary"]).unwrap();
        let words = DemoWords::from_arg_matches(&matches).unwrap();
        assert_eq!(words, serde_json::from_str(r#"{ "replication": "async-primary" }"#).unwrap());
        assert_eq!(DemoWords::default(), serde_json::from_str("{}").unwrap());
        assert!(command().try_get_matches_from(["demo", "--replication", "none"]).is_err());
        assert!(serde_json::from_str::<DemoWords>(r#"{ "replication": "none" }"#).is_err());
        assert!(serde_json::from_str::<DemoWords>(r#"{ "read": "serializable" }"#).is_err(), "an option of another system");
    }
}
