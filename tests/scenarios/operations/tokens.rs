//! Tokens that are well signed and must be refused all the same: made with the shop's own key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use scenarios::embedded::Embedded;
use scenarios::{Customer, Marketplace};
use serde_json::{Value, json};

use crate::database;

/// The key, and a token of the owner to begin with.
pub(super) struct Tokens {
    key: SigningKey,
    header: String,
    claims: Value,
}

impl Tokens {
    pub(super) fn of(marketplace: &Embedded, owner: &Customer) -> Self {
        let mut parts = owner.token.split('.').map(str::to_owned);
        let (header, claims) = (
            parts.next().expect("a header"),
            parts.next().expect("claims"),
        );
        let read = |part: &str| -> Value {
            let json = URL_SAFE_NO_PAD.decode(part).expect("base64url");
            serde_json::from_slice(&json).expect("JSON")
        };
        let kid = read(&header)["kid"]
            .as_str()
            .expect("a key's id")
            .to_owned();
        let seed = database::signing_seed(&marketplace.database("users"), &kid);
        let tokens = Self {
            key: SigningKey::from_bytes(&seed),
            claims: read(&claims),
            header,
        };
        // Else the others could be refused for their signature alone.
        let again = tokens.with(|_| ());
        let _ = marketplace
            .shop()
            .get("/api/users/me", Some(&again))
            .expect(200);
        tokens
    }

    /// It was good until an hour ago: longer than clocks may differ.
    pub(super) fn expired(&self) -> String {
        self.with(|claims| {
            let ended = claims["iat"].as_i64().expect("a time") - 3_600;
            claims["iat"] = json!(ended - 600);
            claims["exp"] = json!(ended);
        })
    }

    /// Somebody else's service may trust the same issuer.
    pub(super) fn for_another_audience(&self) -> String {
        self.with(|claims| claims["aud"] = json!("elsewhere"))
    }

    fn with(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = self.claims.clone();
        change(&mut claims);
        let signed = format!(
            "{}.{}",
            self.header,
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }
}
