import sys
sys.path.insert(0, "/sandbox/site")
import requests

with requests.Session() as session:
    for path in ["open", "closed"]:
        answer = session.get(f"https://www.example.com/{path}/hello")
        print(answer.status_code, answer.headers.get("X-OpenShell-Policy", "-"), answer.text.strip())
