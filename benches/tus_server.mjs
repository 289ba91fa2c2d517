// The reference tus server with its file store, for `tus.py`: everything as its manual begins with. Read from standard
// input by a Node that stands in the folder where the packages were installed.

import { FileStore } from "@tus/file-store";
import { Server } from "@tus/server";

const { FOLDER, PORT } = process.env;
const server = new Server({ path: "/files", datastore: new FileStore({ directory: FOLDER }) });
server.listen({ host: "127.0.0.1", port: Number(PORT) });
