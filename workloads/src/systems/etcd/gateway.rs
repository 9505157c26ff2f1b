//! Single requests to a server's JSON gateway from a plain thread: what operators ask, not what clients ask.

use super::{client, errors, status};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// Posts once and reads the whole answer, within a deadline. An error is etcd's own message, or why there was no answer. From a plain
/// thread only, never from an async worker.
pub(super) fn post<T: DeserializeOwned>(authority: &str, path: &str, body: &Value, within: Duration) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let http = client::http().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let late = |_| format!("{authority}{path}: no answer within {within:?}");
        tokio::time::timeout(within, ask(&http, authority, path, body)).await.map_err(late)?
    })
}

async fn ask<T: DeserializeOwned>(http: &reqwest::Client, authority: &str, path: &str, body: &Value) -> Result<T, String> {
    let fail = |error: reqwest::Error| format!("{authority}{path}: {}", status::reason(&error));
    let response = http.post(format!("http://{authority}{path}")).body(body.to_string()).send().await.map_err(fail)?;
    let code = response.status().as_u16();
    let answer = response.bytes().await.map_err(fail)?;
    if code != 200 {
        let message = errors::message_of(&answer).map(|(message, _)| message);
        return Err(message.unwrap_or_else(|| format!("{authority}{path}: HTTP {code}: {}", String::from_utf8_lossy(&answer))));
    }
    serde_json::from_slice(&answer).map_err(|e| format!("{authority}{path}: an answer that cannot be read: {e}"))
}
