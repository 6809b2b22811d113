"""Dialects: a file for each way to a database that is not `sqlite3`'s, on one connection of ours (`connection`).

    libsql_file    a file, by libsql                     turso_file    a file, by pyturso, and replicas
    http3          a server, by turso-serverless         websocket     a server, by libsql-client
    http1          a server, by libsql-client, statement by statement

Each gives a `Wire`, the little that differs; transactions, values, errors and guards are the same for all.
"""
