use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Objects, and what is around them, of `list` when it comes in pieces of `size` bytes.
fn cut(list: &str, size: usize, most: usize) -> Option<(Vec<Option<Value>>, Value)> {
    let mut cutter = Cutter::new(most);
    let mut objects = Vec::new();
    for piece in list.as_bytes().chunks(size) {
        let mut each = |json: Option<Vec<u8>>| objects.push(json.map(|json| serde_json::from_slice(&json).unwrap()));
        if !cutter.push(piece, &mut each) {
            return None;
        }
    }
    Some((objects, serde_json::from_slice(cutter.envelope()).ok()?))
}

/// JSON with everything that could look like a brace, a quote or the key.
fn value() -> impl Strategy<Value = Value> {
    let text = || prop_oneof![Just("items".to_owned()), "[a-z\"\\\\{}\\[\\],:ü\n]{0,8}"];
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), text().prop_map(Value::from)];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((text(), inner), 0..4).prop_map(|all| Value::Object(all.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::vec(value(), 0..3).prop_map(|all| json!({ "metadata": { "items": all } }))
}

proptest! {
    #[test]
    fn objects_come_out_as_a_json_parser_sees_them(
        items in prop::collection::vec(object(), 0..5),
        before in value(), after in value(), size in 1usize..50, pretty in any::<bool>(),
    ) {
        // Maps are sorted: one key is before `items`, one behind it.
        let list = json!({ "before": before, "items": items, "then": after });
        let text = if pretty { serde_json::to_string_pretty(&list) } else { serde_json::to_string(&list) }.unwrap();
        let (objects, around) = cut(&text, size, 1 << 20).unwrap();
        prop_assert_eq!(objects, items.into_iter().map(Some).collect::<Vec<_>>());
        prop_assert_eq!(around, json!({ "before": before, "items": [], "then": after }));
    }

    #[test]
    fn whatever_comes_is_survived(bytes in prop::collection::vec(prop_oneof![
        Just(b'{'), Just(b'}'), Just(b'['), Just(b']'), Just(b'"'), Just(b'\\'), Just(b','), any::<u8>()
    ], 0..300)) {
        let mut cutter = Cutter::new(100);
        for piece in [br#"{"items":["#.as_slice(), &bytes] {
            cutter.push(piece, &mut |object| assert!(object.is_none_or(|object| object.len() <= 100)));
        }
        prop_assert!(cutter.object.len() <= 100);
    }
}

#[test]
fn an_object_that_is_too_large_is_left_out_and_the_next_one_is_not() {
    let list = json!({ "items": [{ "a": 1 }, { "b": "x".repeat(50) }, { "c": 3 }] }).to_string();
    for size in [1, 7, 1000] {
        let (objects, _) = cut(&list, size, 20).unwrap();
        assert_eq!(objects, [Some(json!({ "a": 1 })), None, Some(json!({ "c": 3 }))]);
    }
}

#[test]
fn too_much_around_the_objects_is_refused() {
    let list = json!({ "else": "x".repeat(MAX_ENVELOPE_BYTES), "items": [] }).to_string();
    assert_eq!(cut(&list, 100, 20), None);
}

#[test]
fn what_is_no_list_of_objects_is_no_json_either() {
    for text in [r#"{"items":[1]}"#, r#"{"items":["a",{}]}"#, r#"{"items":[{}"#, "{\"items\":[{}]}}", "<html>"] {
        let around = cut(text, 3, 100).map(|(_, around)| around);
        // Values that are no objects stay in the envelope, where the reader of the list expects none.
        assert!(around.is_none_or(|around| around["items"] != json!([])), "{text}");
    }
}
