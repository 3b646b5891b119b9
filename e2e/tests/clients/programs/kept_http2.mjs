// Requests over one connection, with a pause that is longer than the server keeps it.
import http2 from "node:http2";
import { setTimeout } from "node:timers/promises";

const session = http2.connect("https://hasty-two.example.com");
session.on("error", (error) => console.error(error));
for (const pause of [0, 0, 2000]) {
  await setTimeout(pause);
  await new Promise((done) => {
    const stream = session.request({ ":path": "/open/hello" });
    let text = "";
    let status;
    stream.on("response", (headers) => (status = headers[":status"]));
    stream.on("data", (part) => (text += part));
    stream.on("error", (error) => console.error(error));
    stream.on("close", () => {
      console.log(status, text.trim());
      done();
    });
  });
}
session.close();
