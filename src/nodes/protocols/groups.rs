//! Seeds of one recipe, and what it gains over another.

use std::collections::BTreeMap;

use anyhow::bail;
use ferroflow_learn::evaluation::{Measures, mean_interval};

use crate::report::protocols::Line;

/// A recipe: its trainings by seed.
type Seeds<'a> = BTreeMap<Option<u32>, &'a Measures>;

/// A line for each recipe, in the order in which they come, with its gain over the baseline where that is among them.
pub fn lines(models: &[Measures], classes: &[String], baseline: Option<&str>) -> anyhow::Result<Vec<Line>> {
    let mut recipes: Vec<(&str, Seeds<'_>)> = Vec::new();
    for model in models {
        let (recipe, seed) = split_seed(&model.name);
        match recipes.iter_mut().find(|(name, _)| *name == recipe) {
            Some((_, seeds)) => {
                if let Some(other) = seeds.insert(seed, model) {
                    bail!(
                        "`{}` and `{}` are one seed of one recipe: give them names that say which is which",
                        other.name,
                        model.name
                    );
                }
            }
            None => recipes.push((recipe, Seeds::from([(seed, model)]))),
        }
    }
    let base = recipes.iter().find(|(name, _)| Some(*name) == baseline).map(|(_, seeds)| seeds.clone());
    let others = |name: &str| base.as_ref().filter(|_| Some(name) != baseline);
    Ok(recipes.iter().map(|(name, seeds)| line(name, seeds, classes, others(name))).collect())
}

/// The recipe and the seed of `cleaned 2`.
fn split_seed(name: &str) -> (&str, Option<u32>) {
    name.rsplit_once(' ')
        .and_then(|(recipe, seed)| Some((recipe, Some(seed.parse().ok()?))))
        .unwrap_or((name, None))
}

/// A recipe's line, with its gain over `base`.
fn line(name: &str, seeds: &Seeds<'_>, classes: &[String], base: Option<&Seeds<'_>>) -> Line {
    let mean = |of: &dyn Fn(&Measures) -> f64| mean_interval(&values(seeds, of)).0;
    let (accuracy, interval) = mean_interval(&values(seeds, |model| model.accuracy));
    let alone = seeds.values().next().filter(|_| seeds.len() == 1).map(|model| model.interval);
    let pairs: Vec<(&Measures, &Measures)> = base.map_or_else(Vec::new, |base| {
        seeds.iter().filter_map(|(seed, model)| Some((*base.get(seed)?, *model))).collect()
    });
    let gains: Vec<f64> = pairs.iter().map(|(before, after)| after.accuracy - before.accuracy).collect();
    let (gain, gain_interval) = mean_interval(&gains);
    let is_compared = !gains.is_empty();
    let recall =
        |class: &String| mean_of(seeds.values().map(|model| model.recall.get(class).copied().flatten()));
    let recall_gain = |class: &String| {
        let of = |model: &Measures| model.recall.get(class).copied().flatten();
        mean_of(pairs.iter().map(|(before, after)| Some(of(after)? - of(before)?)))
    };
    Line {
        model: name.to_owned(),
        seeds: seeds.len(),
        pairs: pairs.len(),
        accuracy,
        // Student's reaches past what a share can be.
        interval: alone.or(interval.map(|interval| interval.map(|bound| bound.clamp(0.0, 1.0)))),
        balanced_accuracy: Some(mean(&|model| model.balanced_accuracy)),
        macro_f1: Some(mean(&|model| model.macro_f1)),
        calibration_error: Some(mean(&|model| model.calibration_error)),
        recalls: classes.iter().map(recall).collect(),
        gain: is_compared.then_some(gain),
        gain_interval: gain_interval.filter(|_| is_compared),
        recall_gains: classes.iter().map(recall_gain).collect(),
    }
}

fn values(seeds: &Seeds<'_>, of: impl Fn(&Measures) -> f64) -> Vec<f64> {
    seeds.values().map(|model| of(model)).collect()
}

/// The mean of values; none where one is missing.
fn mean_of(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let values = values.collect::<Option<Vec<f64>>>().filter(|values| !values.is_empty())?;
    Some(mean_interval(&values).0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn model(name: &str, accuracy: f64) -> Measures {
        Measures {
            name: name.into(),
            accuracy,
            interval: [accuracy - 0.1, accuracy + 0.1],
            balanced_accuracy: accuracy,
            macro_f1: accuracy,
            calibration_error: 0.0,
            recall: BTreeMap::from([("sad".to_owned(), Some(accuracy))]),
            precision: BTreeMap::new(),
            confusion: Vec::new(),
        }
    }

    #[test]
    fn seeds_of_one_recipe_are_one_line_and_gains_are_taken_seed_by_seed() {
        let models = [
            model("raw 0", 0.60),
            model("raw 1", 0.62),
            model("clean 1", 0.65),
            model("clean 0", 0.62),
            model("mini-xception", 0.5),
        ];
        let lines = lines(&models, &["sad".to_owned(), "happy".to_owned()], Some("raw")).unwrap();
        let names: Vec<_> = lines.iter().map(|line| (line.model.as_str(), line.seeds)).collect();
        assert_eq!(names, [("raw", 2), ("clean", 2), ("mini-xception", 1)]);
        assert!((lines[0].accuracy - 0.61).abs() < 1e-12 && lines[0].gain.is_none());
        assert!((lines[1].gain.unwrap() - 0.025).abs() < 1e-12);
        let [low, high] = lines[1].gain_interval.unwrap();
        assert!(low < 0.025 && 0.025 < high);
        assert!((lines[1].recall_gains[0].unwrap() - 0.025).abs() < 1e-12);
        assert_eq!(lines[1].recalls[1], None);
        // Other seeds than the baseline's are not compared.
        assert_eq!((lines[2].gain, lines[2].interval), (None, Some([0.4, 0.6])));
    }

    #[test]
    fn what_is_shown_of_seeds_is_what_was_computed() {
        let models =
            [model("raw 0", 0.98), model("raw 1", 1.0), model("clean 0", 0.9), model("clean 7", 0.8)];
        let found = lines(&models, &[], Some("raw")).unwrap();
        assert_eq!((found[1].seeds, found[1].pairs), (2, 1));
        assert!(found[0].interval.unwrap()[1] <= 1.0);
        let error = lines(&[model("raw 1", 0.9), model("raw 01", 0.8)], &[], None).unwrap_err().to_string();
        assert!(error.contains("`raw 1` and `raw 01` are one seed"), "{error}");
    }

    #[test]
    fn a_number_is_a_seed_only_as_a_word_of_its_own() {
        assert_eq!(split_seed("as it came 2"), ("as it came", Some(2)));
        assert_eq!(split_seed("resnet18"), ("resnet18", None));
        assert_eq!(split_seed("7"), ("7", None));
    }
}
