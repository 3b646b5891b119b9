import urllib.error
import urllib.request

for path in ["open", "closed"]:
    try:
        answer = urllib.request.urlopen(f"https://www.example.com/{path}/hello")
    except urllib.error.HTTPError as error:
        answer = error
    policy = answer.headers.get("X-OpenShell-Policy", "-")
    print(answer.status, policy, answer.read().decode().strip())
