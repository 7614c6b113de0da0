-- A change of this file is a new FUNCTION_VERSION in schema.rs.
-- What a statement calls that tells events by itself, in a transaction of its own: see `Outbox::tell_in`. In PL/pgSQL, since the
-- plan of its `INSERT` is kept for the connection. True, so that it can stand in a condition.
CREATE OR REPLACE FUNCTION outbox_tell(
    of_lanes smallint[], of_destinations text[], of_keys text[], of_headers jsonb[], of_payloads bytea[]
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    -- ORDER BY, so that ids are given in the order of the rows.
    INSERT INTO outbox (lane, destination, key, headers, payload)
    SELECT told.lane, told.destination, told.key, told.headers, told.payload
      FROM unnest(of_lanes, of_destinations, of_keys, of_headers, of_payloads) WITH ORDINALITY
             AS told (lane, destination, key, headers, payload, position)
     ORDER BY told.position;
    RETURN true;
END $$;
