-- Who is behind a user's id, learnt from user-events: this service never asks another one for it, so it
-- sends mail while users is down.
CREATE TABLE recipients (
    user_id    uuid        PRIMARY KEY,
    email      text        NOT NULL,
    name       text        NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
