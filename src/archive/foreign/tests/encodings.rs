//! Text that is not in UTF-8, and compressed members with something behind.

use super::*;

/// PowerShell's `>` writes UTF-16: it was a fault of JSON at byte 0.
#[test]
fn other_encodings_than_utf8_are_told_by_name_and_a_mark_is_read_over() {
    let utf16 = |text: &str| {
        let units = "\u{feff}".encode_utf16().chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect::<Vec<u8>>()
    };
    let definition = r#"{"options": {"capped": true, "size": 4096}}"#;
    for (path, text) in [
        ("shop/orders.json", ORDERS),
        ("shop/orders.jsonl.gz", ORDERS),
        ("shop/manifest.json", r#"{"format": "mongotar"}"#),
        ("shop/collections_metadata.json", r#"{"orders": {}}"#),
        ("shop/orders.metadata.json", definition),
    ] {
        let content = utf16(text);
        let content = if path.ends_with(".gz") { gzip(content) } else { content };
        let survey = Tar::new()
            .file(path, content)
            .file("shop/users.bson", raw(&orders()))
            .survey();
        assert_eq!(survey.status(), Status::Partial, "{path}");
        assert!(
            !matches!(survey.coverage, Coverage::Whole | Coverage::WholeByLayout),
            "{path}"
        );
        let damaged = survey.damaged.concat();
        assert!(
            damaged.contains(path) && damaged.contains("it is in UTF-16LE"),
            "{damaged}"
        );
        assert!(damaged.contains("iconv -f UTF-16LE"), "{damaged}");
    }
    let marked = |text: &str| format!("\u{feff}{text}");
    let survey = Tar::new()
        .file("shop/orders.json", marked(ORDERS))
        .file("shop/orders.metadata.json", marked(definition))
        .survey();
    let orders = survey.get("orders");
    assert_eq!((orders.documents, orders.error.as_deref()), (2, None));
    assert!(format!("{:?}", orders.options).contains("4096"), "{:?}", orders.options);
    let promised = Tar::new().file("backup_1/orders.jsonl", ORDERS).file(
        "backup_1/manifest.json",
        marked(&promise(&["orders"], "").replace("sorted-fields", "raw")),
    );
    let damaged = promised.survey().damaged.concat();
    assert!(
        damaged.contains("not those of which the manifest has the digest"),
        "it was read: {damaged}"
    );
}

/// It ended as "unexpected end of file", or as a header that is invalid.
#[test]
fn bytes_behind_a_compressed_member_are_told_and_zeros_are_none() {
    let packed = gzip(raw(&orders()));
    let with = |behind: &[u8]| {
        let content = [packed.as_slice(), behind].concat();
        Tar::new().file("shop/orders.bson.gz", content).survey()
    };
    assert_eq!(with(&[0; 512]).status(), Status::Complete);
    let survey = with(b"x");
    let error = survey.get("orders").error.clone().expect("a fault");
    let told = format!(
        "bytes that are not gzip follow its gzip stream, from byte {} on",
        packed.len()
    );
    assert!(
        error.contains("shop/orders.bson.gz") && error.contains(&told),
        "{error}"
    );
    assert_eq!(survey.status(), Status::Partial);
    assert!(matches!(survey.coverage, Coverage::Part(_)), "{:?}", survey.coverage);
}
