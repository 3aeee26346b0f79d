//! Makes a page of a cleaned data set.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::bail;
use arrow_array::{Array, Float32Array, Int64Array, StringArray};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::embed;
use crate::{
    atomic,
    batch::{Context, Facts, Input, Stage, data::Faces},
    graph::dag::{Arity, Port, PortType},
    report::{
        cleaning::{
            self, Changes, Class, Cleaning, Duplicates, Group, JudgedClass, Judgement, Picture, Reason,
        },
        thousands,
    },
};

/// Makes `index.html`: samples of each class, what was dropped by reason, labels old against new, class distribution before
/// and after, duplicates and leaks, and what a second source of labels says.
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
    const VERSION: u32 = 3;
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
        let draft = self.draft(&view);
        let facts = context.optional("judgement").map(Input::facts).transpose()?;
        let judgement = facts.as_ref().map(judgement);
        let wanted = draft.wanted();
        let pictures = embed::pictures(&view.faces, &wanted, context)?;
        let cleaning = draft.finish(&view, &pictures, self.title.clone(), judgement);
        let page = cleaning::page(&cleaning)?;
        atomic::write(&context.out.join("index.html"), page.as_bytes())?;
        Ok(Facts::default()
            .with("rows", cleaning.rows)
            .with("kept", cleaning.kept)
            .with("pictures", wanted.len()))
    }
}

/// The columns that the page is made of.
struct View {
    faces: Faces,
    labels: Vec<Option<usize>>,
    before: Vec<Option<usize>>,
    splits: Vec<String>,
    dropped: Vec<Option<String>>,
    score: Option<Float32Array>,
    quality: Option<Float32Array>,
    rows: Int64Array,
    groups: Option<Int64Array>,
    kinds: Option<StringArray>,
}

impl View {
    fn of(faces: Faces) -> anyhow::Result<Self> {
        let table = &faces.table;
        let labels = faces.labels()?;
        let before = match table.has("original_label") {
            true => {
                let before: Int64Array = table.typed("original_label")?;
                before.iter().map(|label| label.and_then(|label| usize::try_from(label).ok())).collect()
            }
            false => labels.clone(),
        };
        let floats = |name: &str| table.has(name).then(|| table.typed::<Float32Array>(name)).transpose();
        let (has_groups, has_kinds) = (table.has("duplicate_group"), table.has("duplicate"));
        Ok(Self {
            splits: faces.splits()?,
            dropped: faces.dropped()?,
            score: floats("dropped_score")?,
            quality: floats("label_quality")?,
            rows: faces.source_rows()?,
            groups: has_groups.then(|| table.typed("duplicate_group")).transpose()?,
            kinds: has_kinds.then(|| table.typed("duplicate")).transpose()?,
            labels,
            before,
            faces,
        })
    }

    fn is_kept(&self, row: usize) -> bool {
        self.dropped[row].is_none()
    }

    fn class(&self, label: Option<usize>) -> &str {
        label.and_then(|label| self.faces.classes.get(label)).map_or("no label", String::as_str)
    }

    fn is_changed(&self, row: usize) -> bool {
        self.before[row].is_some() && self.labels[row] != self.before[row]
    }
}

/// Rows that the page will show.
struct Draft {
    classes: Vec<Vec<usize>>,
    reasons: Vec<(String, usize, Vec<usize>)>,
    changed: Vec<usize>,
    groups: Vec<(Vec<usize>, String)>,
}

impl Report {
    /// Draws the rows to show.
    fn draft(&self, view: &View) -> Draft {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut draw = |mut rows: Vec<usize>, most: usize| {
            rows.shuffle(&mut random);
            rows.truncate(most);
            rows
        };
        let all = 0..view.labels.len();
        let of_class = |class: usize| {
            all.clone()
                .filter(|&row| view.is_kept(row) && view.labels[row] == Some(class))
                .collect::<Vec<_>>()
        };
        let classes =
            (0..view.faces.classes.len()).map(|class| draw(of_class(class), self.pictures)).collect();
        let mut by_reason = BTreeMap::<&str, Vec<usize>>::new();
        for row in all.clone() {
            if let Some(reason) = &view.dropped[row] {
                by_reason.entry(reason).or_default().push(row);
            }
        }
        let mut reasons: Vec<_> = by_reason
            .into_iter()
            .map(|(reason, rows)| (reason.to_owned(), rows.len(), draw(rows, self.pictures)))
            .collect();
        reasons.sort_by_key(|(_, count, _)| std::cmp::Reverse(*count));
        let changed: Vec<_> = all.clone().filter(|&row| view.is_kept(row) && view.is_changed(row)).collect();
        let changed = draw(changed, 3 * self.pictures);
        Draft { classes, reasons, changed, groups: draw_groups(view, self.pictures.div_ceil(2), &mut random) }
    }
}

