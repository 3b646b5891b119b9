package openshell

default connect := false

default request := false

connect if {
	some rule in data.exact_rules
	rule.program == input.program
	some endpoint in rule.endpoints
	endpoint.port == input.port
	endpoint.host == input.host
}

connect if {
	some rule in data.pattern_rules
	rule.program == input.program
	some endpoint in rule.endpoints
	endpoint.port == input.port
	glob.match(endpoint.host, ["."], input.host)
}

request if {
	some rule in data.exact_rules
	rule.program == input.program
	some endpoint in rule.endpoints
	endpoint.port == input.port
	endpoint.host == input.host
	some allow in endpoint.allows
	allow.method == input.method
	glob.match(allow.path, ["/"], input.path)
}

request if {
	some rule in data.pattern_rules
	rule.program == input.program
	some endpoint in rule.endpoints
	endpoint.port == input.port
	glob.match(endpoint.host, ["."], input.host)
	some allow in endpoint.allows
	allow.method == input.method
	glob.match(allow.path, ["/"], input.path)
}
