//! Makes a page of a cleaned data set.

mod draft;
mod duplicates;
mod judgement;
mod view;

use std::path::{Path, PathBuf};

use anyhow::bail;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{draft::Draft, view::View};
use super::judge::Judge;
use super::shared::pictures;
use crate::{
    atomic,
    batch::{Context, Facts, Stage, data::Faces},
    graph::dag::{Arity, Port, PortType},
    report::cleaning,
};

/// Makes `index.html`: samples of each class, what was dropped by reason, labels old against new, class
/// distribution before and after, duplicates and leaks, and what a second source of labels says.
///
/// The page is one file and loads nothing from elsewhere.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Report {
    /// The folder that gets the page. It must be new, empty, or one of an earlier report.
    path: PathBuf,
    /// The headline.
    #[serde(default = "title")]
    title: String,
    /// Pictures for each class and each reason.
    #[serde(default = "pictures")]
    pictures: usize,
    /// Another seed shows other pictures.
    #[serde(default)]
    seed: u64,
}

fn title() -> String {
    "Cleaned data set".into()
}

fn pictures() -> usize {
    24
}

impl Stage for Report {
    const NAME: &'static str = "report";
    const VERSION: u32 = 4;
    const INPUTS: &'static [Port] = &[
        Port::faces("The data set with all decisions."),
        Port {
            name: "judgement",
            accepts: PortType::Table,
            arity: Arity::Optional,
            doc: "What `judge` found.",
        },
    ];
    const OUTPUT: PortType = PortType::Files;
    const PATHS: &'static [&'static str] = &["path"];

    fn destination(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let faces = Faces::of(context.input("input")?.table()?)?;
        if faces.table.rows() == 0 {
            bail!("there are no rows to report on");
        }
        let view = View::of(faces)?;
        let draft = Draft::of(&view, self.pictures, self.seed);
        let judgement = context.optional("judgement").map(|input| input.facts_of(Judge::NAME));
        let judgement = judgement.transpose()?.as_ref().map(judgement::shown);
        let wanted = draft.wanted();
        let pictures = pictures::embedded(&view.faces, &wanted, context)?;
        let cleaning = draft.finish(&view, &pictures, self.title.clone(), judgement);
        let page = cleaning::page(&cleaning)?;
        atomic::write(&context.out.join("index.html"), page.as_bytes())?;
        Ok(Facts::default()
            .with("rows", cleaning.rows)
            .with("kept", cleaning.kept)
            .with("pictures", wanted.len()))
    }
}
