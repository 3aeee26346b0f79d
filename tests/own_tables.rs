//! Tables of one's own: what they say is heeded, in whatever types and order they say it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::{fs, path::Path, sync::Arc};

use arrow_array::{
    Array, ArrayRef, Float32Array, Float64Array, Int64Array, ListArray, StringArray, types::Float64Type,
};
use arrow_schema::{Field, Schema};
use common::{
    data::{exported, folder_with, refuse, run},
    fer, json, text,
};
use ferroflow::batch::data::{Faces, Renumbering, Table, TableWriter};

const LIST: &str = "probabilities";

fn names(faces: &Faces) -> Vec<String> {
    let mut names = faces.classes.clone();
    names.sort();
    names
}

/// For each row as many numbers as classes, all at its label.
fn certain(labels: &[Option<usize>], classes: usize) -> ArrayRef {
    let one = |label: &Option<usize>| {
        Some((0..classes).map(|at| Some(f64::from(u8::from(*label == Some(at))))).collect::<Vec<_>>())
    };
    Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(labels.iter().map(one)))
}

/// Writes a table with columns of one's own, without those of these names.
fn write(faces: &Faces, path: &Path, columns: &[(&str, ArrayRef)], without: &[&str]) {
    let field = |(name, array): &(&str, ArrayRef)| Field::new(*name, array.data_type().clone(), true);
    let columns: Vec<_> = columns.iter().map(|column| (field(column), Arc::clone(&column.1))).collect();
    let whole = path.with_extension("whole");
    faces.table.write_with(&whole, &columns).unwrap();
    let table = Table::open(&whole).unwrap();
    let fields = table.schema().fields().iter().filter(|field| !without.contains(&field.name().as_str()));
    let schema =
        Schema::new_with_metadata(fields.cloned().collect::<Vec<_>>(), table.schema().metadata().clone());
    let mut writer = TableWriter::create(path, schema).unwrap();
    for batch in table.batches(None).unwrap() {
        let batch = batch.unwrap();
        let kept: Vec<usize> = (0..batch.num_columns())
            .filter(|at| !without.contains(&batch.schema().field(*at).name().as_str()))
            .collect();
        writer.write(&batch.project(&kept).unwrap()).unwrap();
    }
    writer.finish().unwrap();
    fs::remove_file(whole).unwrap();
}

#[test]
fn labels_and_probabilities_that_are_joined_go_by_the_names_of_classes() {
    let folder = folder_with(&fer::rows(40));
    let faces = exported(folder.path(), "fer2013 path=fer2013.csv");
    // The same rows with their classes in alphabetical order.
    let alphabetical = names(&faces);
    let moved = Renumbering::between(&faces.classes, &alphabetical);
    let label = moved.column("label", &faces.table.column("label").unwrap());
    let labels: Vec<_> = label
        .as_any()
        .downcast_ref::<Int64Array>()
        .unwrap()
        .iter()
        .map(|label| label.map(|label| label as usize))
        .collect();
    let other = Faces { table: faces.table.with_classes(&alphabetical), classes: alphabetical };
    write(
        &other,
        &folder.path().join("other.parquet"),
        &[("label", label), (LIST, certain(&labels, 7))],
        &[],
    );
    let graph =
        "fer2013 path=fer2013.csv name=f ! join name=j on=['row'] parquet path=other.parquet ! j.other j.";
    let joined =
        exported(folder.path(), &format!("{} ! sample rows=9", graph.replace("on=", "prefix='their_' on=")));
    let (mine, theirs): (Int64Array, Int64Array) =
        (joined.table.typed("label").unwrap(), joined.table.typed("their_label").unwrap());
    assert_eq!(mine, theirs);
    let joined = exported(folder.path(), graph);
    let lists: ListArray = joined.table.typed(LIST).unwrap();
    for (row, label) in joined.labels().unwrap().into_iter().enumerate() {
        let values = lists.value(row);
        let values = values.as_any().downcast_ref::<Float32Array>().unwrap();
        assert_eq!(values.value(label.unwrap()), 1.0, "row {row}");
    }
}

