//! Configs as JSON, before they are parsed.

use serde_json::Value;

/// Gives an object the keys that it lacks or has as null, in objects within it too: what `transformers`' config classes do for a
/// file that leaves something out.
pub(super) fn fill(config: &mut Value, defaults: &Value) {
    let (Some(config), Some(defaults)) = (config.as_object_mut(), defaults.as_object()) else {
        return;
    };
    for (key, value) in defaults {
        let own = config.entry(key).or_insert(Value::Null);
        if own.is_null() {
            *own = value.clone();
        } else {
            fill(own, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_file_says_stays_and_what_it_leaves_out_is_filled_in() {
        let mut config = json!({ "a": 1, "b": null, "c": { "d": 2 } });
        let defaults = json!({ "a": 9, "b": 3, "c": { "d": 9, "e": 4 }, "f": 5 });
        fill(&mut config, &defaults);
        let filled = json!({ "a": 1, "b": 3, "c": { "d": 2, "e": 4 }, "f": 5 });
        assert_eq!(config, filled);
    }
}
