import http2 from "node:http2";

const session = http2.connect("https://www.example.com");
session.on("error", (error) => console.error(error));
for (const path of ["open", "closed"]) {
  await new Promise((done) => {
    const stream = session.request({ ":path": `/${path}/hello` });
    let head = {};
    let text = "";
    stream.on("response", (headers) => (head = headers));
    stream.on("data", (part) => (text += part));
    stream.on("error", (error) => console.error(error));
    stream.on("close", () => {
      console.log(head[":status"], head["x-openshell-policy"] ?? "-", text.trim());
      done();
    });
  });
}
session.close();
