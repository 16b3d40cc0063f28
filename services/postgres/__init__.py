"""PostgreSQL as everything here uses it: connections, named queries, binary arrays, pipelines, an embedded server."""
