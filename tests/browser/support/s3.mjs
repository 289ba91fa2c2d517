// A small S3 client with a signer of its own (SigV4 in headers), to look at the store behind the product's back.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html

import { createHash, createHmac } from "node:crypto";
import { request } from "node:http";

const hex = (data) => createHash("sha256").update(data).digest("hex");
const hmac = (key, text) => createHmac("sha256", key).update(text).digest();

/** Percent-encodes all but the unreserved characters, as the signature demands. */
const encode = (text) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);

export class S3 {
  /** @param {{ endpoint: string, accessKey: string, secret: string, region?: string }} options */
  constructor({ endpoint, accessKey, secret, region = "us-east-1" }) {
    Object.assign(this, { endpoint: new URL(endpoint), accessKey, secret, region });
  }

  /** Sends one signed request and answers as soon as the headers of the answer are there. */
  send(method, path, { query = {}, body = "", headers = {} } = {}) {
    const canonicalPath = path.split("/").map(encode).join("/");
    const canonicalQuery = Object.entries(query)
      .map(([name, value]) => `${encode(name)}=${encode(value)}`)
      .sort()
      .join("&");
    const date = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
    const scope = `${date.slice(0, 8)}/${this.region}/s3/aws4_request`;
    const signed = { ...headers, host: this.endpoint.host, "x-amz-content-sha256": hex(body), "x-amz-date": date };
    const names = Object.keys(signed).sort();
    const canonical = [
      method, canonicalPath, canonicalQuery,
      ...names.map((name) => `${name}:${signed[name]}`), "",
      names.join(";"), signed["x-amz-content-sha256"],
    ].join("\n");
    const key = [date.slice(0, 8), this.region, "s3", "aws4_request"].reduce(hmac, `AWS4${this.secret}`);
    const signature = hmac(key, ["AWS4-HMAC-SHA256", date, scope, hex(canonical)].join("\n")).toString("hex");
    signed.authorization =
      `AWS4-HMAC-SHA256 Credential=${this.accessKey}/${scope}, SignedHeaders=${names.join(";")}, Signature=${signature}`;
    signed["content-length"] = Buffer.byteLength(body);
    return new Promise((resolve, reject) => {
      const outgoing = request(this.endpoint, {
        method,
        path: canonicalPath + (canonicalQuery && `?${canonicalQuery}`),
        headers: signed,
      });
      outgoing.once("error", reject);
      outgoing.once("response", resolve);
      outgoing.end(body);
    });
  }

  /** Sends one signed request and answers status, headers and text; throws unless the status is 2xx or `also`. */
  async text(method, path, options = {}, also = []) {
    const answer = await this.send(method, path, options);
    let text = "";
    for await (const chunk of answer) text += chunk;
    if (!(answer.statusCode >= 200 && answer.statusCode < 300) && !also.includes(answer.statusCode)) {
      throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`);
    }
    return { status: answer.statusCode, headers: answer.headers, text };
  }

  /** Makes a bucket that browsers of every origin may use. */
  async createOpenBucket(bucket) {
    await this.text("PUT", `/${bucket}`, {}, [409]);
    const cors =
      "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>" +
      "<AllowedMethod>PUT</AllowedMethod><AllowedMethod>POST</AllowedMethod><AllowedMethod>DELETE</AllowedMethod>" +
      "<AllowedHeader>*</AllowedHeader><ExposeHeader>ETag</ExposeHeader></CORSRule></CORSConfiguration>";
    const md5 = createHash("md5").update(cors).digest("base64");
    await this.text("PUT", `/${bucket}`, { query: { cors: "" }, body: cors, headers: { "content-md5": md5 } });
  }

  /** Reads an object to its end; answers its size and SHA-256, without holding it. */
  async digest(bucket, key) {
    const answer = await this.send("GET", `/${bucket}/${key}`);
    const hash = createHash("sha256");
    let size = 0;
    for await (const chunk of answer) {
      hash.update(chunk);
      size += chunk.length;
    }
    return { status: answer.statusCode, size, sha256: hash.digest("hex") };
  }

  /** The status of a HEAD request: 200 where the object is there. */
  async head(bucket, key) {
    const answer = await this.send("HEAD", `/${bucket}/${key}`);
    answer.resume();
    return answer.statusCode;
  }

  /** Keys of all objects below a prefix (the first page). */
  async keys(bucket, prefix) {
    const { text } = await this.text("GET", `/${bucket}`, { query: { "list-type": "2", "encoding-type": "url", prefix } });
    return [...text.matchAll(/<Key>([^<]*)<\/Key>/g)].map((match) => decodeURIComponent(match[1].replaceAll("+", " ")));
  }

  /** Upload ids of all unfinished multipart uploads (the first page). */
  async unfinished(bucket) {
    const { text } = await this.text("GET", `/${bucket}`, { query: { uploads: "" } });
    return [...text.matchAll(/<UploadId>([^<]*)<\/UploadId>/g)].map((match) => match[1]);
  }
}
