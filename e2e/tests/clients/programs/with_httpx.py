import sys
sys.path.insert(0, "/sandbox/site")
import httpx

with httpx.Client(http2=True) as client:
    for path in ["open", "closed"]:
        answer = client.get(f"https://www.example.com/{path}/hello")
        print(answer.status_code, answer.headers.get("X-OpenShell-Policy", "-"), answer.text.strip())
