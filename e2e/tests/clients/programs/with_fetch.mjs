for (const path of ["open", "closed"]) {
  const answer = await fetch(`https://www.example.com/${path}/hello`);
  const policy = answer.headers.get("x-openshell-policy") ?? "-";
  console.log(answer.status, policy, (await answer.text()).trim());
}
