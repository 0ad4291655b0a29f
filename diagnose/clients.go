package diagnose

// judgeClients returns the verdict for each client. It returns none if the target is not an
// MCP endpoint.
func judgeClients(*observed) []Client { return []Client{} }
