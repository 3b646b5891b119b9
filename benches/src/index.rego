package openshell

default connect := false

default request := false

connect if {
	some endpoint in data.exact[input.host][input.program]
	endpoint.port == input.port
}

connect if {
	dot := indexof(input.host, ".")
	some endpoint in data.wildcard[substring(input.host, dot + 1, -1)][input.program]
	endpoint.port == input.port
	glob.match(endpoint.label, ["."], substring(input.host, 0, dot))
}

request if {
	some endpoint in data.exact[input.host][input.program]
	endpoint.port == input.port
	some path in endpoint.paths[input.method]
	glob.match(path, ["/"], input.path)
}

request if {
	dot := indexof(input.host, ".")
	some endpoint in data.wildcard[substring(input.host, dot + 1, -1)][input.program]
	endpoint.port == input.port
	glob.match(endpoint.label, ["."], substring(input.host, 0, dot))
	some path in endpoint.paths[input.method]
	glob.match(path, ["/"], input.path)
}