/// Groups of duplicates, those first that cross a split or disagree.
fn draw_groups(view: &View, most: usize, random: &mut ChaCha8Rng) -> Vec<(Vec<usize>, String)> {
    let Some(groups) = &view.groups else { return Vec::new() };
    let mut members = BTreeMap::<i64, Vec<usize>>::new();
    for (row, group) in groups.iter().enumerate() {
        if let Some(group) = group {
            members.entry(group).or_default().push(row);
        }
    }
    let mut all: Vec<Vec<usize>> = members.into_values().collect();
    all.shuffle(random);
    let remark = |rows: &[usize]| {
        let labels: BTreeSet<_> = rows.iter().map(|&row| view.before[row]).collect();
        let splits: BTreeSet<_> = rows.iter().map(|&row| view.splits[row].as_str()).collect();
        let mut remarks = Vec::new();
        if labels.len() > 1 {
            remarks.push("labels disagree");
        }
        if splits.len() > 1 {
            remarks.push("crosses a split");
        }
        remarks.join(", ")
    };
    let mut all: Vec<_> = all.into_iter().map(|rows| (remark(&rows), rows)).collect();
    all.sort_by_key(|(remark, _)| std::cmp::Reverse(remark.len()));
    all.truncate(most);
    // A group of a thousand black pictures says no more than one of six.
    all.into_iter().map(|(remark, rows)| (rows.into_iter().take(6).collect(), remark)).collect()
}

impl Draft {
    fn wanted(&self) -> BTreeSet<usize> {
        let classes = self.classes.iter().flatten();
        let reasons = self.reasons.iter().flat_map(|(.., rows)| rows);
        let groups = self.groups.iter().flat_map(|(rows, _)| rows);
        classes.chain(reasons).chain(&self.changed).chain(groups).copied().collect()
    }

    fn finish(
        &self,
        view: &View,
        pictures: &BTreeMap<usize, String>,
        title: String,
        judgement: Option<Judgement>,
    ) -> Cleaning {
        let number = |array: &Option<Float32Array>, row: usize| {
            array.as_ref().filter(|array| array.is_valid(row)).map(|array| array.value(row))
        };
        let show = |row: usize, caption: String| Picture {
            source: pictures.get(&row).cloned().unwrap_or_default(),
            caption,
            title: format!(
                "row {}, {}, {}",
                view.rows.value(row),
                view.splits[row],
                view.class(view.before[row])
            ),
        };
        let rows = view.labels.len();
        let kept = (0..rows).filter(|&row| view.is_kept(row)).count();
        let count = |is: &dyn Fn(usize) -> bool| (0..rows).filter(|&row| is(row)).count();
        let classes: Vec<_> = view
            .faces
            .classes
            .iter()
            .enumerate()
            .map(|(class, name)| Class {
                name: name.clone(),
                before: count(&|row| view.before[row] == Some(class)),
                after: count(&|row| view.is_kept(row) && view.labels[row] == Some(class)),
                pictures: self.classes[class].iter().map(|&row| show(row, String::new())).collect(),
            })
            .collect();
        let score = |row: usize| match number(&view.score, row) {
            // Of a copy there is no doubt.
            Some(score) if score != 1.0 => format!("{} {score:.2}", view.class(view.before[row])),
            _ => view.class(view.before[row]).to_owned(),
        };
        let reasons = self.reasons.iter().map(|(name, rows, shown)| Reason {
            name: name.clone(),
            rows: *rows,
            meaning: meaning(name),
            pictures: shown.iter().map(|&row| show(row, score(row))).collect(),
        });
        let reasons: Vec<_> = reasons.collect();
        let relabelled = count(&|row| view.is_kept(row) && view.is_changed(row));
        let changed = |row: usize| {
            let quality =
                number(&view.quality, row).map_or_else(String::new, |quality| format!(" {quality:.2}"));
            format!("{} → {}{quality}", view.class(view.before[row]), view.class(view.labels[row]))
        };
        let changes = (relabelled > 0).then(|| Changes {
            rows: relabelled,
            matrix: matrix(view),
            pictures: self.changed.iter().map(|&row| show(row, changed(row))).collect(),
        });
        let place = |row: usize| format!("{}, {}", view.class(view.before[row]), view.splits[row]);
        let groups: Vec<_> = self
            .groups
            .iter()
            .map(|(rows, remark)| Group {
                pictures: rows.iter().map(|&row| show(row, place(row))).collect(),
                remark: remark.clone(),
            })
            .collect();
        let has_groups = view.groups.as_ref().is_some_and(|groups| groups.null_count() < groups.len());
        let duplicates = has_groups.then(|| Duplicates { numbers: duplicate_numbers(view), groups });
        let number = thousands;
        let totals = vec![
            (number(rows), "rows"),
            (number(kept), "kept"),
            (number(rows - kept), "taken out"),
            (number(relabelled), "labelled anew"),
        ];
        Cleaning { title, rows, kept, totals, classes, reasons, changes, duplicates, judgement }
    }
}

