//! One set of parameters laid over another.

use serde_json::Value;

use super::KubeParameters;

impl KubeParameters {
    /// These parameters where they say something, and `base` where they do not. Members of objects are
    /// taken one by one, a list as a whole.
    pub fn over(&self, base: &Self) -> Self {
        let read = |parameters: &Self| serde_json::to_value(parameters);
        let merged = read(base).and_then(|mut merged| {
            lay_over(&mut merged, read(self)?);
            serde_json::from_value(merged)
        });
        // Both came from JSON, and each member of the result is of one of them.
        merged.unwrap_or_else(|_| self.clone())
    }
}

fn lay_over(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (name, value) in over {
                lay_over(base.entry(name).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}
