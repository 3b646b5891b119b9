import urllib.error, urllib.request


@attempt
def get(url):
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    try:
        return urllib.request.urlopen(url, timeout=5).read().decode()
    except urllib.error.HTTPError as error:
        raise RuntimeError(error.code)
    except urllib.error.URLError as error:
        raise error.reason
