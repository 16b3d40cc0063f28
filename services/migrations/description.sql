-- What a schema is made of, a line for each part, without the schema's own name: `kind`, the table or other part that it
-- belongs to, and how it is defined. The search path must be the schema alone.

-- name: set_search_path
-- Names of the schema stand without it in definitions, for the rest of the transaction.
SELECT set_config('search_path', %(schema)s, true)

-- name: describe
-- All parts, but for what a rebuild in progress has beside the tables in use.
WITH own AS (SELECT oid, nspowner FROM pg_namespace WHERE nspname = %(name)s),
relation AS (
    SELECT c.*, own.nspowner FROM pg_class AS c JOIN own ON own.oid = c.relnamespace
    WHERE c.relname !~ '_rebuilt(_parts)?$'
),
part AS (
    SELECT 'table' AS kind, relname::text AS name,
        CASE relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'
            WHEN 'f' THEN 'foreign table' WHEN 'p' THEN 'partitioned table' WHEN 'c' THEN 'type' ELSE relkind::text END
        || CASE relpersistence WHEN 'p' THEN '' ELSE ', not kept after a crash' END
        || CASE WHEN relrowsecurity OR relforcerowsecurity THEN ', row security' ELSE '' END
        || CASE WHEN relkind IN ('v', 'm') THEN ', ' || md5(pg_get_viewdef(oid)) ELSE '' END AS definition
    FROM relation WHERE relkind NOT IN ('i', 'I', 't')
    UNION ALL
    SELECT 'column', relname || '.' || a.attname,
        format_type(a.atttypid, a.atttypmod)
        || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
        || CASE WHEN a.attidentity <> '' OR a.attgenerated <> '' THEN ' generated ' || a.attidentity::text || a.attgenerated::text ELSE '' END
        || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
        || CASE WHEN a.attcollation NOT IN (0, t.typcollation) THEN ' collate ' || a.attcollation::regcollation ELSE '' END
    FROM relation JOIN pg_attribute AS a ON a.attrelid = relation.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type AS t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE relkind IN ('r', 'p', 'f', 'v', 'm', 'c')
    UNION ALL
    SELECT 'constraint', relname || '.' || n.conname,
        pg_get_constraintdef(n.oid, true)
    FROM relation JOIN pg_constraint AS n ON n.conrelid = relation.oid WHERE n.contype NOT IN ('n', 't')
    UNION ALL
    SELECT 'index', t.relname || '.' || relation.relname,
        regexp_replace(pg_get_indexdef(i.indexrelid, 0, true), '^.* USING ', CASE WHEN i.indisunique THEN 'unique ' ELSE '' END)
        || CASE WHEN i.indisvalid AND i.indisready THEN '' ELSE ' not valid' END
    FROM relation JOIN pg_index AS i ON i.indexrelid = relation.oid JOIN pg_class AS t ON t.oid = i.indrelid
    UNION ALL
    SELECT 'trigger', relname || '.' || g.tgname,
        regexp_replace(pg_get_triggerdef(g.oid, true), '^CREATE (CONSTRAINT )?TRIGGER \S+ ', '\1')
        || CASE g.tgenabled WHEN 'O' THEN '' WHEN 'D' THEN ' disabled' ELSE ' enabled ' || g.tgenabled::text END
    FROM relation JOIN pg_trigger AS g ON g.tgrelid = relation.oid WHERE NOT g.tgisinternal
    UNION ALL
    SELECT 'trigger', relname || '.' || n.conname, 'of a foreign key, disabled'
    FROM relation JOIN pg_trigger AS g ON g.tgrelid = relation.oid JOIN pg_constraint AS n ON n.oid = g.tgconstraint
    WHERE g.tgisinternal AND g.tgenabled <> 'O'
    UNION ALL
    SELECT 'rule', relname || '.' || w.rulename, md5(pg_get_ruledef(w.oid, true))
    FROM relation JOIN pg_rewrite AS w ON w.ev_class = relation.oid WHERE w.rulename <> '_RETURN'
    UNION ALL
    SELECT 'policy', relname || '.' || y.polname, 'rows are hidden'
    FROM relation JOIN pg_policy AS y ON y.polrelid = relation.oid
    UNION ALL
    SELECT 'inheritance', relname || '.' || h.inhrelid::regclass, 'its rows count among those of the table'
    FROM relation JOIN pg_inherits AS h ON h.inhparent = relation.oid WHERE relkind NOT IN ('i', 'I')
    UNION ALL
    SELECT 'function', p.oid::regprocedure::text,
        l.lanname || ' ' || p.prokind::text || ' ' || format_type(p.prorettype, NULL) || ' ' || md5(coalesce(p.prosrc, ''))
        || CASE WHEN p.prosecdef THEN ' security definer' ELSE '' END || coalesce(' set ' || p.proconfig::text, '')
    FROM pg_proc AS p JOIN own ON own.oid = p.pronamespace JOIN pg_language AS l ON l.oid = p.prolang
    UNION ALL
    SELECT 'type', y.typname, CASE y.typtype WHEN 'e' THEN 'enumeration' WHEN 'd' THEN 'domain' ELSE y.typtype::text END
    FROM pg_type AS y JOIN own ON own.oid = y.typnamespace
    WHERE y.typtype NOT IN ('c', 'b') OR (y.typtype = 'b' AND y.typelem = 0)
    UNION ALL
    SELECT 'owner', relname::text, pg_get_userbyid(relowner)::text FROM relation WHERE relowner <> nspowner AND relkind NOT IN ('i', 'I', 't')
    UNION ALL
    SELECT 'grant', relname || ' to ' || grantee.name, string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type)
    FROM relation CROSS JOIN LATERAL aclexplode(relacl) AS a
    CROSS JOIN LATERAL (SELECT CASE a.grantee WHEN 0 THEN 'everybody' ELSE pg_get_userbyid(a.grantee)::text END AS name) AS grantee
    WHERE a.grantee <> relowner AND (grantee.name = %(role)s OR a.privilege_type NOT IN ('SELECT', 'USAGE', 'REFERENCES'))
    GROUP BY relname, grantee.name
    UNION ALL
    SELECT 'grant', 'the schema to ' || pg_get_userbyid(a.grantee), string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type)
    FROM pg_namespace AS n JOIN own USING (oid) CROSS JOIN LATERAL aclexplode(n.nspacl) AS a
    WHERE a.grantee <> n.nspowner AND (pg_get_userbyid(a.grantee) = %(role)s OR a.privilege_type <> 'USAGE')
    GROUP BY a.grantee
)
SELECT kind, name, definition FROM part ORDER BY kind COLLATE "C", name COLLATE "C", definition COLLATE "C"

-- name: has_role
-- Whether the role of the service is there. Where it could not be made, nothing could be granted to it.
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %(role)s)
