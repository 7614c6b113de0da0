-- The keys that sign access tokens.
--
-- In the database and not in a file: they survive a restart, and every replica signs with the same ones.
-- Whoever reads this table can sign tokens; the role that owns the database is the one that may.

CREATE TABLE signing_keys (
    -- RFC 7638 thumbprint of the public key: the same key can never have two names.
    kid              text        PRIMARY KEY,
    -- The Ed25519 private key, 32 bytes.
    seed             bytea       NOT NULL CHECK (length(seed) = 32),
    -- The public key, base64url without padding, as JWKS publishes it.
    public_x         text        NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    -- Tokens are signed with the key from here until the next key's active_from. Later than created_at,
    -- so that every replica and every cache knows the public key before the first token needs it.
    active_from      timestamptz NOT NULL,
    -- The longest lifetime of the tokens that were signed with it, in seconds: how long the public key
    -- has to stay after the next one took over.
    token_lifetime_s bigint      NOT NULL CHECK (token_lifetime_s > 0)
);

-- Two keys never take over at the same moment: which one signs is never a matter of luck.
CREATE UNIQUE INDEX signing_keys_active_from ON signing_keys (active_from);
