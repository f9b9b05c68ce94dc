/** A process that takes the write lock of an SQLite file, says `locked`, and keeps it until its input ends. */
import { DatabaseSync } from "node:sqlite";
import process from "node:process";

const db = new DatabaseSync(process.argv[2]);
db.exec("pragma busy_timeout = 5000; begin exclusive");
console.log("locked");
process.stdin.resume();
process.stdin.on("end", () => {
  db.exec("commit");
  db.close();
});
