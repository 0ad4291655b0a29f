package gatehouse

import "github.com/gatehouse-mcp/gatehouse/internal/token"

// TokenReasons lists the reasons of the token room.
func TokenReasons() []Reason {
	var out []Reason
	for _, reason := range token.Reasons() {
		out = append(out, Reason(reason))
	}
	return out
}

// MaxReasons is the size of the counters.
const MaxReasons = maxReasons
