//! `token add|list|revoke`

use safeguard::config::Settings;
use safeguard::store::{Store, tokens};
use safeguard_daemon::clock;
use safeguard_daemon::terminal::{complain, exit, print, printable};

use super::{Format, Scope};

fn with(settings: &Settings, act: impl FnOnce(&Store) -> Result<u8, String>) -> u8 {
    let done = Store::open(&settings.store()).map_err(|error| error.to_string()).and_then(|store| act(&store));
    done.unwrap_or_else(|message| complain(exit::FAILED, &message))
}

pub(super) fn add(settings: &Settings, name: &str, scope: Scope) -> u8 {
    if name.is_empty() || name.len() > 100 || name.chars().any(char::is_control) {
        return complain(exit::USAGE, "a name has 1 to 100 bytes, none of them a control character");
    }
    let scope = match scope {
        Scope::Read => "read",
        Scope::Operate => "operate",
    };
    let token = tokens::random();
    with(settings, |store| match store.add_token(name, &token, scope, clock::now_ms()) {
        Ok(true) => Ok(print(&format!("{token}\n"))),
        Ok(false) => Err(format!("there is a token of {name} already; revoke it and choose another name")),
        Err(error) => Err(format!("the token cannot be stored: {error}")),
    })
}

pub(super) fn revoke(settings: &Settings, name: &str) -> u8 {
    with(settings, |store| match store.revoke_token(name, clock::now_ms()) {
        Ok(true) => Ok(print(&format!("the token of {name} is refused from now on\n"))),
        Ok(false) => Err(format!("there is no token of {name} that is good; `safeguard token list` has them")),
        Err(error) => Err(format!("the token cannot be revoked: {error}")),
    })
}

pub(super) fn list(settings: &Settings, format: Format) -> u8 {
    with(settings, |store| {
        let tokens = store.tokens().map_err(|error| format!("the tokens cannot be read: {error}"))?;
        if format == Format::Json {
            let all: Vec<_> = tokens
                .iter()
                .map(|t| serde_json::json!({ "name": t.name, "scope": t.scope, "created_ms": t.created_ms, "revoked_ms": t.revoked_ms }))
                .collect();
            return Ok(print(&format!("{:#}\n", serde_json::Value::from(all))));
        }
        let wide = tokens.iter().map(|t| printable(&t.name).chars().count()).max().unwrap_or(0).max("NAME".len());
        let mut text = String::new();
        let mut line = |cells: [&str; 4]| {
            let [name, scope, created, revoked] = cells;
            text.push_str(&format!("{name:wide$}  {scope:7}  {created:20}  {revoked}\n"));
        };
        line(["NAME", "SCOPE", "MADE", "REVOKED"]);
        for token in &tokens {
            let revoked = token.revoked_ms.map_or_else(|| "-".to_owned(), clock::utc);
            line([&printable(&token.name), &token.scope, &clock::utc(token.created_ms), &revoked]);
        }
        Ok(print(&text))
    })
}
