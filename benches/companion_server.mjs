// Uppy's Companion with its S3 endpoints, for `uppy.py`: everything as its manual begins with. Read from standard input by
// a Node that stands in the folder where the packages were installed.

import { app as companion } from "@uppy/companion";
import express from "express";

const { PORT, STORE, KEY, SECRET, BUCKET, FOLDER } = process.env;
const app = express();
app.use(express.json());
const { app: routes } = companion({
  s3: {
    key: KEY, secret: SECRET, bucket: BUCKET, region: "us-east-1", endpoint: STORE, forcePathStyle: true,
    getKey: ({ filename }) => `${crypto.randomUUID()}-${filename}`, expires: 800,
  },
  server: { host: `127.0.0.1:${PORT}`, protocol: "http" },
  corsOrigins: true, filePath: FOLDER, secret: "of-the-benchmark", uploadUrls: ["http://127.0.0.1"], providerOptions: {},
});
app.use(routes);
app.listen(Number(PORT), "127.0.0.1");
