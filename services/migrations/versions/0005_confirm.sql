-- Fails a transaction that was decided speculatively where an assumption is false; the lane then loads and decides anew.
CREATE FUNCTION {schema}.confirm(is_so boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF is_so IS NOT TRUE THEN
        RAISE EXCEPTION 'what this transaction was decided on has changed' USING ERRCODE = 'serialization_failure';
    END IF;
END
$$;
