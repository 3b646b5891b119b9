import https from "node:https";

const agent = new https.Agent({ keepAlive: true });
for (const path of ["open", "closed"]) {
  await new Promise((done) => {
    https.get(`https://www.example.com/${path}/hello`, { agent }, async (answer) => {
      let text = "";
      for await (const part of answer) text += part;
      console.log(answer.statusCode, answer.headers["x-openshell-policy"] ?? "-", text.trim());
      done();
    });
  });
}
agent.destroy();
