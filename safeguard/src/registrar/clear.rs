//! An operator looked into a suspicion.

use serde_json::json;

use super::{Registrar, Word};
use crate::store::Batch;

impl Registrar {
    /// Believes a node again. The same reason is not brought up again by what was seen before.
    pub(super) fn clear(
        &mut self,
        batch: &Batch<'_>,
        node_id: i64,
        (reason, owner): (&str, &str),
        now_ms: i64,
    ) -> rusqlite::Result<Word> {
        let Some(node) = self.fleet.nodes.get_mut(&node_id) else { return Ok(Word::NoNode) };
        let Some(suspicion) = node.known.suspicion.take() else { return Ok(Word::NoSuspicion) };
        let message = format!("{owner} looked into it ({suspicion}): {reason}");
        batch.clear(node_id, &suspicion)?;
        batch.event(Some(node_id), "cleared", &json!({ "message": message }), now_ms)?;
        node.known.acquitted = Some(suspicion);
        self.judge(batch, node_id, None, now_ms)?;
        Ok(Word::Done)
    }
}