#[test]
fn numbers_of_other_types_are_learnt_from_and_not_passed_over() {
    let folder = folder_with(&fer::rows(60));
    let faces = exported(folder.path(), "fer2013 path=fer2013.csv");
    let turned: Vec<_> =
        faces.labels().unwrap().iter().map(|label| label.map(|label| (label + 1) % 7)).collect();
    write(&faces, &folder.path().join("soft.parquet"), &[(LIST, certain(&turned, 7))], &[]);
    let train = |soft: f32| {
        let out = format!("soft-{soft}");
        let graph =
            format!("parquet path=soft.parquet ! train layers='4p' epochs=1 soft-labels={soft} path={out}");
        let output = run(folder.path(), &graph);
        assert_eq!(text(&output).0, Some(0), "{}", text(&output).2);
        fs::read(folder.path().join(out).join("classifier.onnx")).unwrap()
    };
    assert!(train(0.0) != train(1.0), "doubles are probabilities, too");
    write(&faces, &folder.path().join("few.parquet"), &[(LIST, certain(&turned, 3))], &[]);
    let said =
        refuse(folder.path(), "parquet path=few.parquet ! train layers='4p' epochs=1 soft-labels=1 path=few");
    assert!(said.contains("3 numbers, 7 are needed"), "{said}");
    let heavy: ArrayRef = Arc::new(Float64Array::from(vec![0.0; faces.table.rows()]));
    write(&faces, &folder.path().join("weightless.parquet"), &[("weight", heavy)], &[]);
    let said =
        refuse(folder.path(), "parquet path=weightless.parquet ! train layers='4p' epochs=1 path=none");
    assert!(said.contains("all rows to learn from have the weight 0"), "{said}");
}

#[test]
fn rows_of_a_group_stay_together_also_without_numbers_of_their_own() {
    let folder = folder_with(&fer::rows(60));
    let faces = exported(folder.path(), "fer2013 path=fer2013.csv");
    let people: Vec<String> = (0..faces.table.rows()).map(|row| format!("person {}", row % 9)).collect();
    let group: ArrayRef = Arc::new(StringArray::from(people));
    write(&faces, &folder.path().join("people.parquet"), &[("group", group)], &["row", "split"]);
    let graph = "parquet path=people.parquet ! split test=0.4";
    let train = exported(folder.path(), graph);
    let test =
        exported(folder.path(), &format!("{graph} ! filter splits=['test'] ! split validation=0 test=0"));
    let of = |faces: &Faces| {
        let groups: StringArray = faces.table.typed("group").unwrap();
        groups.iter().map(|group| group.unwrap().to_owned()).collect::<std::collections::BTreeSet<_>>()
    };
    assert!(of(&train).is_disjoint(&of(&test)), "{:?} and {:?}", of(&train), of(&test));
    assert_eq!(of(&train).len() + of(&test).len(), 9);
}

#[test]
fn pictures_without_labels_are_read_where_that_is_said() {
    let folder = folder_with(&fer::rows(20));
    let faces = exported(folder.path(), "fer2013 path=fer2013.csv");
    write(&faces, &folder.path().join("new.parquet"), &[], &["label", "row"]);
    let said = refuse(folder.path(), "parquet path=new.parquet classes=['happy']");
    assert!(said.contains("where rows have no labels, write label = \"\""), "{said}");
    let read = exported(folder.path(), "parquet path=new.parquet label='' classes=['happy','sad']");
    assert!(read.labels().unwrap().iter().all(Option::is_none));
}

