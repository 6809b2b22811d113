// Speaks to the stand-in by @libsql/client, and prints what came back as JSON. The address and the token come from the
// environment, the folder of the packages is the first argument.
import { createRequire } from "node:module";
import { join } from "node:path";

const { createClient } = createRequire(join(process.argv[2], "of.js"))("@libsql/client");
const client = createClient({ url: process.env.URL, authToken: process.env.TOKEN, intMode: "bigint" });
const rows = (result) => result.rows.map((row) => Array.from(row));
const code = async (work) => {
  try {
    await work();
    return "no error";
  } catch (error) {
    return error.code;
  }
};

const told = {};
await client.executeMultiple("CREATE TABLE j (a INTEGER PRIMARY KEY, b); INSERT INTO j VALUES (1, 'one'); INSERT INTO j VALUES (2, NULL);");
const blob = new Uint8Array([0, 255]);
const insert = await client.execute({ sql: "INSERT INTO j VALUES (:a, :b)", args: { a: (1n << 62n) + 1n, b: blob } });
told.insert = [insert.rowsAffected, insert.lastInsertRowid];
const batch = await client.batch(
  [{ sql: "INSERT INTO j VALUES (?, ?)", args: [4n, 0.5] }, "SELECT a, b, typeof(b) FROM j ORDER BY a"],
  "write",
);
told.batch = rows(batch[1]);
told.columns = [batch[1].columns, batch[1].columnTypes];
told.text = rows(await client.execute({ sql: "SELECT ?, ?", args: ["a\0b", "\u{1F40D}\u2028"] }));
told.failed_batch = await code(() => client.batch(["INSERT INTO j VALUES (5, 5)", "INSERT INTO j VALUES (1, 1)"], "write"));
const lost = await client.transaction("write");
await lost.execute("INSERT INTO j VALUES (6, 6)");
await lost.rollback();
const kept = await client.transaction("write");
await kept.batch(["INSERT INTO j VALUES (7, 7)", "INSERT INTO j VALUES (8, 8)"]);
await kept.commit();
told.kept = rows(await client.execute("SELECT a FROM j WHERE a BETWEEN 5 AND 8 ORDER BY a"));
told.syntax = await code(() => client.execute("SELEC 1"));
told.unique = await code(() => client.execute("INSERT INTO j VALUES (1, 1)"));
told.forbidden = await code(() => client.execute("VACUUM"));
const wrong = createClient({ url: process.env.URL, authToken: "wrong" });
told.wrong_token = (await code(() => wrong.execute("SELECT 1"))) !== "no error";
wrong.close();
client.close();
const plain = (_, value) =>
  typeof value === "bigint" ? `${value}n` : value instanceof ArrayBuffer ? Array.from(new Uint8Array(value)) : value;
console.log(JSON.stringify(told, plain));
process.exit(0);
