-- Definitions of tables. `table` is a qualified name.

-- name: table_options
-- The storage parameters of a table, such as its fill factor.
SELECT coalesce(reloptions, '{}') FROM pg_class WHERE oid = %(table)s::regclass

-- name: table_indexes
-- The indexes of a table: name, definition, and whether it is the primary key.
SELECT c.relname, pg_get_indexdef(i.indexrelid), i.indisunique, i.indisprimary
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = %(table)s::regclass ORDER BY i.indisprimary DESC, c.relname

-- name: table_grants
-- Privileges on a table of others than its owner.
SELECT pg_get_userbyid(a.grantee), a.privilege_type
FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
WHERE c.oid = %(table)s::regclass AND a.grantee <> c.relowner AND a.grantee <> 0