/// For each old label, how many kept rows have each new one.
fn matrix(view: &View) -> Vec<Vec<usize>> {
    let classes = view.faces.classes.len();
    let mut matrix = vec![vec![0; classes]; classes];
    for row in (0..view.labels.len()).filter(|&row| view.is_kept(row)) {
        if let (Some(old), Some(new)) = (view.before[row], view.labels[row])
            && let Some(cell) = matrix.get_mut(old).and_then(|line| line.get_mut(new))
        {
            *cell += 1;
        }
    }
    matrix
}

fn duplicate_numbers(view: &View) -> Vec<(String, &'static str)> {
    let (Some(groups), Some(kinds)) = (&view.groups, &view.kinds) else { return Vec::new() };
    let mut members = BTreeMap::<i64, Vec<usize>>::new();
    let mut exact = BTreeSet::new();
    for row in 0..groups.len() {
        if groups.is_valid(row) {
            members.entry(groups.value(row)).or_default().push(row);
            if kinds.is_valid(row) && kinds.value(row) == "exact" {
                exact.insert(groups.value(row));
            }
        }
    }
    let differ = |of: &dyn Fn(usize) -> String| {
        members
            .values()
            .filter(|rows| rows.iter().map(|&row| of(row)).collect::<BTreeSet<_>>().len() > 1)
            .count()
    };
    vec![
        (thousands(exact.len()), "groups with exact copies"),
        ((members.len() - exact.len()).to_string(), "groups of near copies"),
        (differ(&|row| view.splits[row].clone()).to_string(), "groups that cross a split"),
        (differ(&|row| view.class(view.before[row]).to_owned()).to_string(), "groups whose labels disagree"),
    ]
}

fn judgement(facts: &Facts) -> Judgement {
    let percent = |name: &str| facts.number(name).map(|share| format!("{:.1} %", share * 100.0));
    let whole = |name: &str| facts.number(name).map(|number| thousands(number as usize));
    let votes = facts.number("non_face_votes").unwrap_or_default();
    let non_faces = format!("non-faces ({votes} votes and more) taken out");
    let numbers = [
        ("rows with a majority, duplicates included", whole("rows_with_majority")),
        ("their labels agree, as they came", percent("agreement_of_all_before")),
        ("rows that came to relabelling", whole("judged")),
        ("labels agree, as they came", percent("agreement_before")),
        ("labels agree, labelled anew", percent("agreement_after")),
        ("the same, the surest 95 % of the rows kept", percent("agreement_with_95_percent_kept")),
        ("the same, the surest 75 % of the rows kept", percent("agreement_with_75_percent_kept")),
        ("rows kept here", percent("kept")),
        ("labels agree among these", percent("agreement_of_kept")),
        ("labels changed, also of rows dropped for their label", whole("labels_changed")),
        ("changes to what the majority says", percent("changes_right")),
        ("changes away from it", percent("changes_that_broke")),
        (non_faces.as_str(), percent("non_faces_dropped")),
        ("faces (no such vote) taken out", percent("faces_dropped")),
    ];
    let point = |point: &serde_json::Value| {
        let number = |name: &str| point.get(name).and_then(serde_json::Value::as_f64);
        Some([number("kept")?, number("agreement")?, number("before")?])
    };
    let curve = facts.0.get("curve").and_then(serde_json::Value::as_array);
    let by_class = facts.0.get("by_class").and_then(serde_json::Value::as_array);
    let class = |class: &serde_json::Value| {
        let rows = usize::try_from(class.get("rows")?.as_u64()?).ok()?;
        let share = |name: &str| match rows {
            0 => Some("–".to_owned()),
            _ => Some(format!("{:.1} %", class.get(name)?.as_f64()? * 100.0)),
        };
        Some(JudgedClass {
            name: class.get("class")?.as_str()?.to_owned(),
            rows,
            shares: [share("before")?, share("after")?, share("after_and_kept")?],
        })
    };
    Judgement {
        by_class: by_class.map_or_else(Vec::new, |classes| classes.iter().filter_map(class).collect()),
        numbers: numbers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect(),
        curve: curve.map_or_else(Vec::new, |curve| curve.iter().filter_map(point).collect()),
    }
}

fn meaning(reason: &str) -> &'static str {
    match reason {
        "duplicate" => "a copy of a row that stays",
        "leak" => "a copy of a row that stays in another split",
        "conflict" => "a copy whose label disagrees with the majority of the copies",
        "near-duplicate" => "nearly the same picture as a row that stays",
        "near-leak" => "nearly the same picture as a row that stays in another split",
        "constant" => "one colour, or nearly",
        "text" => "writing instead of a face",
        "no-face" => "no detector finds a face; how near the surest came to it, 0 to 1",
        "misplaced" => "the crop is not of the face in it: too small, too large, or aside",
        "tilted" => "a face that lies on its side; slope of the eyes in degrees",
        "profile" => "a face from the side",
        "wrong-label" => "no label is likely enough; how likely the best one is wrong",
        "undersampled" => "one too many of a frequent class",
        _ => "",
    }
}