#[test]
fn classes_that_are_filtered_out_are_none_to_learn_where_the_list_is_to_shrink() {
    let folder = folder_with(&fer::rows(60));
    let filter = "fer2013 path=fer2013.csv ! filter classes=['sad','happy']";
    let said = refuse(folder.path(), &format!("{filter} ! train layers='4p' epochs=1 path=few"));
    assert!(said.contains("`filter` with `classes` and `shrink = true`"), "{said}");
    let shrunk = exported(folder.path(), &format!("{filter} shrink=true"));
    // In the order in which they were.
    assert_eq!(shrunk.classes, ["happy", "sad"]);
    let before = exported(folder.path(), filter).labels().unwrap();
    let after = shrunk.labels().unwrap();
    let expected: Vec<_> = before.iter().map(|label| label.map(|label| usize::from(label == 4))).collect();
    assert_eq!(after, expected);
    let output = run(folder.path(), &format!("{filter} shrink=true ! train layers='4p' epochs=1 path=two"));
    assert_eq!(text(&output).0, Some(0), "{}", text(&output).2);
    assert!(
        refuse(folder.path(), "fer2013 path=fer2013.csv ! filter shrink=true")
            .contains("`shrink` leaves the classes")
    );
}

#[test]
fn a_page_counts_what_came_in_apart_from_what_was_repeated_and_tells_of_rows_without_a_label() {
    let folder = folder_with(&fer::rows(40));
    let came = exported(folder.path(), "fer2013 path=fer2013.csv");
    let bare: Int64Array = came
        .labels()
        .unwrap()
        .iter()
        .enumerate()
        .map(|(row, label)| label.filter(|_| row >= 5).map(|label| label as i64))
        .collect();
    write(&came, &folder.path().join("came.parquet"), &[("label", Arc::new(bare))], &[]);
    let output = run(folder.path(), "parquet path=came.parquet ! balance rows=30 name=b ! report path=page");
    let (code, _, error) = text(&output);
    assert_eq!(code, Some(0), "{error}");
    let page = fs::read_to_string(folder.path().join("page/index.html")).unwrap();
    let rows = came.table.rows();
    assert!(
        page.contains(&format!("{rows} rows came in, ")) && page.contains("were made or repeated"),
        "{page}"
    );
    assert!(page.contains("no label") && page.contains("5 rows"));
}

#[test]
fn balance_tells_how_many_rows_each_class_has_and_what_it_cannot_do() {
    let folder = folder_with(&fer::rows(60));
    let run = |flags: &str| {
        let output =
            run(folder.path(), &format!("fer2013 path=fer2013.csv ! balance {flags} ! export path=out"));
        assert_eq!(text(&output).0, Some(0), "{}", text(&output).2);
        text(&output).2
    };
    let said = run("method=undersample rows=500");
    assert!(
        said.contains("500 rows of each class are asked for") && said.contains("undersampling adds none"),
        "{said}"
    );
    let said = run("rows=1");
    assert!(said.contains("oversampling takes no rows away"), "{said}");
    assert!(!run("").contains("asked for"));
}

#[test]
fn a_judged_classifier_says_by_what_it_was_judged() {
    let folder = folder_with(&fer::dirty(60));
    let graph = "[node.f]\nuse='fer2013'\npath='fer2013.csv'\n[node.v]\nuse='ferplus'\npath='votes.csv'\n[node.e]\nuse='evaluate'\n\
                 input='f'\nreference='v'\nsplit='train'\nmirrored=true\nclassifiers=['ferroflow-expression']\npath='judged'\n";
    fs::write(folder.path().join("judge.toml"), graph).unwrap();
    let output = run(folder.path(), "judge.toml");
    assert_eq!(text(&output).0, Some(0), "{}", text(&output).2);
    let found = json(&folder.path().join("judged/evaluation.json"));
    assert_eq!((found["truth"].as_str(), found["mirrored"].as_bool()), (Some("majority"), Some(true)));
    // Two pictures are black: most call them no face.
    assert_eq!(found["left_out"], 2);
    let page = fs::read_to_string(folder.path().join("judged/index.html")).unwrap();
    for words in
        ["judged by the majority", "2 more have no majority", "the mean with those to the mirror images"]
    {
        assert!(page.contains(words), "{words}");
    }
}
