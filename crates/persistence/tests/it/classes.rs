//! Every column has a class, in the code, in the document and in the schema.

use crate::support::Fixture;
use mainstay_persistence::classes::{DataClass, TABLES};
use std::{collections::BTreeMap, path::Path};

const BEGIN: &str = "<!-- classes: written by the test `classes`, run it with UPDATE_DOCS=1 -->";
const END: &str = "<!-- /classes -->";

#[tokio::test]
async fn every_column_of_the_live_schema_has_a_class() {
    let f = Fixture::new().await;
    let client = f.test.connect().await.unwrap();
    let rows = client
        .query(
            "SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns
             WHERE table_schema = 'public' ORDER BY table_name COLLATE \"C\", ordinal_position",
            &[],
        )
        .await
        .unwrap();
    let mut live: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in &rows {
        let table: String = row.get(0);
        live.entry(table).or_default().push(row.get(1));
    }
    let classed: BTreeMap<String, Vec<String>> = TABLES
        .iter()
        .map(|table| {
            let columns = table.columns.iter().map(|(name, _)| (*name).to_owned());
            (table.name.to_owned(), columns.collect())
        })
        .collect();
    assert_eq!(live, classed);
    // Only bytes can be sealed, and only what is sealed says so.
    for row in &rows {
        let (table, column): (&str, &str) = (row.get(0), row.get(1));
        let class = TABLES.iter().find(|t| t.name == table).unwrap();
        let (_, class) = class.columns.iter().find(|(c, _)| *c == column).unwrap();
        if *class == DataClass::Sealed {
            assert_eq!(row.get::<_, &str>(2), "bytea", "{table}.{column}");
            assert!(column.ends_with("_sealed"), "{table}.{column}");
        }
    }
}

#[test]
fn the_document_shows_the_classes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/DATA-PROTECTION.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let wanted = format!("{before}{BEGIN}\n{}{END}{after}", table());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
        return;
    }
    assert!(
        document == wanted,
        "docs/DATA-PROTECTION.md is out of date; run this test with UPDATE_DOCS=1"
    );
}

fn table() -> String {
    let mut text = "\n| table | whose | kept | columns |\n| --- | --- | --- | --- |\n".to_owned();
    for table in TABLES {
        let whose = table
            .subject
            .map_or_else(|| "–".to_owned(), |column| format!("`{column}`"));
        let mut classes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (column, class) in table.columns {
            classes.entry(class.as_str()).or_default().push(column);
        }
        let columns: Vec<String> = classes
            .iter()
            .map(|(class, columns)| format!("**{class}**: {}", columns.join(", ")))
            .collect();
        text += &format!(
            "| `{}` | {whose} | {} | {} |\n",
            table.name,
            table.keeping.describe(),
            columns.join("; ")
        );
    }
    text + "\n"
}
