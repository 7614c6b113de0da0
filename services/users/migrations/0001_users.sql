-- Accounts: who a customer is, and what proves it.

CREATE TABLE users (
    -- UUID v7, made by the service: sorts by the time of sign-up, so that the primary key is also the
    -- order in which users are listed.
    id            uuid        PRIMARY KEY,
    -- As it was typed. Lengths are checked by the service, which can say what is wrong; here they are
    -- the last line of defence.
    email         text        NOT NULL CHECK (length(email) <= 254),
    name          text        NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    -- An argon2id hash in PHC format, which holds its own parameters and salt. Never the password.
    password_hash text        NOT NULL,
    -- A customer sees only what is theirs; an admin sees everything.
    role          text        NOT NULL DEFAULT 'customer' CHECK (role IN ('customer', 'admin')),
    created_at    timestamptz NOT NULL DEFAULT now()
);

-- One account for each address, whatever its letter case. An index and not a check before the insert:
-- of two sign-ups at the same moment exactly one gets through.
CREATE UNIQUE INDEX users_email_key ON users (lower(email));
